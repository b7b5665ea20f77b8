"""Exports shows as a sheet that could be imported again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.sheets.amounts import write_amount
from engine.catalog.sheets.show_lines import PRICE, SHOW_COLUMNS
from engine.catalog.sheets.table import COLUMNS_MAX, LINES_MAX
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Ids, Prefix
from engine.platform.tables import configurations, price_versions, shows, venues

_TIMES: Final = ("starts_at", "doors_at", "opens_at", "closes_at")
_NUMBERS: Final = (
    "configuration_version", "duration_min", "tax_bps", "max_per_hold", "max_per_buyer",
)  # fmt: skip
_one = shows.c


async def export_shows(
    app: AsyncEngine, ids: Ids, reseller: EntityId, *, after: EntityId | None = None
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns and rows of a reseller's shows that were made from configurations.

    They come by their start, 5 000 at most, from behind the show `after` if one is named. Each
    names its show: imported again such a line is left as it is.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
    """
    async with tenant_transaction(app, reseller) as connection:
        rows = (await connection.execute(_query(after))).mappings().all()
    levels = list(dict.fromkeys(level for row in rows for level in row["prices"]))
    columns = (*SHOW_COLUMNS, *(f"{PRICE}{level}" for level in levels))[:COLUMNS_MAX]
    return columns, [_cells(row, columns, ids) for row in rows]


def _query(after: EntityId | None) -> Any:  # noqa: ANN401 - SQLAlchemy's
    query = (
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
        .order_by(_one.starts_at, _one.id)
        .limit(LINES_MAX)
    )
    if after is None:
        return query
    place = select(_one.starts_at, _one.id).where(_one.id == after).subquery()
    behind = select(place.c.starts_at, place.c.id).scalar_subquery()
    return query.where(tuple_(_one.starts_at, _one.id) > behind)


def _cells(row: Mapping[Any, Any], columns: Sequence[str], ids: Ids) -> tuple[str, ...]:
    zone = ZoneInfo(row["time_zone"])
    cells = {
        "show": ids.entity(Prefix.SHOW, row["id"]),
        "event": "" if row["event_id"] is None else ids.entity(Prefix.EVENT, row["event_id"]),
        "venue": ids.entity(Prefix.VENUE, row["venue_id"]),
        "configuration": ids.entity(Prefix.CONFIGURATION, row["configuration_id"]),
        **{name: row[name] for name in ("name", "currency", "visibility", "state")},
        **{name: "" if row[name] is None else str(row[name]) for name in _NUMBERS},
        **{name: _local(row[name], zone) for name in _TIMES},
        **{
            f"{PRICE}{level}": write_amount(minor, row["currency"])
            for level, minor in row["prices"].items()
        },
    }
    return tuple(cells.get(column, "") for column in columns)


def _local(moment: datetime | None, zone: ZoneInfo) -> str:
    """Return a moment as it is at the venue, with its offset: which is never ambiguous."""
    return "" if moment is None else moment.astimezone(UTC).astimezone(zone).isoformat()
