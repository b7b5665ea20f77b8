"""What tickets cost: a pure function from price levels to an itemised quote.

The hold's answer, the storefront and the recorder all call it, with the same price version and
fee schedule, so that the price shown is the price recorded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from engine.inventory.price_versions import TypePrice, price_of
from engine.inventory.ticket_types import STANDARD
from engine.platform.money import NOTHING, Charge, share


class FeeSchedule(Struct, frozen=True):
    """One version of what the platform charges per ticket."""

    fee_bps: int
    """Of the face value."""
    fee_fixed: int
    """Minor units of the show's currency."""


class Tariff(Struct, frozen=True):
    """Everything that a price depends on: one price version of a show."""

    currency: str
    prices: Mapping[str, int]
    """Face value in minor units by price level slug."""
    fees: FeeSchedule
    tax_bps: int
    """Of face value and fee."""
    types: Mapping[str, TypePrice] = {}
    """What other than the standard ticket type costs, by type slug."""


class QuoteLine(Struct, frozen=True):
    """Tickets of one level and type, in numbered seats or in one area, at one price each."""

    price_level: str
    area_index: int | None
    quantity: int
    unit: Charge
    ticket_type: str = STANDARD

    @property
    def charge(self) -> Charge:
        """Return what the whole line costs."""
        return self.unit * self.quantity


class Quote(Struct, frozen=True):
    """An itemised price: its lines, and what they come to."""

    currency: str
    lines: tuple[QuoteLine, ...]
    charge: Charge


class UnpricedError(LookupError):
    """A price level has no price in this price version."""


def ticket_charge(tariff: Tariff, price_level: str, ticket_type: str = STANDARD) -> Charge:
    """Return what one ticket of a price level costs.

    A type's share of the face value, fee and tax are rounded per ticket, a half up, so that a line
    is a multiple of its unit.

    Raises:
        UnpricedError: the price version has no such level.
    """
    face_value = price_of(tariff.prices, tariff.types, price_level, ticket_type)
    if face_value is None:
        msg = f"price level {price_level!r} has no price in this price version"
        raise UnpricedError(msg)
    fee = share(face_value, tariff.fees.fee_bps) + tariff.fees.fee_fixed
    return Charge(face_value=face_value, fee=fee, tax=share(face_value + fee, tariff.tax_bps))


def quote(
    tariff: Tariff,
    seat_levels: Sequence[str],
    areas: Iterable[tuple[int, str, int]] = (),
    types: Sequence[str] = (),
) -> Quote:
    """Return what a selection costs.

    Takes the price level of each seat, and (area index, price level, count) of each area; then
    the type of each ticket, of the seats and of each area's places, or none: all are standard.
    Seats make one line per level and type, in order of first appearance; then each area one per
    type.

    Raises:
        UnpricedError: a level has no price in this price version.
    """
    lines = tuple(
        QuoteLine(
            price_level=level,
            area_index=area,
            quantity=quantity,
            unit=ticket_charge(tariff, level, ticket_type),
            ticket_type=ticket_type,
        )
        for (level, area, ticket_type), quantity in _count(seat_levels, areas, types).items()
    )
    return Quote(
        currency=tariff.currency,
        lines=lines,
        charge=sum((line.charge for line in lines), NOTHING),
    )


def _count(
    seat_levels: Sequence[str], areas: Iterable[tuple[int, str, int]], types: Sequence[str]
) -> Counter[tuple[str, int | None, str]]:
    """Count the tickets by level, area and type, in the order of their first."""
    counts: Counter[tuple[str, int | None, str]] = Counter()
    at = len(seat_levels)
    for level, ticket_type in zip(seat_levels, types[:at] or (STANDARD,) * at, strict=True):
        counts[level, None, ticket_type] += 1
    for area, level, count in areas:
        for ticket_type, n in Counter(types[at : at + count]).items() or ((STANDARD, count),):
            counts[level, area, ticket_type] += n
        at += count
    return counts
