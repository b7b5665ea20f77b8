"""Spreadsheets that are given out: of shows, and of prices, in parts that can be imported again."""

import asyncio
from typing import Annotated, Final, Literal

from litestar import Response, get
from litestar.params import QueryParameter

from api.context import ApiRequest, parse_show, runtime_of
from api.documents import describe
from api.outcomes import show_not_found
from api.paging import Cursor, read_cursor
from api.problems import ProblemKind
from api.reading import check_query
from api.sheet_files import CSV, XLSX
from engine.catalog.sheets.csv_sheet import write_csv
from engine.catalog.sheets.exporting import SheetPart
from engine.catalog.sheets.price_export import export_prices
from engine.catalog.sheets.show_export import export_shows
from engine.catalog.sheets.xlsx_sheet import write_xlsx
from engine.platform.errors import store_failures
from engine.platform.ids import IdError, Prefix
from engine.tenancy.principals import Scope

_SHOWS: Final = "show,event,name\r\nshw_dev_00f3a1c05e9b7d24,,First Light\r\n"
_PRICES: Final = "show,price_level,price\r\nshw_dev_00f3a1c05e9b7d24,vip,95.00\r\n"

Format = Literal["csv", "xlsx"]
SheetFormat = Annotated[Format, QueryParameter(name="format", description="Of the file.")]
OneShow = Annotated[
    str | None,
    QueryParameter(max_length=64, description="Of this show alone, also if it is over: its id."),
]


@get(
    "/shows",
    summary="Export shows as a spreadsheet",
    media_type="text/csv",
    operation_class=describe(scope=Scope.SHOWS_READ, also_answers={CSV: _SHOWS, XLSX: "PK..."}),
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
    return await _answer(request, "shows", part, sheet_format)


@get(
    "/prices",
    summary="Export prices as a spreadsheet",
    media_type="text/csv",
    operation_class=describe(
        scope=Scope.SHOWS_READ,
        also_answers={CSV: _PRICES, XLSX: "PK..."},
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
    return await _answer(request, "prices", part, sheet_format)


async def _answer(
    request: ApiRequest, what: str, part: SheetPart, sheet_format: Format
) -> Response[bytes]:
    ids = runtime_of(request).ids
    headers = {"Content-Disposition": f'attachment; filename="{what}.{sheet_format}"'}
    if part.next_after is not None:
        headers["Onsale-Next-Cursor"] = ids.entity(Prefix.SHOW, part.next_after)
    if part.left_out:
        named = [ids.entity(Prefix.SHOW, show) for show in part.left_out]
        headers["Onsale-Left-Out"] = ", ".join(named)
    content = await asyncio.to_thread(_written, what.capitalize(), part, sheet_format)
    return Response(content, media_type=CSV if sheet_format == "csv" else XLSX, headers=headers)


def _written(title: str, part: SheetPart, sheet_format: Format) -> bytes:
    if sheet_format == "csv":
        return write_csv(part.columns, part.rows)
    return write_xlsx(title, part.columns, part.rows)
