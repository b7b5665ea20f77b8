"""A primary and its replica: what was answered survives the one, and the other takes over."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from redis import Redis

from engine.inventory.keys import show_keys
from engine.platform.ids import Ids
from loadtests.buyers.desk import Answer
from ops.stack import Stack
from tests.faults.reseller_desk import ResellerDesk, open_desk, told

_BUYERS = 8
_RESUMED_WITHIN_S = 5.0
# The client's time-out of 3 s, once more for a command that was given up in the middle.
_GIVEN_UP_WITHIN_S = 12.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole platform whose Valkey has a replica."""
    with Stack(tmp_path_factory.mktemp("pair"), replicas=1, environment={}) as stack:
        yield stack


@pytest.fixture
async def desk(pair: Stack) -> AsyncGenerator[ResellerDesk]:
    """A reseller with a show in the real hall; the replica follows."""
    pair.await_replicas()
    async with open_desk(pair) as desk:
        yield desk


@dataclass
class _Sales:
    """What buyers were answered: when they began, when it was, and for which order."""

    answers: list[tuple[float, float, str]] = field(default_factory=list[tuple[float, float, str]])

    def since(self, moment: float) -> list[float]:
        """Return when those were answered who began after a moment."""
        return [at for began, at, _ in self.answers if began > moment]


@asynccontextmanager
async def _buying(desk: ResellerDesk) -> AsyncGenerator[_Sales]:
    """Let buyers hold and buy, one seat after the other, until the end of the block."""
    sales, over = _Sales(), asyncio.Event()

    async def buy_on(n: int) -> None:
        while not over.is_set():
            body = {
                "best_available": {"price_level": "kategorie-ii", "quantity": 1},
                "buyer": f"b-{uuid4().hex}",
                "ttl_s": 600,
            }
            began = time.monotonic()
            answer = await desk.ask("POST", f"/v1/shows/{desk.show}/holds", body)
            held = told(answer, 201)
            answer = await desk.purchase(held["hold"])
            # A hold may be lost with the primary; what is bought may not.
            if answer.status in {201, 202}:
                order = told(answer, answer.status)["order"]
                sales.answers.append((began, time.monotonic(), order))
            else:
                assert answer.status in {404, 410}, answer.told()
            await asyncio.sleep(0.02 * (n % 3))

    async with asyncio.TaskGroup() as group:
        for n in range(_BUYERS):
            group.create_task(buy_on(n))
        try:
            yield sales
        finally:
            over.set()


async def _until(what: Callable[[], object], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not what():  # noqa: ASYNC110 - what others do
            await asyncio.sleep(0.01)


async def _until_confirmed(desk: ResellerDesk, orders: list[str]) -> None:
    async with asyncio.timeout(60):
        for order in orders:
            while (await desk.order(order))["status"] != "confirmed":  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.05)


async def _assert_nothing_lost(desk: ResellerDesk, sales: _Sales) -> None:
    await _until_confirmed(desk, [order for _, _, order in sales.answers])
    assert len({order for _, _, order in sales.answers}) == len(sales.answers)
    await desk.assert_clean()


async def _ask_once(desk: ResellerDesk, path: str, body: object = None, key: str = "") -> Answer:
    """Ask, and take a 503 for an answer."""
    headers = {"Authorization": f"Bearer {desk.key}"} | ({"Idempotency-Key": key} if key else {})
    url = desk.stack.base_url + path
    async with (
        aiohttp.ClientSession() as session,
        session.request("POST" if body else "GET", url, json=body, headers=headers) as response,
    ):
        return Answer(response.status, await response.read())


def _order_of(desk: ResellerDesk, hold: str) -> str:
    settings = desk.stack.settings
    ids = Ids(settings.region, settings.secret.encode())
    return ids.order(desk.show_id(), bytes.fromhex(hold[-32:]))


def _purchase(desk: ResellerDesk, hold: str) -> tuple[str, dict[str, Any]]:
    return f"/v1/shows/{desk.show}/purchases", {"hold": hold, "payment_reference": f"pay {hold}"}


async def test_sales_resume_within_5_s_of_a_promotion_and_none_is_lost(
    desk: ResellerDesk, pair: Stack
) -> None:
    """The primary is killed under purchase load, and its replica takes over."""
    async with _buying(desk) as sales:
        await _until(lambda: len(sales.answers) >= 50)
        pair.promote_replica()
        promoted = time.monotonic()
        await _until(lambda: len(sales.since(promoted)) >= 50)
        await asyncio.to_thread(pair.await_replicas)
    assert min(sales.since(promoted)) - promoted < _RESUMED_WITHIN_S
    await _assert_nothing_lost(desk, sales)


async def test_with_the_recorder_down_a_promotion_loses_no_202(
    desk: ResellerDesk, pair: Stack
) -> None:
    """What only Redis had when its primary died was on the replica."""
    pair.worker.kill(restart=False)
    orders: list[str] = []
    for n in range(1, 6):
        held = told(await desk.hold(f"B-1-{n}", buyer=f"b-{n}"), 201)
        orders.append(told(await desk.purchase(held["hold"]), 202)["order"])
    pair.promote_replica()
    pair.worker.start()
    await _until_confirmed(desk, orders)
    pair.await_replicas()
    await desk.assert_clean()


async def test_a_sale_that_the_replica_lacks_is_confirmed_by_the_ledger_or_in_doubt(
    desk: ResellerDesk, pair: Stack
) -> None:
    """201 once its row is there; without a recorder 503, and the same key gets the order later."""
    first, second, third = [
        told(await desk.hold(f"C-1-{n}", buyer=f"b-{n}"), 201)["hold"] for n in (1, 2, 3)
    ]
    pair.replicas[0].pause()
    try:
        told(await _ask_once(desk, *_purchase(desk, first), "first"), 201)
        pair.worker.kill(restart=False)
        for _ in range(2):
            answer = await _ask_once(desk, *_purchase(desk, second), "second")
            assert (answer.status, answer.problem) == (503, "in-doubt"), answer.told()
        looked = await _ask_once(desk, f"/v1/shows/{desk.show}/holds/{second}")
        assert (looked.status, looked.problem) == (503, "in-doubt"), looked.told()
        asked = await _ask_once(desk, f"/v1/orders/{_order_of(desk, second)}")
        assert (asked.status, asked.problem) == (503, "in-doubt"), asked.told()
    finally:
        pair.replicas[0].resume()
    # The replica has it now: it can't be lost, though nobody records it.
    order = told(await desk.purchase(second, "second"), 202)["order"]
    assert (await desk.order(order))["status"] == "recording"
    pair.worker.start()
    await _until_confirmed(desk, [order])
    assert told(await desk.purchase(second, "second"), 201)["order"] == order
    told(await desk.purchase(third), 201)
    await desk.assert_clean()


async def test_a_primary_that_is_not_followed_enough_sells_nothing_and_is_not_recovered(
    desk: ResellerDesk, pair: Stack
) -> None:
    """503 `unavailable`: nothing was done. What is sold can still be looked at."""
    order = await desk.sell("D-14-1")
    held = told(await desk.hold("D-14-2", buyer="b-2"), 201)["hold"]
    wanted = {"seats": ["D-14-3"], "buyer": "b-3", "ttl_s": 600}
    with Redis.from_url(pair.settings.redis_url) as client:
        epoch = client.hget(show_keys(desk.show_id()).meta, "epoch")
        client.config_set("min-replicas-to-write", 2)
        try:
            for path, body in (
                (f"/v1/shows/{desk.show}/holds", wanted),
                _purchase(desk, held),
            ):
                answer = await _ask_once(desk, path, body, "again")
                assert (answer.status, answer.problem) == (503, "unavailable"), answer.told()
            assert (await desk.order(order["order"]))["status"] == "confirmed"
        finally:
            client.config_set("min-replicas-to-write", 1)
        told(await _ask_once(desk, *_purchase(desk, held), "again"), 201)
        assert client.hget(show_keys(desk.show_id()).meta, "epoch") == epoch
    await desk.assert_clean()


async def test_a_primary_that_hangs_and_wakes_after_it_was_replaced_loses_nothing(
    desk: ResellerDesk, pair: Stack
) -> None:
    """Its old connections go on for a moment; what it answers over them is never 201 or 202."""
    old = pair.valkey
    async with _buying(desk) as sales:
        await _until(lambda: len(sales.answers) >= 50)
        old.pause()
        pair.promote_replica(kill=False)
        promoted = time.monotonic()
        await asyncio.sleep(0.5)
        old.resume()
        await _until(lambda: len(sales.since(promoted)) >= 50)
    assert old.running
    assert min(sales.since(promoted)) - promoted < _RESUMED_WITHIN_S
    await _assert_nothing_lost(desk, sales)
    old.kill()


async def test_a_primary_that_hangs_for_good_is_given_up_by_all_who_were_connected(
    desk: ResellerDesk, pair: Stack
) -> None:
    """No connection breaks: time-outs and unanswered pings tell that nobody is there."""
    old = pair.valkey
    async with _buying(desk) as sales:
        await _until(lambda: len(sales.answers) >= 50)
        old.pause()
        pair.promote_replica(kill=False)
        promoted = time.monotonic()
        await _until(lambda: len(sales.since(promoted)) >= 50)
    old.kill()
    assert min(sales.since(promoted)) - promoted < _GIVEN_UP_WITHIN_S
    await _assert_nothing_lost(desk, sales)
