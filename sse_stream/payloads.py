# SPDX-License-Identifier: MIT
"""Read what LLM services put into events: JSON, a mark at the end, errors.

    with connect(httpx, "POST", url, json=request) as stream:
        for payload in iter_payloads(stream, require_done=True):
            print(payload["choices"])

PayloadError: data is not JSON; ServiceError: the service sent an error; IncompleteEventError: the
stream ended before its mark.
"""

from __future__ import annotations

import json

from ._excerpt import excerpt
from .decoder import IncompleteEventError, ServerSentEvent, SSEError
from .streams import (
    AsyncOpening,
    AsyncReader,
    DoneMark,
    Opening,
    Reader,
    Reading,
    UnfinishedEvent,
    aclose_all,
    close_all,
    refuse_coroutine_function,
    type_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Collection, Iterable
    from typing import Any, Union

    Predicate = Callable[[ServerSentEvent, Any], object]
    Mark = Union[str, Predicate, Collection[Union[str, Predicate]], None]
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

_ERRORS = ("error", "response.failed")
_KEEP_ALIVES = ("ping", "heartbeat", "keepalive", "keep-alive")
_DRAIN_BYTES, _DRAIN_SECONDS = 64 * 1024, 1.0


class PayloadError(SSEError):
    """The data of an event is not JSON, or something else came in place of events.

    event:  the event, whole; if something else came, one whose data is the start of that.
    number: its number in the stream, an int from 1; 0 if something else came.
    reason: what `loads` said, a str, and that exception is the `__cause__`; or what came.
    """

    def __init__(self, event: ServerSentEvent, number: int, reason: str) -> None:
        if number:
            is_refused = document_in(event.data) is not None
            fault = "is JSON, but loads refused it" if is_refused else "is not JSON"
            what = f"event {number} {fault} ({excerpt(reason)})"
        else:
            what = f"the stream gave no payload, but {excerpt(reason)}"
        super().__init__(f"{what}: {excerpt(event.data)}")
        self.event = event
        self.number = number
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, self.number, self.reason)


class ServiceError(SSEError):
    """The service reported an error within the stream, or in its place.

    event:   the event, whole; None if the error did not come in one.
    payload: its parsed data, or the data itself, if that is not JSON.
    message: the text of the error, a str; the data, or the payload as JSON, if none was found.
    """

    def __init__(self, event: ServerSentEvent | None, payload: Any) -> None:
        self.event = event
        self.payload = payload
        data = _as_text(payload) if event is None else event.data
        self.message: str = _find_message(payload) or data
        text, shown = excerpt(self.message) or "no message", excerpt(data)
        more = f"; data: {shown}" if shown not in ("", text) else ""
        super().__init__(f"the service sent an error: {text}{more}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, self.payload)


def is_service_error(event: ServerSentEvent | None, payload: Any) -> bool:
    """Return whether an event is an error in one of the shapes that services send.

    event:   the event; None if the payload did not come in one.
    payload: its parsed data, or the data itself, if that is not JSON.

    That is: the event's type or the payload's "type" is "error" or "response.failed"; the payload's
    "error" is true; its "object" is "error"; it has a list "errors" that is not empty, or "detail"
    and nothing else; or it is a list of one such payload.
    """
    if event is not None and event.event in _ERRORS:
        return True
    if isinstance(payload, list):
        only = _only_item(payload)
        return isinstance(only, dict) and is_service_error(None, only)
    if _get(payload, "type") in _ERRORS or _get(payload, "object") == "error":
        return True
    if _get(payload, "error"):
        return True
    return bool(_first_item(_get(payload, "errors"))) or _has_only_detail(payload)


def iter_payloads(
    events: Iterable[ServerSentEvent],
    *,
    done: Mark = "[DONE]",
    require_done: bool = False,
    is_error: IsError | None = is_service_error,
    loads: Callable[[str], Any] | None = None,
    read_to_end: bool = False,
) -> Payloads:
    r"""Iterate over the parsed JSON of each event.

    >>> from sse_stream import EventStream
    >>> stream = EventStream([b'data: {"token": "Hi"}\n\n', b"data: [DONE]\n\n"])
    >>> list(iter_payloads(stream, require_done=True))
    [{'token': 'Hi'}]

    events:       an EventStream, or any iterable of events. It is closed at the mark, at the end,
                  at an error, and with the iterator.
    done:         what marks the end. A str: data that is that text, "[DONE]" by default; one in
                  brackets also matches in JSON quotes. A function of the event and its payload
                  (None for data that is empty or no JSON) that says whether it is the last; its
                  payload is still handed out. Or a tuple, list or set of several. None: no mark.
    require_done: whether events that end before the mark are an IncompleteEventError, whose
                  `.event` is the one that the end cut off, or None. False by default.
    is_error:     a function of the event and its payload that says whether it is an error, by
                  default `is_service_error`; None: nothing is. It is asked before the mark is
                  looked for. If an event of the type "error" or "response.failed" has data that is
                  no JSON, its payload is the data.
    loads:        a function that parses the data, a str, and may check it, too; None:
                  `json.loads`. What it refuses is still asked whether it is an error.
    read_to_end:  whether to read on after the mark, to the end of the body, so that the connection
                  can be used again: at most 64 KiB and one second, with a stream that an adapter
                  made. What goes wrong there raises nothing. False by default.

    Returns an iterator and context manager; its `.event` is the event of the payload handed out
    last. Passed over are events with empty data, and data that is no JSON object or array in an
    event whose type is that of a keep-alive ("ping", "heartbeat", "keepalive", "keep-alive").

    Raises PayloadError for other data that `loads` refuses, ServiceError for an error,
    IncompleteEventError as above, and what `events` raises. TypeError or ValueError for an argument
    of a wrong kind. If the caller closed the stream, the payloads end quietly.

    Some services send an error document in place of events, in lines that are no event. If no
    payload came, but such lines, it raises what they say at the end: ServiceError for an error
    document, else PayloadError. After payloads a field named "error" is a ServiceError, too. This
    needs a stream of this package, or events with an attribute `ignored_text`: of a generator such
    lines are not known. That the end cut off an event is known of a generator over a stream, too.
    """
    _refuse_other_than_events(events, "iter_payloads", "__iter__", "aiter_payloads")
    machine = _PayloadMachine(events, done, require_done, is_error, loads, read_to_end)
    return Payloads(events, machine)


def aiter_payloads(
    events: AsyncIterable[ServerSentEvent],
    *,
    done: Mark = "[DONE]",
    require_done: bool = False,
    is_error: IsError | None = is_service_error,
    loads: Callable[[str], Any] | None = None,
    read_to_end: bool = False,
) -> AsyncPayloads:
    """Iterate over the parsed JSON of each event of an async iterable.

    events:       an AsyncEventStream, or any async iterable of events.
    done, require_done, is_error, loads: as for `iter_payloads`, and so is what is raised.
    read_to_end:  as for `iter_payloads`; on asyncio and trio.

    Returns an async iterator and async context manager.
    """
    _refuse_other_than_events(events, "aiter_payloads", "__aiter__", "iter_payloads")
    machine = _PayloadMachine(events, done, require_done, is_error, loads, read_to_end)
    return AsyncPayloads(events, machine)


class _PayloadMachine:
    """Fed events, it answers with payloads."""

    def __init__(
        self,
        events: Any,
        done: Any,
        require_done: bool,
        is_error: IsError | None,
        loads: Callable[[str], Any] | None,
        read_to_end: bool,
    ) -> None:
        if is_error is not None and not callable(is_error):
            raise TypeError(f"is_error must be a function or None, not {type_name(is_error)}")
        if loads is not None and not callable(loads):
            raise TypeError(f"loads must be a function, not {type_name(loads)}")
        refuse_coroutine_function("is_error", is_error)
        refuse_coroutine_function("loads", loads)
        self.ended: bool = False
        self.is_feeding: bool = False
        self.is_closed: bool = False  # by the caller, who closed the events
        self.event: ServerSentEvent | None = None  # of the payload handed out last
        self.is_to_drain: bool = False  # the mark came, and the rest is to be read
        self._events = events
        self._mark = DoneMark(done, require_done)
        self._is_error = is_error
        self._loads = loads or json.loads
        self._read_to_end = read_to_end
        self._number = 0

    @property
    def last_event_id(self) -> str:
        return getattr(self._events, "last_event_id", "")

    def feed(self, event: ServerSentEvent) -> list[Any]:
        self.is_feeding = True
        try:
            return self._take(event)
        finally:
            self.is_feeding = False

    def _take(self, event: ServerSentEvent) -> list[Any]:
        data = getattr(event, "data", None)
        if not isinstance(data, str):
            name = type_name(event)
            raise TypeError(
                f"payloads are those of events, not {name}: wrap bytes in an EventStream"
            )
        self._number += 1
        if self._mark.is_text(data):
            if event.event in _ERRORS:
                self._raise_error(event, data)
            self._reach_mark()
            return []
        payload, refusal = self._parse(data)
        is_text = refusal is not None or not data
        # A `loads` that checks a schema refuses the errors of the service, too.
        refused = None if refusal is None else document_in(data)
        if refused is not None:
            if is_error_of_refused(self._is_error, event, refused):
                raise ServiceError(event, refused)
        elif not is_text:
            self._raise_error(event, payload)
        elif event.event in _ERRORS:
            self._raise_error(event, data)
        if self._mark.is_met(event, payload) and not _is_cut(event, refusal):
            self._reach_mark()
        elif refusal is not None and not _is_keep_alive(event):
            raise self._refusal(event, refusal)
        if is_text or (_is_keep_alive(event) and not _is_structure(data)):
            return []
        self.event = event
        return [payload]

    def close(self) -> list[Any]:
        events = self._events
        if getattr(events, "is_closed", False):  # by the caller, who knows
            self.is_closed = True
            return []
        ignored: str = getattr(events, "ignored_text", "")
        is_before_mark = self._mark.is_required and not self._mark.is_reached
        if ignored and self.event is None and not (is_before_mark and _is_cut_field(ignored)):
            raise self._error_in_place_of_events(ignored)
        if is_before_mark:
            raise before_mark(self._mark, ignored)
        error = None if self._is_error is None else _error_field(ignored)
        if error is not None:
            raise ServiceError(None, error)
        return []

    def _reach_mark(self) -> None:
        self._mark.is_reached = self.ended = True
        self.is_to_drain = self._read_to_end

    def _parse(self, data: str) -> tuple[Any, Exception | None]:
        if not data:
            return None, None
        try:
            return self._loads(data), None
        except Exception as error:
            return None, error

    def _raise_error(self, event: ServerSentEvent, payload: Any) -> None:
        if self._is_error is not None and self._is_error(event, payload):
            raise ServiceError(event, payload)

    def _refusal(self, event: ServerSentEvent, cause: Exception) -> SSEError:
        """Return the error for data that is not JSON."""
        reason = str(cause) or type_name(cause)
        error: SSEError
        if not isinstance(event, UnfinishedEvent):
            error = PayloadError(event, self._number, reason)
        elif self._mark.is_required:
            error = IncompleteEventError(event)
        else:
            reason += "; the stream ended inside this event"
            error = PayloadError(event, self._number, reason)
        error.__cause__ = cause
        return error

    def _error_in_place_of_events(self, ignored: str) -> SSEError:
        """Return the error for lines without effect, if no payload came."""
        if self._is_error is not None:
            document = _error_document(ignored) or _error_field(ignored)
            if document is not None:
                return ServiceError(None, document)
        return PayloadError(ServerSentEvent(data=ignored), 0, _what_came(ignored))


class _Payloads(Reading["Any"]):
    __slots__ = ("_hands_out_late",)

    def _start(self, events: Any, iterator: Any, machine: _PayloadMachine) -> None:
        self._hands_out_late = False
        super().__init__(iterator, machine, None if iterator is events else iterator, events)

    def _end_by(self, how: int) -> tuple[bool, bool]:
        """End the reading from outside; the payload that is being made is still handed out."""
        self._hands_out_late = self.machine.is_feeding or self.machine.ended
        return super()._end_by(how)

    @property
    def is_closed(self) -> bool:
        """Whether the payloads were closed, or before their end the events."""
        return super().is_closed or self.machine.is_closed

    @property
    def is_exhausted(self) -> bool:
        """Whether the events came to their end, or to their mark, and nothing went wrong."""
        return super().is_exhausted and not self.machine.is_closed

    @property
    def event(self) -> ServerSentEvent | None:
        """The event of the payload handed out last; None before the first."""
        event: ServerSentEvent | None = self.machine.event
        return event

    def _are_left(self, by: str) -> bool:
        """Return whether the events are left, by `__exit__` or `__aexit__`, rather than closed.

        They are if they know the difference, and this did not end well: a later read of them is
        then a StreamClosedError, which nobody takes for the end of the answer.
        """
        knows = hasattr(self.source, "is_closed") and hasattr(self.source, by)
        return knows and not (self.is_closed or self.is_exhausted)

    def _take_others(self) -> list[Any]:
        """Return what is to be closed beside the source, such as what iterates over it."""
        return [one for one in self._take_resources() if one is not self.source]


class Payloads(_Payloads, Reader["Any"]):
    """What `iter_payloads` returns: an iterator over payloads, and a context manager.

    events:  an EventStream, or any iterable of events.
    machine: what makes payloads of them.
    """

    __slots__ = ()

    def __init__(self, events: Any, machine: _PayloadMachine) -> None:
        self._start(events, iter(events), machine)

    def release(self) -> None:
        """Read on to the end first, if that is wanted."""
        drain = getattr(self.source, "drain", None)
        is_to_drain, self.machine.is_to_drain = self.machine.is_to_drain, False
        try:
            if drain is not None and is_to_drain:
                drain(_DRAIN_BYTES, _DRAIN_SECONDS)
        finally:
            if self._are_left("__exit__"):
                others = self._take_others()
                try:
                    self.source.__exit__(None, None, None)
                finally:
                    close_all(*others)
            else:
                super().release()


class AsyncPayloads(_Payloads, AsyncReader["Any"]):
    """What `aiter_payloads` returns: an async iterator, and an async context manager.

    events:  an AsyncEventStream, or any async iterable of events.
    machine: what makes payloads of them.
    """

    __slots__ = ()

    def __init__(self, events: Any, machine: _PayloadMachine) -> None:
        self._start(events, events.__aiter__(), machine)

    async def arelease(self) -> None:
        """Read on to the end first, if that is wanted."""
        drain = getattr(self.source, "drain", None)
        is_to_drain, self.machine.is_to_drain = self.machine.is_to_drain, False
        try:
            if drain is not None and is_to_drain:
                await drain(_DRAIN_BYTES, _DRAIN_SECONDS)
        except GeneratorExit:  # nothing more can be awaited
            self.release_at_once()
            raise
        except BaseException:
            await self._close_events()
            raise
        await self._close_events()

    async def _close_events(self) -> None:
        if self._are_left("__aexit__"):
            others = self._take_others()
            try:
                await self.source.__aexit__(None, None, None)
            finally:
                await aclose_all(*others)
        else:
            await super().arelease()


def before_mark(mark: DoneMark, ignored: str = "") -> IncompleteEventError:
    """Return the error for a stream that ended before its mark.

    mark:    what did not come.
    ignored: the lines of the stream that had no effect, which may say why; "" for none.
    """
    quoted = f"; it also sent lines that are no event: {excerpt(ignored)}" if ignored else ""
    return IncompleteEventError(None, f"the stream ended before its mark{mark.shown}{quoted}")


def _get(payload: Any, key: str) -> Any:
    fields = payload
    return fields.get(key) if isinstance(payload, dict) else None


def _has_only_detail(payload: Any) -> bool:
    fields = payload
    return isinstance(payload, dict) and len(fields) == 1 and bool(fields.get("detail"))


def _first_item(value: Any) -> Any:
    items = value
    return items[0] if isinstance(value, list) and items else None


def _only_item(value: Any) -> Any:
    items = value
    return items[0] if isinstance(value, list) and len(items) == 1 else None


def _find_message(payload: Any) -> str:
    if isinstance(payload, list):
        payload = _only_item(payload)
    # OpenAI's Responses API has it in "response".
    places = (
        _get(payload, "error"),
        _get(_get(payload, "response"), "error"),
        _first_item(_get(payload, "errors")),
        _get(payload, "detail"),
        payload,
    )
    for place in places:
        message = place if isinstance(place, str) else _get(place, "message")
        if message and isinstance(message, str):
            return message
    return ""


def _as_text(payload: Any) -> str:
    try:
        return json.dumps(payload, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # `loads` made something else of it
        pass
    try:
        return str(payload)
    except RecursionError:  # as deep as `loads` could go
        return ""


def document_in(text: str) -> Any:
    """Return the JSON object or array that a text is, or None.

    text: such as one that a caller's `loads` refused.
    """
    try:
        return json.loads(text) if _is_structure(text) else None
    except (ValueError, RecursionError):
        return None


def is_error_of_refused(is_error: Callable[..., Any] | None, *arguments: Any) -> bool:
    """Return whether a document that a caller's `loads` refused is an error.

    is_error:  the caller's function, which may know no more than what `loads` makes: what it raises
               here is no answer, and the refusal matters more. None: nothing is an error.
    arguments: what it is asked about.
    """
    try:
        return is_error is not None and bool(is_error(*arguments))
    except Exception:
        return False


def _is_structure(data: str) -> bool:
    return data.lstrip()[:1] in ("{", "[")


def _is_keep_alive(event: ServerSentEvent) -> bool:
    return event.event in _KEEP_ALIVES


def _is_cut(event: ServerSentEvent, refusal: Exception | None) -> bool:
    """Return whether the end has cut the data of an event, as far as one can see."""
    if not isinstance(event, UnfinishedEvent):
        return False
    return not event.data or (refusal is not None and _is_structure(event.data))


def _is_cut_field(ignored: str) -> bool:
    """Return whether the end cut a line in the name of a field, or the byte order mark."""
    starts = ("data", "event", "id", "retry", "\ufffd")
    return any(start.startswith(ignored) for start in starts)


# What came in place of events.


def _error_document(ignored: str) -> Any:
    """Return the error document that lines without effect are, or None."""
    document = _first_document(ignored)
    return document if is_service_error(None, document) else None


def _error_field(ignored: str) -> Any:
    """Return the error in a field named `error`, as a document, or None."""
    for line in ignored.split("\n"):
        name, _, text = line.partition(":")
        text = text.strip()
        if name == "error" and text not in ("", "null", "false", "{}", '""'):
            document = _first_document(text)
            return document if is_service_error(None, document) else {"error": document or text}
    return None


def _first_document(text: str) -> Any:
    """Return the JSON document that a text starts with, or None."""
    try:
        return json.JSONDecoder().raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None


def _what_came(ignored: str) -> str:
    """Return what lines without effect seem to be."""
    start = ignored.lstrip()
    if start.startswith("["):
        return "a JSON array (for events, Gemini wants alt=sse in the URL)"
    if start.startswith("{"):
        return "a JSON document (iter_documents reads one on each line)"
    return "HTML" if start.startswith("<") else "lines that are no event"


def _refuse_other_than_events(events: Any, function: str, side: str, other: str) -> None:
    """Raise a TypeError that says what to pass, if something is no iterable of events.

    events:   what the caller passed.
    function: the name of what takes it.
    side:     "__iter__" or "__aiter__".
    other:    the name of what takes the other side.
    """
    name, hint = type_name(events), ""
    if isinstance(events, (str, bytes, bytearray, memoryview)):
        hint = "; pass EventStream([data])"
    elif isinstance(events, ServerSentEvent):
        hint = "; pass [event]"
    elif hasattr(events, "headers"):
        hint = "; pass what iter_events or aiter_events makes of it"
    elif isinstance(events, (Opening, AsyncOpening)):
        hint = "; enter it with `with` or `async with` and pass the stream"
    elif hasattr(events, side):
        return
    elif hasattr(events, "__iter__") or hasattr(events, "__aiter__"):
        hint = f"; pass this {name} to {other}"
    elif hasattr(events, "__enter__") or hasattr(events, "__aenter__"):
        hint = "; enter it with `with` or `async with` and pass the stream"
    raise TypeError(f"{function} takes an iterable of events, not {name}{hint}")
