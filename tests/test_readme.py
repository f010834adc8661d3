# SPDX-License-Identifier: MIT
"""README.md, the package's page in the registry too, keeps its word.

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
from sse_stream import (
    TRANSIENT_STATUSES,
    ReconnectionPolicy,
    ServerSentEvent,
    SSEEncoder,
    adapters,
)
from tests import llm

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = [token for token in MarkdownIt().parse(README) if token.type == "fence"]
PYTHON = [(token.map or [0])[0] + 1 for token in BLOCKS if token.info == "python"]
# Where there is no tomllib, pytest needs tomli, too.
tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
POLICY = {
    name: parameter.default
    for name, parameter in inspect.signature(ReconnectionPolicy).parameters.items()
}


class Handler(BaseHTTPRequestHandler):
    """Three events at every path, whatever the method.

    At the paths of LLM services what these answer; JSON lines at /api/chat, JSON at /mcp-in-json.
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
        if self.path == "/mcp-in-json":
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"jsonrpc": "2.0", "id": 1, "result": "one document"}')
            return
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
    values = {**POLICY, "initial": 0, "minimum": 0}  # connect again at once
    monkeypatch.setattr(ReconnectionPolicy.__init__, "__defaults__", tuple(values.values()))
    (tmp_path / "recorded.txt").write_bytes(b"data: recorded\n\n")
    run_as_pasted("\n" * line + code, url)
    assert "print(" not in code or capsys.readouterr().out


def run_as_pasted(code: str, url: str) -> None:
    """Run a block as it is, but for the host, which is a server of ours."""
    exec(
        compile(code.replace("https://example.org", url), "README.md", "exec"),
        {"__name__": "__main__"},
    )


def test_the_page_in_the_registry() -> None:
    """It is README.md, whose promise is the one line that lists show."""
    assert PROJECT["readme"] == "README.md"
    promise = next(
        token.content
        for token in MarkdownIt().parse(README)
        if token.type == "inline" and ":" in token.content
    )
    assert promise.replace("`", "").replace(" in Python", "") == PROJECT["description"]
    assert "`pip install sse-stream`" in README


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


@pytest.mark.parametrize(("path", "shown"), [("/mcp", "a"), ("/mcp-in-json", "one document")])
def test_one_request_two_kinds_of_answer(
    path: str, shown: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [token.content for token in BLOCKS if "/mcp" in token.content]
    run_as_pasted(code.replace("/mcp", path), url)
    assert f"'{shown}'" in capsys.readouterr().out


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
    files = Path(adapters.__file__).parent.glob("[!_]*.py")
    assert shown.keys() == {file.stem for file in files}
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


def test_the_fields_of_the_policy() -> None:
    shown = {field.strip("`"): default.strip("`") for field, default, _ in rows("field")}
    expected = {name: shown_value(value) for name, value in POLICY.items()}
    statuses = shown.pop("statuses")
    expected.pop("statuses")
    assert shown == expected
    assert statuses == runs(sorted(TRANSIENT_STATUSES))
    assert ReconnectionPolicy().statuses == TRANSIENT_STATUSES


def shown_value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def runs(numbers: list[int]) -> str:
    """Write numbers with what lies between 520 and 525 left out."""
    text = ", ".join(map(str, numbers))
    return text.replace("520, 521, 522, 523, 524, 525", "520 to 525")


def test_the_table_of_the_errors() -> None:
    shown = {name.strip("`") for name, *_ in rows("error")}
    assert shown == {
        name
        for name in sse_stream.__all__
        if name.endswith("Error") and issubclass(getattr(sse_stream, name), sse_stream.SSEError)
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
