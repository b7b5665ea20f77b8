"""A reseller's own shows of an event, as they are listed: public or not, whatever their state."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.finding import COLUMNS, LISTED_MAX, PublicShow, tell_listing
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId

_COLUMNS: Final = ", ".join(COLUMNS).replace("@.", "l.")
_OWN: Final = text(
    f"SELECT {_COLUMNS} FROM (SELECT listings.*, capacity, available, price_min, price_max,"  # noqa: S608 - our own names
    " coalesce(is_sold_out, false) AS is_sold_out"
    " FROM listings LEFT JOIN listing_counts USING (show_id)) AS l WHERE event_id = :event"
    " AND (CAST(:after AS BIGINT) IS NULL OR (starts_at, show_id) >"
    " (SELECT starts_at, show_id FROM listings WHERE show_id = :after AND event_id = :event))"
    " ORDER BY starts_at, show_id LIMIT :limit"
).columns(performers=JSONB, picture=JSONB)


async def own_shows_of(
    app: AsyncEngine,
    reseller: EntityId,
    event: EntityId,
    *,
    after: EntityId | None = None,
    limit: int = LISTED_MAX,
) -> list[PublicShow]:
    """Return the shows of a reseller's event, the soonest first, from behind the show `after`.

    What changed within the last second may be missing yet.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    told = {"event": event, "after": after, "limit": min(limit, LISTED_MAX + 1)}
    async with tenant_transaction(app, reseller) as connection:
        rows = (await connection.execute(_OWN, told)).mappings().all()
    return [tell_listing(row) for row in rows]
