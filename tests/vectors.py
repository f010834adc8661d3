# SPDX-License-Identifier: MIT
r"""The recorded streams in tests/data, ways to cut them, and what must come out of each piece.

    python3 -m tests.vectors replay [MODULE | FILE]

replays them all through a copy of the decoder: whole, byte by byte, in two parts everywhere if they
are short, and at seeded cuts. The copy is named by its module (`tool._vendor.sse_stream.decoder`)
or by its file. It needs nothing but the standard library and this folder, prints how many replays
agreed or the first that did not, and exits with status 1 if one did not.

    python3 -m tests.vectors add NAME STREAM [--about TEXT]

adds a stream to tests/data/own.json, with what the reference decoder makes of it, and replays it
through the package. Look at what it prints: from now on the tests ask for it. In STREAM \n, \r, \t,
\0, \\ and \uHHHH are what they are in Python, and \xHH is a byte; `-` takes the bytes of standard
input as they are.

The files are JSON, for any language: a list of cases, each with its
    name           unique in all files.
    about          what it shows; may be missing.
    stream         its bytes as text in UTF-8, or
    stream_latin1  the same for a stream that is not UTF-8: each character is a byte.
    events         what a browser dispatches: type, data, last event ID.
    retry, last_event_id   the state at the end; null and "" at first.
    at_end         what an end that counts as a blank line adds: further events, and the state then.
                   It is missing if that changes nothing.
A text that is a list is to be joined; [text, number] in it is that text so many times.
wpt.json has the streams of the Web Platform Tests, services.json what services of language models
and others send, browser.json 2,500 random ones that browsers have read, own.json the rest.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import platform
import random
import re
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

FILES = ("wpt.json", "services.json", "browser.json", "own.json")
OWN = "own.json"
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
    """Return the cases of a file in tests/data."""
    document = json.loads((DATA / file_name).read_text(encoding="utf-8"))
    return [from_json(case) for case in document["cases"]]


def from_json(case: dict[str, Any]) -> Case:
    """Return the case that stands in a file."""
    if "stream" in case:
        stream = _joined(case["stream"]).encode()
    else:
        stream = _joined(case["stream_latin1"]).encode("latin-1")
    discard = _expected(case, [])
    flush = _expected(case["at_end"], discard.events) if "at_end" in case else discard
    return Case(case["name"], stream, discard, flush)


def _joined(text: str | list[str | tuple[str, int]]) -> str:
    if isinstance(text, str):
        return text
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in text)


def _expected(state: dict[str, Any], before: list[tuple[str, str, str]]) -> Expected:
    events = [
        (_joined(event["event"]), _joined(event["data"]), _joined(event["id"]))
        for event in state["events"]
    ]
    return Expected([*before, *events], state["retry"], _joined(state["last_event_id"]))


def to_json(case: Case, about: str = "") -> dict[str, Any]:
    """Return a case as it stands in a file."""
    try:
        key, text = "stream", case.stream.decode()
    except UnicodeDecodeError:
        key, text = "stream_latin1", case.stream.decode("latin-1")
    lines = re.findall(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+", text)
    added = case.flush._replace(events=case.flush.events[len(case.discard.events) :])
    return {
        "name": case.name,
        **({"about": about} if about else {}),
        key: [part for line in lines for part in _parts(line)],
        **_state(case.discard),
        **({"at_end": _state(added)} if case.flush != case.discard else {}),
    }


def _state(expected: Expected) -> dict[str, Any]:
    events = [
        {name: _short(text) for name, text in zip(("event", "data", "id"), event, strict=True)}
        for event in expected.events
    ]
    return {
        "events": events,
        "retry": expected.retry,
        "last_event_id": _short(expected.last_event_id),
    }


def _short(text: str) -> str | list[Any]:
    parts = _parts(text)
    return text if len(parts) < 2 and text in ("", *parts) else parts


def _parts(text: str) -> list[Any]:
    """Return a text in parts, a character that comes a hundred times and more as one."""
    pieces = [match[0] for match in re.finditer(r"(.)\1{99,}|(?:(?!(.)\2{99})[\s\S])+", text)]
    return [[piece[0], len(piece)] if _is_run(piece) else piece for piece in pieces]


def _is_run(piece: str) -> bool:
    return len(piece) >= 100 and piece == piece[0] * len(piece)


def write(file_name: str, document: dict[str, Any]) -> None:
    """Write a file of tests/data: an event stands on one line, what cannot be seen is escaped."""
    text = json.dumps(document, indent=1, ensure_ascii=False)
    for short in (
        r"\[\n\s*(\"(?:\\.|[^\"])*\",)\n\s*(\d+)\n\s*\]",
        r"\{\n\s*(\"event\": [^{}]*?)\n\s*\}",
    ):
        text = re.sub(short, _on_one_line, text)
    text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    (DATA / file_name).write_text(text + "\n", encoding="utf-8")


def _on_one_line(match: re.Match[str]) -> str:
    # Line feeds in a text are escaped: those here are between texts.
    text = re.sub(r"\n\s*", " ", match[0])
    return text[0] + text[1:-1].strip() + text[-1]


def expect(name: str, stream: bytes) -> Case:
    """Return a case with what the reference decoder makes of its stream."""
    discard, flush = (
        Expected([event[:3] for event in outcome.events], outcome.retry, outcome.last_event_id)
        for outcome in (reference.decode(stream, flush=flush) for flush in (False, True))
    )
    return Case(name, stream, discard, flush)


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
        prog="python3 -m tests.vectors", description="Replay recorded streams, or add one."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser("replay", help="all of them, through a copy of the decoder")
    replay.add_argument(
        "copy",
        nargs="?",
        default="sse_stream.decoder",
        help="its module or its .py file (default: %(default)s)",
    )
    add = commands.add_parser("add", help="add a stream, with what the reference makes of it")
    add.add_argument("name", help="of the stream, such as data-without-colon")
    add.add_argument(
        "stream", help="with \\n, \\r, \\t, \\0, \\\\, \\xHH, \\uHHHH; or - for standard input"
    )
    add.add_argument("--about", default="", help="what it shows")
    options = parser.parse_args(arguments)
    if options.command == "add":
        return _add(parser, options)
    try:
        module = load_copy(options.copy)
        make_decoder = module.SSEDecoder
    except (ImportError, OSError, AttributeError) as error:
        parser.error(f"cannot take SSEDecoder from {options.copy}: {error}")
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


def _add(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    stream = sys.stdin.buffer.read() if options.stream == "-" else unescaped(options.stream)
    if options.name in {case.name for file_name in FILES for case in load(file_name)}:
        parser.error(f"there is a stream named {options.name} already")
    case = expect(options.name, stream)
    added = to_json(case, options.about)
    document = json.loads((DATA / OWN).read_text(encoding="utf-8"))
    document["cases"].append(added)
    write(OWN, document)
    print(json.dumps(added, indent=1))
    print(f"added to {DATA / OWN}")
    decoder = importlib.import_module("sse_stream.decoder").SSEDecoder
    difference = next(filter(None, replays(decoder, case)), "")
    print(f"DIFFERENT: {difference}" if difference else "the package agrees")
    return 1 if difference else 0


_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SHORT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def unescaped(text: str) -> bytes:
    """Return the bytes that a text with escapes stands for; what is no escape stays."""

    def one(match: re.Match[bytes]) -> bytes:
        byte, character, short = match.groups()
        if byte:
            return bytes([int(byte, 16)])
        if character:
            return chr(int(character, 16)).encode("utf-8", "surrogatepass")
        return _SHORT.get(short, match[0])

    return _ESCAPE.sub(one, text.encode())


if __name__ == "__main__":
    sys.exit(main())
