"""`./onsale bench`: a measurement on a real platform, from the command line to the last line."""

import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.places import ROOT


@pytest.mark.timeout(180)
def test_a_measurement_runs_and_ends_with_one_object() -> None:
    """`bench hold --quick --json`: progress and table on stderr, the figure on stdout."""
    command = [sys.executable, "-m", "ops", "bench", "hold", "--quick", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=150, check=False)
    told = ended.stderr.decode()
    assert ended.returncode == 0, told
    lines = ended.stdout.decode().splitlines()
    assert len(lines) == 1, "everything but the object goes to stderr"
    figure: dict[str, Any] = json.loads(lines[-1])
    assert figure["name"] == "hold"
    assert figure["value"] > 0
    assert figure["control"] > 0
    assert figure["ratio"] == pytest.approx(figure["value"] / figure["control"], abs=0.01)
    assert len(figure["rounds"]) == 1
    assert figure["settings"]["appendfsync"] == "always"
    assert figure["settings"]["audit"] == "clean"
    assert figure["settings"]["seats_held_or_sold"] == 2 * (
        figure["details"]["value"]["units"] + 50
    )
    assert figure["details"]["generator"]
    assert figure["machine"]["cores"] >= 1
    assert "at least 0.42 of the control" in told


def test_the_measurements_are_listed() -> None:
    """With a line for each, without starting anything."""
    told = CliRunner().invoke(main, ["bench", "--list"])
    assert told.exit_code == 0
    names = [line.split()[0] for line in told.output.splitlines()]
    assert names[:2] == ["hold", "hold-ordinary"]
    assert len(names) == 23


def test_an_unknown_measurement_is_told_with_those_that_there_are() -> None:
    """Exit code 2, before anything is started."""
    told = CliRunner().invoke(main, ["bench", "hodl"])
    assert told.exit_code == 2
    assert "no measurement is called hodl; there are hold, hold-ordinary" in told.output
