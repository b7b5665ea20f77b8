"""Bills: who performs at an event, in the order in which they are named."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.ids import EntityId
from engine.platform.tables import event_performers, performers

Bill = tuple[tuple[EntityId, str], ...]
"""Ids and names, in billing order."""

_billed = event_performers.c


async def bills_of(connection: AsyncConnection, events: Iterable[EntityId]) -> dict[EntityId, Bill]:
    """Return the bill of each event; nobody performs at one that is missing."""
    query = (
        select(_billed.event_id, performers.c.id, performers.c.name)
        .join(performers, performers.c.id == _billed.performer_id)
        .where(_billed.event_id.in_(list(events)))
        .order_by(_billed.event_id, _billed.billing_no)
    )
    found: defaultdict[EntityId, list[tuple[EntityId, str]]] = defaultdict(list)
    for row in await connection.execute(query):
        found[EntityId(row.event_id)].append((EntityId(row.id), row.name))
    return {event: tuple(bill) for event, bill in found.items()}


async def not_performers(
    connection: AsyncConnection, named: Sequence[EntityId], *, billed_on: EntityId | None = None
) -> list[EntityId]:
    """Return those who can't be billed: who is no performer of the reseller's, or archived.

    Who is archived stays where they are on the bill already. The others' rows are locked, so that
    nobody is archived before the transaction ends.
    """
    on_it = select(_billed.performer_id).where(_billed.event_id == billed_on)
    query = (
        select(performers.c.id)
        .where(
            performers.c.id.in_(list(named)),
            performers.c.archived_at.is_(None) | performers.c.id.in_(on_it),
        )
        .order_by(performers.c.id)
        .with_for_update(read=True, key_share=True)
    )
    there = set((await connection.execute(query)).scalars())
    return [performer for performer in named if performer not in there]


async def replace_bill(
    connection: AsyncConnection, reseller: EntityId, event: EntityId, named: Sequence[EntityId]
) -> None:
    """Have these perform at an event, and nobody else; the event's row is locked."""
    rows = [
        {"event_id": event, "billing_no": n, "reseller_id": reseller, "performer_id": performer}
        for n, performer in enumerate(named, start=1)
    ]
    query = (
        select(_billed.performer_id).where(_billed.event_id == event).order_by(_billed.billing_no)
    )
    if list((await connection.execute(query)).scalars()) == list(named):
        return
    await connection.execute(delete(event_performers).where(_billed.event_id == event))
    if rows:
        await connection.execute(insert(event_performers), rows)
