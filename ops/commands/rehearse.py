"""`./onsale rehearse`: an on-sale with a waiting room in compressed time, before the real one."""

import asyncio
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import click
import msgspec
from redis.exceptions import RedisError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.logs import configure_logs
from engine.platform.settings import variable
from loadtests.auditor.report import open_console, print_audit
from loadtests.buyers.desk import GaveUpError as GaveUpAtDeskError
from loadtests.buyers.show_setup import RefusedShowError
from loadtests.generated_plans import SEATS_MAX
from loadtests.rehearsal.advice import advise
from loadtests.rehearsal.invariants import judge
from loadtests.rehearsal.live_view import LiveView
from loadtests.rehearsal.people import TICKETS_MAX, Habits
from loadtests.rehearsal.plan import CHECKOUT_MAX, RATE_MAX, Plan
from loadtests.rehearsal.report import Report, picture_of, print_report, report_on
from loadtests.rehearsal.run import RehearsalError, rehearse
from loadtests.rehearsal.sale import GaveUpError
from ops.child import StackError
from ops.resellers import make_reseller
from ops.stack import Stack

_PEOPLE_MAX: Final = 1_000_000
_CLIENTS_MAX: Final = 2_000
_LENGTH: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m?)?")
_LENGTH_MIN: Final = (10, 600)
_FAILURES: Final = (
    GaveUpAtDeskError,
    GaveUpError,
    RefusedShowError,
    RehearsalError,
    RedisError,
    SQLAlchemyError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
)


def _read_length(_: click.Context, parameter: click.Parameter, value: str) -> int:
    """Return `30`, `30m`, `2h` or `1h30m` as minutes."""
    match = _LENGTH.fullmatch(value)
    hours, minutes = (int(part or 0) for part in match.groups()) if match else (0, 0)
    length = hours * 60 + minutes
    least, most = _LENGTH_MIN
    if not least <= length <= most:
        msg = f"{value!r} is no time from {least}m to {most // 60}h, such as 30m or 1h30m"
        raise click.BadParameter(msg, param=parameter)
    return length


@click.command(name="rehearse")
@click.option(
    "--people",
    type=click.IntRange(10, _PEOPLE_MAX),
    default=200_000,
    show_default=True,
    help="Who join, bots aside.",
)
@click.option(
    "--clients",
    type=click.IntRange(0, _CLIENTS_MAX),
    default=300,
    show_default=True,
    help="Of them, with a connection of their own that ask for their position or listen to events.",
)
@click.option(
    "--seats",
    type=click.IntRange(10, SEATS_MAX),
    default=12_000,
    show_default=True,
    help="To sell.",
)
@click.option(
    "--expected-ticket-count",
    "tickets",
    type=click.FloatRange(1, TICKETS_MAX),
    default=2.5,
    show_default=True,
    help="Tickets of a purchase, on average.",
)
@click.option(
    "--sell-out-within",
    "sell_out_min",
    callback=_read_length,
    default="30m",
    show_default=True,
    help="How long the sale should last: 30m, 1h30m. Rate and cap follow from it.",
)
@click.option(
    "--abandon",
    type=click.FloatRange(0, 0.95),
    default=0.4,
    show_default=True,
    help="The share of people who walk away, most of them from the line.",
)
@click.option(
    "--slow",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Of those who pay, the share that does so shortly before the hold ends.",
)
@click.option(
    "--bots",
    type=click.IntRange(0, 50),
    default=3,
    show_default=True,
    help="Addresses that join at twice their limit, and as many identities that join all the time.",
)
@click.option(
    "--speed",
    type=click.FloatRange(1, 1000),
    default=30.0,
    show_default=True,
    help="How many minutes of the sale go by in one. Holds last 30 s and passes 60 s at least.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Passes a minute of the sale. Left out: what --sell-out-within needs.",
)
@click.option(
    "--checkout-max",
    type=click.IntRange(1, CHECKOUT_MAX),
    help="Passes that live at a time. Left out: what the rate needs.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of everybody's dice.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Draw line, admissions, checkout and seats over time, as SVG.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="API's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--keep", is_flag=True, help="Keep the data and logs, and say where they are.")
def command(  # noqa: PLR0913 -- click hands each option over by itself
    *,
    people: int,
    clients: int,
    seats: int,
    tickets: float,
    sell_out_min: int,
    abandon: float,
    slow: float,
    bots: int,
    speed: float,
    rate: float | None,
    checkout_max: int | None,
    seed: int,
    picture: Path | None,
    workers: int,
    as_json: bool,
    keep: bool,
) -> None:
    r"""Rehearse an on-sale with its waiting room, in compressed time, and get rate and hold time.

    Starts a platform of its own in a temporary directory. People come as before a popular sale,
    for an hour before it; places are drawn, and who is admitted claims a pass, holds, and pays or
    walks away. All joins, claims, holds and purchases go over HTTP. The default takes five minutes.

    Exits with 0 only if every invariant held: among them that the rate, the cap of checkout and
    the order of places were kept, that the line never stalled, and that the audit is clean.
    docs/REHEARSAL.md tells what is simulated and how the advice is derived.

    \b
    Examples:
      ./onsale rehearse
      ./onsale rehearse --seats 20000 --people 100000 --sell-out-within 1h --picture sale.svg
      ./onsale rehearse --people 2000 --seats 1500 --speed 240 --json
    """
    plan = Plan(
        people=people,
        seats=seats,
        clients=min(clients, people),
        bots=bots,
        habits=Habits(abandon=abandon, slow=slow, tickets=tickets),
        speed=speed,
        sell_out_min=sell_out_min,
        asked_rate=rate,
        asked_checkout_max=checkout_max,
        seed=seed,
    )
    _check(plan, picture)
    configure_logs("warning")
    console = open_console(stderr=as_json)
    directory = Path(tempfile.mkdtemp(prefix="onsale-rehearsal-"))
    try:
        report = _Stage(plan, console, workers, picture).play(directory)
        keep = keep or not report.good
    except StackError:
        keep = True  # its message names a log
        raise
    except _FAILURES as error:
        keep = True
        msg = f"{type(error).__name__}: {error}\nlogs: {directory / 'logs'}"
        raise click.ClickException(msg) from error
    finally:
        if keep:
            console.print(f"data and logs are kept in {directory}", highlight=False)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        click.echo(msgspec.json.encode(report))
    if not report.good:
        sys.exit(1)


def _check(plan: Plan, picture: Path | None) -> None:
    if plan.rate >= RATE_MAX:
        msg = (
            f"{RATE_MAX:,.0f} passes a second and more would be needed at this speed: take a lower "
            "--speed, fewer --seats, or a longer --sell-out-within"
        )
        raise click.UsageError(msg)
    if picture is not None and not picture.absolute().parent.is_dir():
        msg = f"{picture.absolute().parent} is no directory: make it first"
        raise click.BadParameter(msg, param_hint="--picture")


class _Stage:
    def __init__(self, plan: Plan, console: Console, workers: int, picture: Path | None) -> None:
        self._plan = plan
        self._console = console
        self._workers = workers
        self._picture = picture

    def play(self, directory: Path) -> Report:
        """Start a platform, rehearse, judge, and stop it."""
        began = time.monotonic()
        environment = {variable(name): text for name, text in self._plan.settings().items()}
        self._say("starting a platform")
        with (
            Stack(
                directory, environment=environment, api_workers=self._workers, report=lambda _: None
            ) as stack,
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            return runner.run(self._rehearse(stack, began))

    async def _rehearse(self, stack: Stack, began: float) -> Report:
        key = await make_reseller(stack.settings, "Rehearsal tickets")
        with LiveView(self._console, self._plan) as view:
            done = await rehearse(
                self._plan, stack.base_url, key.text, stack.settings, say=self._say, watch=view
            )
        seen = done.seen
        found = judge(seen)
        advice = advise(self._plan, seen.record)
        wall_s = time.monotonic() - began
        report = report_on(seen, found, advice, sale_s=done.sale_s, wall_s=wall_s)
        print_audit(seen.audit, stack.settings.region, self._console)
        print_report(report, found, self._console)
        if self._picture is not None:
            drawing = picture_of(report, self._plan, seen.samples, done.opens_s)
            self._picture.write_text(drawing, encoding="utf-8")
            self._say(f"the picture is in {self._picture}")
        return report

    def _say(self, line: str) -> None:
        self._console.print(f"onsale: {line}", highlight=False, markup=False)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's: everybody who comes shares one core."""
    import uvloop  # noqa: PLC0415 -- not needed to show the help

    return uvloop.new_event_loop
