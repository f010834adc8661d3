# SPDX-License-Identifier: MIT
"""What happens inside the environment: measure, print, write. `python3 -m benchmarks` starts it."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import chart, contenders, memory, report
from .cuts import CUTS
from .measure import measure
from .node import measure_node
from .shapes import build
from .startup import measure_import

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .shapes import Stream

_SIZES = {"peaks": 8 << 20, "growth": 512 << 10}


def main(options: dict[str, Any]) -> None:
    """Do what the options say, which `benchmarks.__main__` makes of its arguments."""
    quick = options["quick"]
    budget = 0.02 if quick else 0.3
    loaded, missing = contenders.load(options["only"], options["against"])
    streams = [build(name, 0.2 if quick else 1.0) for name in options["shapes"]]
    results = _about(options, streams)
    results["versions"] = {contender.name: contender.version for contender in loaded}
    results["missing"] = missing
    results["times"] = measure(loaded, streams, options["cuts"], budget, _say)
    _add_node(results, options, streams, budget / 2)
    results["summary"] = report.summarise(results)
    if not options["speed_only"]:
        _add_costs(results, options)
    text = report.markdown(results)
    print(text)
    if options["output"]:
        _write(results, text, Path(options["output"]))
    if options["readme"]:
        page = Path(options["readme"])
        filled = report.filled(page.read_text(encoding="utf-8"), results)
        page.write_text(filled, encoding="utf-8")


def _about(options: dict[str, Any], streams: Sequence[Stream]) -> dict[str, Any]:
    """Return the results as far as they are known beforehand: what is measured, and on what."""
    return {
        "SPDX-License-Identifier": "MIT",
        "command": options["command"],
        "python": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "compiler": platform.python_compiler(),
        },
        "platform": f"{platform.system()} {platform.machine()}",
        "against": list(options["against"]),
        "cuts": {name: CUTS[name][1] for name in options["cuts"]},
        "shapes": {
            stream.name: {
                "stresses": stream.stresses,
                "llm": stream.llm,
                "bytes": len(stream.data),
                "events": len(stream.events),
            }
            for stream in streams
        },
    }


def _add_node(
    results: dict[str, Any], options: dict[str, Any], streams: Sequence[Stream], budget: float
) -> None:
    """Add times and versions of the parser that runs under Node, or why they are missing."""
    parsers = [name for name in contenders.NODE if name in options["only"]]
    if not parsers:
        return
    if not options["node"]:
        results["missing"].update((name, "node or npm is not installed") for name in parsers)
        return
    node, folder = map(Path, options["node"])
    _say("eventsource-parser under Node")
    found, outcomes = measure_node(node, folder, streams, options["cuts"], budget)
    for (shape, cut), cell in outcomes.items():
        results["times"][shape][cut].update((name, cell[name]) for name in parsers)
    package = json.loads((Path(__file__).parent / "package.json").read_text(encoding="utf-8"))
    pin = package["dependencies"]["eventsource-parser"]
    results["versions"].update(
        (name, f"{pin}, Node {found}, {contenders.NODE[name]}") for name in parsers
    )


def _add_costs(results: dict[str, Any], options: dict[str, Any]) -> None:
    """Add what is no speed: peak memory, growth, and what the import costs."""
    quick = options["quick"]
    limit = 5 if quick else 30
    results["sizes"] = {name: size // (8 if quick else 1) for name, size in _SIZES.items()}
    for table, size in results["sizes"].items():
        results[table] = {}
        for name in results["versions"]:
            if name not in (*contenders.FLOORS, *contenders.NODE):
                _say(f"{table}: {name}")
                results[table][name] = memory.in_process(
                    table, name, size, limit, options["against"]
                )
    results["import"] = measure_import(5 if quick else 30)


def _write(results: dict[str, Any], text: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    (folder / "results.json").write_text(data, encoding="utf-8")
    (folder / "results.md").write_text(text, encoding="utf-8")
    (folder / "chart.svg").write_text(chart.svg(results), encoding="utf-8")
    _say(f"wrote results.json, results.md and chart.svg to {folder}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
