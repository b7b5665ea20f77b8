"""Whatever is killed or lost: what was confirmed stays sold, and the show sells again."""

import asyncio
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select

from engine.inventory.keys import show_keys
from engine.inventory.recovery import Recovered, SupersededError
from engine.platform.database import connect_once
from engine.platform.tables import recoveries, refund_requests
from engine.runtime import open_serving, open_working
from ops.stack import Stack
from tests.faults.reseller_desk import ResellerDesk, empty, metrics, open_desk, told


async def test_after_kill_9_of_valkey_sold_stays_sold_and_held_stays_held(
    desk: ResellerDesk,
) -> None:
    """With the disk kept nothing that was answered is lost, and a live hold can be bought."""
    order = await desk.sell("B-1-1", "B-1-2")
    held = told(await desk.hold("B-1-3", buyer="b-2"), 201)
    desk.stack.valkey.kill()
    assert (await desk.order(order["order"]))["status"] == "confirmed"
    told(await desk.hold("B-1-1", buyer="b-3"), 409)
    still = told(await desk.look(held["hold"]), 200)
    assert still["seats"] == ["B-1-3"]
    assert still["expires_at"] >= held["expires_at"], "the outage is not the buyer's fault"
    assert told(await desk.purchase(held["hold"]), 201)["status"] == "confirmed"
    await desk.sell("B-1-4", buyer="b-4")
    await desk.assert_clean()


async def test_after_valkeys_data_were_deleted_the_ledger_brings_the_sold_seats_back(
    desk: ResellerDesk,
) -> None:
    """Holds are lost in a disaster; a purchase is not, and its repetition gets the same order."""
    held = told(await desk.hold("A-1-1", "A-1-2"), 201)
    order = told(await desk.purchase(held["hold"], key="buy-1"), 201)
    lost = told(await desk.hold("A-1-3", buyer="b-2"), 201)
    desk.stack.valkey.stop()
    empty(desk.stack.directory / "valkey")
    desk.stack.valkey.start()
    again = told(await desk.purchase(held["hold"], key="buy-1"), 201)
    assert again["order"] == order["order"]
    assert again["tickets"] == order["tickets"]
    told(await desk.purchase(held["hold"], key="buy-2"), 409)
    told(await desk.hold("A-1-1", buyer="b-3"), 409)
    told(await desk.look(lost["hold"]), 404)
    await desk.sell("A-1-3", buyer="b-4")
    counts = await desk.counts()
    assert (counts["sold"], counts["held"]) == (3, 0)
    await desk.assert_clean()


async def test_house_seats_are_not_on_sale_after_valkeys_data_were_deleted(
    desk: ResellerDesk,
) -> None:
    """What the house withholds is in PostgreSQL, so a rebuild knows it."""
    path = f"/v1/shows/{desk.show}/blocks"
    told(await desk.ask("POST", path, {"seats": ["C-1-1", "C-1-2"], "reason": "band"}), 200)
    desk.stack.valkey.stop()
    empty(desk.stack.directory / "valkey")
    desk.stack.valkey.start()
    told(await desk.hold("C-1-1"), 409)
    assert (await desk.counts())["blocked"] == 2
    told(await desk.ask("POST", f"{path}/release", {"seats": ["C-1-1"]}), 200)
    told(await desk.hold("C-1-1"), 201)
    await desk.assert_clean()


async def test_a_killed_worker_delays_purchases_and_loses_none(desk: ResellerDesk) -> None:
    """While nobody records, a purchase answers 202; afterwards the order is confirmed."""
    held = told(await desk.hold("D-14-1", "D-14-2"), 201)
    desk.stack.worker.kill(restart=False)
    pending = told(await desk.purchase(held["hold"], key="slow"), 202)
    assert pending["status"] == "recording"
    assert pending["tickets"] == [], "not sold yet"
    assert pending["price"]["lines"][0]["quantity"] == 2
    assert (await desk.order(pending["order"]))["status"] == "recording", "never unknown"
    desk.stack.worker.start()
    await _until_confirmed(desk, pending["order"])
    again = told(await desk.purchase(held["hold"], key="slow"), 201)
    assert again["order"] == pending["order"]
    await desk.assert_clean()


async def test_postgresql_killed_amid_a_purchase_ends_in_one_confirmed_order(
    desk: ResellerDesk,
) -> None:
    """The show and the key are in memory, so selling goes on; the row is there when it can be."""
    held = told(await desk.hold("E-14-1"), 201)
    desk.stack.postgres.kill()
    answer = await desk.purchase(held["hold"], key="through")
    assert answer.status in {201, 202}, answer.told()
    order = told(answer, answer.status)["order"]
    await _until_confirmed(desk, order)
    await desk.assert_clean()


@pytest.mark.alone
async def test_a_killed_api_serves_again_within_five_seconds(desk: ResellerDesk) -> None:
    """What an API process knows is only a cache; a repeated key gets its first answer."""
    held = told(await desk.hold("F-14-1", key="first"), 201)
    began = time.monotonic()
    desk.stack.api.kill()
    again = told(await desk.hold("F-14-1", key="first"), 201)
    assert again["hold"] == held["hold"]
    assert time.monotonic() - began < 5


async def test_an_order_in_conflict_has_failed_and_says_what_it_would_have_cost(
    desk: ResellerDesk,
) -> None:
    """A seat that the ledger has sold already is never sold again, though Redis thinks so.

    Its buyer is to be paid back, somebody is alarmed, and its other seat is on sale again.
    """
    order = await desk.sell("A-2-1")
    stack, show = desk.stack, desk.show_id()
    counted = await metrics(stack)
    async with open_serving(stack.settings) as serving:
        keys = show_keys(show)
        seat = (await serving.box_office.show(desk.reseller, show)).manifest.index("A-2-1")
        # Redis forgets that the seat is sold, as no fault of one server can make it.
        assert seat is not None
        async with Redis.from_url(stack.settings.redis_url) as redis:
            await redis.setrange(keys.seats, seat, b"o")
    held = told(await desk.hold("A-2-1", "A-2-2", buyer="b-2"), 201)
    refused = told(await desk.purchase(held["hold"], key="lost"), 409)
    assert refused["type"] == "urn:onsale:problem:purchase-failed"
    failed = await desk.order(refused["order"])
    assert failed["status"] == "failed"
    assert failed["tickets"] == []
    assert failed["price"]["lines"][0]["quantity"] == 2
    assert (await desk.order(order["order"]))["status"] == "confirmed"
    # A recovery brings what Redis thinks back to what the ledger says, by itself and once.
    async with asyncio.timeout(20):
        while (await desk.hold("A-2-2", buyer="b-3")).status != 201:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
    told(await desk.hold("A-2-1", buyer="b-3"), 409)
    assert (await desk.order(refused["order"]))["status"] == "failed"
    assert told(await desk.purchase(held["hold"], key="lost"), 409)["order"] == refused["order"]
    async with connect_once(stack.settings.database_url) as ledger:
        requests = await ledger.execute(select(refund_requests).filter_by(show_id=show))
        [request] = requests.mappings()
        again = select(func.count()).select_from(recoveries).where(recoveries.c.show_id == show)
        await asyncio.sleep(2.5)  # the workers look each second
        assert (await ledger.execute(again)).scalar_one() == 2, "its opening, and this one"
    assert request["order_id"].hex == refused["order"][-32:]
    assert (request["reason"], request["currency"]) == ("conflict", "EUR")
    assert request["amount"] == failed["price"]["total"]
    assert request["payment_reference"] == f"pay {held['hold']}"
    counted_after = await metrics(stack)
    assert counted_after["onsale_conflicts_total"] == counted["onsale_conflicts_total"] + 1
    assert counted_after["onsale_recoveries_total"] >= counted["onsale_recoveries_total"] + 1
    await desk.assert_clean()


async def test_a_spoilt_show_is_rebuilt_and_keeps_no_other_from_its_turn(
    desk: ResellerDesk,
) -> None:
    """Garbage in one show's keys: the ledger brings it back, and new shows open meanwhile."""
    order = await desk.sell("F-6-1")
    held = told(await desk.hold("F-6-2", buyer="b-2"), 201)
    keys = show_keys(desk.show_id())
    async with Redis.from_url(desk.stack.settings.redis_url) as redis:
        hold = bytes.fromhex(held["hold"][-32:])
        await redis.execute_command("HSET", keys.holds, hold, "spoilt")
        assert (await desk.look(held["hold"])).status == 404, "what it was is lost, and said so"
        told(await desk.hold("F-6-2", buyer="b-3"), 201)
        await redis.delete(keys.meta)
        await redis.set(keys.meta, b"spoilt too")
        spoilt = desk.show
        await desk.open_show()
        desk.show = spoilt
    told(await desk.hold("F-6-1", buyer="b-4"), 409)
    told(await desk.hold("F-6-2", buyer="b-4"), 409)
    assert (await desk.order(order["order"]))["status"] == "confirmed"
    await desk.assert_clean()


async def test_two_recoveries_at_once_end_in_one_open_show(desk: ResellerDesk) -> None:
    """One does the work, or the later epoch's result stands; the show sells on either way."""
    order = await desk.sell("B-2-3")
    held = told(await desk.hold("B-2-4", buyer="b-2"), 201)
    show = desk.show_id()
    async with open_working(desk.stack.settings) as one, open_working(desk.stack.settings) as two:
        results = await asyncio.gather(
            one.recoverer.recover(show, "test"),
            two.recoverer.recover(show, "test"),
            return_exceptions=True,
        )
    assert any(isinstance(result, Recovered) for result in results), results
    for result in results:
        assert result is None or isinstance(result, Recovered | SupersededError), result
    assert (await desk.order(order["order"]))["status"] == "confirmed"
    assert told(await desk.look(held["hold"]), 200)["status"] == "held"
    await desk.sell("B-2-5", buyer="b-3")
    await desk.assert_clean()


async def test_a_second_start_finds_everything_again(tmp_path: Path) -> None:
    """Stopping and starting loses nothing: orders, holds, keys."""
    first = Stack(tmp_path, environment={})
    first.start()
    async with open_desk(first) as desk:
        order = await desk.sell("B-1-1")
        held = told(await desk.hold("B-1-2", buyer="b-2"), 201)
        first.stop()
        port = first.settings.port
        with Stack(tmp_path, environment={}, port=port):
            assert (await desk.order(order["order"]))["status"] == "confirmed"
            assert told(await desk.look(held["hold"]), 200)["seats"] == ["B-1-2"]
            assert told(await desk.purchase(held["hold"]), 201)["status"] == "confirmed"
            await desk.assert_clean()


async def _until_confirmed(desk: ResellerDesk, order: str) -> None:
    async with asyncio.timeout(20):
        while (await desk.order(order))["status"] != "confirmed":  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
