# SPDX-License-Identifier: MIT
"""Read events with requests.

    with connect(requests.Session(), "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

Known to this client, and raised as its own exception after all completed events: a body shorter than its Content-Length or
broken off inside a chunk, and a reset (`requests.exceptions.ChunkedEncodingError`), a body that cannot be decompressed
(`ContentDecodingError`), silence longer than the read timeout (`ConnectionError`). Known to no client: the cut of a body that
ends with the connection, and of a compressed one. There is no timeout by default; `timeout=60` limits the connecting and each
silence, not the whole stream.
"""

from __future__ import annotations

from ..handshake import check_response, is_used, prepare_decoder, read_promptly, request_headers
from ..reconnect import EventSource, is_refused_certificate, make_source
from ..streams import EventStream, Opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ..decoder import SSEDecoder
    from ..reconnect import ReconnectionPolicy

__all__ = ["connect", "is_transient", "iter_events", "subscribe"]

_REDIRECTS = "requests follows redirects with a Location unless allow_redirects=False was passed"


def iter_events(response: Any, *, decoder: SSEDecoder | None = None, check: bool = True) -> EventStream:
    """Iterate over the events of a response opened with `stream=True`.

    decoder: an SSEDecoder with options of one's own.
    check:   raise StatusError or ContentTypeError at once unless the response is an event stream.

    A response opened without `stream=True` has been read to its end, and gives the events of that. Raises TypeError for what
    is no response of requests, ValueError for one that has been read in part or closed, ResponseError for a Content-Encoding
    that urllib3 does not decode. The response is closed in every other case, its connection returned to the pool if the
    stream came to its end.
    """
    if not hasattr(response, "iter_content") or not hasattr(response, "raw"):
        raise TypeError(f"iter_events takes a response of requests, not {type(response)}")
    head = response.status_code, response.headers, response.url or ""
    decodable = getattr(response.raw, "CONTENT_DECODERS", None)
    stream = EventStream(_chunks(response), decoder=decoder, response=response)
    return check_response(stream, *head, check=check, redirects=_REDIRECTS, decodable=decodable)


def connect(
    client: Any,
    method: str,
    url: str,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: bool = True,
    headers: Any = None,
    **request_options: Any,
) -> Opening:
    """Open a stream: a context manager that sends the request on entering and releases the connection on leaving.

    client:  a Session, or the module `requests` itself.
    decoder, last_event_id: options of one's own, or the ID to resume from; both is a ValueError.
    check:   as in `iter_events`.
    headers: of the request, beside the session's own.
    request_options: as `Session.request` takes them, but for `stream`.

    Entering raises `requests.exceptions.ConnectionError` if there is no connection, `ReadTimeout` if no response begins
    within the timeout.
    """
    decoder = prepare_decoder(decoder, last_event_id)
    fields = dict(request_headers(headers, decoder.last_event_id, own=getattr(client, "headers", None)))

    def open_stream() -> EventStream:
        response = client.request(method, url, headers=fields, stream=True, **request_options)
        return iter_events(response, decoder=decoder, check=check)

    return Opening(open_stream)


def subscribe(
    client: Any,
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

    True for ConnectionError, Timeout, ChunkedEncodingError and ContentDecodingError of requests, and for an OSError that is not
    of requests; False for a certificate that is refused, and for all others.
    """
    from requests import exceptions as errors

    if is_refused_certificate(error):
        return False
    if isinstance(error, errors.RequestException):
        faults = (errors.ConnectionError, errors.Timeout, errors.ChunkedEncodingError, errors.ContentDecodingError)
        return isinstance(error, faults)
    return isinstance(error, OSError)


def _chunks(response: Any) -> Iterable[bytes]:
    if response._content is not False:  # read to its end by requests, which says so nowhere else
        return [response.content or b""]
    raw = response.raw
    if response._content_consumed or raw is None or (hasattr(raw, "tell") and is_used(raw)):
        raise ValueError("this response has been read or closed already; pass it before anything is read")
    if not hasattr(raw, "stream"):  # a fake: any object with `read`
        chunks: Iterable[bytes] = response.iter_content(65536)
        return chunks
    return _read(raw)


def _read(raw: Any) -> Iterator[bytes]:
    """Read the urllib3 response beneath; raise what requests raises for its errors."""
    from urllib3 import exceptions as errors

    try:
        yield from read_promptly(raw)
    except errors.HTTPError as error:
        from requests import exceptions

        translations = [
            (errors.ProtocolError, exceptions.ChunkedEncodingError),
            (errors.DecodeError, exceptions.ContentDecodingError),
            (errors.ReadTimeoutError, exceptions.ConnectionError),
            (errors.SSLError, exceptions.SSLError),
        ]
        for theirs, own in translations:
            if isinstance(error, theirs):
                raise own(error) from error
        raise
