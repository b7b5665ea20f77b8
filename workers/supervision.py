"""Keeps the worker's tasks alive: one that ends is started again, and never silently."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, cast

import structlog
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

OUTAGE_PAUSE_S: Final = 0.2
"""After a store failed: how soon buyers are served again once it is back rests on this."""

_BACK_OFF_S_MIN: Final = 0.1
_BACK_OFF_S_MAX: Final = 5.0
_WELL_AFTER_S: Final = 30.0
_STOP_S: Final = 5.0

# That of a socket which is not there is a plain OSError.
_AWAY: Final = (RedisConnectionError, RedisTimeoutError, PoolTimeoutError, OSError)
# Connections lost, resources used up, an operator who shuts it down or starts it.
_SQLSTATES_AWAY: Final = ("08", "53", "57")

_log = structlog.stdlib.get_logger(__name__)


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    back_off_s_min: float = _BACK_OFF_S_MIN,
    well_after_s: float = _WELL_AFTER_S,
) -> None:
    """Run a task until cancelled; start it again when it ends, later each time it fails soon.

    A task that ran for `well_after_s` is taken to be well: the back-off starts over. One that a
    store's outage ended is started again soon, however long it lasts.
    """
    back_off_s = back_off_s_min
    told: type[BaseException] | None = None
    while True:
        began = monotonic()
        error = await _run_once(name, run)
        was_well = monotonic() - began >= well_after_s
        if error is not None and _is_outage(error):
            if type(error) is not told or was_well:
                _log.warning("a store is away: task waits for it", task=name, error=repr(error))
            told = type(error)
            await asyncio.sleep(OUTAGE_PAUSE_S)
            continue
        told = None
        if was_well:
            back_off_s = back_off_s_min
        _tell_end(name, error)
        _log.info("task starts again", task=name, in_s=back_off_s)
        await asyncio.sleep(back_off_s)
        back_off_s = min(back_off_s * 2, _BACK_OFF_S_MAX)


async def _run_once(name: str, run: Callable[[], Awaitable[None]]) -> BaseException | None:
    """Run a task to its end, however it ends; return what ended it, None if nothing did.

    It gets an asyncio task of its own: before Python 3.11.3 a failing `TaskGroup` may leave a
    cancellation behind in the task that it ran in, which would end this one too, silently.
    """
    task = asyncio.ensure_future(run())
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=_STOP_S)
        raise
    return asyncio.CancelledError(name) if task.cancelled() else task.exception()


def _is_outage(error: BaseException) -> bool:
    """Tell whether a store that can't be reached is all that is wrong."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(_is_outage(one) for one in group.exceptions)
    if isinstance(error, DBAPIError):
        sqlstate = str(getattr(error.orig, "sqlstate", None) or "")
        return error.connection_invalidated or sqlstate.startswith(_SQLSTATES_AWAY)
    return isinstance(error, _AWAY) and not isinstance(error, AuthenticationError)


def _tell_end(name: str, error: BaseException | None) -> None:
    if error is None:
        _log.error("task ended by itself", task=name)
    elif isinstance(error, asyncio.CancelledError):
        _log.error("task was cancelled by itself", task=name)
    else:
        _log.error("task died", task=name, exc_info=error)
