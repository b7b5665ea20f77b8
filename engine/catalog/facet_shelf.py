"""Facets without a query: what fits some filters, whenever it is, kept as a row of small numbers.

Many ask for the same town and each for another day. So what a process keeps of a town is when its
shows are and what each is like, in their order; the facets of any day on are counted from that.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.search import FACETED_MAX, PUBLIC, Facets, FacetValue
from engine.catalog.search_terms import Wanted, list_conditions, values_of
from engine.platform.driver import Row, Statement, fetch, prepare

SHELVED_MAX: Final = 10_000
"""The most shows of one shelf. Of more the soonest are read each time."""

_CITIES_MAX: Final = 20
_ROWS_AT_ONCE: Final = 500

_Like = tuple[str | None, str | None, str, int, bool]
"""What shows are alike in: type, city, month, band of prices (0: no price), whether any is left."""


class Shelf(Struct, frozen=True):
    """What fits some filters, the soonest first."""

    since: float
    """From when on, in seconds of the epoch."""
    starts: "array[float]"
    likes: "array[int]"
    """Of each show: which of `alike` it is like."""
    alike: list[_Like]

    @property
    def bytes_kept(self) -> int:
        """How much memory it takes, about."""
        return 8 * len(self.starts) + 4 * len(self.likes) + 300 * len(self.alike)

    def count(self, since: datetime, until: datetime | None) -> Facets | None:
        """Return the facets of those between two moments; None: it begins later than they."""
        begin = since.timestamp()
        if begin < self.since:
            return None
        first = bisect_left(self.starts, begin)
        end = len(self.starts)
        if until is not None:
            end = max(first, bisect_left(self.starts, until.timestamp()))
        return self._count(self.likes[first : min(end, first + FACETED_MAX + 1)])

    def _count(self, likes: "array[int]") -> Facets:
        types: Counter[str] = Counter()
        cities: Counter[str] = Counter()
        months: Counter[str] = Counter()
        bands: Counter[int] = Counter()
        available = 0
        for number, shows in Counter(likes).items():
            kind, city, month, band, is_available = self.alike[number]
            if kind is not None:
                types[kind] += shows
            if city is not None:
                cities[city] += shows
            months[month] += shows
            if band:
                bands[band] += shows
            available += shows if is_available else 0
        most = sorted(cities.items(), key=lambda one: (-one[1], one[0]))[:_CITIES_MAX]
        return Facets(
            types=[FacetValue(value, shows) for value, shows in types.items()],
            cities=[FacetValue(value, shows) for value, shows in most],
            months=[FacetValue(value, shows) for value, shows in sorted(months.items())],
            prices=[FacetValue(str(value), shows) for value, shows in sorted(bands.items())],
            available=available,
            shows=min(len(likes), FACETED_MAX),
            complete=len(likes) <= FACETED_MAX,
        )


class _Written(Struct, frozen=True, array_like=True):
    since: float
    starts: bytes
    likes: bytes
    alike: list[_Like]


async def read_shelf(
    connection: AsyncConnection,
    wanted: Wanted,
    bands: tuple[int, ...],
    corrected: str | None,
    *,
    most: int = SHELVED_MAX,
) -> bytes:
    """Return what fits, from now on, as `open_shelf` reads it; empty: it is more than `most` shows.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    now = datetime.now(UTC)
    whenever = msgspec.structs.replace(wanted, since=None, until=None)
    conditions = list_conditions(whenever, corrected=corrected is not None)
    values = values_of(whenever, now, corrected) | {"bands": list(bands)}
    rows = await fetch(connection, _shelved(conditions, most), values)
    if len(rows) > most:
        return b""
    numbers: dict[_Like, int] = {}
    starts, likes = array("d"), array("I")
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        for row in rows[at : at + _ROWS_AT_ONCE]:
            starts.append(row["starts_at"].timestamp())
            likes.append(numbers.setdefault(_like(row), len(numbers)))
        # Others are answered in between.
        await asyncio.sleep(0)
    told = _Written(now.timestamp(), starts.tobytes(), likes.tobytes(), list(numbers))
    return msgspec.msgpack.encode(told)


def open_shelf(content: bytes) -> Shelf | None:
    """Read what `read_shelf` returned; None: it was too much."""
    if not content:
        return None
    told = _decode(content)
    starts, likes = array("d"), array("I")
    starts.frombytes(told.starts)
    likes.frombytes(told.likes)
    return Shelf(told.since, starts, likes, told.alike)


_decode: Final = msgspec.msgpack.Decoder(_Written).decode


def _like(row: Row) -> _Like:
    month = row["starts_at"].strftime("%Y-%m")
    return (row["type"], row["city"], month, row["band"], row["is_available"])


@lru_cache(maxsize=512)
def _shelved(conditions: tuple[str, ...], most: int) -> Statement:
    fits = " AND ".join(conditions).replace("@.", "l.")
    return prepare(
        "SELECT starts_at, type, city,"  # noqa: S608 - our own names
        " coalesce(width_bucket(price_min, CAST(:bands AS BIGINT[])), 0) AS band,"
        " coalesce(state = 'on_sale' AND available > 0, false) AS is_available"
        f" FROM {PUBLIC} AS l WHERE {fits} ORDER BY starts_at, show_id LIMIT {most + 1}"
    )
