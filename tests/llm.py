# SPDX-License-Identifier: MIT
"""What a server says that speaks the protocol of OpenAI's chat, or of Anthropic's messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Shape(NamedTuple):
    """A whole stream in the shape that a service sends it.

    parts:    of the stream.
    done:     what marks its end, as `iter_payloads` or `iter_documents` takes it.
    payloads: how many there are.
    is_error: False where what looks like an error is an answer.
    """

    parts: list[bytes]
    done: Any
    payloads: int
    is_error: bool = True

    @property
    def stream(self) -> bytes:
        return b"".join(self.parts)

    @property
    def options(self) -> dict[str, Any]:
        return {"done": self.done, **({} if self.is_error else {"is_error": None})}


def _at(key: str, *values: str) -> Callable[[Any, Any], bool]:
    """Return a mark: a value in the payload."""
    return lambda event, payload: isinstance(payload, dict) and payload.get(key) in values


def _gemini(text: str, reason: str | None = None) -> Any:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}}
    return {"candidates": [candidate | ({"finishReason": reason} if reason else {})]}


def _is_finished(event: Any, payload: Any) -> bool:
    """Whether Gemini says why it finished: it sends no mark."""
    return bool(payload and any(c.get("finishReason") for c in payload.get("candidates", ())))


def _bare(parts: Iterable[bytes]) -> list[bytes]:
    """Return events as gateways pass them on, without the lines `event:`."""
    return [part[part.index(b"data:") :] for part in parts]


_AZURE: Any = {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
_RESPONSES: list[Any] = [
    {"type": "response.created", "response": {"id": "resp_1", "error": None}},
    {"type": "response.output_text.delta", "delta": "Hello", "sequence_number": 1},
    {"type": "response.completed", "response": {"id": "resp_1", "usage": {"output_tokens": 1}}},
]
_COHERE: list[Any] = [
    {"type": "message-start", "id": "1"},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {}}},
]
_MCP: list[Any] = [
    {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}},
]
_OLLAMA: list[Any] = [
    {"message": {"content": "Hel"}, "done": False},
    {"done": True, "eval_count": 2},
]
_DONE = b"data: [DONE]\n\n"

SHAPES = {
    "OpenAI chat": Shape(OPENAI.parts, "[DONE]", len(TOKENS) + 3),
    "OpenAI Responses": Shape(
        [_event(payload, payload["type"]) for payload in _RESPONSES],
        _at("type", "response.completed", "response.incomplete"),
        3,
    ),
    "Azure": Shape([_event(_AZURE), *OPENAI.parts[1:]], "[DONE]", len(TOKENS) + 4),
    "Anthropic": Shape(ANTHROPIC.parts, _at("type", "message_stop"), len(TOKENS) + 6),
    "Anthropic, by event": Shape(
        ANTHROPIC.parts, lambda event, payload: event.event == "message_stop", len(TOKENS) + 6
    ),
    "Anthropic, through a gateway": Shape(
        [*_bare(ANTHROPIC.parts), _DONE], ("[DONE]", _at("type", "message_stop")), len(TOKENS) + 6
    ),
    "Gemini": Shape(
        [_event(_gemini("Hel")), _event(_gemini("lo", "STOP"))],
        _is_finished,
        2,
    ),
    "Cohere": Shape(
        [_event(payload, payload["type"]) for payload in _COHERE], _at("type", "message-end"), 3
    ),
    "Mistral": Shape(
        [part for part in OPENAI.parts if part.startswith(b"data")], "[DONE]", len(TOKENS) + 3
    ),
    "Coze": Shape(
        [
            b'event:conversation.message.delta\ndata:{"content":"Hi"}\n\n',
            b"event:ping\ndata:2026-11-28 20:00:00\n\n",
            b'event:conversation.chat.completed\ndata:{"usage":{"token_count":2}}\n\n',
            b'event:done\ndata:"[DONE]"\n\n',
        ],
        "[DONE]",
        2,
    ),
    "Bedrock gateway": Shape(
        [b"\xef\xbb\xbf", *_bare(ANTHROPIC.parts)], _at("type", "message_stop"), len(TOKENS) + 6
    ),
    "llama.cpp": Shape(
        [
            b'data: {"content":"Hi","stop":false}\n\n',
            b'data: {"content":"","stop":true,"timings":{}}\n\n',
        ],
        lambda event, payload: payload and payload["stop"],
        2,
    ),
    "vLLM": Shape(
        [_openai_delta({"content": "Hi"}), _event({"usage": {"total_tokens": 3}}), _DONE],
        "[DONE]",
        2,
    ),
    "Ollama": Shape(
        [_openai_delta({"content": "Hi"}), _openai_delta({}, "stop"), _DONE], "[DONE]", 2
    ),
    "OpenRouter": Shape([b": OPENROUTER PROCESSING\n\n"] * 3 + OPENAI.parts, "[DONE]", 9),
    "DeepSeek": Shape(
        [
            b": keep-alive\n\n",
            _openai_delta({"content": None, "reasoning_content": "Hm"}),
            b": keep-alive\n\n",
            _openai_delta({"content": "Hi", "reasoning_content": None}, "stop"),
            _DONE,
        ],
        "[DONE]",
        2,
    ),
    "MCP": Shape(
        [b"id: 1/0\ndata:\n\n", *(_event(payload, "message") for payload in _MCP)],
        lambda event, payload: payload and payload.get("id") == 1,
        2,
        is_error=False,
    ),
}
# The same for `iter_documents`.
DOCUMENTS = {
    "Ollama": Shape(
        [json.dumps(document).encode() + b"\n" for document in _OLLAMA],
        lambda document: document.get("done"),
        2,
    ),
    "CRLF and blank lines": Shape(
        [b'{"done": false}\r\n', b"\r\n", b'{"done": true}\r\n', b"\n"],
        lambda document: document["done"],
        2,
    ),
    "a mark": Shape([b'{"text": "Hi"}\n', b"[DONE]\n"], "[DONE]", 1),
}

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
