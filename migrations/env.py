"""What Alembic runs: one connection, one transaction, as the role that owns everything."""

import asyncio
import os
from typing import Final

from alembic import context
from sqlalchemy import Connection, text

from engine.platform.database import connect_once
from engine.platform.settings import OWNER_ROLE, PREFIX
from engine.platform.tables import metadata
from migrations.extensions import ensure_extensions
from migrations.roles import ensure_roles

# Two processes that start together must not migrate one database together.
_LOCK: Final = 0x6F6E73616C65  # "onsale"


def _database_url() -> str:
    given = context.config.attributes.get("database_url")
    return str(given) if given else os.environ[f"{PREFIX}DATABASE_URL"]


def _migrate(connection: Connection) -> None:
    with connection.begin():
        connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        ensure_roles(connection)
        ensure_extensions(connection)
        connection.execute(text(f"SET LOCAL ROLE {OWNER_ROLE}"))
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()


async def _run() -> None:
    async with connect_once(_database_url(), command_timeout_s=120) as connection:
        await connection.run_sync(_migrate)


if context.is_offline_mode():
    msg = "the roles and the lock need a live database: run without --sql"
    raise RuntimeError(msg)
asyncio.run(_run())
