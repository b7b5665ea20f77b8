"""What stands in a calendar, in icalendar's terms."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, Timezone

from engine.catalog.interchange.calendars import CalendarOf
from engine.catalog.interchange.shown import ShownShow, page_of_show, zone_of

_REFRESH: Final = timedelta(hours=1)
_PRODUCT: Final = "-//Onsale//Onsale//EN"
_DESCRIPTION_CHARACTERS_MAX: Final = 2000
_CANCELLED: Final = "cancelled"
_LINES: Final = re.compile("\r\n|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")


def make_calendar(subject: CalendarOf, shown: Sequence[ShownShow], site: str) -> Calendar:
    """Return a calendar with an entry a show."""
    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("uid", f"{subject.id}@onsale")
    for name in ("name", "x-wr-calname"):
        calendar.add(name, _text(subject.name))
    calendar.add("url", subject.address)
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    if shown:
        calendar.add("last-modified", max(show.changed_at for show in shown))
    for block in _time_zones(shown):
        calendar.add_component(block)
    for show in shown:
        calendar.add_component(_entry(show, site, subject.description))
    return calendar


def _entry(shown: ShownShow, site: str, about: str) -> Event:
    entry = Event()
    entry.add("uid", f"{shown.show}@onsale")
    # No METHOD: then it is when the entry was last revised (RFC 5545, 3.8.7.2).
    entry.add("dtstamp", shown.changed_at)
    entry.add("last-modified", shown.changed_at)
    entry.add("sequence", shown.revision)
    is_cancelled = shown.state == _CANCELLED
    entry.add("status", "CANCELLED" if is_cancelled else "CONFIRMED")
    # Many calendars show no status.
    entry.add("summary", _text(f"Cancelled: {shown.title}" if is_cancelled else shown.title))
    entry.add("dtstart", _local(shown.starts_at, shown))
    if shown.ends_at is not None:
        entry.add("dtend", _local(shown.ends_at, shown))
    entry.add("location", _text(", ".join(shown.place.in_lines())))
    latitude, longitude = shown.place.latitude, shown.place.longitude
    if latitude is not None and longitude is not None:
        entry.add("geo", (latitude, longitude))
    page = page_of_show(site, shown)
    if page is not None:
        entry.add("url", page)
    if shown.type:
        entry.add("categories", [_text(shown.type)])
    description = _description(shown, about, page)
    if description:
        entry.add("description", _text(description))
    return entry


def _description(shown: ShownShow, about: str, page: str | None) -> str:
    lines: list[str] = []
    if shown.former_starts_at is not None:
        before = shown.former_starts_at.astimezone(shown.zone)
        lines.append(f"Rescheduled. It was to begin on {before:%-d %B %Y, %H:%M}.")
    if shown.performers:
        lines.append(", ".join(shown.performers))
    if shown.doors_at is not None:
        lines.append(f"Doors: {shown.doors_at.astimezone(shown.zone):%H:%M}")
    if about:
        lines.append(about[:_DESCRIPTION_CHARACTERS_MAX])
    if page is not None:
        lines.append(page)
    return "\n".join(lines)


def _local(moment: datetime, shown: ShownShow) -> datetime:
    """Return a moment at the venue.

    In UTC if no local time says it: of an hour that comes twice, RFC 5545 (3.3.5) means the first.
    """
    local = moment.astimezone(shown.zone)
    return moment.astimezone(UTC) if local.fold else local


def _time_zones(shown: Iterable[ShownShow]) -> list[Timezone]:
    years: dict[str, tuple[int, int]] = {}
    for show in shown:
        zone = zone_of(show.time_zone)
        if zone is None or _is_utc(zone):
            continue
        first = show.starts_at.astimezone(zone).year
        last = (show.ends_at or show.starts_at).astimezone(zone).year
        known = years.get(zone.key, (first, last))
        years[zone.key] = min(known[0], first), max(known[1], last)
    return [_time_zone(name, *span) for name, span in sorted(years.items())]


@lru_cache(maxsize=256)
def _time_zone(name: str, first_year: int, last_year: int) -> Timezone:
    """Return a VTIMEZONE that holds from a year to another one, both whole."""
    return Timezone.from_tzinfo(
        ZoneInfo(name), name, date(first_year, 1, 1), date(last_year + 1, 1, 1)
    )


def _is_utc(zone: ZoneInfo) -> bool:
    return zone.key in {"UTC", "Etc/UTC", "Zulu", "Etc/Zulu", "UCT", "Etc/UCT", "Universal"}


def _text(text: str) -> str:
    """Return a text without what RFC 5545 (3.3.11) has no place for."""
    return _CONTROLS.sub("", _LINES.sub("\n", text))
