# SPDX-License-Identifier: MIT
"""The two read loops of the package, and the event streams that stand on them.

A machine is fed items and answers with lists, without I/O: the decoder is fed chunks and answers
with events, the reader of payloads is fed events and answers with payloads. `Reader` and
`AsyncReader` are the loops around any machine: they pull items from an iterator, and hand out what
the machine answers one by one. Each of their promises is kept here, once, for every face of them:

- completed items come before the error that follows them;
- whatever ends the reading (the end, an error, `close`, a cancellation, a KeyboardInterrupt)
  releases what is read from, once;
- a read that finds nothing says why: an end is the only quiet one;
- one thread or task reads at a time, any other may close.

The async side is a class with `__anext__`, no async generator: it can be closed and cancelled at
any point, on asyncio, trio or anything else. Cost: the machine's, and a call for each item.
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import AsyncGenerator, Generator
from operator import length_hint

from .decoder import ServerSentEvent, SSEDecoder, SSEError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Iterable,
        Iterator,
        Sequence,
    )
    from types import TracebackType
    from typing import Any, Generic, Protocol, TypeVar

    from .decoder import Chunk

    Self = TypeVar("Self")
    Item = TypeVar("Item")

    class Machine(Protocol):
        """What the loops drive. See the module's docstring."""

        @property
        def last_event_id(self) -> str:
            """The ID to resume from after all that was fed, "" where there is none."""
            ...

        @property
        def ended(self) -> bool:
            """Whether nothing more is to be fed; `close` then says how it ended.

            True also when `feed` has raised something, if `close` has items from before.
            """
            ...

        def feed(self, item: Any, /) -> list[Any]:
            """Take an item, and return what it completes."""
            ...

        def close(self) -> list[Any]:
            """Return what the end completes; called again, raise the error that comes after it."""
            ...

else:

    class Generic:
        """Stands in for `typing.Generic`, which is slow to import."""

        __slots__ = ()

        def __class_getitem__(cls, _: Any) -> Any:
            return cls

    Item = None

__all__ = ["AsyncEventStream", "EventStream", "StreamClosedError"]


class StreamClosedError(SSEError):
    """A read found that the reading had ended before, and not by the end of what is read.

    message:       the text of the error, a str.
    last_event_id: the ID to resume from, a str; "" for none.
    """

    def __init__(self, message: str, last_event_id: str = "") -> None:
        super().__init__(message)
        self.last_event_id = last_event_id

    def __reduce__(self) -> tuple[type[StreamClosedError], tuple[str, str]]:
        return type(self), (str(self), self.last_event_id)


# Why nothing is read any more.
_EXHAUSTED, _CLOSED, _LEFT, _INTERRUPTED, _FAILED = range(1, 6)
_NO_ITEMS: Iterator[Any] = iter(())
_LIST: Any = list
_WHY_CLOSED = {
    _LEFT: (
        "its `with` block was left, or the reading of its payloads failed: read inside the block, "
        "with one reader"
    ),
    _INTERRUPTED: (
        "a read was cancelled or interrupted, and that ended the reading, as a timeout around a "
        "read does. To wait with a limit, keep the read in a task (task = "
        "asyncio.ensure_future(anext(stream))) and call asyncio.wait({task}, timeout=...) as often "
        "as you like; on trio, read in a task of its own"
    ),
    _FAILED: "the reading ended with an error, which an earlier read raised",
}


class Reading(Generic[Item]):
    """What both loops know and decide, without I/O.

    source:    the iterator over what the machine is fed. If it has a method `interrupt`, that is
               called, from any thread and without waiting, to end a read that waits in it.
    machine:   see Machine.
    resources: what is to be closed at the end, in this order.
    """

    __slots__ = (
        "__weakref__",
        "_answers",  # of the machine; the sync loop's
        "_batch",  # an answer of the machine whose items are being handed out
        "_error_to_raise",  # once those of the last answer have been
        "_failure",  # the error that was raised
        "_final_id",  # the ID to resume from after `close`
        "_id_before",  # the ID to resume from before the item that is being fed
        "_is_reading",  # a thread or task is in the loop
        "_lock",
        "_over",  # 0, or why nothing is read any more
        "_ready",  # hands out the batch
        "_resources",  # what is to be closed, the last one first
        "machine",
        "source",
    )

    _stop: type[Exception]
    # Whether what was being made when `close` came is handed out: the source is beyond it.
    _hands_out_late: bool = False

    def __init__(self, source: Any, machine: Machine, *resources: Any) -> None:
        self.source: Any = source
        self.machine: Any = machine
        self._resources: list[Any] = [one for one in reversed(resources) if one is not None]
        self._ready: Iterator[Item] = _NO_ITEMS
        self._batch: Sequence[Any] = ()
        self._id_before: str = machine.last_event_id
        self._final_id: str | None = None
        self._is_reading = False
        self._over = 0
        self._error_to_raise: BaseException | None = None
        self._failure: BaseException | None = None
        self._lock = RLock()

    @property
    def is_closed(self) -> bool:
        """Whether `close` or `aclose` was called."""
        return self._over == _CLOSED

    @property
    def is_exhausted(self) -> bool:
        """Whether what is read from came to its end, and nothing went wrong."""
        return self._over == _EXHAUSTED

    def __repr__(self) -> str:
        states = "open", "ended", "closed", "closed", "interrupted", "failed"
        state = "closed" if self.is_closed else states[self._over]
        return f"<{type(self).__name__} {state}{self._description()}>"

    def _description(self) -> str:
        """Return what the repr says beside the state."""
        return ""

    def position(self) -> str:
        """Return the ID to resume from after the item handed out last."""
        with self._lock:
            if self._final_id is not None:
                return self._final_id
            if self._is_reading:
                return self._id_before
            # In this order: a reader lets go of the batch when nothing of it is left.
            return self._position_in(self._id_before, self._batch, self._ready)

    def _position_in(self, before: str, batch: Sequence[Any], ready: Iterator[Any]) -> str:
        """Return the ID to resume from when this is left of a batch.

        before: that before the batch.
        ready:  hands out the rest of it.
        """
        left = length_hint(ready)
        if left and left >= len(batch):
            return before
        position: str = getattr(batch[-left - 1], "id", "") if left else self.machine.last_event_id
        return position

    def note_end(self, error: BaseException | None) -> None:
        """Take note that the reading is over: called once. For faces that report it.

        error: what ended it; None for the end of the source, or for a `close`.
        """

    def _settle(self, items: list[Any], error: BaseException | None) -> BaseException | None:
        """As `_settle_quietly`; an interrupt in there is one of the read."""
        try:
            return self._settle_quietly(items, error)
        except BaseException as interrupt:
            if self._over not in (_CLOSED, _LEFT):
                self._over, self._error_to_raise = _INTERRUPTED, None
                self._final_id = self._id_before
                self._ready, self._batch = _NO_ITEMS, ()
            return interrupt
        finally:
            del self, error  # no cycle of the error and this frame

    def _settle_quietly(
        self, items: list[Any], error: BaseException | None
    ) -> BaseException | None:
        """Decide how the reading ended, and take the last items of the machine.

        items: the machine's last answer, if that ended the reading.
        error: what the source or the machine raised; None at the end of the source.

        Returns the cancellation or interrupt that nothing may hold up, or None; other errors are
        raised after the items.
        """
        is_interrupt = error is not None and not isinstance(error, Exception)
        if self._over:  # somebody closed it meanwhile: it ends quietly
            is_late = self._over == _CLOSED and error is None and self._hands_out_late
            self._ready, self._batch = iter(items) if is_late else _NO_ITEMS, ()
            return error if is_interrupt else None
        if error is None or (self.machine.ended and not is_interrupt):
            last_items, fault = _last_items(self.machine)
            error = fault if error is None else error
            items = items + (self._at_the_end(last_items) if error is None else last_items)
        stop = error.__cause__ if isinstance(error, RuntimeError) and self.machine.ended else error
        error = None if error is None else no_end(stop, error)
        is_interrupt = error is not None and not isinstance(error, Exception)  # also of the end
        if is_interrupt:  # what was completed by then is not handed out
            self._final_id, items = self._id_before, []
        how = _INTERRUPTED if is_interrupt else _EXHAUSTED if error is None else _FAILED
        to_raise = None if is_interrupt else error
        ready = iter(items)
        with self._lock:
            if self._over:  # closed while the machine was ended: as above
                return error if is_interrupt else None
            # No call in here: a signal handler, too, may close it.
            self._over, self._batch, self._ready, self._error_to_raise = how, items, ready, to_raise
        try:
            self.note_end(error)
        except BaseException as fault:  # an interrupt: all else is logged
            self._over, error = _INTERRUPTED, fault
        interrupt = error if self._over == _INTERRUPTED else None
        del self  # no cycle of the error and this frame
        return interrupt

    def _at_the_end(self, items: list[Any]) -> list[Any]:
        """Return how the items are handed out that a clean end completed."""
        return items

    def _settle_release(self, fault: BaseException) -> None:
        """Decide what becomes of what the release raised: it counts if nothing was wrong before."""
        if self._over == _EXHAUSTED:
            if isinstance(fault, Exception):
                self._over, self._error_to_raise = _FAILED, fault
            else:
                self._over = _INTERRUPTED

    def _end_by(self, how: int) -> tuple[bool, bool]:
        """End the reading from outside.

        Returns whether somebody reads, who then has to release, and whether it ends only now.
        """
        with self._lock:
            was_over = self._over
            is_unread = length_hint(self._ready) > 0 or self._error_to_raise is not None
            is_ended_by_this = how == _CLOSED or not was_over or is_unread
            if is_ended_by_this:
                self._over = how
            is_reading = self._is_reading  # after that: who begins to read now sees it
            if is_ended_by_this:
                before, batch, ready = self._id_before, self._batch, self._ready
                if not (is_reading and self._hands_out_late):
                    self._ready = _NO_ITEMS  # from now on nobody takes anything of the batch
                if self._final_id is None:
                    self._final_id = (
                        before if is_reading else self._position_in(before, batch, ready)
                    )
                self._error_to_raise, self._batch = None, ()
        return is_reading, not was_over

    def _is_resumed_before(self) -> bool:
        """Return whether it was closed before the answer that has just come."""
        with self._lock:
            return self._final_id == self._id_before

    def _why_nothing(self) -> BaseException:
        """Return what a read raises that finds nothing to read."""
        if not self._over or (self._is_reading and self._over != _CLOSED):
            return RuntimeError(
                "two readers at once (two tasks, two threads, or a callback that reads): "
                "let one read, and pass on what it gets"
            )
        error = self._error_to_raise
        if error is not None:
            self._error_to_raise, self._failure = None, error
            return error
        if self._over in (_EXHAUSTED, _CLOSED):
            return self._stop()
        position = self.position()
        where = f"; the ID to resume from is {position!r}" if position else ""
        closed = StreamClosedError(_WHY_CLOSED[self._over] + where, position)
        closed.__cause__ = self._failure
        return closed

    def wake(self) -> bool:
        """Wake who reads, without waiting, if the source knows how; return whether it does."""
        interrupt: Callable[[], object] | None = getattr(self.source, "interrupt", None)
        if interrupt is not None:
            interrupt()
        return interrupt is not None

    def _take_resources(self, *, but: type | None = None) -> Iterator[Any]:
        """Yield what is to be closed, each once; leave in place what is of the type `but`."""
        for resource in self._resources[::-1]:
            if but is None or not isinstance(resource, but):
                try:
                    self._resources.remove(resource)
                except ValueError:  # another thread was faster
                    continue
                yield resource


def _answers_of(machine: Machine, source: Iterator[Any]) -> Iterator[Any]:
    """Feed a machine, and yield its answers."""
    for item in source:
        try:
            answer = machine.feed(item)
        except StopIteration as stop:  # a generator would say so of itself (PEP 479)
            raise RuntimeError("a callback raised StopIteration") from stop
        del item  # not held while the next is waited for
        yield answer
        del answer


class Reader(Reading[Item], Generic[Item]):
    """The sync loop: an iterator, and a context manager that closes it.

    `source`, `machine` and `resources` are those of Reading.
    """

    __slots__ = ()

    _stop = StopIteration

    def __init__(self, source: Any, machine: Machine, *resources: Any) -> None:
        super().__init__(source, machine, *resources)
        self._answers: Iterator[Any] = _answers_of(machine, source)
        if type(machine) is SSEDecoder:  # a subclass may have a `feed` of its own
            self._answers = machine.pull(source)  # fast path: it yields single events, too

    def __iter__(self: Self) -> Self:
        return self

    def __next__(self) -> Item:
        for item in self._ready:
            return item
        answer: Any
        error: BaseException | None = None
        id_before = self.machine.last_event_id
        if self._is_reading:  # between this and the setting of it, threads are not switched
            raise self._why_nothing()
        self._batch = ()
        self._id_before = id_before
        self._is_reading = True
        if self._over:  # looked at after that: who closes it meanwhile leaves the release to us
            return self._end([], error)
        try:
            for answer in self._answers:
                if type(answer) is not _LIST:  # a whole event
                    self._is_reading = False
                    if self._over and self._is_resumed_before():
                        break  # closed before this answer
                    return answer  # type: ignore[no-any-return] # a typed variable costs 1 %
                if self._over or self.machine.ended:
                    break
                if answer:
                    if len(answer) > 1:
                        ready = iter(answer)
                        next(ready)
                        self._batch, self._ready = answer, ready
                    self._is_reading = False
                    if self._over and self._is_resumed_before():
                        break
                    return answer[0]  # type: ignore[no-any-return]
                self._id_before = self.machine.last_event_id
            else:
                answer = []
        except BaseException as fault:
            answer, error = [], fault
        try:
            return self._end(answer, error)
        finally:
            del self, error  # no cycle of the error and this frame

    def _end(self, items: list[Any], error: BaseException | None) -> Item:
        """End the loop: release, then hand out the machine's last items, or raise."""
        interrupt: BaseException | None = None
        try:
            interrupt = self._settle(items, error)
            try:
                self.release()
            except BaseException as fault:
                self._settle_release(fault)
                if interrupt is None and not isinstance(fault, Exception):
                    raise
            self._is_reading = False
            if interrupt is not None:
                raise interrupt
            with self._lock:  # who closes it meanwhile has to know what is handed out
                for item in self._ready:
                    return item
            raise self._why_nothing()
        finally:
            self._is_reading = False
            del self, error, interrupt

    def release(self) -> None:
        """Release what is read from, once, from within a read or when there is none."""
        close_all(*self._take_resources())

    def close(self) -> None:
        """Release what is read from, and end the iteration. From any thread, and at any time.

        A read that waits in another thread is woken, ends the iteration there and does the
        releasing; this call does not wait for it. Called again, it does nothing.
        """
        self._close(_CLOSED)

    def _close(self, how: int) -> None:
        is_reading, ends_now = self._end_by(how)
        try:
            if ends_now:
                self.note_end(None)
        finally:
            if not is_reading:
                self.release()
            elif not self.wake():
                close_all(*self._take_resources(but=Generator))  # one that runs cannot be closed

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(_LEFT)


class AsyncReader(Reading[Item], Generic[Item]):
    """The async loop: an async iterator, and an async context manager that closes it.

    See Reading; `source` is an async iterator.
    """

    __slots__ = ()

    _stop = StopAsyncIteration

    def __aiter__(self: Self) -> Self:
        return self

    async def __anext__(self) -> Item:
        for item in self._ready:
            return item
        if self._is_reading:
            raise self._why_nothing()
        machine = self.machine
        items: list[Item] = []
        error: BaseException | None = None
        self._batch, self._id_before = (), machine.last_event_id
        self._is_reading = True
        if self._over:  # looked at after that: who closes it meanwhile leaves the release to us
            return await self._end(items, error)
        try:
            async for fed in self.source:
                if self._over:
                    break
                items = machine.feed(fed)
                fed = None  # not held while the next is waited for
                if machine.ended:
                    break
                if items:
                    if len(items) > 1:
                        self._batch, self._ready = items, iter(items)
                        next(self._ready)
                    self._is_reading = False
                    if self._over and self._is_resumed_before():
                        break  # closed before this answer
                    return items[0]
                self._id_before = machine.last_event_id
                if self._over:
                    break
        except BaseException as fault:
            error = fault
        try:
            return await self._end(items, error)
        finally:
            del self, error

    async def _end(self, items: list[Any], error: BaseException | None) -> Item:
        """End the loop: release, then hand out the machine's last items, or raise."""
        interrupt: BaseException | None = None
        try:
            interrupt = self._settle(items, error)
            try:
                if isinstance(interrupt, GeneratorExit):  # nothing can be awaited
                    self.release_at_once()
                else:
                    await self.arelease()
            except BaseException as fault:
                self._settle_release(fault)
                if interrupt is None and not isinstance(fault, Exception):
                    raise
            self._is_reading = False
            if interrupt is not None:
                raise interrupt
            for item in self._ready:
                return item
            raise self._why_nothing()
        finally:
            self._is_reading = False
            del self, error, interrupt

    async def arelease(self) -> None:
        """Release what is read from, once, from within a read or when there is none."""
        await aclose_all(*self._take_resources())

    def release_at_once(self) -> None:
        """Release what can be without waiting; the rest is left to a later `aclose`."""
        if not self.wake():
            for resource in self._take_resources():
                if not _is_closed_at_once(resource):
                    self._resources.insert(0, resource)

    async def aclose(self) -> None:
        """Release what is read from, and end the iteration. From any task, and at any time.

        A read that waits in another task is woken, ends the iteration there and does the releasing;
        where what is read from cannot be woken, it ends with the next bytes. Called again, it does
        nothing.
        """
        await self._aclose(_CLOSED)

    async def _aclose(self, how: int) -> None:
        is_reading, ends_now = self._end_by(how)
        try:
            if ends_now:
                self.note_end(None)
        finally:
            if not is_reading:
                await self.arelease()
            elif not self.wake():
                await aclose_all(*self._take_resources(but=AsyncGenerator))

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, GeneratorExit) and is_of_a_coroutine(exc):
            _, ends_now = self._end_by(_LEFT)
            try:
                if ends_now:
                    self.note_end(None)
            finally:
                self.release_at_once()
        else:
            await self._aclose(_LEFT)


class UnfinishedEvent(ServerSentEvent):
    """An event that a stream dispatched at its end, though its blank line never came.

    It equals the ServerSentEvent with the same fields. Its class tells what reads it further on
    that the end may have cut it, also through a generator that passes events on, and `_replace`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(ServerSentEvent(*self))


class _Events(Reading[ServerSentEvent]):
    """What both event streams show. See EventStream."""

    __slots__ = ("_response",)

    def _start(self, iterator: Any, chunks: Any, decoder: Any, response: Any) -> None:
        owned = None if chunks is iterator else chunks
        super().__init__(iterator, check_decoder(decoder), iterator, owned, response)
        self._response = response

    @property
    def decoder(self) -> SSEDecoder:
        """The decoder that was passed, or one with the default options."""
        decoder: SSEDecoder = self.machine
        return decoder

    @property
    def response(self) -> Any:
        """The client's response, if one was passed; else None."""
        return self._response

    @property
    def last_event_id(self) -> str:
        """The ID to resume from after the event handed out last, "" for none.

        While events of a chunk are still to be handed out it is that of the one handed out last,
        and only then the decoder's: who stops anywhere and resumes from it loses and doubles
        nothing.
        """
        return self.position()

    @property
    def retry(self) -> int | None:
        """The stream's reconnection time in milliseconds, or None."""
        return self.decoder.retry

    @property
    def ignored_text(self) -> str:
        """The lines of the stream that had no effect, as the decoder keeps them."""
        return self.decoder.ignored_text

    def _can_drain(self) -> bool:
        """Return whether to read on is of use, and can be ended."""
        is_shared = getattr(self.source, "is_shared", False)  # as HTTP/2's: it is free as it is
        return not (self._over or self._is_reading or is_shared) and hasattr(
            self.source, "interrupt"
        )

    def _description(self) -> str:
        return f", last_event_id={self.last_event_id!r}"

    def _at_the_end(self, items: list[Any]) -> list[Any]:
        return [UnfinishedEvent(*event) for event in items] if self.decoder.incomplete else items


class EventStream(_Events, Reader[ServerSentEvent]):
    r"""Iterate over the events in an iterable of bytes. An iterator and a context manager.

    >>> [event.data for event in EventStream([b"data: o", b"ne\n\ndata: two\n\n"])]
    ['one', 'two']

    chunks:   any iterable of bytes, bytearray or memoryview, cut anywhere. Its exceptions pass
              through, after the events completed before them; the event that they cut off is never
              dispatched.
    decoder:  an SSEDecoder, for options of one's own; None: one with the default options. Its
              errors pass through likewise.
    response: what is closed together with `chunks`, and found at `.response`; None for nothing.

    At its end, at an error, at `close` and on leaving a `with` block the stream closes `chunks` and
    `response`, where they can be closed. A read after the end or after `close` ends the iteration;
    after the block was left, after an interrupted read or an error it raises StreamClosedError.

    Raises TypeError for what is not an iterable of bytes, ValueError for a closed decoder.
    """

    __slots__ = ()

    def __init__(
        self, chunks: Iterable[Chunk], *, decoder: SSEDecoder | None = None, response: Any = None
    ) -> None:
        iterator = iter_chunks(chunks, "EventStream", "AsyncEventStream")
        self._start(iterator, chunks, decoder, response)

    def drain(self, size: int, seconds: float) -> None:
        """Read on to the end of the chunks, and drop them; what goes wrong there raises nothing.

        size:    how many bytes are read at the most.
        seconds: how long it takes at the most.

        Nothing is read if the source cannot be interrupted: it might wait for ever.
        """
        if not self._can_drain():
            return
        from threading import Timer

        timer = Timer(seconds, self._wake_drain)
        self._is_reading = True
        try:
            timer.start()
            for chunk in self.source:
                size -= len(chunk)
                if size < 0:
                    return
            self._over = self._over or _EXHAUSTED
        except Exception:
            pass
        finally:
            timer.cancel()
            with self._lock:
                self._is_reading = False
            if self._over == _CLOSED:  # meanwhile, and the release was left to who reads
                close_all(*self._take_resources())

    def _wake_drain(self) -> None:
        with self._lock:
            if self._is_reading:  # else the connection may already serve another request
                self.wake()


class AsyncEventStream(_Events, AsyncReader[ServerSentEvent]):
    """Iterate over the events in an async iterable of bytes, on asyncio, trio or anything else.

    An async iterator and an async context manager; all else is as for EventStream, with `aclose`
    for `close`.

    chunks:   any async iterable of bytes, bytearray or memoryview, cut anywhere.
    decoder:  an SSEDecoder, for options of one's own; None: one with the default options.
    response: what is closed together with `chunks`, by its `aclose` or `close`; None for nothing.

    A cancelled read releases, then lets the cancellation go on; the next read raises
    StreamClosedError. So does every read after a timeout around one.

    Raises TypeError for what is not an async iterable of bytes, ValueError for a closed decoder.
    """

    __slots__ = ()

    def __init__(
        self,
        chunks: AsyncIterable[Chunk],
        *,
        decoder: SSEDecoder | None = None,
        response: Any = None,
    ) -> None:
        iterator = aiter_chunks(chunks, "AsyncEventStream", "EventStream")
        self._start(iterator, chunks, decoder, response)

    async def drain(self, size: int, seconds: float) -> None:
        """Read on to the end of the chunks, on asyncio or trio; as EventStream's `drain`.

        size:    how many bytes are read at the most.
        seconds: how long it takes at the most.
        """
        if not self._can_drain():
            return
        self._is_reading = True
        try:
            await _run_with_limit(self._read_on, size, seconds)
        except Exception:
            pass
        finally:
            self._is_reading = False
            if self._over == _CLOSED:
                await aclose_all(*self._take_resources())

    async def _read_on(self, size: int) -> None:
        async for chunk in self.source:
            size -= len(chunk)
            if size < 0:
                return
        self._over = self._over or _EXHAUSTED


async def _run_with_limit(
    function: Callable[[int], Coroutine[Any, Any, None]], argument: int, seconds: float
) -> None:
    """Await a function for so many seconds at the most, on asyncio or on trio."""
    import sys

    trio: Any = sys.modules.get("trio")  # who runs on it has imported it
    if trio is not None and trio.lowlevel.in_trio_run():
        with trio.move_on_after(seconds):
            await function(argument)
    else:
        from asyncio import wait_for

        await wait_for(function(argument), seconds)


# What connect returns.

_SYNC_LINES = """
    with connect(...) as stream:
        for event in stream: ..."""
_ASYNC_LINES = """
    async with aconnect(...) as stream:
        async for event in stream: ..."""


class _Misused:
    """Says how a connection is opened, to whoever uses it in another way."""

    _lines = _SYNC_LINES

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(f"this is a connection yet to be opened; write:{self._lines}")

    __iter__: Any = _refuse
    __next__: Any = _refuse
    __aiter__: Any = _refuse
    __anext__: Any = _refuse
    __await__: Any = _refuse


class Opening(_Misused):
    """A context manager that opens an EventStream on entering, and closes it on leaving.

    This is what every `connect` returns.

    open_stream:  called on entering; returns the stream.
    is_transient: whether an exception of this client is a broken connection (True), its word for
                  what will stay (False), or not this client's (None); None if nobody knows.

    Raises RuntimeError if it is entered again.
    """

    def __init__(
        self,
        open_stream: Callable[[], EventStream],
        *,
        is_transient: Callable[[Exception], bool | None] | None = None,
    ) -> None:
        self._open_stream = open_stream
        self._stream: EventStream | None = None
        self._was_entered = False
        self.is_transient = is_transient

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'entered' if self._was_entered else 'not entered'}>"

    def __enter__(self) -> EventStream:
        self._was_entered = _enter_once(self._was_entered)
        self._stream = self._open_stream()
        return self._stream

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.__exit__(exc_type, exc, traceback)

    async def __aenter__(self) -> Any:
        return self._refuse()

    async def __aexit__(self, *_: object) -> None:
        return None


class AsyncOpening(_Misused):
    """An async context manager that opens an AsyncEventStream on entering, and closes it.

    This is what every `aconnect` returns.

    open_stream:  a coroutine function, called on entering; returns the stream.
    is_transient: as for Opening.

    Raises RuntimeError if it is entered again.
    """

    _lines = _ASYNC_LINES

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[AsyncEventStream]],
        *,
        is_transient: Callable[[Exception], bool | None] | None = None,
    ) -> None:
        self._open_stream = open_stream
        self._stream: AsyncEventStream | None = None
        self._was_entered = False
        self.is_transient = is_transient

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'entered' if self._was_entered else 'not entered'}>"

    async def __aenter__(self) -> AsyncEventStream:
        self._was_entered = _enter_once(self._was_entered)
        self._stream = await self._open_stream()
        return self._stream

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            await self._stream.__aexit__(exc_type, exc, traceback)

    def __enter__(self) -> Any:
        return self._refuse()

    def __exit__(self, *_: object) -> None:
        return None


def _enter_once(was_entered: bool) -> bool:
    if was_entered:
        raise RuntimeError(
            "this connection was opened before; call connect or aconnect again for another one"
        )
    return True


# What may be passed.


def check_decoder(decoder: SSEDecoder | None, last_event_id: str = "") -> SSEDecoder:
    """Return the decoder of a connection.

    decoder:       the caller's; None for one with the default options.
    last_event_id: what the caller resumes from, if no decoder was given; "" for none.

    Raises TypeError for what is no SSEDecoder; ValueError for one that is closed, or that comes
    together with an ID.
    """
    if decoder is None:
        return SSEDecoder(last_event_id=last_event_id)
    given: Any = decoder
    if not isinstance(given, SSEDecoder):
        name = type_name(given)
        raise TypeError(f"decoder must be an SSEDecoder, such as SSEDecoder(), not {name}")
    if last_event_id:
        raise ValueError("pass either decoder or last_event_id, or SSEDecoder(last_event_id=...)")
    decoder.feed(b"")  # raises if it is closed
    return decoder


def type_name(value: Any) -> str:
    """Return how an error names a value: its type, or which class or module it is."""
    name = type(value).__name__
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"the module {value.__name__}" if name == "module" else name


def iter_chunks(chunks: Any, taker: str, async_taker: str) -> Iterator[Chunk]:
    """Return an iterator over chunks of bytes.

    chunks:      what a caller passed.
    taker:       the name of what takes it, for the TypeError if that is no iterable of chunks.
    async_taker: the name of what takes an async iterable.
    """
    _refuse_other_than_chunks(chunks, "__iter__", "an iterable", taker, "__aiter__", async_taker)
    iterator: Any = iter(chunks)
    return iterator if hasattr(iterator, "__iter__") else _Iterator(iterator)


def aiter_chunks(chunks: Any, taker: str, sync_taker: str) -> AsyncIterator[Chunk]:
    """Return an async iterator over chunks of bytes.

    chunks:     what a caller passed.
    taker:      the name of what takes it, for the TypeError if that is no async iterable of chunks.
    sync_taker: the name of what takes an iterable.
    """
    _refuse_other_than_chunks(
        chunks, "__aiter__", "an async iterable", taker, "__iter__", sync_taker
    )
    iterator: Any = chunks.__aiter__()
    return iterator if hasattr(iterator, "__aiter__") else _AsyncIterator(iterator)


class _Iterator:
    """Makes an iterator of what has `__next__` alone."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator
        if hasattr(iterator, "interrupt"):
            self.interrupt = iterator.interrupt

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return next(self._iterator)

    def close(self) -> None:
        close_all(self._iterator)


class _AsyncIterator:
    """Makes an async iterator of what has `__anext__` alone."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator
        if hasattr(iterator, "interrupt"):
            self.interrupt = iterator.interrupt

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        return self._iterator.__anext__()

    async def aclose(self) -> None:
        await aclose_all(self._iterator)


_BYTES_OF_RESPONSE = {
    # Not `iter_content`: of a body that is not in chunks it holds back all until the end.
    "__iter__": "response.iter_bytes() (httpx), iter(lambda: response.raw.read1(65536, "
    'decode_content=True), b"") (requests)',
    "__aiter__": "response.aiter_bytes() (httpx), response.content.iter_any() (aiohttp)",
}


def _refuse_other_than_chunks(
    chunks: Any, method: str, wanted: str, taker: str, other_method: str, other_taker: str
) -> None:
    name = type_name(chunks)
    by_adapter = "the response to iter_events or aiter_events of its client's adapter, or "
    if not taker.endswith("EventStream"):
        by_adapter = ""
    if isinstance(chunks, (bytes, bytearray, memoryview)):
        raise TypeError(f"{name} is one chunk; pass an iterable of chunks: [data]")
    if isinstance(chunks, str):
        raise TypeError("str is not an iterable of bytes; pass [text.encode()]")
    if hasattr(chunks, "headers") or hasattr(chunks, "status_code"):
        if not by_adapter:
            raise TypeError(f"{name} is a response; pass its bytes: {_BYTES_OF_RESPONSE[method]}")
        raise TypeError(
            f"{name} is a response; pass it to iter_events or aiter_events of the client's "
            "adapter, or pass an iterator over its bytes"
        )
    code = getattr(chunks, "gi_code", None) or getattr(chunks, "ag_code", None)
    if getattr(code, "co_name", "") in ("iter_lines", "aiter_lines"):
        raise TypeError(
            f"{taker} takes bytes as they came, not lines, which have lost their ends; pass "
            f"{by_adapter}{_BYTES_OF_RESPONSE[method]}"
        )
    if hasattr(chunks, "readany") and hasattr(chunks, "iter_any"):  # aiohttp's iterates over lines
        raise TypeError(
            f"{name} iterates over lines, not over bytes as they came; pass "
            f"{by_adapter}{name}.iter_any()"
        )
    if isinstance(chunks, _Events):
        raise TypeError(f"{taker} takes bytes, not events, which {name} gives: use it as it is")
    if not hasattr(chunks, method):
        if hasattr(chunks, other_method):
            raise TypeError(f"{taker} iterates over {wanted}; pass this {name} to {other_taker}")
        raise TypeError(f"{taker} takes {wanted} of bytes, not {name}")


# What marks the end.


class DoneMark:
    """What marks the end, as whatever takes `done` and `require_done` has it.

    done:        a str, a function, several of them in a tuple, list or set, or None.
    is_required: whether something that ends without it was cut.

    Raises TypeError for what is none of these; ValueError for an empty str, and for a mark that is
    required and None.
    """

    def __init__(self, done: Any, is_required: bool = False) -> None:
        marks: list[Any] = [] if done is None else [done]
        if isinstance(done, (tuple, list, set, frozenset)):
            marks = [*done]
        self.shown: str = f" {done!r}" if isinstance(done, str) else ""  # what an error says of it
        self._texts: set[str] = set()
        self._predicates: list[Any] = []
        for mark in marks:
            if isinstance(mark, str):
                self._add_text(mark.strip())
            elif callable(mark):
                refuse_coroutine_function("done", mark)
                self._predicates.append(mark)
            else:
                raise TypeError(
                    "done must be a str, a function, several of them, or None, not "
                    f"{type_name(mark)}"
                )
        if is_required and not marks:
            raise ValueError("require_done=True needs a mark: pass done")
        self.is_required = is_required
        self.is_reached = False

    def _add_text(self, text: str) -> None:
        if not text:
            raise ValueError("done must not be empty; pass None for no mark")
        self._texts.add(text)
        if text[0] + text[-1] == "[]":  # some send it as JSON
            self._texts.add(f'"{text}"')

    def is_text(self, data: str) -> bool:
        """Return whether some text is the mark.

        data: the text that came, a str.
        """
        return data.strip() in self._texts

    def is_met(self, *arguments: Any) -> bool:
        """Return whether one of the functions says so; all arguments go to it."""
        return any(predicate(*arguments) for predicate in self._predicates)


def refuse_coroutine_function(name: str, function: Any) -> None:
    """Raise a TypeError for an `async def` where a plain function is called.

    name:     of the parameter.
    function: what the caller passed, or None.
    """
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & 0x180:  # CO_COROUTINE, CO_ITERABLE_COROUTINE
        raise TypeError(f"{name} must be a plain function, not an async one")


# Ending.


def no_end(stop: BaseException | None, error: BaseException) -> BaseException:
    """Return an error, or in its place one that no loop takes for the end (PEP 479).

    stop:  what a callback raised, or None.
    error: what came of it.
    """
    if not isinstance(stop, (StopIteration, StopAsyncIteration)):
        return error
    replacement = RuntimeError(f"a callback raised {type(stop).__name__}")
    replacement.__cause__ = stop
    return replacement


def _last_items(machine: Machine) -> tuple[list[Any], BaseException | None]:
    """Return what the end of a machine completes, and the error that comes after it."""
    items: list[Any] = []
    try:
        items = machine.close()
        machine.close()  # raises what comes after the items
    except BaseException as error:
        return items, error
    return items, None


def close_all(*resources: Any) -> None:
    """Close each resource that has `close`, in this order, whatever the others raise.

    resources: what is to be closed; None is passed over.

    The first error is raised when all have been closed.
    """
    error: BaseException | None = None
    for resource in resources:
        try:
            close = getattr(resource, "close", None)
            if close is not None:
                close()
        except BaseException as fault:  # noqa: PERF203  the others are closed all the same
            error = fault if error is None else error
    try:
        if error is not None:
            raise error
    finally:
        del error


async def aclose_all(*resources: Any) -> None:
    """Close each resource by its `aclose` or `close`, awaited if it can be; as `close_all`.

    resources: what is to be closed; None is passed over.
    """
    error: BaseException | None = None
    for resource in resources:
        try:
            if isinstance(error, GeneratorExit):  # nothing more can be awaited
                _is_closed_at_once(resource)
                continue
            closing = _call_close(resource)
            if closing is not None:
                await closing
        except BaseException as fault:
            error = fault if error is None else error
    try:
        if error is not None:
            raise error
    finally:
        del error


def _call_close(resource: Any) -> Any:
    """Call a resource's `aclose` or `close`, and return what is to be awaited, or None."""
    close = getattr(resource, "aclose", None) or getattr(resource, "close", None)
    closing = None if close is None else close()
    return closing if hasattr(closing, "__await__") else None


def _is_closed_at_once(resource: Any) -> bool:
    """Close a resource as far as that can be done without waiting; return whether it is closed."""
    release_at_once = getattr(resource, "release_at_once", None)
    if release_at_once is not None:  # a stream of ours
        release_at_once()
        return False
    try:
        closing = _call_close(resource)
        if closing is not None:
            closing = closing.__await__()
            closing.send(None)
            closing.close()  # it waits for something
            return False
    except StopIteration:
        pass
    except Exception:  # nobody could be told; an async generator that the exit went through
        pass
    return True


def is_of_a_coroutine(error: GeneratorExit) -> bool:
    """Return whether a GeneratorExit closes a coroutine, in which nothing can be awaited any more.

    It was raised where the coroutine waited. In an async generator, which may await while it is
    closed, it was raised at a `yield`.

    error: with its traceback.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and not traceback.tb_frame.f_code.co_flags & 0x200
