"""Short reads of one reseller's rows, on connections that stay open between them.

A transaction by SQLAlchemy takes a process longer than most reads that are done in it: who lists
shows, or looks at one, asks for little, and often. What a transaction sees is bound as in
`tenant_transaction`: the reseller is told to it alone, and a connection whose transaction was not
ended is closed.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import RESELLER_SETTING
from engine.platform.driver import Row, Statement, fetch, run
from engine.platform.ids import EntityId
from engine.platform.open_connections import OpenConnections

CONNECTIONS_MAX: Final = 2
"""Of one process: such a read takes PostgreSQL less than a millisecond."""

_WAIT_S: Final = 5


class Reading(Struct, frozen=True):
    """A transaction that sees one reseller's rows, and changes none."""

    connection: AsyncConnection

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        """Return the rows of a query.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError, TimeoutError: PostgreSQL failed.
        """
        return await fetch(self.connection, statement, values)


class TenantReads:
    """The reads of one process."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Take an engine of the application's role, with `CONNECTIONS_MAX`, for these alone."""
        self._connections = OpenConnections(engine)
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)

    async def close(self) -> None:
        """Close what is open."""
        await self._connections.close()

    @asynccontextmanager
    async def of(self, reseller: EntityId) -> AsyncGenerator[Reading]:
        """Open a transaction that sees a reseller's rows.

        Raises:
            BreakerOpenError: the engine is guarded, and PostgreSQL has not answered lately.
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, or others'
                reads have taken too long.
        """
        async with asyncio.timeout(_WAIT_S):
            await self._turns.acquire()
        try:
            async with self._connections.one() as connection, _bound(connection, reseller):
                yield Reading(connection)
        finally:
            self._turns.release()


@asynccontextmanager
async def _bound(connection: AsyncConnection, reseller: EntityId) -> AsyncGenerator[None]:
    try:
        # The setting ends with the transaction.
        await run(connection, f"BEGIN READ ONLY; SET LOCAL {RESELLER_SETTING} = '{reseller:d}'")
        yield
        await run(connection, "COMMIT")
    except BaseException:
        # It may be inside of the transaction: nobody else gets it.
        await connection.invalidate()
        raise
