"""Gives another date of a show a waiting room as the show has one: its rules, and nobody in it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.shows import ShowFault, ShowFaultsError
from engine.waitingroom.queues import find_rules, make_queue
from engine.waitingroom.rules import DRAND, Beacon, Mode, QueueRules, name_drand
from engine.waitingroom.tokens import OPENS_BEFORE_MAX


async def take_over_queue(
    connection: AsyncConnection, row: RowMapping, new: Mapping[str, Any]
) -> None:
    """Make the queue of a new date by that of the show in `row`, which is locked.

    A show without one, or whose queue is off, gives none.

    Raises:
        ShowFaultsError: its draw would wait for a value that is of the other draw.
    """
    rules = await find_rules(connection, row["id"])
    if rules is None or rules.mode is Mode.OFF:
        return
    moved = _moved(rules, row["opens_at"], new, datetime.now(UTC))
    await make_queue(connection, new["id"], new["reseller_id"], moved)


def _moved(
    rules: QueueRules, first_opens_at: datetime, new: Mapping[str, Any], now: datetime
) -> QueueRules:
    """Return the rules as they lie to the new date's sale.

    Whether the first's line rests, drains or is closed says nothing of the new one's. A draw that
    nobody could join for is none: places are in the order of arrival.
    """
    begun = replace(rules, mode=Mode.ON, is_paused=False, draws_at=None, beacon=None)
    if new["opens_when_first_sells_out"]:
        # Nobody knows when that is; until then its controller keeps it shut.
        return replace(begun, opens_at=now)
    sale: datetime = new["opens_at"]
    moved = sale - first_opens_at
    # Not after the sale, which needs its passes, though the first's may have been made after.
    opens_at = min(max(rules.opens_at + moved, sale - OPENS_BEFORE_MAX, now), sale)
    draws_at = None if rules.draws_at is None else min(rules.draws_at + moved, sale)
    if draws_at is None or draws_at <= opens_at:
        return replace(begun, opens_at=opens_at)
    beacon = None if rules.beacon is None else _named_anew(rules.beacon, draws_at)
    return replace(begun, opens_at=opens_at, draws_at=draws_at, beacon=beacon)


def _named_anew(beacon: Beacon, draws_at: datetime) -> Beacon:
    if beacon.name == DRAND:
        return name_drand(draws_at, None)
    reason = "its draw has a beacon of its own, whose value may be known: leave it out and set it"
    raise ShowFaultsError([ShowFault("/waiting_room", reason)])
