"""Forgets deliveries and attempts that are old, and all of endpoints that were deleted."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.notify.leases import LEASE
from engine.notify.schedule import KEPT

_AT_ONCE: Final = 5000
_OF_DELETED: Final = (
    "endpoint_id IN (SELECT id FROM webhook_endpoints WHERE status = 'deleted'"
    " AND changed_at < :left_before)"
)
_FORGET: Final = tuple(
    text(
        f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - our own names
        f" SELECT ctid FROM {table} WHERE {which} LIMIT :most))"
    )
    for table, which in (
        ("webhook_attempts", "at < :before"),
        ("webhook_attempts", _OF_DELETED),
        ("webhook_deliveries", "give_up_at < :before"),
        ("webhook_deliveries", _OF_DELETED),
    )
)
_DELETE: Final = text(
    "DELETE FROM webhook_endpoints AS e WHERE status = 'deleted' AND changed_at < :left_before"
    " AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE endpoint_id = e.id)"
    " AND NOT EXISTS (SELECT FROM webhook_attempts WHERE endpoint_id = e.id)"
)
# A courier may be at a deleted endpoint still: until its lease is over.
_LEFT_AFTER: Final = LEASE + timedelta(seconds=60)


async def prune_deliveries(engine: AsyncEngine, now: datetime) -> int:
    """Forget in batches; return how many rows."""
    forgotten = 0
    for statement in _FORGET:
        more = True
        while more:
            async with engine.begin() as connection:
                deleted = await connection.execute(statement, _moments(statement.text, now))
            forgotten += deleted.rowcount
            more = deleted.rowcount == _AT_ONCE
    async with engine.begin() as connection:
        gone = await connection.execute(_DELETE, {"left_before": now - _LEFT_AFTER})
    return forgotten + gone.rowcount


def _moments(statement: str, now: datetime) -> dict[str, datetime | int]:
    given: dict[str, datetime | int] = {"most": _AT_ONCE}
    if ":before" in statement:
        return {**given, "before": now - KEPT}
    return {**given, "left_before": now - _LEFT_AFTER}
