"""The worker's recovery task: every show comes back, those that buyers wait for first."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import cast

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from engine.inventory.keys import WAKE_CHANNEL, Wake, show_keys, wake_call
from engine.inventory.recovery import Recoverer, SupersededError
from engine.platform.tables import shows
from engine.runtime import Working, open_working
from ops.stack import Stack
from tests.engine.ledger_world import TestedShow, World, open_world
from workers import recovery as recovery_module
from workers.recovery import Ward, run_recovery

_SHOWS = 48
_AT_ONCE = 8


class _SlowRecoverer:
    """Takes its time, and notes in which order it was asked; nothing is really recovered."""

    def __init__(self, failures: Mapping[int, Exception] | None = None) -> None:
        self.asked: list[int] = []
        self.anew: dict[int, bool] = {}
        self.at_once = self.most_at_once = 0
        self._failures = failures or {}
        self._news = asyncio.Event()

    async def be_asked(self, times: int, shows: Iterable[int] = ()) -> None:
        """Wait until it was asked so often, and for each of these: others' may be ailing, too."""
        while len(self.asked) < times or not set(shows) <= set(self.asked):
            self._news.clear()
            await self._news.wait()

    async def recover(self, show: int, _: str, *, anew: bool) -> None:
        self.anew[show] = anew
        self.asked.append(show)
        self._news.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.03)
        self.at_once -= 1
        if show in self._failures:
            raise self._failures[show]


@pytest.fixture
async def fenced(servers: Stack) -> AsyncIterator[list[TestedShow]]:
    """Shows on sale that the store knows nothing of."""
    async with open_world(servers.settings) as world:
        made = [await world.new_show() for _ in range(_SHOWS)]
        await _set_state(world, made, "on_sale")
        yield made
        await _set_state(world, made, "draft")


async def _set_state(world: World, of: list[TestedShow], state: str) -> None:
    ids = [show.id for show in of]
    async with world.owner.begin() as connection:
        await connection.execute(update(shows).where(shows.c.id.in_(ids)).values(state=state))


async def _first_visit(
    working: Working,
    recoverer: _SlowRecoverer,
    fenced: list[TestedShow],
    wanted: TestedShow | None = None,
) -> list[int]:
    """Run the task until it has come to each of these; somebody calls for one amid it."""
    mine = replace(working, recoverer=cast("Recoverer", recoverer))
    task = asyncio.create_task(run_recovery(mine))
    try:
        async with asyncio.timeout(10):
            await recoverer.be_asked(_AT_ONCE)
            if wanted is not None:
                call = wake_call(Wake.RECOVER, wanted.id)
                await wanted.world.redis.publish(WAKE_CHANNEL, call)
            await recoverer.be_asked(_SHOWS, [show.id for show in fenced])
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return recoverer.asked


async def test_a_show_that_somebody_calls_for_comes_before_those_that_wait(
    servers: Stack, fenced: list[TestedShow]
) -> None:
    """Though it was to be the last; a few are under way already."""
    async with open_working(servers.settings) as working:
        recoverer = _SlowRecoverer()
        order = await _first_visit(working, recoverer, fenced)
        assert recoverer.most_at_once == _AT_ONCE
        last = max(fenced, key=lambda show: order.index(show.id))
        again = await _first_visit(working, _SlowRecoverer(), fenced, wanted=last)
    assert again.index(last.id) < 3 * _AT_ONCE


async def test_a_busy_show_whose_attempt_failed_does_not_wait_for_all_others(
    servers: Stack, fenced: list[TestedShow]
) -> None:
    """A visit ends before all had their turn, and the next begins with it."""
    async with open_working(servers.settings) as working:
        recoverer = _SlowRecoverer()
        ward = Ward(replace(working, recoverer=cast("Recoverer", recoverer)), visit_s=0.02)
        busy = fenced[-1].id
        for _ in range(2):
            ward.call_for(busy)
            assert not await ward.visit()
    assert recoverer.asked.index(busy) < _AT_ONCE
    assert busy in recoverer.asked[_AT_ONCE : 2 * _AT_ONCE]


async def test_a_demanded_rebuild_that_failed_is_tried_again_at_the_next_look(
    servers: Stack, fenced: list[TestedShow]
) -> None:
    """The attempt itself has fenced the show; a demand alone is heard once in a while only."""
    show, recoverer = fenced[0], _SlowRecoverer()
    async with open_working(servers.settings) as working:
        ward = Ward(replace(working, recoverer=cast("Recoverer", recoverer)))
        await _make_well(show)
        for _ in range(2):
            ward.call_for(show.id, contradicts_itself=True)
            await ward.visit()
        assert recoverer.asked.count(show.id) == 1
        fenced_anew = {"state": "recovering"}
        await show.world.redis.hset(show_keys(show.id).meta, mapping=fenced_anew)
        ward.call_for(show.id)
        await ward.visit()
    assert recoverer.asked.count(show.id) == 2


async def test_between_two_looks_at_all_only_who_is_called_for_is_looked_at(
    servers: Stack, fenced: list[TestedShow]
) -> None:
    """However many shows there are, a call costs the same; what comes up meanwhile is not lost."""
    recoverer = _SlowRecoverer()
    async with open_working(servers.settings) as working:
        # Longer than a loaded machine takes for the looks in between.
        ward = Ward(replace(working, recoverer=cast("Recoverer", recoverer)), look_s=6.0)
        assert await ward.visit()
        assert {show.id for show in fenced} <= set(recoverer.asked)
        recoverer.asked.clear()
        assert await ward.visit()
        assert recoverer.asked == []
        called, meanwhile = fenced[3].id, fenced[5].id
        ward.call_for(called)
        visit = asyncio.create_task(ward.visit())
        await recoverer.be_asked(1)
        ward.call_for(meanwhile)
        assert await visit
        assert recoverer.asked == [called]
        await ward.rest()
        assert await ward.visit()
        assert recoverer.asked == [called, meanwhile]
        await ward.rest()
        assert await ward.visit()
        assert {show.id for show in fenced} <= set(recoverer.asked), "when it was time"


async def test_a_call_stands_until_its_show_was_looked_at(
    servers: Stack, fenced: list[TestedShow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many others are called for more loudly; so does a demand to write it anew."""
    monkeypatch.setattr(recovery_module, "_LOOKED_AT_ONCE", 2)
    recoverer = _SlowRecoverer()
    async with open_working(servers.settings) as working:
        ward = Ward(replace(working, recoverer=cast("Recoverer", recoverer)), look_s=60.0)
        assert await ward.visit()
        recoverer.asked.clear()
        recoverer.anew.clear()
        called = [show.id for show in fenced[:3]]
        for show in called[:2]:
            ward.call_for(show)
            ward.call_for(show)
        ward.call_for(called[2], contradicts_itself=True)
        for _ in range(2):
            assert await ward.visit()
    assert sorted(recoverer.asked) == sorted(called)
    assert recoverer.anew[called[2]]


async def test_a_fenced_show_that_contradicts_itself_is_written_anew(
    servers: Stack, fenced: list[TestedShow]
) -> None:
    """Whatever else is wrong with it; others may open as they stand."""
    recoverer = _SlowRecoverer()
    async with open_working(servers.settings) as working:
        ward = Ward(replace(working, recoverer=cast("Recoverer", recoverer)))
        ward.call_for(fenced[3].id, contradicts_itself=True)
        assert await ward.visit()
    assert recoverer.anew[fenced[3].id]
    assert not recoverer.anew[fenced[4].id]


async def test_nobody_can_demand_a_rebuild_of_a_show_that_is_not_here(
    servers: Stack, fenced: list[TestedShow]
) -> None:
    """Each would cost a recovery's attempt."""
    recoverer = _SlowRecoverer()
    async with open_working(servers.settings) as working:
        ward = Ward(replace(working, recoverer=cast("Recoverer", recoverer)))
        ward.call_for(fenced[0].id ^ 1, contradicts_itself=True)
        await ward.visit()
    assert fenced[0].id in recoverer.asked
    assert fenced[0].id ^ 1 not in recoverer.asked


async def _make_well(show: TestedShow) -> None:
    """Write what an opened show of epoch 1 looks like."""
    info = await show.world.raw.info()
    guard = {"run_id": info["run_id"], "replid": info["master_replid"]}
    stands = {"state": "open", "epoch": "1", "version": "1"}
    await show.world.redis.hset(show_keys(show.id).meta, mapping=guard | stands)


async def test_a_show_that_can_not_be_recovered_does_not_keep_the_others_from_it(
    servers: Stack, fenced: list[TestedShow]
) -> None:
    """Neither one that something newer overtook, nor one that breaks it."""
    async with open_working(servers.settings) as working:
        failures = {fenced[0].id: SupersededError("overtaken"), fenced[1].id: ZeroDivisionError()}
        recoverer = _SlowRecoverer(failures)
        order = await _first_visit(working, recoverer, fenced)
    assert {show.id for show in fenced} <= set(order)
