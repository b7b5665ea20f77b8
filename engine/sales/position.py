"""How far a show is recorded: the row that is locked and moved, and what is remembered of it."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Final

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.facts import StreamId

_REFUSED_S: Final = 120
_REFUSED_MAX: Final = 2000
_SHOWS_MAX: Final = 4096

_BEFORE_ALL: Final = -1
"""The `n` of a position at the start of an epoch: the first entry's is 0."""

_LOCK: Final = (
    "SELECT shows.epoch AS show_epoch, recorder_positions.epoch AS epoch, recorder_positions.seq"
    " FROM shows JOIN recorder_positions ON recorder_positions.show_id = shows.id"
    " WHERE shows.id = :show FOR SHARE OF shows FOR UPDATE OF recorder_positions"
)
_TRY_LOCK: Final = text(f"{_LOCK} SKIP LOCKED")
_WAIT_LOCK: Final = text(_LOCK)
_BOUND_THE_WAIT: Final = text("SET LOCAL lock_timeout = '8s'")
_BEGIN: Final = text(
    "INSERT INTO recorder_positions (show_id, reseller_id, epoch, seq)"
    " SELECT id, reseller_id, 0, -1 FROM shows WHERE id = :show ON CONFLICT DO NOTHING"
)
_POSITION: Final = text("SELECT epoch, seq FROM recorder_positions WHERE show_id = :show")
_POSITIONS: Final = text(
    "SELECT show_id, epoch, seq FROM recorder_positions"
    " WHERE show_id = ANY(CAST(:shows AS BIGINT[]))"
)
_REFUSED: Final = text(
    "SELECT order_id FROM conflicts"
    " WHERE show_id = :show AND found_at > now() - :kept_s * interval '1 s'"
    " UNION SELECT hold_id FROM stranded_facts"
    " WHERE show_id = :show AND found_at > now() - :kept_s * interval '1 s'"
    " AND hold_id IS NOT NULL LIMIT :most"
)


def start_of(epoch: int) -> StreamId:
    """Return the position before every entry of an epoch."""
    return StreamId(epoch, _BEFORE_ALL)


def reading_from(position: StreamId) -> str:
    """Return where an XRANGE of what follows a position starts."""
    return f"{position.epoch}-0" if position.n == _BEFORE_ALL else f"({position}"


class Lock(Struct, frozen=True):
    """A show's row, locked against recoveries, and its position, locked against recorders."""

    show_epoch: int
    position: StreamId

    def has_passed(self, entry: StreamId) -> bool:
        """Tell whether an entry was dealt with: recorded, refused or stranded.

        An entry of an epoch that the position has left may have come too late for its drain.
        """
        return entry <= self.position and entry.epoch == self.position.epoch

    def awaits_drain(self, entry: StreamId) -> bool:
        """Tell whether an entry is for the recovery to record that raised the epoch."""
        return self.position.epoch <= entry.epoch < self.show_epoch

    def may_record(self, entry: StreamId, *, drain: bool) -> bool:
        """Tell whether an entry may still become an order."""
        if drain:
            return self.position < entry and entry.epoch <= self.show_epoch
        return entry.epoch == self.show_epoch


async def lock_show(connection: AsyncConnection, show: int, *, wait: bool) -> Lock | None:
    """Lock a show and its position for the rest of the transaction.

    Returns None if another recorder has it; with `wait`, waits 8 s for that one, then raises
    SQLAlchemy's DBAPIError.
    """
    if wait:
        await connection.execute(_BOUND_THE_WAIT)
    statement = _WAIT_LOCK if wait else _TRY_LOCK
    row = (await connection.execute(statement, {"show": show})).one_or_none()
    return None if row is None else Lock(row.show_epoch, StreamId(row.epoch, row.seq))


class _Memory(Struct):
    """What a recorder remembers of a show: its position as committed, and who was refused."""

    position: StreamId
    refused: OrderedDict[bytes, float]
    """Hold to when, on the process's clock; oldest first."""


class Positions:
    """The positions that one process has committed, so that it need not ask for them again."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Take an engine of the recorder's role."""
        self._engine = engine
        self._known: OrderedDict[int, _Memory] = OrderedDict()

    async def of(self, show: int) -> StreamId:
        """Return where to read on: the committed position, or an earlier one.

        A show's first recorder makes its row, and commits that by itself: others skip a row that
        is locked, but would have to wait for one that is about to be.
        """
        known = self._known.get(show)
        if known is not None:
            return known.position
        async with self._engine.begin() as connection:
            row = (await connection.execute(_POSITION, {"show": show})).one_or_none()
            if row is not None:
                return StreamId(row.epoch, row.seq)
            await connection.execute(_BEGIN, {"show": show})
        return start_of(0)

    async def of_all(self, shows: Sequence[int]) -> dict[int, StreamId]:
        """Return where to read on for each of these, as `of` does, but make no rows."""
        found = dict.fromkeys(shows, start_of(0))
        unknown = [show for show in shows if show not in self._known]
        if unknown:
            async with self._engine.connect() as connection:
                rows = (await connection.execute(_POSITIONS, {"shows": unknown})).all()
            found |= {show: StreamId(epoch, n) for show, epoch, n in rows}
        found |= {show: self._known[show].position for show in shows if show in self._known}
        return found

    async def refused_until(
        self, connection: AsyncConnection, show: int, position: StreamId
    ) -> tuple[bytes, ...] | None:
        """Return who was refused lately up to a position; None if this process knows it.

        It does unless somebody else moved the position meanwhile.
        """
        known = self._known.get(show)
        if known is not None and known.position == position:
            return None
        lately = {"show": show, "kept_s": _REFUSED_S, "most": _REFUSED_MAX}
        return tuple(hold.bytes for hold in await connection.scalars(_REFUSED, lately))

    def moved(
        self,
        show: int,
        position: StreamId,
        recent: tuple[bytes, ...] | None,
        refused: Iterable[bytes],
    ) -> None:
        """Remember a committed position and who was refused on the way to it."""
        now = monotonic()
        known = self._known.get(show)
        if known is None or recent is not None:
            known = _Memory(position, OrderedDict.fromkeys(recent or (), now))
        known.position = position
        known.refused.update(dict.fromkeys(refused, now))
        oldest = now - _REFUSED_S
        while known.refused:
            hold = next(iter(known.refused))
            if known.refused[hold] > oldest and len(known.refused) <= _REFUSED_MAX:
                break
            del known.refused[hold]
        self._known[show] = known
        self._known.move_to_end(show)
        if len(self._known) > _SHOWS_MAX:
            self._known.popitem(last=False)

    def refused(self, show: int) -> tuple[bytes, ...]:
        """Return who was refused lately, as far as this process knows."""
        known = self._known.get(show)
        return tuple(known.refused) if known else ()

    def forget(self, show: int) -> None:
        """Ask the ledger again next time."""
        self._known.pop(show, None)
