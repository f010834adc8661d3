# SPDX-License-Identifier: MIT
"""Read newline-delimited JSON, the other framing that services stream in: one document a line.

    with client.stream("POST", url, json=request) as response:
        chunks = response.iter_bytes()
        for document in iter_documents(chunks, done=lambda d: d.get("done"), require_done=True):
            print(document)

A line ends at LF, the last one at the end. Blank lines and a byte order mark at the start are
passed over. Cost: linear in the bytes, however they are cut; the unfinished line is held once.
"""

from __future__ import annotations

import json
from functools import partial

from ._pieces import pieces
from .decoder import BOM, SSEError, as_bytes
from .payloads import ServiceError, before_mark, document_in, is_error_of_refused, is_service_error
from .streams import (
    AsyncReader,
    DoneMark,
    Reader,
    Reading,
    aiter_chunks,
    iter_chunks,
    refuse_coroutine_function,
    type_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Collection, Iterable, Iterator
    from typing import Any, Union

    from .decoder import Chunk, ServerSentEvent

    Predicate = Callable[[Any], object]
    Mark = Union[str, Predicate, Collection[Union[str, Predicate]], None]
    IsError = Union[Predicate, Callable[[Union[ServerSentEvent, None], Any], object]]

__all__ = ["AsyncDocuments", "DocumentError", "Documents", "aiter_documents", "iter_documents"]

_SHOWN = 200  # bytes


class DocumentError(SSEError):
    """A line is no JSON document in UTF-8, or too long; `__cause__` is what `loads` raised.

    reason:      what is wrong with it, a str.
    line_number: from 1; blank lines count.
    start:       the first 200 bytes of the line, as text.
    """

    def __init__(self, reason: str, line_number: int, start: str) -> None:
        super().__init__(reason, line_number, start)
        self.line_number = line_number
        self.start = start

    def __str__(self) -> str:
        return f"line {self.line_number} {self.args[0]}: {self.start!r}"


class _DocumentMachine:
    """Fed chunks, it answers with documents."""

    last_event_id = ""

    def __init__(
        self,
        max_line_size: int | None,
        loads: Callable[[str], Any] | None,
        done: Any,
        require_done: bool,
        is_error: IsError | None,
    ) -> None:
        if max_line_size is not None:
            size: Any = max_line_size
            if not isinstance(size, int):
                raise TypeError(f"max_line_size must be an int or None, not {type_name(size)}")
            if max_line_size < 1:
                raise ValueError(f"max_line_size must be at least 1, not {max_line_size}")
        if loads is not None and not callable(loads):
            raise TypeError(f"loads must be a function of a str, not {type_name(loads)}")
        if is_error is not None and not callable(is_error):
            raise TypeError(f"is_error must be a function or None, not {type_name(is_error)}")
        refuse_coroutine_function("loads", loads)
        refuse_coroutine_function("is_error", is_error)
        self.ended = False
        self._limit = max_line_size
        self._loads = loads or json.loads
        self._mark = DoneMark(done, require_done)
        self._is_error: Any = _of_document(is_error)
        self._line_number = 1
        self._rest = bytearray()  # the unfinished line
        self._error: Exception | None = None  # raised by `close`

    def feed(self, chunk: Chunk) -> list[Any]:
        *lines, rest = as_bytes(chunk).split(b"\n")
        documents: list[Any] = []
        try:
            if lines:
                lines[0] = bytes(self._rest) + lines[0]
                self._rest = bytearray()
            for line in lines:
                self._read_line(line, documents)
                if self.ended:
                    return documents
            self._rest += rest
            self._check_rest()
        except Exception as error:
            self.ended = True
            if not documents:
                raise
            self._error = error
        return documents

    def close(self) -> list[Any]:
        documents: list[Any] = []
        if not self.ended:
            self.ended = True
            self._end(documents)
            if self._mark.is_required and not self._mark.is_reached:
                self._error = before_mark(self._mark)
        error, self._error = self._error, None
        if error is not None and documents:  # raised when they have been handed out
            self._error = error
        elif error is not None:
            raise error
        return documents

    def _end(self, documents: list[Any]) -> None:
        try:
            self._read_line(bytes(self._rest), documents)
        except DocumentError as error:
            reason = f"{error.args[0]}; the stream ended in this line"
            raise DocumentError(reason, error.line_number, error.start) from error.__cause__

    def _read_line(self, line: bytes, documents: list[Any]) -> None:
        if self._line_number == 1:
            line = line.removeprefix(BOM)
        self._measure(line)
        if line.strip(b" \t\r"):
            text = self._decode(line)
            if self._mark.is_text(text):
                self._mark.is_reached = self.ended = True
            else:
                documents.append(self._load(text, line))
        self._line_number += 1

    def _check_rest(self) -> None:
        rest = self._rest
        if self._line_number == 1 and self._limit is not None and len(rest) > self._limit:
            rest = bytearray() if BOM.startswith(rest) else rest.removeprefix(BOM)
        self._measure(rest)

    def _measure(self, line: bytes | bytearray) -> None:
        if self._limit is not None and len(line) > self._limit:
            start = line[: self._limit + 1]
            raise self._error_in(f"is longer than max_line_size={self._limit} bytes", start)

    def _decode(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise self._error_in(f"is no text in UTF-8 ({error})", line) from error

    def _load(self, text: str, line: bytes) -> Any:
        try:
            document = self._loads(text)
        except Exception as error:
            refused = document_in(text)
            # Refused by a `loads` that checks a schema, perhaps.
            if refused is not None and is_error_of_refused(self._is_error, refused):
                raise ServiceError(None, refused) from error
            raise self._error_in(f"{_what_it_is(text, error)} ({error})", line) from error
        if self._is_error is not None and self._is_error(document):
            raise ServiceError(None, document)
        if self._mark.is_met(document):
            self._mark.is_reached = self.ended = True
        return document

    def _error_in(self, reason: str, line: bytes | bytearray) -> DocumentError:
        return DocumentError(reason, self._line_number, line[:_SHOWN].decode("utf-8", "replace"))


def _of_document(is_error: Any) -> Any:
    """Return `is_error` as a function of a document."""
    if is_error is None:
        return None
    if is_error is not is_service_error:
        from inspect import signature  # slow to import

        try:
            signature(is_error).bind(None, None)
        except TypeError:
            return is_error
        except ValueError:  # a builtin that does not tell
            pass
    return partial(is_error, None)


def _what_it_is(text: str, error: Exception) -> str:
    """Return what a line is that `loads` refused, as far as one can see."""
    text, what = text.strip(), "is no JSON document"
    if document_in(text) is not None:
        return "is JSON, but loads refused it"
    if getattr(error, "msg", "") == "Extra data":
        return f"{what}, but perhaps two on one line"
    if text.startswith("[") and not text.endswith("]"):
        return f"{what}, but perhaps the start of a JSON array over several lines"
    if text == "{":
        return f"{what}, but perhaps the start of one over several lines"
    if text.partition(":")[0] in ("data", "event", "id", "retry", ""):
        return f"{what}, but perhaps one of an event stream, which EventStream reads"
    return what


class _Pieces:
    """What documents are read from: a large chunk comes in pieces."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = chunks
        self._pieces: Iterator[bytes] = iter(())  # of the last chunk
        if hasattr(chunks, "interrupt"):
            self.interrupt = chunks.interrupt

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> bytes:
        for piece in self._pieces:
            return piece
        self._pieces = pieces(as_bytes(next(self._chunks)))
        return next(self._pieces)


class _AsyncPieces(_Pieces):
    """The same for `aiter_documents`."""

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        self._pieces = pieces(as_bytes(await self._chunks.__anext__()))
        return next(self._pieces)


class _Documents(Reading["Any"]):
    __slots__ = ()

    def position(self) -> str:
        return ""


class Documents(_Documents, Reader["Any"]):
    """What `iter_documents` returns: an iterator over the documents, and a context manager."""

    __slots__ = ()


class AsyncDocuments(_Documents, AsyncReader["Any"]):
    """What `aiter_documents` returns: an async iterator, and an async context manager."""

    __slots__ = ()


def iter_documents(
    chunks: Iterable[Chunk],
    *,
    max_line_size: int | None = 64 * 1024 * 1024,
    loads: Callable[[str], Any] | None = None,
    done: Mark = None,
    require_done: bool = False,
    is_error: IsError | None = is_service_error,
) -> Documents:
    r"""Iterate over the JSON documents in an iterable of bytes.

    >>> list(iter_documents([b'{"text": "Hi', b'"}\n{"done": true}\n']))
    [{'text': 'Hi'}, {'done': True}]

    chunks:        any iterable of bytes, bytearray or memoryview, cut anywhere; closed at the end.
    max_line_size: how many bytes a line may have, an int of at least 1; None for no bound; by
                   default 64 MiB.
    loads:         a function that parses a line, a str, and may check it, too; None:
                   `json.loads`. What it refuses is still asked whether it is an error.
    done:          what marks the end: a function of a document that says whether it is the last,
                   which is still handed out; or a str, a line that is that text; or a tuple, list
                   or set of several. None, the default: the end of the bytes is the end.
    require_done:  whether bytes that end before the mark are an IncompleteEventError. False by
                   default.
    is_error:      a function of a document, or of None and a document, as the default
                   `payloads.is_service_error` is, that says whether it is an error; None: nothing
                   is. It is asked before `done`.

    Returns an iterator and context manager. Raises DocumentError for a line that is no JSON
    document, or too long, and says whether the bytes ended in that line; ServiceError, whose
    `.event` is None, for an error; what `chunks` raises passes through. Documents completed before
    come first. TypeError or ValueError for an argument of the wrong kind.
    """
    machine = _DocumentMachine(max_line_size, loads, done, require_done, is_error)
    source = iter_chunks(chunks, "iter_documents", "aiter_documents")
    return Documents(_Pieces(source), machine, source, None if source is chunks else chunks)


def aiter_documents(
    chunks: AsyncIterable[Chunk],
    *,
    max_line_size: int | None = 64 * 1024 * 1024,
    loads: Callable[[str], Any] | None = None,
    done: Mark = None,
    require_done: bool = False,
    is_error: IsError | None = is_service_error,
) -> AsyncDocuments:
    """Iterate over the JSON documents in an async iterable of bytes.

    chunks: any async iterable of bytes, bytearray or memoryview.
    max_line_size, loads, done, require_done, is_error: as for `iter_documents`, and so is what is
        raised.

    Returns an async iterator and async context manager.
    """
    machine = _DocumentMachine(max_line_size, loads, done, require_done, is_error)
    source = aiter_chunks(chunks, "aiter_documents", "iter_documents")
    return AsyncDocuments(
        _AsyncPieces(source), machine, source, None if source is chunks else chunks
    )
