"""Token buckets of who is known, and how a busy process is shared out."""

import asyncio
import sys
import time
import tracemalloc
from statistics import median

import pytest

from api.limits import Limits
from api.problems import ProblemError, ProblemKind
from api.shares import (
    LATE_S,
    OF_ONE_MIN,
    PACED_MAX,
    REFUSALS_PER_S,
    UNDER_WAY_MIN,
    UNDER_WAY_SHORT,
    Shares,
)
from engine.platform.ids import EntityId
from engine.platform.rate_limits import OwnBuckets
from engine.tenancy.principals import EVERY_SCOPE, Principal, PrincipalKind

LATE = LATE_S * 2
LOOK_S = 0.005


def principal(credential: int, reseller: int = 1) -> Principal:
    """Somebody who has a key."""
    key = EntityId(credential)
    return Principal(EntityId(reseller), PrincipalKind.KEY, key, EVERY_SCOPE)


# ------------------------------------------------------------ buckets


def test_each_owner_has_a_burst_and_then_the_rate() -> None:
    """Whatever others take."""
    buckets = OwnBuckets(10, 3)
    for owner in (1, 2):
        assert [buckets.draw(owner, 1000) <= 0 for _ in range(5)] == [True] * 3 + [False] * 2
        wait_s = buckets.draw(owner, 1000)
        assert wait_s == pytest.approx(0.1, abs=1e-5)
        assert buckets.draw(owner, 1000 + wait_s + 1e-6) <= 0


def test_what_is_left_is_told_in_seconds_of_the_rate() -> None:
    """A request takes one token of a full bucket."""
    buckets = OwnBuckets(10, 10)
    assert [round(-buckets.draw(1, 1000) * 10) for _ in range(10)] == list(range(9, -1, -1))


def test_a_bucket_that_is_full_is_forgotten_and_a_flood_of_owners_is_bounded() -> None:
    """Who used theirs up a moment ago is remembered: forgetting them would fill it again."""
    buckets = OwnBuckets(1, 10, owners_max=100)
    for owner in range(1000):
        buckets.draw(owner, 1000.0 + owner)  # each is full again after a second
    assert len(buckets) <= 100
    for _ in range(10):
        buckets.draw(5000, 3000.0)
    for owner in range(99):
        buckets.draw(owner, 2000.0)
    buckets.draw(9999, 3000.0)
    assert buckets.draw(5000, 3000.0) > 0
    tracemalloc.start()
    for owner in range(100_000):
        buckets.draw(owner, 4000.0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(buckets) <= 100
    assert most < 100_000


@pytest.mark.parametrize(("rate", "burst", "owners"), [(-1, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_limit_that_makes_no_sense_is_refused(rate: float, burst: int, owners: int) -> None:
    """Rather than let nobody in, or anybody."""
    with pytest.raises(ValueError, match="a limit needs"):
        OwnBuckets(rate, burst, owners_max=owners)


# ------------------------------------------------------------ what answers tell


def test_answers_tell_what_is_left_and_refusals_when_to_come() -> None:
    """In the fields of the draft, as structured fields are written."""
    now_s = 1000.0
    limits = Limits(3, 2, clock=lambda: now_s)
    told = [dict(limits.count_credential(principal(7))) for _ in range(3)]
    assert {one["ratelimit-policy"] for one in told} == {'"key";q=3;w=1'}
    assert [one["ratelimit"] for one in told] == [f'"key";r={left};t=1' for left in (2, 1, 0)]
    with pytest.raises(ProblemError) as refused:
        limits.count_credential(principal(7))
    assert refused.value.kind is ProblemKind.RATE_LIMITED
    assert refused.value.headers == {
        "Retry-After": "1",
        "RateLimit-Policy": '"key";q=3;w=1',
        "RateLimit": '"key";r=0;t=1',
    }
    assert dict(limits.count_credential(principal(8)))["ratelimit"] == '"key";r=2;t=1'
    now_s += 1.0
    assert dict(limits.count_credential(principal(7)))["ratelimit"] == '"key";r=2;t=1'


def test_addresses_are_counted_apart_from_credentials() -> None:
    """An IPv6 one by its /64."""
    limits = Limits(1, 2, clock=lambda: 1000.0)
    assert dict(limits.count_address("2001:db8::1"))["ratelimit"] == '"address";r=1;t=1'
    assert dict(limits.count_address("2001:db8::2"))["ratelimit"] == '"address";r=0;t=1'
    with pytest.raises(ProblemError):
        limits.count_address("2001:db8::3")
    limits.count_address("203.0.113.7")
    limits.count_credential(principal(7))


def test_no_limit_is_told_of_where_there_is_none() -> None:
    """Zero stands for any number."""
    limits = Limits(0, 0)
    assert [*map(limits.count_credential, [principal(7)] * 9)] == [()] * 9
    assert limits.count_address("203.0.113.7") == ()


def test_what_was_written_for_answers_is_bounded() -> None:
    """However many different numbers are left."""
    limits = Limits(50_000, 1, clock=lambda: 1000.0)
    tracemalloc.start()
    for left in range(50_000 - 1, -1, -1):
        told = dict(limits.count_credential(principal(7)))["ratelimit"]
        assert told == f'"key";r={left};t=1'
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 1_000_000


async def test_a_call_costs_next_to_nothing() -> None:
    """Counting it, and its share, on the way of a hold; a bound that a loaded machine keeps."""
    limits, asking = Limits(100_000_000, 0), principal(7)

    def call() -> None:
        limits.count_credential(asking)
        share = limits.shares.begin(asking.reseller)
        assert share.under_way <= limits.shares.each
        share.under_way -= 1

    def round_us() -> float:
        began = time.perf_counter()
        for _ in range(100):
            call()
        return (time.perf_counter() - began) * 10_000

    assert median(round_us() for _ in range(200)) < 10


# ------------------------------------------------------------ shares


def late(shares: Shares, times: int = 2) -> None:
    """Let the event loop come late."""
    for _ in range(times):
        shares.note(LATE, LOOK_S)


def in_time(shares: Shares, times: int) -> None:
    """Let the event loop come in time."""
    for _ in range(times):
        shares.note(0.0, LOOK_S)


async def test_a_process_that_is_in_time_refuses_nobody() -> None:
    """However much one has under way beside others."""
    shares = Shares()
    shares.begin(EntityId(2))
    begun = [shares.begin(EntityId(1)) for _ in range(10_000)]
    in_time(shares, 3)
    assert begun[-1].under_way <= shares.each


async def test_one_reseller_alone_may_have_all_of_a_process_that_is_late() -> None:
    """There is nobody to share with: the other bounds hold."""
    shares = Shares()
    shares.begin(EntityId(1))
    late(shares, 100)
    assert shares.each == sys.maxsize


async def test_being_late_once_is_chance() -> None:
    """As when garbage was collected."""
    shares = Shares()
    shares.begin(EntityId(1))
    shares.begin(EntityId(2))
    for _ in range(10):
        late(shares, 1)
        in_time(shares, 1)
    assert shares.each == sys.maxsize


@pytest.mark.parametrize("resellers", [2, 5, 1000])
async def test_a_process_that_is_late_is_shared_out_equally(resellers: int) -> None:
    """To the least if it stays late, and to more and more once it is in time."""
    shares = Shares()
    for reseller in range(resellers):
        shares.begin(EntityId(reseller + 1))
    late(shares)
    first = shares.each
    assert OF_ONE_MIN <= first <= max(OF_ONE_MIN, UNDER_WAY_SHORT // resellers)
    late(shares, 20)
    assert shares.each == max(OF_ONE_MIN, UNDER_WAY_MIN // resellers)
    in_time(shares, 1000)
    assert shares.each == sys.maxsize


async def test_who_is_above_their_share_is_refused_and_others_are_not() -> None:
    """And refused calls count for nobody."""
    limits = Limits(0, 0)
    flood, steady = principal(7, reseller=1), principal(8, reseller=2)
    shares = [await limits.begin(flood) for _ in range(100)]
    await limits.begin(steady)
    late(limits.shares)
    before = shares[0].under_way
    with pytest.raises(ProblemError) as refused:
        await limits.begin(flood)
    assert refused.value.kind is ProblemKind.OVERLOADED
    assert refused.value.headers["Retry-After"] == "1"
    assert shares[0].under_way == before
    assert (await limits.begin(steady)).under_way == 2
    shares[0].under_way = 0
    assert (await limits.begin(flood)).under_way == 1


async def test_refusals_are_told_at_a_pace_and_beyond_a_bound_at_once() -> None:
    """So that repeating what was refused does not fill the process with refusals."""
    shares = Shares()
    waiting = [asyncio.ensure_future(shares.pace()) for _ in range(PACED_MAX)]
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await shares.pace()  # one too many
    waiting[0].cancel()
    shares.note(0.0, 10 / REFUSALS_PER_S)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [turn.done() for turn in waiting[:12]] == [True] * 10 + [False] * 2
    shares.note(0.0, 2 * PACED_MAX / REFUSALS_PER_S)
    await asyncio.gather(*waiting[1:])


async def test_who_has_no_work_any_more_is_forgotten() -> None:
    """Then the others' shares are larger, and nothing is left of a flood of resellers."""
    now_s = 1000.0
    shares = Shares(clock=lambda: now_s)
    for reseller in range(100):
        shares.begin(EntityId(reseller + 1)).under_way -= 1
    busy = shares.begin(EntityId(200))
    now_s += 10
    await asyncio.sleep(0.03)
    late(shares)
    assert shares.each == sys.maxsize  # one is left
    busy.under_way -= 1
    now_s += 10
    await asyncio.sleep(0.03)
    assert len(shares) == 0
