# SPDX-License-Identifier: MIT
"""Encode events: decoding gives the same again.

That holds for what a decoder gives: `event` is not empty and has no CR or LF, `id` no CR, LF or
NUL, `data` no CR, `retry` is None or not negative. CR and CRLF in data are taken for LF, an empty
type for "message". Cost: linear.
"""

from __future__ import annotations

from .decoder import ServerSentEvent

__all__ = ["SSEEncoder"]


class SSEEncoder:
    """Encode the events of one event stream (WHATWG HTML 9.2.5 and 9.2.6).

    last_event_id: the ID that the reader starts from, a str: its request's `Last-Event-ID`; "" for
        none.

    An event's `id` is the last event ID in force: repeat it to keep the one before; "" resets it.
    Raises TypeError or ValueError for an ID that could not be one.
    """

    __slots__ = ("_last_event_id",)

    def __init__(self, *, last_event_id: str = "") -> None:
        _refuse_all_but_text("last_event_id", last_event_id, "\r\n\0")
        self._last_event_id = last_event_id

    def encode(self, event: ServerSentEvent) -> bytes:
        """Return the block of an event, with its blank line, as bytes.

        event: a ServerSentEvent. Its `id` is written unless it is in force: one made without an id
            resets the reader's.

        Raises TypeError and ValueError for what could not arrive as it is; the encoder stays as it
        was.
        """
        if not isinstance(event, ServerSentEvent):
            raise TypeError(f"encode() takes a ServerSentEvent, not {type(event).__name__}")
        event_type, data, event_id, retry = event
        _refuse_all_but_text("event", event_type, "\r\n")
        _refuse_all_but_text("data", data, "")
        _refuse_all_but_text("id", event_id, "\r\n\0")
        block = ""
        if retry is not None:
            if not isinstance(retry, int):
                raise TypeError(f"retry must be an int or None, not {type(retry).__name__}")
            if retry < 0:
                raise ValueError("retry must not be negative")
            # True is "1"; a ValueError beyond 4,300 digits, which no decoder takes.
            block += f"retry: {retry:d}\n"
        if event_id != self._last_event_id:
            block += f"id: {event_id}\n"
        if event_type not in ("message", ""):
            block += f"event: {event_type}\n"
        encoded = f"{block}{_prefixed('data: ', data)}\n".encode()
        self._last_event_id = event_id
        return encoded

    def comment(self, text: str = "") -> bytes:
        """Return a comment for each line of a text, as bytes: it keeps a connection alive.

        text: any str; "" for an empty comment.

        No blank line follows: some readers would see an event. Raises TypeError for another type.
        """
        _refuse_all_but_text("a comment", text, "")
        return _prefixed(": ", text).encode()


def _prefixed(prefix: str, text: str) -> str:
    # Lines end only at CRLF, LF and CR (9.2.5), unlike in str.splitlines.
    return (
        prefix + text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\n" + prefix) + "\n"
    )


def _refuse_all_but_text(name: str, text: str, forbidden: str) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str, not {type(text).__name__}")
    for character in forbidden:
        if character in text:
            why = "makes readers ignore it" if character == "\0" else "would forge a line"
            raise ValueError(f"{name} must not contain {character!r}, which {why}: {text!r}")
