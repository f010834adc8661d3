# SPDX-License-Identifier: MIT
"""Read newline-delimited JSON, the other framing in which services stream: one JSON document a line. Provisional until 0.2.

    for document in iter_documents(response.iter_bytes()):
        print(document["message"]["content"], end="")

A line ends at LF; a CR before it is white space to JSON. Lines of white space are passed over, one byte order mark at the
start is dropped, the last line needs no line end, and how the bytes are cut changes nothing. A document comes out as soon as
its line has ended.

Strategy: `bytes.split` finds all line ends of a chunk at once; a line is decoded and parsed when its document is asked for.

Cost: linear in the bytes. Held are the unfinished line, and the lines of one chunk until they are asked for.
"""

from __future__ import annotations

from .decoder import SSEError, _as_bytes
from .streams import _async_iterator, _AsyncClosing, _AsyncOwner, _Closing, _iterator, _Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Iterator
    from typing import Any

    from .decoder import Chunk

__all__ = ["AsyncDocuments", "DocumentError", "Documents", "aiter_documents", "iter_documents"]

_BOM = b"\xef\xbb\xbf"
# How much of a faulty line its error shows, in bytes.
_SHOWN = 200


class DocumentError(SSEError):
    """A line is no JSON document in UTF-8, or is longer than `max_line_size`; `__cause__` is what `loads` raised.

    line_number: of the line, from 1; blank lines count.
    start:       the line's first 200 bytes, as text; of one that is too long, the first that are too many at the most.
    """

    def __init__(self, reason: str, line_number: int, start: str) -> None:
        super().__init__(f"line {line_number} {reason}: {start!r}")
        self._reason = reason
        self.line_number = line_number
        self.start = start

    def __reduce__(self) -> tuple[type[DocumentError], tuple[str, int, str]]:
        return type(self), (self._reason, self.line_number, self.start)


class _Lines:
    """What both sides share: bytes in, documents out."""

    __slots__ = (
        "__weakref__",
        "_chunks",
        "_ended",
        "_limit",
        "_line",
        "_line_number",
        "_lines",
        "_loads",
        "_response_to_close",
    )

    def __init__(self, max_line_size: int | None, loads: Callable[[str], Any] | None) -> None:
        if max_line_size is not None and not isinstance(max_line_size, int):
            raise TypeError(f"max_line_size must be an int or None, not {type(max_line_size).__name__}")
        if max_line_size is not None and max_line_size < 1:
            raise ValueError(f"max_line_size must be at least 1 byte, or None for no bound, not {max_line_size}")
        if loads is None:
            from json import loads
        if not callable(loads):
            raise TypeError(f"loads must be callable, such as json.loads, not {type(loads).__name__}")
        self._limit = max_line_size
        self._loads = loads
        self._line = bytearray()  # the one that has not ended
        self._line_number = 0  # of those that have been looked at
        self._lines: Iterator[bytes] = iter(())  # ended, and not looked at
        self._response_to_close = None
        self._ended = False

    def _feed(self, chunk: Chunk) -> None:
        """Take the next bytes."""
        chunk = _as_bytes(chunk)
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = bytes(self._line) + lines[0]
            self._line = bytearray(rest)
        else:
            self._line += rest
        self._lines = iter(lines)

    def _finish(self) -> None:
        """Take the end of the bytes for the end of the last line."""
        self._lines = iter([bytes(self._line)])
        self._line = bytearray()
        self._ended = True

    def _abandon(self) -> None:
        self._lines = iter(())
        self._line = bytearray()
        self._ended = True

    def _parse(self) -> Iterator[Any]:
        """Give the documents of `_lines`; may be left at any of them and called again."""
        for line in self._lines:
            if self._line_number == 0:
                line = line.removeprefix(_BOM)
            self._line_number += 1
            self._measure(line)
            if line.strip(b" \t\r"):
                yield self._load(line)
        rest = self._line
        if self._limit is not None and len(rest) > self._limit:
            if self._line_number == 0:  # what may become a byte order mark is no content yet
                rest = bytearray() if _BOM.startswith(rest) else rest.removeprefix(_BOM)
            if len(rest) > self._limit:
                self._line_number += 1
                self._measure(rest)

    def _measure(self, line: bytes | bytearray) -> None:
        if self._limit is not None and len(line) > self._limit:
            reason = f"is longer than max_line_size={self._limit} bytes; to accept it, raise max_line_size (None: no bound)"
            raise DocumentError(reason, self._line_number, _start(line[: self._limit + 1]))

    def _load(self, line: bytes) -> Any:
        try:
            return self._loads(line.decode())
        except Exception as error:
            reason = "is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else "is no JSON document"
            raise DocumentError(f"{reason} ({error})", self._line_number, _start(line)) from error


class Documents(_Lines, _Owner, _Closing):
    """What `iter_documents` returns: an iterator over the documents, and a context manager that closes it."""

    __slots__ = ()

    def __init__(self, chunks: Iterable[Chunk], max_line_size: int | None, loads: Callable[[str], Any] | None) -> None:
        super().__init__(max_line_size, loads)
        self._chunks = _iterator(chunks, "iter_documents", "aiter_documents")

    def __next__(self) -> Any:
        try:
            while True:
                for document in self._parse():
                    return document
                if self._ended:
                    break
                self._read()
        except BaseException:
            self._abandon()
            try:
                self._release()
            except Exception:
                pass
            raise
        self._release()
        raise StopIteration

    def _read(self) -> None:
        for chunk in self._chunks:
            if not self._ended:  # by another thread
                self._feed(chunk)
            return
        if not self._ended:
            self._finish()

    def close(self) -> None:
        """Release the iterator over the chunks."""
        self._abandon()
        self._release()


class AsyncDocuments(_Lines, _AsyncOwner, _AsyncClosing):
    """What `aiter_documents` returns: an async iterator over the documents, and an async context manager that closes it."""

    __slots__ = ("_waiting",)

    def __init__(self, chunks: AsyncIterable[Chunk], max_line_size: int | None, loads: Callable[[str], Any] | None) -> None:
        super().__init__(max_line_size, loads)
        self._chunks = _async_iterator(chunks, "aiter_documents", "iter_documents")
        self._waiting = False

    async def __anext__(self) -> Any:
        if self._waiting:
            raise RuntimeError("two tasks wait for these documents at once; let one read and pass them on")
        self._waiting = True
        try:
            while True:
                for document in self._parse():
                    return document
                if self._ended:
                    break
                await self._read()
        except GeneratorExit:
            self._abandon()  # the coroutine was closed or collected: nothing can be awaited
            raise
        except BaseException:
            self._abandon()
            try:
                await self._release()
            except Exception:
                pass
            raise
        finally:
            self._waiting = False
        await self._release()
        raise StopAsyncIteration

    async def _read(self) -> None:
        async for chunk in self._chunks:
            if not self._ended:  # by another task
                self._feed(chunk)
            return
        if not self._ended:
            self._finish()

    async def aclose(self) -> None:
        """Release the iterator over the chunks."""
        self._abandon()
        await self._release()


def iter_documents(
    chunks: Iterable[Chunk], *, max_line_size: int | None = 64 * 1024 * 1024, loads: Callable[[str], Any] | None = None
) -> Documents:
    """Iterate over the JSON documents in an iterable of bytes, one a line.

    chunks: any iterable of bytes, bytearray or memoryview, cut anywhere; closed with the iterator. Its exceptions pass
        through, after the documents completed before them; the line that they cut off is dropped.
    max_line_size: how many bytes a line may have, its LF not counted; None for no bound.
    loads: parses a line, a str; by default `json.loads`.

    Raises DocumentError, after the documents before it, for a line that is too long, that is not UTF-8, or that `loads`
    refuses by any exception; nothing follows it. TypeError and ValueError for arguments of the wrong kind.
    """
    return Documents(chunks, max_line_size, loads)


def aiter_documents(
    chunks: AsyncIterable[Chunk], *, max_line_size: int | None = 64 * 1024 * 1024, loads: Callable[[str], Any] | None = None
) -> AsyncDocuments:
    """As `iter_documents`, for an async iterable of bytes."""
    return AsyncDocuments(chunks, max_line_size, loads)


def _start(line: bytes | bytearray) -> str:
    return bytes(line[:_SHOWN]).decode("utf-8", "replace")
