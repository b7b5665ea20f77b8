"""Lists of what a reseller keeps: the newest first, page by page."""

from typing import Any, Final

from sqlalchemy import Table, select, tuple_

from engine.platform.ids import EntityId

PAGE_MAX: Final = 201
"""One more than a page of the API has, which tells whether there is a next one."""


def behind(
    query: Any,  # noqa: ANN401 - a Select, whatever of
    table: Table,
    after: EntityId | None,
    limit: int,
) -> Any:  # noqa: ANN401 - the same
    """Return a query for up to `limit` of its rows behind the entity `after`, the newest first."""
    columns = table.c
    ordered = query.order_by(columns.created_at.desc(), columns.id.desc())
    if after is not None:
        before = table.alias("before")
        place = select(before.c.created_at, before.c.id).where(before.c.id == after)
        ordered = ordered.where(tuple_(columns.created_at, columns.id) < place.scalar_subquery())
    return ordered.limit(min(limit, PAGE_MAX))
