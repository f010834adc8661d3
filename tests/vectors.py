# SPDX-License-Identifier: MIT
"""The recorded streams in tests/data, ways to cut them, what must come out of each piece, and thresholds of their size."""

from __future__ import annotations

import base64
import gzip
import json
import random
from bisect import bisect_left
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from tests import reference

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

DATA = Path(__file__).parent / "data"


class Expected(NamedTuple):
    events: list[tuple[str, str, str]]
    retry: int | None
    last_event_id: str


class Case(NamedTuple):
    name: str
    stream: bytes
    discard: Expected
    flush: Expected

    @property
    def family(self) -> str:
        return self.name.rpartition("-")[0]


def load(file_name: str) -> list[Case]:
    path = DATA / file_name
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [_case(case) for case in json.loads(text)["cases"]]


def _case(case: dict[str, Any]) -> Case:
    discard, flush = (
        Expected([(e["event"], e["data"], e["id"]) for e in case[events]], case["retry" + end], case["last_event_id" + end])
        for events, end in (("events_discard", ""), ("events_flush", "_flush"))
    )
    return Case(case["name"], base64.b64decode(case["stream_b64"]), discard, flush)


def cut(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut the stream at these offsets; an offset given twice makes an empty chunk."""
    offsets = [0, *sorted(cuts), len(stream)]
    return [stream[start:end] for start, end in zip(offsets, offsets[1:], strict=False)]


def cuttings(stream: bytes, *, two_way: int = 64, seeded: int = 4) -> Iterator[list[bytes]]:
    """The stream whole, byte by byte, in two parts everywhere if it is short, and at random cuts with empty chunks."""
    yield [stream]
    yield [stream[i : i + 1] for i in range(len(stream))]
    if len(stream) <= two_way:
        for i in range(len(stream) + 1):
            yield [stream[:i], b"", stream[i:]]
    chance = random.Random(stream)
    for _ in range(seeded):
        yield cut(stream, [chance.randint(0, len(stream)) for _ in range(chance.randint(1, 8))])


def completions(stream: bytes) -> list[int]:
    """Return for each event how many bytes of the stream complete it."""
    total = len(reference.decode(stream).events)
    lengths = range(len(stream) + 1)
    return [
        bisect_left(lengths, number, key=lambda length: len(reference.decode(stream[:length]).events))
        for number in range(1, total + 1)
    ]


@contextmanager
def small_thresholds(size: int) -> Generator[None, None, None]:
    """Let the decoder take for long what is short: a piece of a chunk, a line, the lines that may wait."""
    with (
        patch("sse_stream.decoder._PIECE", 2 * size),
        patch("sse_stream.decoder._SHORT", size),
        patch("sse_stream.decoder._SMALL", size // 2),
    ):
        yield
