"""What the parts of a seating plan must say together: unique labels, known categories, sizes."""

from typing import Final

from msgspec import UNSET

from engine.inventory.compile_manifest import area_slug
from engine.inventory.seating_plan_faults import Faults, below, quoted
from engine.inventory.seating_plan_format import (
    GA_AREAS_MAX,
    SEATS_MAX,
    PlanArea,
    PlanRow,
    PlanSeat,
    PlanZone,
    SeatingPlan,
)
from engine.inventory.slug import slug

_GRID: Final = 1000
"""Seats nearer than a thousandth of a unit are at one position."""


def find_rule_faults(plan: SeatingPlan, faults: Faults) -> None:
    """Add a fault for each rule that the plan breaks, in document order."""
    seats = sum(len(row.seats) for zone in plan.zones for row in zone.rows)
    ga_areas = sum(area.capacity is not UNSET for zone in plan.zones for area in zone.areas or ())
    if seats > SEATS_MAX:
        faults.add("", f"has {seats} seats: {SEATS_MAX} at most")
        return
    if ga_areas > GA_AREAS_MAX:
        faults.add("", f"has {ga_areas} areas with a capacity: {GA_AREAS_MAX} at most")
        return
    if not seats + ga_areas:
        faults.add("/zones", "the plan has no seat and no area with a capacity")
    rules = _Rules(plan, faults)
    for n, zone in enumerate(plan.zones):
        rules.check_zone(zone, f"/zones/{n}")
    rules.check_companions()


class _Rules:
    """What was seen of the plan so far, and where."""

    def __init__(self, plan: SeatingPlan, faults: Faults) -> None:
        self.faults = faults
        self.categories: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.positions: dict[tuple[int, int], str] = {}
        self.area_slugs: dict[str, str] = {}
        self.accessible: set[str] = set()
        self.companions: list[tuple[str, str]] = []
        self._check_categories(plan)

    def check_zone(self, zone: PlanZone, pointer: str) -> None:
        for n, row in enumerate(zone.rows):
            if self.faults.full:
                return
            self._check_row(zone, row, f"{pointer}/rows/{n}")
        for n, area in enumerate(zone.areas or ()):
            self._check_area(area, f"{pointer}/areas/{n}")

    def check_companions(self) -> None:
        """Check whom companions sit with, once all seats were seen."""
        for pointer, label in self.companions:
            if label not in self.labels:
                self.faults.add(pointer, f"the plan has no seat {quoted(label)}")
            elif label not in self.accessible:
                self.faults.add(pointer, f"the seat {quoted(label)} is not accessible")

    def _check_categories(self, plan: SeatingPlan) -> None:
        slugs: dict[str, str] = {}
        for n, category in enumerate(plan.categories):
            pointer = f"/categories/{n}"
            at_name = below(pointer, "name")
            name = quoted(category.name)
            category_slug = slug(category.name)
            if category.name in self.categories:
                first = self.categories[category.name]
                self.faults.add(at_name, f"{name} is already the category at {first}")
            elif not category_slug:
                self.faults.add(at_name, f"{name} has no letter or digit to make a slug from")
            elif category_slug in slugs:
                first = slugs[category_slug]
                reason = f"{name} has the same slug as the category at {first}: {category_slug}"
                self.faults.add(at_name, reason)
            self.categories.setdefault(category.name, pointer)
            slugs.setdefault(category_slug, pointer)

    def _check_row(self, zone: PlanZone, row: PlanRow, pointer: str) -> None:
        if not row.seats:
            self.faults.add(pointer, f"row {quoted(row.row_number)} has no seats")
        left, top = zone.position.x, zone.position.y
        if row.position:
            left, top = left + row.position.x, top + row.position.y
        for n, seat in enumerate(row.seats):
            at = f"{pointer}/seats/{n}"
            first = self.labels.setdefault(seat.seat_guid, at)
            if first is not at:
                reason = f"{quoted(seat.seat_guid)} is already the seat at {first}"
                self.faults.add(below(at, "seat_guid"), reason)
            x, y = left + seat.position.x, top + seat.position.y
            first = self.positions.setdefault((round(x * _GRID), round(y * _GRID)), at)
            if first is not at:
                reason = f"the seat at {first} has the same place in the plan, ({x:g}, {y:g})"
                self.faults.add(below(at, "position"), reason)
            self._check_category(seat, at)
            if seat.accessible is True:
                self.accessible.add(seat.seat_guid)
            if seat.companion_of is not UNSET:
                self._note_companion(seat, below(at, "companion_of"))

    def _note_companion(self, seat: PlanSeat, pointer: str) -> None:
        if seat.companion_of == seat.seat_guid:
            self.faults.add(pointer, "a seat is not its own companion")
        else:
            self.companions.append((pointer, str(seat.companion_of)))

    def _check_category(self, priced: PlanSeat | PlanArea, pointer: str) -> None:
        if priced.category and priced.category not in self.categories:
            reason = f"no category is called {quoted(priced.category)}"
            self.faults.add(below(pointer, "category"), reason)

    def _check_area(self, area: PlanArea, pointer: str) -> None:
        self._check_category(area, pointer)
        if area.capacity is UNSET:
            if area.category is not UNSET:
                self.faults.add(pointer, "an area with a category needs a capacity")
            return
        if area.category is UNSET:
            self.faults.add(pointer, "an area with a capacity needs a category")
        name = area_slug(area)
        if not name:
            self.faults.add(
                pointer,
                "an area with a capacity needs an area_id or a text, with letters or digits",
            )
            return
        first = self.area_slugs.setdefault(name, pointer)
        if first is not pointer:
            self.faults.add(pointer, f"the area at {first} has the same slug: {name}")
