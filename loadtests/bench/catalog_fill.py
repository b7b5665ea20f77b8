"""Fills a site with shows on sale, in both stores: copies of one that was made over HTTP.

What the platform would write for each show is written for one, and copied with other names, places
and times: a hundred thousand shows in a minute, where making each would take hours.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, cast

import redis
from msgspec import Struct

from loadtests.bench.search_fill import Connection, connect
from loadtests.generated_catalogue import Catalogue

SHOWS_EACH: Final = 50
"""Of a reseller."""

_FIRST_ID: Final = 1_000_000_000
_REDIS_TIMEOUT_S: Final = 120
_RESTORED_AT_ONCE: Final = 500
_STAGED: Final = ("id", "reseller", "event", "configuration", "venue", "title", "starts_at", "no")
_STAGE: Final = """
CREATE TEMPORARY TABLE staged (
    id BIGINT, reseller BIGINT, event BIGINT, configuration BIGINT, venue BIGINT, title TEXT,
    starts_at TIMESTAMPTZ, no BIGINT)
"""
_STAGE_VENUES: Final = """
CREATE TEMPORARY TABLE staged_venues (
    id BIGINT, reseller BIGINT, configuration BIGINT, manifest BIGINT, name TEXT, city TEXT,
    country TEXT, latitude FLOAT8, longitude FLOAT8)
"""
_VENUE: Final = (
    *("id", "reseller", "configuration", "manifest", "name", "city", "country"),
    *("latitude", "longitude"),
)


def _copy(table: str, known: str, source: str, **changes: str) -> str:
    """Return the statement that copies the one row of `known` for each row of a source."""
    pairs = ", ".join(f"'{column}', {value}" for column, value in changes.items())
    return (
        f"INSERT INTO {table} SELECT copied.* FROM {source}, {table} AS known,"  # noqa: S608 - our own names
        f" LATERAL jsonb_populate_record(known, jsonb_build_object({pairs})) AS copied"
        f" WHERE known.{known}"
    )


_OF_SHOW: Final = {"show_id": "staged.id", "reseller_id": "staged.reseller"}
# $1 is not taken by statements without parameters that are sent together: so texts are formatted.
_FILL: Final = (
    """
    INSERT INTO resellers (id, name) SELECT DISTINCT reseller, 'Tickets ' || reseller FROM staged
    ON CONFLICT DO NOTHING
    """,
    _copy(
        "manifests",
        "id = (SELECT manifest_id FROM shows WHERE id = {show})",
        "staged_venues",
        id="manifest",
        reseller_id="reseller",
    ),
    _copy(
        "venues",
        "id = (SELECT venue_id FROM configurations WHERE id = {configuration})",
        "staged_venues",
        id="staged_venues.id",
        reseller_id="reseller",
        name="staged_venues.name",
        city="staged_venues.city",
        country="staged_venues.country",
        latitude="staged_venues.latitude",
        longitude="staged_venues.longitude",
    ),
    _copy(
        "configurations",
        "id = {configuration}",
        "staged_venues",
        id="configuration",
        reseller_id="reseller",
        venue_id="staged_venues.id",
    ),
    _copy(
        "configuration_versions",
        "configuration_id = {configuration}",
        "staged_venues",
        configuration_id="configuration",
        reseller_id="reseller",
        manifest_id="manifest",
    ),
    _copy(
        "events",
        "id = {event}",
        "(SELECT DISTINCT ON (event) event, reseller, title FROM staged) AS staged",
        id="event",
        reseller_id="reseller",
        name="title",
    ),
    _copy(
        "shows",
        "id = {show}",
        "staged JOIN staged_venues USING (configuration)",
        id="staged.id",
        reseller_id="staged.reseller",
        event_id="event",
        configuration_id="configuration",
        manifest_id="manifest",
        venue="staged_venues.name",
        name="title",
        starts_at="staged.starts_at",
        opens_at="now() - (1 + staged.no % 90) * interval '1 day'",
        created_at="now() - staged.no * interval '1 second'",
    ),
    _copy("price_versions", "show_id = {show}", "staged", **_OF_SHOW),
    _copy("recorder_positions", "show_id = {show}", "staged", show_id="staged.id"),
    _copy("told_shows", "show_id = {show}", "staged", **_OF_SHOW),
    # What they are searched by is the model's: nobody searches here.
    _copy(
        "listings",
        "show_id = {show}",
        "staged JOIN staged_venues USING (configuration)",
        show_id="staged.id",
        reseller_id="staged.reseller",
        event_id="event",
        item_id="event",
        venue_id="staged_venues.id",
        name="title",
        show_name="title",
        venue="staged_venues.name",
        starts_at="staged.starts_at",
    ),
    _copy(
        "listing_counts",
        "show_id = {show}",
        "staged JOIN staged_venues USING (configuration)",
        item_id="event",
        venue_id="staged_venues.id",
        starts_at="staged.starts_at",
        **_OF_SHOW,
    ),
)
_TIDY: Final = (
    "VACUUM ANALYZE resellers, manifests, venues, configurations, configuration_versions, events,"
    " shows, price_versions, recorder_positions, told_shows, listings, listing_counts"
)


_COPY_DRAFT: Final = (
    _copy("manifests", "id = (SELECT manifest_id FROM shows WHERE id = {show})", "new", id="no"),
    _copy("shows", "id = {show}", "new", id="no", manifest_id="no"),
    _copy("price_versions", "show_id = {show}", "new", show_id="no"),
)


class Model(Struct, frozen=True):
    """The show that all others are copies of, by its numbers."""

    show: int
    configuration: int
    event: int
    reseller: int


class _Redis(Protocol):
    """What is asked of the client, whose own types say little."""

    def keys(self, pattern: str) -> list[bytes]: ...

    def dump(self, name: bytes) -> bytes: ...

    def pipeline(self, *, transaction: bool) -> Any: ...  # noqa: ANN401 - a pipeline

    def close(self) -> None: ...


def read(url: str, query: str) -> list[Sequence[Any]]:
    """Ask PostgreSQL for something small, as its owner."""

    async def ask() -> list[Sequence[Any]]:
        connection = await connect(url)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    return asyncio.run(ask())


def number_of(named: str) -> int:
    """Return the number of an id as it looks outside."""
    return int(named.rpartition("_")[2], 16)


def show_hexes(catalogue: Catalogue) -> Iterator[str]:
    """Yield the ends of the ids of all copies, in the order of the catalogue."""
    return (f"{_FIRST_ID + show.no:016x}" for show in catalogue.shows)


def copy_draft(url: str, draft: str) -> str:
    """Copy a draft with a plan of its own, which no process knows then; return the copy's id.

    All that hangs on a new show (marks, the trail) follows.
    """
    copy, known = secrets.randbits(62), number_of(draft)

    async def act() -> None:
        connection = await connect(url)
        try:
            await connection.execute(f"CREATE TEMPORARY TABLE new AS SELECT {copy:d}::bigint AS no")
            for statement in _COPY_DRAFT:
                await connection.execute(statement.format(show=known))
        finally:
            await connection.close()

    asyncio.run(act())
    return f"{draft.rpartition('_')[0]}_{copy:016x}"


async def fill_ledger(url: str, catalogue: Catalogue, model: Model) -> None:
    """Copy the show's rows. The first fifty are its own reseller's.

    What hangs on a change (marks, the trail, checks of what rows refer to) is left out.
    """
    connection = await connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        for statement in (_STAGE, _STAGE_VENUES):
            await connection.execute(statement)
        venues = await asyncio.to_thread(lambda: list(_venues(catalogue, model)))
        shows = await asyncio.to_thread(lambda: list(_shows(catalogue, model)))
        await _stage(connection, "staged_venues", _VENUE, venues)
        await _stage(connection, "staged", _STAGED, shows)
        await connection.execute("ANALYZE staged, staged_venues")
        numbers = {"show": model.show, "configuration": model.configuration, "event": model.event}
        for statement in _FILL:
            await connection.execute(statement.format_map(numbers))
        await connection.execute(_TIDY)
    finally:
        await connection.close()


def fill_store(url: str, catalogue: Catalogue, show: str) -> None:
    """Copy the show's keys, `show` being the end of its id, as they are."""
    client = cast("_Redis", redis.Redis.from_url(url, socket_timeout=_REDIS_TIMEOUT_S))
    try:
        tag = f"{{{show}}}".encode()
        kept = {key: client.dump(key) for key in client.keys(f"{{{show}}}:*")}
        hexes = list(show_hexes(catalogue))
        for first in range(0, len(hexes), _RESTORED_AT_ONCE):
            pipeline = client.pipeline(transaction=False)
            for copied in hexes[first : first + _RESTORED_AT_ONCE]:
                for key, content in kept.items():
                    pipeline.restore(key.replace(tag, f"{{{copied}}}".encode()), 0, content)
            pipeline.execute()
    finally:
        client.close()


async def _stage(
    connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]
) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns)


def _venues(catalogue: Catalogue, model: Model) -> Iterator[tuple[Any, ...]]:
    resellers = _reseller_count(catalogue)
    for hall in catalogue.halls:
        # Their numbers are apart from the model's, and from one another by their tables.
        number = _FIRST_ID + hall.no
        reseller = _reseller((hall.no - 1) % resellers, model)
        town = hall.town
        yield (
            *(number, reseller, number, number, hall.name, town.name, town.country),
            *(hall.latitude, hall.longitude),
        )


def _shows(catalogue: Catalogue, model: Model) -> Iterator[tuple[Any, ...]]:
    resellers, halls = _reseller_count(catalogue), len(catalogue.halls)
    whose: dict[int, int] = {}
    for show in catalogue.shows:
        index = whose.setdefault(show.event_no, (show.no - 1) // SHOWS_EACH)
        own_halls = -(-(halls - index) // resellers)
        hall = index + resellers * (show.event_no % max(own_halls, 1)) + 1
        venue = _FIRST_ID + hall
        yield (
            *(_FIRST_ID + show.no, _reseller(index, model), _FIRST_ID + show.event_no),
            *(venue, venue, show.event, show.starts_at, show.no),
        )


def _reseller_count(catalogue: Catalogue) -> int:
    return max(1, len(catalogue.shows) // SHOWS_EACH)


def _reseller(index: int, model: Model) -> int:
    return model.reseller if index == 0 else _FIRST_ID + index
