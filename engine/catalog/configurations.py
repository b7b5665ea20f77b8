"""Configurations: the ways to set a venue up, alternatives for one place, with their versions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.listing import behind
from engine.catalog.occupancy import future_shows
from engine.catalog.venues import FUTURE_SHOWS_NAMED_MAX, FutureShows, UnknownVenue
from engine.catalog.versions import (
    Version,
    capacity_by_category,
    list_versions,
    read_version,
)
from engine.facts.log import NewFact, add_facts
from engine.facts.types import ConfigurationVersionAdded, FactType
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.manifest import Manifest
from engine.inventory.manifest_format import pack_manifest
from engine.inventory.seating_plan import SeatingPlan, export_plan
from engine.platform.database import Transaction, tenant_transaction
from engine.platform.ids import EntityId, Ids, Prefix, new_entity_id
from engine.platform.tables import configuration_versions, configurations, manifests, venues

_one = configurations.c
_version = configuration_versions.c


class Configuration(Struct, frozen=True, kw_only=True):
    """A configuration; `version` is the one that was added last, None before the first."""

    id: EntityId
    venue: EntityId
    time_zone: str
    name: str
    description: str
    version: int | None
    created_at: datetime
    changed_at: datetime
    archived_at: datetime | None


class NewConfiguration(Struct, frozen=True, kw_only=True):
    """What a reseller says of one."""

    name: str
    description: str = ""


class ConfigurationChanges(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class NewVersion(Struct, frozen=True, kw_only=True):
    """A plan that a configuration is to have from a day on; None: from today, at the venue.

    `follows`: the version that has to be the last one still; 0: none, None: any.
    """

    plan: SeatingPlan
    valid_from: date | None
    note: str = ""
    follows: int | None = None


class UnknownConfiguration(Struct, frozen=True):
    """The reseller has no such configuration."""


class UnknownVersion(Struct, frozen=True):
    """The configuration has no such version."""


class ConfigurationArchived(Struct, frozen=True):
    """It is archived, or its venue is: it gets no versions."""


class Outrun(Struct, frozen=True):
    """Somebody else has added a version meanwhile."""


RememberConfiguration = Callable[[Transaction, Configuration], Awaitable[None]]
RememberVersion = Callable[[Transaction, Version], Awaitable[None]]
"""Called with what was made before it is committed."""

_LAST: Final = (
    select(func.max(_version.version))
    .where(_version.configuration_id == _one.id)
    .scalar_subquery()
    .label("version")
)
_SELECT: Final[Any] = select(
    *(_one.id, _one.venue_id.label("venue"), venues.c.time_zone, _one.name, _one.description),
    *(_LAST, _one.created_at, _one.changed_at, _one.archived_at),
).join(venues, venues.c.id == _one.venue_id)


async def create_configuration(
    app: AsyncEngine,
    reseller: EntityId,
    venue: EntityId,
    new: NewConfiguration,
    remember: RememberConfiguration,
) -> Configuration | UnknownVenue:
    """Make one, which has no version yet; an archived venue gets none."""
    async with tenant_transaction(app, reseller) as connection:
        there = (
            select(venues.c.id)
            .where(venues.c.id == venue, venues.c.archived_at.is_(None))
            .with_for_update(read=True)
        )
        if (await connection.execute(there)).first() is None:
            return UnknownVenue()
        made = await _insert(connection, reseller, venue, new)
        await remember(connection, made)
    return made


async def find_configuration(
    app: AsyncEngine, reseller: EntityId, configuration: EntityId
) -> Configuration | UnknownConfiguration:
    """Return one, archived or not."""
    async with tenant_transaction(app, reseller) as connection:
        return await read_configuration(connection, configuration)


async def read_configuration(
    connection: AsyncConnection, configuration: EntityId
) -> Configuration | UnknownConfiguration:
    """Return one, archived or not, of the reseller's whose transaction it is."""
    query = _SELECT.where(_one.id == configuration)
    row = (await connection.execute(query)).mappings().one_or_none()
    return UnknownConfiguration() if row is None else Configuration(**row)


async def list_configurations(  # noqa: PLR0913 - whose, of what, which page
    app: AsyncEngine,
    reseller: EntityId,
    venue: EntityId,
    *,
    after: EntityId | None,
    limit: int,
    archived: bool = False,
) -> list[Configuration] | UnknownVenue:
    """Return a venue's configurations, the newest first, from behind `after`."""
    gone = _one.archived_at.is_not(None) if archived else _one.archived_at.is_(None)
    query = behind(_SELECT.where(_one.venue_id == venue, gone), configurations, after, limit)
    async with tenant_transaction(app, reseller) as connection:
        there = select(venues.c.id).where(venues.c.id == venue)
        if (await connection.execute(there)).first() is None:
            return UnknownVenue()
        return [Configuration(**row) for row in (await connection.execute(query)).mappings()]


async def change_configuration(
    app: AsyncEngine,
    reseller: EntityId,
    configuration: EntityId,
    changes: ConfigurationChanges,
    *,
    archived: bool | UnsetType = UNSET,
) -> Configuration | UnknownConfiguration | FutureShows:
    """Change what is named, and archive it or take it back: all of it or nothing."""
    values: dict[str, Any] = msgspec.to_builtins(changes)
    async with tenant_transaction(app, reseller) as connection:
        # New shows have it locked: what they are made from is not archived meanwhile.
        query = select(_one.archived_at).where(_one.id == configuration).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return UnknownConfiguration()
        if archived is not UNSET and archived != (row.archived_at is not None):
            of_it = _one.id == configuration
            if archived and (
                there := await future_shows(connection, of_it, FUTURE_SHOWS_NAMED_MAX)
            ):
                return FutureShows(there)
            values["archived_at"] = func.now() if archived else None
        await connection.execute(
            update(configurations)
            .where(_one.id == configuration)
            .values(**values, changed_at=func.now())
        )
        return await _found(connection, configuration)


async def copy_configuration(  # noqa: PLR0913 - whose, what, as what
    app: AsyncEngine,
    ids: Ids,
    reseller: EntityId,
    original: EntityId,
    new: NewConfiguration,
    *,
    version: int | None,
    valid_from: date | None,
    remember: RememberConfiguration,
) -> Configuration | UnknownConfiguration | UnknownVersion | ConfigurationArchived:
    """Make another of the same venue, whose first version is a version of this one.

    Without a number it is the one that was added last. Both have the same plan; neither changes it.
    """
    async with tenant_transaction(app, reseller) as connection:
        locked = await _lock(connection, original)
        if not isinstance(locked, Configuration):
            return locked
        copied = await read_version(connection, original, version)
        if copied is None:
            return UnknownVersion()
        made = await _insert(connection, reseller, locked.venue, new)
        values = {
            "manifest_id": copied.manifest_id,
            "capacity": copied.capacity,
            "categories": msgspec.to_builtins(copied.categories),
            "valid_from": valid_from or _today(locked.time_zone),
            "note": copied.note,
        }
        await _add(connection, ids, reseller, made, values)
        copy = await _found(connection, made.id)
        await remember(connection, copy)
    return copy


async def add_version(  # noqa: PLR0913, PLR0917 - whose, of what, which
    app: AsyncEngine,
    ids: Ids,
    reseller: EntityId,
    configuration: EntityId,
    new: NewVersion,
    remember: RememberVersion,
) -> Version | UnknownConfiguration | ConfigurationArchived | Outrun:
    """Add the next version of a configuration: shows that are there keep theirs.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
    """
    # Seconds of work for the largest halls: beside the event loop, not on it.
    manifest, plan, compiled = await asyncio.to_thread(_compile, new.plan)
    async with tenant_transaction(app, reseller) as connection:
        locked = await _lock(connection, configuration)
        if not isinstance(locked, Configuration):
            return locked
        if new.follows is not None and new.follows != (locked.version or 0):
            return Outrun()
        manifest_id = new_entity_id()
        await connection.execute(
            insert(manifests).values(
                id=manifest_id,
                reseller_id=reseller,
                name=new.plan.name,
                plan=plan,
                compiled=compiled,
                seat_count=manifest.seat_count,
            )
        )
        values = {
            "manifest_id": manifest_id,
            "capacity": manifest.capacity,
            "categories": msgspec.to_builtins(capacity_by_category(manifest)),
            "valid_from": new.valid_from or _today(locked.time_zone),
            "note": new.note,
        }
        added = await _add(connection, ids, reseller, locked, values)
        await remember(connection, added)
    return added


async def find_version(
    app: AsyncEngine, reseller: EntityId, configuration: EntityId, version: int | None
) -> Version | UnknownConfiguration | UnknownVersion:
    """Return a version, without a number the one that was added last."""
    async with tenant_transaction(app, reseller) as connection:
        found = await read_version(connection, configuration, version)
        if found is not None:
            return found
        known = await read_configuration(connection, configuration)
    return UnknownVersion() if isinstance(known, Configuration) else known


async def list_versions_of(
    app: AsyncEngine,
    reseller: EntityId,
    configuration: EntityId,
    *,
    before: int | None,
    limit: int,
) -> list[Version] | UnknownConfiguration:
    """Return versions, the last added first, from before the version `before`."""
    async with tenant_transaction(app, reseller) as connection:
        known = await read_configuration(connection, configuration)
        if isinstance(known, UnknownConfiguration):
            return known
        return await list_versions(connection, configuration, before=before, limit=limit)


async def _lock(
    connection: AsyncConnection, configuration: EntityId
) -> Configuration | UnknownConfiguration | ConfigurationArchived:
    """Lock one that may get versions: they are numbered one after the other."""
    usable = (
        select(_one.archived_at.is_(None) & venues.c.archived_at.is_(None))
        .join(venues, venues.c.id == _one.venue_id)
        .where(_one.id == configuration)
        .with_for_update(key_share=True, of=configurations)
    )
    is_usable = (await connection.execute(usable)).scalar_one_or_none()
    if is_usable is None:
        return UnknownConfiguration()
    return await _found(connection, configuration) if is_usable else ConfigurationArchived()


async def _insert(
    connection: AsyncConnection, reseller: EntityId, venue: EntityId, new: NewConfiguration
) -> Configuration:
    made = new_entity_id()
    await connection.execute(
        insert(configurations).values(
            id=made,
            reseller_id=reseller,
            venue_id=venue,
            name=new.name,
            description=new.description,
        )
    )
    return await _found(connection, made)


async def _add(
    connection: AsyncConnection,
    ids: Ids,
    reseller: EntityId,
    to: Configuration,
    values: Mapping[str, Any],
) -> Version:
    """Add the next version to a configuration, which is locked, and tell of it."""
    number = (to.version or 0) + 1
    await connection.execute(
        insert(configuration_versions).values(
            configuration_id=to.id, version=number, reseller_id=reseller, **values
        )
    )
    await connection.execute(
        update(configurations).where(_one.id == to.id).values(changed_at=func.now())
    )
    added = await read_version(connection, to.id, number)
    assert added is not None  # noqa: S101 - it was inserted above
    told = ConfigurationVersionAdded(
        venue=ids.entity(Prefix.VENUE, to.venue),
        version=number,
        valid_from=added.valid_from,
        capacity=added.capacity,
        seats=added.seat_count,
    )
    fact = NewFact(
        type=FactType.CONFIGURATION_VERSION_ADDED,
        object=ids.entity(Prefix.CONFIGURATION, to.id),
        data=told,
        show=None,
        occurred_at=added.created_at,
    )
    await add_facts(connection, reseller, [fact])
    return added


async def _found(connection: AsyncConnection, configuration: EntityId) -> Configuration:
    found = await read_configuration(connection, configuration)
    assert isinstance(found, Configuration)  # noqa: S101 - it was inserted, or is locked
    return found


def _today(time_zone: str) -> date:
    return datetime.now(UTC).astimezone(ZoneInfo(time_zone)).date()


def _compile(plan: SeatingPlan) -> tuple[Manifest, object, bytes]:
    manifest = compile_manifest(plan)
    return manifest, msgspec.json.decode(export_plan(plan)), pack_manifest(manifest)
