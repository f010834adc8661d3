# SPDX-License-Identifier: MIT
"""Decode in many threads, and close in one what another reads.

`python3 -m tests.programs.threads [--seconds N] [--threads N] [--trial NAME] [--seed N]`

Each trial takes its share of the time, in as many threads:

- decoders: each thread replays the recorded streams, cut at random, through decoders and streams of
  its own; every event must come out as by the standard.
- closing: one thread reads an EventStream, others close it at a random moment. What was read must
  be the first events of it, each once; the stream must stand after the last of them, the reading
  must end quietly, and what was read from must have been closed once.
- source: the same for a `subscribe` of urllib over HTTP, whose server breaks off all the time.
- readers: two threads read one stream by mistake. Each may get a RuntimeError, and reads on; no
  event may be lost or doubled. This is left out where two threads can pass the stream's check
  together: on CPython 3.10, which may switch them in the middle of it, and without a global lock,
  where two in one generator can crash the interpreter (3.14.4).

It needs nothing but a Python and this checkout. It is meant for a free-threaded CPython (3.13t,
3.14t); with a global lock the threads are switched as often as the interpreter can, which finds
less. It takes a minute. The exit status is 0 if all held.
"""

from __future__ import annotations

import argparse
import http.server
import itertools
import platform
import random
import sys
import threading
import time
import traceback
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sse_stream.adapters.urllib import subscribe
from sse_stream.decoder import SSEDecoder
from sse_stream.policy import ReconnectionPolicy
from sse_stream.streams import EventStream
from tests import vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sse_stream.decoder import ServerSentEvent
    from sse_stream.reconnect import EventSource

#: How long a thread may take to notice that what it reads was closed, in seconds.
PATIENCE = 10.0


class Share(NamedTuple):
    """What one thread of a trial is told.

    chance: its own.
    until:  when it ends, by time.monotonic().
    """

    chance: random.Random
    until: float

    def rounds(self) -> Iterator[int]:
        """Count until the time is over, once at least."""
        for number in itertools.count(1):
            yield number
            if time.monotonic() > self.until:
                return


class Fault(Exception):
    """Something did not hold."""


class Running:
    """A thread that calls a function, and keeps what it raised."""

    def __init__(self, function: Callable[..., object], *arguments: Any) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        """Wait for its end; raise what it raised, or a Fault if it does not end."""
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise Fault("a thread does not end")
        if self._error is not None:
            raise self._error


def pause(chance: random.Random) -> None:
    """Let pass a random time, most often a few microseconds."""
    for _ in range(int(2 ** (12 * chance.random()))):
        chance.random()
    if chance.random() < 0.1:
        time.sleep(chance.random() / 1000)


# Many decoders.


@cache
def recorded() -> list[vectors.Case]:
    return [case for name in vectors.FILES for case in vectors.load(name)]


def decoders(share: Share) -> int:
    """Replay random ones of the recorded streams; return how many events came."""
    count = 0
    for _ in share.rounds():
        case = share.chance.choice(recorded())
        cuts = [
            share.chance.randint(0, len(case.stream)) for _ in range(share.chance.randint(0, 9))
        ]
        chunks = vectors.cut(case.stream, cuts)
        for flush, expected in ((False, case.discard), (True, case.flush)):
            decoder = SSEDecoder(incomplete="dispatch" if flush else "discard")
            if share.chance.random() < 0.5:
                events = [*EventStream(chunks, decoder=decoder)]
            else:
                events = [event for chunk in chunks for event in decoder.feed(chunk)]
                events += decoder.close()
            came = [event[:3] for event in events], decoder.retry, decoder.last_event_id
            if came != tuple(expected):
                raise Fault(f"{case.name} in {chunks} must give {expected}, not {came}")
            count += len(events)
    return count


# One stream, closed by others.


class Resource:
    """Something that is to be closed once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.closed = 0

    def close(self) -> None:
        with self._lock:
            self.closed += 1


class Waiting(Resource):
    """An iterator over chunks that lets some wait, until it is interrupted."""

    def __init__(self, chunks: list[bytes], chance: random.Random) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._pauses = iter([chance.random() < 0.1 for _ in chunks])
        self._interrupted = threading.Event()

    def __iter__(self) -> Waiting:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        if next(self._pauses) and self._interrupted.wait(0.001):
            raise ConnectionError("interrupted")
        return chunk

    def interrupt(self) -> None:
        self._interrupted.set()


def numbered(chance: random.Random, count: int = 60) -> list[bytes]:
    """Return chunks of that many events; the data and the ID of each are its number, from 1."""
    events = [b"id: %d\ndata: %d\n\n" % (number, number) for number in range(1, count + 1)]
    stream = b"".join(events)
    return chance.choice(
        (
            events,
            [b"".join(events[i : i + 7]) for i in range(0, count, 7)],
            vectors.cut(stream, [chance.randint(0, len(stream)) for _ in range(30)]),
        )
    )


def check_position(name: str, read: list[ServerSentEvent], last_event_id: str) -> None:
    """Raise a Fault unless these are the first events, and the position is after them."""
    numbers = [event.data for event in read]
    if numbers != [str(number) for number in range(1, len(read) + 1)]:
        raise Fault(f"{name}: these were read: {' '.join(numbers)}")
    if last_event_id != (numbers[-1] if numbers else ""):
        raise Fault(f"{name}: {len(read)} events were read, but the position is {last_event_id!r}")


def closing(share: Share) -> int:
    """Read streams that other threads close; return how many events came."""
    count = 0
    for _ in share.rounds():
        chunks = numbered(share.chance)
        waiting = Waiting(chunks, share.chance)
        sources: list[Any] = [chunks, (chunk for chunk in chunks), waiting, waiting]
        count += _close_once(share.chance.choice(sources), share.chance)
    return count


def _close_once(source: Any, chance: random.Random) -> int:
    """Read a stream that one or two others close."""
    response = Resource()
    stream = EventStream(source, response=response)
    chances = [random.Random(chance.random()) for _ in range(chance.randint(1, 2))]
    start = threading.Barrier(1 + len(chances))
    read: list[ServerSentEvent] = []

    def read_all() -> None:
        start.wait()
        read.extend(stream)

    def close(chance: random.Random) -> None:
        start.wait()
        pause(chance)
        stream.close()

    threads = [*(Running(close, one) for one in chances), Running(read_all)]
    for thread in threads:
        thread.join()
    name = f"{type(source).__name__}, {len(chances)} closers"
    check_position(name, read, stream.last_event_id)
    if response.closed != 1 or getattr(source, "closed", 1) != 1:
        raise Fault(f"{name}: closed {response.closed} and {getattr(source, 'closed', 1)} times")
    if getattr(source, "gi_frame", None) is not None:
        raise Fault(f"{name}: the generator was not closed")
    return len(read)


# One source over HTTP, closed by another thread.


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends numbered events after `Last-Event-ID`, and breaks off, sometimes inside one."""

    def do_GET(self) -> None:
        number = int(self.headers.get("Last-Event-ID", "0"))
        chance = random.Random(time.monotonic())
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        chunks = vectors.cut(
            b"".join(b"id: %d\ndata: %d\n\n" % (n, n) for n in range(number + 1, number + 200)),
            [chance.randint(0, 2000) for _ in range(5)],
        )
        for chunk in chunks[: chance.randint(1, len(chunks))]:
            self.wfile.write(chunk)
            time.sleep(chance.choice((0, 0.001)))

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the reader has left
            pass

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it
        pass


def source(share: Share) -> int:
    """Read by subscribing, with another thread that closes; return how many events came."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    policy = ReconnectionPolicy(initial=0.001, minimum=0.001, maximum=0.001, jitter=0)
    try:
        return sum(
            _subscribe_once(url, policy, share.chance, at_once=number % 2 == 0)
            for number in share.rounds()
        )
    finally:
        server.shutdown()
        server.server_close()


def _subscribe_once(
    url: str, policy: ReconnectionPolicy, chance: random.Random, *, at_once: bool
) -> int:
    """Read what another thread closes: perhaps at once, else only after the first event."""
    opened: list[Any] = []
    subscription: EventSource = subscribe(
        None, "GET", url, policy=policy, on_connect=opened.append, timeout=PATIENCE
    )
    read: list[ServerSentEvent] = []

    def close() -> None:
        deadline = time.monotonic() + PATIENCE
        while not (at_once or read or time.monotonic() > deadline):
            time.sleep(0.001)
        time.sleep(chance.random() / 20)
        subscription.close()

    reading, closer = Running(read.extend, subscription), Running(close)
    closer.join()
    reading.join()
    check_position("subscribe", read, subscription.last_event_id)
    if any(stream.response.fp is not None for stream in opened):
        raise Fault("a connection was left open")
    return len(read)


# Two readers by mistake.


def readers(share: Share) -> int:
    """Let two threads read one stream; return how many events came."""
    count = 0
    for _ in share.rounds():
        chunks = numbered(share.chance)
        stream = EventStream(Waiting(chunks, share.chance))
        parts: list[list[ServerSentEvent]] = [[], []]
        for thread in [Running(_read_stubbornly, stream, part) for part in parts]:
            thread.join()
        read = sorted((event for part in parts for event in part), key=lambda event: int(event.id))
        check_position(f"two readers of {len(chunks)} chunks", read, stream.last_event_id)
        if len(read) != 60:
            raise Fault(f"two readers: {len(read)} of 60 events")
        count += len(read)
    return count


def _read_stubbornly(stream: EventStream, part: list[ServerSentEvent]) -> None:
    is_over = False
    while not is_over:
        try:
            part.extend(stream)
            is_over = True
        except RuntimeError as error:  # noqa: PERF203  the next try is what is tested
            if "two readers at once" not in str(error):
                raise


# The command.

TRIALS: dict[str, Callable[[Share], int]] = {
    "decoders": decoders,
    "closing": closing,
    "source": source,
    "readers": readers,
}


def reason_to_leave_out(name: str) -> str:
    """Return why a trial makes no sense on this Python, or ""."""
    if name == "readers" and sys.version_info < (3, 11):
        return "threads are switched anywhere"
    if name == "readers" and not has_global_lock():
        return "there is no global lock"
    return ""


def has_global_lock() -> bool:
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def run(name: str, seconds: float, count: int, chance: random.Random) -> tuple[int, list[str]]:
    """Run a trial in so many threads; return how many events came, and the faults."""
    until = time.monotonic() + seconds
    counts: list[int] = []
    faults: list[str] = []

    def work(share: Share) -> None:
        try:
            counts.append(TRIALS[name](share))
        except Exception as error:
            faults.append(f"{name}: {_described(error)}")

    shares = [Share(random.Random(chance.random()), until) for _ in range(count)]
    threads = [threading.Thread(target=work, args=(share,), daemon=True) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts), faults


def _described(error: Exception) -> str:
    if isinstance(error, Fault):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{error!r} at {place.filename}:{place.lineno}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.threads",
        description="Decode in many threads, and close in one what another reads.",
    )
    add = parser.add_argument
    add("--seconds", type=float, default=60, help="for all trials (default: %(default)s)")
    add("--threads", type=int, default=8, help="for each trial (default: %(default)s)")
    add("--trial", action="append", choices=TRIALS, help="only this one; may be repeated")
    add("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    names = options.trial or list(TRIALS)
    chance = random.Random(options.seed)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    print(
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"{'with a global lock' if has_global_lock() else 'free-threaded'}, "
        f"{options.threads} threads"
    )
    failed = False
    try:
        for name in names:
            if reason := reason_to_leave_out(name):
                print(f"{name}: left out, {reason}")
                continue
            share = options.seconds / len(names)
            count, faults = run(name, share, options.threads, chance)
            print(f"{name}: {count:,} events in {share:g} s, {len(faults)} threads with a fault")
            for fault in faults[:3]:
                print(f"FAULT: {fault}")
            failed |= bool(faults)
    finally:
        sys.setswitchinterval(interval)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
