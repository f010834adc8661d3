# SPDX-License-Identifier: MIT
"""Turn any iterable of bytes into an iterator of events, and let go of what it came from.

The decoder with a loop round it, and three promises: completed events come before the error that follows them;
`last_event_id` never runs ahead of the consumer; however the stream ends, the iterator and the response are released. The
async side is a class with `__anext__`: it can be closed and cancelled at any point, on asyncio, trio or anything else.
"""

from __future__ import annotations

from itertools import chain
from operator import length_hint

from .decoder import _CR, _LF, _MANY, SSEDecoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Iterator,
    )
    from types import TracebackType
    from typing import Any, TypeVar

    from .decoder import Chunk, ServerSentEvent

    Self = TypeVar("Self")

__all__ = ["AsyncEventStream", "EventStream"]


class _Closing:
    """An iterator, and a context manager that calls its `close`."""

    __slots__ = ()

    close: Any

    def __iter__(self: Self) -> Self:
        return self

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _AsyncClosing:
    """As _Closing, with `aclose`."""

    __slots__ = ()

    aclose: Any

    def __aiter__(self: Self) -> Self:
        return self

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None and issubclass(exc_type, GeneratorExit):
            self._abandon()  # nothing can be awaited
        else:
            await self.aclose()

    def _abandon(self) -> None:
        stream: Any = self
        stream._ended = True


class _Owner:
    """Owns an iterator over chunks, and the response that it comes from."""

    __slots__ = ()

    _chunks: Any
    _response_to_close: Any

    def _release(self) -> None:
        chunks = self._chunks
        response, self._response_to_close = self._response_to_close, None
        if getattr(chunks, "gi_running", False):
            chunks = None  # whoever reads releases it
        else:
            self._chunks = None
        try:
            _close(chunks)
        finally:
            _close(response)


class _AsyncOwner:
    """As _Owner, for an async iterator."""

    __slots__ = ()

    _chunks: Any
    _response_to_close: Any

    async def _release(self) -> None:
        chunks = self._chunks
        response, self._response_to_close = self._response_to_close, None
        if getattr(chunks, "ag_running", False):
            chunks = None  # the task that waits in it releases it
        else:
            self._chunks = None
        try:
            await _aclose(chunks)
        finally:
            await _aclose(response)


class _State:
    """What both streams know."""

    __slots__ = (
        "closed",
        "decoder",
        "ended",
        "error",
        "events",
        "frozen_id",
        "id_before_end",
        "response",
    )

    _chunks: Any
    _response_to_close: Any

    def __init__(self, chunks: Any, decoder: SSEDecoder | None, response: Any) -> None:
        if decoder is None:
            decoder = SSEDecoder()
        elif not isinstance(decoder, SSEDecoder):
            raise TypeError(
                f"decoder must be an SSEDecoder, such as SSEDecoder(), not {_name(decoder)}"
            )
        decoder.feed(b"")  # a ValueError if it is closed
        self.decoder = decoder
        self._chunks = chunks
        self.response = self._response_to_close = response
        self.events: Iterator[ServerSentEvent] = iter([])  # to be handed out
        self.id_before_end: str  # until those of the end are
        self.error: Exception | None = None  # raised after `events`
        self.frozen_id: str | None = None
        self.ended = False
        self.closed = False

    @property
    def last_event_id(self) -> str:
        if self.frozen_id is not None:
            return self.frozen_id
        if length_hint(self.events):
            return self.id_before_end
        return self.decoder.last_event_id

    def end(self, error: BaseException | None = None) -> None:
        """End the stream: hand out what its end completes, or raise the error; at once if it is a cancellation."""
        self.ended = True
        self.id_before_end = self.decoder.last_event_id
        self.events = iter([])
        try:
            if error is None and not self.closed:
                try:
                    self.events = iter(self.decoder.close())
                except BaseException as fault:
                    error = fault
            if error is not None and not isinstance(error, Exception):
                raise error
            if not self.closed:  # a closed stream ends in silence
                self.error = error
        finally:
            del error

    def mark_closed(self) -> None:
        if not self.closed:
            self.frozen_id = self.last_event_id
            self.decoder._halt()
            self.events = iter([])
            self.error = None
            self.ended = self.closed = True

    def raise_error(self) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error  # no cycle of the error and this frame


class _SyncState(_State, _Owner):
    __slots__ = ("_chunks", "_response_to_close")

    def stop(self, error: BaseException | None = None) -> None:
        """End the stream, unless it has ended, and release what it came from."""
        try:
            if error is not None or not self.ended:
                self.end(error)
        except BaseException:
            del error
            try:
                self._release()
            except Exception:
                pass
            raise
        try:
            self._release()
        except Exception as fault:
            self.error = self.error or fault


class _AsyncState(_State, _AsyncOwner):
    __slots__ = ("_chunks", "_response_to_close")


class _Stream:
    __slots__ = ("__weakref__",)

    _state: Any

    @property
    def decoder(self) -> SSEDecoder:
        """The decoder that was passed, or one with the default options."""
        decoder: SSEDecoder = self._state.decoder
        return decoder

    @property
    def response(self) -> Any:
        """The client's response, if one was passed."""
        return self._state.response

    @property
    def last_event_id(self) -> str:
        """The ID to resume from after the event handed out last, "" for none."""
        event_id: str = self._state.last_event_id
        return event_id

    @property
    def retry(self) -> int | None:
        """The stream's reconnection time in milliseconds, or None."""
        return self.decoder.retry

    def __repr__(self) -> str:
        state = "closed" if self._state.closed else "ended" if self._state.ended else "open"
        return f"<{type(self).__name__} {state}, last_event_id={self.last_event_id!r}>"


class EventStream(_Stream, _Closing):
    """Iterate over the events in an iterable of bytes. An iterator and a context manager.

    chunks:   any iterable of bytes, bytearray or memoryview, cut anywhere. Its exceptions pass through, after the events
              completed before them; the event they cut off is never dispatched.
    decoder:  an SSEDecoder with options of one's own. Its errors pass through likewise.
    response: what to close together with `chunks`.

    At its end, at an error and at `close` the stream closes `chunks` and `response`, where they can be closed. TypeError
    for what is not an iterable of bytes, ValueError for a closed decoder.
    """

    if TYPE_CHECKING:
        __slots__ = ("_reader", "_state")

        def __next__(self) -> ServerSentEvent: ...

    else:
        # That of `chain`; a method that calls it would cost a fifth of the time of a short event.
        __slots__ = ("__next__", "_reader", "_state")

    _reader: Any  # the generator beneath `__next__`
    _state: _SyncState

    def __init__(
        self, chunks: Iterable[Chunk], *, decoder: SSEDecoder | None = None, response: Any = None
    ) -> None:
        iterator = _iterator(chunks, "EventStream", "AsyncEventStream")
        self._state = _SyncState(iterator, decoder, response)
        # Fast path: only what has `__next__` alone needs a wrapper.
        if not hasattr(iterator, "__iter__"):  # pragma: no mutate
            iterator = iter(iterator.__next__, object())
        # They know the state, not the stream: a stream that nobody holds goes at once.
        self._reader = self._state.decoder._decode(iterator, self._state.stop)
        _set_next(
            self, chain(self._reader, _end(self._state), _hand_out_rest(self._state)).__next__
        )

    def close(self) -> None:
        """Release the iterator and the response. The properties stay readable."""
        self._state.mark_closed()
        try:
            self._reader.close()
        except ValueError:  # it is running, and ends with its chunk
            pass
        self._state._release()


# The slot itself, since a subclass may have a `__next__` of its own, which calls this one.
_set_next: Callable[[EventStream, Callable[[], ServerSentEvent]], None] = vars(EventStream)[
    "__next__"
].__set__


def _end(state: _SyncState) -> Iterator[ServerSentEvent]:
    state.stop()
    yield from ()


def _hand_out_rest(state: _State) -> Iterator[ServerSentEvent]:
    """Yield what the end completed, and raise the error that ended the stream."""
    yield from state.events
    state.raise_error()


class AsyncEventStream(_Stream, _AsyncClosing):
    """Iterate over the events in an async iterable of bytes. An async iterator and an async context manager.

    As EventStream, with `aclose` for `close`: it awaits the `aclose` (or `close`) of `chunks` and `response`. While another
    task waits for an event, `aclose` ends the wait with StopAsyncIteration, without a response at the next chunk. Cancellation
    releases, then goes on. A coroutine that is closed or collected while it waits ends the stream; `aclose` still releases.
    """

    __slots__ = ("_check", "_source", "_state", "_waiting")

    _state: _AsyncState

    def __init__(
        self,
        chunks: AsyncIterable[Chunk],
        *,
        decoder: SSEDecoder | None = None,
        response: Any = None,
    ) -> None:
        iterator = _async_iterator(chunks, "AsyncEventStream", "EventStream")
        self._state = _AsyncState(iterator, decoder, response)
        # Fast path: only what has `__anext__` alone needs a wrapper.
        self._source: Any = (
            iterator if hasattr(iterator, "__aiter__") else _AsyncIterable(iterator)
        )  # pragma: no mutate
        self._check: Callable[[], Awaitable[None]] | None = None  # awaited before the first chunk
        self._waiting = False

    async def __anext__(self) -> ServerSentEvent:
        state, decoder = self._state, self._state.decoder
        while True:
            end = reading = None
            try:
                for event in state.events:
                    return event
                if not (state.ended or self._waiting):
                    reading = self._waiting = True
                    if self._check is not None:
                        await self._run_check()
                    async for chunk in self._source:
                        # pragma: no mutate start, fast paths: as feed, up to 2.2 times without its call, 1.3 with no generator
                        room = decoder._room - len(chunk) if type(chunk) is bytes and chunk else -1
                        if room >= 0 and _LF not in chunk and _CR not in chunk:
                            decoder._room = room
                            decoder._pieces.append(chunk)
                            continue
                        if (
                            room >= 0
                            and not decoder._pieces
                            and len(chunk) <= _MANY
                            and decoder._on_comment is None
                        ):
                            events = decoder.feed(chunk)
                            if len(events) == 1:
                                return events[0]
                            state.events = _one_by_one(decoder, events) if events else _NOTHING
                        else:
                            # pragma: no mutate end
                            if state.closed:
                                break
                            state.events = decoder._decode((chunk,))
                        for event in state.events:
                            return event
            except GeneratorExit:  # nothing can be awaited
                state.ended = True
                raise
            except BaseException as error:
                end = error
            finally:
                self._waiting = self._waiting and not reading
            try:
                await self._after(reading, end)
            finally:
                end = None

    async def _after(self, reading: bool | None, end: BaseException | None) -> None:
        """Go on when there are no more events at hand."""
        state = self._state
        try:
            if reading or end is not None:
                await self._stop(end)
            elif state.ended:
                state.raise_error()
                raise StopAsyncIteration
            else:
                raise RuntimeError(
                    "two tasks wait for this stream at once; let one read and pass the events on"
                )
        finally:
            del end

    async def _stop(self, error: BaseException | None) -> None:
        """As `_SyncState.stop`."""
        state = self._state
        try:
            state.end(error)
        except BaseException:
            del error
            try:
                await state._release()
            except Exception:
                pass
            raise
        try:
            await state._release()
        except Exception as fault:
            state.error = state.error or fault

    async def _run_check(self) -> None:
        check, self._check = self._check, None
        if check is not None:
            await check()

    async def _verify(self) -> None:
        """Check the response now, not at the first event; release the stream if it fails."""
        try:
            await self._run_check()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise

    async def aclose(self) -> None:
        """Release the iterator and the response. The properties stay readable."""
        self._state.mark_closed()
        await self._state._release()

    def _abandon(self) -> None:
        self._state.ended = True


_NOTHING: Iterator[ServerSentEvent] = iter([])


def _one_by_one(decoder: SSEDecoder, events: list[ServerSentEvent]) -> Iterator[ServerSentEvent]:
    """Let the last event ID follow the events."""
    last_event_id = decoder._last_event_id
    for event in events[:-1]:
        decoder._last_event_id = event.id
        yield event
    decoder._last_event_id = last_event_id
    yield events[-1]


class _AsyncIterable:
    """For `async for`, of what has `__anext__` alone."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __aiter__(self) -> Any:
        return self._source


class Opening:
    """Context manager that opens an EventStream on entering and closes it on leaving: what every `connect` returns.

    A RuntimeError if it is entered again.
    """

    def __init__(self, open_stream: Callable[[], EventStream]) -> None:
        self._open_stream = open_stream
        self._entered = False

    def __enter__(self) -> EventStream:
        self._entered = _enter_once(self._entered)
        self._stream = self._open_stream()
        return self._stream

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()


class AsyncOpening:
    """Async context manager that opens an AsyncEventStream: what every `aconnect` returns. As Opening."""

    def __init__(self, open_stream: Callable[[], Awaitable[AsyncEventStream]]) -> None:
        self._open_stream = open_stream
        self._entered = False

    async def __aenter__(self) -> AsyncEventStream:
        self._entered = _enter_once(self._entered)
        self._stream = await self._open_stream()
        await self._stream._verify()
        return self._stream

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stream.__aexit__(exc_type, exc, traceback)


def _enter_once(entered: bool) -> bool:
    if entered:
        raise RuntimeError(
            "this connection was opened before; call connect or aconnect again for another one"
        )
    return True


def _name(value: object) -> str:
    return type(value).__name__


def _iterator(chunks: Any, taker: str, async_taker: str) -> Iterator[Chunk]:
    _refuse_other_than_chunks(chunks, "__iter__", "an iterable", taker, "__aiter__", async_taker)
    return iter(chunks)


def _async_iterator(chunks: Any, taker: str, sync_taker: str) -> AsyncIterator[Chunk]:
    _refuse_other_than_chunks(
        chunks, "__aiter__", "an async iterable", taker, "__iter__", sync_taker
    )
    iterator: AsyncIterator[Chunk] = chunks.__aiter__()
    return iterator


def _refuse_other_than_chunks(
    chunks: object, method: str, wanted: str, taker: str, other_method: str, other_taker: str
) -> None:
    name = _name(chunks)
    if isinstance(chunks, (bytes, bytearray, memoryview)):
        raise TypeError(f"{name} is one chunk; pass an iterable of chunks: [data]")
    if isinstance(chunks, str):
        raise TypeError("str is not an iterable of bytes; pass [text.encode()]")
    if hasattr(chunks, "headers") or hasattr(chunks, "status_code"):
        raise TypeError(
            f"{name} is a response; pass it to iter_events or aiter_events of the client's adapter, or pass an iterator over "
            "its bytes"
        )
    if not hasattr(chunks, method):
        if hasattr(chunks, other_method):
            raise TypeError(f"{taker} iterates over {wanted}; pass this {name} to {other_taker}")
        raise TypeError(f"{taker} takes {wanted} of bytes, not {name}")


def _close(resource: Any) -> None:
    close = getattr(resource, "close", None)
    if close is not None:
        close()


async def _aclose(resource: Any) -> None:
    close = getattr(resource, "aclose", None) or getattr(resource, "close", None)
    if close is not None:
        closing = close()
        if hasattr(closing, "__await__"):
            await closing
