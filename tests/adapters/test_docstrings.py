# SPDX-License-Identifier: MIT
"""The examples in the adapters' docstrings, and in the modules that show `connect`, as they stand.

Each runs against the scripted server, in the place of its URL, with a client of the kind it takes.
"""

from __future__ import annotations

import ast
import asyncio
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pycurl  # type: ignore[import-untyped]
import pytest
import requests
import urllib3

from .server import EVENT_STREAM, Connection, Server, respond, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS: dict[str, tuple[Callable[[], Any] | None, Callable[[], Any] | None]] = {
    "httpx": (httpx.Client, httpx.AsyncClient),
    "aiohttp": (None, aiohttp.ClientSession),
    "requests": (requests.Session, None),
    "pycurl": (pycurl.Curl, pycurl.Curl),
    "urllib3": (urllib3.PoolManager, None),
    "urllib": (lambda: None, None),
}
URL = "https://example.org/events"


def examples(module: str) -> Iterator[tuple[str, str]]:
    """Yield each indented block of code in the docstrings of a module, with whose it is."""
    tree = ast.parse(Path(import_module(module).__file__ or "").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            for block in re.findall(r"(?m)(?:^    .+\n)+", f"{ast.get_docstring(node)}\n"):
                code = textwrap.dedent(block)
                if re.match(r"(async )?with |from |timeout = |def ", code):
                    yield getattr(node, "name", "module"), code


EXAMPLES = [
    pytest.param(adapter, code, id=f"{adapter}-{where}-{number}")
    for adapter in CLIENTS
    for number, (where, code) in enumerate(examples(f"sse_stream.adapters.{adapter}"))
]


def test_every_verb_has_one() -> None:
    for adapter in CLIENTS:
        module = import_module(f"sse_stream.adapters.{adapter}")
        verbs = {*module.__all__} & {"connect", "aconnect", "subscribe", "asubscribe"}
        assert verbs <= {where for where, _ in examples(module.__name__)}


def once_and_no_more() -> Callable[[Connection], None]:
    """Return a handler that sends an event, and at the next request 204."""
    answers = [stream([b"id: 1\ndata: a\n\n"]), respond(204)]

    def handler(connection: Connection) -> None:
        answers.pop(0)(connection)

    return handler


@pytest.mark.parametrize(("adapter", "code"), EXAMPLES)
def test_an_example_runs(
    server: Server, capsys: pytest.CaptureFixture[str], adapter: str, code: str
) -> None:
    url = server.url(once_and_no_more())
    module = import_module(f"sse_stream.adapters.{adapter}")
    policy = import_module("sse_stream").ReconnectionPolicy(initial=0, minimum=0, jitter=0)
    names: dict[str, Any] = {
        **vars(import_module("builtins")),
        "url": url,
        **{name: getattr(module, name) for name in module.__all__},
        **{name: import_module(name) for name in (adapter, "httpx") if adapter != "urllib"},
    }
    code = code.replace(URL, url).replace(
        f'"{url}") as source', f'"{url}", policy=policy) as source'
    )
    code = code.replace("async_client", "client").replace("session", "client")
    sync_client, async_client = CLIENTS[adapter]
    names["policy"] = policy
    if "async with" in code:
        body = textwrap.indent(code, "    ")
        exec(f"async def main(client):\n{body}", names)

        async def run() -> None:
            assert async_client is not None
            client = async_client()
            await names["main"](client)
            closed = (getattr(client, "aclose", None) or client.close)()
            if closed is not None:
                await closed

        asyncio.run(run())
    else:
        assert sync_client is not None
        names["client"] = client = sync_client()
        exec(code, names)
        for close in ("close", "clear"):
            getattr(client, close, bool)()
    assert capsys.readouterr().out == "a\n"


def test_the_examples_of_the_package(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    (first, code) = (code for where, code in examples("sse_stream") if where == "module")
    exec((first + code).replace(URL, server.url(stream([b"data: a\n\n"]))), {})
    assert capsys.readouterr().out == "message a\n"


def test_the_example_of_payloads(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    from sse_stream import iter_payloads
    from sse_stream.adapters.httpx import connect

    ((_, code),) = examples("sse_stream.payloads")
    url = server.url(stream([b'data: {"choices": []}\n\n', b"data: [DONE]\n\n"]))
    names = {"connect": connect, "httpx": httpx, "iter_payloads": iter_payloads, "request": {}}
    exec(code, {**names, "url": url})
    assert capsys.readouterr().out == "[]\n"


def test_the_example_of_documents(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    from sse_stream import iter_documents

    ((_, code),) = examples("sse_stream.ndjson")
    url = server.url(stream([b'{"done": false}\n', b'{"done": true}\n'], headers=[EVENT_STREAM]))
    with httpx.Client() as client:
        exec(code, {"client": client, "url": url, "request": {}, "iter_documents": iter_documents})
    assert capsys.readouterr().out == "{'done': False}\n{'done': True}\n"


def test_the_example_of_a_source(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    import sse_stream
    from sse_stream.adapters.urllib import connect

    codes = [code for where, code in examples("sse_stream.reconnect") if where == "EventSource"]
    names = {name: getattr(sse_stream, name) for name in sse_stream.__all__}
    policy = sse_stream.ReconnectionPolicy(initial=0, minimum=0, jitter=0)
    names |= {"client": None, "connect": connect, "url": server.url(once_and_no_more())}
    exec(
        "\n".join(codes).replace("(resume)", "(resume, policy=policy)"), {**names, "policy": policy}
    )
    assert capsys.readouterr().out == "a\n"
