"""The nemesis' faults: each strikes while buyers buy, the world is whole again, and it all adds up.

What a fault says of itself is checked too: that it hit what it names.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from itertools import count
from typing import Final
from uuid import uuid4

import pytest

from loadtests.torture.faults import FAULTS, PROXIES, Struck, lacking
from loadtests.torture.ground import Ground, open_ground
from tests.faults.reseller_desk import ResellerDesk, open_desk, told

_BUYERS: Final = 4
_PATIENCE_S: Final = 30
# Dice that make pauses short ones.
_SEED: Final = 1
_ON_THE_WIRE: Final = ("cut", "drop-replies", "drop-requests", "stall")
_OF_PROXIES: Final = {proxy: tuple(f"{what}-{proxy}" for what in _ON_THE_WIRE) for proxy in PROXIES}
_OTHERS: Final = sorted(FAULTS.keys() - {kind for kinds in _OF_PROXIES.values() for kind in kinds})


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Ground]:
    """A platform behind proxies."""
    async with open_ground(tmp_path_factory.mktemp("ground")) as ground:
        yield ground


@pytest.fixture
async def desk(ground: Ground) -> AsyncGenerator[ResellerDesk]:
    """A reseller with a show, who reaches the API through the clients' proxy."""
    async with open_desk(ground.stack, ground.base_url) as desk:
        yield desk


class Trade:
    """A few buyers who each hold a seat and buy it, again and again."""

    def __init__(self, desk: ResellerDesk) -> None:
        """Take the desk that they all buy at."""
        self.orders: list[str] = []
        self._desk = desk
        self._numbers = count()

    async def buy(self) -> None:
        """Buy until cancelled."""
        async with asyncio.TaskGroup() as buyers:
            for _ in range(_BUYERS):
                buyers.create_task(self._buy())

    async def go_on(self) -> None:
        """Wait until every buyer has bought twice more."""
        enough = len(self.orders) + 2 * _BUYERS
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.orders) < enough:  # noqa: ASYNC110 -- buyers tell no event
                await asyncio.sleep(0.01)

    async def _buy(self) -> None:
        show = self._desk.show
        while True:
            buyer = f"t-{next(self._numbers)}"
            best = {"price_level": "kategorie-ii", "quantity": 1}
            body = {"best_available": best, "buyer": buyer, "ttl_s": 600}
            answer = await self._desk.ask("POST", f"/v1/shows/{show}/holds", body, uuid4().hex)
            bought = await self._desk.purchase(told(answer, 201)["hold"])
            if bought.status == 404:
                continue  # its hold was lost with the store
            assert bought.status in {201, 202}, bought.told()
            self.orders.append(told(bought, bought.status)["order"])
            await asyncio.sleep(0.02)


async def struck_amid_trade(ground: Ground, desk: ResellerDesk, *kinds: str) -> list[Struck]:
    """Strike while buyers buy; afterwards all of them buy again and the stores agree."""
    trade = Trade(desk)
    buying = asyncio.create_task(trade.buy())
    struck: list[Struck] = []
    try:
        for kind in kinds:
            await trade.go_on()
            async with asyncio.timeout(_PATIENCE_S):
                struck.append(await FAULTS[kind](ground, random.Random(_SEED)))  # noqa: S311 -- dice
        await trade.go_on()
    finally:
        buying.cancel()
        await asyncio.gather(buying, return_exceptions=True)
    assert [one.kind for one in struck] == list(kinds)
    assert all(one.at_ns < one.until_ns for one in struck)
    if not any(one.loses_store for one in struck):
        await all_confirmed(desk, trade.orders)
    await desk.assert_clean()
    return struck


async def all_confirmed(desk: ResellerDesk, orders: list[str]) -> None:
    """Wait until each order that was answered is in the ledger."""
    async with asyncio.timeout(_PATIENCE_S):
        for order in orders:
            while (await desk.order(order))["status"] != "confirmed":  # noqa: ASYNC110 -- over HTTP
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", _OTHERS)
async def test_after_each_fault_the_show_sells_again(
    kind: str, ground: Ground, desk: ResellerDesk
) -> None:
    """Only those that say so may lose what was not confirmed."""
    if kind in lacking(ground):
        pytest.skip(lacking(ground)[kind])
    [struck] = await struck_amid_trade(ground, desk, kind)
    assert struck.loses_store == (kind in {"truncate-aof", "wipe-valkey"})


@pytest.mark.parametrize("proxy", PROXIES)
async def test_whatever_is_lost_between_two_parts_the_show_sells_again(
    proxy: str, ground: Ground, desk: ResellerDesk
) -> None:
    """Each fault of a proxy took something, on the ways that are busy while buyers buy."""
    cut, replies, requests, stalled = await struck_amid_trade(ground, desk, *_OF_PROXIES[proxy])
    assert not cut.details.startswith("0 ")
    if proxy != "api-postgres":
        assert not replies.details.startswith("0 ")
        assert not requests.details.startswith("0 ")
    assert stalled.details.startswith("stalled")
