"""`fairness`: one reseller's steady holds while another floods the same process, beside none.

One API worker on one core. The steady one sends holds at a set rate over a few connections; in
turns with that it does so alone. The flood is ten times what a process works at best with: 2 560
connections, each sends its next hold the moment it is answered, whatever the answer. Both sell
shows of their own. The value is the p99 of the steady one's answers; what counts too is the share
of its holds that were held. A flood that ended too early fails the measurement.
"""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from itertools import cycle, islice
from statistics import median
from typing import Any, Final

from msgspec import Struct

from loadtests.bench.course import CONNECTIONS, Course, OpenShow, open_course
from loadtests.bench.http_bench import FULL, BenchError, HttpBench
from loadtests.bench.measurement import Figure, alternate
from loadtests.generator import Load, LoadResult, write_requests
from loadtests.generator.choosing import PythonGenerator

P99_RATIO_MOST: Final = 3.0
ANSWERED_RATIO_LEAST: Final = 0.9
FLOOD_TIMES: Final = 10

_STARTING_S: Final = 2.0
_LONGER_S: Final = 4
_SETTLE_S: Final = 1.5
"""Longer than the process remembers who had work."""


class Sizes(Struct, frozen=True, kw_only=True):
    """How much is sent."""

    steady_per_s: float
    steady_connections: int = 8
    flood_connections: int = FLOOD_TIMES * CONNECTIONS
    flood_requests: int
    seconds: int


_FULL: Final = Sizes(steady_per_s=200, flood_requests=150_000, seconds=5)
_QUICK: Final = Sizes(steady_per_s=50, flood_connections=128, flood_requests=80_000, seconds=2)


class _Steady(Struct, frozen=True):
    """What became of the steady holds of one run."""

    held: int
    asked: int
    p50_ms: float
    p99_ms: float


def measure(bench: HttpBench, sizes: Sizes | None = None) -> Figure:
    """Return the p99 of the steady one's answers, beside what it is without a flood.

    Raises:
        BenchError: the flood ended too early, or nothing was held.
    """
    sizes = sizes or (_FULL if bench.size == FULL else _QUICK)
    with open_course(bench) as course:
        fight = _Fight(bench, course, sizes)
        rounds = alternate(bench.rounds, fight.flooded, fight.alone)
        course.audit()
    with_flood, alone = fight.told("flooded"), fight.told("alone")
    p99_ratio = with_flood["p99_ms"] / alone["p99_ms"]
    answered_ratio = with_flood["held_share"] / alone["held_share"]
    return Figure(
        name="fairness",
        value=with_flood["p99_ms"],
        unit="ms p99",
        control=alone["p99_ms"],
        control_unit="ms p99",
        ratio=round(p99_ratio, 3),
        target=f"at most {P99_RATIO_MOST:g} times; {ANSWERED_RATIO_LEAST:g} of its holds",
        met=p99_ratio <= P99_RATIO_MOST and answered_ratio >= ANSWERED_RATIO_LEAST,
        rounds=[(round(value, 2), round(control, 2)) for value, control in rounds.pairs],
        details={
            "p99_ratio": round(p99_ratio, 3),
            "answered_ratio": round(answered_ratio, 3),
            "flooded": with_flood,
            "alone": alone,
            "flood": fight.flood_told(),
            "generator": bench.generator.name,
        },
        settings={"cores": bench.cores, "sizes": sizes},
    )


class _Fight:
    """Two resellers at one process."""

    def __init__(self, bench: HttpBench, course: Course, sizes: Sizes) -> None:
        self._bench = bench
        self._course = course
        self._sizes = sizes
        self._steady_show = course.open_show()
        self._seats = iter(self._steady_show.pairs)
        self._flood_show = course.open_show(api_key=course.site.new_key("Flood"))
        self._runs: dict[str, list[_Steady]] = {"alone": [], "flooded": []}
        self._floods: list[LoadResult] = []
        self._flooded = 0
        course.pin()
        self._warm_up()

    def alone(self, _: int) -> float:
        """Send the steady holds by themselves; return their p99 in ms."""
        return self._run("alone")

    def flooded(self, _: int) -> float:
        """Send them amid the flood; return their p99 in ms."""
        with self._flooding():
            return self._run("flooded")

    def told(self, kind: str) -> dict[str, float]:
        """Return the medians of all runs of one kind."""
        runs = self._runs[kind]
        return {
            "held_share": round(median(run.held / run.asked for run in runs), 4),
            "p50_ms": round(median(run.p50_ms for run in runs), 2),
            "p99_ms": round(median(run.p99_ms for run in runs), 2),
        }

    def flood_told(self) -> dict[str, Any]:
        """Return what came of the flood, a second."""
        wall_s = sum(flood.wall_s for flood in self._floods)
        statuses: dict[int, int] = {}
        for flood in self._floods:
            for status, count in flood.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
        return {str(status): round(count / wall_s) for status, count in sorted(statuses.items())}

    def _run(self, kind: str) -> float:
        run = self._hold()
        self._runs[kind].append(run)
        self._bench.say(f"{kind}: {run.held} of {run.asked} held, p99 {run.p99_ms:.1f} ms")
        time.sleep(_SETTLE_S)
        return run.p99_ms

    def _warm_up(self) -> None:
        for _ in range(2):
            self._hold()

    def _hold(self) -> _Steady:
        sizes = self._sizes
        asked = int(sizes.steady_per_s * sizes.seconds)
        result = self._send(
            self._steady_show,
            list(islice(self._seats, asked)),
            connections=sizes.steady_connections,
            requests_per_s=sizes.steady_per_s,
            seconds_max=sizes.seconds + 1,
        )
        held = result.statuses.get(HTTPStatus.CREATED, 0)
        if not held:
            msg = f"nothing was held: {result.statuses}, {result.failures}"
            raise BenchError(msg)
        return _Steady(held, asked, result.p50_ms, result.p99_ms)

    @contextmanager
    def _flooding(self) -> Generator[None]:
        """Flood from before the block until after it."""
        sizes = self._sizes
        first = self._flooded
        seats = list(islice(cycle(self._flood_show.pairs), first, first + sizes.flood_requests))
        with ThreadPoolExecutor(1) as thread:
            flooding = thread.submit(
                self._send,
                self._flood_show,
                seats,
                connections=sizes.flood_connections,
                seconds_max=sizes.seconds + _LONGER_S,
            )
            time.sleep(_STARTING_S)
            yield
            flood = flooding.result()
        if flood.whole:
            msg = f"the flood was over after {flood.wall_s:.1f} s: {flood.statuses}"
            raise BenchError(msg)
        self._floods.append(flood)
        self._flooded += flood.answered

    def _send(
        self,
        show: OpenShow,
        seats: list[list[str]],
        *,
        connections: int,
        seconds_max: int,
        requests_per_s: float = 0.0,
    ) -> LoadResult:
        is_flood = not requests_per_s
        file = self._course.folder / ("flood" if is_flood else "steady")
        write_requests(file, show.requests.holds(seats))
        generator = self._bench.generator if is_flood else PythonGenerator()
        return generator.send(
            Load(
                url=self._course.site.base_url,
                requests=file,
                connections=connections,
                seconds_max=seconds_max,
                cpus=self._bench.cores.others,
                requests_per_s=requests_per_s,
            )
        )
