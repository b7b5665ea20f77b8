"""Answers kept by idempotency key, for requests whose effect is in PostgreSQL.

Holds and purchases need none of this: their ids derive from their keys. A key belongs to a
reseller and a scope; only its digest is stored.
"""

from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import idempotency_keys

_FINGERPRINT_BYTES: Final = 6
# Longer than any request may take: afterwards its process must have died.
_UNDER_WAY: Final = text("interval '2 minutes'")
_KEPT: Final = text("interval '48 hours'")
_FORGOTTEN_AT_ONCE: Final = 100

_key = idempotency_keys.c


class Attempt(Struct, frozen=True):
    """A request that carries a key."""

    reseller: EntityId
    scope: str
    key: str
    fingerprint: int

    @property
    def key_hash(self) -> bytes:
        """What is stored of the key."""
        return sha256(self.key.encode()).digest()

    @property
    def stored_fingerprint(self) -> bytes:
        """The fingerprint as it is stored."""
        return self.fingerprint.to_bytes(_FINGERPRINT_BYTES, "big")


class Begun(Struct, frozen=True):
    """The key is new: act, then `finish` or `abandon`."""


class Answered(Struct, frozen=True):
    """The same request was answered before."""

    status: int
    body: bytes


class UnderWay(Struct, frozen=True):
    """The same request is being worked on, or its process died within the last two minutes."""


class KeyTaken(Struct, frozen=True):
    """The key came with another body."""


async def begin(app: AsyncEngine, attempt: Attempt) -> Begun | Answered | UnderWay | KeyTaken:
    """Claim a key for a request, or tell what became of the one that has it."""
    async with tenant_transaction(app, attempt.reseller) as connection:
        await _forget_old(connection, attempt.reseller)
        claim = insert(idempotency_keys).values(
            reseller_id=attempt.reseller,
            scope=attempt.scope,
            key_hash=attempt.key_hash,
            fingerprint=attempt.stored_fingerprint,
        )
        # Two at once: the second waits here for the first's transaction, then sees its row.
        taken_over = claim.on_conflict_do_update(
            index_elements=["reseller_id", "scope", "key_hash"],
            set_={"created_at": func.now()},
            where=_key.status.is_(None)
            & (_key.created_at < func.now() - _UNDER_WAY)
            & (_key.fingerprint == attempt.stored_fingerprint),
        ).returning(_key.scope)
        if (await connection.execute(taken_over)).first() is not None:
            return Begun()
        found = (await connection.execute(_select(attempt))).one_or_none()
    if found is None:
        return UnderWay()
    if found.fingerprint != attempt.stored_fingerprint:
        return KeyTaken()
    if found.status is None:
        return UnderWay()
    return Answered(found.status, found.body)


async def finish(app: AsyncEngine, attempt: Attempt, status: int, body: bytes) -> None:
    """Keep the answer for whoever repeats the request."""
    async with tenant_transaction(app, attempt.reseller) as connection:
        await finish_in(connection, attempt, status, body)


async def finish_in(
    connection: AsyncConnection, attempt: Attempt, status: int, body: bytes
) -> None:
    """Keep the answer in the transaction that has the effect: both are there, or neither."""
    await connection.execute(
        update(idempotency_keys).where(*_is(attempt)).values(status=status, body=body)
    )


async def abandon(app: AsyncEngine, attempt: Attempt) -> None:
    """Give a key back whose request had no effect: it is decided afresh when repeated."""
    async with tenant_transaction(app, attempt.reseller) as connection:
        await connection.execute(
            delete(idempotency_keys).where(*_is(attempt), _key.status.is_(None))
        )


def _is(attempt: Attempt) -> tuple[ColumnElement[bool], ...]:
    return (
        _key.reseller_id == attempt.reseller,
        _key.scope == attempt.scope,
        _key.key_hash == attempt.key_hash,
    )


async def _forget_old(connection: AsyncConnection, reseller: EntityId) -> None:
    old = (
        select(_key.scope, _key.key_hash)
        .where(_key.reseller_id == reseller, _key.created_at < func.now() - _KEPT)
        .limit(_FORGOTTEN_AT_ONCE)
    )
    await connection.execute(
        delete(idempotency_keys).where(
            _key.reseller_id == reseller, tuple_(_key.scope, _key.key_hash).in_(old)
        )
    )


def _select(attempt: Attempt) -> Select[Any, Any, Any]:
    return select(_key.fingerprint, _key.status, _key.body).where(*_is(attempt))
