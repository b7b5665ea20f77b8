"""Connections to Redis or Valkey: bounded pools, a time-out on every wait, no hidden repeats.

`Store` says which commands the engine uses and what they answer, since the client's own types
don't. Everything beside `connect_redis` and `subscribe_redis` takes a `Store`.
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from types import TracebackType
from typing import Any, Final, Protocol, Self, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError

_CONNECT_TIMEOUT_S: Final = 2
_POOL_TIMEOUT_S: Final = 2
_ANSWER_MARGIN_S: Final = 1
_HEALTH_CHECK_S: Final = 15

Text = str | bytes
Value = str | bytes | int
StreamEntries = list[tuple[bytes, dict[bytes, bytes]]]


class Subscription(Protocol):
    """A connection that listens. Use it as a context manager."""

    async def __aenter__(self) -> Self:
        """Begin."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Close it."""
        ...

    async def subscribe(self, *channels: Text) -> None:
        """Listen to channels."""
        ...

    async def execute_command(self, *args: Text) -> None:
        """Send a command whose answer comes as a message, as do those of sharded channels."""
        ...

    async def get_message(
        self,
        *,
        ignore_subscribe_messages: bool,
        timeout: float,  # noqa: ASYNC109 - the client's name
    ) -> dict[str, Any] | None:
        """Return the next message, its `channel` and `data` as bytes; None when none came."""
        ...


class Pipeline(Protocol):
    """Commands that go out together."""

    def info(self, *sections: str) -> object:
        """Ask about the server that has the pipeline's keys: they must be on one."""
        ...

    def hmget(self, name: str, keys: list[str]) -> object:
        """Read fields of a hash."""
        ...

    def exists(self, name: str) -> object:
        """Ask whether there is such a key."""
        ...

    def xrange(
        self,
        name: str,
        min: str,  # noqa: A002 - the client's name
        max: str,  # noqa: A002 - the client's name
        count: int,
    ) -> object:
        """Read a part of a stream."""
        ...

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        """Send them and return their answers; if not to be raised, errors among them."""
        ...


class Store(Protocol):
    """The commands that the engine uses. All may raise `redis.RedisError` or `OSError`."""

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Value) -> Any:  # noqa: ANN401
        """Run a loaded script."""
        ...

    async def eval(self, script: str, numkeys: int, *keys_and_args: Value) -> Any:  # noqa: ANN401
        """Load and run a script."""
        ...

    async def server_of(self, name: str, *, surely: bool = False) -> str:
        """Return which server has a key, `surely`: asked now; one server alone has no name."""
        ...

    async def ping(self) -> bool:
        """Answer."""
        ...

    async def config_get(self, pattern: str) -> dict[str, str]:
        """Return the server's settings of this name."""
        ...

    async def publish(self, channel: Text, message: Text) -> int:
        """Tell a channel's listeners; return how many there are."""
        ...

    async def spublish(self, channel: Text, message: Text) -> int:
        """Tell the listeners of a channel that belongs to a key's server."""
        ...

    async def set(self, name: str, value: bytes, *, ex: int) -> bool:
        """Write a string that expires."""
        ...

    async def delete(self, *names: str) -> int:
        """Remove keys."""
        ...

    async def expire(self, name: str, time: int) -> bool:
        """Let a key expire."""
        ...

    async def hset(self, name: str, *, mapping: Mapping[Any, Any]) -> int:
        """Write fields of a hash."""
        ...

    async def hscan(self, name: str, cursor: int, *, count: int) -> tuple[int, dict[bytes, bytes]]:
        """Read a part of a hash."""
        ...

    async def zadd(self, name: str, mapping: Mapping[Any, int]) -> int:
        """Write members of a sorted set."""
        ...

    async def zrangebyscore(
        self,
        name: str,
        min: float | str,  # noqa: A002 - the client's name
        max: float | str,  # noqa: A002 - the client's name
        start: int,
        num: int,
    ) -> list[bytes]:
        """Read members by their scores."""
        ...

    async def xrange(
        self,
        name: str,
        min: str,  # noqa: A002 - the client's name
        max: str,  # noqa: A002 - the client's name
        count: int,
    ) -> StreamEntries:
        """Read a part of a stream."""
        ...

    async def xtrim(self, name: str, *, minid: str, approximate: bool) -> int:
        """Remove a stream's entries before an id."""
        ...

    def pipeline(self, transaction: bool) -> Pipeline:  # noqa: FBT001 - the client's form
        """Collect commands that go out together."""
        ...

    def pubsub(self, server: str = "") -> Subscription:
        """Return a connection that listens: to this server, or to any."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class _Cancellable(AbstractConnection):
    """A connection whose commands may be cancelled at any moment, which the client's may not.

    The client sends under `asyncio.wait_for`, and on Python 3.11 that returns instead of raising a
    cancellation which comes just when the command has been sent: the caller goes on as if nobody
    had cancelled it. It also makes a task for each command.
    """

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the client's
        """Send a command, connected first where need be."""
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(*args, **kwargs)
        except TimeoutError:
            msg = f"the store did not take a command in {limit_s} s"
            raise RedisTimeoutError(msg) from None
        finally:
            self.socket_timeout = limit_s


class Server(Redis):
    """The client of one server, which has all keys."""

    async def server_of(self, name: str, *, surely: bool = False) -> str:  # noqa: ARG002 - as in `Store`
        """Return the one server's name."""
        return ""

    def pubsub(self, server: str = "", **kwargs: Any) -> Any:  # noqa: ANN401, ARG002 - as in `Store`
        """Return a connection that listens."""
        return super().pubsub(**kwargs)


def connect_redis(url: str, *, answer_timeout_ms: int, connections_max: int) -> Store:
    """Return a client that opens connections as it needs them.

    It never repeats a command by itself: after a lost answer only the caller knows whether the
    command may run twice. It waits a second longer than `answer_timeout_ms`, after which no batch
    acts any more.
    """
    pool = make_pool(url, answer_timeout_ms=answer_timeout_ms, connections_max=connections_max)
    return cast("Store", Server.from_pool(pool))


def make_pool(
    url: str, *, answer_timeout_ms: int, connections_max: int, **more: object
) -> BlockingConnectionPool:
    """Return the connections of a client to one server; `more` is what else the client's take."""
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url,
        **more,
        max_connections=connections_max,
        timeout=_POOL_TIMEOUT_S,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=answer_timeout_ms / 1000 + _ANSWER_MARGIN_S,
        retry=Retry(NoBackoff(), 0),
        retry_on_timeout=False,
    )
    # Not an argument, since the URL says which connection: TCP, TLS or a socket of this machine.
    pool.connection_class = _cancellable(pool.connection_class)
    return pool


@cache
def _cancellable(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(f"Cancellable{kind.__name__}", (_Cancellable, kind), {})


def subscribe_redis(url: str) -> Store:
    """Return a client for subscriptions, which wait as long as their reader says."""
    client = Server.from_url(
        url,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=_HEALTH_CHECK_S,
    )
    return cast("Store", client)
