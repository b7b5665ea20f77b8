"""Compact tables: a seating plan as CSV, a line for some seats of a row, or for an area.

    section,row,from,to,category,area,capacity
    Parkett,1,1,20,Kategorie I,,
    ,,,,Standing,Floor,800

The columns come in any order, those of areas only where there are some. Positions are made up:
sections below each other, their rows centred, an aisle wherever numbers are left out. What the
table lists first counts as best. All that is wrong is told at once, by line.
"""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Final

from msgspec import Struct

from engine.catalog.table_plan import TableArea, TableRow, TableSeats, draw_plan
from engine.inventory.seating_plan import export_plan, read_plan
from engine.inventory.seating_plan_faults import FAULTS_LISTED_MAX, SeatingPlanError, quoted
from engine.inventory.seating_plan_format import (
    CAPACITY_MAX,
    CATEGORIES_MAX,
    GA_AREAS_MAX,
    LABEL_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    ROW_SEATS_MAX,
    SEATS_MAX,
    SeatingPlan,
)
from engine.inventory.slug import slug
from engine.platform.legible import is_legible

TABLE_CHARACTERS_MAX: Final = 2_000_000
LINES_MAX: Final = 20_000

_SEAT_COLUMNS: Final = ("section", "row", "from", "to")
_AREA_COLUMNS: Final = ("area", "capacity")
_COLUMNS: Final = (*_SEAT_COLUMNS, "category", *_AREA_COLUMNS)
_CHARACTERS_MAX: Final = {"row": LABEL_CHARACTERS_MAX, "area": LABEL_CHARACTERS_MAX}


class TableFault(Struct, frozen=True):
    """What is wrong with a line, counted from 1; the header is a line, too."""

    line: int
    reason: str


class TableError(ValueError):
    """The table is no plan. `faults` are the first, 100 at most; `more` counts the others."""

    def __init__(self, faults: tuple[TableFault, ...], more: int = 0) -> None:
        """Take at least one fault."""
        self.faults = faults
        self.more = more
        others = len(faults) - 1 + more
        message = f"line {faults[0].line}: {faults[0].reason}"
        super().__init__(message + (f" (and {others} more)" if others else ""))


def read_table(table: str, name: str) -> SeatingPlan:
    """Read a compact table as a plan of that name.

    Raises:
        TableError: with all that is wrong.
    """
    reader = _Reader()
    reader.read(table)
    reader.refuse()
    plan = draw_plan(name, reader.categories, reader.seats, reader.areas)
    try:
        # As it will be read again: its types have bounds, too.
        return read_plan(export_plan(plan))
    except SeatingPlanError as refusal:  # what no line shows
        faults = tuple(TableFault(1, fault.reason) for fault in refusal.faults)
        raise TableError(faults, refusal.more) from refusal


class _Reader:
    """What was read so far, and what was wrong with it."""

    def __init__(self) -> None:
        self.seats: list[TableSeats] = []
        self.areas: list[TableArea] = []
        self.categories: dict[str, str] = {}
        self._faults: list[TableFault] = []
        self._more = 0
        self._labels: dict[str, int] = {}
        self._row_sizes: dict[TableRow, int] = {}
        self._area_lines: dict[str, int] = {}

    def read(self, table: str) -> None:
        if len(table) > TABLE_CHARACTERS_MAX:
            self._fault(1, f"the table has more than {TABLE_CHARACTERS_MAX} characters")
            return
        for line, cells in self._lines(table.removeprefix("\ufeff")):
            if line > LINES_MAX:
                self._fault(line, f"the table has more than {LINES_MAX} lines")
                return
            if cells.get("area") or (cells.get("capacity") and not cells.get("section")):
                self._read_area(line, cells)
            else:
                self._read_seats(line, cells)
        if not self._faults and not self.seats and not self.areas:
            self._fault(1, "the table has no seats and no areas")

    def refuse(self) -> None:
        if self._faults:
            raise TableError(tuple(self._faults), self._more)

    def _fault(self, line: int, reason: str) -> None:
        if len(self._faults) < FAULTS_LISTED_MAX:
            self._faults.append(TableFault(line, reason))
        else:
            self._more += 1

    def _lines(self, table: str) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield each line's cells by column, once the header was right."""
        head = table.partition("\n")[0]
        # As a spreadsheet writes it where the comma is the decimal point's.
        delimiter = ";" if ";" in head and "," not in head else ","
        rows = csv.reader(StringIO(table, newline=""), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        try:
            for cells in rows:
                stripped = [cell.strip() for cell in cells]
                if not any(stripped):
                    continue
                if header is None:
                    header = [cell.casefold() for cell in stripped]
                    if not self._check_header(rows.line_num, header):
                        return
                elif len(stripped) > len(header) and any(stripped[len(header) :]):
                    reason = f"has {len(stripped)} cells; the header names {len(header)} columns"
                    self._fault(rows.line_num, reason)
                else:
                    yield rows.line_num, dict(zip(header, stripped, strict=False))
        except csv.Error as error:
            self._fault(rows.line_num, f"is not CSV: {error}")

    def _check_header(self, line: int, header: list[str]) -> bool:
        before = len(self._faults)
        for column in dict.fromkeys(header):
            if column not in _COLUMNS:
                known = ", ".join(_COLUMNS)
                self._fault(line, f"unknown column {quoted(column)}; known are {known}")
            elif header.count(column) > 1:
                self._fault(line, f"the column {column} is there more than once")
        of_areas = all(column in header for column in _AREA_COLUMNS)
        wanted = () if of_areas and not set(_SEAT_COLUMNS) & set(header) else _SEAT_COLUMNS
        for column in (*wanted, "category"):
            if column not in header:
                self._fault(line, f"the column {column} is missing")
        if ("area" in header) != ("capacity" in header):
            self._fault(line, "the columns area and capacity come together")
        return len(self._faults) == before

    def _read_seats(self, line: int, cells: Mapping[str, str]) -> None:
        section = self._text(line, cells, "section")
        row = self._text(line, cells, "row")
        first = self._number(line, cells, "from", least=0, most=999_999)
        last = self._number(line, cells, "to", least=0, most=999_999)
        category = self._category(line, cells)
        if cells.get("capacity"):
            self._fault(line, "capacity is of areas: seats have none")
        if first is not None and last is not None and first > last:
            self._fault(line, f"from is more than to: {first} and {last}")
            return
        if section is None or row is None or first is None or last is None:
            return
        if not self._fits(line, TableRow(section, row), last - first + 1):
            return
        before = self._more + len(self._faults)
        self._take_labels(line, f"{section}-{row}-", range(first, last + 1))
        if category is not None and before == self._more + len(self._faults):
            self.seats.append(TableSeats(TableRow(section, row), first, last, category))

    def _read_area(self, line: int, cells: Mapping[str, str]) -> None:
        area = self._text(line, cells, "area")
        capacity = self._number(line, cells, "capacity", least=1, most=CAPACITY_MAX)
        category = self._category(line, cells)
        given = [column for column in ("row", "from", "to") if cells.get(column)]
        if given:
            self._fault(line, f"an area has no {', '.join(given)}")
        section = cells.get("section") or None
        if section is not None and self._text(line, cells, "section") is None:
            return
        if area is None:
            return
        name = slug(area)
        first = self._area_lines.setdefault(name, line)
        if not name:
            self._fault(line, f"the area {quoted(area)} has no letter or digit to make a slug from")
        elif first != line:
            self._fault(line, f"the area on line {first} has the same slug: {name}")
        elif len(self._area_lines) > GA_AREAS_MAX:
            self._fault(line, f"there are more than {GA_AREAS_MAX} areas")
        elif capacity is not None and category is not None:
            self.areas.append(TableArea(section, area, capacity, category))

    def _text(self, line: int, cells: Mapping[str, str], column: str) -> str | None:
        text = cells.get(column, "")
        most = _CHARACTERS_MAX.get(column, NAME_CHARACTERS_MAX)
        if not text:
            self._fault(line, f"{column} is empty")
        elif len(text) > most:
            self._fault(line, f"{column} has more than {most} characters")
        elif not is_legible(text):
            self._fault(line, f"{column} has control characters in it")
        else:
            return text
        return None

    def _number(
        self, line: int, cells: Mapping[str, str], column: str, *, least: int, most: int
    ) -> int | None:
        text = cells.get(column, "")
        if not text:
            self._fault(line, f"{column} is empty")
            return None
        if not text.isascii() or not text.isdigit():
            self._fault(line, f"{column} is not a whole number: {quoted(text)}")
            return None
        digits = text.lstrip("0") or "0"
        number = int(digits) if len(digits) <= len(str(most)) else most + 1
        if not least <= number <= most:
            self._fault(line, f"{column} is not from {least} to {most}: {quoted(text)}")
            return None
        return number

    def _category(self, line: int, cells: Mapping[str, str]) -> str | None:
        category = self._text(line, cells, "category")
        if category is None:
            return None
        name = slug(category)
        known = self.categories.setdefault(name, category)
        if not name:
            reason = f"the category {quoted(category)} has no letter or digit to make a slug from"
        elif known != category:
            reason = f"the categories {quoted(known)} and {quoted(category)} have one slug: {name}"
        elif len(self.categories) > CATEGORIES_MAX:
            reason = f"there are more than {CATEGORIES_MAX} categories"
        else:
            return category
        self._fault(line, reason)
        return None

    def _fits(self, line: int, row: TableRow, count: int) -> bool:
        size = self._row_sizes.get(row, 0) + count
        longest = f"{row.section}-{row.row}-999999"
        if size > ROW_SEATS_MAX:
            self._fault(line, f"row {quoted(row.row)} has more than {ROW_SEATS_MAX} seats")
        elif len(self._labels) + count > SEATS_MAX:
            self._fault(line, f"there are more than {SEATS_MAX} seats")
        elif len(longest) > LABEL_CHARACTERS_MAX:
            reason = f"section, row and number have more than {LABEL_CHARACTERS_MAX} characters"
            self._fault(line, reason)
        else:
            self._row_sizes[row] = size
            return True
        return False

    def _take_labels(self, line: int, prefix: str, numbers: range) -> None:
        """Note the seats' labels; the first that is there already is a fault."""
        twice = next((n for n in numbers if f"{prefix}{n}" in self._labels), None)
        if twice is not None:
            label = f"{prefix}{twice}"
            self._fault(line, f"the seat {quoted(label)} is already on line {self._labels[label]}")
            return
        for number in numbers:
            self._labels[f"{prefix}{number}"] = line
