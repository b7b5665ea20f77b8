"""That a sale begins is told in time, whatever else is told or changed meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.dates import NewDate, Opens, add_date
from engine.catalog.life import Stores
from engine.platform.database import connect_once
from engine.platform.ids import EntityId, new_entity_id
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS
from workers.facts import run_milestones

_IN_TIME_S = 4


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show in trade, whose beginning nobody has told."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def _date_that_opens_later(ground: Ground) -> EntityId:
    starts_at = datetime.now(UTC) + timedelta(days=9)
    opens_at = starts_at - timedelta(days=1)
    new = NewDate(id=new_entity_id(), starts_at=starts_at, opens=Opens.AT, opens_at=opens_at)
    stores = Stores(ground.serving.app_engine, ground.serving.redis, IDS, 60)
    await add_date(stores, ground.show.reseller, ground.show.id, new)
    await ground.working.recoverer.recover(new.id, "new")
    return new.id


async def _until(connection: AsyncConnection, condition: str, show: int) -> None:
    async with asyncio.timeout(_IN_TIME_S):
        while not await connection.scalar(text(condition), {"show": show}):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_sale_that_begins_waits_for_no_other_show(ground: Ground) -> None:
    """Neither for one that is being changed, nor until the places of all that sell are counted."""
    later = await _date_that_opens_later(ground)
    url = ground.settings.database_url
    async with connect_once(url) as changing, connect_once(url) as asking:
        await asking.execution_options(isolation_level="AUTOCOMMIT")
        await changing.execute(text(_LOCK_SHOW), {"show": ground.show.id})
        await changing.execute(text("LOCK TABLE manifests IN ACCESS EXCLUSIVE MODE"))
        telling = asyncio.create_task(run_milestones(ground.working))
        try:
            await _until(asking, _IS_COUNTING, later)
            await asking.execute(text(_OPENS_NOW), {"show": later})
            await _until(asking, _IS_TOLD, later)
            assert not await asking.scalar(text(_IS_TOLD), {"show": ground.show.id})
            await changing.rollback()
            await _until(asking, _IS_TOLD, ground.show.id)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


_LOCK_SHOW = "SELECT id FROM shows WHERE id = :show FOR UPDATE"
_OPENS_NOW = "UPDATE shows SET opens_at = now() WHERE id = :show"
_IS_COUNTING = (
    "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'manifests'::regclass"
    " AND CAST(:show AS BIGINT) > 0"
)
_IS_TOLD = "SELECT count(*) = 1 FROM facts WHERE show_id = :show AND type = 'show.on_sale'"
