# SPDX-License-Identifier: MIT
"""The policy as a value, and its state machine under a clock that only the tests move on."""

from __future__ import annotations

import copy
import pickle
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_stream import SSEError
from sse_stream.handshake import Headers
from sse_stream.policy import (
    FIELDS,
    TRANSIENT_STATUSES,
    Reconnection,
    ReconnectionError,
    ReconnectionPolicy,
    retry_after,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CALM = ReconnectionPolicy(jitter=0)

DAY = 24 * 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# The policy as a value.


def test_the_fields_stand_in_this_order_with_these_defaults() -> None:
    statuses = [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 529, 530]
    values = (1.0, 2.0, 30.0, 0.5, 8, None, 300.0, True, 0.1, 5.0, statuses, True)
    policy = ReconnectionPolicy(*values)
    assert policy == ReconnectionPolicy()
    assert [getattr(policy, name) for name in FIELDS[:10]] == list(values[:10])
    assert policy.statuses == TRANSIENT_STATUSES == frozenset(statuses)
    assert policy.retry_first is True


def test_a_policy_is_a_frozen_value() -> None:
    policy = ReconnectionPolicy(initial=2)
    assert policy == ReconnectionPolicy().replace(initial=2)
    assert policy != ReconnectionPolicy()
    assert hash(policy) == hash(ReconnectionPolicy(2.0))
    assert hash(policy) != hash(ReconnectionPolicy())
    assert len({policy, ReconnectionPolicy(2), ReconnectionPolicy()}) == 2
    for same in (pickle.loads(pickle.dumps(policy)), copy.copy(policy), copy.deepcopy(policy)):
        assert same == policy
        assert type(same) is ReconnectionPolicy
    with pytest.raises(AttributeError, match=r"replace\(initial=\.\.\.\)"):
        policy.initial = 3
    with pytest.raises(AttributeError):
        setattr(policy, "other", 3)  # noqa: B010
    with pytest.raises(AttributeError):
        del policy.initial
    assert policy.initial == 2


def test_a_policy_is_no_tuple() -> None:
    policy: Any = ReconnectionPolicy()
    assert policy != tuple(getattr(policy, name) for name in FIELDS)
    assert not isinstance(policy, tuple)
    assert policy != "a policy"

    class Other(ReconnectionPolicy):
        __slots__ = ()

    assert policy != Other()
    assert type(Other().replace(initial=2)) is Other


def test_its_repr_can_be_evaluated() -> None:
    policy = ReconnectionPolicy(initial=2, statuses={503}, max_elapsed=60)
    assert repr(policy) == (
        "ReconnectionPolicy(initial=2, factor=2.0, maximum=30.0, jitter=0.5, max_attempts=8, "
        "max_elapsed=60, max_retry_after=300.0, reconnect_on_end=True, minimum=0.1, "
        "healthy_after=5.0, statuses=[503], retry_first=True)"
    )
    assert eval(repr(policy)) == policy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("initial", -1),
        ("factor", 0.5),
        ("maximum", float("nan")),
        ("jitter", float("inf")),
        ("max_attempts", -1),
        ("max_elapsed", -1),
        ("max_retry_after", 10**400),
        ("minimum", -0.1),
        ("healthy_after", float("inf")),
        ("statuses", {99}),
        ("statuses", [1000]),
    ],
)
def test_values_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} must "):
        ReconnectionPolicy(**{field: value})
    with pytest.raises(ValueError, match=f"^{field} must "):
        CALM.replace(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("initial", "1"),
        ("factor", None),
        ("maximum", True),
        ("jitter", "1"),
        ("healthy_after", "1"),
        ("max_attempts", 1.5),
        ("max_attempts", 0.0),
        ("max_attempts", False),
        ("max_elapsed", "1"),
        ("max_retry_after", None),
        ("reconnect_on_end", "no"),
        ("reconnect_on_end", 1.0),
        ("reconnect_on_end", None),
        ("minimum", b"1"),
        ("statuses", "503"),
        ("statuses", 503),
        ("statuses", ["503"]),
        ("statuses", [True]),
        ("retry_first", 0),
    ],
)
def test_values_of_the_wrong_kind(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{field} must "):
        ReconnectionPolicy(**{field: value})


def test_values_at_the_edges_of_their_ranges() -> None:
    edges: dict[str, Any] = {**dict.fromkeys(FIELDS[:7], 0), "factor": 1}
    policy = ReconnectionPolicy(**edges, statuses=iter([100, 999]))
    assert (policy.initial, policy.factor) == (0, 1)
    assert policy.statuses == {100, 999}
    assert ReconnectionPolicy(max_attempts=None, max_elapsed=None, statuses=()).statuses == set()


def test_a_field_that_there_is_not() -> None:
    with pytest.raises(TypeError, match="attempts"):
        CALM.replace(attempts=3)


def test_the_error_of_giving_up() -> None:
    error = ReconnectionError("gave up", 8)
    assert isinstance(error, SSEError)
    for same in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (str(same), same.attempts) == ("gave up", 8)


# Histories: what happens to connections, one after the other, and what is answered.
#
# A connection is written as a string of words: `open`, then `event`, `id` (the last event ID moves)
# and seconds that pass, then how it was lost: `end`, `reset`, `drop` or, without `open`, `refused`.


class History:
    """Tells a state machine what happens, and keeps its answers."""

    def __init__(self, policy: ReconnectionPolicy = CALM, **options: Any) -> None:
        self.clock = Clock()
        self.state: Reconnection = policy.start(clock=self.clock, **options)
        self.answers: list[float | str] = []

    def tell(self, history: str, retry: int | None = None, after: float | None = None) -> None:
        """Tell of one connection, and wait as the answer says."""
        moved = False
        answer: float | str | None = None
        for word in history.split():
            if word == "open":
                self.state.connected()
            elif word == "event":
                self.state.event()
            elif word == "id":
                moved = True
            elif word == "end":
                answer = self.state.ended(retry=retry, moved=moved)
            elif word in ("reset", "refused"):
                answer = self.state.failed(retry=retry, moved=moved, retry_after=after)
            elif word == "drop":
                self.state.dropped(moved=moved)
            else:
                self.clock.now += float(word)
        if answer is not None:
            self.answers.append(answer)
        if isinstance(answer, float):
            self.clock.now += answer


def answers(histories: list[str], policy: ReconnectionPolicy = CALM, **told: Any) -> list[Any]:
    history = History(policy)
    for connection in histories:
        history.tell(connection, **told)
    return history.answers


STOP = "stop"

TABLE: dict[str, tuple[list[str], list[Any]]] = {
    "nobody there": (["refused"] * 9, [1, 2, 4, 8, 16, 30, 30, 30, STOP]),
    "a status, again and again": (["0.2 refused"] * 9, [1, 2, 4, 8, 16, 30, 30, 30, STOP]),
    "reset at once": (["open reset"] * 9, [1, 2, 4, 8, 16, 30, 30, 30, STOP]),
    "empty answers": (["open end"] * 9, [1, 2, 4, 8, 16, 30, 30, 30, STOP]),
    "comments alone": (["open 4.9 end"] * 9, [1, 2, 4, 8, 16, 30, 30, 30, STOP]),
    "empty, and then gone": (
        ["open end"] * 4 + ["refused"] * 5,
        [1, 2, 4, 8, 16, 30, 30, 30, STOP],
    ),
    "one event, and a reset": (["open event reset"] * 9, [1, 2, 4, 8, 16, 30, 30, 30, STOP]),
    "one event, and an end": (["open event end"] * 20, [1] * 20),
    "an ID, and a reset": (["open event id reset"] * 20, [1] * 20),
    "an ID without an event": (["open id reset", "open id end"] * 10, [1] * 20),
    "quiet, and a reset": (["open 60 reset"] * 20, [1] * 20),
    "quiet, and an end": (["open 60 end"] * 20, [1] * 20),
    "just long enough": (["open 5 reset"] * 20, [1] * 20),
    "a good one between": (
        ["refused"] * 8 + ["open event end"] + ["refused"] * 8,
        [1, 2, 4, 8, 16, 30, 30, 30, 1, 2, 4, 8, 16, 30, 30, 30, STOP],
    ),
    "a short one between": (
        ["refused"] * 7 + ["open event reset", "refused"],
        [1, 2, 4, 8, 16, 30, 30, 30, STOP],
    ),
    "slow to fail": (["7 refused"] * 9, [1, 2, 4, 8, 16, 30, 30, 30, STOP]),
    "cancelled reads": (["refused", *["open drop"] * 50, "refused"], [1, 2]),
    "a cancelled read after an ID": (["refused", "open event id drop", "refused"], [1, 1]),
    "a cancelled read after a while": (["refused", "open 9 drop", "refused"], [1, 1]),
    "a cancelled read while it connects": (["refused", "3 drop", "refused"], [1, 2]),
    "an event of a dropped connection": (["open event drop", "open end", "open end"], [1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_histories(name: str) -> None:
    histories, expected = TABLE[name]
    assert answers(histories) == expected


@pytest.mark.parametrize(
    ("fields", "told", "histories", "expected"),
    [
        ({"factor": 3, "maximum": 20}, {}, ["refused"] * 5, [1, 3, 9, 20, 20]),
        ({"initial": 60}, {}, ["refused"] * 2, [30, 30]),
        ({"max_attempts": 0}, {}, ["refused"], [STOP]),
        ({"max_attempts": 0}, {}, ["open 60 end"], [STOP]),
        ({"max_attempts": 1}, {}, ["refused", "refused"], [1, STOP]),
        ({"max_attempts": 1}, {}, ["open 60 reset", "open 60 reset", "refused"], [1, 1, STOP]),
        ({"reconnect_on_end": False}, {}, ["open event end"], [STOP]),
        ({"reconnect_on_end": False}, {}, ["open event reset"], [1]),
        # The server's `retry`, in place of `initial`.
        ({}, {"retry": 250}, ["open event end"] * 9, [0.25] * 9),
        ({}, {"retry": 5000}, ["refused"] * 5, [5, 10, 20, 30, 30]),
        ({}, {"retry": 60_000}, ["refused"] * 3, [60, 60, 60]),
        ({}, {"retry": 86_400_000}, ["open 60 end"] * 2, [300, 300]),
        ({}, {"retry": 10**5000}, ["refused"] * 2, [300, 300]),
        ({"max_retry_after": 7}, {"retry": 60_000}, ["refused"] * 4, [7, 14, 28, 30]),
        ({"max_retry_after": 1.7e308}, {"retry": 10**400}, ["refused"] * 2, [10**12] * 2),
        # The minimum.
        ({}, {"retry": 0}, ["open event end"] * 3, [0.1] * 3),
        ({}, {"retry": 0}, ["refused"] * 4, [0.1, 0.2, 0.4, 0.8]),
        ({}, {"retry": 50}, ["open event end"] * 3, [0.1] * 3),
        ({"initial": 0, "maximum": 0}, {}, ["refused"] * 3, [0.1] * 3),
        ({"initial": 0, "maximum": 0, "minimum": 0}, {}, ["refused"] * 3, [0, 0, 0]),
        ({"minimum": 45}, {"retry": 1}, ["refused"] * 3, [45, 45, 45]),
        # Retry-After.
        ({}, {"after": 0.0}, ["refused"] * 2, [1, 2]),
        ({}, {"after": 7.0}, ["refused"] * 5, [7, 7, 7, 8, 16]),
        ({}, {"after": 300.0}, ["refused"] * 2, [300, 300]),
        ({}, {"after": 300.5}, ["refused"], [STOP]),
        ({}, {"after": float("inf")}, ["refused"], [STOP]),
        ({}, {"after": 2.0, "retry": 4000}, ["refused"] * 2, [4, 8]),
        # The first connection.
        ({"retry_first": False}, {}, ["refused"], [STOP]),
        ({"retry_first": False}, {}, ["open reset"], [STOP]),
        ({"retry_first": False}, {}, ["open event reset", "refused"], [1, 2]),
        ({"retry_first": False}, {}, ["open 5 reset", "refused"], [1, 2]),
        ({"retry_first": False}, {}, ["open end", "refused"], [1, 2]),
        ({"retry_first": False}, {}, ["open drop", "refused"], [1]),
        ({"retry_first": False}, {}, ["1 drop", "refused"], [STOP]),
        # What counts as good.
        ({"healthy_after": 0}, {}, ["open reset"] * 9, [1] * 9),
        ({"healthy_after": 0}, {}, ["refused"] * 2, [1, 2]),
        ({"healthy_after": 90}, {}, ["open 89 reset"] * 2, [1, 2]),
        # The time that may pass.
        ({"max_elapsed": 8, "initial": 4, "factor": 1}, {}, ["4 refused", "1 refused"], [4, STOP]),
        ({"max_elapsed": 10}, {}, ["refused"] * 4, [1, 2, 4, STOP]),
        ({"max_elapsed": 10}, {}, ["9.5 refused"], [STOP]),
        ({"max_elapsed": 10}, {}, ["open end"] * 4, [1, 2, 4, STOP]),
        ({"max_elapsed": 10}, {}, ["refused", "open 9 end", *["refused"] * 3], [1, 1, 2, 4, STOP]),
        ({"max_elapsed": 0}, {}, ["open 60 reset"], [STOP]),
        ({"max_elapsed": 10}, {}, ["refused", *["9 open 4 drop"] * 4, "refused"], [1, 2]),
        ({"max_elapsed": 10}, {}, ["open 60 drop", "refused"], [1]),
        ({"max_elapsed": 10}, {}, ["refused", "9 drop", "refused"], [1, STOP]),
    ],
)  # fmt: skip
def test_histories_under_other_policies(
    fields: dict[str, Any], told: dict[str, Any], histories: list[str], expected: list[Any]
) -> None:
    assert answers(histories, CALM.replace(**fields), **told) == expected


def test_a_retry_that_comes_or_changes_in_between() -> None:
    history = History()
    for retry in (None, 5000, 5000, 2000, 40_000, None):
        history.tell("refused", retry=retry)
    assert history.answers == [1, 10, 20, 16, 40, 30]


def test_the_last_event_id_has_not_moved_unless_told() -> None:
    state = CALM.start(clock=Clock())
    state.connected()
    assert state.failed() == 1
    state.connected()
    state.dropped()
    state.connected()
    assert state.ended() == 2
    assert state.failed() == 4


def test_any_number_of_attempts() -> None:
    history = History(CALM.replace(max_attempts=None))
    for _ in range(3000):  # and no overflow
        history.tell("refused")
    assert history.answers[5:] == [30] * 2995


def test_attempts_are_counted() -> None:
    history = History()
    for connection in ("refused", "open end", "open event reset"):
        history.tell(connection)
    assert history.state.attempts == 3
    history.tell("open 60 reset")
    assert history.state.attempts == 1


def test_jitter_adds_a_random_share() -> None:
    numbers = iter([0.0, 0.5, 1.0])
    history = History(ReconnectionPolicy(factor=1), random=numbers.__next__)
    for _ in range(3):
        history.tell("refused")
    assert history.answers == [1, 1.25, 1.5]
    assert len({ReconnectionPolicy().start().failed() for _ in range(20)}) > 1


def test_after_a_short_retry_the_pause_is_short() -> None:
    for _ in range(100):
        answer = ReconnectionPolicy().start().ended(retry=50)
        assert answer != "stop"
        assert 0.04 <= answer <= 0.5


# Properties of all histories.

SECONDS = st.floats(0, 100)

POLICIES = st.builds(
    ReconnectionPolicy,
    initial=SECONDS,
    factor=st.floats(1, 10),
    maximum=SECONDS,
    jitter=st.floats(0, 2),
    max_attempts=st.none() | st.integers(0, 10),
    max_elapsed=st.none() | st.floats(0, 1000),
    max_retry_after=SECONDS,
    reconnect_on_end=st.booleans(),
    minimum=st.floats(0, 20),
    healthy_after=SECONDS,
    retry_first=st.booleans(),
)

CONNECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["", "open", "open event", "open id", "open event id"]),
        st.sampled_from([0, 0, 0, 1, 7, 200]),
        st.sampled_from(["end", "reset", "reset", "reset", "drop"]),
        st.none() | st.integers(0, 200_000),
        st.none() | st.floats(0, 50),
    ),
    max_size=40,
)


def is_good(policy: ReconnectionPolicy, begun: str, lasted: float, lost: str) -> bool:
    """The definition, in the words of the design."""
    if "open" not in begun:
        return False
    in_good_order = "event" in begun and lost == "end"
    return lasted >= policy.healthy_after or "id" in begun or in_good_order


@given(POLICIES, CONNECTIONS, st.integers())
def test_properties_of_all_histories(
    policy: ReconnectionPolicy, connections: list[tuple[Any, ...]], seed: int
) -> None:
    history = History(policy, random=random.Random(seed).random)
    in_a_row = 0  # tries since the last good connection
    for begun, lasted, lost, retry, after in connections:
        if "open" not in begun and lost == "end":
            continue
        began = history.clock.now
        seen = len(history.answers)
        after = after if lost == "reset" else None
        history.tell(f"{begun} {lasted} {lost}", retry, after)
        good = is_good(policy, begun, lasted, lost)
        if good:
            in_a_row = 0
        if len(history.answers) == seen:
            continue
        answer = history.answers[-1]
        if isinstance(answer, str):
            break
        in_a_row += 1
        server = 0 if retry is None else min(retry / 1000, policy.max_retry_after)
        most = max(policy.maximum, policy.minimum, server, after or 0)
        assert max(policy.minimum, after or 0) <= answer <= most * (1 + policy.jitter) * 1.000001
        passed = history.clock.now - began
        assert passed >= policy.minimum - 1e-9, "no history loops faster"  # as floats add up
        assert policy.max_attempts is None or in_a_row <= policy.max_attempts
        if good:
            first = policy.initial if retry is None else server
            start = max(min(first, max(policy.maximum, server)), policy.minimum, after or 0)
            assert answer <= start * (1 + policy.jitter) * 1.000001, "it starts afresh"


@given(CONNECTIONS, st.integers())
def test_the_same_random_numbers_give_the_same_delays(
    connections: list[tuple[Any, ...]], seed: int
) -> None:
    runs: list[Any] = []
    for _ in range(2):
        history = History(ReconnectionPolicy(), random=random.Random(seed).random)
        for begun, lasted, lost, retry, after in connections:
            history.tell(f"{begun} {lasted} {lost}", retry, after)
        runs.append(history.answers)
    assert runs[0] == runs[1]


# Months.


def run(
    policy: ReconnectionPolicy, connection: Callable[[float], str], days: float = 30, **told: Any
) -> History:
    """Go on until the policy says stop, or so many days have passed."""
    history = History(policy, random=random.Random(1).random)
    begin = history.clock.now
    while history.clock.now - begin < days * DAY and history.answers[-1:] != [STOP]:
        history.tell(connection(history.clock.now - begin), **told)
    return history


@pytest.mark.parametrize("cut", ["open 60 reset", "open 60 end", "open 30 event 30 reset"])
def test_a_month_behind_a_balancer_that_cuts_every_minute(cut: str) -> None:
    history = run(ReconnectionPolicy(), lambda _: cut)
    assert history.answers[-1] != STOP
    assert all(1 <= answer <= 1.5 for answer in history.answers if isinstance(answer, float))
    assert 42_000 < len(history.answers) < 42_600


def deploy(now: float) -> str:
    """A server that is away for 5 minutes each day, from noon on, and gives an event every hour."""
    second = now % DAY
    if DAY / 2 <= second < DAY / 2 + 300:
        return "refused"
    left = (DAY / 2 - second) % DAY
    return f"open event {max(left, 0.001)} reset"


def test_a_month_of_daily_deploys_of_five_minutes() -> None:
    history = run(ReconnectionPolicy(max_attempts=None, max_elapsed=3600), deploy)
    assert history.answers[-1] != STOP
    assert 30 * 10 < len(history.answers) < 30 * 20, "a dozen requests for each deploy"


def test_two_minutes_of_absence_are_what_the_default_bears() -> None:
    history = run(ReconnectionPolicy(), deploy, days=1)
    assert history.answers[-1] == STOP
    down = sum(answer for answer in history.answers if isinstance(answer, float))
    assert 121 <= down <= 181.5


@pytest.mark.parametrize("poll", ["open event 10 end", "open event id 10 end"])
def test_a_month_of_a_server_that_polls(poll: str) -> None:
    history = run(ReconnectionPolicy(), lambda _: poll, retry=250)
    assert history.answers[-1] != STOP
    assert all(0.25 <= answer <= 0.375 for answer in history.answers if isinstance(answer, float))
    assert len(history.answers) > 245_000


@pytest.mark.parametrize("poll", ["open event end", "open event id end"])
def test_a_month_of_polls_that_are_answered_at_once(poll: str) -> None:
    """Eight million of them: each leaves what the one before left, but for the time."""
    history = run(ReconnectionPolicy(), lambda _: poll, days=0.01, retry=250)
    assert all(0.25 <= answer <= 0.375 for answer in history.answers if isinstance(answer, float))
    assert len(history.answers) > 2000

    def state() -> dict[str, Any]:
        return {name: getattr(history.state, name) for name in Reconnection.__slots__}

    before, seconds = state(), history.clock.now
    history.tell(poll, retry=250)
    assert state() == {**before, "_down_since": seconds}


def test_an_endpoint_that_only_ever_answers_200_with_nothing() -> None:
    history = run(ReconnectionPolicy(), lambda _: "open end")
    assert len(history.answers) == 9
    assert history.answers[-1] == STOP
    assert history.state.attempts == 8
    history = run(ReconnectionPolicy(max_attempts=None), lambda _: "open end", days=1)
    assert len(history.answers) < 3000, "one request in half a minute"


def test_a_read_with_a_timeout_in_a_loop_uses_nothing_up() -> None:
    history = run(ReconnectionPolicy(max_elapsed=60), lambda _: "open 1 drop", days=0.1)
    assert history.answers == []
    history.tell("refused")
    assert history.answers[-1] != STOP


# Retry-After.

DATE = "Sat, 21 Nov 2026 10:00:00 GMT"
NOW = 1795255200.0  # the same


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 0 "}, 0),
        ({"Retry-After": "Sat, 21 Nov 2026 10:01:30 GMT", "Date": DATE}, 90),
        ({"Retry-After": "Sat, 21 Nov 2026 09:59:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": DATE, "Date": "Sat, 21 Nov 2026 09:59:30 GMT"}, 30),
        ({"Retry-After": "Sat, 21 Nov 2026 10:00:30 GMT"}, 30),
        ({"Retry-After": "Sat, 21 Nov 2026 10:00:30 GMT", "Date": "today"}, 30),
        ({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}, 0),
        ({"Retry-After": "9" * 5000}, float("inf")),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "\u0665"}, None),
        ({"Retry-After": ""}, None),
        ({"Date": DATE}, None),
        ({}, None),
    ],
)
def test_retry_after(fields: dict[str, str], seconds: float | None) -> None:
    assert retry_after(Headers(fields.items()), now=NOW) == seconds


def test_a_date_that_this_system_cannot_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, one of local time before 1970."""

    class Date:
        def timestamp(self) -> float:
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr("email.utils.parsedate_to_datetime", lambda _: Date())
    assert retry_after({"Retry-After": "Thu, 01 Jan 1960 00:00:00 -0000"}, now=NOW) is None


def test_the_headers_may_be_any_mapping_that_knows_these_names() -> None:
    assert retry_after({"Retry-After": "7"}) == 7
    date = "Sat, 21 Nov 2026 09:59:30 GMT"
    assert retry_after({"Retry-After": DATE, "Date": date}, now=NOW) == 30


def test_a_date_is_counted_by_this_clock_if_the_server_sent_none() -> None:
    assert retry_after({"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}) == 0
    seconds = retry_after({"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"})
    assert seconds is not None
    assert seconds > 10**9
