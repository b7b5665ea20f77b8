"""An order that was answered 202 and then lost with its store: it ends, as failed."""

import asyncio
from typing import Any

import httpx

from tests.faults.reseller_desk import ResellerDesk, empty, told


async def test_an_order_that_was_lost_before_it_was_recorded_ends_failed(
    desk: ResellerDesk,
) -> None:
    """Not before the show is open again, and never as unknown; its seat is on sale again."""
    held = told(await desk.hold("B-3-1"), 201)
    desk.stack.worker.pause()
    pending = told(await desk.purchase(held["hold"], key="lost"), 202)
    desk.stack.valkey.stop()
    empty(desk.stack.directory / "valkey")
    assert (await _look(desk, pending["order"])).status_code == 503
    desk.stack.valkey.start()
    unsure = await _look(desk, pending["order"])
    assert unsure.status_code == 503, "nobody has looked for it yet"
    assert unsure.json()["type"] == "urn:onsale:problem:show-recovering"
    desk.stack.worker.resume()
    order = await desk.order(pending["order"])
    assert (order["status"], order["failure"], order["tickets"]) == ("failed", "lost", [])
    assert (order["order"], order["hold"]) == (pending["order"], held["hold"])
    assert order["price"] is None
    assert (await desk.purchase(held["hold"], key="lost")).status == 404, "its hold is lost too"
    await desk.sell("B-3-1", buyer="b-2")
    assert (await desk.order(pending["order"])) == order
    await desk.assert_clean()


async def test_an_order_that_the_store_kept_is_recorded_after_all(desk: ResellerDesk) -> None:
    """It is never told as failed on the way there."""
    held = told(await desk.hold("B-3-2"), 201)
    desk.stack.worker.pause()
    pending = told(await desk.purchase(held["hold"]), 202)
    desk.stack.valkey.kill()
    watched = asyncio.create_task(_until_it_ends(desk, pending["order"]))
    await asyncio.sleep(1)
    desk.stack.worker.resume()
    seen = await watched
    assert seen[-1] == "confirmed"
    assert "failed" not in seen
    await desk.assert_clean()


async def _until_it_ends(desk: ResellerDesk, order: str) -> list[str]:
    """Look again and again; return how it was told to stand, or with which status."""
    seen: list[str] = []
    async with asyncio.timeout(30):
        while not seen or seen[-1] not in {"confirmed", "failed"}:
            answer = await _look(desk, order)
            body: dict[str, Any] = answer.json()
            assert answer.status_code in {200, 503}, body
            seen.append(str(body["status"]))
            await asyncio.sleep(0.05)
    return seen


async def _look(desk: ResellerDesk, order: str) -> httpx.Response:
    """Look at an order once, whatever is answered."""
    headers = {"Authorization": f"Bearer {desk.key}"}
    async with httpx.AsyncClient(base_url=desk.stack.base_url, headers=headers) as http:
        return await http.get(f"/v1/orders/{order}", timeout=15)
