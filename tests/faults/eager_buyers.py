"""Buyers who buy without a pause, one after the other, and note when they were served."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Final
from uuid import uuid4

import aiohttp
import msgspec

from tests.faults.reseller_desk import ResellerDesk

_AGAIN_S: Final = 0.05
_GIVE_UP_S: Final = 60.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
_LEVELS: Final = ("kategorie-i", "kategorie-ii", "vip")


class EagerBuyers:
    """What the buyers of one show were told."""

    def __init__(self, desk: ResellerDesk) -> None:
        """Take the show."""
        self.desk = desk
        self.confirmed: dict[str, tuple[str, ...]] = {}
        """Orders that the API called confirmed, and their seats."""
        self.recording: set[str] = set()
        """Orders that were answered with `202`."""
        self.served_at: list[float] = []
        """When a purchase was answered, on the monotonic clock."""
        self.wrong: list[str] = []
        self.told_to_wait = 0
        self._over = False

    def stop(self) -> None:
        """Let each end with the purchase that it is at."""
        self._over = True

    def longest_pause_s(self, since: float, until: float) -> float:
        """Return for how long nobody was served."""
        moments = [since, *(at for at in self.served_at if since <= at <= until), until]
        return max(later - at for at, later in pairwise(moments))

    def first_served_after(self, moment: float) -> float:
        """Return how many seconds after a moment somebody was served."""
        return min(at for at in self.served_at if at > moment) - moment

    async def run(self, session: aiohttp.ClientSession, buyer: int) -> None:
        """Buy single seats until told to stop or nothing is left."""
        n = 0
        while not self._over:
            n += 1
            level = _LEVELS[n % len(_LEVELS)]
            body: dict[str, Any] = {
                "best_available": {"price_level": level, "quantity": 1},
                "buyer": f"eager-{buyer}-{n}",
            }
            path = f"/v1/shows/{self.desk.show}"
            status, held = await self._ask(session, f"{path}/holds", body)
            if status != 201:
                if status != 409:
                    self.wrong.append(f"hold: {status} {held}")
                await asyncio.sleep(_AGAIN_S)
                continue
            pay = {"hold": held["hold"], "payment_reference": f"pay {held['hold']}"}
            status, bought = await self._ask(session, f"{path}/purchases", pay)
            self._note(status, bought, held)

    def _note(self, status: int, bought: dict[str, Any], held: dict[str, Any]) -> None:
        if status in {201, 202}:
            self.served_at.append(time.monotonic())
        if status == 201:
            self.confirmed[bought["order"]] = tuple(held["seats"])
        elif status == 202:
            self.recording.add(bought["order"])
        elif status not in {404, 409, 410}:  # a hold may be lost in a disaster
            self.wrong.append(f"purchase: {status} {bought}")

    async def _ask(
        self, session: aiohttp.ClientSession, path: str, body: object
    ) -> tuple[int, dict[str, Any]]:
        """Ask with one key until it is answered by something else than a 503."""
        headers = {"Authorization": f"Bearer {self.desk.key}", "Idempotency-Key": uuid4().hex}
        async with asyncio.timeout(_GIVE_UP_S):
            while True:
                async with session.post(
                    self.desk.stack.base_url + path, json=body, headers=headers, timeout=_TIMEOUT
                ) as response:
                    answer = await response.read()
                if response.status != 503:
                    return response.status, msgspec.json.decode(answer, type=dict[str, Any])
                self.told_to_wait += 1
                await asyncio.sleep(_AGAIN_S)

    async def assert_nothing_lost_or_doubled(self) -> None:
        """Look at every order that was confirmed: it is so still, and no seat is in two."""
        assert not self.wrong, self.wrong[:5]
        owners: dict[str, str] = {}
        for order, seats in self.confirmed.items():
            found = await self.desk.order(order)
            assert found["status"] == "confirmed", found
            for seat in seats:
                assert owners.setdefault(seat, order) == order, seat


@asynccontextmanager
async def eager_buyers(
    desks: Iterable[ResellerDesk], *, each: int
) -> AsyncGenerator[list[EagerBuyers]]:
    """Let this many buy at each show until the end of the block."""
    crowds = [EagerBuyers(desk) for desk in desks]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [
            asyncio.create_task(crowd.run(session, n)) for crowd in crowds for n in range(each)
        ]
        try:
            yield crowds
        finally:
            for crowd in crowds:
                crowd.stop()
            await asyncio.gather(*tasks)
