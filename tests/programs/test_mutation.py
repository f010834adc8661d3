# SPDX-License-Identifier: MIT
"""The program that breaks the code: how a change is put in, and which tests are to notice it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sse_stream import _excerpt

pytest.importorskip("resource", reason="the program is for POSIX")

from tests.programs import mutation

SOURCE = """\
LIMIT = 1

@decorated
def cut(text,
        limit):
    if (text and
            limit):
        return text[
            :limit
        ]
    try:
        pass
    except ValueError:
        raise
"""


def test_the_lines_of_a_statement() -> None:
    statements = mutation.statements_by_line(SOURCE)
    assert statements[1] == range(1, 2)
    assert statements[4] == statements[5] == range(4, 6)  # the head
    assert statements[6] == statements[7] == range(6, 8)
    assert statements[8] == statements[9] == statements[10] == range(8, 11)
    assert statements[13] == range(13, 14)


def test_what_differs() -> None:
    changed = SOURCE.replace("            :limit\n        ]", ":1]")
    assert mutation.difference(SOURCE, changed) == (9, ":limit ]", ":1]")
    at = SimpleNamespace(
        start=SimpleNamespace(line=9, column=12), end=SimpleNamespace(line=10, column=9)
    )
    assert mutation.spliced(SOURCE, at, ":1]") == SOURCE.replace(":limit\n        ]", ":1]")


def mutant(source: str, line: int, span: range) -> mutation.Mutant:
    statement = range(line, line + 1)
    return mutation.Mutant("_excerpt", "excerpt", line, statement, span, 0, source, "", "")


def test_a_change_is_put_into_the_function_that_is_loaded() -> None:
    source = Path(str(_excerpt.__file__)).read_text()
    lines = source.splitlines()
    first = next(i for i, line in enumerate(lines, 1) if line.startswith("def excerpt("))
    span = range(first, len(lines) + 1)
    assert _excerpt.excerpt("x" * 300) == "x" * 200 + " ..."
    try:
        mutation.put_in(mutant(source.replace("limit: int = 200", "limit: int = 7"), first, span))
        assert _excerpt.excerpt("x" * 300) == "x" * 7 + " ..."
        mutation.put_in(mutant(source.replace("return start if", "return text if"), first, span))
        assert _excerpt.excerpt("a  b") == "a  b"
    finally:
        mutation.put_in(mutant(source, first, span))
    assert _excerpt.excerpt("x" * 300) == "x" * 200 + " ..."
    assert _excerpt.excerpt("a  b") == "a b"


def test_the_tests_that_may_notice() -> None:
    def named(*names: str) -> list[Any]:
        return [SimpleNamespace(originalname=name) for name in names]

    items = named("test_slow", "test_other", "test_quick", "test_near")
    tests = {5: {"test_slow", "test_quick"}, 6: {"test_near"}, 7: {"test_near", ""}}
    seconds = {"test_slow": 2.0, "test_quick": 0.1, "test_near": 0.5, "test_other": 0.2}
    coverage = mutation.Coverage(tests, seconds)

    def chosen(line: int, span: range) -> list[str]:
        found = mutation.chosen(items, mutant("", line, span), coverage)
        return [item.originalname for item in found]

    assert chosen(5, range(4, 8)) == ["test_quick", "test_slow"]
    assert chosen(7, range(4, 8)) == ["test_near", "test_quick", "test_slow", "test_other"]
    assert chosen(1, range(0)) == ["test_quick", "test_other", "test_near", "test_slow"]


def test_the_list_of_what_no_test_can_notice() -> None:
    for entry in json.loads(mutation.EQUIVALENT.read_text()):
        assert tuple(entry) == mutation.NAMES
        assert entry["module"] in mutation.MODULES
        assert entry["from"] != entry["to"]
        assert entry["reason"].endswith(".")
