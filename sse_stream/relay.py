# SPDX-License-Identifier: MIT
"""Pass bytes on untouched, and read the events in them: for proxies. Provisional until 0.2.

A chunk is handed on, and decoded when the next is asked for. Cost: the decoder's.
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

    OnEvent = Callable[[ServerSentEvent], object]
    OnEnd = Callable[["TeeOutcome"], object]
    State = Literal["complete", "truncated", "closed", "failed"]

__all__ = ["AsyncTee", "Tee", "TeeOutcome", "atee", "tee"]

_Chunk = TypeVar("_Chunk", bound="Chunk")


class TeeOutcome(NamedTuple):
    """How a stream ended, and what came before.

    state: "complete"; "truncated": ended inside an event, or after a fault of the decoder; "closed": the consumer left;
        "failed": `chunks` raised.
    error: what `chunks` raised, else the first fault of the decoder or `on_event`.
    bytes, events: how many were handed on, decoded.
    last_event_id: the ID to resume from.
    """

    state: State
    error: Exception | None
    bytes: int
    events: int
    last_event_id: str


class _Observer:
    _untold: Any = ()

    def __init__(
        self, chunks: Any, on_event: Any, on_end: Any, decoder: SSEDecoder | None, response: Any
    ) -> None:
        from inspect import iscoroutinefunction  # slow to import

        for name, observer in (("on_event", on_event), ("on_end", on_end)):
            if observer is not None and (not callable(observer) or iscoroutinefunction(observer)):
                raise TypeError(f"{name} must be a plain function or None")
        if decoder is not None and not isinstance(decoder, SSEDecoder):
            raise TypeError(f"decoder must be an SSEDecoder, not {_name(decoder)}")
        self._reading = decoder is not None or _may_be_event_stream(response)
        self._decoder = decoder or SSEDecoder()
        self._decoder.feed(b"")  # a ValueError if it is closed
        self._chunks = chunks
        self._response_to_close = response
        self._on_event = on_event
        self._on_end = on_end
        self._chunk = b""  # handed on, not decoded
        self._bytes = self._count = 0
        self._fault: Exception | None = None
        self._untold = [True]  # `pop` is atomic

    def _hand_on(self, chunk: Chunk) -> None:
        self._chunk = _as_bytes(chunk)  # a copy, if it is a buffer
        self._bytes += len(self._chunk)

    def _observe(self) -> None:
        chunk, self._chunk = self._chunk, b""
        if chunk and self._reading:
            self._report(lambda: self._decoder.feed(chunk))

    def _report(self, decode: Callable[[], list[ServerSentEvent]]) -> None:
        try:
            events = decode()
        except IncompleteEventError as error:  # no fault of the reading
            events = []
            self._fault = error
        except Exception as error:
            events = self._decoder._salvage()
            self._reading = False
            self._log("the reading of events stopped", error)
        for event in events:
            self._count += 1
            if self._on_event is not None:
                try:
                    self._on_event(event)
                except Exception as error:
                    self._on_event = None
                    self._log("on_event raised, and is called no more", error)

    def _end(self, state: State, error: BaseException | None = None) -> None:
        if not isinstance(error, Exception | None):  # cancelled or interrupted
            state, error = "closed", None
        try:
            self._untold.pop()
        except IndexError:
            return
        try:
            self._observe()
            if state == "complete":
                if self._reading:
                    self._report(self._decoder.close)
                if self._decoder.incomplete or (self._fault is not None and not self._reading):
                    state = "truncated"
        finally:
            on_end, self._on_end, self._on_event = self._on_end, None, None
            if on_end is not None:
                try:
                    on_end(
                        TeeOutcome(
                            state,
                            error or self._fault,
                            self._bytes,
                            self._count,
                            self._decoder.last_event_id,
                        )
                    )
                except Exception as fault:
                    self._log("on_end raised", fault)

    def _log(self, message: str, error: Exception) -> None:
        from logging import getLogger  # slow to import

        self._fault = self._fault or error
        getLogger(__name__).error("tee: %s", message, exc_info=error)

    def __del__(self) -> None:
        if self._untold:
            self._end("closed")


class Tee(_Observer, _Owner, _Closing, Generic[_Chunk]):
    """What `tee` returns: an iterator over the chunks, and a context manager."""

    def __next__(self) -> _Chunk:
        self._observe()
        if not self._untold:
            raise StopIteration
        try:
            chunk: _Chunk = next(self._chunks)
            if self._untold:  # else another thread has closed it
                self._hand_on(chunk)
                return chunk
        except StopIteration:
            self._end("complete")
        except BaseException as error:
            self._end("failed", error)
            try:
                self._release()
            except Exception:
                pass
            raise
        self._release()
        raise StopIteration

    def close(self) -> None:
        """Release the iterator and the response; unless it has ended, the outcome is "closed"."""
        try:
            self._end("closed")
        finally:
            self._release()


class AsyncTee(_Observer, _AsyncOwner, _AsyncClosing, Generic[_Chunk]):
    """What `atee` returns: an async iterator over the chunks, and an async context manager."""

    _waiting = False

    async def __anext__(self) -> _Chunk:
        if self._waiting:
            raise RuntimeError("two tasks wait for this tee at once")
        self._observe()
        if not self._untold:
            raise StopAsyncIteration
        self._waiting = True
        try:
            chunk: _Chunk = await self._chunks.__anext__()
            if self._untold:  # else another task has closed it
                self._hand_on(chunk)
                return chunk
        except StopAsyncIteration:
            self._end("complete")
        except GeneratorExit:  # nothing can be awaited
            self._end("closed")
            raise
        except BaseException as error:
            self._end("failed", error)
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
        """Release the iterator and the response; unless it has ended, the outcome is "closed"."""
        try:
            self._end("closed")
        finally:
            await self._release()

    def _abandon(self) -> None:
        self._end("closed")


def tee(
    chunks: Iterable[_Chunk],
    *,
    on_event: OnEvent | None = None,
    on_end: OnEnd | None = None,
    decoder: SSEDecoder | None = None,
    response: Any = None,
) -> Tee[_Chunk]:
    """Iterate over the chunks themselves, and report the events in them.

    chunks, decoder, response: as EventStream takes them. Without a decoder, a response of another Content-Type than
        text/event-stream is not decoded.
    on_event: called with each event after its bytes were handed on, before the next chunk is read.
    on_end: called with the TeeOutcome, exactly once; if the tee is dropped, when it is collected.

    An observer or decoder that raises is logged, and called no more.
    """
    return Tee(_iterator(chunks, "tee", "atee"), on_event, on_end, decoder, response)


def atee(
    chunks: AsyncIterable[_Chunk],
    *,
    on_event: OnEvent | None = None,
    on_end: OnEnd | None = None,
    decoder: SSEDecoder | None = None,
    response: Any = None,
) -> AsyncTee[_Chunk]:
    """`tee` for an async iterable; the observers are plain functions. Dropped without `aclose`, it releases nothing."""
    return AsyncTee(_async_iterator(chunks, "atee", "tee"), on_event, on_end, decoder, response)


def _may_be_event_stream(response: Any) -> bool:
    headers: Any = getattr(response, "headers", {})
    content_type: str | None = headers.get("Content-Type")
    return (
        content_type is None
        or content_type.partition(";")[0].strip(" \t").lower() == "text/event-stream"
    )
