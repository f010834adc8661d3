# SPDX-License-Identifier: MIT
"""A second decoder, slow and literal: the sentences of WHATWG HTML 9.2.5 and 9.2.6 one after the other.

It takes the whole stream at once, decodes it as one text, and walks over it character by character. It shares no code and
no idea with the package, so that the two can only agree by both being right.
"""

from __future__ import annotations

from dataclasses import dataclass, field


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


class Interpreter:
    def __init__(self, last_event_id: str = "") -> None:
        self.outcome = Outcome(last_event_id=last_event_id)
        self.data_buffer = ""
        self.has_data = False
        self.event_type_buffer = ""
        self.id_buffer = last_event_id
        self.block_retry: int | None = None
        self.in_block = False

    def process_line(self, line: str) -> None:
        if line == "":
            self.dispatch()
        elif line.startswith(":"):
            self.outcome.comments.append(line[2:] if line.startswith(": ") else line[1:])
        else:
            self.in_block = True
            if ":" in line:
                name, value = line[: line.index(":")], line[line.index(":") + 1 :]
                value = value.removeprefix(" ")
            else:
                name, value = line, ""
            self.process_field(name, value)

    def process_field(self, name: str, value: str) -> None:
        if name == "event":
            self.event_type_buffer = value
        elif name == "data":
            self.has_data = True
            self.data_buffer += value + "\n"
        elif name == "id":
            if "\0" not in value:
                self.id_buffer = value
        elif name == "retry" and 0 < len(value) <= 4300 and all(c in "0123456789" for c in value):
            self.outcome.retry = self.block_retry = int(value)

    def dispatch(self) -> None:
        self.outcome.last_event_id = self.id_buffer
        if self.has_data:
            data = self.data_buffer[:-1]
            event_type = self.event_type_buffer if self.event_type_buffer != "" else "message"
            self.outcome.events.append(
                (event_type, data, self.outcome.last_event_id, self.block_retry)
            )
        self.data_buffer, self.has_data, self.event_type_buffer, self.block_retry = (
            "",
            False,
            "",
            None,
        )
        self.in_block = False


def decode(stream: bytes, *, last_event_id: str = "", flush: bool = False) -> Outcome:
    """Decode a whole stream: by the standard, or with `flush` as if LF LF had followed it."""
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
    interpreter.outcome.incomplete = incomplete
    return interpreter.outcome


def decode_bounded(
    stream: bytes,
    limit: int,
    *,
    on_oversize: str = "raise",
    last_event_id: str = "",
    flush: bool = False,
) -> Outcome:
    """The same with a bound on the size of an event, measured line by line in bytes."""
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
        if not ended and not flush:
            break
        is_data = line.partition(b":")[0] == b"data"
        if skipping:
            interpreter.has_data, interpreter.data_buffer = False, ""
        elif is_data:
            value = line[5:]
            held.append(value[1:] if value[:1] == b" " else value)
        if len(line) <= limit and not (skipping and is_data):
            interpreter.process_line(line.decode("utf-8", "replace"))
        if not line:
            held, skipping = [], False
    if flush:
        interpreter.process_line("")
    outcome.incomplete = incomplete
    return outcome
