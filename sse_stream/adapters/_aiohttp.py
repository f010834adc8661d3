# SPDX-License-Identifier: MIT
"""How a request of aiohttp is sent, and a response read, within a limit of silence."""

from __future__ import annotations

from .._pieces import pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from typing import Any

__all__ = ["Chunks", "send"]

_LOOK_EVERY = 0.5  # seconds


async def send(request: Awaitable[Any], limit: float | None) -> Any:
    """Await the response to a request.

    request: what `ClientSession.request` returned.
    limit:   seconds until `SocketTimeoutError`; None: aiohttp's own limits alone.
    """
    if limit is None:
        return await request
    from asyncio import ensure_future, wait

    sending = ensure_future(request)
    try:
        await wait([sending], timeout=limit)
        if sending.cancel():
            await wait([sending])
    except BaseException as error:
        sending.cancel()
        sending.add_done_callback(_close_response)
        if not isinstance(error, GeneratorExit):  # then nothing can be awaited
            await wait([sending])
        raise
    if sending.cancelled():
        raise _idle(limit)
    return sending.result()


def _close_response(sending: Any) -> None:
    if not sending.cancelled() and sending.exception() is None:
        sending.result().close()


class Chunks:
    """An async iterator over the body of a response of aiohttp, each piece as it comes.

    A large chunk is handed out in pieces. While `readany` waits, a timer watches: aiohttp waits for
    ever if its parser gave up, and has no idle limit of its own.

    response:     opened and not read; or read to its end: then its body is the one chunk.
    idle_timeout: seconds without a byte until `SocketTimeoutError`; None: never.

    Raises ValueError for a response whose bytes are gone.
    """

    def __init__(self, response: Any, idle_timeout: float | None) -> None:
        from asyncio import get_running_loop

        self._response = response
        self._content = content = response.content
        consumed = content.at_eof() and content.total_bytes
        self._body = (consumed and getattr(response, "_body", None)) or b""
        self._pieces: Iterator[bytes] = iter(())  # of the last chunk
        if not self._body and (consumed or (response.closed and not content.is_eof())):
            how = "consumed" if consumed else "closed"
            raise ValueError(f"this response has been {how}; pass it before anything is read")
        self._idle_timeout = float("inf") if idle_timeout is None else idle_timeout
        self._loop = get_running_loop()
        self._timer: Any = None
        self._waiting = False
        self._interrupted = False

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self._interrupted:
            raise StopAsyncIteration
        for piece in self._pieces:
            return piece
        body, self._body = self._body, b""
        chunk: bytes = body or self._rescue() or await self._read()
        if not chunk:
            raise StopAsyncIteration
        self._pieces = pieces(chunk)
        return next(self._pieces)

    def interrupt(self) -> None:
        """End a read that waits, and every later one; let go of the connection."""
        self._interrupted = True
        self._response.close()  # wakes what reads

    async def aclose(self) -> None:
        """End the watch. The response is closed by whoever has it."""
        if self._timer is not None:
            self._timer.cancel()

    async def _read(self) -> bytes:
        chunk = b""
        self._waiting = True
        try:
            while not chunk and not self._content.at_eof():
                self._note_life()
                if self._timer is None:  # else it runs on: fast chunks cost none
                    self._look_later()
                chunk = await self._content.readany()
        except Exception as error:
            from aiohttp.http import HttpProcessingError

            # The parser in Python raises its own; that in C leaves a RuntimeError,
            # "Connection closed."
            if isinstance(error, HttpProcessingError) or (
                isinstance(error, RuntimeError) and not self._is_connected()
            ):
                raise _gone() from error
            raise
        finally:
            self._waiting = False
        return chunk

    def _rescue(self) -> Any:
        """Return what a fault keeps `readany` from returning."""
        fault = self._content.exception()
        if fault is None:
            return b""
        self._content.set_exception(None)
        try:
            return self._content.read_nowait()
        finally:
            self._content.set_exception(fault)

    def _note_life(self) -> None:
        self._alive_at, self._seen, self._closing = self._loop.time(), _count(self._content), False

    def _look_later(self) -> None:
        left = self._alive_at + self._idle_timeout - self._loop.time()
        self._timer = self._loop.call_later(min(_LOOK_EVERY, left), self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        fault = None
        was_closing, self._closing = self._closing, not self._is_connected()
        if _count(self._content) != self._seen:
            self._note_life()
        elif self._loop.time() - self._alive_at >= self._idle_timeout:
            fault = _idle(self._idle_timeout)
        elif was_closing and self._closing:  # at the first it may be about to report its end
            fault = _gone()
        if fault is None:
            self._look_later()
        else:
            self._content.set_exception(fault)

    def _is_connected(self) -> bool:
        transport = self._response.connection and self._response.connection.transport
        return bool(transport) and not transport.is_closing()


def _count(content: Any) -> Any:
    return getattr(
        content, "total_raw_bytes", content.total_bytes
    )  # before decompression, but newer


def _idle(limit: float) -> Exception:
    from aiohttp import SocketTimeoutError

    return SocketTimeoutError(f"nothing came for {limit} seconds (idle_timeout)")


def _gone() -> Exception:
    from aiohttp import ClientPayloadError

    return ClientPayloadError(
        "aiohttp dropped the connection inside the body: it could not parse what came"
    )
