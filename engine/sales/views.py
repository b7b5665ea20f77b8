"""Holds and orders as the box office tells them."""

from msgspec import Struct

from engine.inventory.commands import OfBundle
from engine.inventory.shows import Show
from engine.platform.ids import EntityId, HoldId, Ids, Prefix
from engine.sales.orders import Failure, OrderState
from engine.sales.pricing import Quote
from engine.sales.tickets import Ticket


class HoldView(Struct, frozen=True, gc=False):
    """A hold that stands, or that has become an order."""

    hold: HoldId
    show: Show
    buyer: str
    expires_at_ms: int | None
    """None: it is purchased."""
    seats: list[str]
    areas: dict[str, int]
    quote: Quote
    types: tuple[str, ...] = ()
    """Of the seats, then of each area's places; none: all are standard."""


class OrderView(Struct, frozen=True):
    """An order, or a sale on its way to be one: `status` is confirmed, recording, failed, ..."""

    order: HoldId
    show: Show
    status: OrderState
    buyer: str
    sold_at_ms: int
    payment_reference: str | None
    """None while only Redis knows of it."""
    quote: Quote
    tickets: tuple[Ticket, ...]
    failure: Failure | None = None
    sold_by: EntityId | None = None
    """Another reseller, who sold it for the show's; None: that did."""


class HoldOfBundle(Struct, frozen=True):
    """The hold is a bundle's, and stays as it is: it is bought and released with that only."""

    bundle: str
    """Its id, as it looks outside."""


class FailedOrder(Struct, frozen=True):
    """An order that failed, and of which nothing but its id is left."""

    order: HoldId
    show: Show
    failure: Failure


class OrderUndecided(Struct, frozen=True):
    """The order's hold stands and is not sold: a purchase of it may still come, or come again."""


def bundle_of(ids: Ids, outcome: OfBundle) -> HoldOfBundle:
    """Tell whose a hold is that only its bundle may change."""
    return HoldOfBundle(ids.entity(Prefix.BUNDLE, int(outcome.bundle, 16)))
