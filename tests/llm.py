# SPDX-License-Identifier: MIT
"""What a server says that speaks the protocol of OpenAI's chat, or of Anthropic's messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markdown_it import MarkdownIt

from .adapters.server import EVENT_STREAM, respond, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .adapters.server import Connection, Handler

TOKENS = ["Hel", "lo, ", "", "w\u00f6rld\u2028", "\N{PARTY POPPER}", "\n"]
TEXT = "".join(TOKENS)


def _event(payload: Any, name: str = "") -> bytes:
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


def _openai_delta(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1717000000,
        "model": "m",
    }
    return _event({**head, "choices": [choice], "usage": None})


def _openai_parts(tokens: Iterable[str]) -> list[bytes]:
    usage = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}
    last = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1717000000,
        "model": "m",
        "choices": [],
    }
    return [
        b": PROCESSING\n\n",
        _openai_delta({"role": "assistant", "content": ""}),
        *(_openai_delta({"content": token}) for token in tokens),
        _openai_delta({}, "stop"),
        _event({**last, "usage": usage}),
        b"data: [DONE]\n\n",
    ]


def _anthropic_delta(token: str) -> bytes:
    delta = {"type": "text_delta", "text": token}
    return _event(
        {"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta"
    )


def _anthropic_parts(tokens: Iterable[str]) -> list[bytes]:
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "m",
        "stop_reason": None,
    }
    message |= {"stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
    block = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 6},
    }
    return [
        _event({"type": "message_start", "message": message}, "message_start"),
        _event(block, "content_block_start"),
        _event({"type": "ping"}, "ping"),
        *(_anthropic_delta(token) for token in tokens),
        _event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        _event(end, "message_delta"),
        _event({"type": "message_stop"}, "message_stop"),
    ]


class Protocol(NamedTuple):
    """A way to talk with a model.

    path:    of the request.
    headers: of the request, besides that of the JSON body. The first is the key; a Bearer will do
             as well.
    parts:   of the whole answer, one for each event.
    tokens:  of a payload.
    delta:   the event with a token.
    error:   an event that reports an error in the stream, "Overloaded".
    options: those of `iter_payloads`.
    """

    path: str
    headers: dict[str, str]
    parts: list[bytes]
    tokens: Callable[[Any], str]
    delta: Callable[[str], bytes]
    error: bytes
    options: dict[str, Any]


def _openai_tokens(payload: Any) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in payload["choices"])


OPENAI = Protocol(
    path="/v1/chat/completions",
    headers={"Authorization": "Bearer KEY"},
    parts=_openai_parts(TOKENS),
    tokens=_openai_tokens,
    delta=lambda token: _openai_delta({"content": token}),
    error=_event(
        {"error": {"message": "Overloaded", "type": "server_error", "param": None, "code": None}}
    ),
    options={"require_done": True},
)
ANTHROPIC = Protocol(
    path="/v1/messages",
    headers={"X-Api-Key": "KEY", "Anthropic-Version": "2023-06-01"},
    parts=_anthropic_parts(TOKENS),
    tokens=lambda payload: (
        payload["delta"].get("text", "") if payload["type"] == "content_block_delta" else ""
    ),
    delta=_anthropic_delta,
    error=_event(
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error"
    ),
    options={"require_done": True, "done": lambda event, payload: event.event == "message_stop"},
)
PROTOCOLS = {protocol.path: protocol for protocol in (OPENAI, ANTHROPIC)}

REQUEST = {
    "model": "m",
    "max_tokens": 99,
    "stream": True,
    "messages": [{"role": "user", "content": "Hello!"}],
}


def refusal(
    protocol: Protocol, header: Callable[[str], str | None], body: bytes
) -> tuple[int, bytes] | None:
    """Return status and body of the answer to a request that the service refuses, else None."""
    key, *others = protocol.headers
    if header(key) != protocol.headers[key] and header("Authorization") != "Bearer KEY":
        return (
            401,
            b'{"error": {"message": "Incorrect API key provided", '
            b'"type": "invalid_request_error"}}',
        )
    request = json.loads(body)
    message = request["messages"][0]
    right = (request["stream"], message["role"], message["content"]) == (
        True,
        "user",
        "Hello!",
    ) and bool(request["model"])
    if not right or header("Content-Type") != "application/json" or not all(map(header, others)):
        return 400, b'{"error": {"message": "Invalid request", "type": "invalid_request_error"}}'
    return None


def speak(protocol: Protocol, handler: Handler | None = None) -> Handler:
    """Return a handler that answers requests of this protocol: in full, or as `handler` does."""

    def answer(connection: Connection) -> None:
        def header(name: str) -> str | None:
            value = connection.request.header(name)
            return None if value is None else value.decode("latin-1")

        refused = refusal(protocol, header, connection.request.body)
        if refused:
            respond(*refused, headers=[("Content-Type", "application/json")])(connection)
        else:
            (handler or stream(protocol.parts, headers=[EVENT_STREAM]))(connection)

    return answer


def readme_block(text: str) -> str:
    """Return the README's block of Python that has this text."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (code,) = [
        t.content
        for t in MarkdownIt().parse(readme)
        if t.type == "fence" and t.info == "python" and text in t.content
    ]
    return code
