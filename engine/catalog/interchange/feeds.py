"""Feeds of new on-sales: JSON Feed 1.1 (jsonfeed.org) and RSS 2.0 (rssboard.org)."""

import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from html import escape
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

import msgspec
from msgspec import Struct

from engine.catalog.interchange.shown import ShownShow, page_of_show

JSON_MEDIA_TYPE: Final = "application/feed+json"
RSS_MEDIA_TYPE: Final = "application/rss+xml"
ITEMS_MAX: Final = 100

_MINUTES_KEPT: Final = "15"
_ATOM: Final = "http://www.w3.org/2005/Atom"
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0, 2.2: no escape lets these in."""

register_namespace("atom", _ATOM)


class FeedOf(Struct, frozen=True, kw_only=True):
    """What a feed is called, where it is, and where people go who open it."""

    title: str
    address: str
    home: str
    description: str


class FeedItem(Struct, frozen=True, kw_only=True):
    """One item of a JSON Feed."""

    id: str
    url: str
    title: str
    content_text: str
    date_published: datetime
    date_modified: datetime
    tags: list[str]


class JsonFeed(Struct, frozen=True, kw_only=True):
    """New on-sales, the newest first, as a JSON Feed 1.1."""

    version: str
    title: str
    home_page_url: str
    feed_url: str
    description: str
    items: list[FeedItem]


def json_feed(feed: FeedOf, shown: Sequence[ShownShow], site: str) -> bytes:
    """Return shows as a JSON Feed, in the order given."""
    told = JsonFeed(
        version="https://jsonfeed.org/version/1.1",
        title=feed.title,
        home_page_url=feed.home,
        feed_url=feed.address,
        description=feed.description,
        items=[
            FeedItem(
                id=show.show,
                url=_link(show, site),
                title=_title(show),
                content_text=_words(show),
                date_published=show.opens_at,
                date_modified=show.changed_at,
                tags=[show.type] if show.type else [],
            )
            for show in shown
        ],
    )
    return msgspec.json.encode(told)


def rss_feed(feed: FeedOf, shown: Sequence[ShownShow], site: str) -> bytes:
    """Return shows as RSS 2.0, in the order given."""
    root = Element("rss", {"version": "2.0"})
    channel = SubElement(root, "channel")
    _add(channel, "title", feed.title)
    _add(channel, "link", feed.home)
    _add(channel, "description", feed.description)
    SubElement(
        channel,
        f"{{{_ATOM}}}link",
        {"href": feed.address, "rel": "self", "type": RSS_MEDIA_TYPE},
    )
    _add(channel, "docs", "https://www.rssboard.org/rss-specification")
    _add(channel, "ttl", _MINUTES_KEPT)
    if shown:
        _add(channel, "lastBuildDate", _rfc_822(max(show.changed_at for show in shown)))
    for show in shown:
        item = SubElement(channel, "item")
        _add(item, "title", _title(show))
        _add(item, "link", _link(show, site))
        # What is in it is HTML to who reads it.
        _add(item, "description", escape(_words(show)))
        _add(item, "guid", show.show).set("isPermaLink", "false")
        _add(item, "pubDate", _rfc_822(show.opens_at))
        if show.type:
            _add(item, "category", show.type)
    written: Any = tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _add(parent: Element, name: str, text: str) -> Element:
    child = SubElement(parent, name)
    child.text = _NOT_IN_XML.sub("", text)
    return child


def _title(shown: ShownShow) -> str:
    return f"{shown.title}, {shown.place.address.city or shown.place.name}"


def _link(shown: ShownShow, site: str) -> str:
    """Return a show's page; one without an event has its calendar at least."""
    return page_of_show(site, shown) or f"{site}/v1/shows/{shown.show}/calendar.ics"


def _words(shown: ShownShow) -> str:
    """Say when, where and who.

    Not what is left and what it costs: readers would show an item as new again and again.
    """
    local = shown.starts_at.astimezone(shown.zone)
    lines = [f"{local:%A, %-d %B %Y, %H:%M}, {', '.join(shown.place.in_lines())}"]
    if shown.performers:
        lines.append(f"With {', '.join(shown.performers)}.")
    return "\n".join(lines)


def _rfc_822(moment: datetime) -> str:
    """Return a moment as RSS wants it, with a year of four digits."""
    return format_datetime(moment.replace(microsecond=0))
