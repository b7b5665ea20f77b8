"""Puts what shows belong to away, and takes it back: not while one to come of it sells."""

from datetime import datetime
from typing import Final, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Table, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.ids import EntityId
from engine.platform.tables import shows

_SELLING: Final = ("announced", "on_sale", "paused", "rescheduled")
"""States in which tickets are sold, or will be without anybody's doing more than going on."""

_NAMED_MAX: Final = 20


class SellingShow(Struct, frozen=True):
    """A show that sells, in short."""

    id: EntityId
    name: str
    starts_at: datetime


class StillSelling(Struct, frozen=True):
    """It can't be put away: these shows of it sell. The first twenty, the soonest first."""

    shows: list[SellingShow]


async def shows_that_sell(
    connection: AsyncConnection, of_it: ColumnElement[bool]
) -> list[SellingShow]:
    """Return the shows of a condition that are to come and sell: twenty at most, soonest first."""
    query = (
        select(shows.c.id, shows.c.name, shows.c.starts_at)
        .where(of_it, shows.c.starts_at > func.now(), shows.c.state.in_(_SELLING))
        .order_by(shows.c.starts_at, shows.c.id)
        .limit(_NAMED_MAX)
    )
    return [SellingShow(*row) for row in await connection.execute(query)]


async def put_away(
    connection: AsyncConnection, table: Table, one: EntityId, of_it: ColumnElement[bool]
) -> bool | StillSelling:
    """Archive a row, whose shows meet a condition; False: there is none. Twice is as good as once.

    It waits for transactions that have it locked, as those of new shows do that name it.
    """
    archived_at = await _locked(connection, table, one)
    if isinstance(archived_at, bool):
        return archived_at
    if archived_at is None:
        if selling := await shows_that_sell(connection, of_it):
            return StillSelling(selling)
        await _put(connection, table, one, func.now())
    return True


async def take_back(connection: AsyncConnection, table: Table, one: EntityId) -> bool:
    """End a row's being archived; False: there is none."""
    archived_at = await _locked(connection, table, one)
    if isinstance(archived_at, bool):
        return archived_at
    if archived_at is not None:
        await _put(connection, table, one, None)
    return True


async def _locked(
    connection: AsyncConnection, table: Table, one: EntityId
) -> datetime | Literal[False] | None:
    query = select(table.c.archived_at).where(table.c.id == one).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return False if row is None else row.archived_at


async def _put(
    connection: AsyncConnection, table: Table, one: EntityId, archived_at: object
) -> None:
    await connection.execute(
        update(table)
        .where(table.c.id == one)
        .values(archived_at=archived_at, changed_at=func.now())
    )
