# SPDX-License-Identifier: MIT
"""The recipes for connections that last, as they stand on their page, against unkind servers.

Seconds of a recipe are replaced by fewer, where a test would have to wait for them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sse_stream
from tests import llm, pages

from .server import (
    EVENT_STREAM,
    FRAMINGS,
    GUARD,
    Connection,
    Handler,
    Request,
    Server,
    becomes_true,
    respond,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def cut(body: bytes) -> Handler:
    """Return a handler that sends these bytes of a stream, and closes inside of it."""

    def handler(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        FRAMINGS["chunked"].send(connection, body)
        connection.close()

    return handler


def kept_open(body: bytes) -> Handler:
    """Return a handler that sends these bytes of a stream, and nothing until the client leaves."""

    def handler(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        FRAMINGS["chunked"].send(connection, body)
        connection.stall()

    return handler


def one_after_the_other(*handlers: Handler) -> Handler:
    left = iter(handlers)
    return lambda connection: next(left, respond(204, headers=[]))(connection)


@pytest.fixture
def run(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Run the recipe that has this text; return what it shows."""

    def run(text: str, **replaced: str) -> str:
        pages.connect_again_at_once(monkeypatch)
        code = pages.code_with(text)
        for old, new in replaced.items():
            line = f"{old} = "
            assert line in code
            start, _, rest = code.partition(line)
            code = start + line + new + rest[rest.index("  #") :]
        pages.run(code, server.origin)
        return capsys.readouterr().out

    return run


def ids(server: Server, path: str = "/feed") -> list[bytes | None]:
    """Return what the requests of a path resumed from."""
    return [one.header("Last-Event-ID") for one in server.requests if one.target == path]


# A fresh token for each connection.


class Tokens:
    """A server that gives out tokens, each of which serves one connection."""

    def __init__(self, server: Server, *parts: bytes) -> None:
        self.given = 0
        self.used = 0
        self.parts = list(parts)
        server.url(self.give, "/token")
        server.url(self.feed, "/feed")

    def give(self, connection: Connection) -> None:
        self.given += 1
        document = json.dumps({"token": str(self.given)}).encode()
        respond(200, document, [("Content-Type", "application/json")])(connection)

    def feed(self, connection: Connection) -> None:
        token = int((connection.request.header("Authorization") or b"")[len("Bearer ") :])
        if token <= self.used or token == 2:  # that one has expired before it was used
            respond(401)(connection)
            return
        self.used = token
        (cut(self.parts.pop(0)) if self.parts else respond(204, headers=[]))(connection)


def test_a_fresh_token_for_each_connection(run: Callable[[str], str], server: Server) -> None:
    tokens = Tokens(server, b"id: 1\ndata: a\n\n", b"id: 2\ndata: b\n\n")
    assert run("https://example.org/token") == "1 a\n2 b\n"
    assert tokens.given == 4
    assert ids(server) == [None, b"1", b"1", b"2"]


def test_tokens_that_are_always_refused(run: Callable[[str], str], server: Server) -> None:
    server.url(respond(200, b'{"token": "x"}'), "/token")
    server.url(respond(401), "/feed")
    assert run("https://example.org/token").startswith("No more events: ")
    assert len(ids(server)) == 9


# Going on after a restart.


def start(server: Server, folder: Path) -> subprocess.Popen[str]:
    code = pages.code_with("signal.SIGTERM").replace("https://example.org", server.origin)
    path = os.pathsep.join([str(Path(sse_stream.__file__).parent.parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_until_stopped(process: subprocess.Popen[str], count: int, how: int) -> tuple[str, str]:
    """Read so many lines of a process, send it a signal, and return what it showed in all."""
    assert process.stdout is not None
    shown = "".join(process.stdout.readline() for _ in range(count))
    process.send_signal(how)
    out, err = process.communicate(timeout=5 * GUARD)
    return shown + out, err


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_going_on_after_a_restart(server: Server, tmp_path: Path) -> None:
    server.url(
        one_after_the_other(
            kept_open(b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"),
            kept_open(b"id: 3\xe2\x80\xa6\ndata: c\n\ndata: d\n\nid: 9\ndata: unfin"),
            cut(b"retry: 1\n\nid: 4\n\n"),
            stream([b"data: e\n\n"]),
        ),
        "/feed",
    )
    process = start(server, tmp_path)
    assert lines_until_stopped(process, 2, signal.SIGTERM) == ("a\nb\n", "")
    assert process.returncode == 0
    assert (tmp_path / "last-event-id").read_text("utf-8") == "2"
    # A crash: it cannot say anything any more.
    process = start(server, tmp_path)
    assert lines_until_stopped(process, 2, signal.SIGKILL)[0] == "c\nd\n"
    assert becomes_true((tmp_path / "last-event-id").exists)
    process = start(server, tmp_path)
    out, err = process.communicate(timeout=5 * GUARD)
    assert (out, err, process.returncode) == ("e\n", "", 0)
    assert ids(server) == [None, b"2", "3…".encode(), b"4", b"4"]
    assert (tmp_path / "last-event-id").read_text("utf-8") == "4"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_a_signal_while_it_waits_to_connect_again(server: Server, tmp_path: Path) -> None:
    server.url(
        one_after_the_other(
            stream([b"id: 1\ndata: a\n\n"]), respond(503, headers=[("Retry-After", "100")])
        ),
        "/feed",
    )
    process = start(server, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "a\n"
    assert becomes_true(lambda: len(server.requests) == 2)
    assert lines_until_stopped(process, 0, signal.SIGTERM) == ("", "")
    assert process.returncode == 0


# A chat, tried again only until its first token.

PARTS = llm.OPENAI.parts
WHOLE = b"".join(PARTS)
STARTED = b"".join(PARTS[:3])
WITH_IDS = STARTED.replace(b"data:", b"id: 7\ndata:")
CHATS = {
    "the whole answer": ([stream(PARTS)], 1, True),
    "busy at first": ([respond(429), respond(503), Connection.reset, stream(PARTS)], 4, True),
    "cut before its first token": ([cut(b": waiting\n\n"), stream(PARTS)], 2, True),
    "cut after it": ([cut(STARTED), stream(PARTS)], 1, False),
    "cut after it, with IDs": ([cut(WITH_IDS), stream(PARTS)], 1, False),
    "ended after it": ([stream([STARTED]), stream(PARTS)], 1, False),
    "ended after it, with IDs": ([stream([WITH_IDS]), stream(PARTS)], 1, False),
    "ended before it": ([stream([]), stream(PARTS)], 1, False),
    "refused": ([respond(400), stream(PARTS)], 1, False),
    "busy for ever": ([respond(503)] * 9, 4, False),
}  # fmt: skip


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_is_never_asked_twice(run: Callable[[str], str], server: Server, name: str) -> None:
    answers, count, is_whole = CHATS[name]
    server.url(one_after_the_other(*answers), "/chat")
    text, _, error = run("**ask)").partition("\nThe answer broke off: ")
    assert (text == llm.TEXT) is is_whole
    assert bool(error) is not is_whole
    assert llm.TEXT.startswith(text)
    assert [(one.method, json.loads(one.body)["model"]) for one in server.requests] == [
        ("POST", "any")
    ] * count


# MCP: ask by POST, resume by GET.


def message(number: int, **fields: Any) -> bytes:
    return f"id: {number}\ndata: {json.dumps({'jsonrpc': '2.0', **fields})}\n\n".encode()


NOTE = message(2, method="notifications/progress", params={})
RESULT = message(3, id=1, result={"tools": []})
PRIMING = b"id: 1\nretry: 1\ndata:\n\n"
CALLS: dict[str, tuple[list[Handler], list[str]]] = {
    "at once": ([stream([RESULT])], ["POST"]),
    "polling": ([stream([PRIMING]), stream([NOTE]), stream([RESULT])], ["POST", "GET 1", "GET 2"]),
    "cut": ([cut(PRIMING + NOTE + b"id: 9\nda"), stream([RESULT])], ["POST", "GET 2"]),
    "busy": (
        [respond(503), cut(PRIMING), respond(503), cut(NOTE), stream([RESULT])],
        ["POST", "POST", "GET 1", "GET 1", "GET 2"],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_made_once_and_resumed(
    run: Callable[[str], str], server: Server, name: str
) -> None:
    answers, requests = CALLS[name]
    server.url(one_after_the_other(*answers), "/rpc")
    assert "'result': {'tools': []}" in run("https://example.org/rpc").splitlines()[-1]
    assert [shown(one) for one in server.requests] == requests
    bodies = [one.body for one in server.requests if one.method == "POST"]
    assert all(json.loads(body)["id"] == 1 for body in bodies)


def shown(request: Request) -> str:
    event_id = request.header("Last-Event-ID")
    return request.method if event_id is None else f"{request.method} {event_id.decode()}"


def test_a_call_that_cannot_be_resumed_is_not_made_again(
    run: Callable[[str], str], server: Server
) -> None:
    note = NOTE.partition(b"\n")[2]
    for answer in (cut(note), stream([note])):
        server.url(answer, "/rpc")
        assert "\nNo answer: " in run("https://example.org/rpc")
    assert [shown(one) for one in server.requests] == ["POST", "POST"]


# A watchdog.


def comments_alone(body: bytes) -> Handler:
    """Return a handler that sends these bytes of a stream, and comments until the client leaves."""

    def handler(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        FRAMINGS["chunked"].send(connection, body)
        while not connection.peer_has_left() and not connection._server.stopping.wait(0.02):
            FRAMINGS["chunked"].send(connection, b": still here\n\n")

    return handler


@pytest.mark.parametrize("recipe", ["def watch(comment)", "asyncio.wait_for(anext(source), LIMIT)"])
def test_a_watchdog(run: Callable[..., str], server: Server, recipe: str) -> None:
    """Whatever is cut too soon, on a slow machine, comes again."""

    def feed(connection: Connection) -> None:
        event_id = connection.request.header("Last-Event-ID")
        if event_id == b"2":
            respond(204, headers=[])(connection)
        elif event_id == b"1":
            stream([b": ping\n\n" * 5 + b"id: 2\ndata: b\n\n"])(connection)
        else:
            comments_alone(b"id: 1\ndata: a\n\n" if connection.number else b"")(connection)

    server.url(feed, "/feed")
    assert run(recipe, LIMIT="0.15") == "1 a\n2 b\n"
    resumed = ids(server)
    assert resumed[:2] == [None, None]
    assert resumed[-2:] == [b"1", b"2"]
    assert all(one.released.wait(GUARD) for one in server.connections[:2])
