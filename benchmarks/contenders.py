# SPDX-License-Identifier: MIT
"""Who decodes: from chunks of bytes to each contender's own event objects, without JSON and I/O.

A peer is driven by its own code, entered at the outermost point that still takes bytes, as its own
client enters it; where that is a response, a stand-in hands it the bytes. Every event is dropped as
soon as it is there, as a consumer does.
"""

from __future__ import annotations

import importlib
import sys
from collections import deque
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import sse_stream
from sse_stream import AsyncEventStream, ServerSentEvent, __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
    from types import ModuleType

    from .shapes import Stream


class Contender(NamedTuple):
    """One way from bytes to events.

    name:   as the tables show it.
    kind:   "ours", "other" (another version of this package), "peer" or "floor".
    events: chunks in, an iterable of event objects out; what is checked, and drained to be timed
            if `run` is None.
    run:    what is timed instead, where an iterator would not be how it is used.
    """

    name: str
    kind: str
    version: str
    events: Callable[[Iterable[bytes]], Iterable[Any]]
    run: Callable[[Iterable[bytes]], object] | None = None

    def drain(self, chunks: Iterable[bytes]) -> None:
        """Decode everything and keep nothing."""
        if self.run is not None:
            self.run(chunks)
        else:
            deque(self.events(chunks), maxlen=0)  # a consumer that costs nothing


def fields(event: Any) -> tuple[str, str, str]:
    """Return type, data and id of anyone's event; unnamed is None, "" or "message" with peers."""
    return event.event or "message", event.data or "", event.id or ""


# Ours, and other versions of this package, which are driven in the same two ways.


def ways(name: str) -> tuple[str, str]:
    """Return what the two ways of a package of this name are called."""
    return f"{name} EventStream", f"{name} feed"


OURS = (*ways("sse_stream"), "sse_stream async")


def _by_event_stream(name: str, kind: str, package: ModuleType) -> Contender:
    return Contender(name, kind, package.__version__, package.EventStream)


def _by_feed(name: str, kind: str, package: ModuleType) -> Contender:
    make: Callable[[], Any] = package.SSEDecoder

    def events(chunks: Iterable[bytes]) -> list[Any]:
        decoder = make()
        return [*(event for chunk in chunks for event in decoder.feed(chunk)), *decoder.close()]

    def run(chunks: Iterable[bytes]) -> None:
        decoder = make()
        feed = decoder.feed
        for chunk in chunks:
            for _ in feed(chunk):
                pass
        decoder.close()

    # CPython keeps in a function's code what it met there, so each version has a copy of its own.
    code = run.__code__.replace()
    own = FunctionType(code, run.__globals__, run.__name__, None, run.__closure__)
    return Contender(name, kind, package.__version__, events, own)


def load_other(name: str, folder: str | Path) -> ModuleType:
    """Load the `sse_stream` package that lies in a folder, beside ours and apart from it.

    It becomes the module `sse_stream_NAME`, which works as long as it imports itself relatively.

    name:   what it is called, an identifier: "before".
    folder: a checkout, or any folder with a folder `sse_stream`.
    Raises ImportError if there is none, or if it is not apart from ours.
    """
    module_name = f"sse_stream_{name}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    file = Path(folder, "sse_stream", "__init__.py")
    spec = spec_from_file_location(module_name, file, submodule_search_locations=[str(file.parent)])
    if spec is None or spec.loader is None or not file.is_file():
        raise ImportError(f"there is no package sse_stream in {folder}")
    sys.modules[module_name] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        for each in ("SSEDecoder", "EventStream"):
            if getattr(module, each) is getattr(sse_stream, each):
                raise ImportError(
                    f"sse_stream in {folder} imports itself by name: it would be ours"
                )
    except BaseException:
        for each in [each for each in sys.modules if f"{each}.".startswith(f"{module_name}.")]:
            del sys.modules[each]
        raise
    return module


def _ours_async() -> Contender:
    # The source is always ready, so no event loop is needed: one `send` runs the
    # coroutine to its end.
    async def ready(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def drain(chunks: Iterable[bytes]) -> None:
        async for _ in AsyncEventStream(ready(chunks)):
            pass

    async def collect(chunks: Iterable[bytes]) -> list[ServerSentEvent]:
        return [event async for event in AsyncEventStream(ready(chunks))]

    def finish(coroutine: Any) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        raise RuntimeError("AsyncEventStream waited, though its source was ready")

    return Contender(
        OURS[2],
        "ours",
        __version__,
        lambda chunks: finish(collect(chunks)),
        lambda chunks: finish(drain(chunks)),
    )


# The peers.


class _Response:
    """What the peers' clients read from: httpx's response, less its connection and its coding."""

    def __init__(
        self, chunks: Iterable[bytes], text_decoder: Callable[[], Any] | None = None
    ) -> None:
        self.headers = {"content-type": "text/event-stream"}
        self.request = None
        self._chunks = chunks
        self._text_decoder = text_decoder

    def iter_bytes(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def iter_text(self) -> Iterator[str]:
        """Decode as `Response.iter_text` does for UTF-8, which leaves out empty texts, too."""
        assert self._text_decoder is not None
        decoder = self._text_decoder()
        for chunk in self._chunks:
            text = decoder.decode(chunk)
            if text:
                yield text
        text = decoder.flush()
        if text:
            yield text


def _httpx_sse() -> Contender:
    # EventSource.iter_sse over httpx's text decoder: the documented way, `connect_sse(...)` less
    # the connection.
    source = importlib.import_module("httpx_sse").EventSource
    text_decoder = importlib.import_module("httpx._decoders").TextDecoder
    return Contender(
        "httpx-sse",
        "peer",
        version("httpx-sse"),
        lambda chunks: source(_Response(chunks, text_decoder)).iter_sse(),
    )


def _httpx2() -> Contender:
    # httpx2.EventSource over httpx2's text decoder. Its bound of 1 MiB is lifted, as the large
    # event of memory.py needs.
    source = importlib.import_module("httpx2").EventSource
    text_decoder = importlib.import_module("httpx2._decoders").TextDecoder
    return Contender(
        "httpx2",
        "peer",
        version("httpx2"),
        lambda chunks: source(_Response(chunks, text_decoder), max_event_size=None),
    )


def _sdk(name: str) -> Contender:
    # SSEDecoder.iter_bytes, which `Stream` calls with `response.iter_bytes()`; parsing JSON
    # comes after it.
    decoder = importlib.import_module(f"{name}._streaming").SSEDecoder
    return Contender(name, "peer", version(name), lambda chunks: decoder().iter_bytes(iter(chunks)))


def _sseclient() -> Contender:
    # SSEClient.events, whose event source is any iterable of bytes.
    client = importlib.import_module("sseclient").SSEClient
    return Contender(
        "sseclient-py", "peer", version("sseclient-py"), lambda chunks: client(chunks).events()
    )


def _launchdarkly() -> Contender:
    # The reader as SSEClient builds it; like SSEClient.events, this leaves the comments out.
    reader = importlib.import_module("ld_eventsource.reader")
    event_type = importlib.import_module("ld_eventsource.actions").Event

    def events(chunks: Iterable[bytes]) -> Iterator[Any]:
        lines = reader._BufferedLineReader.lines_from(chunks)
        for action in reader._SSEReader(lines, None, None).events_and_comments():
            if isinstance(action, event_type):
                yield action

    return Contender("launchdarkly", "peer", version("launchdarkly-eventsource"), events)


def _langgraph() -> Contender:
    # The loop of SyncHttpClient.stream. Its decoder parses JSON by itself: here `orjson` is
    # replaced by a decoding to text.
    sse: Any = importlib.import_module("langgraph_sdk.sse")

    class Text:
        loads = staticmethod(bytearray.decode)
        JSONDecodeError = UnicodeDecodeError

    sse.orjson = Text

    def events(chunks: Iterable[bytes]) -> Iterator[Any]:
        decoder = sse.SSEDecoder(last_event_id=None)
        for line in sse.iter_lines_raw(_Response(chunks)):
            event = decoder.decode(line.rstrip(b"\n"))
            if event is not None and (event.event or decoder.has_data):
                yield event

    return Contender("langgraph-sdk", "peer", version("langgraph-sdk"), events)


# The floor: what nobody who makes these events in Python can do without. It is told the answer.

Plan = list[tuple[bytes, list[tuple[str, bytes, str, "int | None"]]]]


class Planned(list[bytes]):
    """Chunks, and with each type, payload as bytes, id and `retry` of the events that end in it."""

    plan: Plan


def plan(chunks: Sequence[bytes], stream: Stream) -> Planned:
    """Prepare chunks for the floor."""
    ends: list[tuple[int, tuple[str, bytes, str, int | None]]] = []
    position = 0
    for wire, event in stream.parts:
        position += len(wire)
        if event is not None:
            ends.append((position, (event.event, event.data.encode(), event.id, event.retry)))
    planned = Planned(chunks)
    planned.plan = []
    position, done = 0, 0
    for chunk in chunks:
        position += len(chunk)
        first = done
        while done < len(ends) and ends[done][0] <= position:
            done += 1
        planned.plan.append((chunk, [answer for _, answer in ends[first:done]]))
    return planned


def _floor() -> Contender:
    # `find` of a byte that is not there is the cheapest call that sees every byte.
    def run(chunks: Any) -> None:
        new: Any = tuple.__new__
        for chunk, answers in chunks.plan:
            chunk.find(b"\0")
            for event, payload, last_id, retry in answers:
                new(ServerSentEvent, (event, payload.decode(), last_id, retry))

    return Contender("floor", "floor", __version__, _answers, run)


def _floor_lines() -> Contender:
    # `splitlines` finds every line end, which nobody can do without who does not know the answer.
    def run(chunks: Any) -> None:
        new: Any = tuple.__new__
        for chunk, answers in chunks.plan:
            chunk.splitlines()
            for event, payload, last_id, retry in answers:
                new(ServerSentEvent, (event, payload.decode(), last_id, retry))

    return Contender("floor + lines", "floor", __version__, _answers, run)


def _answers(chunks: Any) -> list[ServerSentEvent]:
    return [
        ServerSentEvent(event, payload.decode(), last_id, retry)
        for _, answers in chunks.plan
        for event, payload, last_id, retry in answers
    ]


_MAKERS: dict[str, Callable[[], Contender]] = {
    OURS[0]: lambda: _by_event_stream(OURS[0], "ours", sse_stream),
    OURS[1]: lambda: _by_feed(OURS[1], "ours", sse_stream),
    OURS[2]: _ours_async,
    "floor": _floor,
    "floor + lines": _floor_lines,
    "launchdarkly": _launchdarkly,
    "httpx-sse": _httpx_sse,
    "langgraph-sdk": _langgraph,
    "anthropic": lambda: _sdk("anthropic"),
    "httpx2": _httpx2,
    "openai": lambda: _sdk("openai"),
    "sseclient-py": _sseclient,
}
FLOORS = ("floor", "floor + lines")
# Under Node (node.py), by what decodes the bytes for it.
NODE = {"eventsource-parser": "TextDecoder", "eventsource-parser*": "StringDecoder"}
NAMES = (*_MAKERS, *NODE)


def load(
    names: Sequence[str], others: Mapping[str, str] | None = None
) -> tuple[list[Contender], dict[str, str]]:
    """Return the contenders that can be had, and for each peer that cannot the reason.

    names:  which; those of NODE are passed over.
    others: other versions of this package, by name the folder; both their ways come after ours.
    Raises whatever prevents one of the others from loading: it was asked for.
    """
    loaded: list[Contender] = []
    missing: dict[str, str] = {}
    for name in names:
        if name in _MAKERS:
            try:
                loaded.append(_MAKERS[name]())
            except Exception as error:
                missing[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
    ours = sum(contender.kind == "ours" for contender in loaded)
    loaded[ours:ours] = [
        make(way, "other", load_other(name, folder))
        for name, folder in (others or {}).items()
        for way, make in zip(ways(name), (_by_event_stream, _by_feed), strict=True)
    ]
    return loaded, missing
