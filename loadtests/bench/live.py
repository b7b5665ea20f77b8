"""`live`: from the script that decided a change to the watcher who is told of it.

So many watch all of a show while it sells at a steady rate: holds, releases, purchases. What
each delta took is counted from its own time, which the script wrote on the store's clock, to the
moment at which the last byte of the frame that tells it was read: one machine has one clock. They
are raw sockets of a process of their own; the first few keep what they are told, and what they then
know must be what the store has. The control is one watcher alone.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Event
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
import redis
from msgspec import Struct

from loadtests.bench.course import Course, OpenShow, open_course
from loadtests.bench.http_bench import BenchError, HttpBench
from loadtests.bench.live_sellers import Sellers
from loadtests.bench.live_told import told_states
from loadtests.bench.live_watchers import Seen, Task
from loadtests.bench.measurement import Figure
from loadtests.bench.processes import cpu_seconds

P99_MS_MAX: Final = 500.0

_SEATS_MAX: Final = 20_000
_HOLDS_PER_S: Final = 100.0
_ADDRESSES: Final = 20
_WATCHING_S: Final = 20.0
_CONTROL_S: Final = 5.0
_SETTLE_S: Final = 3.0
_OPEN_WITHIN_S: Final = 120.0
_ANSWER_WITHIN_S: Final = 60.0
_WARM_UP_S: Final = 2.0
_LAST_FRAMES_S: Final = 1.0
_DELTAS_READ: Final = 20_000
_REDIS_TIMEOUT_S: Final = 30
_PERCENT_OF_ALL: Final = (50, 99)
_LIMIT: Final = "20000"
LIMITS: Final = {
    "live_watchers_max": _LIMIT,
    "live_watchers_of_address_max": _LIMIT,
    "live_watchers_of_reseller_max": _LIMIT,
}
"""All watchers are one machine's, of one reseller: the limits are on, and too high to be met."""


class Watched(Struct, frozen=True):
    """What one number of watchers was told."""

    watchers: int
    p50_ms: float
    p99_ms: float
    deliveries: int
    frames_per_s: float
    deliveries_per_cpu_s: float
    bytes_per_connection: float
    dropped: int
    deltas: int
    cpu_s: dict[str, float]
    watchers_cpu_s: float
    sales: dict[str, int]


def measure(bench: HttpBench) -> Figure:
    """Return the 99th percentile in ms, beside a single watcher's.

    Raises:
        BenchError: a watcher knows anything but the truth, or sales did not succeed.
    """
    count = bench.size.watchers
    seconds = min(_WATCHING_S, bench.size.watching_s)
    with open_course(bench, **LIMITS) as course:
        alone = _Run(bench, course, 1).watch(min(seconds, _CONTROL_S))
        all_told = _Run(bench, course, count).watch(seconds)
        course.audit()
        settings = course.settings
    return Figure(
        name="live",
        value=all_told.p99_ms,
        unit="ms to all watchers, p99",
        control=alone.p99_ms,
        control_unit="ms to one",
        ratio=round(all_told.p99_ms / alone.p99_ms, 3) if alone.p99_ms else None,
        target=f"below {P99_MS_MAX:g} ms",
        met=all_told.p99_ms < P99_MS_MAX and not all_told.dropped,
        rounds=[(all_told.p99_ms, alone.p99_ms)],
        details=msgspec.to_builtins(all_told) | {"control": msgspec.to_builtins(alone)},
        settings=settings
        | {"seats": min(bench.size.seats, _SEATS_MAX), "holds_per_s": _HOLDS_PER_S}
        | {"addresses": _ADDRESSES, "seconds": seconds}
        | LIMITS,
    )


class _Run:
    """A show of its own, and who watches it."""

    def __init__(self, bench: HttpBench, course: Course, watchers: int) -> None:
        self._say = bench.say
        self._course = course
        self._watchers = watchers
        self._show: OpenShow = course.open_show(min(bench.size.seats, _SEATS_MAX))

    def watch(self, seconds: float) -> Watched:
        site, show = self._course.site, self._show
        before = self._resident()
        with self._watching() as watching:
            time.sleep(_SETTLE_S)
            per_connection = (self._resident() - before) / self._watchers
            self._say(f"{self._watchers:,} watch; selling for {seconds:g} s")
            stop = Event()
            with ThreadPoolExecutor(1) as thread:
                sellers = Sellers(site.base_url, site.api_key, show.id)
                selling = thread.submit(sellers.sell, show.groups, _HOLDS_PER_S, stop)
                try:
                    time.sleep(_WARM_UP_S)
                    watching.ask("going")
                    spent = self._cpu()
                    time.sleep(seconds)
                    watching.ask("counted")
                    spent = {part: used - spent[part] for part, used in self._cpu().items()}
                finally:
                    stop.set()
                sales = selling.result()
            time.sleep(_LAST_FRAMES_S)
            seen = watching.stop()
        return self._told(seen, spent, per_connection, sales.statuses)

    def _told(
        self,
        seen: Seen,
        spent: Mapping[str, float],
        per_connection: float,
        sales: dict[str, int],
    ) -> Watched:
        decided = self._decided()
        self._check(seen, sales)
        times, deltas = latencies(seen.deltas, decided)
        p50, p99 = (percentile(times, percent) for percent in _PERCENT_OF_ALL)
        deliveries = sum(count for *_, count in seen.deltas)
        api_s = spent.get("api", 0.0)
        frames_per_s = len({at for at, *_ in seen.deltas}) / seen.wall_s
        self._say(f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, {frames_per_s:.1f} frames a second")
        return Watched(
            watchers=self._watchers,
            p50_ms=p50,
            p99_ms=p99,
            deliveries=deliveries,
            frames_per_s=round(frames_per_s, 2),
            deliveries_per_cpu_s=round(deliveries / api_s) if api_s else 0,
            bytes_per_connection=round(per_connection),
            dropped=seen.dropped,
            deltas=deltas,
            cpu_s={part: round(used, 2) for part, used in spent.items()},
            watchers_cpu_s=round(seen.cpu_s, 2),
            sales=sales,
        )

    def _check(self, seen: Seen, sales: dict[str, int]) -> None:
        """Check that those who kept what they were told know the truth."""
        truth = asyncio.run(_availability(self._course.site.base_url, self._course, self._show.id))
        for kept in seen.kept:
            if told_states(kept) != truth.replace("|", "b"):
                msg = "a watcher was told something else than what the store has"
                raise BenchError(msg)
        wrong = {name: count for name, count in sales.items() if not name[-3:].startswith("2")}
        if wrong or not sales:
            msg = f"sales were answered {sales}"
            raise BenchError(msg)

    def _decided(self) -> list[tuple[str, int]]:
        """Return each delta's sequence and time, in their order."""
        digits = self._show.id.rpartition("_")[2]
        key = f"{{{digits}}}:deltas"
        url = self._course.site.settings.redis_url
        with redis.Redis.from_url(url, socket_timeout=_REDIS_TIMEOUT_S) as store:
            listed: Any = store.xrange(key, count=_DELTAS_READ)
        return [
            (at.decode(), msgspec.msgpack.decode(fields[b"d"], type=list[Any])[1])
            for at, fields in listed
        ]

    def _cpu(self) -> dict[str, float]:
        return cpu_seconds(self._course.site.processes())

    def _resident(self) -> int:
        """Return the bytes of memory that the API has."""
        return sum(map(resident_bytes, self._course.site.processes()["api"]))

    @contextmanager
    def _watching(self) -> Generator["_Watching"]:
        site = self._course.site
        address = urlsplit(site.base_url)
        task = Task(
            host=address.hostname or "",
            port=address.port or 0,
            target=asyncio.run(_watch_url(site.base_url, site.api_key, self._show.id)),
            watchers=self._watchers,
            addresses=_ADDRESSES,
            within_s=_OPEN_WITHIN_S,
        )
        self._say(f"{self._watchers:,} watchers come")
        command = (sys.executable, "-m", "loadtests.bench.live_watchers")
        with subprocess.Popen(  # noqa: S603 - our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            watching = _Watching(process)
            try:
                watching.tell(msgspec.json.encode(task))
                watching.expect("ready")
                yield watching
            finally:
                process.kill()


class _Watching:
    """The watchers' process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def tell(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - as it was started
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def read(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - as it was started
        return self._process.stdout.readline().rstrip()

    def expect(self, word: str) -> None:
        told = self.read().decode()
        if told != word:
            msg = f"the watchers said {told!r} and not {word!r}"
            raise BenchError(msg)

    def ask(self, word: str) -> None:
        self.tell(b"")
        self.expect(word)

    def stop(self) -> Seen:
        self.tell(b"")
        return msgspec.json.decode(self.read(), type=Seen)


def latencies(
    seen: list[tuple[str, int, int]], decided: list[tuple[str, int]]
) -> tuple[Counter[int], int]:
    """Return how often it took how many ms, for each delta of each frame; and how many deltas.

    A frame tells all deltas after the frame before it, up to its own.
    """
    index = {at: n for n, (at, _) in enumerate(decided)}
    ends = sorted({index[at] for at, *_ in seen})
    before = dict(zip(ends[1:], ends, strict=False))
    times: Counter[int] = Counter()
    deltas = 0
    for end in ends[1:]:
        deltas += end - before[end]
    for at, ms, count in seen:
        end = index[at]
        for n in range(before.get(end, end - 1) + 1, end + 1):
            times[ms - decided[n][1]] += count
    return times, deltas


def percentile(times: Mapping[int, int], percent: float) -> float:
    """Return the time that so many of a hundred did not exceed."""
    left = sum(times.values()) * percent / 100
    for value in sorted(times):
        left -= times[value]
        if left <= 0:
            return float(value)
    return 0.0


def resident_bytes(pid: int) -> int:
    """Return what a process has in memory; nothing where nobody can tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0")
    return int(line.split()[1]) * 1024


async def _watch_url(base_url: str, api_key: str, show: str) -> str:
    headers = {"Authorization": f"Bearer {api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{base_url}/v1/shows/{show}/live/tokens", json={}) as answer,
    ):
        if answer.status != HTTPStatus.CREATED:
            msg = f"no watch token: {answer.status} {await answer.text()}"
            raise BenchError(msg)
        return (await answer.json())["url"]


async def _availability(base_url: str, course: Course, show: str) -> str:
    headers = {"Authorization": f"Bearer {course.site.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{base_url}/v1/shows/{show}/availability") as answer,
    ):
        return (await answer.json())["seat_map"]["states"]
