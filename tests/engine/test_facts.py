"""The log of facts: nothing is missed, nothing is told twice, nothing that was not committed."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import groupby

import pytest
from sqlalchemy import text

from engine.facts.log import (
    START,
    Cursor,
    CursorExpiredError,
    Fact,
    NewFact,
    Page,
    Wanted,
    add_facts,
    current_cursor,
    prune_facts,
    read_facts,
    read_page,
)
from engine.facts.types import FactType, HoldExpired, ShowOnSale
from engine.platform.database import tenant_transaction
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world

_WRITERS = 8
_ROUNDS = 25
_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ALL = Wanted()


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


def _expired(name: str, *, show: int | None = None) -> NewFact:
    return NewFact(FactType.HOLD_EXPIRED, name, HoldExpired(reason="deadline"), show, _NOW)


async def _add(world: World, reseller: int, *names: str) -> None:
    async with tenant_transaction(world.app, reseller) as connection:
        await add_facts(connection, reseller, [_expired(name) for name in names])


async def _page(
    world: World, reseller: int, after: Cursor | None, limit: int = 100, wanted: Wanted = _ALL
) -> Page:
    async with tenant_transaction(world.app, reseller) as connection:
        return await read_page(connection, reseller, after, limit, wanted)


async def _until(world: World, reseller: int, count: int) -> list[Fact]:
    """Read all that a reseller was told, once there are so many."""
    async with asyncio.timeout(30):
        while True:
            found = (await _page(world, reseller, None)).facts
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_facts_are_read_as_they_were_added(world: World) -> None:
    """In their order, with their data, and by pages."""
    reseller = await world.new_reseller()
    await _add(world, reseller, "hld_1", "hld_2", "hld_3")
    found = await _until(world, reseller, 3)
    assert [fact.object for fact in found] == ["hld_1", "hld_2", "hld_3"]
    assert found[0].data == {"reason": "deadline"}
    assert (found[0].type, found[0].occurred_at) == (FactType.HOLD_EXPIRED, _NOW)
    first = await _page(world, reseller, None, limit=2)
    assert (len(first.facts), first.has_more) == (2, True)
    rest = await _page(world, reseller, first.cursor, limit=2)
    assert ([fact.object for fact in rest.facts], rest.has_more) == (["hld_3"], False)
    nothing = await _page(world, reseller, rest.cursor)
    assert nothing == Page([], rest.cursor, has_more=False)


async def test_a_type_an_object_or_a_show_is_all_that_is_told_if_asked(world: World) -> None:
    """And the cursor passes over the rest."""
    reseller = await world.new_reseller()
    opened = NewFact(FactType.SHOW_ON_SALE, "shw_1", ShowOnSale(opens_at=_NOW), 7, _NOW)
    async with tenant_transaction(world.app, reseller) as connection:
        new = [_expired("hld_1"), opened, _expired("hld_2", show=7), _expired("hld_1")]
        await add_facts(connection, reseller, new)
    last = (await _until(world, reseller, 4))[-1].cursor
    for wanted, objects in (
        (Wanted(types=[FactType.SHOW_ON_SALE]), ["shw_1"]),
        (Wanted(object="hld_1"), ["hld_1", "hld_1"]),
        (Wanted(show=7), ["shw_1", "hld_2"]),
        (Wanted(types=[FactType.HOLD_EXPIRED], show=7), ["hld_2"]),
        (Wanted(types=[FactType.PAYOUT_PAID]), []),
    ):
        page = await _page(world, reseller, None, wanted=wanted)
        assert [fact.object for fact in page.facts] == objects
        assert (page.cursor, page.has_more) == (last, False)
        limited = await _page(world, reseller, None, limit=1, wanted=wanted)
        assert limited.has_more == (len(objects) > 1)


async def _write(world: World, reseller: int, writer: int) -> None:
    """Add facts in transactions that take a while, of which some are given up."""
    dice = random.Random(writer)  # noqa: S311 - no secret
    for n in range(_ROUNDS):
        async with world.recorder_engine.connect() as connection:
            pieces = dice.randint(1, 3)
            for piece in range(pieces):
                await add_facts(connection, reseller, [_expired(f"hld_{writer}_{n}_{piece}")])
                await asyncio.sleep(dice.random() * 0.01)
            if dice.random() < 0.2:
                await connection.rollback()
                continue
            await connection.commit()


async def _follow(world: World, reseller: int, over: asyncio.Event) -> list[Fact]:
    """Read on from cursor to cursor until all is over and nothing follows."""
    found: list[Fact] = []
    cursor: Cursor | None = None
    while True:
        was_over = over.is_set()
        page = await _page(world, reseller, cursor, limit=7)
        found += page.facts
        cursor = page.cursor
        if was_over and not page.facts and await _is_settled(world, reseller, cursor):
            return found
        await asyncio.sleep(0.001)


async def _is_settled(world: World, reseller: int, cursor: Cursor) -> bool:
    """Tell whether every committed fact is behind the cursor."""
    [row] = await world.rows(
        "SELECT count(*) AS n FROM facts WHERE reseller_id = :reseller"
        " AND (xid, id) > (CAST(CAST(:xid AS TEXT) AS XID8), :id)",
        reseller=reseller,
        xid=str(cursor.xid),
        id=cursor.id,
    )
    return row["n"] == 0


async def _follow_by_id(world: World, reseller: int, over: asyncio.Event) -> list[str]:
    """Read on as one would who goes by the id alone."""
    found: list[str] = []
    last = 0
    while True:
        was_over = over.is_set()
        rows = await world.rows(
            "SELECT id, object FROM facts WHERE reseller_id = :reseller AND id > :last ORDER BY id",
            reseller=reseller,
            last=last,
        )
        found += [row["object"] for row in rows]
        last = rows[-1]["id"] if rows else last
        if was_over and not rows:
            return found
        await asyncio.sleep(0.001)


async def test_who_follows_while_many_write_misses_nothing_and_gets_nothing_twice(
    world: World,
) -> None:
    """Transactions commit out of order, and some are given up; by the id alone some are missed."""
    reseller = await world.new_reseller()
    over = asyncio.Event()
    following = asyncio.create_task(_follow(world, reseller, over))
    naive = asyncio.create_task(_follow_by_id(world, reseller, over))
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for writer in range(_WRITERS):
            group.create_task(_write(world, reseller, writer))
    over.set()
    async with asyncio.timeout(60):
        found = await following
        missed_by_id = await naive
    committed = await world.rows(
        "SELECT object FROM facts WHERE reseller_id = :reseller", reseller=reseller
    )
    objects = [fact.object for fact in found]
    assert sorted(objects) == sorted(row["object"] for row in committed)
    assert len(set(objects)) == len(objects)
    assert [fact.cursor for fact in found] == sorted(fact.cursor for fact in found)
    by_writer = [[name for name in objects if name.split("_")[1] == str(n)] for n in range(8)]
    for mine in by_writer:
        # As they were committed, and each transaction's in one piece.
        numbers = [tuple(int(part) for part in name.split("_")[2:]) for name in mine]
        assert numbers == sorted(numbers)
    transactions = ["_".join(name.split("_")[:3]) for name in objects]
    assert len([one for one, _ in groupby(transactions)]) == len(set(transactions))
    # That the test can fail: this is what it is all for.
    assert set(missed_by_id) < set(objects)


async def test_what_was_not_committed_is_told_to_nobody(world: World) -> None:
    """While it is under way what was committed after it waits, too; given up, it never was."""
    reseller = await world.new_reseller()
    async with world.recorder_engine.connect() as slow:
        await add_facts(slow, reseller, [_expired("hld_slow")])
        await _add(world, reseller, "hld_quick")
        assert (await _page(world, reseller, None)).facts == []
        await slow.rollback()
    assert [fact.object for fact in await _until(world, reseller, 1)] == ["hld_quick"]


async def test_who_reads_for_all_gets_every_resellers_facts_from_now_on(world: World) -> None:
    """As the sender of webhooks does."""
    first, second = await world.new_reseller(), await world.new_reseller()
    await _add(world, first, "hld_before")
    await _until(world, first, 1)
    async with world.recorder_engine.begin() as connection:
        cursor = await current_cursor(connection)
    await _add(world, first, "hld_1")
    await _add(world, second, "hld_2")
    await _until(world, second, 1)
    async with world.recorder_engine.begin() as connection:
        found = await read_facts(connection, cursor, 1000)
        nothing = await read_facts(connection, cursor, 1000, [FactType.PAYOUT_PAID])
    mine = [(fact.reseller, fact.object) for fact in found if fact.reseller in {first, second}]
    assert mine == [(first, "hld_1"), (second, "hld_2")]
    assert nothing == []
    async with tenant_transaction(world.app, second) as connection:
        assert [fact.object for fact in await read_facts(connection, START, 10)] == ["hld_2"]


async def _age(world: World, reseller: int) -> None:
    """Have all that a reseller was told, and all that was told before it, be of long ago."""
    async with world.owner.begin() as connection:
        await connection.execute(
            text(
                "UPDATE facts SET recorded_at = '2020-01-01' WHERE (xid, id) <="
                " (SELECT xid, id FROM facts WHERE reseller_id = :reseller"
                " ORDER BY xid DESC, id DESC LIMIT 1)"
            ),
            {"reseller": reseller},
        )


async def _prune(world: World) -> int:
    pruned = 0
    while True:
        async with world.recorder_engine.begin() as connection:
            count = await prune_facts(connection, datetime(2021, 1, 1, tzinfo=UTC), most=3)
        pruned += count
        if count < 3:
            return pruned


async def test_a_cursor_behind_which_facts_were_forgotten_says_so(world: World) -> None:
    """And names where the log begins; whoever has read them all is not held up."""
    reseller, quiet = await world.new_reseller(), await world.new_reseller()
    await _add(world, quiet, "hld_q")
    await _add(world, reseller, "hld_1", "hld_2", "hld_3", "hld_4")
    old = await _until(world, reseller, 4)
    [read_all] = await _until(world, quiet, 1)
    await _age(world, reseller)
    await _add(world, reseller, "hld_5")
    await _until(world, reseller, 5)
    assert await _prune(world) >= 5
    assert [fact.object for fact in (await _page(world, reseller, None)).facts] == ["hld_5"]
    for cursor in (START, old[0].cursor, old[2].cursor):
        with pytest.raises(CursorExpiredError) as raised:
            await _page(world, reseller, cursor)
        assert raised.value.oldest == old[3].cursor
        page = await _page(world, reseller, raised.value.oldest)
        assert [fact.object for fact in page.facts] == ["hld_5"]
    assert [fact.object for fact in (await _page(world, reseller, old[3].cursor)).facts]
    assert await _page(world, quiet, read_all.cursor) == Page([], read_all.cursor, has_more=False)


async def test_no_fact_is_forgotten_before_an_older_one(world: World) -> None:
    """The log has no holes, also where a clock went back."""
    reseller = await world.new_reseller()
    await _add(world, reseller, "hld_1", "hld_2")
    young, old = await _until(world, reseller, 2)
    async with world.owner.begin() as connection:
        statement = "UPDATE facts SET recorded_at = '2020-01-01' WHERE id = :id"
        await connection.execute(text(statement), {"id": old.id})
    await _prune(world)
    assert [fact.id for fact in await _until(world, reseller, 2)] == [young.id, old.id]


async def test_a_page_of_a_long_log_is_found_by_an_index(world: World) -> None:
    """Row-level security and the bound of what is settled keep none from being used."""
    reseller = await world.new_reseller()
    async with tenant_transaction(world.app, reseller) as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_sort = off"))
        plan = await connection.scalars(
            text(
                "EXPLAIN SELECT * FROM facts WHERE (xid, id) > ('5'::xid8, 7)"
                " AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, id LIMIT 10"
            )
        )
        told = "\n".join(plan)
    assert "Index Cond" in told
    assert "ROW(xid, id)" in told.partition("Index Cond")[2]
    assert "facts_reseller_id_xid_id_idx" in told
