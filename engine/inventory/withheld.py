"""The rows of what the house withholds from sale: seats one by one, places of an area by count."""

from typing import Final

from msgspec import Struct
from sqlalchemy import ARRAY, Integer, any_, delete, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.commands import Areas
from engine.inventory.shows import Show
from engine.platform.tables import area_blocks, seat_blocks
from engine.platform.unnest import columns_of, insert_rows, parameters

_SEAT_BLOCK: Final = ("show_id", "reseller_id", "seat_index", "reason")
_ADD_SEAT_BLOCKS: Final = insert_rows(seat_blocks, _SEAT_BLOCK, "ON CONFLICT DO NOTHING")


class Places(Struct, frozen=True):
    """Seats by position and places by area index."""

    seats: tuple[int, ...] = ()
    areas: Areas = ()


class ShortError(Exception):
    """Rolls the transaction back: these areas have fewer places withheld."""

    def __init__(self, areas: tuple[int, ...]) -> None:
        """Take which."""
        self.areas = areas


async def write_blocks(
    connection: AsyncConnection, show: Show, places: Places, reason: str
) -> None:
    """Withhold seats and places; seats that are withheld already stay so."""
    of_show = {"show_id": show.id, "reseller_id": show.reseller}
    if places.seats:
        rows = ((show.id, show.reseller, seat, reason) for seat in places.seats)
        columns = columns_of(_SEAT_BLOCK, rows)
        await connection.execute(_ADD_SEAT_BLOCKS, parameters(seat_blocks, columns))
    for area, count in places.areas:
        added = insert(area_blocks).values(**of_show, area_index=area, count=count)
        await connection.execute(
            added.on_conflict_do_update(
                index_elements=["show_id", "area_index"],
                set_={"count": area_blocks.c.count + added.excluded["count"]},
            )
        )


async def erase_blocks(connection: AsyncConnection, show: Show, places: Places) -> None:
    """Give seats and places back; those that are not withheld stay so.

    Raises:
        ShortError: some areas have fewer places withheld.
    """
    of_show = seat_blocks.c.show_id == show.id
    given_back = any_(literal(list(places.seats), ARRAY(Integer)))
    await connection.execute(
        delete(seat_blocks).where(of_show, seat_blocks.c.seat_index == given_back)
    )
    short: list[int] = []
    for area, count in places.areas:
        this_one = (area_blocks.c.show_id == show.id, area_blocks.c.area_index == area)
        counted = select(area_blocks.c["count"]).where(*this_one)
        had = int((await connection.execute(counted)).scalar() or 0)
        if had < count:
            short.append(area)
        elif had == count:
            await connection.execute(delete(area_blocks).where(*this_one))
        else:
            await connection.execute(update(area_blocks).where(*this_one).values(count=had - count))
    if short:
        raise ShortError(tuple(short))
