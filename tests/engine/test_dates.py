"""Another date takes everything over: what an evening is sold by, and the map as it stands."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from engine.catalog.dates import NewDate, Opens, add_date
from engine.catalog.life import LifeChanged, Stores, act
from engine.catalog.price_rules import NewPrices, NewStep
from engine.catalog.price_steps import list_steps, put_steps
from engine.catalog.prices import list_types, publish_prices, put_types
from engine.catalog.shows import ShowFaultsError
from engine.catalog.transitions import Action
from engine.inventory.edits import EditMade, MapEdit
from engine.inventory.price_versions import TypePrice
from engine.inventory.shows import Show, ShowBook
from engine.inventory.ticket_types import TicketType
from engine.platform.database import Transaction
from engine.platform.ids import EntityId, HoldId, new_entity_id
from engine.sales.asking import Asked
from engine.sales.milestones import SoldOutWatch
from engine.sales.views import HoldView, OrderView
from engine.sales.wanted import Wanted
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


async def test_no_date_waits_for_a_first_that_sells_out_no_more(ground: Ground) -> None:
    """It would be announced, and never opened by anybody."""
    serving, first = ground.serving, ground.show
    stores = Stores(serving.app_engine, serving.redis, IDS, 60)
    cancelled = await act(stores, first.reseller, first.id, Action.CANCEL)
    assert isinstance(cancelled, LifeChanged)
    starts_at = datetime.now(UTC) + timedelta(days=3)
    waits = NewDate(id=new_entity_id(), starts_at=starts_at, opens=Opens.WHEN_FIRST_SELLS_OUT)
    with pytest.raises(ShowFaultsError) as refused:
        await add_date(stores, first.reseller, first.id, waits)
    assert [fault.pointer for fault in refused.value.faults] == ["/opens"]


async def test_the_last_place_that_is_bought_while_the_sale_rests_sells_the_show_out(
    ground: Ground,
) -> None:
    """What waits for the first to sell out waits for that, too."""
    serving, first = ground.serving, ground.show
    level = first.manifest.levels[0].slug
    for n in range(100):
        asked = serving.box_office.ask_hold(
            first,
            f"all-{n}",
            buyer=f"b-{n}",
            ttl_ms=600_000,
            wanted=Wanted(best=((level, 1),)) if n < 60 else Wanted(areas=(("floor-1", 1),)),
            fingerprint=lambda: 1,
        )
        assert isinstance(asked, Asked)
        held = await serving.box_office.tell(first, asked)
        if isinstance(held, HoldView):
            await _buy(ground, held.hold, f"all-{n}")
    stores = Stores(serving.app_engine, serving.redis, IDS, 60)
    await act(stores, first.reseller, first.id, Action.PAUSE)
    await _buy(ground, HoldId(ground.held), "last")
    await ground.record()
    watch = SoldOutWatch(ground.working.recorder_engine, ShowBook(), IDS)
    assert await watch.tell() > 0


async def _buy(ground: Ground, hold: HoldId, key: str) -> None:
    office = ground.serving.box_office
    asked = await office.ask_purchase(ground.show, hold, f"buy-{key}", 7, f"pay-{key}")
    assert isinstance(await office.tell_purchase(ground.show, asked), OrderView)
