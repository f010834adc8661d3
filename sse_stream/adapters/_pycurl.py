# SPDX-License-Identifier: MIT
"""The transfer of pycurl: libcurl tells which sockets it waits for, and a loop of our own waits.

`Transfer` is what libcurl does: it registers sockets, and collects what they bring. `Reader` and
`AsyncReader` are the loops around it: a selector, or asyncio's `add_reader`. pycurl's own
`multi.select()` would spin above 1,024 descriptors.
"""

from __future__ import annotations

import os
import selectors
import socket
from codecs import utf_8_decode
from contextlib import ExitStack
from functools import partial
from time import monotonic

from .._excerpt import excerpt
from ..handshake import (
    MAX_BODY_SECONDS,
    MAX_BODY_SIZE,
    Headers,
    ResponseError,
    compressions,
    is_event_stream,
    request_headers,
    response_error,
    shown_url,
)
from ..streams import type_name
from ._response import COMPRESSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..handshake import Check

__all__ = [
    "AsyncReader",
    "Reader",
    "Response",
    "Transfer",
    "request_options",
    "require_curl",
]

# Also those of libcurl's POLL_IN and POLL_OUT, CSELECT_IN and CSELECT_OUT.
_BITS = selectors.EVENT_READ | selectors.EVENT_WRITE

_PIECES = 64  # in a chunk, at most; libcurl writes 16 KiB at once

_NEVER = float("inf")

_START_SIZE = 64  # bytes of a body that are looked at
_CONTROLS = {*range(9), *range(14, 32)}


def _is_compressed(start: bytes) -> bool:
    """Return whether a body that begins like this is compressed.

    Brotli has no mark. But who writes a text sends no control characters, or else good UTF-8.
    """
    if start.startswith(COMPRESSED):
        return True
    try:
        utf_8_decode(start, "strict", False)  # the last character may be cut
    except UnicodeDecodeError:
        return bool({*start} & _CONTROLS)
    return False


class Response:
    """What came, as far as it has: pycurl has no such object.

    status:  of the last header block; 0 before there is one, and while a proxy answers.
    headers: of that block, a mapping that ignores case.
    url:     where redirects have led.
    """

    __slots__ = ("headers", "status", "url")

    def __init__(self) -> None:
        self.status = 0
        self.headers = Headers()
        self.url = ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} {shown_url(self.url)}>"


def require_curl(function: str, curl: object) -> None:
    """Raise TypeError for what is no pycurl.Curl.

    function: the name of the function that was called.
    curl:     what it was given.
    """
    import pycurl  # type: ignore[import-untyped]

    if not isinstance(curl, pycurl.Curl):
        made = "; make one: pycurl.Curl()" if hasattr(curl, "perform") else ""
        raise TypeError(f"{function} takes a pycurl.Curl, not {type(curl)}{made}")


def request_options(
    method: str, url: str, headers: list[tuple[str, Any]], last_event_id: str
) -> dict[int, Any]:
    """Return the options of a handle for a request.

    method:        of the request.
    url:           of the request.
    headers:       the caller's header fields.
    last_event_id: as `request_headers` takes it.

    Raises TypeError for a value that is neither str nor bytes, ValueError for one of more than one
    line: libcurl would send it, and so forge a header.
    """
    import pycurl

    lines: list[bytes] = []
    for name, value in request_headers(headers, last_event_id):
        if isinstance(value, str):
            value = value.encode()
        if not isinstance(value, bytes):
            raise TypeError(f"the value of {name} must be str or bytes, not {type_name(value)}")
        # The second is libcurl's form of an empty value.
        lines.append(name.encode() + (b": " + value if value.strip() else b";"))
    verb = method.upper().encode()
    for line in (verb, *lines):
        if {*line} & {*b"\r\n\0"}:
            raise ValueError(f"a method or header must be one line: {line[:100]!r}")
    return {pycurl.URL: url.encode(), pycurl.CUSTOMREQUEST: verb, pycurl.HTTPHEADER: lines}


class Transfer:
    """Registers sockets, and collects what they bring.

    It does not hold the reader, which is released by being dropped.

    curl:         the handle; it belongs to the transfer until `release`.
    options:      set on the handle, beside those that the transfer needs.
    check:        as `connect` takes it.
    idle_timeout: seconds without a byte until `pycurl.error` 28; None: never.
    selector:     where the sockets are registered.

    Raises ValueError for a handle in use, or an `idle_timeout` that is not more than 0.
    """

    def __init__(
        self,
        curl: Any,
        options: dict[int, Any],
        check: Check,
        idle_timeout: float | None,
        selector: Any,
    ) -> None:
        import pycurl

        self._pycurl = pycurl
        if idle_timeout is not None and not idle_timeout > 0:
            raise ValueError(
                f"idle_timeout must be more than 0 seconds, or None, not {idle_timeout}"
            )
        self.response = Response()
        self.done = False
        self._selector = selector
        self._curl = curl
        self._check = check
        self._idle_timeout = _NEVER if idle_timeout is None else idle_timeout
        self._alive_at = monotonic()
        self._timer_at = _NEVER
        self._lines: list[bytes] = []
        self._fields: list[tuple[str, str]] = []
        self._in_head = False
        self._answered = False
        self._body: list[bytes] = []
        self._body_until = _NEVER  # how long that of an error is read
        self._first_bytes = b""  # of what was taken from it
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
            raise ValueError(
                f"this handle cannot start a transfer ({error.args[-1]}): "
                "close the stream that uses it"
            ) from error
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
        self._timer_at = _NEVER if milliseconds < 0 else monotonic() + milliseconds / 1000

    def timeout(self) -> float | None:
        """Return the seconds until `run` is due, though no socket is ready; None for never."""
        at = min(self._timer_at, self._alive_at + self._idle_timeout, self._body_until)
        return None if at == _NEVER else max(0, at - monotonic())

    def run(self, ready: list[tuple[int, int]]) -> None:
        """Let libcurl do what can be done.

        ready: descriptors, and the bits of what they are ready for.
        """
        now = monotonic()
        for descriptor, bits in ready:
            self._multi.socket_action(descriptor, bits)
            self._alive_at = now
        if now >= self._timer_at:
            self._timer_at = _NEVER
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
            elif self._in_head and line.strip():  # after the head come trailers
                name, _, value = line.decode("latin-1").partition(":")
                self._fields.append((name, value.strip()))
            elif self._in_head:
                self.response.headers = Headers(self._fields)
                self._in_head = False
        self._lines.clear()
        self.response.status = self._curl.getinfo(
            self._pycurl.RESPONSE_CODE
        )  # 0 while a proxy answers
        self.response.url = self._curl.getinfo_raw(self._pycurl.EFFECTIVE_URL).decode(
            "utf-8", "replace"
        )

    def answered(self) -> bool:
        """Return whether an event stream has come; raise the error for what came instead."""
        response = self.response
        if self._has_left_http():
            where = shown_url(response.url)
            raise self._pycurl.error(1, f"a redirect led to another protocol: {where}")
        if not (self._answered or self._body) and (self._in_head or self._may_ask_again()):
            if not self.done:
                return False
            if self._error and (self._in_head or response.status < 400):
                self.take()  # raises it
        if self._answered or self._is_wanted():
            self._answered = True
            return True
        body, now = b"".join(self._body), monotonic()
        self._body_until = min(self._body_until, now + MAX_BODY_SECONDS)
        is_late = not self.done and now >= self._body_until
        if not (self.done or is_late) and len(body) < MAX_BODY_SIZE:
            return False
        raise response_error(
            response.status,
            response.headers.items(),
            response.url,
            body[:MAX_BODY_SIZE],
            redirects="pycurl follows redirects if FOLLOWLOCATION is set",
            truncated=self._error is not None or is_late or len(body) > MAX_BODY_SIZE,
        )

    def _may_ask_again(self) -> bool:
        """Return whether another head may come, and no body before it.

        As when libcurl follows a redirect, answers a challenge, or does not wait for a "100".
        """
        status = self.response.status
        return status < 200 or 300 <= status < 400 or status in (401, 407, 417)

    def _has_left_http(self) -> bool:
        """Return whether a redirect led to FTP, the one other protocol that libcurl follows to.

        What it sends would be read under the head of the redirect, as an event stream.
        """
        is_http = self.response.url.lower().startswith(("http:", "https:"))
        return not is_http and self._curl.getinfo(self._pycurl.REDIRECT_COUNT) > 0

    def _is_wanted(self) -> bool:
        response = self.response
        if self._check == "status":
            return 200 <= response.status < 300
        content_type, length = map(response.headers.get, ("Content-Type", "Content-Length"))
        return not self._check or is_event_stream(response.status, content_type, length)

    def listen(self) -> None:
        """Begin to wait for bytes: the time that the consumer took is not silence."""
        self._alive_at = monotonic()
        self._curl.errstr()  # pycurl.error if it has been closed: no socket would ever be ready

    def take(self) -> bytes:
        """Return the next bytes of the body, or b""; after them raise what broke it off."""
        if self._error and not self._body:
            error, self._error = self._error, None
            raise error
        # Not all at once: a compressed body may unfold to much.
        body = b"".join(self._body[:_PIECES])
        del self._body[:_PIECES]
        if body and len(self._first_bytes) < _START_SIZE:
            self._first_bytes += body[:_START_SIZE]
            self._refuse_compressed()
        return body

    def _refuse_compressed(self) -> None:
        """Raise ResponseError for a body that is compressed, and not undone."""
        response = self.response
        coding = response.headers.get("Content-Encoding", "")
        # libcurl does not tell whether it decodes; the body's start does.
        if compressions(coding) and _is_compressed(self._first_bytes):
            url = shown_url(response.url)
            message = f"{url} sent Content-Encoding {excerpt(coding)!r}: set ACCEPT_ENCODING"
            raise ResponseError(message, response.status, response.headers, response.url)

    def release(self) -> None:
        """Let go of the handle, in whatever state it is."""
        try:
            self._multi.remove_handle(self._curl)
            # The defaults: old pycurl cannot unset them.
            self._curl.setopt(self._pycurl.WRITEFUNCTION, partial(os.write, 1))
            self._curl.setopt(self._pycurl.HEADERFUNCTION, len)
        except self._pycurl.error:  # it has been closed
            pass
        self._multi.close()


class Reader:
    """An iterator over the body of a transfer, which another thread can interrupt.

    start: called with a selector, gives the transfer. Its head is waited for, and checked.
    """

    def __init__(self, start: Callable[[selectors.BaseSelector], Transfer]) -> None:
        self._interrupted = False
        with ExitStack() as resources:
            self._selector = resources.enter_context(selectors.DefaultSelector())
            self._waker, woken = [resources.enter_context(end) for end in socket.socketpair()]
            self._selector.register(woken, selectors.EVENT_READ)
            self.transfer = start(self._selector)
            resources.callback(self.transfer.release)
            while not self.transfer.answered():
                self._run()
            self._resources = resources.pop_all()

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> bytes:
        if not self._interrupted:
            self.transfer.listen()
        while not self._interrupted:
            if chunk := self.transfer.take():
                return chunk
            if self.transfer.done:
                break
            self._run()
        raise StopIteration

    def _run(self) -> None:
        ready = self._selector.select(self.transfer.timeout())
        if not self._interrupted:
            self.transfer.run([(key.fd, bits) for key, bits in ready])

    def interrupt(self) -> None:
        """End a read that waits, and every later one, from any thread."""
        self._interrupted = True
        try:
            self._waker.send(b"\0")
        except OSError:  # closed
            pass

    def close(self) -> None:
        """Let go of the handle. Not while it is read from: `interrupt` ends that."""
        self._interrupted = True
        self._resources.close()

    def __del__(self) -> None:
        if hasattr(self, "_resources"):
            self.close()


class AsyncReader:
    """An async iterator over the body of a transfer, on asyncio.

    start: called with a selector, gives the transfer.

    Raises RuntimeError outside asyncio, or on a loop that cannot watch sockets.
    """

    def __init__(self, start: Callable[[selectors.BaseSelector], Transfer]) -> None:
        self._loop = _running_loop()
        self._closed = False
        self._ready: list[tuple[int, int]] = []
        self._waiter: Any = None
        self._selector = selectors.SelectSelector()  # only registers
        self.transfer = start(self._selector)

    async def open(self) -> None:
        """Wait for the head of the response; raise the error for what is no event stream."""
        self.transfer.listen()
        while not self._closed and not self.transfer.answered():
            await self._run()

    def __aiter__(self) -> AsyncReader:
        return self

    async def __anext__(self) -> bytes:
        if not self._closed:
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

    def interrupt(self) -> None:
        """End a read that waits, and every later one; let go of the handle."""
        self.close()

    async def aclose(self) -> None:
        """Let go of the handle; nothing is awaited."""
        self.close()

    def close(self) -> None:
        """Let go of the handle, and end a read that waits."""
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
            "this event loop cannot watch sockets; use asyncio.SelectorEventLoop, "
            "or run iter_events in a thread"
        )
    return loop
