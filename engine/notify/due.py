"""What an endpoint is to be told next: of each object the earliest fact that it lacks."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.facts.log import Cursor, Fact
from engine.facts.types import FactType
from engine.platform.ids import EntityId

READ_AT_ONCE: Final = 64

_DUE: Final = text(
    "SELECT d.reseller_id, d.fact_id, d.fact_xid, d.object, d.attempts, d.give_up_at, f.type,"
    " f.show_id, f.data, f.occurred_at"
    " FROM webhook_deliveries AS d LEFT JOIN facts AS f"
    " ON f.xid = CAST(CAST(d.fact_xid AS TEXT) AS XID8) AND f.id = d.fact_id"
    " WHERE d.endpoint_id = :endpoint AND d.state = 'pending' AND d.next_at <= :now"
    " AND d.fact_id <> ALL(CAST(:under_way AS BIGINT[]))"
    " ORDER BY d.next_at, d.fact_id LIMIT :most"
).columns(data=JSONB)


class Due(Struct, frozen=True):
    """A delivery whose time has come. `told` is None if the log has forgotten the fact."""

    fact: int
    object: str
    attempts: int
    """Those before this one."""
    give_up_at: datetime
    told: Fact | None


async def read_due(
    engine: AsyncEngine, endpoint: int, now: datetime, under_way: Collection[int]
) -> list[Due]:
    """Return what an endpoint may be told now, beside what is under way: all of different objects.

    Of an object whose earlier fact waits for its next attempt, nothing.
    """
    given = {
        "endpoint": endpoint,
        "now": now,
        "under_way": list(under_way),
        "most": READ_AT_ONCE,
    }
    async with engine.connect() as connection:
        return [_read(row) for row in await connection.execute(_DUE, given)]


def _read(row: Row[Any]) -> Due:
    told = None
    if row.type is not None:
        told = Fact(
            reseller=EntityId(row.reseller_id),
            cursor=Cursor(row.fact_xid, row.fact_id),
            id=row.fact_id,
            type=FactType(row.type),
            object=row.object,
            show=None if row.show_id is None else EntityId(row.show_id),
            data=row.data,
            occurred_at=row.occurred_at,
        )
    return Due(
        fact=row.fact_id,
        object=row.object,
        attempts=row.attempts,
        give_up_at=row.give_up_at,
        told=told,
    )
