# SPDX-License-Identifier: MIT
"""Read what LLM services put into events: JSON, a mark at the end, errors. Provisional until 0.2.

    with connect(httpx, "POST", url, json=request) as stream:
        for payload in iter_payloads(stream, require_done=True):
            print(payload["choices"])

PayloadError: data is not JSON; ServiceError: the service sent an error; IncompleteEventError: the stream ends too early.
"""

from __future__ import annotations

import json

from .decoder import IncompleteEventError, ServerSentEvent, SSEError
from .streams import (
    AsyncEventStream,
    EventStream,
    _aclose,
    _AsyncClosing,
    _AsyncOwner,
    _Closing,
    _name,
    _Owner,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable
    from typing import Any

    Mark = str | Callable[[ServerSentEvent], object] | None
    IsError = Callable[[ServerSentEvent, Any], object]

__all__ = [
    "AsyncPayloads",
    "PayloadError",
    "Payloads",
    "ServiceError",
    "aiter_payloads",
    "is_service_error",
    "iter_payloads",
]

_END: Any = object()
_ERRORS = ("error", "response.failed")
_SHOWN = 200  # characters


class PayloadError(SSEError):
    """The data of an event is not JSON.

    event:  the event, whole.
    number: its number in the stream, from 1.
    reason: what `loads` said, whose exception is the `__cause__`.
    """

    def __init__(self, event: ServerSentEvent, number: int, reason: str) -> None:
        super().__init__(f"event {number} is not JSON ({_shown(reason)}): {_shown(event.data)}")
        self.event = event
        self.number = number
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, self.number, self.reason)


class ServiceError(SSEError):
    """The service reported an error within the stream.

    event:   the event, whole.
    payload: its parsed data, or the data itself, if not JSON.
    message: the error's, a str, else the data.
    """

    def __init__(self, event: ServerSentEvent, payload: Any) -> None:
        self.event = event
        self.payload = payload
        self.message: str = _find_message(payload) or event.data
        text, data = _shown(self.message) or "no message", _shown(event.data)
        super().__init__(
            f"the service sent an error: {text}"
            + (f"; data: {data}" if data not in ("", text) else "")
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, self.payload)


def is_service_error(event: ServerSentEvent, payload: Any) -> bool:
    """Whether the event's type or the payload's "type" is "error" or "response.failed", or the payload's "error" truthy."""
    return (
        event.event in _ERRORS or _get(payload, "type") in _ERRORS or bool(_get(payload, "error"))
    )


def iter_payloads(
    events: Iterable[ServerSentEvent],
    *,
    done: Mark = "[DONE]",
    require_done: bool = False,
    is_error: IsError | None = is_service_error,
    loads: Callable[[str], Any] | None = None,
) -> Payloads:
    """Iterate over the parsed JSON of each event; one with empty data is passed over.

    events: an EventStream, or any iterable of events; closed at the mark, the end, an error, and with the iterator.
    done: the data that marks the end; or a predicate on the event, whose payload is still yielded; or None.
    require_done: raise IncompleteEventError if the events end before the mark; its `.event` is what the end cut off.
    is_error: whether to raise ServiceError for an event and its payload; None: never. Data of an "error" event that is not
        JSON is the payload itself.
    loads: parses the data, a str; by default `json.loads`.
    """
    _refuse_other_than_events(events, "iter_payloads", "__iter__", "aiter_payloads")
    return Payloads(events, iter(events), done, require_done, is_error, loads)


def aiter_payloads(
    events: AsyncIterable[ServerSentEvent],
    *,
    done: Mark = "[DONE]",
    require_done: bool = False,
    is_error: IsError | None = is_service_error,
    loads: Callable[[str], Any] | None = None,
) -> AsyncPayloads:
    """`iter_payloads` for an AsyncEventStream or other async iterable."""
    _refuse_other_than_events(events, "aiter_payloads", "__aiter__", "iter_payloads")
    return AsyncPayloads(events, aiter(events), done, require_done, is_error, loads)


class _Reader:
    def __init__(
        self, events: Any, iterator: Any, done: Any, require_done: bool, is_error: Any, loads: Any
    ) -> None:
        if done is not None and not isinstance(done, str) and not callable(done):
            raise TypeError(f"done must be a str, a function or None, not {_name(done)}")
        if isinstance(done, str):
            done = done.strip()
        if done == "":
            raise ValueError("done must not be empty; pass None for no mark")
        if require_done and done is None:
            raise ValueError("require_done=True needs a mark: pass done")
        if is_error is not None and not callable(is_error):
            raise TypeError(f"is_error must be a function or None, not {_name(is_error)}")
        if loads is not None and not callable(loads):
            raise TypeError(f"loads must be a function, not {_name(loads)}")
        self._events = events
        self._chunks = iterator
        self._response_to_close = None if iterator is events else events
        self._done = done
        self._require_done = require_done
        self._is_error = is_error
        self._loads = loads or json.loads
        self._number = 0
        self._held: list[Any] = []  # the next payload
        self._ended = False

    def _take(self, event: ServerSentEvent) -> None:
        if self._ended:  # closed while another task waited
            return
        if event is _END:
            self._ended = True
            if self._require_done:
                raise IncompleteEventError(None, "the stream ended before its mark")
            return
        self._number += 1
        data = getattr(event, "data", None)
        if not isinstance(data, str):
            raise TypeError(
                f"payloads are those of events, such as an EventStream has, not of {_name(event)}"
            )
        done = self._done
        if data.strip() == done:
            self._ended = True
            return
        if callable(done) and done(event):
            self._ended = True
        if data or event.event == "error":
            self._parse(event)

    def _parse(self, event: ServerSentEvent) -> None:
        is_error = self._is_error
        try:
            payload = self._loads(event.data)
        except Exception as error:
            if event.event == "error" and is_error is not None and is_error(event, event.data):
                raise ServiceError(event, event.data) from None
            if event.data:
                raise self._refusal(event, str(error) or _name(error)) from error
        else:
            if is_error is not None and is_error(event, payload):
                raise ServiceError(event, payload)
            self._held.append(payload)

    def _refusal(self, event: ServerSentEvent, reason: str) -> SSEError:
        events = self._events
        # An EventStream dispatches only the unfinished event at its end.
        if (
            isinstance(events, (EventStream, AsyncEventStream))
            and events._state.ended
            and events._state.error is None
        ):
            if self._require_done:
                return IncompleteEventError(event)
            reason += "; the stream ended inside this event"
        return PayloadError(event, self._number, reason)


class Payloads(_Reader, _Owner, _Closing):
    """What `iter_payloads` returns: an iterator and a context manager."""

    def __next__(self) -> Any:
        while not self._held and not self._ended:
            try:
                self._take(next(self._chunks, _END))
            except Exception:
                self._ended = True
                try:
                    self._release()
                except Exception:
                    pass
                raise
            if self._ended:
                self._release()
        if self._held:
            return self._held.pop()
        raise StopIteration

    def close(self) -> None:
        """End the iterator and close the events."""
        self._ended = True
        self._held.clear()
        self._release()


class AsyncPayloads(_Reader, _AsyncOwner, _AsyncClosing):
    """What `aiter_payloads` returns: an async iterator and an async context manager."""

    _waiting = False

    async def __anext__(self) -> Any:
        if self._waiting:
            raise RuntimeError("two tasks wait for these payloads at once")
        while not self._held and not self._ended:
            try:
                self._take(await self._wait())
            except Exception:
                self._ended = True
                try:
                    await self._release()
                except Exception:
                    pass
                raise
            if self._ended:
                await self._release()
        if self._held:
            return self._held.pop()
        raise StopAsyncIteration

    async def _wait(self) -> Any:
        self._waiting = True
        try:
            return await self._chunks.__anext__()
        except StopAsyncIteration:
            return _END
        finally:
            self._waiting = False

    async def aclose(self) -> None:
        """End the iterator and close the events; StopAsyncIteration for a waiting task."""
        self._ended = True
        self._held.clear()
        await self._release()

    async def _release(self) -> None:
        events, self._response_to_close = self._response_to_close, None
        try:
            await super()._release()
        except GeneratorExit:
            events = None  # nothing more can be awaited
            raise
        finally:
            await _aclose(events)


def _get(payload: Any, key: str) -> Any:
    fields = payload
    return fields.get(key) if isinstance(payload, dict) else None


def _find_message(payload: Any) -> str:
    # OpenAI's Responses API has it in "response".
    for error in (_get(payload, "error"), _get(_get(payload, "response"), "error"), payload):
        message = error if isinstance(error, str) else _get(error, "message")
        if message and isinstance(message, str):
            return message
    return ""


def _refuse_other_than_events(events: Any, function: str, side: str, other: str) -> None:
    name, hint = _name(events), ""
    if isinstance(events, (str, bytes, bytearray, memoryview)):
        hint = "; pass EventStream([data])"
    elif isinstance(events, ServerSentEvent):
        hint = "; pass [event]"
    elif hasattr(events, "headers"):
        hint = "; pass what iter_events or aiter_events makes of it"
    elif hasattr(events, side):
        return
    elif hasattr(events, "__iter__") or hasattr(events, "__aiter__"):
        hint = f"; pass this {name} to {other}"
    elif hasattr(events, "__enter__") or hasattr(events, "__aenter__"):
        hint = "; enter it with `with` or `async with` and pass the stream"
    raise TypeError(f"{function} takes an iterable of events, not {name}{hint}")


def _shown(text: str) -> str:
    start = " ".join(text[: 4 * _SHOWN].split())
    start = "".join(c if c.isprintable() else "\ufffd" for c in start)
    return start if len(start) <= _SHOWN and len(text) <= 4 * _SHOWN else start[:_SHOWN] + " ..."
