"""Sheets are read to the same thing from CSV and XLSX, within bounds, and written harmlessly."""

import io
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from engine.catalog.sheets import xlsx_sheet
from engine.catalog.sheets.amounts import write_amount, write_share
from engine.catalog.sheets.cells import Cells
from engine.catalog.sheets.csv_sheet import read_csv, write_csv
from engine.catalog.sheets.known import Known, KnownEvent
from engine.catalog.sheets.known_shows import KnownShow, Offer
from engine.catalog.sheets.price_export import lay_out
from engine.catalog.sheets.show_export import fitting
from engine.catalog.sheets.show_lines import SHOW_COLUMNS, check_columns
from engine.catalog.sheets.table import CELLS_MAX, LINES_MAX, Line, Problems, SheetError
from engine.catalog.sheets.xlsx_sheet import read_xlsx, write_xlsx
from engine.catalog.transitions import ShowState
from engine.inventory.price_versions import Prices, TypePrice
from engine.inventory.ticket_types import TicketType
from engine.platform.ids import EntityId, Ids

_BERLIN = ZoneInfo("Europe/Berlin")


def _workbook(*rows: tuple[Any, ...], adjust: Callable[[Any], None] = lambda _: None) -> bytes:
    book = Workbook()
    adjust(book)
    sheet: Any = book.active
    for row in rows:
        sheet.append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _changed(content: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """Return a package in which a part says something else."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(written, "w") as kept:
        for name in given.namelist():
            data = given.read(name)
            if name == part:
                assert old in data
                data = data.replace(old, new)
            kept.writestr(name, data)
    return written.getvalue()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_is_read_as_programs_write_it(mark: str, separator: str, end: str) -> None:
    """Lines are those of the file, also behind a value of several lines and empty ones."""
    rows = [
        ["Name", "PRICE:VIP"],
        ['"Say ""hi""', 'you"', "1"],
        ["", ""],
        [" Größe ", " 2 "],
    ]
    rows[1] = [f'"Say ""hi"",{separator}{end}you"', "1"]
    text = mark + end.join(separator.join(row) for row in rows) + end
    sheet = read_csv(text.encode())
    assert sheet.columns == ("name", "price:vip")
    assert [(line.number, dict(line.cells)) for line in sheet.lines] == [
        (2, {"name": f'Say "hi",{separator}{end}you', "price:vip": "1"}),
        (5, {"name": "Größe", "price:vip": "2"}),
    ]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"", 1, "the sheet is empty"),
        (b"\n \n;;\n", 1, "the sheet is empty"),
        (b"a;b\n1;2\n3;\xfc\n", 3, "the file is not UTF-8"),
        ("a;b\n".encode("utf-16"), 1, "the file is UTF-16"),
        (b"a;b\n1;\x00\n", 2, "there is a NUL"),
        (b"a;b\n1;2;3\n", 2, "there are more values"),
        (b'a;b\n1;"2\n3;4\n', 2, "this is not CSV"),
        (b'a;b\n1;"2"3\n', 2, "this is not CSV"),
        (b"a;b;a\n", 1, "the column is there twice"),
        (b"a;;b\n1;2;3\n", 1, "column 2 has no name"),
        (b";".join(b"c%d" % n for n in range(301)), 1, "there are 301 columns"),
        (b"a\n" + b"1\n" * (LINES_MAX + 1), LINES_MAX + 2, "the sheet has"),
        (b"a\n" + b"1\n" * (2 * LINES_MAX + 9), 2 * LINES_MAX + 1, "the sheet has more than"),
        (b"a,b\n" + b"," * 1_000_001, 2, "there are cells far to the right"),
        (b"a\n" + b"x" * 2001, 2, "the value has 2001 characters"),
        (b"a\n" + b"x" * 140_000, 2, "this is not CSV"),
    ],
)
def test_what_is_no_csv_is_refused_by_line(content: bytes, line: int, reason: str) -> None:
    """With the way out."""
    with pytest.raises(SheetError) as refused:
        read_csv(content)
    assert refused.value.problem.line == line
    assert refused.value.problem.reason.startswith(reason)


@pytest.mark.parametrize("since_1904", [False, True])
def test_a_workbooks_cells_are_read_as_they_are_shown(since_1904: bool) -> None:  # noqa: FBT001 - a parameter
    """Days count from 1900 or from 1904; numbers are exact to what a program keeps."""

    def adjust(book: Any) -> None:  # noqa: ANN401 - openpyxl's
        if since_1904:
            book.epoch = CALENDAR_MAC_1904

    content = _workbook(
        ("name", "starts_at", "price:a", "price:b", "n", "yes"),
        (" A ", datetime(2027, 3, 1, 20), 0.1 + 0.2, 95.5, 12.0, True),  # noqa: DTZ001 - local
        (None, None, None, None, None, None),
        ("007", "2027-03-01 20:00", "39,90", 1e6, 7, None),
        adjust=adjust,
    )
    sheet = read_xlsx(content)
    assert [(line.number, dict(line.cells)) for line in sheet.lines] == [
        (
            2,
            {
                "name": "A", "starts_at": "2027-03-01 20:00:00", "price:a": "0.3",
                "price:b": "95.5", "n": "12", "yes": "true",
            },
        ),
        (
            4,
            {
                "name": "007", "starts_at": "2027-03-01 20:00", "price:a": "39,90",
                "price:b": "1000000", "n": "7",
            },
        ),
    ]  # fmt: skip


def test_a_percent_cell_is_read_as_it_is_shown() -> None:
    """Half is 50%, not 0.5, of which nobody knows whether it is half a percent."""
    shown = [(0.5, "0%"), (0.3333, "0.00%"), (1, "0%"), (0.07, "0.0%"), (0.5, "0.0")]
    book = Workbook()
    sheet: Any = book.active
    sheet.append(["share"])
    for n, (value, form) in enumerate(shown, 2):
        cell = sheet.cell(n, 1)
        cell.value, cell.number_format = value, form
    written = io.BytesIO()
    book.save(written)
    told = [line.cells["share"] for line in read_xlsx(written.getvalue()).lines]
    assert told == ["50%", "33.33%", "100%", "7%", "0.5"]


def test_a_formula_or_an_error_is_named_by_its_cell() -> None:
    """What a program computed last may be old: it is pasted as a value."""
    for cell, what in (("=1+1", "a formula"), ("#N/A", "an error (#N/A)")):
        with pytest.raises(SheetError, match="paste it as a value") as refused:
            read_xlsx(_workbook(("a", "b"), (1, cell)))
        assert f"cell B2 is {what}" in refused.value.problem.reason
        assert refused.value.problem.line == 2


def test_a_workbook_that_says_it_is_enormous_is_read_as_it_is() -> None:
    """Whatever its dimensions; a row or a column that is far away is refused."""
    sheet = "xl/worksheets/sheet1.xml"
    content = _workbook(("a", "b"), (1, 2))
    vast = _changed(content, sheet, b'ref="A1:B2"', b'ref="A1:XFD1048576"')
    assert len(read_xlsx(vast).lines) == 1
    far_down = _changed(content, sheet, b'<row r="2"', b'<row r="1048576"')
    far_down = _changed(far_down, sheet, b'r="B2"', b'r="B1048576"')
    far_down = _changed(far_down, sheet, b'r="A2"', b'r="A1048576"')
    with pytest.raises(SheetError, match="more than 5000 lines"):
        read_xlsx(far_down)
    far_right = _changed(content, sheet, b'r="B2"', b'r="XFD2"')
    with pytest.raises(SheetError, match="more values than the 2 columns"):
        read_xlsx(far_right)


def _bomb() -> bytes:
    """Return a workbook whose texts are 40 MiB of nothing."""
    written = io.BytesIO(_workbook(("a",), (1,)))
    with zipfile.ZipFile(written, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        package.writestr("xl/media/picture.bin", bytes(40 * 2**20))
    return written.getvalue()


def _lying_bomb() -> bytes:
    """Return the same, which says that it is small."""
    content = bytearray(_bomb())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"picture.bin"))
    content[at + 24 : at + 28] = struct.pack("<I", 100)
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"a;b\n1;2\n",
        _workbook(("a",), (1,))[:-40],
        _changed(_workbook(("a",)), "xl/workbook.xml", b"<workbook", b"<!DOCTYPE x><workbook"),
        _changed(_workbook(("a",)), "xl/worksheets/sheet1.xml", b"</sheetData>", b""),
        _changed(_workbook(("a",)), "[Content_Types].xml", b"sheet.main+xml", b"other+xml"),
    ],
)
def test_what_is_no_workbook_is_refused(content: bytes) -> None:
    """In words, whatever is wrong with it."""
    with pytest.raises(SheetError, match="can't be read as XLSX"):
        read_xlsx(content)


@pytest.mark.parametrize("make", [_bomb, _lying_bomb])
def test_a_small_file_that_unpacks_to_a_large_one_is_refused(make: Callable[[], bytes]) -> None:
    """Also if it says that it does not."""
    content = make()
    assert len(content) < 2**20
    with pytest.raises(SheetError):
        read_xlsx(content)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''=1", "plain", "1;2", 'a "b"', "two\nlines"]
)
def test_no_text_that_is_written_is_a_formula_and_it_is_read_back(text: str) -> None:
    """In CSV an apostrophe is in front of it; in XLSX it is text."""
    written = write_csv(("a", "b"), [(text, "x")])
    first = written.decode("utf-8-sig").partition("\r\n")[2]
    assert not first.lstrip('"').startswith(("=", "+", "-", "@", "\t"))
    assert read_csv(written).lines[0].cells["a"] == text
    again = read_xlsx(write_xlsx("T", ("a", "b"), [(text, "x")]))
    assert again.lines[0].cells["a"] == text


def _cells(**cells: str) -> tuple[Cells, Problems]:
    problems = Problems()
    named = {name: cell for name, cell in cells.items() if cell}
    return Cells(Line(7, named), problems), problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-03-01 20:00", "2027-03-01T19:00:00+00:00"),
        ("2027-07-01T20:00:30", "2027-07-01T18:00:30+00:00"),
        ("2027-07-01 20:00:00.000", "2027-07-01T18:00:00+00:00"),
        ("2027-07-01T20:00:00Z", "2027-07-01T20:00:00+00:00"),
        ("2027-07-01t20:00:00z", "2027-07-01T20:00:00+00:00"),
        ("2027-10-31T02:30:00+01:00", "2027-10-31T01:30:00+00:00"),
        ("2027-03-28 01:59", "2027-03-28T00:59:00+00:00"),
        ("2027-03-28 03:00", "2027-03-28T01:00:00+00:00"),
        ("2027-03-28 02:00", "does not exist"),
        ("2027-03-28 02:59:59", "does not exist"),
        ("2027-10-31 01:59", "2027-10-30T23:59:00+00:00"),
        ("2027-10-31 02:00", "comes twice"),
        ("2027-10-31 03:00", "2027-10-31T02:00:00+00:00"),
        ("1999-12-31 23:59", "the year must be"),
        ("2201-01-01T00:00:00Z", "the year must be"),
        ("9999-12-31T23:59:59-12:00", "is not a time"),
        ("2027-02-29 20:00", "no such day"),
        ("2027-03-01 24:30", "no such day"),
        ("01.03.2027 20:00", "is not a time"),
        ("46082.8", "is not a time"),
        ("2027-03-01", "is not a time"),
    ],
)
def test_a_time_is_the_venues_own_or_has_an_offset(text: str, expected: str) -> None:
    """One that is not there, or there twice, is refused with those that are meant."""
    cells, problems = _cells(starts_at=text)
    found = cells.moment("starts_at", _BERLIN)
    if found is None:
        assert expected in problems.told()[0].reason
    else:
        assert found.astimezone(UTC).isoformat() == expected
        assert not problems


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("39.90", "EUR", 3990),
        ("39,9", "EUR", 3990),
        ("39.900", "EUR", 3990),
        ("0", "EUR", 0),
        ("1500", "JPY", 1500),
        ("1.5", "JPY", "has 1 decimals, JPY has 0"),
        ("1.234", "KWD", 1234),
        ("39.905", "EUR", "has 3 decimals"),
        ("1.234,50", "EUR", "is not a price"),
        ("-1", "EUR", "is not a price"),
        ("1e3", "EUR", "is not a price"),
        ("٣", "EUR", "is not a price"),
        ("12 EUR", "EUR", "is not a price"),
        ("100000.01", "EUR", "more than a ticket may cost"),
        ("9" * 15, "EUR", "more than a ticket may cost"),
    ],
)
def test_a_price_is_exact(text: str, currency: str, expected: object) -> None:
    """In minor units, without a float anywhere."""
    cells, problems = _cells(price=text)
    found = cells.amount("price", currency, 10_000_000)
    if isinstance(expected, int):
        assert found == expected
        again, _ = _cells(price=write_amount(expected, currency))
        assert again.amount("price", currency, 10_000_000) == expected
    else:
        assert found is None
        assert str(expected) in problems.told()[0].reason


@pytest.mark.parametrize(
    ("text", "words", "reasons"),
    [
        ("", ("red",), []),
        ("blue", ("blue",), []),
        (" Green  RED", ("green", "red"), []),
        (
            "red,  grey",
            None,
            ["put only blanks between the words, as in red blue", "“grey” is not"],
        ),
        ("blue;red", None, ["put only blanks between the words"]),
        ("/", None, ["put only blanks between the words"]),
        ("grey mauve grey", None, ["“grey” is not one of: red, blue, green", "“mauve” is not"]),
        ("red blue Red", None, ["“red” is named twice: take one of them out"]),
        ("red\nblue", None, ["has a line break"]),
        ("red " * 60, None, ["has 240 characters, 200 at most"]),
    ],
)
def test_a_list_in_a_cell_has_blanks_between_its_words(
    text: str, words: tuple[str, ...] | None, reasons: list[str]
) -> None:
    """In the order that is written; each word that is wrong is told once."""
    cells, problems = _cells(colours=text)
    found = cells.choices("colours", ["red", "blue", "green"], ("red",))
    told = [one.reason for one in problems.told()]
    assert len(told) == len(reasons)
    assert all(reason in one for reason, one in zip(reasons, told, strict=True)), told
    assert cells.is_sound == (words is not None)
    if words is not None:
        assert found == words


def test_more_problems_than_are_told_are_counted() -> None:
    """The first thousand are told, in the order of the sheet."""
    problems = Problems()
    for line in range(1500, 0, -1):
        problems.add(line, "b", "x")
    told = problems.told(("a", "b"))
    assert (len(told), problems.more) == (1000, 500)
    assert [one.line for one in told] == sorted(one.line for one in told)


@pytest.mark.parametrize(
    ("text", "bps"),
    [
        ("50%", 5000), ("33.33 %", 3333), ("33,3%", 3330), ("0%", 0), ("100%", 10_000),
        ("0.5", None), ("50", None), ("100.01%", None), ("-5%", None), ("33.333%", None),
        ("%", None),
    ],
)  # fmt: skip
def test_a_share_has_its_percent_sign(text: str, bps: int | None) -> None:
    """It is exact to a basis point; without a sign nobody knows what is meant."""
    cells, problems = _cells(share=text)
    assert cells.share("share") == bps
    assert bool(problems) == (bps is None)
    if bps is not None:
        again, _ = _cells(share=write_share(bps))
        assert again.share("share") == bps


def test_an_export_of_shows_ends_before_its_columns_or_cells_do() -> None:
    """No price is left out, whatever levels shows have; the rest is in the next part."""
    rows = [{"prices": dict.fromkeys((f"l{n}-{k}" for k in range(100)), 1)} for n in range(4)]
    fit, levels = fitting(rows)
    assert (len(fit), len(levels)) == (2, 200)
    many = [{"prices": dict.fromkeys(map(str, range(250)), 1)}] * 5001
    fit, levels = fitting(many)
    assert len(levels) == 250
    columns = len(SHOW_COLUMNS) + 250
    assert (len(fit) + 1) * columns <= CELLS_MAX < (len(fit) + 2) * columns
    assert len(fitting([{"prices": {"vip": 1}}] * 5001)[0]) == LINES_MAX


def _offer(levels: int, types: int) -> Offer:
    prices = dict.fromkeys(map(str, range(levels)), 100)
    slugs = [f"type-{n}" for n in range(types)]
    return Offer(
        state=ShowState.ON_SALE,
        prices=Prices(1, prices, dict.fromkeys(slugs, TypePrice(None, prices))),
        types={slug: TicketType(slug=slug, name=slug, kind="other") for slug in slugs},
        steps=[],
    )


def test_an_export_of_prices_has_whole_lists_and_names_those_that_no_sheet_holds() -> None:
    """Each part is at most what an import takes, and all parts together have every other show."""
    sizes = [(250, 9), (250, 9), (1, 0), (250, 30), (250, 19), (1, 0)]
    found = [
        KnownShow(
            id=EntityId(n), name="A", starts_at=datetime.now(UTC), time_zone="UTC", currency="EUR"
        )
        for n in range(1, len(sizes) + 1)
    ]
    offers = {show.id: _offer(*size) for show, size in zip(found, sizes, strict=True)}
    ids = Ids("dev", b"a secret for tests")
    parts: list[tuple[int, list[int]]] = []
    rest = found
    while True:
        part = lay_out(rest, offers, ids)
        parts.append((len(part.rows), [int(show) for show in part.left_out]))
        if part.next_after is None:
            break
        rest = found[int(part.next_after) :]
    assert parts == [(5000, []), (1, [4]), (5000, []), (1, [])]


def test_names_that_nobody_has_are_soon_told() -> None:
    """What was meant is guessed for a few: of a whole sheet it would take minutes."""
    there = [KnownEvent(EntityId(n), f"Evening {n} of the grand tour") for n in range(1000)]
    known = Known(Ids("dev", b"a secret for tests"), datetime.now(UTC), there, (), {})
    began = perf_counter()
    told = [known.event(f"Evenig {n} of the grand tuor") for n in range(1000)]
    assert perf_counter() - began < 10
    assert str(told[0]).endswith("is “Evening 0 of the grand tour” meant?")
    assert str(told[-1]).endswith("add it first, or name one that is there")
    assert known.event("Evening 7 of the grand tour") == there[7]


def _sharing(content: bytes, text: bytes, more: bytes = b"") -> bytes:
    """Return a workbook whose cells with `shared` have a text that is there once, before `more`."""
    strings = b"".join(
        (
            b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">',
            b'<si><t xml:space="preserve">' + text + b"</t></si>" + more + b"</sst>",
        )
    )
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    told = b'<Override PartName="/xl/sharedStrings.xml" ContentType="' + kind + b'"/></Types>'
    content = _changed(content, "[Content_Types].xml", b"</Types>", told)
    inline = re.compile(rb'(<c r="\w+"[^>]*) t="inlineStr"[^>]*><is><t>shared</t></is></c>')
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(written, "w") as kept:
        for name in given.namelist():
            data = inline.sub(rb'\1 t="s"><v>0</v></c>', given.read(name))
            kept.writestr(name, data)
        kept.writestr("xl/sharedStrings.xml", strings)
    return written.getvalue()


def test_a_text_that_many_cells_share_is_bounded_before_it_is_copied() -> None:
    """A few bytes may say that a thousand cells have a megabyte each."""
    workbook = _workbook(("a",), *(("shared",) for _ in range(1000)))
    assert [line.cells["a"] for line in read_xlsx(_sharing(workbook, b" x ")).lines] == ["x"] * 1000
    long = _sharing(workbook, b" " * 1_000_000 + b"x")
    tracemalloc.start()
    with pytest.raises(SheetError, match="has 1000001 characters, 2000 at most"):
        read_xlsx(long)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_elements_are_counted_before_objects_are_made_of_them() -> None:
    """Of a few bytes each, packed to nothing."""
    workbook = _workbook(("a",), ("shared",))
    with zipfile.ZipFile(io.BytesIO(workbook)) as package:
        styles = package.read("xl/styles.xml")
    end = styles.rindex(b"</")
    vast = styles[:end] + b"<xf/>" * 2_000_000 + styles[end:]
    sheet, end_of_row = "xl/worksheets/sheet1.xml", b"</row>"
    for full in (
        _changed(workbook, "xl/styles.xml", styles, vast),
        _sharing(workbook, b"x", b"<si/>" * 2_000_000),
        _changed(workbook, sheet, end_of_row, b"<c />" * 2_000_000 + end_of_row),
        _changed(workbook, sheet, b"</worksheet>", b"<cols/>" * 2_000_000 + b"</worksheet>"),
    ):
        began = perf_counter()
        with pytest.raises(SheetError, match="too many elements"):
            read_xlsx(full)
        assert perf_counter() - began < 5


@pytest.mark.parametrize(
    "cell",
    [
        b'<c r="A1" t="inlineStr"><is><t>1.5</t></is></c>',
        b'<c r="A1" s="1" t="s"><v>3</v></c>',
        b'<c r="A1"><v>1.5</v></c>',
    ],
)
def test_as_many_cells_as_fit_are_not_too_many_elements(cell: bytes) -> None:
    """As this platform writes them, and other programs: 5 000 lines with 100 columns."""
    row = b'<row r="1">' + cell * 100 + b"</row>"
    is_readable = xlsx_sheet._is_readable  # pyright: ignore[reportPrivateUsage]
    assert is_readable("xl/worksheets/sheet1.xml", bytearray(row * LINES_MAX))
    other = cell.replace(b"<", b"<x:").replace(b"<x:/", b"</x:")
    assert not is_readable("xl/worksheets/sheet1.xml", bytearray(other * 100 * LINES_MAX))


def test_two_columns_of_one_price_level_are_refused() -> None:
    """Which of their prices is meant nobody can tell."""
    sheet = read_csv(b"starts_at,price:vip,price:Kategorie I,price: vip,price:kategorie-i\n")
    problems = Problems()
    check_columns(sheet, problems)
    told = {one.column: one.reason for one in problems.told() if "price level" in one.reason}
    reason = "it is the price level of the column “{}”: take one out".format
    assert told == {
        "price: vip": reason("price:vip"),
        "price:kategorie-i": reason("price:kategorie i"),
    }
