"""The recorder's SQL: what it reads of the ledger, and what it adds to it.

The rows of a batch go in by one statement that moves the position too, so that a lone sale waits
for one round trip and a thousand cost one plan.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.facts.log import add_facts
from engine.facts.types import FactType
from engine.inventory.facts import StreamId
from engine.ledger.journal import EntryKind
from engine.platform.ids import Ids, Prefix
from engine.platform.tables import area_sales, conflicts, refund_requests, stranded_facts
from engine.platform.unnest import columns_of, insert_rows, parameters
from engine.sales.judging import Conflict, JudgedBatch, LedgerState, Sale, Stranded
from engine.sales.refunds import RefundRequest, refunds_of
from engine.sales.rows import LINES, PLACES, POSTED, QUOTES, SOLD, Rows
from engine.sales.telling import REFERENCE, SELLER, failures_of

_CONFLICTS: Final = (
    *("order_id", "conflict_no", "reseller_id", "show_id", "seat_index", "area_index"),
    *("owner_order_id", "epoch"),
)
_REFUNDS: Final = (
    *("order_id", "reseller_id", "show_id", "reason", "amount", "currency"),
    "payment_reference",
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
_ORDERS: Final = text("SELECT id FROM orders WHERE id = ANY(CAST(:orders AS UUID[]))")
_AREAS_LEFT: Final = text(
    "SELECT area_index, capacity - sold AS places FROM area_sales"
    " WHERE show_id = :show AND area_index = ANY(CAST(:areas AS INTEGER[]))"
)
_OF_SHOW: Final = "CAST(:reseller AS BIGINT), CAST(:show AS BIGINT)"
_ADD_AND_MOVE: Final = text(
    f"WITH sold AS MATERIALIZED (SELECT * FROM {SOLD.sql}),"  # noqa: S608 - our own names
    " new_orders AS ("
    "INSERT INTO orders (reseller_id, show_id, id, buyer, status, currency, face_value, fee, tax,"
    " discount, total, payment_reference, purchase_key, body_fp, hold_fp, price_version, epoch,"
    " position, sold_at, sold_by)"
    f" SELECT {_OF_SHOW}, id, buyer, status, currency, face_value, fee, tax,"
    " discount, total, payment_reference, purchase_key, body_fp, hold_fp, price_version, epoch,"
    f" position, sold_at, sold_by FROM sold JOIN {QUOTES.sql} USING (quote)),"
    " new_lines AS ("
    "INSERT INTO order_lines (reseller_id, show_id, order_id, line_no, price_level, area_index,"
    " quantity, unit_face_value, unit_fee, unit_tax, unit_discount, total, ticket_type)"
    f" SELECT {_OF_SHOW}, id, line_no, price_level, area_index,"
    " quantity, unit_face_value, unit_fee, unit_tax, unit_discount, total, ticket_type"
    f" FROM sold JOIN {LINES.sql} USING (quote)),"
    " new_tickets AS ("
    "INSERT INTO tickets (reseller_id, show_id, id, order_id, line_no, seat_index, area_index,"
    " label, status, ticket_type)"
    f" SELECT {_OF_SHOW}, id, order_id, line_no, seat_index, area_index, label, 'active',"
    " ticket_type"
    f" FROM {PLACES.sql}),"
    " new_entries AS ("
    "INSERT INTO journal_entries (reseller_id, show_id, id, order_id, kind, occurred_at)"
    f" SELECT {_OF_SHOW}, entry_id, id, '{EntryKind.SALE}', sold_at"
    " FROM sold WHERE entry_id IS NOT NULL),"
    " new_postings AS ("
    "INSERT INTO postings (reseller_id, entry_id, posting_no, account, currency, amount)"
    " SELECT CAST(:reseller AS BIGINT), entry_id, posting_no, account, currency, amount"
    f" FROM sold JOIN {POSTED.sql} USING (quote) WHERE entry_id IS NOT NULL),"
    " new_facts AS ("
    "INSERT INTO facts (reseller_id, show_id, type, object, data, occurred_at)"
    f" SELECT {_OF_SHOW}, of_order.type, :named || encode(uuid_send(id), 'hex'), of_order.data,"
    " sold_at FROM sold"
    # Read once for each quote, not for each order.
    f" JOIN (SELECT quote, CAST(told AS JSONB) AS price FROM {QUOTES.sql} OFFSET 0) AS prices"
    " USING (quote) CROSS JOIN LATERAL (VALUES"
    f" ('{FactType.ORDER_CONFIRMED}',"
    f" price || jsonb_build_object('{REFERENCE}', payment_reference,"
    f" '{SELLER}', :sellers || lpad(to_hex(sold_by), 16, '0'))),"
    f" ('{FactType.SEATS_SOLD}', CAST(sold.told AS JSONB))) AS of_order(type, data)"
    " WHERE entry_id IS NOT NULL)"
    " UPDATE recorder_positions"
    " SET epoch = CAST(:to_epoch AS BIGINT), seq = CAST(:to_seq AS BIGINT), updated_at = now()"
    " WHERE show_id = CAST(:show AS BIGINT)"
)
_ADD_CONFLICTS: Final = insert_rows(conflicts, _CONFLICTS)
_ADD_STRANDED: Final = insert_rows(
    stranded_facts, _STRANDED, "ON CONFLICT DO NOTHING RETURNING hold_id"
)
_ADD_REFUNDS: Final = insert_rows(refund_requests, _REFUNDS, "ON CONFLICT DO NOTHING")
# The last fence for places sold by count: the table's check refuses one too many.
_SELL_AREAS: Final = insert_rows(
    area_sales,
    _AREAS,
    "ON CONFLICT (show_id, area_index) DO UPDATE SET sold = area_sales.sold + excluded.sold",
)


async def known_orders(connection: AsyncConnection, orders: Iterable[bytes]) -> frozenset[bytes]:
    """Return those of these orders that the ledger has."""
    named = [UUID(bytes=one) for one in orders]
    found = await connection.scalars(_ORDERS, {"orders": named})
    return frozenset(order.bytes for order in found.all())


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
    connection: AsyncConnection, ids: Ids, batch: JudgedBatch, rows: Rows, position: StreamId
) -> int:
    """Add what was judged, tell it, and move the show's position: in the caller's transaction.

    Returns how many facts were stranded now, and not already at an earlier recovery.

    Raises:
        sqlalchemy.exc.DBAPIError: among others when an order is there already, or a seat or an
            area's last places are another's, which the ledger's constraints refuse.
    """
    show, reseller = rows.show, rows.reseller
    if batch.area_counts:
        columns = columns_of(_AREAS, _area_rows(show, reseller, batch))
        await connection.execute(_SELL_AREAS, parameters(area_sales, columns))
    moved = {"to_epoch": position.epoch, "to_seq": position.n, "named": ids.order(show, b"")}
    moved["sellers"] = ids.head(Prefix.RESELLER)
    await connection.execute(_ADD_AND_MOVE, rows.parameters() | moved)
    if batch.conflicts:
        columns = columns_of(_CONFLICTS, _conflict_rows(show, reseller, batch.conflicts))
        await connection.execute(_ADD_CONFLICTS, parameters(conflicts, columns))
    stranded: list[UUID | None] = []
    if batch.stranded:
        columns = columns_of(_STRANDED, _stranded_rows(show, reseller, batch.stranded))
        added = await connection.execute(_ADD_STRANDED, parameters(stranded_facts, columns))
        stranded = list(added.scalars())
    refunds = tuple(refunds_of(batch))
    if refunds:
        columns = columns_of(_REFUNDS, _refund_rows(show, reseller, refunds))
        await connection.execute(_ADD_REFUNDS, parameters(refund_requests, columns))
    failed = failures_of(ids, show, batch, [hold.bytes for hold in stranded if hold is not None])
    await add_facts(connection, reseller, failed)
    return len(stranded)


def _area_rows(show: int, reseller: int, batch: JudgedBatch) -> Iterator[Sequence[Any]]:
    places = {area: place for sale in batch.confirmed for area, _, place in sale.areas}
    for area, sold in batch.area_counts.items():
        yield (show, reseller, area, places[area].capacity, sold)


def _conflict_rows(show: int, reseller: int, found: Iterable[Conflict]) -> Iterator[Sequence[Any]]:
    for conflict in found:
        order = UUID(bytes=conflict.sale.fact.hold)
        for number, clash in enumerate(conflict.clashes):
            owner = UUID(bytes=clash.owner) if clash.owner else None
            epoch = conflict.sale.id.epoch
            yield (order, number, reseller, show, clash.seat, clash.area, owner, epoch)


def _refund_rows(
    show: int, reseller: int, refunds: Iterable[RefundRequest]
) -> Iterator[Sequence[Any]]:
    for one in refunds:
        order = UUID(bytes=one.order)
        yield (
            *(order, reseller, show, one.reason, one.amount, one.currency),
            one.payment_reference,
        )


def _stranded_rows(show: int, reseller: int, found: Iterable[Stranded]) -> Iterator[Sequence[Any]]:
    for one in found:
        place = one.entry.id
        fact = msgspec.msgpack.encode(one.entry.fields)
        hold = UUID(bytes=one.hold) if one.hold else None
        yield (show, reseller, place.epoch, place.n, fact, hold, one.reason)
