# SPDX-License-Identifier: MIT
"""Read events with pycurl: pulled, also on asyncio, or pushed.

    with connect(pycurl.Curl(), "GET", "https://example.org/events", idle_timeout=60) as stream:
        for event in stream:
            print(event.data)

WRITEFUNCTION and HEADERFUNCTION are the stream's while it is open, FAILONERROR is turned off, all
other options are yours. TIMEOUT would cut the stream; without ACCEPT_ENCODING compressed bodies are
refused, and with it libcurl itself fails (61) on a Content-Encoding that it does not know;
redirects are followed with FOLLOWLOCATION, though not to FTP; streams share connections if SHARE is
a CurlShare with LOCK_DATA_CONNECT.

The transfer runs only while an event is waited for; some 700 KB are held at most, or what they
unfold to. `stream.response` has `status`, `headers` and `url` of the last header block.

A broken stream raises `pycurl.error`, after all completed events: 18 cut short, 28 silent for
`idle_timeout`, 56 reset or malformed, 61 (23 in old libcurl) corrupt when decompressed, 92 reset
over HTTP/2. The cut of a body that is compressed, or that ends with the connection, cannot be seen.

Another thread may close a stream, another task an async one: a read that waits then ends at once,
over HTTP/2 too.
"""

from __future__ import annotations

from functools import partial

from ..handshake import CheckedChunks, require_check
from ..reconnect import AsyncEventSource, EventSource
from ..streams import AsyncEventStream, AsyncOpening, EventStream, Opening, check_decoder, type_name
from ._errors import is_refused_certificate, is_system_error
from ._pycurl import AsyncReader, Reader, Transfer, request_options, require_curl
from ._request import require_request, start
from ._source import make_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Any, NoReturn, Protocol

    from ..decoder import ServerSentEvent, SSEDecoder
    from ..handshake import Check
    from ..policy import ReconnectionPolicy

    Fields = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]

    class Curl(Protocol):
        """What is needed of a handle: `pycurl.Curl`."""

        def setopt(self, option: int, value: Any, /) -> object: ...
        def getinfo(self, info: int, /) -> Any: ...
        def perform(self) -> object: ...


__all__ = [
    "aconnect",
    "aiter_events",
    "asubscribe",
    "connect",
    "is_transient",
    "iter_events",
    "perform",
    "subscribe",
]

# Codes of `pycurl.error`: resolving, connecting, HTTP/2, partial, writing (a corrupt body in old
# libcurl), time-out, TLS, nothing came, sending, receiving, corrupt, HTTP/2 again, HTTP/3, QUIC,
# proxy.
_TRANSIENT = {5, 6, 7, 16, 18, 23, 28, 35, 52, 55, 56, 61, 92, 95, 96, 97}


def iter_events(
    curl: Curl,
    *,
    decoder: SSEDecoder | None = None,
    check: Check = True,
    idle_timeout: float | None = None,
) -> EventStream:
    """Run a handle until the head of its response has come, and iterate over the events.

    curl:         a configured pycurl.Curl, whose URL at least is set. It is the stream's until that
                  is closed, and can then be used again.
    decoder:      an SSEDecoder with options of one's own; None, the default: one with the default
                  options.
    check:        True, the default: a status outside 2xx raises StatusError, a media type other
                  than text/event-stream ContentTypeError. "status": the status alone is looked at.
                  False: neither.
    idle_timeout: seconds without a byte, comments included, until `pycurl.error` 28; None, the
                  default: never.

    Raises TypeError for what is no Curl, ValueError for one that is in use, for a closed decoder
    and for an `idle_timeout` that is not more than 0; `pycurl.error` if there is no response,
    StatusError, ContentTypeError, and ResponseError for a compressed body if ACCEPT_ENCODING is not
    set. No header is added. The handle is free after any error.
    """
    require_curl("iter_events", curl)
    require_check(check)
    return _open(curl, check_decoder(decoder), {}, check, idle_timeout)


def aiter_events(
    curl: Curl,
    *,
    decoder: SSEDecoder | None = None,
    check: Check = True,
    idle_timeout: float | None = None,
) -> AsyncEventStream:
    """Start a handle on asyncio, and iterate over the events; the first waits for the head.

    curl:         a configured pycurl.Curl, whose URL at least is set. It is the stream's until that
                  is closed, and can then be used again.
    decoder:      an SSEDecoder with options of one's own; None, the default: one with the default
                  options.
    check:        True, the default: a status outside 2xx raises StatusError, a media type other
                  than text/event-stream ContentTypeError. "status": the status alone is looked at.
                  False: neither. It is done at the first event.
    idle_timeout: seconds without a byte, comments included, until `pycurl.error` 28; None, the
                  default: never.

    Raises TypeError for what is no Curl, ValueError for one that is in use, for a closed decoder
    and for an `idle_timeout` that is not more than 0; RuntimeError outside asyncio, or on a loop
    without `add_reader`. The first event raises `pycurl.error` if there is no response,
    StatusError, ContentTypeError, and ResponseError for a compressed body if ACCEPT_ENCODING is not
    set. No header is added. The handle is free after any error.
    """
    require_curl("aiter_events", curl)
    require_check(check)
    decoder = check_decoder(decoder)
    reader = AsyncReader(partial(Transfer, curl, {}, check, idle_timeout))
    chunks = CheckedChunks(reader, reader.open)
    return AsyncEventStream(chunks, decoder=decoder, response=reader.transfer.response)


def connect(
    client: Curl,
    method: str,
    url: str,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: Check = True,
    headers: Fields | None = None,
    idle_timeout: float | None = None,
) -> Opening:
    """Connect: a context manager that sends the request on entering and gives an EventStream.

        with connect(client, "GET", "https://example.org/events") as stream:
            for event in stream:
                print(event.data)

    client:        a pycurl.Curl; its POSTFIELDS are the body. URL, CUSTOMREQUEST and HTTPHEADER are
                   set, and stay.
    method:        of the request: "GET", "POST", ...
    url:           of the request.
    decoder:       an SSEDecoder with options of one's own, whose `last_event_id` is sent; None, the
                   default: one with the default options.
    last_event_id: the ID to resume from, sent as Last-Event-ID; "", the default, for none. A
                   Last-Event-ID among the headers is the same.
    check:         True, the default: a status outside 2xx raises StatusError, a media type other
                   than text/event-stream ContentTypeError. "status": the status alone is looked at.
                   False: neither.
    headers:       a mapping or pairs, in place of what HTTPHEADER was; None, the default, for none.
                   `Accept: text/event-stream` and `Cache-Control: no-cache` are added, unless there
                   are others. It is not changed.
    idle_timeout:  seconds without a byte, comments included, until `pycurl.error` 28; None, the
                   default: never.

    TIMEOUT would cut the stream: use `idle_timeout`. Redirects are followed with FOLLOWLOCATION.
    Reading a broken stream raises, after all completed events, `pycurl.error`: 18 cut short, 28
    silent for `idle_timeout`, 56 reset or malformed.

    Raises at the call TypeError for what is no Curl and for header lines as HTTPHEADER takes them,
    ValueError for a method or header of more than one line, for a closed decoder and for a decoder
    together with an ID. Entering raises `pycurl.error` if there is no response, StatusError,
    ContentTypeError, ResponseError for a compressed body if ACCEPT_ENCODING is not set, ValueError
    for a handle in use; the handle is then free. Leaving closes the stream. It is entered once: a
    second time is a RuntimeError.
    """
    require_request("connect", method, url)
    require_curl("connect", client)
    decoder, fields = start(decoder, last_event_id, check, _require_pairs(headers))
    options = request_options(method, url, fields, decoder.last_event_id)
    return Opening(
        lambda: _open(client, decoder, options, check, idle_timeout), is_transient=is_transient
    )


def aconnect(
    client: Curl,
    method: str,
    url: str,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: Check = True,
    headers: Fields | None = None,
    idle_timeout: float | None = None,
) -> AsyncOpening:
    """Connect: an async context manager that sends the request and gives an AsyncEventStream.

        async with aconnect(client, "GET", "https://example.org/events") as stream:
            async for event in stream:
                print(event.data)

    client:        a pycurl.Curl; its POSTFIELDS are the body. URL, CUSTOMREQUEST and HTTPHEADER are
                   set, and stay.
    method:        of the request: "GET", "POST", ...
    url:           of the request.
    decoder:       an SSEDecoder with options of one's own, whose `last_event_id` is sent; None, the
                   default: one with the default options.
    last_event_id: the ID to resume from, sent as Last-Event-ID; "", the default, for none. A
                   Last-Event-ID among the headers is the same.
    check:         True, the default: a status outside 2xx raises StatusError, a media type other
                   than text/event-stream ContentTypeError. "status": the status alone is looked at.
                   False: neither.
    headers:       a mapping or pairs, in place of what HTTPHEADER was; None, the default, for none.
                   `Accept: text/event-stream` and `Cache-Control: no-cache` are added, unless there
                   are others. It is not changed.
    idle_timeout:  seconds without a byte, comments included, until `pycurl.error` 28; None, the
                   default: never.

    TIMEOUT would cut the stream: use `idle_timeout`. Redirects are followed with FOLLOWLOCATION.
    Reading a broken stream raises, after all completed events, `pycurl.error`: 18 cut short, 28
    silent for `idle_timeout`, 56 reset or malformed.

    Raises at the call TypeError for what is no Curl and for header lines as HTTPHEADER takes them,
    ValueError for a method or header of more than one line, for a closed decoder and for a decoder
    together with an ID. Entering raises `pycurl.error` if there is no response, StatusError,
    ContentTypeError, ResponseError for a compressed body if ACCEPT_ENCODING is not set, ValueError
    for a handle in use, RuntimeError outside asyncio, or on a loop without `add_reader`; the handle
    is then free. Leaving closes the stream. It is entered once: a second time is a RuntimeError.
    """
    require_request("aconnect", method, url)
    require_curl("aconnect", client)
    decoder, fields = start(decoder, last_event_id, check, _require_pairs(headers))
    options = request_options(method, url, fields, decoder.last_event_id)

    async def open_stream() -> AsyncEventStream:
        reader = AsyncReader(partial(Transfer, client, options, check, idle_timeout))
        try:
            await reader.open()
        except BaseException:
            reader.close()
            raise
        return AsyncEventStream(reader, decoder=decoder, response=reader.transfer.response)

    return AsyncOpening(open_stream, is_transient=is_transient)


def subscribe(
    client: Curl,
    method: str,
    url: str,
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
    idle_timeout: float | None = None,
    **other_options: NoReturn,
) -> EventSource:
    """Subscribe: an iterator over the events of a stream that connects again whenever it breaks.

        with subscribe(client, "GET", "https://example.org/events") as source:
            for event in source:
                print(event.data)

    client:        a pycurl.Curl; its POSTFIELDS are the body. URL, CUSTOMREQUEST and HTTPHEADER are
                   set, and stay.
    method:        of each request: "GET", "POST", ...
    url:           of each request.
    make_decoder:  called as `make_decoder(last_event_id=...)` for each connection, returns its
                   SSEDecoder, as `functools.partial(SSEDecoder, incomplete="discard")` does;
                   None, the default, is that: what is cut off comes again after resuming.
    policy:        a ReconnectionPolicy: when to connect again, and when to give up. None, the
                   default: after 1 second, then 2, 4 and up to 30, each with a random share on top;
                   it gives up after 8 further connections in a row that came to nothing.
    last_event_id: the ID to resume from at first, sent as Last-Event-ID; "", the default, for none.
                   A Last-Event-ID among the headers is the same.
    check:         True, the default: a status outside 2xx raises StatusError, a media type other
                   than text/event-stream ContentTypeError. "status": the status alone is looked at.
                   False: neither.
    is_transient:  asked first about every exception of a connection: True, connect again; False,
                   raise it; None, as usual. None, the default: nobody is asked, and this adapter's
                   own `is_transient` decides.
    repeat:        whether the request may be sent again once its connection has given an event and
                   no ID to resume from. None, the default: GET and HEAD may, others may not (RFC
                   9110, 9.2.2).
    on_connect:    called with the EventStream of each connection before its first event; None, the
                   default: nobody is told.
    on_disconnect: called after each end or failure, but for `close`, with the exception or None,
                   and the seconds until the next connection or None; None, the default: nobody is
                   told.
    sleep:         waits so many seconds between connections, and cannot be ended by `close`; None,
                   the default: a wait that `close` ends.
    headers:       a mapping or pairs, or a function that gives them for each connection, such as a
                   fresh token; in place of what HTTPHEADER was; None, the default, for none.
    idle_timeout:  seconds without a byte, comments included, until `pycurl.error` 28; None, the
                   default: never.
    other_options: there are none; a field of ReconnectionPolicy is refused in words.

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
        request_options={"idle_timeout": idle_timeout, **other_options},
    )


def asubscribe(
    client: Curl,
    method: str,
    url: str,
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
    **other_options: NoReturn,
) -> AsyncEventSource:
    """Subscribe: an async iterator over the events of a stream that connects again if it breaks.

        async with asubscribe(client, "GET", "https://example.org/events") as source:
            async for event in source:
                print(event.data)

    client:        a pycurl.Curl; its POSTFIELDS are the body. URL, CUSTOMREQUEST and HTTPHEADER are
                   set, and stay.
    method:        of each request: "GET", "POST", ...
    url:           of each request.
    make_decoder:  called as `make_decoder(last_event_id=...)` for each connection, returns its
                   SSEDecoder, as `functools.partial(SSEDecoder, incomplete="discard")` does;
                   None, the default, is that: what is cut off comes again after resuming.
    policy:        a ReconnectionPolicy: when to connect again, and when to give up. None, the
                   default: after 1 second, then 2, 4 and up to 30, each with a random share on top;
                   it gives up after 8 further connections in a row that came to nothing.
    last_event_id: the ID to resume from at first, sent as Last-Event-ID; "", the default, for none.
                   A Last-Event-ID among the headers is the same.
    check:         True, the default: a status outside 2xx raises StatusError, a media type other
                   than text/event-stream ContentTypeError. "status": the status alone is looked at.
                   False: neither.
    is_transient:  asked first about every exception of a connection: True, connect again; False,
                   raise it; None, as usual. None, the default: nobody is asked, and this adapter's
                   own `is_transient` decides.
    repeat:        whether the request may be sent again once its connection has given an event and
                   no ID to resume from. None, the default: GET and HEAD may, others may not (RFC
                   9110, 9.2.2).
    on_connect:    called with the AsyncEventStream of each connection before its first event; it
                   may be an `async def`; None, the default: nobody is told.
    on_disconnect: called after each end or failure, but for `aclose`, with the exception or None,
                   and the seconds until the next connection or None; it may be an `async def`;
                   None, the default: nobody is told.
    sleep:         an async function that waits so many seconds between connections; None, the
                   default: the event loop's own wait, asyncio's or trio's.
    headers:       a mapping or pairs, or a function that gives them for each connection, such as a
                   fresh token; it may be an `async def`; None, the default, for none.
    idle_timeout:  seconds without a byte, comments included, until `pycurl.error` 28; None, the
                   default: never.
    other_options: there are none; a field of ReconnectionPolicy is refused in words.

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
        request_options={"idle_timeout": idle_timeout, **other_options},
    )


def perform(
    curl: Curl,
    on_event: Callable[[ServerSentEvent], object],
    *,
    decoder: SSEDecoder | None = None,
    check: Check = True,
    idle_timeout: float | None = None,
) -> SSEDecoder:
    """Run a handle to the end of its stream, and push each event; return the closed decoder.

    curl:         a configured pycurl.Curl, whose URL at least is set. It is in use meanwhile.
    on_event:     called with each event, between the rounds of the loop. What it raises stops the
                  transfer and passes through.
    decoder:      an SSEDecoder with options of one's own; None, the default: one with the default
                  options.
    check:        True, the default: a status outside 2xx raises StatusError, a media type other
                  than text/event-stream ContentTypeError. "status": the status alone is looked at.
                  False: neither.
    idle_timeout: seconds without a byte, comments included, until `pycurl.error` 28; None, the
                  default: never.

    Raises as `iter_events` and its stream do: TypeError for what is no Curl or cannot be called,
    ValueError, `pycurl.error`, StatusError, ContentTypeError, ResponseError, and the decoder's
    errors. The handle is free afterwards.
    """
    if not callable(on_event):
        raise TypeError(f"on_event must be callable with an event, not {type_name(on_event)}")
    with iter_events(curl, decoder=decoder, check=check, idle_timeout=idle_timeout) as stream:
        for event in stream:
            on_event(event)
    return stream.decoder


def is_transient(error: Exception) -> bool | None:
    """Return whether an exception of pycurl is a broken connection.

    error: any exception.

    True: it may pass, so that connecting again makes sense. False: it will stay (a refused
    certificate, a malformed URL, a mistaken option). None: it is none of this client's.
    """
    if type(error).__module__ == "pycurl":
        return bool(error.args) and error.args[0] in _TRANSIENT
    return not is_refused_certificate(error) if is_system_error(error) else None


def _open(
    curl: Any,
    decoder: SSEDecoder,
    options: dict[int, Any],
    check: Check,
    idle_timeout: float | None,
) -> EventStream:
    reader = Reader(partial(Transfer, curl, options, check, idle_timeout))
    return EventStream(reader, decoder=decoder, response=reader.transfer.response)


def _require_pairs(headers: Any) -> Any:
    if headers is None or hasattr(headers, "items"):
        return headers
    headers = [*headers]
    if any(isinstance(field, (str, bytes)) for field in headers):
        raise TypeError("headers must be a mapping or pairs, not lines as HTTPHEADER takes them")
    return headers
