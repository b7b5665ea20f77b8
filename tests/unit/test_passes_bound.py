"""The bound on passes: whatever is late, lost, taken over or changed, and whenever people claim."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.waitingroom.admission import Controller, Observation, Rules, Step
from engine.waitingroom.credit import BURST_MIN, CreditClock, bucket_of, default_burst
from tests.model.simulated_line import Store, worst_excess

FREE = 10**9


def rules(rate: float, burst: float | None) -> Rules:
    """Make rules that limit nothing but the rate."""
    return Rules(rate=rate, burst=burst, checkout_max=FREE)


class Room:
    """A store and the controllers that steer it, where anything may be late or lost."""

    def __init__(self, rate: float, burst: float | None) -> None:
        """Begin with an empty stock and a line without an end."""
        self.now_s = 0.0
        self.rules = rules(rate, burst)
        self.store = Store(next=FREE)
        self.controller = Controller()
        self.answered_s = 0.0
        self.under_way: Step | None = None
        self.issued_at: list[float] = []
        self.rates: list[tuple[float, float]] = [(0.0, rate)]
        self.bursts = {default_burst(rate) if burst is None else burst}

    def tick(self, there_s: float, back_s: float, fate: str, meanwhile: int = 0) -> None:
        """Take a step; it is answered, or its answer is lost, or it is executed late or never."""
        self.rates.append((self.now_s, self.rules.rate))
        step = self.controller.tick(self.rules, self._see())
        self.now_s += there_s
        if fate in {"late", "never"}:
            self.controller.forget_credit()
            self.under_way = step if fate == "late" else None
            return
        self.claim(meanwhile)
        self.land()
        self.store.steer(step)
        self.now_s += back_s
        self.answered_s = self.now_s
        if fate == "unanswered":
            self.controller.forget_credit()

    def land(self) -> None:
        """Let a step that is still under way be executed: never after a later one."""
        if self.under_way is not None:
            self.store.steer(self.under_way)
            self.under_way = None

    def claim(self, passes: int) -> None:
        """Take passes out of the stock, as many as there are."""
        for _ in range(min(passes, int(self.store.stock))):
            self.store.stock -= 1
            self.store.issued += 1
            self.issued_at.append(self.now_s)

    def set_rules(self, rate: float, burst: float | None) -> None:
        """Change the rules: the next tick goes by them."""
        self.rules = rules(rate, burst)
        self.bursts.add(default_burst(rate) if burst is None else burst)

    def _see(self) -> Observation:
        return Observation(
            monotonic_s=self.now_s,
            answered_s=self.answered_s,
            next=FREE,
            serving=self.store.serving,
            stock=self.store.stock,
            issued=self.store.issued,
            occupancy=0,
            waiting=0,
            claims=self.store.issued,
            lag=0,
            open_places=FREE,
            held_places=0,
            latency_ms=1.0,
        )


moments = st.floats(0.0, 0.4) | st.floats(0.0, 12.0) | st.sampled_from((0.0, 0.2, 0.5))
bursts = st.none() | st.floats(BURST_MIN, 40.0)
speeds = st.floats(0.5, 30.0)
fates = st.sampled_from(("answered", "answered", "answered", "unanswered", "late", "never"))
actions = st.one_of(
    st.tuples(st.just("pass time"), moments),
    st.tuples(st.just("tick"), moments, moments, fates, st.integers(0, 60)),
    st.tuples(st.just("tick"), st.just(0.0), st.just(0.0), st.just("answered"), st.just(0)),
    st.tuples(st.just("claim"), st.integers(1, 60)),
    st.tuples(st.just("land")),
    st.tuples(st.just("take over")),
    st.tuples(st.just("fail over")),
    st.tuples(st.just("set"), speeds, bursts),
)


@settings(max_examples=400, deadline=None)
@given(speeds, bursts, st.lists(actions, max_size=60))
def test_no_window_has_more_passes_than_rate_times_window_plus_burst(
    rate: float, burst: float | None, story: list[tuple[object, ...]]
) -> None:
    """Whatever is late, lost, taken over or changed, and whenever people claim."""
    room = Room(rate, burst)
    for name, *arguments in story:
        _play(room, str(name), arguments)
    assert worst_excess(room.issued_at, room.rates) <= max(room.bursts) + 1e-6


def _play(room: Room, name: str, arguments: list[object]) -> None:
    match name, arguments:
        case "pass time", [float(passed_s)]:
            room.now_s += passed_s
        case "tick", [float(there_s), float(back_s), str(fate), int(meanwhile)]:
            room.tick(there_s, back_s, fate, meanwhile)
        case "claim", [int(passes)]:
            room.claim(passes)
        case "land", []:
            room.land()
        case "take over", []:
            room.controller = Controller()
        case "fail over", []:
            room.store.stock = 0.0
            room.under_way = None
            room.controller = Controller()
        case "set", [float(rate), float() | None as burst]:
            room.set_rules(rate, burst)
        case _:
            pytest.fail(f"nothing is called {name}")


def test_a_full_stock_after_a_late_step_does_not_exceed_the_burst() -> None:
    """A step that was 2 s under way pays, at its end, for no time that the next one pays for."""
    room = Room(10.0, 12.0)
    for _ in range(60):
        room.now_s += 0.2
        room.tick(0.0, 0.0, "answered")
    room.now_s += 0.2
    room.tick(2.0, 0.0, "answered", meanwhile=FREE)
    room.claim(FREE)
    room.tick(0.0, 0.0, "answered")
    room.claim(FREE)
    assert len(room.issued_at) == 12
    assert worst_excess(room.issued_at, room.rates) <= 12.0


def test_a_rate_that_changes_all_the_time_is_no_way_around_the_bound() -> None:
    """The time between two steps is paid for at the lower of their rates."""
    room = Room(5.0, 12.0)
    for tick in range(200):
        room.now_s += 0.1 if tick % 2 else 0.3
        room.set_rules(5.0 if tick % 2 else 30.0, 12.0)
        room.tick(0.0, 0.0, "answered")
        if tick > 60:
            room.claim(FREE)
    assert worst_excess(room.issued_at, room.rates) <= 12.0


def test_a_higher_rate_does_not_add_to_a_fuller_stock() -> None:
    """More may be on the way by the new rules, more lie in stock by the old ones."""
    room = Room(2.0, 12.0)
    for _ in range(60):
        room.now_s += 0.5
        room.tick(0.0, 0.0, "answered")
    room.now_s += 0.5
    room.set_rules(30.0, 12.0)
    room.tick(2.0, 0.0, "answered", meanwhile=FREE)
    room.claim(FREE)
    room.tick(0.0, 0.0, "answered")
    room.claim(FREE)
    assert worst_excess(room.issued_at[1:], room.rates) <= 12.0


def test_a_step_that_was_not_answered_is_not_paid_for_twice() -> None:
    """Its credit may come late; the time that it paid for, and all until an answer, is lost."""
    room = Room(10.0, 6.0)
    for _ in range(60):
        room.now_s += 0.2
        room.tick(0.0, 0.0, "answered")
    room.now_s += 0.5
    room.tick(0.0, 0.0, "late")
    room.now_s += 3.0
    room.claim(FREE)
    room.land()
    room.tick(0.0, 0.0, "answered")
    room.claim(FREE)
    room.tick(0.0, 0.0, "answered")
    room.claim(FREE)
    assert len(room.issued_at) >= 4
    assert worst_excess(room.issued_at, room.rates) <= 6.0


def test_the_bound_is_nearly_reached() -> None:
    """So that the tests of the bound could fail: burst and rate can be used up."""
    room = Room(10.0, None)
    for _ in range(100):
        room.now_s += 0.2
        room.tick(0.0, 0.0, "answered")
    for _ in range(100):
        room.claim(FREE)
        room.now_s += 0.2
        room.tick(0.0, 0.0, "answered")
    assert default_burst(10.0) - 7 < worst_excess(room.issued_at, room.rates)
    assert worst_excess(room.issued_at, room.rates) <= default_burst(10.0)


def test_a_clock_that_goes_back_brings_no_credit() -> None:
    """A monotonic clock does not; but if it did, nothing would be paid for twice."""
    clock, bucket = CreditClock(), bucket_of(10.0, None)
    clock.earn(bucket, 100.0, 100.0)
    assert clock.earn(bucket, 100.2, 100.1) == pytest.approx(1.0)
    assert clock.earn(bucket, 90.0, 100.3) == 0.0
    assert clock.earn(bucket, 100.4, 100.3) <= 2.0 + 1e-9
