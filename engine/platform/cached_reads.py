"""Reads that many ask for alike: made once for all of them, on all processes, and kept for a while.

An answer is *fresh* for a while and then *stale*: still told, while one reader makes it anew. What
is kept lies in this process' memory, up to a bound in bytes, and while it is fresh in Redis for the
others. Of all who find nothing, one makes the read: within a process they share it, and among
processes it is made by whoever claims it, under the key of what comes of it. So it takes two
commands, both of one key; reads of a kind that is `first_alone` take them only to be made anew.
Redis is only a help: while it is away every process reads by itself, and a claim is waited for a
bounded time.

While versions are deployed one after the other, processes of both read what either has written. So
who decodes what is kept puts the shape of it (`shape_of`) into the key.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import blake2b
from time import monotonic
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from redis.exceptions import RedisError

from engine.platform.gathered_sets import GatheredSets
from engine.platform.redis import Store

# The inventory store's breaker, too, is an `OSError`.
_AWAY: Final = (RedisError, OSError, TimeoutError)
_CLAIM_S: Final = 2.0
_CLAIM: Final = b"?"
_CONTENT: Final = b"="
_LOOK_EVERY_S: Final = 0.02
_RENEWED_AT_ONCE: Final = 8
"""Reads under way, beyond which nothing is made anew that may still be told."""
_ENTRY_BYTES: Final = 550
"""What an entry takes beside its content, about."""

_SHAPE_BYTES: Final = 4


class Fresh(Struct, frozen=True):
    """What a read has made for its own process already; its content is written for others alone."""

    made_of_it: Any
    size: int
    """In bytes, about."""
    write: Callable[[], bytes]


Read = Callable[[], Awaitable[bytes]]
ReadAndMake = Callable[[], Awaitable[bytes | Fresh]]

_log = structlog.stdlib.get_logger(__name__)


def shape_of(kind: Any) -> str:  # noqa: ANN401 - as msgspec has types
    """Return what stands for how a type is encoded: for each change of it, or of a part, another.

    It is the same in all processes of a version.
    """
    fields = repr(msgspec.inspect.type_info(kind))
    return blake2b(fields.encode(), digest_size=_SHAPE_BYTES).hexdigest()


class Keeping(Struct, frozen=True):
    """For how long answers of a kind are told, since they were made."""

    fresh_s: float
    stale_s: float
    """Told while a fresh one is made: up to this age."""
    shared_s: float | None = None
    """For how long other processes take it from Redis; while it is fresh, unless told."""
    doubted_s: float = 0.0
    """What has become doubtful is told for so long while it is made anew."""
    first_alone: bool = False
    """What is not kept is read at once, without a look at what other processes share: where most
    is asked for by nobody else, that look costs more than what it saves."""


class Kept(Struct):
    """What was read, and when."""

    content: bytes
    """Empty where there is what was made of it at once: `Fresh`."""
    made_at: float
    """By this process' clock."""
    made_of_it: Any = None
    """What this process has made of the content, kept with it."""
    size: int = 0


Doubt = Callable[[Kept], float | None]
"""Returns since when what is kept may be wrong; None: it is not."""


class CachedReads:
    """What one process keeps, of all kinds."""

    def __init__(self, redis: Store, *, bytes_max: int) -> None:
        """Take the store that others share what they read through, and a bound on the memory."""
        self._redis = redis
        self._sets = GatheredSets(redis)
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[Kept]] = {}

    async def get(self, key: str, keeping: Keeping, read: Read) -> bytes:
        """Return what a read of this key returned lately, or returns now. Raises what it raises."""
        return (await self.get_kept(key, keeping, read)).content

    async def get_kept(
        self, key: str, keeping: Keeping, read: ReadAndMake, doubt: Doubt | None = None
    ) -> Kept:
        """Return it as it is kept, unless there is `doubt`. Raises what the read raises."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            now = monotonic()
            age = now - kept.made_at
            doubtful_since = doubt(kept) if doubt is not None else None
            if doubtful_since is None and age < keeping.fresh_s:
                return kept
            is_doubted = doubtful_since is not None and now - doubtful_since > keeping.doubted_s
            if age < keeping.stale_s and not is_doubted:
                # Who waits for what is not kept comes first.
                if key not in self._under_way and len(self._under_way) < _RENEWED_AT_ONCE:
                    task = asyncio.create_task(self._refresh(key, keeping, read))
                    self._under_way[key] = task
                    task.add_done_callback(lambda done: self._forget(key, done))
                return kept
        while (under_way := self._under_way.get(key)) is not None:
            try:
                return await asyncio.shield(under_way)
            except asyncio.CancelledError:
                if not under_way.cancelled() or _is_cancelled():
                    raise
                # Only who read it was: another one does. It is not waited for again, though
                # nobody may have been told of its end.
                self._forget(key, under_way)
        return await self._read_for_all(key, keeping, read)

    def add(self, key: str, kept: Kept, made_of_it: Any, size: int) -> None:  # noqa: ANN401 - the caller's
        """Keep with what is kept what was made of it, of so many bytes."""
        if self._kept.get(key) is kept and kept.made_of_it is None:
            kept.made_of_it = made_of_it
            kept.size += size
            self._bytes += size
            self._let_go()

    @property
    def bytes_kept(self) -> int:
        """How much memory it takes, about."""
        return self._bytes

    async def stop(self) -> None:
        """End the reads that are under way."""
        tasks = [one for one in self._under_way.values() if isinstance(one, asyncio.Task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sets.stop()

    async def _read_for_all(self, key: str, keeping: Keeping, read: ReadAndMake) -> Kept:
        """Read it; who comes meanwhile waits for that.

        Not in a task of its own: while much is asked for, each one more waits for its turn.
        """
        told: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._under_way[key] = told
        try:
            kept = await self._refresh(key, keeping, read)
        except asyncio.CancelledError:
            told.cancel()
            raise
        except BaseException as error:
            told.set_exception(error)
            raise
        else:
            told.set_result(kept)
            return kept
        finally:
            self._forget(key, told)

    def _forget(self, key: str, done: "asyncio.Future[Kept]") -> None:
        if self._under_way.get(key) is done:
            del self._under_way[key]
        if not done.cancelled() and (error := done.exception()) is not None:
            # Whoever waits for it is told; if nobody does, what is stale is told on.
            _log.debug("a cached read failed", key=key, error=repr(error))

    async def _refresh(self, key: str, keeping: Keeping, read: ReadAndMake) -> Kept:
        name = f"{{onsale:cache:{key}}}"
        is_alone = keeping.first_alone and key not in self._kept
        try:
            found = False if is_alone else await self._find_or_claim(name, keeping)
        except _AWAY:
            found = False
        if isinstance(found, Kept):
            self._keep(key, found)
            return found
        made_at = monotonic()
        try:
            made = await read()
        except BaseException:
            # Later the claim may be another's.
            if found and monotonic() - made_at < _CLAIM_S:
                await self._give_up(name)
            raise
        kept = _kept(made, made_at)
        self._keep(key, kept)
        if found:
            content = made.write() if isinstance(made, Fresh) else made
            self._tell_others(name, content, made_at, keeping)
        return kept

    async def _find_or_claim(self, name: str, keeping: Keeping) -> "Kept | bool":
        """Return what another process has made, or True: it is ours to make.

        False: whoever has claimed it does not come to an end.
        """
        until = monotonic() + _CLAIM_S
        while (asked_at := monotonic()) < until:
            there = await self._sets.claim(name, _CLAIM, px=round(_CLAIM_S * 1000))
            if there is None:
                return True
            if there != _CLAIM:
                left_s = await self._redis.pttl(name) / 1000
                # By when it was asked for: never younger than it is, however long answers take.
                return Kept(there[1:], asked_at - max(_shared_s(keeping) - left_s, 0))
            await asyncio.sleep(_LOOK_EVERY_S)
        return False

    def _tell_others(self, name: str, content: bytes, made_at: float, keeping: Keeping) -> None:
        """Put it in the place of the claim, for as long as it is fresh."""
        left_s = _shared_s(keeping) - (monotonic() - made_at)
        self._sets.put(name, _CONTENT + content, px=max(round(left_s * 1000), 1))

    async def _give_up(self, name: str) -> None:
        with suppress(*_AWAY):
            await self._redis.delete(name)

    def _keep(self, key: str, kept: Kept) -> None:
        before = self._kept.pop(key, None)
        if before is not None:
            self._bytes -= before.size
        kept.size += len(kept.content) + _ENTRY_BYTES
        self._kept[key] = kept
        self._bytes += kept.size
        self._let_go()

    def _let_go(self) -> None:
        while self._bytes > self._bytes_max and self._kept:
            _, forgotten = self._kept.popitem(last=False)
            self._bytes -= forgotten.size


def _is_cancelled() -> bool:
    """Tell whether it is this task that is to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _kept(made: bytes | Fresh, made_at: float) -> Kept:
    if isinstance(made, Fresh):
        return Kept(b"", made_at, made.made_of_it, made.size)
    return Kept(made, made_at)


def _shared_s(keeping: Keeping) -> float:
    return keeping.fresh_s if keeping.shared_s is None else keeping.shared_s
