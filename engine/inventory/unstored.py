"""Refuses what the house asks of a show that the store does not have, by the ledger.

Of a draft nothing is sold, and of a show that was archived the ledger has all: nobody holds a
place, every sale is recorded. So it says what the store would.
"""

from collections import Counter
from collections.abc import Collection
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.commands import Areas
from engine.inventory.manifest import Manifest

_SOLD: Final = text(
    "SELECT seat_index FROM tickets WHERE show_id = :show AND status = 'active'"
    " AND seat_index = ANY(CAST(:seats AS INTEGER[])) ORDER BY seat_index"
)
_AREAS: Final = text(
    "SELECT area_index, capacity, sold, coalesce(count, 0) AS blocked"
    " FROM (SELECT area_index, capacity, sold FROM area_sales WHERE show_id = :show) AS sales"
    " FULL JOIN (SELECT area_index, count FROM area_blocks WHERE show_id = :show) AS blocks"
    " USING (area_index)"
)


async def find_taken(
    connection: AsyncConnection,
    show: int,
    manifest: Manifest,
    *,
    seats: Collection[int],
    areas: Areas,
) -> tuple[tuple[int, ...], Areas]:
    """Return those of the seats that are sold, and areas with fewer open places, and how many."""
    sold: tuple[int, ...] = ()
    if seats:
        found = await connection.scalars(_SOLD, {"show": show, "seats": sorted(seats)})
        sold = tuple(found)
    wanted = Counter[int]()
    for area, count in areas:
        wanted[area] += count
    if not wanted:
        return sold, ()
    left = {area: manifest.areas[area].capacity for area in wanted}
    for row in await connection.execute(_AREAS, {"show": show}):
        if row.area_index in left:
            # Where an edit has changed it, the ledger has the newer capacity.
            capacity = left[row.area_index] if row.capacity is None else row.capacity
            left[row.area_index] = max(capacity - (row.sold or 0) - row.blocked, 0)
    return sold, tuple(sorted((a, left[a]) for a, count in wanted.items() if left[a] < count))
