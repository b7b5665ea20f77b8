"""Looks at shows: the list of one's own, and all that is told of one besides what it sells from."""

from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from engine.catalog.transitions import ShowState
from engine.platform.driver import Row, prepare
from engine.platform.ids import EntityId
from engine.platform.tenant_reads import TenantReads

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
    inventory_version: int
    has_step_ahead: bool
    """Whether its prices have a step that is to come."""


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
    reads: TenantReads, reseller: EntityId, *, after: EntityId | None, limit: int
) -> list[ListedShow]:
    """Return a reseller's shows, the newest first, from behind the show `after`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    told = {"after": after, "most": min(limit, PAGE_MAX)}
    async with reads.of(reseller) as reading:
        rows = await reading.fetch(_FIRST if after is None else _NEXT, told)
    now = datetime.now(UTC)
    return [
        ListedShow(**{name: row[name] for name in _AS_THEY_ARE}, **_told(row, now)) for row in rows
    ]


async def read_life(reads: TenantReads, reseller: EntityId, show: EntityId) -> ShowLife | None:
    """Return what a show of the reseller's is now; None if there is none. Raises as `list_shows`.

    A reseller's own changes that they were told of are in it.
    """
    async with reads.of(reseller) as reading:
        rows = await reading.fetch(_LIFE, {"show": show})
    if not rows:
        return None
    (row,) = rows
    found = {name: row[name] for name in _LIFE_AS_IT_IS} | _told(row, datetime.now(UTC))
    return ShowLife(**found, payment_methods=tuple(row["payment_methods"]))


def _told(row: Row, now: datetime) -> dict[str, Any]:
    state = told_state(row["state"], is_sold_out=row["is_sold_out"])
    return {"state": state, "selling": is_selling(state, row["opens_at"], row["closes_at"], now)}


_SOLD_OUT: Final = "coalesce(told_shows.sold_out, false) AS is_sold_out"
_WITH_TOLD: Final = "LEFT JOIN told_shows ON told_shows.show_id = shows.id"
_LIST_SQL: Final = (
    "SELECT shows.id, shows.name, shows.venue, starts_at, opens_at, closes_at, state, currency,"  # noqa: S608 - our own names
    f" seat_count, {_SOLD_OUT} FROM shows JOIN manifests ON manifests.id = manifest_id {_WITH_TOLD}"
)
_NEWEST_FIRST: Final = " ORDER BY shows.created_at DESC, shows.id DESC LIMIT :most"
_FIRST: Final = prepare(_LIST_SQL + _NEWEST_FIRST)
_NEXT: Final = prepare(
    f"{_LIST_SQL} WHERE (shows.created_at, shows.id) <"  # noqa: S608 - as above
    f" (SELECT created_at, id FROM shows WHERE id = :after) {_NEWEST_FIRST}"
)
_LIFE: Final = prepare(
    "SELECT name, venue, starts_at, opens_at, closes_at, doors_at, duration_min, state,"  # noqa: S608 - our own names
    " event_id AS event, configuration_id AS configuration, configuration_version, visibility,"
    " public_from, hold_ttl_s, payment_methods, follows_show_id AS follows,"
    f" opens_when_first_sells_out, archived_at, inventory_version, {_SOLD_OUT}, EXISTS"
    " (SELECT FROM price_steps WHERE price_steps.show_id = shows.id AND came_at IS NULL)"
    f" AS has_step_ahead FROM shows {_WITH_TOLD} WHERE shows.id = :show"
)
_MADE_HERE: Final = frozenset({"state", "selling", "payment_methods"})
_AS_THEY_ARE: Final = tuple(name for name in ListedShow.__struct_fields__ if name not in _MADE_HERE)
_LIFE_AS_IT_IS: Final = tuple(name for name in ShowLife.__struct_fields__ if name not in _MADE_HERE)
