"""Turns of those who find: searches that take long keep no page from being told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from time import monotonic

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog import finder as finding
from engine.catalog.documents import Document, Documents
from engine.catalog.finder import (
    FOUND,
    FOUND_BY_COUNTS,
    PAGES,
    Answer,
    Asked,
    Finder,
    Page,
    TooBusyError,
    keeping_of,
)
from engine.catalog.finding import PublicShow
from engine.catalog.news import ListingNews
from engine.catalog.search import Result, Results
from engine.catalog.search_terms import Near, Sort, Wanted
from engine.platform.cached_reads import CachedReads, Keeping, Kept
from engine.platform.database import create_engine
from engine.platform.redis import connect_redis
from engine.platform.settings import APP_ROLE
from ops.stack import Stack

_WAIT_S = 0.2


@pytest.fixture
async def finder(servers: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Finder]:
    """One process' finder, whose visitors have little time."""
    monkeypatch.setattr(finding, "_WAIT_S", _WAIT_S)
    store = connect_redis(servers.settings.redis_url, answer_timeout_ms=2000, connections_max=64)
    cache = CachedReads(store, bytes_max=1 << 20)
    engine: AsyncEngine = create_engine(servers.settings, APP_ROLE)
    news = ListingNews(servers.settings)
    made = Finder(engine, engine, cache, Documents(bytes_max=1 << 20), news)
    yield made
    await cache.stop()
    await made.stop()
    await engine.dispose()
    await store.aclose()


async def test_searches_that_take_long_are_not_waited_for(
    finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits too long is told to come again; a page is told meanwhile."""
    ended = asyncio.Event()

    async def slow(*_: object, **__: object) -> None:
        await ended.wait()
        raise TooBusyError

    monkeypatch.setattr(finding, "_find", slow)

    async def search(word: str) -> Page:
        return await finder.public(Asked(Wanted(text=word)), _Untold())

    async def page() -> bytes:
        return b"a page"

    under_way = [asyncio.create_task(search(f"slow {n}")) for n in range(finding.CONNECTIONS_MAX)]
    await asyncio.sleep(0.05)
    try:
        async with asyncio.timeout(5 * _WAIT_S):
            with pytest.raises(TooBusyError, match="came to an end"):
                await search("one more")
            assert await finder.kept("page:of:a:test", PAGES, page) == b"a page"
    finally:
        ended.set()
        await asyncio.gather(*under_way, return_exceptions=True)


@pytest.mark.parametrize(
    ("asked", "keeping"),
    [
        (Asked(Wanted(city="x")), FOUND),
        (Asked(Wanted(text="x", sort=Sort.RELEVANCE)), FOUND),
        (Asked(Wanted(near=Near(1, 1), sort=Sort.DISTANCE)), FOUND),
        (Asked(Wanted(), facets=True), FOUND_BY_COUNTS),
        (Asked(Wanted(available=True)), FOUND_BY_COUNTS),
        (Asked(Wanted(price_min=0)), FOUND_BY_COUNTS),
        (Asked(Wanted(price_max=1)), FOUND_BY_COUNTS),
        (Asked(Wanted(sort=Sort.PRICE)), FOUND_BY_COUNTS),
        (Asked(Wanted(sort=Sort.PRICE_DOWN)), FOUND_BY_COUNTS),
        (Asked(Wanted(sort=Sort.POPULARITY)), FOUND_BY_COUNTS),
    ],
)
def test_what_follows_from_counts_is_kept_for_less_long(asked: Asked, keeping: Keeping) -> None:
    """That another show would be found by now is told by nobody."""
    assert keeping_of(asked) is keeping


class _Plain:
    def document(self, show: PublicShow) -> bytes:
        return b"%d" % show.show_id

    def page(self, wanted: Wanted, answer: Answer, documents: Sequence[Document]) -> bytes:
        del wanted, answer
        return b",".join(document.content for document in documents)


async def test_what_was_made_anew_for_nobody_is_doubted_as_well(finder: Finder) -> None:
    """It follows from its shows, though nobody was told it yet."""
    empty = Answer(Results([], None), None, None)
    found = Result(5, datetime.now(UTC), "on_sale", 1, 1, 1, 1)
    one = msgspec.structs.replace(empty, results=Results([found], None))
    for answer, is_doubted in ((empty, False), (one, True)):
        kept = Kept(msgspec.msgpack.encode(answer), monotonic())
        await asyncio.sleep(0.01)
        news = finder._news  # pyright: ignore[reportPrivateUsage]
        news.hear("5")
        doubt = finder._doubt(kept)  # pyright: ignore[reportPrivateUsage]
        assert (doubt is not None) is is_doubted


def _show(found: Result) -> PublicShow:
    return PublicShow(
        show_id=found.show_id,
        event_id=None,
        venue_id=None,
        name="Evening",
        show_name="Evening",
        reseller_name="Tickets",
        type=None,
        performer_ids=[],
        performers=[],
        picture=None,
        venue="Hall",
        city=None,
        country=None,
        latitude=None,
        longitude=None,
        time_zone=None,
        starts_at=found.changed_at,
        former_starts_at=None,
        doors_at=None,
        duration_min=None,
        opens_at=found.changed_at,
        closes_at=None,
        state=found.state,
        currency="EUR",
        capacity=1,
        available=1,
        price_min=1,
        price_max=1,
        changed_at=found.changed_at,
    )


async def test_documents_of_a_search_that_many_wait_for_are_read_once(
    finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the connection that found it: they take no turn of those who come later."""
    found = Result(5, datetime.now(UTC), "on_sale", 1, 1, 1, 1)
    reads: list[Sequence[int]] = []

    async def find(*_: object, **__: object) -> tuple[Results, None]:
        await asyncio.sleep(0.05)
        return Results([found], None), None

    async def read(_: object, shows: Sequence[int], **__: object) -> list[PublicShow]:
        reads.append(list(shows))
        await asyncio.sleep(0.05)
        return [_show(found)]

    monkeypatch.setattr(finding, "_find", find)
    monkeypatch.setattr(finding, "read_listed", read)
    asked = Asked(Wanted(text="many"))
    await asyncio.gather(*(finder.public(asked, _Plain()) for _ in range(400)))
    assert reads == [[5]]


class _Untold:
    def document(self, show: PublicShow) -> bytes:
        raise AssertionError(show)

    def page(self, wanted: Wanted, answer: Answer, documents: Sequence[Document]) -> bytes:
        raise AssertionError(wanted, answer, documents)
