# SPDX-License-Identifier: MIT
"""Peak memory for one large event, and how the time for one event grows with its size.

Each contender has a process of its own for each table, and a time limit: some are quadratic, and
are stopped. The source is one bytes object that is sliced as it is read, made before the measuring
begins; what is counted is what the contender holds, with the event itself.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .contenders import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .contenders import Contender

PEAKS = {"64 KiB chunks": 1 << 16, "1 KiB chunks": 1 << 10}
GROWTHS = ("one line, 16-byte chunks", "many data lines, 1,448-byte chunks")


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def measure_peaks(contender: Contender, size: int) -> Iterator[tuple[str, Any]]:
    """Yield for each chunk size the peak in bytes, divided by those of the event."""
    import tracemalloc  # which PyPy lacks: its speed can be measured none the less

    data = b"data: " + b"x" * size + b"\n\n"
    for name, chunk_size in PEAKS.items():
        gc.collect()
        tracemalloc.start()
        events = list(contender.events(_slices(data, chunk_size)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [len(event.data) for event in events] == [size]
        del events
        yield name, round(peak / size, 3)


def measure_growth(contender: Contender, size: int) -> Iterator[tuple[str, Any]]:
    """Yield the seconds for one event at n, then at n and 2n, then at n, 2n and 4n.

    size: n in bytes; the event is one line, or many.
    """

    def one_line(n: int) -> bytes:
        return b"data: " + b"x" * n + b"\n\n"

    def many_lines(n: int) -> bytes:
        return b"data: 13 characters\n" * (n // 20) + b"\n"

    for name, make, chunk_size in zip(GROWTHS, (one_line, many_lines), (16, 1448), strict=True):
        seconds: list[float] = []
        for n in (size, 2 * size, 4 * size):
            data = make(n)
            runs: list[float] = []
            while len(runs) < 5 and sum(runs) < 1:
                start = perf_counter()
                contender.drain(_slices(data, chunk_size))
                runs.append(perf_counter() - start)
            seconds.append(round(min(runs), 6))
            yield name, seconds


def in_process(
    table: str, contender: str, size: int, limit: float, others: Mapping[str, str]
) -> dict[str, Any]:
    """Measure in a new process; return what was measured until the limit, by the names above.

    table:     "peaks" or "growth".
    contender: its name.
    size:      of the event, in bytes; of the smallest one for "growth".
    limit:     in seconds, for all.
    others:    as for `contenders.load`.
    """
    command = [sys.executable, "-m", "benchmarks.memory", table, contender, str(size)]
    command.append(json.dumps(dict(others)))
    try:
        output = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=limit, check=False
        ).stdout
        fault = "raised"
    except subprocess.TimeoutExpired as expired:
        output, fault = expired.stdout or b"", f"over {limit:g} s"
    found: dict[str, Any] = {}
    for line in output.splitlines():
        name, value = json.loads(line)
        found[name] = value
    names = PEAKS if table == "peaks" else GROWTHS
    for name in names:
        complete = name in found and (table == "peaks" or len(found[name]) == 3)
        if not complete:
            found[name] = {"fault": fault, "so far": found.get(name)}
    return found


def main() -> None:
    table, name, size, others = sys.argv[1:]
    loaded, _ = load([name], json.loads(others))
    contender = next(contender for contender in loaded if contender.name == name)
    measure = measure_peaks if table == "peaks" else measure_growth
    for found in measure(contender, int(size)):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
