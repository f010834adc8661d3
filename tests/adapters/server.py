# SPDX-License-Identifier: MIT
"""A scripted HTTP/1 server on a socket: a plain function of a `Connection` answers a request.

    url = server.url(stream([b"data: one\n\n", b"data: two\n\n"], FRAMINGS["gzip"], lock_step=True))
    for event in ...:
        server.acknowledge()            # the second event is sent only now

FRAMINGS holds the ways to put events on the wire, FAULTS the ways to break a stream off. In lock
step event n+1 is sent only after the test has acknowledged event n; a client that holds an event
back makes the server give up after GUARD seconds, reset the connection, and fail the test.
"""

from __future__ import annotations

import importlib
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events

#: Seconds after which something that should have happened at once counts as failed.
GUARD = 6.0

#: For clients that meet no TLS: the default context takes each of them 20 ms to make.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

EVENT_STREAM = ("Content-Type", "text/event-stream")

brotli: Any = importlib.import_module("brotli")  # it has no type stubs

Handler = Callable[["Connection"], None]


class Gone(Exception):
    """The peer has left, or the test is over: the handler ends."""


class Request(NamedTuple):
    """A request as it came.

    connection: the number of the connection that carried it, from 0; a reused one keeps its number.
    """

    method: str
    target: str
    version: str
    fields: list[tuple[str, bytes]]
    body: bytes
    connection: int

    def header(self, name: str) -> bytes | None:
        """Return the bytes of a header field, None if it is missing; twice is an AssertionError."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None


class Connection:
    """One accepted connection, as the handlers of its requests see it.

    number:   from 0, in the order of acceptance.
    request:  the request at hand.
    released: set as soon as the peer is seen to have closed or reset the connection.
    keep:     whether another request may follow this one; a handler sets it to False where the
              framing forbids it.
    """

    def __init__(self, server: Server, sock: socket.socket, number: int) -> None:
        self.number = number
        self.released = threading.Event()
        self.keep = True
        self.request: Request
        self._server = server
        self._socket = sock
        self._received = b""

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self._leave()

    def wait(self) -> None:
        """Wait until the test acknowledges; its guard resets the connection and fails the test."""
        deadline = time.monotonic() + GUARD
        while not self._server._acknowledged.acquire(timeout=0.005):
            if self.peer_has_left():
                self._leave()
            if self._server.stopping.is_set():
                raise Gone
            if time.monotonic() > deadline:
                self.reset()
                raise AssertionError(
                    f"{self.request.target}: an event was not acknowledged: "
                    "the client holds it back"
                )

    def stall(self) -> None:
        """Send nothing until the peer leaves or the test ends."""
        while not self._server.stopping.is_set():
            if self.peer_has_left():
                self._leave()
            self._server.stopping.wait(0.005)
        raise Gone

    def peer_has_left(self) -> bool:
        timeout = self._socket.gettimeout()
        try:
            self._socket.settimeout(0)
            # Beneath TLS: what a client sends after its request can only be the alert that
            # it closes.
            waiting = socket.socket.recv(self._socket, 1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        finally:
            if self._socket.fileno() >= 0:
                self._socket.settimeout(timeout)
        return not waiting or isinstance(self._socket, ssl.SSLSocket)

    def close(self) -> None:
        """End the connection in good order."""
        self.keep = False
        try:
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.settimeout(0)
                self._socket.unwrap()  # sends the alert, then would wait for the peer's
        except OSError:
            pass
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self._socket.close()

    def reset(self) -> None:
        """Cut the connection with RST."""
        self.keep = False
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def wake(self) -> None:
        """End a call that reads or sends in another thread."""
        try:
            # Not that of TLS, which that thread may be using.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            pass

    def _leave(self) -> None:
        self.released.set()
        raise Gone

    # The server's side.

    def _run(self) -> None:
        try:
            self._socket.settimeout(None)
            if self._server.ssl_context is not None:
                self._socket = self._server.ssl_context.wrap_socket(self._socket, server_side=True)
            while self.keep and (request := self._read_request()):
                self.request = request
                self._server.requests.append(request)
                self._server._handler(request)(self)
        except (Gone, OSError):
            pass
        except BaseException as error:
            self._server.errors.append(error)
        finally:
            self._socket.close()

    def _read_request(self) -> Request | None:
        head = self._read_until(b"\r\n\r\n")
        if head is None:
            self.released.set()
            return None
        first, *lines = head[:-4].split(b"\r\n")
        method, target, version = first.decode().split(" ")
        fields = [
            (name.decode("latin-1"), value.strip(b" \t"))
            for name, _, value in (s.partition(b":") for s in lines)
        ]
        known = {name.lower(): value for name, value in fields}
        if known.get("expect", b"").lower() == b"100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._read_exactly(int(known.get("content-length", 0)))
        if known.get("transfer-encoding") == b"chunked":
            while size := int(self._read_until(b"\r\n") or b"0", 16):
                body += self._read_exactly(size + 2)[:-2]
            self._read_until(b"\r\n")
        return Request(method, target, version, fields, body, self.number)

    def _read_until(self, end: bytes) -> bytes | None:
        while end not in self._received:
            if not self._receive():
                return None
        part, self._received = self._received.split(end, 1)
        return part + end

    def _read_exactly(self, size: int) -> bytes:
        while len(self._received) < size and self._receive():
            pass
        part, self._received = self._received[:size], self._received[size:]
        return part

    def _receive(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        self._received += data
        return bool(data)


class Server:
    """The server: a thread that accepts, and a thread for each connection. A context manager.

    requests:    every request, in the order of arrival.
    connections: every connection accepted.
    errors:      what handlers raised; leaving raises the first of them.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.ssl_context = ssl_context
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self.errors: list[BaseException] = []
        self.stopping = threading.Event()
        self._acknowledged = threading.Semaphore(0)
        self._handlers: dict[str, Handler] = {}
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    @property
    def origin(self) -> str:
        """Scheme, host and port. Under TLS the host is a name, since certificates are for names."""
        return (
            f"http://127.0.0.1:{self.port}"
            if self.ssl_context is None
            else f"https://localhost:{self.port}"
        )

    def url(self, handler: Handler, path: str = "") -> str:
        """Return a URL whose requests `handler` answers. A query does not count."""
        path = path or f"/{len(self._handlers)}"
        self._handlers[path] = handler
        return self.origin + path

    def acknowledge(self, count: int = 1) -> None:
        """Let one handler that waits, or will wait, go on; it never blocks."""
        self._acknowledged.release(count)

    def __enter__(self) -> Server:
        self._acceptor.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stopping.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept, where the system does so
        except OSError:
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join(GUARD)
        self._listener.close()
        for connection in self.connections:
            connection.wake()
        for thread in self._threads:
            thread.join(GUARD)
            assert not thread.is_alive(), "a handler did not end"
        if self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock, len(self.connections))
            self.connections.append(connection)
            thread = threading.Thread(target=connection._run, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _handler(self, request: Request) -> Handler:
        path = request.target.removeprefix(self.origin).partition("?")[0]
        return self._handlers.get(path, respond(404, b"no such path"))


# What handlers send.


class Framing(NamedTuple):
    """A way to put parts of a body on the wire.

    transfer: "chunked" (a chunk for each part), "one chunk" (all parts in one), "length" or
              "close".
    coding:   "gzip", "deflate" (zlib) or "br", flushed after each part; "" for none.
    bytewise: each byte is sent on its own, and is a chunk of its own if `transfer` is "chunked".
    """

    transfer: str = "chunked"
    coding: str = ""
    version: str = "HTTP/1.1"
    bytewise: bool = False

    def encode(self, parts: Iterable[bytes]) -> list[bytes]:
        """Return each part in the content coding, and its end."""
        if not self.coding:
            return [*parts, b""]
        if self.coding == "br":
            compressor = brotli.Compressor()
            return [compressor.process(part) + compressor.flush() for part in parts] + [
                compressor.finish()
            ]
        zipper = zlib.compressobj(wbits=31 if self.coding == "gzip" else 15)
        return [zipper.compress(part) + zipper.flush(zlib.Z_SYNC_FLUSH) for part in parts] + [
            zipper.flush()
        ]

    def head(
        self, size: int, status: str = "200 OK", headers: Iterable[tuple[str, str]] = ()
    ) -> bytes:
        """Return a response's head; its body has `size` bytes on the wire, chunk headers apart."""
        lines = [f"{self.version} {status}", *(f"{name}: {value}" for name, value in headers)]
        if self.coding:
            lines.append(f"Content-Encoding: {self.coding}")
        if self.transfer == "length":
            lines.append(f"Content-Length: {size}")
        elif self.transfer == "close":
            lines.append("Connection: close")
        else:
            lines.append("Transfer-Encoding: chunked")
        end = f"{size:x}\r\n" if self.transfer == "one chunk" else ""
        return ("\r\n".join(lines) + "\r\n\r\n" + end).encode()

    def send(self, connection: Connection, encoded: bytes) -> None:
        pieces = (
            [encoded[i : i + 1] for i in range(len(encoded))]
            if self.bytewise
            else [encoded] * bool(encoded)
        )
        for piece in pieces:
            connection.send(
                b"%x\r\n%b\r\n" % (len(piece), piece) if self.transfer == "chunked" else piece
            )

    def end(self, connection: Connection) -> None:
        if self.transfer == "close":
            connection.close()
        elif self.transfer != "length":
            connection.send(b"0\r\n\r\n" if self.transfer == "chunked" else b"\r\n0\r\n\r\n")


#: The ways in which events reach a client.
FRAMINGS: Mapping[str, Framing] = {
    "chunked": Framing("chunked"),
    "close-delimited": Framing("close"),
    "HTTP/1.0": Framing("close", version="HTTP/1.0"),
    "Content-Length": Framing("length"),
    "one huge chunk": Framing("one chunk"),
    "bytewise": Framing("close", bytewise=True),
    "bytewise chunks": Framing("chunked", bytewise=True),
    "gzip": Framing("chunked", "gzip"),
    "gzip, close-delimited": Framing("close", "gzip"),
    "gzip, Content-Length": Framing("length", "gzip"),
    "gzip, one huge chunk": Framing("one chunk", "gzip"),
    "gzip, bytewise": Framing("close", "gzip", bytewise=True),
    "deflate": Framing("chunked", "deflate"),
    "br": Framing("chunked", "br"),
}

#: Those of them that need no decompressing.
PLAIN_FRAMINGS = {name: framing for name, framing in FRAMINGS.items() if not framing.coding}


def stream(
    parts: Iterable[bytes],
    framing: Framing = FRAMINGS["chunked"],
    *,
    lock_step: bool = False,
    headers: Iterable[tuple[str, str]] = (EVENT_STREAM,),
) -> Handler:
    """Return a handler that sends the parts.

    lock_step: each part, and the end, is sent only after an acknowledgement.
    """
    parts, headers = list(parts), list(headers)

    def handler(connection: Connection) -> None:
        encoded = framing.encode(parts)
        connection.send(framing.head(sum(map(len, encoded)), headers=headers))
        for i, part in enumerate(encoded[:-1]):
            if i and lock_step:
                connection.wait()
            framing.send(connection, part)
        if lock_step:
            connection.wait()
        framing.send(connection, encoded[-1])
        framing.end(connection)

    return handler


def respond(
    status: int,
    body: bytes = b"",
    headers: Iterable[tuple[str, str]] = (("Content-Type", "text/plain"),),
) -> Handler:
    """Return a handler that sends a whole response with a Content-Length (none for a 204)."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)

    def handler(connection: Connection) -> None:
        length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
        connection.send(f"HTTP/1.1 {status} Reason\r\n{lines}{length}\r\n".encode() + body)

    return handler


def endless(
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (EVENT_STREAM,),
    piece: bytes = b"data: x\n\n",
) -> Handler:
    """Return a handler that sends `piece` as a chunk, over and over, until the peer leaves."""
    head = FRAMINGS["chunked"].head(0, f"{status} Reason", headers)

    def handler(connection: Connection) -> None:
        connection.send(head)
        while not connection._server.stopping.is_set():
            FRAMINGS["chunked"].send(connection, piece)

    return handler


def broken_off(
    status: int, body: bytes, headers: Iterable[tuple[str, str]] = (("Content-Type", "text/plain"),)
) -> Handler:
    """Return a handler that sends `body` and closes, having announced one byte more."""
    headers = list(headers)

    def handler(connection: Connection) -> None:
        connection.send(
            FRAMINGS["Content-Length"].head(len(body) + 1, f"{status} Reason", headers) + body
        )
        connection.close()

    return handler


# Faults.

#: What a faulty stream sends: two events and the beginning of a third.
COMPLETE = [b"id: 1\ndata: one\n\n", b"id: 2\ndata: two\n\n"]
UNFINISHED = b"id: 3\ndata: thr"


class Fault(NamedTuple):
    """A way to break a stream off.

    strike:  what happens after the beginning of the third event.
    framing: how the events are sent.
    """

    strike: Handler
    framing: Framing = FRAMINGS["chunked"]

    def handler(self, *, lock_step: bool = True) -> Handler:
        """Return the handler.

        lock_step: it strikes only when the test has acknowledged once, which it does as it gets
                   the second event.
        """

        def handler(connection: Connection) -> None:
            encoded = self.framing.encode([b"".join(COMPLETE), UNFINISHED])
            connection.send(self.framing.head(10_000, headers=[EVENT_STREAM]))
            self.framing.send(connection, encoded[0] + encoded[1])
            if lock_step:
                connection.wait()
            self.strike(connection)

        return handler


def _bad_chunk_size(connection: Connection) -> None:
    connection.send(b"no number\r\ndata: three\n\n\r\n")
    connection.stall()


def _corrupt(connection: Connection) -> None:
    FRAMINGS["chunked"].send(connection, b"\xff" * 64)
    connection.stall()


#: Those that a client can know. Each strikes after two events and the beginning of a third.
FAULTS: Mapping[str, Fault] = {
    "reset": Fault(Connection.reset),
    "reset inside a chunk": Fault(Connection.reset, FRAMINGS["one huge chunk"]),
    "reset, Content-Length": Fault(Connection.reset, FRAMINGS["Content-Length"]),
    "reset, close-delimited": Fault(Connection.reset, FRAMINGS["close-delimited"]),
    "closed between chunks": Fault(Connection.close),
    "closed inside a chunk": Fault(Connection.close, FRAMINGS["one huge chunk"]),
    "short Content-Length": Fault(Connection.close, FRAMINGS["Content-Length"]),
    "bad chunk size": Fault(_bad_chunk_size),
    "corrupt gzip": Fault(_corrupt, FRAMINGS["gzip"]),
    "stall": Fault(Connection.stall),
}

#: Those that no client can know.
SILENT_FAULTS: Mapping[str, Fault] = {
    "closed, close-delimited": Fault(Connection.close, FRAMINGS["close-delimited"]),
    "closed, gzip": Fault(Connection.close, FRAMINGS["gzip, close-delimited"]),
}


def close_before_headers(connection: Connection) -> None:
    connection.close()


def reset_before_headers(connection: Connection) -> None:
    connection.reset()


#: Faults in place of a response.
EARLY_FAULTS: Mapping[str, Handler] = {
    "closed before headers": close_before_headers,
    "reset before headers": reset_before_headers,
}


@contextmanager
def http_2_server(length: int | None = None) -> Generator[tuple[str, threading.Event]]:
    """A server that resets its only stream inside the third event when told to: HTTP/2, no TLS.

    length: the Content-Length of the stream, which it then ends there in place of resetting it.
    """
    acknowledged = threading.Event()

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            connection.initiate_connection()
            sock.sendall(connection.data_to_send())
            while not any(
                isinstance(event, h2.events.RequestReceived)
                for event in connection.receive_data(sock.recv(65536))
            ):
                pass
            headers = [(":status", "200"), ("content-type", "text/event-stream")]
            if length is not None:
                headers.append(("content-length", str(length)))
            connection.send_headers(1, headers)
            connection.send_data(1, b"".join(COMPLETE) + UNFINISHED)
            sock.sendall(connection.data_to_send())
            assert acknowledged.wait(GUARD)
            if length is None:
                connection.reset_stream(1, h2.errors.ErrorCodes.INTERNAL_ERROR)
                sock.sendall(connection.data_to_send())
            else:
                sock.sendall(b"\0\0\0\0\1\0\0\0\1")  # DATA, empty, END_STREAM
            with suppress(ConnectionResetError):  # a client that left unread what came
                while sock.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", acknowledged
        finally:
            thread.join(GUARD)
            assert not thread.is_alive()


# What tests ask of the machine.


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


def becomes_true(condition: Callable[[], bool]) -> bool:
    """Wait until it is true, for GUARD seconds at most."""
    deadline = time.monotonic() + GUARD
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
