# SPDX-License-Identifier: MIT
"""Time per event: results are checked, contenders run in turn, and the best of many runs counts.

The garbage collector is off while a run is timed, as in `timeit`. The fastest of many runs is the
one that the rest of the machine disturbed least; taking turns spreads a slow spell over all
contenders.
"""

from __future__ import annotations

import gc
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from .contenders import fields, plan
from .cuts import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .contenders import Contender
    from .shapes import Stream

# What is known of a contender on one shape and cut: {"ns": per event, "runs": how many} or
# {"fault": why it is not timed}.
Outcome = dict[str, Any]


def check(contender: Contender, chunks: Sequence[bytes], stream: Stream) -> str | None:
    """Return what is wrong with the events that a contender makes of these chunks, or None."""
    try:
        got = [fields(event) for event in contender.events(chunks)]
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"[:120]
    wanted = [fields(event) for event in stream.events]
    if got == wanted:
        return None
    if len(got) != len(wanted):
        return f"wrong: {len(got)} events of {len(wanted)}"
    return f"wrong: {sum(map(tuple.__ne__, got, wanted))} events of {len(wanted)} differ"


def measure_cell(
    contenders: Sequence[Contender], stream: Stream, cut_name: str, budget: float
) -> dict[str, Outcome]:
    """Measure all contenders on one stream at one cut.

    budget: seconds for each contender; it has at least three runs, and at most as many as give a
            stable best.
    """
    chunks = plan(cut(stream, cut_name), stream)
    outcomes: dict[str, Outcome] = {}
    active: list[Contender] = []
    for contender in contenders:
        fault = check(contender, chunks, stream)
        if fault is None:
            active.append(contender)
        else:
            outcomes[contender.name] = {"fault": fault}
    times: dict[str, list[int]] = {contender.name: [] for contender in active}
    gc.collect()
    gc.disable()
    try:
        while active:
            for contender in active:
                start = perf_counter_ns()
                contender.drain(chunks)
                times[contender.name].append(perf_counter_ns() - start)
            active = [
                contender for contender in active if not _enough(times[contender.name], budget)
            ]
            active = active[1:] + active[:1]  # another one goes first
    finally:
        gc.enable()
    for name, runs in times.items():
        outcomes[name] = {"ns": round(min(runs) / len(stream.events), 1), "runs": len(runs)}
    return outcomes


def _enough(runs: list[int], budget: float) -> bool:
    return len(runs) >= 3 and (sum(runs) > budget * 1e9 or len(runs) >= 300)


def measure(
    contenders: Sequence[Contender],
    streams: Sequence[Stream],
    cuts: Sequence[str],
    budget: float,
    say: Callable[[str], None],
) -> dict[str, dict[str, dict[str, Outcome]]]:
    """Measure all: by shape, cut and contender."""
    times: dict[str, dict[str, dict[str, Outcome]]] = {}
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()  # the peers' modules need not be looked through between the cells
    for stream in streams:
        times[stream.name] = {}
        for name in cuts:
            times[stream.name][name] = measure_cell(contenders, stream, name, budget)
            say(f"{stream.name}, {name}: {_line(times[stream.name][name])}")
    return times


def _line(outcomes: dict[str, Outcome]) -> str:
    return ", ".join(
        f"{name} {outcome['ns']:.0f}" if "ns" in outcome else f"{name}: {outcome['fault']}"
        for name, outcome in outcomes.items()
    )
