# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
import io
import os
import resource
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pycurl  # type: ignore[import-untyped]
import pytest
import trio

from sse_stream import (
    AsyncEventStream,
    ContentTypeError,
    ResponseError,
    ServerSentEvent,
    SSEDecoder,
    StatusError,
)
from sse_stream.adapters.pycurl import (
    aconnect,
    aiter_events,
    connect,
    is_transient,
    iter_events,
    perform,
)
from sse_stream.handshake import Headers
from sse_stream.streams import StreamClosedError

from .contract import JSON, NUMBERS, READ_LIMIT, SyncContract, receive
from .server import (
    COMPLETE,
    EARLY_FAULTS,
    EVENT_STREAM,
    FAULTS,
    FRAMINGS,
    GUARD,
    Connection,
    Handler,
    Server,
    becomes_true,
    broken_off,
    endless,
    http_2_server,
    respond,
    stream,
)
from .services import Hypercorn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .conftest import Certificates
    from .services import Service

CODES = {
    "reset": 56,
    "reset inside a chunk": 56,
    "reset, Content-Length": 56,
    "reset, close-delimited": 56,
    "closed between chunks": 18,
    "closed inside a chunk": 18,
    "short Content-Length": 18,
    "bad chunk size": 56,
    "corrupt gzip": 61,
    "stall": 28,
    "closed before headers": 52,
    "reset before headers": 56,
}


def new_handle(url: str = "", certificates: Certificates | None = None) -> Any:
    curl = pycurl.Curl()
    curl.setopt(pycurl.ACCEPT_ENCODING, "gzip, deflate, br")
    if url:
        curl.setopt(pycurl.URL, url)
    if certificates:
        curl.setopt(pycurl.CAINFO, str(certificates.ca_file))
    return curl


class TestPycurl(SyncContract):
    name = "pycurl"
    codings = frozenset({"gzip", "deflate", "br"})
    pools = False
    errors: ClassVar = dict.fromkeys(
        [*FAULTS, *EARLY_FAULTS, "silence before headers", "no connection"], pycurl.error
    )

    def connect(
        self,
        url: str,
        method: str = "GET",
        *,
        read_timeout: float | None = None,
        certificates: Certificates | None = None,
        follow: bool = True,
        **options: Any,
    ) -> Any:
        curl = new_handle(certificates=certificates)
        curl.setopt(pycurl.FOLLOWLOCATION, follow)
        return connect(curl, method, url, idle_timeout=read_timeout, **options)

    def open(self, url: str) -> Any:
        return new_handle(url)

    def iter_events(self, response: Any, **options: Any) -> Any:
        return iter_events(response, **options)

    def test_iter_events(self, server: Server) -> None:
        url = server.url(stream(NUMBERS))
        with self.iter_events(new_handle(url), decoder=SSEDecoder(last_event_id="9")) as events:
            assert next(events) == ServerSentEvent(data="0", id="9")
            response = events.response
            assert (response.status, response.headers["content-type"], response.url) == (
                200,
                "text/event-stream",
                url,
            )
            assert receive(events) == ["1", "2", "3"]

    @pytest.mark.parametrize("lock_step", [True, False], ids=["lock step", "at once"])
    @pytest.mark.parametrize("name", CODES)
    def test_code_of_a_fault(self, server: Server, name: str, lock_step: bool) -> None:
        handler = (
            FAULTS[name].handler(lock_step=lock_step) if name in FAULTS else EARLY_FAULTS[name]
        )
        data: list[str] = []
        server.acknowledge()
        with (
            pytest.raises(pycurl.error) as caught,
            self.connect(
                server.url(handler), read_timeout=READ_LIMIT if name == "stall" else None
            ) as events,
        ):
            receive(events, data)
        assert caught.value.args[0] == CODES[name]
        assert isinstance(caught.value.args[-1], str)
        assert data == (["one", "two"] if name in FAULTS else [])

    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
    def test_no_connection_has_its_code(self, request: pytest.FixtureRequest, tls: bool) -> None:
        with Server() as closed:
            url = closed.url(respond(200))
        if tls:
            url = request.getfixturevalue("tls_server").url(endless())
        with pytest.raises(pycurl.error) as caught:
            self.connect(url).__enter__()
        assert caught.value.args[0] == (
            pycurl.E_PEER_FAILED_VERIFICATION if tls else pycurl.E_COULDNT_CONNECT
        )

    # HTTP/2.

    def test_http_2(self, hypercorn_server: Service, certificates: Certificates) -> None:
        url, key = hypercorn_server.url, type(self).__name__
        with self.connect(url + "/events?n=20", certificates=certificates) as events:
            assert receive(events) == [str(i) for i in range(20)]
        with self.connect(url + f"/steps?key={key}", certificates=certificates) as events:
            for i in range(5):
                assert next(events).data == str(i)
                hypercorn_server.acknowledge(key)
        assert hypercorn_server.left(key).wait(GUARD)
        with self.connect(url + "/infinite", certificates=certificates) as events:
            assert [next(events).data for _ in range(1000)] == [str(i) for i in range(1000)]

    def test_reset_of_an_http_2_stream(self) -> None:
        data: list[str] = []
        with http_2_server() as (url, acknowledge):
            curl = new_handle(url)
            curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
            with self.iter_events(curl) as events:
                data += [next(events).data, next(events).data]
                acknowledge.set()
                with pytest.raises(pycurl.error) as caught:
                    receive(events, data)
        assert caught.value.args[0] == 92
        assert data == ["one", "two"]

    def test_http_2_server_that_fails(self, certificates: Certificates) -> None:
        """Hypercorn ends the connection once its limit has passed."""
        data: list[str] = []
        with (
            Hypercorn(certificates.chain_file, certificates.key_file, idle_limit=0.2) as service,
            self.connect(service.url + "/broken", certificates=certificates) as events,
        ):
            with pytest.raises(pycurl.error):
                receive(events, data)
            assert events.response.status == 200
        assert data == ["one", "two"]

    # The limit on silence.

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_coding_that_libcurl_was_not_told_of(self, server: Server, coding: str) -> None:
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, server.url(stream(NUMBERS, FRAMINGS[coding])))
        with (
            self.iter_events(curl) as events,
            pytest.raises(ResponseError, match="ACCEPT_ENCODING"),
        ):
            next(events)

    @pytest.mark.parametrize("framing", ["br", "gzip, bytewise"])
    def test_compression_that_libcurl_was_not_told_of(self, server: Server, framing: str) -> None:
        """It would be read as text without events, and end well."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, server.url(stream([b"data: x\n\n" * 50], FRAMINGS[framing])))
        with pytest.raises(ResponseError, match="set ACCEPT_ENCODING"):
            list(self.iter_events(curl))

    def test_response_of_another_media_type(self, server: Server) -> None:
        curl = pycurl.Curl()
        url = server.url(respond(200, b"data: x\n\n", [("Content-Type", "text/plain")]))
        with connect(curl, "GET", f"{url}?secret", check="status") as events:
            assert repr(events.response) == f"<Response 200 {url}>"
            assert [event.data for event in events] == ["x"]

    def test_idle_timeout_is_not_early_and_not_late(self, server: Server) -> None:
        with self.connect(
            server.url(FAULTS["stall"].handler(lock_step=False)), read_timeout=0.4
        ) as events:
            assert [next(events).data, next(events).data] == ["one", "two"]
            start = time.monotonic()
            with pytest.raises(pycurl.error, match=r"idle_timeout=0\.4"):
                next(events)
            assert 0.4 <= time.monotonic() - start < 0.4 + GUARD / 4

    def test_comments_are_life(self, server: Server) -> None:
        def handler(connection: Connection) -> None:
            connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
            for _ in range(8):
                FRAMINGS["chunked"].send(connection, b":\n")
                server.stopping.wait(0.1)
            FRAMINGS["chunked"].send(connection, b"data: x\n\n")
            FRAMINGS["chunked"].end(connection)

        with self.connect(server.url(handler), read_timeout=0.6) as events:
            assert receive(events) == ["x"]

    def test_bytes_of_the_head_are_life(self, server: Server) -> None:
        def handler(connection: Connection) -> None:
            for piece in (
                b"HTTP/1.1 200 OK\r\n",
                *[b"X: y\r\n"] * 8,
                b"Content-Type: text/event-stream\r\n\r\n",
                *NUMBERS,
            ):
                connection.send(piece)
                server.stopping.wait(0.1)
            connection.close()

        with self.connect(server.url(handler), read_timeout=0.6) as events:
            assert len(list(events)) == 4

    def test_time_of_the_consumer_is_not_silence(self, server: Server) -> None:
        with self.connect(server.url(stream(NUMBERS, lock_step=True)), read_timeout=0.2) as events:
            server.acknowledge()
            for _ in range(4):
                assert next(events)
                time.sleep(0.3)
                server.acknowledge()
            assert list(events) == []

    @pytest.mark.parametrize("idle_timeout", [0, -1, float("nan")])
    def test_idle_timeout_must_be_positive(self, server: Server, idle_timeout: float) -> None:
        with pytest.raises(ValueError, match="idle_timeout must be more than 0"):
            self.iter_events(new_handle(server.url(endless())), idle_timeout=idle_timeout)
        assert server.requests == []

    def test_waiting_costs_nothing(self, server: Server) -> None:
        with self.connect(
            server.url(FAULTS["stall"].handler(lock_step=False)), read_timeout=0.5
        ) as events:
            assert [next(events).data, next(events).data] == ["one", "two"]
            start = time.thread_time()
            with pytest.raises(pycurl.error):
                next(events)
            assert time.thread_time() - start < 0.1

    def test_many_descriptors(self, server: Server) -> None:
        with many_descriptors():
            self.check_promptness(server, "chunked")
            self.test_waiting_costs_nothing(server)

    # Back-pressure.

    def test_slow_consumer_holds_the_server_back(self, server: Server) -> None:
        sent = 0

        def handler(connection: Connection) -> None:
            nonlocal sent
            connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
            for _ in range(1000):
                FRAMINGS["chunked"].send(connection, b"data: " + b"x" * 100_000 + b"\n\n")
                sent += 1
            FRAMINGS["chunked"].end(connection)

        def has_stopped() -> bool:
            before = sent
            time.sleep(0.2)
            return before == sent

        with self.connect(server.url(handler)) as events:
            next(events)
            assert becomes_true(has_stopped)
            assert sent < 500
            assert len(list(events)) == 999

    # What answers before the response.

    def test_blocks_before_the_response_and_trailers(self, server: Server) -> None:
        def proxy(connection: Connection) -> None:
            connection.send(b"HTTP/1.1 200 Connection established\r\nX-Block: proxy\r\n\r\n")
            assert connection._read_until(b"\r\n\r\n")
            connection.send(b"HTTP/1.1 103 Early Hints\r\nX-Block: hints\r\n\r\n")
            connection.wait()
            connection.send(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTrailer: X-Block\r\n"
            )
            connection.wait()
            connection.send(
                b"Transfer-Encoding: chunked\r\n\r\n"
                b"9\r\ndata: x\n\n\r\n0\r\nX-Block: trailer\r\n\r\n"
            )

        server._handlers["example.org:80"] = proxy
        server.acknowledge(2)
        curl = new_handle("http://example.org/events")
        curl.setopt(pycurl.PROXY, server.origin)
        curl.setopt(pycurl.HTTPPROXYTUNNEL, True)
        with self.iter_events(curl) as events:
            assert receive(events) == ["x"]
            assert events.response.status == 200
            assert list(events.response.headers) == ["Content-Type", "Trailer", "Transfer-Encoding"]

    def test_a_head_that_drips_is_made_into_a_mapping_once(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may have thousands of lines, each in a packet of its own."""
        made: list[Headers] = []

        def make(fields: Any = ()) -> Headers:
            made.append(Headers(fields))
            return made[-1]

        monkeypatch.setattr("sse_stream.adapters._pycurl.Headers", make)

        def handler(connection: Connection) -> None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
            for _ in range(20):
                time.sleep(0.002)
                connection.send(b"X: y\r\n")
            connection.send(b"\r\ndata: x\n\n")
            connection.close()

        with self.connect(server.url(handler)) as events:
            assert receive(events) == ["x"]
            assert events.response.headers["X"] == ", ".join("y" * 20)
        assert len(made) == 2  # the empty one, of no answer yet, too

    def test_stream_is_open_as_soon_as_its_head_has_come(self, server: Server) -> None:
        def handler(connection: Connection) -> None:
            connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
            connection.wait()
            FRAMINGS["chunked"].send(connection, b"data: x\n\n")
            FRAMINGS["chunked"].end(connection)

        with self.connect(server.url(handler)) as events:
            assert events.response.status == 200
            server.acknowledge()
            assert receive(events) == ["x"]

    def test_error_without_its_body(self, server: Server) -> None:
        error = self.fail(server.url(broken_off(500, b"")), StatusError)
        assert (error.status, error.body) == (500, b"")

    def test_head_that_breaks_off(self, server: Server) -> None:
        def handler(connection: Connection) -> None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
            connection.wait()
            connection.reset()

        server.acknowledge()
        with pytest.raises(pycurl.error) as caught:
            self.connect(server.url(handler)).__enter__()
        assert caught.value.args[0] == 56

    @pytest.mark.parametrize("code", [pycurl.E_TOO_MANY_REDIRECTS, pycurl.E_COULDNT_CONNECT])
    def test_redirect_that_leads_nowhere(self, server: Server, code: int) -> None:
        with Server() as closed:
            target = closed.url(respond(200)) if code == pycurl.E_COULDNT_CONNECT else "/here"
        with pytest.raises(pycurl.error) as caught:
            self.connect(
                server.url(respond(302, headers=[("Location", target)]), "/here")
            ).__enter__()
        assert caught.value.args[0] == code

    def test_a_redirect_to_ftp(self, server: Server) -> None:
        """What FTP sends would be read under the head of the redirect, as an event stream."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            target = f"ftp://u:p@127.0.0.1:{listener.getsockname()[1]}/x"
            url = server.url(respond(302, headers=[EVENT_STREAM, ("Location", target)]))
            with pytest.raises(pycurl.error, match=r"another protocol: ftp://127\.0") as caught:
                self.connect(url, read_timeout=READ_LIMIT).__enter__()
        assert caught.value.args[0] == 1
        assert is_transient(caught.value) is False

    def test_challenge_is_answered(self, server: Server) -> None:
        def handler(connection: Connection) -> None:
            if connection.request.header("Authorization"):
                stream(NUMBERS)(connection)
            else:
                respond(
                    401, b"who?", [("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')]
                )(connection)

        curl = new_handle(server.url(handler))
        curl.setopt(pycurl.HTTPAUTH, pycurl.HTTPAUTH_ANY)
        curl.setopt(pycurl.USERPWD, "user:password")
        with self.iter_events(curl) as events:
            assert len(list(events)) == 4

    # The handle.

    def test_handle_is_used_again(self, server: Server) -> None:
        curl = new_handle(server.url(stream(COMPLETE)))
        for _ in range(3):
            with self.iter_events(curl) as events:
                assert next(events).data == "one"
        with self.iter_events(curl) as events:
            assert receive(events) == ["one", "two"]
        body = io.BytesIO()
        curl.setopt(pycurl.WRITEDATA, body)
        curl.perform()
        assert body.getvalue() == b"".join(COMPLETE)

    def test_handle_is_as_if_nothing_had_been_set(
        self, server: Server, capfd: pytest.CaptureFixture[str]
    ) -> None:
        curl = new_handle(server.url(stream(COMPLETE)))
        with self.iter_events(curl) as events:
            assert len(list(events)) == 2
        curl.perform()
        assert capfd.readouterr().out.encode() == b"".join(COMPLETE)

    def test_handle_in_use(self, server: Server) -> None:
        curl = new_handle(server.url(endless()))
        with self.iter_events(curl) as events:
            assert next(events).data == "x"
            with pytest.raises(ValueError, match="close the stream that uses it"):
                self.iter_events(curl)
            with pytest.raises(ValueError, match="close the stream that uses it"):
                connect(curl, "GET", "http://localhost/", headers={"A": "b"}).__enter__()
            assert next(events).data == "x"
        with self.iter_events(curl) as events:
            assert next(events).data == "x"
        assert [request.header("A") for request in server.requests] == [None, None]

    def test_handle_that_is_closed(self, server: Server) -> None:
        curl = new_handle(server.url(FAULTS["stall"].handler()))
        with self.iter_events(curl) as events:
            assert [next(events).data, next(events).data] == ["one", "two"]
            curl.close()
            with pytest.raises(pycurl.error):
                next(events)
        with pytest.raises(ValueError, match="cannot start a transfer"):
            self.iter_events(curl)

    def test_option_that_is_refused_gives_the_handle_back(self, server: Server) -> None:
        curl = new_handle(server.url(stream(NUMBERS)))
        with pytest.raises(UnicodeEncodeError):
            connect(curl, "GET", "http://localhost/\ud800")
        refused = connect(curl, "GET", "http://localhost/\0")
        with pytest.raises(Exception, match=r"null|option"):
            refused.__enter__()
        with self.iter_events(curl) as events:
            assert len(list(events)) == 4

    def test_connections_are_shared(self, server: Server) -> None:
        share = pycurl.CurlShare()
        share.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_CONNECT)
        for _ in range(3):
            curl = new_handle(server.url(stream(NUMBERS)))
            curl.setopt(pycurl.SHARE, share)
            with self.iter_events(curl) as events:
                assert len(list(events)) == 4
            curl.close()
        assert [request.connection for request in server.requests] == [0, 0, 0]

    def test_stream_that_is_dropped_releases(
        self, server: Server, no_descriptor_left: Callable[[], None]
    ) -> None:
        curl = new_handle(server.url(endless()))
        events = self.iter_events(curl)
        assert next(events).data == "x"
        del events
        assert server.connections[0].released.wait(GUARD)
        with self.iter_events(curl) as events:
            assert next(events).data == "x"

    @pytest.mark.parametrize(
        "wrong", [pycurl.CurlMulti(), pycurl.Curl, None], ids=["CurlMulti", "class", "None"]
    )
    def test_what_is_no_handle(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"takes a pycurl\.Curl"):
            self.iter_events(wrong)
        with pytest.raises(TypeError, match=r"takes a pycurl\.Curl"):
            connect(wrong, "GET", "http://localhost/")

    # Requests.

    def test_body_and_other_options_are_the_handle_s(self, server: Server) -> None:
        curl = new_handle()
        curl.setopt(pycurl.POSTFIELDS, b'{"a": 1}')
        curl.setopt(pycurl.USERAGENT, "agent")
        curl.setopt(pycurl.HTTPHEADER, ["X-Before: a"])
        curl.setopt(pycurl.FAILONERROR, True)
        url = server.url(respond(500, b"why"))
        headers: dict[str, str | bytes] = {"X-Own": "é", "X-Bytes": b"\xe9", "X-Empty": ""}
        with pytest.raises(StatusError) as caught:
            connect(curl, "post", url, headers=headers).__enter__()
        assert caught.value.body == b"why"
        request = server.requests[0]
        assert (request.method, request.body) == ("POST", b'{"a": 1}')
        assert request.header("User-Agent") == b"agent"
        assert request.header("X-Before") is None
        assert request.header("X-Own") == "é".encode()
        assert request.header("X-Bytes") == b"\xe9"
        assert request.header("X-Empty") == b""

    @pytest.mark.parametrize(
        ("kind", "match", "method", "headers"),
        [
            (TypeError, "not lines", "GET", ["X-Own: a"]),
            (TypeError, "must be str or bytes", "GET", {"X-Own": 1}),
            (ValueError, "one line", "GET", {"X-Own": "a\r\nX-Forged: b"}),
            (ValueError, "one line", "GET", {"X-Own\nX-Forged": "b"}),
            (ValueError, "one line", "GET / HTTP/1.1\r\nX-Forged: b\r\n\r\nGET", None),
        ],
    )
    def test_wrong_headers(
        self, kind: type[Exception], match: str, method: str, headers: Any
    ) -> None:
        with pytest.raises(kind, match=match):
            connect(pycurl.Curl(), method, "http://localhost/", headers=headers)


class Bridge:
    """An asynchronous stream in the form of a synchronous one, each step of which runs the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, opening: Any) -> None:
        self._loop = loop
        self._opening = opening

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Bridge:
        self._stream = self._loop.run_until_complete(self._opening.__aenter__())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.run_until_complete(self._opening.__aexit__(*exc_info))

    def __iter__(self) -> Bridge:
        return self

    def __next__(self) -> ServerSentEvent:
        async def step() -> ServerSentEvent | None:
            return await anext(self._stream, None)

        event = self._loop.run_until_complete(step())
        if event is None:
            raise StopIteration
        return event


class TestPycurlOnAsyncio(TestPycurl):
    """All of the above, on asyncio."""

    @pytest.fixture(autouse=True)
    def event_loop(self) -> Generator[None, None, None]:
        self.loop = asyncio.new_event_loop()
        yield
        self.loop.close()

    def connect(
        self,
        url: str,
        method: str = "GET",
        *,
        read_timeout: float | None = None,
        certificates: Certificates | None = None,
        follow: bool = True,
        **options: Any,
    ) -> Any:
        curl = new_handle(certificates=certificates)
        curl.setopt(pycurl.FOLLOWLOCATION, follow)
        return Bridge(self.loop, aconnect(curl, method, url, idle_timeout=read_timeout, **options))

    def iter_events(self, response: Any, **options: Any) -> Any:
        async def call() -> AsyncEventStream:
            return aiter_events(response, **options)

        bridge = Bridge(self.loop, self.loop.run_until_complete(call()))
        bridge._stream = bridge._opening
        return bridge

    @pytest.mark.parametrize(
        "handler", [endless(200, [JSON]), endless(500)], ids=["media type", "status"]
    )
    def test_failed_check_releases(self, server: Server, handler: Handler) -> None:
        """The check is made at the first event."""
        events = self.iter_events(self.open(server.url(handler)))
        with pytest.raises(ResponseError):
            next(events)
        assert server.connections[0].released.wait(GUARD)
        with pytest.raises(StreamClosedError):
            next(events)


# Pushing.


@pytest.mark.parametrize("name", FRAMINGS)
def test_perform_pushes_each_event_before_the_next_is_sent(server: Server, name: str) -> None:
    data: list[str] = []

    def on_event(event: ServerSentEvent) -> None:
        data.append(event.data)
        server.acknowledge()

    server.acknowledge()
    decoder = SSEDecoder(last_event_id="9")
    url = server.url(stream(NUMBERS, FRAMINGS[name], lock_step=True))
    assert perform(new_handle(url), on_event, decoder=decoder) is decoder
    assert data == ["0", "1", "2", "3"]
    assert decoder.last_event_id == "3"
    with pytest.raises(ValueError, match="after close"):
        decoder.feed(b"")


@pytest.mark.parametrize(
    "kind", [ZeroDivisionError, KeyboardInterrupt, StopIteration, pycurl.error]
)
def test_exception_of_on_event_stops_the_transfer(
    server: Server, kind: type[BaseException]
) -> None:
    error = kind()
    curl = new_handle(server.url(endless()))
    events: list[ServerSentEvent] = []

    def on_event(event: ServerSentEvent) -> None:
        events.append(event)
        if len(events) == 3:
            raise error

    with pytest.raises(kind) as caught:
        perform(curl, on_event)
    assert caught.value is error
    assert len(events) == 3
    assert server.connections[0].released.wait(GUARD)
    with iter_events(curl) as stream:
        assert next(stream).data == "x"


def test_on_event_cannot_use_the_handle(server: Server) -> None:
    curl = new_handle(server.url(endless()))
    with pytest.raises(ValueError, match="close the stream that uses it"):
        perform(curl, lambda event: iter_events(curl))


def test_perform_raises_what_iter_events_raises(server: Server) -> None:
    events: list[ServerSentEvent] = []
    with pytest.raises(StatusError):
        perform(new_handle(server.url(respond(500, b"why"))), events.append)
    with pytest.raises(ContentTypeError):
        perform(new_handle(server.url(respond(200, b"why"))), events.append)
    with pytest.raises(TypeError, match="on_event must be callable"):
        perform(new_handle(server.url(respond(200))), None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes a pycurl\.Curl"):
        perform(None, events.append)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert events == []
    perform(new_handle(server.url(respond(404, b"data: x\n\n"))), events.append, check=False)
    assert [event.data for event in events] == ["x"]
    with pytest.raises(pycurl.error) as caught:
        perform(
            new_handle(server.url(FAULTS["stall"].handler(lock_step=False))),
            events.append,
            idle_timeout=READ_LIMIT,
        )
    assert caught.value.args[0] == 28
    assert [event.data for event in events] == ["x", "one", "two"]


# Stopping from elsewhere.


def test_another_thread_closes_the_stream(
    server: Server, no_descriptor_left: Callable[[], None]
) -> None:
    curl = new_handle(server.url(FAULTS["stall"].handler(lock_step=False)))
    events = iter_events(curl)
    data: list[str] = []
    reading = threading.Thread(target=receive, args=(events, data))
    reading.start()
    assert becomes_true(lambda: data == ["one", "two"])
    closing = [threading.Thread(target=events.close) for _ in range(3)]
    for thread in closing:
        thread.start()
    for thread in [*closing, reading]:
        thread.join(GUARD)
        assert not thread.is_alive()
    assert server.connections[0].released.wait(GUARD)
    assert data == ["one", "two"]
    assert events.last_event_id == "2"
    assert list(events) == []
    curl.setopt(pycurl.URL, server.url(stream(NUMBERS)))
    with iter_events(curl) as again:
        assert len(list(again)) == 4


def test_threads_close_streams_that_are_busy(
    server: Server, no_descriptor_left: Callable[[], None]
) -> None:
    url = server.url(endless())
    for _ in range(50):
        events = iter_events(new_handle(url))
        reading = threading.Thread(target=receive, args=(events,))
        reading.start()
        events.close()
        reading.join(GUARD)
        assert not reading.is_alive()


def test_callback_of_the_transfer_closes_the_stream(
    server: Server, no_descriptor_left: Callable[[], None]
) -> None:
    curl = new_handle(server.url(endless()))
    events = iter_events(curl)

    def close(*progress: int) -> None:
        events.close()

    curl.setopt(pycurl.NOPROGRESS, False)
    curl.setopt(pycurl.XFERINFOFUNCTION, close)
    assert becomes_true(lambda: list(events) == [] and events.response.status == 200)
    assert server.connections[0].released.wait(GUARD)
    curl.close()


# On asyncio.


async def areceive(events: AsyncEventStream, into: list[str]) -> None:
    async for event in events:
        into.append(event.data)  # noqa: PERF401 - what came before an error counts


def test_100_concurrent_streams(server: Server) -> None:
    async def read(i: int) -> list[str]:
        url = server.url(stream([f"data: {i} {n}\n\n".encode() for n in range(20)]), f"/stream/{i}")
        async with aconnect(new_handle(), "GET", url) as events:
            data: list[str] = []
            async for event in events:
                data.append(event.data)
                await asyncio.sleep(0)
            return data

    async def main() -> list[list[str]]:
        return await asyncio.gather(*map(read, range(100)))

    assert asyncio.run(main()) == [[f"{i} {n}" for n in range(20)] for i in range(100)]


@pytest.mark.parametrize("when", ["before the response", "between events"])
@pytest.mark.parametrize("how", ["aconnect", "aiter_events"])
def test_cancellation_releases(
    server: Server, no_descriptor_left: Callable[[], None], how: str, when: str
) -> None:
    stall: Handler = (
        Connection.stall
        if when == "before the response"
        else FAULTS["stall"].handler(lock_step=False)
    )
    curl = new_handle(server.url(stall))
    data: list[str] = []

    async def read() -> None:
        if how == "aconnect":
            async with aconnect(curl, "GET", server.url(stall)) as events:
                await areceive(events, data)
        else:
            await areceive(aiter_events(curl), data)

    async def main() -> None:
        task = asyncio.create_task(read())
        while not server.requests or (when == "between events" and data != ["one", "two"]):
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.connections[0].released.wait, GUARD)
        curl.setopt(pycurl.URL, server.url(stream(NUMBERS)))
        assert [event.data async for event in aiter_events(curl)] == ["0", "1", "2", "3"]

    asyncio.run(main())


@pytest.mark.parametrize("when", ["before the response", "between events"])
def test_another_task_closes_the_stream(
    server: Server, no_descriptor_left: Callable[[], None], when: str
) -> None:
    stall: Handler = (
        Connection.stall
        if when == "before the response"
        else FAULTS["stall"].handler(lock_step=False)
    )

    async def main() -> None:
        events = aiter_events(new_handle(server.url(stall)))
        data: list[str] = []
        task = asyncio.create_task(areceive(events, data))
        while not server.requests or (when == "between events" and data != ["one", "two"]):
            await asyncio.sleep(0.005)
        await events.aclose()
        await asyncio.wait_for(task, GUARD)
        await events.aclose()
        assert [event async for event in events] == []

    asyncio.run(main())


def test_stream_can_be_closed_before_it_is_read(
    server: Server, no_descriptor_left: Callable[[], None]
) -> None:
    async def main() -> None:
        curl = new_handle(server.url(endless()))
        events = aiter_events(curl)
        assert events.response.status == 0
        with pytest.raises(ValueError, match="close the stream that uses it"):
            aiter_events(curl)
        await events.aclose()
        assert [event async for event in events] == []
        async with aiter_events(curl) as events:
            assert (await anext(events)).data == "x"

    asyncio.run(main())


def test_waiting_coroutine_is_closed_after_its_loop(
    server: Server, no_descriptor_left: Callable[[], None]
) -> None:
    curl = new_handle(server.url(FAULTS["stall"].handler(lock_step=False)))
    data: list[str] = []

    async def main() -> tuple[Any, Any]:
        reading = areceive(aiter_events(curl), data)
        task = asyncio.create_task(reading)
        while data != ["one", "two"]:
            await asyncio.sleep(0.005)
        return reading, task

    loop = asyncio.new_event_loop()
    reading, task = loop.run_until_complete(main())
    loop.close()
    reading.close()
    task._log_destroy_pending = False
    del task, reading
    gc.collect()
    assert server.connections[0].released.wait(GUARD)
    with iter_events(new_handle(server.url(stream(NUMBERS)))) as events:
        assert len(list(events)) == 4


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_other_event_loops(server: Server, run: Callable[[Any], object]) -> None:
    curl = new_handle(server.url(stream(NUMBERS)))

    async def main() -> None:
        with pytest.raises(RuntimeError, match="need a running asyncio event loop"):
            aiter_events(curl)
        with pytest.raises(RuntimeError, match="need a running asyncio event loop"):
            await aconnect(curl, "GET", "http://localhost/").__aenter__()

    if run is trio.run:
        run(main)
    else:
        with pytest.raises(RuntimeError, match="need a running asyncio event loop"):
            aiter_events(curl)
    with iter_events(curl) as events:
        assert len(list(events)) == 4


def test_a_loop_that_watches_no_sockets(server: Server) -> None:
    class Loop(asyncio.SelectorEventLoop):  # as Windows' default one
        add_reader = asyncio.AbstractEventLoop.add_reader
        add_writer = asyncio.AbstractEventLoop.add_writer

    async def main() -> None:
        with pytest.raises(
            RuntimeError, match=r"use asyncio\.SelectorEventLoop, or run iter_events in a thread"
        ):
            aiter_events(new_handle(server.url(stream(NUMBERS))))

    loop = Loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


@contextmanager
def many_descriptors() -> Generator[None, None, None]:
    """Have so many descriptors open that new ones have numbers above 1,024."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 4096), limits[1]))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while opened[-1] < 1100:
            opened.append(os.dup(opened[0]))
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
