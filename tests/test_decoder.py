# SPDX-License-Identifier: MIT
from __future__ import annotations

import ast
import copy
import functools
import itertools
import json
import pickle
import sys
import weakref
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sse_stream.decoder import (
    EventTooLargeError,
    IncompleteEventError,
    ServerSentEvent,
    SSEDecoder,
    SSEError,
)
from sse_stream.streams import EventStream
from tests import reference, vectors
from tests.support import SHAPES, cut_points, limits, outcome_of, streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Mode = Literal["dispatch", "discard", "raise"]

NAMED = [case for name in ("wpt.json", "services.json", "own.json") for case in vectors.load(name)]
BROWSER = vectors.load("browser.json")
FAMILIES = sorted({case.family for case in BROWSER})


def fields(events: list[ServerSentEvent]) -> list[tuple[str, str, str]]:
    return [event[:3] for event in events]


def decode(stream: bytes, **options: Any) -> list[ServerSentEvent]:
    decoder = SSEDecoder(**options)
    return decoder.feed(stream) + decoder.close()


# What browsers made of the recorded streams.


def check_case(case: vectors.Case) -> None:
    for difference in vectors.replays(SSEDecoder, case):
        assert not difference, difference


@pytest.mark.parametrize("case", NAMED, ids=lambda case: case.name)
def test_recorded_streams(case: vectors.Case) -> None:
    check_case(case)


@pytest.mark.parametrize("family", FAMILIES)
def test_browser_streams(family: str) -> None:
    for case in BROWSER:
        if case.family == family:
            check_case(case)


@pytest.mark.parametrize("case", [*NAMED, *BROWSER[::25]], ids=lambda case: case.name)
def test_the_reference_agrees_with_browsers(case: vectors.Case) -> None:
    for flush, expected in ((False, case.discard), (True, case.flush)):
        outcome = reference.decode(case.stream, flush=flush)
        assert [event[:3] for event in outcome.events] == expected.events
        assert (outcome.retry, outcome.last_event_id) == expected[1:]


# Properties, against the slow transcription of the standard.


class Plain(SSEDecoder):
    """A decoder without fast paths: every line is measured and then interpreted by itself."""

    __slots__ = ()

    def feed(self, chunk: Any) -> list[ServerSentEvent]:
        self._room = -1
        return super().feed(chunk)

    def _feed_piece(self, piece: bytes, events: list[ServerSentEvent]) -> None:
        for line in piece.splitlines(keepends=True):
            self._feed_line(line, events)


SOURCE = Path(sys.modules["sse_stream.decoder"].__file__ or "").read_text(encoding="utf-8")


class Deletion(ast.NodeTransformer):
    """Delete the functions of section 7, and every statement and branch that calls one."""

    def __init__(self, source: str) -> None:
        (self.section,) = (
            number
            for number, line in enumerate(source.splitlines(), 1)
            if line.startswith("    # 7. ")
        )
        self.deleted: list[str] = []
        self.calls = 0
        self.tree = ast.parse(source)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef) and node.name == "SSEDecoder":
                last = [part for part in node.body if part.lineno > self.section]
                node.body = [part for part in node.body if part.lineno < self.section]
                assert all(isinstance(part, ast.FunctionDef) for part in last)
                self.deleted = [part.name for part in last if isinstance(part, ast.FunctionDef)]
        self.visit(self.tree)

    def _is_call(self, node: ast.AST) -> bool:
        names = (part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute))
        found = any(name in self.deleted for name in names)
        self.calls += found
        return found

    def visit_If(self, node: ast.If) -> Any:
        if self._is_call(node.test):
            node.body = []
        self.generic_visit(node)
        return node if node.body else node.orelse

    def _visit_simple(self, node: ast.stmt) -> Any:
        return None if self._is_call(node) else node

    visit_Expr = visit_Assign = visit_AnnAssign = visit_Return = _visit_simple


@functools.lru_cache
def literal_module() -> ModuleType:
    """Make a module of the decoder whose fast paths are deleted."""
    module = ModuleType("decoder_without_fast_paths")
    sys.modules[module.__name__] = module
    exec(compile(Deletion(SOURCE).tree, module.__name__, "exec"), vars(module))
    for shared in (ServerSentEvent, EventTooLargeError, IncompleteEventError):
        setattr(module, shared.__name__, shared)
    return module


Literal_: Any = literal_module().SSEDecoder
KINDS = [SSEDecoder, Plain, Literal_]


class Listening:
    """A decoder, and what its callbacks are called with, each with the state that it finds."""

    def __init__(
        self, make: Any = SSEDecoder, *, comments: bool = True, ignored: bool = True, **options: Any
    ) -> None:
        self.heard: list[reference.Heard] = []
        self.decoder: SSEDecoder = make(
            on_comment=functools.partial(self._hear, "comment") if comments else None,
            on_ignored=functools.partial(self._hear, "ignored") if ignored else None,
            **options,
        )

    def _hear(self, kind: str, text: str) -> None:
        state = self.decoder
        self.heard.append(
            reference.Heard(
                kind,
                text,
                state.incomplete,
                state.last_event_id,
                state.retry,
                state.ignored,
                state.ignored_text,
                state.skipped,
            )
        )


some = st.booleans()


@given(
    streams,
    cut_points,
    limits,
    st.sampled_from(["raise", "skip"]),
    some,
    st.sampled_from(KINDS),
    st.integers(1, 30),
    some,
    some,
)
@example(b"\xef\xbb", [1], 1, "raise", True, Plain, 30, True, True)
@example(b": long\ndata: a\n\ndata: b\n\n", [3], 5, "skip", False, Plain, 30, True, True)
@example(b"data: 12\nid: 5678\n\n", [], 8, "skip", False, SSEDecoder, 30, True, True)
@example(b"data: 123\r\ndata: 4567\n\n", [], 9, "skip", False, SSEDecoder, 10, True, True)
@example(
    b": 0123456789\ndata\n\ndata: b\n\n", [12, 19], 9, "skip", False, SSEDecoder, 30, False, True
)
@example(
    b": 0123456789\n\ndata: b\n\n", [*range(23)], 9, "skip", False, SSEDecoder, 30, False, True
)
@example(b"event: x\ndata: 0123\n\n", [], 9, "skip", True, SSEDecoder, 30, False, True)
@example(b"data: 0123456\nevent: x", [], 9, "skip", True, SSEDecoder, 30, False, True)
def test_any_stream_at_any_cut(
    stream: bytes,
    cuts: list[int],
    limit: int | None,
    on_oversize: Any,
    flush: bool,
    make: Any,
    piece: int,
    heard: bool,
    listens: bool,
) -> None:
    if limit is None:
        expected = reference.decode(stream, flush=flush)
    else:
        expected = reference.decode_bounded(stream, limit, on_oversize=on_oversize, flush=flush)
    if not heard:
        expected.comments = []
    chunks = vectors.cut(stream, [min(c, len(stream)) for c in cuts])
    with (
        vectors.small_thresholds(piece),
        vectors.small_thresholds(piece, literal_module().__name__),
    ):
        listening = Listening(
            make,
            comments=heard,
            ignored=listens,
            max_event_size=limit,
            on_oversize=on_oversize,
            incomplete="dispatch" if flush else "discard",
        )
        outcome = outcome_of(listening.decoder, chunks, [])
    outcome.comments = [text for kind, text, *_ in listening.heard if kind == "comment"]
    assert outcome == expected
    kinds = ["comment"] * heard + ["ignored"] * listens
    assert listening.heard == [call for call in expected.heard if call.kind in kinds]


@given(
    streams,
    cut_points,
    limits,
    st.integers(1, 30),
    st.lists(st.sampled_from(["retry", "incomplete", "last_event_id"])),
)
def test_reading_the_state_between_chunks_changes_nothing(
    stream: bytes, cuts: list[int], limit: int | None, size: int, names: list[str]
) -> None:
    class Read(SSEDecoder):
        def feed(self, chunk: Any) -> list[ServerSentEvent]:
            events = super().feed(chunk)
            for name in names:
                getattr(self, name)
            return events

    chunks = vectors.cut(stream, [min(c, len(stream)) for c in cuts])
    with vectors.small_thresholds(size):
        assert outcome_of(Read(max_event_size=limit), chunks, []) == outcome_of(
            SSEDecoder(max_event_size=limit), chunks, []
        )


@given(streams, cut_points, st.integers(1, 30))
def test_the_state_in_the_callback_does_not_depend_on_the_cuts(
    stream: bytes, cuts: list[int], size: int
) -> None:
    def states(chunks: list[bytes]) -> list[tuple[str, bool, str, int | None]]:
        seen: list[tuple[str, bool, str, int | None]] = []

        def note(comment: str) -> None:
            seen.append((comment, decoder.incomplete, decoder.last_event_id, decoder.retry))

        decoder = SSEDecoder(on_comment=note)
        for chunk in chunks:
            decoder.feed(chunk)
        return seen

    with vectors.small_thresholds(size):
        assert states(vectors.cut(stream, [min(c, len(stream)) for c in cuts])) == states([stream])
        assert states([stream[i : i + 1] for i in range(len(stream))]) == states([stream])


@pytest.mark.parametrize("step", [16, 1000, 1024, 4096, 1 << 30])
@pytest.mark.parametrize("size", [1500, 3000, 20_000, 70_000, 300_000])
@pytest.mark.parametrize(
    "start",
    [
        b"id: 3\n",
        b"event: q\nid: 3\n",
        b"data: first\n",
        b"retry: 5\n",
        b": c\n",
        b"data: first\n" * 300,
    ],
)
def test_large_events_after_other_lines(start: bytes, size: int, step: int) -> None:
    stream = start + b"data: " + b"x" * size + b"\n\nid: 4\ndata: next\n\n"
    expected = reference.decode(start + b"data: X\n\nid: 4\ndata: next\n\n")
    decoder = SSEDecoder()
    events = [
        event for i in range(0, len(stream), step) for event in decoder.feed(stream[i : i + step])
    ]
    assert [
        (e.event, e.data.replace("x" * size, "X"), e.id, e.retry) for e in events
    ] == expected.events


@given(st.lists(st.sampled_from(SHAPES), max_size=8), st.sampled_from([None, 30]))
def test_blocks_cut_where_they_end(blocks: list[bytes], limit: int | None) -> None:
    comments: list[str] = []
    stream = b"".join(blocks)
    expected = (
        reference.decode(stream, flush=True)
        if limit is None
        else reference.decode_bounded(stream, limit, flush=True)
    )
    for chunks in (blocks, [stream], [stream[:7], stream[7:]], [stream[:-7], stream[-7:]]):
        comments.clear()
        decoder = SSEDecoder(on_comment=comments.append, max_event_size=limit)
        assert outcome_of(decoder, chunks, comments) == expected
        unheard = SSEDecoder(max_event_size=limit)
        assert outcome_of(unheard, chunks, comments) == expected


@given(
    streams | st.lists(st.sampled_from(SHAPES), max_size=8).map(b"".join),
    cut_points,
    limits,
    st.integers(1, 30),
)
def test_fast_and_plain_paths_agree(
    stream: bytes, cuts: list[int], limit: int | None, size: int
) -> None:
    chunks = vectors.cut(stream, [min(c, len(stream)) for c in cuts])
    with vectors.small_thresholds(size):
        plain = outcome_of(Plain(max_event_size=limit), chunks, [])
        assert outcome_of(SSEDecoder(max_event_size=limit), chunks, []) == plain
    assert outcome_of(SSEDecoder(max_event_size=limit), chunks, []) == plain
    decoder = SSEDecoder(max_event_size=limit)
    pulled: list[ServerSentEvent] = []
    try:
        pulled.extend(EventStream(chunks, decoder=decoder))
    except EventTooLargeError:
        return  # `extend` keeps none of the events before the error
    assert [tuple(event) for event in pulled] == plain.events


# The inside: one loop, and fast paths that can be deleted.


def test_the_fast_paths_can_be_deleted() -> None:
    deletion = Deletion(SOURCE)
    assert deletion.deleted == ["_whole_event", "pull"]
    assert deletion.calls == 1  # `pull` is called by EventStream
    left = ast.unparse(deletion.tree)
    for name in deletion.deleted:
        assert hasattr(SSEDecoder, name)
        assert not hasattr(Literal_, name)
        assert name not in left
    for case in [*NAMED, *BROWSER]:
        for difference in vectors.replays(Literal_, case):
            assert not difference, difference


FAST_PATHS = {  # the chunks before, those of the shape, and those of another shape
    "one line of data": (
        [b"data: a\n\n"],
        [b"data: b\n\n", b"data: \n\n", b"data:  \xff\n\n"],
        [b"data: a\r\n\r\n", b"data:b\n\n", b"data: a\rb\n\n", b"data: a\n\ndata: b\n\n"],
    ),
    "one line of data, CRLF": (
        [b"data: a\r\n\r\n"],
        [b"data: b\r\n\r\n", b"data: \r\n\r\n"],
        [b"data: a\r\r", b"data: b\n\n", b"data: b\nc\r\n\r\n", b"data: b\r\n\r"],
    ),
    "one line of data without a space": (
        [b"data:{1\n\n"],
        [b"data:{2\n\n"],
        [b"data: {\n\n", b"data:[2\n\n"],
    ),
    "a type and a line of data": (
        [b"event: x\ndata: a\n\n"],
        [b"event: x\ndata: b\n\n"],
        [b"event: x\ndata:a\n\n", b"event: y\ndata: a\n\n", b"event: x\ndata: a\ndata: b\n\n"],
    ),
    "a type and a line of data, CRLF": (
        [b"event: x\r\ndata: a\r\n\r\n"],
        [b"event: x\r\ndata: b\r\n\r\n"],
        [b"event: x\r\ndata:a\r\n\r\n", b"event: x\ndata: b\r\n\r\n"],
    ),
    "a comment that nobody hears": (
        [b"\n"],
        [b": c\n\n", b":\n\n"],
        [b": c\n", b": c\ndata: a\n\n", b": c\r\r", b": c\rd\n\n"],
    ),
    "a comment that nobody hears, CRLF": (
        [b"data: a\r\n\r\n"],
        [b": c\r\n\r\n", b":\r\n\r\n"],
        [b": c\r\n", b": c\ndata: a\r\n\r\n", b": c\r\r"],
    ),
}  # fmt: skip


def interpreted(decoder: SSEDecoder, chunk: bytes) -> int:
    """Feed a chunk, and count the calls of what splits and interprets lines one by one."""
    with (
        patch.object(SSEDecoder, "_split", autospec=True, side_effect=SSEDecoder._split) as split,
        patch.object(
            SSEDecoder, "_interpret", autospec=True, side_effect=SSEDecoder._interpret
        ) as interpret,
    ):
        decoder.feed(chunk)
    return split.call_count + interpret.call_count


@pytest.mark.parametrize("limit", [None, 200])
@pytest.mark.parametrize(("before", "shape", "others"), FAST_PATHS.values(), ids=FAST_PATHS.keys())
def test_each_fast_path_is_taken_on_its_shape(
    before: list[bytes], shape: list[bytes], others: list[bytes], limit: int | None
) -> None:
    def made(*chunks: bytes) -> SSEDecoder:
        decoder = SSEDecoder(max_event_size=limit)
        for chunk in [b"\n", *before, *chunks]:
            decoder.feed(chunk)
        return decoder

    decoder = made()
    assert [interpreted(decoder, chunk) for chunk in 3 * shape] == [0] * 3 * len(shape)
    for chunk in others:
        assert interpreted(made(), chunk)
    for begun in (b"data: a\n", b"x", b"event: x\n", b": c", b"id: 1\r"):
        assert interpreted(made(begun), shape[0])
    assert interpreted(SSEDecoder(), shape[0])  # it may begin with a byte order mark


def read_state(decoder: SSEDecoder) -> tuple[Any, ...]:
    names = "last_event_id", "retry", "incomplete", "skipped", "ignored", "ignored_text", "ended"
    return *(getattr(decoder, name) for name in names), copy.copy(decoder).close()


def test_pull_feeds_only_what_is_neither_a_whole_event_nor_a_part_of_a_line() -> None:
    def fed(*chunks: Any) -> list[Any]:
        chunks = (b"\n", b"data: a\n\n", *chunks)
        plain = SSEDecoder()
        expected = [event for chunk in chunks for event in plain.feed(chunk)]
        events: list[ServerSentEvent] = []
        with patch.object(SSEDecoder, "feed", autospec=True, side_effect=SSEDecoder.feed) as feed:
            decoder = SSEDecoder()
            for answer in decoder.pull(chunks):
                events += answer if isinstance(answer, list) else [answer]
        assert (events, read_state(decoder)) == (expected, read_state(plain))
        return [call.args[1] for call in feed.call_args_list[1:]]  # the first learns the frame

    assert fed(b"data: b\n\n", b"data: \n\n", b"data:  \xff\n\n") == []
    assert fed(b"da", b"ta", b": b", b"c", b"\n\n") == [b"da", b"\n\n"]
    others = b"data: b\ndata: c\n\n", memoryview(b"data: d\n\n"), b"", b"id: 1\r", b"\n\n"
    assert fed(*others) == list(others)
    long = b"data: " + b"b" * 100_000 + b"\n\n"  # it has to be measured
    assert fed(long, b"x", b"x" * 100_000) == [long, b"x", b"x" * 100_000]
    assert fed(b"data: b", b"", bytearray(b"c")) == [b"data: b", b"", b"c"]


def test_what_pull_is_given_wrongly_is_refused_as_by_feed() -> None:
    for before in ([], [b"data: a\n\n"], [b"data"]):
        with pytest.raises(TypeError, match="takes bytes, not str"):
            [*SSEDecoder().pull([b"\n", *before, "data: a\n\n"])]  # type: ignore[list-item]


def test_a_stream_calls_the_feed_of_a_subclass() -> None:
    class Counting(SSEDecoder):
        count = 0

        def feed(self, chunk: Any) -> list[ServerSentEvent]:
            self.count += 1
            return super().feed(chunk)

    decoder = Counting()
    assert len([*EventStream([b"data: a\n\n"] * 5, decoder=decoder)]) == 5
    assert decoder.count >= 5


def test_no_fast_path_is_taken_if_somebody_listens() -> None:
    decoder = SSEDecoder(on_comment=len)
    decoder.feed(b"data: a\n\n")
    assert interpreted(decoder, b": c\n\n")
    assert not interpreted(decoder, b"data: a\n\n")


def test_no_fast_path_is_taken_beyond_the_bound() -> None:
    decoder = SSEDecoder(max_event_size=40, on_oversize="skip")
    decoder.feed(b"\n")
    decoder.feed(b"data: a\n\n")
    assert not interpreted(decoder, b"data: b\n\n")
    assert interpreted(decoder, b"data: " + b"b" * 34 + b"\n\n")
    assert decoder.skipped == 0
    assert interpreted(decoder, b"data: " + b"b" * 35 + b"\n\n")
    assert decoder.skipped == 1


def test_a_long_type_is_not_remembered() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"\n")
    for chunk in [b"event: " + b"x" * 5000 + b"\ndata: a\n\n"] * 3:
        assert interpreted(decoder, chunk)
    assert sum(map(len, (decoder._type[0], decoder._frame[1]))) < 5000


def code_lines(node: ast.AST) -> set[int]:
    """Return the lines of the node that are neither docstrings nor comments nor blank."""
    lines = SOURCE.splitlines()
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", len(lines))
    code = {
        number
        for number in range(first, last + 1)
        if lines[number - 1].strip() and not lines[number - 1].strip().startswith("#")
    }
    for part in ast.walk(node):
        if isinstance(part, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            part
        ):
            text = part.body[0]
            code -= {*range(text.lineno, (text.end_lineno or 0) + 1)}
    return code


def test_the_file_is_small() -> None:
    tree = ast.parse(SOURCE)
    assert len(code_lines(tree)) <= 420
    lengths: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            lengths[node.name] = (node.end_lineno or 0) - node.lineno + 1
            if ast.get_docstring(node):
                text = node.body[0]
                lengths[node.name] -= (text.end_lineno or 0) - text.lineno + 1
    assert lengths.pop("_interpret") <= 62
    assert {name: length for name, length in lengths.items() if length > 40} == {}


def test_there_is_one_path() -> None:
    tree = ast.parse(SOURCE)
    literal = {type(node) for node in ast.walk(Deletion(SOURCE).tree)}
    assert not literal & {ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFunctionDef}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & {"implementation", "python_implementation", "version_info"}
    assert "pragma" not in SOURCE
    sections = [line.strip() for line in SOURCE.splitlines() if line.strip()[:4] in SECTIONS]
    assert [line[:4] for line in sections] == SECTIONS


SECTIONS = [f"# {number}." for number in range(1, 8)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "value", ["a", "\u00fc\U0001f600\x0b", "a\x0b\x0c\x1c\x1f "], ids=["ASCII", "others", "control"]
)
def test_blocks_of_data_and_then_others(value: str, end: str) -> None:
    plain = f"data: {value}\n\n" * 200
    stream = (
        (plain + "data: b\nid: 7\n\n" + plain + "data: c\n: d\n\n" + plain)
        .replace("\n", end)
        .encode()
    )
    expected = [tuple(event) for event in reference.decode(stream).events]
    assert len(expected) == 602
    for chunks in ([b"\n", stream], [b"\n" + stream[:9], stream[9:]]):
        decoder = SSEDecoder()
        assert (
            [event for chunk in chunks for event in decoder.feed(chunk)]
            == [*EventStream(chunks)]
            == expected
        )


@pytest.mark.parametrize("start", [b"data: ", b"event: ", b"x: ", b"x", b"retry: ", b": "])
def test_a_decoder_that_waits_holds_no_long_line(start: bytes) -> None:
    decoder = SSEDecoder(on_comment=lambda _: None)
    decoder.feed(b"\n" + start)
    pytest.importorskip("_tracemalloc", reason="PyPy cannot tell what memory is held")
    import tracemalloc

    tracemalloc.start()
    try:
        for _ in range(1000):
            decoder.feed(b"x" * 1000)
        assert tracemalloc.get_traced_memory()[0] > 1_000_000
        decoder.feed(b"\n")
        assert len(decoder.feed(b"\n")) == (start == b"data: ")
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [None, 1000, 16, 1])
def test_types_that_come_again(size: int | None, line_end: str) -> None:
    types = ["x", "x", "", "y", "x", "message", "x", "y", "y", "", "", "z" * 40, "z" * 40]
    blocks = [
        f"event: {name}\ndata: {n}\n\n" if name else f"data: {n}\n\n"
        for n, name in enumerate(types)
    ]
    chunks = [block.replace("\n", line_end).encode() for block in blocks]
    if size:
        stream = b"".join(chunks)
        chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    expected = [ServerSentEvent(name or "message", str(n)) for n, name in enumerate(types)]
    decoder = SSEDecoder()
    assert (
        [event for chunk in chunks for event in decoder.feed(chunk)]
        == [*EventStream(chunks)]
        == expected
    )


def test_a_type_that_comes_again_begins_a_block() -> None:
    decoder = SSEDecoder()
    assert len(decoder.feed(b"id: 1\nevent: x\ndata: a\n\nevent: x\n")) == 1
    assert decoder.incomplete
    assert decoder.feed(b"data: b\n\n") == [ServerSentEvent("x", "b", "1")]


MEASURED = {  # options, chunks, how many of their lines are measured by themselves
    "a long chunk": ({}, [b"\n" + b"data: a\n\n" * 30_000], 0),
    "a piece of the size of the bound": (
        {"max_event_size": 1 << 17},
        [(b"data: a\n\n" * 14_564)[: 1 << 17] + b" b"],
        0,
    ),
    "many lines": (
        {},
        [
            b"data: " + b"a" * 3000 + b"\n" + b"data: a\n" * 30_000,
            b"\n" + b": c\ndata: b\n\n" * 100,
        ],
        0,
    ),
    "an event as large as the bound": (
        {"max_event_size": 9},
        [b"data:6789\n\n", b"data:6789\n\n"],
        4,
    ),
    "a comment that nobody hears": ({"max_event_size": 9}, [b":2", b"3456789\ndata: a\n\n"], 3),
}


@pytest.mark.parametrize(("options", "chunks", "lines"), MEASURED.values(), ids=MEASURED.keys())
def test_no_line_is_measured_that_need_not(
    options: dict[str, Any], chunks: list[bytes], lines: int
) -> None:
    decoder = SSEDecoder(**options)
    with patch.object(
        SSEDecoder, "_feed_line", autospec=True, side_effect=SSEDecoder._feed_line
    ) as feed_line:
        assert [event for chunk in chunks for event in decoder.feed(chunk)]
    assert feed_line.call_count == lines


def test_a_chunk_that_ends_with_cr_does_not_make_the_next_be_measured() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"\n")
    chunks = [b"data: a\r", b"\n\r", b"\ndata: b\r", b"\r"]
    with patch.object(SSEDecoder, "_feed_line") as feed_line:
        assert [event for chunk in chunks for event in decoder.feed(chunk)] == [
            ServerSentEvent(data="a"),
            ServerSentEvent(data="b"),
        ]
    assert feed_line.call_count == 0


@pytest.mark.parametrize("size", [100, 8191, 8192, 8193, 9000, 200_000])
def test_an_lf_after_a_long_chunk_that_ended_with_cr(size: int) -> None:
    value = "a" * (size - 7)
    events = [ServerSentEvent(data=f"{value}\nb")]
    for after in ([b"\ndata: b\r"], [b"\n", b"data: b\r"]):
        chunks = [b"\n", f"data: {value}\r".encode(), *after, b"\n\r", b"\n"]
        decoder = SSEDecoder()
        assert (
            [event for chunk in chunks for event in decoder.feed(chunk)]
            == [*EventStream(chunks)]
            == events
        )


@given(streams, cut_points)
def test_listening_to_comments_changes_nothing_else(stream: bytes, cuts: list[int]) -> None:
    chunks = vectors.cut(stream, [min(c, len(stream)) for c in cuts])
    for limit in (None, 9):
        deaf = outcome_of(SSEDecoder(max_event_size=limit), chunks, [])
        listening = outcome_of(
            SSEDecoder(max_event_size=limit, on_comment=lambda _: None), chunks, []
        )
        assert deaf == listening


@given(streams)
def test_incomplete_at_every_byte(stream: bytes) -> None:
    decoder = SSEDecoder()
    for length in range(1, len(stream) + 1):
        decoder.feed(stream[length - 1 : length])
        begun = stream[:length]
        undecided = begun in (b"\xef", b"\xef\xbb")  # may still become a byte order mark
        assert decoder.incomplete == (reference.decode(begun).incomplete and not undecided)
    decoder.close()
    assert decoder.incomplete == reference.decode(stream).incomplete


@given(streams, cut_points)
def test_raise_tells_what_dispatch_would_have_delivered(stream: bytes, cuts: list[int]) -> None:
    expected, flushed = reference.decode(stream), reference.decode(stream, flush=True)
    decoder = SSEDecoder(incomplete="raise")
    events: list[ServerSentEvent] = []
    for chunk in vectors.cut(stream, [min(c, len(stream)) for c in cuts]):
        events += decoder.feed(chunk)
    if expected.incomplete:
        with pytest.raises(IncompleteEventError) as info:
            decoder.close()
        came = [tuple(info.value.event)] if info.value.event is not None else []
        assert came == flushed.events[len(expected.events) :]
    assert decoder.close() == []
    assert [tuple(event) for event in events] == expected.events
    assert (decoder.last_event_id, decoder.retry) == (expected.last_event_id, expected.retry)
    assert decoder.incomplete == expected.incomplete


@given(st.lists(st.binary(max_size=8)), st.sampled_from([bytes, bytearray, memoryview]))
def test_every_kind_of_chunk(chunks: list[bytes], kind: Any) -> None:
    expected = reference.decode(b"".join(chunks), flush=True)
    decoder = SSEDecoder()
    events = [event for chunk in chunks for event in decoder.feed(kind(chunk))]
    assert [tuple(event) for event in events + decoder.close()] == expected.events


# Chunks.


def test_a_chunk_is_not_kept() -> None:
    chunk = bytearray(b"data: ab")
    decoder = SSEDecoder()
    decoder.feed(chunk)
    chunk[:] = b"XXXXXXXX"
    assert decoder.feed(b"\n\n") == [ServerSentEvent(data="ab")]


def test_a_memoryview_that_is_not_contiguous() -> None:
    assert SSEDecoder().feed(memoryview(b"d.a.t.a.:.a.\n.\n.")[::2]) == [ServerSentEvent(data="a")]


def test_a_subclass_of_bytes() -> None:
    class Chunk(bytes):
        pass

    assert SSEDecoder().feed(Chunk(b"data: a\n\n")) == [ServerSentEvent(data="a")]


def test_one_line_at_a_time() -> None:
    decoder = SSEDecoder()
    lines = [b"event: a", b"data: 1", b"", b"data: 2", b""]
    assert [len(decoder.feed(line + b"\n")) for line in lines] == [0, 0, 1, 0, 1]


def test_a_cr_ends_its_line_at_once() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\r") == [ServerSentEvent(data="a")]
    assert decoder.feed(b"\ndata: b\r\n\r") == [ServerSentEvent(data="b")]
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\n") == []
    assert decoder.close() == []


@pytest.mark.parametrize("before", range(4))
def test_a_crlf_cut_where_a_long_chunk_is_taken_in_pieces(before: int) -> None:
    value = b"x" * ((1 << 17) - len(b"data: ") - before)
    (event,) = SSEDecoder().feed(b"data: " + value + b"\r\ndata: b\r\n\r\n")
    assert event.data == value.decode() + "\nb"


@pytest.mark.parametrize("wrong", ["data: a\n\n", 5, None, [b"data"], {}, 1.5])
def test_what_is_not_bytes_is_refused(wrong: Any) -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: a\n")
    with pytest.raises(TypeError, match=r"feed\(\) takes bytes"):
        decoder.feed(wrong)
    assert decoder.feed(b"\n") == [ServerSentEvent(data="a")]  # and does no harm


def test_text_is_told_to_be_encoded() -> None:
    with pytest.raises(TypeError, match=r"text\.encode\(\)"):
        text: Any = "data: a\n\n"
        SSEDecoder().feed(text)


# Fields.


def test_state_persists_as_the_standard_says() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"id: 7\nretry: 50\n") == []
    assert (decoder.last_event_id, decoder.retry) == (
        "",
        50,
    )  # retry at its line, the ID at the blank line
    assert decoder.feed(b"\n") == []
    assert decoder.last_event_id == "7"
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a", id="7")]
    assert decoder.feed(b"retry: 60\nid\ndata: b\n\n") == [
        ServerSentEvent(data="b", id="", retry=60)
    ]
    assert (decoder.last_event_id, decoder.retry) == ("", 60)


def test_the_id_to_start_from() -> None:
    decoder = SSEDecoder(last_event_id="41")
    assert decoder.last_event_id == "41"
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a", id="41")]


def test_an_id_of_a_discarded_block_does_not_count() -> None:
    decoder = SSEDecoder(last_event_id="1", incomplete="discard")
    decoder.feed(b"id: 2\ndata: a\n")
    assert decoder.close() == []
    assert decoder.last_event_id == "1"


@pytest.mark.parametrize("read", [False, True])
def test_an_invalid_retry_leaves_the_one_before_it(read: bool) -> None:
    decoder = SSEDecoder()
    decoder.feed(b"retry: 5\n")
    if read:
        assert decoder.retry == 5
    decoder.feed(b"retry: x\n")
    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent(data="a", retry=5)]
    assert decoder.retry == 5


def test_a_retry_too_long_for_int_is_ignored() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"retry: 5\nretry: " + b"9" * 4301 + b"\n\n")
    assert decoder.retry == 5
    decoder.feed(b"retry: " + b"9" * 4300 + b"\n\n")
    assert decoder.retry == int("9" * 4300)


if hasattr(
    sys, "set_int_max_str_digits"
):  # 3.10.7; before that, int() has no limit that could be lowered

    def test_a_retry_beyond_a_lowered_limit_is_ignored() -> None:
        limit = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(640)
        try:
            decoder = SSEDecoder()
            decoder.feed(b"retry: " + b"9" * 700 + b"\n\ndata: a\n\n")
            assert decoder.retry is None
        finally:
            sys.set_int_max_str_digits(limit)

    def test_a_retry_too_long_for_int_is_ignored_though_the_limit_was_raised() -> None:
        limit = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)
        try:
            decoder = SSEDecoder()
            decoder.feed(b"retry: " + b"9" * 4301 + b"\n\n")
            assert decoder.retry is None
        finally:
            sys.set_int_max_str_digits(limit)


# Comments.


def test_comments_are_heard_when_their_line_ends() -> None:
    heard: list[str] = []
    decoder = SSEDecoder(on_comment=heard.append)
    decoder.feed(b": a\n:b\n:  c\n:\n: d")
    assert heard == ["a", "b", " c", ""]
    decoder.feed("é\r".encode())
    assert heard[4:] == ["dé"]


def test_comments_are_heard_with_replacement_characters() -> None:
    heard: list[str] = []
    SSEDecoder(on_comment=heard.append).feed(b": \xe2\x82\n:\xffa\n")
    assert heard == ["\ufffd", "\ufffda"]


def test_the_lf_of_a_crlf_after_a_comment_that_is_heard_is_no_blank_line() -> None:
    decoder = SSEDecoder(on_comment=len)
    assert decoder.feed(b"data: a\n: c\r") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == [ServerSentEvent(data="a")]


def test_an_unfinished_comment_is_heard_only_if_the_end_is_flushed() -> None:
    modes: list[tuple[Mode, list[str]]] = [("dispatch", ["a"]), ("discard", []), ("raise", [])]
    for mode, expected in modes:
        heard: list[str] = []
        decoder = SSEDecoder(incomplete=mode, on_comment=heard.append)
        decoder.feed(b": a")
        assert decoder.close() == []
        assert heard == expected
        assert not decoder.incomplete


def test_an_unfinished_comment_in_an_unfinished_event() -> None:
    heard: list[str] = []
    decoder = SSEDecoder(incomplete="raise", on_comment=heard.append)
    decoder.feed(b"data: a\n: c")
    with pytest.raises(IncompleteEventError) as info:
        decoder.close()
    assert info.value.event == ServerSentEvent(data="a")
    assert heard == []


class Fault(Exception):
    pass


def fail(comment: str) -> None:
    raise Fault(comment)


@pytest.mark.parametrize("limit", [None, 12], ids=["fast", "measured"])
def test_an_exception_of_the_callback_ends_the_decoder_and_loses_nothing(limit: int | None) -> None:
    decoder = SSEDecoder(on_comment=fail, max_event_size=limit)
    with pytest.raises(Fault, match="boom"):
        decoder.feed(b"id: 1\ndata: a\n\n: boom\ndata: b\n\n")
    with pytest.raises(ValueError, match="make a new one"):
        decoder.feed(b"data: c\n\n")
    assert decoder.last_event_id == "1"
    assert not decoder.incomplete
    assert decoder.close() == [ServerSentEvent(data="a", id="1")]
    assert decoder.close() == []
    with pytest.raises(ValueError, match="make a new one"):
        decoder.feed(b"")


def test_an_exception_of_the_callback_inside_an_event() -> None:
    decoder = SSEDecoder(on_comment=fail)
    with pytest.raises(Fault):
        decoder.feed(b"data: a\n: boom\n\n")
    assert decoder.incomplete
    assert decoder.close() == []


def test_an_exception_of_the_callback_late_in_a_long_chunk() -> None:
    decoder = SSEDecoder(on_comment=fail)
    with pytest.raises(Fault):
        decoder.feed(b"data: a\n\n" * 300_000 + b": boom\n\n")
    assert decoder.close() == [ServerSentEvent(data="a")] * 300_000


def test_an_exception_of_the_callback_in_close() -> None:
    decoder = SSEDecoder(on_comment=fail)
    decoder.feed(b": boom")
    with pytest.raises(Fault):
        decoder.close()
    assert decoder.close() == []


@pytest.mark.parametrize("call", ["feed", "close"])
def test_the_decoder_cannot_be_used_from_within_the_callback(call: str) -> None:
    def reenter(comment: str) -> None:
        with pytest.raises(RuntimeError, match="on_comment"):
            decoder.feed(b"data: x\n\n") if call == "feed" else decoder.close()
        if call == "feed":
            with pytest.raises(RuntimeError, match="on_comment"):
                decoder.feed(b"x")

    decoder = SSEDecoder(on_comment=reenter)
    assert decoder.feed(b": a\r") == []
    assert decoder.feed(b"\ndata: a\n\n: b\ndata: c\n\n") == [
        ServerSentEvent(data="a"),
        ServerSentEvent(data="c"),
    ]


def test_an_error_of_another_decoder_in_the_callback_is_not_ours() -> None:
    def relay(comment: str) -> None:
        raise EventTooLargeError(3)

    decoder = SSEDecoder(on_comment=relay, max_event_size=20)
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"data: a\n\n: boom\n\n" + b"data: b\n\n" * 3)
    with pytest.raises(ValueError, match="make a new one"):
        decoder.feed(b"")
    assert decoder.close() == [ServerSentEvent(data="a")]


@pytest.mark.parametrize("step", [1, 4, 100])
def test_the_callback_sees_the_state_at_its_line(step: int) -> None:
    stream = b": 1\ndata: a\n: 2\nid: 7\nretry: 5\n: 3\n\n: 4\n"
    seen: list[tuple[bool, str, int | None]] = []
    decoder = SSEDecoder(
        on_comment=lambda _: seen.append((decoder.incomplete, decoder.last_event_id, decoder.retry))
    )
    for i in range(0, len(stream), step):
        decoder.feed(stream[i : i + step])
    assert seen == [(False, "", None), (True, "", None), (True, "", 5), (False, "7", 5)]


# Lines without effect.


def ignored_by(stream: bytes, **options: Any) -> tuple[list[str], str]:
    """Return what is heard, and what is kept, at whatever cuts."""
    made: list[tuple[list[str], str]] = []
    for chunks in vectors.cuttings(stream, two_way=20):
        heard: list[str] = []
        decoder = SSEDecoder(on_ignored=heard.append, **options)
        deaf = SSEDecoder(**options)
        for each in (decoder, deaf):
            for chunk in chunks:
                each.feed(chunk)
            try:
                each.close()
            except IncompleteEventError:
                pass
            assert each.ignored == len(heard)
        assert decoder.ignored_text == deaf.ignored_text
        made.append((heard, deaf.ignored_text))
    assert all(each == made[0] for each in made)
    return made[0]


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b": c\n\n",
        b"data\n\n",
        b"data: a\nevent: x\n\n",
        b"event: x\nevent: y\ndata: a\n\n",
        b"event: x\ndata\n\n",
        b"id\n\n",
        b"id: 1\n\n",
        b"retry: 0\n\n",
        b"\xef\xbb\xbfdata: a\n\n",
        b"\n\r\n\r",
    ],
)
def test_what_has_an_effect_is_not_ignored(stream: bytes) -> None:
    assert ignored_by(stream) == ([], "")


@pytest.mark.parametrize(
    ("stream", "heard", "kept"),
    [
        (b"foo: bar\n", ["foo: bar"], "foo: bar"),
        (b"foo\r\n", ["foo"], "foo"),
        (b"Data: a\rdata : b\r data: c\r", ["Data: a", "data : b", " data: c"], None),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n", ["\ufeffdata: a"], None),
        (b"foo: \xff\xe2\x82\n", ["foo: \ufffd\ufffd"], None),
        (b"\0\n", ["\0"], None),
        (b"retry\n", ["retry"], ""),
        (b"retry:\n", ["retry:"], ""),
        (b"retry: -1\n", ["retry: -1"], ""),
        (b"retry: 1.5\nretry:  5\nretry: 5 \n", ["retry: 1.5", "retry:  5", "retry: 5 "], ""),
        (b"retry: \xd9\xa1\n", ["retry: \u0661"], ""),
        (b"retry: " + b"9" * 4301 + b"\n", ["retry: " + "9" * 4301], ""),
        (b"id: a\0b\n", ["id: a\0b"], ""),
        (b"id\0\n", ["id\0"], "id\0"),
        (b"event: ping\n\n", ["event: ping"], ""),
        (b"event:ping\n\n", ["event:ping"], ""),
        (b"event:  ping\n\n", ["event:  ping"], ""),
        (b"event: \n\n", ["event: "], ""),
        (b"event:\n\n", ["event:"], ""),
        (b"event\n\n", ["event"], ""),
        (b"event: \xff\n\n", ["event: \ufffd"], ""),
        (b"event: x: y\n\n", ["event: x: y"], ""),
        (b"event: x\nevent:y\n\n", ["event:y"], ""),
        (b"event: x\nid: 1\n: c\n\n", ["event: x"], ""),
        (b"event: x\n\nevent: x\ndata\n\nevent: x\n\n", ["event: x", "event: x"], ""),
        (b"event: x\nfoo\n\n", ["foo", "event: x"], "foo"),
    ],
)
def test_lines_without_effect(stream: bytes, heard: list[str], kept: str | None) -> None:
    assert ignored_by(stream) == (heard, "\n".join(heard) if kept is None else kept)


ERROR_DOCUMENT = """{
  "error": {
    "message": "The model 'gpt-5' does not exist: \u00fc\u20ac",
    "data": null,
    "code": 404
  }
}"""


@pytest.mark.parametrize("mode", ["dispatch", "discard", "raise"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize(
    "document",
    [
        ERROR_DOCUMENT,
        '{"error": {"message": "overloaded"}}',
        'error: {"message": "no quota"}',
        "<html>\n<head><title>502 Bad Gateway</title></head>\n<!-- data: -->\n</html>",
        "upstream connect error or disconnect/reset before headers. reset reason: overflow",
    ],
    ids=["pretty-printed", "JSON", "error field", "HTML", "text"],
)
def test_a_document_in_place_of_a_stream(document: str, end: str, mode: Mode) -> None:
    stream = (document + end).encode()
    assert ignored_by(stream, incomplete=mode) == (document.split("\n"), document)


def test_a_service_whose_fields_have_other_names() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"event: chunk\nbody: a\n\nevent: chunk\nbody: b\n\n") == []
    assert (decoder.ignored, decoder.ignored_text) == (4, "body: a\nbody: b")


def test_a_heartbeat_without_data_in_a_large_chunk() -> None:
    heard: list[str] = []
    stream = (b"data: a\n\n" * 20_000 + b"event: ping\n\n") * 3
    for decoder in (SSEDecoder(), SSEDecoder(on_ignored=heard.append)):
        assert len(decoder.feed(stream)) == 60_000
        assert (decoder.ignored, decoder.ignored_text) == (3, "")
    assert heard == ["event: ping"] * 3


@pytest.mark.parametrize("mode", ["dispatch", "discard", "raise"])
@pytest.mark.parametrize(
    ("last", "texts"),
    [
        (b"foo", {"dispatch": ["foo"], "discard": ["foo"], "raise": ["foo"]}),
        (b"id: \0", {"dispatch": ["id: \0"], "discard": ["id: \0"], "raise": ["id: \0"]}),
        (b"retry: x", {"dispatch": ["retry: x"], "discard": ["retry: x"], "raise": ["retry: x"]}),
        (b"event: x", {"dispatch": ["event: x"], "discard": [], "raise": []}),
        (b"event: x\n", {"dispatch": ["event: x"], "discard": [], "raise": []}),
        (b": c", {"dispatch": [], "discard": [], "raise": []}),
        (b"\xef\xbb", {"dispatch": ["\ufffd"], "discard": ["\ufffd"], "raise": ["\ufffd"]}),
    ],
)
def test_an_unfinished_last_line_without_effect(
    last: bytes, texts: dict[str, list[str]], mode: Mode
) -> None:
    assert ignored_by(last, incomplete=mode)[0] == texts[mode]


def test_an_unfinished_last_line_without_effect_counts_once_it_is_closed() -> None:
    decoder = SSEDecoder(incomplete="discard")
    decoder.feed(b"data: a\nfoo")
    assert (decoder.ignored, decoder.ignored_text) == (0, "")
    assert decoder.close() == []
    assert (decoder.ignored, decoder.ignored_text) == (1, "foo")
    assert decoder.close() == []
    assert decoder.ignored == 1
    assert decoder.incomplete


def test_lines_without_effect_of_an_event_that_is_skipped() -> None:
    heard: list[str] = []
    decoder = SSEDecoder(max_event_size=10, on_oversize="skip", on_ignored=heard.append)
    decoder.feed(b"event: x\nfoo\ndata: 0123456789\nevent: y\nbar\nlong: 56789\n\nevent: z\n\n")
    assert heard == ["foo", "bar", "event: z"]
    assert (decoder.skipped, decoder.ignored, decoder.ignored_text) == (1, 3, "foo\nbar")


KEPT = {  # the stream, and what is kept of it
    "a line of just so many bytes": (b"x" * 8192 + b"\ny\n", "x" * 8192),
    "a line of fewer": (b"x" * 8191 + b"\ny\n", "x" * 8191 + "\n"),
    "room for one more": (b"x" * 8190 + b"\ny\nz\n", "x" * 8190 + "\ny"),
    "a long line": (b"x" * 200_000 + b"\n", "x" * 8192),
    "half a character": (b"x" + "\u00fc".encode() * 5000 + b"\n", "x" + "\u00fc" * 4095),
    "half a long one": (b"xyz" + "\U0001f600".encode() * 5000, "xyz" + "\U0001f600" * 2047),
    "many lines": (b"0123456789\n" * 5000, ("0123456789\n" * 5000)[:8192]),
    "what is no UTF-8": (b"\xff" * 5000 + b"\n\xff\n", "\ufffd" * 5000 + "\n\ufffd"),
}


@pytest.mark.parametrize(("stream", "kept"), KEPT.values(), ids=KEPT.keys())
@pytest.mark.parametrize("step", [100, 1 << 30])
def test_the_first_8_kib_are_kept(stream: bytes, kept: str, step: int) -> None:
    decoder = SSEDecoder()
    for i in range(0, len(stream), step):
        decoder.feed(stream[i : i + step])
    decoder.close()
    assert decoder.ignored_text == kept
    assert decoder.ignored == len(stream.split())


@given(st.lists(st.binary(max_size=12)), cut_points, st.integers(1, 40))
def test_what_is_kept_is_the_start_of_it_all(
    lines: list[bytes], cuts: list[int], size: int
) -> None:
    lines = [b"x" + line.replace(b"\r", b"").replace(b"\n", b"") for line in lines]
    stream = b"\n".join(lines)
    decoder = SSEDecoder()
    with patch("sse_stream.decoder._IGNORED_TEXT", size):
        for chunk in vectors.cut(stream, [min(c, len(stream)) for c in cuts]):
            decoder.feed(chunk)
        decoder.close()
        kept = decoder.ignored_text
    assert stream.decode("utf-8", "replace").startswith(kept)
    cut_off = stream[:size].decode("utf-8", "replace").removeprefix(kept)
    assert len(cut_off) <= 1
    assert decoder.ignored == len(lines)


@given(streams, cut_points, limits, st.sampled_from(["dispatch", "discard", "raise"]))
def test_lines_without_effect_at_every_end(
    stream: bytes, cuts: list[int], limit: int | None, mode: Any
) -> None:
    flush = mode == "dispatch"
    if limit is None:
        expected = reference.decode(stream, flush=flush)
    else:
        expected = reference.decode_bounded(stream, limit, on_oversize="skip", flush=flush)
    listening = Listening(max_event_size=limit, on_oversize="skip", incomplete=mode)
    decoder = listening.decoder
    for chunk in vectors.cut(stream, [min(c, len(stream)) for c in cuts]):
        decoder.feed(chunk)
    try:
        decoder.close()
    except IncompleteEventError:
        assert mode == "raise"
    assert listening.heard == expected.heard
    assert (decoder.ignored, decoder.ignored_text) == (expected.ignored, expected.ignored_text)


@given(streams, cut_points, limits)
def test_listening_to_what_is_ignored_changes_nothing_else(
    stream: bytes, cuts: list[int], limit: int | None
) -> None:
    chunks = vectors.cut(stream, [min(c, len(stream)) for c in cuts])
    options: dict[str, Any] = {"max_event_size": limit, "on_oversize": "skip"}
    deaf = outcome_of(SSEDecoder(**options), chunks, [])
    assert outcome_of(SSEDecoder(on_ignored=lambda _: None, **options), chunks, []) == deaf


@pytest.mark.parametrize("line", [b"boom\n", b"retry: boom\n", b"id: \0boom\n", b"event: boom\n\n"])
@pytest.mark.parametrize("limit", [None, 14], ids=["fast", "measured"])
def test_an_exception_of_on_ignored_ends_the_decoder_and_loses_nothing(
    limit: int | None, line: bytes
) -> None:
    decoder = SSEDecoder(on_ignored=fail, max_event_size=limit)
    with pytest.raises(Fault, match="boom"):
        decoder.feed(b"id: 1\ndata: a\n\n" + line + b"data: b\n\n")
    assert decoder.ended
    with pytest.raises(ValueError, match="make a new one"):
        decoder.feed(b"data: c\n\n")
    assert (decoder.last_event_id, decoder.ignored) == ("1", 1)
    assert decoder.incomplete == (not line.startswith(b"event"))
    assert decoder.close() == [ServerSentEvent(data="a", id="1")]
    assert decoder.close() == []


def test_an_exception_of_on_ignored_at_a_long_line() -> None:
    def refuse(text: str) -> None:
        raise Fault(text[0])

    decoder = SSEDecoder(on_ignored=refuse)
    decoder.feed(b"x" * 70_000)
    with pytest.raises(Fault, match="x"):
        decoder.feed(b"\n")
    assert decoder.close() == []


@pytest.mark.parametrize("mode", ["dispatch", "discard", "raise"])
def test_an_exception_of_on_ignored_in_close(mode: Mode) -> None:
    decoder = SSEDecoder(on_ignored=fail, incomplete=mode)
    decoder.feed(b"id: 1\ndata: a\nretry: 5\n: c\nboom")
    with pytest.raises(Fault, match="boom"):
        decoder.close()
    assert decoder.close() == []
    assert (decoder.last_event_id, decoder.retry, decoder.ignored) == ("", 5, 1)
    assert decoder.incomplete


def test_an_exception_at_the_blank_line_leaves_its_id_in_force() -> None:
    decoder = SSEDecoder(on_ignored=fail)
    with pytest.raises(Fault):
        decoder.feed(b"event: x\nid: 1\n\n")
    assert (decoder.last_event_id, decoder.incomplete) == ("1", False)


@pytest.mark.parametrize("call", ["feed", "close"])
def test_the_decoder_cannot_be_used_from_within_on_ignored(call: str) -> None:
    def reenter(text: str) -> None:
        with pytest.raises(RuntimeError, match="on_ignored"):
            decoder.feed(b"data: x\n\n") if call == "feed" else decoder.close()

    decoder = SSEDecoder(on_ignored=reenter)
    assert decoder.feed(b"foo\r") == []
    assert decoder.feed(b"\ndata: a\n\nevent: x\n\nbar\ndata: c\n\nlast") == [
        ServerSentEvent(data="a"),
        ServerSentEvent(data="c"),
    ]
    assert decoder.close() == []
    assert decoder.ignored == 4


@pytest.mark.parametrize("step", [1, 4, 100])
def test_on_ignored_sees_the_state_at_its_line(step: int) -> None:
    stream = b"event: x\nid: 7\nfoo\nretry: 5\nretry: 6x\n\n\nbar\n: c\n"
    listening = Listening()
    for i in range(0, len(stream), step):
        listening.decoder.feed(stream[i : i + step])
    assert [tuple(call) for call in listening.heard] == [
        ("ignored", "foo", True, "", None, 1, "foo", 0),
        ("ignored", "retry: 6x", True, "", 5, 2, "foo", 0),
        ("ignored", "event: x", False, "7", 5, 3, "foo", 0),
        ("ignored", "bar", True, "7", 5, 4, "foo\nbar", 0),
        ("comment", "c", True, "7", 5, 4, "foo\nbar", 0),
    ]


# Copies.


def by_pickle(protocol: int, decoder: SSEDecoder) -> SSEDecoder:
    again: SSEDecoder = pickle.loads(pickle.dumps(decoder, protocol))
    return again


COPIERS: dict[str, Callable[[SSEDecoder], SSEDecoder]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": functools.partial(by_pickle, protocol)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}
HEARD: list[str] = []  # by functions, which are copied and pickled as they are


def hear(text: str) -> None:
    HEARD.append(text)
    if text == "boom":
        raise Fault(text)


def log_of(decoder: SSEDecoder, chunks: Iterable[bytes]) -> list[Any]:
    """Return what a decoder answers to each of these chunks and to its end, and what it tells."""

    def answer(call: Callable[[], list[ServerSentEvent]]) -> None:
        HEARD.clear()
        try:
            log.append(call())
        except (SSEError, Fault, ValueError) as error:
            log.append((type(error), error.args, getattr(error, "event", None)))
        state = decoder.last_event_id, decoder.retry, decoder.incomplete, decoder.ended
        counts = decoder.skipped, decoder.ignored, decoder.ignored_text
        log.append((HEARD.copy(), state, counts, repr(decoder)))

    log: list[Any] = []
    for chunk in chunks:
        answer(functools.partial(decoder.feed, chunk))
    answer(decoder.close)
    answer(decoder.close)
    return log


def check_copies(
    make: Callable[[], SSEDecoder], before: list[bytes], after: list[bytes], copier: Any
) -> None:
    """Copy a decoder between two calls; all go on as one that was never copied would."""

    def fed(decoder: SSEDecoder) -> SSEDecoder:
        for chunk in before:
            try:
                decoder.feed(chunk)
            except (SSEError, Fault, ValueError):  # noqa: PERF203  the next call raises it again
                pass
        return decoder

    expected = log_of(fed(make()), after)
    original = fed(make())
    first, second = copier(original), copier(original)
    assert type(first) is type(original)
    third = copier(second)
    other = [b"\n: other\nid: 9\ndata: other\n" * 3, b"other", *after]
    log_of(first, other)
    assert log_of(original, after) == expected
    assert log_of(second, after) == expected
    assert log_of(third, after) == expected


@given(
    streams | st.lists(st.sampled_from([*SHAPES, b": boom\n"]), max_size=8).map(b"".join),
    cut_points,
    st.integers(0, 6),
    limits,
    st.sampled_from(["raise", "skip"]),
    st.sampled_from(["dispatch", "discard", "raise"]),
    st.integers(1, 30),
    st.sampled_from([*COPIERS.values()]),
    some,
)
def test_a_decoder_can_be_copied_between_any_two_calls(
    stream: bytes,
    cuts: list[int],
    calls: int,
    limit: int | None,
    on_oversize: Any,
    incomplete: Any,
    size: int,
    copier: Any,
    heard: bool,
) -> None:
    def make() -> SSEDecoder:
        return SSEDecoder(
            max_event_size=limit,
            on_oversize=on_oversize,
            incomplete=incomplete,
            on_comment=hear if heard else None,
            on_ignored=hear if heard else None,
        )

    chunks = vectors.cut(stream, [min(c, len(stream)) for c in cuts])
    with vectors.small_thresholds(size):
        check_copies(make, chunks[:calls], chunks[calls:], copier)


PLACES: dict[str, tuple[dict[str, Any], list[bytes], bytes]] = {
    "new": ({}, [], b"\xef\xbb\xbfdata: a\n\n"),
    "half a byte order mark": ({}, [b"\xef\xbb"], b"\xbfdata: a\n\n"),
    "a line": ({}, [b"\n", b"da"], b"ta: a\n\n"),
    "after CR": ({}, [b"data: a\r"], b"\n\n"),
    "after a CR that dispatched": ({}, [b"data: a\r\r"], b"\ndata: b\n\n"),
    "a long line": ({}, [b"data: " + b"x" * 70_000] * 3, b"x\n\n"),
    "long data": ({}, [b"data: " + b"x" * 70_000 + b"\n", b"data: x\n" * 20_000], b"\n"),
    "many values": ({}, [b"event: x\ndata: x\n", b"data: y\nid: 1\nretry: 5\n"], b"\n"),
    "a long comment that nobody hears": ({}, [b": " + b"x" * 70_000] * 2, b"\ndata: a\n\n"),
    "skipping": (
        {"max_event_size": 10, "on_oversize": "skip"},
        [b"data: 0123456789\nid: 1\n"],
        b"data: x\n\ndata: a\n\n",
    ),
    "discarding": (
        {"max_event_size": 10, "on_oversize": "skip"},
        [b"data: 0123456789"],
        b"x\n\ndata: a\n\n",
    ),
    "too large, and due": ({"max_event_size": 9}, [b"data: a\n\ndata: 0123456789"], b"\n"),
    "too large": ({"max_event_size": 9}, [b"data: 0123456789"], b"\n"),
    "broken": ({"on_comment": hear}, [b"data: a\n\n:boom\n"], b"data: b\n\n"),
    "a type known": ({}, [b"\n", b"event: x\ndata: a\n\n"], b"event: x\ndata: b\n\n"),
    "ignored lines": ({}, [b"foo\nbar\n"], b"baz\n"),
}


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS.keys())
@pytest.mark.parametrize(("options", "before", "rest"), PLACES.values(), ids=PLACES.keys())
def test_a_decoder_can_be_copied_wherever_it_stands(
    options: dict[str, Any], before: list[bytes], rest: bytes, copier: Any
) -> None:
    check_copies(lambda: SSEDecoder(**options), before, [rest], copier)
    every_byte = [rest[i : i + 1] for i in range(len(rest))]
    check_copies(lambda: SSEDecoder(**options), before, every_byte, copier)


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS.keys())
@pytest.mark.parametrize("mode", ["dispatch", "raise"])
def test_a_closed_decoder_can_be_copied(copier: Any, mode: Mode) -> None:
    decoder = SSEDecoder(incomplete=mode)
    decoder.feed(b"id: 1\nretry: 5\ndata: a")
    try:
        decoder.close()
    except IncompleteEventError:
        pass
    again = copier(decoder)
    assert again.incomplete
    assert repr(again) == repr(decoder)
    assert log_of(again, [b""]) == log_of(decoder, [b""])


class Noting(SSEDecoder):
    """A decoder with attributes of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[str] = []


class Slotted(SSEDecoder):
    """A decoder with slots of its own, of which one is empty."""

    __slots__ = ("never_set", "seen")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[str] = []


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS.keys())
@pytest.mark.parametrize("make", [Noting, Slotted])
def test_a_subclass_is_copied_with_its_attributes(make: Any, copier: Any) -> None:
    decoder = make()
    decoder.feed(b"\n" + b"data: " + b"x" * 70_000)
    decoder.feed(b"x")
    decoder.seen.append("a")
    again = copier(decoder)
    assert type(again) is make
    assert again.seen == ["a"]
    assert (again.seen is decoder.seen) is (copier is copy.copy)
    assert not hasattr(again, "never_set")
    assert again.feed(b"\n\n") == decoder.feed(b"\n\n") != []
    check_copies(make, [b"data: x"], [b"\n\n"], copier)


class OneSlot(SSEDecoder):
    """The name of a single slot may stand by itself."""

    __slots__ = "seen"


class PrivateSlot(SSEDecoder):
    """A slot whose name is mangled."""

    __slots__ = ("__seen",)

    @property
    def seen(self) -> Any:
        return self.__seen

    @seen.setter
    def seen(self, value: Any) -> None:
        self.__seen = value


class Referable(SSEDecoder):
    """A slot that cannot be written to, beside one that can."""

    __slots__ = ("__weakref__", "seen")


class Open(SSEDecoder):
    """A slot for all other attributes."""

    __slots__ = ("__dict__",)


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS.keys())
@pytest.mark.parametrize("make", [OneSlot, PrivateSlot, Referable, Open])
def test_slots_of_every_kind_are_copied(make: Any, copier: Any) -> None:
    decoder = make()
    decoder.seen = "a"
    again = copier(decoder)
    assert again.seen == "a"
    again.seen = "b"
    assert decoder.seen == "a"
    check_copies(make, [b"data: x"], [b"\n\n"], copier)


def test_a_copy_holds_no_buffer_of_the_original() -> None:
    decoder = SSEDecoder()
    for _ in range(3):
        decoder.feed(b"data: " + b"x" * 70_000 + b"\n" + b"data: " + b"y" * 70_000)
    again = copy.copy(decoder)
    assert again._data is not decoder._data
    assert again._line is not decoder._line
    assert again._more_data is not decoder._more_data
    buffers = [part for part in again._line if type(part) is bytearray]
    assert all(part is not other for part in buffers for other in decoder._line)


# The bound.


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_the_bound_is_exact(ending: bytes, step: int) -> None:
    # "12" + LF + "345", and a line of 7 bytes: 6 + 7
    stream = b"\xef\xbb\xbf" + ending.join([b"data: 12", b"data:345", b": 34567", b"", b""])
    for limit, fits in ((13, True), (12, False)):
        decoder = SSEDecoder(max_event_size=limit)
        chunks = [stream[i : i + step] for i in range(0, len(stream), step)]
        if fits:
            assert [e for chunk in chunks for e in decoder.feed(chunk)] == [
                ServerSentEvent(data="12\n345")
            ]
        else:
            with pytest.raises(EventTooLargeError) as info:
                for chunk in chunks:
                    decoder.feed(chunk)
            assert info.value.limit == 12
            assert decoder.incomplete


def test_an_unfinished_line_is_measured() -> None:
    decoder = SSEDecoder(max_event_size=5)
    decoder.feed(b"abcde")
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"f")


@pytest.mark.parametrize("line", [b"data: 12", b"id: 2", b"other", b"data"])
def test_a_first_line_that_is_too_large_leaves_an_incomplete_event(line: bytes) -> None:
    decoder = SSEDecoder(max_event_size=3)
    with pytest.raises(EventTooLargeError):
        decoder.feed(line + b"\n")
    assert decoder.incomplete


@pytest.mark.parametrize("on_comment", [None, len], ids=["unheard", "heard"])
@pytest.mark.parametrize("step", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    "before",
    [
        [b"\n"],
        [b"id: 1\n"],
        [b"data: a\n"],
        [b"data: a\n\n"],
        [b"data: a", b"\n\n"],
        [b"data: a\r\n\r\n"],
        [b": c"],
    ],
    ids=repr,
)
def test_the_bound_is_exact_after_other_chunks(
    before: list[bytes], step: int, on_comment: Any
) -> None:
    for name, size, small in itertools.product(
        [b":", b"data: ", b"id: "], range(15, 23), [2, 1 << 16]
    ):
        line = name + b"x" * (size - len(name))
        for rest in (line + b"\n\ndata: b\n\n", line + b"\n" + line + b"\n\n"):
            chunks = [*before, *(rest[i : i + step] for i in range(0, len(rest), step))]
            expected = reference.decode_bounded(b"".join(chunks), 20)
            with vectors.small_thresholds(small):
                decoder = SSEDecoder(max_event_size=20, incomplete="discard", on_comment=on_comment)
                assert outcome_of(decoder, chunks, expected.comments) == expected


def test_a_crlf_cut_in_two_where_lines_are_measured() -> None:
    decoder = SSEDecoder(max_event_size=9)
    assert decoder.feed(b"data: 12X\r") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: \r\r") == [ServerSentEvent(data="12X\n")]
    assert decoder.feed(b"\n") == []
    assert not decoder.incomplete
    decoder = SSEDecoder(max_event_size=11)
    decoder.feed(b"data: 1\n")
    assert decoder.feed(b"data: 456X\r") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == [ServerSentEvent(data="1\n456X")]


def test_a_byte_order_mark_cut_in_two_does_not_count() -> None:
    for mode in ("raise", "skip"):
        decoder = SSEDecoder(max_event_size=1, on_oversize=mode)
        assert decoder.feed(b"\xef\xbb") + decoder.feed(b"\xbf\n") + decoder.close() == []
        assert decoder.skipped == 0


def test_skipped_blocks_are_incomplete_if_they_have_a_field() -> None:
    decoder = SSEDecoder(max_event_size=7, on_oversize="skip")
    decoder.feed(b": 345678\n")
    assert (decoder.skipped, decoder.incomplete) == (1, False)
    decoder.feed(b"data: x\n")
    assert decoder.incomplete
    decoder = SSEDecoder(max_event_size=7, on_oversize="skip")
    decoder.feed(b"data: xyz\n")
    assert decoder.incomplete


def test_an_id_that_fits_exactly_counts_in_a_skipped_block() -> None:
    decoder = SSEDecoder(max_event_size=8, on_oversize="skip")
    assert decoder.feed(b"data: 78\n") + decoder.feed(b"id: 5678") + decoder.feed(b"\n\n") == []
    assert (decoder.last_event_id, decoder.skipped) == ("5678", 1)


@pytest.mark.parametrize("line", ["DATA: x", "Data: x", "EVENT: x", "ID: x", "RETRY: 1"])
def test_names_of_fields_are_case_sensitive(line: str) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(f"{line}\n\n".encode()) == []
    assert (decoder.ignored_text, decoder.last_event_id, decoder.retry) == (line, "", None)


@pytest.mark.parametrize("end", ["   ", "XXX", "\t\t\t", "\v\f\xa0"])
def test_the_end_of_a_value_is_measured(end: str) -> None:
    line = f"data: a{end}".encode()
    stream = line + b"\n\n"
    assert SSEDecoder(max_event_size=len(line)).feed(stream) == [ServerSentEvent(data=f"a{end}")]
    with pytest.raises(EventTooLargeError):
        SSEDecoder(max_event_size=len(line) - 1).feed(stream)


def test_a_line_that_fits_exactly_after_one_that_is_too_large_by_itself() -> None:
    decoder = SSEDecoder(max_event_size=8, on_oversize="skip")
    assert decoder.feed(b"data: 7890\nid: 5678\n\n") == []
    assert (decoder.last_event_id, decoder.skipped) == ("5678", 1)


def test_what_is_large_is_held_in_place() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"\ndata: ")
    for _ in range(2):
        decoder.feed(b"x" * 70_000)
    line = decoder._line[0]
    assert type(line) is bytearray
    for _ in range(4):
        decoder.feed(b"x" * 70_000)
    assert decoder._line[0] is line
    del line
    decoder.feed(b"\n")
    for _ in range(2):
        decoder.feed(b"data: x\n" * 10_000)
    data = decoder._data
    assert type(data) is bytearray
    for _ in range(3):
        decoder.feed(b"data: x\n" * 10_000)
    assert decoder._data is data
    assert decoder.feed(b"\n") == [ServerSentEvent(data="x" * 420_000 + "\nx" * 50_000)]
    assert decoder._data is None
    assert decoder._line == decoder._more_data == []


def test_what_came_in_small_chunks_is_joined() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"\ndata: ")
    for _ in range(30_000):
        decoder.feed(b"x" * 16)
    assert len(decoder._line) < 10_000
    decoder.feed(b"\n")
    for _ in range(30_000):
        decoder.feed(b"data: x\n")
    assert len(decoder._more_data) < 10_000


def test_comments_do_not_add_up() -> None:
    decoder = SSEDecoder(max_event_size=8)
    assert decoder.feed(b": 345678\n" * 1000 + b"data: 78\n\n") == [ServerSentEvent(data="78")]
    assert decoder.skipped == 0


def test_too_large_after_completed_events() -> None:
    decoder = SSEDecoder(max_event_size=9)
    assert decoder.feed(b"id: 1\ndata: a\n\ndata: 0123456789\n\ndata: b\n\n") == [
        ServerSentEvent(data="a", id="1")
    ]
    for _ in range(2):
        with pytest.raises(EventTooLargeError) as info:
            decoder.feed(b"")
        assert info.value.limit == 9
        with pytest.raises(EventTooLargeError) as info:
            decoder.close()
        assert info.value.limit == 9
    assert decoder.last_event_id == "1"
    assert decoder.incomplete


def test_a_large_comment_is_no_event() -> None:
    decoder = SSEDecoder(max_event_size=5)
    with pytest.raises(EventTooLargeError):
        decoder.feed(b": 123456\n")
    assert not decoder.incomplete


def test_skip() -> None:
    heard: list[str] = []
    decoder = SSEDecoder(max_event_size=10, on_oversize="skip", on_comment=heard.append)
    stream = b"id: 1\ndata: 0123456789\nretry: 7\n: c\ndata: x\nid: 123456789\n\ndata: ok\n\n"
    events = [event for i in range(len(stream)) for event in decoder.feed(stream[i : i + 1])]
    assert events == [
        ServerSentEvent(data="ok", id="1")
    ]  # the retry was not this event's own; the long ID did not fit
    assert (decoder.retry, decoder.skipped, heard) == (7, 1, ["c"])


def test_skip_and_the_end_of_the_stream() -> None:
    expectations: list[tuple[Mode, str]] = [("dispatch", "9"), ("discard", "")]
    for mode, last_event_id in expectations:
        decoder = SSEDecoder(max_event_size=9, on_oversize="skip", incomplete=mode)
        assert decoder.feed(b"id: 9\ndata: 0123456789") == []
        assert decoder.incomplete
        assert decoder.close() == []
        assert (decoder.last_event_id, decoder.skipped, decoder.incomplete) == (
            last_event_id,
            1,
            True,
        )
    decoder = SSEDecoder(max_event_size=9, on_oversize="skip", incomplete="raise")
    decoder.feed(b"id: 9\ndata: 0123456789")
    with pytest.raises(IncompleteEventError) as info:
        decoder.close()
    assert info.value.event is None


# The end.


def test_the_three_ends() -> None:
    stream = b"id: 1\nretry: 5\ndata: a\nretry: 6"
    decoder = SSEDecoder()
    decoder.feed(stream)
    assert decoder.incomplete
    assert decoder.close() == [ServerSentEvent(data="a", id="1", retry=6)]
    assert (decoder.last_event_id, decoder.retry, decoder.incomplete) == ("1", 6, True)
    decoder = SSEDecoder(incomplete="discard")
    decoder.feed(stream)
    assert decoder.close() == []
    assert (decoder.last_event_id, decoder.retry, decoder.incomplete) == ("", 5, True)
    decoder = SSEDecoder(incomplete="raise")
    decoder.feed(stream)
    with pytest.raises(IncompleteEventError) as info:
        decoder.close()
    assert info.value.event == ServerSentEvent(data="a", id="1", retry=6)
    assert (decoder.last_event_id, decoder.retry, decoder.incomplete) == ("", 5, True)


def test_after_close() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"id: 1\nretry: 2\ndata: a")
    assert len(decoder.close()) == 1
    assert decoder.close() == []
    for chunk in (b"", b"data: b\n\n"):
        with pytest.raises(ValueError, match="one stream"):
            decoder.feed(chunk)
    assert (decoder.last_event_id, decoder.retry, decoder.incomplete, decoder.skipped) == (
        "1",
        2,
        True,
        0,
    )


@pytest.mark.parametrize("mode", ["dispatch", "discard", "raise"])
@pytest.mark.parametrize(
    "stream", [b"", b"\xef\xbb\xbf", b": ping\n", b"\n\n", b"data: a\n\n", b"\xef\xbb\xbf: a"]
)
def test_a_clean_end(stream: bytes, mode: Mode) -> None:
    decoder = SSEDecoder(incomplete=mode)
    decoder.feed(stream)
    assert decoder.close() == []
    assert not decoder.incomplete


@pytest.mark.parametrize("stream", [b"\xef", b"\xef\xbb"])
def test_half_a_byte_order_mark_is_a_line(stream: bytes) -> None:
    decoder = SSEDecoder()
    decoder.feed(stream)
    assert not decoder.incomplete  # it may still become one
    assert decoder.close() == []
    assert decoder.incomplete


# Options.


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"last_event_id": b"7"}, TypeError),
        ({"last_event_id": None}, TypeError),
        ({"max_event_size": "1 MiB"}, TypeError),
        ({"max_event_size": 1e6}, TypeError),
        ({"max_event_size": 0}, ValueError),
        ({"max_event_size": -1}, ValueError),
        ({"on_oversize": "drop"}, ValueError),
        ({"incomplete": "flush"}, ValueError),
        ({"incomplete": True}, ValueError),
        ({"on_comment": "print"}, TypeError),
        ({"on_ignored": "print"}, TypeError),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        SSEDecoder(**options)


def test_options_have_names() -> None:
    with pytest.raises(TypeError):
        SSEDecoder("7")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# Events and errors.


def test_an_event_is_a_named_tuple() -> None:
    event = ServerSentEvent("delta", '{"a": 1}', "7", 50)
    assert tuple(event) == ("delta", '{"a": 1}', "7", 50)
    assert tuple(ServerSentEvent()) == ("message", "", "", None)
    assert repr(event) == "ServerSentEvent(event='delta', data='{\"a\": 1}', id='7', retry=50)"
    assert hash(event) == hash(ServerSentEvent("delta", '{"a": 1}', "7", 50))
    assert event._replace(id="8").id == "8"
    assert pickle.loads(pickle.dumps(event)) == event == copy.deepcopy(event)
    assert type(pickle.loads(pickle.dumps(event))) is ServerSentEvent
    with pytest.raises(AttributeError):
        event.data = ""  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError):
        setattr(event, "other", "")  # noqa: B010  checkers know that it cannot be
    match event:
        case ServerSentEvent("delta", data=data, id="7"):
            assert data == '{"a": 1}'
        case _:
            pytest.fail("no match")


def test_decoded_events_are_of_the_class() -> None:
    for event in decode(b"data: a\n\nevent: b\ndata: c\n\ndata: d"):
        assert type(event) is ServerSentEvent


def test_json() -> None:
    event = ServerSentEvent(data='{"a": 1.5}')
    assert event.json() == {"a": 1.5}
    assert event.json(str.upper) == '{"A": 1.5}'
    assert event.json(lambda text: json.loads(text, parse_float=str)) == {"a": "1.5"}
    with pytest.raises(json.JSONDecodeError):
        ServerSentEvent(data="{").json()


@pytest.mark.parametrize(
    "error",
    [
        EventTooLargeError(5),
        IncompleteEventError(ServerSentEvent(data="a")),
        IncompleteEventError(),
    ],
)
def test_errors_are_picklable(error: SSEError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
    assert isinstance(error, SSEError)


def test_errors_say_what_to_do() -> None:
    assert str(EventTooLargeError(5)) == (
        "the stream sent an event larger than max_event_size=5 bytes; to accept it, raise "
        'max_event_size (None: no bound), or pass on_oversize="skip" to drop such events and '
        "read on"
    )
    assert str(IncompleteEventError()) == (
        "the stream ended inside an event, before its blank line: the server or the connection "
        "broke off; what came of the event is in .event"
    )
    assert str(IncompleteEventError(None, "no mark")) == "no mark"


def test_a_decoder_is_freed_without_the_collector() -> None:
    class Referable(SSEDecoder):  # without slots, so that it can be referred to weakly
        pass

    decoder = Referable()
    for _ in range(3):
        decoder.feed(b"data: a\nid: 1\n\ndata: b")
    reference_ = weakref.ref(decoder)
    del decoder
    assert reference_() is None


# The one file.


def test_the_file_works_alone(tmp_path: Path) -> None:
    import subprocess

    source = Path(sys.modules["sse_stream.decoder"].__file__ or "").read_text()
    (tmp_path / "my_decoder.py").write_text(source)
    program = (
        "import my_decoder, sys\n"
        "decoder = my_decoder.SSEDecoder(max_event_size=9)\n"
        "assert decoder.feed(b'data: a\\n\\n') == [my_decoder.ServerSentEvent(data='a')]\n"
        "try: decoder.feed(b'data: 0123456789')\n"
        "except my_decoder.SSEError as error: print(error)\n"
        "assert not any(name.startswith('sse_stream') for name in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith("the stream sent an event larger than max_event_size=9 bytes")


def test_the_file_names_its_version_and_origin() -> None:
    import sse_stream
    import sse_stream.decoder

    assert f"sse_stream {sse_stream.__version__}," in (sse_stream.decoder.__doc__ or "")


# The whole texts.


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"last_event_id": None}, 'last_event_id must be a str ("" for none), not NoneType'),
        ({"max_event_size": 1e6}, "max_event_size must be an int or None, not float"),
        ({"max_event_size": 0}, "max_event_size must be at least 1, or None, not 0"),
        ({"on_oversize": 5}, 'on_oversize must be "raise" or "skip", not 5'),
        ({"incomplete": 5}, 'incomplete must be "dispatch", "discard" or "raise", not 5'),
        ({"on_comment": 5}, "on_comment must be callable or None, not int"),
        ({"on_ignored": 5}, "on_ignored must be callable or None, not int"),
    ],
)
def test_the_whole_text_about_a_wrong_option(options: dict[str, Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        SSEDecoder(**options)
    assert str(caught.value) == text


def test_the_whole_text_about_a_wrong_chunk() -> None:
    chunk: Any = 5
    with pytest.raises(TypeError) as caught:
        SSEDecoder().feed(chunk)
    assert str(caught.value) == "feed() takes bytes, bytearray or memoryview, not int"


def test_the_whole_texts_of_errors() -> None:
    assert str(EventTooLargeError(7)) == (
        "the stream sent an event larger than max_event_size=7 bytes; to accept it, raise "
        'max_event_size (None: no bound), or pass on_oversize="skip" to drop such events and '
        "read on"
    )
    assert str(IncompleteEventError()) == (
        "the stream ended inside an event, before its blank line: the server or the connection "
        "broke off; what came of the event is in .event"
    )
    assert str(IncompleteEventError(None, "text")) == "text"
    assert IncompleteEventError(ServerSentEvent()).event == ServerSentEvent()


def test_the_whole_repr() -> None:
    decoder = SSEDecoder(last_event_id="7")
    assert repr(decoder) == "<SSEDecoder open, last_event_id='7'>"
    decoder.feed(b"data: a")
    assert repr(decoder) == "<SSEDecoder open inside an event, last_event_id='7'>"
    decoder.close()
    assert repr(decoder) == "<SSEDecoder ended inside an event, last_event_id='7'>"


# What small changes to the code would break.


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        (b"data: \xff\ndata: a\n\n", ServerSentEvent(data="\ufffd\na")),
        (b"event: \xff\ndata: a\n\n", ServerSentEvent("\ufffd", "a")),
        (b"id: \xff\ndata: a\n\n", ServerSentEvent(data="a", id="\ufffd")),
        (b"id:1:2\nevent:a:b\ndata:x:y\n\n", ServerSentEvent("a:b", "x:y", "1:2")),
    ],
)
def test_values_of_every_field(stream: bytes, event: ServerSentEvent) -> None:
    assert decode(stream) == decode(b"retry: x\n" + stream) == [event]


@pytest.mark.parametrize("value", ["a  ", "a\t", "XX", "a"])
def test_values_that_are_measured_keep_their_ends(value: str) -> None:
    line = f"data:{value}".encode()
    events = decode(line + b"\r\n\r\n", max_event_size=len(line))
    assert events == [ServerSentEvent(data=value)]


def test_what_is_ignored_is_counted_and_kept_or_not() -> None:
    def ignored(stream: bytes, **options: Any) -> tuple[int, str]:
        decoder = SSEDecoder(**options)
        decoder.feed(stream)
        decoder.close()
        return decoder.ignored, decoder.ignored_text

    assert ignored(b"id: 1\n\n") == (0, "")
    assert ignored(b"id: \0\nretry: x\n\n") == (2, "")
    assert ignored(b"\xef\xbb\xbf") == (0, "")
    assert ignored(b"event: x\n") == (1, "")
    assert ignored(b"event: x\n", incomplete="discard") == (0, "")


def test_a_copy_within_an_event_has_its_data() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: a\n")
    assert copy.copy(decoder).feed(b"\n") == decoder.feed(b"\n") == [ServerSentEvent(data="a")]
