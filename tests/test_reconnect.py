# SPDX-License-Identifier: MIT
"""Sources over in-process servers: no clock and no sleep but those that a test passes in."""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
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
from sse_stream.payloads import aiter_payloads, iter_payloads
from sse_stream.reconnect import (
    TRANSIENT_STATUSES,
    AsyncEventSource,
    EventSource,
    ReconnectionError,
    ReconnectionPolicy,
)
from sse_stream.streams import AsyncOpening, Opening, StreamClosedError

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
    """What a server does at each connection: an exception, a status, or chunks and what follows.

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
        """Return the data of the events, and the error that ended the source (`self.source`)."""
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
    assert side.read(script, policy=CALM.replace(max_attempts=2), limit=3) == (
        ["a", "b", "c"],
        None,
    )
    assert script.ids == ["", "1", "1"]
    assert side.source.last_event_id == "2"


def test_retry_is_obeyed_and_outlives_a_connection(side: Side) -> None:
    script = Script([b"retry: 5000\n\n"], OSError(), [b"retry: 2000\n", OSError()])
    assert side.read(script) == ([], None)
    assert side.clock.slept == [5, 10, 8]
    assert side.source.retry == 2000


def test_retry_is_obeyed_after_a_status_and_unknown_at_first(side: Side) -> None:
    script = Script([b"retry: 5000\n\n"], status_error(503))
    assert side.read(script) == ([], None)
    assert side.clock.slept == [5, 10]
    assert side.read(Script(OSError())) == ([], None)
    assert side.source.retry is None


def test_a_server_that_polls_is_asked_as_often_as_it_says(side: Side) -> None:
    answers = [b"id: %d\nretry: 250\ndata: x\n\n" % i for i in range(100)]
    script = Script(*([answer] for answer in answers))
    assert side.read(script) == (["x"] * 100, None)
    assert side.clock.slept == [0.25] * 100


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
    assert side.read(script, policy=CALM.replace(reconnect_on_end=False)) == (["a", "b"], None)


@pytest.mark.parametrize("status", sorted(TRANSIENT_STATUSES))
def test_statuses_that_are_tried_again(side: Side, status: int) -> None:
    error = status_error(status)
    assert side.read(Script(error, [b"data: a\n\n"])) == (["a"], None)
    assert side.seen[0] == (error, 1.0)


def test_the_statuses_are_those_of_the_documentation() -> None:
    gateways = [520, 521, 522, 523, 524, 525, 529, 530]
    assert sorted(TRANSIENT_STATUSES) == [408, 425, 429, 500, 502, 503, 504, *gateways]


def test_the_statuses_are_the_policys(side: Side) -> None:
    policy = CALM.replace(statuses={404})
    missing, busy = status_error(404), status_error(503)
    assert side.read(Script(missing, [b"data: a\n\n"], busy), policy=policy) == (["a"], busy)


@pytest.mark.parametrize(
    "error",
    [
        *(status_error(status) for status in (301, 400, 401, 403, 404, 410, 422, 501, 505)),
        ContentTypeError("html", 200, {}, ""),
        ContentTypeError("html", 503, {}, ""),
        ResponseError("coding", 503, {}, ""),
        EventTooLargeError(1),
        IncompleteEventError(),
        TypeError("a"),
        ValueError("a"),
        KeyError("a"),
    ],
)  # fmt: skip
def test_errors_that_are_raised(side: Side, error: Exception) -> None:
    script = Script([b"data: a\n\n", OSError()], error)
    assert side.read(script, on_connect=None) == (["a"], error)
    assert side.seen[-1] == (error, None)
    assert len(script.ids) == 2
    assert side.clock.slept == [1.0]
    side.source.__class__.__repr__(side.source)


def test_is_transient_of_the_caller_is_asked_first_about_every_exception(side: Side) -> None:
    passing = [
        LookupError("of the client"),
        status_error(401),
        ContentTypeError("the page of a deploy", 200, {}, ""),
        EventTooLargeError(1),
        ValueError("of a hook"),
        OSError("reset"),
    ]
    script = Script(*passing, [b"data: a\n\n", passing[0]], [b"id: 1\ndata: b\n\n", passing[1]])
    asked: list[Exception] = []

    def is_transient(error: Exception) -> bool:
        asked.append(error)
        return True

    assert side.read(script, is_transient=is_transient) == (["a", "b"], None)
    assert asked == [*passing, passing[0], passing[1]]


def test_is_transient_has_three_answers(side: Side) -> None:
    def is_transient(error: Exception) -> bool | None:
        return answers[str(error)]

    answers = {"yes": True, "no": False, "the server says": None, "as usual": None}
    unknown, refused = LookupError("as usual"), OSError("no")
    script = Script(LookupError("yes"), status_error(503), OSError("as usual"), refused)
    assert side.read(script, is_transient=is_transient) == ([], refused)
    assert len(script.ids) == 4
    assert side.read(Script(unknown), is_transient=is_transient) == ([], unknown)
    gone = status_error(403)
    assert side.read(Script(gone), is_transient=is_transient) == ([], gone)
    answers["the server says"] = False
    busy = status_error(503)
    assert side.read(Script(busy), is_transient=is_transient) == ([], busy)


def test_what_is_transient_raises_ends_the_source(side: Side) -> None:
    def is_transient(error: Exception) -> bool:
        raise LookupError("mine")

    script = Script([b"data: a\n\n", OSError()], then=[b"data: too much\n\n"])
    data, error = side.read(script, is_transient=is_transient)
    assert (data, str(error)) == (["a"], "mine")
    assert script.streams[0].response.closed == 1


def test_a_refusal_obeys_retry_after_whatever_says_that_it_passes(side: Side) -> None:
    script = Script(status_error(401, Retry_After="20"))
    assert side.read(script, is_transient=lambda error: True) == ([], None)
    assert side.clock.slept == [20]


def test_a_refused_certificate_will_not_pass(side: Side) -> None:
    refused = ssl.SSLCertVerificationError("expired")
    assert side.read(Script(refused)) == ([], refused)


class KnowingError(Exception):
    """Of a client, whose adapter says whether it passes."""


class Knowing(Script):
    """One's own function over an adapter's `connect`, which knows its client's exceptions."""

    @staticmethod
    def is_transient(error: Exception) -> bool | None:
        return None if not isinstance(error, KnowingError) else str(error) == "passes"

    def connect(self, last_event_id: str) -> Any:
        return Opening(lambda: Script.connect(self, last_event_id), is_transient=self.is_transient)

    def aconnect(self, last_event_id: str) -> Any:
        async def open_stream() -> AsyncEventStream:
            return Script.aconnect(self, last_event_id)

        return AsyncOpening(open_stream, is_transient=self.is_transient)


def test_what_an_adapter_opens_knows_its_exceptions(side: Side) -> None:
    passes, stays = KnowingError("passes"), KnowingError("stays")
    script = Knowing(passes, [b"data: a\n\n", passes], OSError(), status_error(503), stays)
    assert side.read(script) == (["a"], stays)
    assert len(script.ids) == 5
    assert side.read(Knowing(KeyError("of nobody")))[1].__class__ is KeyError
    assert side.read(Knowing(stays), is_transient=lambda error: True) == ([], None)
    assert side.read(Knowing(passes), is_transient=lambda error: False) == ([], passes)


def test_ones_own_function_is_known_once_it_has_opened_something(side: Side) -> None:
    class Fetching(Knowing):
        """It gets a token before each connection, and once it cannot."""

        def connect(self, last_event_id: str) -> Any:
            self.fetch()
            return super().connect(last_event_id)

        def aconnect(self, last_event_id: str) -> Any:
            self.fetch()
            return super().aconnect(last_event_id)

        def fetch(self) -> None:
            if len(self.streams) == failing and failures:
                raise failures.pop()

    failing, failures = 1, [KnowingError("passes")]
    assert side.read(Fetching([b"data: a\n\n"], [b"data: b\n\n"])) == (["a", "b"], None)
    failing, failures = 0, [KnowingError("passes")]
    assert isinstance(side.read(Fetching([b"data: a\n\n"]))[1], KnowingError)


def test_the_last_error_is_raised_when_the_attempts_are_spent(side: Side) -> None:
    errors = [OSError(str(i)) for i in range(9)]
    script = Script(*errors)
    assert side.read(script) == ([], errors[-1])
    assert side.clock.slept == [1, 2, 4, 8, 16, 30, 30, 30]
    assert side.seen[-1] == (errors[-1], None)


def test_max_elapsed(side: Side) -> None:
    data, error = side.read(
        Script(then=OSError("down")), policy=CALM.replace(max_elapsed=10, max_attempts=None)
    )
    assert (data, str(error)) == ([], "down")
    assert side.clock.slept == [1, 2, 4]
    data, error = side.read(Script(then=[b""]), policy=CALM.replace(max_elapsed=10))
    assert isinstance(error, ReconnectionError)
    assert (data, error.attempts) == ([], 3)
    assert side.clock.slept == [1, 2, 4]


def test_answers_that_come_to_nothing_end_in_an_error(side: Side) -> None:
    script = Script(then=[b": hello\n\nretry: 2000\n\n"])
    data, error = side.read(script)
    assert isinstance(error, ReconnectionError)
    assert (data, error.attempts, len(script.ids)) == ([], 8, 9)
    assert str(error) == (
        "the event source: gave up at a clean end, after 8 further connections in a row"
    )
    assert side.clock.slept == [2, 4, 8, 16, 30, 30, 30, 30]
    assert side.seen == [(None, delay) for delay in side.clock.slept] + [(error, None)]


def test_a_good_connection_starts_the_count_afresh(side: Side) -> None:
    broken: list[Any] = [OSError()] * 7
    script = Script(*broken, [b"id: 1\n\n", OSError()], *broken, [b"data: a\n\n"], *broken)
    assert side.read(script) == (["a"], None)
    assert side.clock.slept == [1, 2, 4, 8, 16, 30, 30, *[1, 2, 4, 8, 16, 30, 30, 30] * 2]


def test_a_connection_that_lasts_is_good_however_quiet(side: Side) -> None:
    class Quiet(Script):
        def _answer(self, last_event_id: str) -> tuple[Any, dict[str, Any]]:
            parts, options = super()._answer(last_event_id)
            return self._pass(parts), options

        def _pass(self, parts: list[Any]) -> Iterator[Any]:
            side.clock.now += 60
            yield from parts

    cut: list[list[Any]] = [[OSError()], []]
    script = Quiet(*cut * 500)
    assert side.read(script) == ([], None)
    assert set(side.clock.slept) == {1}
    assert len(script.ids) == 1001


def test_the_first_connection_need_not_be_tried_again(side: Side) -> None:
    wrong_host = OSError("no such host")
    policy = CALM.replace(retry_first=False)
    assert side.read(Script(wrong_host), policy=policy) == ([], wrong_host)
    assert side.clock.slept == []
    script = Script([b"data: a\n\n", OSError()], OSError())
    assert side.read(script, policy=policy) == (["a"], None)


# A request that may not be sent again.


@pytest.mark.parametrize(
    ("first", "requests", "error"),
    [
        ([b"data: a\n\n", OSError("reset")], 1, OSError),
        ([b"data: a\n\n"], 1, type(None)),
        ([b"data: a\n\ndata: b"], 1, IncompleteEventError),
        ([b"id: 1\ndata: a\n\n", OSError("reset")], 2, type(None)),
        ([b"id: 1\ndata: a\n\n"], 2, type(None)),
        ([b"data: a\n\nid: 1\n\n"], 2, type(None)),
        ([b"id: a\x01\ndata: a\n\n", OSError("no header value")], 1, OSError),
        ([b"id: 1\ndata: a\n\nid\n\n", OSError("set back to none")], 1, OSError),
        ([b": a\n\n", OSError("reset")], 2, type(None)),
        ([b"data: a", OSError("reset")], 2, type(None)),
        ([b": a\n\n"], 2, type(None)),
        (OSError("refused"), 2, type(None)),
        (status_error(429), 2, type(None)),
        (status_error(503), 2, type(None)),
        (status_error(400), 1, StatusError),
    ],
)
def test_a_request_that_may_not_be_repeated(
    side: Side, first: Any, requests: int, error: type[Exception]
) -> None:
    script = Script(first)
    _, raised = side.read(script, repeat=False)
    assert isinstance(raised, error)
    assert len(script.ids) == requests
    assert side.seen[-1] == (raised, None)
    if not isinstance(first, StatusError) or first.status != 400:
        script = Script(first)
        assert side.read(script)[1] is None
        assert len(script.ids) == 2, "by default it may"


def test_it_is_the_present_connection_that_counts(side: Side) -> None:
    reset = OSError("reset")
    script = Script([b"id: 1\ndata: a\n\n", reset], [b"data: b\n\n", reset])
    assert side.read(script, repeat=False) == (["a", "b"], reset)
    script = Script([b"id: 1\ndata: a\n\n", reset], OSError(), [b": nothing\n\n", OSError()])
    assert side.read(script, repeat=False) == (["a"], None)


def test_what_may_pass_is_not_repeated_for_that(side: Side) -> None:
    reset = LookupError("reset")
    script = Script([b"data: a\n\n", reset])
    options: dict[str, Any] = {"repeat": False, "is_transient": lambda error: True}
    assert side.read(script, **options) == (["a"], reset)


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
    policy = ReconnectionPolicy(initial=0, maximum=0, minimum=0)
    assert side.read(Script(error), policy=policy) == ([], None)
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
        ("connect", first, True),
        ("NoneType", 1.0, None),
        ("OSError", 2.0, None),
        ("connect", second, True),
        ("NoneType", 1.0, None),
        ("connect", last, True),
        ("NoneType", None, None),
    ]


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


@pytest.mark.parametrize("answer", [[b"data: a\n\n"], OSError("refused")])
def test_connect_of_an_async_source_may_be_async(answer: Any) -> None:
    class Fetching(Script):
        async def aconnect(self, last_event_id: str) -> Any:  # type: ignore[override]
            await asyncio.sleep(0)
            return super().aconnect(last_event_id)

    async def fails(last_event_id: str) -> Any:
        await asyncio.sleep(0)
        raise fault

    side, script = Side("asyncio"), Fetching(answer)
    assert side.read(script) == ([] if isinstance(answer, OSError) else ["a"], None)
    assert side.seen[-1] == (None, None)
    fault, script.aconnect = LookupError("no token"), fails  # type: ignore[method-assign]
    assert side.read(script) == ([], fault)


@pytest.mark.parametrize("kind", [EventSource, AsyncEventSource])
def test_the_first_connection_of_the_other_kind_of_function(kind: Any) -> None:
    async def aconnect(last_event_id: str) -> Any:
        raise AssertionError("nobody awaits it")

    if kind is EventSource:
        with pytest.raises(TypeError, match="not coroutine; AsyncEventSource takes an async"):
            next(EventSource(aconnect))
    with pytest.raises(TypeError, match=r"must return a context manager of an .*, not NoneType"):
        if kind is EventSource:
            next(EventSource(lambda last_event_id: None))
        else:
            asyncio.run(_collect(AsyncEventSource(lambda last_event_id: None)))


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
        ({"last_event_id": 7}, "last_event_id"),
        ({"policy": {"initial": 1}}, "policy"),
        ({"sleep": 1}, "sleep"),
        ({"is_transient": OSError()}, "is_transient"),
        ({"on_connect": 1}, "on_connect"),
        ({"clock": 5}, "clock"),
        ({"repeat": None}, "repeat"),
    ]
    for options, name in mistakes:
        with pytest.raises(TypeError, match=name):
            kind(connect, **options)
    with pytest.raises(
        TypeError, match="connect must be callable: a function that opens a stream, not str"
    ):
        kind("http://h/")


# A thousand reconnections.


class Resuming(Script):
    """A server of `count` events that resumes by ID and breaks off at random; then 204."""

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
    data, error = side.read(script, policy=CALM.replace(max_attempts=100))
    assert error is None
    assert data == [f"{i}\nmore" for i in range(1, 3501)]
    assert len(script.ids) > 1000


def test_stopping_anywhere_and_resuming_with_a_new_source(side: Side) -> None:
    script, last = Resuming(300, 5), ""
    data: list[str] = []
    while len(data) < 300:
        got, error = side.read(
            script, limit=7, last_event_id=last, policy=CALM.replace(max_attempts=100)
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


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
def test_close_by_a_signal_handler_ends_a_wait() -> None:
    source = EventSource(
        Script(then=OSError()).connect,
        policy=ReconnectionPolicy(initial=1e18, maximum=1e18),
        on_disconnect=lambda error, delay: signal.setitimer(signal.ITIMER_REAL, 0.01),
    )
    before = signal.signal(signal.SIGALRM, lambda number, frame: source.close())
    try:
        assert list(source) == []
    finally:
        signal.signal(signal.SIGALRM, before)


class Blocking:
    """Bytes that come when the test lets them; `close` ends the wait, as that of some responses."""

    def __init__(self) -> None:
        self.reached, self.go_on, self.shut, self.closed = (threading.Event() for _ in range(4))
        self.iterator = self.chunks()

    def chunks(self) -> Iterator[bytes]:
        yield b"id: 1\ndata: a\n\n"
        self.reached.set()
        assert self.go_on.wait(GUARD)
        if not self.shut.is_set():
            yield b"id: 2\ndata: b\n\n"

    def close(self) -> None:
        self.closed.set()
        self.go_on.set()


class Interruptible(Blocking):
    """An iterator over these bytes, as adapters have them."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self.iterator)

    def interrupt(self) -> None:
        self.shut.set()
        self.go_on.set()


def read_blocked(source: EventSource, blocking: Blocking) -> tuple[threading.Thread, list[str]]:
    got: list[str] = []
    thread = threading.Thread(
        target=lambda: got.extend(event.data for event in source), daemon=True
    )
    thread.start()
    assert blocking.reached.wait(GUARD)
    return thread, got


def test_close_from_another_thread_interrupts_a_reader() -> None:
    blocking, response = Interruptible(), Response()
    source = EventSource(lambda last_event_id: EventStream(blocking, response=response))
    thread, got = read_blocked(source, blocking)
    with pytest.raises(RuntimeError, match="two threads"):
        next(source)
    source.close()
    wait_for(thread)
    assert blocking.shut.is_set()
    assert got == ["a"]
    assert blocking.closed.is_set()
    assert response.closed == 1
    assert source.last_event_id == "1"
    assert list(source) == []


def test_close_from_another_thread_where_a_read_cannot_be_ended() -> None:
    blocking = Blocking()
    source = EventSource(lambda last_event_id: EventStream(blocking.chunks()))
    thread, got = read_blocked(source, blocking)
    source.close()
    assert thread.is_alive()
    blocking.go_on.set()
    wait_for(thread)
    assert got == ["a"]
    assert source.last_event_id == "1", "what came after it comes again"


def test_close_from_another_thread_of_a_response_that_any_thread_may_close() -> None:
    blocking = Blocking()
    source = EventSource(lambda last_event_id: EventStream(blocking.chunks(), response=blocking))
    thread, got = read_blocked(source, blocking)
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


def test_ctrl_c_drops_the_connection_and_not_the_source() -> None:
    clock = Clock()
    script = Script([b"id: 1\ndata: a\n\n", KeyboardInterrupt()], [b"id: 2\ndata: b\n\n"])
    source = EventSource(script.connect, sleep=clock.sleep)
    assert next(source).data == "a"
    with pytest.raises(KeyboardInterrupt):
        next(source)
    assert script.streams[0].response.closed == 1
    assert source.last_event_id == "1"
    assert repr(source) == "<EventSource not connected, last_event_id='1'>"
    assert next(source).data == "b"
    assert script.ids == ["", "1"]
    assert clock.slept == []


def test_a_good_connection_that_is_dropped_starts_the_count_afresh() -> None:
    clock, down = Clock(), OSError()
    script = Script(down, down, [b"id: 1\ndata: a\n\n", KeyboardInterrupt()], down, down)
    source = EventSource(script.connect, policy=CALM, sleep=clock.sleep, clock=clock)
    assert next(source).data == "a"
    with pytest.raises(KeyboardInterrupt):
        next(source)
    assert list(source) == []
    assert clock.slept == [1, 2, 1, 2]


@pytest.mark.parametrize("where", ["is_transient", "on_disconnect", "sleep"])
def test_ctrl_c_between_two_connections_loses_nothing(where: str) -> None:
    def interrupt(*_: object) -> None:
        if not interrupted:
            interrupted.append(None)
            raise KeyboardInterrupt

    interrupted: list[None] = []
    script = Script([b"id: 1\ndata: a\n\n", OSError()], [b"id: 2\ndata: b\n\n"])
    options: dict[str, Any] = {"sleep": Clock().sleep, where: interrupt}
    source = EventSource(script.connect, **options)
    assert next(source).data == "a"
    with pytest.raises(KeyboardInterrupt):
        next(source)
    assert [event.data for event in source] == ["b"]
    assert script.ids == ["", "1", "2"]


def test_ctrl_c_anywhere_in_a_read_loses_nothing() -> None:
    """An interrupt comes where Python calls something: at one such place after the other."""

    def connect(last_event_id: str) -> EventStream:
        first = int(last_event_id or 0) + 1
        parts = [b"id: %d\ndata: x\n\n" % number for number in (first, first + 1)]
        return EventStream(parts, decoder=SSEDecoder(last_event_id=last_event_id))

    calls = 0

    def interrupt(frame: Any, what: str, _: object) -> None:
        nonlocal calls
        if what != "return" and frame.f_code.co_filename == sse_stream.reconnect.__file__:
            calls += 1
            if calls == place:
                sys.setprofile(None)
                raise KeyboardInterrupt

    place, was_interrupted = 0, True
    while was_interrupted:
        place, calls, was_interrupted = place + 1, 0, False
        source = EventSource(connect, policy=CALM.replace(initial=0, minimum=0))
        seen: list[str] = []
        while len(seen) < 5:
            sys.setprofile(None if was_interrupted else interrupt)
            try:
                seen.append(next(source).id)
            except KeyboardInterrupt:
                was_interrupted = True
            finally:
                sys.setprofile(None)
        assert seen == ["1", "2", "3", "4", "5"]
    assert place > 50


# What a read finds that comes after the end.


async def _read_after(side: Side, source: Any) -> Any:
    return next(source) if side.name == "sync" else await source.__anext__()


def read_after(side: Side) -> Any:
    """Read from a source that has ended; return what that raises."""
    try:
        (trio.run if side.name == "trio" else _run)(_read_after, side, side.source)
    except (StopIteration, StopAsyncIteration, RuntimeError) as error:
        return error.__cause__ if isinstance(error, RuntimeError) else error
    except StreamClosedError as error:
        return error


def _run(function: Any, *arguments: Any) -> Any:
    return asyncio.run(function(*arguments))


def test_after_an_error_nothing_looks_like_an_orderly_end(side: Side) -> None:
    fault = status_error(403)
    side.read(Script([b"id: 1\ndata: a\n\n"], fault))
    error = read_after(side)
    assert isinstance(error, StreamClosedError)
    assert error.__cause__ is fault
    assert "ended with an error, which an earlier read raised" in str(error)
    assert "resume from is '1'" in str(error)
    assert error.last_event_id == "1"


def test_after_leaving_with_before_the_end(side: Side) -> None:
    side.read(Script([b"id: 1\ndata: a\n\n"]), limit=1)
    error = read_after(side)
    assert isinstance(error, StreamClosedError)
    assert "its `with` block was left, or the reading" in str(error)


def test_after_an_orderly_end(side: Side) -> None:
    side.read(Script([b"id: 1\ndata: a\n\n"]))
    assert isinstance(read_after(side), (StopIteration, StopAsyncIteration))


def test_repr() -> None:
    source = EventSource(Script([b"id: 1\ndata: a\n\n"]).connect)
    assert repr(source) == "<EventSource not connected, last_event_id=''>"
    next(source)
    assert repr(source) == "<EventSource open, last_event_id='1'>"
    source.close()
    source = EventSource(Script().connect)
    assert list(source) == []
    assert repr(source) == "<EventSource ended, last_event_id=''>"


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


def test_trio_sleeps_by_default() -> None:
    async def main() -> None:
        script = Script([b"data: a\n\n"], OSError(), [b"data: b\n\n"])
        policy = ReconnectionPolicy(initial=4, maximum=4, jitter=0)
        source = AsyncEventSource(script.aconnect, policy=policy, clock=trio.current_time)
        begin = trio.current_time()
        assert await _collect(source) == ["a", "b"]
        assert trio.current_time() - begin == pytest.approx(12)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_aclose_from_another_task_ends_a_wait_on_trio() -> None:
    async def main() -> None:
        waiting = trio.Event()
        policy = ReconnectionPolicy(initial=1e18, maximum=1e18)
        source = AsyncEventSource(
            Script(then=OSError()).aconnect,
            policy=policy,
            on_disconnect=lambda error, delay: waiting.set(),
        )
        with trio.fail_after(GUARD):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_collect, source)
                await waiting.wait()
                await trio.testing.wait_all_tasks_blocked()
                await source.aclose()
        assert await _collect(source) == []

    trio.run(main)


def test_without_sleep_it_needs_asyncio_or_trio() -> None:
    script = Script()
    source = AsyncEventSource(script.aconnect)
    with pytest.raises(RuntimeError, match="outside asyncio and trio, pass sleep="):
        source.__anext__().send(None)
    assert script.ids == []


def test_trio_is_found_without_importing_it() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(sse_stream.__file__).parent.parent)!r})\n"
        "import asyncio\nfrom sse_stream.reconnect import AsyncEventSource, ReconnectionPolicy\n"
        "def connect(last_event_id): raise OSError\n"
        "policy = ReconnectionPolicy(minimum=0, initial=0, max_attempts=1)\n"
        "source = AsyncEventSource(connect, policy=policy)\n"
        "try: asyncio.run(source.__anext__())\n"
        "except OSError: print('trio' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"


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


# Cancelled reads.


@pytest.mark.parametrize("fault", [None, OSError("close failed")])
def test_cancellation_drops_the_connection_and_not_the_source(fault: Exception | None) -> None:
    class Endless:
        closed = 0

        def __aiter__(self) -> Endless:
            return self

        async def __anext__(self) -> bytes:
            reached.set()
            await asyncio.sleep(3600)
            raise AssertionError

        async def aclose(self) -> None:
            self.closed += 1

    async def main() -> None:
        task = asyncio.ensure_future(source.__anext__())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.stream is None
        assert chunks.closed
        assert (await source.__anext__()).data == "a"
        await source.aclose()

    chunks, reached = Endless(), asyncio.Event()
    manager = Manager(AsyncEventStream(chunks), fault)
    connections = iter([manager, Script([b"data: a\n\n"]).aconnect("")])
    source = AsyncEventSource(lambda last_event_id: next(connections))
    asyncio.run(main())
    assert isinstance(manager.left[0], asyncio.CancelledError)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_read_with_a_timeout_in_a_loop(loop: str) -> None:
    """Neither uses up the tries, nor keeps the source from connecting."""

    async def connect(last_event_id: str) -> Any:
        connected.append(now())
        raise OSError("not yet")

    async def read_on_asyncio(source: AsyncEventSource) -> None:
        await asyncio.wait_for(source.__anext__(), 0.01)

    async def read_on_trio(source: AsyncEventSource) -> None:
        with trio.fail_after(1):
            await source.__anext__()

    async def main(read: Any, unit: float) -> None:
        policy = ReconnectionPolicy(initial=4.5 * unit, factor=1, jitter=0, max_attempts=3)
        policy = policy.replace(minimum=0)
        source = AsyncEventSource(connect, policy=policy, clock=now)
        timeouts = 0
        with pytest.raises(OSError, match="not yet"):
            while True:
                try:
                    await read(source)
                except (asyncio.TimeoutError, trio.TooSlowError):  # noqa: PERF203
                    timeouts += 1
        assert len(connected) == 4
        assert timeouts >= 12 if loop == "trio" else timeouts
        for first, second in zip(connected, connected[1:], strict=False):
            assert second - first >= 4.5 * unit * 0.99
            assert loop == "asyncio" or second - first == pytest.approx(4.5)

    connected: list[float] = []
    if loop == "trio":
        now: Any = trio.current_time
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(main, read_on_trio, 1.0, clock=clock)
    else:
        now = time.monotonic
        asyncio.run(main(read_on_asyncio, 0.01))


def test_what_is_left_of_a_wait_goes_to_an_injected_sleep() -> None:
    clock = Clock()
    asked: list[float] = []

    def sleep(seconds: float) -> None:
        asked.append(seconds)
        clock.now += 4
        if len(asked) < 4:
            raise KeyboardInterrupt

    policy = ReconnectionPolicy(initial=10, jitter=0)
    script = Script(OSError())
    source = EventSource(script.connect, policy=policy, sleep=sleep, clock=clock)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            next(source)
    assert list(source) == []
    assert asked == [10, 6, 2, 0]
    assert len(script.ids) == 2


def test_an_error_is_not_lost_with_a_cancelled_hook() -> None:
    async def main() -> None:
        fault = status_error(403)
        hooked = asyncio.Event()

        async def on_disconnect(error: Exception | None, delay: float | None) -> None:
            hooked.set()
            await asyncio.sleep(3600)

        source = AsyncEventSource(Script(fault).aconnect, on_disconnect=on_disconnect)
        task = asyncio.ensure_future(source.__anext__())
        await hooked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(StatusError) as caught:
            await source.__anext__()
        assert caught.value is fault

    asyncio.run(main())


def test_an_end_is_not_lost_with_a_cancelled_leaving() -> None:
    """Else the request that may not be repeated would be."""

    class Slow(Manager):
        async def __aexit__(self, *exc: object) -> None:
            left.set()
            await asyncio.sleep(3600)

    async def main() -> None:
        connections = [Slow(AsyncEventStream(_achunks([b"data: a\n\n"])))]
        source = AsyncEventSource(lambda last_event_id: connections.pop(), repeat=False)
        assert (await source.__anext__()).data == "a"
        task = asyncio.ensure_future(source.__anext__())
        await left.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(StopAsyncIteration):
            await source.__anext__()

    left = asyncio.Event()
    asyncio.run(main())


def test_a_cancelled_read_of_a_request_that_may_not_be_repeated() -> None:
    script = Script([b"data: a\n\n", KeyboardInterrupt()])
    source = EventSource(script.connect, repeat=False)
    assert next(source).data == "a"
    with pytest.raises(KeyboardInterrupt):
        next(source)
    for _ in range(2):
        with pytest.raises(StreamClosedError, match=r"may not be sent again.*\(see `repeat`\)"):
            next(source)
    assert script.ids == [""]
    script = Script([b"id: 1\ndata: a\n\n", KeyboardInterrupt()], [b"id: 2\ndata: b\n\n"])
    source = EventSource(script.connect, repeat=False)
    assert next(source).data == "a"
    with pytest.raises(KeyboardInterrupt):
        next(source)
    assert next(source).data == "b"


class Stepping(Resuming):
    """The same server, between whose chunks other tasks may run, and so cancel the read."""

    def __init__(self, count: int, seed: int, pause: Callable[[], Awaitable[object]]) -> None:
        super().__init__(count, seed)
        self.pause = pause

    def aconnect(self, last_event_id: str) -> Any:
        async def open_stream() -> AsyncEventStream:
            for _ in range(self.random.randrange(3)):
                await self.pause()
            return Script.aconnect(self, last_event_id)

        return AsyncOpening(open_stream)

    def _answer(self, last_event_id: str) -> tuple[list[Any], dict[str, Any]]:
        parts, options = super()._answer(last_event_id)
        return [self._pausing(part) for part in parts], options

    def _pausing(self, part: Any) -> Callable[[], Awaitable[bytes]]:
        async def give() -> bytes:
            for _ in range(self.random.randrange(3)):
                await self.pause()
            if isinstance(part, BaseException):
                raise part
            return part  # type: ignore[no-any-return]

        return give


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@given(st.integers(), st.lists(st.integers(0, 8), min_size=1, max_size=30))
def test_cancelled_reads_lose_and_double_nothing(loop: str, seed: int, cuts: list[int]) -> None:
    """Cancel each read after some steps of the loop, or let it go on; resume with the next."""
    data: list[str] = []
    clock = Clock()

    async def read(source: AsyncEventSource) -> None:
        try:
            data.append((await source.__anext__()).data)
        except StopAsyncIteration:
            data.append("end")

    async def sleep(seconds: float) -> None:
        await pause()
        clock.sleep(seconds)

    async def main(read_for: Any) -> None:
        script = Stepping(20, seed, pause)
        policy = CALM.replace(max_attempts=None)
        source = AsyncEventSource(script.aconnect, policy=policy, sleep=sleep, clock=clock)
        for steps in cuts:
            await read_for(source, steps)
        while data[-1:] != ["end"]:
            await read(source)
        await source.aclose()

    async def read_for_on_asyncio(source: AsyncEventSource, steps: int) -> None:
        task = asyncio.ensure_future(read(source))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass

    async def read_for_on_trio(source: AsyncEventSource, steps: int) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, source)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    async def pause() -> None:
        await (trio.lowlevel.checkpoint() if loop == "trio" else asyncio.sleep(0))

    if loop == "trio":
        trio.run(main, read_for_on_trio)
    else:
        asyncio.run(main(read_for_on_asyncio))
    while data[-2:] == ["end", "end"]:
        data.pop()
    assert data == [*(f"{i}\nmore" for i in range(1, 21)), "end"]


class Suspend:
    """What suspends a coroutine that a test drives by hand."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@pytest.mark.parametrize("state", ["connecting", "reading", "waiting"])
def test_a_closed_coroutine_awaits_nothing_more(state: str) -> None:
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
    slow = [Slow(None)] if state == "connecting" else []
    source = AsyncEventSource(
        lambda last_event_id: slow.pop() if slow else script.aconnect(last_event_id), sleep=suspend
    )
    waiting: Any = source.__anext__()
    waiting.send(None)
    waiting.close()
    resumed: Any = source.__anext__()
    if state == "waiting":
        resumed.send(None)  # for the rest of the time
    with pytest.raises(StopAsyncIteration):
        resumed.send(None)
    closing: Any = source.aclose()
    with pytest.raises(StopIteration):
        closing.send(None)
    assert [stream.response.closed for stream in script.streams] == [1] * len(script.streams)


@pytest.mark.parametrize("later", ["aclose", "__anext__"])
def test_what_nothing_could_be_awaited_for_is_left_later(later: str) -> None:
    async def use(source: AsyncEventSource) -> None:
        async with source:
            await source.__anext__()

    async def suspend() -> bytes:
        await Suspend()
        return b""

    script = Managers([suspend])
    source = AsyncEventSource(script.aconnect, sleep=Clock().asleep)
    using: Any = use(source) if later == "aclose" else source.__anext__()
    using.send(None)
    using.close()
    assert script.managers[0].left == []
    assert ("closed" in repr(source)) is (later == "aclose")
    script.managers[0].fault = OSError("close failed: of no interest any more")
    again: Any = getattr(source, later)()
    with pytest.raises((StopIteration, StopAsyncIteration)):
        again.send(None)
    assert script.managers[0].left == [None]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_async_generator_around_a_source_releases_it(loop: str) -> None:
    async def events(source: AsyncEventSource) -> AsyncIterator[str]:
        async with source:
            async for event in source:
                yield event.data

    async def main() -> None:
        script = Script([b"data: a\n\ndata: b\n\n"])
        source = AsyncEventSource(script.aconnect)
        generator: Any = events(source)
        assert await generator.__anext__() == "a"
        await generator.aclose()
        assert script.streams[0].response.closed == 1
        assert "closed" in repr(source)

    trio.run(main) if loop == "trio" else asyncio.run(main())


# Logs and imports.


def test_lines_show_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = [
        OSError("http://user:secret@h/p?key=secret"),
        status_error(503),
        [],
        [b": hello\n\n", KeyboardInterrupt()],
        status_error(403),
    ]
    source = EventSource(Script(*answers).connect, policy=CALM, sleep=Clock().sleep)
    source.name = "http://h/p"
    with caplog.at_level(logging.DEBUG, logger="sse_stream"):
        with pytest.raises(KeyboardInterrupt):
            next(source)
        with pytest.raises(StatusError):
            next(source)
    assert {record.name for record in caplog.records} == {"sse_stream"}
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "http://h/p: OSError, next connection in 1.000 s"),
        ("INFO", "http://h/p: StatusError 503, next connection in 2.000 s"),
        ("DEBUG", "http://h/p: connected, Last-Event-ID ''"),
        ("INFO", "http://h/p: end of stream, next connection in 4.000 s"),
        ("DEBUG", "http://h/p: connected, Last-Event-ID ''"),
        ("DEBUG", "http://h/p: a read was cancelled, its connection dropped"),
        ("WARNING", "http://h/p: StatusError 403, not tried again"),
    ]


def test_lines_of_a_source_without_url(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sse_stream"):
        assert list(EventSource(Script().connect, last_event_id="7")) == []
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("DEBUG", "the event source: connected, Last-Event-ID '7'"),
        ("DEBUG", "the event source: end of stream, no further connection"),
    ]


def test_lines_about_giving_up(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    policy = CALM.replace(max_attempts=0)
    with caplog.at_level(logging.INFO, logger="sse_stream"):
        side.read(Script(OSError()), policy=policy)
        side.read(Script([b""]), policy=policy)
        side.read(Script([b"data: a\n\n", OSError()]), repeat=False)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert caplog.messages == [
        "the event source: OSError, giving up after 0 further connections",
        "the event source: end of stream, giving up after 0 further connections",
        "the event source: OSError, not tried again: the request may not be sent twice",
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": 1}, "policy must be a ReconnectionPolicy, not int"),
        ({"last_event_id": b""}, "last_event_id must be a str, not bytes"),
        ({"on_connect": 1}, "on_connect must be callable, not int"),
        ({"repeat": 1}, "repeat must be a bool, not int"),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        EventSource(lambda **_: None, **options)
    assert str(caught.value) == message


async def _asynchronous(*_: Any) -> Any:
    raise AssertionError("called")


@pytest.mark.parametrize("name", ["is_transient", "on_connect", "on_disconnect", "sleep"])
def test_an_async_function_that_nobody_would_await_is_refused(name: str) -> None:
    options: dict[str, Any] = {name: _asynchronous}
    message = f"{name} must be a plain function, not an async one"
    with pytest.raises(TypeError, match=message):
        EventSource(lambda **_: None, **options)
    if name == "is_transient":
        with pytest.raises(TypeError, match=message):
            AsyncEventSource(lambda **_: None, **options)
    else:
        AsyncEventSource(lambda **_: None, **options)


class _Response:
    headers = None


def test_what_other_libraries_sources_take() -> None:
    for kind in (EventSource, AsyncEventSource):
        with pytest.raises(TypeError, match="not str; to follow a URL, take subscribe"):
            kind("http://h/")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        response: Any = _Response()
        with pytest.raises(TypeError, match="not _Response; to read a response, take iter_events"):
            kind(response)
        nothing: Any = None
        with pytest.raises(TypeError, match=r"opens a stream, not NoneType$"):
            kind(nothing)


def test_aclose_from_another_task_while_it_connects() -> None:
    async def main() -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()
        script = Script([b"data: a\n\n"])

        async def connect(last_event_id: str) -> Any:
            reached.set()
            await go_on.wait()
            return script.aconnect(last_event_id)

        connected: list[Any] = []
        source = AsyncEventSource(connect, on_connect=connected.append)
        reading = asyncio.ensure_future(_collect(source))
        await reached.wait()
        await source.aclose()
        go_on.set()
        assert await reading == []
        assert connected == []
        assert script.streams[0].response.closed == 1

    asyncio.run(main())


def test_an_abandoned_async_source_connects_no_more() -> None:
    class Opened:
        async def __aenter__(self) -> AsyncEventStream:
            connections.append(self)
            return AsyncEventStream(chunks())

        async def __aexit__(self, *_: object) -> None:
            pass

    async def chunks() -> AsyncIterator[bytes]:
        await broken.wait()
        raise OSError
        yield b""

    async def use(source: AsyncEventSource) -> None:
        async with source:
            await Suspend()

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
        with pytest.raises(StreamClosedError):
            await reading

    connections: list[Opened] = []
    broken = asyncio.Event()
    asyncio.run(main())
    assert len(connections) == 1


@pytest.mark.parametrize("state", ["reading", "waiting"])
def test_a_coroutine_that_is_closed_around_a_source_ends_the_read_of_another_task(
    state: str,
) -> None:
    class Chunks:
        def __init__(self) -> None:
            self.woken = asyncio.Event()
            self.interrupt = self.woken.set

        def __aiter__(self) -> Chunks:
            return self

        async def __anext__(self) -> bytes:
            if state == "waiting":
                raise OSError
            await self.woken.wait()
            raise StopAsyncIteration

    async def open_stream() -> AsyncEventStream:
        return AsyncEventStream(Chunks())

    async def use(source: AsyncEventSource) -> None:
        async with source:
            await Suspend()

    async def main() -> None:
        source = AsyncEventSource(
            lambda last_event_id: AsyncOpening(open_stream),
            policy=ReconnectionPolicy(initial=60),
        )
        using = use(source)
        using.send(None)
        reading = asyncio.ensure_future(source.__anext__())
        await asyncio.sleep(0.01)
        using.close()
        with pytest.raises(StreamClosedError):
            await asyncio.wait_for(reading, 5)

    asyncio.run(main())


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


@pytest.mark.parametrize("is_closed", [False, True])
def test_an_interrupt_before_an_event_is_handed_out_does_not_lose_it(
    monkeypatch: pytest.MonkeyPatch, is_closed: bool
) -> None:
    asked: list[str] = []

    def connect(last_event_id: str = "") -> Opening:
        asked.append(last_event_id)
        start = int(last_event_id or 0)
        chunks = [b"id: %d\ndata: %d\n\n" % (n, n) for n in range(start + 1, 4)]
        return Opening(lambda: EventStream(chunks, decoder=SSEDecoder(last_event_id=last_event_id)))

    source = EventSource(connect)
    assert next(source).data == "1"
    with monkeypatch.context() as patch:
        patch.setattr(EventSource, "_took", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            next(source)
    if is_closed:
        source.close()
        assert [*source] == []
    else:
        assert [next(source).data, next(source).data] == ["2", "3"]
        assert asked == ["", "2"]
        source.close()


def raise_interrupt(*_: Any) -> Any:
    raise KeyboardInterrupt


# The whole texts, and what the last end says.


def test_the_whole_text_about_a_read_that_cannot_be_repeated() -> None:
    script = Script([b"data: a\n\n", KeyboardInterrupt()])
    with EventSource(script.connect, repeat=False) as source:
        assert next(source).data == "a"
        with pytest.raises(KeyboardInterrupt):
            next(source)
        assert repr(source) == "<EventSource ended, last_event_id=''>"
    with pytest.raises(StreamClosedError) as caught:
        next(source)
    assert str(caught.value) == (
        "a read was cancelled, and the request may not be sent again: it gave events, "
        "and no ID to resume from (see `repeat`)"
    )


def test_the_whole_text_of_the_other_reasons_to_read_no_more(side: Side) -> None:
    side.read(Script([b"id: 1\ndata: a\n\n"], status_error(403)))
    assert str(read_after(side)) == (
        "this source ended with an error, which an earlier read raised; "
        "the ID to resume from is '1'"
    )
    side.read(Script([b"id: 1\ndata: a\n\ndata: b\n\n"]), limit=1)
    assert str(read_after(side)) == (
        "its `with` block was left, or the reading of its payloads failed: read inside the block; "
        "the ID to resume from is '1'"
    )


def test_the_last_end_inside_an_event(side: Side) -> None:
    policy = CALM.replace(reconnect_on_end=False)
    got, error = side.read(Script([b"data: a\n\ndata: b"]), policy=policy)
    assert got == ["a"]
    assert isinstance(error, IncompleteEventError)
    assert error.event is None
    assert str(error) == (
        "the stream ended inside an event, and no further connection is made: if this server "
        "leaves out the last blank line, pass make_decoder=SSEDecoder"
    )
    assert side.read(Script([b"data: a\n\n: b"]), policy=policy) == (["a"], None)
    assert side.read(Script([b"data: a\n\ndata: b"])) == (["a"], None)  # another came after it


@pytest.mark.parametrize("incomplete", ["dispatch", "discard"])
def test_an_end_that_the_decoder_makes_whole(side: Side, incomplete: Any) -> None:
    class Whole(Script):
        def _answer(self, last_event_id: str) -> tuple[list[Any], dict[str, Any]]:
            return [b"data: a"], {"decoder": SSEDecoder(incomplete=incomplete)}

    got, error = side.read(Whole(), policy=CALM.replace(reconnect_on_end=False))
    assert got == ["a"] * (incomplete == "dispatch")
    assert (error is None) == (incomplete == "dispatch")


def test_the_whole_text_about_what_connect_returns() -> None:
    kept: list[Any] = []

    async def coroutine() -> None: ...

    class Awaitable:
        def __await__(self) -> Any:
            raise AssertionError("was awaited")

    def connect(last_event_id: str) -> Any:
        kept.append(coroutine() if last_event_id else 5)
        return kept[-1]

    text = "connect must return a context manager of an EventStream, as adapters' functions do"
    hint = "; AsyncEventSource takes an async function"
    for function, last_event_id, end in (
        (connect, "", ", not int"),
        (connect, "7", f", not coroutine{hint}"),
        (lambda last_event_id: Awaitable(), "", f", not Awaitable{hint}"),
    ):
        with pytest.raises(TypeError) as caught:
            next(EventSource(function, last_event_id=last_event_id))
        assert str(caught.value) == text + end
    assert inspect.getcoroutinestate(kept[-1]) == inspect.CORO_CLOSED


def test_an_id_alone_is_progress(side: Side) -> None:
    script = Script(*([b"id: %d\n\n" % i] for i in range(20)))
    assert side.read(script) == ([], None)
    assert side.clock.slept == [1] * 20


def test_an_interrupt_is_told_to_the_connection_that_it_ends() -> None:
    class Interrupt(BaseException):
        pass

    manager = Manager(EventStream(_chunks([Interrupt()])))
    with pytest.raises(Interrupt) as caught:
        next(EventSource(lambda last_event_id: manager))
    assert (manager.left, manager.details) == ([caught.value], [(Interrupt, True)])
    manager = Manager(AsyncEventStream(_achunks([Interrupt()])))

    async def main() -> None:
        await anext(AsyncEventSource(lambda last_event_id: manager))

    with pytest.raises(Interrupt) as caught:
        asyncio.run(main())
    assert manager.left == [caught.value]


def test_an_async_generator_around_it_that_is_closed_leaves_the_connection() -> None:
    manager = Manager(AsyncEventStream(_achunks([b"data: a\n\n"])))

    async def data() -> AsyncIterator[str]:
        async with AsyncEventSource(lambda last_event_id: manager) as source:
            async for event in source:
                yield event.data

    async def main() -> None:
        generator: Any = data()
        assert await anext(generator) == "a"
        await generator.aclose()
        assert manager.left == [None]

    asyncio.run(main())


def test_who_reads_leaves_the_connection_that_is_closed_meanwhile() -> None:
    is_reading = False
    seen: list[bool] = []

    class Noting(Manager):
        def __exit__(self, exc_type: object, exc: object, traceback: object) -> None:
            seen.append(is_reading)

    def chunks() -> Iterator[bytes]:
        nonlocal is_reading
        is_reading = True
        source.close()
        is_reading = False
        yield b"data: a\n\n"

    source = EventSource(lambda last_event_id: Noting(EventStream(chunks())))
    assert list(source) == []
    assert seen == [False]


# What must not look like the end.


class Half:
    """Chunks of which the second does not come before it is interrupted."""

    def __init__(self) -> None:
        self.parts = [b'id: 1\ndata: "half"\n\n']
        self.reading = threading.Event()
        self.interrupted = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.parts:
            return self.parts.pop()
        self.reading.set()
        self.interrupted.wait(GUARD)
        raise StopIteration

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.parts:
            return self.parts.pop()
        self.reading.set()
        while not self.interrupted.is_set():
            await asyncio.sleep(0)
        raise StopAsyncIteration

    def interrupt(self) -> None:
        self.interrupted.set()


@pytest.mark.parametrize("as_payloads", [False, True])
def test_a_read_whose_source_is_left_by_another_thread(as_payloads: bool) -> None:
    def consume() -> None:
        items: Any = iter_payloads(source, require_done=True) if as_payloads else source
        try:
            got.extend(items)
        except StreamClosedError as error:
            got.append(error)

    got: list[Any] = []
    chunks = Half()
    with EventSource(lambda last_event_id: Opening(lambda: EventStream(chunks))) as source:
        thread = threading.Thread(target=consume)
        thread.start()
        assert chunks.reading.wait(GUARD)
    thread.join(GUARD)
    assert len(got) == 2
    assert "`with` block was left" in str(got[1])
    assert got[1].last_event_id == "1"


@pytest.mark.parametrize("as_payloads", [False, True])
def test_a_read_whose_source_is_left_by_another_task(as_payloads: bool) -> None:
    async def consume(source: AsyncEventSource) -> None:
        items: Any = aiter_payloads(source, require_done=True) if as_payloads else source
        async for item in items:
            got.put(item)

    async def main() -> None:
        chunks = Half()

        async def open_stream() -> AsyncEventStream:
            return AsyncEventStream(chunks)

        async with AsyncEventSource(lambda last_event_id: AsyncOpening(open_stream)) as source:
            task = asyncio.ensure_future(consume(source))
            while not chunks.reading.is_set():
                await asyncio.sleep(0)
        with pytest.raises(StreamClosedError, match="`with` block was left") as caught:
            await task
        assert caught.value.last_event_id == "1"

    got: queue.SimpleQueue[Any] = queue.SimpleQueue()
    asyncio.run(main())
    assert got.qsize() == 1


@pytest.mark.parametrize("where", ["connect", "on_connect", "on_disconnect", "is_transient"])
@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_a_function_of_the_callers_that_raises_stop_iteration(
    side: Side, where: str, kind: type[Exception]
) -> None:
    def stop(*_: object) -> None:
        raise kind

    first: Any = kind() if where == "connect" else OSError() if where == "is_transient" else []
    options: dict[str, Any] = {} if where == "connect" else {where: stop}
    got, error = side.read(Script(first), **options)
    assert got == []
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, kind)
    assert isinstance(read_after(side), StreamClosedError)


def test_a_coroutine_around_a_source_that_is_closed_where_nothing_is_read() -> None:
    class Slow:
        async def aclose(self) -> None:
            await Suspend()
            raise AssertionError("nothing may be awaited")

    async def use(source: AsyncEventSource) -> None:
        async with source:
            await source.__anext__()
            await Suspend()

    async def open_stream() -> AsyncEventStream:
        return AsyncEventStream(_achunks([b"data: a\n\n"]), response=Slow())

    source = AsyncEventSource(lambda last_event_id: AsyncOpening(open_stream), sleep=Clock().asleep)
    using: Any = use(source)
    using.send(None)
    using.close()
    assert "closed" in repr(source)
    assert source.stream is None


def test_a_coroutine_that_is_closed_leaves_a_source_to_who_reads_it() -> None:
    async def suspend() -> bytes:
        await Suspend()
        return b""

    async def use(source: AsyncEventSource) -> None:
        async with source:
            await Suspend()

    script = Script([suspend])
    source = AsyncEventSource(script.aconnect, sleep=Clock().asleep)
    using: Any = use(source)
    using.send(None)
    reading: Any = source.__anext__()
    reading.send(None)
    using.close()
    with pytest.raises(StreamClosedError, match="`with` block was left"):
        reading.send(None)
    assert script.streams[0].response.closed == 1


def test_giving_up_where_each_end_was_inside_an_event(side: Side) -> None:
    policy = CALM.replace(max_attempts=1)
    got, error = side.read(Script(then=[b"data: a\n"]), policy=policy)
    assert got == []
    assert str(error) == (
        "the event source: gave up at a clean end, after 1 further connections in a row; "
        "that end was inside an event: if this server leaves out the last blank line, "
        "pass make_decoder=SSEDecoder"
    )
