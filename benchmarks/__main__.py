# SPDX-License-Identifier: MIT
"""The one command: `python3 -m benchmarks`, run from the checkout."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .contenders import FLOORS, NAMES, NODE, OURS
from .cuts import CUTS
from .environment import cache_folder, make_node, make_python
from .shapes import NAMES as SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m benchmarks", description="Measure sse_stream against its peers."
    )
    parser.add_argument(
        "--python", default=sys.executable, metavar="PATH", help="the interpreter to measure with"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small streams and few runs: for trying things out"
    )
    parser.add_argument(
        "--shapes", type=_names(SHAPES), default=list(SHAPES), metavar="A,B", help=", ".join(SHAPES)
    )
    parser.add_argument(
        "--cuts", type=_names(CUTS), default=list(CUTS), metavar="A,B", help=", ".join(CUTS)
    )
    only = "ours (with the floor; nothing is installed), or names: " + ", ".join(NAMES)
    parser.add_argument("--only", type=_contenders, default=list(NAMES), metavar="A,B", help=only)
    parser.add_argument(
        "--speed-only", action="store_true", help="without memory, growth and import time"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=cache_folder(),
        metavar="PATH",
        help="where the environments are kept",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="folder to write to; for a full run benchmarks/results",
    )
    options = parser.parse_args()

    full = (options.shapes, options.cuts, options.only) == (list(SHAPES), list(CUTS), list(NAMES))
    if options.output is None and full and not options.quick and not options.speed_only:
        options.output = _ROOT / "benchmarks" / "results"
    python = options.python
    if set(options.only) - {*OURS, *FLOORS, *NODE}:
        python = str(make_python(python, options.cache))
    node = make_node(options.cache) if {*NODE} & {*options.only} else None
    inside = {
        "command": _command(),
        "quick": options.quick,
        "shapes": options.shapes,
        "cuts": options.cuts,
        "only": options.only,
        "speed_only": options.speed_only,
        "node": node and [str(path) for path in node],
        "output": options.output and str(options.output.resolve()),
    }
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    # glibc may give freed memory back, depending on what was freed before. With large events that
    # is up to three times the work of decoding them, by chance: here it keeps what is freed.
    environment.setdefault("MALLOC_MMAP_THRESHOLD_", str(256 << 20))
    environment.setdefault("MALLOC_TRIM_THRESHOLD_", str(256 << 20))
    command = [python, "-m", "benchmarks.run", json.dumps(inside)]
    return subprocess.run(command, cwd=_ROOT, env=environment, check=False).returncode


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a parser of comma-separated names of these, which it puts into their order."""

    def names(text: str) -> list[str]:
        wanted = text.split(",")
        unknown = sorted({*wanted} - {*known})
        if unknown:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; there are {', '.join(known)}"
            )
        return [name for name in known if name in wanted]

    return names


def _contenders(text: str) -> list[str]:
    return [*OURS, *FLOORS] if text == "ours" else _names(NAMES)(text)


def _command() -> str:
    """Return the command as it was given, less the paths of this machine."""
    words = iter(sys.argv[1:])
    kept: list[str] = []
    for word in words:
        if word in ("--python", "--cache", "--output"):
            next(words)
        elif not word.startswith(("--python=", "--cache=", "--output=")):
            kept.append(word)
    return " ".join(["python3 -m benchmarks", *kept])


if __name__ == "__main__":
    sys.exit(main())
