"""How many passes may be issued: never more in any window than rate times window plus burst.

A token bucket (Turner, "New directions in communications", 1986) that is filled from afar, by steps
which may be late, missing, or lost. Decision 27 has the proof that it fills no faster than one
beside the passes would.
"""

from typing import Final

from msgspec import Struct

BURST_MIN: Final = 2.0
"""Below it the part of a burst that is kept in stock might never reach one pass."""
_SPAN_S: Final = 0.5
_BURST_S: Final = 2.0


def default_burst(rate: float) -> float:
    """Return a burst that lets claimants who ask once a second use the whole rate."""
    return BURST_MIN + _BURST_S * rate


class Bucket(Struct, frozen=True):
    """What one step may bring, and what may lie in stock: together they are the burst."""

    rate: float
    credit_max: float
    stock_max: float


def bucket_of(rate: float, burst: float | None) -> Bucket:
    """Divide a burst between what is in stock and what is on the way to it."""
    whole = default_burst(rate) if burst is None else burst
    credit_max = min(rate * _SPAN_S, whole / 3)
    return Bucket(rate, credit_max, whole - credit_max)


class CreditClock:
    """Turns time that has passed on a monotonic clock into credit, each moment once.

    What is earned beyond `credit_max` is lost: it might else come on top of a full stock.
    """

    def __init__(self) -> None:
        """Know of no time that may be paid for."""
        self._bucket: Bucket | None = None
        self._step_s = 0.0
        self._slack_s = 0.0

    def forget(self) -> None:
        """Pay for no time before the answer to the next step, whatever became of the last one."""
        self._bucket = None

    def earn(self, bucket: Bucket, now_s: float, answered_s: float) -> float:
        """Return the credit of the step that is made now.

        `answered_s` is when the answer to the step before was there: it was executed no later, so
        that time from then on is certainly not paid for yet.
        """
        before = self._bucket
        self._bucket = bucket
        if before is None:
            self._step_s, self._slack_s = now_s, 0.0
            return 0.0
        since_s = max(self._step_s, answered_s - self._slack_s)
        # While the rules change, what is stricter in the old and in the new ones holds.
        credit_max = min(before.credit_max, bucket.credit_max)
        earned = min(before.rate, bucket.rate) * max(0.0, now_s - since_s)
        credit = min(credit_max, earned)
        self._step_s = max(self._step_s, now_s)
        # Credit that is under way and what is earned meanwhile must not exceed credit_max together.
        self._slack_s = (credit_max - credit) / bucket.rate
        return credit
