"""Edits of a show's map: both stores have them, whole or not at all, and sales keep their price."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from redis.asyncio import ConnectionPool, Redis

from engine.inventory import edits, house
from engine.inventory.commands import NoneTogether, Selection
from engine.inventory.edits import EditMade, EditRefused, MapEdit, VersionPassed
from engine.inventory.facts import StreamId
from engine.inventory.manifest import SEPARATOR
from engine.inventory.overlay import Overlay, lay_over
from engine.inventory.shows import Show, ShowBook
from engine.inventory.sold_memory import SoldMemory
from engine.inventory.tending import find_ailing, tended_shows
from engine.platform.database import Transaction
from engine.platform.ids import HoldId
from engine.runtime import open_serving
from engine.sales.asking import Asked
from engine.sales.milestones import SoldOutWatch
from engine.sales.views import HoldView, OrderView
from engine.sales.wanted import UnknownPlaces, Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.lua.show_room import make_manifest


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show with three orders, a hold and a blocked seat."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def _keep_nothing(_transaction: Transaction, _made: EditMade) -> None:
    """Nobody repeats it."""


async def _edit(ground: Ground, **wanted: Any) -> object:  # noqa: ANN401 -- its fields
    edit = MapEdit(**wanted)
    return await ground.serving.house_office.edit(ground.show, edit, _keep_nothing)


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
    """The recorder comes late: the area moved meanwhile, and took more."""
    manifest = ground.show.manifest
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
    asked = await office.ask_purchase(ground.show, fresh.hold, "buy-new", 7, "pay")
    assert isinstance(await office.tell_purchase(ground.show, asked), OrderView)
    await ground.record()
    for hold, level in (
        (held.hold, area_level),
        (HoldId(sold), area_level),
        (fresh.hold, other),
    ):
        told = await office.order(ground.show, hold)
        assert isinstance(told, OrderView)
        assert {line.price_level for line in told.quote.lines} == {manifest.levels[level].slug}
        assert {ticket.price_level for ticket in told.tickets} == {manifest.levels[level].slug}
    await _assert_clean(ground)


async def test_another_process_tells_by_the_map_that_it_sold_from(
    ground: Ground, servers: Stack
) -> None:
    """It knows the map of before: a seat out is refused as unknown, a moved one is priced right."""
    manifest = ground.show.manifest
    gone, moved, back = ground.seat(8), ground.seat(9), ground.seat(7)
    level = (manifest.level_of(moved) + 1) % len(manifest.levels)
    assert isinstance(await _edit(ground, take_out=[back]), EditMade)
    async with open_serving(servers.settings) as other:
        stale = await other.box_office.show(ground.show.reseller, ground.show.id)
        assert isinstance(
            await _edit(ground, take_out=[gone], put_back=[back], levels={moved: level}), EditMade
        )

        async def hold(seat: int) -> object:
            wanted = Wanted(seats=(str(manifest.labels[seat]),))
            asked = other.box_office.ask_hold(
                stale,
                f"stale-{seat}",
                buyer=f"b-{seat}",
                ttl_ms=60_000,
                wanted=wanted,
                fingerprint=lambda: 1,
            )
            assert isinstance(asked, Asked)
            return await other.box_office.tell(stale, asked)

        assert await hold(gone) == UnknownPlaces(seats=(str(manifest.labels[gone]),))
        priced = await hold(moved)
        assert isinstance(priced, HoldView)
        assert [line.price_level for line in priced.quote.lines] == [manifest.levels[level].slug]
        assert isinstance(await hold(back), HoldView)
    await _assert_clean(ground)


async def test_an_edit_that_only_the_ledger_has_takes_effect(ground: Ground) -> None:
    """The process died after its commit: the workers bring the store to the ledger's word."""
    out = ground.seat(8)
    assert isinstance(await _edit(ground, take_out=[out]), EditMade)
    nobody = ConnectionPool.from_url("redis://127.0.0.1:1")
    gone: Any = Redis(connection_pool=nobody)
    made = await edits.edit_show(
        ground.serving.app_engine,
        gone,
        ground.serving.book,
        ground.serving.ids,
        ground.show,
        MapEdit(put_back=[out], capacities={0: 40}),
        _keep_nothing,
    )
    assert isinstance(made, EditMade)
    assert await _state(ground, out) == SEPARATOR
    assert await _ails(ground)
    await _recover(ground, anew=False)
    assert await _state(ground, out) == "o"
    await _assert_clean(ground)


@pytest.mark.parametrize("then", ["nothing", "unblock"])
async def test_an_edit_that_only_the_store_has_is_undone(ground: Ground, then: str) -> None:
    """The process died before its commit, whatever the house commits next at the same version."""
    show, out = await _current(ground), ground.seat(8)
    now = show.epoch, show.inventory_version
    change = house.Change(take_out=[out], fields=("edit_no", "1"), edit_no=1)
    await house.apply(ground.serving.redis, show.keys, now, change)
    assert await _state(ground, out) == SEPARATOR
    if then == "unblock":
        blocked = Wanted(seats=(ground.label(3),))
        office = ground.serving.house_office
        assert isinstance(await office.unblock(show, blocked, _forget), house.BlocksChanged)
    assert await _ails(ground)
    await _recover(ground, anew=False)
    assert await _state(ground, out) == "o"
    assert await _state(ground, ground.seat(3)) == ("b" if then == "nothing" else "o")
    await _assert_clean(ground)


async def test_an_edit_for_a_version_that_is_over_is_refused(ground: Ground) -> None:
    """Another's change came between."""
    version = (await _current(ground)).inventory_version
    passed = await _edit(ground, take_out=[ground.seat(8)], inventory_version=version - 1)
    assert passed == VersionPassed(version)
    assert isinstance(
        await _edit(ground, take_out=[ground.seat(8)], inventory_version=version), EditMade
    )


async def test_a_show_that_edits_leave_nothing_of_is_sold_out(ground: Ground) -> None:
    """And is not while places that were put back or added are open."""
    watch = SoldOutWatch(ground.working.recorder_engine, ShowBook(), ground.serving.ids)
    await watch.tell()
    await ground.release(HoldId(ground.held))
    layout = await _seats(ground)
    still_open = [at for at, state in enumerate(layout) if state == ord("o")]
    still_open.append(ground.seat(3))  # which the house withholds
    assert isinstance(await _edit(ground, take_out=still_open, capacities={0: 4}), EditMade)
    assert await watch.tell() == 1
    assert isinstance(await _edit(ground, capacities={0: 5}), EditMade)
    await watch.tell()
    assert isinstance(await _edit(ground, capacities={0: 4}), EditMade)
    assert await watch.tell() == 1
    await _assert_clean(ground)


def test_what_is_sold_is_counted_by_the_levels_that_seats_have_now() -> None:
    """A process that remembers what is sold refuses a level only while all of it is."""
    hall = make_manifest("|oo|oo|", [[(1, 3)], [(4, 6)]])
    memory = SoldMemory(hall)
    sold = [1, 1000, [1, ord("s"), 2, ord("s")], [], []]
    memory.learn(StreamId(1, 1), msgspec.msgpack.encode([2, *sold[1:]]))
    best = Selection(best=((0, 1),))
    assert memory.refuse(bytes(16), best) == NoneTogether(0, 1)
    memory.rebase(lay_over(hall, Overlay(levels=((4, 5, 0),))))
    assert memory.refuse(bytes(16), best) is None
    memory.rebase(lay_over(hall, Overlay(levels=((4, 5, 0),), removed=((4, 5, 1),))))
    assert memory.refuse(bytes(16), best) == NoneTogether(0, 1)
    # Sold in its new level before this process knew that it had moved.
    memory.learn(StreamId(1, 2), msgspec.msgpack.encode([2, 1001, [5, ord("s")], [], []]))
    memory.rebase(lay_over(hall, Overlay(levels=((5, 6, 0),))))
    assert memory.refuse(bytes(16), best) == NoneTogether(0, 1)


def test_a_map_that_is_edited_back_is_the_plans() -> None:
    """Ranges of levels too, with the separators of before in them."""
    hall = make_manifest("|oooo|ooo||oo|", [[(1, 5)], [(6, 13)]], [5])
    changed = Overlay().with_changes(
        levels={2: 1, 11: 0}, taken_out=[3, 7], put_back=[], area_levels={0: 1}, capacities={0: 9}
    )
    edited = lay_over(hall, changed)
    assert edited.layout == "|oo|o|o|o||oo|"
    assert [level.ranges for level in edited.levels] == [
        ((1, 2), (4, 5), (11, 12)),
        ((2, 3), (6, 9), (12, 13)),
    ]
    assert (edited.capacity, edited.seats_by_level) == (9 + 7, (3, 4))
    assert edited.removed_by_label == {"S-3": 3, "S-7": 7}
    undone = changed.with_changes(
        levels={2: 0, 11: 1}, taken_out=[], put_back=[3, 7], area_levels={0: 0}, capacities={0: 5}
    )
    assert lay_over(hall, undone) == hall


async def _forget(_transaction: Transaction, _changed: house.BlocksChanged) -> None:
    """Nobody repeats it."""


async def _ails(ground: Ground) -> bool:
    engine = ground.working.recorder_engine
    tended = await tended_shows(engine, [ground.show.id])
    return bool(await find_ailing(ground.working.redis, tended))
