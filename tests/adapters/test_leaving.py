# SPDX-License-Identifier: MIT
"""How async clients are let go: by GeneratorExit, by cancellation, by a coroutine that is closed.

Each connection goes back, or is dropped, at once; and a read that was cancelled never looks like an
orderly end afterwards.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import httpx
import httpx2
import pycurl  # type: ignore[import-untyped]
import pytest
import trio

from sse_stream.adapters import aiohttp as of_aiohttp
from sse_stream.adapters import httpx as of_httpx
from sse_stream.adapters import pycurl as of_pycurl
from sse_stream.streams import StreamClosedError

from .server import GUARD, NO_TLS, Server, endless, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Read = Callable[[Any], Awaitable[Any]]


class Client(NamedTuple):
    """An async client with room for two connections, and the loop that it runs on."""

    adapter: Any
    new: Callable[[], Any]
    run: Callable[..., Any] = asyncio.run

    def finish(self, main: Callable[[], Any]) -> None:
        self.run(main) if self.run is trio.run else self.run(main())

    async def close(self, client: Any) -> None:
        closing = (client.aclose if hasattr(client, "aclose") else client.close)()
        if closing is not None:
            await closing


def new_httpx(module: Any) -> Any:
    limits = module.Limits(max_connections=2)
    timeout = module.Timeout(None, pool=GUARD)
    return module.AsyncClient(limits=limits, timeout=timeout, verify=NO_TLS)


def new_session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, connect=GUARD)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2), timeout=timeout)


# Whatever one does: httpx does not close the generators that it nests, and trio says so.
TRIO = pytest.mark.filterwarnings(r"ignore:Async generator '(httpx2?|httpcore2?)\.:ResourceWarning")

CLIENTS = {
    "httpx": Client(of_httpx, partial(new_httpx, httpx)),
    "httpx2": Client(of_httpx, partial(new_httpx, httpx2)),
    "httpx on trio": Client(of_httpx, partial(new_httpx, httpx), trio.run),
    "httpx2 on trio": Client(of_httpx, partial(new_httpx, httpx2), trio.run),
    "aiohttp": Client(of_aiohttp, new_session),
    "pycurl": Client(of_pycurl, pycurl.Curl),  # one handle, used again
}


@pytest.fixture(
    params=[pytest.param(name, marks=[TRIO] if "trio" in name else []) for name in CLIENTS]
)
def client(request: pytest.FixtureRequest) -> Client:
    return CLIENTS[request.param]


async def around(opening: Any) -> AsyncIterator[str]:
    async with opening as events:
        async for event in events:
            yield event.data


async def around_with_stack(opening: Any) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        events = await stack.enter_async_context(opening)
        async for event in events:
            yield event.data


async def around_source(source: Any) -> AsyncIterator[str]:
    async with source as events:
        async for event in events:
            yield event.data


WRAPPERS: dict[str, tuple[str, Any]] = {
    "aconnect": ("aconnect", around),
    "aconnect in a stack": ("aconnect", around_with_stack),
    "asubscribe": ("asubscribe", around_source),
}


@pytest.mark.parametrize("how", ["aclosing", "aclose"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_generator_around_a_stream_that_is_closed(
    client: Client, server: Server, wrapper: str, how: str
) -> None:
    url = server.url(endless())
    verb, wrap = WRAPPERS[wrapper]

    async def main() -> None:
        a_client = client.new()
        for _ in range(8):
            events = wrap(getattr(client.adapter, verb)(a_client, "GET", url))
            if how == "aclosing":
                async with aclosing(events):
                    async for data in events:
                        assert data == "x"
                        break
            else:
                assert await events.__anext__() == "x"
                await events.aclose()
        await client.close(a_client)

    client.finish(main)
    assert len(server.requests) == 8
    assert all(connection.released.wait(GUARD) for connection in server.connections)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_generator_around_a_stream_that_is_dropped(
    client: Client, server: Server, wrapper: str
) -> None:
    """Left by `break`: the event loop closes it when it is collected."""
    if client.run is trio.run:
        return  # trio closes it in a cancelled scope, and says that it should not be left so
    url = server.url(endless())
    verb, wrap = WRAPPERS[wrapper]

    async def main() -> None:
        a_client = client.new()
        for _ in range(8):
            async for data in wrap(getattr(client.adapter, verb)(a_client, "GET", url)):
                assert data == "x"
                break
            gc.collect()
            await asyncio.sleep(0.01)
        await client.close(a_client)

    client.run(main())
    assert len(server.requests) == 8
    assert all(connection.released.wait(GUARD) for connection in server.connections)


# Cancellation.


async def cancel(read: Read, events: Any) -> None:
    task = asyncio.ensure_future(read(events))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def wait_for(read: Read, events: Any) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(read(events), 0.05)


async def timeout(read: Read, events: Any) -> None:
    if sys.version_info >= (3, 11):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await read(events)
    else:
        await wait_for(read, events)


async def task_group(read: Read, events: Any) -> None:
    if sys.version_info >= (3, 11):

        async def fail() -> None:
            await asyncio.sleep(0.05)
            raise KeyError("of another task")

        with pytest.raises(Exception, match="TaskGroup"):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(read(events))  # type: ignore[arg-type]
    else:
        await cancel(read, events)


async def move_on_after(read: Read, events: Any) -> None:
    with trio.move_on_after(0.05) as scope:
        await read(events)
    assert scope.cancelled_caught


WAYS = {
    "cancel": cancel,
    "wait_for": wait_for,
    "timeout": timeout,
    "task group": task_group,
    "move_on_after": move_on_after,
}


async def read_one(events: Any) -> Any:
    return await events.__anext__()


async def until_released(client: Client, server: Server) -> None:
    """Wait, without stopping the loop, until the server has seen the client leave."""
    for _ in range(int(GUARD / 0.01)):
        if server.connections[0].released.is_set():
            return
        await (trio.sleep if client.run is trio.run else asyncio.sleep)(0.01)
    raise AssertionError("the connection was not released")


@pytest.mark.parametrize("way", WAYS)
def test_a_read_after_a_cancelled_one(client: Client, server: Server, way: str) -> None:
    if (way == "move_on_after") != (client.run is trio.run):
        return
    url = server.url(stream([b"id: 7\ndata: 1\n\n", b"data: 2\n\n"], lock_step=True))

    async def main() -> None:
        a_client = client.new()
        async with client.adapter.aconnect(a_client, "GET", url) as events:
            assert (await events.__anext__()).data == "1"
            await WAYS[way](read_one, events)
            await until_released(client, server)
            for _ in range(2):
                with pytest.raises(StreamClosedError) as caught:
                    await events.__anext__()
                assert "'7'" in str(caught.value)  # the ID to resume from
            assert events.last_event_id == "7"
            with pytest.raises(StreamClosedError):
                async for _ in events:
                    pass
        await client.close(a_client)

    client.finish(main)


def test_a_task_that_is_kept_is_not_cancelled(client: Client, server: Server) -> None:
    """What StreamClosedError recommends."""
    if client.run is trio.run:
        return
    url = server.url(stream([b"data: 1\n\n", b"data: 2\n\n"], lock_step=True))

    async def main() -> None:
        a_client = client.new()
        async with client.adapter.aconnect(a_client, "GET", url) as events:
            assert (await events.__anext__()).data == "1"
            task = asyncio.ensure_future(read_one(events))
            for _ in range(3):
                assert await asyncio.wait({task}, timeout=0.02) == (set(), {task})
            server.acknowledge()
            assert (await task).data == "2"
            server.acknowledge()
            with pytest.raises(StopAsyncIteration):
                await events.__anext__()
        await client.close(a_client)

    asyncio.run(main())


# A coroutine that is closed while it waits: nothing can be awaited there.


def test_a_coroutine_that_is_closed_while_it_waits(client: Client, server: Server) -> None:
    if client.run is trio.run:
        return  # its tasks cannot be stepped by hand
    url = server.url(stream([b"id: 7\ndata: 1\n\n", b"data: 2\n\n"], lock_step=True))
    complaints: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        a_client = client.new()
        async with client.adapter.aconnect(a_client, "GET", url) as events:
            assert (await events.__anext__()).data == "1"
            waiting = read_one(events)
            step(waiting)
            waiting.close()
            await until_released(client, server)
            with pytest.raises(StreamClosedError):
                await events.__anext__()
        del waiting, events
        gc.collect()
        await asyncio.sleep(0.05)
        for _ in range(3):  # there is room for them
            async with client.adapter.aconnect(a_client, "GET", url) as events:
                assert (await events.__anext__()).data == "1"
        await client.close(a_client)

    asyncio.run(main())
    gc.collect()
    assert complaints == []


def step(coroutine: Any) -> None:
    """Run a coroutine up to its first wait."""
    assert coroutine.send(None) is not None


def test_a_coroutine_that_is_closed_while_it_connects(client: Client, server: Server) -> None:
    if client.run is trio.run:
        return
    url = server.url(lambda connection: connection.stall())

    async def main() -> None:
        a_client = client.new()
        task = asyncio.ensure_future(enter(client.adapter.aconnect(a_client, "GET", url)))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.close(a_client)

    asyncio.run(main())
    assert server.connections[0].released.wait(GUARD)


async def enter(opening: Any) -> None:
    async with opening:
        raise AssertionError("it was opened")
