"""Where a changed plan takes away what is sold or held: pure, show by show.

A seat is known by its label and an area by its slug: a plan that has them still, wherever they
stand and whatever they cost, takes nothing away.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from engine.inventory.compile_manifest import area_slug
from engine.inventory.manifest import Manifest
from engine.inventory.seating_plan_format import SeatingPlan

_HELD = ord("h")
_SOLD = ord("s")


class PlanPlaces(Struct, frozen=True):
    """What a plan has to sell: seats by label, areas' capacities by slug."""

    seats: frozenset[str]
    areas: Mapping[str, int]


class Occupied(Struct, frozen=True):
    """What buyers have of a show.

    `seats` are the inventory store's states by position; empty: nobody could be asked. `sold` are
    the positions that the ledger has; areas are `(sold, held)` by index.
    """

    seats: bytes
    sold: Collection[int]
    areas: Sequence[tuple[int, int]]


class AreaClash(Struct, frozen=True):
    """An area that would take fewer than it has to; `capacity` 0: it would be gone."""

    area: str
    sold: int
    held: int
    capacity: int


class Clash(Struct, frozen=True):
    """What a plan would take away from a show's buyers; seats best rows first."""

    sold_seats: tuple[str, ...]
    held_seats: tuple[str, ...]
    areas: tuple[AreaClash, ...]

    def __bool__(self) -> bool:
        """Tell whether it would take anything."""
        return bool(self.sold_seats or self.held_seats or self.areas)


def places_of(plan: SeatingPlan) -> PlanPlaces:
    """Return what a plan has to sell."""
    return PlanPlaces(
        frozenset(seat.seat_guid for zone in plan.zones for row in zone.rows for seat in row.seats),
        {
            area_slug(area): area.capacity
            for zone in plan.zones
            for area in zone.areas or ()
            if area.capacity
        },
    )


def vanishing_seats(manifest: Manifest, places: PlanPlaces) -> list[int]:
    """Return the positions of the seats that a plan has not, best rows first."""
    return [n for label, n in manifest.index_by_label.items() if label not in places.seats]


def find_clash(
    manifest: Manifest, vanishing: Sequence[int], places: PlanPlaces, occupied: Occupied
) -> Clash:
    """Return what a plan would take away from the buyers of a show of that manifest."""
    states, ledger = occupied.seats, frozenset(occupied.sold)
    sold: list[str] = []
    held: list[str] = []
    for position in vanishing:
        state = states[position] if states else 0
        # What was sold a moment ago is not in the ledger yet.
        if position in ledger or state == _SOLD:
            sold.append(manifest.label_of(position))
        elif state == _HELD:
            held.append(manifest.label_of(position))
    areas = [
        AreaClash(area.slug, of_sold, of_held, places.areas.get(area.slug, 0))
        for area, (of_sold, of_held) in zip(manifest.areas, occupied.areas, strict=True)
        if of_sold + of_held > places.areas.get(area.slug, 0)
    ]
    return Clash(tuple(sold), tuple(held), tuple(areas))
