# SPDX-License-Identifier: MIT
"""The streams that are decoded: seeded, each with what it stresses and the events it must give.

They are modelled on what services send; names, words and numbers are made up. Only `Random.random`
is drawn from, whose sequence Python promises to keep, so that every version of Python makes the
same bytes.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Expected(NamedTuple):
    """One event as it must come out."""

    event: str = "message"
    data: str = ""
    id: str = ""
    retry: int | None = None


# What a server writes at once, and the event it completes, if any.
Part = tuple[bytes, "Expected | None"]


class Stream(NamedTuple):
    """A stream: its parts, and what they stress."""

    name: str
    stresses: str
    llm: bool
    parts: tuple[Part, ...]

    @property
    def data(self) -> bytes:
        return b"".join(wire for wire, _ in self.parts)

    @property
    def events(self) -> list[Expected]:
        return [event for _, event in self.parts if event is not None]


class _Dice:
    """Draws words, numbers and tokens from one seed."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed).random

    def below(self, bound: int) -> int:
        return int(self._random() * bound)

    def of(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]

    def token(self, length: int) -> str:
        return "".join(self.of(_ALPHABET) for _ in range(length))

    def text(self, words: int) -> str:
        return " ".join(self.of(_WORDS) for _ in range(words))


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TEXT = """
the of and to in is that for it as with was on be at by this which from or an are not have but can
one all more stream event reader writer buffer parser browser server signal harbour lantern gravel
orchard copper meadow
"""
_WORDS = _TEXT.split()
_ABROAD = [
    "天気",
    "明日",
    "は",
    "です",
    "流れ",
    "사건",
    "하늘",
    "поток",
    "событие",
    "ветер",
    "señal",
    "café",
    "Straße",
    "🌊",
    "🙂",
]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _part(
    *lines: str,
    end: str = "\n",
    event: str = "message",
    id: str = "",  # noqa: A002
    retry: int | None = None,
) -> Part:
    """Return a block of these lines, and the event that it must give."""
    data = "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
    return "".join(line + end for line in (*lines, "")).encode(), Expected(event, data, id, retry)


def _chat(dice: _Dice, count: int, words: Sequence[str], end: str = "\n") -> list[Part]:
    head = {
        "id": f"chatcmpl-{dice.token(29)}",
        "object": "chat.completion.chunk",
        "created": 1763683200,
    }
    parts: list[Part] = []
    for _ in range(count - 1):
        choice = {
            "index": 0,
            "delta": {"content": " " + dice.of(words)},
            "logprobs": None,
            "finish_reason": None,
        }
        body = {
            **head,
            "model": "gpt-model-2025-08-07",
            "service_tier": "default",
            "system_fingerprint": "fp_3f58d112f7",
            "choices": [choice],
            "obfuscation": dice.token(1 + dice.below(16)),
        }
        parts.append(_part(f"data: {_json(body)}", end=end))
    return [*parts, _part("data: [DONE]", end=end)]


def _chat_ascii(dice: _Dice, count: int) -> list[Part]:
    return _chat(dice, count, _WORDS)


def _chat_unicode(dice: _Dice, count: int) -> list[Part]:
    return _chat(dice, count, _ABROAD)


def _chat_crlf(dice: _Dice, count: int) -> list[Part]:
    return _chat(dice, count, _WORDS, "\r\n")


def _typed(body: dict[str, object], end: str = "\n", name: str = "") -> Part:
    name = name or str(body["type"])
    return _part(f"event: {name}", f"data: {_json(body)}", event=name, end=end)


def _anthropic(dice: _Dice, count: int) -> list[Part]:
    parts = [
        _typed(
            {
                "type": "message_start",
                "message": {"id": f"msg_{dice.token(24)}", "role": "assistant", "content": []},
            }
        )
    ]
    for number in range(count - 2):
        if number % 100 == 1:
            parts.append(_typed({"type": "ping"}))
        else:
            delta = {"type": "text_delta", "text": " " + dice.text(1 + dice.below(3))}
            parts.append(_typed({"type": "content_block_delta", "index": 0, "delta": delta}))
    return [*parts, _typed({"type": "message_stop"})]


def _responses(dice: _Dice, count: int) -> list[Part]:
    item = f"msg_{dice.token(48)}"
    parts: list[Part] = []
    for number in range(count):
        where = {"sequence_number": number, "item_id": item, "output_index": 0, "content_index": 0}
        rest = {
            "delta": " " + dice.of(_WORDS),
            "logprobs": [],
            "obfuscation": dice.token(1 + dice.below(16)),
        }
        parts.append(_typed({"type": "response.output_text.delta", **where, **rest}))
    return parts


def _mcp_crlf(dice: _Dice, count: int) -> list[Part]:
    parts: list[Part] = []
    for number in range(count):
        params = {
            "progressToken": dice.token(8),
            "progress": number,
            "total": count,
            "message": dice.text(6),
        }
        parts.append(
            _typed(
                {"jsonrpc": "2.0", "method": "notifications/progress", "params": params},
                end="\r\n",
                name="message",
            )
        )
    return parts


def _wikimedia(dice: _Dice, count: int) -> list[Part]:
    parts: list[Part] = []
    for number in range(count):
        stamp = 1763683200000 + 40 * number
        topics = [{"topic": "eqiad.mediawiki.recentchange", "partition": 0, "timestamp": stamp}]
        mark = _json(
            [*topics, {"topic": "codfw.mediawiki.recentchange", "partition": 0, "offset": -1}]
        )
        body = {
            "$schema": "/mediawiki/recentchange/1.0.0",
            "meta": {
                "uri": f"https://example.org/wiki/{dice.token(20)}",
                "id": dice.token(36),
                "domain": "example.org",
            },
            "id": 1900000000 + number,
            "type": dice.of(["edit", "new", "log", "categorize"]),
            "title": dice.of(_ABROAD) + " " + dice.text(3),
            "comment": dice.text(4 + dice.below(30)),
            "timestamp": stamp // 1000,
            "user": dice.token(10),
            "bot": dice.below(3) == 0,
            "length": {"old": dice.below(100000), "new": dice.below(100000)},
            "parsedcomment": dice.text(4 + dice.below(60)),
        }
        parts.append(_part("event: message", f"id: {mark}", f"data: {_json(body)}", id=mark))
    return parts


def _fields(dice: _Dice, count: int) -> list[Part]:
    parts: list[Part] = []
    for number in range(count):
        name, retry = dice.of(["added", "changed", "removed"]), 1000 + dice.below(9000)
        lines = (
            f"id: {number}",
            f"event: {name}",
            f"retry: {retry}",
            f"data: {_json({'key': dice.token(12), 'text': dice.text(6)})}",
        )
        parts.append(_part(*lines, event=name, id=str(number), retry=retry))
    return parts


def _lines(dice: _Dice, count: int) -> list[Part]:
    return [
        _part(*(f"data: {dice.text(1 + dice.below(12))}" for _ in range(20))) for _ in range(count)
    ]


def _tiny(dice: _Dice, count: int) -> list[Part]:
    return [_part(f"data: {dice.of(_WORDS)}") for _ in range(count)]


def _keepalives(dice: _Dice, count: int) -> list[Part]:
    parts: list[Part] = []
    for _ in range(count):
        parts += [(f": ping {dice.below(10**9)}\n\n".encode(), None) for _ in range(9)]
        parts.append(_part(f"data: {_json({'text': dice.text(8)})}"))
    return parts


def _huge(dice: _Dice, count: int) -> list[Part]:
    # As an image in base64: no line end in it, and nothing in it is looked at twice.
    image = dice.token(1 << 10) * count
    return [_part(f"data: {_json({'image': image})}")]


# Name, what it stresses, whether it is an LLM's stream, how many events (of the huge one: KiB), how
# they are made.
_SHAPES: tuple[tuple[str, str, bool, int, Callable[[_Dice, int], list[Part]]], ...] = (
    (
        "chat",
        "one data line of some 320 bytes: OpenAI chat chunks in ASCII",
        True,
        1000,
        _chat_ascii,
    ),
    (
        "chat-unicode",
        "the same in other scripts: characters of two to four bytes, split by the cuts",
        True,
        1000,
        _chat_unicode,
    ),
    (
        "anthropic",
        "event + data of some 130 bytes, the type changes: Anthropic messages",
        True,
        1500,
        _anthropic,
    ),
    ("responses", "event + data of some 300 bytes: OpenAI responses", True, 1000, _responses),
    (
        "chat-crlf",
        "the chat chunks with CRLF, as sse-starlette sends them",
        False,
        1000,
        _chat_crlf,
    ),
    (
        "mcp-crlf",
        "event + data with CRLF, the type named though it is the default: MCP",
        False,
        1000,
        _mcp_crlf,
    ),
    (
        "wikimedia",
        "event + a JSON id of 140 bytes + data of 700: decoding what is not data",
        False,
        500,
        _wikimedia,
    ),
    (
        "fields",
        "id, event, retry and data in every event: nothing is the plain case",
        False,
        1000,
        _fields,
    ),
    ("lines", "20 data lines an event: collecting and joining", False, 200, _lines),
    ("tiny", "events of some 12 bytes: the cost of an event, not of its bytes", False, 4000, _tiny),
    (
        "keepalives",
        "nine comment blocks before each event: the cost of what gives nothing",
        False,
        400,
        _keepalives,
    ),
    ("huge", "one event of 512 KiB: bytes, and copies of them", False, 512, _huge),
)
NAMES = tuple(shape[0] for shape in _SHAPES)


def build(name: str, scale: float = 1.0) -> Stream:
    """Make the stream of this name, with `scale` times its number of events."""
    for shape, stresses, llm, count, make in _SHAPES:
        if shape == name:
            return Stream(name, stresses, llm, tuple(make(_Dice(name), max(3, int(count * scale)))))
    raise ValueError(f"no shape is named {name!r}; there are {', '.join(NAMES)}")
