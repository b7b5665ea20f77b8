"""Lanes whose connection breaks, and whose server hangs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.inventory.commands import (
    Command,
    Held,
    Hold,
    InDoubt,
    Look,
    Outcome,
    Purchase,
    Purchased,
    Release,
    Replace,
    Selection,
    Unknown,
)
from ops.stack import Stack
from tests.engine.lane_house import FakeBook, Line, make_lane, open_store
from tests.lua.show_room import Rooms, hold_id, make_manifest, open_rooms

HALL = make_manifest("|oooooooooo|oooooooooo|", areas=[50])
_ME = hold_id(1)
_HOLD = Hold(_ME, "ann", 60_000, 1, Selection(seats=(1,), areas=((0, 2),), best=((0, 2),)))
_REPLACE = Replace(_ME, 2, Selection(seats=(5, 6)))
_PURCHASE = Purchase(_ME, "key", 3, "ref")


@pytest.fixture(scope="module")
def rooms(servers: Stack) -> Iterator[Rooms]:
    """Open shows on the tests' Valkey."""
    with open_rooms(servers.settings.redis_url) as rooms:
        yield rooms


@pytest.fixture
def line(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Put a proxy in front of the tests' Valkey."""
    return Line(servers.settings.redis_url, Path(tmp_path_factory.mktemp("l")) / "s")


@pytest.mark.parametrize("lost", ["reply", "call"])
@pytest.mark.parametrize(
    "command", [_HOLD, _REPLACE, _PURCHASE, Release(_ME)], ids=lambda one: type(one).__name__
)
async def test_an_unanswered_command_is_in_doubt_and_its_repetition_has_one_effect(
    rooms: Rooms, line: Line, command: Command, lost: str
) -> None:
    """Whether the server acted or not: InDoubt, then the repetition gives the one answer."""
    room = rooms.open(HALL, start_ms=0)
    async with line.running(), open_store(line.url) as store:
        lane = make_lane(store, FakeBook(room))
        # The script is loaded now: what gets lost is not the answer that it was unknown.
        assert await lane.submit(Look(_ME)) == Unknown()
        if command is not _HOLD:
            assert isinstance(await lane.submit(_HOLD), Held)
        before = room.read()
        if lost == "reply":
            line.drop_replies = 1
        else:
            line.drop_calls = 1
        assert await lane.submit(command) == InDoubt()
        between = room.read()
        assert (between.records == before.records) == (lost == "call")
        first = await lane.submit(command)
        assert not isinstance(first, InDoubt)
        assert await lane.submit(command) == first
    after = room.read()
    # One batch with an effect writes one entry of deltas.
    assert len(after.deltas) == len(before.deltas) + 1
    assert len(after.sales) == isinstance(command, Purchase)
    if lost == "reply":
        assert (after.seats, after.records) == (between.seats, between.records)


async def test_all_of_an_unanswered_batch_are_in_doubt(rooms: Rooms, line: Line) -> None:
    """Each caller is told, and each repetition finds what its own command did."""
    room = rooms.open(HALL, start_ms=0)
    holds = [Hold(hold_id(n), f"b-{n}", 60_000, n, Selection(seats=(n,))) for n in range(1, 9)]
    async with line.running(), open_store(line.url) as store:
        lane = make_lane(store, FakeBook(room))
        assert await lane.submit(Look(_ME)) == Unknown()
        line.drop_replies = 1
        doubts = await asyncio.gather(*(lane.submit(hold) for hold in holds))
        assert set(doubts) == {InDoubt()}
        assert set(room.read().records) == {hold.hold for hold in holds}
        assert all([isinstance(await lane.submit(hold), Held) for hold in holds])
    assert [len(delta.seats) for delta in room.read().deltas] == [0, 8]


async def test_a_lane_goes_on_when_the_server_is_back(rooms: Rooms, line: Line) -> None:
    """Nobody there: in doubt; then commands are decided again."""
    room = rooms.open(HALL, start_ms=0)
    async with open_store(line.url) as store:
        lane = make_lane(store, FakeBook(room))
        assert await lane.submit(_HOLD) == InDoubt()
        async with line.running():
            assert isinstance(await lane.submit(_HOLD), Held)


async def test_a_batch_that_a_stopped_server_reads_too_late_changes_nothing(
    rooms: Rooms, servers: Stack
) -> None:
    """SIGSTOP for longer than the batch may wait, then SIGCONT: the late batch does not act."""
    room = rooms.open(HALL, start_ms=0)
    async with open_store(servers.settings.redis_url, timeout_ms=300) as store:
        lane = make_lane(store, FakeBook(room), timeout_ms=300)
        assert await lane.submit(Look(_ME)) == Unknown()
        servers.valkey.pause()
        try:
            # The client waits a second longer than the batch may act.
            assert await asyncio.wait_for(lane.submit(_HOLD), 10) == InDoubt()
        finally:
            servers.valkey.resume()
        async with asyncio.timeout(10):  # until the server is awake, on a busy machine too
            while await lane.submit(Look(_ME)) == InDoubt():
                pass
        assert await lane.submit(Look(_ME)) == Unknown()
        assert room.read().records == {}
        assert isinstance(await lane.submit(_HOLD), Held)


async def test_a_batch_that_a_stopped_server_reads_in_time_is_decided(
    rooms: Rooms, servers: Stack
) -> None:
    """A pause shorter than the time-out is only waited for."""
    room = rooms.open(HALL, start_ms=0)
    async with open_store(servers.settings.redis_url) as store:
        lane = make_lane(store, FakeBook(room))
        assert await lane.submit(Look(_ME)) == Unknown()
        servers.valkey.pause()
        try:
            waiting = asyncio.ensure_future(lane.submit(_HOLD))
            await asyncio.sleep(0.3)
        finally:
            servers.valkey.resume()
        assert isinstance(await asyncio.wait_for(waiting, 10), Held)


async def test_a_clock_that_runs_behind_is_learnt_from_the_answer(
    rooms: Rooms, servers: Stack
) -> None:
    """The show's time is years ahead: too-late once, then the lane knows it."""
    room = rooms.open(HALL)
    async with open_store(servers.settings.redis_url) as store:
        assert isinstance(await make_lane(store, FakeBook(room)).submit(_HOLD), Held)


async def test_a_sale_is_answered_the_same_after_its_reply_was_lost(
    rooms: Rooms, line: Line
) -> None:
    """Hold, purchase and their repetitions through a line that breaks at every other call."""
    room = rooms.open(HALL, start_ms=0)
    answers: list[Outcome] = []
    async with line.running(), open_store(line.url) as store:
        lane = make_lane(store, FakeBook(room))
        assert await lane.submit(Look(_ME)) == Unknown()
        for command in (_HOLD, _PURCHASE):
            line.drop_replies, line.drop_calls = 1, 0
            assert await lane.submit(command) == InDoubt()
            line.drop_calls = 1
            assert await lane.submit(command) == InDoubt()
            answers.append(await lane.submit(command))
    held, sold = answers
    assert isinstance(held, Held)
    assert isinstance(sold, Purchased)
    assert (sold.seats, sold.areas) == (held.seats, held.areas)
    (at, fact), *others = room.read().sales
    assert (at, fact.hold, others) == (sold.position, _ME, [])
