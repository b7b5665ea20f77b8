"""`./onsale demo`: a hall sells out before your eyes, and is audited afterwards."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from engine.platform.database import create_engine
from engine.platform.logs import configure_logs
from engine.platform.settings import OWNER_ROLE, Settings
from engine.tenancy.resellers import create_reseller
from loadtests.auditor import AuditResult, audit
from loadtests.auditor.report import open_console, print_audit
from loadtests.buyers import Crowd, Habits, Tally, Verdict, reach_verdict
from loadtests.buyers.crowd import StuckError
from loadtests.buyers.desk import GaveUpError
from loadtests.buyers.live_view import LiveView
from loadtests.buyers.show_setup import RefusedShowError, put_on_sale
from loadtests.buyers.tally import percentile
from loadtests.generated_plans import SEATS_MAX, arena_plan
from loadtests.hall_picture import read_places
from ops.child import StackError
from ops.places import ROOT
from ops.stack import Stack

_HALL = ROOT / "loadtests" / "data" / "riethsporthalle.seatingplan.json"
_DRAIN_S = 30.0
_WATCHED_S = 12.0
_STEPS_A_SEAT = 0.9
_PACE_S_MAX = 3.0


class Report(Struct, frozen=True):
    """What a demo came to: the JSON object of the last line."""

    seats: int
    sold: int
    purchases_answered: int
    double_sold: int
    lost: int
    audit: str
    holds_per_s: float
    p50_ms: float
    p99_ms: float
    purchase_p50_ms: float
    purchase_p99_ms: float
    buyers: int
    holds: int
    refused: int
    released: int
    replaced: int
    abandoned: int
    expired: int
    repeats: int
    lost_answers: int
    told_to_wait: int
    reconnected: int
    recording: int
    errors: int
    wall_s: float

    @property
    def is_good(self) -> bool:
        """Whether everything was sold once, and nothing else happened."""
        return (
            self.sold == self.seats > 0
            and self.double_sold == self.lost == self.errors == 0
            and self.audit == "clean"
        )


@click.command(name="demo")
@click.option(
    "--seats",
    type=click.IntRange(1, SEATS_MAX),
    help="Generate an arena of this many seats. Left out: a real hall of 1 222 seats.",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sell this seating plan (pretix's JSON format).",
)
@click.option(
    "--buyers", type=click.IntRange(1, 2000), default=200, show_default=True, help="At once."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the buyers' dice.")
@click.option(
    "--pace",
    type=click.FloatRange(0, 60),
    help="Mean pause in seconds before each step of a buyer. Left out: on a terminal as much as "
    "lets one watch a small hall fill, elsewhere none.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(10),
    default=1200.0,
    show_default=True,
    help="Seconds after which a hall that has not sold out is given up.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="API's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--keep", is_flag=True, help="Keep the data and logs, and say where they are.")
def command(  # noqa: PLR0913 -- click hands each option over by itself
    *,
    seats: int | None,
    plan_file: Path | None,
    buyers: int,
    seed: int,
    pace: float | None,
    timeout_s: float,
    workers: int,
    as_json: bool,
    keep: bool,
) -> None:
    r"""Sell out a hall to a crowd of buyers, over HTTP, and audit the result.

    Starts a platform of its own in a temporary directory. The buyers hold, release, walk away,
    repeat their requests, lose answers and buy until nothing is left. Seats that somebody walked
    away from come back after half a minute, so a run lasts that long at least.

    Exits with 0 only if every seat was sold exactly once, every confirmed purchase is in the
    ledger, and the audit is clean.

    \b
    Examples:
      ./onsale demo
      ./onsale demo --seats 60000 --json
      ./onsale demo --plan my-hall.json --pace 0.5
    """
    if seats is not None and plan_file is not None:
        msg = "--seats and --plan exclude each other"
        raise click.UsageError(msg)
    plan = arena_plan(seats) if seats else (plan_file or _HALL).read_bytes()
    configure_logs("warning")
    console = open_console(stderr=as_json)
    directory = Path(tempfile.mkdtemp(prefix="onsale-demo-"))
    demo = _Demo(plan, console, buyers, seed, pace, timeout_s)
    try:
        report = demo.run(directory, workers)
    except (StuckError, GaveUpError, RefusedShowError, aiohttp.ClientError) as error:
        keep = True
        msg = f"{error}\nlogs: {directory / 'logs'}"
        raise click.ClickException(msg) from error
    except StackError:
        keep = True  # its message names a log
        raise
    finally:
        if keep:
            console.print(f"data and logs are kept in {directory}", highlight=False)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        click.echo(msgspec.json.encode(report))
    if not report.is_good:
        sys.exit(1)


class _Demo:
    def __init__(  # noqa: PLR0913, PLR0917 -- the options, as they came
        self,
        plan: bytes,
        console: Console,
        buyers: int,
        seed: int,
        pace: float | None,
        timeout_s: float,
    ) -> None:
        self._plan = plan
        self._console = console
        self._buyers = buyers
        self._seed = seed
        self._pace = pace
        self._timeout_s = timeout_s

    def run(self, directory: Path, workers: int) -> Report:
        """Start a platform, sell out, judge, and stop it."""
        began = time.monotonic()
        with Stack(directory, environment={}, api_workers=workers, report=self._say) as stack:
            self._say(f"serving on {stack.base_url}")
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return runner.run(self._sell_out(stack.settings, stack.base_url, began))

    async def _sell_out(self, settings: Settings, base_url: str, began: float) -> Report:
        owner = create_engine(settings, OWNER_ROLE, connections_max=1)
        try:
            key = await create_reseller(owner, settings.region, "Demo tickets")
        finally:
            await owner.dispose()
        self._say("putting the show on sale")
        show = await put_on_sale(base_url, key.text, self._plan)
        places = read_places(self._plan)
        pace = self._pace
        if pace is None:
            pace = _watchable(len(places), self._buyers) if self._console.is_terminal else 0.0
        crowd = Crowd(
            base_url=base_url,
            api_key=key.text,
            show=show,
            buyers=self._buyers,
            seed=self._seed,
            habits=Habits(think_s=pace),
        )
        self._say(f"{self._buyers} buyers come in")
        with LiveView(self._console, places, self._buyers) as view:
            await crowd.sell_out(self._timeout_s, view)
        front = crowd.front
        if front is None:
            raise StuckError(show)
        view.print_plain(front)
        number = int(show[-16:], 16)
        verdict = await reach_verdict(
            settings, number, crowd.tally, expected=front.total.capacity, patience_s=_DRAIN_S
        )
        self._say("auditing")
        result = await audit(settings)
        report = _report(front.total.capacity, crowd.tally, verdict, result, self._buyers, began)
        self._print(report, crowd.tally, result, settings.region)
        return report

    def _print(self, report: Report, tally: Tally, result: AuditResult, region: str) -> None:
        print_audit(result, region, self._console)
        for example in tally.error_examples:
            self._console.print(f"error: {example}", style="red", highlight=False, markup=False)
        table = Table(title=f"sold {report.sold:,} of {report.seats:,}", show_header=False)
        for name, value in msgspec.structs.asdict(report).items():
            shown = f"{value:,.1f}" if isinstance(value, float) else f"{value}"
            table.add_row(name.replace("_", " "), shown)
        self._console.print(table)
        verdict = "[green]good[/green]" if report.is_good else "[red]NOT good[/red]"
        self._console.print(f"The run was {verdict}.")

    def _say(self, line: str) -> None:
        self._console.print(f"onsale: {line}", highlight=False, markup=False)


def _report(  # noqa: PLR0913, PLR0917 -- a report has many parts
    seats: int,
    tally: Tally,
    verdict: Verdict,
    result: AuditResult,
    buyers: int,
    began: float,
) -> Report:
    return Report(
        seats=seats,
        sold=verdict.sold,
        purchases_answered=len(tally.receipts),
        double_sold=verdict.double_sold,
        lost=verdict.lost,
        audit="clean" if result.is_clean else "findings",
        holds_per_s=round(tally.holds_per_s, 1),
        p50_ms=round(percentile(tally.hold_ms, 0.5), 2),
        p99_ms=round(percentile(tally.hold_ms, 0.99), 2),
        purchase_p50_ms=round(percentile(tally.purchase_ms, 0.5), 2),
        purchase_p99_ms=round(percentile(tally.purchase_ms, 0.99), 2),
        buyers=buyers,
        holds=tally.holds,
        refused=tally.refused,
        released=tally.released,
        replaced=tally.replaced,
        abandoned=tally.abandoned,
        expired=tally.expired,
        repeats=tally.repeats,
        lost_answers=tally.lost_answers,
        told_to_wait=tally.told_to_wait,
        reconnected=tally.reconnected,
        recording=tally.recording,
        errors=tally.errors,
        wall_s=round(time.monotonic() - began, 1),
    )


def _watchable(seats: int, buyers: int) -> float:
    """Return the pause at which a hall takes some ten seconds to fill, if it is not slower."""
    steps_a_buyer = seats * _STEPS_A_SEAT / buyers
    return min(_WATCHED_S / max(steps_a_buyer, 1.0), _PACE_S_MAX)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's: two hundred buyers share one core."""
    import uvloop  # noqa: PLC0415 -- not needed to show the help

    return uvloop.new_event_loop
