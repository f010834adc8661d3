# SPDX-License-Identifier: MIT
"""What the measurements say: geometric means, ratios, and the tables in Markdown."""

from __future__ import annotations

import textwrap
from math import exp, log
from typing import TYPE_CHECKING, Any

from .contenders import FLOORS, NODE, OURS, ways
from .cuts import NETWORKS
from .memory import GROWTHS, PEAKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Results = dict[str, Any]
Ratios = dict[tuple[str, str], float]  # by shape and cut
_BOTH = OURS[:2]  # the two columns of every summary: by EventStream and by feed


def geometric_mean(values: Iterable[float]) -> float:
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs))


def time_of(results: Results, name: str, shape: str, cut: str) -> float | None:
    """Return the nanoseconds per event, or None if this contender was not timed here."""
    value: float | None = results["times"][shape][cut].get(name, {}).get("ns")
    return value


def peers(results: Results) -> list[str]:
    """Return the names of the Python peers: neither ours, old or new, nor a floor, nor Node."""
    others = [way for name in results["against"] for way in ways(name)]
    return [name for name in results["versions"] if name not in (*OURS, *others, *FLOORS, *NODE)]


def best_peer(results: Results, shape: str, cut: str) -> str | None:
    """Return the name of the fastest of the Python peers that got this right."""
    cell = results["times"][shape][cut]
    right = [name for name in peers(results) if "ns" in cell.get(name, {})]
    return min(right, key=lambda name: float(cell[name]["ns"]), default=None)


def ratios(
    results: Results,
    over: str | None,
    under: str,
    *,
    shapes: Sequence[str] | None = None,
    cuts: Sequence[str] | None = None,
) -> Ratios:
    """Return the time of `over` divided by that of `under`, wherever both were timed.

    over: a contender's name; None: the best peer of each cell.
    """
    found: Ratios = {}
    for shape in results["times"]:
        for cut in results["times"][shape]:
            if (shapes is None or shape in shapes) and (cuts is None or cut in cuts):
                name = over or best_peer(results, shape, cut)
                above = time_of(results, name, shape, cut) if name else None
                below = time_of(results, under, shape, cut)
                if above is not None and below is not None:
                    found[shape, cut] = above / below
    return found


def summarise(results: Results) -> list[dict[str, Any]]:
    """Return the figures that matter, one row each.

    A row has its text ("figure"), which extreme of the ratios is the worst ("worst": "min" or
    "max"), and two "columns", by EventStream and by feed: the geometric mean, the worst ratio,
    where that is, and over how many cells; None where nothing was measured. No mean is over both
    chunks as networks deliver them and those of 16 bytes.
    """
    return [
        *_rows(results, "best peer / sse_stream", min, (None, None), _BOTH, _MEANS),
        *(row for name in results["against"] for row in _against(results, name)),
        *_rows(results, "best peer / sse_stream", min, (None, None), _BOTH, _CUTS),
        *_against_each(results),
        *_rows(results, f"{OURS[2]} / sse_stream", max, (OURS[2], OURS[2]), _BOTH, _MEANS),
    ]


# What the rows of a figure are over: the end of the text, and the cuts.
_NETWORKS = {"networks' chunks": [*NETWORKS]}
_MEANS = {**_NETWORKS, "16-byte chunks": ["16"]}
_CUTS = {f"cut {name}": [name] for name in NETWORKS}


def _against(results: Results, name: str) -> list[dict[str, Any]]:
    """Return the rows for another version of this package."""
    other = ways(name)
    return [
        *_rows(results, f"best peer / {name}", min, (None, None), other, _MEANS),
        *_rows(results, f"sse_stream / {name}", max, _BOTH, other, {**_MEANS, **_CUTS}),
    ]


def _against_each(results: Results) -> list[dict[str, Any]]:
    """Return the rows for each peer, the floors, and the parser under Node."""
    llm = [name for name, shape in results["shapes"].items() if shape["llm"]]
    rows: list[dict[str, Any]] = []
    for peer in peers(results):
        rows += _rows(results, f"{peer} / sse_stream", min, (peer, peer), _BOTH, _NETWORKS)
    for floor in FLOORS:
        over = {"LLM streams, cut event and 1448": ["event", "1448"]}
        text = f"sse_stream / {floor}"
        rows += _rows(results, text, max, _BOTH, (floor, floor), over, shapes=llm)
    for parser in NODE:
        both, large, small = (parser, parser), {"cut 64k": ["64k"]}, {"cut event": ["event"]}
        rows += _rows(results, f"{parser} / sse_stream", min, both, _BOTH, large)
        rows += _rows(results, f"sse_stream / {parser}", max, _BOTH, both, small)
    return rows


def _rows(
    results: Results,
    text: str,
    worst: Callable[..., Any],
    over: Sequence[str | None],
    under: Sequence[str],
    cuts: dict[str, list[str]],
    *,
    shapes: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of one figure for groups of cuts, as far as anything was measured.

    over, under: the contenders of the two columns, as for `ratios`.
    cuts:        the groups, by how the text of their row ends.
    """
    rows: list[dict[str, Any]] = []
    for group, names in cuts.items():
        columns = [
            ratios(results, above, below, shapes=shapes, cuts=names)
            for above, below in zip(over, under, strict=True)
        ]
        if any(columns):
            digests = [_digest(column, worst) if column else None for column in columns]
            row = {"figure": f"{text}, {group}", "worst": worst.__name__, "columns": digests}
            rows.append(row)
    return rows


def _digest(column: Ratios, worst: Callable[..., Any]) -> dict[str, Any]:
    where: tuple[str, str] = worst(column, key=column.__getitem__)
    return {
        "mean": round(geometric_mean(column.values()), 3),
        "worst": round(column[where], 3),
        "at": ", ".join(where),
        "cells": len(column),
    }


def relative(results: Results) -> dict[str, tuple[float, int]]:
    """Return each contender's mean time in units of ours by EventStream, and over how many cells.

    The cells are those of chunks as networks deliver them.
    """
    found: dict[str, tuple[float, int]] = {}
    for name in results["versions"]:
        column = ratios(results, name, OURS[0], cuts=NETWORKS)
        if column:
            found[name] = geometric_mean(column.values()), len(column)
    return found


# Markdown.


def markdown(results: Results) -> str:
    """Return the page of all tables."""
    versions = [
        f"{name} {version}" for name, version in results["versions"].items() if name not in FLOORS
    ]
    parts = [
        "<!-- SPDX-License-Identifier: MIT -->",
        "# Benchmark results",
        f"`{results['command']}` on {_ran_on(results)}.",
        f"Versions: {'; '.join(versions)}.",
    ]
    parts += [f"Without {name}: {reason}." for name, reason in results["missing"].items()]
    if results["summary"]:
        parts += ["## The figures in short", _summary_note(results), _summary(results)]
    if results["times"]:
        parts += _speed(results)
    if "sizes" in results:
        parts += _costs(results)
    return "\n\n".join(parts) + "\n"


def _ran_on(results: Results) -> str:
    python = results["python"]
    version = f"{python['implementation']} {python['version']}"
    return f"{version} ({python['compiler']}), {results['platform']}"


def _speed(results: Results) -> list[str]:
    parts: list[str] = []
    if ratios(results, None, OURS[0]):
        parts += [
            "## Best peer / sse_stream",
            "By EventStream, and in brackets by feed; then the best peer.",
            _best(results),
        ]
    parts += ["## Microseconds per event", _FLOOR_NOTE]
    for cut, text in results["cuts"].items():
        parts += [f"### {text[:1].upper()}{text[1:]}", _times(results, cut)]
    shapes = [f"- {name}: {shape['stresses']}" for name, shape in results["shapes"].items()]
    parts += ["The shapes:", "\n".join(shapes)]
    faults = _faults(results)
    if faults:
        parts += ["### Not timed", "Their events were not those of the standard.", faults]
    return parts


def _costs(results: Results) -> list[str]:
    sizes, cost = results["sizes"], results["import"]
    return [
        f"## Peak memory for one event of {sizes['peaks'] >> 10:,} KiB",
        _PEAK_NOTE,
        _peaks(results),
        f"## Growth: one event of n = {sizes['growth'] >> 10:,} KiB, 2n and 4n",
        _GROWTH_NOTE,
        _growth(results),
        "## Import",
        f"`import sse_stream` in a bare interpreter (`python -I -S`): {cost['best ms']:.2f} ms at "
        f"best, {cost['median ms']:.2f} ms in the median, "
        f"with {', '.join(f'`{name}`' for name in cost['modules'])}.",
    ]


def readme(results: Results) -> str:
    """Return the figures that the README shows, of results that have all of them."""
    python = results["python"]
    stream, feed = _means(results, NETWORKS)
    small_stream, small_feed = _means(results, ["16"])
    text = (
        f"On {python['implementation']} {python['version']} the fastest other parser takes "
        f"{stream:.2f} times as long as `EventStream`, and {feed:.2f} times as long as `feed`: the "
        "geometric mean over all streams, in chunks as networks deliver them. In chunks of 16 "
        f"bytes, which nobody receives, it takes {small_stream:.2f} and {small_feed:.2f} times as "
        f"long. `import sse_stream` takes {results['import']['best ms']:.1f} ms in a bare "
        "interpreter."
    )
    return textwrap.fill(text, 142, break_on_hyphens=False)


def _means(results: Results, cuts: Sequence[str]) -> list[float]:
    """Return the mean of best peer / ours, by EventStream and by feed."""
    return [geometric_mean(ratios(results, None, name, cuts=cuts).values()) for name in _BOTH]


def filled(text: str, results: Results) -> str:
    """Return the text of the README with the figures between their marks."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return f"{before}{begin}\n{readme(results)}\n{end}{after}" if end else text


_BEGIN, _END = "<!-- speed: begin -->", "<!-- speed: end -->"
_FLOOR_NOTE = (
    "The floor is told the answer: one `find` over each chunk, one decoding of each payload, one "
    "construction of each event. `floor + lines` looks with `splitlines` instead. "
    "eventsource-parser gets its text from TextDecoder, as documented, and with an asterisk from "
    "Node's StringDecoder; V8's strings are views of the text they are cut from, Python's are "
    "copies. Freed memory is kept for the next event (`MALLOC_TRIM_THRESHOLD_`, "
    "`MALLOC_MMAP_THRESHOLD_`), which `huge` depends on. "
    "A dash: not timed, see below."
)
_PEAK_NOTE = "In multiples of the event's size, the event itself included."
_GROWTH_NOTE = "Milliseconds, and the last divided by the first: 4 is linear, 16 quadratic."


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, the first column aligned to the left, the others to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]

    def text(line: Sequence[str]) -> str:
        first, *rest = zip(line, widths, strict=True)
        return (
            "| "
            + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
            + " |"
        )

    rule = (
        "|"
        + "|".join(
            [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
        )
        + "|"
    )
    return "\n".join([text(lines[0]), rule, *map(text, lines[1:])])


def _summary_note(results: Results) -> str:
    cuts = [name for name in NETWORKS if name in results["cuts"]]
    networks = f"Networks' chunks: the cuts {', '.join(cuts)}. " if cuts else ""
    guard = "Chunks of 16 bytes, which nobody receives, are a guard against surprises. "
    return f"{networks}{guard}Means are geometric, and the worst is the worst cell."


def _summary(results: Results) -> str:
    def texts(column: dict[str, Any] | None) -> list[str]:
        if column is None:
            return ["", ""]
        return [f"{column['mean']:.2f}", f"{column['worst']:.2f} ({column['at']})"]

    return table(
        ["times", "EventStream: mean", "worst", "feed: mean", "worst"],
        (
            [row["figure"], *(text for column in row["columns"] for text in texts(column))]
            for row in results["summary"]
        ),
    )


def _best(results: Results) -> str:
    by_event_stream, by_feed = (ratios(results, None, name) for name in _BOTH)

    def cell(shape: str, cut: str) -> str:
        if (shape, cut) not in by_event_stream:
            return "-"
        feed = f" ({by_feed[shape, cut]:.2f})" if (shape, cut) in by_feed else ""
        return f"{by_event_stream[shape, cut]:.2f}{feed} {best_peer(results, shape, cut)}"

    return table(
        ["shape", *results["cuts"]],
        ([shape, *(cell(shape, cut) for cut in results["cuts"])] for shape in results["times"]),
    )


def _times(results: Results, cut: str) -> str:
    names = [
        name
        for name in results["versions"]
        if any(name in results["times"][shape][cut] for shape in results["times"])
    ]

    def cell(shape: str, name: str) -> str:
        value = time_of(results, name, shape, cut)
        return "-" if value is None else _three_digits(value / 1000)

    return table(
        ["shape", *names],
        ([shape, *(cell(shape, name) for name in names)] for shape in results["times"]),
    )


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _faults(results: Results) -> str:
    lines: list[str] = []
    for shape, cuts in results["times"].items():
        for cut, cell in cuts.items():
            lines += [
                f"- {name} on {shape}, {cut}: {outcome['fault']}"
                for name, outcome in cell.items()
                if "fault" in outcome
            ]
    return "\n".join(lines)


def _peaks(results: Results) -> str:
    def cell(value: Any) -> str:
        return str(value["fault"]) if isinstance(value, dict) else f"{value:.2f}"

    return table(
        ["contender", *PEAKS],
        (
            [name, *(cell(found[each]) for each in PEAKS)]
            for name, found in results["peaks"].items()
        ),
    )


def _growth(results: Results) -> str:
    def cell(value: Any) -> str:
        seconds = value["so far"] or [] if isinstance(value, dict) else value
        times = ", ".join(_three_digits(1000 * each) for each in seconds)
        return (
            f"{times} … {value['fault']}"
            if isinstance(value, dict)
            else f"{times} ({seconds[-1] / seconds[0]:.1f})"
        )

    return table(
        ["contender", *GROWTHS],
        (
            [name, *(cell(found[each]) for each in GROWTHS)]
            for name, found in results["growth"].items()
        ),
    )
