"""Resellers, who acts for them, and what they sign in with."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from engine.platform.tables.columns import (
    TIME,
    entity,
    metadata,
    moment,
    of_reseller,
    optional,
    required,
    reseller_column,
)

resellers: Final = Table(
    "resellers",
    metadata,
    entity(),
    required("name", Text),
    moment("created_at"),
    Column("mode", Text, nullable=False, server_default=text("'live'")),
    Column("status", Text, nullable=False, server_default=text("'approved'")),
    optional("sandbox_of", BigInteger),  # the live reseller whose sandbox this is
    CheckConstraint("mode IN ('live', 'sandbox')", name="mode"),
    CheckConstraint("status IN ('pending', 'approved', 'suspended')", name="status"),
    UniqueConstraint("sandbox_of"),
    ForeignKeyConstraint(["sandbox_of"], ["resellers.id"]),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    entity(),
    reseller_column(),
    required("name", Text),
    required("key_hash", LargeBinary),  # SHA-256 of the whole key; the key is stored nowhere
    required("prefix", Text),  # what a console shows of it
    moment("created_at"),
    optional("revoked_at", TIME),
    optional("last_used_at", TIME),  # to the hour
    required("scopes", ARRAY(Text)),
    optional("expires_at", TIME),
    # A key that was rotated: by which one, and until when both open.
    optional("replaced_by", BigInteger),
    optional("overlap_until", TIME),
    UniqueConstraint("key_hash"),
    of_reseller(),
    Index(None, "reseller_id"),
)
