"""Ticket types: the text that a hold keeps, and what tickets of a type cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.inventory.price_versions import TypePrice
from engine.inventory.ticket_types import (
    STANDARD,
    TYPES_BYTES_MAX,
    TicketTypesError,
    read_types,
    sorted_types,
    write_types,
)
from engine.platform.money import NOTHING, Charge, share
from engine.sales.pricing import FeeSchedule, Tariff, quote, ticket_charge

_SLUGS = ("child", "student", "companion", STANDARD)
_types = st.lists(st.sampled_from(_SLUGS), max_size=100)


@given(types=_types)
def test_types_are_read_as_they_were_written(types: list[str]) -> None:
    """All standard is no text, and no text is all standard."""
    text = write_types(types)
    assert read_types(text, len(types)) == (() if set(types) <= {STANDARD} else tuple(types))
    assert bool(text) == (not set(types) <= {STANDARD})


def test_the_longest_text_is_one_that_the_script_takes() -> None:
    """A hundred tickets, no two neighbours alike, of the longest names."""
    longest = ["a" * 32, "b" * 32] * 50
    assert len(write_types(longest).encode()) <= TYPES_BYTES_MAX


@pytest.mark.parametrize("text", ["child", "child:", ":2", "child:x", "child:1", "child:3", "a:1,"])
def test_a_text_for_other_tickets_is_refused(text: str) -> None:
    """Two tickets have two types."""
    with pytest.raises(TicketTypesError):
        read_types(text, 2)


def test_types_go_with_their_seats_and_areas_when_those_are_sorted() -> None:
    """A record has them as they were asked for, an answer by position and index."""
    text = "child:1,standard:1,student:2,companion:1"
    assert sorted_types(text, (9, 4), ((1, 2), (0, 1))) == (
        *(STANDARD, "child"),
        "companion",
        *("student", "student"),
    )


@given(
    face_values=st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)),
    shares=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)),
    own=st.integers(0, 10**7),
    seats=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(_SLUGS)), max_size=12),
    places=st.lists(st.sampled_from(_SLUGS), max_size=6),
    fees=st.tuples(st.integers(0, 10_000), st.integers(0, 10**4), st.integers(0, 10_000)),
)
def test_the_lines_of_a_typed_quote_sum_to_its_tickets(  # noqa: PLR0913, PLR0917 - what it varies
    face_values: tuple[int, int],
    shares: tuple[int, int],
    own: int,
    seats: list[tuple[int, str]],
    places: list[str],
    fees: tuple[int, int, int],
) -> None:
    """Each ticket once, at its own price, whatever the order; no share is more than the whole."""
    tariff = Tariff(
        currency="EUR",
        prices={"l0": face_values[0], "l1": face_values[1]},
        fees=FeeSchedule(fee_bps=fees[0], fee_fixed=fees[1]),
        tax_bps=fees[2],
        types={
            "child": TypePrice(shares[0]),
            "student": TypePrice(shares[1], {"l1": own}),
            "companion": TypePrice(0),
        },
    )
    levels = [f"l{level}" for level, _ in seats]
    types = (*(kind for _, kind in seats), *sorted(places))
    areas = [(3, "l0", len(places))] if places else []
    made = quote(tariff, levels, areas, types)
    tickets = [*zip(levels, types, strict=False), *(("l0", kind) for kind in places)]
    assert sum((line.charge for line in made.lines), NOTHING) == made.charge
    charges = (ticket_charge(tariff, level, kind) for level, kind in tickets)
    assert sum(charges, NOTHING) == made.charge
    assert sum(line.quantity for line in made.lines) == len(tickets)
    assert len({(n.price_level, n.area_index, n.ticket_type) for n in made.lines}) == len(
        made.lines
    )
    assert ticket_charge(tariff, "l0", "child").face_value <= face_values[0]


def test_a_share_is_rounded_per_ticket_half_up() -> None:
    """A third of 9.99 is 3.33; half a cent is a cent; free is free of the share's fee, too."""
    fees = FeeSchedule(fee_bps=1_000, fee_fixed=0)
    types = {"third": TypePrice(3_333), "half": TypePrice(5_000), "free": TypePrice(0)}
    tariff = Tariff("EUR", {"a": 999, "b": 1}, fees, 0, types)
    assert ticket_charge(tariff, "a", "third") == Charge(333, 33, 0)
    assert ticket_charge(tariff, "b", "half").face_value == share(1, 5_000) == 1
    assert ticket_charge(tariff, "a", "free") == NOTHING


def test_a_type_without_a_price_costs_what_its_level_does() -> None:
    """A sale that was decided must never be one that nobody can price."""
    types = {"child": TypePrice(None, {"a": 1})}
    tariff = Tariff("EUR", {"a": 999, "b": 500}, FeeSchedule(fee_bps=0, fee_fixed=0), 0, types)
    kinds = [("a", "child", 1), ("b", "child", 500), ("a", "gone", 999)]
    for level, kind, face_value in kinds:
        assert ticket_charge(tariff, level, kind).face_value == face_value
