# SPDX-License-Identifier: MIT
"""Pass the bytes on untouched, and read the events beside them: for proxies that account for what goes by.

Provisional until 0.2.

    body = atee(response.aiter_bytes(), on_event=count, on_end=record, response=response)

Strategy: a chunk is handed on first and decoded when the next one is asked for, before anything is waited for: whoever sends
the bytes on never waits for whoever reads the events, and each event is reported before the next silence. What goes wrong in
the reading stops the reading alone, and is logged.

Cost: that of the decoder. Held are one chunk, copied if it is no `bytes`, and what the decoder holds of an unfinished event.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from .decoder import IncompleteEventError, SSEDecoder, _as_bytes
from .streams import _async_iterator, _AsyncClosing, _AsyncOwner, _Closing, _iterator, _name, _Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable
    from typing import Any, Literal

    from .decoder import Chunk, ServerSentEvent

__all__ = ["AsyncTee", "Tee", "TeeOutcome", "atee", "tee"]

_Chunk = TypeVar("_Chunk", bound="Chunk")


class TeeOutcome(NamedTuple):
    """How a stream ended, and what went by until then.

    state: "complete": it came to its end, outside an event. "truncated": it ended inside an event, or the decoder had failed
           before, so that nobody knows. "closed": the consumer left. "failed": `chunks` raised.
    error: "failed": what was raised. Otherwise what first went wrong beside the bytes, in the decoder or `on_event`, or None.
    bytes: how many were handed on.
    events: how many were decoded from them; after a failure of the decoder, none.
    last_event_id: the ID to resume from after the bytes handed on.
    """

    state: Literal["complete", "truncated", "closed", "failed"]
    error: Exception | None
    bytes: int
    events: int
    last_event_id: str


class _Observer:
    """What both tees share: the reading of what was handed on."""

    __slots__ = (
        "__weakref__",
        "_bytes",
        "_chunk",
        "_chunks",
        "_count",
        "_decoder",
        "_ended",
        "_fault",
        "_on_end",
        "_on_event",
        "_reading",
        "_response_to_close",
        "_untold",
    )

    def __init__(
        self,
        on_event: Callable[[ServerSentEvent], object] | None,
        on_end: Callable[[TeeOutcome], object] | None,
        decoder: SSEDecoder | None,
        response: Any,
    ) -> None:
        for name, observer in (("on_event", on_event), ("on_end", on_end)):
            _refuse_observer(name, observer)
        if decoder is None:
            self._reading = _may_be_event_stream(response)
            decoder = SSEDecoder()
        elif isinstance(decoder, SSEDecoder):
            self._reading = True
        else:
            raise TypeError(f"decoder must be an SSEDecoder, such as SSEDecoder(), not {_name(decoder)}")
        decoder.feed(b"")  # a ValueError if it is closed
        self._decoder = decoder
        self._on_event = on_event
        self._on_end = on_end
        self._response_to_close = response
        self._chunk = b""  # handed on, and not decoded yet
        self._bytes = self._count = 0
        self._fault: Exception | None = None
        self._ended = False
        self._untold = [True]

    def _hand_on(self, chunk: Chunk) -> None:
        self._chunk = _as_bytes(chunk)  # a buffer may be filled again before it is decoded
        self._bytes += len(self._chunk)

    def _observe(self) -> None:
        """Decode the chunk that was handed on, and report its events."""
        chunk, self._chunk = self._chunk, b""
        if chunk and self._reading:
            self._report(lambda: self._decoder.feed(chunk))

    def _report(self, decode: Callable[[], list[ServerSentEvent]]) -> None:
        try:
            events = decode()
        except IncompleteEventError as error:  # of the decoder's close: how the stream ended, and no fault of the reading
            events = []
            self._fault = error
        except Exception as error:
            events = self._decoder._salvage()
            self._reading = False
            self._log("the reading of events stopped; the bytes go on", error)
        for event in events:
            self._count += 1
            if self._on_event is not None:
                try:
                    self._on_event(event)
                except Exception as error:
                    self._on_event = None
                    self._log("on_event raised, and is called no more; the bytes go on", error)

    def _end(self, state: Literal["complete", "closed", "failed"], error: Exception | None = None) -> None:
        """Tell the outcome, once."""
        try:
            self._untold.pop()  # atomic: two threads may end this at once
        except IndexError:
            return
        self._ended = True
        cut_off = False
        try:
            self._observe()
            cut_off = state == "complete" and self._is_cut_off()
        finally:
            self._tell("truncated" if cut_off else state, error)

    def _tell(self, state: Literal["complete", "truncated", "closed", "failed"], error: Exception | None) -> None:
        on_end, self._on_end, self._on_event = self._on_end, None, None
        if on_end is not None:
            outcome = TeeOutcome(state, error or self._fault, self._bytes, self._count, self._decoder.last_event_id)
            try:
                on_end(outcome)
            except Exception as fault:
                self._log("on_end raised", fault)

    def _end_by(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._end("failed", error)
        else:
            self._end("closed")  # cancelled or interrupted

    def _is_cut_off(self) -> bool:
        if self._reading:
            self._report(self._decoder.close)
        stopped = not self._reading and self._fault is not None
        return stopped or self._decoder.incomplete

    def _log(self, message: str, error: Exception) -> None:
        from logging import getLogger  # here, not above: only faults need it

        self._fault = self._fault or error
        getLogger(__name__).error("tee: %s", message, exc_info=error)

    def __del__(self) -> None:
        if not getattr(self, "_ended", True):  # without it, if it was refused when it was made
            self._end("closed")


class Tee(_Observer, _Owner, _Closing, Generic[_Chunk]):
    """What `tee` returns: an iterator over the chunks, and a context manager that closes it."""

    __slots__ = ()

    def __init__(
        self,
        chunks: Iterable[_Chunk],
        on_event: Callable[[ServerSentEvent], object] | None,
        on_end: Callable[[TeeOutcome], object] | None,
        decoder: SSEDecoder | None,
        response: Any,
    ) -> None:
        iterator = _iterator(chunks, "tee", "atee")
        super().__init__(on_event, on_end, decoder, response)
        self._chunks = iterator

    def __next__(self) -> _Chunk:
        self._observe()
        if self._ended:
            raise StopIteration
        try:
            chunk: _Chunk = next(self._chunks)
            if not self._ended:  # by another thread
                self._hand_on(chunk)
                return chunk
        except StopIteration:
            self._end("complete")
        except BaseException as error:
            self._end_by(error)
            try:
                self._release()
            except Exception:
                pass
            raise
        self._release()
        raise StopIteration

    def close(self) -> None:
        """Release the iterator and the response; the outcome is "closed", unless the end came before."""
        try:
            self._end("closed")
        finally:
            self._release()


class AsyncTee(_Observer, _AsyncOwner, _AsyncClosing, Generic[_Chunk]):
    """What `atee` returns: an async iterator over the chunks, and an async context manager that closes it."""

    __slots__ = ("_waiting",)

    def __init__(
        self,
        chunks: AsyncIterable[_Chunk],
        on_event: Callable[[ServerSentEvent], object] | None,
        on_end: Callable[[TeeOutcome], object] | None,
        decoder: SSEDecoder | None,
        response: Any,
    ) -> None:
        iterator = _async_iterator(chunks, "atee", "tee")
        super().__init__(on_event, on_end, decoder, response)
        self._chunks = iterator
        self._waiting = False

    async def __anext__(self) -> _Chunk:
        if self._waiting:
            raise RuntimeError("two tasks wait for this tee at once; let one read and pass the chunks on")
        self._observe()
        if self._ended:
            raise StopAsyncIteration
        self._waiting = True
        try:
            chunk: _Chunk = await self._chunks.__anext__()
            if not self._ended:  # by another task
                self._hand_on(chunk)
                return chunk
        except StopAsyncIteration:
            self._end("complete")
        except GeneratorExit:
            self._end("closed")  # the coroutine was closed or collected: nothing can be awaited
            raise
        except BaseException as error:
            self._end_by(error)
            try:
                await self._release()
            except Exception:
                pass
            raise
        finally:
            self._waiting = False
        await self._release()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Release the iterator and the response; the outcome is "closed", unless the end came before."""
        try:
            self._end("closed")
        finally:
            await self._release()

    def _abandon(self) -> None:
        self._end("closed")


def tee(
    chunks: Iterable[_Chunk],
    *,
    on_event: Callable[[ServerSentEvent], object] | None = None,
    on_end: Callable[[TeeOutcome], object] | None = None,
    decoder: SSEDecoder | None = None,
    response: Any = None,
) -> Tee[_Chunk]:
    """Iterate over the chunks themselves, and report the events in them.

    chunks:   any iterable of bytes, bytearray or memoryview. Its exceptions pass through.
    on_event: called with each event after its bytes were handed on, before the next chunk is waited for.
    on_end:   called exactly once with the TeeOutcome: at the end or failure of `chunks`, on close, or when the tee is
              collected, which may be in any thread.
    decoder:  an SSEDecoder with options of one's own.
    response: what to close together with `chunks`. If its Content-Type is another than text/event-stream, and no decoder is
              given, nothing is decoded: such a body is complete when it ends.

    The tee owns `chunks` and `response`, and closes them as EventStream does. What `on_event`, `on_end` and the decoder
    raise is logged and never passed on; after it, the one that raised is left alone. TypeError for what is no iterable of
    bytes and for observers that would have to be awaited, ValueError for a closed decoder.
    """
    return Tee(chunks, on_event, on_end, decoder, response)


def atee(
    chunks: AsyncIterable[_Chunk],
    *,
    on_event: Callable[[ServerSentEvent], object] | None = None,
    on_end: Callable[[TeeOutcome], object] | None = None,
    decoder: SSEDecoder | None = None,
    response: Any = None,
) -> AsyncTee[_Chunk]:
    """As `tee`, for an async iterable; `on_event` and `on_end` are plain functions here, too.

    A cancelled wait for a chunk is a consumer that left. Collected without `aclose`, the tee tells its outcome, but cannot
    await the release of `chunks` and `response`: leave it by `async with`.
    """
    return AsyncTee(chunks, on_event, on_end, decoder, response)


def _refuse_observer(name: str, observer: Any) -> None:
    from inspect import iscoroutinefunction  # heavy, and loaded by any asyncio program

    if observer is not None and (not callable(observer) or iscoroutinefunction(observer)):
        raise TypeError(f"{name} must be a plain function or None: it is called between two chunks, and never awaited")


def _may_be_event_stream(response: Any) -> bool:
    """Return False if the response says that its body is something else."""
    headers = getattr(response, "headers", None)
    content_type: str | None = None if headers is None else headers.get("Content-Type")
    return content_type is None or content_type.partition(";")[0].strip(" \t").lower() == "text/event-stream"
