"""Examples of what other systems read: made by what makes it, of one show."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from api.contract.words import EXAMPLES_BY_NAME
from engine.catalog.interchange import calendars, feeds, schema_org
from engine.catalog.interchange.calendars import CalendarOf, write_calendar
from engine.catalog.interchange.feeds import FeedOf, json_feed, rss_feed
from engine.catalog.interchange.schema_org import describe_show
from engine.catalog.interchange.shown import Details, Place, ShownShow
from engine.catalog.pages import PublicAddress

Json = dict[str, Any]

_SITE: Final = "https://tickets.example"
_EVENT: Final = str(EXAMPLES_BY_NAME["event"])
_SHOWN: Final = ShownShow(
    show=str(EXAMPLES_BY_NAME["show"]),
    name="First Light",
    state="on_sale",
    starts_at=datetime(2027, 7, 1, 18, tzinfo=UTC),
    doors_at=datetime(2027, 7, 1, 17, tzinfo=UTC),
    duration_min=120,
    opens_at=datetime(2026, 12, 1, 9, tzinfo=UTC),
    changed_at=datetime(2026, 12, 1, 9, tzinfo=UTC),
    place=Place(
        name="Riethsporthalle",
        address=PublicAddress(line_1="Essener Str. 20", postal_code="99089", city="Erfurt"),
        country="DE",
    ),
    time_zone="Europe/Berlin",
    event=_EVENT,
    event_name="First Light",
    type="concert",
    performers=("Ada Abendroth",),
    price_min=4500,
    price_max=9500,
    available=120,
    revision=1,
)
_FEED: Final = FeedOf(
    title="New on-sales",
    address=f"{_SITE}/v1/feeds/on-sales.json",
    home=_SITE,
    description="Shows whose sale has begun, the latest first.",
)


def _calendar() -> str:
    address = f"{_SITE}/v1/events/{_EVENT}/calendar.ics"
    subject = CalendarOf(id=_EVENT, name="First Light", address=address)
    return write_calendar(subject, [_SHOWN], _SITE).decode()


def _schema() -> Json:
    return {
        "@context": "https://schema.org",
        **describe_show(_SHOWN, Details(), _SITE, datetime(2027, 1, 1, tzinfo=UTC)),
    }


_MAKERS: Final[dict[str, Callable[[], Any]]] = {
    calendars.MEDIA_TYPE: _calendar,
    schema_org.MEDIA_TYPE: _schema,
    feeds.JSON_MEDIA_TYPE: lambda: msgspec.json.decode(json_feed(_FEED, [_SHOWN], _SITE)),
    feeds.RSS_MEDIA_TYPE: lambda: rss_feed(_FEED, [_SHOWN], _SITE).decode(),
}


def examples_in(media_type: str) -> Json | None:
    """Return the examples of an answer in such a form; None: it is not one of these."""
    make = _MAKERS.get(media_type)
    return None if make is None else {"one-show": {"summary": "one show", "value": make()}}
