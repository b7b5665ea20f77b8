"""Allotments as the ledger has them: looked up, listed, and found when they are due."""

from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.allotments import Ranges, Share
from engine.inventory.house import OpenLedger
from engine.inventory.shows import Show
from engine.platform.database import single_statements, tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import allotments


class AllotmentRow(Struct, frozen=True, kw_only=True):
    """An allotment as the ledger has it."""

    id: EntityId
    reseller_id: EntityId
    show_id: EntityId
    allotment_no: int
    name: str
    asked: dict[str, Any]
    seats: Ranges
    shares: tuple[Share, ...]
    code_digests: list[bytes]
    channels: list[str]
    is_personal: bool
    sellers: list[EntityId]
    begins_at: datetime | None
    ends_at: datetime | None
    inventory_version: int
    created_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    places_left: int
    """Of its shares, that were not bought: they go back once they are open."""

    @property
    def seat_count(self) -> int:
        """Return how many seats it has."""
        return sum(end - start for start, end in self.seats)

    @property
    def place_count(self) -> int:
        """Return how many places of areas it was made with."""
        return sum(share.places for share in self.shares)


_DUE: Final = text(
    "SELECT id, show_id FROM allotments"
    " WHERE ended_at IS NULL AND ends_at <= now() ORDER BY ends_at LIMIT :most"
)
# Of shows that may still sell; what the recorder has as sold is nobody's to give back.
_LEFT: Final = text(
    "SELECT allotments.id, show_id, shares FROM allotments"
    " JOIN shows ON shows.id = show_id"
    " WHERE ended_at IS NOT NULL AND places_left > 0"
    " AND (show_id, allotments.id) > (:after_show, :after)"
    " AND state NOT IN ('draft', 'cancelled', 'past') AND archived_at IS NULL"
    " AND EXISTS (SELECT FROM area_sales WHERE area_sales.show_id = allotments.show_id"
    " AND sold < capacity AND area_index IN"
    " (SELECT CAST(share ->> 1 AS INTEGER) FROM jsonb_array_elements(shares) AS share))"
    " ORDER BY show_id, allotments.id LIMIT :most"
)
COLUMNS: Final = [allotments.c[name] for name in AllotmentRow.__struct_fields__]
ROW: Final = select(*COLUMNS)


class UnknownAllotmentError(LookupError):
    """No such allotment, or somebody else's."""


async def read_allotment(app: AsyncEngine, reseller: EntityId, allotment: EntityId) -> AllotmentRow:
    """Return an allotment.

    Raises:
        UnknownAllotmentError: the reseller has no such.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with tenant_transaction(app, reseller) as connection:
        found = await connection.execute(ROW.where(allotments.c.id == allotment))
        row = found.mappings().one_or_none()
    if row is None:
        raise UnknownAllotmentError(allotment)
    return row_of(row)


async def list_allotments(
    app: AsyncEngine, show: Show, *, before: int | None, limit: int
) -> list[AllotmentRow]:
    """Return a show's allotments, the newest first, from before the one of a number.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    query = ROW.where(allotments.c.show_id == show.id)
    if before is not None:
        query = query.where(allotments.c.allotment_no < before)
    async with tenant_transaction(app, show.reseller) as connection:
        rows = await connection.execute(
            query.order_by(allotments.c.allotment_no.desc()).limit(limit)
        )
        return [row_of(row) for row in rows.mappings()]


class DueAllotment(Struct, frozen=True):
    """An allotment whose time is over, and that lives still."""

    id: EntityId
    show: EntityId


async def find_due(engine: AsyncEngine, *, most: int) -> list[DueAllotment]:
    """Return allotments that are to end now, as the recorder's role sees them.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with single_statements(engine) as connection:
        rows = (await connection.execute(_DUE, {"most": most})).all()
    return [DueAllotment(EntityId(row.id), EntityId(row.show_id)) for row in rows]


class LeftAllotment(Struct, frozen=True):
    """An allotment that has ended, whose shares may have open places again."""

    id: EntityId
    show: EntityId
    shares: tuple[Share, ...]


async def find_left(
    engine: AsyncEngine, *, most: int, after: LeftAllotment | None = None
) -> list[LeftAllotment]:
    """Return ended allotments with places that were not bought, as the recorder's role sees them.

    They come by show, those behind one `after` which others were found already.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with single_statements(engine) as connection:
        place = {"after_show": after.show if after else 0, "after": after.id if after else 0}
        rows = (await connection.execute(_LEFT, {"most": most} | place)).all()
    return [
        LeftAllotment(
            EntityId(row.id),
            EntityId(row.show_id),
            msgspec.convert(row.shares, tuple[Share, ...]),
        )
        for row in rows
    ]


def ledger_of(app: AsyncEngine, reseller: EntityId) -> OpenLedger:
    """Return what opens the ledger for a reseller's change."""
    return partial(tenant_transaction, app, reseller)


def row_of(found: Any) -> AllotmentRow:  # noqa: ANN401 - a row
    """Read a row."""
    named = dict(found)
    named["seats"] = msgspec.convert(named["seats"], Ranges)
    named["shares"] = msgspec.convert(named["shares"], tuple[Share, ...])
    return AllotmentRow(**named)
