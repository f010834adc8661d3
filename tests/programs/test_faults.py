# SPDX-License-Identifier: MIT
"""The table of faults is what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sse_stream import ResponseError
from tests.adapters.server import EARLY_FAULTS, FAULTS, SILENT_FAULTS
from tests.clients import ASYNC_CLIENTS, ASYNC_HTTP2_CLIENTS, CLIENTS, HTTP2_CLIENTS, NAMES
from tests.programs import faults

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, table = faults.TABLE.page.read_text(encoding="utf-8"), faults.TABLE.read()
    renewed = tmp_path / "faults.md"
    renewed.write_text(page.replace(table, "another table\n"), encoding="utf-8")
    monkeypatch.setattr(faults.TABLE, "page", renewed)
    monkeypatch.setattr("sys.argv", ["faults", "--write"])
    assert faults.main() == 0
    assert renewed.read_text(encoding="utf-8") == page
    assert capsys.readouterr().out == table


def test_nothing_is_left_out() -> None:
    shown = [fault for row in faults.ROWS.values() for fault in row]
    assert sorted(shown) == sorted(
        [
            *FAULTS,
            *SILENT_FAULTS,
            *EARLY_FAULTS,
            "reset of an HTTP/2 stream",
            faults.SILENCE,
            faults.NO_SERVER,
        ]
    )
    assert {*CLIENTS, *ASYNC_CLIENTS} == {*NAMES} > {*HTTP2_CLIENTS} == {*ASYNC_HTTP2_CLIENTS}


def test_what_the_cells_tell() -> None:
    def shown(data: list[str], error: Exception | None, fault: str = "reset") -> str:
        return faults.cell("urllib", {fault: [faults.Outcome(data, error)]})

    both = ["one", "two"]
    assert shown(both, TimeoutError()) == "`TimeoutError`"
    assert shown(both, None) == "none"
    assert shown(["one"], TimeoutError()) == "`TimeoutError` after 1"
    assert shown([*both, "thr"], None) == "none after 3"
    assert shown([], ResponseError("", 200, {}, "")) == "`ResponseError`† before any event"
    assert shown([], TimeoutError(), "closed before headers") == "`TimeoutError`"
    assert shown([], KeyError(), "closed before headers") == "`KeyError`†"
