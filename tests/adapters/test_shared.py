# SPDX-License-Identifier: MIT
"""What the adapters share, where no client gets to: doubles, errors while closing, the woken."""

from __future__ import annotations

import asyncio
import os
import socket
import urllib.request
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pycurl  # type: ignore[import-untyped]
import pytest
import requests
import trio
import urllib3

from sse_stream import ContentTypeError, SSEDecoder
from sse_stream.adapters import pycurl as of_pycurl
from sse_stream.adapters import requests as of_requests
from sse_stream.adapters import urllib as of_urllib
from sse_stream.adapters import urllib3 as of_urllib3
from sse_stream.adapters._aiohttp import Chunks as AiohttpChunks
from sse_stream.adapters._aiohttp import send
from sse_stream.adapters._httpx import AsyncChunks, Read, wake
from sse_stream.adapters._pycurl import Reader, Transfer
from sse_stream.adapters._request import refuse_client, refuse_options, start
from sse_stream.adapters._response import Chunks, acheck_and_open, check_and_open, shut_down

from .server import FRAMINGS, Server, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ANSWER = {"status": 200, "headers": {"Content-Type": "text/plain"}, "url": "http://h/"}


class Response:
    """What cannot be closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        raise OSError("while closing")


def test_chunks_that_were_interrupted_give_no_more() -> None:
    woken: list[int] = []
    response = Response()
    chunks = Chunks(iter([b"a", b"b"]), lambda: woken.append(1), response)
    assert next(chunks) == b"a"
    chunks.interrupt()
    assert list(chunks) == []
    assert woken == [1]
    with pytest.raises(OSError, match="while closing"):
        chunks.close()
    assert response.closed == 1


def test_a_large_chunk_comes_in_pieces() -> None:
    sizes = [65536, 65537, 0, 200_000, 1]
    chunks = [bytes([number]) * size for number, size in enumerate(sizes)]
    pieces = [*Chunks(iter(chunks), lambda: None)]
    assert [len(piece) for piece in pieces] == [65536, 65536, 1, 0, 65536, 65536, 65536, 3392, 1]
    assert b"".join(pieces) == b"".join(chunks)


def test_a_large_chunk_comes_in_pieces_async_too(server: Server) -> None:
    url = server.url(stream([b"x" * 200_000], FRAMINGS["gzip"]))

    async def main() -> list[list[int]]:
        response = httpx.Response(200, content=b"x" * 200_000)
        sizes = [[len(piece) async for piece in AsyncChunks(response)]]
        async with aiohttp.ClientSession() as session:
            answer = await session.get(url)
            await answer.read()
            return [*sizes, [len(piece) async for piece in AiohttpChunks(answer, None)]]

    assert asyncio.run(main()) == [[65536, 65536, 65536, 3392]] * 2


def test_what_the_check_raises_matters_more_than_what_closing_does() -> None:
    response = Response()
    with pytest.raises(ContentTypeError) as caught:
        check_and_open(iter([b"why"]), response, ANSWER, SSEDecoder(), True)
    assert caught.value.body == b"why"

    async def chunks() -> AsyncIterator[bytes]:
        yield b"why"

    async def main() -> None:
        with pytest.raises(ContentTypeError) as caught:
            await acheck_and_open(chunks(), response, ANSWER, SSEDecoder(), True)
        assert caught.value.body == b"why"

    trio.run(main)
    assert response.closed == 2


class Silent:
    """An async iterator that waits for ever, and a note of its interruption."""

    interrupted = False

    def __aiter__(self) -> Silent:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    def interrupt(self) -> None:
        self.interrupted = True


def test_a_coroutine_that_is_closed_while_it_checks() -> None:
    async def main() -> None:
        chunks, response = Silent(), Response()
        opening = acheck_and_open(chunks, response, ANSWER, SSEDecoder(), True)
        opening.send(None)
        opening.close()
        assert (chunks.interrupted, response.closed) == (True, 0)

    asyncio.run(main())


@pytest.fixture
def pair() -> Iterator[list[socket.socket]]:
    ends = [*socket.socketpair()]
    yield ends
    for end in ends:
        end.close()


def test_a_socket_of_uvloop_is_shut_down(pair: list[socket.socket]) -> None:
    """It allows nothing of its own but `fileno`."""
    pseudo = type("PseudoSocket", (), {"__module__": "uvloop.loop", "fileno": pair[0].fileno})()
    shut_down(pseudo)
    assert pair[1].recv(1) == b""
    assert os.fstat(pair[0].fileno())


def test_a_response_of_httpx_that_came_over_no_socket() -> None:
    response = httpx.Response(200, content=b"")
    wake(response)
    wake(httpx.Response(200, stream=httpx.ByteStream(b"")))

    async def main() -> None:
        chunks = AsyncChunks(httpx.Response(200, content=b"data: x\n\n"))
        chunks.interrupt()
        assert [chunk async for chunk in chunks] == []
        await chunks.aclose()

    trio.run(main)


def test_a_read_that_does_not_let_go() -> None:
    """Whatever it awaits, closing its coroutine does not take for ever."""
    steps: list[str] = []

    class Stubborn:
        def __await__(self) -> Any:
            return self

        def __next__(self) -> None:
            steps.append("waits")

        def send(self, value: Any) -> None:
            steps.append("waits")

        def throw(self, error: BaseException) -> None:
            steps.append(type(error).__name__)

    async def read() -> bytes:
        data: bytes = await Read(stubborn, lambda: steps.append("interrupted"))
        return data

    stubborn: Any = Stubborn()
    reading = read()
    reading.send(None)
    reading.close()
    assert steps[:3] == ["waits", "interrupted", "_Abandoned"]
    assert len(steps) == 103


def test_a_response_of_aiohttp_that_was_interrupted(server: Server) -> None:
    url = server.url(stream([b"data: x\n\n"], lock_step=True))

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            chunks = AiohttpChunks(await session.get(url), None)
            chunks.interrupt()
            assert [chunk async for chunk in chunks] == []
            await chunks.aclose()

    asyncio.run(main())


def test_a_response_that_came_while_the_task_was_cancelled() -> None:
    """It is closed: nobody else knows of it."""

    class Closable:
        closed = False

        def close(self) -> None:
            self.closed = True

    response = Closable()

    async def stubborn() -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return response

    async def main() -> None:
        task = asyncio.ensure_future(send(stubborn(), 30))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    asyncio.run(main())
    assert response.closed


def test_a_coroutine_that_is_closed_while_it_sends() -> None:
    async def main() -> None:
        request = asyncio.get_running_loop().create_future()
        sending = send(request, 30)
        sending.send(None)
        sending.close()
        assert request.cancelled()

    asyncio.run(main())


def test_the_client_of_another_library_has_an_adapter() -> None:
    with httpx.Client() as client, pytest.raises(TypeError) as caught:
        of_requests.connect(client, "GET", "http://h/")  # type: ignore[arg-type]
    assert str(caught.value).endswith("; sse_stream.adapters.httpx reads what Client opens")

    async def coroutine() -> None:
        """Give no client."""

    waiting = coroutine()
    assert str(refuse_client("connect", "a Client", waiting)).endswith("coroutine; await it first")
    waiting.close()


class AsyncSession(requests.Session):
    """As niquests has one."""

    async def request(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        raise AssertionError


def test_an_async_session_of_requests() -> None:
    client: Any = AsyncSession()
    with pytest.raises(TypeError, match="not AsyncSession; its requests have to be awaited"):
        of_requests.connect(client, "GET", "http://h/")


class Session(requests.Session):
    """Takes any option."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        assert options.pop("of_its_own") == 1
        return super().request(*arguments, **options)


class Pool(urllib3.PoolManager):
    """Takes any option."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        assert options.pop("of_its_own") == 1
        return super().request(*arguments, **options)


@pytest.mark.parametrize(
    ("connect", "new"), [(of_requests.connect, Session), (of_urllib3.connect, Pool)]
)
def test_a_client_with_options_of_its_own(server: Server, connect: Any, new: Any) -> None:
    url = server.url(stream([b"data: x\n\n"]))
    client = new()
    with connect(client, "GET", url, of_its_own=1) as events:
        assert [event.data for event in events] == ["x"]
    (client.close if hasattr(client, "close") else client.clear)()


def test_options_of_what_is_not_written_in_python() -> None:
    refuse_options("connect", ["anything"], [getattr, dict.update, type])
    no_signature: Any = type("NoSignature", (), {"__signature__": 1})()
    refuse_options("connect", ["anything"], [no_signature])


def test_an_option_that_the_adapter_sets_itself_and_one_that_nobody_knows() -> None:
    def request(method: str, timeout: float = 1) -> None: ...

    def anything(**options: object) -> None: ...

    with pytest.raises(TypeError, match="connect sets the option stream itself"):
        refuse_options("connect", ["stream"], [request], reserved="stream")
    refuse_options("connect", ["timeout", "stream"], [request], others="stream")
    refuse_options("connect", ["anything"], [request, anything])
    with pytest.raises(TypeError, match=r"no option 'timeuot'; did you mean timeout\?"):
        refuse_options("connect", ["timeout", "timeuot"], [request])
    with pytest.raises(TypeError, match=r"no option 'xyz'$"):
        refuse_options("connect", ["xyz"], [request])
    with pytest.raises(TypeError, match=r"pass decoder=SSEDecoder\(max_event_size=...\)"):
        refuse_options("connect", ["max_event_size"], [request])
    with pytest.raises(TypeError, match=r"no option 'policy', which asubscribe takes$"):
        refuse_options("aconnect", ["policy"], [request])
    with pytest.raises(TypeError, match=r"no option 'polcy'; did you mean policy\?"):
        refuse_options("connect", ["polcy"], [request])


def test_a_decoder_of_another_stream() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: one\n\n")
    assert start(decoder, "", True, None) == (decoder, [])
    decoder.feed(b"data: tw")
    with pytest.raises(ValueError, match="holds part of an event"):
        start(decoder, "", True, None)


def test_a_url_that_is_no_text() -> None:
    url: Any = b"http://h/"
    with pytest.raises(TypeError, match="urllib takes the URL as a str, not"):
        of_urllib.connect(None, "GET", url)


def test_the_response_of_pycurl_says_what_came(server: Server) -> None:
    url = server.url(stream([b"data: x\n\n"]))
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url + "?key=secret")
    with of_pycurl.iter_events(curl) as events:
        assert repr(events.response) == f"<Response 200 {url}>"


def test_an_opener_that_is_a_module() -> None:
    client: Any = urllib.request
    with pytest.raises(TypeError, match="; pass None for urlopen"):
        of_urllib.connect(client, "GET", "http://h/")


def test_a_reader_of_pycurl_that_was_interrupted(server: Server) -> None:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, server.url(stream([b"data: x\n\n"], lock_step=True)))
    reader = Reader(partial(Transfer, curl, {}, True, None))
    assert list(islice(reader, 1)) == [b"data: x\n\n"]
    reader.interrupt()
    assert list(reader) == []
    reader.close()
    reader.interrupt()  # too late to do anything


def test_a_request_of_aiohttp_that_ends_as_the_limit_does() -> None:
    """What came is not thrown away, though it came late."""

    async def stubborn() -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "response"

    async def at_once() -> Any:
        return "response"

    async def main() -> None:
        assert await send(stubborn(), 0.01) == "response"
        assert await send(at_once(), 1) == "response"
        with pytest.raises(aiohttp.SocketTimeoutError):
            await send(asyncio.get_running_loop().create_future(), 0.01)

    asyncio.run(main())
