"""Lets few changes of shows be under way at a time, in one process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from engine.platform.errors import store_failures

_WAIT_S_MAX: Final = 5.0


class Turns:
    """Turns at what keeps a connection to the ledger and locks a show."""

    def __init__(self, at_once: int, *, waiting_max: int) -> None:
        """Take how many may be at it, those who wait not counted."""
        self._turns = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._waiting_max = waiting_max

    @asynccontextmanager
    async def take(self) -> AsyncGenerator[bool]:
        """Wait for one's turn and take it; gives False when too many wait, or it takes too long.

        Raises:
            StoreUnavailableError: what is done in it failed for a store's sake.
        """
        if self._waiting >= self._waiting_max:
            yield False
            return
        self._waiting += 1
        try:
            if not await self._has_come():
                yield False
                return
            try:
                with store_failures():
                    yield True
            finally:
                self._turns.release()
        finally:
            self._waiting -= 1

    async def _has_come(self) -> bool:
        try:
            async with asyncio.timeout(_WAIT_S_MAX):
                await self._turns.acquire()
        except TimeoutError:
            return False
        return True
