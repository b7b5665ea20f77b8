"""Reads orders from the ledger. Callers bring a connection that sees the reseller's rows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.ticket_types import STANDARD
from engine.platform.ids import EntityId
from engine.platform.money import NOTHING, Charge
from engine.platform.tables import order_lines, orders, shows, stranded_facts, tickets
from engine.sales.pricing import Quote, QuoteLine
from engine.sales.tickets import area_ticket_id, seat_ticket_id


class OrderState(StrEnum):
    """How an order stands, as its buyer is told."""

    CONFIRMED = "confirmed"
    """Sold: the row is in the ledger."""
    RECORDING = "recording"
    """Decided, and on its way to the ledger. Not yet sold."""
    FAILED = "failed"
    """Nothing was sold, nothing is to be captured: `Failure` says why."""
    REFUNDED = "refunded"
    """Sold once, given back, and paid back."""
    RETURNED = "returned"
    """Sold once, and given back: its places are others' to buy, its buyer is to be paid back."""


class Failure(StrEnum):
    """Why an order failed."""

    CONFLICT = "conflict"
    """Another order has a place of it."""
    STRANDED = "stranded"
    """Its sale came to light too late to be recorded, or can't be read."""
    LOST = "lost"
    """The store that decided it was lost before it was recorded, or nobody ever bought its hold."""


class RecordedOrder(Struct, frozen=True, kw_only=True):
    """An order as the ledger has it, with its places: seats by position, areas by index."""

    id: UUID
    state: OrderState
    buyer: str
    sold_at_ms: int
    payment_reference: str
    purchase_key: str
    body_fp: int
    price_version: int
    quote: Quote
    seats: tuple[int, ...]
    areas: tuple[tuple[int, int], ...]
    types: tuple[str, ...] = ()
    """Of the seats, then of each area's places; none: all are standard."""
    sold_by: EntityId | None = None


RECORDED_AS: Final = {
    "confirmed": OrderState.CONFIRMED,
    "conflict": OrderState.FAILED,
    "refunded": OrderState.REFUNDED,
    "returned": OrderState.RETURNED,
}
"""What an order's status in the ledger is called outside."""

_ORDER: Final = select(orders).where(
    orders.c.id == bindparam("order"), orders.c.show_id == bindparam("show")
)
_PLACES: Final = select(
    tickets.c.id, tickets.c.seat_index, tickets.c.area_index, tickets.c.ticket_type
).where(tickets.c.order_id == bindparam("order"))
_LINES: Final = (
    select(order_lines)
    .where(order_lines.c.order_id == bindparam("order"))
    .order_by(order_lines.c.line_no)
)
_STRANDED: Final = select(stranded_facts.c.hold_id).where(
    stranded_facts.c.hold_id == bindparam("order"), stranded_facts.c.show_id == bindparam("show")
)

_EPOCH: Final = select(shows.c.epoch).where(shows.c.id == bindparam("show"))


async def find_order(connection: AsyncConnection, show: int, order: bytes) -> RecordedOrder | None:
    """Return a show's order by its id, which is also its hold's; None if it is not recorded."""
    named = {"order": UUID(bytes=order), "show": show}
    row = (await connection.execute(_ORDER, named)).mappings().one_or_none()
    if row is None:
        return None
    places = (await connection.execute(_PLACES, {"order": row["id"]})).all()
    counts = Counter(place.area_index for place in places if place.area_index is not None)
    seats = tuple(sorted(place.seat_index for place in places if place.seat_index is not None))
    areas = tuple(sorted(counts.items()))
    of_ticket = {place.id: place.ticket_type for place in places if place.ticket_type is not None}
    return RecordedOrder(
        id=row["id"],
        state=RECORDED_AS[row["status"]],
        buyer=row["buyer"],
        sold_at_ms=_ms(row["sold_at"]),
        payment_reference=row["payment_reference"],
        purchase_key=row["purchase_key"],
        body_fp=row["body_fp"],
        price_version=row["price_version"],
        quote=await _quote(connection, row["id"], row["currency"]),
        seats=seats,
        areas=areas,
        types=_types(order, of_ticket, seats, areas) if of_ticket else (),
        sold_by=row["sold_by"],
    )


def _types(
    order: bytes,
    of_ticket: Mapping[UUID, str],
    seats: Iterable[int],
    areas: Iterable[tuple[int, int]],
) -> tuple[str, ...]:
    named = [
        *(seat_ticket_id(order, seat) for seat in seats),
        *(area_ticket_id(order, area, nth) for area, count in areas for nth in range(count)),
    ]
    return tuple(of_ticket.get(ticket, STANDARD) for ticket in named)


async def _quote(connection: AsyncConnection, order: UUID, currency: str) -> Quote:
    """Return the price as it was recorded."""
    rows = (await connection.execute(_LINES, {"order": order})).mappings()
    lines = tuple(
        QuoteLine(
            price_level=row["price_level"],
            area_index=row["area_index"],
            quantity=row["quantity"],
            unit=Charge(
                face_value=row["unit_face_value"],
                fee=row["unit_fee"],
                tax=row["unit_tax"],
                discount=row["unit_discount"],
            ),
            ticket_type=row["ticket_type"] or STANDARD,
        )
        for row in rows
    )
    charge = sum((line.charge for line in lines), NOTHING)
    return Quote(currency=currency, lines=lines, charge=charge)


async def is_stranded(connection: AsyncConnection, show: int, order: bytes) -> bool:
    """Tell whether this sale's fact could not be recorded, and is kept aside."""
    named = {"order": UUID(bytes=order), "show": show}
    return (await connection.execute(_STRANDED, named)).first() is not None


async def read_epoch(connection: AsyncConnection, show: int) -> int:
    """Return the epoch that the show is in now."""
    return (await connection.execute(_EPOCH, {"show": show})).scalar_one()


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
