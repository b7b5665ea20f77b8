"""Plays a Locust scenario at a venue, watches it, and audits afterwards.

Locust is a process of its own: gevent's patches stay in there.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from engine.platform.settings import Settings
from loadtests.auditor import AuditResult, audit
from loadtests.spike.lag import Recorder, open_recorder
from loadtests.spike.queue_watch import QueueWatch
from loadtests.spike.seconds import (
    FAILED,
    IN_A_BATCH,
    TOLD_TO_WAIT,
    Counted,
    SecondsReader,
    count,
    read_seconds,
)
from loadtests.spike.venue import Venue
from loadtests.spike.watching import Sample, Watch

SCENARIOS: Final = Path(__file__).parents[1] / "scenarios"

_ROOT: Final = Path(__file__).parents[2]
_LOOPBACK: Final = "127.0.0.1"
_LAST_TASKS_S: Final = 20
_GRACE_S: Final = 30.0
_DRAIN_S: Final = 60.0
_TOLD_EVERY_S: Final = 5.0


class ScenarioError(Exception):
    """Locust could not play a scenario; the message has what it said."""


class Scenario(StrEnum):
    """The files of loadtests/scenarios."""

    ON_SALE = "on_sale"
    BROWSE = "browse"
    RESELLER_FEED = "reseller_feed"
    SOAK = "soak"


class Play(Struct, frozen=True, kw_only=True):
    """What to play, and how large."""

    scenario: Scenario
    users: int
    rate: float
    """How many of them come a second."""
    seconds: int
    web_port: int | None
    """Where Locust's own page is served; None plays without one."""
    report: Path
    """The folder for Locust's reports and its log."""

    def file(self, venue: Venue) -> Path:
        """Return the Locust file: another one where visitors wait for their turn."""
        ending = "" if venue.queue is None else "_queued"
        return SCENARIOS / f"{self.scenario}{ending}.py"


class Played(Struct, frozen=True):
    """What came of it."""

    requests: Counted
    commands: Counted
    """What came in batches, command by command."""
    watch: Watch
    audit: AuditResult | None
    """None where the stores can't be reached from here."""
    queue: QueueWatch | None = None
    """The looks at the waiting room, if there is one and its store can be reached."""

    @property
    def failures(self) -> int:
        """Requests that failed, as target.py has it."""
        return sum(
            _total(part, lambda _, answer: answer.endswith(FAILED))
            for part in (self.requests, self.commands)
        )

    @property
    def told_to_wait(self) -> int:
        """Answers that asked to come again later."""
        return _total(self.requests, lambda kind, _: kind.endswith(TOLD_TO_WAIT))


async def run_play(
    play: Play, venue: Venue, settings: Settings | None, say: Callable[[str], None]
) -> Played:
    """Play it to its end, or until SIGINT; then, with the stores' settings, audit the show.

    Raises:
        ScenarioError: Locust failed by itself, or did not end.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store can't be
            read.
    """
    with tempfile.TemporaryDirectory(prefix="onsale-spike-") as name:
        folder = Path(name)
        async with _recorder(settings, venue) as recorder:
            watch = Watch(venue.parts, recorder)
            async with _watched_queue(settings, venue) as queue:
                await _play_and_watch(play, venue, folder, watch, say)
            if recorder is not None and not await watch.look_until_drained(_DRAIN_S):
                say(f"the recorder was not done within {_DRAIN_S:.0f} s")
        seconds = read_seconds(folder)
    requests = count(seconds, lambda kind: not kind.endswith(IN_A_BATCH))
    commands = count(seconds, lambda kind: kind.endswith(IN_A_BATCH))
    if settings is None:
        return Played(requests, commands, watch, None, queue)
    say("auditing")
    result = await audit(settings, show=venue.show_number)
    return Played(requests, commands, watch, result, queue)


async def _play_and_watch(
    play: Play, venue: Venue, folder: Path, watch: Watch, say: Callable[[str], None]
) -> None:
    progress = _Progress(folder, say)
    over = asyncio.Event()
    looking = asyncio.create_task(watch.look_on(progress.see, over))
    try:
        await _run_locust(play, venue, folder)
    finally:
        over.set()
        await looking


async def _run_locust(play: Play, venue: Venue, folder: Path) -> None:
    log_path = play.report / "locust.log"
    target = {"TARGET_API_KEY": venue.api_key, "TARGET_SHOW": venue.show}
    with log_path.open("wb") as log:
        locust = await asyncio.create_subprocess_exec(
            *_command(play, venue),
            cwd=_ROOT,
            env=os.environ | target | {"SPIKE_FOLDER": str(folder)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C reaches us alone, and we hand it on, once.
            start_new_session=True,
        )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, _hand_on, locust)
    limit_s = None if play.web_port is not None else play.seconds + _LAST_TASKS_S + _GRACE_S
    try:
        async with asyncio.timeout(limit_s):
            await locust.wait()
    except TimeoutError as error:
        msg = f"Locust did not end {_GRACE_S:.0f} s after its time; its log: {log_path}"
        raise ScenarioError(msg) from error
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        if locust.returncode is None:
            locust.kill()
            await locust.wait()
    if locust.returncode != 0:
        tail = log_path.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
        msg = f"Locust ended with exit code {locust.returncode}; its log, {log_path}, ends:\n{tail}"
        raise ScenarioError(msg)


def _command(play: Play, venue: Venue) -> Sequence[str]:
    if play.web_port is None:
        way = ["--headless", "--only-summary"]
    else:
        way = ["--web-host", _LOOPBACK, "--web-port", str(play.web_port)]
    return [
        *(sys.executable, "-m", "locust", "-f", str(play.file(venue))),
        *("--host", venue.base_url, "--users", str(play.users), "--spawn-rate", f"{play.rate:g}"),
        *("--run-time", f"{play.seconds}s", "--stop-timeout", str(_LAST_TASKS_S), *way),
        *("--html", str(play.report / "locust.html"), "--csv", str(play.report / "locust")),
        *("--json-file", str(play.report / "locust"), "--loglevel", "WARNING"),
        # What failed is counted here, from what the scenario leaves; Locust's own is a crash.
        *("--exit-code-on-error", "0"),
    ]


def _hand_on(locust: asyncio.subprocess.Process) -> None:
    """Ask Locust to end, and see to it that it does."""
    if locust.returncode is None:
        locust.send_signal(signal.SIGINT)
        asyncio.get_running_loop().call_later(_LAST_TASKS_S + _GRACE_S, _end, locust)


def _end(locust: asyncio.subprocess.Process) -> None:
    if locust.returncode is None:
        locust.kill()


@asynccontextmanager
async def _recorder(settings: Settings | None, venue: Venue) -> AsyncGenerator[Recorder | None]:
    if settings is None:
        yield None
        return
    async with open_recorder(settings, venue.show_number) as recorder:
        yield recorder


@asynccontextmanager
async def _watched_queue(
    settings: Settings | None, venue: Venue
) -> AsyncGenerator[QueueWatch | None]:
    """Look at the waiting room, if there is one, for as long as the block lasts."""
    if settings is None or venue.queue is None:
        yield None
        return
    watch = QueueWatch(settings, venue.show_number, venue.queue)
    over = asyncio.Event()
    looking = asyncio.create_task(watch.look_on(over))
    try:
        yield watch
    finally:
        over.set()
        await looking


class _Progress:
    """Tells how far it is."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._seconds = SecondsReader(folder)
        self._say = say
        self._answered = 0
        self._told_at = time.monotonic()

    def see(self, _sample: Sample) -> None:
        if time.monotonic() - self._told_at < _TOLD_EVERY_S:
            return
        self._told_at = time.monotonic()
        counted = count(self._seconds.read_on())
        self._answered += counted.answered
        p99_ms = counted.all_took.percentile_ms(0.99)
        self._say(
            f"{self._answered:,} answers; p99 of the last {counted.answered:,}: {p99_ms:.0f} ms"
        )


def _total(counted: Counted, counts: Callable[[str, str], bool]) -> int:
    return sum(
        number
        for kind, answers in counted.answers.items()
        for answer, number in answers.items()
        if counts(kind, answer)
    )
