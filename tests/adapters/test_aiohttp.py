# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
import gzip
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest

from sse_stream import (
    ContentTypeError,
    IncompleteEventError,
    ResponseError,
    SSEDecoder,
    StatusError,
)
from sse_stream.adapters.aiohttp import aconnect, aiter_events
from sse_stream.handshake import MAX_BODY_SIZE
from sse_stream.streams import StreamClosedError

from .server import (
    COMPLETE,
    EARLY_FAULTS,
    EVENT_STREAM,
    FAULTS,
    FRAMINGS,
    GUARD,
    SILENT_FAULTS,
    Connection,
    Handler,
    Server,
    broken_off,
    endless,
    respond,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .conftest import Certificates
    from .services import Service


def run(body: Callable[[aiohttp.ClientSession], Awaitable[None]], **session_options: Any) -> None:
    """Run a test's body with a session; nothing may be left behind in the loop."""

    async def main() -> None:
        async with aiohttp.ClientSession(**session_options) as session:
            await body(session)
        gc.collect()  # what was left open warns here
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def read(
    url: str, server: Server | None = None, **options: Any
) -> tuple[list[str], Any, BaseException | None]:
    """Return the data, the stream, and the error that ended it; acknowledge each event."""
    got: list[str] = []
    result: list[Any] = []

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", url, **options) as events:
            result.append(events)
            try:
                async for event in events:
                    got.append(event.data)
                    if server is not None:
                        server.acknowledge()
            except Exception as error:
                result.append(error)

    run(body)
    return got, result[0], result[1] if len(result) > 1 else None


def refusal(url: str, *, session_options: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return the error with which aconnect refuses on entering."""
    errors: list[Exception] = []

    async def body(session: aiohttp.ClientSession) -> None:
        opening = aconnect(session, "GET", url, **options)
        try:
            async with opening:
                raise AssertionError("the stream was opened")
        except Exception as error:
            errors.append(error)

    run(body, **session_options or {})
    return errors[0]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until it is true."""
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


# Promptness.


@pytest.mark.parametrize("framing", FRAMINGS)
def test_each_event_comes_before_the_next_is_sent(server: Server, framing: str) -> None:
    parts = [f"id: {i}\ndata: event {i}\n\n".encode() for i in range(3)]
    url = server.url(stream(parts, FRAMINGS[framing], lock_step=True))
    got, events, error = read(url, server)
    assert (got, events.last_event_id, error) == (["event 0", "event 1", "event 2"], "2", None)


def test_tls(tls_server: Server, certificates: Certificates) -> None:
    url = tls_server.url(stream([b"data: 1\n\n", b"data: 2\n\n"], lock_step=True))
    got, _, error = read(url, tls_server, ssl=certificates.client_context())
    assert (got, error) == (["1", "2"], None)


@pytest.mark.parametrize("path", ["/events?n=50", "/gzip?n=50"])
@pytest.mark.parametrize("service", ["uvicorn_server", "aiohttp_server"])
def test_servers_of_others(service: str, path: str, request: pytest.FixtureRequest) -> None:
    got, _, error = read(request.getfixturevalue(service).url + path)
    assert (got, error) == ([str(i) for i in range(50)], None)


@pytest.mark.parametrize("service", ["uvicorn_server", "aiohttp_server"])
def test_servers_of_others_break_off(service: str, request: pytest.FixtureRequest) -> None:
    got, events, error = read(request.getfixturevalue(service).url + "/broken")
    assert (got, events.last_event_id) == (["one", "two"], "2")
    assert type(error) is aiohttp.ClientPayloadError


@pytest.mark.parametrize("service", ["uvicorn_server", "aiohttp_server"])
def test_a_server_of_others_step_by_step(service: str, request: pytest.FixtureRequest) -> None:
    steps: Service = request.getfixturevalue(service)

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", f"{steps.url}/steps?key=aiohttp") as events:
            for i in range(5):
                assert (await events.__anext__()).data == str(i)
                steps.acknowledge("aiohttp")
        await until(steps.left("aiohttp").is_set)

    run(body)


def test_an_event_of_10_mb_in_one_chunk(server: Server) -> None:
    data = b"x" * 10_000_000
    got, _, error = read(server.url(stream([b"data: " + data + b"\n\n", b"data: small\n\n"])))
    assert ([len(text) for text in got], error) == ([10_000_000, 5], None)


# Faults. A reset of a body that ends with the connection is silent in aiohttp alone.

KNOWN_FAULTS = sorted(FAULTS.keys() - {"reset, close-delimited"})
UNKNOWN_FAULTS = {**SILENT_FAULTS, "reset, close-delimited": FAULTS["reset, close-delimited"]}


@pytest.mark.parametrize("fault", KNOWN_FAULTS)
def test_fault(server: Server, fault: str) -> None:
    options = {"idle_timeout": 0.2} if fault == "stall" else {}
    got, events, error = read(server.url(FAULTS[fault].handler()), server, **options)
    assert (got, events.last_event_id) == (["one", "two"], "2")
    assert type(error) is (
        aiohttp.SocketTimeoutError if fault == "stall" else aiohttp.ClientPayloadError
    )
    if fault in (
        "bad chunk size",
        "corrupt gzip",
        "stall",
    ):  # the server has not ended the connection itself
        assert server.connections[0].released.wait(GUARD)


@pytest.mark.parametrize("fault", UNKNOWN_FAULTS)
def test_what_aiohttp_does_not_know(server: Server, fault: str) -> None:
    decoder = SSEDecoder(incomplete="raise")
    got, _, error = read(server.url(UNKNOWN_FAULTS[fault].handler()), server, decoder=decoder)
    assert got == ["one", "two"]
    assert type(error) is IncompleteEventError


@pytest.mark.parametrize("fault", sorted(KNOWN_FAULTS))
def test_fault_while_the_consumer_is_busy(server: Server, fault: str) -> None:
    """What came before the fault is in aiohttp's buffer, which it refuses to hand out."""
    url = server.url(FAULTS[fault].handler())

    async def body(session: aiohttp.ClientSession) -> None:
        response = await session.get(url)
        await until(lambda: response.content.total_bytes >= len(b"".join(COMPLETE)))
        events = aiter_events(response, idle_timeout=0.2 if fault == "stall" else None)
        server.acknowledge()
        if fault == "bad chunk size":
            await until(
                lambda: response.connection is None or response.connection.transport is None
            )
        elif fault != "stall":
            await until(lambda: response.content.exception() is not None)
        got: list[str] = []
        with pytest.raises(
            aiohttp.SocketTimeoutError if fault == "stall" else aiohttp.ClientPayloadError
        ):
            await receive(events, got)
        assert (got, events.last_event_id) == (["one", "two"], "2")

    run(body)


async def receive(events: Any, got: list[str]) -> None:
    async for event in events:
        got += [event.data]


def test_a_malformed_chunk_between_two_waits(server: Server) -> None:
    """aiohttp has dropped the connection and knows no fault: readany would raise RuntimeError."""

    def handler(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        FRAMINGS["chunked"].send(connection, b"data: 1\n\n")
        connection.wait()
        connection.send(b"no number\r\n")
        connection.stall()

    url = server.url(handler)

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", url) as events:
            assert (await events.__anext__()).data == "1"
            server.acknowledge()
            connection = events.response.connection
            await until(lambda: connection.transport is None)
            with pytest.raises(aiohttp.ClientPayloadError):
                await events.__anext__()

    run(body)


def test_an_error_of_the_parser_in_python(server: Server) -> None:
    """Without its extension module aiohttp's reader raises an exception that is not documented."""
    url = server.url(stream([b"data: 1\n\n"], lock_step=True))

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", url) as events:
            assert (await events.__anext__()).data == "1"
            fault = aiohttp.http.HttpProcessingError(message="no number")
            asyncio.get_running_loop().call_soon(events.response.content.set_exception, fault)
            with pytest.raises(aiohttp.ClientPayloadError) as info:
                await events.__anext__()
            assert info.value.__cause__ is fault

    run(body)


def test_two_readers_are_not_taken_for_a_fault(server: Server) -> None:
    url = server.url(stream([b"data: 1\n\n"], lock_step=True))

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", url) as events:
            await events.__anext__()
            other = asyncio.ensure_future(events.response.content.read())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another coroutine"):
                await events.__anext__()
            with pytest.raises(aiohttp.ClientConnectionError):
                await other

    run(body)


@pytest.mark.parametrize("fault", EARLY_FAULTS)
def test_fault_before_the_headers(server: Server, fault: str) -> None:
    kind = {
        "closed before headers": aiohttp.ServerDisconnectedError,
        "reset before headers": aiohttp.ClientOSError,
    }[fault]
    assert type(refusal(server.url(EARLY_FAULTS[fault]))) is kind
    assert type(refusal(server.url(EARLY_FAULTS[fault]), idle_timeout=GUARD)) is kind


def test_no_server() -> None:
    with Server() as server:
        url = server.url(Connection.stall)
    assert type(refusal(url)) is aiohttp.ClientConnectorError


# The idle limit.


def test_idle_timeout_fires_after_its_limit_and_soon(server: Server) -> None:
    url = server.url(stream([b"data: 1\n\n"], lock_step=True))

    async def body(session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        async with aconnect(session, "GET", url, idle_timeout=0.7) as events:
            await events.__anext__()
            start = loop.time()
            with pytest.raises(aiohttp.SocketTimeoutError, match=r"0\.7 seconds") as info:
                await events.__anext__()
            assert 0.7 <= loop.time() - start < 0.7 + 1
            assert isinstance(info.value, aiohttp.ServerTimeoutError)
            assert isinstance(info.value, asyncio.TimeoutError)
        await until(server.connections[0].released.is_set)

    run(body)


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_comments_are_life(server: Server, coding: str) -> None:
    framing = FRAMINGS[coding or "chunked"]

    def handler(connection: Connection) -> None:
        encoded = framing.encode([b": still here\n\n"] * 8 + [b"data: 1\n\n"])
        connection.send(framing.head(0, headers=[EVENT_STREAM]))
        for part in encoded:
            framing.send(connection, part)
            time.sleep(0.1)
        framing.end(connection)

    got, _, error = read(server.url(handler), idle_timeout=0.5)  # less than the comments take
    assert (got, error) == (["1"], None)


def test_bytes_that_make_no_text_yet_are_life(server: Server) -> None:
    body = gzip.compress(b"data: 1\n\n")

    def handler(connection: Connection) -> None:
        connection.send(
            FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM, ("Content-Encoding", "gzip")])
        )
        for i in range(10):  # the header of gzip: nothing comes of it
            FRAMINGS["chunked"].send(connection, body[i : i + 1])
            time.sleep(0.1)
        FRAMINGS["chunked"].send(connection, body[10:])
        FRAMINGS["chunked"].end(connection)

    got, _, error = read(server.url(handler), idle_timeout=0.5)  # less than the header takes
    assert (got, error) == (["1"], None)


def test_the_consumers_time_does_not_count(server: Server) -> None:
    url = server.url(stream([b"data: 1\n\n", b"data: 2\n\n"], lock_step=True))

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", url, idle_timeout=0.3) as events:
            await events.__anext__()
            await asyncio.sleep(0.4)
            waiting = asyncio.ensure_future(events.__anext__())
            await asyncio.sleep(0)
            server.acknowledge()
            assert (await waiting).data == "2"
            waiting = asyncio.ensure_future(events.__anext__())
            await asyncio.sleep(0)
            server.acknowledge()
            time.sleep(0.4)  # the loop is blocked while the end of the stream comes
            with pytest.raises(StopAsyncIteration):
                await waiting

    run(body)


def test_idle_timeout_of_the_headers(server: Server) -> None:
    error = refusal(server.url(Connection.stall), idle_timeout=0.2)
    assert type(error) is aiohttp.SocketTimeoutError
    assert server.connections[0].released.wait(GUARD)


def test_a_client_timeout_is_not_taken_for_the_idle_limit(server: Server) -> None:
    error = refusal(
        server.url(Connection.stall), idle_timeout=GUARD, timeout=aiohttp.ClientTimeout(total=0.2)
    )
    assert isinstance(error, asyncio.TimeoutError)
    assert not isinstance(error, aiohttp.SocketTimeoutError)


@pytest.mark.parametrize("idle_timeout", [None, GUARD])
def test_cancellation_while_it_connects(server: Server, idle_timeout: float | None) -> None:
    url = server.url(Connection.stall)

    async def body(session: aiohttp.ClientSession) -> None:
        async def connect() -> None:
            async with aconnect(session, "GET", url, idle_timeout=idle_timeout):
                raise AssertionError("the stream was opened")

        task = asyncio.ensure_future(connect())
        await until(lambda: bool(server.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(server.connections[0].released.is_set)

    run(body)


# The check.

JSON_ERROR = b'{"error": {"message": "model not found"}}'
PLAIN = [("Content-Type", "text/plain")]
ALL = b"y" * MAX_BODY_SIZE

REFUSED: dict[str, tuple[Handler, type[Exception], int, bytes, str]] = {
    "JSON error": (respond(404, JSON_ERROR), StatusError, 404, JSON_ERROR, "model not found"),
    "10 MB": (respond(500, b"y" * 10_000_000), StatusError, 500, ALL, "500 Internal"),
    "endless": (endless(503, PLAIN, b"y" * 1000), StatusError, 503, ALL, "yyy"),
    "broken off": (broken_off(400, b"so far"), StatusError, 400, b"so far", "so far"),
    "redirect": (
        respond(302, b"", [("Location", "/")]),
        StatusError,
        302,
        b"",
        "allow_redirects=False",
    ),
    "HTML": (
        respond(200, b"<p>", [("Content-Type", "text/html")]),
        ContentTypeError,
        200,
        b"<p>",
        "text/html",
    ),
    "no media type": (
        respond(201, b"data: x\n\n", []),
        ContentTypeError,
        201,
        b"data: x\n\n",
        "is none",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("through", ["aconnect", "the response"])
def test_refused(server: Server, case: str, through: str) -> None:
    handler, kind, status, start, text = REFUSED[case]
    url = server.url(handler) + "?key=secret"
    errors: list[Any] = []

    async def body(session: aiohttp.ClientSession) -> None:
        try:
            if through == "aconnect":
                async with aconnect(session, "GET", url, allow_redirects=False):
                    raise AssertionError("the stream was opened")
            async for _ in aiter_events(await session.get(url, allow_redirects=False)):
                pass
        except kind as error:
            errors.append(error)
        if len(start) == MAX_BODY_SIZE:
            await until(server.connections[0].released.is_set)

    run(body)
    [error] = errors
    assert (type(error), error.status, error.url, error.body) == (kind, status, url, start)
    assert text in str(error)
    assert "secret" not in str(error)
    media_type = {"redirect": None, "HTML": "text/html", "no media type": None}.get(
        case, "text/plain"
    )
    assert error.headers.get("CONTENT-type") == media_type


def test_compressed_body_of_an_error(server: Server) -> None:
    handler = stream([JSON_ERROR], FRAMINGS["gzip"], headers=[("Content-Type", "application/json")])
    assert refusal(server.url(handler)).body == JSON_ERROR


def test_raise_for_status_of_the_session(server: Server) -> None:
    url = server.url(respond(404, JSON_ERROR))
    options = {"raise_for_status": True}
    assert refusal(url, session_options=options).body == JSON_ERROR
    assert type(refusal(url, session_options=options, check=False)) is aiohttp.ClientResponseError
    assert type(refusal(url, raise_for_status=True)) is aiohttp.ClientResponseError


@pytest.mark.parametrize("coding", ["compress", "gzip, br"])
def test_a_coding_that_the_client_does_not_decode(server: Server, coding: str) -> None:
    url = server.url(
        stream([b"\x28\xb5\x2f\xfd"], headers=[EVENT_STREAM, ("Content-Encoding", coding)])
    )
    error = refusal(url)
    assert (type(error), error.status, error.url) == (ResponseError, 200, url)
    assert repr(coding) in str(error)
    assert server.connections[0].released.wait(GUARD)


@pytest.mark.parametrize(
    "handler",
    [respond(204, headers=[]), respond(200, headers=[EVENT_STREAM])],
    ids=["204", "no body"],
)
def test_an_empty_stream(server: Server, handler: Handler) -> None:
    got, _, error = read(server.url(handler))
    assert (got, error) == ([], None)


def test_check_false(server: Server) -> None:
    url = server.url(respond(500, b"data: 1\n\n"))
    got, events, error = read(url, check=False)
    assert (got, events.response.status, error) == (["1"], 500, None)


# The connection.


def test_a_pooled_connection_is_used_again(server: Server) -> None:
    url = server.url(stream(COMPLETE))

    async def body(session: aiohttp.ClientSession) -> None:
        for _ in range(3):
            async with aconnect(session, "GET", url) as events:
                assert [event.data async for event in events] == ["one", "two"]

    run(body)
    assert [request.connection for request in server.requests] == [0, 0, 0]


def test_200_streams_leave_nothing(server: Server, no_descriptor_left: Callable[[], None]) -> None:
    url = server.url(stream(COMPLETE))

    async def body(session: aiohttp.ClientSession) -> None:
        for i in range(200):
            async with aconnect(session, "GET", url) as events:
                async for _ in events:
                    if i % 2:
                        break

    run(body)
    no_descriptor_left()


def test_leaving_an_infinite_stream_releases_it(server: Server) -> None:
    url = server.url(endless())

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", url) as events:
            for _ in range(1000):
                assert (await events.__anext__()).data == "x"
        await until(server.connections[0].released.is_set)
        with pytest.raises(StreamClosedError):
            await events.__anext__()

    run(body)


def test_cancellation_while_it_waits(server: Server) -> None:
    url = server.url(stream([b"id: 1\ndata: 1\n\ndata: unfin"], lock_step=True))
    got: list[str] = []

    async def body(session: aiohttp.ClientSession) -> None:
        async def read_on() -> None:
            async with aconnect(session, "GET", url) as events:
                await receive(events, got)

        task = asyncio.ensure_future(read_on())
        await until(lambda: bool(got))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(server.connections[0].released.is_set)

    run(body)
    assert got == ["1"]


def test_aclose_while_another_task_waits(server: Server) -> None:
    url = server.url(stream([b"data: 1\n\n"], lock_step=True))

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", url) as events:
            await events.__anext__()
            waiting = asyncio.ensure_future(events.__anext__())
            await asyncio.sleep(0)
            await events.aclose()
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(waiting, GUARD)

    run(body)


def test_100_streams_at_once(server: Server) -> None:
    urls = [
        server.url(stream([f"data: {i}-{j}\n\n".encode() for j in range(20)])) for i in range(100)
    ]

    async def body(session: aiohttp.ClientSession) -> None:
        async def read_one(url: str) -> list[str]:
            async with aconnect(session, "GET", url, idle_timeout=30) as events:
                return [event.data async for event in events]

        got = await asyncio.gather(*map(read_one, urls))
        assert got == [[f"{i}-{j}" for j in range(20)] for i in range(100)]

    run(body)


# The request.


def test_request_headers(server: Server) -> None:
    url = server.url(stream(COMPLETE))
    headers = {"X-Mine": "1"}

    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", url, headers=headers):
            pass

    run(body, headers={"Authorization": "Bearer t"})
    [request] = server.requests
    assert request.header("Accept") == b"text/event-stream"
    assert request.header("Cache-Control") == b"no-cache"
    assert request.header("X-Mine") == b"1"
    assert request.header("Authorization") == b"Bearer t"
    assert b"aiohttp" in (request.header("User-Agent") or b"")
    assert request.header("Last-Event-ID") is None
    assert headers == {"X-Mine": "1"}


def test_the_callers_headers_stay(server: Server) -> None:
    read(
        server.url(stream(COMPLETE)),
        headers=[("accept", "text/event-stream, */*"), ("cache-control", "no-store")],
    )
    [request] = server.requests
    assert request.header("Accept") == b"text/event-stream, */*"
    assert request.header("Cache-Control") == b"no-store"


def test_the_headers_of_the_session_stay(server: Server) -> None:
    async def body(session: aiohttp.ClientSession) -> None:
        async with aconnect(session, "GET", server.url(stream(COMPLETE))):
            pass

    run(body, headers={"Accept": "application/json, text/event-stream"})
    assert server.requests[0].header("Accept") == b"application/json, text/event-stream"


def test_request_options(server: Server) -> None:
    moved = server.url(stream(COMPLETE), "/moved")
    url = server.url(respond(307, headers=[("Location", moved)]))

    async def body(session: aiohttp.ClientSession) -> None:
        options: dict[str, Any] = {"params": {"a": "b"}, "json": {"stream": True}}
        timeout = aiohttp.ClientTimeout(total=None)
        async with aconnect(
            session, "POST", url, cookies={"c": "d"}, timeout=timeout, **options
        ) as events:
            assert [event.data async for event in events] == ["one", "two"]
            assert str(events.response.url) == moved

    run(body)
    first, second = server.requests
    assert first.target.endswith("?a=b")
    assert (first.method, first.header("Content-Type"), b"true" in first.body) == (
        "POST",
        b"application/json",
        True,
    )
    assert first.header("Cookie") == b"c=d"
    assert (second.target, second.header("Accept")) == ("/moved", b"text/event-stream")


def test_an_unknown_option() -> None:
    async def body(session: aiohttp.ClientSession) -> None:
        options: dict[str, Any] = {"no_such_option": 1}
        with pytest.raises(TypeError, match="no option 'no_such_option'"):
            aconnect(session, "GET", "http://localhost", **options)

    run(body)


@pytest.mark.parametrize(
    ("last_event_id", "sent"),
    [("42", b"42"), ("é ☃", "é ☃".encode()), ("a\x01b", None), ("", None)],
    ids=["ASCII", "UTF-8", "control character", "none"],
)
@pytest.mark.parametrize("given", ["as ID", "by decoder"])
def test_last_event_id(server: Server, last_event_id: str, sent: bytes | None, given: str) -> None:
    options: dict[str, Any] = {"last_event_id": last_event_id}
    if given == "by decoder":
        options = {"decoder": SSEDecoder(**options)}
    got, events, _ = read(server.url(stream([b"data: 1\n\n"])), **options)
    assert (got, events.last_event_id) == (["1"], last_event_id)
    assert server.requests[0].header("Last-Event-ID") == sent


# What is passed.


def test_decoder_and_id_together() -> None:
    async def body(session: aiohttp.ClientSession) -> None:
        with pytest.raises(ValueError, match="either decoder or last_event_id"):
            aconnect(session, "GET", "http://localhost", decoder=SSEDecoder(), last_event_id="1")

    run(body)


def test_a_response_that_has_been_read(server: Server) -> None:
    url = server.url(stream(COMPLETE, FRAMINGS["gzip"]))

    async def body(session: aiohttp.ClientSession) -> None:
        async with session.get(url) as response:
            await response.read()
            assert [event.data async for event in aiter_events(response)] == ["one", "two"]
        assert [event.data async for event in aiter_events(response)] == ["one", "two"]

    run(body)


def test_a_response_that_has_arrived_but_not_been_read(server: Server) -> None:
    url = server.url(stream(COMPLETE))

    async def body(session: aiohttp.ClientSession) -> None:
        response = await session.get(url)
        await until(response.content.is_eof)
        assert [event.data async for event in aiter_events(response)] == ["one", "two"]

    run(body)


@pytest.mark.parametrize("how", ["consumed", "closed"])
def test_a_response_whose_bytes_are_gone(server: Server, how: str) -> None:
    url = server.url(stream(COMPLETE) if how == "consumed" else endless())

    async def body(session: aiohttp.ClientSession) -> None:
        response = await session.get(url)
        if how == "closed":
            response.close()
        else:
            assert await response.content.read()
        with pytest.raises(ValueError, match=f"has been {how}"):
            aiter_events(response)

    run(body)


def test_a_request_that_was_not_awaited(server: Server) -> None:
    url = server.url(stream(COMPLETE))

    async def body(session: aiohttp.ClientSession) -> None:
        request: Any = session.get(url)
        with pytest.raises(TypeError, match="await it"):
            aiter_events(request)
        request.close()

    run(body)


@pytest.mark.parametrize("wrong", [None, "http://localhost", [b"data: x\n\n"], httpx.Response(200)])
def test_no_response(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^aiter_events takes a response of aiohttp, not ") as e:
        aiter_events(wrong)
    is_of_httpx = isinstance(wrong, httpx.Response)
    assert str(e.value).endswith("; sse_stream.adapters.httpx takes it") == is_of_httpx


@pytest.mark.parametrize(
    "wrong",
    [None, "http://localhost", aiohttp, httpx],
    ids=lambda wrong: getattr(wrong, "__name__", wrong),
)
def test_no_session(wrong: Any) -> None:
    name = type(wrong).__name__
    with pytest.raises(TypeError, match=f"^aconnect takes an aiohttp.ClientSession, not {name}$"):
        aconnect(wrong, "GET", "http://localhost")
