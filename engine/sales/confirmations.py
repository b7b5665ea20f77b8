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

_FAILED_KEPT: Final = 1000
_CHANNELS_MAX: Final = 4096
_POLL_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.5
_TELL_TIMEOUT_S: Final = 1.0

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

    def hear_message(self, packed: bytes) -> None:
        try:
            epoch, n, failed = _decode(packed)
            holds = [bytes.fromhex(hold) for hold in failed]
        except (msgspec.DecodeError, ValueError) as error:
            _log.error("unreadable word from the recorder", error=repr(error))
            self.forget()
            return
        self.hear(StreamId(epoch, n), holds)

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
    """Listens for all shows that this process sells: a connection and a task for each server.

    A show's channel is on the server that has the show. Where shows move between servers, their
    channels are listened to anew, and what was said in between is unknown.
    """

    def __init__(self, redis: Store) -> None:
        """Take a client for subscriptions."""
        self._redis = redis
        self._channels: dict[bytes, _Channel] = {}
        self._listeners: dict[str, _Listener] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._tend())

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for listener in self._listeners.values():
            await listener.stop()

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
            await self._place(name)
        return channel

    async def _drop_idle_channels(self) -> None:
        idle = [name for name, channel in self._channels.items() if not channel.waiters]
        for name in idle:
            del self._channels[name]
        for listener in list(self._listeners.values()):
            for name in idle:
                await listener.drop(name)

    async def _tend(self) -> None:
        """See to it that each channel is listened to where its show is."""
        while True:
            for server, listener in list(self._listeners.items()):
                if listener.has_ended:
                    del self._listeners[server]
            for name in list(self._channels):
                await self._place(name)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _place(self, name: bytes) -> None:
        """Listen to a channel on the server that has it now, and on no other."""
        try:
            server = await self._redis.server_of(name.decode())
        except (RedisError, OSError):
            return  # nobody has it for now
        listener = self._listeners.get(server)
        if listener is not None and (name in listener.channels or listener.has_ended):
            return
        for other in list(self._listeners.values()):
            await other.drop(name)
        channel = self._channels.get(name)
        if channel is None:
            return  # dropped meanwhile
        channel.forget()
        if listener is None:
            listener = self._listeners[server] = _Listener(self._redis, server)
        await listener.add(name, channel)


class _Listener:
    """Listens to channels of one server until that fails: then they have to be placed anew."""

    def __init__(self, redis: Store, server: str) -> None:
        self.channels: dict[bytes, _Channel] = {}
        self._redis = redis
        self._server = server
        self._pubsub: Subscription | None = None
        self._task = asyncio.create_task(self._listen())

    @property
    def has_ended(self) -> bool:
        return self._task.done()

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def add(self, name: bytes, channel: _Channel) -> None:
        self.channels[name] = channel
        # While it connects, whoever adds a channel leaves it to the listener.
        await self._tell("SSUBSCRIBE", name)

    async def drop(self, name: bytes) -> None:
        channel = self.channels.pop(name, None)
        if channel is not None:
            channel.forget()
            await self._tell("SUNSUBSCRIBE", name)

    async def _tell(self, command: str, name: bytes) -> None:
        if self._pubsub is not None:
            # The listener ends with it; a purchase does not wait for a server that hangs.
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(_TELL_TIMEOUT_S):
                    await self._pubsub.execute_command(command, name)

    async def _listen(self) -> None:
        try:
            async with self._redis.pubsub(self._server) as pubsub:
                # Subscribed to something at all times: reading needs it.
                await pubsub.subscribe("onsale:confirmations")
                # From here on a new channel is subscribed to by whoever adds it; those from
                # before, also from while this connected, are here. One by one: two channels of
                # one server may be of two slots.
                self._pubsub = pubsub
                for name in list(self.channels):
                    await pubsub.execute_command("SSUBSCRIBE", name)
                while True:
                    message = await pubsub.get_message(
                        ignore_subscribe_messages=False, timeout=_POLL_S
                    )
                    if message is not None:
                        self._take(message)
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("confirmations interrupted", server=self._server, error=repr(error))
        finally:
            self._pubsub = None
            for channel in self.channels.values():
                channel.forget()
            self.channels.clear()

    def _take(self, message: dict[str, Any]) -> None:
        channel = self.channels.get(message["channel"])
        if channel is None:
            return
        if message["type"] == "smessage":
            channel.hear_message(message["data"])
        elif message["type"] == "sunsubscribe":
            # Its slot has moved to another server: nobody here unsubscribes from what it has.
            channel.forget()
            del self.channels[message["channel"]]
