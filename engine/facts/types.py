"""The types of facts, and what each tells: a contract, which receivers build on.

Money is in minor units of the currency beside it, times are RFC 3339 in UTC. Members may be added
to a type, none is taken away. No fact says who the buyer is: whoever may know asks for the order.
"""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

import msgspec
from msgspec import Struct


class FactType(StrEnum):
    """What happened."""

    HOLD_EXPIRED = "hold.expired"
    SEATS_SOLD = "seats.sold"
    SEATS_RETURNED = "seats.returned"
    ORDER_CONFIRMED = "order.confirmed"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_FAILED = "order.failed"
    ORDER_REFUNDED = "order.refunded"
    BUNDLE_PURCHASED = "bundle.purchased"
    BUNDLE_RELEASED = "bundle.released"
    BUNDLE_FAILED = "bundle.failed"
    PAYMENT_PAID = "payment.paid"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_FLAGGED_FRAUD = "payment.flagged_fraud"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_CLOSED = "dispute.closed"
    SHOW_ON_SALE = "show.on_sale"
    SHOW_SOLD_OUT = "show.sold_out"
    SHOW_CANCELLED = "show.cancelled"
    SHOW_ANNOUNCED = "show.announced"
    SHOW_CHANGED = "show.changed"
    SHOW_PAUSED = "show.paused"
    SHOW_RESUMED = "show.resumed"
    SHOW_CLOSED = "show.closed"
    SHOW_RESCHEDULED = "show.rescheduled"
    SHOW_DATE_ADDED = "show.date_added"
    SHOW_ENDED = "show.ended"
    SHOW_ARCHIVED = "show.archived"
    SHOW_RECOVERED = "show.recovered"
    SHOW_INVENTORY_CHANGED = "show.inventory_changed"
    SHOW_PRICES_CHANGED = "show.prices_changed"
    ALLOTMENT_MADE = "allotment.made"
    ALLOTMENT_ENDED = "allotment.ended"
    QUEUE_DRAW_REVEALED = "queue.draw_revealed"
    CONFIGURATION_VERSION_ADDED = "configuration.version_added"
    PAYOUT_PAID = "payout.paid"


class HoldExpired(Struct, frozen=True, kw_only=True):
    """A hold ended without its being bought or released; its places are free again.

    `deadline`: its time was over. `recovery`: the store lost it, or its places.
    """

    reason: Literal["deadline", "recovery"]


class PlacesTold(Struct, frozen=True, kw_only=True):
    """The places of an order: labels of seats, and how many places of each area."""

    seats: tuple[str, ...]
    areas: dict[str, int]


class OrderConfirmed(Struct, frozen=True, kw_only=True):
    """An order is recorded: total = face_value + fee + tax - discount.

    `sold_by`: another reseller that the places were released to, and who sold them; else null.
    """

    tickets: int
    currency: str
    face_value: int
    fee: int
    tax: int
    discount: int
    total: int
    payment_reference: str
    sold_by: str | None = None


class OrderCancelled(Struct, frozen=True, kw_only=True):
    """A confirmed order was given back; `total` is to be refunded.

    `show_change`: `cancelled` or `rescheduled`, if so was its show and a refund was chosen for it.
    """

    reason: Literal["returned"]
    currency: str
    total: int
    show_change: str | None = None


class OrderFailed(Struct, frozen=True, kw_only=True):
    """A purchase did not become an order, and what was paid for it is to be refunded.

    `conflict`: another order has a place of it. `stranded`: its sale can't be recorded.
    """

    reason: Literal["conflict", "stranded"]


class OrderRefunded(Struct, frozen=True, kw_only=True):
    """Money of an order was paid back."""

    currency: str
    amount: int


class BundlePurchased(Struct, frozen=True, kw_only=True):
    """A bundle was bought in every show: each order is confirmed, and tells what it has.

    `total` is of all of them, as they were bought.
    """

    orders: tuple[str, ...]
    currency: str
    total: int
    payment_reference: str


class BundleReleased(Struct, frozen=True, kw_only=True):
    """A bundle that was held is not bought: all its places are free again.

    `refused`: what shows said, by their ids, that did not go along with its purchase.
    """

    reason: Literal["cancelled", "expired", "refused", "too-late"]
    refused: dict[str, str]


class BundleFailed(Struct, frozen=True, kw_only=True):
    """A show lost its hold after it was decided that the bundle is bought.

    `orders`: what was bought of it, and has been given back. `refused`: what shows said, by their
    ids.
    """

    orders: tuple[str, ...]
    payment_reference: str
    refused: dict[str, str]


class PaymentTold(Struct, frozen=True, kw_only=True):
    """What became of a payment."""

    order: str
    currency: str
    amount: int
    reference: str


class DisputeTold(Struct, frozen=True, kw_only=True):
    """A buyer's bank contests a payment, or has decided; `outcome` is null until then."""

    order: str
    currency: str
    amount: int
    outcome: Literal["won", "lost"] | None


class ShowOnSale(Struct, frozen=True, kw_only=True):
    """A show's sale has begun."""

    opens_at: datetime


class ShowSoldOut(Struct, frozen=True, kw_only=True):
    """Every place of a show is sold or withheld, by the ledger.

    It is told again only after a place was free in between.
    """

    sold: int
    blocked: int


class ShowCancelled(Struct, frozen=True, kw_only=True):
    """A show does not take place.

    Who has tickets may choose among `offered` until `choose_by`, and has `default` then.
    """

    note: str = ""
    offered: tuple[str, ...] = ()
    default: str | None = None
    choose_by: datetime | None = None
    new_show: str | None = None


class ShowRescheduled(Struct, frozen=True, kw_only=True):
    """A show was moved to another time; it is not sold until it is opened again.

    Who has tickets may choose among `offered` until `choose_by`, and has `default` then.
    """

    starts_at_before: datetime
    starts_at: datetime
    note: str
    offered: tuple[str, ...]
    default: str
    choose_by: datetime


class ShowAnnounced(Struct, frozen=True, kw_only=True):
    """A show was made known; it is not sold until it is opened."""

    starts_at: datetime
    opens_at: datetime


class ShowChanged(Struct, frozen=True, kw_only=True):
    """A show was changed: the members of it that are other than before."""

    changed: tuple[str, ...]


class ShowPaused(Struct, frozen=True, kw_only=True):
    """A show's sale rests: what is held may still be bought."""


class ShowResumed(Struct, frozen=True, kw_only=True):
    """A show's sale goes on: it was paused, closed or moved before."""

    after: Literal["paused", "off_sale", "rescheduled"]


class ShowClosed(Struct, frozen=True, kw_only=True):
    """A show's sale was closed by its reseller."""


class ShowDateAdded(Struct, frozen=True, kw_only=True):
    """Another date of a show was added: a show of its own.

    It opens `now`, `at` its `opens_at`, or `when_first_sells_out`.
    """

    new_show: str
    starts_at: datetime
    opens: Literal["now", "at", "when_first_sells_out"]


class ShowEnded(Struct, frozen=True, kw_only=True):
    """A show is over."""

    starts_at: datetime


class ShowArchived(Struct, frozen=True, kw_only=True):
    """A show's inventory was taken out of the inventory store: all of it is in the ledger."""

    orders: int


class ShowInventoryChanged(Struct, frozen=True, kw_only=True):
    """A show's places were edited while it sells: live maps begin anew.

    Prices are the same, under the next price version. `capacities` are of the areas that have
    another one now.
    """

    inventory_version: int
    price_version: int
    seats_moved: int
    seats_taken_out: int
    seats_put_back: int
    capacities: dict[str, int]


class ShowRecovered(Struct, frozen=True, kw_only=True):
    """A show is on sale again after its inventory was lost, moved or in doubt.

    `epoch` counts them; live maps begin anew. Of `holds_ended` a `hold.expired` tells each.
    """

    epoch: int
    holds_kept: int
    holds_ended: int


class ShowPricesChanged(Struct, frozen=True, kw_only=True):
    """New holds of a show are at other prices; those that live keep theirs.

    `step` is the number of the scheduled step that brought it about; null if they were published.
    """

    price_version: int
    step: int | None


class AllotmentMade(Struct, frozen=True, kw_only=True):
    """Places of a show are only for who has a right to them: live maps begin anew.

    Nobody may hold them before `begins_at`, and they go to everybody by themselves at `ends_at`.
    """

    show: str
    name: str
    seats: int
    places: int
    begins_at: datetime | None
    ends_at: datetime | None
    inventory_version: int


class AllotmentEnded(Struct, frozen=True, kw_only=True):
    """Places that were only for some are for everybody: live maps begin anew.

    `time`: its time was over. `request`: its reseller gave them back.
    """

    show: str
    name: str
    reason: Literal["time", "request"]


class QueueDrawRevealed(Struct, frozen=True, kw_only=True):
    """A waiting room's places are drawn, and all that proves the draw is published."""

    count: int
    digest: str


class ConfigurationVersionAdded(Struct, frozen=True, kw_only=True):
    """A venue's configuration has another version: for shows that are made from now on.

    `valid_from` is the first day, at the venue, of shows that it is for.
    """

    venue: str
    version: int
    valid_from: date
    capacity: int
    seats: int


class PayoutPaid(Struct, frozen=True, kw_only=True):
    """What was owed for a show was transferred."""

    currency: str
    amount: int


FactData = (
    HoldExpired
    | PlacesTold
    | OrderConfirmed
    | OrderCancelled
    | OrderFailed
    | OrderRefunded
    | BundlePurchased
    | BundleReleased
    | BundleFailed
    | PaymentTold
    | DisputeTold
    | ShowOnSale
    | ShowSoldOut
    | ShowCancelled
    | ShowAnnounced
    | ShowChanged
    | ShowPaused
    | ShowResumed
    | ShowClosed
    | ShowRescheduled
    | ShowDateAdded
    | ShowEnded
    | ShowArchived
    | ShowRecovered
    | ShowInventoryChanged
    | ShowPricesChanged
    | AllotmentMade
    | AllotmentEnded
    | QueueDrawRevealed
    | ConfigurationVersionAdded
    | PayoutPaid
)

DATA_OF_TYPE: Final[Mapping[FactType, type[FactData]]] = MappingProxyType(
    {
        FactType.HOLD_EXPIRED: HoldExpired,
        FactType.SEATS_SOLD: PlacesTold,
        FactType.SEATS_RETURNED: PlacesTold,
        FactType.ORDER_CONFIRMED: OrderConfirmed,
        FactType.ORDER_CANCELLED: OrderCancelled,
        FactType.ORDER_FAILED: OrderFailed,
        FactType.ORDER_REFUNDED: OrderRefunded,
        FactType.BUNDLE_PURCHASED: BundlePurchased,
        FactType.BUNDLE_RELEASED: BundleReleased,
        FactType.BUNDLE_FAILED: BundleFailed,
        FactType.PAYMENT_PAID: PaymentTold,
        FactType.PAYMENT_FAILED: PaymentTold,
        FactType.PAYMENT_FLAGGED_FRAUD: PaymentTold,
        FactType.DISPUTE_OPENED: DisputeTold,
        FactType.DISPUTE_CLOSED: DisputeTold,
        FactType.SHOW_ON_SALE: ShowOnSale,
        FactType.SHOW_SOLD_OUT: ShowSoldOut,
        FactType.SHOW_CANCELLED: ShowCancelled,
        FactType.SHOW_ANNOUNCED: ShowAnnounced,
        FactType.SHOW_CHANGED: ShowChanged,
        FactType.SHOW_PAUSED: ShowPaused,
        FactType.SHOW_RESUMED: ShowResumed,
        FactType.SHOW_CLOSED: ShowClosed,
        FactType.SHOW_RESCHEDULED: ShowRescheduled,
        FactType.SHOW_DATE_ADDED: ShowDateAdded,
        FactType.SHOW_ENDED: ShowEnded,
        FactType.SHOW_ARCHIVED: ShowArchived,
        FactType.SHOW_RECOVERED: ShowRecovered,
        FactType.SHOW_INVENTORY_CHANGED: ShowInventoryChanged,
        FactType.SHOW_PRICES_CHANGED: ShowPricesChanged,
        FactType.ALLOTMENT_MADE: AllotmentMade,
        FactType.ALLOTMENT_ENDED: AllotmentEnded,
        FactType.QUEUE_DRAW_REVEALED: QueueDrawRevealed,
        FactType.CONFIGURATION_VERSION_ADDED: ConfigurationVersionAdded,
        FactType.PAYOUT_PAID: PayoutPaid,
    }
)
"""What stands in `data`."""

TYPES_WITHOUT_SOURCE: Final = frozenset(
    {
        FactType.ORDER_REFUNDED,
        FactType.PAYMENT_PAID,
        FactType.PAYMENT_FAILED,
        FactType.PAYMENT_FLAGGED_FRAUD,
        FactType.DISPUTE_OPENED,
        FactType.DISPUTE_CLOSED,
        FactType.PAYOUT_PAID,
    }
)
"""Defined, and told by nothing yet."""

_encode: Final = msgspec.json.Encoder().encode


def pack_data(data: FactData) -> str:
    """Return what a fact tells, as it goes into the log."""
    return _encode(data).decode()
