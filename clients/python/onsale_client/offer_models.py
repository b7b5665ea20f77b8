"""What the API answers about what is offered: as `models`, which tells what holds of all."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from onsale_client.models import Counts, ItemisedPrice, Price


class FoundVenue(Struct, frozen=True):
    """Where a show takes place."""

    venue: str | None
    name: str
    city: str | None
    country: str | None
    latitude: float | None
    longitude: float | None
    time_zone: str | None


class FoundShow(Struct, frozen=True):
    """A show as it is listed; prices are those of what is left, with all included."""

    show: str
    name: str
    starts_at: datetime
    doors_at: datetime | None
    opens_at: datetime
    closes_at: datetime | None
    state: str
    currency: str
    price_min: int | None
    price_max: int | None
    available: int | None
    venue: FoundVenue
    distance_m: int | None
    duration_min: int | None = None


class FoundEvent(Struct, frozen=True):
    """An event, the show of it that fits best, and how many fit."""

    event: str | None
    name: str
    type: str | None
    performers: list[dict[str, str]]
    picture: dict[str, str] | None
    reseller: str
    shows: int
    show: FoundShow


class SearchPage(Struct, frozen=True):
    """What was found; `corrected` are the words that were searched for instead."""

    events: list[FoundEvent]
    facets: dict[str, Any] | None
    corrected: list[str] | None
    next_cursor: str | None


class TypePrice(Struct, frozen=True):
    """A ticket type's price: a share of the level's, in basis points, or its own by level."""

    share_bps: int | None = None
    prices: dict[str, int] = {}


class PriceStep(Struct, frozen=True):
    """Prices that come at a moment, or once so many tickets are sold."""

    step: int
    at: datetime | None
    after_sold: int | None
    price_level: str | None
    prices: dict[str, int]
    ticket_types: dict[str, TypePrice]
    came_at: datetime | None
    price_version: int | None


class PriceSteps(Struct, frozen=True):
    """A show's price steps, in their order."""

    show: str
    steps: list[PriceStep]


class PriceVersion(Struct, frozen=True):
    """Prices that were published, and by which step, if by one."""

    price_version: int
    published_at: datetime
    step: int | None
    prices: dict[str, int]
    ticket_types: dict[str, TypePrice]


class PublishedPrices(Struct, frozen=True):
    """A show's prices, by level, without fee and tax."""

    show: str
    currency: str
    price_version: int
    prices: dict[str, int]
    ticket_types: dict[str, TypePrice]
    steps: list[PriceStep]
    history: list[PriceVersion]


class TicketType(Struct, frozen=True):
    """A kind of ticket, offered where it has a price."""

    ticket_type: str
    name: str
    kind: str
    description: str
    min_per_hold: int | None
    max_per_hold: int | None
    price_levels: list[str] | None


class TicketTypes(Struct, frozen=True):
    """A show's ticket types."""

    show: str
    ticket_types: list[TicketType]


class Allotment(Struct, frozen=True):
    """Places that are kept for who has a right; `counts` where one was looked at."""

    allotment: str
    show: str
    name: str
    places: dict[str, Any]
    seats: int
    places_in_areas: int
    codes: int
    personal_codes: bool
    channels: list[str]
    begins_at: datetime | None
    ends_at: datetime | None
    inventory_version: int
    made_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    counts: Counts | None = None


class AllotmentPage(Struct, frozen=True):
    """A show's allotments, the newest first."""

    allotments: list[Allotment]
    next_cursor: str | None


class PersonalCode(Struct, frozen=True):
    """A buyer's own code."""

    buyer: str
    code: str


class PersonalCodes(Struct, frozen=True):
    """Codes of buyers."""

    codes: list[PersonalCode]


class BundledShow(Struct, frozen=True):
    """A show of a bundle, and its hold; `refused` says why it did not go along."""

    show: str
    hold: str
    status: str
    refused: str | None
    seats: list[str]
    areas: dict[str, int]
    price: ItemisedPrice | None
    order: str | None


class Bundle(Struct, frozen=True):
    """Holds in several shows that are bought as one; final when its `state` is an end."""

    bundle: str
    state: str
    reason: str | None
    buyer: str | None
    created_at: datetime
    expires_at: datetime | None
    currency: str
    price: Price | None
    payment_reference: str | None
    shows: list[BundledShow]


class SheetProblem(Struct, frozen=True):
    """What is wrong with a sheet, and where."""

    line: int
    column: str
    reason: str


class ImportedSheet(Struct, frozen=True):
    """What an import made, or would make: each of `shows` with its line."""

    dry_run: bool
    lines: int
    problems: list[SheetProblem]
    more_problems: int
    shows: list[dict[str, Any]]
    unchanged: int
