# SPDX-License-Identifier: MIT
"""One body for each test, for httpx and httpx2: sync, on asyncio, on trio."""

from __future__ import annotations

import asyncio
import gc
import pickle
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest
import requests
import trio
import trio.testing

from sse_stream import (
    ContentTypeError,
    EventStream,
    IncompleteEventError,
    ResponseError,
    SSEDecoder,
    StatusError,
)
from sse_stream.adapters.httpx import aconnect, aiter_events, connect, is_transient, iter_events
from sse_stream.handshake import MAX_BODY_SIZE
from sse_stream.streams import StreamClosedError

from .server import (
    COMPLETE,
    EARLY_FAULTS,
    EVENT_STREAM,
    FAULTS,
    FRAMINGS,
    GUARD,
    NO_TLS,
    SILENT_FAULTS,
    Connection,
    Handler,
    Server,
    broken_off,
    endless,
    http_2_server,
    respond,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from .conftest import Certificates
    from .services import Service


class Facade:
    """A sync context manager or iterator in the clothes of an async one."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    async def __aenter__(self) -> Any:
        entered = self._wrapped.__enter__()
        return Facade(entered) if isinstance(entered, EventStream) else entered

    async def __aexit__(self, *exc_info: object) -> None:
        self._wrapped.__exit__(*exc_info)

    def __aiter__(self) -> Facade:
        return self

    async def __anext__(self) -> Any:
        for event in self._wrapped:
            return event
        raise StopAsyncIteration


class Side:
    """One half of one client, and the loop that it runs on."""

    def __init__(self, module: Any, loop: str) -> None:
        self.module, self.loop = module, loop

    def client(self, **options: Any) -> Any:
        options.setdefault("verify", NO_TLS)
        return (
            Facade(self.module.Client(**options))
            if self.loop == "sync"
            else self.module.AsyncClient(**options)
        )

    def connect(self, client: Any, url: str, *, method: str = "GET", **options: Any) -> Any:
        return (
            Facade(connect(client, method, url, **options))
            if self.loop == "sync"
            else aconnect(client, method, url, **options)
        )

    def events(self, response: Any, **options: Any) -> Any:
        return (
            Facade(iter_events(response, **options))
            if self.loop == "sync"
            else aiter_events(response, **options)
        )

    async def send(self, client: Any, url: str, *, stream: bool = True) -> Any:
        sent = client.send(client.build_request("GET", url), stream=stream)
        return sent if self.loop == "sync" else await sent

    async def call(self, response: Any, name: str) -> Any:
        called = getattr(response, name if self.loop == "sync" else "a" + name)()
        return called if self.loop == "sync" else await called

    def run(self, body: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            await body()
            gc.collect()  # what was left open warns here

        if self.loop == "sync":
            with pytest.raises(StopIteration):
                main().send(None)
        elif self.loop == "asyncio":
            asyncio.run(main())
        else:
            trio.run(main)


MODULES = [httpx, httpx2]
# Whatever one does: httpx does not close the generators that it nests, and trio says so.
TRIO = pytest.mark.filterwarnings(r"ignore:Async generator '(httpx2?|httpcore2?)\.:ResourceWarning")
LOOPS = [pytest.param("sync"), pytest.param("asyncio"), pytest.param("trio", marks=TRIO)]


@pytest.fixture(params=MODULES, ids=lambda module: module.__name__)
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=LOOPS)
def side(request: pytest.FixtureRequest, module: Any) -> Side:
    return Side(module, request.param)


@pytest.fixture(params=LOOPS[1:])
def async_side(request: pytest.FixtureRequest, module: Any) -> Side:
    return Side(module, request.param)


def read(
    side: Side,
    url: str,
    server: Server | None = None,
    *,
    client: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[list[str], Any, BaseException | None]:
    """Return the data, the stream, and the error that ended it; acknowledge each event."""
    got: list[str] = []
    result: list[Any] = []

    async def body() -> None:
        async with (
            side.client(**client or {}) as a_client,
            side.connect(a_client, url, **options) as events,
        ):
            result.append(events)
            try:
                async for event in events:
                    got.append(event.data)
                    if server is not None:
                        server.acknowledge()
            except Exception as error:
                result.append(error)

    side.run(body)
    return got, result[0], result[1] if len(result) > 1 else None


def refusal(side: Side, url: str, **options: Any) -> Any:
    """Return the error with which connect refuses on entering."""
    errors: list[Exception] = []

    async def body() -> None:
        async with side.client() as client:
            opening = side.connect(client, url, **options)
            try:
                async with opening:
                    raise AssertionError("the stream was opened")
            except Exception as error:
                errors.append(error)

    side.run(body)
    return errors[0]


# Promptness.


@pytest.mark.parametrize("framing", FRAMINGS)
def test_each_event_comes_before_the_next_is_sent(side: Side, server: Server, framing: str) -> None:
    parts = [f"id: {i}\ndata: event {i}\n\n".encode() for i in range(3)]
    url = server.url(stream(parts, FRAMINGS[framing], lock_step=True))
    got, events, error = read(side, url, server)
    assert (got, events.last_event_id, error) == (["event 0", "event 1", "event 2"], "2", None)


def test_tls(side: Side, tls_server: Server, certificates: Certificates) -> None:
    url = tls_server.url(stream([b"data: 1\n\n", b"data: 2\n\n"], lock_step=True))
    got, _, error = read(side, url, tls_server, client={"verify": certificates.client_context()})
    assert (got, error) == (["1", "2"], None)


def test_http2(side: Side, hypercorn_server: Service, certificates: Certificates) -> None:
    key = f"{side.module.__name__} {side.loop}"

    async def body() -> None:
        client = side.client(http2=True, verify=certificates.client_context())
        async with client as opened:
            async with side.connect(
                opened, f"{hypercorn_server.url}/steps", params={"key": key}
            ) as events:
                got: list[str] = []
                async for event in events:
                    got.append(event.data)
                    if len(got) == 5:
                        break
                    hypercorn_server.acknowledge(key)
            assert got == ["0", "1", "2", "3", "4"]
            assert events.response.http_version == "HTTP/2"
            async with side.connect(opened, f"{hypercorn_server.url}/events?n=3") as events:
                assert [event.data async for event in events] == ["0", "1", "2"]

    side.run(body)
    assert hypercorn_server.left(key).wait(GUARD)


def test_http2_broken_off(
    side: Side, hypercorn_server: Service, certificates: Certificates
) -> None:
    options = {"http2": True, "verify": certificates.client_context()}
    limits = side.module.Timeout(GUARD, read=0.5)
    got, events, error = read(
        side, f"{hypercorn_server.url}/broken", client=options, timeout=limits
    )
    assert (got, events.last_event_id) == (["one", "two"], "2")
    assert (
        type(error) is side.module.ReadTimeout
    )  # hypercorn neither ends nor resets the stream of a failed application


@pytest.mark.parametrize("length", [None, 10_000])
def test_a_breach_of_http2_is_an_error_of_httpx(side: Side, length: int | None) -> None:
    """An exception of h2 would be caught by nobody, and no `subscribe` would connect again."""
    with http_2_server(length) as (url, acknowledge):

        async def body() -> None:
            got: list[str] = []
            async with side.client(http1=False, http2=True) as opened:
                with pytest.raises(side.module.RemoteProtocolError) as caught:
                    async with side.connect(opened, url) as events:
                        async for event in events:
                            got.append(event.data)
                            if event.data == "two":
                                acknowledge.set()
            assert got == ["one", "two"]
            assert caught.value.request.url == url
            assert is_transient(caught.value) is True

        side.run(body)


@pytest.mark.parametrize("path", ["/events?n=50", "/gzip?n=50"])
@pytest.mark.parametrize("service", ["uvicorn_server", "aiohttp_server"])
def test_servers_of_others(
    side: Side, service: str, path: str, request: pytest.FixtureRequest
) -> None:
    origin = request.getfixturevalue(service).url
    got, _, error = read(side, origin + path)
    assert (got, error) == ([str(i) for i in range(50)], None)


@pytest.mark.parametrize("service", ["uvicorn_server", "aiohttp_server"])
def test_servers_of_others_break_off(
    side: Side, service: str, request: pytest.FixtureRequest
) -> None:
    got, _, error = read(side, request.getfixturevalue(service).url + "/broken")
    assert got == ["one", "two"]
    assert type(error) is side.module.RemoteProtocolError


def test_a_server_of_others_sees_that_the_client_has_left(
    side: Side, uvicorn_server: Service
) -> None:
    key = f"{side.module.__name__} {side.loop}"

    async def body() -> None:
        async with side.client() as client:
            async with side.connect(client, f"{uvicorn_server.url}/steps?key={key}") as events:
                assert (await events.__anext__()).data == "0"
            assert uvicorn_server.left(key).wait(GUARD)

    side.run(body)


def test_an_event_of_10_mb_in_one_chunk(side: Side, server: Server) -> None:
    data = b"x" * 10_000_000
    got, _, error = read(side, server.url(stream([b"data: " + data + b"\n\n", b"data: small\n\n"])))
    assert ([len(text) for text in got], error) == ([10_000_000, 5], None)


# Faults.

ERRORS = {
    "reset": "ReadError",
    "reset inside a chunk": "ReadError",
    "reset, Content-Length": "ReadError",
    "reset, close-delimited": "ReadError",
    "closed between chunks": "RemoteProtocolError",
    "closed inside a chunk": "RemoteProtocolError",
    "short Content-Length": "RemoteProtocolError",
    "bad chunk size": "RemoteProtocolError",
    "corrupt gzip": "DecodingError",
    "stall": "ReadTimeout",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(side: Side, server: Server, fault: str) -> None:
    options: dict[str, Any] = {"timeout": 0.2} if fault == "stall" else {}
    got, events, error = read(side, server.url(FAULTS[fault].handler()), server, **options)
    assert (got, events.last_event_id) == (["one", "two"], "2")
    assert type(error) is getattr(side.module, ERRORS[fault])
    if fault in (
        "bad chunk size",
        "corrupt gzip",
        "stall",
    ):  # the server has not ended the connection itself
        assert server.connections[0].released.wait(GUARD)


@pytest.mark.parametrize("fault", SILENT_FAULTS)
def test_what_no_client_knows(side: Side, server: Server, fault: str) -> None:
    decoder = SSEDecoder(incomplete="raise")
    got, _, error = read(side, server.url(SILENT_FAULTS[fault].handler()), server, decoder=decoder)
    assert got == ["one", "two"]
    assert type(error) is IncompleteEventError


@pytest.mark.parametrize("fault", EARLY_FAULTS)
def test_fault_before_the_headers(side: Side, server: Server, fault: str) -> None:
    name = {"closed before headers": "RemoteProtocolError", "reset before headers": "ReadError"}[
        fault
    ]
    assert type(refusal(side, server.url(EARLY_FAULTS[fault]))) is getattr(side.module, name)


def test_no_server(side: Side) -> None:
    with Server() as server:
        url = server.url(Connection.stall)
    assert type(refusal(side, url)) is side.module.ConnectError


# The check.

PLAIN = [("Content-Type", "text/plain")]
JSON_ERROR = b'{"error": {"message": "model not found"}}'


class Refused:
    def __init__(
        self, handler: Handler, error: type[Exception], status: int, body: bytes, text: str
    ) -> None:
        self.handler, self.error, self.status, self.body, self.text = (
            handler,
            error,
            status,
            body,
            text,
        )


REFUSED = {
    "JSON error": Refused(
        respond(404, JSON_ERROR), StatusError, 404, JSON_ERROR, "model not found"
    ),
    "10 MB": Refused(
        respond(500, b"x" * 10_000_000), StatusError, 500, b"x" * MAX_BODY_SIZE, "500 Internal"
    ),
    "endless": Refused(
        endless(503, [("Content-Type", "text/plain")], b"y" * 1000),
        StatusError,
        503,
        b"y" * MAX_BODY_SIZE,
        "yyy",
    ),
    "broken off": Refused(broken_off(400, b"so far"), StatusError, 400, b"so far", "so far"),
    "redirect": Refused(
        respond(302, b"", [("Location", "/")]), StatusError, 302, b"", "follow_redirects=True"
    ),
    "HTML": Refused(
        respond(200, b"<p>", [("Content-Type", "text/html")]),
        ContentTypeError,
        200,
        b"<p>",
        "text/html",
    ),
    "no media type": Refused(
        respond(201, b"data: x\n\n", []), ContentTypeError, 201, b"data: x\n\n", "is none"
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("through", ["connect", "the response"])
def test_refused(side: Side, server: Server, case: str, through: str) -> None:
    refused = REFUSED[case]
    url = server.url(refused.handler) + "?key=secret"
    errors: list[Any] = []

    async def body() -> None:
        async with side.client() as client:
            try:
                if through == "connect":
                    async with side.connect(client, url):
                        pass
                else:
                    async for _ in side.events(await side.send(client, url)):
                        pass
            except refused.error as error:
                errors.append(error)
            if len(refused.body) == MAX_BODY_SIZE:
                assert server.connections[0].released.wait(GUARD)
            elif case != "broken off":  # read to its end: the connection can be used again
                await side.send(client, server.url(respond(200)), stream=False)
                assert [request.connection for request in server.requests] == [0, 0]

    side.run(body)
    [error] = errors
    assert (type(error), error.status, error.url, error.body) == (
        refused.error,
        refused.status,
        url,
        refused.body,
    )
    assert refused.text in str(error)
    assert "secret" not in str(error)
    media_type = {"redirect": None, "HTML": "text/html", "no media type": None}.get(
        case, "text/plain"
    )
    assert error.headers.get("CONTENT-type") == media_type
    assert pickle.loads(pickle.dumps(error)).body == refused.body


def test_compressed_body_of_an_error(side: Side, server: Server) -> None:
    handler = stream([JSON_ERROR], FRAMINGS["gzip"], headers=[("Content-Type", "application/json")])
    assert refusal(side, server.url(handler)).body == JSON_ERROR


def test_204_is_an_empty_stream(side: Side, server: Server) -> None:
    got, events, error = read(side, server.url(respond(204, headers=[])))
    assert (got, events.response.status_code, error) == ([], 204, None)


def test_check_false(side: Side, server: Server) -> None:
    url = server.url(respond(500, b"data: 1\n\n", [("Content-Type", "text/plain")]))
    got, events, error = read(side, url, check=False)
    assert (got, events.response.status_code, error) == (["1"], 500, None)


def test_check_false_on_a_response(side: Side, server: Server) -> None:
    url = server.url(respond(500, b"data: 1\n\n"))

    async def body() -> None:
        async with side.client() as client:
            response = await side.send(client, url)
            assert [event.data async for event in side.events(response, check=False)] == ["1"]

    side.run(body)


# The connection.


def test_a_pooled_connection_is_used_again(side: Side, server: Server) -> None:
    url = server.url(stream(COMPLETE))

    async def body() -> None:
        async with side.client() as client:
            for _ in range(3):
                async with side.connect(client, url) as events:
                    assert [event.data async for event in events] == ["one", "two"]

    side.run(body)
    assert [request.connection for request in server.requests] == [0, 0, 0]


def test_200_streams_leave_nothing(
    side: Side, server: Server, no_descriptor_left: Callable[[], None]
) -> None:
    url = server.url(stream(COMPLETE))

    async def body() -> None:
        async with side.client() as client:
            for i in range(200):
                async with side.connect(client, url) as events:
                    async for _ in events:
                        if i % 2:
                            break
        if side.loop == "asyncio":
            for _ in range(
                20
            ):  # httpx leaves its nested generators to the loop, which closes one after the other
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    side.run(body)
    no_descriptor_left()


def test_leaving_an_infinite_stream_releases_it(side: Side, server: Server) -> None:
    url = server.url(endless())

    async def body() -> None:
        async with side.client() as client:
            async with side.connect(client, url) as events:
                for _ in range(1000):
                    assert (await events.__anext__()).data == "x"
            assert server.connections[0].released.wait(GUARD)
            with pytest.raises(StreamClosedError):
                await events.__anext__()

    side.run(body)


def test_cancellation_while_it_waits(async_side: Side, server: Server) -> None:
    url = server.url(stream([b"id: 1\ndata: 1\n\ndata: unfin"], lock_step=True))
    streams: list[Any] = []

    async def read_on() -> None:
        async with async_side.client() as client, async_side.connect(client, url) as events:
            streams.append(events)
            async for _ in events:
                if async_side.loop == "asyncio":
                    task = asyncio.current_task()
                    assert task is not None
                    asyncio.get_running_loop().call_later(0.02, task.cancel)
                else:
                    scope.deadline = trio.current_time() + 0.02

    async def body() -> None:
        if async_side.loop == "asyncio":
            with pytest.raises(asyncio.CancelledError):
                await read_on()
        else:
            with scope:
                await read_on()
            assert scope.cancelled_caught
        assert server.connections[0].released.wait(GUARD)

    scope = trio.CancelScope()
    async_side.run(body)
    assert streams[0].last_event_id == "1"


@pytest.mark.parametrize(
    "head", [b"", FRAMINGS["chunked"].head(0, "500 Reason")], ids=["headers", "body of an error"]
)
def test_cancellation_while_it_connects(async_side: Side, server: Server, head: bytes) -> None:
    def handler(connection: Connection) -> None:
        connection.send(head)
        connection.stall()

    url = server.url(handler)

    async def connect() -> None:
        async with async_side.client() as client, async_side.connect(client, url):
            raise AssertionError("the stream was opened")

    async def body() -> None:
        if async_side.loop == "asyncio":
            connecting = asyncio.ensure_future(connect())
            while not (server.connections or connecting.done()):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connect)
                while not server.connections:
                    await trio.sleep(0.01)
                await trio.sleep(0.1)
                nursery.cancel_scope.cancel()
        assert server.connections[0].released.wait(GUARD)

    async_side.run(body)


def test_aclose_while_another_task_waits(async_side: Side, server: Server) -> None:
    url = server.url(stream([b"data: 1\n\n"], lock_step=True))

    async def body() -> None:
        async with async_side.client() as client, async_side.connect(client, url) as events:
            await events.__anext__()
            ended: list[Any] = []

            async def wait() -> None:
                ended.append([event async for event in events])

            if async_side.loop == "asyncio":
                waiting = asyncio.create_task(wait())
                await asyncio.sleep(0)
                await events.aclose()
                await asyncio.wait_for(waiting, GUARD)
            else:
                with trio.fail_after(GUARD):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(wait)
                        await trio.testing.wait_all_tasks_blocked()
                        await events.aclose()
            assert ended == [[]]

    async_side.run(body)


def test_100_streams_at_once(async_side: Side, server: Server) -> None:
    urls = [
        server.url(stream([f"data: {i}-{j}\n\n".encode() for j in range(20)])) for i in range(100)
    ]
    got: dict[str, list[str]] = {}

    async def body() -> None:
        async with async_side.client() as client:

            async def read_one(url: str) -> None:
                async with async_side.connect(client, url, timeout=30) as events:
                    got[url] = [event.data async for event in events]

            if async_side.loop == "asyncio":
                await asyncio.gather(*map(read_one, urls))
            else:
                async with trio.open_nursery() as nursery:
                    for url in urls:
                        nursery.start_soon(read_one, url)

    async_side.run(body)
    assert got == {url: [f"{i}-{j}" for j in range(20)] for i, url in enumerate(urls)}


# The request.


def test_request_headers(side: Side, server: Server) -> None:
    url = server.url(stream(COMPLETE))
    headers = {"X-Mine": "1"}
    read(side, url, client={"headers": {"Authorization": "Bearer t"}}, headers=headers)
    [request] = server.requests
    assert request.header("Accept") == b"text/event-stream"
    assert request.header("Cache-Control") == b"no-cache"
    assert request.header("X-Mine") == b"1"
    assert request.header("Authorization") == b"Bearer t"
    assert (request.header("User-Agent") or b"").startswith(b"python-httpx")
    assert request.header("Last-Event-ID") is None
    assert headers == {"X-Mine": "1"}


def test_the_callers_headers_stay(side: Side, server: Server) -> None:
    read(
        side,
        server.url(stream(COMPLETE)),
        headers=[("accept", "text/event-stream, */*"), (b"cache-control", b"no-store")],
    )
    [request] = server.requests
    assert request.header("Accept") == b"text/event-stream, */*"
    assert request.header("Cache-Control") == b"no-store"


def test_request_options(side: Side, server: Server) -> None:
    moved = server.url(stream(COMPLETE), "/moved")
    url = server.url(respond(307, headers=[("Location", moved)]))
    got, events, _ = read(
        side,
        url,
        method="POST",
        params={"a": "b"},
        json={"stream": True},
        auth=("user", "pass"),
        follow_redirects=True,
        timeout=side.module.Timeout(3, read=30),
        extensions={"sni_hostname": "localhost"},
    )
    assert got == ["one", "two"]
    first, second = server.requests
    assert first.target.endswith("?a=b")
    assert (first.method, first.header("Content-Type"), b"true" in first.body) == (
        "POST",
        b"application/json",
        True,
    )
    assert first.header("Authorization") == b"Basic dXNlcjpwYXNz"
    assert (second.target, second.header("Accept")) == ("/moved", b"text/event-stream")
    assert events.response.request.extensions["timeout"]["read"] == 30


def test_an_unknown_option(side: Side) -> None:
    async def body() -> None:
        async with side.client() as client:
            with pytest.raises(TypeError, match="no option 'no_such_option'"):
                side.connect(client, "http://localhost", no_such_option=1)

    side.run(body)


@pytest.mark.parametrize(
    ("last_event_id", "sent"),
    [("42", b"42"), ("é ☃", "é ☃".encode()), ("a\x01b", None), ("", None)],
    ids=["ASCII", "UTF-8", "control character", "none"],
)
@pytest.mark.parametrize("given", ["as ID", "by decoder"])
def test_last_event_id(
    side: Side, server: Server, last_event_id: str, sent: bytes | None, given: str
) -> None:
    options: dict[str, Any] = {"last_event_id": last_event_id}
    if given == "by decoder":
        options = {"decoder": SSEDecoder(**options)}
    got, events, _ = read(side, server.url(stream([b"data: 1\n\n"])), **options)
    assert (got, events.last_event_id) == (["1"], last_event_id)
    assert server.requests[0].header("Last-Event-ID") == sent


# What is passed.


def test_decoder_and_id_together(side: Side) -> None:
    async def body() -> None:
        async with side.client() as client:
            with pytest.raises(ValueError, match="either decoder or last_event_id"):
                side.connect(client, "http://localhost", decoder=SSEDecoder(), last_event_id="1")

    side.run(body)


@pytest.mark.parametrize("name", ["get", "read"])
def test_a_response_that_has_been_read(side: Side, server: Server, name: str) -> None:
    url = server.url(stream(COMPLETE, FRAMINGS["gzip"]))
    refused = server.url(respond(400, b"no"))

    async def body() -> None:
        async with side.client() as client:
            response = await side.send(client, url, stream=name == "read")
            if name == "read":
                await side.call(response, "read")
            events = side.events(response)
            assert [event.data async for event in events] == ["one", "two"]
            response = await side.send(client, refused, stream=False)
            with pytest.raises(StatusError, match="Bad Request: no"):
                async for _ in side.events(response):
                    pass

    side.run(body)


@pytest.mark.parametrize("how", ["consumed", "closed"])
def test_a_response_whose_bytes_are_gone(side: Side, server: Server, how: str) -> None:
    url = server.url(stream(COMPLETE))

    async def body() -> None:
        async with side.client() as client:
            response = await side.send(client, url)
            if how == "closed":
                await side.call(response, "close")
            elif side.loop == "sync":
                assert b"".join(response.iter_raw())
            else:
                assert b"".join([chunk async for chunk in response.aiter_raw()])
            with pytest.raises(ValueError, match="before anything is read"):
                side.events(response)

    side.run(body)


def test_a_response_of_the_other_half(side: Side, server: Server) -> None:
    url = server.url(stream(COMPLETE))
    wrong, right = (
        (aiter_events, "iter_events") if side.loop == "sync" else (iter_events, "aiter_events")
    )

    async def body() -> None:
        async with side.client() as client:
            response = await side.send(client, url)
            with pytest.raises(TypeError, match=f"pass it to {right}"):
                wrong(response)
            await side.call(response, "close")

    side.run(body)


def test_a_client_of_the_other_half(side: Side) -> None:
    wrong, right = (aconnect, "connect") if side.loop == "sync" else (connect, "aconnect")

    async def body() -> None:
        async with side.client() as client:
            with pytest.raises(TypeError, match=right):
                wrong(client, "GET", "http://localhost")

    side.run(body)


@pytest.mark.parametrize(
    "wrong", [None, "http://localhost", b"data: x\n\n", [b"data: x\n\n"], object()]
)
@pytest.mark.parametrize("function", [iter_events, aiter_events])
def test_no_response(function: Any, wrong: object) -> None:
    with pytest.raises(
        TypeError, match=f"^{function.__name__} takes a response of httpx or httpx2, not "
    ):
        function(wrong)


def test_a_response_of_another_client() -> None:
    wrong: Any = requests.Response()
    with pytest.raises(TypeError, match=r"Response; sse_stream\.adapters\.requests takes it$"):
        iter_events(wrong)


@pytest.mark.parametrize("wrong", [None, "http://localhost", object()])
@pytest.mark.parametrize(("function", "client"), [(connect, "Client"), (aconnect, "AsyncClient")])
def test_no_client(function: Any, client: str, wrong: object) -> None:
    with pytest.raises(
        TypeError,
        match=f"^{function.__name__} takes an httpx.{client}.* not {type(wrong).__name__}$",
    ):
        function(wrong, "GET", "http://localhost")


# The module in place of a client.


def test_the_module(module: Any, server: Server) -> None:
    url = server.url(stream(COMPLETE))
    with connect(
        module, "GET", url, verify=NO_TLS, cookies={"a": "b"}, params={"c": "d"}, trust_env=False
    ) as events:
        assert [event.data for event in events] == ["one", "two"]
    [request] = server.requests
    assert (request.header("Cookie"), request.target) == (b"a=b", "/0?c=d")
    assert server.connections[0].released.wait(GUARD)


def test_the_module_left_early(module: Any, server: Server) -> None:
    url = server.url(endless())
    with connect(module, "GET", url, verify=NO_TLS) as events:
        assert next(events).data == "x"
    assert server.connections[0].released.wait(GUARD)


def test_the_module_refused(module: Any, server: Server) -> None:
    url = server.url(respond(404, JSON_ERROR))
    with (
        pytest.raises(StatusError, match="model not found"),
        connect(module, "GET", url, verify=NO_TLS),
    ):
        raise AssertionError("the stream was opened")
    assert server.connections[0].released.wait(GUARD)


def test_the_module_has_no_async_form(module: Any) -> None:
    with pytest.raises(
        TypeError, match=r"aconnect takes an httpx.AsyncClient, not module; connect takes it"
    ):
        aconnect(module, "GET", "http://localhost")


# Transports without a network.


def test_mock_transport(side: Side) -> None:
    closed: list[str] = []

    def parts() -> Iterator[bytes]:
        try:
            yield b"data: 1\n\nda"
            yield b"ta: 2\n\n"
        finally:
            closed.append("yes")

    async def async_parts() -> AsyncIterator[bytes]:
        for part in parts():
            yield part

    def answer(request: Any) -> Any:
        content = (
            b"data: 1\n\ndata: 2\n\n"
            if request.url.path == "/whole"
            else parts()
            if side.loop == "sync"
            else async_parts()
        )
        return side.module.Response(200, headers=[EVENT_STREAM], content=content)

    transport = side.module.MockTransport(answer)
    for path in ("/whole", "/parts"):
        got, _, error = read(side, f"http://test{path}", client={"transport": transport})
        assert (got, error) == (["1", "2"], None)
    assert closed == ["yes"]


def test_asgi_transport(async_side: Side) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        name, value = EVENT_STREAM
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(name.lower().encode(), value.encode())],
            }
        )
        await send({"type": "http.response.body", "body": b"data: 1\n\nda", "more_body": True})
        await send({"type": "http.response.body", "body": b"ta: 2\n\n"})

    transport = async_side.module.ASGITransport(application)
    got, _, error = read(async_side, "http://test", client={"transport": transport})
    assert (got, error) == (["1", "2"], None)


def test_a_coding_that_the_client_does_not_decode(side: Side, server: Server) -> None:
    url = server.url(
        stream([b"\x28\xb5\x2f\xfd"], headers=[EVENT_STREAM, ("Content-Encoding", "compress")])
    )
    error = refusal(side, url)
    assert (type(error), error.status, error.url) == (ResponseError, 200, url)
    assert "'compress'" in str(error)
    assert server.connections[0].released.wait(GUARD)


def test_a_coding_that_was_not_asked_for(side: Side, server: Server) -> None:
    url = server.url(stream(COMPLETE, FRAMINGS["gzip"]))
    got, _, error = read(side, url, headers={"Accept-Encoding": "identity"})
    assert (got, error) == (["one", "two"], None)


def test_a_response_made_by_hand(side: Side) -> None:
    async def body() -> None:
        response = side.module.Response(200, headers=[EVENT_STREAM], content=b"data: 1\n\n")
        assert [event.data async for event in side.events(response)] == ["1"]
        with pytest.raises(StatusError) as info:
            async for _ in side.events(side.module.Response(500, content=b"no")):
                pass
        assert (info.value.url, info.value.body) == ("", b"no")

    side.run(body)
