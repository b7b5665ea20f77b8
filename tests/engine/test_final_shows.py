"""What a show sells is changed by what is committed of it, not by what a process remembers."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from engine.catalog.price_rules import NewPrices
from engine.catalog.price_steps import bring_due, find_waiting, put_steps
from engine.catalog.prices import publish_prices, put_types
from engine.inventory.edits import MapEdit
from engine.inventory.house import ShowOverError
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS

Change = Callable[[Ground], Awaitable[object]]


@pytest.fixture(scope="module")
async def ground(servers: Stack) -> AsyncIterator[Ground]:
    """A show that is on sale as far as this process knows, and was cancelled elsewhere."""
    async with open_ground(servers.settings) as opened:
        await opened.sql("UPDATE shows SET state = 'cancelled' WHERE id = :show")
        assert opened.show.state == "on_sale"
        yield opened


async def _kept(*_: object) -> None:
    """Keep no answer: nobody repeats the request."""


async def _block(ground: Ground) -> object:
    wanted = Wanted(seats=(ground.label(9),))
    return await ground.serving.house_office.block(ground.show, wanted, "desk", _kept)


async def _unblock(ground: Ground) -> object:
    wanted = Wanted(seats=(ground.label(9),))
    return await ground.serving.house_office.unblock(ground.show, wanted, _kept)


async def _edit(ground: Ground) -> object:
    wanted = MapEdit(take_out=[ground.seat(9)])
    return await ground.serving.house_office.edit(ground.show, wanted, _kept)


async def _publish(ground: Ground) -> object:
    serving, prices = ground.serving, {one.slug: 1 for one in ground.show.manifest.levels}
    new = NewPrices(prices, {})
    return await publish_prices(serving.app_engine, serving.redis, IDS, ground.show, new, 1)


async def _set_types(ground: Ground) -> object:
    return await put_types(ground.serving.app_engine, ground.serving.redis, ground.show, [])


async def _schedule(ground: Ground) -> object:
    return await put_steps(ground.serving.app_engine, ground.show, [])


@pytest.mark.parametrize("change", [_block, _unblock, _edit, _publish, _set_types, _schedule])
async def test_a_show_that_was_cancelled_elsewhere_is_changed_no_more(
    ground: Ground, change: Change
) -> None:
    """Though this process takes it to be on sale."""
    with pytest.raises(ShowOverError) as refused:
        await change(ground)
    assert refused.value.state == "cancelled"


async def test_a_step_of_a_show_that_was_cancelled_meanwhile_does_not_come(ground: Ground) -> None:
    """It was due when a worker found it."""
    await ground.sql("UPDATE shows SET state = 'on_sale' WHERE id = :show")
    await ground.sql(
        "INSERT INTO price_steps (show_id, step_no, reseller_id, at, prices, type_prices)"
        " SELECT id, 1, reseller_id, now(), '{}', '{}' FROM shows WHERE id = :show"
    )
    working, show = ground.working, ground.show.id
    [found] = [one for one in await find_waiting(working.recorder_engine) if one.id == show]
    await ground.sql("UPDATE shows SET state = 'cancelled' WHERE id = :show")
    assert await bring_due(working.recorder_engine, working.redis, IDS, found) == []
