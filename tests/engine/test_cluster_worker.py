"""What a worker makes of a cluster of which one node is away: against six real nodes."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import cast

import pytest
from msgspec.structs import replace
from redis.exceptions import RedisError
from sqlalchemy import update

from engine.inventory.keys import show_keys
from engine.inventory.recovery import Recoverer
from engine.inventory.rounds import Round, Stirred
from engine.inventory.sweeping import Scheduled
from engine.inventory.tending import TendedShow
from engine.platform.redis import Store
from engine.platform.redis_cluster import connect_cluster
from engine.platform.tables import shows
from engine.runtime import Working, open_working
from ops.child import Child
from ops.cluster import Cluster
from ops.stack import Stack
from tests.engine.ledger_world import TestedShow, World, open_world
from workers import recovery as recovery_module
from workers import sweeper as sweeper_module
from workers.recovery import Ward
from workers.sweeper import Sweeper

_SHOWS = 12
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
async def working(cluster: Cluster, own_servers: Stack) -> AsyncIterator[Working]:
    """A worker whose shows are in the cluster, and who is impatient."""
    store = connect_cluster(cluster.url, answer_timeout_ms=_ANSWER_MS, connections_max=8)
    async with open_working(own_servers.settings) as working:
        yield replace(working, redis=store, stirred=Stirred())
    await store.aclose()


@pytest.fixture
async def made(own_servers: Stack) -> AsyncIterator[list[TestedShow]]:
    """Shows on sale; there are no others."""
    async with open_world(own_servers.settings) as world:
        made = [await world.new_show() for _ in range(_SHOWS)]
        await _set_state(world, made, "on_sale")
        yield made
        await _set_state(world, made, "draft")


async def _set_state(world: World, of: list[TestedShow], state: str) -> None:
    of_these = shows.c.id.in_([show.id for show in of])
    async with world.owner.begin() as connection:
        await connection.execute(update(shows).where(of_these).values(state=state))


def _on_one_node(cluster: Cluster, made: list[TestedShow]) -> tuple[Child, set[int]]:
    """Return the node that has the most of the shows, and these."""
    by_node: dict[int, set[int]] = {}
    for show in made:
        by_node.setdefault(cluster.primary_of(show_keys(show.id).meta), set()).add(show.id)
    node = max(by_node, key=lambda one: len(by_node[one]))
    return cluster.children[node], by_node[node]


async def test_shows_whose_node_was_away_are_swept_soon_after_it_is_back(
    cluster: Cluster,
    working: Working,
    made: list[TestedShow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many there are: they do not wait for their turn, and nobody has to remember them."""
    looked: set[int] = set()
    unanswered: set[int] = set()
    reading = sweeper_module.scheduled_shows

    async def scheduled(
        redis: Store, tended: Iterable[TendedShow]
    ) -> tuple[list[Scheduled], list[int]]:
        found, missed = await reading(redis, tended)
        looked.update(one.show.id for one in found)
        unanswered.update(missed)
        return found, missed

    monkeypatch.setattr(sweeper_module, "scheduled_shows", scheduled)
    ends = int(time.time() * 1000) + 3_600_000
    for show in made:
        await working.redis.zadd(show_keys(show.id).expiry, {"ends": ends})
    away, its_shows = _on_one_node(cluster, made)
    sweeper = Sweeper(working, most=_SHOWS // 3)
    await _look_at_all(sweeper)
    assert {show.id for show in made} <= looked
    away.pause()
    try:
        while not its_shows & unanswered:
            await sweeper.look()
        assert not sweeper.is_in_haste
    finally:
        away.resume()
    async with asyncio.timeout(5):
        while not sweeper.is_in_haste:
            await sweeper.look()
    looked.clear()
    await _look_at_all(sweeper)
    assert its_shows <= looked, "without a pause in between"


async def _look_at_all(sweeper: Sweeper) -> None:
    while sweeper.is_in_haste:
        await sweeper.look()


class _Recoverer:
    """Notes who was to be recovered."""

    def __init__(self) -> None:
        self.anew: dict[int, bool] = {}

    async def recover(self, show: int, _: str, *, anew: bool) -> None:
        """Recover nothing."""
        self.anew[show] = anew


async def test_a_call_stands_until_the_node_of_its_show_can_be_asked(
    cluster: Cluster,
    working: Working,
    made: list[TestedShow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether its node was the only one to be asked or one of several; so does what was demanded.

    Of the others the first call is answered meanwhile.
    """
    monkeypatch.setattr(recovery_module, "Round", partial(Round, most=1))
    for show in made:
        await _make_well(cluster, working.redis, show.id)
    recoverer = _Recoverer()
    ward = Ward(replace(working, recoverer=cast("Recoverer", recoverer)), look_s=0.5)
    for _ in range(_SHOWS + 1):
        assert await ward.visit()
    away, its_shows = _on_one_node(cluster, made)
    far = max(its_shows)
    near = next(show.id for show in made if show.id not in its_shows)
    for show in (far, near):
        await _fence(working.redis, show)
    # Its turn is the last.
    working.stirred.places["recovery"] = far
    away.pause()
    try:
        ward.call_for(far, contradicts_itself=True)
        await ward.visit()
        ward.call_for(far)
        ward.call_for(near)
        await ward.visit()
        assert not recoverer.anew[near]
        await _make_well(cluster, working.redis, near)
    finally:
        away.resume()
    await _answered(working.redis, far)
    working.stirred.places["recovery"] = far
    await ward.rest()
    await ward.visit()
    assert recoverer.anew[far], "as it was demanded"


async def _make_well(cluster: Cluster, store: Store, show: int) -> None:
    """Write what an opened show of epoch 1 looks like."""
    with cluster.client(cluster.primary_of(show_keys(show).meta)) as client:
        info = client.info()
    guard = {"run_id": info["run_id"], "replid": info["master_replid"]}
    stands = {"state": "open", "epoch": "1", "version": "1"}
    await store.hset(show_keys(show).meta, mapping=guard | stands)


async def _fence(store: Store, show: int) -> None:
    await store.hset(show_keys(show).meta, mapping={"state": "recovering"})


async def _answered(store: Store, show: int) -> None:
    """Wait until the node of a show can be asked again."""
    async with asyncio.timeout(5):
        while True:
            try:
                await store.hlen(show_keys(show).meta)
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(0.05)
            else:
                return
