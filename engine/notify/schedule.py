"""When something is told again: all pauses and bounds of webhooks, in one place.

Times are seconds unless a name says otherwise; no clock is read here.
"""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

PAUSES_S: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800)
"""The longest pause after the first, second, ... failed attempt; the last one from then on."""

GIVE_UP_AFTER: Final = timedelta(hours=72)
"""The first attempt that fails this long after the fact was handed out is the last."""

DISABLE_AFTER: Final = timedelta(days=5)
"""An endpoint that nothing but failed for this long is disabled."""

KEPT: Final = timedelta(days=30)
"""How long deliveries and their attempts can be looked at."""

BREAKER_FAILURES: Final = 5
"""So many attempts in a row that failed open an endpoint's breaker."""

PAUSE_S_MIN: Final = 1.0
RETRY_AFTER_S_MAX: Final = 3600.0

_BREAKER_FIRST_S: Final = 30.0
_BREAKER_MOST_S: Final = 900.0
_DOUBLINGS_MAX: Final = 10
_LAST_SPREAD_S: Final = 60.0


class Dice:
    """Where the jitter comes from; a test has its own."""

    def up_to(self, most_s: float) -> float:
        """Return a number of seconds from 0 to `most_s`, each as likely."""
        return random.uniform(0, most_s)  # noqa: S311 - no secret


def next_attempt_at(
    now: datetime, give_up_at: datetime, attempts: int, dice: Dice
) -> datetime | None:
    """Return when to try again after so many attempts, all failed; None: never.

    Full jitter (Brooker, "Exponential backoff and jitter"): anywhere between at once and the
    schedule's pause, so that those who failed together don't come back together. The last attempt
    comes just after `give_up_at`, so that whoever is back by then is told.
    """
    if now >= give_up_at:
        return None
    pause_s = PAUSES_S[min(attempts, len(PAUSES_S)) - 1]
    at = now + timedelta(seconds=max(PAUSE_S_MIN, dice.up_to(pause_s)))
    if at < give_up_at:
        return at
    return give_up_at + timedelta(seconds=dice.up_to(_LAST_SPREAD_S))


def breaker_pause(failures: int, dice: Dice) -> timedelta | None:
    """Return how long an endpoint rests after so many failures in a row; None: not at all."""
    if failures < BREAKER_FAILURES:
        return None
    doubled = _BREAKER_FIRST_S * 2 ** min(failures - BREAKER_FAILURES, _DOUBLINGS_MAX)
    half = min(doubled, _BREAKER_MOST_S) / 2
    return timedelta(seconds=half + dice.up_to(half))


def read_retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Return what a Retry-After header asks for (RFC 9110, 10.2.3), within bounds; None: nothing.

    Both forms are read: seconds, and a date.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # A number of any length may come: more digits than this are beyond the bound anyway.
        seconds = float(text[:12])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return timedelta(seconds=min(max(seconds, PAUSE_S_MIN), RETRY_AFTER_S_MAX))
