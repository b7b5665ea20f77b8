"""The read model of what buyers find, kept from the tables: whatever has a mark is listed anew.

Triggers mark what changes, in the change's transaction (`catalog_marks`). A worker takes marks and
writes the rows of `listings` and `pages` that follow from them, all in one transaction: so what is
committed is listed, however often a worker is killed. One worker at a time: a row that two make at
once could end as the older of both had it.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.news import tell_changes
from engine.catalog.page_rows import PAGE_KINDS, remove_pages, write_pages
from engine.catalog.visibility import SHOW_IS_PUBLIC, SHOW_TURNS_PUBLIC_AT
from engine.platform.database import single_statements
from engine.platform.errors import is_outage
from engine.platform.ids import Ids, entity_hex

_MARKS_AT_ONCE: Final = 500
_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(hashtext('onsale listings'))")
_IS_ANY_DUE: Final = text(
    "SELECT EXISTS (SELECT FROM catalog_marks)"
    " OR EXISTS (SELECT FROM listings WHERE turns_public_at <= now())"
    " OR EXISTS (SELECT FROM pages WHERE turns_public_at <= now())"
)
# Both kinds each time: a change waits for nothing that follows from another one, a venue of a
# hundred thousand shows say, nor does that wait for changes to end.
_TAKE: Final = text(
    "DELETE FROM catalog_marks WHERE no IN ("
    "(SELECT no FROM catalog_marks WHERE is_derived = false ORDER BY no LIMIT :most)"
    " UNION ALL (SELECT no FROM catalog_marks WHERE is_derived ORDER BY no LIMIT :most))"
    " RETURNING kind, id"
)
# What has a mark is listed as it is by then: one is enough, however often it follows.
_DERIVE: Final = (
    "INSERT INTO catalog_marks (reseller_id, kind, id, is_derived)"
    " SELECT reseller_id, kind, id, true FROM ({query}) AS derived(reseller_id, kind, id)"
    " WHERE NOT EXISTS (SELECT FROM catalog_marks AS known"
    " WHERE known.kind = derived.kind AND known.id = derived.id)"
)
# What time alone makes public.
_DUE: Final = (
    text(
        "WITH due AS (UPDATE listings SET turns_public_at = NULL WHERE turns_public_at <= now()"
        " RETURNING reseller_id, show_id)"
        " INSERT INTO catalog_marks (reseller_id, kind, id) SELECT reseller_id, 'show', show_id"
        " FROM due"
    ),
    text(
        "WITH due AS (UPDATE pages SET turns_public_at = NULL WHERE turns_public_at <= now()"
        " RETURNING reseller_id, kind, id)"
        " INSERT INTO catalog_marks (reseller_id, kind, id) SELECT reseller_id, kind, id FROM due"
    ),
)
# What a mark makes of others, by its kind. Those that end in `_page` make none.
_EXPANSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "reseller": (
        "SELECT reseller_id, 'event', id FROM events WHERE reseller_id = ANY({ids})",
        "SELECT reseller_id, 'performer', id FROM performers WHERE reseller_id = ANY({ids})",
        "SELECT reseller_id, 'venue_page', id FROM venues WHERE reseller_id = ANY({ids})",
        "SELECT reseller_id, 'show', id FROM shows WHERE reseller_id = ANY({ids})",
    ),
    "venue": (
        (
            "SELECT shows.reseller_id, 'show', shows.id FROM shows JOIN configurations"
            " ON configurations.id = configuration_id WHERE venue_id = ANY({ids})"
        ),
    ),
    "event": (
        "SELECT reseller_id, 'show', id FROM shows WHERE event_id = ANY({ids})",
        (
            "SELECT DISTINCT reseller_id, 'performer_page', performer_id FROM event_performers"
            " WHERE event_id = ANY({ids})"
        ),
    ),
    "performer": (
        (
            "SELECT reseller_id, 'event_page', event_id FROM event_performers"
            " WHERE performer_id = ANY({ids})"
        ),
        (
            "SELECT shows.reseller_id, 'show', shows.id FROM shows"
            " JOIN event_performers USING (event_id) WHERE performer_id = ANY({ids})"
        ),
    ),
    "show": (
        (
            "SELECT DISTINCT configurations.reseller_id, 'venue_page', venue_id FROM shows"
            " JOIN configurations ON configurations.id = configuration_id"
            " WHERE shows.id = ANY({ids})"
        ),
    ),
}
_IDS: Final = "CAST(:ids AS BIGINT[])"
_EARTH_M: Final = "6371008.8"
"""The mean radius, as IUGG has it."""


def _words(*texts: str) -> str:
    joined = ", ' ', ".join(texts)
    return f"to_tsvector('simple', unaccent(concat({joined})))"


_NAMES: Final = ("events.name", "shows.name", "array_to_string(performers, ' ')")
_POINT: Final = (
    "CASE WHEN latitude IS NOT NULL THEN cube(ARRAY["
    f"{_EARTH_M} * cos(radians(latitude)) * cos(radians(longitude)),"
    f" {_EARTH_M} * cos(radians(latitude)) * sin(radians(longitude)),"
    f" {_EARTH_M} * sin(radians(latitude))]) END"
)
_PERFORMERS: Final = (
    "LEFT JOIN LATERAL (SELECT array_agg(performers.id ORDER BY billing_no) AS performer_ids,"
    " array_agg(performers.name ORDER BY billing_no) AS performers FROM event_performers"
    " JOIN performers ON performers.id = performer_id"
    " WHERE event_performers.event_id = shows.event_id) AS bill ON true"
)
_MOVED: Final = (
    "LEFT JOIN LATERAL (SELECT starts_at_before FROM show_changes"
    " WHERE show_changes.show_id = shows.id AND kind = 'rescheduled'"
    " ORDER BY change_no DESC LIMIT 1) AS moved ON true"
)
# Column by column, in the order of the table.
_FRESH: Final[Mapping[str, str]] = {
    "show_id": "shows.id",
    "reseller_id": "shows.reseller_id",
    "event_id": "shows.event_id",
    "item_id": "coalesce(shows.event_id, shows.id)",
    "venue_id": "venues.id",
    "name": "coalesce(events.name, shows.name)",
    "show_name": "shows.name",
    "reseller_name": "resellers.name",
    "type": "events.type",
    "performer_ids": "coalesce(performer_ids, '{}')",
    "performers": "coalesce(to_jsonb(performers), '[]')",
    "picture": "events.pictures -> 0",
    "venue": "coalesce(venues.name, shows.venue)",
    "city": "venues.city",
    "country": "venues.country",
    "latitude": "latitude",
    "longitude": "longitude",
    "time_zone": "time_zone",
    "starts_at": "shows.starts_at",
    "former_starts_at": "nullif(moved.starts_at_before, shows.starts_at)",
    "doors_at": "doors_at",
    "duration_min": "duration_min",
    "opens_at": "opens_at",
    "closes_at": "closes_at",
    "state": "shows.state",
    "currency": "currency",
    "is_public": SHOW_IS_PUBLIC,
    "turns_public_at": SHOW_TURNS_PUBLIC_AT,
    "city_key": "lower(unaccent(coalesce(venues.city, '')))",
    "venue_key": "lower(unaccent(coalesce(venues.name, shows.venue)))",
    "title_words": _words(*_NAMES),
    "words": _words(
        *_NAMES,
        "coalesce(venues.name, shows.venue)",
        "venues.city",
        "events.type",
        "resellers.name",
    ),
    "place": _POINT,
}
_KEPT: Final = tuple(name for name in _FRESH if name != "show_id")


def _row(prefix: str) -> str:
    return "(" + ", ".join(f"{prefix}.{name}" for name in _KEPT) + ")"


_LIST: Final = text(
    f"INSERT INTO listings ({', '.join(_FRESH)}) SELECT {', '.join(_FRESH.values())}"  # noqa: S608
    " FROM shows JOIN resellers ON resellers.id = shows.reseller_id"
    " LEFT JOIN events ON events.id = shows.event_id"
    " LEFT JOIN configurations ON configurations.id = shows.configuration_id"
    f" LEFT JOIN venues ON venues.id = configurations.venue_id {_PERFORMERS} {_MOVED}"
    f" WHERE shows.id = ANY({_IDS})"
    # Never back, whatever a clock does: a document that is kept is as new as it says.
    " ON CONFLICT (show_id) DO UPDATE"
    " SET changed_at = greatest(now(), listings.changed_at + interval '1 microsecond'),"
    f" {', '.join(f'{name} = excluded.{name}' for name in _KEPT)}"
    f" WHERE {_row('listings')} IS DISTINCT FROM {_row('excluded')}"
)
# What searches read in narrow rows, as the listing has it.
_NARROW: Final[Mapping[str, str]] = {
    **dict.fromkeys(("starts_at", "item_id", "venue_id", "type", "city", "city_key"), ""),
    **dict.fromkeys(("country", "currency", "state", "place"), ""),
    "is_found": "is_public AND state NOT IN ('draft', 'cancelled', 'past')",
    "listed_at": "changed_at",
}


def _narrow(prefix: str) -> str:
    return "(" + ", ".join(f"{prefix}.{name}" for name in _NARROW) + ")"


_COUNT: Final = text(
    f"INSERT INTO listing_counts (show_id, reseller_id, {', '.join(_NARROW)})"  # noqa: S608
    f" SELECT show_id, reseller_id, {', '.join(of or name for name, of in _NARROW.items())}"
    # In one order with who writes counts, so that neither waits for the other.
    f" FROM listings WHERE show_id = ANY({_IDS}) ORDER BY show_id"
    " ON CONFLICT (show_id) DO UPDATE"
    f" SET {', '.join(f'{name} = excluded.{name}' for name in _NARROW)}"
    f" WHERE {_narrow('listing_counts')} IS DISTINCT FROM {_narrow('excluded')}"
)
# Halls with shows that are found, by which the nearest shows are come by.
_PLACE: Final = text(
    "INSERT INTO listing_places (venue_id, reseller_id, place)"  # noqa: S608 - our own names
    " SELECT DISTINCT ON (venue_id) venue_id, reseller_id, place FROM listing_counts"
    f" WHERE show_id = ANY({_IDS}) AND is_found AND place IS NOT NULL"
    " ORDER BY venue_id, listed_at DESC"
    " ON CONFLICT (venue_id) DO UPDATE SET place = excluded.place"
    " WHERE listing_places.place <> excluded.place"
)
_UNPLACE: Final = text(
    "DELETE FROM listing_places AS known"  # noqa: S608 - our own names
    " USING (SELECT DISTINCT venue_id FROM listing_counts"
    f" WHERE show_id = ANY({_IDS}) AND NOT (is_found AND place IS NOT NULL)) AS left_by"
    " WHERE known.venue_id = left_by.venue_id AND NOT EXISTS (SELECT FROM listing_counts AS other"
    " WHERE other.venue_id = known.venue_id AND other.is_found AND other.place IS NOT NULL)"
)
_UNLIST: Final = text(
    f"DELETE FROM listings WHERE show_id = ANY({_IDS})"  # noqa: S608 - our own names
    " AND NOT EXISTS (SELECT FROM shows WHERE shows.id = show_id)"
)
_REMOVE: Final = text(f"DELETE FROM listings WHERE show_id = ANY({_IDS})")  # noqa: S608 - as above
# Transaction rolled back, insufficient resources, not in this state, operator's intervention, I/O;
# tables that are another version's while versions are deployed one after the other.
_SQLSTATES_THAT_PASS: Final = ("25", "40", "42", "53", "55", "57", "58")
# Of what is public alone: nobody is led to a word that is not told yet.
_LEARN: Final = text(
    "INSERT INTO search_words SELECT DISTINCT word FROM listings,"  # noqa: S608 - our own names
    " unnest(tsvector_to_array(words)) AS word"
    f" WHERE show_id = ANY({_IDS}) AND is_public AND length(word) BETWEEN 3 AND 40"
    " ON CONFLICT DO NOTHING"
)


_log = structlog.stdlib.get_logger(__name__)


class _Kept(Struct, frozen=True):
    """A kind of rows: how those of some ids are written, and how they are taken away."""

    kind: str
    write: Callable[[AsyncConnection, list[int]], Awaitable[None]]
    remove: Callable[[AsyncConnection, list[int]], Awaitable[None]]


async def keep_listings(engine: AsyncEngine, ids: Ids, *, most: int = _MARKS_AT_ONCE) -> int:
    """List anew what has the oldest marks, as the recorder's role; return how many marks that were.

    0: there are none, or another worker is at it.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    # One round trip while there is nothing to do; all that follows would be six.
    async with single_statements(engine) as connection:
        if not (await connection.execute(_IS_ANY_DUE)).scalar_one():
            return 0
    async with engine.begin() as connection:
        if not (await connection.execute(_LOCK)).scalar_one():
            return 0
        for due in _DUE:
            await connection.execute(due)
        marks = (await connection.execute(_TAKE, {"most": most})).all()
        marked: dict[str, set[int]] = defaultdict(set)
        for kind, one in marks:
            marked[kind].add(one)
        await _expand(connection, marked)
        for kind in PAGE_KINDS:
            wanted = sorted(marked[kind] | marked[f"{kind}_page"])
            if wanted:
                await _write_all(connection, _pages_of(ids, kind), wanted)
        if marked["show"]:
            await _write_all(connection, _LISTINGS, sorted(marked["show"]))
    return len(marks)


async def _write_all(connection: AsyncConnection, kept: _Kept, wanted: list[int]) -> None:
    """Write all but what can't be: that is told no more, as nobody knows whether it may be."""
    try:
        async with connection.begin_nested():
            await kept.write(connection, wanted)
    except Exception as error:
        if _passes(error):
            raise
        if len(wanted) == 1:
            _log.exception("can't be listed", kind=kept.kind, id=entity_hex(wanted[0]))
            await kept.remove(connection, wanted)
            return
    else:
        return
    middle = len(wanted) // 2
    for part in (wanted[:middle], wanted[middle:]):
        await _write_all(connection, kept, part)


def _passes(error: Exception) -> bool:
    """Tell whether the same may be written a moment later: a store is away, others were there."""
    if is_outage(error):
        return True
    sqlstate = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return str(sqlstate or "").startswith(_SQLSTATES_THAT_PASS)


async def _expand(connection: AsyncConnection, marked: Mapping[str, set[int]]) -> None:
    for kind, queries in _EXPANSIONS.items():
        for query in queries if marked.get(kind) else ():
            told = _DERIVE.format(query=query.format(ids=_IDS))
            await connection.execute(text(told), {"ids": sorted(marked[kind])})


async def _list(connection: AsyncConnection, shows: list[int]) -> None:
    for statement in (_UNLIST, _LIST, _COUNT, _PLACE, _UNPLACE, _LEARN):
        await connection.execute(statement, {"ids": shows})
    await tell_changes(connection, shows, listed=True)


async def _unlist(connection: AsyncConnection, shows: list[int]) -> None:
    await connection.execute(_REMOVE, {"ids": shows})
    await tell_changes(connection, shows, listed=True)


def _pages_of(ids: Ids, kind: str) -> _Kept:
    async def write(connection: AsyncConnection, wanted: list[int]) -> None:
        await write_pages(connection, ids, kind, wanted)

    async def remove(connection: AsyncConnection, gone: list[int]) -> None:
        await remove_pages(connection, kind, gone)

    return _Kept(kind, write, remove)


_LISTINGS: Final = _Kept("show", _list, _unlist)
