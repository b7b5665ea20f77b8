"""Lanes on a server that answers: batches, bounds, reloads, recovery."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from engine.inventory.commands import (
    Done,
    Held,
    Hold,
    Look,
    Malformed,
    Outcome,
    Overloaded,
    Purchase,
    Purchased,
    Recovering,
    Release,
    SeatsTaken,
    Selection,
    Unknown,
)
from engine.inventory.keys import WAKE_CHANNEL
from engine.platform.ids import HoldId, entity_hex
from engine.platform.redis import Store, subscribe_redis
from ops.stack import Stack
from tests.engine.lane_house import FakeBook, make_lane, open_store
from tests.lua.show_room import START_MS, Rooms, ShowRoom, hold_id, make_manifest, open_rooms

HALL = make_manifest("|" + "oooooooooo|" * 20, areas=[50])


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
async def store(servers: Stack) -> AsyncIterator[Store]:
    """Connect as an API process does."""
    async with open_store(servers.settings.redis_url) as store:
        yield store


def _hold(n: int, *seats: int, buyer: str = "") -> Hold:
    return Hold(hold_id(n), buyer or f"buyer-{n}", 60_000, n, Selection(seats=seats))


async def _all(*waiting: asyncio.Future[Outcome]) -> list[Outcome]:
    async with asyncio.timeout(20):
        return list(await asyncio.gather(*waiting))


async def test_commands_that_come_while_a_call_is_under_way_share_the_next_one(
    room: ShowRoom, store: Store
) -> None:
    """A hundred holds at once take a few script calls, and each gets its own answer."""
    lane = make_lane(store, FakeBook(room), batch_max=40)
    seats = list(HALL.positions())
    tasks = [asyncio.ensure_future(lane.submit(_hold(n, seats[n]))) for n in range(1, 101)]
    outcomes = await _all(*tasks)
    assert [getattr(outcome, "seats", None) for outcome in outcomes] == [
        (seats[n],) for n in range(1, 101)
    ]
    # A batch writes one entry of deltas: 40 and 40 and 20.
    assert [len(delta.seats) for delta in room.read().deltas[1:]] == [40, 40, 20]
    assert lane.idle


async def test_a_full_backlog_is_told_at_once(room: ShowRoom, store: Store) -> None:
    """What is beyond the bound gets Overloaded, what is within it is decided."""
    lane = make_lane(store, FakeBook(room), backlog_max=3)
    tasks = [asyncio.ensure_future(lane.submit(_hold(n, n))) for n in range(1, 6)]
    kinds = [type(outcome) for outcome in await _all(*tasks)]
    assert kinds == [Held, Held, Held, Overloaded, Overloaded]
    assert isinstance(await lane.submit(_hold(5, 5)), Held)


async def test_a_caller_that_has_gone_leaves_no_trace(room: ShowRoom, store: Store) -> None:
    """A command whose caller gave up before it was sent is not sent."""
    lane = make_lane(store, FakeBook(room), batch_max=1)
    first = asyncio.ensure_future(lane.submit(_hold(1, 1)))
    gone = asyncio.ensure_future(lane.submit(_hold(2, 2)))
    await asyncio.sleep(0)
    gone.cancel()
    assert isinstance(await first, Held)
    assert await lane.submit(Look(hold_id(2))) == Unknown()


async def test_a_malformed_command_harms_no_neighbour(room: ShowRoom, store: Store) -> None:
    """The ones beside it in the batch are decided."""
    lane = make_lane(store, FakeBook(room))
    outcomes = await _all(
        asyncio.ensure_future(lane.submit(_hold(1, 1))),
        asyncio.ensure_future(lane.submit(_hold(2, 0))),
        asyncio.ensure_future(lane.submit(_hold(3, 3))),
    )
    assert [type(outcome) for outcome in outcomes] == [Held, Malformed, Held]


@pytest.mark.parametrize(
    "odd",
    [
        Hold(hold_id(2), "ann", 60_000, 1, Selection(best=((9, 1),))),
        Hold(hold_id(2), "ann", 2**64, 1, Selection(seats=(2,))),
        Hold(hold_id(2), "\ud800", 60_000, 1, Selection(seats=(2,))),
        Look(HoldId(b"short")),
    ],
    ids=["an unknown price level", "too large a number", "half a character", "half an id"],
)
async def test_a_command_that_cannot_be_packed_harms_no_neighbour(
    room: ShowRoom, store: Store, odd: Hold | Look
) -> None:
    """An error of this program in one command stays with that command's caller."""
    lane = make_lane(store, FakeBook(room))

    async def ask(command: Hold | Look) -> Outcome:
        return await lane.submit(command)

    tasks = [asyncio.create_task(ask(command)) for command in (_hold(1, 1), odd, _hold(3, 3))]
    async with asyncio.timeout(20):
        first, _, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, Held)
    assert isinstance(third, Held)


async def test_a_show_that_moved_on_is_read_again(room: ShowRoom, store: Store) -> None:
    """Another epoch or inventory version: reload, and the command is decided under it."""
    book = FakeBook(room)
    lane = make_lane(store, book)
    assert room.change(block=[5])[0] == "changed"
    assert isinstance(await lane.submit(_hold(1, 1)), Held)
    assert book.reloads == 1
    room.open()
    assert isinstance(await lane.submit(_hold(2, 2)), Held)
    assert book.reloads == 2
    assert isinstance(await lane.submit(_hold(3, 3)), Held)
    assert book.reloads == 2


async def test_a_fenced_show_is_recovering_and_the_workers_are_woken(
    room: ShowRoom, store: Store, servers: Stack
) -> None:
    """Every caller is told to come back, nothing is changed; the workers hear of it now and then.

    PostgreSQL is asked once a second at the most, whether the show was archived: not by each batch.
    """
    book = FakeBook(room)
    lane = make_lane(store, book)
    room.set_meta(run_id="another server's")
    before = room.read()
    async with _listening(servers) as messages:
        for _ in range(2):
            tasks = [asyncio.ensure_future(lane.submit(_hold(n, n))) for n in (1, 2)]
            assert await _all(*tasks) == [Recovering(), Recovering()]
        assert await asyncio.wait_for(messages.get(), 5) == f"recover:{entity_hex(room.show)}"
        await asyncio.sleep(0.06)
        assert messages.empty()
        assert await lane.submit(_hold(1, 1)) == Recovering()
        assert await asyncio.wait_for(messages.get(), 5) == f"recover:{entity_hex(room.show)}"
    assert room.read() == before
    assert book.reloads == 1
    room.open()
    assert isinstance(await lane.submit(_hold(1, 1)), Held)


async def test_a_show_that_another_process_has_recovered_is_sold_from_at_once(
    room: ShowRoom, store: Store
) -> None:
    """It is stale here: a reload brings its new epoch."""
    book = FakeBook(room)
    lane = make_lane(store, book)
    assert isinstance(await lane.submit(_hold(1, 1)), Held)
    room.open()
    assert isinstance(await lane.submit(_hold(2, 1)), Held)
    assert book.reloads == 1


async def test_a_show_that_cannot_be_read_again_is_recovering(room: ShowRoom, store: Store) -> None:
    """The database is away while the show is stale: come back, never an error."""
    book = FakeBook(room)
    lane = make_lane(store, book)
    assert isinstance(await lane.submit(_hold(2, 2)), Held)
    book.error = ConnectionRefusedError("no database")
    room.open()
    assert await lane.submit(_hold(1, 1)) == Recovering()


async def test_a_hold_that_the_store_contradicts_asks_for_recovery(
    room: ShowRoom, store: Store, servers: Stack
) -> None:
    """The caller is told to come back, the neighbour is served, the workers are woken."""
    lane = make_lane(store, FakeBook(room))
    assert isinstance(await lane.submit(_hold(1, 1)), Held)
    room.client.setrange(room.keys.seats, 1, b"o")
    async with _listening(servers) as messages:
        tasks = [
            asyncio.ensure_future(lane.submit(command))
            for command in (Purchase(hold_id(1), "key", 1, ""), _hold(2, 2))
        ]
        refused, held = await _all(*tasks)
        assert refused == Recovering()
        assert isinstance(held, Held)
        assert await asyncio.wait_for(messages.get(), 5) == f"rebuild:{entity_hex(room.show)}"


async def test_a_record_that_cannot_be_read_asks_for_a_rebuild(
    room: ShowRoom, store: Store, servers: Stack
) -> None:
    """The script raises before it writes: the caller comes back, the workers rebuild the show."""
    lane = make_lane(store, FakeBook(room))
    assert isinstance(await lane.submit(_hold(1, 1)), Held)
    room.client.execute_command("HSET", room.keys.holds, hold_id(1), b"spoilt")
    before = room.client.get(room.keys.seats)
    async with _listening(servers) as messages:
        assert await lane.submit(Purchase(hold_id(1), "key", 1, "")) == Recovering()
        assert await asyncio.wait_for(messages.get(), 5) == f"rebuild:{entity_hex(room.show)}"
    assert room.client.get(room.keys.seats) == before


async def test_a_sale_wakes_the_recorder(room: ShowRoom, store: Store, servers: Stack) -> None:
    """One message for each batch that sells."""
    lane = make_lane(store, FakeBook(room))
    assert isinstance(await lane.submit(_hold(1, 1)), Held)
    async with _listening(servers) as messages:
        assert isinstance(await lane.submit(Purchase(hold_id(1), "key", 1, "")), Purchased)
        assert await asyncio.wait_for(messages.get(), 5) == f"record:{entity_hex(room.show)}"


async def test_a_purchase_at_the_very_deadline_comes_too_late(rooms: Rooms, store: Store) -> None:
    """At the deadline the hold has expired; a millisecond before it is sold."""
    for early_ms in (0, 1):
        room = rooms.open(HALL)
        lane = make_lane(store, FakeBook(room))
        held = await lane.submit(_hold(1, 1))
        assert isinstance(held, Held)
        assert held.deadline_ms == START_MS + 60_000
        room.set_time(held.deadline_ms - early_ms)
        outcome = await lane.submit(Purchase(hold_id(1), "key", 1, ""))
        assert type(outcome).__name__ == ("Purchased" if early_ms else "Expired")
        assert room.read().seats[1] == ("s" if early_ms else "o")
        assert isinstance(await lane.submit(_hold(2, 1)), SeatsTaken if early_ms else Held)


async def test_a_forgotten_script_is_loaded_again(room: ShowRoom, store: Store) -> None:
    """After SCRIPT FLUSH the next batch brings the script's text; nothing is done twice."""
    lane = make_lane(store, FakeBook(room))
    assert isinstance(await lane.submit(_hold(1, 1)), Held)
    room.client.script_flush()
    assert isinstance(await lane.submit(_hold(2, 2)), Held)
    room.client.script_flush()
    assert await lane.submit(Release(hold_id(1))) == Done()
    assert [len(delta.seats) for delta in room.read().deltas[1:]] == [1, 1, 1]


class _listening:  # noqa: N801 -- used like a function
    """The messages of the wake channel."""

    def __init__(self, servers: Stack) -> None:
        self._url = servers.settings.redis_url
        self._messages: asyncio.Queue[str] = asyncio.Queue()

    async def __aenter__(self) -> asyncio.Queue[str]:
        self._client = subscribe_redis(self._url)
        self._pubsub = await self._client.pubsub().__aenter__()
        await self._pubsub.subscribe(WAKE_CHANNEL)
        first = await self._pubsub.get_message(ignore_subscribe_messages=False, timeout=5)
        assert first is not None
        self._task = asyncio.create_task(self._listen())
        return self._messages

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._pubsub.__aexit__(None, None, None)
        await self._client.aclose()

    async def _listen(self) -> None:
        while True:
            message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None:
                self._messages.put_nowait(message["data"].decode())
