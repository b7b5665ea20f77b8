"""Log-ins of people: by mail address and password, and a second factor where they have one.

What a log-in answers, and how long it takes, is the same whether the address has an account or
not. A session is a secret in a cookie, of which the hash is stored.
"""

import secrets
import time
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import (
    LargeBinary,
    Select,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import (
    RESELLER_SETTING,
    SECRET_DIGEST_SETTING,
    local_transaction,
    tenant_transaction,
)
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.sealing import SealError
from engine.platform.tables import accounts, resellers, sessions, users
from engine.tenancy.door import Door, hash_token
from engine.tenancy.passwords import PasswordsBusyError
from engine.tenancy.principals import Role
from engine.tenancy.second_factor import recovery_form, totp_step
from engine.tenancy.throttle import Throttle

COOKIE: Final = "onsale_session"
"""The cookie that a session's secret is in; `__Host-` stands before it where there is TLS."""

SESSION_AGE_MAX: Final = timedelta(hours=12)
SESSIONS_OF_USER_MAX: Final = 20

TOTP_PLACE: Final = "users.totp_sealed"
RECOVERY_PLACE: Final = "users.recovery_code"

_TOKEN_BYTES: Final = 32
_TOKEN_CHARACTERS_MAX: Final = 64
_TICKET_PLACE: Final = "log-in"
_TICKET_AGE_S: Final = 300
_TICKET_CHARACTERS_MAX: Final = 600

_SET: Final = text("SELECT set_config(:name, :value, true)")
_user = users.c
_session = sessions.c

_FIND: Final = select(_session.id, _session.reseller_id, _session.user_id).where(
    _session.token_hash == bindparam("token_hash")
)
_SIGNED_IN: Final = (
    select(
        _session.id,
        _session.reseller_id,
        _session.user_id,
        _session.signed_in_at,
        accounts.c.sandbox_id,
        _user.role,
    )
    .join(users, _user.id == _session.user_id)
    .join(accounts, accounts.c.reseller_id == _session.reseller_id)
    .join(resellers, resellers.c.id == _session.reseller_id)
    .where(
        _session.id == bindparam("session"),
        _session.expires_at > func.now(),
        _user.confirmed_at.is_not(None),
        _user.removed_at.is_(None),
        or_(_user.logged_out_at.is_(None), _user.logged_out_at < _session.signed_in_at),
        resellers.c.status != "suspended",
    )
)
_USERS: Final = (
    select(
        *(_user.id, _user.reseller_id, _user.role, _user.password_hash),
        *(_user.totp_confirmed_at, _user.totp_sealed, _user.totp_step),
    )
    .join(resellers, resellers.c.id == _user.reseller_id)
    .where(
        _user.confirmed_at.is_not(None),
        _user.removed_at.is_(None),
        resellers.c.status != "suspended",
    )
)


class SignedIn(Struct, frozen=True):
    """Whose session it is."""

    session: EntityId
    user: EntityId
    reseller: EntityId
    """The live one of their account."""
    sandbox: EntityId
    role: Role
    signed_in_at: datetime


class LoggedIn(Struct, frozen=True):
    """A new session. `token` is the secret itself: for the cookie, stored nowhere."""

    session: EntityId
    user: EntityId
    reseller: EntityId
    token: str
    expires_at: datetime


class SecondFactorRequired(Struct, frozen=True):
    """The password was right, and a code is asked for: hand it in with this ticket."""

    ticket: str


class Refused(Struct, frozen=True):
    """The address, the password, the code or the ticket is not right: which one is not told."""


class Throttled(Struct, frozen=True):
    """Too many guesses: none was made of this one."""

    retry_after_s: float


class Busy(Struct, frozen=True):
    """Too many log in at this moment."""


class UserRow(Struct, frozen=True, kw_only=True):
    """A user who may act: confirmed, not removed, of a reseller that is not suspended."""

    id: EntityId
    reseller: EntityId
    role: Role
    password_hash: str | None
    has_second_factor: bool
    totp_sealed: bytes | None
    totp_step: int


class _Ticket(Struct, frozen=True, array_like=True):
    user: int
    reseller: int
    expires_s: int
    password: str
    """What stands for the password's hash: a new one ends the ticket."""


async def log_in(
    door: Door, email: str, password: str, source: bytes
) -> LoggedIn | SecondFactorRequired | Refused | Throttled | Busy:
    """Log somebody in who comes from a source (see `waitingroom.limits.source_of`)."""
    digest = door.digest_email(email)
    throttled = _throttle(door, door.guesses, digest, source)
    if throttled is not None:
        return throttled
    try:
        with door.passwords.admission():
            found = await _find_user(door.app, digest)
            # Outside any transaction: it takes long.
            verified = await door.passwords.verify(
                None if found is None else found.password_hash, password
            )
            if found is None or not verified.is_right:
                return Refused()
            renewed = await door.passwords.hash(password) if verified.is_outdated else None
    except PasswordsBusyError:
        _unthrottle(door, digest, source)
        return Busy()
    door.guesses.forget(digest)
    door.sources.give_back(source)
    if found.has_second_factor:
        return SecondFactorRequired(_write_ticket(door, found))
    return await _begin(door, found, renewed)


async def finish_log_in(
    door: Door, ticket: str, code: str, source: bytes
) -> LoggedIn | Refused | Throttled:
    """Log somebody in whose password was right, by a code of their app or for recovery."""
    read = _read_ticket(door, ticket)
    if read is None:
        return Refused()
    key = b"code" + read.user.to_bytes(8, "big")
    throttled = _throttle(door, door.codes, key, source)
    if throttled is not None:
        return throttled
    async with tenant_transaction(door.app, read.reseller) as connection:
        found = await lock_user(connection, EntityId(read.user))
        if found is None or _mark(found) != read.password:
            return Refused()
        if not await use_code(door, connection, found, code):
            return Refused()
        door.codes.forget(key)
        door.sources.give_back(source)
        return await begin_session(connection, found)


async def find_session(app: AsyncEngine, token: str) -> SignedIn | None:
    """Return whose session a cookie stands for; None: it is unknown, or ended."""
    if not 0 < len(token) <= _TOKEN_CHARACTERS_MAX:
        return None
    token_hash = hash_token(token)
    async with local_transaction(app, SECRET_DIGEST_SETTING, token_hash.hex()) as connection:
        found = (await connection.execute(_FIND, {"token_hash": token_hash})).one_or_none()
        if found is None:
            return None
        await connection.execute(_SET, {"name": RESELLER_SETTING, "value": str(found.reseller_id)})
        row = (await connection.execute(_SIGNED_IN, {"session": found.id})).one_or_none()
    if row is None:
        return None
    return SignedIn(
        session=EntityId(row.id),
        user=EntityId(row.user_id),
        reseller=EntityId(row.reseller_id),
        sandbox=EntityId(row.sandbox_id),
        role=Role(row.role),
        signed_in_at=row.signed_in_at,
    )


async def log_out(app: AsyncEngine, signed_in: SignedIn) -> None:
    """End one session."""
    async with tenant_transaction(app, signed_in.reseller) as connection:
        await connection.execute(delete(sessions).where(_session.id == signed_in.session))


async def log_out_everywhere(app: AsyncEngine, signed_in: SignedIn) -> None:
    """End all sessions of whose session this is, and what else was given to them till now."""
    async with tenant_transaction(app, signed_in.reseller) as connection:
        await end_sessions(connection, signed_in.user)


async def end_sessions(connection: AsyncConnection, user: EntityId) -> bool:
    """End all that was given to a user till now; False if this reseller has no such user.

    OAuth tokens of theirs end by `logged_out_at` too.
    """
    # The clock, not the transaction's start: a log-in that waited for this row begins after it.
    ended = await connection.execute(
        update(users)
        .where(_user.id == user, _user.removed_at.is_(None))
        .values(logged_out_at=func.clock_timestamp())
    )
    await connection.execute(delete(sessions).where(_session.user_id == user))
    return ended.rowcount == 1


async def lock_user(connection: AsyncConnection, user: EntityId) -> UserRow | None:
    """Return a user's row, which stays as it is until the transaction ends; None: there is none."""
    return await _read_user(connection, _USERS.where(_user.id == user).with_for_update(of=users))


async def begin_session(connection: AsyncConnection, user: UserRow) -> LoggedIn:
    """Begin a session of a user whose row is locked."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    session = new_entity_id()
    await _make_room(connection, user.id)
    row = await connection.execute(
        insert(sessions)
        .values(
            id=session,
            reseller_id=user.reseller,
            user_id=user.id,
            token_hash=hash_token(token),
            signed_in_at=func.clock_timestamp(),
            expires_at=func.clock_timestamp() + SESSION_AGE_MAX,
        )
        .returning(_session.expires_at)
    )
    return LoggedIn(
        session=session,
        user=user.id,
        reseller=user.reseller,
        token=token,
        expires_at=row.scalar_one(),
    )


async def use_code(door: Door, connection: AsyncConnection, user: UserRow, code: str) -> bool:
    """Use up a code of a user whose row is locked; False: it is wrong, or was used."""
    recovery = recovery_form(code)
    if recovery is not None:
        digest = door.sealer.digest(user.id, RECOVERY_PLACE, recovery)
        used = (
            update(users)
            .where(
                _user.id == user.id, literal(digest, LargeBinary) == any_(_user.recovery_digests)
            )
            .values(recovery_digests=func.array_remove(_user.recovery_digests, digest))
        )
        return (await connection.execute(used)).rowcount == 1
    if user.totp_sealed is None:
        return False
    secret = await door.sealer.open(connection, user.reseller, TOTP_PLACE, user.totp_sealed)
    step = totp_step(secret, code, user.totp_step)
    if step is None:
        return False
    await connection.execute(update(users).where(_user.id == user.id).values(totp_step=step))
    return True


async def _begin(door: Door, found: UserRow, renewed: str | None) -> LoggedIn | Refused:
    async with tenant_transaction(door.app, found.reseller) as connection:
        user = await lock_user(connection, EntityId(found.id))
        # While the password was being checked it may have been changed, or its owner removed.
        if user is None or user.password_hash != found.password_hash:
            return Refused()
        if user.has_second_factor:
            return Refused()
        if renewed is not None:
            await connection.execute(
                update(users).where(_user.id == user.id).values(password_hash=renewed)
            )
        return await begin_session(connection, user)


async def _make_room(connection: AsyncConnection, user: EntityId) -> None:
    """Forget a user's sessions that are over, and of very many the oldest."""
    kept = (
        select(_session.id)
        .where(_session.user_id == user, _session.expires_at > func.now())
        .order_by(_session.signed_in_at.desc())
        .limit(SESSIONS_OF_USER_MAX - 1)
    )
    await connection.execute(
        delete(sessions).where(_session.user_id == user, _session.id.not_in(kept))
    )


async def _find_user(app: AsyncEngine, digest: bytes) -> UserRow | None:
    query = select(_user.id, _user.reseller_id).where(
        _user.email_digest == digest, _user.confirmed_at.is_not(None)
    )
    async with local_transaction(app, SECRET_DIGEST_SETTING, digest.hex()) as connection:
        found = (await connection.execute(query)).one_or_none()
        # For nobody too, so that it takes as many round trips.
        reseller, user = (found.reseller_id, found.id) if found is not None else (0, 0)
        await connection.execute(_SET, {"name": RESELLER_SETTING, "value": str(reseller)})
        return await _read_user(connection, _USERS.where(_user.id == user))


async def _read_user(
    connection: AsyncConnection, query: Select[*tuple[Any, ...]]
) -> UserRow | None:
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return UserRow(
        id=EntityId(row.id),
        reseller=EntityId(row.reseller_id),
        role=Role(row.role),
        password_hash=row.password_hash,
        has_second_factor=row.totp_confirmed_at is not None,
        totp_sealed=row.totp_sealed,
        totp_step=row.totp_step,
    )


def _throttle(door: Door, guesses: Throttle, key: bytes, source: bytes) -> Throttled | None:
    wait_s = door.sources.take(source)
    if wait_s is None:
        wait_s = guesses.take(key)
        if wait_s is not None:
            door.sources.give_back(source)
    return None if wait_s is None else Throttled(wait_s)


def _unthrottle(door: Door, key: bytes, source: bytes) -> None:
    door.guesses.give_back(key)
    door.sources.give_back(source)


def _mark(user: UserRow) -> str:
    return hash_token(str(user.password_hash)).hex()[:16]


def _write_ticket(door: Door, user: UserRow) -> str:
    ticket = _Ticket(user.id, user.reseller, int(time.time()) + _TICKET_AGE_S, _mark(user))
    return door.sealer.seal_for_cell(_TICKET_PLACE, msgspec.json.encode(ticket).decode()).hex()


def _read_ticket(door: Door, text: str) -> _Ticket | None:
    try:
        sealed = bytes.fromhex(text[:_TICKET_CHARACTERS_MAX])
        told = door.sealer.open_for_cell(_TICKET_PLACE, sealed)
    except (SealError, ValueError):
        return None
    ticket = msgspec.json.decode(told, type=_Ticket)
    return ticket if time.time() < ticket.expires_s else None
