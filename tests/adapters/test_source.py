# SPDX-License-Identifier: MIT
"""What the `subscribe` of all adapters share: the decoder, the headers, the mistakes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from sse_stream import AsyncEventStream, EventStream, SSEDecoder
from sse_stream.adapters._source import make_source
from sse_stream.policy import FIELDS, ReconnectionPolicy
from sse_stream.reconnect import AsyncEventSource, EventSource
from sse_stream.streams import AsyncOpening, Opening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

QUICK = ReconnectionPolicy(initial=0, minimum=0, maximum=0, jitter=0, max_attempts=3)
URL = "http://user:secret@h/p?key=secret"


class BrokenError(Exception):
    """What the client raises when a connection breaks."""


class Response:
    def __init__(self, status: int) -> None:
        self.status = status


class Requests:
    """An adapter's `connect`, or `aconnect`: it gives one answer after the other, then 204."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[Any, ...]] = []
        self.decoders: list[SSEDecoder] = []

    def connect(
        self, client: Any, method: str, url: Any, *, decoder: SSEDecoder, check: Any, **options: Any
    ) -> Any:
        self.seen.append((client, method, url, decoder.last_event_id, check, options))
        self.decoders.append(decoder)

        def open_stream() -> EventStream:
            body = self._answer()
            status = Response(200 if body else 204)
            return EventStream(body, decoder=decoder, response=status)

        return Opening(open_stream, is_transient=is_transient)

    def aconnect(self, *arguments: Any, decoder: SSEDecoder, **options: Any) -> Any:
        self.connect(*arguments, decoder=decoder, **options)

        async def chunks(body: list[bytes]) -> AsyncIterator[bytes]:
            for chunk in body:
                yield chunk

        async def open_stream() -> AsyncEventStream:
            body = self._answer()
            status = Response(200 if body else 204)
            return AsyncEventStream(chunks(body), decoder=decoder, response=status)

        return AsyncOpening(open_stream, is_transient=is_transient)

    def _answer(self) -> list[bytes]:
        answer = self.answers.pop(0) if self.answers else b""
        if isinstance(answer, Exception):
            raise answer
        return [answer] if answer else []

    @property
    def ids(self) -> list[str]:
        return [seen[3] for seen in self.seen]

    @property
    def headers(self) -> list[Any]:
        return [seen[5].get("headers", "none") for seen in self.seen]


def is_transient(error: Exception) -> bool | None:
    return True if isinstance(error, BrokenError) else None


def make(kind: Any, requests: Requests, method: str = "GET", url: Any = URL, **given: Any) -> Any:
    options: dict[str, Any] = dict.fromkeys(
        ["make_decoder", "is_transient", "repeat", "on_connect", "on_disconnect", "sleep"]
    )
    options.update(headers=None, check=True, policy=QUICK, last_event_id="")
    options.update((name, given.pop(name)) for name in list(given) if name in options)
    connect = requests.connect if kind is EventSource else requests.aconnect
    return make_source(kind, connect, "client", method, url, request_options=given, **options)


def read(source: Any) -> list[str]:
    if isinstance(source, EventSource):
        return [event.data for event in source]

    async def collect() -> list[str]:
        return [event.data async for event in source]

    return asyncio.run(collect())


@pytest.fixture(params=[EventSource, AsyncEventSource])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_each_connection_has_a_decoder_that_discards(kind: Any) -> None:
    requests = Requests(b"id: 1\ndata: a\n\ndata: cut", BrokenError(), b"data: b\n\ndata: cut")
    source = make(kind, requests, last_event_id="0")
    assert source.last_event_id == "0"
    assert requests.ids == ["0"]
    assert read(source) == ["a", "b"]
    assert requests.ids == ["0", "1", "1", "1"]
    assert len({*map(id, requests.decoders)}) == 4


def test_make_decoder(kind: Any) -> None:
    made: list[str] = []

    def make_decoder(last_event_id: str) -> SSEDecoder:
        made.append(last_event_id)
        return SSEDecoder(last_event_id=last_event_id, incomplete="dispatch")

    requests = Requests(b"id: 1\ndata: cut", b"data: off")
    assert read(make(kind, requests, make_decoder=make_decoder)) == ["cut", "off"]
    assert made == requests.ids == ["", "1", "1"]


def test_every_option_goes_where_it_belongs(kind: Any) -> None:
    connected: list[Any] = []
    lost: list[tuple[Any, Any]] = []
    slept: list[float] = []

    def sleep(seconds: float) -> Any:
        slept.append(seconds)
        return None if kind is EventSource else asyncio.sleep(0)

    requests = Requests(BrokenError(), b"id: 8\ndata: a\n\n: end", BrokenError())
    source = make(
        kind,
        requests,
        "POST",
        policy=ReconnectionPolicy(initial=5, jitter=0, max_attempts=1, reconnect_on_end=False),
        last_event_id="7",
        check="status",
        on_connect=connected.append,
        on_disconnect=lambda error, delay: lost.append((type(error), delay)),
        sleep=sleep,
        timeout=3,
    )
    assert type(source) is kind
    assert source.name == "http://h/p"
    assert read(source) == ["a"]
    assert requests.seen == [("client", "POST", URL, "7", "status", {"timeout": 3})] * 2
    assert [stream.decoder for stream in connected] == requests.decoders[1:]
    assert lost == [(BrokenError, 5.0), (type(None), None)]
    assert slept == [5.0]


def test_is_transient_of_the_caller_comes_before_the_adapters(kind: Any) -> None:
    fault = BrokenError()
    source = make(kind, Requests(fault), is_transient=lambda error: False)
    with pytest.raises(BrokenError):
        read(source)


@pytest.mark.parametrize(
    ("method", "repeat", "connections"),
    [
        ("GET", None, 3),
        ("head", None, 3),
        ("POST", None, 1),
        ("QUERY", None, 1),
        ("POST", True, 3),
        ("GET", False, 1),
    ],
)
def test_what_may_be_sent_again(kind: Any, method: str, repeat: Any, connections: int) -> None:
    requests = Requests(b"data: a\n\n", b"data: b\n\n")
    read(make(kind, requests, method, repeat=repeat))
    assert len(requests.seen) == connections


@pytest.mark.parametrize("repeat", [1, "yes", 0.0])
def test_a_repeat_that_says_nothing(repeat: Any) -> None:
    with pytest.raises(TypeError, match="repeat must be True, False or None"):
        make(EventSource, Requests(), repeat=repeat)


# Headers.


@pytest.mark.parametrize("headers", [{"X": "a"}, [("X", "a")], iter([("X", "a")])])
def test_headers_go_with_each_connection(headers: Any) -> None:
    requests = Requests(b"data: a\n\n")
    read(make(EventSource, requests, headers=headers))
    assert requests.headers == [[("X", "a")]] * 2


def test_no_headers_are_left_out() -> None:
    requests = Requests(b"data: a\n\n")
    read(make(EventSource, requests))
    read(make(EventSource, requests, headers=lambda: None))
    assert requests.headers == ["none"] * 4


def test_a_last_event_id_among_the_headers_is_where_it_starts(kind: Any) -> None:
    headers = {"last-event-ID": "7", "X": "a"}
    requests = Requests(b": nothing\n\n", b"id\ndata: a\n\n")
    assert read(make(kind, requests, headers=headers)) == ["a"]
    assert requests.ids == ["7", "7", ""]
    assert requests.headers == [[("X", "a")]] * 3
    requests = Requests()
    read(make(kind, requests, headers=headers, last_event_id="8"))
    assert requests.ids == ["8"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_gives_the_headers_of_each_connection(is_async: bool) -> None:
    def headers() -> Any:
        tokens.append(f"token {len(tokens)}")
        return {"Authorization": tokens[-1], "Last-Event-ID": "of the past"}

    async def aheaders() -> Any:
        await asyncio.sleep(0)
        return headers()

    tokens: list[str] = []
    requests = Requests(BrokenError(), b"id: 1\ndata: a\n\n")
    kind: Any = AsyncEventSource if is_async else EventSource
    source = make(kind, requests, headers=aheaders if is_async else headers)
    assert requests.headers == ["none"], "prepared to find mistakes, not to be sent"
    assert tokens == []
    assert read(source) == ["a"]
    assert requests.headers[1:] == [[("Authorization", f"token {i}")] for i in range(3)]
    assert requests.ids[1:] == ["", "", "1"]


def test_a_plain_function_serves_an_async_source_too() -> None:
    requests = Requests(b"data: a\n\n")
    assert read(make(AsyncEventSource, requests, headers=lambda: {"X": "a"})) == ["a"]
    assert requests.headers[1:] == [[("X", "a")]] * 2


def test_an_async_function_cannot_serve_a_sync_source() -> None:
    async def headers() -> dict[str, str]:
        raise AssertionError("nobody awaits it")

    with pytest.raises(TypeError, match="headers of subscribe cannot be an async function"):
        read(make(EventSource, Requests(), headers=headers))


def test_what_the_function_raises_is_an_exception_of_the_connection(kind: Any) -> None:
    def headers() -> Any:
        if failures:
            raise failures.pop()
        return {}

    failures: list[Exception] = [OSError("no token server")]
    assert read(make(kind, Requests(b"data: a\n\n"), headers=headers)) == ["a"]
    failures = [BrokenError()]  # as the adapter says, also before its first connection
    assert read(make(kind, Requests(b"data: a\n\n"), headers=headers)) == ["a"]
    failures = [LookupError("no token")]
    with pytest.raises(LookupError):
        read(make(kind, Requests(b"data: a\n\n"), headers=headers))


# Mistakes, at the call.


def test_a_decoder_for_all_connections_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="pass make_decoder in place of decoder"):
        make(kind, Requests(), decoder=SSEDecoder())


def test_an_option_of_the_decoder_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"partial\(SSEDecoder, .*, max_event_size=...\)$"):
        make(kind, Requests(), max_event_size=9)


def test_decoders_that_forget_where_the_stream_is(kind: Any) -> None:
    def forgets(last_event_id: str) -> SSEDecoder:
        return SSEDecoder()

    requests = Requests(b"id: 1\ndata: a\n\n", b"data: b\n\n")
    with pytest.raises(ValueError, match="make_decoder must hand its last_event_id on"):
        read(make(kind, requests, make_decoder=forgets))
    assert requests.ids == [""]
    with pytest.raises(ValueError, match="make_decoder must hand"):
        make(kind, Requests(), make_decoder=forgets, last_event_id="1")


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_of_the_policy_is_refused(kind: Any, name: str) -> None:
    with pytest.raises(TypeError, match=rf"pass policy=ReconnectionPolicy\({name}=3\)"):
        options: dict[str, Any] = {name: 3}
        make(kind, Requests(), **options)


def test_a_make_decoder_that_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="make_decoder must be callable, not SSEDecoder"):
        make(EventSource, Requests(), make_decoder=SSEDecoder())


def test_what_connect_refuses_is_raised_at_the_call(kind: Any) -> None:
    for headers in (None, lambda: None):
        with pytest.raises(TypeError, match="tiemout"):
            make_source(
                kind,
                lambda client, method, url, *, decoder, check: None,
                "client",
                "GET",
                URL,
                make_decoder=None,
                policy=None,
                last_event_id="",
                check=True,
                is_transient=None,
                repeat=None,
                on_connect=None,
                on_disconnect=None,
                sleep=None,
                headers=headers,
                request_options={"tiemout": 5},
            )


def _generate() -> Iterator[bytes]:
    yield b"x"


async def _agenerate() -> AsyncIterator[bytes]:
    yield b"x"


class Form:
    def add_field(self) -> None: ...


class Reader:
    def read(self) -> None: ...


@pytest.mark.parametrize("name", ["content", "data", "json", "body", "files", "fields"])
def test_a_body_that_can_be_sent_only_once(name: str) -> None:
    with open(__file__, "rb") as file:
        bodies: list[Any] = [_generate(), iter([b"x"]), _agenerate(), file, Form(), Reader()]
        for body in bodies:
            with pytest.raises(TypeError, match=rf"{name} holds .* sent only once"):
                make(EventSource, Requests(), **{name: body})
        if name not in ("json", "content"):
            holders: list[Any] = [{"a": file}, [("a", ("name", file, "text/plain"))]]
            for holder in holders:
                with pytest.raises(TypeError, match=f"{name} holds .* sent only once"):
                    make(EventSource, Requests(), **{name: holder})


@pytest.mark.parametrize("body", [None, b"x", "x", {"a": ["b"]}, [("a", "b")], ("a", b"c"), 7])
def test_a_body_that_can_be_sent_again(body: Any) -> None:
    assert make(EventSource, Requests(), data=body, json=body)


def test_lines_show_the_url_without_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sse_stream"):
        read(make(EventSource, Requests(BrokenError(f"no connection to {URL}"))))
    assert caplog.messages[0] == "http://h/p: BrokenError, next connection in 0.000 s"
    assert "secret" not in caplog.text
