"""Answers that are JSON already when they reach the route."""

from collections.abc import Mapping
from typing import TypeVar, cast

from litestar import Response
from litestar.enums import MediaType
from litestar.status_codes import HTTP_200_OK

T = TypeVar("T")


def written_json(
    _: type[T],
    content: bytes,
    *,
    status_code: int = HTTP_200_OK,
    headers: Mapping[str, str] | None = None,
) -> Response[T]:
    """Answer with JSON that says what a `T` does; the type is for the OpenAPI document only."""
    response = Response(
        content, status_code=status_code, headers=dict(headers or {}), media_type=MediaType.JSON
    )
    return cast("Response[T]", response)
