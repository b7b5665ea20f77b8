"""Sheets that are exported come in parts, each of which can be imported: by the shows' start."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import select, tuple_

from engine.platform.ids import EntityId
from engine.platform.tables import shows


class SheetPart(Struct, frozen=True, kw_only=True):
    """A sheet, and the show behind which the next one begins: None if this was the last."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    next_after: EntityId | None
    left_out: tuple[EntityId, ...] = ()
    """Shows of which there is more than a whole sheet holds."""


def in_parts(query: Any, after: EntityId | None, shows_max: int) -> Any:  # noqa: ANN401
    """Return a query of shows by their start, behind one; one more tells that there are more."""
    ordered = query.order_by(shows.c.starts_at, shows.c.id).limit(shows_max + 1)
    if after is None:
        return ordered
    place = select(shows.c.starts_at, shows.c.id).where(shows.c.id == after).subquery()
    behind = select(place.c.starts_at, place.c.id).scalar_subquery()
    return ordered.where(tuple_(shows.c.starts_at, shows.c.id) > behind)


def write_moment(moment: datetime | None, zone: ZoneInfo) -> str:
    """Return a moment as it is at the venue, with its offset: which is never ambiguous."""
    return "" if moment is None else moment.astimezone(UTC).astimezone(zone).isoformat()
