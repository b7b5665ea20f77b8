"""Looks into the inventory store during a rehearsal, which change nothing."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.platform.settings import Settings
from loadtests.auditor.servers import open_servers

UNREADABLE: Final = (RedisError, OSError, TimeoutError)
"""What a look may raise while the store is away."""

_FIELDS: Final = ("state", "next", "serving", "stock", "issued", "rate")


class Look(Struct, frozen=True):
    """How queue and show stood at one moment."""

    at_s: float
    """Seconds since 1970."""
    state: str
    next: int
    serving: int
    stock: float
    issued: int
    rate: float
    live: int
    """Passes before their deadline."""
    claiming: int
    open: int
    held: int
    sold: int


class Window:
    """What a show's keys are read through."""

    def __init__(self, redis: Redis, show: int) -> None:
        """Take the server that has the show, and its number."""
        self._redis = redis
        tag = f"{{{show:016x}}}"
        self._queue = f"{tag}:queue"
        self._seats = f"{tag}:seats"

    async def look(self) -> Look | None:
        """Return how things stand; None before there is a queue.

        Raises:
            one of UNREADABLE: the store can't be read.
        """
        now_s = time.time()
        asked = self._redis.pipeline(transaction=True)
        asked.hmget(self._queue, list(_FIELDS))
        asked.zcount(f"{self._queue}-passes", f"({now_s * 1000:.0f}", "+inf")
        asked.zcard(f"{self._queue}-waiting")
        asked.get(self._seats)
        fields, live, claiming, seats = await asked.execute()
        if fields[0] is None or seats is None:
            return None
        state, number, serving, stock, issued, rate = fields
        return Look(
            at_s=now_s,
            state=state.decode(),
            next=int(number),
            serving=int(serving),
            stock=float(stock),
            issued=int(issued),
            rate=float(rate or 0),
            live=live,
            claiming=claiming,
            open=seats.count(b"o"),
            held=seats.count(b"h"),
            sold=seats.count(b"s"),
        )


@asynccontextmanager
async def open_window(settings: Settings, show: int) -> AsyncGenerator[Window]:
    """Connect to the store.

    Raises:
        one of UNREADABLE: it can't be reached.
    """
    async with open_servers(settings.redis_url) as servers:
        await servers.look()
        yield Window(servers.of(show), show)
