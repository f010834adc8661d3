# SPDX-License-Identifier: MIT
"""Chats in the protocols of OpenAI and Anthropic: our pages' code, each client, the SDKs."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import anthropic
import httpx
import openai
import pycurl  # type: ignore[import-untyped]
import pytest
import requests

from sse_stream import IncompleteEventError, StatusError
from sse_stream.adapters import aiohttp as for_aiohttp
from sse_stream.adapters import httpx as for_httpx
from sse_stream.adapters import pycurl as for_pycurl
from sse_stream.adapters import requests as for_requests
from sse_stream.payloads import ServiceError, aiter_payloads, iter_payloads
from tests import llm, pages
from tests.adapters.server import (
    EVENT_STREAM,
    FAULTS,
    FRAMINGS,
    GUARD,
    Connection,
    Fault,
    Server,
    becomes_true,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.adapters.server import Handler
    from tests.llm import Protocol

PROTOCOLS = [pytest.param(llm.OPENAI, id="openai"), pytest.param(llm.ANTHROPIC, id="anthropic")]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def serve(server: Server, protocol: Protocol, handler: Handler | None = None) -> str:
    """Serve the protocol at its path; return the origin."""
    server.url(llm.speak(protocol, handler), protocol.path)
    return server.origin


# The code of README and recipes.

ANTHROPIC_BLOCK = "anthropic-version"
WHOLE_TEXT = "# Or the whole text"
BLOCKS = {
    "httpx": (WHOLE_TEXT, ("", "")),
    "requests": (WHOLE_TEXT, ("httpx", "requests")),
    "anthropic, with aiohttp": (ANTHROPIC_BLOCK, ("", "")),
    "openai SDK": ("_make_sse_decoder", ("", "")),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_chats_of_the_readme(
    name: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    text, (client, other) = BLOCKS[name]
    protocol = llm.ANTHROPIC if text == ANTHROPIC_BLOCK else llm.OPENAI
    origin = serve(server, protocol)
    code = pages.code_with(text).replace("https://example.org", origin)
    if client:
        code = code.replace("httpx.HTTPError", "requests.RequestException").replace(client, other)
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert capsys.readouterr().out == llm.TEXT
    assert namespace.get("text", llm.TEXT) == llm.TEXT
    assert json.loads(server.requests[0].body)["stream"] is True


def test_the_chat_of_the_readme_says_what_went_wrong(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [llm.OPENAI.delta("Sure"), llm.OPENAI.error]
    code = pages.code_with(WHOLE_TEXT)
    code = code[: code.index(f"    {WHOLE_TEXT}")] + code[code.index("except") :]
    code = code.replace("https://example.org", serve(server, llm.OPENAI, stream(parts)))
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith(
        "Sure\nThe answer broke off: the service sent an error: Overloaded;"
    )
    exec(compile(code.replace("KEY", "WRONG"), "README.md", "exec"), {})
    assert "Incorrect API key" in capsys.readouterr().out


# Each client, each protocol.


def chat_httpx(protocol: Protocol, url: str, got: Callable[[str], object]) -> None:
    options: Any = {"headers": protocol.headers, "json": llm.REQUEST, "timeout": GUARD}
    with for_httpx.connect(httpx, "POST", url + protocol.path, **options) as events:
        for payload in iter_payloads(events, **protocol.options):
            got(protocol.tokens(payload))


def chat_requests(protocol: Protocol, url: str, got: Callable[[str], object]) -> None:
    options: Any = {"headers": protocol.headers, "json": llm.REQUEST, "timeout": GUARD}
    with for_requests.connect(requests, "POST", url + protocol.path, **options) as events:
        for payload in iter_payloads(events, **protocol.options):
            got(protocol.tokens(payload))


def chat_aiohttp(protocol: Protocol, url: str, got: Callable[[str], object]) -> None:
    async def main() -> None:
        options: Any = {"headers": protocol.headers, "json": llm.REQUEST, "idle_timeout": GUARD}
        async with (
            aiohttp.ClientSession() as session,
            for_aiohttp.aconnect(session, "POST", url + protocol.path, **options) as events,
        ):
            async for payload in aiter_payloads(events, **protocol.options):
                got(protocol.tokens(payload))

    asyncio.run(main())


def chat_pycurl(protocol: Protocol, url: str, got: Callable[[str], object]) -> None:
    curl = pycurl.Curl()
    curl.setopt(pycurl.POSTFIELDS, json.dumps(llm.REQUEST))
    curl.setopt(pycurl.ACCEPT_ENCODING, "gzip")
    headers = {**protocol.headers, "Content-Type": "application/json"}
    with for_pycurl.connect(
        curl, "POST", url + protocol.path, headers=headers, idle_timeout=GUARD
    ) as events:
        for payload in iter_payloads(events, **protocol.options):
            got(protocol.tokens(payload))
    curl.close()


Chat = Any
CHATS = [chat_httpx, chat_requests, chat_aiohttp, chat_pycurl]
each_client = pytest.mark.parametrize(
    "chat", CHATS, ids=lambda chat: chat.__name__.removeprefix("chat_")
)
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


@each_client
@each_protocol
@pytest.mark.parametrize("framing", ["chunked", "bytewise", "gzip"])
def test_a_chat(chat: Chat, protocol: Protocol, framing: str, server: Server) -> None:
    tokens: list[str] = []
    chat(
        protocol, serve(server, protocol, stream(protocol.parts, FRAMINGS[framing])), tokens.append
    )
    assert "".join(tokens) == llm.TEXT


@each_client
@each_protocol
def test_token_by_token(chat: Chat, protocol: Protocol, server: Server) -> None:
    parts = [*(protocol.delta(token) for token in llm.TOKENS), protocol.parts[-1]]
    tokens: list[str] = []

    def got(token: str) -> None:
        tokens.append(token)
        server.acknowledge()  # the next is sent only now

    chat(protocol, serve(server, protocol, stream(parts, lock_step=True)), got)
    assert "".join(tokens) == llm.TEXT


@each_client
@each_protocol
def test_a_refused_chat(chat: Chat, protocol: Protocol, server: Server) -> None:
    wrong = protocol._replace(headers={**protocol.headers, next(iter(protocol.headers)): "WRONG"})
    with pytest.raises(StatusError, match="Incorrect API key provided") as info:
        chat(wrong, serve(server, protocol), pytest.fail)
    assert info.value.status == 401


@each_client
@each_protocol
def test_an_error_in_the_stream(chat: Chat, protocol: Protocol, server: Server) -> None:
    tokens: list[str] = []
    with pytest.raises(ServiceError) as info:
        chat(
            protocol,
            serve(server, protocol, stream([protocol.delta("Sure"), protocol.error])),
            tokens.append,
        )
    assert tokens == ["Sure"]
    assert info.value.message == "Overloaded"


@each_client
@each_protocol
@pytest.mark.parametrize("cut", ["between events", "inside an event"])
def test_a_truncated_chat(chat: Chat, protocol: Protocol, cut: str, server: Server) -> None:
    parts = [
        protocol.delta("Sure"),
        protocol.delta("ly")[:-20] if cut == "inside an event" else b"",
    ]
    tokens: list[str] = []
    with pytest.raises(IncompleteEventError) as info:
        chat(
            protocol,
            serve(server, protocol, stream([part for part in parts if part])),
            tokens.append,
        )
    assert tokens == ["Sure"]
    assert (info.value.event is not None) == (cut == "inside an event")


@each_client
@each_protocol
def test_a_chat_whose_connection_breaks(chat: Chat, protocol: Protocol, server: Server) -> None:
    def broken(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        FRAMINGS["chunked"].send(connection, protocol.delta("Sure") + protocol.delta("ly")[:-20])
        connection.wait()
        connection.close()

    tokens: list[str] = []

    def got(token: str) -> None:
        tokens.append(token)
        server.acknowledge()

    own = (
        httpx.RemoteProtocolError,
        requests.exceptions.ChunkedEncodingError,
        aiohttp.ClientPayloadError,
        pycurl.error,
    )
    with pytest.raises(own) as info:
        chat(protocol, serve(server, protocol, broken), got)
    assert info.type is dict(zip(CHATS, own, strict=True))[chat]
    assert tokens == ["Sure"]


# The SDKs, with the README's decoder.


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    """What the README's block defines."""
    namespace: dict[str, Any] = {}
    exec(
        compile(
            pages.code_with("_make_sse_decoder").partition("\nreason = None")[0],
            "README.md",
            "exec",
        ),
        namespace,
    )
    return namespace


class SDK:
    """A client of an SDK, sync or async, that decodes as the README says."""

    def __init__(self, decoding: type, base: type, protocol: Protocol) -> None:
        self.kind = type(base.__name__, (decoding, base), {})
        self.protocol = protocol
        self.is_async = base.__name__.startswith("Async")
        self.module: Any = openai if protocol is llm.OPENAI else anthropic

    def run(self, url: str, body: Callable[[Any, Chunks], Any]) -> Any:
        """Run `body(client, chunks)`."""

        async def main() -> Any:
            base_url = url + ("/v1" if self.module is openai else "")
            client = self.kind(api_key="KEY", base_url=base_url, max_retries=0, timeout=GUARD)
            try:
                result = await body(client, Chunks(self))
                gc.collect()  # what was left open warns here
            finally:
                closing = client.close()
                if self.is_async:
                    await closing
            return result

        if self.is_async:
            return asyncio.run(main())
        with pytest.raises(StopIteration) as info:
            main().send(None)
        return info.value.value


class Chunks:
    """The chunks of one request, for `async for` on both sides."""

    def __init__(self, sdk: SDK) -> None:
        self.sdk = sdk
        self.stream: Any = None

    async def start(self, client: Any) -> Chunks:
        create = (
            client.chat.completions.create if self.sdk.module is openai else client.messages.create
        )
        request = {**llm.REQUEST}
        created = create(**request)
        self.stream = await created if self.sdk.is_async else created
        return self

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> str:
        if self.sdk.is_async:
            chunk = await anext(self.stream)
        else:
            chunk = next(self.stream, None)
            if chunk is None:
                raise StopAsyncIteration
        if self.sdk.module is openai:
            return "".join(choice.delta.content or "" for choice in chunk.choices)
        return chunk.delta.text if chunk.type == "content_block_delta" else ""

    async def close(self) -> None:
        closing = self.stream.close()
        if self.sdk.is_async:
            await closing


SDKS = [
    (openai.OpenAI, llm.OPENAI),
    (openai.AsyncOpenAI, llm.OPENAI),
    (anthropic.Anthropic, llm.ANTHROPIC),
    (anthropic.AsyncAnthropic, llm.ANTHROPIC),
]


@pytest.fixture(params=SDKS, ids=lambda param: param[0].__name__)
def sdk(request: pytest.FixtureRequest, recipe: dict[str, Any]) -> SDK:
    return SDK(recipe["Decoding"], *request.param)


async def whole(client: Any, chunks: Chunks) -> list[str]:
    return [token async for token in await chunks.start(client)]


def test_the_sdk_reads_a_chat(sdk: SDK, server: Server) -> None:
    assert "".join(sdk.run(serve(server, sdk.protocol), whole)) == llm.TEXT


def test_the_sdk_reads_what_its_own_decoder_gets_wrong(sdk: SDK, server: Server) -> None:
    """Byte order mark, CRs, an ID that persists beside comments, invalid UTF-8, a cut event."""
    parts = [
        b"\xef\xbb\xbf" + sdk.protocol.delta("a").replace(b"\n", b"\r"),
        b"id: 7\n" + sdk.protocol.delta("b"),
        b": ping\n\n: ping\n\n",
        sdk.protocol.delta("c?").replace(b"?", b"\xff"),
        sdk.protocol.delta("unfinished")[:-1],
    ]
    assert sdk.run(serve(server, sdk.protocol, stream(parts)), whole) == ["a", "b", "c\ufffd"]


def test_the_sdk_passes_over_a_mark_that_is_none_of_its_own(sdk: SDK, server: Server) -> None:
    parts = [sdk.protocol.delta("a"), b"data: [DONE]\n\n"]
    assert sdk.run(serve(server, sdk.protocol, stream(parts)), whole) == ["a"]


def test_the_sdk_reports_an_error_in_the_stream(sdk: SDK, server: Server) -> None:
    parts = [sdk.protocol.delta("a"), sdk.protocol.error]
    with pytest.raises(sdk.module.APIError, match="Overloaded"):
        sdk.run(serve(server, sdk.protocol, stream(parts)), whole)


def test_the_sdk_reports_a_broken_connection(sdk: SDK, server: Server) -> None:
    fault = Fault(FAULTS["reset"].strike)

    def broken(connection: Connection) -> None:
        connection.send(fault.framing.head(0, headers=[EVENT_STREAM]))
        fault.framing.send(connection, sdk.protocol.delta("a") + sdk.protocol.delta("b")[:-1])
        connection.wait()
        fault.strike(connection)

    tokens: list[str] = []

    async def body(client: Any, chunks: Chunks) -> None:
        async for token in await chunks.start(client):
            tokens.append(token)
            server.acknowledge()

    with pytest.raises(Exception) as info:
        sdk.run(serve(server, sdk.protocol, broken), body)
    assert type(info.value).__name__ in ("APIConnectionError", "ReadError")
    assert tokens == ["a"]


def test_a_copy_of_the_client_decodes_alike(sdk: SDK, server: Server) -> None:
    async def body(client: Any, chunks: Chunks) -> list[str]:
        return await whole(client.with_options(timeout=GUARD), chunks)

    parts = [b"\xef\xbb\xbf" + sdk.protocol.delta("a")]
    assert sdk.run(serve(server, sdk.protocol, stream(parts)), body) == ["a"]


def endless_deltas(protocol: Protocol) -> Handler:
    def handler(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        while not connection._server.stopping.is_set():
            FRAMINGS["chunked"].send(connection, protocol.delta("more"))

    return handler


@pytest.mark.parametrize("close", [True, False], ids=["closed", "dropped"])
def test_a_stream_of_the_sdk_that_is_left_early(sdk: SDK, close: bool, server: Server) -> None:
    async def body(client: Any, chunks: Chunks) -> None:
        async for token in await chunks.start(client):
            assert token == "more"
            break
        if close:
            await chunks.close()
        chunks.stream = None

    sdk.run(serve(server, sdk.protocol, endless_deltas(sdk.protocol)), body)
    assert becomes_true(server.connections[0].released.is_set)


@pytest.mark.parametrize("base", [openai.AsyncOpenAI, anthropic.AsyncAnthropic])
@pytest.mark.parametrize("how", ["cancelled", "abandoned", "closed"])
def test_a_wait_for_the_sdk_that_is_given_up(
    base: type, how: str, server: Server, recipe: dict[str, Any]
) -> None:
    sdk = SDK(recipe["Decoding"], base, llm.OPENAI if base is openai.AsyncOpenAI else llm.ANTHROPIC)

    def silent(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        FRAMINGS["chunked"].send(connection, sdk.protocol.delta("a"))
        connection.stall()

    async def body(client: Any, chunks: Chunks) -> None:
        await chunks.start(client)
        assert await anext(chunks) == "a"
        if how == "closed":
            waiting = anext(chunks)
            waiting.send(None)
            waiting.close()  # nothing may be awaited now
            await chunks.close()
            return
        task = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0.05)
        if how == "cancelled":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        # else the loop ends while the task waits

    sdk.run(serve(server, sdk.protocol, silent), body)
    assert becomes_true(server.connections[0].released.is_set)
