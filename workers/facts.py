"""Tells what no request and no sale tells: ends of holds, beginnings of sales, shows sold out."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from engine.facts.log import prune_facts
from engine.inventory.expiries import ExpiredHolds
from engine.inventory.rounds import Round
from engine.platform.ids import Ids
from engine.runtime import Working
from engine.sales.milestones import ON_SALE_AT_ONCE, SoldOutWatch, tell_on_sale

_PAUSE_S: Final = 1.0
_KEPT_DAYS: Final = 30
_FACTS_A_STATEMENT: Final = 5000

_log = structlog.stdlib.get_logger(__name__)


async def run_expiries(working: Working) -> None:
    """Tell of expired holds until cancelled.

    A store that fails ends it; whoever started it starts it again.
    """
    expired = ExpiredHolds(working.redis, working.recorder_engine, _ids(working))
    looks = Round(working.recorder_engine, working.stirred, "expiries")
    while True:
        shows = await looks.next()
        if not await expired.tell([show.id for show in shows]):
            await asyncio.sleep(0 if looks.is_first else _PAUSE_S)


async def run_milestones(working: Working) -> None:
    """Tell of sales that begin and of shows that are sold out, until cancelled.

    A store that fails ends it; whoever started it starts it again.
    """
    # To count places takes a while where many shows sell: no beginning waits for that.
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell_beginnings(working))
        group.create_task(_tell_sold_out(working))


async def _tell_beginnings(working: Working) -> None:
    ids = _ids(working)
    looks = Round(working.recorder_engine, working.stirred, "beginnings")
    while True:
        shows = [show.id for show in await looks.next()]
        told = await tell_on_sale(working.recorder_engine, ids, shows)
        goes_on = looks.is_first or told >= ON_SALE_AT_ONCE
        await asyncio.sleep(0 if goes_on else _PAUSE_S)


async def _tell_sold_out(working: Working) -> None:
    watch = SoldOutWatch(working.recorder_engine, working.book, _ids(working))
    looks = Round(working.recorder_engine, working.stirred, "sold-out")
    while True:
        await watch.tell([show.id for show in await looks.next()])
        await asyncio.sleep(0 if looks.is_first else _PAUSE_S)


async def forget_old_facts(ctx: dict[str, Any]) -> int:
    """Delete facts that were recorded more than 30 days ago; return how many. A job of ARQ's."""
    working: Working = ctx["working"]
    before = datetime.now(UTC) - timedelta(days=_KEPT_DAYS)
    forgotten = 0
    while True:
        async with working.recorder_engine.begin() as connection:
            deleted = await prune_facts(connection, before, _FACTS_A_STATEMENT)
        forgotten += deleted
        if deleted < _FACTS_A_STATEMENT:
            _log.info("facts forgotten", count=forgotten)
            return forgotten


def _ids(working: Working) -> Ids:
    settings = working.settings
    return Ids(settings.region, settings.secret.encode())
