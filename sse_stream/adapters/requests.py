# SPDX-License-Identifier: MIT
"""Read events with requests.

    with connect(requests.Session(), "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

A broken stream raises `ChunkedEncodingError` (cut short, reset, a malformed chunk),
`ContentDecodingError` or, after the read timeout, `ConnectionError`, after all completed events.
The cut of a body that is compressed, or that ends with the connection, cannot be seen. There is no
timeout by default; `timeout=60` limits the connecting and each silence. Redirects are followed.
Another thread may close a stream: a read that waits then ends at once (urllib3 2.2 or later
beneath).
"""

from __future__ import annotations

from ..handshake import request_headers, require_check
from ..reconnect import EventSource
from ..streams import EventStream, Opening, check_decoder
from ._errors import is_refused_certificate, is_system_error
from ._request import has, is_module, refuse_client, refuse_options, require_request, start
from ._response import Chunks, check_and_open
from ._source import make_source
from ._urllib3 import decodable, read_promptly, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, Protocol, TypedDict

    from typing_extensions import Unpack

    from ..decoder import SSEDecoder
    from ..handshake import Check
    from ..policy import ReconnectionPolicy

    Fields = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]

    class Response(Protocol):
        """What is needed of a response: `requests.Response`."""

        status_code: int
        headers: Any
        raw: Any

        def iter_content(self, chunk_size: int | None = ..., /) -> Iterator[Any]: ...
        def close(self) -> None: ...

    class Session(Protocol):
        """What is needed of a client: `requests.Session`."""

        headers: Any

        def request(self, method: str, url: str, /) -> Response: ...
        def get_adapter(self, url: str, /) -> Any: ...

    class Module(Protocol):
        """What is needed of the module: `requests`."""

        @property
        def Session(self) -> Callable[[], Session]: ...  # noqa: N802
        def request(self, method: str, url: str, /) -> Response: ...

    class RequestOptions(TypedDict, total=False):
        """Options of `Session.request` but `stream`."""

        params: Any
        data: Any
        json: Any
        files: Any
        cookies: Any
        auth: Any
        timeout: Any
        allow_redirects: Any
        proxies: Any
        hooks: Any
        verify: Any
        cert: Any


__all__ = ["connect", "is_transient", "iter_events", "subscribe"]

_REDIRECTS = "requests follows redirects with a Location unless allow_redirects=False was passed"


def iter_events(
    response: Response, *, decoder: SSEDecoder | None = None, check: Check = True
) -> EventStream:
    """Iterate over the events of an open response.

    response: opened with `stream=True`, and not read; without, its events come when all of it has
              come. The stream owns it, and closes it at its end, at an error and at `close`.
    decoder:  an SSEDecoder with options of one's own; None, the default: one with the default
              options.
    check:    True, the default: a status outside 2xx raises StatusError, a media type other than
              text/event-stream ContentTypeError. "status": the status alone is looked at. False:
              neither.

    Raises TypeError for what is no response of requests, ValueError for one that was read in part
    or closed, or for a closed decoder; ResponseError for a compressed body that requests hands out
    as it is. If the check fails, the response is closed.
    """
    if (
        isinstance(response, type)
        or not hasattr(response, "iter_content")
        or not hasattr(response, "raw")
    ):
        raise TypeError(f"iter_events takes a response of requests, not {type(response)}")
    require_check(check)
    decoder = check_decoder(decoder)
    chunks = Chunks(_chunks(response), lambda: wake(response.raw))
    answer = {
        "status": response.status_code,
        "headers": response.headers,
        "url": getattr(response, "url", None) or "",
        "redirects": _REDIRECTS,
        "decodable": decodable(response.raw),
    }
    return check_and_open(chunks, response, answer, decoder, check)


def connect(
    client: Session | Module,
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

    client:          a Session, or the module `requests` itself, which opens one for the request.
    method:          of the request: "GET", "POST", ...
    url:             of the request.
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
    request_options: those of `Session.request` but `stream`: params, data, json, cookies, files,
                     auth, timeout, allow_redirects, proxies, hooks, verify, cert.

    There is no timeout by default; `timeout=60` limits the connecting and each silence. Redirects
    are followed. Reading a broken stream raises, after all completed events, `ChunkedEncodingError`
    (cut short, reset, a malformed chunk), `ContentDecodingError` or, after the timeout,
    `ConnectionError`.

    Raises at the call TypeError for another client and for an unknown option, ValueError for a
    closed decoder and for a decoder together with an ID. Entering raises requests' own exceptions
    if there is no response, StatusError, ContentTypeError, and ResponseError for a compressed body
    that requests hands out as it is; nothing is then left open. Leaving closes the stream. It is
    entered once: a second time is a RuntimeError.
    """
    require_request("connect", method, url)
    _require_client(client)
    of_client: Any = client
    send = of_client.Session.request if is_module(client) else of_client.request
    refuse_options("connect", request_options, [send], reserved="stream")
    decoder, fields = start(decoder, last_event_id, check, headers)
    own = getattr(client, "headers", None)
    sent = dict(request_headers(fields, decoder.last_event_id, own=own))

    def open_stream() -> EventStream:
        response = of_client.request(method, url, headers=sent, stream=True, **request_options)
        return iter_events(response, decoder=decoder, check=check)

    return Opening(open_stream, is_transient=is_transient)


def subscribe(
    client: Session | Module,
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

    client:          a Session, or the module `requests` itself, which opens one for the request.
    method:          of each request: "GET", "POST", ...
    url:             of each request.
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
    request_options: those of `Session.request` but `stream`: params, data, json, cookies, files,
                     auth, timeout, allow_redirects, proxies, hooks, verify, cert, for each request;
                     no body that can be sent only once.

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
    """Return whether an exception of requests is a broken connection.

    error: any exception.

    True: it may pass, so that connecting again makes sense. False: it will stay (a refused
    certificate, a malformed URL, too many redirects). None: it is none of this client's.
    """
    from requests import exceptions as errors

    if isinstance(error, errors.RequestException):
        faults = (
            errors.ConnectionError,
            errors.Timeout,
            errors.ChunkedEncodingError,
            errors.ContentDecodingError,
        )
        return isinstance(error, faults) and not is_refused_certificate(error)
    return not is_refused_certificate(error) if is_system_error(error) else None


def _require_client(client: Any) -> None:
    from inspect import iscoroutinefunction

    wanted = "a requests.Session, or the module requests"
    fits = has(client, "request", "Session" if is_module(client) else "get_adapter")
    if isinstance(client, type) or not fits:
        raise refuse_client("connect", wanted, client)
    if iscoroutinefunction(client.request):
        raise refuse_client("connect", wanted, client, "its requests have to be awaited")


def _chunks(response: Any) -> Iterator[bytes]:
    if getattr(response, "_content", False) is not False:  # read to its end; nothing else says so
        return iter([response.content or b""])
    raw = response.raw
    if hasattr(raw, "stream"):
        return _translate(read_promptly(raw))
    if raw is None or (hasattr(raw, "tell") and raw.tell()):
        raise ValueError("there is nothing beneath this response; was it read or closed already?")
    chunks: Iterator[bytes] = response.iter_content(65536)  # of a double
    return chunks


def _translate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Raise the exceptions of requests for those of urllib3 beneath, as requests does."""
    from requests import exceptions as own
    from urllib3 import exceptions as errors

    try:
        yield from chunks
    except errors.ProtocolError as error:
        raise own.ChunkedEncodingError(error) from error
    except errors.DecodeError as error:
        raise own.ContentDecodingError(error) from error
    except errors.ReadTimeoutError as error:
        raise own.ConnectionError(error) from error
    except errors.SSLError as error:
        raise own.SSLError(error) from error
