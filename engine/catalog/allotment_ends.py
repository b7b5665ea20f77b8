"""Ends allotments, and gives back what was left of them.

docs/decisions/0043-allotments.md has why the stores come in this order.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.allotments import COLUMNS, ROW, AllotmentRow, row_of
from engine.catalog.share_moves import move_places, raise_version
from engine.facts.log import NewFact, add_facts
from engine.facts.types import AllotmentEnded, FactType
from engine.inventory.commands import Recovering
from engine.inventory.edits import EDITS_MAX
from engine.inventory.house import (
    Change,
    LockedShow,
    OpenLedger,
    RefusedError,
    apply,
    complete,
    lock_show,
)
from engine.inventory.keys import show_keys
from engine.inventory.records import unpack_area
from engine.inventory.shows import Show, ShowBook, read_overlay
from engine.platform.ids import Ids, Prefix
from engine.platform.redis import Store
from engine.platform.tables import allotments, area_sales

_TRIES: Final = 4
_REDRAWN: Final = 0
"""No edit of places, but whoever watches them is to read them anew."""

_log = structlog.stdlib.get_logger(__name__)


async def end_allotment(  # noqa: PLR0913 - the stores, and what is named
    open_ledger: OpenLedger,
    redis: Store,
    book: ShowBook,
    ids: Ids,
    *,
    show: int,
    allotment: int,
    by: str,
) -> Recovering | None:
    """Give an allotment's places to everybody; one that has ended already stays as it is.

    What is held by a right stays held, and is bought or goes to everybody: places of areas by
    `return_left`.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
            If it was after Redis had it, the workers take the show back to what it was.
    """

    async def end(connection: AsyncConnection) -> AllotmentRow | None:
        ended = await connection.execute(
            update(allotments)
            .where(allotments.c.id == allotment, allotments.c.ended_at.is_(None))
            .values(ended_at=datetime.now(UTC), ended_by=by)
            .returning(*COLUMNS)
        )
        found = ended.mappings().one_or_none()
        if found is None:
            return None
        row = row_of(found)
        await _tell_ended(connection, ids, row)
        return row

    return await _give_back(open_ledger, redis, book, show, end)


async def return_left(
    open_ledger: OpenLedger, redis: Store, book: ShowBook, *, show: int, allotment: int
) -> Recovering | None:
    """Give back what is open of the shares of an allotment that has ended. Raises as it did."""

    async def find(connection: AsyncConnection) -> AllotmentRow | None:
        query = ROW.where(allotments.c.id == allotment, allotments.c.ended_at.is_not(None))
        found = (await connection.execute(query)).mappings().one_or_none()
        return None if found is None else row_of(found)

    return await _give_back(open_ledger, redis, book, show, find)


async def _give_back(
    open_ledger: OpenLedger,
    redis: Store,
    book: ShowBook,
    show: int,
    find: Callable[[AsyncConnection], Awaitable[AllotmentRow | None]],
) -> Recovering | None:
    """Let a show forget an allotment, and move what is open of its shares back to their areas.

    The store has a move first, right before the commit: until then nobody knows that version, and
    all wait. What was open a moment ago may be held by then: it is looked up again, and in the end
    left to the store to say, for which all wait a little longer.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            async with open_ledger() as connection:
                locked = await lock_show(connection, show)
                row = await find(connection)
                if row is None:
                    return None
                if row.shares:
                    told = await _open_of(redis, show, row) if attempt < _TRIES else None
                    await _move_back(connection, redis, book, locked, row, told)
                else:
                    await raise_version(connection, show)
        except RefusedError as refused:
            if isinstance(refused.refusal, Recovering):
                return refused.refusal
        else:
            if locked.is_stored and not row.shares:
                # Once the ledger has it, it is done: the workers tell a store that did not hear.
                change = Change(edit_no=_REDRAWN)
                await complete(open_ledger, redis, show, locked.now, change)
            return None
    return Recovering()


async def _open_of(redis: Store, show: int, row: AllotmentRow) -> list[int]:
    """Return how many places of an allotment's shares are open just now."""
    shares = [str(share.share) for share in row.shares]
    pipeline = redis.pipeline(transaction=False)
    pipeline.hmget(show_keys(show).areas, shares)
    [found] = await pipeline.execute(raise_on_error=True)
    return [0 if packed is None else unpack_area(packed).open for packed in found]


async def _move_back(  # noqa: PLR0913, PLR0917 - the stores, and what stands in them
    connection: AsyncConnection,
    redis: Store,
    book: ShowBook,
    locked: LockedShow,
    row: AllotmentRow,
    told: Sequence[int] | None,
) -> None:
    current = await book.read(connection, row.show_id)
    if current.edit_no >= EDITS_MAX:
        _log.error("too many edits: places of an allotment stay off sale", show=row.show_id)
        await raise_version(connection, row.show_id)
        if locked.is_stored:
            await apply(redis, current.keys, locked.now, Change(edit_no=_REDRAWN))
        return
    edit_no = current.edit_no + 1
    if not locked.is_stored:
        await _keep_moved(connection, current, row, await _count_unsold(connection, current, row))
        return
    moves = [
        (share.share, share.area, count)
        for share, count in zip(row.shares, told or [None] * len(row.shares), strict=True)
        if count != 0
    ]
    fields = ("edit_no", str(edit_no))
    change = Change(moves=moves, fields=fields, edit_no=edit_no)
    if told is None:
        moved = (await apply(redis, current.keys, locked.now, change)).moved
        await _keep_moved(connection, current, row, moved)
    else:
        await _keep_moved(connection, current, row, told)
        await apply(redis, current.keys, locked.now, change)


async def _keep_moved(
    connection: AsyncConnection, show: Show, row: AllotmentRow, moved: Sequence[int]
) -> None:
    taken = [
        (share.share, share.area, count) for share, count in zip(row.shares, moved, strict=True)
    ]
    overlay = await read_overlay(connection, show)
    await move_places(connection, show, overlay, taken, row.name)
    left = row.places_left - sum(moved)
    await connection.execute(
        update(allotments).where(allotments.c.id == row.id).values(places_left=left)
    )


async def _count_unsold(
    connection: AsyncConnection, show: Show, row: AllotmentRow
) -> tuple[int, ...]:
    """Return how many places of its shares are not sold, of a show that nobody holds any of."""
    query = select(area_sales.c.area_index, area_sales.c.sold).where(
        area_sales.c.show_id == show.id
    )
    sold: dict[int, int] = dict((await connection.execute(query)).tuples().all())
    areas = show.manifest.areas
    return tuple(areas[one.share].capacity - sold.get(one.share, 0) for one in row.shares)


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
