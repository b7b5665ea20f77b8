"""Imports a sheet of shows: all of them or, if anything is wrong, none, and says all that is."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.sheets.at_once import find_overlaps, find_same_lines
from engine.catalog.sheets.importing import write_in_parts
from engine.catalog.sheets.known import Known, keep_from_archive, read_known
from engine.catalog.sheets.show_lines import ShowLine, check_columns, read_line
from engine.catalog.sheets.table import Line, Problems, Sheet
from engine.catalog.transitions import ShowState
from engine.inventory.house import wake_recovery
from engine.platform.ids import EntityId, IdError, Ids, Prefix, new_entity_id
from engine.platform.redis import Store
from engine.platform.tables import fee_schedules, price_versions, shows
from engine.platform.unnest import columns_of, insert_rows, parameters

_SHOW_COLUMNS: Final = (
    "id", "reseller_id", "manifest_id", "name", "venue", "starts_at", "opens_at", "closes_at",
    "state", "currency", "tax_bps", "fee_schedule_version", "max_per_hold", "max_per_buyer",
    "event_id", "configuration_id", "configuration_version", "doors_at", "duration_min",
    "visibility", "public_from", "hold_ttl_s", "payment_methods",
)  # fmt: skip
_PRICE_COLUMNS: Final = ("show_id", "reseller_id", "version", "prices")
_WAKES_MAX: Final = 20
"""The workers look at every show each second: calls for more would only be in their way."""


class ImportedShow(Struct, frozen=True):
    """The show that a line became."""

    line: int
    show: EntityId


IdOf = Callable[[int], EntityId]
"""Gives the id of the show of a line: the same for a repeated request."""


class ShowsToMake(Struct, frozen=True):
    """Lines, the shows that they become, and how many lines name one that is there."""

    lines: Sequence[ShowLine]
    made: list[ImportedShow]
    there: int


class ShowImport(Struct, frozen=True, kw_only=True):
    """One import of shows: whose, by which stores, and how. `import_sheet` runs it."""

    app: AsyncEngine
    redis: Store
    ids: Ids
    reseller: EntityId
    dry_run: bool = False
    id_of: IdOf = lambda _: new_entity_id()

    def check_columns(self, sheet: Sheet, problems: Problems) -> None:
        """Add what is wrong with the heading."""
        check_columns(sheet, problems)

    async def read(
        self, connection: AsyncConnection, sheet: Sheet, problems: Problems
    ) -> ShowsToMake:
        """Return the lines that are to become shows; add what is wrong."""
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
        made = [ImportedShow(line.line, self.id_of(line.line)) for line in lines]
        return ShowsToMake(lines, made, len(there))

    def tell(self, plan: ShowsToMake) -> tuple[list[ImportedShow], int]:
        """Return the shows, by a dry run none, and how many lines name one that is there."""
        return [] if self.dry_run else plan.made, plan.there

    async def write(self, connection: AsyncConnection, plan: ShowsToMake) -> None:
        """Make the shows.

        If those of the ids that `id_of` gives are there already they are left as they are: the
        request came before, and its answer was lost.
        """
        wanted = {one.show for one in plan.made}
        query = select(shows.c.id).where(shows.c.id.in_(wanted))
        if not wanted or (await connection.execute(query)).first() is not None:
            return
        fees = await connection.scalar(select(func.max(fee_schedules.c.version)))

        async def insert(pairs: Sequence[tuple[ImportedShow, ShowLine]]) -> None:
            await self._insert(connection, pairs, fees)

        pairs = list(zip(plan.made, plan.lines, strict=True))
        await write_in_parts(connection, pairs, insert)

    async def follow(self, plan: ShowsToMake) -> None:
        """Have those looked at that are to be opened."""
        pairs = zip(plan.made, plan.lines, strict=True)
        opened = [one.show for one, line in pairs if line.state != ShowState.DRAFT]
        for show in opened[:_WAKES_MAX]:
            await wake_recovery(self.redis, show)

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
                line.visibility, line.public_from, line.hold_ttl_s,
                msgspec.json.encode(line.payment_methods).decode(),
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
