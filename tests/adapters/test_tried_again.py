# SPDX-License-Identifier: MIT
"""What is tried again and what is not, counted by a server: tried_again.md, row by row."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import httpx
import pytest
import requests
import trio

from sse_stream import (
    AsyncEventSource,
    EventSource,
    ReconnectionPolicy,
    SSEDecoder,
    StatusError,
)
from sse_stream.__main__ import main
from sse_stream.adapters import httpx as httpx_adapter

from .server import EVENT_STREAM, FRAMINGS, Connection, Handler, Server, respond, stream
from .subscribers import CLIENTS, QUICK, Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Sync, on asyncio, and on trio.
NAMES = ("requests", "urllib", "httpx", "aiohttp", "httpx on asyncio", "httpx on trio")

BODY = b'{"stream": true}'

# Whatever one does: httpx does not close the generators that it nests; trio says so.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Async generator '(httpx2?|httpcore2?)\.:ResourceWarning"
)


@pytest.fixture(params=NAMES)
def client(request: pytest.FixtureRequest) -> Client:
    return CLIENTS[request.param]


def broken(body: bytes) -> Handler:
    """Return a handler that sends these bytes of a stream, and resets the connection."""

    def handler(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        FRAMINGS["chunked"].send(connection, body)
        connection.wait()  # so that the client has read it: a reset may overtake it
        connection.reset()

    return handler


def one_after_the_other(*handlers: Handler, then: Handler | None = None) -> Handler:
    """Return a handler that answers each request with another one; in the end with 204."""
    left: Iterator[Handler] = iter(handlers)
    last = then or respond(204, headers=[])
    return lambda connection: next(left, last)(connection)


def body_of(client: Client) -> dict[str, Any]:
    return {"content" if client.adapter is httpx_adapter else "data": BODY}


def on_comment_or_event(server: Server) -> dict[str, Any]:
    """Return options that acknowledge all that `broken` waits for."""

    def make_decoder(last_event_id: str) -> SSEDecoder:
        return SSEDecoder(
            last_event_id=last_event_id,
            incomplete="discard",
            on_comment=lambda _: server.acknowledge(),
        )

    return {"make_decoder": make_decoder}


# A request that has an effect.


class Case(NamedTuple):
    """A first answer, how often a POST is then sent, and the data and the error in the end."""

    first: Handler
    requests: int
    data: list[str]
    error: str = ""


SECOND = b"id: 9\ndata: second\n\n"
CASES = {
    "broken after an event": Case(broken(b"data: a\n\n:\n\n"), 1, ["a"], "broken"),
    "broken after an ID": Case(broken(b"id: 1\ndata: a\n\n:\n\n"), 3, ["a", "second"]),
    "broken after a lone ID": Case(broken(b"data: a\n\nid: 1\n\n:\n\n"), 3, ["a", "second"]),
    "broken before its first event": Case(broken(b"data: a\n:\n"), 3, ["second"]),
    "ended after an event": Case(stream([b"data: a\n\n"]), 1, ["a"]),
    "ended after an ID": Case(stream([b"id: 1\ndata: a\n\n"]), 3, ["a", "second"]),
    "ended before its first event": Case(stream([b": hello\n\n"]), 3, ["second"]),
    "closed before the head": Case(Connection.close, 3, ["second"]),
    "429": Case(respond(429, headers=[("Retry-After", "0")]), 3, ["second"]),
    "503": Case(respond(503), 3, ["second"]),
    "400": Case(respond(400), 1, [], "StatusError"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_post(client: Client, server: Server, name: str) -> None:
    case = CASES[name]
    url = server.url(one_after_the_other(case.first, stream([SECOND])))
    options: dict[str, Any] = {**body_of(client), **on_comment_or_event(server)}
    options["method"] = "POST"
    data, error = client.run(url, **options)
    assert data == case.data
    if case.error == "broken":
        assert client.adapter.is_transient(error)
    else:
        assert type(error).__name__ == (case.error or "NoneType")
    assert [(request.method, request.body) for request in server.requests] == [
        ("POST", BODY)
    ] * case.requests
    sent = [request.header("Last-Event-ID") for request in server.requests]
    expected = [None, b"1" if "ID" in name else None, b"9"]
    assert sent == expected[: case.requests]


@pytest.mark.parametrize("of", ["requests", "aiohttp", "httpx on trio"])
@pytest.mark.parametrize("name", ["broken after an event", "ended after an event"])
@pytest.mark.parametrize(
    ("method", "repeat", "count"),
    [("GET", None, 3), ("GET", False, 1), ("POST", True, 3), ("PUT", None, 1)],
)
def test_what_repeat_says(
    of: str, server: Server, name: str, method: str, repeat: bool | None, count: int
) -> None:
    client = CLIENTS[of]
    url = server.url(one_after_the_other(CASES[name].first, stream([SECOND])))
    data, error = client.run(url, method=method, repeat=repeat, **on_comment_or_event(server))
    assert len(server.requests) == count
    assert data == (["a", "second"] if count == 3 else ["a"])
    assert (error is None) is (count == 3 or name.startswith("ended"))


def test_a_post_that_is_never_answered_is_given_up(client: Client, server: Server) -> None:
    url = server.url(stream([b": nothing\n\n"]))
    _, error = client.run(url, method="POST", **body_of(client))
    assert type(error).__name__ == "ReconnectionError"
    assert len(server.requests) == 4


def cut(body: bytes) -> Handler:
    """Return a handler that sends these bytes of a stream, and closes inside of it."""

    def handler(connection: Connection) -> None:
        connection.send(FRAMINGS["chunked"].head(0, headers=[EVENT_STREAM]))
        FRAMINGS["chunked"].send(connection, body)
        connection.close()

    return handler


@pytest.mark.parametrize(
    ("first", "status", "count", "out", "err"),
    [
        (cut(b"data: a\n\n"), 1, 1, "a\n", "the connection ended before"),
        (stream([b"data: a\n\n"]), 0, 1, "a\n", ""),
        (cut(b"retry: 1\n\n"), 0, 3, "second\n", "connecting again in 0."),
        (cut(b"retry: 1\nid: 1\ndata: a\n\n"), 0, 3, "a\nsecond\n", "connecting again in 0."),
    ],
)
def test_the_command_line_with_a_body(
    first: Handler,
    status: int,
    count: int,
    out: str,
    err: str,
    server: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = server.url(one_after_the_other(first, stream([b"retry: 1\n" + SECOND])))
    assert main([url, "--reconnect", "--body", BODY.decode(), "--data-only"]) == status
    shown = capsys.readouterr()
    assert shown.out == out
    assert err in shown.err
    assert [(request.method, request.body) for request in server.requests] == [
        ("POST", BODY)
    ] * count


# Tokens.


class Tokens:
    """A server whose tokens expire while a stream runs: it then answers 401 to the old one."""

    def __init__(self, server: Server, events_for_each: int) -> None:
        self.server = server
        self.valid = 0
        self.events_for_each = events_for_each
        self.url = server.url(self.answer)

    def answer(self, connection: Connection) -> None:
        if connection.request.header("Authorization") != b"Bearer %d" % self.valid:
            respond(401, b"expired")(connection)
            return
        start = int(connection.request.header("Last-Event-ID") or 0)
        if start >= 3 * self.events_for_each:
            respond(204, headers=[])(connection)
            return
        ids = range(start + 1, start + 1 + self.events_for_each)
        events = b"".join(b"id: %d\ndata: %d\n\n" % (i, i) for i in ids)
        self.valid += 1  # in mid-stream, which is cut off
        broken(events + b":\n\n")(connection)


ASYNC_NAMES = [name for name in NAMES if CLIENTS[name].loop is not None]


@pytest.mark.parametrize(
    ("name", "is_async"), [(name, False) for name in NAMES] + [(name, True) for name in ASYNC_NAMES]
)
def test_a_token_that_expires_in_mid_stream(name: str, is_async: bool, server: Server) -> None:
    """The old one is refused; it is then that the application gets a new one."""

    def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {cached[-1]}"}

    async def aheaders() -> dict[str, str]:
        await (trio.sleep(0) if client.loop is trio.run else asyncio.sleep(0))
        return headers()

    def is_transient(error: Exception) -> bool | None:
        if not isinstance(error, StatusError) or error.status != 401:
            return None
        cached.append(tokens.valid)
        return True

    client = CLIENTS[name]
    cached = [0]
    tokens = Tokens(server, 2)
    data, error = client.run(
        tokens.url,
        headers=aheaders if is_async else headers,
        is_transient=is_transient,
        **on_comment_or_event(server),
    )
    assert (data, error) == (["1", "2", "3", "4", "5", "6"], None)
    sent = [request.header("Authorization") for request in server.requests]
    assert sent == [b"Bearer %d" % i for i in (0, 0, 1, 1, 2, 2, 3)]
    ids = [request.header("Last-Event-ID") for request in server.requests]
    assert ids == [None, b"2", b"2", b"4", b"4", b"6", b"6"]


def test_without_is_transient_an_expired_token_is_the_end(client: Client, server: Server) -> None:
    tokens = Tokens(server, 2)
    data, error = client.run(
        tokens.url,
        headers=lambda: {"Authorization": "Bearer 0"},
        **on_comment_or_event(server),
    )
    assert data == ["1", "2"]
    assert isinstance(error, StatusError)
    assert error.status == 401
    assert error.body == b"expired"
    assert len(server.requests) == 2


# The client's hooks.


class HookError(Exception):
    """What a hook of the client raises."""


def failing_once() -> Callable[..., None]:
    failures = [HookError("first")]

    def hook(*arguments: Any, **_: Any) -> None:
        if failures:
            for argument in arguments:
                getattr(argument, "close", bool)()  # of requests the response, which nobody has
            raise failures.pop()

    return hook


def client_with_hook(name: str) -> Client:
    """Return the client whose first request fails in a hook of the user's."""
    hook = failing_once()
    client = CLIENTS[name]

    async def ahook(*_: Any) -> None:
        hook()

    def new() -> Any:
        if name == "requests":
            session = requests.Session()
            session.hooks["response"].append(hook)
            return session
        if name == "aiohttp":
            trace = aiohttp.TraceConfig()
            trace.on_request_start.append(ahook)
            return aiohttp.ClientSession(trace_configs=[trace])
        if client.loop is None:
            return httpx.Client(event_hooks={"request": [hook]})
        return httpx.AsyncClient(event_hooks={"response": [ahook]})

    return Client(client.adapter, new, client.loop, client.idle)


@pytest.mark.parametrize("name", ["requests", "httpx", "aiohttp", "httpx on asyncio"])
def test_is_transient_is_asked_about_what_a_hook_of_the_client_raises(
    name: str, server: Server
) -> None:
    def is_transient(error: Exception) -> bool | None:
        asked.append(type(error))
        return True if isinstance(error, HookError) else None

    asked: list[type] = []
    url = server.url(one_after_the_other(stream([b"id: 1\ndata: a\n\n"])))
    if name in ("requests", "httpx on asyncio"):  # their hooks come after the response
        url = server.url(one_after_the_other(respond(200), stream([b"id: 1\ndata: a\n\n"])))
    assert client_with_hook(name).run(url, is_transient=is_transient) == (["a"], None)
    assert asked == [HookError]
    data, error = client_with_hook(name).run(url)
    assert (data, type(error)) == ([], HookError)


# One's own function over an adapter's connect.


@pytest.mark.parametrize(
    ("name", "is_async_def"),
    [(name, False) for name in NAMES] + [(name, True) for name in ASYNC_NAMES],
)
def test_a_source_over_ones_own_function(name: str, server: Server, is_async_def: bool) -> None:
    """It is known which exceptions are broken connections, without a word."""
    client = CLIENTS[name]
    parts = [broken(b"id: 1\ndata: a\n\n:\n\n"), stream([b"id: 2\ndata: b\n\n"])]
    url = server.url(one_after_the_other(*parts))
    used = client.new() if client.loop is None else None
    asked: list[str] = []

    def decoder(last_event_id: str) -> SSEDecoder:
        asked.append(last_event_id)
        made: SSEDecoder = on_comment_or_event(server)["make_decoder"](last_event_id)
        return made

    def connect(last_event_id: str) -> Any:
        verb = client.adapter.connect if client.loop is None else client.adapter.aconnect
        return verb(used, "GET", url, decoder=decoder(last_event_id))

    async def aconnect(last_event_id: str) -> Any:
        await (trio.sleep(0) if client.loop is trio.run else asyncio.sleep(0))
        return connect(last_event_id)

    async def read() -> list[str]:
        nonlocal used
        used = client.new()
        async with (
            used,
            AsyncEventSource(aconnect if is_async_def else connect, policy=QUICK) as source,
        ):
            return [event.data async for event in source]

    if client.loop is None:
        with EventSource(connect, policy=QUICK) as source:
            data = [event.data for event in source]
        if used is not None:
            used.close()
    else:
        data = client.loop(read)
    assert data == ["a", "b"]
    assert asked == ["", "1", "2"]
    sent = [request.header("Last-Event-ID") for request in server.requests]
    assert sent == [None, b"1", b"2"]


# The table.


class Row(NamedTuple):
    """What happens to the first connection, and what the table says of GET and of POST.

    handlers: each makes a test of its own; what `special` says has none.
    """

    get: str
    post: str
    handlers: list[Handler]
    special: str = ""
    options: dict[str, Any] = {}  # noqa: RUF012  read only


AGAIN, RAISED, END = "connects again", "raises it", "the source ends"


def alike(
    outcome: str, *handlers: Handler, special: str = "", options: dict[str, Any] | None = None
) -> Row:
    return Row(outcome, outcome, [*handlers], special, options or {})


def events_of(size: int) -> Handler:
    return stream([b"data: " + b"x" * size + b"\n\n"])


STATUSES = sorted(ReconnectionPolicy().statuses)
OTHER_STATUSES = [
    300,
    304,
    400,
    401,
    402,
    403,
    404,
    405,
    406,
    409,
    410,
    422,
    451,
    501,
    505,
    511,
    599,
]
HTML, JSON = [("Content-Type", "text/html")], [("Content-Type", "application/json")]
RETRY_AFTER_LONG = [("Retry-After", "301")]
SMALL = {"make_decoder": lambda last_event_id: SSEDecoder(max_event_size=100)}

TABLE: dict[str, Row] = {
    "no connection can be made": alike(AGAIN, special="refused"),
    "the connection breaks before its first event": alike(
        AGAIN, Connection.close, Connection.reset, broken(b":\n\n"), broken(b"data: a\n:\n")
    ),
    "it breaks after an event with an ID": alike(AGAIN, broken(b"id: 1\ndata: a\n\n:\n\n")),
    "it breaks after an event without one": Row(AGAIN, RAISED, [broken(b"data: a\n\n:\n\n")]),
    "it is silent beyond the client's limit": alike(AGAIN, special="silent"),
    "the server ends it before its first event": alike(
        AGAIN, stream([]), stream([b": hello\n\n"]), stream([b"data: cut off"])
    ),
    "the server ends it after an event with an ID": alike(AGAIN, stream([b"id: 1\ndata: a\n\n"])),
    "the server ends it after an event without one": Row(AGAIN, END, [stream([b"data: a\n\n"])]),
    "204": alike(END, respond(204, headers=[])),
    "a status in `policy.statuses`": alike(AGAIN, *map(respond, STATUSES)),
    "such a status, with a `Retry-After` beyond `max_retry_after`": alike(
        RAISED, *(respond(status, headers=RETRY_AFTER_LONG) for status in (429, 503))
    ),
    "another status": alike(RAISED, *map(respond, OTHER_STATUSES)),
    "another media type": alike(
        RAISED, respond(200, b"<html>", HTML), respond(200, b"{}", JSON)
    ),
    "too large an event": alike(RAISED, events_of(1000), options=SMALL),
    "a refused certificate": alike(RAISED, special="certificate"),
    "a mistake of the caller, such as a wrong URL": alike(RAISED, special="mistake"),
}  # fmt: skip


def table() -> str:
    """Return the table, as it stands in tried_again.md."""
    lines = ["| what happens | GET, HEAD | POST and others |", "|---|---|---|"]
    for name, row in TABLE.items():
        lines.append(f"| {name} | {row.get} | {row.post} |")
    return "\n".join(lines) + "\n"


def test_the_table_is_the_one_that_is_shown() -> None:
    page = Path(__file__).with_name("tried_again.md").read_text(encoding="utf-8")
    assert f"\n\n{table()}\n" in page


def outcome(client: Client, url: str, method: str, options: dict[str, Any]) -> str:
    """Return what the source did, in the table's words, and check what it told of it."""
    told: list[tuple[Exception | None, float | None]] = []

    def on_disconnect(error: Exception | None, delay: float | None) -> None:
        told.append((error, delay))

    _, error = client.run(url, method=method, on_disconnect=on_disconnect, **options)
    if told and told[0][1] is not None:
        return AGAIN
    assert told in ([], [(error, None)]), "it hears of giving up, too"
    return END if error is None else RAISED


def runs() -> Iterator[Any]:
    """Yield each row with each of its handlers; where it has several, one client gets them all."""
    for name, row in TABLE.items():
        for i, handler in enumerate(row.handlers or [respond(204, headers=[])]):
            for client in ("urllib", "requests", "aiohttp")[: 1 if i else 3]:
                yield pytest.param(client, row, handler, id=f"{client}, {name}, {i}")


@pytest.mark.parametrize(("name", "row", "handler"), [*runs()])
def test_the_row_of_the_table(
    name: str, row: Row, handler: Handler, server: Server, tls_server: Server
) -> None:
    client = CLIENTS[name]
    for method in ("GET", "POST"):
        before = len(server.requests)
        options = {**on_comment_or_event(server), **row.options}
        url = server.url(one_after_the_other(handler, *[stream([])] * 2))
        if row.special == "refused":
            with Server() as gone:
                url = gone.url(handler)
        elif row.special == "silent":
            url = server.url(one_after_the_other(Connection.stall))
            options["idle"] = 0.05
        elif row.special == "certificate":
            url = tls_server.url(stream([]))
        elif row.special == "mistake":
            url = "nonsense"
        expected = row.get if method == "GET" else row.post
        assert outcome(client, url, method, options) == expected
        if not row.special:
            assert (len(server.requests) - before > 1) is (expected == AGAIN)


def test_head_is_as_get(server: Server) -> None:
    url = server.url(one_after_the_other(stream([]), stream([])))
    assert outcome(CLIENTS["requests"], url, "HEAD", {}) == AGAIN
