"""The recorder's SQL: what it reads of the ledger, and what it adds to it.

The rows of a batch go in by one statement, so that a lone sale waits for one round trip and 500
cost one plan. Every id derives from the fact.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.facts import StreamId
from engine.ledger.journal import sale_entry
from engine.platform.tables import (
    area_sales,
    conflicts,
    journal_entries,
    order_lines,
    orders,
    postings,
    stranded_facts,
    tickets,
)
from engine.platform.unnest import columns_of, insert_rows, insert_sql, parameters
from engine.sales.judging import (
    Conflict,
    JudgedBatch,
    LedgerState,
    OrderStatus,
    Sale,
    Stranded,
)
from engine.sales.tickets import area_ticket_id, seat_ticket_id

_ORDERS: Final = (
    *("id", "reseller_id", "show_id", "buyer", "status", "currency"),
    *("face_value", "fee", "tax", "discount", "total", "payment_reference", "purchase_key"),
    *("body_fp", "hold_fp", "price_version", "epoch", "position", "sold_at"),
)
_LINES: Final = (
    *("order_id", "line_no", "reseller_id", "show_id", "price_level", "area_index", "quantity"),
    *("unit_face_value", "unit_fee", "unit_tax", "unit_discount", "total"),
)
_TICKETS: Final = (
    *("id", "order_id", "reseller_id", "show_id", "line_no", "seat_index", "area_index"),
    *("label", "status"),
)
_ENTRIES: Final = ("id", "reseller_id", "show_id", "order_id", "kind", "occurred_at")
_POSTINGS: Final = ("entry_id", "posting_no", "reseller_id", "account", "currency", "amount")
_CONFLICTS: Final = (
    *("order_id", "conflict_no", "reseller_id", "show_id", "seat_index", "area_index"),
    "owner_order_id",
)
_STRANDED: Final = (
    *("show_id", "reseller_id", "stream_epoch", "stream_seq", "fact", "hold_id", "reason"),
)
_AREAS: Final = ("show_id", "reseller_id", "area_index", "capacity", "sold")

_KNOWN: Final = text(
    "SELECT id, NULL::integer AS seat FROM orders WHERE id = ANY(CAST(:orders AS UUID[]))"
    " UNION ALL"
    " SELECT order_id, seat_index FROM tickets WHERE show_id = :show AND status = 'active'"
    " AND seat_index = ANY(CAST(:seats AS INTEGER[]))"
)
_AREAS_LEFT: Final = text(
    "SELECT area_index, capacity - sold AS places FROM area_sales"
    " WHERE show_id = :show AND area_index = ANY(CAST(:areas AS INTEGER[]))"
)
_ONE_OWNER: Final = (
    "ON CONFLICT (show_id, seat_index) WHERE status = 'active' AND seat_index IS NOT NULL"
    " DO NOTHING RETURNING 1"
)
_ADD: Final = text(
    f"WITH new_orders AS ({insert_sql(orders, _ORDERS)}),"  # noqa: S608 - our own column names
    f" new_lines AS ({insert_sql(order_lines, _LINES)}),"
    f" new_tickets AS ({insert_sql(tickets, _TICKETS, _ONE_OWNER)}),"
    f" new_entries AS ({insert_sql(journal_entries, _ENTRIES)}),"
    f" new_postings AS ({insert_sql(postings, _POSTINGS)})"
    " SELECT count(*) FROM new_tickets"
)
_ADD_CONFLICTS: Final = insert_rows(conflicts, _CONFLICTS)
_ADD_STRANDED: Final = insert_rows(stranded_facts, _STRANDED, "ON CONFLICT DO NOTHING")
_OPEN_AREAS: Final = insert_rows(area_sales, _AREAS, "ON CONFLICT DO NOTHING")
# The last fence for places sold by count: the database refuses one too many.
_SELL_AREAS: Final = text(
    "UPDATE area_sales SET sold = area_sales.sold + counted.sold"
    " FROM unnest(CAST(:areas AS INTEGER[]), CAST(:counts AS INTEGER[])) AS counted(area, sold)"
    " WHERE show_id = :show AND area_index = counted.area"
    " AND area_sales.sold + counted.sold <= area_sales.capacity"
)
_MOVE: Final = text(
    "UPDATE recorder_positions SET epoch = :epoch, seq = :seq, updated_at = now()"
    " WHERE show_id = :show"
)


class OvertakenError(RuntimeError):
    """A place was taken between reading the ledger and adding to it; nothing was committed."""


async def read_state(
    connection: AsyncConnection, show: int, sales: Sequence[Sale], stranded: Sequence[Stranded]
) -> LedgerState:
    """Read what the ledger has of the orders and places that these name."""
    named = [sale.fact.hold for sale in sales]
    named += [one.hold for one in stranded if one.hold is not None]
    seats = [seat for sale in sales for seat in sale.fact.seats]
    areas = sorted({area for sale in sales for area, _ in sale.fact.areas})
    known: set[bytes] = set()
    owners: dict[int, bytes] = {}
    found = await connection.execute(
        _KNOWN, {"orders": [UUID(bytes=one) for one in named], "seats": seats, "show": show}
    )
    for order, seat in found:
        if seat is None:
            known.add(order.bytes)
        else:
            owners[seat] = order.bytes
    room: dict[int, int] = {}
    if areas:
        rows = await connection.execute(_AREAS_LEFT, {"show": show, "areas": areas})
        room = {row.area_index: row.places for row in rows}
    return LedgerState(orders=frozenset(known), owners=owners, room=room)


async def add_batch(
    connection: AsyncConnection, show: int, reseller: int, batch: JudgedBatch, position: StreamId
) -> None:
    """Add what was judged, and move the show's position: in the caller's transaction.

    Raises:
        OvertakenError: somebody else took a place meanwhile; roll back and judge again.
    """
    if batch.confirmed or batch.conflicts:
        await _add_orders(connection, show, reseller, batch)
    if batch.conflicts:
        rows = _conflict_rows(show, reseller, batch.conflicts)
        columns = columns_of(_CONFLICTS, rows)
        await connection.execute(_ADD_CONFLICTS, parameters(conflicts, columns))
    if batch.stranded:
        columns = columns_of(_STRANDED, _stranded_rows(show, reseller, batch.stranded))
        await connection.execute(_ADD_STRANDED, parameters(stranded_facts, columns))
    if batch.area_counts:
        await _sell_areas(connection, show, reseller, batch)
    await connection.execute(_MOVE, {"show": show, "epoch": position.epoch, "seq": position.n})


async def _add_orders(
    connection: AsyncConnection, show: int, reseller: int, batch: JudgedBatch
) -> None:
    tenant = (reseller, show)
    both = [(sale, OrderStatus.CONFIRMED) for sale in batch.confirmed]
    both += [(conflict.sale, OrderStatus.CONFLICT) for conflict in batch.conflicts]
    ticket_columns = columns_of(_TICKETS, _ticket_rows(tenant, batch.confirmed))
    entries = [
        (sale, sale_entry(sale.fact.hold, sale.quote.currency, sale.quote.charge))
        for sale in batch.confirmed
    ]
    added = await connection.execute(
        _ADD,
        {
            **parameters(orders, columns_of(_ORDERS, _order_rows(tenant, both))),
            **parameters(order_lines, columns_of(_LINES, _line_rows(tenant, both))),
            **parameters(tickets, ticket_columns),
            **parameters(
                journal_entries,
                columns_of(
                    _ENTRIES,
                    (
                        (one.id, *tenant, UUID(bytes=one.order), one.kind, _sold_at(sale))
                        for sale, one in entries
                    ),
                ),
            ),
            **parameters(
                postings,
                columns_of(
                    _POSTINGS,
                    (
                        (
                            one.id,
                            number,
                            reseller,
                            posting.account,
                            posting.currency,
                            posting.amount,
                        )
                        for _, one in entries
                        for number, posting in enumerate(one.postings)
                    ),
                ),
            ),
        },
    )
    if added.scalar_one() != len(ticket_columns["id"]):
        msg = f"a seat of show {show:016x} found its owner meanwhile"
        raise OvertakenError(msg)


async def _sell_areas(
    connection: AsyncConnection, show: int, reseller: int, batch: JudgedBatch
) -> None:
    places = {area: place for sale in batch.confirmed for area, _, place in sale.areas}
    rows = ((show, reseller, area, place.capacity, 0) for area, place in places.items())
    await connection.execute(_OPEN_AREAS, parameters(area_sales, columns_of(_AREAS, rows)))
    areas, counts = list(batch.area_counts), list(batch.area_counts.values())
    sold = await connection.execute(_SELL_AREAS, {"show": show, "areas": areas, "counts": counts})
    if sold.rowcount != len(areas):
        msg = f"an area of show {show:016x} filled up meanwhile"
        raise OvertakenError(msg)


def _sold_at(sale: Sale) -> datetime:
    return datetime.fromtimestamp(sale.fact.sold_at_ms / 1000, UTC)


def _order_rows(
    tenant: tuple[int, int], sales: Iterable[tuple[Sale, OrderStatus]]
) -> Iterator[Sequence[Any]]:
    for sale, status in sales:
        fact, charge = sale.fact, sale.quote.charge
        yield (
            *(UUID(bytes=fact.hold), *tenant, fact.buyer, status, sale.quote.currency),
            *(charge.face_value, charge.fee, charge.tax, charge.discount, charge.total),
            *(fact.payment_reference, fact.purchase_key, fact.body_fp, fact.hold_fp),
            *(fact.price_version, sale.id.epoch, sale.id.n, _sold_at(sale)),
        )


def _line_rows(
    tenant: tuple[int, int], sales: Iterable[tuple[Sale, OrderStatus]]
) -> Iterator[Sequence[Any]]:
    for sale, _ in sales:
        order = UUID(bytes=sale.fact.hold)
        for number, line in enumerate(sale.quote.lines):
            unit = line.unit
            yield (
                *(order, number, *tenant, line.price_level, line.area_index, line.quantity),
                *(unit.face_value, unit.fee, unit.tax, unit.discount, line.charge.total),
            )


def _ticket_rows(tenant: tuple[int, int], sales: Iterable[Sale]) -> Iterator[Sequence[Any]]:
    for sale in sales:
        order = sale.fact.hold
        head = (UUID(bytes=order), *tenant)
        number_of = {
            (line.price_level if line.area_index is None else line.area_index): number
            for number, line in enumerate(sale.quote.lines)
        }
        for seat, place in sale.seats:
            number = number_of[place.price_level]
            yield (seat_ticket_id(order, seat), *head, number, seat, None, place.label, "active")
        for area, count, place in sale.areas:
            for nth in range(count):
                ticket = area_ticket_id(order, area, nth)
                yield (ticket, *head, number_of[area], None, area, place.slug, "active")


def _conflict_rows(show: int, reseller: int, found: Iterable[Conflict]) -> Iterator[Sequence[Any]]:
    for conflict in found:
        order = UUID(bytes=conflict.sale.fact.hold)
        for number, clash in enumerate(conflict.clashes):
            owner = UUID(bytes=clash.owner) if clash.owner else None
            yield (order, number, reseller, show, clash.seat, clash.area, owner)


def _stranded_rows(show: int, reseller: int, found: Iterable[Stranded]) -> Iterator[Sequence[Any]]:
    for one in found:
        place = one.entry.id
        fact = msgspec.msgpack.encode(one.entry.fields)
        hold = UUID(bytes=one.hold) if one.hold else None
        yield (show, reseller, place.epoch, place.n, fact, hold, one.reason)
