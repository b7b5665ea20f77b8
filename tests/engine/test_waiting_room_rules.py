"""What a reseller may change of a waiting room, and what processes know of it meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from engine.inventory.commands import Overloaded, Recovering
from engine.inventory.shows import Show
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.runtime import open_serving
from engine.waitingroom.beacon_finder import DRAND
from engine.waitingroom.queues import (
    DrawSetError,
    NoQueueError,
    Queue,
    note_count,
    put_queue,
    visit_queue,
)
from engine.waitingroom.room import DrawFixed, NoRoom
from engine.waitingroom.rules import Beacon, Mode
from engine.waitingroom.states import QueueState
from ops.stack import Stack
from tests.engine.queue_ground import QueueGround, from_now, open_queue_ground, rules_of, steered_by


@pytest.fixture(scope="module")
async def ground(servers: Stack) -> AsyncIterator[QueueGround]:
    """Both stores, and no controller."""
    async with open_queue_ground(servers.settings) as opened:
        yield opened


@pytest.fixture
async def steered(ground: QueueGround) -> AsyncIterator[QueueGround]:
    """The same with the worker's controller."""
    async with steered_by(ground.working):
        yield ground


async def test_rules_of_a_draw_stay_once_its_entries_are_closed(steered: QueueGround) -> None:
    """Also for who wrote them without knowing of the close: nobody chooses the outcome then."""
    show = await steered.new_show(opens_in_s=60)
    opens_at, draws_at, beacon = from_now(-60), from_now(1), Beacon("dice", None, None)
    await steered.put(show, opens_at=opens_at, draws_at=draws_at, beacon=beacon)
    queue, _ = await steered.until(show, lambda queue, _: queue.count is not None)
    as_told: dict[str, Any] = {"opens_at": opens_at, "draws_at": draws_at, "beacon": beacon}
    for late in ({"draws_at": from_now(30)}, {"draws_at": None, "beacon": None}):
        with pytest.raises(DrawSetError):
            await _put_late(steered, show, as_told | late | {"rate": 7.0})
    await _put_late(steered, show, as_told | {"rate": 7.0})
    queue = await visit_queue(steered.serving.app_engine, show.id, queue.show_text)
    assert (queue.rules.draws_at, queue.rules.beacon) == (draws_at, beacon)
    assert queue.rules.rate == 7.0


async def _put_late(
    ground: QueueGround, show: Show, rules: dict[str, Any], after_s: float = 0
) -> None:
    """Write rules in a transaction that began a while ago."""
    async with tenant_transaction(ground.serving.app_engine, show.reseller) as connection:
        await connection.execute(text("SELECT now()"))
        await asyncio.sleep(after_s)
        await put_queue(connection, show, rules_of(**rules))


async def test_whoever_wrote_rules_before_people_could_join_is_too_late_after(
    ground: QueueGround,
) -> None:
    """What counts is when it is written, not when that began."""
    show = await ground.new_show(opens_in_s=60)
    rules: dict[str, Any] = {"opens_at": from_now(2), "draws_at": from_now(30)}
    others = [{"draws_at": from_now(20)}, {"opens_at": from_now(10)}, {"draws_at": None}]
    await _put_late(ground, show, rules)
    for other in others:
        await _put_late(ground, show, rules | other)
        await _put_late(ground, show, rules)
    for other in others:
        with pytest.raises(DrawSetError):
            await _put_late(ground, show, rules | other, 2.1 if other is others[0] else 0)


async def test_a_running_line_gets_no_draw(ground: QueueGround) -> None:
    """Neither one that people have joined, nor one that they could by the sale."""
    for opens_at in (from_now(-60), from_now(60)):
        show = await ground.new_show()
        await ground.put(show, opens_at=opens_at)
        rules = rules_of(opens_at=opens_at, draws_at=from_now(90))
        assert await ground.room.put(show, rules, None) == DrawFixed()
        assert (await ground.put(show, opens_at=opens_at)).rules.draws_at is None


async def test_a_draw_whose_moment_has_come_is_put_off_no_more(ground: QueueGround) -> None:
    """Though nobody has closed the entries yet: a controller may just be at it."""
    show = await ground.new_show(opens_in_s=60)
    rules: dict[str, Any] = {"opens_at": from_now(-60), "draws_at": from_now(0.5)}
    await ground.put(show, **rules)
    rules["draws_at"] = from_now(1)
    await ground.put(show, **rules)
    await asyncio.sleep(1)
    late = rules_of(**rules | {"draws_at": from_now(30)})
    assert await ground.room.put(show, late, None) == DrawFixed()


async def test_a_value_that_is_fetched_is_not_noted_from_a_reseller(ground: QueueGround) -> None:
    """However it is told: of drand everybody must get the same."""
    values: list[bytes | None] = []
    for name in ("dice", DRAND):
        show = await ground.new_show(opens_in_s=60)
        rules: dict[str, Any] = {"draws_at": from_now(30), "beacon": Beacon(name, 9, None)}
        queue = await ground.put(show, **rules)
        engine, named = ground.working.recorder_engine, queue.rules.beacon
        assert await note_count(engine, queue, 3, datetime.now(UTC), named)
        values.append((await ground.put(show, beacon_value=b"six six six", **rules)).beacon_value)
    assert values == [b"six six six", None]


async def test_a_process_that_remembers_no_room_looks_before_it_lets_people_hold(
    ground: QueueGround,
) -> None:
    """It knew of the room as off: nobody has told it yet that it is on again."""
    show = await ground.new_show()
    await ground.put(show, mode=Mode.OFF)
    async with open_serving(ground.settings) as other:
        assert await other.waiting_room.check_pass(show, "", "ann") == NoRoom()
        await ground.put(show)
        assert await other.waiting_room.check_pass(show, "", "ann") == Recovering()


async def test_a_draw_is_told_from_memory(steered: QueueGround) -> None:
    """The ledger is asked for rooms that are off only, once for all who ask at a time."""
    show = await steered.new_show()
    await steered.put(show)
    known, _ = await steered.state(show, QueueState.RUNNING)
    assert await steered.room.draw_of(show.id) is known
    await steered.put(show, mode=Mode.OFF)
    found = await asyncio.gather(*(steered.room.draw_of(show.id) for _ in range(400)))
    assert {one.rules.mode for one in found if isinstance(one, Queue)} == {Mode.OFF}
    assert Overloaded() not in found


async def test_visitors_do_not_keep_a_reseller_from_their_rules(ground: QueueGround) -> None:
    """However many lines they ask for that there are not."""
    show = await ground.new_show()
    queue = await ground.put(show)
    asked = [asyncio.ensure_future(ground.room.draw_of(EntityId(n))) for n in range(1, 400)]
    await asyncio.sleep(0)
    assert await ground.room.queue(show.id) == queue
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert Overloaded() in found
    assert any(isinstance(one, NoQueueError) for one in found)
