"""`./onsale bench`: every measurement beside its control, in one run."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import structs
from rich.console import Console

from engine.platform.logs import configure_logs
from loadtests.bench.http_bench import FULL, QUICK
from loadtests.bench.machine import read_machine
from loadtests.bench.measurement import Figure
from loadtests.bench.registry import MEASUREMENTS
from loadtests.bench.report import figures_as_json, print_figures
from loadtests.generator import choose_generator
from ops.places import HOME
from ops.workbench import Workbench

_TOOLS: Final = HOME / "tools" / "wrk"
_WIDTH_OF_FILES: Final = 160


@click.command(name="bench")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 99),
    default=5,
    show_default=True,
    help="Rounds of value and control in turns; a figure is their median.",
)
@click.option("--quick", is_flag=True, help="One tiny round, to see that it works: no figures.")
@click.option(
    "--watchers",
    type=click.IntRange(1, 100_000),
    help=f"Who watch a show live, in `live`.  [default: {FULL.watchers}]",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="A directory where `search` keeps its catalogue for the next time.",
)
@click.option("--list", "as_list", is_flag=True, help="Only list the measurements.")
def command(  # noqa: PLR0913 - the options
    *,
    names: Sequence[str],
    as_json: bool,
    rounds: int,
    quick: bool,
    watchers: int | None,
    data: Path | None,
    as_list: bool,
) -> None:
    r"""Measure the platform's speed beside honest controls, on this machine.

    Runs all measurements, or those named, each on a platform of its own that is thrown away
    afterwards: some minutes for all. Nothing is switched off for it. Leave the machine alone
    meanwhile: the table shows how busy it was at the start.

    A target that is missed is shown, and is no error; a measurement that fails is one.

    \b
    Examples:
      ./onsale bench
      ./onsale bench hold durable
      ./onsale bench opening                a show of 60 000 seats, in a minute
      ./onsale bench hold --json
      ./onsale bench --list
    """
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        msg = f"no measurement is called {unknown[0]}; there are {', '.join(MEASUREMENTS)}"
        raise click.UsageError(msg)
    if as_list:
        for measurement in MEASUREMENTS.values():
            click.echo(f"{measurement.name:<16}{measurement.says}")
        return
    configure_logs("error")
    progress = _console(stderr=True)
    chosen = [MEASUREMENTS[name] for name in dict.fromkeys(names or MEASUREMENTS)]
    measures = {measurement.name: measurement.load() for measurement in chosen}
    machine = read_machine()
    generator = choose_generator(_TOOLS, lambda line: _say(progress, line))
    _say(progress, f"load generator: {generator.name}")
    size = QUICK if quick else FULL
    size = structs.replace(size, watchers=watchers or size.watchers)
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    for name, measure in measures.items():
        _say(progress, name)
        bench = Workbench(
            rounds=1 if quick else rounds,
            generator=generator,
            size=size,
            say=lambda line, name=name: _say(progress, f"{name}: {line}"),
            data=data,
        )
        try:
            figures.append(measure(bench))
        except Exception as error:  # noqa: BLE001 -- told, and the exit code says so: the others go on
            progress.print_exception(max_frames=4)
            failed[name] = f"{type(error).__name__}: {error}"
    if figures:
        print_figures(figures, machine, _console(stderr=as_json))
    for name, why in failed.items():
        progress.print(f"[red]{name} failed[/red]: ", end="")
        progress.print(why, markup=False, highlight=False)
    if as_json:
        document = figures_as_json(
            figures, machine, asked_for_one=len(measures) == 1, failed=failed
        )
        click.echo(msgspec.json.encode(document))
    if failed:
        sys.exit(1)


def _say(console: Console, line: str) -> None:
    console.print(f"onsale: {line}", highlight=False, markup=False)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_WIDTH_OF_FILES)
