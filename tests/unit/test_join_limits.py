"""How often one address and one identity may join."""

import tracemalloc

import pytest

from engine.platform.rate_limits import SLOTS, Buckets
from engine.waitingroom.limits import IDENTITY_BURST, JoinLimits

ADDRESS = "203.0.113.7"


def test_a_burst_and_then_the_rate() -> None:
    """Whoever waits as long as they were told is let in, and one more is not."""
    limits = JoinLimits(60, 20)
    now_s = 1000.0
    assert [limits.take(ADDRESS, now_s) for _ in range(20)] == [None] * 20
    for _ in range(5):
        wait_s = limits.take(ADDRESS, now_s)
        assert wait_s == pytest.approx(1.0)
        assert wait_s is not None
        assert limits.take(ADDRESS, now_s + wait_s / 2) is not None
        now_s += wait_s + 1e-6
        assert limits.take(ADDRESS, now_s) is None


def test_the_rate_is_never_exceeded() -> None:
    """However often is asked: at most burst and rate times time, and no less."""
    limits = JoinLimits(60, 20)
    joined = sum(limits.take(ADDRESS, 1000 + n / 100) is None for n in range(100 * 120))
    assert joined in {139, 140}


def test_what_is_refused_is_not_counted() -> None:
    """Else somebody who hammers would never get in, nor would who shares their address."""
    limits = JoinLimits(60, 1)
    assert limits.take(ADDRESS, 1000) is None
    assert all(limits.take(ADDRESS, 1000.5) is not None for _ in range(1000))
    assert limits.take(ADDRESS, 1001.01) is None


def test_a_burst_is_there_again_after_a_while() -> None:
    """And no more than a burst, however long the while."""
    limits = JoinLimits(60, 3)
    for now_s in (1000.0, 1010.0, 999_999.0):
        assert [limits.take(ADDRESS, now_s) is None for _ in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2::1", "2001:0db8:0001:0002:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("nonsense", "other nonsense", True),
        ("unix:", "203.0.113.7", False),
    ],
)
def test_who_counts_as_one_address(one: str, other: str, is_same: bool) -> None:  # noqa: FBT001 - a row of a table
    """IPv4 whole, IPv6 by what one subscriber has; what is no address is one source."""
    limits = JoinLimits(60, 1)
    assert limits.take(one, 1000) is None
    assert (limits.take(other, 1000) is not None) is is_same


def test_a_rate_of_zero_is_no_limit() -> None:
    """A deployment whose proxy hides addresses must be able to switch it off."""
    limits = JoinLimits(0, 1)
    assert all(limits.take(ADDRESS, 1000) is None for _ in range(1000))


def test_an_identity_has_a_limit_of_its_own() -> None:
    """Whichever address it joins from."""
    limits = JoinLimits(0, 1)
    assert all(limits.take_identity(b"identity", 1000) is None for _ in range(IDENTITY_BURST))
    assert limits.take_identity(b"identity", 1000) is not None
    assert limits.take_identity(b"other id", 1000) is None


def test_a_flood_takes_no_memory() -> None:
    """From a hundred thousand addresses: eight bytes a slot, and no more."""
    tracemalloc.start()
    try:
        buckets = Buckets(60, 20)
        for n in range(100_000):
            buckets.take(n.to_bytes(8, "big"), 1000)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 8 * SLOTS < taken < 9 * SLOTS


def test_few_share_a_bucket() -> None:
    """Of 10 000 sources in 65 536 slots, one in seven, as chance has it."""
    buckets = Buckets(60, 1)
    refused = sum(buckets.take(n.to_bytes(8, "big"), 1000) is not None for n in range(10_000))
    assert 600 < refused < 850


def test_who_shares_a_bucket_can_not_be_foretold() -> None:
    """The table's key is the process' own."""
    sources = [n.to_bytes(8, "big") for n in range(200)]
    tables = [Buckets(60, 1, slots=1000) for _ in range(2)]
    one, other = ([table.take(source, 1000) for source in sources] for table in tables)
    assert one != other


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (float("nan"), 1), (60, 0)])
def test_a_limit_that_makes_no_sense_is_refused(rate: float, burst: int) -> None:
    """At the start."""
    with pytest.raises(ValueError, match="rate"):
        JoinLimits(rate, burst)
