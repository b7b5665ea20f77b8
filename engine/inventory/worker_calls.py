"""Calls the workers to a show: to recover it, or to look at it since something happens there."""

import time
from typing import Final

import structlog
from redis.exceptions import RedisError

from engine.inventory.keys import WAKE_CHANNEL, Wake, wake_call
from engine.inventory.stirring import stir
from engine.platform.redis import Store

_CALL_EVERY_S: Final = 0.05
_STIR_EVERY_S: Final = 10.0

_log = structlog.get_logger(__name__)


class WorkerCalls:
    """The calls of one show's lane, none more often than is of use."""

    def __init__(self, redis: Store) -> None:
        """Take the connection."""
        self._redis = redis
        self._called_at = 0.0
        self._stirred: int | None = None
        self._stirred_at = 0.0

    async def call_for_recovery(self, show: int) -> None:
        """Call for it, for a fenced show whose batches follow one another not with each."""
        now = time.monotonic()
        if now - self._called_at >= _CALL_EVERY_S:
            self._called_at = now
            await self._wake(show, Wake.RECOVER)

    async def call_for_rebuild(self, show: int) -> None:
        """Call for the show to be made anew from the ledger: what the store has can't be right."""
        await self._wake(show, Wake.REBUILD)

    def note_change(self, show: int) -> None:
        """Remember that something happened in the show, for `stir`."""
        self._stirred = show

    async def stir(self) -> None:
        """Say now and then that something happens in the show; whoever waited has their answer."""
        now = time.monotonic()
        if self._stirred is None or now - self._stirred_at < _STIR_EVERY_S:
            return
        show, self._stirred, self._stirred_at = self._stirred, None, now
        await stir(self._redis, show)

    async def _wake(self, show: int, wake: Wake) -> None:
        try:
            await self._redis.publish(WAKE_CHANNEL, wake_call(wake, show))
        except (RedisError, OSError) as error:
            # The show has its turn all the same: this only makes it quicker.
            _log.warning("could not wake the workers", error=repr(error))
