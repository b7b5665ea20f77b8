"""What the house decides about a show: seats and places withheld, and the rules of its sale.

PostgreSQL has it before Redis when it means more for sale, after it when it means less, and both
before it is acknowledged: a rebuild never puts a house seat on sale. Each change makes the next
inventory version. Where the two part, because a process died in between, the workers see two
versions and recover the show to what PostgreSQL says.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import structlog
from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy import (
    RowMapping,
    select,
    text,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.commands import Areas, Recovering
from engine.inventory.keys import WAKE_CHANNEL, ShowKeys, Wake, show_keys, show_of, wake_call
from engine.inventory.scripts import load_script
from engine.inventory.show_time import read_clock
from engine.inventory.shows import OVER, Show, is_stored, sale_rules
from engine.inventory.stirring import stir
from engine.inventory.unstored import find_taken
from engine.inventory.withheld import Places, ShortError, erase_blocks, write_blocks
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.redis import Store
from engine.platform.tables import shows

_LATE_MS: Final = 5000
_REDRAWN: Final = 0
"""No edit of places, but whoever watches them is to read them anew."""
_BOUND_THE_WAIT: Final = text("SET LOCAL lock_timeout = '5s'")
_log = structlog.get_logger(__name__)
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class NamedShow(Protocol):
    """What a change has to know of a show."""

    @property
    def id(self) -> EntityId:
        """Return which it is."""
        ...

    @property
    def reseller(self) -> EntityId:
        """Return whose it is."""
        ...

    @property
    def keys(self) -> ShowKeys:
        """Return where it is in the store."""
        ...


class Change(Struct, frozen=True, kw_only=True):
    """One step of the store to the next inventory version. Seats are positions."""

    block: Places = Places()
    unblock: Places = Places()
    fields: tuple[str, ...] = ()
    """Of `meta`: field, value, ..."""
    must_be_free: Sequence[int] = ()
    """Seats that change their price: refused if a buyer has one."""
    take_out: Sequence[int] = ()
    put_back_open: Sequence[int] = ()
    put_back_blocked: Sequence[int] = ()
    capacities: Areas = ()
    """Places to add to an area; below 0: open ones to take away."""
    moves: Sequence[tuple[int, int, int | None]] = ()
    """Of an area's open places, to another that is made if need be, how many; None: all."""
    edit_no: int | None = None
    """The edit that changes places, 0 for another reason why live maps are to be read anew."""


class BlocksChanged(Struct, frozen=True):
    """Both stores have it."""

    inventory_version: int


class BlocksRefused(Struct, frozen=True):
    """Nothing was changed: these seats are held or sold, these areas have too few such places."""

    seats: tuple[int, ...]
    areas: tuple[int, ...]


Remember = Callable[[AsyncConnection, BlocksChanged], Awaitable[None]]
"""Keeps the answer for a repeated request, in the transaction that has the effect."""


class ShowOverError(Exception):
    """Rolls the transaction back: nothing of this show is sold any more, for good."""

    def __init__(self, state: str) -> None:
        """Take the state that it is in."""
        super().__init__(state)
        self.state = state


class PlacesRefused(Struct, frozen=True):
    """The store changed nothing: these seats are held or sold, these areas have so many open."""

    seats: tuple[int, ...]
    areas: Areas


class RulesChange(Struct, frozen=True):
    """What becomes of a show's row: columns, and whether less is for sale than before."""

    columns: Mapping[str, Any]
    is_less: bool


class RulesChanged(Struct, frozen=True):
    """Both stores have it: the row as it is now, and when by the show's clock, in ms."""

    row: Mapping[Any, Any]
    at_ms: int


OpenLedger = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
"""Opens a transaction that sees the show's rows, and commits at its end."""

Decide = Callable[[AsyncConnection, RowMapping], Awaitable[RulesChange]]
"""Says what becomes of a show's row, which is locked, and writes what goes with that."""

Finish = Callable[[AsyncConnection, RulesChanged], Awaitable[None]]
"""Writes what can be known only once the inventory store has a change towards less."""


class RefusedError(Exception):
    """Rolls the transaction back, and carries why."""

    def __init__(self, refusal: PlacesRefused | Recovering) -> None:
        """Take why."""
        super().__init__(repr(refusal))
        self.refusal = refusal


async def block(  # noqa: PLR0913, PLR0917 - the stores, and a request's parts
    app: AsyncEngine,
    redis: Store,
    show: Show,
    places: Places,
    reason: str,
    remember: Remember,
) -> BlocksChanged | BlocksRefused | Recovering:
    """Withhold open seats and places, all or none; those withheld already stay so.

    Raises:
        ShowOverError: the show is cancelled or past.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
            If it was after Redis had it, the workers take the show back to what it was.
    """
    try:
        async with tenant_transaction(app, show.reseller) as connection:
            locked = await lock_unended(connection, show.id)
            if not locked.is_stored:
                await refuse_taken(connection, show, Change(block=places))
            await write_blocks(connection, show, places, reason)
            await _raise_version(connection, show.id)
            changed = BlocksChanged(locked.now[1] + 1)
            await remember(connection, changed)
            if locked.is_stored:
                await apply(redis, show.keys, locked.now, Change(block=places))
    except RefusedError as refused:
        why = refused.refusal
        if isinstance(why, Recovering):
            return why
        return BlocksRefused(why.seats, tuple(area for area, _ in why.areas))
    return changed


async def unblock(
    app: AsyncEngine, redis: Store, show: Show, places: Places, remember: Remember
) -> BlocksChanged | BlocksRefused:
    """Give withheld seats and places back, all or none; open seats stay open.

    Once PostgreSQL has it, it is done: what Redis does not hear of now, the workers complete.

    Raises:
        ShowOverError: the show is cancelled or past.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, and has nothing.
    """
    try:
        async with tenant_transaction(app, show.reseller) as connection:
            locked = await lock_unended(connection, show.id)
            await erase_blocks(connection, show, places)
            await _raise_version(connection, show.id)
            changed = BlocksChanged(locked.now[1] + 1)
            await remember(connection, changed)
    except ShortError as short:
        return BlocksRefused((), short.areas)
    if locked.is_stored:
        change = Change(unblock=places)
        await complete(_ledger_of(app, show), redis, show.id, locked.now, change)
    return changed


async def change_show(
    app: AsyncEngine,
    redis: Store,
    show: NamedShow,
    write: Callable[[AsyncConnection], Awaitable[object]],
) -> None:
    """Write what every process keeps of a show, which makes them read it again.

    Once PostgreSQL has it, it is done: what Redis does not hear of now, the workers complete.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, and has nothing.
    """
    async with tenant_transaction(app, show.reseller) as connection:
        locked = await lock_show(connection, show.id)
        await write(connection)
        await _raise_version(connection, show.id)
    if locked.is_stored:
        await complete(_ledger_of(app, show), redis, show.id, locked.now, Change())


async def change_rules(  # noqa: PLR0913 - the stores, a show, and what becomes of it
    open_ledger: OpenLedger,
    redis: Store,
    show: int,
    decide: Decide,
    finish: Finish | None = None,
    *,
    beside: int | None = None,
) -> RulesChanged | Recovering:
    """Change by which rules a show is sold; what `decide` raises leaves all as it was.

    Another show that the decision rests on, `beside`, stays as it is until it is made.

    Towards less the inventory store has it first, inside the transaction; towards more PostgreSQL.
    A show that the store is not to have (a draft, one that was archived) is changed in PostgreSQL;
    one that it is to have from now on is opened by the workers, who are woken.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
            If it was after Redis had it, the workers take the show back to what it was.
    """
    at_ms = time.time_ns() // 1_000_000
    try:
        async with open_ledger() as connection:
            before = await lock_in_order(connection, show, beside)
            change = await decide(connection, before)
            version = before["inventory_version"]
            columns = {**change.columns, "inventory_version": version + 1}
            await connection.execute(update(shows).where(shows.c.id == show).values(columns))
            after = {**before, **columns}
            was_stored, now = is_stored(before), (before["epoch"], version)
            # Whoever watches is told the state with a picture: a delta has none.
            is_redrawn = after["state"] != before["state"]
            told = Change(fields=sale_rules(after), edit_no=_REDRAWN if is_redrawn else None)
            if was_stored and change.is_less:
                applied = await apply(redis, show_keys(show), now, told)
                at_ms = applied.at_ms
            if finish is not None:
                await finish(connection, RulesChanged(after, at_ms))
    except RefusedError:
        return Recovering()
    if was_stored and not change.is_less:
        await complete(open_ledger, redis, show, now, told)
    elif is_stored(after) and not was_stored:
        await wake_recovery(redis, show)
    return RulesChanged(after, at_ms)


async def wake_recovery(redis: Store, show: int) -> None:
    """Have a show looked at now, which the store does not have yet."""
    try:
        await redis.publish(WAKE_CHANNEL, wake_call(Wake.RECOVER, show))
    except (RedisError, OSError, TimeoutError) as error:
        # Workers look for what was never opened each second, and at all in turns.
        _log.warning("could not wake the workers", error=repr(error))


def _ledger_of(app: AsyncEngine, show: NamedShow) -> OpenLedger:
    return partial(tenant_transaction, app, show.reseller)


async def complete(
    open_ledger: OpenLedger, redis: Store, show: int, now: tuple[int, int], change: Change
) -> None:
    """Tell the store of what is committed; a warning if it does not hear of it now.

    A store that is at another version than the ledger was may be at the one that it has now, by a
    change that the ledger never had: one version more, and the workers see that the two differ.
    """
    try:
        await apply(redis, show_keys(show), now, change)
    except (RefusedError, RedisError, OSError, TimeoutError) as error:
        _log.warning("changed in the ledger only, for now", error=repr(error))
        if isinstance(error, RefusedError):
            await _part(open_ledger, show)


async def _part(open_ledger: OpenLedger, show: int) -> None:
    """Let the ledger's version differ from the store's, so that workers take it to the ledger's."""
    try:
        async with open_ledger() as connection:
            await _raise_version(connection, show)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        _log.warning("not parted from the store", error=repr(error))


class LockedShow(Struct, frozen=True):
    """A show's row, which nobody else changes until the transaction ends."""

    now: tuple[int, int]
    """Its epoch and its inventory version."""
    is_stored: bool


async def lock_in_order(connection: AsyncConnection, show: int, beside: int | None) -> RowMapping:
    """Lock a show's row, and return it; nobody changes the show `beside` it meanwhile, either.

    Everybody who needs two shows takes them in the order of their ids: so none waits in a ring.
    """
    await connection.execute(_BOUND_THE_WAIT)
    query = select(shows).where(shows.c.id == show).with_for_update()
    if beside is None or show < beside:
        row = (await connection.execute(query)).mappings().one()
        await _keep(connection, beside)
        return row
    await _keep(connection, beside)
    return (await connection.execute(query)).mappings().one()


async def _keep(connection: AsyncConnection, show: int | None) -> None:
    """Let nobody change a show, as a reference to its row will do when it is written."""
    if show is not None:
        query = select(shows.c.id).where(shows.c.id == show)
        await connection.execute(query.with_for_update(read=True, key_share=True))


async def lock_show(connection: AsyncConnection, show: int) -> LockedShow:
    """Lock a show's row against recoveries and other changes; return how it stands."""
    await connection.execute(_BOUND_THE_WAIT)
    names = ("epoch", "inventory_version", "state", "archived_at")
    query = select(*(shows.c[name] for name in names)).where(shows.c.id == show)
    row = (await connection.execute(query.with_for_update())).mappings().one()
    return LockedShow((row["epoch"], row["inventory_version"]), is_stored(row))


async def lock_unended(connection: AsyncConnection, show: int) -> LockedShow:
    """Lock a show's row as `lock_show` does, to change the places or prices that it sells.

    By what is committed: what a process remembers of a show may be older than its end.

    Raises:
        ShowOverError: the show is cancelled or past.
    """
    locked = await lock_show(connection, show)
    await refuse_over(connection, show)
    return locked


async def refuse_over(connection: AsyncConnection, show: int) -> None:
    """Refuse to change what a show sells that is over, and whose row is locked.

    Raises:
        ShowOverError: the show is cancelled or past.
    """
    query = select(shows.c.state).where(shows.c.id == show)
    state = (await connection.execute(query)).scalar_one()
    if state in OVER:
        raise ShowOverError(state)


async def refuse_taken(connection: AsyncConnection, show: Show, change: Change) -> None:
    """Refuse what the store would, of a show that it does not have and that is locked.

    Raises:
        RefusedError: these seats are sold, these areas have too few open places.
    """
    fewer = tuple((area, -count) for area, count in change.capacities if count < 0)
    moving = tuple((area, count) for area, _, count in change.moves if count is not None)
    seats, areas = await find_taken(
        connection,
        show.id,
        show.manifest,
        seats={*change.block.seats, *change.must_be_free, *change.take_out},
        areas=(*change.block.areas, *fewer, *moving),
    )
    if seats or areas:
        raise RefusedError(PlacesRefused(seats, areas))


async def _raise_version(connection: AsyncConnection, show: int) -> None:
    await connection.execute(
        update(shows)
        .where(shows.c.id == show)
        .values(inventory_version=shows.c.inventory_version + 1)
    )


class Applied(Struct, frozen=True):
    """The store has it: when, by its clock, and how many places each move took."""

    at_ms: int
    moved: tuple[int, ...]


async def apply(redis: Store, keys: ShowKeys, now: tuple[int, int], change: Change) -> Applied:
    """Take the store from an epoch's inventory version, `now`, to the next.

    Raises:
        RefusedError: with why; nothing was changed.
        redis.RedisError, OSError, TimeoutError: the store failed, and may have done it.
    """
    epoch, version = now
    blocks = [
        *((area, count) for area, count in change.block.areas),
        *((area, -count) for area, count in change.unblock.areas),
    ]
    packed = [
        epoch,
        version,
        version + 1,
        await read_clock(redis, keys) + _LATE_MS,
        change.block.seats,
        change.unblock.seats,
        blocks,
        change.fields,  # the other rules stay; the script sets the version
        change.must_be_free,
        change.take_out,
        change.put_back_open,
        change.put_back_blocked,
        change.capacities,
        False if change.edit_no is None else change.edit_no,
        [(area, other, count or False) for area, other, count in change.moves],
    ]
    reply = await load_script("change_inventory").call(
        redis, keys.inventory(), msgspec.msgpack.encode(packed)
    )
    status, *rest = _decode(reply)
    if status == "refused":
        areas = tuple((area, opened) for area, opened, _ in rest[1])
        raise RefusedError(PlacesRefused(tuple(rest[0]), areas))
    if status != "changed":
        raise RefusedError(Recovering())
    await stir(redis, show_of(keys))
    return Applied(int(rest[0]), tuple(rest[1]))
