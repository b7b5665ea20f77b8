"""A buyer's contact data are sealed, found, exported, and forgotten; the books stay."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from engine.inventory.keys import show_keys
from engine.inventory.records import pack_buyer
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.sealing import Sealer
from engine.sales.buyers import BuyersOffice, Contact, finish_erasures
from ops.stack import Stack
from tests.engine.ledger_world import TestedShow, World, open_world

_ADA = Contact(name="Ada Lovelace", email="ada@example.org", phone="+44 20 1234")


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A show of a fresh reseller."""
    return await world.new_show()


@pytest.fixture(scope="module")
def sealer(world: World) -> Sealer:
    """What the cell seals with."""
    settings = world.settings
    return Sealer(settings.list_sealing_keys(), settings.secret.encode())


@pytest.fixture
def office(world: World, sealer: Sealer) -> BuyersOffice:
    """Where buyers are kept."""
    return BuyersOffice(world.app, world.redis, sealer)


async def sell(show: TestedShow, seat: int, buyer: str) -> bytes:
    """Sell a seat to somebody."""
    order = await show.sell([seat], buyer=buyer)
    await show.recorder().record(show.id)
    return order


async def end(show: TestedShow, *, days: int = 2) -> None:
    """Let a show be over."""
    async with show.world.owner.begin() as connection:
        await connection.execute(
            text("UPDATE shows SET starts_at = now() - :days * interval '1 day' WHERE id = :show"),
            {"days": days, "show": show.id},
        )


async def buyers_of(show: TestedShow) -> list[str]:
    """Return whom the ledger's orders name."""
    found = await show.world.rows(
        "SELECT buyer FROM orders WHERE show_id = :s ORDER BY buyer", s=show.id
    )
    return [row["buyer"] for row in found]


async def everything(world: World, reseller: int) -> str:
    """Return every row that a reseller has, as text."""
    named = text(
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND attname = 'reseller_id'"
    )
    found: list[str] = []
    async with world.owner.connect() as connection:
        for table in (await connection.scalars(named)).all():
            rows = text(f"SELECT t::text FROM {table} AS t WHERE reseller_id = :r")  # noqa: S608 - our own
            found += (await connection.scalars(rows, {"r": reseller})).all()
    return "\n".join(found)


def shown(marker: str) -> tuple[str, str]:
    """Return how a text would look in a row: as it is, and as bytes."""
    return marker, marker.encode().hex()


async def test_nothing_of_a_person_is_stored_in_the_clear(
    office: BuyersOffice, show: TestedShow
) -> None:
    """Neither in the row nor in the trail of it, which tells that something was kept."""
    reseller = EntityId(show.reseller)
    await office.keep(reseller, "b-4711", _ADA)
    known = await office.find(reseller, "b-4711")
    assert known is not None
    assert known.contact == _ADA
    stored = await everything(show.world, reseller)
    assert "buyers" in stored
    for marker in ("Lovelace", "ada@example", "+44 20", "b-4711"):
        for form in shown(marker):
            assert form not in stored


async def test_buyers_are_found_by_the_whole_address_in_any_case(
    office: BuyersOffice, show: TestedShow
) -> None:
    """Within their reseller; page by page."""
    reseller, other = EntityId(show.reseller), EntityId(await show.world.new_reseller())
    for n in range(5):
        await office.keep(reseller, f"b-{n}", _ADA)
    await office.keep(reseller, "x", Contact(email="adam@example.org"))
    await office.keep(other, "y", _ADA)
    first, after = await office.find_by_email(reseller, "ADA@example.ORG", b"", 3)
    assert after is not None
    second, end_of_list = await office.find_by_email(reseller, "ada@example.org", after, 3)
    assert end_of_list is None
    assert {known.buyer for known in (*first, *second)} == {f"b-{n}" for n in range(5)}
    assert len(first) + len(second) == 5


async def test_what_is_left_out_is_not_held_any_more(
    office: BuyersOffice, show: TestedShow
) -> None:
    """A later word takes the place of the earlier."""
    reseller = EntityId(show.reseller)
    first = await office.keep(reseller, "b-1", _ADA)
    again = await office.keep(reseller, "b-1", Contact(name="Ada King"))
    assert again.created_at == first.created_at
    assert again.changed_at > first.changed_at
    known = await office.find(reseller, "b-1")
    assert known is not None
    assert known.contact == Contact(name="Ada King")
    assert (await office.find_by_email(reseller, "ada@example.org", b"", 9))[0] == []


async def test_an_export_has_contact_orders_and_tickets(
    office: BuyersOffice, show: TestedShow
) -> None:
    """Of this buyer at this reseller, and of nobody else."""
    reseller = EntityId(show.reseller)
    await office.keep(reseller, "b-1", _ADA)
    mine = {await sell(show, seat, "b-1") for seat in (1, 2, 3)}
    await sell(show, 4, "b-2")
    stranger = await show.world.new_show()
    await sell(stranger, 1, "b-1")
    exported = await office.export(reseller, "b-1", None, 2)
    assert exported.known is not None
    assert len(exported.orders) == 2
    rest = await office.export(reseller, "b-1", exported.orders[-1].id, 2)
    assert {order.id.bytes for order in (*exported.orders, *rest.orders)} == mine
    [ticket] = exported.orders[0].tickets
    assert ticket[2] == "active"


async def test_who_is_forgotten_is_named_by_nothing(
    office: BuyersOffice, sealer: Sealer, show: TestedShow
) -> None:
    """In shows that are over at once; in others a day after they are. The books don't change."""
    reseller = EntityId(show.reseller)
    over = await show.world.new_show(reseller=reseller)
    await office.keep(reseller, "b-4711", _ADA)
    for one in (show, over):
        await sell(one, 1, "b-4711")
        await sell(one, 2, "b-4711")
        await sell(one, 3, "b-2")
    books = await over.balance()
    await end(over)
    done = await office.forget(reseller, "b-4711")
    assert (done.had_contact, done.orders_changed, done.orders_left) == (True, 2, 2)
    assert await office.find(reseller, "b-4711") is None
    first, second, third = await buyers_of(over)
    assert first == "b-2"
    assert second == third  # one person still, within the show
    assert second.startswith("erased-")
    assert await buyers_of(show) == ["b-2", "b-4711", "b-4711"]
    exported = await office.export(reseller, "b-4711", None, 10)
    assert exported.asked_to_forget_at is not None
    assert await finish_erasures(show.world.recorder_engine, sealer) == 0
    await end(show)
    assert await finish_erasures(show.world.recorder_engine, sealer) >= 1
    pseudonyms = {*await buyers_of(show), *await buyers_of(over)} - {"b-2"}
    assert len(pseudonyms) == 2  # which show that it is the same person in both
    assert await over.balance() == books
    exported = await office.export(reseller, "b-4711", None, 10)
    assert (exported.known, exported.orders, exported.asked_to_forget_at) == (None, [], None)
    stored = await everything(show.world, reseller)
    for marker in ("b-4711", "Lovelace", "ada@example"):
        for form in shown(marker):
            assert form not in stored


async def test_a_purchase_that_is_not_recorded_yet_is_forgotten_too(
    office: BuyersOffice, sealer: Sealer, show: TestedShow
) -> None:
    """The ledger is behind: who is to be forgotten must not stand in it for good."""
    reseller = EntityId(show.reseller)
    await show.sell([1], buyer="b-4711")
    raw: Any = show.world.raw
    await raw.hset(show_keys(show.id).buyers, "b-4711", pack_buyer(0, 1, 0))
    done = await office.forget(reseller, "b-4711")
    assert (done.orders_changed, done.orders_left) == (0, 0)
    await finish_erasures(show.world.recorder_engine, sealer)
    await show.recorder().record(show.id)
    assert await buyers_of(show) == ["b-4711"]
    await end(show)
    await finish_erasures(show.world.recorder_engine, sealer)
    [buyer] = await buyers_of(show)
    assert buyer.startswith("erased-")


async def test_a_show_of_last_night_is_not_over_yet(office: BuyersOffice, show: TestedShow) -> None:
    """People may still be inside."""
    await sell(show, 1, "b-1")
    await end(show, days=0)
    done = await office.forget(EntityId(show.reseller), "b-1")
    assert (done.had_contact, done.orders_changed, done.orders_left) == (False, 0, 1)


async def test_who_is_told_of_again_is_not_forgotten_later(
    office: BuyersOffice, sealer: Sealer, show: TestedShow
) -> None:
    """They came back before their show was over."""
    reseller = EntityId(show.reseller)
    await sell(show, 1, "b-1")
    await office.forget(reseller, "b-1")
    await office.keep(reseller, "b-1", _ADA)
    await end(show)
    await finish_erasures(show.world.recorder_engine, sealer)
    assert await buyers_of(show) == ["b-1"]


async def test_nobody_is_forgotten_at_another_reseller(
    office: BuyersOffice, show: TestedShow
) -> None:
    """The same reference there is another person."""
    other = await show.world.new_show()
    await office.keep(EntityId(other.reseller), "b-1", _ADA)
    for one in (show, other):
        await sell(one, 1, "b-1")
        await end(one)
    await office.forget(EntityId(show.reseller), "b-1")
    assert await buyers_of(other) == ["b-1"]
    assert await office.find(EntityId(other.reseller), "b-1") is not None


async def test_the_application_changes_no_orders_buyer_in_another_way(show: TestedShow) -> None:
    """Only `forget_buyer` does, which names its reseller's, and chooses the word itself."""
    await sell(show, 1, "b-1")
    await end(show)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with tenant_transaction(show.world.app, show.reseller) as connection:
            await connection.execute(text("UPDATE orders SET buyer = 'x'"))
    async with show.world.app.begin() as connection:
        assert await connection.scalar(text("SELECT forget_buyer('b-1')")) == 0
    assert await buyers_of(show) == ["b-1"]


async def test_the_trail_tells_that_somebody_was_forgotten_and_not_whom(
    office: BuyersOffice, show: TestedShow
) -> None:
    """So that a reseller can show that they did it."""
    reseller = EntityId(show.reseller)
    await office.keep(reseller, "b-4711", _ADA)
    await sell(show, 1, "b-4711")
    await end(show)
    await office.forget(reseller, "b-4711")
    entries = await show.world.rows(
        "SELECT object_table, action, before, after FROM trail_entries"
        " WHERE reseller_id = :r ORDER BY no DESC LIMIT 2",
        r=reseller,
    )
    told = {(row["object_table"], row["action"]): row for row in entries}
    assert told["orders", "changed"]["before"] == {"buyer": "withheld"}
    assert told["orders", "changed"]["after"] == {"buyer": "withheld"}
    assert told["buyers", "removed"]["before"]["name_sealed"].startswith("sha256:")
