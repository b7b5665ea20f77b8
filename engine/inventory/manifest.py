"""The manifest: the compiled, immutable list of the seats and areas that a show sells from.

A seat's *position* is its index in `Manifest.layout`. It is fixed for the show's life, and it is
what facts, holds and tickets carry. `engine/inventory/compile_manifest.py` makes manifests; the
rules that it orders seats by are in docs/SEATING_PLANS.md.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr, replace

OPEN: Final = "o"
"""A seat's byte in the layout: nothing is sold yet."""

SEPARATOR: Final = "|"
"""Stands in the layout at both ends of every row and at every aisle."""

LEVELS_MAX: Final = 255
"""`level_by_position` is one byte a position, and `NO_LEVEL` takes one of the values."""

NO_LEVEL: Final = 255
"""What `level_by_position` holds at a separator."""


class PriceLevel(Struct, frozen=True):
    """A priced group of seats and areas.

    `ranges` are `[start, end)` positions, best first. A range starts and ends at a seat of this
    level and has only such seats and separators in it; every seat of the level is in one of them.
    A level that only GA areas have has none.
    """

    slug: str
    name: str
    color: str | None = None
    ranges: tuple[tuple[int, int], ...] = ()


class Area(Struct, frozen=True):
    """A general admission area, sold by count. `price_level` is a level's slug."""

    slug: str
    name: str
    capacity: int
    price_level: str
    parent: int | None = None
    """The index of the area that its places are told under: it is a share of that one's."""


class Row(Struct, frozen=True):
    """A row: the positions `[start, end)`, from its first seat to its last, aisles included.

    `entrance` and `gate` are its zone's; empty: the plan names none.
    """

    zone: str
    number: str
    start: int
    end: int
    entrance: str = ""
    gate: str = ""


class Traits(Struct, frozen=True, omit_defaults=True):
    """What is special about a seat. `companion_of` is the label of the seat that it goes with."""

    accessible: bool = False
    companion_of: str = ""
    restricted_view: bool = False


NO_TRAITS: Final = Traits()


class Seat(Struct, frozen=True):
    """What a buyer is told of one seat. `price_level` is a level's slug."""

    position: int
    label: str
    zone: str
    row: str
    number: str
    price_level: str


class Manifest(Struct, frozen=True, kw_only=True):
    """The seats, price levels and areas of a show.

    `labels` and `numbers` have one entry a position, None at a separator; a label is the seat's
    `seat_guid` in its plan. A seat that was taken out has a separator in the layout and keeps its
    label. The fields after `traits` are derived from the ones before.
    """

    name: str
    layout: str
    labels: tuple[str | None, ...]
    numbers: tuple[str | None, ...]
    rows: tuple[Row, ...]
    levels: tuple[PriceLevel, ...]
    areas: tuple[Area, ...]
    traits: dict[int, Traits] = {}
    """By position; most seats have none."""

    index_by_label: dict[str, int] = {}
    removed_by_label: dict[str, int] = {}
    """Positions of the seats that were taken out."""
    level_by_position: bytes = b""
    seat_count: int = 0
    seats_by_level: tuple[int, ...] = ()
    capacity: int = 0
    level_by_slug: dict[str, int] = {}
    area_by_slug: dict[str, int] = {}
    row_starts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Derive the look-ups.

        Raises:
            ValueError: the fields contradict each other.
        """
        if not len(self.layout) == len(self.labels) == len(self.numbers):
            msg = "layout, labels and numbers need one entry a position each"
            raise ValueError(msg)
        if len(self.levels) > LEVELS_MAX:
            msg = f"{len(self.levels)} price levels: {LEVELS_MAX} at most"
            raise ValueError(msg)
        index: dict[str, int] = {}
        removed: dict[str, int] = {}
        for n, (label, byte) in enumerate(zip(self.labels, self.layout, strict=True)):
            if label is not None:
                (index if byte == OPEN else removed)[label] = n
        level_by_position = self._level_by_position()
        counts = tuple(level_by_position.count(n) for n in range(len(self.levels)))
        seats = self.layout.count(OPEN)
        if (
            not len(index)
            == sum(counts)
            == seats
            == len(self.layout) - self.layout.count(SEPARATOR)
        ):
            msg = "every seat needs a label of its own and a price level"
            raise ValueError(msg)
        derived = {
            "index_by_label": index,
            "removed_by_label": removed,
            "level_by_position": level_by_position,
            "seat_count": seats,
            "seats_by_level": counts,
            "capacity": seats + sum(area.capacity for area in self.areas),
            "level_by_slug": {level.slug: n for n, level in enumerate(self.levels)},
            "area_by_slug": {
                area.slug: n for n, area in enumerate(self.areas) if area.parent is None
            },
            "row_starts": tuple(row.start for row in self.rows),
        }
        for field, value in derived.items():
            force_setattr(self, field, value)

    def __repr__(self) -> str:
        """Name it without its 150 000 labels."""
        return (
            f"Manifest({self.name!r}, {self.seat_count} seats in {len(self.rows)} rows, "
            f"{len(self.levels)} price levels, {len(self.areas)} areas)"
        )

    def index(self, label: str) -> int | None:
        """Return the position of the seat with this label, None if there is none."""
        return self.index_by_label.get(label)

    def planned_index(self, label: str) -> int | None:
        """Return the position of a seat of the plan, also if it was taken out."""
        found = self.index_by_label.get(label)
        return self.removed_by_label.get(label) if found is None else found

    def area_index(self, slug: str) -> int | None:
        """Return the index in `areas` of the area with this slug, None if there is none."""
        return self.area_by_slug.get(slug)

    def areas_told(self) -> list[tuple[int, Area]]:
        """Return the areas, but for shares, with their indexes and all of their places."""
        shared = Counter[int]()
        for area in self.areas:
            if area.parent is not None:
                shared[area.parent] += area.capacity
        return [
            (n, replace(area, capacity=area.capacity + shared[n]) if shared[n] else area)
            for n, area in enumerate(self.areas)
            if area.parent is None
        ]

    def level_index(self, slug: str) -> int | None:
        """Return the index in `levels` of the level with this slug, None if there is none."""
        return self.level_by_slug.get(slug)

    def is_seat(self, position: int) -> bool:
        """Tell whether there is a seat at this position: False at separators and outside."""
        return 0 <= position < len(self.layout) and self.layout[position] == OPEN

    def label_of(self, position: int) -> str:
        """Return the label of the seat at this position.

        Raises:
            IndexError: no seat is there.
        """
        return self._seat_entry(self.labels, position)

    def labels_and_levels(self, positions: Iterable[int]) -> tuple[list[str], list[int]]:
        """Return, of each seat at these positions, the label, and the index of the price level.

        Raises:
            IndexError: no seat is at one of them.
        """
        labels: list[str] = []
        levels: list[int] = []
        for position in positions:
            label = self.labels[position]
            if label is None:
                raise _no_seat(position)
            labels.append(label)
            levels.append(self.level_by_position[position])
        return labels, levels

    def level_of(self, position: int) -> int:
        """Return the index in `levels` of the price level of the seat at this position.

        Raises:
            IndexError: no seat is there.
        """
        if not self.is_seat(position):
            raise _no_seat(position)
        return self.level_by_position[position]

    def describe(self, position: int) -> Seat:
        """Return label, zone, row, number and price level of the seat at this position.

        Raises:
            IndexError: no seat is there.
        """
        label = self._seat_entry(self.labels, position)
        row = self.row_of(position)
        return Seat(
            position=position,
            label=label,
            zone=row.zone,
            row=row.number,
            number=self._seat_entry(self.numbers, position),
            price_level=self.levels[self.level_by_position[position]].slug,
        )

    def row_of(self, position: int) -> Row:
        """Return the row of the seat at this position."""
        return self.rows[bisect_right(self.row_starts, position) - 1]

    def positions(self) -> Iterator[int]:
        """Yield the positions of all seats, best rows first."""
        return iter(self.index_by_label.values())

    def _seat_entry(self, entries: tuple[str | None, ...], position: int) -> str:
        entry = entries[position] if self.is_seat(position) else None
        if entry is None:
            raise _no_seat(position)
        return entry

    def _level_by_position(self) -> bytes:
        levels = bytearray([NO_LEVEL]) * len(self.layout)
        for n, level in enumerate(self.levels):
            # A range has separators in it, which belong to no level.
            of_byte = bytes.maketrans((OPEN + SEPARATOR).encode(), bytes([n, NO_LEVEL]))
            for start, end in level.ranges:
                levels[start:end] = self.layout[start:end].encode().translate(of_byte)
        return bytes(levels)


def _no_seat(position: int) -> IndexError:
    return IndexError(f"no seat at position {position}")
