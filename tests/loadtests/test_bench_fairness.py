"""How fair a busy process is, measured at a small size on a real platform."""

import pytest

from loadtests.bench import fairness
from loadtests.bench.http_bench import QUICK, BenchError
from loadtests.generator.choosing import PythonGenerator
from ops.workbench import Workbench

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def bench() -> Workbench:
    """One quick round, on a platform of its own."""
    return Workbench(rounds=1, generator=PythonGenerator(), size=QUICK, say=print)


@pytest.mark.alone
def test_a_flood_leaves_the_steady_one_their_holds(bench: Workbench) -> None:
    """Nine in ten at the least; the flood itself is refused in part, and served in part."""
    figure = fairness.measure(bench)
    details = figure.details
    assert figure.control is not None
    assert details["p99_ratio"] == pytest.approx(figure.value / figure.control, abs=0.01)
    assert details["alone"]["held_share"] == 1
    assert details["answered_ratio"] >= fairness.ANSWERED_RATIO_LEAST
    assert set(details["flood"]) <= {"201", "409", "503"}
    assert details["flood"]["503"] > 0
    assert figure.met is (
        details["p99_ratio"] <= fairness.P99_RATIO_MOST
        and details["answered_ratio"] >= fairness.ANSWERED_RATIO_LEAST
    )


def test_a_flood_that_ends_too_early_gives_no_figure(bench: Workbench) -> None:
    """Else a steady one who was alone most of the time would look fairly treated."""
    few = fairness.Sizes(steady_per_s=20, flood_connections=8, flood_requests=50, seconds=1)
    with pytest.raises(BenchError, match="the flood was over"):
        fairness.measure(bench, few)
