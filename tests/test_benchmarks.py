# SPDX-License-Identifier: MIT
"""The benchmark's inputs, arithmetic and drawings. Nothing here measures time."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import chart, contenders, measure, report, shapes
from benchmarks.cuts import CUTS, cut
from sse_stream import SSEDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable

SCALE = 0.05
BENCHMARKS = Path(shapes.__file__).parent
OWN = (*contenders.OURS, *contenders.FLOORS)


@pytest.mark.parametrize("cut_name", CUTS)
@pytest.mark.parametrize("shape", shapes.NAMES)
def test_expected_events_are_the_decoders(shape: str, cut_name: str) -> None:
    stream = shapes.build(shape, SCALE)
    chunks = cut(stream, cut_name)
    assert b"".join(chunks) == stream.data
    decoder = SSEDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    assert [tuple(event) for event in events] == [tuple(event) for event in stream.events]
    assert not decoder.incomplete


def test_streams_are_the_same_everywhere() -> None:
    streams = b"".join(shapes.build(name).data for name in shapes.NAMES)
    assert (
        hashlib.sha256(streams).hexdigest()
        == "648881ec94b9928b3f9671962f1be4e317967b4cec6363d5a47ca434055d4fe9"
    )


def test_every_shape_says_what_it_stresses() -> None:
    streams = [shapes.build(name, SCALE) for name in shapes.NAMES]
    assert all(stream.stresses for stream in streams)
    assert {stream.name for stream in streams if stream.llm} == {
        "chat",
        "chat-unicode",
        "anthropic",
        "responses",
    }
    with pytest.raises(ValueError, match="no shape is named 'other'"):
        shapes.build("other")


@pytest.mark.parametrize("cut_name", CUTS)
def test_own_ways_and_floors_give_the_expected_events(cut_name: str) -> None:
    loaded, missing = contenders.load(OWN)
    assert [contender.name for contender in loaded] == [*OWN]
    assert not missing
    for shape in shapes.NAMES:
        stream = shapes.build(shape, SCALE)
        chunks = contenders.plan(cut(stream, cut_name), stream)
        assert sum(len(answers) for _, answers in chunks.plan) == len(stream.events)
        for contender in loaded:
            assert measure.check(contender, chunks, stream) is None
            contender.drain(chunks)


def test_the_wrong_and_the_raising_are_not_timed() -> None:
    stream = shapes.build("tiny", SCALE)
    right = stream.events

    def fail(chunks: Iterable[bytes]) -> list[Any]:
        raise RuntimeError("no")

    cast = {
        "right": lambda chunks: right,
        "short": lambda chunks: right[1:],
        "other": lambda chunks: [right[0]._replace(data="other"), *right[1:]],
        "fail": fail,
    }
    outcomes = measure.measure_cell(
        [contenders.Contender(name, "peer", "1", events) for name, events in cast.items()],
        stream,
        "event",
        0,
    )
    assert {*outcomes["right"]} == {"ns", "runs"}
    assert outcomes["short"] == {"fault": f"wrong: {len(right) - 1} events of {len(right)}"}
    assert outcomes["other"] == {"fault": f"wrong: 1 events of {len(right)} differ"}
    assert outcomes["fail"] == {"fault": "raised RuntimeError: no"}


def test_a_peer_that_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> contenders.Contender:
        raise ModuleNotFoundError("No module named 'peer'")

    monkeypatch.setitem(contenders._MAKERS, "httpx2", gone)
    assert contenders.load(["httpx2"]) == (
        [],
        {"httpx2": "ModuleNotFoundError: No module named 'peer'"},
    )


def results() -> dict[str, Any]:
    """Made-up results: two shapes, two cuts.

    Pull takes 100, push 50, one peer 200 or 800, another 400 or is wrong.
    """

    def cell(peer: int, other: dict[str, Any]) -> dict[str, Any]:
        ours = {"sse_stream": {"ns": 100.0}, "sse_stream push": {"ns": 50.0}, "floor": {"ns": 25.0}}
        return {
            **ours,
            "peer": {"ns": float(peer)},
            "other": other,
            "eventsource-parser": {"ns": 40.0},
        }

    wrong = {"fault": "wrong: 1 events of 2"}
    found: dict[str, Any] = {
        "command": "python3 -m benchmarks",
        "python": {"implementation": "CPython", "version": "3.x", "compiler": "<C> & co."},
        "platform": "Linux",
        "versions": dict.fromkeys(
            ["sse_stream", "sse_stream push", "floor", "peer", "other", "eventsource-parser"], "1.0"
        ),
        "missing": {"third": "ImportError"},
        "cuts": {name: CUTS[name][1] for name in ("event", "64k")},
        "shapes": {
            name: {"stresses": "nothing", "llm": name == "chat"} for name in ("chat", "tiny")
        },
        "times": {
            "chat": {"event": cell(200, {"ns": 400.0}), "64k": cell(200, wrong)},
            "tiny": {"event": cell(800, {"ns": 400.0}), "64k": cell(800, {"ns": 400.0})},
        },
        "sizes": {"peaks": 1 << 20, "growth": 1 << 10},
        "peaks": {
            "peer": {"64 KiB chunks": 2.5, "1 KiB chunks": {"fault": "over 5 s", "so far": None}}
        },
        "growth": {
            "peer": {
                "one line, 16-byte chunks": [0.001, 0.002, 0.004],
                "many data lines, 1,448-byte chunks": {"fault": "over 5 s", "so far": [0.5]},
            }
        },
        "import": {"best ms": 1.0, "median ms": 2.0, "modules": ["collections"]},
    }
    found["summary"] = report.summarise(found)
    return found


def test_geometric_mean() -> None:
    assert report.geometric_mean([2, 8]) == pytest.approx(4)
    assert report.geometric_mean([5]) == pytest.approx(5)


def test_ratios_and_means() -> None:
    found = results()
    best = {("chat", "event"): 2, ("chat", "64k"): 2, ("tiny", "event"): 4, ("tiny", "64k"): 4}
    assert report.ratios(found, None, "sse_stream") == best
    assert report.ratios(found, "other", "sse_stream", shapes=["chat"]) == {("chat", "event"): 4}
    assert report.best_peer(found, "tiny", "event") == "other"
    relative = {
        name: (round(mean, 6), cells) for name, (mean, cells) in report.relative(found).items()
    }
    assert (relative["peer"], relative["other"]) == ((4, 4), (4, 3))
    rows = {row["figure"]: row["columns"] for row in found["summary"]}
    pull, push = rows["best peer / sse_stream"]
    assert (pull["mean"], pull["worst"], pull["cells"]) == (2.828, 2, 4)
    assert (push["mean"], push["worst"]) == (5.657, 4)
    (pull, push) = rows["sse_stream / floor, LLM streams, cut event and 1448"]
    assert (pull["worst"], pull["at"], push["worst"]) == (4, "chat, event", 2)
    assert rows["eventsource-parser / sse_stream, cut 64k"][0]["mean"] == 0.4
    assert rows["sse_stream / eventsource-parser, cut event"][0]["mean"] == 2.5


def test_markdown() -> None:
    text = report.markdown(results())
    assert "| chat  |  2.00 (4.00) peer" in text
    assert "- other on chat, 64k: wrong: 1 events of 2" in text
    assert "| peer      |          2.50 |     over 5 s |" in text
    assert "1.00, 2.00, 4.00 (4.0)" in text
    assert "500 … over 5 s" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_chart_is_well_formed() -> None:
    found = results()
    found["versions"]["peer"] = "<1> & more"
    root = ET.fromstring(chart.svg(found))
    labels = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "sse_stream push" in labels
    assert "peer <1> & more" in labels
    second = next(
        index for index, label in enumerate(labels) if label.startswith("OpenAI chat chunks")
    )
    assert "other 1.0" not in labels[:second], "a mean over fewer streams is not drawn"
    assert "other 1.0" in labels[second:]


def test_committed_results_match_the_streams() -> None:
    file = BENCHMARKS / "results" / "results.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [*found["shapes"]] == [*shapes.NAMES]
    for name, shape in found["shapes"].items():
        stream = shapes.build(name)
        assert (shape["bytes"], shape["events"]) == (len(stream.data), len(stream.events))
    assert report.summarise(found) == found["summary"]
    assert (file.parent / "results.md").read_text(encoding="utf-8") == report.markdown(found)
    assert (file.parent / "chart.svg").read_text(encoding="utf-8") == chart.svg(found)
    page = (BENCHMARKS.parent / "README.md").read_text(encoding="utf-8")
    assert report.readme(found) in page
    assert report.filled(page, found) == page


@pytest.mark.parametrize(
    "path",
    sorted([*BENCHMARKS.glob("*.*"), *BENCHMARKS.glob("results/*.*")]),
    ids=lambda path: path.name,
)
def test_every_file_names_its_licence(path: Path) -> None:
    start = path.read_text(encoding="utf-8")[:400]
    assert "SPDX-License-Identifier: MIT" in start or '"SPDX-License-Identifier": "MIT"' in start
