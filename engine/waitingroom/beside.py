"""Work beside a controller's steps, which wait for nothing but the inventory store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from engine.platform.errors import is_outage
from engine.platform.retrying import TASK, Patience

_TIMEOUT_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Beside:
    """One piece of work at a time; one that fails is told, and begun anew when next asked for."""

    def __init__(self, name: str) -> None:
        """Have nothing under way."""
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._patience = Patience(TASK)

    def begin(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin it, unless something is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(work), name=self._name)

    async def stop(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await work()
        except Exception as error:  # noqa: BLE001 - told; the steps go on
            if is_outage(error):
                _log.warning("not done beside the steps", work=self._name, error=repr(error))
            else:
                _log.exception("failed beside the steps", work=self._name)
            await self._patience.pause()
        else:
            self._patience.is_well()
