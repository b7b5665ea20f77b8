"""Accounts, users and invitations as the API tells of them."""

from datetime import datetime

from msgspec import Struct

from engine.platform.ids import Ids, Prefix
from engine.tenancy.accounts import Account, Status
from engine.tenancy.invitations import Invitation
from engine.tenancy.legal import PayoutAccount, PostalAddress
from engine.tenancy.principals import Role
from engine.tenancy.sign_up import SignedUp
from engine.tenancy.users import User

_SHOWN_CHARACTERS = 4


class SignUpAnswer(Struct, frozen=True, kw_only=True):
    """What a sign-up made."""

    reseller: str
    """The live one: it has keys once an operator has approved the account."""
    sandbox: str
    """A reseller of its own, to try everything with."""
    status: Status
    sandbox_key: str
    """The sandbox's first API key: keep it."""


class AddressAnswer(Struct, frozen=True, kw_only=True):
    """A seat's address."""

    line_1: str
    line_2: str
    city: str
    postal_code: str
    state: str


class PayoutAnswer(Struct, frozen=True, kw_only=True):
    """Where a reseller is paid to, as far as it is shown."""

    iban_ending: str | None
    account_number_ending: str | None
    bank_code: str | None


class AccountAnswer(Struct, frozen=True, kw_only=True):
    """A reseller's legal and billing side. Of numbers that are worth stealing, the end."""

    reseller: str
    sandbox: str
    status: Status
    legal_name: str
    address: AddressAnswer
    country: str
    currency: str
    tax_id_ending: str | None
    payout_account: PayoutAnswer
    created_at: datetime
    changed_at: datetime


class UserAnswer(Struct, frozen=True, kw_only=True):
    """Somebody who may act for an account."""

    user: str
    name: str
    email: str
    role: Role
    confirmed: bool
    """Whether they have shown that the address is theirs; before that they can't sign in."""
    second_factor: bool
    created_at: datetime


class UserPage(Struct, frozen=True):
    """An account's users. `next_cursor` is null on the last page."""

    users: list[UserAnswer]
    next_cursor: str | None


class InvitationAnswer(Struct, frozen=True, kw_only=True):
    """Somebody who may join an account until then."""

    invitation: str
    email: str
    role: Role
    created_at: datetime
    expires_at: datetime


class InvitationPage(Struct, frozen=True):
    """An account's open invitations. `next_cursor` is null on the last page."""

    invitations: list[InvitationAnswer]
    next_cursor: str | None


def tell_sign_up(signed_up: SignedUp, ids: Ids) -> SignUpAnswer:
    """Tell a sign-up."""
    return SignUpAnswer(
        reseller=ids.entity(Prefix.RESELLER, signed_up.reseller),
        sandbox=ids.entity(Prefix.RESELLER, signed_up.sandbox),
        status=Status.PENDING,
        sandbox_key=signed_up.key,
    )


def tell_account(account: Account, ids: Ids) -> AccountAnswer:
    """Tell an account."""
    legal = account.legal
    return AccountAnswer(
        reseller=ids.entity(Prefix.RESELLER, account.reseller),
        sandbox=ids.entity(Prefix.RESELLER, account.sandbox),
        status=account.status,
        legal_name=legal.legal_name,
        address=_tell_address(legal.address),
        country=legal.country,
        currency=legal.currency,
        tax_id_ending=_ending(legal.tax_id),
        payout_account=_tell_payout(legal.payout_account),
        created_at=account.created_at,
        changed_at=account.changed_at,
    )


def tell_user(user: User, ids: Ids) -> UserAnswer:
    """Tell a user."""
    return UserAnswer(
        user=ids.entity(Prefix.USER, user.id),
        name=user.name,
        email=user.email,
        role=user.role,
        confirmed=user.is_confirmed,
        second_factor=user.has_second_factor,
        created_at=user.created_at,
    )


def tell_invitation(invitation: Invitation, ids: Ids) -> InvitationAnswer:
    """Tell an invitation."""
    return InvitationAnswer(
        invitation=ids.entity(Prefix.INVITATION, invitation.id),
        email=invitation.email,
        role=invitation.role,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )


def _tell_address(address: PostalAddress) -> AddressAnswer:
    return AddressAnswer(
        line_1=address.line_1,
        line_2=address.line_2,
        city=address.city,
        postal_code=address.postal_code,
        state=address.state,
    )


def _tell_payout(payout: PayoutAccount) -> PayoutAnswer:
    return PayoutAnswer(
        iban_ending=_ending(payout.iban),
        account_number_ending=_ending(payout.account_number),
        bank_code=payout.bank_code or None,
    )


def _ending(text: str | None) -> str | None:
    # Of a short one no more than half.
    return text[-min(_SHOWN_CHARACTERS, len(text) // 2) :] if text else None
