# SPDX-License-Identifier: MIT
"""The command line: `python -m sse_stream`, or `sse-stream` where the package is installed.

Standard input, a file or a URL in, one event after the other out, each written the moment its bytes are there. At a terminal
events are shown readably and without raw control characters; into a pipe goes one JSON object a line.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import threading
import time
import unicodedata
from http.client import HTTPException, InvalidURL
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from urllib.error import URLError
from urllib.request import OpenerDirector, ProxyHandler, build_opener

from . import __version__
from .adapters.urllib import connect, subscribe
from .decoder import ServerSentEvent, SSEDecoder, SSEError
from .encoder import SSEEncoder
from .handshake import header_value, shown_url
from .streams import EventStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, BinaryIO

    from .reconnect import EventSource

#: What writing to a pipe that nobody reads says: Windows has no other number for it.
_CLOSED_PIPE = errno.EINVAL if os.name == "nt" else errno.EPIPE

_EPILOG = """\
examples:
  sse-stream https://example.org/events
  sse-stream https://example.org/v1/chat -H 'Authorization: Bearer KEY' --body @request.json --data
  curl -sN https://example.org/events | sse-stream
  sse-stream recorded.txt --incomplete discard

At a terminal, events are shown for reading. Into a pipe or a file goes one JSON object a line, with the keys event, data, id
and retry. The exit status is 0 at the end of the stream, 1 after an error, 2 for a wrong command line, 130 after Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.demo:
            return _demo()
        if options.source in (None, "-") and (sys.stdin is None or (options.source is None and sys.stdin.isatty())):
            parser.error("nothing to read: name a URL or a file, or pipe a stream in (--demo shows one)")
        if sys.stdout is None:
            raise OSError("standard output is closed")
        with _open(parser, options) as stream:
            write = _Writer(options.data, options.json)
            for event in stream:
                write(event)
        return 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has seen enough. What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (SSEError, OSError, HTTPException, ValueError) as error:
        message = str(error.reason if isinstance(error, URLError) else error) or type(error).__name__
        if isinstance(error, InvalidURL):  # its text would show user info and query
            message = f"this is no URL that can be asked for: {shown_url(str(options.source))}"
        if sys.stderr is not None:
            print(f"sse-stream: {_visible(' '.join(message.split()))}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sse-stream",
        description="Read Server-Sent Events from a URL, a file or standard input, and write them as they arrive.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", nargs="?", help="an http or https URL, a file, or - for standard input (the default)")
    parser.add_argument("--demo", action="store_true", help="read from a local server that sends in awkward pieces")
    parser.add_argument("--version", action="version", version=f"sse_stream {__version__}")
    output = parser.add_argument_group("output")
    shape = output.add_mutually_exclusive_group()
    shape.add_argument("--data", action="store_true", help="write the data of each event alone, and a line feed")
    shape.add_argument("--json", action="store_true", help="write JSON at a terminal, too")
    reading = parser.add_argument_group("reading")
    reading.add_argument(
        "--incomplete",
        choices=("dispatch", "discard", "raise"),
        help="what becomes of an event that the end of the stream cuts off (default: dispatch, or discard with --reconnect)",
    )
    reading.add_argument("--max-event-size", type=int, metavar="BYTES", help="the bound on one event (default: 64 MiB)")
    reading.add_argument("--last-event-id", default="", metavar="ID", help="resume after this event")
    request = parser.add_argument_group("request (with a URL)")
    request.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    request.add_argument("-X", "--method", help="default: GET, or POST with --body")
    request.add_argument(
        "--body", metavar="TEXT|@FILE", help="sent as application/json, unless a header says otherwise; @- is standard input"
    )
    request.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="give up after so long without a byte")
    request.add_argument("--reconnect", action="store_true", help="connect again, and resume, whenever the connection breaks")
    request.add_argument("--no-check", action="store_true", help="read on whatever the status and the Content-Type are")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0 is wanted, not {text!r}")
    return seconds


def _open(parser: argparse.ArgumentParser, options: argparse.Namespace) -> EventStream | EventSource:
    bound = {} if options.max_event_size is None else {"max_event_size": options.max_event_size}
    incomplete: Any = options.incomplete or ("discard" if options.reconnect else "dispatch")

    def make_decoder(last_event_id: str) -> SSEDecoder:
        return SSEDecoder(last_event_id=last_event_id, incomplete=incomplete, **bound)

    source: str = options.source or "-"
    if source.partition("://")[0].lower() in ("http", "https"):
        return _open_url(source, options, make_decoder)
    decoder = make_decoder(options.last_event_id)
    wants_url = (options.header, options.method, options.timeout, options.reconnect, options.no_check)
    given = (*wants_url, options.body is not None)
    if any(given):
        parser.error("the options of a request need a URL that begins with http:// or https://")
    file: BinaryIO = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115  the stream closes it
    return EventStream(_chunks(file), decoder=decoder, response=file)


def _open_url(url: str, options: argparse.Namespace, make_decoder: Callable[[str], SSEDecoder]) -> EventStream | EventSource:
    if options.last_event_id and header_value(options.last_event_id) is None:
        raise ValueError("this --last-event-id cannot be sent: it has a control character, or a blank at an end")
    headers: dict[str, bytes] = {}
    for header in options.header:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"a header is given as 'NAME: VALUE', not {header!r}")
        field = next((known for known in headers if known.lower() == name.strip().lower()), name.strip())
        earlier = headers.get(field)
        headers[field] = value.strip().encode() if earlier is None else earlier + b", " + value.strip().encode()
    body = None
    if options.body is not None:
        body = _read_body(options.body)
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = b"application/json"
    method = options.method or ("GET" if body is None else "POST")
    last_event_id: str = options.last_event_id
    request: dict[str, Any] = {"headers": headers, "data": body, "timeout": options.timeout, "check": not options.no_check}
    if options.reconnect:
        return subscribe(None, method, url, make_decoder=make_decoder, last_event_id=last_event_id, **request)
    return connect(None, method, url, decoder=make_decoder(last_event_id), **request).__enter__()


def _read_body(body: str) -> bytes:
    if body == "@-":
        return sys.stdin.buffer.read()
    if body.startswith("@"):
        with open(body[1:], "rb") as file:
            return file.read()
    return body.encode()


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    read1 = getattr(file, "read1", file.read)  # what is there, without waiting for more
    while chunk := read1(65536):
        yield chunk


class _Writer:
    """Write events to standard output and flush each: readably to a terminal, else as JSON Lines."""

    def __init__(self, data_only: bool, as_json: bool) -> None:
        self.terminal = sys.stdout.isatty()
        self.data_only = data_only
        self.as_json = as_json or not (self.terminal or data_only)

    def __call__(self, event: ServerSentEvent) -> None:
        if self.as_json:
            text = _json_line(event, ascii_only=self.terminal)
        elif self.data_only:
            text = _visible(event.data) if self.terminal else event.data
        else:
            text = _readable(event)
        encoding = sys.stdout.encoding if self.terminal else "utf-8"
        try:
            sys.stdout.buffer.write((text + "\n").encode(encoding, "backslashreplace"))
            sys.stdout.buffer.flush()
        except OSError as error:
            if error.errno == _CLOSED_PIPE:
                raise BrokenPipeError from error
            raise


# Characters that JSON lets stand as they are, though some readers take them for the end of a line or for a command.
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def _json_line(event: ServerSentEvent, ascii_only: bool = False) -> str:
    return json.dumps(event._asdict(), ensure_ascii=ascii_only).translate(_ESCAPES)


def _readable(event: ServerSentEvent) -> str:
    head = [] if event.event == "message" else [event.event]
    if event.id:
        head.append(f"id {event.id}")
    if event.retry is not None:
        head.append(f"retry {event.retry} ms")
    line = _visible(", ".join(head)).replace("\n", "\\x0a")
    return (f"[{line}]\n" if head else "") + _visible(event.data)


def _visible(text: str) -> str:
    """Escape what a terminal would obey: control, direction and other invisible characters, but LF, TAB and joiners."""
    return "".join(
        c if c in "\n\t\u200c\u200d" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escaped(c)
        for c in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


# The demo: what a chat service sends, cut where no one would cut it.


def _demo_stream() -> bytes:
    """Return a stream with a byte order mark, all three line ends, and no blank line at its end."""
    events = [
        ServerSentEvent("start", '{"model": "demo"}', "1", 2000),
        ServerSentEvent(data='{"text": "Bytes in, "}', id="2"),
        ServerSentEvent(data='{"text": "events out: "}', id="3"),
        ServerSentEvent(data='{"text": "na\u00efve caf\u00e9, \u65e5\u672c\u8a9e, \U0001f680 "}', id="4"),
        ServerSentEvent(data='{"text":\n "in two data lines."}', id="5"),
        ServerSentEvent("end", "no blank line follows", "6"),
    ]
    encoder = SSEEncoder()
    stream = "\ufeff".encode() + encoder.comment("a comment keeps the connection alive")
    for event, line_end in zip(events, (b"\r\n", b"\n", b"\r", b"\r\n", b"\n", b"\n"), strict=True):
        stream += (encoder.encode(event) + encoder.comment()).replace(b"\n", line_end)
    return stream[: stream.rindex(b"\n\n")]


_DEMO_STREAM = _demo_stream()
_DEMO_EVENTS = 6


class _DemoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        # Pieces of 1 to 5 bytes: they part CR from LF, characters from themselves, and the byte order mark.
        start, size = 0, 1
        while start < len(_DEMO_STREAM):
            piece = _DEMO_STREAM[start : start + size]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            start, size = start + size, size % 5 + 1
            time.sleep(0.015)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        pass


def _demo() -> int:
    """Serve a stream on a local socket and read it as a program would."""
    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):
        stdout.reconfigure(errors="backslashreplace")  # a terminal without Unicode shows the demo, too
    # Not HTTPServer, which asks for the name of the machine: where nobody answers that takes seconds.
    with TCPServer(("127.0.0.1", 0), _DemoHandler) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        count = _show(build_opener(ProxyHandler({})), f"http://127.0.0.1:{server.server_address[1]}/")
        thread.join()
    return 0 if count == _DEMO_EVENTS else 1


def _show(client: OpenerDirector, url: str) -> int:
    print(f"A local server sends {len(_DEMO_STREAM)} bytes in pieces of 1 to 5. As they arrive:\n", flush=True)
    begin, count, text = time.monotonic(), 0, ""
    with connect(client, "GET", url, timeout=10) as stream:
        for event in stream:
            count += 1
            print(f"{time.monotonic() - begin:5.2f} s  {event.event:8} id {event.id}  {_json_line(event)}", flush=True)
            text += event.json()["text"] if event.event == "message" else ""
    print(f"\n{count} events. The text of the reply: {text}")
    print(f"The last event came without its blank line; to resume, send Last-Event-ID: {stream.last_event_id}")
    return count


if __name__ == "__main__":
    sys.exit(main())
