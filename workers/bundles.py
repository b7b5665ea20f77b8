"""Finishes bundles whose coordinator is silent, and forgets those that were given back."""

import asyncio
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.database import single_statements
from engine.platform.errors import StoreUnavailableError
from engine.platform.few_at_once import each_of
from engine.platform.ids import EntityId, entity_hex
from engine.runtime import Working
from engine.sales.bundles import BundleState, find_due, forget_released, take_lease

_PAUSE_S: Final = 1.0
_AT_ONCE: Final = 8
_WORKED_ON_S: Final = 4.0
_MOST: Final = 64
_FORGOTTEN_A_STATEMENT: Final = 1000

_log = structlog.stdlib.get_logger(__name__)


async def run_bundles(working: Working) -> None:
    """Look each second for bundles on which nobody works."""
    while True:
        await finish_due(working)
        await asyncio.sleep(_PAUSE_S)


async def finish_due(working: Working) -> int:
    """Finish what is due, some at once; return how many of them have ended.

    What is the most urgent is asked for each time: it may have fallen due meanwhile.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    # One round trip while there is nothing to do.
    async with single_statements(working.recorder_engine) as connection:
        if not await find_due(connection, 1):
            return 0
    turns = iter(range(_MOST))

    async def go_on(_: int) -> int:
        ended = 0
        for _turn in turns:
            taken = await _take_next(working)
            if taken is None:
                break
            ended += await _finish(working, *taken)
        return ended

    return sum(await each_of(range(_AT_ONCE), go_on, at_once=_AT_ONCE))


async def _take_next(working: Working) -> tuple[EntityId, EntityId] | None:
    """Take the most urgent bundle that nobody else takes just now, if there is one."""
    async with working.recorder_engine.begin() as connection:
        # As many as may be taken from it meanwhile.
        for bundle, reseller in await find_due(connection, _AT_ONCE):
            if await take_lease(connection, bundle):
                return bundle, reseller
    return None


async def _finish(working: Working, bundle: EntityId, reseller: EntityId) -> bool:
    try:
        found = await working.finishing.take_up(reseller, bundle, within_s=_WORKED_ON_S)
    except (StoreUnavailableError, SQLAlchemyError, OSError, TimeoutError) as error:
        # It keeps its lease for some seconds, and is due again then; others are not kept from it.
        _log.warning("bundle not finished", bundle=entity_hex(bundle), error=repr(error))
        return False
    state = BundleState.RELEASED if found is None else found.state
    _log.info("bundle taken up", bundle=entity_hex(bundle), state=state)
    return found is not None and found.has_ended


async def forget_old_bundles(ctx: dict[str, Any]) -> int:
    """Delete bundles that were released two days ago; return how many. A job of ARQ's."""
    working: Working = ctx["working"]
    forgotten = 0
    while True:
        async with working.recorder_engine.begin() as connection:
            deleted = await forget_released(connection, _FORGOTTEN_A_STATEMENT)
        forgotten += deleted
        if deleted < _FORGOTTEN_A_STATEMENT:
            _log.info("bundles forgotten", count=forgotten)
            return forgotten
