"""What is heard of changes: by it kept answers are told, or doubted."""

import asyncio
import time

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.news import LISTED_S, UNHEARD_S, ListingNews, tell_changes
from engine.platform.database import create_engine
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
