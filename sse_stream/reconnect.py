# SPDX-License-Identifier: MIT
"""Read events, and connect again after a break (WHATWG HTML 9.2.3).

`_Source` decides, without I/O: what is next, whether what happened is tried again, what is told to
whom. EventSource and AsyncEventSource connect, read and wait; nothing runs in the background: the
call that asks for an event does it all. When, and how often, is policy.py's.
"""

from __future__ import annotations

import sys
import threading
import time

from ._excerpt import excerpt
from .decoder import IncompleteEventError, SSEError
from .handshake import ResponseError, StatusError, header_value
from .policy import (
    TRANSIENT_STATUSES,
    Reconnection,
    ReconnectionError,
    ReconnectionPolicy,
    retry_after,
)
from .streams import (
    AsyncEventStream,
    EventStream,
    StreamClosedError,
    is_of_a_coroutine,
    no_end,
    refuse_coroutine_function,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Any, Literal, TypeVar

    from .decoder import ServerSentEvent
    from .policy import Answer

    Self = TypeVar("Self")
    Step = Literal["raise", "stop", "settle", "wait", "connect", "read"]

__all__ = [
    "TRANSIENT_STATUSES",
    "AsyncEventSource",
    "EventSource",
    "Reconnection",
    "ReconnectionError",
    "ReconnectionPolicy",
]

_DEBUG, _INFO, _WARNING = 10, 20, 30  # of logging, which is slow to import
_NO_LAST_LINE = "if this server leaves out the last blank line, pass make_decoder=SSEDecoder"


class _Source:
    """What both sources know and decide, without I/O."""

    name: str = "the event source"  # in log lines

    _kind: type[Any]  # of the streams

    def __init__(
        self,
        connect: Callable[..., Any],
        policy: Any,
        last_event_id: Any,
        repeat: Any,
        **functions: Any,
    ) -> None:
        policy = ReconnectionPolicy() if policy is None else policy
        _require(isinstance(policy, ReconnectionPolicy), "policy", "a ReconnectionPolicy", policy)
        _require(isinstance(last_event_id, str), "last_event_id", "a str", last_event_id)
        _require(isinstance(repeat, bool), "repeat", "a bool", repeat)
        _require_opener(connect)
        _require_functions(functions, is_async=self._kind is AsyncEventStream)
        self._connect = connect
        self._policy = policy
        self._repeat = repeat
        self._is_transient: Callable[..., bool | None] = functions["is_transient"] or _no_answer
        self._on_connect: Callable[[Any], Any] = functions["on_connect"] or _ignore
        self._on_disconnect: Callable[..., Any] = functions["on_disconnect"] or _ignore
        self._sleep: Callable[[float], Any] | None = functions["sleep"]
        self._clock: Callable[[], float] = functions["clock"] or time.monotonic
        self._machine: Any = None  # a Reconnection, from the first connection on
        # The position, before the present connection.
        self._id: str = last_event_id
        self._retry: int | None = None
        # The present connection, or the last one.
        self._opening: Any = None
        self._stream: Any = None
        self._id_at_start = ""  # of the stream
        self._gave_event = False
        self._moved = False
        self._status: Any = None
        self._ended_inside = False  # an event, which the decoder discarded
        self._adapters_is_transient: Callable[[Exception], bool | None] = _no_answer
        # What is to be done about it: decide what its end means, or wait.
        self._loss: tuple[Exception | None] | None = None
        self._delay: float | None = None
        self._due: float | None = None  # when the wait ends, once it has begun
        # The end.
        self._ended = False
        self._error: Exception | None = None  # to be raised by the next read
        self._closed = False
        self._refusal: tuple[str, BaseException | None] | None = None  # of any further read

    @property
    def last_event_id(self) -> str:
        """The ID to resume from after the event handed out last, or ""."""
        stream = self._stream
        if stream is None or stream.last_event_id == self._id_at_start:
            return self._id
        event_id: str = stream.last_event_id
        return event_id

    @property
    def retry(self) -> int | None:
        """The server's last reconnection time in milliseconds, or None."""
        retry: int | None = getattr(self._stream, "retry", None)
        return self._retry if retry is None else retry

    @property
    def is_closed(self) -> bool:
        """Whether `close` or `aclose` was called."""
        return self._closed

    def learn_from(self, opening: Any) -> None:
        """Let an adapter say from now on which exceptions are broken connections.

        opening: what its `connect` returned.
        """
        self._adapters_is_transient = (
            getattr(opening, "is_transient", None) or self._adapters_is_transient
        )

    def __repr__(self) -> str:
        state = "open" if self._stream else "not connected"
        if self._closed or self._ended:
            state = "closed" if self._closed else "ended"
        return f"<{type(self).__name__} {state}, last_event_id={self.last_event_id!r}>"

    def _step(self) -> Step:
        """Return what a read has to do next."""
        if self._error is not None:
            return "raise"
        if self._ended or self._closed:
            return "stop"
        if self._loss is not None:
            return "settle"
        if self._delay is not None:
            return "wait"
        return "connect" if self._stream is None else "read"

    # A connection's life.

    def _begin(self) -> str:
        """Begin a connection, and return the ID that it resumes from."""
        if self._machine is None:
            self._machine = self._policy.start(clock=self._clock)
        self._gave_event = self._moved = False
        self._status = None
        self._ended_inside = False
        return self._id

    def _check_opening(self, opening: Any, enter: str) -> None:
        """Take note of what `connect` returned; TypeError if it cannot be entered."""
        if not hasattr(opening, enter):
            hint = ""
            if hasattr(opening, "__await__"):
                getattr(opening, "close", bool)()  # a coroutine that nobody awaits would warn
                hint = "; AsyncEventSource takes an async function"
            raise TypeError(f"{self._wanted()}, not {type(opening).__name__}{hint}")
        self.learn_from(opening)

    def _opened(self, opening: Any, stream: Any) -> None:
        """Take note of a connection; TypeError if it gives no stream of the right kind."""
        self._opening = opening
        if not isinstance(stream, self._kind):
            raise TypeError(f"{self._wanted()}; it gives {type(stream).__name__}")
        self._id_at_start = stream.last_event_id
        self._stream = stream
        self._machine.connected()
        self._log(_DEBUG, "connected, Last-Event-ID %r", excerpt(self._id))

    def _took(self, event: ServerSentEvent) -> ServerSentEvent:
        """Take note of an event that the stream gave."""
        self._gave_event = True
        self._machine.event()
        return event

    def _detach(self) -> Any:
        """Take the position over from the present connection, and return what is to be left."""
        opening, stream = self._opening, self._stream
        if stream is not None:
            self._moved = stream.last_event_id != self._id_at_start
            self._id, self._retry = self.last_event_id, self.retry
            decoder = stream.decoder
            self._ended_inside = decoder.at_end == "discard" and decoder.incomplete
            response = stream.response
            self._status = getattr(response, "status_code", None) or getattr(
                response, "status", None
            )
        self._opening = self._stream = None
        return opening

    def _drop(self) -> Any:
        """Let go of the connection of a read that was cancelled, and return what is to be left.

        The next read connects again at once, or raises if this request may not be sent again.
        """
        opening = self._detach()
        if opening is not None:
            self._machine.dropped(moved=self._moved)
            self._log(_DEBUG, "a read was cancelled, its connection dropped")
            if not self._may_repeat():
                self._ended = True
                self._refusal = (
                    "a read was cancelled, and the request may not be sent again: it gave events, "
                    "and no ID to resume from (see `repeat`)",
                    None,
                )
        return opening

    # Decisions.

    def _decide(self) -> tuple[Exception | None, float | None]:
        """Decide what the loss of a connection means, and return what `on_disconnect` is told."""
        (error,) = self._loss or (None,)
        if error is None:
            error, self._delay = self._decide_about_end()
        else:
            self._delay = self._decide_about_error(error)
        self._loss = None
        if self._delay is None:
            self._ended = True
            self._error = error
        return error, self._delay

    def _decide_about_end(self) -> tuple[Exception | None, float | None]:
        if self._status == 204 or not (self._policy.reconnect_on_end and self._may_repeat()):
            self._log(_DEBUG, "end of stream, no further connection")
            return self._cut(), None
        answer = self._machine.ended(retry=self._retry, moved=self._moved)
        delay = self._next_delay("end of stream", answer)
        if delay is not None:
            return None, delay
        attempts = self._machine.attempts
        message = f"gave up at a clean end, after {attempts} further connections in a row"
        if self._ended_inside:
            message += f"; that end was inside an event: {_NO_LAST_LINE}"
        return ReconnectionError(f"{self.name}: {message}", attempts), None

    def _cut(self) -> IncompleteEventError | None:
        """Return the error for a last end inside an event: one discarded does not come again."""
        if not self._ended_inside:
            return None
        return IncompleteEventError(
            None,
            "the stream ended inside an event, and no further connection is made: " + _NO_LAST_LINE,
        )

    def _decide_about_error(self, error: Exception) -> float | None:
        cause, wait = type(error).__name__, None  # its text may show the URL's query
        if isinstance(error, ResponseError):
            cause += f" {error.status}"
            wait = retry_after(error.headers)
        if not self._may_pass(error):
            self._log(_WARNING, "%s, not tried again", cause)
            return None
        if not self._may_repeat():
            self._log(_WARNING, "%s, not tried again: the request may not be sent twice", cause)
            return None
        answer = self._machine.failed(retry=self._retry, moved=self._moved, retry_after=wait)
        return self._next_delay(cause, answer)

    def _next_delay(self, cause: str, answer: Answer) -> float | None:
        if answer == "stop":
            attempts = self._machine.attempts
            self._log(_WARNING, "%s, giving up after %d further connections", cause, attempts)
            return None
        self._log(_INFO, "%s, next connection in %.3f s", cause, answer)
        return answer

    def _may_pass(self, error: Exception) -> bool:
        """Return whether what an exception says may pass, so that connecting again makes sense."""
        answer = self._is_transient(error)
        if answer is None and isinstance(error, SSEError):
            return isinstance(error, StatusError) and error.status in self._policy.statuses
        if answer is None:
            answer = self._adapters_is_transient(error)
        if answer is not None:
            return bool(answer)
        # Such as a refused certificate, which is a ValueError too.
        return isinstance(error, OSError) and not isinstance(error, ValueError)

    def _may_repeat(self) -> bool:
        """Return whether the request may be sent again after the connection before."""
        resumable = self._moved and header_value(self._id) is not None
        return self._repeat or resumable or not self._gave_event

    # The wait.

    def _seconds_to_wait(self) -> float:
        """Return how long the wait is, or what is left of one that was cancelled."""
        delay = self._delay or 0.0
        if self._due is None:
            self._due = self._clock() + delay
            return delay
        return min(max(self._due - self._clock(), 0.0), delay)

    def _waited(self) -> None:
        self._delay = self._due = None

    # The end.

    def _check_readable(self) -> None:
        """Raise StreamClosedError if a read would look like an orderly end, and is none."""
        if self._refusal is not None:
            message, cause = self._refusal
            position = self.last_event_id
            where = f"; the ID to resume from is {position!r}" if position else ""
            raise StreamClosedError(message + where, position) from cause

    def _fail(self, error: BaseException) -> None:
        """Take note of an error that a read raises: it is the last."""
        self._ended = True
        self._error = None
        self._refusal = "this source ended with an error, which an earlier read raised", error

    def _left(self) -> None:
        """Take note that the `with` block was left."""
        if not (self._ended or self._closed):
            self._refusal = (
                "its `with` block was left, or the reading of its payloads failed: read inside the "
                "block",
                None,
            )

    def _wanted(self) -> str:
        kind = self._kind.__name__
        return f"connect must return a context manager of an {kind}, as adapters' functions do"

    def _log(self, level: int, message: str, *values: object) -> None:
        from logging import getLogger

        getLogger("sse_stream").log(level, f"%s: {message}", self.name, *values)


class EventSource(_Source):
    """An iterator over the events of a stream that connects again whenever it breaks.

        def resume(last_event_id):
            decoder = SSEDecoder(last_event_id=last_event_id, incomplete="discard")
            return connect(client, "GET", url, decoder=decoder)

        with EventSource(resume) as source:
            for event in source:
                print(event.data)

    It is a context manager too: leaving it closes it. Any thread, or a signal handler, may call
    `close`; one thread at a time may read. `name` is what log lines call it, of `subscribe` the URL
    without user info and query; it may be set.

    connect:       called as `connect(last_event_id=...)` for each connection; returns a context
                   manager of an EventStream, as every adapter's `connect` does. Its decoder should
                   start from that ID, and discard what an end cuts off, as it comes again:
                   `SSEDecoder(last_event_id=last_event_id, incomplete="discard")`.
    policy:        when to connect again, and when to give up; None: `ReconnectionPolicy()`.
    last_event_id: the ID to resume from at first; "", the default, for none.
    is_transient:  asked first about every exception of a connection, whoever raised it: True, it
                   may pass, so connect again; False, raise it; None, as usual. None, the default:
                   always as usual. As usual a StatusError of `policy.statuses` is tried again, and
                   no other SSEError; of other exceptions those of which the adapter says so that
                   made the connection; of those that it does not know, every OSError that is no
                   ValueError.
    on_connect:    called with each stream before its first event.
    on_disconnect: called after each end or failure of a connection, but for `close` and cancelled
                   reads, with the exception or None, and the seconds until the next connection.
                   None in place of seconds says that there will be none; the exception is then what
                   the source raises.
    sleep:         called with the seconds to wait, in place of the source's own wait; `close`
                   cannot end it.
    clock:         gives seconds, and never goes back.
    repeat:        whether a request may be sent again once its connection has given an event and
                   no ID to resume from. False for one that has an effect, such as a POST to a chat:
                   then a broken connection raises its error, and a clean end ends the source.

    An iteration raises what is not tried again; the last error, when the policy gives up, or a
    ReconnectionError if there was none; what a callback raises. After that, as after leaving the
    `with` block before the end, it raises StreamClosedError. It ends at 204, at `close`, and at a
    clean end after which the policy or `repeat` lets it not connect again; if the decoder dropped
    an event there that was cut off, and that will not come again, IncompleteEventError is raised. A
    KeyboardInterrupt in a read drops the connection; the next read connects again and resumes.

    TypeError for an argument of the wrong kind.
    """

    _kind = EventStream

    def __init__(
        self,
        connect: Callable[..., Any],
        *,
        policy: ReconnectionPolicy | None = None,
        last_event_id: str = "",
        is_transient: Callable[[Exception], bool | None] | None = None,
        on_connect: Callable[[EventStream], object] | None = None,
        on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        repeat: bool = True,
    ) -> None:
        super().__init__(
            connect,
            policy,
            last_event_id,
            repeat,
            is_transient=is_transient,
            on_connect=on_connect,
            on_disconnect=on_disconnect,
            sleep=sleep,
            clock=clock,
        )
        self._lock = threading.RLock()
        self._reading = False
        self._taken: ServerSentEvent | None = None  # of the stream, and not handed out
        # Held until `close`, so that to wait is to try to acquire it. A threading.Event would do
        # for threads; but a signal handler that calls `close` could wait for itself in `set`.
        self._until_closed = threading.Lock()
        self._until_closed.acquire()

    @property
    def stream(self) -> EventStream | None:
        """The present connection's stream, or None."""
        stream: EventStream | None = self._stream
        return stream

    def __iter__(self: Self) -> Self:
        return self

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left()
        self.close()

    def __next__(self) -> ServerSentEvent:
        self._check_readable()
        if self._reading:
            raise RuntimeError("two threads wait for this source at once")
        self._reading = True  # without the lock: an interrupt in there would leave it so
        try:
            event = self._next_event()
        except Exception as error:
            fault = no_end(error, error)
            self._fail(fault)
            self._leave_quietly(self._detach(), error)
            if fault is not error:
                raise fault from error
            raise
        except BaseException as error:
            self._leave_quietly(self._drop(), error)
            raise
        finally:
            self._reading = False
            if self._closed:  # looked at after that: who closes it meanwhile left this to us
                with self._lock:
                    opening = self._detach()
                self._leave(opening)
        if event is None:
            self._check_readable()  # the block may have been left meanwhile
            raise StopIteration
        self._taken = None
        return event

    def _next_event(self) -> ServerSentEvent | None:
        if self._taken is not None and not self._closed:  # an interrupt came between
            return self._taken
        while True:
            step = self._step()
            if step == "read":
                event = self._read()
                if event is not None:
                    return event
            elif step == "connect":
                self._open()
            elif step == "settle":
                self._on_disconnect(*self._decide())
            elif step == "wait":
                self._wait()
            elif self._error is not None:
                raise self._error
            else:
                return None

    def _open(self) -> None:
        last_event_id = self._begin()
        try:
            opening = self._connect(last_event_id=last_event_id)
            self._check_opening(opening, "__enter__")
            stream = opening.__enter__()
        except Exception as error:
            self._loss = (error,)
        else:
            self._opened(opening, stream)
            if not self._closed:
                self._on_connect(stream)

    def _read(self) -> ServerSentEvent | None:
        try:
            for event in self._stream:
                self._taken = event
                return self._took(event)
            self._loss = (None,)
        except Exception as error:
            self._loss = (error,)
        try:
            self._leave(self._detach(), self._loss[0])
        except Exception as error:
            self._loss = (self._loss[0] or error,)
        return None

    def _wait(self) -> None:
        seconds = self._seconds_to_wait()
        if self._sleep is not None:
            self._sleep(seconds)
        else:
            self._until_closed.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))
        self._waited()

    def _leave(self, opening: Any, error: BaseException | None = None) -> None:
        if opening is not None:
            opening.__exit__(error and type(error), error, error and error.__traceback__)

    def _leave_quietly(self, opening: Any, error: BaseException) -> None:
        try:
            self._leave(opening, error)
        except Exception:  # what the read raises matters more
            pass

    def close(self) -> None:
        """Release the connection, and end the source; from any thread, without blocking.

        Another thread's wait ends at once, and its read as soon as the stream can end it; while it
        connects, it ends when it has connected. Its iteration then ends quietly.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._until_closed.release()
            stream = self._stream
            opening = None if self._reading else self._detach()
        if opening is not None:
            self._leave(opening)
        elif stream is not None:
            stream.close()


class AsyncEventSource(_Source):
    """`EventSource` over async context managers of an AsyncEventStream, on asyncio and trio.

    connect:       called as `connect(last_event_id=...)` for each connection; returns an async
                   context manager of an AsyncEventStream, or is an `async def` that does.
    on_connect:    as for EventSource; it may be an `async def`.
    on_disconnect: as for EventSource; it may be an `async def`.
    sleep:         an async function that waits in place of the source, which `aclose` cannot end.
                   None, the default: asyncio's wait or trio's; elsewhere it is needed.
    policy, last_event_id, is_transient, clock, repeat: as for EventSource.

    A read that is cancelled drops the connection, and the next read connects again at once and
    resumes: that is no try. If it was waiting between two connections, the next read waits for
    the rest of the time. So a timeout around each read does no harm. Raises as EventSource does,
    and RuntimeError outside asyncio and trio without `sleep`.
    """

    _kind = AsyncEventStream

    def __init__(
        self,
        connect: Callable[..., Any],
        *,
        policy: ReconnectionPolicy | None = None,
        last_event_id: str = "",
        is_transient: Callable[[Exception], bool | None] | None = None,
        on_connect: Callable[[AsyncEventStream], object] | None = None,
        on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        repeat: bool = True,
    ) -> None:
        super().__init__(
            connect,
            policy,
            last_event_id,
            repeat,
            is_transient=is_transient,
            on_connect=on_connect,
            on_disconnect=on_disconnect,
            sleep=sleep,
            clock=clock,
        )
        self._reading = False
        self._end_wait: Callable[[], object] = _ignore
        self._behind: Any = None  # what could not be left, as nothing could be awaited

    @property
    def stream(self) -> AsyncEventStream | None:
        """The present connection's stream, or None."""
        stream: AsyncEventStream | None = self._stream
        return stream

    def __aiter__(self: Self) -> Self:
        return self

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left()
        if isinstance(exc, GeneratorExit) and (
            self._behind is not None or is_of_a_coroutine(exc)
        ):  # nothing can be awaited, as the stream knows too
            self._closed = True
            self._end_wait()
            if not self._reading:
                await self._leave(self._detach(), exc)
            elif self._stream is not None:  # another task reads
                await self._stream.__aexit__(exc_type, exc, traceback)
        else:
            await self.aclose()

    async def __anext__(self) -> ServerSentEvent:
        self._check_readable()
        if self._reading:
            raise RuntimeError("two tasks wait for this source at once")
        self._reading = True
        try:
            event = await self._next_event()
            if self._closed:
                await self._leave(self._detach())
        except GeneratorExit:  # the coroutine is closed: nothing can be awaited
            self._behind = self._drop()
            raise
        except Exception as error:
            fault = no_end(error, error)
            self._fail(fault)
            await self._leave_quietly(self._detach(), error)
            if fault is not error:
                raise fault from error
            raise
        except BaseException as error:
            await self._leave_quietly(self._drop(), error)
            raise
        finally:
            self._reading = False
        if event is None:
            self._check_readable()  # the block may have been left meanwhile
            raise StopAsyncIteration
        return event

    async def _next_event(self) -> ServerSentEvent | None:
        if self._behind is not None:
            await self._leave_behind()
        while True:
            step = self._step()
            if step == "read":
                event = await self._read()
                if event is not None:
                    return event
            elif step == "connect":
                await self._open()
            elif step == "settle":
                await _finish(self._on_disconnect(*self._decide()))
            elif step == "wait":
                await self._wait()
            elif self._error is not None:
                raise self._error
            else:
                return None

    async def _open(self) -> None:
        if self._sleep is None and _trio() is None:
            _loop()  # rather than fail at the first wait
        last_event_id = self._begin()
        try:
            opening = self._connect(last_event_id=last_event_id)
            if not hasattr(opening, "__aenter__") and hasattr(opening, "__await__"):
                opening = await opening
            self._check_opening(opening, "__aenter__")
            stream = await opening.__aenter__()
        except Exception as error:
            self._loss = (error,)
        else:
            self._opened(opening, stream)
            if not self._closed:
                await _finish(self._on_connect(stream))

    async def _read(self) -> ServerSentEvent | None:
        try:
            async for event in self._stream:
                return self._took(event)
            self._loss = (None,)
        except Exception as error:
            self._loss = (error,)
        try:
            await self._leave(self._detach(), self._loss[0])
        except Exception as error:
            self._loss = (self._loss[0] or error,)
        return None

    async def _wait(self) -> None:
        seconds = self._seconds_to_wait()
        trio = _trio()
        if self._sleep is not None:
            await _finish(self._sleep(seconds))
        elif trio is not None:
            woken = trio.Event()
            self._end_wait = woken.set
            with trio.move_on_after(seconds):
                await woken.wait()
        else:
            await self._wait_on_asyncio(seconds)
        self._waited()

    async def _wait_on_asyncio(self, seconds: float) -> None:
        from asyncio import wait

        woken = _loop().create_future()
        self._end_wait = lambda: woken.done() or woken.set_result(None)
        await wait([woken], timeout=seconds)

    async def _leave(self, opening: Any, error: BaseException | None = None) -> None:
        if opening is not None:
            await opening.__aexit__(error and type(error), error, error and error.__traceback__)

    async def _leave_quietly(self, opening: Any, error: BaseException) -> None:
        try:
            await self._leave(opening, error)
        except Exception:  # what the read raises matters more
            pass

    async def _leave_behind(self) -> None:
        opening, self._behind = self._behind, None
        try:
            await self._leave(opening)
        except Exception:  # of a connection that nobody reads any more
            pass

    async def aclose(self) -> None:
        """Release the connection, and end the source; from any task of its loop.

        Another task's wait or read ends at once, and its iteration quietly; while it connects, it
        ends when it has connected.
        """
        self._closed = True
        self._end_wait()
        if self._behind is not None:
            await self._leave_behind()
        if not self._reading:
            await self._leave(self._detach())
        elif self._stream is not None:
            await self._stream.aclose()


def _trio() -> Any:
    """Return trio if this is one of its tasks, without importing it, else None."""
    trio: Any = sys.modules.get("trio")
    try:
        trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):  # not imported; not running
        return None
    return trio


def _loop() -> Any:
    """Return asyncio's running loop."""
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError as error:
        raise RuntimeError("outside asyncio and trio, pass sleep=") from error


def _ignore(*_: object) -> None:
    pass


def _no_answer(_: object) -> None:
    return None


def _require(valid: bool, name: str, wanted: str, value: object) -> None:
    if not valid:
        raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


def _require_functions(functions: dict[str, Any], *, is_async: bool) -> None:
    """Raise a TypeError for what cannot be called, or gives what nobody would await."""
    for name, function in functions.items():
        _require(function is None or callable(function), name, "callable", function)
        if name == "is_transient" or not is_async:
            refuse_coroutine_function(name, function)


def _require_opener(connect: Any) -> None:
    """Raise a TypeError for what opens no stream, such as what other libraries' sources take."""
    hint = ""
    if isinstance(connect, str):
        hint = "; to follow a URL, take subscribe or asubscribe of your client's adapter"
    elif hasattr(connect, "headers"):
        hint = "; to read a response, take iter_events or aiter_events of its client's adapter"
    if not callable(connect):
        what = "callable: a function that opens a stream"
        raise TypeError(f"connect must be {what}, not {type(connect).__name__}{hint}")


async def _finish(result: Any) -> None:
    if hasattr(result, "__await__"):
        await result
