"""Lanes on a server with a replica: what is acknowledged is on both, or is said not to be."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.inventory.commands import (
    Held,
    Hold,
    Look,
    Outcome,
    Purchase,
    Purchased,
    Selection,
    Unknown,
)
from engine.inventory.keys import WAKE_CHANNEL
from engine.platform.errors import StoreUnavailableError
from engine.platform.redis import Store, Subscription, connect_redis, subscribe_redis
from ops.stack import Stack
from tests.engine.lane_house import FakeBook, make_lane, open_store
from tests.lua.show_room import Rooms, ShowRoom, hold_id, make_manifest, open_rooms

HALL = make_manifest("|oooooooooo|oooooooooo|")
_ME = hold_id(1)
_HOLD = Hold(_ME, "ann", 600_000, 1, Selection(seats=(1, 2)))
_PURCHASE = Purchase(_ME, "key", 3, "ref")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Valkey with a replica, which a test may stop; nobody recovers anything here."""
    directory = tmp_path_factory.mktemp("pair")
    with Stack(directory, replicas=1, with_api=False, with_worker=False, environment={}) as stack:
        yield stack


@pytest.fixture
def rooms(pair: Stack) -> Iterator[Rooms]:
    """Open shows on the primary."""
    pair.await_replicas()
    with open_rooms(pair.settings.redis_url) as rooms:
        yield rooms


@contextmanager
def _lagging(pair: Stack) -> Generator[None]:
    """Let the replica hang, but not for so long that the primary refuses to write."""
    pair.replicas[0].pause()
    try:
        yield
    finally:
        pair.replicas[0].resume()


def _waits(room: ShowRoom) -> int:
    stats = cast("dict[str, dict[str, int]]", room.client.info("commandstats"))
    return stats.get("cmdstat_wait", {"calls": 0})["calls"]


async def test_a_purchase_is_durable_once_the_replica_has_it(rooms: Rooms, pair: Stack) -> None:
    """Also when the server has forgotten the script: nothing is waited for twice."""
    room = rooms.open(HALL, start_ms=0)
    async with open_store(pair.settings.redis_url) as store:
        lane = make_lane(store, FakeBook(room), replicas=1)
        assert isinstance(await lane.submit(_HOLD), Held)
        before = _waits(room)
        room.client.script_flush()
        sold = await lane.submit(_PURCHASE)
        assert isinstance(sold, Purchased)
        assert sold.durable
        assert _waits(room) - before == 2, "after EVALSHA in vain, and after EVAL"
    # Without the primary it is there all the same.
    pair.promote_replica()
    with Redis.from_url(pair.settings.redis_url) as client:
        assert client.hkeys(room.keys.holds) == [_ME]
        assert client.xlen(room.keys.sales) == 1


async def test_a_sale_that_the_replica_may_lack_is_not_durable(rooms: Rooms, pair: Stack) -> None:
    """Nor is its repetition, through whichever connection, nor what a look finds."""
    room = rooms.open(HALL, start_ms=0)
    url = pair.settings.redis_url
    async with open_store(url) as store, open_store(url) as other:
        lane = make_lane(store, FakeBook(room), replicas=1)
        fresh = make_lane(other, FakeBook(room), replicas=1)
        assert isinstance(await lane.submit(_HOLD), Held)
        with _lagging(pair):
            answers = [
                await lane.submit(_PURCHASE),
                await fresh.submit(_PURCHASE),
                await fresh.submit(Look(_ME)),
                await lane.submit(_HOLD),
            ]
            assert not any(map(_is_durable, answers))
        async with asyncio.timeout(10):
            while not _is_durable(again := await fresh.submit(_PURCHASE)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for command in (_PURCHASE, Look(_ME), _HOLD):
            assert await lane.submit(command) == again
    assert len(room.read().sales) == 1


async def test_nothing_but_sales_is_waited_for(rooms: Rooms, pair: Stack) -> None:
    """And nothing at all where no replica is counted on."""
    room = rooms.open(HALL, start_ms=0)
    async with open_store(pair.settings.redis_url) as store:
        lane = make_lane(store, FakeBook(room), replicas=1)
        before = _waits(room)
        assert isinstance(await lane.submit(_HOLD), Held)
        assert isinstance(await lane.submit(Look(_ME)), Held)
        assert await lane.submit(Look(hold_id(2))) == Unknown()
        alone = make_lane(store, FakeBook(room))
        sold = await alone.submit(_PURCHASE)
        assert isinstance(sold, Purchased)
        assert sold.durable
        assert await alone.submit(Look(_ME)) == sold
        assert _waits(room) == before
        assert await lane.submit(Look(_ME)) == sold
        assert _waits(room) == before + 1, "a sale that is met by a look has to be as sure"


async def test_a_primary_without_enough_replicas_refuses_and_is_not_recovered_for_it(
    rooms: Rooms, pair: Stack
) -> None:
    """Nothing was done, no worker is called, and the same command is decided afterwards."""
    room = rooms.open(HALL, start_ms=0)
    async with open_store(pair.settings.redis_url) as store:
        lane = make_lane(store, FakeBook(room), replicas=1)
        assert await lane.submit(Look(_ME)) == Unknown()
        before = room.read()
        listener = room.client.pubsub()
        listener.subscribe(WAKE_CHANNEL)
        assert listener.get_message(timeout=1)
        room.client.config_set("min-replicas-to-write", 2)
        try:
            with pytest.raises(StoreUnavailableError, match="NOREPLICAS"):
                await lane.submit(_HOLD)
            assert await lane.submit(Look(_ME)) == Unknown()
        finally:
            room.client.config_set("min-replicas-to-write", 1)
        assert listener.get_message(timeout=0.2) is None
        listener.close()
        assert room.read() == before
        assert isinstance(await lane.submit(_HOLD), Held)


async def test_what_a_primary_that_was_replaced_still_answers(rooms: Rooms, pair: Stack) -> None:
    """It hangs, is replaced, and wakes: its guard is right, but no sale of it is durable.

    `WAIT` protects sales from its first moment on; holds are protected only once it has noticed
    that nobody follows it, and only by min-replicas-to-write.
    """
    room = rooms.open(HALL, start_ms=0)
    old, old_url = pair.valkey, _own_url(pair)
    async with open_store(old_url) as store:
        lane = make_lane(store, FakeBook(room), replicas=1)
        assert isinstance(await lane.submit(_HOLD), Held)
        old.pause()
        pair.promote_replica(kill=False)
        asked = lane.submit(_PURCHASE)
        await asyncio.sleep(0.2)
        old.resume()
        try:
            outcome = await asked
        except StoreUnavailableError:
            outcome = None
        assert outcome is None or isinstance(outcome, Purchased)
        assert outcome is None or not outcome.durable
        await _until_refused(lane.submit, Hold(hold_id(2), "bob", 600_000, 2, Selection((5,))))
        # As if the operator had not set it: holds are lost, sales are still known for unsure.
        with Redis.from_url(old_url) as client:
            client.config_set("min-replicas-to-write", 0)
        assert isinstance(
            await lane.submit(Hold(hold_id(3), "cid", 600_000, 2, Selection((7,)))), Held
        )
        unsure = await lane.submit(_PURCHASE)
        assert isinstance(unsure, Purchased)
        assert not unsure.durable
    with Redis.from_url(pair.settings.redis_url) as client:
        assert client.hkeys(room.keys.holds) == [_ME], "of what it did since, nothing is here"
        assert client.xlen(room.keys.sales) == 0
    old.kill()
    pair.await_replicas()


async def test_who_has_reached_the_new_primary_never_goes_back_to_the_old(pair: Stack) -> None:
    """Though it lives, and there are connections to it: a recovery must not read from two."""
    pair.await_replicas()
    old = pair.valkey
    async with open_store(pair.settings.redis_url) as store:
        (before,) = await _servers(store, 3)
        pair.promote_replica(kill=False)
        assert await _servers(store, 3) == {before}, "nothing has told it yet"
        # A fourth connection asks the address.
        await _servers(store, 4)
        (after,) = await _servers(store, 4)
        assert after != before
    old.kill()


async def test_an_address_that_may_be_moved_is_asked_again(pair: Stack) -> None:
    """By commands and by subscriptions, though the old primary answers both."""
    pair.await_replicas()
    old, url = pair.valkey, pair.settings.redis_url
    store = connect_redis(url, answer_timeout_ms=2000, connections_max=8, moves=True)
    listener = subscribe_redis(url, moves=True)
    try:
        (before,) = await _servers(store, 3)
        async with listener.pubsub() as subscription:
            await subscription.subscribe("channel")
            await subscription.get_message(ignore_subscribe_messages=True, timeout=0.1)
            pair.promote_replica(kill=False)
            with pytest.raises(RedisConnectionError, match="another server"):
                await _listen(subscription, 5)
        await _servers(store, 1)
        await asyncio.sleep(1)
        assert await _servers(store, 1) == await _servers(store, 3) != {before}
    finally:
        await store.aclose()
        await listener.aclose()
    old.kill()


async def test_a_subscription_notices_that_its_server_hangs(pair: Stack) -> None:
    """Its socket stays open."""
    pair.await_replicas()
    listener = subscribe_redis(pair.settings.redis_url)
    try:
        async with listener.pubsub() as subscription:
            await subscription.subscribe("channel")
            pair.valkey.pause()
            with pytest.raises(RedisTimeoutError, match="unanswered"):
                await _listen(subscription, 10)
    finally:
        pair.valkey.resume()
        await listener.aclose()


async def _listen(subscription: Subscription, for_s: float) -> None:
    async with asyncio.timeout(for_s):
        while True:
            await subscription.get_message(ignore_subscribe_messages=True, timeout=0.1)


async def _servers(store: Store, connections: int) -> set[str]:
    """Return which servers so many calls at once reach."""

    async def ask() -> str:
        pipeline = store.pipeline(transaction=False)
        pipeline.info("server")
        [info] = await pipeline.execute(raise_on_error=True)
        return info["run_id"]

    return set(await asyncio.gather(*(ask() for _ in range(connections))))


def _is_durable(outcome: Outcome) -> bool:
    assert isinstance(outcome, Purchased)
    return outcome.durable


def _own_url(pair: Stack) -> str:
    """Return the URL of the server that is the primary now, wherever the address will lead."""
    url = pair.settings.redis_url
    address = unquote(urlsplit(url).path)
    return url.replace(address, str(Path(address).resolve()))


async def _until_refused(submit: Callable[[Hold], Awaitable[Outcome]], command: Hold) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            await submit(command)
        except StoreUnavailableError:
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never noticed that nobody follows it")
