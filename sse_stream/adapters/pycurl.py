# SPDX-License-Identifier: MIT
"""Read events with pycurl: pull them, on asyncio too, or have them pushed.

    with connect(pycurl.Curl(), "GET", "https://example.org/events", idle_timeout=60) as stream:
        for event in stream:
            print(event.data)

All functions take a `pycurl.Curl` and run it on a CurlMulti of their own. WRITEFUNCTION and HEADERFUNCTION are theirs until
the stream is closed, and are then as if they had never been set; FAILONERROR is turned off; every other option is the
caller's. TIMEOUT would cut the stream: leave it unset. Silence has no limit unless `idle_timeout` sets one. Compressed
bodies are decoded if ACCEPT_ENCODING is set, and otherwise refused with ResponseError where their first bytes tell. Streams
share connections if SHARE is a CurlShare with LOCK_DATA_CONNECT.

The transfer goes on while an event is waited for, by one round of its sockets at a time: at most some 700 KB, or what those
unfold to if they are compressed. So a slow consumer holds the server back.

Known to this client, and raised as its own `pycurl.error` after all completed events: 18 a body shorter than announced or
broken off inside a chunk, 28 silence longer than `idle_timeout`, 56 a reset or a malformed chunk, 61 (23 in old libcurl) a
corrupt compressed body, 92 the reset of an HTTP/2 stream. Known to no client: the cut of a body that ends with the
connection, or of a compressed one.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from contextlib import ExitStack
from functools import partial
from time import monotonic

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
from ..reconnect import AsyncEventSource, EventSource, make_source
from ..streams import AsyncEventStream, AsyncOpening, EventStream, Opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, TimerHandle
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

    from ..decoder import ServerSentEvent, SSEDecoder
    from ..reconnect import ReconnectionPolicy

__all__ = ["aconnect", "aiter_events", "asubscribe", "connect", "is_transient", "iter_events", "perform", "subscribe"]

# The codes of `pycurl.error` that are a broken connection; see `is_transient`. 23 is what old libcurl says for 61.
_TRANSIENT = frozenset({5, 6, 7, 16, 18, 23, 28, 35, 52, 55, 56, 61, 92, 95, 96, 97})

# How a body in gzip, deflate and zstd begins; none of these is UTF-8.
_CODED = (b"\x1f\x8b", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd")

# How many pieces of the body make a chunk at most: libcurl writes 16 KiB at once.
_PIECES = 64

_REDIRECTS = "pycurl follows redirects if FOLLOWLOCATION is set"


def iter_events(
    curl: Any, *, decoder: SSEDecoder | None = None, check: bool = True, idle_timeout: float | None = None
) -> EventStream:
    """Run a handle whose options are set, and iterate over the events; return when the response's head has come.

    decoder: an SSEDecoder with options of one's own.
    check:   raise StatusError or ContentTypeError at once unless the response is an event stream.
    idle_timeout: seconds without a byte after which `pycurl.error` 28 is raised; None: never. Only waiting counts.

    `stream.response` has the `status`, `headers` and `url` of the last header block. Another thread may close the stream.
    Raises TypeError for what is no `pycurl.Curl`, ValueError for a handle that is in use, `pycurl.error` if there is no
    response. The handle can be used again once the stream is closed.
    """
    return _open(curl, {}, prepare_decoder(decoder, ""), check, idle_timeout)


def aiter_events(
    curl: Any, *, decoder: SSEDecoder | None = None, check: bool = True, idle_timeout: float | None = None
) -> AsyncEventStream:
    """Do as `iter_events` on asyncio: start the transfer at the call; it goes on while the stream is waited for.

    The first event waits for the response's head and raises what `iter_events` raises at once; until then
    `stream.response.status` is 0. RuntimeError outside a running asyncio loop (on trio, run `iter_events` in a thread).
    The loop must have `add_reader`, which the Proactor loop of Windows has not.
    """
    decoder = prepare_decoder(decoder, "")
    reader = _AsyncReader(curl, {}, check, idle_timeout)
    return AsyncEventStream(reader, decoder=decoder, response=reader.transfer.response)


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
    """Open a stream: a context manager that starts the transfer on entering and releases the handle on leaving.

    curl:    a `pycurl.Curl`; of its options URL, CUSTOMREQUEST and HTTPHEADER are set, and stay; the body is POSTFIELDS.
    method, url: of the request.
    headers: a mapping or pairs, in place of what HTTPHEADER was.
    decoder, last_event_id: options of one's own, or the ID to resume from; both is a ValueError.
    check, idle_timeout: as in `iter_events`.
    """
    decoder = prepare_decoder(decoder, last_event_id)
    options = _request_options(curl, method, url, headers, decoder.last_event_id)
    return Opening(lambda: _open(curl, options, decoder, check, idle_timeout))


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
        reader = _AsyncReader(curl, options, check, idle_timeout)
        try:
            await reader.open()
            return AsyncEventStream(reader, decoder=decoder, response=reader.transfer.response)
        except BaseException:
            reader.close()
            raise

    return AsyncOpening(open_stream)


def subscribe(
    curl: Any,
    method: str,
    url: str,
    *,
    make_decoder: Callable[..., SSEDecoder] | None = None,
    policy: ReconnectionPolicy | None = None,
    last_event_id: str = "",
    check: bool = True,
    on_connect: Callable[[EventStream], object] | None = None,
    on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
    sleep: Callable[[float], object] | None = None,
    **request_options: Any,
) -> EventSource:
    """Open a stream that is connected to again whenever it breaks: an `EventSource` over `connect`.

    Options as `reconnect.make_source` explains them, the others as `connect` takes them, for each connection.
    """
    return make_source(
        EventSource,
        lambda decoder: connect(curl, method, url, decoder=decoder, check=check, **request_options),
        url,
        request_options,
        make_decoder=make_decoder,
        policy=policy,
        last_event_id=last_event_id,
        is_transient=is_transient,
        on_connect=on_connect,
        on_disconnect=on_disconnect,
        sleep=sleep,
    )


def asubscribe(
    curl: Any,
    method: str,
    url: str,
    *,
    make_decoder: Callable[..., SSEDecoder] | None = None,
    policy: ReconnectionPolicy | None = None,
    last_event_id: str = "",
    check: bool = True,
    on_connect: Callable[[AsyncEventStream], object] | None = None,
    on_disconnect: Callable[[Exception | None, float | None], object] | None = None,
    sleep: Callable[[float], Awaitable[object]] | None = None,
    **request_options: Any,
) -> AsyncEventSource:
    """Do as `subscribe` on asyncio: an `AsyncEventSource` over `aconnect`."""
    return make_source(
        AsyncEventSource,
        lambda decoder: aconnect(curl, method, url, decoder=decoder, check=check, **request_options),
        url,
        request_options,
        make_decoder=make_decoder,
        policy=policy,
        last_event_id=last_event_id,
        is_transient=is_transient,
        on_connect=on_connect,
        on_disconnect=on_disconnect,
        sleep=sleep,
    )


def is_transient(error: Exception) -> bool:
    """Return whether an exception is a broken connection: worth another one, and no mistake of the caller.

    True for `pycurl.error` with the code of a name that could not be resolved (5, 6), a connection that could not be made (7,
    35, 96, 97), broke (16, 18, 52, 55, 56, 92, 95) or timed out (28), or of a body that could not be decoded (23, 61), and for
    OSError; False for all others.
    """
    if type(error).__module__ == "pycurl":
        return bool(error.args) and error.args[0] in _TRANSIENT
    return isinstance(error, OSError)


def perform(
    curl: Any,
    on_event: Callable[[ServerSentEvent], object],
    *,
    decoder: SSEDecoder | None = None,
    check: bool = True,
    idle_timeout: float | None = None,
) -> SSEDecoder:
    """Run a handle whose options are set, call `on_event` with each event, and return the closed decoder at the end.

    What `on_event` raises stops the transfer and passes through. The rest is as in `iter_events`.
    """
    if not callable(on_event):
        raise TypeError(f"on_event must be callable with an event, not {type(on_event).__name__}")
    with iter_events(curl, decoder=decoder, check=check, idle_timeout=idle_timeout) as stream:
        for event in stream:
            on_event(event)
    return stream.decoder


def _open(curl: Any, options: dict[int, Any], decoder: SSEDecoder, check: bool, idle_timeout: float | None) -> EventStream:
    reader = _Reader(curl, options, idle_timeout)
    try:
        reader.open(check)
        return EventStream(reader, decoder=decoder, response=reader.transfer.response)
    except BaseException:
        reader.close()
        raise


def _request_options(curl: Any, method: str, url: str, headers: Any, last_event_id: str) -> dict[int, Any]:
    pycurl = _module_of(curl)
    if headers is not None and not hasattr(headers, "items"):
        headers = [*headers]
        if any(isinstance(field, (str, bytes)) for field in headers):
            raise TypeError('headers must be a mapping or pairs, {"Name": "value"}, not lines as HTTPHEADER takes them')
    lines = [_header_line(name, value) for name, value in request_headers(headers, last_event_id)]
    return {pycurl.URL: url.encode(), pycurl.CUSTOMREQUEST: _one_line(method.upper().encode()), pycurl.HTTPHEADER: lines}


def _header_line(name: str, value: Any) -> bytes:
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"the value of the header {name} must be str or bytes, not {type(value).__name__}")
    value = value if isinstance(value, bytes) else value.encode()
    return _one_line(name.encode() + (b": " + value if value.strip() else b";"))  # libcurl's way to send an empty value


def _one_line(text: bytes) -> bytes:
    if not set(text).isdisjoint(b"\r\n\0"):  # libcurl would send it as it is, and so forge a header
        raise ValueError(f"a method, a header's name and its value must be one line: {text[:100]!r}")
    return text


def _module_of(curl: Any) -> Any:
    import pycurl  # type: ignore[import-untyped]

    if not isinstance(curl, pycurl.Curl):
        raise TypeError(f"iter_events takes a pycurl.Curl, as every function of this adapter does, not {type(curl)}")
    return pycurl


class _Response:
    """What the last header block says. status: 0 until one has come. url: the one that answered, after redirects."""

    __slots__ = ("headers", "status", "url")

    def __init__(self) -> None:
        self.status = 0
        self.headers = Headers()
        self.url = ""


class _Transfer:
    """One transfer on a CurlMulti of its own: told which sockets are ready, it collects what they bring.

    on_socket: told, as M_SOCKETFUNCTION is, what to wait for; waiting is the reader's part. It must not refer to the reader,
        which is released by being dropped.
    """

    def __init__(
        self, curl: Any, options: dict[int, Any], idle_timeout: float | None, on_socket: Callable[..., object]
    ) -> None:
        self._pycurl = pycurl = _module_of(curl)
        if idle_timeout is not None and not idle_timeout > 0:
            raise ValueError(f"idle_timeout must be more than 0 seconds, or None for no limit, not {idle_timeout}")
        self.response = _Response()
        self.done = False
        self._curl = curl
        self._idle_timeout = idle_timeout
        self._alive_at = monotonic()
        self._timer_at: float | None = None
        self._lines: list[bytes] = []  # of headers
        self._fields: list[tuple[str, str]] = []
        self._in_head = False
        self._body: list[bytes] = []  # not taken yet
        self._begun = False  # some of it has been taken
        self._known = False  # whether the response is the one that counts
        self._error: Exception | None = None  # raised after `_body`
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._start({**options, pycurl.FAILONERROR: False})

    def _start(self, options: dict[int, Any]) -> None:
        pycurl, curl = self._pycurl, self._curl
        try:
            self._multi.add_handle(curl)  # before any option is set: another stream may be using the handle
        except pycurl.error as error:
            self._multi.close()
            message = f"this handle cannot start a transfer ({error.args[-1]}): close the stream that uses it, or take another"
            raise ValueError(message) from error
        try:
            for option, value in options.items():
                curl.setopt(option, value)
            curl.setopt(pycurl.WRITEFUNCTION, self._body.append)  # not in Python: what a callback raises is printed and lost
            curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
            self.run([])
        except BaseException:
            self.release()
            raise

    def _on_timer(self, milliseconds: int) -> None:
        self._timer_at = None if milliseconds < 0 else monotonic() + milliseconds / 1000

    def timeout(self) -> float | None:
        """Return how many seconds to wait for the sockets, None for ever."""
        idle_at = None if self._idle_timeout is None else self._alive_at + self._idle_timeout
        times = [at for at in (self._timer_at, idle_at) if at is not None]
        return max(0, min(times) - monotonic()) if times else None

    def run(self, ready: Iterable[tuple[int, int]]) -> None:
        """Do one round: what the ready sockets, pairs of descriptor and CSELECT bits, or the passing of time make due."""
        now = monotonic()
        for descriptor, bits in ready:
            self._multi.socket_action(descriptor, bits)
            self._alive_at = now
        if self._timer_at is not None and now >= self._timer_at:
            self._timer_at = None
            self._multi.socket_action(self._pycurl.SOCKET_TIMEOUT, 0)
        if self._lines:
            self._read_head()
        _, succeeded, failed = self._multi.info_read()
        if succeeded or failed:
            self._end(*failed[0][1:] if failed else ())
        elif self._idle_timeout is not None and now >= self._alive_at + self._idle_timeout:
            self._end(self._pycurl.E_OPERATION_TIMEDOUT, f"no byte came for idle_timeout={self._idle_timeout} seconds")

    def _end(self, *error: Any) -> None:
        self.done = True
        if error:
            self._error = self._pycurl.error(*error)

    def _read_head(self) -> None:
        for line in self._lines:
            if line.startswith(b"HTTP/"):
                self._fields, self._in_head = [], True
            elif not line.strip():
                self._in_head = False
            elif self._in_head:  # else it is a trailer
                name, _, value = line.decode("latin-1").partition(":")
                self._fields.append((name, value.strip()))
        self._lines.clear()
        self.response.status = self._curl.getinfo(self._pycurl.RESPONSE_CODE)  # 0 as long as it is a proxy that answers
        self.response.url = self._curl.getinfo_raw(self._pycurl.EFFECTIVE_URL).decode("utf-8", "replace")
        self.response.headers = Headers(self._fields)

    def answered(self, check: bool) -> bool:
        """Return whether the response has come, or must be waited for; raise what it is if it is not what was asked for."""
        response = self.response
        # libcurl may follow a redirect or answer a challenge: then there is another block, and no body before it.
        self._known = self._known or bool(self._body) or (200 <= response.status < 300 and not self._in_head)
        if not self._known:
            if not self.done:
                return False
            if self._error and (self._in_head or response.status < 400):
                self.take()  # raises it
        if not check or is_event_stream(response.status, response.headers.get("Content-Type")):
            return True
        body = b"".join(self._body)
        if not self.done and len(body) < MAX_BODY_SIZE:
            return False
        fields, body = response.headers.items(), body[:MAX_BODY_SIZE]
        raise response_error(response.status, fields, response.url, body, redirects=_REDIRECTS)

    def listen(self) -> None:
        """Begin to wait: the consumer's time is not the server's."""
        self._alive_at = monotonic()
        self._curl.errstr()  # a pycurl.error if the handle has been closed: no socket would ever be ready

    def take(self) -> bytes:
        """Return the next bytes of the body, b"" for none; at the end raise what broke it off."""
        if self._error and not self._body:
            error, self._error = self._error, None
            raise error
        # Not all at once: a compressed body may have become much larger than one event is allowed to be.
        body = b"".join(self._body[:_PIECES])
        del self._body[:_PIECES]
        if body and not self._begun:
            self._begun = True
            self._refuse_coded(body)
        return body

    def _refuse_coded(self, body: bytes) -> None:
        """Raise ResponseError for a body that libcurl was not told to decode: no option can be read, but its start tells."""
        response = self.response
        if body.startswith(_CODED) and (coding := response.headers.get("Content-Encoding")):
            text = (
                f"{shown_url(response.url)} sent Content-Encoding {coding!r}: set ACCEPT_ENCODING, so that libcurl decodes it"
            )
            raise ResponseError(text, response.status, response.headers, response.url)

    def release(self) -> None:
        """Stop the transfer and give the handle back, once."""
        try:
            self._multi.remove_handle(self._curl)
            # What libcurl does by default: older pycurl cannot unset these.
            self._curl.setopt(self._pycurl.WRITEFUNCTION, partial(os.write, 1))
            self._curl.setopt(self._pycurl.HEADERFUNCTION, len)
        except self._pycurl.error:  # it has been closed
            pass
        self._multi.close()


class _Reader:
    """The bytes of a transfer, by a `selectors` loop that runs while the next ones are waited for."""

    def __init__(self, curl: Any, options: dict[int, Any], idle_timeout: float | None) -> None:
        self._lock = threading.RLock()
        self._closing = self._reading = False
        with ExitStack() as resources:
            self._selector = resources.enter_context(selectors.DefaultSelector())
            self._waker, woken = [resources.enter_context(end) for end in socket.socketpair()]
            self._selector.register(woken, selectors.EVENT_READ)
            self.transfer = _Transfer(curl, options, idle_timeout, partial(_watch, self._selector))
            resources.callback(self.transfer.release)
            self._resources = resources.pop_all()

    def open(self, check: bool) -> None:
        while not self.transfer.answered(check):
            self._run()

    def __iter__(self) -> _Reader:
        return self

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
        """Release the handle. From another thread: wake the reading one, and wait until it has left the transfer."""
        self._closing = True
        try:
            self._waker.send(b"\0")
        except OSError:  # closed already
            pass
        with self._lock:
            if not self._reading:  # else this is a callback of the transfer: `__next__` does it
                self._resources.close()

    def __del__(self) -> None:
        if hasattr(self, "_resources"):
            self.close()


class _AsyncReader:
    """The bytes of a transfer, by an asyncio loop that watches its sockets only while the next ones are waited for."""

    def __init__(self, curl: Any, options: dict[int, Any], check: bool, idle_timeout: float | None) -> None:
        self._loop = _running_loop()
        self._check = check
        self._closed = False
        self._sockets: dict[int, int] = {}
        self._watched: list[int] = []
        self._ready: dict[int, int] = {}
        self._waiter: Future[None] | None = None
        self._timer: TimerHandle | None = None
        self.transfer = _Transfer(curl, options, idle_timeout, partial(_note, self._sockets))

    async def open(self) -> None:
        while not self._closed and not self.transfer.answered(self._check):
            await self._run()

    def __aiter__(self) -> _AsyncReader:
        return self

    async def __anext__(self) -> bytes:
        self.transfer.listen()
        await self.open()
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
        self._timer = None if timeout is None else loop.call_later(timeout, self._wake)
        self._watched = [*self._sockets]
        try:
            for descriptor, bits in self._sockets.items():
                if bits & selectors.EVENT_READ:
                    loop.add_reader(descriptor, self._on_ready, descriptor, selectors.EVENT_READ)
                if bits & selectors.EVENT_WRITE:
                    loop.add_writer(descriptor, self._on_ready, descriptor, selectors.EVENT_WRITE)
            await self._waiter
        finally:
            self._unwatch()
        if not self._closed:
            self.transfer.run(self._ready.items())

    def _on_ready(self, descriptor: int, bits: int) -> None:
        self._ready[descriptor] = self._ready.get(descriptor, 0) | bits
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, []
        if self._timer is not None:
            self._timer.cancel()
        if not self._loop.is_closed():  # it is if the waiting coroutine is collected late
            for descriptor in watched:
                self._loop.remove_reader(descriptor)
                self._loop.remove_writer(descriptor)

    def close(self) -> None:
        """Release the handle, and wake the task that waits."""
        if self._closed:
            return
        self._closed = True
        self._unwatch()  # before libcurl closes the sockets, whose numbers may then be another's
        self.transfer.release()
        if not self._loop.is_closed():
            self._wake()

    def __del__(self) -> None:
        if hasattr(self, "transfer"):
            self.close()


# What libcurl wants watched. The bits of POLL_IN and POLL_OUT are those of CSELECT_IN and CSELECT_OUT, and of EVENT_READ and
# EVENT_WRITE; neither is set in POLL_REMOVE.
_BITS = selectors.EVENT_READ | selectors.EVENT_WRITE


def _watch(selector: selectors.BaseSelector, what: int, descriptor: int, *_: object) -> None:
    """Be the M_SOCKETFUNCTION of a selector."""
    if descriptor in selector.get_map():
        selector.unregister(descriptor)
    if what & _BITS:
        selector.register(descriptor, what & _BITS)


def _note(sockets: dict[int, int], what: int, descriptor: int, *_: object) -> None:
    """Be the M_SOCKETFUNCTION that keeps the bits of each socket."""
    sockets.pop(descriptor, None)
    if what & _BITS:
        sockets[descriptor] = what & _BITS


def _running_loop() -> AbstractEventLoop:
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError as error:
        message = "aiter_events and aconnect need a running asyncio event loop; elsewhere, run iter_events in a thread"
        raise RuntimeError(message) from error
    if getattr(type(loop), "add_reader", None) is asyncio.AbstractEventLoop.add_reader:
        raise RuntimeError(
            "this event loop cannot watch sockets; on Windows use asyncio.SelectorEventLoop, or run iter_events in a thread"
        )
    return loop
