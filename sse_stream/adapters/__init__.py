# SPDX-License-Identifier: MIT
"""Thin adapters, one module for each HTTP client. Importing them imports no client.

    iter_events, aiter_events    the events of an open response
    connect, aconnect            a context manager: a request and, within `with`, its events
    subscribe, asubscribe        the same, connected to again whenever it breaks: an (Async)EventSource
    is_transient                 whether an exception of the client is a broken connection

httpx and pycurl have both sides, requests, urllib3 and urllib the first, aiohttp the second. Their options:

    decoder             an SSEDecoder of one's own
    last_event_id       the ID to resume from
    check               raise StatusError or ContentTypeError unless the response is an event stream: at once, but
                        `aiter_events` does so at the first event
    request_options     those of the client's own function
    idle_timeout        seconds of waiting without a byte after which the client's timeout error is raised; None: never
    make_decoder, ...   `reconnect.make_source` explains those of `subscribe`

A response that has been read in part, or closed, is a ValueError; a Content-Encoding that is not decoded, a ResponseError. A
fault of the transport raises the client's own exception, after all completed events. No client sees the cut of a body that is
compressed, or that ends with the connection.
"""
