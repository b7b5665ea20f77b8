"""Compact tables: what plan they become, and that each fault is told with its line."""

import pytest

from engine.catalog.compact_table import LINES_MAX, TABLE_CHARACTERS_MAX, TableError, read_table
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.manifest import SEPARATOR
from engine.inventory.seating_plan import export_plan, read_plan

_COLUMNS = "section, row, from, to, category, area, capacity"
_HEAD = "section,row,from,to,category\n"
_WITH_AREAS = "section,row,from,to,category,area,capacity\n"


def _faults(table: str) -> list[tuple[int, str]]:
    with pytest.raises(TableError) as refused:
        read_table(table, "Hall")
    return [(fault.line, fault.reason) for fault in refused.value.faults]


def test_a_table_becomes_a_plan_that_can_be_sold_from() -> None:
    """Seats by section, row and number, areas by name, in the order of the table."""
    plan = read_table(
        _WITH_AREAS
        + "Stalls,1,1,3,Kategorie I,,\nStalls,1,4,6,Kategorie II,,\n\nStalls,2,1,6,Kategorie II,,\n"
        "Tier,A,1,2,Kategorie I,,\n,,,,Standing,Floor,800\nTier,,,,Standing,Bar,20\n",
        "Hall",
    )
    assert read_plan(export_plan(plan)) == plan
    manifest = compile_manifest(plan)
    assert (manifest.name, manifest.seat_count, manifest.capacity) == ("Hall", 14, 834)
    assert [level.slug for level in manifest.levels] == ["kategorie-i", "kategorie-ii", "standing"]
    assert [(area.slug, area.capacity) for area in manifest.areas] == [("bar", 20), ("floor", 800)]
    seat = manifest.describe(manifest.index_by_label["Stalls-1-4"])
    assert (seat.zone, seat.row, seat.number, seat.price_level) == (
        *("Stalls", "1", "4"),
        "kategorie-ii",
    )


def test_numbers_that_are_left_out_make_an_aisle() -> None:
    """So best available does not seat people on both sides of it together."""
    manifest = compile_manifest(read_table(_HEAD + "A,1,1,3,One\nA,1,5,7,One\n", "Hall"))
    first, last = manifest.index_by_label["A-1-3"], manifest.index_by_label["A-1-5"]
    assert manifest.layout[first + 1 : last] == SEPARATOR
    odd = "".join(f"A,1,{n},{n},One\n" for n in (1, 3, 5, 7))
    together = compile_manifest(read_table(_HEAD + odd, "Hall"))
    assert together.layout == "|oooo|", "numbers that all leave one out are next to each other"


def test_a_spreadsheet_of_another_country_is_read() -> None:
    """With semicolons, a byte order mark, carriage returns, other columns first, and quotes."""
    table = '\ufeffCategory;From;To;Row;Section\r\n"One";1;2; 7 ;"Left, upper"\r\n'
    plan = read_table(table, "Hall")
    assert [seat.seat_guid for seat in plan.zones[0].rows[0].seats] == [
        "Left, upper-7-1",
        "Left, upper-7-2",
    ]


def test_a_table_of_areas_alone_needs_no_columns_of_seats() -> None:
    """An open floor."""
    manifest = compile_manifest(read_table("area,capacity,category\nFloor,800,Standing\n", "Pit"))
    assert (manifest.seat_count, manifest.capacity) == (0, 800)


def test_all_that_is_wrong_is_told_at_once_by_line() -> None:
    """Every line's faults, each with what is wrong with it."""
    table = (
        _WITH_AREAS + "A,1,1,5,One,,\n"  # 2: right
        "A,1,5,6,One,,\n"  # 3: seat 5 again
        ",1,1,2,One,,\n"
        "A,,1,2,One,,\n"
        "A,2,x,2.5,One,,\n"
        "A,2,9,2,One,,\n"
        "A,8,1,2,,,\n"
        "A,9,1,2,ONE!,,\n"
        "A,10,1,2,★,,\n"
        "A,3,1,2001,One,,\n"
        "A,4,1,2,One,,7\n"
        ",,,,One,Floor,0\n"
        ",,,,One,Floor,12\n"
        ",1,2,,One,Bar,12\n"
        ",,,,One,★,12\n"
        ",,,,One,,12\n"
        "A,5,1,2,One,,,,what\n"
        "A\x01,6,1,2,One,,\n"
        f"A,{'x' * 65},1,2,One,,\n"
        f"{'x' * 60},1,1,2,One,,\n"
        "A,7,1234567,2,One,,\n"
    )
    assert _faults(table) == [
        (3, "the seat 'A-1-5' is already on line 2"),
        (4, "section is empty"),
        (5, "row is empty"),
        (6, "from is not a whole number: 'x'"),
        (6, "to is not a whole number: '2.5'"),
        (7, "from is more than to: 9 and 2"),
        (8, "category is empty"),
        (9, "the categories 'One' and 'ONE!' have one slug: one"),
        (10, "the category '★' has no letter or digit to make a slug from"),
        (11, "row '3' has more than 2000 seats"),
        (12, "capacity is of areas: seats have none"),
        (13, "capacity is not from 1 to 1000000: '0'"),
        (14, "the area on line 13 has the same slug: floor"),
        (15, "an area has no row, from"),
        (16, "the area '★' has no letter or digit to make a slug from"),
        (17, "area is empty"),
        (18, "has 9 cells; the header names 7 columns"),
        (19, "section has control characters in it"),
        (20, "row has more than 64 characters"),
        (21, "section, row and number have more than 64 characters"),
        (22, "from is not from 0 to 999999: '1234567'"),
    ]


@pytest.mark.parametrize(
    ("table", "faults"),
    [
        ("", [(1, "the table has no seats and no areas")]),
        ("\n \n", [(1, "the table has no seats and no areas")]),
        (_HEAD, [(1, "the table has no seats and no areas")]),
        (
            "section,row,from,color\nA,1,1,red\n",
            [
                (
                    1,
                    f"unknown column 'color'; known are {_COLUMNS}",
                ),
                (1, "the column to is missing"),
                (1, "the column category is missing"),
            ],
        ),
        (
            "section,row,row,from,to,category,area\n",
            [
                (1, "the column row is there more than once"),
                (1, "the columns area and capacity come together"),
            ],
        ),
        (_HEAD + 'A,1,1,2,"One\n', [(2, "is not CSV: unexpected end of data")]),
    ],
)
def test_what_is_no_table_is_refused(table: str, faults: list[tuple[int, str]]) -> None:
    """Its header comes first: without the right one no line is looked at."""
    assert _faults(table) == faults


def test_a_table_is_bounded() -> None:
    """In characters, in lines, and in seats; a hundred faults are listed and the others counted."""
    assert "characters" in _faults("x" * (TABLE_CHARACTERS_MAX + 1))[0][1]
    assert (
        f"more than {LINES_MAX} lines" in _faults(_HEAD + "\n" * LINES_MAX + "A,1,1,2,One\n")[0][1]
    )
    many = "".join(f"A,{n},1,2000,One\n" for n in range(76))
    assert _faults(_HEAD + many) == [(77, "there are more than 150000 seats")]
    with pytest.raises(TableError) as refused:
        read_table(_HEAD + "A,1,2,1,One\n" * 130, "Hall")
    assert (len(refused.value.faults), refused.value.more) == (100, 30)


def test_zeros_before_a_number_are_nothing_however_many() -> None:
    """Python takes no number of so many digits."""
    plan = read_table(f"{_HEAD}A,1,{'0' * 5000}1,{'0' * 5000}3,One\n", "Hall")
    assert [seat.seat_number for seat in plan.zones[0].rows[0].seats] == ["1", "2", "3"]
    assert _faults(f"{_HEAD}A,1,1,{'9' * 5000},One\n")[0][0] == 2


def test_no_table_makes_a_plan_that_could_not_be_read_again() -> None:
    """What a plan's parts may be is told of the whole."""
    rows = "".join(f"A,{n},1,1,One\n" for n in range(10_001))
    assert [line for line, _ in _faults(_HEAD + rows)] == [1]
