"""Many processes' lanes fight for the same seats: exactly one winner each."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from engine.inventory.commands import (
    AreaShort,
    Held,
    Hold,
    Look,
    NoneTogether,
    Outcome,
    Purchase,
    Purchased,
    Release,
    SeatsTaken,
    Selection,
)
from engine.inventory.lanes import Lane
from engine.inventory.records import AreaCounts
from ops.stack import Stack
from tests.engine.lane_house import FakeBook, make_lane, open_store
from tests.lua.show_room import Rooms, ShowRoom, hold_id, make_manifest, open_rooms

PROCESSES = 8
HALL = make_manifest("|" + "oooooooooo|" * 6, areas=[40])


@pytest.fixture(scope="module")
def rooms(servers: Stack) -> Iterator[Rooms]:
    """Open shows on the tests' Valkey."""
    with open_rooms(servers.settings.redis_url) as rooms:
        yield rooms


@pytest.fixture
def room(rooms: Rooms) -> ShowRoom:
    """Open a show whose time is the server's."""
    return rooms.open(HALL, start_ms=0)


@pytest.fixture
async def lanes(room: ShowRoom, servers: Stack) -> AsyncIterator[list[Lane]]:
    """Return a lane for each of several processes."""
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(open_store(servers.settings.redis_url))
            for _ in range(PROCESSES)
        ]
        yield [make_lane(store, FakeBook(room), batch_max=16) for store in stores]


async def _at_once(lanes: list[Lane], commands: list[Hold]) -> list[Outcome]:
    async with asyncio.timeout(60):
        return await asyncio.gather(
            *(lanes[n % len(lanes)].submit(command) for n, command in enumerate(commands))
        )


async def test_a_seat_that_many_want_has_exactly_one_winner(
    room: ShowRoom, lanes: list[Lane]
) -> None:
    """Each seat is asked for by every process: one holds it, the others are told who can't."""
    seats = list(HALL.positions())
    commands = [
        Hold(hold_id(n * 1000 + seat), f"b-{n}-{seat}", 60_000, 1, Selection(seats=(seat,)))
        for seat in seats
        for n in range(PROCESSES)
    ]
    random.Random(1).shuffle(commands)  # noqa: S311 -- an order, not a secret
    outcomes = await _at_once(lanes, commands)
    won = {
        command.hold: outcome
        for command, outcome in zip(commands, outcomes, strict=True)
        if isinstance(outcome, Held)
    }
    assert sorted(seat for held in won.values() for seat in held.seats) == seats
    for command, outcome in zip(commands, outcomes, strict=True):
        if command.hold not in won:
            assert outcome == SeatsTaken(command.selection.seats)
    again = await _at_once(lanes[3:], commands)
    for command, first, second in zip(commands, outcomes, again, strict=True):
        assert second == first, command
    assert room.read().seats == HALL.layout.replace("o", "h")


async def test_overlapping_selections_are_won_whole_or_not_at_all(
    room: ShowRoom, lanes: list[Lane]
) -> None:
    """Pairs that overlap, places and seats together: nobody gets half, nothing is counted twice."""
    seats = list(HALL.positions())
    pairs = list(pairwise(seats))
    selections = [
        Selection(seats=pair, areas=((0, 1),), best=((0, 2),) if n % 3 == 0 else ())
        for n, pair in enumerate(pairs * 3)
    ]
    commands = [
        Hold(hold_id(n), f"b-{n}", 60_000, 1, selection)
        for n, selection in enumerate(selections, start=1)
    ]
    random.Random(2).shuffle(commands)  # noqa: S311 -- an order, not a secret
    outcomes = await _at_once(lanes, commands)
    kinds = Counter(type(outcome) for outcome in outcomes)
    assert set(kinds) <= {Held, SeatsTaken, AreaShort, NoneTogether}
    owned = Counter(
        seat for outcome in outcomes if isinstance(outcome, Held) for seat in outcome.seats
    )
    assert max(owned.values()) == 1
    found = room.read()
    assert {n for n, byte in enumerate(found.seats) if byte == "h"} == set(owned)
    assert found.areas[0] == AreaCounts(40 - kinds[Held], held=kinds[Held])
    for command, outcome in zip(commands, outcomes, strict=True):
        if isinstance(outcome, Held):
            assert outcome.seats[:2] == command.selection.seats
            assert len(outcome.seats) == 2 + 2 * len(command.selection.best)


async def test_a_hold_that_many_buy_under_their_own_keys_becomes_one_order(
    room: ShowRoom, lanes: list[Lane]
) -> None:
    """One purchase wins; its repetition by any process gives that order, other keys none."""
    hold = Hold(hold_id(1), "ann", 60_000, 1, Selection(seats=(1, 2)))
    assert isinstance(await lanes[0].submit(hold), Held)
    purchases = [Purchase(hold_id(1), f"key-{n % 4}", 1, "ref") for n in range(64)]
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(
            *(lanes[n % PROCESSES].submit(purchase) for n, purchase in enumerate(purchases))
        )
    sold = [outcome for outcome in outcomes if isinstance(outcome, Purchased)]
    assert len(sold) == 16
    assert len(set(sold)) == 1
    assert len(room.read().sales) == 1


async def test_buyers_who_hold_release_and_buy_at_random_leave_a_clean_show(
    room: ShowRoom, lanes: list[Lane]
) -> None:
    """Every seat and place ends up where the answers said."""
    sold: dict[int, bytes] = {}

    async def buyer(n: int) -> None:
        dice = random.Random(n)  # noqa: S311 -- dice, not a secret
        for turn in range(6):
            lane = dice.choice(lanes)
            hold = hold_id(n * 100 + turn + 1)
            selection = dice.choice(
                (
                    Selection(best=((0, 2),)),
                    Selection(seats=(dice.choice(list(HALL.positions())),)),
                    Selection(areas=((0, 1),), best=((0, 1),)),
                )
            )
            held = await lane.submit(Hold(hold, f"b-{n}", 60_000, 1, selection))
            if not isinstance(held, Held):
                continue
            if dice.random() < 0.5:
                await lane.submit(Release(hold))
                continue
            outcome = await dice.choice(lanes).submit(Purchase(hold, f"k-{n}-{turn}", 1, ""))
            assert isinstance(outcome, Purchased)
            assert await dice.choice(lanes).submit(Look(hold)) == outcome
            for seat in outcome.seats:
                assert seat not in sold
                sold[seat] = hold

    async with asyncio.timeout(60):
        await asyncio.gather(*(buyer(n) for n in range(40)))
    found = room.read()
    assert {n for n, byte in enumerate(found.seats) if byte == "s"} == set(sold)
    assert "h" not in found.seats
    assert {seat: fact.hold for _, fact in found.sales for seat in fact.seats} == sold
    places = sum(count for _, fact in found.sales for _, count in fact.areas)
    assert found.areas[0] == AreaCounts(40 - places, sold=places)
    tickets = sum(len(fact.seats) for _, fact in found.sales) + places
    assert sum(bought for _, bought, _ in found.buyers.values()) == tickets
