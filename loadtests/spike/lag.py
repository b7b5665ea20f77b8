"""How far the recorder is behind: sales that the show's stream has and the ledger has not."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.settings import Settings
from loadtests.auditor.ledger import open_ledger

UNREADABLE: Final = (RedisError, SQLAlchemyError, OSError, TimeoutError)
"""What a look may raise while a store is away."""

_TIMEOUT_S: Final = 5
_POSITION: Final = text("SELECT epoch, seq FROM recorder_positions WHERE show_id = :show")


class Recorder:
    """A look at one show's stream and at the position that is committed for it; it only reads."""

    def __init__(self, redis: Redis, ledger: AsyncConnection, show: int) -> None:
        """Take both stores and the show's number."""
        self._redis = redis
        self._ledger = ledger
        self._show = show

    async def lag(self) -> int:
        """Return how many sales are decided and not recorded yet.

        After a recovery only those of the present epoch count: the earlier ones were drained.
        """
        async with self._ledger.begin():
            row = (await self._ledger.execute(_POSITION, {"show": self._show})).one_or_none()
        # The stream is read second: a sale in between counts, none is taken as recorded.
        epoch, n = await self._last_sale()
        if row is not None and row.epoch == epoch:
            return max(n - row.seq, 0)
        return n + 1

    async def _last_sale(self) -> tuple[int, int]:
        """Return the newest sale's epoch and number; -1 as the number before the first."""
        name = f"{{{self._show:016x}}}:sales"
        try:
            reply = await cast(
                "Awaitable[list[Any] | dict[Any, Any]]",
                self._redis.execute_command("XINFO", "STREAM", name),
            )
        except ResponseError:
            return 0, -1  # no sale yet, hence no stream
        if isinstance(reply, dict):
            last: bytes = reply["last-generated-id"]
        else:
            last = reply[reply.index(b"last-generated-id") + 1]
        epoch, _, n = last.partition(b"-")
        return int(epoch), int(n)


@asynccontextmanager
async def open_recorder(settings: Settings, show: int) -> AsyncGenerator[Recorder]:
    """Connect to both stores.

    Raises:
        one of UNREADABLE: a store can't be reached.
    """
    redis: Redis = Redis.from_url(
        settings.redis_url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
    )
    try:
        async with open_ledger(settings) as ledger:
            yield Recorder(redis, ledger, show)
    finally:
        await redis.aclose()
