# SPDX-License-Identifier: MIT
"""Read events with `urllib.request`, and from responses of `http.client`.

    with connect(None, "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

A broken stream raises `http.client.IncompleteRead` (cut short, a malformed chunk), `ConnectionResetError` or `TimeoutError`.
Compression is neither asked for nor undone.

Options: `sse_stream.adapters`.
"""

from __future__ import annotations

from ..handshake import check_response, prepare_decoder, request_headers, shown_url
from ..reconnect import EventSource, is_refused_certificate, make_subscribe
from ..streams import EventStream, Opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from urllib.request import OpenerDirector

    from ..decoder import SSEDecoder
    from ..reconnect import Subscribe

__all__ = ["connect", "is_transient", "iter_events", "subscribe"]


def iter_events(
    response: Any, *, decoder: SSEDecoder | None = None, check: bool = True
) -> EventStream:
    """Iterate over the events of an open response of `urllib.request` or `http.client`."""
    if not hasattr(response, "isclosed") or not hasattr(response, "length"):
        raise TypeError(
            f"iter_events takes the response of urllib.request.urlopen or http.client, not {type(response)}"
        )
    status, headers, url = response.status, response.headers, getattr(response, "url", None) or ""
    used_up = response.length == 0 and headers.get("Content-Length", "0").strip("0 ")
    if response.isclosed() or used_up:
        raise ValueError(
            "this response has been read or closed already; pass it before anything is read"
        )
    stream = EventStream(_read(response), decoder=decoder, response=response)
    redirects = "urllib follows redirects of GET and HEAD, and some of POST; send this request to its Location"
    check_response(stream, status, headers, url, check=check, redirects=redirects)
    return stream


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
    """Connect with an OpenerDirector, or None for `urlopen`.

    headers, data: as `urllib.request.Request` takes them.
    timeout: seconds without a byte, then TimeoutError; None: never.

    Entering raises `urllib.error.URLError` without a connection, StatusError where urllib has HTTPError.
    """
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if url.partition(":")[0].lower() not in ("http", "https"):
        raise ValueError(f"the URL must begin with http:// or https://, not {shown_url(url)!r}")
    if "@" in url.partition("://")[2].partition("/")[0].partition("?")[0]:
        raise ValueError(
            "urllib does not send the user info of a URL; pass an Authorization header"
        )
    decoder = prepare_decoder(decoder, last_event_id)
    fields = dict(
        request_headers(headers, decoder.last_event_id, own=getattr(client, "addheaders", None))
    )
    request = Request(url, data=data, headers=fields, method=method)
    open_url = urlopen if client is None else client.open

    def open_stream() -> EventStream:
        try:
            response = open_url(request, timeout=timeout)
        except HTTPError as error:
            response = error
        return iter_events(response, decoder=decoder, check=check)

    return Opening(open_stream)


def is_transient(error: Exception) -> bool:
    """Whether it is a broken connection."""
    from http.client import BadStatusLine, IncompleteRead, LineTooLong
    from urllib.error import URLError

    if is_refused_certificate(error):
        return False
    cause: Any = error.reason if isinstance(error, URLError) else error
    return isinstance(cause, (OSError, IncompleteRead, BadStatusLine, LineTooLong))


subscribe: Subscribe[OpenerDirector | None, str] = make_subscribe(
    EventSource, connect, is_transient
)


def _read(response: Any) -> Any:
    while chunk := response.read1(65536):
        yield chunk
    if response.length:  # missing of the Content-Length; http.client does not look
        from http.client import IncompleteRead

        raise IncompleteRead(b"", response.length)
