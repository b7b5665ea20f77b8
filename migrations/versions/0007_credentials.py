"""Credentials: scopes, expiry and rotation of API keys, and OAuth.

Revision ID: 0007
Revises: 0006
"""

from typing import Final

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# What there was when keys had no scopes: a later one is not theirs by itself.
_EVERY_SCOPE: Final = (
    *("shows:read", "shows:write", "holds:write", "orders:write", "orders:read", "orders:return"),
    *("tickets:scan", "queues:manage", "facts:read", "webhooks:manage", "buyers:read"),
    *("buyers:manage", "keys:manage", "users:manage", "account:read", "account:manage"),
    "trail:read",
)

# Outside a transaction that set it, a setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"
_NAMED: Final = "id = NULLIF(current_setting('onsale.oauth_client', true), '')::bigint"

_KEYS: Final = (
    f"""
    ALTER TABLE api_keys
        ADD COLUMN scopes TEXT[] NOT NULL DEFAULT '{{{",".join(_EVERY_SCOPE)}}}',
        ADD COLUMN expires_at TIMESTAMPTZ,
        ADD COLUMN replaced_by BIGINT,
        ADD COLUMN overlap_until TIMESTAMPTZ
    """,
    "ALTER TABLE api_keys ALTER COLUMN scopes DROP DEFAULT",
)

_TABLES: Final = ("oauth_clients", "oauth_grants", "oauth_codes", "refresh_tokens")
_MADE: Final = (
    """
    CREATE TABLE oauth_clients (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        name TEXT NOT NULL,
        grant_types TEXT[] NOT NULL,
        redirect_uris TEXT[] NOT NULL,
        scopes TEXT[] NOT NULL,
        secret_hash BYTEA,
        old_secret_hash BYTEA,
        old_secret_until TIMESTAMPTZ,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        revoked_at TIMESTAMPTZ,
        UNIQUE (id, reseller_id)
    )
    """,
    "CREATE INDEX oauth_clients_reseller_id_idx ON oauth_clients (reseller_id)",
    """
    CREATE TABLE oauth_grants (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        client_id BIGINT NOT NULL,
        user_id BIGINT NOT NULL,
        account_id BIGINT NOT NULL,
        acts_for BIGINT NOT NULL,
        scopes TEXT[] NOT NULL,
        signed_in_at TIMESTAMPTZ NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        ended_at TIMESTAMPTZ,
        UNIQUE (id, reseller_id),
        FOREIGN KEY (client_id, reseller_id) REFERENCES oauth_clients (id, reseller_id)
    )
    """,
    "CREATE INDEX oauth_grants_reseller_id_idx ON oauth_grants (reseller_id)",
    "CREATE INDEX oauth_grants_client_id_idx ON oauth_grants (client_id)",
    """
    CREATE TABLE oauth_codes (
        code_hash BYTEA PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        grant_id BIGINT NOT NULL,
        redirect_uri TEXT NOT NULL,
        challenge TEXT NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        used_at TIMESTAMPTZ,
        FOREIGN KEY (grant_id, reseller_id) REFERENCES oauth_grants (id, reseller_id)
    )
    """,
    "CREATE INDEX oauth_codes_reseller_id_expires_at_idx ON oauth_codes (reseller_id, expires_at)",
    "CREATE INDEX oauth_codes_grant_id_idx ON oauth_codes (grant_id)",
    """
    CREATE TABLE refresh_tokens (
        token_hash BYTEA PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        grant_id BIGINT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        expires_at TIMESTAMPTZ NOT NULL,
        used_at TIMESTAMPTZ,
        FOREIGN KEY (grant_id, reseller_id) REFERENCES oauth_grants (id, reseller_id)
    )
    """,
    """
    CREATE INDEX refresh_tokens_reseller_id_expires_at_idx
        ON refresh_tokens (reseller_id, expires_at)
    """,
    "CREATE INDEX refresh_tokens_grant_id_idx ON refresh_tokens (grant_id)",
    """
    CREATE TABLE signing_keys (
        kid TEXT PRIMARY KEY,
        private_key_sealed BYTEA NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE ended_tokens (
        kind TEXT NOT NULL CHECK (kind IN ('token', 'grant', 'client', 'user', 'reseller')),
        subject TEXT NOT NULL,
        ended_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (kind, subject)
    )
    """,
    "CREATE INDEX ended_tokens_ended_at_idx ON ended_tokens (ended_at)",
)
_FORGOTTEN: Final = ("oauth_grants", "oauth_codes", "refresh_tokens")
_GRANTS: Final = (
    "GRANT SELECT, INSERT ON " + ", ".join(_TABLES) + " TO onsale_app",
    """
    GRANT UPDATE (name, redirect_uris, scopes, secret_hash, old_secret_hash, old_secret_until,
        revoked_at) ON oauth_clients TO onsale_app
    """,
    "GRANT UPDATE (ended_at) ON oauth_grants TO onsale_app",
    "GRANT UPDATE (used_at), DELETE ON oauth_codes, refresh_tokens TO onsale_app",
    # What an API process makes of them it seals itself: who only has the database forges nothing.
    "GRANT SELECT, INSERT ON signing_keys TO onsale_app",
    "GRANT SELECT, INSERT, UPDATE (ended_at), DELETE ON ended_tokens TO onsale_app",
    # It forgets what is over, and sees no more of it than that.
    "GRANT SELECT (id, created_at, ended_at), DELETE ON oauth_grants TO onsale_recorder",
    "GRANT SELECT (grant_id), DELETE ON oauth_codes TO onsale_recorder",
    "GRANT SELECT (grant_id, expires_at), DELETE ON refresh_tokens TO onsale_recorder",
    "GRANT SELECT, DELETE ON ended_tokens TO onsale_recorder",
    f"CREATE POLICY named ON oauth_clients FOR SELECT TO onsale_app USING ({_NAMED})",
)

# Access tokens are good without a look-up: what ends them is noted where all processes read it,
# by whoever changes a row, in the same transaction.
_ENDINGS: Final = (
    """
    CREATE FUNCTION note_ended_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO ended_tokens (kind, subject, ended_at)
        VALUES (TG_ARGV[0], lpad(to_hex(NEW.id), 16, '0'), clock_timestamp())
        ON CONFLICT (kind, subject) DO UPDATE SET ended_at = excluded.ended_at;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER ends_tokens AFTER UPDATE ON users FOR EACH ROW
    WHEN (NEW.logged_out_at IS DISTINCT FROM OLD.logged_out_at
        OR NEW.removed_at IS DISTINCT FROM OLD.removed_at OR NEW.role <> OLD.role)
    EXECUTE FUNCTION note_ended_tokens('user')
    """,
    """
    CREATE TRIGGER ends_tokens AFTER UPDATE ON resellers FOR EACH ROW
    WHEN (NEW.status <> OLD.status AND NEW.status <> 'approved')
    EXECUTE FUNCTION note_ended_tokens('reseller')
    """,
    """
    CREATE TRIGGER ends_tokens AFTER UPDATE ON oauth_clients FOR EACH ROW
    WHEN (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at OR NEW.scopes <> OLD.scopes)
    EXECUTE FUNCTION note_ended_tokens('client')
    """,
    """
    CREATE TRIGGER ends_tokens AFTER UPDATE ON oauth_grants FOR EACH ROW
    WHEN (NEW.ended_at IS DISTINCT FROM OLD.ended_at)
    EXECUTE FUNCTION note_ended_tokens('grant')
    """,
)
_DOWNGRADE: Final = (
    "DROP TRIGGER ends_tokens ON users",
    "DROP TRIGGER ends_tokens ON resellers",
    "DROP TABLE ended_tokens, signing_keys, refresh_tokens, oauth_codes, oauth_grants",
    "DROP TABLE oauth_clients",
    "DROP FUNCTION note_ended_tokens()",
    """
    ALTER TABLE api_keys
        DROP COLUMN scopes,
        DROP COLUMN expires_at,
        DROP COLUMN replaced_by,
        DROP COLUMN overlap_until
    """,
)


def upgrade() -> None:
    """Make it."""
    for statement in (*_KEYS, *_MADE):
        op.execute(statement)
    for table in _TABLES:
        _protect(table)
    for table in _FORGOTTEN:
        op.execute(f"CREATE POLICY forgets ON {table} FOR DELETE TO onsale_recorder USING (true)")
    for statement in (*_GRANTS, *_ENDINGS):
        op.execute(statement)


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
