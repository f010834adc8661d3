# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import threading
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from sse_stream.decoder import EventTooLargeError, IncompleteEventError, ServerSentEvent, SSEDecoder
from sse_stream.relay import AsyncTee, Tee, TeeOutcome, atee, tee
from sse_stream.streams import StreamClosedError
from tests import vectors
from tests.support import AsyncChunks, AsyncResource, Chunks, Resource, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
