"""Turns a seating plan into the manifest that the engine sells from.

The same plan always gives the same manifest: a show's seats are known by their position in it, so
a change of a rule here would move the seats of shows that are on sale. The rules, for people:
docs/SEATING_PLANS.md.
"""

from collections import Counter
from collections.abc import Iterator
from math import dist

from msgspec import Struct

from engine.inventory.manifest import (
    NO_TRAITS,
    OPEN,
    SEPARATOR,
    Area,
    Manifest,
    PriceLevel,
    Row,
    Traits,
)
from engine.inventory.seat_order import Point, aisles, center, focus_of, walking_order
from engine.inventory.seating_plan_format import PlanArea, PlanRow, PlanSeat, PlanZone, SeatingPlan
from engine.inventory.slug import slug


class _PlacedRow(Struct, frozen=True, gc=False):
    """A row with its seats in walking order; an aisle follows the seats that `aisles` names."""

    zone: PlanZone
    number: str
    seats: list[PlanSeat]
    aisles: frozenset[int]
    center: Point
    level: int


class _Layout:
    """Seats and separators, as they are put down one after the other."""

    def __init__(self, level_of: dict[str, int]) -> None:
        self.level_of = level_of
        self.layout: list[str] = []
        self.labels: list[str | None] = []
        self.numbers: list[str | None] = []
        self.rows: list[Row] = []
        self.traits: dict[int, Traits] = {}
        self.ranges: list[list[tuple[int, int]]] = [[] for _ in level_of]
        self._last_level = -1
        self._shared: dict[str, str] = {}
        self._separate()

    def add(self, row: _PlacedRow) -> None:
        start = end = len(self.layout)
        for n, seat in enumerate(row.seats):
            self._sit(seat)
            end = len(self.layout)
            if n in row.aisles:
                self._separate()
        self._separate()
        zone = row.zone
        self.rows.append(
            Row(
                zone=zone.title(),
                number=row.number,
                start=start,
                end=end,
                entrance=zone.entrance or "",
                gate=zone.gate or "",
            )
        )

    def _sit(self, seat: PlanSeat) -> None:
        position = len(self.layout)
        level = self.level_of[seat.category]
        ranges = self.ranges[level]
        if level == self._last_level:
            ranges[-1] = (ranges[-1][0], position + 1)
        else:
            ranges.append((position, position + 1))
        self._last_level = level
        self.layout.append(OPEN)
        self.labels.append(seat.seat_guid)
        traits = traits_of(seat)
        if traits is not NO_TRAITS:
            self.traits[position] = traits
        # Every row has a seat 1: one string is enough for all of them.
        self.numbers.append(self._shared.setdefault(seat.seat_number, seat.seat_number))

    def _separate(self) -> None:
        self.layout.append(SEPARATOR)
        self.labels.append(None)
        self.numbers.append(None)


def compile_manifest(plan: SeatingPlan, *, focus: Point | None = None) -> Manifest:
    """Compile a plan that `read_plan` has accepted.

    `focus` is the point, in the plan's coordinates, that buyers want to be near. Without one it is
    the centre of the plan's stage or field; where the plan has none, its own order counts as best
    first.
    """
    areas = _ga_areas(plan)
    in_use = {area.price_level for area in areas}
    in_use.update({slug(name) for name in {seat.category for seat in _seats(plan)}})
    categories = [category for category in plan.categories if slug(category.name) in in_use]
    level_of = {category.name: n for n, category in enumerate(categories)}

    rows = [_place(zone, row, level_of) for zone in plan.zones for row in zone.rows]
    layout = _Layout(level_of)
    for row in _best_first(rows, _focus(plan) if focus is None else focus):
        layout.add(row)
    return Manifest(
        name=plan.name,
        layout="".join(layout.layout),
        labels=tuple(layout.labels),
        numbers=tuple(layout.numbers),
        rows=tuple(layout.rows),
        levels=tuple(
            PriceLevel(
                slug=slug(category.name),
                name=category.name,
                color=category.color or None,
                ranges=tuple(ranges),
            )
            for category, ranges in zip(categories, layout.ranges, strict=True)
        ),
        areas=areas,
        traits=layout.traits,
    )


def traits_of(seat: PlanSeat) -> Traits:
    """Return what is special about a seat."""
    if not (seat.accessible or seat.companion_of or seat.restricted_view):
        return NO_TRAITS
    return Traits(
        accessible=seat.accessible is True,
        companion_of=seat.companion_of or "",
        restricted_view=seat.restricted_view is True,
    )


def area_slug(area: PlanArea) -> str:
    """Return the slug of a general admission area: from its id, or else from its text."""
    return slug(area.area_id or area.title())


def _seats(plan: SeatingPlan) -> Iterator[PlanSeat]:
    return (seat for zone in plan.zones for row in zone.rows for seat in row.seats)


def _ga_areas(plan: SeatingPlan) -> tuple[Area, ...]:
    return tuple(
        Area(
            slug=area_slug(area),
            name=area.title(),
            capacity=area.capacity,
            price_level=slug(area.category),
        )
        for zone in plan.zones
        for area in zone.areas or ()
        if area.capacity and area.category
    )


def _focus(plan: SeatingPlan) -> Point | None:
    return focus_of(
        ((zone.position.x, zone.position.y), area)
        for zone in plan.zones
        for area in zone.areas or ()
        if not area.capacity
    )


def _place(zone: PlanZone, row: PlanRow, level_of: dict[str, int]) -> _PlacedRow:
    left, top = zone.position.x, zone.position.y
    if row.position:
        left, top = left + row.position.x, top + row.position.y
    points = [(left + seat.position.x, top + seat.position.y) for seat in row.seats]
    order = walking_order(points)
    # The level of most of its seats; of two with as many, the one listed first.
    tally = Counter(level_of[seat.category] for seat in row.seats)
    return _PlacedRow(
        zone=zone,
        number=row.row_number,
        seats=[row.seats[n] for n in order],
        aisles=aisles([points[n] for n in order]),
        center=center(points),
        level=min(tally, key=lambda level: (-tally[level], level)),
    )


def _best_first(rows: list[_PlacedRow], focus: Point | None) -> list[_PlacedRow]:
    """Sort by price level, then by distance from the focus; equals keep the plan's order."""

    def rank(row: _PlacedRow) -> tuple[int, float]:
        # Rounded, so that rows which mirror each other do not trade places over a float's last bit.
        return row.level, 0.0 if focus is None else round(dist(row.center, focus), 3)

    return sorted(rows, key=rank)
