"""How the page says numbers, moments and spans. static/queue.js says them in the same words."""

from datetime import UTC, datetime
from typing import Final

from web.room import Wait

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_FINE_MAX: Final = 30
_COARSE: Final = 5
"""Above 30 of a unit nobody knows it to one: steps of five."""

_HOURS_FROM_S: Final = 2 * _HOUR_S


def grouped(number: int) -> str:
    """Return `4,213`."""
    return f"{number:,}"


def people_ahead(ahead: int) -> str:
    """Say how many come before."""
    if ahead == 0:
        return "You are next."
    if ahead == 1:
        return "1 person is ahead of you."
    return f"{grouped(ahead)} people are ahead of you."


def wait_range(wait: Wait) -> str:
    """Say how long it may take: `4 to 9 minutes`."""
    unit, unit_s = ("hour", _HOUR_S) if wait.low_s >= _HOURS_FROM_S else ("minute", _MINUTE_S)
    low = wait.low_s // unit_s
    if wait.high_s is None:
        return f"at least {max(low, 1)} {unit}{_plural(low)}, as the line hardly moves"
    if wait.high_s < _MINUTE_S:
        return "less than a minute"
    high = -(-wait.high_s // unit_s)
    if high > _FINE_MAX:
        low, high = low // _COARSE * _COARSE, -(-high // _COARSE) * _COARSE
    if low == 0:
        return f"up to {high} {unit}{_plural(high)}"
    # A range that has no width would be a promise.
    return f"{low} to {max(high, low + 1)} {unit}s"


def moment(when: datetime) -> str:
    """Return a moment in words, in UTC: the script tells it in the reader's own time."""
    return f"{when.astimezone(UTC):%A, %-d %B %Y, %H:%M} UTC"


def _plural(count: int) -> str:
    return "" if count <= 1 else "s"
