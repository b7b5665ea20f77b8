"""Bring a database to the newest revision, and say where it stands."""

from pathlib import Path
from threading import Lock
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from engine.platform.database import connect_once

_FOLDER: Final = Path(__file__).parent

# Alembic keeps what it is at in module-level names: one run at a time in a process.
_running: Final = Lock()


def _config(database_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Apply what is missing. Safe to repeat and to call from several processes at once.

    Takes `postgresql://...` of a log-in that may create roles. Starts an event loop of its own:
    from a coroutine, call it by `asyncio.to_thread`.
    """
    with _running:
        command.upgrade(_config(database_url), revision)


def downgrade(database_url: str, revision: str) -> None:
    """Take back revisions down to the one named, `base` for all. Drops their data."""
    with _running:
        command.downgrade(_config(database_url), revision)


def newest_revision() -> str:
    """Return the newest revision that this version of the program has."""
    head = ScriptDirectory(str(_FOLDER)).get_current_head()
    if head is None:
        msg = f"no revisions in {_FOLDER}"
        raise RuntimeError(msg)
    return head


async def applied_revision(database_url: str) -> str | None:
    """Return the revision of a database; None if it was never migrated."""
    async with connect_once(database_url) as connection:
        exists = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
        if not exists:
            return None
        return await connection.scalar(text("SELECT version_num FROM alembic_version"))
