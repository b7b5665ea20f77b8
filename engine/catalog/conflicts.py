"""Which shows to come conflict with a change of their configuration.

A show does that would lose a seat that is sold or held, or that has sold and holds more places of
an area than it would take, and one that is at its venue at the same time as another. Nothing is
changed by asking: a show keeps the version that it was made from.

What is sold is asked of the ledger, what is held (and sold a moment ago) of the inventory store.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy import ColumnElement, Integer, any_, cast, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.clashes import Clash, Occupied, PlanPlaces, find_clash, vanishing_seats
from engine.catalog.occupancy import (
    OVERLAPS_NAMED_MAX,
    VenueShow,
    future_shows,
    overlapping_shows,
)
from engine.inventory.availability import InventoryState, read_inventory
from engine.inventory.shows import Show, ShowBook
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.redis import Store
from engine.platform.tables import area_sales, configurations, shows, tickets

SHOWS_MAX: Final = 100
"""Looked at by one call."""

_ASKED_AT_ONCE: Final = 8
_TIMEOUT_S: Final = 20
_NOT_OPENED: Final = 0


class ShowConflict(Struct, frozen=True):
    """A show that conflicts. `is_known`: its inventory could be asked for what is held."""

    show: VenueShow
    clash: Clash
    overlaps: tuple[VenueShow, ...]
    is_known: bool


class Conflicts(Struct, frozen=True):
    """Those among the shows that were looked at, the soonest first; None: there are no more."""

    shows: list[ShowConflict]
    looked_at: int
    last: EntityId | None


class _Source:
    """A show as one reseller's requests see it, to read its inventory."""

    def __init__(self, book: ShowBook, app: AsyncEngine, show: Show) -> None:
        self._book = book
        self._app = app
        self._show = show

    async def current(self) -> Show:
        return self._show

    async def reload(self) -> Show:
        return await self._book.reload(self._app, self._show.reseller, self._show.id)


class ConflictFinder:
    """Finds them, for one process."""

    def __init__(self, app: AsyncEngine, redis: Store, book: ShowBook) -> None:
        """Take the ledger, the inventory store, and what is known of shows."""
        self._app = app
        self._redis = redis
        self._book = book
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def find(
        self,
        reseller: EntityId,
        configuration: EntityId,
        places: PlanPlaces,
        *,
        after: EntityId | None,
        limit: int,
    ) -> Conflicts:
        """Look at up to `limit` shows to come, from behind the show `after`.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, redis.RedisError, OSError, TimeoutError: a store failed.
        """
        limit = min(limit, SHOWS_MAX)
        async with asyncio.timeout(_TIMEOUT_S):
            async with tenant_transaction(self._app, reseller) as connection:
                coming = await _coming(connection, configuration, after, limit + 1)
                looked_at = coming[:limit]
                overlaps = await _overlaps(connection, configuration, looked_at)
            judged = await self._judge(reseller, looked_at, places)
        found = [
            ShowConflict(show, clash, overlaps.get(show.id, ()), is_known)
            for show, (clash, is_known) in zip(looked_at, judged, strict=True)
            if clash or overlaps.get(show.id)
        ]
        last = looked_at[-1].id if len(coming) > limit else None
        return Conflicts(found, len(looked_at), last)

    async def _judge(
        self, reseller: EntityId, looked_at: Sequence[VenueShow], places: PlanPlaces
    ) -> list[tuple[Clash, bool]]:
        known = [await self._book.get(self._app, reseller, one.id) for one in looked_at]
        states = await asyncio.gather(*(self._state(show) for show in known))
        # Shows of one version share its manifest.
        vanishing: dict[int, list[int]] = {}
        for show in known:
            if show.manifest_id not in vanishing:
                vanishing[show.manifest_id] = vanishing_seats(show.manifest, places)
                await asyncio.sleep(0)
        judged: list[tuple[Clash, bool]] = []
        async with tenant_transaction(self._app, reseller) as connection:
            areas = await _sold_of_areas(connection, [show.id for show in known])
            for show, state in zip(known, states, strict=True):
                gone = vanishing[show.manifest_id]
                sold = await _sold_among(connection, show.id, gone) if gone else ()
                occupied = _occupied(show, state, sold, areas.get(show.id, {}))
                clash = find_clash(show.manifest, gone, places, occupied)
                judged.append((clash, state is not None or show.epoch == _NOT_OPENED))
        return judged

    async def _state(self, show: Show) -> InventoryState | None:
        """Return how a show stands; None: its store does not have it, or can't be asked."""
        if show.epoch == _NOT_OPENED:
            return None
        async with self._asking:
            try:
                state = await read_inventory(self._redis, _Source(self._book, self._app, show))
            except (RedisError, OSError, TimeoutError):
                return None
        return state if isinstance(state, InventoryState) else None


def _occupied(
    show: Show, state: InventoryState | None, sold: Collection[int], areas: dict[int, int]
) -> Occupied:
    counts = state.areas if state is not None else ()
    found = [
        (max(areas.get(n, 0), counts[n].sold), counts[n].held) if counts else (areas.get(n, 0), 0)
        for n in range(len(show.manifest.areas))
    ]
    for n, area in enumerate(show.manifest.areas):
        if area.parent is not None:
            whole = found[area.parent]
            found[area.parent] = whole[0] + found[n][0], whole[1] + found[n][1]
            found[n] = 0, 0
    return Occupied(seats=b"" if state is None else state.seats, sold=sold, areas=found)


async def _coming(
    connection: AsyncConnection, configuration: EntityId, after: EntityId | None, limit: int
) -> list[VenueShow]:
    of_it: ColumnElement[bool] = shows.c.configuration_id == configuration
    if after is not None:
        before = shows.alias("before")
        place = select(before.c.starts_at, before.c.id).where(before.c.id == after)
        of_it &= tuple_(shows.c.starts_at, shows.c.id) > place.scalar_subquery()
    return await future_shows(connection, of_it, limit)


async def _overlaps(
    connection: AsyncConnection, configuration: EntityId, looked_at: Sequence[VenueShow]
) -> dict[EntityId, tuple[VenueShow, ...]]:
    """Return, of each show, the others that are at its venue meanwhile, up to twenty."""
    if not looked_at:
        return {}
    of_it = select(configurations.c.venue_id).where(configurations.c.id == configuration)
    venue: Any = (await connection.execute(of_it)).scalar_one()
    begins = min(show.begins_at for show in looked_at)
    ends = max(show.ends_at for show in looked_at)
    there = await overlapping_shows(connection, venue, begins, ends)
    return {
        show.id: tuple(islice(_meanwhile(show, there), OVERLAPS_NAMED_MAX)) for show in looked_at
    }


def _meanwhile(show: VenueShow, there: Iterable[VenueShow]) -> Iterable[VenueShow]:
    return (other for other in there if other.id != show.id and show.overlaps(other))


async def _sold_of_areas(
    connection: AsyncConnection, of_shows: Sequence[EntityId]
) -> dict[EntityId, dict[int, int]]:
    query = select(area_sales.c.show_id, area_sales.c.area_index, area_sales.c.sold).where(
        area_sales.c.show_id.in_(of_shows)
    )
    found: dict[EntityId, dict[int, int]] = {}
    for row in await connection.execute(query):
        found.setdefault(EntityId(row.show_id), {})[row.area_index] = row.sold
    return found


async def _sold_among(
    connection: AsyncConnection, show: EntityId, positions: Sequence[int]
) -> Collection[int]:
    """Return which of some seats have an owner in the ledger."""
    wanted = cast(literal(list(positions), ARRAY(Integer)), ARRAY(Integer))
    query = select(tickets.c.seat_index).where(
        tickets.c.show_id == show,
        tickets.c.status == "active",
        tickets.c.seat_index == any_(wanted),
    )
    return (await connection.execute(query)).scalars().all()
