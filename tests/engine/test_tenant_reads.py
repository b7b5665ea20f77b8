"""Short reads of a reseller's rows: theirs alone, on connections that carry nobody's name."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.database import RESELLER_SETTING, create_engine
from engine.platform.driver import Row, prepare
from engine.platform.ids import EntityId
from engine.platform.settings import APP_ROLE
from engine.platform.tenant_reads import CONNECTIONS_MAX, TenantReads
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world

_SHOWS = prepare("SELECT id, reseller_id FROM shows")
_FAILS = prepare("SELECT 1 / 0")
_SLEEPS = prepare("SELECT pg_sleep(30)")
_RENAMES = prepare("UPDATE shows SET name = 'Morning' RETURNING id")
_WHOSE = prepare(f"SELECT current_setting('{RESELLER_SETTING}', true) AS whose, now() AS began")


@pytest.fixture
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def engine(servers: Stack) -> AsyncIterator[AsyncEngine]:
    """One with the connections that reads have."""
    engine = create_engine(servers.settings, APP_ROLE, connections_max=CONNECTIONS_MAX)
    yield engine
    await engine.dispose()


@pytest.fixture
async def reads(engine: AsyncEngine) -> AsyncIterator[TenantReads]:
    """The reads of a process."""
    reads = TenantReads(engine)
    yield reads
    await reads.close()


async def _shows_of(reads: TenantReads, reseller: EntityId) -> list[Row]:
    async with reads.of(reseller) as reading:
        return await reading.fetch(_SHOWS, {})


async def test_each_sees_their_own_rows(world: World, reads: TenantReads) -> None:
    """Of two who ask in turn and at once, on the same connections."""
    shows = [await world.new_show() for _ in range(2)]
    asked = [shows[n % 2] for n in range(20)]
    told = await asyncio.gather(*(_shows_of(reads, EntityId(show.reseller)) for show in asked))
    assert [[row["id"] for row in rows] for rows in told] == [[show.id] for show in asked]


async def test_nothing_is_changed(world: World, reads: TenantReads) -> None:
    """Nobody is told in the trail who reads."""
    show = await world.new_show()
    async with reads.of(EntityId(show.reseller)) as reading:
        assert await reading.fetch(_SHOWS, {})
    with pytest.raises(DBAPIError, match="read-only transaction"):
        async with reads.of(EntityId(show.reseller)) as reading:
            await reading.fetch(_RENAMES, {})


async def test_a_transaction_that_was_not_ended_is_nobodys(
    world: World, engine: AsyncEngine, reads: TenantReads
) -> None:
    """Its connection is closed, whether the query failed or who waited for it went away."""
    show = await world.new_show()
    reseller = EntityId(show.reseller)
    for _ in range(2 * CONNECTIONS_MAX):
        with pytest.raises(DBAPIError, match="division by zero"):
            async with reads.of(reseller) as reading:
                await reading.fetch(_FAILS, {})
    for _ in range(2 * CONNECTIONS_MAX):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), reads.of(reseller) as reading:
                await reading.fetch(_SLEEPS, {})
    await reads.close()
    for _ in range(2 * CONNECTIONS_MAX):
        async with engine.connect() as connection:
            row = (await connection.exec_driver_sql(_WHOSE.sql)).one()
            assert not row.whose
            assert not (await connection.exec_driver_sql("SELECT id FROM shows")).all()
    assert len(await _shows_of(reads, reseller)) == 1


async def test_more_than_there_are_connections_wait_for_their_turn(
    world: World, reads: TenantReads
) -> None:
    """None is told that the pool has nothing left."""
    show = await world.new_show()
    async with asyncio.timeout(5):
        told = await asyncio.gather(
            *(_shows_of(reads, EntityId(show.reseller)) for _ in range(50 * CONNECTIONS_MAX))
        )
    assert {len(rows) for rows in told} == {1}
