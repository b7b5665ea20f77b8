"""`./onsale torture` in short: engines that are broken on purpose must be found out."""

import subprocess
import sys
from typing import Any

import msgspec

from ops.places import ROOT


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


def test_a_broken_engine_is_found() -> None:
    """And named for what it does; the command ends well just because of that."""
    words = ("--mutant", "blocks-forgotten", "--seconds", "4", "--rounds", "4")
    code, told, said = _torture(*words)
    assert code == 0, said
    assert told["found"]
    assert "blocked-seat-differs" in told["found_by"]
    assert told["faults"]["kill-valkey"] >= 1
    assert told["recoveries"] >= 1


def test_a_broken_engine_that_no_fault_meets_survives() -> None:
    """Then the command fails: a mutant that survives is a hole in the checker."""
    words = ("--mutant", "no-unique-index", "--faults", "none", "--seconds", "1.5", "--rounds", "1")
    code, told, said = _torture(*words)
    assert code == 1
    assert not told["found"]
    assert "SURVIVED" in said
    assert told["rounds"] == 1
    numbers = ("violations", "double_sold", "lost", "unbalanced", "undecided")
    assert [told[name] for name in numbers] == [0] * len(numbers)
    promised = {"seed", "operations", "faults", "ambiguous", "wall_s"}
    assert promised | {"recovery_s_median", "recovery_s_max"} <= told.keys()
