"""`record`: sales per second from the stream to committed rows, beside COPY of the same rows.

While the worker stands still, a show sells orders of two seats. Then the worker goes on, and the
time from there until its position behind the last of them is committed counts: what it takes to
wake up is in it. The show has sold one order before, so that the hall's plan is compiled, as it
is when an on-sale has begun.

The control copies the very rows that came of it: see `loadtests.controls.copied`. Nothing is
pinned: the worker and PostgreSQL take what cores there are, as the control's two ends do.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import connect_once
from engine.platform.settings import AUDITOR_ROLE, Settings
from loadtests.auditor import audit
from loadtests.bench.batch_door import COMMANDS_MAX, BatchDoor, Hold, hold_seats, runs_of
from loadtests.bench.http_bench import BenchError
from loadtests.bench.measurement import Bench, Figure, Site, alternate
from loadtests.bench.processes import cpu_seconds
from loadtests.bench.script import worker_paused
from loadtests.buyers.show_setup import put_on_sale
from loadtests.controls.copied import open_copy_control
from loadtests.generated_plans import arena_plan

RATIO_MIN: Final = 0.3

_ORDERS: Final = 10_000
_SEATS_SPARE: Final = 1.1
"""Seats at the end of an odd run have no neighbour left."""
_POLL_S: Final = 0.01
_RECORDED_WITHIN_S: Final = 120.0

_ID_HEX: Final = 16
_SERVER_SETTINGS: Final = ("server_version", "fsync", "full_page_writes", "synchronous_commit")
_POSITION: Final = text(
    "SELECT seq + 1 AS sales FROM recorder_positions WHERE show_id = :show AND epoch > 0"
)
_SOLD: Final = text(
    "SELECT count(DISTINCT orders.id) AS orders, count(*) AS tickets FROM orders"
    " JOIN tickets ON order_id = orders.id"
    " WHERE orders.show_id = :show AND orders.status = 'confirmed'"
)


class Spending(Struct):
    """What one side took in all rounds."""

    orders: int = 0
    wall_s: float = 0.0
    cpu_s: dict[str, float] = {}

    def add(self, orders: int, wall_s: float, cpu_s: dict[str, float]) -> None:
        """Count a round."""
        self.orders += orders
        self.wall_s += wall_s
        self.cpu_s = {part: self.cpu_s.get(part, 0.0) + used for part, used in cpu_s.items()}

    @property
    def cpu_us(self) -> float:
        """CPU time of all parts for each order."""
        return sum(self.cpu_s.values()) / self.orders * 1e6

    def told(self) -> dict[str, Any]:
        """Return it for the details."""
        return {
            "orders": self.orders,
            "wall_s": round(self.wall_s, 3),
            "cpu_us_an_order": {
                part: round(used / self.orders * 1e6, 1) for part, used in self.cpu_s.items()
            },
        }


def measure(bench: Bench, orders: int = _ORDERS) -> Figure:
    """Return orders recorded a second, beside orders copied a second.

    Raises:
        BenchError: not all of it was recorded, or the audit is not clean.
        UnexpectedAnswerError: the API answered otherwise than hoped for.
    """
    # With the worker stopped no purchase is confirmed: there is nothing to wait for.
    with bench.open_site(confirm_timeout_ms="1") as site:
        trial = _Trial(bench, site, orders)
        rounds = alternate(bench.rounds, trial.record, trial.copy)
        asyncio.run(_audit(site.settings))
        settings = asyncio.run(_server_settings(site.settings))
    return Figure(
        name="record",
        value=round(rounds.value, 1),
        unit="orders/s",
        control=round(rounds.control, 1),
        control_unit="orders/s",
        ratio=round(rounds.ratio, 3),
        target=f"at least {RATIO_MIN:g} of the control",
        met=rounds.ratio >= RATIO_MIN,
        rounds=[(round(value, 1), round(control, 1)) for value, control in rounds.pairs],
        details=trial.details(),
        settings=settings | {"orders_a_round": orders, "seats_an_order": 2, "audit": "clean"},
    )


class _Trial:
    """The rounds on one site, each with a show of its own."""

    def __init__(self, bench: Bench, site: Site, orders: int) -> None:
        self._bench = bench
        self._site = site
        self._orders = orders
        self._plan = arena_plan(int(2 * (orders + 1) * _SEATS_SPARE))
        self._shows: list[int] = []
        self.recording = Spending()
        self.copying = Spending()

    def details(self) -> dict[str, Any]:
        """Return what both sides took."""
        told: dict[str, Any] = {"value": self.recording.told(), "control": self.copying.told()}
        if self.recording.cpu_us:
            # What the ratio would be if all the CPU time of both sides counted: less noisy.
            told["ratio_by_cpu"] = round(self.copying.cpu_us / self.recording.cpu_us, 3)
        return told

    def record(self, _: int) -> float:
        """Let a show sell behind the worker's back, and time how the worker catches up."""
        site = self._site
        show_id = asyncio.run(put_on_sale(site.base_url, site.api_key, self._plan))
        show = int(show_id[-_ID_HEX:], 16)
        first, *others = self._holds()
        with BatchDoor(site, show_id) as door:
            _sell(door, [first])
            asyncio.run(_until_recorded(site.settings, show, 1))
            self._bench.say(f"selling {self._orders:,} orders while the worker stands still")
            with worker_paused(site):
                _sell(door, others)
                before = cpu_seconds(site.processes())
                began = time.perf_counter()
        asyncio.run(_until_recorded(site.settings, show, self._orders + 1))
        wall_s = time.perf_counter() - began
        self.recording.add(self._orders, wall_s, self._used_since(before))
        asyncio.run(check_sold(site.settings, show, self._orders + 1))
        self._shows.append(show)
        self._bench.say(f"recorded {self._orders / wall_s:,.0f} orders a second")
        return self._orders / wall_s

    def copy(self, number: int) -> float:
        """Copy what the worker wrote in this round."""
        wall_s, cpu_s = asyncio.run(self._copy(self._shows[number]))
        orders = self._orders + 1
        self.copying.add(orders, wall_s, cpu_s)
        self._bench.say(f"copied {orders / wall_s:,.0f} orders a second")
        return orders / wall_s

    async def _copy(self, show: int) -> tuple[float, dict[str, float]]:
        async with open_copy_control(self._site.settings.database_url) as control:
            await control.prepare(show)
            before = cpu_seconds(self._site.processes())
            return await control.copy(), self._used_since(before)

    def _holds(self) -> list[Hold]:
        pairs = [
            pair for run in runs_of(self._plan) for pair in zip(run[::2], run[1::2], strict=False)
        ]
        return [hold_seats(pair) for pair in pairs[: self._orders + 1]]

    def _used_since(self, before: dict[str, float]) -> dict[str, float]:
        after = cpu_seconds(self._site.processes())
        return {part: after[part] - used for part, used in before.items()}


def _sell(door: BatchDoor, holds: Sequence[Hold]) -> None:
    for n in range(0, len(holds), COMMANDS_MAX):
        door.purchase(door.hold(holds[n : n + COMMANDS_MAX]))


@asynccontextmanager
async def _looking(settings: Settings) -> AsyncGenerator[AsyncConnection]:
    """Look at the ledger as the auditor may."""
    url, role = settings.database_login(AUDITOR_ROLE)
    async with connect_once(url, role=role) as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


async def _until_recorded(settings: Settings, show: int, orders: int) -> None:
    """Wait until so many sales of a show, counted from its first, are committed."""
    async with _looking(settings) as connection, asyncio.timeout(_RECORDED_WITHIN_S):
        while (await connection.execute(_POSITION, {"show": show})).scalar_one() < orders:  # noqa: ASYNC110 -- the server tells no event
            await asyncio.sleep(_POLL_S)


async def check_sold(settings: Settings, show: int, orders: int) -> None:
    """Check that so many orders of two seats, neither more nor fewer, are confirmed.

    Raises:
        BenchError: they are not.
    """
    async with _looking(settings) as connection:
        sold = (await connection.execute(_SOLD, {"show": show})).one()
    if tuple(sold) != (orders, 2 * orders):
        msg = f"{sold.orders} orders with {sold.tickets} tickets were recorded of {orders} sold"
        raise BenchError(msg)


async def _audit(settings: Settings) -> None:
    result = await audit(settings)
    if not result.is_clean:
        msg = f"the audit is not clean: {result.findings[:3]}"
        raise BenchError(msg)


async def _server_settings(settings: Settings) -> dict[str, str]:
    async with _looking(settings) as connection:
        return {
            name: (await connection.execute(text(f"SHOW {name}"))).scalar_one()
            for name in _SERVER_SETTINGS
        }
