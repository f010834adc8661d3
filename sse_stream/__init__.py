# SPDX-License-Identifier: MIT
"""Read Server-Sent Events (`text/event-stream`): bytes in, events out, as browsers do it.

    from sse_stream.adapters.urllib import connect

    with connect(None, "GET", "https://example.org/events") as stream:
        for event in stream:
            print(event.event, event.data)

The modules, whose public names can all be imported from here:

    decoder    SSEDecoder, for bytes by hand; this one file can be copied alone
    streams    EventStream and AsyncEventStream, around any iterable of bytes
    handshake  the request's headers and the check of the response, for every client
    encoder    SSEEncoder: events in, bytes out
    payloads   what LLM services put into events: JSON, marks, errors
    ndjson     the other streaming framing, one JSON document a line
    relay      pass bytes on, and read the events in them: for proxies
    policy     when to connect again, and when to give up
    reconnect  EventSource and AsyncEventSource: connect again, and resume

and, to be imported from where they are:

    adapters   connect, iter_events, subscribe for each HTTP client, and their async twins
    __main__   the command line
"""

from __future__ import annotations

from .decoder import (
    EventTooLargeError,
    IncompleteEventError,
    ServerSentEvent,
    SSEDecoder,
    SSEError,
)
from .handshake import ContentTypeError, ResponseError, StatusError
from .streams import AsyncEventStream, EventStream, StreamClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .encoder import SSEEncoder
    from .ndjson import (
        AsyncDocuments,
        DocumentError,
        Documents,
        aiter_documents,
        iter_documents,
    )
    from .payloads import (
        AsyncPayloads,
        PayloadError,
        Payloads,
        ServiceError,
        aiter_payloads,
        is_service_error,
        iter_payloads,
    )
    from .policy import (
        TRANSIENT_STATUSES,
        Reconnection,
        ReconnectionError,
        ReconnectionPolicy,
    )
    from .reconnect import AsyncEventSource, EventSource
    from .relay import (
        AsyncRelayed,
        AsyncTee,
        Relayed,
        Tee,
        TeeOutcome,
        arewrite,
        atee,
        awhole_events,
        rewrite,
        tee,
        whole_events,
    )

__version__ = "0.2.0"

__all__ = [
    "TRANSIENT_STATUSES",
    "AsyncDocuments",
    "AsyncEventSource",
    "AsyncEventStream",
    "AsyncPayloads",
    "AsyncRelayed",
    "AsyncTee",
    "ContentTypeError",
    "DocumentError",
    "Documents",
    "EventSource",
    "EventStream",
    "EventTooLargeError",
    "IncompleteEventError",
    "PayloadError",
    "Payloads",
    "Reconnection",
    "ReconnectionError",
    "ReconnectionPolicy",
    "Relayed",
    "ResponseError",
    "SSEDecoder",
    "SSEEncoder",
    "SSEError",
    "ServerSentEvent",
    "ServiceError",
    "StatusError",
    "StreamClosedError",
    "Tee",
    "TeeOutcome",
    "aiter_documents",
    "aiter_payloads",
    "arewrite",
    "atee",
    "awhole_events",
    "is_service_error",
    "iter_documents",
    "iter_payloads",
    "rewrite",
    "tee",
    "whole_events",
]

# Where the names are that are loaded when they are first asked for.
_MODULES = {
    "encoder": ("SSEEncoder",),
    "ndjson": (
        "AsyncDocuments",
        "DocumentError",
        "Documents",
        "aiter_documents",
        "iter_documents",
    ),
    "payloads": (
        "AsyncPayloads",
        "PayloadError",
        "Payloads",
        "ServiceError",
        "aiter_payloads",
        "is_service_error",
        "iter_payloads",
    ),
    "policy": ("TRANSIENT_STATUSES", "Reconnection", "ReconnectionError", "ReconnectionPolicy"),
    "reconnect": ("AsyncEventSource", "EventSource"),
    "relay": (
        "AsyncRelayed",
        "AsyncTee",
        "Relayed",
        "Tee",
        "TeeOutcome",
        "arewrite",
        "atee",
        "awhole_events",
        "rewrite",
        "tee",
        "whole_events",
    ),
}
_VERBS = ("connect", "aconnect", "subscribe", "asubscribe", "iter_events", "aiter_events")


if not TYPE_CHECKING:  # to whom this would say that there is any name

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                from importlib import import_module

                value = getattr(import_module(f"{__name__}.{module}"), name)
                globals()[name] = value  # the next time it is found at once
                return value
        hint = ""
        if name in _VERBS:
            hint = (
                f"; there is one for each HTTP client: from {__name__}.adapters.httpx import "
                f"{name} (or .aiohttp, .requests, .urllib3, .urllib, .pycurl)"
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
