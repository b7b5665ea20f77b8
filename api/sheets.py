"""Spreadsheets: shows and prices are imported from them, all or none, and exported to them."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from litestar import Response, Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from litestar.types import AnyCallable

from api.context import ApiRequest, parse_show, runtime_of
from api.documents import describe
from api.outcomes import show_not_found
from api.paging import Cursor, read_cursor
from api.problems import ProblemError, ProblemKind
from api.queueing import OneAtATime
from api.reading import check_query, optional_key
from api.repeating import Keeper, answer_once
from api.sheet_answers import (
    PricesImportedAnswer,
    PricesOfShow,
    ProblemInSheet,
    SheetAnswer,
    ShowOfLine,
    ShowsImportedAnswer,
)
from api.sheet_files import (
    CSV,
    SHEET_BYTES_MAX,
    XLSX,
    Format,
    answer_sheet,
    describe_import,
    read_sheet_body,
)
from api.written import written_json
from engine.catalog.sheets.importing import Imported, SheetKind, import_sheet
from engine.catalog.sheets.price_export import export_prices
from engine.catalog.sheets.price_import import ImportedPrices, PriceImport
from engine.catalog.sheets.show_export import export_shows
from engine.catalog.sheets.show_import import ImportedShow, ShowImport
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Prefix, fingerprint, new_entity_id
from engine.tenancy.idempotency import Answered
from engine.tenancy.principals import Scope

_EXAMPLE: Final = (
    "venue,configuration,event,name,starts_at,duration_min,opens_at,currency,price:vip\r\n"
    "Studio,In rows,,First Light,2027-03-01 20:00,120,2026-12-01 10:00,EUR,95.00\r\n"
)

_PRICES_EXAMPLE: Final = (
    "show,from,price_level,ticket_type,price,share\r\nshw_dev_00f3a1c05e9b7d24,,vip,,95.00,\r\n"
)

_SHOWS_OUT: Final = "show,event,name\r\nshw_dev_00f3a1c05e9b7d24,,First Light\r\n"
_PRICES_OUT: Final = "show,price_level,price\r\nshw_dev_00f3a1c05e9b7d24,vip,95.00\r\n"

Plan = TypeVar("Plan")
Done = TypeVar("Done")

SheetFormat = Annotated[Format, QueryParameter(name="format", description="Of the file.")]
OneShow = Annotated[
    str | None,
    QueryParameter(max_length=64, description="Of this show alone, also if it is over: its id."),
]

DryRun = Annotated[
    bool, QueryParameter(description="Make nothing, and tell what is wrong with the sheet.")
]


def _import(
    path: str, summary: str, answer: type[SheetAnswer], example: str
) -> Callable[[AnyCallable], HTTPRouteHandler]:
    """Return the decorator of a route that takes a sheet; `example` is one as CSV."""
    dry = ResponseSpec(answer, generate_examples=False, description="A dry run.")
    return post(
        path,
        summary=summary,
        request_max_body_size=SHEET_BYTES_MAX,
        middleware=[OneAtATime()],
        responses={HTTP_200_OK: dry},
        operation_class=describe_import(Scope.SHOWS_WRITE, example),
    )


@_import("/shows", "Import shows from a spreadsheet", ShowsImportedAnswer, _EXAMPLE)
async def import_shows(
    request: ApiRequest,
    dry_run: DryRun = False,  # noqa: FBT002 - a query parameter
) -> Response[ShowsImportedAnswer]:
    """Make a show of every line of a CSV or XLSX file: of all of them, or of none.

    With `dry_run=true` nothing is made, and the answer lists every problem by line and column. Else
    a sheet with a problem is refused with `invalid-sheet`, which lists them, too. Columns and
    rules: docs/SPREADSHEETS.md.
    """
    key = optional_key(request)
    ids = runtime_of(request).ids

    def make(stands_for: int, **of_request: Any) -> ShowImport:  # noqa: ANN401 - see _answer_import
        def id_of(line: int) -> EntityId:
            if key is None:
                return new_entity_id()
            return ids.derive_show(request.user, f"{line}:{key}", stands_for)

        return ShowImport(id_of=id_of, **of_request)

    def tell(imported: Imported[ImportedShow]) -> ShowsImportedAnswer:
        return ShowsImportedAnswer(
            **_told(imported, is_dry=dry_run),
            shows=[
                ShowOfLine(line=one.line, show=ids.entity(Prefix.SHOW, one.show))
                for one in imported.done
            ],
            unchanged=imported.unchanged,
        )

    answered = await _answer_import(request, "imports/shows", make, tell, is_dry=dry_run)
    return written_json(ShowsImportedAnswer, answered.body, status_code=answered.status)


@_import("/prices", "Import prices from a spreadsheet", PricesImportedAnswer, _PRICES_EXAMPLE)
async def import_prices(
    request: ApiRequest,
    dry_run: DryRun = False,  # noqa: FBT002 - a query parameter
) -> Response[PricesImportedAnswer]:
    """Change the prices of many shows by a CSV or XLSX file, and their price steps: all, or none.

    A line is one price, now or `from` a moment on; what the sheet does not name stays. With
    `dry_run=true` nothing is changed, and the answer lists every problem by line and column. Else a
    sheet with a problem is refused with `invalid-sheet`. Columns and rules: docs/SPREADSHEETS.md.
    """
    ids = runtime_of(request).ids

    def make(_stands_for: int, **of_request: Any) -> PriceImport:  # noqa: ANN401 - as above
        return PriceImport(**of_request)

    def tell(imported: Imported[ImportedPrices]) -> PricesImportedAnswer:
        return PricesImportedAnswer(
            **_told(imported, is_dry=dry_run),
            shows=[
                PricesOfShow(
                    line=one.line,
                    show=ids.entity(Prefix.SHOW, one.show),
                    price_version=one.price_version,
                    steps=one.steps,
                )
                for one in imported.done
            ],
            unchanged=imported.unchanged,
        )

    answered = await _answer_import(request, "imports/prices", make, tell, is_dry=dry_run)
    return written_json(PricesImportedAnswer, answered.body, status_code=answered.status)


async def _answer_import(
    request: ApiRequest,
    scope: str,
    make: Callable[..., SheetKind[Plan, Done]],
    tell: Callable[[Imported[Done]], SheetAnswer],
    *,
    is_dry: bool,
) -> Answered:
    """Import the sheet that a request brings: once for its key.

    `make` gets what stands for the sheet, and by name whose it is and where it is written.

    Raises:
        ProblemError: `invalid-sheet`, or what `answer_once` and `read_sheet_body` raise.
    """
    check_query(request, "dry_run")
    optional_key(request)
    content, is_xlsx = await read_sheet_body(request)
    stands_for = fingerprint(hashlib.blake2b(content).digest() + bytes((is_xlsx, is_dry)))
    status = HTTP_200_OK if is_dry else HTTP_201_CREATED
    runtime = runtime_of(request)

    async def act(keeper: Keeper) -> tuple[int, SheetAnswer]:
        with store_failures():
            kind = make(
                stands_for,
                app=runtime.app_engine,
                redis=runtime.redis,
                ids=runtime.ids,
                reseller=request.user,
                dry_run=is_dry,
            )
            keep = keeper.remember(status, tell)
            imported = await import_sheet(kind, content, is_xlsx=is_xlsx, keep=keep)
        answer = tell(imported)
        if imported.problems and not is_dry:
            raise _invalid_sheet(answer)
        return status, answer

    return await answer_once(request, scope, stands_for, act)


def _told(imported: Imported[Any], *, is_dry: bool) -> dict[str, Any]:
    """Return what is told of every sheet."""
    return {
        "dry_run": is_dry,
        "lines": imported.lines,
        "problems": [
            ProblemInSheet(line=one.line, column=one.column, reason=one.reason)
            for one in imported.problems
        ],
        "more_problems": imported.more_problems,
    }


def _invalid_sheet(answer: SheetAnswer) -> ProblemError:
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
    operation_class=describe(scope=Scope.SHOWS_READ, also_answers={CSV: _SHOWS_OUT, XLSX: "PK..."}),
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
        part = await export_shows(runtime.app_engine, runtime.ids, request.user, after=after)
    return await answer_sheet(request, "shows", part, sheet_format)


@get(
    "/prices",
    summary="Export prices as a spreadsheet",
    media_type="text/csv",
    operation_class=describe(
        scope=Scope.SHOWS_READ,
        also_answers={CSV: _PRICES_OUT, XLSX: "PK..."},
        problems=(ProblemKind.SHOW_NOT_FOUND,),
    ),
)
async def export_prices_as_sheet(
    request: ApiRequest,
    sheet_format: SheetFormat = "csv",
    show: OneShow = None,
    cursor: Cursor = None,
) -> Response[bytes]:
    """Give price lists, with ticket types and steps to come, of shows that are not over.

    They come by the shows' start, 5 000 lines at most. If there are more, the header
    `Onsale-Next-Cursor` has the cursor of the next sheet. A list that is longer than that is left
    out, and the header `Onsale-Left-Out` names its show.
    """
    check_query(request, "format", "show", "cursor")
    runtime = runtime_of(request)
    try:
        only = None if show is None else parse_show(runtime.ids, show)
    except IdError:
        raise show_not_found() from None
    after = read_cursor(runtime.ids, Prefix.SHOW, cursor)
    with store_failures():
        part = await export_prices(
            runtime.app_engine, runtime.ids, request.user, only=only, after=after
        )
    if only is not None and not (part.rows or part.left_out or after):
        raise show_not_found()
    return await answer_sheet(request, "prices", part, sheet_format)


router = Router(
    path="/v1",
    tags=["spreadsheets"],
    route_handlers=[
        Router(path="/imports", route_handlers=[import_shows, import_prices]),
        Router(path="/exports", route_handlers=[export_shows_as_sheet, export_prices_as_sheet]),
    ],
)
