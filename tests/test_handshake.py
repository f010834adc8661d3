# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import json
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from sse_stream.decoder import SSEError
from sse_stream.handshake import (
    MAX_BODY_SIZE,
    CheckedChunks,
    ContentTypeError,
    Headers,
    ResponseError,
    StatusError,
    acheck_response,
    aread_body,
    check_response,
    coding_error,
    header_pairs,
    header_value,
    id_in_headers,
    is_event_stream,
    media_type,
    read_body,
    request_headers,
    require_check,
    response_error,
    shown_url,
)
from tests import vectors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

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


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (None, ""),
        ({"Accept": "x"}, ""),
        ({"last-event-ID": "7"}, "7"),
        ([(b"Last-Event-ID", "é ☃".encode())], "é ☃"),
        ([(b"Last-Event-ID", b"\xff")], "\ufffd"),
        ({"Last-Event-ID": ""}, ""),
        ({"Last-Event-ID": "a\nb"}, ""),  # the client says what is wrong with it
        ({"Last-Event-ID": 7}, ""),
    ],
)
def test_the_id_among_the_headers(headers: Any, found: str) -> None:
    assert id_in_headers(header_pairs(headers)) == found


@pytest.mark.parametrize("headers", ["X-Key: SECRET", b"X-Key: SECRET", ["X-Key: SECRET"]])
def test_headers_in_one_piece(headers: Any) -> None:
    with pytest.raises(TypeError, match="pairs of a name and a value, not text") as caught:
        header_pairs(headers)
    assert "SECRET" not in str(caught.value)


def test_headers_that_are_a_function() -> None:
    with pytest.raises(TypeError, match="not a function, which subscribe and asubscribe take"):
        header_pairs(dict)


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


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        (None, ""),
        ("", ""),
        ("TEXT/Event-Stream;charset=utf-8", "text/event-stream"),
        ("text/event-stream, text/event-stream", "text/event-stream"),
        ("text/html, text/event-stream", "text/event-stream"),
        ("text/event-stream, text/html", "text/html"),
        ("text/event-stream;charset=utf-8 , ", "text/event-stream"),
        ("text/event-stream, */*", "text/event-stream"),
        ("text/event-stream, nonsense", "text/event-stream"),
        ("text/event-stream, text/ht ml", "text/event-stream"),
        ("text/event-stream, /html, text/, text/ ;x", "text/event-stream"),
        ('text/event-stream;a="b, text/html"', "text/event-stream"),
        ('text/event-stream;a="b\\", text/html"', "text/event-stream"),
        ('text/event-stream;a="b", text/html', "text/html"),
        ('text/event-stream;a="b, text/html', "text/event-stream"),
        ('text/event-stream;a="\\"",text/html', "text/html"),
        (',text/event-stream;a="b"', "text/event-stream"),
        ("\r\ntext/html\t", "text/html"),
        ("text/event-stream\u2003", ""),
    ],
)
def test_media_types(content_type: str | None, found: str) -> None:
    """WHATWG Fetch, "extract a MIME type"."""
    assert media_type(content_type) == found
    assert is_event_stream(200, content_type) == (found == "text/event-stream")


@pytest.mark.parametrize(
    ("status", "length", "expected"),
    [
        (202, "0", True),
        (202, "0, 0 ", True),
        (202, "0, 1", False),
        (202, "\u20030", False),
        (202, "X0", False),
        (202, "5", False),
        (202, "", False),
        (202, None, False),
        (200, "0", False),
        (201, "0", False),
    ],
)
def test_202_that_says_it_has_no_body(status: int, length: str | None, expected: bool) -> None:
    assert is_event_stream(status, "application/json", length) == expected
    assert is_event_stream(status, None, length) == expected


@pytest.mark.parametrize("check", ["Status", "", None, 2, "media_type", []])
def test_what_a_check_may_be(check: object) -> None:
    for valid in (True, "status", False):
        require_check(valid)
    with pytest.raises(ValueError, match='check must be True, "status" or False, not'):
        require_check(check)


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
        "https://example.org:8443/v1/chat answered with status 429 Too Many Requests: "
        '{"error": {"message": "no\\ncredit é"}}'
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
        "the Content-Type is 'text/html', not text/event-stream "
        '(check="status" reads it all the same): <p>\ufffd[31m hello\ufffd xxx'
    ) in message
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

    assert read_body(chunks())[0] == body[: 64 * 1024]
    assert (taken - 1) * step < 64 * 1024  # no chunk more than needed
    taken = 0
    assert trio.run(aread_body, achunks())[0] == body[: 64 * 1024]
    assert (taken - 1) * step < 64 * 1024


def test_the_body_of_an_error_that_breaks_off() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"the "
        yield b"start"
        raise ConnectionResetError

    async def achunks() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    assert read_body(chunks()) == (b"the start", True)
    assert trio.run(aread_body, achunks()) == (b"the start", True)


def test_the_body_of_an_error_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def chunks() -> Iterator[bytes]:
        nonlocal now
        while True:
            now += 1
            yield b"%d " % now

    async def achunks() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    monkeypatch.setattr("sse_stream.handshake.monotonic", lambda: now)
    assert read_body(chunks()) == (b"1 2 3 4 5 6 ", True)
    now = 0.0
    assert trio.run(aread_body, achunks()) == (b"1 2 3 4 5 6 ", True)


class Silent:
    """A body that falls silent until it is interrupted, from another thread or by the loop."""

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        *,
        woken: bool = False,
    ) -> None:
        self.sleep = sleep
        self.woken = threading.Event()
        self.interrupt = self.woken.set
        if woken:
            self.woken.set()

    def __iter__(self) -> Iterator[bytes]:
        yield b"the start"
        self.woken.wait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"the start"
        while not self.woken.is_set():
            await self.sleep(0.01)


def test_the_body_of_an_error_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sse_stream.handshake.MAX_BODY_SECONDS", 0.05)
    assert read_body(Silent()) == (b"the start", True)
    assert asyncio.run(aread_body(Silent())) == (b"the start", True)
    assert trio.run(aread_body, Silent(trio.sleep)) == (b"the start", True)


def test_a_body_of_just_the_most_that_is_read_may_be_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sse_stream.handshake.MAX_BODY_SECONDS", -1.0)
    assert read_body([b"x" * MAX_BODY_SIZE]) == (b"x" * MAX_BODY_SIZE, False)
    assert read_body([b"x" * (MAX_BODY_SIZE - 1)]) == (b"x" * (MAX_BODY_SIZE - 1), True)


def test_what_would_give_a_body_up_is_called_off(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Any] = []

    class Timer(threading.Timer):
        def start(self) -> None:
            timers.append(self)
            super().start()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def noting(*args: Any) -> Any:
            timers.append(call_later(*args))
            return timers[-1]

        monkeypatch.setattr(loop, "call_later", noting)
        assert await aread_body(Silent(woken=True)) == (b"the start", False)

    monkeypatch.setattr(threading, "Timer", Timer)
    assert read_body(Silent(woken=True)) == (b"the start", False)
    assert timers[0].daemon
    assert timers[0].finished.is_set()
    asyncio.run(main())
    assert timers[1].cancelled()


def test_a_silent_body_where_no_thread_may_be_a_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    class Timer(threading.Timer):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "daemon":
                raise RuntimeError("daemon threads are disabled in this interpreter")
            super().__setattr__(name, value)

    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr("sse_stream.handshake.MAX_BODY_SECONDS", 0.05)
    assert read_body(Silent()) == (b"the start", True)


def test_a_body_that_has_been_read_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection may have another request by then."""
    functions: list[Callable[[], None]] = []

    class Timer(threading.Timer):
        def __init__(self, seconds: float, function: Callable[[], None]) -> None:
            super().__init__(seconds, function)
            functions.append(function)

        def start(self) -> None:
            raise RuntimeError("there are no threads")

    monkeypatch.setattr(threading, "Timer", Timer)
    body = Silent(woken=True)
    assert read_body(body) == (b"the start", False)
    body.woken.clear()
    functions[0]()
    assert not body.woken.is_set()


@pytest.mark.parametrize(
    ("sizes", "truncated"),
    [
        ([], False),
        ([10], False),
        ([64 * 1024], False),  # there may be more; nobody waits to find out
        ([64 * 1024, 1], False),
        ([64 * 1024 - 1, 2], True),
        ([100_000], True),
    ],
)
def test_whether_there_is_more_of_a_body(sizes: list[int], truncated: bool) -> None:
    async def achunks() -> AsyncIterator[bytes]:
        for size in sizes:
            yield bytes(size)

    assert read_body(map(bytes, sizes))[1] == truncated
    assert trio.run(aread_body, achunks())[1] == truncated


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
        ("XgzipX", ["gzip"], False),  # no compression that anyone knows
        ("XgzipX", [], False),
        ("\u2003gzip", [], False),
        ("none", [], False),
        ("UTF-8", [], False),
        ("chunked", [], False),
        ("none, br", ["gzip"], True),
        ("none, gzip", ["gzip"], False),
        ("x-gzip", ["gzip"], True),
        ("Compress", [], True),
        ("ZSTD", [], True),
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
            f"https://example.org:8443/v1/chat sent Content-Encoding {encoding!r}, "
            "which this client does not decode; "
            "ask for Accept-Encoding: identity, or use another client"
        )
        assert (error.status, error.url, error.body) == (200, URL, b"")
        assert dict(error.headers) == {"content-encoding": encoding}


REGISTERED = "aes128gcm br compress dcb dcz deflate exi gzip pack200-gzip x-compress x-gzip zstd"
IN_USE = "bzip2 lz4 lzma sdch snappy xz"


@pytest.mark.parametrize("coding", [*REGISTERED.split(), *IN_USE.split()])
def test_every_compression_is_known(coding: str) -> None:
    assert coding_error(200, [("Content-Encoding", coding.upper())], URL) is not None


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
    assert not error.truncated


def test_messages_show_the_start_of_header_fields_alone() -> None:
    many = "x" * 100_000
    headers = [("Content-Type", many), ("Content-Encoding", f"gzip, {many}")]
    assert len(str(response_error(200, headers, "http://h/", b""))) < 500
    assert len(str(coding_error(200, headers, "http://h/"))) < 500


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
        ("http://h/a b", "http://h/a b"),
        ("//a:b@h/x?q", "//h/x"),  # as a Location may begin
        ("http://h:80/a", "http://h:80/a"),
        ("http://h:/a", "http://h:/a"),
        ("http://a:b@[fe80::a]/a", "http://[fe80::a]/a"),
        ("http://user:pass/word@h/x", "http://..."),
        ("http://user:pass?word@h/x", "http://..."),
        ("//user:pass#word@h/x", "//..."),
        ("http://user:pass:12/34@h/x", "http://..."),
        ("http://a:b@[::1]:80/@x", "http://[::1]:80/@x"),
        ("http://h:80X/@", "http://..."),
        ("/" * 2000, "/" * 2000),
        ("/" * 2001, "/" * 2000 + " ..."),
        ("http://h/\x1b[31m\u202e\x9b\r\n", "http://h/\ufffd[31m\ufffd\ufffd\ufffd\ufffd"),
    ],
)
def test_shown_urls(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain", "é".encode(), "é"),
        ("text/plain; charset=latin-1", b"\xe9", "é"),
        ('text/html;a=b; CharSet="UTF-8"', "é".encode(), "é"),
        ("text/plain; charset=no-such", "é".encode(), "é"),
        ("text/plain; charset=base64", "é".encode(), "é"),
        ("text/plain; charset=\0", "é".encode(), "é"),
        ("text/plain; charset=punycode", b"a-b", "a-b"),  # quadratic
        ("text/plain; charset=Unicode-Escape", b"\\d", "\\d"),  # warns
        ("text/plain; charset=raw-unicode-escape", b"\\u0041", "\\u0041"),
        ("text/plain; charset=IDNA", b"xn--4ca", "xn--4ca"),
        (f"text/plain; charset=latin{'-' * 34}1", b"\xe9", "é"),
        (f"text/plain; charset=latin{'-' * 35}1", "é".encode(), "é"),  # Python would keep the name
        ("text/plain;charset=latin-1", b"\xe9", "é"),
        ('text/plain; charset="latin-1"', b"\xe9", "é"),
        ("text/plain; charset=latin=1", b"\xe9", "é"),  # Python knows it by this name, too
        ("text/plain; charset=latin-1X", b"\xe9", "\ufffd"),
        ("text/plain; charset=ascii", "é".encode(), "\ufffd\ufffd"),
        ("text/plain; charset=no-such", b"\xff", "\ufffd"),
        (None, b"a\xff", "a\ufffd"),
    ],
)
def test_the_text_of_an_error(content_type: str | None, body: bytes, text: str) -> None:
    headers = [] if content_type is None else [("content-type", content_type)]
    assert response_error(500, headers, URL, body).text == text


def test_the_document_in_an_error() -> None:
    error = response_error(200, [], URL, b'{"jsonrpc": "2.0"}')
    assert error.json() == {"jsonrpc": "2.0"}
    assert error.json(loads=len) == 18
    for body in (b"", b"<p>"):
        with pytest.raises(json.JSONDecodeError):
            response_error(200, [], URL, body).json()
    cut = response_error(500, [], URL, b"12", truncated=True)
    assert cut.truncated
    assert pickle.loads(pickle.dumps(cut)).truncated
    assert (cut.body, cut.text) == (b"12", "12")
    with pytest.raises(ValueError, match="only the first 2 bytes of this body were read"):
        cut.json()


def test_headers_are_picklable() -> None:
    again = pickle.loads(pickle.dumps(Headers([("A", "1"), ("a", "2")])))
    assert type(again) is Headers
    assert again["a"] == "1, 2"


PLAIN = {"Content-Type": "text/plain"}
EVENTS = {"Content-Type": "text/event-stream"}
CODED = {**EVENTS, "Content-Encoding": "br"}
FOLLOW = "307 Temporary Redirect (pass follow=True): data: x"
NOT = "'text/plain', not text/event-stream (check=\"status\" reads it all the same): data: x"
UNREAD = "'br', which this client does not decode"


@pytest.mark.parametrize(
    ("status", "headers", "options", "kind", "text"),
    [
        (200, EVENTS, {"check": True}, None, ""),
        (200, PLAIN, {"check": True}, ContentTypeError, NOT),
        (200, PLAIN, {"check": "status"}, None, ""),
        (202, {**PLAIN, "content-length": "0"}, {"check": True}, None, ""),
        (202, PLAIN, {"check": True}, ContentTypeError, NOT),
        (307, EVENTS, {"check": True}, StatusError, FOLLOW),
        (307, EVENTS, {"check": "status"}, StatusError, FOLLOW),
        (307, PLAIN, {"check": False}, None, ""),
        (200, CODED, {"check": True}, ResponseError, UNREAD),
        (200, CODED, {"check": "status"}, ResponseError, UNREAD),
        (200, CODED, {"check": False}, ResponseError, UNREAD),
        (200, CODED, {"check": True, "decodable": ["gzip"]}, ResponseError, UNREAD),
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
    body = [b"data: x\n\n"]

    async def chunks() -> AsyncIterator[bytes]:
        while body:
            yield body.pop()

    def check() -> None:
        sync_chunks = (body.pop() for _ in range(1))
        check_response(sync_chunks, status, headers, URL, redirects="pass follow=True", **options)

    async def acheck() -> None:
        await acheck_response(
            chunks(), status, headers, URL, redirects="pass follow=True", **options
        )

    runs: list[Callable[[], None]] = [check, lambda: trio.run(acheck)]
    for run in runs:
        body[:] = [b"data: x\n\n"]
        if kind is None:
            run()
            assert body  # nothing is read
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


def test_what_a_check_reads_and_says_by_default() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(100_000)

    async def acheck(status: int, check: Any) -> None:
        await acheck_response(chunks(), status, {}, URL, check=check)

    def check_all(status: int, check: Any) -> Iterator[str]:
        with pytest.raises(ResponseError) as caught:
            check_response([bytes(100_000)], status, {}, URL, check=check)
        assert caught.value.truncated
        yield str(caught.value)
        with pytest.raises(ResponseError) as caught:
            trio.run(acheck, status, check)
        assert caught.value.truncated
        yield str(caught.value)

    for check in (True, "status"):
        for message in check_all(307, check):
            assert "answered with status 307 Temporary Redirect: " in message
        for message in check_all(300, check):
            assert "answered with status 300 Multiple Choices: " in message


class Chunks:
    """An async iterator over chunks, and a note of what was called."""

    def __init__(self, **functions: Any) -> None:
        self.calls: list[str] = []
        for name in functions:
            setattr(self, name, getattr(self, f"_{name}"))

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        self.calls.append("next")
        return b"x"

    async def _aclose(self) -> None:
        self.calls.append("aclose")

    def _interrupt(self) -> None:
        self.calls.append("interrupt")


def test_chunks_are_checked_once_before_the_first() -> None:
    async def main() -> None:
        chunks = Chunks(aclose=True, interrupt=True)

        async def check() -> None:
            chunks.calls.append("check")

        checked = CheckedChunks(chunks, check)
        assert checked.__aiter__() is checked
        assert [await checked.__anext__(), await checked.__anext__()] == [b"x", b"x"]
        checked.interrupt()
        await checked.aclose()
        assert chunks.calls == ["check", "next", "next", "interrupt", "aclose"]
        chunks = Chunks()
        checked = CheckedChunks(chunks, check)
        assert not hasattr(checked, "interrupt")  # a stream would take it that it can be woken
        await checked.aclose()
        assert chunks.calls == []

    trio.run(main)


def test_checked_chunks_of_a_connection_that_is_shared() -> None:
    async def check() -> None: ...

    chunks: Any = Chunks()
    assert CheckedChunks(chunks, check).is_shared is False
    chunks.is_shared = True
    assert CheckedChunks(chunks, check).is_shared


def test_chunks_whose_check_fails() -> None:
    async def main() -> None:
        async def check() -> None:
            raise StatusError("no", 500, {}, "")

        chunks = Chunks()
        with pytest.raises(StatusError):
            await CheckedChunks(chunks, check).__anext__()
        assert chunks.calls == []

    trio.run(main)
