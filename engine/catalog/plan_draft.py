"""A seating plan that is being edited: found by names, changed in place, and written as a plan."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median_low
from typing import Any, Final

from msgspec import UNSET, UnsetType, structs

from engine.catalog.table_plan import ROW_SPACING, SEAT_SPACING, TableArea, draw_area
from engine.inventory.compile_manifest import area_slug
from engine.inventory.seating_plan_faults import PlanFault, quoted
from engine.inventory.seating_plan_format import (
    ROW_SEATS_MAX,
    PlanArea,
    PlanCategory,
    PlanRow,
    PlanSeat,
    PlanZone,
    Position,
    SeatingPlan,
)

_ZONE_GAP: Final = 40


class DraftError(ValueError):
    """An edit can't be done; its faults, by JSON pointer into the edit."""

    def __init__(self, *faults: PlanFault) -> None:
        """Take at least one."""
        super().__init__("; ".join(fault.reason for fault in faults))
        self.faults = faults


class _Row:
    """A row and its seats."""

    def __init__(self, row: PlanRow) -> None:
        self.row = row
        self.seats = list(row.seats)

    def prefix(self, otherwise: str) -> str:
        """Return what this row's labels have before the number."""
        if self.seats:
            last = self.seats[-1]
            if last.seat_number and last.seat_guid.endswith(last.seat_number):
                return last.seat_guid.removesuffix(last.seat_number)
        return otherwise

    def spacing(self) -> float:
        xs = sorted({seat.position.x for seat in self.seats})
        gaps = [b - a for a, b in pairwise(xs)]
        return median_low(gaps) if gaps else SEAT_SPACING


class _Zone:
    """A zone, its rows and its areas."""

    def __init__(self, zone: PlanZone) -> None:
        self.zone = zone
        self.rows = [_Row(row) for row in zone.rows]
        self.areas = list(zone.areas or ())

    def bottom(self) -> float:
        """Return where the lowest of its rows and areas ends, relative to the zone."""
        ends = [
            (row.row.position.y if row.row.position else 0) + seat.position.y
            for row in self.rows
            for seat in row.seats
        ]
        ends += [_area_bottom(area) for area in self.areas]
        return max(ends, default=-ROW_SPACING)

    def written(self) -> PlanZone:
        rows = [structs.replace(row.row, seats=row.seats) for row in self.rows]
        areas = self.areas if self.areas or self.zone.areas is not UNSET else UNSET
        return structs.replace(self.zone, rows=rows, areas=areas)


class Draft:
    """A plan to be changed. Each method does one edit as a whole, or raises `DraftError`."""

    def __init__(self, plan: SeatingPlan) -> None:
        """Take the plan to begin with; it stays as it is."""
        self._plan = plan
        self._categories = list(plan.categories)
        self._zones = [_Zone(zone) for zone in plan.zones]
        self._row_of: dict[str, _Row] = {
            seat.seat_guid: row for zone in self._zones for row in zone.rows for seat in row.seats
        }

    def plan(self) -> SeatingPlan:
        """Return what it has become."""
        zones = [zone.written() for zone in self._zones]
        return structs.replace(self._plan, categories=self._categories, zones=zones)

    def add_row(
        self,
        zone: str,
        row: str,
        numbers: range,
        category: str,
        prefix: str | UnsetType,
    ) -> None:
        """Put a row below a zone's last; make the zone if there is none of that name."""
        self._check_category(category)
        known = [one for one in self._zones if one.zone.title() == zone]
        there = self._zone(zone) if known else _Zone(self._new_zone(zone))
        if any(one.row.row_number == row for one in there.rows):
            raise DraftError(PlanFault("/row", f"the zone has a row {quoted(row)} already"))
        last = there.rows[-1] if there.rows else None
        left = min((seat.position.x for seat in last.seats), default=0) if last else 0
        offset = last.row.position.x if last and last.row.position else 0
        position = Position(x=offset, y=there.bottom() + ROW_SPACING)
        added = _Row(PlanRow(row_number=row, seats=[], position=position))
        spacing = last.spacing() if last else SEAT_SPACING
        self._seat(added, numbers, category, prefix or f"{zone}-{row}-", (left, 0), spacing)
        there.rows.append(added)
        if not known:
            self._zones.append(there)

    def remove_row(self, zone: str, row: str) -> None:
        """Take a row away."""
        there = self._zone(zone)
        gone = _row_in(there, row, "/row")
        there.rows.remove(gone)
        for seat in gone.seats:
            del self._row_of[seat.seat_guid]

    def add_seats(
        self,
        zone: str,
        row: str,
        numbers: range,
        category: str,
        prefix: str | UnsetType,
    ) -> None:
        """Put seats behind the last of a row."""
        self._check_category(category)
        there = _row_in(self._zone(zone), row, "/row")
        last = max(there.seats, key=lambda seat: seat.position.x).position
        spacing = there.spacing()
        labelled = there.prefix(f"{zone}-{row}-") if prefix is UNSET else prefix
        self._seat(there, numbers, category, labelled, (last.x + spacing, last.y), spacing)

    def remove_seats(self, seats: Sequence[str]) -> None:
        """Take seats away, and rows that have none left."""
        self._check_seats(seats)
        gone = set(seats)
        for row in {id(self._row_of[label]): self._row_of[label] for label in gone}.values():
            row.seats = [seat for seat in row.seats if seat.seat_guid not in gone]
        for label in gone:
            del self._row_of[label]
        for zone in self._zones:
            zone.rows = [row for row in zone.rows if row.seats]

    def add_category(self, name: str, color: str | UnsetType) -> None:
        """Make a category."""
        if any(category.name == name for category in self._categories):
            raise DraftError(PlanFault("/name", f"there is a category {quoted(name)} already"))
        self._categories.append(PlanCategory(name=name, color=color))

    def set_category(
        self,
        category: str,
        *,
        seats: Sequence[str],
        zone: str,
        rows: Sequence[str],
        areas: Sequence[str],
    ) -> None:
        """Put seats, rows and areas in a category."""
        self._check_category(category)
        self._check_seats(seats)
        there = self._rows(zone, rows) if rows else []
        found = self._areas(areas) if areas else []
        self._change_seats(seats, {"category": category})
        for row in there:
            row.seats = [structs.replace(seat, category=category) for seat in row.seats]
        for of, n in found:
            of.areas[n] = structs.replace(of.areas[n], category=category)

    def add_area(self, zone: str | UnsetType, area: str, capacity: int, category: str) -> None:
        """Make an area: below a zone's rows, or in a zone of its own."""
        self._check_category(category)
        there = _Zone(self._new_zone(area)) if zone is UNSET else self._zone(zone)
        top = there.bottom() + ROW_SPACING
        there.areas.append(draw_area(TableArea(None, area, capacity, category), top))
        if zone is UNSET:
            self._zones.append(there)

    def remove_area(self, area: str) -> None:
        """Take an area away."""
        zone, n = self._area(area, "/area")
        del zone.areas[n]

    def set_capacity(self, area: str, capacity: int) -> None:
        """Say how many an area takes."""
        zone, n = self._area(area, "/area")
        zone.areas[n] = structs.replace(zone.areas[n], capacity=capacity)

    def set_attributes(self, seats: Sequence[str], changes: Mapping[str, Any]) -> None:
        """Say what is special about seats: UNSET stays, None clears."""
        self._check_seats(seats)
        self._change_seats(seats, _cleared(changes))

    def set_zone(self, zone: str, changes: Mapping[str, Any]) -> None:
        """Say how a zone is reached: UNSET stays, None clears."""
        there = self._zone(zone)
        there.zone = structs.replace(there.zone, **_cleared(changes))

    def _change_seats(self, seats: Sequence[str], changes: Mapping[str, Any]) -> None:
        named = set(seats)
        for row in {id(self._row_of[label]): self._row_of[label] for label in named}.values():
            row.seats = [
                structs.replace(seat, **changes) if seat.seat_guid in named else seat
                for seat in row.seats
            ]

    def _seat(  # noqa: PLR0913, PLR0917 - where, and what
        self,
        row: _Row,
        numbers: range,
        category: str,
        prefix: str,
        start: tuple[float, float],
        spacing: float,
    ) -> None:
        labels = [f"{prefix}{number}" for number in numbers]
        taken = [label for label in labels if label in self._row_of]
        if taken:
            raise DraftError(PlanFault("", f"there is a seat {quoted(taken[0])} already"))
        if len(row.seats) + len(labels) > ROW_SEATS_MAX:
            raise DraftError(PlanFault("/last", f"a row has {ROW_SEATS_MAX} seats at most"))
        for n, (number, label) in enumerate(zip(numbers, labels, strict=True)):
            position = Position(x=start[0] + n * spacing, y=start[1])
            row.seats.append(
                PlanSeat(
                    seat_guid=label,
                    seat_number=str(number),
                    position=position,
                    category=category,
                )
            )
            self._row_of[label] = row

    def _check_category(self, category: str) -> None:
        if all(known.name != category for known in self._categories):
            raise DraftError(
                PlanFault("/category", f"no category is called {quoted(category)}; add it first")
            )

    def _check_seats(self, seats: Sequence[str]) -> None:
        faults = [
            PlanFault(f"/seats/{n}", f"the plan has no seat {quoted(label)}")
            for n, label in enumerate(seats)
            if label not in self._row_of
        ]
        if faults:
            raise DraftError(*faults)

    def _zone(self, name: str) -> _Zone:
        found = [zone for zone in self._zones if zone.zone.title() == name]
        return _only(found, "/zone", f"zone is called {quoted(name)}")

    def _area(self, name: str, pointer: str) -> tuple[_Zone, int]:
        for zone in self._zones:
            for n, area in enumerate(zone.areas):
                if area.capacity is not UNSET and area_slug(area) == name:
                    return zone, n
        raise DraftError(_no_area(name, pointer))

    def _rows(self, zone: str, names: Sequence[str]) -> list[_Row]:
        """Return rows by their names, each looked up once however many are named."""
        known: dict[str, list[_Row]] = {}
        for row in self._zone(zone).rows:
            known.setdefault(row.row.row_number, []).append(row)
        return [
            _only(known.get(name, []), f"/rows/{n}", _what_row(name))
            for n, name in enumerate(names)
        ]

    def _areas(self, names: Sequence[str]) -> list[tuple[_Zone, int]]:
        known: dict[str, tuple[_Zone, int]] = {}
        for zone in self._zones:
            for n, area in enumerate(zone.areas):
                if area.capacity is not UNSET:
                    known.setdefault(area_slug(area), (zone, n))
        faults = [
            _no_area(name, f"/areas/{n}") for n, name in enumerate(names) if name not in known
        ]
        if faults:
            raise DraftError(*faults)
        return [known[name] for name in names]

    def _new_zone(self, name: str) -> PlanZone:
        bottoms = [zone.zone.position.y + zone.bottom() for zone in self._zones]
        return PlanZone(
            name=name,
            position=Position(x=0, y=max(bottoms, default=-_ZONE_GAP) + _ZONE_GAP),
            rows=[],
        )


def _row_in(zone: _Zone, name: str, pointer: str) -> _Row:
    found = [row for row in zone.rows if row.row.row_number == name]
    return _only(found, pointer, _what_row(name))


def _what_row(name: str) -> str:
    return f"row of the zone is called {quoted(name)}"


def _no_area(name: str, pointer: str) -> PlanFault:
    return PlanFault(pointer, f"the plan has no area {quoted(name)}")


def _only(found: Sequence[Any], pointer: str, what: str) -> Any:  # noqa: ANN401 - a row or a zone
    if len(found) == 1:
        return found[0]
    many = f"more than one {what}: import the plan instead"
    raise DraftError(PlanFault(pointer, many if found else f"no {what}"))


def _cleared(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be changed, with UNSET where it is to be cleared."""
    return {
        name: UNSET if value is None else value
        for name, value in changes.items()
        if value is not UNSET
    }


def _area_bottom(area: PlanArea) -> float:
    top = area.position.y if area.position else 0
    height = area.rectangle.height if area.rectangle else area.height or 0
    return top + height
