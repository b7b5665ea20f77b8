"""What clients may send about accounts and the people who act for them.

Most bounds are checked together with what no type can say, so that all that is wrong with a sign-up
is told at once.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from api.inputs import Body, name_faults
from api.problems import Fault
from engine.tenancy.accounts import LegalChanges
from engine.tenancy.door import EMAIL_CHARACTERS_MAX, read_email
from engine.tenancy.legal import Legal, PayoutAccount, PostalAddress, legal_faults
from engine.tenancy.mailed import TOKEN_CHARACTERS_MAX
from engine.tenancy.passwords import password_faults
from engine.tenancy.principals import Role

_TEXT_CHARACTERS_MAX: Final = 1000
_CODE_CHARACTERS_MAX: Final = 100
_PASSWORD_CHARACTERS_MAX: Final = 1000

Text = Annotated[str, Meta(max_length=_TEXT_CHARACTERS_MAX)]
Code = Annotated[str, Meta(max_length=_CODE_CHARACTERS_MAX)]
LegalName = Annotated[Text, Meta(description="As registered.", examples=["Erfurt Tickets GmbH"])]
Country = Annotated[Code, Meta(description="ISO 3166-1 alpha-2.", examples=["DE"])]
Currency = Annotated[
    Code, Meta(description="ISO 4217: what you are paid out in.", examples=["EUR"])
]
TaxId = Annotated[
    Code,
    Meta(
        description="VAT id, or what your country has for one, checked for its form and check "
        "digit. Required where the country has one.",
        examples=["DE136695976"],
    ),
]
PersonName = Annotated[
    Text,
    Meta(
        description="No control, invisible or bidirectional characters; kept in NFC.",
        examples=["Ada Abendroth"],
    ),
]
Email = Annotated[
    str, Meta(max_length=EMAIL_CHARACTERS_MAX * 2, examples=["ada@tickets.example.com"])
]
Password = Annotated[
    str,
    Meta(
        max_length=_PASSWORD_CHARACTERS_MAX,
        description="12 to 256 characters; any, after NFKC. Not one of the commonest, nor little "
        "more than the name or the address.",
        examples=["seven green kettles"],
    ),
]


class AddressPart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A seat's address; its country stands beside it."""

    line_1: Annotated[Text, Meta(examples=["Domplatz 1"])]
    city: Annotated[Text, Meta(examples=["Erfurt"])]
    line_2: Text = ""
    postal_code: Annotated[Text, Meta(examples=["99084"])] = ""
    state: Text = ""

    def legal(self) -> PostalAddress:
        """Return it in the engine's words."""
        return PostalAddress(**structs.asdict(self))


class PayoutPart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where you are paid to: an IBAN, or where there are none, account number and bank code."""

    iban: Annotated[Code, Meta(examples=["DE89370400440532013000"])] = ""
    account_number: Code = ""
    bank_code: Annotated[Code, Meta(description="In the US the ABA routing number.")] = ""

    def legal(self) -> PayoutAccount:
        """Return it in the engine's words."""
        return PayoutAccount(**structs.asdict(self))


class SignUpBody(Body, frozen=True, kw_only=True):
    """A reseller to be, and its first owner."""

    legal_name: LegalName
    address: AddressPart
    country: Country
    currency: Currency
    tax_id: TaxId | None = None
    payout_account: PayoutPart
    owner_name: PersonName
    email: Email
    password: Password

    def legal(self) -> Legal:
        """Return the account's side in the engine's words."""
        return Legal(
            legal_name=self.legal_name,
            address=self.address.legal(),
            country=self.country,
            currency=self.currency,
            tax_id=self.tax_id,
            payout_account=self.payout_account.legal(),
        )

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return [
            *(Fault(unfit.reason, pointer=unfit.pointer) for unfit in legal_faults(self.legal())),
            *name_faults("/owner_name", self.owner_name),
            *_email_faults(self.email),
            *_password_faults(self.password, self.owner_name, self.email, self.legal_name),
        ]


class AccountChangeBody(Body, frozen=True, kw_only=True):
    """What to change of an account; what is not named stays. What is left must fit together."""

    legal_name: LegalName | UnsetType = UNSET
    address: AddressPart | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    tax_id: TaxId | UnsetType | None = UNSET
    payout_account: PayoutPart | UnsetType = UNSET

    def changes(self) -> LegalChanges:
        """Return it in the engine's words."""
        address, payout = self.address, self.payout_account
        return LegalChanges(
            legal_name=self.legal_name,
            address=address.legal() if isinstance(address, AddressPart) else UNSET,
            country=self.country,
            currency=self.currency,
            tax_id=self.tax_id,
            payout_account=payout.legal() if isinstance(payout, PayoutPart) else UNSET,
        )


class InvitationBody(Body, frozen=True, kw_only=True):
    """Whom to invite, as what."""

    email: Email
    role: Role

    def faults(self) -> Sequence[Fault]:
        """List what no type can say."""
        return list(_email_faults(self.email))


class AcceptBody(Body, frozen=True, kw_only=True):
    """What who was invited says of themselves."""

    token: Annotated[
        str, Meta(min_length=1, max_length=TOKEN_CHARACTERS_MAX, description="From the mail.")
    ]
    name: PersonName
    password: Password

    def faults(self) -> Sequence[Fault]:
        """List what no type can say."""
        return [
            *name_faults("/name", self.name),
            *_password_faults(self.password, self.name),
        ]


class RoleBody(Body, frozen=True, kw_only=True):
    """What to change of a user."""

    role: Role | UnsetType = UNSET


def _email_faults(email: str) -> Iterator[Fault]:
    if read_email(email) is None:
        yield Fault("is no mail address", pointer="/email")


def _password_faults(password: str, *about: str) -> Iterator[Fault]:
    for reason in password_faults(password, *about):
        yield Fault(reason, pointer="/password")
