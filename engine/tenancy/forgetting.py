"""Forgets what people and systems signed in with, and were written, once it is over."""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, Table, delete, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.tables import (
    ended_tokens,
    invitations,
    mailed_tokens,
    oauth_codes,
    oauth_grants,
    outgoing_mails,
    refresh_tokens,
    sessions,
)
from engine.tenancy.oauth_endings import ENDINGS_KEPT

MAILS_KEPT: Final = timedelta(days=30)
GRANTS_KEPT: Final = timedelta(days=30)
"""After they ended, or their last refresh token did."""

_ROWS_A_BATCH: Final = 1000
_BATCHES_MAX: Final = 100

_RULES: Final[tuple[tuple[Table, ColumnElement[bool]], ...]] = (
    # They name nobody, so that those of who was removed go by their age too.
    (outgoing_mails, outgoing_mails.c.created_at < func.now() - MAILS_KEPT),
    *((table, table.c.expires_at < func.now()) for table in (mailed_tokens, sessions, invitations)),
    (ended_tokens, ended_tokens.c.ended_at < func.now() - ENDINGS_KEPT),
)

_grant = oauth_grants.c
_refresh = refresh_tokens.c
_long_ago: Final = func.now() - GRANTS_KEPT
# A refresh token that is over may be gone a day later: none left says the same.
_GRANTS: Final = (
    select(_grant.id)
    .where(
        or_(
            _grant.ended_at < _long_ago,
            (_grant.created_at < _long_ago)
            & ~exists(_refresh.grant_id).where(
                _refresh.grant_id == _grant.id, _refresh.expires_at >= _long_ago
            ),
        )
    )
    .limit(_ROWS_A_BATCH)
)


async def forget_what_is_over(recorder: AsyncEngine) -> dict[str, int]:
    """Delete it, of all resellers; return how many rows of which table.

    In short transactions, and bounded: what is left over is for the next time.
    """
    forgotten = {table.name: await _forget(recorder, table, over) for table, over in _RULES}
    return forgotten | {oauth_grants.name: await _forget_grants(recorder)}


async def _forget(recorder: AsyncEngine, table: Table, is_over: ColumnElement[bool]) -> int:
    key = tuple(table.primary_key)
    old = select(*key).where(is_over).limit(_ROWS_A_BATCH)
    statement = delete(table).where(tuple_(*key).in_(old))
    forgotten = 0
    for _ in range(_BATCHES_MAX):
        async with recorder.begin() as connection:
            deleted = (await connection.execute(statement)).rowcount
        forgotten += deleted
        if deleted < _ROWS_A_BATCH:
            break
    return forgotten


async def _forget_grants(recorder: AsyncEngine) -> int:
    """Forget grants with their codes and refresh tokens."""
    forgotten = 0
    for _ in range(_BATCHES_MAX):
        async with recorder.begin() as connection:
            old = (await connection.execute(_GRANTS)).scalars().all()
            for table in (oauth_codes, refresh_tokens):
                await connection.execute(delete(table).where(table.c.grant_id.in_(old)))
            await connection.execute(delete(oauth_grants).where(_grant.id.in_(old)))
        forgotten += len(old)
        if len(old) < _ROWS_A_BATCH:
            break
    return forgotten
