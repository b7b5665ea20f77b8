"""What seals can be rotated while everything runs, and be interrupted anywhere."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import (
    Column,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform import resealing
from engine.platform.ids import EntityId
from engine.platform.resealing import (
    BusyError,
    add_data_keys,
    drop_data_keys,
    only_one,
    seal_cell_anew,
    seal_data_anew,
    sealed_columns,
    wrap_anew,
)
from engine.platform.sealing import Sealer
from engine.platform.tables import data_keys
from engine.sales.buyers import BuyersOffice, Contact
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world
from tests.engine.sealing_world import NEW, OLD, PLACE, SECRET, seal, unseal


@pytest.fixture(scope="module")
async def world(own_servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(own_servers.settings) as opened:
        yield opened


@pytest.fixture
def sealer() -> Sealer:
    """A process' sealer."""
    return Sealer([OLD], SECRET)


def quiet(what: str, count: int) -> None:
    """Show no progress."""
    del what, count


async def keep_buyers(world: World, sealer: Sealer, reseller: int, count: int) -> BuyersOffice:
    """Keep some buyers' contact data."""
    office = BuyersOffice(world.app, world.redis, sealer)
    for n in range(count):
        await office.keep(EntityId(reseller), f"b-{n}", Contact(name=f"Ada {n}", phone="123"))
    return office


async def versions(world: World, reseller: int) -> set[int]:
    """Return the data keys that a reseller's buyers are sealed with."""
    found = await world.rows(
        "SELECT name_sealed, buyer_sealed FROM buyers WHERE reseller_id = :r", r=reseller
    )
    return {int.from_bytes(sealed[1:5], "big") for row in found for sealed in row.values()}


def test_every_sealed_column_is_found_with_its_rows_key() -> None:
    """By its name; each table has a primary key, and the column is of bytes."""
    found = {one.place for one in sealed_columns()}
    assert {"buyers.name_sealed", "buyers.buyer_sealed", "buyers.email_sealed"} <= found
    for one in sealed_columns():
        assert one.key, one.place
        assert one.column.type.python_type is bytes, one.place


async def test_data_keys_are_wrapped_anew_and_the_old_sealing_key_can_go(world: World) -> None:
    """While processes with both keys go on; twice does nothing more."""
    reseller = await world.new_reseller()
    old = Sealer([OLD, world_key(world)], SECRET)
    sealed = await seal(world, old, reseller)
    both = Sealer([NEW, OLD, world_key(world)], SECRET)
    await settle_foreign_keys(world, reseller)
    assert await wrap_anew(world.owner, both, quiet) >= 1
    assert await wrap_anew(world.owner, both, quiet) == 0
    assert await unseal(world, Sealer([NEW], SECRET), reseller, sealed) == "Ada"
    assert await unseal(world, old, reseller, sealed) == "Ada"  # it remembers


def world_key(world: World) -> bytes:
    """Return the sealing key of the servers' settings."""
    return world.settings.list_sealing_keys()[0]


async def settle_foreign_keys(world: World, *mine: int) -> None:
    """Drop what other tests have wrapped with keys that nobody has."""
    async with world.owner.begin() as connection:
        for table in ("buyers", "buyer_erasures", "data_keys"):
            others = f"DELETE FROM {table} WHERE NOT reseller_id = ANY(:mine)"  # noqa: S608 - our own
            await connection.execute(text(others), {"mine": list(mine)})


async def test_all_data_is_sealed_anew_in_batches(
    world: World, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a new data key; nothing is left under the old one, which goes once nobody can use it."""
    monkeypatch.setattr(resealing, "_ROWS_AT_ONCE", 7)
    reseller = await world.new_reseller()
    await settle_foreign_keys(world)
    office = await keep_buyers(world, sealer, reseller, 30)
    before = await count_entries(world, reseller)
    assert await add_data_keys(world.owner, sealer) == 1
    assert await seal_data_anew(world.owner, sealer, quiet) == 90
    assert await seal_data_anew(world.owner, sealer, quiet) == 0
    assert await versions(world, reseller) == {2}
    for n in range(30):
        known = await office.find(EntityId(reseller), f"b-{n}")
        assert known is not None
        assert known.contact == Contact(name=f"Ada {n}", phone="123")
    # The same texts: no change of a buyer that the trail would have to tell.
    after = await count_entries(world, reseller)
    assert after == before
    assert await drop_data_keys(world.owner) == 0
    await age_keys(world, reseller)
    assert await drop_data_keys(world.owner) == 1
    assert (await office.find(EntityId(reseller), "b-1")) is not None


async def count_entries(world: World, reseller: int) -> int:
    """Return how many changes of buyers the trail tells of."""
    [row] = await world.rows(
        "SELECT count(*) AS count FROM trail_entries"
        " WHERE reseller_id = :r AND object_table = 'buyers'",
        r=reseller,
    )
    return row["count"]


async def age_keys(world: World, reseller: int) -> None:
    """Let four days pass."""
    async with world.owner.begin() as connection:
        await connection.execute(
            update(data_keys)
            .where(data_keys.c.reseller_id == reseller)
            .values(created_at=data_keys.c.created_at - text("interval '4 days'"))
        )


async def test_a_rotation_that_was_interrupted_goes_on_where_it_was(
    world: World, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without yet another data key."""
    monkeypatch.setattr(resealing, "_ROWS_AT_ONCE", 5)
    reseller = await world.new_reseller()
    await settle_foreign_keys(world)
    await keep_buyers(world, sealer, reseller, 20)
    assert await add_data_keys(world.owner, sealer) == 1

    def die(what: str, count: int) -> None:
        if what == "buyers.name_sealed" and count >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await seal_data_anew(world.owner, sealer, die)
    assert await versions(world, reseller) == {1, 2}
    assert await add_data_keys(world.owner, sealer) == 0
    await seal_data_anew(world.owner, sealer, quiet)
    assert await versions(world, reseller) == {2}
    assert await add_data_keys(world.owner, sealer) == 1


async def test_who_writes_meanwhile_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that was changed after it was read stays as its writer left it."""
    monkeypatch.setattr(resealing, "_ROWS_AT_ONCE", 3)
    reseller = await world.new_reseller()
    await settle_foreign_keys(world)
    sealer = Sealer([OLD], SECRET)
    office = await keep_buyers(world, sealer, reseller, 40)
    written: dict[int, str] = {}
    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            n, name = secrets.randbelow(40), secrets.token_hex(4)
            await office.keep(EntityId(reseller), f"b-{n}", Contact(name=name, phone="123"))
            written[n] = name

    writers = [asyncio.create_task(write()) for _ in range(3)]
    for _ in range(3):
        await add_data_keys(world.owner, sealer)
        await seal_data_anew(world.owner, Sealer([OLD], SECRET), quiet)
    over.set()
    await asyncio.gather(*writers)
    await seal_data_anew(world.owner, sealer, quiet)
    assert len(await versions(world, reseller)) == 1
    assert len(written) > 10
    names: dict[int, str | None] = {}
    for n in range(40):
        known = await office.find(EntityId(reseller), f"b-{n}")
        assert known is not None
        names[n] = known.contact.name
    assert all(n in written or names[n] == f"Ada {n}" for n in range(40))
    # Writers of one buyer at once: the last to commit is not always the last to note it here.
    assert sum(names[n] == name for n, name in written.items()) >= len(written) - 2


async def test_the_cells_own_texts_are_sealed_anew(world: World) -> None:
    """What belongs to no reseller is under a sealing key at once."""
    tables = MetaData()
    scratch = Table(
        "scratch_keys",
        tables,
        Column("kid", Text, primary_key=True),
        Column("private_key_sealed", LargeBinary),
    )
    old, both = Sealer([OLD], SECRET), Sealer([NEW, OLD], SECRET)
    place = "scratch_keys.private_key_sealed"
    async with world.owner.begin() as connection:
        await connection.run_sync(tables.create_all)
        rows = [
            {"kid": str(n), "private_key_sealed": old.seal_for_cell(place, f"k{n}")}
            for n in range(3)
        ]
        await connection.execute(
            insert(scratch).values([*rows, {"kid": "x", "private_key_sealed": None}])
        )
    try:
        assert await seal_cell_anew(world.owner, both, quiet, tables) == 3
        assert await seal_cell_anew(world.owner, both, quiet, tables) == 0
        async with world.owner.connect() as connection:
            kept = (await connection.execute(select(scratch).order_by(scratch.c.kid))).all()
        new = Sealer([NEW], SECRET)
        opened = [row[1] and new.open_for_cell(place, row[1]) for row in kept]
        assert opened == ["k0", "k1", "k2", None]
    finally:
        async with world.owner.begin() as connection:
            await connection.run_sync(tables.drop_all)


async def test_one_process_reseals_at_a_time(world: World) -> None:
    """The second is told so."""
    async with only_one(world.owner):
        with pytest.raises(BusyError):
            async with only_one(world.owner):
                pass
    async with only_one(world.owner):
        pass


async def test_a_key_that_is_still_needed_is_not_dropped(world: World, sealer: Sealer) -> None:
    """However old it is."""
    reseller = await world.new_reseller()
    await settle_foreign_keys(world)
    await keep_buyers(world, sealer, reseller, 2)
    await add_data_keys(world.owner, sealer)
    await age_keys(world, reseller)
    assert await drop_data_keys(world.owner) == 0
    async with world.owner.begin() as connection:
        await connection.execute(
            insert(data_keys).values(
                reseller_id=reseller, version=9, sealing_key="00000000", wrapped=b""
            )
        )
    await age_keys(world, reseller)
    assert await drop_data_keys(world.owner) == 1  # version 2, which sealed nothing yet
    assert await versions(world, reseller) == {1}


async def test_a_row_that_was_written_after_it_was_read_stays(world: World) -> None:
    """The new text is not overwritten with the old one under another key."""
    reseller = await world.new_reseller()
    await settle_foreign_keys(world)
    office = await keep_buyers(world, Sealer([OLD], SECRET), reseller, 1)
    await add_data_keys(world.owner, Sealer([OLD], SECRET))

    class Overtaken(Sealer):
        async def open(
            self, connection: AsyncConnection, reseller: int, place: str, sealed: bytes
        ) -> str:
            if place == PLACE:
                await office.keep(EntityId(reseller), "b-0", Contact(name="Grace"))
            return await super().open(connection, reseller, place, sealed)

    await seal_data_anew(world.owner, Overtaken([OLD], SECRET), quiet)
    known = await office.find(EntityId(reseller), "b-0")
    assert known is not None
    assert known.contact == Contact(name="Grace")
