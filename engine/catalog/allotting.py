"""Makes allotments.

What an allotment takes from everybody the store has first, inside the transaction, as it has what
the house withholds: it refuses places that somebody holds or has bought. Who asks the store by an
older inventory version is refused until the ledger has the newer one, so nobody holds a place of it
in between. docs/decisions/0043-allotments.md has why.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.allotments import COLUMNS, AllotmentRow, row_of
from engine.catalog.released import may_sell
from engine.catalog.share_moves import move_places, raise_version
from engine.facts.log import NewFact, add_facts
from engine.facts.types import AllotmentMade, FactType
from engine.inventory.allotments import LIVING_MAX, Share, ranges_of
from engine.inventory.commands import Areas, Recovering
from engine.inventory.edits import (
    EDITS_MAX,
    EditRefused,
    NotEditedError,
)
from engine.inventory.house import (
    Change,
    PlacesRefused,
    RefusedError,
    apply,
    lock_show,
    refuse_taken,
)
from engine.inventory.ledgered import read_blocks
from engine.inventory.rebuild import HouseBlocks
from engine.inventory.shows import Show, ShowBook, read_overlay
from engine.inventory.withheld import Places, ShortError, erase_blocks
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Ids, Prefix, new_entity_id
from engine.platform.redis import Store
from engine.platform.tables import allotments

MADE_MAX: Final = 1000
"""Over a show's life."""

_log = structlog.stdlib.get_logger(__name__)
_REDRAWN: Final = 0
"""No edit of places, but whoever watches them is to read them anew."""


class NewAllotment(Struct, frozen=True, kw_only=True):
    """What is to be for whom. Seats are positions, areas and levels are indexes."""

    name: str
    seats: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
    """All of these that is neither withheld nor another allotment's."""
    is_all: bool = False
    areas: Areas = ()
    """Areas and how many of their open places."""
    withheld_areas: Areas = ()
    """Areas and how many of the places that the house withholds there."""
    asked: dict[str, Any]
    """The places, in the words of who asked."""
    code_digests: frozenset[bytes]
    channels: frozenset[str]
    is_personal: bool
    sellers: frozenset[EntityId] = frozenset()
    """Other resellers, who may sell them."""
    begins_at: datetime | None
    ends_at: datetime | None


class TooManyAllotments(Struct, frozen=True):
    """Nothing was made: the show has as many as it can have."""

    most: int


class NothingToAllot(Struct, frozen=True):
    """Nothing was made: there is no such place."""


class UnknownSellers(Struct, frozen=True):
    """Nothing was made: these are no other resellers that may sell for this one."""

    sellers: frozenset[EntityId]


Refused = PlacesRefused | TooManyAllotments | NothingToAllot | UnknownSellers | Recovering
Remember = Callable[[AsyncConnection, AllotmentRow], Awaitable[None]]


class _Chosen(Struct, frozen=True):
    """What a new allotment gets: seats, places of areas, and what of both is withheld now."""

    seats: tuple[int, ...]
    areas: Areas
    withheld: Places


_NotMade = PlacesRefused | TooManyAllotments | NothingToAllot | UnknownSellers


class _NotMadeError(Exception):
    """Rolls the transaction back, and carries why."""

    def __init__(self, why: _NotMade) -> None:
        super().__init__(repr(why))
        self.why = why


async def make_allotment(  # noqa: PLR0913, PLR0917 - the stores, and a request's parts
    app: AsyncEngine,
    redis: Store,
    book: ShowBook,
    ids: Ids,
    show: Show,
    new: NewAllotment,
    remember: Remember,
) -> AllotmentRow | Refused:
    """Keep places for who has a right to them, all of these or none.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
            If it was after Redis had it, the workers take the show back to what it was.
    """
    try:
        async with tenant_transaction(app, show.reseller) as connection:
            locked = await lock_show(connection, show.id)
            current = await book.read(connection, show.id)
            await _check_sellers(connection, new.sellers)
            number = await _next_number(connection, current)
            chosen = _choose(current, new, await read_blocks(connection, show.id))
            first = len(current.manifest.areas)
            shares = [Share(area, first + n, count) for n, (area, count) in enumerate(chosen.areas)]
            edit_no = current.edit_no + 1 if shares else _REDRAWN
            change = Change(
                unblock=chosen.withheld,
                must_be_free=chosen.seats,
                moves=shares,
                fields=("edit_no", str(edit_no)) if shares else (),
                edit_no=edit_no,
            )
            if not locked.is_stored:
                await _refuse_unstored(connection, current, change, chosen.withheld)
            await erase_blocks(connection, current, chosen.withheld)
            if shares:
                overlay = await read_overlay(connection, current)
                begun = [(share.area, share.places) for share in shares]
                overlay = replace(overlay, shares=(*overlay.shares, *begun))
                taken = [(share.area, share.share, share.places) for share in shares]
                await move_places(connection, current, overlay, taken, new.name)
            else:
                await raise_version(connection, show.id)
            row = await _write(connection, current, new, number, chosen.seats, shares)
            await _tell_made(connection, ids, row)
            await remember(connection, row)
            if locked.is_stored:
                await apply(redis, current.keys, locked.now, change)
    except _NotMadeError as refused:
        return refused.why
    except NotEditedError as refused:
        why = refused.why
        return PlacesRefused((), why.areas) if isinstance(why, EditRefused) else Recovering()
    except ShortError as short:
        return PlacesRefused((), tuple((area, 0) for area in short.areas))
    except RefusedError as refused:
        return refused.refusal
    return row


async def _check_sellers(connection: AsyncConnection, sellers: Collection[EntityId]) -> None:
    unknown = [one for one in sellers if not await may_sell(connection, one)]
    if unknown:
        raise _NotMadeError(UnknownSellers(frozenset(unknown)))


async def _next_number(connection: AsyncConnection, show: Show) -> int:
    made = select(func.coalesce(func.max(allotments.c.allotment_no), 0)).where(
        allotments.c.show_id == show.id
    )
    number = int((await connection.execute(made)).scalar_one()) + 1
    if number > MADE_MAX:
        raise _NotMadeError(TooManyAllotments(MADE_MAX))
    if len(show.allotments.living) >= LIVING_MAX:
        raise _NotMadeError(TooManyAllotments(LIVING_MAX))
    return number


def _choose(show: Show, new: NewAllotment, blocks: HouseBlocks) -> _Chosen:
    """Return which places a new allotment gets.

    What is named may be withheld by the house; of what is not named, it is what nobody has asked
    for: neither the house nor another allotment.
    """
    manifest, living = show.manifest, show.allotments
    withheld = frozenset(blocks.seats)
    named = frozenset(new.seats)
    taken = tuple(sorted(n for n in named if not manifest.is_seat(n) or living.is_foreign(n)))
    if taken:
        raise _NotMadeError(PlacesRefused(taken, ()))
    levels = frozenset(range(len(manifest.levels)) if new.is_all else new.levels)
    swept = (
        seat
        for seat in (manifest.positions() if levels else ())
        if manifest.level_by_position[seat] in levels
        and seat not in withheld
        and not living.is_foreign(seat)
    )
    seats = tuple(sorted(named.union(swept)))
    areas = Counter(dict(new.areas)) + Counter(dict(new.withheld_areas))
    areas.update(_rest_of_areas(show, levels, dict(blocks.areas), dict(new.areas)))
    if not seats and not areas:
        raise _NotMadeError(NothingToAllot())
    if areas and show.edit_no >= EDITS_MAX:
        raise _NotMadeError(TooManyAllotments(EDITS_MAX))
    return _Chosen(
        seats,
        tuple(sorted(areas.items())),
        Places(tuple(sorted(named & withheld)), new.withheld_areas),
    )


def _rest_of_areas(
    show: Show, levels: Collection[int], withheld: dict[int, int], named: dict[int, int]
) -> dict[int, int]:
    """Return what areas of these price levels have that is neither withheld nor named."""
    manifest = show.manifest
    rest: dict[int, int] = {}
    for n, area in enumerate(manifest.areas):
        count = area.capacity - withheld.get(n, 0) - named.get(n, 0)
        is_one = area.parent is None and manifest.level_by_slug[area.price_level] in levels
        if is_one and count > 0:
            rest[n] = count
    return rest


async def _refuse_unstored(
    connection: AsyncConnection, show: Show, change: Change, withheld: Places
) -> None:
    """Refuse what the store would, of a show that it does not have."""
    given = Counter(dict(withheld.areas))
    moves = [
        (area, other, count - given[area])
        for area, other, count in change.moves
        if count is not None and count > given[area]
    ]
    await refuse_taken(connection, show, replace(change, moves=moves))


async def _write(  # noqa: PLR0913, PLR0917 - what it is made of
    connection: AsyncConnection,
    show: Show,
    new: NewAllotment,
    number: int,
    seats: Iterable[int],
    shares: Sequence[Share],
) -> AllotmentRow:
    made = await connection.execute(
        insert(allotments)
        .values(
            id=new_entity_id(),
            reseller_id=show.reseller,
            show_id=show.id,
            allotment_no=number,
            name=new.name,
            asked=new.asked,
            seats=ranges_of(seats),
            shares=msgspec.to_builtins(shares),
            code_digests=sorted(new.code_digests),
            channels=sorted(new.channels),
            is_personal=new.is_personal,
            sellers=sorted(new.sellers),
            begins_at=new.begins_at,
            ends_at=new.ends_at,
            inventory_version=show.inventory_version + 1,
            places_left=sum(share.places for share in shares),
        )
        .returning(*COLUMNS)
    )
    return row_of(made.mappings().one())


async def _tell_made(connection: AsyncConnection, ids: Ids, row: AllotmentRow) -> None:
    data = AllotmentMade(
        show=ids.entity(Prefix.SHOW, row.show_id),
        name=row.name,
        seats=row.seat_count,
        places=row.place_count,
        begins_at=row.begins_at,
        ends_at=row.ends_at,
        inventory_version=row.inventory_version,
    )
    named = ids.entity(Prefix.ALLOTMENT, row.id)
    fact = NewFact(FactType.ALLOTMENT_MADE, named, data, row.show_id, row.created_at)
    await add_facts(connection, row.reseller_id, [fact])
