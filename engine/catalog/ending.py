"""What time brings about in the lives of shows: they end, leave the store, open after others.

For the workers: each function does a bounded part of what is due, and is safe to run twice at once.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from redis.exceptions import ResponseError
from sqlalchemy import RowMapping, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.life import LifeChanged, RefusedError, Stores, act, step, tell_of
from engine.catalog.transitions import Action
from engine.facts.types import FactType, ShowArchived
from engine.inventory.archiving import Archived, archive_show
from engine.platform.database import single_statements, tenant_transaction
from engine.platform.few_at_once import each_of
from engine.platform.ids import EntityId, entity_hex

DONE_AT_ONCE: Final = 200
"""What one look brings about at the most. After so many the next one follows at once."""

_OVER: Final = text(
    "SELECT id, reseller_id FROM shows WHERE archived_at IS NULL"
    " AND state NOT IN ('draft', 'cancelled', 'past')"
    " AND starts_at < now() AND starts_at + coalesce(duration_min * 60, :lasts_s)"
    " * interval '1 second' <= now() ORDER BY starts_at LIMIT :most"
)
# What was archived when it was closed ends, too, also if it was moved since.
_OVER_ARCHIVED: Final = text(
    "SELECT id, reseller_id FROM shows WHERE archived_at IS NOT NULL"
    " AND state IN ('off_sale', 'rescheduled')"
    " AND starts_at + coalesce(duration_min * 60, :lasts_s) * interval '1 second' <= now()"
    " LIMIT :most"
)
_DUE: Final = text(
    "SELECT id, reseller_id FROM shows WHERE archived_at IS NULL AND archive_from <= now()"
    " AND state IN ('off_sale', 'cancelled', 'past') ORDER BY archive_from LIMIT :most"
)
_FOLLOW: Final = text(
    "SELECT shows.id, shows.reseller_id FROM shows"
    " JOIN told_shows ON told_shows.show_id = shows.follows_show_id"
    " WHERE shows.opens_when_first_sells_out AND shows.state IN ('draft', 'announced')"
    " AND shows.starts_at > now() AND (shows.closes_at IS NULL OR shows.closes_at > now())"
    " AND told_shows.sold_out LIMIT :most"
)
_ORDERS: Final = text("SELECT count(*) FROM orders WHERE show_id = :show")

_log = structlog.stdlib.get_logger(__name__)


async def end_shows(stores: Stores) -> int:
    """Mark shows as past whose end is over; return how many.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    over = await _find(stores, _OVER, lasts_s=stores.show_lasts_s)
    over += await _find(stores, _OVER_ARCHIVED, lasts_s=stores.show_lasts_s)
    return sum(await each_of(over, lambda one: _act(stores, *one, Action.END)))


async def open_followers(stores: Stores) -> int:
    """Open dates that were added to open when the first sells out, and it has; return how many.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    due = await _find(stores, _FOLLOW)
    now = datetime.now(UTC)
    open_one = partial(_act, stores, action=Action.OPEN, still=_waits, opens_at=now)
    return sum(await each_of(due, lambda one: open_one(*one)))


def _waits(row: RowMapping) -> bool:
    """Whether nobody opened the date, or let it wait no more, since it was looked for."""
    return bool(row["opens_when_first_sells_out"])


async def archive_shows(stores: Stores) -> int:
    """Take shows out of the store whose time for that has come; return how many.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    due = await _find(stores, _DUE)
    return sum(await each_of(due, lambda one: _archive(stores, *one)))


async def _archive(stores: Stores, show: EntityId, reseller: EntityId) -> bool:
    async def approve(connection: AsyncConnection, row: RowMapping) -> None:
        step(row, Action.ARCHIVE)
        orders = int((await connection.execute(_ORDERS, {"show": show})).scalar_one())
        told = FactType.SHOW_ARCHIVED, ShowArchived(orders=orders)
        await tell_of(connection, stores.ids, row, told)

    open_ledger = partial(tenant_transaction, stores.engine, reseller)
    try:
        outcome = await archive_show(open_ledger, stores.redis, show, approve)
    except RefusedError:
        return False  # it was opened again meanwhile
    except (ResponseError, DBAPIError) as error:
        # One show that can't be archived must not keep the others from it.
        _log.warning("show not archived", show=entity_hex(show), error=repr(error))
        return False
    if not isinstance(outcome, Archived):
        _log.debug("show not archived yet", show=entity_hex(show), why=outcome.why)
        return False
    _log.info("show archived", show=entity_hex(show), keys=outcome.keys)
    return True


async def _act(
    stores: Stores,
    show: EntityId,
    reseller: EntityId,
    action: Action,
    *,
    still: Callable[[RowMapping], bool] | None = None,
    **columns: object,
) -> bool:
    try:
        outcome = await act(stores, reseller, show, action, columns=columns, still=still)
    except (ResponseError, DBAPIError) as error:
        _log.warning("show not changed", show=entity_hex(show), action=action, error=repr(error))
        return False
    return isinstance(outcome, LifeChanged)


async def _find(stores: Stores, query: Any, **bounds: int) -> list[tuple[EntityId, EntityId]]:  # noqa: ANN401 - a statement
    async with single_statements(stores.engine) as connection:
        rows: Sequence[Any] = (
            await connection.execute(query, {"most": DONE_AT_ONCE, **bounds})
        ).all()
    return [(EntityId(row.id), EntityId(row.reseller_id)) for row in rows]
