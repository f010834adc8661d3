# SPDX-License-Identifier: MIT
"""The command line: `python -m sse_stream`, or `sse-stream`."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import socket
import sys
import threading
import time
import unicodedata
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from . import __version__
from ._demo import EVENT_COUNT, PIECE_SIZE, STREAM, DemoServer
from ._excerpt import excerpt
from .adapters.urllib import connect, subscribe
from .decoder import (
    EventTooLargeError,
    IncompleteEventError,
    ServerSentEvent,
    SSEDecoder,
    SSEError,
)
from .handshake import ContentTypeError, Headers, ResponseError, header_value, shown_url
from .policy import ReconnectionError
from .streams import EventStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, NoReturn

    from .decoder import Chunk
    from .reconnect import EventSource

_CLOSED_PIPE = errno.EINVAL if os.name == "nt" else errno.EPIPE  # nobody reads

_START_SIZE = 1024  # how much of the input, or of its lines without effect, is kept to be shown

_EPILOG = """\
examples:
  sse-stream https://example.org/v1/chat -H 'Authorization: Bearer KEY' --body @request.json \\
      --data-only --until '[DONE]'
  curl -sN https://example.org/events | sse-stream

A terminal shows events for reading; a pipe or a file gets one JSON object a line, with the keys
event, data, id and retry. Lines that have no effect are told of on standard error.
Exit status: 1 after an error, 2 for a wrong command line, 130 after Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    arguments: what follows the command's name; None, the default: those of this process.

    Returns the exit status: 0, 1 after an error, 130 after Ctrl-C. A wrong command line raises
    SystemExit with status 2, as argparse does, `--help` and `--version` with status 0.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options)
    try:
        return _demo() if options.demo else _read(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Lest the rest of the buffer raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (SSEError, OSError, HTTPException, ValueError) as error:
        _complain(_words(error, options))
        return 1


def _read(options: argparse.Namespace) -> int:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", "standard output")
    account = _Account()
    try:
        with _open(options, account) as stream:
            saw_mark = _write(stream, options)
    except _NobodyReadsError:
        raise
    except Exception as error:
        account.tell_of_ignored()
        if isinstance(error, BrokenPipeError):  # of the connection: no quiet end
            raise ConnectionResetError from error
        raise
    account.tell()
    if options.until is not None and not saw_mark:
        raise SSEError(f"the stream ended before its mark {options.until!r}")
    return 0


class _NobodyReadsError(BrokenPipeError):
    """Whoever read standard output has left."""


class _Account:
    """What became of the input, over all its connections; told of once, in one line."""

    def __init__(self) -> None:
        self.start = b""  # how the input begins
        self.event_count = 0
        self._ignored_count = 0
        self._ignored = ""  # the first lines that had no effect
        self._was_told = False

    def hear(self, line: str) -> None:
        """Take note of a line that had no effect."""
        if len(self._ignored) < _START_SIZE:
            self._ignored += line[:_START_SIZE] + "\n"
        self._ignored_count += 1

    def tell(self) -> None:
        """Say that the input had no event, or lines without effect, and show the first."""
        if not self.start or self.event_count or self._was_told:
            self.tell_of_ignored()
            return
        self._was_told = True
        shown = excerpt(self._ignored or self.start.decode("utf-8", "replace"))
        _complain(f"the input had no event, but this: {shown or 'blank lines'}")

    def tell_of_ignored(self) -> None:
        """Say how many lines had no effect, if there were any, and show the first."""
        count = self._ignored_count
        if count and not self._was_told:
            self._was_told = True
            first = excerpt(self._ignored.partition("\n")[0])
            lines = "1 line had no effect" if count == 1 else f"{count} lines had no effect, first"
            _complain(f"{lines}: {first}")


class _Decoder(SSEDecoder):
    """A decoder that keeps an account."""

    def __init__(self, account: _Account, options: argparse.Namespace, last_event_id: str) -> None:
        super().__init__(
            last_event_id=last_event_id,
            max_event_size=options.max_event_size,
            incomplete=options.incomplete or ("discard" if options.reconnect else "dispatch"),
            on_ignored=account.hear,
        )
        self._account = account

    def feed(self, chunk: Chunk) -> list[ServerSentEvent]:
        account = self._account
        if len(account.start) < _START_SIZE:
            account.start += bytes(chunk[:_START_SIZE])
        events = super().feed(chunk)
        account.event_count += len(events)
        return events

    def close(self) -> list[ServerSentEvent]:
        events = super().close()
        self._account.event_count += len(events)
        return events


# What the command line is.


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, not the whole usage."""

    def error(self, message: str) -> NoReturn:
        _complain(f"{message}")
        self.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sse-stream",
        description="Read Server-Sent Events, and write them as they arrive.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "source",
        nargs="?",
        help="an http or https URL, a file, or - for standard input (the default)",
    )
    add("--demo", action="store_true", help="read from a local server")
    add("--version", action="version", version=f"sse_stream {__version__}")
    shape = parser.add_mutually_exclusive_group().add_argument
    shape("--data-only", action="store_true", help="write the data alone, and a line feed after it")
    shape("--json", action="store_true", help="write JSON at a terminal, too")
    add(
        "--until",
        metavar="MARK",
        help="end at the event whose data is MARK, and do not write it; an end before it is an "
        "error",
    )
    add(
        "--incomplete",
        choices=("dispatch", "discard", "raise"),
        help="what becomes of an event that the end cuts off "
        "(default: dispatch, with --reconnect discard)",
    )
    add(
        "--max-event-size",
        type=_size,
        default=64 << 20,
        metavar="BYTES",
        help="bound on one event (default: 64 MiB)",
    )
    add("--last-event-id", type=_id, default="", metavar="ID", help="resume after this event")
    _add_request_options(parser)
    return parser


def _add_request_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("request (with a URL)").add_argument
    add(
        "-H",
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="may be repeated",
    )
    add("-X", "--method", help="default: GET, or POST with --body")
    add(
        "--body",
        metavar="TEXT|@FILE",
        help="sent as JSON, unless a header says otherwise; @-: standard input",
    )
    # curl's words for a body; --data was once our word for --data-only.
    curls = ("-d", "--data", "--data-raw", "--data-binary")
    add(*curls, dest="curls_data", action=_CurlsData, nargs="?", help=argparse.SUPPRESS)
    add("--timeout", type=_seconds, metavar="SECONDS", help="give up after so long without a byte")
    add(
        "--reconnect",
        action="store_true",
        help="connect again, and resume, when the connection breaks",
    )
    add("--no-check", action="store_true", help="accept any status and Content-Type")


class _CurlsData(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.error(
            "--data is curl's word for the body of a request, which is --body BODY here; "
            "--data-only writes the data of the events alone"
        )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {text!r}")
    return seconds


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"not a number of bytes above 0: {text!r}")
    return int(text)


def _id(text: str) -> str:
    if text and header_value(text) is None:
        raise argparse.ArgumentTypeError(
            "this ID cannot be sent: it has a control character, or a blank at an end"
        )
    return text


def _header(text: str) -> tuple[str, str]:
    # The texts do not show the header: it may be a key.
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name.strip(), re.ASCII):
        raise argparse.ArgumentTypeError("a header is given as 'NAME: VALUE'")
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value.strip()):
        raise argparse.ArgumentTypeError("a header has no line ends and no control characters")
    return name.strip(), value.strip()


# What is wrong with it.

_QUOTES = " \t\r\n'\"`<>\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
_URL = re.compile(r"https?://", re.IGNORECASE)
_ALMOST_URL = re.compile(r"(https?)(?::|(?=[/\\]{2}))[/\\]*(?=[^/\\])", re.IGNORECASE)
_HOST = re.compile(
    r"(//)?([^/@\s]*@)?(([\w-]+\.)+[^\W\d_]{2,}|localhost|\d+(\.\d+){3}|\[[\da-f:]+\])"
    r"(:\d+)?([/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the process if the command line makes no sense, and say what to write instead."""
    source: str | None = options.source
    if options.demo:
        return
    if source in (None, "-") and (sys.stdin is None or (source is None and sys.stdin.isatty())):
        parser.error("nothing to read: name a URL or a file, pipe a stream in, or try --demo")
    if source and (mistake := _mistake(source)):
        parser.error(mistake)
    request = (options.header, options.method, options.timeout, options.reconnect, options.no_check)
    if not _is_url(source) and (any(request) or options.body is not None):
        parser.error("the options of a request need a URL that begins with http:// or https://")


def _is_url(source: str | None) -> bool:
    return bool(source and _URL.match(source))


def _mistake(source: str) -> str:
    """Return what is wrong with a source that is meant to be a URL, or ""."""
    if _is_url(source):
        return _mistake_in_url(source)
    bare = source.strip(_QUOTES)
    if _is_url(bare):
        return f"the URL has quotes or blanks round it that belong to no URL: {shown_url(bare)}"
    if os.path.exists(source):
        return ""
    scheme = re.match(r"([a-z][a-z\d+.-]*)://", source, re.IGNORECASE)
    if almost := _ALMOST_URL.match(source):
        url = f"{almost[1]}://{source[almost.end() :]}".replace("\\", "/")
        return f"a URL begins with http:// or https://; write {shown_url(url)}"
    if scheme:
        return f"only http:// and https:// are read, not {scheme[0]}"
    if host := _HOST.fullmatch(source):
        is_here = host[3].startswith("127.") or host[3].lower() == "localhost"
        url = f"{'http' if is_here else 'https'}://{source.lstrip('/')}"
        return f"there is no such file; if it is meant to be a URL, write {shown_url(url)}"
    return ""


def _mistake_in_url(url: str) -> str:
    stripped = url.rstrip(_QUOTES)
    if stripped != url:
        return f"the URL has a quote or a blank at its end: {shown_url(stripped)}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return f"not a URL: {shown_url(url)}"
    if not parts.hostname:
        return f"not a URL, for it names no host: {shown_url(url)}"
    if "@" in parts.netloc:
        return (
            "the user name and password of a URL are not sent; "
            "write them as -H 'Authorization: Basic ...'"
        )
    if (
        re.search(r"[\x00-\x20\x7f]", url)
        or not url.partition("://")[2].partition("/")[2].isascii()
    ):
        return (
            "a URL has no blanks, and nothing beyond ASCII behind its host (write %20 for a "
            f"blank): {shown_url(url)}"
        )
    return ""


# The source.


def _open(options: argparse.Namespace, account: _Account) -> EventStream | EventSource:
    source: str = options.source or "-"
    if _is_url(source):
        return _open_url(source, options, account)
    decoder = _Decoder(account, options, options.last_event_id)
    # The stream closes it.
    file: Any = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115
    return EventStream(_chunks_of(file), decoder=decoder, response=file)


def _chunks_of(file: Any) -> Iterator[bytes]:
    """Yield what is there, without waiting for more."""
    while True:
        chunk: bytes | None = file.read1(65536)
        if not chunk and not _is_blocking(file):  # nothing yet, or the end
            import select  # slow to import

            select.select([file], [], [])
            chunk = file.raw.read(65536)
        if chunk:
            yield chunk
        elif chunk is not None:
            return


def _is_blocking(file: Any) -> bool:
    try:
        return os.get_blocking(file.fileno())
    except (AttributeError, OSError, ValueError):  # not on this system, or no real file
        return True


def _open_url(
    url: str, options: argparse.Namespace, account: _Account
) -> EventStream | EventSource:
    fields = Headers(options.header)
    headers = {name: os.fsencode(value) for name, value in fields.items()}
    request: dict[str, Any] = {
        "headers": headers,
        "timeout": options.timeout,
        "check": not options.no_check,
    }
    if options.body is not None:
        request["data"] = _read_body(options.body)
        if "Content-Type" not in fields:
            headers["Content-Type"] = b"application/json"
    last_event_id: str = options.last_event_id
    opener = build_opener(_Redirects)
    if not options.reconnect:
        decoder = _Decoder(account, options, last_event_id)
        opening = connect(opener, _method(options), url, decoder=decoder, **request)
        return opening.__enter__()

    def make_decoder(last_event_id: str) -> SSEDecoder:
        return _Decoder(account, options, last_event_id)

    def tell_of_loss(error: Exception | None, delay: float | None) -> None:
        if delay is not None:
            account.tell_of_ignored()
            cause = _words(error, options) if error else f"{shown_url(url)}: the stream ended"
            _complain(f"{cause}; connecting again in {delay:.1f} s")

    _keep_quiet()
    return subscribe(
        opener,
        _method(options),
        url,
        make_decoder=make_decoder,
        last_event_id=last_event_id,
        on_disconnect=tell_of_loss,
        **request,
    )


class _Redirects(HTTPRedirectHandler):
    """Follows redirects without reading their bodies, which may have no end."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> Any:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        fp.read = bytes  # urllib would call it for all there is
        _ = urlsplit(str(newurl)).port  # a ValueError; the socket would raise OverflowError
        return request


def _method(options: argparse.Namespace) -> str:
    return options.method or ("GET" if options.body is None else "POST")


def _keep_quiet() -> None:
    """Keep what the source logs off standard error, where the same is told in our own words."""
    from logging import NullHandler, getLogger

    logger = getLogger("sse_stream")
    if not logger.handlers:
        logger.addHandler(NullHandler())


def _read_body(text: str) -> bytes:
    if text == "@-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed", "standard input")
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        with open(text[1:], "rb") as file:
            return file.read()
    return os.fsencode(text)


# What went wrong, in words.


def _complain(message: str) -> None:
    if sys.stderr is not None:
        try:
            print(f"sse-stream: {_visible(' '.join(message.split()))}", file=sys.stderr, flush=True)
        except OSError:  # nobody reads it, or the disk is full; the events still matter
            pass


def _words(error: Exception, options: argparse.Namespace) -> str:
    """Return what an error says, in the words of the command line, and where it came from."""
    if isinstance(error, ResponseError):
        return _words_of_response(error, options)
    if isinstance(error, ReconnectionError):
        return str(error)
    if isinstance(error, EventTooLargeError):
        told = f"an event has more than {error.limit} bytes; --max-event-size allows more"
    elif isinstance(error, IncompleteEventError):
        told = "the stream ended inside an event, before its blank line"
    elif isinstance(error, OSError) and error.filename is not None:
        return f"{excerpt(str(error.filename))}: {_system_words(error)}"
    elif _is_url(options.source):
        told = _words_of_connection(error, options)
    else:
        told = _system_words(error)
    source: str = options.source or "-"
    if source == "-":
        return told
    return f"{shown_url(source) if _is_url(source) else source}: {told}"


def _words_of_response(error: ResponseError, options: argparse.Namespace) -> str:
    where = shown_url(error.url)
    location = error.headers.get("Location", "")
    if isinstance(error, ContentTypeError):
        got = excerpt(error.headers.get("Content-Type", "")) or "something without a Content-Type"
        told = f"{where} sent no event stream, but {got} (--no-check reads it all the same)"
    elif 300 <= error.status < 400 and location:
        target = shown_url(location)
        where = shown_url(options.source)
        told = f"{where} answered with status {error.status} {_phrase(error.status)}: "
        if _method(options) not in ("GET", "HEAD"):
            return f"{told}{_method(options)} is not sent on; if you trust it, ask {target}"
        return f"{told}it redirects in a circle or too often, or where nobody follows: {target}"
    else:
        return str(error)
    start = excerpt(error.body.decode("utf-8", "replace"))
    return f"{told}: {start}" if start else told


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in {*HTTPStatus} else ""


def _words_of_connection(error: Exception, options: argparse.Namespace) -> str:
    """Return what came between us and the server."""
    cause: Any = error.reason if isinstance(error, URLError) else error
    url: str = options.source
    host = urlsplit(url).netloc
    if isinstance(cause, socket.gaierror):
        return f"the host {host} cannot be found"
    if hasattr(cause, "verify_message"):
        return f"the server's certificate is refused: {cause.verify_message}"
    if type(cause).__name__.startswith("SSL"):
        reason = str(cause.reason or "").replace("_", " ").lower()
        return f"TLS failed, perhaps this server speaks plain http: {reason}"
    if isinstance(cause, TimeoutError):
        seconds = options.timeout
        return f"nothing came for {seconds:g} s" if seconds else "the connection timed out"
    if isinstance(cause, ConnectionRefusedError):
        return f"the connection was refused: nothing listens at {host}"
    if isinstance(cause, RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(cause, ConnectionError):
        return "the connection was reset"
    if isinstance(cause, IncompleteRead):
        missing = f", with {cause.expected} bytes missing" if cause.expected else ""
        return f"the connection ended before the answer did{missing}"
    if isinstance(cause, BadStatusLine):
        return "this is no answer of an HTTP server"
    if isinstance(cause, HTTPException):
        return "the answer is no HTTP that can be read"
    return _system_words(cause)


def _system_words(error: object) -> str:
    return getattr(error, "strerror", None) or str(error) or "the connection broke"


# The output.


def _write(events: Iterable[ServerSentEvent], options: argparse.Namespace) -> bool:
    """Write the events, and return whether their mark was seen."""
    terminal = sys.stdout.isatty()
    encoding = sys.stdout.encoding if terminal else "utf-8"
    for event in events:
        if event.data == options.until:
            return True
        if options.data_only:
            text = _visible(event.data) if terminal else event.data
        elif terminal and not options.json:
            text = _readable(event)
        else:
            text = _json_line(event, ascii_only=terminal)
        try:
            sys.stdout.buffer.write((text + "\n").encode(encoding, "backslashreplace"))
            sys.stdout.buffer.flush()
        except OSError as error:
            if error.errno == _CLOSED_PIPE:
                raise _NobodyReadsError from error
            raise OSError(error.errno, error.strerror, "standard output") from error
    return False


# JSON lets them stand; some readers take them for the end of a line or a command.
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def _json_line(event: ServerSentEvent, ascii_only: bool = False) -> str:
    return json.dumps(event._asdict(), ensure_ascii=ascii_only).translate(_ESCAPES)


def _readable(event: ServerSentEvent) -> str:
    head = [] if event.event == "message" else [event.event]
    if event.id:
        head.append(f"id {event.id}")
    if event.retry is not None:
        head.append(f"retry {event.retry} ms")
    return _visible((f"[{', '.join(head)}]\n" if head else "") + event.data)


def _visible(text: str) -> str:
    return "".join(map(_visible_character, text))


def _visible_character(c: str) -> str:
    # All that a terminal obeys or does not show, but LF, TAB and joiners.
    is_obeyed = unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if not is_obeyed or c in "\n\t\u200c\u200d":
        return c
    return c.encode("unicode_escape").decode()


def _demo() -> int:
    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):
        stdout.reconfigure(errors="backslashreplace")  # for a terminal without Unicode
    intro = f"A local server sends {len(STREAM)} bytes in pieces of {PIECE_SIZE}."
    print(f"{intro} As they arrive:\n", flush=True)
    with DemoServer() as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        begin, count, text = time.monotonic(), 0, ""
        opener = build_opener(ProxyHandler({}))  # no proxy
        with connect(opener, "GET", server.url, timeout=10) as stream:
            for event in stream:
                count += 1
                print(f"{time.monotonic() - begin:5.2f} s  {_json_line(event)}", flush=True)
                text += event.json()["text"] if event.event == "message" else ""
    print(f"\n{count} events. The text of the reply: {text}")
    print(
        "The last event came without its blank line; "
        f"to resume, send Last-Event-ID: {stream.last_event_id}"
    )
    return 0 if count == EVENT_COUNT else 1


if __name__ == "__main__":
    sys.exit(main())
