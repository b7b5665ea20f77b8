"""Reads what is public, for calendars, schema.org, feeds and pages: of the read model alone."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.finder import Finder
from engine.catalog.finding import PublicShow, new_on_sales, public_page, public_shows_of
from engine.catalog.interchange.calendars import SHOWS_MAX
from engine.catalog.interchange.feeds import ITEMS_MAX
from engine.catalog.interchange.shown import Place, ShownShow
from engine.catalog.pages import EventPage, Page, PerformerPage, PublicAddress, VenuePage
from engine.platform.cached_reads import Keeping, shape_of
from engine.platform.database import public_transaction
from engine.platform.ids import EntityId, Ids, Prefix

_KEPT: Final = timedelta(days=31)
"""How long shows that are over stay in what others read."""

_NEW: Final = timedelta(days=92)
"""How long a sale that has begun is news."""

_KEEPING: Final = Keeping(fresh_s=1.0, stale_s=5.0)
_READ_AS: Final[dict[str, Any]] = {
    "event": tuple[EventPage, list[ShownShow]],
    "performer": tuple[PerformerPage, list[ShownShow]],
    "venue": tuple[VenuePage, list[ShownShow]],
}
_KEYS: Final = {kind: f"shown:{kind}:{shape_of(read)}" for kind, read in _READ_AS.items()}
_KEY_OF_SHOWS: Final = f"shown:{shape_of(list[ShownShow])}"
_encode: Final = msgspec.msgpack.Encoder().encode
_NOTHING: Final = _encode(None)
_COUNTED_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
_VENUES: Final = (
    text("SELECT id, document FROM public_pages WHERE kind = 'venue' AND id IN :ids")
    .bindparams(bindparam("ids", expanding=True))
    .columns(document=JSONB)
)


class Subject(Struct, frozen=True):
    """An event, a performer or a venue, with its public shows, the soonest first."""

    page: Page
    shown: Sequence[ShownShow]


class NewOnSales(Struct, frozen=True, kw_only=True):
    """Which new on-sales somebody wants to hear of: all, or those that fit."""

    reseller: EntityId | None = None
    type: str | None = None
    country: str | None = None


class PublicReads:
    """What one process reads for everybody; what many ask for alike is read once a second.

    Each read raises:
        TooBusyError: too many reads of what is public wait.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """

    def __init__(self, app: AsyncEngine, finder: Finder, ids: Ids) -> None:
        """Take an engine of the application's role, what keeps reads, and the region's ids."""
        self._app = app
        self._finder = finder
        self._ids = ids

    async def subject(self, kind: str, entity: int) -> Subject | None:
        """Return an `event`, a `performer` or a `venue` (`kind`); None: there is none in public.

        Of its shows those to come, and those that were over only lately.
        """

        async def read() -> bytes:
            page = await public_page(self._app, kind, entity)
            if page is None:
                return _NOTHING
            since = datetime.now(UTC) - _KEPT
            listed = await public_shows_of(self._app, kind, entity, since=since, limit=SHOWS_MAX)
            return _encode((page, await self._shown(listed)))

        content = await self._finder.kept(f"{_KEYS[kind]}:{entity}", _KEEPING, read)
        if content == _NOTHING:
            return None
        page, shown = msgspec.msgpack.decode(content, type=_READ_AS[kind])
        return Subject(page, shown)

    async def show(self, show: int) -> ShownShow | None:
        """Return one show; None: there is none in public."""

        async def read() -> bytes:
            listed = await public_shows_of(self._app, "show", show, limit=1)
            return _encode(await self._shown(listed))

        found = await self._shows(f"{_KEY_OF_SHOWS}:show:{show}", read)
        return found[0] if found else None

    async def new_on_sales(self, wanted: NewOnSales) -> Sequence[ShownShow]:
        """Return the shows whose sale has begun, the latest first."""

        async def read() -> bytes:
            listed = await new_on_sales(
                self._app,
                since=datetime.now(UTC) - _NEW,
                limit=ITEMS_MAX,
                reseller=wanted.reseller,
                type=wanted.type,
                country=wanted.country,
            )
            return _encode(await self._shown(listed))

        asked = f"{wanted.reseller}:{wanted.type}:{wanted.country}"
        return await self._shows(f"{_KEY_OF_SHOWS}:new:{asked}", read)

    async def _shows(self, key: str, read: Callable[[], Awaitable[bytes]]) -> list[ShownShow]:
        content = await self._finder.kept(key, _KEEPING, read)
        return msgspec.msgpack.decode(content, type=list[ShownShow])

    async def _shown(self, listed: Sequence[PublicShow]) -> list[ShownShow]:
        venues = {show.venue_id for show in listed if show.venue_id is not None}
        pages: dict[int, VenuePage] = {}
        if venues:
            async with public_transaction(self._app) as connection:
                rows = (await connection.execute(_VENUES, {"ids": sorted(venues)})).all()
            pages = {venue: msgspec.convert(document, VenuePage) for venue, document in rows}
        return [tell_show(show, self._ids, pages.get(show.venue_id or 0)) for show in listed]


def name_of(page: Page) -> tuple[str, str]:
    """Return a page's id and its name."""
    match page:
        case EventPage():
            return page.event, page.name
        case PerformerPage():
            return page.performer, page.name
        case VenuePage():
            return page.venue, page.name


def tell_show(listed: PublicShow, ids: Ids, venue: VenuePage | None) -> ShownShow:
    """Return a listed show as others read it, with where its venue is."""
    event = None if listed.event_id is None else ids.entity(Prefix.EVENT, listed.event_id)
    return ShownShow(
        show=ids.entity(Prefix.SHOW, listed.show_id),
        name=listed.show_name,
        state=listed.state,
        starts_at=listed.starts_at,
        former_starts_at=listed.former_starts_at,
        doors_at=listed.doors_at,
        duration_min=listed.duration_min,
        opens_at=listed.opens_at,
        closes_at=listed.closes_at,
        changed_at=listed.changed_at,
        place=_place(listed, venue),
        time_zone=listed.time_zone or "UTC",
        event=event,
        event_name="" if event is None else listed.name,
        type=listed.type or "",
        performers=tuple(listed.performers),
        currency=listed.currency,
        price_min=listed.price_min,
        price_max=listed.price_max,
        available=listed.available,
        revision=_revision(listed.changed_at),
        reseller=listed.reseller_name,
    )


def _place(listed: PublicShow, venue: VenuePage | None) -> Place:
    if venue is None:
        return Place(
            name=listed.venue,
            address=PublicAddress(city=listed.city or ""),
            country=listed.country or "",
            latitude=listed.latitude,
            longitude=listed.longitude,
        )
    address = venue.address
    if not address.city:
        address = msgspec.structs.replace(address, city=listed.city or "")
    return Place(
        name=venue.name,
        venue=venue.venue,
        address=address,
        country=venue.country,
        latitude=venue.latitude,
        longitude=venue.longitude,
    )


def _revision(changed_at: datetime) -> int:
    """Return a number that rises with each change of what is told of a show: seconds, since 2020.

    What sells is no change of it. iCalendar's integers end in 2088 by this count.
    """
    return max(0, int((changed_at - _COUNTED_FROM).total_seconds()))
