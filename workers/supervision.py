"""Keeps the worker's tasks alive: one that ends is started again, and never silently."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import structlog

_BACK_OFF_S_MIN: Final = 0.1
_BACK_OFF_S_MAX: Final = 5.0
_WELL_AFTER_S: Final = 30.0

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
        try:
            await run()
            _log.error("task ended by itself", task=name)
        except Exception:  # noqa: BLE001 - whatever it was: logged, and the task must go on
            _log.exception("task died", task=name)
        if monotonic() - began >= well_after_s:
            back_off_s = back_off_s_min
        _log.info("task starts again", task=name, in_s=back_off_s)
        await asyncio.sleep(back_off_s)
        back_off_s = min(back_off_s * 2, _BACK_OFF_S_MAX)
