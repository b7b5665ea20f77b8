"""Venues: places where shows are, each with the ways to set it up."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from functools import cache
from typing import Any, Final, cast
from zoneinfo import available_timezones

import msgspec
import pycountry
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.listing import behind
from engine.catalog.occupancy import (
    Calendar,
    VenueShow,
    future_shows,
    make_calendar,
    overlapping_shows,
    span_of,
)
from engine.catalog.pages import Picture, PublicAddress
from engine.catalog.visibility import venue_is_public
from engine.platform.database import Transaction, tenant_transaction
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import configurations, venues

FUTURE_SHOWS_NAMED_MAX: Final = 20

_one = venues.c
_COUNTRIES: Final = frozenset(str(one.alpha_2) for one in cast("Any", pycountry.countries))


class Contact(Struct, frozen=True, kw_only=True):
    """Whom the reseller calls at a venue; never told to the public."""

    name: str
    role: str = ""
    email: str = ""
    phone: str = ""


class Venue(Struct, frozen=True, kw_only=True):
    """A venue as its reseller sees it. `is_public`: the public can look at its page."""

    id: EntityId
    name: str
    address: PublicAddress
    country: str
    latitude: float | None
    longitude: float | None
    time_zone: str
    contacts: list[Contact]
    accessibility: str
    pictures: list[Picture]
    is_public: bool
    created_at: datetime
    changed_at: datetime
    archived_at: datetime | None


class NewVenue(Struct, frozen=True, kw_only=True):
    """What a reseller says of one, checked."""

    name: str
    address: PublicAddress
    country: str
    latitude: float | None
    longitude: float | None
    time_zone: str
    contacts: tuple[Contact, ...] = ()
    accessibility: str = ""
    pictures: tuple[Picture, ...] = ()


class VenueChanges(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    address: PublicAddress | UnsetType = UNSET
    country: str | UnsetType = UNSET
    latitude: float | UnsetType | None = UNSET
    longitude: float | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    contacts: tuple[Contact, ...] | UnsetType = UNSET
    accessibility: str | UnsetType = UNSET
    pictures: tuple[Picture, ...] | UnsetType = UNSET


class UnknownVenue(Struct, frozen=True):
    """The reseller has no such venue, or none that is not archived."""


class FutureShows(Struct, frozen=True):
    """It can't be archived: these shows are to come there, the soonest first, twenty at most."""

    shows: list[VenueShow]


RememberVenue = Callable[[Transaction, Venue], Awaitable[None]]
"""Called with what was made before it is committed."""

_SELECT: Final[Any] = select(
    *(_one.id, _one.name, _one.address, _one.country, _one.latitude, _one.longitude),
    *(_one.time_zone, _one.contacts, _one.accessibility, _one.pictures),
    *(_one.created_at, _one.changed_at, _one.archived_at),
    venue_is_public.label("is_public"),
)


def is_time_zone(name: str) -> bool:
    """Tell whether the IANA data base has a time zone of that name."""
    return name in _time_zones()


def is_country(code: str) -> bool:
    """Tell whether ISO 3166-1 has a country of that code of two letters."""
    return code in _COUNTRIES


async def create_venue(
    app: AsyncEngine, reseller: EntityId, new: NewVenue, remember: RememberVenue
) -> Venue:
    """Make one."""
    made = new_entity_id()
    async with tenant_transaction(app, reseller) as connection:
        await connection.execute(
            insert(venues).values(id=made, reseller_id=reseller, **_values(new))
        )
        venue = await _found(connection, made)
        await remember(connection, venue)
    return venue


async def find_venue(app: AsyncEngine, reseller: EntityId, venue: EntityId) -> Venue | UnknownVenue:
    """Return one, archived or not."""
    async with tenant_transaction(app, reseller) as connection:
        return await read_venue(connection, venue)


async def read_venue(connection: AsyncConnection, venue: EntityId) -> Venue | UnknownVenue:
    """Return one, archived or not, of the reseller's whose transaction it is."""
    row = (await connection.execute(_named(venue))).mappings().one_or_none()
    return UnknownVenue() if row is None else _read(row)


async def list_venues(
    app: AsyncEngine,
    reseller: EntityId,
    *,
    after: EntityId | None,
    limit: int,
    archived: bool = False,
) -> list[Venue]:
    """Return a reseller's venues, the newest first, from behind `after`."""
    gone = _one.archived_at.is_not(None) if archived else _one.archived_at.is_(None)
    query: Any = behind(_SELECT.where(gone), venues, after, limit)
    async with tenant_transaction(app, reseller) as connection:
        return [_read(row) for row in (await connection.execute(query)).mappings()]


async def change_venue(
    app: AsyncEngine,
    reseller: EntityId,
    venue: EntityId,
    changes: VenueChanges,
    *,
    archived: bool | UnsetType = UNSET,
) -> Venue | UnknownVenue | FutureShows:
    """Change what is named, and archive it or take it back: all of it or nothing."""
    values = _values(changes)
    async with tenant_transaction(app, reseller) as connection:
        # New shows have it locked: what they are made from is not archived meanwhile.
        query = select(_one.archived_at).where(_one.id == venue).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return UnknownVenue()
        if archived is not UNSET and archived != (row.archived_at is not None):
            of_it = configurations.c.venue_id == venue
            if archived and (
                there := await future_shows(connection, of_it, FUTURE_SHOWS_NAMED_MAX)
            ):
                return FutureShows(there)
            values["archived_at"] = func.now() if archived else None
        await connection.execute(
            update(venues).where(_one.id == venue).values(**values, changed_at=func.now())
        )
        return await _found(connection, venue)


async def find_calendar(
    app: AsyncEngine, reseller: EntityId, venue: EntityId, first: date, last: date
) -> tuple[Venue, Calendar] | UnknownVenue:
    """Return a venue, and when it is taken on some days, both included."""
    async with tenant_transaction(app, reseller) as connection:
        found = await read_venue(connection, venue)
        if isinstance(found, UnknownVenue):
            return found
        span = span_of(first, last, found.time_zone)
        there = await overlapping_shows(connection, venue, *span)
    return found, make_calendar(there, first, last, found.time_zone)


@cache
def _time_zones() -> frozenset[str]:
    # Walks the whole data base on disk.
    return frozenset(available_timezones())


def _values(told: NewVenue | VenueChanges) -> dict[str, Any]:
    """Return the columns of what was told."""
    values: dict[str, Any] = msgspec.to_builtins(told)
    if "address" in values:
        values["city"] = values["address"]["city"]
    return values


def _named(venue: EntityId) -> Any:  # noqa: ANN401 - SQLAlchemy's
    return _SELECT.where(_one.id == venue)


async def _found(connection: AsyncConnection, venue: EntityId) -> Venue:
    return _read((await connection.execute(_named(venue))).mappings().one())


def _read(row: Mapping[Any, Any]) -> Venue:
    # Names of columns are no plain strings.
    return msgspec.convert({str(name): value for name, value in row.items()}, Venue)
