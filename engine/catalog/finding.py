"""What the public may find: pages of events, performers and venues, and the shows of each.

Read from `public_listings` and `public_pages` alone, by whoever asks, without a reseller. Nothing
else of the ledger is seen by it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.pages import EventPage, Page, PerformerPage, Picture, VenuePage
from engine.platform.database import public_transaction

LISTED_MAX: Final = 200

_PAGE: Final = text("SELECT document FROM public_pages WHERE kind = :kind AND id = :id").columns(
    document=JSONB
)
_TYPES: Final[Mapping[str, type[EventPage | PerformerPage | VenuePage]]] = {
    "event": EventPage,
    "performer": PerformerPage,
    "venue": VenuePage,
}
_OF: Final = {
    "event": "item_id = :id",
    "performer": "performer_ids @> ARRAY[CAST(:id AS BIGINT)]",
    "venue": "venue_id = :id",
    "show": "show_id = :id",
}


class PublicShow(Struct, frozen=True, kw_only=True):
    """A show as it is listed. Ids are entities'; prices include fee and tax, in minor units.

    `state` is what is told: `sold_out` where nothing is left of a show on sale. `price_min` is of
    what is left, null if nothing is, or if nobody has counted yet; so are the places.
    """

    show_id: int
    event_id: int | None
    venue_id: int | None
    name: str
    """The event's, or the show's if it has none."""
    show_name: str
    reseller_name: str
    type: str | None
    performer_ids: list[int]
    performers: list[str]
    picture: Picture | None
    venue: str
    city: str | None
    country: str | None
    latitude: float | None
    longitude: float | None
    time_zone: str | None
    starts_at: datetime
    former_starts_at: datetime | None
    """Before it was rescheduled the last time."""
    doors_at: datetime | None
    duration_min: int | None
    opens_at: datetime
    closes_at: datetime | None
    state: str
    currency: str
    capacity: int | None
    available: int | None
    price_min: int | None
    price_max: int | None
    changed_at: datetime


COLUMNS: Final = tuple(
    "CASE WHEN @.state = 'on_sale' AND @.is_sold_out THEN 'sold_out' ELSE @.state END AS state"
    if name == "state"
    else f"@.{name}"
    for name in PublicShow.__struct_fields__
)
"""What a listed show is read from; `@.` stands for the listings' alias."""

_COLUMNS: Final = ", ".join(COLUMNS).replace("@.", "")


async def public_page(app: AsyncEngine, kind: str, entity: int) -> Page | None:
    """Return the page of an event, a performer or a venue (`kind`); None: there is none in public.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    async with public_transaction(app) as connection:
        found = await connection.execute(_PAGE, {"kind": kind, "id": entity})
        document = found.scalar_one_or_none()
    return None if document is None else msgspec.convert(document, _TYPES[kind])


async def public_shows_of(  # noqa: PLR0913 - of whom, and which part
    app: AsyncEngine,
    kind: str,
    entity: int,
    *,
    after: int | None = None,
    limit: int = LISTED_MAX,
    since: datetime | None = None,
) -> list[PublicShow]:
    """Return the public shows of an `event`, a `performer` or a `venue`, or one `show`.

    The soonest first, from behind the show `after`; with `since`, those that begin later alone.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    query = text(
        f"SELECT {_COLUMNS} FROM public_listings WHERE {_OF[kind]}"  # noqa: S608 - our own names
        " AND (CAST(:after AS BIGINT) IS NULL OR (starts_at, show_id) > (SELECT starts_at, show_id"
        " FROM public_listings WHERE show_id = :after))"
        " AND (CAST(:since AS TIMESTAMPTZ) IS NULL OR starts_at >= :since)"
        " ORDER BY starts_at, show_id LIMIT :limit"
    ).columns(performers=JSONB, picture=JSONB)
    told = {"id": entity, "after": after, "since": since, "limit": min(limit, LISTED_MAX + 1)}
    async with public_transaction(app) as connection:
        rows = (await connection.execute(query, told)).mappings().all()
    return [tell_listing(row) for row in rows]


async def new_on_sales(  # noqa: PLR0913 - which ones
    app: AsyncEngine,
    *,
    since: datetime,
    limit: int = LISTED_MAX,
    reseller: int | None = None,
    type: str | None = None,  # noqa: A002 - as the column is called
    country: str | None = None,
) -> list[PublicShow]:
    """Return the public shows whose sale began after `since`, the latest such first.

    Of one `reseller`, of one `type` of event, or in one `country` alone, where these are named.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    query = text(
        f"SELECT {_COLUMNS} FROM public_listings"  # noqa: S608 - our own names
        " WHERE opens_at > :since AND opens_at <= now()"
        " AND state IN ('on_sale', 'paused')"
        " AND (CAST(:reseller AS BIGINT) IS NULL OR reseller_id = :reseller)"
        " AND (CAST(:type AS TEXT) IS NULL OR type = :type)"
        " AND (CAST(:country AS TEXT) IS NULL OR country = :country)"
        " ORDER BY opens_at DESC, show_id DESC LIMIT :limit"
    ).columns(performers=JSONB, picture=JSONB)
    told = {
        "since": since,
        "limit": min(limit, LISTED_MAX),
        "reseller": reseller,
        "type": type,
        "country": country,
    }
    async with public_transaction(app) as connection:
        rows = (await connection.execute(query, told)).mappings().all()
    return [tell_listing(row) for row in rows]


def tell_listing(row: RowMapping | Mapping[str, Any]) -> PublicShow:
    """Return a listed show of its row."""
    return msgspec.convert(dict(row), PublicShow)
