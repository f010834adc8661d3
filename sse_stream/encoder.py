# SPDX-License-Identifier: MIT
"""Encode events: decoding gives the same again.

That holds for what a decoder gives: `event` is not empty and has no CR or LF, `id` no CR, LF or
NUL, `data` no CR, `retry` is None or not negative. CR and CRLF in data are taken for LF, an empty
type for "message". Cost: linear.
"""

from __future__ import annotations

from .decoder import ServerSentEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SSEEncoder"]


class SSEEncoder:
    r"""Encode the events of one event stream (WHATWG HTML 9.2.5 and 9.2.6).

    >>> encoder = SSEEncoder()
    >>> encoder.event("one\ntwo", event="greeting", id="7")
    b'id: 7\nevent: greeting\ndata: one\ndata: two\n\n'
    >>> encoder.comment("still here")
    b': still here\n'

    last_event_id: the ID that the reader starts from, a str: its request's `Last-Event-ID`; "" for
        none.

    A server writes with `event`, `comment`, `retry` and `id`; `encode` writes what a decoder gave.
    Each returns bytes for one reader's stream. Raises TypeError or ValueError for an ID that could
    not be one; so does each method for what could not arrive as it is, and then nothing changes.
    """

    __slots__ = ("_last_event_id",)

    def __init__(self, *, last_event_id: str = "") -> None:
        _refuse_all_but_text("last_event_id", last_event_id, "\r\n\0")
        self._last_event_id = last_event_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} last_event_id={self._last_event_id!r}>"

    def encode(self, event: ServerSentEvent) -> bytes:
        """Return the block of an event that a decoder gave, with its blank line, as bytes.

        event: a ServerSentEvent. Its `id` is the last event ID in force when it was dispatched: it
            is written unless it is in force already, and "" resets the reader's. So an event made
            without an id makes the reader forget where to resume; `event` leaves that alone.

        Raises TypeError and ValueError for what could not arrive as it is; the encoder stays as it
        was.
        """
        given: Any = event
        if not isinstance(given, ServerSentEvent):
            raise TypeError(f"encode() takes a ServerSentEvent, not {type(given).__name__}")
        event_type, data, event_id, retry = event
        _refuse_all_but_text("id", event_id, "\r\n\0")
        written_id = None if event_id == self._last_event_id else event_id
        return self._block(data, event_type, written_id, retry)

    def event(
        self,
        data: str = "",
        *,
        event: str = "message",
        id: str | None = None,  # noqa: A002  the standard's name
        retry: int | None = None,
    ) -> bytes:
        """Return the block of a new event, with its blank line, as bytes.

        data:  any str, "" by default; CR and CRLF are taken for LF.
        event: its type, a str without CR and LF; "message", the default, is not written.
        id:    what the reader resumes from after this event, a str without CR, LF and NUL; ""
               resets that. None, the default, leaves it as it is.
        retry: the reconnection time that the reader is to keep from now on, in milliseconds, an
               int; None, the default, leaves it as it is.

        Raises TypeError and ValueError for what could not arrive as it is; the encoder stays as it
        was.
        """
        return self._block(data, event, id, retry)

    def retry(self, milliseconds: int) -> bytes:
        """Return a block that sets the reader's reconnection time, and is no event, as bytes.

        milliseconds: an int of at least 0.

        Raises TypeError for another type, ValueError for a negative number.
        """
        return f"{_retry_line(milliseconds)}\n".encode()

    def id(self, value: str) -> bytes:
        """Return a block that sets what the reader resumes from, and is no event, as bytes.

        value: the last event ID, a str without CR, LF and NUL; "" resets it.

        Raises TypeError for another type, ValueError for such a character.
        """
        line = _id_line(value).encode()
        self._last_event_id = value
        return line + b"\n"

    def _block(self, data: str, event: str, event_id: str | None, retry: int | None) -> bytes:
        _refuse_all_but_text("event", event, "\r\n")
        _refuse_all_but_text("data", data, "")
        lines = "" if retry is None else _retry_line(retry)
        if event_id is not None:
            lines += _id_line(event_id)
        if event not in ("message", ""):
            lines += f"event: {event}\n"
        encoded = f"{lines}{_prefixed('data: ', data)}\n".encode()
        if event_id is not None:
            self._last_event_id = event_id
        return encoded

    def comment(self, text: str = "") -> bytes:
        """Return a comment for each line of a text, as bytes: it keeps a connection alive.

        text: any str; "" for an empty comment.

        No blank line follows: some readers would see an event. Raises TypeError for another type.
        """
        _refuse_all_but_text("a comment", text, "")
        return _prefixed(": ", text).encode()


def _retry_line(retry: Any) -> str:
    if not isinstance(retry, int):
        raise TypeError(f"retry must be an int or None, not {type(retry).__name__}")
    if retry < 0:
        raise ValueError("retry must not be negative")
    # True is "1"; a ValueError beyond 4,300 digits, which no decoder takes.
    return f"retry: {retry:d}\n"


def _id_line(value: str) -> str:
    _refuse_all_but_text("id", value, "\r\n\0")
    return f"id: {value}\n"


def _prefixed(prefix: str, text: str) -> str:
    # Lines end only at CRLF, LF and CR (9.2.5), unlike in str.splitlines.
    return (
        prefix + text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\n" + prefix) + "\n"
    )


def _refuse_all_but_text(name: str, text: Any, forbidden: str) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str, not {type(text).__name__}")
    for character in forbidden:
        if character in text:
            why = "makes readers ignore it" if character == "\0" else "would forge a line"
            raise ValueError(f"{name} must not contain {character!r}, which {why}: {text!r}")
