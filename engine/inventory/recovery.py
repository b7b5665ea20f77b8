"""Brings a show back after its server restarted, was replaced, or lost its data.

Five steps, safe to repeat and to run twice at once: commit the next epoch, the fencing token;
claim the show under it, so that nothing changes any more; drain the surviving sales into the
ledger; read the ledger; with the row locked and nothing newer committed, write it all and open.
A new show opens by the same steps: it has nothing to drain and nothing sold.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from redis.exceptions import ResponseError
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.keys import ShowKeys, show_keys, staged
from engine.inventory.rebuild import HouseBlocks, Inventory, LedgerOrder, rebuild
from engine.inventory.records import (
    HoldRecord,
    RecordError,
    SaleRecord,
    Tombstone,
    unpack_record,
)
from engine.inventory.scripts import load_script
from engine.inventory.shows import Show, ShowBook
from engine.platform.ids import entity_hex, new_entity_id
from engine.platform.metrics import RECOVERIES
from engine.platform.redis import Store
from engine.platform.tables import area_blocks, orders, recoveries, seat_blocks, shows, tickets

OUTAGE_MS_MAX: Final = 3_600_000
"""Deadlines are put off by the outage, but by no more than this."""

_STAGED_S: Final = 3600
# The row is locked while a large show is written to Redis, and PostgreSQL hears nothing meanwhile.
_KEEP_THE_LOCK: Final = text("SET LOCAL idle_in_transaction_session_timeout = '30s'")
# Who was stopped, or cut off from PostgreSQL without a word, keeps others waiting for so long.
_LEASE_S: Final = 20.0
_FIELDS_A_CALL: Final = 2000
_SCAN_COUNT: Final = 1000

_log = structlog.get_logger(__name__)

Drain = Callable[[int], Awaitable[int]]
"""Records all of a show's surviving sales, whatever their epoch; returns how many."""


class Recovered(Struct, frozen=True):
    """What a recovery found and did."""

    epoch: int
    facts_drained: int
    holds_kept: int
    holds_voided: int
    took_ms: int


class SupersededError(RuntimeError):
    """A later recovery, or a change by the house, overtook this one: that one's result stands."""


class Recoverer:
    """Recovers shows, one call each; holds no state of its own."""

    def __init__(
        self,
        redis: Store,
        engine: AsyncEngine,
        book: ShowBook,
        drain: Drain,
        *,
        lease_s: float = _LEASE_S,
    ) -> None:
        """Take the inventory store, the ledger as the recorder sees it, and how to drain.

        `lease_s` is for how long a recovery keeps others from the same show at the most.
        """
        self._lease_ends = text(f"SET idle_session_timeout = '{round(lease_s * 1000)}ms'")
        self._redis = redis
        self._engine = engine
        self._book = book
        self._drain = drain

    async def recover(self, show: int, reason: str) -> Recovered | None:
        """Bring a show back; None if another process is at it.

        Raises:
            SupersededError: something newer overtook this attempt.
            redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed
                on the way, and the next attempt starts over. Did it fail at the very end, the show
                may have been opened all the same, without a record of it.
        """
        async with self._only_one(show) as mine:
            if not mine:
                return None
            return await self._recover(show, reason)

    async def _recover(self, show: int, reason: str) -> Recovered:
        began = time.monotonic()
        keys = show_keys(show)
        epoch = await self._raise_epoch(show)
        outage_ms = await self._claim(keys, epoch)
        drained = await self._drain(show)
        survivors = await self._survivors(keys)
        async with self._engine.begin() as connection:
            await connection.execute(_KEEP_THE_LOCK)
            locked = select(shows.c.epoch).where(shows.c.id == show).with_for_update()
            if (await connection.execute(locked)).scalar_one() != epoch:
                msg = f"epoch {epoch} of show {entity_hex(show)} is no longer the newest"
                raise SupersededError(msg)
            # Its return number goes into the store with what it opens on. A return holds this same
            # row while it takes its number and commits: so it is in both, or comes after both.
            current = await self._book.read(connection, show)
            inventory = await asyncio.to_thread(
                rebuild,
                current.manifest,
                await _ledger_orders(connection, show),
                await _house_blocks(connection, show),
                survivors,
                outage_ms,
            )
            await self._stage(keys, epoch, inventory)
            await self._open(current, epoch)
            recovered = Recovered(
                epoch=epoch,
                facts_drained=drained,
                holds_kept=inventory.holds_kept,
                holds_voided=inventory.holds_voided,
                took_ms=round((time.monotonic() - began) * 1000),
            )
            await connection.execute(
                insert(recoveries).values(
                    id=new_entity_id(),
                    show_id=show,
                    reseller_id=current.reseller,
                    reason=reason,
                    **msgspec.structs.asdict(recovered),
                )
            )
        RECOVERIES.inc()
        _log.info("show opened", show=entity_hex(show), reason=reason, **_fields(recovered))
        return recovered

    @asynccontextmanager
    async def _only_one(self, show: int) -> AsyncGenerator[bool]:
        """Hold a lease: it saves double work, and correctness does not rest on it.

        PostgreSQL ends it, with its session, when it has lasted too long.
        """
        async with self._engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            lock = text("SELECT pg_try_advisory_lock(:show)")
            mine = bool((await autocommit.execute(lock, {"show": show})).scalar_one())
            if not mine:
                yield False
                return
            try:
                await autocommit.execute(self._lease_ends)
                yield True
            finally:
                await _give_back(autocommit, show)

    async def _raise_epoch(self, show: int) -> int:
        async with self._engine.begin() as connection:
            raised = (
                update(shows)
                .where(shows.c.id == show)
                .values(epoch=shows.c.epoch + 1)
                .returning(shows.c.epoch)
            )
            return (await connection.execute(raised)).scalar_one()

    async def _claim(self, keys: ShowKeys, epoch: int) -> int:
        """Fence the show and return for how long it was out, in ms."""
        status, *rest = await load_script("claim_show").call(self._redis, keys.inventory(), epoch)
        if status != b"claimed":
            msg = f"epoch {epoch} is older than {rest[0]}, which has claimed the show"
            raise SupersededError(msg)
        last_seen_ms, now_ms, _ = rest
        return min(now_ms - last_seen_ms, OUTAGE_MS_MAX) if last_seen_ms else 0

    async def _survivors(self, keys: ShowKeys) -> dict[bytes, HoldRecord | Tombstone]:
        found: dict[bytes, HoldRecord | Tombstone] = {}
        cursor = 0
        while True:
            try:
                cursor, page = await self._redis.hscan(keys.holds, cursor, count=_SCAN_COUNT)
            except ResponseError as error:
                _log.error("the holds can't be read: none survives", error=repr(error))
                return {}
            for hold, packed in page.items():
                try:
                    found[hold] = unpack_record(packed)
                except RecordError as error:
                    # What it was, if it was sold, the ledger knows.
                    _log.error("hold lost", hold=hold.hex(), error=str(error))
            if cursor == 0:
                return found

    async def _stage(self, keys: ShowKeys, epoch: int, inventory: Inventory) -> None:
        """Build the next content beside the live keys; it expires if nobody opens it."""
        await self._redis.set(staged(keys.seats, epoch), inventory.seats, ex=_STAGED_S)
        hashes: list[tuple[str, dict[Any, Any]]] = [
            (keys.areas, inventory.areas),
            (keys.holds, inventory.holds),
            (keys.buyers, inventory.buyers),
            (keys.keys, inventory.keys),
        ]
        for key, content in hashes:
            target = staged(key, epoch)
            await self._redis.delete(target)
            for chunk in _chunks(content.items()):
                await self._redis.hset(target, mapping=dict(chunk))
                await self._redis.expire(target, _STAGED_S)
        target = staged(keys.expiry, epoch)
        await self._redis.delete(target)
        for chunk in _chunks(inventory.expiry.items()):
            await self._redis.zadd(target, dict(chunk))
            await self._redis.expire(target, _STAGED_S)

    async def _open(self, show: Show, epoch: int) -> None:
        live = show.keys.inventory()
        built = tuple(staged(key, epoch) for key in live[:6])
        status, *rest = await load_script("open_show").call(
            self._redis, live + built, epoch, msgspec.msgpack.encode(show.rules())
        )
        if status != b"opened":
            msg = f"show {entity_hex(show.id)} not opened under {epoch}: {status.decode()} {rest}"
            raise SupersededError(msg)


async def _give_back(lease: AsyncConnection, show: int) -> None:
    try:
        await lease.execute(text("SELECT pg_advisory_unlock(:show)"), {"show": show})
        await lease.execute(text("RESET idle_session_timeout"))
    except SQLAlchemyError as error:
        # Nothing to give back: PostgreSQL has ended it, or can't be reached and will.
        _log.warning("lease lost", show=entity_hex(show), error=repr(error))


def _fields(recovered: Recovered) -> dict[str, int]:
    return msgspec.structs.asdict(recovered)


def _chunks(items: Iterable[tuple[Any, Any]]) -> Iterable[tuple[tuple[Any, Any], ...]]:
    remaining = iter(items)
    while chunk := tuple(islice(remaining, _FIELDS_A_CALL)):
        yield chunk


async def _house_blocks(connection: AsyncConnection, show: int) -> HouseBlocks:
    seats = select(seat_blocks.c.seat_index).where(seat_blocks.c.show_id == show)
    areas = select(area_blocks.c.area_index, area_blocks.c.count).where(
        area_blocks.c.show_id == show
    )
    return HouseBlocks(
        tuple((await connection.execute(seats)).scalars()),
        tuple((area, count) for area, count in await connection.execute(areas)),
    )


async def _ledger_orders(connection: AsyncConnection, show: int) -> list[LedgerOrder]:
    """Read the orders with the seats and places that they own or owned, two queries in all."""
    owned = select(tickets.c.order_id, tickets.c.seat_index, tickets.c.area_index).where(
        tickets.c.show_id == show, tickets.c.status.in_(("active", "returned"))
    )
    seats: dict[UUID, list[int]] = {}
    areas: dict[UUID, dict[int, int]] = {}
    for order, seat, area in await connection.execute(owned):
        if seat is not None:
            seats.setdefault(order, []).append(seat)
        else:
            counts = areas.setdefault(order, {})
            counts[area] = counts.get(area, 0) + 1
    rows = await connection.execute(select(orders).where(orders.c.show_id == show))
    return [
        LedgerOrder(
            hold=row["id"].bytes,
            buyer=row["buyer"],
            owns=row["status"] == "confirmed",
            seats=tuple(sorted(seats.get(row["id"], ()))),
            areas=tuple(sorted(areas.get(row["id"], {}).items())),
            price_version=row["price_version"],
            hold_fingerprint=row["hold_fp"],
            purchase_key=row["purchase_key"],
            sale=SaleRecord(
                body_fingerprint=row["body_fp"],
                epoch=row["epoch"],
                n=row["position"],
                sold_at_ms=_ms(row["sold_at"]),
                returned=row["status"] == "returned",
            ),
        )
        for row in rows.mappings()
    ]


def _ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
