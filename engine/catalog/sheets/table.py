"""What a spreadsheet is here: named columns and rows of texts, each with its line in the file.

CSV and XLSX are read to the same thing, so that a sheet has the same problems in either form.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

LINES_MAX: Final = 5_000
COLUMNS_MAX: Final = 300
"""A show of as many price levels as a plan may have goes into a sheet."""

CELLS_MAX: Final = 1_000_000
"""Empty ones, too."""

CELL_CHARACTERS_MAX: Final = 2_000
PROBLEMS_MAX: Final = 1_000
"""How many are told; how many more there are is told, too."""


class Line(Struct, frozen=True):
    """One row of a sheet: its line in the file (the heading's is usually 1), and what it says.

    Cells are without white space around them; empty ones are left out.
    """

    number: int
    cells: Mapping[str, str]


class Sheet(Struct, frozen=True):
    """A whole sheet: its columns in their order, and its rows that are not empty."""

    columns: tuple[str, ...]
    heading_line: int
    lines: tuple[Line, ...]


class SheetProblem(Struct, frozen=True):
    """What is wrong in a sheet, where, and the way out. Column `""`: the line as a whole."""

    line: int
    column: str
    reason: str


class SheetError(ValueError):
    """A file that can't be read as a sheet at all."""

    def __init__(self, line: int, reason: str, column: str = "") -> None:
        """Take where it fails and why."""
        super().__init__(f"line {line}: {reason}")
        self.problem = SheetProblem(line, column, reason)


class Problems:
    """Collects what is wrong: all of it is counted, and as much kept as is told."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._found: list[SheetProblem] = []
        self.more = 0

    def add(self, line: int, column: str, reason: str) -> None:
        """Note one."""
        if len(self._found) < PROBLEMS_MAX:
            self._found.append(SheetProblem(line, column, reason))
        else:
            self.more += 1

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self._found)

    def told(self, columns: tuple[str, ...] = ()) -> list[SheetProblem]:
        """Return them in the order in which somebody reads the sheet."""
        places = {column: n for n, column in enumerate(columns)}
        return sorted(
            self._found, key=lambda one: (one.line, places.get(one.column, -1), one.column)
        )


def make_sheet(rows: list[tuple[int, list[str]]]) -> Sheet:
    """Return the sheet of rows with their lines; the first that is not empty is the heading.

    Raises:
        SheetError: there is no heading, a column has no name or comes twice, a row goes beyond
            the heading, or something is larger than the bounds.
    """
    filled = [(line, cells) for line, cells in rows if any(cells)]
    if not filled:
        raise SheetError(1, "the sheet is empty: begin it with a line that names the columns")
    heading_line, heading = filled[0]
    columns = _columns(heading_line, heading)
    if len(filled) - 1 > LINES_MAX:
        raise SheetError(
            filled[LINES_MAX + 1][0],
            f"the sheet has {len(filled) - 1} lines, {LINES_MAX} at most go at once: split it",
        )
    lines = tuple(Line(number, _cells(number, cells, columns)) for number, cells in filled[1:])
    return Sheet(columns, heading_line, lines)


def _columns(line: int, heading: list[str]) -> tuple[str, ...]:
    names = [name.lower() for name in heading]
    while names and not names[-1]:
        names.pop()
    if len(names) > COLUMNS_MAX:
        raise SheetError(line, f"there are {len(names)} columns, {COLUMNS_MAX} at most")
    for n, name in enumerate(names, start=1):
        if not name:
            raise SheetError(line, f"column {n} has no name: name it or take it out")
        if names.index(name) + 1 < n:
            raise SheetError(line, "the column is there twice: take one out", column=name)
    return tuple(names)


def _cells(line: int, cells: list[str], columns: tuple[str, ...]) -> dict[str, str]:
    if any(cells[len(columns) :]):
        raise SheetError(
            line,
            f"there are more values than the {len(columns)} columns that the heading names: "
            "is one of them not in quotes?",
        )
    named = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
    for name, cell in named.items():
        if len(cell) > CELL_CHARACTERS_MAX:
            raise SheetError(
                line,
                f"the value has {len(cell)} characters, {CELL_CHARACTERS_MAX} at most",
                column=name,
            )
    return named
