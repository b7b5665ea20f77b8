"""Ends allotments whose time is over: a look at those that are due, each second."""

import asyncio
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from engine.catalog.allotments import DueAllotment, end_allotment, find_due
from engine.platform.ids import Ids, entity_hex
from engine.runtime import Working

_PAUSE_S: Final = 0.5
_AT_A_TIME: Final = 100

_log = structlog.stdlib.get_logger(__name__)


async def run_allotments(working: Working) -> None:
    """End what is due until cancelled.

    A store that fails ends it; whoever started it starts it again.
    """
    ids = Ids(working.settings.region, working.settings.secret.encode())
    while True:
        for due in await find_due(working.recorder_engine, most=_AT_A_TIME):
            await _end(working, ids, due)
        await asyncio.sleep(_PAUSE_S)


async def _end(working: Working, ids: Ids, due: DueAllotment) -> None:
    try:
        outcome = await end_allotment(
            working.recorder_engine.begin,
            working.redis,
            ids,
            show=due.show,
            allotment=due.id,
            by="time",
        )
    except DBAPIError as error:
        # A show that can't be changed just now must not keep the others from it.
        _log.warning("allotment not ended", show=entity_hex(due.show), error=repr(error))
        return
    if outcome is None:
        _log.info("allotment ended", show=entity_hex(due.show), allotment=entity_hex(due.id))
