"""`hold-sql`: as `hold`, beside the same hold in one PostgreSQL transaction.

The control has the site's PostgreSQL, and a pool of 8.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final, Protocol, cast

import asyncpg

from loadtests.bench.course import OpenShow, open_course
from loadtests.bench.hold import UNITS, compare_holds
from loadtests.bench.http_bench import HttpBench
from loadtests.bench.measurement import Figure
from loadtests.controls.sql import CREATE_TABLES, DATABASE_URL, SCHEMA

_APP: Final = "loadtests.controls.sql:app"
_LEAST: Final = 6.5
_TIMEOUT_S: Final = 60


def measure(bench: HttpBench) -> Figure:
    """Return holds a second, beside those of the transactions."""
    with open_course(bench) as course:
        url = course.site.settings.database_url
        asyncio.run(create_tables(url))
        with bench.serve(_APP, {DATABASE_URL: url}) as sql:
            rounds = compare_holds(
                bench.rounds, course, sql, lambda show: asyncio.run(fill_seats(url, show))
            )
        course.audit()
        return course.figure("hold-sql", rounds, units=UNITS, least=_LEAST)


class _Connection(Protocol):
    """What is used of asyncpg's, which has no annotations of its own."""

    async def execute(self, query: str) -> str: ...
    async def copy_records_to_table(
        self,
        table_name: str,
        *,
        records: Iterable[tuple[str, str]],
        columns: tuple[str, str],
        schema_name: str,
    ) -> str: ...
    async def close(self) -> None: ...


@asynccontextmanager
async def _connect(url: str) -> AsyncGenerator[_Connection]:
    connection = cast("_Connection", await asyncpg.connect(url, command_timeout=_TIMEOUT_S))
    try:
        yield connection
    finally:
        await connection.close()


async def create_tables(url: str) -> None:
    """Create the control's tables, in a schema of their own."""
    async with _connect(url) as connection:
        await connection.execute(CREATE_TABLES)


async def fill_seats(url: str, show: OpenShow) -> None:
    """Fill in a show's seats, and have them as tidy as autovacuum would have left them."""
    async with _connect(url) as connection:
        await connection.copy_records_to_table(
            "seats",
            schema_name=SCHEMA,
            columns=("show", "label"),
            records=[(show.id, label) for group in show.groups for label in group],
        )
        await connection.execute(f"VACUUM ANALYZE {SCHEMA}.seats")
