"""Looks at a waiting room many times a second: passes issued so far, and passes that live.

What it saw is judged by the room's own rules: in no window more passes than rate times window plus
burst, and never more at a time than the checkout may have.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import Redis

from engine.platform.settings import Settings
from loadtests.spike.lag import UNREADABLE

_EVERY_S: Final = 0.05
_TIMEOUT_S: Final = 5
_ROUNDING: Final = 1e-6


class QueueRules(Struct, frozen=True):
    """What bounds the passes of a waiting room."""

    rate: float
    """Passes a second."""
    burst: float
    checkout_max: int


class Look(Struct, frozen=True):
    """What one look saw, all of it in the same moment."""

    at: float
    """Seconds since 1970 by the store's clock."""
    issued: int
    """Passes since the room was opened."""
    occupancy: int
    """Passes that live."""


class QueueWatch:
    """The looks at one waiting room."""

    def __init__(self, settings: Settings, show: int, rules: QueueRules) -> None:
        """Take where the store is, the show's number, and its rules."""
        self.looks: list[Look] = []
        self.rules = rules
        self._url = settings.redis_url
        self._queue = f"{{{show:016x}}}:queue"

    async def look_on(self, over: asyncio.Event) -> None:
        """Look until it is over, and once more then; a look that fails is left out."""
        redis: Redis = Redis.from_url(
            self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        )
        try:
            is_last = False
            while not is_last:
                is_last = over.is_set()
                with suppress(*UNREADABLE):  # the next look comes soon, and windows span the gap
                    self.looks.append(await self._look(redis))
                await asyncio.sleep(_EVERY_S)
        finally:
            await redis.aclose()

    async def _look(self, redis: Redis) -> Look:
        async with redis.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.hget(self._queue, "issued")
            pipeline.zcard(f"{self._queue}-passes")
            told: list[Any] = await pipeline.execute()
        (seconds, micros), issued, occupancy = told
        return Look(seconds + micros / 1e6, int(issued or 0), occupancy)


def most_at_once(looks: Sequence[Look]) -> int:
    """Return the most passes that lived in any look."""
    return max((look.occupancy for look in looks), default=0)


def over_cap(looks: Sequence[Look], rules: QueueRules) -> int:
    """Return in how many looks more passes lived than may."""
    return sum(look.occupancy > rules.checkout_max for look in looks)


def rate_bound_violations(looks: Sequence[Look], rules: QueueRules) -> int:
    """Return how many looks end a window with more passes than rate times window plus burst.

    `issued - rate * time` may nowhere be more than the burst above its least value before, which
    says the same of all windows at once.
    """
    ahead = [look.issued - rules.rate * look.at for look in looks]
    least = accumulate(ahead, min)
    return sum(a - b > rules.burst + _ROUNDING for a, b in zip(ahead, least, strict=True))
