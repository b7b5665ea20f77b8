"""What the law and a bank want to know of a reseller, and whether it can be true.

Only forms are checked, by check digits and registers of codes; nobody is asked.
"""

from collections.abc import Iterator
from typing import Any, Final, cast

import pycountry
from msgspec import Struct, structs
from stdnum import get_cc_module, iban, numdb
from stdnum.exceptions import ValidationError
from stdnum.us import rtn

from engine.platform.money import MoneyError, check_currency
from engine.tenancy.names import clean_name, name_fault

LINE_CHARACTERS_MAX: Final = 200

_COUNTRIES: Final = frozenset(str(one.alpha_2) for one in cast("Any", pycountry.countries))
_CURRENCIES: Final = frozenset(str(one.alpha_3) for one in cast("Any", pycountry.currencies))
_IBAN_OF: Final[Any] = numdb.get("iban")
_TAX_IDS: Final = ("vat", "tin")
_ACCOUNT_CHARACTERS: Final = (4, 34)
_BANK_CHARACTERS: Final = (3, 20)


class Unfit(Struct, frozen=True):
    """A part that can't be true: where it stands (a JSON pointer), and why."""

    pointer: str
    reason: str


class PostalAddress(Struct, frozen=True, kw_only=True):
    """Where a reseller has its seat; the country stands beside it."""

    line_1: str
    line_2: str = ""
    city: str
    postal_code: str = ""
    state: str = ""


class PayoutAccount(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a reseller is paid to: by IBAN, elsewhere by account number and the bank's code."""

    iban: str = ""
    account_number: str = ""
    bank_code: str = ""

    @property
    def ending(self) -> str:
        """The last four characters: what is shown of it."""
        return (self.iban or self.account_number)[-4:]


class Legal(Struct, frozen=True, kw_only=True):
    """A reseller's legal and billing side."""

    legal_name: str
    address: PostalAddress
    country: str
    currency: str
    tax_id: str | None
    payout_account: PayoutAccount


def clean_legal(legal: Legal) -> Legal:
    """Return the form that is kept, of what `legal_faults` finds nothing in."""
    payout = legal.payout_account
    address = {name: clean_name(text) for name, text in structs.asdict(legal.address).items()}
    return structs.replace(
        legal,
        legal_name=clean_name(legal.legal_name),
        address=PostalAddress(**address),
        tax_id=_read_tax_id(legal.country, legal.tax_id) if legal.tax_id else None,
        payout_account=PayoutAccount(
            iban=iban.compact(payout.iban),
            account_number=_compact(payout.account_number),
            bank_code=_compact(payout.bank_code),
        ),
    )


def legal_faults(legal: Legal) -> list[Unfit]:
    """List all that can't be true."""
    return [
        *_name_faults("/legal_name", legal.legal_name),
        *_address_faults(legal.address),
        *_country_faults(legal),
        *_tax_id_faults(legal),
        *_payout_faults(legal.payout_account, legal.country),
    ]


def _name_faults(pointer: str, text: str) -> Iterator[Unfit]:
    reason = name_fault(text, characters_max=LINE_CHARACTERS_MAX)
    if reason is not None:
        yield Unfit(pointer, reason)


def _address_faults(address: PostalAddress) -> Iterator[Unfit]:
    for name, text in structs.asdict(address).items():
        if text or name in ("line_1", "city"):
            yield from _name_faults(f"/address/{name}", text)


def _country_faults(legal: Legal) -> Iterator[Unfit]:
    if legal.country not in _COUNTRIES:
        yield Unfit("/country", "is no ISO 3166-1 alpha-2 code, such as DE")
    try:
        known = check_currency(legal.currency) in _CURRENCIES
    except MoneyError:
        known = False
    if not known:
        yield Unfit("/currency", "is no ISO 4217 code, such as EUR")


def _tax_id_faults(legal: Legal) -> Iterator[Unfit]:
    if legal.country not in _COUNTRIES:
        return
    if not legal.tax_id:
        if _tax_id_module(legal.country) is not None:
            yield Unfit("/tax_id", f"is required in {legal.country}")
    elif _read_tax_id(legal.country, legal.tax_id) is None:
        yield Unfit("/tax_id", f"is no tax id of {legal.country}: its form or check digit is wrong")


def _tax_id_module(country: str) -> Any:  # noqa: ANN401 - a module of stdnum
    found = (get_cc_module(country.lower(), kind) for kind in _TAX_IDS)
    return next((module for module in found if module is not None), None)


def _read_tax_id(country: str, text: str) -> str | None:
    module = _tax_id_module(country)
    if module is None:
        compact = _compact(text)
        return compact if compact and not name_fault(compact, characters_max=40) else None
    try:
        return str(module.validate(text))
    except ValidationError:
        return None


def _payout_faults(payout: PayoutAccount, country: str) -> Iterator[Unfit]:
    if payout.iban:
        if payout.account_number or payout.bank_code:
            yield Unfit("/payout_account", "has both an IBAN and an account number")
        elif not iban.is_valid(payout.iban):
            yield Unfit("/payout_account/iban", "is no IBAN: its form or check digits are wrong")
        return
    if country in _COUNTRIES and _has_ibans(country):
        yield Unfit("/payout_account/iban", f"is required in {country}")
        return
    for name, text, bounds in (
        ("account_number", payout.account_number, _ACCOUNT_CHARACTERS),
        ("bank_code", payout.bank_code, _BANK_CHARACTERS),
    ):
        if not _is_code(text, *bounds):
            reason = f"is not {bounds[0]} to {bounds[1]} letters and digits"
            yield Unfit(f"/payout_account/{name}", reason)
        elif name == "bank_code" and country == "US" and not rtn.is_valid(_compact(text)):
            yield Unfit(f"/payout_account/{name}", "is no ABA routing number")


def _has_ibans(country: str) -> bool:
    return bool(_IBAN_OF.info(country)[0][1])


def _is_code(text: str, least: int, most: int) -> bool:
    compact = _compact(text)
    return compact.isascii() and compact.isalnum() and least <= len(compact) <= most


def _compact(text: str) -> str:
    return "".join(text.replace("-", " ").split()).upper()
