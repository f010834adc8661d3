# SPDX-License-Identifier: MIT
"""Servers that others wrote: uvicorn and hypercorn with a Starlette application, aiohttp.web.

All have the same paths:

    /events?n=3     n events with the data "0", "1", ... and those numbers as IDs, then the end
    /infinite       events without end
    /steps?key=...  events without end, each sent only after `acknowledge(key)` for the one before;
                    `left(key)` is set when the client has left
    /gzip?n=3       /events behind the server's own gzip compression
    /broken         two events, then the application fails
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

import aiohttp.web
import hypercorn.asyncio
import hypercorn.config
import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import StreamingResponse
from starlette.routing import Route

from sse_stream.decoder import ServerSentEvent
from sse_stream.encoder import SSEEncoder

from .server import GUARD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request


class Steps:
    """What lets the streams of `/steps` go on, one key for each stream."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._queues: defaultdict[str, asyncio.Queue[None]] = defaultdict(asyncio.Queue)
        self._left: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    async def events(self, key: str) -> AsyncIterator[str]:
        try:
            for i in itertools.count():
                yield str(i)
                await self._queues[key].get()
        finally:
            self._left[key].set()


class Service(Steps):
    """A server in a thread. A context manager.

    url: its origin, such as "http://127.0.0.1:12345".
    """

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None

    async def serve(self) -> None:
        """Serve until `_stop` is set; set `_started`."""
        raise NotImplementedError

    def acknowledge(self, key: str) -> None:
        """Let `/steps?key=key` send its next event."""
        self._loop.call_soon_threadsafe(self._queues[key].put_nowait, None)

    def left(self, key: str) -> threading.Event:
        """Return what is set when the client of `/steps?key=key` has left."""
        return self._left[key]

    def __enter__(self) -> Service:
        self._thread.start()
        assert self._started.wait(GUARD), "the server did not start"
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(2 * GUARD)
        assert not self._thread.is_alive(), "the server did not stop"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await self.serve()

        try:
            asyncio.run(main())
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()


def starlette_application(steps: Steps) -> Starlette:
    async def numbers(n: int | None) -> AsyncIterator[dict[str, str]]:
        for i in itertools.count() if n is None else range(n):
            yield {"data": str(i), "id": str(i)}
            await asyncio.sleep(0)

    async def events(request: Request) -> EventSourceResponse:
        return EventSourceResponse(numbers(int(request.query_params.get("n", "3"))))

    async def infinite(request: Request) -> EventSourceResponse:
        return EventSourceResponse(numbers(None))

    async def step_by_step(request: Request) -> EventSourceResponse:
        return EventSourceResponse(
            {"data": data} async for data in steps.events(request.query_params["key"])
        )

    async def broken(request: Request) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"id: 1\ndata: one\n\nid: 2\ndata: two\n\nid: 3\ndata: thr"
            await asyncio.sleep(0.05)  # so that the server has sent it
            raise RuntimeError("the application fails, as the test asked it to")

        return StreamingResponse(body(), media_type="text/event-stream")

    routes = [
        Route("/events", events, methods=["GET", "POST"]),
        Route("/infinite", infinite),
        Route("/steps", step_by_step),
        Route("/broken", broken),
        Route(
            "/gzip",
            GZipMiddleware(
                Starlette(routes=[Route("/gzip", events)]), minimum_size=1, exclude_content_types=()
            ),
        ),
    ]
    return Starlette(routes=routes)


class Uvicorn(Service):
    """With the application above, or another."""

    def __init__(self, application: Starlette | None = None) -> None:
        super().__init__()
        self._application = application or starlette_application(self)

    async def serve(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._application,
            log_config=None,
            log_level="critical",
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        self._started.set()
        await self._stop.wait()
        server.should_exit = True
        await serving


class Hypercorn(Service):
    """HTTP/2 over TLS.

    idle_limit: the seconds after which it ends a connection on which no request is being answered.
    """

    def __init__(self, certificate: Path, key: Path, idle_limit: float = 5) -> None:
        super().__init__()
        self._certificate, self._key, self._idle_limit = certificate, key, idle_limit

    async def serve(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"https://localhost:{listener.getsockname()[1]}"
        config = hypercorn.config.Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.certfile, config.keyfile = str(self._certificate), str(self._key)
        config.alpn_protocols = ["h2", "http/1.1"]
        config.errorlog = logging.getLogger("tests.hypercorn")
        config.graceful_timeout = 0.5
        config.keep_alive_timeout = self._idle_limit

        async def stopped() -> None:
            self._started.set()
            await self._stop.wait()

        await hypercorn.asyncio.serve(starlette_application(self), config, shutdown_trigger=stopped)  # type: ignore[arg-type]


class AiohttpWeb(Service):
    async def serve(self) -> None:
        application = aiohttp.web.Application()
        application.router.add_route("*", "/events", self._respond(self._numbers))
        application.router.add_get("/gzip", self._respond(self._numbers, compressed=True))
        application.router.add_get("/infinite", self._respond(self._infinite))
        application.router.add_get(
            "/steps", self._respond(lambda request: self.events(request.query["key"]))
        )
        application.router.add_get("/broken", self._broken)
        runner = aiohttp.web.AppRunner(
            application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        await aiohttp.web.SockSite(runner, listener).start()
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _numbers(self, request: aiohttp.web.Request) -> AsyncIterator[str]:
        for i in range(int(request.query.get("n", "3"))):
            yield str(i)

    async def _infinite(self, request: aiohttp.web.Request) -> AsyncIterator[str]:
        for i in itertools.count():
            yield str(i)

    def _respond(
        self,
        numbers: Callable[[aiohttp.web.Request], AsyncIterator[str]],
        *,
        compressed: bool = False,
    ) -> Callable[[aiohttp.web.Request], Awaitable[aiohttp.web.StreamResponse]]:
        async def handler(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
            response = aiohttp.web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            if compressed:
                response.enable_compression(aiohttp.web.ContentCoding.gzip)
            await response.prepare(request)
            generator, encoder = numbers(request), SSEEncoder()
            try:
                async for number in generator:
                    await response.write(encoder.encode(ServerSentEvent(data=number, id=number)))
            except ConnectionResetError:
                pass
            finally:
                await generator.aclose()  # type: ignore[attr-defined]
            return response

        return handler

    async def _broken(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        response = aiohttp.web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"id: 1\ndata: one\n\nid: 2\ndata: two\n\nid: 3\ndata: thr")
        assert request.transport is not None
        request.transport.close()
        return response
