"""The checker's verdicts: right histories are accepted, and every known fault is found."""

import json
import random

import msgspec
import pytest

from loadtests.checker import (
    Bought,
    Bounds,
    Call,
    Ledger,
    Loss,
    Order,
    Refused,
    Released,
    Show,
    Store,
    StoreHold,
    Verdict,
    check,
)
from tests.loadtests.broken_box_offices import MUTATIONS
from tests.loadtests.calls_by_hand import LOST, TAKEN, held, hold
from tests.loadtests.simulated_box_office import MS, BoxOffice, Size
from tests.loadtests.simulated_world import Outcome, simulate

EXACT = Bounds(clock_error_ns=0, stale_ns_max=0)
"""The simulated clock has no error, and a simulated office no memory beside its store."""
SEEDS_MAX = 60


def judge(outcome: Outcome, bounds: Bounds = EXACT) -> Verdict:
    """Judge a simulated history with the stores that it left."""
    return check(
        outcome.show, outcome.calls, ledger=outcome.ledger, store=outcome.store, bounds=bounds
    )


def size_of(seed: int, *, loses_store: bool = False, falls_back: bool = False) -> Size:
    """Return one of many sizes and kinds of trouble."""
    luck = random.Random(seed)  # noqa: S311 -- the same sizes each time
    seats, calls = luck.choice(((4, 30), (6, 80), (10, 150)))
    return Size(
        seats=seats,
        calls=calls,
        clients=luck.choice((3, 5, 8)),
        lossy=luck.choice((0.0, 0.15, 0.3, 0.5)),
        ttl_ns=luck.choice((60, 150, 400)) * MS,
        loses_store=loses_store,
        falls_back=falls_back,
    )


@pytest.mark.parametrize("bounds", [EXACT, Bounds()])
@pytest.mark.parametrize("loses_store", [False, True])
def test_what_a_correct_box_office_did_is_accepted(bounds: Bounds, *, loses_store: bool) -> None:
    """With any concurrency, lost answers, late effects, crashes, and declared losses."""
    for seed in range(120):
        verdict = judge(simulate(seed, size_of(seed, loses_store=loses_store)), bounds)
        assert verdict.word == "ok", f"seed {seed}: {verdict.as_text()}"


def test_a_store_that_fell_back_is_accepted_where_that_was_declared() -> None:
    """It stands as it did a while ago: what was released meanwhile is held again."""
    told: set[str] = set()
    for seed in range(120):
        outcome = simulate(seed, size_of(seed, falls_back=True))
        # Where more than half of the answers are lost amid a loss, the search may take its time.
        verdict = judge(outcome, msgspec.structs.replace(EXACT, search_steps_max=5_000_000))
        assert verdict.word == "ok", f"seed {seed}: {verdict.as_text()}"
        once = tuple(msgspec.structs.replace(one, since_ns=None) for one in outcome.show.losses)
        outcome.show = msgspec.structs.replace(outcome.show, losses=once)
        told |= {v.kind for v in judge(outcome).violations}
    assert {"hold-came-back"} <= told


def test_a_large_history_is_accepted() -> None:
    """Thousands of calls on hundreds of seats."""
    size = Size(
        seats=200, floor=100, clients=40, calls=5000, ttl_ns=100 * MS, buyers=2000, crashes=3
    )
    verdict = judge(simulate(1, size))
    assert verdict.word == "ok", verdict.as_text()
    assert verdict.operations >= 5000


@pytest.mark.parametrize("office", MUTATIONS, ids=lambda office: office.__name__)
def test_a_broken_box_office_is_found(office: type[BoxOffice]) -> None:
    """Within a bounded number of seeds, and called what it is."""
    told: set[str] = set()
    for seed in range(SEEDS_MAX):
        told |= {v.kind for v in judge(simulate(seed, size_of(seed), office)).violations}
        if told & MUTATIONS[office]:
            return
    pytest.fail(f"not found in {SEEDS_MAX} seeds; told were {told}")


def test_a_loss_that_nobody_declared_is_found() -> None:
    """Holds may vanish only where the store was lost."""
    told: set[str] = set()
    for seed in range(SEEDS_MAX):
        outcome = simulate(seed, size_of(seed, loses_store=True))
        outcome.show = msgspec.structs.replace(outcome.show, losses=())
        told |= {v.kind for v in judge(outcome).violations}
    assert {"recording-lost", "ended-early"} <= told


def test_a_recording_that_a_failover_loses_is_found() -> None:
    """Where replicas have every sale that was answered, only holds may vanish."""
    told: set[str] = set()
    for seed in range(SEEDS_MAX):
        outcome = simulate(seed, size_of(seed, loses_store=True))
        kept = tuple(msgspec.structs.replace(one, keeps_sales=True) for one in outcome.show.losses)
        outcome.show = msgspec.structs.replace(outcome.show, losses=kept)
        told |= {v.kind for v in judge(outcome).violations}
    assert told == {"recording-lost"}


# ---------------------------------------------------------------- by hand

SHOW = Show(id="s", seats=frozenset({"A"}), max_per_buyer=4)


RELEASE = Call(
    client="c",
    kind="release",
    show="s",
    buyer="b-k1",
    hold="h-k1",
    op="r",
    invoked_ns=50 * MS,
    completed_ns=60 * MS,
    answer=Released(),
)


def test_two_who_were_certainly_given_one_seat_are_told_in_a_few_lines() -> None:
    """The explanation has the two of them; the history all that was said of the seat."""
    calls = [
        hold("k1", 10, 20, held("k1")),
        hold("k2", 30, 40, TAKEN),
        hold("k3", 50, 60, held("k3")),
    ]
    verdict = check(SHOW, calls)
    (violation,) = verdict.violations
    assert (violation.kind, violation.subject) == ("two-owners", "seat A")
    assert violation.says.startswith("by 60.000 ms it could only be held by k1; yet k3 takes")
    assert [line.split(":")[0] for line in violation.because] == ["k1 takes", "k3 takes"]
    assert [call.op for call in violation.calls] == ["k1", "k2", "k3"]
    assert "because  k1 takes: 10.000 ms to 20.000 ms" in verdict.as_text()
    told = json.loads(json.dumps(verdict.as_json()))
    assert told["verdict"] == "violated"
    assert told["violations"][0]["calls"][0]["answer"]["hold"] == "h-k1"


def test_a_lost_answer_may_be_what_another_was_refused_for() -> None:
    """Until its hold runs out, and not before it was sent."""
    lost = hold("k1", 10, None, LOST)
    assert check(SHOW, [lost, hold("k2", 30, 40, TAKEN)]).word == "ok"
    verdict = check(SHOW, [hold("k2", 3, 4, TAKEN), lost])
    assert [v.kind for v in verdict.violations] == ["refused-open-seat"]


def test_a_repetition_settles_what_the_lost_answer_did() -> None:
    """The hold was made by the first call or the second, but before others were given the seat."""
    calls = [hold("k1", 10, None, LOST), hold("k1", 50, 60, held("k1"), "again")]
    assert check(SHOW, [*calls, hold("k2", 20, 30, TAKEN)]).word == "ok"
    verdict = check(SHOW, [*calls, hold("k2", 20, 30, held("k2"))])
    assert [v.kind for v in verdict.violations] == ["two-owners"]


def test_a_release_opens_the_seat_for_the_next() -> None:
    """And only from its own time on."""
    first = hold("k1", 10, 20, held("k1"))
    assert check(SHOW, [first, RELEASE, hold("k2", 55, 70, held("k2"))]).word == "ok"
    verdict = check(SHOW, [first, RELEASE, hold("k2", 30, 45, held("k2"))])
    assert [v.kind for v in verdict.violations] == ["two-owners"]


def test_a_sale_that_met_a_conflict_owns_nothing() -> None:
    """It was told as being recorded, never as confirmed, so its seat may be open again."""
    buy = Call(
        client="c",
        kind="purchase",
        show="s",
        buyer="b-k1",
        key="p",
        hold="h-k1",
        op="p",
        invoked_ns=50 * MS,
        completed_ns=60 * MS,
        answer=Bought("o", "recording"),
    )
    calls = [hold("k1", 10, 20, held("k1")), buy]
    order = Order(order="o", hold="h-k1", buyer="b-k1", status="conflict", seats=("A",))
    store = Store(read_ns=100 * MS, seats={"A": "open"})
    assert check(SHOW, calls, ledger=Ledger((order,)), store=store).word == "ok"
    told = [calls[0], msgspec.structs.replace(buy, answer=Bought("o", "confirmed"))]
    verdict = check(SHOW, told, ledger=Ledger((order,)), store=store)
    assert "confirmed-not-in-ledger" in {v.kind for v in verdict.violations}


def test_a_hold_may_end_with_another_of_its_buyer_whose_answer_was_lost() -> None:
    """A buyer's holds share a deadline, and that of a lost one is known from below only."""
    show = Show(id="s", seats=frozenset({"A", "B"}))
    earlier = hold("k1", 10, None, LOST)
    lost = hold("k2", 1015, None, LOST)
    ended = hold("k2", 1030, 1040, Refused("hold-expired"), "again")
    own = [msgspec.structs.replace(call, buyer="b", seats=("B",)) for call in (lost, ended)]
    assert check(show, [msgspec.structs.replace(earlier, buyer="b"), *own]).word == "ok"
    assert "ended-early" in {v.kind for v in check(show, [earlier, *own]).violations}


def test_a_late_request_may_make_a_lost_hold_anew() -> None:
    """Though the hold was released long before the store was lost."""
    calls = [hold("k1", 10, 20, held("k1")), hold("k1", 30, 40, LOST, "late"), RELEASE]
    left = StoreHold(hold="h-k1", buyer="b-k1", deadline_ns=1500 * MS, seats=("A",))
    store = Store(read_ns=300 * MS, seats={"A": "held"}, holds=(left,))
    lossy = msgspec.structs.replace(SHOW, losses=(Loss(100 * MS, 110 * MS),))
    assert check(lossy, calls, store=store).word == "ok"
    verdict = check(SHOW, calls, store=store)
    assert [v.kind for v in verdict.violations] == ["store-differs"]


def test_forty_lost_answers_on_one_seat_are_decided() -> None:
    """Each may have had it for a while, which explains no second certain owner."""
    lost = [hold(f"k{n}", n, None, LOST) for n in range(40)]
    refused = [hold(f"r{n}", 50 + n, 60 + n, TAKEN) for n in range(40)]
    assert check(SHOW, [*lost, *refused]).word == "ok"
    sure = [hold("x", 200, 210, held("x")), hold("y", 220, 230, held("y"))]
    verdict = check(SHOW, [*lost, *refused, *sure])
    assert "two-owners" in {v.kind for v in verdict.violations}


def test_what_was_given_up_on_is_undecided_and_not_fine() -> None:
    """A bound that is reached is told, with the seat."""
    outcome = simulate(3, Size(lossy=0.3))
    verdict = judge(outcome, Bounds(search_steps_max=1))
    assert verdict.word == "undecided"
    assert any(subject.startswith("seat ") for subject in verdict.undecided)


def test_a_history_of_another_show_is_not_judged() -> None:
    """A mix of shows is a mistake of whoever hands it in."""
    with pytest.raises(ValueError, match="is about show s, not t"):
        check(Show(id="t", seats=frozenset()), [hold("k", 1, 2, TAKEN)])


def test_the_release_of_a_lost_hold_is_remembered() -> None:
    """Its key is then answered as released, although the hold was never seen again."""
    release = msgspec.structs.replace(RELEASE, invoked_ns=200 * MS, completed_ns=210 * MS)
    again = hold("k1", 250, 260, Refused("hold-released"), "again")
    calls = [hold("k1", 10, 20, held("k1")), release, again]
    lossy = msgspec.structs.replace(SHOW, losses=(Loss(100 * MS, 110 * MS),))
    assert check(lossy, calls).word == "ok"
    unreleased = [calls[0], again]
    assert "ended-early" in {v.kind for v in check(lossy, unreleased).violations}
