"""What the log is told of sales. Pure.

Two facts an order are much beside the order itself. What an order's price tells is the same for all
orders of one quote and is packed once; the recorder's statement puts the facts together.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from engine.facts.log import NewFact
from engine.facts.types import FactType, OrderConfirmed, OrderFailed, PlacesTold, pack_data
from engine.platform.ids import Ids
from engine.sales.judging import JudgedBatch, Sale
from engine.sales.pricing import Quote

REFERENCE: Final = "payment_reference"
SELLER: Final = "sold_by"
"""The members of `order.confirmed` that orders of one quote do not share."""

_CONFLICT: Final = OrderFailed(reason="conflict")
_STRANDED: Final = OrderFailed(reason="stranded")


def tell_price(quote: Quote) -> str:
    """Return what `order.confirmed` tells of every order of a quote."""
    charge = quote.charge
    return pack_data(
        OrderConfirmed(
            tickets=sum(line.quantity for line in quote.lines),
            currency=quote.currency,
            face_value=charge.face_value,
            fee=charge.fee,
            tax=charge.tax,
            discount=charge.discount,
            total=charge.total,
            payment_reference="",
            sold_by=None,
        )
    )


def tell_places(sale: Sale) -> str:
    """Return what `seats.sold` tells of an order."""
    return pack_data(
        PlacesTold(
            seats=tuple([place.label for _, place in sorted(sale.seats)]),
            areas={place.slug: count for _, count, place in sale.areas},
        )
    )


def failures_of(
    ids: Ids, show: int, batch: JudgedBatch, newly_stranded: Iterable[bytes]
) -> list[NewFact]:
    """Return what is told of a batch's conflicts, and of the holds of facts that were stranded."""
    now = datetime.now(UTC)
    failed = {one.sale.fact.hold: _CONFLICT for one in batch.conflicts}
    failed |= dict.fromkeys(newly_stranded, _STRANDED)
    return [
        NewFact(FactType.ORDER_FAILED, ids.order(show, hold), data, show, now)
        for hold, data in failed.items()
    ]
