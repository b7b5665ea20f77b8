"""Spreadsheets as they travel over HTTP: which form a body has, and which form is asked for."""

from typing import Final, cast

from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema

from api.context import ApiRequest
from api.documents import ScopedOperation, describe
from api.problems import ProblemError, ProblemKind
from api.reading import single_header
from engine.tenancy.principals import Scope

SHEET_BYTES_MAX: Final = 8 * 1024 * 1024
CSV: Final = "text/csv"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


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
