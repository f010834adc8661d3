# SPDX-License-Identifier: MIT
"""The README's proxy, `atee` between Starlette and httpx, with a real server on either side."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from tests.adapters.server import (
    EVENT_STREAM,
    FRAMINGS,
    GUARD,
    Connection,
    Server,
    becomes_true,
    broken_off,
    endless,
    respond,
    stream,
)
from tests.adapters.services import Uvicorn
from tests.pages import code_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE, TWO = b"id: 1\ndata: one\n\n", b"id: 2\ndata: two\n\n"
USED = b'data: {"usage": {"total_tokens": 42}}\n\n'


class Proxy(NamedTuple):
    url: str
    upstream: Server
    ledger: list[tuple[str, str, int, int]]
    connect_to: Callable[[str], None]

    def entry(self) -> tuple[str, str, int, int]:
        """Return the one entry of the ledger, when it is there."""
        assert becomes_true(lambda: bool(self.ledger))
        (entry,) = self.ledger
        return entry


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    code = code_with("class Relay")
    names: dict[str, Any] = {}
    with Server() as upstream:
        exec(
            compile(code.replace("https://example.org", upstream.origin), "README.md", "exec"),
            names,
        )
        client = names["client"]
        with Uvicorn(names["app"]) as service:
            yield Proxy(
                service.url, upstream, names["ledger"], lambda url: setattr(client, "base_url", url)
            )
            asyncio.run_coroutine_threadsafe(client.aclose(), service._loop).result(GUARD)


def test_the_proxy_passes_events_on_at_once(proxy: Proxy) -> None:
    parts = [b": hello\n\n", ONE, TWO, USED, b"data: [DONE]\n\n"]
    proxy.upstream.url(stream(parts, lock_step=True), "/chat")
    with httpx.stream(
        "POST", proxy.url + "/chat?a=b&c", content=b"{}", headers={"Authorization": "Bearer KEY"}
    ) as response:
        chunks = response.iter_bytes()
        for part in parts:
            assert next(chunks) == part
            proxy.upstream.acknowledge()
        assert list(chunks) == []
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
    assert proxy.entry() == ("/chat", "complete", len(b"".join(parts)), 42)
    (request,) = proxy.upstream.requests
    assert (request.method, request.target.partition("?")[0], request.body) == (
        "POST",
        "/chat",
        b"{}",
    )
    assert request.target.partition("?")[2] in ("a=b&c=", "a=b&c")
    assert request.header("Authorization") == b"Bearer KEY"


@pytest.mark.parametrize(
    ("status", "content_type"),
    [(200, "application/json"), (429, "application/problem+json; charset=utf-8")],
)
def test_the_proxy_passes_other_replies_on(proxy: Proxy, status: int, content_type: str) -> None:
    body = b'{\n"data": 1}'
    proxy.upstream.url(respond(status, body, [("Content-Type", content_type)]), "/chat")
    response = httpx.get(proxy.url + "/chat")
    assert (response.status_code, response.content) == (status, body)
    assert response.headers["Content-Type"] == content_type
    assert proxy.entry() == ("/chat", "complete", len(body), 0)


def test_the_proxy_and_compressed_replies(proxy: Proxy) -> None:
    proxy.upstream.url(stream([ONE, USED], FRAMINGS["gzip"]), "/chat")
    response = httpx.get(proxy.url + "/chat")
    assert response.content == ONE + USED
    assert "Content-Encoding" not in response.headers
    assert proxy.entry() == ("/chat", "complete", len(ONE + USED), 42)


def test_the_proxy_without_an_upstream(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    proxy.connect_to(f"http://127.0.0.1:{port}")
    response = httpx.get(proxy.url + "/chat")
    assert response.status_code == 502
    assert "ConnectError" in response.text
    assert proxy.ledger == []


def test_the_proxy_passes_comments_on_against_an_idle_limit(proxy: Proxy) -> None:
    """The comments are the only life of the stream, for longer than the client waits in silence."""
    limit, pause, count = 1.0, 0.1, 18

    def pings(connection: Connection) -> None:
        framing = FRAMINGS["chunked"]
        connection.send(framing.head(0, headers=[EVENT_STREAM]))
        for _ in range(count):
            framing.send(connection, b": ping\n\n")
            time.sleep(pause)
        framing.send(connection, USED)
        framing.end(connection)

    proxy.upstream.url(pings, "/chat")
    begin = time.monotonic()
    with httpx.stream(
        "GET", proxy.url + "/chat", timeout=httpx.Timeout(GUARD, read=limit)
    ) as response:
        assert b"".join(response.iter_bytes()) == b": ping\n\n" * count + USED
    assert time.monotonic() - begin > limit
    assert proxy.entry()[1:] == ("complete", 8 * count + len(USED), 42)


def test_the_client_of_the_proxy_leaves_half_way(proxy: Proxy) -> None:
    proxy.upstream.url(stream([USED, ONE], lock_step=True), "/chat")
    with httpx.stream("GET", proxy.url + "/chat") as response:
        assert next(response.iter_bytes()) == USED
    assert proxy.entry() == ("/chat", "closed", len(USED), 42)
    assert proxy.upstream.connections[0].released.wait(GUARD)


def test_the_client_of_the_proxy_leaves_a_busy_stream(proxy: Proxy) -> None:
    """It leaves while the proxy sends, not while it waits for the upstream."""
    proxy.upstream.url(endless(piece=ONE * 1000), "/chat")
    with httpx.stream("GET", proxy.url + "/chat") as response:
        next(response.iter_bytes())
    assert proxy.entry()[1] == "closed"


def test_the_upstream_of_the_proxy_breaks_off(proxy: Proxy) -> None:
    proxy.upstream.url(broken_off(200, USED + b"data: cut", [EVENT_STREAM]), "/chat")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(proxy.url + "/chat")
    assert proxy.entry() == ("/chat", "failed", len(USED + b"data: cut"), 42)
