# SPDX-License-Identifier: MIT
"""Read Server-Sent Events (`text/event-stream`): bytes in, events out, as browsers do it."""

from .decoder import EventTooLargeError, IncompleteEventError, ServerSentEvent, SSEDecoder, SSEError
from .handshake import ContentTypeError, ResponseError, StatusError
from .streams import AsyncEventStream, EventStream

__version__ = "0.1.0.dev0"

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
