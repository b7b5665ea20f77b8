"""How many of a line are admitted, and how many passes may be issued: the controller's decisions.

Nothing here reads a clock or a store: a worker observes, asks, and carries the step out, several
times a second. The rate bounds passes (`engine/waitingroom/credit.py`); how far the line moves on
follows from the people in it (`engine/waitingroom/line.py`). The reasons: decision 27.
"""

from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from math import ceil, sqrt
from typing import Final

from msgspec import Struct

from engine.waitingroom.credit import BURST_MIN, CreditClock, bucket_of
from engine.waitingroom.line import Line, Range, Trace, move_on
from engine.waitingroom.pace import Pace, PaceMeter

_FACTOR_MIN: Final = 0.1
_FACTOR_DOWN: Final = 0.7
_FACTOR_DOWN_EACH_S: Final = 1.0
_FACTOR_UP_PER_S: Final = 0.05
_LATENCY_MEMORY_S: Final = 1.0
_FLOW_MEMORY_S: Final = 10.0
_FLOW_MIN: Final = 0.02
_HURRY: Final = 3.0
_EXPOSED_S: Final = 20.0
_EXPOSED_MIN: Final = 20.0
_HEARD_S: Final = 40.0
_BEYOND_DOUBLES_S: Final = 10.0
_BEYOND_DOUBLINGS_MAX: Final = 4.0
_JOINS_S: Final = 2.0
_PILE_S: Final = 5.0
_CALM_S: Final = 30.0


class AdmissionState(StrEnum):
    """What the line is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    PASSTHROUGH = "passthrough"
    SOLD_OUT = "sold-out"


class Rules(Struct, frozen=True, kw_only=True):
    """What the reseller has set; it may change from one tick to the next.

    Raises:
        ValueError: a rate that is not above 0, or a burst below `BURST_MIN`.
    """

    rate: float
    checkout_max: int
    burst: float | None = None
    paused: bool = False
    safety_net_joins_per_s: float | None = None
    inventory_factor: float = 1.5
    """How many are let in for each place that is open, less those who came within `seek_s`."""
    seek_s: float = 60.0
    """How long people look for places once they are in."""
    latency_target_ms: float = 50.0

    def __post_init__(self) -> None:
        """Refuse what could never issue a pass."""
        joins_per_s = self.safety_net_joins_per_s
        if not self.rate > 0 or (joins_per_s is not None and not joins_per_s > 0):
            msg = "a rate must be above 0"
            raise ValueError(msg)
        if self.burst is not None and not self.burst >= BURST_MIN:
            msg = f"a burst must be at least {BURST_MIN}"
            raise ValueError(msg)


class Observation(Struct, frozen=True, kw_only=True):
    """What is seen when a step is made; but for the clock, the answer to the step before."""

    monotonic_s: float
    """Now, read before the step is sent."""
    answered_s: float
    """When the answer to the step before was there, by the same clock."""
    next: int
    serving: int
    stock: float
    issued: int
    """Passes so far."""
    occupancy: int
    waiting: int
    """Claimants who were told to wait for a pass."""
    claims: int
    """First claims so far."""
    lag: int
    """The sum, over the first claims, of how far `serving` was beyond their place by then."""
    open_places: int
    held_places: int
    latency_ms: float
    skipped: Sequence[Range] = ()
    """Numbers that nobody has; those that are behind `serving` for a while may be left out."""


class Step(Struct, frozen=True, kw_only=True):
    """What the store is to be told."""

    credit: float
    stock_max: float
    """What is in stock beyond it is taken away."""
    serving: int
    state: AdmissionState
    rate: float
    """Passes a second that are allowed at the moment."""
    pace: Pace | None


class Controller:
    """Steers one line; a new one for each lease."""

    def __init__(self) -> None:
        """Know nothing: the first step brings no credit."""
        self._clock = CreditClock()
        self.line = Line()
        """What is measured of the people in it."""
        self._net = _SafetyNet()
        self._throttle = _Throttle()
        self._pace = PaceMeter()
        self._flow: float | None = None
        self._allowance = 0.0
        self._before_s: float | None = None
        self._issued = Trace()
        self._began_s: float | None = None

    def forget_credit(self) -> None:
        """Pay for no time until a step is answered: call it when one was not."""
        self._clock.forget()

    def tick(self, rules: Rules, seen: Observation) -> Step:
        """Decide the next step.

        A step must be answered before the next one is decided, or `forget_credit` be called; and
        the store must never execute a step after a later one.
        """
        now_s = seen.monotonic_s
        passed_s = 0.0 if self._before_s is None else max(0.0, now_s - self._before_s)
        self._before_s = now_s
        state = self._state_of(rules, seen)
        rate = rules.rate
        if state is AdmissionState.PASSTHROUGH and rules.safety_net_joins_per_s is not None:
            rate = rules.safety_net_joins_per_s
        bucket = bucket_of(rate, rules.burst)
        earned = self._clock.earn(bucket, now_s, seen.answered_s)
        factor = self._throttle.factor(seen.latency_ms, rules.latency_target_ms, passed_s)
        self.line.observe(
            now_s,
            serving=seen.serving,
            claims=seen.claims,
            lag=seen.lag,
            skipped=seen.skipped,
            rate=rate,
        )
        stock_max, credit = 0.0, 0.0
        if state in {AdmissionState.RUNNING, AdmissionState.PASSTHROUGH}:
            free = float(max(0, self._free_places(rules, seen)))
            stock_max = min(bucket.stock_max, free)
            room = max(0.0, free - seen.stock)
            credit = min(earned * factor, room)
            self._measure_flow(room, rate * factor, passed_s)
        serving = self._serve(state, seen, rate * factor, passed_s)
        self._pace.observe(
            now_s,
            self.line.admitted,
            is_moving=state is AdmissionState.RUNNING and serving < seen.next,
        )
        return Step(
            credit=credit,
            stock_max=stock_max,
            serving=serving,
            state=state,
            rate=rate * factor if stock_max else 0.0,
            pace=self._pace.quantiles(),
        )

    def _free_places(self, rules: Rules, seen: Observation) -> int:
        """Return how many more may be in checkout, by its size and by what is open.

        Who has been in for a while holds places, or has gone and left a pass: only newcomers are
        after what is open. A last seat must not wait for forgotten passes to end.
        """
        now_s = seen.monotonic_s
        self._issued.add(now_s, seen.issued)
        self._began_s = now_s if self._began_s is None else self._began_s
        seekers = seen.occupancy
        if now_s - self._began_s >= rules.seek_s:
            seekers = min(seekers, ceil(seen.issued - self._issued.at(now_s - rules.seek_s)))
        wanted = ceil(seen.open_places * rules.inventory_factor) - seekers
        return min(rules.checkout_max - seen.occupancy, wanted)

    def _state_of(self, rules: Rules, seen: Observation) -> AdmissionState:
        passes_through = self._net.passes_through(rules.safety_net_joins_per_s, seen)
        if rules.paused:
            return AdmissionState.PAUSED
        if seen.open_places == 0 and seen.held_places == 0:
            return AdmissionState.SOLD_OUT
        return AdmissionState.PASSTHROUGH if passes_through else AdmissionState.RUNNING

    def _measure_flow(self, room: float, rate: float, passed_s: float) -> None:
        """Follow how fast passes can be issued: the rate, or as places in checkout become free."""
        if self._flow is None:
            self._flow = rate
        elif passed_s:
            weight = min(1.0, passed_s / _FLOW_MEMORY_S)
            self._flow += (min(rate, room / passed_s) - self._flow) * weight
        self._flow = min(rate, max(_FLOW_MIN * rate, self._flow))

    def _serve(self, state: AdmissionState, seen: Observation, rate: float, passed_s: float) -> int:
        if state is AdmissionState.PASSTHROUGH:
            return max(seen.serving, seen.next)
        if state is not AdmissionState.RUNNING:
            return seen.serving
        line = self.line
        flow = rate if self._flow is None else self._flow
        share = line.share
        wanted = _waiting_wanted(flow, line.delay_s)
        hurry = self._hurry(rate) if seen.waiting < wanted / 4 else 1.0
        on_the_way = line.on_the_way(seen.monotonic_s) / hurry
        level = flow * line.delay_s + wanted
        missing = (level - seen.waiting + seen.stock - on_the_way) * hurry / share
        speed = _HURRY * rate * hurry / share
        self._allowance = min(self._allowance + speed * passed_s, max(1.0, speed))
        people = max(0, int(min(missing, self._allowance)))
        self._allowance -= people
        return move_on(seen.serving, people, seen.next, seen.skipped)

    def _hurry(self, rate: float) -> float:
        """Return how much faster to go while nobody claims; it ends with the first claim."""
        line = self.line
        if not line.silent_s:
            return 1.0
        exposed_s = _EXPOSED_S + _EXPOSED_MIN / rate
        # Nobody claims so late that it would take longer to hear of them: go beyond the bound.
        beyond = max(0.0, line.silent_s - _HEARD_S) / _BEYOND_DOUBLES_S
        most = exposed_s / (line.delay_s + 0.5) * 2.0 ** min(beyond, _BEYOND_DOUBLINGS_MAX)
        doublings = min(line.silent_s / max(0.5, line.delay_s / 2), 30.0)
        return max(1.0, min(most, 2.0**doublings))


def _waiting_wanted(flow: float, delay_s: float) -> float:
    """Return how many claimants should wait, so that none is missing when a pass is free."""
    return 1 + 2 * flow + 2 * sqrt(flow * (delay_s + 1))


class _Throttle:
    """Additive increase, multiplicative decrease (Chiu and Jain, 1989), by the store's latency."""

    def __init__(self) -> None:
        self._factor = 1.0
        self._latency_ms: float | None = None
        self._since_decrease_s = _FACTOR_DOWN_EACH_S

    def factor(self, latency_ms: float, target_ms: float, passed_s: float) -> float:
        """Learn of a round trip; return the part of the rate that is allowed."""
        if self._latency_ms is None:
            self._latency_ms = min(latency_ms, target_ms)
        weight = min(0.5, passed_s / _LATENCY_MEMORY_S)
        self._latency_ms += (min(latency_ms, 4 * target_ms) - self._latency_ms) * weight
        self._since_decrease_s += passed_s
        if self._latency_ms <= target_ms:
            self._factor = min(1.0, self._factor + _FACTOR_UP_PER_S * passed_s)
        elif self._since_decrease_s >= _FACTOR_DOWN_EACH_S:
            self._factor = max(_FACTOR_MIN, self._factor * _FACTOR_DOWN)
            self._since_decrease_s = 0.0
        return self._factor


class _SafetyNet:
    """Lets everyone pass until too many come, and again when it has long been calm."""

    def __init__(self) -> None:
        self._joins: deque[tuple[float, int]] = deque(maxlen=64)
        self._engaged = False
        self._calm_since_s: float | None = None

    def passes_through(self, joins_per_s_max: float | None, seen: Observation) -> bool:
        """Return whether nobody has to wait."""
        now_s = seen.monotonic_s
        joins_per_s = self._joins_per_s(now_s, seen.next)
        if joins_per_s_max is None:
            return False
        too_many = joins_per_s > joins_per_s_max
        if too_many or seen.waiting > _PILE_S * joins_per_s_max:
            self._engaged, self._calm_since_s = True, None
            return False
        # Who came since the last step is no line yet.
        is_empty = seen.next - seen.serving <= 1 + joins_per_s and seen.waiting <= seen.stock
        if joins_per_s >= joins_per_s_max / 2 or not is_empty:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        elif now_s - self._calm_since_s >= _CALM_S:
            self._engaged = False
        return not self._engaged

    def _joins_per_s(self, now_s: float, numbers: int) -> float:
        joins = self._joins
        while len(joins) > 1 and joins[1][0] <= now_s - _JOINS_S:
            joins.popleft()
        joins.append((now_s, numbers))
        first_s, first = joins[0]
        return (numbers - first) / max(now_s - first_s, _JOINS_S)
