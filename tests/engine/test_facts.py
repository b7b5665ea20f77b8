"""The log of facts: nothing is missed, nothing is told twice, nothing that was not committed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from engine.facts.log import (
    Cursor,
    Fact,
    NewFact,
    Page,
    Wanted,
    add_facts,
    read_page,
)
from engine.facts.types import FactType, HoldExpired
from engine.platform.database import tenant_transaction
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world

_WRITERS = 8
_ROUNDS = 25
_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ALL = Wanted()


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


def _expired(name: str, *, show: int | None = None) -> NewFact:
    return NewFact(FactType.HOLD_EXPIRED, name, HoldExpired(reason="deadline"), show, _NOW)


async def _add(world: World, reseller: int, *names: str) -> None:
    async with tenant_transaction(world.app, reseller) as connection:
        await add_facts(connection, reseller, [_expired(name) for name in names])


async def _page(
    world: World, reseller: int, after: Cursor | None, limit: int = 100, wanted: Wanted = _ALL
) -> Page:
    async with tenant_transaction(world.app, reseller) as connection:
        return await read_page(connection, reseller, after, limit, wanted)


async def _until(world: World, reseller: int, count: int) -> list[Fact]:
    """Read all that a reseller was told, once there are so many."""
    async with asyncio.timeout(30):
        while True:
            found = (await _page(world, reseller, None)).facts
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_facts_are_read_as_they_were_added(world: World) -> None:
    """In their order, with their data, and by pages."""
    reseller = await world.new_reseller()
    await _add(world, reseller, "hld_1", "hld_2", "hld_3")
    found = await _until(world, reseller, 3)
    assert [fact.object for fact in found] == ["hld_1", "hld_2", "hld_3"]
    assert found[0].data == {"reason": "deadline"}
    assert (found[0].type, found[0].occurred_at) == (FactType.HOLD_EXPIRED, _NOW)
    first = await _page(world, reseller, None, limit=2)
    assert (len(first.facts), first.has_more) == (2, True)
    rest = await _page(world, reseller, first.cursor, limit=2)
    assert ([fact.object for fact in rest.facts], rest.has_more) == (["hld_3"], False)
    nothing = await _page(world, reseller, rest.cursor)
    assert nothing == Page([], rest.cursor, has_more=False)
