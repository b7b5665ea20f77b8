"""Many of the same, a few at a time."""

import asyncio

import pytest

from engine.platform.few_at_once import each_of


async def test_results_come_in_order_and_a_few_are_under_way_at_once() -> None:
    """However long each takes."""
    under_way, most = 0, 0

    async def act(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (5 - number % 5))
        under_way -= 1
        return -number

    assert await each_of(range(20), act, at_once=3) == [-number for number in range(20)]
    assert most == 3
    assert await each_of([], act) == []


async def test_one_that_fails_ends_the_others() -> None:
    """Nothing goes on behind the caller's back."""
    ended: list[int] = []

    async def act(number: int) -> None:
        if number == 1:
            raise LookupError
        try:
            await asyncio.sleep(5)
        finally:
            ended.append(number)

    with pytest.raises(LookupError):
        await each_of(range(8), act, at_once=4)
    assert sorted(ended) == [0, 2, 3]
