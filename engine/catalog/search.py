"""Searches what is listed: pages of events, each with the show that the order asked for puts first.

An event has one place in the results, that of its first show that fits; so a page goes on where
the one before ended, by that show's place in the order alone, however many results are in front.
Who shows no credential searches what is public; a reseller their own, as row-level security gives
them (`engine/catalog/search_sources.py`).
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.finding import COLUMNS, PublicShow, tell_listing
from engine.catalog.search_sources import LISTED, OWN_LISTED, Source, source_of
from engine.catalog.search_terms import (
    Phase,
    Sort,
    Wanted,
    leading_key,
    list_conditions,
    phases,
    values_of,
)
from engine.platform.driver import Row, Statement, fetch, prepare

SHOWS_COUNTED_MAX: Final = 100
"""The most shows of one event that are counted."""

FACETED_MAX: Final = 1000
"""The shows, the soonest that fit, of which facets are made."""

_STATE: Final = next(column for column in COLUMNS if column.endswith(" AS state"))
_TOLD: Final = ("show_id", "listed_at", "available", "price_min", "price_max")
_CANDIDATES: Final = (4, 16, 64)
_CANDIDATES_NEAR: Final = (7, 24, 64)
"""For each event that is wanted: how many shows are looked at first, and how many then. Of a place
all shows are equally near, so that there are more of each event."""


class Place(Struct, frozen=True):
    """Where in the results a page begins: behind the row of these keys, in a phase of the order."""

    phase: int
    keys: tuple[Any, ...]


class Result(Struct, frozen=True):
    """An event that was found by the show that the order puts first: what of it changes often.

    All else follows from the show as it was listed at `changed_at`.
    """

    show_id: int
    changed_at: datetime
    state: str
    """What is told: `sold_out` where nothing is left of a show on sale."""
    available: int | None
    price_min: int | None
    price_max: int | None
    shows: int
    """How many of the event's shows fit, up to `SHOWS_COUNTED_MAX`."""


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
    asked = _Search(connection, wanted, values_of(wanted, now, corrected), limit, is_own, corrected)
    rows = await asked.first_page() if after is None else None
    if rows is None:
        rows = await asked.page_behind(after)
    page = [_result(row) for _, row in rows[:limit]]
    is_more = len(rows) > limit
    return Results(page, asked.place(*rows[limit - 1]) if is_more else None)


async def read_listed(
    connection: AsyncConnection, shows: Sequence[int], *, is_own: bool = False
) -> list[PublicShow]:
    """Return these shows as they are listed, in no order. Raises as `search`."""
    found = await fetch(connection, _listed(is_own=is_own), {"ids": list(shows)})
    return [tell_listing(row) for row in found]


class _Search:
    """One search on its way: pages are read in one of two ways, which tell the same."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that a search is
        self,
        connection: AsyncConnection,
        wanted: Wanted,
        values: dict[str, Any],
        limit: int,
        is_own: bool,  # noqa: FBT001
        corrected: str | None,
    ) -> None:
        self._connection = connection
        self._values = values
        self._limit = limit
        self._is_near = wanted.sort is Sort.DISTANCE
        self._source = source_of(wanted, is_own=is_own)
        self._conditions = list_conditions(
            wanted, corrected=corrected is not None, found_only=self._source.is_found_only
        )
        self._parts = phases(wanted.sort, corrected=corrected is not None)
        self._leading = leading_key(wanted.sort, corrected=corrected is not None)

    async def first_page(self) -> list[tuple[int, Row]] | None:
        """Return the rows of the first page and one more; None: it takes the longer way.

        The first row of an event in the order is its best, so its other rows need no look at any:
        they are passed over among so many candidates.
        """
        for factor in _CANDIDATES_NEAR if self._is_near else _CANDIDATES:
            rows = await self._first_of(factor * (self._limit + 1))
            if rows is not None:
                return rows
        return None

    async def _first_of(self, candidates: int) -> list[tuple[int, Row]] | None:
        rows: list[tuple[int, Row]] = []
        parts = [self._leading] if self._leading else self._parts
        for number, part in enumerate(parts):
            missing = self._limit + 1 - len(rows)
            statement = first_page_of(
                self._conditions,
                part,
                source=self._source,
                limit=missing,
                candidates=candidates,
                has_others=bool(rows),
            )
            told = self._values | {"others": [row["item_id"] for _, row in rows]}
            found = await fetch(self._connection, statement, told)
            if len(found) < missing and found and found[0]["candidates"] == candidates:
                return None
            # Where one key leads, it says of which phase a row is.
            rows += [(int(row["key_0"]) if self._leading else number, row) for row in found]
            if len(rows) > self._limit:
                break
        return rows

    async def page_behind(self, after: Place | None) -> list[tuple[int, Row]]:
        """Return the rows of a page and one more, from behind a place."""
        rows: list[tuple[int, Row]] = []
        first = after.phase if after is not None else 0
        for number in range(first, len(self._parts)):
            keys = after.keys if after is not None and number == first else ()
            statement = page_of(
                self._conditions,
                self._parts[: number + 1],
                has_place=bool(keys),
                source=self._source,
                limit=self._limit + 1 - len(rows),
            )
            told = self._values | {f"key_{i}": key for i, key in enumerate(keys)}
            found = await fetch(self._connection, statement, told)
            rows += [(number, row) for row in found]
            if len(rows) > self._limit:
                break
        return rows

    def place(self, number: int, row: Row) -> Place:
        """Return the place of a row in the order."""
        count = len(self._parts[number].keys)
        keys = [row[name] for name in row.keys() if name.startswith("key_")]  # noqa: SIM118
        return Place(number, tuple(keys[-count:]))


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
    source = source_of(wanted, is_own=is_own)
    conditions = list_conditions(
        wanted, corrected=corrected is not None, found_only=source.is_found_only
    )
    values = values_of(wanted, now, corrected) | {"bands": list(bands)}
    rows = await fetch(connection, _facets(conditions, source.rows), values)
    by_kind: dict[str, list[FacetValue]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(FacetValue(row["value"], row["shows"]))
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
    source: Source,
    limit: int,
) -> Statement:
    """Return the query for results of the last of these phases, behind a place in it."""
    rows, phase = source.rows, parts[-1]
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
    return prepare(
        f"SELECT {_told('l')}, {told},"  # noqa: S608
        f" (SELECT count(*) FROM (SELECT FROM {rows} AS other"
        f" WHERE other.item_id = l.item_id AND {fits} LIMIT {SHOWS_COUNTED_MAX}) AS counted)"
        f" AS shows FROM (SELECT ordered.* FROM (SELECT l.show_id AS shown, l.item_id,"
        f" {_of('l', named)} FROM {rows} AS l WHERE {_of('l', *wanted)}"
        f" ORDER BY {_of('l', order)} OFFSET 0) AS ordered WHERE NOT coalesce((SELECT true"
        f" FROM {rows} AS other WHERE other.item_id = ordered.item_id AND {fits}"
        f" AND ({' OR '.join(better)}) LIMIT 1), false) LIMIT {limit:d}) AS page"
        f" JOIN {source.told} AS l ON l.show_id = shown"
        f" ORDER BY {', '.join(f'{name} {direction}' for name in told.split(', '))}"
    )


@lru_cache(maxsize=1024)
def first_page_of(  # noqa: PLR0913 - what makes a query another
    conditions: tuple[str, ...],
    part: Phase,
    *,
    source: Source,
    limit: int,
    candidates: int,
    has_others: bool,
) -> Statement:
    """Return the query for the first results of a phase, of so many shows at the most.

    If it had more, it tells as many `candidates`.
    """
    rows, direction = source.rows, "DESC" if part.is_descending else "ASC"
    named = ", ".join(f"{key} AS key_{i}" for i, key in enumerate(part.keys))
    told = [f"key_{i}" for i in range(len(part.keys))]
    order = ", ".join(f"{name} {direction}" for name in told)
    by = ", ".join(f"{key} {direction}" for key in part.keys)
    wanted = [*conditions, part.condition]
    if has_others:
        wanted.append("@.item_id <> ALL(CAST(:others AS BIGINT[]))")
    return prepare(
        "WITH candidates AS MATERIALIZED (SELECT l.show_id, l.item_id,"  # noqa: S608
        f" {_of('l', named)} FROM {rows} AS l WHERE {_of('l', *wanted)}"
        f" ORDER BY {_of('l', by)} LIMIT {candidates:d}),"
        f" firsts AS (SELECT DISTINCT ON (item_id) * FROM candidates ORDER BY item_id, {order})"
        f" SELECT {_told('l')}, firsts.item_id, {', '.join(told)}, (SELECT count(*) FROM (SELECT"
        f" FROM {rows} AS other WHERE other.item_id = firsts.item_id AND"
        f" {_of('other', *conditions)} LIMIT {SHOWS_COUNTED_MAX}) AS counted) AS shows,"
        " (SELECT count(*) FROM candidates) AS candidates"
        f" FROM (SELECT * FROM firsts ORDER BY {order} LIMIT {limit:d}) AS firsts"
        f" JOIN {source.told} AS l USING (show_id) ORDER BY {order}"
    )


@lru_cache(maxsize=2)
def _listed(*, is_own: bool) -> Statement:
    source, columns = OWN_LISTED if is_own else LISTED, ", ".join(COLUMNS)
    return prepare(
        f"SELECT {_of('l', columns)} FROM {source} AS l"  # noqa: S608 - our own names
        " WHERE l.show_id = ANY(CAST(:ids AS BIGINT[]))"
    )


def _told(alias: str) -> str:
    columns = ", ".join((_STATE, *(f"@.{name}" for name in _TOLD)))
    return _of(alias, columns)


@lru_cache(maxsize=512)
def _facets(conditions: tuple[str, ...], rows: str) -> Statement:
    return prepare(
        "WITH fitting AS MATERIALIZED (SELECT type, city,"  # noqa: S608 - our own names
        " date_trunc('month', starts_at) AS month, price_min,"
        " state = 'on_sale' AND available > 0 AS is_available"
        f" FROM {rows} AS l WHERE {_of('l', *conditions)}"
        f" ORDER BY starts_at, show_id LIMIT {FACETED_MAX + 1})"
        " SELECT 'all' AS kind, '' AS value, count(*) AS shows FROM fitting"
        " UNION ALL SELECT 'available', '', count(*) FROM fitting WHERE is_available"
        " UNION ALL SELECT 'type', type, count(*) FROM fitting WHERE type IS NOT NULL GROUP BY type"
        " UNION ALL (SELECT 'city', city, count(*) FROM fitting WHERE city IS NOT NULL"
        " GROUP BY city ORDER BY 3 DESC, 2 LIMIT 20)"
        " UNION ALL SELECT 'month', to_char(month, 'YYYY-MM'), count(*) FROM fitting GROUP BY month"
        " UNION ALL SELECT 'band', CAST(band AS TEXT), count(*) FROM ("
        " SELECT width_bucket(price_min, CAST(:bands AS BIGINT[])) AS band FROM fitting"
        " WHERE price_min IS NOT NULL) AS priced GROUP BY band"
    )


def _result(row: Row) -> Result:
    return Result(
        row["show_id"],
        row["listed_at"],
        row["state"],
        row["available"],
        row["price_min"],
        row["price_max"],
        row["shows"],
    )
