# SPDX-License-Identifier: MIT
"""Read events with aiohttp.

    async with aconnect(session, "GET", url, timeout=aiohttp.ClientTimeout(total=None), idle_timeout=60) as stream:
        async for event in stream:
            print(event.data)

The default timeout of aiohttp ends every stream after 5 minutes: `timeout=aiohttp.ClientTimeout(total=None)`, for a request
or a session, does away with that. `idle_timeout` ends a stream in which nothing comes.

Known to this client, and raised as its own exception after all completed events: a body shorter than its Content-Length or
broken off between or inside chunks, a reset of such a body, a malformed chunk, a corrupt compressed body
(`ClientPayloadError`), silence longer than `idle_timeout` (`SocketTimeoutError`). Not known to it: a reset of a body that ends
with the connection. Known to no client: the cut of such a body, or of a compressed one. What aiohttp has received but not
parsed when a fault arrives, as while the consumer is slow and the buffer full, is lost.
"""

from __future__ import annotations

from ..handshake import acheck_response, prepare_decoder, request_headers
from ..reconnect import TRANSIENT_STATUSES, AsyncEventSource, is_refused_certificate, make_source
from ..streams import AsyncEventStream, AsyncOpening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from ..decoder import SSEDecoder
    from ..reconnect import ReconnectionPolicy

__all__ = ["aconnect", "aiter_events", "asubscribe", "is_transient"]

_REDIRECTS = "aiohttp follows redirects unless allow_redirects=False"

# It raises ContentEncodingError for those of them that it lacks a library for.
_DECODABLE = ("gzip", "deflate", "br", "zstd")

_LOOK_EVERY = 0.5  # seconds between two looks at a connection that is silent


def aiter_events(
    response: Any, *, decoder: SSEDecoder | None = None, check: bool = True, idle_timeout: float | None = None
) -> AsyncEventStream:
    """Iterate over the events of an open response of a ClientSession.

    decoder: an SSEDecoder with options of one's own.
    check:   raise StatusError or ContentTypeError at the first event unless the response is an event stream.
    idle_timeout: seconds of waiting without a byte, comments count, after which SocketTimeoutError is raised; None: never.

    A response that has been read with `read` gives the events of its body. Raises TypeError for what is no response of
    aiohttp, ValueError for one whose bytes are gone; the first event raises ResponseError for a Content-Encoding that aiohttp
    does not decode. The response is closed in every other case.
    """
    if not hasattr(response, "request_info") or not hasattr(response, "content"):
        hint = "; await it, or enter it with `async with`" if hasattr(response, "__aenter__") else ""
        raise TypeError(f"aiter_events takes a response of aiohttp, not {type(response).__name__}{hint}")
    stream = AsyncEventStream(_Chunks(response, idle_timeout), decoder=decoder, response=response)
    head = response.status, response.headers, str(response.url)
    decodable = () if "," in response.headers.get("Content-Encoding", "") else _DECODABLE  # one of them, not a list
    stream._check = lambda: acheck_response(stream, *head, check=check, redirects=_REDIRECTS, decodable=decodable)
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
    """Open a stream: an async context manager that sends the request on entering and releases the connection on leaving.

    client:  a ClientSession.
    method, url: of the request.
    decoder, last_event_id: options of one's own, or the ID to resume from; both is a ValueError.
    check:   as in `aiter_events`; it goes before the session's `raise_for_status`.
    idle_timeout: as in `aiter_events`; also the seconds that the headers may take.
    request_options: those of `session.request`: headers, params, data, json, timeout, ...

    Entering raises the client's own exceptions if there is no response, StatusError and ContentTypeError.
    """
    if not hasattr(client, "request") or not hasattr(client, "ws_connect"):
        raise TypeError(f"aconnect takes an aiohttp.ClientSession, not {type(client).__name__}")
    decoder = prepare_decoder(decoder, last_event_id)
    fields = request_headers(request_options.get("headers"), decoder.last_event_id, own=client.headers)
    # aiohttp takes text, and sends it as UTF-8.
    request_options["headers"] = [(name, text.decode() if isinstance(text, bytes) else text) for name, text in fields]
    if check:
        request_options.setdefault("raise_for_status", False)  # the session's would throw the body away

    async def open_stream() -> AsyncEventStream:
        response = await _send(client.request(method, url, **request_options), idle_timeout)
        return aiter_events(response, decoder=decoder, check=check, idle_timeout=idle_timeout)

    return AsyncOpening(open_stream)


def asubscribe(
    client: Any,
    method: str,
    url: Any,
    *,
    make_decoder: Callable[..., SSEDecoder] | None = None,
    policy: ReconnectionPolicy | None = None,
    last_event_id: str = "",
    check: bool = True,
    on_connect: Callable[[AsyncEventStream], object] | None = None,
    on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
    sleep: Callable[[float], Awaitable[object]] | None = None,
    **request_options: Any,
) -> AsyncEventSource:
    """Open a stream that is connected to again whenever it breaks: an `AsyncEventSource` over `aconnect`.

    Options as `reconnect.make_source` explains them, the others as `aconnect` takes them, for each connection.
    """
    return make_source(
        AsyncEventSource,
        lambda decoder: aconnect(client, method, url, decoder=decoder, check=check, **request_options),
        url,
        request_options,
        make_decoder=make_decoder,
        policy=policy,
        last_event_id=last_event_id,
        is_transient=is_transient,
        on_connect=on_connect,
        on_disconnect=on_disconnect,
        sleep=sleep,
    )


def is_transient(error: Exception) -> bool:
    """Return whether an exception is a broken connection: worth another one, and no mistake of the caller.

    True for ClientConnectionError, ClientPayloadError and ClientHttpProxyError of aiohttp, the last one if its status is
    among those that are tried again, for a response that aiohttp cannot parse, for timeouts and OSError; False for a
    certificate or a fingerprint that is refused, and for all others.
    """
    import asyncio

    from aiohttp import ClientConnectionError, ClientHttpProxyError, ClientPayloadError, ServerFingerprintMismatch
    from aiohttp.http import HttpProcessingError

    if isinstance(error, ServerFingerprintMismatch) or is_refused_certificate(error):
        return False
    if isinstance(error, ClientHttpProxyError):
        return error.status in TRANSIENT_STATUSES
    if isinstance(error.__cause__, HttpProcessingError):
        return True  # a ClientResponseError, even if only the first chunk is malformed: both came at once
    # asyncio's TimeoutError, which `total` raises, is no OSError before Python 3.11.
    return isinstance(error, (ClientConnectionError, ClientPayloadError, asyncio.TimeoutError, OSError))


async def _send(request: Any, limit: float | None) -> Any:
    """Return the response; raise SocketTimeoutError if its headers take longer than `limit` seconds."""
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
    """Iterate over the bytes of a response as they come.

    While `readany` waits, a timer looks after the connection now and then: aiohttp lets a reader wait for ever when its parser
    has given up, and has no idle limit that can be set on a response. The timer is armed again only when it has run, so that
    chunks that come fast cost none.
    """

    __slots__ = ("_body", "_closing", "_content", "_idle_timeout", "_loop", "_response", "_seen", "_since", "_timer")

    def __init__(self, response: Any, idle_timeout: float | None) -> None:
        self._response = response
        self._content = content = response.content
        self._body: bytes | None = None  # of a response that has been read
        if content.at_eof() and content.total_bytes:
            self._body = getattr(response, "_body", None)
            if not self._body:
                raise ValueError("this response has been consumed; pass it to aiter_events before anything is read")
        elif response.closed and not content.is_eof():
            raise ValueError("this response has been closed; pass it to aiter_events before that")
        self._idle_timeout = idle_timeout
        self._loop: Any = None
        self._timer: Any = None
        self._since: float | None = None  # when the last byte came, or the wait for it began; None: nobody waits
        self._seen = 0  # how many bytes had come by then
        self._closing = False  # the connection was closing at the last look

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self._body is not None:
            chunk, self._body = self._body, b""
        else:
            chunk = self._rescue() or await self._read()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def _read(self) -> bytes:
        """Return what comes next, b"" at the end."""
        content = self._content
        if self._loop is None:
            from asyncio import get_running_loop

            self._loop = get_running_loop()
        chunk = b""
        while not chunk and not content.at_eof():
            now: float = self._loop.time()
            self._since, self._seen, self._closing = now, _count(content), False
            if self._timer is None:
                self._look_later(now)
            try:
                chunk = await content.readany()
            except Exception as error:
                if self._is_of_parser(error):
                    raise _gone() from error
                raise
            finally:
                self._since = None
        return chunk

    def _rescue(self) -> bytes:
        """Return the bytes that a fault keeps `readany` from returning."""
        fault = self._content.exception()
        if fault is None:
            return b""
        self._content.set_exception(None)
        try:
            rest: bytes = self._content.read_nowait()
        finally:
            self._content.set_exception(fault)
        return rest

    def _look_later(self, since: float) -> None:
        now = self._loop.time()
        delay = _LOOK_EVERY if self._idle_timeout is None else min(_LOOK_EVERY, since + self._idle_timeout - now)
        self._timer = self._loop.call_later(delay, self._look)

    def _look(self) -> None:
        """End the wait if it is hopeless."""
        self._timer = None
        since, now, content = self._since, self._loop.time(), self._content
        if since is None:
            return
        if _count(content) != self._seen:
            self._since = since = now
            self._seen, self._closing = _count(content), False
        elif self._idle_timeout is not None and now - since >= self._idle_timeout:
            content.set_exception(_idle(self._idle_timeout))
            return
        elif self._is_connected():
            self._closing = False
        elif not self._closing:  # at the first look it may be about to report its end
            self._closing = True
        else:
            content.set_exception(_gone())
            return
        self._look_later(since)

    def _is_of_parser(self, error: Exception) -> bool:
        from aiohttp.http import HttpProcessingError

        # The parser in Python raises its own; after the one in C there is a RuntimeError, "Connection closed."
        return isinstance(error, HttpProcessingError) or (isinstance(error, RuntimeError) and not self._is_connected())

    def _is_connected(self) -> bool:
        transport = self._response.connection and self._response.connection.transport
        return bool(transport) and not transport.is_closing()


def _count(content: Any) -> int:
    """Return how many bytes have come; newer releases count them as they were before decompressing."""
    count: int = getattr(content, "total_raw_bytes", content.total_bytes)
    return count


def _idle(limit: float) -> Exception:
    from aiohttp import SocketTimeoutError

    return SocketTimeoutError(f"nothing came for {limit} seconds (idle_timeout)")


def _gone() -> Exception:
    from aiohttp import ClientPayloadError

    return ClientPayloadError("aiohttp has dropped the connection in the middle of the body: it could not parse what came")
