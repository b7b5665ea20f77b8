"""Changes that rest on another show: none of them waits in a ring, and none rests on what ended."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from engine.catalog.dates import NewDate, Opens, add_date
from engine.catalog.life import LifeChanged, Stores
from engine.catalog.shows import ShowFaultsError
from engine.platform.ids import EntityId, new_entity_id
from engine.sales.choices import Choice
from engine.sales.upheavals import Offer, cancel_show
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show with orders."""
    async with open_ground(servers.settings) as ground:
        yield ground


def _stores(ground: Ground) -> Stores:
    return Stores(ground.serving.app_engine, ground.serving.redis, IDS, 60)


def _date() -> NewDate:
    starts_at = datetime.now(UTC) + timedelta(days=3)
    return NewDate(id=new_entity_id(), starts_at=starts_at, opens=Opens.NOW)


async def _add(ground: Ground) -> EntityId:
    new, first = _date(), ground.show
    assert await add_date(_stores(ground), first.reseller, first.id, new) == new.id
    await ground.working.recoverer.recover(new.id, "new")
    return new.id


async def _cancel(ground: Ground, show: EntityId, new_show: EntityId) -> bool:
    """Cancel a show with vouchers for another; return whether that was accepted."""
    offer = Offer(
        offered=(Choice.REFUND, Choice.VOUCHER),
        default=Choice.REFUND,
        choose_by=datetime.now(UTC) + timedelta(hours=1),
        new_show=new_show,
    )
    try:
        done = await cancel_show(_stores(ground), ground.show.reseller, show, offer)
    except ShowFaultsError as error:
        return [fault.pointer for fault in error.faults] != ["/new_show"]
    assert isinstance(done, LifeChanged)
    return True


async def test_of_two_shows_that_replace_each_other_one_is_cancelled(ground: Ground) -> None:
    """The other is refused: there would be nothing that its vouchers are for."""
    first, second = ground.show.id, await _add(ground)
    both = await asyncio.gather(_cancel(ground, first, second), _cancel(ground, second, first))
    assert sorted(both) == [False, True]


async def test_a_show_is_cancelled_while_dates_are_added_to_its_new_one(ground: Ground) -> None:
    """What is added refers to the first date, which is cancelled just then."""
    first, second = ground.show.id, await _add(ground)
    dates = [_date() for _ in range(4)]
    reseller = ground.show.reseller
    cancelled, *added = await asyncio.gather(
        _cancel(ground, first, second),
        *(add_date(_stores(ground), reseller, second, date) for date in dates),
    )
    assert cancelled
    assert added == [date.id for date in dates]
