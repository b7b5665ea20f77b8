"""Runs the rounds of one measurement over HTTP: shows, requests, pinning, and what it all cost."""

import asyncio
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol, cast

import redis
from msgspec import Struct, structs

from loadtests.auditor import audit
from loadtests.bench.answers import Expectation, all_confirmed, all_created
from loadtests.bench.http_bench import CONTROL, BenchError, HttpBench, Server
from loadtests.bench.measurement import Figure, Rounds, Site
from loadtests.bench.processes import cpu_seconds
from loadtests.bench.requests import TOGETHER, RequestWriter, seat_groups
from loadtests.bench.spent import GENERATOR, Run, Spent
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan
from loadtests.generator import Load, write_requests
from loadtests.generator.pinning import pin

BARE: Final = "loadtests.controls.bare:app"
CONNECTIONS: Final = 256

_API: Final = "api"
_SERVERS: Final = frozenset({_API, CONTROL})
_CONFIRMED: Final = '"status":"confirmed"'
_SETTLE_S: Final = 0.5
_SELLING_S: Final = 60
_DRAIN_S: Final = 60.0
_DRAIN_PAUSE_S: Final = 0.5
_REDIS_TIMEOUT_S: Final = 30


class Side(StrEnum):
    """Of what is compared."""

    VALUE = "value"
    CONTROL = "control"
    WITH_JOINS = "with_joins"
    """The value once more, while people join a waiting room."""


class OpenShow(Struct, frozen=True):
    """A show on sale."""

    id: str
    groups: list[list[str]]
    """All its seats: neighbours in twos, and odd ones by themselves."""
    requests: RequestWriter

    @property
    def pairs(self) -> list[list[str]]:
        """The neighbours in twos."""
        return [group for group in self.groups if len(group) == TOGETHER]


class Rush(Struct, frozen=True, kw_only=True):
    """Requests to send as fast as they are answered, and what their answers must be."""

    requests: Sequence[bytes]
    expect: Expectation = all_created
    connections: int = CONNECTIONS
    warm_up: int
    """How many of the requests are sent beforehand and not measured."""
    counted: str = ""
    purchase_head: str = ""


class _Store(Protocol):
    """What is asked of the client, whose own types say little."""

    def config_get(self, pattern: str) -> dict[str, str]: ...
    def config_set(self, name: str, value: str) -> object: ...


class Course:
    """One measurement on its way. Get it from `open_course`."""

    def __init__(self, bench: HttpBench, site: Site, folder: Path) -> None:
        """Take the site, and a folder for files of requests."""
        self.site = site
        self.api = Server(site.base_url, _API, site.processes)
        self.folder = folder
        """For files of requests."""
        self._bench = bench
        self._file = folder / "requests"
        self._spent = {side: Spent() for side in Side}
        self._server_parts: dict[Side, str] = {}
        self._settings: dict[str, Any] = {
            "api_workers": site.settings.api_workers,
            "batch_max": site.settings.batch_max,
            "cores": bench.cores,
            "size": bench.size,
            "appendfsync": self.read_store("appendfsync"),
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What was measured how, so far."""
        return self._settings

    def open_show(self, seats: int | None = None, *, api_key: str | None = None) -> OpenShow:
        """Put a fresh show on sale, the site's reseller's or another one's."""
        plan = arena_plan(seats or self._bench.size.seats)
        key = api_key or self.site.api_key
        show = asyncio.run(put_on_sale(self.site.base_url, key, plan))
        return OpenShow(show, seat_groups(plan), RequestWriter(key, show))

    def pin(self) -> None:
        """Give the API its core, and all else of the platform the others."""
        self._pin(self.site.processes())

    def holds(self, show: OpenShow, groups: Iterable[Sequence[str]]) -> Rush:
        """Return holds on these seats, as many as a round may have."""
        size = self._bench.size
        some = islice(groups, size.warm_up + size.requests_max)
        return Rush(requests=list(show.requests.holds(some)), warm_up=size.warm_up)

    def purchases(self, show: OpenShow, groups: Iterable[Sequence[str]]) -> Rush:
        """Return holds on these seats, each to be purchased until it is confirmed."""
        return structs.replace(
            self.holds(show, groups),
            expect=all_confirmed,
            counted=_CONFIRMED,
            purchase_head=show.requests.purchase_head(),
        )

    def sell(self, show: OpenShow, groups: Sequence[Sequence[str]]) -> None:
        """Hold and purchase these seats, unmeasured.

        Raises:
            BenchError: not all of them were sold in time.
        """
        self._bench.say(f"selling {sum(map(len, groups)):,} seats")
        holds = list(show.requests.holds(groups))
        rush = structs.replace(self.purchases(show, ()), requests=holds)
        sold = self._send(self.api, rush, rush.requests, _SELLING_S).units
        if sold != len(groups):
            msg = f"only {sold} of {len(groups)} orders were confirmed within {_SELLING_S} s"
            raise BenchError(msg)

    def run(self, side: Side, server: Server, rush: Rush) -> float:
        """Send it to a server; return the units a second.

        Raises:
            BenchError: an answer was not what it must be.
            GeneratorError: the load generator failed.
        """
        seconds_max = self._bench.size.seconds_max
        self._server_parts[side] = server.part
        self._settings[f"{side}_connections"] = rush.connections
        if rush.warm_up:
            self._send(server, rush, rush.requests[: rush.warm_up], seconds_max)
            time.sleep(_SETTLE_S)
        run = self._send(server, rush, rush.requests[rush.warm_up :], seconds_max)
        self._spent[side].add(run)
        self._bench.say(f"{side} {run.rate:,.0f} a second")
        return run.rate

    def audit(self) -> None:
        """Wait until the ledger has all sales, then compare both stores, and what was answered.

        Raises:
            BenchError: the audit is not clean. Speed without it is worth nothing.
        """
        deadline = time.monotonic() + _DRAIN_S
        while True:
            result = asyncio.run(audit(self.site.settings))
            if not any(row.on_the_way for row in result.rows) or time.monotonic() > deadline:
                break
            time.sleep(_DRAIN_PAUSE_S)
        if not result.is_clean:
            msg = f"the audit is not clean: {result.findings[:3]}"
            raise BenchError(msg)
        self._settings["audit"] = "clean"
        self._settings["seats_held_or_sold"] = sum(row.held + row.sold for row in result.rows)

    def figure(self, name: str, rounds: Rounds, *, units: tuple[str, str], least: float) -> Figure:
        """Return the figure; `units` are value's and control's, `least` the ratio to reach."""
        other_cores = len(self._bench.cores.others)
        details: dict[str, Any] = {"generator": self._bench.generator.name}
        for side, part in self._server_parts.items():
            details[side.value] = self._spent[side].told(part, other_cores)
        spent_us = {s: self._spent[s].cpu_us(part) for s, part in self._server_parts.items()}
        if all(spent_us.values()):
            # What the ratio would be if nothing but the server's CPU counted: less noisy.
            by_cpu = spent_us[Side.CONTROL] / spent_us[Side.VALUE]
            details["ratio_by_server_cpu"] = round(by_cpu, 3)
        return Figure(
            name=name,
            value=round(rounds.value, 1),
            unit=units[0],
            control=round(rounds.control, 1),
            control_unit=units[1],
            ratio=round(rounds.ratio, 3),
            target=f"at least {least:g} of the control",
            met=rounds.ratio >= least,
            rounds=[(round(value, 1), round(control, 1)) for value, control in rounds.pairs],
            details=details,
            settings=self._settings,
        )

    def read_store(self, name: str) -> str:
        """Return a setting of the store."""
        with self._store() as store:
            return store.config_get(name)[name]

    def change_store(self, name: str, value: str) -> None:
        """Change a setting of the store while it runs."""
        with self._store() as store:
            store.config_set(name, value)

    @contextmanager
    def _store(self) -> Generator[_Store]:
        url = self.site.settings.redis_url
        with redis.Redis.from_url(
            url, socket_timeout=_REDIS_TIMEOUT_S, decode_responses=True
        ) as client:
            yield cast("_Store", client)

    def _send(self, server: Server, rush: Rush, requests: Iterable[bytes], seconds_max: int) -> Run:
        write_requests(self._file, requests)
        processes = dict(self.site.processes()) | dict(server.processes())
        self._pin(processes)
        before = cpu_seconds(processes)
        result = self._bench.generator.send(
            Load(
                url=server.base_url,
                requests=self._file,
                connections=rush.connections,
                seconds_max=seconds_max,
                cpus=self._bench.cores.others,
                counted=rush.counted,
                purchase_head=rush.purchase_head,
            )
        )
        after = cpu_seconds(processes)
        cpu_s = {part: after[part] - before[part] for part in after}
        return Run(result, rush.expect(result), cpu_s | {GENERATOR: result.cpu_s})

    def _pin(self, processes: Mapping[str, Sequence[int]]) -> None:
        cores = self._bench.cores
        for part, pids in processes.items():
            pin(pids, cores.server if part in _SERVERS else cores.others)


@contextmanager
def open_course(bench: HttpBench, **settings: str) -> Generator[Course]:
    """Start a throw-away site for one measurement, with these settings beside the usual ones."""
    with (
        tempfile.TemporaryDirectory(prefix="onsale-bench-") as folder,
        bench.open_site(**settings) as site,
    ):
        yield Course(bench, site, Path(folder))
