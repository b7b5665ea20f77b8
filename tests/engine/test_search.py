"""Searching what is listed: each order in pages, each filter, and no plan that reads all rows."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog import facet_shelf
from engine.catalog import search as searching
from engine.catalog.facet_shelf import open_shelf, read_shelf
from engine.catalog.finder import BANDS, BY_PLAN, SERVER_SETTINGS
from engine.catalog.finding import PublicShow
from engine.catalog.search import (
    Facets,
    FacetValue,
    count_facets,
    read_late_from,
    read_listed,
    search,
)
from engine.catalog.search_pages import LATE_MAX, Candidates, first_page_of, page_of
from engine.catalog.search_sources import source_of
from engine.catalog.search_terms import (
    BY_PRICE,
    Near,
    Sort,
    Wanted,
    leading_key,
    list_conditions,
    phases,
    values_of,
)
from engine.catalog.spelling import correct
from engine.platform.database import create_engine
from engine.platform.driver import Statement, fetch
from engine.platform.settings import APP_ROLE
from loadtests.bench.search_fill import fill
from loadtests.generated_catalogue import Catalogue, generate_catalogue
from ops.stack import Stack

_HALLS = 150
_NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def listed(own_servers: Stack) -> Catalogue:
    """3 000 shows, as a worker would have listed them."""
    catalogue = generate_catalogue(halls=_HALLS, begins=_NOW)
    await fill(own_servers.settings.database_url, catalogue)
    return catalogue


@pytest.fixture
async def public(own_servers: Stack, listed: Catalogue) -> AsyncIterator[AsyncConnection]:
    """A connection as the API's searches have one."""
    del listed
    engine = create_engine(
        own_servers.settings, APP_ROLE, server_settings=SERVER_SETTINGS | BY_PLAN
    )
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


def _middle(listed: Catalogue) -> Near:
    town = max(listed.towns, key=lambda one: sum(hall.town == one for hall in listed.halls))
    return Near(town.latitude, town.longitude)


class Found(Struct, frozen=True):
    """What was found, and how it is listed."""

    show: PublicShow
    shows: int
    distance_m: float | None


async def _all(public: AsyncConnection, wanted: Wanted, limit: int) -> list[Found]:
    found: list[Found] = []
    place = None
    while True:
        page = await search(public, wanted, now=_NOW, after=place, limit=limit)
        listed = {
            show.show_id: show
            for show in await read_listed(public, [one.show_id for one in page.found])
        }
        found += [_found(listed[one.show_id], one.shows, wanted.near) for one in page.found]
        place = page.next_place
        if place is None:
            return found


def _found(show: PublicShow, shows: int, near: Near | None) -> Found:
    distance_m = None
    if near is not None and show.latitude is not None and show.longitude is not None:
        distance_m = near.distance_m(Near(show.latitude, show.longitude))
    return Found(show, shows, distance_m)


def _wanted(listed: Catalogue, sort: Sort) -> Wanted:
    near = _middle(listed) if sort is Sort.DISTANCE else None
    return Wanted(
        text=listed.performers[listed.shows[0].performer_nos[0]].split()[-1],
        near=near,
        within_m=None if near is None else 2e7,
        sort=sort,
    )


def _key(sort: Sort, result: Found) -> Any:  # noqa: ANN401 - whatever is sorted by
    show = result.show
    last = 10**12
    return {
        Sort.RELEVANCE: 0,
        Sort.DATE: show.starts_at,
        Sort.PRICE: last if show.price_min is None else show.price_min,
        Sort.PRICE_DOWN: last if show.price_min is None else -show.price_min,
        Sort.DISTANCE: round(result.distance_m or 0),
        Sort.POPULARITY: -(show.show_id % 40),
    }[sort]


@pytest.mark.parametrize("sort", Sort)
async def test_pages_are_parts_of_one_order(
    public: AsyncConnection, listed: Catalogue, sort: Sort
) -> None:
    """Each event once, in its order, wherever a page ends."""
    wanted = _wanted(listed, sort)
    assert wanted.text is not None
    fits = {
        show.event_no
        for show in listed.shows
        if re.search(
            rf"\b{wanted.text}\b", f"{show.event} {' '.join(show.performers)}", re.IGNORECASE
        )
    }
    whole = await _all(public, wanted, 100)
    assert {(result.show.event_id or 0) - 1_000_000 for result in whole} == fits
    assert len(whole) == len(fits) > 5
    assert [_key(sort, result) for result in whole] == sorted(_key(sort, one) for one in whole)
    paged = await _all(public, wanted, 3)
    assert [one.show.show_id for one in paged] == [one.show.show_id for one in whole]


_BY_BOTH = {
    "date": Wanted(),
    "price": Wanted(sort=Sort.PRICE),
    "price, dearest first": Wanted(sort=Sort.PRICE_DOWN),
    "country": Wanted(country="DE", available=True),
    "type": Wanted(type="concert", price_max=5000),
    "since": Wanted(since=_NOW + timedelta(days=100), until=_NOW + timedelta(days=130)),
    "near": Wanted(near=Near(50, 10), within_m=400_000, sort=Sort.DISTANCE),
    "near, what few halls have": Wanted(
        near=Near(50, 10), within_m=2e7, type="opera", price_max=6000, sort=Sort.DISTANCE
    ),
    "near, late": Wanted(
        near=Near(50, 10), within_m=2e7, since=_NOW + timedelta(days=320), sort=Sort.DISTANCE
    ),
}


@pytest.mark.parametrize("name", _BY_BOTH)
async def test_narrow_rows_and_whole_listings_find_the_same(
    public: AsyncConnection, name: str
) -> None:
    """A word that every listing has leads to the listings; without it narrow rows are read."""
    narrow = _BY_BOTH[name]
    whole = msgspec.structs.replace(narrow, text="onsale tickets")
    assert source_of(narrow, is_own=False).rows != source_of(whole, is_own=False).rows
    place = None
    for _ in range(3):
        one = await search(public, narrow, now=_NOW, after=place, limit=20)
        other = await search(public, whole, now=_NOW, after=place, limit=20)
        assert one == other
        assert one.found
        place = one.next_place


@pytest.mark.parametrize("sort", [Sort.PRICE, Sort.PRICE_DOWN])
async def test_what_is_late_is_found_as_all_else(public: AsyncConnection, sort: Sort) -> None:
    """Whether it was known to be late, and whether it is as few as was said."""
    late_from = await read_late_from(public)
    assert late_from is not None
    for days in (0, 100, 200, 250, 300, 330, 400):
        wanted = Wanted(sort=sort, since=_NOW + timedelta(days=days))
        plain = await search(public, wanted, now=_NOW, after=None, limit=20)
        for told in (late_from, _NOW):
            late = await search(public, wanted, now=_NOW, after=None, limit=20, late_from=told)
            assert late == plain


async def test_each_filter_leaves_what_fits(public: AsyncConnection, listed: Catalogue) -> None:
    """As the catalogue itself has it; results tell how many shows of the event fit."""
    one = next(show for show in listed.shows if show.places > 0 and len(show.performers) == 1)
    until = one.starts_at + timedelta(seconds=1)
    fits = {
        "venue": Wanted(venue=one.hall.no),
        "venue's name": Wanted(venue=one.hall.name),
        "performer": Wanted(performer=one.performer_nos[0]),
        "performer's name": Wanted(performer=one.performers[0]),
        "city": Wanted(city=one.hall.town.name.upper()),
        "country": Wanted(country=one.hall.town.country),
        "type": Wanted(type=one.type),
        "dates": Wanted(since=one.starts_at, until=until),
        "price": Wanted(price_min=one.price, price_max=one.price, venue=one.hall.no),
        "available": Wanted(available=True, venue=one.hall.no),
        "near": Wanted(near=Near(one.hall.latitude, one.hall.longitude), within_m=10),
    }
    for name, wanted in fits.items():
        found = await _all(public, wanted, 100)
        assert one.event_no + 1_000_000 in {result.show.event_id for result in found}, name
    of_venue = await _all(public, fits["venue"], 100)
    shows = [show for show in listed.shows if show.hall.no == one.hall.no]
    assert {result.show.venue_id for result in of_venue} == {one.hall.no}
    assert len(of_venue) == len({show.event_no for show in shows})
    assert sum(result.shows for result in of_venue) == len(shows)
    assert not await _all(public, Wanted(venue=one.hall.no, reseller=2), 100)
    free = await _all(public, Wanted(price_min=0), 100)
    assert free
    assert all(result.show.price_min is not None for result in free)
    assert not await _all(public, Wanted(price_max=0), 100)
    for none in (Wanted(currency="USD"), Wanted(until=_NOW), Wanted(performer="% _")):
        assert not await _all(public, none, 100)


async def test_facets_add_up(public: AsyncConnection, listed: Catalogue) -> None:
    """They are of the shows that fit, the soonest if they are too many."""
    kind = listed.shows[0].type
    fits = [show for show in listed.shows if show.type == kind and show.hall.town.country == "DE"]
    wanted = Wanted(type=kind, country="DE")
    facets = await count_facets(public, wanted, now=_NOW, bands=BANDS)
    assert (facets.shows, facets.complete) == (len(fits), True)
    assert [(one.value, one.shows) for one in facets.types] == [(kind, len(fits))]
    assert sum(one.shows for one in facets.months) == len(fits)
    assert facets.available == sum(show.places > 0 for show in fits)
    assert sum(one.shows for one in facets.prices) == facets.available
    whole = await count_facets(public, Wanted(), now=_NOW, bands=BANDS)
    assert (whole.shows, whole.complete) == (searching.FACETED_MAX, False)


@pytest.mark.parametrize("days", [(None, None), (20, None), (40, 60), (400, None)])
async def test_facets_of_a_shelf_are_those_that_a_query_counts(
    public: AsyncConnection, listed: Catalogue, days: tuple[int | None, int | None]
) -> None:
    """Of whatever days, whether they are all shows or the soonest."""
    since, until = (None if day is None else _NOW + timedelta(days=day) for day in days)
    for city in (max(listed.towns, key=lambda one: _shows_in(listed, one.name)).name, None):
        wanted = Wanted(city=city, since=since, until=until)
        shelf = open_shelf(await read_shelf(public, wanted, BANDS, None))
        assert shelf is not None
        counted = await count_facets(public, wanted, now=_NOW, bands=BANDS)
        told = shelf.count(since or _NOW, until)
        assert told is not None
        assert msgspec.structs.replace(told, types=_ordered(told)) == msgspec.structs.replace(
            counted, types=_ordered(counted)
        )
        assert shelf.count(datetime(2026, 1, 1, tzinfo=UTC), until) is None


def test_months_of_a_shelf_end_where_the_calendar_does() -> None:
    """Each moment in its month, the last one that there is too."""
    days = [
        (2027, 1, 31),
        (2027, 2, 1),
        (2027, 12, 31),
        (2028, 1, 1),
        (9999, 12, 1),
        (9999, 12, 31),
    ]
    column = facet_shelf.code_months([datetime(*day, tzinfo=UTC).timestamp() for day in days])
    assert column.values == ["2027-01", "2027-02", "2027-12", "2028-01", "9999-12"]
    assert list(column.numbers) == [0, 1, 2, 3, 4, 4]


async def test_what_is_too_much_for_a_shelf_is_on_none(public: AsyncConnection) -> None:
    """Then the soonest are counted."""
    assert open_shelf(await read_shelf(public, Wanted(), BANDS, None, most=100)) is None


def _shows_in(listed: Catalogue, city: str) -> int:
    return sum(show.hall.town.name == city for show in listed.shows)


def _ordered(facets: Facets) -> list[FacetValue]:
    return sorted(facets.types, key=lambda one: one.value)


@pytest.mark.parametrize("mistake", ["swap", "lose", "double"])
async def test_mistyped_words_are_found(
    public: AsyncConnection, listed: Catalogue, mistake: str
) -> None:
    """Whichever mistake it is; the first of what is offered is the word that was meant."""
    word = max(listed.performers[0].lower().split(), key=len)
    mistyped = {
        "swap": word[:3] + word[4] + word[3] + word[5:],
        "lose": word[:3] + word[4:],
        "double": word[:3] + word[2:],
    }[mistake]
    corrected = await correct(public, f"the {mistyped}")
    assert corrected is not None
    assert corrected.words == ["the", word]
    wanted = Wanted(text=mistyped)
    found = await search(
        public, wanted, now=_NOW, after=None, limit=5, corrected=f"'{corrected.words[1]}'"
    )
    assert found.found


@pytest.mark.parametrize("given", ["''", "((", "a & | !b", "\\", "'; DROP TABLE listings; --"])
async def test_whatever_is_searched_for_is_only_words(public: AsyncConnection, given: str) -> None:
    """Nothing of it is a query, a pattern or a mistake."""
    for wanted in (Wanted(text=given), Wanted(performer=given), Wanted(venue=given)):
        await search(public, wanted, now=_NOW, after=None, limit=5)
    await correct(public, given)


async def test_no_pattern_is_taken_for_a_word(public: AsyncConnection) -> None:
    """Each would be compared with all words that there are."""
    assert await correct(public, "____ ____ ____") is None


_PLANNED = {
    "keyword": Wanted(text="velvet", sort=Sort.RELEVANCE),
    "near": Wanted(near=Near(50, 10), within_m=50_000, sort=Sort.DISTANCE),
    "date": Wanted(),
    "price": Wanted(sort=Sort.PRICE),
    "popularity": Wanted(sort=Sort.POPULARITY),
    "city": Wanted(city="Barberbach"),
    "venue": Wanted(venue=3),
    "performer": Wanted(performer=3),
}


@pytest.mark.parametrize("name", _PLANNED)
async def test_no_plan_reads_all_rows(public: AsyncConnection, name: str) -> None:
    """Whatever is asked for, an index leads to it: neither a page nor the next scans a table."""
    wanted = _PLANNED[name]
    source = source_of(wanted, is_own=False)
    conditions = list_conditions(wanted, corrected=False, found_only=source.is_found_only)
    parts = phases(wanted.sort, corrected=False)
    values = values_of(wanted, _NOW, None)
    first = leading_key(wanted.sort, corrected=False) or parts[0]
    ways = [Candidates(84)]
    if wanted.sort in BY_PRICE:
        ways.append(Candidates(LATE_MAX, is_late=True))
    if wanted.near is not None:
        ways.append(Candidates(147, halls=8))
    pages = [
        first_page_of(conditions, first, source=source, limit=21, candidates=way, has_others=False)
        for way in ways
    ]
    for statement in (
        *pages,
        page_of(conditions, parts[:1], has_place=False, source=source, limit=21),
    ):
        explained = Statement("EXPLAIN " + statement.sql, statement.names)
        plan = "\n".join(row["QUERY PLAN"] for row in await fetch(public, explained, values))
        assert "Seq Scan" not in plan, plan


_ASKED = _PLANNED | {
    "price, down": Wanted(sort=Sort.PRICE_DOWN),
    "price, from a day on": Wanted(sort=Sort.PRICE, since=_NOW + timedelta(days=100)),
    "price range": Wanted(price_min=2_000, price_max=4_000),
    "available": Wanted(available=True),
    "country": Wanted(country="DE"),
    "type": Wanted(type="opera"),
    "currency": Wanted(currency="EUR"),
    "named performer": Wanted(performer="velvet"),
    "named venue": Wanted(venue="arena"),
    "until": Wanted(until=_NOW + timedelta(days=7)),
    "reseller": Wanted(reseller=1),
}


async def _sequential_scans(connection: AsyncConnection) -> dict[str, int]:
    await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    await connection.commit()
    await connection.execute(text("SELECT pg_stat_clear_snapshot()"))
    rows = await connection.execute(
        text("SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY(:tables)"),
        {"tables": ["listings", "listing_counts", "listing_places", "search_words"]},
    )
    scans = {row.relname: row.seq_scan for row in rows}
    assert len(scans) == 4
    await connection.commit()
    return scans


@pytest.mark.parametrize("name", _ASKED)
async def test_nothing_that_is_asked_for_scans_a_table(public: AsyncConnection, name: str) -> None:
    """As PostgreSQL counts: of a first page and the next, of facets, documents and shelves."""
    wanted = _ASKED[name]
    before = await _sequential_scans(public)
    late_from = await read_late_from(public)
    page = await search(public, wanted, now=_NOW, after=None, limit=5, late_from=late_from)
    if page.next_place is not None:
        await search(public, wanted, now=_NOW, after=page.next_place, limit=5)
    await read_listed(public, [one.show_id for one in page.found])
    await count_facets(public, wanted, now=_NOW, bands=BANDS)
    await read_shelf(public, wanted, BANDS, None)
    await correct(public, "velvte arenna")
    assert await _sequential_scans(public) == before


async def test_a_table_that_is_scanned_is_counted(public: AsyncConnection) -> None:
    """Or the test above could not fail."""
    before = await _sequential_scans(public)
    await public.execute(text("SET LOCAL enable_indexscan = off"))
    await public.execute(text("SET LOCAL enable_indexonlyscan = off"))
    await public.execute(text("SET LOCAL enable_bitmapscan = off"))
    await public.execute(text("SELECT count(*) FROM public_found WHERE price_min > 0"))
    await public.commit()
    after = await _sequential_scans(public)
    assert after["listing_counts"] == before["listing_counts"] + 1
