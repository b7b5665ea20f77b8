"""Writes down what attempts came to: several at once, in one transaction under the lease."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct, structs
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.notify.due import Due
from engine.notify.judging import DeliveryState, Standing, Verdict, judge
from engine.notify.leases import LEASE, Leased, lock_leased
from engine.notify.schedule import Dice
from engine.notify.sending import Sent
from engine.platform.tables import webhook_attempts, webhook_deliveries
from engine.platform.unnest import Unnested, columns_of, insert_rows, parameters, types_of

ATTEMPTS_KEPT: Final = 50
"""Of one delivery, the latest."""

_CHANGED: Final = (
    *("fact_id", "state", "attempts", "next_at", "ended_at"),
    *("last_status", "last_error", "last_duration_ms", "last_response"),
)
_changes: Final = Unnested("changed", types_of(webhook_deliveries, _CHANGED))
_CHANGE: Final = text(
    "UPDATE webhook_deliveries AS d SET "  # noqa: S608 - our own names
    + ", ".join(f"{name} = changed.{name}" for name in _CHANGED[1:])
    + f" FROM {_changes.sql} WHERE d.endpoint_id = :endpoint AND d.fact_id = changed.fact_id"
)
_ATTEMPT: Final = (
    *("endpoint_id", "fact_id", "number", "reseller_id"),
    *("at", "status", "error", "duration_ms", "response"),
)
# A replay counts from 1 again: what it did not reach yet is of the time before.
_LOG: Final = insert_rows(
    webhook_attempts,
    _ATTEMPT,
    "ON CONFLICT (endpoint_id, fact_id, number) DO UPDATE SET at = excluded.at,"
    " status = excluded.status, error = excluded.error, duration_ms = excluded.duration_ms,"
    " response = excluded.response",
)
_FORGET: Final = text(
    "DELETE FROM webhook_attempts WHERE endpoint_id = :endpoint AND fact_id = :fact"
    " AND number <= :oldest"
)
_NEXT_OF_OBJECTS: Final = text(
    "UPDATE webhook_deliveries SET next_at = :now"
    " WHERE endpoint_id = :endpoint AND next_at IS NULL AND state = 'pending' AND fact_id IN ("
    " SELECT (SELECT d.fact_id FROM webhook_deliveries AS d WHERE d.endpoint_id = :endpoint"
    " AND d.object = told.object AND d.state = 'pending' ORDER BY d.fact_id LIMIT 1)"
    " FROM unnest(CAST(:objects AS TEXT[])) AS told(object))"
)
_GIVE_UP: Final = text(
    "UPDATE webhook_deliveries SET state = 'failed', next_at = NULL, ended_at = :now,"
    " last_error = COALESCE(last_error, 'given up: the endpoint did not answer for three days')"
    " WHERE endpoint_id = :endpoint AND state = 'pending' AND give_up_at <= :now"
    " RETURNING object"
)
_ALL_AT_ONCE: Final = text(
    "UPDATE webhook_deliveries SET next_at = :now"
    " WHERE endpoint_id = :endpoint AND state = 'pending' AND next_at > :now"
)
_STAND: Final = text(
    "UPDATE webhook_endpoints SET status = :status, reason = :reason, failures = :failures,"
    " failing_since = :failing_since, rests_until = :rests_until, delivered_at = :delivered_at,"
    " leased_until = :until WHERE id = :endpoint"
)


class Result(Struct, frozen=True):
    """An attempt that is over."""

    due: Due
    sent: Sent
    at: datetime


async def write_results(
    engine: AsyncEngine, leased: Leased, results: Sequence[Result], now: datetime, dice: Dice
) -> Leased | None:
    """Write results down, and return the endpoint as it is now.

    None: the lease was lost, and nothing was written; another worker tells these facts again.
    """
    async with engine.begin() as connection:
        current = await lock_leased(connection, leased)
        if current is None:
            return None
        before = current.standing
        standing, verdicts = _judge_all(before, results, now, dice)
        await _write(connection, current, results, verdicts)
        objects = {
            result.due.object
            for result, verdict in zip(results, verdicts, strict=True)
            if verdict.ended_at is not None
        }
        here: dict[str, Any] = {"endpoint": current.id, "now": now}
        if standing.is_open:
            objects |= set((await connection.execute(_GIVE_UP, here)).scalars())
        if objects:
            await connection.execute(_NEXT_OF_OBJECTS, {**here, "objects": sorted(objects)})
        if before.is_open and not standing.is_open:
            await connection.execute(_ALL_AT_ONCE, here)
        await connection.execute(
            _STAND,
            {**structs.asdict(standing), "until": now + LEASE, "endpoint": current.id},
        )
        return structs.replace(current, standing=standing)


async def discard(engine: AsyncEngine, leased: Leased, due: Due, now: datetime) -> None:
    """End a delivery whose fact is not in the log any more."""
    async with engine.begin() as connection:
        if await lock_leased(connection, leased) is None:
            return
        row = (due.fact, DeliveryState.DISCARDED, due.attempts, None, now, None, None, None, None)
        await connection.execute(
            _CHANGE, {**_changes.parameters(columns_of(_CHANGED, [row])), "endpoint": leased.id}
        )
        here = {"endpoint": leased.id, "now": now, "objects": [due.object]}
        await connection.execute(_NEXT_OF_OBJECTS, here)


def _judge_all(
    standing: Standing, results: Sequence[Result], now: datetime, dice: Dice
) -> tuple[Standing, list[Verdict]]:
    verdicts: list[Verdict] = []
    for result in results:
        standing, verdict = judge(
            standing,
            result.sent,
            attempts=result.due.attempts + 1,
            give_up_at=result.due.give_up_at,
            now=now,
            dice=dice,
        )
        verdicts.append(verdict)
    return standing, verdicts


async def _write(
    connection: AsyncConnection,
    leased: Leased,
    results: Sequence[Result],
    verdicts: Sequence[Verdict],
) -> None:
    changed = [
        (
            *(result.due.fact, verdict.state, result.due.attempts + 1),
            *(verdict.next_at, verdict.ended_at),
            *(result.sent.status, result.sent.error, result.sent.duration_ms),
            result.sent.response,
        )
        for result, verdict in zip(results, verdicts, strict=True)
    ]
    await connection.execute(
        _CHANGE, {**_changes.parameters(columns_of(_CHANGED, changed)), "endpoint": leased.id}
    )
    attempts = [
        (
            *(leased.id, result.due.fact, result.due.attempts + 1, leased.reseller, result.at),
            *(result.sent.status, result.sent.error, result.sent.duration_ms),
            result.sent.response,
        )
        for result in results
    ]
    await connection.execute(_LOG, parameters(webhook_attempts, columns_of(_ATTEMPT, attempts)))
    for result in results:
        oldest = result.due.attempts + 1 - ATTEMPTS_KEPT
        if oldest > 0:
            here = {"endpoint": leased.id, "fact": result.due.fact, "oldest": oldest}
            await connection.execute(_FORGET, here)
