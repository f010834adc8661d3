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
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from . import __version__
from ._demo import EVENT_COUNT, PIECE_SIZE, STREAM, DemoServer
from .adapters.urllib import connect, subscribe
from .decoder import ServerSentEvent, SSEDecoder, SSEError, excerpt
from .handshake import Headers, header_value, shown_url
from .streams import EventStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .decoder import Chunk
    from .reconnect import EventSource

_CLOSED_PIPE = errno.EINVAL if os.name == "nt" else errno.EPIPE  # nobody reads

_START_SIZE = 1024  # how much of the input, or of its lines without effect, is kept to be shown

_EPILOG = """\
examples:
  sse-stream https://example.org/v1/chat -H 'Authorization: Bearer KEY' --body @request.json --data
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
    try:
        return _demo() if options.demo else _read(parser, options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Lest the rest of the buffer raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (SSEError, OSError, HTTPException, ValueError) as error:
        message = _message(error)
        if isinstance(error, InvalidURL):  # its text would show user info and query
            message = f"not a URL: {shown_url(str(options.source))}"
        _complain(message)
        return 1


def _read(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.source in (None, "-") and (
        sys.stdin is None or (options.source is None and sys.stdin.isatty())
    ):
        parser.error("nothing to read: name a URL or a file, pipe a stream in, or try --demo")
    if sys.stdout is None:
        raise OSError("standard output is closed")
    account = _Account()
    try:
        with _open(parser, options, account) as stream:
            _write(stream, options)
    except BrokenPipeError:
        raise
    except Exception:
        account.tell_of_ignored()
        raise
    account.tell()
    return 0


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


def _message(error: Exception) -> str:
    return str(error.reason if isinstance(error, URLError) else error) or type(error).__name__


def _complain(message: str) -> None:
    if sys.stderr is not None:
        print(f"sse-stream: {_visible(' '.join(message.split()))}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--data", action="store_true", help="write only the data, and a line feed")
    shape.add_argument("--json", action="store_true", help="write JSON at a terminal, too")
    add(
        "--incomplete",
        choices=("dispatch", "discard", "raise"),
        help="what becomes of an event that the end cuts off "
        "(default: dispatch, with --reconnect discard)",
    )
    add(
        "--max-event-size",
        type=int,
        default=64 << 20,
        metavar="BYTES",
        help="bound on one event (default: 64 MiB)",
    )
    add("--last-event-id", default="", metavar="ID", help="resume after this event")
    _add_request_options(parser)
    return parser


def _add_request_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("request (with a URL)").add_argument
    add(
        "-H",
        "--header",
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
    add("--timeout", type=_seconds, metavar="SECONDS", help="give up after so long without a byte")
    add(
        "--reconnect",
        action="store_true",
        help="connect again, and resume, when the connection breaks",
    )
    add("--no-check", action="store_true", help="accept any status and Content-Type")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {text!r}")
    return seconds


def _open(
    parser: argparse.ArgumentParser, options: argparse.Namespace, account: _Account
) -> EventStream | EventSource:
    source: str = options.source or "-"
    if source.partition("://")[0].lower() in ("http", "https"):
        return _open_url(source, options, account)
    decoder = _Decoder(account, options, options.last_event_id)
    request = (options.header, options.method, options.timeout, options.reconnect, options.no_check)
    if any(request) or options.body is not None:
        parser.error("the options of a request need a URL that begins with http:// or https://")
    # The stream closes it.
    file: Any = sys.stdin.buffer if source == "-" else open(source, "rb")  # noqa: SIM115
    chunks = iter(lambda: file.read1(65536), b"")  # what is there, without waiting for more
    return EventStream(chunks, decoder=decoder, response=file)


def _open_url(
    url: str, options: argparse.Namespace, account: _Account
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

        def make_decoder(last_event_id: str) -> SSEDecoder:
            return _Decoder(account, options, last_event_id)

        def tell_of_loss(error: Exception | None, delay: float | None) -> None:
            if delay is not None:
                account.tell_of_ignored()
                cause = _message(error) if error else "the stream ended"
                _complain(f"{cause}; connecting again in {delay:.1f} s")

        return subscribe(
            None,
            method,
            url,
            make_decoder=make_decoder,
            last_event_id=last_event_id,
            on_disconnect=tell_of_loss,
            **request,
        )
    decoder = _Decoder(account, options, last_event_id)
    return connect(None, method, url, decoder=decoder, **request).__enter__()


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
