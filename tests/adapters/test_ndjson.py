# SPDX-License-Identifier: MIT
"""JSON lines through httpx, requests and aiohttp, read as the README does."""

from __future__ import annotations

import asyncio

import aiohttp
import httpx
import pytest
import requests

from sse_stream.ndjson import AsyncDocuments, aiter_documents, iter_documents

from .server import FRAMINGS, GUARD, Server, broken_off, stream

LINES = [b'{"a": 1}\n', b'\n{"b": 2}\r\n', b"[3]"]
DOCUMENTS = [{"a": 1}, {"b": 2}, [3]]
JSON_LINES = [("Content-Type", "application/x-ndjson")]


@pytest.mark.parametrize("framing", ["chunked", "close-delimited", "gzip", "one huge chunk"])
@pytest.mark.parametrize("client", ["httpx", "requests"])
def test_each_document_comes_at_once(client: str, framing: str) -> None:
    with Server() as server:
        url = server.url(stream(LINES, FRAMINGS[framing], lock_step=True, headers=JSON_LINES))
        with (
            httpx.stream("GET", url, timeout=GUARD)
            if client == "httpx"
            else requests.get(url, stream=True, timeout=GUARD)
        ) as response:
            if isinstance(response, httpx.Response):
                chunks = response.iter_bytes()
            else:
                chunks = iter(lambda: response.raw.read1(65536, decode_content=True), b"")
            documents = iter_documents(chunks)
            for document in DOCUMENTS[:-1]:
                assert next(documents) == document
                server.acknowledge()
            server.acknowledge()  # the last line ends with the body
            assert list(documents) == DOCUMENTS[-1:]


def test_each_document_comes_at_once_async() -> None:
    async def check(server: Server, documents: AsyncDocuments) -> None:
        for document in DOCUMENTS[:-1]:
            assert await documents.__anext__() == document
            server.acknowledge()
        server.acknowledge()
        assert [document async for document in documents] == DOCUMENTS[-1:]

    async def main(server: Server) -> None:
        url = server.url(stream(LINES, FRAMINGS["gzip"], lock_step=True, headers=JSON_LINES))
        async with (
            httpx.AsyncClient(timeout=GUARD) as client,
            client.stream("GET", url) as response,
        ):
            await check(server, aiter_documents(response.aiter_bytes()))
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            await check(server, aiter_documents(reply.content.iter_any()))

    with Server() as server:
        asyncio.run(main(server))


def test_a_body_that_is_cut_off() -> None:
    with Server() as server:
        url = server.url(broken_off(200, b'{"a": 1}\n{"b": ', JSON_LINES))
        with (
            httpx.stream("GET", url) as response,
            iter_documents(response.iter_bytes()) as documents,
        ):
            assert next(documents) == {"a": 1}
            with pytest.raises(httpx.RemoteProtocolError):
                next(documents)
