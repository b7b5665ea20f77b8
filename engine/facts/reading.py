"""Reads a reseller's log, and waits a while for what comes next."""

import asyncio
from time import monotonic
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from engine.facts.log import Cursor, Page, Wanted, read_page
from engine.platform.database import tenant_transaction

WAIT_S_MAX: Final = 25
_WAITING_MAX: Final = 64
_PAUSE_S: Final = 0.5


class FactsReader:
    """Reads logs, for one process."""

    def __init__(self, app: AsyncEngine) -> None:
        """Take what the composition root has opened."""
        self._app = app
        self._waiting = 0

    async def read(
        self, reseller: int, after: Cursor | None, limit: int, wanted: Wanted, wait_s: float = 0.0
    ) -> Page:
        """Return the next facts; while there are none, wait for them.

        Where many wait already it waits no more: whoever asks is told that there are none, and
        comes again.

        Raises:
            CursorExpiredError: facts behind `after` are not kept any more.
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
        """
        page = await self._read(reseller, after, limit, wanted)
        if self._waiting >= _WAITING_MAX:
            return page
        self._waiting += 1
        try:
            until = monotonic() + wait_s
            while not page.facts and monotonic() < until:
                if not page.has_more:
                    await asyncio.sleep(min(_PAUSE_S, max(0.0, until - monotonic())))
                page = await self._read(reseller, page.cursor, limit, wanted)
        finally:
            self._waiting -= 1
        return page

    async def _read(self, reseller: int, after: Cursor | None, limit: int, wanted: Wanted) -> Page:
        async with tenant_transaction(self._app, reseller) as connection:
            return await read_page(connection, reseller, after, limit, wanted)
