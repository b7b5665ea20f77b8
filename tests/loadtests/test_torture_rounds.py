"""What a round makes of its faults: bounds for the checker, losses, and times of recovery."""

import msgspec

from loadtests.checker import Bounds, Call, Held
from loadtests.torture.faults import Struck
from loadtests.torture.forging import MARK
from loadtests.torture.rounds import (
    Trouble,
    bounds_of,
    loss_of,
    recovery_times,
    without_forgeries,
)

S = 1_000_000_000


def struck(kind: str, at_s: float, until_s: float, clock_step_s: float = 0.0) -> Struck:
    """Return a fault that struck so."""
    return Struck(
        kind=kind,
        at_ns=round(at_s * S),
        until_ns=round(until_s * S),
        details="",
        clock_step_s=clock_step_s,
    )


def held_at(seconds: float) -> Call:
    """Return a hold that was had then."""
    at_ns = round(seconds * S)
    return Call(
        client="c",
        kind="hold",
        show="s",
        buyer="b",
        key=f"k{at_ns}",
        seats=("A",),
        op=f"o{at_ns}",
        invoked_ns=at_ns - 1,
        completed_ns=at_ns,
        answer=Held(f"h{at_ns}", ("A",)),
    )


def test_a_recovery_lasts_from_the_servers_return_to_the_first_hold() -> None:
    """Only after faults that fence a show."""
    calls = [held_at(1), held_at(4.5), held_at(5), held_at(9)]
    assert recovery_times(calls, [struck("kill-valkey", 2, 4)]) == [0.5]
    assert recovery_times(calls, [struck("kill-worker", 2, 4)]) == []
    assert recovery_times(calls, [struck("kill-valkey", 9, 10)]) == []


def test_a_recovery_that_another_fault_overlaps_is_not_timed() -> None:
    """It would tell of both."""
    calls = [held_at(1), held_at(4.5)]
    killed = struck("kill-valkey", 2, 4)
    assert recovery_times(calls, [struck("pause-worker", 1, 3), killed]) == []
    assert recovery_times(calls, [killed, struck("pause-worker", 4.2, 6)]) == []
    assert recovery_times(calls, [struck("pause-worker", 1, 1.5), killed]) == [0.5]


def test_deadlines_are_judged_by_what_was_done_to_them() -> None:
    """An outage puts them off; a clock ahead ends holds early, any step may end them late."""
    usual = Bounds()
    assert bounds_of([]) == usual
    outage = bounds_of([struck("kill-valkey", 1, 4)])
    assert outage.overdue_ns_max >= usual.overdue_ns_max + 3 * S
    assert outage.clock_error_ns == usual.clock_error_ns
    ahead = bounds_of([struck("clock-step", 1, 2, 7.0)])
    assert ahead.clock_error_ns == usual.clock_error_ns + 7 * S
    behind = bounds_of([struck("clock-step", 1, 2, -7.0)])
    assert behind.clock_error_ns == usual.clock_error_ns
    assert behind.overdue_ns_max >= usual.overdue_ns_max + 7 * S


def test_only_a_store_that_fell_back_may_have_undone_what_was_done() -> None:
    """One that was emptied has nothing that could stand again."""
    assert loss_of(struck("wipe-valkey", 10, 12)).since_ns is None
    since_ns = loss_of(struck("restore-valkey", 10, 12)).since_ns
    assert since_ns is not None
    assert since_ns < 10 * S


def test_a_failover_may_lose_holds_and_no_sale_that_was_answered() -> None:
    """What was released a moment before may stand again; a `202` is kept."""
    loss = loss_of(msgspec.structs.replace(struck("kill-primary", 10, 12), loses_holds=True))
    assert loss.keeps_sales
    assert loss.since_ns is not None
    assert 8 * S < loss.since_ns < 10 * S
    assert not loss_of(struck("wipe-valkey", 10, 12)).keeps_sales


def test_a_failovers_recovery_is_timed_from_the_election() -> None:
    """Not from when the old primary was back."""
    failed_over = msgspec.structs.replace(struck("kill-primary", 2, 6), serves_ns=3 * S)
    assert recovery_times([held_at(2.5), held_at(3.5), held_at(7)], [failed_over]) == [0.5]


def test_nothing_but_forgeries_is_left_out() -> None:
    """What else is wrong in a round with forged sales counts."""
    mine = Trouble("order-from-nowhere", f"order ord_{MARK.hex()}00", "")
    other = Trouble("two-owners", "seat A", "")
    assert without_forgeries([mine, other]) == [other]
