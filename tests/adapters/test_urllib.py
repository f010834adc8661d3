# SPDX-License-Identifier: MIT
from __future__ import annotations

import http.client
import io
import ssl
import urllib.error
import urllib.request
import urllib.response
from email.message import Message
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from sse_stream import ResponseError, StatusError
from sse_stream.adapters.urllib import connect, is_transient, iter_events, subscribe

from .contract import NUMBERS, SyncContract, receive
from .server import FRAMINGS, Connection, Handler, Server, endless, respond, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sse_stream.streams import EventStream, Opening

    from .conftest import Certificates


def guarded(handler: Handler) -> Handler:
    """Return a handler that refuses a request without a secret."""

    def guard(connection: Connection) -> None:
        names = {name.lower() for name, _ in connection.request.fields}
        (handler if names & {"authorization", "cookie"} else respond(401))(connection)

    return guard


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **options: object) -> None:
        return None


class TestUrllib(SyncContract):
    name = "urllib"
    codings = frozenset()
    pools = False
    errors: ClassVar = {
        "reset": ConnectionResetError,
        "reset inside a chunk": ConnectionResetError,
        "reset, Content-Length": ConnectionResetError,
        "reset, close-delimited": ConnectionResetError,
        "closed between chunks": http.client.IncompleteRead,
        "closed inside a chunk": http.client.IncompleteRead,
        "short Content-Length": http.client.IncompleteRead,
        "bad chunk size": http.client.IncompleteRead,
        "stall": TimeoutError,
        "closed before headers": http.client.RemoteDisconnected,
        "reset before headers": ConnectionResetError,
        "silence before headers": TimeoutError,
        "no connection": urllib.error.URLError,
    }

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
        client = None
        if certificates:
            client = urllib.request.build_opener(
                urllib.request.HTTPSHandler(context=certificates.client_context())
            )
        if not follow:
            client = urllib.request.build_opener(NoRedirects)
        return connect(client, method, url, timeout=read_timeout, **options)

    def open(self, url: str) -> Any:
        try:
            return urllib.request.urlopen(url)
        except urllib.error.HTTPError as error:
            return error

    def iter_events(self, response: Any, **options: Any) -> EventStream:
        return iter_events(response, **options)

    def test_options_and_the_headers_of_the_opener_reach_the_server(self, server: Server) -> None:
        opener = urllib.request.build_opener()
        opener.addheaders = [("X-Opener", "p")]
        url = server.url(stream(NUMBERS))
        with connect(opener, "PUT", url, data=b"body", headers={"X-Own": "o"}, timeout=5) as events:
            assert len(list(events)) == 4
        request = server.requests[0]
        assert request.method == "PUT"
        assert request.body == b"body"
        assert request.header("X-Opener") == b"p"
        assert request.header("X-Own") == b"o"

    def test_redirect_that_urllib_does_not_follow(self, server: Server) -> None:
        url = server.url(respond(307, headers=[("Location", "/x")]))
        with pytest.raises(StatusError, match="follows redirects of GET") as caught:
            connect(None, "POST", url, data=b"body").__enter__()
        assert caught.value.status == 307

    def test_redirects_within_an_origin_carry_secrets(self, server: Server) -> None:
        """urllib cannot be told where to, so what it sent without them is sent once more."""
        server.url(stream(NUMBERS), "/c")
        server.url(guarded(respond(302, headers=[("Location", "/c?d")])), "/b")
        url = server.url(guarded(respond(301, headers=[("Location", "/b")])), "/a")
        headers = {"authorization": "KEY", "X-Own": "o"}
        with connect(None, "GET", url, headers=headers, timeout=5) as events:
            assert len(list(events)) == 4
        assert [(r.target, r.header("Authorization")) for r in server.requests] == [
            ("/a", b"KEY"),
            ("/b", None),
            ("/b", b"KEY"),
            ("/c?d", None),
            ("/c?d", b"KEY"),
        ]
        assert all(request.header("X-Own") == b"o" for request in server.requests)

    def test_a_redirect_to_the_same_url_carries_secrets(self, server: Server) -> None:
        """As where a cookie is set and looked for."""
        turns = iter([respond(302, headers=[("Location", "/a")])])

        def turn(connection: Connection) -> None:
            next(turns, guarded(stream(NUMBERS)))(connection)

        url = server.url(turn, "/a")
        with connect(None, "GET", url, headers={"Authorization": "KEY"}, timeout=5) as events:
            assert len(list(events)) == 4
        sent = [request.header("Authorization") for request in server.requests]
        assert sent == [b"KEY", None, b"KEY"]

    def test_no_other_origin_says_what_is_asked_for_with_secrets(self, server: Server) -> None:
        server.url(stream(NUMBERS), "/c")
        with Server() as other:
            back = other.url(respond(302, headers=[("Location", f"{server.origin}/c?d")]))
            url = server.url(respond(302, headers=[("Location", back)]), "/a")
            with connect(None, "GET", url, headers={"Cookie": "KEY"}, timeout=5) as events:
                assert len(list(events)) == 4
            assert [request.header("Cookie") for request in other.requests] == [None]
        assert [(r.target, r.header("Cookie")) for r in server.requests] == [
            ("/a", b"KEY"),
            ("/c?d", None),
        ]

    def test_secrets_are_not_sent_for_ever(self, server: Server) -> None:
        turns = iter(range(100))

        def turn(connection: Connection) -> None:
            headers = [("Location", f"/{next(turns)}")]
            guarded(respond(302, headers=headers))(connection)

        for number in range(100):
            server.url(turn, f"/{number}")
        with pytest.raises(StatusError) as caught:
            connect(None, "GET", server.url(turn, "/a"), headers={"Cookie": "KEY"}).__enter__()
        assert (caught.value.status, len(server.requests)) == (401, 20)

    @pytest.mark.parametrize(
        ("url", "other", "is_within"),
        [
            ("http://h/a", "http://h/b", True),
            ("http://h/a", "http://h?b", True),
            ("http://h/a", "https://h/b", True),
            ("https://h/a", "http://h/b", False),
            ("http://h:1/a", "http://h:1/b", True),
            ("http://h:1/a", "https://h:1/b", False),
            ("http://h/a", "http://h:1/b", False),
            ("http://h/a", "http://h@evil/b", False),
            ("http://h/a", "http://h.evil/b", False),
            ("http://h/a", "", False),
        ],
    )
    def test_what_is_within_an_origin(self, url: str, other: str, is_within: bool) -> None:
        class Answer(io.BytesIO):
            status, headers, length, url = 200, {"Content-Type": "text/event-stream"}, None, other

            def isclosed(self) -> bool:
                return False

        class Opener:
            addheaders: ClassVar[list[Any]] = []
            sent: ClassVar[list[str]] = []

            def open(self, request: urllib.request.Request, timeout: float | None) -> Answer:
                self.sent.append(request.full_url)
                return Answer()

        opener: Any = Opener()
        with connect(opener, "GET", url, headers={"Cookie": "KEY"}) as events:
            assert list(events) == []
        assert opener.sent == [url, other][: 1 + is_within]

    def test_certificate_that_is_not_trusted(self, tls_server: Server) -> None:
        with pytest.raises(urllib.error.URLError) as caught:
            self.connect(tls_server.url(stream(NUMBERS))).__enter__()
        assert isinstance(caught.value.reason, ssl.SSLError)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/", "data:,x", "example.org/events"]
)
def test_url_of_another_scheme(url: str) -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        connect(None, "GET", url)


def test_content_coding_is_refused_with_check_turned_off(server: Server) -> None:
    headers = [("Content-Type", "text/event-stream"), ("Content-Encoding", "gzip")]
    with pytest.raises(ResponseError, match="Accept-Encoding: identity"):
        connect(None, "GET", server.url(endless(200, headers)), check=False).__enter__()
    assert server.connections[0].released.wait(5)


def test_content_coding_identity(server: Server) -> None:
    headers = [("Content-Type", "text/event-stream"), ("Content-Encoding", "Identity")]
    with connect(None, "GET", server.url(stream(NUMBERS, headers=headers))) as events:
        assert len(list(events)) == 4


def test_a_redirect_to_ftp() -> None:
    """urllib follows it, and what comes is no response of http.client."""

    class Opener:
        addheaders: ClassVar[list[Any]] = []

        def open(self, request: object, timeout: float | None) -> Any:
            return urllib.response.addinfourl(body, Message(), "FTP://u:p@h/x?secret", 226)

    body, opener = io.BytesIO(b"data: x\n\n"), Opener()
    given: Any = opener
    with pytest.raises(urllib.error.URLError, match="led to FTP: FTP://h/x>") as caught:
        connect(given, "GET", "http://127.0.0.1/").__enter__()
    assert body.closed
    assert is_transient(caught.value) is False


@pytest.mark.parametrize("length", ["11", "+0", "0_0", "-0", "x"])
@pytest.mark.parametrize("status", [204, 304, 200])
def test_a_body_that_need_not_be_there(server: Server, status: int, length: str) -> None:
    """No 204 and no 304 has the body whose length it may tell."""
    head = f"HTTP/1.1 {status} Reason\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"

    def handler(connection: Connection) -> None:
        connection.send(f"{head}Content-Length: {length}\r\n\r\n".encode())
        if status == 200 and length == "11":
            connection.send(b"data: one\n\n")
        connection.close()

    opening = connect(None, "GET", server.url(handler))
    if status == 304:
        with pytest.raises(StatusError) as caught:
            opening.__enter__()
        assert (caught.value.status, caught.value.body) == (304, b"")
        return
    with opening as events:
        assert len(list(events)) == (status == 200 and length == "11")


def test_the_url_of_a_redirect_that_leads_nowhere(server: Server) -> None:
    """What did not answer is not said to have."""
    url = server.url(respond(302, headers=[("Location", "file:///etc/passwd")]))
    with pytest.raises(StatusError) as caught:
        connect(None, "GET", url).__enter__()
    assert caught.value.url == url
    assert caught.value.headers["Location"] == "file:///etc/passwd"


USES: Mapping[str, Callable[[Any], object]] = {
    "read": lambda response: response.read(),
    "closed": lambda response: response.close(),
}


@pytest.mark.parametrize("name", ["chunked", "close-delimited", "Content-Length"])
@pytest.mark.parametrize("use", USES)
def test_response_that_was_used(server: Server, name: str, use: str) -> None:
    with urllib.request.urlopen(server.url(stream(NUMBERS, FRAMINGS[name]))) as response:
        USES[use](response)
        with pytest.raises(ValueError, match="read or closed already"):
            iter_events(response)


@pytest.mark.parametrize("name", ["chunked", "Content-Length"])
def test_response_of_http_client_whose_connection_stays_open(server: Server, name: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    server.url(stream(NUMBERS, FRAMINGS[name]), "/a")
    for _ in range(2):
        connection.request("GET", "/a")
        with iter_events(connection.getresponse()) as events:
            assert receive(events) == ["0", "1", "2", "3"]
    connection.close()
    assert [request.connection for request in server.requests] == [0, 0]


def test_url_of_an_error_of_http_client_is_not_known(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    server.url(respond(404, b"body"), "/a")
    connection.request("GET", "/a")
    with pytest.raises(StatusError) as caught:
        iter_events(connection.getresponse())
    assert (caught.value.url, caught.value.body) == ("", b"body")
    connection.close()


def test_urls_that_urllib_would_misread() -> None:
    url: Any = b"http://127.0.0.1/"
    with pytest.raises(TypeError, match="urllib takes the URL as a str, not bytes"):
        connect(None, "GET", url)
    with pytest.raises(ValueError, match="must begin with http:// or https://, not 'ftp://h/a'"):
        connect(None, "GET", "ftp://h/a?secret")
    with pytest.raises(ValueError, match="pass an Authorization header") as refused:
        connect(None, "GET", "http://user:secret@127.0.0.1/")
    assert "secret" not in str(refused.value)
    connect(None, "GET", "http://127.0.0.1/@a?b@c")


def test_a_body_that_is_not_in_bytes() -> None:
    takers: list[Callable[..., object]] = [connect, subscribe]
    for take in takers:
        with pytest.raises(TypeError, match=r"^data must be bytes, such as json\.dumps"):
            take(None, "POST", "http://127.0.0.1/", data={"a": 1})
