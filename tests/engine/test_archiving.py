"""Shows that are over leave the store whole, and are told, audited, and brought back."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.ending import archive_shows, end_shows
from engine.catalog.life import LifeChanged, Stores, act
from engine.catalog.transitions import Action, Refused
from engine.inventory.archiving import Archived, NotYet, Waits, archive_show
from engine.inventory.availability import InventoryState
from engine.inventory.edits import EditMade, EditRefused, MapEdit
from engine.inventory.house import BlocksChanged, BlocksRefused
from engine.inventory.recovery import SupersededError
from engine.inventory.tending import tended_shows
from engine.platform.database import tenant_transaction
from engine.platform.ids import HoldId
from engine.sales.views import OrderView
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS
from workers.recovery import Ward


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show in which seats are sold, held and withheld."""
    async with open_ground(servers.settings) as ground:
        yield ground


def _stores(ground: Ground, archive_after_s: int = 0) -> Stores:
    working = ground.working
    return Stores(working.recorder_engine, working.redis, IDS, archive_after_s)


async def _keys(ground: Ground) -> list[bytes]:
    return [key async for key in ground.raw.scan_iter(match=ground.key("*"), count=5000)]


async def _bytes(ground: Ground) -> int:
    return sum([int(await ground.raw.memory_usage(key)) for key in await _keys(ground)])


async def _take(ground: Ground, action: Action, **columns: Any) -> LifeChanged:  # noqa: ANN401
    show = ground.show
    changed = await act(_stores(ground), show.reseller, show.id, action, columns=columns)
    assert isinstance(changed, LifeChanged)
    return changed


async def _approve(_connection: AsyncConnection, _row: RowMapping) -> None:
    """Anything may be archived."""


async def _archive(ground: Ground) -> Archived | NotYet:
    opened = partial(tenant_transaction, ground.working.recorder_engine, ground.show.reseller)
    return await archive_show(opened, ground.working.redis, ground.show.id, _approve)


async def _availability(ground: Ground) -> InventoryState:
    found = await ground.serving.box_office.availability(ground.show)
    assert isinstance(found, InventoryState)
    return found


async def test_an_archived_show_gives_its_memory_back_and_is_told_from_the_ledger(
    ground: Ground,
) -> None:
    """No key of it is left, its waiting room's included; `open` and a recovery bring all back."""
    await ground.release(HoldId(ground.held))
    await ground.raw.hset(ground.key("queue"), "epoch", "1")
    await ground.raw.hset(ground.key("queue:i:3fff"), "a", "b")
    await ground.sql(_QUEUE)
    before = await _availability(ground)
    assert await _bytes(ground) > 2000
    await _take(ground, Action.CLOSE)
    archived = await _archive(ground)
    assert isinstance(archived, Archived)
    assert archived.keys >= 9
    assert await _keys(ground) == []
    assert await _bytes(ground) == 0
    told = await _availability(ground)
    assert (told.seats, told.areas) == (before.seats, before.areas)
    for order in ground.orders:
        found = await ground.serving.box_office.order(ground.show, HoldId(order))
        assert isinstance(found, OrderView)
    result = await ground.audited()
    assert (result.findings, result.rows[0].condition) == ([], "archived")
    assert isinstance(await _archive(ground), Archived)  # again changes nothing
    await _take(ground, Action.OPEN)
    assert await _ward_visits(ground)
    again = await _availability(ground)
    assert (again.seats, again.areas) == (before.seats, before.areas)
    result = await ground.audited()
    assert (result.findings, result.rows[0].condition) == ([], "open")


async def test_an_archived_show_is_no_wiped_one(ground: Ground) -> None:
    """No recovery brings it back, however it is asked for."""
    await ground.release(HoldId(ground.held))
    await _take(ground, Action.CANCEL)
    assert isinstance(await _archive(ground), Archived)
    engine, show = ground.working.recorder_engine, ground.show.id
    assert show not in {one.id for one in await tended_shows(engine)}
    with pytest.raises(SupersededError):
        await ground.working.recoverer.recover(show, "by mistake", anew=True)
    assert await _keys(ground) == []


async def test_what_only_the_store_has_keeps_a_show_in_it(ground: Ground) -> None:
    """A hold, a sale that is not recorded, a sale that goes on."""
    assert await _archive(ground) == NotYet(Waits.SELLING)
    order = await _unrecorded(ground)
    await _take(ground, Action.CLOSE)
    held = await _archive(ground)
    assert isinstance(held, NotYet)
    assert held.why is Waits.HOLDS
    await ground.release(HoldId(ground.held))
    assert await _archive(ground) == NotYet(Waits.UNRECORDED)
    await ground.record()
    assert isinstance(await _archive(ground), Archived)
    assert isinstance(await ground.serving.box_office.order(ground.show, HoldId(order)), OrderView)


async def test_a_process_that_dies_before_the_commit_loses_nothing(ground: Ground) -> None:
    """The store knows nothing, the ledger says it should: its recovery brings the show back."""
    await ground.release(HoldId(ground.held))
    await _take(ground, Action.CLOSE)
    before = await _availability(ground)
    engine, reseller = ground.working.recorder_engine, ground.show.reseller

    @asynccontextmanager
    async def cut_off() -> AsyncGenerator[AsyncConnection]:
        async with tenant_transaction(engine, reseller) as connection:
            yield connection
            msg = "killed before the commit"
            raise ConnectionError(msg)

    with pytest.raises(ConnectionError):
        await archive_show(cut_off, ground.working.redis, ground.show.id, _approve)
    assert await _keys(ground) == []
    assert await _ward_visits(ground)
    again = await _availability(ground)
    assert (again.seats, again.areas) == (before.seats, before.areas)
    assert isinstance(await _archive(ground), Archived)


async def test_time_ends_a_show_and_takes_it_out_of_the_store(ground: Ground) -> None:
    """After its end it is past; after the grace it is archived, and both are facts."""
    await ground.release(HoldId(ground.held))
    stores = _stores(ground)
    await end_shows(replace(stores, show_lasts_s=60))
    assert (await _row(ground))["state"] == "on_sale"
    await ground.sql(
        "UPDATE shows SET starts_at = now() - interval '3 hours', duration_min = 120"
        " WHERE id = :show"
    )
    await end_shows(replace(stores, show_lasts_s=60))
    assert (await _row(ground))["state"] == "past"
    await archive_shows(stores)
    row = await _row(ground)
    assert row["archived_at"] is not None
    assert await _keys(ground) == []
    kinds = await _rows(ground, "SELECT type FROM facts WHERE show_id = :show ORDER BY xid, id")
    assert [one["type"] for one in kinds][-2:] == ["show.ended", "show.archived"]


async def test_what_an_archived_show_is_like_is_read_again_once_it_changed(
    ground: Ground,
) -> None:
    """All its orders are much to read for everyone who asks; a return is seen at once."""
    await ground.release(HoldId(ground.held))
    await _take(ground, Action.CLOSE)
    assert isinstance(await _archive(ground), Archived)
    first = await _availability(ground)
    assert (await _availability(ground)).seats is first.seats
    taken = await ground.serving.returns_office.take_back(ground.show, HoldId(ground.orders[0]))
    assert isinstance(taken, OrderView)
    then = await _availability(ground)
    assert then.seats.count(b"o") == first.seats.count(b"o") + 4
    assert then.sequence != first.sequence


async def test_an_archived_show_that_was_moved_ends_as_well(ground: Ground) -> None:
    """It was never opened again: nothing else would ever end it."""
    await ground.release(HoldId(ground.held))
    await _take(ground, Action.CLOSE)
    await _take(ground, Action.ARCHIVE)
    assert isinstance(await _archive(ground), Archived)
    moved = await _take(ground, Action.RESCHEDULE)
    assert moved.row["archive_from"] is None  # closed again, it stays until that is asked for
    await ground.sql("UPDATE shows SET starts_at = now() - interval '7 hours' WHERE id = :show")
    await end_shows(_stores(ground))
    assert (await _row(ground))["state"] == "past"


async def test_a_date_that_waits_no_more_is_not_opened_by_who_looked_before(
    ground: Ground,
) -> None:
    """Closed by its reseller while the worker went through what it had found."""
    await ground.sql("UPDATE shows SET state = 'off_sale' WHERE id = :show")
    show = ground.show
    opened = await act(
        _stores(ground), show.reseller, show.id, Action.OPEN, still=lambda _row: False
    )
    assert isinstance(opened, Refused)
    assert (await _row(ground))["state"] == "off_sale"


_QUEUE = (
    "INSERT INTO queues (show_id, reseller_id, mode, is_paused, opens_at, rate, burst,"
    " checkout_max, pass_ttl_s, proof_bits, return_addresses, secret, commitment, epoch,"
    " numbers_ceiling, serving_ceiling) SELECT id, reseller_id, 'off', false, now(), 1, 1, 1, 60,"
    " 0, '[]', '\\x00', '\\x00', 1, 0, 0 FROM shows WHERE id = :show"
)


async def _unrecorded(ground: Ground) -> bytes:

    return await ground.sell("late", "fay", Wanted(seats=(ground.label(9),)))


async def _ward_visits(ground: Ground) -> bool:
    """Let the workers' look at all shows find what is ailing, and recover it."""
    ward = Ward(ground.working, look_s=0.0)
    for _ in range(50):
        await ward.visit()
        state = await ground.raw.hget(ground.key("meta"), "state")
        if state == b"open":
            return True
    return False


async def _row(ground: Ground) -> RowMapping:
    return (await _rows(ground, "SELECT * FROM shows WHERE id = :show"))[0]


async def _rows(ground: Ground, statement: str) -> list[RowMapping]:

    async with ground.working.recorder_engine.connect() as connection:
        found = await connection.execute(text(statement), {"show": ground.show.id})
        return list(found.mappings())


async def test_what_the_house_asks_of_an_archived_show_is_decided_by_the_ledger(
    ground: Ground,
) -> None:
    """As the store would: sold seats are refused by name, areas by what is left of them."""
    await ground.release(HoldId(ground.held))
    await _take(ground, Action.CLOSE)
    assert isinstance(await _archive(ground), Archived)
    sold, free, office = ground.seat(1), ground.seat(8), ground.serving.house_office

    async def edit(**wanted: Any) -> object:  # noqa: ANN401 - its fields
        return await office.edit(ground.show, MapEdit(**wanted), _remember_nothing)

    async def block(*labels: str, places: int = 0) -> object:
        areas = (("floor-1", places),) if places else ()
        wanted = Wanted(seats=labels, areas=areas)
        return await office.block(ground.show, wanted, "late", _remember_nothing)

    level = 1 - ground.show.manifest.level_of(sold)
    refused = await edit(take_out=[free], levels={sold: level}, capacities={0: 3})
    assert refused == EditRefused((sold,), ((0, 16),))
    assert await edit(take_out=[sold]) == EditRefused((sold,), ())
    assert await block(ground.label(1), ground.label(8)) == BlocksRefused((sold,), ())
    assert await block(places=17) == BlocksRefused((), (0,))
    assert isinstance(await block(places=16), BlocksChanged)
    assert await edit(capacities={0: 19}) == EditRefused((), ((0, 0),))
    assert isinstance(await edit(take_out=[free]), EditMade)
    await _take(ground, Action.OPEN)
    assert await _ward_visits(ground)
    assert (await ground.audited()).findings == []


async def _remember_nothing(_connection: AsyncConnection, _made: object) -> None:
    """Nobody repeats it."""
