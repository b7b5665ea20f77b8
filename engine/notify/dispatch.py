"""Gives due endpoints to couriers, each to one, within what this worker may have on its way."""

import asyncio
from typing import Final

import structlog
from sqlalchemy import text

from engine.notify.courier import Courier, Tools
from engine.notify.fan_out import BEHIND, FACTS_AT_ONCE, fan_out
from engine.notify.leases import FREE, Leased, claim_endpoints
from engine.platform.database import single_statements
from engine.platform.errors import is_outage
from engine.platform.ids import entity_hex

_PAUSE_S: Final = 0.25
_TASKS_END_S: Final = 3.0

# What hands out and what leases would be nine round trips: at rest it is this one.
_IS_ANY_DUE: Final = text(
    f"SELECT EXISTS (SELECT FROM {BEHIND}) OR EXISTS (SELECT FROM {FREE})"  # noqa: S608 - our own words
)

_log = structlog.stdlib.get_logger(__name__)


class Dispatcher:
    """Of one worker; any number of workers may have one."""

    def __init__(self, tools: Tools) -> None:
        """Take what its couriers work with."""
        self._tools = tools
        self._couriers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Hand out and tell until cancelled.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: PostgreSQL is away.
        """
        try:
            while True:
                if not await self._is_any_due():
                    await asyncio.sleep(_PAUSE_S)
                    continue
                handed_out = await fan_out(self._tools.engine, self._tools.clock())
                started = await self.start_couriers()
                if handed_out < FACTS_AT_ONCE and not started:
                    await asyncio.sleep(_PAUSE_S)
        finally:
            await self.stop()

    async def settle(self) -> None:
        """Hand out and tell until nothing is due at this moment of the clock."""
        while True:
            handed_out = await fan_out(self._tools.engine, self._tools.clock())
            started = await self.start_couriers()
            if self._couriers:
                await asyncio.wait(self._couriers, return_when=asyncio.FIRST_COMPLETED)
            elif not handed_out and not started:
                return

    async def start_couriers(self) -> int:
        """Send couriers to endpoints that have something due; return how many."""
        started = 0
        for doubtful in (False, True):
            most = self._tools.slots.free(doubtful=doubtful)
            now = self._tools.clock()
            leased = await claim_endpoints(self._tools.engine, now, doubtful=doubtful, most=most)
            for endpoint in leased:
                self._tools.slots.take(doubtful=doubtful)
                task = asyncio.create_task(self._tell(endpoint, doubtful=doubtful))
                self._couriers.add(task)
                task.add_done_callback(self._couriers.discard)
            started += len(leased)
        return started

    async def stop(self) -> None:
        """Call the couriers back: what they could not note is told again by whoever comes next."""
        for task in self._couriers:
            task.cancel()
        if self._couriers:
            await asyncio.wait(self._couriers, timeout=_TASKS_END_S)

    async def _is_any_due(self) -> bool:
        async with single_statements(self._tools.engine) as connection:
            found = await connection.execute(_IS_ANY_DUE, {"now": self._tools.clock()})
            return bool(found.scalar_one())

    async def _tell(self, endpoint: Leased, *, doubtful: bool) -> None:
        try:
            await Courier(self._tools, endpoint).run()
        except Exception as error:  # noqa: BLE001 - one endpoint must not keep the others
            name = entity_hex(endpoint.id)
            if is_outage(error):
                _log.warning("endpoint left: a store is away", endpoint=name, error=repr(error))
            else:
                _log.error("endpoint can't be told", endpoint=name, exc_info=error)
        finally:
            self._tools.slots.give_back(doubtful=doubtful)
