"""Imports a sheet of prices: new ones of many shows at once, and the steps that are to come."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.price_rules import NewStep
from engine.catalog.price_steps import replace_steps
from engine.catalog.prices import prices_changed
from engine.catalog.sheets.importing import write_in_parts
from engine.catalog.sheets.known_shows import KnownShows, read_known_shows, read_offers
from engine.catalog.sheets.price_lines import check_columns, read_line
from engine.catalog.sheets.price_lists import PriceList, PricesToMake, compare, put_together
from engine.catalog.sheets.table import Line, Problems, Sheet
from engine.facts.log import add_facts
from engine.inventory.house import LockedShow
from engine.inventory.many_shows import complete_shows, keep_shows
from engine.inventory.price_versions import Prices, write_type_prices
from engine.platform.ids import EntityId, Ids
from engine.platform.redis import Store
from engine.platform.tables import price_versions
from engine.platform.unnest import columns_of, insert_rows, parameters

SHOWS_MAX: Final = 1_000
"""In one sheet: nobody else changes them until it is written."""

_STEPPED_AT_ONCE: Final = 5
"""Shows, each of which may have tens of steps."""

_VERSION: Final = ("show_id", "reseller_id", "version", "prices", "type_prices")
# The inventory version makes every process read the show again.
_TAKE: Final = text(
    "UPDATE shows SET price_version = made.version, inventory_version = inventory_version + 1"
    " FROM unnest(CAST(:shows AS BIGINT[]), CAST(:versions AS INTEGER[]))"
    " AS made(show_id, version) WHERE shows.id = made.show_id"
)


class ImportedPrices(Struct, frozen=True, kw_only=True):
    """A show whose prices or steps changed: its first line, and what it has now."""

    line: int
    show: EntityId
    price_version: int
    steps: int


class PriceLists(Struct, frozen=True):
    """What is to be written, how the shows stand, and how many lines change nothing."""

    made: list[PricesToMake]
    kept: dict[EntityId, LockedShow]
    unchanged: int


class PriceImport(Struct, frozen=True, kw_only=True):
    """One import of prices: whose, by which stores, and how. `import_sheet` runs it."""

    app: AsyncEngine
    redis: Store
    ids: Ids
    reseller: EntityId
    dry_run: bool = False

    def check_columns(self, sheet: Sheet, problems: Problems) -> None:
        """Add what is wrong with the heading."""
        check_columns(sheet, problems)

    async def read(
        self, connection: AsyncConnection, sheet: Sheet, problems: Problems
    ) -> PriceLists:
        """Return what becomes of the shows, from which others are kept if nothing is wrong.

        A sheet with a mistake keeps nobody from anything; one without is held against the shows
        again once they stay as they are.
        """
        named = {line.cells["show"] for line in sheet.lines if "show" in line.cells}
        known = await read_known_shows(connection, self.ids, named)
        # Up to a second of work: beside the event loop, not on it.
        lists = await asyncio.to_thread(_read_lists, sheet.lines, known, problems)
        if len(lists) > SHOWS_MAX:
            reason = f"the sheet has {len(lists)} shows, {SHOWS_MAX} at most go at once: split it"
            problems.add(sheet.heading_line, "show", reason)
        shows = [one.show.id for one in lists]
        offers = await read_offers(connection, shows) if shows else {}
        made = compare(lists, offers, datetime.now(UTC), problems)
        kept: dict[EntityId, LockedShow] = {}
        if made and not problems and not self.dry_run:
            kept = await keep_shows(connection, self.reseller, shows)
            offers, before = await read_offers(connection, shows), offers
            if offers != before:
                made = compare(lists, offers, datetime.now(UTC), problems)
        changed = {one.show for one in made}
        unchanged = sum(len(one.lines) for one in lists if one.show.id not in changed)
        return PriceLists(made, kept, unchanged)

    def tell(self, plan: PriceLists) -> tuple[Sequence[ImportedPrices], int]:
        """Return the shows that change, and how many lines change nothing."""
        told = [
            ImportedPrices(
                line=one.line, show=one.show, price_version=one.version, steps=one.steps_to_come
            )
            for one in plan.made
        ]
        return told, plan.unchanged

    async def write(self, connection: AsyncConnection, plan: PriceLists) -> None:
        """Write the price versions, the steps and what is told of them; the shows come last."""
        priced = [(one.show, one.prices) for one in plan.made if one.prices is not None]
        steps = [(one.show, one.steps) for one in plan.made if one.steps is not None]
        facts = [prices_changed(self.ids, show, prices.version, None) for show, prices in priced]
        if facts:
            await add_facts(connection, self.reseller, facts)

        async def publish(some: Sequence[tuple[EntityId, Prices]]) -> None:
            await self._publish(connection, some)

        async def schedule(some: Sequence[tuple[EntityId, list[NewStep]]]) -> None:
            await replace_steps(connection, self.reseller, dict(some))

        await write_in_parts(connection, priced, publish)
        await write_in_parts(connection, steps, schedule, at_once=_STEPPED_AT_ONCE)
        if priced:
            await self._take(connection, priced)

    async def follow(self, plan: PriceLists) -> None:
        """Tell the inventory store that processes are to read the shows again."""
        changed = {one.show: plan.kept[one.show] for one in plan.made if one.prices is not None}
        await complete_shows(self.app, self.redis, self.reseller, changed)

    async def _publish(
        self, connection: AsyncConnection, some: Sequence[tuple[EntityId, Prices]]
    ) -> None:
        rows = [
            (
                show,
                self.reseller,
                prices.version,
                msgspec.json.encode(prices.face_values).decode(),
                msgspec.json.encode(write_type_prices(prices.types)).decode(),
            )
            for show, prices in some
        ]
        await connection.execute(
            insert_rows(price_versions, _VERSION),
            parameters(price_versions, columns_of(_VERSION, rows)),
        )

    async def _take(
        self, connection: AsyncConnection, priced: Sequence[tuple[EntityId, Prices]]
    ) -> None:
        """Have the shows sell at what was written: all at once, for which the recorder waits."""
        shows = [show for show, _ in priced]
        versions = [prices.version for _, prices in priced]
        await connection.execute(_TAKE, {"shows": shows, "versions": versions})


def _read_lists(lines: Sequence[Line], known: KnownShows, problems: Problems) -> list[PriceList]:
    read = [read_line(line, known, problems) for line in lines]
    return put_together([line for line in read if line is not None], problems)
