"""The house's counter: seats and places withheld from sale, and given back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory import house
from engine.inventory.commands import Overloaded, Recovering
from engine.inventory.shows import Show
from engine.platform.errors import store_failures
from engine.platform.redis import Store
from engine.sales.wanted import UnknownPlaces, Wanted, resolve

_AT_ONCE: Final = 2
_WAITING_MAX: Final = 16


class HouseOffice:
    """Changes what the house withholds, for one process.

    Both methods may raise `StoreUnavailableError`, when a store they need can't be asked.
    """

    def __init__(self, redis: Store, app: AsyncEngine) -> None:
        """Take what the composition root has opened."""
        self._redis = redis
        self._app = app
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def block(
        self, show: Show, wanted: Wanted, reason: str, remember: house.Remember
    ) -> house.BlocksChanged | house.BlocksRefused | UnknownPlaces | Recovering | Overloaded:
        """Withhold seats and places of the house."""
        places = resolve(show, wanted)
        if isinstance(places, UnknownPlaces):
            return places
        async with self._turn() as mine:
            if not mine:
                return Overloaded()
            return await house.block(
                self._app,
                self._redis,
                show,
                house.Places(places.seats, places.areas),
                reason,
                remember,
            )

    async def unblock(
        self, show: Show, wanted: Wanted, remember: house.Remember
    ) -> house.BlocksChanged | house.BlocksRefused | UnknownPlaces | Overloaded:
        """Give withheld seats and places back to the sale."""
        places = resolve(show, wanted)
        if isinstance(places, UnknownPlaces):
            return places
        async with self._turn() as mine:
            if not mine:
                return Overloaded()
            return await house.unblock(
                self._app,
                self._redis,
                show,
                house.Places(places.seats, places.areas),
                remember,
            )

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[bool]:
        """Let few changes of the house be under way: each keeps a connection and locks its show.

        Gives False when too many wait for their turn already.
        """
        if self._waiting >= _WAITING_MAX:
            yield False
            return
        self._waiting += 1
        try:
            async with self._turns:
                with store_failures():
                    yield True
        finally:
            self._waiting -= 1
