"""Finds lines of a sheet that are the same show, or at one place at one time with another."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.sheets.show_lines import DURATION_USUAL_MIN, ShowLine
from engine.catalog.sheets.table import Problems
from engine.catalog.transitions import ShowState
from engine.platform.ids import EntityId
from engine.platform.tables import configurations, shows

_SHOWS_MAX: Final = 20_000


class _Taken(Struct, frozen=True, kw_only=True):
    """A time for which a venue is taken: by a line, or by a show that is there."""

    begins_at: datetime
    ends_at: datetime
    what: str
    line: ShowLine | None = None


def find_same_lines(lines: Sequence[ShowLine], problems: Problems) -> set[int]:
    """Add each line that is the same show as one before; return their numbers."""
    seen: dict[tuple[object, ...], int] = {}
    same: set[int] = set()
    for one in lines:
        what = (one.name, one.event, one.place.configuration, one.starts_at)
        first = seen.setdefault(what, one.line)
        if first != one.line:
            problems.add(one.line, "", f"is the same show as line {first}: take one of them out")
            same.add(one.line)
    return same


async def find_overlaps(
    connection: AsyncConnection, lines: Sequence[ShowLine], problems: Problems
) -> None:
    """Add each line whose show would be at a venue while another is: of the sheet, or there."""
    by_venue: dict[EntityId, list[_Taken]] = defaultdict(list)
    for one in lines:
        by_venue[one.place.venue_id].append(
            _Taken(begins_at=one.begins_at, ends_at=one.ends_at, what=f"line {one.line}", line=one)
        )
    if not by_venue:
        return
    for venue, taken in await _there(connection, lines):
        by_venue[venue].append(taken)
    for takings in by_venue.values():
        _find(takings, problems)


def _find(takings: list[_Taken], problems: Problems) -> None:
    # At one time what is there comes first: it is the line that is wrong then.
    takings.sort(key=lambda one: (one.begins_at, one.line.line if one.line else 0))
    last = takings[0]
    for one in takings[1:]:
        if one.begins_at < last.ends_at:
            first, second = sorted(
                (last, one), key=lambda taken: taken.line.line if taken.line else 0
            )
            if second.line is not None:
                _tell(second.line, first, problems)
        if one.ends_at > last.ends_at:
            last = one


def _tell(line: ShowLine, other: _Taken, problems: Problems) -> None:
    zone = ZoneInfo(line.place.time_zone)
    begins, ends = (moment.astimezone(zone) for moment in (other.begins_at, other.ends_at))
    problems.add(
        line.line,
        "starts_at",
        f"at that time {other.what} is at “{line.place.venue}”, from {begins:%Y-%m-%d %H:%M} to "
        f"{ends:%H:%M}: move one of them",
    )


async def _there(
    connection: AsyncConnection, lines: Sequence[ShowLine]
) -> list[tuple[EntityId, _Taken]]:
    one = shows.c
    begins = func.least(one.doors_at, one.starts_at)
    ends = one.starts_at + func.make_interval(
        0, 0, 0, 0, 0, func.coalesce(one.duration_min, DURATION_USUAL_MIN)
    )
    query = (
        select(
            configurations.c.venue_id, one.name, begins.label("begins_at"), ends.label("ends_at")
        )
        .join(configurations, configurations.c.id == one.configuration_id)
        .where(
            configurations.c.venue_id.in_({line.place.venue_id for line in lines}),
            one.state != ShowState.CANCELLED,
            begins < max(line.ends_at for line in lines),
            ends > min(line.begins_at for line in lines),
        )
        .order_by(one.starts_at)
        .limit(_SHOWS_MAX)
    )
    return [
        (
            EntityId(row.venue_id),
            _Taken(begins_at=row.begins_at, ends_at=row.ends_at, what=f"the show “{row.name}”"),
        )
        for row in await connection.execute(query)
    ]
