"""A cluster as a `Store`: each command goes to the node that has its key's slot.

It follows the cluster where that says that a command was *not* executed: MOVED, ASK, and for a
moment TRYAGAIN and CLUSTERDOWN. Anything else, a lost connection above all, is the caller's: it
never repeats a command that may have been executed. What stays unavailable is a
`SlotUnavailableError`, which is no `ResponseError`, since no script has read anything.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar, cast

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterParser
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from engine.platform.redis import (
    Member,
    OneServer,
    Server,
    Store,
    StreamEntries,
    Subscription,
    Text,
    Value,
    make_pool,
    subscribe_redis,
)
from engine.platform.redis_cluster_listening import ClusterSubscription
from engine.platform.redis_cluster_map import ClusterMap, SlotUnavailableError, View, slot_of
from engine.platform.redis_cluster_pipeline import ClusterPipeline
from engine.platform.redis_cluster_url import Address, parse_address, parse_cluster_url

_FOLLOW_S_MAX: Final = 0.5
_PAUSE_S_MIN: Final = 0.005
_PAUSE_S_MAX: Final = 0.1

_T = TypeVar("_T")


class _Node:
    """The client of one node, and the one that it is asked by while it takes a slot over."""

    def __init__(self, store: Store, asking: Store, pool: BlockingConnectionPool | None) -> None:
        self.store = store
        self.asking = asking
        self.pool = pool


class _AskingPipeline(Pipeline):
    """Says ASKING before each command: it is for the next command on its connection only."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - the client's form
        commands, self.command_stack = self.command_stack, []
        for command in commands:
            self.command_stack += [(("ASKING",), {}), command]
        answers = (await super().execute(raise_on_error=False))[1::2]
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        if raise_on_error and errors:
            raise errors[0]
        return answers


class _AskingServer(Server):
    """The client of a node that is taking a slot over: it tells it so before each command."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - the client's
        async with self.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*args, **options)
            (answer,) = await pipeline.execute(raise_on_error=True)
            return answer

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002 - the client's form
        """Collect commands that go out together; never as a transaction."""
        del transaction
        pool = cast("Any", self.connection_pool)
        return _AskingPipeline(pool, self.response_callbacks, False, shard_hint)  # noqa: FBT003 - the client's form


def connect_cluster(
    url: str, *, answer_timeout_ms: int, connections_max: int, guarded: bool = False
) -> Store:
    """Return a client of a cluster, with the rules of `connect_redis` for each of its nodes.

    A node that hangs has others' shows refused by no breaker: each has its own.

    Raises:
        ValueError: the URL does not name a cluster.
    """
    parts = parse_cluster_url(url)

    def connect(address: Address) -> _Node:
        pool = make_pool(
            parts.of(address),
            answer_timeout_ms=answer_timeout_ms,
            connections_max=connections_max,
            parser_class=ClusterParser,
        )
        if guarded:
            pool.guard(f"the inventory store's node {address}")
        return _Node(
            cast("Store", Server.from_pool(pool)),
            cast("Store", _AskingServer(connection_pool=pool)),
            pool,
        )

    return ClusterStore(parts.seeds, connect)


def subscribe_cluster(url: str) -> Store:
    """Return a client for subscriptions to a cluster, with the rules of `subscribe_redis`.

    Raises:
        ValueError: the URL does not name a cluster.
    """
    parts = parse_cluster_url(url)

    def connect(address: Address) -> _Node:
        store = subscribe_redis(parts.of(address))
        return _Node(store, store, None)

    return ClusterStore(parts.seeds, connect)


class ClusterStore:
    """The commands of `Store` on a cluster."""

    def __init__(self, seeds: tuple[Address, ...], connect: Callable[[Address], _Node]) -> None:
        """Take the nodes to ask first, and how to connect to one; nothing is asked yet."""
        self._connect = connect
        self._nodes: dict[Address, _Node] = {}
        self._primaries: frozenset[Address] = frozenset()
        self._map = ClusterMap(seeds, self._view)

    # ------------------------------------------------------------ finding the node

    async def follow(self, name: Text, act: Callable[[Store], Awaitable[_T]]) -> _T:
        """Act on the node that has a key; go where the cluster says while nothing was executed.

        Raises:
            SlotUnavailableError: no node takes the command: it was not executed.
            redis.RedisError, OSError: the node refused it or failed; nobody may know whether it
                was executed.
        """
        slot = slot_of(name)
        deadline = time.monotonic() + _FOLLOW_S_MAX
        pause_s = _PAUSE_S_MIN
        address, is_asking = await self._owner(slot), False
        while True:
            node = self._node(address)
            try:
                return await act(node.asking if is_asking else node.store)
            except MovedError as error:
                address, is_asking = _told(error, address), False
                self._map.moved(slot, address)
                refusal: Exception = error
            except AskError as error:
                address, is_asking = _told(error, address), True
                refusal = error
            except (TryAgainError, ClusterDownError) as error:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)
                await self._map.look()
                address, is_asking = await self._owner(slot), False
                refusal = error
            except ResponseError:
                raise
            except (RedisError, OSError, TimeoutError):
                self._map.suspect(address)
                raise
            if time.monotonic() > deadline:
                msg = f"no node takes slot {slot}: {type(refusal).__name__} {refusal}"
                raise SlotUnavailableError(msg) from refusal

    async def _owner(self, slot: int) -> Address:
        owner = await self._map.owner(slot)
        if self._map.primaries is not self._primaries:
            await self._let_go()
        return owner

    async def _let_go(self) -> None:
        """Cut the connections to former primaries: who waits for one that hangs goes on."""
        former = self._primaries - self._map.primaries
        self._primaries = self._map.primaries
        for address in former & self._nodes.keys():
            pool = self._nodes[address].pool
            if pool is not None:
                await pool.disconnect(inuse_connections=True)
        for address in self._nodes.keys() - self._map.nodes:
            await self._nodes.pop(address).store.aclose()

    def _node(self, address: Address) -> _Node:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = self._connect(address)
        return node

    async def _view(self, address: Address) -> View:
        return await cast("Any", self._node(address).store).execute_command("CLUSTER NODES")

    async def server_of(self, name: str, *, surely: bool = False) -> str:
        """Return the address of the node that has a key; `surely`: nodes are asked now."""
        if surely:
            await self._map.look()
        return str(await self._owner(slot_of(name)))

    async def run_on(self, name: str, act: Callable[[Store], Awaitable[_T]]) -> _T:
        """Act on the node that has a key now, without following: the caller sees what it says."""
        address = await self._owner(slot_of(name))
        try:
            return await act(self._node(address).store)
        except ResponseError:
            raise
        except (RedisError, OSError, TimeoutError):
            self._map.suspect(address)
            raise

    async def _anywhere(self, act: Callable[[Store], Awaitable[_T]]) -> _T:
        """Act on one primary, which a command without a key may be any of."""
        self._map.touch()
        address = self._map.preferred()[0]
        try:
            return await act(self._node(address).store)
        except (RedisError, OSError, TimeoutError):
            self._map.suspect(address)
            raise

    # ------------------------------------------------------------ commands of no key

    async def ping(self) -> bool:
        """Return whether nodes answer: while some do not, shows of the others sell."""
        await self._map.look()
        if not self._map.is_answered:
            msg = "no node of the cluster answers"
            raise RedisConnectionError(msg)
        return True

    async def servers(self) -> dict[str, Member]:
        """Return all nodes by their addresses, those too that do not answer.

        Raises:
            redis.ConnectionError: none of them answers.
        """
        await self.ping()
        return {
            str(address): Member(
                cast("OneServer", self._node(address).store),
                has_shows=address in self._map.primaries,
            )
            for address in sorted(self._map.nodes)
        }

    async def publish(self, channel: Text, message: Text) -> int:
        """Tell a channel's listeners on every node; return how many there are on one."""
        return await self._anywhere(lambda node: node.publish(channel, message))

    def pubsub(self, server: str = "") -> Subscription:
        """Return a connection that listens: to this node as long as it is a primary, or to any."""
        address = parse_address(server) if server else None
        return ClusterSubscription(
            self._map, address, lambda chosen: self._node(chosen).store.pubsub()
        )

    def pipeline(self, transaction: bool) -> ClusterPipeline:  # noqa: FBT001 - the client's form
        """Collect commands that go out together, to each node its own."""
        if transaction:
            msg = "keys of several nodes have no transaction"
            raise ValueError(msg)
        return ClusterPipeline(self)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._map.close()
        nodes, self._nodes = self._nodes, {}
        for node in nodes.values():
            await node.store.aclose()
            if node.pool is not None:
                await node.pool.disconnect()

    # ------------------------------------------------------------ commands of a key

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Value) -> Any:  # noqa: ANN401
        """Run a loaded script on the node of its first key."""
        key = cast("Text", keys_and_args[0])
        return await self.follow(key, lambda node: node.evalsha(sha, numkeys, *keys_and_args))

    async def eval(self, script: str, numkeys: int, *keys_and_args: Value) -> Any:  # noqa: ANN401
        """Load and run a script on the node of its first key."""
        key = cast("Text", keys_and_args[0])
        return await self.follow(key, lambda node: node.eval(script, numkeys, *keys_and_args))

    async def evalsha_and_wait(
        self, sha: str, numkeys: int, *keys_and_args: Value, replicas: int, timeout_ms: int
    ) -> tuple[Any, int]:
        """Run a loaded script on the node of its first key, and wait for that node's replicas."""
        bounds = {"replicas": replicas, "timeout_ms": timeout_ms}
        return await self.follow(
            cast("Text", keys_and_args[0]),
            lambda node: node.evalsha_and_wait(sha, numkeys, *keys_and_args, **bounds),
        )

    async def eval_and_wait(
        self, script: str, numkeys: int, *keys_and_args: Value, replicas: int, timeout_ms: int
    ) -> tuple[Any, int]:
        """Load and run a script on the node of its first key, and wait for that node's replicas."""
        bounds = {"replicas": replicas, "timeout_ms": timeout_ms}
        return await self.follow(
            cast("Text", keys_and_args[0]),
            lambda node: node.eval_and_wait(script, numkeys, *keys_and_args, **bounds),
        )

    async def spublish(self, channel: Text, message: Text) -> int:
        """Tell the listeners of a channel on the node that has its slot."""
        return await self.follow(channel, lambda node: node.spublish(channel, message))

    async def set(
        self, name: str, value: bytes, *, ex: int | None = None, px: int | None = None
    ) -> bool:
        """Write a string that expires."""
        return await self.follow(name, lambda node: node.set(name, value, ex=ex, px=px))

    async def claim(self, name: str, value: bytes, *, px: int) -> bytes | None:
        """Write a string where there is none."""
        return await self.follow(name, lambda node: node.claim(name, value, px=px))

    async def pttl(self, name: str) -> int:
        """Return in how many ms a key expires."""
        return await self.follow(name, lambda node: node.pttl(name))

    async def delete(self, *names: str) -> int:
        """Remove keys of one slot."""
        return await self.follow(names[0], lambda node: node.delete(*names))

    async def expire(self, name: str, time: int) -> bool:
        """Let a key expire."""
        return await self.follow(name, lambda node: node.expire(name, time))

    async def hset(self, name: str, *, mapping: Mapping[Any, Any]) -> int:
        """Write fields of a hash."""
        return await self.follow(name, lambda node: node.hset(name, mapping=mapping))

    async def hlen(self, name: str) -> int:
        """Count the fields of a hash."""
        return await self.follow(name, lambda node: node.hlen(name))

    async def hscan(self, name: str, cursor: int, *, count: int) -> tuple[int, dict[bytes, bytes]]:
        """Read a part of a hash."""
        return await self.follow(name, lambda node: node.hscan(name, cursor, count=count))

    async def zadd(self, name: str, mapping: Mapping[Any, int]) -> int:
        """Write members of a sorted set."""
        return await self.follow(name, lambda node: node.zadd(name, mapping))

    async def zrangebyscore(
        self,
        name: str,
        min: float | str,  # noqa: A002 - the client's name
        max: float | str,  # noqa: A002 - the client's name
        start: int,
        num: int,
    ) -> list[bytes]:
        """Read members by their scores."""
        return await self.follow(name, lambda node: node.zrangebyscore(name, min, max, start, num))

    async def xrange(
        self,
        name: str,
        min: str,  # noqa: A002 - the client's name
        max: str,  # noqa: A002 - the client's name
        count: int,
    ) -> StreamEntries:
        """Read a part of a stream."""
        return await self.follow(name, lambda node: node.xrange(name, min, max, count))

    async def xtrim(self, name: str, *, minid: str, approximate: bool) -> int:
        """Remove a stream's entries before an id."""
        trim = partial(_trim, name, minid, approximate=approximate)
        return await self.follow(name, trim)


async def _trim(name: str, minid: str, node: Store, *, approximate: bool) -> int:
    return await node.xtrim(name, minid=minid, approximate=approximate)


def _told(error: AskError, asked: Address) -> Address:
    """Return the address in a redirection; without a host it is the one that was asked."""
    host, port = cast("tuple[str, int]", error.node_addr)
    return Address(host or asked.host, port)
