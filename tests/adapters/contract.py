# SPDX-License-Identifier: MIT
"""What every sync adapter must do, against the scripted server and real ones.

A client's test module subclasses it.
"""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import requests
import urllib3

from sse_stream import (
    ContentTypeError,
    IncompleteEventError,
    ResponseError,
    ServerSentEvent,
    SSEDecoder,
    StatusError,
)
from sse_stream.handshake import MAX_BODY_SIZE
from sse_stream.streams import StreamClosedError

from .server import (
    EARLY_FAULTS,
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
    from collections.abc import Callable, Mapping

    from sse_stream.streams import EventStream, Opening

    from .conftest import Certificates
    from .services import Service

NUMBERS = [
    b": comment\n\n",
    b"data: 0\n\n",
    b"event: a\r\ndata: 1\r\n\r\n",
    b"data: 2\r\r",
    b"id: 3\ndata: 3\n\n",
]

#: Seconds of the read limit under which the server's silence is a fault.
READ_LIMIT = 0.5

JSON = ("Content-Type", "application/json")


def receive(events: EventStream, into: list[str] | None = None) -> list[str]:
    """Return the data of all events; what came before an error is in `into`."""
    data = [] if into is None else into
    for event in events:
        data.append(event.data)
    return data


class SyncContract:
    #: The adapter's.
    name: str
    #: The content codings that the client decodes.
    codings: frozenset[str]
    #: Whether a connection is used again.
    pools: bool
    #: The exact class of the client's exception for each of FAULTS and EARLY_FAULTS.
    errors: ClassVar[Mapping[str, type[Exception]]]

    # What a client's module provides.

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
        """Call the adapter's `connect`, by the client's own options where there are such."""
        raise NotImplementedError

    def open(self, url: str) -> Any:
        """Return an open response, nothing read."""
        raise NotImplementedError

    def iter_events(self, response: Any, **options: Any) -> EventStream:
        raise NotImplementedError

    # Promptness.

    def check_promptness(self, server: Server, name: str, **options: Any) -> None:
        framing = FRAMINGS[name]
        url = server.url(stream(NUMBERS, framing, lock_step=True))
        server.acknowledge()  # for the comment
        if framing.coding and framing.coding not in self.codings:
            with pytest.raises(ResponseError, match=f"Content-Encoding '{framing.coding}'"):
                self.connect(url, **options).__enter__()
            return
        data: list[str] = []
        with self.connect(url, **options) as events:
            for event in events:
                data.append(event.data)
                server.acknowledge()
        assert data == ["0", "1", "2", "3"]

    @pytest.mark.parametrize("name", FRAMINGS)
    def test_each_event_comes_before_the_next_is_sent(self, server: Server, name: str) -> None:
        self.check_promptness(server, name)

    @pytest.mark.parametrize(
        "name", ["chunked", "close-delimited", "bytewise", "Content-Length", "gzip"]
    )
    def test_each_event_comes_before_the_next_is_sent_under_tls(
        self, tls_server: Server, certificates: Certificates, name: str
    ) -> None:
        self.check_promptness(tls_server, name, certificates=certificates)

    def test_event_of_10_mb_in_one_chunk(self, server: Server) -> None:
        size = 10_000_000
        with self.connect(server.url(stream([b"data: " + b"x" * size + b"\n\n"]))) as events:
            assert [len(event.data) for event in events] == [size]

    # Faults.

    @pytest.mark.parametrize("lock_step", [True, False], ids=["lock step", "at once"])
    @pytest.mark.parametrize("name", FAULTS)
    def test_fault(self, server: Server, name: str, lock_step: bool) -> None:
        if FAULTS[name].framing.coding and FAULTS[name].framing.coding not in self.codings:
            return  # test_each_event_comes_before_the_next_is_sent has the error
        url = server.url(FAULTS[name].handler(lock_step=lock_step))
        data: list[str] = []
        with self.connect(url, read_timeout=READ_LIMIT if name == "stall" else None) as events:
            if lock_step:
                data += [next(events).data, next(events).data]
                server.acknowledge()
            with pytest.raises(self.errors[name]) as caught:
                receive(events, data)
            assert type(caught.value) is self.errors[name]
            assert data == ["one", "two"]
            assert events.last_event_id == "2"
            if name in (
                "stall",
                "bad chunk size",
                "corrupt gzip",
            ):  # the others are the server's leaving
                assert server.connections[0].released.wait(GUARD)
            with pytest.raises(StreamClosedError) as closed:
                next(events)
            assert closed.value.__cause__ is caught.value

    @pytest.mark.parametrize("name", SILENT_FAULTS)
    @pytest.mark.parametrize("incomplete", ["dispatch", "raise"])
    def test_fault_that_no_client_can_know(
        self, server: Server, name: str, incomplete: Any
    ) -> None:
        if (
            SILENT_FAULTS[name].framing.coding
            and SILENT_FAULTS[name].framing.coding not in self.codings
        ):
            return
        url = server.url(SILENT_FAULTS[name].handler(lock_step=False))
        data: list[str] = []
        with self.connect(url, decoder=SSEDecoder(incomplete=incomplete)) as events:
            if incomplete == "raise":
                with pytest.raises(IncompleteEventError):
                    receive(events, data)
                assert data == ["one", "two"]
            else:
                assert receive(events) == ["one", "two", "thr"]

    @pytest.mark.parametrize("name", EARLY_FAULTS)
    def test_fault_before_the_headers(self, server: Server, name: str) -> None:
        with pytest.raises(self.errors[name]) as caught:
            self.connect(server.url(EARLY_FAULTS[name])).__enter__()
        assert type(caught.value) is self.errors[name]

    def test_silence_before_the_headers(self, server: Server) -> None:
        with pytest.raises(self.errors["silence before headers"]) as caught:
            self.connect(server.url(Connection.stall), read_timeout=READ_LIMIT).__enter__()
        assert type(caught.value) is self.errors["silence before headers"]
        assert server.connections[0].released.wait(GUARD)

    def test_no_connection(self) -> None:
        with Server() as server:
            url = server.url(respond(200))
        with pytest.raises(self.errors["no connection"]) as caught:
            self.connect(url).__enter__()
        assert type(caught.value) is self.errors["no connection"]

    # Status and media type.

    def fail(self, url: str, kind: type[ResponseError], **options: Any) -> ResponseError:
        with pytest.raises(kind) as caught:
            self.connect(url, **options).__enter__()
        assert type(caught.value) is kind
        return caught.value

    @pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 503, 599])
    def test_status(self, server: Server, status: int) -> None:
        body = b'{"error": {"message": "overloaded"}}'
        url = server.url(
            respond(
                status, body, [JSON, ("Retry-After", "60"), ("X-Request", "a"), ("X-Request", "b")]
            )
        )
        error = self.fail(url + "?key=secret", StatusError)
        assert error.status == status
        assert error.headers["content-type"] == "application/json"
        assert error.headers["x-request"] == "a, b"
        assert error.url == url + "?key=secret"
        assert error.body == body
        assert str(status) in str(error)
        assert "overloaded" in str(error)
        assert "secret" not in str(error)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "content_type", ["text/html; charset=utf-8", "application/x-ndjson", None]
    )
    def test_media_type(self, server: Server, content_type: str | None) -> None:
        headers = [("Content-Type", content_type)] if content_type else []
        error = self.fail(server.url(respond(200, b"<h1>data: x</h1>", headers)), ContentTypeError)
        assert (error.status, error.body, error.headers.get("content-type")) == (
            200,
            b"<h1>data: x</h1>",
            content_type,
        )
        assert repr(content_type) in str(error) or content_type is None

    @pytest.mark.parametrize(
        "content_type",
        ["Text/Event-Stream", "text/event-stream;charset=latin-1", "text/event-stream ; x"],
    )
    def test_media_type_of_an_event_stream(self, server: Server, content_type: str) -> None:
        with self.connect(
            server.url(stream(NUMBERS, headers=[("Content-Type", content_type)]))
        ) as events:
            assert len(list(events)) == 4

    @pytest.mark.parametrize(
        ("kind", "handler"),
        [
            (StatusError, respond(500, b"x" * 10_000_000)),
            (StatusError, endless(500, [JSON], b"x" * 999)),
            (ContentTypeError, endless(200, [JSON], b"x" * 999)),
        ],
        ids=["10 MB", "endless", "endless, media type"],
    )
    def test_large_body_of_an_error(
        self, server: Server, kind: type[ResponseError], handler: Handler
    ) -> None:
        assert self.fail(server.url(handler), kind).body == b"x" * MAX_BODY_SIZE
        assert server.connections[0].released.wait(GUARD)

    def test_body_of_an_error_that_breaks_off(self, server: Server) -> None:
        assert self.fail(server.url(broken_off(502, b"bad gate")), StatusError).body == b"bad gate"

    def test_204_is_an_empty_stream(self, server: Server) -> None:
        with self.connect(server.url(respond(204, headers=[]))) as events:
            assert list(events) == []

    @pytest.mark.parametrize("framing", ["chunked", "close-delimited", "Content-Length"])
    def test_empty_stream(self, server: Server, framing: str) -> None:
        with self.connect(server.url(stream([], FRAMINGS[framing]))) as events:
            assert list(events) == []

    @pytest.mark.parametrize("status", [200, 404])
    def test_check_can_be_turned_off(self, server: Server, status: int) -> None:
        url = server.url(respond(status, b"data: x\n\n"))
        with self.connect(url, check=False) as events:
            assert receive(events) == ["x"]
        with self.iter_events(self.open(url), check=False) as events:
            assert receive(events) == ["x"]

    def test_redirect_is_followed(self, server: Server) -> None:
        target = server.url(stream(NUMBERS))
        middle = server.url(
            respond(302, headers=[("Location", target.removeprefix(server.origin))]), "/middle/"
        )
        url = server.url(respond(307, headers=[("Location", middle)]), "/from")
        with self.connect(url) as events:
            assert len(list(events)) == 4

    def test_url_of_an_error_is_where_redirects_led(self, server: Server) -> None:
        server.url(respond(410), "/folder/gone")
        server.url(respond(302, headers=[("Location", "gone?a=b")]), "/folder/here")
        url = server.url(respond(302, headers=[("Location", "/folder/here")]), "/from")
        assert self.fail(url, StatusError).url == server.origin + "/folder/gone?a=b"

    def test_redirect_that_is_not_followed(self, server: Server) -> None:
        error = self.fail(
            server.url(respond(302, headers=[("Location", "/x")])), StatusError, follow=False
        )
        assert error.status == 302
        assert error.headers["location"] == "/x"
        assert "redirects" in str(error)

    # Release.

    def test_connection_is_used_again_after_a_complete_stream(self, server: Server) -> None:
        for name in ("chunked", "Content-Length"):
            with self.connect(server.url(stream(NUMBERS, FRAMINGS[name]))) as events:
                list(events)
        assert [request.connection for request in server.requests] == (
            [0, 0] if self.pools else [0, 1]
        )

    @pytest.mark.parametrize("name", ["chunked", "close-delimited"])
    def test_200_streams_leave_nothing_behind(
        self, server: Server, no_descriptor_left: Callable[[], None], name: str
    ) -> None:
        url = server.url(stream(NUMBERS, FRAMINGS[name]))
        for i in range(200):
            with self.connect(url) as events:
                assert i % 2 or len(list(events)) == 4

    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
    def test_leaving_an_infinite_stream_releases_it(
        self, request: pytest.FixtureRequest, tls: bool
    ) -> None:
        server: Server = request.getfixturevalue("tls_server" if tls else "server")
        options = {"certificates": request.getfixturevalue("certificates")} if tls else {}
        with self.connect(server.url(endless()), **options) as events:
            for i, event in enumerate(events):
                assert event == ServerSentEvent(data="x")
                if i == 1000:
                    break
        assert server.connections[0].released.wait(GUARD)
        with pytest.raises(StreamClosedError):
            next(events)

    def test_leaving_a_silent_stream_releases_it(self, server: Server) -> None:
        with self.connect(server.url(FAULTS["stall"].handler())) as events:
            assert next(events).data == "one"
        assert server.connections[0].released.wait(GUARD)

    @pytest.mark.parametrize(
        "handler", [endless(200, [JSON]), endless(500)], ids=["media type", "status"]
    )
    def test_failed_check_releases(self, server: Server, handler: Handler) -> None:
        with pytest.raises(ResponseError):
            self.iter_events(self.open(server.url(handler)))
        assert server.connections[0].released.wait(GUARD)

    # Responses.

    def test_iter_events(self, server: Server) -> None:
        response = self.open(server.url(stream(NUMBERS)))
        with self.iter_events(response, decoder=SSEDecoder(last_event_id="9")) as events:
            assert events.response is response
            assert next(events) == ServerSentEvent(data="0", id="9")
            assert receive(events) == ["1", "2", "3"]

    @pytest.mark.parametrize(
        "wrong", [b"data: x\n\n", [b"data: x\n\n"], object(), None, "https://example.org/"]
    )
    def test_what_is_no_response(self, wrong: object) -> None:
        with pytest.raises(TypeError, match=f"iter_events takes .*, not {type(wrong)}"):
            self.iter_events(wrong)

    def test_response_of_another_client(self, server: Server) -> None:
        url = server.url(stream(NUMBERS))
        responses: dict[str, Any] = {
            "requests": requests.get(url, stream=True),
            "urllib3": urllib3.request("GET", url, preload_content=False),
            "urllib": urllib.request.urlopen(url),
        }
        responses.pop(self.name, None)
        for response in responses.values():
            with pytest.raises(TypeError, match=f"iter_events takes .*, not {type(response)}"):
                self.iter_events(response)
            response.close()

    # Requests.

    def test_request_is_that_of_an_event_stream(self, server: Server) -> None:
        with self.connect(server.url(stream(NUMBERS))) as events:
            list(events)
        request = server.requests[0]
        assert request.method == "GET"
        assert request.header("Accept") == b"text/event-stream"
        assert request.header("Cache-Control") == b"no-cache"
        assert request.header("Last-Event-ID") is None

    def test_headers_of_the_caller(self, server: Server) -> None:
        headers = {
            "accept": "text/event-stream, application/json",
            "X-Own": "a",
            "last-event-id": "0",
        }
        given = headers.copy()
        with self.connect(server.url(stream(NUMBERS)), headers=headers, last_event_id="1"):
            pass
        assert headers == given
        request = server.requests[0]
        assert request.header("Accept") == b"text/event-stream, application/json"
        assert request.header("Cache-Control") == b"no-cache"
        assert request.header("X-Own") == b"a"
        assert request.header("Last-Event-ID") == b"1"

    def test_headers_as_pairs(self, server: Server) -> None:
        with self.connect(server.url(stream(NUMBERS)), headers=[("X-Own", "a")]):
            pass
        assert server.requests[0].header("X-Own") == b"a"

    @pytest.mark.parametrize("with_decoder", [False, True], ids=["last_event_id", "decoder"])
    @pytest.mark.parametrize(
        ("last_event_id", "sent"),
        [
            ("7", b"7"),
            ("a b\tc", b"a b\tc"),
            ("é…😀", "é…😀".encode()),
            (" 7", None),
            ("a\nb: c", None),
            ("\ud800", None),
        ],
    )
    def test_last_event_id(
        self, server: Server, last_event_id: str, sent: bytes | None, with_decoder: bool
    ) -> None:
        options: dict[str, Any] = (
            {"decoder": SSEDecoder(last_event_id=last_event_id)}
            if with_decoder
            else {"last_event_id": last_event_id}
        )
        with self.connect(server.url(stream(NUMBERS)), **options) as events:
            assert next(events).id == last_event_id
        assert server.requests[0].header("Last-Event-ID") == sent

    def test_mistakes_are_found_before_anything_is_sent(self, server: Server) -> None:
        url = server.url(stream(NUMBERS))
        closed = SSEDecoder()
        closed.close()
        with pytest.raises(ValueError, match="either decoder or last_event_id"):
            self.connect(url, decoder=SSEDecoder(), last_event_id="1")
        with pytest.raises(ValueError, match="close"):
            self.connect(url, decoder=closed)
        with pytest.raises(TypeError, match="SSEDecoder"):
            self.connect(url, decoder=SSEDecoder)
        assert server.requests == []

    # Real servers.

    @pytest.mark.parametrize("fixture", ["uvicorn_server", "aiohttp_server"])
    def test_real_server(self, request: pytest.FixtureRequest, fixture: str) -> None:
        service: Service = request.getfixturevalue(fixture)
        with self.connect(service.url + "/events?n=20") as events:
            assert [(event.data, event.id) for event in events] == [
                (str(i), str(i)) for i in range(20)
            ]
        with self.connect(service.url + "/infinite") as events:
            assert [next(events).data for _ in range(100)] == [str(i) for i in range(100)]
        key = f"{type(self).__name__} {fixture}".replace(" ", "-")
        with self.connect(service.url + f"/steps?key={key}") as events:
            for i in range(3):
                assert next(events).data == str(i)
                service.acknowledge(key)
        assert service.left(key).wait(GUARD)
        if "gzip" in self.codings:
            with self.connect(
                service.url + "/gzip?n=20", headers={"Accept-Encoding": "gzip"}
            ) as events:
                assert events.response.headers["Content-Encoding"] == "gzip"
                assert receive(events) == [str(i) for i in range(20)]
        data: list[str] = []
        with (
            self.connect(service.url + "/broken") as events,
            pytest.raises(self.errors["closed between chunks"]),
        ):
            receive(events, data)
        assert data == ["one", "two"]
