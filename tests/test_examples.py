# SPDX-License-Identifier: MIT
"""The examples of README and recipes survive what services really send.

Each is run against a server that sends, in turn, each shape in which streams have been seen. Then
it shows the whole text, or an error of ours that it catches; never an exception of its own, never a
text that is silently short.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from sse_stream import SSEDecoder
from tests import llm, pages

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = '{"error": {"message": "Overloaded", "code": 529}}'
PAGE = b"<html>\n<h1>502 Bad Gateway</h1>\n</html>\n"
KEEP_ALIVES = (
    b": ping\n\n"
    b"event: ping\ndata: 2026-11-28T20:00:00Z\n\n"
    b"event: heartbeat\n\n"
    b"retry: 3000\n\n"
    b"id: 7\n\n"
    b"data:\n\n"
)


def events(*payloads: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads)


def in_place_of_a_stream(mark: bytes = b"") -> dict[str, pages.Answer]:
    """Return what comes, under 200 or not, where nothing of the answer does."""
    bodies = {
        "nothing": b"",
        "comments alone": b": ping\n\n" * 3,
        "an error document on one line": ERROR.encode(),
        "an error document on several lines": json.dumps(json.loads(ERROR), indent=2).encode(),
        "an array of one error": f"[{ERROR}]".encode(),
        "a field named error, then the mark": b"error: " + ERROR.encode() + b"\n\n" + mark,
        "a page of HTML": PAGE,
        "a JSON array": b'[{"candidates": []},\n{"candidates": []}]',
    }
    answers = {name: pages.Answer(body) for name, body in bodies.items()}
    answers["a status, and JSON"] = pages.Answer(ERROR.encode(), 429, "application/json")
    answers["a status, and HTML"] = pages.Answer(PAGE, 502, "text/html")
    answers["JSON under 200"] = pages.Answer(ERROR.encode(), 200, "application/json")
    return answers


ERRORS: list[Any] = [
    json.loads(ERROR),
    {"error": "overloaded"},
    {"object": "error", "message": "Overloaded", "code": 40001},
    [json.loads(ERROR)],
    {"detail": "Overloaded"},
    {"errors": [{"message": "Overloaded"}]},
]


class Family(NamedTuple):
    """What may be sent to the examples of one protocol.

    whole:  bodies whose text is `llm.TEXT`.
    broken: what is not, or not all of it.
    """

    whole: dict[str, bytes]
    broken: dict[str, pages.Answer]

    def answers(self) -> list[tuple[str, pages.Answer, bool]]:
        return [
            *((name, pages.Answer(body), True) for name, body in self.whole.items()),
            *((name, answer, False) for name, answer in self.broken.items()),
        ]


def family(whole: dict[str, bytes], parts: list[bytes], mark: bytes) -> Family:
    """Return a family.

    whole: bodies with all of the text.
    parts: those of one such body, the last of which is the mark.
    mark:  what a service sends after a field named error.
    """
    documented = b"".join(parts)
    whole = {
        "as documented": documented,
        "keep-alives": KEEP_ALIVES.join([b"", *parts]),
        "a byte order mark, and CRLF": b"\xef\xbb\xbf" + documented.replace(b"\n", b"\r\n"),
        "CR": documented.replace(b"\n", b"\r"),
        "no last blank line": documented.rstrip(b"\n"),
        "no space after the colon": documented.replace(b"data: ", b"data:"),
        **whole,
    }
    started = b"".join(parts[:4])
    broken = in_place_of_a_stream(mark)
    broken["an early, clean end"] = pages.Answer(b"".join(parts[:-1]))
    broken["an end inside an event"] = pages.Answer(started + parts[4][: len(parts[4]) // 2])
    broken["the end inside the last line"] = pages.Answer(documented.rstrip(b"\n")[:-3])
    broken["HTML in the middle"] = pages.Answer(started + b"data: <html>\n\n" + mark)
    for number, error in enumerate(ERRORS):
        broken[f"error {number}"] = pages.Answer(started + events(error) + mark)
    typed = b"event: error\ndata: Overloaded\n\n"
    broken["an event of the type error"] = pages.Answer(started + typed + mark)
    return Family(whole, broken)


DONE = b"data: [DONE]\n\n"
CHOICE = {"index": 0, "finish_reason": None}
EMPTY: dict[str, Any] = {
    "`choices` empty": {"choices": [], "usage": {"total_tokens": 3}},
    "`choices` missing": {"usage": {"total_tokens": 3}},
    "`choices` null": {"choices": None},
    "a choice without `delta`": {"choices": [CHOICE]},
    "`delta` null": {"choices": [{**CHOICE, "delta": None}]},
    "`content` null": {"choices": [{**CHOICE, "delta": {"content": None}}]},
}
_OPENAI = llm.OPENAI.parts
OPENAI = family(
    {
        **{
            name: b"".join([events(payload), *_OPENAI[:4], events(payload), *_OPENAI[4:]])
            for name, payload in EMPTY.items()
        },
        "the mark in JSON quotes": b"".join(_OPENAI[:-1]) + b'data: "[DONE]"\n\n',
    },
    _OPENAI,
    DONE,
)
# Whoever takes this as an error hides a text; the SDK's own.
_BARE = [part[part.index(b"data:") :] for part in llm.ANTHROPIC.parts]
ANTHROPIC = family(
    {
        "no lines `event:`": b"".join(_BARE),
        "no lines `event:`, and OpenAI's mark": b"".join(_BARE) + DONE,
        "`delta` null": events({"type": "content_block_delta", "delta": None})
        + b"".join(llm.ANTHROPIC.parts),
    },
    llm.ANTHROPIC.parts,
    b"",
)


def blocks(text: str) -> list[Any]:
    return [pytest.param(block, id=block.name) for block in pages.PYTHON if text in block.code]


@pytest.fixture(scope="module")
def service() -> Iterator[pages.Service]:
    with pages.no_tls(), pages.Service() as service:
        yield service


def shown(
    code: str, service: pages.Service, answer: pages.Answer, capsys: pytest.CaptureFixture[str]
) -> tuple[str, dict[str, Any]]:
    """Run a block while the server sends this; return what it shows, and its names."""
    service.other = answer
    names = pages.run(code, service.origin)
    return capsys.readouterr().out, names


BROKE_OFF = "\nThe answer broke off"


@pytest.mark.parametrize("block", blocks("/v1/chat/completions"))
@pytest.mark.parametrize("part", ["token by token", "the whole text"])
@pytest.mark.parametrize(("name", "answer", "is_whole"), OPENAI.answers())
def test_a_chat_of_openai(
    block: pages.Block,
    part: str,
    name: str,
    answer: pages.Answer,
    is_whole: bool,
    service: pages.Service,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = block.code
    first, second = code.index("    with connect"), code.index("    # Or the whole text")
    code = (
        code[:second] + code[code.index("except") :]
        if part == "token by token"
        else (code[:first] + code[second:])
    )
    out, names = shown(code, service, answer, capsys)
    text = out if part == "token by token" else names.get("text", "") + out
    check(text, is_whole, is_at_once=part == "the whole text")


def check(text: str, is_whole: bool, *, is_at_once: bool = False) -> None:
    if is_whole:
        assert text == llm.TEXT
    else:
        start, broke_off, why = text.partition(BROKE_OFF)
        assert broke_off
        assert why.strip()
        assert llm.TEXT.startswith(start)
        assert not (is_at_once and start)


@pytest.mark.parametrize("block", blocks("/v1/messages"))
@pytest.mark.parametrize(("name", "answer", "is_whole"), ANTHROPIC.answers())
def test_a_chat_of_anthropic(
    block: pages.Block,
    name: str,
    answer: pages.Answer,
    is_whole: bool,
    service: pages.Service,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check(shown(block.code, service, answer, capsys)[0], is_whole)


# What the SDK makes of payloads is its own affair; these are no objects, or errors in other words.
NOT_THE_SDKS = {"error 3", "an event of the type error", "keep-alives", "the mark in JSON quotes"}


@pytest.mark.parametrize("block", blocks("openai.OpenAI"))
def test_a_chat_in_an_sdk(
    block: pages.Block, service: pages.Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, answer, is_whole in OPENAI.answers():
        if name not in NOT_THE_SDKS:
            text = shown(block.code, service, answer, capsys)[0]
            # The SDK knows no mark, but why the model finished: after that, nothing is missing.
            check(text, is_whole or text == llm.TEXT)


def lines(*documents: Any) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


TOKENS = [{"message": {"content": token}, "done": False} for token in llm.TOKENS]
END = {"done": True, "eval_count": 6}
OLLAMA = {
    "as documented": (lines(*TOKENS, END), True),
    "CRLF and blank lines": (lines(*TOKENS, END).replace(b"\n", b"\r\n\r\n"), True),
    "no last line end": (lines(*TOKENS, END)[:-1], True),
    "`message` null": (lines({"message": None}, *TOKENS, END), True),
    "`content` null": (lines({"message": {"content": None}}, *TOKENS, END), True),
    "an error": (lines(*TOKENS[:2], {"error": "out of memory"}), False),
    "an early, clean end": (lines(*TOKENS), False),
    "an end inside a line": (lines(*TOKENS)[:-5], False),
    "nothing": (b"", False),
    "two documents on a line": (lines(*TOKENS, END).replace(b"\n", b""), False),
    "a JSON array": (json.dumps([*TOKENS, END], indent=1).encode(), False),
    "HTML": (PAGE, False),
    "an event stream": (b"".join(_OPENAI), False),
}


@pytest.mark.parametrize("block", blocks("iter_documents"))
@pytest.mark.parametrize("client", ["httpx", "requests"])
@pytest.mark.parametrize("name", OLLAMA)
def test_a_chat_in_json_lines(
    block: pages.Block,
    client: str,
    name: str,
    service: pages.Service,
    capsys: pytest.CaptureFixture[str],
) -> None:
    body, is_whole = OLLAMA[name]
    code = block.code
    first, second = code.index("    with httpx"), code.index("    with requests")
    code = (
        code[:second] + code[code.index("except") :]
        if client == "httpx"
        else (code[:first] + code[second:])
    )
    answer = pages.Answer(body, content_type="application/x-ndjson")
    check(shown(code, service, answer, capsys)[0], is_whole)
    answer = pages.Answer(lines({"error": "no such model"}), 404, "application/json")
    check(shown(code, service, answer, capsys)[0], is_whole=False)


RESULT = {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}
NOTE = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
REFUSAL = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such method"}}
JSON = "application/json; charset=utf-8"
MCP = {
    "a document": (pages.Answer(json.dumps(RESULT).encode(), content_type=JSON), "'tools'"),
    "a document that is an error": (
        pages.Answer(json.dumps(REFUSAL).encode(), content_type=JSON),
        "no such method",
    ),
    "a stream": (pages.Answer(events(NOTE, RESULT)), "'tools'"),
    "a stream with an error": (pages.Answer(events(NOTE, REFUSAL)), "no such method"),
    "an ID with empty data": (
        pages.Answer(b"id: 1\nretry: 10\ndata:\n\n" + events(RESULT)),
        "'tools'",
    ),
    "keep-alives": (
        pages.Answer(KEEP_ALIVES + events(NOTE) + KEEP_ALIVES + events(RESULT)),
        "'tools'",
    ),
    "an early, clean end": (pages.Answer(events(NOTE)), "No answer: "),
    "an end inside an event": (pages.Answer(events(NOTE, RESULT)[:-9]), "No answer: "),
    "HTML": (pages.Answer(PAGE, content_type="text/html"), "No answer: "),
    "a broken document": (pages.Answer(b'{"a": ', content_type=JSON), "No answer: "),
    "a status": (pages.Answer(b"{}", 401, JSON), "No answer: "),
    "an error document under the stream's type": (pages.Answer(ERROR.encode()), "No answer: "),
}


@pytest.mark.parametrize("block", blocks("/mcp"))
@pytest.mark.parametrize("name", MCP)
def test_a_call_of_mcp(
    block: pages.Block, name: str, service: pages.Service, capsys: pytest.CaptureFixture[str]
) -> None:
    answer, expected = MCP[name]
    assert expected in shown(block.code, service, answer, capsys)[0]


@pytest.mark.parametrize("block", blocks("class ToolError"))
@pytest.mark.parametrize(("name", "answer", "is_whole"), OPENAI.answers())
def test_the_sdk_of_ones_own(
    block: pages.Block,
    name: str,
    answer: pages.Answer,
    is_whole: bool,
    service: pages.Service,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = block.code.replace("    print(error)\n", "    print('ToolError:', error)\n")
    if name == "no last blank line":
        is_whole = False  # `discard`, and so the mark is none
    assert ("ToolError: " in shown(code, service, answer, capsys)[0]) != is_whole


# Examples that show events as they are: these come, whatever they say. What is ignored by the
# standard is ignored.

PLAIN = [
    pytest.param(block, id=block.name)
    for block in pages.PYTHON
    if "https://example.org/events" in block.code
    and not any(
        word in block.code for word in ("vcr", "respx", "RequestsMock", "pycurl", "iter_bytes")
    )
]
STREAMS = {
    "OpenAI": b"".join(_OPENAI),
    "Anthropic": b"".join(llm.ANTHROPIC.parts),
    "keep-alives": KEEP_ALIVES,
    "an early end": b"".join(_OPENAI[:-1]),
    "inside an event": b"data: a\n\ndata: b",
    "an error document": json.dumps(json.loads(ERROR), indent=2).encode(),
    "HTML": PAGE,
    "nothing": b"",
}


@pytest.mark.parametrize("block", PLAIN)
def test_events_as_they_are(
    block: pages.Block, service: pages.Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in STREAMS.values():
        decoder = SSEDecoder()
        expected = [event.data for event in decoder.feed(body) + decoder.close()]
        out, _ = shown(block.code, service, pages.Answer(body), capsys)
        for data in expected:
            assert data in out
        assert len(out.splitlines()) >= len(expected)


@pytest.mark.parametrize("block", blocks("The feed is gone"))
def test_feeds_that_are_gone(
    block: pages.Block,
    service: pages.Service,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pages.connect_again_at_once(monkeypatch)
    service.answers["/token"] = pages.Answer(b'{"token": "T"}', content_type="application/json")
    for answer in in_place_of_a_stream().values():
        assert "The feed is gone: " in shown(block.code, service, answer, capsys)[0]
