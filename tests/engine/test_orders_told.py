"""What is told of an order that is not in the ledger."""

from collections.abc import AsyncGenerator

import pytest

from engine.inventory.commands import Recovering
from engine.platform.ids import HoldId
from engine.sales.orders import Failure, OrderState
from engine.sales.views import FailedOrder, OrderUndecided, OrderView
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show in which something was sold, and a hold stands."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def test_a_hold_that_stands_is_no_order_yet(ground: Ground) -> None:
    """Its purchase may still come, or come again: neither failed nor unknown."""
    office = ground.serving.box_office
    assert await office.order(ground.show, HoldId(ground.held)) == OrderUndecided()


async def test_a_hold_that_is_over_and_was_not_sold_has_failed(ground: Ground) -> None:
    """Also one that the store has never heard of, as when it lost what it was told."""
    office, show = ground.serving.box_office, ground.show
    await ground.release(HoldId(ground.held))
    never_seen = ground.serving.ids.derive_hold(show.reseller, show.id, "lost")
    for hold in (HoldId(ground.held), never_seen):
        assert await office.order(show, hold) == FailedOrder(hold, show, Failure.LOST)


async def test_a_sale_is_not_given_up_before_its_recovery_is_over(ground: Ground) -> None:
    """The store lost it, but another may have it: the ledger was told to ask, and has yet to."""
    office, show = ground.serving.box_office, ground.show
    lost = HoldId(await ground.sell("f", "fay", Wanted(seats=(ground.label(5),))))
    await ground.raw.hdel(ground.key("holds"), lost)
    await ground.sql("UPDATE shows SET epoch = epoch + 1 WHERE id = :show")
    assert await office.order(show, lost) == Recovering()
    assert await office.order(show, lost) == Recovering()
    await ground.working.recoverer.recover(show.id, "test")
    order = await office.order(show, lost)
    assert isinstance(order, OrderView)
    assert order.status is OrderState.CONFIRMED


async def test_a_stranded_sale_has_failed_also_where_the_store_has_lost_it(
    ground: Ground,
) -> None:
    """It is told as what it is: its buyer is to be paid back."""
    office, show = ground.serving.box_office, ground.show
    lost = HoldId(await ground.sell("f", "fay", Wanted(seats=(ground.label(5),))))
    [(at, fields)] = await ground.raw.xrevrange(ground.key("sales"), count=1)
    await ground.raw.delete(ground.key("sales"))
    await ground.raw.hdel(ground.key("holds"), lost)
    await ground.working.recoverer.recover(show.id, "test")
    await ground.raw.xadd(ground.key("sales"), fields, id=at)
    await ground.working.recoverer.recover(show.id, "test", anew=True)
    current = await ground.serving.book.reload(ground.serving.app_engine, show.reseller, show.id)
    assert await office.order(current, lost) == FailedOrder(lost, current, Failure.STRANDED)
