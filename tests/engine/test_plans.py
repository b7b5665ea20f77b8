"""Seating plans are read once and kept within a bound."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from sqlalchemy import event, insert
from sqlalchemy.exc import NoResultFound

from engine.catalog.plans import PlanBook
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import manifests
from loadtests.generated_plans import arena_plan
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world

_SEATS = 100


@pytest.fixture
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, and what the application's engine asks the ledger is counted."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
def asked(world: World) -> list[str]:
    """Return the questions for a plan, in their order."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "manifests.plan" in statement:
            found.append(statement)

    event.listen(world.app.sync_engine, "before_cursor_execute", note)
    return found


async def test_many_who_ask_at_once_cost_one_question(world: World, asked: list[str]) -> None:
    """And who asks later none."""
    reseller, (manifest,) = await _reseller_with_plans(world, 1)
    book = PlanBook(world.app)
    plans = await asyncio.gather(*(book.plan(reseller, manifest) for _ in range(50)))
    plans.append(await book.plan(reseller, manifest))
    assert len(asked) == 1
    assert len({plan.digest for plan in plans}) == 1
    assert msgspec.json.decode(plans[0].content()) == msgspec.json.decode(arena_plan(_SEATS))


async def test_the_least_used_is_forgotten_first(world: World, asked: list[str]) -> None:
    """Beyond the bound; it is read again when it is asked for."""
    reseller, (one, two, three) = await _reseller_with_plans(world, 3)
    size = len((await PlanBook(world.app).plan(reseller, one)).gzipped)
    book = PlanBook(world.app, bytes_max=2 * size + size // 2)
    for manifest in (one, two, one, three):
        await book.plan(reseller, manifest)
    asked.clear()
    await book.plan(reseller, one)
    await book.plan(reseller, three)
    assert not asked
    await book.plan(reseller, two)
    assert len(asked) == 1


async def test_one_that_is_larger_than_the_bound_stays_until_the_next(
    world: World, asked: list[str]
) -> None:
    """A crowd that looks at it must not ask the ledger each time."""
    reseller, (one, two) = await _reseller_with_plans(world, 2)
    book = PlanBook(world.app, bytes_max=1)
    for manifest in (one, one, two, two):
        await book.plan(reseller, manifest)
    assert len(asked) == 2


async def test_another_resellers_plan_is_not_there(world: World) -> None:
    """Not even when it is in memory."""
    reseller, (manifest,) = await _reseller_with_plans(world, 1)
    book = PlanBook(world.app)
    await book.plan(reseller, manifest)
    rival = EntityId(await world.new_reseller())
    with pytest.raises(NoResultFound):
        await book.plan(rival, manifest)
    await book.plan(reseller, manifest)


async def _reseller_with_plans(world: World, count: int) -> tuple[EntityId, list[EntityId]]:
    reseller = EntityId(await world.new_reseller())
    ids = [new_entity_id() for _ in range(count)]
    plan = msgspec.json.decode(arena_plan(_SEATS))
    async with world.owner.begin() as connection:
        for manifest in ids:
            await connection.execute(
                insert(manifests).values(
                    id=manifest, reseller_id=reseller, name="Hall", plan=plan, seat_count=_SEATS
                )
            )
    return reseller, ids
