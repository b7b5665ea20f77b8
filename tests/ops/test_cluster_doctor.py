"""What worker and doctor make of a cluster whose replicas are not all there, or set wrongly."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

import msgspec
import pytest
from structlog.testing import capture_logs

from engine.inventory.durability import find_risks
from engine.platform.settings import Settings
from engine.runtime import open_working
from ops.child import Child
from ops.cluster import Cluster
from ops.doctor import Finding, State
from ops.doctor.examination import examine_servers
from ops.doctor.store import store_servers
from ops.stack import Stack
from workers.durability import watch_durability


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers only: three primaries with a replica each."""
    directory = tmp_path_factory.mktemp("watched")
    with Stack(directory, cluster=True, with_api=False, with_worker=False, environment={}) as stack:
        yield stack


@pytest.fixture
def whole(clustered: Stack) -> Iterator[Stack]:
    """The same, with all that a test has killed in its place afterwards."""
    clustered.cluster.wait_until_whole()
    yield clustered
    for child in clustered.cluster.children:
        if not child.running:
            child.start()
    clustered.cluster.wait_until_whole()


def _address(cluster: Cluster, node: int) -> str:
    with cluster.client(node) as client:
        return f"127.0.0.1:{client.config_get('port')['port']}"


async def _risks(settings: Settings) -> set[tuple[str, str, str | None]]:
    """Return what a worker warns of: of which node, and what it found."""
    async with open_working(settings) as working:
        risks = await find_risks(working.redis, settings.redis_replicas, in_cluster=True)
    return {(risk.server, risk.wanted.setting, risk.found) for risk in risks}


async def _doubts(settings: Settings) -> list[Finding]:
    found = await asyncio.to_thread(lambda: list(examine_servers(settings)))
    return [one for one in found if one.state is not State.OK]


async def test_a_whole_cluster_is_as_it_should_be(whole: Stack) -> None:
    """Six nodes, though one would be enough to ask."""
    settings = whole.settings
    servers = store_servers(settings.redis_url)
    url = settings.redis_url
    one_seed = f"{url.rpartition('@')[0]}@{servers[0].node}"
    assert store_servers(one_seed) == servers
    assert await _risks(settings) == set()
    assert await _doubts(settings) == []


async def test_a_replica_that_is_gone_is_told_with_its_primarys_name_and_its_own(
    whole: Stack,
) -> None:
    """Until it is back that primary must not be lost; the other two are as before."""
    cluster = whole.cluster
    primary = cluster.primaries()[0]
    replica = cluster.replica_of(primary)
    left, gone = _address(cluster, primary), _address(cluster, replica)
    cluster.children[replica].kill(restart=False)
    await _until_it_is_missed(cluster, primary)
    assert await _risks(whole.settings) == {
        (left, "replicas in sync", "0"),
        (gone, "node", "none"),
    }
    doubts = await _doubts(whole.settings)
    assert {one.state for one in doubts} == {State.FAIL}
    by_subject = {one.subject: one.seen for one in doubts}
    assert by_subject["replicas in sync"] == f"{left}: 0 instead of 1"
    assert by_subject["inventory store"].startswith(f"{gone}: ")
    assert len(doubts) == 2


async def test_a_primary_that_waits_for_more_than_follow_it_is_told(whole: Stack) -> None:
    """It takes no writes: its shows don't sell."""
    cluster = whole.cluster
    primary = cluster.primaries()[1]
    with cluster.client(primary) as client:
        client.config_set("min-replicas-to-write", 2)
        try:
            risks, doubts = await _risks(whole.settings), await _doubts(whole.settings)
        finally:
            client.config_set("min-replicas-to-write", 0)
    address = _address(cluster, primary)
    assert risks == {(address, "min-replicas-to-write", "2")}
    assert [one.seen for one in doubts] == [f"{address}: 2 instead of 1"]


async def test_replicas_that_nobody_waits_for_are_told_of_each_primary(whole: Stack) -> None:
    """As with a single primary."""
    unaware = msgspec.structs.replace(whole.settings, redis_replicas=0)
    primaries = [_address(whole.cluster, node) for node in whole.cluster.primaries()]
    assert await _risks(unaware) == {(one, "connected replicas", "1") for one in primaries}


async def test_the_worker_says_loudly_which_node_it_is(whole: Stack) -> None:
    """And goes on looking while one is away."""
    cluster = whole.cluster
    replica = cluster.replica_of(cluster.primaries()[2])
    gone = _address(cluster, replica)
    child: Child = cluster.children[replica]
    async with open_working(whole.settings) as working:
        with capture_logs() as logs:
            task = asyncio.create_task(watch_durability(working, look_every_s=0.05))
            child.kill(restart=False)
            await _until_it_is_missed(cluster, cluster.primaries()[2])
            await asyncio.sleep(1)
            assert not task.done()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    told = [one for one in logs if one["event"] == "THE STORE MAY LOSE WHAT WAS SOLD"]
    assert {one["log_level"] for one in told} == {"error"}
    assert {(one["node"], one["setting"]) for one in told} >= {(gone, "node")}
    assert "replicas in sync" in {one["setting"] for one in told}


async def _until_it_is_missed(cluster: Cluster, primary: int) -> None:
    deadline = monotonic() + 20
    with cluster.client(primary) as client:
        while client.info("replication")["connected_slaves"]:
            assert monotonic() < deadline
            await asyncio.sleep(0.05)
