"""Events: what is promoted. Shows name theirs; performers are billed on them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.bills import Bill, bills_of, not_performers, replace_bill
from engine.catalog.listing import behind
from engine.catalog.pages import Picture
from engine.catalog.selling import StillSelling, put_away, take_back
from engine.catalog.visibility import event_is_public
from engine.platform.database import Transaction, tenant_transaction
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import events, resellers, shows

_one = events.c


class EventType(StrEnum):
    """What kind of thing is promoted."""

    CONCERT = "concert"
    CONFERENCE = "conference"
    SPORTS = "sports"
    THEATRE = "theatre"
    GAMING = "gaming"
    EDUCATION = "education"
    COMEDY = "comedy"
    DANCE = "dance"
    OPERA = "opera"
    MUSICAL = "musical"
    EXHIBITION = "exhibition"
    FESTIVAL = "festival"
    FAMILY = "family"
    FILM = "film"
    OTHER = "other"


class Visibility(StrEnum):
    """Whether the public may see something at all; `public_from` says since when."""

    PUBLIC = "public"
    HIDDEN = "hidden"


class Event(Struct, frozen=True, kw_only=True):
    """An event as its reseller sees it. `is_public`: the public can look at its page."""

    id: EntityId
    name: str
    description: str
    type: EventType
    pictures: list[Picture]
    age_min: int | None
    languages: list[str]
    bill: Bill
    reseller: str
    visibility: Visibility
    public_from: datetime | None
    is_public: bool
    created_at: datetime
    changed_at: datetime
    archived_at: datetime | None


class NewEvent(Struct, frozen=True, kw_only=True):
    """What a reseller says of one; `performers` in billing order."""

    name: str
    type: EventType
    description: str = ""
    pictures: tuple[Picture, ...] = ()
    age_min: int | None = None
    languages: tuple[str, ...] = ()
    visibility: Visibility = Visibility.PUBLIC
    public_from: datetime | None = None
    performers: tuple[EntityId, ...] = ()


class EventChanges(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed; UNSET stays as it is. `performers` replaces the bill as a whole."""

    name: str | UnsetType = UNSET
    type: EventType | UnsetType = UNSET
    description: str | UnsetType = UNSET
    pictures: tuple[Picture, ...] | UnsetType = UNSET
    age_min: int | UnsetType | None = UNSET
    languages: tuple[str, ...] | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    public_from: datetime | UnsetType | None = UNSET
    performers: tuple[EntityId, ...] | UnsetType = UNSET


class UnknownEvent(Struct, frozen=True):
    """The reseller has no such event."""


class NotPerformers(Struct, frozen=True):
    """Who can't be billed: no performers of the reseller's, or archived."""

    named: list[EntityId]


Remember = Callable[[Transaction, Event], Awaitable[None]]
"""Called with what was made before it is committed."""

_COLUMNS: Final = (
    *(_one.id, _one.name, _one.description, _one.type, _one.pictures, _one.age_min),
    *(_one.languages, _one.visibility, _one.public_from),
    *(_one.created_at, _one.changed_at, _one.archived_at),
    event_is_public.label("is_public"),
    resellers.c.name.label("reseller"),
)
_OWN: Final = select(*_COLUMNS).join(resellers, resellers.c.id == _one.reseller_id)


async def event_exists(connection: AsyncConnection, event: EntityId) -> bool:
    """Tell whether a show of this transaction's reseller may name an event: there, not archived.

    Locks it until the transaction ends, so that it is not archived meanwhile.
    """
    there = (
        select(_one.id)
        .where(_one.id == event, _one.archived_at.is_(None))
        .with_for_update(read=True, key_share=True)
    )
    return (await connection.execute(there)).first() is not None


async def create_event(
    app: AsyncEngine, reseller: EntityId, new: NewEvent, remember: Remember
) -> Event | NotPerformers:
    """Make one."""
    made = new_entity_id()
    async with tenant_transaction(app, reseller) as connection:
        if unknown := await not_performers(connection, new.performers):
            return NotPerformers(unknown)
        await connection.execute(
            insert(events).values(id=made, reseller_id=reseller, **_values(new))
        )
        await replace_bill(connection, reseller, made, new.performers)
        event = await _found(connection, made)
        await remember(connection, event)
    return event


async def find_event(app: AsyncEngine, reseller: EntityId, event: EntityId) -> Event | UnknownEvent:
    """Return one, archived or not."""
    async with tenant_transaction(app, reseller) as connection:
        if not await _is_there(connection, event):
            return UnknownEvent()
        return await _found(connection, event)


async def list_events(
    app: AsyncEngine,
    reseller: EntityId,
    *,
    after: EntityId | None,
    limit: int,
    archived: bool = False,
) -> list[Event]:
    """Return a reseller's events, public or not, the newest first, from behind `after`."""
    gone = _one.archived_at.is_not(None) if archived else _one.archived_at.is_(None)
    async with tenant_transaction(app, reseller) as connection:
        query = behind(_OWN.where(gone), events, after, limit)
        rows = (await connection.execute(query)).mappings().all()
        bills = await bills_of(connection, [row["id"] for row in rows])
    return [_read(row, bills.get(row["id"], ())) for row in rows]


async def unbillable(
    app: AsyncEngine, reseller: EntityId, named: Sequence[EntityId], *, event: EntityId | None
) -> list[EntityId]:
    """Return who of those named can't be billed on an event, or on one that is yet to be made."""
    async with tenant_transaction(app, reseller) as connection:
        return await not_performers(connection, named, billed_on=event)


async def change_event(
    app: AsyncEngine, reseller: EntityId, event: EntityId, changes: EventChanges
) -> Event | UnknownEvent | NotPerformers:
    """Change what is named, of one that is archived, too."""
    async with tenant_transaction(app, reseller) as connection:
        # Before the performers: two changes of one event come one after the other.
        if not await _is_there(connection, event, lock=True):
            return UnknownEvent()
        named = changes.performers
        if named is not UNSET:
            if unknown := await not_performers(connection, named, billed_on=event):
                return NotPerformers(unknown)
            await replace_bill(connection, reseller, event, named)
        await connection.execute(
            update(events).where(_one.id == event).values(**_values(changes), changed_at=func.now())
        )
        return await _found(connection, event)


async def archive_event(
    app: AsyncEngine, reseller: EntityId, event: EntityId
) -> Event | UnknownEvent | StillSelling:
    """Put one away: nobody else sees it nor its shows, and no show can name it anew.

    Refused while a show to come of it sells.
    """
    async with tenant_transaction(app, reseller) as connection:
        put = await put_away(connection, events, event, shows.c.event_id == event)
        if isinstance(put, StillSelling):
            return put
        return await _found(connection, event) if put else UnknownEvent()


async def restore_event(
    app: AsyncEngine, reseller: EntityId, event: EntityId
) -> Event | UnknownEvent:
    """Take one that is archived back."""
    async with tenant_transaction(app, reseller) as connection:
        there = await take_back(connection, events, event)
        return await _found(connection, event) if there else UnknownEvent()


async def _is_there(connection: AsyncConnection, event: EntityId, *, lock: bool = False) -> bool:
    query = select(_one.id).where(_one.id == event)
    if lock:
        query = query.with_for_update(key_share=True)
    return (await connection.execute(query)).first() is not None


async def _found(connection: AsyncConnection, event: EntityId) -> Event:
    row = (await connection.execute(_OWN.where(_one.id == event))).mappings().one()
    bills = await bills_of(connection, [event])
    return _read(row, bills.get(event, ()))


def _values(told: NewEvent | EventChanges) -> dict[str, Any]:
    """Return the columns of what was told."""
    values: dict[str, Any] = msgspec.to_builtins(told, builtin_types=(datetime,))
    values.pop("performers", None)
    return values


def _read(row: Mapping[Any, Any], bill: Bill) -> Event:
    # Its keys are no plain `str`.
    columns = {str(name): value for name, value in row.items()}
    return msgspec.convert({**columns, "bill": bill}, Event)
