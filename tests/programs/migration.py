# SPDX-License-Identifier: MIT
"""Show what is different after a change of library.

`python3 -m tests.programs.migration [--write]`

It installs the pinned libraries of PEERS into an environment of its own, lets each of them and this
package read the same streams from the scripted server, and makes the table of migration.md: of each
outcome what ROWS says of it, or the outcome itself where it says nothing. `--write` renews the
table. It needs a package index, and takes about half a minute. The exit status is 1 if the table
says otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import subprocess
import sys
import tempfile
import threading
import venv
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.programs.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.adapters.server import Connection, Handler

    Got = Callable[[str, Any, Any], None]

ROOT = Path(__file__).parents[2]
TABLE = Table("migration")
PEERS = {"httpx-sse": "0.4.3", "sseclient-py": "1.9.0", "aiohttp-sse-client": "0.2.1"}
NEEDS = ["aiohttp==3.14.5", "brotli", "h2", "httpx==0.28.1", "requests==2.34.2"]

#: Seconds for which an event may be held back before the server sends the next part all the same.
PATIENCE = 0.5


# The readers: each hands on the data, ID and `retry` of every event.


def with_httpx_sse(url: str, got: Got) -> None:
    import httpx

    with (
        httpx.Client() as client,
        import_module("httpx_sse").connect_sse(client, "GET", url) as source,
    ):
        for event in source.iter_sse():
            got(event.data, event.id, event.retry)


def with_sseclient(url: str, got: Got) -> None:
    import requests

    with requests.get(url, stream=True) as response:
        for event in import_module("sseclient").SSEClient(response).events():
            got(event.data, event.id, event.retry)


def with_aiohttp_sse_client(url: str, got: Got) -> None:
    import aiohttp

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            make_source = import_module("aiohttp_sse_client.client").EventSource
            async with make_source(url, session=session, reconnection_time=timedelta(0)) as source:
                async for event in source:
                    # Its events carry no `retry`; this is what it makes of one.
                    got(
                        event.data,
                        event.last_event_id,
                        int(source._reconnection_time / timedelta(milliseconds=1)),
                    )

    asyncio.run(main())


def with_ours(url: str, got: Got) -> None:
    import httpx

    from sse_stream.adapters.httpx import connect

    with connect(httpx, "GET", url) as stream:
        for event in stream:
            got(event.data, event.id, event.retry)


READERS = {
    "httpx-sse": with_httpx_sse,
    "sseclient-py": with_sseclient,
    "aiohttp-sse-client": with_aiohttp_sse_client,
    "here": with_ours,
}


class Row(NamedTuple):
    """One line of the table.

    words:   what is looked at.
    said:    what is said of an outcome: what was looked at of its events, then the name of the
             exception.
    parts:   of the body, each sent when the event of the one before has come, or after PATIENCE.
    framing: one of the server's FRAMINGS.
    show:    what of an event is looked at: "data", "id", "retry", or "sent": how many parts had
             been sent when it came; or "again": whether there was a second request, and nothing
             else.
    answer:  what the server does, if that is not sending the parts.
    then:    the parts of the second connection; without them, that is answered with 204.
    """

    words: str
    said: dict[str, str]
    parts: Sequence[bytes] = ()
    framing: str = "chunked"
    show: str = "data"
    answer: str = ""
    then: Sequence[bytes] = ()


ROWS = [
    Row(
        "a byte order mark in front",
        {"two": "first event lost", "one two": "ignored"},
        [b"\xef\xbb\xbfdata: one\n\n", b"data: two\n\n"],
    ),
    Row(
        "a comment to keep alive, after an `id`",
        {"one '' two": "a phantom event", "one two": "no event"},
        [b"id: 1\ndata: one\n\n", b": ping\n\n", b"data: two\n\n"],
    ),
    Row(
        "the ID of an event without `id`",
        {"1 None": "`None`", "1 1": "the last one"},
        [b"id: 1\ndata: one\n\n", b"data: two\n\n"],
        show="id",
    ),
    Row(
        "`retry: +5`, `retry: 1_000`",
        {"5 1000": "numbers", "+5 1_000": "the text", "None None": "ignored"},
        [b"retry: +5\ndata: one\n\n", b"retry: 1_000\ndata: two\n\n"],
        show="retry",
    ),
    Row(
        "two spaces after the colon",
        {"' one'": "one goes", "one": "both go"},
        [b"data:  one\n\n"],
    ),
    Row(
        "lines that end with a lone CR",
        {"1 2": "at once", "2 2": "an event late", "": "no event"},
        [b"data: one\r\r", b"data: two\r\r"],
        show="sent",
    ),
    Row(
        "LF, then CRLF, between two events",
        {"one two": "right", "'one\\ntwo'": "merges them"},
        [b"data: one\n\r\ndata: two\n\n"],
    ),
    Row(
        "invalid UTF-8",
        {"one\ufffd two": "U+FFFD"},
        [b"data: one\xff\n\n", b"data: two\n\n"],
    ),
    Row(
        "an event that the stream's end cuts off",
        {
            "one": "dropped",
            "one two": "delivered",
            "one 'two\\nthree'": "merged with the next connection's first",
        },
        [b"data: one\n\n", b"data: two\n"],
        then=[b"data: three\n\n"],
    ),
    Row(
        "a body that is not in chunks",
        {"1 2": "at once", "2 2": "held back"},
        [b"data: one\n\n", b"data: two\n\n"],
        framing="close-delimited",
        show="sent",
    ),
    Row(
        "an event of 1 MB in one line",
        {"x" * 1_000_000: "comes"},
        [b"data: " + b"x" * 1_000_000 + b"\n\n"],
    ),
    Row(
        "the server ends the stream",
        {"": "ends", "again": "connects again"},
        [b"data: one\n\n"],
        show="again",
    ),
    Row(
        "the connection breaks after an event",
        {
            "one RemoteProtocolError": "`RemoteProtocolError`",
            "one ClientPayloadError": "`ClientPayloadError`",
            "ChunkedEncodingError": "`ChunkedEncodingError`, the event lost",
        },
        [b"data: one\n\n"],
        answer="broken",
    ),
    Row("404, with events in its body", {"no": "its events"}, answer="404"),
    Row("another media type", {"": "no events"}, answer="json"),
    Row("204", {"": "no events"}, answer="204"),
]


# Seeing and saying. The server is imported where it runs: what it needs is in the environment
# that is made.


def observe(read: Callable[[str, Got], None], row: Row) -> str:
    """Return what a reader makes of a row."""
    from tests.adapters.server import Server, respond

    seen: list[str] = []
    sent: list[bytes] = []
    came = threading.Semaphore(0)

    def got(data: str, event_id: Any, retry: Any) -> None:
        looked_at = str(
            {"data": data, "id": event_id, "retry": retry, "sent": len(sent), "again": ""}[row.show]
        )
        seen.append(looked_at if looked_at.split() == [looked_at] else repr(looked_at))
        came.release()

    first = answer(row, sent, came)
    second = paced(row.then, "chunked", [], came) if row.then else respond(204)

    def handler(connection: Connection) -> None:
        connection.keep = False
        {1: first, 2: second}.get(len(server.requests), respond(204))(connection)

    error = ""
    with Server() as server:
        try:
            read(server.url(handler), got)
        except Exception as raised:
            error = type(raised).__name__
    again = len(server.requests) > 1
    if row.show == "again":
        return "again" if again else ""
    # The error after a second request is that of the 204.
    return " ".join([*seen, *([] if again else [error])]).strip()


def answer(row: Row, sent: list[bytes], came: threading.Semaphore) -> Handler:
    from tests.adapters.server import EVENT_STREAM, broken_off, respond

    if row.answer == "broken":
        return broken_off(200, b"".join(row.parts), [EVENT_STREAM])
    if row.answer == "json":
        return respond(200, b"{}", [("Content-Type", "application/json")])
    if row.answer:
        return respond(
            int(row.answer), b"data: no\n\n" if row.answer != "204" else b"", [EVENT_STREAM]
        )
    return paced(row.parts, row.framing, sent, came)


def paced(
    parts: Sequence[bytes], framing_name: str, sent: list[bytes], came: threading.Semaphore
) -> Handler:
    """Return a handler that sends a part when an event came since the last, or after PATIENCE."""
    from tests.adapters.server import EVENT_STREAM, FRAMINGS

    framing = FRAMINGS[framing_name]

    def handler(connection: Connection) -> None:
        connection.send(framing.head(0, headers=[EVENT_STREAM]))
        for part in parts:
            sent.append(part)
            framing.send(connection, part)
            came.acquire(timeout=PATIENCE)
        framing.end(connection)

    return handler


def table() -> str:
    """Run everything and return the table in Markdown."""
    names = [f"{name} {PEERS[name]}" if name in PEERS else name for name in READERS]
    rows = [["", *names], ["---"] * (len(names) + 1)]
    for row in ROWS:
        outcomes = [observe(read, row) for read in READERS.values()]
        rows.append([row.words, *(row.said.get(outcome, f"`{outcome}`") for outcome in outcomes)])
    return "".join(f"| {' | '.join(row)} |\n".replace("|  |", "| |") for row in rows)


def made_in_an_environment() -> str:
    """Return the table, made by this module where the libraries are."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        (python,) = [path for path in Path(folder).glob("*/python*") if path.stem == "python"]
        pins = [f"{name}=={version}" for name, version in PEERS.items()]
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *pins, *NEEDS],
            check=True,
        )
        ran = subprocess.run(
            [python, "-m", "tests.programs.migration", "--here"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return ran.stdout


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.migration",
        description="Compare with three other libraries.",
    )
    parser.add_argument(
        "--write", action="store_true", help=f"put the table into {TABLE.page.name}"
    )
    parser.add_argument(
        "--here", action="store_true", help="in this environment, which has the libraries"
    )
    options = parser.parse_args()
    logging.disable()
    text = table() if options.here else made_in_an_environment()
    print(text, end="")
    if options.here:
        return 0
    if options.write:
        TABLE.write(text)
    elif TABLE.read() != text:
        print(f"DIFFERENT: {TABLE.page.name} says otherwise")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
