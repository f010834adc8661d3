# SPDX-License-Identifier: MIT
"""Pass bytes on untouched, and read the events in them: for proxies.

A chunk is handed on, and decoded when the next is asked for. Cost: the decoder's.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from .decoder import IncompleteEventError, as_bytes
from .handshake import media_type
from .streams import (
    AsyncReader,
    DoneMark,
    Reader,
    Reading,
    aiter_chunks,
    check_decoder,
    iter_chunks,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Collection, Iterable
    from typing import Any, Literal, Union

    from .decoder import Chunk, ServerSentEvent, SSEDecoder

    OnEvent = Callable[[ServerSentEvent], object]
    OnEnd = Callable[["TeeOutcome"], object]
    Mark = Union[str, OnEvent, Collection[Union[str, OnEvent]], None]
    State = Literal["complete", "truncated", "closed", "failed"]

__all__ = ["AsyncTee", "Tee", "TeeOutcome", "atee", "tee"]

_Chunk = TypeVar("_Chunk", bound="Chunk")

# How compressed bytes begin. Brotli has no such mark.
_MAGICS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x01": "deflate",
    b"\x78\x9c": "deflate",
    b"\x78\xda": "deflate",
}


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

    def __init__(self, on_event: Any, on_end: Any, decoder: Any, response: Any, done: Any) -> None:
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
        self._start: bytes | None = (
            b""  # of the bytes, as long as it may be that of compressed ones
        )
        self._is_compressed = False
        self._bytes = self._count = 0
        self._fault: Exception | None = None
        self._fault_counts: dict[str, int] = {}  # of the observers, by name
        self._is_told = False  # the outcome

    @property
    def last_event_id(self) -> str:
        return self._decoder.last_event_id

    def feed(self, chunk: Chunk) -> list[Chunk]:
        self._chunk = as_bytes(chunk)  # a copy, if it is a buffer
        self._bytes += len(self._chunk)
        return [chunk]

    def close(self) -> list[Chunk]:
        return []

    def observe(self) -> None:
        """Decode the chunk that was handed on last."""
        chunk, self._chunk = self._chunk, b""
        if not chunk or not self._is_decoding:
            return
        if self._start is not None:
            chunk = self._start + chunk
            self._start = chunk
            if any(magic.startswith(chunk) and magic != chunk for magic in _MAGICS):
                return  # too short to tell
            self._start = None
            if self._notices_compression(chunk):
                return
        self._report(lambda: self._decoder.feed(chunk))

    def _notices_compression(self, start: bytes) -> bool:
        for magic, coding in _MAGICS.items():
            if start.startswith(magic):
                self._is_decoding, self._is_compressed = False, True
                hint = "pass them decoded to see the events in them"
                error = ValueError(f"the bytes are compressed ({coding}); {hint}")
                self._log("no events are read", error)
                return True
        return False

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
        if self._is_told:
            return
        self._is_told = True
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


class _Tee(Reading[_Chunk], Generic[_Chunk]):
    __slots__ = ()

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

    def __next__(self) -> _Chunk:
        self.machine.observe()
        return super().__next__()


class AsyncTee(_Tee[_Chunk], AsyncReader[_Chunk], Generic[_Chunk]):
    """What `atee` returns: an async iterator over the chunks, and an async context manager."""

    __slots__ = ()

    async def __anext__(self) -> _Chunk:
        self.machine.observe()
        return await super().__anext__()


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
    return Tee(source, observer, source, owned, response)


def atee(
    chunks: AsyncIterable[_Chunk],
    *,
    on_event: OnEvent | None = None,
    on_end: OnEnd | None = None,
    decoder: SSEDecoder | None = None,
    response: Any = None,
    done: Mark = None,
) -> AsyncTee[_Chunk]:
    """Iterate over the chunks of an async iterable, and report the events in them.

    chunks:   any async iterable of bytes, bytearray or memoryview.
    on_event, on_end: plain functions, as for `tee`.
    decoder, response, done: as for `tee`.

    Returns an async iterator and async context manager. Dropped without `aclose`, it releases
    nothing.
    """
    observer = _Observer(on_event, on_end, decoder, response, done)
    source = aiter_chunks(chunks, "atee", "tee")
    owned = None if source is chunks else chunks
    return AsyncTee(source, observer, source, owned, response)


def _may_be_event_stream(response: Any) -> bool:
    headers: Any = getattr(response, "headers", {})
    content_type: str | None = headers.get("Content-Type")
    return content_type is None or media_type(content_type) == "text/event-stream"
