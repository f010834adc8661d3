# SPDX-License-Identifier: MIT
"""How a response of urllib3 is read promptly, and woken; also the one beneath requests'."""

from __future__ import annotations

from ._response import COMPRESSED, shut_down

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = ["decodable", "read_promptly", "wake"]


def read_promptly(response: Any) -> Iterator[bytes]:
    """Return an iterator over the body of a response of urllib3, each piece as it comes.

    response: of urllib3, of urllib3-future, or a double of one, opened and not read.

    Raises ValueError if it has been read, also in part, or closed.
    """
    # An empty body is closed from the start.
    if response.tell() > 0 or (
        response.closed and getattr(response, "length_remaining", None) != 0
    ):
        raise ValueError(
            "this response has been read or closed already; pass it before anything is read"
        )
    return _read_double(response) if _is_from_http_client(response) else _read(response)


def decodable(response: Any) -> Iterable[str] | None:
    """Return the content codings that a response undoes, or None if that is not known.

    response: of urllib3, or what stands in its place.
    """
    known: Iterable[str] | None = getattr(response, "CONTENT_DECODERS", None)
    return known


def wake(response: Any) -> None:
    """End a read of a response that is blocked in another thread; `close` would wait for it.

    response: of urllib3, or a double of one, which may have no connection to end.
    """
    try:
        response.shutdown()  # urllib3 2.3 and later
    except Exception:  # it has none, or no socket any more
        connection = getattr(response, "_connection", None)
        shut_down(getattr(connection, "sock", None) or _socket_beneath(response))


def _socket_beneath(response: Any) -> Any:
    """Return the socket of a body that ends with it: the connection has let go of it."""
    reader = getattr(getattr(response, "_fp", None), "fp", None)
    return getattr(getattr(reader, "raw", None), "_sock", None)


def _read(response: Any) -> Iterator[bytes]:
    # Only `read1` (urllib3 2.2) neither waits for more nor misses an early end; urllib3-future's,
    # known by `extension`, returns nothing while compressed bytes trickle in.
    future = hasattr(response, "extension")
    if not future and _has_read1(response):
        while chunk := response.read1(65536, decode_content=True):
            yield chunk
    else:  # prompt unless a chunk came in part
        whole = future or response.chunked
        yield from response.stream(65536 if whole else 1, decode_content=True)


def _has_read1(response: Any) -> bool:
    """Return whether it and what it reads from have `read1`: a double's may not."""
    return hasattr(response, "read1") and hasattr(getattr(response, "_fp", response), "read1")


def _is_from_http_client(response: Any) -> bool:
    """Return whether a response is http.client's: vcrpy puts it in the place of urllib3's."""
    from http.client import HTTPResponse

    return isinstance(response, HTTPResponse)


def _read_double(response: Any) -> Iterator[bytes]:
    # It decodes nothing, but as a rule was decoded when it was recorded, whatever its headers say.
    body = response.read()
    if body.startswith(COMPRESSED):
        from io import BytesIO

        from urllib3 import HTTPResponse

        around = HTTPResponse(BytesIO(body), headers=response.headers, preload_content=False)
        body = around.read(decode_content=True)
    yield body
