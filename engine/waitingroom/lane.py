"""The lane of a waiting room: what arrives while a script call is under way forms the next batch.

As the lanes of holds do (decision 2): one a show and process, one batch in flight, no task while
nothing waits. Most of what comes is somebody who joins without a word: those are only counted.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from redis.exceptions import OutOfMemoryError, RedisError

from engine.inventory.commands import InDoubt, Overloaded, Recovering
from engine.inventory.keys import QueueKeys
from engine.inventory.lanes import WAIT_MS
from engine.inventory.scripts import load_script
from engine.platform.errors import StoreUnavailableError
from engine.platform.redis import Store
from engine.platform.retrying import BreakerOpenError
from engine.waitingroom.commands import (
    Claim,
    Command,
    Full,
    Issued,
    Join,
    Joined,
    KeyNumbers,
    Outcome,
    Shut,
    pack,
    read_answer,
)

JOINS_MAX: Final = 2048
"""Plain joins in one script call."""
ALONE_S: Final = 2.0
"""For so long passes and identities' numbers wait for replicas that do not acknowledge."""
COMMANDS_MAX: Final = 256
BACKLOG_MAX: Final = 8192
_LANES_MAX: Final = 4096

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class _Waiting(Struct, frozen=True):
    command: Command
    future: asyncio.Future[Outcome]


class _Batch(Struct, frozen=True):
    joins: Sequence[asyncio.Future[Outcome]]
    waiting: Sequence[_Waiting]

    def futures(self) -> Iterable[asyncio.Future[Outcome]]:
        yield from self.joins
        yield from (one.future for one in self.waiting)


class QueueLane:
    """Carries what one process is asked about one waiting room to the script, in batches."""

    def __init__(self, redis: Store, keys: QueueKeys, *, replicas: int) -> None:
        """Take the connection; a pass and an identity's number have to reach all replicas."""
        self._redis = redis
        self._keys = keys
        self._replicas = replicas
        self._joins: deque[asyncio.Future[Outcome]] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._script = load_script("serve_queue")
        self._alone_since_s: float | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits in it or is under way."""
        return self._task is None

    def submit(self, command: Command) -> asyncio.Future[Outcome]:
        """Put a command into the next batch; the future becomes what comes of it.

        It raises `StoreUnavailableError` when the store was not asked, since it has not answered
        lately.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if len(self._joins) + len(self._waiting) >= BACKLOG_MAX:
            future.set_result(Overloaded())
            return future
        if isinstance(command, Join) and command.identity is None and command.proof is None:
            self._joins.append(future)
        else:
            self._waiting.append(_Waiting(command, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._joins or self._waiting:
                await self._carry(
                    _Batch(_take(self._joins, JOINS_MAX), _take(self._waiting, COMMANDS_MAX))
                )
        finally:
            self._task = None
            for future in _Batch(self._joins, self._waiting).futures():
                future.cancel()
            self._joins.clear()
            self._waiting.clear()

    async def _carry(self, batch: _Batch) -> None:
        futures = list(batch.futures())
        try:
            outcomes = await self._ask(batch)
        except asyncio.CancelledError:
            for future in futures:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - told to every caller, who would wait for ever
            if not isinstance(error, StoreUnavailableError):
                _log.exception("queue batch failed", commands=len(futures))
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, outcome in zip(futures, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    async def _ask(self, batch: _Batch) -> Sequence[Outcome]:
        count = len(batch.joins) + len(batch.waiting)
        try:
            reply, reached = await self._call(batch)
        except BreakerOpenError as error:
            raise StoreUnavailableError(str(error)) from error
        except OutOfMemoryError as error:
            _log.error("the inventory store is full", error=str(error))
            return [Overloaded()] * count
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("queue batch unanswered", error=repr(error))
            return [InDoubt()] * count
        status, *rest = _decode(reply)
        if status == "fenced":
            return [Recovering()] * count
        may_join, first, given, answers = rest
        joined: list[Outcome] = [Joined(first + n) for n in range(given)]
        joined += [Full() if may_join else Shut()] * (len(batch.joins) - given)
        # An empty list comes from Lua as an empty map.
        told: list[Outcome] = [read_answer(answer) for answer in answers or ()]
        return [*joined, *(one if reached else _unsure(one) for one in told)]

    async def _call(self, batch: _Batch) -> tuple[bytes, bool]:
        """Return the script's reply, and whether what must reach the replicas has."""
        always = self._keys.all()
        numbers = KeyNumbers(self._keys, len(always) + 1)
        commands = [pack(one.command, numbers) for one in batch.waiting]
        argument = _encode([len(batch.joins), commands])
        keys = (*always, *numbers.all())
        if not self._replicas or not any(_must_last(one.command) for one in batch.waiting):
            return await self._script.call(self._redis, keys, argument), True
        reply, reached = await self._script.call_and_wait(
            self._redis, keys, argument, replicas=self._replicas, timeout_ms=WAIT_MS
        )
        return reply, self._may_tell(is_safe=reached >= self._replicas)

    def _may_tell(self, *, is_safe: bool) -> bool:
        """Tell whether to answer what replicas may lack: only once they have been away for long.

        Else a line would stand still, and its passes run out untold, until they are back; if that
        primary is lost too, who claims again gets the same pass with a new deadline.
        """
        if is_safe:
            self._alone_since_s = None
            return True
        now_s = time.monotonic()
        if self._alone_since_s is None:
            self._alone_since_s = now_s
            _log.warning("too few replicas: passes and identities wait for them")
        return now_s - self._alone_since_s >= ALONE_S


def _take(waiting: deque[Any], most: int) -> list[Any]:
    # A caller that has gone away before its command was sent wants nothing any more.
    taken = [waiting.popleft() for _ in range(min(len(waiting), most))]
    return [one for one in taken if not getattr(one, "future", one).done()]


def _must_last(command: Command) -> bool:
    return isinstance(command, Claim) or (
        isinstance(command, Join) and command.identity is not None
    )


def _unsure(outcome: Outcome) -> Outcome:
    return InDoubt() if isinstance(outcome, Issued | Joined) else outcome


class QueueLanes:
    """One lane a waiting room, made when first asked for; idle ones are forgotten first."""

    def __init__(self, redis: Store, *, replicas: int) -> None:
        """Take what every lane gets."""
        self._redis = redis
        self._replicas = replicas
        self._lanes: dict[int, QueueLane] = {}

    def get(self, show: int, keys: QueueKeys) -> QueueLane:
        """Return a show's lane."""
        lane = self._lanes.get(show)
        if lane is None:
            if len(self._lanes) >= _LANES_MAX:
                self._lanes = {key: one for key, one in self._lanes.items() if not one.idle}
            lane = self._lanes[show] = QueueLane(self._redis, keys, replicas=self._replicas)
        return lane
