# SPDX-License-Identifier: MIT
"""For every client: the request's headers, and the check of the response."""

from __future__ import annotations

from collections.abc import Mapping

from .decoder import SSEDecoder, SSEError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Iterator
    from typing import Any

__all__ = [
    "MAX_BODY_SIZE",
    "ContentTypeError",
    "Headers",
    "ResponseError",
    "StatusError",
    "acheck_response",
    "aread_body",
    "check_response",
    "coding_error",
    "header_value",
    "is_event_stream",
    "prepare_decoder",
    "read_body",
    "read_promptly",
    "request_headers",
    "response_error",
    "shown_url",
]

#: Most bytes read of an error's body.
MAX_BODY_SIZE = 64 * 1024


class Headers(Mapping[str, str]):
    """A read-only mapping of header fields that ignores case; repeated ones are joined with ", "."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, tuple[str, str]] = {}
        for name, value in fields:
            first, *values = self._fields.get(name.lower(), (name,))
            self._fields[name.lower()] = first, ", ".join([*values, value])

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self._fields.values())!r})"


class ResponseError(SSEError):
    """The response cannot be read as an event stream; the message shows `url` without user info and query.

    headers: as Headers.
    body: its first 64 KiB, or what came of them.
    """

    def __init__(
        self, message: str, status: int, headers: Mapping[str, str], url: str, body: bytes = b""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Headers = Headers(headers.items())
        self.url = url
        self.body = body

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.status, self.headers, self.url, self.body)


class StatusError(ResponseError):
    """The status is outside 2xx (WHATWG HTML 9.2.3 asks for 200)."""


class ContentTypeError(ResponseError):
    """The media type is not text/event-stream (WHATWG HTML 9.2.3)."""


def prepare_decoder(decoder: SSEDecoder | None, last_event_id: str) -> SSEDecoder:
    """Return a connection's decoder, whose `last_event_id` is to be sent; ValueError if it is closed."""
    if decoder is None:
        return SSEDecoder(last_event_id=last_event_id)
    if not isinstance(decoder, SSEDecoder):
        raise TypeError(
            f"decoder must be an SSEDecoder, such as SSEDecoder(), not {type(decoder).__name__}"
        )
    if last_event_id:
        raise ValueError("pass either decoder or last_event_id, or SSEDecoder(last_event_id=...)")
    decoder.feed(b"")  # raises it
    return decoder


def header_value(last_event_id: str) -> bytes | None:
    """Return an ID as the value of Last-Event-ID, or None: it is not sent.

    Control characters but TAB could forge a header, blanks at its ends are lost (RFC 9110, 5.5).
    """
    if last_event_id != last_event_id.strip(" \t") or any(
        (c < " " and c != "\t") or c == "\x7f" for c in last_event_id
    ):
        return None
    try:
        return last_event_id.encode() or None
    except UnicodeEncodeError:
        return None


def request_headers(
    headers: Any = None, last_event_id: str = "", *, own: Any = None
) -> list[tuple[str, Any]]:
    """Return the caller's header fields, a mapping or pairs, with Accept and Cache-Control as browsers send them.

    last_event_id: replaces the caller's if it can be sent, as bytes.
    own: what the client adds.
    """
    fields = _pairs(headers)
    if value := header_value(last_event_id):
        fields = [(name, old) for name, old in fields if name.lower() != "last-event-id"]
        fields.append(("Last-Event-ID", value))
    others = [(name, value) for name, value in _pairs(own) if value not in ("*/*", b"*/*")]
    given = {name.lower() for name, _ in fields + others}
    defaults = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]
    return [(name, value) for name, value in defaults if name.lower() not in given] + fields


def _pairs(headers: Any) -> list[tuple[str, Any]]:
    pairs = headers.items() if hasattr(headers, "items") else headers or ()
    return [
        (name.decode("latin-1") if isinstance(name, bytes) else name, value)
        for name, value in pairs
    ]


def is_event_stream(status: int, content_type: str | None) -> bool:
    """Whether it is 2xx with text/event-stream, or 204: no events."""
    essence = (content_type or "").partition(";")[0].strip(" \t\r\n").lower()
    return status == 204 or (200 <= status < 300 and essence == "text/event-stream")


def read_body(chunks: Iterable[bytes]) -> bytes:
    """Return the first MAX_BODY_SIZE bytes, or what came of them."""
    body = bytearray()
    try:
        for chunk in chunks:
            body += chunk[: MAX_BODY_SIZE - len(body)]
            if len(body) == MAX_BODY_SIZE:
                break
    except Exception:  # the body's own error matters more
        pass
    return bytes(body)


async def aread_body(chunks: AsyncIterable[bytes]) -> bytes:
    """As `read_body`."""
    body = bytearray()
    try:
        async for chunk in chunks:
            body += chunk[: MAX_BODY_SIZE - len(body)]
            if len(body) == MAX_BODY_SIZE:
                break
    except Exception:
        pass
    return bytes(body)


def response_error(
    status: int, headers: Iterable[tuple[str, str]], url: str, body: bytes, *, redirects: str = ""
) -> ResponseError:
    """Return the error for no event stream; `redirects` says how the client follows them."""
    fields = Headers(headers)
    kind: type[ResponseError] = StatusError
    message = shown_url(url)
    if 200 <= status < 300:
        kind = ContentTypeError
        got = repr(fields["Content-Type"]) if "Content-Type" in fields else "none"
        message += f" sent no event stream: the Content-Type is {got}, not text/event-stream"
    else:
        message += f" answered with status {_status(status)}"
        if 300 <= status < 400 and redirects:
            message += f" ({redirects})"
    if shown := _start(body):
        message += f": {shown}"
    return kind(message, status, fields, url, body)


def coding_error(
    status: int, headers: Iterable[tuple[str, str]], url: str, decodable: Iterable[str] | None = ()
) -> ResponseError | None:
    """Return the error for a coding not in `decodable` (in lower case; None: not known), else None."""
    fields = Headers(headers)
    encoding = fields.get("Content-Encoding", "")
    if decodable is None or {coding.strip(" \t").lower() for coding in encoding.split(",")} <= {
        "",
        "identity",
        *decodable,
    }:
        return None
    hint = "which this client does not decode; ask for Accept-Encoding: identity, or use another client"
    return ResponseError(
        f"{shown_url(url)} sent Content-Encoding {encoding!r}, {hint}", status, fields, url
    )


def shown_url(url: str) -> str:
    """Return a URL without user info, query, fragment, control characters."""
    scheme, separator, rest = url.partition("#")[0].partition("?")[0].partition("://")
    if not separator:
        scheme, rest = "", scheme
    authority, slash, path = rest.partition("/")
    return _printable(scheme + separator + authority.rpartition("@")[2] + slash + path)


def _status(status: int) -> str:
    from http import HTTPStatus  # for errors only

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _start(body: bytes) -> str:
    text = _printable(" ".join(body[:2000].decode("utf-8", "replace").split()))
    return text if len(text) <= 500 else text[:500] + " ..."


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def check_response(
    stream: Any,
    status: int,
    headers: Any,
    url: str,
    *,
    check: bool,
    redirects: str,
    decodable: Iterable[str] | None = (),
) -> None:
    """Close a stream that cannot be read, and raise the error; `check`: whether status and media type count."""
    try:
        if check and not is_event_stream(status, headers.get("Content-Type")):
            raise response_error(
                status, headers.items(), url, read_body(stream._state._chunks), redirects=redirects
            )
        if error := coding_error(status, headers.items(), url, decodable):
            raise error
    except BaseException:
        stream.close()
        raise


async def acheck_response(
    stream: Any,
    status: int,
    headers: Any,
    url: str,
    *,
    check: bool,
    redirects: str,
    decodable: Iterable[str] | None = (),
) -> None:
    """As `check_response`; an AsyncEventStream closes itself."""
    if check and not is_event_stream(status, headers.get("Content-Type")):
        raise response_error(
            status,
            headers.items(),
            url,
            await aread_body(stream._state._chunks),
            redirects=redirects,
        )
    if error := coding_error(status, headers.items(), url, decodable):
        raise error


def read_promptly(response: Any) -> Iterator[bytes]:
    """Read a response of urllib3, also beneath requests'; ValueError if it has been read or closed."""
    # An empty body is closed from the start.
    if response.tell() > 0 or (
        response.closed and getattr(response, "length_remaining", None) != 0
    ):
        raise ValueError(
            "this response has been read or closed already; pass it before anything is read"
        )
    return _read(response)


def _read(response: Any) -> Iterator[bytes]:
    # Only `read1` (urllib3 2.2) neither waits for more nor misses an early end; urllib3-future's, known by `extension`, returns
    # nothing while compressed bytes trickle in. A fake's `_fp` may lack it.
    future = hasattr(response, "extension")
    if (
        not future
        and hasattr(response, "read1")
        and hasattr(getattr(response, "_fp", response), "read1")
    ):
        while chunk := response.read1(65536, decode_content=True):
            yield chunk
    else:  # prompt unless a chunk came in part
        yield from response.stream(65536 if response.chunked or future else 1, decode_content=True)
