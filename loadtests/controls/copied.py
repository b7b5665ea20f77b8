"""COPY of what the recorder wrote, into empty tables with the same indexes and constraints.

The fastest way there is to put rows into PostgreSQL: the server gets them in its own binary form,
asks no questions about places and orders, and commits once. The clones have every index, check,
foreign key and trigger of the ledger's tables. They have no policies, with which COPY refuses to
work.
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import BytesIO
from typing import Any, Final, Protocol, cast

import asyncpg

TABLES: Final = ("orders", "order_lines", "tickets", "journal_entries", "postings")
"""Those that a sale adds rows to, each after those that it refers to."""

_SCHEMA: Final = "copied"
_TIMEOUT_S: Final = 60
_OF_SHOW: Final = {
    table: f"SELECT * FROM {table} WHERE show_id = $1"  # noqa: S608 -- a constant
    for table in TABLES
} | {
    "postings": "SELECT * FROM postings"
    " WHERE entry_id IN (SELECT id FROM journal_entries WHERE show_id = $1)"
}
_FOREIGN_KEYS: Final = (
    "SELECT conname, confrelid::regclass::text AS target, pg_get_constraintdef(oid) AS definition"
    " FROM pg_constraint WHERE contype = 'f' AND conrelid = $1::text::regclass"
)
_TRIGGERS: Final = (
    "SELECT pg_get_triggerdef(oid) AS definition"
    " FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = $1::text::regclass"
)


class _Connection(Protocol):
    """What is used of asyncpg's, which has no annotations of its own."""

    def transaction(self) -> AbstractAsyncContextManager[object]: ...
    async def execute(self, query: str) -> str: ...
    async def fetch(self, query: str, *given: object) -> list[Mapping[str, Any]]: ...
    async def copy_from_query(
        self,
        query: str,
        *given: object,
        output: BytesIO,
        format: str,  # noqa: A002 -- the driver's name
    ) -> str: ...
    async def copy_to_table(
        self,
        table: str,
        *,
        schema_name: str,
        source: BytesIO,
        format: str,  # noqa: A002 -- the driver's name
    ) -> str: ...
    async def close(self) -> None: ...


class CopyControl:
    """A connection as the database's superuser. Get it from `open_copy_control`."""

    def __init__(self, connection: _Connection) -> None:
        """Take the connection."""
        self._connection = connection
        self._rows: dict[str, BytesIO] = {}

    async def prepare(self, show: int) -> None:
        """Read all rows of a show, and make empty clones of their tables."""
        self._rows = {table: await self._export(table, show) for table in TABLES}
        await self._connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
        await self._connection.execute(f"CREATE SCHEMA {_SCHEMA}")
        for table in TABLES:
            await self._clone(table)

    async def copy(self) -> float:
        """Copy the rows into the clones in one transaction, and return the seconds it took."""
        began = time.perf_counter()
        async with self._connection.transaction():
            for table, rows in self._rows.items():
                await self._connection.copy_to_table(
                    table, schema_name=_SCHEMA, source=rows, format="binary"
                )
        return time.perf_counter() - began

    async def _export(self, table: str, show: int) -> BytesIO:
        rows = BytesIO()
        # COPY takes no parameters: asyncpg puts them in as literals.
        await self._connection.copy_from_query(_OF_SHOW[table], show, output=rows, format="binary")
        rows.seek(0)
        return rows

    async def _clone(self, table: str) -> None:
        clone = f"{_SCHEMA}.{table}"
        await self._connection.execute(f"CREATE TABLE {clone} (LIKE public.{table} INCLUDING ALL)")
        for key in await self._connection.fetch(_FOREIGN_KEYS, table):
            target = key["target"]
            definition = key["definition"]
            if target in TABLES:
                definition = definition.replace(
                    f"REFERENCES {target}(", f"REFERENCES {_SCHEMA}.{target}("
                )
            await self._connection.execute(
                f"ALTER TABLE {clone} ADD CONSTRAINT {key['conname']} {definition}"
            )
        for trigger in await self._connection.fetch(_TRIGGERS, table):
            definition = trigger["definition"].replace(f" ON public.{table} ", f" ON {clone} ")
            await self._connection.execute(definition)


@asynccontextmanager
async def open_copy_control(database_url: str) -> AsyncGenerator[CopyControl]:
    """Connect to a site's PostgreSQL as whom its settings name: the superuser."""
    connection = cast(
        "_Connection",
        await asyncpg.connect(database_url, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S),
    )
    try:
        yield CopyControl(connection)
    finally:
        await connection.close()
