"""Lists a show's orders as the ledger has them, those sold last first."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, HoldId
from engine.platform.money import Charge
from engine.platform.tables import order_lines, orders
from engine.sales.orders import RECORDED_AS, OrderState
from engine.sales.sellers import told_name

_STATUSES: Final = {state: status for status, state in RECORDED_AS.items()}
_TICKETS: Final = (
    select(func.sum(order_lines.c.quantity))
    .where(order_lines.c.order_id == orders.c.id)
    .scalar_subquery()
    .label("tickets")
)


class ListedOrder(Struct, frozen=True, kw_only=True):
    """An order in short; it has as many tickets as were sold, also if it was given back."""

    order: HoldId
    state: OrderState
    buyer: str
    sold_at: datetime
    payment_reference: str
    currency: str
    charge: Charge
    tickets: int
    sold_by: EntityId | None
    """Another reseller, who sold it for the show's; None: that did."""


class OrdersWanted(Struct, frozen=True, kw_only=True):
    """Which orders a list is to have; None: all."""

    state: OrderState | None = None
    sold_by: EntityId | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_orders(  # noqa: PLR0913 - a page's parts
    app: AsyncEngine,
    reseller: EntityId,
    show: EntityId,
    wanted: OrdersWanted,
    *,
    after: HoldId | None,
    limit: int,
) -> list[ListedOrder]:
    """Return a show's orders, from behind `after`. What is sold meanwhile comes before them.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
    """
    one = orders.c
    # As they were sold, by the show's stream.
    place = one.epoch, one.position
    query = (
        select(orders, _TICKETS)
        .where(one.show_id == show)
        .order_by(one.epoch.desc(), one.position.desc())
        .limit(limit)
    )
    if wanted.state is not None:
        query = query.where(one.status == _STATUSES[wanted.state])
    if wanted.sold_by is not None:
        query = query.where(one.sold_by == wanted.sold_by)
    if wanted.since is not None:
        query = query.where(one.sold_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(one.sold_at < wanted.until)
    if after is not None:
        last = select(*place).where(one.id == UUID(bytes=after), one.show_id == show).subquery()
        behind = select(last.c.epoch, last.c.position).scalar_subquery()
        query = query.where(tuple_(*place) < behind)
    async with tenant_transaction(app, reseller) as connection:
        rows = (await connection.execute(query)).mappings().all()
    return [
        ListedOrder(
            order=HoldId(row["id"].bytes),
            state=RECORDED_AS[row["status"]],
            buyer=told_name(row["buyer"]),
            sold_at=row["sold_at"],
            payment_reference=row["payment_reference"],
            currency=row["currency"],
            charge=Charge(
                face_value=row["face_value"],
                fee=row["fee"],
                tax=row["tax"],
                discount=row["discount"],
            ),
            tickets=row["tickets"] or 0,
            sold_by=row["sold_by"],
        )
        for row in rows
    ]
