"""The sweeper: overdue holds of quiet shows end, and a quiet show's time goes on."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from engine.inventory.sweeping import scheduled_shows, sweep
from engine.inventory.tending import TendedShow, tended_shows
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from workers.sweeper import run_sweeper


@pytest.fixture
async def ground(servers: Stack) -> AsyncIterator[Ground]:
    """A show with a live hold."""
    async with open_ground(servers.settings) as opened:
        yield opened


@pytest.fixture
async def spoilt(servers: Stack) -> AsyncIterator[Ground]:
    """Another, to be spoilt."""
    async with open_ground(servers.settings) as opened:
        yield opened
        await opened.raw.delete(opened.key("meta"), opened.key("expiry"))


async def _tended(ground: Ground) -> TendedShow:
    (show,) = await tended_shows(ground.working.recorder_engine, [ground.show.id])
    return show


async def _state(ground: Ground, seat: int) -> bytes:
    return await ground.raw.getrange(ground.key("seats"), seat, seat)


async def test_what_ends_by_itself_is_found_with_its_first_deadline(ground: Ground) -> None:
    """Not a show in which nothing does."""
    show = await _tended(ground)
    (found,), _ = await scheduled_shows(ground.working.redis, [show])
    ((_, first),) = await ground.raw.zrange(ground.key("expiry"), 0, 0, withscores=True)
    assert (found.show, found.first_ms) == (show, first)
    await ground.raw.delete(ground.key("expiry"))
    assert await scheduled_shows(ground.working.redis, [show]) == ([], [])
    assert await scheduled_shows(ground.working.redis, []) == ([], [])


async def test_a_show_whose_time_is_ahead_is_swept_by_its_own_time(ground: Ground) -> None:
    """As after a step of the server's clock that was put right: the show's never goes back."""
    await ground.hold("short", "sue", Wanted(seats=(ground.label(9),)), ttl_ms=30_000)
    now_ms = round(time.time() * 1000)
    await ground.raw.hset(ground.key("meta"), "time", now_ms + 60_000)
    assert await sweep(ground.working.redis, await _tended(ground), now_ms)
    assert await _state(ground, ground.seat(9)) == b"o"


async def test_overdue_holds_end_within_a_second_and_time_goes_on(
    ground: Ground, spoilt: Ground
) -> None:
    """A recovery goes by the show's time: it may not stand still while anything is held.

    A show that is spoilt keeps no other from being swept.
    """
    await ground.hold("short", "sue", Wanted(seats=(ground.label(9),)), ttl_ms=300)
    await spoilt.raw.set(spoilt.key("meta"), b"spoilt")
    sweeping = asyncio.create_task(run_sweeper(ground.working))
    try:
        async with asyncio.timeout(5):
            while await _state(ground, ground.seat(9)) != b"o":  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.05)
        seen_ms = int(await ground.raw.hget(ground.key("meta"), "time"))
        await asyncio.sleep(4.5)
        assert int(await ground.raw.hget(ground.key("meta"), "time")) > seen_ms + 1000
        assert not sweeping.done()
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
    assert (await ground.audited()).findings == []
