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
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.search import FACETED_MAX, Facets, FacetValue
from engine.catalog.search_sources import source_of
from engine.catalog.search_terms import Wanted, list_conditions, values_of
from engine.platform.driver import Statement, fetch, prepare

SHELVED_MAX: Final = 10_000
"""The most shows of one shelf. Of more the soonest are read each time."""

_CITIES_MAX: Final = 20
_ROWS_AT_ONCE: Final = 500
_BYTES: Final = 256


class _Column(Struct, frozen=True, array_like=True):
    """What each show has of one kind: the number of a value."""

    values: list[str]
    numbers: bytes
    """A byte each, or two if there are more than 256 values."""

    def tally(self, first: int, end: int) -> list[FacetValue]:
        """Return how many of these shows have which value; the empty one is none."""
        if len(self.values) > _BYTES:
            counts = Counter(memoryview(self.numbers).cast("H")[first:end])
            told = [(self.values[number], shows) for number, shows in counts.items()]
        else:
            # To look for a byte is quick: quicker than to look at each by a good deal.
            part = self.numbers[first:end]
            told = [(value, part.count(number)) for number, value in enumerate(self.values)]
        return [FacetValue(value, shows) for value, shows in told if value and shows]


class Shelf(Struct, frozen=True, array_like=True):
    """What fits some filters, the soonest first."""

    since: float
    """From when on, in seconds of the epoch."""
    moments: bytes
    """When each begins, eight bytes each."""
    columns: tuple[_Column, _Column, _Column, _Column, _Column]
    """Types, cities, months, bands of prices, and whether any place is left."""

    @property
    def bytes_kept(self) -> int:
        """How much memory it takes, about."""
        return len(self.moments) + sum(len(column.numbers) for column in self.columns)

    def count(self, since: datetime, until: datetime | None) -> Facets | None:
        """Return the facets of those between two moments; None: it begins later than they."""
        begin = since.timestamp()
        if begin < self.since:
            return None
        starts = memoryview(self.moments).cast("d")
        first = bisect_left(starts, begin)
        end = len(starts)
        if until is not None:
            end = max(first, bisect_left(starts, until.timestamp()))
        end = min(end, first + FACETED_MAX + 1)
        types, cities, months, bands, available = (
            column.tally(first, end) for column in self.columns
        )
        return Facets(
            types=types,
            cities=sorted(cities, key=lambda one: (-one.shows, one.value))[:_CITIES_MAX],
            months=sorted(months, key=lambda one: one.value),
            prices=sorted(bands, key=lambda one: int(one.value)),
            available=sum(one.shows for one in available),
            shows=min(end - first, FACETED_MAX),
            complete=end - first <= FACETED_MAX,
        )


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
    source = source_of(whenever, is_own=False)
    conditions = list_conditions(
        whenever, corrected=corrected is not None, found_only=source.is_found_only
    )
    given = values_of(whenever, now, corrected) | {"bands": list(bands)}
    rows = await fetch(connection, _shelved(conditions, source.rows, most), given)
    if len(rows) > most:
        return b""
    starts = array("d")
    columns = [_Numbers() for _ in range(5)]
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        for row in rows[at : at + _ROWS_AT_ONCE]:
            starts_at, *values = row.values()
            starts.append(starts_at.timestamp())
            values.insert(2, (starts_at.year, starts_at.month))
            for column, value in zip(columns, values, strict=True):
                column.add(value)
        # Others are answered in between.
        await asyncio.sleep(0)
    types, cities, months, bands_of, available = (
        _Column([tell(value) for value in column.known], column.written())
        for column, tell in zip(columns, _TELLS, strict=True)
    )
    shelf = Shelf(now.timestamp(), starts.tobytes(), (types, cities, months, bands_of, available))
    return msgspec.msgpack.encode(shelf)


def open_shelf(content: bytes) -> Shelf | None:
    """Read what `read_shelf` returned; None: it was too much."""
    return _decode(content) if content else None


class _Numbers:
    """A column while it is written."""

    def __init__(self) -> None:
        self.known: dict[Any, int] = {}
        self.numbers = array("H")

    def add(self, value: Any) -> None:  # noqa: ANN401 - whatever PostgreSQL has
        self.numbers.append(self.known.setdefault(value, len(self.known)))

    def written(self) -> bytes:
        """Return what `_Column` keeps."""
        return (self.numbers if len(self.known) > _BYTES else array("B", self.numbers)).tobytes()


def _tell_month(month: tuple[int, int]) -> str:
    year, number = month
    return f"{year}-{number:02d}"


def _tell(value: object) -> str:
    """Return a value; nothing for none, for no price, and for what is not so."""
    return str(value or "")


_TELLS: Final = (_tell, _tell, _tell_month, _tell, _tell)
_decode: Final = msgspec.msgpack.Decoder(Shelf).decode


@lru_cache(maxsize=512)
def _shelved(conditions: tuple[str, ...], rows: str, most: int) -> Statement:
    fits = " AND ".join(conditions).replace("@.", "l.")
    return prepare(
        "SELECT starts_at, type, city,"  # noqa: S608 - our own names
        " coalesce(width_bucket(price_min, CAST(:bands AS BIGINT[])), 0) AS band,"
        " coalesce(state = 'on_sale' AND available > 0, false) AS is_available"
        f" FROM {rows} AS l WHERE {fits} ORDER BY starts_at, show_id LIMIT {most + 1}"
    )
