"""What the rounds of one side, value or control, took and cost."""

from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from msgspec import Struct

from loadtests.generator import LoadResult

GENERATOR: Final = "generator"
_BUSY: Final = 0.9
_WORTH_TELLING_S: Final = 0.005


class Run(Struct, frozen=True):
    """One measured run."""

    result: LoadResult
    units: int
    """What was counted: holds, orders."""
    cpu_s: Mapping[str, float]
    """By part, the generator among them."""

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.units / self.result.wall_s


class Spent:
    """All runs of one side."""

    def __init__(self) -> None:
        """Start with none."""
        self._runs: list[Run] = []

    def add(self, run: Run) -> None:
        """Count a run."""
        self._runs.append(run)

    def cpu_us(self, part: str) -> float:
        """Return the CPU time of a part for each unit; 0 where nobody can tell."""
        used = sum(run.cpu_s.get(part, 0.0) for run in self._runs)
        return used / sum(run.units for run in self._runs) * 1e6

    def told(self, server_part: str, other_cores: int) -> dict[str, Any]:
        """Return absolute figures: times, CPU seconds by part, and which core was the limit.

        `server_part` has a core of its own, all the rest shares `other_cores`; with none of these,
        nothing was pinned and no core can be named.
        """
        wall_s = sum(run.result.wall_s for run in self._runs)
        cpu_s: Counter[str] = Counter()
        for run in self._runs:
            cpu_s.update(run.cpu_s)
        worth_telling = {part: used for part, used in cpu_s.items() if used > _WORTH_TELLING_S}
        rest_s = sum(used for part, used in cpu_s.items() if part != server_part)
        busy = {
            "server": round(cpu_s[server_part] / wall_s, 2),
            "others": round(rest_s / wall_s / max(other_cores, 1), 2),
        }
        return {
            "rate": round(median(run.rate for run in self._runs), 1),
            "units": sum(run.units for run in self._runs),
            "answered": sum(run.result.answered for run in self._runs),
            "wall_s": round(wall_s, 3),
            "p50_ms": round(median(run.result.p50_ms for run in self._runs), 2),
            "p99_ms": round(median(run.result.p99_ms for run in self._runs), 2),
            "max_ms": round(max(run.result.max_ms for run in self._runs), 2),
            "cpu_s": {part: round(used, 2) for part, used in worth_telling.items()},
            "cpu_us_a_unit": {part: round(self.cpu_us(part), 1) for part in worth_telling},
            "busy": busy,
            "limit": _limit(busy, pinned=bool(other_cores)),
            "generator_busy": round(cpu_s[GENERATOR] / wall_s, 2),
        }


def _limit(busy: Mapping[str, float], *, pinned: bool) -> str:
    """Name the core that was busy all the time."""
    if not pinned:
        return "not pinned: unknown"
    if busy["server"] >= _BUSY:
        return "the server's core"
    if busy["others"] >= _BUSY:
        return "the cores of generator, stores and worker"
    return "no core: waiting, or somebody else on this machine"
