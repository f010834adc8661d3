# SPDX-License-Identifier: MIT
"""What the measurements say: geometric means, ratios, and the tables in Markdown."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING, Any

from .contenders import FLOORS, NODE, OURS
from .memory import GROWTHS, PEAKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Results = dict[str, Any]
Ratios = dict[tuple[str, str], float]  # by shape and cut


def geometric_mean(values: Iterable[float]) -> float:
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs))


def time_of(results: Results, name: str, shape: str, cut: str) -> float | None:
    """Return the nanoseconds per event, or None if this contender was not timed here."""
    value: float | None = results["times"][shape][cut].get(name, {}).get("ns")
    return value


def best_peer(results: Results, shape: str, cut: str) -> str | None:
    """Return the name of the fastest of the Python peers that got this right."""
    cell = results["times"][shape][cut]
    peers = [name for name in cell if name not in (*OURS, *FLOORS, *NODE) and "ns" in cell[name]]
    return min(peers, key=lambda name: float(cell[name]["ns"]), default=None)


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
    """Return the figures that matter, for pull and push: mean, worst ratio, where that is."""
    llm = [name for name, shape in results["shapes"].items() if shape["llm"]]
    pull, push, waiting = OURS
    small = ("event", "1448")
    rows: list[dict[str, Any]] = []

    def row(text: str, worst: Callable[..., Any], *columns: Ratios) -> None:
        found = [column for column in columns if column]
        if found:
            rows.append(
                {
                    "figure": text,
                    "worst": worst.__name__,
                    "columns": [_digest(column, worst) for column in found],
                }
            )

    def ours(over: str | None, *, cuts: Sequence[str] | None = None) -> list[Ratios]:
        return [ratios(results, over, under, cuts=cuts) for under in (pull, push)]

    def against(
        under: str, *, shapes: Sequence[str] | None = None, cuts: Sequence[str] | None = None
    ) -> list[Ratios]:
        return [ratios(results, over, under, shapes=shapes, cuts=cuts) for over in (pull, push)]

    row("best peer / sse_stream", min, *ours(None))
    for cut in results["cuts"]:
        row(f"best peer / sse_stream, cut {cut}", min, *ours(None, cuts=[cut]))
    for peer in results["versions"]:
        if peer not in (*OURS, *FLOORS, *NODE):
            row(f"{peer} / sse_stream", min, *ours(peer))
    for floor in FLOORS:
        row(
            f"sse_stream / {floor}, LLM streams, cut event and 1448",
            max,
            *against(floor, shapes=llm, cuts=small),
        )
    for parser in NODE:
        row(f"{parser} / sse_stream, cut 64k", min, *ours(parser, cuts=["64k"]))
        row(f"sse_stream / {parser}, cut event", max, *against(parser, cuts=["event"]))
    row("sse_stream async / sse_stream", max, ratios(results, waiting, pull))
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
    """Return each contender's mean time in units of ours by pull, and over how many cells."""
    found: dict[str, tuple[float, int]] = {}
    for name in results["versions"]:
        column = ratios(results, name, OURS[0])
        if column:
            found[name] = geometric_mean(column.values()), len(column)
    return found


# Markdown.


def markdown(results: Results) -> str:
    python = results["python"]
    versions = [
        f"{name} {version}" for name, version in results["versions"].items() if name not in FLOORS
    ]
    ran_on = (
        f"{python['implementation']} {python['version']} ({python['compiler']}), "
        f"{results['platform']}"
    )
    parts = [
        "<!-- SPDX-License-Identifier: MIT -->",
        "# Benchmark results",
        f"`{results['command']}` on {ran_on}.",
        f"Versions: {'; '.join(versions)}.",
    ]
    parts += [f"Without {name}: {reason}." for name, reason in results["missing"].items()]
    if results["summary"]:
        parts += ["## The figures in short", _summary(results)]
    if results["times"]:
        if ratios(results, None, OURS[0]):
            parts += [
                "## Best peer / sse_stream",
                "By pull, and in brackets by push; then the best peer.",
                _best(results),
            ]
        parts += ["## Microseconds per event", _FLOOR_NOTE]
        for cut in results["cuts"]:
            parts += [
                f"### {results['cuts'][cut][:1].upper()}{results['cuts'][cut][1:]}",
                _times(results, cut),
            ]
        parts += [
            "The shapes:",
            "\n".join(
                f"- {name}: {shape['stresses']}" for name, shape in results["shapes"].items()
            ),
        ]
        faults = _faults(results)
        if faults:
            parts += ["### Not timed", "Their events were not those of the standard.", faults]
    if results.get("peaks"):
        parts += [
            f"## Peak memory for one event of {results['sizes']['peaks'] >> 10:,} KiB",
            _PEAK_NOTE,
            _peaks(results),
        ]
    if results.get("growth"):
        parts += [
            f"## Growth: one event of n = {results['sizes']['growth'] >> 10:,} KiB, 2n and 4n",
            _GROWTH_NOTE,
            _growth(results),
        ]
    if results.get("import"):
        cost = results["import"]
        parts += [
            "## Import",
            "`import sse_stream` in a bare interpreter (`python -I -S`): "
            f"{cost['best ms']:.2f} ms at best, {cost['median ms']:.2f} ms in the median, "
            f"with {', '.join(f'`{name}`' for name in cost['modules'])}.",
        ]
    return "\n\n".join(parts) + "\n"


def readme(results: Results) -> str:
    """Return the figures that the README shows."""
    python = results["python"]
    return "\n\n".join(
        [
            f"On {python['implementation']} {python['version']}, the time of the fastest other "
            "parser divided by ours: pulled from an `EventStream`, and in brackets pushed through "
            "`feed`. More than 1 means that ours is ahead.",
            _best(results),
            f"`import sse_stream` takes {results['import']['best ms']:.1f} ms "
            "in a bare interpreter.",
        ]
    )


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


def _summary(results: Results) -> str:
    def texts(column: dict[str, Any]) -> list[str]:
        return [f"{column['mean']:.2f}", f"{column['worst']:.2f} ({column['at']})"]

    rows: list[list[str]] = []
    for row in results["summary"]:
        cells = [text for column in row["columns"] for text in texts(column)]
        rows.append([row["figure"], *cells, *[""] * (4 - len(cells))])
    return table(["times", "pull: mean", "worst", "push: mean", "worst"], rows)


def _best(results: Results) -> str:
    by_pull, by_push = (ratios(results, None, name) for name in OURS[:2])

    def cell(shape: str, cut: str) -> str:
        if (shape, cut) not in by_pull:
            return "-"
        push = f" ({by_push[shape, cut]:.2f})" if (shape, cut) in by_push else ""
        return f"{by_pull[shape, cut]:.2f}{push} {best_peer(results, shape, cut)}"

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
