"""API keys in PostgreSQL: scopes, expiry, rotation with overlap, revocation."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import resellers
from engine.tenancy.keys import (
    KEYS_MAX,
    IssuedKey,
    Key,
    KeyEnded,
    NewKey,
    NotApproved,
    ScopesExceeded,
    TooManyKeys,
    UnknownKey,
    add_key,
    authenticate,
    find_key,
    issue_key,
    list_keys,
    rename_key,
    revoke_key,
    rotate_key,
)
from engine.tenancy.principals import EVERY_SCOPE, Scope
from engine.tenancy.resellers import create_reseller
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world

_DAY = timedelta(days=1)


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def reseller(world: World) -> EntityId:
    """A reseller with a first key."""
    return (await create_reseller(world.owner, "dev", "Halle Nord")).reseller


async def issued(
    world: World,
    reseller: EntityId,
    *scopes: Scope,
    expires_at: datetime | None = None,
) -> tuple[IssuedKey, Key]:
    """Make a key."""
    new = NewKey(name="shop", scopes=frozenset(scopes) or EVERY_SCOPE, expires_at=expires_at)
    made = await issue_key(world.app, reseller, "dev", new)
    assert isinstance(made, tuple)
    return made


async def test_a_key_has_the_scopes_that_it_was_given(world: World, reseller: EntityId) -> None:
    """And no others."""
    key, told = await issued(world, reseller, Scope.SHOWS_READ, Scope.TICKETS_SCAN)
    found = await authenticate(world.app, key.text)
    assert found is not None
    assert found.principal.scopes == told.scopes == {Scope.SHOWS_READ, Scope.TICKETS_SCAN}
    assert (found.principal.reseller, found.principal.credential) == (reseller, key.id)
    assert found.ends_in_s is None


async def test_nobody_hands_out_scopes_that_they_lack(world: World, reseller: EntityId) -> None:
    """Neither with a new key nor by rotating another's, whose text they would see."""
    own = frozenset({Scope.KEYS_MANAGE, Scope.SHOWS_READ})
    wide = NewKey(name="wide", scopes=own | {Scope.BUYERS_READ})
    refused = await issue_key(world.app, reseller, "dev", wide, granted_by=own)
    assert refused == ScopesExceeded(frozenset({Scope.BUYERS_READ}))
    key, _ = await issued(world, reseller)
    rotated = await rotate_key(
        world.app,
        reseller,
        "dev",
        key.id,
        overlap=_DAY,
        granted_by=EVERY_SCOPE - {Scope.TRAIL_READ},
    )
    assert rotated == ScopesExceeded(frozenset({Scope.TRAIL_READ}))
    assert await authenticate(world.app, key.text) is not None


async def test_a_key_ends_when_it_expires(world: World, reseller: EntityId) -> None:
    """Until then it is told how long it is good."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    key, told = await issued(world, reseller, expires_at=soon)
    assert told.expires_at == soon
    found = await authenticate(world.app, key.text)
    assert found is not None
    assert found.ends_in_s == pytest.approx(3600, abs=30)
    await _set(world, reseller, key.id, "expires_at = now() - interval '1 second'")
    assert await authenticate(world.app, key.text) is None
    rotated = await rotate_key(world.app, reseller, "dev", key.id, overlap=_DAY)
    assert rotated == KeyEnded()


async def test_a_rotated_key_lives_on_for_its_overlap(world: World, reseller: EntityId) -> None:
    """Both open, with the same scopes; then only the new one."""
    old, _ = await issued(world, reseller, Scope.SHOWS_READ)
    rotated = await rotate_key(world.app, reseller, "dev", old.id, overlap=_DAY)
    assert isinstance(rotated, tuple)
    new, told = rotated
    assert (told.name, told.scopes) == ("shop", {Scope.SHOWS_READ})
    before, after = [await authenticate(world.app, key.text) for key in (old, new)]
    assert before is not None
    assert after is not None
    assert before.ends_in_s == pytest.approx(86_400, abs=30)
    assert after.ends_in_s is None
    kept = await find_key(world.app, reseller, old.id)
    assert isinstance(kept, Key)
    assert kept.replaced_by == new.id
    await _set(world, reseller, old.id, "overlap_until = now()")
    assert await authenticate(world.app, old.text) is None
    assert await authenticate(world.app, new.text) is not None


async def test_a_key_is_rotated_once(world: World, reseller: EntityId) -> None:
    """Of many who do so at the same time one gets the new key."""
    key, _ = await issued(world, reseller)
    rotated = await asyncio.gather(
        *(rotate_key(world.app, reseller, "dev", key.id, overlap=_DAY) for _ in range(5))
    )
    assert sum(isinstance(one, tuple) for one in rotated) == 1
    assert sum(one == KeyEnded() for one in rotated) == 4


async def test_without_an_overlap_the_old_key_ends_at_once(
    world: World, reseller: EntityId
) -> None:
    """As after a leak."""
    key, _ = await issued(world, reseller)
    await rotate_key(world.app, reseller, "dev", key.id, overlap=timedelta())
    assert await authenticate(world.app, key.text) is None


async def test_a_revoked_key_stays_revoked(world: World, reseller: EntityId) -> None:
    """Revoking it again changes nothing, not even when it was."""
    key, _ = await issued(world, reseller)
    first = await revoke_key(world.app, reseller, key.id)
    assert isinstance(first, Key)
    assert first.revoked_at is not None
    assert await revoke_key(world.app, reseller, key.id) == first
    assert await authenticate(world.app, key.text) is None
    rotated = await rotate_key(world.app, reseller, "dev", key.id, overlap=_DAY)
    assert rotated == KeyEnded()


async def test_other_resellers_keys_are_unknown(world: World, reseller: EntityId) -> None:
    """Whatever is asked of them."""
    key, _ = await issued(world, reseller)
    stranger = (await create_reseller(world.owner, "dev", "Halle West")).reseller
    for told in (
        await find_key(world.app, stranger, key.id),
        await rename_key(world.app, stranger, key.id, "mine"),
        await revoke_key(world.app, stranger, key.id),
        await rotate_key(world.app, stranger, "dev", key.id, overlap=_DAY),
    ):
        assert told == UnknownKey()
    listed = await list_keys(world.app, stranger, after=key.id, limit=50)
    assert key.id not in {one.id for one in listed}
    found = await find_key(world.app, reseller, key.id)
    assert isinstance(found, Key)
    assert (found.name, found.revoked_at) == ("shop", None)


async def test_keys_are_listed_page_by_page(world: World, reseller: EntityId) -> None:
    """The newest first."""
    made = [(await issued(world, reseller))[0].id for _ in range(4)]
    page = await list_keys(world.app, reseller, after=None, limit=3)
    rest = await list_keys(world.app, reseller, after=page[-1].id, limit=3)
    assert [key.id for key in (*page, *rest)][:4] == made[::-1]
    assert len(rest) == 2


async def test_there_are_so_many_keys_and_no_more(world: World, reseller: EntityId) -> None:
    """Those that have ended don't count."""
    async with tenant_transaction(world.app, reseller) as connection:
        made = [
            await add_key(connection, reseller, "dev", NewKey(name="many"))
            for _ in range(KEYS_MAX - 1)
        ]
    refused = await issue_key(world.app, reseller, "dev", NewKey(name="one more"))
    assert refused == TooManyKeys()
    await revoke_key(world.app, reseller, made[0].id)
    assert isinstance(await issue_key(world.app, reseller, "dev", NewKey(name="x")), tuple)


async def test_a_scope_of_a_later_version_means_nothing(world: World, reseller: EntityId) -> None:
    """While two versions run side by side."""
    key, _ = await issued(world, reseller, Scope.SHOWS_READ)
    await _set(world, reseller, key.id, "scopes = scopes || ARRAY['moons:launch']")
    found = await authenticate(world.app, key.text)
    assert found is not None
    assert found.principal.scopes == {Scope.SHOWS_READ}


async def _set(world: World, reseller: EntityId, key: EntityId, change: str) -> None:
    async with tenant_transaction(world.app, reseller) as connection:
        await connection.execute(
            text(f"UPDATE api_keys SET {change} WHERE id = :key"),  # noqa: S608 - of this file
            {"key": key},
        )


@pytest.mark.parametrize("status", ["pending", "suspended"])
async def test_who_is_not_approved_has_no_keys(
    world: World, reseller: EntityId, status: str
) -> None:
    """Those that there are open nothing, and come back when the reseller does."""
    key, _ = await issued(world, reseller)
    await _set_reseller(world, reseller, "status", status)
    assert await authenticate(world.app, key.text) is None
    refused = await issue_key(world.app, reseller, "dev", NewKey(name="x"))
    assert refused == NotApproved()
    rotated = await rotate_key(world.app, reseller, "dev", key.id, overlap=_DAY)
    assert rotated == NotApproved()
    await _set_reseller(world, reseller, "status", "approved")
    assert await authenticate(world.app, key.text) is not None


async def test_a_sandboxs_keys_say_so(world: World, reseller: EntityId) -> None:
    """By `test` in the place of `live`."""
    await _set_reseller(world, reseller, "mode", "sandbox")
    key, _ = await issued(world, reseller)
    assert key.text.startswith("onsale_dev_test_")
    assert await authenticate(world.app, key.text) is not None


async def _set_reseller(world: World, reseller: EntityId, column: str, value: str) -> None:
    async with world.owner.begin() as connection:
        await connection.execute(
            update(resellers).where(resellers.c.id == reseller).values({column: value})
        )
