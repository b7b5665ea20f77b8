"""What is told of sales, returns, recoveries, draws, and of what time alone brings about."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from engine.facts.log import Fact, NewFact, add_facts, read_facts
from engine.facts.types import DATA_OF_TYPE, FactType, OrderRefunded
from engine.inventory.expiries import ExpiredHolds
from engine.inventory.shows import Show, ShowBook, UnknownShowError
from engine.inventory.sweeping import sweep
from engine.inventory.tending import tended_shows
from engine.platform.database import tenant_transaction
from engine.platform.ids import HoldId, Prefix
from engine.sales.milestones import SoldOutWatch, tell_on_sale
from engine.sales.wanted import Wanted
from engine.waitingroom.queues import note_draw, put_queue, tended_queues
from engine.waitingroom.rules import Mode, QueueRules
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS, TestedShow, World, open_world

_SHORT_MS = 50


@pytest.fixture
async def ground(servers: Stack) -> AsyncIterator[Ground]:
    """A show in trade."""
    async with open_ground(servers.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


async def _told(ground: Ground, *types: FactType) -> list[Fact]:
    """Return what was told of a ground's show, once nothing older is under way."""
    async with asyncio.timeout(30):
        while True:
            async with tenant_transaction(ground.serving.app_engine, ground.show.reseller) as app:
                settled = await read_facts(app, None, 1000, types or None)
                count = await app.scalar(text("SELECT count(*) FROM facts"))
                if types or len(settled) == count:
                    return [fact for fact in settled if fact.show == ground.show.id]
            await asyncio.sleep(0.05)


async def _rows_told(show: TestedShow) -> list[tuple[str, str, Any]]:
    found = await show.world.rows(
        "SELECT type, object, data FROM facts WHERE show_id = :show ORDER BY xid, id", show=show.id
    )
    return [(row["type"], row["object"], row["data"]) for row in found]


def _tellers(ground: Ground) -> ExpiredHolds:
    working = ground.working
    return ExpiredHolds(working.redis, working.recorder_engine, ground.serving.ids)


async def _sweep(ground: Ground) -> None:
    [show] = await tended_shows(ground.working.recorder_engine, [ground.show.id])
    now_ms = round((datetime.now(UTC) + timedelta(seconds=1)).timestamp() * 1000)
    assert await sweep(ground.working.redis, show, now_ms)


async def _let_expire(ground: Ground, *seats: int) -> set[str]:
    """Hold seats, each for a buyer, for a moment; return what the holds are called."""
    held = [
        await ground.hold(f"h-{n}", f"buyer-{n}", Wanted(seats=(ground.label(n),)), _SHORT_MS)
        for n in seats
    ]
    await asyncio.sleep(_SHORT_MS / 1000 + 0.05)
    await _sweep(ground)
    return {ground.serving.ids.hold(one.hold) for one in held}


async def test_of_each_sale_it_is_told_what_became_of_it(world: World) -> None:
    """Confirmed and sold; failed for another's seat; failed since it can't be read."""
    show = await world.new_show()
    sold = await show.sell([1, 12], [(0, 2)])
    lost = await show.sell([12])
    stranded = await show.sell([10_001])
    await show.add({b"h": b"h" * 15, b"f": b"garbage"})
    await show.recorder().record(show.id)
    assert Counter(await _names_told(show)) == Counter(
        {
            ("order.confirmed", sold): 1,
            ("seats.sold", sold): 1,
            ("order.failed", lost): 1,
            ("order.failed", stranded): 1,
        }
    )
    [confirmed, places, *_] = await _rows_told(show)
    [order] = await world.rows("SELECT * FROM orders WHERE id = :id", id=sold.hex())
    assert confirmed[2] == {
        "tickets": 4,
        "payment_reference": "pay-1",
        "sold_by": None,
        **{name: order[name] for name in ("currency", "face_value", "fee", "tax", "discount")},
        "total": order["total"],
    }
    assert places[2] == {"seats": ["A-1", "A-12"], "areas": {"floor": 2}}
    reasons = {data["reason"] for kind, _, data in await _rows_told(show) if "failed" in kind}
    assert reasons == {"conflict", "stranded"}
    # A drain looks back at what is there already.
    await show.raise_epoch()
    await show.recorder().record(show.id, drain=True)
    assert len(await _rows_told(show)) == 4


async def _names_told(show: TestedShow) -> list[tuple[str, bytes]]:
    head = IDS.order(show.id, b"")
    return [
        (kind, bytes.fromhex(name.removeprefix(head))) for kind, name, _ in await _rows_told(show)
    ]


async def test_everything_told_is_what_its_type_says(ground: Ground) -> None:
    """And a return tells of an order after its sale did."""
    await ground.serving.returns_office.take_back(ground.show, HoldId(ground.orders[2]))
    told = await _told(ground)
    for fact in told:
        assert fact.data.keys() == set(DATA_OF_TYPE[fact.type].__struct_fields__)
    order = ground.serving.ids.order(ground.show.id, ground.orders[2])
    of_order = [fact for fact in told if fact.object == order]
    assert [fact.type for fact in of_order] == [
        *(FactType.ORDER_CONFIRMED, FactType.SEATS_SOLD),
        *(FactType.ORDER_CANCELLED, FactType.SEATS_RETURNED),
    ]
    assert of_order[3].data == of_order[1].data
    assert [fact.sequence for fact in of_order] == sorted(fact.sequence for fact in of_order)


async def test_a_return_that_waits_is_told_after_what_it_waits_for(ground: Ground) -> None:
    """By the log's order and by its sequence: it takes no transaction's number before its turn."""
    show, order = ground.show, ground.orders[2]
    name = ground.serving.ids.order(show.id, order)
    refunded = OrderRefunded(currency="EUR", amount=1)
    async with ground.working.recorder_engine.begin() as first:
        locked = text("SELECT id FROM shows WHERE id = :show FOR UPDATE")
        await first.execute(locked, {"show": show.id})
        returning = asyncio.create_task(
            ground.serving.returns_office.take_back(show, HoldId(order))
        )
        await asyncio.sleep(0.3)
        new = NewFact(FactType.ORDER_REFUNDED, name, refunded, show.id, datetime.now(UTC))
        await add_facts(first, show.reseller, [new])
    await returning
    told = [fact for fact in await _told(ground) if fact.object == name]
    assert [fact.type for fact in told][2:4] == [FactType.ORDER_REFUNDED, FactType.ORDER_CANCELLED]
    assert [fact.sequence for fact in told] == sorted(fact.sequence for fact in told)


async def test_each_hold_that_expires_is_told_once(ground: Ground) -> None:
    """By however many tellers at once; none of a hold that was released; and not again later."""
    first, second = _tellers(ground), _tellers(ground)
    await first.tell([ground.show.id])
    await second.tell([ground.show.id])
    names = await _let_expire(ground, 8, 9, 10)
    await asyncio.gather(*(one.tell([ground.show.id]) for one in (first, second) * 2))
    await _tellers(ground).tell([ground.show.id])
    told = await _told(ground, FactType.HOLD_EXPIRED)
    assert sorted(fact.object for fact in told) == sorted(names)
    assert {fact.data["reason"] for fact in told} == {"deadline"}
    more = await _let_expire(ground, 11)
    await first.tell([ground.show.id])
    told = await _told(ground, FactType.HOLD_EXPIRED)
    assert sorted(fact.object for fact in told) == sorted(names | more)


async def test_a_teller_that_fails_at_its_commit_tells_it_later(ground: Ground) -> None:
    """What is told and how far was read are one."""
    teller = _tellers(ground)
    await teller.tell([ground.show.id])
    names = await _let_expire(ground, 8)
    async with ground.working.recorder_engine.begin() as rival:
        locked = text("SELECT 1 FROM told_shows WHERE show_id = :show FOR UPDATE")
        await rival.execute(locked, {"show": ground.show.id})
        telling = asyncio.create_task(teller.tell([ground.show.id]))
        await asyncio.sleep(0.2)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    assert await _told(ground, FactType.HOLD_EXPIRED) == []
    await teller.tell([ground.show.id])
    assert {fact.object for fact in await _told(ground, FactType.HOLD_EXPIRED)} == names


async def test_trimmed_deltas_are_passed_over_and_logged(ground: Ground) -> None:
    """What comes after them is told."""
    teller = _tellers(ground)
    await teller.tell([ground.show.id])
    lost = await _let_expire(ground, 8)
    names = await _let_expire(ground, 9)
    await ground.raw.xtrim(ground.key("deltas"), maxlen=1, approximate=False)
    with capture_logs() as logs:
        await teller.tell([ground.show.id])
    assert [entry["log_level"] for entry in logs] == ["warning"]
    told = {fact.object for fact in await _told(ground, FactType.HOLD_EXPIRED)}
    assert (told & lost, told) == (set(), names)


async def test_a_recovery_is_told_with_the_holds_that_it_ended(ground: Ground) -> None:
    """But not a show's first opening."""
    assert await _told(ground, FactType.SHOW_RECOVERED) == []
    await ground.sql(
        "INSERT INTO seat_blocks (show_id, reseller_id, seat_index, reason)"
        " SELECT :show, :reseller, generate_series(0, :last), 'flood' ON CONFLICT DO NOTHING",
        reseller=ground.show.reseller,
        last=len(ground.show.manifest.layout) - 1,
    )
    recovered = await ground.working.recoverer.recover(ground.show.id, "flood", anew=True)
    assert recovered is not None
    [told] = await _told(ground, FactType.SHOW_RECOVERED)
    ids = ground.serving.ids
    assert told.object == ids.entity(Prefix.SHOW, ground.show.id)
    assert told.data == {"epoch": recovered.epoch, "holds_kept": 0, "holds_ended": 1}
    [ended] = await _told(ground, FactType.HOLD_EXPIRED)
    assert (ended.object, ended.data) == (ids.hold(ground.held), {"reason": "recovery"})


async def _tell_milestones(ground: Ground, watches: Iterable[SoldOutWatch]) -> list[FactType]:
    """Have two workers look at once; return what was told of the show's state so far."""
    engine, ids = ground.working.recorder_engine, ground.serving.ids
    for _ in range(2):  # who finds a show locked looks again
        async with asyncio.TaskGroup() as group:
            for watch in watches:
                group.create_task(tell_on_sale(engine, ids))
                group.create_task(watch.tell())
    for watch in watches:
        await watch.tell()
    told = await _told(ground, FactType.SHOW_ON_SALE, FactType.SHOW_SOLD_OUT)
    return [fact.type for fact in told]


async def test_a_show_whose_plan_nobody_can_read_keeps_no_other_from_being_told_sold_out(
    ground: Ground, servers: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is passed over, and tried again when the ledger has another version of it."""
    async with open_ground(servers.settings) as other:
        shows = sorted((ground.show.id, other.show.id))
        book, tried = ShowBook(), list[int]()
        reading = book.read

        async def read(connection: AsyncConnection, show: int) -> Show:
            tried.append(show)
            if show == shows[0]:
                raise UnknownShowError(str(show))
            return await reading(connection, show)

        monkeypatch.setattr(book, "read", read)
        watch = SoldOutWatch(ground.working.recorder_engine, book, ground.serving.ids)
        for _ in range(2):
            await watch.tell(shows)
        assert sorted(tried) == shows
        version = "UPDATE shows SET inventory_version = inventory_version + 1 WHERE id = :one"
        await ground.sql(version, one=shows[0])
        await watch.tell(shows)
        assert tried[2:] == [shows[0]]


async def test_the_beginning_of_a_sale_and_its_end_are_told_once(ground: Ground) -> None:
    """Sold out again after a place was free: told again; before its time: not told."""
    engine = ground.working.recorder_engine
    watches = [SoldOutWatch(engine, ShowBook(), ground.serving.ids) for _ in range(2)]
    opens_at = "UPDATE shows SET opens_at = now() + interval '{} hour' WHERE id = :show"
    await ground.sql(opens_at.format(1))
    already = await _tell_milestones(ground, watches)
    await ground.sql(opens_at.format(-1))
    on_sale, sold_out = FactType.SHOW_ON_SALE, FactType.SHOW_SOLD_OUT
    for _ in range(2):
        assert await _tell_milestones(ground, watches) == [*already, on_sale]
    await _sell_rest(ground)
    for _ in range(2):
        assert await _tell_milestones(ground, watches) == [*already, on_sale, sold_out]
    order = HoldId(ground.orders[2])
    await ground.serving.returns_office.take_back(ground.show, order)
    assert await _tell_milestones(ground, watches) == [*already, on_sale, sold_out]
    await ground.sql(
        "INSERT INTO seat_blocks (show_id, reseller_id, seat_index, reason)"
        " SELECT show_id, reseller_id, seat_index, 'again' FROM tickets"
        " WHERE show_id = :show AND status = 'returned' AND seat_index IS NOT NULL"
    )
    await ground.sql("UPDATE area_blocks SET count = count + 1 WHERE show_id = :show")
    await ground.sql("UPDATE shows SET inventory_version = inventory_version + 1 WHERE id = :show")
    assert await _tell_milestones(ground, watches) == [*already, on_sale, sold_out, sold_out]
    [*_, told] = await _told(ground, sold_out)
    assert told.data["sold"] + told.data["blocked"] == 60 + 20


async def _sell_rest(ground: Ground) -> None:
    """Have the held places bought, and the open ones withheld, so that nothing is left."""
    office = ground.serving.box_office
    asked = await office.ask_purchase(ground.show, HoldId(ground.held), "buy-e", 7, "pay-e")
    await office.tell_purchase(ground.show, asked)
    await ground.record()
    layout = await ground.raw.get(ground.key("seats"))
    seats = [at for at, state in enumerate(layout) if state == ord("o")]
    [row] = await _areas(ground)
    await ground.sql(
        "INSERT INTO seat_blocks (show_id, reseller_id, seat_index, reason)"
        " SELECT :show, :reseller, unnest(CAST(:seats AS INTEGER[])), 'last'",
        reseller=ground.show.reseller,
        seats=seats,
    )
    await ground.sql(
        "INSERT INTO area_blocks (show_id, reseller_id, area_index, count)"
        " VALUES (:show, :reseller, :area, :count)",
        reseller=ground.show.reseller,
        area=row.area_index,
        count=row.capacity - row.sold,
    )
    await ground.sql("UPDATE shows SET inventory_version = inventory_version + 1 WHERE id = :show")


async def _areas(ground: Ground) -> list[Any]:
    async with ground.working.recorder_engine.connect() as connection:
        statement = text("SELECT * FROM area_sales WHERE show_id = :show")
        return list((await connection.execute(statement, {"show": ground.show.id})).all())


async def test_a_draw_is_told_once_it_is_published(ground: Ground) -> None:
    """In its transaction; a step of an epoch that is over tells nothing."""
    now = datetime.now(UTC)
    rules = QueueRules(
        mode=Mode.ON,
        is_paused=False,
        opens_at=now + timedelta(hours=1),
        draws_at=now + timedelta(hours=2),
        rate=1.0,
        burst=2.0,
        checkout_max=1,
        pass_ttl_s=60,
        safety_net=None,
        proof_bits=0,
        return_addresses=(),
        beacon=None,
    )
    engine, ids = ground.working.recorder_engine, ground.serving.ids
    async with tenant_transaction(ground.serving.app_engine, ground.show.reseller) as connection:
        await put_queue(connection, ground.show, rules)
    await ground.sql("UPDATE queues SET count = 5 WHERE show_id = :show")
    tended = await tended_queues(engine, lambda show: ids.entity(Prefix.SHOW, show))
    [queue] = [one.queue for one in tended if one.queue.show == ground.show.id]
    await ground.sql("UPDATE queues SET epoch = epoch + 1 WHERE show_id = :show")
    assert not await note_draw(engine, queue, now, bytes(32))
    assert await _told(ground, FactType.QUEUE_DRAW_REVEALED) == []
    await ground.sql("UPDATE queues SET epoch = epoch - 1 WHERE show_id = :show")
    assert await note_draw(engine, queue, now, bytes(32))
    [told] = await _told(ground, FactType.QUEUE_DRAW_REVEALED)
    assert told.object == ids.entity(Prefix.SHOW, ground.show.id)
    assert told.data == {"count": 5, "digest": bytes(32).hex()}
