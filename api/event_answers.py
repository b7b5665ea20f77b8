"""What is told about events and performers: the page that all see, and to whose it is, more."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType, structs

from engine.catalog.events import Event
from engine.catalog.pages import EventPage, PerformerPage, tell_bill
from engine.catalog.performers import Performer
from engine.platform.ids import Ids, Prefix


class EventAnswer(EventPage, frozen=True, kw_only=True):
    """An event. Performers are in billing order; `reseller` is the name of who sells it.

    `languages` are BCP 47 tags; `age_min` is in years, null: for everybody. You are told more of
    your own: whether it is `public` at present and what decides that, and since when it is kept.
    """

    public: bool | UnsetType = UNSET
    visibility: str | UnsetType = UNSET
    public_from: datetime | UnsetType | None = UNSET
    created_at: datetime | UnsetType = UNSET
    archived_at: datetime | UnsetType | None = UNSET


class PerformerAnswer(PerformerPage, frozen=True, kw_only=True):
    """A performer. You are told more of your own: whether the page is `public` at present."""

    public: bool | UnsetType = UNSET
    created_at: datetime | UnsetType = UNSET
    archived_at: datetime | UnsetType | None = UNSET


class PerformerList(Struct, frozen=True):
    """Performers, the newest first. `next_cursor` is null on the last page."""

    performers: list[PerformerAnswer]
    next_cursor: str | None


def tell_event(event: Event, ids: Ids) -> EventAnswer:
    """Tell a reseller their event."""
    return EventAnswer(
        event=ids.entity(Prefix.EVENT, event.id),
        name=event.name,
        description=event.description,
        type=event.type,
        pictures=event.pictures,
        age_min=event.age_min,
        languages=event.languages,
        performers=tell_bill(event.bill, ids),
        reseller=event.reseller,
        changed_at=event.changed_at,
        public=event.is_public,
        visibility=event.visibility,
        public_from=event.public_from,
        created_at=event.created_at,
        archived_at=event.archived_at,
    )


def tell_performer(performer: Performer, ids: Ids) -> PerformerAnswer:
    """Tell a reseller their performer."""
    return PerformerAnswer(
        performer=ids.entity(Prefix.PERFORMER, performer.id),
        name=performer.name,
        description=performer.description,
        pictures=performer.pictures,
        links=performer.links,
        changed_at=performer.changed_at,
        public=performer.is_public,
        created_at=performer.created_at,
        archived_at=performer.archived_at,
    )


def tell_event_page(page: EventPage) -> EventAnswer:
    """Tell the public an event."""
    return EventAnswer(**structs.asdict(page))


def tell_performer_page(page: PerformerPage) -> PerformerAnswer:
    """Tell the public a performer."""
    return PerformerAnswer(**structs.asdict(page))
