"""Holds transactions of one reseller up at their commit, so that a process can be killed there."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import connect_once
from engine.platform.settings import Settings

_GATE: Final = 7_110_815
_WITHIN_S: Final = 20
# Their own bound on waiting for a lock is not meant for this one.
_FUNCTION: Final = f"""
    CREATE OR REPLACE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout = 0 AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared({_GATE}); RETURN NULL; END $$
"""
# Whatever changes a show leaves a draft of the audit trail. By its name it comes before `append`,
# which locks the chain's head: each transaction waits here, and none for another.
_TRIGGER: Final = """
    CREATE CONSTRAINT TRIGGER a_hold_up AFTER INSERT ON trail_drafts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.chain = {reseller})
    EXECUTE FUNCTION hold_up()
"""
_NO_TRIGGER: Final = text("DROP TRIGGER a_hold_up ON trail_drafts")
_LET_ALL_GO: Final = text("SELECT pg_advisory_unlock_all()")
_SHUT: Final = text("SELECT pg_advisory_lock(:gate)")
_OPEN: Final = text("SELECT pg_advisory_unlock(:gate)")
_AT_GATE: Final = text(
    "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory'"
    " AND objid = :gate AND mode = 'ShareLock'"
)
_END: Final = text(
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    " AND objid = :gate AND mode = 'ShareLock' AND NOT granted"
)


class HeldUpLedger:
    """A gate before every commit of one reseller's; it is shut."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Take a superuser's connection, which has the gate and may pass it."""
        self._connection = connection

    async def sql(self, statement: str, show: int) -> None:
        """Write something of a show; it is committed at once."""
        await self._connection.execute(text(statement), {"show": show})

    async def await_waiting(self, count: int) -> None:
        """Wait until so many transactions stand at the gate: all but their commit is done."""
        await self._await(count)

    async def roll_back(self) -> None:
        """End who waits, as if their client had died before it sent the commit."""
        await self._ask(_END)

    async def let_commit(self) -> None:
        """Open the gate, and wait until all are through."""
        await self._ask(_OPEN)
        await self._await(0)

    async def _await(self, count: int) -> None:
        async with asyncio.timeout(_WITHIN_S):
            while (await self._ask(_AT_GATE)).scalar_one() != count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _ask(self, statement: TextClause) -> CursorResult[Any]:
        return await self._connection.execute(statement, {"gate": _GATE})


@asynccontextmanager
async def hold_up(settings: Settings, reseller: int) -> AsyncGenerator[HeldUpLedger]:
    """Hold a reseller's transactions up from now on, until let go or to the end of the block."""
    async with connect_once(settings.database_url) as opened:
        connection = await opened.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(_FUNCTION))
        await connection.execute(text(_TRIGGER.format(reseller=reseller)))
        await connection.execute(_SHUT, {"gate": _GATE})
        try:
            yield HeldUpLedger(connection)
        finally:
            await connection.execute(_LET_ALL_GO)
            await connection.execute(_NO_TRIGGER)
