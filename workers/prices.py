"""Brings price steps about when they are due: a look each second."""

import asyncio
from collections.abc import Collection
from time import monotonic
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from engine.catalog.price_steps import Waiting, bring_due, find_waiting, tickets_short
from engine.inventory.price_versions import PriceVersionsSpentError
from engine.inventory.rounds import Round
from engine.platform.errors import is_outage
from engine.platform.few_at_once import each_of
from engine.platform.ids import Ids, entity_hex
from engine.runtime import Working

_PAUSE_S: Final = 1.0
_NOT_AGAIN_S: Final = 10.0

_log = structlog.stdlib.get_logger(__name__)


class PriceSteps:
    """Looks for steps that are due, for one process.

    To count a show's tickets is work: after a count, a show is left alone until so many more
    orders are recorded that a step may be due.
    """

    def __init__(self, working: Working) -> None:
        """Take what the worker has opened."""
        self._working = working
        self._ids = Ids(working.settings.region, working.settings.secret.encode())
        self._counted: dict[int, tuple[object, int]] = {}
        """By show, what its count is good for, and before which sale no step can be due by it."""
        self._impossible_until: dict[int, float] = {}

    async def bring(self, shows: Collection[int] | None = None) -> int:
        """Bring about what is due; return how many price versions that made.

        Tickets are counted of all shows, or of these.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
        """
        waiting = await find_waiting(self._working.recorder_engine, shows)
        ids = {show.id for show in waiting}
        for show in [*self._counted] if shows is None else shows:
            if show not in ids:
                self._counted.pop(show, None)
        now = monotonic()
        later = {show: at for show, at in self._impossible_until.items() if at > now}
        self._impossible_until = later
        possible = [show for show in waiting if show.id not in later]
        return sum(await each_of(possible, self._bring_if_possible))

    async def _bring_if_possible(self, show: Waiting) -> int:
        # A show that can't be changed just now, or at all, must not keep the others from it.
        try:
            return await self._bring_if_due(show)
        except (PriceVersionsSpentError, DBAPIError) as error:
            if is_outage(error):
                raise
            _log.warning(
                "price step not brought about", show=entity_hex(show.id), error=repr(error)
            )
        except Exception as error:
            if is_outage(error):
                raise
            _log.exception("price steps can't be brought about", show=entity_hex(show.id))
            self._impossible_until[show.id] = monotonic() + _NOT_AGAIN_S
        return 0

    async def _bring_if_due(self, show: Waiting) -> int:
        if show.is_due or (show.counts and await self._may_be_due(show)):
            return await self._bring(show)
        return 0

    async def _may_be_due(self, show: Waiting) -> bool:
        since, next_sale = self._counted.get(show.id, (None, 0))
        if since == show.since and show.recorded < next_sale:
            return False
        short = await tickets_short(self._working.recorder_engine, show.id)
        if short is None:
            return False
        orders_least = -(-max(short, 0) // show.max_per_hold)
        self._counted[show.id] = show.since, show.recorded + orders_least
        return short <= 0

    async def _bring(self, show: Waiting) -> int:
        working = self._working
        self._counted.pop(show.id, None)
        made = await bring_due(working.recorder_engine, working.redis, self._ids, show)
        for version in made:
            _log.info("price step came", show=entity_hex(show.id), price_version=version)
        return len(made)


async def run_prices(working: Working) -> None:
    """Bring steps about until cancelled.

    A store that fails ends it; whoever started it starts it again.
    """
    steps = PriceSteps(working)
    looks = Round(working.recorder_engine, working.stirred, "prices")
    while True:
        await steps.bring([show.id for show in await looks.next()])
        await asyncio.sleep(0 if looks.is_first else _PAUSE_S)
