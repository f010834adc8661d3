# SPDX-License-Identifier: MIT
"""The benchmark: its inputs, arithmetic and drawings, and small runs. No test depends on a time."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import chart, contenders, measure, report, shapes
from benchmarks.cuts import CUTS, NETWORKS, cut
from sse_stream import SSEDecoder, __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package, whose version is "before"."""
    folder = tmp_path / "checkout"
    package = Path(sys.modules["sse_stream"].__file__ or "").parent
    shutil.copytree(package, folder / "sse_stream", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "sse_stream" / "__init__.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text + '\n__version__ = "before"\n', encoding="utf-8")
    return folder


@pytest.fixture
def forget() -> Iterator[None]:
    """Unload afterwards what the test has loaded beside ours."""
    yield
    for name in [name for name in sys.modules if name.startswith("sse_stream_")]:
        del sys.modules[name]


@pytest.mark.usefixtures("forget")
def test_another_version_runs_beside_ours_and_apart_from_it(before: Path) -> None:
    loaded, missing = contenders.load(["floor", *contenders.OURS], {"before": str(before)})
    assert not missing
    kinds = {contender.name: (contender.kind, contender.version) for contender in loaded}
    assert kinds["before EventStream"] == kinds["before feed"] == ("other", "before")
    assert kinds["sse_stream feed"] == ("ours", __version__)
    other = contenders.load_other("before", before)
    assert other is contenders.load_other("before", before)
    for name in ("SSEDecoder", "EventStream", "AsyncEventStream", "ServerSentEvent"):
        assert getattr(other, name) is not getattr(sys.modules["sse_stream"], name)
    stream = shapes.build("chat", SCALE)
    chunks = contenders.plan(cut(stream, "1448"), stream)
    for contender in loaded:
        assert measure.check(contender, chunks, stream) is None
        contender.drain(chunks)
        module = type(next(iter(contender.events(chunks)))).__module__
        assert module.startswith("sse_stream_before.") == (contender.kind == "other")
    runs = [contender.run for contender in loaded if contender.name.endswith(" feed")]
    codes = {id(getattr(run, "__code__", None)) for run in runs}
    assert len(codes) == 2, "what the interpreter learns of one version is not the other's"


@pytest.mark.usefixtures("forget")
def test_another_version_that_cannot_be_had_is_an_error(before: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="there is no package sse_stream in"):
        contenders.load([], {"before": str(tmp_path)})
    file = before / "sse_stream" / "__init__.py"
    file.write_text("from sse_stream import *\nfrom sse_stream import __version__\n")
    with pytest.raises(ImportError, match="imports itself by name"):
        contenders.load([], {"before": str(before)})
    file.write_text("from . import decoder\nraise RuntimeError('broken')\n")
    with pytest.raises(RuntimeError, match="broken"):
        contenders.load([], {"before": str(before)})
    assert not [name for name in sys.modules if name.startswith("sse_stream_")]


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, with small streams and few runs."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "ours", *arguments]
    return subprocess.run(
        command, cwd=BENCHMARKS.parent, capture_output=True, text=True, check=False
    )


def test_a_run_before_and_after(before: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    options = ["--shapes", "chat", "--cuts", "64k,16", "--speed-only", f"--output={output}"]
    done = benchmark(*options, "--against", str(before), f"--against=copy={before}")
    assert done.returncode == 0, done.stderr
    found = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert found["against"] == ["before", "copy"]
    others = ["before EventStream", "before feed", "copy EventStream", "copy feed"]
    assert [*found["versions"]] == [*contenders.OURS, *others, *contenders.FLOORS]
    assert {found["versions"][name] for name in others} == {"before"}
    for cut_name in ("64k", "16"):
        assert all("ns" in found["times"]["chat"][cut_name][name] for name in found["versions"])
    assert [row["figure"] for row in found["summary"]][:6] == [
        "sse_stream / before, networks' chunks",
        "sse_stream / before, 16-byte chunks",
        "sse_stream / before, cut 64k",
        "sse_stream / copy, networks' chunks",
        "sse_stream / copy, 16-byte chunks",
        "sse_stream / copy, cut 64k",
    ]
    assert report.summarise(found) == found["summary"]
    assert done.stdout.strip() == report.markdown(found).strip()
    assert "the cuts 64k." in done.stdout
    assert "--against before=FOLDER --against copy=FOLDER` on" in done.stdout
    for file in output.iterdir():
        assert str(tmp_path) not in file.read_text(encoding="utf-8"), "a path of this machine"
    ET.fromstring((output / "chart.svg").read_text(encoding="utf-8"))


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="PyPy has no tracemalloc")
def test_a_run_with_what_is_no_speed(before: Path) -> None:
    done = benchmark("--shapes", "chat", "--cuts", "event", "--against", str(before))
    assert done.returncode == 0, done.stderr
    _, peaks, growth = done.stdout.split("| contender")
    for name in (*contenders.OURS, *contenders.ways("before")):
        assert f"| {name} " in peaks
        assert f"| {name} " in growth
    assert "raised" not in done.stdout
    assert "`import sse_stream` in a bare interpreter" in growth


def test_mistakes_in_the_command_are_told(before: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (["--against", str(tmp_path)], f"there is no package sse_stream in {tmp_path}"),
        (["--against", f"sse_stream={before}"], "is the name of the one that is measured"),
        (["--against", str(before), "--against", str(before)], "each needs a name of its own"),
        (["--cuts", "event,32"], "unknown: 32; there are event, 1448, 64k, 16"),
        (["--out", str(tmp_path)], "unrecognized arguments"),
    ):
        done = benchmark(*arguments)
        assert done.returncode == 2
        assert words in done.stderr


def results() -> dict[str, Any]:
    """Made-up results: two shapes, two cuts of networks and that of 16 bytes.

    In networks' chunks EventStream takes 100, feed 50, both took 200 before, one peer takes 200 or
    800, another 400 or is wrong. In 16-byte chunks EventStream takes 1000, feed 2000, the peer 800.
    """

    def cell(peer: int, other: dict[str, Any], ours: tuple[int, int] = (100, 50)) -> dict[str, Any]:
        return {
            "sse_stream EventStream": {"ns": float(ours[0])},
            "sse_stream feed": {"ns": float(ours[1])},
            "sse_stream async": {"ns": 150.0},
            "before EventStream": {"ns": 200.0},
            "before feed": {"ns": 200.0},
            "floor": {"ns": 25.0},
            "peer": {"ns": float(peer)},
            "other": other,
            "eventsource-parser": {"ns": 40.0},
        }

    wrong = {"fault": "wrong: 1 events of 2"}
    slow = {"ns": 400.0}
    trickle = cell(800, wrong, (1000, 2000))
    found: dict[str, Any] = {
        "command": "python3 -m benchmarks",
        "python": {"implementation": "CPython", "version": "3.x", "compiler": "<C> & co."},
        "platform": "Linux",
        "against": ["before"],
        "versions": dict.fromkeys(trickle, "1.0"),
        "missing": {"third": "ImportError"},
        "cuts": {name: CUTS[name][1] for name in ("event", "64k", "16")},
        "shapes": {
            name: {"stresses": "nothing", "llm": name == "chat"} for name in ("chat", "tiny")
        },
        "times": {
            "chat": {"event": cell(200, slow), "64k": cell(200, wrong), "16": trickle},
            "tiny": {"event": cell(800, slow), "64k": cell(800, slow), "16": trickle},
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
    assert report.ratios(found, None, contenders.OURS[0], cuts=NETWORKS) == best
    assert report.ratios(found, "other", contenders.OURS[0], shapes=["chat"]) == {
        ("chat", "event"): 4
    }
    assert report.peers(found) == ["peer", "other"]
    assert report.best_peer(found, "tiny", "event") == "other"
    relative = {
        name: (round(mean, 6), cells) for name, (mean, cells) in report.relative(found).items()
    }
    assert (relative["peer"], relative["other"]) == ((4, 4), (4, 3))
    assert (relative["sse_stream feed"], relative["before feed"]) == ((0.5, 4), (2, 4))


def test_summary() -> None:
    rows = {
        row["figure"]: [
            (column["mean"], column["worst"], column["at"]) for column in row["columns"]
        ]
        for row in results()["summary"]
    }
    assert rows == {
        "best peer / sse_stream, networks' chunks": [
            (2.828, 2, "chat, event"),
            (5.657, 4, "chat, event"),
        ],
        "best peer / sse_stream, 16-byte chunks": [(0.8, 0.8, "chat, 16"), (0.4, 0.4, "chat, 16")],
        "best peer / before, networks' chunks": [
            (1.414, 1, "chat, event"),
            (1.414, 1, "chat, event"),
        ],
        "best peer / before, 16-byte chunks": [(4, 4, "chat, 16"), (4, 4, "chat, 16")],
        "sse_stream / before, networks' chunks": [
            (0.5, 0.5, "chat, event"),
            (0.25, 0.25, "chat, event"),
        ],
        "sse_stream / before, 16-byte chunks": [(5, 5, "chat, 16"), (10, 10, "chat, 16")],
        "sse_stream / before, cut event": [
            (0.5, 0.5, "chat, event"),
            (0.25, 0.25, "chat, event"),
        ],
        "sse_stream / before, cut 64k": [(0.5, 0.5, "chat, 64k"), (0.25, 0.25, "chat, 64k")],
        "best peer / sse_stream, cut event": [(2.828, 2, "chat, event"), (5.657, 4, "chat, event")],
        "best peer / sse_stream, cut 64k": [(2.828, 2, "chat, 64k"), (5.657, 4, "chat, 64k")],
        "peer / sse_stream, networks' chunks": [(4, 2, "chat, event"), (8, 4, "chat, event")],
        "other / sse_stream, networks' chunks": [(4, 4, "chat, event"), (8, 8, "chat, event")],
        "sse_stream / floor, LLM streams, cut event and 1448": [
            (4, 4, "chat, event"),
            (2, 2, "chat, event"),
        ],
        "eventsource-parser / sse_stream, cut 64k": [
            (0.4, 0.4, "chat, 64k"),
            (0.8, 0.8, "chat, 64k"),
        ],
        "sse_stream / eventsource-parser, cut event": [
            (2.5, 2.5, "chat, event"),
            (1.25, 1.25, "chat, event"),
        ],
        "sse_stream async / sse_stream, networks' chunks": [
            (1.5, 1.5, "chat, event"),
            (3, 3, "chat, event"),
        ],
        "sse_stream async / sse_stream, 16-byte chunks": [
            (0.15, 0.15, "chat, 16"),
            (0.075, 0.075, "chat, 16"),
        ],
    }


def test_a_way_that_was_not_measured_leaves_its_columns_empty() -> None:
    found = results()
    del found["versions"][contenders.OURS[0]]
    for cuts in found["times"].values():
        for cell in cuts.values():
            cell.pop(contenders.OURS[0], None)
    found["summary"] = report.summarise(found)
    assert found["summary"][0]["columns"][0] is None
    (line,) = [
        line
        for line in report.markdown(found).splitlines()
        if line.startswith("| best peer / sse_stream, networks' chunks")
    ]
    assert [cell.strip() for cell in line.split("|")[2:5]] == ["", "", "5.66"]


def test_markdown() -> None:
    text = report.markdown(results())
    assert "| chat  |  2.00 (4.00) peer" in text
    assert "Networks' chunks: the cuts event, 64k." in text
    assert "| EventStream: mean |" in text
    assert "| feed: mean |" in text
    assert "- other on chat, 64k: wrong: 1 events of 2" in text
    assert "| peer      |          2.50 |     over 5 s |" in text
    assert "1.00, 2.00, 4.00 (4.0)" in text
    assert "500 … over 5 s" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_readme_has_the_means_apart() -> None:
    text = report.readme(results())
    words = " ".join(text.split())
    assert "2.83 times as long as `EventStream`, and 5.66 times as long as `feed`" in words
    assert "it takes 0.80 and 0.40 times as long." in words


def test_chart_is_well_formed() -> None:
    found = results()
    found["versions"]["peer"] = "<1> & more"
    root = ET.fromstring(chart.svg(found))
    labels = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"sse_stream EventStream", "sse_stream feed", "before feed 1.0"} <= {*labels}
    assert "mean of 4 streams in networks' chunks" in labels[0]
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
