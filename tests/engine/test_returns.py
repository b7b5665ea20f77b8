"""An order is taken back once: in the ledger first, then in the store, in the order of numbers."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.commands import KeyReused, SeatsTaken
from engine.inventory.keys import WAKE_CHANNEL, Wake, wake_call
from engine.inventory.recovery import Recoverer
from engine.inventory.returning import Delivery, deliver_returns
from engine.inventory.shows import Show, ShowBook
from engine.platform.database import tenant_transaction
from engine.platform.ids import HoldId
from engine.platform.redis import subscribe_redis
from engine.runtime import open_serving
from engine.sales.asking import Asked
from engine.sales.box_office import BoxOffice
from engine.sales.orders import OrderState
from engine.sales.returns import NotConfirmed, ReturnsOffice, take_back
from engine.sales.views import HoldView, OrderView
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS
from workers.returning import run_returning

_PATIENCE_S = 10


@pytest.fixture
async def fresh(servers: Stack) -> AsyncGenerator[Ground]:
    """A show with three orders, a hold and a blocked seat, in its first epoch."""
    async with open_ground(servers.settings) as ground:
        yield ground


@pytest.fixture
async def ground(fresh: Ground) -> Ground:
    """The same in another epoch, in which nobody refuses anything from memory."""
    assert await fresh.working.recoverer.recover(fresh.show.id, "for another epoch") is not None
    return fresh


async def _take_back(ground: Ground, order: bytes) -> object:
    return await ground.serving.returns_office.take_back(ground.show, HoldId(order))


async def _take_back_in_ledger(ground: Ground, order: bytes) -> str | None:
    """Do what a process does that dies right after its commit."""
    async with tenant_transaction(ground.serving.app_engine, ground.show.reseller) as connection:
        return await take_back(connection, IDS, ground.show.id, order)


async def _tell(ground: Ground, *, rested: bool) -> Delivery:
    open_ledger, show = ground.working.recorder_engine.connect, ground.show.id
    return await deliver_returns(open_ledger, ground.working.redis, show, rested=rested)


async def _deliver(ground: Ground) -> bool:
    return await _tell(ground, rested=False) is Delivery.DONE


async def _applied(ground: Ground) -> int:
    return int(await ground.raw.hget(ground.key("meta"), "return_no"))


async def _rows(ground: Ground, statement: str, order: bytes = b"") -> list[RowMapping]:
    async with ground.working.recorder_engine.connect() as connection:
        named = {"show": ground.show.id} | ({"order": UUID(bytes=order)} if order else {})
        found = await connection.execute(text(statement), named)
        return list(found.mappings())


async def _seats(ground: Ground) -> bytes:
    return await ground.raw.get(ground.key("seats"))


async def test_a_return_reverses_the_sale_and_owes_its_buyer_the_money(ground: Ground) -> None:
    """The sale's entry stays; a second one is its contrary; tickets and counts are freed."""
    order = ground.orders[2]
    taken = await _take_back(ground, order)
    assert isinstance(taken, OrderView)
    assert (taken.status, taken.tickets) == (OrderState.RETURNED, ())
    entries = await _rows(
        ground,
        "SELECT kind, account, amount FROM journal_entries JOIN postings ON entry_id = id"
        " WHERE order_id = :order ORDER BY posting_no",
        order,
    )
    sale = {row["account"]: row["amount"] for row in entries if row["kind"] == "sale"}
    back = {row["account"]: -row["amount"] for row in entries if row["kind"] == "return"}
    assert sale == back
    assert sale["payment_clearing"] > 0
    [request] = await _rows(ground, "SELECT * FROM refund_requests WHERE order_id = :order", order)
    assert (request["reason"], request["amount"]) == ("returned", sale["payment_clearing"])
    assert request["payment_reference"] == "pay-c"
    tickets = await _rows(
        ground, "SELECT DISTINCT status FROM tickets WHERE order_id = :order", order
    )
    assert [row["status"] for row in tickets] == ["returned"]
    [area] = await _rows(ground, "SELECT sold FROM area_sales WHERE show_id = :show")
    assert area["sold"] == 3
    assert (await ground.audited()).findings == []


async def test_an_order_that_is_taken_back_by_many_at_once_is_taken_back_once(
    ground: Ground,
) -> None:
    """All are told the same, and all other orders beside it are numbered without a gap."""
    asked = [order for order in ground.orders for _ in range(6)]
    answers = await asyncio.gather(*(_take_back(ground, order) for order in asked))
    assert {answer.status for answer in answers if isinstance(answer, OrderView)} == {"returned"}
    assert len(answers) == len(asked)
    numbered = await _rows(ground, "SELECT return_no, order_id FROM returns WHERE show_id = :show")
    assert sorted(row["return_no"] for row in numbered) == [1, 2, 3]
    assert {row["order_id"].bytes for row in numbered} == set(ground.orders)
    assert await _applied(ground) == 3
    assert b"s" not in await _seats(ground)
    assert (await ground.audited()).findings == []


async def test_a_free_order_owes_nobody_anything(ground: Ground) -> None:
    """Without money there is neither an entry nor a request."""
    order = ground.orders[0]
    await ground.sql(
        "UPDATE orders SET total = 0, face_value = 0, fee = 0, tax = 0, discount = 0"
        " WHERE id = :order",
        order=str(order.hex()),
    )
    await ground.sql(
        "DELETE FROM postings WHERE entry_id IN (SELECT id FROM journal_entries"
        " WHERE order_id = :order)",
        order=order.hex(),
    )
    await ground.sql("DELETE FROM journal_entries WHERE order_id = :order", order=order.hex())
    assert await _take_back_in_ledger(ground, order) == "returned"
    assert await _rows(ground, "SELECT * FROM refund_requests WHERE show_id = :show") == []
    kinds = await _rows(ground, "SELECT DISTINCT kind FROM journal_entries WHERE show_id = :show")
    assert [row["kind"] for row in kinds] == ["sale"]


async def test_what_is_no_confirmed_order_is_not_taken_back(ground: Ground) -> None:
    """A sale on its way to the ledger is told as such; then it can be taken back."""
    level = ground.show.manifest.levels[0].slug
    order = await ground.sell("f", "fay", Wanted(best=((level, 1),)))
    assert await _take_back(ground, order) == NotConfirmed(OrderState.RECORDING)
    await ground.record()
    assert isinstance(await _take_back(ground, order), OrderView)


async def test_a_sale_that_is_recorded_while_it_is_asked_back_is_taken_back(
    ground: Ground,
) -> None:
    """Not refused for being confirmed."""
    order = await ground.sell("late", "lea", Wanted(seats=(ground.label(9),)))

    class Late:
        async def order(self, show: Show, hold: HoldId) -> object:
            await ground.record()
            return await ground.serving.box_office.order(show, hold)

    serving = ground.serving
    office = ReturnsOffice(serving.redis, serving.app_engine, cast("BoxOffice", Late()), IDS)
    taken = await office.take_back(ground.show, HoldId(order))
    assert isinstance(taken, OrderView)
    assert taken.status is OrderState.RETURNED
    assert (await ground.audited()).findings == []


async def test_before_the_first_return_all_are_told_to_refuse_nothing_from_memory(
    fresh: Ground,
) -> None:
    """And nothing is applied until somebody says that they had the time for it; then at once."""
    assert isinstance(await _take_back(fresh, fresh.orders[2]), OrderView)
    assert await _applied(fresh) == 0
    assert await _tell(fresh, rested=False) is Delivery.RESTING
    assert await _applied(fresh) == 0
    assert await _tell(fresh, rested=True) is Delivery.DONE
    assert await _applied(fresh) == 1
    assert isinstance(await _take_back(fresh, fresh.orders[0]), OrderView)
    assert await _applied(fresh) == 2
    assert (await fresh.audited()).findings == []


async def test_who_was_never_told_is_not_taken_to_know(fresh: Ground) -> None:
    """As when the store has lost what it was told."""
    assert await _take_back_in_ledger(fresh, fresh.orders[2]) == "returned"
    assert await _tell(fresh, rested=True) is Delivery.TOLD
    assert await _applied(fresh) == 0


async def test_a_hold_of_a_returned_seat_is_not_refused_from_another_process_memory(
    fresh: Ground,
) -> None:
    """That one knew the seat as sold, and meets the hold's repetition."""
    show, label = fresh.show, fresh.label(1)
    async with open_serving(fresh.settings) as other:
        office = other.box_office

        async def ask(key: str) -> object:
            asked = office.ask_hold(
                show,
                key,
                buyer="oli",
                ttl_ms=60_000,
                wanted=Wanted(seats=(label,)),
                fingerprint=lambda: 3,
            )
            return await office.tell(show, asked) if isinstance(asked, Asked) else asked

        async with asyncio.timeout(_PATIENCE_S):
            assert isinstance(await ask("first"), SeatsTaken)
            while await _asked_of_store(fresh, partial(ask, "again")):  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.05)  # until it knows
        working = asyncio.create_task(run_returning(fresh.working))
        try:
            assert isinstance(await _take_back(fresh, fresh.orders[2]), OrderView)
            async with asyncio.timeout(_PATIENCE_S):
                while await _applied(fresh) == 0:  # noqa: ASYNC110 -- no event
                    await asyncio.sleep(0.002)
            await fresh.hold("mine", "oli", Wanted(seats=(label,)))
            assert isinstance(await ask("mine"), HoldView | KeyReused)
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working


async def _asked_of_store(ground: Ground, ask: Callable[[], Awaitable[object]]) -> bool:
    """Tell whether a question went to the store: its script runs for it then."""
    before = await _scripts_run(ground)
    assert isinstance(await ask(), SeatsTaken)
    return await _scripts_run(ground) > before


async def _scripts_run(ground: Ground) -> int:
    stats: dict[str, Any] = await ground.raw.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


async def test_a_worker_applies_what_a_process_died_before(ground: Ground) -> None:
    """Within a second or so, all of it, in order."""
    for order in ground.orders:
        assert await _take_back_in_ledger(ground, order) == "returned"
    assert await _applied(ground) == 0
    task = asyncio.create_task(run_returning(ground.working))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while await _applied(ground) < len(ground.orders):  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert b"s" not in await _seats(ground)
    assert (await ground.audited()).findings == []


async def test_a_second_delivery_frees_no_later_owners_seat(ground: Ground) -> None:
    """However many deliver at once, before and after the seat is sold again."""
    order = ground.orders[2]
    assert await _take_back_in_ledger(ground, order) == "returned"
    assert await asyncio.gather(*(_deliver(ground) for _ in range(5))) == [True] * 5
    seat = ground.seat(1)
    later = await ground.sell("g", "gus", Wanted(seats=(ground.show.manifest.label_of(seat),)))
    await ground.record()
    assert await _take_back_in_ledger(ground, order) == "returned"
    assert await _deliver(ground)
    assert chr((await _seats(ground))[seat]) == "s"
    sold = await ground.serving.box_office.order(ground.show, HoldId(later))
    assert isinstance(sold, OrderView)
    assert sold.status is OrderState.CONFIRMED
    assert (await ground.audited()).findings == []


async def test_a_recovery_rebuilds_the_returns_and_nobody_applies_them_again(
    ground: Ground,
) -> None:
    """The store's number comes from the ledger with the rest; repetitions are told of it."""
    order = ground.orders[2]
    assert await _take_back_in_ledger(ground, order) == "returned"
    await ground.working.recoverer.recover(ground.show.id, "test")
    assert await _applied(ground) == 1
    before = await ground.raw.xlen(ground.key("deltas"))
    assert await _deliver(ground)
    assert await ground.raw.xlen(ground.key("deltas")) == before
    assert chr((await _seats(ground))[ground.seat(1)]) == "o"
    asked = await ground.serving.box_office.ask_purchase(
        ground.show, HoldId(order), "buy-c", 7, "pay-c"
    )
    told = await ground.serving.box_office.tell_purchase(ground.show, asked)
    assert isinstance(told, OrderView)
    assert told.status is OrderState.RETURNED
    assert (await ground.audited()).findings == []


class _SlowBook(ShowBook):
    """Takes its time to read a show, while its caller has the show's row."""

    def __init__(self) -> None:
        super().__init__()
        self.reads, self.goes_on = asyncio.Event(), asyncio.Event()

    async def read(self, connection: AsyncConnection, show: int) -> Show:
        """Wait, then read."""
        self.reads.set()
        await self.goes_on.wait()
        return await super().read(connection, show)


async def test_a_return_during_a_recovery_comes_after_it(ground: Ground) -> None:
    """It waits for the row that the recovery has, so it is not in what is opened, and applied."""
    book = _SlowBook()
    working = ground.working
    recoverer = Recoverer(
        working.redis, working.recorder_engine, book, partial(_record, ground), IDS
    )
    recovery = asyncio.create_task(recoverer.recover(ground.show.id, "slow"))
    async with asyncio.timeout(_PATIENCE_S):
        await book.reads.wait()
        taking = asyncio.create_task(_take_back(ground, ground.orders[2]))
        await asyncio.sleep(0.1)
        assert not taking.done()
        book.goes_on.set()
        assert await recovery is not None
        assert isinstance(await taking, OrderView)
    assert await _applied(ground) == 1
    assert chr((await _seats(ground))[ground.seat(1)]) == "o"
    assert (await ground.audited()).findings == []


async def test_a_recovery_during_a_return_has_it_whole(ground: Ground) -> None:
    """It waits for the row that the return has, and reads its number with its effect."""
    app, show = ground.serving.app_engine, ground.show
    async with asyncio.timeout(_PATIENCE_S):
        async with tenant_transaction(app, show.reseller) as connection:
            assert await take_back(connection, IDS, show.id, ground.orders[2]) == "returned"
            recovery = asyncio.create_task(ground.working.recoverer.recover(show.id, "waits"))
            await asyncio.sleep(0.1)
            assert not recovery.done()
        assert await recovery is not None
    assert await _applied(ground) == 1
    assert chr((await _seats(ground))[ground.seat(1)]) == "o"
    assert await _deliver(ground)
    assert (await ground.audited()).findings == []


async def _record(ground: Ground, show: int, *, look_back: bool) -> int:
    return (await ground.working.recorder.record(show, drain=True, look_back=look_back)).count


async def test_a_return_is_answered_while_the_store_can_not_have_it(ground: Ground) -> None:
    """The ledger has it, so it is done; the store is told once it sells again."""
    await ground.raw.hset(ground.key("meta"), "run_id", "another server's")
    taken = await _take_back(ground, ground.orders[2])
    assert isinstance(taken, OrderView)
    assert taken.status is OrderState.RETURNED
    assert not await _deliver(ground)
    await ground.working.recoverer.recover(ground.show.id, "test")
    assert await _applied(ground) == 1
    assert (await ground.audited()).findings == []


async def test_a_store_that_has_not_sold_what_is_taken_back_is_rebuilt(ground: Ground) -> None:
    """The workers are called; nothing is applied until then, and all is well after it."""
    order = ground.orders[2]
    await ground.state_of(ground.seat(1), b"o")
    assert await _take_back_in_ledger(ground, order) == "returned"
    client = subscribe_redis(ground.settings.redis_url)
    async with client.pubsub() as heard, asyncio.timeout(_PATIENCE_S):
        await heard.subscribe(WAKE_CHANNEL)
        assert not await _deliver(ground)
        wanted = wake_call(Wake.REBUILD, ground.show.id).encode()
        while True:
            message = await heard.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is not None and message["data"] == wanted:
                break
    await client.aclose()
    await ground.working.recoverer.recover(ground.show.id, "contradicts itself")
    assert await _applied(ground) == 1
    assert (await ground.audited()).findings == []


async def test_what_the_house_withheld_while_it_was_sold_comes_back_withheld(
    ground: Ground,
) -> None:
    """As a recovery would have it."""
    seat = ground.seat(1)
    of_show = {"seat": seat, "reseller": ground.show.reseller}
    await ground.sql("INSERT INTO seat_blocks VALUES (:show, :reseller, :seat, 'kill')", **of_show)
    assert isinstance(await _take_back(ground, ground.orders[2]), OrderView)
    assert chr((await _seats(ground))[seat]) == "b"
    assert (await ground.audited()).findings == []


async def test_returns_of_a_version_that_has_passed_wait_for_the_house(ground: Ground) -> None:
    """A change that the store does not have yet is waited for; then they are applied."""
    await ground.sql("UPDATE shows SET inventory_version = inventory_version + 1 WHERE id = :show")
    assert await _take_back_in_ledger(ground, ground.orders[2]) == "returned"
    delivering = asyncio.create_task(_deliver(ground))
    await asyncio.sleep(0.1)
    assert await _applied(ground) == 0
    await ground.raw.hincrby(ground.key("meta"), "version", 1)
    async with asyncio.timeout(_PATIENCE_S):
        assert await delivering
    assert await _applied(ground) == 1


async def test_who_waits_for_a_show_keeps_nobody_from_its_orders(ground: Ground) -> None:
    """A recorder that has the show and meets a known order again must not wait for a return."""
    order = ground.orders[2]
    again = text("INSERT INTO orders SELECT * FROM orders WHERE id = :order")
    async with asyncio.timeout(_PATIENCE_S):
        async with ground.working.recorder_engine.connect() as recorder:
            share = text("SELECT id FROM shows WHERE id = :show FOR SHARE")
            await recorder.execute(share, {"show": ground.show.id})
            await recorder.execute(text("SET LOCAL lock_timeout = '500ms'"))
            taking = asyncio.create_task(_take_back_in_ledger(ground, order))
            await asyncio.sleep(0.1)
            with pytest.raises(IntegrityError):
                await recorder.execute(again, {"order": UUID(bytes=order)})
            assert not taking.done()
        assert await taking == "returned"
