"""Searches what is listed: pages of events, each with the show that the order asked for puts first.

An event has one place in the results, that of its first show that fits; so a page goes on where
the one before ended, by that show's place in the order alone, however many results are in front.
Who shows no credential searches `public_listings`; a reseller their own, as row-level security
gives them.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import RowMapping, TextClause, TextualSelect, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.finding import LISTED, PublicShow, tell_listing
from engine.catalog.search_terms import Near, Phase, Wanted, list_conditions, phases, values_of

SHOWS_COUNTED_MAX: Final = 100
"""The most shows of one event that are counted."""

FACETED_MAX: Final = 1000
"""The shows, the soonest that fit, of which facets are made."""

_PUBLIC: Final = "public_listings"
_OWN: Final = (
    "(SELECT listings.*, capacity, available, price_min, price_max,"
    " coalesce(is_sold_out, false) AS is_sold_out"
    " FROM listings LEFT JOIN listing_counts USING (show_id))"
)
_TYPES: Final = {"performers": JSONB, "picture": JSONB}


class Place(Struct, frozen=True):
    """Where in the results a page begins: behind the row of these keys, in a phase of the order."""

    phase: int
    keys: tuple[Any, ...]


class Result(Struct, frozen=True):
    """An event that was found: the show that the order puts first, and how many of it fit."""

    show: PublicShow
    shows: int
    """Up to `SHOWS_COUNTED_MAX`."""
    distance_m: float | None


class Results(Struct, frozen=True):
    """A page of results, and where the next one begins; None: there is none."""

    found: list[Result]
    next_place: Place | None


class FacetValue(Struct, frozen=True):
    """A value that shows which fit have, and how many they are."""

    value: str
    shows: int


class Facets(Struct, frozen=True):
    """What the shows that fit are like. `complete`: all of them, not just the soonest."""

    types: list[FacetValue]
    cities: list[FacetValue]
    months: list[FacetValue]
    prices: list[FacetValue]
    available: int
    shows: int
    complete: bool


async def search(  # noqa: PLR0913 - what is asked, and how
    connection: AsyncConnection,
    wanted: Wanted,
    *,
    now: datetime,
    after: Place | None,
    limit: int,
    is_own: bool = False,
    corrected: str | None = None,
) -> Results:
    """Return a page of what fits, through a transaction of the public's, or of a reseller's.

    `corrected` is a `tsquery` that stands for the text, if that was mistyped.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    conditions = list_conditions(wanted, corrected=corrected is not None)
    parts = phases(wanted.sort, corrected=corrected is not None)
    values = values_of(wanted, now, corrected)
    rows: list[tuple[int, RowMapping]] = []
    first = after.phase if after is not None else 0
    for number in range(first, len(parts)):
        keys = after.keys if after is not None and number == first else ()
        missing = limit + 1 - len(rows)
        statement = page_of(
            conditions, parts[: number + 1], has_place=bool(keys), is_own=is_own, limit=missing
        )
        told = values | {f"key_{i}": key for i, key in enumerate(keys)}
        found = (await connection.execute(statement, told)).mappings().all()
        rows += [(number, row) for row in found]
        if len(rows) > limit:
            break
    page = [_result(row, wanted.near) for _, row in rows[:limit]]
    is_more = len(rows) > limit
    return Results(page, _place(*rows[limit - 1], parts) if is_more else None)


async def count_facets(  # noqa: PLR0913 - as `search`
    connection: AsyncConnection,
    wanted: Wanted,
    *,
    now: datetime,
    bands: Sequence[int],
    is_own: bool = False,
    corrected: str | None = None,
) -> Facets:
    """Return what the shows that fit are like; prices by bands that begin at these amounts.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    conditions = list_conditions(wanted, corrected=corrected is not None)
    values = values_of(wanted, now, corrected) | {"bands": list(bands)}
    rows = (await connection.execute(_facets(conditions, is_own=is_own), values)).all()
    by_kind: dict[str, list[FacetValue]] = {}
    for kind, value, count in rows:
        by_kind.setdefault(kind, []).append(FacetValue(value, count))
    shows = sum(value.shows for value in by_kind.get("all", ()))
    return Facets(
        types=by_kind.get("type", []),
        cities=by_kind.get("city", []),
        months=sorted(by_kind.get("month", []), key=lambda one: one.value),
        prices=sorted(by_kind.get("band", []), key=lambda one: int(one.value)),
        available=sum(one.shows for one in by_kind.get("available", ())),
        shows=min(shows, FACETED_MAX),
        complete=shows <= FACETED_MAX,
    )


def _of(alias: str, *conditions: str) -> str:
    return " AND ".join(conditions).replace("@.", f"{alias}.")


@lru_cache(maxsize=1024)
def page_of(
    conditions: tuple[str, ...],
    parts: tuple[Phase, ...],
    *,
    has_place: bool,
    is_own: bool,
    limit: int,
) -> TextualSelect:
    """Return the query for results of the last of these phases, behind a place in it."""
    source, phase = _OWN if is_own else _PUBLIC, parts[-1]
    named = ", ".join(f"{key} AS key_{i}" for i, key in enumerate(phase.keys))
    keys, told = ", ".join(phase.keys), ", ".join(f"key_{i}" for i in range(len(phase.keys)))
    before, after, direction = (">", "<", "DESC") if phase.is_descending else ("<", ">", "ASC")
    order = ", ".join(f"{key} {direction}" for key in phase.keys)
    wanted = [*conditions, phase.condition]
    if has_place:
        behind = ", ".join(f":{name}" for name in told.split(", "))
        wanted.append(f"({keys}) {after} ({behind})")
    fits = _of("other", *conditions)
    better = [f"({_of('other', part.condition)})" for part in parts[:-1]]
    better.append(f"({_of('other', phase.condition)} AND ({_of('other', keys)}) {before} ({told}))")
    # The limit is written out: a plan for any limit would be one for many rows.
    # One row after another is looked at in its order, and no further than the page needs: an OFFSET
    # lets no condition through, and such a sub-query becomes no join. Nor is it guessed to be rare,
    # as IS NULL would be: the planner then takes the whole order to be needed, and scans for it.
    return text(
        f"SELECT {', '.join(_of('l', column) for column in LISTED)}, {told},"  # noqa: S608
        f" (SELECT count(*) FROM (SELECT FROM {source} AS other"
        f" WHERE other.item_id = l.item_id AND {fits} LIMIT {SHOWS_COUNTED_MAX}) AS counted)"
        f" AS shows FROM (SELECT ordered.* FROM (SELECT l.show_id AS shown, l.item_id,"
        f" {_of('l', named)} FROM {source} AS l WHERE {_of('l', *wanted)}"
        f" ORDER BY {_of('l', order)} OFFSET 0) AS ordered WHERE NOT coalesce((SELECT true"
        f" FROM {source} AS other WHERE other.item_id = ordered.item_id AND {fits}"
        f" AND ({' OR '.join(better)}) LIMIT 1), false) LIMIT {limit:d}) AS page"
        f" JOIN {source} AS l ON l.show_id = shown"
        f" ORDER BY {', '.join(f'{name} {direction}' for name in told.split(', '))}"
    ).columns(**_TYPES)


@lru_cache(maxsize=512)
def _facets(conditions: tuple[str, ...], *, is_own: bool) -> TextClause:
    source = _OWN if is_own else _PUBLIC
    return text(
        "WITH fitting AS MATERIALIZED (SELECT type, city,"  # noqa: S608 - our own names
        " date_trunc('month', starts_at) AS month, price_min,"
        " state = 'on_sale' AND available > 0 AS is_available"
        f" FROM {source} AS l WHERE {_of('l', *conditions)}"
        f" ORDER BY starts_at, show_id LIMIT {FACETED_MAX + 1})"
        " SELECT 'all', '', count(*) FROM fitting"
        " UNION ALL SELECT 'available', '', count(*) FROM fitting WHERE is_available"
        " UNION ALL SELECT 'type', type, count(*) FROM fitting WHERE type IS NOT NULL GROUP BY type"
        " UNION ALL (SELECT 'city', city, count(*) FROM fitting WHERE city IS NOT NULL"
        " GROUP BY city ORDER BY 3 DESC, 2 LIMIT 20)"
        " UNION ALL SELECT 'month', to_char(month, 'YYYY-MM'), count(*) FROM fitting GROUP BY month"
        " UNION ALL SELECT 'band', CAST(band AS TEXT), count(*) FROM ("
        " SELECT width_bucket(price_min, CAST(:bands AS BIGINT[])) AS band FROM fitting"
        " WHERE price_min IS NOT NULL) AS priced GROUP BY band"
    )


def _place(number: int, row: RowMapping, parts: tuple[Phase, ...]) -> Place:
    return Place(number, tuple(row[f"key_{i}"] for i in range(len(parts[number].keys))))


def _result(row: RowMapping, near: Near | None) -> Result:
    show = tell_listing(row)
    distance_m = None
    if near is not None and show.latitude is not None and show.longitude is not None:
        distance_m = near.distance_m(Near(show.latitude, show.longitude))
    return Result(show, row["shows"], distance_m)
