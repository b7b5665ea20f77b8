"""What edits of a show's map name, in the API's words, and which seats and areas that are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from engine.inventory.edits import MapEdit
from engine.inventory.manifest import Manifest

SEATS_MAX: Final = 20_000
"""That one list of edits may name, rows by their seats: what one step of the store bears."""

CAPACITY_MAX: Final = 1_000_000


class EditKind(StrEnum):
    """What an edit does."""

    MOVE_SEATS = "move_seats"
    TAKE_OUT = "take_out"
    PUT_BACK = "put_back"
    MOVE_AREA = "move_area"
    SET_CAPACITY = "set_capacity"


class WantedRow(Struct, frozen=True):
    """A row of a zone: all of it, or from one seat's number to another's, inclusive."""

    zone: str
    row: str
    first: str | None = None
    last: str | None = None


class WantedEdit(Struct, frozen=True, kw_only=True):
    """One edit, as a request names it."""

    kind: EditKind
    seats: Sequence[str] = ()
    rows: Sequence[WantedRow] = ()
    area: str = ""
    price_level: str = ""
    capacity: int = 0


class EditFault(Struct, frozen=True):
    """What of the edits is not there, or contradicts another: a pointer below them, and why."""

    pointer: str
    reason: str


def resolve_edits(show_map: Manifest, edits: Sequence[WantedEdit]) -> MapEdit | list[EditFault]:
    """Return what edits change, or all that is wrong with them.

    Seats that were taken out are there, too: positions and labels never change.
    """
    return _Reading(show_map).read(edits)


class _Reading:
    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.faults: list[EditFault] = []
        self.levels: dict[int, int] = {}
        self.area_levels: dict[int, int] = {}
        self.capacities: dict[int, int] = {}
        self.taken: dict[int, None] = {}
        self.put: dict[int, None] = {}
        self._rows: Mapping[tuple[str, str], list[tuple[int, int]]] | None = None

    def read(self, edits: Sequence[WantedEdit]) -> MapEdit | list[EditFault]:
        named = 0
        for n, edit in enumerate(edits):
            seats = [*self._seats(n, edit)]
            named += len(seats)
            self._add(n, edit, seats)
        if named > SEATS_MAX:
            self._fault("", f"name {named} seats in all: {SEATS_MAX} at most in one request")
        if self.taken.keys() & self.put.keys():
            self._fault("", "take a seat out and put it back")
        if self.faults:
            return self.faults
        return MapEdit(
            levels=self.levels,
            area_levels=self.area_levels,
            capacities=self.capacities,
            take_out=[*self.taken],
            put_back=[*self.put],
        )

    def _add(self, n: int, edit: WantedEdit, seats: Sequence[int]) -> None:
        match edit.kind:
            case EditKind.TAKE_OUT:
                self.taken |= dict.fromkeys(seats)
            case EditKind.PUT_BACK:
                self.put |= dict.fromkeys(seats)
            case EditKind.MOVE_SEATS:
                level = self._level(n, edit.price_level)
                if level is not None:
                    self._move(n, seats, level)
            case EditKind.MOVE_AREA:
                self._set(n, self.area_levels, edit, self._level(n, edit.price_level))
            case EditKind.SET_CAPACITY:
                self._set(n, self.capacities, edit, edit.capacity)

    def _move(self, n: int, seats: Sequence[int], level: int) -> None:
        for seat in seats:
            if self.levels.setdefault(seat, level) != level:
                label = self.manifest.labels[seat]
                self._fault(f"/{n}", f"moves {label}, which another edit moves elsewhere")

    def _set(self, n: int, of: dict[int, int], edit: WantedEdit, value: int | None) -> None:
        area = self.manifest.area_index(edit.area)
        if area is None:
            known = ", ".join(area.slug for _, area in self.manifest.areas_told()) or "none"
            self._fault(f"/{n}/area", f"no such area; the show has {known}")
        elif value is not None and of.setdefault(area, value) != value:
            self._fault(f"/{n}", f"contradicts another edit of {edit.area}")

    def _level(self, n: int, slug: str) -> int | None:
        level = self.manifest.level_index(slug)
        if level is None:
            known = ", ".join(level.slug for level in self.manifest.levels)
            self._fault(f"/{n}/price_level", f"no such price level; the show has {known}")
        return level

    def _seats(self, n: int, edit: WantedEdit) -> Iterator[int]:
        for m, label in enumerate(edit.seats):
            position = self.manifest.planned_index(label)
            if position is None:
                self._fault(f"/{n}/seats/{m}", "no such seat")
            else:
                yield position
        for m, row in enumerate(edit.rows):
            found = self._rows_named(row)
            if not found:
                self._fault(f"/{n}/rows/{m}", "no such row, or no such seats in it")
            yield from found

    def _rows_named(self, row: WantedRow) -> list[int]:
        manifest = self.manifest
        if self._rows is None:
            rows: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
            for one in manifest.rows:
                rows[one.zone, one.number].append((one.start, one.end))
            self._rows = rows
        found: list[int] = []
        for start, end in self._rows.get((row.zone, row.row), ()):
            seats = [p for p in range(start, end) if manifest.labels[p] is not None]
            numbers = [manifest.numbers[position] for position in seats]
            if row.first is not None and row.last is not None:
                if row.first not in numbers or row.last not in numbers:
                    continue
                ends = sorted((numbers.index(row.first), numbers.index(row.last)))
                seats = seats[ends[0] : ends[1] + 1]
            found += seats
        return found

    def _fault(self, pointer: str, reason: str) -> None:
        self.faults.append(EditFault(pointer, reason))
