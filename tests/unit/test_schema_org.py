"""Events in the words of schema.org: what search engines ask of them, and safe in a page."""

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from engine.catalog.events import EventType
from engine.catalog.interchange.schema_org import describe_event, describe_show, for_script
from engine.catalog.interchange.shown import Details, ShownShow
from engine.catalog.pages import BilledPerformer, EventPage, Picture, PublicAddress
from engine.platform.money import decimal_text
from tests.unit.interchange_world import EVENT, SHOW, SITE, hall, shown

_NOW = datetime(2027, 2, 1, 12, tzinfo=UTC)
_PAGE = f"{SITE}/events/{EVENT}"


def event(**changes: Any) -> EventPage:  # noqa: ANN401 -- any field
    """Return an event's page."""
    told: dict[str, Any] = {
        "event": EVENT,
        "name": "First Light",
        "description": "An evening.",
        "type": "concert",
        "pictures": [Picture("https://cdn.example/first.jpg", "A stage", "")],
        "age_min": 16,
        "languages": ["de", "en"],
        "performers": [BilledPerformer("prf_dev_1", "Ada Abendroth")],
        "reseller": "Erfurt Tickets",
        "changed_at": datetime(2026, 12, 1, tzinfo=UTC),
    }
    return EventPage(**{**told, **changes})


def node_of(show: ShownShow, now: datetime = _NOW) -> Any:  # noqa: ANN401 -- JSON
    """Return a show's node, as a reader of the JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(describe_show(show, Details(), SITE, now)))


def test_a_show_has_what_search_engines_ask_for() -> None:
    """All of it, in schema.org's own words."""
    assert describe_event(event(), [shown()], SITE, _NOW) == {
        "@context": "https://schema.org",
        "@type": "MusicEvent",
        "@id": f"{_PAGE}#{SHOW}",
        "name": "First Light",
        "url": f"{_PAGE}#{SHOW}",
        "description": "An evening.",
        "image": ["https://cdn.example/first.jpg"],
        "startDate": "2027-07-01T20:00:00+02:00",
        "endDate": "2027-07-01T22:00:00+02:00",
        "doorTime": "2027-07-01T19:00:00+02:00",
        "duration": "PT2H",
        "eventStatus": "https://schema.org/EventScheduled",
        "eventAttendanceMode": "https://schema.org/OfflineEventAttendanceMode",
        "inLanguage": ["de", "en"],
        "typicalAgeRange": "16-",
        "location": {
            "@type": "Place",
            "name": "Riethsporthalle",
            "address": {
                "@type": "PostalAddress",
                "streetAddress": "Essener Str. 20",
                "postalCode": "99089",
                "addressLocality": "Erfurt",
                "addressCountry": "DE",
            },
            "geo": {"@type": "GeoCoordinates", "latitude": 50.9989, "longitude": 11.0112},
        },
        "performer": [
            {"@type": "MusicGroup", "name": "Ada Abendroth"},
            {"@type": "MusicGroup", "name": "The Kettles"},
        ],
        "organizer": {"@type": "Organization", "name": "Erfurt Tickets"},
        "offers": {
            "@type": "AggregateOffer",
            "lowPrice": "45.00",
            "highPrice": "95.00",
            "priceCurrency": "EUR",
            "availability": "https://schema.org/InStock",
            "validFrom": "2027-01-10T10:00:00+01:00",
            "url": f"{_PAGE}#{SHOW}",
            "seller": {"@type": "Organization", "name": "Erfurt Tickets"},
        },
    }


def test_several_dates_are_nodes_of_one_series() -> None:
    """Each with its own date; what they belong to is said once."""
    document = describe_event(event(), [shown(), shown(show="shw_dev_2")], SITE, _NOW)
    series, first, second = document["@graph"]
    assert series["@type"] == "EventSeries"
    assert first["superEvent"] == second["superEvent"] == {"@id": series["@id"]}
    assert first["@id"] != second["@id"]


def test_an_event_without_a_date_says_what_there_is() -> None:
    """It may be announced before its dates."""
    document = describe_event(event(), [], SITE, _NOW)
    assert document["@type"] == "MusicEvent"
    assert document["performer"] == [{"@type": "MusicGroup", "name": "Ada Abendroth"}]
    assert "startDate" not in document


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"state": "on_sale"}, "EventScheduled"),
        ({"state": "announced"}, "EventScheduled"),
        ({"state": "cancelled"}, "EventCancelled"),
        ({"state": "rescheduled"}, "EventRescheduled"),
        # On sale again, on its new date.
        (
            {"state": "on_sale", "former_starts_at": datetime(2027, 6, 1, 18, tzinfo=UTC)},
            "EventRescheduled",
        ),
        (
            {"state": "cancelled", "former_starts_at": datetime(2027, 6, 1, 18, tzinfo=UTC)},
            "EventCancelled",
        ),
    ],
)
def test_the_status_is_what_became_of_the_date(told: dict[str, Any], status: str) -> None:
    """With the date before, where it was moved."""
    node = node_of(shown(**told))
    assert node["eventStatus"] == f"https://schema.org/{status}"
    moved = "former_starts_at" in told
    assert node.get("previousStartDate") == ("2027-06-01T20:00:00+02:00" if moved else None)


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({}, "InStock"),
        ({"available": 0}, "SoldOut"),
        ({"state": "sold_out", "available": None}, "SoldOut"),
        ({"opens_at": _NOW + timedelta(days=1)}, "PreOrder"),
        ({"state": "announced", "opens_at": _NOW + timedelta(days=1)}, "PreOrder"),
        ({"closes_at": _NOW}, "OutOfStock"),
        ({"state": "paused"}, "OutOfStock"),
        ({"state": "off_sale", "available": 0}, "OutOfStock"),
        ({"state": "cancelled"}, "OutOfStock"),
        ({"state": "past"}, "OutOfStock"),
        ({"available": None}, "InStock"),
    ],
)
def test_availability_is_what_a_buyer_would_find(told: dict[str, Any], word: str) -> None:
    """Sold out only what was sold."""
    offer = node_of(shown(**told))["offers"]
    assert offer["availability"] == f"https://schema.org/{word}"


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(120, "PT2H"), (45, "PT45M"), (150, "PT2H30M"), (1, "PT1M"), (1500, "PT25H")],
)
def test_durations_are_iso_8601(minutes: int, text: str) -> None:
    """Hours and minutes, neither of them nought."""
    assert node_of(shown(duration_min=minutes))["duration"] == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (9500, "EUR", "95.00"),
        (5, "EUR", "0.05"),
        (0, "EUR", "0.00"),
        (-105, "EUR", "-1.05"),
        (9500, "JPY", "9500"),
        (9500, "KWD", "9.500"),
        (1, "CLF", "0.0001"),
        (10_000_000_000_000_001, "USD", "100000000000000.01"),
    ],
)
def test_prices_have_the_digits_of_their_currency(amount: int, currency: str, text: str) -> None:
    """No float on the way, and none loses a cent."""
    assert decimal_text(amount, currency) == text
    offer = node_of(shown(price_min=max(amount, 0), price_max=None, currency=currency))["offers"]
    assert offer["lowPrice"] == offer["highPrice"]


@pytest.mark.parametrize("kind", [*EventType, "", "unheard-of"])
def test_every_type_of_event_has_a_word(kind: str) -> None:
    """A plain Event is one, too."""
    node = node_of(shown(type=kind))
    assert node["@type"].endswith(("Event", "Festival"))
    assert (node["@type"] == "Event") == (kind in {"gaming", "other", "", "unheard-of"})


def test_what_is_not_known_is_left_out() -> None:
    """No null, no empty text: validators take them for mistakes."""
    bare = shown(
        duration_min=None,
        doors_at=None,
        performers=(),
        price_min=None,
        event=None,
        reseller="",
        place=hall(address=PublicAddress(), country="", latitude=None, longitude=None),
        time_zone="Nowhere/Land",
    )
    node = node_of(bare)
    assert node["startDate"] == "2027-07-01T18:00:00+00:00"
    assert node["location"] == {
        "@type": "Place",
        "name": "Riethsporthalle",
        "address": "Riethsporthalle",
    }
    left_out = {"endDate", "duration", "doorTime", "performer", "offers", "url", "organizer"}
    assert not left_out & node.keys()


class _Scripts(HTMLParser):
    """Gathers what scripts have, and the elements that are outside of them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.outside: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        del attrs
        self._inside = tag == "script"
        if not self._inside:
            self.outside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note the end of one."""
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._inside:
            self.texts.append(data)


@pytest.mark.parametrize(
    "name",
    [
        "</script><img src=x onerror=alert(1)>",
        "</ScRiPt ><b>",
        "<!--<script>",
        "]]>",
        "&lt;/script&gt;&quot;",
        "\u2028alert(1)\u2029",
        '"}; alert(1); {"',
        "\u202e</tpircs",
        "'onload='x",
    ],
)
def test_no_name_gets_out_of_the_script(name: str) -> None:
    """A parser of HTML sees one script, and in it JSON that says the name as it is."""
    text = for_script(describe_event(event(name=name), [], SITE, _NOW))
    parser = _Scripts()
    parser.feed(f'<script type="application/ld+json">{text}</script>')
    parser.close()
    assert parser.outside == []
    assert msgspec.json.decode("".join(parser.texts))["name"] == name
    assert not set(text) & set("<>&'\u2028\u2029")
