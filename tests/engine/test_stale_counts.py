"""What workers remember of a show between two looks never hides what has changed since."""

from collections.abc import AsyncGenerator

import pytest

from engine.catalog.changing import change_show
from engine.catalog.life import Stores
from engine.catalog.listings import keep_listings
from engine.catalog.price_rules import NewPrices, NewStep
from engine.catalog.price_steps import put_steps
from engine.inventory.availability import InventoryState, read_inventory
from engine.inventory.commands import Recovering
from engine.inventory.keys import WAKE_CHANNEL, Wake, read_wake
from engine.inventory.shows import Show, ShowBook
from engine.sales.freshness import FreshCounts
from engine.sales.terms import LedgerTerms
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS
from workers.prices import PriceSteps


class _Known:
    """A show that is as it was."""

    def __init__(self, show: Show) -> None:
        self._show = show

    async def current(self) -> Show:
        return self._show

    reload = current


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show of which ten tickets are sold."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def _limit(ground: Ground, most: int) -> None:
    serving, show = ground.serving, ground.show
    stores = Stores(serving.app_engine, serving.redis, IDS, 60)
    await change_show(stores, show.reseller, show.id, {"max_per_hold": most})


async def _price_version(ground: Ground) -> int:
    serving, show = ground.serving, ground.show
    return (await serving.book.reload(serving.app_engine, show.reseller, show.id)).price_version


async def test_a_raised_limit_lets_fewer_orders_bring_a_step_about(ground: Ground) -> None:
    """A count said that four orders of one ticket were missing; then one had all four."""
    step = NewStep(at=None, after_sold=14, price_level=None, prices=NewPrices({"vip": 7_000}, {}))
    await put_steps(ground.serving.app_engine, ground.show, [step])
    await _limit(ground, 1)
    steps = PriceSteps(ground.working)
    await steps.bring()
    assert await _price_version(ground) == 1
    await _limit(ground, 6)
    level = ground.show.manifest.levels[0].slug
    await ground.sell("many", "fay", Wanted(best=((level, 4),)))
    await ground.record()
    await steps.bring()
    assert await _price_version(ground) == 2


async def test_a_look_that_lasts_too_long_goes_on_at_the_next(ground: Ground) -> None:
    """It ends without a failure, which would forget all that was read and begin anew."""
    working = ground.working
    while await keep_listings(working.recorder_engine, IDS):
        pass  # what other tests have marked, too
    book = ShowBook()
    terms = LedgerTerms(working.recorder_engine, book)
    hasty = FreshCounts(working.redis, working.recorder_engine, book, terms, counting_s=0.0)
    busy = [ground.show.id]
    patient = FreshCounts(working.redis, working.recorder_engine, book, terms, busy=lambda: busy)
    assert await hasty.keep() == 0
    assert await patient.keep() > 0


@pytest.mark.parametrize("lost", ["seats", "areas"])
async def test_a_show_of_which_the_store_lost_a_part_keeps_no_other_from_being_counted(
    ground: Ground, lost: str
) -> None:
    """It is told to be recovering, and workers are called to write it anew."""
    working = ground.working
    while await keep_listings(working.recorder_engine, IDS):
        pass  # what other tests have marked, too
    await ground.raw.delete(ground.key(lost))
    book = ShowBook()
    source = _Known(ground.show)
    async with ground.raw.pubsub() as calls:
        await calls.subscribe(WAKE_CHANNEL)
        assert isinstance(await read_inventory(working.redis, source), Recovering)
        while (told := await calls.get_message(timeout=5)) is not None:
            if told["type"] == "message":
                break
        assert told is not None
        assert read_wake(told["data"]) == (Wake.REBUILD, ground.show.id)
    terms = LedgerTerms(working.recorder_engine, book)
    busy = [ground.show.id]  # looked at each time, however many others there are
    counts = FreshCounts(working.redis, working.recorder_engine, book, terms, busy=lambda: busy)
    while await counts.keep() > 0:
        pass
    await working.recoverer.recover(ground.show.id, "torn", anew=True)
    whole = await ground.serving.book.reload(
        ground.serving.app_engine, ground.show.reseller, ground.show.id
    )
    assert isinstance(await read_inventory(working.redis, _Known(whole)), InventoryState)
    assert await counts.keep() > 0
