"""The auditor reads a platform that moves, one that lost writes, and all shows at once."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import text

from engine.platform.database import connect_once
from engine.sales.wanted import Wanted
from loadtests.auditor import UnknownShowError, audit
from ops.stack import Stack
from tests.engine.auditor_ground import GRACE_S, PAUSE_S, Ground, open_ground


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show to tamper with."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def test_a_store_that_lost_its_last_writes_is_clean_after_its_recovery(
    ground: Ground,
) -> None:
    """Recorded sales that its stream has no more are in the ledger; a hole in it is a finding."""
    entries = await ground.raw.xrange(ground.key("sales"))
    await ground.raw.delete(ground.key("sales"))
    for entry, fields in entries[:-1]:
        await ground.raw.xadd(ground.key("sales"), fields, id=entry)
    await ground.working.recoverer.recover(ground.show.id, "test")
    await ground.sell("after", "ann", Wanted(seats=(ground.label(9),)))
    await ground.record()
    assert (await ground.audited()).findings == []
    await ground.raw.delete(ground.key("sales"))
    for entry, fields in (*entries[:1], *entries[2:]):
        await ground.raw.xadd(ground.key("sales"), fields, id=entry)
    found = {finding.check for finding in (await ground.audited()).findings}
    assert {"fact-missing", "order-without-fact"} <= found


async def test_a_seat_with_two_tickets_is_found(tmp_path: Path) -> None:
    """Without the index that forbids it, a second active ticket for a seat is found."""
    with Stack(tmp_path, with_api=False, with_worker=False, environment={}) as throw_away:
        async with open_ground(throw_away.settings) as ground:
            async with connect_once(ground.settings.database_url) as connection:
                await connection.execute(text("DROP INDEX tickets_one_owner_per_seat"))
                await connection.commit()
            await ground.sql(
                "INSERT INTO tickets SELECT gen_random_uuid(), :order, reseller_id, show_id, 0,"
                " seat_index, NULL, label, 'active' FROM tickets"
                " WHERE show_id = :show AND seat_index = :seat",
                order=ground.orders[0].hex(),
                seat=ground.seat(1),
            )
            result = await ground.audited()
    found = [finding for finding in result.findings if finding.check == "seat-sold-twice"]
    assert [finding.subject for finding in found] == [f"seat {ground.seat(1)}"]


async def test_a_sale_on_its_way_counts_only_if_it_stays_there(ground: Ground) -> None:
    """A sale that the recorder comes to during the grace is no finding; one it never does is."""
    await ground.sell("late", "zoe", Wanted(seats=(ground.label(9),)))

    async def record_soon() -> None:
        await asyncio.sleep(0.3)
        await ground.record()

    result, _ = await asyncio.gather(ground.audited(), record_soon())
    assert result.findings == []

    await ground.sell("later", "zoe", Wanted(seats=(ground.label(10),)))
    began = monotonic()
    result = await ground.audited()
    assert {finding.check for finding in result.findings} == {"sale-not-recorded-yet"}
    assert result.rows[0].on_the_way == 1
    assert monotonic() - began >= GRACE_S


async def test_an_audit_during_the_rush_is_clean(ground: Ground) -> None:
    """It reads a moving system and makes no false alarm."""
    level = ground.show.manifest.levels[0].slug
    over = asyncio.Event()

    async def trade(n: int) -> None:
        for turn in range(6):
            key = f"rush-{n}-{turn}"
            if turn % 3 == 0:
                held = await ground.hold(key, f"buyer-{n}", Wanted(best=((level, 1),)))
                await ground.release(held.hold)
            else:
                await ground.sell(key, f"buyer-{n}", Wanted(best=((level, 1),)))
            await asyncio.sleep(0.02)

    async def record() -> None:
        while not over.is_set():
            await ground.record()
            await asyncio.sleep(0.01)

    recording = asyncio.create_task(record())
    trading = asyncio.gather(*(trade(n) for n in range(10)))
    results = [await ground.audited() for _ in range(3)]
    await trading
    over.set()
    await recording
    results.append(await ground.audited())
    assert [result.findings for result in results] == [[], [], [], []]
    assert results[-1].rows[0].sold == 6 + 40


async def test_all_shows_are_audited_and_an_unknown_one_is_refused(ground: Ground) -> None:
    """Without a show, every show is; one that does not exist is said to be unknown."""
    async with open_ground(ground.settings) as other:
        result = await audit(ground.settings, grace_s=GRACE_S, pause_s=PAUSE_S)
        assert {ground.show.id, other.show.id} <= {row.show for row in result.rows}
        assert result.shows == len(result.rows)
    with pytest.raises(UnknownShowError):
        await audit(ground.settings, show=1)
