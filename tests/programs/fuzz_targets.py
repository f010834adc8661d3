# SPDX-License-Identifier: MIT
"""What is fuzzed: functions of any bytes that fail where the package and the standard differ.

They return nothing, and raise AssertionError. `tests.programs.fuzz` drives them by coverage,
tests/programs/test_fuzz.py by seed. Each is held against something slow and literal: the second
decoder in `reference`, or the few lines beside it here.
"""

from __future__ import annotations

import io
import json
import unicodedata
from functools import partial
from http.client import parse_headers
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from sse_stream import handshake
from sse_stream.__main__ import _json_line, _readable, _visible
from sse_stream.decoder import EventTooLargeError, IncompleteEventError, ServerSentEvent, SSEDecoder
from sse_stream.encoder import SSEEncoder
from sse_stream.ndjson import DocumentError, aiter_documents, iter_documents
from sse_stream.policy import ReconnectionPolicy, retry_after
from sse_stream.streams import AsyncEventStream, EventStream
from tests import reference, vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Fields = tuple[str, str, str, "int | None"]


class Input:
    """Numbers from the end of some bytes, and content from what is left.

    So cutting or changing one leaves the other alone.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, low: int, high: int) -> int:
        size = 1 if high - low < 256 else 2
        taken, self._data = self._data[-size:], self._data[:-size]
        return low + int.from_bytes(taken, "big") % (high - low + 1)

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[self.number(0, len(choices) - 1)]

    def numbers(self, most: int) -> list[int]:
        return [self.number(0, 65535) for _ in range(self.number(0, most))]

    def rest(self) -> bytes:
        return self._data


#: What may still become a byte order mark.
UNDECIDED = (b"\xef", b"\xef\xbb")


class Source:
    """An iterator over chunks, sync and async, that counts them and may end with an error."""

    def __init__(self, chunks: Iterable[bytes], error: Exception | None = None) -> None:
        self._chunks = iter(chunks)
        self._error = error
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        for chunk in self._chunks:
            self.given += len(chunk)
            return chunk
        if self._error is not None:
            raise self._error
        raise StopIteration

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> bytes:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None


class Now:
    """The items of an async iterator that never has to wait."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            self._source.__anext__().send(None)
        except StopIteration as result:
            return result.value
        except StopAsyncIteration:
            raise StopIteration from None
        raise AssertionError("an iterator over chunks that are there has waited")


# The decoder.


class Plan(NamedTuple):
    """A stream, how it is cut, and the options it is decoded with."""

    stream: bytes
    chunks: list[bytes]
    kind: Callable[[bytes], Any]
    last_event_id: str
    limit: int | None
    on_oversize: Any
    incomplete: Any
    kinds: list[str]  # of lines that somebody listens to: "comment", "ignored"
    faulty_call: int  # which call of a callback raises, 0 for none

    def decoder(self, heard: list[reference.Heard]) -> SSEDecoder:
        def note(kind: str, text: str) -> None:
            state = made.incomplete, made.last_event_id, made.retry
            counts = made.ignored, made.ignored_text, made.skipped
            heard.append(reference.Heard(kind, text, *state, *counts))
            if len(heard) == self.faulty_call:
                raise Refused

        made = SSEDecoder(
            last_event_id=self.last_event_id,
            max_event_size=self.limit,
            on_oversize=self.on_oversize,
            incomplete=self.incomplete,
            on_comment=partial(note, "comment") if "comment" in self.kinds else None,
            on_ignored=partial(note, "ignored") if "ignored" in self.kinds else None,
        )
        return made

    def expected(self, stream: bytes, flush: bool, closed: bool = True) -> reference.Outcome:
        options: dict[str, Any] = {
            "last_event_id": self.last_event_id,
            "flush": flush,
            "closed": closed,
        }
        if self.limit is None:
            return reference.decode(stream, **options)
        return reference.decode_bounded(stream, self.limit, on_oversize=self.on_oversize, **options)

    def heard(self, outcome: reference.Outcome) -> list[reference.Heard]:
        """Return what those hear who listen."""
        return [call for call in outcome.heard if call.kind in self.kinds]


class Refused(Exception):
    """What a faulty callback raises."""


class Broken(Exception):
    """What a broken source raises."""


def decoder(data: bytes) -> None:
    """Any stream, any cut, any option: `feed` and both streams give what the reference gives.

    They lose nothing to an error.
    """
    take = Input(data)
    size = take.number(2, 30)
    options = (
        take.pick([bytes, bytes, bytearray, memoryview]),
        take.pick(["", "", "7", "\u2028\0é"]),
        take.pick([None, take.number(1, 60)]),
        take.pick(["raise", "skip"]),
        take.pick(["dispatch", "discard", "raise"]),
        take.pick([[], ["comment"], ["ignored"], ["comment", "ignored"]]),
        take.pick([0, 0, 0, 1, 2, 3]),
    )
    broken = take.pick([False, False, True])
    cuts = take.numbers(8)
    stream = take.rest()
    plan = Plan(stream, vectors.cut(stream, [cut % (len(stream) + 1) for cut in cuts]), *options)
    with vectors.small_thresholds(size):
        if plan.kinds and plan.faulty_call:
            _check_faulty_callback(plan)
            return
        _check_feed(plan)
        for wrap in (EventStream, AsyncEventStream):
            _check_stream(plan, wrap, broken and stream not in UNDECIDED)


def _fields(events: Iterable[ServerSentEvent]) -> list[Fields]:
    return [(event.event, event.data, event.id, event.retry) for event in events]


def _check_feed(plan: Plan) -> None:
    heard: list[reference.Heard] = []
    made = plan.decoder(heard)
    events: list[ServerSentEvent] = []
    error = None
    fed = b""
    try:
        for chunk in plan.chunks:
            # An error is raised by the call whose bytes make it certain, or by the next one
            # if that had events to return.
            certain = plan.expected(fed, False).too_large and fed not in UNDECIDED
            got = made.feed(plan.kind(chunk))
            assert not certain, f"{fed!r} was too large, and {chunk!r} was taken"
            fed += chunk
            events += got
        events += made.close()
    except (EventTooLargeError, IncompleteEventError) as raised:
        error = raised
    _compare(plan, made, heard, _fields(events), error)
    if isinstance(error, EventTooLargeError):
        assert _is_too_large(lambda: made.feed(b"data: late\n\n"))
        assert _is_too_large(made.close)
    else:
        assert made.close() == []


def _is_too_large(call: Callable[[], object]) -> bool:
    try:
        call()
    except EventTooLargeError:
        return True
    return False


def _compare(
    plan: Plan,
    made: SSEDecoder,
    heard: list[reference.Heard],
    events: list[Fields],
    error: Exception | None,
    broken: bool = False,
) -> None:
    flush = plan.incomplete == "dispatch" and not broken
    expected = plan.expected(plan.stream, flush, closed=not broken)
    cut_off = (
        plan.incomplete == "raise" and expected.incomplete and not expected.too_large and not broken
    )
    assert isinstance(error, IncompleteEventError) == cut_off, f"{plan} raises {error!r}"
    if isinstance(error, IncompleteEventError):
        came = [] if error.event is None else _fields([error.event])
        assert came == plan.expected(plan.stream, True).events[len(expected.events) :]
    outcome = reference.Outcome(
        events,
        expected.comments,
        made.last_event_id,
        made.retry,
        made.incomplete,
        made.skipped,
        isinstance(error, EventTooLargeError),
        made.ignored,
        made.ignored_text,
    )
    assert outcome == expected, f"{plan}\n got      {outcome}\n expected {expected}"
    assert heard == plan.heard(expected), f"{plan}\n {heard}, not\n {plan.heard(expected)}"


def _check_stream(plan: Plan, wrap: Any, broken: bool) -> None:
    """As by `feed`; besides, what can be resumed from never runs ahead.

    And events come before the error that follows them.
    """
    heard: list[reference.Heard] = []
    made = plan.decoder(heard)
    source = Source(map(plan.kind, plan.chunks), Broken() if broken else None)
    stream = wrap(source, decoder=made)
    events: list[ServerSentEvent] = []
    error = None
    ids = _resumable(plan) if plan.limit is None else None
    try:
        for event in Now(stream) if wrap is AsyncEventStream else stream:
            events.append(event)
            last = stream.last_event_id
            assert ids is None or last in ids[min(len(events), len(ids) - 1)], (
                f"{last!r} runs ahead of {event} in {plan}"
            )
    except (EventTooLargeError, IncompleteEventError, Broken) as raised:
        error = raised
    _compare(plan, made, heard, _fields(events), error, broken)
    assert stream.last_event_id == made.last_event_id
    assert isinstance(error, (Broken, EventTooLargeError)) or not broken


def _resumable(plan: Plan) -> list[set[str]]:
    """Return for each number of events handed out the IDs that resuming may start from."""
    interpreter = reference.Interpreter(plan.last_event_id)
    ids = [{plan.last_event_id}]
    text = plan.stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines, rest = reference.lines_of(text)
    for line in [*lines, rest, ""] if plan.incomplete == "dispatch" else lines:
        interpreter.process_line(line)
        if len(interpreter.outcome.events) == len(ids):
            ids.append(set())
        ids[-1].add(interpreter.outcome.last_event_id)
    return ids


def _check_faulty_callback(plan: Plan) -> None:
    heard: list[reference.Heard] = []
    made = plan.decoder(heard)
    events: list[ServerSentEvent] = []
    refused = False
    try:
        for chunk in plan.chunks:
            events += made.feed(plan.kind(chunk))
    except Refused:
        refused = True
        events += made.close()
    except EventTooLargeError:
        pass
    expected = plan.expected(plan.stream, False, closed=False)
    for length in range(len(plan.stream) + 1):
        before = plan.expected(plan.stream[:length], False, closed=False)
        if len(plan.heard(before)) == plan.faulty_call:
            expected = before
            break
    assert refused == (len(plan.heard(expected)) >= plan.faulty_call), plan
    assert heard == plan.heard(expected), f"{plan}\n {heard}, not\n {plan.heard(expected)}"
    assert _fields(events) == expected.events, (
        f"{plan}\n got      {events}\n expected {expected.events}"
    )


# The encoder.


def encoder(data: bytes) -> None:
    """Any events and comments: what is not refused decodes to the same events.

    What is refused leaves no trace.
    """
    take = Input(data)
    first = take.pick(["", "", "1", "é"])
    cuts = take.numbers(4)
    parts = [part.decode("utf-8", "surrogateescape") for part in take.rest().split(b"\xff")]
    made = SSEEncoder(last_event_id=first)
    wire = b""
    expected: list[Fields] = []
    for i in range(0, len(parts), 4):
        event, text, event_id, retry, *_ = [*parts[i : i + 4], "", "", "", ""]
        sent = ServerSentEvent(event, text, event_id, _retry_of(retry))
        try:
            wire += made.encode(sent)
        except ValueError:
            assert not _is_valid(sent), f"{sent} was refused"
        else:
            assert _is_valid(sent), f"{sent} was taken"
            arrives = sent.data.replace("\r\n", "\n").replace("\r", "\n")
            expected.append((sent.event or "message", arrives, sent.id, sent.retry))
        try:
            wire += made.comment(text)
        except ValueError:
            assert _has_surrogate(text), f"the comment {text!r} was refused"
    outcome = reference.decode(wire, last_event_id=first)
    assert outcome.events == expected, f"{wire!r} is\n {outcome.events}, not\n {expected}"
    own = SSEDecoder(last_event_id=first)
    chunks = vectors.cut(wire, [cut % (len(wire) + 1) for cut in cuts])
    assert _fields(event for chunk in chunks for event in own.feed(chunk)) == expected
    assert own.last_event_id == (expected[-1][2] if expected else first)
    assert not own.incomplete


def _retry_of(text: str) -> int | None:
    if not text:
        return None
    if text.startswith("long"):
        return int(10 ** (4296 + len(text)))
    return int.from_bytes(text.encode("utf-8", "surrogatepass")[:9], "big", signed=True)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _is_valid(event: ServerSentEvent) -> bool:
    if any(map(_has_surrogate, (event.event, event.data, event.id))):
        return False
    if set(event.event) & {"\r", "\n"} or set(event.id) & {"\r", "\n", "\0"}:
        return False
    return event.retry is None or 0 <= event.retry < 10**4300


# Newline-delimited JSON.


def ndjson(data: bytes) -> None:
    """Any bytes, cut anywhere: the documents and the error of the lines.

    No byte is read after a line is too long.
    """
    take = Input(data)
    limit = take.pick([None, take.number(1, 60)])
    kind = take.pick([bytes, bytearray, memoryview])
    cuts = take.numbers(8)
    stream = take.rest()
    chunks = vectors.cut(stream, [cut % (len(stream) + 1) for cut in cuts])
    expected, fault, needed = _documents(stream, limit)
    enough = next((end for end in accumulate(map(len, chunks)) if end >= needed), len(stream))
    for make in (iter_documents, aiter_documents):
        source = Source(map(kind, chunks))
        made: Any = make(source, max_line_size=limit)
        got: list[str] = []
        error = None
        try:
            for document in Now(made) if make is aiter_documents else made:
                got.append(repr(document))  # noqa: PERF401  those before an error count
        except DocumentError as raised:
            error = (raised.line_number, raised.start)
        assert (got, error) == (expected, fault), (
            f"{chunks} under {limit}:\n {got}, {error}, not\n {expected}, {fault}"
        )
        assert source.given <= enough, (
            f"{source.given} bytes of {chunks} were read, and {enough} tell the fault"
        )


def _documents(stream: bytes, limit: int | None) -> tuple[list[str], tuple[int, str] | None, int]:
    """Return the documents, line and start of the fault, and how many bytes it takes to know it."""
    documents: list[str] = []
    offset = 0
    lines = stream.split(b"\n")
    for number, line in enumerate(lines, 1):
        begin = offset
        offset += len(line) + 1
        if number == 1 and line.startswith(b"\xef\xbb\xbf"):
            begin, line = begin + 3, line[3:]
        if limit is not None and len(line) > limit:
            return (
                documents,
                (number, line[: min(200, limit + 1)].decode("utf-8", "replace")),
                max(begin + limit + 1, 3),
            )
        if all(byte in b" \t\r" for byte in line):
            continue
        try:
            documents.append(repr(json.loads(line.decode("utf-8"))))
        except (ValueError, RecursionError):
            return (
                documents,
                (number, line[:200].decode("utf-8", "replace")),
                min(offset, len(stream)),
            )
    return documents, None, len(stream)


# Headers, and what is shown.

SECRET = "s3cr3t"


def headers(data: bytes) -> None:
    """Nothing from outside forges a header, raises from the check, or reaches a terminal raw.

    Nor does it leak what a URL hides.
    """
    take = Input(data)
    status = take.pick([200, 201, 204, 301, 404, 429, 503, 799])
    parts = [part.decode("utf-8", "surrogateescape") for part in take.rest().split(b"\xff")]
    first, second, third, fourth, *_ = [*parts, "", "", "", ""]
    _check_id(first)
    _check_media_type(status, first)
    _check_retry_after(first, second)
    _check_url(status, first, second, third, fourth)


def _check_id(last_event_id: str) -> None:
    value = handshake.header_value(last_event_id)
    forbidden = {chr(code) for code in (*range(32), 127)} - {"\t"}
    blank = last_event_id[:1] in (" ", "\t") or last_event_id[-1:] in (" ", "\t")
    sendable = (
        last_event_id != ""
        and not blank
        and not set(last_event_id) & forbidden
        and not _has_surrogate(last_event_id)
    )
    assert (value is not None) == sendable, f"{last_event_id!r} becomes {value!r}"
    own = [("X-Own", "a"), ("last-EVENT-id", "own")]
    fields = handshake.request_headers(own, last_event_id)
    assert own == [("X-Own", "a"), ("last-EVENT-id", "own")]
    wire = b"".join(
        name.encode() + b": " + (text if isinstance(text, bytes) else text.encode()) + b"\r\n"
        for name, text in fields
    )
    arrived = parse_headers(io.BytesIO(wire + b"\r\n"))
    assert sorted(name.lower() for name in arrived) == [
        "accept",
        "cache-control",
        "last-event-id",
        "x-own",
    ]
    assert arrived["Last-Event-ID"].encode("latin-1") == (value or b"own")


def _check_media_type(status: int, content_type: str) -> None:
    expected = status == 204 or (
        status in (200, 201) and _extracted(content_type) == "text/event-stream"
    )
    assert handshake.is_event_stream(status, content_type) == expected, (status, content_type)


def _extracted(content_type: str) -> str:
    """Return the essence of the last MIME type, step by step (WHATWG Fetch and MIME Sniffing)."""
    values, value, i = [], "", 0
    while i < len(content_type):  # "get, decode, and split"
        if content_type[i] == ",":
            values.append(value)
            value = ""
        elif content_type[i] == '"':  # "collect an HTTP quoted string"
            value, i = value + '"', i + 1
            while i < len(content_type) and content_type[i] != '"':
                if content_type[i] == "\\":
                    value, i = value + "\\", i + 1
                value, i = value + content_type[i : i + 1], i + 1
            value += content_type[i : i + 1]
        else:
            value += content_type[i]
        i += 1
    essence = ""
    for each in [*values, value]:  # "parse a MIME type"
        stripped = each.strip(" \t\r\n")
        if "/" not in stripped:
            continue
        kind, subtype = stripped.split("/", 1)
        subtype = subtype.split(";", 1)[0]
        while subtype[-1:] in {" ", "\t", "\r", "\n"}:
            subtype = subtype[:-1]
        if kind == "" or subtype == "" or any(c not in _TOKEN for c in kind + subtype):
            continue
        if (kind, subtype) != ("*", "*"):
            essence = "".join(chr(ord(c) + 32 * ("A" <= c <= "Z")) for c in f"{kind}/{subtype}")
    return essence


_TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _check_retry_after(value: str, date: str) -> None:
    fields = [("Retry-After", value)] + [("Date", date)] * bool(date)
    seconds = retry_after(handshake.Headers(fields))
    assert seconds is None or seconds >= 0, f"{fields}: {seconds}"
    text = value.strip()
    if text and set(text) <= set("0123456789"):
        assert seconds == float(text)
    policy = ReconnectionPolicy()
    most = policy.max_retry_after * (1 + policy.jitter)
    delay = policy.start().failed(retry_after=seconds)
    assert delay == "stop" or 0 <= delay <= most, f"{fields}: {delay}"


def _check_url(status: int, user: str, path: str, content_type: str, body: str) -> None:
    # A "/", "?" or "#" ends the authority, whatever stands before it: what follows is no
    # user info to any client.
    user = "".join(c for c in user if c not in "/?#")
    path = "".join(c for c in path if c not in "?#")
    url = f"http://{SECRET}{user}:{SECRET}@host/{path}?{SECRET}={content_type}#{SECRET}"
    shown = handshake.shown_url(url)
    assert SECRET not in shown.replace(path, ""), f"{url!r} is shown as {shown!r}"
    fields = [("Content-Type", content_type), ("Content-Encoding", body)]
    raw = body.encode("utf-8", "surrogateescape")
    errors = [
        handshake.response_error(status, fields, url, raw, redirects="pass follow=True"),
        handshake.coding_error(status, fields, url),
    ]
    for error in filter(None, errors):
        message = str(error)
        assert message.isprintable(), f"{message!r} has characters that a terminal may obey"
        assert SECRET not in message.partition(" answered")[0].partition(" sent")[0].replace(
            path, ""
        )


# The command line.


def terminal(data: bytes) -> None:
    """No event puts anything on a terminal that it would obey.

    Nothing but LF ends a line of JSON, and it parses.
    """
    event, text, event_id, *_ = [
        *(part.decode("utf-8", "surrogateescape") for part in data.split(b"\xff")),
        "",
        "",
        "",
    ]
    shown = ServerSentEvent(event, text, event_id, len(data))
    for written in (_readable(shown), _visible(text), _json_line(shown, ascii_only=True)):
        obeyed = [
            c for c in written if c not in "\n\t\u200c\u200d" and unicodedata.category(c) in _OBEYED
        ]
        assert not obeyed, f"{obeyed!r} in {written!r}"
    for line in (_json_line(shown), _json_line(shown, ascii_only=True)):
        assert len(line.splitlines()) == 1, f"{line!r} is more than one line to some"
        assert json.loads(line) == shown._asdict()


_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


# What they start from.

TOKENS = [
    b"data: ", b"data:", b"data", b"DATA: x", b"id: ", b"id:", b"id", b"event: ", b"event",
    b"retry: ", b"retry:5", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b": ", b":", b" ", b"\t",
    b"\0", b"7", b"abc", b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xe2\x82\xac", b"\xe2\x82",
    b"\xf0\x9f\x9a\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b",
    b"\x1c", b"\xff", b"event: x\n", b"event:y\n\n", b"id: \0\n", b"retry: 5x\n", b"foo: bar\n",
]  # fmt: skip
_JSON = [
    b'{"a": 1}', b"[1, 2]", b'"', b"\\ud800", b"NaN", b"1e5", b"null", b"\n", b"\r\n", b" ",
    b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"[", b"]", b"{", b"}", b"9" * 30, b"\xff",
]  # fmt: skip
_HEADERS = [
    b"text/event-stream", b"; charset=utf-8", b"120", b"*/*", b'"', b"text/", b"EVENT-stream",
    b"Sat, 21 Nov 2026 05:00:00 GMT", b"Saturday, 21-Nov-26 05:00:00 GMT",
    b"Sat Nov 21 05:00:00 2026", b"+9999", b"-0000", b"9999", b"0000", b",", b"(", b"\r\n", b"@",
    b":", b"\\", b"//", b"\xff", b"\x1b[31m", b"\xe2\x80\xae", b"\xc2\x9b", b"gzip", b"\t", b" ",
]  # fmt: skip


def _streams() -> list[bytes]:
    cases = [
        *vectors.load("wpt.json"),
        *vectors.load("services.json"),
        *vectors.load("browser.json")[::10],
    ]
    return [case.stream for case in cases if len(case.stream) < 600]


def _decoder_seeds() -> list[bytes]:
    return [stream + bytes(12) for stream in _streams()] + [
        stream + bytes(range(3, 23)) for stream in _streams()
    ]


def _encoder_seeds() -> list[bytes]:
    events = [reference.decode(stream, flush=True).events for stream in _streams()]
    parts = (
        b"\xff".join(f"{e}\xff{d}\xff{i}\xff".encode("latin-1", "replace") for e, d, i, _ in some)
        for some in events
    )
    return [part + bytes(4) for part in parts]


def _ndjson_seeds() -> list[bytes]:
    return [
        b'{"a": 1}\n{"b": [2, null]}\r\n\n"x"' + tail
        for tail in (bytes(4), bytes(range(2, 12)), b"\n[\xff" + bytes(6))
    ]


def _header_seeds() -> list[bytes]:
    return [
        b"%b\xff%b\xff%b\xff%b\0" % (one, other, one, other)
        for one in _HEADERS
        for other in _HEADERS[::3]
    ]


class Target(NamedTuple):
    """A function to fuzz, pieces to make inputs of, and inputs to start from."""

    check: Callable[[bytes], None]
    tokens: list[bytes]
    seeds: Callable[[], list[bytes]]


TARGETS = {
    "decoder": Target(decoder, TOKENS, _decoder_seeds),
    "encoder": Target(encoder, TOKENS, _encoder_seeds),
    "ndjson": Target(ndjson, _JSON, _ndjson_seeds),
    "headers": Target(headers, _HEADERS, _header_seeds),
    "terminal": Target(terminal, [*TOKENS, *_HEADERS], _header_seeds),
}
