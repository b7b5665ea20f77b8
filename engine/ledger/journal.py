"""Double entry: what a sale posts. Pure; the recorder writes it, the database checks its sum.

Amounts are signed minor units: what an account receives is positive, what it owes or has given
is negative, and an entry sums to zero per currency.
"""

from enum import StrEnum
from hashlib import blake2b
from uuid import UUID

from msgspec import Struct

from engine.platform.money import Charge


class Account(StrEnum):
    """The accounts of a reseller's books."""

    PAYMENT_CLEARING = "payment_clearing"
    """What buyers have paid and the payment provider has yet to hand over."""
    RESELLER_PAYABLE = "reseller_payable"
    """What the platform owes the reseller: face values less discounts."""
    PLATFORM_FEE = "platform_fee"
    """What the platform has earned."""
    TAX_PAYABLE = "tax_payable"
    """What is owed to the tax office."""


class EntryKind(StrEnum):
    """Why money moved."""

    SALE = "sale"
    RETURN = "return"
    """The sale's postings, each the other way round."""


class Posting(Struct, frozen=True):
    """One account's part of an entry."""

    account: Account
    currency: str
    amount: int


def sale_postings(currency: str, charge: Charge) -> tuple[Posting, ...]:
    """Return what a confirmed order of this charge posts. A part of zero makes no posting."""
    parts = (
        (Account.PAYMENT_CLEARING, charge.total),
        (Account.RESELLER_PAYABLE, charge.discount - charge.face_value),
        (Account.PLATFORM_FEE, -charge.fee),
        (Account.TAX_PAYABLE, -charge.tax),
    )
    return tuple(
        Posting(account=account, currency=currency, amount=amount)
        for account, amount in parts
        if amount
    )


def entry_id(order: bytes, kind: EntryKind) -> UUID:
    """Return the id of an order's entry of this kind: posting it twice is impossible."""
    return row_id(order, kind)


def row_id(order: bytes, purpose: str) -> UUID:
    """Return the id of a row that follows from an order: the same however often it is derived."""
    return UUID(bytes=blake2b(order + purpose.encode(), digest_size=16).digest())
