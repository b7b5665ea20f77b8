"""Makes allotments, ends them, and tells what became of them.

What an allotment takes from everybody the store has first, inside the transaction, as it has what
the house withholds: it refuses places that somebody holds or has bought. Who asks the store by an
older inventory version is refused until the ledger has the newer one, so nobody holds a place of it
in between. docs/decisions/0043-allotments.md has why.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import NewFact, add_facts
from engine.facts.types import AllotmentEnded, AllotmentMade, FactType
from engine.inventory.allotments import LIVING_MAX, Ranges, Share, ranges_of
from engine.inventory.commands import Recovering
from engine.inventory.house import (
    Change,
    OpenLedger,
    PlacesRefused,
    RefusedError,
    apply,
    lock_show,
    refuse_taken,
)
from engine.inventory.keys import show_keys
from engine.inventory.shows import Show, ShowBook
from engine.inventory.withheld import Places, erase_blocks
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Ids, Prefix, new_entity_id
from engine.platform.redis import Store
from engine.platform.tables import allotments, seat_blocks, shows

MADE_MAX: Final = 1000
"""Over a show's life."""

_REDRAWN: Final = 0
"""No edit of places, but whoever watches them is to read them anew."""


class NewAllotment(Struct, frozen=True, kw_only=True):
    """What is to be for whom. Seats are positions, price levels indexes; times have an offset."""

    name: str
    seats: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
    """All of these that is neither withheld nor another allotment's."""
    is_all: bool = False
    asked: dict[str, Any]
    """The places, in the words of who asked."""
    code_digests: frozenset[bytes]
    channels: frozenset[str]
    is_personal: bool
    begins_at: datetime | None
    ends_at: datetime | None


class AllotmentRow(Struct, frozen=True, kw_only=True):
    """An allotment as the ledger has it."""

    id: EntityId
    reseller_id: EntityId
    show_id: EntityId
    allotment_no: int
    name: str
    asked: dict[str, Any]
    seats: Ranges
    shares: tuple[Share, ...]
    code_digests: list[bytes]
    channels: list[str]
    is_personal: bool
    begins_at: datetime | None
    ends_at: datetime | None
    inventory_version: int
    created_at: datetime
    ended_at: datetime | None
    ended_by: str | None

    @property
    def seat_count(self) -> int:
        """Return how many seats it has."""
        return sum(end - start for start, end in self.seats)

    @property
    def place_count(self) -> int:
        """Return how many places of areas it was made with."""
        return sum(share.places for share in self.shares)


class TooManyAllotments(Struct, frozen=True):
    """Nothing was made: the show has as many as it can have."""

    most: int


class NothingToAllot(Struct, frozen=True):
    """Nothing was made: there is no such place."""


Refused = PlacesRefused | TooManyAllotments | NothingToAllot | Recovering
Remember = Callable[[AsyncConnection, AllotmentRow], Awaitable[None]]

_DUE: Final = text(
    "SELECT id, show_id, reseller_id FROM allotments"
    " WHERE ended_at IS NULL AND ends_at <= now() ORDER BY ends_at LIMIT :most"
)
_ROW: Final = select(*(allotments.c[name] for name in AllotmentRow.__struct_fields__))


class UnknownAllotmentError(LookupError):
    """No such allotment, or somebody else's."""


class _NotMadeError(Exception):
    """Rolls the transaction back, and carries why."""

    def __init__(self, why: PlacesRefused | TooManyAllotments | NothingToAllot) -> None:
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
            number = await _next_number(connection, current)
            seats, withheld = await _choose_seats(connection, current, new)
            change = Change(unblock=Places(withheld), must_be_free=seats, edit_no=_REDRAWN)
            if not locked.is_stored:
                await refuse_taken(connection, current, change)
            await erase_blocks(connection, current, Places(withheld))
            row = await _write(connection, current, new, number, seats)
            await _tell_made(connection, ids, row)
            await remember(connection, row)
            if locked.is_stored:
                await apply(redis, current.keys, locked.now, change)
    except _NotMadeError as refused:
        return refused.why
    except RefusedError as refused:
        return refused.refusal
    return row


async def end_allotment(  # noqa: PLR0913 - the stores, and what is named
    open_ledger: OpenLedger, redis: Store, ids: Ids, *, show: int, allotment: int, by: str
) -> Recovering | None:
    """Give an allotment's places to everybody; one that has ended already stays as it is.

    What is held by a right stays held, and is bought or goes to everybody.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
            If it was after Redis had it, the workers take the show back to what it was.
    """
    try:
        async with open_ledger() as connection:
            locked = await lock_show(connection, show)
            ended = await connection.execute(
                update(allotments)
                .where(allotments.c.id == allotment, allotments.c.ended_at.is_(None))
                .values(ended_at=datetime.now(UTC), ended_by=by)
                .returning(*_ROW.selected_columns)
            )
            found = ended.mappings().one_or_none()
            if found is None:
                return None
            row = _row(found)
            await _raise_version(connection, show)
            await _tell_ended(connection, ids, row)
            if locked.is_stored:
                await apply(redis, show_keys(show), locked.now, Change(edit_no=_REDRAWN))
    except RefusedError:
        return Recovering()
    return None


async def read_allotment(app: AsyncEngine, reseller: EntityId, allotment: EntityId) -> AllotmentRow:
    """Return an allotment.

    Raises:
        UnknownAllotmentError: the reseller has no such.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with tenant_transaction(app, reseller) as connection:
        found = await connection.execute(_ROW.where(allotments.c.id == allotment))
        row = found.mappings().one_or_none()
    if row is None:
        raise UnknownAllotmentError(allotment)
    return _row(row)


async def list_allotments(
    app: AsyncEngine, show: Show, *, before: int | None, limit: int
) -> list[AllotmentRow]:
    """Return a show's allotments, the newest first, from before the one of a number.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    query = _ROW.where(allotments.c.show_id == show.id)
    if before is not None:
        query = query.where(allotments.c.allotment_no < before)
    async with tenant_transaction(app, show.reseller) as connection:
        rows = await connection.execute(
            query.order_by(allotments.c.allotment_no.desc()).limit(limit)
        )
        return [_row(row) for row in rows.mappings()]


class DueAllotment(Struct, frozen=True):
    """An allotment whose time is over, and that lives still."""

    id: EntityId
    show: EntityId
    reseller: EntityId


async def find_due(engine: AsyncEngine, *, most: int) -> list[DueAllotment]:
    """Return allotments that are to end now, as the recorder's role sees them.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with engine.connect() as connection:
        rows = (await connection.execute(_DUE, {"most": most})).all()
    return [DueAllotment(EntityId(row[0]), EntityId(row[1]), EntityId(row[2])) for row in rows]


def ledger_of(app: AsyncEngine, reseller: EntityId) -> OpenLedger:
    """Return what opens the ledger for a reseller's change."""
    return partial(tenant_transaction, app, reseller)


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


async def _choose_seats(
    connection: AsyncConnection, show: Show, new: NewAllotment
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the seats that are to be allotted, and those of them that the house withholds."""
    manifest, living = show.manifest, show.allotments
    rows = select(seat_blocks.c.seat_index).where(seat_blocks.c.show_id == show.id)
    withheld = frozenset((await connection.execute(rows)).scalars())
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
    if not seats:
        raise _NotMadeError(NothingToAllot())
    return seats, tuple(sorted(named & withheld))


async def _write(
    connection: AsyncConnection,
    show: Show,
    new: NewAllotment,
    number: int,
    seats: Iterable[int],
) -> AllotmentRow:
    await _raise_version(connection, show.id)
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
            shares=[],
            code_digests=sorted(new.code_digests),
            channels=sorted(new.channels),
            is_personal=new.is_personal,
            begins_at=new.begins_at,
            ends_at=new.ends_at,
            inventory_version=show.inventory_version + 1,
            places_left=0,
        )
        .returning(*_ROW.selected_columns)
    )
    return _row(made.mappings().one())


async def _raise_version(connection: AsyncConnection, show: int) -> None:
    await connection.execute(
        update(shows)
        .where(shows.c.id == show)
        .values(inventory_version=shows.c.inventory_version + 1)
    )


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


async def _tell_ended(connection: AsyncConnection, ids: Ids, row: AllotmentRow) -> None:
    assert row.ended_at is not None  # noqa: S101 - as `end_allotment` wrote it
    data = AllotmentEnded(
        show=ids.entity(Prefix.SHOW, row.show_id),
        name=row.name,
        reason="time" if row.ended_by == "time" else "request",
    )
    named = ids.entity(Prefix.ALLOTMENT, row.id)
    fact = NewFact(FactType.ALLOTMENT_ENDED, named, data, row.show_id, row.ended_at)
    await add_facts(connection, row.reseller_id, [fact])


def _row(found: Any) -> AllotmentRow:  # noqa: ANN401 - a row
    named = dict(found)
    named["seats"] = msgspec.convert(named["seats"], Ranges)
    named["shares"] = msgspec.convert(named["shares"], tuple[Share, ...])
    return AllotmentRow(**named)
