"""When a venue is taken: days at the venue, the gaps between them, and shows that overlap."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.catalog.occupancy import (
    OVERLAPS_NAMED_MAX,
    VenueShow,
    make_calendar,
    overlaps_among,
    span_of,
)
from engine.platform.ids import EntityId

_BERLIN = "Europe/Berlin"
_FIRST = datetime(2027, 3, 1, tzinfo=UTC)


def _show(number: int, begins_at: datetime, minutes: int) -> VenueShow:
    return VenueShow(
        id=EntityId(number),
        name=f"Show {number}",
        starts_at=begins_at,
        doors_at=None,
        begins_at=begins_at,
        ends_at=begins_at + timedelta(minutes=minutes),
        state="on_sale",
        configuration=EntityId(1),
        version=1,
    )


def test_days_are_those_at_the_venue() -> None:
    """What begins at 23:30 UTC begins tomorrow in Berlin, and a night takes two days."""
    late = _show(1, datetime(2027, 3, 1, 23, 30, tzinfo=UTC), 60)
    night = _show(2, datetime(2027, 3, 4, 21, 0, tzinfo=UTC), 180)
    until_midnight = _show(3, datetime(2027, 3, 6, 20, 0, tzinfo=UTC), 180)
    calendar = make_calendar(
        [late, night, until_midnight], date(2027, 3, 1), date(2027, 3, 8), _BERLIN
    )
    assert {day.day.day: [show.id for show in day.shows] for day in calendar.days} == {
        2: [1],
        4: [2],
        5: [2],
        6: [3],
    }
    assert [(gap.first.day, gap.last.day, gap.days) for gap in calendar.gaps] == [
        (1, 1, 1),
        (3, 3, 1),
        (7, 8, 2),
    ]
    assert calendar.overlaps == {}


def test_a_span_ends_with_its_last_day_also_where_the_clock_changes() -> None:
    """The day on which summer begins has 23 hours in Berlin."""
    begins, ends = span_of(date(2027, 3, 28), date(2027, 3, 28), _BERLIN)
    assert (begins, ends - begins) == (
        datetime(2027, 3, 27, 23, 0, tzinfo=UTC),
        timedelta(hours=23),
    )


def test_a_calendar_without_shows_is_one_gap() -> None:
    """From the first day to the last."""
    calendar = make_calendar([], date(2027, 1, 1), date(2027, 12, 31), _BERLIN)
    assert (calendar.days, [gap.days for gap in calendar.gaps]) == ((), [365])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 120)), max_size=OVERLAPS_NAMED_MAX),
)
def test_overlaps_are_those_of_all_pairs(spans: list[tuple[int, int]]) -> None:
    """One that begins when the other ends does not overlap it."""
    found = sorted(
        (
            _show(n, _FIRST + timedelta(minutes=begins), minutes)
            for n, (begins, minutes) in enumerate(spans)
        ),
        key=lambda show: (show.begins_at, show.id),
    )
    expected = {
        show.id: {
            other.id
            for other in found
            if other.id != show.id
            and max(show.begins_at, other.begins_at) < min(show.ends_at, other.ends_at)
        }
        for show in found
    }
    assert {show: set(others) for show, others in overlaps_among(found).items()} == {
        show: others for show, others in expected.items() if others
    }


def test_a_thousand_shows_at_once_name_twenty_each() -> None:
    """What is told stays bounded."""
    found = [_show(n, _FIRST, 60) for n in range(1000)]
    assert {len(others) for others in overlaps_among(found).values()} == {OVERLAPS_NAMED_MAX}
