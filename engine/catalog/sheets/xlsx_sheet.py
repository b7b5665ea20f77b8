"""Reads and writes XLSX, the first sheet of a workbook.

A workbook is a ZIP of XML by whoever sends it. So before openpyxl sees it every part is unpacked
within a bound and packed anew: what two readers of ZIP may see differently is gone by then.
"""

import datetime as dt
import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from engine.catalog.sheets.table import (
    CELL_CHARACTERS_MAX,
    CELLS_MAX,
    COLUMNS_MAX,
    LINES_MAX,
    Sheet,
    SheetError,
    make_sheet,
)

_UNPACKED_BYTES_MAX: Final = 32 * 1024 * 1024
_PARTS_MAX: Final = 500
_CHUNK_BYTES: Final = 64 * 1024
_SHEETS: Final = "xl/worksheets/"
_STRINGS: Final = "xl/sharedStrings.xml"
_STRINGS_MARKS_MAX: Final = 1_600_000
_MARKS_MAX: Final = 100_000
"""What begins and ends elements in any other part: of each an object is made, however few bytes it
takes. Of a text there are four."""
_OF_CELLS: Final = (
    *(b"<row", b"</row", b"<c ", b"<c>", b"</c>", b"<v>", b"</v>"),
    *(b"<is>", b"</is>", b"<t>", b"<t ", b"</t>"),
)
_BESIDE_CELLS_MAX: Final = 600_000
_CELLS_OF_ROW_MAX: Final = 20_000
"""More than there are columns: a row is read as a whole."""
_ROWS_MAX: Final = 2 * LINES_MAX
_DECLARES: Final = tuple("<!DOCTYPE".encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be"))
_BAD: Final = "this can't be read as XLSX: save it again as “Excel workbook (.xlsx)”"


def read_xlsx(content: bytes) -> Sheet:
    """Return the sheet of an XLSX file.

    Raises:
        SheetError: it is none, it has formulas, or it is larger than the bounds.
    """
    from openpyxl import load_workbook  # noqa: PLC0415 - few processes ever read one

    package = _repacked(content)
    try:
        # Formulas are seen as such: what a program computed of them last may be old, or missing.
        book = load_workbook(package, read_only=True, data_only=False, keep_links=False)
        try:
            sheet: Any = book.worksheets[0]
            return make_sheet(list(_rows(sheet)))
        finally:
            book.close()
    except SheetError:
        raise
    except Exception as error:  # openpyxl raises of many kinds what it finds odd
        raise SheetError(1, _BAD) from error


def write_xlsx(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as a workbook of one sheet, in which every value is text and no formula."""
    from openpyxl import Workbook  # noqa: PLC0415 - few processes ever write one
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415

    book = Workbook(write_only=True)
    sheet: Any = book.create_sheet(title)
    for row in (columns, *rows):
        cells: list[Any] = []
        for value in row:
            cell: Any = WriteOnlyCell(sheet, value=value)
            cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _repacked(content: bytes) -> io.BytesIO:
    """Return the package with its parts as they are, unpacked."""
    package = io.BytesIO()
    unpacked = 0
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(package, "w") as kept:
            parts = given.infolist()
            if len(parts) > _PARTS_MAX or len({part.filename for part in parts}) < len(parts):
                raise SheetError(1, _BAD)
            for part in parts:
                data = _unpacked(given, part, _UNPACKED_BYTES_MAX - unpacked)
                unpacked += len(data)
                kept.writestr(part.filename, data)
    except (
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
        OSError, ValueError, OverflowError,
    ) as error:  # fmt: skip
        if isinstance(error, SheetError):
            raise
        raise SheetError(1, _BAD) from error
    package.seek(0)
    return package


def _unpacked(given: zipfile.ZipFile, part: zipfile.ZipInfo, bytes_max: int) -> bytes:
    if part.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise SheetError(1, _BAD)
    data = bytearray()
    with given.open(part) as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            data += chunk
            if len(data) > bytes_max:
                raise SheetError(
                    1, f"unpacked it is larger than {_UNPACKED_BYTES_MAX // 2**20} MiB: split it"
                )
    if any(word in data for word in _DECLARES):
        raise SheetError(1, _BAD)
    if not _is_readable(part.filename, data):
        raise SheetError(1, f"{part.filename} has too many elements: split the sheet")
    return bytes(data)


def _is_readable(part: str, data: bytearray) -> bool:
    """Tell whether a part is of so many elements that to read it takes seconds, not minutes."""
    marks = data.count(b"<")
    if not part.startswith(_SHEETS):
        return marks <= (_STRINGS_MARKS_MAX if part == _STRINGS else _MARKS_MAX)
    if marks - sum(data.count(mark) for mark in _OF_CELLS) > _BESIDE_CELLS_MAX:
        return False
    return all(row.count(b"<c") <= _CELLS_OF_ROW_MAX for row in data.split(b"<row"))


def _rows(sheet: Any) -> Iterable[tuple[int, list[str]]]:  # noqa: ANN401 - openpyxl's
    # What the file says of its own size is not to be relied on, and may be enormous.
    sheet.reset_dimensions()
    cells = 0
    for number, row in enumerate(sheet.iter_rows(), start=1):
        if number > _ROWS_MAX:
            raise SheetError(number, f"the sheet has more than {LINES_MAX} lines: split it")
        cells += len(row)
        if cells > CELLS_MAX:
            raise SheetError(
                number, f"there are cells far to the right: clear all but {COLUMNS_MAX} columns"
            )
        yield number, [_text(number, cell) for cell in row]


def _text(line: int, cell: Any) -> str:  # noqa: ANN401 - openpyxl's
    """Return a cell as CSV would have it."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str) and len(value) > CELL_CHARACTERS_MAX:
        # Before anything is made of it: a thousand cells may share one string.
        reason = f"has {len(value)} characters, {CELL_CHARACTERS_MAX} at most"
        raise SheetError(line, f"cell {cell.coordinate} {reason}")
    if cell.data_type in {"f", "e"}:
        what = "a formula" if cell.data_type == "f" else f"an error ({value})"
        raise SheetError(line, f"cell {cell.coordinate} is {what}: paste it as a value")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and "%" in cell.number_format:
        return f"{_number(value * 100)}%"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dt.datetime):
        return _moment(value)
    return str(value).strip()


def _number(value: float) -> str:
    """Return a number as a cell shows it: 15 digits are what spreadsheet programs keep."""
    rounded = Decimal(f"{value:.15g}")
    return str(rounded.to_integral_value()) if rounded == rounded.to_integral() else f"{rounded:f}"


def _moment(value: dt.datetime) -> str:
    # Days as fractions of a number: what is a second is off by some microseconds.
    whole = (value + dt.timedelta(milliseconds=500)).replace(microsecond=0)
    return whole.isoformat(sep=" ")
