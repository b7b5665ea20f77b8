"""Follows the deltas of the shows that sell out, for a process's memory of what is sold.

One task for all of them. A show is followed from its first refusal on, until
nobody has asked for its sold places for a while, or an order of it is given back.
"""

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any, Final

import structlog
from redis.exceptions import RedisError

from engine.inventory.commands import Refusal, Selection
from engine.inventory.facts import StreamId
from engine.inventory.shows import Show
from engine.inventory.sold_memory import FIRST_EPOCH, GapError, SoldMemory
from engine.platform.ids import entity_hex
from engine.platform.redis import Pipeline, Store, StreamEntries
from engine.platform.retrying import LISTENING, Patience

FRESH_S: Final = 1.0
"""What was not confirmed by the store for so long is not used."""

REST_S: Final = 1.5 * FRESH_S
"""For so long after it was told of in the store nobody uses what a return is about to undo."""

TELLS_OF_RETURNS: Final = "returning"
"""The field of meta that says that places of this show may go back on sale."""

_SEATS_MAX: Final = 1_000_000
_SHOWS_MAX: Final = 64
_UNFIT_MAX: Final = 4096
_IDLE_S: Final = 60.0
_CHECK_S: Final = 0.5
_PAUSE_S: Final = 0.05
_ENTRIES_AT_A_TIME: Final = 200

_log = structlog.get_logger(__name__)


class _Followed:
    """A show that is followed."""

    def __init__(self, show: Show, now: float) -> None:
        self.show = show
        self.memory = SoldMemory(show.manifest)
        self.asked_at = now
        self.confirmed_at = now - 2 * FRESH_S
        """When the store was last found to have no delta that is not learnt."""


class SoldWatch:
    """What this process knows to be sold, of all shows."""

    def __init__(self, redis: Store) -> None:
        """Take the inventory store; nothing is followed yet."""
        self._redis = redis
        self._followed: dict[int, _Followed] = {}
        self._unfit: OrderedDict[int, None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def refuse(self, show: Show, hold: bytes, selection: Selection) -> Refusal | None:
        """Return why a selection can't be held for certain; None: ask the store."""
        followed = self._followed.get(show.id)
        if followed is None:
            return None
        now = time.monotonic()
        followed.asked_at = now
        if show.edit_no > followed.show.edit_no:
            followed.show = show
            followed.memory.rebase(show.manifest)
            return None
        if now - followed.confirmed_at > FRESH_S or not _is_selling(show, selection):
            return None
        return followed.memory.refuse(hold, selection)

    def follow(self, show: Show) -> None:
        """Follow a show from now on: it has begun to refuse."""
        if show.id in self._followed or len(self._followed) >= _SHOWS_MAX:
            return
        if show.epoch != FIRST_EPOCH or show.id in self._unfit:
            return
        seats = sum(len(one.show.manifest.layout) for one in self._followed.values())
        if seats + len(show.manifest.layout) > _SEATS_MAX:
            return
        self._followed[show.id] = _Followed(show, time.monotonic())
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        checked_at = 0.0
        patience = Patience(LISTENING)
        while self._followed:
            try:
                await self._read_on()
                if time.monotonic() - checked_at > _CHECK_S:
                    checked_at = time.monotonic()
                    await self._check()
            except (RedisError, OSError, TimeoutError) as error:
                # Another server may answer next: what was learnt from this one is void.
                _log.warning("deltas interrupted", error=repr(error))
                self._followed.clear()
                await patience.pause()
            else:
                patience.is_well()

    async def _read_on(self) -> None:
        """Read what is new of each show.

        Not by a read that waits: in a cluster each stream would need a connection of its own.
        """
        wanted = list(self._followed.values())
        began = time.monotonic()
        pipeline = self._redis.pipeline(transaction=False)
        for one in wanted:
            after = f"({one.memory.position}"
            pipeline.xrange(one.show.keys.deltas, after, "+", _ENTRIES_AT_A_TIME)
            pipeline.hmget(one.show.keys.meta, [TELLS_OF_RETURNS, "edit_no"])
        is_more = False
        answers = await self._answers(pipeline)
        for one, listed, told in zip(wanted, answers[::2], answers[1::2], strict=True):
            failed = next((a for a in (listed, told) if isinstance(a, Exception)), None)
            if failed is not None:
                self._forget_unanswered(one, failed)
                continue
            returning, edit_no = told
            if returning is not None:
                self._leave(one)
            elif self._learn(one, listed) and int(edit_no or 0) == one.show.edit_no:
                # Else its places are others by now: nothing is refused until a caller knows them.
                if len(listed) < _ENTRIES_AT_A_TIME:
                    one.confirmed_at = began
                else:
                    is_more = True
        if not is_more:
            await asyncio.sleep(_PAUSE_S)

    async def _answers(self, pipeline: Pipeline) -> list[Any]:
        """Return a pipeline's answers; of a cluster, one node's failure among them."""
        answers = await pipeline.execute(raise_on_error=False)
        if answers and all(isinstance(answer, Exception) for answer in answers):
            raise answers[0]
        return answers

    def _forget_unanswered(self, one: _Followed, error: Exception) -> None:
        # Another server may answer next: what was learnt from this one is void.
        _log.info("forgot what was sold", show=entity_hex(one.show.id), why=repr(error))
        self._forget(one)

    def _leave(self, one: _Followed) -> None:
        """Never follow a show again in which sold places go back on sale."""
        self._unfit[one.show.id] = None
        if len(self._unfit) > _UNFIT_MAX:
            self._unfit.popitem(last=False)
        self._forget(one)

    def _learn(self, one: _Followed, listed: StreamEntries) -> bool:
        """Return whether the show can still be followed."""
        try:
            for at, fields in listed:
                one.memory.learn(StreamId.parse(at), fields[b"d"])
        except (GapError, LookupError, ValueError) as error:
            _log.info("forgot what was sold", show=entity_hex(one.show.id), why=str(error))
            self._forget(one)
            return False
        return True

    async def _check(self) -> None:
        """Confirm that each show's epoch is still the one that is open; forget idle shows."""
        wanted = list(self._followed.values())
        began = time.monotonic()
        pipeline = self._redis.pipeline(transaction=False)
        for one in wanted:
            pipeline.hmget(one.show.keys.meta, ["state", "epoch"])
        for one, answer in zip(wanted, await self._answers(pipeline), strict=True):
            if isinstance(answer, Exception):
                self._forget_unanswered(one, answer)
                continue
            is_open = answer == [b"open", str(one.show.epoch).encode()]
            if not is_open or began - one.asked_at > _IDLE_S:
                self._forget(one)

    def _forget(self, one: _Followed) -> None:
        if self._followed.get(one.show.id) is one:
            del self._followed[one.show.id]


def _is_selling(show: Show, selection: Selection) -> bool:
    """Whether nothing else would refuse the selection first, as far as this process can tell."""
    if show.state != "on_sale" or selection.tickets > show.max_per_hold:
        return False
    return show.closes_at_ms is None or time.time_ns() // 1_000_000 < show.closes_at_ms
