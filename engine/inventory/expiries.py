"""Tells which holds expired, from the deltas that name them.

How far each show's deltas were read stands in PostgreSQL and moves in the transaction of what was
told, so that each end is told once, whoever dies and however many do it. The deltas of a show are
its last ten thousand: if they were trimmed before they were read, what they named is not told, and
the log of the process says so.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import BigInteger, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import NewFact, add_facts
from engine.facts.types import FactType, HoldExpired
from engine.inventory.facts import StreamId, read_delta, read_expired
from engine.inventory.keys import show_keys
from engine.platform.ids import HoldId, Ids, entity_hex
from engine.platform.redis import Store, StreamEntries
from engine.platform.unnest import Unnested

_ENTRIES_AT_A_TIME: Final = 500
_KEEP_EVERY_S: Final = 5.0
_SHOWS_MAX: Final = 250_000
_NOWHERE: Final = StreamId(0, -1)
_EXPIRED: Final = HoldExpired(reason="deadline")

_MOVED: Final = Unnested("moved", {name: BigInteger() for name in ("show", "epoch", "seq")})
_BEGIN: Final = text(
    "INSERT INTO told_shows (show_id, reseller_id) SELECT id, reseller_id FROM shows"
    " WHERE id = ANY(CAST(:shows AS BIGINT[])) ON CONFLICT DO NOTHING"
)
_POSITIONS: Final = text(
    "SELECT show_id, delta_epoch, delta_seq FROM told_shows"
    " WHERE show_id = ANY(CAST(:shows AS BIGINT[]))"
)
# In one order, so that nobody waits in a ring.
_LOCK: Final = text(
    "SELECT show_id, reseller_id, delta_epoch, delta_seq FROM told_shows"
    " WHERE show_id = ANY(CAST(:shows AS BIGINT[])) ORDER BY show_id FOR UPDATE"
)
_MOVE: Final = text(
    "UPDATE told_shows SET delta_epoch = moved.epoch, delta_seq = moved.seq"  # noqa: S608 - our own names
    f" FROM {_MOVED.sql} WHERE show_id = moved.show"
    " AND (delta_epoch, delta_seq) < (moved.epoch, moved.seq)"
)

_log = structlog.stdlib.get_logger(__name__)


class _Ended(Struct, frozen=True):
    """Holds that ended with one delta."""

    at: StreamId
    moment: datetime
    holds: list[HoldId]


class ExpiredHolds:
    """Follows the deltas of all shows, for one process."""

    def __init__(
        self, redis: Store, engine: AsyncEngine, ids: Ids, *, most: int = _SHOWS_MAX
    ) -> None:
        """Take the inventory store, an engine of the recorder's role, and what holds are called.

        Of more shows than `most` it does not remember how far it read, and begins anew.
        """
        self._most = most
        self._redis = redis
        self._engine = engine
        self._ids = ids
        self._read: dict[int, StreamId] = {}
        self._kept: dict[int, StreamId] = {}
        self._kept_at = monotonic()

    async def tell(self, shows: Iterable[int]) -> bool:
        """Read on in the deltas of these shows and tell what ended; return whether there is more.

        Raises:
            redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed;
                what was not told then is told by the next call.
        """
        shows = list(shows)
        await self._learn(shows)
        found = await self._read_on(shows)
        ended = {show: told for show, entries in found.items() if (told := _ended(entries))}
        positions = {show: StreamId.parse(entries[-1][0]) for show, entries in found.items()}
        if ended:
            await self._commit(ended, {show: positions[show] for show in ended})
        self._read |= positions
        await self._keep()
        return any(len(entries) >= _ENTRIES_AT_A_TIME for entries in found.values())

    async def _learn(self, shows: list[int]) -> None:
        """Read where shows stand that this process has not followed."""
        if len(self._read) > self._most:
            await self._keep(now=True)
            self._read, self._kept = {}, {}
        unknown = [show for show in shows if show not in self._read]
        if not unknown:
            return
        async with self._engine.begin() as connection:
            await connection.execute(_BEGIN, {"shows": unknown})
            rows = await connection.execute(_POSITIONS, {"shows": unknown})
            at = {show: StreamId(epoch, n) for show, epoch, n in rows}
        self._read |= at
        self._kept |= at

    async def _read_on(self, shows: list[int]) -> dict[int, StreamEntries]:
        """Return what is new, of shows that have anything new."""
        wanted = [show for show in shows if show in self._read]
        pipeline = self._redis.pipeline(transaction=False)
        for show in wanted:
            after = self._read[show]
            start = "-" if after == _NOWHERE else f"({after}"
            pipeline.xrange(show_keys(show).deltas, start, "+", _ENTRIES_AT_A_TIME)
        answers = await pipeline.execute(raise_on_error=False)
        failed = [answer for answer in answers if isinstance(answer, Exception)]
        if len(failed) == len(wanted) > 0:
            raise failed[0]
        found: dict[int, StreamEntries] = {}
        for show, answer in zip(wanted, answers, strict=True):
            # Of a cluster one node may fail: its shows wait, the others' are read.
            if answer and not isinstance(answer, Exception):
                found[show] = answer
                self._look_for_gap(show, StreamId.parse(answer[0][0]))
        return found

    def _look_for_gap(self, show: int, first: StreamId) -> None:
        after = self._read[show]
        if after == _NOWHERE or first in {
            StreamId(after.epoch, after.n + 1),
            *([StreamId(first.epoch, 0)] if first.epoch > after.epoch else []),
        }:
            return
        _log.warning(
            "deltas were trimmed unread: holds that expired with them are not told",
            show=entity_hex(show),
            after=str(after),
            first=str(first),
        )

    async def _commit(
        self, ended: Mapping[int, list[_Ended]], positions: Mapping[int, StreamId]
    ) -> None:
        """Tell what ended, but for what somebody else has told meanwhile."""
        async with self._engine.begin() as connection:
            told: dict[int, list[NewFact]] = {}
            for row in await connection.execute(_LOCK, {"shows": sorted(ended)}):
                behind = StreamId(row.delta_epoch, row.delta_seq)
                fresh = [one for one in ended[row.show_id] if one.at > behind]
                told.setdefault(row.reseller_id, []).extend(
                    NewFact(
                        FactType.HOLD_EXPIRED,
                        self._ids.hold(hold),
                        _EXPIRED,
                        row.show_id,
                        one.moment,
                    )
                    for one in fresh
                    for hold in one.holds
                )
            for reseller, new in told.items():
                await add_facts(connection, reseller, new)
            await _move(connection, positions)
        self._kept |= positions

    async def _keep(self, *, now: bool = False) -> None:
        """Now and then keep how far was read where nothing ended, lest it be read again."""
        if not now and monotonic() - self._kept_at < _KEEP_EVERY_S:
            return
        self._kept_at = monotonic()
        moved = {show: at for show, at in self._read.items() if self._kept.get(show) != at}
        if moved:
            async with self._engine.begin() as connection:
                await connection.execute(_LOCK, {"shows": sorted(moved)})
                await _move(connection, moved)
            self._kept |= moved


async def _move(connection: AsyncConnection, positions: Mapping[int, StreamId]) -> None:
    columns: dict[str, list[Any]] = {
        "show": list(positions),
        "epoch": [at.epoch for at in positions.values()],
        "seq": [at.n for at in positions.values()],
    }
    await connection.execute(_MOVE, _MOVED.parameters(columns))


def _ended(entries: StreamEntries) -> list[_Ended]:
    return [
        _Ended(StreamId.parse(at), _moment(fields), holds)
        for at, fields in entries
        if (holds := read_expired(fields))
    ]


def _moment(fields: Mapping[bytes, bytes]) -> datetime:
    try:
        at_ms = read_delta(fields[b"d"]).at_ms
    except (msgspec.DecodeError, LookupError):
        # Of a version to come: that a hold ended is known all the same.
        return datetime.now(UTC)
    return datetime.fromtimestamp(at_ms / 1000, UTC)
