"""What a sheet of prices says, line by line: each is one price, or one share, of one show."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from engine.catalog.sheets.cells import Cells
from engine.catalog.sheets.known_shows import KnownShow, KnownShows
from engine.catalog.sheets.table import Line, Problems, Sheet
from engine.catalog.shows import FACE_VALUE_MAX
from engine.inventory.price_versions import VERSION_MAX
from engine.inventory.slug import slug
from engine.inventory.ticket_types import STANDARD

PRICE_COLUMNS: Final = (
    "show", "name", "starts_at", "currency", "price_version", "from", "after_sold",
    "after_sold_level", "price_level", "ticket_type", "price", "share",
)  # fmt: skip

_SOLD_MAX: Final = 10_000_000


class Due(Struct, frozen=True):
    """When a step comes: which it is, of those of its show."""

    at: datetime | None
    after_sold: int | None
    price_level: str | None


class PriceLine(Struct, frozen=True, kw_only=True):
    """A line that could be a price: of a level and a type, or a type's share of all levels'."""

    line: int
    show: KnownShow
    price_version: int | None
    due: Due | None
    """None: from now on."""
    level: str | None
    ticket_type: str
    price: int | None
    share_bps: int | None


def check_columns(sheet: Sheet, problems: Problems) -> None:
    """Add what is wrong with the heading: names that nobody knows, and those that are missing."""
    for column in sheet.columns:
        if column not in PRICE_COLUMNS:
            known = ", ".join(PRICE_COLUMNS)
            reason = f"there is no such column: take it out, or name it as one of {known}"
            problems.add(sheet.heading_line, column, reason)
    if "show" not in sheet.columns:
        problems.add(sheet.heading_line, "show", "the column is missing: add it")
    if not {"price", "share"} & set(sheet.columns):
        reason = "the column is missing: add it, or the column share"
        problems.add(sheet.heading_line, "price", reason)


def read_line(line: Line, known: KnownShows, problems: Problems) -> PriceLine | None:
    """Return what a line says, None if it can't be so; its problems are added."""
    cells = Cells(line, problems)
    show = known.find(line, cells)
    version = cells.whole("price_version", 1, VERSION_MAX)
    due = _due(cells, show)
    level, ticket_type = _slug(cells, "price_level"), _slug(cells, "ticket_type") or STANDARD
    share_bps = cells.share("share")
    # Without the show nobody knows how many decimals there are.
    price = show and cells.amount("price", show.currency, FACE_VALUE_MAX)
    _check_one_of_both(cells, level, ticket_type)
    if show is None or not cells.is_sound:
        return None
    return PriceLine(
        line=line.number,
        show=show,
        price_version=version,
        due=due,
        level=level,
        ticket_type=ticket_type,
        price=price,
        share_bps=share_bps,
    )


def _due(cells: Cells, show: KnownShow | None) -> Due | None:
    # Without the show its times can't be placed, but what is no time at all is told even so.
    at = cells.moment("from", show.zone if show else None)
    after_sold = cells.whole("after_sold", 1, _SOLD_MAX)
    level = _slug(cells, "after_sold_level")
    if level is not None and cells.is_empty("after_sold"):
        cells.wrong("after_sold_level", "goes with after_sold only: fill it in, or clear this cell")
    return None if at is None and after_sold is None else Due(at, after_sold, level)


def _slug(cells: Cells, column: str) -> str | None:
    """Return the slug of what may be named as people say it."""
    text = cells.text(column)
    if text is None:
        return None
    named = slug(text)
    if not named:
        cells.wrong(column, f"“{text}” is no name of one")
    return named or None


def _check_one_of_both(cells: Cells, level: str | None, ticket_type: str) -> None:
    if cells.is_empty("share"):
        if cells.is_empty("price"):
            cells.wrong("price", "is missing: 0 is free of charge")
        elif level is None and cells.is_empty("price_level"):
            cells.wrong("price_level", "is missing: a price is of one price level")
    elif not cells.is_empty("price"):
        cells.wrong("share", "there is a price, too: clear one of the two")
    elif ticket_type == STANDARD:
        cells.wrong("share", "is of a ticket type: name one, or write a price")
    elif level is not None:
        cells.wrong("price_level", "a share is of all price levels: clear this cell")
