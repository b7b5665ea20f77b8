"""Whoever changes what the audit trail told is found."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from engine.platform.database import connect_once, tenant_transaction
from engine.platform.ids import EntityId
from engine.tenancy.trail import Anchor, Broken, Sound, TrailEntry
from ops.stack import Stack
from tests.engine.ledger_world import TestedShow, World, open_world
from tests.engine.trail_ground import block, entries, tamper, verdict


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A show of a fresh reseller, whose chain has begun."""
    return await world.new_show()


@pytest.fixture
async def chain(show: TestedShow) -> TestedShow:
    """A show whose chain has some entries more."""
    for seat in range(5):
        await block(show, seat)
    found = await verdict(show)
    assert isinstance(found, Sound)
    assert found.no >= 8
    return show


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'user:usr_dev_00000000000000ff'",
        "at = at + interval '1 microsecond'",
        "address = '192.0.2.1'",
        'after = \'{"reason": "other", "seat_index": "3"}\'',
        "before = '{}'",
        "object_key = '0'",
        "action = 'removed'",
        "hash = sha256('x')",
        "previous_hash = sha256('x')",
    ],
)
async def test_an_altered_entry_is_found(chain: TestedShow, change: str) -> None:
    """Whatever of it was altered."""
    statement = f"UPDATE trail_entries SET {change} WHERE reseller_id = :reseller AND no = 6"  # noqa: S608 - our own
    await tamper(chain, statement)
    found = await verdict(chain)
    assert isinstance(found, Broken)
    assert found.no == 6


async def test_a_removed_entry_is_found(chain: TestedShow) -> None:
    """By its number, which is missing."""
    await tamper(chain, "DELETE FROM trail_entries WHERE reseller_id = :reseller AND no = 6")
    assert await verdict(chain) == Broken(
        EntityId(chain.reseller), 6, "missing: entry 7 follows entry 5"
    )


async def test_a_cut_off_end_is_found(chain: TestedShow) -> None:
    """The head still tells how long the chain was."""
    await tamper(chain, "DELETE FROM trail_entries WHERE reseller_id = :reseller AND no >= 7")
    found = await verdict(chain)
    assert isinstance(found, Broken)
    assert found.no == 7
    assert "missing" in found.reason


async def test_a_chain_that_is_gone_whole_is_found(chain: TestedShow) -> None:
    """By the head; without that too, by an anchor."""
    sound = await verdict(chain)
    assert isinstance(sound, Sound)
    await tamper(chain, "DELETE FROM trail_entries WHERE reseller_id = :reseller")
    assert isinstance(await verdict(chain), Broken)
    await tamper(chain, "DELETE FROM trail_heads WHERE reseller_id = :reseller")
    assert isinstance(await verdict(chain), Sound)
    assert isinstance(await verdict(chain, Anchor(sound.no, sound.hash)), Broken)


async def test_swapped_entries_are_found(chain: TestedShow) -> None:
    """Each says what comes before it."""
    await tamper(
        chain,
        "UPDATE trail_entries SET no = 13 - no + 100 WHERE reseller_id = :reseller"
        " AND no IN (6, 7)",
        "UPDATE trail_entries SET no = no - 100 WHERE reseller_id = :reseller AND no > 100",
    )
    found = await verdict(chain)
    assert isinstance(found, Broken)
    assert found.no == 6


async def test_an_entry_put_before_the_first_is_found(chain: TestedShow) -> None:
    """A chain begins with 1."""
    await tamper(
        chain,
        "INSERT INTO trail_entries SELECT reseller_id, 0, at, actor, address, action,"
        " object_table, object_key, before, after, previous_hash, hash"
        " FROM trail_entries WHERE reseller_id = :reseller AND no = 1",
    )
    assert isinstance(await verdict(chain), Broken)


async def test_a_chain_made_anew_is_found_by_an_anchor(chain: TestedShow) -> None:
    """Whoever owns the database can forge all of it, but not what was written down elsewhere."""
    sound = await verdict(chain)
    assert isinstance(sound, Sound)
    anchor = Anchor(sound.no, sound.hash)
    assert await verdict(chain, anchor) == sound
    await tamper(
        chain,
        "UPDATE trail_entries SET actor = 'user:other' WHERE reseller_id = :reseller AND no = 6",
    )
    previous = b""
    for entry in (await entries(chain))[5:]:
        async with connect_once(chain.world.settings.database_url) as connection:
            await connection.execute(text("SET session_replication_role = 'replica'"))
            forged = TrailEntry(
                **{
                    name: getattr(entry, name)
                    for name in TrailEntry.__struct_fields__
                    if name != "previous"
                },
                previous=previous or entry.previous,
            )
            previous = forged.recomputed()
            await connection.execute(
                text(
                    "UPDATE trail_entries SET previous_hash = :previous, hash = :hash"
                    " WHERE reseller_id = :reseller AND no = :no"
                ),
                {
                    "previous": forged.previous,
                    "hash": previous,
                    "reseller": chain.reseller,
                    "no": entry.no,
                },
            )
            await connection.execute(
                text("UPDATE trail_heads SET hash = :hash WHERE reseller_id = :reseller"),
                {"hash": previous, "reseller": chain.reseller},
            )
            await connection.commit()
    assert isinstance(await verdict(chain), Sound)
    found = await verdict(chain, anchor)
    assert isinstance(found, Broken)
    assert found.no == anchor.no


async def test_nobody_can_have_an_entry_made_of_what_never_happened(show: TestedShow) -> None:
    """A trigger's function is its owner's to use: hung on a table of one's own it would forge."""
    for function in ("note_change('reseller_id', 'id', '', '', '', '')", "append_trail()"):
        forges = (
            "CREATE TRIGGER forges AFTER INSERT ON api_keys REFERENCING NEW TABLE AS new_rows"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {function}"
        )
        async with tenant_transaction(show.world.app, show.reseller) as connection:
            own = "CREATE TEMP TABLE api_keys (id BIGINT, reseller_id BIGINT) ON COMMIT DROP"
            await connection.execute(text(own))
            with pytest.raises(DBAPIError, match="permission denied for function"):
                await connection.execute(text(forges))
            await connection.rollback()
