"""The controller's decisions: who is let on and when, and what stops passes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.waitingroom.admission import AdmissionState, Controller, Observation, Rules, Step
from engine.waitingroom.credit import default_burst
from engine.waitingroom.line import Trace, move_on, people_between
from tests.model.simulated_line import Crowd, SimulatedLine, worst_excess

FREE = 10**9
LONG = 10**8


def rules(rate: float = 10.0, **other: object) -> Rules:
    """Make rules that limit nothing but the rate."""
    return Rules(**{"rate": rate, "checkout_max": FREE, **other})  # pyright: ignore[reportArgumentType]


def test_no_window_of_a_line_exceeds_the_bound_whatever_happens_to_it() -> None:
    """Ticks stop for 10 s, the controller changes, the store fails over, the rate changes."""
    line = SimulatedLine(rules(10.0), Crowd(), line=LONG, seed=7)
    line.run(20)
    line.stops_until_s = 30.0
    line.run(35)
    line.take_over()
    line.run(45)
    line.fail_over()
    line.run(55)
    line.rules = rules(25.0)
    line.run(65)
    line.rules = rules(5.0)
    line.latency_s = 0.4
    line.run(75)
    assert len(line.issued_at) > 550
    assert worst_excess(line.issued_at, line.rates) <= default_burst(25.0)


@pytest.mark.parametrize("noshow", [0.0, 0.4, 0.8, 0.95])
@pytest.mark.parametrize("delay_s", [0.5, 5.0])
@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0])
def test_passes_are_issued_at_the_set_rate_however_many_walk_away(
    noshow: float, delay_s: float, rate: float
) -> None:
    """Within 5 % over a minute, after a minute to learn; and few wait for their pass."""
    line = SimulatedLine(rules(rate), Crowd(lambda _place: noshow, delay_s), line=LONG, seed=3)
    line.run(120)
    passes = line.passes_between(60, 120)
    assert passes >= 0.95 * 60 * rate
    assert passes <= 60 * rate + default_burst(rate)
    assert line.waiting_max() <= 12 + 8 * rate


@pytest.mark.parametrize("noshow", [0.0, 0.8])
def test_people_who_claim_after_half_a_minute_are_not_taken_for_gone(noshow: float) -> None:
    """They were admitted, they are on the way: not many more are admitted instead."""
    line = SimulatedLine(rules(10.0), Crowd(lambda _place: noshow, 30.0), line=LONG, seed=3)
    line.run(240)
    assert line.passes_between(180, 240) >= 0.95 * 600
    assert line.waiting_max() <= 150


def test_another_share_of_no_shows_is_learnt() -> None:
    """From hardly anyone to everyone, and back: passes go on, and the claimants stay few."""
    line = SimulatedLine(
        rules(10.0),
        Crowd(lambda place: 0.1 if 4000 < place <= 6000 else 0.9, delay_s=2.0),
        line=LONG,
        seed=3,
    )
    line.run(360)
    assert line.passes_between(60, 360) >= 0.95 * 3000
    assert line.waiting_max() <= 350


def test_numbers_that_nobody_has_are_jumped_over_at_once() -> None:
    """A fail-over skipped a million of them: nobody notices."""
    line = SimulatedLine(rules(10.0), Crowd(), line=LONG, seed=3)
    line.skipped = [(2000, 1_002_000)]
    line.run(60)
    assert line.store.serving > 1_002_000
    assert line.passes_between(20, 60) >= 0.95 * 400
    assert line.waiting_max() <= 80


def test_a_stretch_of_which_nobody_claims_is_crossed_in_seconds() -> None:
    """At the usual pace 10 000 numbers would take 200 s; and its end is not run over."""
    crowd = Crowd(lambda place: 1.0 if 3000 <= place < 13_000 else 0.8)
    line = SimulatedLine(rules(10.0), crowd, line=LONG, seed=3)
    line.run(120)
    inside = [one for one in line.seconds if 3000 <= one.serving < 13_000]
    assert 1 <= len(inside) <= 15
    assert line.waiting_max() <= 10 * (20 + 2) + 60
    assert line.passes_between(inside[-1].at_s + 5, inside[-1].at_s + 35) >= 0.95 * 300


def test_who_was_passed_over_says_nothing_of_those_behind() -> None:
    """The share behind an empty stretch is the one before it, not one that it is mixed into."""
    crowd = Crowd(lambda place: 1.0 if 1000 <= place < 4000 else 0.4, delay_s=5.0)
    line = SimulatedLine(rules(10.0), crowd, line=LONG, seed=3)
    line.run(180)
    assert line.store.serving > 4000
    assert line.waiting_max() <= 300


def test_a_line_of_which_nobody_has_ever_claimed_is_crossed_too() -> None:
    """Cautiously at first, since they may only be late; then faster and faster."""
    crowd = Crowd(lambda place: 1.0 if place < 10_000 else 0.5)
    line = SimulatedLine(rules(10.0), crowd, line=LONG, seed=3)
    line.run(30)
    assert line.store.serving < 1200
    line.run(150)
    assert line.passes_between(120, 150) >= 0.95 * 300


def test_the_line_never_goes_back_and_never_beyond_its_end() -> None:
    """Also while people join, the controller changes, and the line runs empty."""
    crowd = Crowd(lambda _place: 0.5, joins_per_s=lambda now_s: 4.0 if now_s < 60 else 30.0)
    line = SimulatedLine(rules(10.0), crowd, line=50, seed=3)
    line.run(40)
    line.take_over()
    line.run(120)
    served = [one.serving for one in line.seconds]
    assert all(before <= after for before, after in pairwise(served))
    assert line.store.serving <= line.store.next
    assert line.passes_between(0, 60) > 100, "everyone who came was served, though few came"
    assert line.passes_between(80, 120) >= 0.95 * 400


def test_another_controller_goes_on_in_the_middle() -> None:
    """It knows nothing of the past but the totals: passes neither stop nor are claimants many."""
    line = SimulatedLine(rules(10.0), Crowd(delay_s=5.0), line=LONG, seed=3)
    line.run(80)
    line.take_over()
    line.run(141)
    assert line.passes_between(81, 141) >= 0.95 * 600
    assert line.waiting_max(80) <= 100


@pytest.mark.parametrize(("noshow", "delay_s"), [(0.95, 30.0), (0.8, 30.0)])
def test_late_people_in_a_line_that_was_just_taken_over_are_not_taken_for_gone(
    noshow: float, delay_s: float
) -> None:
    """Who was admitted by another controller is on the way, too."""
    line = SimulatedLine(rules(100.0), Crowd(lambda _place: noshow, delay_s), line=LONG, seed=1)
    line.run(180)
    assert line.waiting_max() <= 1000, "nor at the very start"
    line.take_over()
    line.run(241)
    assert line.passes_between(181, 241) >= 0.95 * 6000
    assert line.waiting_max(180) <= 2000


def test_a_fail_over_that_raised_serving_does_not_disturb() -> None:
    """`serving` skips ahead with it, past people who are admitted thereby: they come first."""
    line = SimulatedLine(rules(10.0), Crowd(), line=LONG, seed=3)
    line.run(60)
    line.store.serving += 1000
    line.fail_over()
    line.run(121)
    assert line.passes_between(61, 121) >= 0.95 * 600
    assert line.waiting_max(60) <= 300


def test_no_more_are_in_checkout_than_may_be() -> None:
    """And the places that become free are used: so many that hardly any is free."""
    line = SimulatedLine(rules(10.0, checkout_max=50), Crowd(checkout_s=20.0), line=LONG, seed=3)
    line.run(120)
    assert line.occupancy_max == 50
    assert line.passes_between(60, 120) >= 0.8 * 60 * 50 / 20
    assert line.waiting_max() <= 60, "who could not be served was not admitted either"


def test_a_tight_checkout_admits_only_as_many_as_leave_it() -> None:
    """People who need 10 s to come are on the way for what the checkout takes, not for the rate."""
    line = SimulatedLine(
        rules(10.0, checkout_max=20),
        Crowd(lambda _place: 0.0, delay_s=10.0, checkout_s=20.0),
        line=LONG,
        seed=3,
    )
    line.run(400)
    assert line.waiting_max(300) <= 40
    assert line.passes_between(300, 400) >= 0.8 * 100 * 20 / 20


def test_few_open_places_admit_few_until_all_are_sold() -> None:
    """At most half as many again as there are open places; nobody when none is left."""
    crowd = Crowd(lambda _place: 0.0, checkout_s=10.0, buys=2)
    line = SimulatedLine(rules(50.0), crowd, line=LONG, seed=3, places=100)
    line.run(120)
    assert line.open_places == 0
    assert line.occupancy_max <= 150
    assert line.seconds[-1].state == "sold-out"
    passes, serving = line.store.issued, line.store.serving
    line.run(150)
    assert line.store.issued == passes
    assert line.store.serving == serving
    line.open_places = 10
    line.run(155)
    assert line.seconds[-1].state == "running"
    assert passes < line.store.issued <= passes + 15
    line.run(260)
    assert line.open_places == 0


def test_a_last_place_does_not_wait_for_forgotten_passes() -> None:
    """Who has been in for longer than it takes to choose is not after what is open."""
    by, controller = rules(10.0, checkout_max=50, seek_s=5.0), Controller()
    earned = [
        _one_tick(
            by,
            controller=controller,
            monotonic_s=100.0 + n / 5,
            answered_s=100.0 + n / 5,
            issued=9,
            occupancy=9,
            open_places=1,
        ).credit
        for n in range(40)
    ]
    assert sum(earned[:25]) == 0.0
    assert sum(earned[25:]) > 0.0


def test_one_is_admitted_for_a_last_place() -> None:
    """However small the factor is: something is open."""
    step = _one_tick(rules(inventory_factor=0.1), open_places=1)
    assert step.stock_max == 1.0


def test_a_pause_stops_passes_and_the_line_at_once() -> None:
    """Also those that were in stock; afterwards it goes on without a burst beyond the bound."""
    line = SimulatedLine(rules(10.0), Crowd(), line=LONG, seed=3)
    line.run(30)
    line.rules = rules(10.0, paused=True)
    line.run(31)
    serving, issued = line.store.serving, line.store.issued
    line.run(60)
    assert (line.store.serving, line.store.issued) == (serving, issued)
    assert line.seconds[-1].state == "paused"
    line.rules = rules(10.0)
    line.run(120)
    assert line.passes_between(65, 120) >= 0.95 * 550
    assert worst_excess(line.issued_at[-900:], line.rates) <= default_burst(10.0)


def test_a_slow_store_gets_fewer_passes_and_all_again_when_it_is_fast() -> None:
    """Additive increase, multiplicative decrease, down to a tenth."""
    line = SimulatedLine(rules(10.0), Crowd(), line=LONG, seed=3)
    line.run(30)
    line.latency_s = 0.3
    line.run(60)
    assert line.last is not None
    assert line.last.rate == pytest.approx(1.0)
    assert line.passes_between(50, 60) < 30
    line.latency_s = 0.003
    line.run(90)
    assert line.last.rate == pytest.approx(10.0)
    line.run(120)
    assert line.passes_between(90, 120) >= 0.95 * 300


def test_one_slow_answer_changes_nothing() -> None:
    """A single pause of the store is no overload."""
    controller, now_s = Controller(), 100.0
    for slow in (False, False, True, False, False, False):
        now_s += 0.2
        step = _one_tick(
            rules(latency_target_ms=100.0),
            controller=controller,
            monotonic_s=now_s,
            answered_s=now_s - 0.1,
            latency_ms=400.0 if slow else 5.0,
        )
        assert step.rate == 10.0


def test_the_safety_net_engages_above_its_threshold_and_lets_go_late() -> None:
    """Nobody waits while few come; everyone does from 2 s of many on, until 30 s of few."""

    def joins(now_s: float) -> float:
        return 60.0 if 20 <= now_s < 40 else 5.0

    line = SimulatedLine(
        rules(10.0, safety_net_joins_per_s=20.0), Crowd(joins_per_s=joins), line=0, seed=3
    )
    line.run(20)
    assert {one.state for one in line.seconds[1:]} == {"passthrough"}
    assert line.store.serving >= line.store.next - 3
    assert line.last is not None
    assert line.last.serving <= line.store.next
    line.run(23)
    assert line.seconds[-1].state == "running"
    line.run(60)
    assert {one.state for one in line.seconds[23:]} == {"running"}
    line.run(400)
    assert line.seconds[-1].state == "passthrough"
    back_s = next(one.at_s for one in line.seconds[40:] if one.state == "passthrough")
    assert back_s >= 40 + 30


def test_claimants_who_pile_up_engage_the_safety_net() -> None:
    """Few join, but the checkout is full."""
    line = SimulatedLine(
        rules(10.0, safety_net_joins_per_s=10.0, checkout_max=5),
        Crowd(lambda _place: 0.0, checkout_s=100.0, joins_per_s=lambda _now_s: 9.0),
        line=0,
        seed=3,
    )
    line.run(30)
    assert line.seconds[-1].state == "running"
    assert line.waiting_max() <= 80


def test_the_pace_is_a_range_that_holds_what_was_measured() -> None:
    """None before that; and a line that runs empty does not count as slow."""
    line = SimulatedLine(rules(10.0), Crowd(), line=6000, seed=3)
    line.run(15)
    assert line.last is not None
    assert line.last.pace is None
    line.run(100)
    pace = line.last.pace
    assert pace is not None
    assert 30 <= pace.slow <= 50 <= pace.fast <= 75
    line.run(300)
    assert line.store.serving == line.store.next
    assert line.last.pace is not None
    assert line.last.pace.slow >= 30


def test_people_are_counted_without_the_numbers_that_nobody_has() -> None:
    """Ranges hold their first number, not their last."""
    skipped = [(10, 20), (30, 40)]
    assert people_between(0, 50, skipped) == 30
    assert people_between(15, 35, skipped) == 10
    assert people_between(20, 20, skipped) == 0


@pytest.mark.parametrize(
    ("serving", "people", "place"),
    [(0, 5, 5), (0, 10, 20), (0, 12, 22), (15, 0, 20), (25, 5, 40), (5, 100, 45), (45, 3, 45)],
)
def test_the_line_moves_by_people(serving: int, people: int, place: int) -> None:
    """It passes numbers that nobody has as if they were not there, up to its end."""
    assert move_on(serving, people, 45, [(30, 40), (10, 20)]) == place


@given(
    st.integers(0, 60),
    st.integers(0, 60),
    st.lists(st.integers(0, 60), max_size=8, unique=True).map(sorted),
)
def test_moving_on_admits_so_many_people(serving: int, people: int, edges: list[int]) -> None:
    """No more than there are, wherever the gaps lie."""
    skipped = list(zip(edges[::2], edges[1::2], strict=False))
    place = move_on(serving, people, 60, skipped)
    left = people_between(serving, 60, skipped)
    assert people_between(serving, place, skipped) == min(people, left)
    assert serving <= place <= 60


def test_a_trace_remembers_some_minutes_and_no_more() -> None:
    """It is bounded, however long the line is steered."""
    trace = Trace()
    for tick in range(20_000):
        trace.add(tick * 0.2, tick * 2.0)
    assert trace.at(20_000 * 0.2 - 100) == pytest.approx(39_000.0, abs=4)
    assert trace.reached(39_000.0) == pytest.approx(3900.0, abs=1)
    assert trace.reached(34_000.0) is None


@pytest.mark.parametrize(
    "wrong", [{"rate": 0.0}, {"burst": 1.0}, {"safety_net_joins_per_s": 0.0}, {"rate": -1.0}]
)
def test_rules_that_could_never_issue_a_pass_are_refused(wrong: dict[str, float]) -> None:
    """They would look like a line that stands still for no reason."""
    with pytest.raises(ValueError, match="must be"):
        rules(**wrong)


def _one_tick(by: Rules, *, controller: Controller | None = None, **other: float) -> Step:
    seen = {
        "monotonic_s": 100.0,
        "answered_s": 100.0,
        "next": 1000,
        "serving": 0,
        "stock": 0.0,
        "issued": 0,
        "occupancy": 0,
        "waiting": 0,
        "claims": 0,
        "lag": 0,
        "open_places": 1000,
        "held_places": 0,
        "latency_ms": 1.0,
        **other,
    }
    steerer = controller or Controller()
    return steerer.tick(by, Observation(**seen))  # pyright: ignore[reportArgumentType]


def test_a_show_that_is_sold_out_is_told_from_one_whose_last_places_are_held() -> None:
    """Held places may come back: the line waits for them."""
    assert _one_tick(rules(), open_places=0).state is AdmissionState.SOLD_OUT
    assert _one_tick(rules(), open_places=0, held_places=1).state is AdmissionState.RUNNING
    assert _one_tick(rules(), open_places=0, held_places=1).stock_max == 0.0
