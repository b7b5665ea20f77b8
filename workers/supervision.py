"""Keeps the worker's tasks alive: one that ends is started again, and never silently."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import structlog

from engine.platform.errors import is_outage
from engine.platform.retrying import OUTAGE, TASK, Backoff, Patience

_WELL_AFTER_S: Final = 30.0
_STOP_S: Final = 5.0

_log = structlog.stdlib.get_logger(__name__)


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    policy: Backoff = TASK,
    well_after_s: float = _WELL_AFTER_S,
) -> None:
    """Run a task until cancelled; start it again when it ends, later each time it fails soon.

    A task that ran for `well_after_s` is taken to be well: the pauses start over. One that a
    store's outage ended is started again soon, however long it lasts.
    """
    faults, outages = Patience(policy), Patience(OUTAGE)
    told: type[BaseException] | None = None
    while True:
        began = monotonic()
        error = await _run_once(name, run)
        was_well = monotonic() - began >= well_after_s
        if was_well:
            faults.is_well()
            outages.is_well()
        if error is not None and is_outage(error):
            if type(error) is not told or was_well:
                _log.warning("a store is away: task waits for it", task=name, error=repr(error))
            told = type(error)
            await outages.pause()
            continue
        told = None
        _tell_end(name, error)
        await faults.pause()
        _log.info("task starts again", task=name)


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


def _tell_end(name: str, error: BaseException | None) -> None:
    if error is None:
        _log.error("task ended by itself", task=name)
    elif isinstance(error, asyncio.CancelledError):
        _log.error("task was cancelled by itself", task=name)
    else:
        _log.error("task died", task=name, exc_info=error)
