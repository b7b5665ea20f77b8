"""Resellers and the API keys that they sign in with.

A key reads `onsale_<region>_<secret>`. Only its SHA-256 is stored: 256 random bits need no slow
hash. It is looked up by that hash under row-level security, with the application's own role.
"""

import secrets
from hashlib import sha256
from typing import Final

import structlog
from msgspec import Struct
from sqlalchemy import bindparam, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import (
    KEY_HASH_SETTING,
    RESELLER_SETTING,
    local_transaction,
    tenant_transaction,
)
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import api_keys, resellers
from engine.tenancy.principals import EVERY_SCOPE, Principal, PrincipalKind

_SECRET_BYTES: Final = 32
_KEY_CHARACTERS_MAX: Final = 128
_SHOWN_CHARACTERS: Final = 6

_log = structlog.stdlib.get_logger(__name__)

_SET: Final = text("SELECT set_config(:name, :value, true)")
_FIND: Final = select(api_keys.c.id, api_keys.c.reseller_id).where(
    api_keys.c.key_hash == bindparam("key_hash"), api_keys.c.revoked_at.is_(None)
)
_USED: Final = (
    update(api_keys)
    .where(
        api_keys.c.id == bindparam("key"),
        or_(
            api_keys.c.last_used_at.is_(None),
            api_keys.c.last_used_at < func.now() - text("interval '1 hour'"),
        ),
    )
    .values(last_used_at=func.now())
)


class IssuedKey(Struct, frozen=True):
    """A new API key. `text` is the secret itself: shown once, stored nowhere."""

    id: EntityId
    reseller: EntityId
    text: str


async def create_reseller(owner: AsyncEngine, region: str, name: str) -> IssuedKey:
    """Make a reseller with a first key. Takes an engine of the owner's role."""
    reseller = new_entity_id()
    async with owner.begin() as connection:
        await connection.execute(insert(resellers).values(id=reseller, name=name))
        issued = await _issue(connection, reseller, region, "first key")
    _log.info("reseller created", reseller=f"{reseller:016x}", name=name)
    return issued


async def issue_key(app: AsyncEngine, reseller: EntityId, region: str, name: str) -> IssuedKey:
    """Make one more key for a reseller."""
    async with tenant_transaction(app, reseller) as connection:
        return await _issue(connection, reseller, region, name)


async def authenticate(app: AsyncEngine, key: str) -> Principal | None:
    """Return whom this key stands for; None for an unknown or a revoked one.

    Notes, at most once an hour, that the key was used.
    """
    if len(key) > _KEY_CHARACTERS_MAX:
        return None
    key_hash = _hash(key)
    async with local_transaction(app, KEY_HASH_SETTING, key_hash.hex()) as connection:
        found = (await connection.execute(_FIND, {"key_hash": key_hash})).one_or_none()
        if found is None:
            return None
        await connection.execute(_SET, {"name": RESELLER_SETTING, "value": str(found.reseller_id)})
        await connection.execute(_USED, {"key": found.id})
    return Principal(
        reseller=EntityId(found.reseller_id),
        kind=PrincipalKind.KEY,
        credential=EntityId(found.id),
        scopes=EVERY_SCOPE,
    )


async def revoke_key(app: AsyncEngine, reseller: EntityId, key: EntityId) -> bool:
    """Make a key useless from now on; False if this reseller has no such live key.

    Processes that remember keys forget this one when their memory of it runs out.
    """
    async with tenant_transaction(app, reseller) as connection:
        revoked = await connection.execute(
            update(api_keys)
            .where(api_keys.c.id == key, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
    return revoked.rowcount == 1


async def _issue(
    connection: AsyncConnection, reseller: EntityId, region: str, name: str
) -> IssuedKey:
    head = f"onsale_{region}_"
    issued = IssuedKey(
        id=new_entity_id(),
        reseller=reseller,
        text=head + secrets.token_urlsafe(_SECRET_BYTES),
    )
    await connection.execute(
        insert(api_keys).values(
            id=issued.id,
            reseller_id=reseller,
            name=name,
            key_hash=_hash(issued.text),
            prefix=issued.text[: len(head) + _SHOWN_CHARACTERS],
        )
    )
    return issued


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()
