"""Another date has a waiting room as the first has one: its rules, and nobody in it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import asdict
from sqlalchemy import RowMapping, select

from engine.catalog.dates import NewDate, Opens, add_date
from engine.catalog.life import LifeChanged, Stores, act
from engine.catalog.shows import ShowFaultsError
from engine.catalog.transitions import Action
from engine.inventory.commands import Recovering
from engine.inventory.shows import Show
from engine.platform.database import tenant_transaction
from engine.platform.ids import new_entity_id
from engine.platform.tables import queues
from engine.waitingroom.another_date import take_over_queue
from engine.waitingroom.queues import NoQueueError, Queue
from engine.waitingroom.room import NoRoom
from engine.waitingroom.rules import Beacon, Mode, QueueRules, name_drand
from engine.waitingroom.states import QueueState
from engine.waitingroom.tokens import OPENS_BEFORE_MAX
from ops.stack import Stack
from tests.engine.ledger_world import IDS
from tests.engine.queue_ground import QueueGround, from_now, open_queue_ground, steered_by

_SETTINGS: dict[str, Any] = {
    "rate": 7.5,
    "burst": 30.0,
    "checkout_max": 41,
    "pass_ttl_s": 420,
    "safety_net": 3.0,
    "proof_bits": 5,
    "return_addresses": ("https://shop.example",),
}
_TIMES = {"opens_at", "draws_at", "beacon"}


@pytest.fixture(scope="module")
async def ground(servers: Stack) -> AsyncIterator[QueueGround]:
    """Both stores, and no controller."""
    async with open_queue_ground(servers.settings) as opened:
        yield opened


def _stores(ground: QueueGround) -> Stores:
    return Stores(ground.serving.app_engine, ground.serving.redis, IDS, 60)


def _date(opens: Opens = Opens.NOW, **more: Any) -> NewDate:  # noqa: ANN401 - of `NewDate`
    return NewDate(id=new_entity_id(), starts_at=from_now(20 * 86_400), opens=opens, **more)


async def _add(ground: QueueGround, first: Show, new: NewDate) -> Show:
    stores = _stores(ground)
    added = await add_date(stores, first.reseller, first.id, new, take_over_queue)
    assert added == new.id
    await ground.working.recoverer.recover(new.id, "new")
    return await ground.serving.book.get(ground.serving.app_engine, first.reseller, new.id)


async def _row(ground: QueueGround, show: Show) -> RowMapping:
    async with tenant_transaction(ground.serving.app_engine, show.reseller) as connection:
        query = select(queues).where(queues.c.show_id == show.id)
        return (await connection.execute(query)).mappings().one()


async def _rules(ground: QueueGround, show: Show) -> QueueRules:
    queue = await ground.room.queue(show.id)
    assert isinstance(queue, Queue)
    return queue.rules


def _without_times(rules: QueueRules) -> dict[str, Any]:
    return {name: value for name, value in asdict(rules).items() if name not in _TIMES}


def _sale(show: Show) -> datetime:
    return datetime.fromtimestamp(show.opens_at_ms / 1000, UTC)


async def test_the_rules_are_the_firsts_and_its_times_lie_to_the_new_sale(
    ground: QueueGround,
) -> None:
    """Its draw is another: with a secret of its own, and a round of drand that nobody knows."""
    first = await ground.new_show(opens_in_s=7200)
    sale = _sale(first)
    opens_at, draws_at = sale - timedelta(hours=1), sale - timedelta(minutes=5)
    times = {"opens_at": opens_at, "draws_at": draws_at, "beacon": name_drand(draws_at, None)}
    await ground.put(first, **times, **_SETTINGS)
    new = _date(Opens.AT, opens_at=from_now(5 * 86_400))
    second = await _add(ground, first, new)
    assert second.has_queue
    before, after = await _rules(ground, first), await _rules(ground, second)
    assert _without_times(after) == _without_times(before)
    moved = _sale(second) - sale
    assert moved > timedelta(days=4)
    assert after.draws_at is not None
    close = timedelta(milliseconds=2)
    assert abs(after.opens_at - opens_at - moved) < close
    assert abs(after.draws_at - draws_at - moved) < close
    assert after.beacon == name_drand(after.draws_at, None) != before.beacon
    assert (await _row(ground, second))["secret"] != (await _row(ground, first))["secret"]


async def test_nothing_of_the_line_is_taken_over(ground: QueueGround) -> None:
    """Neither numbers nor a draw that was made, nor that it rests or drains."""
    first = await ground.new_show()
    await ground.put(first, mode=Mode.DRAIN, is_paused=True, **_SETTINGS)
    steering = ground.steering("one")
    await ground.step(steering, first, times=5)
    await steering.stop()
    second = await _add(ground, first, _date())
    fresh: dict[str, object] = {
        "epoch": 0,
        "numbers_ceiling": 0,
        "serving_ceiling": 0,
        "skipped": [],
        "count": None,
    }
    assert (await _row(ground, first))["epoch"] > 0
    row = await _row(ground, second)
    assert {name: row[name] for name in fresh} == fresh
    assert (row["mode"], row["is_paused"]) == ("on", False)


async def test_a_date_that_opens_now_needs_passes_from_the_first_moment(
    ground: QueueGround,
) -> None:
    """Before any controller has heard of its room; nobody could join for a draw, so there is none.

    A beacon of the first's own is that draw's.
    """
    first = await ground.new_show(opens_in_s=3600)
    beacon = Beacon("dice")
    opens_at, draws_at = from_now(60), from_now(3000)
    await ground.put(first, opens_at=opens_at, draws_at=draws_at, beacon=beacon, **_SETTINGS)
    second = await _add(ground, first, _date())
    assert isinstance(await ground.room.check_pass(second, "", "ann"), Recovering)
    rules = await _rules(ground, second)
    assert (rules.draws_at, rules.beacon) == (None, None)
    assert abs(rules.opens_at - _sale(second)) < timedelta(milliseconds=2)


async def test_a_room_opens_neither_after_its_sale_nor_too_long_before(
    ground: QueueGround,
) -> None:
    """The first's may have been made during its sale, or its sale been put off since."""
    late, early = await ground.new_show(), await ground.new_show(opens_in_s=8 * 86_400)
    await ground.put(late, opens_at=from_now(-60))
    await ground.put(early, opens_at=from_now(-60))
    new = {"opens_at": from_now(12 * 86_400)}
    for first, before in ((late, timedelta()), (early, OPENS_BEFORE_MAX)):
        second = await _add(ground, first, _date(Opens.AT, **new))
        opens_at = (await _rules(ground, second)).opens_at
        assert abs(_sale(second) - before - opens_at) < timedelta(milliseconds=2)


async def test_a_draw_that_waits_for_a_value_of_ones_own_is_not_taken_over(
    ground: QueueGround,
) -> None:
    """By the new draw's close the value would be known; nothing is made then."""
    first = await ground.new_show(opens_in_s=3600)
    opens_at, draws_at = from_now(60), from_now(3000)
    await ground.put(first, opens_at=opens_at, draws_at=draws_at, beacon=Beacon("dice"))
    new = _date(Opens.AT, opens_at=from_now(86_400))
    with pytest.raises(ShowFaultsError) as refused:
        await _add(ground, first, new)
    assert [fault.pointer for fault in refused.value.faults] == ["/waiting_room"]
    stores = _stores(ground)
    assert await add_date(stores, first.reseller, first.id, new) == new.id
    with pytest.raises(NoQueueError):
        await ground.room.queue(new.id)


async def test_asked_for_twice_it_is_made_once(ground: QueueGround) -> None:
    """Also if the first's rules became others in between."""
    first = await ground.new_show()
    await ground.put(first, **_SETTINGS)
    new = _date()
    second = await _add(ground, first, new)
    before = await _row(ground, second)
    await ground.put(first, rate=1.0)
    await _add(ground, first, new)
    assert await _row(ground, second) == before


async def test_a_show_without_a_room_gives_a_date_without_one(ground: QueueGround) -> None:
    """So does one whose room is switched off: its holds need no pass either."""
    bare, off = await ground.new_show(), await ground.new_show()
    await ground.put(off, mode=Mode.OFF)
    for first in (bare, off):
        second = await _add(ground, first, _date())
        assert not second.has_queue
        assert isinstance(await ground.room.check_pass(second, "", "ann"), NoRoom)
        with pytest.raises(NoQueueError):
            await ground.room.queue(second.id)


async def test_nobody_joins_before_the_date_opens_that_waits_for_the_first(
    ground: QueueGround,
) -> None:
    """Else passes would be issued, and run out, while nothing is sold. Then its line runs."""
    first = await ground.new_show()
    await ground.put(first, draws_at=from_now(-600), **_SETTINGS)
    second = await _add(ground, first, _date(Opens.WHEN_FIRST_SELLS_OUT))
    assert second.has_queue
    assert (await _rules(ground, second)).draws_at is None
    steering = ground.steering("one")
    while not (await _row(ground, second))["numbers_ceiling"]:  # committed beside the steps
        await ground.step(steering, second)
        await asyncio.sleep(0.05)
    await ground.step(steering, second, times=5)
    assert (await ground.meta(second))["state"] == QueueState.OFF
    assert (await ground.meta(second))["joins"] == "shut"
    await steering.stop()
    async with steered_by(ground.working):
        stores = _stores(ground)
        opened = await act(
            stores, second.reseller, second.id, Action.OPEN, columns={"opens_at": from_now(0)}
        )
        assert isinstance(opened, LifeChanged)
        await ground.state(second, QueueState.PASSTHROUGH)
        assert (await ground.join(second)).number == 0
