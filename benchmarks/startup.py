# SPDX-License-Identifier: MIT
"""What `import sse_stream` costs a bare interpreter (`python -I -S`): milliseconds, and modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# The clock and what `-c` itself needs are there before the measuring begins.
_CODE = """
import sys
sys.path.insert(0, {root!r})
from time import perf_counter
before = set(sys.modules)
start = perf_counter()
import sse_stream
seconds = perf_counter() - start
others = (name for name in set(sys.modules) - before if not name.startswith("sse_stream"))
print(round(1000 * seconds, 3), *sorted(others))
"""


def measure_import(runs: int) -> dict[str, Any]:
    """Import the package in `runs` new interpreters; return best and median in milliseconds."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _CODE.format(root=str(Path(__file__).resolve().parent.parent)),
    ]
    outputs = [
        subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        for _ in range(runs + 1)
    ]
    found = [output.split() for output in outputs]  # the first run writes the bytecode
    milliseconds = sorted(float(line[0]) for line in found[1:])
    return {
        "best ms": milliseconds[0],
        "median ms": milliseconds[len(milliseconds) // 2],
        "modules": found[-1][1:],
    }


if __name__ == "__main__":
    print(json.dumps(measure_import(20)))
