# SPDX-License-Identifier: MIT
"""Every client under its `subscribe`, in one form."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pycurl  # type: ignore[import-untyped]
import requests
import trio
import urllib3

from sse_stream.adapters import aiohttp as aiohttp_adapter
from sse_stream.adapters import httpx as httpx_adapter
from sse_stream.adapters import pycurl as pycurl_adapter
from sse_stream.adapters import requests as requests_adapter
from sse_stream.adapters import urllib as urllib_adapter
from sse_stream.adapters import urllib3 as urllib3_adapter
from sse_stream.reconnect import ReconnectionPolicy

from .server import NO_TLS

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = ReconnectionPolicy(initial=0, maximum=0, minimum=0, jitter=0, max_attempts=3)


class Client:
    """A client under its `subscribe`: `run` returns the data, and the error that ended it."""

    def __init__(
        self, adapter: Any, new: Callable[..., Any], loop: Any = None, idle: str = "timeout"
    ) -> None:
        self.adapter, self.new, self.loop, self.idle = adapter, new, loop, idle

    def run(
        self, url: str, limit: int = 10**6, idle: float | None = None, **options: Any
    ) -> tuple[list[str], Any]:
        options.setdefault("policy", QUICK)
        options[self.idle] = idle
        if (
            self.idle == "timeout"
            and idle is None
            and self.loop is None
            and self.adapter is httpx_adapter
        ):
            options["timeout"] = None
        data: list[str] = []
        if self.loop is not None:
            error = self.loop(self._arun, url, limit, data, options)
            return data, error
        client = self.new()
        try:
            with self.adapter.subscribe(
                client, options.pop("method", "GET"), url, **options
            ) as self.source:
                for event in self.source:
                    data.append(event.data)
                    if len(data) == limit:
                        break
        except Exception as error:
            return data, error
        finally:
            if hasattr(client, "close"):
                client.close()
            if hasattr(client, "clear"):
                client.clear()
        return data, None

    async def _arun(self, url: str, limit: int, data: list[str], options: Any) -> Any:
        client = self.new()
        try:
            async with self.adapter.asubscribe(
                client, options.pop("method", "GET"), url, **options
            ) as self.source:
                async for event in self.source:
                    data.append(event.data)
                    if len(data) == limit:
                        break
        except Exception as error:
            return error
        finally:
            close = getattr(client, "aclose", None) or client.close
            closing = close()
            if closing is not None:
                await closing
        return None


def on_asyncio(function: Any, *arguments: Any) -> Any:
    return asyncio.run(function(*arguments))


class LazySession:
    """A ClientSession is made inside the loop."""

    def __new__(cls) -> Any:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))


CLIENTS: dict[str, Client] = {
    "httpx": Client(httpx_adapter, partial(httpx.Client, verify=NO_TLS)),
    "httpx on asyncio": Client(
        httpx_adapter, partial(httpx.AsyncClient, verify=NO_TLS), on_asyncio
    ),
    "httpx on trio": Client(httpx_adapter, partial(httpx.AsyncClient, verify=NO_TLS), trio.run),
    "httpx2": Client(httpx_adapter, partial(httpx2.Client, verify=NO_TLS)),
    "aiohttp": Client(aiohttp_adapter, LazySession, on_asyncio, "idle_timeout"),
    "requests": Client(requests_adapter, requests.Session),
    "urllib3": Client(urllib3_adapter, urllib3.PoolManager),
    "urllib": Client(urllib_adapter, lambda: None),
    "pycurl": Client(pycurl_adapter, pycurl.Curl, None, "idle_timeout"),
    "pycurl on asyncio": Client(pycurl_adapter, pycurl.Curl, on_asyncio, "idle_timeout"),
}
