# SPDX-License-Identifier: MIT
"""Attack every client.

`python3 -m tests.programs.hostile [--attack NAME] [--client NAME] [--write]`

A server on a socket of this machine does what a hostile one may do; each client meets each attack,
through its adapter, in a process of its own, with `max_event_size` of 1 MiB and a read limit of
half a second. What comes out is a Markdown table: how each attack ends, and by how many MiB the
peak of the process's memory grew meanwhile; `--write` puts it into hostile.md. It needs Linux (for
the peak, VmHWM) and the clients of the tests, and takes about two minutes. The exit status is 1 if
an attack does not end, or not as it should.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sse_stream.decoder import SSEDecoder
from tests.adapters.server import (
    EVENT_STREAM,
    FRAMINGS,
    Connection,
    Framing,
    Handler,
    Server,
    brotli,
)
from tests.programs.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The bound on an event, in bytes, and the read limit, in seconds, under which the attacks are met.
BOUND, READ_LIMIT = 1 << 20, 0.5
#: How much is sent by what has no end that a client could know, and how much a bomb inflates to.
FLOOD, BOMB = 8 << 20, 256 << 20

ROOT = Path(__file__).parents[2]
TABLE = Table("hostile")


# The attacks.


class Attack(NamedTuple):
    """What a server does, and the errors one of which ends it; "" for a stream that ends well."""

    handler: Handler
    ends: tuple[str, ...]


TOO_LARGE = ("EventTooLargeError",)


def flood(piece: bytes, size: int | None = None, last: bytes = b"") -> Handler:
    """Return a handler that sends a piece over and over.

    size: how many bytes of it, and then what comes `last`; None: without end.
    """

    def handler(connection: Connection) -> None:
        framing = FRAMINGS["chunked"]
        connection.send(framing.head(0, headers=[EVENT_STREAM]))
        sent = 0
        while size is None or sent < size:
            framing.send(connection, piece)
            sent += len(piece)
        framing.send(connection, last)
        framing.end(connection)

    return handler


def in_one_chunk(body: bytes) -> Handler:
    def handler(connection: Connection) -> None:
        framing = FRAMINGS["one huge chunk"]
        connection.send(framing.head(len(body), headers=[EVENT_STREAM]) + body)
        framing.end(connection)

    return handler


def silence(connection: Connection) -> None:
    connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
    connection.stall()


def endless_headers(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
    while True:
        connection.send(b"X-More: 1\r\n" * 1000)


def redirects(connection: Connection) -> None:
    connection.send(
        b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
        % connection.request.target.encode()
    )


def endless_error(connection: Connection) -> None:
    connection.send(FRAMINGS["chunked"].head(0, "500 Error", [("Content-Type", "text/plain")]))
    while True:
        FRAMINGS["chunked"].send(connection, b"x" * 65536)


@cache
def bomb(coding: str, size: int) -> bytes:
    """Return an event of one data line that inflates to `size` bytes."""
    compressor: Any = (
        zlib.compressobj(9, wbits=31) if coding == "gzip" else brotli.Compressor(quality=5)
    )
    add, end = (
        (compressor.process, compressor.finish)
        if coding == "br"
        else (compressor.compress, compressor.flush)
    )
    return b"".join(
        [add(b"data: "), *(add(b"x" * (1 << 20)) for _ in range(size >> 20)), add(b"\n\n"), end()]
    )


def exploding(coding: str, size: int) -> Handler:
    def handler(connection: Connection) -> None:
        framing = Framing("chunked", coding)
        connection.send(framing.head(0, headers=[EVENT_STREAM]))
        framing.send(connection, bomb(coding, size))
        framing.end(connection)

    return handler


ATTACKS: dict[str, Attack] = {
    "a line without end": Attack(flood(b"data: " + b"x" * 65530), TOO_LARGE),
    "an event without end": Attack(flood(b"data: x\n" * 8192), TOO_LARGE),
    "a comment line without end": Attack(flood(b":" + b" " * 65535), TOO_LARGE),
    "8 MiB of comments": Attack(flood(b": x\n" * 16384, FLOOD), ("",)),
    "a million empty lines": Attack(flood(b"\n" * 10_000, 1_000_000, b"data: x\n\n"), ("",)),
    "a million events in one chunk": Attack(in_one_chunk(b"data: x\n\n" * 1_000_000), ("",)),
    "8 MiB of ids and types": Attack(flood(b"id: x\nevent: y\n" * 4096, FLOOD), ("",)),
    "headers, then nothing": Attack(
        silence,
        (
            "ReadTimeout",
            "SocketTimeoutError",
            "ConnectionError",
            "ReadTimeoutError",
            "TimeoutError",
            "error 28",
        ),
    ),
    "headers without end": Attack(
        endless_headers,
        (
            "RemoteProtocolError",
            "ClientResponseError",
            "ConnectionError",
            "ProtocolError",
            "MaxRetryError",
            "HTTPException",
            "error 56",
            "error 100",
        ),
    ),
    "redirects without end": Attack(
        redirects, ("TooManyRedirects", "StatusError", "MaxRetryError", "error 47")
    ),
    "a status error without end": Attack(endless_error, ("StatusError",)),
    "256 MiB in gzip": Attack(exploding("gzip", BOMB), (*TOO_LARGE, "ResponseError")),
    "256 MiB in brotli": Attack(exploding("br", BOMB), (*TOO_LARGE, "ResponseError")),
}


# The clients.


def _httpx(module: str) -> Callable[[str, SSEDecoder], Iterator[Any]]:
    def run(url: str, decoder: SSEDecoder) -> Iterator[Any]:
        client = importlib.import_module(module).Client(timeout=READ_LIMIT, follow_redirects=True)
        connect = importlib.import_module("sse_stream.adapters.httpx").connect
        with client, connect(client, "GET", url, decoder=decoder) as stream:
            yield from stream

    return run


def _requests(url: str, decoder: SSEDecoder) -> Iterator[Any]:
    with importlib.import_module("requests").Session() as session:
        connect = importlib.import_module("sse_stream.adapters.requests").connect
        with connect(session, "GET", url, decoder=decoder, timeout=READ_LIMIT) as stream:
            yield from stream


def _urllib3(url: str, decoder: SSEDecoder) -> Iterator[Any]:
    with importlib.import_module("urllib3").PoolManager() as pool:
        connect = importlib.import_module("sse_stream.adapters.urllib3").connect
        with connect(pool, "GET", url, decoder=decoder, timeout=READ_LIMIT) as stream:
            yield from stream


def _urllib(url: str, decoder: SSEDecoder) -> Iterator[Any]:
    connect = importlib.import_module("sse_stream.adapters.urllib").connect
    with connect(None, "GET", url, decoder=decoder, timeout=READ_LIMIT) as stream:
        yield from stream


def _curl() -> Any:
    pycurl = importlib.import_module("pycurl")
    curl = pycurl.Curl()
    curl.setopt(pycurl.ACCEPT_ENCODING, "gzip, br")
    curl.setopt(pycurl.FOLLOWLOCATION, True)
    return curl


def _pycurl(url: str, decoder: SSEDecoder) -> Iterator[Any]:
    connect = importlib.import_module("sse_stream.adapters.pycurl").connect
    with connect(_curl(), "GET", url, decoder=decoder, idle_timeout=READ_LIMIT) as stream:
        yield from stream


def _on_asyncio(
    opening: Callable[[str, SSEDecoder], Any],
) -> Callable[[str, SSEDecoder], Iterator[Any]]:
    def run(url: str, decoder: SSEDecoder) -> Iterator[Any]:
        async def count() -> int:
            client, stream = opening(url, decoder)
            number = 0
            try:
                async with stream as events:
                    async for _ in events:
                        number += 1
            finally:
                close = getattr(client, "aclose", None) or client.close
                if (closing := close()) is not None:
                    await closing
            return number

        yield from range(asyncio.run(count()))

    return run


def _ahttpx(url: str, decoder: SSEDecoder) -> Any:
    client = importlib.import_module("httpx").AsyncClient(timeout=READ_LIMIT, follow_redirects=True)
    return client, importlib.import_module("sse_stream.adapters.httpx").aconnect(
        client, "GET", url, decoder=decoder
    )


def _aiohttp(url: str, decoder: SSEDecoder) -> Any:
    aiohttp = importlib.import_module("aiohttp")
    client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_read=READ_LIMIT))
    return client, importlib.import_module("sse_stream.adapters.aiohttp").aconnect(
        client, "GET", url, decoder=decoder
    )


def _apycurl(url: str, decoder: SSEDecoder) -> Any:
    connect = importlib.import_module("sse_stream.adapters.pycurl").aconnect
    curl = _curl()
    return curl, connect(curl, "GET", url, decoder=decoder, idle_timeout=READ_LIMIT)


CLIENTS: dict[str, Callable[[str, SSEDecoder], Iterator[Any]]] = {
    "httpx": _httpx("httpx"),
    "httpx, async": _on_asyncio(_ahttpx),
    "httpx2": _httpx("httpx2"),
    "aiohttp": _on_asyncio(_aiohttp),
    "requests": _requests,
    "urllib3": _urllib3,
    "urllib": _urllib,
    "pycurl": _pycurl,
    "pycurl, async": _on_asyncio(_apycurl),
}


# The victim, in a process of its own.


class Outcome(NamedTuple):
    """How it ended.

    error:  its name, "" for none.
    events: how many came.
    growth: of the peak of memory, in MiB.
    """

    error: str
    events: int
    growth: float


def suffer(client: str, urls: list[str]) -> None:
    """Let a client read a harmless stream, then each of the others; print an Outcome of those."""
    meet(client, urls[0])
    for url in urls[1:]:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        before = _peak()
        error, events = meet(client, url)
        print(json.dumps([error, events, (_peak() - before) / 1024]), flush=True)


def meet(client: str, url: str) -> tuple[str, int]:
    events = 0
    try:
        for _ in CLIENTS[client](url, SSEDecoder(max_event_size=BOUND)):
            events += 1
    except Exception as error:
        name = type(error).__name__
        return (f"error {error.args[0]}" if name == "error" else name), events
    return "", events


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))  # KiB


def attack(client: str, handlers: list[Handler], timeout: float = 60) -> list[Outcome]:
    """Let a client in another process meet what these handlers do."""
    with Server() as server:
        urls = [server.url(handler) for handler in [in_one_chunk(b"data: x\n\n"), *handlers]]
        command = [sys.executable, "-m", "tests.programs.hostile", "--suffer", client, *urls]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
        )
    outcomes = [Outcome(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(outcomes) == len(handlers), f"{client} has died of an attack:\n{done.stderr}"
    assert not done.stderr, done.stderr
    return outcomes


# The table.


def table(outcomes: dict[str, dict[str, Outcome]]) -> str:
    """Return the Markdown: a row for each attack, a column for each client."""
    clients = list(next(iter(outcomes.values())))
    rows = [["attack", "ends with", *clients], ["---", "---", *["---:"] * len(clients)]]
    for name, row in outcomes.items():
        ends = dict.fromkeys(
            f"`{outcome.error}`" if outcome.error else "the stream's end"
            for outcome in row.values()
        )
        rows.append([name, ", ".join(ends), *(f"{outcome.growth:.1f}" for outcome in row.values())])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.hostile", description="Attack every client."
    )
    parser.add_argument(
        "--attack", action="append", choices=ATTACKS, metavar="NAME", help="; ".join(ATTACKS)
    )
    parser.add_argument(
        "--client", action="append", choices=CLIENTS, metavar="NAME", help="; ".join(CLIENTS)
    )
    add = parser.add_argument
    add(
        "--write",
        action="store_true",
        help=f"put the table, of all of them, into {TABLE.page.name}",
    )
    # The client and the URLs, of another process.
    parser.add_argument("--suffer", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.suffer:
        suffer(options.suffer[0], options.suffer[1:])
        return 0
    for coding in ("gzip", "br"):
        bomb(coding, BOMB)  # takes longer than a client waits
    outcomes = {
        name: {
            client: attack(client, [ATTACKS[name].handler])[0]
            for client in options.client or CLIENTS
        }
        for name in options.attack or ATTACKS
    }
    text = table(outcomes)
    print(text, end="")
    if options.write and not (options.attack or options.client):
        TABLE.write(text)
    wrong = [
        f"{client} ends {name} with {outcome.error or 'no error'}"
        for name, row in outcomes.items()
        for client, outcome in row.items()
        if outcome.error not in ATTACKS[name].ends
    ]
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
