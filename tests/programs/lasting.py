# SPDX-License-Identifier: MIT
"""Hold subscriptions for an hour: `python3 -m tests.programs.lasting [--seconds N]`.

One subscription of each adapter, sync, on asyncio and on trio, each in a process of its own, all at
once. The server ends connections cleanly, resets them, closes them inside an event, falls silent,
sends comments alone, answers 503 and 429 with Retry-After, 200 with nothing or nothing at all, and
is away for a second twice a minute; all at random. What would be seconds in life is sixtieths here,
so that an hour is sixty. In the async ways some reads are cancelled, too.

Every event must come once, in order, with its data. In each tenth of the time the largest number
of descriptors, threads and tasks is noted, and the memory at its end; later than in the first two
tenths none may grow beyond GROWTH and SLACK. The result is a table in Markdown, the exit status 0
if all held. It needs tests/requirements.txt and Linux (for /proc), and a tenth of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import random
import struct
import sys
import threading
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import httpx2
import pycurl  # type: ignore[import-untyped]
import requests
import trio
import urllib3

from sse_stream import ReconnectionPolicy
from sse_stream.adapters import aiohttp as of_aiohttp
from sse_stream.adapters import httpx as of_httpx
from sse_stream.adapters import pycurl as of_pycurl
from sse_stream.adapters import requests as of_requests
from sse_stream.adapters import urllib as of_urllib
from sse_stream.adapters import urllib3 as of_urllib3

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Callable

    from sse_stream import AsyncEventSource, EventSource, ServerSentEvent

#: Bytes by which the resident memory may grow after the first two tenths.
GROWTH = 4 * 2**20

#: By how many the descriptors, threads and tasks may differ by chance.
SLACK = 3

#: What a client calls silence, in seconds: half a minute.
LIMIT = 0.5

#: The policy for a server that may be away for an hour, at sixty times the speed.
POLICY = ReconnectionPolicy(
    initial=1 / 60,
    maximum=30 / 60,
    max_attempts=None,
    max_elapsed=3600 / 60,
    max_retry_after=300 / 60,
    minimum=0.1 / 60,
    healthy_after=5 / 60,
)


def data_of(way: str, number: int) -> str:
    """Return the data of an event; some have two lines."""
    return f"event {number} of {way}" + ("\n" if number % 7 == 0 else "") + "é" * (number % 400)


# The server.

#: What becomes of a connection, and how often.
FATES = {
    "end": 6,
    "reset": 6,
    "cut": 4,  # inside an event, which the client can know
    "cut unseen": 4,  # the same, where it cannot
    "silence": 2,  # until the client leaves
    "comments": 2,  # for a while, then a reset
    "ids": 3,  # an ID in a block without data, at the end
    "503": 2,
    "429": 2,
    "empty": 2,
    "no answer": 2,
}


class Endpoint:
    """The server of one way: it resumes by ID, and knows what it sent.

    kinds: how many connections had which fate. sent: the number of the last event sent. is_over:
    it sends what was sent before to who has not got it, and then 204. asked: the first request is
    here.
    """

    def __init__(self, way: str) -> None:
        self.way = way
        self.kinds: Counter[str] = Counter()
        self.sent = 0
        self.is_over = False
        self.asked = asyncio.Event()
        self.faults: list[str] = []
        self.random = random.Random(way)
        self._server: Any = None
        self._port = 0
        self._writers: set[StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> str:
        """Begin, or come back after `go`; return the URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self._port}/"

    async def go(self) -> None:
        """Reset every connection, and refuse others."""
        self._server.close()
        for writer in list(self._writers):
            reset(writer)
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task: Any = asyncio.current_task()
        self._writers.add(writer)
        self._tasks.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        except Exception as error:
            self.faults.append(repr(error))
        finally:
            writer.close()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> bool:
        """Answer one request; return whether another may follow it."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        self.asked.set()
        start = int(head.partition(b"\r\nlast-event-id:")[2].partition(b"\r\n")[0] or 0)
        assert start <= self.sent, f"it resumes after {start} of {self.sent}"
        if self.is_over and start == self.sent:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return True
        fate = "end" if self.is_over else self.random.choices([*FATES], [*FATES.values()])[0]
        self.kinds[fate] += 1
        if fate in ("503", "429"):
            writer.write(self._refusal(fate))
            return True
        if fate == "no answer":
            return False
        is_chunked = fate != "cut unseen"
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            + (b"Transfer-Encoding: chunked" if is_chunked else b"Connection: close")
            + b"\r\n\r\n"
        )
        stream = Body(writer, is_chunked)
        last = start if fate == "empty" else await self._send_events(stream, start)
        return await self._finish(fate, stream, reader, last)

    def _refusal(self, status: str) -> bytes:
        now = time.time()
        retry_after = self.random.choice(["0", "0", "1", formatdate(now, usegmt=True), "soon"])
        return (
            f"HTTP/1.1 {status} Later\r\nRetry-After: {retry_after}\r\n"
            f"Date: {formatdate(now, usegmt=True)}\r\nContent-Length: 5\r\n\r\nlater"
        ).encode()

    async def _send_events(self, stream: Body, start: int) -> int:
        """Send some events, or all that are left; return the number of the last of this stream."""
        if self.is_over:
            for number in range(start + 1, self.sent + 1):
                await stream.send(self._event(number))
            return self.sent
        if self.random.random() < 0.2:
            await stream.send(b"retry: %d\n\n" % self.random.randrange(5, 50))
        last = start
        for number in range(start + 1, start + 1 + self.random.randrange(30)):
            if self.is_over:  # between two events; the client may have left this connection
                break
            event = self._event(number)
            cut = self.random.randrange(len(event))
            if self.random.random() < 0.3:
                await stream.send(event[:cut])
                await asyncio.sleep(0.01)
                event = event[cut:]
                if self.is_over:
                    raise ConnectionAbortedError("inside an event")
            # Counted before it goes out: the client may have it, whatever happens then.
            self.sent = max(self.sent, number)
            await stream.send(event)
            last = number
            await asyncio.sleep(self.random.random() * 0.1)
        return last

    def _event(self, number: int) -> bytes:
        lines = "".join(f"data: {line}\n" for line in data_of(self.way, number).split("\n"))
        return f"id: {number}\n{lines}\n".encode()

    async def _finish(self, fate: str, stream: Body, reader: StreamReader, last: int) -> bool:
        if fate in ("cut", "cut unseen", "reset"):
            await stream.send(b"id: 999999999\ndata: cut o")
        if fate == "comments":
            for _ in range(20):
                await stream.send(b": still here\n\n")
                await asyncio.sleep(LIMIT / 10)
        if fate in ("reset", "comments"):
            reset(stream.writer)
        if fate == "silence":
            await reader.read(1)  # until the client leaves
        if fate == "ids":
            await stream.send(b"id: %d\n\n" % last)  # others may have been sent in vain
        if fate in ("end", "ids", "empty"):
            await stream.end()
            return True
        return False


class Body:
    """The body of a response, in chunks or until the connection is closed."""

    def __init__(self, writer: StreamWriter, is_chunked: bool) -> None:
        self.writer = writer
        self._is_chunked = is_chunked

    async def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)
        await self.writer.drain()

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


def reset(writer: StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# The reading process.


class Watch:
    """Checks each event, and notes what the process holds, in each tenth of the time."""

    def __init__(self, way: str, seconds: float) -> None:
        self.way = way
        self.count = 0
        self.cancelled = 0
        self.tenths: list[dict[str, int]] = []
        self._length = seconds / 10
        self._end_of_tenth = time.monotonic() + self._length
        self._most: dict[str, int] = {}

    def note(self, event: ServerSentEvent) -> None:
        """Check the event that came after those before."""
        self.count += 1
        expected = str(self.count), data_of(self.way, self.count)
        if (event.id, event.data) != expected:
            raise AssertionError(f"after {self.count - 1} came {event}")
        self._sample()
        if time.monotonic() > self._end_of_tenth and len(self.tenths) < 10:
            self._end_of_tenth += self._length
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self._most["bytes"] = pages * os.sysconf("SC_PAGE_SIZE")
            self._most["blocks"] = sys.getallocatedblocks()
            self.tenths.append(self._most)
            self._most = {}

    def _sample(self) -> None:
        held = {
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
            "tasks": number_of_tasks(),
        }
        for name, number in held.items():
            self._most[name] = max(number, self._most.get(name, 0))

    def report(self) -> dict[str, Any]:
        return {"count": self.count, "cancelled": self.cancelled, "tenths": self.tenths}


def number_of_tasks() -> int:
    try:
        return int(trio.lowlevel.current_statistics().tasks_living)
    except RuntimeError:
        pass
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


def read(make_source: Callable[..., EventSource], url: str, watch: Watch) -> None:
    with make_source(url) as source:
        for event in source:
            watch.note(event)


async def aread(make_source: Callable[..., Any], url: str, watch: Watch) -> None:
    """Read all events; cancel one read in thirty, unless it ends at once."""
    choose = random.Random(watch.way)
    on_trio = "trio" in watch.way
    client, source = make_source(url)
    async with client, source:
        while True:
            limit = choose.random() * 0.05 if choose.random() < 1 / 30 else 3600
            try:
                event = await (read_on_trio if on_trio else read_on_asyncio)(source, limit)
            except StopAsyncIteration:
                return
            if event is None:
                watch.cancelled += 1
            else:
                watch.note(event)


async def read_on_asyncio(source: AsyncEventSource, limit: float) -> ServerSentEvent | None:
    try:
        return await asyncio.wait_for(source.__anext__(), limit)
    except asyncio.TimeoutError:
        return None


async def read_on_trio(source: AsyncEventSource, limit: float) -> ServerSentEvent | None:
    with trio.move_on_after(limit):
        return await source.__anext__()
    return None


class NoClient:
    """Stands where pycurl has no client to be closed."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def asubscribe_httpx(module: Any, url: str) -> tuple[Any, AsyncEventSource]:
    client = module.AsyncClient(timeout=LIMIT)
    return client, of_httpx.asubscribe(client, "GET", url, policy=POLICY)


def asubscribe_aiohttp(url: str) -> tuple[Any, AsyncEventSource]:
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
    source = of_aiohttp.asubscribe(session, "GET", url, policy=POLICY, idle_timeout=LIMIT)
    return session, source


def asubscribe_pycurl(url: str) -> tuple[Any, AsyncEventSource]:
    handle = pycurl.Curl()
    source = of_pycurl.asubscribe(handle, "GET", url, policy=POLICY, idle_timeout=LIMIT)
    return NoClient(), source


def subscribe_httpx(module: Any, url: str) -> EventSource:
    return of_httpx.subscribe(module.Client(timeout=LIMIT), "GET", url, policy=POLICY)


def subscribe_requests(url: str) -> EventSource:
    return of_requests.subscribe(requests.Session(), "GET", url, policy=POLICY, timeout=LIMIT)


def subscribe_urllib3(url: str) -> EventSource:
    return of_urllib3.subscribe(urllib3.PoolManager(timeout=LIMIT), "GET", url, policy=POLICY)


def subscribe_urllib(url: str) -> EventSource:
    return of_urllib.subscribe(None, "GET", url, policy=POLICY, timeout=LIMIT)


def subscribe_pycurl(url: str) -> EventSource:
    return of_pycurl.subscribe(pycurl.Curl(), "GET", url, policy=POLICY, idle_timeout=LIMIT)


#: Every side of every adapter; the async ones say on what.
WAYS: dict[str, Callable[[str], Any]] = {
    "httpx": lambda url: subscribe_httpx(httpx, url),
    "httpx, asyncio": lambda url: asubscribe_httpx(httpx, url),
    "httpx, trio": lambda url: asubscribe_httpx(httpx, url),
    "httpx2": lambda url: subscribe_httpx(httpx2, url),
    "httpx2, asyncio": lambda url: asubscribe_httpx(httpx2, url),
    "httpx2, trio": lambda url: asubscribe_httpx(httpx2, url),
    "aiohttp, asyncio": asubscribe_aiohttp,
    "requests": subscribe_requests,
    "urllib3": subscribe_urllib3,
    "urllib": subscribe_urllib,
    "pycurl": subscribe_pycurl,
    "pycurl, asyncio": asubscribe_pycurl,
}


def read_in_this_process(way: str, url: str, seconds: float) -> None:
    """Read until 204, and print the report."""
    watch = Watch(way, seconds)
    if way.endswith("trio"):
        trio.run(aread, WAYS[way], url, watch)
    elif way.endswith("asyncio"):
        asyncio.run(aread(WAYS[way], url, watch))
    else:
        read(WAYS[way], url, watch)
    print(json.dumps(watch.report()))


# The commanding process.


async def hold(way: str, seconds: float) -> tuple[dict[str, Any], Endpoint]:
    """Let a process read for so many seconds; return its report, and the server.

    The report's "fault" is "" if all held.
    """
    endpoint = Endpoint(way)
    command = ["-m", "tests.programs.lasting", "--seconds", str(seconds), "--client", way, "--read"]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        await endpoint.listen(),
        cwd=Path(__file__).parent.parent.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output = asyncio.ensure_future(child.communicate())
    asked = asyncio.ensure_future(endpoint.asked.wait())
    await asyncio.wait({output, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    end = time.monotonic() + seconds
    while not output.done() and (left := end - time.monotonic()) > 0:
        await asyncio.wait({output}, timeout=min(left, 20 + 20 * endpoint.random.random()))
        if time.monotonic() < end:
            endpoint.kinds["away"] += 1
            await endpoint.go()
            await asyncio.sleep(0.5 + endpoint.random.random())
            await endpoint.listen()
    endpoint.is_over = True
    await asyncio.wait({output}, timeout=60)
    if not output.done():
        child.kill()
    out, err = await output
    await endpoint.go()
    report: dict[str, Any] = {"count": 0, "cancelled": 0, "tenths": []}
    try:
        report = json.loads(out)
        report["fault"] = "; ".join([*endpoint.faults, *faults(report, endpoint.sent)])
    except ValueError:
        report["fault"] = err.decode().strip() or "no report: it was killed"
    if report["fault"]:
        print(f"FAULT: {way}: {report['fault']}", file=sys.stderr, flush=True)
    return report, endpoint


def faults(report: dict[str, Any], sent: int) -> list[str]:
    """Return what did not hold."""
    found: list[str] = []
    if report["count"] != sent or not sent:
        found.append(f"{report['count']} of {sent} events")
    tenths = report["tenths"]
    for name in ("bytes", "descriptors", "threads", "tasks"):
        slack = GROWTH if name == "bytes" else SLACK
        before = max((tenth[name] for tenth in tenths[:2]), default=0)
        after = max((tenth[name] for tenth in tenths[2:]), default=0)
        if after > before + slack:
            found.append(f"{name} grew from {before} to {after}")
    return found


def row(way: str, report: dict[str, Any], endpoint: Endpoint) -> str:
    tenths: list[dict[str, int]] = report["tenths"] or [Counter()]
    at = [tenths[min(i, len(tenths) - 1)] for i in (1, 4, 9)]
    cells: list[str] = [
        way,
        f"{report['count']:,}",
        f"{sum(endpoint.kinds.values()):,}",
        str(report["cancelled"]),
        ", ".join(f"{tenth['bytes'] / 2**20:.1f}" for tenth in at),
        ", ".join(f"{tenth['blocks']:,}" for tenth in at),
        *(
            ", ".join(str(tenth[name]) for tenth in at)
            for name in ("descriptors", "threads", "tasks")
        ),
    ]
    return f"| {' | '.join(cells)} |"


async def hold_all(ways: list[str], seconds: float) -> int:
    results = await asyncio.gather(*(hold(way, seconds) for way in ways))
    print("At 20, 50 and 100 % of the time:\n")
    print(
        "| client | events | connections | cancelled reads | MB | blocks | descriptors | threads "
        "| tasks |\n" + "| --- " * 9 + "|"
    )
    kinds: Counter[str] = Counter()
    for way, (report, endpoint) in zip(ways, results, strict=True):
        print(row(way, report, endpoint), flush=True)
        kinds += endpoint.kinds
    print("\nConnections: " + ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()))
    return int(any(report["fault"] for report, _ in results))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.lasting", description="Hold subscriptions for an hour."
    )
    parser.add_argument(
        "--seconds", type=float, default=3600, help="how long (default: %(default)s)"
    )
    parser.add_argument(
        "--client", choices=WAYS, metavar="NAME", help="only this one: " + "; ".join(WAYS)
    )
    parser.add_argument("--read", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read_in_this_process(options.client, options.read, options.seconds)
        return 0
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{options.seconds:g} seconds, {python}, {os.cpu_count()} cores\n", flush=True)
    ways = [options.client] if options.client else [*WAYS]
    return asyncio.run(hold_all(ways, options.seconds))


if __name__ == "__main__":
    sys.exit(main())
