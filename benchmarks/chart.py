# SPDX-License-Identifier: MIT
"""The SVG of the README: bars, drawn with string templates.

It has no background of its own. Its colours have a contrast of about 4 on white and on a page
nearly black alike, so that it needs to know nothing of the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .contenders import FLOORS, NODE, OURS
from .report import relative, time_of

if TYPE_CHECKING:
    from .report import Results

_Bar = tuple[str, float, str, str]  # label, length, figure, contender
_WIDTH, _LEFT, _RIGHT, _ROW, _BAR = 760, 210, 60, 26, 16
_TEXT, _OURS, _PEER, _OTHER = "#787c82", "#1a8a4a", "#8b8fa3", "#b0813a"


def svg(results: Results) -> str:
    """Draw two panels: the geometric mean over everything, and microseconds for one stream."""
    python = results["python"]
    cells = sum(len(cuts) for cuts in results["times"].values())
    means = relative(results)
    means.pop(FLOORS[1], None)  # one floor is enough here
    panels: list[tuple[str, list[_Bar]]] = [
        (
            "Time to decode, relative to sse_stream (shorter is faster): "
            f"geometric mean of {cells} streams",
            [
                (_label(results, name), mean, f"{mean:.2f}", name)
                for name, (mean, count) in means.items()
                if count == cells
            ],
        )
    ]
    if "event" in results["times"].get("chat", {}):
        times = {name: time_of(results, name, "chat", "event") for name in means}
        panels.append(
            (
                "OpenAI chat chunks, one event a chunk: microseconds per event",
                [
                    (_label(results, name), ns, f"{ns / 1000:.2f}", name)
                    for name, ns in times.items()
                    if ns is not None
                ],
            )
        )
    y, body = 24, ""
    for title, bars in panels:
        body += _panel(title, bars, y)
        y += _ROW * (len(bars) + 2)
    footer = [
        f"{python['implementation']} {python['version']}, {results['platform']}. "
        f"{results['command']}",
        "floor: told the answer, it looks at each byte, decodes each payload and makes each event "
        "once.",
    ]
    if {*NODE} & {*means}:
        footer.append(
            "eventsource-parser: under Node, text from TextDecoder; with an asterisk from Node's "
            "StringDecoder."
        )
    for line in footer:
        body += f'<text class="small" x="8" y="{y}">{escape(line)}</text>\n'
        y += 18
    height = y
    return (
        "<!-- SPDX-License-Identifier: MIT -->\n"
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="title">'
        '<title id="title">Time to decode events: sse_stream and its peers</title>'
        "<style>text{font:14px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;"
        f"fill:{_TEXT}}}.head{{font-weight:600}}.ours{{font-weight:600;fill:{_OURS}}}"
        f".small{{font-size:12px}}</style>{body}</svg>\n"
    )


def _panel(title: str, bars: list[_Bar], y: int) -> str:
    most = max((bar[1] for bar in bars), default=1.0)
    lines = [f'<text class="head" x="8" y="{y}">{escape(title)}</text>']
    for label, value, text, name in sorted(bars, key=lambda bar: bar[1]):
        y += _ROW
        width = value / most * (_WIDTH - _LEFT - _RIGHT)
        weight = ' class="ours"' if name in OURS else ""
        lines.append(
            f'<text{weight} x="{_LEFT - 8}" y="{y}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{_LEFT}" y="{y - _BAR + 3}" width="{width:.1f}" height="{_BAR}" rx="2" '
            f'fill="{_colour(name)}"/>'
            f'<text{weight} x="{_LEFT + width + 8:.1f}" y="{y}">{escape(text)}</text>'
        )
    return "\n".join(lines) + "\n"


def _label(results: Results, name: str) -> str:
    version = results["versions"][name].partition(",")[0]
    return name if name in (*OURS, *FLOORS) else f"{name} {version}"


def _colour(name: str) -> str:
    return _OURS if name in OURS else _OTHER if name in (*NODE, *FLOORS) else _PEER
