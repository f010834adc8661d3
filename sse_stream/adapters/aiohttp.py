# SPDX-License-Identifier: MIT
"""Read events with aiohttp.

    async with aconnect(session, "GET", url, timeout=aiohttp.ClientTimeout(total=None), idle_timeout=60) as stream:
        async for event in stream:
            print(event.data)

By default aiohttp ends every stream after 5 minutes, hence the `timeout`, for a request or a session.

A broken stream raises `ClientPayloadError` or, after `idle_timeout`, `SocketTimeoutError`. A reset is not seen where the body
ends with the connection; what is unparsed when a fault comes is lost.

Options: `sse_stream.adapters`.
"""

from __future__ import annotations

from ..handshake import acheck_response, prepare_decoder, request_headers
from ..reconnect import TRANSIENT_STATUSES, AsyncEventSource, is_refused_certificate, make_subscribe
from ..streams import AsyncEventStream, AsyncOpening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..decoder import SSEDecoder
    from ..reconnect import AsyncSubscribe

__all__ = ["aconnect", "aiter_events", "asubscribe", "is_transient"]

_LOOK_EVERY = 0.5  # seconds


def aiter_events(
    response: Any,
    *,
    decoder: SSEDecoder | None = None,
    check: bool = True,
    idle_timeout: float | None = None,
) -> AsyncEventStream:
    """Iterate over the events of an open response of a ClientSession; of its body, if that has been read."""
    if not hasattr(response, "request_info") or not hasattr(response, "content"):
        hint = (
            "; await it, or enter it with `async with`" if hasattr(response, "__aenter__") else ""
        )
        raise TypeError(
            f"aiter_events takes a response of aiohttp, not {type(response).__name__}{hint}"
        )
    stream = AsyncEventStream(_Chunks(response, idle_timeout), decoder=decoder, response=response)
    head = response.status, response.headers, str(response.url)
    redirects = "aiohttp follows redirects unless allow_redirects=False"
    # One, not a list; aiohttp raises ContentEncodingError if it lacks the library.
    decodable = (
        ()
        if "," in response.headers.get("Content-Encoding", "")
        else ("gzip", "deflate", "br", "zstd")
    )
    stream._check = lambda: acheck_response(
        stream, *head, check=check, redirects=redirects, decodable=decodable
    )
    return stream


def aconnect(
    client: Any,
    method: str,
    url: Any,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: bool = True,
    idle_timeout: float | None = None,
    **request_options: Any,
) -> AsyncOpening:
    """Connect with a ClientSession; request_options: those of its `request`.

    `check` goes before `raise_for_status`; `idle_timeout` also limits the wait for the headers.
    """
    if not hasattr(client, "request") or not hasattr(client, "ws_connect"):
        raise TypeError(f"aconnect takes an aiohttp.ClientSession, not {type(client).__name__}")
    decoder = prepare_decoder(decoder, last_event_id)
    fields = request_headers(
        request_options.get("headers"), decoder.last_event_id, own=client.headers
    )
    # aiohttp sends text as UTF-8.
    request_options["headers"] = [
        (name, text.decode() if isinstance(text, bytes) else text) for name, text in fields
    ]
    if check:
        request_options.setdefault("raise_for_status", False)  # the session's would lose the body

    async def open_stream() -> AsyncEventStream:
        response = await _send(client.request(method, url, **request_options), idle_timeout)
        return aiter_events(response, decoder=decoder, check=check, idle_timeout=idle_timeout)

    return AsyncOpening(open_stream)


def is_transient(error: Exception) -> bool:
    """Whether it is a broken connection."""
    import asyncio

    from aiohttp import (
        ClientConnectionError,
        ClientHttpProxyError,
        ClientPayloadError,
        ServerFingerprintMismatch,
    )
    from aiohttp.http import HttpProcessingError

    if isinstance(error, ServerFingerprintMismatch) or is_refused_certificate(error):
        return False
    if isinstance(error, ClientHttpProxyError):
        return error.status in TRANSIENT_STATUSES
    # asyncio's TimeoutError, which `total` raises, is no OSError before Python 3.11.
    faults = (ClientConnectionError, ClientPayloadError, asyncio.TimeoutError, OSError)
    return isinstance(error, faults) or isinstance(
        error.__cause__, HttpProcessingError
    )  # not parsed


asubscribe: AsyncSubscribe[Any, Any] = make_subscribe(AsyncEventSource, aconnect, is_transient)


async def _send(request: Any, limit: float | None) -> Any:
    if limit is None:
        return await request
    from asyncio import ensure_future, wait

    sending = ensure_future(request)
    try:
        await wait([sending], timeout=limit)
    finally:
        if sending.cancel():
            await wait([sending])
    if sending.cancelled():
        raise _idle(limit)
    return sending.result()


class _Chunks:
    """While `readany` waits, a timer watches: aiohttp waits for ever if its parser gave up, and has no idle limit."""

    def __init__(self, response: Any, idle_timeout: float | None) -> None:
        from asyncio import get_running_loop

        self._response = response
        self._content = content = response.content
        consumed = content.at_eof() and content.total_bytes
        self._body = (consumed and getattr(response, "_body", None)) or b""
        if not self._body and (consumed or (response.closed and not content.is_eof())):
            how = "consumed" if consumed else "closed"
            raise ValueError(f"this response has been {how}; pass it before anything is read")
        self._idle_timeout = float("inf") if idle_timeout is None else idle_timeout
        self._loop = get_running_loop()
        self._timer: Any = None
        self._waiting = False

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, b""
        chunk: bytes = body or self._rescue() or await self._read()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
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

            # The parser in Python raises its own, that in C leaves RuntimeError "Connection closed."
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
