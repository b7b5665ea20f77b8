"""A show's hall as its seating plan has it, read for the auditor.

The rules are those of docs/SEATING_PLANS.md: neighbours stand in the order of the shortest walk
past them, and a gap of more than 1.5 times the row's lower median gap is an aisle. Seats between
two aisles are a *run* here. In which order the runs stand in the seats string is not computed
again: that they are the plan's runs, and that every ticket's label sits where its run is, shows it.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from math import dist
from statistics import median_low
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

_AISLE_FACTOR: Final = 1.5
_ALIKE: Final = 1.000001

_Point = tuple[float, float]


class _Position(Struct, gc=False):
    x: float
    y: float


class _Seat(Struct, gc=False):
    seat_guid: str
    position: _Position


class _Row(Struct, gc=False):
    seats: list[_Seat]


class _Area(Struct, gc=False):
    capacity: int | None = None
    category: str | None = None


class _Zone(Struct, gc=False):
    rows: list[_Row]
    areas: list[_Area] | None = None


class _Plan(Struct, gc=False):
    zones: list[_Zone]


class Hall(Struct, frozen=True):
    """What the plan says about the seats string: lengths of runs, and who sits where in them."""

    seat_count: int
    run_lengths: tuple[int, ...]
    place_of: dict[str, tuple[int, int]]
    """A seat's label to the number of its run and its place in it."""
    area_capacities: tuple[int, ...]

    def with_capacities(self, changed: Mapping[int, int]) -> "Hall":
        """Return it with other capacities of some areas, and shares of areas behind the plan's."""
        planned = self.area_capacities
        after = max(changed, default=-1) + 1
        given = (*planned, *[0] * (after - len(planned)))
        capacities = tuple(changed.get(n, count) for n, count in enumerate(given))
        return replace(self, area_capacities=capacities)

    @property
    def string_length(self) -> int:
        """Return how long the seats string must be: a separator before each run and at the end."""
        return self.seat_count + len(self.run_lengths) + 1

    @property
    def tally(self) -> Counter[int]:
        """Return how many runs there are of each length."""
        return Counter(self.run_lengths)


def read_hall(plan: str | bytes) -> Hall:
    """Read a seating plan in pretix's JSON format.

    Raises:
        msgspec.MsgspecError: it is not one.
    """
    read = msgspec.json.decode(plan, type=_Plan)
    lengths: list[int] = []
    place_of: dict[str, tuple[int, int]] = {}
    for zone in read.zones:
        for row in zone.rows:
            for run in _runs(row.seats):
                place_of.update({label: (len(lengths), n) for n, label in enumerate(run)})
                lengths.append(len(run))
    return Hall(
        seat_count=len(place_of),
        run_lengths=tuple(lengths),
        place_of=place_of,
        area_capacities=tuple(
            area.capacity
            for zone in read.zones
            for area in zone.areas or ()
            if area.capacity and area.category
        ),
    )


def _runs(seats: list[_Seat]) -> list[list[str]]:
    """Cut a row at its aisles."""
    if not seats:
        return []
    points = [(seat.position.x, seat.position.y) for seat in seats]
    order = _walking_order(points)
    gaps = [dist(points[here], points[there]) for here, there in pairwise(order)]
    widest = _AISLE_FACTOR * _ALIKE * median_low(gaps) if gaps else 0.0
    runs = [[seats[order[0]].seat_guid]]
    for gap, n in zip(gaps, order[1:], strict=True):
        if gap > widest:
            runs.append([])
        runs[-1].append(seats[n].seat_guid)
    return runs


def _walking_order(points: list[_Point]) -> list[int]:
    """Return the shortest of three walks: as listed, along x, along y."""
    listed = list(range(len(points)))
    best, length = listed, _length(points)
    if length <= dist(points[0], points[-1]) * _ALIKE:
        return listed
    along_x = sorted(listed, key=lambda n: (points[n][0], points[n][1], n))
    along_y = sorted(listed, key=lambda n: (points[n][1], points[n][0], n))
    for order in (along_x, along_y):
        walked = _length([points[n] for n in order])
        if walked * _ALIKE < length:
            best, length = order, walked
    return best


def _length(points: list[_Point]) -> float:
    return sum(dist(here, there) for here, there in pairwise(points))
