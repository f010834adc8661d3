# SPDX-License-Identifier: MIT
"""Every client in one form, for the proofs that go through all of them.

    with CLIENTS["requests"](url) as stream: ...
    async with ASYNC_CLIENTS["aiohttp"](url) as stream: ...

Options are those of `connect`, and `limit`, after how many seconds without a byte the client gives
up. HTTP2_CLIENTS and ASYNC_HTTP2_CLIENTS are those that speak HTTP/2, on a server that speaks
nothing else.
"""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pycurl  # type: ignore[import-untyped]
import requests
import urllib3

from sse_stream.adapters import aiohttp as of_aiohttp
from sse_stream.adapters import httpx as of_httpx
from sse_stream.adapters import pycurl as of_pycurl
from sse_stream.adapters import requests as of_requests
from sse_stream.adapters import urllib as of_urllib
from sse_stream.adapters import urllib3 as of_urllib3

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from sse_stream import AsyncEventStream, EventStream

    Open = Callable[..., AbstractContextManager[EventStream]]
    AsyncOpen = Callable[..., AbstractAsyncContextManager[AsyncEventStream]]

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default context takes 20 ms to make


@contextmanager
def open_httpx(
    module: Any, http2: bool, url: str, *, limit: float | None = None, **options: Any
) -> Generator[EventStream]:
    client = module.Client(verify=NO_TLS, timeout=limit, http1=not http2, http2=http2)
    with client, of_httpx.connect(client, "GET", url, **options) as stream:
        yield stream


@asynccontextmanager
async def aopen_httpx(
    module: Any, http2: bool, url: str, *, limit: float | None = None, **options: Any
) -> AsyncGenerator[AsyncEventStream]:
    client = module.AsyncClient(verify=NO_TLS, timeout=limit, http1=not http2, http2=http2)
    async with client, of_httpx.aconnect(client, "GET", url, **options) as stream:
        yield stream


@asynccontextmanager
async def aopen_aiohttp(
    url: str, *, limit: float | None = None, **options: Any
) -> AsyncGenerator[AsyncEventStream]:
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
    async with (
        session,
        of_aiohttp.aconnect(session, "GET", url, idle_timeout=limit, **options) as stream,
    ):
        yield stream


@contextmanager
def open_requests(
    url: str, *, limit: float | None = None, **options: Any
) -> Generator[EventStream]:
    with (
        requests.Session() as session,
        of_requests.connect(session, "GET", url, timeout=limit, **options) as stream,
    ):
        yield stream


@contextmanager
def open_urllib3(url: str, *, limit: float | None = None, **options: Any) -> Generator[EventStream]:
    with (
        urllib3.PoolManager(timeout=limit) as pool,
        of_urllib3.connect(pool, "GET", url, **options) as stream,
    ):
        yield stream


def new_handle(http2: bool) -> Any:
    curl = pycurl.Curl()
    curl.setopt(pycurl.ACCEPT_ENCODING, "gzip")
    if http2:
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
    return curl


@contextmanager
def open_pycurl(
    http2: bool, url: str, *, limit: float | None = None, **options: Any
) -> Generator[EventStream]:
    with of_pycurl.connect(new_handle(http2), "GET", url, idle_timeout=limit, **options) as stream:
        yield stream


@asynccontextmanager
async def aopen_pycurl(
    http2: bool, url: str, *, limit: float | None = None, **options: Any
) -> AsyncGenerator[AsyncEventStream]:
    async with of_pycurl.aconnect(
        new_handle(http2), "GET", url, idle_timeout=limit, **options
    ) as stream:
        yield stream


@contextmanager
def open_urllib(url: str, *, limit: float | None = None, **options: Any) -> Generator[EventStream]:
    with of_urllib.connect(None, "GET", url, timeout=limit, **options) as stream:
        yield stream


CLIENTS: Mapping[str, Open] = {
    "httpx": partial(open_httpx, httpx, False),
    "httpx2": partial(open_httpx, httpx2, False),
    "requests": open_requests,
    "urllib3": open_urllib3,
    "pycurl": partial(open_pycurl, False),
    "urllib": open_urllib,
}
ASYNC_CLIENTS: Mapping[str, AsyncOpen] = {
    "httpx": partial(aopen_httpx, httpx, False),
    "httpx2": partial(aopen_httpx, httpx2, False),
    "aiohttp": aopen_aiohttp,
    "pycurl": partial(aopen_pycurl, False),
}
HTTP2_CLIENTS: Mapping[str, Open] = {
    "httpx": partial(open_httpx, httpx, True),
    "httpx2": partial(open_httpx, httpx2, True),
    "pycurl": partial(open_pycurl, True),
}
ASYNC_HTTP2_CLIENTS: Mapping[str, AsyncOpen] = {
    "httpx": partial(aopen_httpx, httpx, True),
    "httpx2": partial(aopen_httpx, httpx2, True),
    "pycurl": partial(aopen_pycurl, True),
}

IS_TRANSIENT: Mapping[str, Callable[[Exception], bool | None]] = {
    "httpx": of_httpx.is_transient,
    "httpx2": of_httpx.is_transient,
    "aiohttp": of_aiohttp.is_transient,
    "requests": of_requests.is_transient,
    "urllib3": of_urllib3.is_transient,
    "pycurl": of_pycurl.is_transient,
    "urllib": of_urllib.is_transient,
}

#: The names of all, in the order in which they are shown.
NAMES = ("httpx", "httpx2", "aiohttp", "requests", "urllib3", "pycurl", "urllib")
