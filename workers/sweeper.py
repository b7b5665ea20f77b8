"""The sweeper: releases overdue holds of quiet shows, once a second.

It visits a show in which anything ends by itself when that is overdue, and else every few seconds,
as long as these are not thousands: so that the highest time that the show has seen tells a recovery
for how long it was out.
"""

import asyncio
from collections.abc import Iterable, Mapping
from heapq import nsmallest
from time import monotonic
from typing import Final

import structlog
from msgspec import Struct
from redis.exceptions import ResponseError

from engine.inventory.keys import show_keys
from engine.inventory.rounds import QUIET_MAX, Round
from engine.inventory.show_time import read_clock
from engine.inventory.sweeping import Scheduled, scheduled_shows, sweep
from engine.platform.few_at_once import each_of
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.runtime import Working

_PAUSE_S: Final = 1.0
_KEEP_TIME_S: Final = 1.5
KEPT_A_LOOK: Final = 200
"""Shows whose time is kept by one look. With more of them each is visited less often, and a
recovery gives their holds so much longer."""

_log = structlog.get_logger(__name__)


class _Visits(Struct, frozen=True):
    """A show in which something ends by itself, in this process' time."""

    due_at: float
    visited_at: float


_NEVER: Final = _Visits(0.0, 0.0)


class Sweeper:
    """Knows in which shows something ends, and when: they are looked at then, and meanwhile."""

    def __init__(self, working: Working, *, most: int = QUIET_MAX) -> None:
        """Take what a worker works with, and how many shows have their turn at once."""
        self._redis = working.redis
        self._looks = Round(working.recorder_engine, working.stirred, "sweeper", most=most)
        self._known: dict[int, _Visits] = {}

    @property
    def is_in_haste(self) -> bool:
        """Whether the next look should follow without a pause."""
        return self._looks.is_first

    async def look(self) -> None:
        """Look at whom it is time for, and sweep what is overdue.

        Raises:
            redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
        """
        asked = {*self._due(), *self._to_be_kept()}
        tended = await self._looks.next(asked)
        # What was archived since is nobody's to look at, and keeps no other from its turn.
        for gone in asked.difference(one.id for one in tended):
            self._known.pop(gone, None)
        scheduled, missed = await scheduled_shows(self._redis, tended)
        clocks = await _clocks(self._redis, scheduled)
        missed += [one.show.id for one in scheduled if one.server not in clocks]
        self._looks.note_missed(missed)
        now = monotonic()
        before = {one.id: self._known.pop(one.id, _NEVER) for one in tended}
        seen = {one.show.id: one for one in scheduled if one.server in clocks}
        overdue: list[Scheduled] = []
        quiet: list[Scheduled] = []
        for show, one in seen.items():
            now_ms = clocks[one.server]
            due_at = now + (one.first_ms - now_ms) / 1000
            self._known[show] = _Visits(due_at, before[show].visited_at)
            if one.is_overdue(now_ms):
                overdue.append(one)
            elif now - self._known[show].visited_at >= _KEEP_TIME_S:
                quiet.append(one)
        quiet.sort(key=lambda one: self._known[one.show.id].visited_at)
        await self._sweep_all([*overdue, *quiet[:KEPT_A_LOOK]], clocks)

    def _due(self) -> list[int]:
        now = monotonic()
        return [show for show, visits in self._known.items() if visits.due_at <= now]

    def _to_be_kept(self) -> list[int]:
        """Return whose time was kept longest ago."""
        return nsmallest(KEPT_A_LOOK, self._known, key=lambda show: self._known[show].visited_at)

    async def _sweep_all(self, some: list[Scheduled], clocks: Mapping[str, int]) -> None:
        async def sweep_one(one: Scheduled) -> None:
            visits = self._known[one.show.id]
            self._known[one.show.id] = _Visits(visits.due_at, monotonic())
            await _sweep(self._redis, one, clocks[one.server])

        await each_of(some, sweep_one)


async def run_sweeper(working: Working) -> None:
    """Sweep until cancelled. A store that fails ends it; whoever started it starts it again."""
    sweeper = Sweeper(working)
    while True:
        await sweeper.look()
        await asyncio.sleep(0 if sweeper.is_in_haste else _PAUSE_S)


async def _clocks(redis: Store, scheduled: Iterable[Scheduled]) -> dict[str, int]:
    """Return the time of each server, in ms since 1970, as a show of it sees it that can."""
    clocks: dict[str, int] = {}
    for one in scheduled:
        if one.server not in clocks:
            try:
                clocks[one.server] = await read_clock(redis, show_keys(one.show.id))
            except ResponseError as error:
                # Its content is spoilt, and its recovery's business: another show will tell.
                _log.debug("no time told", show=entity_hex(one.show.id), error=repr(error))
    return clocks


async def _sweep(redis: Store, one: Scheduled, now_ms: int) -> None:
    show = entity_hex(one.show.id)
    try:
        if not await sweep(redis, one.show, now_ms):
            _log.debug("not swept: the show is being recovered", show=show)
    except ResponseError as error:
        # One show that can't be swept must not keep the others from it.
        _log.error("show can't be swept", show=show, error=repr(error))
