"""Invitations: who may act for an account brings others in, by mail."""

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import (
    RESELLER_SETTING,
    SECRET_DIGEST_SETTING,
    local_transaction,
    tenant_transaction,
)
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import invitations, users
from engine.tenancy.accounts import Account, NoAccount, read_account
from engine.tenancy.door import Door, hash_token
from engine.tenancy.mailed import TOKEN_CHARACTERS_MAX, TokenUnknown, new_token
from engine.tenancy.mails import MailKind, NewMail, write_mail
from engine.tenancy.names import name_fault
from engine.tenancy.passwords import PasswordsBusyError, password_faults
from engine.tenancy.principals import Role, Scope
from engine.tenancy.sessions import Busy, Throttled
from engine.tenancy.sign_up import AddressTaken
from engine.tenancy.users import (
    RoleExceeds,
    UnknownUser,
    User,
    missing_scopes,
    read_user,
    seal_person,
)

INVITATION_AGE_MAX: Final = timedelta(days=7)
OPEN_MAX: Final = 100

_PLACE: Final = "invitations.email_sealed"
_SET: Final = text("SELECT set_config(:name, :value, true)")
_LETTER: Final = (
    "{account} invites you to work on their tickets on Onsale, as {role}.\n\nOpen this page within "
    "7 days, and choose a password:\n\n{site}/invitation?token={token}\n"
)

_invitation = invitations.c


class Invitation(Struct, frozen=True, kw_only=True):
    """Somebody who may join an account until then."""

    id: EntityId
    email: str
    role: Role
    created_at: datetime
    expires_at: datetime


class OpenInvitation(Struct, frozen=True, kw_only=True):
    """What who was invited may know before they accept."""

    reseller: EntityId
    account: str
    email: str
    role: Role


class IsUser(Struct, frozen=True):
    """The address is a user's of this account already."""


class TooManyInvitations(Struct, frozen=True):
    """The account has `OPEN_MAX` open ones."""


class PersonUnfit(Struct, frozen=True):
    """The name or the password can't be taken: why, by field."""

    faults: dict[str, str]


async def invite(
    door: Door, reseller: EntityId, email: str, role: Role, *, held: AbstractSet[Scope]
) -> Invitation | NoAccount | IsUser | RoleExceeds | TooManyInvitations | Throttled:
    """Invite an address to an account; an open invitation of the same address ends.

    `held` are the scopes of who invites. Whether the address has a log-in with another account is
    told to nobody but who reads its mail. Nobody is written to as often as somebody invites.
    """
    missing = missing_scopes(role, held)
    if missing:
        return RoleExceeds(missing)
    digest = door.digest_email(email)
    async with tenant_transaction(door.app, reseller) as connection:
        account = await read_account(door.sealer, connection, reseller)
        if isinstance(account, NoAccount):
            return account
        if await _is_user(connection, reseller, digest):
            return IsUser()
        wait_s = door.mails.take(digest)
        if wait_s is not None:
            return Throttled(wait_s)
        await connection.execute(
            delete(invitations).where(
                (_invitation.email_digest == digest) | (_invitation.expires_at < func.now())
            )
        )
        query = select(func.count()).select_from(invitations)
        if (await connection.execute(query)).scalar_one() >= OPEN_MAX:
            return TooManyInvitations()
        return await _add(door, connection, account, email, role)


async def list_invitations(
    door: Door, reseller: EntityId, *, after: EntityId | None, limit: int
) -> list[Invitation]:
    """Return an account's open invitations by id, from behind the one named `after`."""
    query = select(invitations).where(_invitation.expires_at > func.now())
    if after is not None:
        query = query.where(_invitation.id > after)
    async with tenant_transaction(door.app, reseller) as connection:
        rows = await connection.execute(query.order_by(_invitation.id).limit(limit))
        return [await _open(door, connection, row) for row in rows.all()]


async def revoke_invitation(door: Door, reseller: EntityId, invitation: EntityId) -> bool:
    """End an open invitation; False: the account has none of this id."""
    gone = delete(invitations).where(_invitation.id == invitation)
    async with tenant_transaction(door.app, reseller) as connection:
        return (await connection.execute(gone)).rowcount == 1


async def look_at_invitation(door: Door, token: str) -> OpenInvitation | TokenUnknown:
    """Return what a mailed secret invites to; it stays open."""
    if not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
        return TokenUnknown()
    token_hash = hash_token(token)
    query = select(_invitation.reseller_id).where(_invitation.token_hash == token_hash)
    async with local_transaction(door.app, SECRET_DIGEST_SETTING, token_hash.hex()) as connection:
        reseller = (await connection.execute(query)).scalar_one_or_none()
        if reseller is None:
            return TokenUnknown()
        await connection.execute(_SET, {"name": RESELLER_SETTING, "value": str(reseller)})
        query = select(invitations).where(
            _invitation.token_hash == token_hash, _invitation.expires_at > func.now()
        )
        row = (await connection.execute(query)).one_or_none()
        account = await read_account(door.sealer, connection, reseller)
        if row is None or isinstance(account, NoAccount):
            return TokenUnknown()
        found = await _open(door, connection, row)
    return OpenInvitation(
        reseller=EntityId(reseller),
        account=account.legal.legal_name,
        email=found.email,
        role=found.role,
    )


async def accept_invitation(
    door: Door, token: str, name: str, password: str
) -> User | TokenUnknown | AddressTaken | PersonUnfit | Busy:
    """Make a user of who was invited; the secret is good once."""
    found = await look_at_invitation(door, token)
    if isinstance(found, TokenUnknown):
        return found
    faults = person_faults(name, password, found.email)
    if faults:
        return PersonUnfit(faults)
    try:
        password_hash = await door.passwords.hash(password)
    except PasswordsBusyError:
        return Busy()
    try:
        return await _join(door, hash_token(token), found, name, password_hash)
    except IntegrityError:
        return AddressTaken()


def person_faults(name: str, password: str, email: str) -> dict[str, str]:
    """Tell by field why somebody can't be named so, or have this password."""
    faults: dict[str, str] = {}
    reason = name_fault(name)
    if reason is not None:
        faults["name"] = reason
    for reason in password_faults(password, name, email):
        faults["password"] = reason
    return faults


async def _join(
    door: Door, token_hash: bytes, found: OpenInvitation, name: str, password_hash: str
) -> User | TokenUnknown:
    user = new_entity_id()
    async with tenant_transaction(door.app, found.reseller) as connection:
        used = delete(invitations).where(
            _invitation.token_hash == token_hash, _invitation.expires_at > func.now()
        )
        # What the row says now is what counts.
        role = (await connection.execute(used.returning(_invitation.role))).scalar_one_or_none()
        if role is None:
            return TokenUnknown()
        await connection.execute(
            insert(users).values(
                id=user,
                reseller_id=found.reseller,
                role=role,
                password_hash=password_hash,
                confirmed_at=func.now(),
                **await seal_person(door, connection, found.reseller, name, found.email),
            )
        )
        made = await read_user(door, connection, user)
    return TokenUnknown() if isinstance(made, UnknownUser) else made


async def _add(
    door: Door, connection: AsyncConnection, account: Account, email: str, role: Role
) -> Invitation:
    token, reseller = new_token(), account.reseller
    row = await connection.execute(
        insert(invitations)
        .values(
            id=new_entity_id(),
            reseller_id=reseller,
            role=role,
            email_sealed=await door.sealer.seal(connection, reseller, _PLACE, email),
            email_digest=door.digest_email(email),
            token_hash=hash_token(token),
            expires_at=func.now() + INVITATION_AGE_MAX,
        )
        .returning(*invitations.c)
    )
    letter = _LETTER.format(
        account=account.legal.legal_name, role=role.value, site=door.site, token=token
    )
    await write_mail(door.sealer, connection, reseller, NewMail(MailKind.INVITATION, email, letter))
    return await _open(door, connection, row.one())


async def _is_user(connection: AsyncConnection, reseller: EntityId, digest: bytes) -> bool:
    query = select(users.c.id).where(
        users.c.reseller_id == reseller,
        users.c.email_digest == digest,
        users.c.confirmed_at.is_not(None),
    )
    return (await connection.execute(query)).first() is not None


async def _open(door: Door, connection: AsyncConnection, row: Any) -> Invitation:  # noqa: ANN401 - a row
    return Invitation(
        id=EntityId(row.id),
        email=await door.sealer.open(connection, row.reseller_id, _PLACE, row.email_sealed),
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
