"""`./onsale torture`: buyers fight over a few seats while everything around them breaks."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import aiohttp
import click
import msgspec
from rich.console import Console

from engine.platform.logs import configure_logs
from loadtests.auditor.report import open_console
from loadtests.buyers.show_setup import RefusedShowError
from loadtests.checker.verdict import tell_time
from loadtests.torture.ground import Shape
from loadtests.torture.kinds import KINDS, USUAL
from loadtests.torture.mutants import MUTANTS, Mutant
from loadtests.torture.opening import RefusedError
from loadtests.torture.rounds import RoundReport
from loadtests.torture.run import play
from loadtests.torture.schedule import RoundPlan, make_schedule, make_volleys
from loadtests.torture.summary import Summary, summarize
from ops.child import StackError

SECONDS: Final = 6.0
ROUNDS: Final = 10
MUTANT_ROUNDS: Final = 20

_TROUBLES_SHOWN: Final = 10
_LINES_SHOWN: Final = 60


@click.command(name="torture")
@click.option("--seed", type=int, default=1, show_default=True, help="Of schedule and buyers.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    help=f"Left out: {ROUNDS}, or with --mutant up to {MUTANT_ROUNDS}, until it is found.",
)
@click.option(
    "--faults",
    help="Kinds of faults, with commas between; `none` for a control. Left out: all of them, or "
    "with --mutant those that bring its mistake to light.",
)
@click.option(
    "--mutant",
    type=click.Choice(sorted(MUTANTS)),
    help="Torture an engine that is broken on purpose, which must be found out.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=SECONDS,
    show_default=True,
    help="How long a round's buyers make new holds.",
)
@click.option(
    "--together",
    is_flag=True,
    help="Let the faults strike all together in each round, in the order in which they are named.",
)
@click.option(
    "--cluster",
    is_flag=True,
    help="Keep the shows in a cluster of six, and let the faults be a cluster's.",
)
@click.option(
    "--replicas",
    type=click.IntRange(0, 1),
    default=0,
    show_default=True,
    help="Give the inventory store a replica, which faults promote.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--keep", is_flag=True, help="Keep data, logs and histories, and say where they are.")
def command(  # noqa: PLR0913 -- click hands each option over by itself
    *,
    seed: int,
    rounds: int | None,
    faults: str | None,
    mutant: str | None,
    seconds: float,
    together: bool,
    cluster: bool,
    replicas: int,
    as_json: bool,
    keep: bool,
) -> None:
    r"""Break a platform while buyers fight over it, and judge all that they were told.

    Starts platforms of its own in a temporary directory. Each round opens a small show; a crowd
    holds, replaces, releases and buys its seats while faults strike as the seed says. Then both
    stores are read, and the checker and the auditor judge (docs/RELIABILITY.md, docs/CHECKER.md).

    Exits with 0 only if nothing was wrong; with --mutant, only if something was.

    \b
    Examples:
      ./onsale torture --rounds 20
      ./onsale torture --seed 7 --rounds 200 --json
      ./onsale torture --faults kill-valkey,pause-worker --keep
      ./onsale torture --cluster --seed 3 --rounds 50
      ./onsale torture --mutant no-guard
    """
    broken = MUTANTS[mutant] if mutant else None
    shape = _shape(cluster=cluster, replicas=replicas, mutant=broken)
    kinds = _kinds(faults, shape)
    if kinds is None:
        kinds, together = (broken.faults, True) if broken else (tuple(USUAL[shape]), together)
    plan = make_volleys if together else make_schedule
    plans = plan(seed, rounds or (MUTANT_ROUNDS if broken else ROUNDS), kinds, seconds)
    configure_logs("error")
    console = open_console(stderr=as_json)
    directory = Path(tempfile.mkdtemp(prefix="onsale-torture-"))
    torture = _Torture(plans, directory, shape, broken, console)
    began = time.monotonic()
    try:
        asyncio.run(torture.play())
    except (RefusedError, RefusedShowError, aiohttp.ClientError) as error:
        keep = True
        msg = f"no show could be opened: {error}\ndata and logs are kept in {directory}"
        raise click.ClickException(msg) from error
    except StackError:
        keep = True  # its message names a log
        raise
    finally:
        if keep or (torture.found and not broken):
            console.print(f"data, logs and histories are kept in {directory}", highlight=False)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    summary = summarize(seed, torture.reports, time.monotonic() - began)
    _tell_end(console, summary, mutant, torture)
    if as_json:
        told = msgspec.to_builtins(summary)
        if mutant:
            told |= {"mutant": mutant, "found": torture.found, "found_by": torture.found_by}
        click.echo(msgspec.json.encode(told))
    if torture.found != bool(mutant):
        sys.exit(1)


class _Torture:
    """The run under way."""

    def __init__(
        self,
        plans: Sequence[RoundPlan],
        directory: Path,
        shape: Shape,
        mutant: Mutant | None,
        console: Console,
    ) -> None:
        self._plans = plans
        self._directory = directory
        self._shape: Shape = shape
        self._mutant = mutant
        self._console = console
        self.reports: list[RoundReport] = []

    @property
    def found(self) -> bool:
        """Whether anything was wrong."""
        return any(report.troubles for report in self.reports)

    @property
    def found_by(self) -> list[str]:
        """Return the kinds of what was wrong."""
        kinds = (one.kind for report in self.reports for one in report.troubles)
        return list(dict.fromkeys(kinds))

    async def play(self) -> None:
        """Play the rounds; of a mutant no more than it takes to find it."""
        playing = play(
            self._plans,
            self._directory,
            mutant=self._mutant,
            say=self._say,
            shape=self._shape,
        )
        async with aclosing(playing):
            async for report in playing:
                self.reports.append(report)
                self._tell(report)
                if self._mutant and report.troubles:
                    return

    def _tell(self, report: RoundReport) -> None:
        verdict = f"{len(report.troubles)} WRONG" if report.troubles else "ok"
        undecided = f", {report.undecided} undecided" if report.undecided else ""
        self._say(
            f"{report.plan.as_text()}: {report.operations} calls, {report.ambiguous} in doubt"
            f"{undecided}, {report.wall_s:.1f} s: {verdict}"
        )
        for trouble in report.troubles[:_TROUBLES_SHOWN]:
            self._say(f"  {trouble.kind}: {trouble.subject}: {trouble.says}")
            if not self._mutant:
                for line in trouble.told[:_LINES_SHOWN]:
                    self._say(f"    {line}")
        if report.troubles and not self._mutant:
            for one in report.struck:
                when = f"{tell_time(one.at_ns)} to {tell_time(one.until_ns)}"
                self._say(f"  struck {when}: {one.kind}: {one.details}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _shape(*, cluster: bool, replicas: int, mutant: Mutant | None) -> Shape:
    if cluster and replicas:
        msg = "a cluster's primaries have a replica each: leave one of the two out"
        raise click.BadParameter(msg, param_hint="--replicas")
    if cluster:
        return "cluster"
    if replicas:
        return "replicas"
    return mutant.shape if mutant else "single"


def _kinds(faults: str | None, shape: Shape) -> tuple[str, ...] | None:
    if faults is None:
        return None
    if faults == "none":
        return ()
    kinds = tuple(kind.strip() for kind in faults.split(",") if kind.strip())
    unknown = [kind for kind in kinds if kind not in KINDS[shape]]
    if unknown or not kinds:
        known = ", ".join(KINDS[shape])
        msg = f"no such fault here: {', '.join(unknown) or 'none named'}; there are {known}"
        raise click.BadParameter(msg, param_hint="--faults")
    return kinds


def _tell_end(console: Console, summary: Summary, mutant: str | None, torture: _Torture) -> None:
    if mutant:
        found = f"found by {', '.join(torture.found_by)}" if torture.found else "SURVIVED"
        line = f"mutant {mutant}: {found}, after {summary.rounds} rounds"
    else:
        verdict = f"{summary.violations} WRONG" if torture.found else "nothing wrong"
        line = (
            f"{verdict}: seed {summary.seed}, {summary.rounds} rounds, {summary.operations} calls, "
            f"{summary.ambiguous} in doubt, {sum(summary.faults.values())} faults"
        )
    console.print(line, highlight=False, markup=False, soft_wrap=True)
