"""The tickets of an order: which they are follows from the order and its places alone."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from uuid import UUID

from msgspec import Struct

from engine.inventory.manifest import Manifest
from engine.inventory.ticket_types import STANDARD
from engine.ledger.journal import row_id


class Ticket(Struct, frozen=True):
    """The entitlement to one place: `label` is the seat's, or the slug of the area."""

    id: UUID
    label: str
    price_level: str
    seat: int | None
    area: int | None
    ticket_type: str = STANDARD


def seat_ticket_id(order: bytes, seat: int) -> UUID:
    """Return the id of an order's ticket for the seat at this position."""
    return row_id(order, f"seat {seat}")


def area_ticket_id(order: bytes, area: int, nth: int) -> UUID:
    """Return the id of an order's nth ticket for this area; the first is 0."""
    return row_id(order, f"area {area} place {nth}")


def order_tickets(
    order: bytes,
    manifest: Manifest,
    seats: Iterable[int],
    areas: Iterable[tuple[int, int]],
    types: Sequence[str] = (),
) -> tuple[Ticket, ...]:
    """Return the tickets of an order: seats by position, then areas by index.

    Takes their types in that order, or none: all are standard.
    """
    kinds = iter(types) if types else repeat(STANDARD)
    numbered = [
        Ticket(
            id=seat_ticket_id(order, seat),
            label=manifest.label_of(seat),
            price_level=manifest.levels[manifest.level_of(seat)].slug,
            seat=seat,
            area=None,
            ticket_type=next(kinds),
        )
        for seat in sorted(seats)
    ]
    general = [
        Ticket(
            id=area_ticket_id(order, area, nth),
            label=manifest.areas[area].slug,
            price_level=manifest.areas[area].price_level,
            seat=None,
            area=area,
            ticket_type=next(kinds),
        )
        for area, count in sorted(areas)
        for nth in range(count)
    ]
    return (*numbered, *general)
