# SPDX-License-Identifier: MIT
"""What every client needs and no client owns: the headers of the request, and the check of the response.

Functions on plain values, and the errors of the check. The adapters do the I/O between them; only what several of them would
do alike stands at the end here: to check a response that has just been opened, and to read one of urllib3.
"""

from __future__ import annotations

from collections.abc import Mapping

from .decoder import SSEDecoder, SSEError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Iterator
    from typing import Any, TypeVar

    Stream = TypeVar("Stream")

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
    "is_used",
    "prepare_decoder",
    "read_body",
    "read_promptly",
    "request_headers",
    "response_error",
    "shown_url",
]

#: How many bytes of an error's body are read, at most.
MAX_BODY_SIZE = 64 * 1024

_SHOWN_BODY = 500  # characters of it in the message


class Headers(Mapping[str, str]):
    """A read-only mapping of header fields that ignores the case of their names; repeated fields are joined with ", "."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, tuple[str, str]] = {}
        for name, value in fields:
            earlier = self._fields.get(name.lower())
            self._fields[name.lower()] = (earlier[0], f"{earlier[1]}, {value}") if earlier else (name, value)

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

    def __reduce__(self) -> tuple[type[Headers], tuple[list[tuple[str, str]]]]:
        return type(self), (list(self._fields.values()),)


class ResponseError(SSEError):
    """The response is not an event stream that can be read.

    status:  the status code.
    headers: the response's header fields, a mapping that ignores case.
    url:     the URL that answered, whole; the message shows it without user info and query.
    body:    the body's first 64 KiB as bytes, or what came of it.
    """

    def __init__(self, message: str, status: int, headers: Mapping[str, str], url: str, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.headers: Headers = headers if isinstance(headers, Headers) else Headers(headers.items())
        self.url = url
        self.body = body

    def __reduce__(self) -> tuple[type[ResponseError], tuple[str, int, Headers, str, bytes]]:
        return type(self), (str(self), self.status, self.headers, self.url, self.body)


class StatusError(ResponseError):
    """The status is outside 2xx (WHATWG HTML 9.2.3 asks for 200)."""


class ContentTypeError(ResponseError):
    """The media type is not text/event-stream (WHATWG HTML 9.2.3)."""


def prepare_decoder(decoder: SSEDecoder | None, last_event_id: str) -> SSEDecoder:
    """Return the decoder of a connection, whose `last_event_id` is the ID to send.

    Raises ValueError for a closed decoder and for a decoder together with an ID, TypeError for what is no decoder or no ID.
    """
    if decoder is None:
        return SSEDecoder(last_event_id=last_event_id)
    if not isinstance(decoder, SSEDecoder):
        raise TypeError(f"decoder must be an SSEDecoder, such as SSEDecoder(), not {type(decoder).__name__}")
    if last_event_id:
        raise ValueError("pass either decoder or last_event_id: SSEDecoder(last_event_id=...) starts a decoder from an ID")
    decoder.feed(b"")  # a ValueError if it is closed
    return decoder


def header_value(last_event_id: str) -> bytes | None:
    """Return the value of a Last-Event-ID header: UTF-8 (WHATWG HTML 9.2.4), or None if it cannot be one.

    An empty ID, one with a control character other than TAB, and one that begins or ends with a blank are not sent: they
    would be changed on the way, or forge a header (RFC 9110, 5.5).
    """
    if last_event_id != last_event_id.strip(" \t"):
        return None
    if any((c < " " and c != "\t") or c == "\x7f" for c in last_event_id):
        return None
    try:
        return last_event_id.encode() or None
    except UnicodeEncodeError:  # a lone surrogate
        return None


def request_headers(headers: Any = None, last_event_id: str = "", *, own: Any = None) -> list[tuple[str, Any]]:
    """Return the caller's header fields with those that the request for an event stream has.

    headers:       a mapping, an iterable of pairs, or None; it is not changed, and its values stay as they are.
    last_event_id: if it can be sent, it replaces the caller's Last-Event-ID; as bytes (see `header_value`).
    own:           the header fields that the client adds by itself.

    `Accept` and `Cache-Control` are as browsers send them, unless the caller set them, for the request or in the client. What
    many clients accept when nobody told them, `*/*`, is not taken for the caller's choice.
    """
    fields = _pairs(headers)
    value = header_value(last_event_id)
    if value is not None:
        fields = [(name, old) for name, old in fields if name.lower() != "last-event-id"]
        fields.append(("Last-Event-ID", value))
    given = {name.lower() for name, _ in fields}
    given |= {name.lower() for name, value in _pairs(own) if value not in ("*/*", b"*/*")}
    defaults = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]
    return [(name, text) for name, text in defaults if name.lower() not in given] + fields


def _pairs(headers: Any) -> list[tuple[str, Any]]:
    pairs = headers.items() if hasattr(headers, "items") else headers or ()
    return [(name.decode("latin-1") if isinstance(name, bytes) else name, value) for name, value in pairs]


def is_event_stream(status: int, content_type: str | None) -> bool:
    """Whether a response is an event stream: 2xx with the media type text/event-stream, or 204, which has no events."""
    if status == 204:
        return True
    essence = (content_type or "").partition(";")[0].strip(" \t\r\n")
    return 200 <= status < 300 and essence.lower() == "text/event-stream"


def read_body(chunks: Iterable[bytes]) -> bytes:
    """Return the first MAX_BODY_SIZE bytes of an error's body, or what came before it broke off."""
    body = bytearray()
    try:
        for chunk in chunks:
            body += chunk[: MAX_BODY_SIZE - len(body)]
            if len(body) == MAX_BODY_SIZE:
                break
    except Exception:  # the error that the body belongs to matters more
        pass
    return bytes(body)


async def aread_body(chunks: AsyncIterable[bytes]) -> bytes:
    """As read_body."""
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
    """Return the error for a response that is no event stream.

    body:      what was read of it, at most MAX_BODY_SIZE bytes.
    redirects: how this client follows redirects, for the message of a 3xx.
    """
    fields = Headers(headers)
    kind: type[ResponseError]
    if 200 <= status < 300:
        kind = ContentTypeError
        got = repr(fields["Content-Type"]) if "Content-Type" in fields else "none"
        message = f"{shown_url(url)} sent no event stream: the Content-Type is {got}, not text/event-stream"
    else:
        kind = StatusError
        message = f"{shown_url(url)} answered with status {_status(status)}"
        if 300 <= status < 400 and redirects:
            message += f" ({redirects})"
    shown = _start(body)
    return kind(f"{message}: {shown}" if shown else message, status, fields, url, body)


def coding_error(
    status: int, headers: Iterable[tuple[str, str]], url: str, decodable: Iterable[str] = ()
) -> ResponseError | None:
    """Return the error for a body in a content coding that the client would hand out as it is; None for any other body.

    decodable: the codings, in lower case, that the client decodes.
    """
    fields = Headers(headers)
    encoding = fields.get("Content-Encoding", "")
    codings = {coding.strip(" \t").lower() for coding in encoding.split(",")}
    if codings <= {"", "identity", *decodable}:
        return None
    hint = "which this client does not decode; ask for Accept-Encoding: identity, or use another client"
    return ResponseError(f"{shown_url(url)} sent Content-Encoding {encoding!r}, {hint}", status, fields, url)


def shown_url(url: str) -> str:
    """Return a URL as messages and logs show it: without user info, query, fragment, and what a terminal might obey."""
    scheme, separator, rest = url.partition("#")[0].partition("?")[0].partition("://")
    if not separator:
        scheme, rest = "", scheme
    authority, slash, path = rest.partition("/")
    return _printable(scheme + separator + authority.rpartition("@")[2] + slash + path)


def _status(status: int) -> str:
    from http import HTTPStatus  # only errors need it

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _start(body: bytes) -> str:
    text = _printable(" ".join(body[: 4 * _SHOWN_BODY].decode("utf-8", "replace").split()))
    return text if len(text) <= _SHOWN_BODY else text[:_SHOWN_BODY] + " ..."


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def check_response(
    stream: Stream, status: int, headers: Any, url: str, *, check: bool, redirects: str, decodable: Iterable[str] | None = ()
) -> Stream:
    """Return the stream of a response that has just been opened; close it and raise the error if it is none to be read.

    headers:   the client's mapping of the header fields.
    check:     whether status and media type count.
    redirects: as in `response_error`.
    decodable: as in `coding_error`; None if that is not known.
    """
    opened: Any = stream
    try:
        if check and not is_event_stream(status, headers.get("Content-Type")):
            raise response_error(status, headers.items(), url, read_body(opened._state._chunks), redirects=redirects)
        _refuse_coding(status, headers, url, decodable)
    except BaseException:
        opened.close()
        raise
    return stream


async def acheck_response(
    stream: Any, status: int, headers: Any, url: str, *, check: bool, redirects: str, decodable: Iterable[str] | None = ()
) -> None:
    """Raise what `check_response` raises; the stream closes itself."""
    if check and not is_event_stream(status, headers.get("Content-Type")):
        raise response_error(status, headers.items(), url, await aread_body(stream._state._chunks), redirects=redirects)
    _refuse_coding(status, headers, url, decodable)


def _refuse_coding(status: int, headers: Any, url: str, decodable: Iterable[str] | None) -> None:
    if decodable is not None and (error := coding_error(status, headers.items(), url, decodable)):
        raise error


# The response of urllib3, which is also what lies beneath that of requests.


def is_used(response: Any) -> bool:
    """Whether a urllib3 response has been read or closed, so that its bytes are gone."""
    # An empty body is closed from the start, and nothing of it remains.
    used: bool = response.tell() > 0 or (response.closed and getattr(response, "length_remaining", None) != 0)
    return used


def read_promptly(response: Any) -> Iterator[bytes]:
    """Read a urllib3 response as its bytes come; its exceptions pass through."""
    # `read1` is the one call that neither waits for more nor misses an end that comes too early. urllib3 has it since 2.2;
    # that of urllib3-future, which has `extension`, returns nothing while compressed bytes trickle in. What a fake reads
    # from (`_fp`) may have `read` alone.
    has_read1 = hasattr(response, "read1") and hasattr(getattr(response, "_fp", response), "read1")
    if has_read1 and not hasattr(response, "extension"):
        while chunk := response.read1(65536, decode_content=True):
            yield chunk
    else:  # older: prompt except where a chunk is larger than what has come of it
        size = 65536 if response.chunked or hasattr(response, "extension") else 1
        yield from response.stream(size, decode_content=True)
