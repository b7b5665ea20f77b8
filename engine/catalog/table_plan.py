"""Draws the plan of a compact table: where its sections, rows, seats and areas lie."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct

from engine.inventory.seating_plan_format import (
    AreaText,
    PlanArea,
    PlanCategory,
    PlanRow,
    PlanSeat,
    PlanZone,
    Position,
    Rectangle,
    SeatingPlan,
    Size,
)

SEAT_SPACING: Final = 10
ROW_SPACING: Final = 12
_SECTION_GAP: Final = 40
_AREA_WIDTH: Final = 200
_AREA_HEIGHT: Final = 60


class TableRow(Struct, frozen=True):
    """A row, by its section and its own name."""

    section: str
    row: str


class TableSeats(Struct, frozen=True):
    """Seats of a row, from a number to a number."""

    row: TableRow
    first: int
    last: int
    category: str


class TableArea(Struct, frozen=True):
    """An area; it lies below the rows of its section, if it has one."""

    section: str | None
    name: str
    capacity: int
    category: str


def draw_plan(
    name: str,
    categories: Mapping[str, str],
    seats: Sequence[TableSeats],
    areas: Sequence[TableArea],
) -> SeatingPlan:
    """Return the plan of a table; `categories` are names, by slug."""
    rows: dict[str, dict[str, dict[int, str]]] = {}
    for one in seats:
        of_row = rows.setdefault(one.row.section, {}).setdefault(one.row.row, {})
        of_row.update(dict.fromkeys(range(one.first, one.last + 1), one.category))
    areas_by_section: dict[str, list[TableArea]] = {}
    for area in areas:
        section = area.section or area.name
        areas_by_section.setdefault(section, []).append(area)
    zones: list[PlanZone] = []
    top, width = 0, 0
    for section in dict.fromkeys([*rows, *areas_by_section]):
        drawn = _Section(section, rows.get(section, {}), areas_by_section.get(section, []))
        zones.append(drawn.zone(top))
        top += drawn.height + _SECTION_GAP
        width = max(width, drawn.width)
    return SeatingPlan(
        name=name,
        categories=[PlanCategory(name=category) for category in categories.values()],
        zones=zones,
        size=Size(width=width, height=max(0, top - _SECTION_GAP)),
    )


def draw_area(area: TableArea, top: float) -> PlanArea:
    """Return an area that lies so far below the top of its zone."""
    middle = Position(x=_AREA_WIDTH / 2, y=_AREA_HEIGHT / 2)
    return PlanArea(
        area_id=area.name,
        capacity=area.capacity,
        category=area.category,
        text=AreaText(text=area.name, position=middle),
        shape="rectangle",
        rectangle=Rectangle(width=_AREA_WIDTH, height=_AREA_HEIGHT),
        position=Position(x=0, y=top),
    )


class _Section:
    """A section's rows below each other, centred, then its areas."""

    def __init__(
        self, name: str, rows: Mapping[str, Mapping[int, str]], areas: Sequence[TableArea]
    ) -> None:
        self._name = name
        self._rows = rows
        self._areas = areas
        self._places = {row: _places(sorted(numbers)) for row, numbers in rows.items()}
        widths = [max(places.values()) for places in self._places.values()]
        self.width = max([*widths, _AREA_WIDTH if areas else 0])
        self.height = ROW_SPACING * len(rows) + _AREA_HEIGHT * len(areas)

    def zone(self, top: int) -> PlanZone:
        below = ROW_SPACING * len(self._rows)
        return PlanZone(
            name=self._name,
            position=Position(x=0, y=top),
            rows=[self._row(n, row) for n, row in enumerate(self._rows)],
            areas=[draw_area(area, below + _AREA_HEIGHT * n) for n, area in enumerate(self._areas)]
            or UNSET,
        )

    def _row(self, n: int, row: str) -> PlanRow:
        places = self._places[row]
        left = (self.width - max(places.values())) / 2
        categories = self._rows[row]
        return PlanRow(
            row_number=row,
            position=Position(x=left, y=ROW_SPACING * n),
            seats=[
                PlanSeat(
                    seat_guid=f"{self._name}-{row}-{number}",
                    seat_number=str(number),
                    position=Position(x=x, y=0),
                    category=categories[number],
                )
                for number, x in places.items()
            ],
        )


def _places(numbers: Iterable[int]) -> dict[int, int]:
    """Return where each number stands in its row: numbers that are left out make a gap."""
    places: dict[int, int] = {}
    x, before = -SEAT_SPACING, None
    for number in numbers:
        x += SEAT_SPACING if before is None or number == before + 1 else 2 * SEAT_SPACING
        places[number] = x
        before = number
    return places
