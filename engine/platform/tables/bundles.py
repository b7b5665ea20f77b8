"""Bundles: holds in several shows of one reseller, which are bought as one or not at all."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from engine.platform.tables.columns import (
    CURRENCY,
    TIME,
    entity,
    metadata,
    moment,
    of_reseller,
    of_show,
    optional,
    required,
    reseller_column,
)

bundles: Final = Table(
    "bundles",
    metadata,
    entity(),
    reseller_column(),
    required("state", Text),  # see engine/sales/bundles.py
    optional("reason", Text),  # why it is released, or failed
    required("body_fp", BigInteger),  # of the request that made it
    required("currency", CURRENCY),
    moment("created_at"),
    # Until when whoever works on it is not disturbed; they move it on while they do.
    moment("lease_until"),
    optional("expires_at", TIME),  # when the first of its holds ends, until it is bought
    optional("purchase_key_hash", LargeBinary),  # SHA-256 of the purchase's Idempotency-Key
    optional("purchase_fp", BigInteger),
    optional("payment_reference", Text),
    optional("committing_at", TIME),  # the store keeps each hold for 60 s from later than this
    optional("decided_at", TIME),  # that it is bought
    optional("ended_at", TIME),
    UniqueConstraint("id", "reseller_id"),
    of_reseller(),
    CheckConstraint(
        "state IN ('holding', 'held', 'committing', 'purchasing', 'purchased', 'releasing',"
        " 'released', 'failing', 'failed')",
        name="state",
    ),
    CheckConstraint(
        "(ended_at IS NOT NULL) = (state IN ('purchased', 'released', 'failed'))", name="ended"
    ),
    CheckConstraint("(purchase_key_hash IS NULL) = (committing_at IS NULL)", name="intent"),
    Index(None, "reseller_id"),
    Index("bundles_lease_until_idx", "lease_until", postgresql_where=text("ended_at IS NULL")),
    Index("bundles_ended_at_idx", "ended_at", postgresql_where=text("state = 'released'")),
)

bundle_shows: Final = Table(
    "bundle_shows",
    metadata,
    required("bundle_id", BigInteger),
    required("show_no", Integer),  # its place in the request, from 1
    reseller_column(),
    required("show_id", BigInteger),
    required("hold_id", LargeBinary),  # 16 bytes; its order's, too
    optional("refused", Text),  # what the show said when it did not go along
    optional("pass_number", BigInteger),  # whose pass of its waiting room it was held by
    PrimaryKeyConstraint("bundle_id", "show_no"),
    UniqueConstraint("bundle_id", "show_id"),
    ForeignKeyConstraint(["bundle_id", "reseller_id"], ["bundles.id", "bundles.reseller_id"]),
    of_show(),
    CheckConstraint("octet_length(hold_id) = 16", name="hold_id"),
    CheckConstraint("show_no BETWEEN 1 AND 20", name="show_no"),
    CheckConstraint("pass_number >= 0", name="pass_number"),
    Index(None, "show_id"),
)
