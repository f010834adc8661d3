# SPDX-License-Identifier: MIT
"""A second decoder, slow and literal: the sentences of WHATWG HTML 9.2.5 and 9.2.6 in their order.

It takes the whole stream at once, decodes it as one text, and walks over it character by character.
It shares no code and no idea with the package, so that the two can only agree by both being right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Heard(NamedTuple):
    """What a callback is called with, and the state that it finds."""

    kind: str  # "comment" or "ignored"
    text: str
    incomplete: bool
    last_event_id: str
    retry: int | None
    ignored: int
    ignored_text: str
    skipped: int


@dataclass
class Outcome:
    events: list[tuple[str, str, str, int | None]] = field(
        default_factory=list[tuple[str, str, str, "int | None"]]
    )
    comments: list[str] = field(default_factory=list[str])
    last_event_id: str = ""
    retry: int | None = None
    incomplete: bool = False
    skipped: int = 0
    too_large: bool = False
    ignored: int = 0  # how many lines had no effect
    ignored_text: str = ""  # those of unknown names; without the cut at 8 KiB
    heard: list[Heard] = field(default_factory=list[Heard], compare=False)  # in their order


def lines_of(text: str) -> tuple[list[str], str]:
    """Return the lines that ended, and the rest."""
    lines: list[str] = []
    line, i = "", 0
    while i < len(text):
        if text[i] == "\r":
            lines.append(line)
            line = ""
            if i + 1 < len(text) and text[i + 1] == "\n":
                i += 1
        elif text[i] == "\n":
            lines.append(line)
            line = ""
        else:
            line += text[i]
        i += 1
    return lines, line


def field_of(line: str) -> tuple[str, str]:
    """Return name and value of a line that is neither blank nor a comment."""
    if ":" in line:
        name, value = line[: line.index(":")], line[line.index(":") + 1 :]
        return name, value.removeprefix(" ")
    return line, ""


def is_time(value: str) -> bool:
    return 0 < len(value) <= 4300 and all(c in "0123456789" for c in value)


class Interpreter:
    def __init__(self, last_event_id: str = "") -> None:
        self.outcome = Outcome(last_event_id=last_event_id)
        self.data_buffer = ""
        self.has_data = False
        self.event_type_buffer = ""
        self.event_line: str | None = None  # the last `event` line of the block
        self.id_buffer = last_event_id
        self.block_retry: int | None = None
        self.in_block = False

    def process_line(self, line: str) -> None:
        if line == "":
            self.dispatch()
        elif line.startswith(":"):
            comment = line[2:] if line.startswith(": ") else line[1:]
            self.outcome.comments.append(comment)
            self.hear("comment", comment)
        else:
            self.process_field(line)

    def process_field(self, line: str) -> None:
        self.in_block = True
        name, value = field_of(line)
        if name == "event":
            self.event_type_buffer = value
            self.event_line = line
        elif name == "data":
            self.has_data = True
            self.data_buffer += value + "\n"
        elif name == "id":
            if "\0" not in value:
                self.id_buffer = value
            else:
                self.ignore(line)
        elif name == "retry":
            if is_time(value):
                self.outcome.retry = self.block_retry = int(value)
            else:
                self.ignore(line)
        else:
            text = self.outcome.ignored_text
            self.outcome.ignored_text = f"{text}\n{line}" if text else line
            self.ignore(line)

    def process_cut_off_line(self, line: str) -> None:
        """Process the last line of a stream that was closed in it: it counts if it is ignored."""
        if not line.startswith(":"):
            name, value = field_of(line)
            is_id = name == "id" and "\0" not in value
            is_retry = name == "retry" and is_time(value)
            if not (name in ("event", "data") or is_id or is_retry):
                self.process_field(line)

    def ignore(self, line: str) -> None:
        self.outcome.ignored += 1
        self.hear("ignored", line)

    def hear(self, kind: str, text: str) -> None:
        outcome = self.outcome
        state = self.in_block, outcome.last_event_id, outcome.retry
        counts = outcome.ignored, outcome.ignored_text, outcome.skipped
        outcome.heard.append(Heard(kind, text, *state, *counts))

    def drop(self) -> None:
        """Drop what a block that is too large has of an event."""
        self.data_buffer, self.has_data, self.event_type_buffer = "", False, ""
        self.event_line = None

    def dispatch(self) -> None:
        self.in_block = False
        self.outcome.last_event_id = self.id_buffer
        if self.has_data:
            data = self.data_buffer[:-1]
            event_type = self.event_type_buffer if self.event_type_buffer != "" else "message"
            self.outcome.events.append(
                (event_type, data, self.outcome.last_event_id, self.block_retry)
            )
        elif self.event_line is not None:
            self.ignore(self.event_line)
        self.drop()
        self.block_retry = None


def decode(
    stream: bytes, *, last_event_id: str = "", flush: bool = False, closed: bool = True
) -> Outcome:
    """Decode a whole stream: by the standard, or with `flush` as if LF LF had followed it.

    With `closed=False` it has not ended yet: an unfinished last line may still become another one.
    """
    text = stream.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff")
    interpreter = Interpreter(last_event_id)
    lines, rest = lines_of(text)
    for line in lines:
        interpreter.process_line(line)
    incomplete = interpreter.in_block or (rest != "" and not rest.startswith(":"))
    if flush:
        if rest:
            interpreter.process_line(rest)
        interpreter.process_line("")
    elif rest and closed:
        interpreter.process_cut_off_line(rest)
    interpreter.outcome.incomplete = incomplete
    return interpreter.outcome


def decode_bounded(
    stream: bytes,
    limit: int,
    *,
    on_oversize: str = "raise",
    last_event_id: str = "",
    flush: bool = False,
    closed: bool = True,
) -> Outcome:
    """Decode a whole stream with a bound on an event's size, measured line by line in bytes."""
    if stream.startswith(b"\xef\xbb\xbf"):
        stream = stream[3:]
    interpreter = Interpreter(last_event_id)
    outcome = interpreter.outcome
    held: list[bytes] = []  # the data values of the block
    skipping = False
    incomplete = False
    pieces = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for number, line in enumerate(pieces):
        ended = number < len(pieces) - 1
        if not ended and not line:
            break
        if line and len(b"\n".join(held)) + len(line) > limit:
            if on_oversize == "raise":
                outcome.too_large = True
                outcome.incomplete = incomplete or not line.startswith(b":")
                return outcome
            if not skipping:
                outcome.skipped += 1
            skipping, held = True, []
        incomplete = bool(line) and (incomplete or not line.startswith(b":"))
        fits, text = len(line) <= limit, line.decode("utf-8", "replace")
        if not ended and not flush:
            if closed and fits:
                interpreter.process_cut_off_line(text)
            break
        is_data = line.partition(b":")[0] == b"data"
        if skipping:
            interpreter.drop()
        elif is_data:
            value = line[5:]
            held.append(value[1:] if value[:1] == b" " else value)
        if fits and not (skipping and is_data):
            interpreter.process_line(text)
        interpreter.in_block = incomplete
        if not line:
            held, skipping = [], False
    if flush:
        if skipping:
            interpreter.drop()
        interpreter.process_line("")
    outcome.incomplete = incomplete
    return outcome
