# SPDX-License-Identifier: MIT
"""Check the encoder and the relays against a browser.

`python3 -m tests.programs.browser [--chromium PATH] [--streams N] [--seed N]`

Headless Chromium's EventSource reads over HTTP, in random pieces, and posts the events that it
dispatched back to the server here. By turns it reads

- what SSEEncoder wrote, of random valid events: they must arrive as they were;
- random lines (see `wild_stream`) through `arewrite`: what the reference decoder makes of the
  lines must arrive, as the edit makes it;
- such lines with pauses, through `atee(keepalive=...)`: as without it;
- such lines through both.

When a stream ends, Chromium reconnects: the `Last-Event-ID` that it sends must be the last ID of
what was sent, and it must wait for the `retry`.

It needs a Chromium (Debian: `apt-get install chromium`) and takes about a minute, so it is no part
of the tests that pytest collects. The exit status is 0 if all events arrived as they should.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import itertools
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

from sse_stream.decoder import ServerSentEvent, SSEDecoder
from sse_stream.encoder import SSEEncoder
from sse_stream.relay import arewrite, atee
from tests import reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

# Also names that EventSource uses for events of its own.
TYPES = (
    "message",
    "message",
    "message",
    "note",
    "error",
    "open",
    "close",
    " note",
    "note ",
    "a:b",
    "data",
    "日本",
    "\0",
    "\ufeff",
)
PIECES = (
    "a", "b ", " ", "\n", "\n\n", ":", "data: ", "id: 5", "\t", "\0", "\v", "\f", "\x1c", "\x85",
    "\u2028", "\u2029", "\ufeff", "\ufffd", "é", "日本", "\U0001f680", "[DONE]", '{"a": 1}',
    "x" * 3000,
)  # fmt: skip
IDS = ("", "", "1", "2", " 3", "4 ", "a:b", "é日\U0001f680", "\u2028", "id: 6")
END = "\u2029the end of the stream"
RETRY = 300  # ms
KEEPALIVE = 0.01  # s
#: What the streams go through on their way, by turns.
RELAYS = ("nothing", "rewrite", "keep-alive", "rewrite and keep-alive")

PAGE = """<!doctype html><meta charset="utf-8"><script>
async function read(number, types, end) {
  const seen = [];
  await new Promise(resolve => {
    const source = new EventSource("/stream/" + number);
    const note = e => {
      if (!(e instanceof MessageEvent)) return;  // its own "open" and "error"
      seen.push([e.type, e.data, e.lastEventId]);
    };
    for (const type of types) source.addEventListener(type, note);
    let ended = 0;
    source.addEventListener(end, e => { note(e); ended += 1; });
    // the connection has ended; the second time for good, by a 204
    source.addEventListener("error", e => {
      if (!(e instanceof MessageEvent) && source.readyState === EventSource.CLOSED) resolve();
    });
  });
  await fetch("/seen/" + number, {method: "POST", body: JSON.stringify(seen)});
}
(async () => {
  const {types, end, streams} = await (await fetch("/plan")).json();
  for (let number = 0; number < streams; number += 1) await read(number, types, end);
  await fetch("/done", {method: "POST"});
})().catch(e => fetch("/failed", {method: "POST", body: String(e)}));
</script>"""


def wild_stream(chance: random.Random) -> bytes:
    """Return lines of all kinds, with line ends of all kinds, and among them the event END.

    The last line lacks its end. Only END has a valid `retry`.
    """
    end = f"event: {END}\ndata\nid: {chance.choice(IDS)}\nretry: {RETRY}\n\n"
    lines = [wild_line(chance) for _ in range(chance.randint(10, 100))]
    tail = [wild_line(chance) for _ in range(chance.randint(0, 3))]
    start = chance.choice(["", "", "\ufeff", "\ufeff\ufeff"])
    if start == "\ufeff" and lines[0][0] in "\r\n":
        start += ":"  # Chromium overlooks a line end right after a byte order mark
    text = start + "".join(lines) + "\n\n" + end + "".join(tail).rstrip("\r\n")
    return text.encode() + chance.choice([b"", b"\xf0\x9f"])


def wild_line(chance: random.Random) -> str:
    """Return a line of any kind, often a blank one, with its end."""
    piece = "".join(chance.choices(PIECES, k=chance.randint(0, 2))).replace("\n", "")
    line = chance.choice(
        (
            *("", "", "", "", "", "", f"data: {piece}", f"data: {piece}", f"data:{piece}", "data"),
            *(f"id: {chance.choice(IDS)}", f"id: {chance.choice(IDS)}"),
            *(f"event: {chance.choice(TYPES)}", f":{piece}", "id", f"id: {piece}\0", "event"),
            *(f"retry: {piece}x", f" data: {piece}", f"Data: {piece}", f"{piece}x: {piece}"),
        )
    )
    return line + chance.choice(("\n", "\n", "\r\n", "\r"))


def edit(event: ServerSentEvent) -> list[ServerSentEvent]:
    """Do with an event what a gateway may do, as its data decides."""
    other = event._replace(data=event.data[::-1] + "\nmore", event="note")
    edited: list[list[ServerSentEvent]]
    edited = [
        [],
        [other],
        [event, other],
        [event._replace(data="")],
        [event._replace(id="another")],
    ]
    kind = zlib.crc32(event.data.encode()) % (len(edited) + 2)
    return [event] if event.event == END or kind >= len(edited) else edited[kind]


class Stream:
    """What is sent, through what, and what the browser made of it."""

    def __init__(self, chance: random.Random, relay: str) -> None:
        self.relay = relay
        self.keepalives = 0
        self._at_end: Any = chance.choice(("dispatch", "discard"))
        if relay == "nothing":
            self.sent, self.events = self._encoded(chance)
            self.last_event_id = self.events[-1].id
        else:
            self.sent = wild_stream(chance)
            outcome = reference.decode(self.sent)
            self.events = [ServerSentEvent(*event) for event in outcome.events]
            self.last_event_id = outcome.last_event_id
            if "rewrite" in relay:
                self.events = [edited for event in self.events for edited in edit(event)]
                last = reference.decode(self.sent, flush=True).events[-1]
                if len(edit(ServerSentEvent(*last))) > 1:
                    self._at_end = "discard"  # of several only the last could go out unfinished
        cuts = sorted(chance.randint(0, len(self.sent)) for _ in range(chance.randint(0, 20)))
        self._pieces = [
            self.sent[i:j] for i, j in zip([0, *cuts], [*cuts, len(self.sent)], strict=True)
        ]
        self._pauses = [
            chance.choice((0.001, 2.5 * KEEPALIVE)) if "keep-alive" in relay else 0.001
            for _ in self._pieces
        ]
        self.requests: list[tuple[float, str | None]] = []
        self.ended = 0.0
        self.seen: list[list[str]] | None = None

    @staticmethod
    def _encoded(chance: random.Random) -> tuple[bytes, list[ServerSentEvent]]:
        encoder, encoded = SSEEncoder(), b""
        events: list[ServerSentEvent] = []
        for _ in range(chance.randint(1, 12)):
            data = "".join(chance.choices(PIECES, k=chance.randint(0, 5)))
            events.append(ServerSentEvent(chance.choice(TYPES), data, chance.choice(IDS)))
            encoded += encoder.encode(events[-1])
            if chance.random() < 0.3:
                encoded += encoder.comment("".join(chance.choices(PIECES, k=2)))
        events.append(ServerSentEvent(END, "", chance.choice(IDS), RETRY))
        return encoded + encoder.encode(events[-1]), events

    async def send(self, write: Callable[[bytes], object]) -> None:
        """Write all pieces, with pauses, through what is in between."""
        chunks: Any = self._slowly()
        if "rewrite" in self.relay:
            chunks = arewrite(chunks, edit, decoder=SSEDecoder(incomplete=self._at_end))
        if "keep-alive" in self.relay:
            chunks = atee(chunks, keepalive=KEEPALIVE)
        async for chunk in chunks:
            self.keepalives += chunk.startswith(b": keep-alive\n")
            write(chunk)
        self.ended = time.monotonic()

    async def _slowly(self) -> AsyncIterator[bytes]:
        for pause, piece in zip(self._pauses, self._pieces, strict=True):
            await asyncio.sleep(pause)
            yield piece

    def faults(self) -> list[str]:
        """Return how what the browser saw differs from what was sent."""
        faults: list[str] = []
        expected = [[event.event, event.data, event.id] for event in self.events]
        if self.seen != expected:
            faults.append(
                f"{self.relay}: sent {expected!r}\n  as {self.sent!r}\n  seen {self.seen!r}"
            )
        # HTTP drops blanks at the ends of a header's value.
        last_event_id = self.last_event_id.strip(" ")
        if [header for _, header in self.requests] != [
            None,
            last_event_id.encode().decode("latin-1") or None,
        ]:
            faults.append(
                f"{self.relay}: the last ID is {last_event_id!r}, but the requests were "
                f"{self.requests!r}, for {self.sent!r}"
            )
        elif self.requests[1][0] - self.ended < 0.9 * RETRY / 1000:
            faults.append(
                f"reconnected after {self.requests[1][0] - self.ended:.3f} s, not after {RETRY} ms"
            )
        return faults


class Handler(http.server.BaseHTTPRequestHandler):
    """The page, its plan, the streams, and what the browser reports."""

    def __init__(self, request: Any, client_address: Any, server: Server) -> None:
        self.streams, self.report = server.streams, server.report
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        kind, _, number = self.path[1:].partition("/")
        if kind == "":
            self._respond("text/html", PAGE.encode())
        elif kind == "plan":
            types = sorted({*TYPES})
            self._respond(
                "application/json",
                json.dumps({"types": types, "end": END, "streams": len(self.streams)}).encode(),
            )
        elif kind == "stream":
            self._stream(self.streams[int(number)])
        else:
            self._respond("text/plain", b"", 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        kind, _, number = self.path[1:].partition("/")
        if kind == "seen":
            self.streams[int(number)].seen = json.loads(body)
        else:
            self.report("" if kind == "done" else body.decode())
        self._respond("text/plain", b"")

    def _stream(self, stream: Stream) -> None:
        stream.requests.append((time.monotonic(), self.headers.get("Last-Event-ID")))
        if len(stream.requests) > 1:
            self._respond("text/event-stream", b"", 204)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        asyncio.run(stream.send(self.wfile.write))

    def _respond(self, media_type: str, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, streams: list[Stream]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.streams = streams
        self.done = threading.Event()
        self.failure = "the browser did not finish"

    def report(self, failure: str) -> None:
        self.failure = failure
        self.done.set()


def browse(chromium: str, server: Server, timeout: float) -> None:
    """Let the browser read all streams."""
    with tempfile.TemporaryDirectory() as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={profile}",
        ]
        command = [
            chromium,
            *options,
            "--remote-debugging-port=0",
            f"http://127.0.0.1:{server.server_port}/",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as browser:
            try:
                server.done.wait(timeout)
            finally:
                browser.terminate()
                browser.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.programs.browser",
        description="Check the encoder and relays against Chromium.",
    )
    parser.add_argument(
        "--chromium", default="chromium", help="its command or path (default: %(default)s)"
    )
    parser.add_argument(
        "--streams", type=int, default=120, help="how many streams (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chromium = shutil.which(options.chromium)
    if chromium is None:
        parser.error(
            f"there is no {options.chromium}; install Chromium, or name one with --chromium"
        )
    chance = random.Random(options.seed)
    turns = itertools.cycle(RELAYS)
    server = Server([Stream(chance, next(turns)) for _ in range(options.streams)])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    browse(chromium, server, 60 + 2 * options.streams)
    server.shutdown()
    faults = [fault for stream in server.streams for fault in stream.faults()]
    for fault in [*faults[:5], *filter(None, [server.failure])]:
        print(f"FAULT: {fault}")
    count = sum(len(stream.events) for stream in server.streams)
    version = subprocess.run(
        [chromium, "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()
    keepalives = sum(stream.keepalives for stream in server.streams)
    print(
        f"{version}: {len(server.streams)} streams, {count} events, {keepalives} keep-alives, "
        f"{len(faults)} faults"
    )
    return 1 if faults or server.failure else 0


if __name__ == "__main__":
    sys.exit(main())
