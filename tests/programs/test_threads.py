# SPDX-License-Identifier: MIT
"""The threads as a command, for a moment, and what they find in what is broken."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from sse_stream.decoder import SSEDecoder
from sse_stream.streams import EventStream
from tests import vectors
from tests.programs import threads

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(trial: str) -> int:
    return threads.main(["--seconds", "0.05", "--threads", "2", "--trial", trial])


def late(stream: Any) -> Any:
    time.sleep(0.5)
    raise StopIteration


@pytest.fixture(scope="module", autouse=True)
def _few_streams() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cases = vectors.load("own.json")
        patch.setattr(threads, "recorded", lambda: cases)
        patch.setattr(threads, "PATIENCE", 5.0)
        yield


@pytest.mark.parametrize("trial", ["decoders", "closing", "source", "readers"])
def test_a_trial_holds(capsys: pytest.CaptureFixture[str], trial: str) -> None:
    assert run(trial) == 0
    held = rf"^{trial}: ([1-9][\d,]* events in 0.05 s, 0 threads with a|left out)"
    assert re.search(held, capsys.readouterr().out, re.MULTILINE)


def test_events_that_are_not_the_right_ones_are_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Shared(SSEDecoder):
        def feed(self, chunk: Any) -> Any:
            return super().feed(chunk) * 2

    monkeypatch.setattr(threads, "SSEDecoder", Shared)
    assert run("decoders") == 1
    assert "FAULT: decoders: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ({"last_event_id": "7"}, "but the position is '7'"),
        ({"release": lambda self: None}, "closed 0 and "),
        ({"__next__": lambda self: next(iter(()), 1 // 0)}, r"ZeroDivisionError\('"),
        ({"__next__": late}, "does not end"),
    ],
    ids=["position", "release", "error", "no end"],
)
def test_a_stream_that_does_not_close_well_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: dict[str, Any],
    fault: str,
) -> None:
    monkeypatch.setattr(threads, "EventStream", type("Broken", (EventStream,), broken))
    if fault == "does not end":
        monkeypatch.setattr(threads, "PATIENCE", 0.1)
    assert run("closing") == 1
    assert re.search(f"FAULT: closing: .*{fault}", capsys.readouterr().out)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the trial is left out there")
def test_events_that_are_read_twice_are_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    numbered = threads.numbered
    monkeypatch.setattr(threads, "numbered", lambda chance: numbered(chance) * 2)
    assert run("readers") == 1
    assert "FAULT: readers: " in capsys.readouterr().out


def test_two_readers_are_left_out_where_a_stream_cannot_tell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threads, "has_global_lock", lambda: False)
    assert run("readers") == 0
    assert "readers: left out, " in capsys.readouterr().out
