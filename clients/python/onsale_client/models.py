"""What the API answers: docs/API.md tells what each field means.

Money is in minor units of the currency beside it; times are aware. What the API adds later is
ignored.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct


class Price(Struct, frozen=True):
    """An itemised price: total = face_value + fee + tax - discount."""

    face_value: int
    fee: int
    tax: int
    discount: int
    total: int


class PriceLine(Struct, frozen=True):
    """Tickets of one price level, numbered (`area` is None) or in one area."""

    price_level: str
    area: str | None
    quantity: int
    unit: Price
    total: int
    ticket_type: str = ""


class ItemisedPrice(Struct, frozen=True):
    """What all of it costs, line by line."""

    currency: str
    lines: list[PriceLine]
    face_value: int
    fee: int
    tax: int
    discount: int
    total: int


class ListedShow(Struct, frozen=True):
    """A show in short."""

    show: str
    name: str
    venue: str
    starts_at: datetime
    opens_at: datetime
    closes_at: datetime | None
    state: str
    currency: str
    seat_count: int


class PricedType(Struct, frozen=True):
    """A ticket type that is offered at a price level, and what one such ticket costs."""

    ticket_type: str
    name: str
    price: Price


class PricedLevel(Struct, frozen=True):
    """A price level, and what one of its tickets costs."""

    price_level: str
    name: str
    color: str | None
    seat_count: int
    price: Price
    ticket_types: list[PricedType] = []


class AreaOfShow(Struct, frozen=True):
    """A general admission area."""

    area: str
    name: str
    price_level: str
    capacity: int


class Show(ListedShow, frozen=True):
    """A show with its rules and prices."""

    tax_bps: int
    max_per_hold: int
    max_per_buyer: int
    capacity: int
    price_levels: list[PricedLevel]
    areas: list[AreaOfShow]
    price_version: int = 1
    selling: bool = False


class ShowPage(Struct, frozen=True):
    """Shows, the newest first."""

    shows: list[ListedShow]
    next_cursor: str | None


class Seat(Struct, frozen=True):
    """A numbered seat; `position` is its place in the seat map."""

    seat: str
    position: int
    price_level: str
    zone: str = ""
    row: str = ""
    number: str = ""
    status: str = ""
    price: Price | None = None
    accessible: bool = False
    companion_of: str | None = None
    restricted_view: bool = False
    entrance: str | None = None
    gate: str | None = None


class SeatPage(Struct, frozen=True):
    """Seats, the best first."""

    seats: list[Seat]
    next_cursor: str | None


class Counts(Struct, frozen=True):
    """Places by state: open = capacity - sold - held - blocked."""

    capacity: int
    sold: int
    held: int
    blocked: int
    open: int


class LevelCounts(Counts, frozen=True):
    """A price level's numbered seats by state, and what one of its tickets costs."""

    price_level: str
    name: str
    price: Price


class AreaCounts(Counts, frozen=True):
    """An area's places by state, and what one of its tickets costs."""

    area: str
    name: str
    price_level: str
    price: Price


class SeatMap(Struct, frozen=True):
    """One letter a position: o, h, s, b; | at the end of a row and at an aisle."""

    version: int
    states: str


class Availability(Struct, frozen=True):
    """What is open, held, sold and blocked at one moment."""

    show: str
    sequence: str
    currency: str
    total: Counts
    price_levels: list[LevelCounts]
    areas: list[AreaCounts]
    seat_map: SeatMap


class Blocks(Struct, frozen=True):
    """What was withheld or given back, and the inventory version since then."""

    show: str
    seats: list[str]
    areas: dict[str, int]
    inventory_version: int


class TypedPlaces(Struct, frozen=True):
    """Places of one ticket type."""

    seats: list[str]
    areas: dict[str, int]


class Hold(Struct, frozen=True):
    """A hold: `held` until `expires_at`, or `purchased` as `order`."""

    hold: str
    show: str
    status: str
    buyer: str
    seats: list[str]
    areas: dict[str, int]
    expires_at: datetime | None
    price: ItemisedPrice
    order: str | None = None
    ticket_types: dict[str, TypedPlaces] = {}


class Ticket(Struct, frozen=True):
    """The entitlement to one place."""

    ticket: str
    price_level: str
    seat: str | None
    area: str | None
    ticket_type: str = ""


class Order(Struct, frozen=True):
    """An order: sold when `confirmed`; `recording` ends as `confirmed` or `failed`."""

    order: str
    status: str
    show: str
    hold: str
    buyer: str | None
    sold_at: datetime | None
    payment_reference: str | None
    price: ItemisedPrice | None
    tickets: list[Ticket]
    failure: str | None = None


class ListedOrder(Struct, frozen=True):
    """An order in short."""

    order: str
    status: str
    buyer: str
    sold_at: datetime
    payment_reference: str
    tickets: int
    currency: str
    face_value: int
    fee: int
    tax: int
    discount: int
    total: int


class OrderPage(Struct, frozen=True):
    """A show's orders."""

    orders: list[ListedOrder]
    next_cursor: str | None


class Fact(Struct, frozen=True):
    """Something that happened."""

    id: str
    type: str
    sequence: int
    occurred_at: datetime
    object: str
    show: str | None = None
    data: dict[str, Any] = {}


class FactPage(Struct, frozen=True):
    """Facts in their order. `next_cursor` is where to read on, now or later."""

    facts: list[Fact]
    next_cursor: str | None


class WebhookSecret(Struct, frozen=True):
    """What verifies an endpoint's webhooks; `until` is None of the newest."""

    secret: str
    public_key: str
    until: datetime | None


class WebhookEndpoint(Struct, frozen=True):
    """Where facts are told; its secrets are there when it was just made."""

    endpoint: str
    url: str
    description: str
    types: list[str] | None
    status: str
    reason: str | None
    secrets: list[WebhookSecret] = []

    @property
    def secret(self) -> str:
        """The newest secret: what `read_webhook` takes."""
        return self.secrets[0].secret


class WebhookEndpointPage(Struct, frozen=True):
    """All endpoints."""

    endpoints: list[WebhookEndpoint]


class Ping(Struct, frozen=True):
    """What became of a test event."""

    delivered: bool
    status: int | None
    error: str | None
    duration_ms: int
    response: str
