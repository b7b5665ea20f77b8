"""Spreadsheets: shows are imported from them, all or none, and exported to them."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from litestar import Response, Router, get, post
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Meta, Struct

from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.paging import Cursor, read_cursor
from api.problems import ProblemError, ProblemKind
from api.queueing import OneAtATime
from api.reading import check_query, optional_key
from api.repeating import Keeper, answer_once
from api.sheet_files import CSV, SHEET_BYTES_MAX, XLSX, describe_import, read_sheet_body
from api.written import written_json
from engine.catalog.sheets.csv_sheet import write_csv
from engine.catalog.sheets.show_export import export_shows
from engine.catalog.sheets.show_import import ShowImport, ShowsImported
from engine.catalog.sheets.table import LINES_MAX
from engine.catalog.sheets.xlsx_sheet import write_xlsx
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, Ids, Prefix, fingerprint, new_entity_id
from engine.tenancy.principals import Scope

_EXAMPLE: Final = (
    "venue,configuration,event,name,starts_at,duration_min,opens_at,currency,price:vip\r\n"
    "Studio,In rows,,First Light,2027-03-01 20:00,120,2026-12-01 10:00,EUR,95.00\r\n"
)
_EXPORTED: Final = "show,event,name\r\nshw_dev_00f3a1c05e9b7d24,,First Light\r\n"

DryRun = Annotated[
    bool, QueryParameter(description="Make nothing, and tell what is wrong with the sheet.")
]

SheetFormat = Annotated[
    Literal["csv", "xlsx"], QueryParameter(name="format", description="Of the file.")
]


class ProblemInSheet(Struct, frozen=True):
    """What is wrong, where, and the way out."""

    line: Annotated[int, Meta(description="As a spreadsheet program counts.", examples=[17])]
    column: Annotated[str, Meta(description="Empty: the whole line.", examples=["starts_at"])]
    reason: Annotated[str, Meta(examples=["is missing"])]


class ShowOfLine(Struct, frozen=True):
    """The show that a line became."""

    line: Annotated[int, Meta(examples=[2])]
    show: str


class ShowsImportedAnswer(Struct, frozen=True, kw_only=True):
    """What became of a sheet, or what would have by a dry run."""

    dry_run: bool
    lines: Annotated[int, Meta(description="Without the heading and empty ones.")]
    problems: list[ProblemInSheet]
    more_problems: Annotated[int, Meta(description="Beside those listed.", examples=[0])]
    shows: list[ShowOfLine]
    unchanged: Annotated[int, Meta(description="Lines that name a show: it is left as it is.")]


@post(
    "/shows",
    summary="Import shows from a spreadsheet",
    request_max_body_size=SHEET_BYTES_MAX,
    middleware=[OneAtATime()],
    responses={
        HTTP_200_OK: ResponseSpec(
            ShowsImportedAnswer, generate_examples=False, description="A dry run."
        )
    },
    operation_class=describe_import(Scope.SHOWS_WRITE, _EXAMPLE),
)
async def import_shows(
    request: ApiRequest,
    dry_run: DryRun = False,  # noqa: FBT002 - a query parameter
) -> Response[ShowsImportedAnswer]:
    """Make a show of every line of a CSV or XLSX file: of all of them, or of none.

    With `dry_run=true` nothing is made, and the answer lists every problem by line and column. Else
    a sheet with a problem is refused with `invalid-sheet`, which lists them, too. Columns and
    rules: docs/SPREADSHEETS.md.
    """
    check_query(request, "dry_run")
    key = optional_key(request)
    content, is_xlsx = await read_sheet_body(request)
    stands_for = fingerprint(hashlib.blake2b(content).digest() + bytes((is_xlsx, dry_run)))
    runtime = runtime_of(request)
    reseller = request.user

    def id_of(line: int) -> EntityId:
        if key is None:
            return new_entity_id()
        return runtime.ids.derive_show(reseller, f"{line}:{key}", stands_for)

    importing = ShowImport(
        app=runtime.app_engine,
        redis=runtime.redis,
        ids=runtime.ids,
        reseller=reseller,
        dry_run=dry_run,
        id_of=id_of,
    )

    async def act(keeper: Keeper) -> tuple[int, ShowsImportedAnswer]:
        status = HTTP_200_OK if dry_run else HTTP_201_CREATED

        async def keep(transaction: Any, imported: ShowsImported) -> None:  # noqa: ANN401 - the engine's
            await keeper.keep(transaction, status, _tell(imported, runtime.ids, is_dry=dry_run))

        with store_failures():
            imported = await importing.run(content, is_xlsx=is_xlsx, keep=keep)
        answer = _tell(imported, runtime.ids, is_dry=dry_run)
        if imported.problems and not dry_run:
            raise _invalid_sheet(answer)
        return status, answer

    answered = await answer_once(request, "imports/shows", stands_for, act)
    return written_json(ShowsImportedAnswer, answered.body, status_code=answered.status)


def _tell(imported: ShowsImported, ids: Ids, *, is_dry: bool) -> ShowsImportedAnswer:
    return ShowsImportedAnswer(
        dry_run=is_dry,
        lines=imported.lines,
        problems=[
            ProblemInSheet(line=one.line, column=one.column, reason=one.reason)
            for one in imported.problems
        ],
        more_problems=imported.more_problems,
        shows=[
            ShowOfLine(line=one.line, show=ids.entity(Prefix.SHOW, one.show))
            for one in imported.made
        ],
        unchanged=imported.there,
    )


def _invalid_sheet(answer: ShowsImportedAnswer) -> ProblemError:
    count = len(answer.problems) + answer.more_problems
    first = answer.problems[0]
    where = f"line {first.line}" + (f", column {first.column}" if first.column else "")
    return ProblemError(
        ProblemKind.INVALID_SHEET,
        f"Nothing was imported, there are {count} problems. The first: {where}: {first.reason}.",
        members={"problems": answer.problems, "more_problems": answer.more_problems},
    )


@get(
    "/shows",
    summary="Export shows as a spreadsheet",
    media_type="text/csv",
    operation_class=describe(scope=Scope.SHOWS_READ, also_answers={CSV: _EXPORTED, XLSX: "PK..."}),
)
async def export_shows_as_sheet(
    request: ApiRequest, sheet_format: SheetFormat = "csv", cursor: Cursor = None
) -> Response[bytes]:
    """Give shows that were made from configurations, by their start: 5 000 at most.

    If there are more, the header `Onsale-Next-Cursor` has the cursor of the next sheet.
    """
    check_query(request, "format", "cursor")
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.SHOW, cursor)
    with store_failures():
        columns, rows = await export_shows(
            runtime.app_engine, runtime.ids, request.user, after=after
        )
    content = await asyncio.to_thread(_written, columns, rows, sheet_format)
    headers = {"Content-Disposition": f'attachment; filename="shows.{sheet_format}"'}
    if len(rows) == LINES_MAX:
        headers["Onsale-Next-Cursor"] = rows[-1][0]
    return Response(content, media_type=CSV if sheet_format == "csv" else XLSX, headers=headers)


def _written(
    columns: Sequence[str], rows: Sequence[Sequence[str]], sheet_format: Literal["csv", "xlsx"]
) -> bytes:
    if sheet_format == "csv":
        return write_csv(columns, rows)
    return write_xlsx("Shows", columns, rows)


router = Router(
    path="/v1",
    tags=["spreadsheets"],
    route_handlers=[
        Router(path="/imports", route_handlers=[import_shows]),
        Router(path="/exports", route_handlers=[export_shows_as_sheet]),
    ],
)
