"""OAuth: clients, what people have granted them, codes, refresh tokens, signing keys."""

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


def _of_grant() -> ForeignKeyConstraint:
    # Both columns, as foreign keys look past row-level security.
    return ForeignKeyConstraint(
        ["grant_id", "reseller_id"], ["oauth_grants.id", "oauth_grants.reseller_id"]
    )


oauth_clients: Final = Table(
    "oauth_clients",
    metadata,
    entity(),
    reseller_column(),  # whose client it is: its tokens act for them, or for their sandbox
    required("name", Text),
    required("grant_types", ARRAY(Text)),
    required("redirect_uris", ARRAY(Text)),
    required("scopes", ARRAY(Text)),
    optional("secret_hash", LargeBinary),  # SHA-256; NULL: a public client, which can keep none
    # The secret before it, while both are taken.
    optional("old_secret_hash", LargeBinary),
    optional("old_secret_until", TIME),
    moment("created_at"),
    optional("revoked_at", TIME),
    UniqueConstraint("id", "reseller_id"),
    of_reseller(),
    Index(None, "reseller_id"),
)

oauth_grants: Final = Table(
    "oauth_grants",
    metadata,
    entity(),
    reseller_column(),  # the client's
    required("client_id", BigInteger),
    required("user_id", BigInteger),
    required("account_id", BigInteger),  # the live reseller whose user it is
    required("acts_for", BigInteger),  # the live reseller, or its sandbox
    required("scopes", ARRAY(Text)),
    required("signed_in_at", TIME),  # of the session that granted it
    moment("created_at"),
    optional("ended_at", TIME),
    UniqueConstraint("id", "reseller_id"),
    of_reseller(),
    ForeignKeyConstraint(
        ["client_id", "reseller_id"], ["oauth_clients.id", "oauth_clients.reseller_id"]
    ),
    Index(None, "reseller_id"),
    Index(None, "client_id"),
)

oauth_codes: Final = Table(
    "oauth_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),  # SHA-256
    reseller_column(),
    required("grant_id", BigInteger),
    required("redirect_uri", Text),
    required("challenge", Text),  # PKCE's, by S256
    required("expires_at", TIME),
    optional("used_at", TIME),
    of_reseller(),
    _of_grant(),
    Index(None, "reseller_id", "expires_at"),
    Index(None, "grant_id"),
)

refresh_tokens: Final = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # SHA-256
    reseller_column(),
    required("grant_id", BigInteger),
    moment("created_at"),
    required("expires_at", TIME),
    optional("used_at", TIME),  # used again it ends the grant
    of_reseller(),
    _of_grant(),
    Index(None, "reseller_id", "expires_at"),
    Index(None, "grant_id"),
)

# The next two are of the whole cell, and name nobody: every process reads all of them.
signing_keys: Final = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    required("private_key_sealed", LargeBinary),  # a JWK, for the cell
    moment("created_at"),
)

ended_tokens: Final = Table(
    "ended_tokens",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),  # a token's `jti`, or an id's hex digits
    moment("ended_at"),
    CheckConstraint(
        "kind IN ('token', 'grant', 'client', 'user', 'reseller')",
        name="kind",
    ),
    Index(None, "ended_at"),
)
