"""Moves places between an area and a share of it, in the ledger: an edit of the show's places."""

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.edits import EditMade, keep_edit, set_capacities
from engine.inventory.overlay import Overlay
from engine.inventory.shows import Show
from engine.platform.tables import shows


async def move_places(
    connection: AsyncConnection,
    show: Show,
    overlay: Overlay,
    moves: Iterable[tuple[int, int, int]],
    name: str,
) -> None:
    """Keep that places have moved: area, other area, and how many. It makes both versions.

    Raises:
        NotEditedError: an area would have fewer places than are sold of it.
    """
    known = Counter({n: area.capacity for n, area in enumerate(show.manifest.areas)})
    changed: dict[int, int] = {}
    for area, other, count in moves:
        known[area] -= count
        known[other] += count
        changed |= {area: known[area], other: known[other]}
    await set_capacities(connection, show, changed)
    made = EditMade(
        edit_no=show.edit_no + 1,
        inventory_version=show.inventory_version + 1,
        price_version=show.price_version + 1,
    )
    after = overlay.with_capacities(changed)
    await keep_edit(connection, show, after, made, reason=f"allotment {name}"[:200])


async def raise_version(connection: AsyncConnection, show: int) -> None:
    """Make a show's next inventory version, with its row locked."""
    await connection.execute(
        update(shows)
        .where(shows.c.id == show)
        .values(inventory_version=shows.c.inventory_version + 1)
    )
