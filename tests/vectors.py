# SPDX-License-Identifier: MIT
"""The recorded streams in tests/data, ways to cut them, and what must come out of each piece.

`python3 -m tests.vectors [MODULE | FILE]` replays them all through a copy of the decoder: whole,
byte by byte, in two parts everywhere if they are short, and at seeded cuts. It names the copy by
its module (`yourtool._vendor.sse_stream.decoder`) or by its file, needs nothing but the standard
library and this folder, prints how many replays agreed or the first that did not, and exits with
status 1 if one did not.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import importlib
import importlib.util
import json
import platform
import random
import sys
from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from tests import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from types import ModuleType

    from sse_stream.decoder import SSEDecoder

FILES = ("wpt.json", "services.json", "browser.json.gz")
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
        Expected(
            [(e["event"], e["data"], e["id"]) for e in case[events]],
            case["retry" + end],
            case["last_event_id" + end],
        )
        for events, end in (("events_discard", ""), ("events_flush", "_flush"))
    )
    return Case(case["name"], base64.b64decode(case["stream_b64"]), discard, flush)


def cut(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut the stream at these offsets; an offset given twice makes an empty chunk."""
    offsets = [0, *sorted(cuts), len(stream)]
    return [stream[start:end] for start, end in zip(offsets, offsets[1:], strict=False)]


def cuttings(stream: bytes, *, two_way: int = 64, seeded: int = 4) -> Iterator[list[bytes]]:
    """Cut a stream in many ways, with empty chunks.

    Whole, byte by byte, in two parts everywhere if it is short, and at random.
    """
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
        bisect_left(
            lengths, number, key=lambda length: len(reference.decode(stream[:length]).events)
        )
        for number in range(1, total + 1)
    ]


@contextmanager
def small_thresholds(size: int, module: str = "sse_stream.decoder") -> Generator[None, None, None]:
    """Let the decoder take for long what is short: a chunk, a line, what is held unmeasured.

    module: a copy of the decoder that has been imported.
    """
    with patch(f"{module}._PIECE", 2 * size), patch(f"{module}._SHORT", size):
        yield


def replays(make_decoder: Callable[..., SSEDecoder], case: Case) -> Iterator[str]:
    """Replay the case in every cutting and mode.

    Yield for each how it differs from what must come out, "" if it does not.
    """
    offsets = completions(case.stream)
    for chunks in cuttings(case.stream):
        for mode, expected in (("discard", case.discard), ("dispatch", case.flush)):
            replayed = f"{case.name}, incomplete={mode!r}, chunks {chunks}"
            try:
                difference = _replay(make_decoder(incomplete=mode), chunks, offsets, expected)
            except (
                Exception
            ) as error:  # a copy may fail in any way; the next replay is of another decoder
                difference = f"raised {error!r}"
            yield difference and f"{replayed}: {difference}"


def _replay(
    decoder: SSEDecoder, chunks: list[bytes], offsets: list[int], expected: Expected
) -> str:
    events: list[tuple[str, str, str]] = []
    fed = 0
    for chunk in chunks:
        events += [event[:3] for event in decoder.feed(chunk)]
        fed += len(chunk)
        if len(events) != bisect_right(offsets, fed):
            return (
                f"after {fed} bytes there must be {bisect_right(offsets, fed)} events, not {events}"
            )
    events += [event[:3] for event in decoder.close()]
    outcome = Expected(events, decoder.retry, decoder.last_event_id)
    return "" if outcome == expected else f"must give {expected}, not {outcome}"


def load_copy(name: str) -> ModuleType:
    """Import the module of this name, or the file at this path by itself."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location("decoder_under_test", name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pickle and the like look a module up
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.vectors",
        description="Replay the recorded streams through a copy of the decoder.",
    )
    parser.add_argument(
        "copy",
        nargs="?",
        default="sse_stream.decoder",
        help="its module or its .py file (default: %(default)s)",
    )
    copy = parser.parse_args(arguments).copy
    try:
        module = load_copy(copy)
        make_decoder = module.SSEDecoder
    except (ImportError, OSError, AttributeError) as error:
        parser.error(f"cannot take SSEDecoder from {copy}: {error}")
    cases = [case for file_name in FILES for case in load(file_name)]
    count = 0
    for case in cases:
        for difference in replays(make_decoder, case):
            if difference:
                print(f"DIFFERENT: {difference}")
                return 1
            count += 1
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(
        f"{module.__file__}: {len(cases)} streams, {count} replays, all as they must be ({python})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
