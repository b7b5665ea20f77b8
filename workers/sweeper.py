"""The sweeper: releases overdue holds of quiet shows, once a second."""

import asyncio
from typing import Final

import structlog
from redis.exceptions import ResponseError

from engine.inventory.sweeping import shows_with_holds, sweep
from engine.inventory.tending import tended_shows
from engine.platform.ids import entity_hex
from engine.runtime import Working

_PAUSE_S: Final = 1.0

_log = structlog.get_logger(__name__)


async def run_sweeper(working: Working) -> None:
    """Sweep until cancelled. A store that fails ends it; whoever started it starts it again."""
    while True:
        for show in await shows_with_holds(
            working.redis, await tended_shows(working.recorder_engine)
        ):
            try:
                swept = await sweep(working.redis, show)
            except ResponseError as error:
                # One show that can't be swept must not keep the others from it.
                _log.error("show can't be swept", show=entity_hex(show.id), error=repr(error))
                continue
            if not swept:
                _log.debug("not swept: the show is being recovered", show=entity_hex(show.id))
        await asyncio.sleep(_PAUSE_S)
