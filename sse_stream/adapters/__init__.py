# SPDX-License-Identifier: MIT
"""Thin adapters, one module for each HTTP client. Importing them imports no client.

    iter_events, aiter_events  the events of an open response
    connect, aconnect          a context manager: sends a request, and gives its events
    subscribe, asubscribe      an (Async)EventSource, which connects again whenever the connection breaks
    is_transient               whether an exception of the client is a broken connection

httpx and pycurl have both sides, requests, urllib3 and urllib the first, aiohttp the second. Options:

    decoder        an SSEDecoder of one's own
    last_event_id  the ID to resume from, instead
    check          raise StatusError or ContentTypeError unless it is an event stream; `aiter_events` at the first event
    idle_timeout   (aiohttp, pycurl) seconds without a byte until the client's timeout error is raised; None: never

ValueError for a response read in part or closed, ResponseError for a Content-Encoding that is not decoded. A fault of the
transport raises the client's own exception, after all completed events. No client sees the cut of a body that is compressed,
or that ends with the connection.
"""
