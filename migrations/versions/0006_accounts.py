"""Accounts: who resellers are, and the people who act for them.

Revision ID: 0006
Revises: 0005
"""

from typing import Final

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Outside a transaction that set it, a setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"
_DIGEST: Final = "decode(NULLIF(current_setting('onsale.secret_digest', true), ''), 'hex')"

_TABLES: Final = (
    *("accounts", "users", "sessions", "invitations", "mailed_tokens", "outgoing_mails"),
)

_RESELLERS: Final = (
    """
    ALTER TABLE resellers
        ADD COLUMN mode TEXT NOT NULL DEFAULT 'live' CHECK (mode IN ('live', 'sandbox')),
        ADD COLUMN status TEXT NOT NULL DEFAULT 'approved'
            CHECK (status IN ('pending', 'approved', 'suspended')),
        ADD COLUMN sandbox_of BIGINT UNIQUE REFERENCES resellers
    """,
    "GRANT INSERT ON resellers TO onsale_app",
    # Nobody lets themselves in: only an operator makes a live reseller an approved one.
    """
    CREATE POLICY signs_up_only ON resellers AS RESTRICTIVE FOR INSERT TO onsale_app
        WITH CHECK (mode = 'sandbox' OR status = 'pending')
    """,
)
_MADE: Final = (
    """
    CREATE TABLE accounts (
        reseller_id BIGINT PRIMARY KEY REFERENCES resellers,
        sandbox_id BIGINT NOT NULL UNIQUE REFERENCES resellers,
        legal_name_sealed BYTEA NOT NULL,
        address_sealed BYTEA NOT NULL,
        country CHAR(2) NOT NULL,
        currency CHAR(3) NOT NULL,
        tax_id_sealed BYTEA,
        payout_account_sealed BYTEA NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE users (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        role TEXT NOT NULL CHECK
            (role IN ('owner', 'manager', 'finance', 'support', 'read-only', 'scanner')),
        name_sealed BYTEA,
        email_sealed BYTEA,
        email_digest BYTEA,
        password_hash TEXT,
        totp_sealed BYTEA,
        totp_confirmed_at TIMESTAMPTZ,
        totp_step BIGINT NOT NULL DEFAULT 0,
        recovery_digests BYTEA[] NOT NULL DEFAULT '{}',
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        confirmed_at TIMESTAMPTZ,
        logged_out_at TIMESTAMPTZ,
        removed_at TIMESTAMPTZ,
        UNIQUE (id, reseller_id)
    )
    """,
    "CREATE INDEX users_reseller_id_id_idx ON users (reseller_id, id)",
    # Whoever has proved that an address is theirs has it alone; until then anybody may name it.
    """
    CREATE UNIQUE INDEX users_email_digest_idx ON users (email_digest)
        WHERE confirmed_at IS NOT NULL
    """,
    """
    CREATE TABLE sessions (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        user_id BIGINT NOT NULL,
        token_hash BYTEA NOT NULL UNIQUE,
        signed_in_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        FOREIGN KEY (user_id, reseller_id) REFERENCES users (id, reseller_id)
    )
    """,
    "CREATE INDEX sessions_user_id_idx ON sessions (user_id)",
    """
    CREATE TABLE invitations (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        role TEXT NOT NULL CHECK
            (role IN ('owner', 'manager', 'finance', 'support', 'read-only', 'scanner')),
        email_sealed BYTEA NOT NULL,
        email_digest BYTEA NOT NULL,
        token_hash BYTEA NOT NULL UNIQUE,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        expires_at TIMESTAMPTZ NOT NULL
    )
    """,
    "CREATE INDEX invitations_reseller_id_id_idx ON invitations (reseller_id, id)",
    """
    CREATE TABLE mailed_tokens (
        token_hash BYTEA PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        user_id BIGINT NOT NULL,
        purpose TEXT NOT NULL CHECK (purpose IN ('confirm', 'reset')),
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        expires_at TIMESTAMPTZ NOT NULL,
        FOREIGN KEY (user_id, reseller_id) REFERENCES users (id, reseller_id)
    )
    """,
    "CREATE INDEX mailed_tokens_user_id_idx ON mailed_tokens (user_id)",
    """
    CREATE TABLE outgoing_mails (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        kind TEXT NOT NULL,
        address_sealed BYTEA NOT NULL,
        text_sealed BYTEA NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        sent_at TIMESTAMPTZ
    )
    """,
    "CREATE INDEX outgoing_mails_reseller_id_idx ON outgoing_mails (reseller_id)",
)
_GRANTS: Final = (
    "GRANT SELECT, INSERT ON " + ", ".join(_TABLES) + " TO onsale_app",
    """
    GRANT UPDATE (legal_name_sealed, address_sealed, country, currency, tax_id_sealed,
        payout_account_sealed, changed_at) ON accounts TO onsale_app
    """,
    """
    GRANT UPDATE (role, name_sealed, email_sealed, email_digest, password_hash, totp_sealed,
        totp_confirmed_at, totp_step, recovery_digests, confirmed_at, logged_out_at, removed_at)
        ON users TO onsale_app
    """,
    "GRANT DELETE ON sessions, invitations, mailed_tokens TO onsale_app",
    # It forgets what is over, and sees no more of it than that.
    "GRANT SELECT (id, expires_at), DELETE ON sessions, invitations TO onsale_recorder",
    "GRANT SELECT (token_hash, expires_at), DELETE ON mailed_tokens TO onsale_recorder",
    "GRANT SELECT (id, created_at), DELETE ON outgoing_mails TO onsale_recorder",
)
_FORGOTTEN: Final = ("sessions", "invitations", "mailed_tokens", "outgoing_mails")
# Seen before it is known whose they are, by who tells the very secret (or address).
_FOUND_BY_DIGEST: Final = {
    "users": "email_digest",
    "sessions": "token_hash",
    "invitations": "token_hash",
    "mailed_tokens": "token_hash",
}
_DOWNGRADE: Final = (
    "DROP TABLE outgoing_mails, mailed_tokens, invitations, sessions, users, accounts",
    "DROP POLICY signs_up_only ON resellers",
    "REVOKE INSERT ON resellers FROM onsale_app",
    "ALTER TABLE resellers DROP COLUMN sandbox_of, DROP COLUMN status, DROP COLUMN mode",
)


def upgrade() -> None:
    """Make it."""
    for statement in (*_RESELLERS, *_MADE, *_GRANTS):
        op.execute(statement)
    for table in _TABLES:
        _protect(table)
    for table in _FORGOTTEN:
        op.execute(f"CREATE POLICY forgets ON {table} FOR DELETE TO onsale_recorder USING (true)")
    for table, column in _FOUND_BY_DIGEST.items():
        op.execute(
            f"CREATE POLICY by_digest ON {table} FOR SELECT TO onsale_app"
            f" USING ({column} = {_DIGEST})"
        )


def downgrade() -> None:
    """Take it back."""
    for statement in _DOWNGRADE:
        op.execute(statement)


def _protect(table: str) -> None:
    for statement in (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO onsale_app USING ({_TENANT}) WITH CHECK ({_TENANT})",
        f"CREATE POLICY recorder ON {table} FOR SELECT TO onsale_recorder USING (true)",
        f"CREATE POLICY auditor ON {table} FOR SELECT TO onsale_auditor USING (true)",
        f"CREATE POLICY owner ON {table} TO onsale_owner USING (true) WITH CHECK (true)",
    ):
        op.execute(statement)
