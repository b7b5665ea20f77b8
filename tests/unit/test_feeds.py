"""Feeds: valid by their specifications, whatever shows are called."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from engine.catalog.interchange.feeds import FeedOf, json_feed, rss_feed
from engine.catalog.interchange.shown import ShownShow
from tests.unit.interchange_world import EVENT, SHOW, SITE, shown

_FEED = FeedOf(
    title="New on-sales",
    address=f"{SITE}/v1/feeds/on-sales.rss?type=concert&country=DE",
    home=SITE,
    description="Shows whose sale has begun, the newest first.",
)


def channel_of(*shows: ShownShow) -> ET.Element:
    """Return an RSS feed's channel, as a parser of XML has it."""
    root = ET.fromstring(rss_feed(_FEED, shows, SITE))  # noqa: S314 -- it is ours
    assert root.tag == "rss"
    assert root.attrib == {"version": "2.0"}
    (channel,) = root
    return channel


def item_of(show: ShownShow) -> dict[str, str | None]:
    """Return the texts of the one item."""
    (item,) = channel_of(show).findall("item")
    return {child.tag: child.text for child in item}


def read_json(*shows: ShownShow) -> dict[str, Any]:
    """Return a JSON Feed, as a reader has it."""
    return msgspec.json.decode(json_feed(_FEED, shows, SITE))


def test_a_json_feed_is_one_of_version_1_1() -> None:
    """With what the specification requires of feeds and items."""
    assert read_json(shown()) == {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "New on-sales",
        "home_page_url": SITE,
        "feed_url": _FEED.address,
        "description": "Shows whose sale has begun, the newest first.",
        "items": [
            {
                "id": SHOW,
                "url": f"{SITE}/events/{EVENT}#{SHOW}",
                "title": "First Light, Erfurt",
                "content_text": (
                    "Thursday, 1 July 2027, 20:00, Riethsporthalle, Essener Str. 20, 99089 Erfurt,"
                    " Germany\nWith Ada Abendroth, The Kettles."
                ),
                "date_published": "2027-01-10T09:00:00Z",
                "date_modified": "2026-12-01T09:00:00Z",
                "tags": ["concert"],
            }
        ],
    }


def test_an_rss_feed_has_what_the_specification_requires() -> None:
    """Title, link and description of the channel, and where it is itself."""
    channel = channel_of(shown())
    assert channel.findtext("title") == "New on-sales"
    assert channel.findtext("link") == SITE
    assert channel.findtext("description")
    itself = channel.find("{http://www.w3.org/2005/Atom}link")
    assert itself is not None
    assert itself.attrib == {
        "href": _FEED.address,
        "rel": "self",
        "type": "application/rss+xml",
    }
    item = item_of(shown())
    assert item["guid"] == SHOW
    assert item["link"] == f"{SITE}/events/{EVENT}#{SHOW}"
    assert item["category"] == "concert"


def test_items_are_known_by_an_id_that_is_no_address() -> None:
    """Readers would open it else."""
    guid = channel_of(shown()).find("item/guid")
    assert guid is not None
    assert guid.attrib == {"isPermaLink": "false"}


def test_dates_are_of_rfc_822() -> None:
    """With the day of the week, a year of four digits, and a zone; to the second."""
    opens_at = datetime(2027, 1, 10, 9, 0, 0, 123456, tzinfo=UTC)
    date = item_of(shown(opens_at=opens_at))["pubDate"]
    assert date == "Sun, 10 Jan 2027 09:00:00 +0000"
    assert parsedate_to_datetime(date) == opens_at.replace(microsecond=0)


@pytest.mark.parametrize(
    "name",
    ["<b>&amp;</b>", "]]><script>", "</title></item>", "A & B", '"quoted"', "🎟 Ünïcödé \u2028 x"],
)
def test_names_are_told_as_they_are(name: str) -> None:
    """Escaped once, so that a parser has them back."""
    show = shown(name=name, event_name="")
    assert item_of(show)["title"] == f"{name}, Erfurt"
    assert read_json(show)["items"][0]["title"] == f"{name}, Erfurt"


def test_what_xml_can_not_say_is_left_out() -> None:
    """A control character would make the whole feed unreadable."""
    show = shown(name="a\x00b\x0bc\ufffed\ud7ffe", event_name="")
    assert item_of(show)["title"] == "abcd\ud7ffe, Erfurt"


def test_an_item_stays_as_it_is_while_its_show_sells() -> None:
    """Readers would show it as new again and again."""
    sold = shown(available=0, price_min=None, price_max=None, state="sold_out")
    assert rss_feed(_FEED, [sold], SITE) == rss_feed(_FEED, [shown()], SITE)


def test_a_show_without_an_event_leads_to_its_calendar() -> None:
    """It has no page, and RSS wants a link."""
    link = item_of(shown(event=None))["link"]
    assert link == f"{SITE}/v1/shows/{SHOW}/calendar.ics"


def test_feeds_of_nothing_are_feeds() -> None:
    """So that who follows a quiet type is told so."""
    assert channel_of().findall("item") == []
    assert read_json()["items"] == []


def test_names_are_no_html_to_who_reads_a_feed() -> None:
    """RSS has HTML in its descriptions."""
    item = item_of(shown(performers=["<img src=x onerror=alert(1)>", "Tom & Jerry"]))
    assert item["description"] is not None
    assert "<" not in item["description"]
    assert "&lt;img src=x onerror=alert(1)&gt;, Tom &amp; Jerry." in item["description"]
