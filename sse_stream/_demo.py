# SPDX-License-Identifier: MIT
"""A local server that sends one event stream in awkward pieces: `python -m sse_stream --demo`.

It shows what a decoder has to cope with: a byte order mark, all three line ends, cuts between CR
and LF and within characters, and an end without a blank line. It imports nothing of the package.
"""

from __future__ import annotations

import time
from socketserver import StreamRequestHandler, TCPServer

#: How many events the stream has.
EVENT_COUNT = 6

#: How many bytes come at a time.
PIECE_SIZE = 3

#: The stream.
STREAM = (
    '\ufeffevent: start\r\nid: 1\r\nretry: 2000\r\ndata: {"model": "demo"}\r\n\r\n'
    'id: 2\ndata: {"text": "Bytes in, "}\n\n'
    ": a comment\n\n"
    'id: 3\rdata: {"text": "events out: "}\r\r'
    'id: 4\r\ndata: {"text": "na\u00efve caf\u00e9, \u65e5\u672c\u8a9e, \U0001f680 "}\r\n\r\n'
    'id: 5\ndata: {"text":\ndata:  "in two data lines."}\n\n'
    "event: end\nid: 6\ndata: no blank line follows"
).encode()

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline().strip():  # the request
            pass
        self.wfile.write(_HEAD)
        for start in range(0, len(STREAM), PIECE_SIZE):
            piece = STREAM[start : start + PIECE_SIZE]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(0.015)
        self.wfile.write(b"0\r\n\r\n")


class DemoServer(TCPServer):
    """A server on this machine, at a free port, that answers each request with the stream.

    A TCPServer, since HTTPServer would look up the machine's name, which may take seconds.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The URL of the stream."""
        return f"http://127.0.0.1:{self.server_address[1]}/"
