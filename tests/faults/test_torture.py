"""The nemesis in short: every fault once while buyers fight."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import pytest

from loadtests.torture.faults import Strike
from loadtests.torture.faults.cluster import CLUSTER_FAULTS
from loadtests.torture.faults.replicas import REPLICA_FAULTS
from loadtests.torture.ground import Shape
from loadtests.torture.kinds import USUAL
from loadtests.torture.rounds import RoundReport
from loadtests.torture.run import play
from loadtests.torture.schedule import RoundPlan, make_schedule

SEED = 20_261_121
STRIKES_A_ROUND = 5
SECONDS = 4.0


async def _play(plans: Sequence[RoundPlan], directory: Path) -> list[RoundReport]:
    return [report async for report in play(plans, directory, mutant=None, say=print)]


@pytest.mark.timeout(240)
async def test_nothing_goes_wrong_whatever_strikes(tmp_path: Path) -> None:
    """Every kind of fault strikes once at least, some together; checker and auditor are content."""
    rounds = -(-len(USUAL["single"]) // STRIKES_A_ROUND)
    each = (STRIKES_A_ROUND, STRIKES_A_ROUND)
    plans = make_schedule(SEED, rounds, tuple(USUAL["single"]), SECONDS, each)
    reports = await _play(plans, tmp_path)
    wrong = [
        (report.plan.as_text(), trouble.kind, trouble.subject, trouble.says, trouble.told)
        for report in reports
        for trouble in report.troubles
    ]
    assert not wrong, wrong
    struck = {one.kind for one in chain.from_iterable(report.struck for report in reports)}
    # Not every machine can do these; see `lacking`.
    assert set(USUAL["single"]) - struck <= {"clock-step", "disk-full"}
    assert sum(report.operations for report in reports) > 100 * rounds
    assert sum(report.ambiguous for report in reports) > 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("shape", "faults"), [("cluster", CLUSTER_FAULTS), ("replicas", REPLICA_FAULTS)]
)
async def test_nothing_goes_wrong_where_servers_replace_each_other(
    shape: Shape, faults: Mapping[str, Strike], tmp_path: Path
) -> None:
    """Primaries are lost in every way while buyers fight, and no sale that was answered is."""
    kinds = (*faults, "kill-worker")
    plans = make_schedule(SEED, len(kinds) // 2, kinds, SECONDS, (2, 2))
    playing = play(plans, tmp_path, mutant=None, say=print, shape=shape)
    reports = [report async for report in playing]
    assert not [(one.kind, one.says) for report in reports for one in report.troubles]
    struck = [one.kind for report in reports for one in report.struck]
    assert sorted(struck) == sorted(kinds)
    assert sum(report.operations for report in reports) > 200
    assert any(report.recovered_ms for report in reports)
