"""Cached reads: one of all who ask reads, whatever the store that they share does."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from engine.platform.cached_reads import CachedReads, Fresh, Keeping, Kept
from engine.platform.redis import Store, connect_redis
from ops.stack import Stack

_KEEPING = Keeping(fresh_s=0.4, stale_s=1.2)


class Counted:
    """A read that takes a while, and counts how often it is made."""

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0

    async def __call__(self) -> bytes:
        """Read."""
        self.count += 1
        await asyncio.sleep(0.05)
        return b"answer %d" % self.count


@pytest.fixture
async def redis(servers: Stack) -> AsyncIterator[Store]:
    """The store."""
    store = connect_redis(servers.settings.redis_url, answer_timeout_ms=2000, connections_max=64)
    yield store
    await store.aclose()


@pytest.fixture
async def processes(servers: Stack) -> AsyncIterator[list[CachedReads]]:
    """Two processes' caches, each with connections of its own."""
    url = servers.settings.redis_url
    stores = [connect_redis(url, answer_timeout_ms=2000, connections_max=64) for _ in range(2)]
    caches = [CachedReads(store, bytes_max=1 << 20) for store in stores]
    yield caches
    for cache in caches:
        await cache.stop()
    for store in stores:
        await store.aclose()


def _ask(
    caches: list[CachedReads], key: str, read: Callable[[], Awaitable[bytes]], times: int
) -> "asyncio.Future[list[bytes]]":
    asks = (caches[n % len(caches)].get(key, _KEEPING, read) for n in range(times))
    return asyncio.gather(*asks)


async def test_a_cold_cache_in_a_spike_costs_one_read(processes: list[CachedReads]) -> None:
    """Of 500 at once in two processes; and one more when what is kept is stale."""
    read, key = Counted(), secrets.token_hex(8)
    assert set(await _ask(processes, key, read, 500)) == {b"answer 1"}
    assert read.count == 1
    await asyncio.sleep(_KEEPING.fresh_s + 0.05)
    # While the next is made the last one is told, at once.
    assert set(await _ask(processes, key, read, 500)) == {b"answer 1"}
    await asyncio.sleep(0.3)
    assert read.count == 2
    assert set(await _ask(processes, key, read, 500)) == {b"answer 2"}
    assert read.count == 2


async def test_what_is_too_old_is_not_told(processes: list[CachedReads]) -> None:
    """Beyond the bound who asks waits for what is made now."""
    read, key = Counted(), secrets.token_hex(8)
    await _ask(processes, key, read, 2)
    await asyncio.sleep(_KEEPING.stale_s + 0.05)
    assert set(await _ask(processes, key, read, 2)) == {b"answer 2"}


class _LateAnswers:
    """A store whose answer about a time left is heard late, as by a process that is busy."""

    def __init__(self, store: Store, late_s: float) -> None:
        """Take the store."""
        self._store = store
        self._late_s = late_s

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        """Return what the store has."""
        return getattr(self._store, name)

    async def pttl(self, name: str) -> int:
        """Return the time left, late."""
        left = await self._store.pttl(name)
        await asyncio.sleep(self._late_s)
        return left


async def test_what_another_process_made_is_not_taken_for_younger_than_it_is(
    processes: list[CachedReads], redis: Store
) -> None:
    """Or a change that was heard of since would be taken for one that it has."""
    read, key = Counted(), secrets.token_hex(8)
    made = await processes[0].get_kept(key, _KEEPING, read)
    await asyncio.sleep(0.05)
    late = CachedReads(cast("Store", _LateAnswers(redis, 0.2)), bytes_max=1 << 20)
    taken = await late.get_kept(key, _KEEPING, read)
    assert (taken.content, read.count) == (made.content, 1)
    assert taken.made_at <= made.made_at + 0.02
    await late.stop()


async def test_a_claim_whose_holder_died_is_waited_for_a_bounded_time(
    processes: list[CachedReads], redis: Store
) -> None:
    """Then the read is made without it."""
    read, key = Counted(), secrets.token_hex(8)
    await redis.set(f"{{onsale:cache:{key}}}", b"?", px=60_000)
    async with asyncio.timeout(4):
        assert await processes[0].get(key, _KEEPING, read) == b"answer 1"


async def test_without_the_store_each_process_reads_once() -> None:
    """Nobody is told of it."""
    away = [
        connect_redis("unix:///nowhere/valkey.sock", answer_timeout_ms=500, connections_max=4)
        for _ in range(2)
    ]
    caches = [CachedReads(store, bytes_max=1 << 20) for store in away]
    read = Counted()
    assert len(await _ask(caches, "k", read, 100)) == 100
    assert read.count == 2
    for store in away:
        await store.aclose()


async def test_a_read_that_fails_is_told_to_all_who_wait_and_not_kept(
    processes: list[CachedReads],
) -> None:
    """The next one reads again, at once: the claim is not left behind."""
    key = secrets.token_hex(8)

    async def fail() -> bytes:
        await asyncio.sleep(0.02)
        msg = "the ledger is away"
        raise ConnectionError(msg)

    asks = (processes[0].get(key, _KEEPING, fail) for _ in range(10))
    failed = await asyncio.gather(*asks, return_exceptions=True)
    assert {type(error) for error in failed} == {ConnectionError}
    read = Counted()
    async with asyncio.timeout(1):
        assert await processes[1].get(key, _KEEPING, read) == b"answer 1"


async def test_memory_is_bounded(redis: Store) -> None:
    """What was asked for least lately goes first; other processes may still have it."""
    cache = CachedReads(redis, bytes_max=4000)
    reads = {n: Counted() for n in range(20)}
    prefix = secrets.token_hex(8)

    async def big(n: int) -> bytes:
        await reads[n]()
        return b"x" * 800

    for n in range(20):
        await cache.get(f"{prefix}{n}", _KEEPING, lambda n=n: big(n))
    assert cache.bytes_kept <= 4000
    await cache.stop()


async def test_what_is_mostly_asked_once_is_shared_when_it_is_made_anew(
    processes: list[CachedReads],
) -> None:
    """Each process reads it at first; then one does for both."""
    keeping = Keeping(fresh_s=0.2, stale_s=5.0, first_alone=True)
    read, key = Counted(), secrets.token_hex(8)

    async def ask() -> None:
        asks = (processes[n % 2].get(key, keeping, read) for n in range(20))
        await asyncio.gather(*asks)

    await ask()
    assert read.count == 2
    await asyncio.sleep(keeping.fresh_s + 0.05)
    await ask()
    await asyncio.sleep(0.15)
    assert read.count == 3


async def test_who_leaves_while_they_read_leaves_it_to_another_one(
    processes: list[CachedReads],
) -> None:
    """Only who was cancelled is; all others are told what the next of them reads."""
    read, key = Counted(), secrets.token_hex(8)
    first = asyncio.create_task(processes[0].get(key, _KEEPING, read))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(processes[0].get(key, _KEEPING, read)) for _ in range(10)]
    await asyncio.sleep(0.01)
    first.cancel()
    others[3].cancel()
    told = await asyncio.gather(first, *others, return_exceptions=True)
    assert [one for one in told if not isinstance(one, bytes)] == [told[0], told[4]]
    assert isinstance(told[0], asyncio.CancelledError)
    assert isinstance(told[4], asyncio.CancelledError)
    assert {one for one in told if isinstance(one, bytes)} == {b"answer 2"}
    assert read.count == 2


async def test_what_was_made_at_once_is_written_for_others_alone(
    processes: list[CachedReads],
) -> None:
    """Who read it has what was made; another process gets the content."""
    key, written = secrets.token_hex(8), list[bytes]()

    async def make() -> Fresh:
        await asyncio.sleep(0)

        def write() -> bytes:
            written.append(b"content")
            return written[-1]

        return Fresh("made of it", 9, write)

    alone = Keeping(fresh_s=60, stale_s=60, first_alone=True)
    kept = await processes[0].get_kept(f"{key} alone", alone, make)
    assert (kept.made_of_it, kept.content, written) == ("made of it", b"", [])
    assert processes[0].bytes_kept > 9
    kept = await processes[0].get_kept(key, _KEEPING, make)
    assert (kept.made_of_it, written) == ("made of it", [b"content"])
    await asyncio.sleep(0.05)  # it is put into the store in the background
    found = await processes[1].get_kept(key, _KEEPING, make)
    assert (found.made_of_it, found.content, len(written)) == (None, b"content", 1)


async def test_a_read_that_was_cancelled_just_now_is_not_waited_for(
    processes: list[CachedReads],
) -> None:
    """It has ended before the cache is told so: to wait for it again and again would last."""
    cache, read, key = processes[0], Counted(), secrets.token_hex(8)
    ended: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
    ended.cancel()
    cache._under_way[key] = ended  # pyright: ignore[reportPrivateUsage]
    assert await cache.get(key, _KEEPING, read) == b"answer 1"
