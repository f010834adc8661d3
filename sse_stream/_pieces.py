# SPDX-License-Identifier: MIT
"""How a chunk is cut that is too large to be read at once."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 64 * 1024  # bytes


def pieces(chunk: bytes) -> Iterator[bytes]:
    """Return an iterator over a chunk, cut if it is large.

    A hundred compressed bytes may unfold to 64 MiB, and some clients hand that out at once: ten
    million events or documents, which would all be held.

    chunk: of the body.
    """
    if len(chunk) <= _PIECE:
        return iter((chunk,))
    return (chunk[start : start + _PIECE] for start in range(0, len(chunk), _PIECE))
