"""The journal balances, and stays as it was written."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.ledger.journal import Account, EntryKind, entry_id, sale_postings
from engine.platform.money import Charge
from ops.stack import Stack
from tests.engine.ledger_world import TestedShow, World, open_world


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A show with one recorded sale."""
    show = await world.new_show()
    await show.sell([1])
    await show.recorder().record(show.id)
    return show


_amounts = st.integers(0, 10**12)


@given(face_value=_amounts, fee=_amounts, tax=_amounts, discount=_amounts)
def test_a_sale_posts_what_sums_to_zero(face_value: int, fee: int, tax: int, discount: int) -> None:
    """Whatever it is made of; a part of nothing posts nothing."""
    charge = Charge(face_value=face_value, fee=fee, tax=tax, discount=discount)
    postings = sale_postings("EUR", charge)
    assert sum(posting.amount for posting in postings) == 0
    assert all(posting.amount for posting in postings)
    assert {p.account: p.amount for p in postings}.get(Account.PAYMENT_CLEARING, 0) == charge.total


def test_an_entry_has_the_same_id_however_often_it_is_made() -> None:
    """So the database refuses a second one; another order's is another."""
    assert entry_id(b"o" * 16, EntryKind.SALE) == UUID("98d6a9a1-e48d-3521-9e7e-560eb6664a29")
    assert entry_id(b"o" * 16, EntryKind.SALE) != entry_id(b"p" * 16, EntryKind.SALE)


async def _post(
    connection: AsyncConnection, show: TestedShow, postings: list[tuple[str, int]]
) -> UUID:
    [(order, _)] = (await show.orders()).items()
    entry = uuid4()
    await connection.execute(
        text(
            "INSERT INTO journal_entries VALUES (:entry, :reseller, :show, :order, 'test', now())"
        ),
        {
            "entry": entry,
            "reseller": show.reseller,
            "show": show.id,
            "order": UUID(bytes=order),
        },
    )
    await connection.execute(
        text(
            "INSERT INTO postings SELECT :entry, n, :reseller, 'test', currency, amount FROM"
            " unnest(CAST(:currencies AS TEXT[]), CAST(:amounts AS BIGINT[]))"
            " WITH ORDINALITY AS posted(currency, amount, n)"
        ),
        {
            "entry": entry,
            "reseller": show.reseller,
            "currencies": [currency for currency, _ in postings],
            "amounts": [amount for _, amount in postings],
        },
    )
    return entry


@pytest.mark.parametrize(
    "postings",
    [
        [("EUR", 5)],
        [("EUR", 5), ("EUR", -4)],
        [("EUR", 5), ("JPY", -5)],
        [("EUR", 5), ("EUR", -5), ("JPY", 1)],
    ],
)
async def test_the_database_refuses_an_entry_that_does_not_sum_to_zero(
    show: TestedShow, postings: list[tuple[str, int]]
) -> None:
    """Per currency, whoever posts it: the owner too."""
    with pytest.raises(IntegrityError, match="not to zero"):
        async with show.world.owner.begin() as connection:
            await _post(connection, show, postings)


async def test_the_database_takes_an_entry_that_sums_to_zero(show: TestedShow) -> None:
    """In two currencies, each by itself."""
    async with show.world.owner.begin() as connection:
        await _post(connection, show, [("EUR", 5), ("EUR", -5), ("JPY", 7), ("JPY", -7)])


@pytest.mark.parametrize("table", ["journal_entries", "postings"])
@pytest.mark.parametrize("change", ["UPDATE {0} SET reseller_id = 1", "DELETE FROM {0}"])
@pytest.mark.parametrize("role", ["owner", "recorder_engine", "app", "auditor"])
async def test_nobody_rewrites_the_journal(
    show: TestedShow, table: str, change: str, role: str
) -> None:
    """A correction is a further entry."""
    engine: Any = getattr(show.world, role)
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
        async with engine.begin() as connection:
            await connection.execute(text(change.format(table)))
    assert sum((await show.balance()).values()) == 0


async def test_nobody_empties_the_journal(show: TestedShow) -> None:
    """TRUNCATE passes row triggers by, not this one."""
    with pytest.raises(DBAPIError, match="append-only"):
        async with show.world.owner.begin() as connection:
            await connection.execute(text("TRUNCATE postings"))
