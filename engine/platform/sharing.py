"""Shares reads: one at a time for each key, however many ask.

Who asks while a read is under way gets the next one, so that every answer was read after it was
asked for.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedReads(Generic[K, T]):
    """The reads of one kind that are under way in this process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._under_way: dict[K, asyncio.Task[T]] = {}
        self._next: dict[K, asyncio.Task[T]] = {}

    async def get(self, key: K, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what a read that begins now or later returns; raises what it raises.

        A reader that goes away leaves the read to the others.
        """
        under_way = self._under_way.get(key)
        if under_way is None:
            task = self._under_way[key] = asyncio.create_task(self._run(key, read))
        else:
            task = self._next.get(key)
            if task is None:
                task = self._next[key] = asyncio.create_task(self._follow(key, under_way, read))
        return await asyncio.shield(task)

    async def _run(self, key: K, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = asyncio.current_task()
        try:
            return await read()
        finally:
            if self._under_way.get(key) is task:
                del self._under_way[key]

    async def _follow(
        self, key: K, before: asyncio.Task[T], read: Callable[[], Coroutine[Any, Any, T]]
    ) -> T:
        await asyncio.wait([before])
        self._under_way[key] = self._next.pop(key)
        return await self._run(key, read)
