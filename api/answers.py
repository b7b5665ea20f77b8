"""What clients are told: the shapes of answers, and how they are made of the engine's views.

Money is in minor units of the currency beside it, times are RFC 3339 in UTC, ids carry a prefix.
"""

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Annotated, Final, cast

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.charges import (
    NextPriceStep,
    Price,
    PricedType,
    TypeName,
    tell_next,
    tell_price,
    tell_types,
)
from api.times import utc
from engine.catalog.price_steps import PriceStep
from engine.catalog.show_looks import ListedShow, ShowLife
from engine.inventory.shows import Show
from engine.platform.ids import Ids, Prefix
from engine.sales.orders import OrderState
from engine.sales.pricing import Quote, Tariff, ticket_charge
from engine.sales.views import FailedOrder, HoldView, OrderView

_TOLD_QUOTES_MAX: Final = 4096

_encode: Final = msgspec.json.Encoder().encode


class PriceLine(Struct, frozen=True):
    """Tickets of one price level and type, numbered (`area` is null) or in one area."""

    price_level: str
    area: str | None
    quantity: int
    unit: Price
    total: int
    ticket_type: TypeName


class ItemisedPrice(Struct, frozen=True):
    """What all of it costs, line by line."""

    currency: str
    lines: list[PriceLine]
    face_value: int
    fee: int
    tax: int
    discount: int
    total: int


class TypedPlacesAnswer(Struct, frozen=True):
    """The places of a ticket type."""

    seats: list[str]
    areas: dict[str, int]


class HoldAnswer(Struct, frozen=True, gc=False):
    """A hold: `held` until `expires_at`, or `purchased` as the order that is named."""

    hold: str
    show: str
    status: str
    buyer: str
    seats: list[str]
    areas: dict[str, int]
    expires_at: datetime | None
    price: ItemisedPrice
    order: str | UnsetType = UNSET
    ticket_types: dict[str, TypedPlacesAnswer] | UnsetType = UNSET
    """By ticket type, which of the places are of it; left out if all are `standard`."""


class TicketAnswer(Struct, frozen=True):
    """The entitlement to one place: a numbered seat, or a place in an area."""

    ticket: str
    price_level: str
    seat: str | None
    area: str | None
    ticket_type: TypeName


class OrderAnswer(Struct, frozen=True):
    """An order. `recording` is not sold yet: it ends as `confirmed` or `failed`.

    One that failed has a `failure`: `conflict` (another order has a place of it), `stranded` (its
    sale can't be recorded) or `lost` (with the store that decided it); of the last two, all else
    may be null.
    """

    order: str
    status: str
    show: str
    hold: str
    buyer: str | None
    sold_at: datetime | None
    payment_reference: str | None
    price: ItemisedPrice | None
    tickets: list[TicketAnswer]
    failure: str | UnsetType = UNSET
    sold_by: Annotated[
        str | UnsetType,
        Meta(description="The other reseller that sold it, of places that were released to it."),
    ] = UNSET


_STATES: Final = (
    "`draft`, `announced`, `on_sale`, `sold_out`, `paused`, `off_sale`, `rescheduled`, `cancelled`"
    " or `past`. One on sale sells from `opens_at` to `closes_at`."
)


class ShowAnswer(Struct, frozen=True):
    """A show in short."""

    show: str
    name: str
    venue: Annotated[str, Meta(examples=["Riethsporthalle Erfurt"])]
    starts_at: datetime
    opens_at: datetime
    closes_at: datetime | None
    state: Annotated[str, Meta(description=_STATES, examples=["on_sale"])]
    selling: Annotated[bool, Meta(description="Whether it takes holds now.")]
    currency: str
    seat_count: int


class PricedLevel(Struct, frozen=True):
    """A price level, and what one of its tickets costs: at first one of the standard type.

    `ticket_types` are the others that are offered in it.
    """

    price_level: str
    name: str
    color: str | None
    seat_count: int
    price: Price
    ticket_types: list[PricedType]


class AreaOfShow(Struct, frozen=True):
    """A general admission area."""

    area: str
    name: str
    price_level: str
    capacity: int


class FullShowAnswer(ShowAnswer, frozen=True):
    """A show with its rules and prices."""

    event: str | None
    configuration: str | None
    configuration_version: int | None
    doors_at: datetime | None
    duration_min: Annotated[int, Meta(description="Minutes.")] | None
    visibility: Annotated[str, Meta(description="`public` or `hidden`.")]
    public_from: datetime | None
    hold_ttl_s: Annotated[int, Meta(description="Of holds that don't say, in seconds.")]
    payment_methods: list[str]
    follows: Annotated[str, Meta(description="The first date, of which it is another.")] | None
    opens_when_first_sells_out: bool
    archived_at: datetime | None
    tax_bps: int
    max_per_hold: int
    max_per_buyer: int
    capacity: int
    price_levels: list[PricedLevel]
    areas: list[AreaOfShow]
    price_version: int
    next_price_step: NextPriceStep | None


# By the quote's identity; it is kept beside its price, so that the identity stays its own.
_told_quotes: OrderedDict[int, tuple[Quote, ItemisedPrice]] = OrderedDict()


def tell_quote(quote: Quote, show: Show) -> ItemisedPrice:
    """Itemise a quote. The engine gives the same object for the same places, and so does this."""
    known = _told_quotes.get(id(quote))
    if known is not None and known[0] is quote:
        return known[1]
    areas = show.manifest.areas
    total = quote.charge
    told = ItemisedPrice(
        currency=quote.currency,
        lines=[
            PriceLine(
                price_level=line.price_level,
                area=None if line.area_index is None else areas[line.area_index].slug,
                quantity=line.quantity,
                unit=tell_price(line.unit),
                total=line.charge.total,
                ticket_type=line.ticket_type,
            )
            for line in quote.lines
        ],
        face_value=total.face_value,
        fee=total.fee,
        tax=total.tax,
        discount=total.discount,
        total=total.total,
    )
    # Written once for all: encoding it again costs as much as the rest of the answer.
    written = cast("ItemisedPrice", Raw(_encode(told)))
    _told_quotes[id(quote)] = quote, written
    if len(_told_quotes) > _TOLD_QUOTES_MAX:
        _told_quotes.popitem(last=False)
    return written


def tell_hold(view: HoldView, show_id: str, ids: Ids) -> HoldAnswer:
    """Tell how a hold stands; `show_id` is what its show's id looks like outside."""
    show = view.show
    expires_at_ms = view.expires_at_ms
    is_held = expires_at_ms is not None
    return HoldAnswer(
        ids.hold(view.hold),
        show_id,
        "held" if is_held else "purchased",
        view.buyer,
        view.seats,
        view.areas,
        utc(expires_at_ms) if is_held else None,
        tell_quote(view.quote, show),
        UNSET if is_held else ids.order(show.id, view.hold),
        _tell_types(view) if view.types else UNSET,
    )


def _tell_types(view: HoldView) -> dict[str, TypedPlacesAnswer]:
    types = iter(view.types)
    told: dict[str, TypedPlacesAnswer] = {}
    for label, kind in zip(view.seats, types, strict=False):
        told.setdefault(kind, TypedPlacesAnswer([], {})).seats.append(label)
    for area, count in view.areas.items():
        for _, kind in zip(range(count), types, strict=False):
            areas = told.setdefault(kind, TypedPlacesAnswer([], {})).areas
            areas[area] = areas.get(area, 0) + 1
    return told


def tell_order(view: OrderView | FailedOrder, ids: Ids) -> OrderAnswer:
    """Tell how an order stands; only one that is confirmed has tickets."""
    show = view.show
    if isinstance(view, FailedOrder):
        return OrderAnswer(
            order=ids.order(show.id, view.order),
            status=OrderState.FAILED,
            show=ids.entity(Prefix.SHOW, show.id),
            hold=ids.hold(view.order),
            buyer=None,
            sold_at=None,
            payment_reference=None,
            price=None,
            tickets=[],
            failure=view.failure,
        )
    return OrderAnswer(
        order=ids.order(show.id, view.order),
        status=view.status,
        show=ids.entity(Prefix.SHOW, show.id),
        hold=ids.hold(view.order),
        buyer=view.buyer,
        sold_at=utc(view.sold_at_ms),
        payment_reference=view.payment_reference,
        price=tell_quote(view.quote, show),
        tickets=[
            TicketAnswer(
                ticket=ids.ticket(ticket.id.bytes),
                price_level=ticket.price_level,
                seat=None if ticket.seat is None else ticket.label,
                area=None if ticket.area is None else ticket.label,
                ticket_type=ticket.ticket_type,
            )
            for ticket in view.tickets
        ],
        failure=UNSET if view.failure is None else view.failure,
        sold_by=UNSET if view.sold_by is None else ids.entity(Prefix.RESELLER, view.sold_by),
    )


def tell_listed_show(show: ListedShow, ids: Ids) -> ShowAnswer:
    """Tell a show in short."""
    return ShowAnswer(
        show=ids.entity(Prefix.SHOW, show.id),
        name=show.name,
        venue=show.venue,
        starts_at=show.starts_at,
        opens_at=show.opens_at,
        closes_at=show.closes_at,
        state=show.state,
        selling=show.selling,
        currency=show.currency,
        seat_count=show.seat_count,
    )


def for_seller(told: FullShowAnswer) -> FullShowAnswer:
    """Return how a show is told to another reseller that sells places of it."""
    return msgspec.structs.replace(
        told,
        event=None,
        configuration=None,
        configuration_version=None,
        public_from=None,
        follows=None,
        opens_when_first_sells_out=False,
        next_price_step=None,
    )


def tell_show(
    show: Show, life: ShowLife, tariff: Tariff, ids: Ids, step: PriceStep | None
) -> FullShowAnswer:
    """Tell a show with its rules and prices, and the price step that is next."""
    manifest = show.manifest

    def named(prefix: Prefix, entity: int | None) -> str | None:
        return None if entity is None else ids.entity(prefix, entity)

    return FullShowAnswer(
        show=ids.entity(Prefix.SHOW, show.id),
        name=life.name,
        venue=life.venue,
        starts_at=life.starts_at.astimezone(UTC),
        opens_at=life.opens_at.astimezone(UTC),
        closes_at=_utc(life.closes_at),
        state=life.state,
        selling=life.selling,
        event=named(Prefix.EVENT, life.event),
        configuration=named(Prefix.CONFIGURATION, life.configuration),
        configuration_version=life.configuration_version,
        doors_at=_utc(life.doors_at),
        duration_min=life.duration_min,
        visibility=life.visibility,
        public_from=_utc(life.public_from),
        hold_ttl_s=life.hold_ttl_s,
        payment_methods=list(life.payment_methods),
        follows=named(Prefix.SHOW, life.follows),
        opens_when_first_sells_out=life.opens_when_first_sells_out,
        archived_at=_utc(life.archived_at),
        currency=show.currency,
        seat_count=manifest.seat_count,
        tax_bps=show.tax_bps,
        max_per_hold=show.max_per_hold,
        max_per_buyer=show.max_per_buyer,
        capacity=manifest.capacity,
        price_levels=[
            PricedLevel(
                price_level=level.slug,
                name=level.name,
                color=level.color,
                seat_count=manifest.seats_by_level[n],
                price=tell_price(ticket_charge(tariff, level.slug)),
                ticket_types=tell_types(show, tariff, level.slug),
            )
            for n, level in enumerate(manifest.levels)
        ],
        areas=[
            AreaOfShow(area.slug, area.name, area.price_level, area.capacity)
            for _, area in manifest.areas_told()
        ],
        price_version=show.price_version,
        next_price_step=None if step is None else tell_next(show, tariff, step),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
