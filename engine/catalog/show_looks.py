"""Looks at shows: the list of one's own, and all that is told of one besides what it sells from."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.transitions import ShowState
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import manifests, shows, told_shows

PAGE_MAX: Final = 200
SOLD_OUT: Final = "sold_out"
"""What is told in the place of `on_sale` when nothing is left, by the ledger."""


class ListedShow(Struct, frozen=True, kw_only=True):
    """A show in a list."""

    id: EntityId
    name: str
    venue: str
    starts_at: datetime
    opens_at: datetime
    closes_at: datetime | None
    state: str
    """As it is told: see `told_state`."""
    selling: bool
    currency: str
    seat_count: int
    created_at: datetime


class ShowLife(Struct, frozen=True, kw_only=True):
    """What a show is beside its inventory: of which event, when, seen by whom, in which state."""

    state: str
    """As it is told: see `told_state`."""
    selling: bool
    """Whether it takes holds, as far as the clock here and the ledger know."""
    name: str
    venue: str
    starts_at: datetime
    opens_at: datetime
    closes_at: datetime | None
    doors_at: datetime | None
    duration_min: int | None
    event: EntityId | None
    configuration: EntityId | None
    configuration_version: int | None
    visibility: str
    public_from: datetime | None
    hold_ttl_s: int
    payment_methods: tuple[str, ...]
    follows: EntityId | None
    """The first date, of which it is another."""
    opens_when_first_sells_out: bool
    archived_at: datetime | None


def told_state(state: str, *, is_sold_out: bool) -> str:
    """Return the word for a show's state outside: one on sale may be sold out."""
    return SOLD_OUT if is_sold_out and state == ShowState.ON_SALE else state


def is_selling(
    state: str, opens_at: datetime, closes_at: datetime | None, now: datetime | None = None
) -> bool:
    """Whether a show that is told so takes holds now."""
    now = now or datetime.now(UTC)
    is_open = opens_at <= now and (closes_at is None or now < closes_at)
    return state == ShowState.ON_SALE and is_open


async def list_shows(
    app: AsyncEngine, reseller: EntityId, *, after: EntityId | None, limit: int
) -> list[ListedShow]:
    """Return a reseller's shows, the newest first, from behind the show `after`."""
    query = (
        select(*(shows.c[name] for name in _LISTED), manifests.c.seat_count, _SOLD_OUT)
        .join(manifests, manifests.c.id == shows.c.manifest_id)
        .outerjoin(told_shows, told_shows.c.show_id == shows.c.id)
        .order_by(shows.c.created_at.desc(), shows.c.id.desc())
        .limit(min(limit, PAGE_MAX))
    )
    if after is not None:
        place = select(shows.c.created_at, shows.c.id).where(shows.c.id == after).subquery()
        query = query.where(
            tuple_(shows.c.created_at, shows.c.id)
            < select(place.c.created_at, place.c.id).scalar_subquery()
        )
    async with tenant_transaction(app, reseller) as connection:
        rows = (await connection.execute(query)).mappings().all()
    return [
        ListedShow(**{name: row[name] for name in (*_LISTED, "seat_count")} | _told(row))
        for row in rows
    ]


async def read_life(app: AsyncEngine, reseller: EntityId, show: EntityId) -> ShowLife | None:
    """Return what a show of the reseller's is now; None if there is none.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with tenant_transaction(app, reseller) as connection:
        return await find_life(connection, show)


async def find_life(connection: AsyncConnection, show: EntityId) -> ShowLife | None:
    """Return what a show is, as the caller's transaction sees it."""
    query = (
        select(shows, _SOLD_OUT)
        .outerjoin(told_shows, told_shows.c.show_id == shows.c.id)
        .where(shows.c.id == show)
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        return None
    found: dict[str, Any] = {name: row[name] for name in ShowLife.__struct_fields__ if name in row}
    found |= _told(row)
    found |= {"event": row["event_id"], "configuration": row["configuration_id"]}
    found |= {"follows": row["follows_show_id"], "payment_methods": tuple(row["payment_methods"])}
    return ShowLife(**found)


def _told(row: Mapping[Any, Any]) -> dict[str, Any]:
    state = told_state(row["state"], is_sold_out=row["is_sold_out"])
    return {"state": state, "selling": is_selling(state, row["opens_at"], row["closes_at"])}


_SOLD_OUT: Final = func.coalesce(told_shows.c.sold_out, False).label("is_sold_out")
_LISTED: Final = (
    "id",
    "name",
    "venue",
    "starts_at",
    "opens_at",
    "closes_at",
    "state",
    "currency",
    "created_at",
)
