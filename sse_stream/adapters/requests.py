# SPDX-License-Identifier: MIT
"""Read events with requests.

    with connect(requests.Session(), "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

A broken stream raises `ChunkedEncodingError` (cut short, reset, a malformed chunk), `ContentDecodingError` or, after the read
timeout, `ConnectionError`. There is no timeout by default; `timeout=60` limits the connecting and each silence.

Options: `sse_stream.adapters`.
"""

from __future__ import annotations

from ..handshake import check_response, prepare_decoder, read_promptly, request_headers
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
    """Iterate over the events of a response opened with `stream=True`; without, they come at the end."""
    if not hasattr(response, "iter_content") or not hasattr(response, "raw"):
        raise TypeError(f"iter_events takes a response of requests, not {type(response)}")
    stream = EventStream(_chunks(response), decoder=decoder, response=response)
    redirects = "requests follows redirects with a Location unless allow_redirects=False was passed"
    decodable = getattr(response.raw, "CONTENT_DECODERS", None)
    head = response.status_code, response.headers, response.url or ""
    check_response(stream, *head, check=check, redirects=redirects, decodable=decodable)
    return stream


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
    """Connect with a Session, or the module `requests` itself; request_options: those of its `request`, but `stream`."""
    decoder = prepare_decoder(decoder, last_event_id)
    fields = dict(
        request_headers(headers, decoder.last_event_id, own=getattr(client, "headers", None))
    )

    def open_stream() -> EventStream:
        response = client.request(method, url, headers=fields, stream=True, **request_options)
        return iter_events(response, decoder=decoder, check=check)

    return Opening(open_stream)


def is_transient(error: Exception) -> bool:
    """Whether it is a broken connection."""
    from requests import exceptions as errors

    if is_refused_certificate(error):
        return False
    faults = (
        errors.ConnectionError,
        errors.Timeout,
        errors.ChunkedEncodingError,
        errors.ContentDecodingError,
    )
    return isinstance(error, faults if isinstance(error, errors.RequestException) else OSError)


subscribe: Subscribe[Any, str] = make_subscribe(EventSource, connect, is_transient)


def _chunks(response: Any) -> Any:
    if response._content is not False:  # read to its end; nothing else says so
        return [response.content or b""]
    raw = response.raw
    if hasattr(raw, "stream"):
        return _translate(read_promptly(raw))
    if raw is None or (hasattr(raw, "tell") and raw.tell()):
        raise ValueError("there is nothing beneath this response; was it read or closed already?")
    return response.iter_content(65536)  # of a fake


def _translate(chunks: Any) -> Any:
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
