"""What the recorder makes of a show's sales, against the real servers."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import text

from engine.inventory.keys import show_keys
from engine.platform.redis import Store, StreamEntries
from engine.sales.position import start_of
from engine.sales.recorder import FACTS_MAX, Recorder, Turn
from engine.sales.terms import Terms
from ops.stack import Stack
from tests.engine.ledger_world import AREA_CAPACITY, IDS, TestedShow, World, open_world


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A show in epoch 1."""
    return await world.new_show()


async def _until_blocked(world: World, backend: int | None) -> None:
    """Wait until a recorder waits for a lock of this backend."""
    waiting = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'onsale_recorder'"
        " AND :backend = ANY(pg_blocking_pids(pid))"
    )
    async with asyncio.timeout(10):
        while not await world.rows(waiting, backend=backend):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.02)


class Heard:
    """Takes what the recorder publishes."""

    def __init__(self) -> None:
        """Start with none."""
        self.messages: list[tuple[int, int, list[str]]] = []

    async def publish(self, channel: str, message: bytes) -> None:
        """Take a message."""
        assert channel.endswith(":recorded")
        self.messages.append(msgspec.msgpack.decode(message, type=tuple[int, int, list[str]]))


async def test_a_sale_becomes_an_order_with_lines_tickets_and_a_balanced_entry(
    show: TestedShow,
) -> None:
    """Two vip seats, one standard seat and two places on the floor: all itemised, sum zero."""
    hold = await show.sell([3, 4, 12], [(0, 2)])
    recorded = await show.recorder().record(show.id)
    assert (recorded.count, recorded.refused, recorded.turn) == (1, (), Turn.CAUGHT_UP)
    [order] = await show.world.rows("SELECT * FROM orders WHERE show_id = :show", show=show.id)
    assert order["id"].bytes == hold
    assert order["status"] == "confirmed"
    assert order["reseller_id"] == show.reseller
    assert order["sold_at"].isoformat() == "2026-01-01T00:00:00+00:00"
    lines = await show.world.rows(
        "SELECT price_level, area_index, quantity, unit_face_value, unit_fee, unit_tax, total"
        " FROM order_lines WHERE order_id = :order ORDER BY line_no",
        order=order["id"],
    )
    # vip: 3.5 % of 100.00 and 0.79 make 4.29; 7 % of 104.29 are 7.30
    assert [tuple(line.values()) for line in lines] == [
        ("vip", None, 2, 10_000, 429, 730, 22_318),
        ("std", None, 1, 4_550, 238, 335, 5_123),
        ("floor", 0, 2, 6_000, 289, 440, 13_458),
    ]
    tickets = await show.world.rows(
        "SELECT label, seat_index, area_index, line_no, status FROM tickets"
        " WHERE order_id = :order ORDER BY label",
        order=order["id"],
    )
    assert [tuple(ticket.values()) for ticket in tickets] == [
        ("A-12", 12, None, 1, "active"),
        ("A-3", 3, None, 0, "active"),
        ("A-4", 4, None, 0, "active"),
        ("floor", None, 0, 2, "active"),
        ("floor", None, 0, 2, "active"),
    ]
    assert await show.balance() == {
        "payment_clearing": 40_899,
        "reseller_payable": -36_550,
        "platform_fee": -1_674,
        "tax_payable": -2_675,
    }
    assert order["total"] == 40_899


async def test_recording_again_adds_nothing(show: TestedShow) -> None:
    """The position has moved: another turn, by this or another process, finds nothing."""
    await show.sell([1])
    recorder = show.recorder()
    first = await recorder.record(show.id)
    for again in (await recorder.record(show.id), await show.recorder().record(show.id)):
        assert (again.count, again.position) == (0, first.position)
    assert len(await show.orders()) == 1


async def test_a_fact_that_was_delivered_twice_is_one_order(show: TestedShow) -> None:
    """A known order is a replay, in the same batch or a later one, and is not refused."""
    hold = await show.sell([1, 2], [(0, 3)])
    await show.sell([1, 2], [(0, 3)], hold=hold)
    heard = Heard()
    recorder = show.recorder(publish=heard.publish)
    assert (await recorder.record(show.id)).count == 2
    await show.sell([1, 2], [(0, 3)], hold=hold)
    assert (await recorder.record(show.id)).refused == ()
    assert await show.orders() == {hold: "confirmed"}
    assert heard.messages[-1][2] == []
    [area] = await show.world.rows("SELECT sold FROM area_sales WHERE show_id = :s", s=show.id)
    assert area["sold"] == 3


@pytest.mark.parametrize("apart", [False, True], ids=["one batch", "two batches"])
async def test_an_order_that_lost_a_seat_is_a_conflict_and_owns_nothing(
    show: TestedShow, *, apart: bool
) -> None:
    """Never half an order: its other seats stay free, and no money is posted for it."""
    recorder = show.recorder()
    winner = await show.sell([5, 6])
    if apart:
        await recorder.record(show.id)
    loser = await show.sell([6, 7], [(0, 1)])
    recorded = await recorder.record(show.id)
    assert recorded.refused == (loser,)
    assert await show.orders() == {winner: "confirmed", loser: "conflict"}
    assert await show.seats() == {5: winner, 6: winner}
    [clash] = await show.world.rows("SELECT * FROM conflicts WHERE show_id = :s", s=show.id)
    assert (clash["order_id"].bytes, clash["seat_index"]) == (loser, 6)
    assert clash["owner_order_id"].bytes == winner
    assert (await show.balance())["reseller_payable"] == -20_000
    third = await show.sell([7])
    await recorder.record(show.id)
    assert (await show.seats())[7] == third


async def test_an_area_takes_its_capacity_and_not_one_more(show: TestedShow) -> None:
    """The last place is sold; the order that wants one more is a conflict, a smaller one fits."""
    recorder = show.recorder()
    first = await show.sell(areas=[(0, AREA_CAPACITY - 2)])
    await recorder.record(show.id)
    too_many = await show.sell(areas=[(0, 3)])
    fits = await show.sell(areas=[(0, 2)])
    one_more = await show.sell(areas=[(0, 1)])
    await recorder.record(show.id)
    assert await show.orders() == {
        first: "confirmed",
        too_many: "conflict",
        fits: "confirmed",
        one_more: "conflict",
    }
    [area] = await show.world.rows("SELECT * FROM area_sales WHERE show_id = :s", s=show.id)
    assert (area["sold"], area["capacity"]) == (AREA_CAPACITY, AREA_CAPACITY)


async def test_facts_of_a_past_epoch_wait_for_the_drain_of_its_recovery(show: TestedShow) -> None:
    """A recorder between the raised epoch and the drain must not strand what is to be drained."""
    hold = await show.sell([1])
    await show.raise_epoch()
    recorder = show.recorder()
    waiting = await recorder.record(show.id)
    assert (waiting.turn, waiting.count) == (Turn.AWAITING_DRAIN, 0)
    drained = await recorder.record(show.id, drain=True)
    assert (drained.count, drained.position) == (1, start_of(2))
    assert await show.orders() == {hold: "confirmed"}
    assert await show.stranded() == {}
    later = await show.sell([2], epoch=2)
    assert (await recorder.record(show.id)).count == 1
    assert (await show.orders())[later] == "confirmed"


async def test_a_drain_of_an_empty_stream_moves_to_the_new_epoch(show: TestedShow) -> None:
    """As when a show opens for the first time."""
    assert (await show.recorder().record(show.id, drain=True)).position == start_of(1)


async def test_a_fact_that_a_slow_recorder_read_before_the_drain_is_stranded_if_that_missed_it(
    show: TestedShow,
) -> None:
    """It was on a server that was given up: its seats may be another's, so it is kept aside."""
    await show.sell([1])
    lost = await show.sell([2])
    keys = show_keys(show.id)
    entries: list[Any] = await show.world.raw.xrange(keys.sales)
    await show.world.raw.xdel(keys.sales, entries[1][0])  # the promoted replica has the first only
    await show.raise_epoch()
    heard = Heard()
    recorder = show.recorder(publish=heard.publish)
    await recorder.record(show.id, drain=True)
    await show.world.raw.delete(keys.sales)
    await show.world.raw.xadd(keys.sales, entries[0][1], id=entries[0][0])
    await show.world.raw.xadd(keys.sales, entries[1][1], id=entries[1][0])
    await recorder.record(show.id, drain=True)
    assert lost not in await show.orders()
    assert list(await show.stranded()) == [lost]
    assert heard.messages[-1][2] == [lost.hex()]


async def test_a_fact_of_an_epoch_that_never_was_is_stranded(show: TestedShow) -> None:
    """The ledger gives out the epochs: a higher one in a stream is nobody's."""
    hold = await show.sell([1], epoch=7)
    for drain in (False, True):
        await show.recorder().record(show.id, drain=drain)
    assert await show.orders() == {}
    assert list(await show.stranded()) == [hold]


@pytest.mark.parametrize(
    ("seats", "areas", "others"),
    [
        ([1], [], {"price_version": 2}),
        ([20_000], [], {}),
        ([], [(3, 1)], {}),
        ([], [], {}),
        ([1, 1], [], {}),
        ([], [(0, 0)], {}),
        ([-1], [], {}),
        ([1], [], {"buyer": "b\x0017"}),
    ],
    ids=[
        "no such prices",
        "no such seat",
        "no such area",
        "no place",
        "a seat twice",
        "no count",
        "below",
        "a NUL",
    ],
)
async def test_a_fact_that_cannot_be_recorded_is_stranded_and_holds_up_no_other(
    show: TestedShow, seats: list[int], areas: list[tuple[int, int]], others: dict[str, Any]
) -> None:
    """It is kept whole with a reason; the sales before and behind it are recorded."""
    before = await show.sell([8])
    bad = await show.sell(seats, areas, **others)
    behind = await show.sell([9])
    recorded = await show.recorder().record(show.id)
    assert recorded.refused == (bad,)
    assert await show.orders() == {before: "confirmed", behind: "confirmed"}
    [(hold, reason)] = (await show.stranded()).items()
    assert hold == bad
    assert reason


async def test_an_entry_that_is_no_fact_is_kept_byte_by_byte(show: TestedShow) -> None:
    """Whatever a newer version writes: nothing of it is lost."""
    fields = {b"h": secrets.token_bytes(16), b"f": b"\xc1 garbage", b"x": b"\x00\xff"}
    await show.add(fields)
    await show.add({b"other": b"1"})
    recorded = await show.recorder().record(show.id)
    assert (recorded.count, recorded.refused) == (2, (fields[b"h"],))
    found = await show.world.rows(
        "SELECT fact, hold_id FROM stranded_facts WHERE show_id = :s ORDER BY stream_seq", s=show.id
    )
    assert msgspec.msgpack.decode(found[0]["fact"]) == fields
    assert found[1]["hold_id"] is None


async def test_a_fact_that_only_the_ledger_refuses_is_found_in_its_batch(
    show: TestedShow,
) -> None:
    """A total beyond 63 bits fails the whole statement: the batch is halved until it is alone."""
    holds = [await show.sell([seat]) for seat in range(20, 27)]
    huge = await show.sell([3])
    holds += [await show.sell([seat]) for seat in range(30, 33)]
    recorder = show.recorder(prices={"std": 4_550, "vip": 2**63 - 1})
    recorded = await recorder.record(show.id)
    assert recorded.refused == (huge,)
    assert recorded.count == len(holds) + 1
    assert await show.orders() == dict.fromkeys(holds, "confirmed")
    assert list(await show.stranded()) == [huge]


async def test_more_facts_than_fit_in_a_transaction_are_recorded_in_order(
    show: TestedShow,
) -> None:
    """Each seat is sold twice: the earlier sale has it, across batches too."""
    first = [await show.sell([seat]) for seat in range(FACTS_MAX)]
    second = [await show.sell([seat]) for seat in range(FACTS_MAX)]
    recorded = await show.recorder().record(show.id)
    assert recorded.count == 2 * FACTS_MAX
    assert set(recorded.refused) == set(second)
    assert await show.seats() == dict(enumerate(first))


async def test_facts_that_are_behind_a_position_that_was_put_back_are_known(
    show: TestedShow,
) -> None:
    """As after a restore: what the ledger has of them is found though it was not asked first."""
    holds = [await show.sell([seat], [(0, 1)]) for seat in range(5)]
    recorder = show.recorder()
    await recorder.record(show.id)
    balance = await show.balance()
    async with show.world.owner.begin() as connection:
        statement = text("UPDATE recorder_positions SET seq = 1 WHERE show_id = :show")
        await connection.execute(statement, {"show": show.id})
    holds.append(await show.sell([6]))
    recorded = await show.recorder().record(show.id)
    assert (recorded.count, recorded.refused) == (4, ())
    assert await show.orders() == dict.fromkeys(holds, "confirmed")
    assert await show.stranded() == {}
    assert (await show.balance())["reseller_payable"] == balance["reseller_payable"] - 10_000
    [area] = await show.world.rows("SELECT sold FROM area_sales WHERE show_id = :s", s=show.id)
    assert area["sold"] == 5


async def test_orders_whose_seats_are_given_away_while_they_are_recorded_are_conflicts(
    show: TestedShow,
) -> None:
    """By those who have not committed yet: each seat is waited for, then all is judged again."""
    rivals = [await show.sell([seat]) for seat in (1, 2)]
    await show.recorder().record(show.id)
    sold = [await show.sell([seat]) for seat in (11, 12)]
    async with show.world.owner.connect() as first, show.world.owner.connect() as second:
        moving = text(
            "UPDATE tickets SET seat_index = seat_index + 10 WHERE order_id = CAST(:order AS UUID)"
        )
        for other, rival in zip((first, second), rivals, strict=True):
            await other.execute(moving, {"order": rival.hex()})
        recording = asyncio.create_task(show.recorder().record(show.id))
        for other in (first, second):
            await _until_blocked(show.world, await other.scalar(text("SELECT pg_backend_pid()")))
            await other.commit()
    assert (await asyncio.wait_for(recording, 10)).refused == tuple(sold)
    assert await show.orders() == dict.fromkeys(rivals, "confirmed") | dict.fromkeys(
        sold, "conflict"
    )
    assert await show.seats() == dict(zip((11, 12), rivals, strict=True))


async def test_batches_that_are_read_ahead_are_recorded_in_order(show: TestedShow) -> None:
    """A seat sold in one batch is taken in the next; what can't be read is stranded on the way."""
    first = [await show.sell([seat]) for seat in range(FACTS_MAX - 1)]
    bad = await show.sell([20_000])
    again = [await show.sell([0]), await show.sell([FACTS_MAX])]
    more = [await show.sell([FACTS_MAX + 1 + n]) for n in range(FACTS_MAX)]
    recorded = await show.recorder().record(show.id)
    assert recorded.count == 2 * FACTS_MAX + 2
    assert recorded.refused == (bad, again[0])
    assert list(await show.stranded()) == [bad]
    expected = dict.fromkeys((*first, again[1], *more), "confirmed") | {again[0]: "conflict"}
    assert await show.orders() == expected


async def test_a_batch_that_was_read_ahead_in_vain_is_given_up(show: TestedShow) -> None:
    """A turn that breaks leaves nothing running, and the next one goes on where it was."""
    holds = [await show.sell([seat]) for seat in range(FACTS_MAX + 1)]
    before = asyncio.all_tasks()
    reads = 0

    class HangsAfterOneRead:
        async def xrange(self, name: str, first: str, last: str, count: int) -> StreamEntries:
            nonlocal reads
            reads += 1
            if reads > 1:
                await asyncio.Event().wait()
            return await show.world.redis.xrange(name, first, last, count)

    async def publish(_channel: str, _message: bytes) -> None:
        raise ZeroDivisionError

    store = cast("Store", HangsAfterOneRead())
    breaks = Recorder(show.world.recorder_engine, store, show.hall_terms(), IDS, publish=publish)
    with pytest.raises(ZeroDivisionError):
        await breaks.record(show.id)
    assert reads == 2
    assert asyncio.all_tasks() == before
    assert len(await show.orders()) == FACTS_MAX
    assert (await show.recorder().record(show.id)).count == 1
    assert await show.orders() == dict.fromkeys(holds, "confirmed")


async def test_a_show_that_another_recorder_has_is_left_before_its_sales_are_priced(
    show: TestedShow,
) -> None:
    """Of a long backlog that would be much work for nothing, again and again."""
    for seat in range(FACTS_MAX):
        await show.sell([seat])

    class NoTerms:
        async def terms(self, show: int, price_versions: frozenset[int]) -> Terms:
            raise AssertionError(show, price_versions)

    world = show.world
    idle = Recorder(world.recorder_engine, world.redis, NoTerms(), IDS)
    async with world.owner.begin() as other:
        row = "INSERT INTO recorder_positions VALUES (:show, :reseller, 0, -1)"
        await other.execute(text(row), {"show": show.id, "reseller": show.reseller})
    async with world.owner.begin() as other:
        lock = "SELECT 1 FROM recorder_positions WHERE show_id = :show FOR UPDATE"
        await other.execute(text(lock), {"show": show.id})
        assert (await idle.record(show.id)).turn is Turn.BUSY


async def test_recorders_that_race_record_each_sale_once(show: TestedShow) -> None:
    """Five of them at one show: one at a time has it, and together they get everything."""
    holds = [await show.sell([seat]) for seat in range(2 * FACTS_MAX + 300)]
    recorders = [show.recorder() for _ in range(5)]

    async def turns(recorder: Recorder) -> int:
        return sum([(await recorder.record(show.id)).count for _ in range(20)])

    counts = await asyncio.gather(*(turns(recorder) for recorder in recorders))
    assert sum(counts) == len(holds)
    assert await show.orders() == dict.fromkeys(holds, "confirmed")


async def test_a_look_finds_the_shows_that_are_behind_and_no_other(world: World) -> None:
    """A sale that nobody was woken for, and a stream that can't be read, whose turn tells why."""
    quiet, done, sold, spoilt = [await world.new_show() for _ in range(4)]
    recorder = done.recorder()
    shows = [show.id for show in (quiet, done, sold, spoilt)]
    assert await recorder.behind(shows) == []
    assert await recorder.behind([]) == []
    await done.sell([3])
    assert await recorder.behind(shows) == [done.id]
    await recorder.record(done.id)
    await sold.sell([3])
    await world.redis.set(show_keys(spoilt.id).sales, b"no stream", ex=60)
    assert set(await recorder.behind(shows)) == {sold.id, spoilt.id}


async def test_a_refusal_is_told_with_every_later_position(show: TestedShow) -> None:
    """A waiter who missed one message must not take the next for a confirmation.

    Another process that takes the show over knows it too.
    """
    winner = await show.sell([1])
    loser = await show.sell([1])
    heard = Heard()
    recorder = show.recorder(publish=heard.publish)
    await recorder.record(show.id)
    assert heard.messages == [(1, 1, [loser.hex()])]
    await show.sell([2])
    await recorder.record(show.id)
    await show.sell([3])
    await show.recorder(publish=heard.publish).record(show.id)
    await show.sell([4])
    await recorder.record(show.id)
    assert [message[2] for message in heard.messages] == [[loser.hex()]] * 4
    assert winner.hex() not in str(heard.messages)


async def test_a_position_that_cannot_be_told_is_committed_all_the_same(
    show: TestedShow,
) -> None:
    """Who waits for it asks the ledger."""

    async def publish(_channel: str, _message: bytes) -> None:
        raise ConnectionResetError

    hold = await show.sell([1])
    assert (await show.recorder(publish=publish).record(show.id)).count == 1
    assert await show.orders() == {hold: "confirmed"}
