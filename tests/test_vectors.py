# SPDX-License-Identifier: MIT
"""The recorded streams as files that anyone can read and add to; replaying is test_vendoring's."""

from __future__ import annotations

import io
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import vectors
from tests.support import streams

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the commands work on a copy of tests/data."""
    copy = tmp_path / "data"
    shutil.copytree(vectors.DATA, copy)
    monkeypatch.setattr(vectors, "DATA", copy)
    return copy


def test_every_name_is_there_once() -> None:
    names = [case.name for file_name in vectors.FILES for case in vectors.load(file_name)]
    assert len(names) == len({*names}) > 2560


@pytest.mark.parametrize("file_name", ["wpt.json", "services.json", "own.json"])
def test_the_files_are_written_as_the_command_writes_them(data: Path, file_name: str) -> None:
    text = (data / file_name).read_text(encoding="utf-8")
    document = json.loads(text)
    vectors.write(file_name, document)
    assert (data / file_name).read_text(encoding="utf-8") == text
    for case, there in zip(vectors.load(file_name), document["cases"], strict=True):
        assert vectors.to_json(case, there.get("about", "")) == there


@pytest.mark.parametrize("file_name", vectors.FILES)
def test_the_files_are_text_that_can_be_seen(file_name: str) -> None:
    text = (vectors.DATA / file_name).read_text(encoding="utf-8")
    assert all(c.isprintable() or c == "\n" for c in text)


@given(streams | st.text("ab\n:", max_size=20).map(lambda text: (text * 120).encode()))
def test_a_case_comes_back_from_its_file(stream: bytes) -> None:
    case = vectors.expect("any", stream)
    document = json.loads(json.dumps(vectors.to_json(case)))
    assert vectors.from_json(document) == case


def test_a_stream_is_added(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = vectors.load(vectors.OWN)
    arguments = ["add", "new", "id: 1\\ndata: \\u00e9\\n\\ndata: b", "--about", "An end"]
    assert vectors.main(arguments) == 0
    shown = capsys.readouterr().out
    assert '"data": "b"' in shown
    assert shown.endswith("the package agrees\n")
    *others, added = vectors.load(vectors.OWN)
    assert others == before
    assert added == vectors.Case(
        "new",
        "id: 1\ndata: é\n\ndata: b".encode(),
        vectors.Expected([("message", "é", "1")], None, "1"),
        vectors.Expected([("message", "é", "1"), ("message", "b", "1")], None, "1"),
    )
    text = (data / vectors.OWN).read_text(encoding="utf-8")
    assert '\n   "about": "An end",\n' in text
    assert '\n    {"event": "message", "data": "é", "id": "1"}\n' in text
    with pytest.raises(SystemExit):
        vectors.main(arguments)
    assert "there is a stream named new already" in capsys.readouterr().err


def test_a_stream_that_the_package_gets_wrong(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Wrong:
        def __init__(self, **_: Any) -> None:
            raise KeyError("wrong")

    monkeypatch.setattr("sse_stream.decoder.SSEDecoder", Wrong)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"data: \\n\n\n")))
    assert vectors.main(["add", "new", "-"]) == 1
    assert "DIFFERENT: new" in capsys.readouterr().out
    assert vectors.load(vectors.OWN)[-1].stream == b"data: \\n\n\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"data: a\n\r\t\0\\n", b"data: a\n\r\t\0\\n"),
        (r"\xff\xe9\u00e9é", b"\xff\xe9\xc3\xa9\xc3\xa9"),
        (r"\q\x1\u12", rb"\q\x1\u12"),
    ],
)
def test_escapes(text: str, expected: bytes) -> None:
    assert vectors.unescaped(text) == expected
