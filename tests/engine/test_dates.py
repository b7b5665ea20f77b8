"""Another date takes everything over: what an evening is sold by, and the map as it stands."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from engine.catalog.dates import NewDate, Opens, add_date
from engine.catalog.life import Stores
from engine.catalog.price_rules import NewPrices, NewStep
from engine.catalog.price_steps import list_steps, put_steps
from engine.catalog.prices import list_types, publish_prices, put_types
from engine.inventory.edits import EditMade, MapEdit
from engine.inventory.price_versions import TypePrice
from engine.inventory.shows import Show
from engine.inventory.ticket_types import TicketType
from engine.platform.database import Transaction
from engine.platform.ids import EntityId, new_entity_id
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS

_PRICES = NewPrices({"vip": 5_000, "standing": 1_000}, {"child": TypePrice(share_bps=5_000)})


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show with orders, a hold and a blocked seat."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def _keep_nothing(_transaction: Transaction, _made: EditMade) -> None:
    """Nobody repeats it."""


async def _read(ground: Ground, show: int) -> Show:
    serving = ground.serving
    return await serving.book.reload(serving.app_engine, ground.show.reseller, EntityId(show))


async def test_another_date_has_the_types_the_steps_to_come_and_the_edited_map(
    ground: Ground,
) -> None:
    """At the price version that the first sells at; its own orders and holds are none."""
    serving, first = ground.serving, ground.show
    app, redis = serving.app_engine, serving.redis
    await put_types(app, redis, first, [TicketType(slug="child", name="Child", kind="child")])
    await publish_prices(app, redis, IDS, first, _PRICES, 1)
    at = datetime.now(UTC) + timedelta(hours=5)
    step = NewStep(at=at, after_sold=30, price_level=None, prices=NewPrices({"vip": 7_000}, {}))
    await put_steps(app, first, [step])
    out = ground.seat(8)
    for edit in (MapEdit(take_out=[out]), MapEdit(capacities={0: 15})):
        made = await serving.house_office.edit(first, edit, _keep_nothing)
        assert isinstance(made, EditMade)
    starts_at = datetime.now(UTC) + timedelta(days=3)
    new = NewDate(id=new_entity_id(), starts_at=starts_at, opens=Opens.NOW)
    assert await add_date(Stores(app, redis, IDS, 60), first.reseller, first.id, new) == new.id
    await ground.working.recoverer.recover(new.id, "new")
    before, made_show = await _read(ground, first.id), await _read(ground, new.id)
    assert (made_show.edit_no, made_show.price_version) == (1, 1)
    assert made_show.ticket_types == before.ticket_types
    assert made_show.manifest == before.manifest
    assert not made_show.manifest.is_seat(out)
    assert await list_types(app, made_show) == await list_types(app, before)
    (copied,) = await list_steps(app, made_show)
    moved = timedelta(milliseconds=made_show.starts_at_ms - before.starts_at_ms)
    assert (copied.prices, copied.after_sold) == (step.prices, 30)
    assert copied.at is not None
    assert abs(copied.at - at - moved) < timedelta(seconds=1)
    assert (await replace(ground, show=made_show).audited()).findings == []
