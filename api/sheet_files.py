"""Spreadsheets as they travel over HTTP: which form a body has, and which form is asked for."""

import asyncio
from typing import Final, Literal, cast

from litestar import Response
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema

from api.context import ApiRequest, runtime_of
from api.documents import ScopedOperation, describe
from api.problems import ProblemError, ProblemKind
from api.reading import single_header
from engine.catalog.sheets.csv_sheet import write_csv
from engine.catalog.sheets.exporting import SheetPart
from engine.catalog.sheets.xlsx_sheet import write_xlsx
from engine.platform.ids import Prefix
from engine.tenancy.principals import Scope

SHEET_BYTES_MAX: Final = 8 * 1024 * 1024
CSV: Final = "text/csv"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Format = Literal["csv", "xlsx"]


def describe_import(scope: Scope, example: str) -> type[ScopedOperation]:
    """Return how a route that takes a sheet documents itself; `example` is one as CSV."""
    text = cast("Schema", {"type": "string", "examples": [example]})
    binary = cast("Schema", {"type": "string", "format": "binary"})
    sheet = RequestBody(
        required=True,
        content={CSV: OpenAPIMediaType(schema=text), XLSX: OpenAPIMediaType(schema=binary)},
    )
    return describe(
        scope=scope,
        other_body=sheet,
        key="honoured",
        problems=(
            ProblemKind.INVALID_SHEET,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
        ),
    )


async def read_sheet_body(request: ApiRequest) -> tuple[bytes, bool]:
    """Return a body, and whether it is XLSX; else it is CSV.

    Raises:
        ProblemError: `unsupported-media-type`: it says that it is something else.
        HTTPException: it is larger than the route allows (413).
    """
    given = (single_header(request, "content-type") or "").partition(";")[0].strip().lower()
    if given not in {CSV, XLSX}:
        raise ProblemError(
            ProblemKind.UNSUPPORTED_MEDIA_TYPE,
            f"Send the sheet as it is, with the header `Content-Type: {CSV}` or "
            f"`Content-Type: {XLSX}`.",
            headers={"Accept-Post": f"{CSV}, {XLSX}"},
        )
    return await request.body(), given == XLSX


async def answer_sheet(
    request: ApiRequest, what: str, part: SheetPart, sheet_format: Format
) -> Response[bytes]:
    """Return a part of an export, and in headers what is not in it."""
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
