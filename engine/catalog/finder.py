"""Finds for whoever asks: searches in a small pool of their own, cached for the public.

Searches wait for one of a few connections; who comes when too many wait, or waits too long, is
turned away. So however much is searched, PostgreSQL and the process have time left for what is
sold. Pages have turns of their own: they are found by one key, and searches may take a second each.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b, sha256
from time import monotonic
from typing import Final, Protocol

import msgspec
from msgspec import Struct
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.documents import Document, Documents
from engine.catalog.facet_shelf import Shelf, open_shelf, read_shelf
from engine.catalog.finding import PublicShow
from engine.catalog.news import ListingNews
from engine.catalog.search import (
    Facets,
    Place,
    Results,
    count_facets,
    read_late_from,
    read_listed,
    search,
)
from engine.catalog.search_terms import BY_PRICE, Sort, Wanted
from engine.catalog.spelling import Corrected, correct
from engine.platform.cached_reads import CachedReads, Fresh, Keeping, Kept, shape_of
from engine.platform.database import tenant_transaction
from engine.platform.open_connections import OpenConnections

CONNECTIONS_MAX: Final = 6
STATEMENT_TIMEOUT_MS: Final = 1000
SERVER_SETTINGS: Final = {
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    # Searches are many and short: no one takes the cores of the others.
    "max_parallel_workers_per_gather": "0",
    # What is listed is in memory.
    "random_page_cost": "1.1",
}
"""Of the connections that search."""

BY_PLAN: Final = {"plan_cache_mode": "force_generic_plan"}
"""Of those for the public's searches: to plan one anew would take longer than to do it."""

BY_RESELLER: Final = {"plan_cache_mode": "force_custom_plan"}
"""Of those for a reseller's own: how much they have decides on the plan."""

_WAITING_MAX: Final = 256
_WAIT_S: Final = 2.0
_PAGES_AT_ONCE: Final = 4
# With what a worker takes to count (`engine/sales/freshness.py`) within a second.
RESULTS: Final = Keeping(fresh_s=0.25, stale_s=0.5)
"""Of what nobody says whether it still holds."""
FOUND: Final = Keeping(fresh_s=30.0, stale_s=60.0, shared_s=0.25, doubted_s=0.25, first_alone=True)
"""Of results that follow from what is listed: each change of that is heard, so that time alone
takes out what has begun."""
FOUND_BY_COUNTS: Final = Keeping(
    fresh_s=8.0, stale_s=10.0, shared_s=0.25, doubted_s=0.25, first_alone=True
)
"""Of results that follow from what is left, sold and paid: what else would be found by now, since
another show's counts have changed, may take so long."""
_BY_COUNTS: Final = BY_PRICE | {Sort.POPULARITY}
_DOUBTED_AFTER_S: Final = 0.25
FACETS: Final = Keeping(fresh_s=10.0, stale_s=30.0, first_alone=True)
SHELVES: Final = Keeping(fresh_s=20.0, stale_s=30.0, first_alone=True)
LATE_FROM: Final = Keeping(fresh_s=60.0, stale_s=600.0, first_alone=True)
_SHELVES_ASKED_MAX: Final = 10_000
PAGES: Final = Keeping(fresh_s=2.0, stale_s=5.0)
# Minor units: where bands of prices begin.
BANDS: Final = (0, 2_500, 5_000, 10_000, 20_000, 50_000)
_CANCELED: Final = "57014"
_ETAG_CHARACTERS: Final = 16


class TooBusyError(RuntimeError):
    """Too many searches wait, or this one takes too long: try again later."""


class Asked(Struct, frozen=True):
    """A search, and which part of what it finds."""

    wanted: Wanted
    after: Place | None = None
    limit: int = 20
    facets: bool = False
    corrected: Corrected | None = None
    """Of a page that is not the first: what the first one was corrected to."""


class Answer(Struct, frozen=True):
    """What was found, and with which words, if those that were given had to be corrected."""

    results: Results
    facets: Facets | None
    corrected: Corrected | None


class Teller(Protocol):
    """Who says how what was found is told."""

    def document(self, show: PublicShow) -> bytes:
        """Return what is told of a show, with gaps for what changes often."""
        ...

    def page(self, wanted: Wanted, answer: Answer, documents: Sequence[Document]) -> bytes:
        """Return a page, with a document for each result."""
        ...


class Page(Struct):
    """A page as it is told."""

    body: bytes
    etag: str
    compressed: bytes | None = None
    """For who has compressed it once: kept with it."""

    @property
    def size(self) -> int:
        """How much memory it takes in the end, about: compressed it takes less than a third."""
        return len(self.body) * 4 // 3


class _Told(Struct, frozen=True):
    """What is kept of an answer beside itself: its shows, and how it was told."""

    shows: list[int]
    page: Page


class _Turns:
    """A few turns at a time, for which a bounded number waits for a bounded time."""

    def __init__(self, at_once: int) -> None:
        self._running = asyncio.Semaphore(at_once)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for one, and have it.

        Raises:
            TooBusyError: too many wait, or this one has for too long, or it takes too long.
        """
        await self._wait()
        try:
            yield
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _CANCELED:
                msg = "the search takes too long"
                raise TooBusyError(msg) from error
            raise
        finally:
            self._running.release()

    async def _wait(self) -> None:
        if self._waiting >= _WAITING_MAX:
            msg = f"{_WAITING_MAX} searches wait"
            raise TooBusyError(msg)
        self._waiting += 1
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._running.acquire()
        except TimeoutError as error:
            msg = f"no other search came to an end for {_WAIT_S:.0f} s"
            raise TooBusyError(msg) from error
        finally:
            self._waiting -= 1


class Finder:
    """What one process finds."""

    def __init__(
        self,
        engine: AsyncEngine,
        own: AsyncEngine,
        cache: CachedReads,
        documents: Documents,
        news: ListingNews,
    ) -> None:
        """Take engines of the application's role, `BY_PLAN` and `BY_RESELLER`, and what is kept."""
        self._connections = OpenConnections(engine)
        self._own = own
        self._cache = cache
        self._documents = documents
        self._news = news
        self._shelves_asked: OrderedDict[str, None] = OrderedDict()
        self._searches = _Turns(CONNECTIONS_MAX)
        self._pages = _Turns(_PAGES_AT_ONCE)

    async def stop(self) -> None:
        """Close what it keeps open."""
        await self._connections.close()

    async def public(self, asked: Asked, teller: Teller) -> Page:
        """Return what the public finds, as it is told.

        Raises:
            TooBusyError: too many searches wait, or this one takes too long.
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
        """

        async def read() -> Fresh:
            late_from = await self._late_from() if asked.wanted.sort in BY_PRICE else None
            async with self._public() as connection:
                results, corrected = await _find(connection, asked, late_from=late_from)
                # On the connection that it has, and once for all who wait for it.
                documents = await self._documents.of(
                    results.found,
                    lambda shows: read_listed(connection, shows),
                    teller.document,
                )
            facets = await self._public_facets(asked, corrected) if asked.facets else None
            answer = Answer(results, facets, corrected)
            told = _tell(asked, answer, documents, teller)
            return Fresh(told, told.page.size, partial(_encode_answer, answer))

        key = _key("search", asked)
        kept = await self._cache.get_kept(key, keeping_of(asked), read, self._doubt)
        if kept.made_of_it is not None:
            return kept.made_of_it.page

        async def read_documents(shows: Sequence[int]) -> list[PublicShow]:
            async with self._public() as connection:
                return await read_listed(connection, shows)

        # Another process has found it.
        answer = _decode_answer(kept.content)
        documents = await self._documents.of(answer.results.found, read_documents, teller.document)
        told = _tell(asked, answer, documents, teller)
        self._cache.add(key, kept, told, told.page.size)
        return told.page

    async def _late_from(self) -> datetime | None:
        """Return from when on few shows are found, as it was lately: it is only a hint."""

        async def read() -> bytes:
            async with self._public() as connection:
                return msgspec.msgpack.encode(await read_late_from(connection))

        content = await self._cache.get("late from", LATE_FROM, read)
        return msgspec.msgpack.decode(content, type=datetime | None)

    def _doubt(self, kept: Kept) -> float | None:
        """Return since when an answer may be wrong."""
        if kept.made_of_it is not None:
            shows = kept.made_of_it.shows
        else:
            # What another process has found, and nobody has been told here.
            shows = [one.show_id for one in _decode_answer(kept.content).results.found]
        since = self._news.doubtful_since(shows, kept.made_at)
        if since is None or self._news.is_heard:
            return since
        # As long as nothing was heard before: then it is asked anew.
        since += _DOUBTED_AFTER_S
        return since if since < monotonic() else None

    async def own(self, reseller: int, asked: Asked, teller: Teller) -> Page:
        """Return what a reseller finds of their own, public or not. Raises as `public`."""
        async with (
            self._searches.turn(),
            tenant_transaction(self._own, reseller) as connection,
        ):
            results, corrected = await _find(connection, asked, is_own=True)
            facets = None
            if asked.facets:
                facets = await _count(connection, asked.wanted, corrected, is_own=True)

            async def read_documents(shows: Sequence[int]) -> list[PublicShow]:
                return await read_listed(connection, shows, is_own=True)

            documents = await self._documents.of(results.found, read_documents, teller.document)
            return _tell(asked, Answer(results, facets, corrected), documents, teller).page

    async def kept(self, key: str, keeping: Keeping, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return another public read, kept as searches are, in its turn among its like."""

        async def in_turn() -> bytes:
            async with self._pages.turn():
                return await read()

        return await self._cache.get(key, keeping, in_turn)

    async def _public_facets(self, asked: Asked, corrected: Corrected | None) -> Facets:
        """Return facets, which may be older than results: they do not depend on the page."""
        facets = await self._shelved_facets(asked.wanted, corrected)
        if facets is not None:
            return facets
        of = Asked(msgspec.structs.replace(asked.wanted, sort=Sort.DATE), corrected=corrected)

        async def read() -> bytes:
            async with self._public() as connection:
                found = await _count(connection, asked.wanted, corrected, is_own=False)
            return msgspec.msgpack.encode(found)

        content = await self._cache.get(_key("facets", of), FACETS, read)
        return msgspec.msgpack.decode(content, type=Facets)

    async def _shelved_facets(self, wanted: Wanted, corrected: Corrected | None) -> Facets | None:
        """Return facets from what is kept of all days; None: it is not, or they are not in it."""
        whenever = msgspec.structs.replace(wanted, since=None, until=None, sort=Sort.DATE)
        key = _key("shelf", Asked(whenever, corrected=corrected))
        if key not in self._shelves_asked:
            # Only of what is asked for again all days are read.
            self._shelves_asked[key] = None
            if len(self._shelves_asked) > _SHELVES_ASKED_MAX:
                self._shelves_asked.popitem(last=False)
            return None

        async def read() -> bytes:
            async with self._public() as connection:
                return await read_shelf(connection, wanted, BANDS, corrected and corrected.query)

        kept = await self._cache.get_kept(key, SHELVES, read)
        shelf = kept.made_of_it
        if shelf is None and (shelf := open_shelf(kept.content)) is not None:
            self._cache.add(key, kept, shelf, shelf.bytes_kept)
        return shelf and shelf.count(wanted.since or datetime.now(UTC), wanted.until)

    @asynccontextmanager
    async def _public(self) -> AsyncGenerator[AsyncConnection]:
        async with self._searches.turn(), self._connections.one() as connection:
            yield connection


def keeping_of(asked: Asked) -> Keeping:
    """Return for how long what is found is told, unless a change of it is heard."""
    wanted = asked.wanted
    is_priced = wanted.price_min is not None or wanted.price_max is not None
    by_counts = wanted.available or is_priced or wanted.sort in _BY_COUNTS or asked.facets
    return FOUND_BY_COUNTS if by_counts else FOUND


def _tell(asked: Asked, answer: Answer, documents: Mapping[int, Document], teller: Teller) -> _Told:
    """Return the page of an answer, and the shows that it follows from."""
    found = answer.results.found
    # What was taken out of the listings since is not told.
    told = [(one, documents[one.show_id]) for one in found if one.show_id in documents]
    if len(told) < len(found):
        results = msgspec.structs.replace(answer.results, found=[one for one, _ in told])
        answer = msgspec.structs.replace(answer, results=results)
    body = teller.page(asked.wanted, answer, [document for _, document in told])
    # Processors have instructions for this one: it takes half as long as others.
    etag = f'W/"{sha256(body, usedforsecurity=False).hexdigest()[:_ETAG_CHARACTERS]}"'
    page = Page(body, etag)
    return _Told([one.show_id for one in found], page)


async def _find(
    connection: AsyncConnection,
    asked: Asked,
    *,
    is_own: bool = False,
    late_from: datetime | None = None,
) -> tuple[Results, Corrected | None]:
    """Search; if nothing has the words, for what they may have been."""
    now = datetime.now(UTC)

    async def look(corrected: Corrected | None) -> Results:
        return await search(
            connection,
            asked.wanted,
            now=now,
            after=asked.after,
            limit=asked.limit,
            is_own=is_own,
            corrected=corrected and corrected.query,
            late_from=late_from,
        )

    found = await look(asked.corrected)
    text = asked.wanted.text
    if found.found or text is None or asked.after is not None or asked.corrected is not None:
        return found, asked.corrected
    corrected = await correct(connection, text)
    if corrected is None:
        return found, None
    found = await look(corrected)
    return found, corrected if found.found else None


async def _count(
    connection: AsyncConnection, wanted: Wanted, corrected: Corrected | None, *, is_own: bool
) -> Facets:
    return await count_facets(
        connection,
        wanted,
        now=datetime.now(UTC),
        bands=BANDS,
        is_own=is_own,
        corrected=corrected and corrected.query,
    )


_encode_answer: Final = msgspec.msgpack.Encoder().encode
_decode_answer: Final = msgspec.msgpack.Decoder(Answer).decode


_encode_asked: Final = msgspec.msgpack.Encoder().encode


_SHAPES: Final = {
    kind: shape_of(kept)
    for kind, kept in (("search", Answer), ("facets", Facets), ("shelf", Shelf))
}


def _key(kind: str, asked: Asked) -> str:
    digest = blake2b(_encode_asked(asked), digest_size=16).hexdigest()
    return f"{kind}:{_SHAPES[kind]}:{digest}"
