# SPDX-License-Identifier: MIT
"""What tests of applications put in a client's place, each of the real package."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import aiohttp.test_utils
import aiohttp.web
import httpx
import httpx2
import pytest
import requests
import requests_mock
import responses
import respx
import starlette.applications
import starlette.responses
import starlette.routing
import starlette.testclient
import trio
import urllib3
import vcr  # type: ignore[import-untyped]

from sse_stream import ContentTypeError, SSEDecoder, StatusError
from sse_stream.adapters import aiohttp as of_aiohttp
from sse_stream.adapters import httpx as of_httpx
from sse_stream.adapters import requests as of_requests
from sse_stream.adapters import urllib3 as of_urllib3
from sse_stream.policy import ReconnectionPolicy

from .server import FRAMINGS, Server, respond, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pytest_httpx import HTTPXMock

BODY = b"id: 1\ndata: one\n\nid: 2\ndata: two\n\n"
PARTS = [b"id: 1\ndata: one\n\n", b"id: 2\ndata: two\n\n"]
EVENTS = {"Content-Type": "text/event-stream"}
URL = "http://example.org/events"
WHY = b'{"error": "why"}'


def check(connect: Any, client: Any) -> None:
    """Read the stream at URL with a client, and an error at URL/none."""
    with connect(client, "GET", URL) as events:
        assert [event.data for event in events] == ["one", "two"]
        assert events.last_event_id == "2"
        assert list(events) == []
    with connect(client, "GET", URL) as events:
        assert next(events).data == "one"
    with pytest.raises(StatusError) as caught:
        connect(client, "GET", URL + "/none").__enter__()
    assert (caught.value.status, caught.value.json()) == (404, json.loads(WHY))


async def acheck(connect: Any, client: Any) -> None:
    async with connect(client, "GET", URL) as events:
        assert [event.data async for event in events] == ["one", "two"]
        assert events.last_event_id == "2"
    async with connect(client, "GET", URL) as events:
        assert (await events.__anext__()).data == "one"
    with pytest.raises(StatusError) as caught:
        await connect(client, "GET", URL + "/none").__aenter__()
    assert (caught.value.status, caught.value.json()) == (404, json.loads(WHY))


# vcrpy: it puts a response of http.client in the place of urllib3's.

FETCH: dict[str, Callable[[str], Any]] = {
    "requests": lambda url: of_requests.connect(requests.Session(), "GET", url),
    "urllib3": lambda url: of_urllib3.connect(urllib3.PoolManager(), "GET", url),
}


@pytest.mark.parametrize("client", FETCH)
def test_vcrpy(server: Server, tmp_path: Path, client: str) -> None:
    url = server.url(stream(PARTS))
    refused = server.url(respond(500, WHY))
    for _ in range(2):  # it records, then replays
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
            with FETCH[client](url) as events:
                assert [event.data for event in events] == ["one", "two"]
            with pytest.raises(StatusError) as caught:
                FETCH[client](refused).__enter__()
            assert (caught.value.body, caught.value.url) == (WHY, refused)
    assert len(server.requests) == 2


@pytest.mark.parametrize("client", FETCH)
@pytest.mark.parametrize("decoded", [False, True])
def test_vcrpy_and_a_compressed_body(
    server: Server, tmp_path: Path, client: str, decoded: bool
) -> None:
    url = server.url(stream(PARTS, FRAMINGS["gzip"]))
    for _ in range(2):
        path = str(tmp_path / "cassette.yaml")
        cassette = vcr.use_cassette(path, decode_compressed_response=decoded)
        with cassette, FETCH[client](url) as events:
            assert [event.data for event in events] == ["one", "two"]
    assert len(server.requests) == 1


def test_vcrpy_and_a_body_that_was_recorded_as_it_came(server: Server, tmp_path: Path) -> None:
    """Cassettes of older versions hold compressed bytes."""
    url = server.url(stream(PARTS, FRAMINGS["Content-Length"]))
    path = tmp_path / "cassette.yaml"
    with vcr.use_cassette(str(path)), FETCH["urllib3"](url):
        pass
    body = base64.b64encode(gzip.compress(BODY)).decode()
    text = path.read_text()
    recorded = text[text.index("      string:") : text.index("    headers:", text.index("string:"))]
    path.write_text(
        text.replace(recorded, f"      string: !!binary {body}\n").replace(
            "    headers:\n      Content-Length:\n      - '34'\n",
            "    headers:\n      Content-Encoding:\n      - gzip\n",
        )
    )
    assert "gzip" in path.read_text()
    for client in FETCH:
        with vcr.use_cassette(str(path), record_mode="none"), FETCH[client](url) as events:
            assert [event.data for event in events] == ["one", "two"]


@pytest.mark.parametrize("adapter", [of_requests, of_urllib3], ids=["requests", "urllib3"])
def test_vcrpy_under_subscribe(server: Server, tmp_path: Path, adapter: Any) -> None:
    handlers = iter([stream(PARTS), respond(204, headers=[])])
    url = server.url(lambda connection: next(handlers)(connection))
    for _ in range(2):
        client = requests.Session() if adapter is of_requests else urllib3.PoolManager()
        policy = ReconnectionPolicy(initial=0, jitter=0, minimum=0)
        with (
            vcr.use_cassette(str(tmp_path / "cassette.yaml"), match_on=["method", "headers"]),
            adapter.subscribe(client, "GET", url, policy=policy) as source,
        ):
            assert [event.data for event in source] == ["one", "two"]
    assert len(server.requests) == 2


# requests.


def test_responses() -> None:
    with responses.RequestsMock() as mock:
        mock.get(URL, body=BODY, content_type="text/event-stream")
        mock.get(URL + "/none", body=WHY, status=404)
        check(of_requests.connect, requests.Session())


def test_requests_mock() -> None:
    with requests_mock.Mocker() as mock:
        mock.get(URL, content=BODY, headers=EVENTS)
        mock.get(URL + "/none", content=WHY, status_code=404)
        check(of_requests.connect, requests.Session())


# httpx.


def answer(module: Any) -> Callable[[Any], Any]:
    def handler(request: Any) -> Any:
        if request.url.path.endswith("none"):
            return module.Response(404, content=WHY)
        return module.Response(200, headers=EVENTS, content=BODY)

    return handler


@pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_mock_transport(module: Any) -> None:
    transport = module.MockTransport(answer(module))
    with module.Client(transport=transport) as client:
        check(of_httpx.connect, client)

    async def main() -> None:
        async with module.AsyncClient(transport=transport) as client:
            await acheck(of_httpx.aconnect, client)

    asyncio.run(main())
    trio.run(main)


def test_respx() -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await acheck(of_httpx.aconnect, client)

    with respx.mock:
        respx.get(URL).respond(200, headers=EVENTS, content=BODY)
        respx.get(URL + "/none").respond(404, content=WHY)
        with httpx.Client() as client:
            check(of_httpx.connect, client)
        check(of_httpx.connect, httpx)
        asyncio.run(main())


def test_pytest_httpx(httpx_mock: HTTPXMock) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await acheck(of_httpx.aconnect, client)

    httpx_mock.add_response(url=URL, headers=EVENTS, content=BODY, is_reusable=True)
    none = {"status_code": 404, "content": WHY}
    httpx_mock.add_response(url=URL + "/none", is_reusable=True, **none)  # type: ignore[arg-type]
    with httpx.Client() as client:
        check(of_httpx.connect, client)
    asyncio.run(main())


async def in_two_parts() -> AsyncIterator[bytes]:
    for part in PARTS:
        yield part


APPLICATION = starlette.applications.Starlette(
    routes=[
        starlette.routing.Route(
            "/events",
            lambda request: starlette.responses.StreamingResponse(
                in_two_parts(), media_type="text/event-stream"
            ),
        ),
        starlette.routing.Route(
            "/events/none", lambda request: starlette.responses.Response(WHY, status_code=404)
        ),
    ]
)


def test_asgi_transport() -> None:
    async def main() -> None:
        for module in (httpx, httpx2):
            transport = module.ASGITransport(APPLICATION)
            async with module.AsyncClient(transport=transport) as client:
                await acheck(of_httpx.aconnect, client)

    asyncio.run(main())


def test_the_test_client_of_starlette() -> None:
    with starlette.testclient.TestClient(APPLICATION, base_url="http://example.org") as client:
        check(of_httpx.connect, client)
        with of_httpx.connect(client, "GET", "/events") as events:
            assert [event.data for event in events] == ["one", "two"]


# aiohttp.


async def send_events(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
    if request.headers.get("Last-Event-ID") == "2":
        return aiohttp.web.Response(status=204)
    response = aiohttp.web.StreamResponse(headers=EVENTS)
    await response.prepare(request)
    for part in PARTS:
        await response.write(part)
    return response


def test_the_test_client_of_aiohttp() -> None:
    async def none(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(body=WHY, status=404)

    async def main() -> None:
        application = aiohttp.web.Application()
        application.router.add_get("/events", send_events)
        application.router.add_get("/none", none)
        server = aiohttp.test_utils.TestServer(application)
        async with aiohttp.test_utils.TestClient(server, headers={"X-Own": "a"}) as client:
            async with of_aiohttp.aconnect(client, "GET", "/events", idle_timeout=5) as events:
                assert [event.data async for event in events] == ["one", "two"]
                assert events.response.request_info.headers["Accept"] == "text/event-stream"
                assert events.response.request_info.headers["X-Own"] == "a"
            with pytest.raises(StatusError) as caught:
                await of_aiohttp.aconnect(client, "GET", "/none").__aenter__()
            assert caught.value.json() == json.loads(WHY)
            policy = ReconnectionPolicy(initial=0, jitter=0, minimum=0)
            source = of_aiohttp.asubscribe(client, "GET", "/events", policy=policy)
            async with source:
                assert [event.data async for event in source] == ["one", "two"]
            options: dict[str, Any] = {"time_out": 1}
            with pytest.raises(TypeError, match="did you mean timeout"):
                of_aiohttp.aconnect(client, "GET", "/events", **options)

    asyncio.run(main())


# One POST that is answered by a document or by a stream, as MCP has it.


def post(client: Any, url: str) -> list[Any]:
    """Return what a server answers, whichever way it does."""
    try:
        with of_httpx.connect(client, "POST", url, json={}) as events:
            return [event.json() for event in events]
    except ContentTypeError as error:
        return [error.json()]


def test_a_document_in_place_of_a_stream(server: Server) -> None:
    text = json.dumps({"result": "x" * 65000})
    with httpx.Client() as client:
        for handler in (
            respond(200, text.encode(), [("Content-Type", "application/json")]),
            stream([f"data: {text}\n\n".encode()]),
        ):
            assert post(client, server.url(handler)) == [json.loads(text)]
        long = server.url(respond(200, b'"' + b"x" * 70000 + b'"'))
        with pytest.raises(ValueError, match="only the first 65536 bytes"):
            post(client, long)
        with of_httpx.connect(client, "POST", long, check="status") as events:
            assert events.response.status_code == 200
            assert len(b"".join(events.response.iter_bytes())) == 70002
        with pytest.raises(ContentTypeError) as caught:
            of_httpx.connect(client, "GET", long, decoder=SSEDecoder()).__enter__()
        assert 'check="status" reads it all the same' in str(caught.value)
