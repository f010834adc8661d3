# SPDX-License-Identifier: MIT
"""The pages that show code, README.md and the recipes, and a server on which to run it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import signal
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import aiohttp
import httpx
import pycurl  # type: ignore[import-untyped]
import requests
import urllib3
from markdown_it import MarkdownIt

from sse_stream import ReconnectionPolicy, adapters

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RECIPES = ROOT / "tests" / "recipes" / "README.md"
PAGES = (README, RECIPES)


class Block(NamedTuple):
    """A block of code.

    page:     the file.
    line:     where its code begins, from 1.
    language: "python" or "console".
    code:     its text.
    """

    page: Path
    line: int
    language: str
    code: str

    @property
    def name(self) -> str:
        """Where it is, for the ids of tests."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def at_its_line(self) -> str:
        """Return the code so far down that tracebacks name the page's lines."""
        return "\n" * (self.line - 1) + self.code


def blocks(page: Path) -> list[Block]:
    """Return all blocks of code of a page."""
    return [
        Block(page, (token.map or [0])[0] + 2, token.info, token.content)
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8"))
        if token.type == "fence"
    ]


BLOCKS = [block for page in PAGES for block in blocks(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def code_with(text: str) -> str:
    """Return the code of the one Python block, of any page, that has this text."""
    (code,) = [block.code for block in PYTHON if text in block.code]
    return code


# Running a block.


def run(code: str, origin: str, page: str = "a block") -> dict[str, Any]:
    """Run a block as it is, but for the host, which is a server of ours; return its names.

    code:   of the block.
    origin: of the server.
    page:   what tracebacks name.
    """
    host = origin.partition("://")[2]
    code = code.replace('HTTPSConnection("example.org"', f'HTTPConnection("{host}"')
    names: dict[str, Any] = {"__name__": "__main__"}
    before = signal.getsignal(signal.SIGTERM)
    try:
        exec(compile(code.replace("https://example.org", origin), page, "exec"), names)
    finally:
        signal.signal(signal.SIGTERM, before)
    return names


def connect_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every policy wait for nothing, unless it says otherwise."""
    parameters = inspect.signature(ReconnectionPolicy).parameters
    values = {name: parameter.default for name, parameter in parameters.items()}
    values |= {"initial": 0, "minimum": 0}
    monkeypatch.setattr(ReconnectionPolicy.__init__, "__defaults__", tuple(values.values()))


class Answer(NamedTuple):
    """What the server says.

    body:         of the response; it ends with the connection.
    status:       of the response.
    content_type: of the response.
    location:     where a redirect leads, "" for none.
    pause:        seconds between two events, a float.
    stays:        whether the server keeps silent after the body, until the client leaves.
    """

    body: bytes
    status: int = 200
    content_type: str = "text/event-stream"
    location: str = ""
    pause: float = 0
    stays: bool = False


class Service:
    """A server in a thread, in the place of https://example.org. A context manager.

    other:    what it answers where `answers` says nothing.
    answers:  what it answers at a path.
    requests: the header fields of all requests.

    A feed that is resumed after the ID "3" is over: it answers 204.
    """

    def __init__(self, other: Answer | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.other = other
        self.requests: list[Any] = []
        self.origin = ""
        service = self

        class Handler(_Handler):
            of = service

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Service:
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    of: Service

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.of.requests.append(self.headers)
        answer = self.of.answers.get(self.path) or self.of.other or Answer(b"", 404)
        if self.headers.get("Last-Event-ID") == "3":
            answer = Answer(b"", 204)  # there is nothing more
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.location:
            self.send_header("Location", answer.location)
        self.end_headers()
        try:
            self._send(answer)
        except OSError:
            pass  # the client has left

    do_POST = do_GET

    def _send(self, answer: Answer) -> None:
        if not answer.pause:
            self.wfile.write(answer.body)
        else:
            for part in answer.body.split(b"\n\n"):
                self.wfile.write(part + b"\n\n")
                time.sleep(answer.pause)
        if answer.stays:
            self.wfile.flush()
            self.connection.recv(1)  # returns when the client leaves

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        pass


def read_with(adapter: str, url: str) -> None:
    """Read all events with a client that nobody told anything."""
    module: Any = importlib.import_module(f"{adapters.__name__}.{adapter}")
    if adapter == "aiohttp":
        asyncio.run(_aread(module, url))
        return
    clients: dict[str, Callable[[], Any]] = {
        "httpx": httpx.Client,
        "requests": requests.Session,
        "urllib3": urllib3.PoolManager,
        "pycurl": pycurl.Curl,
        "urllib": lambda: None,
    }
    client = clients[adapter]()
    with module.connect(client, "GET", url) as stream:
        assert list(stream)


async def _aread(module: Any, url: str) -> None:
    async with aiohttp.ClientSession() as session, module.aconnect(session, "GET", url) as stream:
        assert [event async for event in stream]


@contextmanager
def no_tls() -> Generator[None]:
    """Let all clients share one context for TLS, of which each would take 20 ms to make its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with patch.object(ssl, "create_default_context", lambda *args, **options: context):
        yield
