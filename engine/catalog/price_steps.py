"""Prices that come by themselves: at a moment, or once so many tickets are sold.

Steps come in their order, each as a price version of its own. Where one is due, those before it
come with it, all in one transaction under the lock of the show's row: so two workers bring a step
about once, and nobody holds at a price in between. A step says what it changes of the prices that
the show has by then.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.price_rules import NewPrices, NewStep, PriceFaultsError, check_steps
from engine.catalog.prices import current_prices, prices_changed, read_types
from engine.facts.log import add_facts
from engine.inventory import house
from engine.inventory.keys import ShowKeys, show_keys
from engine.inventory.price_versions import (
    Prices,
    add_price_version,
    read_type_prices,
    write_type_prices,
)
from engine.inventory.shows import Show
from engine.platform.database import single_statements, tenant_transaction
from engine.platform.ids import EntityId, Ids
from engine.platform.redis import Store
from engine.platform.tables import price_steps, shows

STEPS_MAX: Final = 50

_LOCK: Final = select(shows.c.id).with_for_update()
# Of shows that still sell, or will; and how far their sales are recorded.
_WAITING_SQL: Final = (
    "SELECT shows.id, shows.reseller_id, shows.return_no, shows.max_per_hold,"
    " shows.inventory_version,"
    " coalesce(positions.epoch, 0) AS epoch, coalesce(positions.seq, -1) AS seq,"
    " max(steps.created_at) AS told_at, bool_or(steps.at <= now()) AS is_due,"
    " bool_or(after_sold IS NOT NULL) AS counts"
    " FROM price_steps AS steps JOIN shows ON shows.id = steps.show_id"
    " LEFT JOIN recorder_positions AS positions ON positions.show_id = shows.id"
    " WHERE came_at IS NULL AND shows.state NOT IN ('cancelled', 'past')"
)
_WAITING_END: Final = " GROUP BY shows.id, positions.epoch, positions.seq"
_WAITING: Final = text(f"{_WAITING_SQL}{_WAITING_END}")
_WAITING_OF: Final = text(
    f"{_WAITING_SQL} AND (steps.at <= now() OR steps.show_id = ANY(CAST(:shows AS BIGINT[])))"
    f"{_WAITING_END}"
)
_SOLD: Final = text(
    "SELECT coalesce(sum(quantity), 0) FROM orders JOIN order_lines ON order_id = orders.id"
    " WHERE orders.show_id = :show AND status = 'confirmed'"
    " AND price_level = coalesce(CAST(:level AS TEXT), price_level)"
)


class PriceStep(Struct, frozen=True, kw_only=True):
    """A step of a show's prices, and when it came, if it did."""

    step_no: int
    at: datetime | None
    after_sold: int | None
    price_level: str | None
    prices: NewPrices
    came_at: datetime | None
    price_version: int | None


class Ahead(Struct, frozen=True):
    """The inventory version that a show has now, and its next step, if there is one."""

    inventory_version: int
    step: PriceStep | None


class Waiting(Struct, frozen=True):
    """A show with a step to come. It is named as `house.change_show` asks for."""

    id: EntityId
    reseller: EntityId
    keys: ShowKeys
    since: tuple[int, int, datetime, int]
    """Return number, epoch, when its steps were told, and inventory version: what a count of its
    tickets, and how few orders may sell what is left of them, is good for, but for later sales."""
    recorded: int
    """The last of the epoch's sales that is recorded."""
    max_per_hold: int
    is_due: bool
    """By its time."""
    counts: bool


class _NothingDueError(Exception):
    """Rolls the transaction back: another worker was first, or the step was taken away."""


async def put_steps(app: AsyncEngine, show: Show, steps: list[NewStep]) -> None:
    """Replace the steps that have not come yet.

    Raises:
        house.ShowOverError: the show is cancelled or past.
        PriceFaultsError: they do not fit the show.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, and has nothing.
    """
    levels = [level.slug for level in show.manifest.levels]
    async with tenant_transaction(app, show.reseller) as connection:
        await connection.execute(_LOCK.where(shows.c.id == show.id))
        await house.refuse_over(connection, show.id)
        types = await read_types(connection, show.id)
        faults = check_steps(steps, levels, types, datetime.now(UTC))
        if faults:
            raise PriceFaultsError(faults)
        await replace_steps(connection, show.reseller, {show.id: steps})


async def replace_steps(
    connection: AsyncConnection, reseller: EntityId, steps: Mapping[EntityId, Sequence[NewStep]]
) -> None:
    """Replace what is to come of some shows, in the transaction that has locked their rows."""
    of_shows = price_steps.c.show_id.in_(list(steps))
    pending = delete(price_steps).where(of_shows, price_steps.c.came_at.is_(None))
    await connection.execute(pending)
    last = (
        select(price_steps.c.show_id, func.max(price_steps.c.step_no))
        .where(of_shows)
        .group_by(price_steps.c.show_id)
    )
    come = {row[0]: row[1] for row in await connection.execute(last)}
    rows = [
        _row(show, reseller, no, step)
        for show, wanted in steps.items()
        for no, step in enumerate(wanted, come.get(show, 0) + 1)
    ]
    if rows:
        await connection.execute(insert(price_steps), rows)


async def list_steps(app: AsyncEngine, show: Show) -> list[PriceStep]:
    """Return a show's steps in their order, those that have come first.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with tenant_transaction(app, show.reseller) as connection:
        return await _read_steps(connection, show.id)


async def read_pending_steps(
    connection: AsyncConnection, wanted: Collection[EntityId]
) -> dict[EntityId, list[PriceStep]]:
    """Return the steps to come of shows that have some, in their order."""
    query = (
        select(price_steps)
        .where(price_steps.c.show_id.in_(list(wanted)), price_steps.c.came_at.is_(None))
        .order_by(price_steps.c.show_id, price_steps.c.step_no)
    )
    found: dict[EntityId, list[PriceStep]] = {}
    for row in (await connection.execute(query)).all():
        found.setdefault(EntityId(row.show_id), []).append(_read_step(row))
    return found


async def look_ahead(app: AsyncEngine, show: Show) -> Ahead:
    """Return which prices a show has now, and the step that is to come next.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    query = select(shows.c.inventory_version).where(shows.c.id == show.id)
    async with tenant_transaction(app, show.reseller) as connection:
        version = (await connection.execute(query)).scalar_one()
        steps = await _read_steps(connection, show.id)
    return Ahead(version, next((step for step in steps if step.came_at is None), None))


async def find_waiting(engine: AsyncEngine, shows: Collection[int] | None = None) -> list[Waiting]:
    """Return the shows that have a step to come, as the recorder's role sees them.

    All of them, or those of which one is due by its time, and these.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with single_statements(engine) as connection:
        if shows is None:
            rows = (await connection.execute(_WAITING)).all()
        else:
            rows = (await connection.execute(_WAITING_OF, {"shows": list(shows)})).all()
    return [
        Waiting(
            row.id,
            row.reseller_id,
            show_keys(row.id),
            (row.return_no, row.epoch, row.told_at, row.inventory_version),
            row.seq,
            row.max_per_hold,
            bool(row.is_due),
            row.counts,
        )
        for row in rows
    ]


async def tickets_short(engine: AsyncEngine, show: int) -> int | None:
    """Return how many tickets more must be sold until a step may be due; None: no step counts.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with engine.connect() as connection:
        pending = [step for step in await _read_steps(connection, show) if step.came_at is None]
        return min(
            [
                step.after_sold - await _count_sold(connection, show, step.price_level)
                for step in pending
                if step.after_sold is not None
            ],
            default=None,
        )


async def bring_due(engine: AsyncEngine, redis: Store, ids: Ids, show: Waiting) -> list[int]:
    """Bring the steps about that are due; return the price versions that they made.

    Raises:
        PriceVersionsSpentError: there can be no more versions.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, and has nothing.
    """
    made: list[int] = []

    async def write(connection: AsyncConnection) -> None:
        await house.refuse_over(connection, show.id)
        now = datetime.now(UTC)
        pending = [s for s in await _read_steps(connection, show.id) if s.came_at is None]
        due = await _due_of(connection, show.id, pending, now)
        if not due:
            raise _NothingDueError
        types = await read_types(connection, show.id)
        prices = await current_prices(connection, show.id)
        for step in due:
            prices = change_prices(prices, step.prices, types)
            await add_price_version(connection, show.id, show.reseller, prices)
            await connection.execute(
                update(price_steps)
                .where(price_steps.c.show_id == show.id, price_steps.c.step_no == step.step_no)
                .values(came_at=now, price_version=prices.version)
            )
            fact = prices_changed(ids, show.id, prices.version, step.step_no)
            await add_facts(connection, show.reseller, [fact])
            made.append(prices.version)

    try:
        await house.change_show(engine, redis, show, write)
    except (_NothingDueError, house.ShowOverError):
        return []
    return made


def change_prices(current: Prices, changes: NewPrices, types: Collection[str]) -> Prices:
    """Return the price version that follows, with a step's changes of what is still there."""
    levels = {s: v for s, v in changes.face_values.items() if s in current.face_values}
    priced = {slug: price for slug, price in changes.types.items() if slug in types}
    return replace(
        current,
        version=current.version + 1,
        face_values=current.face_values | levels,
        types=current.types | priced,
    )


async def _due_of(
    connection: AsyncConnection, show: EntityId, pending: Sequence[PriceStep], now: datetime
) -> Sequence[PriceStep]:
    """Return the steps up to the last that is due."""
    for n in range(len(pending), 0, -1):
        step = pending[n - 1]
        if step.at is not None and step.at <= now:
            return pending[:n]
        if step.after_sold is not None and step.after_sold <= await _count_sold(
            connection, show, step.price_level
        ):
            return pending[:n]
    return ()


async def _count_sold(connection: AsyncConnection, show: int, level: str | None) -> int:
    """Count a show's sold tickets, or those of one price level."""
    found = await connection.execute(_SOLD, {"show": show, "level": level})
    return int(found.scalar_one())


async def _read_steps(connection: AsyncConnection, show: int) -> list[PriceStep]:
    query = select(price_steps).where(price_steps.c.show_id == show).order_by(price_steps.c.step_no)
    return [_read_step(row) for row in (await connection.execute(query)).all()]


def _read_step(row: Row[Any]) -> PriceStep:
    return PriceStep(
        step_no=row.step_no,
        at=row.at,
        after_sold=row.after_sold,
        price_level=row.price_level,
        prices=NewPrices(row.prices, read_type_prices(row.type_prices)),
        came_at=row.came_at,
        price_version=row.price_version,
    )


def _row(show: EntityId, reseller: EntityId, step_no: int, step: NewStep) -> dict[str, object]:
    return {
        "show_id": show,
        "step_no": step_no,
        "reseller_id": reseller,
        "at": step.at,
        "after_sold": step.after_sold,
        "price_level": step.price_level,
        "prices": step.prices.face_values,
        "type_prices": write_type_prices(step.prices.types),
    }
