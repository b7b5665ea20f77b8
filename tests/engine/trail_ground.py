"""What the tests of the audit trail share."""

from typing import Any

from sqlalchemy import insert, text

from engine.platform.database import connect_once, tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import seat_blocks
from engine.tenancy.trail import (
    Anchor,
    Broken,
    Sound,
    TrailEntry,
    TrailFilter,
    read_trail,
    verify_chain,
)
from tests.engine.ledger_world import TestedShow


async def entries(show: TestedShow, **wanted: Any) -> list[TrailEntry]:  # noqa: ANN401 - as the filter has
    """Return a chain, the oldest first."""
    found = await read_trail(
        show.world.app, EntityId(show.reseller), TrailFilter(**wanted), 1_000_000
    )
    return found[::-1]


async def last(show: TestedShow) -> TrailEntry:
    """Return the newest entry."""
    return (await entries(show))[-1]


async def verdict(show: TestedShow, anchor: Anchor | None = None) -> Sound | Broken:
    """Recompute a chain."""
    async with show.world.auditor.connect() as connection:
        return await verify_chain(connection, EntityId(show.reseller), anchor)


async def block(show: TestedShow, *seats: int, reason: str = "kill") -> None:
    """Withhold seats, as the house does."""
    of_show = {"show_id": show.id, "reseller_id": show.reseller, "reason": reason}
    async with tenant_transaction(show.world.app, show.reseller) as connection:
        rows = [{"seat_index": seat, **of_show} for seat in seats]
        await connection.execute(insert(seat_blocks).values(rows))


async def tamper(show: TestedShow, *statements: str) -> None:
    """Do what no role may: as the server's superuser, with triggers switched off."""
    async with connect_once(show.world.settings.database_url) as connection:
        await connection.execute(text("SET session_replication_role = 'replica'"))
        for statement in statements:
            await connection.execute(text(statement), {"reseller": show.reseller})
        await connection.commit()
