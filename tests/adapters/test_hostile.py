# SPDX-License-Identifier: MIT
"""What a hostile server can do to each client, to the next request, and to a terminal."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from sse_stream import ReconnectionPolicy, ResponseError, SSEDecoder, SSEError, StatusError
from sse_stream.handshake import header_value
from tests.programs import hostile

from .server import EVENT_STREAM, FRAMINGS, Connection, Handler, Server, respond, stream
from .subscribers import CLIENTS

#: By how many MiB an attack may let the peak of memory grow, and what a bomb becomes.
MARGIN, BOMB = 24, 32
#: How often a bomb is held by the clients that inflate it at once: httpx joins the pieces, libcurl
#: writes them one by one.
INFLATED = {"httpx": 2, "httpx, async": 2, "httpx2": 2, "pycurl": 1, "pycurl, async": 1}


@pytest.mark.large
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("client", hostile.CLIENTS)
def test_what_is_held_stays_bounded(client: str) -> None:
    attacks = {name: attack for name, attack in hostile.ATTACKS.items() if "256 MiB" not in name}
    bombs = {coding: hostile.exploding(coding, BOMB << 20) for coding in ("gzip", "br")}
    for coding in bombs:
        hostile.bomb(coding, BOMB << 20)  # takes longer than a client waits
    handlers = [*(attack.handler for attack in attacks.values()), *bombs.values()]
    outcomes = hostile.attack(client, handlers)
    for (name, attack), outcome in zip(attacks.items(), outcomes, strict=False):
        assert outcome.error in attack.ends, f"{name}: {outcome}"
        assert outcome.events == {
            "a million empty lines": 1,
            "a million events in one chunk": 1_000_000,
        }.get(name, 0)
        assert outcome.growth < MARGIN, f"{name}: {outcome}"
    for outcome in outcomes[len(attacks) :]:
        assert outcome.error == ("ResponseError" if client == "urllib" else "EventTooLargeError")
        assert outcome.growth < MARGIN + BOMB * INFLATED.get(client, 0), f"a bomb: {outcome}"


class Measuring(SSEDecoder):
    """Notes how large the chunks are."""

    largest = 0

    def feed(self, chunk: Any) -> list[Any]:
        self.largest = max(self.largest, len(chunk))
        return super().feed(chunk)


@pytest.mark.parametrize("client", [name for name in hostile.CLIENTS if name != "urllib"])
def test_what_unfolds_is_decoded_in_pieces(server: Server, client: str) -> None:
    """The events of a whole chunk are held at once, and a kilobyte may unfold to ten millions."""
    parts = [b":" * (2 << 20), b"\n\ndata: x\n\n"]
    decoder = Measuring()
    url = server.url(stream(parts, FRAMINGS["gzip"]))
    assert len([*hostile.CLIENTS[client](url, decoder)]) == 1
    assert 0 < decoder.largest <= (1 << 20 if "pycurl" in client else 1 << 16)


@pytest.mark.parametrize("client", [name for name in hostile.CLIENTS if "httpx" in name])
def test_what_was_compressed_twice_is_not_unfolded(server: Server, client: str) -> None:
    """64 KiB of it may become 64 GiB, which httpx would hold."""
    body = gzip.compress(gzip.compress(b"data: " + b"x" * (8 << 20)))
    headers = [EVENT_STREAM, ("Content-Encoding", "gzip, none"), ("Content-Encoding", "GZIP")]
    with pytest.raises(ResponseError, match="which this client does not decode"):
        list(hostile.CLIENTS[client](server.url(respond(200, body, headers)), SSEDecoder()))
    with pytest.raises(StatusError) as caught:
        list(hostile.CLIENTS[client](server.url(respond(500, body, headers)), SSEDecoder()))
    assert caught.value.body == body


# What is no HTTP.

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n"
MALFORMED = [
    b"",
    b"data: x\n\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 99999 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nx",
    HEAD + b"no colon\r\n\r\n",
    HEAD + b"X: \0\r\n\r\n",
    HEAD + b"Content-Length: -5\r\n\r\ndata:",
    HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\ndata:",
    HEAD + b"Content-Length: 0, 0\r\n\r\ndata:",
    HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\ndata:",
    HEAD + b"Content-Encoding: gzip\r\n\r\ndata:",
    HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\ndata:\r\n0\r\n\r\n",
    CHUNKED + b"-5\r\ndata:\r\n0\r\n\r\n",
    CHUNKED + b"ffffffffffffffffff\r\n",
    CHUNKED + b"5;x=" + b"y" * 70_000,
    CHUNKED + b"5\r\ndata:XX0\r\n\r\n",
]


@pytest.mark.parametrize("client", [name for name in CLIENTS if "trio" not in name])
def test_what_is_no_http_is_an_error_that_the_adapter_knows(server: Server, client: str) -> None:
    policy = ReconnectionPolicy(reconnect_on_end=False)
    is_transient = CLIENTS[client].adapter.is_transient
    for answer in MALFORMED:
        url = server.url(_raw(answer))
        _, error = CLIENTS[client].run(url, policy=policy, is_transient=lambda _: False)
        is_known = isinstance(error, SSEError) or is_transient(error) is not None
        assert error is None or is_known, (answer, error)


# The next request.


def then_204(first: Handler) -> Handler:
    """Return a handler that answers each path's first request so, and ends later ones for good."""
    seen: set[str] = set()

    def handler(connection: Connection) -> None:
        target = connection.request.target
        answer = respond(204) if target in seen else first
        seen.add(target)
        answer(connection)

    return handler


IDS = [
    "7\x1b[31m",
    "7\x7f",
    "\t7",
    " 7",
    "7 ",
    "7\x0bX-Forged: 1",
    "7\x0cX-Forged: 1",
    "7\x1cX-Forged: 1",
    "7\x85X-Forged: 1",
    "7\u2028X-Forged: 1",
    "%0d%0aX-Forged: 1",
    "\\r\\nX-Forged: 1",
    "7: X-Forged: 1",
    "\u202e7",
    "x" * 10_000,
]


@pytest.mark.parametrize("client", CLIENTS)
def test_no_id_forges_a_header(server: Server, client: str) -> None:
    for number, last_event_id in enumerate(IDS):
        path = f"/{number}"
        url = server.url(
            then_204(
                stream([f"id: {last_event_id}\ndata: x\n\n".encode()], FRAMINGS["close-delimited"])
            ),
            path,
        )
        assert CLIENTS[client].run(url) == (["x"], None)
        first, second = [request for request in server.requests if request.target == path]
        value = header_value(last_event_id)
        names = {name.lower() for name, _ in first.fields} | ({"last-event-id"} if value else set())
        assert {name.lower() for name, _ in second.fields} == names
        assert second.header("Last-Event-ID") == value


@pytest.mark.parametrize("client", CLIENTS)
def test_redirects_without_end(server: Server, client: str) -> None:
    """They end by the client's own limit, once: that is no broken connection to be made again."""
    data, error = CLIENTS[client].run(server.url(hostile.redirects))
    assert data == []
    assert error is not None
    assert len(server.requests) <= 50


# libcurl leaves such headers out by itself. On trio httpx warns of its own generators.
FOLLOWING = [name for name in CLIENTS if "pycurl" not in name and "trio" not in name]


@pytest.mark.parametrize("client", FOLLOWING)
def test_a_redirect_to_another_origin_carries_no_secret(server: Server, client: str) -> None:
    secrets = {"Authorization": "Bearer KEY", "Cookie": "session=KEY"}
    options = {"follow_redirects": True} if "httpx" in client else {}
    with Server() as other:
        target = other.url(stream([b"data: x\n\n"], FRAMINGS["close-delimited"]))
        url = server.url(respond(302, headers=[("Location", target)]))
        assert CLIENTS[client].run(url, 1, headers=secrets, **options) == (["x"], None)
        (led,) = other.requests
    (sent,) = server.requests
    for name, value in secrets.items():
        assert (sent.header(name), led.header(name)) == (value.encode(), None)


@pytest.mark.parametrize(
    ("retry", "least", "most"),
    [("0", 0.1, 0.2), ("9" * 30, 300, 450), ("9" * 5000, 1, 2), ("-1", 1, 2)],
)
def test_the_time_between_connections(
    server: Server, retry: str, least: float, most: float
) -> None:
    """No server makes a client connect in a tight loop, or wait for what cannot be waited for."""
    delays: list[float] = []
    url = server.url(stream([f"retry: {retry}\ndata: x\n\n".encode()], FRAMINGS["close-delimited"]))
    data, error = CLIENTS["urllib"].run(url, 4, policy=None, sleep=delays.append)
    assert (data, error) == (["x"] * 4, None)
    assert len(delays) == 3
    assert all(least <= delay <= most for delay in delays)


@pytest.mark.parametrize("wait", ["9" * 20, "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_retry_after_that_is_too_long_ends_the_source(server: Server, wait: str) -> None:
    delays: list[float] = []
    url = server.url(respond(503, headers=[("Retry-After", wait)]))
    data, error = CLIENTS["urllib"].run(url, policy=None, sleep=delays.append)
    assert (data, type(error), delays, len(server.requests)) == ([], StatusError, [], 1)


# A terminal.

terminal = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")

HOSTILE = (
    "".join(map(chr, (*range(1, 10), 11, 12, *range(14, 32), *range(127, 160))))
    + "\u2028\u2029\u202e\u2066\u200e\ufeff\U000e0041"
)
EVENT = f"event: {HOSTILE}\nid: {HOSTILE}\ndata: {HOSTILE}\ndata: \x1b]0;title\x07\n\n".encode()


def at_a_terminal(*arguments: str, stdin: bytes = b"") -> str:
    """Return all that the command line writes to a terminal, errors too."""
    import pty  # not on Windows

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "sse_stream", *arguments]
    with os.fdopen(master, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=slave,
            stderr=slave,
            cwd=Path(__file__).parents[2],
        )
        os.close(slave)
        assert process.stdin is not None
        with process, process.stdin:
            process.stdin.write(stdin)
            process.stdin.close()
            written = b""
            try:
                while piece := screen.read(65536):
                    written += piece
            except OSError:  # how Linux tells that nobody has the other side open
                pass
    return written.decode()


def obeyed(text: str) -> list[str]:
    # A terminal's own line end is CR LF.
    return [
        c
        for c in text.replace("\r\n", "")
        if c != "\t" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")
    ]


@terminal
@pytest.mark.parametrize("options", [[], ["--data-only"], ["--json"]], ids=str)
def test_an_event_at_a_terminal(options: list[str]) -> None:
    shown = at_a_terminal(*options, stdin=EVENT)
    assert "title" in shown
    assert obeyed(shown) == []


def _raw(answer: bytes) -> Handler:
    def handler(connection: Connection) -> None:
        connection.send(answer)
        connection.close()

    return handler


ANSWERS: dict[str, Any] = {
    "body": respond(500, HOSTILE.encode()),
    "media type": _raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: "
        + HOSTILE.translate(dict.fromkeys(range(11, 13))).encode()
        + b"\r\n\r\n"
    ),
    "status line": _raw(f"HTTP/1.1 {HOSTILE}\r\n\r\n".encode()),
    "reason": _raw(f"HTTP/1.1 404 {HOSTILE}\r\n\r\n".encode()),
    "coding": _raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Content-Encoding: gzip, \x1b[31m\x9b\r\n\r\n"
    ),
    "redirect": _raw(b"HTTP/1.1 302 Found\r\nLocation: \x1b]0;x\x07:\x9b31m\r\n\r\n"),
    "event": stream([EVENT]),
}


@terminal
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_at_a_terminal(server: Server, name: str) -> None:
    for options in ([], ["--data-only"]):
        shown = at_a_terminal(server.url(ANSWERS[name]), *options)
        assert shown.strip()
        assert obeyed(shown) == []
