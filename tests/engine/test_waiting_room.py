"""The waiting room on the real stores, steered by the worker's own task."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import text

from engine.inventory.commands import Recovering
from engine.inventory.shows import Show
from engine.platform.database import connect_once, tenant_transaction
from engine.runtime import open_serving
from engine.sales.asking import Asked
from engine.sales.views import HoldView
from engine.sales.wanted import Wanted
from engine.waitingroom.beacon import CHAIN
from engine.waitingroom.beacon_finder import BeaconFinder
from engine.waitingroom.beside import Beside
from engine.waitingroom.commands import Issued, Left, NotYet, Over, Waits
from engine.waitingroom.draw import Draw, derive_key
from engine.waitingroom.queues import (
    NoQueueError,
    Queue,
    put_queue,
    visit_queue,
)
from engine.waitingroom.room import AnotherBuyer, NoRoom, NotAdmitted, PassIssued
from engine.waitingroom.rules import DRAND, Beacon, Mode
from engine.waitingroom.states import QueueState
from engine.waitingroom.steering import LEASE_S
from ops.stack import Stack
from tests.engine.queue_ground import (
    QueueGround,
    from_now,
    open_queue_ground,
    rules_of,
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


# ---------------------------------------------------------------- joining, claiming, leaving


async def test_people_join_claim_and_leave(steered: QueueGround) -> None:
    """A pass is its buyer's, the same when asked for again, and over when it is left."""
    show = await steered.new_show()
    await steered.put(show)
    await steered.state(show, QueueState.RUNNING)
    ann, bob = await steered.join(show), await steered.join(show)
    assert (ann.number, bob.number) == (0, 1)
    issued = await steered.claim(show, ann, "ann")
    assert await steered.claim(show, ann, "ann") == issued
    assert await steered.ask_for_pass(show, ann, "eve") == Over()
    checked = await steered.room.check_pass(show, issued.text, "ann")
    assert isinstance(checked, Issued)
    assert checked.deadline_ms == issued.deadline_ms
    queue, _ = await steered.look_in(show)
    assert await steered.room.leave(queue, ann.number) == Left()
    assert await steered.ask_for_pass(show, ann, "ann") == Over()
    assert await steered.room.check_pass(show, issued.text, "ann") == NotAdmitted(
        "its pass is over"
    )
    assert isinstance(await steered.claim(show, bob), PassIssued)


async def test_a_pass_is_of_its_show_and_buyer_only(steered: QueueGround) -> None:
    """None, forged, another buyer's, another show's: refused, each."""
    show, other = await steered.new_show(), await steered.new_show()
    for one in (show, other):
        await steered.put(one)
        await steered.state(one, QueueState.RUNNING)
    issued = await steered.claim(show, await steered.join(show), "ann")
    theirs = await steered.claim(other, await steered.join(other), "ann")
    for given, buyer in (
        ("", "ann"),
        (issued.text, "eve"),
        (theirs.text, "ann"),
        (issued.text[:-2] + "AA", "ann"),
        (issued.text + "A", "ann"),
        ("x", "ann"),
    ):
        assert isinstance(await steered.room.check_pass(show, given, buyer), NotAdmitted), given
    assert isinstance(await steered.room.check_pass(show, issued.text, "ann"), Issued)


async def test_one_person_has_one_number(steered: QueueGround) -> None:
    """However often they join and with whatever token; it is for the buyer who was named."""
    show = await steered.new_show()
    await steered.put(show)
    await steered.state(show, QueueState.RUNNING)
    people = await asyncio.gather(*(steered.join(show, "ann") for _ in range(20)))
    assert {person.number for person in people} == {0}
    assert (await steered.join(show, "bob")).number == 1
    assert await steered.ask_for_pass(show, people[0], "eve") == AnotherBuyer("ann")
    first = await steered.claim(show, people[0], "ann")
    assert await steered.claim(show, people[19], "ann") == first


async def test_a_purchase_ends_its_pass(steered: QueueGround) -> None:
    """The place in checkout is free for the next, though the pass has minutes left."""
    show = await steered.new_show()
    await steered.put(show, checkout_max=1)
    await steered.state(show, QueueState.RUNNING)
    ann, bob = await steered.join(show), await steered.join(show)
    issued = await steered.claim(show, ann)
    await asyncio.sleep(0.6)
    assert isinstance(await steered.ask_for_pass(show, bob), Waits | NotYet)
    current = await steered.serving.book.reload(steered.serving.app_engine, show.reseller, show.id)
    assert current.has_queue
    await steered.room.end_pass(current, issued.text, "ann")
    assert isinstance(await steered.room.check_pass(show, issued.text, "ann"), NotAdmitted)
    assert isinstance(await steered.claim(show, bob), PassIssued)


# ---------------------------------------------------------------- what resellers decide


async def test_a_paused_line_issues_nothing_and_goes_on(steered: QueueGround) -> None:
    """People still join; who has a pass keeps it."""
    show = await steered.new_show()
    await steered.put(show)
    await steered.state(show, QueueState.RUNNING)
    ann = await steered.join(show)
    issued = await steered.claim(show, ann)
    await steered.put(show, is_paused=True)
    await steered.state(show, QueueState.PAUSED)
    bob = await steered.join(show)
    await asyncio.sleep(0.5)
    assert await steered.ask_for_pass(show, bob) == NotYet()
    assert await steered.claim(show, ann) == issued
    await steered.put(show)
    assert isinstance(await steered.claim(show, bob), PassIssued)


async def test_a_line_drains_and_is_closed(steered: QueueGround) -> None:
    """Draining serves who is in it and takes nobody in; closed issues nothing more."""
    show = await steered.new_show()
    await steered.put(show, is_paused=True)
    await steered.state(show, QueueState.PAUSED)
    ann, bob = await steered.join(show), await steered.join(show)
    await steered.put(show, mode=Mode.DRAIN, checkout_max=1)
    await steered.state(show, QueueState.RUNNING)
    queue, _ = await steered.look_in(show)
    assert type(await steered.room.join(queue)).__name__ == "Shut"
    issued = await steered.claim(show, ann)
    await steered.put(show, mode=Mode.CLOSED)
    await steered.state(show, QueueState.CLOSED)
    assert await steered.ask_for_pass(show, bob) == NotYet()
    assert isinstance(await steered.room.check_pass(show, issued.text, "ann"), Issued)


async def test_every_process_hears_that_a_room_is_off_and_on_again(
    steered: QueueGround,
) -> None:
    """Off: nobody needs a pass, nobody joins. On again: the line is as it was."""
    show = await steered.new_show()
    await steered.put(show)
    await steered.state(show, QueueState.RUNNING)
    ann = await steered.join(show)
    issued = await steered.claim(show, ann)
    async with open_serving(steered.settings) as other:
        await other.waiting_room.look_in(show.id)
        await steered.put(show, mode=Mode.OFF)
        async with asyncio.timeout(5):
            while True:
                try:
                    await other.waiting_room.look_in(show.id)
                except NoQueueError:
                    break
                await asyncio.sleep(0.05)
        assert await other.waiting_room.check_pass(show, "", "ann") == NoRoom()
    with pytest.raises(NoQueueError):
        await steered.room.look_in(show.id)
    await steered.put(show)
    await steered.state(show, QueueState.RUNNING)
    assert await steered.claim(show, ann) == issued
    assert (await steered.join(show)).number == 1
    assert isinstance(await steered.claim(show, await steered.join(show)), PassIssued)


async def test_a_line_opens_when_it_is_to(steered: QueueGround) -> None:
    """Off, then a pre-queue in the order of arrival, then running when the sale opens."""
    show = await steered.new_show(opens_in_s=3.5)
    await steered.put(show, opens_at=from_now(1.5))
    await steered.state(show, QueueState.OFF)
    await steered.state(show, QueueState.PRE_QUEUE)
    ann = await steered.join(show)
    assert await steered.ask_for_pass(show, ann) == NotYet()
    await steered.state(show, QueueState.RUNNING)
    assert datetime.now(UTC).timestamp() * 1000 >= show.opens_at_ms
    assert isinstance(await steered.claim(show, ann), PassIssued)


async def test_a_hold_that_knew_of_no_room_is_not_decided_once_there_is_one(
    ground: QueueGround,
) -> None:
    """Neither the one that makes the process hear of it, nor one that was on its way meanwhile."""
    show = await ground.new_show()
    assert not show.has_queue
    await ground.put(show)
    office = ground.serving.box_office

    def ask(seen: Show, n: int) -> Asked:
        asked = office.ask_hold(
            seen,
            f"{show.id}-{n}",
            buyer="ann",
            ttl_ms=60_000,
            wanted=Wanted(areas=(("floor-1", 1),)),
            fingerprint=lambda: n,
        )
        assert isinstance(asked, Asked)
        return asked

    for n in range(3):
        assert await office.tell(show, ask(show, n)) == Recovering()
    current = await office.show(show.reseller, show.id)
    assert current.has_queue
    assert isinstance(await office.tell(current, ask(current, 9)), HoldView)


# ---------------------------------------------------------------- the draw


def _check_places(queue: Queue, count: int) -> list[int]:
    """Return the places of all entries, each found as anybody can who reads the document."""
    assert hashlib.sha256(queue.secret).digest() == queue.commitment
    assert queue.count == count
    key = derive_key(queue.secret, queue.show_text, count, queue.beacon_value or b"")
    draw = Draw(key, count)
    places = [queue.place(number) for number in range(count)]
    assert places == [draw.place(number) for number in range(count)]
    assert sorted(places, key=lambda place: -1 if place is None else place) == [*range(count)]
    assert queue.digest == draw.digest()
    return [place for place in places if place is not None]


async def test_entries_are_drawn_and_served_by_their_places(steered: QueueGround) -> None:
    """Joined before the draw: places by the draw. After it: behind them, by arrival."""
    show = await steered.new_show(opens_in_s=4)
    await steered.put(show, opens_at=from_now(-60), draws_at=from_now(2.5), rate=2.0, burst=3.0)
    before = await visit_queue(steered.serving.app_engine, show.id, "")
    await steered.state(show, QueueState.PRE_QUEUE)
    entries = await steered.join_many(show, 40)
    queue, standing = await steered.look_in(show)
    position = steered.room.position(queue, standing, entries[0].number)
    assert (position.place, position.ahead, position.is_admitted) == (None, None, False)
    assert await steered.ask_for_pass(show, entries[0]) == NotYet()
    queue, _ = await steered.until(show, lambda queue, _: queue.drawn_at is not None)
    assert queue.commitment == before.commitment
    places = _check_places(queue, 40)
    late = await steered.join(show)
    assert (late.number, queue.place(late.number)) == (40, 40)
    await steered.state(show, QueueState.RUNNING)
    by_place = sorted(entries, key=lambda person: places[person.number])
    first = await asyncio.gather(*(steered.claim(show, one) for one in by_place[:3]))
    assert len({one.number for one in first}) == 3
    assert await steered.ask_for_pass(show, late) == NotYet()


async def test_slow_work_is_done_beside_the_steps() -> None:
    """As a digest of a million places, or a hanging PostgreSQL: once, however often it is due."""
    work, began, may_end = Beside("slow"), 0, asyncio.Event()

    async def slow() -> None:
        nonlocal began
        began += 1
        await may_end.wait()

    for _ in range(3):
        work.begin(slow)
        await asyncio.sleep(0.01)
    assert began == 1
    may_end.set()
    await asyncio.sleep(0.01)
    work.begin(slow)
    await asyncio.sleep(0.01)
    assert began == 2
    await work.stop()


async def test_a_draw_waits_for_the_beacon_that_its_reseller_tells(steered: QueueGround) -> None:
    """What is told before the close, or after the draw, changes nothing."""
    show = await steered.new_show(opens_in_s=60)
    rules: dict[str, Any] = {
        "opens_at": from_now(-60),
        "draws_at": from_now(2.5),
        "beacon": Beacon("dice", None, None),
    }
    await steered.put(show, beacon_value=b"too early", **rules)
    await steered.state(show, QueueState.PRE_QUEUE)
    await steered.join_many(show, 7)
    queue, _ = await steered.until(show, lambda queue, _: queue.count == 7)
    await asyncio.sleep(0.6)
    assert (queue.beacon_value, queue.drawn_at) == (None, None)
    await steered.put(show, beacon_value=b"six six six", **rules)
    queue, _ = await steered.until(show, lambda queue, _: queue.drawn_at is not None)
    assert queue.beacon_value == b"six six six"
    _check_places(queue, 7)
    await steered.put(show, beacon_value=b"another", **rules)
    again, _ = await steered.state(show, QueueState.DRAWN)
    assert (again.beacon_value, again.digest) == (b"six six six", queue.digest)


async def test_a_beacon_is_fetched_once_its_round_is_there(ground: QueueGround) -> None:
    """Not yet published, then told wrongly, then told."""
    signature = bytes(range(48))
    value = hashlib.sha256(signature).hexdigest()
    answers = [
        web.Response(status=425),
        web.json_response({"round": 9, "randomness": "00" * 32, "signature": signature.hex()}),
        web.json_response({"round": 9, "randomness": value, "signature": signature.hex()}),
    ]
    asked: list[str] = []

    async def tell(request: web.Request) -> web.Response:
        asked.append(request.path)
        return answers.pop(0)

    show = await ground.new_show()
    queue = await ground.put(show, draws_at=from_now(60), beacon=Beacon(DRAND, 9, None))
    application = web.Application()
    application.router.add_get("/{path:.*}", tell)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        found = [
            await BeaconFinder(f"http://{host}:{port}").find(queue) for _ in range(len(answers))
        ]
    finally:
        await runner.cleanup()
    assert found == [None, None, bytes.fromhex(value)]
    assert set(asked) == {f"/{CHAIN}/public/9"}
    finder = BeaconFinder("http://127.0.0.1:1")
    assert await finder.find(queue) is None
    assert await finder.find(queue) is None, "no more often than every other second"


# ---------------------------------------------------------------- controllers


async def test_of_two_controllers_one_steers(ground: QueueGround) -> None:
    """The other brings nothing; it takes over when the first has been silent for some seconds."""
    show = await ground.new_show()
    await ground.put(show, rate=10.0, burst=5.0)
    first, second = ground.steering("first"), ground.steering("second")
    await ground.step(first, show, 4)
    assert (await ground.meta(show))["holder"] == "first"
    for _ in range(5):
        await asyncio.sleep(0.1)
        before = await ground.meta(show)
        await ground.step(second, show)
        assert await ground.meta(show) == before
        await ground.step(first, show)
    await ground.step(second, show)
    await asyncio.sleep(LEASE_S + 0.1)
    await ground.step(second, show, 3)
    meta = await ground.meta(show)
    assert meta["holder"] == "second"
    assert float(meta["stock"]) <= 5.0
    # The first comes back from wherever it was, and finds that it holds nothing.
    await ground.step(first, show)
    assert (await ground.meta(show))["holder"] == "second"


async def test_a_room_that_was_not_tended_for_long_is_steered_again(ground: QueueGround) -> None:
    """As after an hour of being off: whoever begins to steer it does not count as late."""
    show = await ground.new_show()
    await ground.put(show)
    async with steered_by(ground.working):
        await ground.state(show, QueueState.RUNNING)
        tended = await ground.tended(show)
        async with tenant_transaction(ground.serving.app_engine, show.reseller) as connection:
            await put_queue(connection, show, rules_of(mode=Mode.OFF))
        await _age(ground, tended.queue)
        await asyncio.sleep(1.5)
        await ground.raw.hset(ground.keys(show).queue, "step", 100_000)
        await ground.put(show)
        await ground.state(show, QueueState.RUNNING)
        person = await ground.join(show)
        assert isinstance(await ground.claim(show, person), PassIssued)


async def _age(ground: QueueGround, queue: Queue) -> None:
    """Let the queue have been changed two hours ago."""
    async with connect_once(ground.settings.database_url) as connection:
        await connection.execute(
            text("UPDATE queues SET changed_at = now() - interval '2 hours' WHERE show_id = :show"),
            {"show": queue.show},
        )
        await connection.commit()
