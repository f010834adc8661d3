# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from sse_stream.decoder import SSEDecoder, SSEError
from sse_stream.handshake import (
    MAX_BODY_SIZE,
    ContentTypeError,
    Headers,
    ResponseError,
    StatusError,
    acheck_response,
    aread_body,
    check_response,
    coding_error,
    header_value,
    is_event_stream,
    prepare_decoder,
    read_body,
    read_promptly,
    request_headers,
    response_error,
    shown_url,
)
from sse_stream.streams import AsyncEventStream, EventStream
from tests import vectors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

BROWSER_HEADERS = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]


@pytest.mark.parametrize("headers", [None, {}, [], ()])
def test_the_headers_of_a_browser(headers: Any) -> None:
    assert request_headers(headers) == BROWSER_HEADERS
    assert request_headers(headers, "7") == [*BROWSER_HEADERS, ("Last-Event-ID", b"7")]


def test_the_callers_headers_stay() -> None:
    headers = {"Authorization": "secret", "ACCEPT": "*/*", "last-event-id": "1"}
    before = dict(headers)
    assert request_headers(headers) == [BROWSER_HEADERS[1], *headers.items()]
    assert dict(request_headers(headers, "2"))["Last-Event-ID"] == b"2"
    assert [name.lower() for name, _ in request_headers(headers, "2")].count("last-event-id") == 1
    assert headers == before
    assert request_headers([(b"Accept", b"x"), ("A", "1"), ("A", "2")]) == [
        BROWSER_HEADERS[1],
        ("Accept", b"x"),
        ("A", "1"),
        ("A", "2"),
    ]


def test_what_the_caller_set_in_the_client_stays() -> None:
    assert request_headers(own={"accept": "*/*", "User-Agent": "x"}) == BROWSER_HEADERS
    assert (
        request_headers(own=[("ACCEPT", "application/json, text/event-stream")])
        == BROWSER_HEADERS[1:]
    )
    assert (
        request_headers(own={b"cache-control": b"max-age=5", "Accept": b"*/*"})
        == BROWSER_HEADERS[:1]
    )


@pytest.mark.parametrize(
    ("last_event_id", "value"),
    [
        ("", None),
        ("7", b"7"),
        ("a b\tc", b"a b\tc"),
        ("é€🚀", "é€🚀".encode()),
        ("\x80", b"\xc2\x80"),
        ("X7X", b"X7X"),
        ("\u20037\u2003", "\u20037\u2003".encode()),
        (" 7", None),
        ("7 ", None),
        ("\t7", None),
        ("7\r\nX-Forged: 1", None),
        ("7\n", None),
        ("7\0", None),
        ("\x1b[31m", None),
        ("7\x7f", None),
        ("\ud800", None),
    ],
)
def test_an_id_that_cannot_be_a_header_value_is_not_sent(
    last_event_id: str, value: bytes | None
) -> None:
    assert header_value(last_event_id) == value
    sent = dict(request_headers({}, last_event_id)).get("Last-Event-ID")
    assert sent == value


@given(st.text())
def test_no_id_forges_a_header(last_event_id: str) -> None:
    value = header_value(last_event_id)
    if value is not None:
        assert value.strip() == value
        assert not any(byte < 32 and byte != 9 for byte in value)
        assert value.decode() == last_event_id


def test_the_decoder_of_a_connection() -> None:
    assert prepare_decoder(None, "").last_event_id == ""
    assert prepare_decoder(None, "7").last_event_id == "7"
    decoder = SSEDecoder(last_event_id="8")
    assert prepare_decoder(decoder, "") is decoder
    assert not decoder.incomplete
    with pytest.raises(ValueError, match="either decoder or last_event_id"):
        prepare_decoder(decoder, "7")
    decoder.close()
    with pytest.raises(ValueError, match="one stream"):
        prepare_decoder(decoder, "")
    for wrong in (SSEDecoder, "7", 7):
        with pytest.raises(TypeError, match="such as SSEDecoder"):
            prepare_decoder(wrong, "")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="last_event_id must be a str"):
        prepare_decoder(None, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


CONTENT_TYPES = json.loads((vectors.DATA / "wpt.json").read_text())["content_types"]


@pytest.mark.parametrize("case", CONTENT_TYPES, ids=lambda case: case["name"])
def test_content_types_of_the_platform_tests(case: dict[str, str]) -> None:
    assert is_event_stream(200, case["content_type"]) == (case["connection"] == "opens")


@pytest.mark.parametrize(
    ("status", "content_type", "expected"),
    [
        (200, " text/event-stream\t;charset=utf-8", True),
        (201, "text/event-stream", True),
        (204, None, True),
        (204, "text/html", True),
        (200, None, False),
        (200, "", False),
        (200, "text/event-stream2", False),
        (301, "text/event-stream", False),
        (200, "text/event-streamX", False),
        (200, "Xtext/event-stream", False),
        (200, "\u2003text/event-stream", False),
        (199, "text/event-stream", False),
        (299, "text/event-stream", True),
        (300, "text/event-stream", False),
        (500, "text/event-stream", False),
    ],
)
def test_status_and_media_type(status: int, content_type: str | None, expected: bool) -> None:
    assert is_event_stream(status, content_type) == expected


URL = "https://user:secret@example.org:8443/v1/chat?key=secret#secret"


def test_a_status_error() -> None:
    body = json.dumps({"error": {"message": "no\ncredit é"}}, ensure_ascii=False).encode()
    error = response_error(
        429, [("Retry-After", "5"), ("Content-Type", "application/json")], URL, body
    )
    assert type(error) is StatusError
    assert isinstance(error, ResponseError)
    assert isinstance(error, SSEError)
    assert (error.status, error.url, error.body) == (429, URL, body)
    assert error.headers["retry-after"] == "5"
    assert str(error) == (
        'https://example.org:8443/v1/chat answered with status 429 Too Many Requests: {"error": {"message": "no\\ncredit é"}}'
    )


def test_a_redirect_says_how_to_follow() -> None:
    message = str(response_error(307, [], URL, b"", redirects="pass follow=True"))
    assert message.endswith("307 Temporary Redirect (pass follow=True)")
    assert str(response_error(307, [], URL, b"")).endswith("307 Temporary Redirect")


@pytest.mark.parametrize("status", [299, 300, 399, 400, 404])
def test_what_is_a_redirect(status: int) -> None:
    error = response_error(status, [], URL, b"", redirects="pass follow=True")
    assert ("pass follow" in str(error)) == (status in (300, 399))
    assert (type(error) is ContentTypeError) == (status == 299)


def test_an_unknown_status() -> None:
    assert str(response_error(799, [], "http://h/", b"")) == "http://h/ answered with status 799"


def test_a_content_type_error() -> None:
    error = response_error(
        200, [("content-type", "text/html")], URL, b"<p>\x1b[31m hello\0 " + b"x" * 3000
    )
    assert type(error) is ContentTypeError
    message = str(error)
    assert (
        "the Content-Type is 'text/html', not text/event-stream: <p>\ufffd[31m hello\ufffd xxx"
        in message
    )
    assert message.endswith("xxx ...")
    assert len(message) < 700
    assert "the Content-Type is none, not" in str(response_error(200, [], URL, b""))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"x" * 500, "x" * 500),
        (b"x" * 501, "x" * 500 + " ..."),
        (b" " * 1999 + b"xyz", "x"),  # only the start of the body is looked at
        (b"caf\xe9 \xff", "caf\ufffd \ufffd"),
    ],
)
def test_the_start_of_the_body_is_in_the_message(body: bytes, shown: str) -> None:
    assert (
        str(response_error(799, [], "http://h/", body))
        == f"http://h/ answered with status 799: {shown}"
    )


@pytest.mark.parametrize("size", [0, 1, 1000, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 200_000])
@pytest.mark.parametrize("step", [1000, 1024, 100_000])
def test_the_body_of_an_error_is_read_up_to_a_bound(size: int, step: int) -> None:
    assert MAX_BODY_SIZE == 64 * 1024
    body = bytes(i % 251 for i in range(size))
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for start in range(0, size, step):
            taken += 1
            yield body[start : start + step]

    async def achunks() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    assert read_body(chunks()) == body[: 64 * 1024]
    assert (taken - 1) * step < 64 * 1024  # no chunk more than needed
    taken = 0
    assert trio.run(aread_body, achunks()) == body[: 64 * 1024]
    assert (taken - 1) * step < 64 * 1024


def test_the_body_of_an_error_that_breaks_off() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"the "
        yield b"start"
        raise ConnectionResetError

    async def achunks() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    assert read_body(chunks()) == b"the start"
    assert trio.run(aread_body, achunks()) == b"the start"


@pytest.mark.parametrize(
    ("encoding", "decodable", "refused"),
    [
        (None, [], False),
        ("", [], False),
        ("identity", [], False),
        ("Identity ,\t", [], False),
        ("gzip", ["gzip", "br"], False),
        (" GZIP\t,\tbr ", ["gzip", "br"], False),
        ("gzip, zstd", ["gzip", "br"], True),
        ("gzip", [], True),
        ("XgzipX", ["gzip"], True),
        ("\u2003gzip", ["gzip"], True),
    ],
)
def test_a_coding_that_the_client_does_not_decode(
    encoding: str | None, decodable: list[str], refused: bool
) -> None:
    headers = [] if encoding is None else [("content-encoding", encoding)]
    error = coding_error(200, headers, URL, decodable)
    assert (error is not None) == refused
    if error is not None:
        assert type(error) is ResponseError
        assert str(error) == (
            f"https://example.org:8443/v1/chat sent Content-Encoding {encoding!r}, which this client does not decode; ask for "
            "Accept-Encoding: identity, or use another client"
        )
        assert (error.status, error.url, error.body) == (200, URL, b"")
        assert dict(error.headers) == {"content-encoding": encoding}


def test_no_coding_is_decodable_by_default() -> None:
    assert coding_error(200, [("Content-Encoding", "gzip")], URL) is not None
    assert coding_error(200, [], URL) is None


@pytest.mark.parametrize("status", [200, 404])
def test_errors_are_picklable(status: int) -> None:
    error = response_error(status, [("A", "1"), ("a", "2")], URL, b"body")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert (again.status, again.url, again.body) == (error.status, error.url, error.body)
    assert dict(again.headers) == dict(error.headers) == {"A": "1, 2"}


def test_an_error_takes_any_mapping() -> None:
    error = ResponseError("message", 200, {"A": "1"}, "")
    assert error.headers["a"] == "1"
    assert error.body == b""


def test_headers() -> None:
    headers = Headers([("Content-Type", "a"), ("X", "1"), ("x", "2")])
    assert headers["content-TYPE"] == "a"
    assert headers["X"] == "1, 2"
    assert headers.get("Y") is None
    assert "x" in headers
    assert not headers.__contains__(5)
    assert list(headers) == ["Content-Type", "X"]
    assert len(headers) == 2
    assert repr(headers) == "Headers([('Content-Type', 'a'), ('X', '1, 2')])"
    with pytest.raises(TypeError):
        headers["X"] = "3"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "https://example.org:8443/v1/chat"),
        ("http://h", "http://h"),
        ("http://h?q=a/b@c", "http://h"),
        ("http://a@b@c/d@e", "http://c/d@e"),
        ("http://a@b/c@d/e@f", "http://b/c@d/e@f"),
        ("http://h/#secret", "http://h/"),
        ("/path?q", "/path"),
        ("user@host/path", "host/path"),
        ("", ""),
        ("https://a:b@h/to/https://x/", "https://h/to/https://x/"),
        ("http://h/\x1b[31m\u202e\x9b\r\n", "http://h/\ufffd[31m\ufffd\ufffd\ufffd\ufffd"),
    ],
)
def test_shown_urls(url: str, shown: str) -> None:
    assert shown_url(url) == shown


PLAIN = {"Content-Type": "text/plain"}
EVENTS = {"Content-Type": "text/event-stream"}
CODED = {**EVENTS, "Content-Encoding": "br"}
FOLLOW = "307 Temporary Redirect (pass follow=True): data: x"


@pytest.mark.parametrize(
    ("status", "headers", "options", "kind", "text"),
    [
        (200, EVENTS, {"check": True}, None, ""),
        (
            200,
            PLAIN,
            {"check": True},
            ContentTypeError,
            "'text/plain', not text/event-stream: data: x",
        ),
        (307, EVENTS, {"check": True}, StatusError, FOLLOW),
        (307, PLAIN, {"check": False}, None, ""),
        (200, CODED, {"check": True}, ResponseError, "'br', which this client does not decode"),
        (200, CODED, {"check": False}, ResponseError, "'br', which this client does not decode"),
        (
            200,
            CODED,
            {"check": True, "decodable": ["gzip"]},
            ResponseError,
            "'br', which this client does not decode",
        ),
        (200, CODED, {"check": True, "decodable": ["br"]}, None, ""),
        (200, CODED, {"check": True, "decodable": None}, None, ""),
    ],
)
def test_the_check_of_a_response(
    status: int,
    headers: dict[str, str],
    options: dict[str, Any],
    kind: type[ResponseError] | None,
    text: str,
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: x\n\n"

    async def acheck() -> list[str]:
        stream = AsyncEventStream(chunks())
        await acheck_response(stream, status, headers, URL, redirects="pass follow=True", **options)
        return [event.data async for event in stream]

    def check() -> list[str]:
        check_response(stream, status, headers, URL, redirects="pass follow=True", **options)
        return [event.data for event in stream]

    stream = EventStream(iter([b"data: x\n\n"]))
    runs: list[Callable[[], list[str]]] = [check, lambda: trio.run(acheck)]
    for run in runs:
        if kind is None:
            assert run() == ["x"]
            continue
        with pytest.raises(ResponseError) as caught:
            run()
        error = caught.value
        assert (type(error), error.status, error.url, dict(error.headers)) == (
            kind,
            status,
            URL,
            headers,
        )
        assert error.body == (b"" if "br" in text else b"data: x\n\n")
        assert text in str(error)
        assert "https://example.org:8443/v1/chat" in str(error)
        assert list(stream) == []


def test_the_sync_check_closes_the_stream_whatever_happens() -> None:
    stream = EventStream([b"data: x\n\n"])
    with pytest.raises(AttributeError):
        check_response(stream, 200, None, URL, check=True, redirects="")
    assert list(stream) == []


class Raw:
    """What urllib3's responses have, in all its versions, and a note of how it was read."""

    def __init__(self, **attributes: Any) -> None:
        self.calls: list[Any] = []
        self.chunked = self.closed = False
        self.position = 0
        for name, value in attributes.items():
            setattr(self, name, self._read1 if value == "read1" else value)

    def tell(self) -> int:
        return self.position

    def _read1(self, *amount: int, decode_content: bool = False) -> bytes:
        self.calls.append(("read1", *amount, decode_content))
        return b"x" if len(self.calls) < 3 else b""

    def stream(self, *amount: int, decode_content: bool = False) -> Iterator[bytes]:
        self.calls.append(("stream", *amount, decode_content))
        yield b"x"


READ1 = [("read1", 65536, True)] * 3
SMALL, LARGE = [("stream", 1, True)], [("stream", 65536, True)]


@pytest.mark.parametrize(
    ("attributes", "calls"),
    [
        ({"read1": "read1"}, READ1),
        ({"read1": "read1", "_fp": Raw(read1="read1"), "chunked": True}, READ1),
        (
            {"read1": "read1", "_fp": object()},
            SMALL,
        ),  # a fake that reads from an object with `read` alone
        ({"_fp": Raw(read1="read1")}, SMALL),  # before 2.2
        ({"chunked": True}, LARGE),
        ({"read1": "read1", "extension": None}, LARGE),  # urllib3-future
        ({"extension": None, "chunked": True}, LARGE),
    ],
)
def test_how_urllib3_is_read(attributes: dict[str, Any], calls: list[Any]) -> None:
    response = Raw(**attributes)
    assert set(read_promptly(response)) == {b"x"}
    assert response.calls == calls


@pytest.mark.parametrize(
    ("attributes", "used"),
    [
        ({"position": 1}, True),
        ({"position": 1, "closed": True, "length_remaining": 0}, True),
        ({"closed": True}, True),
        ({"closed": True, "length_remaining": None}, True),
        ({"closed": True, "length_remaining": 1}, True),
        ({"closed": True, "length_remaining": 0}, False),  # an empty body
        ({"length_remaining": 1}, False),
    ],
)
def test_a_used_response_of_urllib3(attributes: dict[str, Any], used: bool) -> None:
    response = Raw(**attributes)
    if used:
        with pytest.raises(ValueError, match="read or closed already"):
            read_promptly(response)
    else:
        assert list(read_promptly(response)) == [b"x"]
