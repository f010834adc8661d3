# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
import json
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from sse_stream.decoder import IncompleteEventError, SSEError
from sse_stream.ndjson import AsyncDocuments, DocumentError, aiter_documents, iter_documents
from sse_stream.payloads import ServiceError
from sse_stream.streams import StreamClosedError
from tests import llm, vectors
from tests.support import AsyncChunks, Chunks, generate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


async def collect(documents: AsyncDocuments) -> list[Any]:
    return [document async for document in documents]


def take(documents: Iterator[Any]) -> tuple[list[Any], DocumentError | None]:
    """Return the documents, and the error after them."""
    taken: list[Any] = []
    try:
        for document in documents:
            taken.append(document)  # noqa: PERF402  an error must not lose them
    except DocumentError as error:
        return taken, error
    return taken, None


@given(
    st.lists(
        st.tuples(
            JSON, st.sampled_from(["\n", "\r\n", "\n\n", " \n\t\r\n", "\n \n"]), st.booleans()
        )
    ),
    st.lists(st.integers(0, 200)),
    st.booleans(),
    st.booleans(),
)
def test_any_cut(
    lines: list[tuple[Any, str, bool]], cuts: list[int], bom: bool, last: bool
) -> None:
    text = "".join(
        json.dumps(document, ensure_ascii=escaped) + end for document, end, escaped in lines
    )
    stream = (b"\xef\xbb\xbf" if bom else b"") + (text + ("[1]" if last else "")).encode(
        "utf-8", "surrogatepass"
    )
    chunks = vectors.cut(stream, [cut % (len(stream) + 1) for cut in cuts])
    expected = [document for document, _, _ in lines] + [[1]] * last
    assert list(iter_documents(chunks)) == expected
    assert list(iter_documents(stream[i : i + 1] for i in range(len(stream)))) == expected
    assert asyncio.run(collect(aiter_documents(AsyncChunks(*chunks)))) == expected


@given(
    st.binary(max_size=60) | st.text('[]{}1,"\n\r ', max_size=40).map(str.encode),
    st.lists(st.integers(0, 60)),
)
def test_faults_are_the_same_at_any_cut(stream: bytes, cuts: list[int]) -> None:
    documents, error = take(iter_documents([stream], max_line_size=20))
    chunks = vectors.cut(stream, [cut % (len(stream) + 1) for cut in cuts])
    again, same = take(iter_documents(chunks, max_line_size=20))
    assert again == documents
    assert (same is None) == (error is None)
    if error is not None and same is not None:
        assert same.line_number == error.line_number
        if "longer" in str(error):  # an unfinished line shows what has come of it
            assert error.start.startswith(same.start.rstrip("\ufffd"))
        else:
            assert str(same) == str(error)


def test_each_document_comes_when_its_line_ends() -> None:
    given: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (b'{"a": 1}\n{"b"', b": 2}\n3"):
            given.append(chunk)
            yield chunk

    documents = iter_documents(chunks())
    assert (next(documents), len(given)) == ({"a": 1}, 1)
    assert (next(documents), len(given)) == ({"b": 2}, 2)
    assert list(documents) == [3]


@pytest.mark.parametrize("chunk", [bytearray(b"1\n2"), memoryview(b"1\n2")])
def test_other_kinds_of_chunk(chunk: Any) -> None:
    assert list(iter_documents([chunk])) == [1, 2]


def test_only_lf_ends_a_line() -> None:
    assert list(iter_documents(['"\u2028\u0085"\r\n[1,\r2]\n'.encode()])) == [
        "\u2028\u0085",
        [1, 2],
    ]


def test_loads() -> None:
    assert list(iter_documents([b"1.0\n"], loads=lambda text: text + "!")) == ["1.0!"]


def test_loads_that_checks_a_schema() -> None:
    def loads(text: str) -> Any:
        return json.loads(text)["text"]

    documents = iter_documents([b'{"text": "a"}\n{"error": "gone"}\n'], loads=loads)
    assert next(documents) == "a"
    with pytest.raises(ServiceError, match="an error: gone"):
        next(documents)
    with pytest.raises(DocumentError, match="line 1 is JSON, but loads refused it"):
        list(iter_documents([b'{"other": 1}\n'], loads=loads, is_error=lambda _: False))
    with pytest.raises(DocumentError, match="line 1 is JSON, but loads refused it"):
        list(iter_documents([b'{"error": 1}\n'], loads=loads, is_error=None))
    with pytest.raises(DocumentError, match="line 1 is no JSON document"):
        list(iter_documents([b"no\n"], loads=loads))


def test_an_is_error_that_knows_what_loads_makes_alone() -> None:
    class Token:
        def __init__(self, text: str) -> None:
            self.text: str = json.loads(text)["text"]

    def read(line: bytes) -> list[Any]:
        return list(iter_documents([line], loads=Token, is_error=lambda it: it.text == "failed"))

    with pytest.raises(DocumentError, match="line 1 is JSON, but loads refused it"):
        read(b'{"other": 1}')
    with pytest.raises(ServiceError):
        read(b'{"text": "failed"}')


# Errors.


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (b'{"text": "cut o', "no JSON document"),
        (b'"\xff"', "no text in UTF-8"),
        (b"\xef\xbb\xbf1", "no JSON document"),  # not the first
        (b"[" * 200_000, "no JSON document"),  # RecursionError
    ],
    ids=["cut", "UTF-8", "byte order mark", "nested"],
)
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_what_is_no_document(line: bytes, hint: str, end: bytes) -> None:
    source = Chunks(b"1\n\n2\n" + line + end + b"3\n" * bool(end))
    documents = iter_documents(source)
    assert [next(documents), next(documents)] == [1, 2]
    with pytest.raises(DocumentError, match=f"^line 4 .*{hint}") as raised:
        next(documents)
    assert isinstance(raised.value, SSEError)
    assert raised.value.line_number == 4
    assert raised.value.start == line[:200].decode("utf-8", "replace")
    assert raised.value.__cause__ is not None
    assert source.closed == 1
    with pytest.raises(StreamClosedError):
        next(documents)


def test_the_error_can_be_pickled() -> None:
    _, error = take(iter_documents([b"nonsense"]))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.line_number, copy.start) == (
        DocumentError,
        str(error),
        1,
        "nonsense",
    )


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("size", [1, 2, 99])
def test_the_bound(bom: bytes, size: int) -> None:
    stream = bom + b"12345\n67890\n1234567"

    def cut(stream: bytes) -> list[bytes]:
        return [stream[i : i + size] for i in range(0, len(stream), size)]

    assert list(iter_documents(cut(stream), max_line_size=7)) == [12345, 67890, 1234567]
    assert list(iter_documents(cut(stream), max_line_size=None)) == [12345, 67890, 1234567]
    documents, error = take(iter_documents(cut(stream), max_line_size=6))
    assert documents == [12345, 67890]
    assert error is not None
    assert (error.line_number, error.start) == (3, "1234567")
    documents, error = take(iter_documents(cut(stream), max_line_size=4))
    assert documents == []
    assert error is not None
    assert (error.line_number, error.start, error.__cause__) == (1, "12345", None)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_byte_order_mark_is_larger_than_the_bound(limit: int, size: int) -> None:
    """What may become one is no content before it is known to be none."""
    stream = b"\xef\xbb\xbf1\n2\n"
    assert list(
        iter_documents([stream[i : i + size] for i in range(0, 7, size)], max_line_size=limit)
    ) == [1, 2]
    _, error = take(iter_documents([b"\xef\xbb", b"1"], max_line_size=limit))
    assert error is not None
    assert error.line_number == 1


@pytest.mark.parametrize("cut", [5, 8, 20])
def test_the_start_of_a_line_that_is_too_long_does_not_depend_on_the_chunks(cut: int) -> None:
    line = b"123456789\n"
    _, error = take(iter_documents([line[:cut], line[cut:]], max_line_size=4))
    assert error is not None
    assert error.start == "12345"


def test_an_endless_line_is_refused_as_soon_as_it_is_too_long() -> None:
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield b"x" * 10

    with pytest.raises(DocumentError, match="longer than max_line_size=100"):
        next(iter_documents(endless(), max_line_size=100))
    assert given == 11


def test_the_cost_is_linear() -> None:
    """Count the bytes that the buffer touches, not seconds: each is appended once."""

    class Counting(bytearray):
        appended = 0

        def __iadd__(self, chunk: Any) -> Any:  # type: ignore[misc]
            Counting.appended += len(chunk)
            return super().__iadd__(chunk)

    documents = iter_documents(b"1" for _ in range(4000))
    machine: Any = documents.machine
    machine._rest = Counting()
    assert list(documents) == [int("1" * 4000)]
    assert Counting.appended == 4000


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_line_size": 0}, ValueError),
        ({"max_line_size": 1.5}, TypeError),
        ({"loads": 5}, TypeError),
    ],
)
@pytest.mark.parametrize("make", [iter_documents, aiter_documents])
def test_mistakes(make: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make(AsyncChunks(), **options)


def test_what_is_no_iterable_of_bytes() -> None:
    for chunks in (b"1\n", "1\n", 5):
        with pytest.raises(TypeError):
            iter_documents(chunks)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="aiter_documents"):
        iter_documents(generate())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="to iter_documents"):
        aiter_documents([b"1\n"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes, not str"):
        list(iter_documents(["1\n"]))  # type: ignore[list-item]


# What it owns.


def test_an_error_of_the_chunks() -> None:
    """What was complete comes first; what was cut off is dropped."""
    source = Chunks(b"1\n2\n3", OSError("reset"))
    documents = iter_documents(source)
    assert [next(documents), next(documents)] == [1, 2]
    with pytest.raises(OSError, match="reset"):
        next(documents)
    assert source.closed == 1
    with pytest.raises(StreamClosedError):
        next(documents)


def test_an_error_of_the_chunks_async() -> None:
    async def main() -> None:
        source = AsyncChunks(b"1\n2\n3", OSError("reset"))
        documents = aiter_documents(source)
        assert [await documents.__anext__(), await documents.__anext__()] == [1, 2]
        with pytest.raises(OSError, match="reset"):
            await documents.__anext__()
        assert source.closed == 1
        with pytest.raises(StreamClosedError):
            await documents.__anext__()

    asyncio.run(main())


class Stubborn(AsyncChunks):
    def close(self) -> None:
        super().close()
        raise ValueError("will not close")


def test_an_error_of_the_release_hides_no_other() -> None:
    with pytest.raises(OSError, match="reset"):
        list(iter_documents(Stubborn(OSError("reset"))))
    with pytest.raises(OSError, match="reset"):
        asyncio.run(collect(aiter_documents(Stubborn(OSError("reset")))))


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython counts references")
def test_what_is_dropped_is_released_at_once() -> None:
    closed: list[str] = []

    def chunks() -> Iterator[bytes]:
        try:
            yield b"1\n2\n"
        finally:
            closed.append("chunks")

    gc.collect()
    gc.disable()
    try:
        for document in iter_documents(chunks()):
            assert document == 1
            break
    finally:
        gc.enable()
    assert closed == ["chunks"]


def test_leaving() -> None:
    source = Chunks(b"1\n2\n3\n")
    with iter_documents(source) as documents:
        assert next(documents) == 1
    assert source.closed == 1
    with pytest.raises(StreamClosedError, match="block was left"):
        next(documents)

    async def main() -> None:
        source = AsyncChunks(b"1\n2\n3\n")
        async with aiter_documents(source) as documents:
            assert await documents.__anext__() == 1
        assert source.closed == 1
        with pytest.raises(StreamClosedError, match="block was left"):
            await documents.__anext__()

    asyncio.run(main())


@pytest.mark.parametrize("after", [[b"2\n"], []])
def test_closing_from_another_thread(after: list[bytes]) -> None:
    reading, closed = threading.Event(), threading.Event()

    def source() -> Iterator[bytes]:
        yield b"1\n"
        reading.set()
        assert closed.wait(6)
        yield from after

    documents = iter_documents(source())

    def close() -> None:
        assert reading.wait(6)
        documents.close()
        closed.set()

    thread = threading.Thread(target=close)
    thread.start()
    assert list(documents) == [1]
    thread.join()


def test_closing_while_another_task_waits() -> None:
    async def main(*after: bytes) -> None:
        left = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            yield b"1\n"
            await left.wait()
            for chunk in after:
                yield chunk

        documents = aiter_documents(chunks())
        waiting = asyncio.create_task(collect(documents))
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="two tasks"):
            await documents.__anext__()
        await documents.aclose()
        left.set()
        assert await waiting == [1]

    asyncio.run(main(b"2\n"))
    asyncio.run(main())


def test_cancellation() -> None:
    class Silence(AsyncChunks):
        async def __anext__(self) -> bytes:
            await trio.sleep(60)
            return b""

    async def main() -> None:
        source = Silence()
        with trio.move_on_after(0.01) as scope:
            await aiter_documents(source).__anext__()
        assert scope.cancelled_caught
        assert source.closed == 1

    trio.run(main)


def test_a_coroutine_that_is_closed_awaits_nothing() -> None:
    class Waits(AsyncChunks):
        async def __anext__(self) -> bytes:
            await asyncio.Event().wait()
            return b""

    source = Waits()
    documents = aiter_documents(source)
    waiting = documents.__anext__()
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: waiting.send(None))
    loop.call_soon(waiting.close)
    loop.call_soon(loop.stop)
    loop.run_forever()
    with pytest.raises(StreamClosedError, match="cancelled"):
        loop.run_until_complete(anext(documents))
    loop.run_until_complete(documents.aclose())
    loop.close()
    assert source.closed == 1


# What services send.


@pytest.mark.parametrize("name", llm.DOCUMENTS)
def test_the_shapes_of_services(name: str) -> None:
    """Whole, byte by byte, and cut anywhere: each cut that costs a document is noticed."""
    shape = llm.DOCUMENTS[name]
    options: Any = {"require_done": True, **shape.options}
    whole = list(iter_documents(shape.parts, **options))
    assert len(whole) == shape.payloads
    stream = shape.stream
    bytewise = [stream[i : i + 1] for i in range(len(stream))]
    assert list(iter_documents(bytewise, **options)) == whole
    assert asyncio.run(collect(aiter_documents(AsyncChunks(*bytewise), **options))) == whole
    for size in range(len(stream)):
        got: list[Any] = []
        try:
            got.extend(iter_documents([stream[:size]], **options))
        except DocumentError as error:
            assert "the stream ended in this line" in str(error)  # noqa: PT017
        except IncompleteEventError:
            assert got == whole[: len(got)]
        else:
            assert got == whole


@pytest.mark.parametrize(
    ("done", "payloads"),
    [
        (lambda document: document == 2, [1, 2]),
        ("[DONE]", [1, 2, 3]),
        (("[DONE]", lambda document: document == 1), [1]),
        ({"END"}, [1, 2, 3, "[DONE]"]),
    ],
)
def test_marks(done: Any, payloads: list[Any]) -> None:
    source = Chunks(b'1\n2\n3\n"[DONE]"\nEND\n', AssertionError("read beyond the mark"))
    documents = iter_documents(source, done=done, require_done=True)
    assert list(documents) == payloads
    assert source.closed == 1
    with pytest.raises(IncompleteEventError, match="before its mark"):
        list(iter_documents([b"7\n"], done=done, require_done=True))
    assert list(iter_documents([b"7\n"], done=done)) == [7]


def test_an_error_of_the_service_comes_after_what_was_complete() -> None:
    body = b'{"done": false}\n{"error": "model gone", "done": true}\n{"done": true}\n'
    for size in (1, len(body)):
        documents = iter_documents(
            [body[i : i + size] for i in range(0, len(body), size)],
            done=lambda document: document.get("done"),
            require_done=True,
        )
        assert next(documents) == {"done": False}
        with pytest.raises(ServiceError, match="sent an error: model gone; data: ") as info:
            next(documents)
        assert info.value.event is None
        assert info.value.payload == {"error": "model gone", "done": True}
        with pytest.raises(StreamClosedError):
            next(documents)
    assert list(iter_documents([body], is_error=None))[1]["error"] == "model gone"


def test_an_error_is_what_one_says() -> None:
    for is_error in (lambda document: document == 2, lambda event, document: document == 2):
        asked: Any = is_error
        documents = iter_documents([b"1\n2\n"], is_error=asked)
        assert next(documents) == 1
        with pytest.raises(ServiceError, match=r"sent an error: 2$") as info:
            next(documents)
        assert info.value.message == "2"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (b'{"a": 1}{"b": 2}', "two on one line"),
        (b"1 2", "two on one line"),
        (b'[{"candidates": [', "the start of a JSON array over several lines"),
        (b"[", "the start of a JSON array over several lines"),
        (b"{", "the start of one over several lines"),
        (b'data: {"a": 1}', "one of an event stream"),
        (b": comment", "one of an event stream"),
        (b"<html>", "is no JSON document \\("),
    ],
)
def test_what_a_line_seems_to_be(line: bytes, hint: str) -> None:
    with pytest.raises(DocumentError, match=hint) as info:
        list(iter_documents([line + b"\n1\n"]))
    assert "ended" not in str(info.value)
    with pytest.raises(DocumentError, match=hint + ".*; the stream ended in this line: "):
        list(iter_documents([line]))


@pytest.mark.parametrize("name", ["done", "is_error", "loads"])
def test_a_coroutine_function_would_always_say_yes(name: str) -> None:
    async def function(document: object) -> bool:
        return False

    options: Any = {name: function}
    with pytest.raises(TypeError, match=f"{name} must be a plain function"):
        iter_documents([], **options)


def test_an_error_check_that_is_no_function() -> None:
    wrong: Any = "error"
    with pytest.raises(TypeError, match="is_error must be a function or None, not str"):
        iter_documents([], is_error=wrong)


def test_an_error_check_whose_parameters_are_not_known() -> None:
    """Such as a builtin: it is called as payloads call theirs, with None and the document."""

    class Document:
        def __init__(self, text: str) -> None:
            self.text = text

        def __gt__(self, other: object) -> bool:
            assert other is None
            return self.text == "b"

    is_error: Any = max
    documents = iter_documents([b"a\nb\n"], loads=Document, is_error=is_error)
    assert next(documents).text == "a"
    with pytest.raises(ServiceError) as failed:
        next(documents)
    assert failed.value.payload.text == "b"


def test_a_large_chunk_is_read_in_pieces() -> None:
    """A hundred compressed bytes may have unfolded to it."""
    parsed: list[str] = []

    def loads(text: str) -> int:
        parsed.append(text)
        return 7

    async def chunks() -> AsyncIterator[bytes]:
        yield chunk

    async def main() -> None:
        documents = aiter_documents(chunks(), loads=loads)
        assert await documents.__anext__() == 7
        assert len(parsed) == 32768
        assert await collect(documents) == [7] * 39_999

    chunk = b"7\n" * 40_000
    documents = iter_documents([chunk], loads=loads)
    assert next(documents) == 7
    assert len(parsed) == 32768
    assert list(documents) == [7] * 39_999
    parsed.clear()
    asyncio.run(main())


def test_documents_are_woken_as_their_chunks_are() -> None:
    class Source:
        def __init__(self) -> None:
            self.interrupted = 0

        def __iter__(self) -> Source:
            return self

        def __next__(self) -> bytes:
            return b"1\n"

        def interrupt(self) -> None:
            self.interrupted += 1

    source = Source()
    assert iter_documents(source).wake()
    assert source.interrupted == 1
    assert not iter_documents([b"1\n"]).wake()
