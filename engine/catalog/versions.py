"""Versions of a configuration: each a seating plan, dated by the first day that it is for.

A version never changes, and a show keeps the one that it was made from: who sets a place up anew
adds the next version, and shows that are made from then on get it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.manifest import Manifest
from engine.platform.ids import EntityId
from engine.platform.tables import configuration_versions, configurations, manifests, venues

_one = configuration_versions.c


class VersionRow(Struct, frozen=True, kw_only=True):
    """What a show that is made from a version takes from it."""

    configuration: EntityId
    version: int
    manifest_id: EntityId
    venue_id: EntityId
    venue: str
    """The venue's name."""
    time_zone: str


class CategoryCapacity(Struct, frozen=True):
    """How many seats and places of general admission a category has."""

    price_level: str
    name: str
    color: str | None
    seats: int
    places: int


class Version(Struct, frozen=True, kw_only=True):
    """A version as its reseller looks at it."""

    configuration: EntityId
    version: int
    manifest_id: EntityId
    valid_from: date
    capacity: int
    seat_count: int
    categories: tuple[CategoryCapacity, ...]
    note: str
    created_at: datetime


async def version_for(
    connection: AsyncConnection,
    configuration: EntityId,
    *,
    version: int | None,
    day: date | None,
) -> VersionRow | None:
    """Return the version that a new show is made from: the one named, or the one of a day.

    `day` is the show's, at the venue; the newest version that is valid by then is that day's, and
    without a day the newest of all. None: there is none, or the configuration or its venue is
    archived. Neither can be archived until the caller's transaction ends.

    Raises:
        sqlalchemy.exc.DBAPIError: the ledger failed.
    """
    query = (
        select(
            _one.configuration_id.label("configuration"),
            _one.version,
            _one.manifest_id,
            venues.c.id.label("venue_id"),
            venues.c.name.label("venue"),
            venues.c.time_zone,
        )
        .join(configurations, configurations.c.id == _one.configuration_id)
        .join(venues, venues.c.id == configurations.c.venue_id)
        .where(
            _one.configuration_id == configuration,
            configurations.c.archived_at.is_(None),
            venues.c.archived_at.is_(None),
        )
        .order_by(_one.valid_from.desc(), _one.version.desc())
        .limit(1)
        .with_for_update(read=True, of=[configurations, venues])
    )
    if version is not None:
        query = query.where(_one.version == version)
    elif day is not None:
        query = query.where(_one.valid_from <= day)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else VersionRow(**row)


async def read_version(
    connection: AsyncConnection, configuration: EntityId, version: int | None
) -> Version | None:
    """Return a version, without a number the one that was added last; None: there is none."""
    query = _versions(configuration).limit(1)
    if version is not None:
        query = query.where(_one.version == version)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _read(row)


async def list_versions(
    connection: AsyncConnection, configuration: EntityId, *, before: int | None, limit: int
) -> list[Version]:
    """Return versions, the last added first, from before the version `before`."""
    query = _versions(configuration).limit(limit)
    if before is not None:
        query = query.where(_one.version < before)
    return [_read(row) for row in await connection.execute(query)]


def capacity_by_category(manifest: Manifest) -> tuple[CategoryCapacity, ...]:
    """Return what each category has, in the plan's order."""
    return tuple(
        CategoryCapacity(
            price_level=level.slug,
            name=level.name,
            color=level.color,
            seats=manifest.seats_by_level[n],
            places=sum(a.capacity for a in manifest.areas if a.price_level == level.slug),
        )
        for n, level in enumerate(manifest.levels)
    )


def _versions(configuration: EntityId) -> Any:  # noqa: ANN401 - SQLAlchemy's
    return (
        select(configuration_versions, manifests.c.seat_count)
        .join(manifests, manifests.c.id == _one.manifest_id)
        .where(_one.configuration_id == configuration)
        .order_by(_one.version.desc())
    )


def _read(row: Any) -> Version:  # noqa: ANN401 - a row
    categories: Sequence[dict[str, Any]] = row.categories
    return Version(
        configuration=EntityId(row.configuration_id),
        version=row.version,
        manifest_id=EntityId(row.manifest_id),
        valid_from=row.valid_from,
        capacity=row.capacity,
        seat_count=row.seat_count,
        categories=tuple(CategoryCapacity(**one) for one in categories),
        note=row.note,
        created_at=row.created_at,
    )
