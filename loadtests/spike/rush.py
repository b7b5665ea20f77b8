"""A rush: an exact number of requests at one show, as fast as they go, watched, then audited."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from engine.platform.settings import Settings
from loadtests.auditor import AuditResult, audit
from loadtests.bench.processes import family
from loadtests.buyers.verdict import Verdict, reach_verdict
from loadtests.spike.generating import Errand, Sent, read_receipts, send
from loadtests.spike.groups import read_groups
from loadtests.spike.lag import open_recorder
from loadtests.spike.processes import is_called
from loadtests.spike.seconds import Counted, SecondsReader, count, read_seconds
from loadtests.spike.venue import Venue
from loadtests.spike.watching import Sample, Watch

_DRAIN_S: Final = 120.0
_VERDICT_S: Final = 10.0
_STALLED_S: Final = 60.0
_TOLD_EVERY_S: Final = 5.0
_EXPECTED: Final[Mapping[str, frozenset[str]]] = {
    "hold": frozenset({"201"}),
    "purchase": frozenset({"201", "202"}),
    "release": frozenset({"204"}),
}
_THE_SALES_ANSWER: Final = frozenset({"409", "410"})
OVERLOADED: Final = "overloaded"


class Rush(Struct, frozen=True, kw_only=True):
    """How much to send, over how many connections, by what."""

    requests: int
    connections: int
    wrk: Path | None
    """The compiled generator; without it the one in Python sends."""


class Rushed(Struct, frozen=True):
    """What came of it."""

    sent: Sent
    counted: Counted
    watch: Watch
    drained_s: float
    """How long the recorder took after the last answer."""
    told_sold: int
    """Tickets that the buyers were told they had."""
    verdict: Verdict
    audit: AuditResult

    @property
    def overloaded(self) -> int:
        """Requests that were turned away because too much was waiting."""
        return sum(counts.get(OVERLOADED, 0) for counts in self.counted.answers.values())

    @property
    def errors(self) -> int:
        """Connections that failed, and answers that are neither asked for nor the sale's."""
        return sum(self.sent.errors.values()) + count_strange(self.counted.answers)


def count_strange(answers: Mapping[str, Mapping[str, int]]) -> int:
    """Count what may not be: a 5xx that is not `overloaded`, a 4xx that is not 409 or 410."""
    return sum(
        number
        for kind, counts in answers.items()
        for answer, number in counts.items()
        if answer not in _EXPECTED.get(kind, frozenset()) | _THE_SALES_ANSWER | {OVERLOADED}
    )


async def run_rush(
    rush: Rush, venue: Venue, settings: Settings, say: Callable[[str], None]
) -> Rushed:
    """Send everything, wait until the recorder is done, and judge.

    Raises:
        GaveUpError: the show can't be looked at.
        GeneratorError: the load generator failed.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store can't be
            read.
    """
    number = venue.show_number
    groups = await read_groups(venue.base_url, venue.api_key, venue.show)
    with tempfile.TemporaryDirectory(prefix="onsale-spike-") as name:
        folder = Path(name)
        errand = Errand(
            base_url=venue.base_url,
            api_key=venue.api_key,
            show=venue.show,
            requests=rush.requests,
            connections=rush.connections,
            groups=groups,
            folder=folder,
        )
        async with open_recorder(settings, number) as recorder:
            watch = Watch(venue.parts, recorder)
            sent, drained_s = await _send_and_drain(errand, rush.wrk, watch, say)
        counted = count(read_seconds(folder))
        tally = read_receipts(folder, groups)
    say("comparing what the buyers were told with the ledger")
    verdict = await reach_verdict(
        settings, number, tally, expected=tally.tickets, patience_s=_VERDICT_S
    )
    say("auditing")
    return Rushed(
        sent=sent,
        counted=counted,
        watch=watch,
        drained_s=drained_s,
        told_sold=tally.tickets,
        verdict=verdict,
        audit=await audit(settings, show=number),
    )


async def _send_and_drain(
    errand: Errand, wrk: Path | None, watch: Watch, say: Callable[[str], None]
) -> tuple[Sent, float]:
    """Return how the sending went, and how long the recorder took after it."""
    over = asyncio.Event()
    progress = _Progress(errand, say)
    looking = asyncio.create_task(watch.look_on(progress.see, over))
    try:
        sent = await asyncio.to_thread(send, errand, wrk)
    finally:
        over.set()
        await looking
    began = time.monotonic()
    if not await watch.look_until_drained(_DRAIN_S):
        say(f"the recorder was not done within {_DRAIN_S:.0f} s")
    return sent, time.monotonic() - began


class _Progress:
    """Tells how far it is, and ends a wrk whose last answers do not come any more.

    wrk waits for an answer for ever once a connection has broken with a request on it.
    """

    def __init__(self, errand: Errand, say: Callable[[str], None]) -> None:
        self._errand = errand
        self._say = say
        self._seconds = SecondsReader(errand.folder)
        self._answered = 0
        self._moved_at = time.monotonic()
        self._told_at = self._moved_at

    def see(self, sample: Sample) -> None:
        answered = count(self._seconds.read_on()).answered
        now = time.monotonic()
        if answered:
            self._answered += answered
            self._moved_at = now
        elif now - self._moved_at > _STALLED_S:
            for pid in family(os.getpid()):
                if is_called(pid, "wrk"):
                    os.kill(pid, signal.SIGINT)
        if now - self._told_at > _TOLD_EVERY_S:
            self._told_at = now
            lag = "unknown" if sample.lag is None else f"{sample.lag:,}"
            so_far = f"{self._answered:,} of {self._errand.requests:,}"
            self._say(f"{so_far} requests answered, recorder's lag {lag}")
