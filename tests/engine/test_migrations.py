"""The migrations: what they make, by whom they can be run, and twice at once."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from engine.platform.database import connect_once, driver_url
from engine.platform.tables import metadata
from migrations.apply import applied_revision, downgrade, newest_revision, upgrade
from ops.places import ROOT
from ops.stack import Stack


@pytest.fixture
async def fresh(servers: Stack) -> AsyncIterator[str]:
    """An empty database beside the others on the same server; its URL."""
    name = f"fresh_{secrets.token_hex(6)}"
    url = servers.settings.database_url
    async with connect_once(url) as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text(f"CREATE DATABASE {name}"))
        yield _same_server(url, name)
        await autocommit.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _same_server(url: str, database: str) -> str:
    there = driver_url(url).set(drivername="postgresql", database=database)
    return there.render_as_string(hide_password=False)


def _drift(connection: Connection) -> list[Any]:
    options = {"compare_server_default": True, "compare_type": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


async def test_the_migrations_make_the_tables_that_the_code_knows(fresh: str) -> None:
    """Every table, column, type, default, index and key."""
    assert await applied_revision(fresh) is None
    await asyncio.to_thread(upgrade, fresh)
    assert await applied_revision(fresh) == newest_revision()
    async with connect_once(fresh) as connection:
        assert await connection.run_sync(_drift) == []


async def test_migrating_again_changes_nothing(fresh: str) -> None:
    """As every start does."""
    for _ in range(2):
        await asyncio.to_thread(upgrade, fresh)
    async with connect_once(fresh) as connection:
        versions = await connection.scalars(text("SELECT version FROM fee_schedules"))
        assert versions.all() == [1]


async def test_processes_and_threads_may_migrate_one_database_at_once(fresh: str) -> None:
    """One does the work, the others wait for it and find it done."""
    program = "import sys; from migrations.apply import upgrade; upgrade(sys.argv[1])"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, fresh, cwd=ROOT)
        for _ in range(2)
    ]
    await asyncio.gather(*(asyncio.to_thread(upgrade, fresh) for _ in range(2)))
    async with asyncio.timeout(60):
        assert [await process.wait() for process in processes] == [0, 0]
    assert await applied_revision(fresh) == newest_revision()


async def test_all_of_it_can_be_taken_back(fresh: str) -> None:
    """And applied again."""
    await asyncio.to_thread(upgrade, fresh)
    await asyncio.to_thread(downgrade, fresh, "base")
    async with connect_once(fresh) as connection:
        left = await connection.scalars(
            text("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        )
        assert set(left) == {"alembic_version", "alembic_version_pkc"}
    await asyncio.to_thread(upgrade, fresh)


async def test_a_log_in_that_is_no_superuser_can_migrate(servers: Stack, fresh: str) -> None:
    """It owns the database and administers the four roles, as where the server is hosted."""
    operator = f"operator_{secrets.token_hex(4)}"
    database = driver_url(fresh).database
    async with connect_once(servers.settings.database_url) as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text(f"CREATE ROLE {operator} LOGIN CREATEROLE"))
        for role in ("owner", "app", "recorder", "auditor"):
            await autocommit.execute(text(f"GRANT onsale_{role} TO {operator} WITH ADMIN OPTION"))
        await autocommit.execute(text(f"ALTER DATABASE {database} OWNER TO {operator}"))
        theirs = driver_url(fresh).set(drivername="postgresql", username=operator)
        await asyncio.to_thread(upgrade, theirs.render_as_string(hide_password=False))
        assert await applied_revision(fresh) == newest_revision()
        await autocommit.execute(text(f"ALTER DATABASE {database} OWNER TO CURRENT_USER"))
        async with connect_once(fresh) as inside:
            await inside.execute(text(f"DROP OWNED BY {operator} CASCADE"))
            await inside.commit()
        await autocommit.execute(text(f"DROP ROLE {operator}"))
