"""The walk of the tables is red by itself: when a policy goes, when a table comes without one."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from msgspec import structs
from sqlalchemy import text

from engine.platform.database import connect_once, driver_url
from engine.platform.tables import metadata
from migrations.apply import upgrade
from ops.stack import Stack
from tests.engine import test_tenancy as walk
from tests.engine.ledger_world import World, open_world

_URLS = ("database_url", "app_database_url", "recorder_database_url", "auditor_database_url")
_TENANT_TABLES = sorted(t.name for t in metadata.sorted_tables if "reseller_id" in t.c)

_BREAK = {
    "row security is off": "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    "the owner is let past": "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
    "the policy is gone": "DROP POLICY tenant ON {table}",
    "the policy lets everybody in": "ALTER POLICY tenant ON {table} USING (true)",
    "the policy lets anything be written": "ALTER POLICY tenant ON {table} WITH CHECK (true)",
    "another policy lets everybody in": "CREATE POLICY more ON {table} TO onsale_app USING (true)",
}
_MEND = {
    "row security is off": "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "the owner is let past": "ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    "the policy is gone": "CREATE POLICY tenant ON {table} TO onsale_app"
    " USING ({clause}) WITH CHECK ({clause})",
    "the policy lets everybody in": "ALTER POLICY tenant ON {table} USING ({clause})",
    "the policy lets anything be written": "ALTER POLICY tenant ON {table} WITH CHECK ({clause})",
    "another policy lets everybody in": "DROP POLICY more ON {table}",
}


@pytest.fixture(scope="module")
async def scratch(servers: Stack) -> AsyncIterator[World]:
    """A migrated database of these tests alone, in which things may be broken."""
    name = f"scratch_{secrets.token_hex(6)}"
    url = servers.settings.database_url
    async with connect_once(url) as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text(f"CREATE DATABASE {name}"))
        settings = structs.replace(
            servers.settings,
            **{field: _within(getattr(servers.settings, field), name) for field in _URLS},
        )
        await asyncio.to_thread(upgrade, settings.database_url)
        async with open_world(settings) as world:
            yield world
        await autocommit.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _within(url: str, database: str) -> str:
    if not url:
        return url
    there = driver_url(url).set(drivername="postgresql", database=database)
    return there.render_as_string(hide_password=False)


async def _do(world: World, statement: str) -> None:
    async with connect_once(world.settings.database_url) as connection:
        await connection.execute(text(statement))
        await connection.commit()


async def test_the_walk_is_green_on_a_fresh_database(scratch: World) -> None:
    """Else the others would prove nothing."""
    await walk.test_every_table_with_a_reseller_has_forced_row_level_security(scratch)


@pytest.mark.parametrize("way", _BREAK)
@pytest.mark.parametrize("table", _TENANT_TABLES)
async def test_the_walk_is_red_when_a_table_stands_open(
    scratch: World, table: str, way: str
) -> None:
    """Whichever table, and in whichever way."""
    [clause] = await scratch.rows(
        "SELECT qual FROM pg_policies WHERE tablename = :table AND policyname = 'tenant'",
        table=table,
    )
    await _do(scratch, _BREAK[way].format(table=table))
    try:
        with pytest.raises(AssertionError):
            await walk.test_every_table_with_a_reseller_has_forced_row_level_security(scratch)
    finally:
        await _do(scratch, _MEND[way].format(table=table, clause=clause["qual"]))


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE leaky (reseller_id bigint)",
        "CREATE TABLE leaky (note text)",
        "CREATE VIEW leaky AS SELECT * FROM shows",
        "CREATE MATERIALIZED VIEW leaky AS SELECT * FROM shows",
    ],
)
async def test_the_walk_is_red_when_a_table_comes_without_policies(
    scratch: World, made: str
) -> None:
    """Views look past policies as their owner does."""
    await _do(scratch, made)
    kind = made.removeprefix("CREATE ").partition(" leaky")[0]
    try:
        with pytest.raises(AssertionError):
            await walk.test_every_table_with_a_reseller_has_forced_row_level_security(scratch)
    finally:
        await _do(scratch, f"DROP {kind} leaky")
