# SPDX-License-Identifier: MIT
"""Break every connection of every client, and show what its user sees.

`python3 -m tests.programs.faults`

Each client reads from the scripted server, which strikes inside the third event: once as soon as
the client has handed out the second one, once together with the bytes before it. What is raised,
and after how many events, becomes the table in faults.md; the tests compare the two, and
`python3 -m tests.programs.faults --write` renews it. Nothing in the table is stated here
but ALTERNATIVES: where one of them is seen, all are shown. It needs tests/requirements.txt and some
ten seconds, most of which it waits.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pycurl  # type: ignore[import-untyped]

from sse_stream import IncompleteEventError, SSEDecoder, SSEError
from tests.adapters.server import (
    EARLY_FAULTS,
    FAULTS,
    GUARD,
    SILENT_FAULTS,
    Connection,
    Handler,
    Server,
    http_2_server,
    respond,
)
from tests.clients import (
    ASYNC_CLIENTS,
    ASYNC_HTTP2_CLIENTS,
    CLIENTS,
    HTTP2_CLIENTS,
    IS_TRANSIENT,
    NAMES,
)
from tests.programs.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.clients import AsyncOpen, Open

TABLE = Table("faults")

#: Seconds without a byte after which a client gives up, where the server's silence is the fault.
LIMIT = 0.25

HTTP2_RESET, SILENCE, NO_SERVER = (
    "reset of an HTTP/2 stream",
    "silence before headers",
    "no connection",
)

#: The faults that strike inside the third event; the others strike in place of a response.
IN_THE_STREAM = (*FAULTS, *SILENT_FAULTS, HTTP2_RESET)

#: The rows: faults that mean the same to the user, in the words of the table.
ROWS = {
    "reset, in chunks or with a Content-Length": (
        "reset",
        "reset inside a chunk",
        "reset, Content-Length",
    ),
    "reset, if the connection ends the body": ("reset, close-delimited",),
    "reset of an HTTP/2 stream": (HTTP2_RESET,),
    "closed, in chunks or with a Content-Length": (
        "closed between chunks",
        "closed inside a chunk",
        "short Content-Length",
    ),
    "closed, if the connection ends the body": ("closed, close-delimited",),
    "closed inside a compressed body": ("closed, gzip",),
    "malformed chunk": ("bad chunk size",),
    "corrupt gzip": ("corrupt gzip",),
    "silence beyond the read limit": ("stall",),
    "closed before the headers": ("closed before headers",),
    "reset before the headers": ("reset before headers",),
    "silence before the headers": (SILENCE,),
    "no connection": (NO_SERVER,),
}

#: What the user sees depends on a version, or on which bytes the client received at once: one of
#: these stands for all.
ALTERNATIVES = {
    # aiohttp reads no response whose head comes together with a malformed chunk.
    ("aiohttp", "bad chunk size"): (
        "`ClientPayloadError`",
        "`ClientResponseError` before any event",
    ),
    ("pycurl", "corrupt gzip"): ("`error` 61", "`error` 23"),  # 23 in old libcurl
}


class Outcome(NamedTuple):
    """What the user of a client sees: the data of the events, then the error; None: a clean end."""

    data: list[str]
    error: Exception | None


def read(client: Open, url: str, acknowledge: Callable[[], None], **options: Any) -> Outcome:
    """Read all events; acknowledge the second."""
    data: list[str] = []
    try:
        with client(url, decoder=SSEDecoder(incomplete="raise"), **options) as stream:
            for event in stream:
                data.append(event.data)
                if len(data) == 2:
                    acknowledge()
    except Exception as error:
        return Outcome(data, error)
    return Outcome(data, None)


async def aread(
    client: AsyncOpen, url: str, acknowledge: Callable[[], None], **options: Any
) -> Outcome:
    """Read all events; acknowledge the second."""
    data: list[str] = []
    try:
        async with client(url, decoder=SSEDecoder(incomplete="raise"), **options) as stream:
            async for event in stream:
                data.append(event.data)
                if len(data) == 2:
                    acknowledge()
    except Exception as error:
        return Outcome(data, error)
    return Outcome(data, None)


@contextmanager
def faulty(fault: str, lock_step: bool) -> Generator[tuple[str, Callable[[], None]]]:
    """Run a server that answers with a fault; yield its URL and what the second event calls."""
    if fault == HTTP2_RESET:
        with http_2_server() as (url, acknowledged):
            if not lock_step:
                acknowledged.set()
            yield url, acknowledged.set
        return
    with Server() as server:
        url = server.url(handler(fault, lock_step))
        if fault != NO_SERVER:
            yield url, server.acknowledge
    if fault == NO_SERVER:
        yield url, server.acknowledge


def handler(fault: str, lock_step: bool) -> Handler:
    if fault in EARLY_FAULTS:
        return EARLY_FAULTS[fault]
    if fault in (SILENCE, NO_SERVER):
        return Connection.stall if fault == SILENCE else respond(200)
    return {**FAULTS, **SILENT_FAULTS}[fault].handler(lock_step=lock_step)


def observe(name: str, fault: str) -> list[Outcome]:
    """Let a client meet a fault, on each side; one inside the stream in lock step and at once."""
    limit = LIMIT if fault in ("stall", SILENCE) else 2 * GUARD
    client = (HTTP2_CLIENTS if fault == HTTP2_RESET else CLIENTS).get(name)
    async_client = (ASYNC_HTTP2_CLIENTS if fault == HTTP2_RESET else ASYNC_CLIENTS).get(name)
    outcomes: list[Outcome] = []
    for lock_step in (True, False) if fault in IN_THE_STREAM else (False,):
        if client:
            with faulty(fault, lock_step) as (url, acknowledge):
                outcomes.append(read(client, url, acknowledge, limit=limit))
        if async_client:
            with faulty(fault, lock_step) as (url, acknowledge):
                outcomes.append(asyncio.run(aread(async_client, url, acknowledge, limit=limit)))
    return outcomes


# The table.


def shown_class(kind: type[BaseException], client: str) -> str:
    """Return a class's name, with its module if that is neither the client's nor built in."""
    ours = kind.__module__ == "builtins" or kind.__module__.partition(".")[0] in (
        client,
        "sse_stream",
    )
    return f"`{kind.__name__}`" if ours else f"`{kind.__module__}.{kind.__name__}`"


def shown(name: str, fault: str, outcome: Outcome) -> str:
    """Return a cell's text.

    A dagger says that `subscribe` raises the error. Where events are missing, it says how many
    came.
    """
    if isinstance(outcome.error, IncompleteEventError):
        text = "silent"
    elif outcome.error is None:
        text = "none"
    elif isinstance(outcome.error, pycurl.error):
        text = f"`error` {outcome.error.args[0]}"
    else:
        text = shown_class(type(outcome.error), name)
    if (
        outcome.error
        and text != "silent"
        and (isinstance(outcome.error, SSEError) or not IS_TRANSIENT[name](outcome.error))
    ):
        text += "†"
    if outcome.data == (["one", "two"] if fault in IN_THE_STREAM else []):
        return text
    return f"{text} after {len(outcome.data)}" if outcome.data else f"{text} before any event"


def cell(name: str, outcomes: dict[str, list[Outcome]]) -> str:
    texts: list[str] = []
    for fault, several in outcomes.items():
        known = ALTERNATIVES.get((name, fault), ())
        for outcome in several:
            text = shown(name, fault, outcome)
            texts += known if text in known else (text,)
    return " or ".join(dict.fromkeys(texts)) or "-"


def bases(name: str, errors: list[Exception]) -> str:
    """Return what to name after `except` for all: the fewest classes, of these the narrowest."""
    kinds = [type(error) for error in errors if not isinstance(error, SSEError)]
    found: list[str] = []
    while kinds:
        counts = Counter(
            base
            for kind in kinds
            for base in kind.__mro__
            if base not in (object, BaseException, Exception)
        )
        # Of equals the first: each class comes before its bases.
        base = max(counts, key=lambda base: counts[base])
        found.append(shown_class(base, name))
        kinds = [kind for kind in kinds if not issubclass(kind, base)]
    return ", ".join(found)


def column(name: str) -> list[str]:
    seen = [{fault: observe(name, fault) for fault in faults} for faults in ROWS.values()]
    errors = [
        outcome.error
        for row in seen
        for several in row.values()
        for outcome in several
        if outcome.error
    ]
    return [*(cell(name, row) for row in seen), bases(name, errors)]


def table() -> str:
    """Run everything and return the table in Markdown; clients that do the same share a column."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for name in NAMES:
        columns.setdefault(tuple(column(name)), []).append(name)
    rows = [["", *(", ".join(names) for names in columns.values())], ["---"] * (len(columns) + 1)]
    rows += [
        [words, *cells]
        for words, *cells in zip([*ROWS, "`except` for all these"], *columns, strict=True)
    ]
    return "".join(f"| {' | '.join(row)} |\n".replace("|  |", "| |") for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.faults",
        description="Show what each client makes of each fault.",
    )
    parser.add_argument(
        "--write", action="store_true", help=f"put the table into {TABLE.page.name}"
    )
    options = parser.parse_args()
    text = table()
    print(text, end="")
    if options.write:
        TABLE.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
