"""The breaker around the inventory store: nobody waits for a server that is known to be away."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.inventory.commands import Look, Unknown
from engine.platform.errors import StoreUnavailableError
from engine.platform.redis import Store, connect_redis
from engine.platform.retrying import BreakerOpenError
from ops.stack import Stack
from tests.engine.lane_house import FakeBook, make_lane
from tests.lua.show_room import hold_id, make_manifest, open_rooms

_AT_ONCE_S = 0.05
_BACK_WITHIN_S = 0.5


@pytest.fixture(scope="module")
def frail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of its own, to be paused and killed."""
    directory = tmp_path_factory.mktemp("frail")
    with Stack(directory, with_api=False, with_worker=False, environment={}) as stack:
        yield stack


@asynccontextmanager
async def _store(stack: Stack) -> AsyncGenerator[Store]:
    """Open a guarded store that waits 1.1 s for an answer."""
    store = connect_redis(
        stack.settings.redis_url, answer_timeout_ms=100, connections_max=8, guarded=True
    )
    try:
        yield store
    finally:
        await store.aclose()


async def _fail(call: Callable[[], Awaitable[object]], times: int) -> None:
    asked = [asyncio.ensure_future(call()) for _ in range(times)]
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, RedisError | OSError)


async def _is_refused_at_once(call: Callable[[], Awaitable[object]]) -> None:
    began = monotonic()
    with pytest.raises(BreakerOpenError):
        await call()
    assert monotonic() - began < _AT_ONCE_S


async def _until_answered(call: Callable[[], Awaitable[object]]) -> float:
    began = monotonic()
    async with asyncio.timeout(10):
        while True:
            try:
                await call()
            except (RedisError, OSError, StoreUnavailableError):
                await asyncio.sleep(0.005)
            else:
                return monotonic() - began


async def test_a_single_time_out_refuses_nobody(frail: Stack) -> None:
    """It may have been that answer alone."""
    async with _store(frail) as store:
        await store.ping()
        frail.valkey.pause()
        try:
            with pytest.raises(RedisTimeoutError):
                await store.ping()
        finally:
            frail.valkey.resume()
        assert await store.ping()


async def test_a_server_that_hangs_is_not_waited_for_and_asked_again_once_it_answers(
    frail: Stack,
) -> None:
    """Two wait in vain; afterwards it is refused in no time, until a moment after it wakes."""
    async with _store(frail) as store:
        await store.ping()
        frail.valkey.pause()
        try:
            await _fail(store.ping, 2)
            for _ in range(20):
                await _is_refused_at_once(store.ping)
            await asyncio.sleep(4)  # longer than a probe waits
            await _is_refused_at_once(store.ping)
        finally:
            frail.valkey.resume()
        assert await _until_answered(store.ping) < _BACK_WITHIN_S
        await _fail(lambda: store.eval("not Lua", 0), 3)
        assert await store.ping(), "what it answers with an error it has answered"


async def test_a_server_that_is_gone_is_asked_again_once_it_is_back(frail: Stack) -> None:
    """Also if it had no time to say so."""
    async with _store(frail) as store:
        await store.ping()
        frail.valkey.kill(restart=False)
        try:
            await _fail(store.ping, 3)
            await _is_refused_at_once(store.ping)
        finally:
            await asyncio.to_thread(frail.valkey.start)
        assert await _until_answered(store.ping) < _BACK_WITHIN_S


async def test_a_command_that_was_not_sent_is_not_in_doubt(frail: Stack) -> None:
    """Its caller is told that the store is away, which says that nothing was done."""
    with open_rooms(frail.settings.redis_url) as rooms:
        room = rooms.open(make_manifest("|oooo|"), start_ms=0)
        async with _store(frail) as store:
            lane = make_lane(store, FakeBook(room))
            look = Look(hold_id(1))
            assert await lane.submit(look) == Unknown()
            frail.valkey.pause()
            try:
                await _fail(store.ping, 2)
                with pytest.raises(StoreUnavailableError):
                    await lane.submit(look)
            finally:
                frail.valkey.resume()
            assert await _until_answered(lambda: lane.submit(look)) < _BACK_WITHIN_S
