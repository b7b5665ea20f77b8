"""Keeps what is left of each listed show, and at which price: read where it is sold.

One look asks the inventory store, in one round trip, which shows have changed since the last one,
by the last entry of their deltas. Only those are counted, a few at a time, and only rows that
differ are written. So a show at rest costs next to nothing, and the store has its time for sales.
Shows in which something happens are looked at each time, all others as often as they need be.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest
from math import log2
from operator import itemgetter
from time import monotonic
from typing import Any, Final

import structlog
from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy import BigInteger, Boolean, Integer, RowMapping, Text, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.news import tell_changes
from engine.inventory.allotments import NO_RIGHTS
from engine.inventory.availability import InventoryState, read_inventory
from engine.inventory.keys import show_keys
from engine.inventory.shows import Show, ShowBook, UnknownShowError
from engine.platform.errors import is_outage
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.platform.unnest import Unnested
from engine.sales.pricing import Tariff, UnpricedError, ticket_charge
from engine.sales.terms import TermsSource

LOOKED_AT_ONCE: Final = 2000
"""Shows of one look; if more are listed, the next look goes on with the others. Those in which
something happens are looked at each time."""

_COUNTED_AT_ONCE: Final = 500
_READ_AT_ONCE: Final = 8
_ROUND_TIMEOUT_S: Final = 10.0
_COUNTING_S: Final = 3.0
"""For how long a look begins to count shows: then what it has is written, lest a round that takes
too long, of many plans that are to be compiled first, comes to nothing again and again."""
_POPULARITY_STEPS: Final = 4
"""Steps of popularity for each doubling of what is sold: so it changes some fifty times at most."""

_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(hashtext('onsale counts'))")
# Each table by itself is told where to begin: a merge reads all that comes before, otherwise.
_LIVE_SQL: Final = (
    "SELECT shows.id, shows.epoch, shows.inventory_version, shows.price_version,"
    " coalesce(told_shows.sold_out, false) AS is_sold_out, listing_counts.counted_for"
    " FROM listing_counts JOIN shows ON shows.id = listing_counts.show_id"
    " LEFT JOIN told_shows ON told_shows.show_id = shows.id AND told_shows.show_id > :after"
    " WHERE shows.state NOT IN ('draft', 'cancelled', 'past') AND shows.epoch > 0"
    " AND shows.archived_at IS NULL"
)
_LIVE: Final = text(
    f"{_LIVE_SQL} AND listing_counts.show_id > :after AND shows.id > :after"
    " ORDER BY listing_counts.show_id LIMIT :most"
)
_BUSY: Final = text(f"{_LIVE_SQL} AND listing_counts.show_id = ANY(CAST(:busy AS BIGINT[]))")
_COUNTED: Final = Unnested(
    "counted",
    {
        "show": BigInteger(),
        "capacity": Integer(),
        "available": Integer(),
        "price_min": BigInteger(),
        "price_max": BigInteger(),
        "is_sold_out": Boolean(),
        "popularity": Integer(),
        "counted_for": Text(),
    },
)
_WRITE: Final = text(
    "UPDATE listing_counts AS known SET capacity = counted.capacity,"  # noqa: S608
    " available = counted.available, price_min = counted.price_min,"
    " price_max = counted.price_max, is_sold_out = counted.is_sold_out, counted_at = now(),"
    " counted_for = counted.counted_for, popularity = counted.popularity"
    f" FROM {_COUNTED.sql} WHERE show_id = show AND"
    " (known.capacity, known.available, known.price_min, known.price_max, known.is_sold_out,"
    " known.counted_for, known.popularity) IS DISTINCT FROM (counted.capacity,"
    " counted.available, counted.price_min, counted.price_max, counted.is_sold_out,"
    " counted.counted_for, counted.popularity)"
)

_log = structlog.stdlib.get_logger(__name__)


class _Seen(Struct, frozen=True):
    """What a show was like when it was counted last."""

    ledgered: tuple[Any, ...]
    position: str
    at: float

    def written(self) -> str:
        """Return it as the ledger keeps it, so that a worker that starts counts nothing twice."""
        return f"{self.position} {_written(self.ledgered)}"


class _Source:
    """A show as it was read now; it is read again when the store says that it is another."""

    def __init__(self, show: Show, engine: AsyncEngine, book: ShowBook) -> None:
        self._show = show
        self._engine = engine
        self._book = book

    async def current(self) -> Show:
        return self._show

    async def reload(self) -> Show:
        async with self._engine.connect() as connection:
            self._show = await self._book.read(connection, self._show.id)
        return self._show


class FreshCounts:
    """Counts for one process; of several at a time one counts."""

    def __init__(  # noqa: PLR0913 - `workers.listings` names them
        self,
        redis: Store,
        engine: AsyncEngine,
        book: ShowBook,
        terms: TermsSource,
        *,
        counting_s: float = _COUNTING_S,
        busy: Callable[[], Collection[int]] = tuple,
        quiet_every_s: float = 0.0,
    ) -> None:
        """Take the inventory store, an engine of the recorder's role, and what shows are known.

        `counting_s` is for how long one look begins to count shows; `busy` tells in which shows
        something happens; the others are looked at no sooner than `quiet_every_s` after they were.
        """
        self._busy = busy
        self._quiet_every_s = quiet_every_s
        self._all_looked_at = float("-inf")
        self._counting_s = counting_s
        self._redis = redis
        self._engine = engine
        self._book = book
        self._terms = terms
        self._seen: dict[int, _Seen] = {}
        self._broken: dict[int, tuple[Any, ...]] = {}
        """Shows that can't be counted as the ledger has them."""
        self._tried: set[int] = set()
        """Of these shows: there are more to count than go at once."""
        self._begun: set[int] = set()
        """Whose count this look had time to begin."""
        self._after = 0
        self._live: set[int] = set()
        """The shows that this turn has come to."""
        self._is_odd = False

    async def keep(self) -> int:
        """Count what has changed; return how many shows that were.

        Raises:
            redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
        """
        async with asyncio.timeout(_ROUND_TIMEOUT_S), self._engine.begin() as connection:
            if not (await connection.execute(_LOCK)).scalar_one():
                return 0
            began = monotonic()
            is_turn = began - self._all_looked_at >= self._quiet_every_s
            rows = await self._read_turn(connection) if is_turn else ()
            is_last = len(rows) < LOOKED_AT_ONCE
            if is_turn:
                self._forget_others(rows, is_last=is_last)
            busy = await self._read_busy(connection)
            others = [row for row in rows if row["id"] not in busy]
            found_moved = await self._moved([*busy.values(), *others])
            moved = [row for row in found_moved if row["id"] not in busy and self._is_next(row)]
            hot = self._first_busy([row for row in found_moved if row["id"] in busy])
            turn = moved[: _COUNTED_AT_ONCE - len(hot)]
            # By turns, and each time the others first: who takes long keeps nobody from it.
            self._is_odd = not self._is_odd
            parts = (hot, turn) if self._is_odd else (turn, hot)
            due = [row for pair in zip_longest(*parts) for row in pair if row is not None]
            self._begun.clear()
            until = monotonic() + self._counting_s
            reads = asyncio.Semaphore(_READ_AT_ONCE)
            counted = await asyncio.gather(*(self._count(row, reads, until) for row in due))
            found = [one for one in counted if one is not None]
            await self._write(connection, [figures for _, _, figures in found])
        # Only what is committed is known.
        for show, seen, _ in found:
            self._seen[show] = seen
        if not is_turn:
            return len(found)
        tried = {row["id"] for row in turn} & self._begun
        if any(row["id"] not in tried for row in moved):
            # However many can't be counted just now, they keep no others from it: what there was
            # no time for is moved still, and counted by the next look.
            self._tried |= tried
        else:
            self._tried.clear()
            self._after = 0 if is_last else rows[-1]["id"]
            if is_last:
                self._all_looked_at = began
        return len(found)

    async def _read_turn(self, connection: AsyncConnection) -> Sequence[RowMapping]:
        told = {"after": self._after, "most": LOOKED_AT_ONCE}
        return (await connection.execute(_LIVE, told)).mappings().all()

    async def _read_busy(self, connection: AsyncConnection) -> dict[int, RowMapping]:
        busy = list(self._busy())
        if not busy:
            return {}
        rows = await connection.execute(_BUSY, {"busy": busy, "after": 0})
        return {row["id"]: row for row in rows.mappings()}

    def _first_busy(self, moved: list[RowMapping]) -> list[RowMapping]:
        """Return those that were counted longest ago, as many as leave room for others."""

        def counted_at(row: RowMapping) -> float:
            seen = self._seen.get(row["id"])
            return 0.0 if seen is None else seen.at

        known = [row for row in moved if self._broken.get(row["id"]) != _ledgered(row)]
        return sorted(known, key=counted_at)[: _COUNTED_AT_ONCE // 2]

    def _is_next(self, row: RowMapping) -> bool:
        return row["id"] not in self._tried and self._broken.get(row["id"]) != _ledgered(row)

    def _forget_others(self, rows: Sequence[RowMapping], *, is_last: bool) -> None:
        """Forget, at the end of a turn through all shows, what none of its looks has come to."""
        if self._after == 0:
            self._live.clear()
        self._live.update(row["id"] for row in rows)
        if is_last:
            live = self._live
            self._seen = {show: seen for show, seen in self._seen.items() if show in live}
            self._broken = {show: row for show, row in self._broken.items() if show in live}

    async def _moved(self, rows: Sequence[RowMapping]) -> list[RowMapping]:
        """Return the shows that the store or the ledger has changed since they were counted."""
        pipeline = self._redis.pipeline(transaction=False)
        for row in rows:
            if row["id"] not in self._seen and (known := _kept(row)) is not None:
                self._seen[row["id"]] = known
            seen = self._seen.get(row["id"])
            start = "+" if seen is None else f"({seen.position}"
            pipeline.xrange(show_keys(row["id"]).deltas, start, "+", 1)
        answers = await pipeline.execute(raise_on_error=False) if rows else []
        failed = [answer for answer in answers if isinstance(answer, Exception)]
        if failed and len(failed) == len(rows):
            raise failed[0]
        moved: list[RowMapping] = []
        for row, answer in zip(rows, answers, strict=True):
            seen = self._seen.get(row["id"])
            is_same = seen is not None and seen.ledgered == _ledgered(row)
            # Of a cluster one node may fail: its shows wait.
            if not isinstance(answer, Exception) and (answer or not is_same):
                moved.append(row)
        return moved

    async def _count(
        self, row: RowMapping, reads: asyncio.Semaphore, until: float
    ) -> tuple[int, _Seen, tuple[Any, ...]] | None:
        """Return a show's figures; None: it can't be read just now, or the look lasts too long."""
        show, version = row["id"], row["price_version"]
        async with reads:
            if monotonic() > until:
                return None
            self._begun.add(show)
            try:
                async with self._engine.connect() as connection:
                    found = await self._book.read(connection, show)
                source = _Source(found, self._engine, self._book)
                state = await read_inventory(self._redis, source)
                terms = await self._terms.terms(show, frozenset({version}))
            except (RedisError, UnknownShowError) as error:
                _log.info("a show can't be counted", show=entity_hex(show), why=repr(error))
                return None
            except Exception as error:
                if is_outage(error):
                    raise
                _log.exception("a show can't be counted", show=entity_hex(show))
                self._broken[show] = _ledgered(row)
                return None
        tariff = terms.tariffs.get(version)
        if not isinstance(state, InventoryState) or tariff is None:
            return None  # it is being recovered: the next look will tell
        figures = _figures(state.seen_by(NO_RIGHTS), tariff)
        seen = _Seen(_ledgered(row), state.sequence, monotonic())
        counted = (show, *figures[:-1], row["is_sold_out"], figures[-1], seen.written())
        return show, seen, counted

    async def _write(self, connection: AsyncConnection, figures: list[tuple[Any, ...]]) -> None:
        if figures:
            # In one order with who lists shows, so that neither waits for the other.
            columns = zip(*sorted(figures, key=itemgetter(0)), strict=True)
            told = dict(zip(_COUNTED.types, map(list, columns), strict=True))
            await connection.execute(_WRITE, _COUNTED.parameters(told))
        await tell_changes(connection, [one[0] for one in figures])


def _ledgered(row: RowMapping) -> tuple[Any, ...]:
    return (row["epoch"], row["inventory_version"], row["price_version"], row["is_sold_out"])


def _written(ledgered: tuple[Any, ...]) -> str:
    return " ".join(map(str, ledgered))


def _kept(row: RowMapping) -> _Seen | None:
    """Return what a show was counted for, by whichever worker, if it is no other in the ledger."""
    position, _, ledgered = (row["counted_for"] or "").partition(" ")
    if ledgered != _written(_ledgered(row)):
        return None
    return _Seen(_ledgered(row), position, 0.0)


def _figures(state: InventoryState, tariff: Tariff) -> tuple[int, int, int | None, int | None, int]:
    """Return capacity, places left, lowest and highest price of these, and popularity."""
    manifest = state.show.manifest
    parts = [(level.slug, state.level_counts(n)) for n, level in enumerate(manifest.levels)]
    parts += [(area.price_level, state.area_counts(n)) for n, area in manifest.areas_told()]
    prices: list[int] = []
    for slug, counts in parts:
        if counts.open > 0:
            try:
                prices.append(ticket_charge(tariff, slug).total)
            except UnpricedError:
                continue
    sold = sum(counts.sold for _, counts in parts)
    return (
        sum(counts.capacity for _, counts in parts),
        sum(counts.open for _, counts in parts),
        min(prices, default=None),
        max(prices, default=None),
        int(_POPULARITY_STEPS * log2(1 + sold)),
    )
