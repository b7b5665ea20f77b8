"""Shows from spreadsheets: every problem by line and column, and all of a sheet or nothing."""

import asyncio
import csv
import io
import json
import secrets
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from openpyxl import Workbook, load_workbook

from ops.commands.import_ import command
from ops.places import ROOT
from ops.resellers import make_reseller
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, Json, problem, show_body, small_plan
from tests.api.sheet_sending import CSV, XLSX, send_sheet

_COLUMNS = (
    "venue", "configuration", "configuration_version", "event", "name", "starts_at", "doors_at",
    "duration_min", "opens_at", "closes_at", "currency", "tax_bps", "max_per_hold", "visibility",
    "state", "price:vip", "price:Standard", "price:standing",
)  # fmt: skip
_FIRST_DAY = datetime(2027, 1, 1)  # noqa: DTZ001 - local at the venue

Row = dict[str, Any]


class Promoter(FrontDesk):
    """A reseller with an id, for the command line."""

    def __init__(self, base_url: str, key: str, reseller: str) -> None:
        """Take the key and the id."""
        super().__init__(base_url, key)
        self.reseller = reseller


@pytest.fixture(scope="module")
def promoter(stack: Stack) -> Iterator[Promoter]:
    """A reseller with a venue in Berlin, which has a configuration, and an event."""
    issued = asyncio.run(make_reseller(stack.settings, "Promoter"))
    desk = Promoter(stack.base_url, issued.text, f"rsl_dev_{issued.reseller:016x}")
    with desk.http:
        venue = _made(
            desk.post(
                "/v1/venues",
                {
                    "name": "Studio",
                    "address": {"line_1": "Domplatz 1", "postal_code": "99084", "city": "Erfurt"},
                    "country": "DE",
                    "time_zone": "Europe/Berlin",
                },
            )
        )["venue"]
        configuration = _made(desk.post(f"/v1/venues/{venue}/configurations", {"name": "In rows"}))[
            "configuration"
        ]
        version = {"plan": small_plan(), "valid_from": "2026-01-01"}
        _made(desk.post(f"/v1/configurations/{configuration}/versions", version))
        _made(desk.post("/v1/events", {"name": "First Light", "type": "concert"}))
        yield desk


def _made(response: httpx.Response) -> Json:
    assert response.status_code == 201, response.text
    return response.json()


def _row(n: int, **changes: Any) -> Row:  # noqa: ANN401 - any cell
    """Return a show: two a day, in the afternoon and in the evening."""
    starts = _FIRST_DAY + timedelta(days=n // 2, hours=15 if n % 2 else 20)
    return {
        "venue": "Studio",
        "configuration": "In rows",
        "event": "First Light",
        "name": f"First Light, {n}",
        "starts_at": starts,
        "duration_min": 120,
        "opens_at": datetime(2026, 12, 1, 10),  # noqa: DTZ001 - local at the venue
        "currency": "EUR",
        "tax_bps": 1900,
        "state": "draft",
        "price:vip": 95.5,
        "price:Standard": 30,
        "price:standing": 20,
    } | changes


def _csv(rows: list[Row], *more: str) -> bytes:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=";")
    columns = (*_COLUMNS, *more)
    writer.writerow(columns)
    for row in rows:
        cells = (row.get(column, "") for column in columns)
        writer.writerow([f"{c:%Y-%m-%d %H:%M}" if isinstance(c, datetime) else c for c in cells])
    return written.getvalue().encode("utf-8-sig")


def _xlsx(rows: list[Row], *more: str) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Shows")
    columns = (*_COLUMNS, *more)
    sheet.append(columns)
    for row in rows:
        sheet.append([row.get(column) for column in columns])
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


_FORMS = {CSV: _csv, XLSX: _xlsx}


def _shows(desk: FrontDesk) -> int:
    return len(desk.get("/v1/shows?limit=200").json()["shows"])


_MISTAKES: dict[int, tuple[Row, str, str]] = {
    10: ({"venue": "Stud1o"}, "venue", "you have no venue “Stud1o”: is “Studio” meant?"),
    20: (
        {"configuration": "Opera"},
        "configuration",
        "you have no configuration “Opera”: add it first, or name one that is there",
    ),
    30: ({"event": "First Lights"}, "event", "you have no event “First Lights”: is “First Light”"),
    40: (
        {"starts_at": datetime(2027, 3, 28, 2, 30)},  # noqa: DTZ001 - as above
        "starts_at",
        "2027-03-28 02:30 does not exist at the venue (Europe/Berlin): clocks are put forward",
    ),
    50: (
        {"starts_at": datetime(2027, 10, 31, 2, 30)},  # noqa: DTZ001 - as above
        "starts_at",
        "2027-10-31 02:30 comes twice at the venue (Europe/Berlin): clocks are put back then",
    ),
    60: ({"starts_at": "in May"}, "starts_at", "“in May” is not a time: write 2027-03-28 20:00"),
    70: (
        {"opens_at": "2027-02-30 10:00"},
        "opens_at",
        "there is no such day or time as",
    ),
    80: ({"starts_at": ""}, "starts_at", "is missing"),
    90: ({"price:Standard": ""}, "price:standard", "the price is missing; 0 is free of charge"),
    100: ({"price:vip": 39.905}, "price:vip", "“39.905” has 3 decimals, EUR has 2"),
    110: ({"price:vip": "free"}, "price:vip", "“free” is not a price: write it as 1234.50"),
    120: (
        {"closes_at": datetime(2026, 11, 30, 10)},  # noqa: DTZ001 - as above
        "closes_at",
        "must be after opens_at",
    ),
    130: (
        {"doors_at": "2027-03-06 20:30"},
        "doors_at",
        "must not be after starts_at",
    ),
    140: ({"currency": "Euro"}, "currency", "“Euro” is no currency: write three capitals, as EUR"),
    150: ({"tax_bps": 12000}, "tax_bps", "“12000” is not a whole number from 0 to 10000"),
    160: ({"state": "sold"}, "state", "“sold” is not one of: draft, announced, on_sale"),
    170: (
        {"configuration_version": 7},
        "configuration_version",
        "“In rows” has no version 7; it has 1",
    ),
    180: (
        {"starts_at": _row(177)["starts_at"]},
        "starts_at",
        "at that time line 179 is at “Studio”, from 2027-03-30 15:00 to 17:00: move one of them",
    ),
    190: (_row(187), "", "is the same show as line 189: take one of them out"),
}
"""By line: what is wrong with it, the column that is named, and how the reason begins."""


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_a_thousand_shows_with_twenty_mistakes_get_twenty_messages_and_nothing_is_imported(
    promoter: FrontDesk, form: str
) -> None:
    """Each by its line and column, in the order of the lines; a dry run says the same."""
    rows = [_row(n, **_MISTAKES.get(n + 2, ({}, "", ""))[0]) for n in range(1000)]
    content = _FORMS[form](rows, "colour")
    before = _shows(promoter)
    refused = send_sheet(promoter, "shows", content, form)
    assert problem(refused) == "invalid-sheet"
    found = refused.json()["problems"]
    expected = {1: ("colour", "there is no such column: take it out, or name it as one of show")}
    expected |= {line: mistake[1:] for line, mistake in _MISTAKES.items()}
    assert [(one["line"], one["column"]) for one in found] == [
        (line, column) for line, (column, _) in sorted(expected.items())
    ]
    assert len(found) == 20
    for one in found:
        assert one["reason"].startswith(expected[one["line"]][1]), one
    assert refused.json()["more_problems"] == 0
    assert _shows(promoter) == before
    dry = send_sheet(promoter, "shows", content, form, dry=True)
    assert dry.status_code == 200
    told = dry.json()
    assert (told["dry_run"], told["lines"], told["shows"]) == (True, 1000, [])
    assert told["problems"] == found


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_a_sheet_without_mistakes_is_imported_whole_and_once(
    promoter: FrontDesk, form: str
) -> None:
    """A dry run makes nothing; the same key gets the same shows; another sheet needs another."""
    first, count = (1200, 240) if form == CSV else (2400, 120)
    rows = [_row(n) for n in range(first, first + count)]
    content = _FORMS[form](rows)
    dry = send_sheet(promoter, "shows", content, form, dry=True).json()
    assert (dry["lines"], dry["problems"], dry["shows"]) == (count, [], [])
    key = secrets.token_hex(8)
    made = send_sheet(promoter, "shows", content, form, key=key)
    assert made.status_code == 201, made.text
    shows = made.json()["shows"]
    assert [one["line"] for one in shows] == list(range(2, count + 2))
    again = send_sheet(promoter, "shows", content, form, key=key)
    assert (again.status_code, again.json()) == (201, made.json())
    assert (
        problem(send_sheet(promoter, "shows", _FORMS[form](rows[:2]), form, key=key))
        == "key-reused"
    )
    told = promoter.get(f"/v1/shows/{shows[1]['show']}").json()
    assert told["name"] == f"First Light, {first + 1}"
    assert (told["state"], told["currency"], told["venue"]) == ("draft", "EUR", "Studio")
    assert told["configuration_version"] == 1
    face_values = {one["price_level"]: one["price"]["face_value"] for one in told["price_levels"]}
    assert face_values == {"vip": 9550, "standard": 3000, "standing": 2000}
    twice = send_sheet(promoter, "shows", content, form)
    assert problem(twice) == "invalid-sheet"
    assert len(twice.json()["problems"]) == count
    assert "the show “First Light, " in twice.json()["problems"][0]["reason"]


def test_a_show_that_is_not_a_draft_is_opened(promoter: FrontDesk) -> None:
    """It sells as any other."""
    row = _row(2000, state="on_sale", opens_at="2020-01-01T10:00:00Z", starts_at="2098-05-01 20:00")
    [made] = _made(send_sheet(promoter, "shows", _csv([row])))["shows"]
    deadline = time.monotonic() + 20
    while (held := _hold(promoter, made["show"])).status_code == 503:
        assert time.monotonic() < deadline, held.text
        time.sleep(0.1)
    assert held.status_code == 201, held.text


def _hold(desk: FrontDesk, show: str) -> httpx.Response:
    return desk.post(f"/v1/shows/{show}/holds", {"seats": ["A-1"], "buyer": "b-1"})


def test_what_is_no_sheet_is_refused_with_the_way_out(promoter: FrontDesk) -> None:
    """By the problem of the sheet, by its media type, or by its size."""
    told = send_sheet(promoter, "shows", b"\xff\xfev\x00", CSV).json()["problems"]
    assert told == [
        {"line": 1, "column": "", "reason": "the file is UTF-16: save it as “CSV UTF-8”"}
    ]
    assert problem(send_sheet(promoter, "shows", b"PK", XLSX)) == "invalid-sheet"
    assert (
        problem(send_sheet(promoter, "shows", b"{}", "application/json"))
        == "unsupported-media-type"
    )
    assert problem(send_sheet(promoter, "shows", b"a" * (8 * 2**20 + 1))) == "body-too-large"


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_exported_can_be_imported(promoter: FrontDesk, form: str) -> None:
    """As it is, every line is a show that is there; as new shows of another year, too."""
    name = "=HYPERLINK(1)"
    year = 2090 if form == "csv" else 2092
    row = _row(0, name=name, starts_at=f"{year}-05-01 20:00", doors_at=f"{year}-05-01 19:00")
    _made(send_sheet(promoter, "shows", _csv([row | {"closes_at": f"{year}-05-01 21:00"}])))
    exported = promoter.get(f"/v1/exports/shows?format={form}")
    media_type = exported.headers["content-type"].partition(";")[0]
    assert exported.headers["content-disposition"] == f'attachment; filename="shows.{form}"'
    again = send_sheet(promoter, "shows", exported.content, media_type, dry=True).json()
    assert again["problems"] == []
    assert again["unchanged"] == again["lines"] > 0
    rows = _read_csv(exported.content) if form == "csv" else _read_xlsx(exported.content)
    new = [{**one, "show": ""} for one in rows if one["starts_at"].startswith(f"{year}-")]
    for one in new:
        assert one["name"] == ("'" if form == "csv" else "") + name
        one["starts_at"] = one["starts_at"].replace(str(year), str(year + 1))
        one["doors_at"] = one["closes_at"] = ""
        one["price:Standard"] = one["price:standard"]
    assert [len(new), new[0]["price:vip"], new[0]["duration_min"]] == [1, "95.50", "120"]
    [made] = _made(send_sheet(promoter, "shows", _FORMS[CSV](new)))["shows"]
    assert promoter.get(f"/v1/shows/{made['show']}").json()["name"] == name


_METHODS = "card, paypal, apple_pay, google_pay, bank_transfer, sepa_debit, on_account"


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_each_mistake_in_who_sees_a_show_and_how_it_is_paid_for_is_told(
    promoter: FrontDesk, form: str
) -> None:
    """By its line and column, all at once, with the bounds that one show's body has."""
    outside = "is not a whole number from 30 to 3600"
    mistakes: list[tuple[str, object, list[str]]] = [
        ("public_from", "soon", ["“soon” is not a time: write 2027-03-28 20:00"]),
        ("public_from", "2027-03-28 02:30", ["2027-03-28 02:30 does not exist at the venue"]),
        ("public_from", "1999-12-31T10:00:00Z", ["the year must be 2000 to 2200"]),
        ("hold_ttl_s", 29, [f"“29” {outside}"]),
        ("hold_ttl_s", 3601, [f"“3601” {outside}"]),
        ("hold_ttl_s", 60.5, [f"“60.5” {outside}"]),
        ("payment_methods", "card cheque", [f"“cheque” is not one of: {_METHODS}"]),
        ("payment_methods", "card paypal card", ["“card” is named twice: take one of them out"]),
        (
            "payment_methods",
            "card, cash",
            [
                "“card, cash”: put only blanks between the words, as in card paypal",
                f"“cash” is not one of: {_METHODS}",
            ],
        ),
    ]
    columns = ("public_from", "hold_ttl_s", "payment_methods")
    rows = [
        _row(3200 + n, **dict(zip(columns, ("2027-01-01T10:00:00Z", 60, "card"), strict=True)))
        | {column: value}
        for n, (column, value, _) in enumerate(mistakes)
    ]
    content = _FORMS[form](rows, *columns)
    refused = send_sheet(promoter, "shows", content, form)
    assert problem(refused) == "invalid-sheet"
    found = refused.json()["problems"]
    expected = [
        (line, column, reason)
        for line, (column, _, reasons) in enumerate(mistakes, 2)
        for reason in reasons
    ]
    assert [(one["line"], one["column"]) for one in found] == [one[:2] for one in expected]
    for one, (*_, reason) in zip(found, expected, strict=True):
        assert one["reason"].startswith(reason), one
    dry = send_sheet(promoter, "shows", content, form, dry=True)
    assert (dry.status_code, dry.json()["problems"]) == (200, found)


_ASKED = ("public_from", "hold_ttl_s", "payment_methods")
"""What shows that are not told otherwise have by default."""


def _asked(desk: FrontDesk, show: str) -> Json:
    told = desk.get(f"/v1/shows/{show}").json()
    return {field: told[field] for field in _ASKED}


@pytest.mark.parametrize("form", [CSV, XLSX])
def test_a_sheet_that_leaves_fields_out_gives_shows_the_defaults_of_one_show(
    promoter: FrontDesk, form: str
) -> None:
    """Whether the columns are missing, as in older sheets, or their cells are empty."""
    alone = _made(promoter.post("/v1/shows", show_body(state="draft")))["show"]
    defaults = {"public_from": None, "hold_ttl_s": 600, "payment_methods": ["card"]}
    assert _asked(promoter, alone) == defaults
    for n, columns in enumerate([(), _ASKED], 3400 if form == CSV else 3402):
        content = _FORMS[form]([_row(n)], *columns)
        [made] = _made(send_sheet(promoter, "shows", content, form))["shows"]
        assert _asked(promoter, made["show"]) == defaults


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_shows_keep_who_sees_them_and_how_they_are_paid_for_through_a_sheet(
    promoter: FrontDesk, form: str
) -> None:
    """As they are imported, and as new shows of what was exported: none is public early."""
    year = 2094 if form == "csv" else 2096
    media_type = CSV if form == "csv" else XLSX
    asked = [
        # The second of two hours of that name at the venue; a cell that is a date; none at all.
        ("2093-10-25T02:30:00+01:00", 60, "voucher card on_account"),
        (datetime(2093, 7, 1, 9), 3600, "Cash_On_Arrival"),  # noqa: DTZ001 - local at the venue
        ("", 30, ""),
    ]
    rows = [
        _row(
            0, starts_at=f"{year}-05-0{n} 20:00", state="announced", opens_at=f"{year}-01-01 10:00"
        )
        | dict(zip(_ASKED, values, strict=True))
        for n, values in enumerate(asked, 1)
    ]
    content = _FORMS[media_type](rows, *_ASKED)
    dry = send_sheet(promoter, "shows", content, media_type, dry=True).json()
    assert (dry["lines"], dry["problems"], dry["shows"]) == (3, [], [])
    made = _made(send_sheet(promoter, "shows", content, media_type))["shows"]
    first = [_asked(promoter, one["show"]) for one in made]
    assert first == [
        {
            "public_from": "2093-10-25T01:30:00Z",
            "hold_ttl_s": 60,
            "payment_methods": ["voucher", "card", "on_account"],
        },
        {
            "public_from": "2093-07-01T07:00:00Z",
            "hold_ttl_s": 3600,
            "payment_methods": ["cash_on_arrival"],
        },
        {"public_from": None, "hold_ttl_s": 30, "payment_methods": ["card"]},
    ]
    exported = promoter.get(f"/v1/exports/shows?format={form}").content
    rows = _read_csv(exported) if form == "csv" else _read_xlsx(exported)
    names = {one["show"] for one in made}
    new = [
        {
            **one,
            "show": "",
            "starts_at": one["starts_at"].replace(str(year), str(year + 1)),
            "price:Standard": one["price:standard"],
        }
        for one in rows
        if one["show"] in names
    ]
    assert [one["payment_methods"] for one in new] == [
        "voucher card on_account", "cash_on_arrival", "card",
    ]  # fmt: skip
    again = _made(send_sheet(promoter, "shows", _FORMS[media_type](new, *_ASKED), media_type))
    assert [_asked(promoter, one["show"]) for one in again["shows"]] == first


def _read_csv(content: bytes) -> list[Row]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def _read_xlsx(content: bytes) -> list[Row]:
    sheet: Any = load_workbook(io.BytesIO(content)).worksheets[0]
    heading, *rows = ([str(cell.value or "") for cell in row] for row in sheet.iter_rows())
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    return [dict(zip(heading, row, strict=True)) for row in rows]


def test_the_samples_are_imported_from_the_command_line_too(
    promoter: Promoter, stack: Stack, tmp_path: Path
) -> None:
    """A sheet with a mistake ends with 1 and says where it is."""

    def run(file: Path, *options: str, what: str = "shows") -> tuple[int, str]:
        words = [what, str(file), "--reseller", promoter.reseller, *options]
        ended = CliRunner().invoke(command, words, env=stack.environment)
        return ended.exit_code, ended.stdout

    sample = ROOT / "docs" / "samples" / "shows.csv"
    assert run(sample, "--dry-run") == (0, "")
    code, told = run(sample, "--json")
    shows = json.loads(told)["shows"]
    assert (code, [line for line, _ in shows]) == (0, [2, 3, 4])
    assert promoter.get(f"/v1/shows/{shows[1][1]}").json()["name"] == "First Light, matinée"
    code, told = run(ROOT / "docs" / "samples" / "prices.csv", "--json", what="prices")
    assert (code, json.loads(told)["shows"]) == (0, [[2, shows[0][1]], [5, shows[1][1]]])
    wrong = tmp_path / "wrong.xlsx"
    wrong.write_bytes(_xlsx([_row(3000, venue="Stud1o")]))
    assert run(wrong) == (1, "line 2, venue: you have no venue “Stud1o”: is “Studio” meant?\n")
