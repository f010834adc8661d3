# SPDX-License-Identifier: MIT
"""Read events with httpx and httpx2, sync and async.

    with connect(client, "GET", "https://example.org/events", timeout=60) as stream:
        for event in stream:
            print(event.data)

    async with aconnect(async_client, "GET", "https://example.org/events", timeout=60) as stream:
        async for event in stream:
            print(event.data)

By default httpx ends a stream after 5 seconds without a byte: `timeout=httpx.Timeout(10, read=60)` sets another limit,
`timeout=None` none. Redirects are followed with `follow_redirects=True`.

A broken stream raises `RemoteProtocolError` (cut short, a malformed chunk), `ReadError`, `ReadTimeout` or `DecodingError`. Over
HTTP/2 the server learns of a stream left early when the client is closed. On trio httpx's own generators may then warn.

Options: `sse_stream.adapters`.
"""

from __future__ import annotations

from ..handshake import acheck_response, check_response, prepare_decoder, request_headers
from ..reconnect import AsyncEventSource, EventSource, is_refused_certificate, make_subscribe
from ..streams import AsyncEventStream, AsyncOpening, EventStream, Opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..decoder import SSEDecoder
    from ..reconnect import AsyncSubscribe, Subscribe

__all__ = [
    "aconnect",
    "aiter_events",
    "asubscribe",
    "connect",
    "is_transient",
    "iter_events",
    "subscribe",
]


def iter_events(
    response: Any, *, decoder: SSEDecoder | None = None, check: bool = True
) -> EventStream:
    """Iterate over the events of a response of `client.stream` or `client.send(..., stream=True)`; of its content, if read."""
    _refuse_response(response, "iter_events", "__iter__", "aiter_events")
    stream = EventStream(
        response.iter_bytes(), decoder=decoder, response=response
    )  # any chunk size holds events back
    check_response(stream, **_head(response), check=check)
    return stream


def aiter_events(
    response: Any, *, decoder: SSEDecoder | None = None, check: bool = True
) -> AsyncEventStream:
    """As `iter_events`, for an AsyncClient."""
    _refuse_response(response, "aiter_events", "__aiter__", "iter_events")
    stream = AsyncEventStream(response.aiter_bytes(), decoder=decoder, response=response)
    stream._check = lambda: acheck_response(stream, **_head(response), check=check)
    return stream


def connect(
    client: Any,
    method: str,
    url: Any,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: bool = True,
    **request_options: Any,
) -> Opening:
    """Connect with a Client, or the module `httpx` or `httpx2` itself; request_options: those of its `stream`."""
    if hasattr(client, "aclose"):
        raise TypeError(
            f"{type(client).__name__} is an async client; pass it to aconnect, or a Client to connect"
        )
    if hasattr(
        client, "Client"
    ):  # which takes what its functions give to the client, not to the request
        client = client.Client(
            **_take(request_options, "cert", "cookies", "proxies", "proxy", "trust_env", "verify")
        )
        opening = connect(
            client,
            method,
            url,
            decoder=decoder,
            last_event_id=last_event_id,
            check=check,
            **request_options,
        )
        return _OpeningWithClient(client, opening)
    if not hasattr(client, "build_request"):
        raise TypeError(
            f"connect takes an httpx.Client, or the module httpx, not {type(client).__name__}"
        )
    decoder = prepare_decoder(decoder, last_event_id)
    sending = _prepare(client, decoder, request_options)

    def open_stream() -> EventStream:
        request = client.build_request(method, url, **request_options)
        return iter_events(
            client.send(request, stream=True, **sending), decoder=decoder, check=check
        )

    return Opening(open_stream)


def aconnect(
    client: Any,
    method: str,
    url: Any,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: bool = True,
    **request_options: Any,
) -> AsyncOpening:
    """As `connect`, for an AsyncClient."""
    if not hasattr(client, "build_request") or not hasattr(client, "aclose"):
        hint = (
            "; connect takes it"
            if hasattr(client, "Client") or hasattr(client, "build_request")
            else ""
        )
        raise TypeError(f"aconnect takes an httpx.AsyncClient, not {type(client).__name__}{hint}")
    decoder = prepare_decoder(decoder, last_event_id)
    sending = _prepare(client, decoder, request_options)

    async def open_stream() -> AsyncEventStream:
        request = client.build_request(method, url, **request_options)
        return aiter_events(
            await client.send(request, stream=True, **sending), decoder=decoder, check=check
        )

    return AsyncOpening(open_stream)


def is_transient(error: Exception) -> bool:
    """Whether it is a broken connection."""
    names = {
        kind.__name__
        for kind in type(error).__mro__
        if kind.__module__.partition(".")[0] in ("httpx", "httpx2")
    }
    if names & {"UnsupportedProtocol", "LocalProtocolError"} or is_refused_certificate(error):
        return False
    return bool(names & {"TransportError", "DecodingError"}) or isinstance(error, OSError)


subscribe: Subscribe[Any, Any] = make_subscribe(EventSource, connect, is_transient)
asubscribe: AsyncSubscribe[Any, Any] = make_subscribe(AsyncEventSource, aconnect, is_transient)


class _OpeningWithClient(Opening):
    def __init__(self, client: Any, opening: Opening) -> None:
        def open_stream() -> EventStream:
            try:
                return opening.__enter__()
            except BaseException:
                client.close()
                raise

        super().__init__(open_stream)
        self._client = client

    def __exit__(self, *_: object) -> None:
        try:
            super().__exit__(None, None, None)
        finally:
            self._client.close()


def _prepare(client: Any, decoder: SSEDecoder, options: Any) -> dict[str, Any]:
    """Set the headers; take out the options of `send`."""
    options["headers"] = request_headers(
        options.get("headers"), decoder.last_event_id, own=client.headers
    )
    return _take(options, "auth", "follow_redirects")


def _take(options: Any, *names: str) -> dict[str, Any]:
    return {name: options.pop(name) for name in names if name in options}


def _refuse_response(response: Any, function: str, side: str, other: str) -> None:
    if not hasattr(response, "aiter_bytes") or not hasattr(response, "is_stream_consumed"):
        raise TypeError(
            f"{function} takes a response of httpx or httpx2, not {type(response).__name__}"
        )
    if not hasattr(response.stream, side):
        raise TypeError(f"this response is of the other kind of client; pass it to {other}")
    if (response.is_stream_consumed or response.is_closed) and not hasattr(response, "_content"):
        raise ValueError(
            f"this response is consumed or closed; pass it to {function} before anything is read"
        )


def _head(response: Any) -> dict[str, Any]:
    url, decodable = "", ["gzip", "deflate"]
    try:
        url = str(response.url)
        # What else it decodes depends on what is installed: its Accept-Encoding says so.
        asked = response.request.headers.get("Accept-Encoding", "").lower()
        decodable += [coding.partition(";")[0].strip() for coding in asked.split(",")]
    except RuntimeError:  # made by hand, without a request
        pass
    return {
        "status": response.status_code,
        "headers": response.headers,
        "url": url,
        "decodable": decodable,
        "redirects": "httpx follows redirects with follow_redirects=True",
    }
