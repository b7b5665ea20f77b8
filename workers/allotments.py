"""Ends allotments whose time is over, and gives back what was held when they ended: each second."""

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine.catalog.allotment_ends import end_allotment, return_left
from engine.catalog.allotments import LeftAllotment, find_due, find_left
from engine.inventory.commands import Recovering
from engine.inventory.keys import show_keys
from engine.inventory.records import unpack_area
from engine.platform.ids import EntityId, Ids, entity_hex
from engine.runtime import Working

_PAUSE_S: Final = 0.5
_AT_A_TIME: Final = 100
_REST_S_MAX: Final = 30.0

_log = structlog.stdlib.get_logger(__name__)


class Allotted:
    """Looks after allotments, for one process."""

    def __init__(self, working: Working) -> None:
        """Take what the worker has opened."""
        self._working = working
        self._ids = Ids(working.settings.region, working.settings.secret.encode())
        self._rests: dict[int, tuple[float, float]] = {}
        """By allotment, until when nothing of it is given back, and the rest after that."""
        self._looked_up_to: LeftAllotment | None = None

    async def end_due(self) -> None:
        """End what is due.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
        """
        working = self._working
        for due in await find_due(working.recorder_engine, most=_AT_A_TIME):
            ending = end_allotment(
                working.recorder_engine.begin,
                working.redis,
                working.book,
                self._ids,
                show=due.show,
                allotment=due.id,
                by="time",
            )
            await self._do(ending, "allotment ended", due.show, due.id)

    async def return_left(self) -> None:
        """Give back what has opened of ended allotments. Raises as `end_due`, and RedisError."""
        working = self._working
        after = self._looked_up_to
        left = await find_left(working.recorder_engine, most=_AT_A_TIME, after=after)
        # What stays held for long must not keep those behind it from their turn.
        self._looked_up_to = left[-1] if len(left) == _AT_A_TIME else None
        now_s = monotonic()
        self._rests = {
            allotment: rest
            for allotment, rest in self._rests.items()
            if rest[0] + _REST_S_MAX > now_s
        }
        resting = {allotment for allotment, (until_s, _) in self._rests.items() if until_s > now_s}
        for one in await self._opened([one for one in left if one.id not in resting]):
            # Each return makes an inventory version: holds that end one by one wait for each other.
            rest_s = min(2 * self._rests.get(one.id, (0.0, _PAUSE_S))[1], _REST_S_MAX)
            self._rests[one.id] = now_s + rest_s, rest_s
            returning = return_left(
                working.recorder_engine.begin,
                working.redis,
                working.book,
                show=one.show,
                allotment=one.id,
            )
            await self._do(returning, "places of an allotment returned", one.show, one.id)

    async def _opened(self, left: list[LeftAllotment]) -> list[LeftAllotment]:
        """Return those of which the store has an open place."""
        if not left:
            return []
        pipeline = self._working.redis.pipeline(transaction=False)
        for one in left:
            areas = [str(share.share) for share in one.shares]
            pipeline.hmget(show_keys(one.show).areas, areas)
        answers = await pipeline.execute(raise_on_error=False)
        return [
            one
            for one, packed in zip(left, answers, strict=True)
            # Of a cluster one node may fail: its shows wait.
            if not isinstance(packed, Exception)
            and any(area is not None and unpack_area(area).open for area in packed)
        ]

    async def _do(
        self, doing: Awaitable[Recovering | None], done: str, show: EntityId, allotment: EntityId
    ) -> None:
        try:
            outcome = await doing
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            # A show that can't be changed just now must not keep the others from it.
            _log.warning("allotment not changed", show=entity_hex(show), error=repr(error))
            return
        if outcome is None:
            _log.info(done, show=entity_hex(show), allotment=entity_hex(allotment))


async def run_allotments(working: Working) -> None:
    """Look after allotments until cancelled.

    A store that fails ends it; whoever started it starts it again.
    """
    allotted = Allotted(working)
    while True:
        await allotted.end_due()
        await allotted.return_left()
        await asyncio.sleep(_PAUSE_S)
