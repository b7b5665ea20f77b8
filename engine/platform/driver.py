"""Queries straight to PostgreSQL's driver, for those that are asked thousands of times a second.

What SQLAlchemy does around a statement takes longer than a short one takes to run. The connection
is one of its pools all the same, and errors are those that it would raise.
"""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, Protocol, cast

import asyncpg
from msgspec import Struct
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

Row = Mapping[str, Any]

_NAMED: Final = re.compile(r"(?<![:\w]):([a-z]\w*)")


class Statement(Struct, frozen=True):
    """A query with numbered parameters, and what they are called."""

    sql: str
    names: tuple[str, ...]


class _Driver(Protocol):
    async def fetch(self, query: str, *arguments: object) -> list[Row]: ...
    async def execute(self, query: str) -> str: ...
    def is_closed(self) -> bool: ...


@lru_cache(maxsize=4096)
def prepare(sql: str) -> Statement:
    """Return a query whose parameters are written as `:name`. It has no other colons."""
    names = tuple(dict.fromkeys(_NAMED.findall(sql)))
    return Statement(_NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", sql), names)


async def fetch(
    connection: AsyncConnection, statement: Statement, values: Mapping[str, Any]
) -> list[Row]:
    """Return the rows of a query. The connection keeps it prepared.

    Raises:
        sqlalchemy.exc.DBAPIError, OSError, TimeoutError: PostgreSQL failed.
    """
    driver = _driver_of(connection)
    with _told_as_sqlalchemy_does(driver):
        return await driver.fetch(statement.sql, *[values[name] for name in statement.names])


async def run(connection: AsyncConnection, commands: str) -> None:
    """Run commands without parameters, in one round trip. Raises as `fetch`."""
    driver = _driver_of(connection)
    with _told_as_sqlalchemy_does(driver):
        await driver.execute(commands)


@contextmanager
def _told_as_sqlalchemy_does(driver: "_Driver") -> Generator[None]:
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Without the statement and its values, which get into no log.
        raise DBAPIError(None, None, error, connection_invalidated=driver.is_closed()) from error


def is_open(connection: AsyncConnection) -> bool:
    """Tell whether the server has closed a connection, as far as the driver knows."""
    return not connection.invalidated and not _driver_of(connection).is_closed()


def _driver_of(connection: AsyncConnection) -> _Driver:
    sync = connection.sync_connection
    if sync is None:
        msg = "the connection was not opened"
        raise RuntimeError(msg)
    return cast("_Driver", sync.connection.driver_connection)
