# SPDX-License-Identifier: MIT
"""Read newline-delimited JSON: one JSON document a line. Provisional until 0.2.

A line ends at LF, the last one at the end. Blank lines and a byte order mark at the start are passed over. Cost: linear.
"""

from __future__ import annotations

import json

from .decoder import SSEError, _as_bytes
from .streams import _async_iterator, _AsyncClosing, _AsyncOwner, _Closing, _iterator, _name, _Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Iterator
    from typing import Any

    from .decoder import Chunk

__all__ = ["AsyncDocuments", "DocumentError", "Documents", "aiter_documents", "iter_documents"]

_BOM = b"\xef\xbb\xbf"
_SHOWN = 200  # bytes


class DocumentError(SSEError):
    """A line is no JSON document in UTF-8, or too long; `__cause__` is what `loads` raised.

    line_number: from 1; blank lines count.
    start: the line's first 200 bytes, as text.
    """

    def __init__(self, reason: str, line_number: int, start: str) -> None:
        super().__init__(reason, line_number, start)
        self.line_number = line_number
        self.start = start

    def __str__(self) -> str:
        return f"line {self.line_number} {self.args[0]}: {self.start!r}"


class _Lines:
    _response_to_close = None

    def __init__(
        self, chunks: Any, max_line_size: int | None, loads: Callable[[str], Any] | None
    ) -> None:
        if max_line_size is not None:
            if not isinstance(max_line_size, int):
                raise TypeError(f"max_line_size must be an int or None, not {_name(max_line_size)}")
            if max_line_size < 1:
                raise ValueError(f"max_line_size must be at least 1, not {max_line_size}")
        if loads is not None and not callable(loads):
            raise TypeError(f"loads must be a function of a str, not {_name(loads)}")
        self._chunks = chunks
        self._limit = max_line_size
        self._loads = loads or json.loads
        self._line_number = 1
        self._lines: Iterator[bytes] = iter(())
        self._line = bytearray()
        self._ended = False

    def _feed(self, chunk: Chunk) -> None:
        *lines, rest = _as_bytes(chunk).split(b"\n")
        if lines:
            lines[0] = bytes(self._line) + lines[0]
            self._line = bytearray(rest)
        else:
            self._line += rest
        self._lines = iter(lines)

    def _finish(self) -> None:
        line = bytes(self._line)
        self._abandon()
        self._lines = iter([line])

    def _abandon(self) -> None:
        self._lines = iter(())
        self._line = bytearray()
        self._ended = True

    def _parse(self) -> Iterator[Any]:
        for line in self._lines:
            if self._line_number == 1:
                line = line.removeprefix(_BOM)
            self._measure(line)
            documents = [self._load(line)] if line.strip(b" \t\r") else []
            self._line_number += 1
            yield from documents
        rest = self._line
        if (
            self._line_number == 1 and self._limit is not None and len(rest) > self._limit
        ):  # else no copy
            rest = bytearray() if _BOM.startswith(rest) else rest.removeprefix(_BOM)
        self._measure(rest)

    def _measure(self, line: bytes | bytearray) -> None:
        if self._limit is not None and len(line) > self._limit:
            raise self._error(
                f"is longer than max_line_size={self._limit} bytes", line[: self._limit + 1]
            )

    def _load(self, line: bytes) -> Any:
        try:
            return self._loads(line.decode())
        except Exception as error:
            reason = (
                "is no text in UTF-8"
                if isinstance(error, UnicodeDecodeError)
                else "is no JSON document"
            )
            raise self._error(f"{reason} ({error})", line) from error

    def _error(self, reason: str, line: bytes | bytearray) -> DocumentError:
        return DocumentError(reason, self._line_number, line[:_SHOWN].decode("utf-8", "replace"))


class Documents(_Lines, _Owner, _Closing):
    """What `iter_documents` returns: an iterator over the documents, and a context manager."""

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
    """What `aiter_documents` returns: an async iterator over the documents, and an async context manager."""

    _waiting = False

    async def __anext__(self) -> Any:
        if self._waiting:
            raise RuntimeError("two tasks wait for these documents at once")
        self._waiting = True
        try:
            while True:
                for document in self._parse():
                    return document
                if self._ended:
                    break
                await self._read()
        except GeneratorExit:  # nothing can be awaited
            self._abandon()
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
    chunks: Iterable[Chunk],
    *,
    max_line_size: int | None = 64 * 1024 * 1024,
    loads: Callable[[str], Any] | None = None,
) -> Documents:
    """Iterate over the JSON documents in an iterable of bytes, one a line.

    chunks: as EventStream's. The line that their exception cuts off is dropped.
    max_line_size: the most bytes of a line, without LF; None: no bound.
    loads: parses a line, a str; None: `json.loads`.

    DocumentError, after the documents before it, for a line that is too long, not UTF-8, or that `loads` refuses.
    """
    return Documents(_iterator(chunks, "iter_documents", "aiter_documents"), max_line_size, loads)


def aiter_documents(
    chunks: AsyncIterable[Chunk],
    *,
    max_line_size: int | None = 64 * 1024 * 1024,
    loads: Callable[[str], Any] | None = None,
) -> AsyncDocuments:
    """`iter_documents` for an async iterable of bytes."""
    return AsyncDocuments(
        _async_iterator(chunks, "aiter_documents", "iter_documents"), max_line_size, loads
    )
