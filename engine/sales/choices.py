"""What holders of tickets choose when their show is cancelled or moved to another time.

The decision is one transaction with the show's new state: a row for the change, and one for each
order that it affects. Who chooses nothing until `choose_by` gets the default, unless another change
took the place of the first: then it is chosen in that one. A refund takes the
order back as a return does, once; whoever keeps the ticket, or takes credit or a voucher, leaves
the order as it is: money is moved elsewhere.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import structlog
from msgspec import Struct
from sqlalchemy import RowMapping, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.life import Stores
from engine.platform.database import single_statements, tenant_transaction
from engine.platform.few_at_once import each_of
from engine.platform.ids import EntityId, HoldId, entity_hex
from engine.sales.judging import OrderStatus
from engine.sales.refunds import RefundReason
from engine.sales.returns import TakenBack, take_back

CHANGES_AT_ONCE: Final = 50
_DEFAULTS_AT_ONCE: Final = 200

_BOUND_THE_WAIT: Final = text("SET LOCAL lock_timeout = '5s'")
_LOCK_SHOW: Final = text("SELECT id FROM shows WHERE id = :show FOR NO KEY UPDATE")
_LATEST: Final = text(
    "SELECT * FROM show_changes WHERE show_id = :show ORDER BY change_no DESC LIMIT 1"
)
# Sales may be on their way to the ledger when a show is changed: this is done again. Who took
# credit before does not come any more; a voucher was for the show that is changed now.
_AFFECT: Final = text(
    "INSERT INTO order_choices (show_id, change_no, order_id, reseller_id)"
    " SELECT show_id, :change_no, id, reseller_id FROM orders"
    " WHERE show_id = :show AND status = 'confirmed' AND sold_at <= :sold_until"
    " AND (CAST(:order AS uuid) IS NULL OR id = :order)"
    " AND NOT EXISTS (SELECT FROM order_choices AS earlier WHERE earlier.order_id = orders.id"
    " AND (earlier.change_no = :change_no OR earlier.choice = 'credit'))"
    " ON CONFLICT DO NOTHING"
)
# Whose change another has taken the place of chooses in that one.
_IS_LATEST: Final = text(
    "SELECT max(change_no) = :change_no FROM show_changes WHERE show_id = :show"
)
_LOCK_CHOICE: Final = text(
    "SELECT choice, is_default, chosen_at, status FROM order_choices"
    " JOIN orders ON orders.id = order_id WHERE order_choices.show_id = :show"
    " AND change_no = :change_no AND order_id = :order FOR UPDATE OF order_choices"
)
_CHOOSE: Final = text(
    "UPDATE order_choices SET choice = :choice, is_default = :is_default, chosen_at = now()"
    " WHERE show_id = :show AND change_no = :change_no AND order_id = :order"
)
_OVERRULE: Final = text(
    "UPDATE order_choices SET choice = 'refund', chosen_at = now()"
    " WHERE order_id = :order AND choice IN ('credit', 'voucher')"
)
_LIST: Final = text(
    "SELECT order_id, choice, is_default, chosen_at FROM order_choices"
    " WHERE show_id = :show AND change_no = :change_no"
    " AND (CAST(:after AS uuid) IS NULL OR order_id > :after) ORDER BY order_id LIMIT :most"
)
# Late sales: as long as any are recorded in the first minutes, and once more before the default
# counts. Nothing is settled before these minutes are over.
_UNSETTLED: Final = text(
    "SELECT changes.*, choose_by <= now() AS is_over,"
    " decided_at <= now() - interval '15 minutes' AS is_whole,"
    " EXISTS (SELECT FROM show_changes AS later WHERE later.show_id = changes.show_id"
    " AND later.change_no > changes.change_no) AS is_overtaken"
    " FROM show_changes AS changes LEFT JOIN recorder_positions AS positions"
    " ON positions.show_id = changes.show_id WHERE settled_at IS NULL"
    " AND (choose_by <= now() OR (decided_at > now() - interval '15 minutes'"
    " AND positions.updated_at > now() - interval '15 seconds'))"
    " ORDER BY choose_by LIMIT :most"
)
_OPEN: Final = text(
    "SELECT order_id FROM order_choices WHERE show_id = :show AND change_no = :change_no"
    " AND choice IS NULL ORDER BY order_id LIMIT :most"
)
_ALL_BY_DEFAULT: Final = text(
    "UPDATE order_choices SET is_default = true, chosen_at = now(),"
    " choice = CASE WHEN status = 'confirmed' THEN :choice ELSE 'refund' END FROM orders"
    " WHERE orders.id = order_id AND order_choices.show_id = :show AND change_no = :change_no"
    " AND choice IS NULL"
)
_SETTLED: Final = text(
    "UPDATE show_changes SET settled_at = now()"
    " WHERE show_id = :show AND change_no = :change_no AND settled_at IS NULL"
)

_log = structlog.stdlib.get_logger(__name__)


class Choice(StrEnum):
    """What becomes of an order whose show was cancelled or moved."""

    KEEP = "keep"
    """The tickets are for the new time."""
    REFUND = "refund"
    CREDIT = "credit"
    VOUCHER = "voucher"
    """For the new date, whatever places it has."""


class Change(Struct, frozen=True, kw_only=True):
    """A show cancelled, or moved to another time."""

    change_no: int
    kind: str
    offered: tuple[Choice, ...]
    default: Choice
    choose_by: datetime
    starts_at_before: datetime
    starts_at: datetime | None
    new_show: EntityId | None
    note: str
    decided_at: datetime
    settled_at: datetime | None


class OrderChoice(Struct, frozen=True):
    """What was chosen for an order; `choice` is None as long as nothing is."""

    order: HoldId
    choice: Choice | None
    is_default: bool
    chosen_at: datetime | None


class NoChoice(Struct, frozen=True):
    """The order is not affected by any change of its show."""


class Unchoosable(StrEnum):
    """Why something can't be chosen."""

    NOT_OFFERED = "not-offered"
    OVER = "over"
    """The time to choose is over."""
    TAKEN_BACK = "taken-back"
    """The order was taken back: it is to be refunded, or was."""


class ChoiceRefused(Struct, frozen=True):
    """Nothing was changed."""

    reason: Unchoosable
    choice: Choice
    change: Change


async def affect_orders(
    connection: AsyncConnection, change: RowMapping, order: UUID | None = None
) -> None:
    """Note the orders that a change affects and that are not noted yet, or that one alone."""
    await connection.execute(
        _AFFECT,
        {
            "show": change["show_id"],
            "change_no": change["change_no"],
            "sold_until": change["sold_until"],
            "order": order,
        },
    )


async def latest_change(connection: AsyncConnection, show: int) -> RowMapping | None:
    """Return the row of a show's last change, None if there was none."""
    return (await connection.execute(_LATEST, {"show": show})).mappings().one_or_none()


async def list_choices(
    stores: Stores, reseller: EntityId, show: EntityId, *, after: HoldId | None, limit: int
) -> tuple[Change | None, list[OrderChoice]]:
    """Return a show's last change and what was chosen, by order, from behind `after`."""
    async with tenant_transaction(stores.engine, reseller) as connection:
        row = await latest_change(connection, show)
        if row is None:
            return None, []
        asked = {"show": show, "change_no": row["change_no"], "most": limit}
        asked["after"] = None if after is None else UUID(bytes=after)
        rows = (await connection.execute(_LIST, asked)).mappings().all()
    return read_change(row), [_read_choice(one["order_id"], one) for one in rows]


async def choose(
    stores: Stores, reseller: EntityId, show: EntityId, order: HoldId, choice: Choice
) -> OrderChoice | ChoiceRefused | NoChoice:
    """Choose for an order; the same again changes nothing. A refund is final.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, and has nothing.
    """
    async with tenant_transaction(stores.engine, reseller) as connection:
        await connection.execute(_BOUND_THE_WAIT)
        await connection.execute(_LOCK_SHOW, {"show": show})
        row = await latest_change(connection, show)
        if row is None:
            return NoChoice()
        change, named = read_change(row), UUID(bytes=order)
        await affect_orders(connection, row, named)
        place = {"show": show, "change_no": change.change_no, "order": named}
        found = (await connection.execute(_LOCK_CHOICE, place)).mappings().one_or_none()
        if found is None:
            return NoChoice()
        if found["choice"] == choice:
            return _read_choice(named, found)
        refusal = _unchoosable(change, found, choice)
        if refusal is not None:
            return ChoiceRefused(refusal, choice, change)
        if choice is Choice.REFUND:
            await take_back(connection, stores.ids, show, order, _reason(change.kind))
        await connection.execute(_CHOOSE, place | {"choice": choice, "is_default": False})
        chosen = (await connection.execute(_LOCK_CHOICE, place)).mappings().one()
        return _read_choice(named, chosen)


async def overrule_choice(connection: AsyncConnection, order: HoldId) -> None:
    """Make a refund of what was chosen for an order that was taken back in this transaction.

    Raises:
        sqlalchemy.exc.DBAPIError: PostgreSQL failed.
    """
    await connection.execute(_OVERRULE, {"order": UUID(bytes=order)})


async def settle_choices(stores: Stores) -> int:
    """Apply defaults where the time to choose is over, a bounded part of them; return how many.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    async with single_statements(stores.engine) as connection:
        found = await connection.execute(_UNSETTLED, {"most": CHANGES_AT_ONCE})
        rows = found.mappings().all()
    return sum(await each_of(rows, lambda row: _settle(stores, row)))


async def _settle(stores: Stores, row: RowMapping) -> int:
    place = {"show": row["show_id"], "change_no": row["change_no"]}
    try:
        if row["is_overtaken"]:
            await _close(stores, row, place)
            return 0
        async with tenant_transaction(stores.engine, row["reseller_id"]) as connection:
            await affect_orders(connection, row)
        if not row["is_over"]:
            return 0
        if row["default_choice"] == Choice.REFUND:
            return await _refund_some(stores, row, place)
        async with tenant_transaction(stores.engine, row["reseller_id"]) as connection:
            if not await _lock_latest(connection, place):
                return 0
            chosen = await connection.execute(
                _ALL_BY_DEFAULT, place | {"choice": row["default_choice"]}
            )
            if row["is_whole"]:
                await connection.execute(_SETTLED, place)
    except DBAPIError as error:
        # One show whose choices can't be settled must not keep the others from it.
        show = entity_hex(row["show_id"])
        _log.warning("choices not settled", show=show, error=repr(error))
        return 0
    return chosen.rowcount


async def _refund_some(stores: Stores, row: RowMapping, place: dict[str, Any]) -> int:
    """Take some orders back by default: each in a transaction of its own, as a return is."""
    async with stores.engine.connect() as connection:
        asked = place | {"most": _DEFAULTS_AT_ONCE}
        orders: Sequence[UUID] = (await connection.execute(_OPEN, asked)).scalars().all()
    reason = _reason(row["kind"])
    for order in orders:
        async with tenant_transaction(stores.engine, row["reseller_id"]) as connection:
            if not await _lock_latest(connection, place):
                return 0
            of_order = place | {"order": order}
            found = (await connection.execute(_LOCK_CHOICE, of_order)).mappings().one()
            if found["choice"] is not None:
                continue
            await take_back(connection, stores.ids, row["show_id"], order.bytes, reason)
            chosen = {"choice": Choice.REFUND, "is_default": True}
            await connection.execute(_CHOOSE, of_order | chosen)
    if len(orders) < _DEFAULTS_AT_ONCE and row["is_whole"]:
        await _close(stores, row, place)
    return len(orders)


async def _close(stores: Stores, row: RowMapping, place: dict[str, Any]) -> None:
    async with tenant_transaction(stores.engine, row["reseller_id"]) as connection:
        await connection.execute(_SETTLED, place)


async def _lock_latest(connection: AsyncConnection, place: dict[str, Any]) -> bool:
    """Lock a change's show; tell whether no other has taken the change's place meanwhile."""
    await connection.execute(_BOUND_THE_WAIT)
    await connection.execute(_LOCK_SHOW, {"show": place["show"]})
    return bool((await connection.execute(_IS_LATEST, place)).scalar_one())


def _unchoosable(change: Change, found: RowMapping, choice: Choice) -> Unchoosable | None:
    """Return why not; what was recorded after all was settled has no default, and may choose."""
    if found["status"] != OrderStatus.CONFIRMED:
        return Unchoosable.TAKEN_BACK
    is_late = change.settled_at is not None and found["choice"] is None
    if change.choose_by <= datetime.now(UTC) and not is_late:
        return Unchoosable.OVER
    return None if choice in change.offered else Unchoosable.NOT_OFFERED


def _reason(kind: str) -> TakenBack:
    return RefundReason.CANCELLED if kind == "cancelled" else RefundReason.RESCHEDULED


def read_change(row: RowMapping) -> Change:
    """Return the change of a row."""
    return Change(
        change_no=row["change_no"],
        kind=row["kind"],
        offered=tuple(Choice(word) for word in row["offered"]),
        default=Choice(row["default_choice"]),
        choose_by=row["choose_by"],
        starts_at_before=row["starts_at_before"],
        starts_at=row["starts_at"],
        new_show=row["new_show_id"],
        note=row["note"],
        decided_at=row["decided_at"],
        settled_at=row["settled_at"],
    )


def _read_choice(order: UUID, row: RowMapping) -> OrderChoice:
    chosen = row["choice"]
    return OrderChoice(
        HoldId(order.bytes),
        None if chosen is None else Choice(chosen),
        row["is_default"],
        row["chosen_at"],
    )
