"""Turns of those who find: searches that take long keep no page from being told."""

import asyncio
from collections.abc import AsyncIterator, Sequence

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
from engine.catalog.search_terms import Near, Sort, Wanted
from engine.platform.cached_reads import CachedReads, Keeping
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


class _Untold:
    def document(self, show: PublicShow) -> bytes:
        raise AssertionError(show)

    def page(self, wanted: Wanted, answer: Answer, documents: Sequence[Document]) -> bytes:
        raise AssertionError(wanted, answer, documents)


async def test_who_has_begun_comes_before_who_has_not() -> None:
    """A page's second turn waits for no other page's first one."""
    turns, order = finding._Turns(1), []

    async def take(name: str, *, again: bool) -> None:
        async with turns.turn(again=again):
            order.append(name)

    async with turns.turn():
        tasks = [asyncio.create_task(take(f"first {n}", again=False)) for n in range(2)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(take("again", again=True)))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["again", "first 0", "first 1"]


@pytest.mark.parametrize("is_given", [False, True])
async def test_a_turn_that_nobody_takes_is_not_lost(*, is_given: bool) -> None:
    """Who goes away while it waits, or in the moment it is given, leaves it to the next."""
    turns = finding._Turns(1)

    async def take() -> None:
        async with turns.turn():
            pass

    async with turns.turn():
        leaving, staying = asyncio.create_task(take()), asyncio.create_task(take())
        await asyncio.sleep(0)
        if not is_given:
            leaving.cancel()
    if is_given:
        leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    async with asyncio.timeout(1):
        await staying
        await take()
