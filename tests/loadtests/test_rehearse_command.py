"""`./onsale rehearse` on the real platform, small; and what it refuses."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.places import ROOT

_CURVES = ("in line", "passes", "in checkout", "sold")


def _rehearse(*words: str) -> tuple[int, dict[str, Any], str]:
    """Run the command; return its exit code, the object of its last line, and all else."""
    ended = subprocess.run(
        [sys.executable, "-m", "ops", "rehearse", *words, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert lines, ended.stderr
    return ended.returncode, msgspec.json.decode(lines[-1]), ended.stderr


@pytest.mark.alone
def test_a_small_on_sale_is_rehearsed_and_judged(tmp_path: Path) -> None:
    """Two thousand people and bots join over HTTP; all are served, and every invariant holds."""
    picture = tmp_path / "sale.svg"
    code, told, said = _rehearse(
        *("--people", "2000", "--clients", "40", "--seats", "8000", "--speed", "360"),
        *("--bots", "1", "--rate", "60", "--picture", str(picture)),
    )
    assert code == 0, said
    assert told["good"]
    assert told["broken"] == []
    assert all(told["invariants"].values())
    assert told["joined"] >= 2000
    assert 0 < told["sold"] < 8000
    assert told["positions"] > 0
    assert told["bots_refused"] > 0
    assert told["advice"]["rate_per_minute"] > 0
    assert "pre-queue" in said
    assert "running" in said
    drawn = picture.read_text(encoding="utf-8")
    assert all(f">{curve}<" in drawn for curve in _CURVES)
    assert "minutes since the doors opened" in drawn


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sell-out-within", "soon"), "30m or 1h30m"),
        (("--sell-out-within", "20h"), "10m to 10h"),
        (("--speed", "1000", "--seats", "150000"), "lower --speed"),
        (("--picture", "/no/such/place/sale.svg"), "make it first"),
        (("--abandon", "1"), "--abandon"),
    ],
)
def test_what_can_t_be_rehearsed_is_refused_with_a_way_out(
    words: tuple[str, ...], said: str
) -> None:
    """Before anything is started."""
    result = CliRunner().invoke(main, ["rehearse", *words])
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


def test_the_help_has_examples() -> None:
    """And says how long it takes, and what the exit status means."""
    result = CliRunner().invoke(main, ["rehearse", "--help"])
    assert result.exit_code == 0
    assert "./onsale rehearse --seats" in result.output
    assert "Exits with 0" in result.output
