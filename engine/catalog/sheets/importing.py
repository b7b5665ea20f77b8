"""The way of every import: a sheet is read, checked by line, and written whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.sheets.csv_sheet import read_csv
from engine.catalog.sheets.table import Problems, Sheet, SheetError, SheetProblem
from engine.catalog.sheets.xlsx_sheet import read_xlsx
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId

_TRAIL_AS_WE_GO: Final = text("SET CONSTRAINTS append IMMEDIATE")
_ROWS_AT_ONCE: Final = 100

Row = TypeVar("Row")
Done_co = TypeVar("Done_co", covariant=True)
Plan = TypeVar("Plan")


class Imported(Struct, Generic[Done_co], frozen=True, kw_only=True):
    """What became of a sheet. With problems nothing was imported; nor is it by a dry run."""

    lines: int
    problems: Sequence[SheetProblem] = ()
    more_problems: int = 0
    """How many there are beside those listed."""
    done: Sequence[Done_co] = ()
    """In the order of the lines."""
    unchanged: int = 0
    """Lines that change nothing."""


class SheetKind(Protocol[Plan, Done_co]):
    """What sheets of one kind say, whose they are, and how they are written."""

    @property
    def app(self) -> AsyncEngine:
        """Return where it is written to."""
        ...

    @property
    def reseller(self) -> EntityId:
        """Return whose it is."""
        ...

    @property
    def dry_run(self) -> bool:
        """Tell whether nothing is to be written."""
        ...

    def check_columns(self, sheet: Sheet, problems: Problems) -> None:
        """Add what is wrong with the heading."""
        ...

    async def read(self, connection: AsyncConnection, sheet: Sheet, problems: Problems) -> Plan:
        """Add what is wrong with the lines; return what is to be written if nothing is."""
        ...

    async def write(self, connection: AsyncConnection, plan: Plan) -> None:
        """Write all of it."""
        ...

    def tell(self, plan: Plan) -> tuple[Sequence[Done_co], int]:
        """Return what was done, or would be, and how many lines change nothing."""
        ...

    async def follow(self, plan: Plan) -> None:
        """Do what can only be done once it is committed, and is completed by workers if not."""
        ...


async def import_sheet(
    kind: SheetKind[Plan, Done_co],
    content: bytes,
    *,
    is_xlsx: bool,
    keep: Callable[[AsyncConnection, Imported[Done_co]], Awaitable[None]] | None = None,
) -> Imported[Done_co]:
    """Import a file, or say all that is wrong with it.

    `keep` keeps the answer in the transaction that has the effect.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
    """
    problems = Problems()
    try:
        # Up to a second of work, and seconds for XLSX: beside the event loop, not on it.
        sheet = await asyncio.to_thread(_read_file, content, is_xlsx=is_xlsx)
    except SheetError as error:
        return Imported(lines=0, problems=[error.problem])
    kind.check_columns(sheet, problems)
    async with tenant_transaction(kind.app, kind.reseller) as connection:
        plan = await kind.read(connection, sheet, problems)
        if problems:
            return Imported(
                lines=len(sheet.lines),
                problems=problems.told(sheet.columns),
                more_problems=problems.more,
            )
        done, unchanged = kind.tell(plan)
        imported = Imported(lines=len(sheet.lines), done=done, unchanged=unchanged)
        if kind.dry_run:
            return imported
        await kind.write(connection, plan)
        if keep is not None:
            await keep(connection, imported)
    await kind.follow(plan)
    return imported


async def write_in_parts(
    connection: AsyncConnection,
    rows: Sequence[Row],
    write: Callable[[Sequence[Row]], Awaitable[None]],
    *,
    at_once: int = _ROWS_AT_ONCE,
) -> None:
    """Write many rows, once every other lock is taken.

    Each gets its entry in the audit trail, and all of them at the end would be more than a
    statement's time: so with each part.
    """
    await connection.execute(_TRAIL_AS_WE_GO)
    for first in range(0, len(rows), at_once):
        await write(rows[first : first + at_once])


def _read_file(content: bytes, *, is_xlsx: bool) -> Sheet:
    return read_xlsx(content) if is_xlsx else read_csv(content)
