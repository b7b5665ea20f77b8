"""Price steps come in order, once, whoever looks; typed sales are recorded at their prices."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, insert, text
from structlog.testing import capture_logs

from engine.catalog.price_rules import NewPrices
from engine.catalog.price_steps import bring_due, change_prices, find_waiting, tickets_short
from engine.inventory.facts import write_sale
from engine.inventory.ledgered import read_orders
from engine.inventory.price_versions import Prices, TypePrice, copy_price_version
from engine.inventory.shows import ShowBook
from engine.platform.ids import entity_hex
from engine.platform.tables import price_steps, ticket_types
from engine.runtime import open_working
from engine.sales.orders import find_order
from engine.sales.recorder import Recorder
from engine.sales.terms import LedgerTerms, Terms
from loadtests.auditor.books import judge_books
from ops.stack import Stack
from tests.engine.ledger_world import IDS, PRICES, Hall, TestedShow, World, a_sale, open_world
from workers.prices import PriceSteps

PAST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


async def _schedule(show: TestedShow, *steps: dict[str, Any]) -> None:
    nothing: dict[str, Any] = {
        "at": None,
        "after_sold": None,
        "price_level": None,
        "prices": {},
        "type_prices": {},
    }
    of_show = {"show_id": show.id, "reseller_id": show.reseller}
    rows: list[dict[str, Any]] = [
        {**nothing, **of_show, "step_no": no, **step} for no, step in enumerate(steps, 1)
    ]
    async with show.world.owner.begin() as connection:
        await connection.execute(insert(price_steps), rows)


async def _bring(show: TestedShow) -> list[int]:
    world = show.world
    (waiting,) = [one for one in await find_waiting(world.recorder_engine) if one.id == show.id]
    return await bring_due(world.recorder_engine, world.redis, IDS, waiting)


async def _versions(show: TestedShow) -> dict[int, dict[str, int]]:
    rows = await show.world.rows("SELECT * FROM price_versions WHERE show_id = :s", s=show.id)
    return {row["version"]: row["prices"] for row in rows}


async def _row(show: TestedShow) -> tuple[int, int]:
    rows = await show.world.rows("SELECT * FROM shows WHERE id = :s", s=show.id)
    return rows[0]["price_version"], rows[0]["inventory_version"]


async def test_two_due_at_once_come_in_order_one_version_each(world: World) -> None:
    """The second is on top of the first, and processes read the show again once."""
    show = await world.new_show()
    await _schedule(
        show,
        {"at": PAST, "prices": {"vip": 11_000, "std": 5_000}},
        {"at": PAST + timedelta(hours=1), "prices": {"vip": 12_000, "gone": 1}},
        {"at": datetime.now(UTC) + timedelta(days=1), "prices": {"vip": 1}},
    )
    before = await _row(show)
    assert await _bring(show) == [2, 3]
    assert await _versions(show) == {
        1: PRICES,
        2: PRICES | {"vip": 11_000, "std": 5_000},
        3: PRICES | {"vip": 12_000, "std": 5_000},
    }
    assert await _row(show) == (3, before[1] + 1)
    facts = await world.rows(
        "SELECT data FROM facts WHERE show_id = :s AND type = 'show.prices_changed' ORDER BY id",
        s=show.id,
    )
    assert [row["data"] for row in facts] == [
        {"price_version": 2, "step": 1},
        {"price_version": 3, "step": 2},
    ]


async def test_two_workers_bring_a_step_about_once(world: World) -> None:
    """Whoever is second finds nothing to do, and changes nothing."""
    show = await world.new_show()
    await _schedule(show, {"at": PAST, "prices": {"vip": 11_000}})
    waiting = next(s for s in await find_waiting(world.recorder_engine) if s.id == show.id)
    made = await asyncio.gather(
        *(bring_due(world.recorder_engine, world.redis, IDS, waiting) for _ in range(3))
    )
    assert sorted(made) == [[], [], [2]]
    assert len(await _versions(show)) == 2
    assert await _row(show) == (2, 2)


async def test_a_later_step_that_is_due_brings_those_before_it(world: World) -> None:
    """An early bird whose count was never reached ends when the next prices come."""
    show = await world.new_show()
    await _schedule(
        show,
        {"after_sold": 1_000, "prices": {"std": 5_000}},
        {"at": PAST, "prices": {"vip": 12_000}},
    )
    assert await _bring(show) == [2, 3]
    assert (await _versions(show))[3] == PRICES | {"std": 5_000, "vip": 12_000}


async def test_a_count_is_of_recorded_tickets_of_the_show_or_of_a_level(world: World) -> None:
    """Tickets that were given back do not count."""
    show = await world.new_show()
    await _schedule(show, {"after_sold": 3, "price_level": "std", "prices": {"std": 5_000}})
    await show.sell([1, 2, 3], [(0, 4)])
    await show.sell([11, 12])
    await show.recorder().record(show.id)
    assert await tickets_short(world.recorder_engine, show.id) == 1
    assert await _bring(show) == []
    await show.sell([13])
    await show.recorder().record(show.id)
    assert await tickets_short(world.recorder_engine, show.id) == 0
    assert await _bring(show) == [2]


async def test_a_cancelled_show_waits_for_nothing(world: World) -> None:
    """Nor is it looked at again."""
    show = await world.new_show()
    await _schedule(show, {"at": PAST, "prices": {"vip": 1}})
    async with world.owner.begin() as connection:
        cancel = text("UPDATE shows SET state = 'cancelled' WHERE id = :show")
        await connection.execute(cancel, {"show": show.id})
    assert show.id not in {one.id for one in await find_waiting(world.recorder_engine)}


def test_a_step_leaves_out_what_is_gone_since() -> None:
    """A level or a type that the show has no longer is not brought back."""
    half, third = TypePrice(5_000), TypePrice(3_333)
    now = Prices(4, {"vip": 10}, {"child": half})
    changes = NewPrices({"vip": 12, "gone": 1}, {"child": third, "student": half})
    assert change_prices(now, changes, {"child"}) == Prices(5, {"vip": 12}, {"child": third})


async def test_a_typed_sale_is_recorded_priced_and_found_again(world: World) -> None:
    """Its lines and tickets name their types; a rebuild and an order's page read the same."""
    show = await world.new_show()
    async with world.owner.begin() as connection:
        of_show = {"show_id": show.id, "reseller_id": show.reseller}
        child = {"slug": "child", "type_no": 0, "name": "Child", "kind": "child"}
        await connection.execute(insert(ticket_types).values(**child, **of_show))
        await connection.execute(
            text(
                "UPDATE price_versions SET type_prices ="
                """ '{"child": {"share_bps": 3333, "prices": {"floor": 1000}}}'"""
                " WHERE show_id = :show"
            ),
            {"show": show.id},
        )
    assert show.id
    terms = LedgerTerms(world.recorder_engine, ShowBook())
    sale = msgspec.structs.replace(
        a_sale(b"t" * 16, [12, 1, 11], [(0, 3)]), types="child:1,standard:1,child:2,standard:2"
    )
    await show.add(write_sale(sale))
    read = await terms.terms(show.id, frozenset({1}))

    class InTheHall:
        """The ledger's prices, in a hall that the ledger's plan has not."""

        async def terms(self, show: int, price_versions: frozenset[int]) -> Terms:
            """Return them."""
            del show, price_versions
            return msgspec.structs.replace(read, places=Hall())

    await Recorder(world.recorder_engine, world.redis, InTheHall(), IDS).record(show.id)
    async with world.recorder_engine.connect() as connection:
        order = await find_order(connection, show.id, sale.hold)
        (rebuilt,) = await read_orders(connection, show.id)
    assert order is not None
    assert order.seats == (1, 11, 12)
    assert order.types == ("standard", "child", "child", "child", "standard", "standard")
    assert rebuilt.types == "standard:1,child:3,standard:2"
    assert [
        (line.price_level, line.ticket_type, line.quantity, line.unit.face_value)
        for line in order.quote.lines
    ] == [
        ("std", "child", 2, 1_517),
        ("vip", "standard", 1, 10_000),
        ("floor", "child", 1, 1_000),
        ("floor", "standard", 2, 6_000),
    ]
    assert not await show.stranded()
    async with world.auditor.connect() as connection:
        assert not await judge_books(connection, [show.id])


async def test_types_that_do_not_fit_the_tickets_strand_the_sale(world: World) -> None:
    """Nothing is guessed: a person looks at it."""
    show = await world.new_show()
    hold = b"u" * 16
    sale = msgspec.structs.replace(a_sale(hold, [1, 2]), types="child:3")
    await show.add(write_sale(sale))
    await show.recorder().record(show.id)
    assert "child:3" in (await show.stranded())[hold]


async def test_a_copied_price_version_has_all_prices(world: World) -> None:
    """For changes of what prices are for: the number rises, the prices stay."""
    show = await world.new_show()
    async with world.owner.begin() as connection:
        assert await copy_price_version(connection, show.id, show.reseller) == 2
    versions = await _versions(show)
    assert versions[1] == versions[2]
    assert (await _row(show))[0] == 2


async def test_a_show_whose_steps_can_not_be_read_keeps_no_other_from_its_own(
    servers: Stack, world: World
) -> None:
    """Its fault is told with its name, once in a while; the task goes on."""
    broken, well = await world.new_show(), await world.new_show()
    await _schedule(broken, {"at": PAST, "type_prices": {"child": "cheap"}})
    await _schedule(well, {"at": PAST, "prices": {"vip": 11_000}})
    async with open_working(servers.settings) as working:
        steps = PriceSteps(working)
        with capture_logs() as told:
            for _ in range(2):
                await steps.bring([broken.id, well.id])
    assert set(await _versions(well)) == {1, 2}
    assert set(await _versions(broken)) == {1}
    of_it = [line for line in told if line.get("show") == entity_hex(broken.id)]
    assert [line["log_level"] for line in of_it] == ["error"]
    assert "exc_info" in of_it[0]
    async with world.owner.begin() as connection:
        await connection.execute(delete(price_steps).where(price_steps.c.show_id == broken.id))
