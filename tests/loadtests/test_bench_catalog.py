"""`catalog` and `opening` at a small size on a real platform."""

import pytest

from loadtests.bench import catalog, opening
from loadtests.bench.http_bench import QUICK
from loadtests.generator.choosing import PythonGenerator
from ops.workbench import Workbench


@pytest.mark.timeout(150)
def test_shows_are_filled_in_sell_and_give_their_memory_back() -> None:
    """Copies sell like what was made over HTTP, and no show is left in the store behind itself."""
    bench = Workbench(rounds=1, generator=PythonGenerator(), size=QUICK, say=print)
    figure = catalog.measure(bench)
    details = figure.details
    assert figure.settings["shows"] == 200
    assert details["switch"]["shows"] >= 50, "each was held of"
    assert details["list"]["p99_ms"] >= details["list"]["p50_ms"] > 0
    assert details["open"]["p50_ms"] > 0
    large = details["open_large"]
    assert large["bytes_open"] > large["seats"] == 2000
    assert large["bytes_of_its_keys_when_archived"] == 0


@pytest.mark.timeout(150)
def test_drafts_that_no_process_knows_are_opened() -> None:
    """Each is held of, and what that took of each process is told."""
    bench = Workbench(rounds=1, generator=PythonGenerator(), size=QUICK, say=print)
    figure = opening.measure(bench)
    assert figure.details["openings"] == len(figure.rounds) == 1
    assert 0 < figure.value == figure.details["s_max"] < 30
    assert {"api", "worker", "postgres"} <= figure.details["cpu_s_each"].keys()
