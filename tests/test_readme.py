# SPDX-License-Identifier: MIT
"""README and PyPI description keep their word.

Code runs, commands are the ones that CI runs, and what is named exists.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
import urllib3
from markdown_it import MarkdownIt

import sse_stream
from sse_stream import adapters, ndjson, payloads
from sse_stream.decoder import ServerSentEvent
from sse_stream.encoder import SSEEncoder
from sse_stream.reconnect import TRANSIENT_STATUSES, ReconnectionPolicy
from tests import llm

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = [token for token in MarkdownIt().parse(README) if token.type == "fence"]
PYTHON = [(token.map or [0])[0] + 1 for token in BLOCKS if token.info == "python"]
# Where there is no tomllib, pytest needs tomli, too.
tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
DESCRIPTION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["readme"]["text"]


class Handler(BaseHTTPRequestHandler):
    """Three events at every path, whatever the method.

    At the paths of LLM services what these answer; JSON lines at /api/chat.
    """

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/nothing-here":
            self.send_error(404)
            return
        if self.path == "/updates" and self.headers.get("Last-Event-ID") == "3":
            self.send_response(204)  # there is nothing more
            self.end_headers()
            return
        protocol = llm.PROTOCOLS.get(self.path)
        if protocol and llm.refusal(protocol, self.headers.get, body):
            self.send_error(401)
            return
        self.send_response(200)
        lines = self.path == "/api/chat"
        self.send_header("Content-Type", "application/x-ndjson" if lines else "text/event-stream")
        self.end_headers()
        if protocol:
            self.wfile.write(b"".join(protocol.parts))
            return
        if lines:
            self.wfile.write(
                b'{"message": {"content": "Hel"}}\n{"message": {"content": "lo"}, "done": true}\n'
            )
            return
        encoder = SSEEncoder()
        self.wfile.write(encoder.comment("hello"))
        for i, text in enumerate("abc"):
            self.wfile.write(
                encoder.encode(ServerSentEvent(data=f'{{"text": "{text}"}}', id=str(i + 1)))
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
    line: int,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = [token.content for token in BLOCKS if token.map and token.map[0] + 1 == line]
    monkeypatch.chdir(tmp_path)
    defaults: Any = ReconnectionPolicy.__new__.__defaults__
    # Connect again at once.
    monkeypatch.setattr(ReconnectionPolicy.__new__, "__defaults__", (0, *defaults[1:]))
    (tmp_path / "recorded.txt").write_bytes(b"data: recorded\n\n")
    run_as_pasted("\n" * line + code, url)
    assert "print(" not in code or capsys.readouterr().out


def run_as_pasted(code: str, url: str) -> None:
    """Run a block as it is, but for the host, which is a server of ours."""
    exec(
        compile(code.replace("https://example.org", url), "README.md", "exec"),
        {"__name__": "__main__"},
    )


def test_the_description_on_pypi(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its code runs, its commands exist, its promise is the README's.

    And it is short, for every wheel carries it.
    """
    (block,) = [token for token in MarkdownIt().parse(DESCRIPTION) if token.type == "fence"]
    run_as_pasted(block.content, url)
    assert capsys.readouterr().out.count("message {") == 3
    for module in re.findall(r"\.(\w+)", block.content.partition("#")[2].partition("\n")[0]):
        assert importlib.import_module(f"sse_stream.adapters.{module}").__all__, module
    promise, *_ = [
        token.content
        for token in MarkdownIt().parse(README)
        if token.type == "inline" and ":" in token.content
    ]
    assert promise in DESCRIPTION
    assert "`pip install sse-stream`" in README
    assert "python3 -m sse_stream --demo" in README
    assert "python -m sse_stream --demo" in DESCRIPTION
    assert len(DESCRIPTION) < 1200


@pytest.mark.parametrize(
    ("path", "head", "events"),
    [
        ("/events", "200 text/event-stream", 3),
        ("/api/chat", "200 application/x-ndjson", 0),
        ("/nothing-here", "404 text/html;charset=utf-8", 0),
    ],
)
def test_progress(
    path: str, head: str, events: int, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status and type come first, then the chunks.

    Each body, of events or not, is known to have come to its end.
    """
    (code,) = [token.content for token in BLOCKS if "bytes more" in token.content]
    run_as_pasted(code.replace("/events", path), url)
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first == head
    assert re.match(
        rf"TeeOutcome\(state='complete', error=None, bytes=\d+, events={events}, ", last
    )
    shown = [line for line in lines if not line.endswith(" bytes more")]
    assert len(lines) > len(shown) == events


def test_code_comes_early() -> None:
    assert min(PYTHON) < 15


def test_the_first_screen_has_the_two_commands() -> None:
    commands = [
        token for token in BLOCKS if token.info == "console" and (token.map or [99])[0] < 40
    ]
    text = "".join(token.content for token in commands)
    assert "python3 -m sse_stream --demo\n" in text
    assert "pytest" in text


def test_the_commands_of_the_tests_exist() -> None:
    commands = set(re.findall(r"\btests\.(\w+)", README))
    assert len(commands) > 5
    for command in commands:
        assert (Path(__file__).parent / f"{command}.py").exists(), command


def test_what_it_links_to_exists() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    for target in targets:
        root = Path(sse_stream.__file__).parent.parent if target.startswith("sse_stream/") else ROOT
        assert (root / target).exists(), target
    headings = [
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)", README, re.MULTILINE)
    ]
    anchors = re.findall(r"\]\(#([^)]+)\)", README)
    assert anchors
    assert {*anchors} <= {*headings}


def rows(first: str) -> list[list[str]]:
    """Return the cells of the table whose head begins with this cell."""
    (table,) = [part for part in README.split("\n\n") if part.startswith(f"| {first} |")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table.splitlines()[2:]
    ]


def test_the_table_of_the_adapters() -> None:
    shown = {
        module.strip("`").rpartition(".")[2]: (sync, asynchronous)
        for _, sync, asynchronous, module in rows("client")
    }
    assert shown.keys() == {file.stem for file in Path(adapters.__file__).parent.glob("*.py")} - {
        "__init__"
    }
    for name, cells in shown.items():
        public = set(importlib.import_module(f"{adapters.__name__}.{name}").__all__)
        for cell, verbs in zip(cells, (SYNC, {f"a{verb}" for verb in SYNC}), strict=True):
            assert public & verbs == (verbs if cell.startswith("yes") else set()), name
        assert ("perform" in public) == ("`perform`" in cells[0])


SYNC = {"connect", "iter_events", "subscribe"}


def test_the_options_of_the_decoder() -> None:
    parameters = inspect.signature(sse_stream.SSEDecoder).parameters
    shown = {option.strip("`"): default.strip("`") for option, default, _ in rows("option")}
    assert shown == {name: default(parameter.default) for name, parameter in parameters.items()}


def default(value: object) -> str:
    return f"{value >> 20} MiB" if isinstance(value, int) else repr(value).replace("'", '"')


def test_the_numbers_of_the_policy() -> None:
    section = README.partition("## Connections that last")[2].partition("\n## ")[0]
    shown = dict(re.findall(r"`(\w+)` \((\d+)(?: s)?\)", section))
    policy = ReconnectionPolicy()
    assert shown == {name: f"{getattr(policy, name):g}" for name in shown}
    assert shown.keys() == {"initial", "factor", "maximum", "max_attempts", "max_retry_after"}
    assert policy.jitter == 0.5  # "up to half of it"
    retried = next(row[0] for row in rows("what happens") if row[0][0].isdigit())
    assert retried == ", ".join(map(str, sorted(TRANSIENT_STATUSES)))


def test_the_table_of_the_errors() -> None:
    modules = [sse_stream, ndjson, payloads]
    shown = {name.strip("`") for name, *_ in rows("error")}
    assert shown == {
        name
        for module in modules
        for name in module.__all__
        if name.endswith("Error") and issubclass(getattr(module, name), sse_stream.SSEError)
    } - {"SSEError"}


def test_what_it_says_of_the_clients() -> None:
    assert httpx.Client().timeout == httpx.Timeout(5)
    assert not httpx.Client().follow_redirects
    assert aiohttp.client.DEFAULT_TIMEOUT.total == 5 * 60
    assert inspect.signature(urllib3.request).parameters["timeout"].default == 3


def test_the_changelog_names_the_version() -> None:
    heading = re.escape(f"## [{sse_stream.__version__}] - ") + r"20\d\d-\d\d-\d\d$"
    if ".dev" in sse_stream.__version__:
        heading = re.escape("## [Unreleased]") + "$"
    assert re.search(heading, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
