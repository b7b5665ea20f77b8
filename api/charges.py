"""What one ticket costs, and will cost: itemised, in minor units of the show's currency."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from engine.catalog.price_steps import PriceStep
from engine.inventory.shows import Show
from engine.inventory.ticket_types import STANDARD
from engine.platform.money import Charge
from engine.sales.pricing import Tariff, ticket_charge

TypeName = Annotated[str, Meta(examples=["standard"])]


class Price(Struct, frozen=True):
    """An itemised price in minor units: total = face_value + fee + tax - discount."""

    face_value: int
    fee: int
    tax: int
    discount: int
    total: int


class PricedType(Struct, frozen=True):
    """A ticket type, and what one of its tickets costs in a level."""

    ticket_type: TypeName
    name: str
    price: Price


class NextPrice(Struct, frozen=True):
    """What one standard ticket of a price level will cost."""

    price_level: str
    price: Price


class NextPriceStep(Struct, frozen=True):
    """When prices change next, at a moment or once so many tickets are sold, and to what.

    `after_sold` counts the tickets of `price_level`, or of the whole show.
    """

    at: datetime | None
    after_sold: int | None
    price_level: str | None
    prices: list[NextPrice]


def tell_price(charge: Charge) -> Price:
    """Itemise what something costs."""
    return Price(charge.face_value, charge.fee, charge.tax, charge.discount, charge.total)


def tell_types(show: Show, tariff: Tariff, level: str) -> list[PricedType]:
    """Tell what the ticket types cost that are offered in a level, but for the standard one."""
    return [
        PricedType(one.slug, one.name, tell_price(ticket_charge(tariff, level, one.slug)))
        for one in show.ticket_types.values()
        if one.slug != STANDARD and one.is_for(level)
    ]


def tell_next(show: Show, tariff: Tariff, step: PriceStep) -> NextPriceStep:
    """Tell the step that is next, by the prices of now."""
    then = msgspec.structs.replace(tariff, prices={**tariff.prices, **step.prices.face_values})
    return NextPriceStep(
        at=None if step.at is None else step.at.astimezone(UTC),
        after_sold=step.after_sold,
        price_level=step.price_level,
        prices=[
            NextPrice(level.slug, tell_price(ticket_charge(then, level.slug)))
            for level in show.manifest.levels
        ],
    )
