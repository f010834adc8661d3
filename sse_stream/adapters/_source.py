# SPDX-License-Identifier: MIT
"""What every adapter's `subscribe` and `asubscribe` share: a source over the adapter's `connect`.

Mistakes are found at the call. Each connection then gets a decoder of its own, and the headers of
the moment.
"""

from __future__ import annotations

from functools import partial

from ..decoder import SSEDecoder
from ..handshake import header_pairs, id_in_headers, shown_url
from ..policy import FIELDS
from ..reconnect import AsyncEventSource, EventSource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ..handshake import Check
    from ..policy import ReconnectionPolicy

    Source = TypeVar("Source", EventSource, AsyncEventSource)

__all__ = ["make_source"]

# RFC 9110, 9.2.1: what asks for a representation, and changes nothing.
_SAFE_METHODS = ("GET", "HEAD")

# How the clients call what they send as a body.
_BODIES = ("content", "data", "json", "body", "files", "fields")

# What only things have that are used up by being sent: iterators, files, and aiohttp's FormData.
_SENT_ONCE = ("__next__", "__anext__", "read", "add_field")


def make_source(
    kind: type[Source],
    connect: Callable[..., Any],
    client: Any,
    method: str,
    url: Any,
    *,
    make_decoder: Callable[..., SSEDecoder] | None,
    policy: ReconnectionPolicy | None,
    last_event_id: str,
    check: Check,
    is_transient: Callable[[Exception], bool | None] | None,
    repeat: Any,
    on_connect: Callable[[Any], object] | None,
    on_disconnect: Callable[[Exception | None, float | None], object] | None,
    sleep: Callable[[float], Any] | None,
    headers: Any,
    request_options: dict[str, Any],
) -> Source:
    """Return a source that makes each of its connections with an adapter's `connect`.

    kind:            EventSource, or AsyncEventSource over an `aconnect`.
    connect:         called for each connection as `connect(client, method, url, decoder=decoder,
                     check=check, headers=headers, **request_options)`; `headers` is left out if
                     there are none.
    make_decoder:    called as `make_decoder(last_event_id=...)` for each connection; the ID that
                     the decoder starts from is sent. None: an SSEDecoder with
                     `incomplete="discard"`, as what an end cuts off comes again.
    policy, is_transient, on_connect, on_disconnect, sleep: as EventSource takes them.
    last_event_id:   the ID to resume from at first, "" for none; also taken from the headers.
    repeat:          as EventSource takes it; None: whether the method is GET or HEAD.
    headers:         a mapping or pairs; or a function without parameters that gives them for each
                     connection (for AsyncEventSource it may be an `async def`); or None. What the
                     function gives as Last-Event-ID is left out: the source knows where it is.
    request_options: what else the adapter's `connect` takes.

    Raises TypeError for `decoder` or a field of ReconnectionPolicy among `request_options`, and for
    a body that can be sent only once; ValueError for a decoder without the ID; and what `connect`
    itself raises when it is called: the first connection is prepared at once, so that mistakes show
    where they were made.
    """
    _refuse_options(request_options)
    if repeat is not None and not isinstance(repeat, bool):
        raise TypeError(f"repeat must be True, False or None, not {type(repeat).__name__}")
    if headers is not None and not callable(headers):
        headers = header_pairs(headers)
        last_event_id = last_event_id or id_in_headers(headers)
    connections = _Connections(
        partial(connect, client, method, url, check=check, **request_options), make_decoder, headers
    )
    source = kind(
        connections.aconnect if kind is AsyncEventSource else connections.connect,
        policy=policy,
        last_event_id=last_event_id,
        is_transient=is_transient,
        on_connect=on_connect,
        on_disconnect=on_disconnect,
        sleep=sleep,
        repeat=str(method).upper() in _SAFE_METHODS if repeat is None else repeat,
    )
    source.name = shown_url(str(url))
    source.learn_from(connections.prepare(last_event_id))
    return source


class _Connections:
    """Makes the connections of one source, the first of which is prepared before it is needed."""

    def __init__(
        self,
        open_with: Callable[..., Any],
        make_decoder: Callable[..., SSEDecoder] | None,
        headers: Any,
    ) -> None:
        self._open_with = open_with
        if make_decoder is not None and not callable(make_decoder):
            raise TypeError(f"make_decoder must be callable, not {type(make_decoder).__name__}")
        self._make_decoder = make_decoder or partial(SSEDecoder, incomplete="discard")
        self._headers = headers
        self._headers_change = callable(headers)
        self._decoder: SSEDecoder | None = None  # of the connection that is prepared
        self._opening: Any = None  # the same, unless its headers are still to be asked for

    def prepare(self, last_event_id: str) -> Any:
        """Prepare the first connection, to find mistakes, and return what `connect` returned."""
        decoder = self._new_decoder(last_event_id)
        if self._headers_change:
            self._decoder = decoder
            return self._open(None, decoder)
        self._opening = self._open(self._headers, decoder)
        return self._opening

    def connect(self, last_event_id: str) -> Any:
        """Return the next connection's context manager."""
        opening, self._opening = self._opening, None
        if opening is not None:
            return opening
        headers = self._headers() if self._headers_change else self._headers
        if hasattr(headers, "__await__"):
            getattr(headers, "close", bool)()  # a coroutine that nobody awaits would warn
            raise TypeError("headers of subscribe cannot be an async function: asubscribe takes it")
        return self._open(headers, self._next_decoder(last_event_id))

    async def aconnect(self, last_event_id: str) -> Any:
        """Return the next connection's async context manager."""
        opening, self._opening = self._opening, None
        if opening is not None:
            return opening
        headers = self._headers() if self._headers_change else self._headers
        if hasattr(headers, "__await__"):
            headers = await headers
        return self._open(headers, self._next_decoder(last_event_id))

    def _open(self, headers: Any, decoder: SSEDecoder) -> Any:
        if headers is None:
            return self._open_with(decoder=decoder)
        # The decoder has the ID; this one would be sent again when there is none any more.
        fields = [
            (name, value)
            for name, value in header_pairs(headers)
            if name.lower() != "last-event-id"
        ]
        return self._open_with(decoder=decoder, headers=fields)

    def _next_decoder(self, last_event_id: str) -> SSEDecoder:
        decoder, self._decoder = self._decoder, None
        return decoder or self._new_decoder(last_event_id)

    def _new_decoder(self, last_event_id: str) -> SSEDecoder:
        decoder = self._make_decoder(last_event_id=last_event_id)
        if last_event_id and getattr(decoder, "last_event_id", last_event_id) != last_event_id:
            raise ValueError(  # nothing would be resumed, and events lost or doubled
                "make_decoder must hand its last_event_id on: "
                "SSEDecoder(last_event_id=last_event_id, ...)"
            )
        return decoder


def _refuse_options(request_options: dict[str, Any]) -> None:
    if "decoder" in request_options:
        raise TypeError(
            "each connection needs a decoder of its own: pass make_decoder in place of decoder"
        )
    for name in SSEDecoder.__init__.__kwdefaults__ or ():
        if name in request_options:
            raise TypeError(
                f"{name} is an option of SSEDecoder: pass make_decoder=functools.partial("
                f'SSEDecoder, incomplete="discard", {name}=...)'
            )
    for name in FIELDS:
        if name in request_options:
            raise TypeError(
                f"{name} is a field of ReconnectionPolicy: "
                f"pass policy=ReconnectionPolicy({name}={request_options[name]!r})"
            )
    for name in _BODIES:
        _refuse_body_for_once(name, request_options.get(name))


def _refuse_body_for_once(name: str, body: Any) -> None:
    if type(body) in (dict, list, tuple):
        for part in body.values() if hasattr(body, "values") else body:
            _refuse_body_for_once(name, part)
    elif any(hasattr(body, attribute) for attribute in _SENT_ONCE):
        raise TypeError(
            f"{name} holds {type(body).__name__}, which can be sent only once; "
            "pass bytes, str or a dict"
        )
