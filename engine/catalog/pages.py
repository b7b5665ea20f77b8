"""The pages of events, performers and venues, as the public is told of them.

A page tells what it is about and names what belongs to it; its shows are told by the listings.
Ids have their outside form, so that a page can be kept and sent as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.platform.ids import Ids, Prefix


class Picture(Struct, frozen=True):
    """A picture, somewhere on the web: what it shows, and who is to be named for it."""

    url: str
    alt: str
    credit: str


class Link(Struct, frozen=True):
    """A page about a performer, somewhere on the web: what it is, and where."""

    label: str
    url: str


class BilledPerformer(Struct, frozen=True):
    """Who performs at an event, in short."""

    performer: str
    name: str


class EventPage(Struct, frozen=True, kw_only=True):
    """An event, as the public is told of it. Performers are in billing order.

    `languages` are BCP 47 tags, `age_min` is in years; null: for everybody. `reseller` is the name
    of who sells it.
    """

    event: str
    name: str
    description: str
    type: str
    pictures: list[Picture]
    age_min: int | None
    languages: list[str]
    performers: list[BilledPerformer]
    reseller: str
    changed_at: datetime


class PerformerPage(Struct, frozen=True, kw_only=True):
    """A performer, as the public is told of them."""

    performer: str
    name: str
    description: str
    pictures: list[Picture]
    links: list[Link]
    changed_at: datetime


class PublicAddress(Struct, frozen=True, kw_only=True):
    """Where a venue is; its country stands beside it."""

    line_1: str = ""
    line_2: str = ""
    postal_code: str = ""
    city: str = ""
    region: str = ""


class VenuePage(Struct, frozen=True, kw_only=True):
    """A venue, as the public is told of it: not whom its reseller calls there."""

    venue: str
    name: str
    address: PublicAddress
    country: str
    latitude: float | None
    longitude: float | None
    time_zone: str
    accessibility: str
    pictures: list[Picture]
    changed_at: datetime


Page = EventPage | PerformerPage | VenuePage

EVENT_COLUMNS: Final = (
    *("id", "name", "description", "type", "pictures", "age_min", "languages", "changed_at"),
)
PERFORMER_COLUMNS: Final = ("id", "name", "description", "pictures", "links", "changed_at")
VENUE_COLUMNS: Final = (
    *("id", "name", "address", "country", "latitude", "longitude", "time_zone", "accessibility"),
    *("pictures", "changed_at"),
)
"""What of its table's row a page is made of."""


def event_page(
    row: Mapping[Any, Any], bill: Iterable[tuple[int, str]], reseller: str, ids: Ids
) -> EventPage:
    """Return the page of a row of `events`.

    `bill` is ids and names of who performs, in billing order; `reseller` its reseller's name.
    """
    return EventPage(
        event=ids.entity(Prefix.EVENT, row["id"]),
        name=row["name"],
        description=row["description"],
        type=row["type"],
        pictures=read_pictures(row["pictures"]),
        age_min=row["age_min"],
        languages=list(row["languages"]),
        performers=tell_bill(bill, ids),
        reseller=reseller,
        changed_at=row["changed_at"],
    )


def performer_page(row: Mapping[Any, Any], ids: Ids) -> PerformerPage:
    """Return the page of a row of `performers`."""
    return PerformerPage(
        performer=ids.entity(Prefix.PERFORMER, row["id"]),
        name=row["name"],
        description=row["description"],
        pictures=read_pictures(row["pictures"]),
        links=read_links(row["links"]),
        changed_at=row["changed_at"],
    )


def venue_page(row: Mapping[Any, Any], ids: Ids) -> VenuePage:
    """Return the page of a row of `venues`."""
    return VenuePage(
        venue=ids.entity(Prefix.VENUE, row["id"]),
        name=row["name"],
        address=msgspec.convert(row["address"], PublicAddress),
        country=row["country"],
        latitude=row["latitude"],
        longitude=row["longitude"],
        time_zone=row["time_zone"],
        accessibility=row["accessibility"],
        pictures=read_pictures(row["pictures"]),
        changed_at=row["changed_at"],
    )


def tell_bill(bill: Iterable[tuple[int, str]], ids: Ids) -> list[BilledPerformer]:
    """Return who performs, told in short, in the order given."""
    return [
        BilledPerformer(ids.entity(Prefix.PERFORMER, performer), name) for performer, name in bill
    ]


def read_pictures(stored: Sequence[object]) -> list[Picture]:
    """Return pictures as a row has them."""
    return msgspec.convert(stored, list[Picture])


def read_links(stored: Sequence[object]) -> list[Link]:
    """Return links as a row has them."""
    return msgspec.convert(stored, list[Link])
