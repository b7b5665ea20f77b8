"""When a venue is taken: the shows there, from their doors to their end, and the days between.

A show is at a venue if it was made from one of the venue's configurations; one with a plan of its
own is at none. A cancelled show takes no time, a draft does: somebody plans with it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.ids import EntityId
from engine.platform.tables import configurations, shows

DURATION_MIN: Final = 180
"""How long a show takes that does not say so."""

CALENDAR_DAYS_MAX: Final = 366
CALENDAR_SHOWS_MAX: Final = 2000
OVERLAPS_NAMED_MAX: Final = 20

_CANCELLED: Final = "cancelled"
_PAST: Final = "past"
_one = shows.c

# LEAST looks past NULL.
_BEGINS: Final = func.least(_one.doors_at, _one.starts_at)
_ENDS: Final = _one.starts_at + func.make_interval(
    0, 0, 0, 0, 0, func.coalesce(_one.duration_min, DURATION_MIN)
)


class VenueShow(Struct, frozen=True, kw_only=True):
    """A show at a venue. It takes the place from `begins_at` to before `ends_at`."""

    id: EntityId
    name: str
    starts_at: datetime
    doors_at: datetime | None
    begins_at: datetime
    ends_at: datetime
    state: str
    configuration: EntityId
    version: int

    def overlaps(self, other: "VenueShow") -> bool:
        """Tell whether two shows would be at one place at one time."""
        return self.begins_at < other.ends_at and other.begins_at < self.ends_at


class CalendarDay(Struct, frozen=True):
    """A day at the venue, and the shows that take some of it, the first first."""

    day: date
    shows: tuple[VenueShow, ...]


class Gap(Struct, frozen=True):
    """Days on which nothing takes place, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """Return how many they are."""
        return (self.last - self.first).days + 1


class Calendar(Struct, frozen=True):
    """The days that are taken, the gaps between them, and which shows overlap which."""

    days: tuple[CalendarDay, ...]
    gaps: tuple[Gap, ...]
    overlaps: dict[EntityId, tuple[EntityId, ...]]
    is_complete: bool
    """False: there are more shows than a calendar lists."""


async def overlapping_shows(
    connection: AsyncConnection, venue: EntityId, begins_at: datetime, ends_at: datetime
) -> list[VenueShow]:
    """Return the shows at a venue that take some of a time, the first first, 2000 at most.

    Raises:
        sqlalchemy.exc.DBAPIError: the ledger failed.
    """
    query = _at(configurations.c.venue_id == venue).where(ends_at > _BEGINS, begins_at < _ENDS)
    return [_read(row) for row in await connection.execute(query.limit(CALENDAR_SHOWS_MAX))]


async def future_shows(
    connection: AsyncConnection, of_it: ColumnElement[bool], limit: int
) -> list[VenueShow]:
    """Return the shows to come of a venue or a configuration, the soonest first."""
    coming = _at(of_it).where(_one.starts_at > func.now(), _one.state != _PAST)
    query = coming.order_by(None).order_by(_one.starts_at, _one.id).limit(limit)
    return [_read(row) for row in await connection.execute(query)]


def span_of(first: date, last: date, time_zone: str) -> tuple[datetime, datetime]:
    """Return from when to when some days last at a place, both included."""
    zone = ZoneInfo(time_zone)
    return (
        datetime.combine(first, time.min, zone).astimezone(UTC),
        datetime.combine(last + timedelta(days=1), time.min, zone).astimezone(UTC),
    )


def make_calendar(found: Sequence[VenueShow], first: date, last: date, time_zone: str) -> Calendar:
    """Return the calendar of some days; `found` are the shows of that time, the first first."""
    zone = ZoneInfo(time_zone)
    by_day: dict[date, list[VenueShow]] = {}
    for show in found:
        for day in _days(show, zone, first, last):
            by_day.setdefault(day, []).append(show)
    taken = sorted(by_day)
    return Calendar(
        days=tuple(CalendarDay(day, tuple(by_day[day])) for day in taken),
        gaps=tuple(_gaps(taken, first, last)),
        overlaps=overlaps_among(found),
        is_complete=len(found) < CALENDAR_SHOWS_MAX,
    )


def overlaps_among(found: Sequence[VenueShow]) -> dict[EntityId, tuple[EntityId, ...]]:
    """Return, of each show that overlaps others, some twenty; `found` is sorted by `begins_at`."""
    overlaps: dict[EntityId, list[EntityId]] = {}
    going_on: list[VenueShow] = []
    for show in found:
        going_on = [other for other in going_on if other.ends_at > show.begins_at]
        for other in going_on[:OVERLAPS_NAMED_MAX]:
            overlaps.setdefault(other.id, []).append(show.id)
            overlaps.setdefault(show.id, []).append(other.id)
        going_on.append(show)
    return {show: tuple(others[:OVERLAPS_NAMED_MAX]) for show, others in overlaps.items()}


def _days(show: VenueShow, zone: ZoneInfo, first: date, last: date) -> Iterator[date]:
    """Yield each of some days, at the venue, of which a show takes some."""
    day = max(first, show.begins_at.astimezone(zone).date())
    last = min(last, (show.ends_at - timedelta(microseconds=1)).astimezone(zone).date())
    while day <= last:
        yield day
        day += timedelta(days=1)


def _gaps(taken: Sequence[date], first: date, last: date) -> Iterator[Gap]:
    day = timedelta(days=1)
    for before, after in pairwise([first - day, *taken, last + day]):
        if after - before > day:
            yield Gap(before + day, after - day)


def _at(of_it: ColumnElement[bool]) -> Any:  # noqa: ANN401 - SQLAlchemy's
    return (
        select(
            *(_one.id, _one.name, _one.starts_at, _one.doors_at, _one.state),
            *(_BEGINS.label("begins_at"), _ENDS.label("ends_at")),
            *(_one.configuration_id, _one.configuration_version),
        )
        .join(configurations, configurations.c.id == _one.configuration_id)
        .where(of_it, _one.state != _CANCELLED)
        .order_by(_BEGINS, _one.id)
    )


def _read(row: Any) -> VenueShow:  # noqa: ANN401 - a row
    return VenueShow(
        id=EntityId(row.id),
        name=row.name,
        starts_at=row.starts_at,
        doors_at=row.doors_at,
        begins_at=row.begins_at,
        ends_at=row.ends_at,
        state=row.state,
        configuration=EntityId(row.configuration_id),
        version=row.configuration_version,
    )
