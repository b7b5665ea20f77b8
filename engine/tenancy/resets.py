"""New passwords: by who knows the old one, or by who reads the mail of the address."""

from typing import Final

from msgspec import Struct
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import (
    SECRET_DIGEST_SETTING,
    local_transaction,
    tenant_transaction,
)
from engine.platform.ids import EntityId
from engine.platform.tables import mailed_tokens, users
from engine.tenancy.door import Door
from engine.tenancy.mailed import Mailed, Purpose, TokenUnknown, find_token, issue_token, use_token
from engine.tenancy.mails import MailKind, NewMail, write_mail
from engine.tenancy.passwords import PasswordsBusyError, password_faults
from engine.tenancy.sessions import (
    Busy,
    LoggedIn,
    Refused,
    SignedIn,
    Throttled,
    UserRow,
    begin_session,
    end_sessions,
    lock_user,
)
from engine.tenancy.users import UnknownUser, read_user

_LETTER: Final = (
    "Somebody asked for a new password for this address on Onsale.\n\nIf that was you, open this "
    "page within an hour:\n\n{site}/reset-password?token={token}\n\nIf not, leave it: your "
    "password stays as it is.\n"
)
_CHANGED: Final = (
    "Your password on Onsale was changed, and you were signed out everywhere. If that was not you, "
    "ask for a new one at once: {site}/reset-password\n"
)

_user = users.c


class Asked(Struct, frozen=True):
    """If the address has a log-in, a mail is on its way: whether it has one is not told."""


class PasswordSet(Struct, frozen=True):
    """The new password counts; every session of before is over."""


class PasswordUnfit(Struct, frozen=True):
    """The new password can't be taken, and why."""

    reason: str


async def ask_for_reset(door: Door, email: str, source: bytes) -> Asked | Throttled | Busy:
    """Have a secret for a new password mailed, if there is a log-in with this address.

    That is found out after the answer, so that not even its time tells.
    """
    wait_s = door.sign_ups.take(source)
    if wait_s is not None:
        return Throttled(wait_s)
    return Asked() if door.errands.run(_send(door, email)) else Busy()


async def look_at_reset(door: Door, token: str) -> bool:
    """Tell whether a mailed secret is good for a new password; it stays so."""
    return isinstance(await find_token(door.app, token, Purpose.RESET), Mailed)


async def reset_password(
    door: Door, token: str, password: str
) -> PasswordSet | PasswordUnfit | TokenUnknown | Busy:
    """Set a new password by a mailed secret. A second factor is asked for as before."""
    mailed = await find_token(door.app, token, Purpose.RESET)
    if isinstance(mailed, TokenUnknown):
        return mailed
    unfit = await _unfit(door, mailed.reseller, mailed.user, password)
    if unfit is not None:
        return unfit
    try:
        password_hash = await door.passwords.hash(password)
    except PasswordsBusyError:
        return Busy()
    async with tenant_transaction(door.app, mailed.reseller) as connection:
        if not await use_token(connection, mailed):
            return TokenUnknown()
        user = await lock_user(connection, mailed.user)
        if user is None:
            return TokenUnknown()
        await _set(door, connection, user, password_hash)
    return PasswordSet()


async def change_password(
    door: Door, signed_in: SignedIn, old: str, new: str
) -> LoggedIn | Refused | Throttled | PasswordUnfit | Busy:
    """Set a new password by the old one, and go on in a new session: all others are over."""
    key = b"change" + signed_in.user.to_bytes(8, "big")
    wait_s = door.guesses.take(key)
    if wait_s is not None:
        return Throttled(wait_s)
    async with tenant_transaction(door.app, signed_in.reseller) as connection:
        found = await lock_user(connection, signed_in.user)
    try:
        hashed = None if found is None else found.password_hash
        verified = await door.passwords.verify(hashed, old)
        if not verified.is_right:
            return Refused()
        door.guesses.forget(key)
        unfit = await _unfit(door, signed_in.reseller, signed_in.user, new)
        if unfit is not None:
            return unfit
        password_hash = await door.passwords.hash(new)
    except PasswordsBusyError:
        door.guesses.give_back(key)
        return Busy()
    async with tenant_transaction(door.app, signed_in.reseller) as connection:
        user = await lock_user(connection, signed_in.user)
        if user is None or user.password_hash != hashed:
            return Refused()
        await _set(door, connection, user, password_hash)
        return await begin_session(connection, user)


async def _send(door: Door, email: str) -> None:
    digest = door.digest_email(email)
    query = select(_user.id, _user.reseller_id).where(
        _user.email_digest == digest, _user.confirmed_at.is_not(None)
    )
    async with local_transaction(door.app, SECRET_DIGEST_SETTING, digest.hex()) as connection:
        found = (await connection.execute(query)).one_or_none()
    if found is None or door.mails.take(digest) is not None:
        return
    reseller = EntityId(found.reseller_id)
    async with tenant_transaction(door.app, reseller) as connection:
        user = await read_user(door, connection, EntityId(found.id))
        if isinstance(user, UnknownUser):
            return
        token = await issue_token(connection, reseller, user.id, Purpose.RESET)
        letter = _LETTER.format(site=door.site, token=token)
        await write_mail(
            door.sealer, connection, reseller, NewMail(MailKind.RESET, user.email, letter)
        )


async def _set(door: Door, connection: AsyncConnection, user: UserRow, password_hash: str) -> None:
    await connection.execute(
        update(users).where(_user.id == user.id).values(password_hash=password_hash)
    )
    await connection.execute(delete(mailed_tokens).where(mailed_tokens.c.user_id == user.id))
    await end_sessions(connection, user.id)
    told = await read_user(door, connection, user.id)
    if not isinstance(told, UnknownUser):
        letter = _CHANGED.format(site=door.site)
        await write_mail(
            door.sealer, connection, user.reseller, NewMail(MailKind.CHANGED, told.email, letter)
        )


async def _unfit(
    door: Door, reseller: EntityId, user: EntityId, password: str
) -> PasswordUnfit | None:
    async with tenant_transaction(door.app, reseller) as connection:
        found = await read_user(door, connection, user)
    about = () if isinstance(found, UnknownUser) else (found.name, found.email)
    reasons = password_faults(password, *about)
    return PasswordUnfit(reasons[0]) if reasons else None
