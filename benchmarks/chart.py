# SPDX-License-Identifier: MIT
"""The SVG of the README: bars, drawn with string templates.

It has no background of its own. Its colours have a contrast of about 4 on white and on a page
nearly black alike, so that it needs to know nothing of the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .contenders import FLOORS, NODE, OURS
from .cuts import NETWORKS
from .report import relative, time_of

if TYPE_CHECKING:
    from .report import Results

_Bar = tuple[str, float, str, str]  # label, length, figure, contender
_LEFT_OUT = FLOORS[1]  # one floor is enough here
_WIDTH, _LEFT, _RIGHT, _ROW, _BAR = 760, 210, 60, 26, 16
_TEXT, _OURS, _PEER, _OTHER = "#787c82", "#1a8a4a", "#8b8fa3", "#b0813a"


def svg(results: Results) -> str:
    """Draw the means over all streams in networks' chunks, and microseconds for one stream."""
    panels = [panel for panel in (_means(results), _chat(results)) if panel[1]]
    y, body = 24, ""
    for title, bars in panels:
        body += _panel(title, bars, y)
        y += _ROW * (len(bars) + 2)
    for line in _footer(results):
        body += f'<text class="small" x="8" y="{y}">{escape(line)}</text>\n'
        y += 18
    return (
        "<!-- SPDX-License-Identifier: MIT -->\n"
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" '
        f'width="{_WIDTH}" height="{y}" role="img" aria-labelledby="title">'
        '<title id="title">Time to decode events: sse_stream and its peers</title>'
        "<style>text{font:14px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;"
        f"fill:{_TEXT}}}.head{{font-weight:600}}.ours{{font-weight:600;fill:{_OURS}}}"
        f".small{{font-size:12px}}</style>{body}</svg>\n"
    )


def _means(results: Results) -> tuple[str, list[_Bar]]:
    cells = sum(cut in NETWORKS for cuts in results["times"].values() for cut in cuts)
    bars = [
        (_label(results, name), mean, f"{mean:.2f}", name)
        for name, (mean, count) in relative(results).items()
        if count == cells and name != _LEFT_OUT
    ]
    title = "Time relative to EventStream (shorter is faster)"
    return f"{title}: mean of {cells} streams in networks' chunks", bars


def _chat(results: Results) -> tuple[str, list[_Bar]]:
    bars: list[_Bar] = []
    if "event" in results["times"].get("chat", {}):
        for name in results["versions"]:
            ns = time_of(results, name, "chat", "event")
            if ns is not None and name != _LEFT_OUT:
                bars.append((_label(results, name), ns, f"{ns / 1000:.2f}", name))
    return "OpenAI chat chunks, one event a chunk: microseconds per event", bars


def _footer(results: Results) -> list[str]:
    python = results["python"]
    lines = [
        f"{python['implementation']} {python['version']}, {results['platform']}. "
        f"{results['command']}",
        f"mean: geometric; networks' chunks: the cuts {', '.join(NETWORKS)} of the tables.",
        "floor: told the answer, it looks at each byte, decodes each payload and makes each event "
        "once.",
    ]
    if {*NODE} & {*results["versions"]}:
        lines.append(
            "eventsource-parser: under Node, text from TextDecoder; with an asterisk from Node's "
            "StringDecoder."
        )
    return lines


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
