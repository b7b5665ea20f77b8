"""What the store is told of how far a show is recorded."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from engine.inventory.backlog import RecordedNotes, longest_backlog
from engine.inventory.facts import StreamId
from engine.inventory.keys import show_keys
from engine.platform.redis import Store
from engine.sales.recorder import Recorder
from ops.stack import Stack
from tests.engine.ledger_world import IDS, TestedShow, World, open_world


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> AsyncIterator[TestedShow]:
    """A show that the store has in epoch 1; not for long, since others look at all shows."""
    show = await world.new_show()
    meta = show_keys(show.id).meta
    await world.redis.hset(meta, mapping={"epoch": "1", "sold": "50"})
    yield show
    await world.raw.delete(meta)


class _Silent:
    """A store that nothing gets through to, until it is another's."""

    def __init__(self) -> None:
        self.store: Store | None = None

    async def evalsha(self, *call: Any) -> object:  # noqa: ANN401 - a call's
        """Fail, or hand on."""
        if self.store is None:
            raise ConnectionResetError
        return await self.store.evalsha(*call)

    async def eval(self, *call: Any) -> object:  # noqa: ANN401 - a call's
        """Hand on."""
        assert self.store is not None
        return await self.store.eval(*call)


async def _recorded(show: TestedShow) -> int:
    client = cast("Any", show.world.raw)
    return int(await client.hget(show_keys(show.id).meta, "recorded") or 0)


def _recorder(show: TestedShow, notes: RecordedNotes) -> Recorder:
    world = show.world
    return Recorder(world.recorder_engine, world.redis, show.hall_terms(), IDS, notes=notes)


async def test_the_store_hears_of_what_is_recorded_in_steps(show: TestedShow) -> None:
    """The first turn is told, then each step: a note is a write, and one a sale were too many."""
    recorder = _recorder(show, RecordedNotes(show.world.redis, step=3))
    heard: list[int] = []
    for seat in range(8):
        await show.sell([seat])
        await recorder.record(show.id)
        heard.append(await _recorded(show))
    assert heard == [1, 1, 1, 4, 4, 4, 7, 7]


@pytest.mark.parametrize(("quiet_s", "recorded"), [(60, 1), (0, 3)])
async def test_a_show_that_is_quiet_is_known_exactly(
    show: TestedShow, quiet_s: float, recorded: int
) -> None:
    """The last sales of a rush must not be taken to be waiting for ever."""
    recorder = _recorder(show, RecordedNotes(show.world.redis, step=100, quiet_s=quiet_s))
    for seat in range(3):
        await show.sell([seat])
        await recorder.record(show.id)
    assert await _recorded(show) == 1
    await recorder.record(show.id)
    assert await _recorded(show) == recorded


async def test_a_new_recorder_tells_where_it_begins(show: TestedShow) -> None:
    """The one before may have died between its commit and its note."""
    await show.sell([1])
    await _recorder(show, RecordedNotes(cast("Store", _Silent()))).record(show.id)
    assert await _recorded(show) == 0
    await _recorder(show, RecordedNotes(show.world.redis, step=100)).record(show.id)
    assert await _recorded(show) == 1


async def test_a_note_that_fails_is_made_up_for(show: TestedShow) -> None:
    """It is as if it had not been made."""
    store = _Silent()
    notes = RecordedNotes(cast("Store", store), step=5)
    await notes.note(show.id, StreamId(1, 9))
    store.store = show.world.redis
    await notes.note(show.id, StreamId(1, 9), is_quiet=True)
    assert await _recorded(show) == 10


async def test_a_late_note_takes_nothing_back(show: TestedShow) -> None:
    """Neither of a recorder that was stopped for long, nor of an epoch that is over."""
    await RecordedNotes(show.world.redis).note(show.id, StreamId(1, 30))
    await RecordedNotes(show.world.redis).note(show.id, StreamId(1, 9))
    await RecordedNotes(show.world.redis).note(show.id, StreamId(0, 49))
    assert await _recorded(show) == 31
    assert await longest_backlog(show.world.redis, [show.id]) == 19


async def test_the_longest_backlog_is_told_though_a_show_is_unknown_or_spoilt(
    show: TestedShow,
) -> None:
    """Whatever is wrong with one, the others are looked at."""
    unknown, spoilt = await show.world.new_show(), await show.world.new_show()
    await show.world.raw.set(show_keys(spoilt.id).meta, b"spoilt")
    shows = [unknown.id, spoilt.id, show.id]
    try:
        assert await longest_backlog(show.world.redis, shows) == 50
    finally:
        await show.world.raw.delete(show_keys(spoilt.id).meta)
    assert await longest_backlog(show.world.redis, []) == 0
