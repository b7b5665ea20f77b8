"""Tells the stores of the returns that they have not applied: a look each second.

The API does so itself, right after its commit; what is left to do here is what it died before.
"""

import asyncio
from time import monotonic
from typing import Final

import structlog
from redis.exceptions import ResponseError

from engine.inventory.returning import Delivery, deliver_returns, lately_returned, shows_behind
from engine.inventory.rounds import Round
from engine.inventory.sold_watch import REST_S
from engine.platform.ids import entity_hex
from engine.runtime import Working

_PAUSE_S: Final = 1.0
_SOON_S: Final = 0.25

_log = structlog.get_logger(__name__)


async def run_returning(working: Working) -> None:
    """Deliver until cancelled. A store that fails ends it; whoever started it starts it again."""
    told_at: dict[int, float] = {}
    looks = Round(working.recorder_engine, working.stirred, "returning")
    while True:
        tended = await looks.next([*told_at, *await lately_returned(working.recorder_engine)])
        behind = await shows_behind(working.redis, tended)
        told_at = {show.id: told_at[show.id] for show in behind if show.id in told_at}
        for show in behind:
            rested = monotonic() - told_at.get(show.id, monotonic()) > REST_S
            delivery = await _deliver(working, show.id, rested=rested)
            if delivery is Delivery.TOLD:
                told_at[show.id] = monotonic()
            elif delivery is Delivery.RESTING:
                told_at.setdefault(show.id, monotonic())
        await asyncio.sleep(0 if looks.is_first else _SOON_S if told_at else _PAUSE_S)


async def _deliver(working: Working, show: int, *, rested: bool) -> Delivery:
    open_ledger = working.recorder_engine.connect
    try:
        delivery = await deliver_returns(open_ledger, working.redis, show, rested=rested)
    except ResponseError as error:
        # One show that can't be told must not keep the others from it.
        _log.error("returns not applied", show=entity_hex(show), error=repr(error))
        return Delivery.NOT_NOW
    if delivery is Delivery.NOT_NOW:
        _log.debug("returns wait: the show is changing", show=entity_hex(show))
    return delivery
