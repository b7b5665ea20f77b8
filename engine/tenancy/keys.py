"""API keys: made, listed, rotated, revoked, and recognised.

Only a key's SHA-256 is stored: 256 random bits need no slow hash. It is looked up by that hash
under row-level security, with the application's own role.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import ColumnElement, bindparam, func, insert, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import (
    KEY_HASH_SETTING,
    RESELLER_SETTING,
    local_transaction,
    tenant_transaction,
)
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import api_keys, resellers
from engine.tenancy.key_text import SecretKind, new_secret
from engine.tenancy.principals import EVERY_SCOPE, Mode, Principal, PrincipalKind, Recognised, Scope

KEYS_MAX: Final = 100
"""Keys that a reseller has at a time and that still open something."""

_KEY_CHARACTERS_MAX: Final = 128

_key = api_keys.c
_SET: Final = text("SELECT set_config(:name, :value, true)")
_ENDS_AT: Final = func.least(_key.expires_at, _key.overlap_until)
_LIVES: Final = _key.revoked_at.is_(None) & or_(_ENDS_AT.is_(None), func.now() < _ENDS_AT)
_FIND: Final = select(
    _key.id,
    _key.reseller_id,
    _key.scopes,
    func.extract("epoch", _ENDS_AT - func.now()).label("ends_in_s"),
).where(_key.key_hash == bindparam("key_hash"), _LIVES)
_USED: Final = (
    update(api_keys)
    .where(
        _key.id == bindparam("key"),
        or_(
            _key.last_used_at.is_(None),
            _key.last_used_at < func.now() - text("interval '1 hour'"),
        ),
    )
    .values(last_used_at=func.now())
)


class IssuedKey(Struct, frozen=True):
    """A new API key. `text` is the secret itself: shown once, stored nowhere."""

    id: EntityId
    reseller: EntityId
    text: str


class Key(Struct, frozen=True, kw_only=True):
    """What is known of an API key."""

    id: EntityId
    name: str
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the hour."""
    replaced_by: EntityId | None
    overlap_until: datetime | None
    """Until when it lives beside the one that replaced it."""


class NewKey(Struct, frozen=True, kw_only=True):
    """A key to be made."""

    name: str
    scopes: frozenset[Scope] = EVERY_SCOPE
    expires_at: datetime | None = None


class ScopesExceeded(Struct, frozen=True):
    """Who asks lacks scopes that the credential would have."""

    scopes: frozenset[Scope]


class NotApproved(Struct, frozen=True):
    """The reseller is not approved yet, or suspended: its sandbox has keys, it has none."""


class TooManyKeys(Struct, frozen=True):
    """The reseller has `KEYS_MAX` that still open something."""


class UnknownKey(Struct, frozen=True):
    """The reseller has no such key."""


class KeyEnded(Struct, frozen=True):
    """It was revoked or replaced, or has expired."""


async def issue_key(
    app: AsyncEngine,
    reseller: EntityId,
    region: str,
    new: NewKey,
    *,
    granted_by: AbstractSet[Scope] = EVERY_SCOPE,
) -> tuple[IssuedKey, Key] | ScopesExceeded | NotApproved | TooManyKeys:
    """Make one more key for a reseller; nobody hands out scopes that they lack."""
    if beyond := new.scopes - granted_by:
        return ScopesExceeded(beyond)
    async with tenant_transaction(app, reseller) as connection:
        kind = await _kind_of(connection, reseller)
        if isinstance(kind, NotApproved):
            return kind
        if await _count(connection, reseller) >= KEYS_MAX:
            return TooManyKeys()
        issued = await add_key(connection, reseller, region, new, kind)
        return issued, await _read(connection, issued.id)


async def add_key(
    connection: AsyncConnection,
    reseller: EntityId,
    region: str,
    new: NewKey,
    kind: SecretKind = SecretKind.LIVE,
) -> IssuedKey:
    """Make a key in a transaction that sees this reseller's rows, without asking who it is."""
    secret = new_secret(region, kind)
    issued = IssuedKey(new_entity_id(), reseller, secret.text)
    await connection.execute(
        insert(api_keys).values(
            id=issued.id,
            reseller_id=reseller,
            name=new.name,
            key_hash=hash_secret(issued.text),
            prefix=secret.prefix,
            scopes=sorted(new.scopes),
            expires_at=new.expires_at,
        )
    )
    return issued


async def list_keys(
    app: AsyncEngine, reseller: EntityId, *, after: EntityId | None, limit: int
) -> list[Key]:
    """Return a reseller's keys, the newest first, from behind the key `after`."""
    query = _SELECT.order_by(_key.created_at.desc(), _key.id.desc()).limit(limit)
    if after is not None:
        place = select(_key.created_at, _key.id).where(_key.id == after).subquery()
        query = query.where(
            tuple_(_key.created_at, _key.id)
            < select(place.c.created_at, place.c.id).scalar_subquery()
        )
    async with tenant_transaction(app, reseller) as connection:
        return [_tell(row) for row in (await connection.execute(query)).mappings()]


async def find_key(app: AsyncEngine, reseller: EntityId, key: EntityId) -> Key | UnknownKey:
    """Return one of a reseller's keys."""
    async with tenant_transaction(app, reseller) as connection:
        return await _find(connection, key)


async def rename_key(
    app: AsyncEngine, reseller: EntityId, key: EntityId, name: str
) -> Key | UnknownKey:
    """Give a key another name."""
    async with tenant_transaction(app, reseller) as connection:
        await connection.execute(update(api_keys).where(_key.id == key).values(name=name))
        return await _find(connection, key)


async def rotate_key(  # noqa: PLR0913 - who, whose, which, and until when
    app: AsyncEngine,
    reseller: EntityId,
    region: str,
    key: EntityId,
    *,
    overlap: timedelta,
    expires_at: datetime | None = None,
    granted_by: AbstractSet[Scope] = EVERY_SCOPE,
) -> tuple[IssuedKey, Key] | UnknownKey | KeyEnded | ScopesExceeded | NotApproved:
    """Put a new key with the same name and scopes in the place of one, which lives on for a while.

    The new one expires as told, else never.
    """
    async with tenant_transaction(app, reseller) as connection:
        # Locked: of two who rotate it at once the second finds it replaced.
        locked = select(_key.id, _LIVES.label("lives")).where(_key.id == key).with_for_update()
        found = (await connection.execute(locked)).one_or_none()
        old = await _find(connection, key)
        if found is None or isinstance(old, UnknownKey):
            return UnknownKey()
        if not found.lives or old.replaced_by is not None:
            return KeyEnded()
        if beyond := old.scopes - granted_by:
            return ScopesExceeded(beyond)
        kind = await _kind_of(connection, reseller)
        if isinstance(kind, NotApproved):
            return kind
        new = NewKey(name=old.name, scopes=old.scopes, expires_at=expires_at)
        issued = await add_key(connection, reseller, region, new, kind)
        await connection.execute(
            update(api_keys)
            .where(_key.id == key)
            .values(replaced_by=issued.id, overlap_until=func.now() + overlap)
        )
        return issued, await _read(connection, issued.id)


async def revoke_key(app: AsyncEngine, reseller: EntityId, key: EntityId) -> Key | UnknownKey:
    """Make a key useless from now on; once more changes nothing.

    Processes that remember keys forget this one when their memory of it runs out.
    """
    async with tenant_transaction(app, reseller) as connection:
        await connection.execute(
            update(api_keys)
            .where(_key.id == key, _key.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
        return await _find(connection, key)


async def authenticate(app: AsyncEngine, key: str) -> Recognised | None:
    """Return whom this key stands for; None for one that is unknown or has ended.

    Notes, at most once an hour, that the key was used.
    """
    if len(key) > _KEY_CHARACTERS_MAX:
        return None
    key_hash = hash_secret(key)
    async with local_transaction(app, KEY_HASH_SETTING, key_hash.hex()) as connection:
        found = (await connection.execute(_FIND, {"key_hash": key_hash})).one_or_none()
        if found is None:
            return None
        await connection.execute(_SET, {"name": RESELLER_SETTING, "value": str(found.reseller_id)})
        if await standing(connection, EntityId(found.reseller_id)) is None:
            return None
        await connection.execute(_USED, {"key": found.id})
    principal = Principal(
        reseller=EntityId(found.reseller_id),
        kind=PrincipalKind.KEY,
        credential=EntityId(found.id),
        scopes=known_scopes(found.scopes),
    )
    return Recognised(principal, None if found.ends_in_s is None else float(found.ends_in_s))


async def standing(connection: AsyncConnection, reseller: EntityId) -> Mode | None:
    """Return what kind a reseller is of; None: it is not approved, or suspended."""
    query = select(resellers.c.mode).where(
        resellers.c.id == reseller, resellers.c.status == "approved"
    )
    found = (await connection.execute(query)).scalar_one_or_none()
    return None if found is None else Mode(found)


async def standing_of(app: AsyncEngine, reseller: EntityId) -> Mode | None:
    """Do the same in a transaction of its own."""
    async with tenant_transaction(app, reseller) as connection:
        return await standing(connection, reseller)


def known_scopes(stored: list[str]) -> frozenset[Scope]:
    """Read scopes as they are stored; those that a later version knows mean nothing here."""
    return frozenset(Scope(scope) for scope in stored if scope in EVERY_SCOPE)


def hash_secret(text: str) -> bytes:
    """Return what is stored of a secret that was made here."""
    return sha256(text.encode()).digest()


_SELECT: Final = select(*(_key[name] for name in Key.__struct_fields__))


async def _kind_of(connection: AsyncConnection, reseller: EntityId) -> SecretKind | NotApproved:
    mode = await standing(connection, reseller)
    if mode is None:
        return NotApproved()
    return SecretKind.TEST if mode is Mode.SANDBOX else SecretKind.LIVE


async def _count(connection: AsyncConnection, reseller: EntityId) -> int:
    query = select(func.count()).select_from(api_keys).where(_of(reseller), _LIVES)
    return (await connection.execute(query)).scalar_one()


def _of(reseller: EntityId) -> ColumnElement[bool]:
    return _key.reseller_id == reseller


async def _find(connection: AsyncConnection, key: EntityId) -> Key | UnknownKey:
    row = (await connection.execute(_SELECT.where(_key.id == key))).mappings().one_or_none()
    return UnknownKey() if row is None else _tell(row)


async def _read(connection: AsyncConnection, key: EntityId) -> Key:
    return _tell((await connection.execute(_SELECT.where(_key.id == key))).mappings().one())


def _tell(row: Any) -> Key:  # noqa: ANN401 - a row's columns
    told: dict[str, Any] = {**row, "scopes": known_scopes(row["scopes"])}
    return Key(**told)
