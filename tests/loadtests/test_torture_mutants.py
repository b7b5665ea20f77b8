"""Mutants fit the code as it stands, and are what they say: a copy with a few pieces replaced."""

import ast
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtests.torture.kinds import KINDS
from loadtests.torture.mutants import MUTANTS
from loadtests.torture.sources import SHORT_HOLDS, Change, ChangeError, Source
from ops.child import Plan
from ops.places import ROOT


def plan_of(name: str, command: Sequence[str]) -> Plan:
    """Return a child's plan."""
    return Plan(
        name=name,
        command=lambda: command,
        environment={},
        log=Path("unused.log"),
        is_ready=lambda _pid: True,
        stop_signal=signal.SIGTERM,
    )


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_fits_the_code(name: str, tmp_path: Path) -> None:
    """What it replaces stands there just once, and what comes of it can be read."""
    mutant = MUTANTS[name]
    source = Source(tmp_path / "source", (*SHORT_HOLDS, *mutant.changes))
    for change in mutant.changes:
        text = (source.directory / change.path).read_text(encoding="utf-8")
        assert text != (ROOT / change.path).read_text(encoding="utf-8")
        if change.path.endswith(".py"):
            ast.parse(text)
    assert set(mutant.faults) <= set(KINDS[mutant.shape])
    assert mutant.changes or mutant.sql or mutant.valkey


def test_a_change_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A mutant that changed nothing would survive for a wrong reason."""
    missing = Change("lua/batch.lua", "no such words", "")
    with pytest.raises(ChangeError, match="0 times"):
        Source(tmp_path / "missing", (missing,))
    ambiguous = Change("lua/batch.lua", "local", "")
    with pytest.raises(ChangeError, match=r"lua/batch\.lua has"):
        Source(tmp_path / "ambiguous", (ambiguous,))


def test_only_api_and_worker_run_the_copy(tmp_path: Path) -> None:
    """The servers are what they are."""
    source = Source(tmp_path / "source", ())
    command = ("/bin/program", "-m", "workers")
    for name in ("api", "worker"):
        adjusted = source.adjust(plan_of(name, command)).command()
        assert tuple(adjusted)[-3:] == command
        assert str(source.directory) in adjusted
    assert tuple(source.adjust(plan_of("valkey", command)).command()) == command


def test_a_server_may_be_set_up_wrongly() -> None:
    """Only the option that the mutant names differs, and only Valkey's."""
    mutant = MUTANTS["ack-before-fsync"]
    command = ("/bin/valkey", "--appendonly", "yes", "--save", "")
    expected = ["/bin/valkey", "--appendonly", "no", "--save", ""]
    assert list(mutant.adjust(plan_of("valkey", command)).command()) == expected
    assert tuple(mutant.adjust(plan_of("worker", command)).command()) == command
