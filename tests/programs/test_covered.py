# SPDX-License-Identifier: MIT
"""The program that measures each module under its own tests, with the quickest of them."""

from __future__ import annotations

import pytest

from tests.programs import covered

pytest.importorskip("coverage", reason="the program needs .ci/requirements.txt")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["covered", *arguments])
    return covered.main()


def test_every_module_has_tests_of_its_own() -> None:
    assert {*covered.TESTS} <= {*covered.MODULES}
    for module in covered.MODULES:
        for path in covered.tests_of(module):
            assert (covered.ROOT / path).exists(), path


def test_a_module_that_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(covered.TESTS, "encoder", ["adapters/test_errors"])
    assert run(monkeypatch, "encoder") == 1
    assert capsys.readouterr().out.startswith("sse_stream/encoder.py ")


def test_a_module_that_there_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "nothing")
    assert "not nothing" in capsys.readouterr().err
