"""What of a reseller's catalogue a sheet may name, read once for the whole sheet."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.sheets.guesses import NAMES_MAX, Guesses, named_first, parsed
from engine.platform.ids import EntityId, Ids, Prefix
from engine.platform.tables import configuration_versions, configurations, events, venues


class KnownEvent(Struct, frozen=True):
    """An event that shows may name."""

    id: EntityId
    name: str


class Place(Struct, frozen=True, kw_only=True):
    """A configuration and, once it is known which, its version."""

    venue_id: EntityId
    venue: str
    time_zone: str
    configuration: EntityId
    configuration_name: str
    version: int = 0
    manifest_id: EntityId = EntityId(0)
    levels: tuple[str, ...] = ()


class _Version(Struct, frozen=True):
    number: int
    valid_from: date
    manifest_id: EntityId
    levels: tuple[str, ...]


class Known:
    """Finds what lines name; what it does not find it says in words."""

    def __init__(
        self,
        ids: Ids,
        now: datetime,
        found_events: Sequence[KnownEvent],
        places: Sequence[Place],
        versions: Mapping[EntityId, list[_Version]],
    ) -> None:
        """Take what there is; versions by configuration, the first valid first."""
        self.now = now
        self._ids = ids
        self._events = found_events
        self._events_named: dict[str | EntityId, list[KnownEvent]] = defaultdict(list)
        for event in found_events:
            self._events_named[event.name].append(event)
            self._events_named[event.id].append(event)
        self._places = places
        self._placed: dict[tuple[str | None, str | None], Place | tuple[str, str]] = {}
        self._versions = versions
        self._guesses = Guesses()

    def event(self, text: str) -> KnownEvent | str:
        """Return the event of an id or a name, or what is wrong."""
        number = parsed(self._ids, Prefix.EVENT, text)
        found = self._events_named.get(text if number is None else number)
        if not found:
            return self._guesses.unknown("event", text, (one.name for one in self._events))
        if len(found) > 1:
            return f"{len(found)} events are called “{text}”: name it by its id, as evt_..."
        return found[0]

    def place(self, venue: str | None, configuration: str | None) -> Place | tuple[str, str]:
        """Return the configuration of an id, or of its venue and name; or a column and a reason."""
        named = venue, configuration
        if named not in self._placed:
            self._placed[named] = self._place(venue, configuration)
        return self._placed[named]

    def _place(self, venue: str | None, configuration: str | None) -> Place | tuple[str, str]:
        places = self._at(venue)
        if isinstance(places, str):
            return "venue", places
        if configuration is None:
            if len(places) == 1:
                return places[0]
            names = ", ".join(one.configuration_name for one in places)
            return "configuration", f"is missing: the venue has several: {names}"
        number = parsed(self._ids, Prefix.CONFIGURATION, configuration)
        found = [one for one in places if number == one.configuration]
        found = found or [one for one in places if one.configuration_name == configuration]
        if len(found) == 1:
            return found[0]
        reason = f"several are called “{configuration}”: name the venue, too, or its id, as cfg_..."
        if not found:
            names = (one.configuration_name for one in places)
            reason = self._guesses.unknown("configuration", configuration, names)
        return "configuration", reason

    def _at(self, venue: str | None) -> Sequence[Place] | str:
        """Return the configurations of a venue, of all without one; or what is wrong."""
        if venue is None:
            return self._places
        number = parsed(self._ids, Prefix.VENUE, venue)
        places = [one for one in self._places if one.venue_id == number or one.venue == venue]
        if not places:
            return self._guesses.unknown("venue", venue, (one.venue for one in self._places))
        if len({one.venue_id for one in places}) > 1:
            return f"several venues are called “{venue}”: name it by its id, as ven_..."
        return places

    def versions_of(self, place: Place) -> list[int]:
        """Return the numbers of a configuration's versions."""
        return sorted(one.number for one in self._versions.get(place.configuration, []))

    def version_for(
        self, place: Place, version: int | None, starts_at: datetime | None
    ) -> Place | None:
        """Return the version that is named, or that is valid on the day of the show."""
        versions = self._versions.get(place.configuration, [])
        if version is not None:
            found = next((one for one in versions if one.number == version), None)
        elif starts_at is not None:
            day = starts_at.astimezone(ZoneInfo(place.time_zone)).date()
            n = bisect_right(versions, day, key=lambda one: one.valid_from)
            found = versions[n - 1] if n else None
        else:
            found = None
        if found is None:
            return None
        return Place(
            venue_id=place.venue_id,
            venue=place.venue,
            time_zone=place.time_zone,
            configuration=place.configuration,
            configuration_name=place.configuration_name,
            version=found.number,
            manifest_id=found.manifest_id,
            levels=found.levels,
        )


async def read_known(
    connection: AsyncConnection,
    ids: Ids,
    now: datetime,
    named_events: Collection[str],
    named_places: Collection[str],
) -> Known:
    """Return what there is of a reseller's that lines name, and what they may have meant.

    Raises:
        sqlalchemy.exc.DBAPIError: the ledger failed.
    """
    found_events = [
        KnownEvent(EntityId(row.id), row.name)
        for row in await connection.execute(
            select(events.c.id, events.c.name)
            .where(events.c.archived_at.is_(None))
            .order_by(*named_first(events, ids, Prefix.EVENT, named_events), events.c.id.desc())
            .limit(NAMES_MAX)
        )
    ]
    places = [
        Place(**row) for row in (await connection.execute(_places(ids, named_places))).mappings()
    ]
    versions: dict[EntityId, list[_Version]] = {}
    used = [one.configuration for one in places]
    one = configuration_versions.c
    query = (
        select(one.configuration_id, one.version, one.valid_from, one.manifest_id, one.categories)
        .where(one.configuration_id.in_(used))
        .order_by(one.valid_from, one.version)
    )
    for row in await connection.execute(query) if used else ():
        categories: list[dict[str, Any]] = row.categories
        levels = tuple(category["price_level"] for category in categories)
        versions.setdefault(EntityId(row.configuration_id), []).append(
            _Version(row.version, row.valid_from, EntityId(row.manifest_id), levels)
        )
    return Known(ids, now, found_events, places, versions)


async def keep_from_archive(
    connection: AsyncConnection, used_events: Collection[EntityId], used: Collection[Place]
) -> bool:
    """Lock what shows are to name until the transaction ends; False: some of it is archived."""
    for table, numbers in (
        (events, set(used_events)),
        (venues, {one.venue_id for one in used}),
        (configurations, {one.configuration for one in used}),
    ):
        if numbers:
            query = (
                select(table.c.id)
                .where(table.c.id.in_(numbers), table.c.archived_at.is_(None))
                .order_by(table.c.id)
                .with_for_update(read=True)
            )
            if len((await connection.execute(query)).all()) < len(numbers):
                return False
    return True


def _places(ids: Ids, named: Collection[str]) -> Any:  # noqa: ANN401 - SQLAlchemy's
    order = (
        *named_first(venues, ids, Prefix.VENUE, named),
        *named_first(configurations, ids, Prefix.CONFIGURATION, named),
    )
    return (
        select(
            venues.c.id.label("venue_id"),
            venues.c.name.label("venue"),
            venues.c.time_zone,
            configurations.c.id.label("configuration"),
            configurations.c.name.label("configuration_name"),
        )
        .join(venues, venues.c.id == configurations.c.venue_id)
        .where(venues.c.archived_at.is_(None), configurations.c.archived_at.is_(None))
        .order_by(*order, configurations.c.id.desc())
        .limit(NAMES_MAX)
    )
