"""Where each rule of the checker begins: the last history that is fine, and the first that isn't.

Each history is told twice, once with nothing and once with one ns (or one ticket) too many.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from loadtests.checker import Bounds, Call, Loss, Refused, Show, Store, check
from loadtests.checker.search import Operation, search
from loadtests.checker.seat_check import Step, leave_out
from loadtests.checker.show import KEPT_NS
from loadtests.checker.verdict import CALLS_KEPT, Kind
from tests.loadtests.calls_by_hand import (
    HALL,
    LOST,
    NS,
    RELEASED,
    RETURNED,
    TAKEN,
    bought,
    held,
    hold,
    ledger,
    left,
    order,
    places,
    standing,
    use,
)
from tests.loadtests.simulated_box_office import MS

BOUNDS = Bounds(clock_error_ns=50 * MS, stale_ns_max=2000 * MS, overdue_ns_max=5000 * MS)
EXPIRED = Refused("hold-expired")
NOT_FOUND = Refused("hold-not-found")
TWO_AREAS = replace(HALL, area_capacity={"floor": 3, "balcony": 1}, area_blocked={})
LOSSY = replace(HALL, losses=(Loss(100 * MS, 110 * MS),))
K1_RELEASES = use("release", "k1", 30, 40, RELEASED)


@dataclass(frozen=True)
class Edge:
    """A history by how much it is beyond what is fine, and how that must be called."""

    name: str
    kind: Kind
    calls: Callable[[int], list[Call]]
    store: Callable[[int], Store] | None = None
    show: Show = HALL


def refused_seats(after_ms: float, *seats: str) -> list[Call]:
    """Return that B was had until 40 ms at most and A still is, and a refusal that names some."""
    refusal = Refused("seats-taken", seats=seats)
    return [
        hold("k1", 10, 20, held("k1", ("B",)), seats=("B",)),
        K1_RELEASES,
        hold("k2", 10, 20, held("k2")),
        hold("k3", 40 + after_ms, 9000, refusal, seats=seats),
    ]


def refused_areas(after_ms: float, **areas: int) -> list[Call]:
    """Return that the floor was full until 40 ms at most and the balcony still is; a refusal."""
    refusal = Refused("area-short", areas=dict.fromkeys(areas, 0))
    balcony = {"balcony": 1}
    return [
        places("k1", 10, 20, 3),
        K1_RELEASES,
        hold("k2", 10, 20, held("k2", (), balcony), seats=(), areas=balcony),
        hold("k3", 40 + after_ms, 9000, refusal, seats=(), areas=areas),
    ]


EDGES = [
    Edge(
        "of several seats that are refused those beyond the first may be old news",
        "refused-open-seat",
        lambda past: refused_seats(2000 + past * NS, "A", "B"),
    ),
    Edge(
        "a refusal that names one seat is no old news",
        "refused-open-seat",
        lambda past: refused_seats(past * NS, "B"),
    ),
    Edge(
        "of several areas that are refused those beyond the first may be old news",
        "refused-open-area",
        lambda past: refused_areas(2000 + past * NS, floor=1, balcony=1),
        show=TWO_AREAS,
    ),
    Edge(
        "a refusal that names one area is no old news",
        "refused-open-area",
        lambda past: refused_areas(past * NS, floor=1),
        show=TWO_AREAS,
    ),
    Edge(
        "an area may be full",
        "area-oversold",
        lambda past: [places("k1", 10, 20, 2), places("k2", 30, 40, 1 + past)],
    ),
    Edge(
        "an area is refused when it has less than is asked for",
        "refused-open-area",
        lambda past: [
            places("k1", 10, 20, 2),
            replace(
                places("k2", 30, 40, 2 - past), answer=Refused("area-short", areas={"floor": 1})
            ),
        ],
    ),
    Edge(
        "a hold may end by the clock's error before its deadline, for its area",
        "area-oversold",
        lambda past: [places("k1", 10, 20, 3), places("k2", 900, 950 - past * NS)],
    ),
    Edge(
        "a release may act as soon as it is sent",
        "area-oversold",
        lambda past: [places("k1", 10, 20, 3), K1_RELEASES, places("k2", 25, 30 - past * NS)],
    ),
    Edge(
        "a hold may end by the clock's error before its deadline",
        "ended-early",
        lambda past: [places("k1", 10, 20), use("look", "k1", 900, 950 - past * NS, EXPIRED)],
    ),
    Edge(
        "a hold may take on a deadline of its buyer that the clock may not have reached",
        "ended-early",
        lambda past: [
            places("k1", 10, 20, buyer="b"),
            hold("k2", 1050 - NS + past * NS, None, LOST, buyer="b"),
            hold("k2", 1060, 1070, EXPIRED, "again", buyer="b"),
        ],
    ),
    Edge(
        "an ended hold is told of for ten minutes",
        "refused-otherwise",
        lambda past: [
            places("k1", 10, 20),
            use("look", "k1", 1100, 1110, EXPIRED),
            use("look", "k1", 950 + KEPT_NS / MS - past * NS, 10**6, NOT_FOUND),
        ],
    ),
    Edge(
        "a purchase may begin a while after the deadline",
        "sold-after-deadline",
        lambda past: [
            places("k1", 10, 20),
            use("purchase", "k1", 6000 + past * NS, 6010, bought("k1")),
        ],
    ),
    Edge(
        "a sale may be seen as soon as it was asked for",
        "sale-from-nowhere",
        lambda past: [
            places("k1", 10, 20),
            use("look", "k1", 30, 50 - past * NS, bought("k1")),
            use("purchase", "k1", 50, 60, bought("k1")),
        ],
    ),
    Edge(
        "a buyer may have as many tickets as the limit",
        "buyer-over-limit",
        lambda past: [
            hold("k1", 10, 20, held("k1"), buyer="b"),
            places("k2", 30, 40, 1 + past, buyer="b"),
        ],
        show=replace(HALL, max_per_buyer=2),
    ),
    Edge(
        "a hold may stand until the sweep and the clock's error are over",
        "hold-overdue",
        lambda _: [hold("k1", 10, 20, held("k1"))],
        lambda past: left(standing("k1"), read_ms=6050 + past * NS, A="held"),
    ),
    Edge(
        "a hold may be gone as soon as the store may be lost",
        "ended-early",
        lambda past: [places("k1", 10, 20), use("look", "k1", 30, 100 - past * NS, NOT_FOUND)],
        show=LOSSY,
    ),
    Edge(
        "a hold may be lost that was asked for before the loss was over",
        "ended-early",
        lambda past: [places("k1", 110 + past * NS, 120), use("look", "k1", 130, 140, NOT_FOUND)],
        show=LOSSY,
    ),
    Edge(
        "a sale that was confirmed before the loss stays",
        "ended-early",
        lambda past: [
            places("k1", 10, 20),
            use("purchase", "k1", 30, 100 + NS - past * NS, bought("k1")),
            use("look", "k1", 130, 140, NOT_FOUND),
        ],
        show=LOSSY,
    ),
]


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.name.replace(" ", "-"))
def test_a_rule_begins_just_where_it_is_said(edge: Edge) -> None:
    """What is at the bound is fine; what is one beyond is found, and nothing else."""
    told: list[set[str]] = []
    for past in (0, 1):
        store = edge.store(past) if edge.store else None
        verdict = check(edge.show, edge.calls(past), store=store, bounds=BOUNDS)
        told.append({violation.kind for violation in verdict.violations})
    assert told == [set(), {edge.kind}]


def test_of_a_violations_history_the_last_calls_are_kept() -> None:
    """So that a verdict stays small enough to read."""
    many = [hold(f"k{n}", 10 + n, 10.5 + n, TAKEN) for n in range(CALLS_KEPT + 1)]
    (violation,) = check(HALL, many).violations
    assert [call.op for call in violation.calls] == [call.op for call in many[1:]]
    (whole,) = check(HALL, many[1:]).violations
    assert whole.calls == tuple(many[1:])


def test_the_first_ten_reasons_are_cut_down() -> None:
    """To shorten takes time, so the eleventh is told as it is."""
    show = Show(id="s", seats=frozenset(f"S{n:02}" for n in range(11)))
    calls = [
        hold(f"{who}{n}", begins, begins + 5, held(f"{who}{n}", (f"S{n:02}",)), seats=(f"S{n:02}",))
        for n in range(11)
        for who, begins in (("one", 10), ("two", 30))
    ]
    seen = [use("look", f"one{n}", 20, 25, held(f"one{n}", (f"S{n:02}",))) for n in range(11)]
    reasons = [len(v.because) for v in check(show, [*calls, *seen]).violations]
    assert reasons[:10] == [2] * 10
    assert reasons[10] > 2


def test_one_needed_step_of_a_thousand_is_found_with_few_searches() -> None:
    """Each half that can be spared is left out at once; with no more effort than was allowed."""
    fits, never = frozenset({0}), frozenset({5})
    reads = [Operation(invoked=n, completed=n, idle_in=fits) for n in range(1000)]
    reads[700] = Operation(invoked=700, completed=700, idle_in=never)
    steps = [Step(read, "is seen holding", None, None) for read in reads]
    groups = [[step] for step in steps]
    whole = search(reads, 0, 10**6).steps
    kept, left_over = leave_out(steps, groups, 0, 10**6)
    assert kept == [steps[700]]
    assert 10**6 - left_over < 10 * whole
    kept, left_over = leave_out(steps, groups, 0, whole // 2)
    assert steps[700] in kept
    assert len(kept) > 1
    assert left_over > -10


def test_a_hold_that_had_ended_and_stands_again_ends_again() -> None:
    """In a store that fell back to before its deadline; the seat is refused, and open later."""
    fell_back = replace(HALL, losses=(Loss(2000 * MS, 2010 * MS, since_ns=500 * MS),))
    calls = [
        hold("k1", 10, 20, held("k1")),
        hold("k2", 1500, 1520, held("k2", deadline_ms=9000)),
        use("release", "k2", 1600, 1610, RELEASED),
        hold("k3", 2100, 2110, TAKEN),
    ]
    verdict = check(fell_back, calls, ledger=ledger(), store=left(read_ms=5000), bounds=BOUNDS)
    assert verdict.word == "ok", verdict.as_text()


def test_a_seat_that_was_given_back_and_held_since_is_refused_to_nobody_once_it_is_open() -> None:
    """No process may say from memory what a return has undone (decision 14)."""

    def told(*between: Call) -> str:
        calls = [
            hold("k1", 10, 20, held("k1")),
            use("purchase", "k1", 30, 40, bought("k1")),
            use("return", "k1", 50, 60, RETURNED),
            *between,
            hold("k3", 110, 120, TAKEN),
        ]
        books = ledger(order("k1", status="returned"))
        return check(HALL, calls, ledger=books, bounds=BOUNDS).word

    since = hold("k2", 70, 80, held("k2")), use("release", "k2", 90, 100, RELEASED)
    assert told() == "ok", "the store may hear of it later"
    assert told(*since) == "violated"
