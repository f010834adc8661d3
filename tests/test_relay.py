# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import threading
import time
import weakref
import zlib
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import trio
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sse_stream.decoder import (
    BOM,
    EventTooLargeError,
    IncompleteEventError,
    ServerSentEvent,
    SSEDecoder,
)
from sse_stream.relay import (
    AsyncTee,
    Relayed,
    Tee,
    TeeOutcome,
    arewrite,
    atee,
    awhole_events,
    rewrite,
    tee,
    whole_events,
)
from sse_stream.streams import StreamClosedError
from tests import vectors
from tests.support import (
    SHAPES,
    AsyncChunks,
    AsyncResource,
    Chunks,
    Resource,
    cut_points,
    generate,
    streams,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

GUARD = 6.0  # seconds, after which something that should have happened counts as failed
ZSTD = b"\x28\xb5\x2f\xfd"
ONE, TWO = b"id: 1\ndata: one\n\n", b"id: 2\ndata: two\n\n"
EVENTS = [ServerSentEvent(data="one", id="1"), ServerSentEvent(data="two", id="2")]


class Log:
    """What a tee reports, in order."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.events: list[ServerSentEvent] = []
        self.outcomes: list[TeeOutcome] = []

    def on_event(self, event: ServerSentEvent) -> None:
        self.seen.append(event)
        self.events.append(event)

    def on_end(self, outcome: TeeOutcome) -> None:
        self.seen.append(outcome)
        self.outcomes.append(outcome)

    def tee(self, chunks: Any, **options: Any) -> Tee[Any]:
        return tee(chunks, on_event=self.on_event, on_end=self.on_end, **options)

    def atee(self, chunks: Any, **options: Any) -> AsyncTee[Any]:
        return atee(chunks, on_event=self.on_event, on_end=self.on_end, **options)

    @property
    def outcome(self) -> TeeOutcome:
        assert len(self.outcomes) == 1
        return self.outcomes[0]


async def collect(chunks: AsyncTee[Any]) -> list[Any]:
    return [chunk async for chunk in chunks]


def sync_and_async(chunks: list[Any], **decoder_options: Any) -> Iterator[tuple[Log, list[Any]]]:
    """Run both kinds over chunks that end well; give what was reported and what was handed on."""
    log = Log()
    yield log, list(log.tee(Chunks(*chunks), decoder=SSEDecoder(**decoder_options)))
    log = Log()
    yield (
        log,
        asyncio.run(collect(log.atee(AsyncChunks(*chunks), decoder=SSEDecoder(**decoder_options)))),
    )


@given(
    st.lists(st.sampled_from([ONE, TWO, b": c\n", b"data: x\r", b"\r\n", b"\xe6", b"data: cut"])),
    st.lists(st.integers(0, 90)),
)
def test_chunks_go_on_as_they_are(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    chunks = vectors.cut(stream, [cut % (len(stream) + 1) for cut in cuts])
    decoder = SSEDecoder()
    expected = decoder.feed(stream)
    expected += decoder.close()
    state: Any = "truncated" if decoder.incomplete else "complete"
    for log, handed_on in sync_and_async(chunks):
        assert [*map(id, handed_on)] == [*map(id, chunks)]
        assert log.seen == [
            *expected,
            TeeOutcome(state, None, len(stream), len(expected), decoder.last_event_id),
        ]


def test_each_chunk_goes_on_before_it_is_read_and_the_events_come_before_the_next_wait() -> None:
    order: list[object] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (ONE, TWO):
            order.append("wait")
            yield chunk

    relayed = tee(
        chunks(),
        on_event=lambda event: order.append(event.data),
        on_end=lambda end: order.append(end.state),
    )
    order.extend(("sent", chunk) for chunk in relayed)
    assert order == ["wait", ("sent", ONE), "one", "wait", ("sent", TWO), "two", "complete"]


def test_the_outcome_follows_the_consumer() -> None:
    log = Log()
    chunks = log.tee([ONE, TWO])
    next(chunks)
    assert log.seen == []
    chunks.close()
    assert log.seen == [EVENTS[0], TeeOutcome("closed", None, len(ONE), 1, "1")]


def test_buffers_may_be_filled_again() -> None:
    log = Log()
    buffer = bytearray(ONE)
    chunks = log.tee(iter([buffer, memoryview(buffer)]))
    for chunk in chunks:
        assert chunk is buffer or chunk.obj is buffer
        buffer[:] = TWO  # the consumer's own, before the tee is asked again
    assert log.events == EVENTS
    assert log.outcome.bytes == 2 * len(ONE)


# How it ends.


def test_without_observers() -> None:
    assert list(tee([ONE, TWO])) == [ONE, TWO]
    assert asyncio.run(collect(atee(AsyncChunks(ONE)))) == [ONE]


@pytest.mark.parametrize(
    ("stream", "state", "count"),
    [
        (b"", "complete", 0),
        (b": comment", "complete", 0),
        (b"data: a\n\n: comment", "complete", 1),
        (b"data: a\n", "truncated", 1),
        (b"event: a\nda", "truncated", 0),
    ],
)
def test_complete_or_truncated(stream: bytes, state: str, count: int) -> None:
    for log, _ in sync_and_async([stream]):
        assert log.outcome == (state, None, len(stream), count, "")


def test_truncated_with_incomplete_raise(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    list(log.tee([ONE, b"data: cut"], decoder=SSEDecoder(incomplete="raise")))
    assert log.outcome.state == "truncated"
    assert isinstance(log.outcome.error, IncompleteEventError)
    assert log.events == EVENTS[:1]
    assert not caplog.records  # it is no fault of the reading


@pytest.mark.parametrize("before", [[], [ONE], [ONE, b"data: cut"]])
def test_an_error_of_the_chunks(before: list[bytes]) -> None:
    error = OSError("reset")
    handed_on: list[bytes] = []
    log, response = Log(), Resource()
    source = Chunks(*before, error)
    chunks = log.tee(source, response=response)
    with pytest.raises(OSError) as raised:
        handed_on.extend(iter(lambda: next(chunks), b""))
    assert raised.value is error
    expected = TeeOutcome(
        "failed", error, len(b"".join(before)), len(before[:1]), "1" if before else ""
    )
    assert log.outcome == expected
    assert handed_on == before
    assert (source.closed, response.closed) == (1, 1)
    chunks.close()
    assert next(chunks, None) is None
    log = Log()
    with pytest.raises(OSError):
        asyncio.run(collect(log.atee(AsyncChunks(*before, error))))
    assert log.outcome == expected


class Stubborn(Chunks):
    def close(self) -> None:
        super().close()
        raise ValueError("will not close")


class AsyncStubborn(Stubborn, AsyncChunks):
    async def aclose(self) -> None:
        self.close()


def test_an_error_of_the_release_hides_no_other() -> None:
    log = Log()
    with pytest.raises(OSError, match="reset"):
        list(log.tee(Stubborn(ONE, OSError("reset"))))
    with pytest.raises(OSError, match="reset"):
        asyncio.run(collect(atee(AsyncStubborn(ONE, OSError("reset")))))
    with pytest.raises(ValueError, match="will not close"):
        list(tee(Stubborn(ONE)))


def test_an_interrupt_is_a_consumer_that_left() -> None:
    log = Log()
    with pytest.raises(KeyboardInterrupt):
        list(log.tee(Chunks(ONE, KeyboardInterrupt())))
    assert log.outcome == ("closed", None, len(ONE), 1, "1")


def test_an_interrupt_of_an_observer_hides_no_outcome() -> None:
    def on_event(event: ServerSentEvent) -> None:
        raise KeyboardInterrupt

    log, response = Log(), Resource()
    chunks = tee([ONE], on_event=on_event, on_end=log.on_end, response=response)
    next(chunks)
    with pytest.raises(KeyboardInterrupt):
        chunks.close()
    assert log.outcome.state == "closed"
    assert response.closed == 1


def test_leaving() -> None:
    log, response, source = Log(), Resource(), Chunks(ONE, TWO)
    with pytest.raises(ZeroDivisionError), log.tee(source, response=response) as chunks:
        assert next(chunks) == ONE
        _ = 1 / 0
    assert log.outcome.state == "closed"
    assert (source.closed, response.closed) == (1, 1)
    chunks.close()
    assert list(chunks) == []
    assert len(log.outcomes) == 1


def test_leaving_async() -> None:
    async def main() -> None:
        log, response, source = Log(), AsyncResource(), AsyncChunks(ONE, TWO)
        async with log.atee(source, response=response) as chunks:
            assert await chunks.__anext__() == ONE
        assert log.outcome == ("closed", None, len(ONE), 1, "1")
        assert (source.closed, response.closed) == (1, 1)
        with pytest.raises(StreamClosedError, match="block was left"):
            await chunks.__anext__()
        assert len(log.outcomes) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    "make", [lambda log: log.tee([ONE, TWO]), lambda log: log.atee(AsyncChunks(ONE, TWO))]
)
def test_being_collected(make: Callable[[Log], Any]) -> None:
    log = Log()
    chunks = make(log)
    if isinstance(chunks, Tee):
        next(chunks)
    del chunks
    gc.collect()
    assert log.outcome.state == "closed"


def test_being_collected_after_the_end() -> None:
    log = Log()
    list(log.tee([ONE]))
    gc.collect()
    assert log.outcome.state == "complete"


async def silence() -> Any:
    yield ONE
    await asyncio.sleep(60)
    raise AssertionError("went on")


def test_cancellation_in_asyncio() -> None:
    async def main() -> None:
        log, response = Log(), AsyncResource()
        chunks = log.atee(silence(), response=response)
        await chunks.__anext__()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(chunks.__anext__(), 0.01)
        assert log.outcome == ("closed", None, len(ONE), 1, "1")
        assert response.closed == 1

    asyncio.run(main())


class ManySilences(AsyncChunks):
    """Chunks for trio: a generator would have to be closed."""

    async def __anext__(self) -> bytes:
        await trio.sleep(60)
        return ONE

    async def aclose(self) -> None:
        self.close()
        raise ValueError("will not close")


def test_cancellation_in_trio() -> None:
    async def main() -> None:
        log, source = Log(), ManySilences()
        with trio.move_on_after(0.01) as scope:
            async with log.atee(source) as chunks:
                await chunks.__anext__()
        assert scope.cancelled_caught
        assert log.outcome == ("closed", None, 0, 0, "")
        assert source.closed == 1

    trio.run(main)


def test_a_coroutine_that_is_closed_awaits_nothing() -> None:
    log, response = Log(), AsyncResource()

    class Waits(AsyncChunks):
        async def __anext__(self) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError("went on")

    chunks = log.atee(Waits(), response=response)
    waiting = chunks.__anext__()
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: waiting.send(None))
    loop.call_soon(waiting.close)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert log.outcome.state == "closed"
    assert response.closed == 0
    loop.run_until_complete(chunks.aclose())
    loop.close()
    assert response.closed == 1


def test_a_body_that_is_closed_awaits_nothing() -> None:
    log, response = Log(), AsyncResource()
    chunks = log.atee(AsyncChunks(ONE), response=response)

    async def body() -> None:
        async with chunks:
            await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    coroutine = body()
    loop.call_soon(lambda: coroutine.send(None))
    loop.call_soon(coroutine.close)  # a RuntimeError if it awaited
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert log.outcome.state == "closed"
    assert response.closed == 0


def test_closing_while_another_task_waits() -> None:
    class Response:
        def __init__(self) -> None:
            self.left = asyncio.Event()

        async def chunks(self) -> Any:
            yield ONE
            await self.left.wait()
            yield TWO

        async def aclose(self) -> None:
            self.left.set()

    async def main() -> None:
        log, response = Log(), Response()
        chunks = log.atee(response.chunks(), response=response)
        waiting = asyncio.create_task(collect(chunks))
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="two tasks"):
            await chunks.__anext__()
        await chunks.aclose()
        assert await waiting == [ONE]
        assert log.outcome == ("closed", None, len(ONE), 1, "1")

    asyncio.run(main())


def test_closing_from_another_thread() -> None:
    reading, closed = threading.Event(), threading.Event()

    def source() -> Iterator[bytes]:
        yield ONE
        reading.set()
        assert closed.wait(6)
        yield TWO

    log, response = Log(), Resource()
    chunks = log.tee(source(), response=response)

    def close() -> None:
        assert reading.wait(6)
        chunks.close()
        closed.set()

    thread = threading.Thread(target=close)
    thread.start()
    assert list(chunks) == [ONE]
    thread.join()
    assert log.outcome == ("closed", None, len(ONE), 1, "1")
    assert response.closed == 1


# What goes wrong beside the bytes.


def test_an_oversized_event_stops_the_reading_and_no_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chunks = [ONE, TWO + b"data: " + b"x" * 99, b"\n\n", ONE]
    for log, handed_on in sync_and_async(chunks, max_event_size=50):
        assert handed_on == chunks
        assert log.events == EVENTS
        assert log.outcome[0] == "truncated"
        assert isinstance(log.outcome.error, EventTooLargeError)
        assert log.outcome[2:] == (len(b"".join(chunks)), 2, "2")
        assert [record.name for record in caplog.records] == ["sse_stream.relay"]
        assert "reading of events stopped" in caplog.text
        caplog.clear()


def test_an_oversized_event_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    list(log.tee([ONE + b"data: " + b"x" * 99], decoder=SSEDecoder(max_event_size=50)))
    assert log.events == EVENTS[:1]
    assert (log.outcome.state, type(log.outcome.error)) == ("truncated", EventTooLargeError)
    assert len(caplog.records) == 1


def test_events_before_a_fault_of_the_decoder_are_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def on_comment(text: str) -> None:
        raise ZeroDivisionError(text)

    log = Log()
    chunks = [ONE + b": c\n" + TWO, TWO]
    assert list(log.tee(chunks, decoder=SSEDecoder(on_comment=on_comment))) == chunks
    assert log.events == EVENTS[:1]
    assert log.outcome.state == "truncated"  # outside an event, but nobody saw it
    assert isinstance(log.outcome.error, ZeroDivisionError)
    assert len(caplog.records) == 1


def test_a_faulty_observer_is_called_again_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[ServerSentEvent] = []

    def on_event(event: ServerSentEvent) -> None:
        calls.append(event)
        raise ZeroDivisionError

    log = Log()
    caplog.set_level(logging.INFO, "sse_stream")
    assert list(tee([ONE + TWO, TWO], on_event=on_event, on_end=log.on_end)) == [ONE + TWO, TWO]
    assert calls == [*EVENTS, EVENTS[1]]
    assert log.outcome[0] == "complete"
    assert isinstance(log.outcome.error, ZeroDivisionError)
    assert log.outcome[2:] == (len(ONE + TWO + TWO), 3, "2")
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO]
    assert caplog.text.count("Traceback") == 1
    assert "on_event raised 3 times" in caplog.text


def test_a_faulty_mark(caplog: pytest.LogCaptureFixture) -> None:
    def done(event: ServerSentEvent) -> bool:
        return event.json()["last"]  # type: ignore[no-any-return]

    log = Log()
    assert list(log.tee([ONE, b'data: {"last": true}\n\n'], done=done)) != []
    assert (log.outcome.state, log.outcome.events) == ("complete", 2)
    assert isinstance(log.outcome.error, ValueError)
    assert caplog.text.count("Traceback") == 1


def test_a_faulty_on_end(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[TeeOutcome] = []

    def on_end(outcome: TeeOutcome) -> None:
        calls.append(outcome)
        raise ZeroDivisionError

    assert list(tee([ONE], on_end=on_end)) == [ONE]
    assert len(calls) == 1
    assert "on_end raised" in caplog.text


def test_an_observer_may_close() -> None:
    log = Log()

    def on_event(event: ServerSentEvent) -> None:
        log.on_event(event)
        chunks.close()

    chunks = tee([ONE + TWO, TWO], on_event=on_event, on_end=log.on_end)
    assert list(chunks) == [ONE + TWO]
    assert log.events == EVENTS[:1]
    assert log.outcome.state == "closed"


# The mark.

MARK = b"data: [DONE]\n\n"


def at_stop(event: ServerSentEvent) -> bool:
    return event.event == "stop"


@pytest.mark.parametrize("incomplete", ["dispatch", "discard", "raise"])
@pytest.mark.parametrize(
    ("chunks", "done", "state", "count"),
    [
        ([ONE, MARK], "[DONE]", "complete", 2),
        ([ONE, b'data: "[DONE]"\n\n'], "[DONE]", "complete", 2),
        ([ONE, b"data:  DONE \n\n"], ("[DONE]", "DONE"), "complete", 2),
        ([ONE, b"event: stop\ndata\n\n"], {at_stop, "[DONE]"}, "complete", 2),
        ([ONE + MARK + b"data: cut"], "[DONE]", "complete", 2),  # nothing after it matters
        ([ONE], "[DONE]", "truncated", 1),
        ([], "[DONE]", "truncated", 0),
        ([ONE, b"data: [DON"], "[DONE]", "truncated", 1),
        ([ONE, MARK], at_stop, "truncated", 2),
        ([ONE, MARK], None, "complete", 2),
    ],
)
def test_the_mark_decides(
    chunks: list[bytes], done: Any, state: str, count: int, incomplete: Any
) -> None:
    log = Log()
    assert list(log.tee(chunks, done=done, decoder=SSEDecoder(incomplete=incomplete))) == chunks
    assert log.outcome.state == state
    if chunks and chunks[-1].endswith(b"\n\n"):
        assert log.outcome[1:4:2] == (None, count)
    alog = Log()
    decoder = SSEDecoder(incomplete=incomplete)
    asyncio.run(collect(alog.atee(AsyncChunks(*chunks), done=done, decoder=decoder)))
    assert (alog.outcome.state, alog.events) == (log.outcome.state, log.events)


@pytest.mark.parametrize("last", [MARK, MARK[:-1], MARK[:-2]], ids=["whole", "no blank", "no end"])
@pytest.mark.parametrize("end", ["clean", "reset", "left", "dropped"])
def test_after_the_mark_no_end_is_a_loss(last: bytes, end: str) -> None:
    """SDKs leave at the mark, some servers reset, and some send no blank line."""
    log, fault = Log(), ConnectionResetError("reset")
    chunks = log.tee(Chunks(ONE, last, *([fault] if end == "reset" else [])), done="[DONE]")
    assert [next(chunks), next(chunks)] == [ONE, last]
    if end == "clean":
        assert list(chunks) == []
    elif end == "reset":
        with pytest.raises(ConnectionResetError):
            next(chunks)
    elif end == "left":
        chunks.close()
    else:
        del chunks
        gc.collect()
    assert log.events == [*EVENTS[:1], ServerSentEvent(data="[DONE]", id="1")]
    error = fault if end == "reset" else None
    assert log.outcome == ("complete", error, len(ONE + last), 2, log.outcome.last_event_id)


@pytest.mark.parametrize("end", ["reset", "left"])
def test_an_unfinished_event_that_is_no_mark_is_not_reported_at_other_ends(end: str) -> None:
    log = Log()
    chunks = log.tee(Chunks(ONE, b"data: half\n", OSError("reset")), done="[DONE]")
    assert next(chunks) == ONE
    assert next(chunks)
    if end == "left":
        chunks.close()
    else:
        with pytest.raises(OSError, match="reset"):
            next(chunks)
    assert log.events == EVENTS[:1]
    assert log.outcome.state == ("closed" if end == "left" else "failed")


def test_the_mark_and_a_reply_that_is_no_event_stream() -> None:
    log = Log()
    list(log.tee([b"{}"], response=Response("application/json"), done="[DONE]"))
    assert log.outcome == ("complete", None, 2, 0, "")


# Compressed bytes.


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("size", [1, 3, 99])
def test_compressed_bytes_are_no_text(
    coding: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    body = {
        "gzip": gzip.compress(ONE + TWO),
        "deflate": zlib.compress(ONE + TWO),
        "zstd": b"\x28\xb5\x2f\xfd" + ONE + TWO,
    }[coding]
    log = Log()
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    assert list(log.tee(chunks)) == chunks
    assert log.events == []
    assert (log.outcome.state, log.outcome.bytes) == ("complete", len(body))
    assert f"compressed ({coding})" in str(log.outcome.error)
    assert len(caplog.records) == 1
    log = Log()
    list(log.tee(chunks, done="[DONE]"))
    assert log.outcome.state == "truncated"  # who waits for a mark has seen none


@pytest.mark.parametrize("start", [b"\x1f", b"\x28\xb5", b"x", b"(", b"xy", b"\x1f: c\n"])
def test_bytes_that_start_like_compressed_ones(start: bytes) -> None:
    for chunks in ([start], [start, b"\n\n" + ONE]):
        log = Log()
        assert list(log.tee(chunks)) == chunks
        assert log.events == EVENTS[: len(chunks) - 1]
        assert log.outcome.error is None


# What may be passed.


class Response(Resource):
    def __init__(self, content_type: str | None) -> None:
        super().__init__()
        self.headers = {} if content_type is None else {"Content-Type": content_type}


@pytest.mark.parametrize(
    "content_type", ["text/event-stream", "Text/Event-Stream ; charset=utf-8", None]
)
def test_a_response_of_events(content_type: str | None) -> None:
    log, response = Log(), Response(content_type)
    list(log.tee([ONE, b"data: cut"], response=response))
    assert (log.outcome.state, log.outcome.events) == ("truncated", 2)
    assert response.closed == 1


def test_a_response_of_something_else() -> None:
    """No line of it is a field: it does not end inside an event."""
    body = b'{"id": 1}\ndata: no event\n\n{'
    log = Log()
    list(log.tee([body], response=Response("application/json")))
    assert log.seen == [TeeOutcome("complete", None, len(body), 0, "")]
    log = Log()
    list(
        log.tee([body], response=Response("application/json"), decoder=SSEDecoder())
    )  # for who knows better
    assert (log.outcome.state, log.outcome.events) == ("truncated", 1)


def test_a_decoder_of_ones_own() -> None:
    log, comments = Log(), []  # type: ignore[var-annotated]
    decoder = SSEDecoder(last_event_id="7", on_comment=comments.append)
    list(log.tee([b": hello\n"], decoder=decoder))
    assert comments == ["hello"]
    assert log.outcome.last_event_id == "7"


async def observer(_: object) -> None: ...


@pytest.mark.parametrize(
    ("chunks", "options", "error", "hint"),
    [
        (ONE, {}, TypeError, "one chunk"),
        ("text", {}, TypeError, "str"),
        (5, {}, TypeError, "tee takes an (async )?iterable"),
        (Response(None), {}, TypeError, "is a response"),
        (AsyncChunks(), {"on_event": 1}, TypeError, "on_event must be a plain function"),
        (AsyncChunks(), {"on_event": observer}, TypeError, "on_event must be a plain function"),
        (AsyncChunks(), {"on_end": observer}, TypeError, "on_end must be a plain function"),
        (AsyncChunks(), {"decoder": 1}, TypeError, "decoder must be"),
        (AsyncChunks(), {"done": b"[DONE]"}, TypeError, "done must be a str"),
        (AsyncChunks(), {"done": observer}, TypeError, "done must be a plain function"),
        (AsyncChunks(), {"done": ""}, ValueError, "None for no mark"),
    ],
)
@pytest.mark.parametrize("make", [tee, atee])
def test_mistakes(make: Any, chunks: Any, options: Any, error: type[Exception], hint: str) -> None:
    log = Log()
    with pytest.raises(error, match=hint):
        make(chunks, **{"on_end": log.on_end, **options})
    gc.collect()
    assert not log.seen


def test_the_wrong_side() -> None:
    with pytest.raises(TypeError, match="to atee"):
        tee(generate())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="to tee"):
        atee([ONE])  # type: ignore[arg-type]


def test_a_closed_decoder() -> None:
    decoder = SSEDecoder()
    decoder.close()
    with pytest.raises(ValueError, match="after close"):
        tee([ONE], decoder=decoder)


def test_text_chunks() -> None:
    log = Log()
    with pytest.raises(TypeError, match="takes bytes, not str"):
        list(log.tee([ONE, "data"]))
    assert log.outcome.state == "failed"


# Whole events.


def cut_at(stream: bytes, points: list[int]) -> list[bytes]:
    return vectors.cut(stream, [point % (len(stream) + 1) for point in points])


def is_compressed(stream: bytes) -> bool:
    return stream[:2] in (b"\x1f\x8b", b"x\x01", b"x\x9c", b"x\xda") or stream[:4] == ZSTD


def up_to_the_last_event(stream: bytes) -> bytes:
    """Return as much of a stream as ends with a line, and outside of any event."""
    for end in range(len(stream), 0, -1):
        decoder = SSEDecoder()
        decoder.feed(stream[:end])
        is_line_end = stream[end - 1] in b"\r\n" or stream[:end] == BOM
        if is_line_end and not decoder.incomplete:
            return stream[:end]
    return b""


class Fed:
    """Chunks that are asked for one by one: `handed_on` is what came out by each."""

    def __init__(self, chunks: list[bytes], error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.fed = b""
        self.handed_on = b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            assert self.handed_on == up_to_the_last_event(self.fed)
            self.fed += chunk
            yield chunk
        assert self.handed_on == up_to_the_last_event(self.fed)
        if self.error is not None:
            raise self.error

    def read(self, relayed: Relayed) -> bytes:
        for chunk in relayed:
            assert type(chunk) is bytes
            assert chunk
            self.handed_on += chunk
        return self.handed_on


def unchanged(event: ServerSentEvent) -> ServerSentEvent:
    return ServerSentEvent(*event)


@pytest.mark.parametrize("relay", [whole_events, partial(rewrite, edit=unchanged)])
@given(streams, cut_points)
def test_the_same_bytes_cut_where_events_end(relay: Any, stream: bytes, points: list[int]) -> None:
    """And that at once, at every chunking; at an error, nothing of an event that was cut off."""
    assume(not is_compressed(stream))
    fed = Fed(cut_at(stream, points))
    assert fed.read(relay(fed)) == stream
    error = OSError("reset")
    fed = Fed(cut_at(stream, points), error)
    with pytest.raises(OSError, match="reset"):
        fed.read(relay(fed))
    assert fed.handed_on == up_to_the_last_event(stream)


class Heard(NamedTuple):
    """All that a reader gets of a stream."""

    log: list[Any]  # events, comments and ignored lines in their order
    last_event_id: str
    retry: int | None
    ignored_text: str
    incomplete: bool
    error: Any = None

    @property
    def events(self) -> list[ServerSentEvent]:
        return [entry for entry in self.log if isinstance(entry, ServerSentEvent)]

    @property
    def others(self) -> list[Any]:
        return [entry for entry in self.log if not isinstance(entry, ServerSentEvent)]


def heard(chunks: list[bytes], **options: Any) -> Heard:
    """Read byte by byte."""
    log: list[Any] = []
    decoder = SSEDecoder(
        on_comment=lambda text: log.append(("comment", text)),
        on_ignored=lambda text: log.append(("ignored", text)),
        **options,
    )
    error = None
    for byte in b"".join(chunks):
        log += decoder.feed(bytes([byte]))
    try:
        log += decoder.close()
    except IncompleteEventError as fault:
        error = fault
    state = decoder.last_event_id, decoder.retry, decoder.ignored_text, decoder.incomplete
    return Heard(log, *state, error)


# Rewriting.


def new(event: ServerSentEvent) -> ServerSentEvent:
    return ServerSentEvent("extra", f"of {event.data[:3]}", event.id)


# By name: what becomes of an event.
EDITS: dict[str, Callable[[ServerSentEvent], Any]] = {
    "keep": lambda event: event,
    "keep in a list": lambda event: [event],
    "drop": lambda event: None,
    "drop by a list": lambda event: [],
    "data": lambda event: event._replace(data=f"{event.data}\n!"),
    "no data": lambda event: event._replace(data=""),
    "type": lambda event: event._replace(event="other"),
    "no type": lambda event: event._replace(event="message"),
    "split": lambda event: (event._replace(data="1"), event._replace(data="2")),
    "after": lambda event: [event, new(event)],
    "twice": lambda event: [event, event],
    "before": lambda event: (part for part in (new(event), event)),
}
OTHER_EDITS: dict[str, Callable[[ServerSentEvent], Any]] = {
    "id": lambda event: event._replace(id=f"x{event.id}"),
    "no id": lambda event: event._replace(id=""),
    "made new": lambda event: ServerSentEvent(data=event.data),
    "retry": lambda event: event._replace(retry=3),
    "no retry": lambda event: event._replace(retry=None),
    "between": lambda event: [ServerSentEvent(id="a"), event, ServerSentEvent(id="b")],
}
PIECES = [
    b"data: a\n\n", b"id: 1\ndata: b\n\n", b"id: 2\r\nevent: x\r\ndata: c\r\n\r\n",
    b"id: 3\n\n", b"retry: 5\n\n", b"retry: 6\r\r", b"retry: 7\ndata: e\n\n", b"event: x\n\n",
    b"id\ndata: d\n\n", b"\r",
    b": c\n", b": d\r", b": e\n\n", b"retry: x\ndata: a\n\n", b"foo: bar\ndata: a\n\n", b"foo\n\n",
    b"id: \0\ndata: a\n\n", b"event: z\nretry: 8\nid: 4\n: f\nfoo\ndata: g\ndata: h\n\n", b"\n",
    b"data: i\r\r", b"\xef\xbb\xbffoo\ndata: j\n\n", b"\xef\xbb\xbf", b"data\n\n", b"id: 5\r",
    b"data: k", b"data: l\n", b"event: y\n", b"foo", b"retry: 9", b": g",
]  # fmt: skip
long_streams = st.lists(st.sampled_from(PIECES), max_size=7).map(b"".join) | streams


@given(long_streams, cut_points, st.sampled_from(["dispatch", "discard", "raise"]))
@example(b"id: 1\n: a\ndata: b\n: c", [], "discard")
@example(b"retry: 1\nevent: x\nfoo", [], "raise")
@example(b"data: a\n\xef\xbb\xbfretry: 5", [], "discard")
def test_an_unfinished_event_is_treated_as_the_decoder_says(
    stream: bytes, points: list[int], incomplete: Any
) -> None:
    assume(not is_compressed(stream))
    source = heard([stream], incomplete=incomplete)
    relayed = whole_events(cut_at(stream, points), decoder=SSEDecoder(incomplete=incomplete))
    handed_on: list[bytes] = []
    if source.error:
        with pytest.raises(IncompleteEventError) as raised:
            handed_on.extend(iter(lambda: next(relayed, b""), b""))
        assert raised.value.event == source.error.event
        incomplete = "discard"  # nothing is missing at the far end
    else:
        handed_on += relayed
    far = heard(handed_on, incomplete=incomplete)
    assert far[:4] == source[:4]
    if incomplete == "discard":  # then it is all the same what the far end does
        assert heard(handed_on)[1:4] == source[1:4]
        assert heard(handed_on).events == source.events


class Editor:
    """Edits the events of a stream, each as the name for it says; the last name goes on."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.count = 0

    def __call__(self, event: ServerSentEvent) -> Any:
        self.count += 1
        name = self.names[min(self.count, len(self.names)) - 1]
        return {**EDITS, **OTHER_EDITS}[name](event)

    def of(self, event: ServerSentEvent) -> list[ServerSentEvent]:
        edited = self(event)
        return [edited] if isinstance(edited, ServerSentEvent) else [*(edited or [])]


@given(
    long_streams,
    cut_points,
    st.lists(st.sampled_from([*EDITS, *OTHER_EDITS]), min_size=1, max_size=4),
    st.sampled_from(["dispatch", "discard"]),
    st.sampled_from(["", "0"]),
)
@settings(max_examples=200)
@example(
    b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [], ["drop"], "dispatch", ""
)  # no mark for the far end
@example(b"data: cut", [], ["after"], "dispatch", "")
@example(b"data: cut", [], ["data"], "dispatch", "")
@example(b"id: 1\ndata: a\n\ndata: b\n\n", [], ["id", "keep"], "dispatch", "0")
@example(b"id: 1\ndata: a\n\ndata: b\n\n", [], ["drop", "no id", "keep"], "dispatch", "0")
@example(b"id: 1\ndata: a\n\nretry: 5\n\ndata: b\n\n", [], ["id", "keep"], "dispatch", "0")
def test_the_far_end_sees_the_edit_and_nothing_else(
    stream: bytes, points: list[int], names: list[str], incomplete: Any, resumed: str
) -> None:
    assume(not is_compressed(stream))
    source = heard([stream], incomplete=incomplete, last_event_id=resumed)
    decoder = SSEDecoder(incomplete=incomplete, last_event_id=resumed)
    chunks = [*rewrite(cut_at(stream, points), Editor(names), decoder=decoder)]
    far = heard(chunks, incomplete=incomplete, last_event_id=resumed)
    model = Editor(names)
    edited = [model.of(event) for event in source.events]
    assert far.events == [event for events in edited for event in events]
    assert far.others == source.others
    assert far.ignored_text == source.ignored_text
    if incomplete == "dispatch" and not {"drop", "drop by a list"} & {*names}:
        assert far.incomplete == source.incomplete
    if not {"before", "between"} & {*names}:  # there the lines of the block come later
        left = iter(edited)
        log: list[Any] = []
        for entry in source.log:
            log += next(left) if isinstance(entry, ServerSentEvent) else [entry]
        assert far.log == log
    if not {*OTHER_EDITS} & {*names}:
        assert (far.last_event_id, far.retry) == (source.last_event_id, source.retry)


@given(long_streams, st.lists(st.sampled_from([*EDITS]), min_size=1, max_size=3), cut_points)
@example(b"id: 8\ndata: a\n\ndata: b\n\n", ["drop"], [])
def test_who_stops_anywhere_resumes_where_the_source_is(
    stream: bytes, names: list[str], points: list[int]
) -> None:
    assume(not is_compressed(stream))
    source, far = SSEDecoder(last_event_id="0"), SSEDecoder(last_event_id="0")

    def chunks() -> Iterator[bytes]:
        for chunk in cut_at(stream, points):
            source.feed(chunk)
            yield chunk
            assert far.last_event_id == source.last_event_id == relayed.position()

    relayed = rewrite(chunks(), Editor(names), last_event_id="0")
    for chunk in relayed:
        far.feed(chunk)
        assert not far.incomplete or relayed.is_exhausted
        assert relayed.is_exhausted or far.last_event_id == relayed.position()


@given(long_streams, st.lists(st.sampled_from([*OTHER_EDITS, "keep", "drop"]), min_size=1))
def test_the_position_is_that_of_the_far_end(stream: bytes, names: list[str]) -> None:
    assume(not is_compressed(stream))
    far = SSEDecoder()
    relayed = rewrite([stream[i : i + 1] for i in range(len(stream))], Editor(names))
    for chunk in relayed:
        far.feed(chunk)
        if relayed.is_exhausted:
            far.close()
        assert far.last_event_id == relayed.position()


@given(
    st.lists(
        st.sampled_from(
            [*SHAPES, b"data: " + b"x" * 30 + b"\n", b": " + b"x" * 30 + b"\r", b"id: " + b"7" * 30]
        ),
        max_size=8,
    ).map(b"".join),
    cut_points,
    st.integers(1, 40),
    st.sampled_from(["raise", "skip"]),
)
@settings(max_examples=150)
def test_the_bound_is_that_of_the_decoder(
    stream: bytes, points: list[int], limit: int, on_oversize: Any
) -> None:
    options: Any = {"max_event_size": limit, "on_oversize": on_oversize}
    expected: list[ServerSentEvent] = []
    decoder, is_too_large = SSEDecoder(**options), False
    try:
        for byte in stream:
            expected += decoder.feed(bytes([byte]))
        expected += decoder.close()
    except EventTooLargeError:
        is_too_large = True
    relayed = whole_events(cut_at(stream, points), decoder=SSEDecoder(**options))
    handed_on: list[bytes] = []
    try:
        handed_on.extend(iter(lambda: next(relayed, b""), b""))
        assert not is_too_large
    except EventTooLargeError:
        assert is_too_large
    far = SSEDecoder()
    got = far.feed(b"".join(handed_on)) + far.close()
    assert got == expected
    assert (far.last_event_id, far.retry) == (decoder.last_event_id, decoder.retry)


def test_what_passes_as_it_came_and_what_is_written_anew() -> None:
    stream = b"id: 1\r\n: c\r\nevent: x\r\nfoo\r\ndata: a\r\n\r\n"
    edits: list[tuple[Callable[[ServerSentEvent], Any], bytes]] = [
        (unchanged, stream),
        (lambda event: None, b"id: 1\n: c\nfoo\n\n"),
        (lambda event: event._replace(data="b"), b": c\nfoo\nid: 1\nevent: x\ndata: b\n\n"),
    ]
    for edit, expected in edits:
        whole = [*rewrite([stream + b": d\r\n"], edit)]
        assert whole == [expected + b": d\r\n"]
        cut = [*rewrite([stream[:-1], stream[-1:], b": d\r\n"], edit)]
        assert b"".join(cut) == expected + b": d\r\n"  # no stray LF
    twice = [*rewrite([stream], lambda event: [event, event])]
    assert twice == [stream + b"event: x\ndata: a\n\n"]


def test_an_unfinished_event_goes_out_unfinished() -> None:
    for cut in (b"data: a", b"data: a\n"):
        assert [*rewrite([cut], lambda event: event)] == [cut]
        assert [*rewrite([cut], lambda event: event._replace(data="b"))] == [b"data: b\n"]
        assert [*rewrite([cut], lambda event: None)] == []


def test_rewriting_for_a_reader_that_resumed() -> None:
    """Its decoder starts from the ID, and what repeats it need not be written."""
    stream = b"data: a\n\nid: 7\ndata: b\n\n"
    seen: list[str] = []

    def edit(event: ServerSentEvent) -> ServerSentEvent:
        seen.append(event.id)
        return event._replace(data="x")

    options: Any
    for options in ({"last_event_id": "7"}, {"decoder": SSEDecoder(last_event_id="7")}):
        assert b"".join(rewrite([stream], edit, **options)) == b"data: x\n\ndata: x\n\n"
    assert b"".join(rewrite([stream], edit)) == b"data: x\n\nid: 7\ndata: x\n\n"
    assert seen == ["7", "7", "7", "7", "", "7"]


relays = pytest.mark.parametrize(
    "relay", [whole_events, partial(rewrite, edit=unchanged)], ids=["whole_events", "rewrite"]
)


def test_each_relay_on_the_async_side() -> None:
    async def main() -> None:
        for relay in (awhole_events, partial(arewrite, edit=unchanged)):
            source, response = AsyncChunks(ONE[:3], ONE[3:] + TWO[:5], TWO[5:]), AsyncResource()
            async with relay(source, response=response) as relayed:
                assert [chunk async for chunk in relayed] == [ONE, TWO]
            assert (source.closed, response.closed) == (1, 1)

    asyncio.run(main())


@relays
def test_a_reply_that_is_no_event_stream_passes_as_it_is(relay: Any) -> None:
    chunks = [b'{"data":\n\n', b"\x1f\x8b"]
    response = Response("application/json")
    assert [*relay(chunks, response=response)] == chunks
    assert response.closed == 1
    with pytest.raises(IncompleteEventError):  # for who knows better
        list(relay([*chunks[:1], b"x"], response=response, decoder=SSEDecoder(incomplete="raise")))


@relays
@pytest.mark.parametrize("start", [gzip.compress(ONE), zlib.compress(ONE), ZSTD + ONE])
@pytest.mark.parametrize("size", [1, 99])
def test_compressed_bytes_are_an_error_at_once(relay: Any, start: bytes, size: int) -> None:
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        for i in range(0, len(start), size):
            read.append(i)
            yield start[i : i + size]

    with pytest.raises(ValueError, match=r"compressed .*pass them decoded"):
        list(relay(chunks()))
    assert len(read) <= 4
    for plain in (b"x\n\n", b"(", b"\x1f"):
        assert b"".join(relay([plain[:1], plain[1:]])) == plain


@relays
def test_lines_that_are_no_data_are_bounded_too(relay: Any) -> None:
    """A decoder holds nothing of them; who hands them on has to."""

    def comments() -> Iterator[bytes]:
        yield b"data: a\n"
        while True:
            yield b": " + b"c" * 98 + b"\n"

    on_oversize: Any
    for on_oversize in ("raise", "skip"):
        decoder = SSEDecoder(max_event_size=1000, on_oversize=on_oversize)
        with pytest.raises(EventTooLargeError, match="1000 bytes"):
            list(relay(comments(), decoder=decoder))


@relays
def test_what_is_held_of_an_event_that_is_left_out_is_bounded(relay: Any) -> None:
    decoder = SSEDecoder(max_event_size=1000, on_oversize="skip")
    relayed = relay(
        [
            b"id: 5\r\n",
            *[b"data: " + b"x" * 10_000] * 50,
            b"\n",
            *[b"data: y\n"] * 20_000,
            b"retry: 6\r",
            b"\n: " + b"c" * 1000 + b"\n",
            b"foo: ",
            *[b"z" * 1000] * 100,
            b"\n\n" + TWO,
        ],
        decoder=decoder,
    )
    largest, chunks = 0, []
    for chunk in relayed:
        chunks.append(chunk)
        largest = max(largest, len(relayed.machine._held))
    assert chunks == [b"id: 5\nretry: 6\n\n" + TWO]
    assert largest < 100_000
    assert decoder.skipped == 1


def test_an_edit_that_raises_ends_it_after_what_was_whole() -> None:
    fault = ZeroDivisionError("of the edit")

    def edit(event: ServerSentEvent) -> ServerSentEvent:
        if event.data == "two":
            raise fault
        return event

    source = Chunks(ONE + TWO + ONE, ONE)
    relayed = rewrite(source, edit)
    assert next(relayed) == ONE
    with pytest.raises(ZeroDivisionError) as raised:
        next(relayed)
    assert raised.value is fault
    assert source.closed == 1
    with pytest.raises(StreamClosedError) as closed:
        next(relayed)
    assert closed.value.last_event_id == "1"


@pytest.mark.parametrize(
    ("edited", "error", "hint"),
    [
        (ServerSentEvent(id="a\nb"), ValueError, "forge a line"),
        ("text", TypeError, "must return a ServerSentEvent, several of them, or None, not str"),
        (5, TypeError, "not int"),
        (["a"], TypeError, "not str"),
        (("message", "a", "", None), TypeError, "not str"),
    ],
)
def test_an_edit_that_returns_what_cannot_be_sent(edited: Any, error: Any, hint: str) -> None:
    relayed = rewrite([ONE + TWO], lambda event: event if event.id == "1" else edited)
    assert next(relayed) == ONE
    with pytest.raises(error, match=hint):
        next(relayed)


@pytest.mark.parametrize("make", [whole_events, awhole_events, rewrite, arewrite])
def test_mistakes_with_relays(make: Any) -> None:
    edit = (unchanged,) if make in (rewrite, arewrite) else ()
    for chunks, options, error, hint in [
        (ONE, {}, TypeError, "one chunk"),
        (Response(None), {}, TypeError, "is a response"),
        (5, {}, TypeError, make.__name__),
        (AsyncChunks(), {"decoder": 1}, TypeError, "decoder must be"),
    ]:
        with pytest.raises(error, match=hint):
            make(chunks, *edit, **options)
    if edit:
        for mistake, hint in [(None, "must be a function"), (observer, "not an async one")]:
            with pytest.raises(TypeError, match=hint):
                make(AsyncChunks(), mistake)
        with pytest.raises(ValueError, match="either decoder or last_event_id"):
            make(AsyncChunks(), *edit, decoder=SSEDecoder(), last_event_id="1")


# Interrupts, and what is left behind.


def test_an_interrupt_of_an_observer_ends_the_reading() -> None:
    def on_event(event: ServerSentEvent) -> None:
        raise KeyboardInterrupt

    source = Chunks(ONE, TWO)
    chunks = tee(source, on_event=on_event)
    assert next(chunks) == ONE
    with pytest.raises(KeyboardInterrupt):
        next(chunks)
    assert source.closed == 1
    with pytest.raises(StreamClosedError, match="cancelled or interrupted"):
        next(chunks)

    async def main() -> None:
        source = AsyncChunks(ONE, TWO)
        chunks = atee(source, on_event=on_event)
        assert await anext(chunks) == ONE
        with pytest.raises(KeyboardInterrupt):
            await anext(chunks)
        assert source.closed == 1

    asyncio.run(main())


def test_after_an_observer_has_closed_nothing_is_read() -> None:
    class Counted(Chunks):
        reads = 0

        def __next__(self) -> bytes:
            self.reads += 1
            return super().__next__()

    source = Counted(ONE, TWO)
    chunks = tee(source, on_event=lambda event: chunks.close())
    assert list(chunks) == [ONE]
    assert (source.reads, source.closed) == (1, 1)


class Failing:
    """One chunk, then an error that nothing here holds."""

    def __init__(self) -> None:
        self.chunks = [ONE]

    def __iter__(self) -> Failing:
        return self

    __aiter__ = __iter__

    def __next__(self) -> bytes:
        if not self.chunks:
            raise OSError("reset")
        return self.chunks.pop()

    async def __anext__(self) -> bytes:
        return next(self)


async def fail(relays: list[Any]) -> None:
    try:
        await read_on(relays)
    except OSError:  # here: asyncio.run would keep it, and pytest.raises, too
        return
    raise AssertionError("did not raise")


def whole_but_too_large(chunks: Any) -> Any:
    return whole_events(chunks, decoder=SSEDecoder(max_event_size=1))


def tee_of_too_large(chunks: Any) -> Any:
    return tee(chunks, decoder=SSEDecoder(max_event_size=1))


def kept_alive(chunks: Any) -> Any:
    return atee(chunks, keepalive=1)


@pytest.mark.parametrize(
    "relay",
    [
        *(tee, tee_of_too_large, whole_events, whole_but_too_large),
        *(partial(rewrite, edit=unchanged), atee, kept_alive, awhole_events),
    ],
)
def test_nothing_is_left_to_the_collector_after_an_error(
    relay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("sse_stream.relay"), "disabled", True)  # records hold it
    gc.collect()
    gc.disable()
    try:
        is_async = relay in (atee, kept_alive, awhole_events)
        relayed = relay(Failing())
        if is_async:
            asyncio.run(fail([relayed]))
        else:
            with pytest.raises((OSError, EventTooLargeError)):
                list(relayed)
        left = [weakref.ref(relayed), weakref.ref(relayed.machine), weakref.ref(relayed.source)]
        del relayed
        assert [reference() for reference in left] == [None] * len(left)
    finally:
        gc.enable()


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_what_a_relay_costs_is_linear(size: int) -> None:
    """An event of a megabyte, in small chunks, costs a step for each chunk."""
    event = b"data: " + b"x" * 100_000 + b"\n" + b"data: y\n" * 2000 + b"\n"
    chunks = [event[i : i + size] for i in range(0, len(event), size)]
    begin = time.process_time()
    assert b"".join(rewrite(chunks, lambda event: event)) == event
    assert time.process_time() - begin < 5


# Keeping alive.

KEEP_ALIVE, BETWEEN_LINES = b": keep-alive\n\n", b": keep-alive\n"


class Live:
    """Chunks that are put in while the other end reads; counts what is asked of it."""

    def __init__(self, *chunks: Any) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.reads = self.cancelled = self.closed = 0
        self.put(*chunks)

    def put(self, *chunks: Any) -> None:
        for chunk in chunks:
            self.queue.put_nowait(chunk)

    def __aiter__(self) -> Live:
        return self

    async def __anext__(self) -> bytes:
        self.reads += 1
        try:
            chunk = await self.queue.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        self.closed += 1


END = StopAsyncIteration()


class Reply(AsyncResource):
    def __init__(self, **headers: str) -> None:
        super().__init__()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


EVENTS_REPLY = {"Content_Type": "text/event-stream"}


@pytest.mark.parametrize(
    ("before", "headers", "expected"),
    [
        ([], {}, KEEP_ALIVE),
        ([], EVENTS_REPLY, KEEP_ALIVE),
        ([ONE], {}, KEEP_ALIVE),
        ([b": c\n"], {}, KEEP_ALIVE),
        ([BOM], {}, KEEP_ALIVE),
        ([b"data: a\n"], {}, BETWEEN_LINES),
        ([b"x: a\n"], {}, BETWEEN_LINES),
        ([b"\n"], {}, KEEP_ALIVE),
        ([b"data: a\n: c\n"], {}, BETWEEN_LINES),
        ([b"data: a\r\n"], {}, BETWEEN_LINES),
        ([b"data: a\r", b"\n"], {}, BETWEEN_LINES),
        ([b"event: a"], {}, None),
        ([b": c"], {}, None),
        ([BOM[:2]], {}, None),
        ([b"data: a\r"], {}, None),  # its LF may follow
        ([b"data: a\r\r"], {}, None),
        ([gzip.compress(ONE)[:9], b"\n"], {}, None),
        ([ZSTD[:1], ZSTD[1:], b"\n\n"], EVENTS_REPLY, None),
        ([b"{}\n"], {"Content_Type": "application/json"}, None),
        ([], {"Content_Type": "application/json"}, None),
        ([], {**EVENTS_REPLY, "Content_Encoding": "br"}, None),  # who knows
        ([b"\x0b\x02\n"], {**EVENTS_REPLY, "Content_Encoding": "br"}, None),
        ([b"d", b"ata: a\n"], {**EVENTS_REPLY, "Content_Encoding": "br"}, BETWEEN_LINES),
        ([BOM, b": c\n"], {**EVENTS_REPLY, "Content_Encoding": "gzip"}, KEEP_ALIVE),
        ([b": c\n"], {**EVENTS_REPLY, "Content_Encoding": "br"}, KEEP_ALIVE),
        ([b"id: 1\n"], {**EVENTS_REPLY, "Content_Encoding": "br"}, BETWEEN_LINES),
        ([b"event: a\n"], {**EVENTS_REPLY, "Content_Encoding": "br"}, BETWEEN_LINES),
        ([b"retry: 1\n"], {**EVENTS_REPLY, "Content_Encoding": "br"}, BETWEEN_LINES),
        ([b"RETRY: 1\n"], {**EVENTS_REPLY, "Content_Encoding": "br"}, None),
    ],
)
def test_where_a_comment_goes(before: Any, headers: Any, expected: bytes | None) -> None:
    async def main() -> None:
        log, source, reply = Log(), Live(*before), Reply(**headers)
        async with log.atee(source, response=reply, keepalive=0.01) as chunks:
            assert [await anext(chunks) for _ in before] == before
            read = asyncio.ensure_future(anext(chunks))
            await asyncio.wait({read}, timeout=0.06 if expected is None else GUARD)
            if expected is None:
                assert not read.done()
            else:
                assert await read == expected
                assert [await anext(chunks) for _ in range(2)] == [expected] * 2
                read = asyncio.ensure_future(anext(chunks))
            source.put(b"\n\n")
            assert await read in (b"\n\n", expected)
            assert source.reads == len(before) + 1  # the one that waits was never cancelled
            assert source.cancelled == 0
        assert reply.closed == 1

    asyncio.run(main())


@given(
    st.lists(st.sampled_from(PIECES), max_size=5).map(b"".join) | streams,
    cut_points,
    st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=60, deadline=None)
@example(b"\xef\xbb\xbfdata: a\n\n", [1], [True] * 12)
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [], [True] * 12)
@example(b"\xef\xbbdata: a\n\n", [1, 2], [True] * 12)
@example(b"\xef", [], [True] * 12)
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 10, 11], [True] * 12)
def test_keep_alives_change_nothing_of_what_a_client_gets(
    stream: bytes, points: list[int], silences: list[bool]
) -> None:
    assume(not is_compressed(stream))
    cut = cut_at(stream, points)

    async def chunks() -> AsyncIterator[bytes]:
        for chunk, is_silent in zip(cut, silences, strict=False):
            if is_silent:
                await asyncio.sleep(0.003)
            yield chunk
        if silences[-1]:
            await asyncio.sleep(0.003)

    log = Log()
    got = asyncio.run(collect(log.atee(chunks(), keepalive=0.001)))
    source, far = heard(cut), heard(got)
    assert far.events == source.events == log.events
    kept_alive = ("comment", "keep-alive")
    assert [entry for entry in far.log if entry != kept_alive] == source.log
    assert far[1:] == source[1:]
    assert log.outcome.bytes == len(stream)
    assert log.outcome.events == len(source.events)


def test_upstream_ends_or_fails_after_silence() -> None:
    async def main() -> None:
        for last in (END, OSError("reset")):
            log, source = Log(), Live(ONE)
            chunks = log.atee(source, keepalive=0.01)
            assert await anext(chunks) == ONE
            assert await anext(chunks) == KEEP_ALIVE
            source.put(TWO, last)
            got = []
            with pytest.raises((StopAsyncIteration, OSError)) as raised:
                while True:
                    got.append(await anext(chunks))
            assert raised.type is type(last)
            assert [chunk for chunk in got if chunk != KEEP_ALIVE] == [TWO]
            assert log.events == EVENTS
            state = "complete" if last is END else "failed"
            assert log.outcome[0] == state
            assert log.outcome.bytes == len(ONE + TWO)
            assert source.closed == 1

    asyncio.run(main())


@pytest.mark.parametrize("way", ["cancel", "leave", "close", "close from outside", "drop"])
def test_leaving_cancels_the_read_that_waits(way: str) -> None:
    async def main() -> None:
        log, source, reply = Log(), Live(), Reply()
        chunks = log.atee(source, response=reply, keepalive=0.01)
        async with chunks if way == "leave" else nullcontext():
            assert await anext(chunks) == KEEP_ALIVE
            source.put()
            if way == "cancel":
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(read_on([chunks]), 0.03)
            elif way == "close":
                await chunks.aclose()
            elif way == "close from outside":
                task = asyncio.ensure_future(read_on([chunks]))
                await asyncio.sleep(0.03)
                await chunks.aclose()
                await asyncio.wait_for(task, GUARD)
            elif way == "drop":
                del chunks
                gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert (source.reads, source.cancelled, source.closed) == (1, 1, 1)
        assert reply.closed == (way != "drop")
        assert log.outcome == ("closed", None, 0, 0, "")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def read_on(tees: list[Any]) -> None:
    async for _ in tees.pop():  # held by nobody here
        pass


@pytest.mark.parametrize("fault", [None, OSError("while it was cancelled")])
def test_leaving_does_not_wait_for_the_read(
    fault: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    goes_on: list[bool] = []

    async def stubborn() -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            while not goes_on:
                await asyncio.sleep(0)
            if fault is not None:
                raise fault from None
        yield ONE
        raise AssertionError("read again")

    async def main() -> None:
        chunks = atee(stubborn(), keepalive=0.01)
        assert await anext(chunks) == KEEP_ALIVE
        await asyncio.wait_for(chunks.aclose(), GUARD)
        goes_on.append(True)
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert not caplog.records  # nobody is told of what the read still raised


def test_a_coroutine_that_is_closed_while_upstream_is_silent() -> None:
    """Nothing can be awaited then; the read is cancelled all the same."""
    log, source, reply = Log(), Live(), Reply()

    async def read() -> None:
        async with log.atee(source, response=reply, keepalive=60) as chunks:
            await anext(chunks)

    async def main() -> None:
        coroutine = read()
        asyncio.get_running_loop().call_soon(lambda: coroutine.send(None))
        for _ in range(3):
            await asyncio.sleep(0)
        coroutine.close()
        assert log.outcome.state == "closed"
        for _ in range(3):
            await asyncio.sleep(0)
        assert (source.reads, source.cancelled, source.closed) == (1, 1, 1)

    asyncio.run(main())


def test_leaving_before_the_read_has_begun() -> None:
    async def main() -> None:
        source = Live()
        chunks = atee(source, keepalive=5)
        read = asyncio.ensure_future(anext(chunks))
        closing = asyncio.ensure_future(chunks.aclose())
        await closing
        with pytest.raises(StopAsyncIteration):
            await read
        assert source.reads == source.cancelled
        assert source.closed == 1

    asyncio.run(main())


def test_keeping_alive_needs_asyncio() -> None:
    async def main() -> None:
        source = AsyncChunks(ONE)
        with pytest.raises(TypeError, match="does not run on asyncio: leave keepalive out"):
            await anext(atee(source, keepalive=1))
        assert source.closed == 1

    trio.run(main)


@pytest.mark.parametrize("seconds", ["1", True, 0, -1, float("nan")])
def test_a_keepalive_that_is_no_time(seconds: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="keepalive must be"):
        atee(AsyncChunks(), keepalive=seconds)


# What else can happen at the end.


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: [DONE]"],  # its blank line never came
        [b"data: [DONE]", OSError()],
        [ONE, b"data: [DONE]\n", OSError()],
    ],
)
def test_the_mark_in_an_event_that_a_decoder_raises(chunks: list[Any]) -> None:
    log = Log()
    decoder = SSEDecoder(incomplete="raise")
    relay = tee(Chunks(*chunks), on_end=log.on_end, decoder=decoder, done="[DONE]")
    with pytest.raises(OSError) if isinstance(chunks[-1], OSError) else nullcontext():
        list(relay)
    assert log.outcome.state == "complete"


def test_a_fault_that_is_due_when_the_chunks_fail() -> None:
    log = Log()
    chunks = Chunks(b"data: a\n\ndata: much too long", OSError())
    decoder = SSEDecoder(max_event_size=8)
    with pytest.raises(OSError):
        list(log.tee(chunks, decoder=decoder, done="[DONE]"))
    assert log.outcome.state == "failed"
    assert isinstance(log.outcome.error, OSError)
    assert log.outcome.events == 1


@pytest.mark.parametrize("keepalive", [None, 60])
def test_an_observer_that_closes_an_async_tee(keepalive: float | None) -> None:
    log = Log()

    def close(event: ServerSentEvent) -> None:
        closing = relay.aclose()
        try:
            closing.send(None)
        except StopIteration:
            pass

    source = AsyncChunks(ONE, TWO)
    relay = atee(source, on_event=close, on_end=log.on_end, keepalive=keepalive)

    async def main() -> None:
        assert [chunk async for chunk in relay] == [ONE]

    asyncio.run(main())
    assert log.outcome.state == "closed"


def test_a_tee_that_outlives_its_loop(caplog: pytest.LogCaptureFixture) -> None:
    async def silent() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    log = Log()
    relay = atee(silent(), on_end=log.on_end, keepalive=0.01)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(anext(relay)) == b": keep-alive\n\n"
    loop.close()
    with caplog.at_level(logging.CRITICAL, "asyncio"):  # of a task that is pending
        del relay
        gc.collect()
    assert log.outcome.state == "closed"


@pytest.mark.parametrize("kind", [Tee, AsyncTee])
def test_a_tee_that_was_never_made(kind: Any) -> None:
    relay = kind.__new__(kind)
    del relay  # without a word


# The whole texts.


RELAYS: list[tuple[Any, str, str]] = [  # and what takes the other side
    (tee, "tee", "atee"),
    (atee, "atee", "tee"),
    (whole_events, "whole_events", "awhole_events"),
    (awhole_events, "awhole_events", "whole_events"),
    (partial(rewrite, edit=unchanged), "rewrite", "arewrite"),
    (partial(arewrite, edit=unchanged), "arewrite", "rewrite"),
]


@pytest.mark.parametrize(("make", "name", "other"), RELAYS, ids=[name for _, name, _ in RELAYS])
def test_the_whole_text_about_what_cannot_be_relayed(make: Any, name: str, other: str) -> None:
    with pytest.raises(TypeError) as caught:
        make(5)
    wanted = "an async iterable" if name.startswith("a") else "an iterable"
    assert str(caught.value) == f"{name} takes {wanted} of bytes, not int"
    with pytest.raises(TypeError) as caught:
        make([] if name.startswith("a") else generate())
    given = "list" if name.startswith("a") else "async_generator"
    assert str(caught.value) == f"{name} iterates over {wanted}; pass this {given} to {other}"


def test_the_whole_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> Any:
        raise ZeroDivisionError

    caplog.set_level(logging.INFO, "sse_stream")
    list(tee([ONE, TWO], on_event=fail, on_end=fail, done=fail))
    list(tee([gzip.compress(ONE)]))
    list(tee([ONE], decoder=SSEDecoder(max_event_size=3)))
    more = "it is called again, and more errors are counted"
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", f"tee: done raised; {more}"),
        ("ERROR", f"tee: on_event raised; {more}"),
        ("ERROR", "tee: on_end raised"),
        ("INFO", "tee: done raised 2 times"),
        ("INFO", "tee: on_event raised 2 times"),
        ("ERROR", "tee: no events are read"),
        ("ERROR", "tee: the reading of events stopped"),
    ]
    assert {record.name for record in caplog.records} == {"sse_stream.relay"}
    assert all(record.exc_info for record in caplog.records if record.levelname == "ERROR")


@pytest.mark.parametrize(
    ("start", "coding"),
    [
        (b"\x1f\x8b", "gzip"),
        (ZSTD, "zstd"),
        (b"x\x01", "deflate"),
        (b"x\x9c", "deflate"),
        (b"x\xda", "deflate"),
    ],
)
def test_the_whole_text_about_compressed_bytes(start: bytes, coding: str) -> None:
    with pytest.raises(ValueError, match="compressed") as caught:
        list(whole_events([start]))
    hint = "pass them decoded to see the events in them"
    assert str(caught.value) == f"the bytes are compressed ({coding}); {hint}"


# What reading is ended by, and what is handed on.


def test_what_can_be_interrupted_is_when_a_tee_is_closed_while_it_reads() -> None:
    class Source(Chunks):
        interrupted = 0

        def __next__(self) -> bytes:
            relay.close()
            return super().__next__()

        def interrupt(self) -> None:
            self.interrupted += 1

    class AsyncSource(AsyncChunks):
        interrupted = 0

        async def __anext__(self) -> bytes:
            await asynchronous.aclose()
            return await super().__anext__()

        def interrupt(self) -> None:
            self.interrupted += 1

    source = Source(ONE)
    relay = tee(source)
    assert list(relay) == []
    assert source.interrupted == 1
    asource = AsyncSource(ONE)
    asynchronous = atee(asource)
    assert asyncio.run(collect(asynchronous)) == []
    assert asource.interrupted == 1


def test_a_buffer_goes_on_as_it_is_with_keepalives_too() -> None:
    chunk = bytearray(ONE)

    async def main() -> None:
        relay: Any = atee(AsyncChunks(chunk), keepalive=5)
        assert await anext(relay) is chunk

    asyncio.run(main())


@pytest.mark.parametrize(
    ("chunks", "handed_on"),
    [
        ([BOM + ONE], [ONE]),
        ([BOM[:1], BOM[1:] + ONE], [ONE]),
        ([BOM[:2], b"x: y\n"], [BOM[:2] + b"x: y\n"]),
        ([BOM[:2]], [BOM[:2]]),
        ([BOM, BOM + ONE], [BOM + ONE]),
        ([b"d", b"ata: a\n\n"], [b"d", b"ata: a\n\n"]),
    ],
)
def test_what_is_left_of_a_byte_order_mark_after_a_comment(
    chunks: list[bytes], handed_on: list[bytes]
) -> None:
    async def main() -> None:
        source = Live()
        relay = atee(source, keepalive=0.01)
        assert await anext(relay) == KEEP_ALIVE
        source.put(*chunks, END)
        assert [chunk async for chunk in relay if chunk != KEEP_ALIVE] == handed_on

    asyncio.run(main())


def test_where_to_resume_after_an_error_of_the_chunks() -> None:
    for start, position in ((ONE, "1"), (b"data: a\n\n", "")):
        relay = tee(Chunks(start, OSError()))
        assert next(relay) == start
        with pytest.raises(OSError):
            next(relay)
        with pytest.raises(StreamClosedError) as caught:
            next(relay)
        assert caught.value.last_event_id == position


@pytest.mark.parametrize("make", [*(make for make, _, _ in RELAYS), partial(atee, keepalive=5)])
def test_what_the_chunks_are_iterated_from_is_closed_and_so_is_the_response(make: Any) -> None:
    class Body:
        def __init__(self) -> None:
            self.closed = 0

        def __iter__(self) -> Iterator[bytes]:
            return iter([ONE])

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield ONE

        def close(self) -> None:
            self.closed += 1

    async def read(relay: Any) -> list[bytes]:
        return [chunk async for chunk in relay]

    body, response = Body(), Response("text/event-stream")
    relay = make(body, response=response)
    chunks = asyncio.run(read(relay)) if hasattr(relay, "__aiter__") else list(relay)
    assert chunks == [ONE]
    assert (body.closed, response.closed) == (1, 1)


@pytest.mark.parametrize("keepalive", [None, 5.0])
def test_a_response_of_something_else_async(keepalive: float | None) -> None:
    log = Log()
    reply = Reply(Content_Type="application/json")
    asyncio.run(collect(log.atee(AsyncChunks(ONE), response=reply, keepalive=keepalive)))
    assert log.seen == [TeeOutcome("complete", None, len(ONE), 0, "")]


def test_an_async_tee_with_keepalives_has_its_options() -> None:
    log = Log()
    decoder = SSEDecoder(last_event_id="7")
    chunks = AsyncChunks(b"data: [DONE]\n\n", b"data: cut")
    asyncio.run(collect(log.atee(chunks, decoder=decoder, done="[DONE]", keepalive=5)))
    assert log.outcome == ("complete", None, 23, 2, "7")


@pytest.mark.parametrize(
    ("chunks", "handed_on"),
    [
        ([b"data: a\n", b"\n"], [b"data: a\n\n"]),
        ([b"data: a\n", b"\n", b": c\n"], [b"data: a\n\n", b": c\n"]),
        ([b"X: b\n", b"data: a\n\n"], [b"X: b\ndata: a\n\n"]),
        ([b": X", b"\n", b": c\n"], [b": X\n", b": c\n"]),
        ([b":c\n", b":d\n"], [b":c\n", b":d\n"]),
        ([b"\n", b"\n"], [b"\n", b"\n"]),
        ([b"data: a\r\r", b"\n", b"data: b\n\n"], [b"data: a\r\r", b"\n", b"data: b\n\n"]),
        ([b"data: a\r", b"\n", b"data: b\n\n"], [b"data: a\r\ndata: b\n\n"]),
        ([b"data: a\r", b"\nid: 1", b"\n\n"], [b"data: a\r\nid: 1\n\n"]),
        ([b"data: a\r", b"id: 1", b"\n\n"], [b"data: a\rid: 1\n\n"]),
        ([BOM[:1], BOM[1:], b"data: a\n\n"], [BOM, b"data: a\n\n"]),
        ([b"data: a\n\n", BOM + b"data: b\n\n"], [b"data: a\n\n", BOM + b"data: b\n\n"]),
        ([b"", b"data: a\n\n"], [b"data: a\n\n"]),
    ],
)
def test_where_chunks_are_cut(chunks: list[bytes], handed_on: list[bytes]) -> None:
    assert list(whole_events(chunks)) == handed_on
    assert list(rewrite(chunks, unchanged)) == handed_on


def test_a_byte_order_mark_later_on_is_part_of_a_name() -> None:
    chunks = [b"data: a\n\n", BOM + b"data: b\n\n"]
    # The second is one more for the far end to drop.
    assert list(rewrite(chunks, lambda event: None)) == [BOM + BOM + b"data: b\n\n"]


def test_nothing_is_handed_on_of_nothing() -> None:
    chunks = [b"", b"x", b""]
    assert list(whole_events(chunks, response=Response("text/plain"))) == [b"x"]


def edit_by_data(event: ServerSentEvent) -> Any:
    """Do what the data says."""
    changed = event._replace(data="changed")
    return {
        "drop": None,
        "change": changed,
        "nine": event._replace(id="9"),
        "and one": [event, changed],
        "one and": [changed, event],
    }.get(event.data, event)


@pytest.mark.parametrize(
    ("chunks", "handed_on"),
    [
        ([b"id: 1\ndata: drop\n\n", b"data: b\n\n"], [b"id: 1\n\n", b"data: b\n\n"]),
        ([b"retry: 5\ndata: drop\n\n"], [b"retry: 5\n\n"]),
        (
            [b"retry: 5\nid: 1\ndata: change\n: c\nx: y\n\n"],
            [b": c\nx: y\nretry: 5\nid: 1\ndata: changed\n\n"],
        ),
        (  # an ID that the far end does not have
            [b"id: 1\ndata: nine\n\n", b"data: b\n\n", b"data: c\n\n"],
            [b"id: 9\ndata: nine\n\n", b"id: 1\ndata: b\n\n", b"data: c\n\n"],
        ),
        (
            [b"id: 1\ndata: nine\n\n", b": c\n", b"data: b\n\n"],
            [b"id: 9\ndata: nine\n\n", b": c\n", b"id: 1\ndata: b\n\n"],
        ),
        (
            [b"id: 1\ndata: nine\n\n", b"id: 5\n\n", b"data: b\n\n"],
            [b"id: 9\ndata: nine\n\n", b"id: 5\n\n", b"data: b\n\n"],
        ),
        (
            [b"id: 1\ndata: nine\n\n", b"id: 5\ndata: b\n\n", b"data: c\n\n"],
            [b"id: 9\ndata: nine\n\n", b"id: 5\ndata: b\n\n", b"data: c\n\n"],
        ),
        (
            [b"id: 1\ndata: nine\n\n", b"data: drop\n\n", b"data: b\n\n"],
            [b"id: 9\ndata: nine\n\n", b"id: 1\ndata: b\n\n"],
        ),
        (
            [b"id: 1\ndata: nine\n\n", b"id: 5\ndata: drop\n\n", b"data: b\n\n"],
            [b"id: 9\ndata: nine\n\n", b"id: 5\n\n", b"data: b\n\n"],
        ),
        (  # an ID with a NUL is none
            [b"id: 1\ndata: nine\n\n", b"id: 5\0\n\n", b"data: b\n\n"],
            [b"id: 9\ndata: nine\n\n", b"id: 5\0\n\n", b"id: 1\ndata: b\n\n"],
        ),
        (
            [b"id: 1\ndata: nine\n\n", b"id:5:6\ndata: b\n\n"],
            [b"id: 9\ndata: nine\n\n", b"id:5:6\ndata: b\n\n"],
        ),
        ([b"data: drop\n: c\n\n"], [b": c\n"]),
        ([b"retry: 5\ndata: drop"], [b"retry: 5\n"]),
        ([b"data: drop\r\r", b"\n: c\r", b"\ndata: b\n\n"], [b": c\r", b"\ndata: b\n\n"]),
        ([b"data: change\r\r", b"\n", b"\n"], [b"data: changed\n\n", b"\n"]),
        ([b"data: and one\n\n"], [b"data: and one\n\ndata: changed\n\n"]),
        ([b"data: one and\n\n"], [b"data: changed\n\ndata: one and\n\n"]),
        ([b"data: and one"], [b"data: and one\n\ndata: changed\n"]),
        ([b"data: one and"], [b"data: changed\n\ndata: one and"]),
        ([b"data: one and\r\r", b"\n"], [b"data: changed\n\ndata: one and\r\r", b"\n"]),
        ([b"data: and one\r\r", b"\n"], [b"data: and one\r\rdata: changed\n\n"]),
    ],
)
def test_what_an_edit_makes_of_blocks(chunks: list[bytes], handed_on: list[bytes]) -> None:
    assert list(rewrite(chunks, edit_by_data)) == handed_on


@pytest.mark.parametrize("size", [8 * 1000 + 0x10000, 8 * 1000 + 0x10000 + 1])
def test_the_very_bound_of_lines_that_are_no_data(size: int) -> None:
    block = b"data: a\n"
    block += (b":" * 99 + b"\n") * ((size - len(block) - 1) // 100)
    block += b":" * (size - len(block))
    relayed = whole_events([block, b"\n\n"], decoder=SSEDecoder(max_event_size=1000))
    with nullcontext() if size % 2 == 0 else pytest.raises(EventTooLargeError):
        assert list(relayed) == [block + b"\n\n"]


@pytest.mark.parametrize("size", [4 * 1000 + 0x8000, 4 * 1000 + 0x8000 + 1])
def test_the_very_bound_of_what_is_kept_of_an_event_that_is_left_out(size: int) -> None:
    comments = (b":" * 99 + b"\n") * (size // 100 - 1)
    comments += b":" * (size - len(comments) - 1) + b"\n"
    rest = (b"data: " + b"y" * 505 + b"\n") * 150  # 512 bytes: no piece of it ends within a line
    chunks = [b"data: " + b"x" * 2000 + b"\n", comments, rest, b"\n"]
    decoder = SSEDecoder(max_event_size=1000, on_oversize="skip")
    with nullcontext() if size % 2 == 0 else pytest.raises(EventTooLargeError):
        assert list(whole_events(chunks, decoder=decoder)) == [comments]


@pytest.mark.parametrize(
    ("stream", "handed_on"),
    [
        (b"data: a\n: c", b""),  # what it would be is not known
        (b"data: a\n: c\n", b": c\n"),
        (b"data: a\nretry: 5", b""),
        (b"data: a\nretry: 5\n", b"retry: 5\n"),
        (b"data: a\nx: y", b"x: y"),
        (b"data: a\nx: y\n", b"x: y\n"),
        (b"data: a\n: c\nx: y", b": c\nx: y"),
        (b"data: a\n: c\ndata: b", b": c\n"),
        (b"data: a\nX", b"X"),
        (b"retry: 5\ndata: aX", b"retry: 5\n"),
        (b": c\n: d\ndata: a\n", b": c\n: d\n"),
    ],
)
def test_what_counts_of_an_event_that_is_discarded(stream: bytes, handed_on: bytes) -> None:
    relayed = whole_events([stream], decoder=SSEDecoder(incomplete="discard"))
    assert b"".join(relayed) == handed_on


def test_a_line_of_the_very_size_of_an_event_stays_beside_an_edit() -> None:
    comment = b":" + b"x" * 19
    chunks = [b"event: x\n" + comment + b"\ndata: change\n\n"]
    relayed = rewrite(chunks, edit_by_data, decoder=SSEDecoder(max_event_size=20))
    assert list(relayed) == [comment + b"\nevent: x\ndata: changed\n\n"]


@pytest.mark.parametrize(("edited", "name"), [(b"ab", "bytes"), (5, "int"), ("a", "str")])
def test_the_whole_text_about_what_an_edit_returns(edited: Any, name: str) -> None:
    with pytest.raises(TypeError) as caught:
        list(rewrite([ONE], lambda event: edited))
    text = f"edit must return a ServerSentEvent, several of them, or None, not {name}"
    assert str(caught.value) == text


@pytest.mark.parametrize("make", [make for make, _, _ in RELAYS[2:]])
def test_the_defaults_of_all_that_relay(make: Any) -> None:
    async def read(relay: Any) -> list[bytes]:
        if hasattr(relay, "__aiter__"):
            return [chunk async for chunk in relay]
        return list(relay)

    def run(*chunks: Any, **options: Any) -> Any:
        return make(AsyncChunks(*chunks), **options)

    assert asyncio.run(read(run(b"{", b"}", response=Response("text/plain")))) == [b"{", b"}"]
    relay = run(b"data: a\n\n", OSError())
    with pytest.raises(OSError):
        asyncio.run(read(relay))
    with pytest.raises(StreamClosedError) as caught:
        asyncio.run(read(relay))
    assert caught.value.last_event_id == ""


def test_an_edit_async() -> None:
    async def read() -> list[bytes]:
        return [chunk async for chunk in arewrite(AsyncChunks(ONE, TWO), lambda event: None)]

    assert asyncio.run(read()) == [b"id: 1\n\n", b"id: 2\n\n"]


def test_compressed_bytes_of_what_is_no_event_stream_are_no_fault() -> None:
    log = Log()
    body = gzip.compress(b"{}")
    assert list(log.tee([body, b""], response=Response("application/json"))) == [body, b""]
    assert log.outcome == ("complete", None, len(body), 0, "")


@pytest.mark.parametrize("make", [make for make, _, _ in RELAYS])
def test_chunks_that_iterate_themselves_are_closed_once(make: Any) -> None:
    async def read(relay: Any) -> list[bytes]:
        return [chunk async for chunk in relay]

    source, asource = Chunks(ONE), AsyncChunks(ONE)
    if hasattr(relay := make(asource), "__aiter__"):
        assert asyncio.run(read(relay)) == [ONE]
        assert asource.closed == 1
    else:
        assert list(make(source)) == [ONE]
        assert source.closed == 1


def test_the_whole_text_about_an_edit_that_is_async() -> None:
    async def edit(event: ServerSentEvent) -> None: ...

    wrong: Any = edit
    for make in (rewrite, arewrite):
        with pytest.raises(TypeError) as caught:
            make(AsyncChunks(), wrong)
        assert str(caught.value) == "edit must be a plain function, not an async one"


def test_of_a_large_chunk_nothing_is_read_after_a_piece_that_cannot_be() -> None:
    chunk = b"data: " + b"x" * 200_000 + b"\n\ndata: a\n\n"
    seen: list[Any] = []
    relayed = tee([chunk], on_event=seen.append, decoder=SSEDecoder(max_event_size=10))
    assert (list(relayed), seen) == ([chunk], [])


def test_an_observer_that_closes_the_tee_in_a_large_chunk(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[ServerSentEvent] = []

    def close(event: ServerSentEvent) -> None:
        seen.append(event)
        observed.close()

    chunk = b"data: one\n\n" * 20_000  # more than a piece
    observed = tee([chunk], on_event=close, done="[DONE]")
    assert list(observed) == [chunk]
    assert len(seen) == 1
    assert caplog.records == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("comment", [": " + "c" * 20, ": " + "X" * 20])
def test_what_follows_a_comment_that_is_too_large_is_left_out_with_it(
    comment: str, end: str
) -> None:
    """It is the decoder's block, though the comment has ended."""
    chunks = [comment + end, "data: a" + end, end, "data: b" + end + end]
    stream = [chunk.encode() for chunk in chunks]
    for relay in (
        whole_events,
        lambda chunks, decoder: rewrite(chunks, unchanged, decoder=decoder),
    ):
        decoder = SSEDecoder(max_event_size=10, on_oversize="skip")
        relayed = b"".join(relay(stream, decoder=decoder))
        assert decoder.skipped == 1
        assert SSEDecoder().feed(relayed) == [ServerSentEvent(data="b")]


@pytest.mark.parametrize("last", [b"data: " + b"x" * 80_000 + b"X", b"id: " + b"7" * 80_000])
@pytest.mark.parametrize("rest", [b"", b"id: 5"])
def test_of_a_line_that_is_too_large_no_part_counts(last: bytes, rest: bytes) -> None:
    """Its start is held, and so is known what its end belongs to."""
    decoder = SSEDecoder(max_event_size=1000, on_oversize="skip")
    relayed = b"".join(whole_events([b"data: a\n", last, rest, b"\n\n"], decoder=decoder))
    far = SSEDecoder()
    assert far.feed(relayed) == []
    assert (far.last_event_id, decoder.last_event_id, decoder.skipped) == ("", "", 1)
