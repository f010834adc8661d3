# SPDX-License-Identifier: MIT
"""When to connect again, and when to give up.

A policy is a value. Its `start` gives the state of one source, a machine without I/O: it is told
what became of each connection, and answers with the seconds to wait for the next, or "stop".

A connection was good if it lasted, if it moved the last event ID, or if it gave an event and came
to a clean end. After a good one everything starts afresh. Any other is a try that came to nothing:
each makes the next delay longer, and after so many of them in a row the answer is "stop".
"""

from __future__ import annotations

import time

from .decoder import SSEError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Literal

    Answer = float | Literal["stop"]

__all__ = ["TRANSIENT_STATUSES", "Reconnection", "ReconnectionError", "ReconnectionPolicy"]

#: What servers, and the gateways before them, answer while something passes: a timeout, too many
#: requests, an error, an overload. 520 to 525 and 530 are Cloudflare's, 529 is "overloaded".
TRANSIENT_STATUSES = frozenset(
    {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 529, 530}
)

#: The fields of ReconnectionPolicy, in the order of its constructor.
FIELDS = (
    "initial",
    "factor",
    "maximum",
    "jitter",
    "max_attempts",
    "max_elapsed",
    "max_retry_after",
    "reconnect_on_end",
    "minimum",
    "healthy_after",
    "statuses",
    "retry_first",
)

_LARGEST = 1.7e308  # a float, and finite
_LONGEST = 10**15  # milliseconds, 31,000 years: a `retry` may have any number of digits
_GREATEST = 1e300  # times the first delay: whatever that is, their product has a float


class ReconnectionError(SSEError):
    """The source gave up after connections that all came to a clean end, and to nothing.

    message:  the text of the error, a str.
    attempts: how many further connections there were, in a row, after the first of them.
    """

    def __init__(self, message: str, attempts: int) -> None:
        super().__init__(message)
        self.attempts = attempts

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.attempts)


class ReconnectionPolicy:
    """When to connect again, and when to give up: a frozen value, equal to one of the same fields.

    Times are in seconds. Delays, attempts and `max_elapsed` start afresh after a good connection:
    one that lasted `healthy_after`, moved the last event ID, or gave an event and came to a clean
    end. Any other is a try that came to nothing.

    By default a source gives up when the server has been away for two to three minutes. If it goes
    away for longer, say five minutes a day for a deploy, pass `max_attempts=None` and how long you
    would wait, such as `max_elapsed=3600`: some twelve requests for those five minutes.

    initial:          the first delay. The server's `retry`, longer or shorter, takes its place.
    factor:           what each further try that came to nothing multiplies the delay by, at least
                      1.
    maximum:          what the delay grows to, unless the server's own `retry` is longer.
    jitter:           the largest share of a delay that is added to it at random, so that the
                      clients of a server that was away do not all come back at once.
    max_attempts:     how many further connections in a row are tried; None for any number.
    max_elapsed:      how long after the loss of the last good connection, or after the start, a
                      further connection may be begun; None, the default, for ever.
    max_retry_after:  the longest `Retry-After` that is obeyed: a longer one ends the source. A
                      longer `retry` counts as this.
    reconnect_on_end: whether to connect again after a clean end, as browsers do.
    minimum:          what no delay is below, whatever else is said.
    healthy_after:    how long a connection lasts that counts as good even without an event.
    statuses:         the statuses that are tried again; by default TRANSIENT_STATUSES.
    retry_first:      whether a failure of the very first connection is tried again.

    TypeError for a value of another type, ValueError for one out of range; both name the field.
    """

    __slots__ = FIELDS

    initial: float
    factor: float
    maximum: float
    jitter: float
    max_attempts: int | None
    max_elapsed: float | None
    max_retry_after: float
    reconnect_on_end: bool
    minimum: float
    healthy_after: float
    statuses: frozenset[int]
    retry_first: bool

    def __init__(
        self,
        initial: float = 1.0,
        factor: float = 2.0,
        maximum: float = 30.0,
        jitter: float = 0.5,
        max_attempts: int | None = 8,
        max_elapsed: float | None = None,
        max_retry_after: float = 300.0,
        reconnect_on_end: bool = True,
        minimum: float = 0.1,
        healthy_after: float = 5.0,
        statuses: Iterable[int] = TRANSIENT_STATUSES,
        retry_first: bool = True,
    ) -> None:
        fields = {
            "initial": _number("initial", initial),
            "factor": _number("factor", factor, least=1),
            "maximum": _number("maximum", maximum),
            "jitter": _number("jitter", jitter),
            "max_attempts": None if max_attempts is None else _count("max_attempts", max_attempts),
            "max_elapsed": None if max_elapsed is None else _number("max_elapsed", max_elapsed),
            "max_retry_after": _number("max_retry_after", max_retry_after),
            "reconnect_on_end": _flag("reconnect_on_end", reconnect_on_end),
            "minimum": _number("minimum", minimum),
            "healthy_after": _number("healthy_after", healthy_after),
            "statuses": _statuses(statuses),
            "retry_first": _flag("retry_first", retry_first),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def replace(self, **changes: Any) -> ReconnectionPolicy:
        """Return a policy that differs in some fields.

        changes: fields by name, checked as the constructor checks them; TypeError for another name.
        """
        return type(self)(**{**self._as_dict(), **changes})

    def start(
        self,
        *,
        random: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Reconnection:
        """Return the state of one source, which begins now.

        random: gives numbers from 0 to 1, for the jitter; by default `random.random`.
        clock:  gives seconds, and never goes back; by default `time.monotonic`.
        """
        if random is None:
            import random as source  # slow to import

            random = source.random
        return Reconnection(self, random, clock)

    def _as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a ReconnectionPolicy is frozen: replace({name}=...) makes another")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a ReconnectionPolicy is frozen")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReconnectionPolicy):
            return NotImplemented
        return type(self) is type(other) and self._as_dict() == other._as_dict()

    def __hash__(self) -> int:
        return hash(tuple(self._as_dict().values()))

    def __repr__(self) -> str:
        fields = self._as_dict()
        fields["statuses"] = sorted(self.statuses)
        shown = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self._as_dict().values())


class Reconnection:
    """The state of one source, without I/O: told what happens, it answers with the delays.

    In this order, for each connection: `connected` if it could be made, `event` for each event, and
    then one of `ended`, `failed` and `dropped`. Cost: a few operations on numbers for each call.

    policy: the policy that it follows.
    random: gives numbers from 0 to 1, for the jitter.
    clock:  gives seconds, and never goes back.
    """

    __slots__ = (
        "_attempts",
        "_clock",
        "_down_since",
        "_first",
        "_gave_event",
        "_growth",
        "_opened_at",
        "_policy",
        "_random",
    )

    def __init__(
        self, policy: ReconnectionPolicy, random: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._random = random
        self._clock = clock
        # The row of tries that came to nothing: since the last good connection, or the start.
        self._attempts = 0  # delays given in it
        self._growth = 1.0  # the next delay, in first delays
        self._down_since: float | None = clock()  # its beginning; None: the next loss
        # The present connection.
        self._opened_at: float | None = None  # None: there is none
        self._gave_event = False
        self._first = True

    @property
    def attempts(self) -> int:
        """How many further connections were asked for since the last good one, or the first."""
        return self._attempts

    def connected(self) -> None:
        """Note that a connection is open: there is a response, and it is to be read."""
        self._opened_at = self._clock()

    def event(self) -> None:
        """Note that the connection gave an event."""
        self._gave_event = True

    def ended(self, *, retry: int | None = None, moved: bool = False) -> Answer:
        """Answer to a clean end of the connection: the seconds to wait, or "stop".

        retry: the server's reconnection time in milliseconds; None if it never sent one.
        moved: whether the last event ID is another than at the start of the connection.
        """
        self._lose(good=moved or self._lasted() or self._gave_event)
        self._first = False
        return self._next_delay(retry, 0.0) if self._policy.reconnect_on_end else "stop"

    def failed(
        self, *, retry: int | None = None, moved: bool = False, retry_after: float | None = None
    ) -> Answer:
        """Answer to a connection that broke, or could not be made: the seconds to wait, or "stop".

        retry, moved: as for `ended`.
        retry_after:  the seconds of the response's `Retry-After`; None if it had none.
        """
        good = moved or self._lasted()
        proved = good or self._gave_event or not self._first
        self._lose(good=good)
        self._first = False
        least = retry_after or 0.0
        if not (proved or self._policy.retry_first) or least > self._policy.max_retry_after:
            return "stop"
        return self._next_delay(retry, least)

    def dropped(self, *, moved: bool = False) -> None:
        """Note that the reader let go of a connection, or of the making of one: that is no try.

        moved: as for `ended`. If the connection was open, the clock of `max_elapsed` stands until
               the next is lost: nobody knows how long this one would have lasted.
        """
        was_open = self._opened_at is not None
        self._lose(good=moved or self._lasted())
        if was_open:
            self._down_since = None
            self._first = False

    def _lasted(self) -> bool:
        opened_at = self._opened_at
        return opened_at is not None and self._clock() - opened_at >= self._policy.healthy_after

    def _lose(self, *, good: bool) -> None:
        self._opened_at = None
        self._gave_event = False
        if good:
            self._attempts = 0
            self._growth = 1.0
        if good or self._down_since is None:
            self._down_since = self._clock()

    def _next_delay(self, retry: int | None, least: float) -> Answer:
        policy = self._policy
        if policy.max_attempts is not None and self._attempts >= policy.max_attempts:
            return "stop"
        first, most = policy.initial, policy.maximum
        if retry is not None:
            first = min(min(retry, _LONGEST) / 1000, policy.max_retry_after)
            most = max(most, first)
        delay = max(min(max(first, policy.minimum) * self._growth, most), policy.minimum, least)
        delay += delay * policy.jitter * self._random()
        if policy.max_elapsed is not None and self._down_for() + delay > policy.max_elapsed:
            return "stop"
        self._attempts += 1
        self._growth = min(self._growth * policy.factor, _GREATEST)
        return delay

    def _down_for(self) -> float:
        now = self._clock()
        return now - (now if self._down_since is None else self._down_since)


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Return the seconds of a response's `Retry-After` (RFC 9110, 10.2.3), or None for none.

    headers: of the response, by whatever case `headers.get` finds them.
    now:     seconds since 1970, for a date in a response without `Date`; None, the default: of this
             machine's clock.

    A date is counted from the response's own `Date`, so that two clocks need not agree; one that is
    past gives 0, and so many digits that no float holds them infinity. What is neither is none.
    """
    text = (headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    wanted = _timestamp(text)
    if wanted is None:
        return None
    sent = _timestamp(headers.get("Date"))
    if sent is None:
        sent = time.time() if now is None else now
    return max(0.0, wanted - sent)


def _timestamp(date: str | None) -> float | None:
    from email.utils import parsedate_to_datetime  # slow to import

    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):  # the last on Windows
        return None


def _number(name: str, value: Any, *, least: float = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not least <= value <= _LARGEST:
        raise ValueError(f"{name} must be finite and at least {least}, not {value}")
    return value


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int or None, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"{name} must be at least 0, not {value}")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def _statuses(value: Any) -> frozenset[int]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise TypeError(f"statuses must be a set of ints, not {type(value).__name__}")
    statuses = frozenset(value)
    for status in statuses:
        if isinstance(status, bool) or not isinstance(status, int):
            raise TypeError(f"statuses must be a set of ints, not of {type(status).__name__}")
        if not 100 <= status <= 999:
            raise ValueError(f"statuses must have three digits, not {status}")
    return statuses
