# SPDX-License-Identifier: MIT
"""How a response of httpx or httpx2 is woken while it is read, and let go without awaiting."""

from __future__ import annotations

import sys

from .._pieces import pieces
from ..handshake import compressions
from ._response import shut_down

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator
    from typing import Any

__all__ = ["AsyncChunks", "Read", "is_compressed_twice", "is_shared", "own_error", "read", "wake"]

_MOST_STEPS = 100


def is_shared(response: Any) -> bool:
    """Return whether other streams use the connection of a response meanwhile, as over HTTP/2.

    response: of a Client or an AsyncClient.
    """
    return response.http_version not in ("HTTP/1.0", "HTTP/1.1")


def is_compressed_twice(response: Any) -> bool:
    """Return whether a body that is still to be read was compressed, and that once more.

    httpx would undo both for a whole chunk at once, of which 64 KiB may unfold to 64 GiB. Nobody
    means that, so it is read as it is, and refused.

    response: of a Client or an AsyncClient.
    """
    encoding = response.headers.get("Content-Encoding", "")
    return not hasattr(response, "_content") and len(compressions(encoding)) > 1


def wake(response: Any) -> None:
    """End a read of a response that waits, in another thread or task, without blocking.

    response: of a Client or an AsyncClient. Nothing happens to one over HTTP/2, whose connection is
              shared with other streams, to one that has been closed, and to one that came over no
              socket.
    """
    # Once closed, its connection may carry another response.
    if getattr(response, "is_closed", False) or is_shared(response):
        return
    network_stream = response.extensions.get("network_stream")
    if network_stream is not None:
        shut_down(network_stream.get_extra_info("socket"))


def own_error(error: Exception, response: Any) -> Exception | None:
    """Return httpx's exception for one of h2, which httpx lets pass: a breach by the server.

    error:    what reading raised. None is returned if it is no exception of h2.
    response: what was read, of httpx or httpx2.
    """
    if type(error).__module__.partition(".")[0] != "h2":
        return None
    client: Any = sys.modules[type(response).__mro__[-2].__module__.partition(".")[0]]
    own: Exception = client.RemoteProtocolError(str(error), request=response.request)
    return own


def read(response: Any) -> Iterator[bytes]:
    """Yield the body of a response of a Client, each piece as it comes.

    response: not yet read.
    """
    try:
        # Any chunk size holds events back.
        yield from response.iter_raw() if is_compressed_twice(response) else response.iter_bytes()
    except Exception as error:
        own = own_error(error, response)
        if own is None:
            raise
        raise own from error


class AsyncChunks:
    """An async iterator over the body of a response of an AsyncClient that can be interrupted.

    A large chunk is handed out in pieces.

    response: not yet read.
    """

    def __init__(self, response: Any) -> None:
        self._response = response
        is_raw = is_compressed_twice(response)
        # Any chunk size holds events back.
        self._chunks = response.aiter_raw() if is_raw else response.aiter_bytes()
        self._pieces: Iterator[bytes] = iter(())  # of the last chunk
        self._interrupted = False
        self.is_shared = is_shared(response)

    def __aiter__(self) -> AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        if self._interrupted:
            raise StopAsyncIteration
        for piece in self._pieces:
            return piece
        try:
            self._pieces = pieces(await Read(self._chunks.__anext__(), self.interrupt))
        except Exception as error:
            own = own_error(error, self._response)
            if own is None:
                raise
            raise own from error
        return next(self._pieces)

    def interrupt(self) -> None:
        """End a read that waits, and every later one."""
        self._interrupted = True
        wake(self._response)

    async def aclose(self) -> None:
        """Close httpx's generator."""
        await self._chunks.aclose()


class _Abandoned(BaseException):
    """Thrown into a read that will not go on."""


class Read:
    """Awaits one read; a coroutine that is closed while it waits here lets go of the connection.

    GeneratorExit stops at the first of httpx's nested async generators: they would be closed when
    they are collected, each with a complaint, and the place in the pool would be lost. Another
    exception passes through all of them, and what they then await in order to close ends without
    waiting, since the socket has been shut down before.

    read:      the read of a chunk, to be awaited.
    interrupt: shuts the socket down, without waiting.
    """

    def __init__(self, read: Awaitable[bytes], interrupt: Callable[[], None]) -> None:
        self._read = read
        self._interrupt = interrupt

    def __await__(self) -> Any:
        self._steps: Generator[Any, Any, bytes] = self._read.__await__()
        return self

    def __next__(self) -> Any:
        return self._steps.send(None)

    def send(self, value: Any) -> Any:
        """Go on with the read. value: what its wait gave."""
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise within the read. error: the exception, as a coroutine's `throw` takes it."""
        return self._steps.throw(*error)

    def close(self) -> None:
        """Interrupt the connection, and let the read end by an exception of its own."""
        self._interrupt()
        try:
            wait_for = self._steps.throw(_Abandoned())
            for _ in range(_MOST_STEPS):
                # None only gives way to other tasks.
                wait_for = (
                    self._steps.send(None) if wait_for is None else self._steps.throw(_Abandoned())
                )
        except BaseException:  # it has ended
            pass
