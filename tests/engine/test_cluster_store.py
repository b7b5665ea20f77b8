"""A cluster as a `Store`, against six real nodes: where commands go, what is never repeated."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import msgspec
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from engine.inventory.durability import find_risks
from engine.inventory.facts import StreamId
from engine.inventory.keys import show_keys
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.redis import Store
from engine.platform.redis_cluster import connect_cluster, subscribe_cluster
from engine.platform.redis_cluster_map import SlotUnavailableError, slot_of
from engine.platform.retrying import BreakerOpenError
from engine.sales.confirmations import Confirmations, Word
from ops.cluster import Cluster

_COUNT = "return redis.call('INCR', KEYS[1])"
_COUNT_BOTH = "redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])"
_ANSWER_MS = 300


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Six nodes that nobody else uses."""
    with ExitStack() as stack:
        cluster = Cluster(tmp_path_factory.mktemp("nodes"), lambda _: None)
        for child in cluster.children:
            stack.callback(child.stop)
            child.start()
        cluster.form()
        yield cluster


@pytest.fixture
async def store(cluster: Cluster) -> AsyncIterator[Store]:
    """Connect as an API process does, but impatiently."""
    store = connect_cluster(cluster.url, answer_timeout_ms=_ANSWER_MS, connections_max=8)
    yield store
    await store.aclose()


def _two_nodes(cluster: Cluster, name: str) -> tuple[int, int, int]:
    """Return a key's slot, the node that has it, and another primary."""
    source = cluster.primary_of(name)
    others = {cluster.primary_of(f"{n}") for n in range(50)} - {source}
    return slot_of(name), source, min(others)


def _names_on(cluster: Cluster) -> dict[int, str]:
    """Return a name of a key on each primary."""
    return {cluster.primary_of(name): name for name in (f"on{n}" for n in range(60))}


async def test_a_command_follows_its_slot_to_where_it_has_moved(
    cluster: Cluster, store: Store
) -> None:
    """Whoever had it says where it is now."""
    name = f"{{{new_entity_id()}}}:moved"
    assert await store.eval(_COUNT, 1, name) == 1
    slot, source, target = _two_nodes(cluster, name)
    await asyncio.to_thread(cluster.move_slot, slot, source, target)
    assert await store.eval(_COUNT, 1, name) == 2
    assert cluster.primary_of(name) == target


async def test_while_a_slot_moves_key_by_key_each_key_is_asked_for_where_it_is(
    cluster: Cluster, store: Store
) -> None:
    """What is needed together and is in two places waits, is not executed, and says so."""
    tag = f"{{{new_entity_id()}}}"
    stays, goes = f"{tag}:stays", f"{tag}:goes"
    slot, source, target = _two_nodes(cluster, stays)
    assert await store.eval(_COUNT, 1, stays) == 1
    to, since = cluster.id_of(target), cluster.id_of(source)
    with cluster.client(source) as giving, cluster.client(target) as taking:
        taking.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", since)
        giving.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", to)
        assert await store.eval(_COUNT, 1, goes) == 1
        assert taking.execute_command("CLUSTER GETKEYSINSLOT", slot, 9) == [goes]
        assert await store.eval(_COUNT, 1, stays) == 2
        began = time.monotonic()
        with pytest.raises(SlotUnavailableError) as refused:
            await store.eval(_COUNT_BOTH, 2, stays, goes)
        assert not isinstance(refused.value, ResponseError), "no script has read anything"
        assert time.monotonic() - began < 2
        pipeline = store.pipeline(transaction=False)
        for name in (goes, stays, f"{tag}:neither"):
            pipeline.zrange(name, 0, 0, withscores=True)
        *there, absent = await pipeline.execute(raise_on_error=False)
        assert ["WRONGTYPE" in str(answer) for answer in there] == [True, True], "no sorted sets"
        assert absent == []
        both = asyncio.create_task(store.eval(_COUNT_BOTH, 2, stays, goes))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(cluster.finish_slot, slot, source, target)
        assert await both == 2, "it was not executed before, and waited for its keys"


async def test_a_command_that_may_have_been_executed_is_never_repeated(
    cluster: Cluster, store: Store
) -> None:
    """The node hangs and acts later; the caller is told, and nobody asks again for it."""
    name = f"{{{new_entity_id()}}}:once"
    assert await store.eval(_COUNT, 1, name) == 1
    child = cluster.children[cluster.primary_of(name)]
    child.pause()
    try:
        with pytest.raises((RedisError, OSError)):
            await store.eval(_COUNT, 1, name)
    finally:
        child.resume()
    await asyncio.sleep(0.2)
    assert await store.eval(_COUNT, 1, name) == 3


async def test_a_connection_that_is_cut_is_the_callers_to_judge(
    cluster: Cluster, store: Store
) -> None:
    """At once, too: here the command was not executed, but nobody told so."""
    name = f"{{{new_entity_id()}}}:cut"
    assert await store.eval(_COUNT, 1, name) == 1
    with cluster.client(cluster.primary_of(name)) as client:
        client.execute_command("CLIENT PAUSE", 5000, "WRITE")
        try:
            counting = asyncio.create_task(store.eval(_COUNT, 1, name))
            await asyncio.sleep(0.1)
            client.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
            with pytest.raises(RedisConnectionError):
                await counting
        finally:
            client.execute_command("CLIENT UNPAUSE")
    assert await store.eval(_COUNT, 1, name) == 2


async def test_a_pipeline_is_answered_in_its_order_and_a_failed_node_fails_its_own_part(
    cluster: Cluster, store: Store
) -> None:
    """Keys of three nodes at once."""
    names = _names_on(cluster)
    assert len(names) == 3
    for name in names.values():
        await store.hset(name, mapping={"f": name})

    async def ask() -> list[object]:
        pipeline = store.pipeline(transaction=False)
        for name in names.values():
            pipeline.hmget(name, ["f"])
        return await pipeline.execute(raise_on_error=False)

    assert await ask() == [[name.encode()] for name in names.values()]
    hangs = list(names)[1]
    cluster.children[hangs].pause()
    try:
        first, second, third = await ask()
        assert await store.ping(), "the shows of others sell"
    finally:
        cluster.children[hangs].resume()
    assert isinstance(second, Exception)
    assert [first, third] == [[names[node].encode()] for node in names if node != hangs]


async def test_a_pipelines_look_at_the_server_is_at_that_of_its_keys(
    cluster: Cluster, store: Store
) -> None:
    """Else a show would be compared with another node's guard."""
    for node, name in _names_on(cluster).items():
        pipeline = store.pipeline(transaction=False)
        pipeline.info("server")
        pipeline.zrange(name, 0, 0, withscores=True)
        info, _ = await pipeline.execute(raise_on_error=False)
        with cluster.client(node) as client:
            assert info["run_id"] == client.info("server")["run_id"]


async def test_a_setting_of_one_node_is_told_with_its_name(cluster: Cluster, store: Store) -> None:
    """Replicas count too: they may be primaries tomorrow."""
    assert await find_risks(store, 1, in_cluster=True) == []
    with cluster.client(5) as client:
        client.config_set("appendfsync", "everysec")
        try:
            (risk,) = await find_risks(store, 1, in_cluster=True)
        finally:
            client.config_set("appendfsync", "always")
        port = client.config_get("port")["port"]
    assert (risk.found, risk.server) == ("everysec", f"127.0.0.1:{port}")


async def test_a_node_that_hangs_has_no_other_nodes_shows_refused(cluster: Cluster) -> None:
    """Each has a breaker of its own; whoever is elected instead is asked at once."""
    store = connect_cluster(
        cluster.url, answer_timeout_ms=_ANSWER_MS, connections_max=8, guarded=True
    )
    cluster.wait_until_whole()
    (victim, its_key), (_, another), *_ = _names_on(cluster).items()
    for name in (its_key, another):
        await store.delete(name)
    child = cluster.children[victim]
    child.pause()
    try:
        asked = (store.eval(_COUNT, 1, its_key) for _ in range(3))
        lost = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, RedisError) for one in lost)
        refused_in_s = time.monotonic()
        with pytest.raises(BreakerOpenError):
            await store.eval(_COUNT, 1, its_key)
        assert time.monotonic() - refused_in_s < 1
        assert await store.eval(_COUNT, 1, another) == 1
        async with asyncio.timeout(20):
            while True:
                try:
                    counted = await store.eval(_COUNT, 1, its_key)
                except (RedisError, OSError):
                    await asyncio.sleep(0.02)
                else:
                    break
        assert counted == 1, "the others were never executed"
        assert cluster.primary_of(its_key) != victim
    finally:
        child.resume()
        await store.aclose()
    cluster.wait_until_whole()


async def test_the_recorders_word_is_heard_from_a_shows_own_node_wherever_it_moves(
    cluster: Cluster, store: Store
) -> None:
    """Sharded channels: after a move the channel is subscribed to at the new node."""
    subscriber = subscribe_cluster(cluster.url)
    confirmations = Confirmations(subscriber)
    await confirmations.start()
    try:
        show = new_entity_id()
        other = new_entity_id()
        while cluster.primary_of(_recorded(other)) == cluster.primary_of(_recorded(show)):
            other = new_entity_id()
        for one in (show, other):
            await _is_heard(confirmations, store, one, 5)
        slot, source = slot_of(_recorded(show)), cluster.primary_of(_recorded(show))
        target = cluster.primary_of(_recorded(other))
        await asyncio.to_thread(cluster.move_slot, slot, source, target)
        for one in (show, other):
            await _is_heard(confirmations, store, one, 20)
    finally:
        await confirmations.stop()
        await subscriber.aclose()


async def test_who_listens_for_wake_ups_goes_on_at_another_node(
    cluster: Cluster, store: Store
) -> None:
    """Else whatever listens would be stopped amid its work, for a hint."""
    subscriber = subscribe_cluster(cluster.url)
    async with subscriber.pubsub() as pubsub, asyncio.timeout(10):
        await pubsub.subscribe("wake")
        for node in range(6):
            with cluster.client(node) as client:
                client.execute_command("CLIENT KILL", "TYPE", "pubsub")
        message = None
        while message is None:
            await store.publish("wake", "up")
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        assert message["data"] == b"up"
    await subscriber.aclose()


def _recorded(show: EntityId) -> str:
    return show_keys(show).recorded


async def _is_heard(confirmations: Confirmations, store: Store, show: EntityId, first: int) -> None:
    """Tell a show's positions until a sale between two of them counts as confirmed."""
    await confirmations.listen_to(show)
    async with asyncio.timeout(5):
        n = first
        while True:
            n += 1
            waiting = asyncio.create_task(
                confirmations.wait(show, StreamId(1, n), bytes(16), timeout_ms=100)
            )
            await asyncio.sleep(0)
            await store.spublish(_recorded(show), msgspec.msgpack.encode([1, n, []]))
            if await waiting is Word.CONFIRMED:
                return
