"""Rotation of what sensitive columns are sealed with, while everything runs.

Sealed columns are those whose names end in `_sealed`. In tables with a reseller they are sealed
with data keys, which sealing keys wrap; in others with sealing keys at once. Each step finds what
it has still to do in the rows themselves: interrupted, it goes on where it was. Rows are changed
only if they are still what was read, so whoever writes one meanwhile wins.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    Row,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.sealing import Sealer, new_data_key
from engine.platform.tables import data_keys, metadata

Progress = Callable[[str, int], None]
"""Is told what is being done, and how many of it are done."""

_Seal = Callable[[AsyncConnection, Row[Any]], Awaitable[bytes]]
"""Returns what stands in a row's place from now on."""

_SUFFIX: Final = "_sealed"
_ROWS_AT_ONCE: Final = 200
_LOCK: Final = 0x7265736561  # "resea"
# Longer than any transaction, and than answers are kept: one that began before there was a newer
# key may still use the older, and a kept answer may be sealed without being a sealed column.
_STILL_USED: Final = text("interval '3 days'")
_RESEALING: Final = text("SELECT set_config('onsale.resealing', 'on', true)")

_key = data_keys.c


class BusyError(Exception):
    """Another process is resealing this database."""


class SealedColumn(Struct, frozen=True):
    """A column that is sealed."""

    table: Table
    column: Column[Any]

    @property
    def place(self) -> str:
        """What its texts are bound to."""
        return f"{self.table.name}.{self.column.name}"

    @property
    def key(self) -> list[Column[Any]]:
        """The columns that name a row."""
        return list(self.table.primary_key)

    @property
    def is_of_reseller(self) -> bool:
        """Whether it is sealed with resellers' data keys."""
        return "reseller_id" in self.table.c


def sealed_columns(tables: MetaData = metadata) -> list[SealedColumn]:
    """Return every sealed column there is."""
    return [
        SealedColumn(table, column)
        for table in tables.sorted_tables
        for column in table.c
        if column.name.endswith(_SUFFIX)
    ]


@asynccontextmanager
async def only_one(owner: AsyncEngine) -> AsyncGenerator[None]:
    """Keep others from resealing at the same time.

    Raises:
        BusyError: somebody is at it.
    """
    async with owner.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        if not await autocommit.scalar(select(func.pg_try_advisory_lock(_LOCK))):
            msg = "another process is resealing this database"
            raise BusyError(msg)
        try:
            yield
        finally:
            await autocommit.execute(select(func.pg_advisory_unlock(_LOCK)))


async def wrap_anew(owner: AsyncEngine, sealer: Sealer, progress: Progress) -> int:
    """Wrap every data key with the first sealing key; return how many were not.

    Raises:
        SealError: the key that one is wrapped with is not in the settings.
    """
    done = 0
    query = (
        select(data_keys)
        .where(_key.sealing_key != sealer.sealing_key)
        .order_by(_key.reseller_id, _key.version)
        .limit(_ROWS_AT_ONCE)
    )
    while True:
        async with owner.begin() as connection:
            rows = (await connection.execute(query.with_for_update())).all()
            for row in rows:
                reseller, version = row.reseller_id, row.version
                key = sealer.unwrap(reseller, version, row.sealing_key, row.wrapped)
                await connection.execute(
                    update(data_keys)
                    .where(_key.reseller_id == reseller, _key.version == version)
                    .values(
                        sealing_key=sealer.sealing_key, wrapped=sealer.wrap(reseller, version, key)
                    )
                )
        done += len(rows)
        progress("data keys", done)
        if len(rows) < _ROWS_AT_ONCE:
            return done


async def seal_cell_anew(
    owner: AsyncEngine, sealer: Sealer, progress: Progress, tables: MetaData = metadata
) -> int:
    """Seal with the first sealing key what is no reseller's; return how many texts were not.

    Raises:
        SealError: a text does not open.
    """
    done = 0
    for one in sealed_columns(tables):
        if one.is_of_reseller:
            continue
        stale = func.substring(one.column, 2, 4) != bytes.fromhex(sealer.sealing_key)

        async def seal(_: AsyncConnection, row: Row[Any], place: str = one.place) -> bytes:
            return sealer.seal_for_cell(place, sealer.open_for_cell(place, row.sealed))

        done += await _seal_rows(owner, one, stale, seal, progress)
    return done


async def add_data_keys(owner: AsyncEngine, sealer: Sealer) -> int:
    """Give a new data key to each reseller whose texts are all of their newest; return how many.

    To those whose are not the newest key was given lately, and what follows was interrupted.
    """
    given = 0
    async with owner.connect() as connection:
        holding: set[int] = set()
        stale: set[int] = set()
        for one in sealed_columns():
            if one.is_of_reseller:
                whose = select(one.table.c.reseller_id).where(one.column.is_not(None)).distinct()
                holding |= set(await connection.scalars(whose))
                stale |= set(await connection.scalars(whose.where(_is_stale(one))))
    for reseller in sorted(holding - stale):
        async with owner.begin() as connection:
            newest = select(func.max(_key.version)).where(_key.reseller_id == reseller)
            version = (await connection.scalar(newest) or 0) + 1
            await connection.execute(
                insert(data_keys).values(
                    reseller_id=reseller,
                    version=version,
                    sealing_key=sealer.sealing_key,
                    wrapped=sealer.wrap(reseller, version, new_data_key()),
                )
            )
        given += 1
    return given


async def seal_data_anew(owner: AsyncEngine, sealer: Sealer, progress: Progress) -> int:
    """Seal with its reseller's newest data key what is not; return how many texts were not.

    Raises:
        SealError: a text does not open.
    """
    done = 0
    for one in sealed_columns():
        if not one.is_of_reseller:
            continue

        async def seal(
            connection: AsyncConnection, row: Row[Any], one: SealedColumn = one
        ) -> bytes:
            opened = await sealer.open(connection, row.reseller_id, one.place, row.sealed)
            return await sealer.seal(connection, row.reseller_id, one.place, opened)

        done += await _seal_rows(owner, one, _is_stale(one), seal, progress)
    return done


async def drop_data_keys(owner: AsyncEngine) -> int:
    """Drop the data keys that nothing is sealed with any more; return how many.

    Only those that had a successor for so long that nobody can be about to use them.
    """
    newer = data_keys.alias("newer")
    superseded = exists().where(
        newer.c.reseller_id == _key.reseller_id,
        newer.c.version > _key.version,
        newer.c.created_at < func.now() - _STILL_USED,
    )
    unused = [
        ~exists().where(
            one.table.c.reseller_id == _key.reseller_id,
            func.substring(one.column, 2, 4) == func.int4send(_key.version),
        )
        for one in sealed_columns()
        if one.is_of_reseller
    ]
    async with owner.begin() as connection:
        return (await connection.execute(delete(data_keys).where(superseded, *unused))).rowcount


def _is_stale(one: SealedColumn) -> ColumnElement[bool]:
    newest = (
        select(func.max(_key.version))
        .where(_key.reseller_id == one.table.c.reseller_id)
        .correlate(one.table)
        .scalar_subquery()
    )
    return func.substring(one.column, 2, 4) != func.int4send(newest)


async def _seal_rows(
    owner: AsyncEngine,
    one: SealedColumn,
    stale: ColumnElement[bool],
    seal: _Seal,
    progress: Progress,
) -> int:
    """Change each stale row of a column, in the order of their keys."""
    whose = [one.table.c.reseller_id] if one.is_of_reseller else []
    key = one.key
    labels = [column.label(f"key_{n}") for n, column in enumerate(key)]
    query = (
        select(*labels, *whose, one.column.label("sealed"))
        .where(one.column.is_not(None), stale)
        .order_by(*key)
        .limit(_ROWS_AT_ONCE)
    )
    after: tuple[Any, ...] | None = None
    done = 0
    while True:
        behind = query
        if after is not None:
            values = [literal(value, column.type) for value, column in zip(after, key, strict=True)]
            behind = query.where(tuple_(*key) > tuple_(*values))
        async with owner.begin() as connection:
            await connection.execute(_RESEALING)
            rows = (await connection.execute(behind)).all()
            for row in rows:
                is_row = and_(*(c == v for c, v in zip(key, row[: len(key)], strict=True)))
                changed = await connection.execute(
                    update(one.table)
                    .where(is_row, one.column == row.sealed)
                    .values({one.column: await seal(connection, row)})
                )
                done += changed.rowcount
        progress(one.place, done)
        if len(rows) < _ROWS_AT_ONCE:
            return done
        after = tuple(rows[-1][: len(key)])
