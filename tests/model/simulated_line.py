"""A line of people before the waiting room, in time that is simulated, and the scripts as they are.

People join, look at the document, claim when their place is admitted (or walk away), come back
every second while they are told to wait, and stay in checkout for a while. `Store` is what
`serve_queue.lua` and `steer_queue.lua` keep and decide. Ticks come late, at random, and can be
stopped. Everything follows from a seed.
"""

import heapq
import random
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf

from engine.waitingroom.admission import Controller, Observation, Rules, Step

POLL_S = 1.0


@dataclass
class Store:
    """A show's line as the scripts keep it."""

    next: int = 0
    serving: int = 0
    stock: float = 0.0
    issued: int = 0
    occupancy: int = 0
    claims: int = 0
    lag: int = 0
    waiting: list[int] = field(default_factory=list[int])

    def steer(self, step: Step) -> None:
        """Do what `steer_queue.lua` does."""
        self.stock = min(step.stock_max, self.stock + step.credit)
        self.serving = max(self.serving, min(step.serving, self.next))

    def claim(self, place: int, occupancy_max: int, *, again: bool) -> bool:
        """Do what `serve_queue.lua` does for somebody who is admitted: is a pass issued?"""
        if not again:
            self.claims += 1
            self.lag += self.serving - place
        rank = bisect_left(self.waiting, place)
        if rank < int(self.stock) and self.occupancy < occupancy_max:
            if again:
                del self.waiting[rank]
            self.stock -= 1
            self.issued += 1
            self.occupancy += 1
            return True
        if not again:
            insort(self.waiting, place)
        return False


@dataclass
class Crowd:
    """How people behave."""

    noshow: Callable[[int], float] = lambda _place: 0.8
    """The chance that somebody at a place never claims."""
    delay_s: float = 0.5
    """How long after their admission the others do, on average."""
    checkout_s: float = 0.0
    """How long they stay in checkout, on average; 0.0: their pass ends at once."""
    buys: int = 0
    """Places that each of them takes."""
    joins_per_s: Callable[[float], float] = lambda _now_s: 0.0
    """How many come at a moment."""


@dataclass
class Second:
    """What is seen at the end of a second."""

    at_s: float
    serving: int
    issued: int
    waiting: int
    occupancy: int
    state: str
    share: float
    delay_s: float


class SimulatedLine:
    """Plays a line under a controller."""

    def __init__(
        self, rules: Rules, crowd: Crowd, *, line: int, seed: int = 1, places: int = 10**9
    ) -> None:
        """Begin with so many who wait, so many open places, and nobody admitted."""
        self.rules = rules
        self.crowd = crowd
        self.store = Store(next=line)
        self.controller = Controller()
        self.skipped: list[tuple[int, int]] = []
        self.open_places = places
        self.held_places = 0
        self.latency_s = 0.003
        self.tick_s = 0.2
        self.stops_until_s = -inf
        self.now_s = 0.0
        self.issued_at: list[float] = []
        self.issued_places: list[int] = []
        self.rates: list[tuple[float, float]] = []
        self.occupancy_max = 0
        self.seconds: list[Second] = []
        self.last: Step | None = None
        self._random = random.Random(seed)  # noqa: S311 - a simulation
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._seen_serving = 0
        self._joining = 0.0
        self._answered_s = 0.0
        self._seen: dict[str, float] = {}
        self._look()
        self.at(0.0, self._tick)
        self.at(1.0, self._second)
        self.at(0.0, self._join)

    def at(self, moment_s: float, act: Callable[[], None]) -> None:
        """Do something at a moment."""
        heapq.heappush(self._events, (moment_s, next(self._order), act))

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, act = heapq.heappop(self._events)
            act()
        self.now_s = until_s

    def take_over(self) -> None:
        """Let another controller steer from now on, which knows nothing of the past."""
        self.controller = Controller()

    def fail_over(self) -> None:
        """Let the store fail over: no stock is left, and another controller begins."""
        self.store.stock = 0.0
        self.take_over()

    def passes_between(self, begin_s: float, end_s: float) -> int:
        """Return how many were issued after a moment, up to another one."""
        return sum(begin_s < moment <= end_s for moment in self.issued_at)

    def waiting_max(self, begin_s: float = 0.0) -> int:
        """Return how many claimants waited at most at the end of a second."""
        return max(second.waiting for second in self.seconds if second.at_s > begin_s)

    def _tick(self) -> None:
        pause_s = self.tick_s * self._random.uniform(0.8, 1.3)
        if self.now_s < self.stops_until_s:
            self.at(self.stops_until_s, self._tick)
            return
        controller = self.controller
        step = controller.tick(self.rules, self._observation())
        there_s = self.latency_s * self._random.expovariate(1) / 2
        back_s = self.latency_s * self._random.expovariate(1) / 2
        sent_s = self.now_s
        self.rates.append((sent_s, self._set_rate(step)))

        def arrive() -> None:
            if controller is self.controller:  # else it is fenced
                self.store.steer(step)
                self._admit()
            self._look()
            self.at(self.now_s + back_s, answer)

        def answer() -> None:
            self._answered_s = self.now_s
            self._seen["latency_ms"] = (self.now_s - sent_s) * 1000
            self.last = step
            self.at(max(self.now_s, sent_s + pause_s), self._tick)

        self.at(sent_s + there_s, arrive)

    def _set_rate(self, step: Step) -> float:
        net = self.rules.safety_net_joins_per_s
        return net if step.state == "passthrough" and net is not None else self.rules.rate

    def _look(self) -> None:
        store = self.store
        self._seen = {
            **self._seen,
            "next": store.next,
            "serving": store.serving,
            "stock": store.stock,
            "issued": store.issued,
            "occupancy": store.occupancy,
            "waiting": len(store.waiting),
            "claims": store.claims,
            "lag": store.lag,
            "open_places": self.open_places,
            "held_places": self.held_places,
        }

    def _observation(self) -> Observation:
        seen = self._seen
        return Observation(
            monotonic_s=self.now_s,
            answered_s=self._answered_s,
            next=int(seen["next"]),
            serving=int(seen["serving"]),
            stock=seen["stock"],
            issued=int(seen["issued"]),
            occupancy=int(seen["occupancy"]),
            waiting=int(seen["waiting"]),
            claims=int(seen["claims"]),
            lag=int(seen["lag"]),
            open_places=int(seen["open_places"]),
            held_places=int(seen["held_places"]),
            latency_ms=seen.get("latency_ms", 0.0),
            skipped=self.skipped,
        )

    def _admit(self) -> None:
        """Let those who are admitted by now decide whether and when they claim."""
        begin, self._seen_serving = self._seen_serving, self.store.serving
        chance, delay_s = self._random.random, self.crowd.delay_s
        for place in range(begin, self.store.serving):
            if any(start <= place < stop for start, stop in self.skipped):
                continue
            if chance() >= self.crowd.noshow(place):
                comes_s = self.now_s + delay_s * self._random.uniform(0.5, 1.5)
                self.at(comes_s, lambda place=place: self._claim(place, again=False))

    def _claim(self, place: int, *, again: bool) -> None:
        crowd = self.crowd
        if not self.store.claim(place, self.rules.checkout_max, again=again):
            pause_s = POLL_S * self._random.uniform(0.8, 1.2)
            self.at(self.now_s + pause_s, lambda: self._claim(place, again=True))
            return
        self.issued_at.append(self.now_s)
        self.issued_places.append(place)
        self.occupancy_max = max(self.occupancy_max, self.store.occupancy)
        taken = min(crowd.buys, self.open_places)
        self.open_places -= taken
        self.held_places += taken

        def leave() -> None:
            self.store.occupancy -= 1
            self.held_places -= taken

        stay_s = self._random.expovariate(1 / crowd.checkout_s) if crowd.checkout_s else 0.0
        self.at(self.now_s + stay_s, leave)

    def _join(self) -> None:
        self._joining += self.crowd.joins_per_s(self.now_s) * 0.05
        people = int(self._joining)
        self._joining -= people
        self.store.next += people
        self.at(self.now_s + 0.05, self._join)

    def _second(self) -> None:
        store, step, line = self.store, self.last, self.controller.line
        self.seconds.append(
            Second(
                at_s=self.now_s,
                serving=store.serving,
                issued=store.issued,
                waiting=len(store.waiting),
                occupancy=store.occupancy,
                state=step.state if step else "",
                share=line.share,
                delay_s=line.delay_s,
            )
        )
        self.at(self.now_s + 1.0, self._second)


def worst_excess(issued_at: Sequence[float], rates: Sequence[tuple[float, float]]) -> float:
    """Return by how many passes the worst of all windows exceeds rate times window."""
    allowed = [_allowed_until(moment, rates) for moment in issued_at]
    return max(
        (
            last - first + 1 - (allowed[last] - allowed[first])
            for first in range(len(issued_at))
            for last in range(first, len(issued_at))
        ),
        default=0.0,
    )


def _allowed_until(moment: float, rates: Sequence[tuple[float, float]]) -> float:
    total = 0.0
    ends = [begin for begin, _ in rates[1:]] + [float("inf")]
    for (begin, rate), end in zip(rates, ends, strict=True):
        if begin < moment:
            total += rate * (min(end, moment) - begin)
    return total
