"""Takes sold orders back: whole ones, in the ledger first, each once.

One transaction frees the places, posts the money and takes the show's next return number; only then
the store hears of it (`engine/inventory/returning.py`), from here at once, or from a worker.

The show's row is locked first, as by everyone who changes a show: so nobody waits in a ring. It
puts returns in an order, each before or after a recovery's reading, and keeps the recorder away for
the few statements that they are.

An order whose holder took credit or a voucher when its show was cancelled or moved has its money
already: it is not returned by itself, or it would be paid back twice.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID

import structlog
from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import NewFact, add_facts
from engine.facts.types import FactType, OrderCancelled, PlacesTold
from engine.inventory.commands import Overloaded, Unavailable
from engine.inventory.returning import Delivery, deliver_returns
from engine.inventory.shows import Show
from engine.ledger.journal import EntryKind, entry_id
from engine.platform.acting import ACTING, Actor, ActorKind
from engine.platform.database import tenant_transaction
from engine.platform.ids import HoldId, Ids, entity_hex
from engine.platform.redis import Store
from engine.platform.turns import Turns
from engine.sales.box_office import BoxOffice
from engine.sales.judging import OrderStatus
from engine.sales.orders import OrderState
from engine.sales.refunds import RefundReason
from engine.sales.views import FailedOrder, OrderUndecided, OrderView

# Each keeps its show from its recorder for a moment, which many at once would make long.
_AT_ONCE: Final = 2
_WAITING_MAX: Final = 64

_log = structlog.get_logger(__name__)

_BOUND_THE_WAIT: Final = text("SET LOCAL lock_timeout = '5s'")
_LOCK_SHOW: Final = text("SELECT id FROM shows WHERE id = :show FOR NO KEY UPDATE")
_CHOSEN: Final = text(
    "SELECT choice FROM order_choices WHERE order_id = :order ORDER BY change_no DESC LIMIT 1"
)
_OTHERWISE: Final = frozenset({"credit", "voucher"})
_TAKE_BACK: Final = text(
    "UPDATE orders SET status = :returned"
    " WHERE id = :order AND show_id = :show AND status = :confirmed"
)
_LOOK: Final = text(
    "SELECT status, reseller_id, currency, total FROM orders WHERE id = :order AND show_id = :show"
)
_FREE: Final = text(
    "UPDATE tickets SET status = 'returned' WHERE order_id = :order AND status = 'active'"
    " RETURNING label, seat_index"
)
_REVERSE: Final = text(
    "WITH entry AS ("
    "INSERT INTO journal_entries (id, reseller_id, show_id, order_id, kind, occurred_at)"
    " SELECT CAST(:entry AS uuid), reseller_id, show_id, order_id, :kind, now()"
    " FROM journal_entries WHERE id = :sale RETURNING id)"
    " INSERT INTO postings (entry_id, posting_no, reseller_id, account, currency, amount)"
    " SELECT entry.id, posting_no, reseller_id, account, currency, -amount"
    " FROM postings, entry WHERE entry_id = :sale"
)
_OWE: Final = text(
    "INSERT INTO refund_requests"
    " (order_id, reseller_id, show_id, reason, amount, currency, payment_reference)"
    " SELECT id, reseller_id, show_id, :reason, total, currency, payment_reference"
    " FROM orders WHERE id = :order AND total > 0 ON CONFLICT DO NOTHING"
)
_NUMBER: Final = text(
    "WITH numbered AS ("
    "UPDATE shows SET return_no = return_no + 1 WHERE id = :show"
    " RETURNING id, return_no, reseller_id)"
    " INSERT INTO returns (show_id, return_no, reseller_id, order_id)"
    " SELECT id, return_no, reseller_id, CAST(:order AS uuid) FROM numbered"
)
_FREE_PLACES: Final = text(
    "UPDATE area_sales SET sold = sold - given.count FROM ("
    "SELECT area_index, count(*) AS count FROM tickets"
    " WHERE order_id = :order AND area_index IS NOT NULL GROUP BY area_index) AS given"
    " WHERE show_id = :show AND area_sales.area_index = given.area_index"
)


class NotConfirmed(Struct, frozen=True):
    """Nothing was taken back: the order is not confirmed, or not yet."""

    status: OrderState


class Compensated(Struct, frozen=True):
    """Nothing was taken back: its holder has `credit` or a `voucher` for it, as they chose."""

    choice: str


TakenBack = Literal[RefundReason.RETURNED, RefundReason.CANCELLED, RefundReason.RESCHEDULED]


async def take_back(
    connection: AsyncConnection,
    ids: Ids,
    show: int,
    order: bytes,
    reason: TakenBack = RefundReason.RETURNED,
) -> str | None:
    """Take a confirmed order back, in the caller's transaction, which sees its reseller's rows.

    Returns what the order's status is now, `returned` also when it was before; None if the ledger
    has no such order. Whatever its holder chose is the caller's to look at, or to change with it.

    Raises:
        sqlalchemy.exc.DBAPIError: the ledger refused it, or the show was locked for too long.
    """
    found = await _find(connection, show, order)
    if not isinstance(found, Row):
        return found
    await _lock(connection, show)
    return await _free(connection, ids, show, order, found, reason)


async def return_order(
    connection: AsyncConnection, ids: Ids, show: int, order: bytes
) -> str | Compensated | None:
    """Take a confirmed order back as `take_back` does, unless its holder chose something else."""
    found = await _find(connection, show, order)
    if not isinstance(found, Row):
        return found
    await _lock(connection, show)  # who chooses locks it, too
    chosen = (await connection.execute(_CHOSEN, {"order": UUID(bytes=order)})).scalar_one_or_none()
    if chosen in _OTHERWISE:
        return Compensated(chosen)
    return await _free(connection, ids, show, order, found, RefundReason.RETURNED)


async def _find(connection: AsyncConnection, show: int, order: bytes) -> Row[Any] | str | None:
    """Return a confirmed order's row, or the status of one that is not; None if there is none."""
    named = {"order": UUID(bytes=order), "show": show}
    found = (await connection.execute(_LOOK, named)).one_or_none()
    if found is None or found.status != OrderStatus.CONFIRMED:
        return None if found is None else str(found.status)
    return found


async def _lock(connection: AsyncConnection, show: int) -> None:
    await connection.execute(_BOUND_THE_WAIT)
    await connection.execute(_LOCK_SHOW, {"show": show})


async def _free(  # noqa: PLR0913, PLR0917 - what is taken back, and why
    connection: AsyncConnection,
    ids: Ids,
    show: int,
    order: bytes,
    found: Row[Any],
    reason: TakenBack,
) -> str:
    named = {"order": UUID(bytes=order), "show": show}
    words = {"returned": OrderStatus.RETURNED, "confirmed": OrderStatus.CONFIRMED}
    if not (await connection.execute(_TAKE_BACK, named | words)).rowcount:
        return OrderStatus.RETURNED  # by somebody who had the row just before
    of_order = {"order": named["order"]}
    freed = (await connection.execute(_FREE, of_order)).all()
    entries = {
        "entry": entry_id(order, EntryKind.RETURN),
        "sale": entry_id(order, EntryKind.SALE),
        "kind": EntryKind.RETURN,
    }
    await connection.execute(_REVERSE, entries)
    await connection.execute(_OWE, of_order | {"reason": reason})
    await connection.execute(_NUMBER, named)
    await connection.execute(_FREE_PLACES, named)
    told = _told(ids.order(show, order), show, found, freed, reason)
    await add_facts(connection, found.reseller_id, told)
    return OrderStatus.RETURNED


def _told(
    order: str, show: int, found: Row[Any], freed: Sequence[Row[Any]], reason: TakenBack
) -> list[NewFact]:
    now = datetime.now(UTC)
    seats = sorted((row.seat_index, row.label) for row in freed if row.seat_index is not None)
    places = PlacesTold(
        seats=tuple(label for _, label in seats),
        areas=dict(Counter(row.label for row in freed if row.seat_index is None)),
    )
    cancelled = OrderCancelled(
        reason="returned",
        currency=found.currency,
        total=found.total,
        show_change=None if reason is RefundReason.RETURNED else reason.value,
    )
    return [
        NewFact(FactType.ORDER_CANCELLED, order, cancelled, show, now),
        NewFact(FactType.SEATS_RETURNED, order, places, show, now),
    ]


class ReturnsOffice:
    """Takes orders back, for one process.

    It may raise `StoreUnavailableError`, when a store that it needs can't be asked.
    """

    def __init__(self, redis: Store, app: AsyncEngine, box_office: BoxOffice, ids: Ids) -> None:
        """Take what the composition root has opened."""
        self._ids = ids
        self._redis = redis
        self._app = app
        self._box_office = box_office
        self._turns = Turns(_AT_ONCE, waiting_max=_WAITING_MAX)

    async def take_back(
        self, show: Show, order: HoldId
    ) -> OrderView | NotConfirmed | Compensated | OrderUndecided | Unavailable:
        """Take an order back; one that was taken back is told again.

        Once the ledger has it, it is done: what the store does not hear of now, a worker tells it.
        """
        async with self._turns.take() as mine:
            if not mine:
                return Overloaded()
            status = await self._return(show, order)
            view = await self._box_office.order(show, order)
            if isinstance(view, OrderView) and view.status is OrderState.CONFIRMED:
                # It was recorded just now, or what is told is the store's older word.
                status = await self._return(show, order)
        # Its holder may have chosen the refund meanwhile.
        is_returned = isinstance(view, OrderView) and view.status is OrderState.RETURNED
        if isinstance(status, Compensated) and not is_returned:
            return status
        if status == OrderStatus.RETURNED:
            await self.deliver(show)
            view = await self._box_office.order(show, order)
        if isinstance(view, FailedOrder):
            return NotConfirmed(OrderState.FAILED)
        if isinstance(view, OrderView) and view.status is not OrderState.RETURNED:
            return NotConfirmed(view.status)
        return view

    async def _return(self, show: Show, order: HoldId) -> str | Compensated | None:
        acts = ACTING.get()
        if show.seller is not None:
            # In the owner's trail: which of the seller's people it was is not the owner's.
            acts = Actor(ActorKind.SELLER, entity_hex(show.seller))
        noted = ACTING.set(acts)
        try:
            async with tenant_transaction(self._app, show.reseller) as connection:
                return await return_order(connection, self._ids, show.id, order)
        finally:
            ACTING.reset(noted)

    async def deliver(self, show: Show) -> None:
        """Tell the store what was taken back; what it does not hear of now, a worker tells it."""
        open_ledger = partial(tenant_transaction, self._app, show.reseller)
        try:
            delivery = await deliver_returns(open_ledger, self._redis, show.id)
            if delivery is not Delivery.NOT_NOW:
                return
            reason = "the show can't be changed now"
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            reason = repr(error)
        _log.warning("taken back in the ledger only, for now", reason=reason)
