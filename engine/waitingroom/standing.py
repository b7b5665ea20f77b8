"""How queues stand, in each process's memory: read several times a second while asked for.

Everybody who waits reads the same few numbers; that must cost the store nothing however many
they are.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from msgspec import Struct
from redis.exceptions import RedisError

from engine.inventory.keys import QueueKeys
from engine.platform.errors import StoreUnavailableError
from engine.platform.redis import Store
from engine.waitingroom.states import QueueState

LOOK_S: Final = 0.2
STALE_S: Final = 3.0
"""Older than this it is not told any more."""

_ASKED_S: Final = 30.0
_FIRST_S: Final = 3.0
_WATCHED_MAX: Final = 4096
_FIELDS: Final = (
    *("epoch", "state", "serving", "next", "rate", "version", "slow", "fast"),
    "sale_opens_at",
)

_log = structlog.get_logger(__name__)


class Standing(Struct, frozen=True):
    """How a queue stands."""

    epoch: int
    state: QueueState
    serving: int
    next: int
    rate: float
    version: int
    slow: float | None
    """Places a second that the line moves when it is slow; None while nobody knows."""
    fast: float | None
    sale_opens_at_ms: int | None
    """When passes are issued from; None while the controller has not told."""


class _Watched:
    """One queue's standing, and the task that reads it while somebody asks."""

    def __init__(self, redis: Store, keys: QueueKeys, on_change: Callable[[], None]) -> None:
        self._redis = redis
        self._key = keys.queue
        self.on_change = on_change
        self.standing: Standing | None = None
        self.read_at = 0.0
        self.asked_at = time.monotonic()
        self._first = asyncio.Event()
        self._task = asyncio.create_task(self._watch())

    @property
    def idle(self) -> bool:
        return self._task.done()

    def start(self) -> None:
        if self._task.done():
            self._first.clear()
            self._task = asyncio.create_task(self._watch())

    async def wait(self) -> None:
        async with asyncio.timeout(_FIRST_S):
            await self._first.wait()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        silent = False
        while time.monotonic() - self.asked_at < _ASKED_S:
            try:
                read = await self._read()
            except (RedisError, OSError, TimeoutError) as error:
                if not silent:
                    _log.warning("queue not read", error=repr(error))
                silent = True
            else:
                silent = False
                self.read_at = time.monotonic()
                self._first.set()
                if read != self.standing:  # while nothing changes it stays the same object
                    self.standing = read
                    self.on_change()
            await asyncio.sleep(LOOK_S)

    async def _read(self) -> Standing | None:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hmget(self._key, list(_FIELDS))
        (values,) = await pipeline.execute(raise_on_error=True)
        return _read(values)


class Standings:
    """How the queues stand that this process is asked about."""

    def __init__(self, redis: Store) -> None:
        """Take the connection to read them over."""
        self._redis = redis
        self._watched: dict[int, _Watched] = {}
        self._listeners: dict[int, set[asyncio.Event]] = {}

    def known(self, show: int) -> Standing | None:
        """Return how a queue stood a moment ago, if this process knows; None: ask with `get`."""
        watched = self._watched.get(show)
        if watched is None or watched.idle:
            return None
        now = time.monotonic()
        watched.asked_at = now
        return watched.standing if now - watched.read_at < STALE_S else None

    async def get(self, show: int, keys: QueueKeys) -> Standing | None:
        """Return how a queue stood a moment ago; None: the store does not know it.

        Raises:
            StoreUnavailableError: the store has not told for some seconds.
        """
        watched = self._watched.get(show)
        if watched is None:
            self._make_room()
            watched = self._watched[show] = _Watched(self._redis, keys, lambda: self._tell(show))
        watched.asked_at = time.monotonic()
        watched.start()
        try:
            await watched.wait()
        except TimeoutError:
            msg = "the queue could not be read"
            raise StoreUnavailableError(msg) from None
        if time.monotonic() - watched.read_at >= STALE_S:
            msg = "the queue has not been read for some seconds"
            raise StoreUnavailableError(msg)
        return watched.standing

    def listen(self, show: int) -> asyncio.Event:
        """Return an event that is set when the queue stands otherwise than before."""
        event = asyncio.Event()
        self._listeners.setdefault(show, set()).add(event)
        return event

    def forget(self, show: int, event: asyncio.Event) -> None:
        """Stop setting an event."""
        listeners = self._listeners.get(show, set())
        listeners.discard(event)
        if not listeners:
            self._listeners.pop(show, None)

    async def stop(self) -> None:
        """Read no more."""
        await asyncio.gather(*(watched.stop() for watched in self._watched.values()))

    def _tell(self, show: int) -> None:
        for event in self._listeners.get(show, ()):
            event.set()

    def _make_room(self) -> None:
        if len(self._watched) >= _WATCHED_MAX:
            self._watched = {show: one for show, one in self._watched.items() if not one.idle}


def _read(values: list[bytes | None]) -> Standing | None:
    told = {
        name: value.decode()
        for name, value in zip(_FIELDS, values, strict=True)
        if value is not None
    }
    if "state" not in told or "epoch" not in told:
        return None
    slow, fast = (float(told[name]) if told.get(name) else None for name in ("slow", "fast"))
    return Standing(
        epoch=int(told["epoch"]),
        state=QueueState(told["state"]),
        serving=int(told["serving"]),
        next=int(told["next"]),
        rate=float(told["rate"]),
        version=int(told["version"]),
        slow=slow,
        fast=fast,
        sale_opens_at_ms=int(told["sale_opens_at"]) if "sale_opens_at" in told else None,
    )
