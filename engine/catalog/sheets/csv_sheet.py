"""Reads and writes CSV (RFC 4180), as spreadsheet programs write it."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from engine.catalog.sheets.table import (
    CELLS_MAX,
    COLUMNS_MAX,
    LINES_MAX,
    Sheet,
    SheetError,
    make_sheet,
)

_SEPARATORS: Final = (";", ",", "\t")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_ROWS_MAX: Final = 2 * LINES_MAX


def read_csv(content: bytes) -> Sheet:
    """Return a CSV file's sheet: UTF-8, with or without a mark; `;`, `,` or tabs between values.

    Raises:
        SheetError: it is none, or larger than the bounds.
    """
    text = _decoded(content)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    rows: list[tuple[int, list[str]]] = []
    began, values = 1, 0
    try:
        for cells in reader:
            if len(rows) == _ROWS_MAX:
                raise SheetError(began, f"the sheet has more than {LINES_MAX} lines: split it")
            values += len(cells)
            if values > CELLS_MAX:
                raise SheetError(
                    began, f"there are cells far to the right: clear all but {COLUMNS_MAX} columns"
                )
            # A value in quotes may have line breaks: the line is the one where the row begins.
            rows.append((began, [_plain(cell) for cell in cells]))
            began = reader.line_num + 1
    except csv.Error as error:
        raise SheetError(
            began, f"this is not CSV ({error}): a quote within quotes is written twice"
        ) from error
    return make_sheet(rows)


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as CSV with a byte order mark, by which spreadsheet programs know UTF-8.

    A text that a program would take for a formula gets an apostrophe in front, which `read_csv`
    takes away again.
    """
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
    return written.getvalue().encode("utf-8-sig")


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SheetError(1, "the file is UTF-16: save it as “CSV UTF-8”")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SheetError(line, "the file is not UTF-8: save it as “CSV UTF-8”") from error
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise SheetError(line, "there is a NUL character: this is not CSV")
    return text


def _separator(text: str) -> str:
    """Return what the heading parts its names by; what comes first in a draw is preferred."""
    heading = next((line for line in text.splitlines() if line.strip(" ;,\t")), "")
    return max(_SEPARATORS, key=heading.count)


def _plain(cell: str) -> str:
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _harmless(cell: str) -> str:
    return f"'{cell}" if _is_formula(cell) else cell


def _is_formula(cell: str) -> bool:
    """Tell whether a program takes a text for one, now or without apostrophes in front."""
    return cell.lstrip("'").startswith(_FORMULA_STARTS)
