"""Shows on a real cluster of six: sold, failed over and moved while they sell."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from engine.inventory.keys import show_keys
from engine.platform.redis_cluster_map import slot_of
from ops.child import StackError
from ops.doctor.findings import Finding, State
from ops.doctor.store import examine_queue, examine_store, store_servers
from ops.recovering import read_recoveries
from ops.stack import Stack
from tests.faults.eager_buyers import EagerBuyers, eager_buyers
from tests.faults.reseller_desk import ResellerDesk, open_desk, told

_IS_ANOTHER: Final = "the server restarted or is another"


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole platform with its shows in a cluster."""
    with Stack(tmp_path_factory.mktemp("clustered"), environment={}, cluster=True) as stack:
        yield stack


@pytest.fixture
async def desks(clustered: Stack) -> AsyncIterator[list[ResellerDesk]]:
    """A reseller with three shows, each on another primary."""
    async with open_desk(clustered) as first:
        by_primary: dict[int, ResellerDesk] = {}
        desk = first
        while len(by_primary) < 3:
            by_primary.setdefault(_primary_of(desk), desk)
            desk = await first.open_another()
        yield list(by_primary.values())
    await asyncio.to_thread(clustered.cluster.wait_until_whole)


def _primary_of(desk: ResellerDesk) -> int:
    return desk.stack.cluster.primary_of(show_keys(desk.show_id()).meta)


async def test_shows_on_all_primaries_sell(desks: list[ResellerDesk]) -> None:
    """Held, bought and recorded at once: the recorder's word comes from each show's own node."""
    for desk in desks:
        order = await desk.sell("A-1-1", "A-1-2")
        assert order["status"] == "confirmed"
        told(await desk.hold("A-1-1", buyer="b-2"), 409)
        assert (await desk.counts())["sold"] == 2
    await asyncio.gather(*(desk.sell("B-1-1", buyer="b-3") for desk in desks))
    await desks[0].assert_clean()


@pytest.mark.alone
@pytest.mark.parametrize("fault", ["killed", "paused"])
async def test_sales_resume_soon_after_a_primarys_replica_is_elected(
    desks: list[ResellerDesk], fault: str
) -> None:
    """Under load: what was answered is kept, the other shows sell on, the show recovers itself."""
    victim, cluster = desks[0], desks[0].stack.cluster
    lost = _primary_of(victim)
    child = cluster.children[lost]
    async with eager_buyers(desks, each=6) as crowds:
        await asyncio.sleep(1)
        child.kill(restart=False) if fault == "killed" else child.pause()
        lost_at = time.monotonic()
        elected_at = await _elected(victim, instead_of=lost)
        await _until_served_after(crowds[0], elected_at)
        await asyncio.sleep(1)
        # It comes back in the belief that the show is its own.
        child.start() if fault == "killed" else child.resume()
        await asyncio.sleep(1)
    ended_at = time.monotonic()
    assert crowds[0].first_served_after(elected_at) < 5
    assert len(crowds[0].confirmed) > 20
    for other in crowds[1:]:
        assert other.longest_pause_s(lost_at, ended_at) < 2, "other nodes' shows sell on"
    for crowd in crowds:
        await crowd.assert_nothing_lost_or_doubled()
    assert _IS_ANOTHER in await _reasons(victim)
    await victim.assert_clean()


@pytest.mark.alone
@pytest.mark.parametrize("way", ["at once", "key by key"])
async def test_a_slot_moves_while_its_show_sells(desks: list[ResellerDesk], way: str) -> None:
    """Nothing is lost or doubled, live holds stay, and the show sells on at its new node."""
    mover, cluster = desks[0], desks[0].stack.cluster
    held = told(await mover.hold("A-1-1", buyer="before"), 201)
    source, target = _primary_of(mover), _primary_of(desks[1])
    slot = slot_of(show_keys(mover.show_id()).meta)
    move = cluster.move_slot if way == "at once" else cluster.move_slot_key_by_key
    async with eager_buyers(desks, each=6) as crowds:
        await asyncio.sleep(1)
        await asyncio.to_thread(move, slot, source, target)
        moved_at = time.monotonic()
        await _until_served_after(crowds[0], moved_at)
        await asyncio.sleep(1)
    assert crowds[0].first_served_after(moved_at) < 5
    assert _primary_of(mover) == target
    assert told(await mover.look(held["hold"]), 200)["status"] == "held"
    assert told(await mover.purchase(held["hold"]), 201)["status"] == "confirmed"
    for crowd in crowds:
        await crowd.assert_nothing_lost_or_doubled()
    await mover.assert_clean()


def test_the_doctor_looks_at_each_node_and_wants_no_node_for_the_queue(clustered: Stack) -> None:
    """A node is told from a plain server, whoever's server it is."""
    settings = clustered.settings
    servers = store_servers(settings.redis_url)
    assert len(servers) == 6
    assert sum(server.has_shows for server in servers) == 3
    for server in servers:
        looks = list(examine_store(server, settings.redis_replicas))
        found = {one.subject: one for one in looks if isinstance(one, Finding)}
        assert found["cluster"].state is State.OK, found["cluster"]
        assert ("replicas" in found) == server.has_shows
        assert {one.state for one in found.values()} == {State.OK}, found
    assert examine_queue(servers[0].url).state is State.FAIL
    assert examine_queue(clustered.settings.queue_url()).state is State.OK


async def test_a_second_start_finds_the_cluster_and_its_shows_again(tmp_path: Path) -> None:
    """The nodes know each other by the ports and the password that were chosen at first."""
    first = Stack(tmp_path, environment={}, cluster=True)
    first.start()
    async with open_desk(first) as desk:
        order = await desk.sell("B-1-1")
        held = told(await desk.hold("B-1-2", buyer="b-2"), 201)
        first.stop()
        port = first.settings.port
        with Stack(tmp_path, environment={}, cluster=True, port=port):
            assert (await desk.order(order["order"]))["status"] == "confirmed"
            assert told(await desk.look(held["hold"]), 200)["seats"] == ["B-1-2"]
            assert told(await desk.purchase(held["hold"]), 201)["status"] == "confirmed"
            await desk.assert_clean()


def test_a_cluster_is_not_started_beside_a_store_that_was_named(tmp_path: Path) -> None:
    """One of the two would be ignored in silence."""
    named = {"ONSALE_REDIS_URL": "redis://named.invalid"}
    with pytest.raises(StackError, match="ONSALE_REDIS_URL"):
        Stack(tmp_path, environment=named, cluster=True).start()


async def _elected(desk: ResellerDesk, *, instead_of: int) -> float:
    """Wait until another node has a desk's show; return when that was seen."""
    name = show_keys(desk.show_id()).meta
    seen_by = next(node for node in range(6) if node != instead_of)
    async with asyncio.timeout(20):
        while True:
            with suppress(StackError):  # nobody has it for a moment
                primary = await asyncio.to_thread(
                    desk.stack.cluster.primary_of, name, seen_by=seen_by
                )
                if primary != instead_of:
                    return time.monotonic()
            await asyncio.sleep(0.02)


async def _until_served_after(crowd: EagerBuyers, moment: float) -> None:
    async with asyncio.timeout(30):
        while crowd.served_at[-1] < moment:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.05)


async def _reasons(desk: ResellerDesk) -> list[str]:
    """Return why the show was recovered, the oldest first."""
    rows = await read_recoveries(desk.stack.settings, show=desk.show_id(), rows_max=10)
    return [row.reason for row in reversed(rows)]
