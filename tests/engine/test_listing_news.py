"""What is heard of changes: by it kept answers are told, or doubted."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog import news as news_module
from engine.catalog.news import LISTED_S, UNHEARD_S, ListingNews, tell_changes
from engine.platform.database import connect_once, create_engine
from engine.platform.settings import RECORDER_ROLE
from ops.stack import Stack

_SHOWS = [1, 2, 3]


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> _Clock:
    """A clock that stands still."""
    return _Clock()


@pytest.fixture
def news(servers: Stack, clock: _Clock) -> ListingNews:
    """A process that hears what a test says."""
    heard = ListingNews(servers.settings, clock=clock)
    heard.hear("")
    return heard


@pytest.mark.parametrize(
    ("told", "shows", "doubtful_since"),
    [
        ("", _SHOWS, None),
        ("7,8", _SHOWS, None),
        ("7,2", _SHOWS, 1000.1),
        ("*", _SHOWS, 1000.1),
        ("+2", _SHOWS, 1000.1),
        ("+7", _SHOWS, 1000 + LISTED_S),
        ("+7", [], 1000.1),
        ("7", [], None),
    ],
)
def test_a_change_of_what_was_found_is_heard(
    news: ListingNews, clock: _Clock, told: str, shows: list[int], doubtful_since: float | None
) -> None:
    """And no other; what else is listed a second later, or at once by who found nothing."""
    clock.now += 0.1
    news.hear(told)
    clock.now += 2 * LISTED_S
    news.hear("")
    assert news.doubtful_since(shows, 1000.0) == doubtful_since
    # Who has read since knows.
    assert news.doubtful_since(shows, 1001.0) is None


def test_what_is_listed_soon_after_other_things_is_heard(news: ListingNews, clock: _Clock) -> None:
    """However close together they come: who has read between the two lacks the second."""
    news.hear("+7")
    clock.now += 0.1
    news.hear("+8")
    clock.now += 2 * LISTED_S
    news.hear("")
    assert news.doubtful_since([], 1000.05) == 1000.1


def test_who_hears_nothing_doubts_everything(news: ListingNews, clock: _Clock) -> None:
    """Since what was heard last; nobody has to have told that something changed."""
    assert news.doubtful_since(_SHOWS, 999.0) is None
    clock.now += UNHEARD_S + 0.1
    assert not news.is_heard
    assert news.doubtful_since(_SHOWS, 999.0) == 1000.0


async def test_what_is_committed_is_heard(servers: Stack) -> None:
    """By who listens at PostgreSQL, within moments; more than a message holds in parts."""
    news = ListingNews(servers.settings)
    recorder: AsyncEngine = create_engine(servers.settings, RECORDER_ROLE)
    news.start()
    try:
        async with asyncio.timeout(10):
            while not news.is_heard:
                async with recorder.begin() as connection:
                    await tell_changes(connection, [])
                await asyncio.sleep(0.05)
        read_at = time.monotonic()
        assert news.doubtful_since([2**62], read_at) is None
        async with recorder.begin() as connection:
            await tell_changes(connection, [2**62 - n for n in range(1000)])
        async with asyncio.timeout(10):
            while news.doubtful_since([2**62 - 999], read_at) is None:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
        assert news.doubtful_since([2**62], read_at) is not None
        assert news.doubtful_since([5], read_at) is None
    finally:
        await news.stop()
        await recorder.dispose()


async def _hear_again(news: ListingNews, recorder: AsyncEngine) -> None:
    async with asyncio.timeout(10):
        while not news.is_heard:
            async with recorder.begin() as connection:
                await tell_changes(connection, [])
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", ["broken", "cut"])
async def test_who_was_not_heard_listens_again(
    servers: Stack, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Whatever the driver raises when it begins; and where nobody says that the way is cut."""
    opened: list[AsyncConnection] = []

    @asynccontextmanager
    async def connect(url: str, *, role: str) -> AsyncGenerator[AsyncConnection]:
        async with connect_once(url, role=role) as connection:
            opened.append(connection)
            if len(opened) == 1 and fault == "broken":
                msg = "the connection is closed"
                raise asyncpg.InterfaceError(msg)
            yield connection

    def tell_nobody(*_: object) -> None:
        """Keep the end of a connection to itself, as one does whose way is cut."""

    monkeypatch.setattr(news_module, "connect_once", connect)
    monkeypatch.setattr(asyncpg.Connection, "add_termination_listener", tell_nobody)
    monkeypatch.setattr(news_module, "_ASK_EVERY_S", 0.2)
    monkeypatch.setattr(news_module, "_AGAIN_S", 0.1)
    news = ListingNews(servers.settings)
    recorder: AsyncEngine = create_engine(servers.settings, RECORDER_ROLE)
    news.start()
    try:
        await _hear_again(news, recorder)
        if fault == "cut":
            driver: Any = (await opened[0].get_raw_connection()).driver_connection
            ended = {"pid": driver.get_server_pid()}
            async with connect_once(servers.settings.database_url) as owner:
                await owner.execute(text("SELECT pg_terminate_backend(:pid)"), ended)
            await asyncio.sleep(0.8)
            await _hear_again(news, recorder)
        assert len(opened) == 2
    finally:
        await news.stop()
        await recorder.dispose()
