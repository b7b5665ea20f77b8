"""Sealed texts open where they were sealed, for whom they were sealed, and nowhere else."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update

from engine.platform import resealing
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.resealing import (
    BusyError,
    add_data_keys,
    drop_data_keys,
    only_one,
    seal_data_anew,
    sealed_columns,
    wrap_anew,
)
from engine.platform.sealing import Sealer, SealError
from engine.platform.tables import data_keys
from engine.sales.buyers import BuyersOffice, Contact
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world

_OLD, _NEW = b"o" * 32, b"n" * 32
_SECRET = b"s" * 32
_PLACE = "buyers.name_sealed"


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
def sealer() -> Sealer:
    """A process' sealer."""
    return Sealer([_OLD], _SECRET)


async def seal(world: World, sealer: Sealer, reseller: int, content: str = "Ada") -> bytes:
    """Seal in a transaction of its own."""
    async with tenant_transaction(world.app, reseller) as connection:
        return await sealer.seal(connection, reseller, _PLACE, content)


async def unseal(
    world: World, sealer: Sealer, reseller: int, sealed: bytes, place: str = _PLACE
) -> str:
    """Open in a transaction of its own."""
    async with tenant_transaction(world.app, reseller) as connection:
        return await sealer.open(connection, reseller, place, sealed)


async def test_what_was_sealed_opens_in_any_process(world: World, sealer: Sealer) -> None:
    """One that remembers the key, and one that has to read it."""
    reseller = await world.new_reseller()
    sealed = await seal(world, sealer, reseller, "Ada \U0001f3ad")
    assert b"Ada" not in sealed
    for other in (sealer, Sealer([_OLD], _SECRET)):
        assert await unseal(world, other, reseller, sealed) == "Ada \U0001f3ad"
    assert await seal(world, sealer, reseller, "Ada \U0001f3ad") != sealed


@given(
    content=st.text(st.characters(exclude_categories=["Cs"])),
    spot=st.integers(0),
    bit=st.integers(0, 7),
)
@settings(max_examples=200, deadline=None)
def test_a_text_comes_back_as_it_was_and_no_altered_bit_passes(
    content: str, spot: int, bit: int
) -> None:
    """For the cell's texts, whose keys need no store; resellers' go the same way."""
    cell = Sealer([_OLD], _SECRET)
    sealed = cell.seal_for_cell("signing_keys.private_key_sealed", content)
    assert cell.open_for_cell("signing_keys.private_key_sealed", sealed) == content
    altered = bytearray(sealed)
    altered[spot % len(sealed)] ^= 1 << bit
    with pytest.raises(SealError):
        cell.open_for_cell("signing_keys.private_key_sealed", bytes(altered))


async def test_no_altered_byte_of_a_resellers_text_passes(world: World, sealer: Sealer) -> None:
    """Each byte of it; a version that no integer of PostgreSQL holds among them."""
    reseller = await world.new_reseller()
    sealed = await seal(world, sealer, reseller)
    async with tenant_transaction(world.app, reseller) as connection:
        for spot in range(len(sealed)):
            for change in (1, 0x80):
                altered = bytearray(sealed)
                altered[spot] ^= change
                with pytest.raises(SealError):
                    await sealer.open(connection, reseller, _PLACE, bytes(altered))
        for length in range(len(sealed)):
            with pytest.raises(SealError):
                await sealer.open(connection, reseller, _PLACE, sealed[:length])


async def test_a_text_opens_in_no_other_place_and_for_no_other_reseller(
    world: World, sealer: Sealer
) -> None:
    """Also if the other has the very same data key's version."""
    reseller, other = await world.new_reseller(), await world.new_reseller()
    sealed = await seal(world, sealer, reseller)
    await seal(world, sealer, other)
    with pytest.raises(SealError):
        await unseal(world, sealer, other, sealed)
    with pytest.raises(SealError):
        await unseal(world, sealer, reseller, sealed, "buyers.email_sealed")
    with pytest.raises(SealError):
        sealer.open_for_cell(_PLACE, sealed)
    with pytest.raises(SealError):
        await unseal(world, sealer, reseller, sealer.seal_for_cell(_PLACE, "Ada"))


async def test_a_resellers_texts_are_gone_with_their_data_key(world: World, sealer: Sealer) -> None:
    """For whoever does not remember it."""
    reseller = await world.new_reseller()
    sealed = await seal(world, sealer, reseller)
    async with world.owner.begin() as connection:
        await connection.execute(delete(data_keys).where(data_keys.c.reseller_id == reseller))
    with pytest.raises(SealError):
        await unseal(world, Sealer([_OLD], _SECRET), reseller, sealed)


async def test_a_data_key_that_was_rolled_back_seals_nothing(world: World, sealer: Sealer) -> None:
    """Else what it sealed could be opened by this process only, and by nobody afterwards."""
    reseller = await world.new_reseller()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what it fails amid
        async with tenant_transaction(world.app, reseller) as connection:
            await sealer.seal(connection, reseller, _PLACE, "Ada")
            raise ZeroDivisionError
    sealed = await seal(world, sealer, reseller)
    assert await unseal(world, Sealer([_OLD], _SECRET), reseller, sealed) == "Ada"


async def test_a_key_that_was_rolled_back_keeps_nobody_from_opening(
    world: World, sealer: Sealer
) -> None:
    """The process that remembers it reads the one that took its place."""
    reseller = await world.new_reseller()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what it fails amid
        async with tenant_transaction(world.app, reseller) as connection:
            await sealer.seal(connection, reseller, _PLACE, "Ada")
            raise ZeroDivisionError
    sealed = await seal(world, Sealer([_OLD], _SECRET), reseller)
    assert await unseal(world, sealer, reseller, sealed) == "Ada"


async def test_first_texts_at_once_share_one_data_key(world: World) -> None:
    """Of processes that know nothing of each other."""
    reseller = await world.new_reseller()
    sealers = [Sealer([_OLD], _SECRET) for _ in range(6)]
    sealed = await asyncio.gather(*(seal(world, one, reseller) for one in sealers))
    for one in sealed:
        assert await unseal(world, sealers[0], reseller, one) == "Ada"
    async with world.owner.connect() as connection:
        query = select(data_keys.c.version).where(data_keys.c.reseller_id == reseller)
        assert (await connection.scalars(query)).all() == [1]


async def test_a_process_without_the_sealing_key_says_so(world: World, sealer: Sealer) -> None:
    """By its name, which is no secret."""
    reseller = await world.new_reseller()
    sealed = await seal(world, sealer, reseller)
    with pytest.raises(SealError, match=sealer.sealing_key):
        await unseal(world, Sealer([_NEW], _SECRET), reseller, sealed)
    assert await unseal(world, Sealer([_NEW, _OLD], _SECRET), reseller, sealed) == "Ada"
    async with world.owner.begin() as connection:
        await connection.execute(
            update(data_keys).where(data_keys.c.reseller_id == reseller).values(sealing_key="?")
        )
    with pytest.raises(SealError):
        await unseal(world, Sealer([_OLD], _SECRET), reseller, sealed)


async def test_the_memory_of_data_keys_is_bounded_and_keeps_what_is_used(
    world: World, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were used least lately go first."""
    monkeypatch.setattr("engine.platform.sealing._REMEMBERED_MAX", 3)
    first = await world.new_reseller()
    sealed = await seal(world, sealer, first)
    for _ in range(5):
        await seal(world, sealer, await world.new_reseller())
        assert await unseal(world, sealer, first, sealed) == "Ada"
    remembered: Any = sealer._data_keys  # pyright: ignore[reportPrivateUsage]
    assert len(remembered) == 3
    assert (first, 1) in remembered


def test_digests_differ_by_reseller_place_text_and_secret(sealer: Sealer) -> None:
    """And are the same in every process of a cell."""
    digests = {
        sealer.digest(1, "a.b_digest", "x"),
        sealer.digest(2, "a.b_digest", "x"),
        sealer.digest(1, "a.c_digest", "x"),
        sealer.digest(1, "a.b_digest", "y"),
        Sealer([_OLD], b"t" * 32).digest(1, "a.b_digest", "x"),
    }
    assert len(digests) == 5
    assert Sealer([_NEW], _SECRET).digest(1, "a.b_digest", "x") in digests


# Rotation -----------------------------------------------------------------------------------------


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
    old = Sealer([_OLD, world_key(world)], _SECRET)
    sealed = await seal(world, old, reseller)
    both = Sealer([_NEW, _OLD, world_key(world)], _SECRET)
    await settle_foreign_keys(world, reseller)
    assert await wrap_anew(world.owner, both, quiet) >= 1
    assert await wrap_anew(world.owner, both, quiet) == 0
    assert await unseal(world, Sealer([_NEW], _SECRET), reseller, sealed) == "Ada"
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
    sealer = Sealer([_OLD], _SECRET)
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
        await seal_data_anew(world.owner, Sealer([_OLD], _SECRET), quiet)
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
