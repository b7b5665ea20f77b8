"""Performers: who appears at events, each with a page of their own."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.listing import behind
from engine.catalog.pages import Link, Picture
from engine.catalog.selling import StillSelling, put_away, take_back
from engine.catalog.visibility import performer_is_public
from engine.platform.database import Transaction, tenant_transaction
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import event_performers, performers, shows

_one = performers.c


class Performer(Struct, frozen=True, kw_only=True):
    """A performer as its reseller sees it. `is_public`: the public can look at its page."""

    id: EntityId
    name: str
    description: str
    pictures: list[Picture]
    links: list[Link]
    is_public: bool
    created_at: datetime
    changed_at: datetime
    archived_at: datetime | None


class NewPerformer(Struct, frozen=True, kw_only=True):
    """What a reseller says of one."""

    name: str
    description: str = ""
    pictures: tuple[Picture, ...] = ()
    links: tuple[Link, ...] = ()


class PerformerChanges(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    pictures: tuple[Picture, ...] | UnsetType = UNSET
    links: tuple[Link, ...] | UnsetType = UNSET


class UnknownPerformer(Struct, frozen=True):
    """The reseller has no such performer."""


Remember = Callable[[Transaction, Performer], Awaitable[None]]
"""Called with what was made before it is committed."""

_COLUMNS: Final = (
    *(_one.id, _one.name, _one.description, _one.pictures, _one.links),
    *(_one.created_at, _one.changed_at, _one.archived_at),
    performer_is_public.label("is_public"),
)


async def create_performer(
    app: AsyncEngine, reseller: EntityId, new: NewPerformer, remember: Remember
) -> Performer:
    """Make one."""
    made = new_entity_id()
    async with tenant_transaction(app, reseller) as connection:
        await connection.execute(
            insert(performers).values(id=made, reseller_id=reseller, **msgspec.to_builtins(new))
        )
        performer = await _found(connection, made)
        await remember(connection, performer)
    return performer


async def find_performer(
    app: AsyncEngine, reseller: EntityId, performer: EntityId
) -> Performer | UnknownPerformer:
    """Return one, archived or not."""
    async with tenant_transaction(app, reseller) as connection:
        row = (await connection.execute(_named(performer))).mappings().one_or_none()
    return UnknownPerformer() if row is None else _read(row)


async def list_performers(
    app: AsyncEngine,
    reseller: EntityId,
    *,
    after: EntityId | None,
    limit: int,
    archived: bool = False,
) -> list[Performer]:
    """Return a reseller's performers, the newest first, from behind `after`."""
    gone = _one.archived_at.is_not(None) if archived else _one.archived_at.is_(None)
    query = behind(select(*_COLUMNS).where(gone), performers, after, limit)
    async with tenant_transaction(app, reseller) as connection:
        return [_read(row) for row in (await connection.execute(query)).mappings()]


async def change_performer(
    app: AsyncEngine, reseller: EntityId, performer: EntityId, changes: PerformerChanges
) -> Performer | UnknownPerformer:
    """Change what is named, of one that is archived, too."""
    values: dict[str, Any] = msgspec.to_builtins(changes)
    async with tenant_transaction(app, reseller) as connection:
        changed = (
            update(performers)
            .where(_one.id == performer)
            .values(**values, changed_at=func.now())
            .returning(_one.id)
        )
        if (await connection.execute(changed)).first() is None:
            return UnknownPerformer()
        return await _found(connection, performer)


async def archive_performer(
    app: AsyncEngine, reseller: EntityId, performer: EntityId
) -> Performer | UnknownPerformer | StillSelling:
    """Put one away: nobody else sees it, and no event can bill it anew.

    Refused while a show to come sells of an event that bills it.
    """
    billed = shows.c.event_id.in_(
        select(event_performers.c.event_id).where(event_performers.c.performer_id == performer)
    )
    async with tenant_transaction(app, reseller) as connection:
        put = await put_away(connection, performers, performer, billed)
        if isinstance(put, StillSelling):
            return put
        return await _found(connection, performer) if put else UnknownPerformer()


async def restore_performer(
    app: AsyncEngine, reseller: EntityId, performer: EntityId
) -> Performer | UnknownPerformer:
    """Take one that is archived back."""
    async with tenant_transaction(app, reseller) as connection:
        there = await take_back(connection, performers, performer)
        return await _found(connection, performer) if there else UnknownPerformer()


def _named(performer: EntityId) -> Any:  # noqa: ANN401 - SQLAlchemy's
    return select(*_COLUMNS).where(_one.id == performer)


async def _found(connection: AsyncConnection, performer: EntityId) -> Performer:
    return _read((await connection.execute(_named(performer))).mappings().one())


def _read(row: Mapping[Any, Any]) -> Performer:
    # Its keys are no plain `str`.
    return msgspec.convert({str(name): value for name, value in row.items()}, Performer)
