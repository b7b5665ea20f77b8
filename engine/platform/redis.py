"""Connections to Redis or Valkey: bounded pools, a time-out on every wait, no hidden repeats.

`Store` says which commands the engine uses and what they answer, since the client's own types
don't. Everything beside `connect_redis` and `subscribe_redis` takes a `Store`.
"""

from collections.abc import Mapping
from functools import cache
from types import TracebackType
from typing import Any, Final, Protocol, Self, cast

from msgspec import Struct
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine.platform.connections import ListeningPubSub, OneServerPool, StoreConnection

_CONNECT_TIMEOUT_S: Final = 2
_POOL_TIMEOUT_S: Final = 2
_ANSWER_MARGIN_S: Final = 1
_HEALTH_CHECK_S: Final = 2

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

    def zrange(self, name: str, start: int, end: int, *, withscores: bool) -> object:
        """Read a part of a sorted set, with scores as pairs."""
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

    def set(self, name: str, value: bytes, *, px: int, nx: bool, get: bool) -> object:
        """Write a string that expires; `nx`: where there is none, `get`: tell what was there."""
        ...

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        """Send them and return their answers; if not to be raised, errors among them."""
        ...


class OneServer(Protocol):
    """What one server is asked about itself. All may raise `redis.RedisError` or `OSError`."""

    async def config_get(self, pattern: str) -> dict[str, str]:
        """Return the server's settings of this name."""
        ...

    def pipeline(self, transaction: bool) -> Pipeline:  # noqa: FBT001 - the client's form
        """Collect commands that go out together."""
        ...


class Member(Struct, frozen=True):
    """A server of a store."""

    server: OneServer
    has_shows: bool
    """Whether shows are sold on it; a replica's are not."""


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

    async def evalsha_and_wait(
        self, sha: str, numkeys: int, *keys_and_args: Value, replicas: int, timeout_ms: int
    ) -> tuple[Any, int]:
        """Run a loaded script and, in the same round trip, wait until replicas have its writes.

        The `WAIT` goes over the script's own connection, since it counts from what that one has
        written: after a script that wrote nothing the count says nothing. Returns what the script
        returned, and how many replicas acknowledged within `timeout_ms`, which may be fewer than
        `replicas`; 0 also where the server can't tell.
        """
        ...

    async def eval_and_wait(
        self, script: str, numkeys: int, *keys_and_args: Value, replicas: int, timeout_ms: int
    ) -> tuple[Any, int]:
        """Load and run a script, and wait as `evalsha_and_wait` does."""
        ...

    async def ping(self) -> bool:
        """Answer."""
        ...

    async def servers(self) -> "dict[str, Member]":
        """Return all servers by name, asked now; one server alone has no name."""
        ...

    async def publish(self, channel: Text, message: Text) -> int:
        """Tell a channel's listeners; return how many there are."""
        ...

    async def spublish(self, channel: Text, message: Text) -> int:
        """Tell the listeners of a channel that belongs to a key's server."""
        ...

    async def set(
        self, name: str, value: bytes, *, ex: int | None = None, px: int | None = None
    ) -> bool:
        """Write a string that expires after so many seconds, or ms: one of the two is given."""
        ...

    async def claim(self, name: str, value: bytes, *, px: int) -> bytes | None:
        """Write a string that expires where there is none: None; else return what is there."""
        ...

    async def pttl(self, name: str) -> int:
        """Return in how many ms a key expires; negative: it is not there."""
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

    async def hlen(self, name: str) -> int:
        """Count the fields of a hash."""
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


class Server(Redis):
    """The client of one server, which has all keys, and what the engine needs beyond it."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - the client's form
        """Close all connections, and probe no more."""
        pool: object = self.connection_pool
        if isinstance(pool, OneServerPool):
            await pool.stop()
        await super().aclose(close_connection_pool)

    async def evalsha_and_wait(
        self, sha: str, numkeys: int, *keys_and_args: Value, replicas: int, timeout_ms: int
    ) -> tuple[Any, int]:
        """Run a loaded script, then `WAIT`."""
        return await self._and_wait(("EVALSHA", sha, numkeys, *keys_and_args), replicas, timeout_ms)

    async def eval_and_wait(
        self, script: str, numkeys: int, *keys_and_args: Value, replicas: int, timeout_ms: int
    ) -> tuple[Any, int]:
        """Load and run a script, then `WAIT`."""
        return await self._and_wait(("EVAL", script, numkeys, *keys_and_args), replicas, timeout_ms)

    async def _and_wait(
        self, call: tuple[Value, ...], replicas: int, timeout_ms: int
    ) -> tuple[Any, int]:
        # Not a transaction, in which WAIT would not wait; still one connection, since WAIT counts
        # from what its own has written.
        pipeline = self.pipeline(transaction=False)
        pipeline.execute_command(*call)
        pipeline.execute_command("WAIT", replicas, timeout_ms)
        reply, acknowledged = await pipeline.execute(raise_on_error=False)
        if isinstance(reply, Exception):
            raise reply
        return reply, acknowledged if isinstance(acknowledged, int) else 0

    async def claim(self, name: str, value: bytes, *, px: int) -> bytes | None:
        """Write a string where there is none."""
        return await self.set(name, value, px=px, nx=True, get=True)

    async def server_of(self, name: str, *, surely: bool = False) -> str:  # noqa: ARG002 - as in `Store`
        """Return the one server's name."""
        return ""

    async def servers(self) -> dict[str, Member]:
        """Return the one server."""
        return {"": Member(cast("OneServer", self), has_shows=True)}

    def pubsub(self, server: str = "", **kwargs: Any) -> Any:  # noqa: ANN401, ARG002 - as in `Store`
        """Return a connection that listens."""
        return super().pubsub(**kwargs)


class _Subscriber(Server):
    """A client whose subscriptions notice a server that is silent, or has been replaced."""

    moves: bool = False

    def pubsub(self, server: str = "", **kwargs: Any) -> ListeningPubSub:  # noqa: ANN401, ARG002 - as in `Store`
        """Return a connection that listens."""
        subscription = ListeningPubSub(cast("ConnectionPool", self.connection_pool), **kwargs)
        subscription.moves = self.moves
        return subscription


def connect_redis(
    url: str,
    *,
    answer_timeout_ms: int,
    connections_max: int,
    moves: bool = False,
    guarded: bool = False,
) -> Store:
    """Return a client that opens connections as it needs them.

    Its connections lead to one server at a time, see `engine.platform.connections`. It never
    repeats a command by itself: after a lost answer only the caller knows whether the
    command may run twice. It waits a second longer than `answer_timeout_ms`, after which no batch
    acts any more. `moves` says that the address may be moved to another server while the one
    before lives on. With `guarded` it has a breaker: while that is open, commands raise
    `BreakerOpenError` at once and are not sent.
    """
    pool = make_pool(url, answer_timeout_ms=answer_timeout_ms, connections_max=connections_max)
    pool.moves = moves
    if guarded:
        pool.guard("the inventory store")
    return cast("Store", Server.from_pool(pool))


def make_pool(
    url: str, *, answer_timeout_ms: int, connections_max: int, **more: object
) -> OneServerPool:
    """Return the connections of a client to one server; `more` is what else the client's take."""
    pool: OneServerPool = OneServerPool.from_url(
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
    pool.connection_class = _ours(pool.connection_class)
    return pool


@cache
def _ours(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(f"Store{kind.__name__}", (StoreConnection, kind), {})


def subscribe_redis(url: str, *, moves: bool = False) -> Store:
    """Return a client for subscriptions, which wait as long as their reader says.

    `moves` as for `connect_redis`.
    """
    client = _Subscriber.from_url(
        url,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=_HEALTH_CHECK_S,
    )
    client.moves = moves
    pool = cast("ConnectionPool", client.connection_pool)
    pool.connection_class = _ours(pool.connection_class)
    return cast("Store", client)
