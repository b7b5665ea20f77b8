"""A show as the public is told of it, as calendars, schema.org and feeds take it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pycountry
from msgspec import Struct

from engine.catalog.pages import Picture, PublicAddress


class Place(Struct, frozen=True, kw_only=True):
    """Where a show takes place. Without `venue` nothing is known of it but its name."""

    name: str
    venue: str | None = None
    address: PublicAddress = PublicAddress()
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None

    def in_lines(self) -> list[str]:
        """Return name and address as they are written on a letter."""
        place = self.address
        town = f"{place.postal_code} {place.city}".strip()
        country = country_name(self.country)
        lines = [self.name, place.line_1, place.line_2, town, place.region, country]
        return [line for line in lines if line]


class ShownShow(Struct, frozen=True, kw_only=True):
    """A public show. Ids have their outside form; prices are totals in minor units.

    `former_starts_at` is when it was to begin before it was rescheduled the last time, `revision`
    rises with each change that its visitors should know of.
    """

    show: str
    name: str
    state: str
    starts_at: datetime
    opens_at: datetime
    changed_at: datetime
    place: Place
    closes_at: datetime | None = None
    doors_at: datetime | None = None
    duration_min: int | None = None
    former_starts_at: datetime | None = None
    time_zone: str = "UTC"
    event: str | None = None
    event_name: str = ""
    type: str = ""
    performers: Sequence[str] = ()
    currency: str = "EUR"
    price_min: int | None = None
    price_max: int | None = None
    available: int | None = None
    revision: int = 0
    reseller: str = ""

    @property
    def title(self) -> str:
        """What it is called outside its event: both names, where they differ."""
        if not self.event_name or self.event_name.casefold() in self.name.casefold():
            return self.name
        return f"{self.event_name}: {self.name}"

    @property
    def is_sold_out(self) -> bool:
        """Whether it was on sale and nothing is left."""
        return self.state == "sold_out" or (self.state == "on_sale" and self.available == 0)

    def open_at(self, now: datetime) -> int | None:
        """Return how many places can be had at a moment; None: nobody has counted them."""
        is_sold = self.state == "on_sale" and self.opens_at <= now
        if not is_sold or (self.closes_at is not None and self.closes_at <= now):
            return 0
        return self.available

    @property
    def zone(self) -> tzinfo:
        """The venue's time zone; UTC for one that this machine does not know."""
        return zone_of(self.time_zone) or UTC

    @property
    def ends_at(self) -> datetime | None:
        """When it ends, where that is known."""
        if self.duration_min is None:
            return None
        return self.starts_at + timedelta(minutes=self.duration_min)


class Details(Struct, frozen=True, kw_only=True):
    """What an event's page tells beyond its shows."""

    description: str = ""
    pictures: Sequence[Picture] = ()
    age_min: int | None = None
    languages: Sequence[str] = ()


def zone_of(name: str) -> ZoneInfo | None:
    """Return a time zone of the IANA data base, None if it has none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=256)
def country_name(code: str) -> str:
    """Return a country's name in English; of a code that is none, the code."""
    country: Any = cast("Any", pycountry.countries).get(alpha_2=code) if code else None
    return code if country is None else str(getattr(country, "common_name", country.name))


def page_of_event(site: str, event: str) -> str:
    """Return where an event's page is."""
    return f"{site}/events/{event}"


def page_of_show(site: str, shown: ShownShow) -> str | None:
    """Return where people read of a show: at its place of its event's page."""
    if shown.event is None:
        return None
    return f"{page_of_event(site, shown.event)}#{shown.show}"
