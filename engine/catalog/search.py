"""Searches what is listed: pages of events, each with the show that the order asked for puts first.

An event has one place in the results, that of its first show that fits; so a page goes on where
the one before ended, by that show's place in the order alone, however many results are in front.
Who shows no credential searches what is public; a reseller their own, as row-level security gives
them (`engine/catalog/search_sources.py`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.finding import COLUMNS, PublicShow, tell_listing
from engine.catalog.search_pages import LATE_MAX, Candidates, first_page_of, of_row, page_of
from engine.catalog.search_sources import FOUND, LISTED, OWN_LISTED, source_of
from engine.catalog.search_terms import (
    BY_PRICE,
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

_IN_ORDER: Final = (4, 16, 64)
_NEAREST: Final = ((7, 8), (24, 64))
"""For each event that is wanted: how many shows are looked at first, and how many then; by nearness
of how many halls. Of a hall all shows are equally near, so that there are more of each event."""


_LATE_FROM: Final = prepare(
    f"SELECT starts_at FROM {FOUND} ORDER BY starts_at DESC, show_id DESC"  # noqa: S608
    f" OFFSET {LATE_MAX} LIMIT 1"
)


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
    late_from: datetime | None = None,
) -> Results:
    """Return a page of what fits, through a transaction of the public's, or of a reseller's.

    `corrected` is a `tsquery` that stands for the text, if that was mistyped. From `late_from` on
    there are so few shows that all are looked at: `read_late_from`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    is_late = late_from is not None and (wanted.since or now) >= late_from
    values = values_of(wanted, now, corrected)
    asked = _Search(connection, wanted, values, limit, is_own, corrected, is_late)
    rows = await asked.first_page() if after is None else None
    if rows is None:
        rows = await asked.page_behind(after)
    page = [_result(row) for _, row in rows[:limit]]
    is_more = len(rows) > limit
    return Results(page, asked.place(*rows[limit - 1]) if is_more else None)


async def read_late_from(connection: AsyncConnection) -> datetime | None:
    """Return from when on the public finds so few shows that to sort all is quick; None: always.

    By price what is cheap is passed over until it is late enough. Raises as `search`.
    """
    rows = await fetch(connection, _LATE_FROM, {})
    return rows[0]["starts_at"] if rows else None


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
        is_late: bool,  # noqa: FBT001
    ) -> None:
        self._connection = connection
        self._values = values
        self._limit = limit
        self._is_near = wanted.sort is Sort.DISTANCE and wanted.within_m is not None
        self._source = source_of(wanted, is_own=is_own)
        self._is_late = is_late and self._source.is_found_only and wanted.sort in BY_PRICE
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
        for candidates in self._candidates():
            rows = await self._first_of(candidates)
            if rows is not None:
                return rows
        return None

    def _candidates(self) -> Iterator[Candidates]:
        wanted = self._limit + 1
        if self._is_near and self._source.places is not None:
            for shows, halls in _NEAREST:
                yield Candidates(shows * wanted, halls=halls)
            return
        if self._is_late:
            yield Candidates(LATE_MAX, is_late=True)
        for shows in _IN_ORDER:
            yield Candidates(shows * wanted)

    async def _first_of(self, candidates: Candidates) -> list[tuple[int, Row]] | None:
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
            if candidates.may_lack(found, missing):
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


@lru_cache(maxsize=2)
def _listed(*, is_own: bool) -> Statement:
    source, columns = OWN_LISTED if is_own else LISTED, ", ".join(COLUMNS)
    return prepare(
        f"SELECT {of_row('l', columns)} FROM {source} AS l"  # noqa: S608 - our own names
        " WHERE l.show_id = ANY(CAST(:ids AS BIGINT[]))"
    )


@lru_cache(maxsize=512)
def _facets(conditions: tuple[str, ...], rows: str) -> Statement:
    return prepare(
        "WITH fitting AS MATERIALIZED (SELECT type, city,"  # noqa: S608 - our own names
        " date_trunc('month', starts_at) AS month, price_min,"
        " state = 'on_sale' AND available > 0 AS is_available"
        f" FROM {rows} AS l WHERE {of_row('l', *conditions)}"
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
