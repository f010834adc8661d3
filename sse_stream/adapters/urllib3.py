# SPDX-License-Identifier: MIT
"""Read events with urllib3, 2.2 or later; an older one may hold events back.

    with connect(urllib3.PoolManager(), "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

A broken stream raises `ProtocolError` (cut short, reset, a malformed chunk), `DecodeError` or `ReadTimeoutError`. By default
a PoolManager has no timeout, `urllib3.request` 3 seconds.

Options: `sse_stream.adapters`.
"""

from __future__ import annotations

from ..handshake import (
    Headers,
    _pairs,
    check_response,
    prepare_decoder,
    read_promptly,
    request_headers,
)
from ..reconnect import EventSource, is_refused_certificate, make_subscribe
from ..streams import EventStream, Opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..decoder import SSEDecoder
    from ..reconnect import Subscribe

__all__ = ["connect", "is_transient", "iter_events", "subscribe"]


def iter_events(
    response: Any, *, decoder: SSEDecoder | None = None, check: bool = True
) -> EventStream:
    """Iterate over the events of a response opened with `preload_content=False`; without, they come at the end.

    The `url` of an error may be the path alone.
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
    """Connect with a PoolManager or ConnectionPool, or the module `urllib3` itself.

    headers: beside the client's own.
    request_options: those of its `request`, but `preload_content`. urllib3 sleeps for a Retry-After only if `retries` are
        given, here or to the client.
    """
    decoder = prepare_decoder(decoder, last_event_id)
    given = _pairs(headers)
    names = {name.lower() for name, _ in given}
    given += [
        (name, value)
        for name, value in _pairs(getattr(client, "headers", None))
        if name.lower() not in names
    ]
    pairs = request_headers(given, decoder.last_event_id)
    # urllib3 copies fields as text, and sends it as latin-1: the same bytes.
    fields = Headers(
        (name, value.decode("latin-1") if isinstance(value, bytes) else value)
        for name, value in pairs
    )
    request_options = {"headers": dict(fields), **_default_retries(client), **request_options}

    def open_stream() -> EventStream:
        response = client.request(method, url, preload_content=False, **request_options)
        return _iter_events(response, _final_url(url, response), decoder, check)

    return Opening(open_stream)


def is_transient(error: Exception) -> bool:
    """Whether it is a broken connection."""
    from urllib3 import exceptions as errors

    if isinstance(error, errors.MaxRetryError):
        return error.reason is not None and is_transient(error.reason)
    if isinstance(error, errors.ResponseNotChunked) or is_refused_certificate(error):
        return False
    faults = (
        errors.ProtocolError,
        errors.DecodeError,
        errors.TimeoutError,
        errors.NewConnectionError,
    )
    return isinstance(
        error, (*faults, errors.ProxyError, errors.SSLError, errors.EmptyPoolError, OSError)
    )


subscribe: Subscribe[Any, str] = make_subscribe(EventSource, connect, is_transient)


def _iter_events(response: Any, url: str, decoder: SSEDecoder | None, check: bool) -> EventStream:
    stream = EventStream(_chunks(response), decoder=decoder, response=response)
    redirects = (
        "urllib3 follows redirects with a Location unless redirect=False or retries say otherwise"
    )
    decodable = response.CONTENT_DECODERS
    check_response(
        stream,
        response.status,
        response.headers,
        url,
        check=check,
        redirects=redirects,
        decodable=decodable,
    )
    return stream


def _chunks(response: Any) -> Any:
    body = getattr(response, "_body", None)  # not `data`, which would read
    return read_promptly(response) if body is None else [body]


def _default_retries(client: Any) -> dict[str, Any]:
    from urllib3.util import Retry

    given = getattr(client, "connection_pool_kw", {}).get(
        "retries", getattr(client, "retries", None)
    )
    return (
        {"retries": Retry(3, respect_retry_after_header=False)}
        if given in (None, Retry.DEFAULT)
        else {}
    )


def _final_url(url: str, response: Any) -> str:
    from urllib.parse import urljoin

    for step in response.retries.history if response.retries else ():
        url = urljoin(url, step.redirect_location or "")
    return url
