"""Changes many shows of a reseller at once: in one transaction that keeps others from all of them.

What takes long is written while the recorder goes on: it shares a show's row with who only keeps
it as it is. The row itself comes last, by an update that the recorder waits for until the commit.
"""

import asyncio
from collections.abc import Collection, Mapping
from functools import partial
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.house import Change, LockedShow, complete
from engine.inventory.shows import is_stored
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.redis import Store
from engine.platform.tables import shows

_AT_ONCE: Final = 20
_BOUND_THE_WAIT: Final = text("SET LOCAL lock_timeout = '5s'")
_ONE_AT_A_TIME: Final = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('many shows', :reseller))"
)


async def keep_shows(
    connection: AsyncConnection, reseller: EntityId, wanted: Collection[EntityId]
) -> dict[EntityId, LockedShow]:
    """Keep recoveries and other changes from shows, but not the recorder; return how they stand.

    Everybody who locks several does so by their ids, or two could wait for each other. Of those who
    only keep shows and change them afterwards, each would wait for the other: one at a time.
    """
    await connection.execute(_BOUND_THE_WAIT)
    await connection.execute(_ONE_AT_A_TIME, {"reseller": reseller})
    names = ("id", "epoch", "inventory_version", "state", "archived_at")
    query = select(*(shows.c[name] for name in names)).where(shows.c.id.in_(list(wanted)))
    rows = await connection.execute(query.order_by(shows.c.id).with_for_update(read=True))
    return {
        EntityId(row["id"]): LockedShow((row["epoch"], row["inventory_version"]), is_stored(row))
        for row in rows.mappings()
    }


async def complete_shows(
    app: AsyncEngine, redis: Store, reseller: EntityId, changed: Mapping[EntityId, LockedShow]
) -> None:
    """Tell the store of what is committed: of what it does not hear now, the workers tell it."""
    open_ledger = partial(tenant_transaction, app, reseller)
    stored = [(show, locked.now) for show, locked in changed.items() if locked.is_stored]
    for first in range(0, len(stored), _AT_ONCE):
        some = stored[first : first + _AT_ONCE]
        await asyncio.gather(
            *(complete(open_ledger, redis, show, now, Change()) for show, now in some)
        )
