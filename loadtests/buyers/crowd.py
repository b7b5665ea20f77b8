"""All buyers at once, until the show is sold out."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from loadtests.buyers.buyer import Buyer, Habits
from loadtests.buyers.desk import Desk, GaveUpError
from loadtests.buyers.storefront import Storefront
from loadtests.buyers.tally import Tally

__all__ = ["Crowd", "Habits", "StuckError"]

_REFRESH_S: Final = 0.2
_NOTHING_OPEN_S: Final = 0.25
_ABANDONED_SHARE: Final = 0.03
_ABANDONED_TICKETS_MAX: Final = 400
_ABANDONED_WITHIN_S: Final = 8.0
_ABANDON_CHANCE: Final = 0.15


class StuckError(Exception):
    """The show did not sell out in time; the message says how far it came."""


class Crowd:
    """A number of buyers who share a storefront's map, an API key and nothing else."""

    def __init__(  # noqa: PLR0913 -- each is a choice of its own, all by name
        self,
        *,
        base_url: str,
        api_key: str,
        show: str,
        buyers: int,
        seed: int,
        habits: Habits,
    ) -> None:
        """Describe a crowd; it does nothing yet."""
        self.tally = Tally()
        self.front: Storefront | None = None
        self._base_url = base_url
        self._api_key = api_key
        self._show = show
        self._count = buyers
        self._seed = seed
        self._habits = habits
        self._abandonable = 0
        self._luck = random.Random(f"{seed}")  # noqa: S311 -- to be repeatable
        self._sold_out = asyncio.Event()

    async def sell_out(self, timeout_s: float, watch: Callable[[Storefront, Tally], None]) -> None:
        """Let the crowd in, all at once, and return when everything is sold.

        `watch` is called after each look at the map, a few times a second.

        Raises:
            StuckError: it was not sold out in time.
            GaveUpError: the show can't be looked at.
        """
        async with self._open_desk() as desk:
            front = self.front = Storefront(desk, self._show)
            await front.load()
            share = int(front.total.capacity * _ABANDONED_SHARE)
            self._abandonable = min(share, _ABANDONED_TICKETS_MAX)
            position_of = {label: n for n, label in enumerate(front.labels) if label}
            self.tally.began_at = time.monotonic()
            buyers = [self._buyer(n, desk, front, position_of) for n in range(self._count)]
            tasks = [asyncio.create_task(self._come_again(buyer, front)) for buyer in buyers]
            try:
                async with asyncio.timeout(timeout_s):
                    await self._watch(front, watch)
                    await asyncio.gather(*tasks)
                    await self._check_expired(buyers)
            except TimeoutError as error:
                msg = f"not sold out within {timeout_s:.0f} s: {front.total}"
                raise StuckError(msg) from error
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _open_desk(self) -> AsyncGenerator[Desk]:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            yield Desk(session, self._base_url, self._api_key, self.tally)

    def _buyer(
        self, number: int, desk: Desk, front: Storefront, position_of: dict[str, int]
    ) -> Buyer:
        return Buyer(
            number,
            desk=desk,
            front=front,
            show=self._show,
            tally=self.tally,
            luck=random.Random(f"{self._seed}-{number}"),  # noqa: S311 -- to be repeatable
            habits=self._habits,
            may_abandon=self._may_abandon,
            position_of=position_of,
        )

    async def _come_again(self, buyer: Buyer, front: Storefront) -> None:
        while not self._sold_out.is_set():
            if front.total.open:
                await buyer.shop()
                await asyncio.sleep(0)
            else:
                # Whoever waits for a ticket to come back does not hammer the shop.
                await asyncio.sleep(_NOTHING_OPEN_S)

    async def _watch(self, front: Storefront, watch: Callable[[Storefront, Tally], None]) -> None:
        """Look at the map until all is sold; buyers shop meanwhile."""
        while True:
            try:
                await front.refresh()
            except GaveUpError as error:
                self.tally.error(str(error))
            if not front.total.open:
                self.tally.end_rush()
            watch(front, self.tally)
            if front.is_sold_out:
                self._sold_out.set()
                return
            await asyncio.sleep(_REFRESH_S)

    def _may_abandon(self, quantity: int) -> bool:
        """Let a few walk away early on, so that the end does not wait for the last of them."""
        early = time.monotonic() - self.tally.began_at < _ABANDONED_WITHIN_S
        if not early or self._abandonable < quantity:
            return False
        if self._luck.random() > _ABANDON_CHANCE:
            return False
        self._abandonable -= quantity
        return True

    async def _check_expired(self, buyers: list[Buyer]) -> None:
        left = [(buyer, held) for buyer in buyers for held in buyer.abandoned]
        try:
            for buyer, held in left:
                await buyer.check_expired(held)
        except GaveUpError as error:
            self.tally.error(str(error))
