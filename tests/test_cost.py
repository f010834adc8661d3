# SPDX-License-Identifier: MIT
"""What decoding costs: time in proportion to the bytes, memory in proportion to the event held.

No figure here is a speed. Time is judged by its growth, fourfold work against the time of the
single one, with a margin that lets a noisy machine pass and nothing quadratic (which would take
sixteen times as long). Memory is what tracemalloc counts.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from sse_stream import EventStream, SSEDecoder
from sse_stream.handshake import Headers, header_value
from sse_stream.relay import _Lines, rewrite, tee, whole_events  # pyright: ignore[reportPrivateUsage]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20


def pieces(stream: bytes, size: int) -> Iterator[bytes]:
    view = memoryview(stream)
    return (bytes(view[start : start + size]) for start in range(0, len(stream), size))


def consume(chunks: Iterator[bytes], **options: Any) -> int:
    decoder = SSEDecoder(**options or {"max_event_size": None})
    count = sum(len(decoder.feed(chunk)) for chunk in chunks)
    return count + len(decoder.close())


def one_event(size: int) -> bytes:
    return b"data: " + b"x" * size + b"\n\n"


def data_lines(number: int) -> bytes:
    return b"data: 0123456789\n" * number + b"\n"


def dense_data_lines(number: int) -> bytes:
    return b"data:0123456789\n" * number + b"\n"


def comments(number: int) -> bytes:
    return b": 0123456789\n" * number


def events(number: int) -> bytes:
    return b"data: 0123456789\n\n" * number


def blank_lines(number: int) -> bytes:
    return b"\n" * number


def crs(number: int) -> bytes:
    return b"data: 0123456789\r\r" * number


def one_comment(size: int) -> bytes:
    return b":" + b"x" * size


def unknown_lines(number: int) -> bytes:
    return b'  "name": "value",\n' * number


def skipped_lines(number: int) -> bytes:
    return b"data: " + b"x" * 2000 + b"\n" + b"y" * 1000 * number + b"\n\n"


def invalid_utf8(size: int) -> bytes:
    return b"data: " + b"\xff\xe2\x82" * (size // 3) + b"\n\n"


@pytest.mark.parametrize("chunk_size", [16, 1024, 65536, 1 << 30], ids=lambda size: f"{size} B")
@pytest.mark.parametrize(
    ("make", "number"),
    [
        (one_event, MIB // 2),
        (one_comment, MIB // 2),
        (invalid_utf8, MIB // 2),
        (data_lines, 12_000),
        (dense_data_lines, 12_000),
        (comments, 12_000),
        (events, 12_000),
        (blank_lines, 50_000),
        (crs, 12_000),
        (unknown_lines, 12_000),
        (skipped_lines, 500),
    ],
)
def test_time_grows_with_the_bytes(
    make: Callable[[int], bytes], number: int, chunk_size: int
) -> None:
    options = (
        {"max_event_size": 1000 * 4 * number, "on_oversize": "skip"}
        if make is skipped_lines
        else {}
    )
    small, large = make(number), make(4 * number)

    def seconds(stream: bytes) -> float:
        gc.collect()
        start = time.process_time()  # what other processes take does not count
        consume(pieces(stream, chunk_size), **options)
        return time.process_time() - start

    def growth() -> float:
        pairs = [(seconds(small), seconds(large)) for _ in range(3)]
        return min(large for _, large in pairs) / (min(small for small, _ in pairs) + 0.001)

    assert any(
        growth() < 10 for _ in range(3)
    )  # a neighbour can disturb one measurement, not three


def memory(stream: bytes, chunk_size: int, size: int) -> tuple[float, float]:
    """Return the most that is held between calls, and the peak, in multiples of the data."""
    chunks = pieces(stream, chunk_size)
    decoder = SSEDecoder(max_event_size=None)
    held = 0
    tracemalloc.start()
    try:
        for chunk in chunks:
            before = tracemalloc.get_traced_memory()[0] - len(chunk)
            held = max(held, before)
            decoder.feed(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return held / size, peak / size


def long_lines(number: int) -> bytes:
    return (b"data: " + b"x" * 9_999 + b"\n") * (number // 10_000) + b"\n"


def longer_lines(number: int) -> bytes:
    return (b"data: " + b"x" * 99_999 + b"\n") * (number // 100_000) + b"\n"


def event_with_an_id(size: int) -> bytes:
    return b"id: 1\n" + one_event(size)


def long_type(size: int) -> bytes:
    return b"event: " + b"x" * size + b"\ndata\n\n"


SHAPES: list[tuple[Callable[[int], bytes], int]] = [
    (one_event, 1), (data_lines, 11), (long_lines, 1), (longer_lines, 1), (event_with_an_id, 1),
    (long_type, 1),
]  # fmt: skip


@pytest.mark.parametrize("chunk_size", [16, 1024, 65536])
@pytest.mark.parametrize(("make", "data_size"), SHAPES)
def test_memory_of_an_event(make: Callable[[int], bytes], data_size: int, chunk_size: int) -> None:
    size = MIB
    held, peak = memory(make(size // data_size), chunk_size, size)
    assert held < 1.5
    assert peak < 3


def test_memory_of_an_event_in_one_chunk() -> None:
    size = 8 * MIB
    held, peak = memory(one_event(size), 1 << 30, size)
    assert held < 1.5
    assert peak < 1 + 3  # the chunk itself, and the event


def test_a_comment_that_nobody_hears_is_not_held() -> None:
    held, peak = memory(one_comment(16 * MIB), 65536, 16 * MIB)
    assert held < 0.2
    assert peak < 0.3


@pytest.mark.parametrize("chunk_size", [16, 1024, 65536])
def test_of_lines_that_are_ignored_the_start_is_held(chunk_size: int) -> None:
    held, peak = memory(unknown_lines(50_000), chunk_size, MIB)
    assert held < 0.25  # of the length of all lines
    assert peak < 0.5


def test_nothing_is_held_after_an_event() -> None:
    decoder = SSEDecoder()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for chunk in pieces(one_event(4 * MIB), 1024):
            decoder.feed(chunk)
        assert tracemalloc.get_traced_memory()[0] - before < 65536
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", ["x" * 58, "\u00fc" * 29], ids=["ASCII", "others"])
def test_a_stream_that_waits_holds_no_chunk(value: str) -> None:
    held = []

    def chunks() -> Iterator[bytes]:
        yield b"data: a\n\n"
        tracemalloc.start()
        yield f"data: {value}\n\n".encode() * 1000
        held.append(tracemalloc.get_traced_memory()[0])

    try:
        assert sum(1 for _ in EventStream(chunks())) == 1001
    finally:
        tracemalloc.stop()
    assert held[0] < 8192


# The full sizes, once, in CI: pytest -m large. With chunks of 16 bytes they would take minutes, and
# show nothing that the tests above do not.


@pytest.mark.large
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk_size", [256, 1024, 65536])
def test_64_mib(chunk_size: int) -> None:
    held, peak = memory(one_event(64 * MIB), chunk_size, 64 * MIB)
    assert held < 1.5
    assert peak < 3


@pytest.mark.large
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk_size", [256, 1024, 65536])
def test_500_000_data_lines(chunk_size: int) -> None:
    held, peak = memory(data_lines(500_000), chunk_size, 500_000 * 11)
    assert held < 1.5
    assert peak < 3


@pytest.mark.large
@pytest.mark.timeout(600)
def test_a_million_comments_and_a_million_events() -> None:
    assert consume(pieces(comments(1_000_000), 1 << 30)) == 0
    assert consume(pieces(comments(1_000_000), 16)) == 0
    assert len(SSEDecoder().feed(events(1_000_000))) == 1_000_000


# A chunk that a hundred compressed bytes may have unfolded to.


def test_what_a_relay_reads_at_once_of_a_large_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds more than a hundred bytes for each event of that."""
    sizes: list[int] = []
    cuts = _Lines.cuts

    def measured(lines: _Lines, chunk: bytes) -> list[int]:
        sizes.append(len(chunk))
        return cuts(lines, chunk)

    monkeypatch.setattr(_Lines, "cuts", measured)
    chunk = b"data: y\n\n" + b":" * 200_000 + b"\n\ndata: x\n\n"
    assert [*whole_events([chunk])] == [chunk]
    assert [*rewrite([chunk], lambda event: event)] == [chunk]
    assert max(sizes) == 65536


def test_what_a_tee_decodes_at_once_of_a_large_chunk() -> None:
    sizes: list[int] = []

    class Decoder(SSEDecoder):
        def feed(self, chunk: Any) -> list[Any]:
            sizes.append(len(chunk))
            return super().feed(chunk)

    data: list[str] = []
    chunks = [b":" * 200_000, b"\n\ndata: x\n\n"]
    with tee(chunks, on_event=lambda event: data.append(event.data), decoder=Decoder()) as teed:
        assert [*teed] == chunks
    assert data == ["x"]
    assert max(sizes) == 65536


# Header fields.


def test_a_header_field_that_comes_often() -> None:
    def seconds(number: int) -> float:
        fields = [("A", "")] * number
        return min(timed(lambda: Headers(fields)) for _ in range(3))

    small, large = seconds(10_000), seconds(160_000)
    assert large < 80 * small  # sixteen times, if it is linear; 256 times, if it is quadratic


def test_no_step_is_taken_for_each_character_of_an_id() -> None:
    """It may have 64 MiB, and is looked at several times for each connection."""
    steps: list[str] = []
    sys.setprofile(lambda frame, event, argument: steps.append(event))
    try:
        value = header_value("x" * 1000)
    finally:
        sys.setprofile(None)
    assert value == b"x" * 1000
    assert len(steps) < 100


def timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin
