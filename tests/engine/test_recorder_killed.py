"""A recorder that is killed before, within and after its commit: each sale still counts once.

The victim is a real process, killed by SIGKILL; locks that the test holds in PostgreSQL stop it at
the wanted place.
"""

import asyncio
import secrets
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy import text

from engine.sales.recorder import Turn
from ops.places import ROOT
from ops.stack import Stack
from tests.engine.ledger_world import TestedShow, World, open_world

_PATIENCE_S = 20


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A show with three sales in its stream, of which the last lost its seat to the first."""
    show = await world.new_show()
    for seats in ([1, 2], [3], [2]):
        await show.sell(seats)
    return show


@asynccontextmanager
async def victim(servers: Stack, show: TestedShow, *words: str) -> AsyncGenerator[Process]:
    """Start a recorder; kill it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engine.ledger_recorder_process"),
        *(str(show.id), str(show.reseller), *words),
        cwd=ROOT,
        env=servers.environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), _PATIENCE_S)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(_PATIENCE_S):
        while not await is_so():  # noqa: ASYNC110 - another process and a server tell no event
            await asyncio.sleep(0.02)


async def until_it_waits_for_a_lock(world: World) -> None:
    """Wait until a backend of the recorder's role is blocked."""

    async def blocked() -> bool:
        return bool(
            await world.rows(
                "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE NOT granted AND application_name = 'onsale_recorder'"
            )
        )

    await until(blocked)


async def until_its_backends_are_gone(world: World) -> None:
    """Wait until PostgreSQL has noticed the death and rolled back."""

    async def gone() -> bool:
        return not await world.rows(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'onsale_recorder' AND state <> 'idle'"
        )

    await until(gone)


async def recorded_once(show: TestedShow) -> None:
    """Check that each of the three sales is in the ledger once, and that money balances."""
    assert sorted((await show.orders()).values()) == ["confirmed", "confirmed", "conflict"]
    assert sorted(await show.seats()) == [1, 2, 3]
    balance = await show.balance()
    assert balance["reseller_payable"] == -30_000
    assert sum(balance.values()) == 0
    assert await told(show) == {"order.confirmed": 2, "seats.sold": 2, "order.failed": 1}


async def told(show: TestedShow) -> dict[str, int]:
    """Return how many facts of each type were told of different orders."""
    rows = await show.world.rows(
        "SELECT type, count(*) AS facts, count(DISTINCT object) AS orders FROM facts"
        " WHERE show_id = :show GROUP BY type",
        show=show.id,
    )
    assert all(row["facts"] == row["orders"] for row in rows)
    return {row["type"]: row["facts"] for row in rows}


async def test_killed_before_it_wrote_anything(servers: Stack, show: TestedShow) -> None:
    """A recovery has the show's row locked; the recorder dies waiting for it."""
    async with show.world.owner.begin() as recovery:
        statement = text("SELECT epoch FROM shows WHERE id = :show FOR UPDATE")
        await recovery.execute(statement, {"show": show.id})
        async with victim(servers, show):
            await until_it_waits_for_a_lock(show.world)
    await until_its_backends_are_gone(show.world)
    assert await show.orders() == {}
    assert await told(show) == {}
    assert (await show.recorder().record(show.id)).count == 3
    await recorded_once(show)


async def test_killed_within_its_transaction(servers: Stack, show: TestedShow) -> None:
    """Its orders are inserted, not committed, when it dies waiting to claim a seat."""
    recorder = show.recorder()
    rival = await show.world.new_show(reseller=show.reseller)
    order = await rival.sell([1])
    await rival.recorder().record(rival.id)
    async with show.world.owner.connect() as other:
        # Somebody is about to give seat 3 to another order, and never does.
        await other.execute(
            text(
                "INSERT INTO tickets (id, order_id, reseller_id, show_id, line_no, seat_index,"
                " label, status) VALUES (CAST(:id AS UUID), CAST(:order AS UUID), :reseller,"
                " :show, 0, 3, 'A-3', 'active')"
            ),
            {
                "id": secrets.token_hex(16),
                "order": order.hex(),
                "reseller": show.reseller,
                "show": show.id,
            },
        )
        async with victim(servers, show):
            await until_it_waits_for_a_lock(show.world)
            assert (await recorder.record(show.id)).turn is Turn.BUSY
        await other.rollback()
    await until_its_backends_are_gone(show.world)
    assert await show.orders() == {}
    assert await told(show) == {}
    assert (await recorder.record(show.id)).count == 3
    await recorded_once(show)


async def test_killed_after_its_commit_before_it_told_anyone(
    servers: Stack, show: TestedShow
) -> None:
    """The next recorder adds nothing, and tells who was refused with the next position."""

    async def committed() -> bool:
        return len(await show.orders()) == 3

    async with victim(servers, show, "hang"):
        await until(committed)
    told: list[tuple[int, int, list[str]]] = []

    async def publish(_channel: str, message: bytes) -> None:
        told.append(msgspec.msgpack.decode(message, type=tuple[int, int, list[str]]))

    recorder = show.recorder(publish=publish)
    assert (await recorder.record(show.id)).count == 0
    await recorded_once(show)
    refused = [hold.hex() for hold, state in (await show.orders()).items() if state == "conflict"]
    await show.sell([9])
    await recorder.record(show.id)
    assert told == [(1, 3, refused)]
