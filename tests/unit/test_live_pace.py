"""How often watchers are told: seldom enough for the machine, often enough to be news."""

import pytest

from engine.inventory.live import FRAME_S, FRAME_S_MAX, STARVED_FRAME_S_MAX, Pace
from engine.platform.cpu_demand import CpuDemand


class _Machine:
    """Where a turn takes a while, and threads want some of the CPU."""

    def __init__(self) -> None:
        self.now = 0.0
        self.share = 0.0

    def turns(self, pace: Pace, count: int, took_s: float = 0.01) -> float:
        """Take so many turns; return the last rest."""
        rest = 0.0
        for _ in range(count):
            pace.begin()
            self.now += took_s
            rest = pace.end()
            self.now += rest
        return rest


@pytest.fixture
def machine() -> _Machine:
    """An idle one."""
    return _Machine()


def test_an_idle_process_tells_ten_times_a_second(machine: _Machine) -> None:
    """However long a turn takes, as long as there is time."""
    pace = Pace(lambda: machine.share, lambda: machine.now)
    assert machine.turns(pace, 5, 0.04) == pytest.approx(FRAME_S - 0.04)
    assert machine.turns(pace, 1, 0.5) == 0.0


def test_a_busy_process_tells_less_often_and_recovers(machine: _Machine) -> None:
    """Within bounds both ways."""
    pace = Pace(lambda: machine.share, lambda: machine.now)
    machine.share = 0.94
    machine.turns(pace, 50)
    assert pace.turn_s == FRAME_S_MAX
    machine.share = 1.0
    machine.turns(pace, 50)
    assert pace.turn_s == STARVED_FRAME_S_MAX
    machine.share = 0.94
    machine.turns(pace, 50)
    assert pace.turn_s == FRAME_S_MAX
    machine.share = 0.83
    machine.turns(pace, 50)
    assert pace.turn_s == FRAME_S_MAX, "it stays as it is between the bounds"
    machine.share = 0.1
    machine.turns(pace, 50)
    assert pace.turn_s == FRAME_S


def test_a_thread_that_runs_all_the_time_is_told() -> None:
    """Within what the clock of the scheduler is good for."""
    demand = CpuDemand()
    number = 0
    while number < 3_000_000:
        number += 1
    assert demand.share() > 0.5
