# SPDX-License-Identifier: MIT
"""Decode an event stream: bytes in, events out.

Sections 9.2.5 (parsing) and 9.2.6 (interpretation) of the WHATWG HTML standard, and two options: what becomes of an event
that the stream's end cuts off, and a bound on the size of one event. This file works alone, copied into another tool.

Strategy: CR and LF never occur inside a UTF-8 sequence, so lines are split as bytes, by `bytes.splitlines`, which ends them
as the standard does. One generator, `_decode`, interprets every line of every stream. Pieces of an unfinished line are joined
where it ends. `_room` says how many bytes may come before anything has to be measured; what comes then is cut so that
`_decode` meets nothing that may be too large.

Cost: linear in the bytes fed, however they are cut. An unfinished event is held once, in buffers that grow by an eighth.

Origin: sse_stream 0.1.0, module `decoder`.
"""

from __future__ import annotations

import sys
from collections import namedtuple
from itertools import repeat

TYPE_CHECKING = (
    False  # true for type checkers; `typing` costs more to import than all of this package
)
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any, Literal, NamedTuple, Union

    Chunk = Union[bytes, bytearray, memoryview]
    Engine = Generator[Any, "tuple[SSEDecoder, bytes]", None]

__all__ = [
    "EventTooLargeError",
    "IncompleteEventError",
    "SSEDecoder",
    "SSEError",
    "ServerSentEvent",
]

if TYPE_CHECKING:

    class _Fields(NamedTuple):
        event: str = "message"
        data: str = ""
        id: str = ""
        retry: int | None = None

else:
    _Fields = namedtuple(
        "_Fields", ("event", "data", "id", "retry"), defaults=("message", "", "", None)
    )


class ServerSentEvent(_Fields):
    """One dispatched event: an immutable, hashable, picklable tuple of (event, data, id, retry).

    event: the event type, "message" if the stream named none.
    data:  the data lines joined with LF.
    id:    the last event ID in force at its dispatch (it persists), "" for none.
    retry: the reconnection time in milliseconds, if its own lines carried a valid one, else None.
    """

    __slots__ = ()

    def json(self, loads: Callable[[str], Any] | None = None) -> Any:
        """Parse `data` with `loads`, by default `json.loads`; its errors pass through."""
        if loads is None:
            import json  # here, not above: who never parses JSON does not load the parser

            loads = json.loads
        return loads(self.data)


class SSEError(Exception):
    """Base of every error that this package defines."""


class EventTooLargeError(SSEError):
    """An event grew beyond `max_event_size`, which is in `.limit`, in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the stream sent an event larger than max_event_size={limit} bytes; to accept it, raise max_event_size "
            '(None: no bound), or pass on_oversize="skip" to drop such events and read on'
        )
        self.limit = limit

    def __reduce__(self) -> tuple[type[EventTooLargeError], tuple[int]]:
        return type(self), (self.limit,)


class IncompleteEventError(SSEError):
    """The stream ended inside an event, or before its mark; `.event` is what came of the event, None if it had no data yet."""

    def __init__(self, event: ServerSentEvent | None = None, message: str = "") -> None:
        super().__init__(
            message
            or "the stream ended inside an event, before its blank line: the server or the connection broke off; what came "
            "of the event is in .event"
        )
        self.event = event

    def __reduce__(self) -> tuple[type[IncompleteEventError], tuple[ServerSentEvent | None, str]]:
        return type(self), (self.event, str(self))


_BOM = b"\xef\xbb\xbf"
_COLON, _SPACE, _LF, _CR, _E, _I = b": \n\rei"

# int() takes no more by default, and quadratic time.
_MAX_RETRY_DIGITS = 4300
# A longer chunk is taken in pieces, so that its lines take little beside its event.
_PIECE = 1 << 17
# After so many bytes an unfinished event is measured, and joined.
_SMALL = 1 << 13
# A longer chunk may hold several events.
_MANY = 1000
# A longer chunk is tried as blocks of data; PyPy reads them faster by lines.
_BLOCKS = _MANY if sys.implementation.name == "cpython" else sys.maxsize  # pragma: no mutate
# What stands before the next chunk. All but _OPEN lead through `_enter`.
_OPEN, _AT_START, _AFTER_CR, TOO_LARGE, _IN_CALLBACK, _BROKEN, _CLOSED, _HALTED = range(8)


class SSEDecoder:
    """Decode one event stream incrementally (WHATWG HTML 9.2.5 and 9.2.6).

    last_event_id: the ID to start from, as a str; "" for none.
    max_event_size: how many bytes one event may take, None for no bound. Measured at each line: the data values so far with
        the LFs that join them, and this line without its end.
    on_oversize: "raise" raises EventTooLargeError from that call, or from the next if this one has events to return, and
        from every later one; "skip" drops the block, while its IDs, `retry` and comments that fit still count.
    incomplete: what `close` does with an event whose blank line never came. "dispatch": treat it as if LF LF had
        followed; "discard": drop it, as the standard does; "raise": raise IncompleteEventError.
    on_comment: called with each comment's text, less one leading space, when its line ends. What it raises passes through
        and ends the decoder: a later `feed` is refused, and `close` returns the events completed before.

    TypeError and ValueError are raised for options of the wrong kind.
    """

    __slots__ = (
        "_block_retry",
        "_data",
        "_discarding",
        "_ended_inside",
        "_engine",
        "_event_type",
        "_gate",
        "_halted",
        "_id_buffer",
        "_in_block",
        "_incomplete",
        "_is_long",
        "_kept",
        "_last_event_id",
        "_limit",
        "_more",
        "_on_comment",
        "_on_oversize",
        "_pieces",
        "_retry",
        "_room",
        "_skipped",
        "_skipping",
        "_start_of_typed",
        "_type_of_typed",
        "_unheld",
    )

    def __init__(
        self,
        *,
        last_event_id: str = "",
        max_event_size: int | None = 64 * 1024 * 1024,
        on_oversize: Literal["raise", "skip"] = "raise",
        incomplete: Literal["dispatch", "discard", "raise"] = "dispatch",
        on_comment: Callable[[str], object] | None = None,
    ) -> None:
        if not isinstance(last_event_id, str):
            raise TypeError(
                f'last_event_id must be a str ("" for none), not {type(last_event_id).__name__}'
            )
        if max_event_size is not None and not isinstance(max_event_size, int):
            raise TypeError(
                f"max_event_size must be an int or None, not {type(max_event_size).__name__}"
            )
        if max_event_size is not None and max_event_size < 1:
            raise ValueError(
                f"max_event_size must be at least 1 byte, or None for no bound, not {max_event_size}"
            )
        if on_oversize not in ("raise", "skip"):
            raise ValueError(f'on_oversize must be "raise" or "skip", not {on_oversize!r}')
        if incomplete not in ("dispatch", "discard", "raise"):
            raise ValueError(
                f'incomplete must be "dispatch", "discard" or "raise", not {incomplete!r}'
            )
        if on_comment is not None and not callable(on_comment):
            raise TypeError(f"on_comment must be callable or None, not {type(on_comment).__name__}")
        self._limit = sys.maxsize if max_event_size is None else max_event_size
        self._on_oversize = on_oversize
        self._incomplete = incomplete
        self._on_comment = on_comment

        # 9.2.5: the buffers of the stream.
        self._gate = _AT_START
        self._halted = False
        self._pieces: list[bytes] = []  # of the unfinished line
        self._is_long = False  # the first of them is a bytearray
        self._unheld = 0  # bytes of it measured but not kept
        self._discarding = False  # its rest is dropped, too
        self._room = -1  # how many bytes may come before `_measure`; negative if the next chunk needs `_enter`, ~room after CR
        # 9.2.6: the buffers of the block.
        self._data: bytes | bytearray | None = None  # the first values, joined; None: no data
        self._more: list[bytes | bytearray] = []  # the values after those
        self._event_type: str = ""
        self._id_buffer = self._last_event_id = last_event_id
        self._retry: int | None = None
        self._block_retry: int | None = None
        self._in_block: bool = False
        self._skipping = False  # this block is too large
        self._skipped = 0
        self._kept: list[ServerSentEvent] = []
        self._ended_inside: bool | None = None
        # Of the last event that `_typed_event` found: what precedes its data (b"": to be tried no more), its type.
        self._start_of_typed, self._type_of_typed = b"\n", ""  # pragma: no mutate
        self._engine: Engine | None = None  # that of `feed`  # pragma: no mutate

    @property
    def last_event_id(self) -> str:
        """The last event ID, to resume from; "" means: send no header. Moved by every blank line, and by nothing else."""
        return self._last_event_id

    @property
    def retry(self) -> int | None:
        """The stream's reconnection time in milliseconds, or None."""
        return self._retry

    @property
    def incomplete(self) -> bool:
        """Whether a field line has begun whose block's blank line has not come; after `close`: whether the stream ended so."""
        if self._ended_inside is not None:
            return self._ended_inside
        in_field_line = (
            bool(self._pieces) and self._pieces[0][0] != _COLON and self._gate != _AT_START
        )
        return self._in_block or in_field_line

    @property
    def skipped(self) -> int:
        """How many oversized events `on_oversize="skip"` has dropped."""
        return self._skipped

    def feed(self, chunk: Chunk) -> list[ServerSentEvent]:
        """Take the next bytes of the stream, cut anywhere, and return the events that they complete.

        An empty chunk changes nothing; no chunk is kept. Raises EventTooLargeError, TypeError for anything but bytes,
        ValueError after `close`, RuntimeError within `on_comment`.
        """
        if type(chunk) is not bytes:
            chunk = _as_bytes(chunk)
        room = self._room - len(chunk)
        if room >= 0:
            if _LF not in chunk and _CR not in chunk:
                if chunk:
                    self._room = room
                    self._pieces.append(chunk)
                return []
            # pragma: no mutate start
            if (
                not self._pieces and not self._in_block
            ):  # Fast path: as in `_decode`, without a generator: 1.6 to 1.9 times
                if (start := chunk[:6]) == b"data: ":
                    value = (
                        chunk[6:-2]
                        if chunk[-2:] == b"\n\n"
                        else chunk[6:-4]
                        if chunk[-4:] == b"\r\n\r\n"
                        else chunk
                    )
                    if _LF not in value and _CR not in value:
                        text = value.decode("utf-8", "replace")
                        return [
                            _new_event(
                                ServerSentEvent, ("message", text, self._last_event_id, None)
                            )
                        ]
                elif (
                    start == b"event:"
                    and self._start_of_typed
                    and (event := self._typed_event(chunk))
                ):
                    return [event]
                elif chunk[0] == _COLON and self._on_comment is None and _is_one_comment(chunk):
                    return []
            # pragma: no mutate end
        elif self._gate:
            self._refuse()
        events: list[ServerSentEvent] = []
        try:
            if len(chunk) > _MANY:  # pragma: no mutate
                events.extend(self._decode((chunk,)))
            else:
                event = (engine := self._engine or self._start()).send((self, chunk))
                while event is not None:
                    events.append(event)
                    event = next(engine)
        except StopIteration:  # halted
            pass
        except BaseException:
            if not (self._gate == TOO_LARGE and events):  # its error comes from the next call
                self._break(events)
                raise
        return events

    def _start(self) -> Engine:
        """Make the generator that serves `feed`: 1.2 to 1.4 times as fast as one for each chunk."""
        engine = self._decode(repeat(_PAUSE))
        next(engine)
        self._engine = engine
        return engine

    def close(self) -> list[ServerSentEvent]:
        """End the stream and return what its end completes; called again, return [].

        Raises IncompleteEventError (once) as `incomplete` says, EventTooLargeError if that was raised or is due,
        RuntimeError within `on_comment`. The properties stay readable.
        """
        if self._gate == _IN_CALLBACK:
            raise RuntimeError(
                "close() was called from within on_comment; call it after feed() has returned"
            )
        if self._gate == TOO_LARGE:
            raise EventTooLargeError(self._limit)
        events = self._salvage()
        if self._gate in (_BROKEN, _CLOSED):
            self._gate = _CLOSED
            return events
        self._gate = _OPEN  # what looked like the first bytes of a byte order mark is a line
        self._measure()
        self._ended_inside = self.incomplete
        try:
            if self._incomplete == "dispatch":
                events.extend(self._decode_measured(b"\n\n"))
            elif self._incomplete == "raise" and self._ended_inside:
                raise IncompleteEventError(self._peek())
        finally:
            self._shut(_CLOSED)
        return events

    # Chunks in, events out.

    def _decode(
        self, chunks: Iterable[Chunk], stop: Callable[[BaseException], None] | None = None
    ) -> Engine:
        """Yield the events of the chunks as they are completed: the hot loop. The properties are up to date at each.

        `stop` takes an error of the chunks or the decoder, which else passes through. At `_PAUSE` among the chunks it yields
        None and is sent the next one.
        """
        self._engine = None  # what it knows grows old  # pragma: no mutate
        lf, cr, new_event, on_comment = (
            _LF,
            _CR,
            _new_event,
            self._on_comment,
        )  # a local name is found at once
        pieces = self._pieces
        more: list[bytes | bytearray] = self._more
        data, event_type, event_id, retry, in_block = self._block()
        last_event_id = self._last_event_id
        event: ServerSentEvent | None = (
            None  # completed, and held back until the next or the chunk's end
        )
        fields: Any = None  # pragma: no mutate
        # The last line that named a type: most events name the same again. 1.1 to 1.3 times.
        type_line, type_name = b"", ""  # pragma: no mutate
        try:
            for chunk in chunks:
                if type(chunk) is not bytes:
                    if chunk is _PAUSE:
                        del self  # what waits here holds neither the decoder nor an event
                        fields = None  # pragma: no mutate
                        self, chunk = yield None
                    else:
                        chunk = _as_bytes(chunk)
                room = self._room - len(chunk)
                if room < 0:
                    if self._halted:
                        self._gate = _HALTED
                        return
                    chunk = self._enter(chunk)
                    room = self._room - len(chunk)
                    if room < 0:
                        fits = self._fits(chunk)
                        if not fits:
                            yield from self._decode_measured(chunk)
                        data, event_type, event_id, retry, in_block = self._block()
                        last_event_id = self._last_event_id
                        if not fits:
                            if self._gate == _HALTED:
                                return
                            continue
                        room = self._room - len(chunk)
                if lf not in chunk and cr not in chunk:
                    if chunk:
                        self._room = room
                        pieces.append(chunk)
                    continue
                # pragma: no mutate start
                if not in_block and (not pieces or len(chunk) > _BLOCKS):
                    start = pieces[0][:6] if pieces else chunk[:6]
                    if start == b"data: ":
                        if not pieces:
                            # Fast path: the chunk is one event of one line: 1.8 to 2 times as fast.
                            value = (
                                chunk[6:-2]
                                if chunk[-2:] == b"\n\n"
                                else chunk[6:-4]
                                if chunk[-4:] == b"\r\n\r\n"
                                else chunk
                            )
                            if lf not in value and cr not in value:
                                text = value.decode("utf-8", "replace")
                                yield new_event(ServerSentEvent, ("message", text, event_id, None))
                                continue
                        end = (
                            chunk.find(b"\n") if len(chunk) > _BLOCKS and not self._is_long else -1
                        )
                        between = chunk[end : end + 8]
                        if (
                            between == b"\n\ndata: "
                            or (between := chunk[end - 1 : end + 9]) == b"\r\n\r\ndata: "
                        ):
                            # Fast path: blocks of one line of data: 1.1 to 1.6 times as fast.
                            pieces.append(chunk)
                            block: bytes = b"".join(self._pieces)
                            pieces.clear()
                            is_ascii = block.isascii()
                            marks: Any = (
                                (between.decode(), "\n", "\r") if is_ascii else (between, lf, cr)
                            )
                            separator, feed, back = marks
                            # ASCII is split as text: 1.1 times as fast, for it is decoded at once.
                            values: Any = (block.decode() if is_ascii else block).split(separator)
                            del block
                            tail = values.pop()
                            values[0] = values[0][6:]
                            values = iter(values)  # which lets go of them at its end
                            for value in values:
                                if feed in value or back in value:  # the rest goes by lines
                                    tail = separator.join([value, *values, tail])
                                    break
                                if event is not None:
                                    yield event
                                text = value if is_ascii else value.decode("utf-8", "replace")
                                event = new_event(
                                    ServerSentEvent, ("message", text, event_id, None)
                                )
                            rest: bytes = tail.encode() if is_ascii else tail
                            chunk = b"data: " + rest
                            if lf not in rest and cr not in rest:
                                self._room = room
                                pieces.append(chunk)
                                if (
                                    event is not None
                                ):  # pragma: no branch (there is at least one value)
                                    yield event
                                    event = None
                                continue
                    elif start == b"event:" and not pieces and self._start_of_typed:
                        event = self._typed_event(chunk)
                        if event is not None:
                            yield event
                            event = None
                            continue
                    elif (
                        chunk[0] == _COLON
                        and on_comment is None
                        and not pieces
                        and _is_one_comment(chunk)
                    ):
                        continue
                # pragma: no mutate end

                # 9.2.5: a line ends at CRLF, LF or CR. A CR ends it at once; an LF that opens the next chunk belongs to it.
                lines = chunk.splitlines()
                if pieces:
                    if self._is_long:
                        self._engine = None  # `lines` may be large  # pragma: no mutate
                        lines[:1] = self._end_long_line(lines[0])
                        data, event_type, in_block = self._data, self._event_type, self._in_block
                    else:
                        pieces.append(lines[0])
                        lines[0] = b"".join(pieces)
                        pieces.clear()
                last = chunk[-1]
                rest = b""
                if last == cr:
                    self._gate = _AFTER_CR
                    room = ~room if room > 0 else -1
                elif last != lf:
                    rest = lines.pop()
                self._room = room

                # 9.2.6: interpretation.
                try:
                    for line in lines:
                        if not line:
                            # A blank line dispatches the event. The last event ID is set first, event or not.
                            last_event_id = event_id
                            in_block = False
                            if data is not None:
                                if more:
                                    data = _joined(data, more)
                                fields = (
                                    event_type or "message",
                                    data.decode("utf-8", "replace"),
                                    event_id,
                                    retry,
                                )
                                data, event_type, retry = None, "", None
                                if event is not None:
                                    self._last_event_id = event[2]
                                    self._data, self._in_block = None, False
                                    yield event
                                event = new_event(ServerSentEvent, fields)
                            else:
                                event_type, retry = "", None
                        # The usual form of each field: 1.1 to 2.2 times as fast as below.
                        elif line[:6] == b"data: ":  # pragma: no mutate
                            in_block = True
                            if data is None:
                                data = line[6:]
                            else:
                                more.append(line[6:])
                        elif line == type_line:  # pragma: no mutate
                            in_block = True
                            event_type = type_name
                        elif (first := line[0]) == _COLON:
                            if on_comment is not None:
                                if event is not None:
                                    self._last_event_id = event[2]
                                    self._data, self._in_block = None, False
                                    yield event
                                    event = None
                                self._last_event_id = last_event_id
                                self._in_block = in_block
                                self._hear(on_comment, line)
                                if self._gate == _HALTED:
                                    return
                        elif first == _E and line[:7] == b"event: ":  # pragma: no mutate
                            in_block = True
                            type_line = line  # pragma: no mutate
                            event_type = type_name = line[7:].decode("utf-8", "replace")
                        elif (
                            first == _I and line[:4] == b"id: " and 0 not in line
                        ):  # pragma: no mutate
                            in_block = True
                            event_id = line[4:].decode("utf-8", "replace")
                        elif (
                            line[:7] == b"retry: " and line[7:].isdigit() and len(line) < 16
                        ):  # pragma: no mutate
                            in_block = True
                            self._retry = retry = int(line[7:])
                        else:
                            in_block = True
                            # The name is what precedes the first colon; one space after it is not part of the value.
                            name, _, value = line.partition(b":")
                            if value[:1] == b" ":
                                value = value[1:]
                            if name == b"retry":
                                time = _milliseconds(value)
                                if time is not None:
                                    self._retry = retry = time
                            elif name == b"data":
                                if data is None:
                                    data = value
                                else:
                                    more.append(value)
                            elif name == b"event":
                                event_type = value.decode("utf-8", "replace")
                            elif name == b"id" and 0 not in value:
                                event_id = value.decode("utf-8", "replace")
                finally:
                    self._data, self._event_type, self._id_buffer = data, event_type, event_id
                    self._block_retry, self._in_block = retry, in_block
                if rest:
                    pieces.append(rest)
                self._last_event_id = last_event_id
                if event is not None:
                    yield event
                    event = None
        except GeneratorExit:
            raise
        except BaseException as error:
            if stop is None:
                raise
            stop(error)

    def _block(self) -> tuple[bytes | bytearray | None, str, str, int | None, bool]:
        return self._data, self._event_type, self._id_buffer, self._block_retry, self._in_block

    # pragma: no mutate start
    def _typed_event(self, chunk: bytes) -> ServerSentEvent | None:
        """Return the event if the chunk is one, of a type and a line of data. Fast path: 1.4 to 1.6 times."""
        start = self._start_of_typed
        if chunk[: len(start)] != start:
            end = chunk.find(b"\n", 7)
            name = chunk[7:end].removesuffix(b"\r")
            if chunk[end : end + 7] != b"\ndata: " or chunk[6] != _SPACE or _CR in name:
                self._start_of_typed = b""  # not a stream of this form
                return None
            self._start_of_typed = start = chunk[: end + 7]
            self._type_of_typed = name.decode("utf-8", "replace") or "message"
        size = len(start)
        value = (
            chunk[size:-2]
            if chunk[-2:] == b"\n\n"
            else chunk[size:-4]
            if chunk[-4:] == b"\r\n\r\n"
            else chunk
        )
        if _LF in value or _CR in value:
            return None
        event: ServerSentEvent = _new_event(
            ServerSentEvent,
            (self._type_of_typed, value.decode("utf-8", "replace"), self._last_event_id, None),
        )
        return event

    # pragma: no mutate end

    # The way in: what is not the plain case of the next chunk of an open stream.

    def _refuse(self) -> None:
        """Raise if the decoder takes no more chunks."""
        if self._gate == TOO_LARGE:
            raise EventTooLargeError(self._limit)
        if self._gate == _CLOSED:
            raise ValueError(
                "feed() was called after close(): a decoder serves one stream, make a new one"
            )
        if self._gate == _BROKEN:
            raise ValueError(
                "feed() was called after an exception had ended this decoder: make a new one"
            )
        if self._gate == _HALTED:
            raise ValueError(
                "feed() was called after the stream of this decoder was closed: make a new one"
            )
        if self._gate == _IN_CALLBACK:
            raise RuntimeError("feed() was called from within on_comment")

    def _enter(self, chunk: bytes) -> bytes:
        """Strip what precedes the first line."""
        if self._gate == _OPEN:
            return chunk
        self._refuse()
        if not chunk:
            return chunk
        if self._gate == _AFTER_CR:
            self._gate, self._room = _OPEN, ~self._room
            return chunk[1:] if chunk[0] == _LF else chunk  # the LF of a CRLF
        # 9.2.5: one leading byte order mark is ignored. Its first bytes wait for the rest.
        chunk = b"".join(self._pieces) + chunk
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            self._pieces[:] = [chunk]
            return b""
        self._gate = _OPEN
        self._pieces.clear()
        return chunk.removeprefix(_BOM)

    # What is long, or may be too large.

    def _fits(self, chunk: bytes) -> bool:
        """Make room for the chunk if it is not long and nothing in it can be too large."""
        free = self._measure()
        return not self._skipping and len(chunk) <= min(free, _PIECE)

    def _decode_measured(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events of a chunk that is long, or in which a line may be too large."""
        # pragma: no mutate start
        if chunk[:6] == b"data: " and self._is_one_event(chunk):
            text = str(memoryview(chunk)[6:-2], "utf-8", "replace")
            yield _new_event(ServerSentEvent, ("message", text, self._last_event_id, None))
            return
        # pragma: no mutate end
        for piece in _cut(chunk, min(_PIECE, self._limit)):
            if self._gate == _HALTED:
                return
            piece = self._enter(piece)
            if self._fits(piece):
                self._room = len(piece)
                yield from self._decode((piece,))
            else:
                for line in piece.splitlines(keepends=True):
                    yield from self._decode_line(line)
                    if self._gate == _HALTED:
                        return
                if piece[-1:] == b"\r":
                    self._gate, self._room = _AFTER_CR, -1

    # pragma: no mutate start
    def _is_one_event(self, chunk: bytes) -> bool:
        """Whether the chunk is one event of one line, which needs no cutting. Fast path: 2 times and more."""
        at_block = not (self._pieces or self._in_block or self._skipping)
        return (
            at_block
            and chunk.find(b"\n") == len(chunk) - 2 <= self._limit
            and chunk[-1] == _LF
            and _CR not in chunk
        )

    # pragma: no mutate end
    def _decode_line(self, line: bytes) -> Iterator[ServerSentEvent]:
        """Measure a line, or a part of one, and yield the event if it ends one."""
        content = line.rstrip(b"\r\n")
        if content:
            self._pieces.append(content)
        self._measure()
        if len(content) == len(line):
            return
        if self._discarding:
            self._discarding = False
        elif self._skipping and self._pieces and self._pieces[0].partition(b":")[0] == b"data":
            self._in_block = True
            self._clear_line()
        else:
            if not self._pieces:
                self._skipping = False
            self._room = 1
            yield from self._decode((b"\n",))
        self._measure()

    def _measure(self) -> int:
        """Join what is held of the event, raise or begin to skip if it is too large, and return how many bytes are left."""
        pieces = self._pieces
        if self._discarding:
            self._clear_line()
        elif len(pieces) > 1:
            if not self._is_long:
                long: Any = bytearray(pieces[0])
                pieces[0] = long
                self._is_long = True
            pieces[0] += b"".join(pieces[1:])
            del pieces[1:]
        if self._data is not None and self._more:
            self._data = _joined(
                self._data if type(self._data) is bytearray else bytearray(self._data), self._more
            )
        size = self._size()
        if size > self._limit and self._gate != _AT_START:
            size = self._exceed()
        elif self._on_comment is None and pieces and pieces[0][0] == _COLON:
            self._unheld += len(pieces[0]) - 1  # nobody will read it: keep the colon
            colon: Any = bytearray(b":")
            pieces[0] = colon
            self._is_long = True
        free = self._limit - size
        self._room = -1 if self._gate or self._skipping else min(_SMALL, free)
        return free

    def _size(self) -> int:
        size = self._unheld + (0 if self._data is None else len(self._data))
        return size + (len(self._pieces[0]) if self._pieces else 0)

    def _exceed(self) -> int:
        """Raise, or skip the event; return the size of what is left of it."""
        is_field = bool(self._pieces) and self._pieces[0][0] != _COLON
        if self._on_oversize == "raise":
            self._ended_inside = self.incomplete or is_field
            self._shut(TOO_LARGE)
            raise EventTooLargeError(self._limit)
        if not self._skipping:
            self._skipping = True
            self._skipped += 1
            self._data = None
            self._more.clear()
        if self._size() > self._limit:  # not with the data before the line, but the line alone
            self._in_block = self._in_block or is_field
            self._discarding = True
            self._clear_line()
        return self._size()

    def _end_long_line(self, end: bytes) -> list[bytes]:
        """End a long line: take its data or type without copying it, or return it if it is another line."""
        line: Any = self._pieces[0]
        for piece in (*self._pieces[1:], end):
            line += piece
        self._clear_line()
        name, _, _ = line[:6].partition(b":")
        start = len(name) + 1
        start += line[start : start + 1] == b" "
        if name == b"data":
            del line[:start]
            if self._data is None:
                self._data = line
            else:
                self._more.append(line)
        elif name == b"event":
            self._event_type = str(memoryview(line)[start:], "utf-8", "replace")
        else:
            return [bytes(line)]
        self._in_block = True
        return []

    def _clear_line(self) -> None:
        self._pieces.clear()
        self._is_long = False
        self._unheld = 0

    def _hear(self, on_comment: Callable[[str], object], line: bytes) -> None:
        gate, room, self._gate, self._room = self._gate, self._room, _IN_CALLBACK, -1
        try:
            on_comment(line[2 if line[1:2] == b" " else 1 :].decode("utf-8", "replace"))
        except BaseException:
            self._break([])
            raise
        if self._gate == _IN_CALLBACK:
            self._gate, self._room = gate, room

    # The end.

    def _peek(self) -> ServerSentEvent | None:
        """Return the unfinished event as far as it came; nothing else of it counts."""
        kept = self._last_event_id, self._retry
        self._on_comment = None
        events = [*self._decode_measured(b"\n\n")]
        self._last_event_id, self._retry = kept
        return events[0] if events else None

    def _break(self, events: list[ServerSentEvent]) -> None:
        """End the decoder by an exception: keep what is complete for `close`."""
        if self._gate != TOO_LARGE:
            self._kept = events
            self._shut(_BROKEN)

    def _halt(self) -> None:
        """Let `_decode` end with the chunk that it is reading: the stream was closed."""
        if self._gate in (_OPEN, _AFTER_CR, _AT_START, _IN_CALLBACK):
            if self._gate == _AT_START:
                self._pieces.clear()
            self._halted = True
            self._engine = None  # pragma: no mutate
            self._gate, self._room = _HALTED, -1

    def _salvage(self) -> list[ServerSentEvent]:
        """Return, once, the events of the chunk whose decoding an exception ended."""
        events, self._kept = self._kept, []
        return events

    def _shut(self, gate: int) -> None:
        """Take nothing more, and hold nothing."""
        self._gate, self._room = gate, -1
        self._engine = None  # pragma: no mutate
        self._clear_line()
        self._data = None
        self._more.clear()


_PAUSE: Any = object()  # among the chunks: there are no more for now
# A NamedTuple's own constructor takes twice the time.
_new_event: Any = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _joined(data: bytes | bytearray, more: list[bytes | bytearray]) -> bytes | bytearray:
    """Join the values of data fields with LF, in place if the first is long; clear the list."""
    if type(data) is bytearray:
        data += b"\n"
        data += b"\n".join(more)
    else:
        data = b"\n".join([data, *more])
    more.clear()
    return data


# pragma: no mutate start
def _is_one_comment(chunk: bytes) -> bool:
    """Whether the chunk is a comment and a blank line. Fast path for what nobody hears: 1.4 to 2 times."""
    line = (
        chunk[:-2] if chunk[-2:] == b"\n\n" else chunk[:-4] if chunk[-4:] == b"\r\n\r\n" else chunk
    )
    return _LF not in line and _CR not in line


# pragma: no mutate end
def _cut(chunk: bytes, size: int) -> Iterator[bytes]:
    view = memoryview(chunk)
    for start in range(0, len(chunk), size):
        yield bytes(view[start : start + size])


def _milliseconds(value: bytes) -> int | None:
    if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
        try:
            return int(value)
        except ValueError:  # the interpreter was told to take fewer digits
            pass
    return None


def _as_bytes(chunk: Chunk) -> bytes:
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    if isinstance(chunk, str):
        raise TypeError(
            "feed() takes bytes, not str: pass the bytes as they came, or text.encode()"
        )
    raise TypeError(f"feed() takes bytes, bytearray or memoryview, not {type(chunk).__name__}")
