"""Edits of a show's map while it sells: other price levels, capacities, seats out and back in.

A list of edits is done whole or not at all. What takes places away, or asks that nobody has a seat,
is done by the store first, which may refuse, and committed after; what gives more for sale is
committed first. So a list with both takes two steps, and two inventory versions. Every edit makes
the next price version, with the same prices: a sale is priced by the levels of its price version.
docs/decisions/0042-edits.md has why.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import NewFact, add_facts
from engine.facts.types import FactType, ShowInventoryChanged
from engine.inventory.commands import Areas, Recovering
from engine.inventory.house import (
    Change,
    PlacesRefused,
    RefusedError,
    apply,
    complete,
    lock_unended,
    refuse_taken,
)
from engine.inventory.manifest import Manifest
from engine.inventory.overlay import Overlay
from engine.inventory.price_versions import copy_price_version
from engine.inventory.shows import Show, ShowBook, read_overlay
from engine.platform.database import tenant_transaction
from engine.platform.ids import Ids, Prefix
from engine.platform.redis import Store
from engine.platform.tables import (
    area_sales,
    seat_blocks,
    show_edits,
    shows,
)

EDITS_MAX: Final = 10_000
"""Of one show: each makes a price version, of which a hold's record can tell 65 535 apart."""


class MapEdit(Struct, frozen=True, kw_only=True):
    """What is to be otherwise, by position and index. What is so already stays."""

    levels: Mapping[int, int] = {}
    """Seats and the index of the price level that they move to."""
    area_levels: Mapping[int, int] = {}
    capacities: Mapping[int, int] = {}
    take_out: Sequence[int] = ()
    put_back: Sequence[int] = ()
    reason: str = ""
    asked: Sequence[Mapping[str, Any]] = ()
    """The edits in the words of who asked, to be told by the list of them."""
    inventory_version: int | None = None
    """The one that it is made for; None: whichever there is."""


class EditMade(Struct, frozen=True, kw_only=True):
    """Both stores have it. Without a change there is no new version, and no number."""

    edit_no: int | None
    inventory_version: int
    price_version: int
    seats_moved: int = 0
    seats_taken_out: int = 0
    seats_put_back: int = 0


class EditRefused(Struct, frozen=True):
    """Nothing was changed: these seats are held or sold, these areas have only so many open."""

    seats: tuple[int, ...]
    areas: Areas


class VersionPassed(Struct, frozen=True):
    """Nothing was changed: somebody changed the show's inventory since."""

    inventory_version: int


class TooManyEdits(Struct, frozen=True):
    """Nothing was changed: the show has as many edits as it can have."""

    most: int


Outcome = EditMade | EditRefused | VersionPassed | TooManyEdits | Recovering
Remember = Callable[[AsyncConnection, EditMade], Awaitable[None]]


class NotEditedError(Exception):
    """Rolls the transaction back, and carries why."""

    def __init__(self, why: VersionPassed | TooManyEdits | EditRefused) -> None:
        """Take why."""
        self.why = why


class Steps(Struct, frozen=True, kw_only=True):
    """What an edit changes of how a show stands."""

    levels: dict[int, int]
    area_levels: dict[int, int]
    capacities: dict[int, int]
    taken_out: list[int]
    put_back: list[int]
    less: Change | None
    """What the store has to agree to, before it is committed."""
    more: Change | None

    @property
    def is_nothing(self) -> bool:
        """Tell whether all was so already."""
        return self.less is None and self.more is None

    @property
    def versions(self) -> int:
        """How many inventory versions it makes."""
        return (self.less is not None) + (self.more is not None)


async def edit_show(  # noqa: PLR0913, PLR0917 - the stores, and a request's parts
    app: AsyncEngine,
    redis: Store,
    book: ShowBook,
    ids: Ids,
    show: Show,
    wanted: MapEdit,
    remember: Remember,
) -> Outcome:
    """Do a list of edits, whole or not at all.

    Raises:
        ShowOverError: the show is cancelled or past.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
            If it was after Redis had it, the workers take the show back to what it was.
    """
    try:
        async with tenant_transaction(app, show.reseller) as connection:
            locked = await lock_unended(connection, show.id)
            now = locked.now
            steps, made = await _decide(connection, book, ids, show.id, wanted)
            await remember(connection, made)
            if steps.less is not None and locked.is_stored:
                await apply(redis, show.keys, now, steps.less)
                now = now[0], now[1] + 1
    except NotEditedError as passed:
        return passed.why
    except RefusedError as refused:
        why = refused.refusal
        return EditRefused(why.seats, why.areas) if isinstance(why, PlacesRefused) else why
    if steps.more is not None and locked.is_stored:
        open_ledger = partial(tenant_transaction, app, show.reseller)
        await complete(open_ledger, redis, show.id, now, steps.more)
    return made


async def _decide(
    connection: AsyncConnection, book: ShowBook, ids: Ids, show: int, wanted: MapEdit
) -> tuple[Steps, EditMade]:
    """Write what is to be; the show's row is locked."""
    current = await book.read(connection, show)
    if wanted.inventory_version not in {None, current.inventory_version}:
        raise NotEditedError(VersionPassed(current.inventory_version))
    edit_no = current.edit_no + 1
    if edit_no > EDITS_MAX:
        raise NotEditedError(TooManyEdits(EDITS_MAX))
    wanted = _without_shares(current.manifest, wanted)
    withheld = await _withheld(connection, current, wanted.put_back)
    steps = plan_steps(current.manifest, wanted, edit_no, withheld)
    made = _made(current, edit_no, steps)
    if steps.less is not None and not current.is_stored:
        await refuse_taken(connection, current, steps.less)
    if not steps.is_nothing:
        await _write(connection, ids, current, wanted, steps, made)
    return steps, made


def _without_shares(manifest: Manifest, wanted: MapEdit) -> MapEdit:
    """Return edits with the capacities of areas less what others have a share of."""
    capacities: dict[int, int] = {}
    for area, all_places in manifest.areas_told():
        if area in wanted.capacities:
            own = manifest.areas[area].capacity
            capacities[area] = wanted.capacities[area] - (all_places.capacity - own)
            if capacities[area] < 0:
                raise NotEditedError(EditRefused((), ((area, own),)))
    return replace(wanted, capacities=capacities)


def plan_steps(
    manifest: Manifest, wanted: MapEdit, edit_no: int, withheld: Collection[int]
) -> Steps:
    """Part what changes something into what the store must agree to, and what gives more.

    `withheld` are the seats that the house withholds: they come back as that.
    """
    levels = {
        seat: level
        for seat, level in wanted.levels.items()
        if manifest.level_by_position[seat] != level
    }
    area_levels = {
        area: level
        for area, level in wanted.area_levels.items()
        if manifest.areas[area].price_level != manifest.levels[level].slug
    }
    added = {
        area: capacity - manifest.areas[area].capacity
        for area, capacity in wanted.capacities.items()
        if manifest.areas[area].capacity != capacity
    }
    free = sorted(seat for seat in levels if manifest.is_seat(seat))
    out = sorted(seat for seat in wanted.take_out if manifest.is_seat(seat))
    back = sorted(seat for seat in wanted.put_back if not manifest.is_seat(seat))
    fewer = tuple(sorted((area, count) for area, count in added.items() if count < 0))
    wider = tuple(sorted((area, count) for area, count in added.items() if count > 0))
    fields = ("edit_no", str(edit_no))
    less = more = None
    if back or wider:
        more = Change(
            fields=fields,
            put_back_open=[seat for seat in back if seat not in withheld],
            put_back_blocked=[seat for seat in back if seat in withheld],
            capacities=wider,
            edit_no=edit_no,
        )
    if free or out or fewer or ((levels or area_levels) and more is None):
        less = Change(
            fields=fields, must_be_free=free, take_out=out, capacities=fewer, edit_no=edit_no
        )
    return Steps(
        levels=levels,
        area_levels=area_levels,
        capacities={area: wanted.capacities[area] for area in added},
        taken_out=out,
        put_back=back,
        less=less,
        more=more,
    )


def _made(show: Show, edit_no: int, steps: Steps) -> EditMade:
    if steps.is_nothing:
        return EditMade(
            edit_no=None,
            inventory_version=show.inventory_version,
            price_version=show.price_version,
        )
    return EditMade(
        edit_no=edit_no,
        inventory_version=show.inventory_version + steps.versions,
        price_version=show.price_version + 1,
        seats_moved=len(steps.levels),
        seats_taken_out=len(steps.taken_out),
        seats_put_back=len(steps.put_back),
    )


async def _withheld(
    connection: AsyncConnection, show: Show, seats: Sequence[int]
) -> frozenset[int]:
    """Return those of the seats that the house withholds: they come back as that."""
    query = select(seat_blocks.c.seat_index).where(
        seat_blocks.c.show_id == show.id, seat_blocks.c.seat_index.in_(seats)
    )
    return frozenset((await connection.execute(query)).scalars()) if seats else frozenset()


async def _write(  # noqa: PLR0913, PLR0917 - what stands, and what is made of it
    connection: AsyncConnection,
    ids: Ids,
    show: Show,
    wanted: MapEdit,
    steps: Steps,
    made: EditMade,
) -> None:
    await set_capacities(connection, show, steps.capacities)
    overlay = await read_overlay(connection, show)
    after = overlay.with_changes(
        levels=steps.levels,
        taken_out=steps.taken_out,
        put_back=steps.put_back,
        area_levels=steps.area_levels,
        capacities=steps.capacities,
    )
    await keep_edit(connection, show, after, made, reason=wanted.reason, asked=wanted.asked)
    versions = {
        "inventory_version": made.inventory_version,
        "price_version": made.price_version,
    }
    told = {
        area: steps.capacities[area] + all_places.capacity - show.manifest.areas[area].capacity
        for area, all_places in show.manifest.areas_told()
        if area in steps.capacities
    }
    data = ShowInventoryChanged(
        **versions,
        seats_moved=made.seats_moved,
        seats_taken_out=made.seats_taken_out,
        seats_put_back=made.seats_put_back,
        capacities={show.manifest.areas[area].slug: n for area, n in told.items()},
    )
    named = ids.entity(Prefix.SHOW, show.id)
    fact = NewFact(FactType.SHOW_INVENTORY_CHANGED, named, data, show.id, datetime.now(UTC))
    await add_facts(connection, show.reseller, [fact])


async def keep_edit(  # noqa: PLR0913 - what stands, and what is made of it
    connection: AsyncConnection,
    show: Show,
    after: Overlay,
    made: EditMade,
    *,
    reason: str,
    asked: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Keep what a show's places are from now on, with the versions that this makes."""
    versions = {
        "inventory_version": made.inventory_version,
        "price_version": made.price_version,
    }
    await copy_price_version(connection, show.id, show.reseller)
    await connection.execute(
        update(shows).where(shows.c.id == show.id).values(inventory_version=made.inventory_version)
    )
    await connection.execute(
        insert(show_edits).values(
            show_id=show.id,
            edit_no=made.edit_no,
            reseller_id=show.reseller,
            reason=reason,
            asked=list(asked),
            overlay=msgspec.to_builtins(after),
            seats_moved=made.seats_moved,
            seats_taken_out=made.seats_taken_out,
            seats_put_back=made.seats_put_back,
            seats_removed=after.seats_removed,
            **versions,
        )
    )


async def set_capacities(
    connection: AsyncConnection, show: Show, capacities: Mapping[int, int]
) -> None:
    """Let the ledger's last fence count by them: before a raise sells, and after a lowering.

    What the store has sold the ledger may not have yet, so a lowering is the store's to refuse; the
    ledger refuses one below its own count.
    """
    of_show = area_sales.c.show_id == show.id
    for area, capacity in sorted(capacities.items()):
        query = select(area_sales.c.sold).where(of_show, area_sales.c.area_index == area)
        sold = (await connection.execute(query.with_for_update())).scalar() or 0
        if sold > capacity:
            left = max(show.manifest.areas[area].capacity - sold, 0)
            raise NotEditedError(EditRefused((), ((area, left),)))
        row = upsert(area_sales).values(
            show_id=show.id,
            reseller_id=show.reseller,
            area_index=area,
            capacity=capacity,
            sold=0,  # unless there is a row
        )
        await connection.execute(
            row.on_conflict_do_update(
                index_elements=["show_id", "area_index"], set_={"capacity": capacity}
            )
        )


class EditRow(Struct, frozen=True, kw_only=True):
    """An edit that was done."""

    edit_no: int
    inventory_version: int
    price_version: int
    reason: str
    asked: list[dict[str, Any]]
    seats_moved: int
    seats_taken_out: int
    seats_put_back: int
    created_at: datetime


_LISTED: Final = select(*(show_edits.c[name] for name in EditRow.__struct_fields__))


async def list_edits(
    app: AsyncEngine, show: Show, *, before: int | None, limit: int
) -> list[EditRow]:
    """Return a show's edits, the newest first, from before the one of a number.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    query = _LISTED.where(show_edits.c.show_id == show.id)
    if before is not None:
        query = query.where(show_edits.c.edit_no < before)
    async with tenant_transaction(app, show.reseller) as connection:
        rows = await connection.execute(query.order_by(show_edits.c.edit_no.desc()).limit(limit))
        return [EditRow(**row) for row in rows.mappings()]
