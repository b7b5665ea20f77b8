"""Writes the rows of `pages`: what the public is told of an event, a performer, a venue."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.pages import Page, event_page, performer_page, venue_page
from engine.catalog.visibility import (
    EVENT_IS_PUBLIC,
    EVENT_TURNS_PUBLIC_AT,
    PERFORMER_IS_PUBLIC,
    VENUE_IS_PUBLIC,
)
from engine.platform.ids import Ids

_BILL: Final = (
    "(SELECT coalesce(jsonb_agg(jsonb_build_array(performers.id::text, performers.name)"
    " ORDER BY billing_no), '[]') FROM event_performers JOIN performers"
    " ON performers.id = performer_id WHERE event_performers.event_id = events.id) AS bill"
)


class _Kind(Struct, frozen=True):
    """A kind of page: of which table, public when, and how it is made of a row."""

    table: str
    is_public: str
    turns_public_at: str
    more: str
    make: Callable[[Mapping[str, Any], Ids], Page]


def _event(row: Mapping[str, Any], ids: Ids) -> Page:
    bill = [(int(performer), name) for performer, name in row["bill"]]
    return event_page(row, bill, row["reseller_name"], ids)


_KINDS: Final[Mapping[str, _Kind]] = {
    "event": _Kind("events", EVENT_IS_PUBLIC, EVENT_TURNS_PUBLIC_AT, f", {_BILL}", _event),
    "performer": _Kind("performers", PERFORMER_IS_PUBLIC, "NULL", "", performer_page),
    "venue": _Kind("venues", VENUE_IS_PUBLIC, "NULL", "", venue_page),
}
PAGE_KINDS: Final = tuple(_KINDS)
"""The kinds of pages, as `pages.kind` has them."""

_WRITE: Final = text(
    "INSERT INTO pages AS known (kind, id, reseller_id, is_public, turns_public_at, document)"
    " SELECT CAST(:kind AS TEXT), id, reseller_id, is_public, turns_public_at,"
    " CAST(document AS JSONB) FROM unnest(CAST(:ids AS BIGINT[]), CAST(:resellers AS BIGINT[]),"
    " CAST(:are_public AS BOOLEAN[]), CAST(:turn_public_at AS TIMESTAMPTZ[]),"
    " CAST(:documents AS TEXT[]))"
    " AS fresh(id, reseller_id, is_public, turns_public_at, document)"
    " ON CONFLICT (kind, id) DO UPDATE SET is_public = excluded.is_public,"
    " turns_public_at = excluded.turns_public_at, document = excluded.document,"
    " changed_at = now() WHERE (known.is_public, known.turns_public_at, known.document)"
    " IS DISTINCT FROM (excluded.is_public, excluded.turns_public_at, excluded.document)"
)
_REMOVE: Final = text("DELETE FROM pages WHERE kind = :kind AND id = ANY(CAST(:gone AS BIGINT[]))")


async def write_pages(connection: AsyncConnection, ids: Ids, kind: str, wanted: list[int]) -> None:
    """Write the pages of these events, performers or venues; those that are gone have none."""
    of = _KINDS[kind]
    query = text(
        f"SELECT {of.table}.*, resellers.name AS reseller_name, {of.is_public} AS is_public,"  # noqa: S608
        f" {of.turns_public_at} AS turns_public_at {of.more} FROM {of.table}"
        f" JOIN resellers ON resellers.id = {of.table}.reseller_id"
        f" WHERE {of.table}.id = ANY(CAST(:ids AS BIGINT[]))"
    ).columns(**dict.fromkeys(_JSON[kind], JSONB()))
    rows = (await connection.execute(query, {"ids": wanted})).mappings().all()
    told: dict[str, list[Any]] = {
        "ids": [row["id"] for row in rows],
        "resellers": [row["reseller_id"] for row in rows],
        "are_public": [row["is_public"] for row in rows],
        "turn_public_at": [row["turns_public_at"] for row in rows],
        "documents": [msgspec.json.encode(of.make(dict(row), ids)).decode() for row in rows],
    }
    await connection.execute(_WRITE, {"kind": kind, **told})
    gone = set(wanted).difference(told["ids"])
    if gone:
        await remove_pages(connection, kind, sorted(gone))


async def remove_pages(connection: AsyncConnection, kind: str, gone: list[int]) -> None:
    """Take the pages of these events, performers or venues away."""
    await connection.execute(_REMOVE, {"kind": kind, "gone": gone})


_JSON: Final[Mapping[str, tuple[str, ...]]] = {
    "event": ("pictures", "bill"),
    "performer": ("pictures", "links"),
    "venue": ("address", "pictures"),
}
