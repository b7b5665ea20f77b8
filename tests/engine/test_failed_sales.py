"""A sale that becomes no order: its buyer is to be paid back, and its places go on sale again."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from prometheus_client import Counter
from sqlalchemy import RowMapping, update
from structlog.testing import capture_logs

from engine.inventory.keys import WAKE_CHANNEL, Wake, show_keys, wake_call
from engine.inventory.tending import tended_shows
from engine.platform.metrics import CONFLICTS, STRANDED_FACTS
from engine.platform.redis import subscribe_redis
from engine.platform.tables import shows
from ops.stack import Stack
from tests.engine.ledger_world import TestedShow, World, open_world

_VIP, _STD = 11_159, 5_123
"""What a ticket costs: fees and tax included."""


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A show in epoch 1."""
    return await world.new_show()


async def _refunds(show: TestedShow) -> dict[bytes, RowMapping]:
    found = await show.world.rows("SELECT * FROM refund_requests WHERE show_id = :s", s=show.id)
    return {row["order_id"].bytes: row for row in found}


async def _has_failed_sale(show: TestedShow) -> bool:
    engine, owner = show.world.recorder_engine, show.world.owner
    state = update(shows).where(shows.c.id == show.id)
    async with owner.begin() as connection:
        await connection.execute(state.values(state="off_sale"))
    tended = await tended_shows(engine)
    async with owner.begin() as connection:
        await connection.execute(state.values(state="draft"))
    return next(one.has_failed_sale for one in tended if one.id == show.id)


def _counted() -> tuple[float, float]:
    """Return the conflicts and the stranded facts that this process has counted."""
    return _value(CONFLICTS), _value(STRANDED_FACTS)


def _value(counter: Counter) -> float:
    [family] = counter.collect()
    return next(one.value for one in family.samples if one.name.endswith("_total"))


async def test_an_order_in_conflict_is_to_be_paid_back_once(show: TestedShow) -> None:
    """In the same transaction, and not again when its fact comes again."""
    await show.sell([5])
    loser = await show.sell([5, 12])
    recorder = show.recorder()
    counted = _counted()
    await recorder.record(show.id)
    await show.sell([5, 12], hold=loser)
    await recorder.record(show.id)
    [(order, request)] = (await _refunds(show)).items()
    assert order == loser
    assert (request["reason"], request["amount"]) == ("conflict", _VIP + _STD)
    assert (request["currency"], request["payment_reference"]) == ("EUR", "pay-1")
    assert request["reseller_id"] == show.reseller
    assert _counted() == (counted[0] + 1, counted[1])


async def test_the_workers_are_asked_to_put_its_other_places_on_sale_again(
    show: TestedShow,
) -> None:
    """At once; and if that call is lost, the show is found ailing, until it is in a new epoch."""
    assert not await _has_failed_sale(show)
    client = subscribe_redis(show.world.settings.redis_url)
    async with client.pubsub() as heard, asyncio.timeout(10):
        await heard.subscribe(WAKE_CHANNEL)
        await show.sell([5])
        await show.recorder().record(show.id)
        await show.sell([5, 6])
        await show.recorder().record(show.id)
        wanted = wake_call(Wake.RECOVER, show.id).encode()
        while True:
            message = await heard.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is not None and message["data"] == wanted:
                break
    await client.aclose()
    assert await _has_failed_sale(show)
    await show.raise_epoch()
    assert not await _has_failed_sale(show)


async def test_a_stranded_sale_is_to_be_paid_back_once_and_counted_once(
    show: TestedShow,
) -> None:
    """Each later drain finds it in the stream again, as long as it is there."""
    lost = await show.sell([3])
    keys = show_keys(show.id)
    [(at, fields)] = await show.world.raw.xrange(keys.sales)
    await show.world.raw.delete(keys.sales)
    await show.raise_epoch()
    recorder = show.recorder()
    await recorder.record(show.id, drain=True)
    await show.world.raw.xadd(keys.sales, fields, id=at)
    counted = _counted()
    with capture_logs() as logs:
        for _ in range(3):
            await show.raise_epoch()
            await recorder.record(show.id, drain=True)
    assert "judging a batch again" not in {one["event"] for one in logs}
    [(order, request)] = (await _refunds(show)).items()
    assert order == lost
    assert (request["reason"], request["amount"]) == ("stranded", _VIP)
    assert _counted() == (counted[0], counted[1] + 1)


async def test_a_stranded_fact_that_can_not_be_priced_is_left_to_a_person(
    show: TestedShow,
) -> None:
    """It is counted, so somebody is alarmed; how much it was nobody can tell."""
    counted = _counted()
    await show.add({b"h": secrets.token_bytes(16), b"f": b"\xc1 garbage"})
    await show.sell([1], price_version=2)
    await show.recorder().record(show.id)
    assert len(await show.stranded()) == 2
    assert await _refunds(show) == {}
    assert _counted() == (counted[0], counted[1] + 2)
    assert await _has_failed_sale(show), "its place stands as sold, and is nobody's"


async def test_what_the_ledger_refuses_to_owe_is_stranded_all_the_same(show: TestedShow) -> None:
    """An amount beyond 63 bits fits neither an order nor a request: it must hold up nobody."""
    huge, behind = await show.sell([3]), await show.sell([12])
    await show.recorder(prices={"std": 4_550, "vip": 2**63 - 1}).record(show.id)
    assert await show.orders() == {behind: "confirmed"}
    assert list(await show.stranded()) == [huge]
    assert await _refunds(show) == {}


async def test_a_sale_that_is_known_is_owed_nothing(show: TestedShow) -> None:
    """A fact of an old epoch whose order is in the ledger is a replay, not a loss."""
    hold = await show.sell([1])
    recorder = show.recorder()
    await recorder.record(show.id)
    for _ in range(2):
        await show.raise_epoch()
        await recorder.record(show.id, drain=True)
    assert await show.orders() == {hold: "confirmed"}
    assert await _refunds(show) == {}
