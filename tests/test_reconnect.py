# SPDX-License-Identifier: MIT
"""Sources over in-process servers: no clock and no sleep but those that a test passes in."""

from __future__ import annotations

import asyncio
import logging
import pickle
import random
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import sse_stream
from sse_stream import (
    AsyncEventStream,
    ContentTypeError,
    EventStream,
    EventTooLargeError,
    IncompleteEventError,
    ResponseError,
    SSEDecoder,
    StatusError,
)
from sse_stream.reconnect import (
    TRANSIENT_STATUSES,
    AsyncEventSource,
    EventSource,
    ReconnectionPolicy,
    is_refused_certificate,
    make_source,
    make_subscribe,
)
from sse_stream.streams import Opening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator

    Sleep = Callable[[float], Awaitable[None]]

GUARD = 6  # seconds after which something that should have happened at once has not
CALM = ReconnectionPolicy(jitter=0)


class Clock:
    """A clock that only sleeping, and the test, moves on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, delay: float) -> None:
        self.slept.append(delay)
        self.now += delay

    async def asleep(self, delay: float) -> None:
        self.sleep(delay)


class Response:
    def __init__(self, status: int = 200, name: str = "status") -> None:
        setattr(self, name, status)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Script:
    """What a server does at each connection: an exception, a status, or chunks and what comes after them.

    ids: what each connection resumed from. streams: those that were opened.
    """

    def __init__(self, *answers: Any, then: Any = 204) -> None:
        self.answers = iter(answers)
        self.then = then
        self.ids: list[str] = []
        self.streams: list[Any] = []

    def _answer(self, last_event_id: str) -> tuple[list[Any], dict[str, Any]]:
        self.ids.append(last_event_id)
        answer = next(self.answers, self.then)
        if isinstance(answer, BaseException):
            raise answer
        status = answer if isinstance(answer, int) else 200
        decoder = SSEDecoder(last_event_id=last_event_id, incomplete="discard")
        return ([] if isinstance(answer, int) else answer), {
            "decoder": decoder,
            "response": Response(status),
        }

    def connect(self, last_event_id: str) -> EventStream:
        parts, options = self._answer(last_event_id)
        stream = EventStream(_chunks(parts), **options)
        self.streams.append(stream)
        return stream

    def aconnect(self, last_event_id: str) -> AsyncEventStream:
        parts, options = self._answer(last_event_id)
        stream = AsyncEventStream(_achunks(parts), **options)
        self.streams.append(stream)
        return stream


def _chunks(parts: Iterable[Any]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, BaseException):
            raise part
        yield part


async def _achunks(parts: Iterable[Any]) -> AsyncIterator[bytes]:
    for part in parts:
        if isinstance(part, BaseException):
            raise part
        yield part if isinstance(part, bytes) else await part()


class Side:
    """The same test for each kind of source: what one did, and how it ended."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(
        self, script: Script, limit: int = 10**6, **options: Any
    ) -> tuple[list[str], BaseException | None]:
        """Return the data of the events, and the error that ended the source; `self.source` is the source."""
        clock = options.setdefault("clock", Clock())
        self.clock = clock
        self.seen: list[tuple[Any, Any]] = []
        options.setdefault("policy", CALM)
        options.setdefault("on_disconnect", lambda error, delay: self.seen.append((error, delay)))
        data: list[str] = []
        if self.name == "sync":
            self.source: Any = EventSource(script.connect, sleep=clock.sleep, **options)
            try:
                with self.source as events:
                    for event in events:
                        data.append(event.data)
                        if len(data) == limit:
                            break
            except Exception as error:
                return data, error
            return data, None
        if self.name == "trio":
            return trio.run(self._read, script, limit, data, options)
        return asyncio.run(self._read(script, limit, data, options))

    async def _read(
        self, script: Script, limit: int, data: list[str], options: Any
    ) -> tuple[list[str], BaseException | None]:
        self.source = AsyncEventSource(script.aconnect, sleep=self.clock.asleep, **options)
        try:
            async with self.source as events:
                async for event in events:
                    data.append(event.data)
                    if len(data) == limit:
                        break
        except Exception as error:
            return data, error
        return data, None


@pytest.fixture(params=["sync", "asyncio", "trio"])
def side(request: pytest.FixtureRequest) -> Side:
    return Side(request.param)


def status_error(status: int, **headers: str) -> StatusError:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return StatusError("the server says", status, fields, "http://h/")


# The policy.


def test_the_delay_grows_from_failure_to_failure_up_to_the_maximum() -> None:
    state = ReconnectionPolicy(initial=1, factor=3, maximum=20, jitter=0).start(clock=Clock())
    assert [state.failed() for _ in range(5)] == [1, 3, 9, 20, 20]


def test_an_event_resets_the_delay_and_the_attempts() -> None:
    state = ReconnectionPolicy(jitter=0, max_attempts=2).start(clock=Clock())
    assert [state.failed(), state.failed()] == [1, 2]
    state.connected()
    state.event()
    assert [state.failed(), state.failed(), state.failed()] == [1, 2, "stop"]


def test_a_connection_alone_resets_nothing() -> None:
    state = ReconnectionPolicy(jitter=0, max_attempts=2).start(clock=Clock())
    answers: list[Any] = []
    for _ in range(3):
        answers.append(state.failed())
        state.connected()
    assert answers == [1, 2, "stop"]


def test_no_attempts_and_any_number_of_them() -> None:
    assert ReconnectionPolicy(max_attempts=0).start().failed() == "stop"
    state = ReconnectionPolicy(max_attempts=None).start(clock=Clock())
    assert all(state.failed() != "stop" for _ in range(3000))  # and no overflow


def test_ends_in_good_order_are_no_failures() -> None:
    state = ReconnectionPolicy(jitter=0, max_attempts=1, maximum=4).start(clock=Clock())
    assert [state.ended() for _ in range(5)] == [1, 2, 4, 4, 4]
    assert state.failed() == 4
    assert state.failed() == "stop"


def test_an_end_can_be_the_end() -> None:
    state = ReconnectionPolicy(reconnect_on_end=False, jitter=0).start()
    assert state.ended(retry=5) == "stop"
    assert state.failed() == 1


def test_the_servers_retry_is_a_floor_even_above_the_maximum() -> None:
    state = ReconnectionPolicy(jitter=0, maximum=30).start(clock=Clock())
    assert state.ended(retry=0) == 1
    assert state.ended(retry=1500) == 2
    assert state.failed(retry=60_000) == 60
    assert state.failed(retry=10**4000) == 10**6  # 11 days


def test_retry_after_is_a_floor_and_bounded() -> None:
    state = ReconnectionPolicy(jitter=0, max_retry_after=10).start(clock=Clock())
    assert state.failed(retry_after=0) == 1
    assert state.failed(retry_after=10) == 10
    assert state.failed(retry=20_000, retry_after=10) == 20
    assert state.failed(retry_after=10.5) == "stop"
    assert state.failed(retry_after=float("inf")) == "stop"


def test_nothing_is_added_to_a_delay_that_nobody_asked_for() -> None:
    state = ReconnectionPolicy(initial=0, maximum=0).start(clock=Clock())
    assert [state.ended(), state.failed(), state.failed(retry=0, retry_after=0)] == [0, 0, 0]


def test_max_elapsed_counts_from_the_start_and_may_be_reached() -> None:
    policy = ReconnectionPolicy(initial=4, factor=1, jitter=0, max_elapsed=8, max_attempts=None)
    clock = Clock()
    state = policy.start(clock=clock)
    clock.now += 4  # the first connection takes long to fail
    assert state.failed() == 4
    clock.now += 1
    assert state.failed() == "stop"
    state = policy.start(clock=clock)
    state.connected()
    state.event()
    assert state.ended() == 4
    clock.now += 4
    assert state.failed() == 4


def test_max_elapsed_counts_the_time_without_a_connection_since_the_last_event() -> None:
    clock = Clock()
    state = ReconnectionPolicy(
        initial=4, factor=1, jitter=0, max_elapsed=10, max_attempts=None
    ).start(clock=clock)
    assert state.failed() == 4
    clock.now += 4
    state.connected()
    clock.now += 1000  # a stream may be silent
    assert state.ended() == 4
    clock.now += 5
    assert state.failed() == "stop"
    state.connected()
    state.connected()
    state.event()
    assert state.failed() == 4
    clock.now += 7
    assert state.failed() == "stop"  # rather than a wait in vain


@given(
    st.lists(st.sampled_from(["fail", "end", "event", "connect"]), max_size=40),
    st.floats(0, 5), st.floats(0, 60), st.floats(0, 2), st.integers(0, 10**7) | st.none(), st.floats(0, 300) | st.none(),
    st.integers(),
)  # fmt: skip
def test_a_delay_is_never_below_what_the_server_asks_nor_above_what_the_jitter_allows(
    told: list[str],
    initial: float,
    maximum: float,
    jitter: float,
    retry: int | None,
    after: float | None,
    seed: int,
) -> None:
    policy = ReconnectionPolicy(initial=initial, maximum=maximum, jitter=jitter, max_attempts=None)
    runs: list[list[float]] = []
    for _ in range(2):
        state, delays = policy.start(random=random.Random(seed).random, clock=Clock()), []
        for what in told:
            if what == "event":
                state.event()
            elif what == "connect":
                state.connected()
            else:
                failed = what == "fail"
                delay = (
                    state.failed(retry=retry, retry_after=after)
                    if failed
                    else state.ended(retry=retry)
                )
                assert delay != "stop"
                least = max((retry or 0) / 1000, (after or 0) if failed else 0)
                assert least <= delay <= max(least, maximum) * (1 + jitter) * 1.000001
                delays.append(delay)
        runs.append(delays)
    assert runs[0] == runs[1], "the same random source gives the same delays"


def test_jitter_adds_a_random_share() -> None:
    state = ReconnectionPolicy(jitter=0.5, factor=1).start(
        random=iter([0.0, 0.5, 1.0]).__next__, clock=Clock()
    )
    assert [state.failed() for _ in range(3)] == [1, 1.25, 1.5]
    delays = {ReconnectionPolicy().start().failed() for _ in range(20)}
    assert len(delays) > 1


def test_a_policy_is_an_immutable_value() -> None:
    policy = ReconnectionPolicy(initial=2)
    assert policy == pickle.loads(pickle.dumps(policy)) == policy._replace(initial=2)
    assert ReconnectionPolicy() == (1, 2, 30, 0.5, 8, None, 300, True)
    assert "max_attempts=8" in repr(policy)
    with pytest.raises(AttributeError):
        policy.initial = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="initial"):
        policy._replace(initial=-1)


@pytest.mark.parametrize(
    "number", [{"initial": -1}, {"factor": 0.5}, {"maximum": float("nan")}, {"jitter": float("inf")}, {"max_attempts": -1},
               {"max_elapsed": -1}, {"max_retry_after": -1}],
)  # fmt: skip
def test_numbers_out_of_range(number: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(number))):
        ReconnectionPolicy(**number)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "number",
    [
        {"initial": "1"},
        {"max_attempts": 1.5},
        {"max_elapsed": "1"},
        {"max_retry_after": None},
        {"reconnect_on_end": "no"},
        {"reconnect_on_end": 1.0},
    ],
)
def test_numbers_of_the_wrong_kind(number: Any) -> None:
    with pytest.raises(TypeError, match=next(iter(number))):
        ReconnectionPolicy(**number)


# Sources.


def test_resumes_after_a_broken_connection_and_drops_what_it_left_unfinished(side: Side) -> None:
    broken = OSError("reset")
    script = Script(
        [b"id: 1\ndata: a\n\nid: 2\ndata: hal", broken],
        [
            b"data: b\n\n",
            b"id: 3\n\ndata: cut",
        ],  # an ID without data counts, and the end cuts off an event
        [b"id\n\ndata: c\n\n"],
    )
    assert side.read(script) == (["a", "b", "c"], None)
    assert script.ids == ["", "1", "3", ""]
    assert side.seen == [(broken, 1.0), (None, 1.0), (None, 1.0), (None, None)]
    assert side.clock.slept == [1.0, 1.0, 1.0]
    assert [stream.response.closed for stream in script.streams] == [1, 1, 1, 1]


def test_starts_from_an_id_and_keeps_it(side: Side) -> None:
    script = Script(OSError(), [b"data: x\n\n"])
    assert side.read(script, last_event_id="7") == (["x"], None)
    assert script.ids == ["7", "7", "7"]
    assert side.source.last_event_id == "7"


def test_the_id_never_runs_ahead_of_the_consumer(side: Side) -> None:
    script = Script([b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n"])
    assert side.read(script, limit=2) == (["a", "b"], None)
    assert side.source.last_event_id == "2"
    assert side.source.stream is None
    assert script.streams[0].response.closed == 1


def test_a_stream_that_does_not_start_from_the_id(side: Side) -> None:
    class Careless(Script):
        def _answer(self, last_event_id: str) -> tuple[list[Any], dict[str, Any]]:
            return super()._answer(last_event_id)[0], {}

    script = Careless(
        [b"id: 1\ndata: a\n\n", OSError()],
        [b"data: b\n\n", OSError()],
        [b"id: 2\ndata: c\n\n"],
        [b""],
    )
    assert side.read(script, policy=CALM._replace(max_attempts=1), limit=3) == (
        ["a", "b", "c"],
        None,
    )
    assert script.ids == ["", "1", "1"]
    assert side.source.last_event_id == "2"


def test_retry_is_obeyed_and_outlives_a_connection(side: Side) -> None:
    script = Script([b"retry: 5000\n\n"], OSError(), [b"retry: 2000\n", OSError()])
    assert side.read(script) == ([], None)
    assert side.clock.slept == [5, 5, 4]
    assert side.source.retry == 2000


def test_retry_is_obeyed_after_a_status_and_unknown_at_first(side: Side) -> None:
    script = Script([b"retry: 5000\n\n"], status_error(503))
    assert side.read(script) == ([], None)
    assert side.clock.slept == [5, 5]
    assert side.read(Script(OSError())) == ([], None)
    assert side.source.retry is None


@pytest.mark.parametrize("name", ["status", "status_code"])
def test_204_by_either_name(side: Side, name: str) -> None:
    class Clients(Script):
        def _answer(self, last_event_id: str) -> tuple[list[Any], dict[str, Any]]:
            self.ids.append(last_event_id)
            return [], {"response": Response(200 if len(self.ids) < 3 else 204, name)}

    script = Clients()
    assert side.read(script) == ([], None)
    assert len(script.ids) == 3


def test_204_ends_it_quietly(side: Side) -> None:
    script = Script()
    assert side.read(script) == ([], None)
    assert side.seen == [(None, None)]
    assert script.ids == [""]


def test_an_end_is_the_end_if_asked(side: Side) -> None:
    script = Script([b"data: a\n\n", OSError()], [b"data: b\n\n"], then=[b"data: too much\n\n"])
    assert side.read(script, policy=CALM._replace(reconnect_on_end=False)) == (["a", "b"], None)


@pytest.mark.parametrize("status", sorted(TRANSIENT_STATUSES))
def test_statuses_that_are_tried_again(side: Side, status: int) -> None:
    error = status_error(status)
    assert side.read(Script(error, [b"data: a\n\n"])) == (["a"], None)
    assert side.seen[0] == (error, 1.0)


def test_the_statuses_are_those_of_the_documentation() -> None:
    assert sorted(TRANSIENT_STATUSES) == [408, 425, 429, 500, 502, 503, 504]


@pytest.mark.parametrize(
    "error",
    [
        *(status_error(status) for status in (301, 400, 401, 403, 404, 410, 422, 501, 505)),
        ContentTypeError("html", 200, {}, ""), ContentTypeError("html", 503, {}, ""), ResponseError("coding", 503, {}, ""),
        EventTooLargeError(1), IncompleteEventError(), TypeError("a"), ValueError("a"), KeyError("a"),
    ],
)  # fmt: skip
def test_errors_that_are_raised(side: Side, error: Exception) -> None:
    script = Script([b"data: a\n\n", OSError()], error)
    assert side.read(script, on_connect=None) == (["a"], error)
    assert side.seen[-1] == (error, None)
    assert len(script.ids) == 2
    assert side.clock.slept == [1.0]
    side.source.__class__.__repr__(side.source)


def test_is_transient_decides_of_the_clients_exceptions_alone(side: Side) -> None:
    asked: list[Exception] = []

    def is_transient(error: Exception) -> bool:
        asked.append(error)
        return isinstance(error, LookupError)

    lookup, os_error = LookupError("x"), OSError("y")
    script = Script(lookup, [b"data: a\n\n", lookup], status_error(503), os_error)
    assert side.read(script, is_transient=is_transient) == (["a"], os_error)
    assert asked == [lookup, lookup, os_error]


def test_the_last_error_is_raised_when_the_attempts_are_spent(side: Side) -> None:
    errors = [OSError(str(i)) for i in range(9)]
    script = Script(*errors)
    assert side.read(script) == ([], errors[-1])
    assert side.clock.slept == [1, 2, 4, 8, 16, 30, 30, 30]
    assert side.seen[-1] == (errors[-1], None)


def test_max_elapsed(side: Side) -> None:
    data, error = side.read(
        Script(then=OSError("down")), policy=CALM._replace(max_elapsed=10, max_attempts=None)
    )
    assert (data, str(error)) == ([], "down")
    assert side.clock.slept == [1, 2, 4]
    assert side.read(Script(then=[b""]), policy=CALM._replace(max_elapsed=10)) == ([], None)
    assert side.clock.slept == [1, 2, 4]


DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "slept"),
    [
        ({"Retry_After": "7"}, [7]),
        ({"Retry_After": " 0 "}, [1]),
        ({"Retry_After": "Sat, 21 Nov 2026 10:01:30 GMT", "Date": DATE}, [90]),
        ({"Retry_After": "Sat, 21 Nov 2026 09:59:00 GMT", "Date": DATE}, [1]),
        ({"Retry_After": "Sat, 21 Nov 2026 11:00:00 GMT", "Date": DATE}, []),
        ({"Retry_After": "Fri, 01 Jan 2100 00:00:00 GMT"}, []),
        ({"Retry_After": "Fri, 01 Jan 2100 00:00:00 GMT", "Date": "today"}, []),
        ({"Retry_After": "Sat, 01 Jan 2000 00:00:00 GMT"}, [1]),
        ({"Retry_After": "301"}, []),
        ({"Retry_After": "9" * 5000}, []),
        ({"Retry_After": "soon"}, [1]),
        ({"Retry_After": "-5"}, [1]),
        ({"Retry_After": "\u0665"}, [1]),
        ({"Retry_After": ""}, [1]),
        ({}, [1]),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(status: int, headers: dict[str, str], slept: list[float]) -> None:
    side = Side("sync")
    error = status_error(status, **headers)
    assert side.read(Script(error)) == ([], None if slept else error)
    assert side.clock.slept == slept


def test_a_date_that_is_past_adds_nothing() -> None:
    side = Side("sync")
    error = status_error(503, Retry_After="Sat, 01 Jan 2000 00:00:00 GMT")
    assert side.read(Script(error), policy=ReconnectionPolicy(initial=0, maximum=0)) == ([], None)
    assert side.clock.slept == [0]


def test_callbacks_and_the_present_stream(side: Side) -> None:
    script = Script([b"data: a\n\n"], OSError(), [b"data: b\n\n"])
    log: list[Any] = []

    def on_connect(stream: Any) -> None:
        log.append(("connect", stream, side.source.stream is stream))

    def on_disconnect(error: Exception | None, delay: float | None) -> None:
        log.append((type(error).__name__, delay, side.source.stream))

    assert side.read(script, on_connect=on_connect, on_disconnect=on_disconnect) == (
        ["a", "b"],
        None,
    )
    first, second, last = script.streams
    assert log == [
        ("connect", first, True), ("NoneType", 1.0, None), ("OSError", 2.0, None),
        ("connect", second, True), ("NoneType", 1.0, None), ("connect", last, True), ("NoneType", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize("callback", ["on_connect", "on_disconnect"])
def test_what_a_callback_raises_ends_the_source(side: Side, callback: str) -> None:
    fault = LookupError("mine")

    def raise_it(*_: object) -> None:
        raise fault

    script = Script([b"data: a\n\n"], then=[b"data: too much\n\n"])
    options: dict[str, Any] = {callback: raise_it}
    assert side.read(script, **options) == ([] if callback == "on_connect" else ["a"], fault)
    assert script.streams[0].response.closed == 1
    assert "ended" in repr(side.source) or "closed" in repr(side.source)


def test_callbacks_of_an_async_source_may_be_async() -> None:
    log: list[Any] = []

    async def on_connect(stream: Any) -> None:
        await asyncio.sleep(0)
        log.append("connect")

    async def on_disconnect(error: Exception | None, delay: float | None) -> None:
        await asyncio.sleep(0)
        log.append(delay)

    side = Side("asyncio")
    side.read(Script([b"data: a\n\n"]), on_connect=on_connect, on_disconnect=on_disconnect)
    assert log == ["connect", 1.0, "connect", None]


class Manager:
    """A context manager of a stream that says how it was left, and may fail at that."""

    def __init__(self, stream: Any, fault: Exception | None = None) -> None:
        self.stream, self.fault = stream, fault
        self.left: list[Any] = []
        self.details: list[Any] = []

    def __enter__(self) -> Any:
        return self.stream

    def __exit__(self, exc_type: object, exc: object, traceback: object) -> None:
        self.left.append(exc)
        self.details.append(
            (exc_type, traceback is (exc.__traceback__ if isinstance(exc, BaseException) else None))
        )
        if self.fault:
            raise self.fault

    async def __aenter__(self) -> Any:
        return self.stream

    async def __aexit__(self, *exc: object) -> None:
        self.__exit__(*exc)


class Managers(Script):
    def __init__(self, *answers: Any, fault: Exception | None = None) -> None:
        super().__init__(*answers)
        self.fault = fault
        self.managers: list[Manager] = []

    def connect(self, last_event_id: str) -> Any:
        self.managers.append(Manager(super().connect(last_event_id), self.fault))
        return self.managers[-1]

    def aconnect(self, last_event_id: str) -> Any:
        self.managers.append(Manager(super().aconnect(last_event_id), self.fault))
        return self.managers[-1]


def test_the_context_manager_is_left_with_what_broke_the_connection(side: Side) -> None:
    error = OSError("reset")
    script = Managers([b"data: a\n\n", error], [b"data: b\n\n"])
    assert side.read(script) == (["a", "b"], None)
    assert [manager.left for manager in script.managers] == [[error], [None], [None]]
    assert [manager.details for manager in script.managers] == [
        [(OSError, True)],
        [(None, True)],
        [(None, True)],
    ]


def test_a_context_manager_that_fails_to_be_left(side: Side) -> None:
    fault = OSError("close failed")
    script = Managers([b"data: a\n\n"], [ValueError("first")], fault=fault)
    data, error = side.read(script)
    assert (data, str(error)) == (["a"], "first")
    assert side.seen[0] == (fault, 1.0)

    def raise_it(stream: object) -> None:
        raise LookupError("matters more")

    script = Managers([b""], fault=fault)
    _, error = side.read(script, on_connect=raise_it)
    assert str(error) == "matters more"
    assert script.managers[0].left == [error]


@pytest.mark.parametrize("wrong", ["other side", "no stream"])
def test_a_connect_of_the_wrong_kind(side: Side, wrong: str) -> None:
    def connect(last_event_id: str) -> Any:
        if wrong == "no stream":
            return Manager(iter([]))
        return Manager(EventStream([]) if side.name != "sync" else AsyncEventStream(_achunks([])))

    script: Any = Script()
    script.connect = script.aconnect = connect
    _, error = side.read(script)
    assert isinstance(error, TypeError)
    assert "connect must return a context manager of an" in str(error)


@pytest.mark.parametrize("kind", [EventSource, AsyncEventSource])
def test_mistakes_are_found_at_once(kind: Any) -> None:
    def connect(last_event_id: str) -> Any:
        raise AssertionError

    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"last_event_id": 7}, "last_event_id"), ({"policy": {"initial": 1}}, "policy"), ({"sleep": 1}, "sleep"),
        ({"is_transient": OSError()}, "is_transient"), ({"on_connect": 1}, "on_connect"), ({"clock": 5}, "clock"),
    ]  # fmt: skip
    for options, name in mistakes:
        with pytest.raises(TypeError, match=name):
            kind(connect, **options)
    with pytest.raises(TypeError, match="connect must be callable"):
        kind("http://h/")


# A thousand reconnections.


class Resuming(Script):
    """A server of `count` events that resumes by ID and breaks off at random; 204 when all have been sent."""

    def __init__(self, count: int, seed: int) -> None:
        super().__init__()
        self.count = count
        self.random = random.Random(seed)

    def _answer(self, last_event_id: str) -> tuple[list[Any], dict[str, Any]]:
        choose = self.random
        start = int(last_event_id or 0)
        if start == self.count:
            return super()._answer(last_event_id)
        if choose.random() < 0.1:
            self.ids.append(last_event_id)
            raise choose.choice(
                [OSError("no connection"), status_error(503), status_error(429, Retry_After="2")]
            )
        body = b"".join(
            b"id: %d\ndata: %d\ndata: more\n\n" % (i, i)
            for i in range(start + 1, self.count + 1)[:8]
        )
        body = body[: choose.randrange(len(body) + 1)]
        cuts = sorted(choose.randrange(len(body) + 1) for _ in range(3))
        parts: list[Any] = [body[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
        self.answers = iter([parts + [OSError("reset")] * choose.randrange(2)])
        return super()._answer(last_event_id)


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_reconnections_lose_and_double_nothing(side: Side, seed: int) -> None:
    script = Resuming(3500, seed)
    data, error = side.read(script, policy=CALM._replace(max_attempts=100))
    assert error is None
    assert data == [f"{i}\nmore" for i in range(1, 3501)]
    assert len(script.ids) > 1000


def test_stopping_anywhere_and_resuming_with_a_new_source(side: Side) -> None:
    script, last = Resuming(300, 5), ""
    data: list[str] = []
    while len(data) < 300:
        got, error = side.read(
            script, limit=7, last_event_id=last, policy=CALM._replace(max_attempts=100)
        )
        assert error is None
        data += got
        last = side.source.last_event_id
    assert data == [f"{i}\nmore" for i in range(1, 301)]


# Closing, threads and tasks.


def wait_for(thread: threading.Thread) -> None:
    thread.join(GUARD)
    assert not thread.is_alive()


def test_close_from_another_thread_ends_a_wait() -> None:
    waiting = threading.Event()
    source = EventSource(
        Script(then=OSError()).connect, policy=ReconnectionPolicy(initial=1e18, maximum=1e18),
        on_disconnect=lambda error, delay: waiting.set(),
    )  # fmt: skip
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(list(source)), daemon=True)
    thread.start()
    assert waiting.wait(GUARD)
    source.close()
    wait_for(thread)
    assert got == [[]]
    source.close()
    assert list(source) == []
    assert repr(source) == "<EventSource closed, last_event_id=''>"


class Blocking:
    """Bytes that come when the test lets them; `close` of the response, or `shutdown`, ends the wait as some clients do."""

    def __init__(self) -> None:
        self.reached, self.go_on, self.shut, self.closed = (threading.Event() for _ in range(4))

    def chunks(self) -> Iterator[bytes]:
        yield b"id: 1\ndata: a\n\n"
        self.reached.set()
        assert self.go_on.wait(GUARD)
        if not self.shut.is_set():
            yield b"id: 2\ndata: b\n\n"

    def close(self) -> None:
        self.closed.set()
        self.go_on.set()


def read_blocked(source: EventSource, blocking: Blocking) -> tuple[threading.Thread, list[str]]:
    got: list[str] = []
    thread = threading.Thread(
        target=lambda: got.extend(event.data for event in source), daemon=True
    )
    thread.start()
    assert blocking.reached.wait(GUARD)
    return thread, got


@pytest.mark.parametrize("where", ["response", "raw", "fails"])
def test_close_from_another_thread_shuts_the_socket_of_a_reader(where: str) -> None:
    class Shuttable(Blocking):
        def shutdown(self) -> None:
            self.shut.set()
            self.go_on.set()
            if where == "fails":
                raise RuntimeError("there is no socket")

    class Around:
        def __init__(self, raw: Shuttable) -> None:
            self.raw = raw
            self.close = raw.close

    blocking = Shuttable()
    response = Around(blocking) if where == "raw" else blocking
    source = EventSource(lambda last_event_id: EventStream(blocking.chunks(), response=response))
    thread, got = read_blocked(source, blocking)
    with pytest.raises(RuntimeError, match="two threads"):
        next(source)
    source.close()
    wait_for(thread)
    assert blocking.shut.is_set()
    assert got == ["a"]
    assert blocking.closed.is_set()
    assert source.last_event_id == "1"


def test_close_from_another_thread_where_a_read_cannot_be_ended() -> None:
    blocking = Blocking()
    source = EventSource(lambda last_event_id: EventStream(blocking.chunks(), response=blocking))
    thread, got = read_blocked(source, blocking)
    source.close()
    assert not blocking.closed.is_set()  # the reader's to do
    blocking.go_on.set()
    wait_for(thread)
    assert got == ["a", "b"]  # what has come is not lost
    assert blocking.closed.is_set()
    assert source.last_event_id == "2"


def test_close_from_another_thread_of_bytes_that_any_thread_may_close() -> None:
    class Chunks(Blocking):
        def __init__(self) -> None:
            super().__init__()
            self.iterator = self.chunks()

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            return next(self.iterator)

        def close(self) -> None:
            self.shut.set()
            super().close()

    chunks: Any = Chunks()
    source = EventSource(lambda last_event_id: EventStream(chunks))
    thread, got = read_blocked(source, chunks)
    source.close()
    wait_for(thread)
    assert got == ["a"]


def test_close_from_another_thread_while_it_connects() -> None:
    reached, go_on = threading.Event(), threading.Event()
    script = Script([b"data: a\n\n"])

    def connect(last_event_id: str) -> EventStream:
        reached.set()
        assert go_on.wait(GUARD)
        return script.connect(last_event_id)

    source = EventSource(connect)
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.extend(source), daemon=True)
    thread.start()
    assert reached.wait(GUARD)
    source.close()
    go_on.set()
    wait_for(thread)
    assert got == []
    assert script.streams[0].response.closed == 1


def test_close_within_a_callback(side: Side) -> None:
    def closing(stream: Any) -> Any:
        return side.source.close() if side.name == "sync" else side.source.aclose()

    script = Script([b"data: a\n\n"])
    assert side.read(script, on_connect=closing) == ([], None)
    assert script.streams[0].response.closed == 1
    assert side.seen == []
    script = Script(OSError())
    assert side.read(script, on_disconnect=lambda error, delay: closing(None)) == ([], None)
    assert len(script.ids) == 1


def test_close_within_a_comment() -> None:
    def chunks() -> Iterator[bytes]:
        yield b": stop\n\n"
        raise AssertionError("nothing more is read")

    source: Any = None
    decoder = SSEDecoder(on_comment=lambda text: source.close())
    source = EventSource(lambda last_event_id: EventStream(chunks(), decoder=decoder))
    assert list(source) == []


def test_close_before_anything(side: Side) -> None:
    script = Script([b"data: a\n\n"])
    if side.name == "sync":
        source: Any = EventSource(script.connect)
        source.close()
        assert list(source) == []
    else:

        async def main() -> None:
            source = AsyncEventSource(script.aconnect, sleep=Clock().asleep)
            await source.aclose()
            await source.aclose()
            assert [event async for event in source] == []

        trio.run(main) if side.name == "trio" else asyncio.run(main())
    assert script.ids == []


def test_ctrl_c_ends_a_source_and_releases() -> None:
    script = Script([b"id: 1\ndata: a\n\n", KeyboardInterrupt()], then=[b"data: too much\n\n"])
    source = EventSource(script.connect)
    assert next(source).data == "a"
    with pytest.raises(KeyboardInterrupt):
        next(source)
    assert list(source) == []
    assert script.streams[0].response.closed == 1
    assert source.last_event_id == "1"
    assert repr(source) == "<EventSource ended, last_event_id='1'>"


def test_repr() -> None:
    source = EventSource(Script([b"id: 1\ndata: a\n\n"]).connect)
    assert repr(source) == "<EventSource not connected, last_event_id=''>"
    next(source)
    assert repr(source) == "<EventSource open, last_event_id='1'>"
    source.close()


def test_aclose_from_another_task_ends_a_wait() -> None:
    async def main() -> None:
        waiting = asyncio.Event()
        source = AsyncEventSource(
            Script(then=OSError()).aconnect, policy=ReconnectionPolicy(initial=3600, maximum=3600),
            on_disconnect=lambda error, delay: waiting.set(),
        )  # fmt: skip
        task = asyncio.ensure_future(source.__anext__())
        await waiting.wait()
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await source.__anext__()
        await source.aclose()
        await source.aclose()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(task, GUARD)

    asyncio.run(main())


def test_aclose_within_a_callback_leaves_no_wait() -> None:
    async def main() -> None:
        source: Any = None

        async def on_disconnect(error: Exception | None, delay: float | None) -> None:
            await source.aclose()

        policy = ReconnectionPolicy(initial=3600, maximum=3600)
        source = AsyncEventSource(
            Script(then=OSError()).aconnect, policy=policy, on_disconnect=on_disconnect
        )
        assert await asyncio.wait_for(_collect(source), GUARD) == []

    asyncio.run(main())


async def _collect(source: AsyncEventSource) -> list[str]:
    return [event.data async for event in source]


def test_a_thread_waits_by_default() -> None:
    script = Script([b"data: a\n\n"], OSError(), [b"data: b\n\n"])
    source = EventSource(script.connect, policy=ReconnectionPolicy(initial=0.001))
    assert [event.data for event in source] == ["a", "b"]


def test_asyncio_sleeps_by_default() -> None:
    async def main() -> None:
        script = Script([b"data: a\n\n"], OSError(), [b"data: b\n\n"])
        source = AsyncEventSource(script.aconnect, policy=ReconnectionPolicy(initial=0.001))
        assert [event.data async for event in source] == ["a", "b"]

    asyncio.run(main())


def test_without_sleep_it_needs_asyncio() -> None:
    async def main() -> None:
        script = Script()
        with pytest.raises(RuntimeError, match=r"sleep=trio\.sleep"):
            await AsyncEventSource(script.aconnect).__anext__()
        assert script.ids == []

    trio.run(main)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_aclose_from_another_task_ends_a_read(loop: str) -> None:
    class Wire:
        """A response whose closing ends the wait for its bytes."""

        def __init__(self, event: Any) -> None:
            self.event = event
            self.reached = False

        async def chunks(self) -> AsyncIterator[bytes]:
            yield b"id: 1\ndata: a\n\n"
            self.reached = True
            await self.event.wait()

        def close(self) -> None:
            self.event.set()

    async def check(wire: Wire, start: Any, yield_: Sleep) -> None:
        source = AsyncEventSource(
            lambda last_event_id: AsyncEventStream(wire.chunks(), response=wire),
            sleep=Clock().asleep,
        )
        got: list[str] = []

        async def read() -> None:
            got.extend([event.data async for event in source])
            got.append("end")

        start(read)
        while not wire.reached:
            await yield_(0)
        await source.aclose()
        while not got:
            await yield_(0)
        assert got == ["a", "end"]
        assert source.last_event_id == "1"

    async def on_asyncio() -> None:
        tasks: list[Any] = []
        await check(
            Wire(asyncio.Event()),
            lambda read: tasks.append(asyncio.ensure_future(read())),
            asyncio.sleep,
        )
        await tasks[0]

    async def on_trio() -> None:
        async with trio.open_nursery() as nursery:
            await check(Wire(trio.Event()), nursery.start_soon, trio.sleep)

    asyncio.run(on_asyncio()) if loop == "asyncio" else trio.run(on_trio)


def test_cancellation_releases_and_ends() -> None:
    async def main() -> None:
        class Endless:
            closed = 0

            def __aiter__(self) -> Endless:
                return self

            async def __anext__(self) -> bytes:
                await asyncio.sleep(3600)
                raise AssertionError

            async def aclose(self) -> None:
                self.closed += 1

        chunks = Endless()
        for fault in (None, OSError("close failed")):
            manager = Manager(AsyncEventStream(chunks), fault)
            source = AsyncEventSource(lambda last_event_id, manager=manager: manager)
            task = asyncio.ensure_future(source.__anext__())
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert isinstance(manager.left[0], asyncio.CancelledError)
            assert [event async for event in source] == []
        assert chunks.closed

    asyncio.run(main())


def test_cancellation_of_a_wait_on_trio() -> None:
    async def main() -> None:
        source = AsyncEventSource(Script(then=OSError()).aconnect, sleep=trio.sleep)
        with trio.move_on_after(0.01) as scope:
            await source.__anext__()
        assert scope.cancelled_caught
        assert [event async for event in source] == []

    trio.run(main)


@pytest.mark.parametrize("state", ["connecting", "reading", "waiting"])
def test_a_closed_coroutine_awaits_nothing_more(state: str) -> None:
    class Suspend:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def suspend(*_: object) -> bytes:
        await Suspend()
        return b""

    class Slow(Manager):
        async def __aenter__(self) -> Any:
            await suspend()

        async def __aexit__(self, *exc: object) -> None:
            raise AssertionError("nothing may be awaited")

    answers: dict[str, list[Any]] = {
        "waiting": [OSError()],
        "reading": [[suspend]],
        "connecting": [],
    }
    script = Script(*answers[state])
    connect: Any = (lambda last_event_id: Slow(None)) if state == "connecting" else script.aconnect
    source = AsyncEventSource(connect, sleep=suspend)
    waiting: Any = source.__anext__()
    waiting.send(None)
    waiting.close()
    ended: Any = source.__anext__()
    with pytest.raises(StopAsyncIteration):
        ended.send(None)
    if script.streams:
        closing: Any = source.aclose()
        with pytest.raises(StopIteration):
            closing.send(None)


def test_leaving_with_generator_exit_awaits_nothing() -> None:
    source = AsyncEventSource(Script().aconnect)
    leaving: Any = source.__aexit__(GeneratorExit, GeneratorExit(), None)
    with pytest.raises(StopIteration):
        leaving.send(None)
    assert "ended" in repr(source)


# What `subscribe` shares.


def subscribe(
    open_with: Any,
    url: str = "http://user:secret@h/p?key=secret",
    make_decoder: Any = None,
    **options: Any,
) -> Any:
    request = options.pop("request", {})
    last_event_id = options.pop("last_event_id", "")
    return make_source(
        EventSource,
        open_with,
        url,
        request,
        make_decoder=make_decoder,
        last_event_id=last_event_id,
        **options,
    )


def test_each_connection_has_a_decoder_that_discards() -> None:
    decoders: list[SSEDecoder] = []

    def open_with(decoder: SSEDecoder) -> EventStream:
        decoders.append(decoder)
        body = [b"id: 1\ndata: a\n\ndata: cut", b""] if len(decoders) < 3 else []
        return EventStream(body, decoder=decoder, response=Response(200 if body else 204))

    source = subscribe(open_with, policy=CALM, sleep=Clock().sleep, last_event_id="0")
    assert source.last_event_id == "0"
    assert [d.last_event_id for d in decoders] == ["0"]
    assert [event.data for event in source] == ["a", "a"]
    assert len({*map(id, decoders)}) == 3
    assert decoders[2].last_event_id == "1"


def test_a_decoder_for_all_connections_is_refused() -> None:
    with pytest.raises(TypeError, match="pass make_decoder in place of decoder"):
        subscribe(lambda decoder: None, request={"decoder": SSEDecoder()})


def test_make_decoder() -> None:
    made: list[str] = []

    def make_decoder(last_event_id: str) -> SSEDecoder:
        made.append(last_event_id)
        return SSEDecoder(last_event_id=last_event_id, incomplete="dispatch")

    def open_with(decoder: SSEDecoder) -> EventStream:
        return EventStream([b"id: 1\ndata: cut"], decoder=decoder, response=Response(200))

    source = subscribe(open_with, make_decoder=make_decoder, sleep=Clock().sleep)
    assert [next(source).data for _ in range(3)] == ["cut"] * 3
    assert made == ["", "1", "1"]


def _generate() -> Iterator[bytes]:
    yield b"x"


async def _agenerate() -> AsyncIterator[bytes]:
    yield b"x"


class Form:
    def add_field(self) -> None: ...


class Reader:
    def read(self) -> None: ...


@pytest.mark.parametrize("name", ["content", "data", "json", "body", "files", "fields"])
def test_a_body_that_can_be_sent_only_once(name: str) -> None:
    with open(__file__, "rb") as file:
        for body in (_generate(), iter([b"x"]), _agenerate(), file, Form(), Reader()):
            with pytest.raises(TypeError, match=rf"{name} holds .* sent only once"):
                subscribe(EventStream, request={name: body})
        if name not in ("json", "content"):
            holders: list[Any] = [{"a": file}, [("a", ("name", file, "text/plain"))]]
            for holder in holders:
                with pytest.raises(TypeError, match=f"{name} holds .* sent only once"):
                    subscribe(EventStream, request={name: holder})


@pytest.mark.parametrize("body", [None, b"x", "x", {"a": ["b"]}, [("a", "b")], ("a", b"c"), 7])
def test_a_body_that_can_be_sent_again(body: Any) -> None:
    assert subscribe(lambda decoder: None, request={"data": body, "json": body})


def test_certificates_that_are_refused() -> None:
    refused = ssl.SSLCertVerificationError("expired")
    outer = OSError("wrapped")
    outer.__cause__ = refused
    assert is_refused_certificate(refused)
    assert is_refused_certificate(outer)
    reason: Any = OSError()
    reason.reason = outer
    assert is_refused_certificate(reason)
    other: Any = ssl.SSLError(1, "[SSL] other")
    other.__cause__ = other.__context__ = None
    assert not is_refused_certificate(other)
    circle: Any = OSError("a")
    circle.reason = circle
    assert not is_refused_certificate(circle)
    while_handling = OSError("another connection, tried in place of the refused one")
    while_handling.__context__ = refused
    assert not is_refused_certificate(while_handling)


# Logs and imports.


def test_debug_lines_show_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = [OSError("http://user:secret@h/p?key=secret"), status_error(503)]

    def open_with(decoder: SSEDecoder) -> Any:
        class Opening(Manager):
            def __enter__(self) -> EventStream:
                if answers:
                    raise answers.pop(0)
                return EventStream([], decoder=decoder, response=Response(204))

        return Opening(None)

    with caplog.at_level(logging.DEBUG, logger="sse_stream"):
        assert list(subscribe(open_with, policy=CALM, sleep=Clock().sleep)) == []
    assert {record.name for record in caplog.records} == {"sse_stream"}
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert caplog.messages == [
        "http://h/p: OSError, next connection in 1.000 s",
        "http://h/p: StatusError 503, next connection in 2.000 s",
        "http://h/p: connected, Last-Event-ID ''",
        "http://h/p: end of stream, no further connection",
    ]


def test_debug_lines_of_a_source_without_url(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sse_stream"):
        assert list(EventSource(Script().connect, last_event_id="7")) == []
    assert caplog.messages == [
        "the event source: connected, Last-Event-ID '7'",
        "the event source: end of stream, no further connection",
    ]


def test_importing_it_loads_nothing_heavy() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(sse_stream.__file__).parent.parent)!r})\n"
        "import sse_stream.reconnect\nprint(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    assert "sse_stream.reconnect" in loaded
    assert not loaded & {
        "asyncio",
        "ssl",
        "json",
        "typing",
        "socket",
        "http",
        "email",
        "logging",
        "random",
        "re",
        "contextlib",
    }


class Requests:
    """An adapter's `connect` that answers each request with the next of some streams, or an exception."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[Any, ...]] = []
        self.__module__ = "an.adapter"
        self.__name__ = "connect"

    def __call__(
        self,
        client: Any,
        method: str,
        url: Any,
        *,
        decoder: SSEDecoder,
        check: bool | None = None,
        **options: Any,
    ) -> Opening:
        self.seen.append((client, method, url, decoder.last_event_id, check, options))

        def open_stream() -> EventStream:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return EventStream([answer], decoder=decoder)

        return Opening(open_stream)


def test_subscribe_without_options() -> None:
    requests = Requests(b"data: a\n\ndata: cut off")
    subscribe = make_subscribe(EventSource, requests, lambda _: False)
    assert (subscribe.__module__, subscribe.__name__, subscribe.__qualname__) == (
        "an.adapter",
        "subscribe",
        "subscribe",
    )
    assert subscribe.__annotations__["return"] == "EventSource"
    assert list(subscribe.__annotations__)[-1] == "return"
    source = subscribe("client", "GET", "https://user@example.org/events?key")
    assert requests.seen == [("client", "GET", "https://user@example.org/events?key", "", True, {})]
    assert type(source) is EventSource
    assert source._shown == "https://example.org/events"
    assert next(source).data == "a"
    with source:
        pass


def test_subscribe_with_every_option() -> None:
    class BrokenError(Exception):
        pass

    requests = Requests(BrokenError(), b"id: 8\ndata: a\n\n: end", BrokenError())
    decoders: list[SSEDecoder] = []
    connected: list[EventStream] = []
    disconnected: list[tuple[Any, Any]] = []
    slept: list[float] = []

    def make_decoder(last_event_id: str) -> SSEDecoder:
        decoders.append(SSEDecoder(last_event_id=last_event_id))
        return decoders[-1]

    source = make_subscribe(EventSource, requests, lambda error: isinstance(error, BrokenError))(
        "client",
        "POST",
        "/",
        make_decoder=make_decoder,
        policy=ReconnectionPolicy(initial=5, jitter=0, max_attempts=1, reconnect_on_end=False),
        last_event_id="7",
        check=False,
        on_connect=connected.append,
        on_disconnect=lambda error, delay: disconnected.append((type(error), delay)),
        sleep=slept.append,
        timeout=3,
    )
    assert [(event.id, event.data) for event in source] == [("8", "a")]
    assert requests.seen == [("client", "POST", "/", "7", False, {"timeout": 3})] * 2
    assert [decoder.last_event_id for decoder in decoders] == ["7", "8"]
    assert [stream.decoder for stream in connected] == decoders[1:]
    assert disconnected == [(BrokenError, 5.0), (type(None), None)]
    assert slept == [5.0]


def test_subscribe_refuses_a_body_for_once() -> None:
    with pytest.raises(TypeError, match="can be sent only once"):
        make_subscribe(EventSource, Requests(), lambda _: False)(
            "client", "POST", "/", data=iter([b""])
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": 1}, "policy must be a ReconnectionPolicy, not int"),
        ({"last_event_id": b""}, "last_event_id must be a str, not bytes"),
        ({"on_connect": 1}, "on_connect must be callable, not int"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        EventSource(lambda **_: None, **options)
    assert str(caught.value) == message


def test_an_abandoned_async_source_connects_no_more() -> None:
    class Opened:
        async def __aenter__(self) -> AsyncEventStream:
            connections.append(self)
            return AsyncEventStream(chunks())

        async def __aexit__(self, *_: object) -> None:
            pass

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def chunks() -> AsyncIterator[bytes]:
        await broken.wait()
        raise OSError
        yield b""

    async def use(source: AsyncEventSource) -> None:
        async with source:
            await Pause()

    async def main() -> None:
        source = AsyncEventSource(
            lambda last_event_id: Opened(),
            policy=ReconnectionPolicy(initial=0, jitter=0, max_attempts=3),
        )
        using = use(source)
        using.send(None)
        reading = asyncio.ensure_future(source.__anext__())
        while not connections:
            await asyncio.sleep(0)
        using.close()
        broken.set()
        with pytest.raises(StopAsyncIteration):
            await reading

    connections: list[Opened] = []
    broken = asyncio.Event()
    asyncio.run(main())
    assert len(connections) == 1


def test_close_within_a_callback_releases_at_once() -> None:
    class Held:
        closed = False

        def close(self) -> None:
            self.closed = True

    def chunks() -> Iterator[bytes]:
        yield b"data: a\n\n"

    def on_connect(_: EventStream) -> None:
        source.close()
        seen.append(held.closed)

    held, seen = Held(), list[bool]()
    source = EventSource(
        lambda last_event_id: Opening(lambda: EventStream(chunks(), response=held)),
        on_connect=on_connect,
    )
    assert list(source) == []
    assert seen == [True]
