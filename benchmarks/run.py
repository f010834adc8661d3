# SPDX-License-Identifier: MIT
"""What happens inside the environment: measure, print, write. `python3 -m benchmarks` starts it."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

from . import chart, contenders, memory, report
from .cuts import CUTS
from .measure import measure
from .node import measure_node
from .shapes import build
from .startup import measure_import

_SIZES = {"peaks": 8 << 20, "growth": 512 << 10}


def main(options: dict[str, Any]) -> None:
    quick = options["quick"]
    budget = 0.02 if quick else 0.3
    loaded, missing = contenders.load(options["only"])
    streams = [build(name, 0.2 if quick else 1.0) for name in options["shapes"]]
    times = measure(loaded, streams, options["cuts"], budget, _say)
    versions = {contender.name: contender.version for contender in loaded}
    parsers = [name for name in contenders.NODE if name in options["only"]]
    if parsers and options["node"]:
        node, folder = map(Path, options["node"])
        _say("eventsource-parser under Node")
        found, outcomes = measure_node(node, folder, streams, options["cuts"], budget / 2)
        for (shape, cut), cell in outcomes.items():
            times[shape][cut].update((name, cell[name]) for name in parsers)
        pin = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"][
            "eventsource-parser"
        ]
        versions.update((name, f"{pin}, Node {found}, {contenders.NODE[name]}") for name in parsers)
    elif parsers:
        missing.update((name, "node or npm is not installed") for name in parsers)
    results: dict[str, Any] = {
        "SPDX-License-Identifier": "MIT",
        "command": options["command"],
        "python": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "compiler": platform.python_compiler(),
        },
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "missing": missing,
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
        "times": times,
    }
    results["summary"] = report.summarise(results)
    if not options["speed_only"]:
        results["sizes"] = {name: size // (8 if quick else 1) for name, size in _SIZES.items()}
        limit = 5 if quick else 30
        for table in _SIZES:
            results[table] = {}
            for contender in loaded:
                if contender.kind != "floor":
                    _say(f"{table}: {contender.name}")
                    results[table][contender.name] = memory.in_process(
                        table, contender.name, results["sizes"][table], limit
                    )
        results["import"] = measure_import(5 if quick else 30)
    text = report.markdown(results)
    print(text)
    if options["output"]:
        folder = Path(options["output"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(
            json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (folder / "results.md").write_text(text, encoding="utf-8")
        (folder / "chart.svg").write_text(chart.svg(results), encoding="utf-8")
        page = folder.parents[1] / "README.md"
        if folder.parent.name == "benchmarks" and page.exists():
            page.write_text(
                report.filled(page.read_text(encoding="utf-8"), results), encoding="utf-8"
            )
        _say(f"wrote results.json, results.md and chart.svg to {folder}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
