"""Events in the words of https://schema.org/Event, which search engines read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from engine.catalog.interchange.shown import (
    Details,
    Place,
    ShownShow,
    page_of_event,
    page_of_show,
)
from engine.catalog.pages import EventPage
from engine.platform.money import decimal_text

MEDIA_TYPE: Final = "application/ld+json"

_VOCABULARY: Final = "https://schema.org"
_TYPES: Final = {
    "comedy": "ComedyEvent",
    "concert": "MusicEvent",
    "conference": "BusinessEvent",
    "dance": "DanceEvent",
    "education": "EducationEvent",
    "exhibition": "ExhibitionEvent",
    "family": "ChildrensEvent",
    "festival": "Festival",
    "film": "ScreeningEvent",
    "musical": "TheaterEvent",
    "opera": "TheaterEvent",
    "sports": "SportsEvent",
    "theatre": "TheaterEvent",
}
"""By an event's type; schema.org has no word for games that are played before an audience."""

_PERFORMERS: Final = {
    "BusinessEvent": "Person",
    "ComedyEvent": "Person",
    "DanceEvent": "DanceGroup",
    "EducationEvent": "Person",
    "MusicEvent": "MusicGroup",
    "SportsEvent": "SportsTeam",
    "TheaterEvent": "TheaterGroup",
}
"""What performers of such an event most likely are; else one of no closer kind."""

_STATUS: Final = {"cancelled": "EventCancelled", "rescheduled": "EventRescheduled"}
_NOT_SOLD: Final = frozenset({"paused", "off_sale", "cancelled", "past"})
_MINUTES: Final = 60

Node = dict[str, Any]


def describe_event(page: EventPage, shown: Sequence[ShownShow], site: str, now: datetime) -> Node:
    """Return an event as JSON-LD: each show is a node of it, as each has its own date and place.

    Of an event without any the one node says what there is to say.
    """
    details = Details(
        description=page.description,
        pictures=page.pictures,
        age_min=page.age_min,
        languages=page.languages,
    )
    address = page_of_event(site, page.event)
    if not shown:
        return {
            "@context": _VOCABULARY,
            "@type": _TYPES.get(page.type, "Event"),
            "@id": address,
            "name": page.name,
            "url": address,
            **_details(details),
            **_performers([performer.name for performer in page.performers], page.type),
        }
    nodes = [describe_show(show, details, site, now) for show in shown]
    if len(nodes) == 1:
        return {"@context": _VOCABULARY, **nodes[0]}
    series = {"@type": "EventSeries", "@id": address, "name": page.name, "url": address}
    return {
        "@context": _VOCABULARY,
        "@graph": [series, *({**node, "superEvent": {"@id": address}} for node in nodes)],
    }


def describe_show(shown: ShownShow, details: Details, site: str, now: datetime) -> Node:
    """Return one show's node, without what is not known of it."""
    page = page_of_show(site, shown)
    node: Node = {
        "@type": _TYPES.get(shown.type, "Event"),
        "@id": page or f"urn:onsale:{shown.show}",
        "name": shown.title,
        "startDate": _moment(shown.starts_at, shown),
        "eventStatus": _word(_status(shown)),
        "eventAttendanceMode": _word("OfflineEventAttendanceMode"),
        "location": _location(shown.place),
        **_details(details),
        **_performers(shown.performers, shown.type),
    }
    if shown.ends_at is not None:
        node["endDate"] = _moment(shown.ends_at, shown)
        node["duration"] = _duration(shown.duration_min or 0)
    if shown.doors_at is not None:
        node["doorTime"] = _moment(shown.doors_at, shown)
    if shown.former_starts_at is not None:
        node["previousStartDate"] = _moment(shown.former_starts_at, shown)
    if page is not None:
        node["url"] = page
    if shown.reseller:
        node["organizer"] = {"@type": "Organization", "name": shown.reseller}
    if shown.price_min is not None:
        node["offers"] = _offer(shown, page, now)
    return node


def for_script(node: Node) -> str:
    """Return JSON that can stand in a `<script>`: no text of it ends that, or opens a comment.

    U+2028 and U+2029 are line ends to old readers of JavaScript.
    """
    text = msgspec.json.encode(node).decode()
    return text.translate(_IN_SCRIPT)


_IN_SCRIPT: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'\u2028\u2029"}


def _status(shown: ShownShow) -> str:
    if shown.state in _STATUS:
        return _STATUS[shown.state]
    return "EventScheduled" if shown.former_starts_at is None else "EventRescheduled"


def _details(details: Details) -> Node:
    told: Node = {}
    if details.description:
        told["description"] = details.description
    if details.pictures:
        told["image"] = [picture.url for picture in details.pictures]
    if details.languages:
        told["inLanguage"] = list(details.languages)
    if details.age_min is not None:
        told["typicalAgeRange"] = f"{details.age_min}-"
    return told


def _performers(names: Sequence[str], event_type: str) -> Node:
    if not names:
        return {}
    kind = _PERFORMERS.get(_TYPES.get(event_type, "Event"), "PerformingGroup")
    return {"performer": [{"@type": kind, "name": name} for name in names]}


def _location(place: Place) -> Node:
    given = place.address
    address = {
        "streetAddress": ", ".join(line for line in (given.line_1, given.line_2) if line),
        "postalCode": given.postal_code,
        "addressLocality": given.city,
        "addressRegion": given.region,
        "addressCountry": place.country,
    }
    told = {name: text for name, text in address.items() if text}
    location: Node = {"@type": "Place", "name": place.name}
    location["address"] = {"@type": "PostalAddress", **told} if told else place.name
    if place.latitude is not None and place.longitude is not None:
        location["geo"] = {
            "@type": "GeoCoordinates",
            "latitude": place.latitude,
            "longitude": place.longitude,
        }
    return location


def _offer(shown: ShownShow, page: str | None, now: datetime) -> Node:
    low = shown.price_min or 0
    high = low if shown.price_max is None else shown.price_max
    offer: Node = {
        "@type": "AggregateOffer",
        "lowPrice": decimal_text(low, shown.currency),
        "highPrice": decimal_text(high, shown.currency),
        "priceCurrency": shown.currency,
        "availability": _word(_availability(shown, now)),
        "validFrom": _moment(shown.opens_at, shown),
    }
    if shown.closes_at is not None:
        offer["validThrough"] = _moment(shown.closes_at, shown)
    if page is not None:
        offer["url"] = page
    if shown.reseller:
        offer["seller"] = {"@type": "Organization", "name": shown.reseller}
    return offer


def _availability(shown: ShownShow, now: datetime) -> str:
    if shown.is_sold_out:
        return "SoldOut"
    if shown.state in _NOT_SOLD or (shown.closes_at is not None and shown.closes_at <= now):
        return "OutOfStock"
    return "PreOrder" if shown.opens_at > now else "InStock"


def _word(name: str) -> str:
    return f"{_VOCABULARY}/{name}"


def _moment(moment: datetime, shown: ShownShow) -> str:
    """Return a moment at the venue, with how far that is from UTC."""
    return moment.astimezone(shown.zone).replace(microsecond=0).isoformat()


def _duration(minutes: int) -> str:
    """Return a length of time by ISO 8601: `PT2H30M`."""
    hours, rest = divmod(minutes, _MINUTES)
    return "PT" + (f"{hours}H" if hours else "") + (f"{rest}M" if rest or not hours else "")
