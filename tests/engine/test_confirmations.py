"""What a process hears of sales over a real server's pub/sub, and what it makes of silence."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from engine.inventory.facts import StreamId
from engine.inventory.keys import show_keys
from engine.platform.ids import new_entity_id
from engine.platform.redis import Store, subscribe_redis
from engine.sales.confirmations import Confirmations, Word
from ops.stack import Stack
from tests.engine.lane_house import open_store

_HOLD = bytes(16)


@pytest.fixture
async def store(servers: Stack) -> AsyncIterator[Store]:
    """Connect as a recorder does."""
    async with open_store(servers.settings.redis_url) as store:
        yield store


@pytest.fixture
async def confirmations(servers: Stack) -> AsyncIterator[Confirmations]:
    """Listen as an API process does."""
    client = subscribe_redis(servers.settings.redis_url)
    listening = Confirmations(client)
    await listening.start()
    yield listening
    await listening.stop()
    await client.aclose()


async def _told(store: Store, show: int, epoch: int, n: int) -> None:
    """Publish how far a show is recorded, once somebody listens."""
    message = msgspec.msgpack.encode([epoch, n, []])
    for _ in range(250):
        if await store.spublish(show_keys(show).recorded, message):
            return
        await asyncio.sleep(0.02)
    raise AssertionError


async def test_a_sale_that_the_recorder_has_not_reached_is_behind(
    store: Store, confirmations: Confirmations
) -> None:
    """No need to ask the ledger; what is up to where it was heard first has to be asked."""
    show = new_entity_id()
    await confirmations.listen_to(show)
    await _told(store, show, 1, 5)
    async with asyncio.timeout(5):
        while await confirmations.wait(show, StreamId(1, 9), _HOLD, 20) is not Word.BEHIND:
            pass
    assert await confirmations.wait(show, StreamId(1, 4), _HOLD, 20) is Word.NOTHING
    waiting = asyncio.create_task(confirmations.wait(show, StreamId(1, 6), _HOLD, 5_000))
    await _told(store, show, 1, 6)
    assert await waiting is Word.CONFIRMED


async def test_who_heard_nothing_or_of_another_epoch_asks_the_ledger(
    store: Store, confirmations: Confirmations
) -> None:
    """Silence says nothing about where the recorder is."""
    show = new_entity_id()
    await confirmations.listen_to(show)
    assert await confirmations.wait(show, StreamId(1, 1), _HOLD, 20) is Word.NOTHING
    await _told(store, show, 1, 5)
    assert await confirmations.wait(show, StreamId(2, 1), _HOLD, 200) is Word.NOTHING
