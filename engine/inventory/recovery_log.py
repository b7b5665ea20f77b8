"""What recoveries have left behind: a row each, for operators to read."""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.tables import recoveries, shows


class RecoveryRow(Struct, frozen=True, kw_only=True):
    """One recovery that opened a show."""

    show: int
    show_name: str
    epoch: int
    reason: str
    facts_drained: int
    """Sales that the ledger had not recorded before."""
    holds_kept: int
    holds_voided: int
    took_ms: int
    at: datetime


async def list_recoveries(
    engine: AsyncEngine, *, show: int | None, rows_max: int
) -> list[RecoveryRow]:
    """Return the last recoveries, of one show or of all, the newest first.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    query = (
        select(
            recoveries.c.show_id.label("show"),
            shows.c.name.label("show_name"),
            *(recoveries.c[name] for name in RecoveryRow.__struct_fields__ if name in recoveries.c),
        )
        .join(shows, shows.c.id == recoveries.c.show_id)
        .order_by(recoveries.c.at.desc(), recoveries.c.epoch.desc())
        .limit(rows_max)
    )
    if show is not None:
        query = query.where(recoveries.c.show_id == show)
    async with engine.connect() as connection:
        return [RecoveryRow(**row) for row in (await connection.execute(query)).mappings()]
