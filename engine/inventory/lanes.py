"""Batch lanes: requests that arrive while a script call is under way form the next batch.

One lane per show and process, one batch in flight. Under load the round trip, the fsync and the
script's fixed cost are shared by dozens of buyers; when idle, a batch has one member and adds no
wait. A lane has no task while nothing waits in it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec
import structlog
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from engine.inventory.allotments import NO_RIGHTS, Allotments, Rights
from engine.inventory.commands import (
    Command,
    InDoubt,
    Look,
    Outcome,
    Overloaded,
    Purchase,
    Purchased,
    Recovering,
    Unavailable,
    pack_batch,
)
from engine.inventory.keys import WAKE_CHANNEL, Wake, wake_call
from engine.inventory.outages import Outages
from engine.inventory.replies import Reply, ReplyError, outcome_of, read_reply, unsure
from engine.inventory.scripts import load_script
from engine.inventory.show_time import ShowClock
from engine.inventory.shows import Show
from engine.inventory.ticket_types import TicketType
from engine.inventory.waiting import (
    SELECTING,
    Waiting,
    answer_unasked,
    first_apart,
    give_up,
    tell_error,
)
from engine.inventory.worker_calls import WorkerCalls
from engine.platform.connections import refuses_to_write
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.platform.retrying import RELOAD, BreakerOpenError

SWEEP_MAX: Final = 512
"""Overdue holds that one batch releases at the most."""

WAIT_MS: Final = 100
"""How long a batch with a purchase waits for the replicas."""

_RELOADS_MAX: Final = 5
_LOOK_EVERY_S: Final = 1.0
_LANES_MAX: Final = 4096
_ID_BYTES: Final = 16

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class ShowSource(Protocol):
    """Where a lane gets its show from."""

    async def current(self) -> Show:
        """Return the show as this process knows it."""
        ...

    async def reload(self) -> Show:
        """Read the show again."""
        ...


class Lane:
    """Carries one show's commands from this process to the script, in batches."""

    def __init__(  # noqa: PLR0913 - `Lanes` names them
        self,
        redis: Store,
        source: ShowSource,
        *,
        batch_max: int,
        backlog_max: int,
        timeout_ms: int,
        record_backlog_max: int,
        replicas: int = 0,
    ) -> None:
        """Take the connections and the bounds.

        `timeout_ms` is how late a batch may still act, `replicas` how many servers could be
        promoted, all of which a purchase has to reach.
        """
        self._redis = redis
        self._clock = ShowClock(redis)
        self._source = source
        self._batch_max = batch_max
        self._backlog_max = backlog_max
        self._timeout_ms = timeout_ms
        self._record_backlog_max = record_backlog_max
        self._replicas = replicas
        self._waiting: deque[Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._script = load_script("batch")
        self._outages = Outages()
        self._calls = WorkerCalls(redis)
        self._looked_at = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing waits in it or is under way."""
        return self._task is None

    @property
    def is_full(self) -> bool:
        """Whether it takes no command until the next batch has gone out."""
        return len(self._waiting) >= self._backlog_max

    def submit(
        self,
        command: Command,
        *,
        knows_of_queue: bool = False,
        types: Mapping[str, TicketType] | None = None,
        allotments: Allotments | None = None,
        rights: Rights = NO_RIGHTS,
    ) -> asyncio.Future[Outcome]:
        """Put a command into the next batch; the future becomes what comes of it.

        A hold of a show with a waiting room is refused if whoever asks did not know of it, and one
        that was asked for by other ticket types, or judged by other allotments, than the show has
        by now.

        What the stores do is an outcome: a lost answer is `InDoubt`, and so on. The future raises
        `StoreUnavailableError` when the show is not in memory and can't be read, when the
        inventory store refuses to write, or is not asked since it has not answered lately: then
        nothing was done.

        Raises:
            ValueError, OverflowError, TypeError: the command can't be packed.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self.is_full:
            future.set_result(Overloaded())
            return future
        if len(command.hold) != _ID_BYTES:
            msg = f"a hold id has {_ID_BYTES} bytes, not {len(command.hold)}"
            raise ValueError(msg)
        # Packed alone, so that what can't be packed is its own caller's error and nobody else's.
        packed = command.packed()
        self._waiting.append(
            Waiting(command, packed, future, knows_of_queue, types, allotments, rights)
        )
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), self._batch_max)
                batch = [self._waiting.popleft() for _ in range(count)]
                # A caller that has gone away before its command was sent wants nothing any more.
                batch = [one for one in batch if not one.future.done()]
                apart = first_apart(batch)
                self._waiting.extendleft(reversed(batch[apart:]))
                del batch[apart:]
                if batch:
                    await self._carry(batch)
                    await self._calls.stir()
        finally:
            self._task = None
            give_up(self._waiting)
            self._waiting.clear()

    async def _carry(self, batch: list[Waiting]) -> None:
        try:
            outcomes = await self._decide(batch)
        except asyncio.CancelledError:
            give_up(batch)
            raise
        except StoreUnavailableError as error:
            tell_error(batch, error)
            return
        except Exception as error:  # noqa: BLE001 - told to every caller
            # Callers must hear of it: an unanswered future would wait for ever.
            _log.exception("batch failed", commands=len(batch))
            tell_error(batch, error)
            return
        for one, outcome in zip(batch, outcomes, strict=True):
            if not one.future.done():
                one.future.set_result(outcome)

    async def _decide(self, batch: list[Waiting]) -> Sequence[Outcome]:
        show = await self._source.current()
        if not show.is_stored:
            # Another process may have opened it meanwhile: no script can tell.
            show = await self._reload(0) or show
        too_late = 0
        for attempt in range(_RELOADS_MAX):
            unasked = answer_unasked(show, batch)
            if unasked is not None:
                return unasked
            reply = await self._ask(show, batch)
            if not isinstance(reply, Reply):
                return [reply] * len(batch)
            if reply.status == "ok":
                return await self._tell_decided(show, batch, reply)
            # Nothing was changed. What was too late may be tried again with a fresh clock; a show
            # that is fenced is so for whatever this process knows of it; what is stale here,
            # another process may have recovered or changed since.
            if reply.status == "too-late":
                too_late += 1
                continue
            reloaded = await self._know_better(reply.status, attempt)
            if reloaded is None:
                break
            show = reloaded
        if too_late == _RELOADS_MAX:
            return [Overloaded()] * len(batch)
        await self._calls.call_for_recovery(show.id)
        return [Recovering()] * len(batch)

    async def _tell_decided(
        self, show: Show, batch: list[Waiting], reply: Reply
    ) -> Sequence[Outcome]:
        if reply.inconsistent:
            _log.error("a hold claims what the store does not hold", show=show.id)
            await self._calls.call_for_rebuild(show.id)
        if not all(isinstance(one.command, Look) for one in batch):
            self._calls.note_change(show.id)
        return await self._tell(show, batch, reply)

    async def _know_better(self, status: str, attempt: int) -> Show | None:
        """Return what the show is now, if that makes it worth to ask again."""
        if status != "fenced":
            return await self._reload(attempt)
        # It may have been archived: looked up now and then, not with each batch.
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return None
        self._looked_at = now
        reloaded = await self._reload(0)
        return None if reloaded is None or reloaded.is_stored else reloaded

    async def _reload(self, attempt: int) -> Show | None:
        """Read the show again, after a pause if that was of no use before; None if it can't be."""
        if attempt:
            await asyncio.sleep(RELOAD.pause_s(attempt))
        try:
            return await self._source.reload()
        except (StoreUnavailableError, OSError, TimeoutError) as error:
            _log.warning("show not read again", error=repr(error))
            return None

    async def _tell(self, show: Show, batch: list[Waiting], reply: Reply) -> list[Outcome]:
        """Return the outcomes; of sales that the replicas may lack, say so."""
        outcomes = [outcome_of(answer) for answer in reply.answers]
        sold = [n for n, one in enumerate(outcomes) if isinstance(one, Purchased)]
        if not sold or not self._replicas or self._has_reached(reply):
            return outcomes
        if reply.replicas is None:
            # Met by a look or a repeated hold: asked for again, and waited for.
            with suppress(StoreUnavailableError):
                asked = await self._ask(show, [batch[n] for n in sold], wait=True)
                if isinstance(asked, Reply) and asked.status == "ok" and self._has_reached(asked):
                    return outcomes
        for n in sold:
            outcomes[n] = unsure(outcomes[n])
        return outcomes

    def _has_reached(self, reply: Reply) -> bool:
        if reply.replicas is None:
            return False
        self._outages.note_replicas(reply.replicas, self._replicas)
        return reply.replicas >= self._replicas

    async def _ask(
        self, show: Show, batch: list[Waiting], *, wait: bool = False
    ) -> Reply | Unavailable:
        """Call the script; tell what to make of it if it does not answer.

        Raises:
            StoreUnavailableError: the store refuses to write, and has written nothing, or has not
                answered lately and was not asked.
        """
        wait = wait or self._must_wait(batch)
        try:
            reply = await self._call(show, batch, wait=wait)
        except OutOfMemoryError as error:
            _log.error("the inventory store is full", error=str(error))
            return Overloaded()
        except ResponseError as error:
            if refuses_to_write(error):
                self._outages.note_silence(error)
                msg = f"the inventory store refuses to write: {error}"
                raise StoreUnavailableError(msg) from error
            # It raised before its first write: it could not read what it found.
            _log.error("batch raised", show=entity_hex(show.id), error=str(error))
            await self._calls.call_for_rebuild(show.id)
            return Recovering()
        except ReplyError as error:
            _log.error("unreadable reply to a batch", show=entity_hex(show.id), error=str(error))
            return InDoubt()
        except BreakerOpenError as error:
            raise StoreUnavailableError(str(error)) from error
        except (RedisError, OSError, TimeoutError) as error:
            self._outages.note_silence(error)
            return InDoubt()
        self._outages.note_answer()
        self._clock.seen(reply.now_ms)
        return reply

    def _must_wait(self, batch: list[Waiting]) -> bool:
        return self._replicas > 0 and any(isinstance(one.command, Purchase) for one in batch)

    async def _call(self, show: Show, batch: list[Waiting], *, wait: bool) -> Reply:
        levels = {
            level: ranges
            for one in batch
            if isinstance(one.command, SELECTING)
            for level, _ in one.command.selection.best
            if (ranges := show.allotments.search(show.manifest, level, one.rights)) is not None
        }
        header = [
            show.epoch,
            show.inventory_version,
            show.price_version,
            await self._clock.now_ms(show.keys) + self._timeout_ms,
            SWEEP_MAX,
            self._record_backlog_max,
        ]
        if wait:
            header.append(True)
        commands = [one.command for one in batch]
        arguments = (
            _encode(header),
            _encode(levels) if levels else b"",
            WAKE_CHANNEL,
            wake_call(Wake.RECORD, show.id),
            *pack_batch([one.hold for one in commands], [one.packed for one in batch]),
        )
        keys = show.keys.inventory()
        if not wait:
            reply = await self._script.call(self._redis, keys, *arguments)
            return read_reply(reply, commands, show.price_version)
        reply, reached = await self._script.call_and_wait(
            self._redis, keys, *arguments, replicas=self._replicas, timeout_ms=WAIT_MS
        )
        return read_reply(reply, commands, show.price_version, replicas=reached)


class Lanes:
    """One lane per show, made when first asked for; idle ones are forgotten first."""

    def __init__(self, redis: Store, **bounds: int) -> None:
        """Take the connection, and the bounds that every lane gets."""
        self._redis = redis
        self._bounds = bounds
        self._lanes: dict[int, Lane] = {}

    def known(self, show: int) -> Lane | None:
        """Return the show's lane, None if there is none yet: then `make` it."""
        return self._lanes.get(show)

    def make(self, show: int, source: ShowSource) -> Lane:
        """Make a lane for a show that has none; `source` is where it gets its show from."""
        if len(self._lanes) >= _LANES_MAX:
            self._lanes = {key: one for key, one in self._lanes.items() if not one.idle}
        lane = self._lanes[show] = Lane(self._redis, source, **self._bounds)
        return lane
