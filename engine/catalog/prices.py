"""Publishes a show's prices and its ticket types, each at once for all that sell it.

A hold is made at the price version that its process knows; publishing the next one raises the
inventory version with it, so that a process that does not know it yet is told `stale` by the store
and reads the show again. Live holds keep the version that they were made at.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.price_rules import NewPrices, PriceFaultsError, check_prices, check_types
from engine.facts.log import NewFact, add_facts
from engine.facts.types import FactType, ShowPricesChanged
from engine.inventory import house
from engine.inventory.price_versions import (
    Prices,
    add_price_version,
    read_price_version,
    read_type_prices,
)
from engine.inventory.shows import Show
from engine.inventory.ticket_types import TicketType
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Ids, Prefix
from engine.platform.redis import Store
from engine.platform.tables import price_steps, price_versions, shows, ticket_types

HISTORY_MAX: Final = 100


class PricesPublished(Struct, frozen=True):
    """They are the show's, in this price version."""

    price_version: int


class PricesChanged(Struct, frozen=True):
    """Nothing was published: the show has another price version than the one to follow."""

    price_version: int


class PublishedVersion(Struct, frozen=True, kw_only=True):
    """A price version, when it was published, and by which step, if by one."""

    prices: Prices
    published_at: datetime
    step_no: int | None


class _KeptError(Exception):
    """Rolls the transaction back, since there is nothing to change."""

    def __init__(self, outcome: PricesPublished | PricesChanged) -> None:
        self.outcome = outcome


async def publish_prices(  # noqa: PLR0913, PLR0917 - the stores, and a request's parts
    app: AsyncEngine, redis: Store, ids: Ids, show: Show, new: NewPrices, after: int
) -> PricesPublished | PricesChanged:
    """Make the price version that follows `after`; the same asked again changes nothing.

    Raises:
        house.ShowOverError: the show is cancelled or past.
        PriceFaultsError: they do not fit the show.
        PriceVersionsSpentError: there can be no more versions.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, and has nothing.
    """

    async def write(connection: AsyncConnection) -> None:
        await house.refuse_over(connection, show.id)
        current = await current_prices(connection, show.id)
        if current.version != after:
            is_repeated = current == Prices(after + 1, new.face_values, new.types)
            known = PricesPublished if is_repeated else PricesChanged
            raise _KeptError(known(current.version))
        types = await read_types(connection, show.id)
        faults = check_prices(new, [level.slug for level in show.manifest.levels], types)
        if faults:
            raise PriceFaultsError(faults)
        published = Prices(after + 1, new.face_values, new.types)
        await add_price_version(connection, show.id, show.reseller, published)
        fact = prices_changed(ids, show.id, published.version, None)
        await add_facts(connection, show.reseller, [fact])

    try:
        await house.change_show(app, redis, show, write)
    except _KeptError as kept:
        return kept.outcome
    return PricesPublished(after + 1)


async def put_types(app: AsyncEngine, redis: Store, show: Show, types: list[TicketType]) -> None:
    """Say which ticket types a show has. One is offered as soon as a price version prices it.

    Raises:
        house.ShowOverError: the show is cancelled or past.
        PriceFaultsError: they do not fit the show.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, and has nothing.
    """
    faults = check_types(types, {level.slug for level in show.manifest.levels})
    if faults:
        raise PriceFaultsError(faults)
    rows = [
        msgspec.structs.asdict(one)
        | {"show_id": show.id, "reseller_id": show.reseller, "type_no": n}
        for n, one in enumerate(types)
    ]

    async def write(connection: AsyncConnection) -> None:
        await house.refuse_over(connection, show.id)
        await connection.execute(delete(ticket_types).where(ticket_types.c.show_id == show.id))
        if rows:
            await connection.execute(insert(ticket_types), rows)

    await house.change_show(app, redis, show, write)


async def list_types(app: AsyncEngine, show: Show) -> list[TicketType]:
    """Return a show's ticket types, offered or not.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with tenant_transaction(app, show.reseller) as connection:
        return list((await read_types(connection, show.id)).values())


async def list_versions(app: AsyncEngine, show: Show) -> list[PublishedVersion]:
    """Return a show's last price versions, the newest first, which is the one it sells at.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    query = (
        select(price_versions, price_steps.c.step_no)
        .outerjoin(
            price_steps,
            (price_steps.c.show_id == price_versions.c.show_id)
            & (price_steps.c.price_version == price_versions.c.version),
        )
        .where(price_versions.c.show_id == show.id)
        .order_by(price_versions.c.version.desc())
        .limit(HISTORY_MAX)
    )
    async with tenant_transaction(app, show.reseller) as connection:
        rows = (await connection.execute(query)).all()
    return [
        PublishedVersion(
            prices=Prices(row.version, row.prices, read_type_prices(row.type_prices)),
            published_at=row.created_at,
            step_no=row.step_no,
        )
        for row in rows
    ]


async def read_types(connection: AsyncConnection, show: EntityId) -> Mapping[str, TicketType]:
    """Read a show's ticket types, in their order, by slug."""
    return (await read_types_of(connection, [show])).get(show, {})


async def read_types_of(
    connection: AsyncConnection, wanted: Collection[EntityId]
) -> dict[EntityId, dict[str, TicketType]]:
    """Read the ticket types of shows that have some, in their order, by slug."""
    query = (
        select(ticket_types)
        .where(ticket_types.c.show_id.in_(list(wanted)))
        .order_by(ticket_types.c.show_id, ticket_types.c.type_no)
    )
    found: dict[EntityId, dict[str, TicketType]] = {}
    for row in (await connection.execute(query)).mappings():
        one = msgspec.convert({str(k): v for k, v in row.items()}, TicketType)
        found.setdefault(EntityId(row["show_id"]), {})[one.slug] = one
    return found


async def current_prices(connection: AsyncConnection, show: EntityId) -> Prices:
    """Read the prices that a show sells at."""
    query = select(shows.c.price_version).where(shows.c.id == show)
    return await read_price_version(
        connection, show, (await connection.execute(query)).scalar_one()
    )


def prices_changed(ids: Ids, show: EntityId, version: int, step_no: int | None) -> NewFact:
    """Return the fact that a show has a price version now."""
    data = ShowPricesChanged(price_version=version, step=step_no)
    named = ids.entity(Prefix.SHOW, show)
    return NewFact(FactType.SHOW_PRICES_CHANGED, named, data, show, datetime.now(UTC))
