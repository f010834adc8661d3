# SPDX-License-Identifier: MIT
"""What others read, every client reads: odd headers, no body, a document in place of a stream."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pycurl  # type: ignore[import-untyped]
import pytest

from sse_stream import ContentTypeError, SSEDecoder, StatusError
from sse_stream.adapters import pycurl as of_pycurl
from tests.clients import ASYNC_CLIENTS, CLIENTS

from .server import EVENT_STREAM, Server, broken_off, respond, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from .server import Connection

    Read = Callable[..., "tuple[list[str], Any]"]

PARTS = [b"id: 1\ndata: one\n\n", b"data: two\n\n"]
JSON = ("Content-Type", "application/json")


def reading(name: str) -> Read:
    """Return a function that reads a URL by the client: it returns the data, and the stream."""

    def read(url: str, **options: Any) -> tuple[list[str], Any]:
        with CLIENTS[name](url, **options) as events:
            return [event.data for event in events], events

    def aread(url: str, **options: Any) -> tuple[list[str], Any]:
        async def main() -> tuple[list[str], Any]:
            async with ASYNC_CLIENTS[name.partition(",")[0]](url, **options) as events:
                return [event.data async for event in events], events

        return asyncio.run(main())

    return aread if name.endswith("async") else read


NAMES = [*CLIENTS, *(f"{name}, async" for name in ASYNC_CLIENTS)]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def read(name: str) -> Read:
    return reading(name)


@pytest.mark.parametrize(
    "coding", ["none", "None", "identity", "", "utf-8", "UTF-8", "chunked", "binary", "none, utf-8"]
)
def test_a_coding_that_is_no_compression(server: Server, name: str, coding: str) -> None:
    url = server.url(stream(PARTS, headers=[EVENT_STREAM, ("Content-Encoding", coding)]))
    if name == "pycurl":  # told to decode, libcurl itself fails on what it does not know
        with of_pycurl.connect(pycurl.Curl(), "GET", url) as events:
            assert [event.data for event in events] == ["one", "two"]
    elif name != "pycurl, async":
        assert reading(name)(url)[0] == ["one", "two"]


@pytest.mark.parametrize(
    "values",
    [
        ["text/event-stream", "text/event-stream"],
        ["text/html", "text/event-stream;charset=utf-8"],
        ["text/event-stream", "*/*"],
        ["text/event-stream, text/event-stream"],
        ["text/event-stream;charset=utf-8, "],
        ["nonsense, TEXT/event-stream"],
    ],
)
def test_a_list_of_media_types(server: Server, read: Read, values: list[str]) -> None:
    headers = [("Content-Type", value) for value in values]
    assert read(server.url(stream(PARTS, headers=headers)))[0] == ["one", "two"]


@pytest.mark.parametrize("values", [["text/event-stream", "text/html"], ["nonsense"], ["*/*"]])
def test_a_list_of_other_media_types(server: Server, read: Read, values: list[str]) -> None:
    headers = [("Content-Type", value) for value in values]
    with pytest.raises(ContentTypeError) as caught:
        read(server.url(stream(PARTS, headers=headers)))
    assert f"the Content-Type is {', '.join(values)!r}, not" in str(caught.value)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", None])
def test_the_status_alone(server: Server, read: Read, content_type: str | None) -> None:
    headers = [] if content_type is None else [("Content-Type", content_type)]
    url = server.url(stream(PARTS, headers=headers))
    with pytest.raises(ContentTypeError, match='check="status" reads it all the same'):
        read(url)
    assert read(url, check="status")[0] == ["one", "two"]
    assert read(url, check=False)[0] == ["one", "two"]


def test_the_status_alone_is_looked_at(server: Server, read: Read) -> None:
    url = server.url(respond(404, b"data: x\n\n", [EVENT_STREAM]))
    with pytest.raises(StatusError):
        read(url, check="status")
    assert read(url, check=False)[0] == ["x"]


@pytest.mark.parametrize("headers", [[], [JSON], [EVENT_STREAM]])
def test_202_without_a_body(server: Server, read: Read, headers: list[tuple[str, str]]) -> None:
    assert read(server.url(respond(202, b"", headers)))[0] == []


def test_202_with_a_body(server: Server, read: Read) -> None:
    assert read(server.url(respond(202, b"data: x\n\n", [EVENT_STREAM])))[0] == ["x"]
    with pytest.raises(ContentTypeError) as caught:
        read(server.url(respond(202, b"{}", [JSON])))
    assert caught.value.json() == {}


@pytest.mark.parametrize("status", [200, 429])
def test_a_document_in_place_of_a_stream(server: Server, read: Read, status: int) -> None:
    document = {"error": {"message": "é" * 20_000}}
    body = json.dumps(document, ensure_ascii=False).encode()
    with pytest.raises((ContentTypeError, StatusError)) as caught:
        read(server.url(respond(status, body, [JSON])))
    assert caught.value.body == body
    assert caught.value.text == body.decode()
    assert caught.value.json() == document


def test_a_document_of_64_KiB(server: Server, read: Read) -> None:
    body = b'"' + b"x" * (65536 - 2) + b'"'
    with pytest.raises(ContentTypeError) as caught:
        read(server.url(respond(200, body, [JSON])))
    assert caught.value.json() == "x" * 65534


@pytest.mark.parametrize(
    "handler", [respond(200, b"1" * 70_000, [JSON]), broken_off(502, b"12")], ids=["long", "broken"]
)
def test_a_document_that_was_cut(server: Server, read: Read, handler: Any) -> None:
    with pytest.raises((ContentTypeError, StatusError)) as caught:
        read(server.url(handler))
    assert caught.value.body.startswith(b"1")
    with pytest.raises(ValueError, match=r"bytes of this body were read|int(eger)? string"):
        caught.value.json()


def heartbeats(connection: Connection) -> None:
    """Refuse in an event stream, and keep it alive until the client leaves."""
    connection.send(b"HTTP/1.1 401 No\r\nContent-Type: text/event-stream\r\n\r\ndata: no\n\n")
    while True:
        time.sleep(0.01)
        connection.send(b": ping\n\n")


def test_an_error_whose_body_goes_on(
    server: Server, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("handshake", "adapters._pycurl"):
        monkeypatch.setattr(f"sse_stream.{module}.MAX_BODY_SECONDS", 0.05)
    begin = time.monotonic()
    with pytest.raises(StatusError) as caught:
        read(server.url(heartbeats))
    assert time.monotonic() - begin < 5
    assert caught.value.body.startswith(b"data: no\n\n: ping\n\n")
    assert caught.value.truncated


@pytest.mark.parametrize("start", [b"the", b""])
def test_an_error_whose_body_falls_silent(
    server: Server, read: Read, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    """No client has a limit of silence here; what is known is told all the same."""

    def silent(connection: Connection) -> None:
        """Refuse, and leave out the rest of the body."""
        head = b"HTTP/1.1 503 No\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n"
        connection.send(head + start)
        connection.stall()

    for module in ("handshake", "adapters._pycurl"):
        monkeypatch.setattr(f"sse_stream.{module}.MAX_BODY_SECONDS", 0.2)
    begin = time.monotonic()
    with pytest.raises(StatusError) as caught:
        read(server.url(silent))
    assert time.monotonic() - begin < 4
    assert caught.value.body == start
    assert caught.value.truncated


@pytest.mark.parametrize("field", ["Last-Event-ID", "last-event-id"])
@pytest.mark.parametrize("last_event_id", ["7", "é ☃"])
def test_an_id_among_the_headers(
    server: Server, read: Read, field: str, last_event_id: str
) -> None:
    url = server.url(stream([b"data: x\n\n"]))
    data, events = read(url, headers={field: last_event_id, "X-Own": "a"})
    assert (data, events.last_event_id) == (["x"], last_event_id)
    data, events = read(url, headers=[(field, last_event_id)], last_event_id="8")
    assert events.last_event_id == "8"
    decoder = SSEDecoder(last_event_id="9")
    read(url, headers={field: last_event_id}, decoder=decoder)
    sent = [request.header("Last-Event-ID") for request in server.requests]
    assert sent == [last_event_id.encode(), b"8", b"9"]
    assert server.requests[0].header("X-Own") == b"a"


def test_the_connection_is_used_again_after_the_end(server: Server, name: str) -> None:
    if name == "urllib":
        return  # it never is
    url = server.url(stream(PARTS))
    run_five(name, url)
    assert {request.connection for request in server.requests} == {0}
    assert len(server.requests) == 5


def run_five(name: str, url: str) -> None:
    """Make five requests by one client, each read to its end."""
    import aiohttp
    import httpx
    import httpx2
    import requests
    import urllib3

    from sse_stream.adapters import aiohttp as of_aiohttp
    from sse_stream.adapters import httpx as of_httpx
    from sse_stream.adapters import requests as of_requests
    from sse_stream.adapters import urllib3 as of_urllib3

    kinds: dict[str, tuple[Any, Callable[[], Any]]] = {
        "httpx": (of_httpx.connect, httpx.Client),
        "httpx2": (of_httpx.connect, httpx2.Client),
        "requests": (of_requests.connect, requests.Session),
        "urllib3": (of_urllib3.connect, urllib3.PoolManager),
        "pycurl": (of_pycurl.connect, sharing_handle),
        "httpx, async": (of_httpx.aconnect, httpx.AsyncClient),
        "httpx2, async": (of_httpx.aconnect, httpx2.AsyncClient),
        "aiohttp, async": (of_aiohttp.aconnect, aiohttp.ClientSession),
        "pycurl, async": (of_pycurl.aconnect, sharing_handle),
    }
    connect, new = kinds[name]

    async def main() -> None:
        client = new()
        for _ in range(5):
            if name.endswith("async"):
                async with connect(client, "GET", url) as events:
                    assert len([event async for event in events]) == 2
                    await events.aclose()
            else:
                with connect(client, "GET", url) as events:
                    assert len(list(events)) == 2
                    events.close()
        close = getattr(client, "aclose", None) or getattr(client, "close", None) or client.clear
        closing = close()
        if closing is not None:
            await closing

    asyncio.run(main())


def sharing_handle() -> Any:
    share = pycurl.CurlShare()
    share.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_CONNECT)
    curl = pycurl.Curl()
    curl.setopt(pycurl.SHARE, share)
    return curl
