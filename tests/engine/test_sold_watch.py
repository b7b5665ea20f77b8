"""A process's memory of what is sold, fed by a real store's deltas."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from engine.inventory.commands import (
    Held,
    Hold,
    Purchase,
    Purchased,
    Refusal,
    SeatsTaken,
    Selection,
)
from engine.inventory.shows import Show
from engine.inventory.sold_watch import FRESH_S, SoldWatch
from engine.platform.ids import HoldId
from engine.platform.redis import Store
from ops.stack import Stack
from tests.engine.lane_house import FakeBook, open_store
from tests.lua.show_room import Rooms, ShowRoom, make_manifest, open_rooms

_HALL = make_manifest("|oooo|oooo|")
_ME, _WINNER, _STRANGER = (HoldId(bytes([n]) * 16) for n in (1, 2, 3))
_SEAT = Selection(seats=(1,))


@pytest.fixture(scope="module")
def rooms(servers: Stack) -> Iterator[Rooms]:
    """Open shows on the tests' Valkey."""
    with open_rooms(servers.settings.redis_url) as rooms:
        yield rooms


@pytest.fixture
def room(rooms: Rooms) -> ShowRoom:
    """Open a show in which one seat is sold."""
    room = rooms.open(_HALL, start_ms=0)
    _sell(room, _WINNER, 1)
    return room


@pytest.fixture
async def store(servers: Stack) -> AsyncIterator[Store]:
    """Connect as an API process does."""
    async with open_store(servers.settings.redis_url) as store:
        yield store


@pytest.fixture
async def watch(store: Store) -> AsyncIterator[SoldWatch]:
    """A process's watch."""
    watch = SoldWatch(store)
    yield watch
    await watch.stop()


def _sell(room: ShowRoom, hold: HoldId, seat: int) -> None:
    held = room.ask(Hold(hold, hold.hex(), 60_000, 1, Selection(seats=(seat,))))
    assert isinstance(held, Held)
    assert isinstance(room.ask(Purchase(hold, hold.hex(), 1, "")), Purchased)


def _show(room: ShowRoom) -> Show:
    return FakeBook(room).known


def _reads(room: ShowRoom) -> int:
    """Return how often the store was asked for deltas."""
    stats: Any = room.client.info("commandstats")
    return stats["cmdstat_xrange"]["calls"]


async def _forgets(watch: SoldWatch, show: Show) -> bool:
    """Tell whether the watch leaves the sold seat to the store, soon."""
    for _ in range(250):
        if watch.refuse(show, _ME, _SEAT) is None:
            return True
        await asyncio.sleep(0.02)
    return False


async def _refusal(watch: SoldWatch, show: Show, selection: Selection = _SEAT) -> Refusal | None:
    """Return what the watch says once it has read the deltas; None if it stays silent."""
    for _ in range(250):
        refused = watch.refuse(show, _ME, selection)
        if refused is not None:
            return refused
        await asyncio.sleep(0.02)
    return None


async def test_what_was_sold_before_is_known_soon_after_the_first_refusal(
    room: ShowRoom, watch: SoldWatch
) -> None:
    """And nothing is said before anybody asked to follow."""
    show = _show(room)
    assert watch.refuse(show, _ME, _SEAT) is None
    watch.follow(show)
    assert await _refusal(watch, show) == SeatsTaken((1,))
    assert watch.refuse(show, _ME, Selection(seats=(2,))) is None
    _sell(room, _STRANGER, 2)
    assert await _refusal(watch, show, Selection(seats=(2,))) == SeatsTaken((2,))


async def test_the_winner_is_never_refused(room: ShowRoom, watch: SoldWatch) -> None:
    """Whose reply was lost asks again, and the store has their hold."""
    show = _show(room)
    watch.follow(show)
    assert await _refusal(watch, show) is not None
    assert watch.refuse(show, _WINNER, _SEAT) is None


async def test_a_recovery_ends_the_memory(room: ShowRoom, watch: SoldWatch) -> None:
    """It may have given seats back, and holds over that no delta tells of: nobody follows again."""
    show = _show(room)
    watch.follow(show)
    assert await _refusal(watch, show) is not None
    room.open(start_ms=0)
    assert await _forgets(watch, show)
    reads = _reads(room)
    watch.follow(_show(room))
    await asyncio.sleep(0.3)
    assert _reads(room) == reads


async def test_a_lost_store_ends_the_memory(room: ShowRoom, watch: SoldWatch) -> None:
    """A stream that is gone has no gap."""
    show = _show(room)
    watch.follow(show)
    assert await _refusal(watch, show) is not None
    room.client.unlink(room.keys.meta, room.keys.deltas)
    assert await _forgets(watch, show)


async def test_another_epoch_ends_the_memory(room: ShowRoom, watch: SoldWatch) -> None:
    """Even if none of its deltas has been read."""
    show = _show(room)
    watch.follow(show)
    assert await _refusal(watch, show) is not None
    room.client.unlink(room.keys.deltas)
    room.client.hset(room.keys.meta, "epoch", "2")
    assert await _forgets(watch, show)


async def test_a_show_whose_places_go_back_on_sale_is_never_followed_again(
    room: ShowRoom, watch: SoldWatch
) -> None:
    """Who has them since then must get their hold, though others knew the places as sold."""
    show = _show(room)
    watch.follow(show)
    assert await _refusal(watch, show) is not None
    room.set_meta(returning="told")
    assert await _forgets(watch, show)
    watch.follow(show)
    await asyncio.sleep(0.3)
    assert watch.refuse(show, _STRANGER, _SEAT) is None


async def test_what_is_not_confirmed_any_more_is_not_used(
    room: ShowRoom, watch: SoldWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store does not answer, nobody is told anything from memory for long."""
    show = _show(room)
    watch.follow(show)
    assert await _refusal(watch, show) is not None
    await watch.stop()
    now = time.monotonic()
    monkeypatch.setattr("engine.inventory.sold_watch.time.monotonic", lambda: now + FRESH_S + 1)
    assert watch.refuse(show, _ME, _SEAT) is None


async def test_a_show_that_is_not_on_sale_is_left_to_the_store(
    room: ShowRoom, watch: SoldWatch
) -> None:
    """It says so before it says that seats are taken."""
    show = _show(room)
    watch.follow(show)
    assert await _refusal(watch, show) is not None
    closed = FakeBook(room).known
    for field, value in (("state", "paused"), ("closes_at_ms", 1), ("max_per_hold", 0)):
        other = replace(closed, **{field: value})
        assert watch.refuse(other, _ME, _SEAT) is None
