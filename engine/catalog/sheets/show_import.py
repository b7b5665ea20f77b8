"""Imports a sheet of shows: all of them or, if anything is wrong, none, and says all that is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.sheets.at_once import find_overlaps, find_same_lines
from engine.catalog.sheets.csv_sheet import read_csv
from engine.catalog.sheets.known import Known, keep_from_archive, read_known
from engine.catalog.sheets.show_lines import ShowLine, check_columns, read_line
from engine.catalog.sheets.table import Line, Problems, Sheet, SheetError, SheetProblem
from engine.catalog.sheets.xlsx_sheet import read_xlsx
from engine.catalog.transitions import ShowState
from engine.inventory.house import wake_recovery
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, IdError, Ids, Prefix, new_entity_id
from engine.platform.redis import Store
from engine.platform.tables import fee_schedules, price_versions, shows
from engine.platform.unnest import columns_of, insert_rows, parameters

_SHOW_COLUMNS: Final = (
    "id", "reseller_id", "manifest_id", "name", "venue", "starts_at", "opens_at", "closes_at",
    "state", "currency", "tax_bps", "fee_schedule_version", "max_per_hold", "max_per_buyer",
    "event_id", "configuration_id", "configuration_version", "doors_at", "duration_min",
    "visibility",
)  # fmt: skip
_PRICE_COLUMNS: Final = ("show_id", "reseller_id", "version", "prices")
_TRAIL_AS_WE_GO: Final = text("SET CONSTRAINTS append IMMEDIATE")
_ROWS_AT_ONCE: Final = 100
_WAKES_MAX: Final = 20
"""The workers look at every show each second: calls for more would only be in their way."""


class ImportedShow(Struct, frozen=True):
    """A show that a line became, or that it names."""

    line: int
    show: EntityId


class ShowsImported(Struct, frozen=True, kw_only=True):
    """What became of a sheet. With problems nothing was imported; nor is it by a dry run."""

    lines: int
    problems: list[SheetProblem]
    more_problems: int
    """How many there are beside those listed."""
    made: list[ImportedShow]
    """In the order of the lines; of a dry run none."""
    there: int
    """Lines that name a show that is there: it is left as it is."""


IdOf = Callable[[int], EntityId]
"""Gives the id of the show of a line: the same for a repeated request."""

Keep = Callable[[AsyncConnection, ShowsImported], Awaitable[None]]
"""Keeps the answer in the transaction that has the effect."""


def read_sheet(content: bytes, *, is_xlsx: bool) -> Sheet:
    """Return the sheet of a file; the work of a second for a large one.

    Raises:
        SheetError: it is none.
    """
    return read_xlsx(content) if is_xlsx else read_csv(content)


class ShowImport(Struct, frozen=True, kw_only=True):
    """One import: whose, by which stores, and how."""

    app: AsyncEngine
    redis: Store
    ids: Ids
    reseller: EntityId
    dry_run: bool = False
    id_of: IdOf = lambda _: new_entity_id()

    async def run(
        self, content: bytes, *, is_xlsx: bool, keep: Keep | None = None
    ) -> ShowsImported:
        """Import a file, or say all that is wrong with it.

        Shows of the ids that `id_of` gives that are there already are left as they are: the
        request came before, and its answer was lost.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
        """
        problems = Problems()
        try:
            sheet = await asyncio.to_thread(read_sheet, content, is_xlsx=is_xlsx)
        except SheetError as error:
            return _refused(0, [error.problem], 0)
        check_columns(sheet, problems)
        async with tenant_transaction(self.app, self.reseller) as connection:
            lines, there = await self._read(connection, sheet, problems)
            if problems:
                return _refused(len(sheet.lines), problems.told(sheet.columns), problems.more)
            made = [] if self.dry_run else await self._insert(connection, lines)
            imported = ShowsImported(
                lines=len(sheet.lines), problems=[], more_problems=0, made=made, there=there
            )
            if keep is not None and not self.dry_run:
                await keep(connection, imported)
        waiting = zip(made, lines, strict=False)
        opened = [one.show for one, line in waiting if line.state != ShowState.DRAFT]
        for show in opened[:_WAKES_MAX]:
            await wake_recovery(self.redis, show)
        return imported

    async def _read(
        self, connection: AsyncConnection, sheet: Sheet, problems: Problems
    ) -> tuple[list[ShowLine], int]:
        """Return the lines that are to become shows, and how many name one that is there."""
        new = [line for line in sheet.lines if "show" not in line.cells]
        there = [line for line in sheet.lines if "show" in line.cells]
        await self._check_there(connection, there, problems)
        texts = [line.cells for line in new]
        known = await read_known(
            connection,
            self.ids,
            datetime.now(UTC),
            {cells["event"] for cells in texts if "event" in cells},
            {
                cells[name]
                for cells in texts
                for name in ("venue", "configuration")
                if name in cells
            },
        )
        # Seconds of work for the largest sheets: beside the event loop, not on it.
        read = await asyncio.to_thread(_read_lines, new, sheet, known, problems)
        lines = [line for line in read if line is not None]
        same = find_same_lines(lines, problems)
        others = [line for line in lines if line.line not in same]
        await find_overlaps(connection, others, problems)
        if not problems and not self.dry_run:
            used = {line.event for line in lines if line.event is not None}
            if not await keep_from_archive(connection, used, [line.place for line in lines]):
                problems.add(sheet.heading_line, "", "something was archived just now: try again")
        return lines, len(there)

    async def _check_there(
        self, connection: AsyncConnection, lines: Sequence[Line], problems: Problems
    ) -> None:
        numbers: dict[int, EntityId] = {}
        for line in lines:
            try:
                numbers[line.number] = self.ids.parse_entity(Prefix.SHOW, line.cells["show"])
            except IdError:
                numbers[line.number] = EntityId(0)
        query = select(shows.c.id).where(shows.c.id.in_(set(numbers.values())))
        found = set((await connection.execute(query)).scalars()) if numbers else set[int]()
        for line in lines:
            if numbers[line.number] not in found:
                reason = (
                    f"you have no show “{line.cells['show']}”: leave the cell empty for a new one"
                )
                problems.add(line.number, "show", reason)

    async def _insert(
        self, connection: AsyncConnection, lines: Sequence[ShowLine]
    ) -> list[ImportedShow]:
        made = [ImportedShow(line.line, self.id_of(line.line)) for line in lines]
        wanted = {one.show for one in made}
        query = select(shows.c.id).where(shows.c.id.in_(wanted))
        if not lines or (await connection.execute(query)).first() is not None:
            return made
        fees = await connection.scalar(select(func.max(fee_schedules.c.version)))
        pairs = list(zip(made, lines, strict=True))
        # Each row gets its entry in the audit trail, and all of them at the end would be more than
        # a statement's time: so with each part, now that every other lock is taken.
        await connection.execute(_TRAIL_AS_WE_GO)
        for first in range(0, len(pairs), _ROWS_AT_ONCE):
            await self._insert_some(connection, pairs[first : first + _ROWS_AT_ONCE], fees)
        return made

    async def _insert_some(
        self,
        connection: AsyncConnection,
        pairs: Sequence[tuple[ImportedShow, ShowLine]],
        fees: int | None,
    ) -> None:
        rows = [
            (
                one.show, self.reseller, line.place.manifest_id, line.name, line.place.venue,
                line.starts_at, line.opens_at, line.closes_at, line.state, line.currency,
                line.tax_bps, fees, line.max_per_hold, line.max_per_buyer, line.event,
                line.place.configuration, line.place.version, line.doors_at, line.duration_min,
                line.visibility,
            )
            for one, line in pairs
        ]  # fmt: skip
        await connection.execute(
            insert_rows(shows, _SHOW_COLUMNS), parameters(shows, columns_of(_SHOW_COLUMNS, rows))
        )
        prices = [
            (one.show, self.reseller, 1, msgspec.json.encode(line.prices).decode())
            for one, line in pairs
        ]
        await connection.execute(
            insert_rows(price_versions, _PRICE_COLUMNS),
            parameters(price_versions, columns_of(_PRICE_COLUMNS, prices)),
        )


def _read_lines(
    lines: Sequence[Line], sheet: Sheet, known: Known, problems: Problems
) -> list[ShowLine | None]:
    return [read_line(line, sheet, known, problems) for line in lines]


def _refused(lines: int, problems: list[SheetProblem], more: int) -> ShowsImported:
    return ShowsImported(lines=lines, problems=problems, more_problems=more, made=[], there=0)
