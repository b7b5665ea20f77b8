"""Recoveries by hand: of one show, or of all that can't sell as they stand."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine.inventory.recovery import Recovered, SupersededError
from engine.inventory.recovery_log import RecoveryRow, list_recoveries
from engine.inventory.tending import Ailing, TendedShow, find_ailing, tended_shows
from engine.platform.database import create_engine
from engine.platform.settings import RECORDER_ROLE, Settings
from engine.runtime import Working, open_working

PATIENCE_S: Final = 60.0
"""How long a recovery that another process is at is waited for."""

STORE_FAILURES: Final = (RedisError, SQLAlchemyError, OSError, TimeoutError)

_PAUSE_S: Final = 0.2
_AT_ONCE: Final = 8
_PASSES_WITHIN_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class NotOnSaleError(LookupError):
    """No show of this id was ever put on sale here: there is nothing to recover."""


class BusyError(RuntimeError):
    """Other recoveries of the show did not come to an end."""


class Rebuilt(Struct, frozen=True, kw_only=True):
    """What a look at all shows came to."""

    shows: int
    """That were ever put on sale."""
    ailing: int
    """That could not sell as they stood."""
    recovered: int
    """By this command; workers may have recovered others meanwhile."""
    left: dict[int, str]
    """Shows that still can't sell, and why."""
    took_s: float


async def recover_show(settings: Settings, show: int) -> Recovered:
    """Recover a show, whether it needs it or not.

    Raises:
        NotOnSaleError: there is no such show.
        BusyError: others were at it for a minute.
        ContradictionError: the ledger contradicts the manifest or itself; nothing was opened.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    async with open_working(settings) as working:
        if all(show != one.id for one in await tended_shows(working.recorder_engine)):
            msg = f"no show {show:016x} was ever put on sale here"
            raise NotOnSaleError(msg)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            recovered = await _try(working, show, "asked for by hand", anew=True)
            if recovered is not None:
                return recovered
            await asyncio.sleep(_PAUSE_S)
    msg = f"other processes were recovering the show for {PATIENCE_S:g} s"
    raise BusyError(msg)


async def rebuild_shows(settings: Settings, progress: Callable[[int, int], None]) -> Rebuilt:
    """Recover every show that can't sell as it stands, a few at once.

    `progress` hears how many are done, of how many. Ends when all sell, or when a minute passed
    in which none of the rest came back.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store could not
            tell how the shows stand.
    """
    began = time.monotonic()
    recovered = 0
    failed: dict[int, str] = {}
    hopeless: dict[int, str] = {}
    async with open_working(settings) as working:
        tended = await tended_shows(working.recorder_engine)
        left = first = await _find_twice(working, tended)
        until = began + PATIENCE_S
        while left and time.monotonic() < until:
            progress(len(first) - len(left), len(first))
            for one, result in zip(left, await _recover_all(working, left), strict=True):
                if isinstance(result, STORE_FAILURES):
                    failed[one.show.id] = f"{one.reason}; {result!r}"
                elif isinstance(result, BaseException):
                    _log.error("recovery impossible", exc_info=result)
                    hopeless[one.show.id] = f"{one.reason}; {result!r}"
                else:
                    recovered += result is not None
            before, left = left, await _still_ailing(working, left, hopeless)
            if len(left) < len(before):
                until = time.monotonic() + PATIENCE_S
            if left:
                await asyncio.sleep(_PAUSE_S)
        progress(len(first) - len(left) - len(hopeless), len(first))
    return Rebuilt(
        shows=len(tended),
        ailing=len(first),
        recovered=recovered,
        left={one.show.id: failed.get(one.show.id, one.reason) for one in left} | hopeless,
        took_s=round(time.monotonic() - began, 3),
    )


async def read_recoveries(
    settings: Settings, *, show: int | None, rows_max: int
) -> list[RecoveryRow]:
    """Return the last recoveries, the newest first. Raises as `list_recoveries`."""
    engine = create_engine(settings, RECORDER_ROLE, connections_max=1)
    try:
        return await list_recoveries(engine, show=show, rows_max=rows_max)
    finally:
        await engine.dispose()


async def _find_twice(working: Working, tended: list[TendedShow]) -> list[Ailing]:
    """Return what is ailing at two looks: a change by the house that is under way passes."""
    first = await find_ailing(working.redis, tended)
    if not any(one.may_pass for one in first):
        return first
    await asyncio.sleep(_PASSES_WITHIN_S)
    return await _still_ailing(working, first, {})


async def _recover_all(
    working: Working, ailing: list[Ailing]
) -> list[Recovered | BaseException | None]:
    """Try each once; return what came of it, an exception where a show could not be recovered.

    One such show does not keep the others from it, and neither does a store that fails one.
    """
    limit = asyncio.Semaphore(_AT_ONCE)

    async def alone(one: Ailing) -> Recovered | None:
        async with limit:
            return await _try(working, one.show.id, one.reason)

    return await asyncio.gather(*map(alone, ailing), return_exceptions=True)


async def _still_ailing(
    working: Working, before: list[Ailing], hopeless: Mapping[int, str]
) -> list[Ailing]:
    """Look again at shows that were ailing, as PostgreSQL has them now."""
    shows = {one.show.id for one in before} - hopeless.keys()
    tended = await tended_shows(working.recorder_engine)
    return await find_ailing(working.redis, [one for one in tended if one.id in shows])


async def _try(working: Working, show: int, reason: str, *, anew: bool = False) -> Recovered | None:
    """Recover a show; None if somebody else is at it, or has overtaken this attempt."""
    try:
        return await working.recoverer.recover(show, reason, anew=anew)
    except SupersededError:
        return None
