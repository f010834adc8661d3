# SPDX-License-Identifier: MIT
"""The lasting subscriptions as a command, for moments."""

from __future__ import annotations

import asyncio
import os
import re

import pytest

from tests.programs import lasting

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="the program reads Linux's /proc"
)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["lasting", *arguments])
    return lasting.main()


def test_a_moment_of_each_kind_of_client(capsys: pytest.CaptureFixture[str]) -> None:
    ways = ["urllib", "httpx, trio"]
    assert asyncio.run(lasting.hold_all(ways, 1)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \|", out, re.MULTILINE)
    assert [row[0] for row in rows] == ways
    assert all(int(row[1]) > 0 for row in rows)


def test_data_that_is_not_the_events_own_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data_of = lasting.data_of
    monkeypatch.setattr(lasting, "data_of", lambda way, number: data_of(way, number + number // 3))
    assert run(monkeypatch, "--seconds", "60", "--client", "urllib") == 1
    assert "AssertionError: after 2 came ServerSentEvent(" in capsys.readouterr().err


def report(**last: int) -> dict[str, object]:
    tenth = {"bytes": 50 << 20, "descriptors": 8, "threads": 1, "tasks": 1}
    return {"count": 7, "tenths": [tenth] * 9 + [{**tenth, **last}]}


def test_what_grows_is_a_fault() -> None:
    assert lasting.faults(report(descriptors=8 + lasting.SLACK), 7) == []
    assert lasting.faults(report(bytes=(50 << 20) + lasting.GROWTH), 7) == []
    assert lasting.faults(report(descriptors=20, tasks=5), 7) == [
        "descriptors grew from 8 to 20",
        "tasks grew from 1 to 5",
    ]
    assert lasting.faults(report(bytes=60 << 20), 7) == [
        f"bytes grew from {50 << 20} to {60 << 20}"
    ]


def test_events_that_did_not_come_are_a_fault() -> None:
    assert lasting.faults(report(), 8) == ["7 of 8 events"]
    assert lasting.faults({"count": 0, "tenths": []}, 0) == ["0 of 0 events"]


class Fixed:
    """Random numbers that are none: a connection without an event, and then its ID alone."""

    def choices(self, *_: object) -> list[str]:
        return ["ids"]

    def random(self) -> float:
        return 1.0

    def randrange(self, *_: int) -> int:
        return 0


def test_the_server_moves_no_client_past_what_it_has_not_got() -> None:
    async def main() -> bytes:
        endpoint = lasting.Endpoint("way")
        endpoint.sent = 5  # on a connection that broke before the client had read it
        endpoint.random = Fixed()  # type: ignore[assignment]
        port = int((await endpoint.listen()).rpartition(":")[2].strip("/"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nLast-Event-ID: 3\r\n\r\n")
        answer = await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.close()
        await endpoint.go()
        return answer

    assert b"id: 3\n\n" in asyncio.run(main())
