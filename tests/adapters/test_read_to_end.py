# SPDX-License-Identifier: MIT
"""After the mark of a payload stream the connection can be used again, if one asks for that."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import trio
import urllib3

from sse_stream import aiter_payloads, iter_payloads
from sse_stream.adapters import aiohttp as with_aiohttp
from sse_stream.adapters import httpx as with_httpx
from sse_stream.adapters import requests as with_requests
from sse_stream.adapters import urllib3 as with_urllib3
from tests.adapters.server import EVENT_STREAM, FRAMINGS, NO_TLS, Server, http_2_server, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.adapters.server import Connection

PARTS = [b'data: {"text": "a"}\n\n', b"data: [DONE]\n\n"]
CLIENTS: dict[str, tuple[Callable[[], Any], Any]] = {
    "httpx": (partial(httpx.Client, verify=NO_TLS), with_httpx.connect),
    "httpx2": (partial(httpx2.Client, verify=NO_TLS), with_httpx.connect),
    "requests": (requests.Session, with_requests.connect),
    "urllib3": (urllib3.PoolManager, with_urllib3.connect),
}
ASYNC_CLIENTS: dict[str, tuple[Callable[[], Any], Any]] = {
    "httpx": (partial(httpx.AsyncClient, verify=NO_TLS), with_httpx.aconnect),
    "httpx2": (partial(httpx2.AsyncClient, verify=NO_TLS), with_httpx.aconnect),
    "aiohttp": (aiohttp.ClientSession, with_aiohttp.aconnect),
}
clients = pytest.mark.parametrize("name", CLIENTS)
read_to_end = pytest.mark.parametrize("read_to_end", [True, False])


def close(client: Any) -> None:
    (client.clear if isinstance(client, urllib3.PoolManager) else client.close)()


def after_the_mark(connection: Connection) -> None:
    """Send the mark, and the end of the body a little later, as services do."""
    framing = FRAMINGS["chunked"]
    encoded = framing.encode(PARTS)
    connection.send(framing.head(sum(map(len, encoded)), headers=[EVENT_STREAM]))
    for part in encoded:
        framing.send(connection, part)
    time.sleep(0.02)
    framing.end(connection)


@clients
@read_to_end
def test_five_requests_on_one_connection(name: str, read_to_end: bool) -> None:
    make, connect = CLIENTS[name]
    with Server() as server:
        url = server.url(after_the_mark)
        client = make()
        for _ in range(5):
            with (
                connect(client, "POST", url) as events,
                iter_payloads(events, require_done=True, read_to_end=read_to_end) as payloads,
            ):
                assert list(payloads) == [{"text": "a"}]
        close(client)
        assert len(server.requests) == 5
        assert len(server.connections) == (1 if read_to_end else 5)


# On trio httpx warns of generators of its own that were left early, whatever its caller does.
ASYNC_RUNS = [
    *((name, asyncio.run, read_on) for name in ASYNC_CLIENTS for read_on in (True, False)),
    *((name, trio.run, True) for name in ("httpx", "httpx2")),
]


@pytest.mark.parametrize(("name", "run", "read_to_end"), ASYNC_RUNS)
def test_five_requests_on_one_connection_async(name: str, run: Any, read_to_end: bool) -> None:
    make, connect = ASYNC_CLIENTS[name]

    async def main(server: Server, url: str) -> None:
        async with make() as client:
            for _ in range(5):
                async with connect(client, "POST", url) as events:
                    payloads = aiter_payloads(events, require_done=True, read_to_end=read_to_end)
                    assert [payload async for payload in payloads] == [{"text": "a"}]

    with Server() as server:
        url = server.url(after_the_mark)
        run(main, server, url) if run is trio.run else run(main(server, url))
        assert len(server.requests) == 5
        assert len(server.connections) == (1 if read_to_end else 5)


def never_ends(connection: Connection) -> None:
    framing = FRAMINGS["chunked"]
    connection.send(framing.head(0, headers=[EVENT_STREAM]))
    for part in framing.encode(PARTS):
        framing.send(connection, part)
    connection.stall()


@clients
def test_a_server_that_keeps_silent_after_the_mark_holds_nobody_up(name: str) -> None:
    make, connect = CLIENTS[name]
    with Server() as server:
        client = make()
        begin = time.monotonic()
        with connect(client, "POST", server.url(never_ends)) as events:
            assert list(iter_payloads(events, read_to_end=True)) == [{"text": "a"}]
        assert 0.5 < time.monotonic() - begin < 4
        close(client)


def test_nothing_is_read_on_over_http_2() -> None:
    with (
        http_2_server() as (url, go_on),
        httpx.Client(http1=False, http2=True, timeout=20) as client,
    ):
        too_late = threading.Timer(2, go_on.set)
        too_late.start()
        with with_httpx.connect(client, "GET", url) as events:
            payloads = iter_payloads(events, loads=str, done=lambda *_: True, read_to_end=True)
            assert len(list(payloads)) == 1
            assert not go_on.is_set(), "other streams use the connection: it is free as it is"
        go_on.set()
        too_late.cancel()


def test_closing_while_it_reads_on() -> None:
    with Server() as server, httpx.Client(verify=NO_TLS, timeout=None) as client:
        request = client.build_request("GET", server.url(never_ends))
        response = client.send(request, stream=True)
        payloads = iter_payloads(with_httpx.iter_events(response), read_to_end=True)
        assert next(payloads) == {"text": "a"}
        threading.Timer(0.1, payloads.close).start()
        assert list(payloads) == []
        assert response.is_closed


def test_closing_while_it_reads_on_async() -> None:
    async def main(url: str) -> None:
        async with httpx.AsyncClient(verify=NO_TLS, timeout=None) as client:
            response = await client.send(client.build_request("GET", url), stream=True)
            payloads = aiter_payloads(with_httpx.aiter_events(response), read_to_end=True)
            assert await anext(payloads) == {"text": "a"}
            read = asyncio.ensure_future(anext(payloads, "the end"))
            await asyncio.sleep(0.1)
            await payloads.aclose()
            assert await read == "the end"
            assert response.is_closed

    with Server() as server:
        asyncio.run(main(server.url(never_ends)))


def test_what_comes_after_the_mark_is_not_read_without_end() -> None:
    endless = [*PARTS, *[b"data: " + b"x" * 10_000 + b"\n\n"] * 100]
    with Server() as server, httpx.Client() as client:
        url = server.url(stream(endless))
        with with_httpx.connect(client, "GET", url) as events:
            assert list(iter_payloads(events, read_to_end=True)) == [{"text": "a"}]
        with with_httpx.connect(client, "GET", url) as events:
            assert next(iter_payloads(events)) == {"text": "a"}
        assert len(server.connections) == 2
