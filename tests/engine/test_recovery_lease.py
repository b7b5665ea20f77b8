"""A recovery keeps others from its show while it works, and not for longer, whatever befalls it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from engine.inventory.recovery import Recoverer, SupersededError
from engine.inventory.shows import ShowBook
from engine.platform.database import create_engine
from engine.platform.settings import RECORDER_ROLE
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS

_PATIENCE_S = 10


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show with sales and a hold."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def test_a_recovery_that_hangs_gives_way_and_what_it_still_does_is_refused(
    ground: Ground,
) -> None:
    """As when its process is stopped, or its machine has gone without a word."""
    working, show = ground.working, ground.show.id
    hangs, goes_on = asyncio.Event(), asyncio.Event()

    async def drain(show: int, *, look_back: bool) -> int:
        del show, look_back
        hangs.set()
        await goes_on.wait()
        return 0

    hanging = Recoverer(working.redis, working.recorder_engine, ShowBook(), drain, IDS, lease_s=0.5)
    late = asyncio.create_task(hanging.recover(show, "hangs", anew=True))
    async with asyncio.timeout(_PATIENCE_S):
        await hangs.wait()
        assert await working.recoverer.recover(show, "too early") is None
        while await working.recoverer.recover(show, "in its place") is None:  # noqa: ASYNC110 -- no event
            await asyncio.sleep(0.05)
        opened = await ground.raw.hgetall(ground.key("meta"))
        goes_on.set()
        with pytest.raises(SupersededError):
            await late
    assert await ground.raw.hgetall(ground.key("meta")) == opened
    assert (await ground.audited()).findings == []


async def test_a_lease_leaves_no_trace_in_the_connection_that_had_it(ground: Ground) -> None:
    """It goes back to a pool, where it may be idle for long, and others may have the show."""
    engine = create_engine(ground.settings, RECORDER_ROLE, connections_max=2)
    try:
        brief = Recoverer(ground.working.redis, engine, ShowBook(), _drain_nothing, IDS)
        assert await brief.recover(ground.show.id, "brief") is not None
        async with engine.connect() as one, engine.connect() as two:
            for connection in (one, two):
                left = await connection.exec_driver_sql("SHOW idle_session_timeout")
                assert left.scalar_one() == "0"
        assert await ground.working.recoverer.recover(ground.show.id, "next") is not None
    finally:
        await engine.dispose()


async def _drain_nothing(show: int, *, look_back: bool) -> int:
    del show, look_back
    return 0
