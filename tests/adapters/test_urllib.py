# SPDX-License-Identifier: MIT
from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from sse_stream import ResponseError, StatusError
from sse_stream.adapters.urllib import connect, iter_events

from .contract import NUMBERS, SyncContract, receive
from .server import FRAMINGS, Server, endless, respond, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sse_stream.streams import EventStream, Opening

    from .conftest import Certificates


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
