"""Events: what is promoted. Shows name theirs; performers are billed on them."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.ids import EntityId
from engine.platform.tables import events


async def event_exists(connection: AsyncConnection, event: EntityId) -> bool:
    """Tell whether a show of this transaction's reseller may name an event: there, not archived.

    Locks it until the transaction ends, so that it is not archived meanwhile.
    """
    there = (
        select(events.c.id)
        .where(events.c.id == event, events.c.archived_at.is_(None))
        .with_for_update(read=True, key_share=True)
    )
    return (await connection.execute(there)).first() is not None
