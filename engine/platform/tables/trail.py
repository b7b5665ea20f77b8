"""The audit trail: one chain of entries a reseller, which triggers write (migration 0010)."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from engine.platform.tables.columns import TIME, metadata, optional, required, reseller_column

# None of the three has a foreign key: what was done stays told, whatever becomes of whose it was.
trail_entries: Final = Table(
    "trail_entries",
    metadata,
    reseller_column(),
    required("no", BigInteger),  # of the reseller, from 1 on, without gaps
    required("at", TIME),
    required("actor", Text),  # as engine/platform/acting.py writes it
    required("address", Text),
    required("action", Text),
    required("object_table", Text),
    required("object_key", Text),  # its primary key but for the reseller: ids as hex, by slashes
    optional("before", JSONB),  # what was changed of it: columns to values
    optional("after", JSONB),
    required("previous_hash", LargeBinary),
    required("hash", LargeBinary),  # SHA-256 of all the rest: docs/TRAIL.md
    PrimaryKeyConstraint("reseller_id", "no"),
    CheckConstraint("action IN ('created', 'changed', 'removed')", name="action"),
    Index(None, "reseller_id", "object_key", "no"),
)

trail_heads: Final = Table(
    "trail_heads",
    metadata,
    Column("reseller_id", BigInteger, primary_key=True, autoincrement=False),
    required("no", BigInteger),  # of the chain's last entry, and its hash
    required("hash", LargeBinary),
)

# What a transaction has done so far: empty whenever one ends.
trail_drafts: Final = Table(
    "trail_drafts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    required("chain", BigInteger),  # whose
    required("action", Text),
    required("object_table", Text),
    required("object_key", Text),
    optional("before", JSONB),
    optional("after", JSONB),
)
