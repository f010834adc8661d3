# SPDX-License-Identifier: MIT
"""The one command: `python3 -m benchmarks`, run from the checkout."""

from __future__ import annotations

import argparse
import json
import os
import shlex
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
_RESULTS = _ROOT / "benchmarks" / "results"


def main() -> int:
    """Make what is needed, measure inside it, and return the exit status."""
    parser = _parser()
    options = parser.parse_args()
    against = dict(options.against)
    if len(against) < len(options.against):
        parser.error("argument --against: each needs a name of its own, as NAME=FOLDER")
    python = options.python
    if set(options.only) - {*OURS, *FLOORS, *NODE}:
        python = str(make_python(python, options.cache))
    node = make_node(options.cache) if {*NODE} & {*options.only} else None
    full = (options.shapes, options.cuts, options.only) == (list(SHAPES), list(CUTS), list(NAMES))
    full = full and not (options.quick or options.speed_only or against)
    output: Path | None = options.output or (_RESULTS if full else None)
    publish = full and output is not None and output.resolve() == _RESULTS
    inside = {
        "command": _command(),
        "quick": options.quick,
        "shapes": options.shapes,
        "cuts": options.cuts,
        "only": options.only,
        "against": {name: str(folder) for name, folder in against.items()},
        "speed_only": options.speed_only,
        "node": node and [str(path) for path in node],
        "output": output and str(output.resolve()),
        "readme": str(_ROOT / "README.md") if publish else None,
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m benchmarks",
        description="Measure sse_stream against its peers.",
        allow_abbrev=False,  # _command looks for whole words
    )
    add = parser.add_argument
    add("--python", default=sys.executable, metavar="PATH", help="the interpreter to measure with")
    add("--quick", action="store_true", help="small streams and few runs: for trying things out")
    for name, known in (("--shapes", SHAPES), ("--cuts", CUTS)):
        add(name, type=_names(known), default=[*known], metavar="A,B", help=", ".join(known))
    text = "ours (with the floor; nothing is installed), or names: " + ", ".join(NAMES)
    add("--only", type=_contenders, default=[*NAMES], metavar="A,B", help=text)
    text = "also another version of sse_stream, as NAME (without it: before): a folder, such as a "
    text += "checkout, that has the package; can be given again"
    add("--against", type=_other, action="append", default=[], metavar="[NAME=]FOLDER", help=text)
    add("--speed-only", action="store_true", help="without memory, growth and import time")
    text = "where the environments are kept"
    add("--cache", type=Path, default=cache_folder(), metavar="PATH", help=text)
    text = "folder to write to; without it, a full run against the peers writes benchmarks/results "
    text += "and the README's figures"
    add("--output", type=Path, metavar="PATH", help=text)
    return parser


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


def _other(text: str) -> tuple[str, Path]:
    """Return name and folder of another version of this package."""
    name, folder = _split(text)
    if not (Path(folder) / "sse_stream" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"there is no package sse_stream in {folder}")
    if name == "sse_stream":
        raise argparse.ArgumentTypeError("sse_stream is the name of the one that is measured")
    return name, Path(folder).resolve()


def _split(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    return (name, folder) if equals and name.isidentifier() else ("before", text)


def _command() -> str:
    """Return the command as it was given, less the paths of this machine."""
    words = iter(sys.argv[1:])
    kept: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        if option in ("--python", "--cache", "--output", "--against"):
            value = value if equals else next(words)
            if option == "--against":
                kept += [option, f"{_split(value)[0]}=FOLDER"]
        else:
            kept.append(word)
    return shlex.join(["python3", "-m", "benchmarks", *kept])


if __name__ == "__main__":
    sys.exit(main())
