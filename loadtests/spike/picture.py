"""Draws a run over time as SVG: panels one above the other, all on the same time.

A plain picture that needs no script and no font of its own; its colours follow whether the reader
has a light or a dark screen.
"""

from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

from msgspec import Struct

_WIDTH: Final = 900
_LEFT: Final = 70
_RIGHT: Final = 130
_TOP: Final = 92
_PANEL_HEIGHT: Final = 130
_PANEL_GAP: Final = 52
_BOTTOM: Final = 44
_LABEL_HEIGHT: Final = 15
_TICKS_Y: Final = 3
_TICKS_X: Final = 8
_COLOURS: Final = 6

_STYLE: Final = """
  svg { font: 13px system-ui, sans-serif; }
  .ground { fill: #ffffff; }
  .title { fill: #1f2328; font-size: 17px; font-weight: 600; }
  .name { fill: #1f2328; font-weight: 600; }
  .note, .tick { fill: #59636e; }
  .grid { stroke: #d8dee4; stroke-width: 1; }
  .axis { stroke: #818b98; stroke-width: 1; }
  .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
  .c0 { stroke: #0969da; } .c1 { stroke: #bc4c00; } .c2 { stroke: #1a7f37; }
  .c3 { stroke: #8250df; } .c4 { stroke: #bf3989; } .c5 { stroke: #57606a; }
  .t0 { fill: #0969da; } .t1 { fill: #bc4c00; } .t2 { fill: #1a7f37; }
  .t3 { fill: #8250df; } .t4 { fill: #bf3989; } .t5 { fill: #57606a; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; }
    .title, .name { fill: #f0f6fc; }
    .note, .tick { fill: #9198a1; }
    .grid { stroke: #2a313c; }
    .axis { stroke: #6e7681; }
    .c0 { stroke: #58a6ff; } .c1 { stroke: #f0883e; } .c2 { stroke: #3fb950; }
    .c3 { stroke: #bc8cff; } .c4 { stroke: #ff7bcd; } .c5 { stroke: #afb8c1; }
    .t0 { fill: #58a6ff; } .t1 { fill: #f0883e; } .t2 { fill: #3fb950; }
    .t3 { fill: #bc8cff; } .t4 { fill: #ff7bcd; } .t5 { fill: #afb8c1; }
  }
"""


class Line(Struct, frozen=True):
    """One curve: its name, written where it ends, and its points."""

    name: str
    points: Sequence[tuple[float, float]]
    """Time since the run began, and a value of 0 or more."""


class Panel(Struct, frozen=True):
    """Curves that share an axis."""

    name: str
    """What the axis shows, with its unit."""
    lines: Sequence[Line]


def draw(
    title: str,
    note: str,
    panels: Sequence[Panel],
    *,
    across: str = "seconds since the first request",
) -> str:
    """Return an SVG document; panels without a point are left out.

    `across` says what all panels' other axis shows.
    """
    shown = [panel for panel in panels if any(line.points for line in panel.lines)]
    height = _TOP + len(shown) * (_PANEL_HEIGHT + _PANEL_GAP) - _PANEL_GAP + _BOTTOM
    points = [point for panel in shown for line in panel.lines for point in line.points]
    time = _Scale(max((x for x, _ in points), default=0.0), _TICKS_X, _WIDTH - _LEFT - _RIGHT)
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
        _text("title", _LEFT, 28, title),
        _text("note", _LEFT, 48, note),
    ]
    for n, panel in enumerate(shown):
        parts += _panel(panel, _TOP + n * (_PANEL_HEIGHT + _PANEL_GAP), time)
    parts += (
        _text("tick", _LEFT + time.place(tick), height - _BOTTOM + 18, _number(tick), "middle")
        for tick in time.ticks
    )
    parts.append(_text("note", _LEFT, height - 8, across))
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """Puts values from 0 on a length, with ticks at round numbers."""

    def __init__(self, most: float, ticks: int, length: float) -> None:
        step = _round_step(most / ticks)
        self._top = max(step * ceil(most / step), step)
        self._length = length
        self.ticks = [step * n for n in range(floor(self._top / step) + 1)]

    def place(self, value: float) -> float:
        return value / self._top * self._length


def _round_step(step: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    if step <= 0:
        return 1.0
    power = 10.0 ** floor(log10(step))
    return next((power * by for by in (1, 2, 5) if power * by >= step), power * 10)


def _panel(panel: Panel, top: int, across: _Scale) -> Iterable[str]:
    most = max(y for line in panel.lines for _, y in line.points)
    up = _Scale(most, _TICKS_Y, _PANEL_HEIGHT)
    bottom = top + _PANEL_HEIGHT
    right = _WIDTH - _RIGHT
    yield _text("name", _LEFT, top - 10, panel.name)
    for tick in up.ticks:
        y = bottom - up.place(tick)
        kind = "grid" if tick else "axis"
        yield f'<path class="{kind}" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield _text("tick", _LEFT - 8, y + 4, _number(tick), "end")
    ends: list[tuple[float, int, str]] = []
    for n, line in enumerate(panel.lines):
        if not line.points:
            continue
        colour = n % _COLOURS
        places = [(_LEFT + across.place(x), bottom - up.place(y)) for x, y in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path class="line c{colour}" d="M{path}"/>'
        ends.append((places[-1][1], colour, line.name))
    for y, colour, name in _spread(ends, bottom):
        yield _text(f"t{colour}", right + 8, y + 4, name)


def _spread(ends: list[tuple[float, int, str]], bottom: float) -> list[tuple[float, int, str]]:
    """Move the names of curves apart that end close to each other, upwards from the bottom."""
    moved: list[tuple[float, int, str]] = []
    limit = bottom
    for y, colour, name in sorted(ends, key=lambda end: (-end[0], end[1])):
        at = min(y, limit)
        moved.append((at, colour, name))
        limit = at - _LABEL_HEIGHT
    return moved


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _number(value: float) -> str:
    return f"{value:,.10g}"
