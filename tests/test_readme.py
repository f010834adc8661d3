# SPDX-License-Identifier: MIT
"""The README keeps its word: its code runs, its commands are the ones that CI runs, and what it names exists."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from markdown_it import MarkdownIt

from sse_stream.reconnect import ReconnectionPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = [token for token in MarkdownIt().parse(README) if token.type == "fence"]
PYTHON = [(token.map or [0])[0] + 1 for token in BLOCKS if token.info == "python"]


class Handler(BaseHTTPRequestHandler):
    """An event stream of three events at every path, whatever the method."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/nothing-here":
            self.send_error(404)
            return
        if self.path == "/updates" and self.headers.get("Last-Event-ID") == "3":
            self.send_response(204)  # there is nothing more
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(
            b': hello\n\nid: 1\ndata: {"text": "a"}\n\nid: 2\ndata: {"text": "b"}\n\nid: 3\ndata: {"text": "c"}\n\n'
        )

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("line", PYTHON, ids=lambda line: f"line {line}")
def test_every_python_block_runs(
    line: int, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run a block as pasted, but for the host, which is a server of ours."""
    (code,) = [token.content for token in BLOCKS if token.map and token.map[0] + 1 == line]
    monkeypatch.chdir(tmp_path)
    defaults: Any = ReconnectionPolicy.__new__.__defaults__
    monkeypatch.setattr(ReconnectionPolicy.__new__, "__defaults__", (0, *defaults[1:]))  # connect again at once
    (tmp_path / "recorded.txt").write_bytes(b"data: recorded\n\n")
    program = compile("\n" * line + code.replace("https://example.org", url), "README.md", "exec")
    exec(program, {"__name__": "__main__"})
    assert "print(" not in code or capsys.readouterr().out


def test_code_comes_early() -> None:
    assert min(PYTHON) < 15


def test_the_first_screen_has_the_two_commands() -> None:
    commands = [token for token in BLOCKS if token.info == "console" and (token.map or [99])[0] < 40]
    text = "".join(token.content for token in commands)
    assert "python3 -m sse_stream --demo\n" in text
    assert "pytest" in text


def test_what_it_links_to_exists() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    for target in targets:
        assert (Path(__file__).parent.parent / target).exists(), target


def test_the_changelog_names_the_version() -> None:
    import sse_stream

    changelog = (Path(__file__).parent.parent / "CHANGELOG.md").read_text()
    released = sse_stream.__version__.partition(".dev")[0] == sse_stream.__version__
    assert (f"## [{sse_stream.__version__}]" if released else "## [Unreleased]") in changelog
