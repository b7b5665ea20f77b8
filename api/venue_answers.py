"""What is told about venues, and about when they are taken."""

from datetime import date, datetime

from msgspec import UNSET, Struct, UnsetType, field, structs

from engine.catalog.occupancy import Calendar, CalendarDay, VenueShow
from engine.catalog.pages import VenuePage
from engine.catalog.venues import Contact, Venue
from engine.platform.ids import EntityId, Ids, Prefix


class VenueAnswer(VenuePage, frozen=True, kw_only=True):
    """A venue. You are told more of your own: whom you call, and whether its page is `public`."""

    contacts: list[Contact] | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    created_at: datetime | UnsetType = UNSET
    archived_at: datetime | UnsetType | None = UNSET


class VenueList(Struct, frozen=True):
    """Venues, the newest first. `next_cursor` is null on the last page."""

    venues: list[VenueAnswer]
    next_cursor: str | None


class CalendarShow(Struct, frozen=True, kw_only=True):
    """A show that takes a venue from `begins_at` to before `ends_at`.

    It begins with its doors; one without a duration counts as three hours. `overlaps` are other
    shows there meanwhile, up to twenty.
    """

    show: str
    name: str
    begins_at: datetime
    doors_at: datetime | None
    starts_at: datetime
    ends_at: datetime
    state: str
    configuration: str
    version: int
    overlaps: list[str]


class CalendarDayAnswer(Struct, frozen=True):
    """A day, at the venue, with the shows that take some of it, the first first."""

    day: date
    shows: list[CalendarShow]


class CalendarGap(Struct, frozen=True, kw_only=True):
    """Days on which nothing takes place, both included."""

    first: date = field(name="from")
    last: date = field(name="to")
    days: int


class CalendarAnswer(Struct, frozen=True, kw_only=True):
    """When a venue is taken: days without a show are in `gaps`. Cancelled shows take no time.

    `complete` is false where there are more shows than the 2000 that are told.
    """

    venue: str
    time_zone: str
    first: date = field(name="from")
    last: date = field(name="to")
    days: list[CalendarDayAnswer]
    gaps: list[CalendarGap]
    complete: bool


def tell_venue(venue: Venue, ids: Ids) -> VenueAnswer:
    """Tell a reseller their venue."""
    return VenueAnswer(
        venue=ids.entity(Prefix.VENUE, venue.id),
        name=venue.name,
        address=venue.address,
        country=venue.country,
        latitude=venue.latitude,
        longitude=venue.longitude,
        time_zone=venue.time_zone,
        accessibility=venue.accessibility,
        pictures=venue.pictures,
        changed_at=venue.changed_at,
        contacts=venue.contacts,
        public=venue.is_public,
        created_at=venue.created_at,
        archived_at=venue.archived_at,
    )


def tell_venue_page(page: VenuePage) -> VenueAnswer:
    """Tell the public a venue."""
    return VenueAnswer(**structs.asdict(page))


def tell_calendar(
    venue: Venue, first: date, last: date, calendar: Calendar, ids: Ids
) -> CalendarAnswer:
    """Tell when a venue is taken."""
    told: dict[EntityId, CalendarShow] = {}

    def tell(day: CalendarDay) -> CalendarDayAnswer:
        for show in day.shows:
            if show.id not in told:
                told[show.id] = _tell_show(show, calendar.overlaps.get(show.id, ()), ids)
        return CalendarDayAnswer(day.day, [told[show.id] for show in day.shows])

    return CalendarAnswer(
        venue=ids.entity(Prefix.VENUE, venue.id),
        time_zone=venue.time_zone,
        first=first,
        last=last,
        days=[tell(day) for day in calendar.days],
        gaps=[CalendarGap(first=gap.first, last=gap.last, days=gap.days) for gap in calendar.gaps],
        complete=calendar.is_complete,
    )


def _tell_show(show: VenueShow, overlaps: tuple[EntityId, ...], ids: Ids) -> CalendarShow:
    return CalendarShow(
        show=ids.entity(Prefix.SHOW, show.id),
        name=show.name,
        begins_at=show.begins_at,
        doors_at=show.doors_at,
        starts_at=show.starts_at,
        ends_at=show.ends_at,
        state=show.state,
        configuration=ids.entity(Prefix.CONFIGURATION, show.configuration),
        version=show.version,
        overlaps=[ids.entity(Prefix.SHOW, other) for other in overlaps],
    )
