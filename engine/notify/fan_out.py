"""Makes deliveries of the log's facts: each fact once for each endpoint that wants it.

The cell has one position in the log, and one worker at a time goes on from it. Position and
deliveries change in one transaction. It locks the endpoints first: whoever ends a delivery locks
its endpoint too, so that both agree on which fact of an object comes next.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.notify.schedule import GIVE_UP_AFTER

FACTS_AT_ONCE: Final = 1000

# The driver knows no type of 64-bit transaction numbers.
_XID: Final = "CAST(CAST({} AS TEXT) AS XID8)"

BEHIND: Final = (
    "webhook_positions AS p WHERE EXISTS ("
    f" SELECT FROM facts AS f WHERE (f.xid, f.id) > ({_XID.format('p.xid')}, p.fact_id)"
    " AND f.xid < pg_snapshot_xmin(pg_current_snapshot()))"
)
"""SQL: the position, if there is anything to hand out."""

# Nothing is locked, and nothing written, while there is nothing to hand out.
_POSITION: Final = text(
    f"SELECT xid, fact_id FROM {BEHIND} FOR UPDATE SKIP LOCKED"  # noqa: S608 - our own names
)
_AFTER: Final = f"(f.xid, f.id) > ({_XID.format(':xid')}, CAST(:fact_id AS BIGINT))"
# No further than the oldest transaction that may still add to the log.
_NEXT: Final = text(
    "SELECT CAST(CAST(span.xid AS TEXT) AS BIGINT) AS xid, span.id, count(*) OVER () AS size FROM ("  # noqa: S608
    f" SELECT f.xid, f.id FROM facts AS f WHERE {_AFTER}"
    " AND f.xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY f.xid, f.id LIMIT :most)"
    " AS span ORDER BY span.xid DESC, span.id DESC LIMIT 1"
)
_RANGE: Final = (
    f"{_AFTER} AND (f.xid, f.id) <= ({_XID.format(':last_xid')}, CAST(:last_id AS BIGINT))"
)
_LOCK: Final = text(
    "SELECT id FROM webhook_endpoints WHERE status = 'enabled'"  # noqa: S608 - our own names
    f" AND reseller_id IN (SELECT f.reseller_id FROM facts AS f WHERE {_RANGE})"
    " ORDER BY id FOR UPDATE"
)
_DELIVER: Final = text(
    "WITH made AS (INSERT INTO webhook_deliveries (endpoint_id, fact_id, fact_xid, reseller_id,"  # noqa: S608
    " type, object, state, next_at, give_up_at, created_at)"
    " SELECT e.id, f.id, CAST(CAST(f.xid AS TEXT) AS BIGINT), e.reseller_id, f.type, f.object,"
    " 'pending', CASE WHEN row_number() OVER (PARTITION BY e.id, f.object ORDER BY f.id) = 1"
    " AND NOT EXISTS (SELECT FROM webhook_deliveries AS d WHERE d.endpoint_id = e.id"
    " AND d.object = f.object AND d.state = 'pending')"
    " THEN CAST(:now AS TIMESTAMPTZ) END,"
    " CAST(:give_up_at AS TIMESTAMPTZ), CAST(:now AS TIMESTAMPTZ)"
    " FROM facts AS f JOIN webhook_endpoints AS e ON e.reseller_id = f.reseller_id"
    " AND e.status = 'enabled' AND (e.types IS NULL OR f.type = ANY(e.types))"
    f" AND f.xid >= {_XID.format('e.since')} WHERE {_RANGE}"
    " ON CONFLICT (endpoint_id, fact_id) DO NOTHING RETURNING endpoint_id)"
    " UPDATE webhook_endpoints AS e"
    " SET due_at = LEAST(e.due_at, GREATEST(e.rests_until, CAST(:now AS TIMESTAMPTZ)))"
    " WHERE e.id IN (SELECT endpoint_id FROM made)"
)
_MOVE: Final = text("UPDATE webhook_positions SET xid = :last_xid, fact_id = :last_id")


async def fan_out(engine: AsyncEngine, now: datetime, *, most: int = FACTS_AT_ONCE) -> int:
    """Hand out the next facts; return how many. 0: there are none, or another worker is at it."""
    async with engine.begin() as connection:
        position = (await connection.execute(_POSITION)).one_or_none()
        if position is None:
            return 0
        begin = {"xid": str(position.xid), "fact_id": position.fact_id}
        last = (await connection.execute(_NEXT, {**begin, "most": most})).one_or_none()
        if last is None:
            return 0
        span = {**begin, "last_xid": str(last.xid), "last_id": last.id}
        endpoints = (await connection.execute(_LOCK, span)).scalars().all()
        if endpoints:
            moments = {"now": now, "give_up_at": now + GIVE_UP_AFTER}
            await connection.execute(_DELIVER, {**span, **moments})
        await connection.execute(_MOVE, {"last_xid": last.xid, "last_id": last.id})
        return int(last.size)
