# SPDX-License-Identifier: MIT
"""The contender that is not in Python: npm's eventsource-parser, in one process of Node, on the same chunks."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .contenders import fields
from .cuts import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .measure import Outcome
    from .shapes import Stream


def measure_node(
    node: Path, folder: Path, streams: Sequence[Stream], cuts: Sequence[str], budget: float
) -> tuple[dict[str, str], dict[tuple[str, str], Outcome]]:
    """Return the versions, and by shape and cut what was measured.

    folder: where the package is installed, with the script beside it.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        cells: list[dict[str, Any]] = []
        for stream in streams:
            file = work / stream.name
            file.write_bytes(stream.data)
            cells += [
                {"shape": stream.name, "cut": each, "file": str(file), "sizes": [len(chunk) for chunk in cut(stream, each)]}
                for each in cuts
            ]
        manifest = work / "manifest.json"
        manifest.write_text(json.dumps({"budget": budget, "cells": cells}))
        command = [str(node), str(folder / "eventsource_parser.mjs"), str(manifest)]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    by_name = {stream.name: stream for stream in streams}
    outcomes = {(cell["shape"], cell["cut"]): _outcome(cell, by_name[cell["shape"]]) for cell in found["results"]}
    return {"node": found["node"], "v8": found["v8"]}, outcomes


def _outcome(cell: dict[str, Any], stream: Stream) -> Outcome:
    events = stream.events
    if cell["events"] != len(events):
        return {"fault": f"wrong: {cell['events']} events of {len(events)}"}
    text = "".join(value + "\0" for event in events for value in fields(event))
    if cell["digest"] != hashlib.sha256(text.encode()).hexdigest():
        return {"fault": "wrong: events differ"}
    decoder, best = min(cell["times"].items(), key=lambda item: item[1])
    return {"ns": round(best / len(events), 1), "decoder": decoder}
