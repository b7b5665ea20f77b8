"""Workers that are killed while a show sells: each order is told once, in order, and none is left.

A receiver reads the log over HTTP meanwhile, from cursor to cursor.
"""

import asyncio
from collections import Counter
from typing import Any

import httpx

from tests.faults.eager_buyers import eager_buyers
from tests.faults.reseller_desk import ResellerDesk

_KILLS = 3
_SETTLED_WITHIN_S = 30


class _Receiver:
    """Follows a reseller's log."""

    def __init__(self, desk: ResellerDesk) -> None:
        self._desk = desk
        self._cursor: str | None = None
        self.facts: list[dict[str, Any]] = []

    def orders(self, kind: str) -> Counter[str]:
        """Return how often orders of the show were named by facts of a type."""
        return Counter(
            fact["object"]
            for fact in self.facts
            if fact["type"] == kind and fact["show"] == self._desk.show
        )

    async def run(self) -> None:
        """Read on until cancelled."""
        headers = {"Authorization": f"Bearer {self._desk.key}"}
        async with httpx.AsyncClient(
            base_url=self._desk.stack.base_url, headers=headers, timeout=30
        ) as http:
            while True:
                asked: dict[str, str | int] = {"wait": 1}
                if self._cursor is not None:
                    asked["after"] = self._cursor
                page = (await http.get("/v1/facts", params=asked)).raise_for_status().json()
                self.facts += page["facts"]
                self._cursor = page["next_cursor"]

    async def until_told(self, orders: set[str]) -> None:
        """Wait until all of these were told of."""
        async with asyncio.timeout(_SETTLED_WITHIN_S):
            while not orders <= self.orders("seats.sold").keys():  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.1)


async def test_each_order_is_told_once_though_workers_are_killed_while_it_sells(
    desk: ResellerDesk,
) -> None:
    """What the API called confirmed was told, and what was told is in the ledger."""
    receiver = _Receiver(desk)
    following = asyncio.create_task(receiver.run())
    try:
        async with eager_buyers([desk], each=4) as [crowd]:
            for _ in range(_KILLS):
                await asyncio.sleep(2)
                desk.stack.worker.kill()
            await asyncio.sleep(3)
        bought = crowd.confirmed.keys() | crowd.recording
        await receiver.until_told(bought)
    finally:
        following.cancel()
        [ended] = await asyncio.gather(following, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended
    assert len(bought) > _KILLS
    confirmed, sold = receiver.orders("order.confirmed"), receiver.orders("seats.sold")
    assert confirmed == sold
    assert set(confirmed.values()) == {1}
    sequences = [fact["sequence"] for fact in receiver.facts]
    assert len(set(sequences)) == len(sequences)
    seats = {fact["object"]: fact["data"].get("seats") for fact in receiver.facts}
    for order, labels in crowd.confirmed.items():
        assert tuple(seats[order]) == labels
    await crowd.assert_nothing_lost_or_doubled()
    await desk.assert_clean()
