"""The measurement of the recorder, at a small size, and the control that it is compared with."""

from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, cast

import asyncpg
import pytest

from loadtests.bench.http_bench import QUICK, BenchError
from loadtests.bench.record import check_sold, measure
from loadtests.controls.copied import TABLES, CopyControl, open_copy_control
from loadtests.generator.choosing import PythonGenerator
from ops.stack import Stack
from ops.workbench import Workbench
from tests.engine.ledger_world import TestedShow, World, open_world

_INDEXES: Final = (
    "SELECT split_part(indexdef, ' INDEX ', 1) || substring(indexdef FROM ' USING .*')"
    " FROM pg_indexes WHERE schemaname = $1 AND tablename = $2"
)
_CONSTRAINTS: Final = (
    "SELECT replace(pg_get_constraintdef(oid), 'copied.', '') FROM pg_constraint"
    " WHERE conrelid = ($1 || '.' || $2)::text::regclass"
)
_TRIGGERS: Final = (
    "SELECT tgname || tgtype || tgfoid::regproc FROM pg_trigger"
    " WHERE NOT tgisinternal AND tgrelid = ($1 || '.' || $2)::text::regclass"
)


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A show that has recorded three orders of two seats."""
    show = await world.new_show()
    for seat in (0, 9, 20):  # the second in two price levels
        await show.sell([seat, seat + 1])
    await show.recorder().record(show.id)
    return show


@pytest.fixture
async def control(servers: Stack) -> AsyncIterator[CopyControl]:
    """The control."""
    async with open_copy_control(servers.settings.database_url) as opened:
        yield opened


class _Superuser(Protocol):
    """What is used of asyncpg's connection, which has no annotations of its own."""

    async def fetch(self, query: str, *given: object) -> list[Any]: ...
    async def execute(self, query: str) -> str: ...
    async def close(self) -> None: ...


@pytest.fixture
async def superuser(servers: Stack) -> AsyncIterator[_Superuser]:
    """Sees both the tables and their clones."""
    url = servers.settings.database_url
    connection = cast("_Superuser", await asyncpg.connect(url, timeout=10))
    yield connection
    await connection.close()


async def _all(superuser: _Superuser, query: str, schema: str) -> set[tuple[str, str]]:
    return {
        (table, row[0]) for table in TABLES for row in await superuser.fetch(query, schema, table)
    }


def test_a_backlog_is_recorded_and_copied() -> None:
    """On a platform of its own: the worker is stopped, catches up, and the audit is clean."""
    told: list[str] = []
    bench = Workbench(rounds=1, generator=PythonGenerator(), size=QUICK, say=told.append)
    figure = measure(bench, orders=120)
    assert figure.control is not None
    assert figure.ratio is not None
    assert figure.ratio == pytest.approx(figure.value / figure.control, rel=0.01)
    assert figure.met is (figure.ratio >= 0.3)
    assert figure.rounds == [(figure.value, figure.control)]
    assert figure.details["value"]["orders"] == 120
    assert figure.details["control"]["orders"] == 121
    assert figure.details["value"]["cpu_us_an_order"].keys() == {
        *("valkey", "postgres", "api", "worker"),
    }
    assert figure.settings["audit"] == "clean"
    assert figure.settings["fsync"] == "on"
    assert figure.settings["synchronous_commit"] == "on"
    assert any("recorded" in line for line in told)


async def test_the_control_copies_every_row_of_a_show_and_of_no_other(
    world: World, show: TestedShow, control: CopyControl, superuser: _Superuser
) -> None:
    """Column by column what the recorder wrote."""
    other = await world.new_show()
    await other.sell([1])
    await other.recorder().record(other.id)
    await control.prepare(show.id)
    assert await control.copy() > 0
    for table, count in zip(TABLES, (3, 4, 6, 3, 12), strict=True):
        copied = f"SELECT * FROM copied.{table}"  # noqa: S608 - ours
        assert len(await superuser.fetch(copied)) == count
        strange = f"{copied} EXCEPT SELECT * FROM public.{table}"  # noqa: S608 - ours
        assert await superuser.fetch(strange) == []


async def test_the_clones_have_what_the_tables_have(
    show: TestedShow, control: CopyControl, superuser: _Superuser
) -> None:
    """Every index, constraint and trigger, and the clones refer to each other."""
    await control.prepare(show.id)
    for query, least in ((_INDEXES, 9), (_CONSTRAINTS, 15), (_TRIGGERS, 3)):
        there = await _all(superuser, query, "copied")
        assert there == await _all(superuser, query, "public")
        assert len(there) >= least
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="not present in table"):
        await superuser.execute(
            "INSERT INTO copied.order_lines SELECT * FROM public.order_lines LIMIT 1"
        )
    await control.copy()
    with pytest.raises(asyncpg.CheckViolationError, match="not to zero"):
        await superuser.execute(
            "INSERT INTO copied.postings SELECT entry_id, 9, reseller_id, account, currency, 1"
            " FROM copied.postings LIMIT 1"
        )


async def test_a_show_that_has_recorded_less_than_it_sold_is_no_measurement(
    world: World, show: TestedShow
) -> None:
    """However fast it was."""
    await check_sold(world.settings, show.id, 3)
    with pytest.raises(BenchError, match="3 orders with 6 tickets were recorded of 4 sold"):
        await check_sold(world.settings, show.id, 4)
