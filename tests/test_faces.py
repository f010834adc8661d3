# SPDX-License-Identifier: MIT
"""What the two read loops promise, held for every face of them, over generators and classes.

A face is an EventStream, Payloads, Documents, a Tee, or its async twin. Each reads from a source
that counts how often it was closed; each promise is that of `streams.Reading`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from sse_stream.decoder import ServerSentEvent
from sse_stream.ndjson import aiter_documents, iter_documents
from sse_stream.payloads import aiter_payloads, iter_payloads
from sse_stream.reconnect import EventSource
from sse_stream.relay import arewrite, atee, awhole_events, rewrite, tee, whole_events
from sse_stream.streams import AsyncEventStream, EventStream, Opening, StreamClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

CHUNK = b"data: 1\n\n"
# By name: how it is made, sync and async; what it is fed; what it answers with.
FACES: dict[str, tuple[Any, Any, Any, Any]] = {
    "stream": (EventStream, AsyncEventStream, CHUNK, ServerSentEvent(data="1")),
    "payloads": (iter_payloads, aiter_payloads, ServerSentEvent(data="1"), 1),
    "documents": (iter_documents, aiter_documents, b"1\n", 1),
    "tee": (tee, atee, CHUNK, CHUNK),
    "whole events": (whole_events, awhole_events, CHUNK, CHUNK),
    "rewriting": (
        lambda chunks: rewrite(chunks, lambda event: event._replace(data="2")),
        lambda chunks: arewrite(chunks, lambda event: event._replace(data="2")),
        CHUNK,
        b"data: 2\n\n",
    ),
    # One face reads from another.
    "payloads of a stream": (
        lambda chunks: iter_payloads(EventStream(chunks)),
        lambda chunks: aiter_payloads(AsyncEventStream(chunks)),
        CHUNK,
        1,
    ),
    "stream of a tee": (
        lambda chunks: EventStream(tee(chunks)),
        lambda chunks: AsyncEventStream(atee(chunks)),
        CHUNK,
        ServerSentEvent(data="1"),
    ),
}
faces = pytest.mark.parametrize("face", FACES.values(), ids=FACES.keys())
kinds = pytest.mark.parametrize("kind", ["generator", "class"])
loops = pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])


END = object()  # of an AsyncSource


class Source:
    """Items and errors, as a class or as a generator; counts how often it is closed."""

    def __init__(self, *items: Any) -> None:
        self.items = iter(items)
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self.items)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1

    def generate(self) -> Iterator[Any]:
        try:
            for item in self.items:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed += 1

    def made(self, kind: str) -> Any:
        return self if kind == "class" else self.generate()


class AsyncSource:
    """The same for `async for`; after its items it waits for ever, or for `wake`."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)
        self.closed = 0
        self.waits = False
        self.is_woken: Any = None

    async def wait(self) -> None:
        self.waits = True
        self.is_woken = trio.Event() if in_trio() else asyncio.Event()
        await self.is_woken.wait()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self.items:
            await self.wait()
            raise StopAsyncIteration
        item = self.items.pop(0)
        if item is END:
            raise StopAsyncIteration
        if isinstance(item, BaseException):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed += 1
        if self.is_woken is not None:
            self.is_woken.set()

    async def generate(self) -> AsyncIterator[Any]:
        try:
            while self.items:
                item = self.items.pop(0)
                if item is END:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
            await self.wait()
        finally:
            self.closed += 1

    def made(self, kind: str) -> Any:
        return self if kind == "class" else self.generate()


def in_trio() -> bool:
    lowlevel: Any = trio.lowlevel
    return bool(lowlevel.in_trio_run())


async def pause() -> None:
    await (trio.sleep(0) if in_trio() else asyncio.sleep(0))


def drive(run: Any, main: Callable[[], Awaitable[None]]) -> None:
    async def awaited() -> None:
        await main()

    run(awaited) if run is trio.run else run(awaited())
    gc.collect()


# The sync side.


@faces
@kinds
def test_the_end(face: Any, kind: str) -> None:
    make, _, item, answer = face
    source = Source(item, item)
    reader = make(source.made(kind))
    assert list(reader) == [answer, answer]
    assert source.closed == 1
    reader.close()
    assert list(reader) == []
    assert source.closed == 1


@faces
@kinds
def test_an_error_comes_after_what_was_complete_and_once(face: Any, kind: str) -> None:
    make, _, item, answer = face
    fault = OSError("reset")
    source = Source(item, fault)
    reader = make(source.made(kind))
    assert next(reader) == answer
    with pytest.raises(OSError, match="reset"):
        next(reader)
    assert source.closed == 1
    for _ in range(2):
        with pytest.raises(StreamClosedError, match="ended with an error") as info:
            next(reader)
        assert info.value.__cause__ is fault
    reader.close()
    assert list(reader) == []


@faces
@kinds
def test_an_interrupt_releases_and_is_no_end(face: Any, kind: str) -> None:
    make, _, item, answer = face
    source = Source(item, KeyboardInterrupt())
    reader = make(source.made(kind))
    assert next(reader) == answer
    with pytest.raises(KeyboardInterrupt):
        next(reader)
    assert source.closed == 1
    with pytest.raises(StreamClosedError, match="cancelled or interrupted"):
        next(reader)


@faces
@kinds
def test_close_and_leaving(face: Any, kind: str) -> None:
    make, _, item, answer = face
    source = Source(item, item)
    reader = make(source.made(kind))
    assert next(reader) == answer
    reader.close()
    assert list(reader) == []
    assert source.closed == 1
    source = Source(item, item)
    with make(source.made(kind)) as reader:
        assert next(reader) == answer
    assert source.closed == 1
    with pytest.raises(StreamClosedError, match="`with` block was left"):
        next(reader)
    assert "closed" in repr(reader)


@faces
def test_close_from_another_thread_while_a_generator_waits(face: Any) -> None:
    make, _, item, answer = face
    waits, goes_on, closed = threading.Event(), threading.Event(), []

    def generate() -> Iterator[Any]:
        try:
            yield item
            waits.set()
            assert goes_on.wait(10)
            yield item
        finally:
            closed.append(True)

    reader = make(generate())
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.extend(reader))
    thread.start()
    assert waits.wait(10)
    with pytest.raises(RuntimeError, match="two readers at once"):
        next(reader)
    reader.close()
    assert closed == []
    goes_on.set()
    thread.join(10)
    assert not thread.is_alive()
    assert (got, closed) == ([answer], [True])


@faces
def test_close_from_another_thread_interrupts_what_can_be(face: Any) -> None:
    make, _, item, answer = face
    waits, woken = threading.Event(), threading.Event()

    class Interruptible(Source):
        def __next__(self) -> Any:
            for item in self.items:
                return item
            waits.set()
            assert woken.wait(10)
            raise OSError("interrupted")

        def interrupt(self) -> None:
            assert self.closed == 0
            woken.set()

    source = Interruptible(item)
    reader = make(source)
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.extend(reader))
    thread.start()
    assert waits.wait(10)
    reader.close()
    thread.join(10)
    assert not thread.is_alive()
    assert (got, source.closed) == ([answer], 1)


@pytest.mark.parametrize("name", ["stream", "payloads of a stream", "tee", "stream of a tee"])
def test_the_id_to_resume_from(name: str) -> None:
    make = FACES[name][0]
    for fault, why in ((KeyboardInterrupt(), "cancelled or interrupted"), (OSError(), "an error")):
        reader = make(Source(b"id: 7\ndata: 1\n\n", fault))
        next(reader)
        with pytest.raises(type(fault)):
            next(reader)
        with pytest.raises(StreamClosedError, match=f"{why}.*resume from is '7'") as info:
            next(reader)
        assert info.value.last_event_id == "7"


@faces
def test_the_iterable_is_closed_with_its_iterator(face: Any) -> None:
    make, amake, item, answer = face
    closed: list[str] = []

    class Iterable:
        def __iter__(self) -> Iterator[Any]:
            try:
                yield item
            finally:
                closed.append("iterator")

        async def __aiter__(self) -> AsyncIterator[Any]:
            try:
                yield item
            finally:
                closed.append("iterator")

        def close(self) -> None:
            closed.append("iterable")

    with make(Iterable()) as reader:
        assert next(reader) == answer
    assert closed == ["iterator", "iterable"]

    async def main() -> None:
        async with amake(Iterable()) as reader:
            assert await anext(reader) == answer

    asyncio.run(main())
    assert closed == ["iterator", "iterable"] * 2


# The async side.


@faces
@kinds
@loops
def test_the_async_end(face: Any, kind: str, run: Any) -> None:
    async def main() -> None:
        _, make, item, answer = face
        source = AsyncSource(item, item, END)
        reader = make(source.made(kind))
        assert [got async for got in reader] == [answer, answer]
        assert source.closed == 1
        await reader.aclose()
        assert [got async for got in reader] == []
        assert source.closed == 1

    drive(run, main)


@faces
@kinds
@loops
@pytest.mark.parametrize("fault", [OSError("reset"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_an_async_error_or_interrupt(face: Any, kind: str, run: Any, fault: BaseException) -> None:
    async def main() -> None:
        _, make, item, answer = face
        source = AsyncSource(item, fault)
        reader = make(source.made(kind))
        assert await anext(reader) == answer
        with pytest.raises(type(fault)):
            await anext(reader)
        assert source.closed == 1
        for _ in range(2):
            with pytest.raises(StreamClosedError):
                await anext(reader)
        assert "open" not in repr(reader)

    drive(run, main)


@faces
@kinds
@loops
def test_async_close_and_leaving(face: Any, kind: str, run: Any) -> None:
    async def main() -> None:
        _, make, item, answer = face
        source = AsyncSource(item, item)
        reader = make(source.made(kind))
        assert await anext(reader) == answer
        await reader.aclose()
        assert [got async for got in reader] == []
        assert source.closed == 1
        source = AsyncSource(item, item)
        async with make(source.made(kind)) as reader:
            assert await anext(reader) == answer
        assert source.closed == 1
        with pytest.raises(StreamClosedError, match="`with` block was left"):
            await anext(reader)

    drive(run, main)


@faces
@kinds
@loops
def test_cancelling_a_read_releases_and_is_no_end(face: Any, kind: str, run: Any) -> None:
    async def main() -> None:
        _, make, item, answer = face
        source = AsyncSource(item)
        reader = make(source.made(kind))
        assert await anext(reader) == answer
        if in_trio():
            with trio.move_on_after(0.01) as scope:
                await anext(reader)
            assert scope.cancelled_caught
        else:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(reader), 0.01)
        assert source.closed == 1
        for _ in range(2):
            with pytest.raises(StreamClosedError, match="cancelled or interrupted"):
                await anext(reader)
        await reader.aclose()
        assert source.closed == 1
        assert [item async for item in reader] == []

    drive(run, main)


@faces
def test_waiting_with_a_limit_as_the_error_says(face: Any) -> None:
    async def main() -> None:
        _, make, *_ = face
        source = AsyncSource()
        reader = make(source)
        task = asyncio.ensure_future(anext(reader))
        for _ in range(2):
            done, _ = await asyncio.wait({task}, timeout=0.01)
            assert not done
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.closed == 1

    asyncio.run(main())


@faces
@kinds
@loops
@pytest.mark.parametrize("way", ["plain", "stack", "context manager"])
def test_an_async_generator_around_it_that_is_closed(
    face: Any, kind: str, run: Any, way: str
) -> None:
    """GeneratorExit goes through `async with`: the release is awaited as by any other exit."""

    async def main() -> None:
        _, make, item, answer = face
        source = AsyncSource(item, item)

        @asynccontextmanager
        async def opened() -> AsyncGenerator[Any, None]:
            async with make(source.made(kind)) as reader:
                yield reader

        async def around() -> AsyncGenerator[Any, None]:
            if way == "plain":
                async with make(source.made(kind)) as reader:
                    async for got in reader:
                        yield got
            elif way == "stack":
                async with AsyncExitStack() as stack:
                    reader = await stack.enter_async_context(make(source.made(kind)))
                    async for got in reader:
                        yield got
            else:
                async with opened() as reader:
                    async for got in reader:
                        yield got

        async with aclosing(around()) as generator:
            async for got in generator:
                assert got == answer
                break
        assert source.closed == 1

    drive(run, main)


@faces
@kinds
def test_a_coroutine_that_is_closed_while_it_reads(face: Any, kind: str) -> None:
    """Nothing can be awaited then: no RuntimeError, no warning; `aclose` still releases."""
    _, make, item, answer = face
    source = AsyncSource(item)
    readers: list[Any] = []

    async def read() -> None:
        async with make(source.made(kind)) as reader:
            readers.append(reader)
            assert await anext(reader) == answer
            await anext(reader)

    loop = asyncio.new_event_loop()
    coroutine = read()
    loop.call_soon(lambda: coroutine.send(None))
    loop.call_soon(coroutine.close)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert source.waits
    with pytest.raises(StreamClosedError):
        loop.run_until_complete(anext(readers[0]))
    loop.run_until_complete(readers[0].aclose())
    loop.close()
    # An async generator that waits is not told before Python 3.13 that its reader was closed.
    assert source.closed >= (kind == "class")


@faces
@loops
def test_aclose_from_another_task_ends_a_read(face: Any, run: Any) -> None:
    async def main() -> None:
        _, make, item, answer = face
        source = AsyncSource(item)
        reader = make(source)
        got: list[Any] = []

        async def read() -> None:
            got.extend([item async for item in reader])
            got.append("end")

        async def close() -> None:
            while not source.waits:
                await pause()
            with pytest.raises(RuntimeError, match="two readers at once"):
                await anext(reader)
            await reader.aclose()
            while "end" not in got:
                await pause()

        if in_trio():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await close()
        else:
            await asyncio.gather(read(), close())
        assert got == [answer, "end"]
        assert source.closed == 1

    drive(run, main)


if sys.version_info >= (3, 11):

    @faces
    @kinds
    def test_a_timeout_scope_and_a_task_group(face: Any, kind: str) -> None:
        async def main() -> None:
            _, make, item, answer = face
            source = AsyncSource(item)
            reader = make(source.made(kind))
            assert await anext(reader) == answer
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(reader)
            assert source.closed == 1
            with pytest.raises(StreamClosedError):
                await anext(reader)
            source = AsyncSource(item)
            reader = make(source.made(kind))

            async def fail() -> None:
                while not source.waits:
                    await asyncio.sleep(0)
                raise OSError("another task failed")

            with pytest.raises(Exception, match="in a TaskGroup"):
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    async for _ in reader:
                        pass
            assert source.closed == 1
            with pytest.raises(StreamClosedError):
                await anext(reader)

        asyncio.run(main())


def test_payloads_on_a_stream_that_the_caller_closed_end_quietly() -> None:
    stream = EventStream([CHUNK, CHUNK])
    payloads = iter_payloads(stream, require_done=True)
    assert next(payloads) == 1
    stream.close()
    assert list(payloads) == []

    async def main() -> None:
        source = AsyncSource(CHUNK)
        stream = AsyncEventStream(source)
        payloads = aiter_payloads(stream, require_done=True)
        assert await anext(payloads) == 1
        task = asyncio.ensure_future(anext(payloads))
        while not source.waits:
            await asyncio.sleep(0)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await task

    asyncio.run(main())


def test_payloads_on_a_source_that_the_caller_closed_end_quietly() -> None:
    source = EventSource(lambda last_event_id: Opening(lambda: EventStream([CHUNK, CHUNK])))
    payloads = iter_payloads(source, require_done=True)
    assert next(payloads) == 1
    source.close()
    assert source.is_closed
    assert list(payloads) == []
