"""What the ledger has of a show's inventory, as a recovery reads it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ARRAY, Integer, all_, bindparam, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.facts import StreamId
from engine.inventory.manifest import Manifest
from engine.inventory.rebuild import HouseBlocks, LedgerOrder
from engine.inventory.records import SaleRecord
from engine.inventory.ticket_types import STANDARD, write_types
from engine.platform.tables import (
    area_blocks,
    area_sales,
    conflicts,
    orders,
    recorder_positions,
    seat_blocks,
    stranded_facts,
    tickets,
)

_NOWHERE: Final = StreamId(0, -1)

_POSITION: Final = select(recorder_positions.c.epoch, recorder_positions.c.seq).where(
    recorder_positions.c.show_id == bindparam("show")
)
_ENTER_EPOCH: Final = (
    update(recorder_positions)
    .where(recorder_positions.c.show_id == bindparam("show"))
    .values(epoch=bindparam("to_epoch"), seq=-1, updated_at=func.now())
)
# A seat that was sold before it was withheld stays sold.
_IS_SOLD: Final = exists().where(
    tickets.c.show_id == seat_blocks.c.show_id,
    tickets.c.seat_index == seat_blocks.c.seat_index,
    tickets.c.status == "active",
)
_STANDING: Final = select(
    exists().where(
        conflicts.c.show_id == bindparam("show"), conflicts.c.epoch >= bindparam("since")
    )
    | exists().where(
        stranded_facts.c.show_id == bindparam("show"),
        stranded_facts.c.stream_epoch >= bindparam("since"),
    ),
    select(func.count())
    .where(
        tickets.c.show_id == bindparam("show"),
        tickets.c.status == "active",
        tickets.c.seat_index.is_not(None),
    )
    .scalar_subquery(),
    select(func.count())
    .where(
        seat_blocks.c.show_id == bindparam("show"),
        seat_blocks.c.seat_index != all_(bindparam("removed", type_=ARRAY(Integer))),
        ~_IS_SOLD,
    )
    .scalar_subquery(),
    select(func.coalesce(func.sum(area_sales.c.sold), 0))
    .where(area_sales.c.show_id == bindparam("show"))
    .scalar_subquery(),
)


class Standing(Struct, frozen=True):
    """What a show must have in the store if it is to be opened as it stands."""

    has_failed_sales: bool
    """Sales that became no orders: their places are nobody's. Those of earlier epochs went back on
    sale when their epoch ended."""
    seats_sold: int
    seats_blocked: int
    places_sold: int


async def read_position(connection: AsyncConnection, show: int) -> StreamId:
    """Return how far the show's sales are recorded."""
    row = (await connection.execute(_POSITION, {"show": show})).one_or_none()
    return _NOWHERE if row is None else StreamId(row[0], row[1])


async def enter_epoch(connection: AsyncConnection, show: int, epoch: int) -> None:
    """Move the position to the start of an epoch: nothing before it is to be recorded."""
    await connection.execute(_ENTER_EPOCH, {"show": show, "to_epoch": epoch})


async def read_standing(
    connection: AsyncConnection, show: int, manifest: Manifest, since_epoch: int
) -> Standing:
    """Read what is sold, and whether sales failed in that epoch or later.

    A seat that is taken out is not there to be withheld.
    """
    named = {"show": show, "since": since_epoch, "removed": [*manifest.removed_by_label.values()]}
    row = (await connection.execute(_STANDING, named)).one()
    return Standing(row[0], row[1], row[2], int(row[3]))


async def read_blocks(connection: AsyncConnection, show: int) -> HouseBlocks:
    """Read what the house withholds."""
    seats = select(seat_blocks.c.seat_index).where(seat_blocks.c.show_id == show)
    areas = select(area_blocks.c.area_index, area_blocks.c.count).where(
        area_blocks.c.show_id == show
    )
    return HouseBlocks(
        tuple((await connection.execute(seats)).scalars()),
        tuple((area, count) for area, count in await connection.execute(areas)),
    )


async def read_orders(connection: AsyncConnection, show: int) -> list[LedgerOrder]:
    """Read the orders with the seats and places that they own or owned, two queries in all."""
    owned = (
        select(
            tickets.c.order_id,
            func.array_agg(tickets.c.seat_index),
            func.array_agg(tickets.c.area_index),
            func.array_agg(tickets.c.ticket_type),
        )
        .where(tickets.c.show_id == show, tickets.c.status.in_(("active", "returned")))
        .group_by(tickets.c.order_id)
    )
    places: dict[UUID, Any] = {
        order: columns for order, *columns in (await connection.execute(owned)).all()
    }
    nothing = ((), (), ())
    names = ("id", "buyer", "status", "price_version", "hold_fp", "purchase_key", "body_fp")
    query = select(*(orders.c[name] for name in (*names, "epoch", "position", "sold_at"))).where(
        orders.c.show_id == show
    )
    rows: Sequence[Any] = (await connection.execute(query)).all()
    return [_order(row, *places.get(row[0], nothing)) for row in rows]


def _order(
    row: Any,  # noqa: ANN401 -- a row
    seats: Sequence[int | None],
    areas: Sequence[int | None],
    types: Sequence[str | None],
) -> LedgerOrder:
    order, buyer, status, price_version, hold_fp, purchase_key, body_fp, epoch, n, sold_at = row
    return LedgerOrder(
        hold=order.bytes,
        buyer=buyer,
        owns=status == "confirmed",
        seats=tuple(sorted(seat for seat in seats if seat is not None)),
        areas=_counts(areas),
        types=_types(seats, areas, types) if any(types) else "",
        price_version=price_version,
        hold_fingerprint=hold_fp,
        purchase_key=purchase_key,
        sale=SaleRecord(
            body_fingerprint=body_fp,
            epoch=epoch,
            n=n,
            sold_at_ms=round(sold_at.timestamp() * 1000),
            returned=status == "returned",
        ),
    )


def _counts(found: Sequence[int | None]) -> tuple[tuple[int, int], ...]:
    counted = Counter(area for area in found if area is not None)
    return tuple(sorted(counted.items())) if counted else ()


def _types(
    seats: Sequence[int | None], areas: Sequence[int | None], types: Sequence[str | None]
) -> str:
    """Write the types of an order's tickets, in the order of its seats and areas."""
    kinds = [kind or STANDARD for kind in types]
    placed = list(zip(seats, areas, kinds, strict=True))
    return write_types(
        [
            *(kind for _, kind in sorted((s, kind) for s, _, kind in placed if s is not None)),
            *(kind for _, kind in sorted((a, kind) for _, a, kind in placed if a is not None)),
        ]
    )
