"""When webhooks are tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.notify.judging import (
    DeliveryState,
    EndpointStatus,
    Reason,
    Standing,
    Verdict,
    judge,
)
from engine.notify.schedule import (
    BREAKER_FAILURES,
    DISABLE_AFTER,
    GIVE_UP_AFTER,
    PAUSES_S,
    RETRY_AFTER_S_MAX,
    Dice,
    breaker_pause,
    next_attempt_at,
    read_retry_after,
)
from engine.notify.sending import Sent
from engine.notify.slots import Bounds, Slots

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = NOW + GIVE_UP_AFTER


class Highest(Dice):
    """Throws the most."""

    def up_to(self, most_s: float) -> float:
        """Return the most."""
        return most_s


class Lowest(Dice):
    """Throws nothing."""

    def up_to(self, most_s: float) -> float:
        """Return nothing."""
        del most_s
        return 0.0


def test_the_pauses_grow_up_to_eight_hours() -> None:
    """As the table says, and the last one from then on."""
    pauses = [
        (at - NOW).total_seconds()
        for attempts in range(1, 14)
        if (at := next_attempt_at(NOW, END, attempts, Highest())) is not None
    ]
    assert pauses[:9] == list(PAUSES_S)
    assert set(pauses[9:]) == {28_800}


def test_jitter_is_full_and_never_nothing() -> None:
    """Anywhere up to the pause, and a second at least."""
    assert next_attempt_at(NOW, END, 9, Lowest()) == NOW + timedelta(seconds=1)
    thrown = {next_attempt_at(NOW, END, 9, Dice()) for _ in range(200)}
    spread = [(at - NOW).total_seconds() for at in thrown if at is not None]
    assert len(spread) > 190
    assert min(spread) < 3600
    assert max(spread) > 25_200


@pytest.mark.parametrize("dice", [Highest(), Lowest(), Dice()])
def test_who_is_back_after_three_days_is_told(dice: Dice) -> None:
    """The last attempt comes after the three days, whatever the dice said, and within a minute."""
    at, attempts = NOW, 0
    while True:
        attempts += 1
        following = next_attempt_at(at, END, attempts, dice)
        if following is None:
            break
        at = following
        # The lowest dice would try each second.
        if isinstance(dice, Lowest):
            at = max(at, END - timedelta(seconds=5))
    assert END <= at <= END + timedelta(minutes=1)


def test_a_breaker_opens_after_failures_in_a_row() -> None:
    """It rests longer each time, up to a quarter of an hour."""
    assert breaker_pause(BREAKER_FAILURES - 1, Highest()) is None
    rests = [breaker_pause(BREAKER_FAILURES + n, Highest()) for n in range(7)]
    seconds = [rest.total_seconds() for rest in rests if rest is not None]
    assert seconds == [30, 60, 120, 240, 480, 900, 900]
    assert breaker_pause(BREAKER_FAILURES, Lowest()) == timedelta(seconds=15)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 1),
        ("999999999999999999999", RETRY_AFTER_S_MAX),
        ("Sun, 01 Mar 2026 12:05:00 GMT", 300),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 1),
        ("Tue, 01 Mar 2039 11:00:00 GMT", RETRY_AFTER_S_MAX),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("\u0661\u0662", None),
        (None, None),
    ],
)
def test_retry_after_is_read_within_bounds(text: str | None, seconds: float | None) -> None:
    """Seconds or a date; anything else is as if it were not there."""
    read = read_retry_after(text, NOW)
    assert (None if read is None else read.total_seconds()) == seconds


def tried(
    standing: Standing, sent: Sent, *, attempts: int = 1, now: datetime = NOW
) -> tuple[Standing, Verdict]:
    """Judge an attempt."""
    return judge(standing, sent, attempts=attempts, give_up_at=END, now=now, dice=Highest())


WELL = Standing(status=EndpointStatus.ENABLED)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_two_hundreds_are_delivered(status: int) -> None:
    """And heal whatever was."""
    ill = Standing(status=EndpointStatus.ENABLED, failures=7, failing_since=NOW, rests_until=NOW)
    standing, verdict = tried(ill, Sent(status, 5))
    assert verdict.state is DeliveryState.DELIVERED
    assert (standing.failures, standing.failing_since, standing.rests_until) == (0, None, None)
    assert standing.delivered_at == NOW


@pytest.mark.parametrize("status", [None, 199, 301, 302, 307, 400, 401, 404, 408, 500, 502])
def test_all_else_is_tried_again(status: int | None) -> None:
    """Redirects too."""
    standing, verdict = tried(WELL, Sent(status, 5))
    assert verdict.state is DeliveryState.PENDING
    assert verdict.next_at == NOW + timedelta(seconds=5)
    assert (standing.failures, standing.failing_since) == (1, NOW)
    assert standing.rests_until is None


@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_for_time_gets_it(status: int) -> None:
    """The endpoint rests, and the delivery with it."""
    standing, verdict = tried(WELL, Sent(status, 5, retry_after="90"))
    assert standing.rests_until == verdict.next_at == NOW + timedelta(seconds=90)
    assert not standing.may_be_told(NOW + timedelta(seconds=89))
    assert standing.may_be_told(NOW + timedelta(seconds=90))


def test_gone_disables() -> None:
    """At once."""
    standing, verdict = tried(WELL, Sent(410, 5))
    assert (standing.status, standing.reason) == (EndpointStatus.DISABLED, Reason.GONE)
    assert verdict.state is DeliveryState.FAILED


def test_days_of_failures_disable() -> None:
    """Not before they are over, and not if anything succeeded in between."""
    since = NOW - DISABLE_AFTER
    ill = Standing(status=EndpointStatus.ENABLED, failures=9, failing_since=since)
    standing, _ = tried(ill, Sent(500, 5))
    assert (standing.status, standing.reason) == (EndpointStatus.DISABLED, Reason.FAILING)
    later = Standing(
        status=EndpointStatus.ENABLED, failures=9, failing_since=since + timedelta(seconds=1)
    )
    assert tried(later, Sent(500, 5))[0].status is EndpointStatus.ENABLED


def test_the_last_attempt_fails_for_good() -> None:
    """After three days."""
    _, verdict = tried(WELL, Sent(500, 5), now=END, attempts=14)
    assert verdict == Verdict(DeliveryState.FAILED, None, END)


def test_what_was_under_way_when_the_breaker_opened_tells_nothing_new() -> None:
    """Eight that hang together are one failure more, not eight."""
    standing = Standing(status=EndpointStatus.ENABLED, failures=BREAKER_FAILURES - 1)
    for _ in range(8):
        standing, _ = tried(standing, Sent(None, 15_000))
    assert standing.failures == BREAKER_FAILURES
    assert standing.rests_until == NOW + timedelta(seconds=30)


def test_doubtful_endpoints_never_get_all_slots() -> None:
    """However many of them there are."""
    slots = Slots(Bounds(most=8, doubtful_most=4, extra_most=6, extra_of_reseller_most=2))
    for _ in range(4):
        slots.take(doubtful=True)
    assert slots.free(doubtful=True) == 0
    assert slots.free(doubtful=False) == 4
    slots.take(doubtful=False)
    assert slots.take_extra(1)
    assert not slots.take_extra(1)
    slots.give_extra_back(1)
    assert slots.in_use == 5
