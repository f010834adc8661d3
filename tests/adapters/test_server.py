# SPDX-License-Identifier: MIT
"""The tests' own servers do what the other tests rely on."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
import zlib
from typing import TYPE_CHECKING

import pytest

from .server import (
    COMPLETE,
    EARLY_FAULTS,
    FAULTS,
    FRAMINGS,
    SILENT_FAULTS,
    UNFINISHED,
    Fault,
    Framing,
    Handler,
    Server,
    broken_off,
    brotli,
    endless,
    respond,
    stream,
)

if TYPE_CHECKING:
    from .conftest import Certificates
    from .services import Service

ALL_FAULTS = {**FAULTS, **SILENT_FAULTS}


def send_request(server: Server, handler: Handler) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    sock.sendall(
        f"GET {server.url(handler).removeprefix(server.origin)} HTTP/1.1\r\nA: b\r\n\r\n".encode()
    )
    return sock


def receive_all(sock: socket.socket) -> bytes:
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


@pytest.mark.parametrize("name", FRAMINGS)
def test_framing_carries_the_events(server: Server, name: str) -> None:
    with urllib.request.urlopen(
        server.url(stream(COMPLETE, FRAMINGS[name])), timeout=5
    ) as response:
        body = response.read()
        coding = response.headers["Content-Encoding"]
        assert response.headers["Content-Type"] == "text/event-stream"
    if coding == "br":
        body = brotli.decompress(body)
    elif coding:
        body = zlib.decompress(body, wbits=47)
    assert body == b"".join(COMPLETE)


@pytest.mark.parametrize("name", FRAMINGS)
def test_lock_step_sends_nothing_before_it_is_acknowledged(server: Server, name: str) -> None:
    with send_request(server, stream(COMPLETE, FRAMINGS[name], lock_step=True)) as sock:
        for _ in COMPLETE:
            sock.settimeout(5)
            assert sock.recv(65536)
            sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                receive_all(sock)
            server.acknowledge()
        sock.settimeout(5)
        if FRAMINGS[name].transfer == "close":
            receive_all(sock)
        elif FRAMINGS[name].transfer != "length":
            assert sock.recv(65536)


@pytest.mark.parametrize("name", ALL_FAULTS)
def test_fault_strikes_after_two_events_and_the_beginning_of_a_third(
    server: Server, name: str
) -> None:
    fault: Fault = ALL_FAULTS[name]
    framing: Framing = fault.framing
    with send_request(server, fault.handler()) as sock:
        received = b""
        while b"\r\n\r\n" not in received or (not framing.coding and UNFINISHED not in received):
            received += sock.recv(65536)
        assert framing.coding or b"".join(COMPLETE) in received
        server.acknowledge()
        rest: bytes | None = b""
        try:
            sock.settimeout(0.2 if name == "stall" else 5)
            while data := sock.recv(65536):
                assert rest is not None
                rest += data
                if name in ("corrupt gzip", "bad chunk size"):
                    break
        except ConnectionResetError:
            assert "reset" in name
        except TimeoutError:
            assert name == "stall"
        else:
            assert "reset" not in name
            assert "stall" not in name


@pytest.mark.parametrize("name", EARLY_FAULTS)
def test_early_fault(server: Server, name: str) -> None:
    with send_request(server, EARLY_FAULTS[name]) as sock:
        if name.startswith("reset"):
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        else:
            assert sock.recv(1) == b""


def test_connection_is_kept_and_its_release_seen(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    server.url(respond(200, b"body"), "/a")
    for _ in range(2):
        connection.request("POST", "/a", b"data", {"X": "é".encode()})
        assert connection.getresponse().read() == b"body"
    assert [(r.method, r.body, r.connection, r.header("x")) for r in server.requests] == 2 * [
        ("POST", b"data", 0, "é".encode())
    ]
    assert not server.connections[0].released.is_set()
    connection.close()
    assert server.connections[0].released.wait(5)


@pytest.mark.parametrize(
    "handler", [FAULTS["stall"].handler(lock_step=False), FAULTS["stall"].handler(), endless()]
)
def test_release_is_seen_in_the_middle_of_a_stream(server: Server, handler: Handler) -> None:
    with send_request(server, handler) as sock:
        sock.recv(65536)
        assert not server.connections[0].released.is_set()
    assert server.connections[0].released.wait(5)


@pytest.mark.parametrize(
    "handler", [FAULTS["stall"].handler(lock_step=False), FAULTS["stall"].handler(), endless()]
)
def test_release_is_seen_under_tls(
    tls_server: Server, certificates: Certificates, handler: Handler
) -> None:
    with urllib.request.urlopen(
        tls_server.url(handler), context=certificates.client_context()
    ) as response:
        assert response.read1(65536)
        assert not tls_server.connections[0].released.is_set()
    assert tls_server.connections[0].released.wait(5)


def test_end_of_a_stream_under_tls_is_announced(
    tls_server: Server, certificates: Certificates
) -> None:
    tls_server.url(stream(COMPLETE, FRAMINGS["close-delimited"]), "/a")
    sock = socket.create_connection(("127.0.0.1", tls_server.port), timeout=5)
    context = certificates.client_context()
    with context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False) as tls:
        tls.sendall(b"GET /a HTTP/1.1\r\n\r\n")
        assert receive_all(tls).endswith(b"".join(COMPLETE))


def test_client_that_does_not_trust_the_certificate_fails_no_test(tls_server: Server) -> None:
    with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
        urllib.request.urlopen(tls_server.url(respond(200)), context=ssl.create_default_context())


def test_body_that_breaks_off(server: Server) -> None:
    with (
        urllib.request.urlopen(server.url(broken_off(200, b"body")), timeout=5) as response,
        pytest.raises(http.client.IncompleteRead),
    ):
        response.read()


def test_event_that_is_not_acknowledged_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.adapters.server.GUARD", 0.1)
    server = Server()
    with pytest.raises(AssertionError, match="holds it back"), server:
        url = server.url(stream(COMPLETE, lock_step=True))
        with (
            urllib.request.urlopen(url, timeout=5) as response,
            pytest.raises(ConnectionResetError),
        ):
            response.read()


def test_handler_that_fails_fails_the_test() -> None:
    def handler(connection: object) -> None:
        raise ZeroDivisionError

    server = Server()
    with pytest.raises(ZeroDivisionError), server, send_request(server, handler) as sock:
        assert sock.recv(1) == b""


@pytest.mark.parametrize("fixture", ["uvicorn_server", "aiohttp_server", "hypercorn_server"])
def test_services(fixture: str, request: pytest.FixtureRequest, certificates: Certificates) -> None:
    service: Service = request.getfixturevalue(fixture)
    context = certificates.client_context() if service.url.startswith("https") else None
    with urllib.request.urlopen(
        service.url + "/events?n=2", context=context, timeout=5
    ) as response:
        assert response.read().count(b"data: ") == 2
    with urllib.request.urlopen(service.url + "/infinite", context=context, timeout=5) as response:
        assert response.read1(10)
    with (
        urllib.request.urlopen(service.url + "/broken", context=context, timeout=5) as response,
        pytest.raises((http.client.IncompleteRead, OSError)),
    ):
        response.read()
    with urllib.request.urlopen(
        service.url + "/steps?key=a", context=context, timeout=5
    ) as response:
        assert b"data: 0" in response.read1(65536)
        service.acknowledge("a")
        assert b"data: 1" in response.read1(65536)
    assert service.left("a").wait(5)
    zipped = urllib.request.Request(service.url + "/gzip?n=2", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(zipped, context=context, timeout=5) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert zlib.decompress(response.read(), wbits=47).count(b"data: ") == 2
