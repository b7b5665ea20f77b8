"""Accounts: who a reseller is, the people who act for it, and what they sign in with."""

from typing import Final

from sqlalchemy import (
    ARRAY,
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
from sqlalchemy.dialects.postgresql import CHAR

from engine.platform.tables.columns import (
    CURRENCY,
    TIME,
    counter,
    entity,
    metadata,
    moment,
    of_reseller,
    optional,
    required,
    reseller_column,
)


def _role() -> tuple[Column[str], CheckConstraint]:
    return required("role", Text), CheckConstraint(
        "role IN ('owner', 'manager', 'finance', 'support', 'read-only', 'scanner')", name="role"
    )


def _of_user() -> ForeignKeyConstraint:
    # Both columns, as foreign keys look past row-level security.
    return ForeignKeyConstraint(["user_id", "reseller_id"], ["users.id", "users.reseller_id"])


accounts: Final = Table(
    "accounts",
    metadata,
    Column("reseller_id", BigInteger, primary_key=True, autoincrement=False),  # the live one
    required("sandbox_id", BigInteger),
    required("legal_name_sealed", LargeBinary),
    required("address_sealed", LargeBinary),  # JSON
    required("country", CHAR(2)),  # ISO 3166-1
    required("currency", CURRENCY),
    optional("tax_id_sealed", LargeBinary),
    required("payout_account_sealed", LargeBinary),  # JSON
    moment("created_at"),
    moment("changed_at"),
    of_reseller(),
    ForeignKeyConstraint(["sandbox_id"], ["resellers.id"]),
    UniqueConstraint("sandbox_id"),
)

users: Final = Table(
    "users",
    metadata,
    entity(),
    reseller_column(),  # the account's live one
    *_role(),
    # Who is removed keeps their id and their role, and nothing that says who they were.
    optional("name_sealed", LargeBinary),
    optional("email_sealed", LargeBinary),
    optional("email_digest", LargeBinary),  # keyed, of the address in lower case
    optional("password_hash", Text),  # argon2id
    optional("totp_sealed", LargeBinary),
    optional("totp_confirmed_at", TIME),  # from then on it is asked for
    counter("totp_step"),  # the last that a code was used for: each is good once
    Column("recovery_digests", ARRAY(LargeBinary), nullable=False, server_default=text("'{}'")),
    moment("created_at"),
    optional("confirmed_at", TIME),  # NULL: has not yet shown that the address is theirs
    optional("logged_out_at", TIME),  # what was signed in before is signed in no more
    optional("removed_at", TIME),
    UniqueConstraint("id", "reseller_id"),
    of_reseller(),
    Index(None, "reseller_id", "id"),
    Index(None, "email_digest", unique=True, postgresql_where=text("confirmed_at IS NOT NULL")),
)

sessions: Final = Table(
    "sessions",
    metadata,
    entity(),
    reseller_column(),
    required("user_id", BigInteger),
    required("token_hash", LargeBinary),  # SHA-256
    required("signed_in_at", TIME),
    required("expires_at", TIME),
    UniqueConstraint("token_hash"),
    of_reseller(),
    _of_user(),
    Index(None, "user_id"),
)

invitations: Final = Table(
    "invitations",
    metadata,
    entity(),
    reseller_column(),
    *_role(),
    required("email_sealed", LargeBinary),
    required("email_digest", LargeBinary),
    required("token_hash", LargeBinary),  # SHA-256
    moment("created_at"),
    required("expires_at", TIME),
    UniqueConstraint("token_hash"),
    of_reseller(),
    Index(None, "reseller_id", "id"),
)

mailed_tokens: Final = Table(
    "mailed_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # SHA-256
    reseller_column(),
    required("user_id", BigInteger),
    required("purpose", Text),
    moment("created_at"),
    required("expires_at", TIME),
    CheckConstraint("purpose IN ('confirm', 'reset')", name="purpose"),
    of_reseller(),
    _of_user(),
    Index(None, "user_id"),
)

outgoing_mails: Final = Table(
    "outgoing_mails",
    metadata,
    entity(),
    reseller_column(),
    required("kind", Text),
    required("address_sealed", LargeBinary),
    required("text_sealed", LargeBinary),
    moment("created_at"),
    optional("sent_at", TIME),
    of_reseller(),
    Index(None, "reseller_id"),
)
