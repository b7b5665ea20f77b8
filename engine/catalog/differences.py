"""What differs between two plans of one place: seats by their labels, areas by their slugs.

A seat moves when its zone, row or number is another; where it lies on the drawing is not looked at.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum

from msgspec import Struct

from engine.inventory.compile_manifest import area_slug, traits_of
from engine.inventory.manifest import Traits
from engine.inventory.seating_plan_format import SeatingPlan
from engine.inventory.slug import slug


class DifferenceKind(StrEnum):
    """What has become of a seat, an area or a zone."""

    SEAT_REMOVED = "seat_removed"
    SEAT_ADDED = "seat_added"
    SEAT_MOVED = "seat_moved"
    SEAT_CATEGORY_CHANGED = "seat_category_changed"
    SEAT_ATTRIBUTES_CHANGED = "seat_attributes_changed"
    AREA_REMOVED = "area_removed"
    AREA_ADDED = "area_added"
    AREA_CAPACITY_CHANGED = "area_capacity_changed"
    AREA_CATEGORY_CHANGED = "area_category_changed"
    ZONE_ATTRIBUTES_CHANGED = "zone_attributes_changed"


class PlannedSeat(Struct, frozen=True, gc=False):
    """Where a seat stands, its price level, and what is special about it."""

    zone: str
    row: str
    number: str
    price_level: str
    traits: Traits

    @property
    def place(self) -> tuple[str, str, str]:
        """Return where it stands."""
        return self.zone, self.row, self.number


class PlannedArea(Struct, frozen=True, gc=False):
    """How many an area takes, and its price level."""

    capacity: int
    price_level: str


class ZoneWays(Struct, frozen=True, gc=False):
    """By which entrance and gate a zone is reached; empty: the plan names none."""

    entrance: str
    gate: str


Planned = PlannedSeat | PlannedArea | ZoneWays


class Difference(Struct, frozen=True, gc=False):
    """One difference. `name` is a label, an area's slug or a zone's name."""

    kind: DifferenceKind
    name: str
    before: Planned | None
    after: Planned | None


class Differences(Struct, frozen=True):
    """All of them, and how many of each kind."""

    counts: Mapping[DifferenceKind, int]
    listed: list[Difference]


class Setting(Struct, frozen=True):
    """What is compared of a plan."""

    seats: dict[str, PlannedSeat]
    areas: dict[str, PlannedArea]
    zones: dict[str, ZoneWays]


def setting_of(plan: SeatingPlan) -> Setting:
    """Return what is compared of a plan; of zones with one name the first counts."""
    levels = {category.name: slug(category.name) for category in plan.categories}
    seats: dict[str, PlannedSeat] = {}
    areas: dict[str, PlannedArea] = {}
    zones: dict[str, ZoneWays] = {}
    for zone in plan.zones:
        title = zone.title()
        zones.setdefault(title, ZoneWays(zone.entrance or "", zone.gate or ""))
        for row in zone.rows:
            for seat in row.seats:
                seats[seat.seat_guid] = PlannedSeat(
                    title,
                    row.row_number,
                    seat.seat_number,
                    levels[seat.category],
                    traits_of(seat),
                )
        for area in zone.areas or ():
            if area.capacity and area.category:
                areas[area_slug(area)] = PlannedArea(area.capacity, levels[area.category])
    return Setting(seats, areas, zones)


def compare_plans(before: SeatingPlan, after: SeatingPlan) -> Differences:
    """Return what differs: seats in the order of the plans, then areas, then zones."""
    old, new = setting_of(before), setting_of(after)
    listed = [*_seats(old, new), *_areas(old, new), *_zones(old, new)]
    counted = Counter(difference.kind for difference in listed)
    return Differences({kind: counted[kind] for kind in DifferenceKind}, listed)


def _seats(old: Setting, new: Setting) -> Iterator[Difference]:
    kinds = DifferenceKind
    for label, seat in old.seats.items():
        now = new.seats.get(label)
        if now is None:
            yield Difference(kinds.SEAT_REMOVED, label, seat, None)
            continue
        if seat.place != now.place:
            yield Difference(kinds.SEAT_MOVED, label, seat, now)
        if seat.price_level != now.price_level:
            yield Difference(kinds.SEAT_CATEGORY_CHANGED, label, seat, now)
        if seat.traits != now.traits:
            yield Difference(kinds.SEAT_ATTRIBUTES_CHANGED, label, seat, now)
    for label, seat in new.seats.items():
        if label not in old.seats:
            yield Difference(kinds.SEAT_ADDED, label, None, seat)


def _areas(old: Setting, new: Setting) -> Iterator[Difference]:
    kinds = DifferenceKind
    for name, area in old.areas.items():
        now = new.areas.get(name)
        if now is None:
            yield Difference(kinds.AREA_REMOVED, name, area, None)
            continue
        if area.capacity != now.capacity:
            yield Difference(kinds.AREA_CAPACITY_CHANGED, name, area, now)
        if area.price_level != now.price_level:
            yield Difference(kinds.AREA_CATEGORY_CHANGED, name, area, now)
    for name, area in new.areas.items():
        if name not in old.areas:
            yield Difference(kinds.AREA_ADDED, name, None, area)


def _zones(old: Setting, new: Setting) -> Iterator[Difference]:
    for name, ways in old.zones.items():
        now = new.zones.get(name, ways)
        if ways != now:
            yield Difference(DifferenceKind.ZONE_ATTRIBUTES_CHANGED, name, ways, now)
