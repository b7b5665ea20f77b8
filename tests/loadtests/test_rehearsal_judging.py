"""What a rehearsal judges by, tried on histories made by hand."""

import random
from io import StringIO
from itertools import pairwise

import pytest
from msgspec import structs
from rich.console import Console

from loadtests.auditor import AuditResult
from loadtests.buyers import Verdict
from loadtests.rehearsal.advice import HOLD_MIN_LEAST, advise
from loadtests.rehearsal.invariants import (
    PASSED_OVER_MAX,
    Sampled,
    Seen,
    judge,
    longest_stall,
    most_at_once,
    most_over,
    passed_over,
)
from loadtests.rehearsal.live_view import LiveView, bars_of, passes_a_second
from loadtests.rehearsal.looks import Look
from loadtests.rehearsal.people import Curve, Fate, Habits
from loadtests.rehearsal.plan import Plan
from loadtests.rehearsal.record import ISSUED, WAITED, Ask, Record, Turn
from loadtests.rehearsal.sale import Sale

_PLAN = Plan(
    people=1000,
    seats=100,
    clients=10,
    bots=1,
    habits=Habits(),
    speed=30.0,
    sell_out_min=30,
    asked_rate=20.0,  # 10 a second
    asked_checkout_max=50,
)


def _look(at_s: float, issued: int = 0, *, live: int = 0, opened: int = 100, **more: str) -> Look:
    return Look(
        at_s=at_s,
        state=more.get("state", "running"),
        next=100,
        serving=50,
        stock=0.0,
        issued=issued,
        rate=10.0,
        live=live,
        claiming=0,
        open=opened,
        held=0,
        sold=0,
    )


def _turn(place: int, *asks: tuple[float, str], number: int | None = None) -> Turn:
    turn = Turn(place if number is None else number, place, Fate.BUYS)
    turn.asks = [Ask(sent_s, sent_s + 0.01, outcome) for sent_s, outcome in asks]
    if asks and asks[-1][1] == ISSUED:
        turn.issued_s = asks[-1][0]
        turn.deadline_s = turn.issued_s + 60
        turn.ended_s = turn.issued_s + 5
    return turn


def _seen(**changes: object) -> Seen:
    record = Record()
    record.number(7)
    record.turns.append(_turn(7, (0.0, WAITED), (1.0, ISSUED)))
    seen = Seen(
        plan=_PLAN,
        record=record,
        samples=[Sampled(_look(0.0), 1), Sampled(_look(1.5, 1, live=1), 0)],
        verdict=Verdict(sold=100, double_sold=0, lost=0),
        audit=AuditResult(shows=1, rows=[], findings=[]),
        digest_is_right=True,
        all_served=True,
    )
    return structs.replace(seen, **changes)


def _broken(seen: Seen) -> list[str]:
    return [one.name for one in judge(seen) if not one.holds]


def test_a_clean_history_breaks_nothing() -> None:
    """The history that the other tests spoil is good."""
    assert _broken(_seen()) == []


def test_a_window_with_too_many_passes_is_found() -> None:
    """A burst at once is allowed, one more is not; what the rate gives meanwhile comes on top."""
    at_once = [1.0] * 20
    assert most_over(at_once, 10.0) == 20
    assert most_over([*at_once, 1.1], 10.0) == pytest.approx(20)
    assert most_over([*at_once, 1.05], 10.0) == pytest.approx(20.5)
    # The window that is too full begins amid the others.
    assert most_over([0.0, 5.0, 5.0, 5.0, 5.1], 10.0) == pytest.approx(3)


def test_a_rate_above_burst_is_broken() -> None:
    """21 passes at one moment, of 20 allowed."""
    seen = _seen()
    for place in range(100, 120):
        seen.record.turns.append(_turn(place, (1.0, ISSUED)))
    seen = structs.replace(seen, samples=[Sampled(_look(2.0, 21, live=21), 0)])
    assert _broken(seen) == ["the rate is never exceeded"]


def test_passes_that_overlap_beyond_the_cap_are_found() -> None:
    """By the answers alone, even if no look happened to see them; touching spans don't overlap."""
    assert most_at_once([(0, 2), (1, 3), (2, 4), (5, 5)]) == 2
    seen = _seen()
    for n in range(52):
        turn = _turn(100 + n, (2.0 + n / 10, ISSUED))
        turn.ended_s = 0.0  # it runs out after a minute
        seen.record.turns.append(turn)
    seen = structs.replace(seen, samples=[Sampled(_look(2.0, 53), 0)])
    assert _broken(seen) == ["checkout is never over its cap"]


def test_a_look_beyond_the_cap_is_found() -> None:
    """Also passes count whose owners never heard of them."""
    seen = _seen(samples=[Sampled(_look(0.0, 1, live=51), 0)])
    assert _broken(seen) == ["checkout is never over its cap"]


def test_a_lower_place_that_is_passed_over_again_and_again_is_found() -> None:
    """Between each two of its claims a higher place asked for and got its pass."""
    lower = _turn(5, *((float(n), WAITED) for n in range(PASSED_OVER_MAX + 2)))
    higher = [_turn(50 + n, (n + 0.5, ISSUED)) for n in range(PASSED_OVER_MAX + 1)]
    assert passed_over([lower, *higher]) == [(lower, PASSED_OVER_MAX + 1)]
    seen = _seen(samples=[Sampled(_look(0.0, PASSED_OVER_MAX + 2), 0)])
    seen.record.turns += [lower, *higher]
    assert _broken(seen) == ["lower places come first"]


def test_many_who_are_passed_over_once_are_found_too() -> None:
    """Of ten claims that wait again, four are too many and three are not."""
    for passed, broken in ((3, []), (4, ["lower places come first"])):
        seen = _seen(samples=[Sampled(_look(0.0, 11), 0)])
        for n in range(10):
            at_s = n * 10.0
            asks = (at_s, WAITED), (at_s + 1, WAITED)
            place = 1000 if n < passed else 1
            seen.record.turns += [_turn(500 + n, *asks), _turn(place + n, (at_s + 0.5, ISSUED))]
        assert _broken(seen) == broken


def test_passes_that_nobody_can_order_don_t_count() -> None:
    """Lower places, those asked for before the claim was answered, and one's own."""
    waiting = _turn(5, (0.0, WAITED), (1.0, WAITED), (2.0, ISSUED))
    lower = _turn(4, (0.5, ISSUED))
    under_way = _turn(60, (0.005, ISSUED))
    late = _turn(61, (0.995, ISSUED))
    assert passed_over([waiting, lower, under_way, late]) == []


def test_standing_still_counts_only_while_people_wait_and_have_room() -> None:
    """Not when the queue is paused, empty, at its cap, or nothing is open."""
    still = [Sampled(_look(float(n)), 5) for n in range(9)]
    assert longest_stall(still, 50) == 8
    assert _broken(_seen(samples=[*still, Sampled(_look(8.5, 1), 0)])) == ["the line never stalls"]
    for look in (
        _look(4.0, state="paused"),
        _look(4.0, live=50),
        _look(4.0, opened=0),
        _look(4.0, issued=1),
    ):
        broken_up = [*still[:4], Sampled(look, 5), *still[5:]]
        assert longest_stall(broken_up, 50) <= 4
    assert longest_stall([*still[:4], Sampled(_look(4.0), 0), *still[5:]], 50) <= 4


def test_each_other_fault_is_named() -> None:
    """One history for each."""
    seen = _seen()
    seen.record.number(7)
    assert _broken(seen) == ["numbers are unique"]
    seen = _seen()
    seen.record.by_address["203.0.113.1"] = [0.0, *(n / 100 for n in range(60))]
    assert _broken(seen) == ["limits of joining hold"]
    seen = _seen()
    seen.record.by_identity["bot-1"] = {1, 2}
    assert _broken(seen) == ["limits of joining hold"]
    assert _broken(_seen(digest_is_right=False)) == ["places are as drawn"]
    seen = _seen()
    seen.record.places_wrong.append("entry 1")
    assert _broken(seen) == ["places are as drawn"]
    assert _broken(_seen(samples=[Sampled(_look(0.0, 2), 0)])) == ["every pass is accounted for"]
    seen = _seen()
    seen.record.held_without_pass = 1
    assert _broken(seen) == ["no hold without a pass"]
    unsold = Verdict(sold=99, double_sold=0, lost=0)
    assert _broken(_seen(verdict=unsold)) == []
    assert _broken(_seen(verdict=unsold, all_served=False)) == ["all is sold or all are served"]
    seen = _seen()
    seen.record.tally.error("500")
    assert _broken(seen) == ["answers are as documented"]
    lost = Verdict(sold=100, double_sold=0, lost=1)
    assert _broken(_seen(verdict=lost)) == ["the audit is clean"]


def test_an_address_may_have_its_burst_and_its_rate() -> None:
    """60 a minute at 30 times the speed: 30 a second, and 20 at once."""
    seen = _seen()
    seen.record.by_address["203.0.113.1"] = [0.0, *([1.0] * 50)]
    assert _broken(seen) == []
    seen.record.by_address["203.0.113.1"].append(1.0)
    assert _broken(seen) == ["limits of joining hold"]


def test_everybody_comes_most_before_the_sale_and_ever_more() -> None:
    """The curve rises to one, faster towards the sale, and peaks at its beginning."""
    curve = Curve(60.0, 90.0)
    arrived = [curve.arrived(float(minute)) for minute in range(91)]
    assert arrived[0] == 0
    assert arrived[60] == pytest.approx(0.65)
    assert arrived[90] == pytest.approx(1)
    assert curve.arrived(1000) == pytest.approx(1)
    steps = [after - before for before, after in pairwise(arrived)]
    assert steps[:60] == sorted(steps[:60])
    assert max(steps) == steps[60]
    assert min(steps) > 0


def test_fates_are_as_often_as_asked_for() -> None:
    """The share who abandon, and those who claim a pass nevertheless."""
    habits, luck = Habits(abandon=0.4), random.Random(1)  # noqa: S311 -- dice
    fates = [habits.fate(luck) for _ in range(20_000)]
    buying = sum(fate in {Fate.BUYS, Fate.PAYS_LATE} for fate in fates) / len(fates)
    claiming = sum(fate not in {Fate.NEVER_COMES, Fate.LEAVES_LINE} for fate in fates)
    assert buying == pytest.approx(0.6, abs=0.02)
    assert claiming / len(fates) == pytest.approx(habits.claiming, abs=0.02)
    tickets = [habits.quantity(luck) for _ in range(20_000)]
    assert sum(tickets) / len(tickets) == pytest.approx(habits.tickets, abs=0.05)
    assert set(tickets) <= set(range(1, 9))


def test_compressed_time_keeps_to_the_bounds_of_the_api() -> None:
    """A pass of twelve minutes and a hold of ten can't be less than a minute and half of one."""
    assert (_PLAN.pass_ttl_s, _PLAN.hold_ttl_s) == (60, 30)
    slower = structs.replace(_PLAN, speed=2.0)
    assert (slower.pass_ttl_s, slower.hold_ttl_s) == (360, 300)


def test_advice_follows_littles_law() -> None:
    """100 seats, 2 tickets a pass, 4 minutes in checkout, 20 minutes: 50 passes in 16 minutes."""
    plan = structs.replace(_PLAN, speed=60.0, sell_out_min=20, people=1000)
    record = Record()
    for n in range(50):
        turn = _turn(n, (float(n), ISSUED))
        turn.ended_s = turn.issued_s + 4  # seconds that are minutes
        turn.held_after_s, turn.paid_after_s, turn.tickets = 1.0, 3.9, 2
        record.turns.append(turn)
    advice = advise(plan, record)
    assert advice.tickets_per_pass == 2
    assert advice.passes_needed == 50
    assert advice.checkout_min == pytest.approx(4)
    assert advice.rate_per_minute == pytest.approx(50 / 16, abs=0.06)
    assert advice.expected_occupancy == pytest.approx(50 / 16 * 4, abs=0.1)
    assert advice.checkout_max == 24  # 12.5 and three deviations
    assert advice.hold_min == HOLD_MIN_LEAST
    assert advice.served_people == int(50 / plan.habits.claiming)


def test_advice_counts_passes_that_run_out_as_long_as_they_would() -> None:
    """Compressed time makes them longer than they are: a minute of the clock is an hour here."""
    plan = structs.replace(_PLAN, speed=60.0)
    record = Record()
    for n in range(10):
        turn = _turn(n, (float(n), ISSUED))
        turn.ended_s = 0.0
        record.turns.append(turn)
    advice = advise(plan, record)
    assert advice.checkout_min == advice.pass_ttl_min


def test_passes_a_second_are_those_of_the_last_moments() -> None:
    """10 a second, told from looks a quarter of a second apart."""
    looks = [_look(n / 4, round(n * 2.5)) for n in range(20)]
    assert passes_a_second(looks)[-1] == pytest.approx(10, rel=0.1)
    assert passes_a_second(looks)[0] == 0


def test_bars_show_the_largest_of_each_column() -> None:
    """A peak is not lost where a column stands for many values."""
    assert bars_of([0, 0, 8, 0], 2, 0.0) == " █"
    assert bars_of([4, 4], 10, 8.0) == "▄▄"


def test_a_terminal_sees_four_curves_and_a_file_sees_lines() -> None:
    """A line now and then has no control characters."""
    sale = Sale(_PLAN, "shw_dev_0000000000000001", "key", Record())
    samples = [Sampled(_look(n / 4, n), 5) for n in range(9)]
    for is_terminal in (True, False):
        told = StringIO()
        console = Console(file=told, force_terminal=is_terminal, width=120)
        with LiveView(console, _PLAN) as view:
            view(sale, samples)
        assert ("\x1b" in told.getvalue()) == is_terminal
        for part in ("in line", "in checkout", "sold", "running"):
            assert part in told.getvalue()
