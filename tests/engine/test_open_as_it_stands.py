"""A recovery opens a show as it stands only if it lost nothing; else it is built anew."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import text

from engine.inventory.claims import SHORT_OUTAGE_MS, Claimed
from engine.inventory.facts import StreamId
from engine.inventory.recovery import Recovered
from engine.platform.database import tenant_transaction
from engine.sales.returns import take_back
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS

SEATS_SOLD = 6


@pytest.fixture
async def ground(servers: Stack) -> AsyncIterator[Ground]:
    """A show with sold, held, blocked and released places, all of it recorded."""
    async with open_ground(servers.settings) as opened:
        yield opened


async def _content(ground: Ground) -> dict[str, Any]:
    names = ("seats", "areas", "holds", "expiry", "buyers", "keys")
    return {name: await ground.raw.dump(ground.key(name)) for name in names}


async def _recover(ground: Ground, *, anew: bool = False) -> Recovered:
    recovered = await ground.working.recoverer.recover(ground.show.id, "test", anew=anew)
    assert recovered is not None
    return recovered


async def _is_as_it_was(ground: Ground) -> bool:
    """Recover, and tell whether the very bytes were left: who builds anew packs in another order.

    A hold that was released leaves a tombstone whose time a rebuild puts off by the outage.
    """
    before = await _content(ground)
    await asyncio.sleep(0.01)  # the outage that a rebuild would put deadlines off by
    await _recover(ground)
    return await _content(ground) == before


async def _sold(ground: Ground) -> int:
    """Audit the show, and return how many seats are sold."""
    result = await ground.audited()
    assert result.findings == [], result.findings
    return (await ground.raw.get(ground.key("seats"))).count(b"s")


async def test_what_lost_nothing_stays_as_it_is_to_the_byte(ground: Ground) -> None:
    """Live holds included, whose deadlines are what they were."""
    assert await _is_as_it_was(ground)
    assert await _sold(ground) == SEATS_SOLD
    again = await _recover(ground)
    assert (again.facts_drained, again.holds_kept, again.holds_voided) == (0, 1, 0)


async def test_anew_is_anew(ground: Ground) -> None:
    """Who suspects the content has it written from the ledger."""
    before = await _content(ground)
    await asyncio.sleep(0.01)
    recovered = await _recover(ground, anew=True)
    assert (recovered.holds_kept, recovered.holds_voided) == (1, 0)
    assert (await _content(ground))["expiry"] != before["expiry"], "put off by the outage"
    assert await _sold(ground) == SEATS_SOLD


async def test_a_sale_that_was_not_recorded_is_drained(ground: Ground) -> None:
    """And nothing else has to be done."""
    order = await ground.sell("late", "lea", Wanted(seats=(ground.label(9),)))
    before = await _content(ground)
    recovered = await _recover(ground)
    assert recovered.facts_drained == 1
    assert await _content(ground) == before
    assert await _sold(ground) == SEATS_SOLD + 1
    assert order in (await ground.raw.hkeys(ground.key("holds")))


async def test_a_store_that_fell_back_before_a_recorded_sale_is_built_anew(ground: Ground) -> None:
    """The seat that the ledger has sold is sold again, as far as the store is concerned."""
    keys = [f"{{{ground.show.id:016x}}}:{name}" for name in ("meta", "sales", "deltas")]
    older = {key: await ground.raw.dump(key) for key in keys} | {
        ground.key(name): dumped for name, dumped in (await _content(ground)).items()
    }
    await ground.sell("late", "lea", Wanted(seats=(ground.label(9),)))
    await ground.record()
    for key, dumped in older.items():
        await ground.raw.restore(key, 0, dumped, replace=True)
    assert (await ground.raw.getrange(ground.key("seats"), ground.seat(9), ground.seat(9))) == b"o"
    recovered = await _recover(ground)
    assert (recovered.facts_drained, recovered.holds_kept) == (0, 1)
    assert await _sold(ground) == SEATS_SOLD + 1


async def test_counts_that_differ_from_the_ledgers_are_built_anew(ground: Ground) -> None:
    """The last fence: a sold seat or place that the store has lost without a trace."""
    seats = await ground.raw.get(ground.key("seats"))
    await ground.raw.setrange(ground.key("seats"), seats.index(b"s"), b"o")
    await _recover(ground)
    assert await _sold(ground) == SEATS_SOLD
    await ground.raw.delete(ground.key("areas"))
    await _recover(ground)
    assert await _sold(ground) == SEATS_SOLD


async def test_after_a_sale_that_failed_a_show_is_built_anew(ground: Ground) -> None:
    """Its places stand as sold and are nobody's."""
    sold = (await ground.raw.get(ground.key("seats"))).index(b"s")
    await ground.state_of(sold, b"o")
    label = ground.show.manifest.label_of(sold)
    await ground.sell("twice", "tom", Wanted(seats=(label, ground.label(9))))
    await _recover(ground)
    assert await _sold(ground) == SEATS_SOLD


async def test_after_an_attempt_that_ended_halfway_a_show_is_built_anew(ground: Ground) -> None:
    """Nobody knows what became of an epoch that was committed and never opened."""
    await ground.sql("UPDATE shows SET epoch = epoch + 1 WHERE id = :show")
    assert not await _is_as_it_was(ground)
    assert await _sold(ground) == SEATS_SOLD


async def test_a_change_of_the_house_that_one_store_has_is_built_anew(ground: Ground) -> None:
    """The ledger's inventory version is what counts."""
    await ground.raw.hincrby(ground.key("meta"), "version", 1)
    assert not await _is_as_it_was(ground)
    assert await _sold(ground) == SEATS_SOLD


async def test_a_return_that_only_the_ledger_has_is_built_in(ground: Ground) -> None:
    """Its seats are on sale again, which nobody would ever tell the store."""
    show = ground.show
    async with tenant_transaction(ground.serving.app_engine, show.reseller) as connection:
        assert await take_back(connection, IDS, show.id, ground.orders[0]) == "returned"
    await _recover(ground)
    assert await _sold(ground) == SEATS_SOLD - 4
    assert await ground.raw.hget(ground.key("meta"), "return_no") == b"1"
    assert await _is_as_it_was(ground)


async def test_a_seat_that_only_the_store_withholds_is_built_in(ground: Ground) -> None:
    """As after a change of the house that PostgreSQL has undone, under a number that came again."""
    await ground.state_of(ground.seat(9), b"b")
    await _recover(ground)
    assert (await ground.raw.getrange(ground.key("seats"), ground.seat(9), ground.seat(9))) == b"o"
    assert await _sold(ground) == SEATS_SOLD


async def test_a_show_that_has_sold_nothing_is_left_as_it_is_too(servers: Stack) -> None:
    """From its first restart on."""
    async with open_ground(servers.settings) as ground:
        position = "SELECT epoch FROM recorder_positions WHERE show_id = :show"
        async with ground.working.recorder_engine.connect() as connection:
            found = await connection.scalar(text(position), {"show": ground.show.id})
        assert found == 1, "its opening drained nothing, and said so"


async def test_what_can_not_be_read_is_built_anew(ground: Ground) -> None:
    """A scheduled hold whose record is spoilt, and keys of another type."""
    await ground.raw.hset(ground.key("holds"), ground.held, b"spoilt")
    recovered = await _recover(ground)
    assert (recovered.holds_kept, recovered.holds_voided) == (0, 0)
    await ground.raw.delete(ground.key("expiry"))
    await ground.raw.set(ground.key("expiry"), b"spoilt")
    await _recover(ground)
    assert await _sold(ground) == SEATS_SOLD


_STANDS = Claimed(
    outage_ms=0,
    inventory_version=1,
    return_no=0,
    open_under=6,
    last_sale=StreamId(6, 9),
    live_holds=1,
)


@pytest.mark.parametrize(
    ("claimed", "position", "lost_nothing"),
    [
        (_STANDS, StreamId(6, 9), True),
        (_STANDS, StreamId(6, 4), True),
        (_STANDS, StreamId(6, 10), False),
        (_STANDS, StreamId(6, -1), True),
        (_STANDS, StreamId(5, 9), False),
        (_STANDS, StreamId(7, -1), False),
        (structs.replace(_STANDS, last_sale=None), StreamId(6, 0), False),
        (structs.replace(_STANDS, last_sale=None), StreamId(6, -1), True),
        (structs.replace(_STANDS, last_sale=StreamId(5, 30)), StreamId(6, 0), False),
        (structs.replace(_STANDS, open_under=0), StreamId(6, 9), False),
        (structs.replace(_STANDS, open_under=0, last_sale=None), StreamId(0, -1), False),
        (structs.replace(_STANDS, open_under=5), StreamId(6, 9), False),
        (structs.replace(_STANDS, outage_ms=SHORT_OUTAGE_MS), StreamId(6, 9), True),
        (structs.replace(_STANDS, outage_ms=SHORT_OUTAGE_MS + 1), StreamId(6, 9), False),
        (
            structs.replace(_STANDS, outage_ms=SHORT_OUTAGE_MS + 1, live_holds=0),
            StreamId(6, 9),
            True,
        ),
    ],
)
def test_what_lost_nothing(claimed: Claimed, position: StreamId, *, lost_nothing: bool) -> None:
    """Open under the epoch before, every recorded sale there, no deadline to put off."""
    assert claimed.lost_nothing(7 if position.epoch else 1, position) is lost_nothing
