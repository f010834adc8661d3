# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_stream.decoder import ServerSentEvent, SSEDecoder
from sse_stream.encoder import SSEEncoder
from tests import vectors

# Characters at which other splitters end a line, or which a careless one would lose.
TRICKY = "a: \n\t\v\f\0\x1c\x1d\x1e\x85\u2028\u2029\ufeff\ufffd\u00e9\u65e5\U0001f680data"


def text(*, without: str) -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=["Cs"], exclude_characters=without)
    return st.text(
        st.sampled_from("".join(c for c in TRICKY if c not in without)) | characters, max_size=12
    )


def valid_events(
    *, ids: st.SearchStrategy[str] | None = None
) -> st.SearchStrategy[ServerSentEvent]:
    return st.builds(
        ServerSentEvent,
        event=st.just("message") | text(without="\r\n").filter(bool),
        data=text(without="\r"),
        id=ids or st.sampled_from(["", "", "1", " 1", "1 "]) | text(without="\r\n\0"),
        retry=st.none() | st.integers(0, 10**18),
    )


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[ServerSentEvent | str], bytes]:
    """Return events and comments, and what the encoder makes of them."""
    items = draw(st.lists(valid_events() | text(without=""), max_size=6))
    encoder = SSEEncoder()
    encoded = b"".join(
        encoder.encode(item) if isinstance(item, ServerSentEvent) else encoder.comment(item)
        for item in items
    )
    return items, encoded


@given(streams(), st.lists(st.integers(0, 300), max_size=6))
def test_decoding_gives_the_events_again(
    stream: tuple[list[ServerSentEvent | str], bytes], cuts: list[int]
) -> None:
    items, encoded = stream
    comments: list[str] = []
    for on_comment in None, comments.append:
        decoder = SSEDecoder(on_comment=on_comment, incomplete="raise")
        decoded = [
            e
            for chunk in vectors.cut(encoded, [c % (len(encoded) + 1) for c in cuts])
            for e in decoder.feed(chunk)
        ]
        assert decoded == [item for item in items if isinstance(item, ServerSentEvent)]
        assert decoder.close() == []
    lines = [
        item.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for item in items
        if isinstance(item, str)
    ]
    assert comments == [line for comment in lines for line in comment]


calls: st.SearchStrategy[tuple[str, tuple[Any, ...], dict[str, Any]]] = st.one_of(
    st.tuples(st.just("encode"), st.tuples(valid_events()), st.just({})),
    st.tuples(st.just("comment"), st.tuples(text(without="")), st.just({})),
    st.tuples(st.just("id"), st.tuples(text(without="\r\n\0")), st.just({})),
    st.tuples(st.just("retry"), st.tuples(st.integers(0, 10**18)), st.just({})),
    st.tuples(
        st.just("event"),
        st.tuples(text(without="\r")),
        st.fixed_dictionaries(
            {},
            optional={
                "event": text(without="\r\n"),
                "id": st.none() | text(without="\r\n\0"),
                "retry": st.none() | st.integers(0, 10**18),
            },
        ),
    ),
)


@given(st.lists(calls), st.sampled_from(["", "7"]), st.lists(st.integers(0, 300), max_size=4))
def test_what_a_server_writes(calls: list[Any], position: str, cuts: list[int]) -> None:
    """The reader gets the events, and has position and time as the calls say."""
    encoder = SSEEncoder(last_event_id=position)
    decoder = SSEDecoder(last_event_id=position, incomplete="raise")
    expected: list[ServerSentEvent] = []
    time = None
    encoded = b""
    for method, arguments, options in calls:
        encoded += getattr(encoder, method)(*arguments, **options)
        if method == "encode":
            expected += arguments
            position = arguments[0].id
            time = time if arguments[0].retry is None else arguments[0].retry
        elif method == "id":
            (position,) = arguments
        elif method == "retry":
            (time,) = arguments
        elif method == "event":
            position = position if options.get("id") is None else options["id"]
            time = time if options.get("retry") is None else options["retry"]
            expected.append(
                ServerSentEvent(
                    options.get("event") or "message", arguments[0], position, options.get("retry")
                )
            )
        assert repr(encoder) == f"<SSEEncoder last_event_id={position!r}>"
    chunks = vectors.cut(encoded, [c % (len(encoded) + 1) for c in cuts])
    assert [event for chunk in chunks for event in decoder.feed(chunk)] == expected
    assert decoder.close() == []
    assert (decoder.last_event_id, decoder.retry) == (position, time)


@given(st.lists(valid_events(), max_size=4))
def test_each_cut(events: list[ServerSentEvent]) -> None:
    encoder = SSEEncoder()
    encoded = b"".join(map(encoder.encode, events))
    for i in range(len(encoded) + 1):
        decoder = SSEDecoder()
        assert decoder.feed(encoded[:i]) + decoder.feed(encoded[i:]) == events


@pytest.mark.parametrize("case", vectors.load("browser.json"), ids=lambda case: case.name)
def test_what_a_decoder_gave_is_valid(case: vectors.Case) -> None:
    """Encoding what was decoded refuses nothing, and changes nothing."""
    decoder, encoder, again = SSEDecoder(), SSEEncoder(), SSEDecoder()
    events = decoder.feed(case.stream) + decoder.close()
    assert again.feed(b"".join(map(encoder.encode, events))) == events


@given(st.lists(valid_events(), min_size=1), st.integers(0))
def test_resuming(events: list[ServerSentEvent], place: int) -> None:
    """A reader that resumes, and an encoder that was told so, agree on the ID in force."""
    place %= len(events)
    last_event_id = events[place].id
    encoder, decoder = (
        SSEEncoder(last_event_id=last_event_id),
        SSEDecoder(last_event_id=last_event_id),
    )
    rest = events[place + 1 :]
    assert decoder.feed(b"".join(map(encoder.encode, rest))) == rest


def test_the_bytes() -> None:
    encoder = SSEEncoder()
    assert encoder.encode(ServerSentEvent(data="a")) == b"data: a\n\n"
    assert encoder.encode(ServerSentEvent("note", "a\nb\n", "1", 3000)) == (
        b"retry: 3000\nid: 1\nevent: note\ndata: a\ndata: b\ndata: \n\n"
    )
    # The ID is still in force.
    assert encoder.encode(ServerSentEvent(data="", id="1")) == b"data: \n\n"
    assert encoder.encode(ServerSentEvent(data="c")) == b"id: \ndata: c\n\n"
    assert encoder.encode(ServerSentEvent(data="d")) == b"data: d\n\n"
    assert encoder.comment() == b": \n"
    assert encoder.comment("ping") == b": ping\n"
    assert encoder.comment("a\r\nb\rc\nid: 5") == b": a\n: b\n: c\n: id: 5\n"


def test_the_bytes_of_a_server() -> None:
    encoder = SSEEncoder()
    assert encoder.event("a") == b"data: a\n\n"
    assert encoder.event() == b"data: \n\n"
    assert encoder.event("a\nb", event="note", id="1", retry=3000) == (
        b"retry: 3000\nid: 1\nevent: note\ndata: a\ndata: b\n\n"
    )
    assert encoder.event("a") == b"data: a\n\n"  # the position stays
    assert encoder.encode(ServerSentEvent(data="a", id="1")) == b"data: a\n\n"
    assert encoder.event("a", id="1") == b"id: 1\ndata: a\n\n"
    assert encoder.event("a", id="") == b"id: \ndata: a\n\n"
    assert encoder.retry(0) == b"retry: 0\n\n"
    assert encoder.id("2") == b"id: 2\n\n"
    assert encoder.encode(ServerSentEvent(data="a", id="2")) == b"data: a\n\n"
    assert encoder.encode(ServerSentEvent(data="a")) == b"id: \ndata: a\n\n"  # a reset


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lines_of_data_end_at_each_line_end_of_the_standard(end: str) -> None:
    assert (
        SSEEncoder().encode(ServerSentEvent(data=f"a{end}b{end}"))
        == b"data: a\ndata: b\ndata: \n\n"
    )


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_lines_of_data_end_nowhere_else(character: str) -> None:
    assert (
        SSEEncoder().encode(ServerSentEvent(data=f"a{character}b"))
        == f"data: a{character}b\n\n".encode()
    )


def test_an_empty_type_is_message() -> None:
    assert SSEEncoder().encode(ServerSentEvent(event="", data="a")) == b"data: a\n\n"


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("event", "a\ndata: forged", "forge"),
        ("event", "a\rb", "forge"),
        ("id", "1\n\ndata: forged", "forge"),
        ("id", "1\r", "forge"),
        ("id", "1\0", "ignore"),
        ("retry", -1, "negative"),
        pytest.param("retry", 10**4300, "4300", id="more digits than a decoder takes"),
        ("data", "\ud800", "surrogate"),
        ("event", "\udfff", "surrogate"),
        ("id", "\ud800", "surrogate"),
    ],
)
def test_forgery_is_refused(field: str, value: Any, hint: str) -> None:
    encoder = SSEEncoder(last_event_id="0")
    event = ServerSentEvent(data="a", id="0")
    with pytest.raises(ValueError, match=hint):
        encoder.encode(event._replace(id="9")._replace(**{field: value}))
    assert encoder.encode(event) == b"data: a\n\n"  # as before


@pytest.mark.parametrize(
    ("call", "error", "hint"),
    [
        (lambda encoder: encoder.event("a", id="9", event="x\n"), ValueError, "forge"),
        (lambda encoder: encoder.event("a", id="9\n"), ValueError, "forge"),
        (lambda encoder: encoder.event("a", id="9\0"), ValueError, "ignore"),
        (lambda encoder: encoder.event("a", id="9", retry=-1), ValueError, "negative"),
        (lambda encoder: encoder.event("\ud800", id="9"), ValueError, "surrogate"),
        (lambda encoder: encoder.event({"a": 1}, id="9"), TypeError, "data must be a str"),
        (lambda encoder: encoder.event("a", id=9), TypeError, "id must be a str"),
        (lambda encoder: encoder.event("a", id="9", retry="1"), TypeError, "retry must be an int"),
        (lambda encoder: encoder.event("a", id="9", event=None), TypeError, "event must be"),
        (lambda encoder: encoder.id("9\r"), ValueError, "forge"),
        (lambda encoder: encoder.id("\ud800"), ValueError, "surrogate"),
        (lambda encoder: encoder.id(None), TypeError, "id must be a str"),
        (lambda encoder: encoder.retry(-1), ValueError, "negative"),
        (lambda encoder: encoder.retry(None), TypeError, "retry must be an int"),
    ],
)
def test_what_a_server_cannot_write(call: Any, error: type[Exception], hint: str) -> None:
    encoder = SSEEncoder(last_event_id="0")
    with pytest.raises(error, match=hint):
        call(encoder)
    assert encoder.encode(ServerSentEvent(data="a", id="0")) == b"data: a\n\n"  # as before


@pytest.mark.parametrize("event", ["a", {"data": "a"}, ("message", "a", "", None), None])
def test_only_events_are_encoded(event: Any) -> None:
    with pytest.raises(TypeError, match="ServerSentEvent"):
        SSEEncoder().encode(event)


@pytest.mark.parametrize(
    ("field", "value"), [("event", None), ("data", b"a"), ("id", 7), ("retry", "5"), ("retry", 1.0)]
)
def test_fields_of_another_type(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{field} must be"):
        SSEEncoder().encode(ServerSentEvent()._replace(**{field: value}))


def test_other_mistakes() -> None:
    with pytest.raises(TypeError, match="comment"):
        SSEEncoder().comment(b"ping")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="surrogate"):
        SSEEncoder().comment("\ud800")
    with pytest.raises(ValueError, match="last_event_id"):
        SSEEncoder(last_event_id="1\n")
    with pytest.raises(TypeError, match="last_event_id"):
        SSEEncoder(last_event_id=None)  # type: ignore[arg-type]


def test_true_is_one() -> None:
    """It is an int; as text it would not be one."""
    assert SSEEncoder().encode(ServerSentEvent(retry=True)) == b"retry: 1\ndata: \n\n"
