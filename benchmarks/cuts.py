# SPDX-License-Identifier: MIT
"""How a stream is cut into chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .shapes import Stream

# By name: the size of a chunk in bytes, or None for one chunk an event, as a server writes them;
# and what it stands for.
CUTS: dict[str, tuple[int | None, str]] = {
    "event": (None, "by event: one event a chunk, as a server that flushes each event sends them"),
    "1448": (1448, "1,448 bytes: the payload of one TCP segment on Ethernet"),
    "64k": (1 << 16, "64 KiB: a full read of a socket that has fallen behind"),
    "16": (16, "16 bytes: a trickle, almost every line in pieces"),
}
# As networks deliver them. Nobody receives chunks of 16 bytes: these are a guard against surprises.
NETWORKS = ("event", "1448", "64k")


def cut(stream: Stream, name: str) -> list[bytes]:
    """Return the chunks of a stream for the cut of this name."""
    size = CUTS[name][0]
    if size is None:
        return [wire for wire, _ in stream.parts]
    data = stream.data
    return [data[start : start + size] for start in range(0, len(data), size)]
