"""Shows on a real cluster of six: sold, failed over and moved while they sell."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from engine.inventory.keys import show_keys
from ops.stack import Stack
from tests.faults.reseller_desk import ResellerDesk, open_desk, told


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
