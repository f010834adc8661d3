# SPDX-License-Identifier: MIT
"""Read events with the standard library: `urllib.request`, and responses of `http.client`.

    with connect(None, "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

Known to this client, and raised as its own exception after all completed events: a body shorter than its Content-Length or
broken off inside a chunk (`http.client.IncompleteRead`), a reset (`ConnectionResetError`), silence longer than `timeout`
(`TimeoutError`). Known to no client: the cut of a body that ends with the connection. Nothing is decompressed; none is asked
to compress.
"""

from __future__ import annotations

from ..handshake import check_response, prepare_decoder, request_headers, shown_url
from ..reconnect import EventSource, is_refused_certificate, make_source
from ..streams import EventStream, Opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any
    from urllib.request import OpenerDirector

    from ..decoder import SSEDecoder
    from ..reconnect import ReconnectionPolicy

__all__ = ["connect", "is_transient", "iter_events", "subscribe"]

_REDIRECTS = "urllib follows redirects of GET and HEAD, and some of POST, by itself; send this request to its Location"


def iter_events(response: Any, *, decoder: SSEDecoder | None = None, check: bool = True) -> EventStream:
    """Iterate over the events of an open response of `urlopen`, an opener, or `http.client`.

    decoder: an SSEDecoder with options of one's own.
    check:   raise StatusError or ContentTypeError at once unless the response is an event stream.

    Raises TypeError for what is no such response, ValueError for one that has been read or closed, ResponseError for a
    Content-Encoding, which this client cannot decode. The response is closed in every other case.
    """
    if not hasattr(response, "isclosed") or not hasattr(response, "length"):
        raise TypeError(f"iter_events takes the response of urllib.request.urlopen or http.client, not {type(response)}")
    status, headers, url = response.status, response.headers, getattr(response, "url", None) or ""
    used_up = response.length == 0 and headers.get("Content-Length", "0").strip("0 ")
    if response.isclosed() or used_up:
        raise ValueError("this response has been read or closed already; pass it before anything is read")
    stream = EventStream(_read(response), decoder=decoder, response=response)
    return check_response(stream, status, headers, url, check=check, redirects=_REDIRECTS)


def connect(
    client: OpenerDirector | None,
    method: str,
    url: str,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: bool = True,
    headers: Any = None,
    data: Any = None,
    timeout: float | None = None,
) -> Opening:
    """Open a stream: a context manager that sends the request on entering and releases the connection on leaving.

    client:  an OpenerDirector, or None for `urlopen`.
    method, url: of the request; http or https, else a ValueError.
    decoder, last_event_id: options of one's own, or the ID to resume from; both is a ValueError.
    check:   as in `iter_events`.
    headers, data: of the request, as `urllib.request.Request` takes them.
    timeout: seconds without a byte after which TimeoutError is raised; None: never.

    Entering raises `urllib.error.URLError` if there is no connection, StatusError where urllib has HTTPError.
    """
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if url.partition(":")[0].lower() not in ("http", "https"):
        raise ValueError(f"the URL must begin with http:// or https://, not {shown_url(url)!r}")
    if "@" in url.partition("://")[2].partition("/")[0].partition("?")[0]:
        raise ValueError("urllib does not send the user info of a URL; pass an Authorization header instead")
    decoder = prepare_decoder(decoder, last_event_id)
    fields = dict(request_headers(headers, decoder.last_event_id, own=getattr(client, "addheaders", None)))
    request = Request(url, data=data, headers=fields, method=method)
    open_url = urlopen if client is None else client.open

    def open_stream() -> EventStream:
        try:
            response = open_url(request, timeout=timeout)
        except HTTPError as error:
            response = error
        return iter_events(response, decoder=decoder, check=check)

    return Opening(open_stream)


def subscribe(
    client: OpenerDirector | None,
    method: str,
    url: str,
    *,
    make_decoder: Callable[..., SSEDecoder] | None = None,
    policy: ReconnectionPolicy | None = None,
    last_event_id: str = "",
    check: bool = True,
    on_connect: Callable[[EventStream], object] | None = None,
    on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
    sleep: Callable[[float], object] | None = None,
    **request_options: Any,
) -> EventSource:
    """Open a stream that is connected to again whenever it breaks: an `EventSource` over `connect`.

    Options as `reconnect.make_source` explains them, the others as `connect` takes them, for each connection.
    """
    return make_source(
        EventSource,
        lambda decoder: connect(client, method, url, decoder=decoder, check=check, **request_options),
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

    True for OSError, for a `urllib.error.URLError` whose reason is one, and for IncompleteRead, BadStatusLine and LineTooLong
    of `http.client`; False for a certificate that is refused, and for all others.
    """
    from http.client import BadStatusLine, IncompleteRead, LineTooLong
    from urllib.error import URLError

    if is_refused_certificate(error):
        return False
    cause: object = error.reason if isinstance(error, URLError) else error
    return isinstance(cause, (OSError, IncompleteRead, BadStatusLine, LineTooLong))


def _read(response: Any) -> Iterator[bytes]:
    while chunk := response.read1(65536):
        yield chunk
    if response.length:  # what is missing of the Content-Length, if there was one; http.client does not look
        from http.client import IncompleteRead

        raise IncompleteRead(b"", response.length)
