"""What the waiting room's page says of numbers and spans."""

import pytest

from web.room import Wait
from web.words import people_ahead, wait_range


@pytest.mark.parametrize(
    ("low_s", "high_s", "words"),
    [
        (0, 0, "less than a minute"),
        (10, 59, "less than a minute"),
        (10, 60, "up to 1 minute"),
        (59, 61, "up to 2 minutes"),
        (240, 540, "4 to 9 minutes"),
        (240, 240, "4 to 5 minutes"),
        (1800, 1801, "30 to 35 minutes"),
        (2600, 6500, "40 to 110 minutes"),
        (7200, 14400, "2 to 4 hours"),
        (7200, 7200, "2 to 3 hours"),
        (200_000, 400_000, "55 to 115 hours"),
    ],
)
def test_a_wait_is_always_a_range(low_s: int, high_s: int, words: str) -> None:
    """Both ends are rounded away from each other, and are never the same."""
    assert wait_range(Wait(low_s, high_s)) == words


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0, "You are next."),
        (1, "1 person is ahead of you."),
        (4213, "4,213 people are ahead of you."),
    ],
)
def test_people_are_counted_in_words(ahead: int, words: str) -> None:
    """One person is not `1 people`."""
    assert people_ahead(ahead) == words


def test_a_line_that_stands_still_has_no_end_to_its_wait() -> None:
    """Nobody can say more than `at least`."""
    assert wait_range(Wait(0, None)) == "at least 1 minute, as the line hardly moves"
    assert wait_range(Wait(7300, None)) == "at least 2 hours, as the line hardly moves"
