"""Webhooks: who is told of facts, and what became of telling them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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
from sqlalchemy.dialects.postgresql import ARRAY

from engine.platform.tables.columns import (
    TIME,
    counter,
    entity,
    metadata,
    of_reseller,
    optional,
    required,
    reseller_column,
)

_PENDING: Final = text("state = 'pending'")


def _of_endpoint() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["endpoint_id", "reseller_id"], ["webhook_endpoints.id", "webhook_endpoints.reseller_id"]
    )


webhook_endpoints: Final = Table(
    "webhook_endpoints",
    metadata,
    entity(),
    reseller_column(),
    required("url", Text),
    required("description", Text),
    optional("types", ARRAY(Text)),  # NULL: every type
    required("status", Text),  # enabled, disabled (with a reason), deleted (to be forgotten)
    optional("reason", Text),
    required("secrets_sealed", LargeBinary),  # engine/notify/secrets.py
    required("since", BigInteger),  # the xid from which on facts are told here
    required("created_at", TIME),
    required("changed_at", TIME),
    # The course of telling; NULL: there is nothing to tell.
    optional("due_at", TIME),
    optional("rests_until", TIME),  # the breaker is open, or it asked for time
    optional("leased_until", TIME),  # a worker is at it
    counter("lease"),  # counts who was: a worker that lost its lease changes nothing
    counter("failures"),  # in a row
    optional("failing_since", TIME),
    optional("delivered_at", TIME),  # the last time
    UniqueConstraint("id", "reseller_id"),
    of_reseller(),
    CheckConstraint("status IN ('enabled', 'disabled', 'deleted')", name="status"),
    Index(None, "reseller_id", "status"),
    Index(None, "due_at", postgresql_where=text("status = 'enabled'")),
)

webhook_deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    required("endpoint_id", BigInteger),
    required("fact_id", BigInteger),
    required("fact_xid", BigInteger),
    reseller_column(),
    required("type", Text),
    required("object", Text),
    required("state", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    optional("next_at", TIME),  # NULL while pending: an earlier fact of the object comes first
    required("give_up_at", TIME),
    required("created_at", TIME),
    optional("ended_at", TIME),
    optional("last_status", Integer),
    optional("last_error", Text),
    optional("last_duration_ms", Integer),
    optional("last_response", Text),
    PrimaryKeyConstraint("endpoint_id", "fact_id"),
    _of_endpoint(),
    CheckConstraint("state IN ('pending', 'delivered', 'failed', 'discarded')", name="state"),
    Index(None, "endpoint_id", "next_at", "fact_id", postgresql_where=_PENDING),
    Index(None, "endpoint_id", "object", "fact_id", postgresql_where=_PENDING),
    Index(None, "give_up_at"),
)

webhook_attempts: Final = Table(
    "webhook_attempts",
    metadata,
    required("endpoint_id", BigInteger),
    required("fact_id", BigInteger),
    required("number", Integer),
    reseller_column(),
    required("at", TIME),
    optional("status", Integer),  # NULL: there was no answer
    optional("error", Text),
    required("duration_ms", Integer),
    required("response", Text),  # its beginning
    PrimaryKeyConstraint("endpoint_id", "fact_id", "number"),
    _of_endpoint(),
    Index(None, "at"),
)

webhook_positions: Final = Table(
    "webhook_positions",
    metadata,
    Column("single", Boolean, primary_key=True, autoincrement=False),
    required("xid", BigInteger),
    required("fact_id", BigInteger),
    CheckConstraint("single", name="single"),
)
"""One row: up to where the cell's log of facts was handed out to endpoints."""
