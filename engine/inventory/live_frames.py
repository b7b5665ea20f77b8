"""What watchers of a show are told: a picture of its seats, then frames of what has changed.

A frame has the last state of every seat that changed, not the steps between: told to somebody who
knows some of it already, it leaves them with the truth. So frames can be merged, and one that
begins too early does no harm.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from engine.inventory.facts import StreamId, read_delta

STATES: Final = b"ohsb"
"""What a seat's two bits count in: open 0, held 1, sold 2, blocked 3. A separator is told as 3."""

FRAMES_KEPT_MAX: Final = 1200
CHANGES_KEPT_MAX: Final = 200_000

_SEATS_A_BYTE: Final = 4
_OTHER: Final = 3
_TABLES: Final = tuple(
    bytes((STATES.find(state) if state in STATES else _OTHER) << shift for state in range(256))
    for shift in (0, 2, 4, 6)
)
_READ: Final = tuple(
    bytes(STATES[byte >> shift & _OTHER] for shift in (0, 2, 4, 6)) for byte in range(256)
)

Counts = tuple[int, int, int, int]
"""How many of an area's places are open, held, sold and blocked."""


class GapError(Exception):
    """Deltas are missing, or can't be read: only a fresh picture helps."""


class Frame(Struct, frozen=True):
    """What changed from one place in the deltas, exclusive, to another, inclusive."""

    after: StreamId
    at: StreamId
    at_ms: int
    """When the last of it was decided, on the show's clock."""
    seats: dict[int, int]
    """State by position, as a letter's code."""
    areas: dict[int, Counts]


class Telling:
    """How what the store has of a show is told to anybody; unless otherwise, as it is."""

    def seats(self, seats: bytes) -> bytes:
        """Return the states of all seats."""
        return seats

    def changes(self, seats: dict[int, int]) -> dict[int, int]:
        """Return new states by position."""
        return seats

    def areas(self, areas: list[Counts]) -> list[Counts]:
        """Return the counts of all areas."""
        return areas

    def area(self, area: int) -> int:
        """Return under which area one is told."""
        return area


class Picture:
    """How a show stands as of a place in its deltas, and what has changed since it was told."""

    def __init__(
        self,
        at: StreamId,
        at_ms: int,
        seats: bytes,
        areas: Iterable[Counts],
        told: "Telling | None" = None,
    ) -> None:
        """Take what was read in one moment, and how it is told; None: as it is."""
        self.at = at
        self.at_ms = at_ms
        self._telling = told or Telling()
        self.seats = bytearray(self._telling.seats(seats))
        self._areas = list(areas)
        """As the store has them."""
        self.told = at
        """The end of the last frame that was taken."""
        self._changed: dict[int, int] = {}
        self._changed_areas: set[int] = set()

    @property
    def areas(self) -> list[Counts]:
        """Return the counts of areas, as they are told."""
        return self._telling.areas(self._areas)

    def learn(self, at: StreamId, packed: bytes) -> None:
        """Learn from the next delta.

        Raises:
            GapError: it is not the next one, or can't be read.
        """
        if at != StreamId(self.at.epoch, self.at.n + 1):
            msg = f"{at} does not follow {self.at}"
            raise GapError(msg)
        at_ms, seats, areas = _read(packed)
        if any(position >= len(self.seats) for position in seats) or any(
            area >= len(self._areas) for area in areas
        ):
            msg = f"{at} is of another show"
            raise GapError(msg)
        seats = self._telling.changes(seats)
        for position, state in seats.items():
            self.seats[position] = state
        for area, counts in areas.items():
            self._areas[area] = counts
            self._changed_areas.add(self._telling.area(area))
        self._changed |= seats
        self.at, self.at_ms = at, at_ms

    def take_frame(self) -> Frame | None:
        """Return what has changed since the last frame; None: nothing was decided."""
        if self.at == self.told:
            return None
        told = self.areas if self._changed_areas else []
        areas = {area: told[area] for area in self._changed_areas}
        frame = Frame(self.told, self.at, self.at_ms, self._changed, areas)
        self.told, self._changed, self._changed_areas = self.at, {}, set()
        return frame


class History:
    """The last frames of a show's epoch, for who comes back."""

    def __init__(self) -> None:
        """Begin with none."""
        self._frames: deque[Frame] = deque()
        self._changes = 0

    def add(self, frame: Frame) -> None:
        """Keep the next frame, and forget the oldest beyond the bounds."""
        if self._frames and self._frames[-1].at != frame.after:
            self._frames.clear()
            self._changes = 0
        self._frames.append(frame)
        self._changes += len(frame.seats)
        while len(self._frames) > FRAMES_KEPT_MAX or self._changes > CHANGES_KEPT_MAX:
            self._changes -= len(self._frames.popleft().seats)

    def since(self, at: StreamId) -> Frame | None:
        """Return all that was told after a place, as one frame; None: not all of it is kept."""
        if not self._frames or not self._frames[0].after <= at <= self._frames[-1].at:
            return None
        missed: list[Frame] = []
        for frame in reversed(self._frames):
            if frame.at <= at:
                break
            missed.append(frame)
        last = self._frames[-1]
        seats: dict[int, int] = {}
        areas: dict[int, Counts] = {}
        for frame in reversed(missed):
            seats |= frame.seats
            areas |= frame.areas
        return Frame(at, last.at, last.at_ms, seats, areas)


def read_frames(entries: Iterable[tuple[StreamId, bytes]], after: StreamId) -> Iterator[Frame]:
    """Yield a frame of each delta that follows another without a gap.

    Raises:
        GapError: one is missing, or can't be read.
    """
    for at, packed in entries:
        if at != StreamId(after.epoch, after.n + 1):
            msg = f"{at} does not follow {after}"
            raise GapError(msg)
        at_ms, seats, areas = _read(packed)
        yield Frame(after, at, at_ms, seats, areas)
        after = at


def pack_states(states: bytes | bytearray) -> bytes:
    """Return two bits a position, the first in the lowest bits of the first byte."""
    length = -(-len(states) // _SEATS_A_BYTE)
    packed = 0
    for n, table in enumerate(_TABLES):
        part = bytes(states[n::_SEATS_A_BYTE]).translate(table)
        packed |= int.from_bytes(part, "little")
    return packed.to_bytes(length, "little")


def unpack_states(packed: bytes, count: int) -> bytes:
    """Return a letter a position, as `pack_states` got them, but for separators."""
    return b"".join(map(_READ.__getitem__, packed))[:count]


def _read(packed: bytes) -> tuple[int, dict[int, int], dict[int, Counts]]:
    try:
        delta = read_delta(packed)
    except msgspec.DecodeError as error:
        raise GapError(str(error)) from error
    changes = iter(delta.seats)
    seats = dict(zip(changes, changes, strict=True))
    areas = {
        area: (opened, held, sold, blocked) for area, opened, held, sold, blocked in delta.areas
    }
    return delta.at_ms, seats, areas
