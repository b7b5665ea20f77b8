"""What tickets cost: a pure function from price levels to an itemised quote.

The hold's answer, the storefront and the recorder all call it, with the same price version and
fee schedule, so that the price shown is the price recorded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

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


class QuoteLine(Struct, frozen=True):
    """Tickets of one price level, in numbered seats or in one area, at one price each."""

    price_level: str
    area_index: int | None
    quantity: int
    unit: Charge

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


def ticket_charge(tariff: Tariff, price_level: str) -> Charge:
    """Return what one ticket of a price level costs.

    Fee and tax are rounded per ticket, a half up, so that a line is a multiple of its unit.

    Raises:
        UnpricedError: the price version has no such level.
    """
    face_value = tariff.prices.get(price_level)
    if face_value is None:
        msg = f"price level {price_level!r} has no price in this price version"
        raise UnpricedError(msg)
    fee = share(face_value, tariff.fees.fee_bps) + tariff.fees.fee_fixed
    return Charge(face_value=face_value, fee=fee, tax=share(face_value + fee, tariff.tax_bps))


def quote(
    tariff: Tariff, seat_levels: Iterable[str], areas: Iterable[tuple[int, str, int]] = ()
) -> Quote:
    """Return what a selection costs.

    Takes the price level of each seat, and (area index, price level, count) of each area. Seats
    make one line per level, in order of first appearance; then each area makes one.

    Raises:
        UnpricedError: a level has no price in this price version.
    """
    lines = tuple(
        QuoteLine(
            price_level=level,
            area_index=area,
            quantity=quantity,
            unit=ticket_charge(tariff, level),
        )
        for level, area, quantity in (
            *((level, None, quantity) for level, quantity in Counter(seat_levels).items()),
            *((level, area, count) for area, level, count in areas),
        )
    )
    return Quote(
        currency=tariff.currency,
        lines=lines,
        charge=sum((line.charge for line in lines), NOTHING),
    )
