# SPDX-License-Identifier: MIT
"""Read ten million events by each client.

`python3 -m tests.programs.soak [--events N] [--client NAME]`

The scripted server sends the events over loopback from prepared buffers, in chunks of 60 KB; each
client reads them in a process of its own and checks that every ID is above the one before, that the
last is the number of events, and that as many came: so none was lost or doubled. "subscribe" loses
its connection ten times, inside an event, and resumes. The resident memory is read after 10, 50 and
100 % of the events; after the first 10 % it may grow by GROWTH at most. The result is a table in
Markdown, the exit status 0 if all held. It needs tests/requirements.txt, Linux (for /proc), and
some three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from sse_stream.adapters.requests import subscribe
from sse_stream.reconnect import ReconnectionPolicy
from tests.adapters.server import EVENT_STREAM, FRAMINGS, Connection, Server, respond
from tests.clients import ASYNC_CLIENTS, CLIENTS, NAMES

if TYPE_CHECKING:
    from collections.abc import Generator

    from sse_stream import AsyncEventStream, ServerSentEvent
    from sse_stream.reconnect import EventSource
    from tests.adapters.server import Handler

#: Bytes by which the resident memory may grow after the first tenth.
GROWTH = 4 * 2**20

#: How many events a chunk has, and what one is: 60 bytes, whose ID has nine digits.
CHUNK = 1000
EVENT = 'id: {:>06}{:03}\ndata: {{"token": "some text of a reply chat"}}\n\n'
PREFIX = "######"  # is replaced by the thousands of the IDs


def sending(count: int, cuts: int = 0) -> Handler:
    """Return a handler that sends the events after `Last-Event-ID`, and breaks off `cuts` times."""
    block = "".join(EVENT.format(PREFIX, i) for i in range(CHUNK)).encode()
    size = len(block) // CHUNK
    length = -(-count // (cuts + 1))

    def handler(connection: Connection) -> None:
        start = int(connection.request.header("Last-Event-ID") or 0) + 1  # the first has the ID 1
        end = min(start + length, count + 1) if cuts else count + 1
        if start > count:
            respond(204, headers=[])(connection)
            return
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        for thousands in range(start // CHUNK, (end - 1) // CHUNK + 1):
            first, behind = max(start - thousands * CHUNK, 0), min(end - thousands * CHUNK, CHUNK)
            events = block[first * size : behind * size].replace(
                PREFIX.encode(), b"%06d" % thousands
            )
            FRAMINGS["chunked"].send(connection, events)
        if end <= count:
            FRAMINGS["chunked"].send(connection, b"id: 999999999\ndata: cut o")
            connection.close()
        else:
            FRAMINGS["chunked"].end(connection)

    return handler


# The reading process.


class Measurement:
    """What one client did, event by event: `note` is called when the count has reached `mark`."""

    def __init__(self, count: int) -> None:
        self.marks = [count // 10, count // 2, count]
        self.mark = self.marks[0]
        self.memory: list[int] = []
        self.begin = time.perf_counter()

    def note(self) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE"))
        self.mark = self.marks[len(self.memory)] if len(self.memory) < len(self.marks) else 0

    def report(self, count: int, last: str) -> dict[str, Any]:
        return {
            "count": count,
            "last": last,
            "seconds": time.perf_counter() - self.begin,
            "memory": self.memory,
        }


def misplaced(event: ServerSentEvent, last: str) -> Exception:
    return AssertionError(f"the event after {last} is {event}")


def read(name: str, url: str, expected: int) -> dict[str, Any]:
    """Read all events; return the report."""
    count, last = 0, ""
    with (subscribed if name == "subscribe" else CLIENTS[name])(url) as stream:
        measurement = Measurement(expected)
        for event in stream:
            if event.id <= last:
                raise misplaced(event, last)
            last = event.id
            count += 1
            if count == measurement.mark:
                measurement.note()
        return measurement.report(count, last)


async def aread(name: str, url: str, expected: int) -> dict[str, Any]:
    """Read all events; return the report."""
    count, last = 0, ""
    stream: AsyncEventStream
    async with ASYNC_CLIENTS[name](url) as stream:
        measurement = Measurement(expected)
        async for event in stream:
            if event.id <= last:
                raise misplaced(event, last)
            last = event.id
            count += 1
            if count == measurement.mark:
                measurement.note()
        return measurement.report(count, last)


@contextmanager
def subscribed(url: str) -> Generator[EventSource]:
    policy = ReconnectionPolicy(initial=0, maximum=0, jitter=0)
    with requests.Session() as session, subscribe(session, "GET", url, policy=policy) as source:
        yield source


# The commanding process.

SIDES = {"sync": CLIENTS, "async": ASYNC_CLIENTS}

#: Every side of every client.
WAYS = {
    (f"{name}, {side}" if name in CLIENTS and name in ASYNC_CLIENTS else name): (name, side)
    for name in NAMES
    for side, clients in SIDES.items()
    if name in clients
}
WAYS["subscribe"] = ("subscribe", "sync")


def soak(way: str, count: int) -> dict[str, Any]:
    """Send so many events to a process that reads them; return its report.

    Its "fault" is "" if all held.
    """
    with Server() as server:
        url = server.url(sending(count, cuts=10 if way == "subscribe" else 0))
        command = [
            sys.executable,
            "-m",
            "tests.programs.soak",
            "--events",
            str(count),
            "--read",
            url,
            "--client",
            way,
        ]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
        )
        report: dict[str, Any] = {
            "memory": [0] * 3,
            "count": 0,
            "seconds": 1.0,
            "fault": done.stderr.strip() or "no report",
        }
        if done.returncode == 0:
            report = json.loads(done.stdout)
            report["fault"] = fault(report, count)
        if way == "subscribe" and len(server.requests) != 12:  # 11 parts and the 204
            report["fault"] = f"{len(server.requests)} requests; {report['fault']}"
    return report


def fault(report: dict[str, Any], count: int) -> str:
    """Return what did not hold, or ""."""
    if (report["count"], report["last"]) != (count, f"{count:09}"):
        return f"{report['count']} of {count} events, the last ID {report['last']}"
    grown = max(report["memory"]) - report["memory"][0]
    return f"the memory grew by {grown} bytes" if grown > GROWTH else ""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.soak",
        description="Read ten million events through each client.",
    )
    parser.add_argument(
        "--events", type=int, default=10_000_000, help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--client", choices=WAYS, metavar="NAME", help="only this one: " + "; ".join(WAYS)
    )
    parser.add_argument("--read", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        name, side = WAYS[options.client]
        arguments = (name, options.read, options.events)
        print(json.dumps(read(*arguments) if side == "sync" else asyncio.run(aread(*arguments))))
        return 0
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(
        f"{options.events:,} events of {len(EVENT.format(PREFIX, 0))} bytes, {python}, "
        f"{os.cpu_count()} cores\n"
    )
    print(
        "| client | events/s | MB at 10 % | at 50 % | at 100 % |\n| --- | --- | --- | --- | --- |"
    )
    failed = False
    for way in [options.client] if options.client else WAYS:
        report = soak(way, options.events)
        cells = [
            f"{report['count'] / report['seconds']:,.0f}",
            *(f"{size / 2**20:.1f}" for size in report["memory"]),
        ]
        print(f"| {way} | {' | '.join(cells)} |", flush=True)
        if report["fault"]:
            failed = True
            print(f"FAULT: {way}: {report['fault']}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
