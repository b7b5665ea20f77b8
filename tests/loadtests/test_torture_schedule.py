"""A torture's schedule comes from its seed alone, and deals out every kind of fault."""

from collections import Counter
from itertools import chain

from loadtests.torture.faults.cluster import CLUSTER_FAULTS
from loadtests.torture.faults.replicas import REPLICA_FAULTS
from loadtests.torture.schedule import ALONE, STRIKES, make_schedule, make_volleys, part_of

KINDS = (
    *("kill-valkey", "pause-valkey", "truncate-aof", "wipe-valkey", "script-flush"),
    *("kill-worker", "pause-worker", "cut-api-valkey", "two-recoveries"),
)


def test_a_seed_gives_the_same_schedule_again_and_another_seed_another() -> None:
    """A failure can be had again by its seed."""
    assert make_schedule(7, 30, KINDS, 6) == make_schedule(7, 30, KINDS, 6)
    assert make_schedule(7, 30, KINDS, 6) != make_schedule(8, 30, KINDS, 6)


def test_kinds_in_any_order_are_the_same_kinds() -> None:
    """Where the kinds are listed must not matter."""
    assert make_schedule(7, 30, KINDS, 6) == make_schedule(7, 30, KINDS[::-1], 6)


def test_every_kind_strikes_once_before_any_strikes_twice() -> None:
    """So a short run has them all."""
    plans = make_schedule(3, 40, KINDS, 6)
    dealt = [one.kind for one in chain.from_iterable(plan.strikes for plan in plans)]
    for start in range(0, len(dealt) - len(KINDS), len(KINDS)):
        assert Counter(dealt[start : start + len(KINDS)]) == Counter(KINDS)


def test_faults_strike_in_their_order_and_within_the_round() -> None:
    """A fault that came when no buyer is there would test nothing."""
    for plan in make_schedule(11, 100, KINDS, 6):
        moments = [one.at_s for one in plan.strikes]
        assert STRIKES[0] <= len(moments) <= STRIKES[1]
        assert moments[0] > 0
        assert moments[-1] < plan.seconds
        for volley in plan.volleys():
            starts = [one.at_s for one in volley]
            assert starts == sorted(starts)


def test_two_faults_never_work_on_the_same_part_at_once() -> None:
    """Each ends with its part whole again, which another would be in the way of."""
    joined = 0
    for plan in make_schedule(5, 300, KINDS, 6):
        for volley in plan.volleys():
            parts = [part_of(one.kind) for one in volley]
            assert len(set(parts)) == len(parts)
            joined += len(volley) > 1
            if ALONE & {one.kind for one in volley}:
                assert len(volley) == 1
    assert joined > 20


def test_what_befalls_a_store_of_several_servers_comes_one_after_the_other() -> None:
    """Two would be in each other's way: each waits until every primary has its replica."""
    for faults in (CLUSTER_FAULTS, REPLICA_FAULTS):
        assert {part_of(kind) for kind in faults} == {"valkey"}


def test_without_kinds_nothing_strikes() -> None:
    """The control: the same buyers, and a platform that is left alone."""
    assert all(not plan.strikes for plan in make_schedule(1, 5, (), 6))


def test_faults_that_are_to_strike_together_do_so_in_every_round() -> None:
    """In the order in which they are named, at a moment of the seed's."""
    plans = make_volleys(2, 20, ("pause-worker", "kill-valkey"), 6)
    for plan in plans:
        ((first, second),) = plan.volleys()
        assert (first.kind, second.kind) == ("pause-worker", "kill-valkey")
        assert first.at_s <= second.at_s < plan.seconds
    assert len({plan.strikes[0].at_s for plan in plans}) == 20
