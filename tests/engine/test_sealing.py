"""Sealed texts open where they were sealed, for whom they were sealed, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    delete,
    select,
    update,
)

from engine.platform.database import tenant_transaction
from engine.platform.sealing import Sealer, SealError
from engine.platform.tables import data_keys
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world
from tests.engine.sealing_world import NEW, OLD, PLACE, SECRET, seal, unseal


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
def sealer() -> Sealer:
    """A process' sealer."""
    return Sealer([OLD], SECRET)


async def test_what_was_sealed_opens_in_any_process(world: World, sealer: Sealer) -> None:
    """One that remembers the key, and one that has to read it."""
    reseller = await world.new_reseller()
    sealed = await seal(world, sealer, reseller, "Ada \U0001f3ad")
    assert b"Ada" not in sealed
    for other in (sealer, Sealer([OLD], SECRET)):
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
    cell = Sealer([OLD], SECRET)
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
                    await sealer.open(connection, reseller, PLACE, bytes(altered))
        for length in range(len(sealed)):
            with pytest.raises(SealError):
                await sealer.open(connection, reseller, PLACE, sealed[:length])


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
        sealer.open_for_cell(PLACE, sealed)
    with pytest.raises(SealError):
        await unseal(world, sealer, reseller, sealer.seal_for_cell(PLACE, "Ada"))


async def test_a_resellers_texts_are_gone_with_their_data_key(world: World, sealer: Sealer) -> None:
    """For whoever does not remember it."""
    reseller = await world.new_reseller()
    sealed = await seal(world, sealer, reseller)
    async with world.owner.begin() as connection:
        await connection.execute(delete(data_keys).where(data_keys.c.reseller_id == reseller))
    with pytest.raises(SealError):
        await unseal(world, Sealer([OLD], SECRET), reseller, sealed)


async def test_a_data_key_that_was_rolled_back_seals_nothing(world: World, sealer: Sealer) -> None:
    """Else what it sealed could be opened by this process only, and by nobody afterwards."""
    reseller = await world.new_reseller()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what it fails amid
        async with tenant_transaction(world.app, reseller) as connection:
            await sealer.seal(connection, reseller, PLACE, "Ada")
            raise ZeroDivisionError
    sealed = await seal(world, sealer, reseller)
    assert await unseal(world, Sealer([OLD], SECRET), reseller, sealed) == "Ada"


async def test_a_key_that_was_rolled_back_keeps_nobody_from_opening(
    world: World, sealer: Sealer
) -> None:
    """The process that remembers it reads the one that took its place."""
    reseller = await world.new_reseller()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what it fails amid
        async with tenant_transaction(world.app, reseller) as connection:
            await sealer.seal(connection, reseller, PLACE, "Ada")
            raise ZeroDivisionError
    sealed = await seal(world, Sealer([OLD], SECRET), reseller)
    assert await unseal(world, sealer, reseller, sealed) == "Ada"


async def test_first_texts_at_once_share_one_data_key(world: World) -> None:
    """Of processes that know nothing of each other."""
    reseller = await world.new_reseller()
    sealers = [Sealer([OLD], SECRET) for _ in range(6)]
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
        await unseal(world, Sealer([NEW], SECRET), reseller, sealed)
    assert await unseal(world, Sealer([NEW, OLD], SECRET), reseller, sealed) == "Ada"
    async with world.owner.begin() as connection:
        await connection.execute(
            update(data_keys).where(data_keys.c.reseller_id == reseller).values(sealing_key="?")
        )
    with pytest.raises(SealError):
        await unseal(world, Sealer([OLD], SECRET), reseller, sealed)


async def test_the_memory_of_data_keys_is_bounded_and_keeps_what_is_used(
    world: World, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were used least lately go first."""
    monkeypatch.setattr("engine.platform.sealing._REMEMBERED_MAX", 3)
    first = await world.new_reseller()
    sealed = await seal(world, sealer, first)
    remembered: Any = sealer._data_keys  # pyright: ignore[reportPrivateUsage]
    unwrapped = remembered[first, 1]
    for _ in range(5):
        await seal(world, sealer, await world.new_reseller())
        assert await unseal(world, sealer, first, sealed) == "Ada"
    assert len(remembered) == 3
    assert remembered[first, 1] is unwrapped  # never forgotten, and unwrapped again


def test_digests_differ_by_reseller_place_text_and_secret(sealer: Sealer) -> None:
    """And are the same in every process of a cell."""
    digests = {
        sealer.digest(1, "a.b_digest", "x"),
        sealer.digest(2, "a.b_digest", "x"),
        sealer.digest(1, "a.c_digest", "x"),
        sealer.digest(1, "a.b_digest", "y"),
        Sealer([OLD], b"t" * 32).digest(1, "a.b_digest", "x"),
    }
    assert len(digests) == 5
    assert Sealer([NEW], SECRET).digest(1, "a.b_digest", "x") in digests
