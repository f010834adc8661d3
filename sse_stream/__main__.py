# SPDX-License-Identifier: MIT
"""The command line: `python -m sse_stream`, or `sse-stream`."""

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
from socketserver import StreamRequestHandler, TCPServer
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from . import __version__
from .adapters.urllib import connect, subscribe
from .decoder import ServerSentEvent, SSEDecoder, SSEError
from .handshake import Headers, header_value, shown_url
from .streams import EventStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from .reconnect import EventSource

_CLOSED_PIPE = errno.EINVAL if os.name == "nt" else errno.EPIPE  # nobody reads

_EPILOG = """\
examples:
  sse-stream https://example.org/v1/chat -H 'Authorization: Bearer KEY' --body @request.json --data
  curl -sN https://example.org/events | sse-stream

A terminal shows events for reading; a pipe or a file gets one JSON object a line, with the keys event, data, id and retry.
Exit status: 1 after an error, 2 for a wrong command line, 130 after Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.demo:
            return _demo()
        if options.source in (None, "-") and (
            sys.stdin is None or (options.source is None and sys.stdin.isatty())
        ):
            parser.error("nothing to read: name a URL or a file, pipe a stream in, or try --demo")
        if sys.stdout is None:
            raise OSError("standard output is closed")
        with _open(parser, options) as stream:
            _write(stream, options)
        return 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # lest the rest of the buffer raise again at exit
        return 0
    except (SSEError, OSError, HTTPException, ValueError) as error:
        message = _message(error)
        if isinstance(error, InvalidURL):  # its text would show user info and query
            message = f"not a URL: {shown_url(str(options.source))}"
        _complain(message)
        return 1


def _message(error: Exception) -> str:
    return str(error.reason if isinstance(error, URLError) else error) or type(error).__name__


def _complain(message: str) -> None:
    if sys.stderr is not None:
        print(f"sse-stream: {_visible(' '.join(message.split()))}", file=sys.stderr, flush=True)


def _tell_of_wait(error: Exception | None, delay: float | None) -> None:
    if delay is not None:
        _complain(
            f"{_message(error) if error else 'the stream ended'}; connecting again in {delay:.1f} s"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sse-stream",
        description="Read Server-Sent Events, and write them as they arrive.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="?",
        help="an http or https URL, a file, or - for standard input (the default)",
    )
    parser.add_argument("--demo", action="store_true", help="read from a local server")
    parser.add_argument("--version", action="version", version=f"sse_stream {__version__}")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--data", action="store_true", help="write only the data, and a line feed")
    shape.add_argument("--json", action="store_true", help="write JSON at a terminal, too")
    parser.add_argument(
        "--incomplete",
        choices=("dispatch", "discard", "raise"),
        help="what becomes of an event that the end cuts off (default: dispatch, with --reconnect discard)",
    )
    parser.add_argument(
        "--max-event-size",
        type=int,
        default=64 << 20,
        metavar="BYTES",
        help="bound on one event (default: 64 MiB)",
    )
    parser.add_argument("--last-event-id", default="", metavar="ID", help="resume after this event")
    request = parser.add_argument_group("request (with a URL)")
    request.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="may be repeated",
    )
    request.add_argument("-X", "--method", help="default: GET, or POST with --body")
    request.add_argument(
        "--body",
        metavar="TEXT|@FILE",
        help="sent as JSON, unless a header says otherwise; @-: standard input",
    )
    request.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="give up after so long without a byte"
    )
    request.add_argument(
        "--reconnect",
        action="store_true",
        help="connect again, and resume, when the connection breaks",
    )
    request.add_argument(
        "--no-check", action="store_true", help="accept any status and Content-Type"
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {text!r}")
    return seconds


def _open(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> EventStream | EventSource:
    incomplete: Any = options.incomplete or ("discard" if options.reconnect else "dispatch")

    def make_decoder(last_event_id: str) -> SSEDecoder:
        return SSEDecoder(
            last_event_id=last_event_id,
            max_event_size=options.max_event_size,
            incomplete=incomplete,
        )

    source: str = options.source or "-"
    if source.partition("://")[0].lower() in ("http", "https"):
        return _open_url(source, options, make_decoder)
    decoder = make_decoder(options.last_event_id)
    request = (options.header, options.method, options.timeout, options.reconnect, options.no_check)
    if any(request) or options.body is not None:
        parser.error("the options of a request need a URL that begins with http:// or https://")
    file: Any = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115  the stream closes it
    chunks = iter(lambda: file.read1(65536), b"")  # what is there, without waiting for more
    return EventStream(chunks, decoder=decoder, response=file)


def _open_url(
    url: str, options: argparse.Namespace, make_decoder: Callable[[str], SSEDecoder]
) -> EventStream | EventSource:
    last_event_id: str = options.last_event_id
    if last_event_id and header_value(last_event_id) is None:
        raise ValueError(
            "this --last-event-id cannot be sent: it has a control character, or a blank at an end"
        )
    fields = Headers(map(_header, options.header))
    headers = {name: value.encode() for name, value in fields.items()}
    request: dict[str, Any] = {
        "headers": headers,
        "timeout": options.timeout,
        "check": not options.no_check,
    }
    method = options.method or ("GET" if options.body is None else "POST")
    if options.body is not None:
        request["data"] = _read_body(options.body)
        if "Content-Type" not in fields:
            headers["Content-Type"] = b"application/json"
    if options.reconnect:
        return subscribe(
            None,
            method,
            url,
            make_decoder=make_decoder,
            last_event_id=last_event_id,
            on_disconnect=_tell_of_wait,
            **request,
        )
    return connect(None, method, url, decoder=make_decoder(last_event_id), **request).__enter__()


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"a header is given as 'NAME: VALUE', not {text!r}")
    return name.strip(), value.strip()


def _read_body(text: str) -> bytes:
    if text == "@-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        with open(text[1:], "rb") as file:
            return file.read()
    return text.encode()


def _write(events: Iterable[ServerSentEvent], options: argparse.Namespace) -> None:
    terminal = sys.stdout.isatty()
    encoding = sys.stdout.encoding if terminal else "utf-8"
    for event in events:
        if options.data:
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
                raise BrokenPipeError from error
            raise


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
    return "".join(map(_shown, text))


def _shown(c: str) -> str:
    # All that a terminal obeys or does not show, but LF, TAB and joiners.
    obeyed = (
        unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t\u200c\u200d"
    )
    return c.encode("unicode_escape").decode() if obeyed else c


_DEMO_EVENTS = 6
_DEMO_STREAM = (
    '\ufeffevent: start\r\nid: 1\r\nretry: 2000\r\ndata: {"model": "demo"}\r\n\r\n'
    'id: 2\ndata: {"text": "Bytes in, "}\n\n'
    ": a comment\n\n"
    'id: 3\rdata: {"text": "events out: "}\r\r'
    'id: 4\r\ndata: {"text": "na\u00efve caf\u00e9, \u65e5\u672c\u8a9e, \U0001f680 "}\r\n\r\n'
    'id: 5\ndata: {"text":\ndata:  "in two data lines."}\n\n'
    "event: end\nid: 6\ndata: no blank line follows"
).encode()


class _DemoHandler(StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline().strip():  # the request
            pass
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(
            0, len(_DEMO_STREAM), 3
        ):  # cuts between CR and LF, and within characters
            piece = _DEMO_STREAM[start : start + 3]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(0.015)
        self.wfile.write(b"0\r\n\r\n")


def _demo() -> int:
    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):
        stdout.reconfigure(errors="backslashreplace")  # for a terminal without Unicode
    print(
        f"A local server sends {len(_DEMO_STREAM)} bytes in pieces of 3. As they arrive:\n",
        flush=True,
    )
    # HTTPServer would look up the machine's name, which may take seconds.
    with TCPServer(("127.0.0.1", 0), _DemoHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        begin, count, text = time.monotonic(), 0, ""
        with connect(build_opener(ProxyHandler({})), "GET", url, timeout=10) as stream:
            for event in stream:
                count += 1
                print(f"{time.monotonic() - begin:5.2f} s  {_json_line(event)}", flush=True)
                text += event.json()["text"] if event.event == "message" else ""
    print(f"\n{count} events. The text of the reply: {text}")
    print(
        f"The last event came without its blank line; to resume, send Last-Event-ID: {stream.last_event_id}"
    )
    return 0 if count == _DEMO_EVENTS else 1


if __name__ == "__main__":
    sys.exit(main())
