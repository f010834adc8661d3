# SPDX-License-Identifier: MIT
"""Check the encoder against a browser.

`python3 -m tests.programs.browser [--chromium PATH] [--streams N] [--seed N]`

Headless Chromium's EventSource reads over HTTP what SSEEncoder wrote, streams of random valid
events in random pieces, and posts the events that it dispatched back to the server here; they must
be the same. When a stream ends, Chromium reconnects: the `Last-Event-ID` that it sends must be the
encoder's last ID, and it must wait for the encoder's `retry`.

It needs a Chromium (Debian: `apt-get install chromium`) and takes about half a minute, so it is no
part of the tests that pytest collects. The exit status is 0 if all events arrived as they were
sent.
"""

from __future__ import annotations

import argparse
import http.server
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from sse_stream.decoder import ServerSentEvent
from sse_stream.encoder import SSEEncoder

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


class Stream:
    """The events sent, and what the browser made of them."""

    def __init__(self, chance: random.Random) -> None:
        self.events: list[ServerSentEvent] = []
        self.encoded = b""
        encoder = SSEEncoder()
        for _ in range(chance.randint(1, 12)):
            data = "".join(chance.choices(PIECES, k=chance.randint(0, 5)))
            self._add(encoder, ServerSentEvent(chance.choice(TYPES), data, chance.choice(IDS)))
            if chance.random() < 0.3:
                self.encoded += encoder.comment("".join(chance.choices(PIECES, k=2)))
        self._add(encoder, ServerSentEvent(END, "", chance.choice(IDS), RETRY))
        cuts = sorted(chance.randint(0, len(self.encoded)) for _ in range(chance.randint(0, 20)))
        self.pieces = [
            self.encoded[i:j] for i, j in zip([0, *cuts], [*cuts, len(self.encoded)], strict=True)
        ]
        self.requests: list[tuple[float, str | None]] = []
        self.ended = 0.0
        self.seen: list[list[str]] | None = None

    def _add(self, encoder: SSEEncoder, event: ServerSentEvent) -> None:
        self.events.append(event)
        self.encoded += encoder.encode(event)

    def faults(self) -> list[str]:
        """Return how what the browser saw differs from what was sent."""
        faults: list[str] = []
        expected = [[event.event, event.data, event.id] for event in self.events]
        if self.seen != expected:
            faults.append(f"sent {expected!r}\n  as {self.encoded!r}\n  seen {self.seen!r}")
        # HTTP drops blanks at the ends of a header's value.
        last_event_id = self.events[-1].id.strip(" ")
        if [header for _, header in self.requests] != [
            None,
            last_event_id.encode().decode("latin-1") or None,
        ]:
            faults.append(
                f"the last ID is {last_event_id!r}, but the requests were {self.requests!r}"
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
        for piece in stream.pieces:
            self.wfile.write(piece)
            time.sleep(0.001)
        stream.ended = time.monotonic()

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
        prog="python3 -m tests.programs.browser", description="Check the encoder against Chromium."
    )
    parser.add_argument(
        "--chromium", default="chromium", help="its command or path (default: %(default)s)"
    )
    parser.add_argument(
        "--streams", type=int, default=60, help="how many streams (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chromium = shutil.which(options.chromium)
    if chromium is None:
        parser.error(
            f"there is no {options.chromium}; install Chromium, or name one with --chromium"
        )
    chance = random.Random(options.seed)
    server = Server([Stream(chance) for _ in range(options.streams)])
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
    print(f"{version}: {len(server.streams)} streams, {count} events, {len(faults)} faults")
    return 1 if faults or server.failure else 0


if __name__ == "__main__":
    sys.exit(main())
