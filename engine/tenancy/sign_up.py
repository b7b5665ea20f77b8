"""Signing up: an account with its owner, a live reseller that an operator approves, a sandbox.

Whether the owner's mail address has a log-in already changes nothing of what is done or told here:
anybody may name any address, and only who reads its mail can make a log-in of it. See
docs/decisions/0030-sign-up-tells-nothing.md.
"""

from typing import Final

import msgspec
from msgspec import Struct, structs
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import RESELLER_SETTING, tenant_transaction
from engine.platform.ids import FINGERPRINT_BYTES, EntityId, Ids, new_entity_id
from engine.platform.sealing import SealError
from engine.platform.tables import idempotency_keys, resellers, users
from engine.tenancy.accounts import Status, add_account
from engine.tenancy.door import Door
from engine.tenancy.idempotency import Attempt
from engine.tenancy.key_text import SecretKind
from engine.tenancy.keys import NewKey, add_key
from engine.tenancy.legal import Legal, clean_legal
from engine.tenancy.mailed import Mailed, Purpose, TokenUnknown, find_token, issue_token, use_token
from engine.tenancy.mails import MailKind, NewMail, write_mail
from engine.tenancy.passwords import PasswordsBusyError
from engine.tenancy.principals import Role
from engine.tenancy.sessions import Busy, Throttled
from engine.tenancy.users import seal_person

_SCOPE: Final = "sign-up"
_ANSWER_PLACE: Final = "idempotency_keys.body"
_CREATED: Final = 201
_SET: Final = text("SELECT set_config(:name, :value, true)")
_CONFIRM: Final = (
    "Welcome to Onsale.\n\nOpen this page and confirm that this address is yours; then you can "
    "sign in:\n\n{site}/confirm?token={token}\n\nIf you did not sign up, leave it: nothing "
    "happens. If you have a log-in with this address already, that one stays as it is.\n"
)

_user = users.c


class NewSignUp(Struct, frozen=True, kw_only=True):
    """Who signs up. Held to `legal_faults`, `name_fault`, `read_email` and `password_faults`."""

    legal: Legal
    owner_name: str
    email: str
    password: str


class SignedUp(Struct, frozen=True):
    """What came of it.

    `key` is the sandbox's first API key itself: shown to who repeats the request under the same
    Idempotency-Key within two days, and to nobody else.
    """

    reseller: EntityId
    sandbox: EntityId
    key: str


class Confirmed(Struct, frozen=True):
    """The address is theirs: they can sign in."""


class AddressTaken(Struct, frozen=True):
    """The address has a log-in already. Told to nobody but who reads its mail."""


class Asked(Struct, frozen=True):
    """A sign-up's key, and its body's fingerprint: stored keyed, as the password is part of it."""

    key: str
    fingerprint: int


async def sign_up(
    door: Door, ids: Ids, new: NewSignUp, source: bytes, asked: Asked | None
) -> SignedUp | Throttled | Busy:
    """Sign a reseller up, or return what the same request was answered before."""
    reseller = new_entity_id()
    if asked is not None:
        asked = structs.replace(asked, fingerprint=_keyed(door, asked.fingerprint))
        reseller = ids.derive_reseller(asked.key, asked.fingerprint)
        before = await _answered_before(door, reseller, asked)
        if before is not None:
            return before
    wait_s = door.sign_ups.take(source)
    if wait_s is not None:
        return Throttled(wait_s)
    try:
        password_hash = await door.passwords.hash(new.password)
    except PasswordsBusyError:
        door.sign_ups.give_back(source)
        return Busy()
    made = await _make(door, reseller, new, password_hash, asked)
    if made is None and asked is not None:
        # The same request came at the same time, or so long ago that its answer is forgotten.
        made = await _answered_before(door, reseller, asked)
    if made is None:
        made = await _make(door, new_entity_id(), new, password_hash, None)
    if made is None:
        msg = "a random id is taken"
        raise RuntimeError(msg)
    return made


async def confirm(door: Door, token: str) -> Confirmed | AddressTaken | TokenUnknown:
    """Let somebody sign in who has shown, by a mailed secret, that the address is theirs."""
    mailed = await find_token(door.app, token, Purpose.CONFIRM)
    if isinstance(mailed, TokenUnknown):
        return mailed
    try:
        return await _confirm(door, mailed)
    except IntegrityError:
        return AddressTaken()


async def _confirm(door: Door, mailed: Mailed) -> Confirmed | TokenUnknown:
    async with tenant_transaction(door.app, mailed.reseller) as connection:
        if not await use_token(connection, mailed):
            return TokenUnknown()
        await connection.execute(
            update(users)
            .where(_user.id == mailed.user, _user.removed_at.is_(None))
            .values(confirmed_at=func.coalesce(_user.confirmed_at, func.now()))
        )
        return Confirmed()


async def _make(
    door: Door, reseller: EntityId, new: NewSignUp, password_hash: str, asked: Asked | None
) -> SignedUp | None:
    """Make all of it or nothing; None: the reseller is there already."""
    sandbox = new_entity_id()
    async with tenant_transaction(door.app, reseller) as connection:
        # Named by its id: what it is called is in the account, sealed.
        live = {"id": reseller, "name": f"{reseller:016x}", "status": Status.PENDING}
        made = insert_or_not(resellers).values(**live).on_conflict_do_nothing()
        if (await connection.execute(made)).rowcount == 0:
            return None
        await _act_for(connection, sandbox)
        beside = {"id": sandbox, "name": f"{sandbox:016x}", "sandbox_of": reseller}
        await connection.execute(
            insert(resellers).values(**beside, mode="sandbox", status=Status.APPROVED)
        )
        issued = await add_key(
            connection, sandbox, door.region, NewKey(name="first key"), SecretKind.TEST
        )
        await _act_for(connection, reseller)
        await add_account(door.sealer, connection, reseller, sandbox, clean_legal(new.legal))
        await _add_owner(door, connection, reseller, new, password_hash)
        signed_up = SignedUp(reseller, sandbox, issued.text)
        if asked is not None:
            await _keep(door, connection, signed_up, asked)
    return signed_up


async def _add_owner(
    door: Door, connection: AsyncConnection, reseller: EntityId, new: NewSignUp, password_hash: str
) -> None:
    user = new_entity_id()
    digest = door.digest_email(new.email)
    await connection.execute(
        insert(users).values(
            id=user,
            reseller_id=reseller,
            role=Role.OWNER,
            password_hash=password_hash,
            **await seal_person(door, connection, reseller, new.owner_name, new.email),
        )
    )
    if door.mails.take(digest) is None:
        token = await issue_token(connection, reseller, user, Purpose.CONFIRM)
        letter = _CONFIRM.format(site=door.site, token=token)
        await write_mail(
            door.sealer, connection, reseller, NewMail(MailKind.CONFIRM, new.email, letter)
        )


async def _act_for(connection: AsyncConnection, reseller: EntityId) -> None:
    await connection.execute(_SET, {"name": RESELLER_SETTING, "value": str(reseller)})


async def _keep(door: Door, connection: AsyncConnection, signed_up: SignedUp, asked: Asked) -> None:
    """Keep the answer: sealed, as it has a key in it."""
    told = msgspec.json.encode(signed_up).decode()
    attempt = _attempt(signed_up.reseller, asked)
    await connection.execute(
        insert(idempotency_keys).values(
            reseller_id=attempt.reseller,
            scope=attempt.scope,
            key_hash=attempt.key_hash,
            fingerprint=attempt.stored_fingerprint,
            status=_CREATED,
            body=await door.sealer.seal(connection, attempt.reseller, _ANSWER_PLACE, told),
        )
    )


async def _answered_before(door: Door, reseller: EntityId, asked: Asked) -> SignedUp | None:
    attempt = _attempt(reseller, asked)
    kept = idempotency_keys.c
    query = select(kept.body).where(
        kept.reseller_id == reseller,
        kept.scope == attempt.scope,
        kept.key_hash == attempt.key_hash,
        kept.fingerprint == attempt.stored_fingerprint,
    )
    async with tenant_transaction(door.app, reseller) as connection:
        body = (await connection.execute(query)).scalar_one_or_none()
        if body is None:
            return None
        try:
            told = await door.sealer.open(connection, reseller, _ANSWER_PLACE, body)
        except SealError:  # its key was rotated away: as forgotten as after two days
            return None
    return msgspec.json.decode(told, type=SignedUp)


def _keyed(door: Door, fingerprint: int) -> int:
    digest = door.sealer.digest(0, _ANSWER_PLACE, f"{fingerprint:x}")
    return int.from_bytes(digest[:FINGERPRINT_BYTES], "big")


def _attempt(reseller: EntityId, asked: Asked) -> Attempt:
    return Attempt(reseller, _SCOPE, asked.key, asked.fingerprint)
