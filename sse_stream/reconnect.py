# SPDX-License-Identifier: MIT
"""Connections that last: read events, and connect again where the last connection broke off (WHATWG HTML 9.2.3).

Provisional: names and defaults may change until 0.2.

Strategy: `ReconnectionPolicy` is numbers, and its `start()` gives the state of one source, which does no I/O: told what
happened, it answers with the next delay. `EventSource` and `AsyncEventSource` drive it over any function that opens a
connection; each adapter's `subscribe` and `asubscribe` are that for its client. Every connection has a decoder of its own, so
that what one connection left unfinished never meets what the next one sends. Nothing runs in the background: connecting,
reading and waiting happen in the call that asks for the next event.

Cost: a few calls for each event; nothing is kept but the present stream, the ID and the reconnection time.
"""

from __future__ import annotations

import threading
import time
from collections import namedtuple

from .decoder import SSEDecoder, SSEError
from .handshake import StatusError, shown_url
from .streams import AsyncEventStream, EventStream, _AsyncClosing, _Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable
    from typing import Any, Literal, NamedTuple, TypeVar

    from .decoder import ServerSentEvent

    Source = TypeVar("Source", bound="_Source")

__all__ = [
    "TRANSIENT_STATUSES",
    "AsyncEventSource",
    "EventSource",
    "Reconnection",
    "ReconnectionPolicy",
    "is_refused_certificate",
    "make_source",
]

#: The statuses after which a connection is tried again: those that say "later", or that a gateway gives for its server.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

# A `retry` above this, 11 days in milliseconds, counts as this: it may have any number of digits.
_MAX_RETRY = 10**9

if TYPE_CHECKING:

    class _Numbers(NamedTuple):
        initial: float = 1.0
        factor: float = 2.0
        maximum: float = 30.0
        jitter: float = 0.5
        max_attempts: int | None = 8
        max_elapsed: float | None = None
        max_retry_after: float = 300.0
        reconnect_on_end: bool = True

else:
    _Numbers = namedtuple(
        "_Numbers",
        "initial factor maximum jitter max_attempts max_elapsed max_retry_after reconnect_on_end",
        defaults=(1.0, 2.0, 30.0, 0.5, 8, None, 300.0, True),
    )
    _Numbers._make = classmethod(lambda cls, iterable: cls(*iterable))  # so that `_replace` checks, too


class ReconnectionPolicy(_Numbers):
    """Say how long to wait before connecting again, and when to give up. An immutable tuple; all times in seconds.

    initial: the first delay, and the one after a connection that brought an event.
    factor:  by what the delay grows from one to the next without an event; at least 1.
    maximum: what it grows to at most.
    jitter:  what is added at random, as a share of the delay: 0.5 makes it 1 to 1.5 times as long. 0: nothing.
    max_attempts: how many connections in a row may be tried after a failure without getting an event; None: no limit. A
        connection that the server ended in good order is no failure.
    max_elapsed: how long it may go on without an event, the delays included; None: no limit. The time on a connection that is
        up does not count, so that a stream may be silent.
    max_retry_after: the longest `Retry-After` that is waited for. A longer one ends the source: its StatusError is raised.
    reconnect_on_end: False: when the server ends a stream in good order, the source ends, as the replies of LLM services do.

    A delay is never below the server's `retry` and `Retry-After`, which may exceed `maximum`. Raises ValueError or TypeError
    for numbers out of range or of the wrong kind.
    """

    __slots__ = ()

    def __new__(
        cls,
        initial: float = 1.0,
        factor: float = 2.0,
        maximum: float = 30.0,
        jitter: float = 0.5,
        max_attempts: int | None = 8,
        max_elapsed: float | None = None,
        max_retry_after: float = 300.0,
        reconnect_on_end: bool = True,
    ) -> ReconnectionPolicy:
        """Check the numbers."""
        if max_attempts is not None and not isinstance(max_attempts, int):
            raise TypeError(f"max_attempts must be an int or None for no limit, not {type(max_attempts).__name__}")
        limits = [("initial", initial, 0), ("factor", factor, 1), ("maximum", maximum, 0), ("jitter", jitter, 0)]
        limits.append(("max_retry_after", max_retry_after, 0))
        limits += [(name, n, 0) for name, n in (("max_attempts", max_attempts), ("max_elapsed", max_elapsed)) if n is not None]
        for name, number, least in limits:
            if not isinstance(number, (int, float)):
                raise TypeError(f"{name} must be a number, not {type(number).__name__}")
            if not least <= number < float("inf"):
                raise ValueError(f"{name} must be finite and at least {least}, not {number}")
        return super().__new__(
            cls, initial, factor, maximum, jitter, max_attempts, max_elapsed, max_retry_after, reconnect_on_end
        )

    def start(self, *, random: Callable[[], float] | None = None, clock: Callable[[], float] = time.monotonic) -> Reconnection:
        """Return the state of one source. With a `random` (0 to 1) and a `clock` (seconds) of one's own it is deterministic."""
        if random is None:
            import random as source  # here: it costs more to import than this module

            random = source.random
        return Reconnection(self, random, clock)


class Reconnection:
    """The state of one source under a policy: told what happens, answer how many seconds to wait, or "stop". No I/O.

    Made by `ReconnectionPolicy.start`.
    """

    __slots__ = ("_backoff", "_clock", "_failures", "_policy", "_random", "_spent", "_without_since")

    def __init__(self, policy: ReconnectionPolicy, random: Callable[[], float], clock: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._clock = clock
        self._backoff = min(policy.initial, policy.maximum)
        self._failures = 0  # since the last event
        self._spent = 0.0  # seconds without a connection that is up, since the last event
        self._without_since: float | None = clock()  # when the present time without a connection began

    def connected(self) -> None:
        """Note that a connection is up: the server has answered with an event stream."""
        if self._without_since is not None:
            self._spent += self._clock() - self._without_since
            self._without_since = None

    def event(self) -> None:
        """Note that an event came: the connection is healthy, and all is as at the start."""
        self._failures = 0
        self._backoff = min(self._policy.initial, self._policy.maximum)
        self._spent = 0.0

    def ended(self, *, retry: int | None = None) -> float | Literal["stop"]:
        """Answer to a connection's end in good order.

        retry: the server's reconnection time in milliseconds, if it named one.
        """
        if not self._policy.reconnect_on_end:
            return "stop"
        return self._next_delay(retry, 0)

    def failed(self, *, retry: int | None = None, retry_after: float | None = None) -> float | Literal["stop"]:
        """Answer to a connection that broke, or that could not be made.

        retry: as in `ended`.
        retry_after: how many seconds the server has asked to wait, if it did.
        """
        limits = self._policy
        self._failures += 1
        if limits.max_attempts is not None and self._failures > limits.max_attempts:
            return "stop"
        if retry_after is not None and retry_after > limits.max_retry_after:
            return "stop"
        return self._next_delay(retry, retry_after or 0)

    def _next_delay(self, retry: int | None, least: float) -> float | Literal["stop"]:
        now = self._clock()
        if self._without_since is None:
            self._without_since = now
        delay = max(self._backoff, least, min(retry or 0, _MAX_RETRY) / 1000)
        delay += delay * self._policy.jitter * self._random()
        limit = self._policy.max_elapsed
        if limit is not None and self._spent + (now - self._without_since) + delay > limit:
            return "stop"
        self._backoff = min(self._backoff * self._policy.factor, self._policy.maximum)
        return delay


class _Source:
    """What both sources share: the present stream, what outlives it, and what becomes of the source after it."""

    _kind: type[Any]

    def __init__(
        self,
        connect: Any,
        *,
        policy: ReconnectionPolicy | None = None,
        last_event_id: str = "",
        is_transient: Callable[[Exception], bool] | None = None,
        on_connect: Any = None,
        on_disconnect: Any = None,
        sleep: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(last_event_id, str):
            raise TypeError(f'last_event_id must be a str ("" for none), not {type(last_event_id).__name__}')
        if policy is None:
            policy = ReconnectionPolicy()
        elif not isinstance(policy, ReconnectionPolicy):
            raise TypeError(f"policy must be a ReconnectionPolicy, not {type(policy).__name__}")
        functions = {"connect": connect, "is_transient": is_transient or _is_os_error, "clock": clock}
        optional = {"on_connect": on_connect, "on_disconnect": on_disconnect, "sleep": sleep}
        for name, function in {**functions, **{name: f for name, f in optional.items() if f is not None}}.items():
            if not callable(function):
                raise TypeError(f"{name} must be callable, not {type(function).__name__}")
        self._connect: Any = connect
        self._policy = policy
        self._clock = clock
        self._is_transient = is_transient or _is_os_error
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self._sleep = sleep
        self._state: Reconnection | None = None  # None until the first connection
        self._opening: Any = None  # what is to be left
        self._stream: Any = None
        self._id = last_event_id  # in force when the present stream began
        self._id_of_stream = ""  # that from which its decoder started
        self._retry: int | None = None
        self._shown = "the event source"  # in logs
        self._closed = False  # by the caller
        self._ended = False  # nothing more will be read

    @property
    def last_event_id(self) -> str:
        """The ID to resume from after the event handed out last, "" for none; it outlives a connection."""
        if self._stream is not None and self._stream.last_event_id != self._id_of_stream:
            id_: str = self._stream.last_event_id
            return id_
        return self._id

    @property
    def retry(self) -> int | None:
        """The reconnection time in milliseconds that the server named last, or None; it outlives a connection."""
        if self._stream is not None and self._stream.retry is not None:
            retry: int = self._stream.retry
            return retry
        return self._retry

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._ended else "open" if self._stream else "not connected"
        return f"<{type(self).__name__} {state}, last_event_id={self.last_event_id!r}>"

    def _start(self) -> Reconnection:
        self._state = self._state or self._policy.start(clock=self._clock)
        return self._state

    def _enter(self, opening: Any, stream: Any) -> None:
        """Take a connection that has been opened."""
        self._opening = opening
        if not isinstance(stream, self._kind):
            raise TypeError(
                f"connect must return a context manager of an {self._kind.__name__}, not of {type(stream).__name__}"
            )
        self._id_of_stream = stream.last_event_id
        self._stream = stream
        self._start().connected()
        _log("%s: connected, Last-Event-ID %r", self._shown, self._id)

    def _detach(self) -> Any:
        """Let go of the present stream, but for what outlives it; return what is to be left."""
        self._id, self._retry = self.last_event_id, self.retry
        opening, self._opening, self._stream = self._opening, None, None
        return opening

    def _decide(self, error: Exception | None, status: int | None) -> float | None:
        """Return how long to wait before the next connection; None if that was the last."""
        state = self._start()
        answer: float | Literal["stop"] = "stop"
        if error is None:
            if status != 204:  # 9.2.3: a server's way to say that there is nothing more
                answer = state.ended(retry=self._retry)
        elif isinstance(error, StatusError):
            if error.status in TRANSIENT_STATUSES:
                answer = state.failed(retry=self._retry, retry_after=_retry_after(error))
        elif not isinstance(error, SSEError) and self._is_transient(error):
            answer = state.failed(retry=self._retry)
        # A client's exception may show the URL with its query: only its class is logged.
        cause = "end of stream" if error is None else f"{type(error).__name__} {getattr(error, 'status', '')}".rstrip()
        if answer == "stop":
            self._ended = True
            _log("%s: %s, no further connection", self._shown, cause)
            return None
        _log("%s: %s, next connection in %.3f s", self._shown, cause, answer)
        return answer


class EventSource(_Source, _Closing):
    """Iterate over the events of a stream that is connected to again whenever it breaks. An iterator and a context manager.

    connect: called as `connect(last_event_id=...)` for each connection; returns a context manager of an EventStream, whose
        entering may raise. The stream's decoder should start from that ID, and should discard an incomplete event.
    policy:  a ReconnectionPolicy; None: the default one.
    last_event_id: the ID to resume from, "" for none.
    is_transient: whether an exception of the client is a broken connection; by default OSErrors are. An adapter's
        `is_transient` knows its client's. It is not asked about SSEErrors: of these, StatusError with a status in
        TRANSIENT_STATUSES is tried again, the others are raised.
    on_connect: called with the EventStream of each connection before its first event.
    on_disconnect: called after each connection that ended, broke or could not be made, with the exception or None, and the
        delay in seconds or None if there will be no other. Not called by `close`.
    sleep:   called with each delay instead of waiting; then `close` cannot cut the wait short.
    clock:   the time in seconds, for the policy's `max_elapsed`.

    Raises what is not tried again, and the last exception when the policy gives up; ends when the server answers 204, and where
    the policy gives up after an end in good order. What a callback raises passes through. After any of these the source has
    ended; `last_event_id` and `retry` stay readable.
    """

    _kind = EventStream

    def __init__(
        self,
        connect: Callable[..., Any],
        *,
        policy: ReconnectionPolicy | None = None,
        last_event_id: str = "",
        is_transient: Callable[[Exception], bool] | None = None,
        on_connect: Callable[[EventStream], object] | None = None,
        on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            connect, policy=policy, last_event_id=last_event_id, is_transient=is_transient,
            on_connect=on_connect, on_disconnect=on_disconnect, sleep=sleep, clock=clock,
        )  # fmt: skip
        self._lock = threading.RLock()  # for a moment only: of who reads, and of what is to be left
        self._reader: int | None = None  # the thread that is in `__next__`
        self._wake = threading.Event()

    @property
    def stream(self) -> EventStream | None:
        """The EventStream of the present connection, None while there is none."""
        stream: EventStream | None = self._stream
        return stream

    def __next__(self) -> ServerSentEvent:
        with self._lock:
            if self._reader is not None:
                raise RuntimeError("two threads wait for this source at once; let one read and pass the events on")
            if not self._closed:
                self._reader = threading.get_ident()
        event = None
        try:
            while event is None and not self._ended and not self._closed:
                if self._stream is None:
                    self._open()
                else:
                    event = self._read()
        except BaseException as error:
            self._ended = True
            try:
                self._leave(error)
            except Exception:  # the first error matters more
                pass
            raise
        finally:
            with self._lock:
                self._reader = None
            if self._closed:
                self._leave()
        if event is None:
            raise StopIteration
        return event

    def _open(self) -> None:
        self._start()
        try:
            opening = self._connect(last_event_id=self._id)
            stream = opening.__enter__()
        except Exception as error:
            self._go_on(error)
            return
        self._enter(opening, stream)
        if self._on_connect is not None:
            self._on_connect(stream)

    def _read(self) -> ServerSentEvent | None:
        try:
            event: ServerSentEvent = next(self._stream)
        except StopIteration:
            error = None
        except Exception as fault:
            error = fault
        else:
            self._start().event()
            return event
        status = _status(self._stream)
        try:
            self._leave(error)
        except Exception as fault:
            error = error or fault
        self._go_on(error, status)
        return None

    def _go_on(self, error: Exception | None, status: int | None = None) -> None:
        """Wait for the next connection, or end."""
        if self._closed:
            return
        delay = self._decide(error, status)
        if self._on_disconnect is not None:
            self._on_disconnect(error, delay)
        if delay is not None:
            if self._sleep is not None:
                self._sleep(delay)
            else:
                self._wake.wait(min(delay, threading.TIMEOUT_MAX))
        elif error is not None:
            try:
                raise error
            finally:
                del error  # no cycle of the error and this frame

    def _leave(self, error: BaseException | None = None) -> None:
        with self._lock:
            opening = self._detach()
        if opening is not None:
            opening.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)

    def close(self) -> None:
        """Release the connection, and end: a wait for the next one at once, from any thread.

        While another thread is reading, its read ends at once with pycurl, and with requests and urllib3 on urllib3 2.3 or
        later; with httpx and urllib, when the next bytes come or the read timeout has passed. That thread releases the
        connection then.
        """
        with self._lock:
            self._closed = True
            reader, stream = self._reader, self._stream
        self._wake.set()
        if reader is None:
            self._leave()
        elif stream is not None:
            if reader == threading.get_ident():  # within a callback
                stream.close()
            else:
                _wake_reader(stream)


class AsyncEventSource(_Source, _AsyncClosing):
    """Iterate as EventSource does, over connections that are async context managers of an AsyncEventStream.

    sleep: as `asyncio.sleep`, awaited with each delay; needed outside asyncio: `sleep=trio.sleep`.

    All that EventSource says holds, with `aclose` for `close`; what `on_connect` and `on_disconnect` return is awaited if it
    can be. On asyncio without a `sleep`, `aclose` from another task ends a wait at once; with one, and on trio, cancel the
    task. RuntimeError outside a running asyncio loop without `sleep`.
    """

    _kind = AsyncEventStream

    def __init__(
        self,
        connect: Callable[..., Any],
        *,
        policy: ReconnectionPolicy | None = None,
        last_event_id: str = "",
        is_transient: Callable[[Exception], bool] | None = None,
        on_connect: Callable[[AsyncEventStream], object] | None = None,
        on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            connect, policy=policy, last_event_id=last_event_id, is_transient=is_transient,
            on_connect=on_connect, on_disconnect=on_disconnect, sleep=sleep, clock=clock,
        )  # fmt: skip
        self._reading = False
        self._waiter: Future[None] | None = None

    @property
    def stream(self) -> AsyncEventStream | None:
        """The AsyncEventStream of the present connection, None while there is none."""
        stream: AsyncEventStream | None = self._stream
        return stream

    async def __anext__(self) -> ServerSentEvent:
        if self._reading:
            raise RuntimeError("two tasks wait for this source at once; let one read and pass the events on")
        self._reading = True
        event = None
        try:
            while event is None and not self._ended and not self._closed:
                if self._stream is None:
                    await self._open()
                else:
                    event = await self._read()
            if self._closed:
                await self._leave()
        except GeneratorExit:
            self._ended = True  # the coroutine was closed or collected: nothing can be awaited
            raise
        except BaseException as error:
            self._ended = True
            try:
                await self._leave(error)
            except Exception:
                pass
            raise
        finally:
            self._reading = False
        if event is None:
            raise StopAsyncIteration
        return event

    async def _open(self) -> None:
        self._start()
        if self._sleep is None:
            _running_loop()  # now, not at the first fault
        try:
            opening = self._connect(last_event_id=self._id)
            stream = await opening.__aenter__()
        except Exception as error:
            await self._go_on(error)
            return
        self._enter(opening, stream)
        if self._on_connect is not None:
            await _finish(self._on_connect(stream))

    async def _read(self) -> ServerSentEvent | None:
        try:
            event: ServerSentEvent = await self._stream.__anext__()
        except StopAsyncIteration:
            error = None
        except Exception as fault:
            error = fault
        else:
            self._start().event()
            return event
        status = _status(self._stream)
        try:
            await self._leave(error)
        except Exception as fault:
            error = error or fault
        await self._go_on(error, status)
        return None

    async def _go_on(self, error: Exception | None, status: int | None = None) -> None:
        """As EventSource._go_on."""
        if self._closed:
            return
        delay = self._decide(error, status)
        if self._on_disconnect is not None:
            await _finish(self._on_disconnect(error, delay))
        if delay is not None:
            if self._sleep is not None:
                await self._sleep(delay)
            elif not self._closed:
                await self._wait(delay)
        elif error is not None:
            try:
                raise error
            finally:
                del error  # as there

    async def _wait(self, delay: float) -> None:
        loop = _running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(delay, self._end_wait)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _end_wait(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _leave(self, error: BaseException | None = None) -> None:
        opening = self._detach()
        if opening is not None:
            await opening.__aexit__(type(error) if error else None, error, error.__traceback__ if error else None)

    async def aclose(self) -> None:
        """Release the connection, and end, whatever another task waits for; that of a task which is connecting, afterwards."""
        self._closed = True
        self._end_wait()
        if not self._reading:
            await self._leave()
        elif self._stream is not None:
            await self._stream.aclose()


# What the adapters' `subscribe` and `asubscribe` share.


def make_source(
    kind: type[Source],
    open_with: Callable[[SSEDecoder], Any],
    url: Any,
    request_options: dict[str, Any],
    *,
    make_decoder: Callable[..., SSEDecoder] | None,
    last_event_id: str,
    **options: Any,
) -> Source:
    """Return the source whose connections `open_with` opens, each with a decoder of its own: every adapter's `subscribe`.

    make_decoder: called as `make_decoder(last_event_id=...)` for each connection; by default an SSEDecoder with
        `incomplete="discard"`, since what a silent end cuts off comes again. The ID it starts from is the one that is sent.
    request_options: what the request is made of. TypeError for a body that can be sent only once: an iterator, a file.
    last_event_id, policy, is_transient, on_connect, on_disconnect, sleep: as EventSource takes them.

    The first connection is prepared here, so that a mistake in the options is found before anything is sent.
    """
    for name in ("content", "data", "json", "body", "files", "fields"):
        _refuse_body_for_once(name, request_options.get(name))
    make: Any = make_decoder or _make_decoder
    prepared: list[Any] = []

    def connect(last_event_id: str) -> Any:
        return prepared.pop() if prepared else open_with(make(last_event_id=last_event_id))

    source = kind(connect, last_event_id=last_event_id, **options)
    source._shown = shown_url(str(url))
    prepared.append(connect(last_event_id))
    return source


def is_refused_certificate(error: BaseException) -> bool:
    """Whether an exception, or what it was made from, is a certificate that was not accepted: no broken connection."""
    seen: list[BaseException] = []
    cause: Any = error
    while isinstance(cause, BaseException) and cause not in seen:
        if type(cause).__name__ == "SSLCertVerificationError":  # of `ssl`, which is not imported for that
            return True
        seen.append(cause)
        wrapped = [part for part in (getattr(cause, "reason", None), *cause.args) if isinstance(part, BaseException)]
        cause = wrapped[0] if wrapped else cause.__cause__ or cause.__context__
    return False


def _make_decoder(last_event_id: str) -> SSEDecoder:
    return SSEDecoder(last_event_id=last_event_id, incomplete="discard")


def _refuse_body_for_once(name: str, body: Any) -> None:
    """Raise TypeError for what the first connection would use up: iterators, files, and what holds them."""
    if type(body) in (dict, list, tuple):
        for part in (body.values() if hasattr(body, "values") else body) if name not in ("json", "content") else ():
            _refuse_body_for_once(name, part)
        return
    if any(hasattr(body, attribute) for attribute in ("__next__", "__anext__", "read", "add_field")):
        raise TypeError(
            f"{name} holds {type(body).__name__}, which can be sent only once, and each connection sends it again: "
            "pass bytes, str or a dict"
        )


def _is_os_error(error: Exception) -> bool:
    return isinstance(error, OSError)


def _status(stream: Any) -> int | None:
    response = stream.response
    return getattr(response, "status_code", None) or getattr(response, "status", None)


def _retry_after(error: StatusError) -> float | None:
    """Return how many seconds the server asks to wait (RFC 9110, 10.2.3); None if it does not, or not legibly."""
    text = error.headers.get("Retry-After", "").strip()
    if not text or (text.isascii() and text.isdigit()):
        return float(text) if text else None  # inf for 400 digits
    from email.utils import parsedate_to_datetime

    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        now = parsedate_to_datetime(error.headers["Date"]).timestamp()  # by the same clock
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        now = time.time()
    return max(0.0, at - now)


def _wake_reader(stream: EventStream) -> None:
    """End the read of another thread, where that is possible."""
    response = stream.response
    if not hasattr(stream._state._chunks, "gi_running"):
        stream.close()  # that of pycurl may be closed from any thread
        return
    # `close` would wait for the lock which the read holds. urllib3, alone or beneath requests, has what does not.
    shutdown = getattr(response, "shutdown", None) or getattr(getattr(response, "raw", None), "shutdown", None)
    if shutdown is not None:
        try:
            shutdown()
        except Exception:  # the connection is gone already, or has no socket
            pass


async def _finish(result: Any) -> None:
    if hasattr(result, "__await__"):
        await result


def _running_loop() -> AbstractEventLoop:
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError as error:
        raise RuntimeError(
            "there is no running asyncio event loop: elsewhere, pass sleep=, such as sleep=trio.sleep"
        ) from error


def _log(message: str, *values: object) -> None:
    from logging import getLogger  # here: it costs more to import than all of this package

    getLogger("sse_stream").debug(message, *values)
