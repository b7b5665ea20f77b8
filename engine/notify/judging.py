"""What an attempt means: for the delivery, and for its endpoint. No I/O, no clock."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from engine.notify.schedule import (
    BREAKER_FAILURES,
    DISABLE_AFTER,
    PAUSES_S,
    Dice,
    breaker_pause,
    next_attempt_at,
    read_retry_after,
)
from engine.notify.sending import Sent


class EndpointStatus(StrEnum):
    """Whether an endpoint is told; `deleted` ones are about to be forgotten."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"


class Reason(StrEnum):
    """Why an endpoint is disabled."""

    ASKED = "asked"
    GONE = "gone"
    FAILING = "failing"


class DeliveryState(StrEnum):
    """What became of a delivery. All but `pending` are ends, from which only a replay leads."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISCARDED = "discarded"


class Standing(Struct, frozen=True):
    """How an endpoint has behaved."""

    status: EndpointStatus
    reason: Reason | None = None
    failures: int = 0
    """Attempts in a row that failed."""
    failing_since: datetime | None = None
    rests_until: datetime | None = None
    delivered_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: after its rest one attempt probes it."""
        return self.failures >= BREAKER_FAILURES

    @property
    def is_doubtful(self) -> bool:
        """Whether it has yet to prove itself, for the first time or anew."""
        return self.failures > 0 or self.delivered_at is None

    def may_be_told(self, now: datetime) -> bool:
        """Tell whether an attempt may be made."""
        rests = self.rests_until is not None and now < self.rests_until
        return self.status is EndpointStatus.ENABLED and not rests


class Verdict(Struct, frozen=True):
    """What became of a delivery by one attempt."""

    state: DeliveryState
    next_at: datetime | None
    ended_at: datetime | None


_ENABLED: Final = EndpointStatus.ENABLED


def judge(  # noqa: PLR0913 - all that it rests on
    standing: Standing,
    sent: Sent,
    *,
    attempts: int,
    give_up_at: datetime,
    now: datetime,
    dice: Dice,
) -> tuple[Standing, Verdict]:
    """Return how the endpoint stands after an attempt, and what became of the delivery.

    `attempts` counts this one.
    """
    if sent.is_delivered:
        well = structs.replace(
            standing, failures=0, failing_since=None, rests_until=None, delivered_at=now
        )
        return well, Verdict(DeliveryState.DELIVERED, None, now)
    failed = _after_failure(standing, sent, now, dice)
    if sent.is_gone:
        return failed, Verdict(DeliveryState.FAILED, None, now)
    next_at = next_attempt_at(now, give_up_at, attempts, dice)
    if next_at is None:
        return failed, Verdict(DeliveryState.FAILED, None, now)
    if sent.asks_for_time and failed.rests_until is not None:
        next_at = max(next_at, failed.rests_until)
    return failed, Verdict(DeliveryState.PENDING, next_at, None)


def _after_failure(standing: Standing, sent: Sent, now: datetime, dice: Dice) -> Standing:
    # What was under way already when the breaker opened tells nothing new.
    told_before = standing.is_open and not standing.may_be_told(now)
    failures = standing.failures if told_before else standing.failures + 1
    failing_since = standing.failing_since or now
    rests = [] if standing.rests_until is None else [standing.rests_until]
    if sent.asks_for_time:
        asked = read_retry_after(sent.retry_after, now)
        rests.append(now + (asked or _own_pause(failures)))
    pause = None if told_before else breaker_pause(failures, dice)
    if pause is not None:
        rests.append(now + pause)
    after = structs.replace(
        standing,
        failures=failures,
        failing_since=failing_since,
        rests_until=max(rests, default=None),
    )
    if after.status is not _ENABLED:
        return after
    if sent.is_gone:
        return structs.replace(after, status=EndpointStatus.DISABLED, reason=Reason.GONE)
    if now - failing_since >= DISABLE_AFTER:
        return structs.replace(after, status=EndpointStatus.DISABLED, reason=Reason.FAILING)
    return after


def _own_pause(failures: int) -> timedelta:
    """Return how long one that asks for time, and says not how much, is left alone."""
    return timedelta(seconds=PAUSES_S[min(failures, 4) - 1])
