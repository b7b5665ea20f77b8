"""Ends access tokens before their time."""

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import ended_tokens
from engine.tenancy.signing import TOKEN_LASTS_S

ENDINGS_KEPT: Final = timedelta(seconds=2 * TOKEN_LASTS_S)
"""Longer than any token lasts that they end."""


async def end_token(app: AsyncEngine, reseller: EntityId, jti: str) -> None:
    """End one access token: every process knows within 30 seconds.

    Forgets endings that no token is left of, whatever they ended.
    """
    async with tenant_transaction(app, reseller) as connection:
        await connection.execute(
            delete(ended_tokens).where(ended_tokens.c.ended_at < func.now() - ENDINGS_KEPT)
        )
        ended = insert(ended_tokens).values(kind="token", subject=jti, ended_at=func.now())
        await connection.execute(ended.on_conflict_do_nothing())
