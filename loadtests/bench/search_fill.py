"""Fills the read model with a generated catalogue: what a worker would have listed."""

import asyncio
import json
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol, cast

import asyncpg

from loadtests.bench.http_bench import BenchError
from loadtests.generated_catalogue import Catalogue, ListedDate

_TIMEOUT_S: Final = 300
_STAGED: Final = (
    *("no", "event_no", "event", "type", "performers", "performer_nos", "venue_no", "venue"),
    *("city", "country", "latitude", "longitude", "starts_at", "price", "places"),
)
_STAGE: Final = """
CREATE TEMPORARY TABLE staged (
    no BIGINT, event_no BIGINT, event TEXT, type TEXT, performers TEXT, performer_nos BIGINT[],
    venue_no BIGINT, venue TEXT, city TEXT, country TEXT, latitude FLOAT8, longitude FLOAT8,
    starts_at TIMESTAMPTZ, price BIGINT, places INTEGER)
"""
_FILL: Final = (
    "INSERT INTO resellers (id, name) VALUES (1, 'Onsale Tickets')",
    """
    INSERT INTO listings (show_id, reseller_id, event_id, item_id, venue_id, name, show_name,
        reseller_name, type, performer_ids, performers, venue, city, country, latitude, longitude,
        time_zone, starts_at, opens_at, state, currency, is_public, city_key,
        venue_key, title_words, words, place)
    SELECT no, 1, 1000000 + event_no, 1000000 + event_no, venue_no, event, event,
        'Onsale Tickets', type, performer_nos, performers::jsonb, venue, city, country, latitude,
        longitude, 'Europe/Berlin', starts_at, now(), 'on_sale', 'EUR', true,
        lower(unaccent(city)), lower(unaccent(venue)),
        to_tsvector('simple', unaccent(event || ' ' || performers)),
        to_tsvector('simple', unaccent(concat_ws(' ', event, performers, venue, city, type,
            'Onsale Tickets'))),
        cube(ARRAY[6371008.8 * cos(radians(latitude)) * cos(radians(longitude)),
            6371008.8 * cos(radians(latitude)) * sin(radians(longitude)),
            6371008.8 * sin(radians(latitude))])
    FROM staged ORDER BY no
    """,
    """
    INSERT INTO listing_counts (show_id, reseller_id, starts_at, capacity, available, price_min,
        price_max, item_id, venue_id, type, city, city_key, country, currency, state, is_found,
        place, listed_at, popularity)
    SELECT no, 1, listings.starts_at, 3000, places, CASE WHEN places > 0 THEN price END,
        CASE WHEN places > 0 THEN price * 3 END, item_id, venue_id, listings.type, listings.city,
        city_key, listings.country, currency, state, true, place, changed_at,
        no % 40
    FROM staged JOIN listings ON show_id = no ORDER BY no
    """,
    """
    INSERT INTO listing_places (venue_id, reseller_id, place)
    SELECT DISTINCT ON (venue_id) venue_id, reseller_id, place FROM listing_counts
    ORDER BY venue_id
    """,
    """
    INSERT INTO search_words SELECT DISTINCT word FROM listings,
        unnest(tsvector_to_array(words)) AS word WHERE length(word) BETWEEN 3 AND 40
    """,
)
_INDEXES: Final = """
SELECT indexname, indexdef FROM pg_indexes LEFT JOIN pg_constraint ON conname = indexname
WHERE tablename IN ('listings', 'listing_counts', 'listing_places', 'search_words')
    AND conname IS NULL
"""
_TIDY: Final = "VACUUM ANALYZE listings, listing_counts, listing_places, search_words"

_SCANS: Final = (
    "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY($1) ORDER BY relname"
)
_READ: Final = ["listings", "listing_counts", "listing_places", "search_words"]
_TOLD_WITHIN_S: Final = 2.0
"""After so long a connection has said what it did."""

_SEED: Final = 5
_SOLD: Final = range(10)
_SELL_EVERY_S: Final = 0.2
# As a worker tells it: `engine/catalog/news.py`.
_SELL: Final = """
WITH sold AS (UPDATE listing_counts SET available = greatest(available - 1, 0), counted_at = now()
    WHERE show_id = ANY(ARRAY{ids}) RETURNING show_id)
SELECT pg_notify('onsale_listings', string_agg(show_id::text, ',')) FROM sold
"""
SELLING_PER_S: Final = round(len(_SOLD) / _SELL_EVERY_S)
"""Shows whose counts change in a second, while searches are measured."""


class Connection(Protocol):
    """What is used of asyncpg's, which has no annotations of its own."""

    async def execute(self, query: str) -> str:
        """Run a statement."""
        ...

    async def fetch(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query."""
        ...

    async def copy_records_to_table(
        self, table_name: str, *, records: Iterable[tuple[Any, ...]], columns: Sequence[str]
    ) -> str:
        """Add rows."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


async def connect(url: str) -> Connection:
    """Open a connection. Raises what asyncpg raises."""
    return cast("Connection", await asyncpg.connect(url, command_timeout=_TIMEOUT_S))


async def filled_at(url: str, halls: int) -> datetime | None:
    """Return when the catalogue of so many halls that was kept begins; None: there is none."""
    connection = await connect(url)
    try:
        if (await connection.fetch("SELECT to_regclass('filled')"))[0][0] is None:
            return None
        ((kept, begins),) = await connection.fetch("SELECT halls, begins FROM filled")
    finally:
        await connection.close()
    if kept != halls:
        msg = f"a catalogue of {kept} halls is kept there: name another directory for {halls}"
        raise BenchError(msg)
    return begins


async def note_filled(url: str, halls: int, begins: datetime) -> None:
    """Note what was filled in, for `filled_at`."""
    connection = await connect(url)
    try:
        await connection.execute("CREATE TABLE filled (halls INTEGER, begins TIMESTAMPTZ)")
        await connection.execute(f"INSERT INTO filled VALUES ({halls:d}, '{begins.isoformat()}')")  # noqa: S608 - our own values
    finally:
        await connection.close()


async def sequential_scans(url: str) -> dict[str, int]:
    """Return how often each table that searches read was read from end to end, by PostgreSQL."""
    await asyncio.sleep(_TOLD_WITHIN_S)
    connection = await connect(url)
    try:
        return {row[0]: row[1] for row in await connection.fetch(_SCANS, _READ)}
    finally:
        await connection.close()


async def sell_on(url: str, shows: int, stop: asyncio.Event) -> int:
    """Count other shows anew each moment, as a worker does while they sell; return how many."""
    connection, luck, sold = await connect(url), random.Random(_SEED), 0  # noqa: S311 - any shows
    try:
        while not stop.is_set():
            await connection.execute(_SELL.format(ids=[luck.randint(1, shows) for _ in _SOLD]))
            sold += len(_SOLD)
            with suppress(TimeoutError):
                async with asyncio.timeout(_SELL_EVERY_S):
                    await stop.wait()
    finally:
        await connection.close()
    return sold


async def fill(url: str, catalogue: Catalogue) -> None:
    """List all of it, and have the tables as tidy as autovacuum would have left them."""
    connection = await connect(url)
    try:
        await connection.execute(_STAGE)
        rows = await asyncio.to_thread(lambda: [_row(show) for show in catalogue.shows])
        await connection.copy_records_to_table("staged", records=rows, columns=_STAGED)
        # To write an index once, of all rows, takes a fraction of what it takes row by row.
        indexes = await connection.fetch(_INDEXES)
        for name, _ in indexes:
            await connection.execute(f"DROP INDEX {name}")
        for statement in _FILL:
            await connection.execute(statement)
        for _, made in indexes:
            await connection.execute(made)
        await connection.execute(_TIDY)
    finally:
        await connection.close()


def _row(show: ListedDate) -> tuple[Any, ...]:
    hall = show.hall
    return (
        *(show.no, show.event_no, show.event, show.type, json.dumps(show.performers)),
        *(list(show.performer_nos), hall.no, hall.name, hall.town.name, hall.town.country),
        *(hall.latitude, hall.longitude, show.starts_at, show.price, show.places),
    )
