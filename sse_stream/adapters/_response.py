# SPDX-License-Identifier: MIT
"""What every adapter does with a response: check it, and say how its connection is interrupted."""

from __future__ import annotations

from .._pieces import pieces
from ..handshake import CheckedChunks, acheck_response, check_response
from ..streams import AsyncEventStream, EventStream, aclose_all, close_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..decoder import SSEDecoder
    from ..handshake import Check

__all__ = [
    "COMPRESSED",
    "Chunks",
    "acheck_and_open",
    "check_and_open",
    "open_and_check_later",
    "shut_down",
]


#: How a body begins that is compressed by gzip, deflate or zstd: no event stream does.
COMPRESSED = (b"\x1f\x8b", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd")


class Chunks:
    """An iterator over chunks that another thread can interrupt.

    A large chunk is handed out in pieces.

    chunks: what gives them.
    wake:   called from that thread, makes a read of `chunks` that is blocked end at once, without
            blocking itself.
    owned:  what is closed after `chunks`, in this order.
    is_shared: whether other streams use the connection meanwhile, so that `wake` leaves it alone.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        wake: Callable[[], None],
        *owned: object,
        is_shared: bool = False,
    ) -> None:
        self.is_shared = is_shared
        self._chunks = chunks
        self._wake = wake
        self._owned = owned
        self._pieces: Iterator[bytes] = iter(())  # of the last chunk
        self._interrupted = False

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> bytes:
        if self._interrupted:
            raise StopIteration
        for piece in self._pieces:
            return piece
        self._pieces = pieces(next(self._chunks))
        return next(self._pieces)

    def interrupt(self) -> None:
        """End a read that is blocked, and every later one."""
        self._interrupted = True
        self._wake()

    def close(self) -> None:
        """Close what gives the chunks, if it can be closed, and what is owned."""
        close_all(self._chunks, *self._owned)


def shut_down(sock: Any) -> None:
    """End what is blocked in a socket, without blocking and without closing it: its owner does.

    sock: a socket, also one of TLS, or None; nothing happens if it cannot be shut down any more.
    """
    import socket

    try:
        if isinstance(sock, socket.socket):
            # Beneath TLS: SSLSocket's own takes its state from the thread that reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        elif type(sock).__module__.startswith("uvloop"):  # which allows nothing of its own
            import os

            with socket.socket(fileno=os.dup(sock.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)
        else:  # asyncio's and trio's
            sock.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError, AttributeError):  # it has been closed, or there is none
        pass


def check_and_open(
    chunks: Any, response: Any, answer: dict[str, Any], decoder: SSEDecoder, check: Check
) -> EventStream:
    """Check a response and return its stream; if the check fails, close `chunks` and `response`.

    chunks:   an iterator over the body.
    response: the client's.
    answer:   the arguments of `check_response` that say what came.
    decoder:  the stream's.
    check:    as `connect` takes it.
    """
    try:
        check_response(chunks, **answer, check=check)
    except BaseException:
        try:
            close_all(chunks, response)
        except Exception:  # what the check raised matters more
            pass
        raise
    return EventStream(chunks, decoder=decoder, response=response)


async def acheck_and_open(
    chunks: Any, response: Any, answer: dict[str, Any], decoder: SSEDecoder, check: Check
) -> AsyncEventStream:
    """Do as `check_and_open` for an async response; parameters as there.

    chunks:   an async iterator over the body, with `interrupt`.
    response: the client's.
    answer:   the arguments of `acheck_response` that say what came.
    decoder:  the stream's.
    check:    as `aconnect` takes it.
    """
    try:
        await acheck_response(chunks, **answer, check=check)
    except GeneratorExit:  # nothing can be awaited
        chunks.interrupt()
        raise
    except BaseException:
        try:
            await aclose_all(chunks, response)
        except Exception:
            pass
        raise
    return AsyncEventStream(chunks, decoder=decoder, response=response)


def open_and_check_later(
    chunks: Any, response: Any, answer: dict[str, Any], decoder: SSEDecoder, check: Check
) -> AsyncEventStream:
    """Return an async response's stream, whose first read awaits the check: `aiter_events` cannot.

    chunks:   an async iterator over the body, with `interrupt`.
    response: the client's.
    answer:   the arguments of `acheck_response` that say what came.
    decoder:  the stream's.
    check:    as `aiter_events` takes it.
    """
    checked = CheckedChunks(chunks, lambda: acheck_response(chunks, **answer, check=check))
    return AsyncEventStream(checked, decoder=decoder, response=response)
