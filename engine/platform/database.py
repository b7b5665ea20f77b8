"""Connections to PostgreSQL: one engine per role, a bound on every wait, one tenant at a time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import URL, NullPool, event, make_url, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from engine.platform.settings import Settings

RESELLER_SETTING: Final = "onsale.reseller_id"
"""The session variable that row-level security compares `reseller_id` with."""

KEY_HASH_SETTING: Final = "onsale.key_hash"
"""The session variable that lets one API key's row be seen before its reseller is known."""

_CONNECT_TIMEOUT_S: Final = 5
_COMMAND_TIMEOUT_S: Final = 10
_POOL_TIMEOUT_S: Final = 5
_POOL_RECYCLE_S: Final = 1800
# A process that is stopped inside a transaction must not keep a show's row locked for ever.
_IDLE_IN_TRANSACTION: Final = "15s"

_SET_RESELLER: Final = text(f"SELECT set_config('{RESELLER_SETTING}', :reseller, true)")


Transaction = AsyncConnection
"""What `tenant_transaction` gives, for those who only hand it on."""


def driver_url(database_url: str) -> URL:
    """Return the SQLAlchemy URL of a `postgresql://` or `postgres://` one.

    A unix socket is named as libpq does: `postgresql://user@/name?host=/folder`.
    """
    return make_url(database_url).set(drivername="postgresql+asyncpg")


def _connect_args(role: str | None, command_timeout_s: float) -> dict[str, Any]:
    server_settings = {
        "application_name": role or "onsale",
        "timezone": "UTC",
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION,
        # Statements here are short and prepared: compiling them costs more than it saves.
        "jit": "off",
    }
    if role is not None:
        server_settings["role"] = role
    return {
        "timeout": _CONNECT_TIMEOUT_S,
        "command_timeout": command_timeout_s,
        "server_settings": server_settings,
    }


def create_engine(settings: Settings, role: str, *, connections_max: int = 8) -> AsyncEngine:
    """Return an engine whose connections act as one of the four roles in `settings`.

    It opens nothing yet. Who asks while all `connections_max` are in use waits 5 s, then gets
    SQLAlchemy's `TimeoutError`. Dispose of it when done.
    """
    database_url, role = settings.database_login(role)
    engine = create_async_engine(
        driver_url(database_url),
        connect_args=_connect_args(role, _COMMAND_TIMEOUT_S),
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_recycle=_POOL_RECYCLE_S,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(adapted: Any, _record: object, _proxy: object) -> None:  # noqa: ANN401 - SQLAlchemy's
    """Have the pool replace a connection that the server has closed, as by a restart.

    The driver knows without asking: a ping on each checkout would be three round trips.
    """
    if adapted.driver_connection.is_closed():
        raise DisconnectionError


@asynccontextmanager
async def connect_once(
    database_url: str, *, role: str | None = None, command_timeout_s: float = _COMMAND_TIMEOUT_S
) -> AsyncGenerator[AsyncConnection]:
    """Open one connection outside any pool, as the log-in itself unless a role is given."""
    engine = create_async_engine(
        driver_url(database_url),
        connect_args=_connect_args(role, command_timeout_s),
        poolclass=NullPool,
    )
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


@asynccontextmanager
async def tenant_transaction(engine: AsyncEngine, reseller: int) -> AsyncGenerator[AsyncConnection]:
    """Open a transaction that sees and changes one reseller's rows only.

    Commits at the end of the block, rolls back if it raises. The setting ends with the
    transaction, so a connection that goes back to the pool carries nobody's identity.
    """
    async with engine.begin() as connection:
        await connection.execute(_SET_RESELLER, {"reseller": str(reseller)})
        yield connection
