"""Bundles of shows with a waiting room: a purchase ends the passes that it was held by."""

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from msgspec import Struct, structs

from engine.inventory.shows import Show
from engine.sales.bundle_ledger import BundleLedger
from engine.sales.bundles import Bundle, BundleState
from engine.sales.bundling import Wish
from engine.waitingroom.commands import Issued
from engine.waitingroom.room import NotAdmitted, PassIssued
from engine.waitingroom.states import QueueState
from ops.stack import Stack
from tests.engine.bundle_ground import Ground, KilledError, open_ground
from tests.engine.queue_ground import QueueGround, steered_by

_STEPS_MAX = 50


class InLine(Struct, frozen=True):
    """Two shows, the second with a waiting room."""

    ground: Ground
    line: QueueGround
    show: Show
    steering: asyncio.Task[None]

    async def wishes(self) -> tuple[list[Wish], PassIssued]:
        """Return what a bundle is to hold, by a pass."""
        wishes = self.ground.wishes()
        buyer = wishes[1].buyer
        issued = await self.line.claim(self.show, await self.line.join(self.show), buyer)
        wishes[1] = structs.replace(wishes[1], show=self.show, pass_number=issued.number)
        return wishes, issued

    async def standing(self, issued: PassIssued) -> Issued | NotAdmitted:
        """Tell how a pass stands."""
        told = await self.line.room.check_pass(self.show, issued.text, issued.buyer)
        assert isinstance(told, Issued | NotAdmitted), told
        return told

    async def in_checkout(self) -> int:
        """Return how many passes live."""
        return int(await self.ground.raw.zcard(self.line.keys(self.show).queue_passes))


@pytest.fixture
async def in_line(servers: Stack) -> AsyncGenerator[InLine]:
    """A line that gives passes at once."""
    async with open_ground(servers.settings) as ground:
        line = QueueGround(
            servers.settings, ground.serving, ground.working, ground.raw, ground.reseller
        )
        async with steered_by(ground.working) as steering:
            show = ground.shows[1]
            await line.put(show)
            await line.state(show, QueueState.RUNNING)
            app = ground.serving.app_engine
            current = await ground.serving.book.reload(app, show.reseller, show.id)
            assert current.has_queue
            yield InLine(ground, line, current, steering)


async def test_a_purchase_that_is_killed_at_any_step_ends_its_pass(in_line: InLine) -> None:
    """Whoever finishes it does so before it is told as purchased; a release ends none."""
    ground, living = in_line.ground, 0
    for dies_at in range(_STEPS_MAX):
        wishes, issued = await in_line.wishes()
        bundle = await ground.hold(wishes=wishes)
        try:
            await ground.purchase(bundle, ground.mortal(dies_at))
        except KilledError:
            is_killed = True
        else:
            is_killed = False
        found = await ground.bundling.find(ground.reseller, bundle.id)
        assert found is not None
        if found.state is BundleState.PURCHASED:
            assert isinstance(await in_line.standing(issued), NotAdmitted), dies_at
        ended = (await asyncio.gather(*(ground.take_up(bundle) for _ in range(2))))[0]
        is_bought = ended.state is BundleState.PURCHASED
        expected = NotAdmitted if is_bought else Issued
        assert isinstance(await in_line.standing(issued), expected), (dies_at, ended)
        living += not is_bought
        assert await in_line.in_checkout() == living
        if not is_killed:
            break
    else:
        pytest.fail("it was killed at each of its steps")
    assert dies_at > living > 0


async def test_a_line_that_does_not_answer_is_asked_again_for_some_seconds(
    in_line: InLine,
) -> None:
    """The bundle is purchased then all the same, and its pass ends with its deadline."""
    ground = in_line.ground
    bundle, _ = await _bought_without_a_line(in_line)
    assert (await ground.bundling.finish(ground.reseller, bundle.id, within_s=0.2)) == bundle
    await ground.sql(
        "UPDATE orders SET recorded_at = recorded_at - interval '11 seconds'"
        " WHERE id = ANY(:holds)",
        holds=[UUID(bytes=one.hold) for one in bundle.shows],
    )
    ended = await ground.take_up(bundle)
    assert ended.state is BundleState.PURCHASED
    assert await in_line.in_checkout() == 1


async def test_a_line_that_answers_again_in_time_has_the_pass_ended(in_line: InLine) -> None:
    """By whoever takes the bundle up."""
    bundle, issued = await _bought_without_a_line(in_line)
    ground = in_line.ground
    run_id = await ground.raw.hget(in_line.show.keys.meta, "run_id")
    await ground.raw.hset(in_line.line.keys(in_line.show).queue, "run_id", run_id)
    assert isinstance(await in_line.standing(issued), Issued)
    assert (await ground.take_up(bundle)).state is BundleState.PURCHASED
    assert isinstance(await in_line.standing(issued), NotAdmitted)


async def _bought_without_a_line(in_line: InLine) -> tuple[Bundle, PassIssued]:
    """Return a bundle that has all its orders, and whose waiting room is open nowhere."""
    ground = in_line.ground
    wishes, issued = await in_line.wishes()
    bundle = await ground.hold(wishes=wishes)
    in_line.steering.cancel()
    await asyncio.gather(in_line.steering, return_exceptions=True)
    await ground.raw.hset(in_line.line.keys(in_line.show).queue, "run_id", "another server's")
    await ground.bundling.begin_purchase(bundle, bytes(32), 1, "pay-1")
    ledger = BundleLedger(ground.serving.app_engine, ground.serving.ids)
    async with asyncio.timeout(20):
        while len(await ledger.recorded(bundle, bundle.shows)) < len(bundle.shows):
            await ground.bundling.finish(ground.reseller, bundle.id, within_s=0.1)
    found = await ground.bundling.find(ground.reseller, bundle.id)
    assert found is not None
    assert found.state is BundleState.PURCHASING
    return found, issued
