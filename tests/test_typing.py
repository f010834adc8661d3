# SPDX-License-Identifier: MIT
# pyright: strict
"""What users write, with the types that mypy and pyright see; and pytest runs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pycurl  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import pytest
import requests
import urllib3

from sse_stream import (
    AsyncEventSource,
    AsyncEventStream,
    DocumentError,
    EventSource,
    EventStream,
    IncompleteEventError,
    PayloadError,
    ReconnectionError,
    ReconnectionPolicy,
    ResponseError,
    ServerSentEvent,
    ServiceError,
    SSEDecoder,
    SSEEncoder,
    StatusError,
    StreamClosedError,
    TeeOutcome,
    aiter_documents,
    aiter_payloads,
    arewrite,
    atee,
    awhole_events,
    iter_documents,
    iter_payloads,
    rewrite,
    tee,
    whole_events,
)
from tests.adapters.server import Server, respond, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from typing_extensions import assert_type
else:

    def assert_type(value: Any, kind: Any) -> Any:
        """Do as typing's, which is not in Python 3.10."""
        return value


PARTS = [b'id: 1\nevent: note\nretry: 50\ndata: {"a": 1}\n\n', b"data: {}\n\n"]


async def chunks() -> AsyncIterator[bytes]:
    for part in PARTS:
        yield part


def test_decoder() -> None:
    decoder = SSEDecoder(
        max_event_size=None,
        on_oversize="skip",
        incomplete="raise",
        on_comment=print,
        on_ignored=print,
    )
    events = assert_type(decoder.feed(memoryview(PARTS[0])), list[ServerSentEvent])
    assert_type(decoder.feed(bytearray()), list[ServerSentEvent])
    assert_type(decoder.close(), list[ServerSentEvent])
    assert_type(decoder.last_event_id, str)
    assert_type(decoder.retry, int | None)
    assert_type(decoder.incomplete, bool)
    assert_type(decoder.skipped, int)
    assert_type(decoder.ignored, int)
    assert_type(decoder.ignored_text, str)
    kind, data, last_event_id, retry = events[0]
    assert_type(kind, str)
    assert_type(data, str)
    assert_type(last_event_id, str)
    assert_type(retry, int | None)
    assert_type(events[0].event, str)
    assert_type(events[0].json(), Any)
    assert_type(events[0]._replace(data="b"), ServerSentEvent)
    match events[0]:
        case ServerSentEvent(event="note", retry=int(milliseconds)):
            assert assert_type(milliseconds, int) == 50
        case _:
            raise AssertionError(events[0])


def test_streams() -> None:
    with EventStream(PARTS, decoder=SSEDecoder(last_event_id="0")) as events:
        assert_type(events, EventStream)
        for event in events:
            assert_type(event, ServerSentEvent)
        assert_type(events.decoder, SSEDecoder)
        assert_type(events.response, Any)
        assert_type(events.last_event_id, str)
        assert_type(events.retry, int | None)
    assert assert_type(next(EventStream(iter(PARTS)), None), ServerSentEvent | None)
    with pytest.raises(IncompleteEventError) as cut_off:
        list(EventStream([b"data: cut o"], decoder=SSEDecoder(incomplete="raise")))
    assert assert_type(cut_off.value.event, ServerSentEvent | None)
    with EventStream(PARTS) as events:
        pass
    with pytest.raises(StreamClosedError) as left:
        next(events)
    assert_type(left.value.last_event_id, str)

    async def main() -> None:
        async with AsyncEventStream(chunks()) as events:
            assert_type(events, AsyncEventStream)
            async for event in events:
                assert_type(event, ServerSentEvent)
        await events.aclose()

    asyncio.run(main())


def test_what_is_built_on_streams() -> None:
    outcomes: list[TeeOutcome] = []
    with tee(PARTS, on_event=print, on_end=outcomes.append) as parts:
        for part in parts:
            assert_type(part, bytes)
    assert assert_type(outcomes[0].bytes, int)
    assert_type(outcomes[0].error, Exception | None)
    for part in whole_events(bytearray(part) for part in PARTS):
        assert_type(part, bytes)
    for part in rewrite(PARTS, lambda event: event._replace(data="") if event.data else None):
        assert_type(part, bytes)
    for part in rewrite(PARTS, lambda event: [event, event], last_event_id="7"):
        assert_type(part, bytes)
    with iter_payloads(EventStream(PARTS), done=None) as payloads:
        for payload in payloads:
            assert_type(payload, Any)
        assert_type(payloads.event, ServerSentEvent | None)
    with iter_documents([b"{}\n"], max_line_size=None) as documents:
        for document in documents:
            assert_type(document, Any)
    encoder = SSEEncoder(last_event_id="0")
    assert_type(encoder.encode(ServerSentEvent(data="a", retry=3)), bytes)
    assert_type(encoder.comment("a"), bytes)

    async def main() -> None:
        async with atee(chunks()) as parts:
            async for part in parts:
                assert_type(part, bytes)
        async with atee(chunks(), keepalive=0.5) as parts:
            async for part in parts:
                assert_type(part, bytes)
        async for part in awhole_events(chunks()):
            assert_type(part, bytes)
        async for part in arewrite(chunks(), lambda event: event, decoder=SSEDecoder()):
            assert_type(part, bytes)
        async for payload in aiter_payloads(AsyncEventStream(chunks())):
            assert_type(payload, Any)
        async for document in aiter_documents(chunks(), loads=str):
            assert_type(document, Any)

    asyncio.run(main())


def test_errors(url: str) -> None:
    from sse_stream.adapters.urllib import connect

    with pytest.raises(ResponseError) as refused:
        connect(None, "GET", url + "/none").__enter__()
    assert_type(refused.value.status, int)
    assert_type(refused.value.body, bytes)
    assert_type(refused.value.text, str)
    assert_type(refused.value.truncated, bool)
    assert_type(refused.value.headers.get("Retry-After"), str | None)
    assert isinstance(refused.value, StatusError)
    with pytest.raises(PayloadError) as unread:
        list(iter_payloads(EventStream([b"data: x\n\n"])))
    assert_type(unread.value.event, ServerSentEvent)
    with pytest.raises(ServiceError) as reported:
        list(iter_payloads(EventStream([b'data: {"error": "x"}\n\n'])))
    assert_type(reported.value.message, str)
    with pytest.raises(DocumentError) as no_document:
        list(iter_documents([b"x\n"]))
    assert_type(no_document.value.line_number, int)


@pytest.fixture
def url() -> Iterator[str]:
    with Server() as server:
        ended = respond(204, headers=[])
        sent = stream(PARTS)
        yield server.url(
            lambda connection: (ended if connection.request.header("Last-Event-ID") else sent)(
                connection
            )
        )


def read(events: EventStream) -> None:
    for event in events:
        assert_type(event, ServerSentEvent)
    assert events.last_event_id == "1"


def follow(source: EventSource) -> None:
    with source:
        for event in source:
            assert_type(event, ServerSentEvent)
        assert assert_type(source.last_event_id, str) == "1"
        assert_type(source.retry, int | None)


async def aread(events: AsyncEventStream) -> None:
    async for event in events:
        assert_type(event, ServerSentEvent)
    assert events.last_event_id == "1"


async def afollow(source: AsyncEventSource) -> None:
    async with source:
        async for event in source:
            assert_type(event, ServerSentEvent)
        assert assert_type(source.last_event_id, str) == "1"


POLICY = ReconnectionPolicy(initial=0, jitter=0)


def test_policy() -> None:
    assert_type(POLICY.replace(maximum=60), ReconnectionPolicy)
    assert_type(POLICY.statuses, frozenset[int])
    assert_type(ReconnectionError("gave up", 3).attempts, int)
    state = POLICY.start()
    state.connected()
    answer = state.failed(retry_after=2)
    assert answer != "stop"
    assert assert_type(answer, float) >= 2


def test_httpx(url: str) -> None:
    from sse_stream.adapters.httpx import (
        aconnect,
        aiter_events,
        asubscribe,
        connect,
        is_transient,
        iter_events,
        subscribe,
    )

    with (
        httpx.Client() as client,
        connect(client, "GET", url, headers={"X-Own": "a"}, timeout=5) as events,
    ):
        read(assert_type(events, EventStream))
    with connect(httpx2, "GET", httpx2.URL(url), check=False) as events:
        read(assert_type(events, EventStream))
    with connect(httpx, "POST", url, json={"a": 1}, decoder=SSEDecoder()) as events:
        read(events)
    with httpx.stream("GET", url) as response:
        read(assert_type(iter_events(response), EventStream))
    with httpx.Client() as client:
        follow(
            subscribe(
                client, "GET", url, policy=POLICY, on_connect=read_nothing, on_disconnect=print
            )
        )
    assert assert_type(is_transient(httpx.ReadError("")), bool | None)

    async def main() -> None:
        async with httpx.AsyncClient() as client, aconnect(client, "GET", url) as events:
            await aread(assert_type(events, AsyncEventStream))
        async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
            await aread(assert_type(aiter_events(response), AsyncEventStream))
        async with httpx.AsyncClient() as client:
            await afollow(asubscribe(client, "GET", url, policy=POLICY))

    asyncio.run(main())


def read_nothing(events: EventStream) -> None:
    assert not events.last_event_id or events.last_event_id == "1"


def test_aiohttp(url: str) -> None:
    from sse_stream.adapters.aiohttp import aconnect, aiter_events, asubscribe, is_transient

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            async with aconnect(session, "GET", url, params={"q": "1"}, idle_timeout=5) as events:
                await aread(assert_type(events, AsyncEventStream))
            async with session.get(url) as response:
                await aread(
                    assert_type(aiter_events(response, idle_timeout=None), AsyncEventStream)
                )
            await afollow(asubscribe(session, "GET", url, policy=POLICY))

    asyncio.run(main())
    assert assert_type(is_transient(aiohttp.ClientPayloadError()), bool | None)


def test_requests(url: str) -> None:
    from sse_stream.adapters.requests import connect, is_transient, iter_events, subscribe

    with requests.Session() as session:
        with connect(session, "POST", url, json={"a": 1}, timeout=(5, 60)) as events:
            read(assert_type(events, EventStream))
        read(assert_type(iter_events(session.get(url, stream=True)), EventStream))
        follow(subscribe(session, "GET", url, policy=POLICY))
    with connect(requests, "GET", url) as events:
        read(events)
    assert assert_type(is_transient(requests.ConnectionError()), bool | None)


def test_urllib3(url: str) -> None:
    from sse_stream.adapters.urllib3 import connect, is_transient, iter_events, subscribe

    with urllib3.PoolManager() as pool:
        with connect(pool, "GET", url, timeout=5.0) as events:
            read(assert_type(events, EventStream))
        read(assert_type(iter_events(pool.request("GET", url, preload_content=False)), EventStream))
        follow(subscribe(pool, "GET", url, policy=POLICY))
    assert assert_type(is_transient(urllib3.exceptions.ProtocolError()), bool | None)


def test_urllib(url: str) -> None:
    from urllib.request import build_opener, urlopen

    from sse_stream.adapters.urllib import connect, is_transient, iter_events, subscribe

    with connect(None, "POST", url, data=b"{}", headers=[("X-Own", "a")], timeout=5) as events:
        read(assert_type(events, EventStream))
    with connect(build_opener(), "GET", url) as events:
        read(events)
    read(assert_type(iter_events(urlopen(url)), EventStream))
    follow(subscribe(None, "GET", url, policy=POLICY))
    assert assert_type(is_transient(OSError()), bool | None)


def test_pycurl(url: str) -> None:
    from sse_stream.adapters.pycurl import (
        aconnect,
        aiter_events,
        asubscribe,
        connect,
        is_transient,
        iter_events,
        perform,
        subscribe,
    )

    def new_handle() -> Any:
        curl: Any = pycurl.Curl()
        curl.setopt(pycurl.URL, url)
        return curl

    with connect(new_handle(), "GET", url, idle_timeout=5) as events:
        read(assert_type(events, EventStream))
    read(assert_type(iter_events(new_handle()), EventStream))
    follow(subscribe(new_handle(), "GET", url, policy=POLICY))
    assert_type(perform(new_handle(), lambda event: print(event.data)), SSEDecoder)

    async def main() -> None:
        async with aconnect(new_handle(), "GET", url) as events:
            await aread(assert_type(events, AsyncEventStream))
        await aread(assert_type(aiter_events(new_handle()), AsyncEventStream))
        await afollow(asubscribe(new_handle(), "GET", url, policy=POLICY))

    asyncio.run(main())
    assert_type(is_transient(OSError()), bool | None)
