# SPDX-License-Identifier: MIT
"""The command line as a person or a shell runs it: a real process, pipes, terminal and server."""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import json
import os
import pty
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

import sse_stream
from sse_stream.__main__ import _chunks_of, main
from sse_stream.policy import ReconnectionPolicy
from tests import llm, pages
from tests.adapters import server as scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "sse_stream"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(sse_stream.__file__).parent.parent),
    "PYTHONWARNINGS": "error",
}
GUARD = 20  # seconds after which something that should have happened has not


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        **options,
    }
    process: Any = subprocess.Popen([*COMMAND, *arguments], env=ENVIRONMENT, **pipes)
    return process  # type: ignore[no-any-return]


def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    with start(*arguments) as process:
        out, err = process.communicate(stdin, GUARD)
    return process.returncode, out.decode(), err.decode()


def parse(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.split("\n")[:-1]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self.server.requests.append(
            (self.command, self.path, dict(self.headers), self.rfile.read(length))
        )
        status, content_type, body = self.server.answers[self.path.partition("?")[0]]
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if self.path == "/slow":
            for number in range(3):
                assert self.server.go_on.wait(GUARD)
                self.server.go_on.clear()
                self.wfile.write(b"data: %d\n\n" % number)

    do_POST = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.go_on = threading.Event()
        self.answers = {
            "/events": (200, "text/event-stream", b"id: 1\ndata: a\n\n"),
            "/slow": (200, "text/event-stream", b": hello\n"),
            "/broken": (401, "application/json", b'{"error": "bad\x1b[31m key"}'),
            "/html": (200, "text/html", b"data: a\n\n"),
        }

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# Input and output.


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="this system has no such pipes")
def test_standard_input_that_does_not_block() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)  # as some parents leave it
    with start("--data-only", stdin=read_end) as process:
        os.close(read_end)
        assert process.stdout is not None
        for data in (b"a", b"b"):
            threading.Event().wait(0.1)  # there is nothing to be read meanwhile
            os.write(write_end, b"data: %s\n\n" % data)
            assert process.stdout.readline() == data + b"\n"
        os.close(write_end)
        assert process.wait(20) == 0


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="this system has no such pipes")
def test_a_file_that_does_not_block_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)

    def write() -> None:
        for part in (b"data: a\n", b"\n"):
            threading.Event().wait(0.05)
            os.write(write_end, part)
        os.close(write_end)

    with open(read_end) as file:
        monkeypatch.setattr(sys, "stdin", file)
        writer = threading.Thread(target=write)
        writer.start()
        assert main(["--data-only", "-"]) == 0
        writer.join()
    assert capsys.readouterr().out == "a\n"


@pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="this system has no such pipes")
def test_a_file_that_has_nothing_after_all_is_waited_for_again() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.close(write_end)  # so that no wait is long
    reads = iter([None, b"a", b""])

    class File:
        def __init__(self) -> None:
            self.raw = self

        def fileno(self) -> int:
            return read_end

        def read1(self, size: int) -> bytes:
            return b""

        def read(self, size: int) -> bytes | None:
            return next(reads)

    assert [*_chunks_of(File())] == [b"a"]
    os.close(read_end)


def test_standard_input_to_json_lines() -> None:
    code, out, err = run(
        stdin="event: x\nid: 7\nretry: 5\ndata: é\u2028\x85\x7f\x1b\ndata\n\ndata: end".encode()
    )
    assert (code, err) == (0, "")
    assert parse(out) == [
        {"event": "x", "data": "é\u2028\x85\x7f\x1b\n", "id": "7", "retry": 5},
        {"event": "message", "data": "end", "id": "7", "retry": None},
    ]
    assert len(out.splitlines()) == 2  # nothing in a line is taken for its end
    assert "é" in out


def test_events_come_without_delay() -> None:
    with start() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(b"data: %d\n\ndata: half" % number)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["data"].endswith(str(number))
            process.stdin.write(b"\ndata: of %d\n\n" % number)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["data"] == f"half\nof {number}"
        process.stdin.close()
        assert process.wait(GUARD) == 0


def test_a_file_and_the_data_alone(tmp_path: Path) -> None:
    file = tmp_path / "recorded"
    file.write_bytes(b"data: a\ndata: \x1b\n\ndata: b")
    assert run(str(file), "--data-only") == (0, "a\n\x1b\nb\n", "")
    assert run(str(file), "--data-only", "--incomplete", "discard")[1] == "a\n\x1b\n"
    assert run("-", "--data-only", stdin=b"data: c\n\n")[1] == "c\n"


def test_the_options_of_reading() -> None:
    code, out, err = run("--incomplete", "raise", stdin=b"data: a\n\ndata: b")
    assert (code, [event["data"] for event in parse(out)]) == (1, ["a"])
    assert err.count("\n") == 1
    assert err.startswith("sse-stream: the stream ended inside an event")
    code, out, err = run("--max-event-size", "10", stdin=b"data: a\n\ndata: 0123456789\n\n")
    assert (code, len(parse(out))) == (1, 1)
    assert err == "sse-stream: an event has more than 10 bytes; --max-event-size allows more\n"
    assert run("--last-event-id", "6", stdin=b"data: a\n\n")[1].count('"id": "6"') == 1


def on_terminal(*arguments: str, stdin: bytes) -> str:
    """Run with standard output on a terminal, and return what it shows."""
    controller, terminal = pty.openpty()
    with start(*arguments, stdout=terminal) as process:
        os.close(terminal)
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        shown = b""
        with contextlib.suppress(OSError):  # how Linux tells that the other end is closed
            while piece := os.read(controller, 65536):
                shown += piece
        os.close(controller)
        assert process.wait(GUARD) == 0
    return shown.decode().replace("\r\n", "\n")


HOSTILE = (
    "event: \x1b]0;title\x07\nid: \x9b2J\nretry: 5\n"
    "data: \x1b[31mred\u202e\x00é\t\U0001f468\u200d\U0001f680\ndata: b\n\n"
).encode()


def test_a_terminal_gets_a_readable_form_without_control_characters() -> None:
    shown = on_terminal(stdin=b"data: plain\n\n" + HOSTILE)
    assert shown == (
        "plain\n[\\x1b]0;title\\x07, id \\x9b2J, retry 5 ms]\n"
        "\\x1b[31mred\\u202e\\x00é\t\U0001f468\u200d\U0001f680\nb\n"
    )
    assert (
        on_terminal("--data-only", stdin=HOSTILE)
        == "\\x1b[31mred\\u202e\\x00é\t\U0001f468\u200d\U0001f680\nb\n"
    )
    as_json = on_terminal("--json", stdin=HOSTILE)
    assert json.loads(as_json)["event"] == "\x1b]0;title\x07"
    assert as_json.isascii()


# The mark.


@pytest.mark.parametrize(
    ("stdin", "out", "code"),
    [
        (b"data: a\n\ndata: [DONE]\n\ndata: b\n\n", b"a\n", 0),
        (b"data: a\n\ndata: [DONE]", b"a\n", 0),
        (b"data: [DONE]\n\n", b"", 0),
        (b"data: a\n\n", b"a\n", 1),
        (b"data: a\n\n: [DONE]\n\ndata: [DONE] b\n\n", b"a\n[DONE] b\n", 1),
        (b"", b"", 1),
    ],
)
def test_until_a_mark(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    server: Server,
    stdin: bytes,
    out: bytes,
    code: int,
) -> None:
    server.answers["/chat"] = (200, "text/event-stream", stdin)
    for source in ("-", server.url("/chat")):
        standard = Standard(monkeypatch, stdin, False)
        assert main([source, "--data-only", "--until", "[DONE]"]) == code
        assert standard.output.getvalue() == out
        where = "" if source == "-" else f"{source}: "
        told = f"sse-stream: {where}the stream ended before its mark '[DONE]'\n" if code else ""
        assert capsys.readouterr().err == told


def test_a_mark_ends_it_and_the_connection(server: Server) -> None:
    server.answers["/slow"] = (200, "text/event-stream", b"data: a\n\ndata: [DONE]\n\n")
    code, out, err = run(server.url("/slow"), "--until", "[DONE]")  # the server sends no more
    assert (code, len(parse(out)), err) == (0, 1, "")


def test_an_error_in_place_of_the_mark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Standard(monkeypatch, b'{"error": "no key"}\n', False)
    assert main(["--until", "[DONE]"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        'sse-stream: the input had no event, but this: {"error": "no key"}',
        "sse-stream: the stream ended before its mark '[DONE]'",
    ]


# What had no effect.


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        (b'{"error": "\x1b key"}', 'the input had no event, but this: {"error": "\ufffd key"}'),
        (b'{\n  "error": 1\n}\n', 'the input had no event, but this: { "error": 1 }'),
        (b"<html>" + 300 * b"a", f"the input had no event, but this: <html>{194 * 'a'} ..."),
        (b": \xe9\n\n", "the input had no event, but this: : \ufffd"),
        (b"id: 1\n\n", "the input had no event, but this: id: 1"),
        (b": hello\n\nretry: soon\n\n", "the input had no event, but this: retry: soon"),
        (b"\r\n\n", "the input had no event, but this: blank lines"),
        (b"data: a\n\nevent: ping\n\n", "1 line had no effect: event: ping"),
        (b"x: 1\ny: 2\ndata: a\n\n", "2 lines had no effect, first: x: 1"),
        (20_000 * b"x: 1\n" + b"data: a", "20000 lines had no effect, first: x: 1"),
        (b": hello\nid: 1\nretry: 1\n\ndata: a", None),
        (b"", None),
    ],
)  # fmt: skip
def test_what_had_no_effect_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    server: Server,
    stdin: bytes,
    told: str | None,
) -> None:
    file = tmp_path / "recorded"
    file.write_bytes(stdin)
    server.answers["/odd"] = (200, "text/event-stream", stdin)
    for source in ("-", str(file), server.url("/odd")):
        Standard(monkeypatch, stdin, False)
        assert main([source]) == 0
        assert capsys.readouterr().err == (f"sse-stream: {told}\n" if told else "")


def test_what_had_no_effect_is_told_before_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Standard(monkeypatch, b"detail: no key\n", False)
    assert main(["--incomplete", "raise"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "sse-stream: 1 line had no effect: detail: no key"
    assert second.startswith("sse-stream: the stream ended inside an event")


def test_what_had_no_effect_is_told_once_of_many_connections(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    answer: Any = Answers(
        [(200, "text/event-stream", b"odd: 1\n\n"), (200, "text/event-stream", b"odd: 2\n\n")]
    )
    server.answers["/again"] = answer
    wait_for_nothing(monkeypatch)
    Standard(monkeypatch, b"", False)
    assert main([server.url("/again"), "--reconnect"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "sse-stream: 1 line had no effect: odd: 1",
        *(2 * [f"sse-stream: {server.url('/again')}: the stream ended; connecting again in 0.0 s"]),
    ]


def test_what_had_no_effect_is_told_by_a_process() -> None:
    code, out, err = run("--data-only", stdin=b'{\n  "error": "no key"\n}\n')
    assert (code, out) == (0, "")
    assert err == 'sse-stream: the input had no event, but this: { "error": "no key" }\n'


# A URL.


def test_a_url(server: Server) -> None:
    code, out, err = run(server.url("/events"), "--last-event-id", "é")
    assert (code, err) == (0, "")
    assert parse(out) == [{"event": "message", "data": "a", "id": "1", "retry": None}]
    method, _, headers, body = server.requests[0]
    assert (method, body) == ("GET", b"")
    assert headers["Accept"] == "text/event-stream"
    assert headers["Last-Event-Id"].encode("latin-1").decode() == "é"


def test_a_request(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(b'{"stream": true}')
    url = server.url("/events")
    assert (
        run(url, "-H", "Authorization: Bearer é", "-H", "accept:*/*", "--body", f"@{file}")[0] == 0
    )
    assert (
        run(
            url, "--body", "@-", "-X", "PUT", "-H", "content-type: text/plain", stdin=b"from stdin"
        )[0]
        == 0
    )
    assert run(url, "--body", "text", "--timeout", "5", "-H", "X-Own: 1", "-H", "x-own: 2")[0] == 0
    (method, _, headers, body), (method2, _, headers2, body2), (_, _, headers3, body3) = (
        server.requests
    )
    assert (method, body, headers["Content-Type"]) == (
        "POST",
        b'{"stream": true}',
        "application/json",
    )
    assert headers["Authorization"].encode("latin-1").decode() == "Bearer é"
    assert headers["Accept"] == "*/*"
    assert (method2, body2, headers2["Content-Type"]) == ("PUT", b"from stdin", "text/plain")
    assert (body3, headers3["X-Own"]) == (b"text", "1, 2")


def test_a_url_is_read_without_delay(server: Server) -> None:
    with start(server.url("/slow")) as process:
        assert process.stdout is not None
        for number in range(3):
            server.go_on.set()
            assert json.loads(process.stdout.readline())["data"] == str(number)
        assert process.wait(GUARD) == 0


def test_responses_that_are_no_stream(server: Server) -> None:
    code, out, err = run(server.url("/broken?key=secret"))
    assert (code, out) == (1, "")
    assert err == (
        f"sse-stream: {server.url('/broken')} answered with status 401 Unauthorized: "
        '{"error": "bad\ufffd[31m key"}\n'
    )
    code, out, err = run(server.url("/html"))
    assert (code, out) == (1, "")
    assert "text/html" in err
    assert err.count("\n") == 1
    assert len(parse(run(server.url("/html"), "--no-check")[1])) == 1


def test_a_media_type_has_its_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    for content_type, shown in (
        ("text/html", "text/html"),
        ("", "something without a Content-Type"),
    ):
        server.answers["/page"] = (200, content_type, b"<html>\n")
        Standard(monkeypatch, b"", False)
        assert main([server.url("/page?secret")]) == 1
        assert capsys.readouterr().err == (
            f"sse-stream: {server.url('/page')} sent no event stream, but {shown} "
            "(--no-check reads it all the same): <html>\n"
        )


# What comes between the command and the server.


def raw(*parts: bytes) -> scripted.Handler:
    def handler(connection: scripted.Connection) -> None:
        for part in parts:
            connection.send(part)
        connection.close()

    return handler


def test_a_redirect_with_a_body_without_end(capfd: pytest.CaptureFixture[str]) -> None:
    """urllib reads it to the end, and holds all of it, before it goes on."""
    sent: list[int] = []

    def handler(connection: scripted.Connection) -> None:
        connection.send(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode())
        while len(sent) < 1000:
            connection.send(b"x" * 65536)
            sent.append(1)
        connection.close()

    with scripted.Server() as server:
        target = server.url(scripted.stream([b"data: x\n\n"]))
        assert main([server.url(handler), "--data-only"]) == 0
    assert capfd.readouterr() == ("x\n", "")
    assert len(sent) < 500


def test_a_redirect_to_a_port_that_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    with scripted.Server() as server:
        url = server.url(redirect(302, f"http://127.0.0.1:{10**20}/"))
        assert main([url]) == 1
    assert capfd.readouterr() == ("", f"sse-stream: {url}: Port out of range 0-65535\n")


def redirect(status: int, location: str) -> scripted.Handler:
    return scripted.respond(status, b"", [("Location", location)])


def to_itself(connection: scripted.Connection) -> None:
    path = connection.request.target.partition("?")[0]
    redirect(302, f"{path}?secret")(connection)


def silent_after_an_event(connection: scripted.Connection) -> None:
    connection.send(HEAD + b"\r\ndata: a\n\n")
    connection.stall()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
BETWEEN: dict[str, tuple[scripted.Handler, list[str], str]] = {
    "closed early": (
        scripted.close_before_headers, [],
        "{url}: the server closed the connection without an answer",
    ),
    "reset early": (scripted.reset_before_headers, [], "{url}: the connection was reset"),
    "reset": (
        scripted.FAULTS["reset"].handler(lock_step=False), [], "{url}: the connection was reset"
    ),
    "bytes missing": (
        raw(HEAD, b"Content-Length: 15\r\n\r\ndata: a\n\n"), [],
        "{url}: the connection ended before the answer did, with 6 bytes missing",
    ),
    "a chunk cut off": (
        raw(HEAD, b"Transfer-Encoding: chunked\r\n\r\n20\r\ndata: a\n\n"), [],
        "{url}: the connection ended before the answer did",
    ),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), [], "{url}: this is no answer of an HTTP server"),
    "too many headers": (
        raw(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 200, b"\r\n"), [],
        "{url}: the answer is no HTTP that can be read",
    ),
    "silence": (
        scripted.Connection.stall, ["--timeout", "0.2"], "{url}: nothing came for 0.2 s"
    ),
    "silence after events": (
        silent_after_an_event, ["--timeout", "0.2"],
        "{url}: nothing came for 0.2 s",
    ),
    "a circle": (
        to_itself, [],
        "{url} answered with status 302 Found: it redirects in a circle or too often, or where "
        "nobody follows: {path}",
    ),
    "to a file": (
        redirect(302, "file:///etc/passwd"), [],
        "{url} answered with status 302 Found: it redirects in a circle or too often, or where "
        "nobody follows: file:///etc/passwd",
    ),
    "a POST": (
        redirect(307, "https://user:secret@example.org/v2?secret"), ["--body", "{}"],
        "{url} answered with status 307 Temporary Redirect: POST is not sent on; if you trust it, "
        "ask https://example.org/v2",
    ),
    "nowhere": (scripted.respond(302, b"moved"), [], "{url} answered with status 302 Found"),
    "compressed": (
        raw(HEAD, b"Content-Encoding: gzip\r\n\r\n"), [], "{url} sent Content-Encoding 'gzip'"
    ),
    "inside an event": (
        raw(HEAD, b"\r\ndata: a"), ["--incomplete", "raise"],
        "{url}: the stream ended inside an event, before its blank line",
    ),
    "a large event": (
        raw(HEAD, b"\r\ndata: aaaaaaaaaaa\n\n"), ["--max-event-size", "9"],
        "{url}: an event has more than 9 bytes; --max-event-size allows more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BETWEEN)
def test_what_comes_between(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    handler, arguments, told = BETWEEN[name]
    with scripted.Server() as server:
        url = server.url(handler)
        Standard(monkeypatch, b"", False)
        assert main([f"{url}?key=secret", *arguments]) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        "sse-stream: " + told.format(url=url, path=url.partition(server.origin)[2])
    )
    assert err.count("\n") == 1
    assert not re.search(r"secret|[a-z]Error|[A-Z]\w+\(", err)


def test_a_port_where_nobody_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Standard(monkeypatch, b"", False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        assert main([f"http://{host}/a?secret"]) == 1
    assert capsys.readouterr().err == (
        f"sse-stream: http://{host}/a: the connection was refused: nothing listens at {host}\n"
    )


def test_a_host_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find)
    Standard(monkeypatch, b"", False)
    assert main(["http://nobody.example:81/a?secret"]) == 1
    assert capsys.readouterr().err == (
        "sse-stream: http://nobody.example:81/a: the host nobody.example:81 cannot be found\n"
    )


def test_tls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    Standard(monkeypatch, b"", False)
    with scripted.Server(context) as server:
        url = server.url(scripted.stream([b"data: a\n\n"]))
        assert main([url]) == 1
        assert capsys.readouterr().err.startswith(
            f"sse-stream: {url}: the server's certificate is refused: "
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert main([url]) == 0


def test_tls_with_a_server_of_plain_http(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    Standard(monkeypatch, b"", False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        assert main([url, "--timeout", str(GUARD)]) == 1
        thread.join()
    assert capsys.readouterr().err.startswith(
        f"sse-stream: {url}: TLS failed, perhaps this server speaks plain http: "
    )


def test_errors_are_one_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for arguments, words in (
            ([f"http://127.0.0.1:{port}/?key=secret"], "refused"),
            (["no such file"], "no such file: No such file or directory"),
            (["."], "directory"),
            (["http://127.0.0.1/", "--body", "@no such file"], "no such file: No such file"),
        ):
            code, out, err = run(*arguments)
            assert (code, out, err.count("\n")) == (1, "", 1), err
            assert err.startswith("sse-stream: ")
            assert words in err
            assert "secret" not in err


WRONG = [
    (["--incomplete", "flush"], "invalid choice"),
    (["file", "-H", "a: b"], "need a URL that begins with http:// or https://"),
    (["file", "--no-check"], "need a URL"),
    (["file", "--reconnect"], "need a URL"),
    (["--body", ""], "need a URL"),
    (["--data-only", "--json"], "not allowed with"),
    (["--timeout", "0"], "not a number of seconds above 0: '0'"),
    (["--timeout", "1e20"], "seconds above 0"),
    (["--timeout", "soon"], "seconds above 0"),
    (["--max-event-size", "0"], "not a number of bytes above 0: '0'"),
    (["--max-event-size", "1e6"], "bytes above 0"),
    (["--unknown"], "unrecognized"),
    (["--last-event-id", " 7"], "this ID cannot be sent"),
    (["-H", "Authorization secret"], "a header is given as 'NAME: VALUE'"),
    (["-H", ": secret"], "NAME: VALUE"),
    (["-H", "X Y: secret"], "NAME: VALUE"),
    (["-H", "a: secret\nc: d"], "no line ends"),
    # curl's words.
    (["http://h/", "--data", "{}"], "curl's word for the body of a request, which is --body BODY"),
    (["http://h/", "-d", "{}"], "--data-only writes the data of the events alone"),
    (["http://h/", "--data"], "--body BODY"),
    (["http://h/", "--data-raw", "{}"], "--body BODY"),
    # What is no URL, and what it may have been meant for.
    (["example.org/v1/chat?key=secret"], "if it is meant to be a URL, write https://example.org/v1"),
    (["example.org"], "there is no such file; if it is meant to be a URL, write https://example.org"),
    (["//example.org/a"], "write https://example.org/a"),
    (["user:secret@example.org/a"], "write https://example.org/a"),
    (["localhost:8000"], "write http://localhost:8000"),
    (["127.0.0.1:8000/events"], "write http://127.0.0.1:8000/events"),
    (["[::1]:8000/events"], "write https://[::1]:8000/events"),
    (["http:/example.org/a"], "begins with http:// or https://; write http://example.org/a"),
    (["HTTPS:example.org/a"], "write HTTPS://example.org/a"),
    (["https//example.org/a?secret"], "write https://example.org/a"),
    (["http:\\\\example.org\\a"], "write http://example.org/a"),
    (["'https://example.org/a?secret'"], "quotes or blanks round it that belong to no URL: https"),
    (["\u201chttps://example.org/a\u201d"], "belong to no URL: https://example.org/a"),
    ([" https://example.org/a"], "belong to no URL: https://example.org/a"),
    (["https://example.org/a\u201d"], "quote or a blank at its end: https://example.org/a"),
    (["wss://example.org/a"], "only http:// and https:// are read, not wss://"),
    (["http://"], "names no host: http://"),
    (["http:///a?secret"], "names no host: http:///a"),
    (["http://exa mple/?secret"], "a URL has no blanks"),
    (["http://example.org/caf\u00e9"], "nothing beyond ASCII behind its host"),
    (["http://127.0.0.1:port/?secret"], "not a URL: http://127.0.0.1:port/"),
    (["http://[::1/"], "not a URL: http://[::1/"),
    (["http://user:secret@127.0.0.1/"], "write them as -H 'Authorization: Basic ...'"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=str)
def test_a_wrong_command_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    Standard(monkeypatch, b"", False)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("sse-stream: ")
    assert words in err
    assert "secret" not in err


def test_a_wrong_command_line_of_a_process() -> None:
    code, out, err = run("example.org/v1/chat", "--data-only")
    assert (code, out) == (2, "")
    assert err == (
        "sse-stream: there is no such file; if it is meant to be a URL, "
        "write https://example.org/v1/chat\n"
    )


def test_a_file_whose_name_looks_like_a_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("example.org").write_bytes(b"data: a\n\n")
    standard = Standard(monkeypatch, b"", False)
    assert main(["example.org", "--data-only"]) == 0
    assert standard.output.getvalue() == b"a\n"
    assert main(["events"]) == 1
    assert capsys.readouterr().err == "sse-stream: events: No such file or directory\n"


def test_closed_standard_streams() -> None:
    for redirection, code in (("<&-", 2), (">&-", 1), ("2>&- nofile", 1)):
        command = f"exec {sys.executable} -m sse_stream {redirection}"
        ran = subprocess.run(
            ["sh", "-c", command],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GUARD,
        )
        assert (ran.returncode, ran.stdout) == (code, b"")
        assert b"Traceback" not in ran.stderr


# The end.


def test_a_closed_pipe_ends_it_quietly() -> None:
    with start() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"data: a\n\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"data: b\n\n" * 10_000)
            process.stdin.close()
        assert (process.wait(GUARD), process.stderr.read()) == (0, b"")


@pytest.mark.parametrize(("number", "code"), [(errno.EINVAL, 0), (errno.ENOSPC, 1)])
def test_a_closed_pipe_on_windows(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    class Pipe(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(number, "it says")

    monkeypatch.setattr("sse_stream.__main__._CLOSED_PIPE", errno.EINVAL)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"data: a\n\n"), "utf-8"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Pipe(), "utf-8"))
    assert main([]) == code
    assert ("it says" in capfd.readouterr().err) == bool(code)


def test_a_connection_that_ends_like_a_pipe_is_no_quiet_end(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A read of TLS may have to write, and then nobody is there."""

    def chunks() -> Iterator[bytes]:
        yield b"data: a\n\nfoo\n"
        raise BrokenPipeError

    opening = sse_stream.streams.Opening(lambda: sse_stream.EventStream(chunks()))
    monkeypatch.setattr("sse_stream.__main__.connect", lambda *_, **__: opening)
    assert main(["http://127.0.0.1/x"]) == 1
    out, err = capfd.readouterr()
    assert "data" in out
    assert err == "sse-stream: http://127.0.0.1/x: the connection was reset\n"


@pytest.fixture
def heeding_ctrl_c() -> Iterator[None]:
    """Heed SIGINT, which a background job of a shell, and what it starts, ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding_ctrl_c")
def test_ctrl_c_ends_it_quietly() -> None:
    with start() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"data: a\n\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert (process.wait(GUARD), process.stderr.read()) == (130, b"")


# The recipe.


def chat(
    handler: scripted.Handler | None, key: str = "KEY", protocol: llm.Protocol = llm.OPENAI
) -> tuple[int, str, str]:
    """Ask a service of chat as the recipes do."""
    asked = f"https://example.org{protocol.path}"
    (recipe,) = [block.code for block in pages.BLOCKS if f"sse_stream {asked} -H" in block.code]
    with scripted.Server() as server:
        url = server.url(llm.speak(protocol, handler))
        recipe = recipe.replace(asked, f"'{url}'")
        ran = subprocess.run(
            ["bash", "-c", recipe.replace("python3", f"'{sys.executable}'")],
            env={**ENVIRONMENT, "KEY": key},
            capture_output=True,
            timeout=GUARD,
            check=False,
        )
    return ran.returncode, ran.stdout.decode(), ran.stderr.decode()


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("bash")), reason="jq is needed")
def test_a_chat_through_jq() -> None:
    assert chat(None) == (0, llm.TEXT, "")
    code, out, err = chat(None, key="wrong")
    assert (code, out) == (0, "")  # of `echo`
    assert " answered with status 401 " in err
    assert err.endswith("The answer is not whole.\n")
    parts = llm.OPENAI.parts
    for cut, told in (
        ([*parts[:3]], "the stream ended before its mark '[DONE]'"),
        ([*parts[:3], b'data: {"error": {"message": "overloaded"}}\n\n'], "overloaded"),
        ([b'data: {"choices": []}\n\n', b'data: {"usage": 1}\n\n', *parts], ""),
    ):
        code, out, err = chat(scripted.stream(cut))
        assert out == llm.TEXT if not told else llm.TEXT.startswith(out)
        assert told in err
        assert err.endswith("The answer is not whole.\n") if told else not err


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("bash")), reason="jq is needed")
def test_a_chat_of_anthropic_through_jq() -> None:
    assert chat(None, protocol=llm.ANTHROPIC) == (0, llm.TEXT, "")
    parts = llm.ANTHROPIC.parts
    error = b'event: error\ndata: {"type": "error", "error": {"message": "overloaded"}}\n\n'
    for sent, told in (
        ([*parts[:4]], "it broke off"),
        ([*parts[:4], error], "overloaded"),
        ([*parts, b"data: [DONE]\n\n"], ""),  # as some gateways do
    ):
        code, out, err = chat(scripted.stream(sent), protocol=llm.ANTHROPIC)
        assert code == 0  # of `echo`
        assert out == llm.TEXT if not told else llm.TEXT.startswith(out)
        assert told in err
        assert err.endswith("The answer is not whole.\n") if told else not err


# The demo and the help.


def test_the_demo() -> None:
    code, out, err = run("--demo")
    assert (code, err) == (0, "")
    assert "Bytes in, events out: naïve café, 日本語, 🚀 in two data lines." in out
    assert "6 events" in out


def test_the_demo_fails_if_an_event_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sse_stream.__main__.EVENT_COUNT", 7)
    monkeypatch.delattr("socket.getfqdn")  # it may take seconds, and the demo needs no name
    for stdout in (io.StringIO(), io.TextIOWrapper(io.BytesIO(), "ascii")):
        with contextlib.redirect_stdout(stdout):
            assert main(["--demo"]) == 1


def test_help_and_version() -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "examples:" in out
    assert max(map(len, out.splitlines())) < 130
    assert run("--version")[1] == f"sse_stream {sse_stream.__version__}\n"


# The same in this process, where coverage sees it.


class Standard:
    """Standard input and output of a pipe, or of a terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stdin: bytes, terminal: bool) -> None:
        self.output = io.BytesIO()
        for name, buffer in (("stdin", io.BytesIO(stdin)), ("stdout", self.output)):
            file = io.TextIOWrapper(buffer, "utf-8")
            file.isatty = lambda: terminal  # type: ignore[method-assign]
            monkeypatch.setattr(sys, name, file)


def wait_for_nothing(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Let the policies without options connect again at once."""
    parameters = inspect.signature(ReconnectionPolicy).parameters
    values = {name: parameter.default for name, parameter in parameters.items()}
    defaults = tuple({**values, "initial": 0, "minimum": 0, **fields}.values())
    monkeypatch.setattr(ReconnectionPolicy.__init__, "__defaults__", defaults)


class Answers:
    """One answer after the other, and then 204."""

    def __init__(self, answers: list[tuple[int, str, bytes]]) -> None:
        self.answers = iter(answers)

    def __iter__(self) -> Iterator[Any]:
        return iter(next(self.answers, (204, "text/plain", b"")))


@pytest.mark.parametrize(
    ("arguments", "terminal", "expected"),
    [
        ([], False, '{"event": "x", "data": "a", "id": "7", "retry": 5}\n'
                    '{"event": "message", "data": "\\u001b", "id": "7", "retry": null}\n'),
        (["-"], True, "[x, id 7, retry 5 ms]\na\n[id 7]\n\\x1b\n"),
        (["-", "--data-only"], True, "a\n\\x1b\n"),
        (["--data-only"], False, "a\n\x1b\n"),
    ],
)  # fmt: skip
def test_in_process(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], terminal: bool, expected: str
) -> None:
    standard = Standard(
        monkeypatch, b"event: x\nid: 7\nretry: 5\ndata: a\n\ndata: \x1b\n\n", terminal
    )
    assert main(arguments) == 0
    assert standard.output.getvalue().decode() == expected


def test_an_event_without_an_id_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    standard = Standard(monkeypatch, b"event: x\ndata: a\n\n", True)
    assert main(["-"]) == 0
    assert standard.output.getvalue() == b"[x]\na\n"


def test_requests_in_process(
    monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"{}")
    url = server.url("/events")
    for body in ("@-", f"@{file}", "text"):
        standard = Standard(monkeypatch, b"in", False)
        assert main([url, "--body", body, "-H", "A: b"]) == 0
        assert len(parse(standard.output.getvalue().decode())) == 1
    Standard(monkeypatch, b"", False)
    assert main([url, "-H", "Content-Type: a/b", "--body", ""]) == 0
    assert [request[3] for request in server.requests] == [b"in", b"{}", b"text", b""]


@pytest.mark.parametrize(
    ("options", "expected"), [([], "a\nb\n"), (["--incomplete", "dispatch"], "a\ncut off\nb\n")]
)
def test_reconnect_in_process(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    server: Server,
    options: list[str],
    expected: str,
) -> None:
    answer: Any = Answers(
        [
            (200, "text/event-stream", b"id: 1\ndata: a\n\ndata: cut off"),
            (503, "text/plain", b"later"),
            (200, "text/event-stream", b"id: 2\ndata: b\n\n"),
        ]
    )
    wait_for_nothing(monkeypatch)
    server.answers["/again"] = answer
    standard = Standard(monkeypatch, b"", False)
    assert (
        main([server.url("/again"), "--reconnect", "--data-only", "--last-event-id", "0", *options])
        == 0
    )
    assert standard.output.getvalue().decode() == expected
    assert [request[2].get("Last-Event-Id") for request in server.requests] == ["0", "1", "1", "2"]
    first, second, third = capsys.readouterr().err.splitlines()
    lost = f"sse-stream: {server.url('/again')}: the stream ended; connecting again in 0.0 s"
    assert first == third == lost
    assert second.startswith("sse-stream: ")
    assert " 503 " in second
    assert second.endswith("; connecting again in 0.0 s")


def test_closed_standard_streams_in_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["-"]) == 1
    monkeypatch.undo()
    assert capsys.readouterr().err == "sse-stream: standard output: it is closed\n"
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["http://127.0.0.1/", "--body", "@-"]) == 1
    monkeypatch.undo()
    assert capsys.readouterr().err == "sse-stream: standard input: it is closed\n"
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["no such file"]) == 1
    monkeypatch.undo()
    Standard(monkeypatch, b"", True)
    with pytest.raises(SystemExit):
        main([])
    assert "nothing to read" in capsys.readouterr().err


CUT = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "answers", "asked", "expected"),
    [
        # A chat that was cut is not asked, and paid for, twice.
        ("{}", [CUT + b"data: a\n\n"], 1, (1, "a\n", "bytes missing")),
        ("{}", [WHOLE + b"data: a\n\n"], 1, (0, "a\n", "")),
        # Before its first event, or with an ID to resume from, it is.
        ("{}", [BUSY, CUT, WHOLE + b"data: a\n\n"], 3, (0, "a\n", "connecting again")),
        ("{}", [CUT + b"id: 1\ndata: a\n\n", WHOLE + b"data: b\n\n"], 2, (0, "a\nb\n", "again")),
        # A feed is asked again each time, until 204.
        (None, [CUT + b"data: a\n\n", WHOLE + b"data: b\n\n"], 3, (0, "a\nb\n", "again")),
    ],
)  # fmt: skip
def test_what_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: str | None,
    answers: list[bytes],
    asked: int,
    expected: tuple[int, str, str],
) -> None:
    requests: list[scripted.Request] = []

    def answer(connection: scripted.Connection) -> None:
        requests.append(connection.request)
        number = len(requests) - 1
        connection.send(answers[number] if number < len(answers) else b"HTTP/1.1 204 No\r\n\r\n")
        connection.close()

    code, out, told = expected
    wait_for_nothing(monkeypatch)
    with scripted.Server() as server:
        url = server.url(answer)
        standard = Standard(monkeypatch, b"", False)
        arguments = [url, "--reconnect", "--data-only", *(["--body", body] if body else [])]
        assert main(arguments) == code
    assert standard.output.getvalue().decode() == out
    assert [(request.method, request.body) for request in requests] == asked * [
        ("POST" if body else "GET", (body or "").encode())
    ]
    err = capsys.readouterr().err
    assert told in err
    assert bool(told) == bool(err)
    assert not re.search(r"[a-z]Error", err)


def test_a_chat_that_is_cut_is_asked_once_by_a_process() -> None:
    with scripted.Server() as server:
        count = 0

        def cut(connection: scripted.Connection) -> None:
            nonlocal count
            count += 1
            connection.send(CUT + b"data: a\n\n")
            connection.close()

        url = server.url(cut)
        code, out, err = run(url, "--reconnect", "--body", "{}", "--data-only", "--until", "[DONE]")
    assert (code, out, count) == (1, "a\n", 1)
    assert err == (
        f"sse-stream: {url}: the connection ended before the answer did, with 990 bytes missing\n"
    )


def test_giving_up_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for_nothing(monkeypatch, max_attempts=1)
    Standard(monkeypatch, b"", False)
    with scripted.Server() as server:
        url = server.url(raw(WHOLE))
        assert main([f"{url}?secret", "--reconnect"]) == 1
    lost, given_up = capsys.readouterr().err.splitlines()
    assert lost == f"sse-stream: {url}: the stream ended; connecting again in 0.0 s"
    assert given_up == (
        f"sse-stream: {url}: gave up at a clean end, after 1 further connections in a row"
    )


def test_reading_goes_on_when_nobody_reads_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_nothing(monkeypatch, max_attempts=2)
    read_end, write_end = os.pipe()
    os.close(read_end)
    with scripted.Server() as server, open(write_end, "w") as unread:
        monkeypatch.setattr(sys, "stderr", unread)
        assert main([server.url(raw(WHOLE)), "--reconnect"]) == 1  # it gave up
        with contextlib.suppress(BrokenPipeError):
            unread.close()


def test_an_interrupt_in_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sse_stream.__main__._write", interrupt)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"data: a\n\n"), "utf-8"))
    assert main([]) == 130
    assert capfd.readouterr().err == ""


def test_a_reader_of_the_output_that_leaves(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"data: a\n\n"), "utf-8"))
    codes = list[int]()
    with contextlib.suppress(BrokenPipeError), open(write_end, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        codes.append(main([]))
    assert codes == [0]
    assert capfd.readouterr().err == ""
