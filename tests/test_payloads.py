# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
import json
import pickle
import re
import threading
import time
import types
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from sse_stream import (
    AsyncEventSource,
    AsyncEventStream,
    EventSource,
    EventStream,
    IncompleteEventError,
    ServerSentEvent,
    SSEDecoder,
    SSEError,
)
from sse_stream.adapters.urllib import connect
from sse_stream.payloads import (
    PayloadError,
    ServiceError,
    aiter_payloads,
    before_mark,
    is_service_error,
    iter_payloads,
)
from sse_stream.streams import DoneMark, StreamClosedError
from tests import llm, vectors

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterator,
        Sequence,
    )

GUARD = 6  # seconds after which something that should have happened at once has not
Event = ServerSentEvent
ONE, TWO, DONE = Event(data="1"), Event(data="2"), Event(data="[DONE]")


class Source:
    """Events or chunks, and the exceptions among them; it counts how often it was closed."""

    def __init__(self, *items: Any) -> None:
        self.items = iter(items)
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self.items)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1


def in_trio() -> bool:
    lowlevel: Any = trio.lowlevel
    return bool(lowlevel.in_trio_run())


class AsyncSource:
    def __init__(self, *items: Any) -> None:
        self.source = Source(*items)

    @property
    def closed(self) -> int:
        return self.source.closed

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await self.pause()
        try:
            return next(self.source)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self.pause()
        self.source.close()

    async def pause(self) -> None:
        await (trio.sleep(0) if in_trio() else asyncio.sleep(0))


Outcome = tuple[list[Any], "Exception | None"]


def read(payloads: Any) -> Outcome:
    """Return the payloads, and the error after them; a read after it must not look like an end."""
    got: list[Any] = []
    error = None
    try:
        got.extend(payloads)
    except Exception as raised:
        error = raised
    if error is None:
        assert list(payloads) == []
    else:
        with pytest.raises(StreamClosedError) as info:
            next(payloads)
        assert info.value.__cause__ is error
    return got, error


async def aread(payloads: Any) -> Outcome:
    got: list[Any] = []
    error = None
    try:
        async for payload in payloads:
            got += [payload]
    except Exception as raised:
        error = raised
    if error is None:
        assert [payload async for payload in payloads] == []
    else:
        with pytest.raises(StreamClosedError) as info:
            await anext(payloads)
        assert info.value.__cause__ is error
    return got, error


def read_both(
    *items: Any,
    chunks: bool = False,
    decoder: Callable[[], SSEDecoder] = SSEDecoder,
    **options: Any,
) -> Outcome:
    """Read events, or chunks by way of the streams, on both sides.

    They must agree, and close what they read from.
    """
    source, asource = Source(*items), AsyncSource(*items)
    events: Any = EventStream(source, decoder=decoder()) if chunks else source
    aevents: Any = AsyncEventStream(asource, decoder=decoder()) if chunks else asource
    got, error = read(iter_payloads(events, **options))
    agot, aerror = asyncio.run(aread(aiter_payloads(aevents, **options)))
    assert agot == got
    assert (type(aerror), str(aerror)) == (type(error), str(error))
    assert source.closed == asource.closed == 1
    return got, error


# Properties. A stream is made of items, and a few lines say what must come of them.

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
good = documents.filter(lambda payload: not is_service_error(Event(), payload))
lines = st.text().map(
    lambda text: "".join(
        c for c in text if c not in "\r\n\0\ufeff" and not "\ud800" <= c <= "\udfff"
    )
)


def refused(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return bool(text) and text.strip() != "[DONE]"
    return False


items = st.one_of(
    st.tuples(st.just("payload"), good.map(json.dumps)),
    st.tuples(
        st.just("nothing"),
        st.sampled_from([": comment\n\n", "data\n\n", "id: 7\n\n", "event: x\ndata:\n\n", "\n"]),
    ),
    st.tuples(st.just("done"), st.sampled_from(["[DONE]", " [DONE] "])),
    st.tuples(st.just("junk"), lines.filter(refused)),
    st.tuples(
        st.just("error"),
        documents.map(lambda payload: json.dumps({"error": {"message": "no", "x": payload}})),
    ),
)


def wire(stream: Sequence[tuple[str, str]]) -> bytes:
    return "".join(
        text if kind == "nothing" else f"data: {text}\n\n" for kind, text in stream
    ).encode()


def expected(
    stream: Sequence[tuple[str, str]], *, require_done: bool
) -> tuple[list[Any], type[Exception] | None]:
    payloads: list[Any] = []
    for kind, text in stream:
        if kind == "payload":
            payloads.append(json.loads(text))
        elif kind == "done":
            return payloads, None
        elif kind != "nothing":
            return payloads, PayloadError if kind == "junk" else ServiceError
    return payloads, IncompleteEventError if require_done else None


@given(st.lists(items), st.booleans(), st.data())
def test_any_stream_at_any_cuts(
    stream: list[tuple[str, str]], require_done: bool, data: st.DataObject
) -> None:
    whole = wire(stream)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=6))
    got, error = read_both(*vectors.cut(whole, cuts), chunks=True, require_done=require_done)
    payloads, kind = expected(stream, require_done=require_done)
    assert (got, type(error) if error else None) == (payloads, kind)
    if error is not None:
        check_error(error)


def check_error(error: Any) -> None:
    """Whatever happened: a short printable line, picklable with its attributes."""
    assert isinstance(error, SSEError)
    assert str(error).isprintable()
    assert len(str(error)) < 700
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


@given(st.text(), st.text(), documents)
def test_errors_whatever_they_carry(data: str, reason: str, payload: Any) -> None:
    event = Event("x", data, "7", 1)
    refusal = PayloadError(event, 3, reason)
    check_error(refusal)
    assert (refusal.event, refusal.number, refusal.reason) == (event, 3, reason)
    error = ServiceError(event, payload)
    check_error(error)
    assert (error.event, error.payload) == (event, payload)
    assert isinstance(error.message, str)


# What ends the payloads.


def test_the_mark_ends_them_and_nothing_is_read_after_it() -> None:
    source = Source(ONE, DONE, AssertionError("read beyond the mark"))
    assert list(iter_payloads(source)) == [1]
    assert source.closed == 1
    assert read_both(ONE, DONE, TWO) == ([1], None)
    assert read_both(ONE, Event(data=" [DONE]\n"), TWO) == ([1], None)


def test_a_mark_of_ones_own() -> None:
    assert read_both(ONE, Event(data="END"), TWO, done="END", require_done=True) == ([1], None)
    assert read_both(ONE, Event(data="END"), TWO, done=" END ") == ([1], None)
    assert read_both(
        ONE, TWO, Event(data="3"), done=lambda event, payload: payload == 2, require_done=True
    ) == ([1, 2], None)
    got, error = read_both(ONE, DONE, done="END")
    assert got == [1]
    assert isinstance(error, PayloadError)


def test_the_payload_of_a_mark_may_be_empty_wrong_or_an_error() -> None:
    def at_end(event: ServerSentEvent, payload: Any) -> bool:
        return event.event == "end"

    assert read_both(ONE, Event("end", ""), TWO, done=at_end, require_done=True) == ([1], None)
    assert read_both(Event("end", "bye"), done=at_end) == ([], None)  # a mark need not be JSON
    assert isinstance(read_both(Event("end", '{"error": 1}'), done=at_end)[1], ServiceError)


def test_at_the_mark_the_stream_is_closed_before_its_payload_is_handed_out() -> None:
    source = Source(ONE, TWO)
    payloads = iter_payloads(source, done=lambda event, payload: event == ONE and payload == 1)
    assert next(payloads) == 1
    assert source.closed == 1


def test_no_mark() -> None:
    assert isinstance(read_both(ONE, DONE, done=None)[1], PayloadError)
    assert read_both(ONE, TWO, done=None) == ([1, 2], None)


def test_require_done() -> None:
    got, error = read_both(ONE, TWO, require_done=True)
    assert got == [1, 2]
    assert isinstance(error, IncompleteEventError)
    assert error.event is None
    assert str(error) == "the stream ended before its mark '[DONE]'"
    error = read_both(ONE, TWO, require_done=True, done=lambda event, payload: False)[1]
    assert str(error) == "the stream ended before its mark"
    check_error(error)
    assert read_both(ONE, TWO) == ([1, 2], None)


@pytest.mark.parametrize("cut", [b'data: {"a', b'data: {"a"\n', b"data: [DO"])
def test_an_event_that_the_end_cuts_off_is_no_bad_payload_but_a_truncation(cut: bytes) -> None:
    got, error = read_both(b"data: 1\n\n", cut, chunks=True, require_done=True)
    assert got == [1]
    assert isinstance(error, IncompleteEventError)
    assert error.event is not None
    assert error.event.data.encode() in cut
    assert isinstance(error.__cause__, ValueError)
    check_error(error)
    got, error = read_both(b"data: 1\n\n", cut, chunks=True)  # nobody asked
    assert isinstance(error, PayloadError)
    assert "the stream ended inside this event" in str(error)


def test_a_bad_payload_before_an_unfinished_event_is_one() -> None:
    for decoder in (SSEDecoder, lambda: SSEDecoder(incomplete="raise")):
        got, error = read_both(
            b"data: 1\n\ndata: no\n\ndata: {", chunks=True, decoder=decoder, require_done=True
        )
        assert got == [1]
        assert isinstance(error, PayloadError)
        assert error.event.data == "no"


def test_a_bad_payload_before_a_fault_of_the_decoder_is_one() -> None:
    def decoder() -> SSEDecoder:
        return SSEDecoder(on_comment=lambda comment: 1 // 0)

    got, error = read_both(
        b"data: 1\n\ndata: no\n\ndata: {\n: comment\n",
        chunks=True,
        decoder=decoder,
        require_done=True,
    )
    assert got == [1]
    assert isinstance(error, PayloadError)


def test_an_unfinished_mark_counts_unless_the_decoder_drops_it() -> None:
    stream = (b"data: 1\n\n", b"data: [DONE]")
    assert read_both(*stream, chunks=True, require_done=True) == ([1], None)
    discard = read_both(
        *stream, chunks=True, require_done=True, decoder=lambda: SSEDecoder(incomplete="discard")
    )
    assert isinstance(discard[1], IncompleteEventError)


def test_what_the_events_raise_passes_through() -> None:
    fault = ConnectionResetError("reset")
    got, error = read_both(ONE, fault, TWO, require_done=True)
    assert got == [1]
    assert error is fault
    got, error = read_both(b"data: 1\n\ndata: 2", fault, chunks=True, require_done=True)
    assert (got, error) == ([1], fault)


def test_the_first_error_matters_more_than_one_of_closing() -> None:
    class Stubborn(Source):
        def close(self) -> None:
            raise OSError("cannot close")

    class AsyncStubborn(AsyncSource):
        async def aclose(self) -> None:
            raise OSError("cannot close")

    assert isinstance(read(iter_payloads(Stubborn(Event(data="no"))))[1], PayloadError)
    assert isinstance(
        asyncio.run(aread(aiter_payloads(AsyncStubborn(Event(data="no")))))[1], PayloadError
    )
    payloads = iter_payloads(Stubborn(ONE), done=lambda event, payload: True)
    assert next(payloads) == 1  # not lost, and before the error
    with pytest.raises(OSError, match="cannot close"):
        next(payloads)
    with pytest.raises(StreamClosedError):
        next(payloads)
    payloads.close()
    assert list(payloads) == []


# Payloads and errors.


def test_where_and_what_a_bad_payload_is() -> None:
    bad = Event("x", '{"a": nope,\n\x1b[31m' + "b" * 10_000, "9")
    _, error = read_both(Event(data=""), ONE, bad)
    assert isinstance(error, PayloadError)
    assert (error.event, error.number) == (bad, 3)
    assert isinstance(error.__cause__, json.JSONDecodeError)
    assert error.reason == str(error.__cause__)
    assert str(error).startswith(
        'event 3 is not JSON (Expecting value: line 1 column 7 (char 6)): {"a": nope, '
    )
    check_error(error)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("b" * 200, "b" * 200),
        ("b" * 201, "b" * 200 + " ..."),
        ("b" * 10_000, "b" * 200 + " ..."),
        ("b" + " " * 10_000 + "b", "b ..."),
        (" b\n\tb\x00\ud800", "b b\ufffd\ufffd"),
    ],
)
def test_how_much_of_the_data_is_shown(data: str, shown: str) -> None:
    assert str(PayloadError(Event(data=data), 1, "x")) == f"event 1 is not JSON (x): {shown}"
    assert str(ServiceError(Event(data=data), {})) == f"the service sent an error: {shown}"


def test_loads() -> None:
    class Refused(Exception):  # that of msgspec is no ValueError
        pass

    def loads(data: str) -> Any:
        if data == "no":
            raise Refused
        return [data]

    assert read_both(ONE, TWO, loads=loads) == ([["1"], ["2"]], None)
    _, error = read_both(Event(data="no"), loads=loads)
    assert isinstance(error, PayloadError)
    assert error.reason == "Refused"
    assert isinstance(error.__cause__, Refused)


def test_loads_that_checks_a_schema() -> None:
    def loads(data: str) -> Any:
        payload = json.loads(data)
        if "text" not in payload:
            raise ValueError("a field is missing")
        return payload["text"]

    text, fault = Event(data='{"text": "a"}'), '{"error": {"message": "overloaded"}}'
    for kind in ("message", "error"):
        got, error = read_both(text, Event(kind, fault), loads=loads)
        assert (got, type(error)) == (["a"], ServiceError)
        assert isinstance(error, ServiceError)
        assert (error.message, error.payload) == ("overloaded", json.loads(fault))
    for data, said in (
        (fault, "is JSON, but loads refused it"),
        ("{", "is not JSON"),
        ("7", "is not JSON"),
    ):
        got, error = read_both(text, Event(data=data), loads=loads, is_error=None)
        assert (got, type(error)) == (["a"], PayloadError)
        assert f"event 2 {said} (" in str(error)


@pytest.mark.parametrize("kind", ["message", "error"])
def test_an_is_error_that_knows_what_loads_makes_alone(kind: str) -> None:
    class Token:
        def __init__(self, data: str) -> None:
            self.text: str = json.loads(data)["text"]

    def is_error(_: ServerSentEvent | None, token: Any) -> bool:
        return bool(token.text == "failed")

    got, error = read_both(Event(kind, '{"other": 1}'), loads=Token, is_error=is_error)
    assert (got, type(error)) == ([], PayloadError)
    assert "is JSON, but loads refused it" in str(error)
    got, error = read_both(Event(kind, '{"text": "failed"}'), loads=Token, is_error=is_error)
    assert (got, type(error)) == ([], ServiceError)


def test_data_too_deep_to_parse_is_a_bad_payload() -> None:
    assert isinstance(read_both(Event(data="[" * 200_000))[1], PayloadError)


def test_null_is_a_payload() -> None:
    assert read_both(Event(data="null"), ONE) == ([None, 1], None)


MESSAGES = {
    # OpenAI, Anthropic
    '{"error": {"message": "Overloaded", "type": "x"}}': "Overloaded",
    # TGI, Ollama
    '{"error": "Overloaded"}': "Overloaded",
    '{"error": true, "message": "Overloaded"}': "Overloaded",
    # OpenRouter
    '{"error": {"code": 502, "message": "Overloaded"}, "choices": [{"finish_reason": "error"}]}': (
        "Overloaded"
    ),
    # the Responses API
    '{"type": "error", "code": "E", "message": "Overloaded", "param": null}': "Overloaded",
    '{"type": "response.failed", "response": {"error": {"code": "E", "message": "Overloaded"}}}': (
        "Overloaded"
    ),
    # no message: the data
    '{"type": "response.failed", "response": null}': "",
    '{"error": {"message": {"no": "text"}, "code": 1}}': "",
    '{"error": ["a"]}': "",
}


@pytest.mark.parametrize("data", MESSAGES)
def test_the_message_of_an_error(data: str) -> None:
    got, error = read_both(ONE, Event("message", data), TWO)
    assert got == [1]
    assert isinstance(error, ServiceError)
    assert error.payload == json.loads(data)
    assert error.event is not None
    assert error.event.data == data
    assert error.message == (MESSAGES[data] or data)
    assert str(error).startswith(f"the service sent an error: {error.message}")
    assert str(error).count(data) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [("Overloaded", "Overloaded"), ('"Overloaded"', "Overloaded"), ("", ""), ("[1]", "[1]")],
)
def test_an_event_of_the_type_error_is_one_whatever_its_data(data: str, message: str) -> None:
    _, error = read_both(ONE, Event("error", data))
    assert isinstance(error, ServiceError)
    assert error.message == message
    assert error.__cause__ is None
    assert error.__suppress_context__ or not error.__context__
    check_error(error)


@pytest.mark.parametrize(
    "data",
    ['{"error": null}', '{"error": ""}', '{"error": {}}', '{"type": ["error"]}', '"error"', "[]"],
)
def test_what_is_no_error(data: str) -> None:
    assert read_both(Event(data=data)) == ([json.loads(data)], None)


def test_errors_may_be_payloads() -> None:
    reply = '{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}}'
    assert read_both(Event(data=reply), Event("error", "2"), is_error=None) == (
        [json.loads(reply), 2],
        None,
    )
    assert isinstance(read_both(Event("error", "no"), is_error=None)[1], PayloadError)
    assert read_both(Event("error", ""), is_error=None) == ([], None)


def test_what_an_error_is_may_be_ones_own_business() -> None:
    def is_error(event: ServerSentEvent, payload: Any) -> object:
        return payload == 2 or payload == "bad"

    assert isinstance(read_both(ONE, TWO, is_error=is_error)[1], ServiceError)
    assert isinstance(read_both(Event("error", "bad"), is_error=is_error)[1], ServiceError)
    assert isinstance(read_both(Event("error", "other"), is_error=is_error)[1], PayloadError)
    assert read_both(Event("error", ""), Event("error", "1"), is_error=is_error) == ([1], None)


#: Streams whose last event is a mark, an error, or cut off, and what becomes of it.
SERVICES: dict[str, type[Exception] | None] = {
    "openai-chat-tool-calls": None,
    "openai-chat-error-in-stream": ServiceError,
    "openai-chat-cut-in-json": IncompleteEventError,
    "openai-chat-cut-in-utf8": IncompleteEventError,
    "openai-chat-no-final-newline": None,
    "openai-chat-one-final-newline": None,
    "openai-responses-function-call": ServiceError,
    "anthropic-overloaded": ServiceError,
    "ollama-openai-compatible": None,
    "openrouter-processing-comments": None,
    "openrouter-mid-stream-error": ServiceError,
    "aws-bedrock-gateway-bom": None,
}


@pytest.mark.parametrize("name", SERVICES)
def test_recorded_services(name: str) -> None:
    (case,) = [case for case in vectors.load("services.json") if case.name == name]
    payloads = [json.loads(data) for _, data, _ in case.flush.events[:-1]]
    assert payloads
    for chunks in vectors.cuttings(case.stream, seeded=2):
        got, error = read_both(*chunks, chunks=True, require_done=True)
        assert (got, type(error) if error else None) == (payloads, SERVICES[name])


def outcome_of(shape: llm.Shape, *chunks: bytes) -> Outcome:
    return read(iter_payloads(EventStream(chunks), require_done=True, **shape.options))


@pytest.mark.parametrize("name", llm.SHAPES)
def test_the_shapes_of_services(name: str) -> None:
    """Whole, byte by byte, and cut anywhere: each cut that costs a payload is noticed."""
    shape = llm.SHAPES[name]
    stream = shape.stream
    whole, error = read_both(*shape.parts, chunks=True, require_done=True, **shape.options)
    assert error is None
    assert len(whole) == shape.payloads
    bytewise = vectors.cut(stream, list(range(len(stream))))
    assert read_both(*bytewise, chunks=True, require_done=True, **shape.options) == (whole, None)
    for size in range(len(stream)):
        got, error = outcome_of(shape, stream[:size])
        assert got == whole[: len(got)]
        if error is None:
            assert got == whole
            rest = stream[size:].strip()
            assert b'data: "[DONE]"'.endswith(rest) or b"data: [DONE]".endswith(rest)
        else:
            check_error(error)
            assert isinstance(error, IncompleteEventError)


def test_a_priming_event_is_no_payload() -> None:
    (case,) = [
        case
        for case in vectors.load("services.json")
        if case.name == "mcp-priming-event-with-empty-data"
    ]
    assert read_both(case.stream, chunks=True) == (
        [{"jsonrpc": "2.0", "id": 2, "result": {}}],
        None,
    )


# Marks of several kinds.


def at_stop(event: ServerSentEvent, payload: Any) -> bool:
    return event.event == "stop" or (isinstance(payload, dict) and payload.get("type") == "stop")


STOP = Event(data='{"type": "stop"}')


@pytest.mark.parametrize(
    ("done", "last", "payloads"),
    [
        ("[DONE]", Event(data='"[DONE]"'), []),  # in JSON quotes, as Coze sends it
        (("[DONE]", "DONE"), Event(data="DONE"), []),
        ({"[DONE]", at_stop}, DONE, []),
        (["[DONE]", at_stop], STOP, [{"type": "stop"}]),
        (frozenset([at_stop]), Event("stop", ""), []),
        (at_stop, Event("stop", "bye"), []),
        (("END", at_stop), Event(data="END"), []),
    ],
)
def test_each_mark_of_several(done: Any, last: ServerSentEvent, payloads: list[Any]) -> None:
    assert read_both(ONE, last, TWO, done=done, require_done=True) == ([1, *payloads], None)
    assert isinstance(read_both(ONE, TWO, done=done, require_done=True)[1], IncompleteEventError)


def test_only_a_mark_in_brackets_comes_in_quotes() -> None:
    assert read_both(Event(data='"END"'), Event(data="END"), done="END") == (["END"], None)


def test_what_a_predicate_is_asked() -> None:
    asked: list[Any] = []

    def done(event: ServerSentEvent, payload: Any) -> bool:
        asked.append((event.data, payload))
        return event.data == "bye"

    events = [Event(data=""), Event("ping", "now"), ONE, Event(data="bye")]
    assert read(iter_payloads(events, done=done)) == ([1], None)
    assert asked == [("", None), ("now", None), ("1", 1), ("bye", None)]


def test_an_error_at_the_mark_is_an_error() -> None:
    for event in (Event("error", "[DONE]"), Event(data='{"type": "error", "last": true}')):
        _, error = read_both(event, done=("[DONE]", lambda event, payload: True))
        assert isinstance(error, ServiceError)
        assert error.event == event
    assert read_both(Event("error", "[DONE]"), is_error=None) == ([], None)


async def coroutine_function(*_: object) -> bool:
    return False


@pytest.mark.parametrize("name", ["done", "is_error", "loads"])
def test_a_coroutine_function_would_always_say_yes(name: str) -> None:
    options: Any = {name: coroutine_function}
    for events, function in ((Source(), iter_payloads), (AsyncSource(), aiter_payloads)):
        make: Any = function
        with pytest.raises(TypeError, match=f"{name} must be a plain function"):
            make(events, **options)


@pytest.mark.parametrize("name", ["ping", "heartbeat", "keepalive", "keep-alive"])
def test_keep_alives(name: str) -> None:
    events = [Event(name, data) for data in ("2026-11-28T20:00:00Z", "1", "null", "", "{cut")]
    assert read_both(ONE, *events, TWO) == ([1, 2], None)
    whole = Event(name, ' {"type": "ping"}')
    assert read_both(whole, Event(name, "[1]")) == ([{"type": "ping"}, [1]], None)
    model = object()  # of a `loads` that makes no dictionaries
    assert read_both(whole, loads=lambda data: model) == ([model], None)
    assert isinstance(read_both(Event(name, '{"error": "no"}'))[1], ServiceError)


ERRORS = {
    '{"object": "error", "message": "Overloaded", "code": 40303}': "Overloaded",  # vLLM
    '{"errors": [{"message": "Overloaded"}]}': "Overloaded",
    '{"errors": ["Overloaded"]}': "Overloaded",
    '{"detail": "Overloaded"}': "Overloaded",  # FastAPI
    '{"detail": [{"loc": ["body"], "msg": "no field"}]}': "",
    '[{"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}]': "Overloaded",
}


@pytest.mark.parametrize("data", ERRORS)
def test_shapes_of_errors(data: str) -> None:
    _, error = read_both(ONE, Event(data=data))
    assert isinstance(error, ServiceError)
    assert error.message == (ERRORS[data] or data)


@pytest.mark.parametrize(
    "data",
    [
        '{"errors": []}',
        '{"errors": null}',
        '{"detail": ""}',
        '{"detail": "x", "id": 1}',
        '{"object": "list"}',
        '[{"error": "a"}, {"error": "b"}]',
        '[["error"]]',
        "[]",
    ],
)
def test_shapes_that_are_no_errors(data: str) -> None:
    assert read_both(Event(data=data)) == ([json.loads(data)], None)


def test_the_event_of_a_payload() -> None:
    events = [Event("a", "1", "7"), Event(data=""), Event("ping", "x"), Event("b", "2", "8"), DONE]
    payloads = iter_payloads(events)
    assert payloads.event is None
    for number in (0, 3):
        next(payloads)
        assert payloads.event == events[number]
    assert list(payloads) == []
    assert payloads.event == events[3]

    async def main() -> None:
        payloads = aiter_payloads(AsyncSource(*events))
        assert [payloads.event async for _ in payloads] == [events[0], events[3]]

    asyncio.run(main())


# What came in place of events.

DOCUMENT = {"error": {"code": 400, "message": "API key not valid", "status": "INVALID"}}
DOCUMENTS = {
    "one line": json.dumps(DOCUMENT),
    "pretty": json.dumps(DOCUMENT, indent=2),
    "CRLF": json.dumps(DOCUMENT, indent=2).replace("\n", "\r\n"),
    "in a list": json.dumps([DOCUMENT], indent=2),
    "more after it": json.dumps(DOCUMENT) + "\n</body>",
    "detail": '{"detail": "API key not valid"}',
    "a field": 'error: {"code": 500, "message": "API key not valid"}\n\ndata: [DONE]\n',
    "a field, whole": 'error: {"error": {"message": "API key not valid"}}\n\ndata: [DONE]\n',
    "a field of text": "error: API key not valid\n\ndata: [DONE]\n",
    "a field after others": "x: y\nerror: API key not valid\n",
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@pytest.mark.parametrize("incomplete", ["dispatch", "discard"])
def test_an_error_in_place_of_events(name: str, end: str, incomplete: Any) -> None:
    body = (DOCUMENTS[name] + end).encode()
    for chunks in ([body], vectors.cut(body, list(range(len(body))))):
        for require_done in (False, True):
            got, error = read_both(
                *chunks,
                chunks=True,
                require_done=require_done,
                decoder=lambda: SSEDecoder(incomplete=incomplete),
            )
            assert got == []
            assert isinstance(error, ServiceError)
            assert (error.event, error.message) == (None, "API key not valid")
            check_error(error)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("<html>\n<h1>502 Bad Gateway</h1>\n</html>", "HTML: <html> <h1>502 Bad"),
        ('[{\n  "candidates": []\n}\n,\n{}]\n', r"a JSON array .* alt=sse"),
        ('{"response": "Hel"}\n{"response": "lo"}\n', "a JSON document .*iter_documents"),
        ("upstream connect error", "lines that are no event: upstream connect error"),
        ("[" * 9000, "a JSON array"),
    ],
)
def test_other_things_in_place_of_events(body: str, what: str) -> None:
    for require_done in (False, True):
        got, error = read_both(body.encode(), chunks=True, require_done=require_done)
        assert got == []
        assert isinstance(error, PayloadError)
        assert error.number == 0
        assert body.startswith(error.event.data)
        assert re.search(f"^the stream gave no payload, but .*{what}", str(error))
        check_error(error)


def test_nothing_at_all_and_what_is_no_line() -> None:
    for body in (b"", b": comment\n\n", b"\n\n", b"id: 7\n\nretry: 1\n\n", b"data\n\n"):
        assert read_both(body, chunks=True) == ([], None)
        assert isinstance(read_both(body, chunks=True, require_done=True)[1], IncompleteEventError)


def test_errors_that_are_answers_are_quoted_only() -> None:
    body = b'{"error": "no"}\nerror: no\n'
    _, error = read_both(body, chunks=True, is_error=None)
    assert isinstance(error, PayloadError)
    assert '{"error": "no"}' in str(error)


def test_ignored_lines_beside_payloads() -> None:
    body = b'data: 1\n\nerror: {"message": "boom"}\n\n'
    got, error = read_both(body, chunks=True, require_done=True)
    assert got == [1]
    assert isinstance(error, IncompleteEventError)
    also = "; it also sent lines that are no event: error: {"
    assert str(error).startswith("the stream ended before its mark '[DONE]'" + also)
    check_error(error)
    for end in (b"", b"data: [DONE]\n\n"):  # an answer that broke off
        got, error = read_both(body + end, chunks=True)
        assert got == [1]
        assert isinstance(error, ServiceError)
        assert error.message == "boom"
    assert read_both(body, chunks=True, is_error=None) == ([1], None)
    for line in (b"error: null", b"error:", b"error: {}", b"x: y", b"<html>"):
        assert read_both(b"data: 1\n" + line + b"\n\n", chunks=True) == ([1], None)


def test_an_error_of_the_stream_comes_before_what_was_ignored() -> None:
    fault = ConnectionResetError("reset")
    assert read_both(b'{"error": "no"}\n', fault, chunks=True) == ([], fault)


def test_a_stream_that_the_caller_closed_says_nothing_more() -> None:
    stream = EventStream([b'{"error": "no"}\n', b"data: 1\n\n", b"data: 2\n\n"])
    payloads = iter_payloads(stream, require_done=True)
    assert next(payloads) == 1
    stream.close()
    assert list(payloads) == []


def test_whatever_says_what_it_ignored_is_asked() -> None:
    class Events(Source):
        ignored_text = "error: overloaded"

    _, error = read(iter_payloads(Events()))
    assert isinstance(error, ServiceError)
    _, error = read(iter_payloads(Events(ONE), require_done=True))
    assert "no event: error: overloaded" in str(error)


# Knowing what was cut, through a generator.


def test_a_filter_between_stream_and_payloads_keeps_that_an_event_was_cut() -> None:
    def only_messages(events: Any) -> Iterator[ServerSentEvent]:
        for event in events:
            if event.event == "message":
                yield event._replace(id="")

    async def aonly_messages(events: Any) -> AsyncIterator[ServerSentEvent]:
        async for event in events:
            if event.event == "message":
                yield event._replace(id="")

    async def aread_all(**options: Any) -> Outcome:
        stream = AsyncEventStream(AsyncSource(*chunks))
        return await aread(aiter_payloads(aonly_messages(stream), **options))

    chunks = [b"data: 1\n\nevent: x\ndata: no\n\n", b'id: 3\ndata: {"a']
    for require_done in (True, False):
        options: Any = {"require_done": require_done}
        for got, error in (
            read(iter_payloads(only_messages(EventStream(chunks)), **options)),
            read(iter_payloads(list(EventStream(chunks[:1] + chunks[1:]))[::2], **options)),
            asyncio.run(aread_all(**options)),
        ):
            assert got == [1]
            kind: Any = IncompleteEventError if require_done else PayloadError
            assert isinstance(error, kind)
            assert "ended inside" in str(error)
            assert getattr(error, "event")._replace(id="") == Event(data='{"a')  # noqa: B009


@pytest.mark.parametrize("cut", [b'event: stop\ndata: {"a', b"event: stop\ndata: "])
def test_a_mark_that_was_cut_is_none(cut: bytes) -> None:
    for require_done in (True, False):
        got, error = read_both(
            b"data: 1\n\n", cut, chunks=True, done=at_stop, require_done=require_done
        )
        assert got == [1]
        if require_done:
            assert isinstance(error, IncompleteEventError)
    whole = (b"data: 1\n\n", b"event: stop\ndata: bye")
    assert read_both(*whole, chunks=True, done=at_stop, require_done=True) == ([1], None)


# To the end of the body.


class Body(Source):
    """Chunks that can be interrupted; it notes how many were read."""

    def __init__(self, *items: Any) -> None:
        super().__init__(*items)
        self.reads = 0
        self.is_interrupted = threading.Event()

    def __next__(self) -> Any:
        self.reads += 1
        item = super().__next__()
        if item is None:  # the server says nothing more
            assert self.is_interrupted.wait(10)
            raise OSError("interrupted")
        return item

    def interrupt(self) -> None:
        self.is_interrupted.set()


class AsyncBody(AsyncSource):
    def __init__(self, *items: Any) -> None:
        super().__init__(*items)
        self.reads = 0

    async def __anext__(self) -> Any:
        self.reads += 1
        item = await super().__anext__()
        if item is None:
            await (trio.sleep_forever() if in_trio() else asyncio.sleep(60))
        return item

    def interrupt(self) -> None:
        raise AssertionError("no need to")


BEFORE = b"data: 1\n\ndata: [DONE]\n\n"
RESTS: dict[str, tuple[list[Any], int]] = {  # and how many reads there are
    "nothing": ([], 2),
    "more": ([b"\n", b": bye\n\n", b"data: no payload\n\n"], 5),
    "a fault": ([OSError("reset"), b"\n"], 2),
    "64 KiB": ([b"x" * 0x10000], 3),
    "too much": ([b"x" * 0x10000, b"x", b"\n"], 3),
    "silence": ([b"\n", None, b"\n"], 3),
}


@pytest.mark.parametrize("name", RESTS)
def test_reading_to_the_end(name: str) -> None:
    rest, reads = RESTS[name]
    body = Body(BEFORE, *rest)
    payloads = iter_payloads(EventStream(body), read_to_end=True, require_done=True)
    begin = time.monotonic()
    assert read(payloads) == ([1], None)
    assert time.monotonic() - begin < 3
    assert (body.closed, body.reads) == (1, reads)
    assert body.is_interrupted.is_set() == (name == "silence")


@pytest.mark.parametrize("name", RESTS)
@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_reading_to_the_end_async(name: str, run: Any) -> None:
    rest, reads = RESTS[name]
    body = AsyncBody(BEFORE, *rest)

    async def main() -> None:
        payloads = aiter_payloads(AsyncEventStream(body), read_to_end=True, require_done=True)
        begin = time.monotonic()
        assert await aread(payloads) == ([1], None)
        assert time.monotonic() - begin < 3
        assert (body.closed, body.reads) == (1, reads)

    run(main) if run is trio.run else run(main())


def test_reading_to_the_end_that_is_cancelled_or_interrupted() -> None:
    async def main() -> None:
        body = AsyncBody(BEFORE, None)
        payloads = aiter_payloads(AsyncEventStream(body), read_to_end=True)
        assert await anext(payloads) == 1
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(payloads), 0.05)
        assert body.closed == 1
        with pytest.raises(StreamClosedError, match="cancelled"):
            await anext(payloads)

    asyncio.run(main())
    body = Body(BEFORE, KeyboardInterrupt())
    payloads = iter_payloads(EventStream(body), read_to_end=True)
    assert next(payloads) == 1
    with pytest.raises(KeyboardInterrupt):
        next(payloads)
    assert body.closed == 1
    with pytest.raises(StreamClosedError, match="interrupted"):
        next(payloads)


def test_reading_to_the_end_in_a_coroutine_that_is_closed() -> None:
    class Events(AsyncSource):
        async def drain(self, size: int, seconds: float) -> None:
            await pause()

    events = Events(DONE)
    payloads = aiter_payloads(events, read_to_end=True)
    events.pause = no_pause  # type: ignore[method-assign]
    coroutine = payloads.__anext__()
    coroutine.send(None)
    coroutine.close()  # a RuntimeError if it awaited
    assert events.closed == 1
    with pytest.raises(StreamClosedError, match="cancelled"):
        asyncio.run(anext_of(payloads))


async def no_pause() -> None: ...


def test_reading_to_the_end_is_for_the_mark_and_for_what_can_be_interrupted() -> None:
    for chunks in ([b"data: no\n\n", b"x"], [b'data: {"error": 1}\n\n', b"x"]):
        body = Body(*chunks)
        read(iter_payloads(EventStream(body), read_to_end=True))
        assert body.reads == 1
    body = Body(BEFORE, b"x")
    assert read(iter_payloads(EventStream(body))) == ([1], None)
    assert body.reads == 1
    source = Source(BEFORE, AssertionError("read beyond the mark"))
    assert read(iter_payloads(EventStream(source), read_to_end=True)) == ([1], None)
    assert read(iter_payloads([ONE, DONE], read_to_end=True)) == ([1], None)


def test_the_payload_at_the_mark_comes_though_the_rest_fails() -> None:
    body = Body(b"data: 1\n\ndata: 2\n\n", OSError("reset"))
    payloads = iter_payloads(
        EventStream(body), done=lambda event, payload: payload == 2, read_to_end=True
    )
    assert list(payloads) == [1, 2]
    assert body.closed == 1


# What may be passed.


def test_any_events() -> None:
    def generate() -> Generator[ServerSentEvent, None, None]:
        yield from (ONE, TWO)

    for events in (
        [ONE, TWO],
        (ONE, TWO),
        iter([ONE, TWO]),
        generate(),
        EventStream([b"data: 1\n\ndata: 2"]),
    ):
        assert list(iter_payloads(events)) == [1, 2]


def test_what_an_iterable_hands_out_is_closed_with_it() -> None:
    closed: list[str] = []

    class Events:
        def __iter__(self) -> Iterator[ServerSentEvent]:
            try:
                yield ONE
            finally:
                closed.append("iterator")

        async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
            try:
                yield ONE
            finally:
                closed.append("iterator")

        def close(self) -> None:
            closed.append("iterable")

    with iter_payloads(Events()) as payloads:
        assert next(payloads) == 1
        assert closed == []
    assert closed == ["iterator", "iterable"]

    async def main() -> None:
        async with aiter_payloads(Events()) as payloads:
            assert await anext(payloads) == 1
        assert closed == ["iterator", "iterable"] * 2

    asyncio.run(main())


def test_closing() -> None:
    source = Source(ONE, TWO)
    with iter_payloads(source) as payloads:
        assert iter(payloads) is payloads
        assert next(payloads) == 1
    payloads.close()
    assert source.closed == 1
    assert list(payloads) == []

    async def main() -> None:
        source = AsyncSource(ONE, TWO)
        async with aiter_payloads(source) as payloads:
            assert await anext(payloads) == 1
        await payloads.aclose()
        assert source.closed == 1
        assert [payload async for payload in payloads] == []

    asyncio.run(main())


class Response:
    headers: dict[str, str] = {}  # noqa: RUF012

    def __iter__(self) -> Iterator[bytes]:
        return iter([])


MISTAKES: dict[str, tuple[Any, str]] = {
    "bytes": (b"data: 1\n\n", r"EventStream\(\[data\]\)"),
    "str": ("data: 1\n\n", r"EventStream\(\[data\]\)"),
    "an event": (ONE, r"\[event\]"),
    "a response": (Response(), "iter_events or aiter_events"),
    "not entered": (connect(None, "GET", "http://127.0.0.1:9"), "with `with` or `async with`"),
    "None": (None, "iterable of events, not NoneType$"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_read(name: str) -> None:
    mistake, hint = MISTAKES[name]
    for function in (iter_payloads, aiter_payloads):
        with pytest.raises(TypeError, match=hint):
            function(mistake)


def test_the_other_side() -> None:
    events: Any = [ONE]
    with pytest.raises(TypeError, match="pass this list to iter_payloads"):
        aiter_payloads(events)
    aevents: Any = AsyncSource()
    with pytest.raises(TypeError, match="pass this AsyncSource to aiter_payloads"):
        iter_payloads(aevents)


@pytest.mark.parametrize("item", [b"data: 1\n\n", "1", None, object()])
def test_items_that_are_no_events(item: Any) -> None:
    got, error = read_both(ONE, item)
    assert got == [1]
    assert isinstance(error, TypeError)
    assert "wrap bytes in an EventStream" in str(error)
    assert "EventStream" in str(error)


OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"done": b"[DONE]"}, TypeError, "done must be a str"),
    ({"done": ""}, ValueError, "None for no mark"),
    ({"done": None, "require_done": True}, ValueError, "pass done"),
    ({"is_error": True}, TypeError, "is_error must be a function"),
    ({"loads": "json"}, TypeError, "loads must be a function"),
]


@pytest.mark.parametrize(("options", "kind", "message"), OPTIONS)
def test_options_that_cannot_work(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        iter_payloads(Source(), **options)
    with pytest.raises(kind, match=message):
        aiter_payloads(AsyncSource(), **options)


# What tasks do to each other.


@types.coroutine
def pause() -> Generator[None, None, None]:
    """Wait for nobody but a `send`."""
    yield


class Waiting:
    """An async iterable of events that waits for ever after its first, and notes how it ended."""

    def __init__(self, sleep: Callable[[], Awaitable[object]]) -> None:
        self.sleep = sleep
        self.waits = self.closed = 0

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        try:
            yield ONE
            self.waits += 1
            await self.sleep()
        finally:
            self.closed += 1


async def asyncio_for_ever() -> None:
    await asyncio.Event().wait()


def test_cancelling_on_asyncio() -> None:
    async def main() -> None:
        waiting = Waiting(asyncio_for_ever)
        payloads = aiter_payloads(waiting.events())
        assert await anext(payloads) == 1
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(payloads), 0.01)
        assert waiting.closed == 1
        with pytest.raises(StreamClosedError, match="cancelled"):
            await anext(payloads)
        await payloads.aclose()

    asyncio.run(main())


def test_cancelling_on_trio() -> None:
    async def main() -> None:
        waiting = Waiting(trio.sleep_forever)
        async with aiter_payloads(waiting.events(), require_done=True) as payloads:
            assert await anext(payloads) == 1
            with trio.move_on_after(0.01) as scope:
                await anext(payloads)
            assert scope.cancelled_caught
            assert waiting.closed == 1
            with pytest.raises(StreamClosedError, match="cancelled"):
                await anext(payloads)

    trio.run(main)


class Endless:
    """A response and its chunks: one event, then nothing until it is closed."""

    def __init__(self) -> None:
        self.chunks = iter([b"data: 1\n\n"])
        self.waits = asyncio.Event()
        self.gone = asyncio.Event()
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self.chunks:
            return chunk
        self.waits.set()
        await self.gone.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1
        self.gone.set()


@pytest.mark.parametrize("require_done", [False, True])
def test_closing_while_another_task_waits(require_done: bool) -> None:
    async def main() -> None:
        response = Endless()
        payloads = aiter_payloads(
            AsyncEventStream(response, response=response), require_done=require_done
        )
        assert await anext(payloads) == 1
        task = asyncio.ensure_future(aread(payloads))
        await response.waits.wait()
        with pytest.raises(RuntimeError, match="two tasks"):
            await anext(payloads)
        assert not task.done()
        assert response.closed == 0
        await payloads.aclose()
        assert await task == ([], None)
        assert response.closed >= 1

    asyncio.run(main())


def test_closing_while_another_task_waits_in_a_generator() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        waiting = Waiting(gate.wait)
        payloads = aiter_payloads(waiting.events())
        assert await anext(payloads) == 1
        task = asyncio.ensure_future(aread(payloads))
        while not waiting.waits:
            await asyncio.sleep(0)
        await payloads.aclose()
        assert waiting.closed == 0
        gate.set()
        assert await task == ([], None)
        assert waiting.closed >= 1

    asyncio.run(main())


def test_a_waiting_coroutine_that_is_closed_awaits_nothing_more() -> None:
    class Chunks(AsyncSource):
        async def __anext__(self) -> Any:
            await pause()
            raise AssertionError("went on")

    source = Chunks()
    payloads = aiter_payloads(AsyncEventStream(source), require_done=True)
    coroutine = payloads.__anext__()
    coroutine.send(None)
    coroutine.close()  # a RuntimeError if it awaited
    assert source.closed == 0
    with pytest.raises(StreamClosedError, match="cancelled"):
        asyncio.run(anext_of(payloads))
    asyncio.run(payloads.aclose())
    assert source.closed == 1


async def anext_of(payloads: Any) -> Any:
    return await anext(payloads)


def test_a_release_that_is_closed_or_cancelled() -> None:
    closed: list[str] = []

    class Events:
        async def __aiter__(self) -> AsyncIterator[ServerSentEvent]:
            try:
                yield ONE
            finally:
                await pause()

        def close(self) -> None:
            closed.append("iterable")

    def releasing() -> Any:
        payloads = aiter_payloads(Events())
        with pytest.raises(StopIteration):
            payloads.__anext__().send(None)
        coroutine = payloads.aclose()
        coroutine.send(None)
        return coroutine

    releasing().close()
    assert closed == ["iterable"]  # what can be closed at once is
    with pytest.raises(KeyboardInterrupt):
        releasing().throw(KeyboardInterrupt)
    assert closed == ["iterable", "iterable"]


def test_leaving_by_a_coroutine_that_is_closed() -> None:
    async def body(source: AsyncSource) -> None:
        async with aiter_payloads(source) as payloads:
            kept.append(payloads)
            await pause()

    kept: list[Any] = []
    source = AsyncSource(ONE)
    coroutine = body(source)
    coroutine.send(None)
    coroutine.close()
    assert source.closed == 0
    with pytest.raises(StreamClosedError, match="block was left"):
        asyncio.run(anext_of(kept[0]))


def test_events_whose_payloads_failed_do_not_end_quietly() -> None:
    bad = [b"data: 1\n\n", b"data: no JSON\n\n", b"data: 2\n\ndata: [DONE]\n\n"]
    for events in EventStream(bad), EventSource(lambda last_event_id: EventStream(bad)):
        with pytest.raises(PayloadError):
            list(iter_payloads(events, require_done=True))
        with pytest.raises(StreamClosedError, match="the reading of its payloads failed"):
            list(iter_payloads(events, require_done=True))  # nobody takes half for the whole


def test_what_is_around_events_whose_payloads_failed_is_closed() -> None:
    class Around:
        """As an SDK hands it out: it iterates over a stream, and has more to close."""

        def __init__(self, events: Any) -> None:
            self.events = events
            self.is_closed = False

        def __iter__(self) -> Any:
            return self.events

        __aiter__ = __iter__

        def close(self) -> None:
            self.is_closed = True

    bad = [b"data: no JSON\n\n"]
    around, asynchronous = Around(EventStream(bad)), Around(AsyncEventStream(AsyncSource(*bad)))
    with pytest.raises(PayloadError):
        list(iter_payloads(around))
    assert around.is_closed
    with pytest.raises(PayloadError):
        asyncio.run(anext_of(aiter_payloads(asynchronous)))
    assert asynchronous.is_closed


def test_events_whose_payloads_were_interrupted_do_not_end_quietly() -> None:
    async def connect(last_event_id: str) -> Any:
        return AsyncEventStream(AsyncSource(b"data: 1\n\n", asyncio.CancelledError()))

    async def main() -> None:
        for events in await connect(""), AsyncEventSource(connect):
            with pytest.raises(asyncio.CancelledError):
                [_ async for _ in aiter_payloads(events, require_done=True)]
            with pytest.raises(StreamClosedError):
                [_ async for _ in aiter_payloads(events, require_done=True)]

    asyncio.run(main())


def test_events_whose_payloads_were_left_or_closed() -> None:
    for how, is_quiet in ("__exit__", False), ("close", True):
        stream = EventStream([b"data: 1\n\n", b"data: 2\n\n"])
        payloads = iter_payloads(stream)
        next(payloads)
        getattr(payloads, how)(*[None] * 3 * (not is_quiet))
        with nullcontext() if is_quiet else pytest.raises(StreamClosedError):
            assert list(stream) == []


def test_dropped_payloads_leave_no_warning() -> None:
    async def main() -> None:
        async for _ in aiter_payloads(AsyncEventStream(Endless())):
            break
        gc.collect()

    asyncio.run(main())
    for _ in iter_payloads(EventStream(iter([b"data: 1\n\n"]))):
        break
    gc.collect()


def test_an_error_without_an_event_that_json_cannot_show() -> None:
    assert str(ServiceError(None, {7})) == "the service sent an error: {7}"
    assert str(ServiceError(None, {"code": 7})) == 'the service sent an error: {"code": 7}'


def test_what_has_to_be_entered_first_is_told_so() -> None:
    events: Any = nullcontext([ServerSentEvent(data="1")])
    with pytest.raises(TypeError, match="not nullcontext; enter it with `with`"):
        iter_payloads(events)


class OnlySync:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class OnlyAsync:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


ENTER = "; enter it with `with` or `async with` and pass the stream"
OF_AN_ADAPTER = "; pass what iter_events or aiter_events makes of it"
NOT_EVENTS: list[tuple[Any, str]] = [
    (b"x", "bytes; pass EventStream([data])"),
    (bytearray(b"x"), "bytearray; pass EventStream([data])"),
    (memoryview(b"x"), "memoryview; pass EventStream([data])"),
    ("x", "str; pass EventStream([data])"),
    (ONE, "ServerSentEvent; pass [event]"),
    (Response(), f"Response{OF_AN_ADAPTER}"),
    (connect(None, "GET", "http://127.0.0.1:9"), f"Opening{ENTER}"),
    (nullcontext(), f"nullcontext{ENTER}"),
    (OnlySync(), f"OnlySync{ENTER}"),
    (OnlyAsync(), f"OnlyAsync{ENTER}"),
    (None, "NoneType"),
]


@pytest.mark.parametrize(("mistake", "end"), NOT_EVENTS, ids=lambda value: type(value).__name__)
def test_the_whole_message_about_what_cannot_be_read(mistake: Any, end: str) -> None:
    for name, function in (("iter_payloads", iter_payloads), ("aiter_payloads", aiter_payloads)):
        with pytest.raises(TypeError) as caught:
            function(mistake)
        assert str(caught.value) == f"{name} takes an iterable of events, not {end}"


def test_the_whole_message_about_the_other_side() -> None:
    events: Any = [ONE]
    aevents: Any = AsyncSource()
    with pytest.raises(TypeError) as caught:
        aiter_payloads(events)
    start = "aiter_payloads takes an iterable of events, not list"
    assert str(caught.value) == f"{start}; pass this list to iter_payloads"
    with pytest.raises(TypeError) as caught:
        iter_payloads(aevents)
    start = "iter_payloads takes an iterable of events, not AsyncSource"
    assert str(caught.value) == f"{start}; pass this AsyncSource to aiter_payloads"


def test_an_error_deeper_than_anything_can_write() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    error = ServiceError(None, {"error": deep})
    assert error.message == ""
    assert str(error) == "the service sent an error: no message"


def test_nothing_is_read_to_the_end_by_default_async() -> None:
    body = AsyncBody(BEFORE, b"x")

    async def main() -> None:
        assert await aread(aiter_payloads(AsyncEventStream(body))) == ([1], None)

    asyncio.run(main())
    assert body.reads == 1


def test_an_error_that_says_nothing() -> None:
    assert str(ServiceError(ServerSentEvent("error"), None)) == (
        "the service sent an error: no message"
    )
    assert not is_service_error(None, [{"token": "x"}])


def test_the_id_to_resume_from_after_an_error() -> None:
    stream = EventStream([b"id: 7\ndata: 1\n\ndata: {\n\n"])
    for events, position in ((stream, "7"), ([ONE, ServerSentEvent(data="{")], "")):
        payloads = iter_payloads(events)
        assert next(payloads) == 1
        with pytest.raises(PayloadError):
            next(payloads)
        with pytest.raises(StreamClosedError) as caught:
            next(payloads)
        assert caught.value.last_event_id == position


def test_an_event_of_the_type_error_with_the_data_of_the_mark() -> None:
    with pytest.raises(ServiceError) as caught:
        list(iter_payloads([ServerSentEvent("error", "[DONE]")]))
    assert (caught.value.payload, caught.value.message) == ("[DONE]", "[DONE]")


def test_events_that_know_no_difference_are_closed() -> None:
    class Left(Source):
        def __exit__(self, *_: object) -> None:
            raise AssertionError("not asked for")

    class Known(Source):
        is_closed = False

    for kind in (Left, Known):
        source = kind(ServerSentEvent(data="no JSON"))
        with pytest.raises(PayloadError):
            next(iter_payloads(source))
        assert source.closed == 1


def test_what_is_said_of_data_that_the_end_cut_off() -> None:
    def loads(data: str) -> Any:
        raise ValueError("what is that")

    with pytest.raises(PayloadError) as caught:
        list(iter_payloads(EventStream([b"data\n\ndata: {"]), loads=loads))
    assert caught.value.number == 2
    assert caught.value.reason == "what is that; the stream ended inside this event"


def test_the_document_of_an_error_in_place_of_events() -> None:
    for body in (b'{"error": "x"}\n', b'  {"error": "x"}\n', b'error: {"error": "x"}\n'):
        with pytest.raises(ServiceError) as caught:
            list(iter_payloads(EventStream([body])))
        assert (caught.value.event, caught.value.payload) == (None, {"error": "x"})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (" [1]", "a JSON array (for events, Gemini wants alt=sse in the URL)"),
        (" {}", "a JSON document (iter_documents reads one on each line)"),
        (" <p>", "HTML"),
        (" no", "lines that are no event"),
    ],
)
def test_the_whole_text_of_what_came_in_place_of_events(body: str, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        list(iter_payloads(EventStream([body.encode()])))
    assert caught.value.reason == reason


def test_reading_to_the_end_is_done_once() -> None:
    drained: list[str] = []

    class Events(Source):
        def drain(self, size: int, seconds: float) -> None:
            drained.append("once")

    class AsyncEvents(AsyncSource):
        async def drain(self, size: int, seconds: float) -> None:
            drained.append("once")

    async def main() -> None:
        payloads = aiter_payloads(AsyncEvents(ONE, DONE), read_to_end=True)
        assert await aread(payloads) == ([1], None)
        await payloads.aclose()

    payloads = iter_payloads(Events(ONE, DONE), read_to_end=True)
    assert read(payloads) == ([1], None)
    payloads.close()
    assert drained == ["once"]
    asyncio.run(main())
    assert drained == ["once"] * 2


@pytest.mark.parametrize("cut", ["d", "dat", "e", "even", "i", "r", "retr", b"\xef\xbb"])
def test_a_cut_in_the_name_of_a_field_is_one_before_the_mark(cut: str | bytes) -> None:
    end = cut if isinstance(cut, bytes) else cut.encode()
    _, error = read_both(end, chunks=True, require_done=True)
    assert isinstance(error, IncompleteEventError)
    _, error = read_both(b"X" + end, chunks=True, require_done=True)
    assert isinstance(error, PayloadError)


@pytest.mark.parametrize("text", ["", "null", "false", "{}", '""'])
def test_an_error_field_that_says_there_is_none(text: str) -> None:
    assert read_both(f"data: 1\nerror: {text}\n\n".encode(), chunks=True) == ([1], None)


def test_texts_of_errors_beyond_ascii_and_without_more() -> None:
    assert str(ServiceError(None, {"code": "é"})) == 'the service sent an error: {"code": "é"}'
    assert str(before_mark(DoneMark("x"))) == "the stream ended before its mark 'x'"


def test_the_whole_text_about_an_item_that_is_no_event() -> None:
    items: Any = [b"data: 1\n\n"]
    with pytest.raises(TypeError) as caught:
        list(iter_payloads(items))
    text = "payloads are those of events, not bytes: wrap bytes in an EventStream"
    assert str(caught.value) == text


def test_a_payload_that_is_made_when_another_thread_closes_them_is_handed_out() -> None:
    """The stream is beyond its event: who resumes from there would lose it."""

    def loads(data: str) -> Any:
        if data == "2":
            thread = threading.Thread(target=payloads.close)
            thread.start()
            thread.join(GUARD)
        return json.loads(data)

    stream = EventStream([b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n"])
    payloads = iter_payloads(stream, loads=loads)
    assert list(payloads) == [1, 2]
    assert stream.last_event_id == "2"
    assert payloads.is_closed


def test_the_last_payload_is_handed_out_if_they_are_closed_while_the_rest_is_read() -> None:
    class Events(EventStream):
        def drain(self, size: int, seconds: float) -> None:
            payloads.close()

    stream = Events([b"id: 1\ndata: 1\n\n"])
    payloads = iter_payloads(stream, done=lambda event, payload: True, read_to_end=True)
    assert (list(payloads), stream.last_event_id) == ([1], "1")


def test_payloads_of_a_stream_that_is_closed_did_not_come_to_their_end() -> None:
    for done in (None, "[DONE]"):
        stream = EventStream([b"data: 1\n\n", b"data: 2\n\n"])
        payloads = iter_payloads(stream, done=done)
        assert next(payloads) == 1
        stream.close()
        assert list(payloads) == []
        assert (payloads.is_closed, payloads.is_exhausted) == (True, False)
        assert repr(payloads) == "<Payloads closed>"
    payloads = iter_payloads(EventStream([b"data: 1\n\n"]))
    assert list(payloads) == [1]
    assert (payloads.is_closed, payloads.is_exhausted) == (False, True)
    payloads.close()
    assert (payloads.is_closed, payloads.is_exhausted) == (True, False)


def test_an_event_that_comes_after_they_were_closed_makes_no_payload() -> None:
    class Events:
        """An iterator that cannot be closed."""

        def __init__(self, *before: ServerSentEvent) -> None:
            self.before = [*before]

        def __iter__(self) -> Iterator[ServerSentEvent]:
            return self

        def __next__(self) -> ServerSentEvent:
            if not self.before:
                payloads.close()
                return TWO
            return self.before.pop()

    payloads = iter_payloads(Events())
    assert list(payloads) == []
    payloads = iter_payloads(Events(ONE))
    assert list(payloads) == [1]
