# SPDX-License-Identifier: MIT
"""Pass bytes on, and read the events in them: for proxies.

- `tee` hands every chunk on untouched and at once, and decodes it when the next is asked for;
- `atee(keepalive=...)` puts in a comment when there has been nothing to hand on for a while;
- `whole_events` hands on the same bytes, cut where events end;
- `rewrite` hands on what a function makes of each event.

All but the first have to know where in a stream they stand: in a line, in an event, or between two
events. That is `_Lines`, told of each chunk. The last two are one machine, `_Blocks`, with an edit
and without. Cost: the decoder's, and a step for each line; what is held is one event.
"""

from __future__ import annotations

from functools import partial
from typing import Generic, NamedTuple, TypeVar

from ._pieces import pieces
from .decoder import (
    BOM,
    EventTooLargeError,
    IncompleteEventError,
    ServerSentEvent,
    SSEDecoder,
    as_bytes,
)
from .encoder import SSEEncoder
from .handshake import media_type
from .streams import (
    AsyncReader,
    DoneMark,
    Reader,
    Reading,
    aclose_all,
    aiter_chunks,
    check_decoder,
    iter_chunks,
    refuse_coroutine_function,
    type_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Collection, Iterable
    from typing import Any, Literal, Union

    from .decoder import Chunk

    Edit = Callable[[ServerSentEvent], Union[ServerSentEvent, Iterable[ServerSentEvent], None]]
    OnEvent = Callable[[ServerSentEvent], object]
    OnEnd = Callable[["TeeOutcome"], object]
    Mark = Union[str, OnEvent, Collection[Union[str, OnEvent]], None]
    State = Literal["complete", "truncated", "closed", "failed"]

__all__ = [
    "AsyncRelayed",
    "AsyncTee",
    "Relayed",
    "Tee",
    "TeeOutcome",
    "arewrite",
    "atee",
    "awhole_events",
    "rewrite",
    "tee",
    "whole_events",
]

_Chunk = TypeVar("_Chunk", bound="Chunk")

# How compressed bytes begin. Brotli has no such mark.
_MAGICS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x01": "deflate",
    b"\x78\x9c": "deflate",
    b"\x78\xda": "deflate",
}
_CR, _COLON = b"\r:"
_ROOM_FOR_OTHER_LINES = 64 * 1024  # bytes of an event, beside its data
_SILENCE = object()  # what `_AsyncWaiting` yields in place of a chunk


class TeeOutcome(NamedTuple):
    """How a stream ended, and what came before.

    state:         "complete": `chunks` came to their end, with the mark if there is one;
                   "truncated": they ended inside an event, without the mark, or after a fault of
                   the decoder; "closed": the consumer left; "failed": `chunks` raised. With the
                   mark seen it is "complete", whatever came after it.
    error:         what `chunks` raised, else the first fault of the decoder or of an observer; None
                   if there was none.
    bytes:         how many bytes were handed on.
    events:        how many events were decoded.
    last_event_id: the ID to resume from, a str; "" for none.
    """

    state: State
    error: Exception | None
    bytes: int
    events: int
    last_event_id: str


class _Observer:
    """Fed chunks, it answers with the same; it decodes a chunk when it is told that it is out."""

    ended = False

    def __init__(
        self,
        on_event: Any,
        on_end: Any,
        decoder: Any,
        response: Any,
        done: Any,
        pauses: _Pauses | None = None,
    ) -> None:
        from inspect import iscoroutinefunction  # slow to import

        for name, observer in (("on_event", on_event), ("on_end", on_end)):
            if observer is not None and (not callable(observer) or iscoroutinefunction(observer)):
                raise TypeError(f"{name} must be a plain function or None")
        self._is_decoding = decoder is not None or _may_be_event_stream(response)
        self._was_decoding = self._is_decoding  # from the start
        self._decoder = check_decoder(decoder)
        self._on_event = on_event
        self._on_end = on_end
        self._mark = None if done is None else DoneMark(done)
        self._chunk = b""  # handed on, not decoded
        # Of the bytes, as long as it may be that of compressed ones.
        self._start: bytes | None = b""
        self._is_compressed = False
        self._pauses = pauses
        self._bytes = self._count = 0
        self._fault: Exception | None = None
        self._fault_counts: dict[str, int] = {}  # of the observers, by name
        self.is_told = False  # the outcome

    @property
    def last_event_id(self) -> str:
        return self._decoder.last_event_id

    def feed(self, chunk: Any) -> list[Any]:
        if self._pauses is None:
            self._chunk = as_bytes(chunk)  # a copy, if it is a buffer
            self._bytes += len(self._chunk)
            return [chunk]
        if chunk is _SILENCE:
            return [self._pauses.comment()]
        self._chunk = as_bytes(chunk)
        self._bytes += len(self._chunk)
        rest = self._pauses.pass_on(self._chunk)
        return [chunk] if rest is self._chunk else [rest] if rest else []

    def close(self) -> list[Chunk]:
        rest = self._pauses.close() if self._pauses else b""
        return [rest] if rest else []

    def observe(self) -> None:
        """Decode the chunk that was handed on last."""
        chunk, self._chunk = self._chunk, b""
        if not chunk or not self._is_decoding:
            return
        if self._start is not None:
            chunk = self._start + chunk
            self._start = chunk
            if _may_become(chunk, *_MAGICS):
                return
            self._start = None
            error = _compression_error(chunk)
            if error is not None:
                self._is_decoding, self._is_compressed = False, True
                self._log("no events are read", error)
                return
        for piece in pieces(chunk):
            if self._is_decoding:
                self._report(partial(self._decoder.feed, piece))

    def _report(self, decode: Callable[[], list[ServerSentEvent]]) -> None:
        try:
            events = decode()
        except IncompleteEventError as error:  # no fault of the decoding
            events = []
            if not self._is_mark(error.event):
                self._fault = self._fault or error
        except Exception as error:
            events = self._completed_before()
            self._is_decoding = False
            self._log("the reading of events stopped", error)
        for event in events:
            self._hand_out(event)

    def _hand_out(self, event: ServerSentEvent) -> None:
        self._count += 1
        self._is_mark(event)
        if self._on_event is not None:
            self._call("on_event", self._on_event, event)

    def _is_mark(self, event: ServerSentEvent | None) -> bool:
        """Return whether an event is the mark, and take note of it."""
        mark = self._mark
        if mark is None or mark.is_reached or event is None:
            return False
        mark.is_reached = mark.is_text(event.data) or bool(self._call("done", mark.is_met, event))
        return mark.is_reached

    def _call(self, name: str, observer: Callable[[Any], Any], argument: Any) -> Any:
        """Call an observer; the first error of each is logged, further ones are counted."""
        try:
            return observer(argument)
        except Exception as error:
            count = self._fault_counts.get(name, 0) + 1
            self._fault_counts[name] = count
            if count == 1:
                more = (
                    "" if name == "on_end" else "; it is called again, and more errors are counted"
                )
                self._log(f"{name} raised{more}", error)
            return None

    def _completed_before(self) -> list[ServerSentEvent]:
        try:
            return self._decoder.close()
        except Exception:  # as the one that led here
            return []

    def tell(self, state: State, error: Exception | None) -> None:
        """Report the outcome, once."""
        if self.is_told:
            return
        self.is_told = True
        try:
            self._end(state)
            state = self._judge(state)
        finally:
            on_end, self._on_end, self._on_event = self._on_end, None, None
            if on_end is not None:
                last_event_id = self._decoder.last_event_id
                counts = self._bytes, self._count
                outcome = TeeOutcome(state, error or self._fault, *counts, last_event_id)
                self._call("on_end", on_end, outcome)
            self._log_counts()
            self._is_decoding = False  # nor the rest of a chunk, if an observer closes it
            self._fault = None  # no cycle of the error and the frame that it was raised in

    def _end(self, state: State) -> None:
        """Read what is still to be read."""
        self.observe()
        if self._start and self._is_decoding:  # too short for compressed bytes
            start, self._start = self._start, None
            self._report(lambda: self._decoder.feed(start))
        if not self._is_decoding:
            return
        if state == "complete":
            self._report(self._decoder.close)
        elif self._mark is not None and not self._mark.is_reached:
            # The mark counts without its blank line; of another event nobody knows the rest.
            try:
                events = self._decoder.close()
            except IncompleteEventError as error:
                self._is_mark(error.event)
            except Exception:
                pass
            else:
                for event in events:
                    if self._is_mark(event):
                        self._hand_out(event)

    def _judge(self, state: State) -> State:
        """Return the state, as the events decide it."""
        if self._mark is not None and self._mark.is_reached:
            return "complete"
        if state != "complete" or not self._was_decoding:
            return state
        if self._mark is not None or self._decoder.incomplete:
            return "truncated"
        return state if self._is_decoding or self._is_compressed else "truncated"

    def _log(self, message: str, error: Exception) -> None:
        from logging import getLogger  # slow to import

        self._fault = self._fault or error
        getLogger(__name__).error("tee: %s", message, exc_info=error)

    def _log_counts(self) -> None:
        for name, count in self._fault_counts.items():
            if count > 1:
                from logging import getLogger

                getLogger(__name__).info("tee: %s raised %d times", name, count)


class _Observed:
    """What a tee reads from: what was handed out is observed before the next is waited for."""

    def __init__(self, iterator: Any, machine: _Observer) -> None:
        self._iterator = iterator
        self._machine = machine
        if hasattr(iterator, "interrupt"):
            self.interrupt = iterator.interrupt

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        self._machine.observe()
        if self._machine.is_told:  # an observer has closed it
            raise StopIteration
        return next(self._iterator)


class _AsyncObserved(_Observed):
    """The same for `atee`."""

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        self._machine.observe()
        if self._machine.is_told:
            raise StopAsyncIteration
        return self._iterator.__anext__()


class _AsyncWaiting:
    """The same for `atee(keepalive=...)`: gives `_SILENCE` when a comment is due.

    A read that has begun goes on meanwhile, in a task of its own, which closes the iterator if it
    is cancelled.
    """

    def __init__(self, iterator: Any, machine: _Observer, pauses: _Pauses, seconds: float) -> None:
        self._iterator = iterator
        self._machine = machine
        self._pauses = pauses
        self._seconds = seconds
        self._task: Any = None  # reads the next chunk
        self._is_reading = False  # the task is in the iterator
        self._is_left = False

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        self._machine.observe()
        if self._machine.is_told:
            raise StopAsyncIteration
        asyncio = _asyncio_in_which_this_runs()
        task = self._task
        if task is None:
            task = self._task = asyncio.ensure_future(self._read())
            task.add_done_callback(_note_error)
        try:
            limit = self._seconds if self._pauses.may_comment() else None
            await asyncio.wait({task}, timeout=limit)
            if self._is_left:
                raise StopAsyncIteration
            if not task.done():
                return _SILENCE
            self._task = None
            return task.result()
        finally:
            del self, task  # no cycle of an error, the task and this frame

    async def _read(self) -> Any:
        self._is_reading = True
        try:
            return await self._iterator.__anext__()
        finally:
            self._is_reading = False
            if self._is_left:
                await aclose_all(self._iterator)

    def drop(self) -> None:
        """Cancel the read, from any thread."""
        if self._task is not None:
            self._is_left = True
            try:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
            except RuntimeError:  # the loop is closed: nothing can be awaited any more
                self._is_left = False

    async def aclose(self) -> None:
        """Cancel the read, if there is one, and do not wait for it."""
        self._is_left = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        if not self._is_reading:
            await aclose_all(self._iterator)


def _asyncio_in_which_this_runs() -> Any:
    import asyncio  # slow to import

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise TypeError(
            "atee(keepalive=...) waits as asyncio does, and this does not run on asyncio: leave "
            "keepalive out, and send comments in a task of your own, between two events; "
            "awhole_events(chunks) gives chunks that end there, SSEEncoder().comment() a comment"
        ) from None
    return asyncio


def _note_error(task: Any) -> None:
    """Take note of what a task raised, so that asyncio does not log it as unseen."""
    if not task.cancelled():
        task.exception()


class _Pauses:
    """Knows where in a stream a comment may be put in, and puts it there."""

    def __init__(self, seconds: Any, response: Any) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"keepalive must be seconds or None, not {type_name(seconds)}")
        if not seconds > 0:
            raise ValueError(f"keepalive must be more than 0 seconds, not {seconds}")
        headers: Any = getattr(response, "headers", {})
        self._is_event_stream = _may_be_event_stream(response)
        # Whoever sends a coding has either undone it or not. Brotli can be known by nothing else.
        self._may_be_encoded = bool(headers.get("Content-Encoding"))
        self._start: bytes | None = b""  # of the bytes, as long as they may be anything
        self._held = b""  # what may become a byte order mark, after a comment
        self._has_spoken = False  # before anything came
        self._lines = _Lines()

    def may_comment(self) -> bool:
        if not self._is_event_stream:
            return False
        if self._start is not None:
            return not self._start and not self._may_be_encoded
        return not self._lines.in_line and not self._lines.after_cr

    def comment(self) -> bytes:
        self._has_spoken |= self._start == b""
        return b": keep-alive\n" if self._lines.in_event else b": keep-alive\n\n"

    def pass_on(self, chunk: bytes) -> bytes:
        """Take note of a chunk; return it, without a byte order mark that follows a comment."""
        if self._start is None:
            self._lines.cuts(chunk)
            return chunk
        start, held = self._start + chunk, self._held
        self._start, self._held = start, b""
        first_words = _FIRST_WORDS if self._may_be_encoded else ()
        if _may_become(start, BOM, *_MAGICS, *first_words):
            if self._has_spoken and BOM.startswith(start):
                self._held = start
                return b""
            return held + chunk
        self._start = None
        is_plain = not first_words or start.startswith(first_words)
        self._is_event_stream &= is_plain and _compression_error(start) is None
        rest = start.removeprefix(BOM)
        self._lines.cuts(rest)
        return rest if self._has_spoken and rest is not start else held + chunk

    def close(self) -> bytes:
        """Return what is held."""
        held, self._held = self._held, b""
        return held


class _Tee(Reading[_Chunk], Generic[_Chunk]):
    __slots__ = ()

    def position(self) -> str:
        """Return the ID to resume from; nothing is decoded before it was handed out."""
        last_event_id: str = self.machine.last_event_id
        return last_event_id

    def note_end(self, error: BaseException | None) -> None:
        if isinstance(error, Exception):
            self.machine.tell("failed", error)
        else:
            self.machine.tell("complete" if self.is_exhausted else "closed", None)

    def __del__(self) -> None:
        machine = getattr(self, "machine", None)
        if machine is not None:
            machine.tell("closed", None)


class Tee(_Tee[_Chunk], Reader[_Chunk], Generic[_Chunk]):
    """What `tee` returns: an iterator over the chunks, and a context manager."""

    __slots__ = ()


class AsyncTee(_Tee[_Chunk], AsyncReader[_Chunk], Generic[_Chunk]):
    """What `atee` returns: an async iterator over the chunks, and an async context manager."""

    __slots__ = ()

    def __del__(self) -> None:
        super().__del__()
        drop = getattr(getattr(self, "source", None), "drop", None)
        if drop is not None:
            drop()


def tee(
    chunks: Iterable[_Chunk],
    *,
    on_event: OnEvent | None = None,
    on_end: OnEnd | None = None,
    decoder: SSEDecoder | None = None,
    response: Any = None,
    done: Mark = None,
) -> Tee[_Chunk]:
    """Iterate over the chunks themselves, and report the events in them.

    chunks:   any iterable of bytes, bytearray or memoryview, cut anywhere.
    on_event: a function of an event, called after its bytes were handed on, before the next chunk
              is read; None, the default: nobody is told.
    on_end:   a function of the TeeOutcome, called exactly once; if the tee is dropped, when it is
              collected. None, the default: nobody is told.
    decoder:  an SSEDecoder, for options of one's own; None: one with the default options, and a
              response of another Content-Type than text/event-stream is not decoded.
    response: what is closed together with `chunks`; None for nothing.
    done:     what marks the end, and so decides what is complete. A str: data that is that text,
              as "[DONE]"; one in brackets also matches in JSON quotes. A function of an event that
              says whether it is the last. Or a tuple, list or set of several. None, the default:
              the end of the chunks is the end.

    Returns an iterator and context manager. What `chunks` raises passes through. Nothing else
    disturbs the bytes: an observer that raises is logged with its traceback once and called again
    for the next event; a fault of the decoder is logged and ends the decoding. Compressed bytes
    (gzip, deflate, zstd) are reported once and not decoded. TypeError or ValueError for an argument
    of the wrong kind.
    """
    observer = _Observer(on_event, on_end, decoder, response, done)
    source = iter_chunks(chunks, "tee", "atee")
    owned = None if source is chunks else chunks
    return Tee(_Observed(source, observer), observer, source, owned, response)


def atee(
    chunks: AsyncIterable[_Chunk],
    *,
    on_event: OnEvent | None = None,
    on_end: OnEnd | None = None,
    decoder: SSEDecoder | None = None,
    response: Any = None,
    done: Mark = None,
    keepalive: float | None = None,
) -> AsyncTee[_Chunk | bytes]:
    """Iterate over the chunks of an async iterable, and report the events in them.

    chunks:   any async iterable of bytes, bytearray or memoryview.
    on_event, on_end: plain functions, as for `tee`.
    decoder, response, done: as for `tee`.
    keepalive: after how many seconds without a chunk a comment is handed on, and again after each
              further time so long; a number above 0. It needs asyncio. None, the default: never.
              (Provisional until 0.3.)

    Returns an async iterator and async context manager. Dropped without `aclose`, it releases
    nothing.

    A keep-alive is `: keep-alive` and a blank line; between two lines of an event it has no blank
    line, and in a line, or after a CR whose LF may follow, there is none. It changes nothing of the
    events that a reader gets: if it is the first thing that goes out, a byte order mark of `chunks`
    is left out. There is none if the response has another Content-Type than text/event-stream, none
    in bytes that are compressed, and none before the first bytes if the response has a
    Content-Encoding: so pass `response`. The observers and `TeeOutcome.bytes` know nothing of it.
    The read that waits is not cancelled by it; on leaving, and if the iterator is dropped, it is
    cancelled, and not waited for.

    TypeError or ValueError as for `tee`; TypeError at the first read with `keepalive` outside
    asyncio.
    """
    source = aiter_chunks(chunks, "atee", "tee")
    owned = None if source is chunks else chunks
    if keepalive is None:
        observer = _Observer(on_event, on_end, decoder, response, done)
        return AsyncTee(_AsyncObserved(source, observer), observer, source, owned, response)
    pauses = _Pauses(keepalive, response)
    observer = _Observer(on_event, on_end, decoder, response, done, pauses)
    waiting = _AsyncWaiting(source, observer, pauses, keepalive)
    return AsyncTee(waiting, observer, waiting, owned, response)


# Whole events, and rewritten ones.


class _Lines:
    """Where a stream stands, told of each chunk of it. Its byte order mark is not told."""

    __slots__ = ("after_cr", "in_event", "in_line")

    def __init__(self) -> None:
        self.in_line = False  # a line has begun and not ended
        self.after_cr = False  # the line ended with a CR, whose LF may follow
        self.in_event = False  # a field line has begun, and the blank line after it has not come

    def cuts(self, chunk: bytes) -> list[int]:
        """Return the offsets in a chunk where a line ends and no event is open.

        That is after the blank line of each event, and after each comment between two.
        """
        cuts: list[int] = []
        end = 0
        in_line, in_event = self.in_line, self.in_event
        if self.after_cr and chunk[:1] == b"\n":
            end = 1
            if not in_event:
                cuts.append(end)
        for line in (chunk[end:] if end else chunk).splitlines(keepends=True):
            end += len(line)
            if not in_line:
                first = line[0]
                if first in b"\r\n":
                    in_event = False
                elif first != _COLON:
                    in_event = True
            in_line = line[-1] not in b"\r\n"
            if not in_line and not in_event:
                cuts.append(end)
        if chunk:
            self.in_line, self.in_event, self.after_cr = in_line, in_event, chunk[-1] == _CR
        return cuts


class _Blocks:
    """Fed chunks, it answers with blocks that are whole, as they came or as `edit` has them.

    A block is what ends with a blank line, or a comment between two of those. The decoder is fed
    block by block, and so is known what it makes of each.
    """

    def __init__(self, edit: Edit | None, decoder: Any, last_event_id: str, response: Any) -> None:
        self._is_passing = decoder is None and not _may_be_event_stream(response)
        self._decoder = check_decoder(decoder, last_event_id)
        self._edit = edit
        self._encoder = SSEEncoder()
        self._lines = _Lines()
        self.ended = False
        # The ID to resume from at the far end. It differs from the decoder's after an edit.
        self.last_event_id = self._decoder.last_event_id
        self._start: bytes | None = b""  # of the bytes, as long as they may be anything
        self._held = bytearray()  # of a block that is not whole
        self._answers: list[bytes] = []  # to the chunk that is being fed
        self._has_answered = False
        self._is_as_it_came = True  # the block before
        self._skipped = self._decoder.skipped
        self._is_skipping = False  # the decoder leaves this block out
        self._limit = self._decoder.max_event_size
        self._error: Exception | None = None  # that comes after the last answer

    def feed(self, chunk: Chunk) -> list[bytes]:
        chunk = as_bytes(chunk)
        if self._is_passing:
            return [chunk] if chunk else []
        self.ended = True  # if something is raised here
        if self._start is not None:
            chunk = self._begin(chunk)
        for piece in pieces(chunk):
            count = len(self._answers)
            self._cut(piece)
            self._answers[count:] = [b"".join(self._answers[count:])]
        self.ended = False
        return self._answer()

    def _begin(self, chunk: bytes) -> bytes:
        """Pass a byte order mark on, and refuse compressed bytes; return the rest of the start."""
        start = (self._start or b"") + chunk
        self._start = start
        if _may_become(start, BOM, *_MAGICS):
            return b""
        self._start = None
        error = _compression_error(start)
        if error is not None:
            raise error
        if start.startswith(BOM):
            self._decoder.feed(BOM)
            self._answers.append(BOM)
            self._has_answered = True
        return start.removeprefix(BOM)

    def _cut(self, chunk: bytes) -> None:
        start = 0
        follows_cr = self._lines.after_cr and chunk[:1] == b"\n"
        for end in self._lines.cuts(chunk):
            part = chunk[start:end]
            if follows_cr and end == 1:
                self._decoder.feed(part)
                if self._is_as_it_came:
                    self._answers.append(part)
            else:
                self._take(part)
            start = end
        if start < len(chunk):
            self._hold(chunk[start:])

    def _take(self, part: bytes) -> None:
        """Take the rest of a block, and answer with it."""
        before = self._decoder.last_event_id
        events = self._decoder.feed(part)
        block = self._taken_with(part)
        self._notice_skipping()
        if not self._is_skipping:
            self._pass_on(block, events, before, b"\n")
            return
        self._drop(block, before, b"\n")
        self._is_skipping = not _ends_with_blank_line(block)

    def _hold(self, part: bytes) -> None:
        self._decoder.feed(part)
        self._held += part
        # The decoder bounds the data; of an empty line, "data: \r\n", it counts one byte in eight.
        if len(self._held) > 8 * self._limit + _ROOM_FOR_OTHER_LINES:
            self._make_room(self._limit)

    def _make_room(self, limit: int) -> None:
        """Hold no more of an event that is left out than is needed; raise if that is too much."""
        self._notice_skipping()
        if self._is_skipping:
            *lines, last = bytes(self._held).splitlines(keepends=True)
            if last[-1] in b"\r\n":
                lines.append(last)
                last = b""
            kept = _written(_lines_but(b"".join(lines), limit=limit), b"")
            self._held = bytearray(kept + last[: limit + 1])
        if len(self._held) > 4 * limit + _ROOM_FOR_OTHER_LINES // 2:
            raise EventTooLargeError(limit)

    def _taken_with(self, part: bytes) -> bytes:
        if not self._held:
            return part
        self._held += part
        block = bytes(self._held)
        self._held = bytearray()
        return block

    def _notice_skipping(self) -> None:
        if self._decoder.skipped != self._skipped:
            self._skipped = self._decoder.skipped
            self._is_skipping = True

    def _pass_on(
        self, block: bytes, events: list[ServerSentEvent], before: str, end: bytes
    ) -> None:
        """Answer with what becomes of a block.

        before: the decoder's last event ID before the block.
        end:    the end of its blank line, b"" if that never came.
        """
        if not events or self._edit is None:
            self._follow(block, before)
            self._answers.append(block)
            self._is_as_it_came = True
            return
        event = events[0]
        results = _events_of(self._edit(event))
        if not results:
            self._drop(block, before, end)
            return
        passed = results.index(event) if event in results else -1
        if not end and passed + 1 < len(results):
            passed = -1  # nothing can follow a block without its end
        others = _lines_but(block, b"id", b"retry", limit=self._limit) if passed < 0 else []
        answers = [_written(others, b"")]
        for number, result in enumerate(results):
            is_unchanged = number == passed
            answers.append(
                self._as_it_came(block, event, before) if is_unchanged else self._encoded(result)
            )
        self._is_as_it_came = passed + 1 == len(results)
        if not end and not self._is_as_it_came:
            answers[-1] = answers[-1][:-1]  # without its blank line, too
        self._answers += answers

    def _as_it_came(self, block: bytes, event: ServerSentEvent, before: str) -> bytes:
        """Return the block; with its ID, if it relies on one that the far end does not have."""
        is_known = self.last_event_id == before or _sets_id(block)
        self.last_event_id = event.id
        return block if is_known else self._encoder.id(event.id)[:-1] + block

    def _encoded(self, event: ServerSentEvent) -> bytes:
        written_id = None if event.id == self.last_event_id else event.id
        block = self._encoder.event(event.data, event=event.event, id=written_id, retry=event.retry)
        self.last_event_id = event.id
        return block

    def _drop(self, block: bytes, before: str, end: bytes) -> None:
        """Leave an event out; its other lines pass on."""
        lines = _lines_but(block, limit=self._limit)
        rest = _written(lines, end)
        self._follow(rest, before)
        self._answers.append(rest)
        self._is_as_it_came = False

    def _follow(self, block: bytes, before: str) -> None:
        """Take note of the ID that a block without an event moves."""
        if self.last_event_id == before or _sets_id(block):
            self.last_event_id = self._decoder.last_event_id

    def close(self) -> list[bytes]:
        """Return what is still to be handed on; called again, raise what comes after it."""
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del self, error
        if not self.ended:
            self.ended = True
            if not self._is_passing:
                self._end()
        return self._answer()

    def _end(self) -> None:
        """Do with an unfinished block what the decoder does with its event."""
        if self._start:
            start, self._start = self._start, None
            self._cut(start)
        decoder, before = self._decoder, self._decoder.last_event_id
        is_in_event = decoder.incomplete
        events: list[ServerSentEvent] = []
        try:
            events = decoder.close()
        except IncompleteEventError as error:
            self._error = error
        block = self._taken_with(b"")
        self._notice_skipping()
        if not block:
            return
        if is_in_event and decoder.at_end != "dispatch":
            self._answers.append(_what_counts_of_unfinished(block, self._limit))
        elif self._is_skipping:
            self._drop(block, before, b"")
        else:
            self._pass_on(block, events, before, b"")

    def _answer(self) -> list[bytes]:
        answer = b"".join(self._answers)
        self._answers.clear()
        if not answer:
            return []
        if not self._has_answered and answer.startswith(BOM):
            answer = BOM + answer  # else the far end would take it for that of the stream
        self._has_answered = True
        return [answer]


def _events_of(edited: Any) -> list[ServerSentEvent]:
    """Return what `edit` returned as a list."""
    if edited is None:
        return []
    if isinstance(edited, ServerSentEvent):
        return [edited]
    if isinstance(edited, (str, bytes)) or not hasattr(edited, "__iter__"):
        edited = [edited]
    events = [*edited]
    for event in events:
        if not isinstance(event, ServerSentEvent):
            raise TypeError(
                "edit must return a ServerSentEvent, several of them, or None, not "
                f"{type_name(event)}"
            )
    return events


def _lines_but(block: bytes, *names: bytes, limit: int) -> list[bytes]:
    """Return the lines of a block that are no part of its event, without their ends.

    names: of fields that are left out, too, where they have an effect.
    limit: how long a line may be, in bytes; longer ones are left out.
    """
    lines: list[bytes] = []
    for line in block.splitlines():
        name = _name_of(line)
        if not line or name in (b"data", b"event") or len(line) > limit:
            continue
        if name not in names or not _has_effect(line):
            lines.append(line)
    return lines


def _name_of(line: bytes) -> bytes:
    """Return the name of the field, if it is one of the standard's."""
    return line[:6].partition(b":")[0]


def _has_effect(line: bytes) -> bool:
    """Return whether a line is none that the decoder counts as ignored."""
    decoder = SSEDecoder(max_event_size=None)
    decoder.feed(b"\n" + line + b"\n")  # not at the start, where a byte order mark may be
    return not decoder.ignored


def _sets_id(block: bytes) -> bool:
    return any(_name_of(line) == b"id" and b"\0" not in line for line in block.splitlines())


def _written(lines: list[bytes], end: bytes) -> bytes:
    """Return lines with their ends, and with that of their block if they are more than comments."""
    is_block = any(line[0] != _COLON for line in lines)
    return b"".join([line + b"\n" for line in lines]) + (end if is_block else b"")


def _what_counts_of_unfinished(block: bytes, limit: int) -> bytes:
    """Return those lines of an unfinished block that have an effect though it is discarded.

    Those are comments, `retry`, and lines that have none. Of a last line without its end it is
    known only that it has none.
    """
    lines = _lines_but(block, b"id", limit=limit)
    last = block.splitlines()[-1]
    if block[-1] in b"\r\n" or lines[-1:] != [last]:
        return _written(lines, b"")
    return _written(lines[:-1], b"") + (b"" if _has_effect(last) else last)


def _ends_with_blank_line(block: bytes) -> bool:
    before = block.removesuffix(b"\n").removesuffix(b"\r")
    return not before or before[-1] in b"\r\n"


class Relayed(Reader[bytes]):
    """What `whole_events` and `rewrite` return: an iterator over bytes, and a context manager."""

    __slots__ = ()


class AsyncRelayed(AsyncReader[bytes]):
    """What `awhole_events` and `arewrite` return: an async iterator and async context manager."""

    __slots__ = ()


def whole_events(
    chunks: Iterable[Chunk], *, decoder: SSEDecoder | None = None, response: Any = None
) -> Relayed:
    """Iterate over the same bytes, cut so that each chunk ends where an event does.

    Provisional until 0.3.

    chunks:   any iterable of bytes, bytearray or memoryview, cut anywhere.
    decoder:  an SSEDecoder, for a bound of one's own and other options; None: one with the default
              options, and a response of another Content-Type than text/event-stream passes as it
              is.
    response: what is closed together with `chunks`; None for nothing.

    Returns an iterator over bytes, and context manager. Comments between two events, and blocks
    without data, pass on at once. What `chunks` raises passes through, after the last whole event:
    an event that it cut off is not handed on, so an event of one's own can follow. At a clean end
    an unfinished event is handed on as it came, if the decoder dispatches it; with "discard" and
    "raise" its comments, its `retry` and what of it has no effect are, and with "raise" the
    IncompleteEventError follows.

    Raises EventTooLargeError for an event that is too large for the decoder, or whose lines
    together take more than 8 times as much; with on_oversize="skip" the event is left out, as by
    `rewrite`. ValueError for bytes that are compressed. TypeError or ValueError for an argument of
    the wrong kind. Cost: linear; what is held is the event that is not yet whole.
    """
    source = iter_chunks(chunks, "whole_events", "awhole_events")
    owned = None if source is chunks else chunks
    return Relayed(source, _Blocks(None, decoder, "", response), source, owned, response)


def awhole_events(
    chunks: AsyncIterable[Chunk], *, decoder: SSEDecoder | None = None, response: Any = None
) -> AsyncRelayed:
    """Iterate over the same bytes of an async iterable, cut where events end.

    Provisional until 0.3.

    chunks:   any async iterable of bytes, bytearray or memoryview, cut anywhere.
    decoder, response: as for `whole_events`, and so is what is raised.

    Returns an async iterator over bytes, and async context manager.
    """
    source = aiter_chunks(chunks, "awhole_events", "whole_events")
    owned = None if source is chunks else chunks
    return AsyncRelayed(source, _Blocks(None, decoder, "", response), source, owned, response)


def rewrite(
    chunks: Iterable[Chunk],
    edit: Edit,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    response: Any = None,
) -> Relayed:
    """Iterate over an event stream in which each event is what a function makes of it.

    Provisional until 0.3.

    chunks:   any iterable of bytes, bytearray or memoryview, cut anywhere.
    edit:     a plain function of a ServerSentEvent. It returns an event, such as
              `event._replace(data=...)`; None to leave it out; or several, in a list. The `id` of
              each is what the reader resumes from after it: an event made without one makes it
              forget that. What it raises passes through, after the events before.
    decoder:  an SSEDecoder, for options of one's own; None: one with the default options, and a
              response of another Content-Type than text/event-stream passes as it is.
    last_event_id: what the reader at the far end resumes from, a str: the `Last-Event-ID` of its
              request; "" for none. With a decoder it is the decoder's.
    response: what is closed together with `chunks`; None for nothing.

    Returns an iterator over bytes, and context manager; each chunk ends where an event does. A
    block whose event comes back equal passes as the bytes it came in. So do comments between two
    events, and blocks without data: at once. Of an event that was changed, the comments of its
    block and its lines without effect pass on; of one that was left out also `id` and `retry`. The
    reader at the far end sees, the ID that it resumes from included, what it would have seen
    without this, but for the edit. At an error of `chunks`, and at the end, an unfinished event is
    treated as by `whole_events`; an edited one goes out unfinished, too (of several, the last).

    Raises EventTooLargeError as `whole_events` does; with on_oversize="skip" such an event is left
    out. ValueError for bytes that are compressed, and for an event that could not arrive as it is;
    TypeError or ValueError for an argument of the wrong kind. Cost: linear; what is held is the
    event that is not yet whole.
    """
    _check_edit(edit)
    source = iter_chunks(chunks, "rewrite", "arewrite")
    owned = None if source is chunks else chunks
    machine = _Blocks(edit, decoder, last_event_id, response)
    return Relayed(source, machine, source, owned, response)


def arewrite(
    chunks: AsyncIterable[Chunk],
    edit: Edit,
    *,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    response: Any = None,
) -> AsyncRelayed:
    """Iterate over an event stream of an async iterable, each event as a function makes it.

    Provisional until 0.3.

    chunks:   any async iterable of bytes, bytearray or memoryview, cut anywhere.
    edit:     a plain function, as for `rewrite`.
    decoder, last_event_id, response: as for `rewrite`, and so is what is raised.

    Returns an async iterator over bytes, and async context manager.
    """
    _check_edit(edit)
    source = aiter_chunks(chunks, "arewrite", "rewrite")
    owned = None if source is chunks else chunks
    machine = _Blocks(edit, decoder, last_event_id, response)
    return AsyncRelayed(source, machine, source, owned, response)


def _check_edit(edit: Any) -> None:
    if not callable(edit):
        raise TypeError(f"edit must be a function of an event, not {type_name(edit)}")
    refuse_coroutine_function("edit", edit)


# What the bytes are.


# How a plain event stream begins, as a rule; compressed bytes do not.
_FIRST_WORDS = (BOM, b":", b"data", b"event", b"id", b"retry")


def _may_become(start: bytes, *beginnings: bytes) -> bool:
    """Return whether the bytes so far are too few to tell that they are none of these."""
    return any(len(start) < len(one) and one.startswith(start) for one in beginnings)


def _compression_error(start: bytes) -> ValueError | None:
    """Return what is to be said of bytes that begin as compressed ones do, or None."""
    for magic, coding in _MAGICS.items():
        if start.startswith(magic):
            hint = "pass them decoded to see the events in them"
            return ValueError(f"the bytes are compressed ({coding}); {hint}")
    return None


def _may_be_event_stream(response: Any) -> bool:
    headers: Any = getattr(response, "headers", {})
    content_type: str | None = headers.get("Content-Type")
    return content_type is None or media_type(content_type) == "text/event-stream"
