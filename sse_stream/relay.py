# SPDX-License-Identifier: MIT
"""Pass bytes on untouched, and read the events in them: for proxies.

A chunk is handed on, and decoded when the next is asked for. Cost: the decoder's.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from .decoder import IncompleteEventError, as_bytes
from .handshake import media_type
from .streams import AsyncReader, Reader, Reading, aiter_chunks, check_decoder, iter_chunks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable
    from typing import Any, Literal

    from .decoder import Chunk, ServerSentEvent, SSEDecoder

    OnEvent = Callable[[ServerSentEvent], object]
    OnEnd = Callable[["TeeOutcome"], object]
    State = Literal["complete", "truncated", "closed", "failed"]

__all__ = ["AsyncTee", "Tee", "TeeOutcome", "atee", "tee"]

_Chunk = TypeVar("_Chunk", bound="Chunk")


class TeeOutcome(NamedTuple):
    """How a stream ended, and what came before.

    state:         "complete"; "truncated": it ended inside an event, or after a fault of the
                   decoder; "closed": the consumer left; "failed": `chunks` raised.
    error:         what `chunks` raised, else the first fault of the decoder or of `on_event`; None
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

    def __init__(self, on_event: Any, on_end: Any, decoder: Any, response: Any) -> None:
        from inspect import iscoroutinefunction  # slow to import

        for name, observer in (("on_event", on_event), ("on_end", on_end)):
            if observer is not None and (not callable(observer) or iscoroutinefunction(observer)):
                raise TypeError(f"{name} must be a plain function or None")
        self._is_decoding = decoder is not None or _may_be_event_stream(response)
        self._decoder = check_decoder(decoder)
        self._on_event = on_event
        self._on_end = on_end
        self._chunk = b""  # handed on, not decoded
        self._bytes = self._count = 0
        self._fault: Exception | None = None
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
        if chunk and self._is_decoding:
            self._report(lambda: self._decoder.feed(chunk))

    def _report(self, decode: Callable[[], list[ServerSentEvent]]) -> None:
        try:
            events = decode()
        except IncompleteEventError as error:  # no fault of the decoding
            events = []
            self._fault = error
        except Exception as error:
            events = self._completed_before()
            self._is_decoding = False
            self._log("the reading of events stopped", error)
        for event in events:
            self._count += 1
            if self._on_event is not None:
                try:
                    self._on_event(event)
                except Exception as error:
                    self._on_event = None
                    self._log("on_event raised, and is called no more", error)

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
            self.observe()
            if state == "complete":
                if self._is_decoding:
                    self._report(self._decoder.close)
                if self._decoder.incomplete or (self._fault and not self._is_decoding):
                    state = "truncated"
        finally:
            on_end, self._on_end, self._on_event = self._on_end, None, None
            if on_end is not None:
                last_event_id = self._decoder.last_event_id
                counts = self._bytes, self._count
                try:
                    on_end(TeeOutcome(state, error or self._fault, *counts, last_event_id))
                except Exception as fault:
                    self._log("on_end raised", fault)

    def _log(self, message: str, error: Exception) -> None:
        from logging import getLogger  # slow to import

        self._fault = self._fault or error
        getLogger(__name__).error("tee: %s", message, exc_info=error)


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
) -> Tee[_Chunk]:
    """Iterate over the chunks themselves, and report the events in them.

    chunks:   any iterable of bytes, bytearray or memoryview, cut anywhere.
    on_event: a function of an event, called after its bytes were handed on, before the next chunk
              is read; None, the default: nobody is told.
    on_end:   a function of the TeeOutcome, called exactly once; if the tee is dropped, when it is
              collected.
    decoder:  an SSEDecoder, for options of one's own; None: without one, a response of another
              Content-Type than text/event-stream is not decoded.
    response: what is closed together with `chunks`; None for nothing.

    Returns an iterator and context manager. What `chunks` raises passes through. An observer or
    decoder that raises is logged, and called no more: it never disturbs the bytes. TypeError or
    ValueError for an argument of the wrong kind.
    """
    observer = _Observer(on_event, on_end, decoder, response)
    source = iter_chunks(chunks, "tee", "atee")
    return Tee(source, observer, source, response)


def atee(
    chunks: AsyncIterable[_Chunk],
    *,
    on_event: OnEvent | None = None,
    on_end: OnEnd | None = None,
    decoder: SSEDecoder | None = None,
    response: Any = None,
) -> AsyncTee[_Chunk]:
    """Iterate over the chunks of an async iterable, and report the events in them.

    chunks:   any async iterable of bytes, bytearray or memoryview.
    on_event, on_end: plain functions, as for `tee`.
    decoder, response: as for `tee`.

    Returns an async iterator and async context manager. Dropped without `aclose`, it releases
    nothing.
    """
    observer = _Observer(on_event, on_end, decoder, response)
    source = aiter_chunks(chunks, "atee", "tee")
    return AsyncTee(source, observer, source, response)


def _may_be_event_stream(response: Any) -> bool:
    headers: Any = getattr(response, "headers", {})
    content_type: str | None = headers.get("Content-Type")
    return content_type is None or media_type(content_type) == "text/event-stream"
