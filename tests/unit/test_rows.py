"""What a judged batch comes to as rows: each quote once, and ids that follow from the fact."""

from typing import Any

import pytest

from engine.inventory.facts import StreamId, write_sale
from engine.sales.judging import (
    NOTHING_SOLD,
    Entry,
    JudgedBatch,
    Sale,
    judge,
    price_entries,
    read_entries,
)
from engine.sales.pricing import UnpricedError
from engine.sales.rows import rows_of
from engine.sales.terms import Terms
from engine.sales.tickets import area_ticket_id, seat_ticket_id
from tests.engine.ledger_world import HallTerms, a_sale

_SHOW, _RESELLER = 5, 6

_Places = tuple[list[int], list[tuple[int, int]]]


@pytest.fixture
async def terms() -> Terms:
    """The hall's: seats 0 to 9 are vip, the others std, area 0 is the floor."""
    return await HallTerms(_RESELLER).terms(_SHOW, frozenset({1}))


def _hold(n: int) -> bytes:
    return n.to_bytes(16, "big")


def _sales(terms: Terms, *places: _Places) -> tuple[Sale, ...]:
    entries = [
        Entry(StreamId(1, n), write_sale(a_sale(_hold(n), seats, areas)))
        for n, (seats, areas) in enumerate(places)
    ]
    read, unreadable = read_entries(entries)
    sales, unpriced = price_entries(read, terms)
    assert unreadable + unpriced == ()
    return sales


def _table(columns: dict[str, list[Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return some columns as rows."""
    return list(zip(*(columns[name] for name in names), strict=True))


async def test_equal_sales_share_one_quote_with_its_lines_and_postings(terms: Terms) -> None:
    """A thousand pairs of one level are one row of amounts, one line, four postings."""
    pairs: list[_Places] = [([n, n + 1], []) for n in range(10, 2010, 2)]
    batch = judge(_sales(terms, *pairs, ([1], [(0, 2)])), (), NOTHING_SOLD)
    rows = rows_of(_SHOW, _RESELLER, batch)
    assert rows.sold["quote"] == [0] * 1000 + [1]
    assert _table(rows.quotes, "quote", "currency", "face_value", "total") == [
        (0, "EUR", 9_100, 10_246),
        (1, "EUR", 22_000, 24_617),
    ]
    assert _table(rows.lines, "quote", "line_no", "price_level", "area_index", "quantity") == [
        (0, 0, "std", None, 2),
        (1, 0, "vip", None, 1),
        (1, 1, "floor", 0, 2),
    ]
    for quote in (0, 1):
        of_quote = _table(rows.posted, "quote", "posting_no", "amount")
        posted = [row for row in of_quote if row[0] == quote]
        assert [number for _, number, _ in posted] == [0, 1, 2, 3]
        assert sum(amount for _, _, amount in posted) == 0


async def test_a_ticket_is_on_its_own_line_and_its_id_follows_from_order_and_place(
    terms: Terms,
) -> None:
    """Whoever derives it: the box office told the buyer the same one."""
    batch = judge(_sales(terms, ([12, 3], [(0, 2)])), (), NOTHING_SOLD)
    rows = rows_of(_SHOW, _RESELLER, batch)
    order = _hold(0)
    assert _table(rows.places, "id", "line_no", "seat_index", "area_index", "label") == [
        (seat_ticket_id(order, 12), 0, 12, None, "A-12"),
        (seat_ticket_id(order, 3), 1, 3, None, "A-3"),
        (area_ticket_id(order, 0, 0), 2, None, 0, "floor"),
        (area_ticket_id(order, 0, 1), 2, None, 0, "floor"),
    ]
    assert set(rows.places["order_id"]) == {order.hex()}


async def test_a_conflict_is_an_order_without_entry_or_tickets(terms: Terms) -> None:
    """It comes behind the confirmed ones, at the price that it was sold at."""
    batch = judge(_sales(terms, ([1], []), ([1, 20], []), ([2], [])), (), NOTHING_SOLD)
    rows = rows_of(_SHOW, _RESELLER, batch)
    assert _table(rows.sold, "id", "status", "quote", "position") == [
        (_hold(0).hex(), "confirmed", 0, 0),
        (_hold(2).hex(), "confirmed", 0, 2),
        (_hold(1).hex(), "conflict", 1, 1),
    ]
    assert [entry is None for entry in rows.sold["entry_id"]] == [False, False, True]
    assert rows.places["seat_index"] == [1, 2]


def test_a_batch_of_nothing_has_every_column_and_no_row() -> None:
    """So that its position moves by the same statement."""
    nothing = JudgedBatch(confirmed=(), conflicts=(), stranded=(), area_counts={})
    parameters = rows_of(_SHOW, _RESELLER, nothing).parameters()
    assert parameters.pop("show") == _SHOW
    assert parameters.pop("reseller") == _RESELLER
    assert len(parameters) > 30
    assert all(column == [] for column in parameters.values())


async def test_a_quote_is_computed_once(terms: Terms) -> None:
    """The same selection gets the same object; another, or another version, its own or none."""
    first = terms.quote(1, ("vip", "std"), ((0, "floor", 2),))
    assert terms.quote(1, ("vip", "std"), ((0, "floor", 2),)) is first
    assert terms.quote(1, ("std", "vip"), ((0, "floor", 2),)) is not first
    assert terms.quote(1, ("vip", "std"), ((0, "floor", 1),)).charge != first.charge
    with pytest.raises(UnpricedError, match="no price version 2"):
        terms.quote(2, ("vip", "std"), ((0, "floor", 2),))
    with pytest.raises(UnpricedError, match="gold"):
        terms.quote(1, ("gold",), ())


async def test_remembered_quotes_are_bounded(terms: Terms) -> None:
    """Selections are the buyers' choice: the oldest is forgotten, and computed again."""
    first = terms.quote(1, ("vip",), ())
    for count in range(1, 5000):
        terms.quote(1, (), ((0, "floor", count),))
    again = terms.quote(1, ("vip",), ())
    assert again is not first
    assert again == first
