"""Draws a hall in the terminal: every seat where it stands, coloured by what became of it.

A line of text has two pixels per character, an upper and a lower half block. A large hall is
scaled down: a pixel then stands for several seats and shows the mean of their colours.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import dist
from statistics import median
from typing import Final

import msgspec
from msgspec import Struct
from rich.color import Color
from rich.style import Style
from rich.text import Text

_Colour = tuple[int, int, int]

COLOURS: Final[dict[str, _Colour]] = {
    "o": (64, 84, 112),
    "h": (255, 184, 48),
    "s": (46, 196, 122),
    "b": (120, 60, 60),
}
"""Of open, held, sold and blocked seats."""

_LETTERS: Final = {"o": "·", "h": "o", "s": "#", "b": "x"}
_UPPER: Final = "▀"
_LOWER: Final = "▄"
_GAP: Final = " "

Point = tuple[float, float]


class _Position(Struct):
    x: float
    y: float


class _Seat(Struct):
    seat_guid: str
    position: _Position


class _Row(Struct):
    seats: list[_Seat]
    position: _Position | None = None


class _Zone(Struct):
    position: _Position
    rows: list[_Row]


class _Plan(Struct):
    zones: list[_Zone]


def read_places(plan: bytes) -> dict[str, Point]:
    """Return where the seats of a seating plan stand, by label."""
    places: dict[str, Point] = {}
    for zone in msgspec.json.decode(plan, type=_Plan).zones:
        for row in zone.rows:
            left, top = zone.position.x, zone.position.y
            if row.position is not None:
                left, top = left + row.position.x, top + row.position.y
            for seat in row.seats:
                places[seat.seat_guid] = (left + seat.position.x, top + seat.position.y)
    return places


class HallPicture:
    """A hall fitted into a number of columns and lines."""

    def __init__(
        self,
        labels: Sequence[str],
        places: Mapping[str, Point],
        *,
        columns: int,
        lines: int,
    ) -> None:
        """Take the labels by position ("" where no seat is) and where they stand."""
        seats = [(n, places[label]) for n, label in enumerate(labels) if label in places]
        self._pixels: list[tuple[int, int]] = []
        self.columns = self.lines = 0
        if not seats:
            return
        left = min(x for _, (x, _) in seats)
        top = min(y for _, (_, y) in seats)
        width = max(x for _, (x, _) in seats) - left
        height = max(y for _, (_, y) in seats) - top
        # A character is about twice as high as wide, so its half is a square pixel.
        step = max(width / max(columns - 1, 1), height / max(lines * 2 - 1, 1), _spacing(seats))
        self.columns = int(width / step) + 1
        self.lines = (int(height / step) + 2) // 2
        self._pixels = [
            (n, int((y - top) / step + 1e-6) * self.columns + int((x - left) / step + 1e-6))
            for n, (x, y) in seats
        ]

    def draw(self, states: str) -> Text:
        """Return the hall in colours; `states` has a letter per position."""
        pixels = self._colours(states)
        text = Text(no_wrap=True)
        for line in range(self.lines):
            for column in range(self.columns):
                upper = pixels.get(line * 2 * self.columns + column)
                lower = pixels.get((line * 2 + 1) * self.columns + column)
                text.append(*_block(upper, lower))
            text.append("\n")
        return text

    def plain(self, states: str) -> str:
        """Return the hall in letters: `·` open, `o` held, `#` sold, `x` blocked, by majority."""
        cells: dict[int, Counter[str]] = {}
        for position, pixel in self._pixels:
            row, column = divmod(pixel, self.columns)
            cell = cells.setdefault(row // 2 * self.columns + column, Counter())
            cell[states[position]] += 1
        lines: list[str] = []
        for line in range(self.lines):
            row = ""
            for column in range(self.columns):
                cell = cells.get(line * self.columns + column)
                row += _LETTERS[cell.most_common(1)[0][0]] if cell else _GAP
            lines.append(row.rstrip())
        return "\n".join(lines)

    def _colours(self, states: str) -> dict[int, _Colour]:
        sums: dict[int, list[int]] = {}
        for position, pixel in self._pixels:
            red, green, blue = COLOURS[states[position]]
            so_far = sums.get(pixel)
            if so_far is None:
                sums[pixel] = [red, green, blue, 1]
            else:
                so_far[0] += red
                so_far[1] += green
                so_far[2] += blue
                so_far[3] += 1
        return {
            pixel: (red // count, green // count, blue // count)
            for pixel, (red, green, blue, count) in sums.items()
        }


def _spacing(seats: Sequence[tuple[int, Point]]) -> float:
    """Return how far apart neighbours sit, so that no stripes of nothing come between them."""
    gaps = [dist(a, b) for (n, a), (m, b) in pairwise(seats) if m == n + 1]
    return max(median(gaps), 1e-9) if gaps else 1.0


def _block(upper: _Colour | None, lower: _Colour | None) -> tuple[str, Style | None]:
    if upper is None and lower is None:
        return _GAP, None
    if upper is None:
        return _LOWER, Style(color=_rich(lower))
    if lower is None:
        return _UPPER, Style(color=_rich(upper))
    return _UPPER, Style(color=_rich(upper), bgcolor=_rich(lower))


def _rich(colour: _Colour | None) -> Color | None:
    return None if colour is None else Color.from_rgb(*colour)
