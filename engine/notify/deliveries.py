"""What became of telling an endpoint, and telling it again. In the reseller's own transactions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import Cursor
from engine.facts.types import FactType
from engine.notify.endpoints import UnknownEndpoint
from engine.notify.judging import DeliveryState
from engine.notify.schedule import GIVE_UP_AFTER
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import webhook_attempts, webhook_deliveries

REPLAYED_AT_ONCE: Final = 5000
"""Facts that one replay looks at; it tells where to go on."""

_one = webhook_deliveries.c
_attempt = webhook_attempts.c

_XID: Final = "CAST(CAST(:{} AS TEXT) AS XID8)"
_KNOWN: Final = "SELECT id FROM webhook_endpoints WHERE id = :endpoint AND status <> 'deleted'"
_THERE: Final = text(_KNOWN)
_LOCK: Final = text(f"{_KNOWN} FOR UPDATE")
_SETTLED: Final = "f.xid < pg_snapshot_xmin(pg_current_snapshot())"
_ONE: Final = f"{_SETTLED} AND f.id = CAST(:fact AS BIGINT)"
_RANGE: Final = (
    f"{_SETTLED} AND (f.xid, f.id) > ({_XID.format('xid')}, CAST(:id AS BIGINT))"
    f" AND (f.xid, f.id) <= ({_XID.format('last_xid')}, CAST(:last_id AS BIGINT))"
    " AND f.occurred_at >= CAST(:begin AS TIMESTAMPTZ)"
    " AND f.occurred_at < CAST(:end AS TIMESTAMPTZ)"
)
# Asked before the lock, which the handing out to all endpoints waits for: a log may be long.
_ENDS: Final = text(
    "WITH chosen AS (SELECT f.xid, f.id FROM facts AS f"  # noqa: S608 - our own names
    f" WHERE {_RANGE} ORDER BY f.xid, f.id LIMIT :most)"
    " SELECT CAST(CAST(xid AS TEXT) AS BIGINT) AS xid, id FROM ("
    " (SELECT * FROM chosen ORDER BY xid, id LIMIT 1)"
    " UNION ALL (SELECT * FROM chosen ORDER BY xid DESC, id DESC LIMIT 1)) AS ends"
)
_REPLAY: Final = (
    "WITH chosen AS (SELECT f.xid, f.id, f.reseller_id, f.type, f.object FROM facts AS f"
    " WHERE {} ORDER BY f.xid, f.id LIMIT :most),"
    " told AS (INSERT INTO webhook_deliveries AS d (endpoint_id, fact_id, fact_xid, reseller_id,"
    " type, object, state, give_up_at, created_at)"
    " SELECT e.id, chosen.id, CAST(CAST(chosen.xid AS TEXT) AS BIGINT), e.reseller_id,"
    " chosen.type, chosen.object, 'pending', CAST(:give_up_at AS TIMESTAMPTZ),"
    " CAST(:now AS TIMESTAMPTZ)"
    " FROM chosen JOIN webhook_endpoints AS e ON e.id = :endpoint"
    " AND (:all_types OR e.types IS NULL OR chosen.type = ANY(e.types))"
    " ON CONFLICT (endpoint_id, fact_id) DO UPDATE SET state = 'pending', attempts = 0,"
    " next_at = NULL, ended_at = NULL, give_up_at = excluded.give_up_at"
    " WHERE d.state <> 'pending' RETURNING 1)"
    " SELECT (SELECT count(*) FROM told) AS told, (SELECT count(*) FROM chosen) AS looked_at,"
    " CAST(CAST(chosen.xid AS TEXT) AS BIGINT) AS xid, chosen.id FROM chosen"
    " ORDER BY chosen.xid DESC, chosen.id DESC LIMIT 1"
)
_REPLAY_ONE: Final = text(_REPLAY.format(_ONE))
_REPLAY_RANGE: Final = text(_REPLAY.format(_RANGE))
# The earliest fact of each object comes first again, also before those that were there already.
_LINE_UP: Final = text(
    "UPDATE webhook_deliveries AS d SET next_at = CASE WHEN line.place = 1"
    " THEN CAST(:now AS TIMESTAMPTZ) END"
    " FROM (SELECT fact_id, row_number() OVER (PARTITION BY object ORDER BY fact_id) AS place"
    " FROM webhook_deliveries WHERE endpoint_id = :endpoint AND state = 'pending') AS line"
    " WHERE d.endpoint_id = :endpoint AND d.fact_id = line.fact_id"
    " AND (line.place = 1) = (d.next_at IS NULL)"
)
_WAKE: Final = text(
    "UPDATE webhook_endpoints"
    " SET due_at = LEAST(due_at, GREATEST(rests_until, CAST(:now AS TIMESTAMPTZ)))"
    " WHERE id = :endpoint"
)


class Attempt(Struct, frozen=True):
    """One try; `status` is None if there was no answer."""

    number: int
    at: datetime
    status: int | None
    error: str | None
    duration_ms: int
    response: str


class Delivery(Struct, frozen=True):
    """A fact on its way to an endpoint, or at its end."""

    endpoint: EntityId
    fact: int
    type: FactType
    object: str
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    last_status: int | None
    last_error: str | None
    last_duration_ms: int | None
    last_response: str | None


class UnknownDelivery(Struct, frozen=True):
    """There is no such delivery of this endpoint."""


class UnknownFact(Struct, frozen=True):
    """There is no such fact in the reseller's log."""


class Replayed(Struct, frozen=True):
    """How many facts are told again; `more_after` is where to go on, None at the range's end."""

    count: int
    more_after: Cursor | None


class Span(Struct, frozen=True):
    """A range of the log: by places (the first exclusive, the last inclusive) and by moments."""

    after: Cursor
    through: Cursor
    begin: datetime
    end: datetime


class Deliveries:
    """Lists them, and has facts told again."""

    def __init__(self, app: AsyncEngine) -> None:
        """Take the API's engine."""
        self._app = app

    async def page(  # noqa: PLR0913 - what a list is narrowed by
        self,
        reseller: EntityId,
        endpoint: EntityId,
        *,
        before: int | None,
        limit: int,
        state: DeliveryState | None = None,
        type_: FactType | None = None,
    ) -> list[Delivery]:
        """Return an endpoint's deliveries, those of the latest facts first."""
        query = select(*_COLUMNS).where(_one.endpoint_id == endpoint)
        if before is not None:
            query = query.where(_one.fact_id < before)
        if state is not None:
            query = query.where(_one.state == state)
        if type_ is not None:
            query = query.where(_one.type == type_)
        query = query.order_by(_one.fact_id.desc()).limit(limit)
        async with tenant_transaction(self._app, reseller) as connection:
            return [_read(row) for row in await connection.execute(query)]

    async def find(
        self, reseller: EntityId, endpoint: EntityId, fact: int
    ) -> tuple[Delivery, list[Attempt]] | UnknownDelivery:
        """Return a delivery and its attempts, the latest first."""
        query = select(*_COLUMNS).where(_one.endpoint_id == endpoint, _one.fact_id == fact)
        tries = (
            select(
                *(_attempt.number, _attempt.at, _attempt.status, _attempt.error),
                *(_attempt.duration_ms, _attempt.response),
            )
            .where(_attempt.endpoint_id == endpoint, _attempt.fact_id == fact)
            .order_by(_attempt.at.desc(), _attempt.number.desc())
        )
        async with tenant_transaction(self._app, reseller) as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return UnknownDelivery()
            return _read(row), [Attempt(*tried) for tried in await connection.execute(tries)]

    async def replay_one(
        self, reseller: EntityId, endpoint: EntityId, fact: int, now: datetime
    ) -> Replayed | UnknownEndpoint | UnknownFact:
        """Have one fact told again, whatever types the endpoint wants."""
        given = {"fact": fact, "all_types": True, "most": 1}
        replayed = await self._replay(reseller, endpoint, now, one=True, given=given)
        if isinstance(replayed, UnknownEndpoint):
            return replayed
        return UnknownFact() if replayed is None else Replayed(replayed.count, None)

    async def replay_span(
        self, reseller: EntityId, endpoint: EntityId, span: Span, now: datetime
    ) -> Replayed | UnknownEndpoint:
        """Have the facts of a range told again, those of the endpoint's types."""
        given: dict[str, Any] = {
            **_bounds(span.after, span.through),
            "begin": span.begin,
            "end": span.end,
            "most": REPLAYED_AT_ONCE,
        }
        async with tenant_transaction(self._app, reseller) as connection:
            there = await connection.execute(_THERE, {"endpoint": endpoint})
            if there.scalar_one_or_none() is None:
                return UnknownEndpoint()
            ends = (await connection.execute(_ENDS, given)).all()
        if not ends:
            return Replayed(0, None)
        first, last = ends
        given |= _bounds(Cursor(first.xid, first.id - 1), Cursor(last.xid, last.id))
        given["all_types"] = False
        replayed = await self._replay(reseller, endpoint, now, one=False, given=given)
        return Replayed(0, None) if replayed is None else replayed

    async def _replay(
        self,
        reseller: EntityId,
        endpoint: EntityId,
        now: datetime,
        *,
        one: bool,
        given: dict[str, Any],
    ) -> Replayed | UnknownEndpoint | None:
        async with tenant_transaction(self._app, reseller) as connection:
            here: dict[str, Any] = {"endpoint": endpoint, "now": now}
            locked = await connection.execute(_LOCK, {"endpoint": endpoint})
            if locked.scalar_one_or_none() is None:
                return UnknownEndpoint()
            asked = {**given, **here, "give_up_at": now + GIVE_UP_AFTER}
            statement = _REPLAY_ONE if one else _REPLAY_RANGE
            row = (await connection.execute(statement, asked)).one_or_none()
            if row is None:
                return None
            await _line_up(connection, here)
            has_more = row.looked_at == given["most"]
            return Replayed(row.told, Cursor(row.xid, row.id) if has_more else None)


def _bounds(after: Cursor, through: Cursor) -> dict[str, Any]:
    return {
        "xid": str(after.xid),
        "id": after.id,
        "last_xid": str(through.xid),
        "last_id": through.id,
    }


async def _line_up(connection: AsyncConnection, here: dict[str, Any]) -> None:
    await connection.execute(_LINE_UP, here)
    await connection.execute(_WAKE, here)


_COLUMNS: Final[Sequence[Any]] = (
    *(_one.endpoint_id, _one.fact_id, _one.type, _one.object, _one.state, _one.attempts),
    *(_one.next_at, _one.created_at, _one.ended_at, _one.last_status, _one.last_error),
    *(_one.last_duration_ms, _one.last_response),
)


def _read(row: Any) -> Delivery:  # noqa: ANN401 - a row
    return Delivery(
        endpoint=EntityId(row.endpoint_id),
        fact=row.fact_id,
        type=FactType(row.type),
        object=row.object,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_at=row.next_at,
        created_at=row.created_at,
        ended_at=row.ended_at,
        last_status=row.last_status,
        last_error=row.last_error,
        last_duration_ms=row.last_duration_ms,
        last_response=row.last_response,
    )
