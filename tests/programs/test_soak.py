# SPDX-License-Identifier: MIT
"""The soak as a command, with few events."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.programs import soak

if TYPE_CHECKING:
    from tests.adapters.server import Connection, Handler

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="the soak reads Linux's /proc"
)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["soak", *arguments])
    return soak.main()


@pytest.mark.parametrize("way", soak.WAYS)
def test_each_client(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    assert run(monkeypatch, "--events", "20000", "--client", way) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(rf"^\| {way} \| [\d,]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \|$", out, re.MULTILINE)


def test_events_that_are_lost_or_doubled_are_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sending = soak.sending
    monkeypatch.setattr(soak, "sending", lambda count, cuts: sending(count - 1, cuts))
    assert run(monkeypatch, "--events", "2000", "--client", "urllib") == 1
    assert "FAULT: urllib: 1999 of 2000 events, the last ID 000001999" in capsys.readouterr().err

    def forgetful(count: int, cuts: int) -> Handler:
        """Resume at the beginning, whatever the client asks."""
        handler = sending(count, cuts)

        def without_header(connection: Connection) -> None:
            connection.request = connection.request._replace(fields=[])
            handler(connection)

        return without_header

    monkeypatch.setattr(soak, "sending", forgetful)
    assert run(monkeypatch, "--events", "2000", "--client", "subscribe") == 1
    assert "the event after 000000182 is ServerSentEvent(" in capsys.readouterr().err


def test_memory_that_grows_is_a_fault() -> None:
    report = {"count": 7, "last": "000000007", "memory": [1, 1 + soak.GROWTH, 1]}
    assert soak.fault(report, 7) == ""
    report["memory"] = [1, 2 + soak.GROWTH, 1]
    assert soak.fault(report, 7) == f"the memory grew by {soak.GROWTH + 1} bytes"
