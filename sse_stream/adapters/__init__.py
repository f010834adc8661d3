# SPDX-License-Identifier: MIT
"""Thin adapters, one module for each HTTP client. Importing them imports no client.

    iter_events, aiter_events  the events of an open response
    connect, aconnect          a context manager: sends a request, and gives its events
    subscribe, asubscribe      an (Async)EventSource, which connects again if the connection breaks
    is_transient               whether an exception of the client is a broken connection

httpx and pycurl have both sides, requests, urllib3 and urllib the first, aiohttp the second. The
options have the same names everywhere:

    decoder        an SSEDecoder of one's own; make_decoder makes one for each connection
    last_event_id  the ID to resume from; a Last-Event-ID among the headers is the same
    check          True: status and media type; "status": the status alone; False: neither
    headers        beside those of an event stream, which the caller's and the client's go before
    idle_timeout   (aiohttp, pycurl) seconds without a byte until the client's own timeout error

A mistake of the caller is a TypeError or ValueError at the call. A fault of the transport raises
the client's own exception, after all completed events. No client sees the cut of a body that is
compressed, or that ends with the connection.

What two of them share stands in the files whose name begins with `_`: `_request` before a request,
`_response` and `_errors` after it, `_source` for `subscribe`. How another one is added is said in
tests/__init__.py.
"""
