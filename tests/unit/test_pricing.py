"""What tickets cost, to the cent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.platform.money import Charge, MoneyError, check_currency, share
from engine.sales.pricing import FeeSchedule, Tariff, UnpricedError, quote, ticket_charge

_FEES = FeeSchedule(fee_bps=350, fee_fixed=79)


def _tariff(tax_bps: int = 700, fees: FeeSchedule = _FEES, **prices: int) -> Tariff:
    return Tariff(currency="EUR", prices=prices, fees=fees, tax_bps=tax_bps)


@pytest.mark.parametrize(
    ("face_value", "fee", "tax", "total"),
    [
        (0, 79, 6, 85),  # 5.53 of tax
        (10_000, 429, 730, 11_159),  # 730.03
        (4_550, 238, 335, 5_123),  # a fee of 159.25 and 79; 335.16
        (100, 83, 13, 196),  # 3.5 is a half: up; 12.81
        (1, 79, 6, 86),
    ],
)
def test_fee_and_tax_are_rounded_half_up_per_ticket(
    face_value: int, fee: int, tax: int, total: int
) -> None:
    """3.5 % and 0.79 of fee, then 7 % of both."""
    charge = ticket_charge(_tariff(a=face_value), "a")
    assert charge == Charge(face_value=face_value, fee=fee, tax=tax)
    assert charge.total == total


@pytest.mark.parametrize(
    ("amount", "bps", "expected"),
    [(1, 4_999, 0), (1, 5_000, 1), (3, 5_000, 2), (10**15, 1, 10**11), (7, 0, 0)],
)
def test_a_share_rounds_a_half_up(amount: int, bps: int, expected: int) -> None:
    """In integers: amounts beyond a double's 53 bits stay exact."""
    assert share(amount, bps) == expected


def test_a_share_of_less_than_nothing_is_refused() -> None:
    """Rounding a negative half up would favour one side."""
    with pytest.raises(MoneyError):
        share(-1, 350)


def test_a_quote_has_a_line_per_level_and_per_area() -> None:
    """Seats of a level make one line, in order of appearance, areas follow."""
    made = quote(
        _tariff(vip=10_000, std=4_550), ["std", "vip", "std"], [(2, "std", 4), (0, "vip", 1)]
    )
    assert [(line.price_level, line.area_index, line.quantity) for line in made.lines] == [
        ("std", None, 2),
        ("vip", None, 1),
        ("std", 2, 4),
        ("vip", 0, 1),
    ]
    assert made.charge == Charge(face_value=47_300, fee=2_286, tax=3_470)


def test_an_unknown_level_has_no_price() -> None:
    """It is an error, never free of charge."""
    with pytest.raises(UnpricedError, match="gold"):
        quote(_tariff(vip=1), ["gold"])


_amounts = st.integers(0, 10**9)


@given(
    prices=st.lists(_amounts, min_size=1, max_size=4),
    seats=st.lists(st.integers(0, 3), max_size=20),
    fee_bps=st.integers(0, 10_000),
    fee_fixed=_amounts,
    tax_bps=st.integers(0, 10_000),
)
def test_a_quote_is_the_sum_of_its_tickets(
    prices: list[int], seats: list[int], fee_bps: int, fee_fixed: int, tax_bps: int
) -> None:
    """The lines and the tickets one by one come to the same, whatever the rates."""
    named = {str(n): price for n, price in enumerate(prices)}
    tariff = _tariff(tax_bps, FeeSchedule(fee_bps=fee_bps, fee_fixed=fee_fixed), **named)
    levels = [str(seat % len(prices)) for seat in seats]
    made = quote(tariff, levels)
    assert made.charge.total == sum(ticket_charge(tariff, level).total for level in levels)
    assert made.charge.total == sum(line.charge.total for line in made.lines)
    assert sum(line.quantity for line in made.lines) == len(seats)


@pytest.mark.parametrize("code", ["eur", "EURO", "", "E1R", "EUR\n"])
def test_what_is_no_currency_code_is_refused(code: str) -> None:
    """Three capital letters."""
    with pytest.raises(MoneyError):
        check_currency(code)
