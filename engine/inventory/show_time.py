"""A show's clock: that of the server which has the show, but never going back."""

import time
from typing import Final

from engine.inventory.keys import ShowKeys
from engine.inventory.scripts import load_script
from engine.platform.redis import Store

_NS_PER_MS: Final = 1_000_000


async def read_clock(redis: Store, keys: ShowKeys) -> int:
    """Return now, in ms since 1970, as the next script on this show will see it.

    Raises:
        redis.RedisError: the store could not be asked.
    """
    _, now_ms = await load_script("read_clock").call(redis, keys.inventory())
    return now_ms


class ShowClock:
    """An estimate of a show's clock: a little late, if at all."""

    def __init__(self, redis: Store) -> None:
        """Take the connection to ask."""
        self._redis = redis
        self._offset_ms: int | None = None

    async def now_ms(self, keys: ShowKeys) -> int:
        """Return the show's time in ms since 1970, asked for once and carried on from there."""
        if self._offset_ms is None:
            self.seen(await read_clock(self._redis, keys))
        return _monotonic_ms() + (self._offset_ms or 0)

    def seen(self, server_ms: int) -> None:
        """Learn from an answer, which was true a little before now."""
        self._offset_ms = server_ms - _monotonic_ms()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // _NS_PER_MS
