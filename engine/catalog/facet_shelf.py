"""Facets without a query: what fits some filters, whenever it is, kept as a row of small numbers.

Many ask for the same town and each for another day. So what a process keeps of a town is when its
shows are and what each is like, in their order; the facets of any day on are counted from that.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from datetime import MAXYEAR, UTC, datetime
from functools import lru_cache
from typing import Final

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
    (row,) = await fetch(connection, _shelved(conditions, source.rows, most), given)
    starts, *listed = (column or () for column in row.values())
    if len(starts) > most:
        return b""
    coded: list[_Column] = []
    for values in listed:
        coded.append(_code(values))
        # Others are answered in between.
        await asyncio.sleep(0)
    types, cities, bands_of, available = coded
    moments = array("d", starts).tobytes()
    columns = (types, cities, code_months(starts), bands_of, available)
    return msgspec.msgpack.encode(Shelf(now.timestamp(), moments, columns))


def open_shelf(content: bytes) -> Shelf | None:
    """Read what `read_shelf` returned; None: it was too much."""
    return _decode(content) if content else None


def _code(values: Sequence[object]) -> _Column:
    """Return a column of these values; empty ones: none, no price, or what is not so."""
    known = {value: number for number, value in enumerate(dict.fromkeys(values))}
    numbers = array("H" if len(known) > _BYTES else "B", map(known.__getitem__, values))
    return _Column([str(value or "") for value in known], numbers.tobytes())


def code_months(starts: Sequence[float]) -> _Column:
    """Return the column of months, in UTC, of ordered moments: month after month, each at once."""
    values: list[str] = []
    numbers = array("H")
    while len(numbers) < len(starts):
        first = datetime.fromtimestamp(starts[len(numbers)], UTC)
        values.append(f"{first.year}-{first.month:02d}")
        end = len(starts)
        if (first.year, first.month) < (MAXYEAR, 12):
            year, month = divmod(first.year * 12 + first.month, 12)
            end = bisect_left(starts, datetime(year, month + 1, 1, tzinfo=UTC).timestamp())
        numbers.extend([len(values) - 1] * (end - len(numbers)))
    if len(values) > _BYTES:
        return _Column(values, numbers.tobytes())
    return _Column(values, array("B", numbers).tobytes())


_decode: Final = msgspec.msgpack.Decoder(Shelf).decode


@lru_cache(maxsize=512)
def _shelved(conditions: tuple[str, ...], rows: str, most: int) -> Statement:
    fits = " AND ".join(conditions).replace("@.", "l.")
    # As arrays: to read a row takes longer than to find it.
    return prepare(
        "SELECT array_agg(at), array_agg(type), array_agg(city), array_agg(band),"  # noqa: S608
        " array_agg(is_available) FROM (SELECT date_part('epoch', starts_at) AS at, type, city,"
        " coalesce(width_bucket(price_min, CAST(:bands AS BIGINT[])), 0) AS band,"
        " coalesce(state = 'on_sale' AND available > 0, false) AS is_available"
        f" FROM {rows} AS l WHERE {fits} ORDER BY starts_at, show_id LIMIT {most + 1}) AS listed"
    )
