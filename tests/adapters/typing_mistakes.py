# SPDX-License-Identifier: MIT
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""What type checkers must refuse. Nothing here is run: mypy and pyright read it.

Each line has an error that is ignored; for both of them an ignored line without one is an error.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import httpx
import httpx2
import requests
import urllib3

from sse_stream import SSEDecoder
from sse_stream.adapters import aiohttp as of_aiohttp
from sse_stream.adapters import httpx as of_httpx
from sse_stream.adapters import pycurl as of_pycurl
from sse_stream.adapters import requests as of_requests
from sse_stream.adapters import urllib as of_urllib
from sse_stream.adapters import urllib3 as of_urllib3


def mistakes(url: str, handle: Any) -> None:
    client, async_client, session = httpx.Client(), httpx.AsyncClient(), requests.Session()
    # The other half.
    of_httpx.connect(async_client, "GET", url)  # type: ignore[arg-type]
    of_httpx.aconnect(client, "GET", url)  # type: ignore[arg-type]
    of_httpx.subscribe(httpx2.AsyncClient(), "GET", url)  # type: ignore[arg-type]
    of_httpx.asubscribe(httpx2.Client(), "GET", url)  # type: ignore[arg-type]
    of_httpx.aconnect(httpx, "GET", url)  # type: ignore[arg-type]
    # A class, None, another library's, another module, another order.
    of_httpx.connect(httpx.Client, "GET", url)  # type: ignore[arg-type]
    of_httpx.connect(None, "GET", url)  # type: ignore[arg-type]
    of_httpx.connect(session, "GET", url)  # type: ignore[arg-type]
    of_httpx.connect(requests, "GET", url)  # type: ignore[arg-type]
    of_httpx.connect("GET", client, url)  # type: ignore[arg-type]
    of_requests.connect(client, "GET", url)  # type: ignore[arg-type]
    of_requests.connect(requests.Session, "GET", url)  # type: ignore[arg-type]
    of_requests.connect(httpx, "GET", url)  # type: ignore[arg-type]
    of_urllib3.connect(session, "GET", url)  # type: ignore[arg-type]
    of_urllib3.connect(urllib3.PoolManager, "GET", url)  # type: ignore[arg-type]
    of_aiohttp.aconnect(async_client, "GET", url)  # type: ignore[arg-type]
    of_aiohttp.aconnect(aiohttp, "GET", url)  # type: ignore[arg-type]
    of_urllib.connect(session, "GET", url)  # type: ignore[arg-type]
    of_pycurl.connect(session, "GET", url)  # type: ignore[arg-type]
    # What is read.
    of_httpx.iter_events(session.get(url))  # type: ignore[arg-type]
    of_requests.iter_events(client.get(url))  # type: ignore[arg-type]
    of_aiohttp.aiter_events(client.get(url))  # type: ignore[arg-type]
    # Options that are known: a misspelt one, a field of the policy, a check that says nothing.
    of_urllib.connect(None, "GET", url, time_out=1)  # type: ignore[call-arg]
    of_urllib.subscribe(None, "GET", url, max_attempts=1)  # type: ignore[arg-type]
    of_pycurl.connect(handle, "GET", url, timeout=1)  # type: ignore[call-arg]
    of_pycurl.subscribe(handle, "GET", url, timeout=1)  # type: ignore[arg-type]
    of_httpx.connect(client, "GET", url, time_out=1)  # type: ignore[call-arg]
    of_httpx.subscribe(client, "GET", url, max_attempts=1)  # type: ignore[call-arg]
    of_requests.connect(session, "GET", url, time_out=1)  # type: ignore[call-arg]
    of_urllib3.connect(urllib3.PoolManager(), "GET", url, time_out=1)  # type: ignore[call-arg]
    of_aiohttp.aconnect(aiohttp.ClientSession(), "GET", url, time_out=1)  # type: ignore[call-arg]
    of_httpx.connect(client, "GET", url, check="state")  # type: ignore[arg-type]
    of_httpx.connect(client, "GET", url, decoder=SSEDecoder)  # type: ignore[arg-type]
