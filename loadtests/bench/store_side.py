"""What the store itself says: time by command, bytes by key. From a connection of the bench's own.

Server time is `usec` of `INFO commandstats`: the wall time from a command's first step to its
last, with everything that a script calls, without reading it off the socket and without the fsync.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self, cast

import redis
from msgspec import Struct

SCRIPT_CALLS: Final = ("evalsha", "eval", "fcall")
"""Whatever the engine calls its scripts by."""

_TIMEOUT_S: Final = 60
_SETTLE_S: Final = 20.0
_SETTLE_PAUSE_S: Final = 0.3
_SETTLED_BYTES: Final = 1024
_ID_HEX: Final = 16
_IDENTITIES: Final = "queue:i:"
_OVERHEAD: Final = "used_memory_overhead"


class Usage(Struct, frozen=True):
    """Calls of some commands, and the server time that they took."""

    calls: int
    usec: int

    def per(self, units: int) -> float:
        """Return µs for each of so many units."""
        return self.usec / units


class Memory(Struct, frozen=True):
    """How much the store has allocated."""

    used: int
    """`used_memory`."""
    dataset: int
    """`used_memory` without the buffers of clients, AOF and replication, and without scripts."""


class StoreError(Exception):
    """The store did not become what a measurement waits for."""


class _Pipeline(Protocol):
    def set(self, name: str, value: bytes) -> object: ...

    def execute(self) -> list[Any]: ...


class _Commands(Protocol):
    """What is asked of the client, whose own types say little."""

    def info(self, section: str) -> dict[str, Any]: ...

    def config_get(self, pattern: str) -> dict[str, str]: ...

    def keys(self, pattern: str) -> list[bytes]: ...

    def memory_usage(self, key: str | bytes, samples: int) -> int | None: ...

    def hget(self, name: str, key: str) -> bytes | None: ...

    def xlen(self, name: str) -> int: ...

    def xtrim(self, name: str, *, maxlen: int, approximate: bool) -> int: ...

    def unlink(self, *names: str) -> int: ...

    def pipeline(self, *, transaction: bool) -> _Pipeline: ...

    def close(self) -> None: ...


class StoreSide:
    """A connection to a site's store, for what the API does not tell."""

    def __init__(self, url: str) -> None:
        """Connect when first asked; a context manager that closes."""
        self._redis = cast(
            "_Commands",
            redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S),
        )

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._redis.close()

    # ------------------------------------------------------------ time

    def spent(self, act: Callable[[], object], *commands: str) -> Usage:
        """Do something and return what these commands took meanwhile, whoever called them."""
        before = self._usage(commands)
        act()
        after = self._usage(commands)
        return Usage(after.calls - before.calls, after.usec - before.usec)

    def spent_by_scripts(self, act: Callable[[], object]) -> Usage:
        """Do something and return what calls of scripts took meanwhile."""
        return self.spent(act, *SCRIPT_CALLS)

    def set_many(self, count: int, *, at_once: int, value: bytes) -> None:
        """Send so many pipelined SETs of fresh keys, and remove the keys again."""
        for first in range(0, count, at_once):
            names = [f"bench:set:{n}" for n in range(first, min(first + at_once, count))]
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.set(name, value)
            pipeline.execute()
            self._redis.unlink(*names)

    def _usage(self, commands: Sequence[str]) -> Usage:
        stats = self._redis.info("commandstats")
        found = [stats.get(f"cmdstat_{command}") for command in commands]
        return Usage(
            sum(one["calls"] for one in found if one),
            sum(one["usec"] for one in found if one),
        )

    # ------------------------------------------------------------ memory

    def settled_memory(self) -> Memory:
        """Return the memory once it does not change any more and no rewrite of the AOF runs.

        Raises:
            StoreError: it goes on changing.
        """
        deadline = time.monotonic() + _SETTLE_S
        before = self._memory()
        while time.monotonic() < deadline:
            time.sleep(_SETTLE_PAUSE_S)
            now = self._memory()
            rewriting = self._redis.info("persistence")["aof_rewrite_in_progress"]
            if not rewriting and abs(now.dataset - before.dataset) < _SETTLED_BYTES:
                return now
            before = now
        msg = f"the store's memory has not settled within {_SETTLE_S:.0f} s"
        raise StoreError(msg)

    def bytes_of_queue(self, show: str) -> dict[str, int]:
        """Return `bytes_by_key` of the waiting room's keys; those of identities are one."""
        found: dict[str, int] = {}
        for key, size in self.bytes_by_key(show, "queue*").items():
            name = _IDENTITIES if key.startswith(_IDENTITIES) else key
            found[name] = found.get(name, 0) + size
        return found

    def bytes_by_key(self, show: str, names: str = "*") -> dict[str, int]:
        """Return MEMORY USAGE, with every element counted, of each key of a show."""
        tag = _tag(show)
        # In a cluster's key name the tag stands in braces; a glob takes them as they are.
        found = sorted(self._redis.keys(f"{tag}:{names}"))
        return {
            key.decode().removeprefix(f"{tag}:"): self._redis.memory_usage(key, 0) or 0
            for key in found
        }

    def _memory(self) -> Memory:
        info = self._redis.info("memory")
        return Memory(info["used_memory"], info["used_memory"] - info[_OVERHEAD])

    # ------------------------------------------------------------ streams

    def wait_until_trimmed(self, show: str, timeout_s: float) -> None:
        """Wait until the worker has recorded all of a show's sales and trimmed their stream.

        Raises:
            StoreError: it does not within the time.
        """
        name = f"{_tag(show)}:sales"
        deadline = time.monotonic() + timeout_s
        while (left := self._redis.xlen(name)) > 1:
            if time.monotonic() > deadline:
                msg = f"{left} sales are still in their stream after {timeout_s:.0f} s"
                raise StoreError(msg)
            time.sleep(_SETTLE_PAUSE_S)

    def trim_deltas(self, show: str) -> None:
        """Remove what live maps were told: a window whose size does not depend on the sales."""
        self._redis.xtrim(f"{_tag(show)}:deltas", maxlen=1, approximate=False)

    # ------------------------------------------------------------ waiting rooms

    def numbers_given(self, show: str) -> int:
        """Return how many numbers a show's waiting room has given."""
        return int(self._redis.hget(f"{_tag(show)}:queue", "next") or 0)

    # ------------------------------------------------------------ what it is

    def settings(self) -> dict[str, Any]:
        """Return which server this is, and how safe it writes."""
        server: Mapping[str, Any] = self._redis.info("server")
        config = self._redis.config_get("append*")
        return {
            "store": f"{server.get('server_name', 'redis')} "
            f"{server.get('valkey_version', server['redis_version'])}",
            "appendonly": config["appendonly"],
            "appendfsync": config["appendfsync"],
        }


def _tag(show: str) -> str:
    return f"{{{show[-_ID_HEX:]}}}"
