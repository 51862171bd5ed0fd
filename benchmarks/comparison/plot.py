"""The plot: answers a second by load and server as bars, on a scale of powers of ten, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.comparison.loads import BARE, SALLYPORT, TWICE, Load
from benchmarks.comparison.results import Results

LEFT, WIDTH, BAR, GAP, TOP = 110, 560, 11, 16, 44
OURS, OTHERS = "#b3470f", "#8c9aa6"
CONNECTIONS: Final = 16
STYLE: Final = (
    "text{font:11px sans-serif;fill:#333}.v{fill:#666}.l{font-weight:bold}"
    "@media(prefers-color-scheme:dark){text,.v{fill:#ccc}}"
)


def drawn(results: Results, loads: Sequence[Load]) -> str:
    """The plot as SVG."""
    groups = [(load.name, bars) for load in loads if (bars := _bars(results, load))]
    most = max((rate for _, bars in groups for _, rate in bars), default=1.0)
    scale = WIDTH / max(1.0, math.log10(most) + 0.05)
    body, y = [], float(TOP)
    for name, bars in groups:
        body.append(_text(8, y - 4, name, "l"))
        body += _group(bars, y, scale)
        y += len(bars) * (BAR + 2) + GAP + 6
    size = f'width="{LEFT + WIDTH + 90}" height="{y:.0f}"'
    title = _text(8, 18, "Answers a second, one bar a server; each tick is ten times the last")
    ticks = "".join(_ticks(most, scale, y))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><style>{STYLE}</style>'
    return f"{head}{ticks}{title}{''.join(body)}</svg>\n"


def _bars(results: Results, load: Load) -> list[tuple[str, float]]:
    """The servers of a group with their rates, Sallyport first, then the fastest."""
    connections = CONNECTIONS if CONNECTIONS in load.connections else load.connections[0]
    rates = {
        server: results.median(server, load.name, "rate", connections=connections)
        for server in results.servers()
        if server not in (BARE, TWICE)
    }
    found = [(server, rate) for server, rate in rates.items() if rate]
    return sorted(found, key=lambda one: (one[0] != SALLYPORT, -one[1]))


def _group(bars: Sequence[tuple[str, float]], y: float, scale: float) -> Iterator[str]:
    for number, (server, rate) in enumerate(bars):
        top = y + number * (BAR + 2)
        width = max(1.0, math.log10(max(rate, 1.0)) * scale)
        colour = OURS if server == SALLYPORT else OTHERS
        size = f'width="{width:.1f}" height="{BAR}" fill="{colour}"'
        yield f'<rect x="{LEFT}" y="{top:.1f}" {size}/>'
        yield _text(20, top + BAR - 2, server)
        yield _text(LEFT + width + 4, top + BAR - 2, f"{rate:,.0f}", "v")


def _ticks(most: float, scale: float, height: float) -> Iterator[str]:
    for power in range(int(math.log10(max(most, 1.0))) + 1):
        x = LEFT + power * scale
        ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="26" y2="{height:.0f}"'
        yield f'<line {ends} stroke="#8884"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'
