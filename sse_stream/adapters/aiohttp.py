# SPDX-License-Identifier: MIT
"""Read events with aiohttp.

    timeout = aiohttp.ClientTimeout(total=None)
    async with aconnect(session, "GET", url, timeout=timeout, idle_timeout=60) as stream:
        async for event in stream:
            print(event.data)

By default aiohttp ends every stream after 5 minutes, hence the `timeout`, for a request or a
session. Redirects are followed.

A broken stream raises `ClientPayloadError` or, after `idle_timeout`, `SocketTimeoutError`, after
all completed events; what aiohttp has not parsed when a fault comes is lost. The cut of a body that
is compressed cannot be seen, nor can a reset where the body ends with the connection.

Another task may close a stream: a read that waits then ends at once.
"""

from __future__ import annotations

from ..handshake import request_headers, require_check
from ..policy import TRANSIENT_STATUSES
from ..reconnect import AsyncEventSource
from ..streams import AsyncEventStream, AsyncOpening, check_decoder, type_name
from ._aiohttp import Chunks, send
from ._errors import is_refused_certificate, is_system_error
from ._request import adapter_of, has, refuse_client, refuse_options, require_request, start
from ._response import acheck_and_open, open_and_check_later
from ._source import make_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Any, Protocol, TypedDict

    from typing_extensions import Unpack

    from ..decoder import SSEDecoder
    from ..handshake import Check
    from ..policy import ReconnectionPolicy

    Fields = Mapping[str, str] | Iterable[tuple[str, str]]

    class Response(Protocol):
        """What is needed of a response: `aiohttp.ClientResponse`."""

        status: int
        content: Any

        @property
        def headers(self) -> Any: ...
        @property
        def request_info(self) -> Any: ...
        def close(self) -> None: ...

    class Session(Protocol):
        """What is needed of a client: `aiohttp.ClientSession`, also that of its TestClient."""

        def request(self, method: str, url: Any, /) -> Awaitable[Response]: ...
        def ws_connect(self, url: Any, /) -> Any: ...

    class RequestOptions(TypedDict, total=False):
        """Options of `ClientSession.request`."""

        params: Any
        data: Any
        json: Any
        cookies: Any
        auth: Any
        timeout: Any
        allow_redirects: Any
        max_redirects: Any
        compress: Any
        chunked: Any
        expect100: Any
        raise_for_status: Any
        read_until_eof: Any
        proxy: Any
        proxy_auth: Any
        proxy_headers: Any
        ssl: Any
        ssl_context: Any
        verify_ssl: Any
        fingerprint: Any
        server_hostname: Any
        skip_auto_headers: Any
        trace_request_ctx: Any
        read_bufsize: Any
        auto_decompress: Any
        max_line_size: Any
        max_field_size: Any
        middlewares: Any


__all__ = ["aconnect", "aiter_events", "asubscribe", "is_transient"]


def aiter_events(
    response: Response,
    *,
    decoder: SSEDecoder | None = None,
    check: Check = True,
    idle_timeout: float | None = None,
) -> AsyncEventStream:
    """Iterate over the events of an open response.

    response:     of a ClientSession; one that has been read gives the events of its body. The
                  stream owns it, and closes it at its end, at an error and at `aclose`.
    decoder:      an SSEDecoder with options of one's own; None, the default: one with the default
                  options.
    check:        True, the default: a status outside 2xx raises StatusError, a media type other
                  than text/event-stream ContentTypeError. "status": the status alone is looked at.
                  False: neither. It is done at the first event, since it may have to wait for the
                  body of an error.
    idle_timeout: seconds without a byte, comments included, until `SocketTimeoutError`; None, the
                  default: never.

    Raises TypeError for what is no response of aiohttp, ValueError for one whose bytes are gone or
    for a closed decoder, RuntimeError without a running event loop; ResponseError for a compressed
    body that aiohttp hands out as it is. The first event raises what the check finds, and the
    response is closed.
    """
    if (
        isinstance(response, type)
        or not hasattr(response, "request_info")
        or not hasattr(response, "content")
    ):
        other_adapter = adapter_of(response)
        hint = other_adapter and f"; {other_adapter} takes it"
        if other_adapter.endswith(".aiohttp"):
            hint = "; await it, or enter it with `async with`"
        raise TypeError(
            f"aiter_events takes a response of aiohttp, not {type_name(response)}{hint}"
        )
    require_check(check)
    decoder = check_decoder(decoder)
    chunks = Chunks(response, idle_timeout)
    return open_and_check_later(chunks, response, _answer(response), decoder, check)


def aconnect(
    client: Session,
    method: str,
    url: Any,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: Check = True,
    headers: Fields | None = None,
    idle_timeout: float | None = None,
    **request_options: Unpack[RequestOptions],
) -> AsyncOpening:
    """Connect: an async context manager that sends the request and gives an AsyncEventStream.

        async with aconnect(client, "GET", "https://example.org/events") as stream:
            async for event in stream:
                print(event.data)

    client:          an aiohttp.ClientSession, or the TestClient of aiohttp.test_utils.
    method:          of the request: "GET", "POST", ...
    url:             of the request, a str or a yarl.URL.
    decoder:         an SSEDecoder with options of one's own, whose `last_event_id` is sent; None,
                     the default: one with the default options.
    last_event_id:   the ID to resume from, sent as Last-Event-ID; "", the default, for none. A
                     Last-Event-ID among the headers is the same.
    check:           True, the default: a status outside 2xx raises StatusError, a media type other
                     than text/event-stream ContentTypeError. "status": the status alone is looked
                     at. False: neither.
    headers:         a mapping or pairs; None, the default, for none. `Accept: text/event-stream`
                     and `Cache-Control: no-cache` are added, unless the headers or the session have
                     others. It is not changed.
    idle_timeout:    seconds without a byte, comments included, until `SocketTimeoutError`; it also
                     limits the wait for the headers. None, the default: never.
    request_options: those of `ClientSession.request`: params, data, json, cookies, auth, timeout,
                     allow_redirects, proxy, ssl, .... `raise_for_status` of the session goes behind
                     `check`.

    By default aiohttp ends every stream after 5 minutes; with `timeout=ClientTimeout(total=None)`
    it does not. Redirects are followed. Reading a broken stream raises, after all completed events,
    `ClientPayloadError` or, after `idle_timeout`, `SocketTimeoutError`.

    Raises at the call TypeError for another client and for an unknown option, ValueError for a
    closed decoder and for a decoder together with an ID. Entering raises aiohttp's own exceptions
    if there is no response, StatusError, ContentTypeError, and ResponseError for a compressed body
    that aiohttp hands out as it is; nothing is then left open. Leaving closes the stream. It is
    entered once: a second time is a RuntimeError.
    """
    require_request("aconnect", method, url)
    _require_client(client)
    session: Any = getattr(client, "session", client)  # of a TestClient
    refuse_options("aconnect", request_options, [getattr(session, "_request", session.request)])
    decoder, fields = start(decoder, last_event_id, check, headers)
    # aiohttp sends text as UTF-8.
    sent = [
        (name, text.decode() if isinstance(text, bytes) else text)
        for name, text in request_headers(fields, decoder.last_event_id, own=session.headers)
    ]
    options = dict(request_options)
    if check:
        options.setdefault("raise_for_status", False)  # the session's would lose the body

    async def open_stream() -> AsyncEventStream:
        request: Any = client.request
        response = await send(request(method, url, headers=sent, **options), idle_timeout)
        chunks = Chunks(response, idle_timeout)
        return await acheck_and_open(chunks, response, _answer(response), decoder, check)

    return AsyncOpening(open_stream, is_transient=is_transient)


def asubscribe(
    client: Session,
    method: str,
    url: Any,
    *,
    make_decoder: Callable[..., SSEDecoder] | None = None,
    policy: ReconnectionPolicy | None = None,
    last_event_id: str = "",
    check: Check = True,
    is_transient: Callable[[Exception], bool | None] | None = None,
    repeat: bool | None = None,
    on_connect: Callable[[AsyncEventStream], object] | None = None,
    on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
    sleep: Callable[[float], Awaitable[object]] | None = None,
    headers: Fields | Callable[[], Fields | Awaitable[Fields]] | None = None,
    idle_timeout: float | None = None,
    **request_options: Unpack[RequestOptions],
) -> AsyncEventSource:
    """Subscribe: an async iterator over the events of a stream that connects again if it breaks.

        async with asubscribe(client, "GET", "https://example.org/events") as source:
            async for event in source:
                print(event.data)

    client:          an aiohttp.ClientSession, or the TestClient of aiohttp.test_utils.
    method:          of each request: "GET", "POST", ...
    url:             of each request, a str or a yarl.URL.
    make_decoder:    called as `make_decoder(last_event_id=...)` for each connection, returns its
                     SSEDecoder, as `functools.partial(SSEDecoder, incomplete="discard")` does;
                     None, the default, is that: what is cut off comes again after resuming.
    policy:          a ReconnectionPolicy: when to connect again, and when to give up. None, the
                     default: after 1 second, then 2, 4 and up to 30, each with a random share on
                     top; it gives up after 8 further connections in a row that came to nothing.
    last_event_id:   the ID to resume from at first, sent as Last-Event-ID; "", the default, for
                     none. A Last-Event-ID among the headers is the same.
    check:           True, the default: a status outside 2xx raises StatusError, a media type other
                     than text/event-stream ContentTypeError. "status": the status alone is looked
                     at. False: neither.
    is_transient:    asked first about every exception of a connection: True, connect again; False,
                     raise it; None, as usual. None, the default: nobody is asked, and this
                     adapter's own `is_transient` decides.
    repeat:          whether the request may be sent again once its connection has given an event
                     and no ID to resume from. None, the default: GET and HEAD may, others may not
                     (RFC 9110, 9.2.2).
    on_connect:      called with the AsyncEventStream of each connection before its first event; it
                     may be an `async def`; None, the default: nobody is told.
    on_disconnect:   called after each end or failure, but for `aclose`, with the exception or None,
                     and the seconds until the next connection or None; it may be an `async def`;
                     None, the default: nobody is told.
    sleep:           an async function that waits so many seconds between connections; None, the
                     default: the event loop's own wait, asyncio's or trio's.
    headers:         a mapping or pairs, or a function that gives them for each connection, such as
                     a fresh token; it may be an `async def`; None, the default, for none.
    idle_timeout:    seconds without a byte, comments included, until `SocketTimeoutError`; it also
                     limits the wait for the headers. None, the default: never.
    request_options: those of `ClientSession.request`: params, data, json, cookies, auth, timeout,
                     allow_redirects, proxy, ssl, ..., for each request; no body that can be sent
                     only once. `raise_for_status` of the session goes behind `check`.

    Raises at the call TypeError for another client, for `decoder` among the options, for a field of
    ReconnectionPolicy among them, and for a body that can be sent only once; ValueError for a
    `check` that is none of these. Reading raises what is not tried again: a status that stays,
    ContentTypeError, an error of the decoder; the last error when the policy gives up; what a
    callback raises. It ends at 204 (WHATWG HTML 9.2.3), at `aclose`, and after a clean end if the
    policy does not connect again then.
    """
    return make_source(
        AsyncEventSource,
        aconnect,
        client,
        method,
        url,
        make_decoder=make_decoder,
        policy=policy,
        last_event_id=last_event_id,
        check=check,
        is_transient=is_transient,
        repeat=repeat,
        on_connect=on_connect,
        on_disconnect=on_disconnect,
        sleep=sleep,
        headers=headers,
        request_options={"idle_timeout": idle_timeout, **request_options},
    )


def is_transient(error: Exception) -> bool | None:
    """Return whether an exception of aiohttp is a broken connection.

    error: any exception.

    True: it may pass, so that connecting again makes sense. False: it will stay (a refused
    certificate, a malformed URL, too many redirects). None: it is none of this client's.
    """
    import asyncio

    from aiohttp import (
        ClientConnectionError,
        ClientError,
        ClientHttpProxyError,
        ClientPayloadError,
        ServerFingerprintMismatch,
    )
    from aiohttp.http import HttpProcessingError

    # asyncio's TimeoutError, which `total` raises, is no OSError before Python 3.11.
    if isinstance(error, asyncio.TimeoutError) or is_system_error(error):
        return not is_refused_certificate(error)
    if not isinstance(error, (ClientError, HttpProcessingError)):
        return None
    if isinstance(error, ServerFingerprintMismatch) or is_refused_certificate(error):
        return False
    if isinstance(error, ClientHttpProxyError):
        return error.status in TRANSIENT_STATUSES
    faults = (ClientConnectionError, ClientPayloadError)
    was_not_parsed = isinstance(error.__cause__, HttpProcessingError)
    return isinstance(error, faults) or was_not_parsed


def _require_client(client: Any) -> None:
    fits = has(client, "request", "ws_connect")
    if not fits or isinstance(client, type):
        raise refuse_client("aconnect", "an aiohttp.ClientSession", client)


def _answer(response: Any) -> dict[str, Any]:
    """Return what came, as the check of the response takes it."""
    codings = response.headers.get("Content-Encoding", "")
    return {
        "status": response.status,
        "headers": response.headers,
        "url": str(response.url),
        "redirects": "aiohttp follows redirects unless allow_redirects=False",
        # One, not a list; aiohttp raises ContentEncodingError if it lacks the library.
        "decodable": () if "," in codings else ("gzip", "deflate", "br", "zstd"),
    }
