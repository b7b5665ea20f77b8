"""Shows as iCalendar (RFC 5545, and RFC 7986 for what it says of a whole calendar)."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from engine.catalog.interchange.shown import ShownShow

MEDIA_TYPE: Final = "text/calendar"
SHOWS_MAX: Final = 200
"""Shows that one calendar has at most: the next ones."""


class CalendarOf(Struct, frozen=True, kw_only=True):
    """What a calendar is of: its own address outside, its name, and what its subject says."""

    id: str
    name: str
    address: str
    description: str = ""


def write_calendar(subject: CalendarOf, shown: Sequence[ShownShow], site: str) -> bytes:
    """Return a calendar with an entry a show, the same bytes for the same shows.

    Times are local to the venue, with its time zone beside them; the entries of shows that were
    cancelled stay and say so, since calendars keep what they were once told. The first takes some
    hundredths of a second more: call it beside the event loop.
    """
    from engine.catalog.interchange.calendar_entries import (  # noqa: PLC0415 - few are asked for
        make_calendar,
    )

    return make_calendar(subject, shown, site).to_ical()
