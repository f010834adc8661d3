# SPDX-License-Identifier: MIT
"""Read events with urllib3, 2.2 or later; an older one may hold events back.

    with connect(urllib3.PoolManager(), "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

A broken stream raises `ProtocolError` (cut short, reset, a malformed chunk), `DecodeError` or
`ReadTimeoutError`, after all completed events. The cut of a body that is compressed, or that ends
with the connection, cannot be seen. By default a PoolManager has no timeout, `urllib3.request` one
of 3 seconds; `timeout=60` limits the connecting and each silence. Redirects are followed. Another
thread may close a stream: a read that waits then ends at once.
"""

from __future__ import annotations

from ..handshake import Headers, header_pairs, request_headers, require_check
from ..reconnect import EventSource
from ..streams import EventStream, Opening, check_decoder
from ._errors import is_refused_certificate, is_system_error
from ._request import has, is_module, refuse_client, refuse_options, require_request, start
from ._response import Chunks, check_and_open
from ._source import make_source
from ._urllib3 import decodable, read_promptly, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol, TypedDict

    from typing_extensions import Unpack

    from ..decoder import SSEDecoder
    from ..handshake import Check
    from ..policy import ReconnectionPolicy

    Fields = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]

    class Response(Protocol):
        """What is needed of a response: `urllib3.BaseHTTPResponse`."""

        status: int

        @property
        def headers(self) -> Any: ...
        def stream(self, amt: int | None = ..., decode_content: bool | None = ..., /) -> Any: ...
        def release_conn(self) -> None: ...
        def close(self) -> None: ...

    class Pool(Protocol):
        """What is needed of a client: `urllib3.PoolManager`, a ConnectionPool, the module."""

        def request(self, method: str, url: str, /) -> Response: ...

    class RequestOptions(TypedDict, total=False):
        """Options of `request` but `preload_content`."""

        body: Any
        fields: Any
        json: Any
        timeout: Any
        retries: Any
        redirect: Any
        assert_same_host: Any
        pool_timeout: Any
        release_conn: Any
        chunked: Any
        body_pos: Any
        decode_content: Any
        enforce_content_length: Any


__all__ = ["connect", "is_transient", "iter_events", "subscribe"]

# Of `request`, beside what `urlopen` names.
_OTHER_OPTIONS = "enforce_content_length"

_REDIRECTS = (
    "urllib3 follows redirects with a Location unless redirect=False or retries say otherwise"
)


def iter_events(
    response: Response, *, decoder: SSEDecoder | None = None, check: Check = True
) -> EventStream:
    """Iterate over the events of an open response.

    response: opened with `preload_content=False`, and not read; without, its events come when all
              of it has come. The stream owns it, and closes it at its end, at an error and at
              `close`.
    decoder:  an SSEDecoder with options of one's own; None, the default: one with the default
              options.
    check:    True, the default: a status outside 2xx raises StatusError, a media type other than
              text/event-stream ContentTypeError. "status": the status alone is looked at. False:
              neither.

    Raises TypeError for what is no response of urllib3, ValueError for one that was read in part or
    closed, or for a closed decoder; ResponseError for a compressed body that urllib3 hands out as
    it is. If the check fails, the response is closed. The `url` of an error may be the path alone:
    a response knows no more.
    """
    if (
        isinstance(response, type)
        or not hasattr(response, "release_conn")
        or not hasattr(response, "stream")
    ):
        raise TypeError(f"iter_events takes a response of urllib3, not {type(response)}")
    require_check(check)
    of_response: Any = response
    return _open(response, of_response.geturl() or "", check_decoder(decoder), check)


def connect(
    client: Pool,
    method: str,
    url: str,
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

    client:          a PoolManager, a ProxyManager or a ConnectionPool, or the module `urllib3`
                     itself, which has a PoolManager of its own.
    method:          of the request: "GET", "POST", ...
    url:             of the request; the path alone for a ConnectionPool.
    decoder:         an SSEDecoder with options of one's own, whose `last_event_id` is sent; None,
                     the default: one with the default options.
    last_event_id:   the ID to resume from, sent as Last-Event-ID; "", the default, for none. A
                     Last-Event-ID among the headers is the same.
    check:           True, the default: a status outside 2xx raises StatusError, a media type other
                     than text/event-stream ContentTypeError. "status": the status alone is looked
                     at. False: neither.
    headers:         a mapping or pairs, beside the client's own; None, the default, for none.
                     `Accept: text/event-stream` and `Cache-Control: no-cache` are added, unless
                     there are others. It is not changed.
    request_options: those of `PoolManager.request` but `preload_content`: body, fields, json,
                     timeout, retries, redirect, .... Unless `retries` are given, here or to the
                     client, urllib3's own stop at 3 and do not sleep for a Retry-After, so that 429
                     and 503 are seen at once.

    By default a PoolManager has no timeout, the module one of 3 seconds; `timeout=60` limits the
    connecting and each silence. Redirects are followed. Reading a broken stream raises, after all
    completed events, `ProtocolError` (cut short, reset, a malformed chunk), `DecodeError` or
    `ReadTimeoutError`.

    Raises at the call TypeError for another client and for an unknown option, ValueError for a
    closed decoder and for a decoder together with an ID. Entering raises urllib3's own exceptions
    if there is no response, StatusError, ContentTypeError, and ResponseError for a compressed body
    that urllib3 hands out as it is; nothing is then left open. Leaving closes the stream. It is
    entered once: a second time is a RuntimeError.
    """
    require_request("connect", method, url)
    _require_client(client)
    _refuse_unknown_options(client, request_options)
    decoder, fields = start(decoder, last_event_id, check, headers)
    names = {name.lower() for name, _ in fields}
    fields += [
        (name, value)
        for name, value in header_pairs(getattr(client, "headers", None))
        if name.lower() not in names
    ]
    # urllib3 copies fields as text, and sends it as latin-1: the same bytes.
    sent = Headers(
        (name, value.decode("latin-1") if isinstance(value, bytes) else value)
        for name, value in request_headers(fields, decoder.last_event_id)
    )
    options = {"headers": dict(sent), **_default_retries(client), **request_options}

    def open_stream() -> EventStream:
        send: Any = client.request
        response = send(method, url, preload_content=False, **options)
        return _open(response, _final_url(url, response), decoder, check)

    return Opening(open_stream, is_transient=is_transient)


def subscribe(
    client: Pool,
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
    **request_options: Unpack[RequestOptions],
) -> EventSource:
    """Subscribe: an iterator over the events of a stream that connects again whenever it breaks.

        with subscribe(client, "GET", "https://example.org/events") as source:
            for event in source:
                print(event.data)

    client:          a PoolManager, a ProxyManager or a ConnectionPool, or the module `urllib3`
                     itself, which has a PoolManager of its own.
    method:          of each request: "GET", "POST", ...
    url:             of each request; the path alone for a ConnectionPool.
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
    request_options: those of `PoolManager.request` but `preload_content`: body, fields, json,
                     timeout, retries, redirect, ..., for each request; no body that can be sent
                     only once.

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


def is_transient(error: Exception) -> bool | None:
    """Return whether an exception of urllib3 is a broken connection.

    error: any exception.

    True: it may pass, so that connecting again makes sense. False: it will stay (a refused
    certificate, a malformed URL, too many redirects). None: it is none of this client's.
    """
    from urllib3 import exceptions as errors

    if not isinstance(error, errors.HTTPError):
        return not is_refused_certificate(error) if is_system_error(error) else None
    if isinstance(error, errors.MaxRetryError):
        return error.reason is not None and bool(is_transient(error.reason))
    if isinstance(error, errors.ResponseNotChunked) or is_refused_certificate(error):
        return False
    faults = (
        errors.ProtocolError,
        errors.DecodeError,
        errors.TimeoutError,
        errors.NewConnectionError,
        errors.ProxyError,
        errors.SSLError,
        errors.EmptyPoolError,
    )
    return isinstance(error, faults)


def _require_client(client: Any) -> None:
    fits = has(client, "request", "PoolManager" if is_module(client) else "urlopen")
    if isinstance(client, type) or not fits:
        raise refuse_client(
            "connect", "a urllib3.PoolManager or ConnectionPool, or the module urllib3", client
        )


def _refuse_unknown_options(client: Any, options: Iterable[str]) -> None:
    from urllib3 import HTTPConnectionPool, PoolManager

    own = (HTTPConnectionPool.request, PoolManager.request)
    request: Any = getattr(client, "request", None)
    if is_module(client) or getattr(request, "__func__", None) in own:
        known_by: list[Any] = [HTTPConnectionPool.request, HTTPConnectionPool.urlopen]
        refuse_options("connect", options, known_by, _OTHER_OPTIONS, reserved="preload_content")
    else:  # it adds something of its own
        refuse_options("connect", options, [client.request], reserved="preload_content")


def _open(response: Any, url: str, decoder: SSEDecoder, check: Check) -> EventStream:
    body = getattr(response, "_body", None)  # not `data`, which would read
    chunks = Chunks(
        read_promptly(response) if body is None else iter([body]), lambda: wake(response)
    )
    answer = {
        "status": response.status,
        "headers": response.headers,
        "url": url,
        "redirects": _REDIRECTS,
        "decodable": decodable(response),
    }
    return check_and_open(chunks, response, answer, decoder, check)


def _default_retries(client: Any) -> dict[str, Any]:
    from urllib3.util import Retry

    given = getattr(client, "connection_pool_kw", {}).get(
        "retries", getattr(client, "retries", None)
    )
    if given in (None, Retry.DEFAULT):
        return {"retries": Retry(3, respect_retry_after_header=False)}
    return {}


def _final_url(url: str, response: Any) -> str:
    from urllib.parse import urljoin

    retries = getattr(response, "retries", None)  # a double's has none
    for step in retries.history if retries else ():
        url = urljoin(url, step.redirect_location or "")
    return url
