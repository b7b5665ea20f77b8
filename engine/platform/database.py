"""Connections to PostgreSQL: one engine per role, a bound on every wait, one tenant at a time."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any, Final

from sqlalchemy import URL, NullPool, event, make_url, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from engine.platform.acting import ACTING, ACTOR_SETTING, ADDRESS_SETTING, UNKNOWN
from engine.platform.errors import is_outage
from engine.platform.retrying import Breaker
from engine.platform.settings import Settings

RESELLER_SETTING: Final = "onsale.reseller_id"
"""The session variable that row-level security compares `reseller_id` with."""

KEY_HASH_SETTING: Final = "onsale.key_hash"
"""The session variable that lets one API key's row be seen before its reseller is known."""

OAUTH_CLIENT_SETTING: Final = "onsale.oauth_client"
"""The session variable that lets one OAuth client's row be seen before its reseller is known."""

SECRET_DIGEST_SETTING: Final = "onsale.secret_digest"  # noqa: S105 - the name of one
"""The session variable that lets the row of one mail address, session, invitation or mailed token
be seen before its reseller is known."""

VISITED_SHOW_SETTING: Final = "onsale.visited_show"
"""The session variable that lets one show's queue be seen by who waits in it, and has no key."""

_CONNECT_TIMEOUT_S: Final = 5
_COMMAND_TIMEOUT_S: Final = 10
_POOL_TIMEOUT_S: Final = 5
_PUBLIC_TIMEOUT_MS: Final = 2000
_POOL_RECYCLE_S: Final = 1800
# A process that is stopped inside a transaction must not keep a show's row locked for ever.
_IDLE_IN_TRANSACTION: Final = "15s"

_SET: Final = text(
    "SELECT set_config(:name, :value, true),"
    f" set_config('{ACTOR_SETTING}', :actor, true), set_config('{ADDRESS_SETTING}', :address, true)"
)
_BOUND: Final = text("SELECT set_config('statement_timeout', :timeout_ms, true)")
_PROBE: Final = text("SELECT 1")


Transaction = AsyncConnection
"""What `tenant_transaction` gives, for those who only hand it on."""


def driver_url(database_url: str) -> URL:
    """Return the SQLAlchemy URL of a `postgresql://` or `postgres://` one.

    A unix socket is named as libpq does: `postgresql://user@/name?host=/folder`.
    """
    return make_url(database_url).set(drivername="postgresql+asyncpg")


def _connect_args(
    role: str | None, command_timeout_s: float, more: Mapping[str, str] | None = None
) -> dict[str, Any]:
    server_settings = {
        "application_name": role or "onsale",
        "timezone": "UTC",
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION,
        # Statements here are short and prepared: compiling them costs more than it saves.
        "jit": "off",
    }
    server_settings |= more or {}
    if role is not None:
        server_settings["role"] = role
    # For transactions that are no reseller's; those say by themselves who acts.
    actor = ACTING.get()
    if actor != UNKNOWN:
        server_settings |= actor.settings()
    return {
        "timeout": _CONNECT_TIMEOUT_S,
        "command_timeout": command_timeout_s,
        "server_settings": server_settings,
    }


def create_engine(
    settings: Settings,
    role: str,
    *,
    connections_max: int = 8,
    server_settings: Mapping[str, str] | None = None,
) -> AsyncEngine:
    """Return an engine whose connections act as one of the four roles in `settings`.

    They act for whoever acts now, as `engine.platform.acting` says, unless a transaction tells
    otherwise. `server_settings` are PostgreSQL's, of each connection. It opens nothing yet. Who
    asks while all `connections_max` are in use waits 5 s, then gets SQLAlchemy's `TimeoutError`.
    Dispose of it when done.
    """
    database_url, role = settings.database_login(role)
    engine = create_async_engine(
        driver_url(database_url),
        connect_args=_connect_args(role, _COMMAND_TIMEOUT_S, server_settings),
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_recycle=_POOL_RECYCLE_S,
        # Errors name the statement, and get into logs: never what it was told.
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


class GuardedEngine(AsyncEngine):
    """An engine whose `local_transaction`s are refused at once while PostgreSQL is away."""

    __slots__ = ("breaker",)

    def __init__(self, engine: AsyncEngine) -> None:
        """Put a breaker around an engine's pool. Call `stop` before it is disposed of."""
        super().__init__(engine.sync_engine)
        self.breaker = Breaker("PostgreSQL", self._ask, is_away=is_outage)

    async def stop(self) -> None:
        """Stop probing, and dispose of the pool."""
        await self.breaker.stop()
        await self.dispose()

    async def _ask(self) -> None:
        async with self.connect() as connection:
            await connection.execute(_PROBE)


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
        hide_parameters=True,
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
    async with local_transaction(engine, RESELLER_SETTING, str(reseller)) as connection:
        yield connection


@asynccontextmanager
async def local_transaction(
    engine: AsyncEngine, setting: str, value: str
) -> AsyncGenerator[AsyncConnection]:
    """Open a transaction with a session variable of its own, in which triggers see who acts.

    Raises:
        BreakerOpenError: the engine is guarded, and PostgreSQL has not answered lately.
    """
    async with AsyncExitStack() as stack:
        # That the variable is set tells that PostgreSQL answers: what follows is the caller's.
        with _watch(engine):
            connection = await stack.enter_async_context(engine.begin())
            acts = ACTING.get().settings()
            await connection.execute(
                _SET,
                {
                    "name": setting,
                    "value": value,
                    "actor": acts[ACTOR_SETTING],
                    "address": acts[ADDRESS_SETTING],
                },
            )
        yield connection


def _watch(engine: AsyncEngine) -> AbstractContextManager[None]:
    return engine.breaker.watch() if isinstance(engine, GuardedEngine) else nullcontext()


@asynccontextmanager
async def public_transaction(
    engine: AsyncEngine, *, timeout_ms: int = _PUBLIC_TIMEOUT_MS
) -> AsyncGenerator[AsyncConnection]:
    """Open a transaction of nobody's: it sees what is public, and no reseller's rows.

    A statement that takes longer than `timeout_ms` is ended by the server.

    Raises:
        BreakerOpenError: the engine is guarded, and PostgreSQL has not answered lately.
    """
    async with AsyncExitStack() as stack:
        with _watch(engine):
            connection = await stack.enter_async_context(engine.begin())
            await connection.execute(_BOUND, {"timeout_ms": str(timeout_ms)})
        yield connection


@asynccontextmanager
async def single_statements(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection]:
    """Open a connection whose statements are transactions of their own.

    Each is one round trip: to begin a transaction and to end it would be two more. Nobody's rows
    are seen but what the engine's role sees by itself.

    Raises:
        BreakerOpenError: the engine is guarded, and PostgreSQL has not answered lately.
    """
    async with AsyncExitStack() as stack:
        with _watch(engine):
            connection = await stack.enter_async_context(engine.connect())
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection
