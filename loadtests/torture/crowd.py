"""Buyers who fight over a small, hot inventory, and repeat, release, replace and come too late.

What each does comes from the round's seed. All that they do with an answer in doubt is what the API
asks of them: to repeat the call with its key. Some give up instead, as people do.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from loadtests.checker.history import Ambiguous, Answer, Bought, Held, Kind, Refused, Request
from loadtests.torture.box_office_calls import NOTHING_DONE, BoxOffice

CLIENTS: Final = 12
BUYERS: Final = 24
"""Few enough for limits per buyer to be fought over too."""

TTLS_S: Final = (1, 1, 2, 2, 3)
RESTING_S: Final = (0.03, 0.25)
TRIES_MAX: Final = 60

_THINK_S: Final = 0.03
_GIVE_BACK: Final = 0.5
"""The share of the rounds in which orders are given back."""
_OLD_HOLDS_MAX: Final = 40
_NS: Final = 1_000_000_000

# A few seats are wanted by nearly all.
_HEAT: Final = 2.2


class Goods(Struct, frozen=True):
    """What a show sells: seats in the order of their positions, and areas."""

    seats: tuple[str, ...]
    areas: tuple[str, ...]


class Taken(Struct, frozen=True):
    """A hold that a client has or had: its id, the request that made it, and its buyer."""

    hold: str
    request: Request


class Crowd:
    """All clients of a round."""

    def __init__(self, office: BoxOffice, show: str, goods: Goods, seed: int) -> None:
        """Take whom they ask, for what, and the seed of their dice."""
        self.old: deque[Taken] = deque(maxlen=_OLD_HOLDS_MAX)
        """Holds of all clients, ended or not: someone always comes back with one."""
        # Where orders are given back, nobody refuses from memory: that is to be fought over, too.
        self.gives_back = random.Random(f"{seed} returns").random() < _GIVE_BACK  # noqa: S311 -- dice
        self._clients = [
            Client(number, self, office, show, goods, random.Random(f"{seed} {number}"))  # noqa: S311 -- dice
            for number in range(CLIENTS)
        ]

    async def fight(self, seconds: float, patience_s: float) -> None:
        """Let new holds be made for so long; what is under way then is settled within patience.

        What patience is too short for is left in doubt.
        """
        ends = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds + patience_s), asyncio.TaskGroup() as group:
                for client in self._clients:
                    group.create_task(client.shop_until(ends))
        except TimeoutError:
            return


class Client:
    """One client: one thing after the other, for whichever buyer comes up."""

    def __init__(  # noqa: PLR0913, PLR0917 -- the crowd hands each what they all share
        self,
        number: int,
        crowd: Crowd,
        office: BoxOffice,
        show: str,
        goods: Goods,
        dice: random.Random,
    ) -> None:
        """Take its number, what all share, and its own dice."""
        self._name = f"c{number}"
        self._crowd = crowd
        self._office = office
        self._show = show
        self._goods = goods
        self._dice = dice
        self._steps = 0

    async def shop_until(self, ends: float) -> None:
        """Make holds and see to them until the time is over."""
        while time.monotonic() < ends:
            await self._think()
            if self._crowd.old and self._chance(0.2):
                await self._come_back(self._dice.choice(self._crowd.old))
            else:
                taken = await self._take()
                if taken is not None:
                    await self._see_to(taken, ends)

    # ---------------------------------------------------------------- what one may do

    async def _take(self) -> Taken | None:
        seats, areas = self._wish()
        request = self._request(
            "hold",
            buyer=f"b{self._dice.randrange(BUYERS)}",
            key=self._key("h"),
            seats=seats,
            areas=areas,
            ttl_ns=self._dice.choice(TTLS_S) * _NS,
        )
        answer = await self._insist(request, gives_up=0.15)
        if not isinstance(answer, Held):
            return None
        taken = Taken(answer.hold, request)
        self._crowd.old.append(taken)
        return taken

    async def _see_to(self, taken: Taken, ends: float) -> None:
        """Buy it, give it back, take something else instead, look, wait too long, or walk away."""
        while True:
            await self._think()
            whim = self._dice.random()
            if whim < 0.13:  # noqa: PLR2004 -- shares of what people do
                await self._buy(taken)
                return
            if whim < 0.47:  # noqa: PLR2004
                await self._insist(self._about(taken, "release"), gives_up=0.2)
                return
            if whim < 0.7:  # noqa: PLR2004
                await self._insist(self._other_places(taken), gives_up=0.3)
            elif whim < 0.8:  # noqa: PLR2004
                await self._office.call(self._about(taken, "look"))
            elif whim < 0.86:  # noqa: PLR2004 -- until about its deadline
                wait_s = (taken.request.ttl_ns or 0) / _NS * self._dice.uniform(0.7, 1.1)
                if time.monotonic() + wait_s < ends:
                    await asyncio.sleep(wait_s)
                    await self._buy(taken)
                return
            else:
                return

    async def _buy(self, taken: Taken) -> None:
        """Buy it, now and then twice at once, again, or with another key."""
        request = self._about(taken, "purchase", key=self._key("p"))
        if self._chance(0.1):
            await self._both(
                self._insist(request, gives_up=0.0), self._insist(request, gives_up=0.0)
            )
            return
        answer = await self._insist(request, gives_up=0.1)
        if isinstance(answer, Bought) and self._crowd.gives_back and self._chance(0.5):
            await self._give_back(taken)
        if isinstance(answer, Bought) and self._chance(0.3):
            again = request if self._chance(0.6) else self._about(taken, "purchase", self._key("q"))
            await self._office.call(again)

    async def _give_back(self, taken: Taken) -> None:
        """Return the order, now and then twice at once; who gives up may have returned it."""
        await self._think()
        request = self._about(taken, "return")
        if self._chance(0.2):
            await self._both(
                self._insist(request, gives_up=0.1), self._insist(request, gives_up=0.1)
            )
            return
        await self._insist(request, gives_up=0.2)

    async def _come_back(self, taken: Taken) -> None:
        """Do something late, or again, with a hold that is probably over or somebody else's."""
        whim = self._dice.random()
        if whim < 0.3:  # noqa: PLR2004 -- shares of what people do
            await self._office.call(self._about(taken, "look"))
        elif whim < 0.55:  # noqa: PLR2004
            await self._office.call(self._about(taken, "release"))
        elif whim < 0.75:  # noqa: PLR2004
            repeated = msgspec.structs.replace(taken.request, client=self._name)
            await self._office.call(repeated)
        elif whim < 0.85:  # noqa: PLR2004
            await self._insist(self._about(taken, "purchase", self._key("p")), gives_up=0.1)
        elif whim < 0.95:  # noqa: PLR2004
            await self._office.call(self._about(taken, "return"))
        else:
            await self._office.call(self._other_places(taken))

    # ---------------------------------------------------------------- how it asks

    async def _insist(self, request: Request, *, gives_up: float) -> Answer:
        """Repeat a call with its key until it is decided; or give up, with this share of chance."""
        if request.key is not None and self._chance(0.05):
            await self._both(self._office.call(request), self._office.call(request))
        answer = await self._office.call(request)
        for _ in range(TRIES_MAX):
            if isinstance(answer, Ambiguous):
                if self._chance(gives_up):
                    break
            elif not (isinstance(answer, Refused) and answer.reason in NOTHING_DONE):
                break
            await asyncio.sleep(self._dice.uniform(*RESTING_S))
            answer = await self._office.call(request)
        return answer

    async def _both(self, one: Awaitable[Answer], other: Awaitable[Answer]) -> None:
        async with asyncio.TaskGroup() as group:
            for call in (one, other):
                group.create_task(_awaited(call))

    def _about(self, taken: Taken, kind: Kind, key: str | None = None) -> Request:
        return self._request(kind, buyer=taken.request.buyer, hold=taken.hold, key=key)

    def _other_places(self, taken: Taken) -> Request:
        seats, areas = self._wish()
        return self._request(
            "replace", buyer=taken.request.buyer, hold=taken.hold, seats=seats, areas=areas
        )

    def _request(  # noqa: PLR0913 -- a request's parts, by name
        self,
        kind: Kind,
        *,
        buyer: str,
        hold: str | None = None,
        key: str | None = None,
        seats: tuple[str, ...] = (),
        areas: dict[str, int] | None = None,
        ttl_ns: int | None = None,
    ) -> Request:
        return Request(
            client=self._name,
            kind=kind,
            show=self._show,
            buyer=buyer,
            key=key,
            hold=hold,
            seats=seats,
            areas=areas or {},
            ttl_ns=ttl_ns,
        )

    def _wish(self) -> tuple[tuple[str, ...], dict[str, int]]:
        """Return what someone wants: seats beside each other, places in an area, or both."""
        whim = self._dice.random()
        areas = {}
        if self._goods.areas and whim > 0.7:  # noqa: PLR2004 -- a share
            areas = {self._dice.choice(self._goods.areas): self._dice.randint(1, 3)}
            if whim < 0.9:  # noqa: PLR2004
                return (), areas
        return self._seats(self._dice.choice((1, 1, 2, 2, 3))), areas

    def _seats(self, count: int) -> tuple[str, ...]:
        labels: Sequence[str] = self._goods.seats
        first = int(len(labels) * self._dice.random() ** _HEAT)
        first = min(first, len(labels) - count)
        if self._chance(0.25):  # apart, and not in their order
            return tuple(dict.fromkeys(self._dice.choices(labels, k=count)))
        return tuple(labels[first : first + count])

    def _key(self, purpose: str) -> str:
        self._steps += 1
        return f"{purpose}-{self._name}-{self._steps}"

    def _chance(self, share: float) -> bool:
        return self._dice.random() < share

    async def _think(self) -> None:
        await asyncio.sleep(self._dice.expovariate(1 / _THINK_S))


async def _awaited(call: Awaitable[Answer]) -> None:
    await call
