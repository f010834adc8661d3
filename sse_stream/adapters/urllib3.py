# SPDX-License-Identifier: MIT
"""Read events with urllib3, 2.2 or later. An older one holds events back where a chunk is larger than they are.

    with connect(urllib3.PoolManager(), "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

Known to this client, and raised as its own exception after all completed events: a body shorter than its Content-Length or
broken off inside a chunk, and a reset (`urllib3.exceptions.ProtocolError`), a body that cannot be decompressed (`DecodeError`),
silence longer than the read timeout (`ReadTimeoutError`). Known to no client: the cut of a body that ends with the connection,
and of a compressed one. A PoolManager has no timeout by default; `urllib3.request` itself has one of 3 seconds, which cuts
streams that are silent for longer.
"""

from __future__ import annotations

from ..handshake import Headers, check_response, is_used, prepare_decoder, read_promptly, request_headers
from ..reconnect import EventSource, is_refused_certificate, make_source
from ..streams import EventStream, Opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..decoder import SSEDecoder
    from ..reconnect import ReconnectionPolicy

__all__ = ["connect", "is_transient", "iter_events", "subscribe"]

_REDIRECTS = "urllib3 follows redirects with a Location unless redirect=False or retries say otherwise"


def iter_events(response: Any, *, decoder: SSEDecoder | None = None, check: bool = True) -> EventStream:
    """Iterate over the events of a response opened with `preload_content=False`.

    decoder: an SSEDecoder with options of one's own.
    check:   raise StatusError or ContentTypeError at once unless the response is an event stream. Their `url` is all that
             urllib3 keeps of it: the path, or where the last redirect led. `connect` knows the whole.

    A response with its content loaded gives the events of that. Raises TypeError for what is no response of urllib3,
    ValueError for one that has been read or closed, ResponseError for a Content-Encoding that urllib3 does not decode. The
    response is closed in every other case, its connection returned to the pool if the stream came to its end.
    """
    if not hasattr(response, "release_conn") or not hasattr(response, "stream"):
        raise TypeError(f"iter_events takes a response of urllib3, not {type(response)}")
    return _iter_events(response, response.geturl() or "", decoder, check)


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

    client:  a PoolManager or ConnectionPool, or the module `urllib3` itself.
    decoder, last_event_id: options of one's own, or the ID to resume from; both is a ValueError.
    check:   as in `iter_events`.
    headers: of the request, beside the client's own.
    request_options: as the client's `request` takes them, but for `preload_content`.

    urllib3 would sleep for the Retry-After of a 413, 429 or 503 and send the request again; unless `retries` are given, here
    or to the client, this is turned off. Redirects and what else is retried by default stay as they are.
    """
    decoder = prepare_decoder(decoder, last_event_id)
    own: Any = getattr(client, "headers", None) or {}
    given: list[tuple[str, Any]] = list(headers.items() if hasattr(headers, "items") else headers or ())
    names = {name.lower() for name, _ in given}
    fields: list[tuple[str, Any]] = [(name, value) for name, value in own.items() if name.lower() not in names] + given
    pairs = request_headers(fields, decoder.last_event_id)
    # urllib3 sends text as latin-1, so this is the same on the wire; it also copies header fields, which takes text.
    request_fields = Headers((name, value.decode("latin-1") if isinstance(value, bytes) else value) for name, value in pairs)
    if "retries" not in request_options and not _has_retries(client):
        from urllib3.util import Retry

        request_options["retries"] = Retry(3, respect_retry_after_header=False)  # else as urllib3's default

    def open_stream() -> EventStream:
        response = client.request(method, url, headers=dict(request_fields), preload_content=False, **request_options)
        return _iter_events(response, _final_url(url, response), decoder, check)

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

    True for ProtocolError, DecodeError, TimeoutError, NewConnectionError, ProxyError, SSLError and EmptyPoolError of urllib3,
    for a MaxRetryError whose reason is one of these, and for OSError; False for a certificate that is refused, for a
    ResponseNotChunked, and for all others.
    """
    from urllib3 import exceptions as errors

    if isinstance(error, errors.MaxRetryError):
        return error.reason is not None and is_transient(error.reason)
    if isinstance(error, errors.ResponseNotChunked) or is_refused_certificate(error):
        return False
    faults = (errors.ProtocolError, errors.DecodeError, errors.TimeoutError, errors.NewConnectionError)
    return isinstance(error, (*faults, errors.ProxyError, errors.SSLError, errors.EmptyPoolError, OSError))


def _iter_events(response: Any, url: str, decoder: SSEDecoder | None, check: bool) -> EventStream:
    stream = EventStream(_chunks(response), decoder=decoder, response=response)
    decodable = response.CONTENT_DECODERS
    head = response.status, response.headers, url
    return check_response(stream, *head, check=check, redirects=_REDIRECTS, decodable=decodable)


def _chunks(response: Any) -> Iterable[bytes]:
    body = getattr(response, "_body", None)  # not `data`, which would read
    if body is not None:
        return [body]
    if is_used(response):
        raise ValueError("this response has been read or closed already; pass it before anything is read")
    return read_promptly(response)


def _has_retries(client: Any) -> bool:
    from urllib3.util import Retry

    of_pools = getattr(client, "connection_pool_kw", {}).get("retries")
    return of_pools is not None or getattr(client, "retries", Retry.DEFAULT) is not Retry.DEFAULT


def _final_url(url: str, response: Any) -> str:
    from urllib.parse import urljoin

    for step in response.retries.history if response.retries else ():
        url = urljoin(url, step.redirect_location or "")
    return url
