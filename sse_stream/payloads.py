# SPDX-License-Identifier: MIT
"""Read what LLM services put on top of an event stream: JSON payloads, a mark at the end, errors in the middle.

Provisional until 0.2.

    with connect(httpx, "POST", url, json=request) as stream:
        for payload in iter_payloads(stream, require_done=True):
            print(payload["choices"])

Four things can go wrong, and each is an error of its own: the transport (the client's exception), data that is not JSON
(PayloadError), an error that the service reports within the stream (ServiceError), and a stream that ends too early
(IncompleteEventError).

Strategy: an iterator over an iterator, which parses each event when it is asked for. Cost: that of the events and of `loads`;
nothing is held. The async side is a class with `__anext__`, so that it can be closed and cancelled at any point.
"""

from __future__ import annotations

import json

from .decoder import IncompleteEventError, ServerSentEvent, SSEError
from .streams import AsyncEventStream, EventStream, _aclose, _AsyncClosing, _close, _Closing, _name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable
    from typing import Any, TypeGuard, Union

    Mark = Union[str, Callable[[ServerSentEvent], object], None]
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

_END: Any = object()  # in place of an event: there are no more
_ERRORS = ("error", "response.failed")  # types of events
_SHOWN = 200  # characters of the data, and of a message, in an error's text


class PayloadError(SSEError):
    """The data of an event is not JSON: `loads` refused it. What `loads` raised is the `__cause__`, if not pickled since.

    event:  the event, whole.
    number: which event of the stream it is, counted from 1, with those that were passed over.
    reason: what `loads` said, as a str; for JSON with the position in the data.
    """

    def __init__(self, event: ServerSentEvent, number: int, reason: str) -> None:
        super().__init__(f"event {number} is not JSON ({_shown(reason)}): {_shown(event.data)}")
        self.event = event
        self.number = number
        self.reason = reason

    def __reduce__(self) -> tuple[type[PayloadError], tuple[ServerSentEvent, int, str]]:
        return type(self), (self.event, self.number, self.reason)


class ServiceError(SSEError):
    """The service reported an error within the stream.

    event:   the event, whole.
    payload: its parsed data; the data itself, a str, if it is not JSON.
    message: what the service said, as a str: the error's message where services put it, else the data.
    """

    def __init__(self, event: ServerSentEvent, payload: Any) -> None:
        self.event = event
        self.payload = payload
        self.message: str = _find_message(payload) or event.data
        text = _shown(self.message) or "it did not say which"
        data = _shown(event.data)
        super().__init__(f"the service sent an error: {text}" + (f"; data: {data}" if data != text and data else ""))

    def __reduce__(self) -> tuple[type[ServiceError], tuple[ServerSentEvent, Any]]:
        return type(self), (self.event, self.payload)


def is_service_error(event: ServerSentEvent, payload: Any) -> bool:
    """Whether an event is a service's error: its type is "error", or its payload an object with a truthy "error".

    So is "response.failed", and an object whose "type" is one of the two: some proxies drop the event types.
    """
    if event.event in _ERRORS:
        return True
    return _is_object(payload) and (payload.get("type") in _ERRORS or bool(payload.get("error")))


def iter_payloads(
    events: Iterable[ServerSentEvent],
    *,
    done: Mark = "[DONE]",
    require_done: bool = False,
    is_error: IsError | None = is_service_error,
    loads: Callable[[str], Any] | None = None,
) -> Payloads:
    """Iterate over the parsed JSON of each event; events with empty data are passed over.

    events:       an EventStream, or any other iterable of events. It is owned: its `close`, if it has one, is called at the
                  mark, at the end, at an error, and by `close` of what is returned, which is a context manager, too.
    done:         the data that marks the end, white space round it apart, and yields nothing; or a predicate on the event,
                  whose payload is still yielded; or None.
    require_done: raise IncompleteEventError if the events end before the mark. Its `.event` is the event that the end cut off,
                  if that came to the payloads and is not JSON.
    is_error:     whether an event and its payload are an error, to be raised as ServiceError; None: errors are payloads, as in
                  JSON-RPC. An event of the type "error" is asked about even if its data is not JSON or empty: the payload
                  is the data then.
    loads:        what parses the data, a str; by default `json.loads`. Whatever Exception it raises becomes a PayloadError.

    What `events` raises passes through. Any error ends the iterator; payloads before it have been yielded. TypeError and
    ValueError for arguments that cannot work, TypeError for what is no event.
    """
    _refuse_other_than_events(events, "iter_payloads", "__iter__", "aiter_payloads")
    return Payloads(events, done, require_done, is_error, loads)


def aiter_payloads(
    events: AsyncIterable[ServerSentEvent],
    *,
    done: Mark = "[DONE]",
    require_done: bool = False,
    is_error: IsError | None = is_service_error,
    loads: Callable[[str], Any] | None = None,
) -> AsyncPayloads:
    """As `iter_payloads`, for an AsyncEventStream or any other async iterable of events, with `aclose` for `close`.

    Cancellation is left to `events`: an AsyncEventStream releases what it came from, and has ended.
    """
    _refuse_other_than_events(events, "aiter_payloads", "__aiter__", "iter_payloads")
    return AsyncPayloads(events, done, require_done, is_error, loads)


class _Reader:
    """What both sides share: the options, and what becomes of an event."""

    __slots__ = ("__weakref__", "_done", "_ended", "_events", "_held", "_is_error", "_loads", "_number", "_require_done")

    def __init__(
        self, events: Any, done: Mark, require_done: bool, is_error: IsError | None, loads: Callable[[str], Any] | None
    ) -> None:
        if done is not None and not isinstance(done, str) and not callable(done):
            raise TypeError(f"done must be a str, a function of the event, or None, not {_name(done)}")
        if done == "":
            raise ValueError("done must not be empty: events with empty data are passed over; pass None for no mark")
        if require_done and done is None:
            raise ValueError("require_done=True needs a mark to wait for: pass done")
        if is_error is not None and not callable(is_error):
            raise TypeError(f"is_error must be a function of the event and its payload, or None, not {_name(is_error)}")
        if loads is None:
            loads = json.loads
        if not callable(loads):
            raise TypeError(f"loads must be a function that parses a str, not {_name(loads)}")
        self._events = events  # None once it has been released
        self._done = done.strip() or done if isinstance(done, str) else done
        self._require_done = require_done
        self._is_error = is_error
        self._loads = loads
        self._number = 0
        self._held: list[Any] = []  # the payload to be handed out next
        self._ended = False

    def _take(self, event: ServerSentEvent) -> None:
        """Hold the payload of an event, if it has one, and note the end: the mark, or _END."""
        if self._ended:  # closed while another task waited
            return
        if event is _END:
            self._ended = True
            if self._require_done:
                raise IncompleteEventError(None, "the stream ended before its mark: the server or the connection broke off")
            return
        self._number += 1
        data = getattr(event, "data", None)
        if not isinstance(data, str):
            raise TypeError(f"payloads are read from events, not from {_name(event)}; make events of bytes with EventStream")
        done = self._done
        if isinstance(done, str):
            if data == done or data.strip() == done:
                self._ended = True
                return
        elif done is not None and done(event):
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
                raise self._refusal(event, error) from error
            return
        if is_error is not None and is_error(event, payload):
            raise ServiceError(event, payload)
        self._held.append(payload)

    def _refusal(self, event: ServerSentEvent, error: Exception) -> SSEError:
        """Return the error for data that is not JSON; it is if the stream's end has cut it off, too."""
        if not _is_cut_off(self._events):
            return PayloadError(event, self._number, str(error) or _name(error))
        if self._require_done:
            return IncompleteEventError(event)
        return PayloadError(event, self._number, f"{error}; the stream ended inside this event")


class Payloads(_Reader, _Closing):
    """What iter_payloads returns: an iterator and a context manager."""

    __slots__ = ("_iterator",)

    def __init__(self, events: Any, *options: Any) -> None:
        super().__init__(events, *options)
        self._iterator: Any = iter(events)

    def __next__(self) -> Any:
        while not self._held and not self._ended:
            try:
                self._take(next(self._iterator, _END))
            except Exception:
                self._ended = True
                try:
                    self._release()
                except Exception:  # the first error matters more
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

    def _release(self) -> None:
        events, self._events = self._events, None
        iterator, self._iterator = self._iterator, None
        try:
            if iterator is not events:
                _close(iterator)
        finally:
            _close(events)


class AsyncPayloads(_Reader, _AsyncClosing):
    """What aiter_payloads returns: an async iterator and an async context manager."""

    __slots__ = ("_iterator", "_waiting")

    def __init__(self, events: Any, *options: Any) -> None:
        super().__init__(events, *options)
        self._iterator: Any = aiter(events)
        self._waiting = False

    async def __anext__(self) -> Any:
        if self._waiting:
            raise RuntimeError("two tasks wait for these payloads at once; let one read and pass them on")
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
        """Return the next event, _END after the last."""
        self._waiting = True
        try:
            return await self._iterator.__anext__()
        except StopAsyncIteration:
            return _END
        finally:
            self._waiting = False

    async def aclose(self) -> None:
        """End the iterator and close the events; a task that waits for a payload gets StopAsyncIteration."""
        self._ended = True
        self._held.clear()
        await self._release()

    async def _release(self) -> None:
        if getattr(self._iterator, "ag_running", False):
            return  # another task waits in a generator, which cannot be closed now: that task's call releases it
        events, self._events = self._events, None
        iterator, self._iterator = self._iterator, None
        try:
            if iterator is not events:
                await _aclose(iterator)
        except GeneratorExit:  # the coroutine was closed or collected: nothing more can be awaited
            raise
        except BaseException:
            await _aclose(events)
            raise
        await _aclose(events)


def _get(payload: Any, key: str) -> Any:
    """Return a member of an object, None of anything else."""
    return payload.get(key) if _is_object(payload) else None


def _is_object(payload: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(payload, dict)


def _find_message(payload: Any) -> str:
    """Return what an error says, where OpenAI, Anthropic, OpenRouter and others put it; "" if it is not there."""
    of_response = _get(_get(payload, "response"), "error")  # the Responses API's response.failed
    for error in (_get(payload, "error"), of_response, payload):
        message = error if isinstance(error, str) else _get(error, "message")
        if message and isinstance(message, str):
            return message
    return ""


def _is_cut_off(events: Any) -> bool:
    """Whether the event at hand is the unfinished one, the only one that an EventStream dispatches at its end."""
    return isinstance(events, (EventStream, AsyncEventStream)) and events._state.ended and events._state.error is None


def _refuse_other_than_events(events: Any, function: str, side: str, other: str) -> None:
    """Raise TypeError for what is taken for an iterable of events by mistake."""
    name = _name(events)
    if isinstance(events, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"{function} takes events, not {name}; make events of bytes with EventStream([data])")
    if isinstance(events, ServerSentEvent):
        raise TypeError(f"{name} is one event; pass an iterable of events: [event]")
    if hasattr(events, "headers") or hasattr(events, "status_code"):
        raise TypeError(
            f"{name} is a response; pass it to iter_events or aiter_events of its client's adapter, and pass their stream"
        )
    if not hasattr(events, side):
        if hasattr(events, "__iter__") or hasattr(events, "__aiter__"):
            raise TypeError(f"{function} is for the other kind of iterable; pass this {name} to {other}")
        entered = hasattr(events, "__enter__") or hasattr(events, "__aenter__")
        hint = "; enter it with `with` or `async with` and pass the stream" if entered else ""
        raise TypeError(f"{function} takes an iterable of events, not {name}{hint}")


def _shown(text: str) -> str:
    """Return the start of a text in one line of printable characters."""
    start = " ".join(text[: 4 * _SHOWN].split())
    start = "".join(c if c.isprintable() else "\ufffd" for c in start)
    return start if len(start) <= _SHOWN and len(text) <= 4 * _SHOWN else start[:_SHOWN] + " ..."
