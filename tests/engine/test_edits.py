"""Edits of a show's map: both stores have them, whole or not at all, and sales keep their price."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from engine.inventory import edits
from engine.inventory.edits import EditMade, EditRefused, MapEdit
from engine.inventory.manifest import SEPARATOR
from engine.inventory.shows import Show
from engine.platform.database import Transaction
from engine.platform.ids import HoldId
from engine.sales.views import HoldView, OrderView
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show with three orders, a hold and a blocked seat."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def _keep_nothing(_transaction: Transaction, _made: EditMade) -> None:
    """Nobody repeats it."""


async def _edit(ground: Ground, **wanted: Any) -> edits.Outcome:  # noqa: ANN401 -- its fields
    outcome = await ground.serving.house_office.edit(ground.show, MapEdit(**wanted), _keep_nothing)
    assert not isinstance(outcome, edits.TooManyEdits)
    return outcome  # pyright: ignore[reportReturnType]


async def _current(ground: Ground) -> Show:
    book = ground.serving.book
    return await book.reload(ground.serving.app_engine, ground.show.reseller, ground.show.id)


async def _seats(ground: Ground) -> bytes:
    return await ground.raw.get(ground.key("seats"))


async def _state(ground: Ground, seat: int) -> str:
    return (await _seats(ground))[seat : seat + 1].decode()


async def _recover(ground: Ground, *, anew: bool) -> None:
    assert await ground.working.recoverer.recover(ground.show.id, "a test", anew=anew) is not None


async def _assert_clean(ground: Ground) -> None:
    assert (await ground.audited()).findings == []
    stored = await ground.raw.hget(ground.key("meta"), "version")
    assert int(stored) == (await _current(ground)).inventory_version


async def test_all_kinds_at_once_are_in_both_stores_and_survive_recoveries(ground: Ground) -> None:
    """As it stands and built anew, the seats string and the areas' counts are the same."""
    out, moved, blocked = ground.seat(8), ground.seat(9), ground.seat(3)
    level = (ground.show.manifest.level_of(moved) + 1) % len(ground.show.manifest.levels)
    first = await _edit(ground, take_out=[ground.seat(7), blocked])
    assert isinstance(first, EditMade)
    made = await _edit(
        ground,
        levels={moved: level},
        take_out=[out],
        put_back=[ground.seat(7), blocked],
        capacities={0: 25},
        area_levels={0: level},
    )
    assert isinstance(made, EditMade)
    assert (made.edit_no, made.price_version, made.inventory_version) == (
        2,
        3,
        first.inventory_version + 2,  # less, then more
    )
    assert (made.seats_moved, made.seats_taken_out, made.seats_put_back) == (1, 1, 2)
    show = await _current(ground)
    assert show.manifest.level_of(moved) == level
    assert show.manifest.areas[0].price_level == show.manifest.levels[level].slug
    assert show.manifest.areas[0].capacity == 25
    assert await _state(ground, out) == SEPARATOR
    assert await _state(ground, ground.seat(7)) == "o"
    assert await _state(ground, blocked) == "b"  # as the house has it
    await _assert_clean(ground)
    before = await _seats(ground)
    areas = await ground.raw.hgetall(ground.key("areas"))
    await _recover(ground, anew=False)
    assert (await _seats(ground), await ground.raw.hgetall(ground.key("areas"))) == (before, areas)
    await _recover(ground, anew=True)
    assert (await _seats(ground), await ground.raw.hgetall(ground.key("areas"))) == (before, areas)
    await _assert_clean(ground)


async def test_what_buyers_have_is_refused_by_name_and_nothing_is_done(ground: Ground) -> None:
    """One held seat, one sold seat and one area too small stop the whole list."""
    look = await ground.serving.box_office.tell(
        ground.show, ground.serving.box_office.ask_look(ground.show, HoldId(ground.held))
    )
    assert isinstance(look, HoldView)
    held = ground.show.manifest.index_by_label[look.seats[0]]
    sold = ground.seat(1)
    before = await _seats(ground), (await _current(ground)).inventory_version
    refused = await _edit(
        ground,
        take_out=[held, ground.seat(8)],
        levels={sold: 1 - min(ground.show.manifest.level_of(sold), 1)},
        capacities={0: 5},
    )
    # 4 of 20 are sold and 2 held: 14 open, of which 15 would have to go.
    assert refused == EditRefused((sold, held), ((0, 14),))
    assert (await _seats(ground), (await _current(ground)).inventory_version) == before
    assert isinstance(await _edit(ground, capacities={0: 6}), EditMade)
    await _assert_clean(ground)


async def test_a_sale_made_before_a_move_is_recorded_at_the_level_it_had(ground: Ground) -> None:
    """The recorder comes late: seats that were returned since, and areas, moved meanwhile."""
    manifest = ground.show.manifest
    seat = ground.seat(9)
    area_level = manifest.level_index(manifest.areas[0].price_level)
    assert area_level is not None
    other = (area_level + 1) % len(manifest.levels)
    held = await ground.hold("late", "joe", Wanted(areas=(("floor-1", 2),)))
    sold = await ground.sell("early", "kim", Wanted(areas=(("floor-1", 1),)))
    assert isinstance(await _edit(ground, area_levels={0: other}), EditMade)
    assert isinstance(await _edit(ground, capacities={0: 30}), EditMade)
    # What was held before keeps its price: in the answer of who sold it, and in the ledger.
    office = ground.serving.box_office
    asked = await office.ask_purchase(ground.show, held.hold, "buy-late", 7, "pay")
    order = await office.tell_purchase(ground.show, asked)
    assert isinstance(order, OrderView)
    assert order.quote == held.quote
    fresh = await ground.hold("new", "lea", Wanted(areas=(("floor-1", 2),)))
    assert {line.price_level for line in fresh.quote.lines} == {manifest.levels[other].slug}
    await ground.record()
    for hold, level in ((held.hold, area_level), (HoldId(sold), area_level)):
        told = await office.order(ground.show, hold)
        assert isinstance(told, OrderView)
        assert {line.price_level for line in told.quote.lines} == {manifest.levels[level].slug}
        assert {ticket.price_level for ticket in told.tickets} == {manifest.levels[level].slug}
    assert seat
    await _assert_clean(ground)
