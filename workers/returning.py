"""Tells the stores of the returns that they have not applied: a look at all shows each second.

The API does so itself, right after its commit; what is left to do here is what it died before.
"""

import asyncio
from typing import Final

import structlog
from redis.exceptions import ResponseError

from engine.inventory.returning import deliver_returns, shows_behind
from engine.inventory.tending import tended_shows
from engine.platform.ids import entity_hex
from engine.runtime import Working

_PAUSE_S: Final = 1.0

_log = structlog.get_logger(__name__)


async def run_returning(working: Working) -> None:
    """Deliver until cancelled. A store that fails ends it; whoever started it starts it again."""
    while True:
        tended = await tended_shows(working.recorder_engine)
        for show in await shows_behind(working.redis, tended):
            try:
                delivered = await deliver_returns(
                    working.recorder_engine.connect, working.redis, show.id
                )
            except ResponseError as error:
                # One show that can't be told must not keep the others from it.
                _log.error("returns not applied", show=entity_hex(show.id), error=repr(error))
                continue
            if not delivered:
                _log.debug("returns wait: the show is changing", show=entity_hex(show.id))
        await asyncio.sleep(_PAUSE_S)
