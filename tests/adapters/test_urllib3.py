# SPDX-License-Identifier: MIT
from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import urllib3
from urllib3 import exceptions

from sse_stream import ContentTypeError, ResponseError, StatusError
from sse_stream.adapters.urllib3 import connect, iter_events

from .contract import NUMBERS, SyncContract, receive
from .server import COMPLETE, FRAMINGS, Server, endless, respond, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sse_stream.streams import EventStream, Opening

    from .conftest import Certificates
    from .server import Connection

EVENT_STREAM = {"Content-Type": "text/event-stream"}
BODY = b"".join(COMPLETE)


class TestUrllib3(SyncContract):
    name = "urllib3"
    codings = frozenset({"gzip", "deflate", "br"})
    pools = True
    errors: ClassVar = {
        "reset": exceptions.ProtocolError,
        "reset inside a chunk": exceptions.ProtocolError,
        "reset, Content-Length": exceptions.ProtocolError,
        "reset, close-delimited": exceptions.ProtocolError,
        "closed between chunks": exceptions.ProtocolError,
        "closed inside a chunk": exceptions.ProtocolError,
        "short Content-Length": exceptions.ProtocolError,
        "bad chunk size": exceptions.ProtocolError,
        "corrupt gzip": exceptions.DecodeError,
        "stall": exceptions.ReadTimeoutError,
        "closed before headers": exceptions.MaxRetryError,
        "reset before headers": exceptions.MaxRetryError,
        "silence before headers": exceptions.MaxRetryError,
        "no connection": exceptions.MaxRetryError,
    }

    @pytest.fixture(autouse=True)
    def pool_manager(self) -> Iterator[None]:
        with urllib3.PoolManager() as self.client:
            yield

    def connect(
        self,
        url: str,
        method: str = "GET",
        *,
        read_timeout: float | None = None,
        certificates: Certificates | None = None,
        follow: bool = True,
        **options: Any,
    ) -> Opening:
        if certificates:
            self.client.connection_pool_kw["ca_certs"] = str(certificates.ca_file)
        timeout = urllib3.Timeout(connect=5, read=read_timeout)
        return connect(self.client, method, url, timeout=timeout, redirect=follow, **options)

    def open(self, url: str) -> urllib3.BaseHTTPResponse:
        return self.client.request("GET", url, preload_content=False)

    def iter_events(self, response: Any, **options: Any) -> EventStream:
        return iter_events(response, **options)

    def test_options_reach_the_server(self, server: Server) -> None:
        with connect(
            self.client, "POST", server.url(stream(NUMBERS)), json={"a": 1}, headers={"X-Own": "o"}
        ) as events:
            assert len(list(events)) == 4
        request = server.requests[0]
        assert request.method == "POST"
        assert request.body == b'{"a":1}'
        assert request.header("X-Own") == b"o"

    def test_headers_of_the_client_stay(self, server: Server) -> None:
        own = urllib3.HTTPHeaderDict({"X-Client": "c", "x-both": "c", "accept": "*/*"})
        own.add("X-Many", "1")
        own.add("X-Many", "2")
        with urllib3.PoolManager(headers=own) as client:
            url = server.url(stream(NUMBERS))
            with connect(client, "GET", url, headers={"X-Both": "o"}, last_event_id="é") as events:
                assert len(list(events)) == 4
            assert client.headers == own
        request = server.requests[0]
        assert request.header("X-Client") == b"c"
        assert request.header("X-Both") == b"o"
        assert request.header("X-Many") == b"1, 2"
        assert request.header("Accept") == b"*/*"
        assert request.header("Last-Event-ID") == "é".encode()

    def test_preload_content_is_not_an_option(self, server: Server) -> None:
        with pytest.raises(TypeError, match="preload_content"):
            connect(
                self.client,
                "GET",
                server.url(stream(NUMBERS)),
                preload_content=True,  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
            ).__enter__()

    def test_url_of_an_error_of_iter_events_is_the_path(self, server: Server) -> None:
        with pytest.raises(StatusError) as caught:
            iter_events(self.open(server.url(respond(404), "/path") + "?a=b"))
        assert caught.value.url == "/path?a=b"

    def test_reading_goes_on_after_a_reset_of_the_first_connection(self, server: Server) -> None:
        """What urllib3 tries again by default, it still does."""

        def handler(connection: Connection) -> None:
            if connection.number == 0:
                connection.reset()
            else:
                stream(NUMBERS)(connection)

        with connect(self.client, "GET", server.url(handler)) as events:
            assert len(list(events)) == 4


# Retry.


def test_retries_of_the_caller_are_kept(server: Server) -> None:
    def handler(connection: Connection) -> None:
        if len(server.requests) < 3:
            respond(503, headers=[("Retry-After", "0")])(connection)
        else:
            stream(NUMBERS)(connection)

    url = server.url(handler)
    with urllib3.PoolManager() as client, connect(client, "GET", url, retries=5) as events:
        assert len(list(events)) == 4
    server.requests.clear()
    with (
        urllib3.PoolManager(retries=urllib3.Retry(5)) as client,
        connect(client, "GET", url) as events,
    ):
        assert len(list(events)) == 4
    server.requests.clear()
    with (
        urllib3.HTTPConnectionPool("127.0.0.1", server.port, retries=urllib3.Retry(5)) as pool,
        connect(pool, "GET", url.removeprefix(server.origin)) as events,
    ):
        assert len(list(events)) == 4
    server.requests.clear()
    none: dict[str, Any] = {"retries": False}
    for of_client, of_request in [({}, none), (none, {})]:
        server.requests.clear()
        with urllib3.PoolManager(**of_client) as client, pytest.raises(StatusError) as caught:
            connect(client, "GET", url, **of_request).__enter__()
        assert caught.value.url == url
        assert len(server.requests) == 1


def test_connection_pool_as_client(server: Server) -> None:
    url = server.url(respond(503, headers=[("Retry-After", "60")]))
    with (
        urllib3.HTTPConnectionPool("127.0.0.1", server.port, headers={"X-Pool": "p"}) as pool,
        pytest.raises(StatusError) as caught,
    ):
        connect(pool, "GET", url.removeprefix(server.origin)).__enter__()
    assert caught.value.status == 503
    assert server.requests[0].header("X-Pool") == b"p"


def test_module_as_client(server: Server) -> None:
    # Its pool lives as long as the process: what closes with the connection stays out of it.
    url = server.url(stream(NUMBERS, FRAMINGS["close-delimited"], lock_step=True))
    with connect(urllib3, "GET", url) as events:
        server.acknowledge()
        assert next(events).data == "0"
        server.acknowledge(4)
        assert receive(events) == ["1", "2", "3"]
    with pytest.raises(StatusError):
        connect(
            urllib3,
            "GET",
            server.url(respond(503, headers=[("Retry-After", "60"), ("Connection", "close")])),
        ).__enter__()


# Responses that were read, in part or to the end.


@pytest.fixture
def client() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager() as client:
        yield client


@pytest.mark.parametrize("name", FRAMINGS)
def test_response_with_preloaded_content(
    server: Server, client: urllib3.PoolManager, name: str
) -> None:
    response = client.request("GET", server.url(stream(NUMBERS, FRAMINGS[name])))
    with iter_events(response) as events:
        assert receive(events) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("name", ["chunked", "Content-Length"])
def test_empty_response_with_preloaded_content(
    server: Server, client: urllib3.PoolManager, name: str
) -> None:
    response = client.request("GET", server.url(stream([], FRAMINGS[name])))
    assert receive(iter_events(response)) == []


def test_response_whose_data_was_loaded(server: Server, client: urllib3.PoolManager) -> None:
    response = client.request("GET", server.url(stream(NUMBERS)), preload_content=False)
    assert response.data
    assert receive(iter_events(response)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("status", "kind"), [(200, ContentTypeError), (404, StatusError)])
def test_error_with_preloaded_content(
    server: Server, client: urllib3.PoolManager, status: int, kind: type[ResponseError]
) -> None:
    with pytest.raises(kind) as caught:
        iter_events(client.request("GET", server.url(respond(status, b"body"))))
    assert caught.value.body == b"body"


USES: Mapping[str, Callable[[Any], object]] = {
    "read in part": lambda response: response.read(10),
    "read to the end": lambda response: list(response.stream(10)),
    "read1": lambda response: response.read1(),
    "closed": lambda response: response.close(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", ["chunked", "Content-Length"])
def test_response_that_was_used(
    server: Server, client: urllib3.PoolManager, use: str, name: str
) -> None:
    response = client.request(
        "GET", server.url(stream(NUMBERS, FRAMINGS[name])), preload_content=False
    )
    USES[use](response)
    with pytest.raises(ValueError, match="read or closed already"):
        iter_events(response)
    response.close()


def test_content_coding_that_is_not_decoded(server: Server, client: urllib3.PoolManager) -> None:
    headers = [("Content-Type", "text/event-stream"), ("Content-Encoding", "snappy")]
    with pytest.raises(ResponseError, match="Content-Encoding 'snappy'"):
        connect(client, "GET", server.url(endless(200, headers))).__enter__()


# Fakes.


class OnlyRead:
    """A file with `read`, and `closed`, without which urllib3 does not read."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed


@pytest.mark.parametrize("file", [io.BytesIO, OnlyRead])
@pytest.mark.parametrize("preload_content", [True, False])
def test_handmade_response_over_a_file(file: Callable[[bytes], Any], preload_content: bool) -> None:
    response = urllib3.HTTPResponse(file(BODY), EVENT_STREAM, 200, preload_content=preload_content)
    with iter_events(response) as events:
        assert receive(events) == ["one", "two"]


def test_handmade_response_of_bytes() -> None:
    with iter_events(urllib3.HTTPResponse(BODY, EVENT_STREAM, 200)) as events:
        assert receive(events) == ["one", "two"]


# Versions of urllib3 that are not installed, for two cannot be: what they have stands in.


class Older:
    """urllib3 before 2.2: `stream` without `read1`."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("read1", "_fp"):
            raise AttributeError(name)
        return getattr(self._response, name)

    def stream(self, size: int, decode_content: bool) -> Iterator[bytes]:
        self.sizes.append(size)
        yield from self._response.stream(size, decode_content=decode_content)


class Future(Older):
    """urllib3-future: `read1` returns nothing while compressed bytes trickle in; `extension`."""

    extension = None

    def read1(self, size: int, decode_content: bool) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("kind", "name", "size"),
    [
        (Older, "chunked", 65536),
        (Older, "gzip", 65536),
        (Older, "close-delimited", 1),
        (Older, "Content-Length", 1),
        (Future, "chunked", 65536),
        (Future, "gzip", 65536),
    ],
)
def test_other_urllib3(
    server: Server, client: urllib3.PoolManager, kind: type[Older], name: str, size: int
) -> None:
    url = server.url(stream(NUMBERS, FRAMINGS[name], lock_step=True))
    response: Any = kind(client.request("GET", url, preload_content=False))
    data: list[str] = []
    with iter_events(response) as events:
        server.acknowledge()
        for event in events:
            data.append(event.data)
            server.acknowledge()
    assert data == ["0", "1", "2", "3"]
    assert response.sizes == [size]
