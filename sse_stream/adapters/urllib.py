# SPDX-License-Identifier: MIT
"""Read events with `urllib.request`, and from responses of `http.client`.

    with connect(None, "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

A broken stream raises `http.client.IncompleteRead` (cut short, a malformed chunk),
`ConnectionResetError` or `TimeoutError`, after all completed events. The cut of a body that ends
with the connection cannot be seen. There is no timeout by default; `timeout=60` limits the
connecting and each silence. Redirects of GET and HEAD are followed, and some of POST. Compression
is neither asked for nor undone. Another thread may close a stream: a read that waits then ends at
once.
"""

from __future__ import annotations

from functools import partial

from ..handshake import request_headers, require_check, shown_url
from ..reconnect import EventSource
from ..streams import EventStream, Opening, check_decoder, type_name
from ._errors import is_refused_certificate, is_system_error
from ._request import is_module, refuse_client, require_request, start
from ._response import Chunks, check_and_open, shut_down
from ._source import make_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, NoReturn, Protocol
    from urllib.request import OpenerDirector, Request

    from ..decoder import SSEDecoder
    from ..handshake import Check
    from ..policy import ReconnectionPolicy

    Fields = Mapping[str, str] | Iterable[tuple[str, str]]

    class Response(Protocol):
        """What is needed of a response: `http.client.HTTPResponse`, also within an HTTPError."""

        status: Any
        headers: Any
        length: Any

        def read1(self, n: int = ..., /) -> bytes: ...
        def isclosed(self) -> bool: ...
        def close(self) -> None: ...


__all__ = ["connect", "is_transient", "iter_events", "subscribe"]

# What a redirect to another origin must not carry, and how often it is sent where one led.
_SECRETS = ("authorization", "cookie", "proxy-authorization")
_MOST_REDIRECTS = 10

_REDIRECTS = (
    "urllib follows redirects of GET and HEAD, and some of POST; send this request to its Location"
)


def iter_events(
    response: Response, *, decoder: SSEDecoder | None = None, check: Check = True
) -> EventStream:
    """Iterate over the events of an open response of `urllib.request` or `http.client`.

    response: what `urlopen` or `HTTPConnection.getresponse` returned, or an HTTPError; nothing of
              it has been read. The stream owns it, and closes it at its end, at an error and at
              `close`.
    decoder:  an SSEDecoder with options of one's own; None, the default: one with the default
              options.
    check:    True, the default: a status outside 2xx raises StatusError, a media type other than
              text/event-stream ContentTypeError. "status": the status alone is looked at. False:
              neither.

    Raises TypeError for what is no such response, ValueError for one that has been read or closed,
    or for a closed decoder; ResponseError for a compressed body, which urllib hands out as it is.
    If the check fails, the response is closed.
    """
    if not hasattr(response, "isclosed") or not hasattr(response, "length"):
        raise TypeError(
            "iter_events takes the response of urllib.request.urlopen or http.client, "
            f"not {type(response)}"
        )
    require_check(check)
    decoder = check_decoder(decoder)
    answer = {
        "status": response.status,
        "headers": response.headers,
        "url": _url_of(response),
        "redirects": _REDIRECTS,
    }
    if response.isclosed() or _is_used_up(response):
        raise ValueError(
            "this response has been read or closed already; pass it before anything is read"
        )
    sock = _socket_of(response)  # while it is there: the last byte takes it away
    chunks = Chunks(_read(response), lambda: shut_down(sock))
    return check_and_open(chunks, response, answer, decoder, check)


def connect(
    client: OpenerDirector | None,
    method: str,
    url: str,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: Check = True,
    headers: Fields | None = None,
    data: Any = None,
    timeout: float | None = None,
) -> Opening:
    """Connect: a context manager that sends the request on entering and gives an EventStream.

        with connect(None, "GET", "https://example.org/events") as stream:
            for event in stream:
                print(event.data)

    client:        an OpenerDirector, as `urllib.request.build_opener` makes one, or None for
                   `urllib.request.urlopen`.
    method:        of the request: "GET", "POST", ...
    url:           of http or https, without user info, which urllib does not send.
    decoder:       an SSEDecoder with options of one's own, which starts from its `last_event_id`;
                   None, the default: one with the default options.
    last_event_id: the ID to resume from, sent as Last-Event-ID; "", the default, for none. A
                   Last-Event-ID among `headers` is the same.
    check:         True, the default: a status outside 2xx raises StatusError, a media type other
                   than text/event-stream ContentTypeError. "status": the status alone is looked at.
                   False: neither.
    headers:       a mapping or pairs; None, the default, for none. `Accept: text/event-stream` and
                   `Cache-Control: no-cache` are added, unless the headers or the opener have
                   others.
    data:          the body, as `urllib.request.Request` takes it; None, the default, for none.
    timeout:       seconds without a byte, also while it connects, until TimeoutError; None, the
                   default: never.

    Redirects of GET and HEAD are followed, and some of POST. `Authorization`, `Cookie` and
    `Proxy-Authorization` of `headers` go to the origin of `url` alone; where redirects led within
    it, the request is sent there a second time, with them. Reading a broken stream raises, after
    all completed events, `http.client.IncompleteRead` (cut short, a malformed chunk),
    `ConnectionResetError` or `TimeoutError`.

    Raises at the call TypeError for another client or other types, ValueError for another scheme,
    for user info, for a closed decoder, and for a decoder together with an ID. Entering raises
    `urllib.error.URLError` without a connection, StatusError (where urllib has HTTPError),
    ContentTypeError, and ResponseError for a compressed body; nothing is then left open. Leaving
    closes the stream. The stream is not entered twice: a RuntimeError.
    """
    from urllib.request import Request, urlopen

    require_request("connect", method, url)
    _require_client(client)
    _require_url(url)
    if hasattr(data, "keys"):
        raise TypeError("data must be bytes, such as json.dumps(data).encode(), not a mapping")
    own = getattr(client, "addheaders", None)
    decoder, fields = start(decoder, last_event_id, check, headers)
    sent = dict(request_headers(fields, decoder.last_event_id, own=own))
    secrets = {name: sent.pop(name) for name in [*sent] if name.lower() in _SECRETS}
    request = Request(url, data=data, headers=sent, method=method)
    open_url = urlopen if client is None else client.open

    def open_stream() -> EventStream:
        response = _send(partial(open_url, timeout=timeout), request, secrets)
        return iter_events(response, decoder=decoder, check=check)

    return Opening(open_stream, is_transient=is_transient)


def subscribe(
    client: OpenerDirector | None,
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
    data: Any = None,
    timeout: float | None = None,
    **other_options: NoReturn,
) -> EventSource:
    """Subscribe: an iterator over the events of a stream that connects again whenever it breaks.

        with subscribe(None, "GET", "https://example.org/events") as source:
            for event in source:
                print(event.data)

    client:        an OpenerDirector, as `urllib.request.build_opener` makes one, or None for
                   `urllib.request.urlopen`.
    method:        of each request: "GET", "POST", ...
    url:           of http or https, without user info, which urllib does not send.
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
                   fresh token; None, the default, for none.
    data:          the body, as `urllib.request.Request` takes it, but none that can be sent only
                   once; None, the default, for none.
    timeout:       seconds without a byte, also while it connects, until the connection counts as
                   broken; None, the default: never.
    other_options: there are none; a field of ReconnectionPolicy is refused in words.

    Raises at the call TypeError for another client, for `decoder` among the options, for a field of
    ReconnectionPolicy among them, and for a body that can be sent only once; ValueError for a
    `check` that is none of these, another scheme, and user info. Reading raises what is not tried
    again: a status that stays, ContentTypeError, an error of the decoder; the last error when the
    policy gives up; what a callback raises. It ends at 204 (WHATWG HTML 9.2.3), at `close`, and
    after a clean end if the policy does not connect again then.
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
        request_options={"data": data, "timeout": timeout, **other_options},
    )


def is_transient(error: Exception) -> bool | None:
    """Return whether an exception of urllib or http.client is a broken connection.

    error: any exception.

    True: it may pass, so that connecting again makes sense. False: it will stay (a refused
          certificate, an unknown scheme, a malformed URL). None: it is none of this client's.
    """
    from http.client import BadStatusLine, HTTPException, IncompleteRead, LineTooLong
    from urllib.error import HTTPError, URLError

    cause: Any = error.reason if type(error) is URLError else error
    if isinstance(error, HTTPError) or not (
        isinstance(error, (URLError, HTTPException)) or is_system_error(error)
    ):
        return None
    if is_refused_certificate(error):
        return False
    return is_system_error(cause) or isinstance(cause, (IncompleteRead, BadStatusLine, LineTooLong))


def _require_client(client: Any) -> None:
    if client is None or (
        hasattr(client, "open") and hasattr(client, "addheaders") and not isinstance(client, type)
    ):
        return
    hint = "pass None for urlopen" if is_module(client) or callable(client) else ""
    raise refuse_client(
        "connect", "an OpenerDirector of urllib.request, or None for urlopen", client, hint
    )


def _require_url(url: Any) -> None:
    if not isinstance(url, str):
        raise TypeError(f"urllib takes the URL as a str, not {type_name(url)}")
    if url.partition(":")[0].lower() not in ("http", "https"):
        raise ValueError(f"the URL must begin with http:// or https://, not {shown_url(url)!r}")
    if "@" in url.partition("://")[2].partition("/")[0].partition("?")[0]:
        raise ValueError(
            "urllib does not send the user info of a URL; pass an Authorization header"
        )


def _send(open_url: Callable[[Request], Any], request: Request, secrets: dict[str, Any]) -> Any:
    """Return the response to a request.

    urllib would carry the secrets to wherever a redirect leads. So it is asked not to; and where
    redirects led within their origin all the way, the request is sent there once more, with them.
    Not where another origin had its hand in it: it would choose what is asked for with them.
    """
    from urllib.error import HTTPError, URLError
    from urllib.request import Request

    left = _MOST_REDIRECTS
    while True:
        for name, value in secrets.items():
            request.add_unredirected_header(name, value)
        response: Any
        try:
            response = open_url(request)
        except HTTPError as error:
            response = error
        url = _url_of(response)
        if url.lower().startswith("ftp:"):  # the one other protocol that urllib follows to
            response.close()
            raise URLError(f"a redirect led to FTP: {shown_url(url)}")
        places = _places_of_redirects(request, url)
        is_to_be_sent = (
            secrets
            and places
            and not 300 <= response.status < 400
            and all(_is_within_origin(request.full_url, place) for place in places)
        )
        left -= 1
        if not (left and is_to_be_sent):
            return response
        response.close()
        method = "HEAD" if request.get_method() == "HEAD" else "GET"
        request = Request(url, headers=request.headers, method=method)


def _places_of_redirects(request: Any, url: str) -> Iterable[str]:
    """Return the URLs that redirects led to; the last may be that of the request itself.

    request: as it was sent: urllib's own handler notes there where it was redirected.
    url:     the URL that answered, for an opener with a handler of another kind.
    """
    noted: dict[str, int] | None = getattr(request, "redirect_dict", None)
    return noted or ([] if url == request.full_url else [url])


def _is_within_origin(url: str, other: str) -> bool:
    """Return whether what is sent to a URL may be sent to another; TLS may begin there."""
    scheme, _, rest = url.partition("://")
    other_scheme, _, other_rest = other.partition("://")
    host, other_host = (text.partition("/")[0].partition("?")[0] for text in (rest, other_rest))
    is_upgraded = (scheme, other_scheme) == ("http", "https") and ":" not in host
    return host == other_host and (scheme == other_scheme or is_upgraded)


def _url_of(response: Any) -> str:
    """Return the URL that answered: that of an HTTPError is where a redirect pointed to."""
    within = getattr(response, "fp", None)
    return getattr(within, "url", None) or getattr(response, "url", None) or ""


def _is_used_up(response: Any) -> bool:
    """Return whether a body of a known length has been read, as far as one can see."""
    if response.length != 0 or response.status in (204, 304) or response.status < 200:
        return False
    return int(response.headers.get("Content-Length", "0")) > 0


def _socket_of(response: Any) -> Any:
    """Return the socket beneath a response, or None for a double that has none."""
    part = response
    for _ in range(5):  # an HTTPError holds a response, that a buffered reader, that the socket's
        part = getattr(part, "raw", None) or getattr(part, "fp", None) or part
    return getattr(part, "_sock", None)


def _read(response: Any) -> Iterator[bytes]:
    while chunk := response.read1(65536):
        yield chunk
    if response.length:  # missing of the Content-Length; http.client does not look
        from http.client import IncompleteRead

        raise IncompleteRead(b"", response.length)
