# SPDX-License-Identifier: MIT
"""Read events, and connect again after a break (WHATWG HTML 9.2.3). Provisional until 0.2.

Nothing runs in the background: the call that asks for an event connects, reads and waits.
"""

from __future__ import annotations

import threading
import time
from collections import namedtuple
from functools import partial

from .decoder import SSEDecoder, SSEError
from .handshake import StatusError, shown_url
from .streams import AsyncEventStream, EventStream, _AsyncClosing, _Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, Literal, NamedTuple, Protocol, TypeVar

    from .decoder import ServerSentEvent

    Answer = float | Literal["stop"]
    Source = TypeVar("Source", bound="_Source")
    Client = TypeVar("Client", contravariant=True)
    URL = TypeVar("URL", contravariant=True)

    class Subscribe(Protocol[Client, URL]):
        def __call__(
            self,
            client: Client,
            method: str,
            url: URL,
            *,
            make_decoder: Callable[..., SSEDecoder] | None = None,
            policy: ReconnectionPolicy | None = None,
            last_event_id: str = "",
            check: bool = True,
            on_connect: Callable[[EventStream], object] | None = None,
            on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
            sleep: Callable[[float], object] | None = None,
            **request_options: Any,
        ) -> EventSource: ...

    class AsyncSubscribe(Protocol[Client, URL]):
        def __call__(
            self,
            client: Client,
            method: str,
            url: URL,
            *,
            make_decoder: Callable[..., SSEDecoder] | None = None,
            policy: ReconnectionPolicy | None = None,
            last_event_id: str = "",
            check: bool = True,
            on_connect: Callable[[AsyncEventStream], object] | None = None,
            on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
            sleep: Callable[[float], Awaitable[object]] | None = None,
            **request_options: Any,
        ) -> AsyncEventSource: ...

    class _Numbers(NamedTuple):
        initial: float
        factor: float
        maximum: float
        jitter: float
        max_attempts: int | None
        max_elapsed: float | None
        max_retry_after: float
        reconnect_on_end: bool

else:
    _Numbers = namedtuple(
        "_Numbers",
        "initial factor maximum jitter max_attempts max_elapsed max_retry_after reconnect_on_end",
    )
    _Numbers._make = classmethod(
        lambda cls, iterable: cls(*iterable)
    )  # lest `_replace` skip the checks


__all__ = [
    "TRANSIENT_STATUSES",
    "AsyncEventSource",
    "EventSource",
    "Reconnection",
    "ReconnectionPolicy",
    "is_refused_certificate",
    "make_source",
    "make_subscribe",
]

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class ReconnectionPolicy(_Numbers):
    """When to connect again, and when to give up. An immutable tuple; times in seconds.

    initial: the first delay, and the one after an event.
    factor: what each delay grows by; at least 1.
    maximum: what it grows to.
    jitter: the largest share of it added at random.
    max_attempts: how many failures without an event between are tried again; None: all.
    max_elapsed: how long there may be neither event nor connection; None: for ever.
    max_retry_after: the longest `Retry-After` obeyed.
    reconnect_on_end: whether to connect again after an end in good order.

    A delay is never below the server's `retry` and `Retry-After`.
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
        """TypeError for another type, ValueError out of range."""
        policy = super().__new__(
            cls,
            initial,
            factor,
            maximum,
            jitter,
            max_attempts,
            max_elapsed,
            max_retry_after,
            reconnect_on_end,
        )
        values: dict[str, Any] = policy._asdict()
        for name, value in values.items():
            if value is None and name in ("max_attempts", "max_elapsed"):
                continue
            kind = int if name == "max_attempts" else bool if name == "reconnect_on_end" else float
            if not isinstance(value, (int, kind)):
                raise TypeError(f"{name} must be {kind.__name__}, not {type(value).__name__}")
            least = 1 if name == "factor" else 0
            if not least <= value < float("inf"):
                raise ValueError(f"{name} must be finite and at least {least}, not {value}")
        return policy

    def start(
        self,
        *,
        random: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Reconnection:
        """Start one source; `random` gives 0 to 1, `clock` seconds."""
        if random is None:
            import random as source  # slow to import

            random = source.random
        return Reconnection(self, random, clock)


class Reconnection:
    """The state of one source, without I/O: told what happened, gives the seconds to wait, or "stop".

    retry: the server's reconnection time in milliseconds; retry_after: in seconds.
    """

    def __init__(
        self, policy: ReconnectionPolicy, random: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._random = random
        self._clock = clock
        self._down_since: float | None = clock()  # None while a connection is up
        self.event()

    def connected(self) -> None:
        """Note that a stream is open."""
        if self._down_since is not None:
            self._down = self._clock() - self._down_since
            self._down_since = None

    def event(self) -> None:
        """Note that an event came."""
        self._failures = 0
        self._backoff = min(self._policy.initial, self._policy.maximum)
        self._down = 0.0  # seconds without a connection, before this one

    def ended(self, *, retry: int | None = None) -> Answer:
        """Answer to an end in good order."""
        return self._next_delay(retry, 0) if self._policy.reconnect_on_end else "stop"

    def failed(self, *, retry: int | None = None, retry_after: float | None = None) -> Answer:
        """Answer to a broken connection, or none."""
        self._failures += 1
        most, least = self._policy.max_attempts, retry_after or 0
        if (most is not None and self._failures > most) or least > self._policy.max_retry_after:
            return "stop"
        return self._next_delay(retry, least)

    def _next_delay(self, retry: int | None, least: float) -> Answer:
        policy = self._policy
        now = self._clock()
        if self._down_since is None:
            self._down_since = now - self._down
        delay = max(
            self._backoff, least, min(retry or 0, 10**9) / 1000
        )  # it may have any number of digits
        delay += delay * policy.jitter * self._random()
        if policy.max_elapsed is not None and now - self._down_since + delay > policy.max_elapsed:
            return "stop"
        self._backoff = min(self._backoff * policy.factor, policy.maximum)
        return delay


class _Source:
    _kind: type[Any]
    _id_of_stream: str  # at its start
    _status: Any = None
    _state: Any = None  # a Reconnection, once it is connecting
    _opening: Any = None
    _stream: Any = None
    _retry: int | None = None
    _shown = "the event source"
    _closed = False  # by the caller
    _ended = False

    def __init__(self, connect: Any, policy: Any, last_event_id: str, *functions: Any) -> None:
        self._policy = ReconnectionPolicy() if policy is None else policy
        _require(
            isinstance(self._policy, ReconnectionPolicy), "policy", "a ReconnectionPolicy", policy
        )
        _require(isinstance(last_event_id, str), "last_event_id", "a str", last_event_id)
        self._connect = connect
        is_transient, on_connect, on_disconnect, self._sleep, self._clock = functions
        self._is_transient = is_transient or _is_os_error
        self._on_connect = on_connect or _ignore
        self._on_disconnect = on_disconnect or _ignore
        for name in ("connect", "is_transient", "on_connect", "on_disconnect", "sleep", "clock"):
            function = getattr(self, f"_{name}")
            _require(function is None or callable(function), name, "callable", function)
        self._id = last_event_id  # before the present stream

    @property
    def last_event_id(self) -> str:
        """The ID to resume from after the event handed out last, or ""."""
        event_id: str = getattr(self._stream, "last_event_id", self._id)
        return self._id if self._stream is None or event_id == self._id_of_stream else event_id

    @property
    def retry(self) -> int | None:
        """The server's last reconnection time in milliseconds, or None."""
        retry: int | None = getattr(self._stream, "retry", None)
        return self._retry if retry is None else retry

    def __repr__(self) -> str:
        state = (
            "closed"
            if self._closed
            else "ended"
            if self._ended
            else "open"
            if self._stream
            else "not connected"
        )
        return f"<{type(self).__name__} {state}, last_event_id={self.last_event_id!r}>"

    def _enter(self, opening: Any, stream: Any) -> None:
        self._opening = opening
        if not isinstance(stream, self._kind):
            raise TypeError(f"connect must return a context manager of an {self._kind.__name__}")
        self._id_of_stream = stream.last_event_id
        self._stream = stream
        self._state.connected()
        self._log("connected, Last-Event-ID %r", self._id)

    def _detach(self) -> Any:
        self._id, self._retry = self.last_event_id, self.retry
        response = getattr(self._stream, "response", None)
        self._status = getattr(response, "status_code", None) or getattr(response, "status", None)
        opening, self._opening, self._stream = self._opening, None, None
        return opening

    def _decide(self, error: Exception | None) -> float | None:
        answer: Answer = "stop"
        cause = type(error).__name__  # its text may show the URL's query
        if error is None:
            cause = "end of stream"
            if self._status != 204:  # 9.2.3
                answer = self._state.ended(retry=self._retry)
        elif isinstance(error, StatusError):
            cause += f" {error.status}"
            if error.status in TRANSIENT_STATUSES:
                answer = self._state.failed(retry=self._retry, retry_after=_retry_after(error))
        elif not isinstance(error, SSEError) and self._is_transient(error):
            answer = self._state.failed(retry=self._retry)
        if answer == "stop":
            self._ended = True
            self._log("%s, no further connection", cause)
            return None
        self._log("%s, next connection in %.3f s", cause, answer)
        return answer

    def _log(self, message: str, *values: object) -> None:
        from logging import getLogger  # slow to import

        getLogger("sse_stream").debug(f"%s: {message}", self._shown, *values)


class EventSource(_Source, _Closing):
    """An iterator over the events of a stream that connects again whenever it breaks, and a context manager.

    connect: called as `connect(last_event_id=...)` each time; returns a context manager of an EventStream, whose decoder should
        start from that ID and discard what is incomplete.
    is_transient: whether an exception is a broken connection; by default OSErrors. Of SSEErrors, only a StatusError in
        TRANSIENT_STATUSES is tried again.
    on_connect: called with each stream before its first event.
    on_disconnect: called after each end or failure, but for `close`, with the exception or None, and the delay or None.
    sleep: waits in place of the source; `close` cannot end it.

    Raises what is not tried again, the last exception when the policy gives up, and what a callback raises; ends at 204, or
    when the policy gives up after an end in good order.
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
            connect, policy, last_event_id, is_transient, on_connect, on_disconnect, sleep, clock
        )
        self._lock = threading.RLock()
        self._reader: int | None = None
        self._wake = threading.Event()

    @property
    def stream(self) -> EventStream | None:
        """The present connection's stream, or None."""
        stream: EventStream | None = self._stream
        return stream

    def __next__(self) -> ServerSentEvent:
        with self._lock:
            if self._reader is not None:
                raise RuntimeError("two threads wait for this source at once")
            self._reader = threading.get_ident()
        event: ServerSentEvent | None = None
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
            except Exception:
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
        self._state = self._state or self._policy.start(clock=self._clock)
        try:
            opening = self._connect(last_event_id=self._id)
            stream = opening.__enter__()
        except Exception as error:
            self._go_on(error)
        else:
            self._enter(opening, stream)
            self._on_connect(stream)

    def _read(self) -> Any:
        error: Exception | None = None
        try:
            for event in self._stream:
                self._state.event()
                return event
        except Exception as fault:
            error = fault
        try:
            self._leave(error)
        except Exception as fault:
            error = error or fault
        self._go_on(error)
        return None

    def _go_on(self, error: Exception | None) -> None:
        if self._closed:
            return
        delay = self._decide(error)
        self._on_disconnect(error, delay)
        if delay is None:
            if error is not None:
                raise error
        elif self._sleep is not None:
            self._sleep(delay)
        else:
            self._wake.wait(min(delay, threading.TIMEOUT_MAX))

    def _leave(self, error: BaseException | None = None) -> None:
        with self._lock:
            opening = self._detach()
        if opening is not None:
            opening.__exit__(error and type(error), error, error and error.__traceback__)

    def close(self) -> None:
        """Release the connection, and end; from any thread.

        Another thread's wait ends at once, its read too with pycurl and urllib3 2.3 (and requests), else with the next bytes or
        a timeout.
        """
        with self._lock:
            self._closed = True
            reader, stream = self._reader, self._stream
        self._wake.set()
        if reader is None:
            self._leave()
        elif stream and (
            reader == threading.get_ident() or not hasattr(stream._state._chunks, "gi_running")
        ):
            stream.close()  # within a callback; pycurl's from any thread
        elif stream:
            # `close` waits for the lock that the read holds; urllib3's `shutdown` does not.
            response = stream.response
            try:
                (getattr(response, "shutdown", None) or response.raw.shutdown)()
            except Exception:  # it has none, or no socket any more
                pass


class AsyncEventSource(_Source, _AsyncClosing):
    """`EventSource` over async context managers of an AsyncEventStream.

    sleep: needed outside asyncio: `trio.sleep`; end its wait by cancelling the task.

    What `on_connect` and `on_disconnect` return is awaited if it can be.
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
            connect, policy, last_event_id, is_transient, on_connect, on_disconnect, sleep, clock
        )
        self._reading = False
        self._wake: Any = None

    @property
    def stream(self) -> AsyncEventStream | None:
        """The present connection's stream, or None."""
        stream: AsyncEventStream | None = self._stream
        return stream

    async def __anext__(self) -> ServerSentEvent:
        if self._reading:
            raise RuntimeError("two tasks wait for this source at once")
        self._reading = True
        event: ServerSentEvent | None = None
        try:
            while event is None and not self._ended and not self._closed:
                if self._stream is None:
                    await self._open()
                else:
                    event = await self._read()
            if self._closed:
                await self._leave()
        except GeneratorExit:  # nothing can be awaited
            self._ended = True
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
        self._state = self._state or self._policy.start(clock=self._clock)
        if self._sleep is None:
            from asyncio import get_running_loop

            try:
                self._wake = get_running_loop().create_future()
            except RuntimeError as error:
                raise RuntimeError("outside asyncio, pass sleep=trio.sleep") from error
        try:
            opening = self._connect(last_event_id=self._id)
            stream = await opening.__aenter__()
        except Exception as error:
            await self._go_on(error)
        else:
            self._enter(opening, stream)
            await _finish(self._on_connect(stream))

    async def _read(self) -> Any:
        error: Exception | None = None
        try:
            async for event in self._stream:
                self._state.event()
                return event
        except Exception as fault:
            error = fault
        try:
            await self._leave(error)
        except Exception as fault:
            error = error or fault
        await self._go_on(error)
        return None

    async def _go_on(self, error: Exception | None) -> None:
        if self._closed:
            return
        delay = self._decide(error)
        await _finish(self._on_disconnect(error, delay))
        if delay is None:
            if error is not None:
                raise error
        elif self._sleep is not None:
            await self._sleep(delay)
        else:
            from asyncio import wait

            await wait([self._wake], timeout=delay)

    async def _leave(self, error: BaseException | None = None) -> None:
        opening = self._detach()
        if opening is not None:
            await opening.__aexit__(error and type(error), error, error and error.__traceback__)

    async def aclose(self) -> None:
        """Release the connection, and end; another task's read or wait ends at once."""
        self._closed = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        if not self._reading:
            await self._leave()
        elif self._stream is not None:
            await self._stream.aclose()


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
    """Return the source over connections that `open_with` makes for a decoder.

    make_decoder: called as `make_decoder(last_event_id=...)` each time; by default an SSEDecoder with `incomplete="discard"`,
        as what an end cuts off comes again. The ID that it starts from is sent.
    request_options: TypeError for a body that can be sent only once: an iterator, a file.
    options: as EventSource takes them.

    The first connection is prepared at once, to find mistakes.
    """
    if "decoder" in request_options:
        raise TypeError(
            "each connection needs a decoder of its own: pass make_decoder in place of decoder"
        )
    for name in ("content", "data", "json", "body", "files", "fields"):
        _refuse_body_for_once(name, request_options.get(name))
    new_decoder = (
        partial(SSEDecoder, incomplete="discard") if make_decoder is None else make_decoder
    )
    prepared: list[Any] = []

    def connect(last_event_id: str) -> Any:
        return prepared.pop() if prepared else open_with(new_decoder(last_event_id=last_event_id))

    source = kind(connect, last_event_id=last_event_id, **options)
    source._shown = shown_url(str(url))
    prepared.append(connect(last_event_id))
    return source


def make_subscribe(
    kind: type[_Source], connect: Callable[..., Any], is_transient: Callable[[Exception], bool]
) -> Any:
    """Return an adapter's `subscribe`, or over `aconnect` its `asubscribe`."""

    def subscribe(
        client: Any,
        method: str,
        url: Any,
        *,
        make_decoder: Callable[..., SSEDecoder] | None = None,
        policy: ReconnectionPolicy | None = None,
        last_event_id: str = "",
        check: bool = True,
        on_connect: Callable[[Any], object] | None = None,
        on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
        sleep: Callable[[float], Any] | None = None,
        **request_options: Any,
    ) -> Any:
        """Return a source over `connect`, with options as `reconnect.make_source` explains them."""
        return make_source(
            kind,
            lambda decoder: connect(
                client, method, url, decoder=decoder, check=check, **request_options
            ),
            url,
            request_options,
            make_decoder=make_decoder,
            policy=policy,
            last_event_id=last_event_id,
            is_transient=is_transient,
            on_connect=on_connect,
            on_disconnect=on_disconnect,
            sleep=sleep,
        )

    subscribe.__module__ = connect.__module__
    subscribe.__name__ = subscribe.__qualname__ = connect.__name__.replace("connect", "subscribe")
    subscribe.__annotations__["return"] = kind.__name__
    return subscribe


def is_refused_certificate(error: BaseException) -> bool:
    """Whether an exception comes from a refused certificate: no broken connection."""
    made_from: list[Any] = [error]
    for part in made_from:
        if type(part).__name__ == "SSLCertVerificationError":  # `ssl` may be missing
            return True
        wrapped = (getattr(part, "reason", None), part.__cause__, *part.args)
        made_from += [
            other
            for other in wrapped
            if isinstance(other, BaseException) and other not in made_from
        ]
    return False


def _refuse_body_for_once(name: str, body: Any) -> None:
    if type(body) in (dict, list, tuple):
        for part in body.values() if hasattr(body, "values") else body:
            _refuse_body_for_once(name, part)
    elif any(
        hasattr(body, attribute) for attribute in ("__next__", "__anext__", "read", "add_field")
    ):
        raise TypeError(
            f"{name} holds {type(body).__name__}, which can be sent only once; pass bytes, str or a dict"
        )


def _is_os_error(error: Exception) -> bool:
    return isinstance(error, OSError)


def _ignore(*_: object) -> None:
    pass


def _require(valid: bool, name: str, wanted: str, value: object) -> None:
    if not valid:
        raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


def _retry_after(error: StatusError) -> float:
    # RFC 9110, 10.2.3
    text = error.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)  # inf for 400 digits
    now = _timestamp(error.headers.get("Date"), time.time())  # by the same clock
    return max(0.0, _timestamp(text, now) - now)


def _timestamp(date: Any, default: float) -> float:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return default


async def _finish(result: Any) -> None:
    if hasattr(result, "__await__"):
        await result
