"""The house's counter: seats and places withheld from sale and given back, and edits of the map."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory import edits, house
from engine.inventory.commands import Overloaded, Recovering
from engine.inventory.shows import Show, ShowBook
from engine.platform.errors import store_failures
from engine.platform.ids import Ids
from engine.platform.redis import Store
from engine.platform.turns import Turns
from engine.sales.wanted import UnknownPlaces, Wanted, resolve

_AT_ONCE: Final = 2
_WAITING_MAX: Final = 16


class HouseOffice:
    """Changes what the house withholds, and the map that is sold, for one process.

    Every method may raise `StoreUnavailableError`, when a store they need can't be asked.
    """

    def __init__(self, redis: Store, app: AsyncEngine, book: ShowBook, ids: Ids) -> None:
        """Take what the composition root has opened."""
        self._redis = redis
        self._app = app
        self._book = book
        self._ids = ids
        self._turns = Turns(_AT_ONCE, waiting_max=_WAITING_MAX)

    async def block(
        self, show: Show, wanted: Wanted, reason: str, remember: house.Remember
    ) -> house.BlocksChanged | house.BlocksRefused | UnknownPlaces | Recovering | Overloaded:
        """Withhold seats and places of the house."""
        places = resolve(show, wanted)
        if isinstance(places, UnknownPlaces):
            return places
        async with self._turns.take() as mine:
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
        async with self._turns.take() as mine:
            if not mine:
                return Overloaded()
            return await house.unblock(
                self._app,
                self._redis,
                show,
                house.Places(places.seats, places.areas),
                remember,
            )

    async def edit(
        self, show: Show, wanted: edits.MapEdit, remember: edits.Remember
    ) -> edits.Outcome | Overloaded:
        """Edit the map that is sold."""
        async with self._turns.take() as mine:
            if not mine:
                return Overloaded()
            return await edits.edit_show(
                self._app, self._redis, self._book, self._ids, show, wanted, remember
            )

    async def list_edits(
        self, show: Show, *, before: int | None, limit: int
    ) -> list[edits.EditRow]:
        """Return a show's edits, the newest first."""
        with store_failures():
            return await edits.list_edits(self._app, show, before=before, limit=limit)
