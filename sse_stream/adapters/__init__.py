# SPDX-License-Identifier: MIT
"""Thin adapters, one module for each HTTP client. Importing this package, or one of its modules, imports no client.

    iter_events, aiter_events    the events of a response
    connect, aconnect            a request and, within `with`, its events
    subscribe, asubscribe        the same, connected to again whenever it breaks
    is_transient                 whether an exception of the client is a broken connection

httpx and pycurl have both sides, requests, urllib3 and urllib the first, aiohttp the second. A fault of the transport raises
the client's own exception, after all completed events. No client sees the cut of a body that is compressed, or that ends with
the connection.
"""
