# SPDX-License-Identifier: MIT
"""Decode an event stream: bytes in, events out (WHATWG HTML, sections 9.2.5 and 9.2.6).

Two options go beyond the standard: what becomes of an event that the end of the stream cuts off,
and a bound on the size of one event. This file imports the standard library alone and works
alone, copied into another tool.

How it works: CR and LF never occur inside a UTF-8 sequence, so lines are split as bytes, by
`bytes.splitlines`, which ends them as the standard does. `_split` takes the complete lines out of
a chunk, `_interpret` makes events of them. Between two chunks nothing is kept but the unfinished
line and the unfinished event, both as bytes. `_room` says how many bytes may come before anything
has to be measured; what may be too large is taken line by line, each measured before it counts.

What it costs: time linear in the bytes fed, however they are cut. An unfinished event is held
once, in buffers that grow by an eighth.

Origin: sse_stream 0.2.0, module `decoder`.
"""

from __future__ import annotations

import sys
from codecs import utf_8_decode
from collections import namedtuple

TYPE_CHECKING = False  # True for type checkers; importing `typing` costs more than this package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Literal, NamedTuple, Union

    Chunk = Union[bytes, bytearray, memoryview]

__all__ = [
    "EventTooLargeError",
    "IncompleteEventError",
    "SSEDecoder",
    "SSEError",
    "ServerSentEvent",
]


# 1. Events and errors

if TYPE_CHECKING:

    class _Fields(NamedTuple):
        event: str = "message"
        data: str = ""
        id: str = ""
        retry: int | None = None

else:
    _Fields = namedtuple("_Fields", "event data id retry", defaults=("message", "", "", None))


class ServerSentEvent(_Fields):
    """One dispatched event: an immutable, hashable, picklable tuple of four fields.

    event: the event type, a str; "message" if the stream named none.
    data:  the data lines joined with LF, a str.
    id:    the last event ID in force when the event was dispatched (it persists from event to
           event), a str; "" for none.
    retry: the reconnection time in milliseconds, an int, if the event's own lines carried a valid
           `retry` field; else None.
    """

    __slots__ = ()

    def json(self, loads: Callable[[str], Any] | None = None) -> Any:
        """Parse the data as JSON.

        loads: a function from str to anything, in place of `json.loads`.

        Returns what `loads` returns; what it raises passes through (`json.JSONDecodeError`, a
        ValueError, for data that is no JSON).
        """
        if loads is None:
            import json  # here: who never parses JSON does not load the parser

            loads = json.loads
        return loads(self.data)


class SSEError(Exception):
    """Base of every error that this package defines."""


class EventTooLargeError(SSEError):
    """An event grew beyond `max_event_size`.

    limit: that size in bytes, an int.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the stream sent an event larger than max_event_size={limit} bytes; to accept it, "
            "raise max_event_size (None: no bound), or pass "
            'on_oversize="skip" to drop such events and read on'
        )
        self.limit = limit

    def __reduce__(self) -> tuple[type[EventTooLargeError], tuple[int]]:
        return type(self), (self.limit,)


class IncompleteEventError(SSEError):
    """The stream ended inside an event, or before the mark that its service sends at the end.

    event:   what came of the unfinished event, a ServerSentEvent; None if it had no data yet.
    message: the text of the error, a str; "" for one that says where the stream ended.
    """

    def __init__(self, event: ServerSentEvent | None = None, message: str = "") -> None:
        super().__init__(
            message
            or "the stream ended inside an event, before its blank line: the server or the "
            "connection broke off; what came of the event is in .event"
        )
        self.event = event

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, str(self))


# 2. The decoder

BOM = b"\xef\xbb\xbf"
_LF, _CR, _COLON = b"\n\r:"
_MAX_RETRY_DIGITS = 4300  # int() takes no more by default
_PIECE = 1 << 16  # a longer chunk is taken in pieces; after so many bytes what is held is joined
_SHORT = 1024  # a longer line is not remembered beyond its event
_IGNORED_TEXT = 8192  # bytes

# Where the stream stands. Only an open one has room: else the next chunk is looked at closely.
_START, _OPEN, _AFTER_CR, _IN_CALLBACK, _TOO_LARGE, _BROKEN, _CLOSED = range(7)


class SSEDecoder:
    r"""Decode one event stream incrementally (WHATWG HTML 9.2.5 and 9.2.6).

    >>> decoder = SSEDecoder()
    >>> decoder.feed(b"id: 1\ndata: one\n\ndata: t")
    [ServerSentEvent(event='message', data='one', id='1', retry=None)]
    >>> decoder.feed(b"wo"), decoder.close()
    ([], [ServerSentEvent(event='message', data='two', id='1', retry=None)])

    last_event_id: the ID that the stream resumes from, a str; "" for none. Events without an ID
        of their own carry it.
    max_event_size: how many bytes one event may take, an int of at least 1; None for no bound;
        by default 64 MiB. It is measured at each line: the bytes of the data values so far, one
        for each LF that joins them, and this line, a comment too, without its end.
    on_oversize: "raise" (the default) raises EventTooLargeError for a larger event; "skip" drops
        it up to its blank line and counts it in `skipped`, while its IDs, `retry` fields and
        comments whose own line fits still count.
    incomplete: what `close` does with an event whose blank line never came. "dispatch" (the
        default): treat it as if LF LF had followed, since many servers close right after the last
        data line; "discard": drop it, as the standard does; "raise": raise IncompleteEventError.
    on_comment: called as `on_comment(text)` for each comment when its line is interpreted, with
        what follows the colon less one leading space; None if nobody listens. What it raises
        passes through `feed` and ends the decoder: later calls of `feed` are refused, and `close`
        returns the events that the chunk had completed before.
    on_ignored: called as `on_ignored(text)` for each line that has no effect: a field of an
        unknown name, a `retry` that is not ASCII digits (or has more than 4,300), an `id` with a
        NUL, and at its blank line the `event` of a block without data. `text` is the whole line.
        Exceptions as above.

    Raises TypeError or ValueError for an option of the wrong kind. A decoder serves one stream,
    and can be copied, pickled or thrown away between two calls.

    To be read, at any time, also after an error and after `close`:

    last_event_id: the ID to resume from, a str; "" means: send no header. Moved by every blank
        line, also of a block without data, and by nothing else.
    retry:         the stream's reconnection time in milliseconds, an int, or None; set when its
        line is read.
    incomplete:    whether the stream stands inside an event; see there.
    skipped:       how many oversized events `on_oversize="skip"` has dropped.
    ignored:       how many lines had no effect; `ignored_text` has those of unknown names.
    ended:         whether nothing more is taken.
    at_end, max_event_size: the options `incomplete` and `max_event_size` (sys.maxsize for None).
    """

    __slots__ = (
        # the options; the attributes without an underscore, here and below, are for reading only
        *("max_event_size", "_on_oversize", "at_end", "_on_comment", "_on_ignored"),
        # the stream
        *("_state", "ended", "_id_buffer", "last_event_id", "retry"),
        # the unfinished line: its pieces
        "_line",
        # the unfinished event
        *("_in_event", "_data", "_more_data", "_event_type", "_event_value_at", "_event_retry"),
        # the bound
        *("_room", "_unheld", "_skipping", "_discarding", "skipped"),
        # what had no effect, and the events of a call that an exception of a callback cut off
        *("ignored", "_ignored_text", "_completed"),
        # what came last, since the next often looks alike
        *("_type", "_frame"),
    )

    def __init__(
        self,
        *,
        last_event_id: str = "",
        max_event_size: int | None = 64 * 1024 * 1024,
        on_oversize: Literal["raise", "skip"] = "raise",
        incomplete: Literal["dispatch", "discard", "raise"] = "dispatch",
        on_comment: Callable[[str], object] | None = None,
        on_ignored: Callable[[str], object] | None = None,
    ) -> None:
        _check_options(last_event_id, max_event_size, on_oversize, incomplete)
        _check_callbacks(on_comment=on_comment, on_ignored=on_ignored)
        self.max_event_size: int = sys.maxsize if max_event_size is None else max_event_size
        self._on_oversize, self.at_end = on_oversize, incomplete
        self._on_comment, self._on_ignored = on_comment, on_ignored
        self._state, self._id_buffer = _START, last_event_id
        self.ended: bool = False
        self.last_event_id: str = last_event_id
        self.retry: int | None = None
        self._line: list[Any] = []
        self._in_event = False  # a field line of it has ended
        self._data: bytes | bytearray | None = None  # its first values, joined; None: no data
        self._more_data: list[bytes] = []  # the values after those
        # The type, and where it begins in the line that named it; 0: none did.
        self._event_type, self._event_value_at = "", 0
        self._event_retry: int | None = None
        # How many bytes may come before anything has to be measured; negative if the next chunk
        # has to be looked at closely for any reason. Read where a chunk comes in, and only there.
        self._room = -1
        self._unheld = 0  # bytes of the unfinished line that were measured and let go
        self._skipping = self._discarding = False  # the event is too large; so is its last line
        self.skipped: int = 0
        self.ignored: int = 0
        self._ignored_text = b""
        self._completed: list[ServerSentEvent] = []
        self._type = b"", "", 0  # the line that named a type, the type, and where it begins
        self._frame = 6, b"data: ", 6, -2, b"\n\n", "message"  # see _whole_event

    @property
    def incomplete(self) -> bool:
        """Whether the stream stands inside an event; after `close`, whether it ended inside one.

        True from the first byte of a field line, finished or not, until its blank line. Comments
        and a byte order mark alone never count.
        """
        in_line = self._state == _OPEN and bool(self._line)
        return self._in_event or (in_line and self._line[0][0] != _COLON)

    @property
    def ignored_text(self) -> str:
        """The ignored lines of unknown field names, joined with LF: the first 8 KiB, or "".

        An error document that was sent in place of a stream can be read here.
        """
        is_whole = len(self._ignored_text) < _IGNORED_TEXT
        return utf_8_decode(self._ignored_text, "replace", is_whole)[0]  # no half character

    def __repr__(self) -> str:
        state = ("ended" if self.ended else "open") + " inside an event" * self.incomplete
        return f"<{type(self).__name__} {state}, last_event_id={self.last_event_id!r}>"

    def __setstate__(self, state: Iterable[dict[str, Any] | None]) -> None:
        """Take the state of another decoder, for copying and pickling, and share no buffer with it.

        state: its attributes and its slots, as `object.__reduce_ex__` gives them.
        """
        for attributes in state:
            for name, value in (attributes or {}).items():
                setattr(self, name, value)
        self._line = [piece[:] for piece in self._line]
        self._data = None if self._data is None else self._data[:]
        self._more_data, self._completed = self._more_data[:], self._completed[:]

    def feed(self, chunk: Chunk) -> list[ServerSentEvent]:
        """Take the next bytes of the stream and return the events that they complete.

        chunk: bytes, bytearray or memoryview, cut anywhere; an empty one changes nothing. It is
            not kept.

        Returns a list, often empty. An event comes out of the very call whose bytes complete it.
        Raises TypeError for what is not bytes, which does no harm; ValueError after `close` or
        after an exception of a callback; RuntimeError from within a callback; EventTooLargeError
        for an event beyond the bound, from the next call if this one has events to return, and
        from every later one. What the callbacks raise passes through.
        """
        if type(chunk) is not bytes:
            chunk = as_bytes(chunk)
        events: list[ServerSentEvent] = []
        if len(chunk) > self._room:
            self._feed_measured(chunk, events)
        elif not self._line and not self._in_event:
            self._whole_event(chunk, events)  # fast path
        elif lines := self._split(chunk):
            self._interpret(lines, events)
        return events

    # 3. Parsing an event stream (9.2.5)

    def _strip_start(self, chunk: bytes) -> bytes:
        """Strip one leading byte order mark, or the LF of a CRLF that was cut.

        Called before `_split` (by section 5, where every chunk comes by that needs it).
        """
        if self._state == _AFTER_CR and chunk[0] == _LF:
            chunk = chunk[1:]
        elif self._state == _START:
            chunk = b"".join([*self._line, chunk])
            self._line.clear()
            if len(chunk) < len(BOM) and BOM.startswith(chunk):
                self._line.append(chunk)  # it may become one
                return b""
            chunk = chunk.removeprefix(BOM)
        self._state = _OPEN
        return chunk

    def _split(self, chunk: bytes) -> list[bytes]:
        """Return the lines that end in the chunk; keep the rest."""
        self._room -= len(chunk)
        pieces = self._line
        if _LF not in chunk and _CR not in chunk:
            if chunk:
                pieces.append(chunk)
            return []
        lines = chunk.splitlines()  # at CRLF, LF and CR, and at nothing else
        if pieces:
            pieces.append(lines[0])
            lines[0] = b"".join(pieces)
            pieces.clear()
            self._unheld = 0
            if len(lines[0]) > _PIECE:  # no blank line; by itself, to be freed before the dispatch
                self._interpret([lines.pop(0)], [])
        if chunk[-1] == _CR:
            self._state, self._room = _AFTER_CR, -1
        elif chunk[-1] != _LF:
            pieces.append(lines.pop())
        return lines

    # 4. Interpreting an event stream (9.2.6)

    def _interpret(self, lines: list[bytes], events: list[ServerSentEvent]) -> None:
        """Process the lines, and append the events that they dispatch."""
        in_event, retry, event_id = self._in_event, self._event_retry, self._id_buffer
        event_type, event_value_at, data = self._event_type, self._event_value_at, self._data
        more_data, (type_line, type_name, type_value_at) = self._more_data, self._type
        try:
            for line in lines:
                # "If the line is empty (a blank line): dispatch the event."
                if not line:
                    self.last_event_id = event_id  # with data or without
                    if data is not None:  # else "the data buffer is an empty string": no event
                        if more_data:
                            data = _join(data, more_data, b"\n")
                        text = data.decode("utf-8", "replace")
                        fields = event_type or "message", text, event_id, retry
                        events.append(_new_event(ServerSentEvent, fields))
                    elif event_value_at:  # beyond the standard: its event line had no effect
                        self._ignore("event: "[:event_value_at] + event_type, False)
                    in_event, data, event_type, event_value_at, retry = False, None, "", 0, None
                    continue
                # As below, but quicker: the type that an event before had, and most lines of data.
                if line == type_line:
                    in_event, event_type, event_value_at = True, type_name, type_value_at
                    continue
                if data is None and line[:6] == b"data: ":
                    in_event, data = True, line[6:]
                    continue
                # "Collect the characters on the line before the first colon", and after it less one
                # space; without a colon all is the name.
                name, _, value = line.partition(b": ")
                if name != b"data" and _COLON in name:  # one without a space came first
                    name, _, value = line.partition(b":")
                # "If the line starts with a colon: ignore the line." (An empty name.)
                if not name:
                    if self._on_comment is not None:
                        self._call(self._on_comment, value.decode("utf-8", "replace"), in_event)
                    continue
                in_event = True  # "Process the field"
                if name == b"data":
                    if data is None:
                        data = value
                    else:
                        more_data.append(value)
                elif name == b"event":
                    event_value_at = len(line) - len(value)
                    del value  # it may be long
                    event_type = str(memoryview(line)[event_value_at:], "utf-8", "replace")
                    if len(line) < _SHORT:
                        type_line, type_name, type_value_at = line, event_type, event_value_at
                elif name == b"id" and 0 not in value:
                    event_id = value.decode("utf-8", "replace")  # the buffer only
                elif name == b"retry" and (time := _milliseconds(value)) is not None:
                    self.retry = retry = time
                else:  # "Otherwise: the field is ignored", an id with a NUL and a bad retry, too
                    self._ignore_line(line, name)
        except BaseException:
            self._completed = events  # for `close`
            self._shut(_BROKEN)
            raise
        self._in_event, self._event_retry, self._id_buffer = in_event, retry, event_id
        self._event_type, self._event_value_at = event_type, event_value_at
        self._data, self._type = data, (type_line, type_name, type_value_at)

    def _ignore_line(self, line: bytes, name: bytes) -> None:
        """Note a field line that has no effect, and keep it if its name is unknown."""
        if name not in (b"id", b"retry") and len(self._ignored_text) < _IGNORED_TEXT:
            before = self._ignored_text + b"\n" if self._ignored_text else b""
            self._ignored_text = (before + line[:_IGNORED_TEXT])[:_IGNORED_TEXT]
        self._ignore("" if self._on_ignored is None else line.decode("utf-8", "replace"), True)

    def _ignore(self, text: str, in_event: bool) -> None:
        """Count a line that has no effect, and let it be heard."""
        self.ignored += 1
        if self._on_ignored is not None:
            self._call(self._on_ignored, text, in_event)

    def _call(self, callback: Callable[[str], object], text: str, in_event: bool) -> None:
        """Let a line be heard; nothing may be fed meanwhile."""
        state, self._state, room, self._room = self._state, _IN_CALLBACK, self._room, -1
        self._in_event = in_event
        callback(text)
        self._state, self._room = state, room

    # 5. The bound: max_event_size

    def _feed_measured(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        """Take a chunk that may be too large, or in another state than that of an open stream."""
        self._refuse()
        try:
            for start in range(0, len(chunk), _PIECE):
                piece = self._strip_start(chunk[start : start + _PIECE])
                if self._state == _OPEN:
                    self._feed_piece(piece, events)
        except BaseException:
            self._completed = events
            if self._state != _TOO_LARGE or not events:  # else the next call raises it
                raise

    def _feed_piece(self, piece: bytes, events: list[ServerSentEvent]) -> None:
        """Interpret a piece of a chunk, at once if nothing in it can be too large."""
        self._measure()
        if len(piece) <= self._room:
            self._interpret(self._split(piece), events)
            return
        for line in piece.splitlines(keepends=True):
            self._feed_line(line, events)
        if self._state == _OPEN:
            self._measure()

    def _feed_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        """Measure a line, or a part of one, before it counts."""
        self._state = _OPEN
        content = line.rstrip(b"\r\n")
        if content and not self._discarding:
            self._line.append(content)
            self._measure()
        if len(content) < len(line):
            lines = self._split(line[len(content) :])
            if not self._discarding:
                self._interpret(lines, events)
            if self._skipping:
                self._skipping = self._discarding or lines != [b""]  # up to the blank line
                self._drop_event()
            self._discarding = False

    def _measure(self) -> None:
        """Join what is held of the event; make room, or raise or skip it if it is too large."""
        if len(self._line) > 1:
            first, *more = self._line
            self._line[:] = [_join(first, more, b"")]
        if self._more_data and self._data is not None:
            self._data = _join(self._data, self._more_data, b"\n")
        line_size = self._unheld + sum(map(len, self._line))
        free = self.max_event_size - line_size - len(self._data or b"")
        if free < 0:
            self._exceed(line_size)
        elif self._on_comment is None and self._line and self._line[0][0] == _COLON:
            self._unheld, self._line[:] = line_size - 1, [b":"]  # nobody will hear the rest
        self._room = -1 if self._skipping else min(free, _PIECE)

    def _exceed(self, line_size: int) -> None:
        """Raise, or drop the data and, if it is too large by itself, the line."""
        self._in_event = self.incomplete
        if self._on_oversize == "raise":
            self._shut(_TOO_LARGE)
            raise EventTooLargeError(self.max_event_size)
        self.skipped += not self._skipping
        self._skipping = True
        self._drop_event()
        if line_size > self.max_event_size:
            self._discarding = True
            self._line.clear()
            self._unheld = 0

    def _drop_event(self) -> None:
        self._data = None
        self._more_data.clear()
        self._event_type, self._event_value_at = "", 0

    # 6. The end

    def close(self) -> list[ServerSentEvent]:
        """End the stream and return the events that its end completes.

        Returns a list: as `incomplete` says, the event that was cut off; after an exception of a
        callback, the events that its chunk had completed before. Called again, it returns [].
        Raises IncompleteEventError as `incomplete` says, once; EventTooLargeError if that was
        raised or is due; RuntimeError from within a callback. All properties stay readable.
        """
        if self._state in (_IN_CALLBACK, _TOO_LARGE):
            self._refuse()
        events, self._completed = self._completed, []
        if self._state not in (_BROKEN, _CLOSED):
            self._state = _OPEN  # what looked like the start of a byte order mark is a line
            self._measure()
            self._end(events)
        self._state = _CLOSED
        return events

    def _end(self, events: list[ServerSentEvent]) -> None:
        """Do with the unfinished event what the option `incomplete` says.

        9.2.6: "Once the end of the file is reached, any pending data must be discarded." That is
        "discard"; the default departs from it.
        """
        inside, kept = self.incomplete, (self.last_event_id, self.retry)
        if self.at_end != "dispatch":
            self._on_comment = None  # an unfinished comment is none
        try:
            if self._line or self._discarding:
                self._feed_line(b"\n", events)  # a last line without effect is noted in any case
            if self.at_end != "dispatch":
                self._event_value_at = 0  # no blank line came for it
            if self.at_end != "discard" and self._in_event:
                self._feed_line(b"\n", events)
        finally:
            self._shut(_CLOSED)
            self._in_event = inside
        if self.at_end != "dispatch":  # nothing of the last line, or of a forced dispatch, counts
            self.last_event_id, self.retry = kept
        if self.at_end == "raise" and inside:
            raise IncompleteEventError(events[0] if events else None)

    def _shut(self, state: int) -> None:
        """Take nothing more, and hold nothing."""
        self._state, self._room, self.ended = state, -1, True
        self._line.clear()
        self._drop_event()

    def _refuse(self) -> None:
        """Raise if nothing is taken."""
        if self._state == _TOO_LARGE:
            raise EventTooLargeError(self.max_event_size)
        if self._state == _IN_CALLBACK:
            raise RuntimeError(
                "feed() and close() cannot be called from within on_comment or on_ignored"
            )
        if self._state == _BROKEN:
            raise ValueError("feed() after an exception that ended this decoder: make a new one")
        if self._state == _CLOSED:
            raise ValueError("feed() after close(): a decoder serves one stream, make a new one")

    # 7. Fast paths: without these two functions and their calls the results are the same

    def _whole_event(self, chunk: bytes, events: list[ServerSentEvent]) -> None:
        """Do as `_split` and `_interpret`, for a chunk that begins where an event may.

        Most such chunks of a live stream are one event, of a line of data and perhaps its type,
        framed as the one before: by the same `head`, up to the byte after "data:", and the same
        `tail`, the two line ends. Or they are a comment that nobody hears.

        What it earns (CPython 3.11, geometric mean of the benchmark's streams): `feed` takes 1.35
        times as long without it in chunks of one event, and 0.92 times in chunks of 1,448 bytes.
        """
        size, head, start, stop, tail, event_type = self._frame
        if chunk[:size] == head:
            value = chunk[start:stop]
            if chunk[stop:] == tail and _LF not in value and _CR not in value:
                fields = event_type, value.decode("utf-8", "replace"), self.last_event_id, None
                events.append(_new_event(ServerSentEvent, fields))
                return
        elif self._on_comment is None and chunk and chunk[0] == _COLON:
            comment = chunk[:stop]
            if chunk[stop:] == tail and _LF not in comment and _CR not in comment:
                return
        lines = self._split(chunk)
        self._interpret(lines, events)
        is_one = 1 < len(lines) < 4 and not lines[-1] and chunk[-1] == _LF
        if is_one and lines[-2][:5] == b"data:" and (len(lines) == 2 or lines[0] == self._type[0]):
            before, line, tail = chunk.rpartition(lines[-2])
            size = len(before) + len("data:") + 1
            start = size if line[5:6] == b" " else size - 1
            self._frame = size, chunk[:size], start, -len(tail), tail, events[0].event

    def pull(self, chunks: Iterable[Chunk]) -> Iterator[ServerSentEvent | list[ServerSentEvent]]:
        """Feed the chunks, and yield what `feed` returns for each; a whole event by itself.

        chunks: as `feed` takes them.

        What is yielded for a chunk is a list, as of `feed`; or an event, if the chunk is framed as
        the one before (see `_whole_event`). Exceptions of `feed` and of `chunks` pass through.

        What it earns (as above): an EventStream takes 1.08 times as long without it in chunks of
        one event, 1.14 times in chunks of 16 bytes, and about as long in others.
        """
        feed, line = self.feed, self._line
        size, head, start, stop, tail, event_type = self._frame
        for chunk in chunks:
            if line:
                is_part = type(chunk) is bytes and chunk and _LF not in chunk and _CR not in chunk
                if is_part and len(chunk) <= self._room:
                    self._room -= len(chunk)
                    line.append(chunk)
                    yield []
                    continue
            elif type(chunk) is bytes and chunk[:size] == head and not self._in_event:
                value = chunk[start:stop]
                is_whole = chunk[stop:] == tail and _LF not in value and _CR not in value
                if is_whole and len(chunk) <= self._room:
                    fields = event_type, value.decode("utf-8", "replace"), self.last_event_id, None
                    yield _new_event(ServerSentEvent, fields)
                    del chunk, value, fields  # not held while the next is waited for
                    continue
            yield feed(chunk)
            chunk = value = b""
            size, head, start, stop, tail, event_type = self._frame


# A named tuple's own constructor takes twice the time.
_new_event: Any = vars(tuple)["__new__"]


def _join(first: bytes | bytearray, more: list[bytes], separator: bytes) -> bytearray:
    """Join in place, in a buffer that grows by an eighth; empty the list."""
    buffer = first if type(first) is bytearray else bytearray(first)
    buffer += separator
    buffer += separator.join(more)
    more.clear()
    return buffer


def _milliseconds(value: bytes) -> int | None:
    """Return the value of a `retry` field; None unless it consists of ASCII digits (9.2.6)."""
    try:
        return int(value) if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS else None
    except ValueError:  # the interpreter was told to take fewer digits
        return None


_BYTES_LIKE: Any = (bytes, bytearray, memoryview)


def as_bytes(chunk: Chunk) -> bytes:
    """Return a chunk as bytes, or raise the TypeError that says what to pass.

    chunk: bytes, bytearray or memoryview; the latter two are copied.
    """
    if isinstance(chunk, _BYTES_LIKE):
        return bytes(chunk)
    if isinstance(chunk, str):
        raise TypeError("feed() takes bytes, not str: pass bytes as they came, or text.encode()")
    raise _wrong_type("feed() takes bytes, bytearray or memoryview", chunk)


def _check_options(
    last_event_id: object, max_event_size: object, on_oversize: object, incomplete: object
) -> None:
    if not isinstance(last_event_id, str):
        raise _wrong_type('last_event_id must be a str ("" for none)', last_event_id)
    if max_event_size is not None and not isinstance(max_event_size, int):
        raise _wrong_type("max_event_size must be an int or None", max_event_size)
    if max_event_size is not None and max_event_size < 1:
        raise ValueError(f"max_event_size must be at least 1, or None, not {max_event_size}")
    if on_oversize not in ("raise", "skip"):
        raise ValueError(f'on_oversize must be "raise" or "skip", not {on_oversize!r}')
    if incomplete not in ("dispatch", "discard", "raise"):
        raise ValueError(f'incomplete must be "dispatch", "discard" or "raise", not {incomplete!r}')


def _check_callbacks(**callbacks: object) -> None:
    for name, callback in callbacks.items():
        if callback is not None and not callable(callback):
            raise _wrong_type(f"{name} must be callable or None", callback)


def _wrong_type(wanted: str, value: object) -> TypeError:
    return TypeError(f"{wanted}, not {type(value).__name__}")
