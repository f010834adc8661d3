# SPDX-License-Identifier: MIT
"""Read Server-Sent Events (`text/event-stream`): bytes in, events out, as browsers do it.

    from sse_stream.adapters.urllib import connect

    with connect(None, "GET", "https://example.org/events") as stream:
        for event in stream:
            print(event.event, event.data)

Further modules:

    adapters   connect, iter_events, subscribe for each HTTP client, and async twins
    handshake  request headers, response check
    encoder    events in, bytes out
    payloads   what LLM services put into events
    relay      pass bytes on, and read the events in them
    ndjson     one JSON document a line
    reconnect  connect again, and resume
    __main__   the command line
"""

from .decoder import EventTooLargeError, IncompleteEventError, ServerSentEvent, SSEDecoder, SSEError
from .handshake import ContentTypeError, ResponseError, StatusError
from .streams import AsyncEventStream, EventStream

__version__ = "0.1.0"

__all__ = [
    "AsyncEventStream",
    "ContentTypeError",
    "EventStream",
    "EventTooLargeError",
    "IncompleteEventError",
    "ResponseError",
    "SSEDecoder",
    "SSEError",
    "ServerSentEvent",
    "StatusError",
]
