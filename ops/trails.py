"""Reading and verifying audit trails, as the auditor of a cell."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import create_engine
from engine.platform.ids import EntityId
from engine.platform.settings import AUDITOR_ROLE, Settings
from engine.tenancy.trail import (
    Anchor,
    Broken,
    Sound,
    TrailEntry,
    TrailFilter,
    list_chains,
    read_trail,
    verify_chain,
)


async def verify_trails(
    settings: Settings, named: Sequence[EntityId], anchor: Anchor | None = None
) -> list[Sound | Broken]:
    """Recompute the chains of these resellers, of all if none is named.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    engine = create_engine(settings, AUDITOR_ROLE, connections_max=1)
    try:
        async with engine.connect() as connection:
            steady = await connection.execution_options(isolation_level="REPEATABLE READ")
            return [
                await verify_chain(steady, reseller, anchor)
                for reseller in named or await _chains(steady)
            ]
    finally:
        await engine.dispose()


async def _chains(connection: AsyncConnection) -> list[EntityId]:
    return sorted(await list_chains(connection))


async def read_entries(
    settings: Settings, reseller: EntityId, wanted: TrailFilter, entries_max: int
) -> list[TrailEntry]:
    """Return a reseller's last entries, the newest first. Raises as `verify_trails`."""
    engine = create_engine(settings, AUDITOR_ROLE, connections_max=1)
    try:
        return await read_trail(engine, reseller, wanted, entries_max)
    finally:
        await engine.dispose()
