"""Keeps the worker's tasks alive: one that ends is started again, and never silently."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import structlog

_BACK_OFF_S_MIN: Final = 0.1
_BACK_OFF_S_MAX: Final = 5.0
_WELL_AFTER_S: Final = 30.0
_STOP_S: Final = 5.0

_log = structlog.stdlib.get_logger(__name__)


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    back_off_s_min: float = _BACK_OFF_S_MIN,
    well_after_s: float = _WELL_AFTER_S,
) -> None:
    """Run a task until cancelled; start it again when it ends, later each time it fails soon.

    A task that ran for `well_after_s` is taken to be well: the back-off starts over.
    """
    back_off_s = back_off_s_min
    while True:
        began = monotonic()
        await _run_once(name, run)
        if monotonic() - began >= well_after_s:
            back_off_s = back_off_s_min
        _log.info("task starts again", task=name, in_s=back_off_s)
        await asyncio.sleep(back_off_s)
        back_off_s = min(back_off_s * 2, _BACK_OFF_S_MAX)


async def _run_once(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task to its end, however it ends, and log how.

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
    if task.cancelled():
        _log.error("task was cancelled by itself", task=name)
    elif (error := task.exception()) is not None:
        _log.error("task died", task=name, exc_info=error)
    else:
        _log.error("task ended by itself", task=name)
