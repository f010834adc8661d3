# SPDX-License-Identifier: MIT
"""A bounded pass over the targets of `fuzz`: seeds, and random inputs, always the same."""

from __future__ import annotations

import base64
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from sse_stream import __main__, encoder, handshake, ndjson, streams
from sse_stream.decoder import SSEDecoder
from tests import vectors
from tests.programs import fuzz, fuzz_targets
from tests.programs.fuzz_targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 2500


def inputs(name: str) -> list[bytes]:
    chance = random.Random(name)
    target = TARGETS[name]
    seeds = target.seeds()
    made = seeds.copy()
    for _ in range(ROUNDS):
        kept = chance.choice(seeds)[: chance.randint(0, 80)] if chance.random() < 0.3 else b""
        pieces = b"".join(chance.choices(target.tokens, k=chance.randint(0, 16)))
        made.append(kept + pieces + chance.randbytes(chance.randint(0, 30)))
    return made


def run(name: str) -> None:
    for data in inputs(name):
        try:
            TARGETS[name].check(data)
        except Exception as error:  # noqa: PERF203  which input fails is to be told
            raise AssertionError(f"{name} fails on {data!r}") from error


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    run(name)


FOUND = json.loads((vectors.DATA / "fuzz.json").read_text())["cases"]


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case["about"])
def test_what_was_found(case: dict[str, str]) -> None:
    TARGETS[case["target"]].check(base64.b64decode(case["input_b64"]))


# Faults, each of which the bounded pass must find: no target may be blind.


FAULTS: list[tuple[str, Any, str, Any]] = [
    ("decoder", SSEDecoder, "_completed", property(lambda self: [], lambda self, events: None)),
    ("decoder", SSEDecoder, "_drop_event", lambda self: None),
    (
        "decoder",
        SSEDecoder,
        "last_event_id",
        property(lambda self: self._id_buffer, lambda self, value: None),
    ),
    ("decoder", SSEDecoder, "skipped", property(lambda self: 0, lambda self, value: None)),
    ("decoder", SSEDecoder, "ignored", property(lambda self: 0, lambda self, value: None)),
    ("decoder", SSEDecoder, "ignored_text", ""),
    (
        "decoder",
        streams.Reading,
        "position",
        lambda self: self.machine.last_event_id,
    ),
    (
        "encoder",
        encoder,
        "_prefixed",
        lambda prefix, text: "".join(f"{prefix}{line}\n" for line in text.splitlines()),
    ),
    ("encoder", encoder, "_refuse_all_but_text", lambda name, text, forbidden: None),
    ("ndjson", ndjson, "BOM", b""),
    ("ndjson", ndjson._DocumentMachine, "_measure", lambda self, line: None),
    ("headers", handshake, "header_value", lambda text: text.encode("utf-8", "replace")),
    ("headers", handshake, "shown_url", lambda url: url.partition("?")[0]),
    ("headers", handshake, "excerpt", lambda text, limit=200: text),
    ("terminal", __main__, "_ESCAPES", {}),
    ("terminal", fuzz_targets, "_readable", lambda event: event.data),
]


@pytest.mark.parametrize(
    ("name", "owner", "attribute", "fault"),
    FAULTS,
    ids=lambda value: value if type(value) is str else "",
)
def test_a_fault_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, owner: Any, attribute: str, fault: Any
) -> None:
    monkeypatch.setattr(owner, attribute, fault)
    with pytest.raises(AssertionError) as raised:
        run(name)
    assert type(raised.value.__cause__) is AssertionError  # and no mistake of the fault itself


# The command.


def test_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = tmp_path / "ndjson-crash-1"
    finding.write_bytes(b"1" * 40 + bytes([0, 0, 5, 1]))
    assert fuzz.main(["--replay", str(finding)]) == 0
    assert capsys.readouterr().out == "ndjson: no failure\n"
    monkeypatch.setattr(ndjson._DocumentMachine, "_measure", lambda self, line: None)
    with pytest.raises(AssertionError):
        fuzz.main(["--replay", str(finding)])


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--replay", "nameless"], "name the target"), (["--target", "x"], "no target x")],
)
def test_a_wrong_command_line(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        fuzz.main(options)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err
