"""The nemesis in short: every fault once while buyers fight, and engines that must be found out."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.torture.kinds import USUAL
from loadtests.torture.rounds import RoundReport
from loadtests.torture.run import play
from loadtests.torture.schedule import RoundPlan, make_schedule
from ops.places import ROOT

SEED = 20_261_121
STRIKES_A_ROUND = 4
SECONDS = 4.5


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
    # Where libfaketime is not to be had no clock can be stepped.
    assert set(USUAL["single"]) - struck <= {"clock-step"}
    assert sum(report.operations for report in reports) > 100 * rounds
    assert sum(report.ambiguous for report in reports) > 0


def _torture(*words: str) -> tuple[int, dict[str, Any], str]:
    """Run the command; return its exit code, the object of its last line, and all else."""
    ended = subprocess.run(
        [sys.executable, "-m", "ops", "torture", *words, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert lines, ended.stderr
    return ended.returncode, msgspec.json.decode(lines[-1]), ended.stderr


@pytest.mark.parametrize(
    ("mutant", "kind"),
    [
        ("blocks-forgotten", "blocked-seat-differs"),
        ("idempotency-dropped", "key-of-two-holds"),
    ],
)
def test_a_broken_engine_is_found(mutant: str, kind: str) -> None:
    """And named for what it does; the command ends well just because of that."""
    code, told, said = _torture("--mutant", mutant, "--seconds", "4", "--rounds", "4")
    assert code == 0, said
    assert told["found"]
    assert kind in told["found_by"]


def test_a_broken_engine_that_no_fault_meets_survives() -> None:
    """Then the command fails: a mutant that survives is a hole in the checker."""
    words = ("--mutant", "no-unique-index", "--faults", "none", "--seconds", "1.5", "--rounds", "1")
    code, told, said = _torture(*words)
    assert code == 1
    assert not told["found"]
    assert told["violations"] == 0
    assert "SURVIVED" in said


def test_a_run_tells_its_numbers() -> None:
    """What the last line promises, for programs."""
    code, told, _ = _torture("--rounds", "1", "--seconds", "3", "--faults", "kill-valkey")
    assert code == 0
    assert told["rounds"] == 1
    assert told["faults"]["kill-valkey"] >= 1
    assert told["operations"] > 50
    numbers = ("violations", "double_sold", "lost", "unbalanced", "undecided")
    assert [told[name] for name in numbers] == [0] * len(numbers)
    assert {"seed", "ambiguous", "recovery_s_median", "recovery_s_max", "wall_s"} <= told.keys()
