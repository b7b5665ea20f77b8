"""Money: integer minor units and an ISO 4217 currency, always together. No floats, ever."""

import re
from typing import Final

from msgspec import Struct

BPS: Final = 10_000
"""Basis points in a whole: 350 of them are 3.5 %."""

_CODE: Final = re.compile(r"[A-Z]{3}")
_MINOR_DIGITS: Final = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0
    ),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""Digits of the minor unit where they are not two: ISO 4217, table A.1."""


class MoneyError(ValueError):
    """An amount or a currency that cannot be."""


class Charge(Struct, frozen=True):
    """What a ticket, a line or an order costs, itemised, in minor units of one currency."""

    face_value: int
    fee: int
    tax: int
    discount: int = 0

    @property
    def total(self) -> int:
        """Return what the buyer pays."""
        return self.face_value + self.fee + self.tax - self.discount

    def __add__(self, other: "Charge") -> "Charge":
        """Return both together."""
        return Charge(
            face_value=self.face_value + other.face_value,
            fee=self.fee + other.fee,
            tax=self.tax + other.tax,
            discount=self.discount + other.discount,
        )

    def __mul__(self, quantity: int) -> "Charge":
        """Return this charge, `quantity` times."""
        return Charge(
            face_value=self.face_value * quantity,
            fee=self.fee * quantity,
            tax=self.tax * quantity,
            discount=self.discount * quantity,
        )


NOTHING: Final = Charge(face_value=0, fee=0, tax=0)


def share(amount: int, bps: int) -> int:
    """Return that share of an amount, a half rounded up.

    Raises:
        MoneyError: either is negative.
    """
    if amount < 0 or bps < 0:
        msg = f"{bps} basis points of {amount}: neither may be negative"
        raise MoneyError(msg)
    return (amount * bps + BPS // 2) // BPS


def check_currency(code: str) -> str:
    """Return the code if it has the form of an ISO 4217 one.

    Raises:
        MoneyError: it has not.
    """
    if not _CODE.fullmatch(code):
        msg = f"{code!r} is not an ISO 4217 currency code: three capital letters"
        raise MoneyError(msg)
    return code


def decimal_text(amount: int, currency: str) -> str:
    """Return an amount as a decimal number: `95.00` euros, `9500` yen, `9.500` dinars."""
    digits = _MINOR_DIGITS.get(currency, 2)
    if digits == 0:
        return str(amount)
    whole, rest = divmod(abs(amount), 10**digits)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{digits}d}"
