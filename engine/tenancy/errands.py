"""Work whose asker is answered before it is done, so that the answer tells nothing of it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

_AT_ONCE_MAX: Final = 2
_PRESENT_MAX: Final = 128
_CLOSING_S: Final = 5

_log = structlog.stdlib.get_logger(__name__)


class Errands:
    """The errands of one process: so many at once, so many that wait."""

    def __init__(self) -> None:
        """Begin with none."""
        self._turns = asyncio.Semaphore(_AT_ONCE_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, errand: Coroutine[Any, Any, None]) -> bool:
        """Have an errand done in its turn; False: too many wait, and it is dropped."""
        if len(self._tasks) >= _PRESENT_MAX:
            errand.close()
            return False
        task = asyncio.create_task(self._in_turn(errand))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def settle(self) -> None:
        """Wait until those are done that were asked for."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING_S)

    async def close(self) -> None:
        """Wait a moment for those under way, then drop what is left."""
        await self.settle()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _in_turn(self, errand: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._turns:
                await errand
        except Exception as error:  # noqa: BLE001 - whoever asked is gone: it is logged, and over
            _log.warning("an errand failed", error=type(error).__name__)
        finally:
            errand.close()
