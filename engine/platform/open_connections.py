"""Connections that stay open between short reads of what is public."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import single_statements
from engine.platform.driver import is_open


class _Kept(Struct, frozen=True):
    """A connection, and what closes it."""

    connection: AsyncConnection
    closing: AsyncExitStack


class OpenConnections:
    """Connections of nobody's, open between searches: to check one out takes as long as some."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Take the engine that opens them."""
        self._engine = engine
        self._idle: list[_Kept] = []

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[AsyncConnection]:
        """Open one, unless one is idle. It is closed if what is done with it fails."""
        kept = await self._take()
        try:
            yield kept.connection
        except BaseException:
            await kept.closing.aclose()
            raise
        self._idle.append(kept)

    async def close(self) -> None:
        """Close those that are idle."""
        while self._idle:
            await self._idle.pop().closing.aclose()

    async def _take(self) -> _Kept:
        while self._idle:
            kept = self._idle.pop()
            if is_open(kept.connection):
                return kept
            await kept.closing.aclose()
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(single_statements(self._engine))
            return _Kept(connection, stack.pop_all())
