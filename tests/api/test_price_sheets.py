"""Prices from spreadsheets: of many shows at once, all or none, and exported to be imported."""

import asyncio
import csv
import io
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from openpyxl import Workbook, load_workbook

from ops.commands.import_ import command
from ops.resellers import make_reseller
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem
from tests.api.sheet_sending import CSV, XLSX, send_sheet

_COLUMNS = (
    "show", "name", "starts_at", "currency", "price_version", "from", "after_sold",
    "after_sold_level", "price_level", "ticket_type", "price", "share",
)  # fmt: skip
_CHILD = {"ticket_type": "child", "name": "Child", "kind": "child"}
_SENIOR = {
    "ticket_type": "senior",
    "name": "Senior",
    "kind": "senior",
    "price_levels": ["vip", "standard"],
}

Row = dict[str, Any]


@pytest.fixture
def shows(desk: FrontDesk) -> list[ShowDesk]:
    """Three shows with ticket types, the second in yen, the others of one name."""
    made = [
        desk.new_show(name="First Light"),
        desk.new_show(name=f"Matinée {secrets.token_hex(4)}", currency="JPY"),
        desk.new_show(name="First Light", starts_at="2099-06-01T20:00:00Z"),
    ]
    for show in made:
        answer = desk.http.put(
            f"{show.path}/ticket-types", json={"ticket_types": [_CHILD, _SENIOR]}
        )
        assert answer.status_code == 200, answer.text
    return made


def _csv(rows: list[Row]) -> bytes:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=";")
    writer.writerow(_COLUMNS)
    writer.writerows([row.get(column, "") for column in _COLUMNS] for row in rows)
    return written.getvalue().encode("utf-8-sig")


def _xlsx(rows: list[Row]) -> bytes:
    """Return a workbook as people fill it: numbers as numbers, shares as percent cells."""
    book = Workbook()
    sheet: Any = book.active
    sheet.append(_COLUMNS)
    for row in rows:
        sheet.append([row.get(column) for column in _COLUMNS])
        share = row.get("share", "")
        if share.endswith("%") and share[:-1].isdecimal():
            cell = sheet.cell(sheet.max_row, len(_COLUMNS))
            cell.value, cell.number_format = int(share[:-1]) / 100, "0%"
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


_FORMS = {CSV: _csv, XLSX: _xlsx}


def _prices(show: ShowDesk) -> Json:
    told = show.desk.get(f"{show.path}/prices").json()
    return {name: told[name] for name in ("price_version", "prices", "ticket_types")}


def _steps(show: ShowDesk) -> list[Json]:
    names = ("at", "after_sold", "price_level", "prices", "ticket_types")
    told = show.desk.get(f"{show.path}/price-steps").json()["steps"]
    return [{name: one[name] for name in names} for one in told]


def _list(show: ShowDesk) -> list[Row]:
    """Return a whole price list: levels, two types, two steps."""
    named = {"show": show.id}
    early = named | {"from": "2098-01-01T12:00:00+01:00"}
    late = named | {"after_sold": "20", "after_sold_level": "Standard"}
    return [
        named | {"price_level": "VIP", "price": "120"},
        named | {"price_level": "standard", "price": "40", "ticket_type": "standard"},
        named | {"ticket_type": "Child", "share": "50%"},
        named | {"ticket_type": "child", "price_level": "vip", "price": "99"},
        named | {"ticket_type": "senior", "price_level": "vip", "price": "100"},
        named | {"ticket_type": "senior", "price_level": "standard", "price": "30"},
        early | {"price_level": "standing", "price": "25"},
        early | {"ticket_type": "child", "share": "75%"},
        late | {"price_level": "vip", "price": "150"},
    ]


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_one_sheet_changes_prices_types_and_steps_of_several_shows(
    shows: list[ShowDesk], form: str
) -> None:
    """What is held keeps its price; the same again, by its key or without, changes nothing more."""
    first, yen, _ = shows
    desk = first.desk
    before = first.hold("B-1")
    rows = [*_list(first), *_list(yen)]
    content, key = _FORMS[form](rows), secrets.token_hex(8)
    dry = send_sheet(desk, "prices", content, form, dry=True)
    assert (dry.status_code, dry.json()["problems"]) == (200, [])
    assert _prices(first)["price_version"] == 1
    done = send_sheet(desk, "prices", content, form, key=key)
    assert done.status_code == 201, done.text
    assert (
        done.json()["shows"]
        == dry.json()["shows"]
        == [
            {"line": 2, "show": first.id, "price_version": 2, "steps": 2},
            {"line": 11, "show": yen.id, "price_version": 2, "steps": 2},
        ]
    )
    for show, minor in ((first, 100), (yen, 1)):
        assert _prices(show) == {
            "price_version": 2,
            "prices": {"vip": 120 * minor, "standard": 40 * minor, "standing": 2000},
            "ticket_types": {
                "child": {"share_bps": 5000, "prices": {"vip": 99 * minor}},
                "senior": {"prices": {"vip": 100 * minor, "standard": 30 * minor}},
            },
        }
        assert _steps(show) == [
            {
                "at": "2098-01-01T11:00:00Z", "after_sold": None, "price_level": None,
                "prices": {"standing": 25 * minor},
                "ticket_types": {"child": {"share_bps": 7500}},
            },
            {
                "at": None, "after_sold": 20, "price_level": "standard",
                "prices": {"vip": 150 * minor}, "ticket_types": {},
            },
        ]  # fmt: skip
    after = first.hold("B-2", buyer="b-2")
    unit = [held.json()["price"]["lines"][0]["unit"]["face_value"] for held in (before, after)]
    assert unit == [3000, 4000]
    assert send_sheet(desk, "prices", content, form, key=key).json() == done.json()
    again = send_sheet(desk, "prices", content, form).json()
    assert (again["shows"], again["unchanged"]) == ([], 18)
    assert (_prices(first)["price_version"], len(_steps(first))) == (2, 2)


_MISTAKES: list[tuple[Row, str, str]] = [
    ({"show": ""}, "show", "is missing"),
    ({"show": "Matinee"}, "show", "you have no show “Matinee”"),
    ({"show": "shw_dev_0000000000000001"}, "show", "you have no show “shw_dev_0"),
    ({"show": "First Light"}, "show", "shows are called “First Light”: name it by its id"),
    ({"show": "First Light", "starts_at": "2099-06-02"}, "starts_at", "does not start then, but"),
    ({"name": "Last Light"}, "name", "this show is called “First Light”"),
    ({"currency": "USD"}, "currency", "“First Light” is sold in EUR"),
    ({"price_version": "7"}, "price_version", "have changed since, to version 1: export them"),
    ({"from": "in May"}, "from", "“in May” is not a time"),
    ({"from": "2020-01-01 10:00"}, "from", "not after the step before, or now"),
    ({"after_sold": "0"}, "after_sold", "“0” is not a whole number from 1"),
    ({"after_sold_level": "vip"}, "after_sold_level", "goes with after_sold only"),
    (
        {"after_sold": "9", "after_sold_level": "pit"},
        "after_sold_level",
        "no such price level",
    ),
    ({"price_level": "pit"}, "price_level", "no such price level; it has"),
    ({"price_level": "!!"}, "price_level", "“!!” is no name of one"),
    ({"price_level": ""}, "price_level", "is missing: a price is of one price level"),
    ({"ticket_type": "baby"}, "ticket_type", "no such ticket type of the show"),
    (
        {"ticket_type": "senior", "price_level": "standing"},
        "price_level",
        "no price level that it is offered in",
    ),
    ({"ticket_type": "senior"}, "ticket_type", "has neither a share nor a price in level 'sta"),
    ({"price": ""}, "price", "is missing: 0 is free of charge"),
    ({"price": "9.905"}, "price", "“9.905” has 3 decimals, EUR has 2"),
    ({"price": "free"}, "price", "“free” is not a price"),
    ({"share": "50%"}, "share", "there is a price, too: clear one of the two"),
    ({"price": "", "share": "50%"}, "share", "is of a ticket type: name one, or write a price"),
    (
        {"price": "", "ticket_type": "child", "share": "50%"},
        "price_level",
        "a share is of all price levels: clear this cell",
    ),
    (
        {"price": "", "price_level": "", "ticket_type": "child", "share": "0.5"},
        "share",
        "“0.5” is not a share of the price: write it as 50% or 33.33%",
    ),
]


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_every_mistake_is_told_by_line_and_column_and_nothing_is_imported(
    desk: FrontDesk, shows: list[ShowDesk], form: str
) -> None:
    """Also those that only the show's own prices tell; a dry run says the same."""
    rows: list[Row] = []
    for n, (mistake, _, _) in enumerate(_MISTAKES):
        sound = {"show": shows[2 * (n % 2)].id, "price_level": "vip", "price": str(200 + n)}
        rows.append(sound | mistake)
    fine = {"show": shows[0].id, "price_level": "vip", "price": "150"}
    content = _FORMS[form]([*rows, fine, fine])
    refused = send_sheet(desk, "prices", content, form)
    assert problem(refused) == "invalid-sheet"
    expected = [
        *((n, column, reason) for n, (_, column, reason) in enumerate(_MISTAKES, 2)),
        # With the price of a level where it is not sold it has none of those where it is.
        (19, "ticket_type", "has neither a share nor a price in level 'sta"),
        (19, "ticket_type", "has neither a share nor a price in level 'vip"),
        (len(rows) + 3, "", f"is the same price as line {len(rows) + 2}: take one of them out"),
    ]
    found = refused.json()["problems"]
    assert len(found) == len(expected)
    for line, column, reason in expected:
        here = [one["reason"] for one in found if (one["line"], one["column"]) == (line, column)]
        assert any(reason in one for one in here), (line, column, reason, found)
    assert send_sheet(desk, "prices", content, form, dry=True).json()["problems"] == found
    assert [_prices(show)["price_version"] for show in shows] == [1, 1, 1]


def _export(desk: FrontDesk, form: str, query: str = "") -> tuple[bytes, list[Row]]:
    answer = desk.get(f"/v1/exports/prices?format={form}{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="prices.{form}"'
    if form == "csv":
        text = answer.content.decode("utf-8-sig")
        return answer.content, list(csv.DictReader(io.StringIO(text, newline="")))
    sheet: Any = load_workbook(io.BytesIO(answer.content)).worksheets[0]
    heading, *rows = ([str(cell.value or "") for cell in row] for row in sheet.iter_rows())
    return answer.content, [dict(zip(heading, row, strict=True)) for row in rows]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_exported_is_imported_again(shows: list[ShowDesk], form: str) -> None:
    """As it is nothing changes; an edit of it changes that one price, and no other."""
    first, yen, _ = shows
    desk = first.desk
    assert send_sheet(desk, "prices", _csv([*_list(first), *_list(yen)])).status_code == 201
    media_type = CSV if form == "csv" else XLSX
    for show in (first, yen):
        content, rows = _export(desk, form, f"&show={show.id}")
        assert len(rows) == len(_list(show)) + 1
        again = send_sheet(desk, "prices", content, media_type).json()
        assert (again["lines"], again["unchanged"], again["shows"]) == (10, 10, [])
        before, steps = _prices(show), _steps(show)
        level = (row for row in rows if row["price_level"] == "vip" and not row["ticket_type"])
        next(level)["price"] = "1"
        assert send_sheet(desk, "prices", _FORMS[media_type](rows), media_type).status_code == 201
        prices = before["prices"] | {"vip": 1 if show is yen else 100}
        assert _prices(show) == before | {"price_version": 3, "prices": prices}
        assert _steps(show) == steps
        rows[0]["price"] = "7"
        late = send_sheet(desk, "prices", _FORMS[media_type](rows), media_type)
        assert [one["column"] for one in late.json()["problems"]] == ["price_version"]
    whole = _export(desk, form)[1]
    assert {first.id, yen.id} < {row["show"] for row in whole}


def test_of_two_sheets_at_once_that_follow_one_version_one_is_imported(
    shows: list[ShowDesk],
) -> None:
    """All of it, and nothing of the other: the shows are locked, each in the same order."""
    desk = shows[0].desk

    def sheet(order: list[ShowDesk], price: str) -> bytes:
        of_all = {"price_level": "vip", "price": price, "price_version": "1"}
        return _csv([of_all | {"show": show.id} for show in order])

    sheets = [sheet(shows, "11"), sheet(shows[::-1], "12")]
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(partial(send_sheet, desk, "prices"), sheets))
    assert sorted(answer.status_code for answer in answers) == [201, 422]
    won = 11 if answers[0].status_code == 201 else 12
    decimals = [100, 1, 100]
    told = [_prices(show) for show in shows]
    assert [one["price_version"] for one in told] == [2, 2, 2]
    assert [one["prices"]["vip"] for one in told] == [won * n for n in decimals]


def test_a_show_is_found_by_its_name_and_start_and_nobody_finds_anothers(
    shows: list[ShowDesk], rival: FrontDesk
) -> None:
    """Not by its id either; exports have one's own shows alone."""
    first, _, second = shows
    named = {"name": "First Light", "price_level": "vip", "price": "33"}
    row = named | {"show": second.id, "starts_at": "2099-06-01 20:00"}
    assert send_sheet(first.desk, "prices", _csv([row])).json()["shows"][0]["show"] == second.id
    refused = send_sheet(rival, "prices", _csv([row])).json()["problems"]
    assert refused[0]["reason"].startswith("you have no show “shw_dev_")
    assert rival.get(f"/v1/exports/prices?show={first.id}").status_code == 404
    assert first.id not in {one["show"] for one in _export(rival, "csv")[1]}


def test_prices_of_a_show_that_is_over_stay(shows: list[ShowDesk]) -> None:
    """A line that says what they are is fine; the whole export leaves it out."""
    show = shows[0]
    assert show.desk.post(f"{show.path}/cancel", {"offered": ["refund"]}).status_code == 200
    same = {"show": show.id, "price_level": "vip", "price": "90"}
    assert send_sheet(show.desk, "prices", _csv([same])).json()["unchanged"] == 1
    refused = send_sheet(show.desk, "prices", _csv([same | {"price": "91"}])).json()["problems"]
    assert [one["column"] for one in refused] == ["show"]
    assert "is cancelled, its prices stay" in refused[0]["reason"]
    assert show.id not in {row["show"] for row in _export(show.desk, "csv")[1]}
    assert len(_export(show.desk, "csv", f"&show={show.id}")[1]) == 3


def test_prices_are_imported_from_the_command_line_too(stack: Stack, tmp_path: Path) -> None:
    """A sheet with a mistake ends with 1 and says where it is."""
    issued = asyncio.run(make_reseller(stack.settings, "Promoter of prices"))
    reseller = f"rsl_dev_{issued.reseller:016x}"

    def run(content: bytes, *options: str) -> tuple[int, str]:
        file = tmp_path / "prices.csv"
        file.write_bytes(content)
        words = ["prices", str(file), "--reseller", reseller, *options]
        ended = CliRunner().invoke(command, words, env=stack.environment)
        return ended.exit_code, ended.stdout

    desk = FrontDesk(stack.base_url, issued.text)
    with desk.http:
        show = desk.new_show()
        row = {"show": show.id, "price_level": "vip", "price": "77"}
        assert run(_csv([row]), "--dry-run") == (0, f"line 2: {show.id}\n")
        code, told = run(_csv([row]), "--json")
        assert (code, json.loads(told)["shows"]) == (0, [[2, show.id]])
        assert _prices(show)["prices"]["vip"] == 7700
        code, told = run(_csv([row | {"price": "x"}]))
        assert (code, told[:15]) == (1, "line 2, price: ")
