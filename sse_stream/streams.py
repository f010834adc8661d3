# SPDX-License-Identifier: MIT
"""Turn any iterable of bytes into an iterator of events, and let go of what it came from.

EventStream and AsyncEventStream are the decoder with a loop round it. They add three promises: completed events come before
the error that follows them; `last_event_id` never runs ahead of the consumer; and however the stream ends, the iterator and
the response are released. The async side is a class with `__anext__`, so that it can be closed and cancelled at any point,
on asyncio, trio or anything else.

Cost: that of the decoder; the events of one chunk are held until they are handed out.
"""

from __future__ import annotations

from operator import length_hint

from .decoder import TOO_LARGE, SSEDecoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Any, TypeVar

    from .decoder import Chunk, ServerSentEvent

    Self = TypeVar("Self")

__all__ = ["AsyncEventStream", "EventStream"]


class _Closing:
    """What is an iterator, and a context manager that calls its `close`."""

    __slots__ = ()

    close: Any

    def __iter__(self: Self) -> Self:
        return self

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _AsyncClosing:
    """What is an async iterator, and an async context manager that calls its `aclose`."""

    __slots__ = ()

    aclose: Any

    def __aiter__(self: Self) -> Self:
        return self

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None and issubclass(exc_type, GeneratorExit):
            self._abandon()  # the coroutine was closed or collected: nothing can be awaited
        else:
            await self.aclose()

    def _abandon(self) -> None:
        stream: Any = self  # the slot is that of the class which this is mixed into
        stream._ended = True


class _Owner(_Closing):
    """What owns an iterator over chunks, and the response that it comes from."""

    __slots__ = ()

    _chunks: Any
    _response_to_close: Any

    def _release(self) -> None:
        chunks = self._chunks
        response, self._response_to_close = self._response_to_close, None
        if getattr(chunks, "gi_running", False):
            chunks = None  # closed from within or from another thread: whoever reads releases it after that
        else:
            self._chunks = None
        try:
            _close(chunks)
        finally:
            _close(response)


class _AsyncOwner(_AsyncClosing):
    """The same for an async iterator."""

    __slots__ = ()

    _chunks: Any
    _response_to_close: Any

    async def _release(self) -> None:
        chunks = self._chunks
        response, self._response_to_close = self._response_to_close, None
        if getattr(chunks, "ag_running", False):
            chunks = None  # another task waits in it: that task releases it
        else:
            self._chunks = None
        try:
            await _aclose(chunks)
        finally:
            await _aclose(response)


class _Stream:
    """What both streams share: the events of the chunk at hand, and what becomes of the stream after them."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_decoder",
        "_ended",
        "_error",
        "_event",
        "_events",
        "_frozen_id",
        "_id_before_events",
        "_response",
        "_response_to_close",
    )

    def __init__(self, decoder: SSEDecoder | None, response: Any) -> None:
        if decoder is None:
            decoder = SSEDecoder()
        elif not isinstance(decoder, SSEDecoder):
            raise TypeError(f"decoder must be an SSEDecoder, such as SSEDecoder(), not {_name(decoder)}")
        decoder.feed(b"")  # a ValueError if it is closed
        decoder._id_before = None
        self._decoder = decoder
        self._response = self._response_to_close = response
        self._events: Iterator[ServerSentEvent] = iter([])  # completed, to be handed out
        self._event: ServerSentEvent | None = None  # the one of them handed out last
        self._id_before_events = ""  # the ID to resume from until then
        self._error: Exception | None = None  # raised after `_events`
        self._frozen_id: str | None = None  # set by close
        self._ended = False  # nothing more will be read
        self._closed = False

    @property
    def decoder(self) -> SSEDecoder:
        """The decoder that was passed, or a new one with the default options."""
        return self._decoder

    @property
    def response(self) -> Any:
        """The client's response, if one was passed: for its status and headers."""
        return self._response

    @property
    def last_event_id(self) -> str:
        """The ID to resume from after the event handed out last, "" for none."""
        if self._frozen_id is not None:
            return self._frozen_id
        if self._decoder._id_before is not None:
            return self._decoder._id_before
        if length_hint(self._events):
            return self._id_before_events if self._event is None else self._event.id
        return self._decoder.last_event_id

    @property
    def retry(self) -> int | None:
        """The stream's reconnection time in milliseconds, or None."""
        return self._decoder.retry

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._ended else "open"
        return f"<{type(self).__name__} {state}, last_event_id={self.last_event_id!r}>"

    def _end(self, error: BaseException | None = None) -> None:
        """End the stream: what its end completes is handed out, or what precedes the error, and then the error raised.

        What may not be held up, such as a cancellation, is raised at once.
        """
        self._ended = True
        decoder = self._decoder
        decoder._id_before = decoder._last_event_id if decoder._id_before is None else decoder._id_before
        events: list[ServerSentEvent] = []
        if error is None and not self._closed:
            try:
                events = decoder.close()
            except BaseException as fault:
                error = fault
        self._hand_out(events + decoder._salvage())
        if error is not None and not isinstance(error, Exception):
            raise error
        if not self._closed:  # a closed stream ends in silence
            self._error = error

    def _hand_out(self, events: list[ServerSentEvent]) -> None:
        decoder = self._decoder
        self._id_before_events = decoder._last_event_id if decoder._id_before is None else decoder._id_before
        self._event = None
        self._events = iter([] if self._closed else events)
        decoder._id_before = None

    def _mark_closed(self) -> None:
        if not self._closed:
            self._frozen_id = self.last_event_id
            self._events = iter([])
            self._error = None
            self._ended = self._closed = True

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # no cycle of the error and this frame


class EventStream(_Stream, _Owner):
    """Iterate over the events in an iterable of bytes. An iterator and a context manager.

    chunks:   any iterable of bytes, bytearray or memoryview, cut anywhere. Its exceptions pass through, after the events
              completed before them; the event they cut off is never dispatched.
    decoder:  an SSEDecoder with options of one's own. Its errors pass through likewise.
    response: what to close together with `chunks`; see `.response`.

    The stream owns what it is given. Exhausting it, an error and `close` call the `close` of `chunks` and of `response`,
    where they have one. TypeError for what is not an iterable of bytes, ValueError for a closed decoder.
    """

    __slots__ = ("_chunks", "_iterable")

    def __init__(self, chunks: Iterable[Chunk], *, decoder: SSEDecoder | None = None, response: Any = None) -> None:
        iterator = _iterator(chunks, "EventStream", "AsyncEventStream")
        super().__init__(decoder, response)
        self._chunks: Any = iterator  # what is released
        self._iterable: Iterable[Chunk] = iterator
        if not hasattr(iterator, "__iter__"):  # all that `for` asks for is `__next__`
            self._iterable = iter(iterator.__next__, object())

    def __next__(self) -> ServerSentEvent:
        while True:
            for event in self._events:
                self._event = event
                return event
            if self._ended:
                self._raise_error()
                raise StopIteration
            try:
                events = self._decoder._feed_from(self._iterable)
            except BaseException as error:
                self._stop(error)
                continue
            if events is None or self._closed:
                self._stop()
            elif len(events) == 1:
                self._decoder._id_before = None
                self._event = events[0]
                return self._event
            else:
                self._hand_out(events)

    def _stop(self, error: BaseException | None = None) -> None:
        """End the stream and release what it came from."""
        try:
            self._end(error)
        except BaseException:
            try:
                self._release()
            except Exception:  # what is being raised matters more
                pass
            raise
        try:
            self._release()
        except Exception as fault:
            self._error = self._error or fault

    def close(self) -> None:
        """Release the iterator and the response. `last_event_id`, `retry` and the decoder stay readable."""
        self._mark_closed()
        self._release()


class AsyncEventStream(_Stream, _AsyncOwner):
    """Iterate over the events in an async iterable of bytes. An async iterator and an async context manager.

    All that EventStream says holds, with `aclose` for `close`: it awaits the `aclose` (or `close`) of `chunks` and `response`.
    While another task waits for an event, `aclose` closes the response, and the wait ends with StopAsyncIteration; without
    a response it ends with the next chunk at the latest. Cancellation releases, then goes on. If a waiting coroutine is closed
    or collected, nothing is awaited any more and the stream has ended; `aclose` still releases.
    """

    __slots__ = ("_check", "_chunks", "_waiting")

    def __init__(self, chunks: AsyncIterable[Chunk], *, decoder: SSEDecoder | None = None, response: Any = None) -> None:
        iterator = _async_iterator(chunks, "AsyncEventStream", "EventStream")
        super().__init__(decoder, response)
        self._chunks = iterator
        self._check: Callable[[], Awaitable[None]] | None = None  # an adapter's, awaited once before the first chunk
        self._waiting = False

    async def __anext__(self) -> ServerSentEvent:
        while True:
            for event in self._events:
                self._event = event
                return event
            if self._ended:
                self._raise_error()
                raise StopAsyncIteration
            await self._read()

    async def _read(self) -> None:
        """Get the events of the next chunks that complete any; at the end, those that the end completes."""
        if self._waiting:
            raise RuntimeError("two tasks wait for this stream at once; let one read and pass the events on")
        self._waiting = True
        decoder = self._decoder
        feed = decoder.feed
        end: BaseException | None = None
        try:
            await self._run_check()
            if decoder._gate == TOO_LARGE:
                feed(b"")  # raises what the last chunk left behind
            async for chunk in self._chunks if hasattr(self._chunks, "__aiter__") else _AsyncIterable(self._chunks):
                if self._closed:
                    break
                events = feed(chunk)
                if events:
                    self._hand_out(events)
                    return
                decoder._id_before = None
        except GeneratorExit:
            # The coroutine was closed or collected: nothing can be awaited.
            self._ended = True
            self._hand_out(decoder._salvage())
            raise
        except BaseException as error:
            end = error
        finally:
            self._waiting = False
        await self._stop(end)

    async def _stop(self, error: BaseException | None) -> None:
        """As EventStream._stop."""
        try:
            self._end(error)
        except BaseException:
            try:
                await self._release()
            except Exception:
                pass
            raise
        try:
            await self._release()
        except Exception as fault:
            self._error = self._error or fault

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
        """Release the iterator and the response. `last_event_id`, `retry` and the decoder stay readable."""
        self._mark_closed()
        await self._release()


class _AsyncIterable:
    """Make an object that has `__anext__` alone fit for `async for`."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __aiter__(self) -> Any:
        return self._source


class Opening:
    """Context manager that opens an EventStream on entering and closes it on leaving: what every `connect` returns.

    It can be entered once: a RuntimeError says so before a second request is sent.
    """

    def __init__(self, open_stream: Callable[[], EventStream]) -> None:
        self._open_stream = open_stream
        self._entered = False

    def __enter__(self) -> EventStream:
        self._entered = _enter_once(self._entered)
        self._stream = self._open_stream()
        return self._stream

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.__exit__(exc_type, exc, traceback)


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
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stream.__aexit__(exc_type, exc, traceback)


def _enter_once(entered: bool) -> bool:
    if entered:
        raise RuntimeError("this connection was opened before; call connect or aconnect again for another one")
    return True


def _name(value: object) -> str:
    return type(value).__name__


def _iterator(chunks: Any, taker: str, async_taker: str) -> Iterator[Chunk]:
    """Return the iterator over the chunks, or raise TypeError if they cannot be."""
    _refuse_other_than_chunks(chunks)
    if not hasattr(chunks, "__iter__"):
        if hasattr(chunks, "__aiter__"):
            raise TypeError(f"{taker} iterates with `for`; pass this {_name(chunks)} to {async_taker}")
        raise TypeError(f"{taker} takes an iterable of bytes, not {_name(chunks)}")
    return iter(chunks)


def _async_iterator(chunks: Any, taker: str, sync_taker: str) -> AsyncIterator[Chunk]:
    _refuse_other_than_chunks(chunks)
    if not hasattr(chunks, "__aiter__"):
        if hasattr(chunks, "__iter__"):
            raise TypeError(f"{taker} iterates with `async for`; pass this {_name(chunks)} to {sync_taker}")
        raise TypeError(f"{taker} takes an async iterable of bytes, not {_name(chunks)}")
    iterator: AsyncIterator[Chunk] = chunks.__aiter__()
    return iterator


def _refuse_other_than_chunks(chunks: object) -> None:
    """Raise TypeError for what is taken for an iterable of bytes by mistake."""
    name = _name(chunks)
    if isinstance(chunks, (bytes, bytearray, memoryview)):
        raise TypeError(f"{name} is one chunk; pass an iterable of chunks: [data]")
    if isinstance(chunks, str):
        raise TypeError("str is not an iterable of bytes; pass [text.encode()], or an iterator over the bytes")
    if hasattr(chunks, "headers") or hasattr(chunks, "status_code"):
        raise TypeError(
            f"{name} is a response, and how to read its bytes as they come depends on the client; pass it to "
            "iter_events or aiter_events of the client's adapter, or pass an iterator over its bytes"
        )


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
