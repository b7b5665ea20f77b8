"""Reads both stores after a round, through the auditor's own readers, in the checker's words."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.settings import Settings
from loadtests.auditor.judge_both import on_the_way
from loadtests.auditor.judge_store import stands
from loadtests.auditor.ledger import LedgerOrder, LedgerShow, open_ledger, read_ledger
from loadtests.auditor.servers import open_servers
from loadtests.auditor.store import LIVE, StoreView, read_guard, read_show
from loadtests.checker.show import AreaCounts, Ledger, Order, Store, StoreHold

REDIS_TIMEOUT_S: Final = 5
PAUSE_S: Final = 0.1

_HEX_OF_A_NUMBER: Final = 16
_MS_NS: Final = 1_000_000
_STATES: Final[dict[int, Literal["open", "held", "sold", "blocked"]]] = {
    ord("o"): "open",
    ord("h"): "held",
    ord("s"): "sold",
    ord("b"): "blocked",
}
_STATUS: Final[dict[str, Literal["confirmed", "conflict", "returned"]]] = {
    "confirmed": "confirmed",
    "conflict": "conflict",
    "returned": "returned",
}
_Read = Callable[[int], Awaitable[LedgerShow]]

_FAILURES: Final = (RedisError, SQLAlchemyError, OSError, TimeoutError)


class UnsettledError(Exception):
    """The show did not come to rest within patience; the message says what it waits for."""


class Left(Struct, frozen=True):
    """What was left of a show when everything had come to rest."""

    ledger: Ledger
    store: Store
    epoch: int


class Hall(Struct, frozen=True):
    """How a show's places are called outside."""

    show: str
    labels: dict[int, str]
    """By position."""
    areas: tuple[str, ...]
    """Slugs, by index."""

    @property
    def number(self) -> int:
        """The show as the stores know it."""
        return int(self.show[-_HEX_OF_A_NUMBER:], 16)


async def read_when_settled(
    settings: Settings, hall: Hall, utc_offset_ns: int, patience_s: float
) -> Left:
    """Wait until the show is open and all its sales are recorded, and read it.

    Raises:
        UnsettledError: it did not come to that.
    """
    ends = time.monotonic() + patience_s
    while True:
        waits_for = "the stores"
        try:
            async with _open_stores(settings, hall.number) as (redis, read_from_ledger):
                guard = await read_guard(redis)
                # Redis first: so the ledger can only be ahead of what is compared with it.
                view = await read_show(redis, hall.number)
                read_ns = time.monotonic_ns()
                ledger = await read_from_ledger(hall.number)
                # A call that was lost may have acted in between.
                has_moved = (await read_show(redis, hall.number)).last != view.last
            if has_moved:
                waits_for = "a late sale"
            elif not stands(view, guard):
                waits_for = f"its recovery; it is {view.meta.get('state', 'unknown')}"
            elif on_the_way(ledger, view):
                waits_for = f"{len(on_the_way(ledger, view))} sales to be recorded"
            elif view.return_no < ledger.return_no:
                waits_for = f"returns {view.return_no + 1} to {ledger.return_no} to be applied"
            else:
                return Left(
                    _ledger(ledger, hall, settings.region),
                    _store(view, hall, settings.region, read_ns, utc_offset_ns),
                    ledger.epoch,
                )
        except _FAILURES as error:
            waits_for = f"the stores: {error!r}"
        if time.monotonic() > ends:
            msg = f"show {hall.show} did not rest in {patience_s:.0f} s; it waits for {waits_for}"
            raise UnsettledError(msg)
        await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def _open_stores(settings: Settings, show: int) -> AsyncGenerator[tuple[Redis, _Read]]:
    async with open_servers(settings.redis_url) as servers, open_ledger(settings) as connection:
        await servers.look()

        async def read(show: int) -> LedgerShow:
            async with connection.begin():
                return (await read_ledger(connection, [show]))[show]

        yield servers.of(show), read


def _ledger(ledger: LedgerShow, hall: Hall, region: str) -> Ledger:
    return Ledger(tuple(_order(order, hall, region) for order in ledger.orders.values()))


def _order(order: LedgerOrder, hall: Hall, region: str) -> Order:
    return Order(
        order=f"ord_{region}_{hall.number:016x}{order.id.hex()}",
        hold=f"hld_{region}_{order.id.hex()}",
        buyer=order.buyer,
        status=_STATUS[order.status],
        seats=tuple(sorted(hall.labels[seat] for seat in order.sold_seats)),
        areas={hall.areas[area]: count for area, count in order.sold_areas},
    )


def _store(view: StoreView, hall: Hall, region: str, read_ns: int, utc_offset_ns: int) -> Store:
    states = view.seats or b""
    return Store(
        read_ns=read_ns,
        seats={
            label: _STATES[states[position]]
            for position, label in hall.labels.items()
            if position < len(states) and states[position] in _STATES
        },
        areas={
            slug: AreaCounts(counts.open, counts.held, counts.sold, counts.blocked)
            for index, slug in enumerate(hall.areas)
            if (counts := view.areas.get(index)) is not None
        },
        holds=tuple(
            StoreHold(
                hold=f"hld_{region}_{hold.hex()}",
                buyer=record.buyer,
                deadline_ns=record.until_ms * _MS_NS + utc_offset_ns,
                seats=tuple(sorted(hall.labels[seat] for seat in record.seats)),
                areas={hall.areas[area]: count for area, count in record.areas},
            )
            for hold, record in view.holds.items()
            if record.state == LIVE
        ),
    )
