"""Waits until a sale's row is committed, told by the recorder over pub/sub.

After each commit the recorder publishes, per show, the position that it has recorded and which
holds up to it were not confirmed. A message may be lost: whoever waits too long, or asks about a
sale from before this process listened, has to ask the ledger.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final

import msgspec
import structlog
from redis.exceptions import RedisError

from engine.inventory.facts import StreamId
from engine.inventory.keys import show_keys
from engine.platform.redis import Store, Subscription
from engine.platform.retrying import LISTENING, Patience

_FAILED_KEPT: Final = 1000
_CHANNELS_MAX: Final = 4096
_POLL_S: Final = 1.0

_log = structlog.get_logger(__name__)
_decode = msgspec.msgpack.Decoder(tuple[int, int, list[str]]).decode


class Word(StrEnum):
    """What has been heard of a sale."""

    CONFIRMED = "confirmed"
    FAILED = "failed"
    BEHIND = "behind"
    """The recorder was heard of lately, and is not there yet."""
    NOTHING = "nothing"
    """Ask the ledger."""


class _Channel:
    """What was heard of one show since this process listens to it."""

    def __init__(self) -> None:
        self.since: StreamId | None = None
        self.position: StreamId | None = None
        self.failed: OrderedDict[bytes, None] = OrderedDict()
        self.waiters: dict[asyncio.Future[Word], tuple[StreamId, bytes]] = {}

    def word(self, position: StreamId, hold: bytes) -> Word | None:
        """Return what is known of a sale; None: nothing yet, wait."""
        if self.position is None or position > self.position:
            return None
        # An earlier sale may have failed in a message from before this process listened; one of an
        # earlier epoch may have been stranded.
        if self.since is None or position <= self.since or position.epoch != self.position.epoch:
            return Word.NOTHING
        return Word.FAILED if hold in self.failed else Word.CONFIRMED

    def is_behind(self, position: StreamId) -> bool:
        """Tell whether what was heard of this epoch ends before a sale."""
        known = self.position
        return known is not None and known.epoch == position.epoch and known < position

    def hear(self, position: StreamId, failed: list[bytes]) -> None:
        # The recorder names each for two minutes, so that one lost message does no harm.
        self.failed.update(dict.fromkeys(failed))
        if self.position is None or position > self.position:
            self.position = position
        if self.since is None:
            self.since = position
        while len(self.failed) > _FAILED_KEPT:
            self.failed.popitem(last=False)
            self.since = self.position
        self.tell()

    def tell(self) -> None:
        for future, (position, hold) in self.waiters.items():
            word = self.word(position, hold)
            if word is not None and not future.done():
                future.set_result(word)

    def forget(self) -> None:
        """Start over after a gap: what was published meanwhile is unknown."""
        self.since = self.position = None
        self.failed.clear()


class Confirmations:
    """Listens for all shows that this process sells; one connection, one task."""

    def __init__(self, redis: Store) -> None:
        """Take a client for subscriptions."""
        self._redis = redis
        self._channels: dict[bytes, _Channel] = {}
        self._pubsub: Subscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait(self, show: int, position: StreamId, hold: bytes, timeout_ms: int) -> Word:
        """Return what is heard of the sale at this position within `timeout_ms`."""
        channel = await self._channel(show)
        word = channel.word(position, hold)
        if word is not None:
            return word
        future: asyncio.Future[Word] = asyncio.get_running_loop().create_future()
        channel.waiters[future] = position, hold
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await future
        except TimeoutError:
            return Word.BEHIND if channel.is_behind(position) else Word.NOTHING
        finally:
            del channel.waiters[future]

    async def listen_to(self, show: int) -> None:
        """Listen to a show from now on, so that the word of its next sale is not missed."""
        await self._channel(show)

    async def _channel(self, show: int) -> _Channel:
        name = show_keys(show).recorded.encode()
        channel = self._channels.get(name)
        if channel is None:
            if len(self._channels) >= _CHANNELS_MAX:
                await self._drop_idle_channels()
            channel = self._channels[name] = _Channel()
            if self._pubsub is not None:
                with suppress(RedisError, OSError):  # the listener subscribes anew to all
                    await self._pubsub.subscribe(name)
        return channel

    async def _drop_idle_channels(self) -> None:
        idle = [name for name, channel in self._channels.items() if not channel.waiters]
        for name in idle:
            del self._channels[name]
        if self._pubsub is not None and idle:
            with suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(*idle)

    async def _listen(self) -> None:
        patience = Patience(LISTENING)
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    # Subscribed to something at all times: reading needs it.
                    await pubsub.subscribe("onsale:confirmations")
                    # From here on a new channel is subscribed to by whoever adds it; those from
                    # before, also from while this connected, are here.
                    self._pubsub = pubsub
                    if self._channels:
                        await pubsub.subscribe(*self._channels)
                    patience.is_well()
                    while True:
                        message = await pubsub.get_message(
                            ignore_subscribe_messages=True, timeout=_POLL_S
                        )
                        if message is not None:
                            self._hear(message)
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("confirmations interrupted", error=repr(error))
            finally:
                self._pubsub = None
                for channel in self._channels.values():
                    channel.forget()
            await patience.pause()

    def _hear(self, message: dict[str, Any]) -> None:
        channel = self._channels.get(message["channel"])
        if channel is None:
            return
        try:
            epoch, n, failed = _decode(message["data"])
            holds = [bytes.fromhex(hold) for hold in failed]
        except (msgspec.DecodeError, ValueError) as error:
            _log.error("unreadable word from the recorder", error=repr(error))
            channel.forget()
            return
        channel.hear(StreamId(epoch, n), holds)
