# SPDX-License-Identifier: MIT
"""What the tests of several modules use: chunks that fail, things with a close, streams to try."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from sse_stream.decoder import EventTooLargeError, ServerSentEvent, SSEDecoder
from tests import reference

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator


class Resource:
    """Something with a close, which counts how often it was called."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class AsyncResource:
    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


class Chunks(Resource):
    """An iterator over chunks that raises what it finds among them."""

    def __init__(self, *chunks: Any) -> None:
        super().__init__()
        self.chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk: Any = next(self.chunks)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk  # type: ignore[no-any-return]


class AsyncChunks(Chunks):
    """The same for `async for`, without waiting."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.close()


async def generate(*chunks: Any) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        await asyncio.sleep(0)
        if isinstance(chunk, BaseException):
            raise chunk
        yield chunk


# Streams of any kind, good and bad: what they are made of, and what a decoder makes of them.

TOKENS = [
    b"data: ", b"data:", b"data", b"data : ", b"DATA: x", b"id: ", b"id:", b"id", b"event: ",
    b"event", b"retry: ", b"retry:5", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\n\r\n", b": ",
    b":", b" ", b"\t", b"\0", b"7", b"abc", b"{}", b"\xef\xbb\xbf", b"\xef", b"\xbb",
    b"\xe2\x82\xac", b"\xe2\x82", b"\xf0\x9f\x9a\x80", b"\xf0\x9f", b"\xc0\x80",
    b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x0c", b"\x1c", b"\xd9\xa1",
    "\N{SUPERSCRIPT TWO}".encode(), b"event: x\n", b"event:y\n\n", b"id: \0\n", b"retry: 5x\n",
    b"foo: bar\n",
]  # fmt: skip
streams = st.one_of(
    st.lists(st.sampled_from(TOKENS), max_size=24).map(b"".join), st.binary(max_size=40)
)
cut_points = st.lists(st.integers(0, 60), max_size=6)
limits = st.one_of(st.none(), st.integers(1, 40))

SHAPES = [
    b"data: a\n\n", b"data: \n\n", b"data: a\r\n\r\n", b"data: a\rdata: b\n\n",
    b"data: a\ndata: b\n\n", b"data: a\n\n\n", b"data:a\n\n", b"data: a\nid: 7\n\n",
    b"data: a\n: c\n\n", b"data: \xff\xe2\n\n", b"data: a", b"data: a\n", b"\n", b"\n\n",
    b"event: x\ndata: a\n\n", b"event: \ndata: a\n\n", b"event: x\n\n",
    b"event: x\rdata: y\ndata: a\n\n", b"event: x\nevent: y\ndata: a\n\n",
    b"event: x\ndata: a\rb\n\n", b"event: x\ndata: a\ndata: b\n\n", b"event: x\ndata:a\n\n",
    b"event: \xc3\ndata: a\n\n", b"event: x\r\ndata: a\r\n\r\n", b"id: 7\n\n",
    b"id: 8\ndata: a\n\n", b"retry: 5\ndata: a\n\n", b": c\n\n", b"data: " + b"x" * 40 + b"\n\n",
    b"event: x", b"data: a\n\ndata: b\n\n", b"\xef\xbb\xbfdata: a\n\n",
    b"data: a\r\n\r\ndata: b\r\n\r\n", b"data: a\r\r\n\r\n", b"data: a\r\n\n", b"\r\n",
    b"event: x\n\ndata: a\n\n", b"event: y\ndata: b\n\n", b"event: y\r\ndata: b\r\n\r\n",
    b"event: y\ndata: b\r\n\r\n", b"event: y\ndata: b\n\nevent: x\n\n",
    b"event: y\nid: 9\ndata: b\n\n", b"event:y\ndata: b\n\n", b": c\r\n\r\n", b": c\rdata: a\n\n",
    b": c\ndata: a\n\n", b":\n\n",
]  # fmt: skip


def outcome_of(decoder: SSEDecoder, chunks: list[bytes], comments: list[str]) -> reference.Outcome:
    events: list[ServerSentEvent] = []
    too_large = False
    try:
        for chunk in chunks:
            events += decoder.feed(chunk)
        events += decoder.close()
    except EventTooLargeError:
        too_large = True
    return reference.Outcome(
        [(event.event, event.data, event.id, event.retry) for event in events],
        comments,
        decoder.last_event_id,
        decoder.retry,
        decoder.incomplete,
        decoder.skipped,
        too_large,
        decoder.ignored,
        decoder.ignored_text,
    )
