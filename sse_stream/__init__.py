# SPDX-License-Identifier: MIT
"""Read Server-Sent Events (`text/event-stream`): bytes in, events out, as browsers do it.

    from sse_stream.adapters.urllib import connect

    with connect(None, "GET", "https://example.org/events") as stream:
        for event in stream:
            print(event.event, event.data)

The decoder, the streams over it and the errors are exported here, the rest is imported from its module:

    decoder    SSEDecoder: feed it bytes, get ServerSentEvents; this one file can be copied alone
    streams    EventStream, AsyncEventStream: the events in any iterable of bytes
    adapters   connect, iter_events, subscribe and their async twins for each HTTP client
    handshake  what a request for an event stream says, and the check of its response
    encoder    SSEEncoder: events in, bytes out
    payloads   what LLM services put on top: JSON, a mark at the end, errors in the middle
    relay      tee, atee: pass the bytes on untouched, and read the events beside them
    ndjson     iter_documents: one JSON document a line
    reconnect  EventSource, AsyncEventSource: connect again, and resume, when a connection breaks

`python3 -m sse_stream --help` tells of the command line.
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
