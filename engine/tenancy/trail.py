"""The audit trail: reads a reseller's chain of entries, and recomputes it.

Triggers write it (migration 0010), one entry a change, when a transaction commits. An entry's hash
is the SHA-256 of the rest of it as canonical JSON (RFC 8785), which includes the hash of the entry
before; docs/TRAIL.md says it for outsiders. What the chain can't show by itself, that all of it
was made anew, shows an *anchor*: a number and hash that was written down elsewhere.
"""

import hmac
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import RowMapping, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, entity_hex
from engine.platform.tables import resellers, trail_entries, trail_heads

PAGE_MAX: Final = 200
FIRST_HASH: Final = bytes(32)
"""What the first entry names as the hash before it."""

_AT_ONCE: Final = 1000
_LOWEST: Final = -(2**63)
"""An entry that was put before the first is seen, too."""

_NO_HEAD: Final = (0, FIRST_HASH)

_entry = trail_entries.c


class TrailEntry(Struct, frozen=True, kw_only=True):
    """One change: who made it, when, from where, of what, and both values of what changed."""

    reseller: EntityId
    no: int
    at: datetime
    actor: str
    address: str
    action: str
    table: str
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    previous: bytes
    hash: bytes

    def content(self) -> dict[str, Any]:
        """Return what the hash is of."""
        return {
            "reseller": entity_hex(self.reseller),
            "no": self.no,
            "at": f"{self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z",
            "actor": self.actor,
            "address": self.address,
            "action": self.action,
            "table": self.table,
            "key": self.key,
            "before": self.before,
            "after": self.after,
            "previous": self.previous.hex(),
        }

    def recomputed(self) -> bytes:
        """Return the hash that this content has."""
        written = json.dumps(
            self.content(), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        return sha256(written.encode()).digest()


class TrailFilter(Struct, frozen=True, kw_only=True):
    """Which entries are asked for. All of it at once, the newest first."""

    before_no: int | None = None
    key: str | None = None
    """Of an object, or what its key begins with: a show's blocks are found by the show."""
    actor: str | None = None
    """As entries have it, or the id in it."""
    since: datetime | None = None
    until: datetime | None = None


class Anchor(Struct, frozen=True):
    """An entry's number and hash, as they were written down elsewhere."""

    no: int
    hash: bytes


class Broken(Struct, frozen=True):
    """A chain that is not what was written: its first entry that does not fit, and why."""

    reseller: EntityId
    no: int
    reason: str


class Sound(Struct, frozen=True):
    """A chain that is what was written: its length, and the hash of its last entry."""

    reseller: EntityId
    no: int
    hash: bytes


async def read_trail(
    engine: AsyncEngine, reseller: EntityId, wanted: TrailFilter, limit: int
) -> list[TrailEntry]:
    """Return a reseller's entries, the newest first."""
    query = select(trail_entries).where(_entry.reseller_id == reseller)
    if wanted.before_no is not None:
        query = query.where(_entry.no < wanted.before_no)
    if wanted.key is not None:
        below = _entry.object_key.startswith(wanted.key + "/", autoescape=True)
        query = query.where(or_(_entry.object_key == wanted.key, below))
    if wanted.actor is not None:
        words = func.regexp_split_to_array(_entry.actor, "[ :]")
        query = query.where(
            or_(_entry.actor == wanted.actor, func.array_position(words, wanted.actor).is_not(None))
        )
    if wanted.since is not None:
        query = query.where(_entry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_entry.at < wanted.until)
    query = query.order_by(_entry.no.desc()).limit(limit)
    async with tenant_transaction(engine, reseller) as connection:
        return [_read(row) for row in (await connection.execute(query)).mappings()]


async def list_chains(connection: AsyncConnection) -> Sequence[EntityId]:
    """Return whose chains there are, or should be: for the auditor's role."""
    query = select(resellers.c.id).union(
        select(trail_heads.c.reseller_id), select(_entry.reseller_id).distinct()
    )
    return (await connection.scalars(query)).all()


async def verify_chain(
    connection: AsyncConnection, reseller: EntityId, anchor: Anchor | None = None
) -> Sound | Broken:
    """Recompute a chain, in a transaction that sees one moment, such as `REPEATABLE READ`.

    A chain that was shortened is longer in its head; one that was made anew, head and all, is
    found by an anchor only.
    """
    no, previous = _NO_HEAD
    async for entry in _chain(connection, reseller):
        reason = _misfit(entry, no, previous, anchor)
        if reason is not None:
            return Broken(reseller, min(entry.no, no + 1), reason)
        no, previous = entry.no, entry.hash
    query = select(trail_heads.c.no, trail_heads.c.hash).where(
        trail_heads.c.reseller_id == reseller
    )
    head = (await connection.execute(query)).one_or_none() or _NO_HEAD
    if head[0] > no:
        return Broken(reseller, no + 1, f"missing: the chain's head is entry {head[0]}")
    if tuple(head) != (no, previous):
        return Broken(reseller, no, f"not what the chain's head tells: entry {head[0]}")
    if anchor is not None and anchor.no > no:
        return Broken(reseller, no + 1, f"missing: the anchor is entry {anchor.no}")
    return Sound(reseller, no, previous)


def _misfit(entry: TrailEntry, no: int, previous: bytes, anchor: Anchor | None) -> str | None:
    if entry.no != no + 1:
        return f"missing: entry {entry.no} follows entry {no}"
    if not hmac.compare_digest(entry.previous, previous):
        return "does not follow the entry before it"
    if not hmac.compare_digest(entry.recomputed(), entry.hash):
        return "its content is not what its hash is of"
    if anchor is not None and anchor.no == entry.no and anchor.hash != entry.hash:
        return "is not the entry that the anchor is of"
    return None


async def _chain(connection: AsyncConnection, reseller: EntityId) -> AsyncIterator[TrailEntry]:
    after = _LOWEST
    while True:
        query = (
            select(trail_entries)
            .where(_entry.reseller_id == reseller, _entry.no > after)
            .order_by(_entry.no)
            .limit(_AT_ONCE)
        )
        rows = (await connection.execute(query)).mappings().all()
        for row in rows:
            yield _read(row)
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1]["no"]


def _read(row: RowMapping) -> TrailEntry:
    return TrailEntry(
        reseller=EntityId(row["reseller_id"]),
        no=row["no"],
        at=row["at"],
        actor=row["actor"],
        address=row["address"],
        action=row["action"],
        table=row["object_table"],
        key=row["object_key"],
        before=row["before"],
        after=row["after"],
        previous=row["previous_hash"],
        hash=row["hash"],
    )
