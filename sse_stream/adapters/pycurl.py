# SPDX-License-Identifier: MIT
"""Read events with pycurl: pulled, also on asyncio, or pushed.

    with connect(pycurl.Curl(), "GET", "https://example.org/events", idle_timeout=60) as stream:
        for event in stream:
            print(event.data)

WRITEFUNCTION and HEADERFUNCTION are the stream's while it is open, FAILONERROR is turned off, all other options are yours.
TIMEOUT would cut the stream; without ACCEPT_ENCODING compressed bodies are refused; streams share connections if SHARE is a
CurlShare with LOCK_DATA_CONNECT.

The transfer runs only while an event is waited for; some 700 KB are held at most, or what they unfold to.

A broken stream raises `pycurl.error`: 18 cut short, 28 silent for `idle_timeout`, 56 reset or malformed, 61 (23 in old
libcurl) corrupt when decompressed, 92 reset over HTTP/2.

Options: `sse_stream.adapters`.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from contextlib import ExitStack
from functools import partial
from time import monotonic
from types import SimpleNamespace

from ..handshake import (
    MAX_BODY_SIZE,
    Headers,
    ResponseError,
    is_event_stream,
    prepare_decoder,
    request_headers,
    response_error,
    shown_url,
)
from ..reconnect import AsyncEventSource, EventSource, make_subscribe
from ..streams import AsyncEventStream, AsyncOpening, EventStream, Opening, _Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..decoder import ServerSentEvent, SSEDecoder
    from ..reconnect import AsyncSubscribe, Subscribe

__all__ = [
    "aconnect",
    "aiter_events",
    "asubscribe",
    "connect",
    "is_transient",
    "iter_events",
    "perform",
    "subscribe",
]

# Also those of libcurl's POLL_IN and POLL_OUT, CSELECT_IN and CSELECT_OUT.
_BITS = selectors.EVENT_READ | selectors.EVENT_WRITE

_PIECES = 64  # in a chunk, at most; libcurl writes 16 KiB at once

_GZIP_DEFLATE_ZSTD = (b"\x1f\x8b", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd")  # how they begin

_TRANSIENT = {
    5,
    6,
    7,
    16,
    18,
    23,
    28,
    35,
    52,
    55,
    56,
    61,
    92,
    95,
    96,
    97,
}  # codes of `pycurl.error`


def iter_events(
    curl: Any,
    *,
    decoder: SSEDecoder | None = None,
    check: bool = True,
    idle_timeout: float | None = None,
) -> EventStream:
    """Run a handle until the response's head has come, and iterate over the events; ValueError if it is in use.

    `stream.response` has the `status`, `headers` and `url` of the last header block. Another thread may close the stream.
    """
    return _open(prepare_decoder(decoder, ""), partial(_Transfer, curl, {}, check, idle_timeout))


def aiter_events(
    curl: Any,
    *,
    decoder: SSEDecoder | None = None,
    check: bool = True,
    idle_timeout: float | None = None,
) -> AsyncEventStream:
    """Do as `iter_events` on an asyncio loop that has `add_reader`; the first event waits for the response's head."""
    return _aopen(prepare_decoder(decoder, ""), partial(_Transfer, curl, {}, check, idle_timeout))


def connect(
    curl: Any,
    method: str,
    url: str,
    *,
    headers: Any = None,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: bool = True,
    idle_timeout: float | None = None,
) -> Opening:
    """Connect with a Curl, whose POSTFIELDS are the body; URL, CUSTOMREQUEST and HTTPHEADER are set, and stay.

    headers: a mapping or pairs, in place of what HTTPHEADER was.
    """
    decoder = prepare_decoder(decoder, last_event_id)
    options = _request_options(curl, method, url, headers, decoder.last_event_id)
    return Opening(lambda: _open(decoder, partial(_Transfer, curl, options, check, idle_timeout)))


def aconnect(
    curl: Any,
    method: str,
    url: str,
    *,
    headers: Any = None,
    decoder: SSEDecoder | None = None,
    last_event_id: str = "",
    check: bool = True,
    idle_timeout: float | None = None,
) -> AsyncOpening:
    """Do as `connect` on asyncio."""
    decoder = prepare_decoder(decoder, last_event_id)
    options = _request_options(curl, method, url, headers, decoder.last_event_id)

    async def open_stream() -> AsyncEventStream:
        return _aopen(decoder, partial(_Transfer, curl, options, check, idle_timeout))

    return AsyncOpening(open_stream)


def is_transient(error: Exception) -> bool:
    """Whether it is a broken connection."""
    if type(error).__module__ == "pycurl":
        return bool(error.args) and error.args[0] in _TRANSIENT
    return isinstance(error, OSError)


subscribe: Subscribe[Any, str] = make_subscribe(EventSource, connect, is_transient)
asubscribe: AsyncSubscribe[Any, str] = make_subscribe(AsyncEventSource, aconnect, is_transient)


def perform(
    curl: Any,
    on_event: Callable[[ServerSentEvent], object],
    *,
    decoder: SSEDecoder | None = None,
    check: bool = True,
    idle_timeout: float | None = None,
) -> SSEDecoder:
    """As `iter_events`, but call `on_event` with each event and return the closed decoder.

    What `on_event` raises stops the transfer and passes through.
    """
    if not callable(on_event):
        raise TypeError(f"on_event must be callable with an event, not {type(on_event).__name__}")
    with iter_events(curl, decoder=decoder, check=check, idle_timeout=idle_timeout) as stream:
        for event in stream:
            on_event(event)
    return stream.decoder


def _open(decoder: SSEDecoder, start: Callable[..., _Transfer]) -> EventStream:
    reader = _Reader(start)
    return EventStream(reader, decoder=decoder, response=reader.transfer.response)


def _aopen(decoder: SSEDecoder, start: Callable[..., _Transfer]) -> AsyncEventStream:
    reader = _AsyncReader(start)
    stream = AsyncEventStream(reader, decoder=decoder, response=reader.transfer.response)
    stream._check = reader.open
    return stream


def _request_options(curl: Any, method: str, url: str, headers: Any, last_event_id: str) -> Any:
    pycurl = _module_of(curl)
    if headers is not None and not hasattr(headers, "items"):
        headers = [*headers]
        if any(isinstance(field, (str, bytes)) for field in headers):
            raise TypeError(
                "headers must be a mapping or pairs, not lines as HTTPHEADER takes them"
            )
    lines: list[bytes] = []
    for name, value in request_headers(headers, last_event_id):
        if isinstance(value, str):
            value = value.encode()
        if not isinstance(value, bytes):
            raise TypeError(f"the value of {name} must be str or bytes, not {type(value).__name__}")
        lines.append(
            name.encode() + (b": " + value if value.strip() else b";")
        )  # libcurl's empty value
    verb = method.upper().encode()
    for line in (verb, *lines):
        if {*line} & {*b"\r\n\0"}:  # libcurl would send it, and so forge a header
            raise ValueError(f"a method or header must be one line: {line[:100]!r}")
    return {pycurl.URL: url.encode(), pycurl.CUSTOMREQUEST: verb, pycurl.HTTPHEADER: lines}


def _module_of(curl: Any) -> Any:
    import pycurl  # type: ignore[import-untyped]

    if not isinstance(curl, pycurl.Curl):
        raise TypeError(
            f"iter_events takes a pycurl.Curl, as does all of this adapter, not {type(curl)}"
        )
    return pycurl


class _Transfer:
    """Registers sockets and collects what they bring; does not hold the reader, which is released by being dropped."""

    def __init__(
        self,
        curl: Any,
        options: dict[int, Any],
        check: bool,
        idle_timeout: float | None,
        selector: Any,
    ) -> None:
        self._pycurl = pycurl = _module_of(curl)
        if idle_timeout is not None and not idle_timeout > 0:
            raise ValueError(
                f"idle_timeout must be more than 0 seconds, or None, not {idle_timeout}"
            )
        self.response = SimpleNamespace(status=0, headers=Headers(), url="")
        self.done = False
        self._selector = selector
        self._curl = curl
        self._check = check
        self._idle_timeout = float("inf") if idle_timeout is None else idle_timeout
        self._alive_at = monotonic()
        self._timer_at = float("inf")
        self._lines: list[bytes] = []
        self._fields: list[tuple[str, str]] = []
        self._in_head = False
        self._answered = False
        self._body: list[bytes] = []
        self._begun = False  # it has been taken from
        self._error: Exception | None = None  # raised after `_body`
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._start({**options, pycurl.FAILONERROR: False})

    def _start(self, options: dict[int, Any]) -> None:
        pycurl, curl = self._pycurl, self._curl
        try:
            self._multi.add_handle(curl)  # before any option: another stream may use the handle
        except pycurl.error as error:
            self._multi.close()
            message = f"this handle cannot start a transfer ({error.args[-1]}): close the stream that uses it"
            raise ValueError(message) from error
        try:
            for option, value in options.items():
                curl.setopt(option, value)
            curl.setopt(
                pycurl.WRITEFUNCTION, self._body.append
            )  # what Python code raises here is printed and lost
            curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
            self.run([])
        except BaseException:
            self.release()
            raise

    def _on_socket(self, what: int, descriptor: int, *_: object) -> None:
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)
        if what & _BITS:
            self._selector.register(descriptor, what & _BITS)

    def _on_timer(self, milliseconds: int) -> None:
        self._timer_at = float("inf") if milliseconds < 0 else monotonic() + milliseconds / 1000

    def timeout(self) -> float | None:
        at = min(self._timer_at, self._alive_at + self._idle_timeout)
        return None if at == float("inf") else max(0, at - monotonic())

    def run(self, ready: list[tuple[int, int]]) -> None:
        now = monotonic()
        for descriptor, bits in ready:
            self._multi.socket_action(descriptor, bits)
            self._alive_at = now
        if now >= self._timer_at:
            self._timer_at = float("inf")
            self._multi.socket_action(self._pycurl.SOCKET_TIMEOUT, 0)
        if self._lines:
            self._read_head()
        _, succeeded, failed = self._multi.info_read()
        if failed:
            self._error = self._pycurl.error(*failed[0][1:])
        elif not succeeded and now >= self._alive_at + self._idle_timeout:
            self._error = self._pycurl.error(
                28, f"no byte came for idle_timeout={self._idle_timeout} seconds"
            )
        self.done = bool(succeeded or self._error)

    def _read_head(self) -> None:
        for line in self._lines:
            if line.startswith(b"HTTP/"):
                self._fields, self._in_head = [], True
            elif not line.strip():
                self._in_head = False
            elif self._in_head:  # else a trailer
                name, _, value = line.decode("latin-1").partition(":")
                self._fields.append((name, value.strip()))
        self._lines.clear()
        self.response.status = self._curl.getinfo(
            self._pycurl.RESPONSE_CODE
        )  # 0 while a proxy answers
        self.response.url = self._curl.getinfo_raw(self._pycurl.EFFECTIVE_URL).decode(
            "utf-8", "replace"
        )
        self.response.headers = Headers(self._fields)

    def answered(self) -> bool:
        """Return whether an event stream has come; raise the error for what came instead."""
        response = self.response
        # libcurl may follow a redirect or answer a challenge: then another head comes, and no body before it.
        if (
            not self._answered
            and not self._body
            and (self._in_head or not 200 <= response.status < 300)
        ):
            if not self.done:
                return False
            if self._error and (self._in_head or response.status < 400):
                self.take()  # raises it
        if (
            self._answered
            or not self._check
            or is_event_stream(response.status, response.headers.get("Content-Type"))
        ):
            self._answered = True
            return True
        body = b"".join(self._body)[:MAX_BODY_SIZE]
        if not self.done and len(body) < MAX_BODY_SIZE:
            return False
        redirects = "pycurl follows redirects if FOLLOWLOCATION is set"
        raise response_error(
            response.status, response.headers.items(), response.url, body, redirects=redirects
        )

    def listen(self) -> None:
        self._alive_at = monotonic()  # not the consumer's time
        self._curl.errstr()  # pycurl.error if it has been closed: no socket would ever be ready

    def take(self) -> bytes:
        """Return the next bytes of the body, or b""; after them raise what broke it off."""
        if self._error and not self._body:
            error, self._error = self._error, None
            raise error
        # Not all at once: a compressed body may unfold to much.
        body = b"".join(self._body[:_PIECES])
        del self._body[:_PIECES]
        if body and not self._begun:
            self._begun = True
            response = self.response
            coding = response.headers.get("Content-Encoding")
            # libcurl does not tell whether it decodes; the body's start does.
            if coding and body.startswith(_GZIP_DEFLATE_ZSTD):
                message = f"{shown_url(response.url)} sent Content-Encoding {coding!r}: set ACCEPT_ENCODING"
                raise ResponseError(message, response.status, response.headers, response.url)
        return body

    def release(self) -> None:
        try:
            self._multi.remove_handle(self._curl)
            # The defaults: old pycurl cannot unset them.
            self._curl.setopt(self._pycurl.WRITEFUNCTION, partial(os.write, 1))
            self._curl.setopt(self._pycurl.HEADERFUNCTION, len)
        except self._pycurl.error:  # it has been closed
            pass
        self._multi.close()


class _Reader(_Closing):
    def __init__(self, start: Callable[[selectors.BaseSelector], _Transfer]) -> None:
        self._lock = threading.RLock()
        self._closing = self._reading = False
        with ExitStack() as resources:
            self._selector = resources.enter_context(selectors.DefaultSelector())
            self._waker, woken = [resources.enter_context(end) for end in socket.socketpair()]
            self._selector.register(woken, selectors.EVENT_READ)
            self.transfer = start(self._selector)
            resources.callback(self.transfer.release)
            while not self.transfer.answered():
                self._run()
            self._resources = resources.pop_all()

    def __next__(self) -> bytes:
        with self._lock:
            self._reading = True
            try:
                chunk = b"" if self._closing else self._read()
            finally:
                self._reading = False
                if self._closing:
                    self._resources.close()
        if not chunk:
            raise StopIteration
        return chunk

    def _read(self) -> bytes:
        self.transfer.listen()
        while not (chunk := self.transfer.take()) and not self.transfer.done and not self._closing:
            self._run()
        return chunk

    def _run(self) -> None:
        ready = self._selector.select(self.transfer.timeout())
        if not self._closing:
            self.transfer.run([(key.fd, bits) for key, bits in ready])

    def close(self) -> None:
        """Wake a reading thread, and wait until it has left the transfer."""
        self._closing = True
        try:
            self._waker.send(b"\0")
        except OSError:  # closed
            pass
        with self._lock:
            if not self._reading:  # else in a callback of the transfer: `__next__` does it
                self._resources.close()

    def __del__(self) -> None:
        if hasattr(self, "_resources"):
            self.close()


class _AsyncReader:
    def __init__(self, start: Callable[[selectors.BaseSelector], _Transfer]) -> None:
        self._loop = _running_loop()
        self._closed = False
        self._ready: list[tuple[int, int]] = []
        self._waiter: Any = None
        self._selector = selectors.SelectSelector()  # only registers
        self.transfer = start(self._selector)

    async def open(self) -> None:
        self.transfer.listen()
        while not self._closed and not self.transfer.answered():
            await self._run()

    def __aiter__(self) -> _AsyncReader:
        return self

    async def __anext__(self) -> bytes:
        self.transfer.listen()
        while not self._closed:
            if chunk := self.transfer.take():
                return chunk
            if self.transfer.done:
                break
            await self._run()
        raise StopAsyncIteration

    async def _run(self) -> None:
        self._loop = loop = _running_loop()
        self._waiter = loop.create_future()
        self._ready.clear()
        timeout = self.transfer.timeout()
        timer = None if timeout is None else loop.call_later(timeout, self._wake)
        try:
            for key in self._selector.get_map().values():
                if key.events & selectors.EVENT_READ:
                    loop.add_reader(key.fd, self._on_ready, key.fd, selectors.EVENT_READ)
                if key.events & selectors.EVENT_WRITE:
                    loop.add_writer(key.fd, self._on_ready, key.fd, selectors.EVENT_WRITE)
            await self._waiter
        finally:
            if timer is not None:
                timer.cancel()
            self._end_wait()
        if not self._closed:
            self.transfer.run(self._ready)

    def _on_ready(self, descriptor: int, bits: int) -> None:
        self._ready.append((descriptor, bits))
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end_wait(self) -> None:
        if not self._loop.is_closed():  # it is if the waiting coroutine is collected late
            for descriptor in self._selector.get_map():
                self._loop.remove_reader(descriptor)
                self._loop.remove_writer(descriptor)
            self._wake()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._end_wait()  # before libcurl closes the sockets: their numbers may be reused
            self.transfer.release()

    def __del__(self) -> None:
        if hasattr(self, "transfer"):
            self.close()


def _running_loop() -> Any:
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError as error:
        raise RuntimeError("aiter_events and aconnect need a running asyncio event loop") from error
    if getattr(type(loop), "add_reader", None) is asyncio.AbstractEventLoop.add_reader:
        raise RuntimeError(
            "this event loop cannot watch sockets; use asyncio.SelectorEventLoop, or run iter_events in a thread"
        )
    return loop
