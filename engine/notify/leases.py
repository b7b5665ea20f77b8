"""Which worker tells which endpoint: one at a time, for as long as its lease goes on.

The lease's number is the fence: whoever lost it to another changes nothing any more. A worker
that dies leaves its endpoints to the others once its leases are over.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.notify.judging import EndpointStatus, Reason, Standing
from engine.platform.ids import EntityId

LEASE: Final = timedelta(seconds=30)
"""Twice what any attempt takes; each result that is written begins it anew."""

_COLUMNS: Final = (
    "e.id, e.reseller_id, e.url, e.secrets_sealed, e.lease, e.status, e.reason, e.failures,"
    " e.failing_since, e.rests_until, e.delivered_at"
)
FREE: Final = (
    "webhook_endpoints AS e"
    " WHERE e.status = 'enabled' AND e.due_at <= CAST(:now AS TIMESTAMPTZ)"
    " AND (e.leased_until IS NULL OR e.leased_until <= CAST(:now AS TIMESTAMPTZ))"
)
"""SQL: endpoints that have something due, and that nobody tells."""

_CLAIM: Final = text(
    f"WITH mine AS (SELECT e.id FROM {FREE}"  # noqa: S608 - our own names
    " AND (e.failures > 0 OR e.delivered_at IS NULL) = :doubtful"
    " ORDER BY e.due_at LIMIT :most FOR UPDATE SKIP LOCKED)"
    " UPDATE webhook_endpoints AS e SET lease = e.lease + 1,"
    " leased_until = CAST(:until AS TIMESTAMPTZ)"
    f" FROM mine WHERE e.id = mine.id RETURNING {_COLUMNS}"
)
_LOCK: Final = text(
    f"SELECT {_COLUMNS} FROM webhook_endpoints AS e"  # noqa: S608 - our own names
    " WHERE e.id = :id AND e.lease = :lease FOR UPDATE"
)
_RELEASE: Final = text(
    "UPDATE webhook_endpoints SET leased_until = NULL, due_at = GREATEST(rests_until,"
    " CAST(:now AS TIMESTAMPTZ), CAST(:due_at AS TIMESTAMPTZ))"
    " WHERE id = :id"
)
_IDLE: Final = text(
    "UPDATE webhook_endpoints SET leased_until = NULL, due_at = NULL WHERE id = :id"
)
_HAS_DUE: Final = text(
    "SELECT min(next_at) FROM webhook_deliveries WHERE endpoint_id = :id AND state = 'pending'"
)


class Leased(Struct, frozen=True):
    """An endpoint that this worker tells."""

    id: EntityId
    reseller: EntityId
    url: str
    secrets_sealed: bytes
    lease: int
    standing: Standing


async def claim_endpoints(
    engine: AsyncEngine, now: datetime, *, doubtful: bool, most: int
) -> list[Leased]:
    """Lease endpoints that have something due, the longest due first."""
    if most <= 0:
        return []
    given = {"now": now, "until": now + LEASE, "doubtful": doubtful, "most": most}
    async with engine.begin() as connection:
        rows: Sequence[Row[Any]] = (await connection.execute(_CLAIM, given)).all()
    return [_read(row) for row in rows]


async def lock_leased(connection: AsyncConnection, endpoint: Leased) -> Leased | None:
    """Lock an endpoint's row and return it as it is now; None: the lease was lost."""
    given = {"id": endpoint.id, "lease": endpoint.lease}
    row = (await connection.execute(_LOCK, given)).one_or_none()
    return None if row is None else _read(row)


async def release_endpoint(engine: AsyncEngine, endpoint: Leased, now: datetime) -> None:
    """Give a lease back; when the endpoint is due again is reckoned here.

    However long its facts have waited, it comes behind all that are due already.
    """
    async with engine.begin() as connection:
        if await lock_leased(connection, endpoint) is None:
            return
        # A statement of its own, after the lock: it sees what a fan-out just added.
        due_at = (await connection.execute(_HAS_DUE, {"id": endpoint.id})).scalar_one()
        if due_at is None:
            await connection.execute(_IDLE, {"id": endpoint.id})
        else:
            given = {"id": endpoint.id, "now": now, "due_at": due_at}
            await connection.execute(_RELEASE, given)


def _read(row: Row[Any]) -> Leased:
    return Leased(
        id=EntityId(row.id),
        reseller=EntityId(row.reseller_id),
        url=row.url,
        secrets_sealed=row.secrets_sealed,
        lease=row.lease,
        standing=Standing(
            status=EndpointStatus(row.status),
            reason=None if row.reason is None else Reason(row.reason),
            failures=row.failures,
            failing_since=row.failing_since,
            rests_until=row.rests_until,
            delivered_at=row.delivered_at,
        ),
    )
