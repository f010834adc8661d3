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
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sse_stream
from sse_stream.__main__ import main
from sse_stream.policy import ReconnectionPolicy

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
    assert run(str(file), "--data") == (0, "a\n\x1b\nb\n", "")
    assert run(str(file), "--data", "--incomplete", "discard")[1] == "a\n\x1b\n"
    assert run("-", "--data", stdin=b"data: c\n\n")[1] == "c\n"


def test_the_options_of_reading() -> None:
    code, out, err = run("--incomplete", "raise", stdin=b"data: a\n\ndata: b")
    assert (code, [event["data"] for event in parse(out)]) == (1, ["a"])
    assert err.count("\n") == 1
    assert err.startswith("sse-stream: the stream ended inside an event")
    code, out, err = run("--max-event-size", "10", stdin=b"data: a\n\ndata: 0123456789\n\n")
    assert (code, len(parse(out))) == (1, 1)
    assert "max_event_size=10" in err
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
        on_terminal("--data", stdin=HOSTILE)
        == "\\x1b[31mred\\u202e\\x00é\t\U0001f468\u200d\U0001f680\nb\n"
    )
    as_json = on_terminal("--json", stdin=HOSTILE)
    assert json.loads(as_json)["event"] == "\x1b]0;title\x07"
    assert as_json.isascii()


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
        *(2 * ["sse-stream: the stream ended; connecting again in 0.0 s"]),
    ]


def test_what_had_no_effect_is_told_by_a_process() -> None:
    code, out, err = run("--data", stdin=b'{\n  "error": "no key"\n}\n')
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


def test_errors_are_one_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for arguments, words in (
            ([f"http://127.0.0.1:{port}/"], "refused"),
            (["no such file"], "no such file"),
            (["http://exa mple/"], "URL"),
            (["http://user:secret@127.0.0.1/"], "Authorization"),
            (["http://127.0.0.1/a b?key=secret"], "URL"),
            (["http://127.0.0.1:secret/"], "URL"),
            (["http://127.0.0.1/", "--last-event-id", " 7"], "cannot be sent"),
            (["http://127.0.0.1/", "-H", "no colon"], "NAME: VALUE"),
            (["http://127.0.0.1/", "-H", "a: b\nc: d"], "header"),
            (["--max-event-size", "0"], "max_event_size"),
            (["http://127.0.0.1/", "--body", "@no such file"], "no such file"),
        ):
            code, out, err = run(*arguments)
            assert (code, out, err.count("\n")) == (1, "", 1), err
            assert err.startswith("sse-stream: ")
            assert words in err
            assert "secret" not in err or ":secret" in arguments[0]


def test_a_wrong_command_line() -> None:
    for arguments, words in (
        (["--incomplete", "flush"], "invalid choice"),
        (["file", "-H", "a: b"], "need a URL"),
        (["--data", "--json"], "not allowed with"),
        (["http://127.0.0.1/", "--timeout", "0"], "seconds above 0"),
        (["http://127.0.0.1/", "--timeout", "1e20"], "seconds above 0"),
        (["http://127.0.0.1/", "--timeout", "soon"], "seconds above 0"),
        (["--unknown"], "unrecognized"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert words in err


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


def wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the policies without options connect again at once."""
    parameters = inspect.signature(ReconnectionPolicy).parameters
    values = {name: parameter.default for name, parameter in parameters.items()}
    defaults = tuple({**values, "initial": 0, "minimum": 0}.values())
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
        (["-", "--data"], True, "a\n\\x1b\n"),
        (["--data"], False, "a\n\x1b\n"),
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
        main([server.url("/again"), "--reconnect", "--data", "--last-event-id", "0", *options]) == 0
    )
    assert standard.output.getvalue().decode() == expected
    assert [request[2].get("Last-Event-Id") for request in server.requests] == ["0", "1", "1", "2"]
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == third == "sse-stream: the stream ended; connecting again in 0.0 s"
    assert second.startswith("sse-stream: ")
    assert " 503 " in second
    assert second.endswith("; connecting again in 0.0 s")


def test_faults_in_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["no such file"]) == 1
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert main([f"http://127.0.0.1:{unused.getsockname()[1]}/"]) == 1
    for arguments in (
        ["http://127.0.0.1/", "-H", "x"],
        ["http://127.0.0.1:port/"],
        ["http://user:secret@127.0.0.1/"],
        ["http://127.0.0.1/", "--last-event-id", "7\n", "--timeout", "5"],
    ):
        assert main(arguments) == 1
    for wrong in (
        ["file", "--no-check"],
        ["file", "--reconnect"],
        ["--timeout", "0"],
        ["--timeout", "soon"],
    ):
        with pytest.raises(SystemExit):
            main(wrong)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["no such file"]) == 1
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["no such file"]) == 1
    monkeypatch.undo()
    Standard(monkeypatch, b"", True)
    with pytest.raises(SystemExit):
        main([])
    assert "nothing to read" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 0)])
def test_interrupts_in_process(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    def interrupt(*args: object) -> None:
        raise error

    monkeypatch.setattr("sse_stream.__main__._write", interrupt)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"data: a\n\n"), "utf-8"))
    with open(os.devnull, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main([]) == code
    assert capfd.readouterr().err == ""
