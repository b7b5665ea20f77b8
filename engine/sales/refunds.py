"""Which buyers are to be paid back, since what they paid for is not theirs. Pure.

A request is a row beside the conflict, the stranded fact or the return, in the same transaction:
one an order.
"""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from engine.sales.judging import JudgedBatch, Sale


class RefundReason(StrEnum):
    """Why a sale is to be paid back."""

    CONFLICT = "conflict"
    STRANDED = "stranded"
    RETURNED = "returned"
    """It was sold to them, and they gave it back."""
    CANCELLED = "cancelled"
    """Its show does not take place, and they did not choose otherwise."""
    RESCHEDULED = "rescheduled"
    """Its show was moved, and they can't come then."""


class RefundRequest(Struct, frozen=True):
    """What a buyer is to get back: minor units of the currency, by what they paid with."""

    order: bytes
    reason: RefundReason
    amount: int
    currency: str
    payment_reference: str


def refunds_of(batch: JudgedBatch) -> Iterator[RefundRequest]:
    """Yield what a batch owes; a stranded fact that can't be priced is for a person to look at."""
    for conflict in batch.conflicts:
        yield _refund(conflict.sale, RefundReason.CONFLICT)
    for stranded in batch.stranded:
        if stranded.sale is not None:
            yield _refund(stranded.sale, RefundReason.STRANDED)


def _refund(sale: Sale, reason: RefundReason) -> RefundRequest:
    return RefundRequest(
        order=sale.fact.hold,
        reason=reason,
        amount=sale.quote.charge.total,
        currency=sale.quote.currency,
        payment_reference=sale.fact.payment_reference,
    )
