"""Exports shows as a sheet that could be imported again."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.sheets.amounts import write_amount
from engine.catalog.sheets.exporting import SheetPart, in_parts, write_moment
from engine.catalog.sheets.show_lines import MOMENTS, PRICE, SHOW_COLUMNS
from engine.catalog.sheets.table import CELLS_MAX, COLUMNS_MAX, LINES_MAX
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Ids, Prefix
from engine.platform.tables import configurations, price_versions, shows, venues

_NUMBERS: Final = (
    "configuration_version", "duration_min", "tax_bps", "max_per_hold", "max_per_buyer",
    "hold_ttl_s",
)  # fmt: skip
_one = shows.c

_Row = Mapping[Any, Any]


async def export_shows(
    app: AsyncEngine, ids: Ids, reseller: EntityId, *, after: EntityId | None = None
) -> SheetPart:
    """Return a reseller's shows that were made from configurations, in parts.

    Each names its show: imported again such a line is left as it is.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
    """
    query = in_parts(_query(), after, LINES_MAX)
    async with tenant_transaction(app, reseller) as connection:
        found = (await connection.execute(query)).mappings().all()
    rows, levels = fitting(found)
    columns = (*SHOW_COLUMNS, *(f"{PRICE}{level}" for level in levels))
    return SheetPart(
        columns=columns,
        rows=[_cells(row, columns, ids) for row in rows],
        next_after=rows[-1]["id"] if len(rows) < len(found) else None,
    )


def fitting(found: Sequence[_Row]) -> tuple[Sequence[_Row], dict[str, None]]:
    """Return as many shows as a sheet has lines, columns and cells for, and their price levels."""
    levels: dict[str, None] = {}
    for n, row in enumerate(found):
        more = levels | dict.fromkeys(row["prices"])
        columns = len(SHOW_COLUMNS) + len(more)
        if n == LINES_MAX or columns > COLUMNS_MAX or (n + 2) * columns > CELLS_MAX:
            return found[:n], levels
        levels = more
    return found, levels


def _query() -> Any:  # noqa: ANN401 - SQLAlchemy's
    return (
        select(
            shows,
            venues.c.id.label("venue_id"),
            venues.c.time_zone,
            price_versions.c.prices,
        )
        .join(configurations, configurations.c.id == _one.configuration_id)
        .join(venues, venues.c.id == configurations.c.venue_id)
        .join(
            price_versions,
            (price_versions.c.show_id == _one.id)
            & (price_versions.c.version == _one.price_version),
        )
    )


def _cells(row: _Row, columns: Sequence[str], ids: Ids) -> tuple[str, ...]:
    zone = ZoneInfo(row["time_zone"])
    cells = {
        "show": ids.entity(Prefix.SHOW, row["id"]),
        "event": "" if row["event_id"] is None else ids.entity(Prefix.EVENT, row["event_id"]),
        "venue": ids.entity(Prefix.VENUE, row["venue_id"]),
        "configuration": ids.entity(Prefix.CONFIGURATION, row["configuration_id"]),
        **{name: row[name] for name in ("name", "currency", "visibility", "state")},
        **{name: "" if row[name] is None else str(row[name]) for name in _NUMBERS},
        **{name: write_moment(row[name], zone) for name in MOMENTS},
        "payment_methods": " ".join(row["payment_methods"]),
        **{
            f"{PRICE}{level}": write_amount(minor, row["currency"])
            for level, minor in row["prices"].items()
        },
    }
    return tuple(cells.get(column, "") for column in columns)
