"""The waiting room on a store that loses what it had, and on a ledger that is ahead of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine.waitingroom.commands import Issued, NoPass, Over
from engine.waitingroom.queues import (
    NoQueueError,
    begin_epoch,
    raise_ceilings,
)
from engine.waitingroom.reopening import reopen_queue
from engine.waitingroom.room import PassIssued
from engine.waitingroom.states import QueueState
from engine.waitingroom.steering import NUMBERS_AHEAD
from ops.stack import Stack
from tests.engine.queue_ground import (
    QueueGround,
    open_queue_ground,
    steered_by,
)


@pytest.fixture(scope="module")
async def ground(servers: Stack) -> AsyncIterator[QueueGround]:
    """Both stores, and no controller."""
    async with open_queue_ground(servers.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def steered(ground: QueueGround) -> AsyncIterator[QueueGround]:
    """The same with the worker's controller."""
    async with steered_by(ground.working):
        yield ground


async def test_a_controller_that_slept_opens_behind_what_was_committed_meanwhile(
    ground: QueueGround,
) -> None:
    """It read the queue, others raised the ceilings, the server restarted, and then it wakes."""
    show = await ground.new_show()
    await ground.put(show)
    async with steered_by(ground.working):
        await ground.state(show, QueueState.RUNNING)
        asleep = await ground.tended(show)
        await ground.join_many(show, 5)
    engine = ground.working.recorder_engine
    await raise_ceilings(engine, show.id, asleep.queue.epoch, numbers=250_000, serving=777)
    await ground.raw.hset(ground.keys(show).queue, "run_id", "0" * 40)
    await reopen_queue(ground.working.redis, engine, asleep.queue, ahead=NUMBERS_AHEAD)
    queue, meta = (await ground.tended(show)).queue, await ground.meta(show)
    assert (queue.epoch, int(meta["epoch"])) == (asleep.queue.epoch + 1,) * 2
    assert queue.numbers_ceiling >= 250_000
    assert (int(meta["next"]), int(meta["serving"])) == (250_000, 777)


async def test_tries_to_open_that_fail_use_no_numbers_up(ground: QueueGround) -> None:
    """Each commits an epoch; what is skipped stays the same, and is told once."""
    show = await ground.new_show()
    await ground.put(show)
    async with steered_by(ground.working):
        await ground.state(show, QueueState.RUNNING)
        await ground.join_many(show, 5)
    before = (await ground.tended(show)).queue
    for _ in range(4):
        queue = (await ground.tended(show)).queue
        engine = ground.working.recorder_engine
        assert await begin_epoch(engine, queue, known_next=5, ahead=NUMBERS_AHEAD) is not None
    after = (await ground.tended(show)).queue
    assert after.numbers_ceiling == before.numbers_ceiling
    assert after.skipped == ((5, before.numbers_ceiling),)


async def test_a_store_without_the_show_does_not_tell_that_it_is_sold_out(
    steered: QueueGround,
) -> None:
    """It is about to be recovered: what was left before counts until then."""
    show = await steered.new_show()
    await steered.put(show)
    await steered.state(show, QueueState.RUNNING)
    await steered.raw.delete(*show.keys.inventory())
    for _ in range(12):
        await asyncio.sleep(0.2)
        assert (await steered.look_in(show))[1].state is QueueState.RUNNING


@pytest.mark.parametrize("loss", ["everything", "its end", "an older epoch"])
async def test_no_number_is_given_twice_whatever_the_store_has_lost(
    steered: QueueGround, loss: str
) -> None:
    """Numbers go on behind what PostgreSQL says may have been given; what is lost is skipped."""
    show = await steered.new_show()
    await steered.put(show)
    await steered.state(show, QueueState.RUNNING)
    keys = steered.keys(show)
    early = await steered.join_many(show, 30)
    if loss == "an older epoch":
        copy = await steered.raw.hgetall(keys.queue)
        await steered.raw.hset(keys.queue, "run_id", "0" * 40)
        await steered.until(show, lambda queue, now: now.epoch == queue.epoch > 1)
    else:
        copy = await steered.raw.hgetall(keys.queue)
    given = [*early, *await steered.join_many(show, 50)]
    epoch = (await steered.tended(show)).queue.epoch
    if loss == "its end":
        copy[b"run_id"] = b"0" * 40
    await steered.raw.unlink(*keys.all())
    if loss != "everything":
        await steered.raw.hset(keys.queue, mapping=copy)
    await steered.until(show, lambda queue, now: now.epoch == queue.epoch > epoch)
    await steered.state(show, QueueState.RUNNING)
    after = await steered.join_many(show, 20)
    numbers = [person.number for person in (*given, *after)]
    assert len(set(numbers)) == len(numbers)
    assert min(person.number for person in after) > max(person.number for person in given)
    queue, _ = await steered.look_in(show)
    assert queue.skipped
    for first, end in queue.skipped:
        assert end - first <= NUMBERS_AHEAD
        assert all(not first <= person.number < end for person in after)
    # Nobody has lost their place: who was in line before is served, and before those behind.
    assert isinstance(await steered.claim(show, given[-1]), PassIssued)
    assert isinstance(await steered.claim(show, after[-1]), PassIssued)


async def test_a_ceiling_is_committed_before_a_number_below_it_is_given(
    steered: QueueGround,
) -> None:
    """And `serving` before anybody is told of it."""
    show = await steered.new_show()
    await steered.put(show, rate=50.0, burst=20.0)
    await steered.state(show, QueueState.RUNNING)
    for _ in range(4):
        await steered.join_many(show, 25)
        meta = await steered.meta(show)
        queue = (await steered.tended(show)).queue
        assert int(meta["next"]) <= int(meta["ceiling"]) <= queue.numbers_ceiling
        assert int(meta["serving"]) <= queue.serving_ceiling
        await asyncio.sleep(0.3)
    assert int((await steered.meta(show))["serving"]) > 0


async def test_a_position_is_told_from_memory_and_a_pass_from_the_store(
    steered: QueueGround,
) -> None:
    """Before, with and after a pass."""
    show = await steered.new_show()
    await steered.put(show)
    await steered.state(show, QueueState.RUNNING)
    ann = await steered.join(show)
    queue, _ = await steered.look_in(show)
    assert await steered.room.look(queue, ann.number) == NoPass()
    issued = await steered.claim(show, ann)
    looked = await steered.room.look(queue, ann.number)
    assert isinstance(looked, Issued)
    assert looked.deadline_ms == issued.deadline_ms
    await steered.room.leave(queue, ann.number)
    assert await steered.room.look(queue, ann.number) == Over()


async def test_a_show_without_a_room_has_none(ground: QueueGround) -> None:
    """Nor has a show that is not there."""
    show = await ground.new_show()
    for one in (show.id, show.id ^ 1):
        with pytest.raises(NoQueueError):
            await ground.room.look_in(type(show.id)(one))
