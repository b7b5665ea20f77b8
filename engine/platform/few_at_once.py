"""The same for many, a few at a time: what is due of thousands at one moment, and takes a while."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final, TypeVar

_AT_ONCE: Final = 8

_T = TypeVar("_T")
_R = TypeVar("_R")


async def each_of(
    many: Iterable[_T], act: Callable[[_T], Awaitable[_R]], *, at_once: int = _AT_ONCE
) -> list[_R]:
    """Do it for each and return what that gave, in their order.

    Raises:
        Whatever one of them raises: the others that are under way are cancelled.
    """
    waiting: Iterator[tuple[int, _T]] = iter(enumerate(many))
    done: dict[int, _R] = {}

    async def go_on() -> None:
        for number, one in waiting:
            done[number] = await act(one)

    tasks = [asyncio.create_task(go_on()) for _ in range(at_once)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [done[number] for number in sorted(done)]
