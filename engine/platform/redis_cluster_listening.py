"""A subscription in a cluster: to one primary, for as long as it is one.

A node that hangs, or was cut off, looks like one that has nothing to say. So a subscription leaves
a node whose slots others have taken over.
"""

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from engine.platform.redis import Subscription, Text
from engine.platform.redis_cluster_map import ClusterMap
from engine.platform.redis_cluster_url import Address

_log = structlog.get_logger(__name__)


class ClusterSubscription:
    """A `Subscription` to a node, which fails with it, or to any, which goes on at another.

    What is said in between is missed, as it may be on any subscription.
    """

    def __init__(
        self,
        nodes: ClusterMap,
        address: Address | None,
        connect: Callable[[Address], Subscription],
    ) -> None:
        """Take the map to look at, the node, None for any primary, and how to listen to one."""
        self._nodes = nodes
        self._goes_on = address is None
        self._channels: list[Text] = []
        self._address = address
        self._connect = connect
        self._opened: Subscription | None = None

    async def __aenter__(self) -> Self:
        """Begin: choose a primary unless one was named."""
        await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Close it; a node that failed is not the first to be chosen again."""
        if self._address is not None and isinstance(error, Exception):
            self._nodes.suspect(self._address)
        await self._inner.__aexit__(kind, error, trace)

    @property
    def _inner(self) -> Subscription:
        if self._opened is None:
            msg = "a subscription is a context manager"
            raise RuntimeError(msg)
        return self._opened

    async def subscribe(self, *channels: Text) -> None:
        """Listen to channels."""
        self._channels += channels
        await self._inner.subscribe(*channels)

    async def execute_command(self, *args: Text) -> None:
        """Send a command whose answer comes as a message."""
        await self._inner.execute_command(*args)

    async def get_message(
        self,
        *,
        ignore_subscribe_messages: bool,
        timeout: float,  # noqa: ASYNC109 - the client's name
    ) -> dict[str, Any] | None:
        """Return the next message; None when none came."""
        try:
            self._leave_a_former_primary()
            return await self._inner.get_message(
                ignore_subscribe_messages=ignore_subscribe_messages, timeout=timeout
            )
        except (RedisError, OSError) as error:
            if not self._goes_on:
                raise
            _log.info("listening to another node", instead_of=str(self._address), why=repr(error))
        await self._move()
        return None

    def _leave_a_former_primary(self) -> None:
        self._nodes.touch()
        if self._nodes.primaries and self._address not in self._nodes.primaries:
            msg = f"{self._address} is no longer a primary of the cluster"
            raise RedisConnectionError(msg)

    async def _open(self) -> None:
        if self._address is None:
            await self._nodes.look()
            self._address = self._nodes.preferred()[0]
        self._opened = self._connect(self._address)
        await self._opened.__aenter__()

    async def _move(self) -> None:
        if self._address is not None:
            self._nodes.suspect(self._address)
        with suppress(RedisError, OSError):  # it failed: there is nothing to close in order
            await self._inner.__aexit__(None, None, None)
        # Chosen before the look, which forgets whom to suspect.
        self._address = self._nodes.preferred()[0]
        await self._open()
        await self._inner.subscribe(*self._channels)
