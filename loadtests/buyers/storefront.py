"""The seat map that the crowd looks at: fetched a few times a second, once for all of them."""

import random
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from onsale_client.wire import path_of

from loadtests.buyers.desk import Answer, Desk, GaveUpError

Read = TypeVar("Read", bound=Struct)

_PAGE: Final = 2000
_OPEN: Final = "o"
_HELD: Final = "h"


class _Seat(Struct):
    seat: str
    position: int
    price_level: str


class _SeatPage(Struct):
    seats: list[_Seat]
    next_cursor: str | None


class Counts(Struct, frozen=True):
    """Places by state."""

    capacity: int
    sold: int
    held: int
    blocked: int
    open: int


class LevelCounts(Counts, frozen=True):
    """A price level's numbered seats by state."""

    price_level: str


class AreaCounts(Counts, frozen=True):
    """An area's places by state."""

    area: str


class _SeatMap(Struct):
    states: str


class _Availability(Struct):
    total: Counts
    price_levels: list[LevelCounts]
    areas: list[AreaCounts]
    seat_map: _SeatMap


class Storefront:
    """What a reseller's shop shows of a show: old by a moment, like any shop's map."""

    def __init__(self, desk: Desk, show: str) -> None:
        """Take the way to the API and the show's id; `load` before use."""
        self._desk = desk
        self._show = show
        self._labels: list[str] = []
        self._states = bytearray()
        self.total = Counts(0, 0, 0, 0, 0)
        self.levels: list[LevelCounts] = []
        self.areas: list[AreaCounts] = []

    @property
    def states(self) -> str:
        """A letter per position: o, h, s, b, or | where no seat is."""
        return self._states.decode()

    @property
    def labels(self) -> list[str]:
        """The seats' labels by position; an empty one where no seat is."""
        return self._labels

    @property
    def is_sold_out(self) -> bool:
        """Whether everything that is for sale is sold."""
        return self.total.sold == self.total.capacity - self.total.blocked > 0

    async def load(self) -> None:
        """Fetch the list of seats and the first map.

        Raises:
            GaveUpError: the show does not open, or does not answer as documented.
        """
        await self.refresh()
        self._labels = [""] * len(self._states)
        cursor: str | None = ""
        while cursor is not None:
            query = f"?limit={_PAGE}" + (f"&cursor={cursor}" if cursor else "")
            answer = await self._desk.ask("GET", path_of("shows", self._show, "seats") + query)
            page = _read(answer, _SeatPage)
            for seat in page.seats:
                self._labels[seat.position] = seat.seat
            cursor = page.next_cursor

    async def refresh(self) -> None:
        """Fetch the map.

        Raises:
            GaveUpError: it can't be had.
        """
        answer = await self._desk.ask("GET", path_of("shows", self._show, "availability"))
        found = _read(answer, _Availability)
        self._states = bytearray(found.seat_map.states, "ascii")
        self.total = found.total
        self.levels = found.price_levels
        self.areas = found.areas

    def mark_held(self, positions: list[int]) -> None:
        """Show seats as held at once that somebody has just got here."""
        for position in positions:
            self._states[position] = ord(_HELD)

    def pick(self, quantity: int, luck: random.Random) -> list[int]:
        """Return positions of open seats together, more often good ones; fewer if need be."""
        start = int(len(self._states) * luck.random() ** 2)
        for size in range(quantity, 0, -1):
            run = _OPEN.encode() * size
            found = self._states.find(run, start)
            if found < 0:
                found = self._states.find(run)
            if found >= 0:
                return list(range(found, found + size))
        return []

    def pick_level(self, luck: random.Random) -> str | None:
        """Return a price level that has open seats, if one has."""
        open_levels = [level for level in self.levels if level.open]
        weights = [level.open for level in open_levels]
        return luck.choices(open_levels, weights)[0].price_level if open_levels else None

    def pick_area(self, luck: random.Random) -> str | None:
        """Return an area that has open places, if one has."""
        open_areas = [area for area in self.areas if area.open]
        weights = [area.open for area in open_areas]
        return luck.choices(open_areas, weights)[0].area if open_areas else None


def _read(answer: Answer, kind: type[Read]) -> Read:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        msg = f"not a {kind.__name__}: {answer.told()}"
        raise GaveUpError(msg) from error
