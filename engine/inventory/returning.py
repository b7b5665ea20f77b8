"""Brings what the ledger has taken back to the store: each return once, in the order of its number.

Whoever asks for it may be late, or the second: the script applies nothing but the next number. What
waits here is told by two numbers, the ledger's last return and the last that the store has applied.

A process may refuse sold places from memory, and must not refuse the hold of who has them since a
return (decision 14). So before a show's first one all are told that they may not any more, and it
waits until none does.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.keys import WAKE_CHANNEL, ShowKeys, Wake, show_keys, wake_call
from engine.inventory.scripts import load_script
from engine.inventory.sold_memory import FIRST_EPOCH
from engine.inventory.sold_watch import TELLS_OF_RETURNS
from engine.inventory.tending import TendedShow
from engine.platform.database import single_statements
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.platform.retrying import RELOAD, Patience
from engine.platform.tables import area_blocks, seat_blocks, shows

RETURNS_A_READ: Final = 100

_READS_MAX: Final = 20

_RETURNS: Final = text(
    "SELECT returns.return_no, returns.order_id, orders.buyer,"
    " array_remove(array_agg(tickets.seat_index ORDER BY tickets.seat_index), NULL) AS seats,"
    " array_remove(array_agg(tickets.area_index), NULL) AS areas"
    " FROM returns JOIN orders ON orders.id = returns.order_id"
    " JOIN tickets ON tickets.order_id = orders.id"
    " WHERE returns.show_id = :show AND returns.return_no > :after"
    " GROUP BY returns.return_no, returns.order_id, orders.buyer"
    " ORDER BY returns.return_no LIMIT :most"
)

_LATELY: Final = text("SELECT DISTINCT show_id FROM returns WHERE at > now() - interval '1 minute'")

OpenLedger = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
"""Opens a connection that sees the show's rows."""

_log = structlog.get_logger(__name__)
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class _Return(Struct, frozen=True):
    """A return that the store has not applied yet."""

    number: int
    order: UUID
    buyer: str
    seats: tuple[int, ...]
    areas: dict[int, int]


class _Waiting(Struct, frozen=True):
    """What waits to be applied, and what it is to be applied to."""

    epoch: int
    version: int
    returns: Sequence[_Return] = ()
    withheld_seats: frozenset[int] = frozenset()
    withheld_places: dict[int, int] = {}


async def lately_returned(engine: AsyncEngine) -> list[int]:
    """Return the shows with returns of the last minute, as the recorder's role sees them.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with single_statements(engine) as connection:
        return list((await connection.execute(_LATELY)).scalars())


async def shows_behind(redis: Store, tended: Iterable[TendedShow]) -> list[TendedShow]:
    """Return the shows whose store has not applied all returns, asked in one round trip.

    Raises:
        redis.RedisError: the store could not be asked of any.
    """
    with_returns = [show for show in tended if show.return_no]
    if not with_returns:
        return []
    pipeline = redis.pipeline(transaction=False)
    for show in with_returns:
        pipeline.hmget(show_keys(show.id).meta, ["return_no"])
    answers = await pipeline.execute(raise_on_error=False)
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    if len(failed) == len(with_returns):
        raise failed[0]
    return [
        show
        for show, applied in zip(with_returns, answers, strict=True)
        if not isinstance(applied, Exception) and int(applied[0] or 0) < show.return_no
    ]


class Delivery(Enum):
    """What came of a delivery."""

    DONE = auto()
    NOT_NOW = auto()
    """The store can't have it now: somebody tries again."""
    TOLD = auto()
    """Processes were told to refuse nothing from memory: to be tried again `REST_S` from now."""
    RESTING = auto()
    """They had been told before, nobody knows when."""


async def deliver_returns(
    open_ledger: OpenLedger, redis: Store, show: int, *, rested: bool = False
) -> Delivery:
    """Apply what waits, in order.

    `rested` says that `REST_S` have passed since the caller was answered `TOLD` or `RESTING`.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
            What was applied stays so, and nothing is applied twice.
    """
    keys = show_keys(show)
    patience = Patience(RELOAD)
    for _ in range(_READS_MAX):
        state, applied, epoch, told = await _applied(redis, keys)
        if state != b"open":
            return Delivery.NOT_NOW  # its recovery opens it with all that the ledger took back
        if epoch == FIRST_EPOCH and told != b"known":
            resting = await _tell(redis, keys, epoch, rested=rested)
            if resting is not Delivery.DONE:
                return resting
        async with open_ledger() as connection:
            waiting = await _read(connection, show, applied)
        status = await _apply_all(redis, keys, waiting)
        if status == "done":
            return Delivery.DONE
        if status == "inconsistent":
            _log.error("what was taken back is not sold in the store", show=entity_hex(show))
            await redis.publish(WAKE_CHANNEL, wake_call(Wake.REBUILD, show))
        if status in {"inconsistent", "fenced"}:
            return Delivery.NOT_NOW
        if status != "more":  # the house or another deliverer was at it: look again
            await patience.pause()
    return Delivery.NOT_NOW


async def _tell(redis: Store, keys: ShowKeys, epoch: int, *, rested: bool) -> Delivery:
    """Say that places go back on sale, or that all know: then it is `DONE`."""
    script = load_script("tell_of_returns")
    if rested:
        status, *before = await script.call(redis, keys.inventory(), epoch, "known")
        if status == b"said":
            return Delivery.DONE
    status, *before = await script.call(redis, keys.inventory(), epoch, "told")
    if status != b"said":
        return Delivery.NOT_NOW
    return Delivery.RESTING if before[0] else Delivery.TOLD


async def _applied(redis: Store, keys: ShowKeys) -> tuple[bytes | None, int, int, bytes | None]:
    """Return the show's state in the store, its last return, its epoch, and whether all know."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.hmget(keys.meta, ["state", "return_no", "epoch", TELLS_OF_RETURNS])
    [(state, number, epoch, told)] = await pipeline.execute(raise_on_error=True)
    return state, int(number or 0), int(epoch or 0), told


async def _read(connection: AsyncConnection, show: int, after: int) -> _Waiting:
    # The version is read first: with blocks that are newer the script finds it stale, or they are
    # given back and the store is about to hear of that.
    of_show = select(shows.c.epoch, shows.c.inventory_version, shows.c.return_no)
    epoch, version, last = (await connection.execute(of_show.where(shows.c.id == show))).one()
    if last <= after:
        return _Waiting(epoch, version)
    found = await connection.execute(
        _RETURNS, {"show": show, "after": after, "most": RETURNS_A_READ}
    )
    seats = select(seat_blocks.c.seat_index).where(seat_blocks.c.show_id == show)
    places = select(area_blocks.c.area_index, area_blocks.c["count"].label("places"))
    withheld = await connection.execute(places.where(area_blocks.c.show_id == show))
    return _Waiting(
        epoch,
        version,
        [
            _Return(row.return_no, row.order_id, row.buyer, tuple(row.seats), Counter(row.areas))
            for row in found
        ],
        frozenset((await connection.execute(seats)).scalars()),
        {row.area_index: row.places for row in withheld},
    )


async def _apply_all(redis: Store, keys: ShowKeys, waiting: _Waiting) -> str:
    """Return `done`, `more`, or what the script refused one with."""
    for one in waiting.returns:
        status = await _apply(redis, keys, waiting, one)
        if status not in {"returned", "passed"}:
            return status
    return "more" if len(waiting.returns) == RETURNS_A_READ else "done"


async def _apply(redis: Store, keys: ShowKeys, waiting: _Waiting, one: _Return) -> str:
    withheld = waiting.withheld_places
    places = [
        waiting.epoch,
        waiting.version,
        one.number,
        one.buyer,
        one.seats,
        [seat for seat in one.seats if seat in waiting.withheld_seats],
        [(area, count, withheld.get(area, 0)) for area, count in sorted(one.areas.items())],
    ]
    reply = await load_script("return_places").call(
        redis, keys.inventory(), msgspec.msgpack.encode(places), one.order.bytes
    )
    status: str = _decode(reply)[0]
    return status
