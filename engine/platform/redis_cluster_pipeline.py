"""Commands of many keys that go out together to a cluster: one message to each node."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from redis.exceptions import AskError, ClusterDownError, RedisError, TryAgainError

from engine.platform.redis import Pipeline, Store, Text
from engine.platform.redis_cluster_map import SlotUnavailableError

_NOT_EXECUTED: Final = (AskError, TryAgainError, ClusterDownError)

Call = Callable[[Pipeline], object]


class Routes(Protocol):
    """What a pipeline needs of a cluster."""

    async def server_of(self, name: str) -> str:
        """Return which node has a key, as far as is known."""
        ...

    async def run_on(self, name: str, act: Callable[[Store], Any]) -> Any:  # noqa: ANN401
        """Act on the node that has a key, whatever it says."""
        ...

    async def follow(self, name: Text, act: Callable[[Store], Any]) -> Any:  # noqa: ANN401
        """Act on the node that has a key, following where the cluster says."""
        ...


class ClusterPipeline:
    """A `Pipeline` on a cluster.

    A node that fails fails its own commands only: unless errors are to be raised, they are among
    the answers.
    """

    def __init__(self, routes: Routes) -> None:
        """Take the cluster; nothing is collected yet."""
        self._routes = routes
        self._calls: list[tuple[str | None, Call]] = []

    def info(self, *sections: str) -> None:
        """Ask about the node of the pipeline's first key."""
        self._calls.append((None, lambda pipeline: pipeline.info(*sections)))

    def hmget(self, name: str, keys: list[str]) -> None:
        """Read fields of a hash."""
        self._calls.append((name, lambda pipeline: pipeline.hmget(name, keys)))

    def zrange(self, name: str, start: int, end: int, *, withscores: bool) -> None:
        """Read a part of a sorted set, with scores as pairs."""
        self._calls.append(
            (name, lambda pipeline: pipeline.zrange(name, start, end, withscores=withscores))
        )

    def xrange(
        self,
        name: str,
        min: str,  # noqa: A002 - the client's name
        max: str,  # noqa: A002 - the client's name
        count: int,
    ) -> None:
        """Read a part of a stream."""
        self._calls.append((name, lambda pipeline: pipeline.xrange(name, min, max, count)))

    def set(self, name: str, value: bytes, *, px: int, nx: bool, get: bool) -> None:
        """Write a string that expires."""
        self._calls.append(
            (name, lambda pipeline: pipeline.set(name, value, px=px, nx=nx, get=get))
        )

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        """Send them and return their answers in order."""
        first = next((name for name, _ in self._calls if name is not None), None)
        answers: list[Any] = [None] * len(self._calls)
        if first is None:
            return answers
        keys = [name or first for name, _ in self._calls]
        groups: dict[str, list[int]] = {}
        for index, name in enumerate(keys):
            try:
                groups.setdefault(await self._routes.server_of(name), []).append(index)
            except RedisError as error:
                answers[index] = error
        await asyncio.gather(*(self._ask(keys, group, answers) for group in groups.values()))
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        if raise_on_error and errors:
            raise errors[0]
        return answers

    async def _ask(self, keys: list[str], group: list[int], answers: list[Any]) -> None:
        calls = [self._calls[index][1] for index in group]

        async def send(node: Store) -> list[Any]:
            return await _send(node, calls)

        try:
            found = await self._routes.run_on(keys[group[0]], send)
        except (RedisError, OSError, TimeoutError) as error:
            found = [error] * len(group)
        untaken: SlotUnavailableError | None = None
        for index, answer in zip(group, found, strict=True):
            if not isinstance(answer, _NOT_EXECUTED):
                answers[index] = answer
                continue
            if untaken is not None and isinstance(answer, ClusterDownError):
                # A node that has taken nothing for so long: the others do not wait as well.
                answers[index] = untaken
                continue
            answers[index] = await self._ask_elsewhere(keys[index], self._calls[index][1])
            if isinstance(answers[index], SlotUnavailableError):
                untaken = answers[index]

    async def _ask_elsewhere(self, name: str, call: Call) -> Any:  # noqa: ANN401 - any answer
        """Repeat a command that was not executed where it will be."""

        async def send(node: Store) -> Any:  # noqa: ANN401 - any answer
            (answer,) = await _send(node, [call])
            if isinstance(answer, _NOT_EXECUTED):
                raise answer
            return answer

        try:
            return await self._routes.follow(name, send)
        except (RedisError, OSError, TimeoutError) as error:
            return error


async def _send(node: Store, calls: list[Call]) -> list[Any]:
    pipeline = node.pipeline(transaction=False)
    for call in calls:
        call(pipeline)
    return await pipeline.execute(raise_on_error=False)
