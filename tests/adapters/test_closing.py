# SPDX-License-Identifier: MIT
"""`close()` from another thread, for the stream and the source of every sync client.

It returns at once, and the read that is blocked ends, quietly: between events, inside a chunk,
before the first byte of the body, on TLS.
"""

from __future__ import annotations

import ssl
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import httpx2
import pycurl  # type: ignore[import-untyped]
import pytest
import requests
import urllib3

from sse_stream.adapters import httpx as of_httpx
from sse_stream.adapters import pycurl as of_pycurl
from sse_stream.adapters import requests as of_requests
from sse_stream.adapters import urllib as of_urllib
from sse_stream.adapters import urllib3 as of_urllib3
from sse_stream.streams import StreamClosedError

from .server import (
    EVENT_STREAM,
    FRAMINGS,
    GUARD,
    Connection,
    Handler,
    Server,
    becomes_true,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Certificates
    from .services import Service

#: Seconds that `close` may take, and the end of the read after it.
AT_ONCE = 0.5


class Client(NamedTuple):
    """A client: its adapter, and how one is made that trusts the tests' authority."""

    adapter: Any
    new: Callable[[Certificates], Any]
    options: dict[str, Any] = {}  # noqa: RUF012


def session(certificates: Certificates) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # which may name other authorities
    session.verify = str(certificates.ca_file)
    return session


def handle(certificates: Certificates) -> Any:
    curl = pycurl.Curl()
    curl.setopt(pycurl.CAINFO, str(certificates.ca_file))
    return curl


CLIENTS = {
    "httpx": Client(of_httpx, lambda c: httpx.Client(verify=c.client_context(), timeout=None)),
    "httpx, with a limit": Client(
        of_httpx, lambda c: httpx.Client(verify=c.client_context(), timeout=60)
    ),
    "httpx2": Client(of_httpx, lambda c: httpx2.Client(verify=c.client_context(), timeout=None)),
    "requests": Client(of_requests, session),
    "requests, with a limit": Client(of_requests, session, {"timeout": 60}),
    "urllib3": Client(of_urllib3, lambda c: urllib3.PoolManager(ssl_context=c.client_context())),
    "urllib3, with a limit": Client(
        of_urllib3, lambda c: urllib3.PoolManager(ssl_context=c.client_context(), timeout=60)
    ),
    "urllib": Client(
        of_urllib,
        lambda c: urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=c.client_context())
        ),
    ),
    "urllib, with a limit": Client(
        of_urllib,
        lambda c: urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=c.client_context())
        ),
        {"timeout": 60},
    ),
    "pycurl": Client(of_pycurl, handle),
}


def after(data: bytes, framing: str = "chunked") -> Handler:
    """Return a handler that sends the head, and these bytes as they are, and falls silent."""

    def handler(connection: Connection) -> None:
        connection.send(FRAMINGS[framing].head(1000, headers=[EVENT_STREAM]) + data)
        connection.stall()

    return handler


EVENT = b"data: 1\n\n"
SILENCES: dict[str, Handler] = {
    "between events": after(b"9\r\n" + EVENT + b"\r\n"),
    "inside a chunk": after(b"fff\r\n" + EVENT + b"data: unfin"),
    "inside the head of a chunk": after(b"9\r\n" + EVENT + b"\r\nf"),
    "before the body": after(b""),
    "inside a body of known length": after(EVENT + b"data: unfin", "Content-Length"),
    "inside a body that ends with the connection": after(EVENT + b"data", "close-delimited"),
    "inside a compressed body": stream([EVENT, EVENT], FRAMINGS["gzip"], lock_step=True),
}


class Reading:
    """A thread that reads events to their end."""

    def __init__(self, events: Any) -> None:
        self.events = events
        self.data: list[str] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for event in self.events:
                self.data.append(event.data)
        except BaseException as error:
            self.error = error

    def wait_for_silence(self, *before: str) -> None:
        """Wait until it has read these data, and blocks."""
        assert becomes_true(lambda: self.data == [*before])
        time.sleep(0.03)
        assert self._thread.is_alive()

    def end(self) -> None:
        """Close from this thread; the reader ends, quietly."""
        began = time.monotonic()
        self.events.close()
        assert time.monotonic() - began < AT_ONCE
        self._thread.join(AT_ONCE)
        assert not self._thread.is_alive(), "the read did not end"
        assert self.error is None


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    return CLIENTS[request.param]


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def any_server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue("tls_server" if request.param else "server")
    return server


@pytest.mark.parametrize("silence", SILENCES)
@pytest.mark.parametrize("verb", ["connect", "subscribe"])
def test_another_thread_closes(
    client: Client, any_server: Server, certificates: Certificates, silence: str, verb: str
) -> None:
    if "compressed" in silence and client.adapter in (of_urllib, of_pycurl):
        return  # not decoded there
    url = any_server.url(SILENCES[silence])
    new_client = client.new(certificates)
    opened: Any = getattr(client.adapter, verb)(new_client, "GET", url, **client.options)
    with opened as events:
        before = [] if silence == "before the body" else ["1"]
        reading = Reading(events)
        reading.wait_for_silence(*before)
        reading.end()
        assert reading.data == before
        assert list(events) == []
    assert any_server.connections[0].released.wait(GUARD)
    assert len(any_server.requests) == 1
    close(new_client)


def close(client: Any) -> None:
    (client.close if hasattr(client, "close") else client.clear)()


def test_a_thread_that_closes_again_and_again(
    client: Client, server: Server, certificates: Certificates
) -> None:
    new_client = client.new(certificates)
    url = server.url(SILENCES["between events"])
    with client.adapter.connect(new_client, "GET", url, **client.options) as events:
        reading = Reading(events)
        reading.wait_for_silence("1")
        for _ in range(3):
            reading.end()
    close(new_client)


def test_closing_does_not_hurt_the_next_request(
    client: Client, server: Server, certificates: Certificates
) -> None:
    new_client = client.new(certificates)
    ended = server.url(stream([EVENT]))
    for _ in range(3):
        url = server.url(SILENCES["between events"])
        with client.adapter.connect(new_client, "GET", url, **client.options) as events:
            reading = Reading(events)
            reading.wait_for_silence("1")
            reading.end()
        with client.adapter.connect(new_client, "GET", ended, **client.options) as events:
            assert [event.data for event in events] == ["1"]
            events.close()
    close(new_client)


def test_leaving_the_block_while_another_thread_reads(
    client: Client, server: Server, certificates: Certificates
) -> None:
    """It closes, too; the read that waits has been broken off, and the next one says so."""
    new_client = client.new(certificates)
    url = server.url(SILENCES["between events"])
    with client.adapter.connect(new_client, "GET", url, **client.options) as events:
        reading = Reading(events)
        reading.wait_for_silence("1")
    reading._thread.join(AT_ONCE)
    assert not reading._thread.is_alive()
    with pytest.raises(StreamClosedError, match="with"):
        next(events)
    close(new_client)


@pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_http2_is_shared(
    module: Any, hypercorn_server: Service, certificates: Certificates
) -> None:
    """Only the stream may be touched: the read ends with the next bytes, another goes on."""
    context = certificates.client_context()
    url = hypercorn_server.url
    key = f"closing {module.__name__}"
    with module.Client(http2=True, verify=context, timeout=60) as client:
        with of_httpx.connect(client, "GET", f"{url}/steps", params={"key": key}) as events:
            assert next(events).data == "0"
            reading = Reading(events)
            reading.wait_for_silence()
            began = time.monotonic()
            events.close()
            assert time.monotonic() - began < AT_ONCE
            hypercorn_server.acknowledge(key)
            reading._thread.join(GUARD)
            assert not reading._thread.is_alive()
            assert (reading.data, reading.error) == ([], None)
        with of_httpx.connect(client, "GET", f"{url}/events?n=3") as events:
            assert events.response.http_version == "HTTP/2"
            assert [event.data for event in events] == ["0", "1", "2"]


def test_http2_of_pycurl(hypercorn_server: Service, certificates: Certificates) -> None:
    curl = handle(certificates)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    with of_pycurl.connect(
        curl, "GET", f"{hypercorn_server.url}/steps?key=closing-pycurl"
    ) as events:
        assert next(events).data == "0"
        reading = Reading(events)
        reading.wait_for_silence()
        reading.end()
    assert hypercorn_server.left("closing-pycurl").wait(GUARD)


def test_a_socket_of_tls_is_shut_down_beneath(tls_server: Server) -> None:
    """SSLSocket's own `shutdown` would take its state from the thread that reads."""
    from sse_stream.adapters._response import shut_down

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    import socket

    with socket.create_connection(("127.0.0.1", tls_server.port)) as plain:
        with context.wrap_socket(plain) as sock:
            shut_down(sock)
            assert sock.version() is not None
            shut_down(sock)
        shut_down(sock)
    shut_down(None)
    shut_down(object())
