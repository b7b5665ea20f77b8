"""The command line: commands are found by their files and loaded when called."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.places import ROOT

COMMANDS = sorted(
    path.stem.removesuffix("_").replace("_", "-")
    for path in (ROOT / "ops" / "commands").glob("*.py")
    if not path.stem.startswith("_")
)


def test_the_help_lists_every_command() -> None:
    """A new file in ops/commands is enough."""
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0
    for name in ("up", "test", "check", "doctor", "lock", "version", *COMMANDS):
        assert f"  {name} " in told.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    """`--help` works on each, with at least a sentence."""
    told = CliRunner().invoke(main, [name, "--help"])
    assert told.exit_code == 0, told.output
    assert f"{name} [OPTIONS]" in told.output
    with click.Context(main) as context:
        command = main.get_command(context, name)
    assert command is not None
    assert command.help


def test_an_unknown_command_is_told() -> None:
    """Exit code 2, as for any misuse."""
    told = CliRunner().invoke(main, ["sell"])
    assert told.exit_code == 2
    assert "No such command 'sell'" in told.output


def test_a_command_does_not_wait_for_the_imports_of_another() -> None:
    """`version` imports neither SQLAlchemy nor Litestar, which others need."""
    program = (
        "import sys\n"
        "from ops.cli import main\n"
        "main(['version'], standalone_mode=False)\n"
        "print([name for name in ('sqlalchemy', 'litestar', 'redis') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_a_user_can_mend_is_told_without_a_traceback(tmp_path: object) -> None:
    """A URL that does not fit: one sentence with the variable's name, exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", "up", "--data", str(tmp_path), "--port", "1"],
        cwd=ROOT,
        env={"ONSALE_REDIS_URL": "http://x", "ONSALE_DATABASE_URL": "postgresql://x"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "Error: ONSALE_REDIS_URL" in done.stderr
    assert "Traceback" not in done.stderr
