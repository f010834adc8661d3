# SPDX-License-Identifier: MIT
"""What every client needs and no client owns: the request's headers, and the check of the response.

Functions on plain values, and the errors that the check raises (WHATWG HTML 9.2.3, RFC 9110). The
adapters do the I/O: they call `request_headers` before they send, and `check_response` or
`acheck_response` before they make a stream of what came. Nothing here knows a client, and nothing
here closes what it is given.

The media type is read as WHATWG Fetch says ("extract a MIME type"), a Content-Encoding by the
registry of RFC 9110, 8.4.1.
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import Mapping
from time import monotonic

from ._excerpt import excerpt
from .decoder import SSEError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Iterator,
    )
    from typing import Any, Literal

    #: What of a response is looked at: status and media type, the status alone, or nothing.
    Check = bool | Literal["status"]

__all__ = [
    "MAX_BODY_SECONDS",
    "MAX_BODY_SIZE",
    "CheckedChunks",
    "ContentTypeError",
    "Headers",
    "ResponseError",
    "StatusError",
    "acheck_response",
    "aread_body",
    "check_response",
    "coding_error",
    "compressions",
    "header_pairs",
    "header_value",
    "id_in_headers",
    "is_event_stream",
    "media_type",
    "read_body",
    "request_headers",
    "require_check",
    "response_error",
    "shown_url",
]

#: Most bytes read of an error's body.
MAX_BODY_SIZE = 64 * 1024

#: For how long it is read: a stream of heartbeats would take hours to fill that, silence for ever.
MAX_BODY_SECONDS = 5.0

_SHOWN_BODY = 500  # characters of it in a message

# RFC 9110, 16.6.1, as registered in 2026, but for "identity"; and those that are in use without.
# Any other word compresses nothing.
_COMPRESSIONS = frozenset(
    {"aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip"}
    | {"pack200-gzip", "x-compress", "x-gzip", "zstd"}
    | {"bzip2", "lz4", "lzma", "sdch", "snappy", "xz"}
)

_CONTROLS = bytes({*range(32), 127} - {9})

_LONGEST_CHARSET = 40  # characters
_NO_CHARSETS = ("punycode", "raw-unicode-escape", "unicode-escape")

_WHITE_SPACE = "\t\n\r "  # WHATWG Fetch, "HTTP whitespace"

# RFC 9110, 5.6.2
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class Headers(Mapping[str, str]):
    """A read-only mapping of header fields that ignores the case of their names.

    fields: pairs of name and value; the values of a name that comes more than once are joined with
            ", " (RFC 9110, 5.3).
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        found: dict[str, tuple[str, list[str]]] = {}
        for name, value in fields:
            found.setdefault(name.lower(), (name, []))[1].append(value)
        self._fields = {key: (name, ", ".join(values)) for key, (name, values) in found.items()}

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
    """A response cannot be read as an event stream.

    The message shows the URL without user info and query, and the start of the body. Picklable.

    message:   the text of the exception.
    status:    the status code.
    headers:   the header fields of the response, kept as Headers: a mapping that ignores case.
    url:       the URL that answered, whole.
    body:      the first 64 KiB of the body, in bytes, or what came of it in 5 seconds; b"" if it
               was not read.
    truncated: whether that is known not to be all of the body: it went on, or it broke off.
               False, the default: it is not.
    """

    def __init__(
        self,
        message: str,
        status: int,
        headers: Mapping[str, str],
        url: str,
        body: bytes = b"",
        truncated: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Headers = Headers(headers.items())
        self.url = url
        self.body = body
        self.truncated = truncated

    @property
    def text(self) -> str:
        """The body as text, in the charset that the Content-Type names, or else in UTF-8.

        Bytes that are wrong in it become U+FFFD.
        """
        try:
            charset = _charset(self.headers.get("Content-Type", ""))
            return self.body.decode(charset or "utf-8", "replace")
        except (LookupError, ValueError):  # Python knows no such charset
            return self.body.decode("utf-8", "replace")

    def json(self, loads: Callable[[bytes], Any] | None = None) -> Any:
        """Return the document in the body.

        loads: what parses the bytes of the body; None, the default: `json.loads`.

        Raises ValueError for a body of which a part is missing, and whatever `loads` raises:
        `json.JSONDecodeError`, a ValueError too, for what is no JSON.
        """
        if self.truncated:
            raise ValueError(
                f"only the first {len(self.body)} bytes of this body were read: "
                "it is no whole document; see .body"
            )
        if loads is not None:
            return loads(self.body)
        from json import loads as parse  # for errors only

        return parse(self.body)

    def __reduce__(self) -> tuple[Any, ...]:
        values = self.status, self.headers, self.url, self.body, self.truncated
        return type(self), (str(self), *values)


class StatusError(ResponseError):
    """The status is outside 2xx (WHATWG HTML 9.2.3 asks for 200); see ResponseError."""


class ContentTypeError(ResponseError):
    """The media type is not text/event-stream (WHATWG HTML 9.2.3); see ResponseError.

    `check="status"` reads such a response all the same.
    """


# The request.


def header_value(last_event_id: str) -> bytes | None:
    """Return an ID as the value of Last-Event-ID, in UTF-8 (WHATWG HTML 9.2.4), or None: not sent.

    Not sent are an empty ID, and one that would be changed on the way or forge a header (RFC 9110,
    5.5): with a control character other than TAB, with a lone surrogate, with a blank at either
    end.

    last_event_id: any text.
    """
    try:
        value = last_event_id.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    is_changed = value != value.strip(b" \t") or value != value.translate(None, _CONTROLS)
    return None if is_changed else value or None


def header_pairs(headers: Any) -> list[tuple[str, Any]]:
    """Return header fields as pairs; names in bytes become text, values stay as they are.

    headers: a mapping, an iterable of pairs, or None for none.

    Raises TypeError for text, for what has text in place of pairs, as "Name: value", and for a
    function.
    """
    if callable(headers):
        raise TypeError(
            "headers must be a mapping, or pairs of a name and a value, not a function, which "
            "subscribe and asubscribe take"
        )
    given: Any = headers.items() if hasattr(headers, "items") else headers or ()
    pairs: list[Any] = [given] if isinstance(given, (str, bytes)) else [*given]
    for pair in pairs:
        if isinstance(pair, (str, bytes)):
            raise TypeError("headers must be a mapping, or pairs of a name and a value, not text")
    return [
        (name.decode("latin-1") if isinstance(name, bytes) else name, value)
        for name, value in pairs
    ]


def id_in_headers(fields: Iterable[tuple[str, Any]]) -> str:
    """Return the Last-Event-ID among header fields, or "" if there is none that can be sent.

    fields: as `header_pairs` gives them.
    """
    for name, value in fields:
        if name.lower() == "last-event-id":
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            if isinstance(text, str) and header_value(text):
                return text
    return ""


def request_headers(
    headers: Any = None, last_event_id: str = "", *, own: Any = None
) -> list[tuple[str, Any]]:
    """Return the caller's header fields with those that the request for an event stream has.

    `Accept: text/event-stream` and `Cache-Control: no-cache`, as browsers send them, come before
    the caller's, unless the caller or the client set them. What many clients accept when nobody
    told them, `*/*`, is nobody's choice.

    headers:       the caller's: a mapping, an iterable of pairs, or None for none. Not changed;
                   values stay as they are.
    last_event_id: the ID to resume from; "", the default, for none. If it can be sent it replaces
                   the caller's Last-Event-ID; as bytes, as `header_value` gives it.
    own:           the header fields that the client adds by itself, likewise; they are not
                   returned.
    """
    fields = header_pairs(headers)
    if value := header_value(last_event_id):
        fields = [(name, old) for name, old in fields if name.lower() != "last-event-id"]
        fields.append(("Last-Event-ID", value))
    others = [(name, value) for name, value in header_pairs(own) if value not in ("*/*", b"*/*")]
    given = {name.lower() for name, _ in fields + others}
    defaults = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]
    return [(name, value) for name, value in defaults if name.lower() not in given] + fields


# The response.


def require_check(check: object) -> None:
    """Raise ValueError unless `check` is True, "status" or False.

    check: what the caller passed; a misspelt one would look at too much or too little.
    """
    if check is not True and check is not False and check != "status":
        raise ValueError(f'check must be True, "status" or False, not {check!r}')


def media_type(content_type: str | None) -> str:
    """Return the media type that a Content-Type names, in lower case and without parameters, or "".

    Of a list, or of fields that came more than once, the last valid one counts (WHATWG Fetch,
    "extract a MIME type").

    content_type: the value of the header, or of several joined with a comma, or None for no header.
    """
    found = ""
    for value in _split_outside_quotes(content_type or ""):
        kind, slash, rest = value.strip(_WHITE_SPACE).partition("/")
        subtype = rest.partition(";")[0].rstrip(_WHITE_SPACE)
        if slash and kind and subtype and _TOKEN.issuperset(kind + subtype):
            essence = f"{kind}/{subtype}".lower()
            found = found if essence == "*/*" else essence
    return found


def _split_outside_quotes(value: str) -> list[str]:
    """Split at commas outside quoted strings (WHATWG Fetch, "get, decode, and split")."""
    if '"' not in value:
        return value.split(",")
    parts: list[str] = []
    start, quoted, escaped = 0, False, False
    for at, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append(value[start:at])
            start = at + 1
    return [*parts, value[start:]]


def is_event_stream(
    status: int, content_type: str | None, content_length: str | None = None
) -> bool:
    """Return whether a response is an event stream, or has no body and so no events.

    That is 2xx with the media type text/event-stream; 204; and 202 that says it has no body.

    status:         the status code.
    content_type:   the value of the header, or None for no header.
    content_length: likewise; None, the default, says nothing.
    """
    if status == 204:
        return True
    if status == 202 and content_length is not None:
        lengths = {length.strip(" \t") for length in content_length.split(",")}
        if lengths == {"0"}:
            return True
    return 200 <= status < 300 and media_type(content_type) == "text/event-stream"


class _Body:
    """The start of an error's body: MAX_BODY_SIZE bytes of it, or what came in MAX_BODY_SECONDS.

    chunks: the body. Its `interrupt`, if it has one, ends a read that waits.
    """

    def __init__(self, chunks: object) -> None:
        self._interrupt: Callable[[], object] | None = getattr(chunks, "interrupt", None)
        self._until = monotonic() + MAX_BODY_SECONDS
        self._data = bytearray()
        self._truncated = False
        self._is_read = False
        self._lock = RLock()

    def call_later(self, call: Callable[[float, Callable[[], None]], Any]) -> Any:
        """Have a read ended that waits too long; return what calls that off, or None."""
        return self._interrupt and call(MAX_BODY_SECONDS, self._give_up)

    def _give_up(self) -> None:
        with self._lock:
            if self._interrupt and not self._is_read:  # else it may be another's connection
                self._truncated = True
                self._interrupt()

    def add(self, chunk: bytes) -> bool:
        """Take a chunk, and return whether that is enough."""
        room = MAX_BODY_SIZE - len(self._data)
        self._data += chunk[:room]
        is_late = monotonic() > self._until
        if len(chunk) > room or (is_late and len(chunk) < room):
            self._truncated = True
        return is_late or len(chunk) >= room

    def end(self, timer: Any, *, broken: bool) -> None:
        """Take note that no more is read."""
        with self._lock:
            self._is_read = True
        self._truncated = self._truncated or broken
        if timer is not None:
            timer.cancel()

    def result(self) -> tuple[bytes, bool]:
        return bytes(self._data), self._truncated


def _in_thread(seconds: float, function: Callable[[], None]) -> Any:
    """Call a function after so many seconds, from a thread; return its timer."""
    from contextlib import suppress  # for errors only
    from threading import Timer

    timer = Timer(seconds, function)
    with suppress(RuntimeError):  # a subinterpreter allows none that it does not wait for
        timer.daemon = True
    with suppress(RuntimeError):  # there are no threads
        timer.start()
    return timer


def _in_loop(seconds: float, function: Callable[[], None]) -> Any:
    """Do as `_in_thread` on asyncio, whose clients are not to be called from another thread."""
    from asyncio import get_running_loop

    try:
        loop = get_running_loop()
    except RuntimeError:  # on trio
        return _in_thread(seconds, function)
    return loop.call_later(seconds, function)


def read_body(chunks: Iterable[bytes]) -> tuple[bytes, bool]:
    """Return the first MAX_BODY_SIZE bytes, and whether they are known not to be all.

    What comes after MAX_BODY_SECONDS is not waited for, if `chunks` has a method `interrupt` that
    ends a read from another thread, or if bytes come.

    chunks: the body. What it raises is nobody's: the error that the body belongs to matters more.
    """
    body, broken = _Body(chunks), True
    timer = body.call_later(_in_thread)
    try:
        for chunk in chunks:
            if body.add(chunk):
                break
        broken = False
    except Exception:
        pass
    finally:
        body.end(timer, broken=broken)
    return body.result()


async def aread_body(chunks: AsyncIterable[bytes]) -> tuple[bytes, bool]:
    """Do as `read_body` with an async iterable.

    chunks: the body.
    """
    body, broken = _Body(chunks), True
    timer = body.call_later(_in_loop)
    try:
        async for chunk in chunks:
            if body.add(chunk):
                break
        broken = False
    except Exception:
        pass
    finally:
        body.end(timer, broken=broken)
    return body.result()


def response_error(
    status: int,
    headers: Iterable[tuple[str, str]],
    url: str,
    body: bytes,
    *,
    redirects: str = "",
    truncated: bool = False,
) -> ResponseError:
    """Return the error for no event stream: a ContentTypeError for 2xx, else a StatusError.

    status:    the status code.
    headers:   pairs of name and value.
    url:       the URL that answered.
    body:      what was read of the body.
    redirects: how this client follows redirects, for the message of a 3xx; "", the default: nothing
               is said.
    truncated: whether there was more of the body; False, the default: not that anyone knows.
    """
    fields = Headers(headers)
    kind: type[ResponseError] = StatusError
    message = shown_url(url)
    if 200 <= status < 300:
        kind = ContentTypeError
        got = repr(excerpt(fields["Content-Type"])) if "Content-Type" in fields else "none"
        message += f" sent no event stream: the Content-Type is {got}, not text/event-stream"
        message += ' (check="status" reads it all the same)'
    else:
        message += f" answered with status {_named_status(status)}"
        if 300 <= status < 400 and redirects:
            message += f" ({redirects})"
    if start := excerpt(body[:2000].decode("utf-8", "replace"), _SHOWN_BODY):
        message += f": {start}"
    return kind(message, status, fields, url, body, truncated)


def compressions(encoding: str) -> list[str]:
    """Return those codings of a Content-Encoding that compress, in lower case.

    encoding: the value of the header, or of several joined with a comma; "" for no header.
    """
    codings = (coding.strip(" \t").lower() for coding in encoding.split(","))
    return [coding for coding in codings if coding in _COMPRESSIONS]


def coding_error(
    status: int, headers: Iterable[tuple[str, str]], url: str, decodable: Iterable[str] | None = ()
) -> ResponseError | None:
    """Return the error for a body in a compression that this client does not undo, else None.

    Words that compress nothing are passed over, for servers send them: none, utf-8, identity,
    chunked.

    status:    the status code.
    headers:   pairs of name and value.
    url:       the URL that answered.
    decodable: the codings that the client decodes, in lower case; () by default: none. None: that
               is not known, and none is an error.
    """
    fields = Headers(headers)
    encoding = fields.get("Content-Encoding", "")
    if decodable is None or not {*compressions(encoding)}.difference(decodable):
        return None
    hint = "ask for Accept-Encoding: identity, or use another client"
    return ResponseError(
        f"{shown_url(url)} sent Content-Encoding {excerpt(encoding)!r}, "
        f"which this client does not decode; {hint}",
        status,
        fields,
        url,
    )


def shown_url(url: str) -> str:
    """Return a URL as messages and logs show it: printable, without user info, query, fragment.

    url: any text.
    """
    scheme, separator, rest = url.partition("#")[0].partition("?")[0].partition("://")
    if not separator:
        separator = "//" if scheme.startswith("//") else ""  # as a Location may begin
        scheme, rest = "", scheme[len(separator) :]
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2]
    name, colon, port = host.rpartition(":")
    is_port = (not port or port.isdecimal()) and (":" not in name or name.endswith("]"))
    if separator and colon and not is_port and not host.endswith("]") and "@" in url:
        # No port, but the start of a password with a "/", "?" or "#" in it.
        host, slash, path = "...", "", ""
    shown = scheme + separator + host + slash + path
    # A line end in it is no white space to be folded: somebody forges something.
    return excerpt("".join("\ufffd" if c < " " else c for c in shown), 2000)


def _named_status(status: int) -> str:
    from http import HTTPStatus  # for errors only

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _charset(content_type: str) -> str:
    """Return the charset that a Content-Type names; "" for none, and for what cannot be one.

    Python keeps each name that it was ever asked for; and of its text encodings some are none, but
    make much work or warn.
    """
    from codecs import lookup  # for errors only

    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'")
            is_known = len(charset) <= _LONGEST_CHARSET and lookup(charset).name not in _NO_CHARSETS
            return charset if is_known else ""
    return ""


# The check.


def check_response(
    chunks: Iterable[bytes],
    status: int,
    headers: Any,
    url: str,
    *,
    check: Check,
    redirects: str = "",
    decodable: Iterable[str] | None = (),
) -> None:
    """Raise the error for a response that is no event stream; of one that is, nothing is read.

    chunks:    the body, of which the start is read for an error.
    status:    the status code.
    headers:   a mapping of the header fields whose `items()` gives each field.
    url:       the URL that answered.
    check:     True: status and media type count; "status": the status alone; False: neither.
    redirects: how this client follows redirects, for the message of a 3xx.
    decodable: the codings that the client decodes, as `coding_error` takes them; that check cannot
               be turned off, since compressed bytes have no events.

    Raises StatusError, ContentTypeError or, for the coding, ResponseError. Nothing is closed.
    """
    fields = Headers(headers.items())
    if _is_refused(status, fields, check):
        body, truncated = read_body(chunks)
        raise response_error(
            status, fields.items(), url, body, redirects=redirects, truncated=truncated
        )
    if error := coding_error(status, fields.items(), url, decodable):
        raise error


async def acheck_response(
    chunks: AsyncIterable[bytes],
    status: int,
    headers: Any,
    url: str,
    *,
    check: Check,
    redirects: str = "",
    decodable: Iterable[str] | None = (),
) -> None:
    """Do as `check_response` with a body that is an async iterable.

    chunks:    the body, of which the start is read for an error.
    status:    the status code.
    headers:   a mapping of the header fields whose `items()` gives each field.
    url:       the URL that answered.
    check:     True: status and media type count; "status": the status alone; False: neither.
    redirects: how this client follows redirects, for the message of a 3xx.
    decodable: the codings that the client decodes, as `coding_error` takes them.

    Raises StatusError, ContentTypeError or, for the coding, ResponseError. Nothing is closed.
    """
    fields = Headers(headers.items())
    if _is_refused(status, fields, check):
        body, truncated = await aread_body(chunks)
        raise response_error(
            status, fields.items(), url, body, redirects=redirects, truncated=truncated
        )
    if error := coding_error(status, fields.items(), url, decodable):
        raise error


def _is_refused(status: int, fields: Headers, check: Check) -> bool:
    if check == "status":
        return not 200 <= status < 300
    content_type, length = fields.get("Content-Type"), fields.get("Content-Length")
    return bool(check) and not is_event_stream(status, content_type, length)


class CheckedChunks:
    """An async iterator over chunks that runs a check before the first.

    `aiter_events` needs it, which cannot await.

    chunks: an async iterator of bytes, closed by `aclose` if it can be; its `interrupt` and its
            `is_shared`, if it has them, are passed on.
    check:  called without arguments and awaited once, before the first chunk; what it raises passes
            through.
    """

    def __init__(self, chunks: AsyncIterator[bytes], check: Callable[[], Awaitable[None]]) -> None:
        self._chunks = chunks
        self._check: Callable[[], Awaitable[None]] | None = check
        self.is_shared: bool = getattr(chunks, "is_shared", False)
        interrupt: Callable[[], object] | None = getattr(chunks, "interrupt", None)
        if interrupt is not None:  # else a stream would take it that a read can be woken
            self.interrupt = interrupt

    def __aiter__(self) -> CheckedChunks:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        # No coroutine of its own once the check is done: each chunk comes through here.
        check = self._check
        return self._chunks.__anext__() if check is None else self._check_first(check)

    async def _check_first(self, check: Callable[[], Awaitable[None]]) -> bytes:
        self._check = None
        await check()
        return await self._chunks.__anext__()

    async def aclose(self) -> None:
        """Close the chunks, if they can be closed."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
