"""Secrets that travel by mail: each is good once, for a while, for one purpose."""

import secrets
from datetime import timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import SECRET_DIGEST_SETTING, local_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import mailed_tokens
from engine.tenancy.door import hash_token

CONFIRM_AGE_MAX: Final = timedelta(days=7)
RESET_AGE_MAX: Final = timedelta(hours=1)
TOKEN_CHARACTERS_MAX: Final = 64

_TOKEN_BYTES: Final = 32

_token = mailed_tokens.c


class Purpose(StrEnum):
    """What a mailed secret lets its holder do."""

    CONFIRM = "confirm"
    RESET = "reset"


class TokenUnknown(Struct, frozen=True):
    """The secret is not known, was used, or is too old."""


class Mailed(Struct, frozen=True):
    """Whom a secret was mailed to."""

    reseller: EntityId
    user: EntityId
    token_hash: bytes


def new_token() -> str:
    """Return a secret of 256 random bits, as it may stand in a link."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


async def issue_token(
    connection: AsyncConnection, reseller: EntityId, user: EntityId, purpose: Purpose
) -> str:
    """Return a fresh secret for a user; those before it for the same purpose end."""
    token = new_token()
    await connection.execute(
        delete(mailed_tokens).where(_token.user_id == user, _token.purpose == purpose)
    )
    age = CONFIRM_AGE_MAX if purpose is Purpose.CONFIRM else RESET_AGE_MAX
    await connection.execute(
        insert(mailed_tokens).values(
            token_hash=hash_token(token),
            reseller_id=reseller,
            user_id=user,
            purpose=purpose,
            expires_at=func.now() + age,
        )
    )
    return token


async def find_token(app: AsyncEngine, token: str, purpose: Purpose) -> Mailed | TokenUnknown:
    """Return whom a secret was mailed to; it stays good."""
    if not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
        return TokenUnknown()
    token_hash = hash_token(token)
    query = select(_token.reseller_id, _token.user_id).where(
        _token.token_hash == token_hash,
        _token.purpose == purpose,
        _token.expires_at > func.now(),
    )
    async with local_transaction(app, SECRET_DIGEST_SETTING, token_hash.hex()) as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        return TokenUnknown()
    return Mailed(EntityId(row.reseller_id), EntityId(row.user_id), token_hash)


async def use_token(connection: AsyncConnection, mailed: Mailed) -> bool:
    """Use a secret up, in a transaction that sees its reseller's rows; False: another has."""
    used = delete(mailed_tokens).where(
        _token.token_hash == mailed.token_hash, _token.expires_at > func.now()
    )
    return (await connection.execute(used)).rowcount == 1
