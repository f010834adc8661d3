# SPDX-License-Identifier: MIT
"""Gateways of Starlette and httpx under uvicorn, between a server and every client."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from sse_stream import (
    AsyncEventStream,
    EventStream,
    ServerSentEvent,
    SSEDecoder,
    SSEEncoder,
    arewrite,
    atee,
    awhole_events,
)
from tests.clients import ASYNC_CLIENTS, CLIENTS, NO_TLS

from .server import (
    EVENT_STREAM,
    FRAMINGS,
    GUARD,
    Connection,
    Server,
    becomes_true,
    broken_off,
    stream,
)
from .services import Uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

    from starlette.requests import Request

ONE, TWO = b"id: 1\ndata: one\n\n", b"id: 2\ndata: two\n\n"


class Body(StreamingResponse):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with self.body_iterator:  # type: ignore[attr-defined]  # whatever `relay` returns
            await super().__call__(scope, receive, send)


@contextmanager
def gateway(upstream: Server, relay: Callable[[Any, httpx.Response], Any]) -> Generator[str]:
    """Pass on what the server says at the same path, through `relay`; give the URL."""
    clients: list[httpx.AsyncClient] = []

    async def respond(request: Request) -> Body:
        if not clients:
            clients.append(httpx.AsyncClient(verify=NO_TLS, timeout=None))
        asked = clients[0].build_request("GET", upstream.origin + request.url.path)
        reply = await clients[0].send(asked, stream=True)
        return Body(relay(reply.aiter_bytes(), reply), media_type="text/event-stream")

    with Uvicorn(Starlette(routes=[Route("/{path:path}", respond)])) as service:
        yield service.url
        for client in clients:
            asyncio.run_coroutine_threadsafe(client.aclose(), service._loop).result(GUARD)


# Keeping alive.

SILENCE, LIMIT, KEEPALIVE = 1.5, 0.8, 0.05


def with_a_silence(before: bytes, after: bytes) -> Callable[[Connection], None]:
    def handler(connection: Connection) -> None:
        framing = FRAMINGS["chunked"]
        connection.send(framing.head(0, headers=[EVENT_STREAM]))
        if before:
            framing.send(connection, before)
        time.sleep(SILENCE)
        framing.send(connection, after)
        framing.end(connection)

    return handler


def test_a_client_with_a_read_limit_survives_a_silent_upstream(server: Server) -> None:
    stream = ONE + b"id: 2\nevent: note\ndata: two\ndata: more\n\n"
    # Before the first event, between two, between two lines of an event; and where nothing helps.
    places = [0, len(ONE), stream.index(b"event"), stream.index(b"data: more"), 3]
    paths = [f"/{place}" for place in places]
    for place, path in zip(places, paths, strict=True):
        server.url(with_a_silence(stream[:place], stream[place:]), path)

    limit = httpx.Timeout(GUARD, read=LIMIT)

    def read(url: str) -> tuple[list[ServerSentEvent], list[str]]:
        comments: list[str] = []
        decoder = SSEDecoder(on_comment=comments.append)
        with (
            httpx.stream("GET", url, verify=NO_TLS, timeout=limit) as response,
            EventStream(response.iter_bytes(), decoder=decoder) as events,
        ):
            return [*events], comments

    def relay(chunks: Any, reply: httpx.Response) -> Any:
        return atee(chunks, response=reply, keepalive=KEEPALIVE)

    with gateway(server, relay) as url, ThreadPoolExecutor(len(paths)) as pool:
        *reads, hopeless = [pool.submit(read, url + path) for path in paths]
        expected = SSEDecoder().feed(stream)
        for outcome in reads:
            events, comments = outcome.result()
            assert events == expected
            assert {*comments} == {"keep-alive"}
        with pytest.raises(httpx.ReadTimeout):  # in a line
            hopeless.result()


def test_a_client_that_leaves_while_upstream_is_silent_is_noticed(server: Server) -> None:
    """Without a comment to send, a proxy learns of it only from its server."""

    def silent(connection: Connection) -> None:
        connection.send(HEAD)
        connection.stall()

    server.url(silent, "/")
    with gateway(server, lambda chunks, reply: atee(chunks, response=reply, keepalive=0.02)) as url:
        with httpx.stream("GET", url, verify=NO_TLS) as response:
            assert next(response.iter_bytes()) == b": keep-alive\n\n"
        assert becomes_true(lambda: server.connections[0].released.is_set())


HEAD = FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM])


@asynccontextmanager
async def opened(client: str, url: str) -> AsyncGenerator[tuple[Any, Any]]:
    """Give a response, and its chunks."""
    if client == "aiohttp":
        async with aiohttp.ClientSession() as session:
            response = await session.get(url)
            yield response, response.content.iter_any()
    else:
        module: Any = {"httpx": httpx, "httpx2": httpx2}[client]
        async with module.AsyncClient(verify=NO_TLS, timeout=None) as session:
            reply = await session.send(session.build_request("GET", url), stream=True)
            yield reply, reply.aiter_bytes()


@pytest.mark.parametrize("way", ["leave", "cancel", "close"])
@pytest.mark.parametrize("client", ["aiohttp", "httpx", "httpx2"])
def test_leaving_a_silent_upstream_releases_its_connection(
    server: Server, client: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    def silent(connection: Connection) -> None:
        connection.send(HEAD)
        connection.stall()

    async def main() -> None:
        states: list[str] = []
        async with opened(client, server.url(silent)) as (response, chunks):
            tee = atee(
                chunks,
                response=response,
                keepalive=0.01,
                on_end=lambda outcome: states.append(outcome.state),
            )
            count = 0

            async def read() -> None:
                nonlocal count
                async with tee:
                    async for chunk in tee:
                        assert chunk == b": keep-alive\n\n"
                        count += 1
                        if count > 1 and way == "leave":
                            break

            task = asyncio.create_task(read())
            while count < 2:
                await asyncio.sleep(0.01)
            if way == "cancel":
                task.cancel()
            elif way == "close":
                await tee.aclose()
            await asyncio.wait({task}, timeout=GUARD)
            assert task.done()
            released = server.connections[0].released
            assert await asyncio.to_thread(released.wait, GUARD)
        assert states == ["closed"]

    asyncio.run(main())
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


# Whole events.


class WithAnErrorAtTheEnd:
    """Whole events, and an event of the gateway's own if upstream fails."""

    def __init__(self, chunks: Any, reply: httpx.Response) -> None:
        self.chunks = awhole_events(chunks, response=reply)

    async def __aenter__(self) -> WithAnErrorAtTheEnd:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.chunks.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.chunks:
                yield chunk
        except httpx.TransportError as error:
            yield SSEEncoder().event(type(error).__name__, event="error")


EXPECTED = [
    ServerSentEvent(data="one", id="1"),
    ServerSentEvent(data="two", id="2"),
]


@pytest.fixture(scope="module")
def failing() -> Iterator[str]:
    with Server() as server:
        server.url(broken_off(200, ONE + TWO + b"id: 3\ndata: th", [EVENT_STREAM]), "/short")
        server.url(broken_off(200, ONE + TWO + b"id: 3\nretry: 5\n", [EVENT_STREAM]), "/no-data")
        server.url(broken_off(200, ONE + TWO + b": comm", [EVENT_STREAM]), "/comment")
        with gateway(server, WithAnErrorAtTheEnd) as url:
            yield url


@pytest.mark.parametrize("path", ["/short", "/no-data", "/comment"])
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_event_after_the_last_whole_one(failing: str, client: str, path: str) -> None:
    decoder = SSEDecoder(incomplete="raise")
    with CLIENTS[client](failing + path, limit=GUARD, decoder=decoder) as stream:
        events = [*stream]
        assert events == [*EXPECTED, ServerSentEvent("error", "RemoteProtocolError", "2")]
        assert (stream.last_event_id, stream.retry) == ("2", None)


@pytest.mark.parametrize("client", ASYNC_CLIENTS)
def test_an_error_event_after_the_last_whole_one_async(failing: str, client: str) -> None:
    async def main() -> None:
        decoder = SSEDecoder(incomplete="raise")
        async with ASYNC_CLIENTS[client](
            failing + "/short", limit=GUARD, decoder=decoder
        ) as stream:
            events = [event async for event in stream]
            assert events == [*EXPECTED, ServerSentEvent("error", "RemoteProtocolError", "2")]

    asyncio.run(main())


# Rewriting.


def edit(event: ServerSentEvent) -> Any:
    """Rename the model, leave the usage out, split what comes in two."""
    if event.data == "[DONE]":
        return event
    payload = event.json()
    if "usage" in payload:
        return None
    payload["model"] = "ours"
    whole = event._replace(data=json.dumps(payload))
    if len(payload["choices"]) < 2:
        return whole
    parts = [{**payload, "choices": [choice]} for choice in payload["choices"]]
    return [event._replace(data=json.dumps(part)) for part in parts]


def chunk(id_line: str = "", **payload: Any) -> bytes:
    return f"{id_line}data: {json.dumps({'model': 'theirs', **payload})}\r\n\r\n".encode()


PARTS = [
    b"\xef\xbb\xbf: hello\n\n",
    b"retry: 300\n\n",
    chunk("id: 1\r\n", choices=["a"]),
    b": keep-alive\r",
    b"\n",
    chunk(": within\r\nfoo\r\nid: 2\r\n", choices=["b", "c"]),
    chunk("id: 3\r\n", choices=[], usage=5),
    b": keep-alive\n\n",
    b"data: [DONE]\n\n",
]


def test_a_gateway_that_rewrites(server: Server) -> None:
    """In lock step: each comment and each event is out before upstream sends the next part."""
    server.url(stream(PARTS, lock_step=True), "/")
    comments: list[str] = []
    decoder = SSEDecoder(on_comment=comments.append)
    seen: list[Any] = []
    with (
        gateway(server, lambda chunks, reply: arewrite(chunks, edit, response=reply)) as url,
        httpx.stream("GET", url, verify=NO_TLS, timeout=GUARD) as response,
    ):
        for piece in response.iter_bytes():
            seen.append([event.data for event in decoder.feed(piece)])
            server.acknowledge()
    models = [json.loads(data)["model"] for step in seen[:-1] for data in step]
    assert models == ["ours"] * 3
    assert seen[-1] == ["[DONE]"]
    assert [len(data) for data in seen] == [0, 0, 1, 0, 0, 2, 0, 0, 1]
    assert comments == ["hello", "keep-alive", "within", "keep-alive"]
    assert (decoder.last_event_id, decoder.retry, decoder.ignored_text) == ("3", 300, "foo")
    assert not decoder.close()


def test_a_reader_of_a_gateway_resumes_where_it_was(server: Server) -> None:
    """The gateway passes on what the reader resumes from; nothing is written twice."""

    async def main() -> None:
        async def upstream() -> AsyncIterator[bytes]:
            yield b"data: three\n\n"
            yield b"id: 4\ndata: four\n\n"

        relayed = arewrite(
            upstream(), lambda event: event._replace(data=event.data.upper()), last_event_id="2"
        )
        async with AsyncEventStream(relayed, decoder=SSEDecoder(last_event_id="2")) as events:
            got = [event async for event in events]
        assert got == [ServerSentEvent(data="THREE", id="2"), ServerSentEvent(data="FOUR", id="4")]

    asyncio.run(main())
