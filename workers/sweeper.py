"""The sweeper: releases overdue holds of quiet shows, once a second.

It visits a show in which anything ends by itself when that is overdue, and else every few seconds:
so that the highest time that the show has seen tells a recovery for how long it was out.
"""

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Final

import structlog
from redis.exceptions import ResponseError

from engine.inventory.keys import show_keys
from engine.inventory.show_time import read_clock
from engine.inventory.sweeping import Scheduled, scheduled_shows, sweep
from engine.inventory.tending import tended_shows
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.runtime import Working

_PAUSE_S: Final = 1.0
_KEEP_TIME_S: Final = 1.5

_log = structlog.get_logger(__name__)


async def run_sweeper(working: Working) -> None:
    """Sweep until cancelled. A store that fails ends it; whoever started it starts it again."""
    visited: dict[int, float] = {}
    while True:
        tended = await tended_shows(working.recorder_engine)
        scheduled = await scheduled_shows(working.redis, tended)
        clocks = await _clocks(working.redis, scheduled)
        now = monotonic()
        visited = {one.show.id: visited.get(one.show.id, 0.0) for one in scheduled}
        for one in scheduled:
            now_ms = clocks.get(one.server)
            if now_ms is None:
                continue
            if one.first_ms <= now_ms or now - visited[one.show.id] >= _KEEP_TIME_S:
                visited[one.show.id] = now
                await _sweep(working.redis, one, now_ms)
        await asyncio.sleep(_PAUSE_S)


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
