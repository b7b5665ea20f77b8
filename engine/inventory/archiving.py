"""Takes shows whose sale is over out of the inventory store, and leaves them in the ledger.

The store's keys go inside the transaction that notes it, once nothing of the show is in them alone:
every sale is recorded, every return applied, nobody holds a place. A process that dies in between
leaves a show that the store does not know and the ledger says it should: its recovery brings it
back whole, and the next attempt takes it out again. A recovery that is under way and an archiving
exclude each other: the one raises the epoch under the row's lock and refuses an archived show, the
other has the script compare that epoch.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.house import OpenLedger
from engine.inventory.keys import QueueKeys, queue_keys, show_keys
from engine.inventory.ledgered import read_position
from engine.inventory.scripts import load_script
from engine.inventory.show_time import read_clock
from engine.inventory.shows import is_stored
from engine.platform.redis import Store
from engine.platform.tables import shows, told_shows

_LATE_MS: Final = 5000
_KEYS_A_CALL: Final = 1024
_BOUND_THE_WAIT: Final = text("SET LOCAL lock_timeout = '5s'")
_NOTE: Final = text(
    "UPDATE shows SET archived_at = now(), inventory_version = inventory_version + 1"
    " WHERE id = :show"
)
_LEAVE_QUEUE: Final = text("UPDATE queues SET epoch = epoch + 1 WHERE show_id = :show")


class Waits(StrEnum):
    """Why a show can't be taken out of the store just now."""

    RECOVERING = "recovering"
    SELLING = "selling"
    HOLDS = "holds"
    UNRECORDED = "unrecorded"
    UNRETURNED = "unreturned"
    UNTOLD = "untold"


class NotYet(Struct, frozen=True):
    """Nothing was done; `until_ms`: when the last hold ends, if that is why."""

    why: Waits
    until_ms: int | None = None


class Archived(Struct, frozen=True):
    """The store has nothing of the show any more; `keys` of its own it had, 0 if none already."""

    row: RowMapping
    keys: int


Approve = Callable[[AsyncConnection, RowMapping], Awaitable[None]]
"""Raises where a show is not to be archived; else writes what goes with it."""


class _NotYetError(Exception):
    """Rolls the transaction back, and carries why."""

    def __init__(self, reason: NotYet) -> None:
        self.reason = reason


async def archive_show(
    open_ledger: OpenLedger, redis: Store, show: int, approve: Approve
) -> Archived | NotYet:
    """Take a show out of the store, if the ledger has all of it.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed; if
            it was at the end, a recovery brings the show back.
    """
    try:
        async with open_ledger() as connection:
            await connection.execute(_BOUND_THE_WAIT)
            query = select(shows).where(shows.c.id == show).with_for_update()
            row = (await connection.execute(query)).mappings().one()
            if not is_stored(row):
                return Archived(row, 0)
            await approve(connection, row)
            await connection.execute(_NOTE, {"show": show})
            # Who steers its waiting room finds that another did, and opens it no more.
            queued = (await connection.execute(_LEAVE_QUEUE, {"show": show})).rowcount
            position = await read_position(connection, show)
            recorded = position.n if position.epoch == row["epoch"] else -1
            removed = await _remove(redis, row, recorded, await _told(connection, show))
            if queued:
                removed += await _remove_identities(redis, queue_keys(show))
    except _NotYetError as error:
        return error.reason
    return Archived(row, removed)


async def _told(connection: AsyncConnection, show: int) -> tuple[int, int]:
    """Return up to which delta it was told which holds expired."""
    query = select(told_shows.c.delta_epoch, told_shows.c.delta_seq).where(
        told_shows.c.show_id == show
    )
    row = (await connection.execute(query)).one_or_none()
    return (0, -1) if row is None else (row.delta_epoch, row.delta_seq)


async def _remove(redis: Store, row: RowMapping, recorded: int, told: tuple[int, int]) -> int:
    """Remove a show's keys, but for identities; return how many there were.

    Raises:
        _NotYetError: it can't be done now.
    """
    keys = show_keys(row["id"])
    arguments: list[Any] = [
        row["epoch"],
        row["inventory_version"],
        await read_clock(redis, keys) + _LATE_MS,
        row["return_no"],
        recorded,
        *told,
    ]
    status, *rest = await load_script("archive_show").call(
        redis, keys.inventory() + queue_keys(row["id"]).all(), msgspec.msgpack.encode(arguments)
    )
    if status == b"archived":
        return int(rest[0])
    if status == b"holds":
        raise _NotYetError(NotYet(Waits.HOLDS, int(rest[0])))
    is_open = status not in {b"too-late", b"fenced", b"stale"}
    raise _NotYetError(NotYet(Waits(status.decode()) if is_open else Waits.RECOVERING))


async def _remove_identities(redis: Store, keys: QueueKeys) -> int:
    """Remove who joined the waiting room: small hashes, as many as there may be."""
    names = keys.all_identities()
    removed = 0
    for first in range(0, len(names), _KEYS_A_CALL):
        removed += await redis.delete(*names[first : first + _KEYS_A_CALL])
    return removed
