"""Brings a show back after its server restarted, was replaced, or lost its data.

Five steps, safe to repeat and to run twice at once: commit the next epoch, the fencing token;
claim the show under it, so that nothing changes any more; drain the surviving sales into the
ledger; read the ledger; with the row locked and nothing newer committed, write it all and open.
A new show opens by the same steps: it has nothing to drain and nothing sold.

A show that lost nothing is opened as it stands instead of being written anew: see
`engine.inventory.claims` and docs/decisions/0023-open-as-it-stands.md.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Protocol

import msgspec
import structlog
from msgspec import Struct
from redis.exceptions import ResponseError
from sqlalchemy import bindparam, func, insert, select, text, true, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import NewFact, add_facts
from engine.facts.types import FactType, HoldExpired, ShowRecovered
from engine.inventory.claims import Claimed
from engine.inventory.facts import StreamId
from engine.inventory.keys import ShowKeys, show_keys, staged
from engine.inventory.ledgered import (
    enter_epoch,
    read_blocks,
    read_orders,
    read_position,
    read_standing,
)
from engine.inventory.manifest import SEPARATOR
from engine.inventory.rebuild import Inventory, rebuild
from engine.inventory.records import HoldRecord, RecordError, Tombstone, unpack_record
from engine.inventory.scripts import load_script
from engine.inventory.shows import Show, ShowBook
from engine.platform.ids import Ids, Prefix, entity_hex, new_entity_id
from engine.platform.metrics import RECOVERIES
from engine.platform.redis import Store
from engine.platform.tables import recoveries, shows

_STAGED_S: Final = 3600
_FIRST_EPOCH: Final = 1
_RAISE: Final = (
    update(shows)
    .where(shows.c.id == bindparam("show"), shows.c.archived_at.is_(None))
    .values(epoch=shows.c.epoch + 1)
    .returning(shows.c.epoch)
)
# The row is locked while a large show is written to Redis, and PostgreSQL hears nothing meanwhile.
_LOCK: Final = (
    select(shows.c.epoch, func.set_config("idle_in_transaction_session_timeout", "30s", true()))
    .where(shows.c.id == bindparam("show"))
    .with_for_update()
)
_REMEMBER: Final = insert(recoveries)
_LEASE: Final = text(
    "SELECT CASE WHEN pg_try_advisory_lock(:show)"
    " THEN set_config('idle_session_timeout', :lease, false) END"
)
# Who was stopped, or cut off from PostgreSQL without a word, keeps others waiting for so long.
_LEASE_S: Final = 20.0
_FIELDS_A_CALL: Final = 2000
_SCAN_COUNT: Final = 1000

_log = structlog.get_logger(__name__)


class Drain(Protocol):
    """Who records the sales that survived."""

    def __call__(self, show: int, *, look_back: bool) -> Awaitable[int]:
        """Record all of a show's surviving sales, whatever their epoch; return how many.

        With `look_back` those of epochs that are over are looked for, too: a server that had been
        given up may have brought some back. Raises what a store raises that fails.
        """
        ...


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

    def __init__(  # noqa: PLR0913 - what the composition root has opened
        self,
        redis: Store,
        engine: AsyncEngine,
        book: ShowBook,
        drain: Drain,
        ids: Ids,
        *,
        lease_s: float = _LEASE_S,
    ) -> None:
        """Take the inventory store, the ledger as the recorder sees it, and how to drain.

        `ids` says what shows and holds are called in what is told of them.

        `lease_s` is for how long a recovery keeps others from the same show at the most.
        """
        self._lease = f"{round(lease_s * 1000)}ms"
        self._redis = redis
        self._engine = engine
        self._book = book
        self._drain = drain
        self._ids = ids

    async def recover(self, show: int, reason: str, *, anew: bool = False) -> Recovered | None:
        """Bring a show back; None if another process is at it.

        With `anew` its content is written from the ledger also if it seems to have lost nothing.

        Raises:
            SupersededError: something newer overtook this attempt.
            redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed
                on the way, and the next attempt starts over. Did it fail at the very end, the show
                may have been opened all the same, without a record of it.
        """
        async with self._only_one(show) as mine:
            if not mine:
                return None
            return await self._recover(show, reason, anew=anew)

    async def _recover(self, show: int, reason: str, *, anew: bool) -> Recovered:
        began = time.monotonic()
        keys = show_keys(show)
        epoch, position = await self._raise_epoch(show)
        claimed = await self._claim(keys, epoch)
        lost_nothing = not anew and claimed.lost_nothing(epoch, position)
        is_recorded = lost_nothing and claimed.is_recorded(position)
        drained = 0 if is_recorded else await self._drain(show, look_back=not lost_nothing)
        survivors = None if lost_nothing else await self._survivors(keys)
        async with self._engine.begin() as connection:
            if (await connection.execute(_LOCK, {"show": show})).scalar_one() != epoch:
                msg = f"epoch {epoch} of show {entity_hex(show)} is no longer the newest"
                raise SupersededError(msg)
            if is_recorded:
                await enter_epoch(connection, show, epoch)
            # Its return number goes into the store with what it opens on. A return holds this same
            # row while it takes its number and commits: so it is in both, or comes after both.
            current = await self._book.read(connection, show)
            inventory: Inventory | None = None
            if survivors is not None or not await self._stands(connection, current, claimed, epoch):
                if survivors is None:
                    survivors = await self._survivors(keys)
                inventory = await self._build(connection, current, claimed, epoch, survivors)
            recovered = Recovered(
                epoch=epoch,
                facts_drained=drained,
                holds_kept=inventory.holds_kept if inventory else claimed.live_holds,
                holds_voided=inventory.holds_voided if inventory else 0,
                took_ms=round((time.monotonic() - began) * 1000),
            )
            row = {"id": new_entity_id(), "show_id": show, "reseller_id": current.reseller}
            row |= {"reason": reason, **_fields(recovered)}
            await connection.execute(_REMEMBER, row)
            if epoch > _FIRST_EPOCH:
                told = self._told(show, recovered, inventory.holds_ended if inventory else ())
                await add_facts(connection, current.reseller, told)
        RECOVERIES.inc()
        _log.info("show opened", show=entity_hex(show), reason=reason, **_fields(recovered))
        return recovered

    def _told(self, show: int, recovered: Recovered, ended: Collection[bytes]) -> list[NewFact]:
        now = datetime.now(UTC)
        data = ShowRecovered(
            epoch=recovered.epoch,
            holds_kept=recovered.holds_kept,
            holds_ended=len(ended),
        )
        named = self._ids.entity(Prefix.SHOW, show)
        expired = HoldExpired(reason="recovery")
        return [
            NewFact(FactType.SHOW_RECOVERED, named, data, show, now),
            *(
                NewFact(FactType.HOLD_EXPIRED, self._ids.hold(hold), expired, show, now)
                for hold in ended
            ),
        ]

    @asynccontextmanager
    async def _only_one(self, show: int) -> AsyncGenerator[bool]:
        """Hold a lease: it saves double work, and correctness does not rest on it.

        PostgreSQL ends it, with its session, when it has lasted too long.
        """
        async with self._engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            asked = {"show": show, "lease": self._lease}
            if (await autocommit.execute(_LEASE, asked)).scalar_one() is None:
                yield False
                return
            try:
                yield True
            finally:
                await _give_back(autocommit, show)

    async def _raise_epoch(self, show: int) -> tuple[int, StreamId]:
        """Commit the next epoch; return it, and how far the ledger was.

        From then on facts of the epoch before are the drain's: the position stays.
        """
        async with self._engine.begin() as connection:
            epoch = (await connection.execute(_RAISE, {"show": show})).scalar_one_or_none()
            if epoch is None:
                msg = f"show {entity_hex(show)} was archived: the store is not to have it"
                raise SupersededError(msg)
            # By itself: what waited for the row would not see what was committed meanwhile.
            return epoch, await read_position(connection, show)

    async def _claim(self, keys: ShowKeys, epoch: int) -> Claimed:
        """Fence the show and return how it stood."""
        status, *told = await load_script("claim_show").call(self._redis, keys.inventory(), epoch)
        if status != b"claimed":
            msg = f"epoch {epoch} is older than {told[0]}, which has claimed the show"
            raise SupersededError(msg)
        return Claimed.read(told)

    async def _survivors(self, keys: ShowKeys) -> dict[bytes, HoldRecord | Tombstone]:
        found: dict[bytes, HoldRecord | Tombstone] = {}
        unreadable: set[bytes] = set()
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
                    unreadable.add(hold)
                    _log.error("hold lost", hold=hold.hex(), error=str(error))
            if cursor == 0:
                break
        # A cursor means nothing to another server: one that took over meanwhile leaves out some.
        if len(found) + len(unreadable) != await self._redis.hlen(keys.holds):
            msg = f"the holds of {keys.holds} were not read whole"
            raise SupersededError(msg)
        return found

    async def _stands(
        self, connection: AsyncConnection, show: Show, claimed: Claimed, epoch: int
    ) -> bool:
        """Open a show that lost nothing as it stands, unless it is not what the ledger has now."""
        told = claimed.inventory_version, claimed.return_no
        if told != (show.inventory_version, show.return_no):
            return False
        manifest = show.manifest
        ledger = await read_standing(connection, show.id, manifest, claimed.open_under)
        if ledger.has_failed_sales:
            return False
        expected = (
            len(manifest.layout),
            len(manifest.areas),
            ledger.seats_sold,
            ledger.seats_blocked,
            ledger.places_sold,
            manifest.layout.count(SEPARATOR),
            sum(area.capacity for area in manifest.areas),
        )
        return await self._open(show, epoch, msgspec.msgpack.encode(expected))

    async def _build(
        self,
        connection: AsyncConnection,
        show: Show,
        claimed: Claimed,
        epoch: int,
        survivors: dict[bytes, HoldRecord | Tombstone],
    ) -> Inventory:
        """Open a show with what it must hold; return that."""
        inventory = await asyncio.to_thread(
            rebuild,
            show.manifest,
            await read_orders(connection, show.id),
            await read_blocks(connection, show.id),
            survivors,
            claimed.outage_ms,
            max_per_buyer=show.max_per_buyer,
        )
        await self._stage(show.keys, epoch, inventory)
        await self._open(show, epoch)
        return inventory

    async def _stage(self, keys: ShowKeys, epoch: int, inventory: Inventory) -> None:
        """Build the next content beside the live keys; it expires if nobody opens it."""
        hashes: list[tuple[str, dict[Any, Any]]] = [
            (keys.areas, inventory.areas),
            (keys.holds, inventory.holds),
            (keys.buyers, inventory.buyers),
            (keys.keys, inventory.keys),
        ]
        async with asyncio.TaskGroup() as group:
            seats = staged(keys.seats, epoch)
            group.create_task(self._redis.set(seats, inventory.seats, ex=_STAGED_S))
            for key, content in hashes:
                write = self._write_fields
                group.create_task(self._write(staged(key, epoch), content, write))
            write = self._write_scores
            group.create_task(self._write(staged(keys.expiry, epoch), inventory.expiry, write))

    async def _write(
        self,
        key: str,
        content: dict[Any, Any],
        write: Callable[[str, dict[Any, Any]], Awaitable[object]],
    ) -> None:
        await self._redis.delete(key)
        for number, chunk in enumerate(_chunks(content.items())):
            await write(key, dict(chunk))
            if number == 0:
                await self._redis.expire(key, _STAGED_S)

    async def _write_fields(self, key: str, fields: dict[Any, Any]) -> None:
        await self._redis.hset(key, mapping=fields)

    async def _write_scores(self, key: str, scores: dict[Any, Any]) -> None:
        await self._redis.zadd(key, scores)

    async def _open(self, show: Show, epoch: int, expected: bytes = b"") -> bool:
        """Open what was built, or what stands; tell whether that is as expected."""
        live = show.keys.inventory()
        built = tuple(staged(key, epoch) for key in live[:6])
        fields = msgspec.msgpack.encode(show.rules())
        status, *rest = await load_script("open_show").call(
            self._redis, live + built, epoch, fields, expected
        )
        if status == b"differs":
            _log.warning("what stands differs from the ledger", show=entity_hex(show.id))
            return False
        if status != b"opened":
            msg = f"show {entity_hex(show.id)} not opened under {epoch}: {status.decode()} {rest}"
            raise SupersededError(msg)
        return True


async def _give_back(lease: AsyncConnection, show: int) -> None:
    try:
        await lease.execute(text("SELECT pg_advisory_unlock(:show)"), {"show": show})
        await lease.execute(text("RESET idle_session_timeout"))
    except SQLAlchemyError as error:
        # Nothing to give back: PostgreSQL has ended it, or can't be reached and will.
        _log.warning("lease lost", show=entity_hex(show), error=repr(error))


def _fields(recovered: Recovered) -> dict[str, Any]:
    return msgspec.structs.asdict(recovered)


def _chunks(items: Iterable[tuple[Any, Any]]) -> Iterable[tuple[tuple[Any, Any], ...]]:
    remaining = iter(items)
    while chunk := tuple(islice(remaining, _FIELDS_A_CALL)):
        yield chunk
