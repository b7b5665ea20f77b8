"""`./onsale spike`: traffic as an on-sale brings it, and an audit afterwards."""

import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
import click
import msgspec
from msgspec import Struct
from redis.exceptions import RedisError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.logs import configure_logs
from engine.platform.settings import Settings
from loadtests.auditor.report import open_console, print_audit
from loadtests.bench.machine import read_machine
from loadtests.buyers.desk import GaveUpError
from loadtests.buyers.show_setup import RefusedShowError
from loadtests.generated_plans import SEATS_MAX, arena_plan
from loadtests.generator import GeneratorError, find_generator
from loadtests.spike.playing import Play, Scenario, ScenarioError, run_play
from loadtests.spike.queue_watch import Look, QueueRules
from loadtests.spike.report import (
    PlayReport,
    RushReport,
    print_report,
    report_play,
    report_queued,
    report_rush,
    write_report,
)
from loadtests.spike.rush import Rush, run_rush
from loadtests.spike.seconds import Moment
from loadtests.spike.venue import Venue
from loadtests.spike.watching import Watch
from ops.child import StackError
from ops.places import HOME
from ops.port import Port, PortTakenError
from ops.spike_venue import (
    JOIN_LIMITS,
    NOT_AUDITED,
    Elsewhere,
    find_elsewhere,
    open_show,
    rules_for,
    visit,
)
from ops.stack import Stack

_WRK: Final = HOME / "tools" / "wrk"
_PLAYED_S: Final = 60
_SOAKED_S: Final = 2 * 60 * 60
_TIME: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
_FAILURES: Final = (
    GaveUpError,
    GeneratorError,
    RefusedShowError,
    ScenarioError,
    RedisError,
    SQLAlchemyError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
)


def _read_length(_: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return `90`, `90s`, `5m`, `2h` or `1h30m` as seconds."""
    if value is None:
        return None
    match = _TIME.fullmatch(value)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    length = hours * 3600 + minutes * 60 + seconds
    if length == 0:
        msg = f"{value!r} is no time, such as 90s, 5m or 1h30m"
        raise click.BadParameter(msg, param=parameter)
    return length


@click.command(name="spike")
@click.argument("scenario", type=click.Choice([s.value for s in Scenario]), required=False)
@click.option(
    "--scenario",
    "named",
    type=click.Choice([s.value for s in Scenario]),
    help="The same as the argument.",
)
@click.option(
    "--queue",
    "queued",
    is_flag=True,
    help="on_sale only: behind a waiting room, whose rules follow from --users; with --host, "
    "behind the one that the show has.",
)
@click.option(
    "--requests",
    type=click.IntRange(1),
    help="Send exactly this many holds, purchases and releases, as fast as they go, instead of "
    "playing a scenario.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 20_000),
    default=1000,
    show_default=True,
    help="For --requests: how many wait for an answer at once.",
)
@click.option("--users", type=click.IntRange(1), default=200, show_default=True, help="Visitors.")
@click.option(
    "--rate", type=click.FloatRange(0.01), help="Visitors who come a second. Left out: all at once."
)
@click.option(
    "--time",
    "seconds",
    callback=_read_length,
    help="How long a scenario lasts: 90s, 5m, 2h. Left out: a minute; soak 2 hours.",
)
@click.option("--web", is_flag=True, help="With Locust's own page, until Ctrl-C.")
@click.option(
    "--web-port", type=click.IntRange(1, 65_535), help="The page's port. Left out: any free one."
)
@click.option("--host", help="Play at this deployment, as http://..., and start nothing here.")
@click.option("--api-key", envvar="TARGET_API_KEY", help="For --host. [env: TARGET_API_KEY]")
@click.option("--show", envvar="TARGET_SHOW", help="For --host: its id. [env: TARGET_SHOW]")
@click.option("--no-audit", is_flag=True, help="For --host: its stores can't be reached from here.")
@click.option(
    "--seats",
    type=click.IntRange(1, SEATS_MAX),
    default=60_000,
    show_default=True,
    help="Of the arena that is put on sale here.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="API's.")
@click.option(
    "--report",
    "report_folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the reports go. Left out: a new folder in .onsale/spike.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--keep", is_flag=True, help="Keep the data and logs, and say where they are.")
def command(  # noqa: PLR0913 -- click hands each option over by itself
    *,
    scenario: str | None,
    named: str | None,
    queued: bool,
    requests: int | None,
    connections: int,
    users: int,
    rate: float | None,
    seconds: int | None,
    web: bool,
    web_port: int | None,
    host: str | None,
    api_key: str | None,
    show: str | None,
    no_audit: bool,
    seats: int,
    workers: int,
    report_folder: Path | None,
    as_json: bool,
    keep: bool,
) -> None:
    r"""Play the traffic of an on-sale, and audit what came of it.

    Starts a platform of its own in a temporary directory, with a show, or plays at a deployment
    that runs elsewhere (--host). The scenarios are Locust's: on_sale (the default), browse,
    reseller_feed, soak. With --requests a compiled generator sends that many requests instead.

    Exits with 0 only if nothing failed and the audit is clean: throughput without it is a failure.
    docs/LOADTESTS.md tells what the scenarios imitate and how to read the reports.

    \b
    Examples:
      ./onsale spike
      ./onsale spike --requests 1000000 --json
      ./onsale spike --scenario on_sale --queue --users 300 --time 2m
      ./onsale spike browse --users 500 --time 5m --web
      ./onsale spike soak --time 8h --host https://tickets.example --api-key ... --show shw_...
    """
    scenario = _one_of(scenario, named)
    if requests is not None and (scenario or web or host or queued):
        msg = (
            "--requests has a mix and a platform of its own: no scenario, --web, --host or --queue "
            "with it"
        )
        raise click.UsageError(msg)
    if queued and scenario not in {None, Scenario.ON_SALE}:
        msg = f"--queue is for {Scenario.ON_SALE}, not for {scenario}"
        raise click.UsageError(msg)
    name = "requests" if requests is not None else scenario or Scenario.ON_SALE.value
    elsewhere = find_elsewhere(host, api_key, show, audited=not no_audit) if host else None
    configure_logs("warning")
    stage = _Stage(
        console=open_console(stderr=as_json),
        folder=_make_folder(report_folder, name),
        elsewhere=elsewhere,
        seats=seats,
        workers=workers,
        keep=keep,
        queue=rules_for(users) if queued else None,
    )
    if requests is not None:
        report = stage.rush(requests, connections)
    else:
        played_s = seconds or (_SOAKED_S if name == Scenario.SOAK else _PLAYED_S)
        report = stage.play(
            Play(
                scenario=Scenario(name),
                users=users,
                rate=rate or users,
                seconds=played_s,
                web_port=_free_port(web_port) if web else None,
                report=stage.folder,
            )
        )
    if as_json:
        click.echo(msgspec.json.encode(report))
    if not report.is_good:
        sys.exit(1)


class _Stage(Struct, frozen=True, kw_only=True):
    """Where runs take place, and where their reports go."""

    console: Console
    folder: Path
    elsewhere: Elsewhere | None
    seats: int
    workers: int
    keep: bool
    queue: QueueRules | None

    def rush(self, requests: int, connections: int) -> RushReport:
        """Send a number of requests to a platform of one's own."""
        machine = read_machine()
        wrk = find_generator(_WRK, self.say)
        rush = Rush(requests=requests, connections=connections, wrk=wrk)
        with self._venue() as (venue, settings):
            if settings is None:
                raise click.UsageError(NOT_AUDITED)
            self.say(f"sending {requests:,} requests over {connections:,} connections")
            rushed = asyncio.run(run_rush(rush, venue, settings, self.say))
        report = report_rush(
            rush,
            rushed,
            seats=self.seats,
            workers=self.workers,
            machine=machine,
            folder=self.folder,
        )
        print_audit(rushed.audit, settings.region, self.console)
        title = f"{requests:,} requests at a show of {self.seats:,} seats"
        self._tell(report, title, rushed.counted.moments, rushed.watch)
        return report

    def play(self, play: Play) -> PlayReport:
        """Play a scenario."""
        machine = read_machine()
        with self._venue() as (venue, settings):
            if play.web_port is None:
                self.say(f"playing {play.scenario}: {play.users:,} visitors, {play.seconds:,} s")
            else:
                self.say(f"Locust's page: http://127.0.0.1:{play.web_port}; Ctrl-C ends and audits")
            played = asyncio.run(run_play(play, venue, settings, self.say))
        if played.audit is not None and settings is not None:
            print_audit(played.audit, settings.region, self.console)
        title = f"{play.scenario}: {play.users:,} visitors at once"
        if venue.queue is None:
            report = report_play(play, played, machine)
        else:
            report = report_queued(play, played, machine, venue.queue)
            title += ", behind a waiting room"
        looks = played.queue.looks if played.queue else ()
        self._tell(report, title, played.requests.moments, played.watch, looks)
        return report

    def say(self, line: str) -> None:
        """Tell how far it is."""
        self.console.print(f"onsale: {line}", highlight=False, markup=False)

    def _tell(
        self,
        report: RushReport | PlayReport,
        title: str,
        moments: list[Moment],
        watch: Watch,
        looks: Sequence[Look] = (),
    ) -> None:
        write_report(report, title, moments, watch, self.folder, looks=looks)
        print_report(report, title, self.console)

    @contextmanager
    def _venue(self) -> Generator[tuple[Venue, Settings | None]]:
        """Yield the deployment that was named, else a platform of our own with a show."""
        if self.elsewhere is not None:
            try:
                yield visit(self.elsewhere, queued=self.queue is not None), self.elsewhere.settings
            except _FAILURES as error:
                raise click.ClickException(_told(error)) from error
            return
        directory = Path(tempfile.mkdtemp(prefix="onsale-spike-"))
        kept = self.keep
        try:
            self.say("starting a platform")
            with Stack(
                directory,
                environment={} if self.queue is None else JOIN_LIMITS,
                api_workers=self.workers,
                report=lambda _: None,
            ) as stack:
                self.say(f"putting {self.seats:,} seats on sale")
                yield (
                    asyncio.run(open_show(stack, arena_plan(self.seats), self.queue)),
                    stack.settings,
                )
        except StackError:
            kept = True  # its message names a log
            raise
        except _FAILURES as error:
            kept = True
            msg = f"{_told(error)}\nlogs: {directory / 'logs'}"
            raise click.ClickException(msg) from error
        finally:
            if kept:
                self.say(f"data and logs are kept in {directory}")
            else:
                shutil.rmtree(directory, ignore_errors=True)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _one_of(argument: str | None, option: str | None) -> str | None:
    if argument and option and argument != option:
        msg = f"{argument} and --scenario {option}: name one scenario"
        raise click.UsageError(msg)
    return argument or option


def _make_folder(asked: Path | None, name: str) -> Path:
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = asked or HOME / "spike" / f"{name}-{now}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} can't be made: {error.strerror}"
        raise click.BadParameter(msg, param_hint="--report") from error
    return folder.absolute()


def _free_port(asked: int | None) -> int:
    try:
        with Port("127.0.0.1", asked or 0) as port:
            return port.number
    except PortTakenError as error:
        raise click.BadParameter(str(error), param_hint="--web-port") from error
