# SPDX-License-Identifier: MIT
"""Read events with httpx and httpx2, sync and async.

    with connect(client, "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

    async with aconnect(async_client, "GET", "https://example.org/events", timeout=60) as stream:
        async for event in stream:
            print(event.data)

By default httpx ends a stream after 5 seconds without a byte: `timeout=httpx.Timeout(10, read=60)`
sets another limit, `timeout=None` none. Redirects are followed with `follow_redirects=True`.

A broken stream raises `RemoteProtocolError` (cut short, a malformed chunk), `ReadError`,
`ReadTimeout` or `DecodingError`, after all completed events. The cut of a body that is compressed,
or that ends with the connection, cannot be seen.

Another thread may close a stream, another task an async one: a read that waits then ends at once.
Over HTTP/2 it ends with the next bytes, for the connection is shared with other streams; and the
server learns of a stream that was left early when the client is closed. On trio httpx's own
generators may then warn.
"""

from __future__ import annotations

from ..handshake import request_headers, require_check
from ..reconnect import AsyncEventSource, EventSource
from ..streams import (
    AsyncEventStream,
    AsyncOpening,
    EventStream,
    Opening,
    check_decoder,
    close_all,
    type_name,
)
from ._errors import is_refused_certificate, is_system_error
from ._httpx import AsyncChunks, is_compressed_twice, is_shared, read, wake
from ._request import (
    adapter_of,
    has,
    is_module,
    refuse_client,
    refuse_options,
    require_request,
    start,
)
from ._response import Chunks, acheck_and_open, check_and_open, open_and_check_later
from ._source import make_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
    from typing import Any, Protocol, TypedDict

    from typing_extensions import Unpack

    from ..decoder import SSEDecoder
    from ..handshake import Check
    from ..policy import ReconnectionPolicy

    Fields = Mapping[str, str] | Iterable[tuple[str, str]]

    class Response(Protocol):
        """What is needed of a response: `httpx.Response`, of a Client or of an AsyncClient."""

        status_code: int

        @property
        def headers(self) -> Any: ...
        def iter_bytes(self) -> Iterator[bytes]: ...
        def aiter_bytes(self) -> AsyncIterator[bytes]: ...
        def close(self) -> None: ...
        async def aclose(self) -> None: ...

    class Client(Protocol):
        """What is needed of a client: `httpx.Client`, `httpx2.Client`."""

        @property
        def headers(self) -> Any: ...
        def build_request(self, method: str, url: Any, /) -> Any: ...
        def send(self, request: Any, /, *, stream: bool = ...) -> Response: ...
        def close(self) -> None: ...

    class AsyncClient(Protocol):
        """What is needed of an async client: `httpx.AsyncClient`, `httpx2.AsyncClient`."""

        @property
        def headers(self) -> Any: ...
        def build_request(self, method: str, url: Any, /) -> Any: ...
        async def send(self, request: Any, /, *, stream: bool = ...) -> Response: ...
        async def aclose(self) -> None: ...

    class Module(Protocol):
        """What is needed of the module: `httpx`, `httpx2`."""

        @property
        def Client(self) -> Callable[[], Client]: ...  # noqa: N802
        @property
        def AsyncClient(self) -> Callable[[], AsyncClient]: ...  # noqa: N802

    class RequestOptions(TypedDict, total=False):
        """Options of `Client.stream`; the last five with the module alone."""

        params: Any
        content: Any
        data: Any
        files: Any
        json: Any
        cookies: Any
        auth: Any
        follow_redirects: Any
        timeout: Any
        extensions: Any
        cert: Any
        verify: Any
        proxy: Any
        proxies: Any
        trust_env: Any


__all__ = [
    "aconnect",
    "aiter_events",
    "asubscribe",
    "connect",
    "is_transient",
    "iter_events",
    "subscribe",
]

# What the functions of the module give to the client that they make; the rest is the request's.
_CLIENT_OPTIONS = ("cert", "cookies", "proxies", "proxy", "trust_env", "verify")

_SENDING_OPTIONS = ("auth", "follow_redirects")  # of `send`, not of `build_request`


def iter_events(
    response: Response, *, decoder: SSEDecoder | None = None, check: Check = True
) -> EventStream:
    """Iterate over the events of an open response.

    response: of a Client, from `client.stream` or `client.send(..., stream=True)`; one that has
              been read gives the events of its content. The stream owns it, and closes it at its
              end, at an error and at `close`.
    decoder:  an SSEDecoder with options of one's own; None, the default: one with the default
              options.
    check:    True, the default: a status outside 2xx raises StatusError, a media type other than
              text/event-stream ContentTypeError. "status": the status alone is looked at. False:
              neither.

    Raises TypeError for what is no response of httpx or of a sync client, ValueError for one whose
    bytes are gone or for a closed decoder; ResponseError for a compressed body that httpx hands out
    as it is. If the check fails, the response is closed.
    """
    _require_response(response, "iter_events", "__iter__", "aiter_events")
    require_check(check)
    return _open(response, check_decoder(decoder), check)


def aiter_events(
    response: Response, *, decoder: SSEDecoder | None = None, check: Check = True
) -> AsyncEventStream:
    """Iterate over the events of an open response.

    response: of an AsyncClient, from `client.stream` or `client.send(..., stream=True)`; one that
              has been read gives the events of its content. The stream owns it, and closes it at
              its end, at an error and at `aclose`.
    decoder:  an SSEDecoder with options of one's own; None, the default: one with the default
              options.
    check:    True, the default: a status outside 2xx raises StatusError, a media type other than
              text/event-stream ContentTypeError. "status": the status alone is looked at. False:
              neither. It is done at the first event, since it may have to wait for the body of an
              error.

    Raises TypeError for what is no response of httpx or of an async client, ValueError for one
    whose bytes are gone or for a closed decoder; ResponseError for a compressed body that httpx
    hands out as it is. The first event raises what the check finds, and the response is closed.
    """
    _require_response(response, "aiter_events", "__aiter__", "iter_events")
    require_check(check)
    decoder = check_decoder(decoder)
    chunks = AsyncChunks(response)
    return open_and_check_later(chunks, response, _answer(response), decoder, check)


def connect(
    client: Client | Module,
    method: str,
    url: Any,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: Check = True,
    headers: Fields | None = None,
    **request_options: Unpack[RequestOptions],
) -> Opening:
    """Connect: a context manager that sends the request on entering and gives an EventStream.

        with connect(client, "GET", "https://example.org/events") as stream:
            for event in stream:
                print(event.data)

    client:          a Client of httpx or httpx2 (Starlette's TestClient is one), or the module
                     `httpx` or `httpx2` itself, which gets a client of its own.
    method:          of the request: "GET", "POST", ...
    url:             of the request, a str or a URL of the client.
    decoder:         an SSEDecoder with options of one's own, whose `last_event_id` is sent; None,
                     the default: one with the default options.
    last_event_id:   the ID to resume from, sent as Last-Event-ID; "", the default, for none. A
                     Last-Event-ID among the headers is the same.
    check:           True, the default: a status outside 2xx raises StatusError, a media type other
                     than text/event-stream ContentTypeError. "status": the status alone is looked
                     at. False: neither.
    headers:         a mapping or pairs; None, the default, for none. `Accept: text/event-stream`
                     and `Cache-Control: no-cache` are added, unless the headers or the client have
                     others. It is not changed.
    request_options: those of `Client.stream`: params, content, data, files, json, cookies, auth,
                     follow_redirects, timeout, extensions; with the module also cert, verify,
                     proxy, trust_env.

    By default httpx ends a stream after 5 seconds without a byte: `timeout=httpx.Timeout(10,
    read=60)` sets another limit, `timeout=None` none. Redirects are followed with
    `follow_redirects=True`. Reading a broken stream raises, after all completed events,
    `RemoteProtocolError` (cut short, a malformed chunk), `ReadError`, `ReadTimeout` or
    `DecodingError`.

    Raises at the call TypeError for another client and for an unknown option, ValueError for a
    closed decoder and for a decoder together with an ID. Entering raises httpx's own exceptions if
    there is no response, StatusError, ContentTypeError, and ResponseError for a compressed body
    that httpx hands out as it is; nothing is then left open. Leaving closes the stream. It is
    entered once: a second time is a RuntimeError.
    """
    require_request("connect", method, url)
    _require_client(client)
    given: Any = client
    new_client = given.Client if is_module(client) else None
    _refuse_options("connect", new_client or client, request_options)
    decoder, fields = start(decoder, last_event_id, check, headers)
    options: dict[str, Any] = {**request_options}
    making = _take(options, _CLIENT_OPTIONS) if new_client else {}

    def open_stream() -> EventStream:
        own = new_client(**making) if new_client else None
        try:
            sender = own or given
            request, sending = _prepare(sender, method, url, decoder, fields, options)
            return _open(sender.send(request, stream=True, **sending), decoder, check, own)
        except BaseException:
            close_all(own)
            raise

    return Opening(open_stream, is_transient=is_transient)


def aconnect(
    client: AsyncClient,
    method: str,
    url: Any,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: Check = True,
    headers: Fields | None = None,
    **request_options: Unpack[RequestOptions],
) -> AsyncOpening:
    """Connect: an async context manager that sends the request and gives an AsyncEventStream.

        async with aconnect(client, "GET", "https://example.org/events") as stream:
            async for event in stream:
                print(event.data)

    client:          an AsyncClient of httpx or httpx2.
    method:          of the request: "GET", "POST", ...
    url:             of the request, a str or a URL of the client.
    decoder:         an SSEDecoder with options of one's own, whose `last_event_id` is sent; None,
                     the default: one with the default options.
    last_event_id:   the ID to resume from, sent as Last-Event-ID; "", the default, for none. A
                     Last-Event-ID among the headers is the same.
    check:           True, the default: a status outside 2xx raises StatusError, a media type other
                     than text/event-stream ContentTypeError. "status": the status alone is looked
                     at. False: neither.
    headers:         a mapping or pairs; None, the default, for none. `Accept: text/event-stream`
                     and `Cache-Control: no-cache` are added, unless the headers or the client have
                     others. It is not changed.
    request_options: those of `AsyncClient.stream`: params, content, data, files, json, cookies,
                     auth, follow_redirects, timeout, extensions.

    By default httpx ends a stream after 5 seconds without a byte: `timeout=httpx.Timeout(10,
    read=60)` sets another limit, `timeout=None` none. Redirects are followed with
    `follow_redirects=True`. Reading a broken stream raises, after all completed events,
    `RemoteProtocolError` (cut short, a malformed chunk), `ReadError`, `ReadTimeout` or
    `DecodingError`.

    Raises at the call TypeError for another client and for an unknown option, ValueError for a
    closed decoder and for a decoder together with an ID. Entering raises httpx's own exceptions if
    there is no response, StatusError, ContentTypeError, and ResponseError for a compressed body
    that httpx hands out as it is; nothing is then left open. Leaving closes the stream. It is
    entered once: a second time is a RuntimeError.
    """
    require_request("aconnect", method, url)
    _require_async_client(client)
    _refuse_options("aconnect", client, request_options)
    decoder, fields = start(decoder, last_event_id, check, headers)
    options: dict[str, Any] = {**request_options}
    of_client: Any = client

    async def open_stream() -> AsyncEventStream:
        request, sending = _prepare(of_client, method, url, decoder, fields, options)
        response = await of_client.send(request, stream=True, **sending)
        _require_response(response, "aconnect", "__aiter__", "connect")
        chunks = AsyncChunks(response)
        return await acheck_and_open(chunks, response, _answer(response), decoder, check)

    return AsyncOpening(open_stream, is_transient=is_transient)


def subscribe(
    client: Client | Module,
    method: str,
    url: Any,
    *,
    make_decoder: Callable[..., SSEDecoder] | None = None,
    policy: ReconnectionPolicy | None = None,
    last_event_id: str = "",
    check: Check = True,
    is_transient: Callable[[Exception], bool | None] | None = None,
    repeat: bool | None = None,
    on_connect: Callable[[EventStream], object] | None = None,
    on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
    sleep: Callable[[float], object] | None = None,
    headers: Fields | Callable[[], Fields] | None = None,
    **request_options: Unpack[RequestOptions],
) -> EventSource:
    """Subscribe: an iterator over the events of a stream that connects again whenever it breaks.

        with subscribe(client, "GET", "https://example.org/events") as source:
            for event in source:
                print(event.data)

    client:          a Client of httpx or httpx2 (Starlette's TestClient is one), or the module
                     `httpx` or `httpx2` itself, which gets a client of its own.
    method:          of each request: "GET", "POST", ...
    url:             of each request, a str or a URL of the client.
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
    on_connect:      called with the EventStream of each connection before its first event; None,
                     the default: nobody is told.
    on_disconnect:   called after each end or failure, but for `close`, with the exception or None,
                     and the seconds until the next connection or None; None, the default: nobody is
                     told.
    sleep:           waits so many seconds between connections, and cannot be ended by `close`;
                     None, the default: a wait that `close` ends.
    headers:         a mapping or pairs, or a function that gives them for each connection, such as
                     a fresh token; None, the default, for none.
    request_options: those of `Client.stream`: params, content, data, files, json, cookies, auth,
                     follow_redirects, timeout, extensions; with the module also cert, verify,
                     proxy, trust_env, for each request; no body that can be sent only once.

    Raises at the call TypeError for another client, for `decoder` among the options, for a field of
    ReconnectionPolicy among them, and for a body that can be sent only once; ValueError for a
    `check` that is none of these. Reading raises what is not tried again: a status that stays,
    ContentTypeError, an error of the decoder; the last error when the policy gives up; what a
    callback raises. It ends at 204 (WHATWG HTML 9.2.3), at `close`, and after a clean end if the
    policy does not connect again then.
    """
    return make_source(
        EventSource,
        connect,
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
        request_options={**request_options},
    )


def asubscribe(
    client: AsyncClient,
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
    **request_options: Unpack[RequestOptions],
) -> AsyncEventSource:
    """Subscribe: an async iterator over the events of a stream that connects again if it breaks.

        async with asubscribe(client, "GET", "https://example.org/events") as source:
            async for event in source:
                print(event.data)

    client:          an AsyncClient of httpx or httpx2.
    method:          of each request: "GET", "POST", ...
    url:             of each request, a str or a URL of the client.
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
    request_options: those of `AsyncClient.stream`: params, content, data, files, json, cookies,
                     auth, follow_redirects, timeout, extensions, for each request; no body that can
                     be sent only once.

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
        request_options={**request_options},
    )


def is_transient(error: Exception) -> bool | None:
    """Return whether an exception of httpx or httpx2 is a broken connection.

    error: any exception.

    True: it may pass, so that connecting again makes sense. False: it will stay (a refused
    certificate, a malformed URL, too many redirects). None: it is none of this client's.
    """
    names = {
        kind.__name__
        for kind in type(error).__mro__
        if kind.__module__.partition(".")[0] in ("httpx", "httpx2")
    }
    if not names and not is_system_error(error):
        return None
    if names & {"UnsupportedProtocol", "LocalProtocolError"} or is_refused_certificate(error):
        return False
    return not names or bool(names & {"TransportError", "DecodingError"})


def _require_client(client: Any) -> None:
    wanted = "an httpx.Client, or the module httpx"
    if not isinstance(client, type) and hasattr(client, "aclose"):
        raise TypeError(
            f"{type_name(client)} is an async client; pass it to aconnect, or a Client to connect"
        )
    of_client = getattr(client, "Client", None) if is_module(client) else client
    fits = has(of_client, "build_request", "send")
    if not fits or isinstance(client, type):
        raise refuse_client("connect", wanted, client)


def _require_async_client(client: Any) -> None:
    fits = has(client, "build_request", "aclose")
    if not fits or isinstance(client, type):
        sync = hasattr(client, "Client") or hasattr(client, "build_request")
        hint = "connect takes it" if sync else ""
        raise refuse_client("aconnect", "an httpx.AsyncClient", client, hint)


def _refuse_options(function: str, client: Any, options: Iterable[str]) -> None:
    """Refuse unknown options; `client` is a client, or the class of the module's own."""
    known_by = [client.build_request, client.send]
    others = _CLIENT_OPTIONS if isinstance(client, type) else ()
    refuse_options(function, [name for name in options if name not in others], known_by)


def _prepare(
    client: Any,
    method: str,
    url: Any,
    decoder: SSEDecoder,
    fields: list[tuple[str, Any]],
    options: dict[str, Any],
) -> tuple[Any, dict[str, Any]]:
    """Return the request, and the options to send it with."""
    options = dict(options)
    sending = _take(options, _SENDING_OPTIONS)
    headers = request_headers(fields, decoder.last_event_id, own=client.headers)
    return client.build_request(method, url, headers=headers, **options), sending


def _take(options: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: options.pop(name) for name in names if name in options}


def _require_response(response: Any, function: str, side: str, other: str) -> None:
    if (
        isinstance(response, type)
        or not hasattr(response, "aiter_bytes")
        or not hasattr(response, "is_stream_consumed")
    ):
        opened = type_name(response).endswith("ContextManager")
        hint = "; enter it with `with` or `async with`" if opened else ""
        other_adapter = adapter_of(response)
        if not (hint or other_adapter.endswith(".httpx")):
            hint = other_adapter and f"; {other_adapter} takes it"
        raise TypeError(
            f"{function} takes a response of httpx or httpx2, not {type_name(response)}{hint}"
        )
    if not hasattr(response.stream, side):
        raise TypeError(f"this response is of the other kind of client; pass it to {other}")
    if (response.is_stream_consumed or response.is_closed) and not hasattr(response, "_content"):
        raise ValueError(
            f"this response is consumed or closed; pass it to {function} before anything is read"
        )


def _open(
    response: Any, decoder: SSEDecoder, check: Check, own_client: Client | None = None
) -> EventStream:
    # A client of the stream's own goes after the response, together with the chunks.
    owned = () if own_client is None else (response, own_client)
    shared = is_shared(response)
    chunks = Chunks(read(response), lambda: wake(response), *owned, is_shared=shared)
    return check_and_open(chunks, response, _answer(response), decoder, check)


def _answer(response: Any) -> dict[str, Any]:
    """Return what came, as the check of the response takes it."""
    url, decodable = "", ["gzip", "deflate"]
    try:
        url = str(response.url)
        # What else it decodes depends on what is installed: its Accept-Encoding says so.
        asked = response.request.headers.get("Accept-Encoding", "").lower()
        decodable += [coding.partition(";")[0].strip() for coding in asked.split(",")]
    except RuntimeError:  # made by hand, without a request
        pass
    return {
        "status": response.status_code,
        "headers": response.headers,
        "url": url,
        "decodable": () if is_compressed_twice(response) else decodable,
        "redirects": "httpx follows redirects with follow_redirects=True",
    }
