"""The recorder: from a show's `sales` stream to rows in the ledger, each sale exactly once.

The position in the stream is a column that commits together with the rows, so it does not matter
where a recorder dies: the next one goes on from what was committed. One transaction at a time
works on a show, strictly in the order of the stream; only reading and pricing of the next batch
goes on beside it.

A recovery raises the show's epoch first and drains the stream later. Facts of an epoch that is
over therefore wait for that drain; what turns up after it, as from a server that was replaced, is
stranded: kept whole with the reason, and named as refused.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec
import structlog
from msgspec import Struct, structs
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.backlog import RecordedNotes
from engine.inventory.facts import StreamId
from engine.inventory.keys import WAKE_CHANNEL, Wake, show_keys, wake_call
from engine.platform.ids import Ids, entity_hex
from engine.platform.metrics import CONFLICTS, STRANDED_FACTS
from engine.platform.redis import Store
from engine.sales.judging import (
    NOTHING_SOLD,
    Entry,
    JudgedBatch,
    Sale,
    Stranded,
    judge,
    price_entries,
    read_entries,
)
from engine.sales.position import Lock, Positions, lock_show, reading_from, start_of
from engine.sales.recording import add_batch, known_orders, read_state
from engine.sales.rows import Rows, rows_of
from engine.sales.terms import Terms, TermsSource

FACTS_MAX: Final = 1000
"""Facts in one transaction."""

_BATCHES_MAX: Final = 10
# Classes of SQLSTATE that the data itself is to blame for: it fails the same every time.
_DATA_FAULTS: Final = ("22", "23")

Publish = Callable[[str, bytes], Awaitable[object]]
"""Sends a message to a channel."""

_T = TypeVar("_T")

_log = structlog.stdlib.get_logger(__name__)


class Turn(StrEnum):
    """How a recorder's turn at a show ended."""

    CAUGHT_UP = "caught-up"
    MORE = "more"
    """It gave way to other shows; there is more in the stream."""
    BUSY = "busy"
    """Another recorder is at it."""
    AWAITING_DRAIN = "awaiting-drain"
    """The epoch was raised; the recovery that did it drains what was sold before."""


class Recorded(Struct, frozen=True):
    """What one turn did."""

    count: int
    """Facts that the position moved past."""
    position: StreamId
    refused: tuple[bytes, ...]
    """Holds among them that were not confirmed."""
    turn: Turn


class _Step(Struct, frozen=True):
    """What one transaction did; `position` is None if it had to leave the show alone."""

    turn: Turn
    position: StreamId | None = None
    count: int = 0
    refused: tuple[bytes, ...] = ()


class _Draft(Struct, frozen=True):
    """A batch that was read and priced before its show is locked: all that takes time.

    `batch` and `rows` are what it comes to if the ledger has none of its places and orders yet,
    which is so unless something went wrong.
    """

    entries: Sequence[Entry]
    terms: Terms
    sales: tuple[Sale, ...]
    unfit: tuple[Stranded, ...]
    """Those of its entries that can't become orders."""
    batch: JudgedBatch
    rows: Rows


class Recorder:
    """Records shows, one call each. May be shared by tasks and run in many processes."""

    def __init__(  # noqa: PLR0913 - what the composition root has opened
        self,
        engine: AsyncEngine,
        redis: Store,
        terms: TermsSource,
        ids: Ids,
        *,
        publish: Publish | None = None,
        notes: RecordedNotes | None = None,
    ) -> None:
        """Take an engine of the recorder's role, the inventory store, and what shows sell on.

        `ids` says what orders are called in what is told of them.
        """
        self._engine = engine
        self._redis = redis
        self._terms = terms
        self._ids = ids
        self._publish: Publish = publish or redis.spublish
        self._positions = Positions(engine)
        self._notes = notes or RecordedNotes(redis)

    async def record(self, show: int, *, drain: bool = False, look_back: bool = True) -> Recorded:
        """Record what is in a show's stream, and publish how far the ledger is.

        With `drain`, called by a recovery after it has claimed the show: facts of earlier epochs
        count, the whole stream is worked off, whoever else is at it is waited for, and the
        position ends at the start of the show's epoch. It also looks back at facts of epochs that
        are over, unless it is told that none of them can have come back.

        Raises:
            UnknownShowError: the ledger has no such show.
            redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store
                failed; nothing of the batch under way was committed, or all of it.
        """
        position = await self._positions.of(show)
        if drain and look_back:
            await self._strand_late_facts(show, position)
        count, refused, batches = 0, (), 0
        entries = await self._read(show, reading_from(position))
        if len(entries) == FACTS_MAX and not drain and await self._is_busy(show):
            return Recorded(count, position, refused, Turn.BUSY)
        draft = await self._draft(show, entries) if entries or drain else None
        if draft is None:
            await self._notes.note(show, position, is_quiet=True)
        while draft is not None:
            last = len(draft.entries) < FACTS_MAX
            gives_way = not last and not drain and batches + 1 >= _BATCHES_MAX
            after = None if last or gives_way else draft.entries[-1].id
            async with _beside(self._next(show, after, drain=drain)) as ahead:
                step = await self._commit(show, draft, drain=drain, last=last)
                if step.position is None:
                    return Recorded(count, position, refused, step.turn)
                position = step.position
                count, refused, batches = count + step.count, refused + step.refused, batches + 1
                if gives_way:
                    return Recorded(count, position, refused, Turn.MORE)
                draft = await ahead
            if after not in {None, position}:  # somebody else was further
                draft = await self._next(show, position, drain=drain)
        return Recorded(count, position, refused, Turn.CAUGHT_UP)

    async def behind(self, shows: Sequence[int]) -> list[int]:
        """Return those of these shows that need a turn, asked in one round trip.

        That is who has facts that are not recorded, or can't tell, and of whom the store is to hear
        how far the ledger is.

        Raises:
            redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
        """
        positions = await self._positions.of_all(shows)
        strangers = [
            show
            for show, position in positions.items()
            if position.n >= 0 and not self._notes.is_known(show)
        ]
        pipeline = self._redis.pipeline(transaction=False)
        for show, position in positions.items():
            pipeline.xrange(show_keys(show).sales, reading_from(position), "+", 1)
        for show in strangers:
            pipeline.hmget(show_keys(show).meta, ["epoch", "recorded"])
        answers = await pipeline.execute(raise_on_error=False)
        found, told = answers[: len(positions)], answers[len(positions) :]
        for show, answer in zip(strangers, told, strict=True):
            if (
                not isinstance(answer, Exception)
                and answer[0] == str(positions[show].epoch).encode()
            ):
                self._notes.learn(show, positions[show], answer[1])
        return [
            show
            for (show, position), entries in zip(positions.items(), found, strict=True)
            # A failure is its own turn's to tell.
            if entries or self._notes.is_time(show, position, is_quiet=True)
        ]

    async def _is_busy(self, show: int) -> bool:
        """Tell whether somebody has the show just now: then a long draft would be for nothing."""
        async with self._engine.begin() as connection:
            return await lock_show(connection, show, wait=False) is None

    async def _strand_late_facts(self, show: int, position: StreamId) -> None:
        """Find what came back with a server that had been given up: epochs drained without it."""
        if position.epoch == 0:
            return  # no epoch before the first
        start, end = "-", f"({StreamId(position.epoch, 0)}"
        while entries := await self._read(show, start, end):
            # Nearly all are orders since long, and a recovery waits for this.
            if late := await self._leave_out_orders(entries):
                await self._commit(show, await self._draft(show, late), drain=True, last=False)
            start = f"({entries[-1].id}"

    async def _leave_out_orders(self, entries: Sequence[Entry]) -> list[Entry]:
        holds = {entry.id: entry.hold for entry in entries}
        async with self._engine.connect() as connection:
            known = await known_orders(connection, filter(None, holds.values()))
        return [entry for entry in entries if holds[entry.id] not in known]

    async def _next(self, show: int, after: StreamId | None, *, drain: bool) -> _Draft | None:
        """Draft the batch after a position; None if there is none, or nothing is to follow.

        A drain has a last one even if it is empty: it moves the position into the new epoch.
        """
        if after is None:
            return None
        entries = await self._read(show, reading_from(after))
        return await self._draft(show, entries) if entries or drain else None

    async def _read(self, show: int, start: str, end: str = "+") -> list[Entry]:
        found = await self._redis.xrange(show_keys(show).sales, start, end, count=FACTS_MAX)
        return [Entry(StreamId.parse(entry), fields) for entry, fields in found]

    async def _draft(self, show: int, entries: Sequence[Entry]) -> _Draft:
        read, unreadable = read_entries(entries)
        terms = await self._terms.terms(show, frozenset(one.fact.price_version for one in read))
        sales, unpriced = price_entries(read, terms)
        batch = judge(sales, (), NOTHING_SOLD)
        rows = rows_of(show, terms.reseller, batch)
        return _Draft(entries, terms, sales, unreadable + unpriced, batch, rows)

    async def _commit(
        self, show: int, draft: _Draft, *, drain: bool, last: bool, ask: bool = False
    ) -> _Step:
        """Commit a batch; if its data is at fault, find the entry and strand that one alone.

        Unless it is to `ask` what the ledger has of the batch's places and orders, it first goes by
        that being nothing: the ledger's constraints refuse the whole batch where it is wrong.
        """
        try:
            return await self._transact(show, draft, drain=drain, last=last, ask=ask)
        except DBAPIError as error:
            self._positions.forget(show)
            if not draft.entries or not _is_data_fault(error):
                raise
            if ask:
                return await self._commit_halves(show, draft, error, drain=drain, last=last)
            _log.warning("judging a batch again", show=entity_hex(show), reason=str(error.orig))
        return await self._commit(show, draft, drain=drain, last=last, ask=True)

    async def _commit_halves(
        self, show: int, draft: _Draft, error: DBAPIError, *, drain: bool, last: bool
    ) -> _Step:
        entries = draft.entries
        if len(entries) == 1:
            return await self._strand_alone(show, draft, error, drain=drain, last=last)
        half = len(entries) // 2
        lower = await self._draft(show, entries[:half])
        first = await self._commit(show, lower, drain=drain, last=False, ask=True)
        if first.position is None:
            return first
        upper = await self._draft(show, entries[half:])
        second = await self._commit(show, upper, drain=drain, last=last, ask=True)
        return _Step(
            turn=second.turn,
            position=second.position or first.position,
            count=first.count + second.count,
            refused=first.refused + second.refused,
        )

    async def _strand_alone(
        self, show: int, draft: _Draft, error: DBAPIError, *, drain: bool, last: bool
    ) -> _Step:
        """Strand the one entry of a draft; without its refund, should that be what is refused."""
        sale = draft.sales[0] if draft.sales else None
        refused = Stranded(draft.entries[0], f"refused by the ledger: {error.orig}", sale)
        alone = structs.replace(draft, sales=(), unfit=(refused,))
        try:
            return await self._transact(show, alone, drain=drain, last=last, ask=True)
        except DBAPIError as again:
            self._positions.forget(show)
            if sale is None or not _is_data_fault(again):
                raise
        alone = structs.replace(alone, unfit=(structs.replace(refused, sale=None),))
        return await self._transact(show, alone, drain=drain, last=last, ask=True)

    async def _transact(
        self, show: int, draft: _Draft, *, drain: bool, last: bool, ask: bool
    ) -> _Step:
        async with self._engine.begin() as connection:
            lock = await lock_show(connection, show, wait=drain)
            if lock is None:
                return _Step(Turn.BUSY)
            fresh = [entry for entry in draft.entries if not lock.has_passed(entry.id)]
            if not drain and any(lock.awaits_drain(entry.id) for entry in fresh):
                return _Step(Turn.AWAITING_DRAIN)
            timely, stranded = _sort_out(fresh, draft.sales, lock, drain=drain)
            batch, rows = draft.batch, draft.rows
            if ask or draft.unfit or len(timely) < len(draft.entries):
                sales = [sale for sale in draft.sales if sale.id in timely]
                stranded += tuple(one for one in draft.unfit if one.entry.id in timely)
                state = await read_state(connection, show, sales, stranded)
                batch = judge(sales, stranded, state)
                rows = rows_of(show, draft.terms.reseller, batch)
            position = max([lock.position, *(entry.id for entry in fresh)])
            if drain and last:
                position = max(position, start_of(lock.show_epoch))
            newly_stranded = await add_batch(connection, self._ids, batch, rows, position)
            recent = await self._positions.refused_until(connection, show, lock.position)
        refused = batch.refused()
        self._positions.moved(show, position, recent, refused)
        _report(show, batch, newly_stranded)
        await self._tell(show, position)
        await self._notes.note(show, position)
        if not drain and (batch.conflicts or newly_stranded):
            await self._ask_for_recovery(show)
        return _Step(Turn.CAUGHT_UP, position, len(fresh), refused)

    async def _tell(self, show: int, position: StreamId) -> None:
        """Publish `[epoch, n, [hold, ...]]`: how far the ledger is, and who was refused lately.

        Refusals of the last two minutes are told each time: a message may be lost, and who waits
        for a sale concludes from any later one.
        """
        refused = [hold.hex() for hold in self._positions.refused(show)]
        message = msgspec.msgpack.encode([position.epoch, position.n, refused])
        try:
            await self._publish(show_keys(show).recorded, message)
        except (RedisError, OSError) as error:
            # The rows are committed: who waits in vain asks the ledger.
            _log.warning("position not told", show=entity_hex(show), error=repr(error))

    async def _ask_for_recovery(self, show: int) -> None:
        """Have the places of a failed sale put on sale again, which only a recovery may do."""
        try:
            await self._redis.publish(WAKE_CHANNEL, wake_call(Wake.RECOVER, show))
        except (RedisError, OSError) as error:
            # The show has its turn all the same: this only makes it quicker.
            _log.warning("could not wake the workers", error=repr(error))


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, _T]) -> AsyncGenerator[asyncio.Task[_T]]:
    """Do something beside the block; what is not done at its end is given up."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _sort_out(
    entries: Sequence[Entry], sales: Sequence[Sale], lock: Lock, *, drain: bool
) -> tuple[frozenset[StreamId], tuple[Stranded, ...]]:
    """Part the entries that may become orders from those that no longer may."""
    timely = frozenset(entry.id for entry in entries if lock.may_record(entry.id, drain=drain))
    if len(timely) == len(entries):
        return timely, ()
    priced = {sale.id: sale for sale in sales}
    stranded = tuple(
        Stranded(
            entry,
            f"sold in epoch {entry.id.epoch}, the show is in {lock.show_epoch}",
            priced.get(entry.id),
        )
        for entry in entries
        if entry.id not in timely
    )
    return timely, stranded


def _is_data_fault(error: DBAPIError) -> bool:
    return str(getattr(error.orig, "sqlstate", "") or "")[:2] in _DATA_FAULTS


def _report(show: int, batch: JudgedBatch, newly_stranded: int) -> None:
    CONFLICTS.inc(len(batch.conflicts))
    STRANDED_FACTS.inc(newly_stranded)
    for one in batch.stranded:
        _log.error(
            "fact stranded",
            show=entity_hex(show),
            entry=str(one.entry.id),
            hold=one.hold.hex() if one.hold else None,
            reason=one.reason,
        )
    for conflict in batch.conflicts:
        _log.error(
            "order in conflict",
            show=entity_hex(show),
            order=conflict.sale.fact.hold.hex(),
            seats=[clash.seat for clash in conflict.clashes if clash.seat is not None],
            areas=[clash.area for clash in conflict.clashes if clash.area is not None],
        )
    if batch.confirmed:
        _log.debug("orders recorded", show=entity_hex(show), count=len(batch.confirmed))
