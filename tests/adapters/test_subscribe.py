# SPDX-License-Identifier: MIT
"""`subscribe`, `asubscribe` and `is_transient` of every client, against the scripted server."""

from __future__ import annotations

import asyncio
import http.client
import random
import ssl
import threading
import urllib.error
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pycurl  # type: ignore[import-untyped]
import pytest
import trio
import urllib3
from aiohttp.client_reqrep import ConnectionKey
from requests import exceptions as of_requests
from urllib3 import exceptions as of_urllib3

from sse_stream import ResponseError, SSEDecoder, StatusError
from sse_stream.adapters import aiohttp as aiohttp_adapter
from sse_stream.adapters import httpx as httpx_adapter
from sse_stream.adapters import pycurl as pycurl_adapter
from sse_stream.adapters import requests as requests_adapter
from sse_stream.adapters import urllib as urllib_adapter
from sse_stream.adapters import urllib3 as urllib3_adapter

from .server import (
    EARLY_FAULTS,
    EVENT_STREAM,
    FAULTS,
    FRAMINGS,
    GUARD,
    Connection,
    Handler,
    Server,
    respond,
    stream,
)
from .subscribers import CLIENTS, QUICK, Client

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    return CLIENTS[request.param]


def resuming(count: int, seed: int) -> Handler:
    """Return a handler that resumes by ID and breaks off at random: clean, cut, reset, refused."""
    choose = random.Random(seed)

    def handler(connection: Connection) -> None:
        start = int(connection.request.header("Last-Event-ID") or 0)
        if start == count:
            respond(204, headers=[])(connection)
            return
        fate = choose.choice(["end", "cut", "reset", "503", "nothing"])
        if fate == "503":
            respond(503)(connection)
            return
        body = b"".join(b"id: %d\ndata: %d\n\n" % (i, i) for i in range(start + 1, count + 1)[:9])
        body = body[: choose.randrange(len(body) + 1)]
        framing = FRAMINGS["chunked"]
        if fate != "nothing":
            connection.send(framing.head(0, headers=[("Content-Type", "text/event-stream")]))
            framing.send(connection, body)
        if fate == "end":
            framing.end(connection)
        elif fate == "reset":
            connection.reset()
        else:
            connection.close()

    return handler


def test_reconnections_lose_and_double_nothing(client: Client, server: Server) -> None:
    url = server.url(resuming(200, 7))
    data, error = client.run(url, policy=QUICK.replace(max_attempts=100))
    assert error is None
    assert data == [str(i) for i in range(1, 201)]
    assert len(server.requests) > 50


@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.loop])
@pytest.mark.filterwarnings(r"ignore:Async generator '(httpx2?|httpcore2?)\.:ResourceWarning")
def test_cancelled_reads_lose_and_double_nothing(name: str, server: Server) -> None:
    """Cancel one read in three after some steps of the loop; resume with the next."""

    async def read_on_asyncio(source: Any, steps: int) -> str:
        read = asyncio.ensure_future(source.__anext__())
        for _ in range(steps):
            await asyncio.sleep(0 if steps % 2 else 0.0005)
        read.cancel()
        await asyncio.wait({read})
        return "" if read.cancelled() else read.result().data

    async def read_on_trio(source: Any, steps: int) -> str:
        with trio.move_on_after(steps / 10_000):
            data: str = (await source.__anext__()).data
            return data
        return ""

    async def main() -> None:
        client = CLIENTS[name].new()
        options: dict[str, Any] = {"policy": QUICK.replace(max_attempts=None)}
        source: Any = CLIENTS[name].adapter.asubscribe(client, "GET", url, **options)
        cancelled = 0
        while True:
            try:
                if choose.random() < 0.66:
                    data = (await source.__anext__()).data
                else:
                    read = read_on_trio if CLIENTS[name].loop is trio.run else read_on_asyncio
                    data = await read(source, choose.randrange(12))
            except StopAsyncIteration:
                break
            cancelled += not data
            got.extend([data] * bool(data))
        assert cancelled
        closing = (getattr(client, "aclose", None) or client.close)()
        if closing is not None:
            await closing

    choose = random.Random(name)
    url, got = server.url(resuming(150, 11)), list[str]()
    CLIENTS[name].loop(main)
    assert got == [str(i) for i in range(1, 151)]


def decoding_handle() -> Any:
    curl = pycurl.Curl()
    curl.setopt(pycurl.ACCEPT_ENCODING, "gzip")
    return curl


def broken_connections() -> Iterator[Any]:
    for name, client in CLIENTS.items():
        for fault in ("reset", "closed between chunks", "corrupt gzip", "stall"):
            if fault == "corrupt gzip" and client.adapter is urllib_adapter:
                continue  # it decodes nothing: such a body is refused, see below
            if fault == "corrupt gzip" and client.adapter is pycurl_adapter:
                client = Client(pycurl_adapter, decoding_handle, client.loop, client.idle)
            # Whatever one does: httpx does not close the generators that it nests; trio says so.
            ignored = pytest.mark.filterwarnings(
                r"ignore:Async generator '(httpx2?|httpcore2?)\.:ResourceWarning"
            )
            yield pytest.param(
                client,
                fault,
                id=f"{name}, {fault}",
                marks=[ignored] if client.loop is trio.run else [],
            )


def test_a_body_that_cannot_be_decoded_is_not_tried_again(server: Server) -> None:
    data, error = CLIENTS["urllib"].run(server.url(stream([b"data: 1\n\n"], FRAMINGS["gzip"])))
    assert data == []
    assert isinstance(error, ResponseError)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("client", "fault"), [*broken_connections()])
def test_a_broken_connection_is_made_again(client: Client, server: Server, fault: str) -> None:
    handlers = iter([FAULTS[fault].handler(lock_step=False)] * 2)
    url = server.url(lambda connection: next(handlers, respond(204, headers=[]))(connection))
    data, error = client.run(url, idle=0.3 if fault == "stall" else None)
    assert (data, error) == (["one", "two"] * 2, None)
    assert [request.header("Last-Event-ID") for request in server.requests] == [None, b"2", b"2"]


@pytest.mark.parametrize("fault", [*EARLY_FAULTS, "refused"])
def test_a_connection_that_cannot_be_made_is_tried_again(
    client: Client, server: Server, fault: str
) -> None:
    seen: list[Any] = []
    url = server.url(EARLY_FAULTS.get(fault, respond(200)))
    if fault == "refused":
        with Server() as gone:
            url = gone.url(respond(200))
    data, error = client.run(url, on_disconnect=lambda error, delay: seen.append(delay))
    assert data == []
    assert client.adapter.is_transient(error)
    assert seen == [0, 0, 0, None]


def test_a_malformed_chunk_together_with_the_head_is_tried_again(
    client: Client, server: Server
) -> None:
    def malformed(connection: Connection) -> None:
        connection.send(
            FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]) + b"5\r\ndata:\r\nno number\r\n"
        )
        connection.close()

    handlers = iter([malformed, stream([b"data: one\n\n"])])
    url = server.url(lambda connection: next(handlers, respond(204, headers=[]))(connection))
    assert client.run(url) == (["one"], None)


def test_a_status_that_is_not_tried_again(client: Client, server: Server) -> None:
    _, error = client.run(server.url(respond(403)))
    assert isinstance(error, StatusError)
    assert len(server.requests) == 1


def test_ids_that_are_no_header_value_break_nothing(client: Client, server: Server) -> None:
    ids = ["7", "é…😀", " 7", "a\tb", "a\x01b", "x\x7f"]
    handlers = iter(
        [stream([f"id:{' ' if i[:1] == ' ' else ''}{i}\ndata: x\n\n".encode()]) for i in ids]
    )
    url = server.url(lambda connection: next(handlers, respond(204, headers=[]))(connection))
    assert client.run(url) == (["x"] * 6, None)
    sent = [request.header("Last-Event-ID") for request in server.requests]
    assert sent == [None, b"7", "é…😀".encode(), None, b"a\tb", None, None]


def test_options_go_with_each_connection(client: Client, server: Server) -> None:
    answers = iter([stream([b"id: 1\ndata: a\n\n"]), stream([b"data: cut off"])])
    url = server.url(lambda connection: next(answers, respond(204, headers=[]))(connection))
    name = {httpx_adapter: "content", urllib3_adapter: "body"}.get(client.adapter, "data")
    body = {} if client.adapter is pycurl_adapter else {name: b"q"}
    made: list[str] = []

    def make_decoder(last_event_id: str) -> SSEDecoder:
        made.append(last_event_id)
        return SSEDecoder(last_event_id=last_event_id)

    options: dict[str, Any] = {"headers": {"X-Own": "a"}, "method": "POST", "repeat": True, **body}
    assert client.run(url, make_decoder=make_decoder, last_event_id="0", **options) == (
        ["a", "cut off"],
        None,
    )
    assert made == ["0", "1", "1"]
    assert [request.header("X-Own") for request in server.requests] == [b"a"] * 3
    assert {request.method for request in server.requests} == {"POST"}
    assert {request.body for request in server.requests} == ({b"q"} if body else {b""})
    assert [request.header("Last-Event-ID") for request in server.requests] == [b"0", b"1", b"1"]


def test_a_mistyped_option_is_raised(client: Client, server: Server) -> None:
    _, error = client.run(server.url(stream([])), tiemout=5)
    assert isinstance(error, TypeError)
    assert server.requests == []


@pytest.mark.parametrize("url", ["unknown://127.0.0.1:9/", "nonsense", "http://"])
def test_a_wrong_url_is_raised_at_once(client: Client, url: str) -> None:
    seen: list[Any] = []
    if client.adapter is pycurl_adapter and url == "nonsense":
        url = "http://a b/"  # to libcurl, the other is the name of a host
    _, error = client.run(url, on_disconnect=lambda error, delay: seen.append(delay))
    assert error is not None
    assert not client.adapter.is_transient(error)
    assert not [delay for delay in seen if delay is not None]


def test_a_refused_certificate_is_raised_at_once(client: Client, tls_server: Server) -> None:
    seen: list[Any] = []
    _, error = client.run(
        tls_server.url(stream([])), on_disconnect=lambda error, delay: seen.append(delay)
    )
    assert error is not None
    assert not client.adapter.is_transient(error)
    assert seen == [None]


def test_a_body_that_can_be_sent_only_once() -> None:
    body = iter([b"x"])
    for client in CLIENTS.values():
        if client.adapter is not pycurl_adapter:
            _, error = client.run("http://127.0.0.1:9/", data=body)
            assert isinstance(error, TypeError)
            assert "only once" in str(error)


@pytest.mark.parametrize("name", ["requests", "urllib3", "pycurl"])
def test_close_from_another_thread_ends_a_read(name: str, server: Server) -> None:
    client, got = CLIENTS[name], list[Any]()
    url = server.url(FAULTS["stall"].handler(lock_step=False))
    reached = threading.Event()
    handle = client.new()
    source = client.adapter.subscribe(handle, "GET", url)

    def read() -> None:
        for event in source:
            got.append(event.data)
            if len(got) == 2:
                reached.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert reached.wait(GUARD)
    source.close()
    thread.join(GUARD)
    assert not thread.is_alive()
    assert got == ["one", "two"]
    assert source.last_event_id == "2"
    assert server.connections[0].released.wait(GUARD)
    if name == "requests":
        handle.close()
    if name == "urllib3":
        handle.clear()


# Which exceptions are a broken connection, one by one.

REQUEST = httpx.Request("GET", "http://h/")
CERTIFICATE = ssl.SSLCertVerificationError("expired")
POOL: Any = urllib3.HTTPConnectionPool("h")
KEY: Any = ConnectionKey("h", 443, True, True, None, None, None)


def caused(error: Exception, cause: BaseException = CERTIFICATE) -> Exception:
    error.__cause__ = cause
    return error


def of_aiohttp(kind: Any, status: int) -> Exception:
    error: Exception = kind(None, (), status=status)
    return error


TRANSIENT: dict[Any, list[Exception]] = {
    httpx_adapter: [
        *(
            getattr(module, name)("x")
            for module in (httpx, httpx2)
            for name in (
                "ConnectTimeout",
                "ReadTimeout",
                "WriteTimeout",
                "PoolTimeout",
                "ReadError",
                "WriteError",
                "ConnectError",
                "CloseError",
                "ProxyError",
                "RemoteProtocolError",
                "DecodingError",
            )
        ),
        OSError("x"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    requests_adapter: [
        of_requests.ConnectionError(),
        of_requests.ProxyError(),
        of_requests.SSLError(),
        of_requests.ConnectTimeout(),
        of_requests.ReadTimeout(),
        of_requests.Timeout(),
        of_requests.ChunkedEncodingError(),
        of_requests.ContentDecodingError(),
        OSError("x"),
        ConnectionResetError(),
    ],
    urllib3_adapter: [
        of_urllib3.ProtocolError("x"),
        of_urllib3.DecodeError(),
        of_urllib3.TimeoutError(),
        of_urllib3.ReadTimeoutError(POOL, "", ""),
        of_urllib3.ConnectTimeoutError(),
        of_urllib3.NewConnectionError(POOL, ""),
        of_urllib3.NameResolutionError("h", POOL, OSError()),  # type: ignore[arg-type]
        of_urllib3.ProxyError("x", OSError()),
        of_urllib3.SSLError("x"),
        of_urllib3.EmptyPoolError(POOL, ""),
        of_urllib3.MaxRetryError(POOL, "", of_urllib3.ProtocolError("x")),
        OSError("x"),
    ],
    urllib_adapter: [
        urllib.error.URLError(OSError("x")),
        urllib.error.URLError(TimeoutError()),
        OSError("x"),
        ConnectionResetError(),
        TimeoutError(),
        http.client.IncompleteRead(b""),
        http.client.BadStatusLine("x"),
        http.client.RemoteDisconnected("x"),
        http.client.LineTooLong("x"),
        ssl.SSLError("x"),
    ],
    aiohttp_adapter: [
        aiohttp.ClientConnectionError(),
        aiohttp.ClientOSError(),
        aiohttp.ClientConnectionResetError(),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ServerTimeoutError(),
        aiohttp.SocketTimeoutError(),
        aiohttp.ConnectionTimeoutError(),
        aiohttp.ClientConnectorError(KEY, OSError(1, "x")),
        aiohttp.ClientConnectorSSLError(KEY, OSError(1, "x")),
        aiohttp.ClientPayloadError(),
        asyncio.TimeoutError(),
        OSError("x"),
        of_aiohttp(aiohttp.ClientHttpProxyError, 502),
        caused(of_aiohttp(aiohttp.ClientResponseError, 400), aiohttp.http.HttpProcessingError()),
    ],
    pycurl_adapter: [
        *(
            pycurl.error(code, "x")
            for code in (5, 6, 7, 16, 18, 23, 28, 35, 52, 55, 56, 61, 92, 95, 96, 97)
        ),
        OSError("x"),
    ],
}

#: None of any client's.
OTHER = [TypeError("x"), ValueError("x"), RuntimeError("x"), KeyError("x")]

PERMANENT: dict[Any, list[Exception]] = {
    httpx_adapter: [
        *(
            getattr(module, name)("x")
            for module in (httpx, httpx2)
            for name in (
                "UnsupportedProtocol",
                "LocalProtocolError",
                "TooManyRedirects",
                "InvalidURL",
                "StreamError",
                "CookieConflict",
            )
        ),
        httpx.HTTPStatusError("x", request=REQUEST, response=httpx.Response(503)),
        caused(httpx.ConnectError("x")),
        CERTIFICATE,
    ],
    requests_adapter: [
        of_requests.InvalidURL(),
        of_requests.InvalidSchema(),
        of_requests.MissingSchema(),
        of_requests.URLRequired(),
        of_requests.InvalidProxyURL(),
        of_requests.InvalidHeader(),
        of_requests.InvalidJSONError(),
        of_requests.TooManyRedirects(),
        of_requests.RetryError(),
        of_requests.HTTPError(),
        of_requests.StreamConsumedError(),
        of_requests.UnrewindableBodyError(),
        caused(of_requests.SSLError()),
        CERTIFICATE,
    ],
    urllib3_adapter: [
        of_urllib3.LocationValueError(),
        of_urllib3.LocationParseError("x"),
        of_urllib3.URLSchemeUnknown("x"),
        of_urllib3.ResponseError(),
        of_urllib3.ResponseNotChunked("x"),
        of_urllib3.BodyNotHttplibCompatible(),
        of_urllib3.InvalidHeader(),
        of_urllib3.UnrewindableBodyError(),
        of_urllib3.ClosedPoolError(POOL, ""),
        of_urllib3.TimeoutStateError(),
        of_urllib3.HostChangedError(POOL, "", 3),
        of_urllib3.MaxRetryError(POOL, "", None),
        of_urllib3.MaxRetryError(POOL, "", of_urllib3.ResponseError("too many redirects")),
        of_urllib3.MaxRetryError(POOL, "", of_urllib3.SSLError(CERTIFICATE)),
        caused(of_urllib3.SSLError()),
        CERTIFICATE,
    ],
    urllib_adapter: [
        urllib.error.URLError("no host given"),
        urllib.error.URLError(CERTIFICATE),
        http.client.InvalidURL("x"),
        http.client.CannotSendRequest(),
        http.client.UnknownProtocol("x"),
        CERTIFICATE,
    ],
    aiohttp_adapter: [
        aiohttp.InvalidURL("x"),
        aiohttp.NonHttpUrlClientError("x"),
        aiohttp.ServerFingerprintMismatch(b"", b"", "h", 1),
        of_aiohttp(aiohttp.TooManyRedirects, 302),
        of_aiohttp(aiohttp.ClientResponseError, 503),
        of_aiohttp(aiohttp.ClientHttpProxyError, 407),
        caused(aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE)),
        CERTIFICATE,
    ],
    pycurl_adapter: [
        *(
            pycurl.error(code, "x")
            for code in (1, 2, 3, 4, 26, 27, 42, 43, 47, 48, 58, 59, 60, 77, 91)
        ),
        pycurl.error("there is no handle"),
        pycurl.error(),
        CERTIFICATE,
    ],
}


def _name(value: Any) -> str:
    return (
        f"{type(value).__module__}.{type(value).__name__}"
        if isinstance(value, Exception)
        else value.__name__.split(".")[-1]
    )


@pytest.mark.parametrize(
    ("adapter", "error"), [(a, e) for a, errors in TRANSIENT.items() for e in errors], ids=_name
)
def test_what_is_a_broken_connection(adapter: Any, error: Exception) -> None:
    assert adapter.is_transient(error) is True


@pytest.mark.parametrize(
    ("adapter", "error"), [(a, e) for a, errors in PERMANENT.items() for e in errors], ids=_name
)
def test_what_is_a_mistake_of_the_caller(adapter: Any, error: Exception) -> None:
    assert adapter.is_transient(error) is False


FOREIGN: dict[Any, list[Exception]] = {
    adapter: [
        *OTHER,
        StatusError("no", 503, {}, ""),
        *(
            error
            for other, errors in TRANSIENT.items()
            if other is not adapter and {other, adapter} != {requests_adapter, urllib3_adapter}
            for error in errors
            if type(error).__module__ not in ("builtins", "ssl", "asyncio.exceptions")
        ),
    ]
    for adapter in TRANSIENT
}


@pytest.mark.parametrize(
    ("adapter", "error"), [(a, e) for a, errors in FOREIGN.items() for e in errors], ids=_name
)
def test_what_is_none_of_this_client(adapter: Any, error: Exception) -> None:
    assert adapter.is_transient(error) is None
