# SPDX-License-Identifier: MIT
from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import requests
import requests_mock
import responses
import urllib3
from requests import exceptions

from sse_stream import ContentTypeError, ResponseError, StatusError
from sse_stream.adapters.requests import connect, iter_events

from .contract import NUMBERS, SyncContract, receive
from .server import COMPLETE, FRAMINGS, Server, endless, respond, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sse_stream.streams import EventStream, Opening

    from .conftest import Certificates

EVENT_STREAM = {"Content-Type": "text/event-stream"}
BODY = b"".join(COMPLETE)


class TestRequests(SyncContract):
    name = "requests"
    codings = frozenset({"gzip", "deflate", "br"})
    pools = True
    errors: ClassVar = {
        "reset": exceptions.ChunkedEncodingError,
        "reset inside a chunk": exceptions.ChunkedEncodingError,
        "reset, Content-Length": exceptions.ChunkedEncodingError,
        "reset, close-delimited": exceptions.ChunkedEncodingError,
        "closed between chunks": exceptions.ChunkedEncodingError,
        "closed inside a chunk": exceptions.ChunkedEncodingError,
        "short Content-Length": exceptions.ChunkedEncodingError,
        "bad chunk size": exceptions.ChunkedEncodingError,
        "corrupt gzip": exceptions.ContentDecodingError,
        "stall": exceptions.ConnectionError,
        "closed before headers": exceptions.ConnectionError,
        "reset before headers": exceptions.ConnectionError,
        "silence before headers": exceptions.ReadTimeout,
        "no connection": exceptions.ConnectionError,
    }

    def test_headers_of_the_session(self, server: Server) -> None:
        self.client.headers["Accept"] = "application/json, text/event-stream"
        with self.connect(server.url(stream(NUMBERS))) as events:
            list(events)
        assert server.requests[0].header("Accept") == b"application/json, text/event-stream"

    @pytest.fixture(autouse=True)
    def session(self) -> Iterator[None]:
        with requests.Session() as self.client:
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
            options["verify"] = str(certificates.ca_file)
        return connect(
            self.client, method, url, timeout=(5, read_timeout), allow_redirects=follow, **options
        )

    def open(self, url: str) -> requests.Response:
        return self.client.get(url, stream=True)

    def iter_events(self, response: Any, **options: Any) -> EventStream:
        return iter_events(response, **options)

    def test_options_and_the_headers_of_the_session_reach_the_server(self, server: Server) -> None:
        self.client.headers["X-Session"] = "s"
        options: dict[str, Any] = {"params": {"q": "1"}, "json": {"a": 1}, "auth": ("user", "pass")}
        with connect(
            self.client, "POST", server.url(stream(NUMBERS)), headers={"X-Own": "o"}, **options
        ) as events:
            assert len(list(events)) == 4
        request = server.requests[0]
        assert request.method == "POST"
        assert request.target.endswith("?q=1")
        assert request.body == b'{"a": 1}'
        assert request.header("X-Session") == b"s"
        assert request.header("X-Own") == b"o"
        assert request.header("Authorization") == b"Basic dXNlcjpwYXNz"

    def test_stream_is_not_an_option(self, server: Server) -> None:
        with pytest.raises(TypeError, match="stream"):
            connect(
                self.client,
                "GET",
                server.url(stream(NUMBERS)),
                stream=False,  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
            ).__enter__()

    def test_other_exceptions_of_urllib3_pass_through(self, server: Server) -> None:
        response = self.open(server.url(stream(NUMBERS)))

        def read1(*args: object, **options: object) -> bytes:
            raise urllib3.exceptions.InvalidHeader("as no read1 does today")

        response.raw.read1 = read1
        with iter_events(response) as events, pytest.raises(urllib3.exceptions.InvalidHeader):
            next(events)


def test_module_as_client(server: Server, no_descriptor_left: Callable[[], None]) -> None:
    with connect(requests, "GET", server.url(stream(NUMBERS, lock_step=True))) as events:
        server.acknowledge()
        assert next(events).data == "0"
        server.acknowledge(4)
        assert receive(events) == ["1", "2", "3"]


# Responses that were read, in part or to the end.


@pytest.mark.parametrize("name", ["chunked", "Content-Length", "gzip"])
def test_response_opened_without_stream(server: Server, name: str) -> None:
    with iter_events(requests.get(server.url(stream(NUMBERS, FRAMINGS[name])))) as events:
        assert receive(events) == ["0", "1", "2", "3"]


def test_response_whose_content_was_loaded(server: Server) -> None:
    response = requests.get(server.url(stream(NUMBERS)), stream=True)
    assert response.content
    assert receive(iter_events(response)) == ["0", "1", "2", "3"]
    assert receive(iter_events(pickle.loads(pickle.dumps(response)))) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("status", "kind"), [(200, ContentTypeError), (404, StatusError)])
def test_error_whose_content_was_loaded(
    server: Server, status: int, kind: type[ResponseError]
) -> None:
    with pytest.raises(kind) as caught:
        iter_events(requests.get(server.url(respond(status, b"body"))))
    assert caught.value.body == b"body"


def test_empty_response_opened_without_stream(server: Server) -> None:
    assert receive(iter_events(requests.get(server.url(stream([]))))) == []


USES: Mapping[str, Callable[[Any], object]] = {
    "read in part": lambda response: next(response.iter_content(10)),
    "read to the end": lambda response: list(response.iter_content(10)),
    "raw read": lambda response: response.raw.read(1),
    "closed": lambda response: response.close(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", ["chunked", "Content-Length"])
def test_response_that_was_used(server: Server, use: str, name: str) -> None:
    with requests.get(server.url(stream(NUMBERS, FRAMINGS[name])), stream=True) as response:
        USES[use](response)
        with pytest.raises(ValueError, match="read or closed already"):
            iter_events(response)


def test_response_without_anything_beneath() -> None:
    response = requests.Response()
    response.status_code = 200
    response.headers.update(EVENT_STREAM)
    with pytest.raises(ValueError, match="read or closed already"):
        iter_events(response)
    response.raw = io.BytesIO(BODY)
    response.raw.read()
    with pytest.raises(ValueError, match="read or closed already"):
        iter_events(response)


def test_content_coding_that_is_not_decoded(server: Server) -> None:
    headers = [("Content-Type", "text/event-stream"), ("Content-Encoding", "snappy")]
    with pytest.raises(ResponseError, match="Content-Encoding 'snappy'"):
        connect(requests, "GET", server.url(endless(200, headers))).__enter__()


# Fakes.


def test_fake_by_responses() -> None:
    with responses.RequestsMock() as mock:
        mock.get("http://fake/a", BODY, content_type="text/event-stream")
        mock.get("http://fake/b", "slow down", status=429)
        with connect(requests, "GET", "http://fake/a") as events:
            assert receive(events) == ["one", "two"]
        with pytest.raises(StatusError, match="slow down"):
            connect(requests, "GET", "http://fake/b").__enter__()


def test_fake_by_requests_mock() -> None:
    with requests_mock.Mocker() as mock, io.BytesIO(BODY) as file:
        mock.get("http://fake/a", content=BODY, headers=EVENT_STREAM)
        mock.get("http://fake/b", text="slow down", status_code=429)
        mock.get("http://fake/c", body=file, headers=EVENT_STREAM)
        mock.get("http://fake/d", raw=urllib3.HTTPResponse(BODY, headers=EVENT_STREAM, status=200))
        with connect(requests, "GET", "http://fake/a") as events:
            assert receive(events) == ["one", "two"]
        with pytest.raises(StatusError, match="slow down"):
            connect(requests, "GET", "http://fake/b").__enter__()
        with connect(requests, "GET", "http://fake/c") as events:
            assert receive(events) == ["one", "two"]
        with pytest.raises(ValueError, match="read or closed already"):
            connect(requests, "GET", "http://fake/d").__enter__()


class OnlyRead:
    """What requests_mock asks of a file, and `closed`, without which urllib3 does not read."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed


def test_fake_by_requests_mock_with_read_alone() -> None:
    with requests_mock.Mocker() as mock:
        mock.get("http://fake/", body=OnlyRead(BODY), headers=EVENT_STREAM)
        with connect(requests, "GET", "http://fake/") as events:
            assert receive(events) == ["one", "two"]


@pytest.mark.parametrize("file", [io.BytesIO, OnlyRead])
def test_handmade_response_over_a_file(file: Callable[[bytes], Any]) -> None:
    response = requests.Response()
    response.status_code = 200
    response.headers.update(EVENT_STREAM)
    response.raw = file(BODY)
    with iter_events(response) as events:
        assert receive(events) == ["one", "two"]


def test_handmade_response_with_content() -> None:
    response = requests.Response()
    response.status_code = 200
    response.headers.update(EVENT_STREAM)
    response._content = BODY
    with iter_events(response) as events:
        assert receive(events) == ["one", "two"]


# Versions of urllib3 that are not installed, for two cannot be: what they have stands in.


class OlderRaw:
    """urllib3 before 2.2: `stream` without `read1`."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("read1", "_fp"):
            raise AttributeError(name)
        return getattr(self._raw, name)

    def stream(self, size: int, decode_content: bool) -> Iterator[bytes]:
        self.sizes.append(size)
        yield from self._raw.stream(size, decode_content=decode_content)


class FutureRaw(OlderRaw):
    """urllib3-future: `read1` returns nothing while compressed bytes trickle in; `extension`."""

    extension = None

    def read1(self, size: int, decode_content: bool) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("kind", "name", "size"),
    [
        (OlderRaw, "chunked", 65536),
        (OlderRaw, "gzip", 65536),
        (OlderRaw, "close-delimited", 1),
        (OlderRaw, "Content-Length", 1),
        (FutureRaw, "chunked", 65536),
        (FutureRaw, "gzip", 65536),
    ],
)
def test_other_urllib3(server: Server, kind: type[OlderRaw], name: str, size: int) -> None:
    response = requests.get(
        server.url(stream(NUMBERS, FRAMINGS[name], lock_step=True)), stream=True
    )
    response.raw = raw = kind(response.raw)
    data: list[str] = []
    with iter_events(response) as events:
        server.acknowledge()
        for event in events:
            data.append(event.data)
            server.acknowledge()
    assert data == ["0", "1", "2", "3"]
    assert raw.sizes == [size]


@pytest.mark.parametrize(
    ("theirs", "own"),
    [
        (urllib3.exceptions.ProtocolError("a"), exceptions.ChunkedEncodingError),
        (urllib3.exceptions.DecodeError("a"), exceptions.ContentDecodingError),
        (
            urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("h"), "/", "a"),
            exceptions.ConnectionError,
        ),
        (urllib3.exceptions.SSLError("a"), exceptions.SSLError),
        (OSError("a"), OSError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_requests_raises_for_an_error_of_urllib3(
    server: Server, theirs: Exception, own: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise theirs

    response = requests.get(server.url(stream(NUMBERS, FRAMINGS["chunked"])), stream=True)
    monkeypatch.setattr(response.raw, "read1", fail)
    with iter_events(response) as events, pytest.raises(own) as caught:
        next(events)
    assert caught.type is own


def test_a_client_whose_requests_are_awaited_is_refused() -> None:
    class AsyncSession:
        def get_adapter(self) -> None: ...

        async def request(self) -> None: ...

    client: Any = AsyncSession()
    with pytest.raises(TypeError, match="not AsyncSession; its requests have to be awaited"):
        connect(client, "GET", "http://h/")
