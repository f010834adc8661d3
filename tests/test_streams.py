# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import io
import linecache
import pickle
import queue
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from sse_stream import streams
from sse_stream.decoder import EventTooLargeError, IncompleteEventError, ServerSentEvent, SSEDecoder
from sse_stream.ndjson import aiter_documents, iter_documents
from sse_stream.payloads import aiter_payloads, iter_payloads
from sse_stream.relay import tee, whole_events
from sse_stream.streams import (
    AsyncEventStream,
    AsyncOpening,
    DoneMark,
    EventStream,
    Opening,
    Reader,
    StreamClosedError,
    UnfinishedEvent,
    aclose_all,
    check_decoder,
    close_all,
    type_name,
)
from tests import reference, support, vectors
from tests.support import AsyncChunks, AsyncResource, Chunks, Resource, generate

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Iterator,
    )
    from types import FrameType

A, B, C = (ServerSentEvent(data=data) for data in "abc")
ABC = b"data: a\n\ndata: b\n\ndata: c\n\n"


async def collect(
    stream: AsyncEventStream, events: list[ServerSentEvent] | None = None
) -> list[ServerSentEvent]:
    events = [] if events is None else events
    async for event in stream:
        events.append(event)
    return events


class Reading:
    """Read the state of a stream and its decoder each time a chunk is asked for."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = iter(chunks)
        self.stream: EventStream | None = None
        self.ids: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.stream is not None:
            self.ids.append(self.stream.last_event_id)
            assert self.stream.retry == self.stream.decoder.retry
            assert self.stream.decoder.incomplete in (True, False)
        return next(self.chunks)


@given(
    support.streams,
    support.cut_points,
    support.limits,
    st.sampled_from(["raise", "skip"]),
    st.integers(1, 30),
    st.booleans(),
)
def test_a_stream_is_the_decoder_with_a_loop_round_it(
    stream: bytes, cuts: list[int], limit: int | None, on_oversize: Any, size: int, reading: bool
) -> None:
    chunks = vectors.cut(stream, [min(c, len(stream)) for c in cuts])
    options: dict[str, Any] = {
        "max_event_size": limit,
        "on_oversize": on_oversize,
        "incomplete": "discard",
    }
    with vectors.small_thresholds(size):
        expected = support.outcome_of(SSEDecoder(**options), chunks, [])
        source = Reading(chunks)
        events = EventStream(source, decoder=SSEDecoder(**options))
        source.stream = events if reading else None
        got: list[ServerSentEvent] = []
        too_large = False
        try:
            got += events
        except EventTooLargeError:
            too_large = True
            got = [
                ServerSentEvent(*event) for event in expected.events
            ]  # which of them came is tested elsewhere
    assert [tuple(event) for event in got] == expected.events
    assert (too_large, events.decoder.skipped) == (expected.too_large, expected.skipped)
    assert (events.last_event_id, events.retry) == (expected.last_event_id, expected.retry)


def steps(stream: EventStream | AsyncEventStream) -> Iterator[ServerSentEvent]:
    """Iterate over a stream whose source is always ready."""
    if isinstance(stream, EventStream):
        yield from stream
        return
    while True:
        coroutine: Any = stream.__anext__()
        try:
            coroutine.send(None)
        except StopIteration as end:
            yield end.value
        except StopAsyncIteration:
            return


def outcome_of(stream: Any, log: list[Any]) -> list[Any]:
    """Return what comes of a stream and its comments, in order, and how it ends."""
    try:
        for event in steps(stream):
            log.append((event, stream.last_event_id))  # noqa: PERF401 (comments are logged between)
    except EventTooLargeError as fault:
        log.append(str(fault))
    return [
        *log,
        stream.decoder.skipped,
        stream.decoder.incomplete,
        stream.last_event_id,
        stream.retry,
    ]


def sync_and_async(chunks: list[Any], kind: Any, heard: bool, **options: Any) -> list[Any]:
    outcomes = []
    sides: list[tuple[Any, Any]] = [
        (EventStream, chunks),
        (AsyncEventStream, AsyncChunks(*map(kind, chunks))),
    ]
    for make, source in sides:
        log: list[Any] = []
        decoder = SSEDecoder(on_comment=log.append if heard else None, **options)
        outcomes.append(outcome_of(make(source, decoder=decoder), log))
    return outcomes


@given(
    st.one_of(
        support.streams,
        st.lists(st.sampled_from(support.SHAPES), max_size=8).map(b"".join),
    ),
    support.cut_points,
    support.limits,
    st.sampled_from(["raise", "skip"]),
    st.integers(1, 30),
    st.sampled_from([bytes, bytearray, memoryview]),
    st.booleans(),
)
def test_an_async_stream_is_as_a_sync_one(
    wire: bytes,
    cuts: list[int],
    limit: int | None,
    on_oversize: str,
    size: int,
    kind: Any,
    heard: bool,
) -> None:
    chunks = vectors.cut(wire, [min(c, len(wire)) for c in cuts])
    with vectors.small_thresholds(size):
        first, second = sync_and_async(
            chunks, kind, heard, max_event_size=limit, on_oversize=on_oversize
        )
    assert first == second


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("heard", [False, True], ids=["", "comments"])
def test_an_async_stream_in_chunks_of_any_size(end: str, heard: bool) -> None:
    text = ": a\n\ndata: b\n\nid: 1\ndata: c\ndata: d\n\n: e\nevent: f\ndata: g\n\n"
    text += ": h\n\ndata: i\n\ndata: j\n\n: k\n\n"
    wire = (text * 3).replace("\n", end).encode()
    expected = [tuple(event) for event in reference.decode(wire).events]
    for size in range(1, len(wire) + 1):
        chunks = [wire[start : start + size] for start in range(0, len(wire), size)]
        first, second = sync_and_async(chunks, bytes, heard)
        assert first == second
        assert [entry[0] for entry in first if isinstance(entry, tuple)] == expected


# What may be passed.


def test_one_shot() -> None:
    assert list(EventStream([ABC])) == [A, B, C]
    assert list(EventStream([])) == []


@pytest.mark.parametrize(
    "chunks",
    [
        [ABC],
        (ABC[:9], ABC[9:]),
        {ABC: 1},
        iter([b"", ABC]),
        (ABC[i : i + 1] for i in range(len(ABC))),
        io.BytesIO(ABC),
    ],
    ids=["list", "tuple", "dict", "iterator", "generator", "file"],
)
def test_any_iterable(chunks: Iterable[bytes]) -> None:
    assert list(EventStream(chunks)) == [A, B, C]


def test_other_kinds_of_chunk() -> None:
    assert list(EventStream([bytearray(ABC[:9]), memoryview(ABC)[9:]])) == [A, B, C]


class Bare:
    """An iterator with all that `for` and `async for` ask of it, and no more."""

    def __init__(self, chunks: Any) -> None:
        self.chunks: Iterator[bytes] = iter(chunks)

    def __next__(self) -> bytes:
        return next(self.chunks)

    async def __anext__(self) -> bytes:
        try:
            return next(self.chunks)
        except StopIteration:
            raise StopAsyncIteration from None


class BareIterable:
    chunks: Any = (ABC[:5], ABC[5:])

    def __iter__(self) -> Any:
        return Bare(self.chunks)

    def __aiter__(self) -> Any:
        return Bare(self.chunks)


def test_bare_iterators() -> None:
    assert list(EventStream(BareIterable())) == [A, B, C]
    nothing = BareIterable()
    nothing.chunks = [ABC, None]
    stream = EventStream(nothing)
    assert [next(stream) for _ in "abc"] == [A, B, C]
    with pytest.raises(TypeError, match="not NoneType"):  # None is no chunk, nor the end
        next(stream)
    assert asyncio.run(collect(AsyncEventStream(BareIterable()))) == [A, B, C]


class Response(Resource):
    headers = {"Content-Type": "text/event-stream"}  # noqa: RUF012

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("was iterated")

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("was iterated")


class OtherResponse(io.BytesIO):
    status_code = 200


@pytest.mark.parametrize(
    ("chunks", "advice"),
    [
        (ABC, r"^bytes is one chunk.*\[data\]"),
        (bytearray(ABC), r"^bytearray is one chunk.*\[data\]"),
        (memoryview(ABC), r"^memoryview is one chunk.*\[data\]"),
        (ABC.decode(), r"\[text\.encode\(\)\]"),
        (Response(), "^Response is a response.*iter_events"),
        (OtherResponse(), "^OtherResponse is a response.*iter_events"),
        (5, "^(Async)?EventStream takes an (async )?iterable of bytes, not int"),
        (None, "iterable of bytes"),
    ],
)
def test_what_is_not_chunks_is_refused(chunks: Any, advice: str) -> None:
    for kind in (EventStream, AsyncEventStream):
        with pytest.raises(TypeError, match=advice):
            kind(chunks)


def test_a_response_in_place_of_its_bytes() -> None:
    takers: tuple[Callable[[Any], object], ...] = (iter_documents, tee, whole_events)
    for taker in takers:
        with pytest.raises(TypeError, match=r"^Response is a response; pass its bytes: .*read1"):
            taker(Response())
    response: Any = Response()
    with pytest.raises(TypeError, match=r"^Response is a response; pass its bytes: .*iter_any"):
        aiter_documents(response)


def test_the_other_side_is_named() -> None:
    with pytest.raises(
        TypeError, match=r"^AsyncEventStream iterates.*pass this list to EventStream$"
    ):
        AsyncEventStream([ABC])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    chunks: object = generate(ABC)
    with pytest.raises(
        TypeError, match=r"^EventStream iterates.*pass this async_generator to AsyncEventStream$"
    ):
        EventStream(chunks)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_text_chunks_are_refused() -> None:
    response = Resource()
    stream = EventStream([ABC.decode()], response=response)  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="bytes, not str"):
        next(stream)
    assert response.closed == 1


def test_decoders() -> None:
    decoder = SSEDecoder(last_event_id="7", incomplete="discard")
    stream = EventStream([b"data: a\n\ndata: b"], decoder=decoder)
    assert stream.decoder is decoder
    assert list(stream) == [ServerSentEvent(data="a", id="7")]
    with pytest.raises(ValueError, match="one stream"):
        EventStream([], decoder=decoder)
    with pytest.raises(ValueError, match="one stream"):
        AsyncEventStream(generate(), decoder=decoder)
    wrong: Any = SSEDecoder
    with pytest.raises(TypeError, match="such as SSEDecoder"):
        EventStream([], decoder=wrong)
    with pytest.raises(TypeError, match="such as SSEDecoder"):
        AsyncEventStream(generate(), decoder=wrong)


def test_a_stream_is_its_iterator() -> None:
    response = Resource()
    stream = EventStream([ABC], response=response)
    assert stream.response is response
    assert iter(stream) is stream
    assert next(stream) == A
    assert list(stream) == [B, C]
    assert list(stream) == []
    async_stream = AsyncEventStream(generate(ABC))
    assert async_stream.__aiter__() is async_stream
    asyncio.run(async_stream.aclose())


def test_repr() -> None:
    stream = EventStream([b"id: 7\n" + ABC])
    assert repr(stream) == "<EventStream open, last_event_id=''>"
    list(stream)
    assert repr(stream) == "<EventStream ended, last_event_id='7'>"
    stream.close()
    assert repr(stream) == "<EventStream closed, last_event_id='7'>"


# Ends and errors: the same table for both sides.

LARGE = b"data: " + b"x" * 100 + b"\n\n"
Table = list[
    tuple[tuple[Any, ...], "dict[str, Any]", list[ServerSentEvent], "type[BaseException] | None"]
]
ENDS: Table = [
    ((ABC,), {}, [A, B, C], None),
    ((ABC, b"data: a"), {}, [A, B, C, A], None),
    ((ABC, b"data: a"), {"incomplete": "discard"}, [A, B, C], None),
    ((ABC, b"data: a"), {"incomplete": "raise"}, [A, B, C], IncompleteEventError),
    ((ABC, b"data: a", OSError("reset")), {}, [A, B, C], OSError),
    ((OSError("reset"),), {}, [], OSError),
    (
        (ABC + LARGE, AssertionError("read on")),
        {"max_event_size": 50},
        [A, B, C],
        EventTooLargeError,
    ),
    ((LARGE, AssertionError("read on")), {"max_event_size": 50}, [], EventTooLargeError),
    ((LARGE, ABC), {"max_event_size": 50, "on_oversize": "skip"}, [A, B, C], None),
    ((ABC, "text"), {}, [A, B, C], TypeError),
    ((ABC, KeyboardInterrupt()), {}, [A, B, C], KeyboardInterrupt),
]


@pytest.mark.parametrize(("chunks", "options", "expected", "error"), ENDS)
def test_ends(
    chunks: tuple[Any, ...],
    options: dict[str, Any],
    expected: list[ServerSentEvent],
    error: type[BaseException] | None,
) -> None:
    source, response = Chunks(*chunks), Resource()
    stream = EventStream(source, decoder=SSEDecoder(**options), response=response)
    events: list[ServerSentEvent] = []
    if error is None:
        events += stream
    else:
        with pytest.raises(error):
            for event in stream:
                events.append(event)
    assert events == expected
    assert (source.closed, response.closed) == (1, 1)
    check_that_it_is_over(stream, error)
    stream.close()
    assert next(stream, None) is None
    assert (source.closed, response.closed) == (1, 1)


def check_that_it_is_over(stream: EventStream, error: type[BaseException] | None) -> None:
    """An error is raised once; a read after it, or after an interrupt, is no quiet end."""
    if error is None:
        assert next(stream, None) is None
        return
    for _ in range(2):
        with pytest.raises(StreamClosedError) as info:
            next(stream)
        if issubclass(error, Exception):
            assert type(info.value.__cause__) is error
            assert "error" in str(info.value)
        else:
            assert info.value.__cause__ is None
            assert "interrupted" in str(info.value)


def test_short_and_long_chunks_by_turns() -> None:
    long = b"data: b\n" + b": c\n" * 400
    chunks = [b"id: 1\ndata: a\n", long, b"\ndata: d\n", b"\n" + long, b"data: e\n", b"\n\n"]
    expected = [ServerSentEvent(data=data, id="1") for data in ("a\nb", "d", "b\ne")]
    assert (
        [*EventStream(chunks)]
        == asyncio.run(collect(AsyncEventStream(generate(*chunks))))
        == expected
    )


def test_a_decoder_that_was_fed_before_and_after() -> None:
    decoder = SSEDecoder()
    stream = EventStream(iter([b"data: b\n\n", b"data: c\n\nid: 2\ndata: d\n"]), decoder=decoder)
    assert decoder.feed(b"data: a\n") == []
    assert (next(stream).data, next(stream).data) == ("a\nb", "c")
    assert decoder.feed(b"\n") == [ServerSentEvent(data="d", id="2")]


@pytest.mark.parametrize("run", [asyncio.run, trio.run])
@pytest.mark.parametrize(("chunks", "options", "expected", "error"), ENDS)
def test_async_ends(
    run: Callable[..., Any],
    chunks: tuple[Any, ...],
    options: dict[str, Any],
    expected: list[ServerSentEvent],
    error: type[BaseException] | None,
) -> None:
    async def main() -> None:
        source, response = AsyncChunks(*chunks), Resource()
        stream = AsyncEventStream(source, decoder=SSEDecoder(**options), response=response)
        events: list[ServerSentEvent] = []
        if error is None:
            await collect(stream, events)
        else:
            with pytest.raises(error):
                await collect(stream, events)
        assert events == expected
        assert (source.closed, response.closed) == (1, 1)
        if error is not None:
            with pytest.raises(StreamClosedError) as info:
                await stream.__anext__()
            assert isinstance(info.value.__cause__, error) is issubclass(error, Exception)
        else:
            assert await collect(stream) == []
        await stream.aclose()
        assert await collect(stream) == []
        assert (source.closed, response.closed) == (1, 1)

    run(main) if run is trio.run else run(main())


def test_a_failing_generator() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"data: a\n\ndata: b"
        raise ConnectionResetError("gone")

    stream = EventStream(chunks())
    assert next(stream) == A
    with pytest.raises(ConnectionResetError, match="gone"):
        next(stream)
    assert stream.decoder.incomplete
    with pytest.raises(StreamClosedError):
        next(stream)


class Fault(Exception):
    pass


def fail(comment: str) -> None:
    raise Fault(comment)


def test_an_exception_of_the_comment_callback_comes_after_completed_events() -> None:
    source = Chunks(b"id: 1\ndata: a\n\n: boom\ndata: b\n\n")
    stream = EventStream(source, decoder=SSEDecoder(on_comment=fail))
    assert next(stream).data == "a"
    assert stream.last_event_id == "1"
    with pytest.raises(Fault, match="boom"):
        next(stream)
    assert source.closed == 1


def test_last_event_id_follows_the_consumer_to_an_error() -> None:
    def fail(comment: str) -> None:
        raise Fault

    stream = EventStream(
        [b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n: c\n"], decoder=SSEDecoder(on_comment=fail)
    )
    assert [(next(stream).data, stream.last_event_id) for _ in "ab"] == [("a", "1"), ("b", "2")]
    with pytest.raises(Fault):
        next(stream)


def test_a_comment_callback_that_closes_the_stream_and_fails() -> None:
    def close_and_fail(comment: str) -> None:
        stream.close()
        raise Fault

    stream = EventStream(
        [b"id: 1\ndata: a\n\n: c\n"], decoder=SSEDecoder(on_comment=close_and_fail)
    )
    assert list(stream) == []  # it was closed before the chunk's events were handed out
    assert stream.last_event_id == ""


def test_an_interrupt_in_the_comment_callback_holds_nothing_up_and_loses_nothing() -> None:
    def interrupt(comment: str) -> None:
        raise KeyboardInterrupt

    source = Chunks(b"data: a\n\n: boom\ndata: b\n\n")
    stream = EventStream(source, decoder=SSEDecoder(on_comment=interrupt))
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert source.closed == 1
    with pytest.raises(StreamClosedError, match="interrupted"):
        next(stream)
    assert stream.decoder.close() == [A]


def test_an_interrupt_at_the_end_releases() -> None:
    def interrupt(comment: str) -> None:
        raise KeyboardInterrupt

    response = Resource()
    with pytest.raises(KeyboardInterrupt):
        next(EventStream([b": c"], decoder=SSEDecoder(on_comment=interrupt), response=response))
    assert response.closed == 1


def test_an_interrupt_of_the_release_loses_nothing() -> None:
    class Interrupting(Resource):
        def close(self) -> None:
            seen.append(stream.last_event_id)
            raise KeyboardInterrupt

    seen: list[str] = []
    stream = EventStream([b"id: 1\ndata: a\n\n", b"id: 2\ndata: b"], response=Interrupting())
    assert next(stream).data == "a"
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert seen == [stream.last_event_id] == ["1"]
    assert next(stream).data == "b"
    assert stream.last_event_id == "2"
    with pytest.raises(StreamClosedError, match="interrupted") as info:
        next(stream)
    assert info.value.last_event_id == "2"


def test_last_event_id_after_an_interrupt_in_the_callback() -> None:
    def interrupt(comment: str) -> None:
        raise KeyboardInterrupt

    decoder = SSEDecoder(on_comment=interrupt, last_event_id="0")
    stream = EventStream([b"id: 1\ndata: a\n\nid: 2\n\n: c\n"], decoder=decoder)
    assert stream.last_event_id == "0"
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    # Nothing was handed out of the chunk.
    assert (stream.last_event_id, stream.decoder.last_event_id) == ("0", "2")


# Closing.


def test_close_while_never_started() -> None:
    source, response = Chunks(ABC), Resource()
    with EventStream(source, response=response):
        pass
    assert (source.closed, response.closed) == (1, 1)


def test_leaving_early() -> None:
    finished = []

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield ABC
        finally:
            finished.append(True)

    response = Resource()
    with EventStream(chunks(), response=response) as stream:
        for event in stream:
            if event == B:
                break
    assert finished == [True]
    assert response.closed == 1
    for _ in range(2):
        with pytest.raises(StreamClosedError, match="`with` block was left"):
            next(stream)
    stream.close()
    assert list(stream) == []
    assert response.closed == 1


def test_reading_after_the_block_of_a_stream_that_was_exhausted() -> None:
    with EventStream([ABC]) as stream:
        assert list(stream) == [A, B, C]
    assert list(stream) == []
    with EventStream([ABC]) as stream:
        stream.close()
    assert list(stream) == []


def test_an_error_in_the_consumer() -> None:
    source = Chunks(ABC)
    with pytest.raises(Fault), EventStream(source) as stream:
        next(stream)
        raise Fault
    assert source.closed == 1


def test_a_response_is_closed_although_the_iterator_fails_to() -> None:
    class Stuck(Chunks):
        def close(self) -> None:
            raise Fault("stuck")

    response = Resource()
    stream = EventStream(Stuck(ABC), response=response)
    with pytest.raises(Fault, match="stuck"):
        stream.close()
    assert response.closed == 1
    stream.close()

    stream = EventStream(Stuck(ABC))
    assert [next(stream), next(stream), next(stream)] == [A, B, C]
    with pytest.raises(Fault, match="stuck"):
        next(stream)

    stream = EventStream(Stuck(OSError("first")))
    with pytest.raises(OSError, match="first"):
        next(stream)

    stream = EventStream(Stuck(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        next(stream)


@pytest.mark.parametrize("where", ["source", "comment", "comment of the end"])
def test_close_from_within(where: str) -> None:
    def close(comment: str) -> None:
        stream.close()

    def chunks() -> Generator[bytes, None, None]:
        yield b"id: 1\n" + ABC
        if where == "source":
            stream.close()
        yield b"id: 2\ndata: x\n\n"
        if where == "comment":
            yield b"id: 3\ndata: y\n\n: c\n"
        yield b": c"

    source = chunks()
    response = Resource()
    stream = EventStream(source, decoder=SSEDecoder(on_comment=close), response=response)
    ids = [event.id for event in stream]
    assert (
        ids
        == {
            "source": ["1"] * 3,
            "comment": ["1"] * 3 + ["2"],  # what its chunk completed before was not handed out
            "comment of the end": ["1"] * 3 + ["2"],
        }[where]
    )
    assert stream.last_event_id == ids[-1]
    assert response.closed == 1
    assert inspect.getgeneratorstate(source) == inspect.GEN_CLOSED


@pytest.mark.parametrize("before", [b"data: a\n\n", b"data: 1"], ids=["cut", "measured"])
def test_close_from_within_where_the_bound_is_near(before: bytes) -> None:
    def close(comment: str) -> None:
        stream.close()

    chunks = [before, b"\n: c\ndata: x\n\ndata: y\n\ndata: z\n\n"]
    stream = EventStream(chunks, decoder=SSEDecoder(on_comment=close, max_event_size=20))
    assert [event.data for event in stream] == ["a"] * (before[6:7] == b"a")


def test_close_from_another_thread_ends_a_blocked_read() -> None:
    class Pipe(Resource):
        def __init__(self) -> None:
            super().__init__()
            self.woken = threading.Event()
            self.blocked = threading.Event()

        def close(self) -> None:
            super().close()
            self.woken.set()

        def read(self) -> Iterator[bytes]:
            yield b"data: a\n\n"
            self.blocked.set()
            self.woken.wait(10)
            raise OSError("closed")

    pipe = Pipe()
    stream = EventStream(pipe.read(), response=pipe)
    events: list[ServerSentEvent] = []
    reader = threading.Thread(target=events.extend, args=(stream,))
    reader.start()
    assert pipe.blocked.wait(10)
    stream.close()
    reader.join(10)
    assert not reader.is_alive()
    assert events == [A]
    assert pipe.closed == 1


# The ID to resume from.


def test_last_event_id_follows_the_consumer() -> None:
    stream = EventStream(
        [b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\n\n", b"id: 4\n\n", b"data: c\n\nid: 5\ndata"]
    )
    seen = [stream.last_event_id]
    for _ in stream:
        seen.append(stream.last_event_id)  # noqa: PERF401
    # After b the whole first chunk is handed out, and its block with an ID alone counts.
    assert seen == ["", "1", "3", "4", "5"]
    assert stream.last_event_id == "5"


def test_half_a_byte_order_mark_is_not_incomplete_when_the_stream_is_closed() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"\xef\xbb"
        stream.close()
        yield b"\xbfdata: a\n\n"

    stream = EventStream(chunks())
    assert list(stream) == []
    assert not stream.decoder.incomplete


def test_closing_the_decoder_after_the_stream_does_not_move_its_last_event_id() -> None:
    stream = EventStream([b"id: 1\ndata: a\n\nid: 2\ndata: b"])
    next(stream)
    stream.close()
    assert stream.decoder.close() == [ServerSentEvent(data="b", id="2")]
    assert (stream.last_event_id, stream.decoder.last_event_id) == ("1", "2")


def test_closing_the_decoder_between_events_doubles_nothing() -> None:
    chunks = [b"data: a\n", b"\ndata: b\n\ndata: c\n\n"]
    stream = EventStream(chunks)
    assert (next(stream).data, stream.decoder.incomplete, stream.decoder.close()) == (
        "a",
        False,
        [],
    )
    stream = EventStream(chunks)
    next(stream)
    stream.close()
    assert (stream.decoder.incomplete, stream.decoder.close()) == (False, [])


def test_closing_from_a_comment_reads_no_more() -> None:
    def chunks() -> Iterator[bytes]:
        yield b": c\n" * 40_000  # so long that it is cut
        raise AssertionError

    stream = EventStream(chunks(), decoder=SSEDecoder(on_comment=lambda _: stream.close()))
    assert list(stream) == []


@pytest.mark.parametrize("kind", [IncompleteEventError, KeyboardInterrupt])
def test_an_error_keeps_nothing_alive(kind: type[BaseException]) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"data: a"
        if kind is KeyboardInterrupt:
            raise kind

    gc.disable()
    try:
        decoder = SSEDecoder(incomplete="raise")
        stream = EventStream(chunks(), decoder=decoder)
        with pytest.raises(kind):
            next(stream)
        gone = weakref.ref(stream)
        del stream
        assert gone() is None
    finally:
        gc.enable()


def test_last_event_id_is_frozen_by_close() -> None:
    stream = EventStream([b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"])
    next(stream)
    stream.close()
    assert (stream.last_event_id, stream.decoder.last_event_id) == ("1", "2")
    assert list(stream) == []


def test_last_event_id_in_the_comment_callback() -> None:
    seen: list[str] = []
    decoder = SSEDecoder(on_comment=lambda _: seen.append(stream.last_event_id))
    stream = EventStream([b"id: 1\n\n: c\n", b"id: 2\ndata: a\n\n: c\n", b": c\n"], decoder=decoder)
    assert [event.id for event in stream] == ["2"]
    assert seen == ["", "1", "2"]  # before the events of its chunk are handed out


def test_last_event_id_of_a_decoder_that_was_fed_before() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"id: 7\n\nretry: 5\n\n")
    assert EventStream([], decoder=decoder).last_event_id == "7"


def test_retry() -> None:
    stream = EventStream([b"retry: 5\n"])
    assert stream.retry is None
    assert list(stream) == []
    assert stream.retry == 5


blocks = st.lists(st.sampled_from(["event", "id only", "comment"]), min_size=1, max_size=12)


def numbered(kinds: list[str]) -> list[bytes]:
    texts = {"event": b"id: %d\ndata: x\n\n", "id only": b"id: %d\n\n", "comment": b": %d\n\n"}
    return [texts[kind] % number for number, kind in enumerate(kinds, 1)]


@given(
    blocks,
    st.lists(st.integers(0, 200), max_size=8),
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
)
def test_stopping_anywhere_and_resuming_loses_and_doubles_nothing(
    kinds: list[str], cuts: list[int], stops: list[int]
) -> None:
    wire = numbered(kinds)
    expected = [str(number) for number, kind in enumerate(kinds, 1) if kind == "event"]
    received: list[str] = []
    last_event_id = ""
    for stop in [*stops, len(kinds)]:
        stream_bytes = b"".join(wire[int(last_event_id or 0) :])
        chunks = vectors.cut(stream_bytes, [min(c, len(stream_bytes)) for c in cuts])
        with EventStream(chunks, decoder=SSEDecoder(last_event_id=last_event_id)) as stream:
            for event in stream:
                received.append(event.id)
                stop -= 1
                if stop <= 0:
                    break
        last_event_id = stream.last_event_id
    with EventStream([b"".join(wire[int(last_event_id or 0) :])]) as stream:
        received += [event.id for event in stream]
    assert received == expected


# The async side.


def on_both(main: Callable[[], Awaitable[None]]) -> None:
    async def awaited() -> None:
        await main()

    asyncio.run(awaited())
    trio.run(awaited)
    gc.collect()


def test_async_generators() -> None:
    async def main() -> None:
        assert await collect(AsyncEventStream(AsyncChunks(ABC[:3], b"", ABC[3:]))) == [A, B, C]

    on_both(main)
    assert asyncio.run(collect(AsyncEventStream(generate(ABC[:3], b"", ABC[3:])))) == [A, B, C]


def test_async_last_event_id_follows_the_consumer_in_small_chunks() -> None:
    async def main() -> None:
        chunks = [
            b": c\n\n",
            b"id: 1\ndata: a\n\nid: x\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\nid: 4\n\n",
            b"data: d\n\n",
        ]
        stream = AsyncEventStream(AsyncChunks(*chunks), decoder=SSEDecoder(last_event_id="0"))
        assert stream.last_event_id == "0"
        assert [(event.data, stream.last_event_id) async for event in stream] == [
            ("a", "1"),
            ("b", "2"),
            ("c", "4"),
            ("d", "4"),
        ]

    on_both(main)


def test_async_last_event_id_follows_the_consumer() -> None:
    async def main() -> None:
        stream = AsyncEventStream(
            AsyncChunks(b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\nid: 4\n\n")
        )
        assert stream.last_event_id == ""
        seen = [stream.last_event_id async for _ in stream]
        assert seen == [
            "1",
            "2",
            "4",
        ]  # with the last event of its chunk all of that has been handed out
        assert stream.last_event_id == "4"

    on_both(main)


def test_async_leaving_early() -> None:
    async def main() -> None:
        source, response = AsyncChunks(ABC, ABC), Resource()
        async with AsyncEventStream(source, response=response) as stream:
            async for event in stream:
                if event == B:
                    break
        assert (source.closed, response.closed) == (1, 1)
        assert stream.last_event_id == ""
        with pytest.raises(StreamClosedError, match="`with` block was left"):
            await stream.__anext__()
        with pytest.raises(Fault):
            async with AsyncEventStream(AsyncChunks(ABC), response=response) as stream:
                await stream.__anext__()
                raise Fault
        assert response.closed == 2

    on_both(main)


def test_async_close_of_a_generator() -> None:
    async def main() -> None:
        source = generate(ABC, ABC)
        response = AsyncResource()
        async with AsyncEventStream(source, response=response) as stream:
            assert await stream.__anext__() == A
        assert response.closed == 1
        with pytest.raises(StopAsyncIteration):
            await source.__anext__()
        await stream.aclose()
        assert response.closed == 1
        never_started = AsyncEventStream(generate(ABC), response=response)
        await never_started.aclose()
        assert response.closed == 2

    asyncio.run(main())


class Source(AsyncResource):
    """Chunks that come when they are put, and a response whose close wakes who waits for them."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.event = trio.Event() if in_trio() else asyncio.Event()
        self.error = error
        self.waiting = False
        self.chunks_closed = 0

    async def aclose(self) -> None:
        self.closed += 1
        self.event.set()

    async def read(self) -> AsyncIterator[bytes]:
        try:
            yield b"id: 1\ndata: a\n\n"
            self.waiting = True
            await self.event.wait()
            if self.error is not None:
                raise self.error
            yield b"id: 2\ndata: b\n\n"
        finally:
            self.chunks_closed += 1


def in_trio() -> bool:
    try:
        trio.lowlevel.current_trio_token()
    except RuntimeError:
        return False
    return True


async def pause() -> None:
    await (trio.sleep(0) if in_trio() else asyncio.sleep(0))


@pytest.mark.parametrize("error", [None, OSError("closed")])
def test_aclose_while_another_task_waits(error: Exception | None) -> None:
    async def check(start: Callable[[Callable[[], Awaitable[None]]], Any]) -> None:
        source = Source(error)
        stream = AsyncEventStream(source.read(), response=source)
        events: list[ServerSentEvent] = []
        done: list[bool] = []

        async def read() -> None:
            await collect(stream, events)
            done.append(True)

        start(read)
        while not source.waiting:
            await pause()
        await stream.aclose()
        while not done:
            await pause()
        assert [event.data for event in events] == ["a"]
        assert stream.last_event_id == "1"
        assert (source.closed, source.chunks_closed) == (1, 1)

    async def on_asyncio() -> None:
        tasks: list[asyncio.Task[None]] = []
        await check(lambda read: tasks.append(asyncio.ensure_future(read())))
        await asyncio.gather(*tasks)

    async def on_trio() -> None:
        async with trio.open_nursery() as nursery:
            await check(nursery.start_soon)

    asyncio.run(on_asyncio())
    trio.run(on_trio)


def test_aclose_while_another_task_waits_in_a_class() -> None:
    async def main() -> None:
        class Queue(AsyncChunks):
            def __init__(self) -> None:
                super().__init__()
                self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()

            async def __anext__(self) -> bytes:
                chunk = await self.queue.get()
                if chunk is None:
                    raise StopAsyncIteration
                return chunk

            async def aclose(self) -> None:
                self.close()
                self.queue.put_nowait(None)

        source = Queue()
        stream = AsyncEventStream(source)
        reading = asyncio.ensure_future(collect(stream))
        source.queue.put_nowait(b"data: a\n\ndata: b")
        await asyncio.sleep(0.01)
        await stream.aclose()
        assert await reading == [A]
        assert source.closed == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    "late", [b"", b"x", b"data: b\n", b"data: b\n\n", b": c\n\n", bytearray(b"data: b\n\n")]
)
@pytest.mark.parametrize("before", [b"data: a\n\n", b"data: a\n\ndata: c", b"data: a\n\ndata: c\r"])
def test_a_chunk_that_comes_after_aclose_is_the_last_to_be_read(before: bytes, late: bytes) -> None:
    async def main() -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()

        class Endless:  # without an `aclose` that would wake who waits
            def __aiter__(self) -> Endless:
                return self

            async def __anext__(self) -> bytes:
                return await queue.get()

        stream = AsyncEventStream(Endless())
        reading = asyncio.ensure_future(collect(stream))
        queue.put_nowait(before)
        await asyncio.sleep(0.001)
        await stream.aclose()
        queue.put_nowait(late)
        assert await asyncio.wait_for(reading, 5) == [A]

    asyncio.run(main())


def test_next_within_the_end_of_the_stream_is_refused() -> None:
    seen: list[str] = []

    def on_comment(text: str) -> None:
        try:
            next(stream)
        except RuntimeError as error:
            seen.append(str(error)[:19])

    stream = EventStream([b"data: a\n\ndata: b\n: c"], decoder=SSEDecoder(on_comment=on_comment))
    assert [event.data for event in stream] == ["a", "b"]
    assert seen == ["two readers at once"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_may_not_be_held_up_passes_through_a_closed_stream(error: type[BaseException]) -> None:
    def chunks() -> Any:
        yield b"data: a\n\n"
        stream.close()  # as the handler of a signal may
        raise error

    stream = EventStream(chunks())
    assert next(stream).data == "a"
    with pytest.raises(error):
        next(stream)
    assert list(stream) == []


def test_two_tasks_cannot_wait_at_once() -> None:
    async def main() -> None:
        source = Source()
        async with AsyncEventStream(source.read(), response=source) as stream:
            assert (await stream.__anext__()).data == "a"
            waiting = asyncio.ensure_future(collect(stream))
            while not source.waiting:
                await asyncio.sleep(0)
            for _ in range(2):
                with pytest.raises(RuntimeError, match="two tasks"):
                    await stream.__anext__()
            source.event.set()
            assert [event.data for event in await waiting] == ["b"]

    asyncio.run(main())


def test_cancellation_releases_then_goes_on() -> None:
    async def main() -> None:
        source = Source()
        stream = AsyncEventStream(source.read(), response=source)
        reading = asyncio.ensure_future(collect(stream))
        while not source.waiting:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert (source.closed, source.chunks_closed) == (1, 1)
        assert stream.last_event_id == "1"
        with pytest.raises(StreamClosedError, match="cancelled"):
            await stream.__anext__()

    asyncio.run(main())


def test_cancellation_on_trio() -> None:
    async def main() -> None:
        source = Source()
        stream = AsyncEventStream(source.read(), response=source)
        events: list[ServerSentEvent] = []
        with trio.move_on_after(0.01) as scope:
            await collect(stream, events)
        assert scope.cancelled_caught
        assert len(events) == 1
        assert (source.closed, source.chunks_closed) == (1, 1)
        with pytest.raises(StreamClosedError, match="cancelled"):
            await stream.__anext__()

    trio.run(main)


def test_a_response_that_fails_to_close_does_not_hide_the_cancellation() -> None:
    async def main() -> None:
        class Stuck(Source):
            async def aclose(self) -> None:
                await super().aclose()
                raise Fault("stuck")

        source = Stuck()
        stream = AsyncEventStream(source.read(), response=source)
        reading = asyncio.ensure_future(collect(stream))
        while not source.waiting:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert source.closed == 1

        stream = AsyncEventStream(AsyncChunks(ABC), response=Stuck())
        assert [(await stream.__anext__()).data for _ in "abc"] == ["a", "b", "c"]
        with pytest.raises(Fault, match="stuck"):
            await stream.__anext__()

    asyncio.run(main())


def test_a_timeout_is_terminal() -> None:
    async def main() -> None:
        source = Source()
        stream = AsyncEventStream(source.read(), response=source)
        assert (await stream.__anext__()).data == "a"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stream.__anext__(), 0.01)
        assert source.closed == 1
        with pytest.raises(StreamClosedError, match="wait with a limit"):
            await stream.__anext__()

    asyncio.run(main())


def step(coroutine: Any) -> None:
    """Run a coroutine to its first wait, without an event loop."""
    coroutine.send(None)


class Wait:
    def __await__(self) -> Generator[None, None, None]:
        yield


def test_a_timeout_during_the_release_loses_nothing() -> None:
    class Slow(AsyncResource):
        async def aclose(self) -> None:
            await asyncio.sleep(10)

    async def main() -> None:
        chunks = AsyncChunks(b"id: 1\ndata: a\n\n", b"id: 2\ndata: b")
        stream = AsyncEventStream(chunks, response=Slow())
        assert (await stream.__anext__()).data == "a"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stream.__anext__(), 0.01)
        assert stream.last_event_id == "1"
        assert (await stream.__anext__()).data == "b"
        assert stream.last_event_id == "2"
        with pytest.raises(StreamClosedError, match="cancelled"):
            await stream.__anext__()

    asyncio.run(main())


def test_a_waiting_coroutine_that_is_closed_awaits_nothing_more() -> None:
    response = AsyncResource()

    async def chunks() -> AsyncIterator[bytes]:
        yield ABC[:9]
        await Wait()

    async def consume() -> None:
        async with stream:
            await collect(stream)

    stream = AsyncEventStream(chunks(), response=response)
    coroutine = consume()
    step(coroutine)
    coroutine.close()  # a RuntimeError if it awaited
    assert response.closed == 0

    async def after() -> None:
        with pytest.raises(StreamClosedError, match="cancelled"):
            await stream.__anext__()
        await stream.aclose()
        await stream.aclose()

    asyncio.run(after())
    assert response.closed == 1


def test_a_waiting_coroutine_that_is_collected() -> None:
    response = AsyncResource()
    source = AsyncChunks()

    async def wait() -> bytes:
        await Wait()
        raise AssertionError

    source.__class__ = type("Waiting", (AsyncChunks,), {"__anext__": lambda self: wait()})
    stream = AsyncEventStream(source, response=response)
    coroutine = stream.__anext__()
    step(coroutine)
    del coroutine
    gc.collect()
    assert response.closed == 0
    with pytest.raises(StreamClosedError, match="cancelled"):
        asyncio.run(collect_one(stream))


async def collect_one(stream: AsyncEventStream) -> ServerSentEvent:
    return await stream.__anext__()


def test_async_close_from_the_comment_callback() -> None:
    async def main() -> None:
        closing: list[asyncio.Task[None]] = []

        def close(comment: str) -> None:
            closing.append(asyncio.ensure_future(stream.aclose()))

        source = Source()
        source.event.set()

        async def chunks() -> AsyncIterator[bytes]:
            yield ABC + b": c\n"
            await asyncio.sleep(0.01)
            yield b"data: x\n\n"

        stream = AsyncEventStream(chunks(), decoder=SSEDecoder(on_comment=close), response=source)
        assert await collect(stream) == [A, B, C]
        await closing[0]
        assert source.closed == 1

    asyncio.run(main())


# What connect returns.


def test_an_opening_is_entered_once() -> None:
    opening = Opening(lambda: EventStream([ABC]))
    with opening:
        pass
    with pytest.raises(RuntimeError, match="call connect"), opening:
        pass

    async def main() -> None:
        async def open_stream() -> AsyncEventStream:
            return AsyncEventStream(AsyncChunks(ABC))

        opening = AsyncOpening(open_stream)
        async with opening:
            pass
        with pytest.raises(RuntimeError, match="aconnect"):
            await opening.__aenter__()

    asyncio.run(main())


def test_opening() -> None:
    response = Resource()
    opening = Opening(lambda: EventStream([ABC], response=response))
    with opening as stream:
        assert next(stream) == A
    assert response.closed == 1
    with pytest.raises(Fault), Opening(lambda: EventStream([ABC], response=response)):
        raise Fault
    assert response.closed == 2


def test_async_opening() -> None:
    async def main() -> None:
        response = Resource()

        async def open_stream() -> AsyncEventStream:
            return AsyncEventStream(AsyncChunks(ABC), response=response)

        async with AsyncOpening(open_stream) as stream:
            assert await stream.__anext__() == A
        assert response.closed == 1
        with pytest.raises(Fault):
            async with AsyncOpening(open_stream):
                raise Fault
        assert response.closed == 2

    on_both(main)


def test_an_opening_in_a_coroutine_that_is_closed_awaits_nothing_more() -> None:
    response = AsyncResource()

    async def open_stream() -> AsyncEventStream:
        return AsyncEventStream(AsyncChunks(ABC), response=response)

    async def consume() -> None:
        async with AsyncOpening(open_stream):
            await Wait()

    coroutine = consume()
    step(coroutine)
    coroutine.close()  # a RuntimeError if it awaited
    assert response.closed == 0


def test_a_subclass_may_change_each_event() -> None:
    class Shouting(EventStream):
        def __next__(self) -> ServerSentEvent:
            event = super().__next__()
            return event._replace(data=event.data.upper())

    assert [event.data for event in Shouting([b"data: a\n\ndata: b\n\n"])] == ["A", "B"]
    stream = Shouting([b"data: a\n\n"])
    assert next(stream).data == "A"
    assert next(stream, None) is None


MISUSES: dict[str, Callable[[Any], Any]] = {
    "iterated": iter,
    "asked for the next": next,
    "iterated asynchronously": lambda opening: opening.__aiter__(),
    "asked for the next asynchronously": lambda opening: opening.__anext__(),
    "awaited": lambda opening: opening.__await__(),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES.keys())
def test_an_opening_that_is_used_wrongly_shows_the_right_lines(
    misuse: Callable[[Any], Any],
) -> None:
    async def open_stream() -> AsyncEventStream:
        raise AssertionError

    with pytest.raises(TypeError, match=r"\n    with connect\(\.\.\.\) as stream:\n        for "):
        misuse(Opening(lambda: EventStream([])))
    with pytest.raises(TypeError, match=r"\n    async with aconnect\(\.\.\.\) as stream:\n   "):
        misuse(AsyncOpening(open_stream))


def test_an_opening_that_is_entered_by_the_wrong_with_shows_the_right_lines() -> None:
    async def open_stream() -> AsyncEventStream:
        raise AssertionError

    opening: Any = AsyncOpening(open_stream)
    with pytest.raises(TypeError, match="async with aconnect"), opening:
        pass
    assert repr(opening) == "<AsyncOpening not entered>"

    async def main() -> None:
        opening: Any = Opening(lambda: EventStream([]))
        with pytest.raises(TypeError, match=r"\n    with connect"):
            async with opening:
                pass
        assert repr(opening) == "<Opening not entered>"

    asyncio.run(main())


def test_lines_that_have_lost_their_ends_are_refused() -> None:
    class Response:
        def iter_lines(self) -> Iterator[bytes]:
            yield b"data: a"

        async def aiter_lines(self) -> AsyncIterator[bytes]:
            yield b"data: a"

    with pytest.raises(TypeError, match=r"not lines.*iter_events"):
        EventStream(Response().iter_lines())
    with pytest.raises(TypeError, match=r"not lines.*iter_events"):
        AsyncEventStream(Response().aiter_lines())


def test_a_stream_closed_error_can_be_pickled() -> None:
    error = StreamClosedError("closed", "7")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.last_event_id) == (StreamClosedError, "closed", "7")


def test_a_stream_that_is_left_says_where_to_resume() -> None:
    with EventStream([b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n"]) as stream:
        next(stream)
    with pytest.raises(StreamClosedError, match="the ID to resume from is '1'") as info:
        next(stream)
    assert info.value.last_event_id == "1"
    assert repr(stream) == "<EventStream closed, last_event_id='1'>"


# What is read on after a mark.


class Interruptible(Chunks):
    interrupted = 0

    def interrupt(self) -> None:
        self.interrupted += 1


def test_draining() -> None:
    source = Interruptible(b"data: a\n\n", b"x" * 100, b"y" * 100)
    stream = EventStream(source)
    assert next(stream) == A
    stream.drain(200, 1)
    assert list(stream) == []
    assert list(source) == []
    stream.drain(200, 1)


@pytest.mark.parametrize("chunks", [[b"x" * 100, b"y" * 101], [OSError("reset")]])
def test_draining_that_does_not_reach_the_end(chunks: list[Any]) -> None:
    stream = EventStream(Interruptible(b"data: a\n\n", *chunks))
    assert next(stream) == A
    stream.drain(200, 1)
    stream.close()
    assert list(stream) == []


def test_draining_takes_no_longer_than_it_may() -> None:
    class Waits(Interruptible):
        def __init__(self) -> None:
            super().__init__(b"data: a\n\n")
            self.woken = threading.Event()

        def interrupt(self) -> None:
            super().interrupt()
            self.woken.set()

        def __next__(self) -> bytes:
            try:
                return super().__next__()
            except StopIteration:
                assert self.woken.wait(10)
                raise

    source = Waits()
    stream = EventStream(source)
    assert next(stream) == A
    stream.drain(200, 0.01)
    assert source.interrupted == 1


def test_what_cannot_be_interrupted_is_not_drained() -> None:
    source = Chunks(b"data: a\n\n", AssertionError("read on"))
    stream = EventStream(source)
    assert next(stream) == A
    stream.drain(200, 1)
    stream.close()


@pytest.mark.parametrize(
    ("chunks", "left"), [([b"x" * 100, b"y" * 100], 0), ([b"x" * 201, b"y"], 1), ([OSError()], 0)]
)
def test_draining_async(chunks: list[Any], left: int) -> None:
    class Source(AsyncChunks, Interruptible):
        pass

    async def main() -> None:
        source = Source(b"data: a\n\n", *chunks)
        stream = AsyncEventStream(source)
        assert await anext(stream) == A
        await stream.drain(200, 1)
        await stream.drain(0, 1) if not left else None
        assert len(list(source.chunks)) == left
        await stream.aclose()

    on_both(main)


def test_draining_async_takes_no_longer_than_it_may() -> None:
    class Source(AsyncChunks, Interruptible):
        async def __anext__(self) -> bytes:
            try:
                return await super().__anext__()
            except StopAsyncIteration:
                await (trio.sleep_forever() if in_trio() else asyncio.Event().wait())
                raise

    async def main() -> None:
        stream = AsyncEventStream(Source(b"data: a\n\n"))
        assert await anext(stream) == A
        await stream.drain(200, 0.01)
        await stream.aclose()

    on_both(main)


# Found in review.


def test_close_from_a_comment_waits_for_no_further_chunk() -> None:
    def chunks() -> Iterator[bytes]:
        yield b": bye\n\n"
        raise AssertionError("read on")

    stream = EventStream(chunks(), decoder=SSEDecoder(on_comment=lambda _: stream.close()))
    assert list(stream) == []


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_a_callback_that_raises_stop_iteration_ends_nothing_quietly(kind: type[Exception]) -> None:
    def on_comment(comment: str) -> None:
        raise kind

    stream = EventStream([b": c\n"], decoder=SSEDecoder(on_comment=on_comment))
    with pytest.raises(RuntimeError, match="a callback raised Stop") as info:
        next(stream)
    assert isinstance(info.value.__cause__, kind)
    source = AsyncChunks(b": c\n")
    async_stream = AsyncEventStream(source, decoder=SSEDecoder(on_comment=on_comment))
    with pytest.raises(RuntimeError, match="a callback raised Stop"):
        asyncio.run(collect_one(async_stream))


def test_what_was_passed_is_closed_too() -> None:
    class Chunked(Resource):
        def __iter__(self) -> Iterator[bytes]:
            yield ABC

    chunks = Chunked()
    assert list(EventStream(chunks)) == [A, B, C]
    assert chunks.closed == 1


def test_a_chunk_is_not_held_while_the_next_is_waited_for() -> None:
    class Chunk(bytearray):
        pass

    gone: list[Any] = []

    def chunks() -> Iterator[Any]:
        chunk = Chunk(b": c\n")
        gone.append(weakref.ref(chunk))
        yield chunk
        del chunk
        gc.collect()
        assert gone[0]() is None
        yield ABC

    assert list(EventStream(chunks())) == [A, B, C]


def test_cancelling_a_drain_releases() -> None:
    class Waits(AsyncChunks, Interruptible):
        async def __anext__(self) -> bytes:
            try:
                return await super().__anext__()
            except StopAsyncIteration:
                await asyncio.Event().wait()
                raise

    async def main() -> None:
        source = Waits(b"data: 1\n\ndata: [DONE]\n\n")
        payloads = aiter_payloads(AsyncEventStream(source), read_to_end=True)
        assert await anext(payloads) == 1
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(payloads), 0.01)
        assert source.closed == 1

    asyncio.run(main())


def test_a_bare_iterator_is_closed_and_interrupted() -> None:
    class Closable(Bare, Resource):
        interrupted = 0

        def __init__(self) -> None:
            Bare.__init__(self, [ABC])
            Resource.__init__(self)

        def interrupt(self) -> None:
            self.interrupted += 1

    bare = Closable()
    iterable = BareIterable()
    iterable.__class__ = type("Made", (BareIterable,), {"__iter__": lambda self: bare})
    stream = EventStream(iterable)
    assert next(stream) == A
    stream.wake()
    stream.close()
    assert (bare.closed, bare.interrupted) == (1, 1)

    async def main() -> None:
        bare = Closable()
        iterable = BareIterable()
        iterable.__class__ = type("Made", (BareIterable,), {"__aiter__": lambda self: bare})
        stream = AsyncEventStream(iterable)
        assert await anext(stream) == A
        stream.wake()
        await stream.aclose()
        assert (bare.closed, bare.interrupted) == (1, 1)

    asyncio.run(main())


def test_events_in_place_of_bytes_are_refused() -> None:
    events: Any = EventStream(Chunks(b"data: a\n\n"))
    with pytest.raises(TypeError, match=r"not events.* use it as it is"):
        EventStream(events)
    aevents: Any = AsyncEventStream(AsyncChunks())
    with pytest.raises(TypeError, match=r"not events.* use it as it is"):
        AsyncEventStream(aevents)


def test_lines_are_refused_with_what_fits_the_taker() -> None:
    def iter_lines() -> Iterator[bytes]:
        yield b"data: a"

    with pytest.raises(TypeError, match=r"iter_events or aiter_events.*iter_bytes"):
        EventStream(iter_lines())
    with pytest.raises(TypeError, match=r"ends; pass response\.iter_bytes"):
        iter_documents(iter_lines())


# What this file would leave to the tests of others.


class Ending(EventStream):
    """A stream whose face is interrupted while it takes note of the end."""

    def note_end(self, error: BaseException | None) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_while_the_end_is_noted() -> None:
    chunks = Chunks(b"data: a\n\n")
    stream = Ending(chunks)
    assert next(stream) == A
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert chunks.closed == 1
    with pytest.raises(StreamClosedError, match="interrupted"):
        next(stream)


def test_what_is_released_within_a_release_is_released_once() -> None:
    class Releasing(AsyncChunks):
        def close(self) -> None:
            super().close()
            stream.release_at_once()

    chunks, response = Releasing(ABC), Releasing()
    stream = AsyncEventStream(chunks, response=response)
    stream.release_at_once()
    assert (chunks.closed, response.closed) == (1, 1)


def test_a_mark_is_words_or_a_function() -> None:
    event = ServerSentEvent(data="a")
    marks = DoneMark(("[DONE]", " end ", lambda event: event.data == "a"))
    assert [*map(marks.is_text, ("[DONE]", ' "[DONE]"\n', "end", '"end"', "[DONE", ""))] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert marks.is_met(event)
    assert not marks.is_met(event._replace(data="b"))
    assert not DoneMark(None).is_text("")
    assert not DoneMark([]).is_met(event)
    assert DoneMark({"end"}, is_required=True).is_required

    async def function(event: object) -> bool:
        return True

    for wrong, error, words in (
        ("", ValueError, "None for no mark"),
        (["a", 7], TypeError, "done must be a str, a function"),
        (function, TypeError, "done must be a plain function"),
    ):
        with pytest.raises(error, match=words):
            DoneMark(wrong)
    with pytest.raises(ValueError, match="needs a mark"):
        DoneMark(None, is_required=True)


def test_a_decoder_and_an_id() -> None:
    with pytest.raises(ValueError, match="either decoder or last_event_id"):
        check_decoder(SSEDecoder(), "7")
    assert check_decoder(None, "7").last_event_id == "7"


def test_the_content_of_aiohttp_is_named() -> None:
    class StreamReader(AsyncChunks):
        def readany(self) -> None: ...

        def iter_any(self) -> None: ...

    with pytest.raises(TypeError, match=r"StreamReader iterates over lines.*iter_any\(\)"):
        AsyncEventStream(StreamReader())


def test_an_event_that_the_end_cut_off_shows_itself_as_any_other() -> None:
    (event,) = EventStream([b"data: a"])
    assert type(event) is UnfinishedEvent
    assert repr(event) == repr(A)
    assert event == A


def test_openings_that_are_left_without_having_been_entered() -> None:
    def never() -> Any:
        raise AssertionError

    opening = Opening(never)
    opening.__exit__(None, None, None)
    aopening = AsyncOpening(never)
    aopening.__exit__()
    asyncio.run(opening.__aexit__())
    asyncio.run(aopening.__aexit__(None, None, None))


def test_a_drain_that_is_woken_too_late_wakes_nobody() -> None:
    stream = EventStream(Waking(b"data: a\n\n"))
    stream._wake_drain()
    assert stream.source.interrupted == 0


class Waking(Chunks):
    """Chunks that know how to wake who reads them."""

    interrupted = 0

    def interrupt(self) -> None:
        self.interrupted += 1


class AsyncWaking(Waking, AsyncChunks):
    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.close()


def test_an_async_stream_that_can_be_woken_is_closed_by_its_reader() -> None:
    async def main() -> None:
        class Blocked(AsyncWaking):
            async def __anext__(self) -> bytes:
                await woken.wait()
                return b""

            def interrupt(self) -> None:
                super().interrupt()
                woken.set()

        woken = asyncio.Event()
        chunks = Blocked()
        stream = AsyncEventStream(chunks)
        reader = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
        await stream.aclose()
        assert chunks.interrupted == 1
        assert await reader is None
        assert chunks.closed == 1

    asyncio.run(main())


def test_what_is_released_at_once_is_told_so_if_it_can_be_woken() -> None:
    chunks = AsyncWaking(ABC)
    stream = AsyncEventStream(chunks)
    stream.release_at_once()
    assert (chunks.interrupted, chunks.closed) == (1, 0)
    asyncio.run(stream.aclose())
    assert chunks.closed == 1


def test_two_resources_of_a_coroutine_that_is_closed() -> None:
    """Nothing more is awaited after the first; the second is closed as far as that can be."""

    class Waiting(AsyncResource):
        async def aclose(self) -> None:
            await Suspend()

    response, other = Waiting(), Resource()
    closing = aclose_all(response, other, AsyncResource())
    closing.send(None)
    with pytest.raises(GeneratorExit):
        closing.throw(GeneratorExit)
    assert other.closed == 1


class Suspend:
    def __await__(self) -> Generator[None, None, None]:
        yield


@pytest.mark.parametrize("count", [1, 2])
def test_chunks_that_close_their_stream_and_then_give_events(count: int) -> None:
    """Events that complete after `close` are not handed out: the position is that before them."""

    def chunks() -> Iterator[bytes]:
        yield b"id: 1\ndata: a\n\n"
        stream.close()
        yield b"".join(b"id: %d\ndata: b\n\n" % number for number in range(2, 2 + count))

    async def achunks() -> AsyncIterator[bytes]:
        yield b"id: 1\ndata: a\n\n"
        await astream.aclose()
        yield b"".join(b"id: %d\ndata: b\n\n" % number for number in range(2, 2 + count))

    stream = EventStream(chunks())
    assert [event.id for event in stream] == ["1"]
    assert stream.last_event_id == "1"
    astream = AsyncEventStream(achunks())

    async def main() -> None:
        assert [event.id async for event in astream] == ["1"]
        assert astream.last_event_id == "1"

    asyncio.run(main())


class ClosedMeanwhile(EventStream):
    """A stream that another thread closes between the end of a read and what the read returns."""

    def __setattr__(self, name: str, value: object) -> None:
        was_reading = getattr(self, "_is_reading", False)
        super().__setattr__(name, value)
        if was_reading and not self._is_reading and not self.is_closed:
            self.close()


@pytest.mark.parametrize(
    ("chunk", "data", "position"),
    [
        (b"data: a\n\ndata: b\n\n", [], ""),
        (b": c\ndata: a\n\n", [], ""),
        (b"id: 1\ndata: a\n\n", ["a"], "1"),  # the position counts it as handed out
        (b"id: 1\ndata: a", [], ""),  # completed by the end
    ],
)
def test_close_while_an_answer_is_handed_out(chunk: bytes, data: list[str], position: str) -> None:
    """The event and the position agree: who resumes from it loses and doubles nothing."""
    chunks = Chunks(chunk)
    stream = ClosedMeanwhile(chunks)
    assert [event.data for event in stream] == data
    assert (stream.last_event_id, chunks.closed) == (position, 1)


@pytest.mark.parametrize("chunk", [b": close\ndata: a\n\n", b": close\n"])
def test_async_close_from_a_comment_before_an_event(chunk: bytes) -> None:
    stream: Any = None

    def close(_: str) -> None:
        with pytest.raises(StopIteration):
            stream.aclose().send(None)

    async def main() -> None:
        nonlocal stream
        chunks = AsyncChunks(chunk, b"data: b\n\n")
        stream = AsyncEventStream(chunks, decoder=SSEDecoder(on_comment=close))
        assert [event async for event in stream] == []
        assert chunks.closed == 1

    asyncio.run(main())


def test_an_interrupt_while_the_end_is_settled() -> None:
    def interrupt(self: Any, items: list[Any]) -> list[Any]:
        raise KeyboardInterrupt

    chunks = [b"id: 1\ndata: a\n\n", b"id: 2\ndata: b"]
    for source in (Chunks(*chunks), (chunk for chunk in chunks)):
        response = Resource()
        stream = EventStream(source, response=response)
        next(stream)
        with patch.object(EventStream, "_at_the_end", interrupt), pytest.raises(KeyboardInterrupt):
            next(stream)
        assert response.closed == 1
        assert "interrupted" in repr(stream)
        for _ in range(2):
            with pytest.raises(StreamClosedError, match="interrupted") as info:
                next(stream)
            assert info.value.last_event_id == "1"


def test_an_interrupt_while_the_end_of_an_async_stream_is_settled() -> None:
    def interrupt(self: Any, items: list[Any]) -> list[Any]:
        raise KeyboardInterrupt

    async def main() -> None:
        chunks = AsyncChunks(b"id: 1\ndata: a\n\n", b"id: 2\ndata: b")
        stream = AsyncEventStream(chunks)
        await anext(stream)
        with patch.object(AsyncEventStream, "_at_the_end", interrupt):
            coroutine = anext(stream)
            with pytest.raises(KeyboardInterrupt):
                await coroutine
        with pytest.raises(StreamClosedError, match="interrupted") as info:
            await anext(stream)
        assert info.value.last_event_id == "1"

    trio.run(main)


def test_an_interrupt_after_a_close_while_the_end_is_settled() -> None:
    def close(self: EventStream, items: list[Any]) -> list[Any]:
        self.close()
        raise KeyboardInterrupt

    stream = EventStream([b"data: a"])
    with patch.object(EventStream, "_at_the_end", close), pytest.raises(KeyboardInterrupt):
        next(stream)
    assert [*stream] == []
    assert stream.is_closed


def test_a_callback_of_a_face_that_raises_stop_iteration() -> None:
    def is_error(event: Any, payload: Any) -> bool:
        raise StopIteration

    with pytest.raises(RuntimeError, match="a callback raised StopIteration"):
        next(iter_payloads(EventStream([b"data: {}\n\n"]), is_error=is_error))


# The whole texts.

LEFT = (
    "its `with` block was left, or the reading of its payloads failed: read inside the block, "
    "with one reader"
)
CUT_SHORT = (
    "a read was cancelled or interrupted, and that ended the reading, as a timeout around a read "
    "does. To wait with a limit, keep the read in a task (task = "
    "asyncio.ensure_future(anext(stream))) and call asyncio.wait({task}, timeout=...) as often as "
    "you like; on trio, read in a task of its own"
)
FAILED = "the reading ended with an error, which an earlier read raised"


def test_the_whole_text_of_why_nothing_is_read() -> None:
    for fault, text in ((None, LEFT), (KeyboardInterrupt(), CUT_SHORT), (OSError(), FAILED)):
        for start, end in ((b"", ""), (b"id: 7\n\n", "; the ID to resume from is '7'")):
            with EventStream(Chunks(start, *([] if fault is None else [fault]))) as stream:
                if fault is not None:
                    with pytest.raises(type(fault)):
                        next(stream)
                elif start:
                    stream.decoder.feed(start)
            with pytest.raises(StreamClosedError) as caught:
                next(stream)
            assert str(caught.value) == text + end


def test_the_whole_text_about_two_readers() -> None:
    def chunks() -> Iterator[bytes]:
        with pytest.raises(RuntimeError) as caught:
            next(stream)
        assert str(caught.value) == (
            "two readers at once (two tasks, two threads, or a callback that reads): "
            "let one read, and pass on what it gets"
        )
        yield b"data: a\n\n"

    stream = EventStream(chunks())
    assert [*stream] == [A]


def test_the_whole_text_about_lines() -> None:
    def iter_lines() -> Iterator[bytes]:
        yield b"data: a"

    class StreamReader(Chunks):
        def readany(self) -> None: ...

        def iter_any(self) -> None: ...

    or_response = "the response to iter_events or aiter_events of its client's adapter, or "
    for taker, name, hint in (
        (EventStream, "EventStream", or_response),
        (iter_documents, "iter_documents", ""),
    ):
        with pytest.raises(TypeError) as caught:
            taker(iter_lines())
        assert str(caught.value) == (
            f"{name} takes bytes as they came, not lines, which have lost their ends; pass "
            f"{hint}response.iter_bytes() (httpx), iter(lambda: response.raw.read1(65536, "
            'decode_content=True), b"") (requests)'
        )
        with pytest.raises(TypeError) as caught:
            taker(StreamReader())
        assert str(caught.value) == (
            "StreamReader iterates over lines, not over bytes as they came; pass "
            f"{hint}StreamReader.iter_any()"
        )


def test_the_whole_text_about_the_other_side() -> None:
    chunks: Any = generate()
    with pytest.raises(TypeError) as caught:
        EventStream(chunks)
    text = "EventStream iterates over an iterable; pass this async_generator to AsyncEventStream"
    assert str(caught.value) == text
    chunks = []
    with pytest.raises(TypeError) as caught:
        AsyncEventStream(chunks)
    text = "AsyncEventStream iterates over an async iterable; pass this list to EventStream"
    assert str(caught.value) == text


def test_the_whole_text_about_a_connection_to_be_opened() -> None:
    opening: Any = Opening(lambda: EventStream([]))
    with pytest.raises(TypeError) as caught:
        iter(opening)
    assert str(caught.value) == (
        "this is a connection yet to be opened; write:\n"
        "    with connect(...) as stream:\n"
        "        for event in stream: ..."
    )
    assert repr(opening) == "<Opening not entered>"
    with opening:
        assert repr(opening) == "<Opening entered>"


# States.


def test_how_a_stream_ended_is_shown() -> None:
    def state(stream: Any) -> tuple[bool, bool, str]:
        shown = repr(stream).removeprefix("<EventStream ").partition(",")[0]
        return stream.is_closed, stream.is_exhausted, shown

    stream = EventStream([ABC])
    assert state(stream) == (False, False, "open")
    assert [*stream] == [A, B, C]
    assert state(stream) == (False, True, "ended")
    stream.close()
    assert state(stream) == (True, False, "closed")
    for fault, shown in ((KeyboardInterrupt(), "interrupted"), (OSError(), "failed")):
        stream = EventStream(Chunks(fault))
        with pytest.raises(type(fault)):
            next(stream)
        assert state(stream) == (False, False, shown)
    assert repr(iter_payloads([])) == "<Payloads open>"
    assert StreamClosedError("text").last_event_id == ""


class Noting(EventStream):
    """Keeps what it is told of its end."""

    noted: list[Any]

    def note_end(self, error: BaseException | None) -> None:
        self.noted = [*getattr(self, "noted", []), error]


def test_the_end_is_noted_once() -> None:
    fault = OSError()
    for chunks, noted in ((Chunks(), None), (Chunks(fault), fault)):
        stream = Noting(chunks)
        with pytest.raises((StopIteration, OSError)):
            next(stream)
        stream.close()
        assert stream.noted == [noted]
    stream = Noting([])
    stream.close()
    stream.close()
    assert stream.noted == [None]


class LastItems:
    """A machine that has three items at its end."""

    last_event_id = ""
    ended = False

    def __init__(self) -> None:
        self.items = [A, B, C]

    def feed(self, item: Any) -> list[ServerSentEvent]:
        raise AssertionError("nothing to feed")

    def close(self) -> list[ServerSentEvent]:
        items, self.items = self.items, []
        return items


@pytest.mark.parametrize("reads", [1, 2, 3])
def test_leaving_with_items_of_the_end_unread(reads: int) -> None:
    with Reader[ServerSentEvent](iter([]), LastItems()) as reader:
        assert [next(reader) for _ in range(reads)] == [A, B, C][:reads]
    if reads == 3:
        assert list(reader) == []
    else:
        with pytest.raises(StreamClosedError):
            next(reader)


def test_an_event_before_a_fault_of_a_callback_was_not_cut_off() -> None:
    def fail(text: str) -> None:
        raise ZeroDivisionError

    chunks = [b"data: a\n", b"\ndata: b\n: c\n"]
    stream = EventStream(chunks, decoder=SSEDecoder(on_comment=fail))
    assert type(next(stream)) is ServerSentEvent
    with pytest.raises(ZeroDivisionError):
        next(stream)


@pytest.mark.parametrize("how", ["shared", "closed", "reading", "ended"])
def test_draining_reads_nothing_where_it_is_of_no_use(how: str) -> None:
    class Source(Interruptible):
        is_shared = how == "shared"
        reads = 0

        def __next__(self) -> bytes:
            self.reads += 1
            if how == "reading" and self.reads == 1:
                stream.drain(200, 1)
            return super().__next__()

    source = Source(b"data: a\n\n", b"x")
    stream = EventStream(source)
    assert next(stream) == A
    if how == "closed":
        stream.close()
    elif how == "ended":
        assert [*stream] == []
    reads = source.reads
    if how != "reading":
        stream.drain(200, 1)
    assert (source.reads, reads) == ((3, 3) if how == "ended" else (1, 1))


def test_an_async_stream_hands_out_its_last_item_before_a_fault_of_closing() -> None:
    class Stuck:
        async def aclose(self) -> None:
            raise OSError("stuck")

    async def main() -> None:
        stream = AsyncEventStream(AsyncChunks(b"data: a"), response=Stuck())
        assert await anext(stream) == A
        with pytest.raises(OSError, match="stuck"):
            await anext(stream)

    asyncio.run(main())


def test_what_could_not_be_closed_at_once_is_closed_in_order() -> None:
    closed: list[str] = []

    class Waits(AsyncChunks):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def aclose(self) -> None:
            await asyncio.sleep(0)
            closed.append(self.name)

    stream = AsyncEventStream(Waits("chunks"), response=Waits("response"))
    stream.release_at_once()
    assert closed == []
    asyncio.run(stream.aclose())
    assert closed == ["chunks", "response"]


def test_a_body_in_a_coroutine_that_is_closed_leaves_the_stream() -> None:
    stream = AsyncEventStream(AsyncChunks(b"data: a\n\n"))

    async def body() -> None:
        async with stream:
            await Pause()

    coroutine = body()
    coroutine.send(None)
    coroutine.close()
    with pytest.raises(StreamClosedError, match="`with` block was left"):
        asyncio.run(collect(stream))


class Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


class Counting(Interruptible):
    """Counts the reads, and may be closed in one of them."""

    reads = 0
    stream: Any = None
    closed_at = 0

    def __next__(self) -> bytes:
        self.reads += 1
        if self.reads == self.closed_at:
            self.stream.close()
        return super().__next__()


class AsyncCounting(AsyncChunks, Interruptible):
    reads = 0
    stream: Any = None
    closed_at = 0

    async def __anext__(self) -> bytes:
        self.reads += 1
        if self.reads == self.closed_at:
            await self.stream.aclose()
        return await super().__anext__()


DRAINS = [([100, 100], 4, True), ([100, 101, 1], 3, False)]  # and the reads, and if it is the end


@pytest.mark.parametrize(("sizes", "reads", "is_end"), DRAINS)
def test_how_much_is_drained(sizes: list[int], reads: int, is_end: bool) -> None:
    source = Counting(b"data: a\n\n", *map(bytes, sizes))
    stream = EventStream(source)
    assert next(stream) == A
    stream.drain(200, 5)
    assert (source.reads, stream.is_exhausted, source.closed) == (reads, is_end, 0)
    stream.close()
    assert source.closed == 1


@pytest.mark.parametrize(("sizes", "reads", "is_end"), DRAINS)
def test_how_much_is_drained_async(sizes: list[int], reads: int, is_end: bool) -> None:
    async def main() -> None:
        source = AsyncCounting(b"data: a\n\n", *map(bytes, sizes))
        stream = AsyncEventStream(source)
        assert await anext(stream) == A
        await stream.drain(200, 5)
        assert (source.reads, stream.is_exhausted, source.closed) == (reads, is_end, 0)
        await stream.aclose()
        assert source.closed == 1

    on_both(main)


def test_a_stream_that_is_closed_while_it_is_drained() -> None:
    source = Counting(b"data: a\n\n", b"x")
    source.stream, source.closed_at = EventStream(source), 2
    assert next(source.stream) == A
    source.stream.drain(200, 5)
    assert (source.closed, source.interrupted) == (1, 1)
    assert source.stream.is_closed

    async def main() -> None:
        source = AsyncCounting(b"data: a\n\n", b"x")
        source.stream, source.closed_at = AsyncEventStream(source), 2
        assert await anext(source.stream) == A
        await source.stream.drain(200, 5)
        assert (source.closed, source.interrupted) == (1, 1)
        assert source.stream.is_closed

    on_both(main)


def test_an_opening_passes_on_what_it_is_given() -> None:
    left: list[Any] = []

    class Stream:
        def __exit__(self, *details: object) -> None:
            left.append(details)

        async def __aexit__(self, *details: object) -> None:
            left.append(details)

    async def open_stream() -> Any:
        return Stream()

    async def main() -> None:
        opening = AsyncOpening(open_stream, is_transient=bool)
        assert opening.is_transient is bool
        assert repr(opening) == "<AsyncOpening not entered>"
        async with opening:
            assert repr(opening) == "<AsyncOpening entered>"
            raise fault

    fault = OSError()
    stream: Any = Stream()
    opening = Opening(lambda: stream, is_transient=bool)
    assert opening.is_transient is bool
    with pytest.raises(OSError), opening:
        raise fault
    with pytest.raises(OSError):
        asyncio.run(main())
    assert [(kind, error) for kind, error, _ in left] == [(OSError, fault)] * 2
    assert all(traceback is not None for _, _, traceback in left)


def test_how_values_are_named() -> None:
    assert [type_name(value) for value in (5, int, pytest)] == [
        "int",
        "the class int",
        "the module pytest",
    ]
    decoder: Any = 5
    with pytest.raises(TypeError) as caught:
        check_decoder(decoder)
    assert str(caught.value) == "decoder must be an SSEDecoder, such as SSEDecoder(), not int"


@pytest.mark.parametrize("name", ["readany", "iter_any"])
def test_one_method_like_those_of_aiohttp_is_no_reason_to_refuse(name: str) -> None:
    chunks = Chunks(ABC)
    setattr(chunks, name, None)
    assert [*EventStream(chunks)] == [A, B, C]


def test_what_a_mark_shows_and_when_it_is_reached() -> None:
    assert [DoneMark(done).shown for done in ("a", ("a",), None)] == [" 'a'", "", ""]
    assert not DoneMark("a").is_reached


def test_the_first_error_of_closing_several_is_raised() -> None:
    class Fails:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            raise OSError(self.name)

    with pytest.raises(OSError, match="first"):
        close_all(Fails("first"), Fails("second"))
    with pytest.raises(OSError, match="first"):
        asyncio.run(aclose_all(Fails("first"), Fails("second")))


def test_after_a_generator_exit_all_others_are_closed_at_once() -> None:
    class Exits:
        async def aclose(self) -> None:
            raise GeneratorExit

    others = Resource(), Resource(), Resource()
    with pytest.raises(GeneratorExit):
        aclose_all(Exits(), *others).send(None)
    assert [other.closed for other in others] == [1, 1, 1]


def test_a_close_that_returns_something_is_not_awaited() -> None:
    class Says(Resource):
        def close(self) -> Any:
            super().close()
            return "closed"

    resource = Says()
    asyncio.run(aclose_all(resource))
    assert resource.closed == 1


def test_what_can_be_released_at_once_is_closed_later() -> None:
    noted: list[str] = []

    class Inner:
        def release_at_once(self) -> None:
            noted.append("released")

        async def aclose(self) -> None:
            noted.append("closed")

    stream = AsyncEventStream(AsyncChunks(), response=Inner())
    stream.release_at_once()
    assert noted == ["released"]
    asyncio.run(stream.aclose())
    assert noted == ["released", "closed"]


def test_two_events_of_one_chunk_async() -> None:
    stream = AsyncEventStream(AsyncChunks(b"data: a\n\ndata: b\n\n"))
    assert asyncio.run(collect(stream)) == [A, B]


def test_a_body_in_an_async_generator_that_is_closed_awaits_the_release() -> None:
    resource = AsyncResource()

    async def data() -> AsyncIterator[str]:
        async with AsyncEventStream(AsyncChunks(ABC), response=resource) as stream:
            async for event in stream:
                yield event.data

    async def main() -> None:
        generator: Any = data()
        assert await anext(generator) == "a"
        await generator.aclose()
        assert resource.closed == 1

    asyncio.run(main())


def test_a_coroutine_that_is_closed_within_a_context_manager_around_a_stream() -> None:
    """Nothing can be awaited, though the stream is in an async generator."""
    source = AsyncWaking(ABC)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncGenerator[AsyncEventStream, None]:
        async with AsyncEventStream(source) as stream:
            yield stream

    async def main() -> None:
        async with opened():
            await Suspend()

    coroutine = main()
    coroutine.send(None)
    coroutine.close()
    assert (source.interrupted, source.closed) == (1, 0)


def test_who_reads_within_a_read_is_told_that_it_is_closed() -> None:
    def chunks() -> Iterator[bytes]:
        stream.close()
        read.append(next(stream, "closed"))
        yield ABC

    read: list[Any] = []
    stream = EventStream(chunks())
    assert list(stream) == []
    assert read == ["closed"]


class Digits:
    """A machine that makes a number of each digit; they have no IDs."""

    last_event_id = ""
    ended = False

    def feed(self, item: str) -> list[int]:
        return [int(digit) for digit in item]

    def close(self) -> list[int]:
        return []


def test_the_position_among_items_without_ids() -> None:
    with Reader[int](iter(["123"]), Digits()) as reader:
        assert next(reader) == 1
        assert reader.position() == ""
    with pytest.raises(StreamClosedError) as info:
        next(reader)
    assert info.value.last_event_id == ""


class Late(Reader[int]):
    """Hands out what was being made when it is closed."""

    _hands_out_late = True


class ClosedInFeed(Digits):
    """A machine in which its reader is closed."""

    reader: Reader[int]

    def feed(self, item: str) -> list[int]:
        self.reader.close()
        return super().feed(item)


@pytest.mark.parametrize(("kind", "read"), [(Late, [1, 2]), (Reader, [])])
def test_what_is_made_while_it_is_closed(kind: type[Reader[int]], read: list[int]) -> None:
    machine = ClosedInFeed()
    machine.reader = kind(iter(["12", "3"]), machine)
    assert list(machine.reader) == read
    machine.reader = kind(iter(["x", "3"]), machine)  # ValueError
    assert list(machine.reader) == []


def test_nothing_is_handed_out_late_of_what_was_made_before() -> None:
    reader = Late(iter(["12"]), Digits())
    assert next(reader) == 1
    reader.close()
    assert next(reader, None) is None


@pytest.mark.parametrize(
    ("fault", "raised"),
    [(KeyboardInterrupt, KeyboardInterrupt), (ZeroDivisionError, StopIteration)],
)
def test_a_fault_of_a_machine_that_closes_its_reader_at_the_end(
    fault: type[BaseException], raised: type[BaseException]
) -> None:
    class Closing(Digits):
        def close(self) -> list[int]:
            reader.close()
            raise fault

    reader = Reader[int](iter([]), Closing())
    with pytest.raises(raised):
        next(reader)
    assert list(reader) == []


# Threads that are switched at the worst moment.


def switched(action: Callable[[], Any], line: str, step: Callable[[], Any]) -> Any:
    """Return what an action gives if another thread takes a step before this line of it is run."""
    left = [step]

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and left and frame.f_code.co_filename == streams.__file__:
            text = linecache.getline(streams.__file__, frame.f_lineno)
            if text.lstrip().startswith(line):
                other = threading.Thread(target=left.pop())
                other.start()
                other.join(0.1)
        return trace

    given: list[Any] = []

    def act() -> None:
        sys.settrace(trace)
        try:
            given.append(action())
        except BaseException as error:
            given.append(error)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join(6)
    assert not left, f"no line begins with {line!r}"
    return given[0]


NUMBERED = b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n"


@pytest.mark.parametrize(
    "line",
    [
        "with self._lock:",
        "before, batch, ready =",
        "self._ready =",
        "left =",
        "self._error_to_raise",
    ],
)
def test_a_stream_closed_while_another_thread_reads_a_batch_stands_after_what_it_got(
    line: str,
) -> None:
    response = Resource()
    stream = EventStream([NUMBERED], response=response)
    read = [next(stream).id]
    assert switched(stream.close, line, lambda: read.extend(event.id for event in stream)) is None
    assert read == [str(number + 1) for number in range(len(read))]
    assert stream.last_event_id == read[-1]
    assert response.closed == 1


@pytest.mark.parametrize("line", ["self._ready =", "left =", "self._error_to_raise"])
def test_the_position_can_be_asked_for_while_another_thread_closes(line: str) -> None:
    stream = EventStream([NUMBERED])
    next(stream)
    positions: queue.SimpleQueue[str] = queue.SimpleQueue()
    switched(stream.close, line, lambda: positions.put(stream.last_event_id))
    assert positions.get(timeout=6) == "1"


def test_the_position_can_be_asked_for_while_another_thread_reads() -> None:
    stream = EventStream([NUMBERED])
    for _ in range(2):
        next(stream)
    for line in ("left =", "if left", "position: str"):
        assert switched(stream.position, line, lambda: next(stream, None)) in ("2", "3")


@pytest.mark.parametrize("line", ["if error is None or", "how =", "with self._lock:"])
def test_a_stream_closed_by_another_thread_at_its_end_stands_after_what_was_read(line: str) -> None:
    response = Resource()
    stream = EventStream([b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n"], response=response)
    read = [next(stream).id]
    switched(lambda: read.extend(event.id for event in stream), line, stream.close)
    assert (read, stream.last_event_id, stream.is_closed) == (["1"], "1", True)
    assert response.closed == 1


def test_a_second_reader_is_told_so_even_if_the_first_has_just_ended() -> None:
    items: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    stream = EventStream(iter(items.get, b""))
    first = threading.Thread(target=next, args=(stream,), daemon=True)
    first.start()

    def let_it_read() -> None:
        items.put(b"data: x\n\n")
        first.join()

    error = switched(lambda: next(stream), "if not self._over or", let_it_read)
    assert isinstance(error, RuntimeError)
    assert "two readers at once" in str(error)


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_a_callback_that_raises_stop_iteration_at_the_end_ends_nothing_quietly(
    kind: type[Exception],
) -> None:
    def stop(_: object) -> bool:
        raise kind

    decoder = SSEDecoder(on_comment=stop)
    stream = EventStream([b"data: a\n\n: c"], decoder=decoder)
    assert next(stream) == A
    with pytest.raises(RuntimeError, match="a callback raised Stop") as info:
        next(stream)
    assert isinstance(info.value.__cause__, kind)
    documents = iter_documents([b'"a"\n"b"'], is_error=lambda document: document == "b" and stop(1))
    assert next(documents) == "a"
    with pytest.raises(RuntimeError, match="a callback raised Stop"):
        next(documents)


def test_an_interrupt_as_the_last_event_is_dispatched_does_not_lose_it() -> None:
    class Interrupted(SSEDecoder):
        def close(self) -> list[ServerSentEvent]:
            super().close()
            raise KeyboardInterrupt

    stream = EventStream([b"id: 1\ndata: 1\n\n", b"id: 2\ndata: 2\n"], decoder=Interrupted())
    assert next(stream).id == "1"
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert stream.last_event_id == "1"
