"""Calendars: read back by other readers, and looked at byte by byte."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from dateutil.tz import tzical
from icalendar import Calendar

from engine.catalog.interchange.calendars import CalendarOf, write_calendar
from engine.catalog.interchange.shown import ShownShow
from tests.unit.interchange_world import EVENT, SHOW, SITE, hall, shown

_SUBJECT = CalendarOf(
    id=EVENT, name="First Light", address=f"{SITE}/v1/events/{EVENT}/calendar.ics"
)
_LINE_OCTETS_MAX = 75


def written(*shows: ShownShow, **of: str) -> bytes:
    """Return a calendar's bytes."""
    told = {"id": _SUBJECT.id, "name": _SUBJECT.name, "address": _SUBJECT.address, **of}
    return write_calendar(CalendarOf(**told), shows, SITE)


def only_entry(content: bytes) -> Any:  # noqa: ANN401 -- icalendar's reader gives any property
    """Return the one entry of a calendar, as icalendar's own reader reads it."""
    (entry,) = cast("Any", Calendar.from_ical(content)).events
    return entry


def lines_of(content: bytes) -> list[str]:
    """Return the unfolded lines, by RFC 5545 (3.1): a line break and a blank are taken out."""
    return content.replace(b"\r\n ", b"").decode().split("\r\n")


def moments_by_block(content: bytes, name: str) -> list[datetime]:
    """Return moments of entries in UTC, by the calendar's own VTIMEZONE.

    dateutil reads the block; icalendar's reader would go by the data base of this machine.
    """
    blocks: Any = tzical(io.StringIO(content.decode().replace("\r\n ", "")))
    moments: list[datetime] = []
    for line in lines_of(content):
        if line.startswith(f"{name};TZID="):
            zone, _, local = line.removeprefix(f"{name};TZID=").partition(":")
            naive = datetime.strptime(local, "%Y%m%dT%H%M%S")  # noqa: DTZ007 -- the block says
            moments.append(naive.replace(tzinfo=blocks.get(zone)).astimezone(UTC))
    return moments


def test_an_entry_tells_what_a_visitor_wants_to_know() -> None:
    """Times, place, where it is on the map, where its page is."""
    entry = only_entry(written(shown()))
    assert entry["uid"] == f"{SHOW}@onsale"
    assert entry["summary"] == "First Light"
    assert entry.decoded("dtstart") == datetime(2027, 7, 1, 18, tzinfo=UTC)
    assert entry.decoded("dtend") == datetime(2027, 7, 1, 20, tzinfo=UTC)
    assert entry["location"] == "Riethsporthalle, Essener Str. 20, 99089 Erfurt, Germany"
    assert entry["geo"].to_ical() == "50.9989;11.0112"
    assert entry["url"] == f"{SITE}/events/{EVENT}#{SHOW}"
    assert entry["description"].splitlines()[:2] == ["Ada Abendroth, The Kettles", "Doors: 19:00"]
    assert entry["status"] == "CONFIRMED"


def test_a_calendar_says_how_often_it_wants_to_be_asked() -> None:
    """In the words of RFC 7986, and in those that programs knew before it."""
    lines = lines_of(written(shown()))
    assert lines[0] == "BEGIN:VCALENDAR"
    assert "VERSION:2.0" in lines
    assert "REFRESH-INTERVAL;VALUE=DURATION:PT1H" in lines
    assert "X-PUBLISHED-TTL:PT1H" in lines
    assert "NAME:First Light" in lines
    assert "X-WR-CALNAME:First Light" in lines
    assert lines[-2:] == ["END:VCALENDAR", ""]


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        "Europe/Dublin",  # whose winter is what differs from its standard time
        "America/New_York",
        "Australia/Lord_Howe",  # half an hour of daylight saving
        "Africa/Casablanca",  # away from daylight saving for Ramadan
        "Asia/Kathmandu",  # a quarter of an hour off, never changes
        "America/Sao_Paulo",
        "Pacific/Auckland",  # summer across the turn of the year
    ],
)
def test_the_calendars_own_time_zone_leads_to_the_right_moment_all_year_long(zone: str) -> None:
    """Every tenth day at noon and shortly before midnight, by the block alone."""
    begins = [
        (datetime(2027, 1, 1, hour, 30, tzinfo=ZoneInfo(zone)) + timedelta(days=day)).astimezone(
            UTC
        )
        for day in range(0, 365, 10)
        for hour in (12, 23)
    ]
    content = written(*(shown(starts_at=moment, time_zone=zone) for moment in begins))
    assert moments_by_block(content, "DTSTART") == begins
    ends = [moment + timedelta(hours=2) for moment in begins]
    assert moments_by_block(content, "DTEND") == ends


def test_a_show_through_the_night_of_a_change_is_as_long_as_it_is() -> None:
    """At 2 o'clock comes 3 o'clock: two hours later it is 4."""
    content = written(shown(starts_at=datetime(2027, 3, 28, 0, 30, tzinfo=UTC)))
    lines = lines_of(content)
    assert "DTSTART;TZID=Europe/Berlin:20270328T013000" in lines
    assert "DTEND;TZID=Europe/Berlin:20270328T043000" in lines
    assert moments_by_block(content, "DTEND") == [datetime(2027, 3, 28, 2, 30, tzinfo=UTC)]


def test_an_hour_that_comes_twice_is_told_in_utc_the_second_time() -> None:
    """Half past two in the night of the change: the first is local, the second can't be."""
    first = written(shown(starts_at=datetime(2027, 10, 31, 0, 30, tzinfo=UTC)))
    second = written(shown(starts_at=datetime(2027, 10, 31, 1, 30, tzinfo=UTC)))
    assert "DTSTART;TZID=Europe/Berlin:20271031T023000" in lines_of(first)
    assert moments_by_block(first, "DTSTART") == [datetime(2027, 10, 31, 0, 30, tzinfo=UTC)]
    assert "DTSTART:20271031T013000Z" in lines_of(second)


def test_shows_of_two_zones_and_years_have_one_block_a_zone() -> None:
    """As RFC 5545 (3.6.5) asks."""
    content = written(
        shown(),
        shown(show="shw_dev_2", time_zone="America/New_York"),
        shown(show="shw_dev_3", starts_at=datetime(2029, 1, 1, 18, tzinfo=UTC)),
    )
    zones = [line for line in lines_of(content) if line.startswith("TZID:")]
    assert zones == ["TZID:America/New_York", "TZID:Europe/Berlin"]


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "Mars/Olympus", "../../etc/passwd"])
def test_a_zone_that_needs_or_has_no_block_is_told_in_utc(zone: str) -> None:
    """Also one that this machine does not know."""
    lines = lines_of(written(shown(time_zone=zone)))
    assert "DTSTART:20270701T180000Z" in lines
    assert not any("TZID" in line for line in lines)


def test_a_cancelled_show_stays_and_says_so() -> None:
    """By its status, and in words for calendars that show none."""
    entry = only_entry(written(shown(state="cancelled", revision=4)))
    assert entry["status"] == "CANCELLED"
    assert entry["summary"] == "Cancelled: First Light"
    assert entry["sequence"] == 4


def test_a_rescheduled_show_keeps_its_uid_and_has_a_higher_sequence() -> None:
    """So that calendars move the entry that they have."""
    before = only_entry(written(shown(revision=1)))
    moved = shown(
        revision=2,
        starts_at=datetime(2027, 8, 1, 18, tzinfo=UTC),
        former_starts_at=datetime(2027, 7, 1, 18, tzinfo=UTC),
        state="rescheduled",
    )
    after = only_entry(written(moved))
    assert before["uid"] == after["uid"]
    assert after["sequence"] > before["sequence"]
    assert after.decoded("dtstart") > before.decoded("dtstart")
    assert "It was to begin on 1 July 2027, 20:00." in after["description"]


def test_what_is_not_known_is_left_out() -> None:
    """No end, no place on the map, no page."""
    entry = only_entry(
        written(shown(duration_min=None, doors_at=None, event=None, performers=(), type=""))
    )
    assert not {"dtend", "url", "categories", "description"} & {str(name).lower() for name in entry}
    bare = only_entry(written(shown(place=hall(latitude=None, longitude=None))))
    assert "GEO" not in bare


def test_texts_are_escaped_so_that_no_name_begins_a_line() -> None:
    """Backslash, semicolon, comma, every kind of line break, and controls."""
    name = "A;B,C\\n\r\nEND:VEVENT\rX:1\x85Y:2\u2028Z:3\x0b\x00\x1b end"
    content = written(shown(name=name, event_name=""))
    (line,) = [line for line in lines_of(content) if line.startswith("SUMMARY")]
    assert line == r"SUMMARY:A\;B\,C\\n\nEND:VEVENT\nX:1\nY:2\nZ:3\n end"
    assert only_entry(content)["summary"] == "A;B,C\\n\nEND:VEVENT\nX:1\nY:2\nZ:3\n end"
    assert content.decode().count("END:VEVENT\r\n") == 1


@pytest.mark.parametrize("text", ["ü" * 200, "a" * 74 + "€" * 60, "🎟" * 90, ("a" * 73 + "é") * 9])
def test_long_lines_are_folded_between_characters(text: str) -> None:
    """No line has more than 75 octets, none ends within a character, nothing is lost."""
    content = written(shown(name=text, event_name=""))
    for line in content.split(b"\r\n"):
        assert len(line) <= _LINE_OCTETS_MAX
        line.decode()
    assert only_entry(content)["summary"] == text


def test_the_same_shows_are_the_same_bytes() -> None:
    """So that an ETag made of them stands."""
    assert written(shown()) == written(shown())


def test_a_calendar_without_shows_is_one() -> None:
    """A subscription does not break when a tour is over."""
    assert Calendar.from_ical(written()).events == []
