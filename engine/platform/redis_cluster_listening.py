"""A subscription in a cluster: to one primary, for as long as it is one."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from redis.exceptions import ConnectionError as RedisConnectionError

from engine.platform.redis import Subscription, Text
from engine.platform.redis_cluster_map import ClusterMap
from engine.platform.redis_cluster_url import Address


class ClusterSubscription:
    """A `Subscription` that ends with an error once others have taken its node's slots over.

    A node that hangs, or was cut off, looks like one that has nothing to say.
    """

    def __init__(
        self,
        nodes: ClusterMap,
        address: Address | None,
        connect: Callable[[Address], Subscription],
    ) -> None:
        """Take the map to look at, the node, None for any primary, and how to listen to one."""
        self._nodes = nodes
        self._address = address
        self._connect = connect
        self._opened: Subscription | None = None

    async def __aenter__(self) -> Self:
        """Begin: choose a primary unless one was named."""
        if self._address is None:
            await self._nodes.look()
            self._address = self._nodes.preferred()[0]
        self._opened = self._connect(self._address)
        await self._opened.__aenter__()
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
        self._nodes.touch()
        if self._nodes.primaries and self._address not in self._nodes.primaries:
            msg = f"{self._address} is no longer a primary of the cluster"
            raise RedisConnectionError(msg)
        return await self._inner.get_message(
            ignore_subscribe_messages=ignore_subscribe_messages, timeout=timeout
        )
