# SPDX-License-Identifier: MIT
"""The README's proxy, `atee` between Starlette and httpx, with a real server on either side."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from tests import llm
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
    from collections.abc import Callable, Generator, Iterator

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
    with serving(code_with("class Relay")) as proxy:
        yield proxy


@contextmanager
def serving(code: str, **names: Any) -> Generator[Proxy]:
    """Run the code of the proxy, with these names besides its own, and serve it."""
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


# What is counted.


def events(*payloads: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(payload).encode() for payload in payloads)


def growing(count: int) -> dict[str, Any]:
    usage = {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count}
    return {"choices": [], "usage": usage}


ANTHROPIC = {"type": "message", "usage": {"input_tokens": 9, "output_tokens": 6}}
RESPONSES = {"input_tokens": 9, "output_tokens": 6, "total_tokens": 15}
STREAMS = {
    "in the last chunk alone": (b"".join(llm.OPENAI.parts), 15),
    "growing": (events(growing(1), growing(3), growing(6)) + b"data: [DONE]\n\n", 15),
    "null up to the last": (events({"usage": None}, growing(6)), 15),
    "Anthropic": (b"".join(llm.ANTHROPIC.parts), 15),
    "Responses": (
        events({"type": "a"}, {"type": "response.completed", "response": {"usage": RESPONSES}}),
        15,
    ),
    "details": (events({"usage": {**RESPONSES, "details": {"cached_tokens": 5}}}), 15),
    "none": (events({"choices": []}, [1], "text", 5, None, {"usage": "much"}), 0),
    "no JSON": (b"event: ping\ndata: 2026-11-28\n\ndata\n\n" + events(growing(6)), 15),
    "cut": (events(growing(3)) + events(growing(6))[:-9], 12),
}


@pytest.mark.parametrize("framing", ["chunked", "gzip"])
def test_the_proxy_counts(proxy: Proxy, framing: str) -> None:
    for name, (body, total) in STREAMS.items():
        proxy.upstream.url(stream([body], FRAMINGS[framing]), "/chat")
        assert httpx.get(proxy.url + "/chat").content == body
        state = "truncated" if name == "cut" else "complete"
        assert proxy.entry() == ("/chat", state, len(body), total), name
        proxy.ledger.clear()


def test_the_proxy_counts_replies_that_are_not_streamed(proxy: Proxy) -> None:
    headers = [("Content-Type", "application/json; charset=utf-8")]
    documents: list[Any] = [growing(6), ANTHROPIC, {"object": "response", "usage": RESPONSES}]
    for document in documents:
        body = json.dumps(document).encode()
        proxy.upstream.url(stream([body], FRAMINGS["gzip"], headers=headers), "/chat")
        response = httpx.get(proxy.url + "/chat")
        assert response.json() == document
        assert response.headers["Content-Type"] == headers[0][1]
        assert proxy.entry() == ("/chat", "complete", len(body), 15)
        proxy.ledger.clear()


def test_the_proxy_and_a_document_that_breaks_off(proxy: Proxy) -> None:
    proxy.upstream.url(broken_off(200, b'{"a', [("Content-Type", "application/json")]), "/chat")
    response = httpx.get(proxy.url + "/chat")
    assert (response.status_code, "RemoteProtocolError" in response.text) == (502, True)
    assert proxy.ledger == []


def test_the_proxy_passes_json_lines_on_at_once(proxy: Proxy) -> None:
    parts = [b'{"a": 1}\n', b'{"done": true}\n']
    headers = [("Content-Type", "application/x-ndjson")]
    proxy.upstream.url(stream(parts, lock_step=True, headers=headers), "/chat")
    with httpx.stream("GET", proxy.url + "/chat") as response:
        for part, chunk in zip(parts, response.iter_bytes(), strict=True):
            assert chunk == part
            proxy.upstream.acknowledge()
    assert proxy.entry() == ("/chat", "complete", len(b"".join(parts)), 0)


def test_the_proxy_keeps_a_client_alive() -> None:
    with serving(code_with("class Relay").replace("keepalive=15", "keepalive=0.05")) as proxy:
        proxy.upstream.url(stream([USED], lock_step=True), "/chat")
        with httpx.stream("GET", proxy.url + "/chat") as response:
            chunks = response.iter_bytes()
            got = [next(chunks) for _ in range(4)]
            assert USED in got
            assert {*got} <= {USED, b": keep-alive\n\n"}
            proxy.upstream.acknowledge()
        assert proxy.entry()[2:] == (len(USED), 42)


@contextmanager
def pumping(**replacements: str) -> Generator[Proxy]:
    """Serve the proxy with the pump, as the page says."""
    code = code_with("class Relay")
    for old, new in replacements.items():
        assert old in code
        code = code.replace(old, new)
    code = code.replace(
        "return Relay(body,",
        "queue = asyncio.Queue()\n"
        "    tasks.append(asyncio.create_task(pump(body, queue)))\n"
        "    return StreamingResponse(listen(queue),",
    )
    pump: dict[str, Any] = {}
    exec(code_with("async def pump").replace("asyncio.run(main())", ""), pump)
    tasks: list[Any] = []
    with serving(code, tasks=tasks, **{n: pump[n] for n in ("asyncio", "pump", "listen")}) as proxy:
        yield proxy
        assert becomes_true(lambda: all(task.done() for task in tasks))


def leave_after_one(proxy: Proxy) -> None:
    with httpx.stream("GET", proxy.url + "/chat") as response:
        assert next(response.iter_bytes()) == ONE


def test_the_pump_counts_though_the_client_has_left() -> None:
    with pumping() as proxy:
        proxy.upstream.url(stream([ONE, USED], lock_step=True), "/chat")
        leave_after_one(proxy)
        proxy.upstream.acknowledge(2)
        assert proxy.entry() == ("/chat", "complete", len(ONE + USED), 42)
        proxy.ledger.clear()
        proxy.upstream.url(broken_off(200, USED + b"data: cut", [EVENT_STREAM]), "/chat")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(proxy.url + "/chat")
        assert proxy.entry()[1:] == ("failed", len(USED + b"data: cut"), 42)


@pytest.mark.parametrize(("last", "state"), [(b"data: [DONE]\n\n", "complete"), (TWO, "failed")])
def test_the_mark_decides_what_the_pump_has_counted(last: bytes, state: str) -> None:
    """The client has left, and upstream breaks off: after the mark nothing is missing."""

    def broken(connection: Connection) -> None:
        framing = FRAMINGS["chunked"]
        connection.send(framing.head(0, headers=[EVENT_STREAM]))
        framing.send(connection, ONE)
        connection.wait()
        framing.send(connection, USED + last)
        connection.close()  # without the last chunk

    with pumping(**{"keepalive=15": 'done="[DONE]"'}) as proxy:
        proxy.upstream.url(broken, "/chat")
        leave_after_one(proxy)
        proxy.upstream.acknowledge()
        assert proxy.entry() == ("/chat", state, len(ONE + USED + last), 42)
