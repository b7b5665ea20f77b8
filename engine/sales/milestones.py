"""Tells when a show's sale begins, and when all of a show is sold, by the ledger.

What was told of a show stands in its row of `told_shows`, which whoever tells has locked: so two
workers tell it once. The show's own row keeps others from telling of it meanwhile; what is locked
just now is for the next look.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from msgspec import Struct
from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import NewFact, add_facts
from engine.facts.types import FactType, ShowOnSale, ShowSoldOut
from engine.inventory.ledgered import read_standing
from engine.inventory.shows import ShowBook
from engine.platform.database import single_statements
from engine.platform.errors import is_outage
from engine.platform.ids import Ids, Prefix, entity_hex

ON_SALE_AT_ONCE: Final = 500
"""How many beginnings are told in one look."""

# A reference to a show's row waits for whoever has it locked: that show is for the next look.
_BEGIN: Final = text(
    "INSERT INTO told_shows (show_id, reseller_id) SELECT id, reseller_id FROM shows"
    " WHERE id = ANY(CAST(:shows AS BIGINT[])) FOR KEY SHARE SKIP LOCKED ON CONFLICT DO NOTHING"
)
_LOCK: Final = text(
    "SELECT show_id, told_shows.reseller_id, on_sale, sold_out FROM told_shows"
    " JOIN shows ON shows.id = show_id WHERE show_id = ANY(CAST(:shows AS BIGINT[]))"
    " FOR UPDATE OF told_shows SKIP LOCKED FOR SHARE OF shows SKIP LOCKED"
)
_OPENED_SQL: Final = (
    "SELECT id, opens_at FROM shows LEFT JOIN told_shows ON show_id = id"
    " WHERE state = 'on_sale' AND epoch > 0 AND opens_at <= now()"
    " AND (closes_at IS NULL OR closes_at > now())"
    " AND archived_at IS NULL AND NOT coalesce(on_sale, false)"
)
_OPENED_END: Final = " ORDER BY opens_at LIMIT :most"
_OPENED: Final = text(f"{_OPENED_SQL}{_OPENED_END}")
# What began while no worker ran is found with the rest: each begins with a look at all shows.
_OPENED_OF: Final = text(
    f"{_OPENED_SQL} AND id IN (SELECT unnest(CAST(:shows AS BIGINT[]))"  # noqa: S608 - our own words
    " UNION ALL SELECT id FROM shows WHERE state = 'on_sale' AND archived_at IS NULL"
    " AND opens_at BETWEEN now() - interval '2 minutes' AND now())"
    f"{_OPENED_END}"
)
_TELL_ON_SALE: Final = text(
    "UPDATE told_shows SET on_sale = true WHERE show_id = ANY(CAST(:shows AS BIGINT[]))"
)
# What is held when a sale is paused or closed may still be bought, the last place, too.
# Nothing can be sold out of which nothing was ever sold.
_SELLING_SQL: Final = (
    "SELECT shows.id, shows.inventory_version, shows.return_no, shows.max_per_hold,"
    " positions.epoch, positions.seq FROM shows"
    " JOIN recorder_positions AS positions ON positions.show_id = shows.id"
    " WHERE shows.state IN ('on_sale', 'paused', 'off_sale') AND shows.archived_at IS NULL"
    " AND shows.starts_at > now() AND (positions.epoch > 1 OR positions.seq >= 0)"
)
_SELLING: Final = text(_SELLING_SQL)
_SELLING_OF: Final = text(
    f"{_SELLING_SQL} AND shows.id = ANY(CAST(:shows AS BIGINT[]))"
    " AND positions.show_id = ANY(CAST(:shows AS BIGINT[]))"
)
_TELL_SOLD_OUT: Final = text("UPDATE told_shows SET sold_out = :sold_out WHERE show_id = :show")
# What the house withholds of an area is what of it is not sold, at most.
_BLOCKED_PLACES: Final = text(
    "SELECT coalesce(sum(least(count, coalesce(capacity - sold, count))), 0) FROM area_blocks"
    " LEFT JOIN area_sales USING (show_id, area_index) WHERE show_id = :show"
)

_log = structlog.stdlib.get_logger(__name__)


async def tell_on_sale(engine: AsyncEngine, ids: Ids, shows: Collection[int] | None = None) -> int:
    """Tell of shows whose sale has begun and of which that was not told; return how many.

    Of all, or of these and of those whose sale began in the last two minutes.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    async with single_statements(engine) as connection:
        rows = await _read(connection, _OPENED, _OPENED_OF, shows, most=ON_SALE_AT_ONCE)
    opened: dict[int, datetime] = {row.id: row.opens_at for row in rows}
    if not opened:
        return 0
    async with engine.begin() as connection:
        await connection.execute(_BEGIN, {"shows": sorted(opened)})
    async with engine.begin() as connection:
        found = await _lock(connection, opened.keys())
        untold = [row for row in found if not row.on_sale]
        await connection.execute(_TELL_ON_SALE, {"shows": [row.show_id for row in untold]})
        for row in untold:
            opens_at = opened[row.show_id].astimezone(UTC)
            data = ShowOnSale(opens_at=opens_at)
            named = ids.entity(Prefix.SHOW, row.show_id)
            new = NewFact(FactType.SHOW_ON_SALE, named, data, row.show_id, opens_at)
            await add_facts(connection, row.reseller_id, [new])
    return len(untold)


async def _read(
    connection: AsyncConnection,
    of_all: TextClause,
    of_these: TextClause,
    shows: Collection[int] | None,
    **bounds: int,
) -> Sequence[Row[Any]]:
    if shows is None:
        return (await connection.execute(of_all, bounds)).all()
    return (await connection.execute(of_these, {"shows": list(shows), **bounds})).all()


async def _lock(connection: AsyncConnection, shows: Collection[int]) -> list[Row[Any]]:
    found = await connection.execute(_LOCK, {"shows": sorted(shows)})
    return list(found.all())


class _Looked(Struct, frozen=True):
    """What a show was when its places were counted, and from which sale on to count again."""

    changes: tuple[int, int, int]
    """Inventory version, return number, and the epoch that is recorded."""
    next_seq: int | None
    """None: no further sale changes that it is sold out."""

    def stands(self, changes: tuple[int, int, int], seq: int) -> bool:
        """Tell whether another count would come to the same."""
        return self.changes == changes and (self.next_seq is None or seq < self.next_seq)


class SoldOutWatch:
    """Watches for shows of which nothing is left, for one process.

    To count a show's places is work: after a count, a show is left alone until so many more orders
    are recorded that nothing may be left, or something came back.
    """

    def __init__(self, engine: AsyncEngine, book: ShowBook, ids: Ids) -> None:
        """Take an engine of the recorder's role, what is known of shows, and their names."""
        self._engine = engine
        self._book = book
        self._ids = ids
        self._looked: dict[int, _Looked] = {}

    async def tell(self, shows: Collection[int] | None = None) -> int:
        """Tell which shows, or which of these, are sold out and were not before; return how many.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
        """
        async with single_statements(self._engine) as connection:
            rows = await _read(connection, _SELLING, _SELLING_OF, shows)
        self._forget({row.id for row in rows}, shows)
        told = 0
        for row in rows:
            changes = row.inventory_version, row.return_no, row.epoch
            seen = self._looked.get(row.id)
            if seen is not None and seen.stands(changes, row.seq):
                continue
            try:
                counted = await self._count(row.id)
            except Exception as error:
                if is_outage(error):
                    raise
                # One that can't be counted keeps no other from it.
                _log.exception("a show's places can't be counted", show=entity_hex(row.id))
                if not isinstance(error, DBAPIError):
                    self._looked[row.id] = _Looked(changes, None)
                continue
            if counted is None:
                continue
            left, is_news = counted
            told += is_news
            orders_least = -(-left // row.max_per_hold)
            next_seq = row.seq + orders_least if left > 0 else None
            self._looked[row.id] = _Looked(changes, next_seq)
        return told

    def _forget(self, selling: set[int], looked_at: Collection[int] | None) -> None:
        """Forget those that were looked at and sell no more."""
        for show in [*self._looked] if looked_at is None else looked_at:
            if show not in selling:
                self._looked.pop(show, None)

    async def _count(self, show: int) -> tuple[int, bool] | None:
        """Return how many places are left, and whether that there are none was told now.

        None if somebody changes the show just now.
        """
        async with self._engine.connect() as connection:
            manifest = (await self._book.read(connection, show)).manifest
        async with self._engine.begin() as connection:
            await connection.execute(_BEGIN, {"shows": [show]})
        async with self._engine.begin() as connection:
            row = next(iter(await _lock(connection, [show])), None)
            if row is None:
                return None
            standing = await read_standing(connection, show, manifest, 0)
            blocked = (await connection.execute(_BLOCKED_PLACES, {"show": show})).scalar_one()
            sold = standing.seats_sold + standing.places_sold
            blocked = standing.seats_blocked + int(blocked)
            left = manifest.capacity - sold - blocked
            sold_out = left <= 0 < sold
            if sold_out == row.sold_out:
                return left, False
            await connection.execute(_TELL_SOLD_OUT, {"show": show, "sold_out": sold_out})
            if sold_out:
                new = self._news(show, ShowSoldOut(sold=sold, blocked=blocked))
                await add_facts(connection, row.reseller_id, [new])
        return left, sold_out

    def _news(self, show: int, data: ShowSoldOut) -> NewFact:
        named = self._ids.entity(Prefix.SHOW, show)
        return NewFact(FactType.SHOW_SOLD_OUT, named, data, show, datetime.now(UTC))
