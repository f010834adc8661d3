# SPDX-License-Identifier: MIT
"""The contender not in Python: npm's eventsource-parser, under Node, on the same chunks."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .contenders import NODE, fields
from .cuts import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .measure import Outcome
    from .shapes import Stream


def measure_node(
    node: Path, folder: Path, streams: Sequence[Stream], cuts: Sequence[str], budget: float
) -> tuple[str, dict[tuple[str, str], dict[str, Outcome]]]:
    """Return the version of Node, and by shape, cut and contender what was measured.

    folder: where the package is installed, with the script beside it.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        cells: list[dict[str, Any]] = []
        for stream in streams:
            file = work / stream.name
            file.write_bytes(stream.data)
            cells += [
                {
                    "shape": stream.name,
                    "cut": each,
                    "file": str(file),
                    "sizes": [len(chunk) for chunk in cut(stream, each)],
                }
                for each in cuts
            ]
        manifest = work / "manifest.json"
        manifest.write_text(json.dumps({"budget": budget, "cells": cells}))
        command = [str(node), str(folder / "eventsource_parser.mjs"), str(manifest)]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    by_name = {stream.name: stream for stream in streams}
    outcomes = {
        (cell["shape"], cell["cut"]): _outcomes(cell, by_name[cell["shape"]])
        for cell in found["results"]
    }
    return found["node"], outcomes


def _outcomes(cell: dict[str, Any], stream: Stream) -> dict[str, Outcome]:
    events = stream.events
    text = "".join(value + "\0" for event in events for value in fields(event))
    fault = None
    if cell["events"] != len(events):
        fault = f"wrong: {cell['events']} events of {len(events)}"
    elif cell["digest"] != hashlib.sha256(text.encode()).hexdigest():
        fault = "wrong: events differ"
    if fault is not None:
        return {name: {"fault": fault} for name in NODE}
    return {
        name: {"ns": round(cell["times"][decoder] / len(events), 1)}
        for name, decoder in NODE.items()
    }
