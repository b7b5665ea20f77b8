"""Where each show is read: on the store's one server, or on the node of a cluster that has it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

_TIMEOUT_S: Final = 30
_CONNECT_TIMEOUT_S: Final = 5
_CLUSTER: Final = "+cluster"


class Servers:
    """The servers of a store, by their URLs."""

    def __init__(self, url: str) -> None:
        """Take `ONSALE_REDIS_URL`; nothing is connected yet."""
        # By hand: the library takes several hosts for one that is malformed.
        scheme, _, rest = url.partition("://")
        self._scheme, self._is_cluster, _ = scheme.partition(_CLUSTER)
        place, question, query = rest.partition("?")
        self._log_in, at, nodes = place.partition("/")[0].rpartition("@")
        self._log_in += at
        self._query = question + query
        self._urls = [self._of_node(node) for node in nodes.split(",")]
        if not self._is_cluster:
            self._urls = [url]
        self._clients: dict[str, Redis] = {}
        self._slots: list[tuple[int, int, str]] = []

    async def look(self) -> None:
        """Ask a cluster where its slots are; they may move between two looks."""
        if not self._is_cluster:
            return
        failure: Exception | None = None
        for url in self._urls:
            try:
                asked = cast("Any", self._client(url)).execute_command("CLUSTER SLOTS")
                listed: list[Any] = await asked
            except (RedisError, OSError) as error:
                failure = error
                continue
            self._slots = [
                (int(first), int(last), self._of_node(f"{primary[0].decode()}:{primary[1]}"))
                for first, last, primary, *_ in listed
            ]
            return
        raise failure or ConnectionError(self._scheme)

    def of(self, show: int) -> Redis:
        """Return the client of the server that has a show.

        Raises:
            ConnectionError: no node of the cluster has it.
        """
        if not self._is_cluster:
            return self._client(self._urls[0])
        slot = key_slot(f"{show:016x}".encode())
        for first, last, url in self._slots:
            if first <= slot <= last:
                return self._client(url)
        msg = f"no node of the cluster has slot {slot}"
        raise ConnectionError(msg)

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    def _of_node(self, node: str) -> str:
        return f"{self._scheme}://{self._log_in}{node}/0{self._query}"

    def _client(self, url: str) -> Redis:
        if url not in self._clients:
            self._clients[url] = Redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_CONNECT_TIMEOUT_S
            )
        return self._clients[url]


@asynccontextmanager
async def open_servers(url: str) -> AsyncGenerator[Servers]:
    """Connect to the store, as its servers are asked for."""
    servers = Servers(url)
    try:
        yield servers
    finally:
        await servers.aclose()
