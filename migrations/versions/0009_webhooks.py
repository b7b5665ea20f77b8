"""Webhooks: who is told of facts, and what became of telling them.

Revision ID: 0009
Revises: 0008
"""

from typing import Final

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES: Final = (
    """
    CREATE TABLE webhook_endpoints (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        url TEXT NOT NULL,
        description TEXT NOT NULL,
        types TEXT[],
        status TEXT NOT NULL,
        reason TEXT,
        secrets_sealed BYTEA NOT NULL,
        since BIGINT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        changed_at TIMESTAMPTZ NOT NULL,
        due_at TIMESTAMPTZ,
        rests_until TIMESTAMPTZ,
        leased_until TIMESTAMPTZ,
        lease BIGINT NOT NULL DEFAULT 0,
        failures BIGINT NOT NULL DEFAULT 0,
        failing_since TIMESTAMPTZ,
        delivered_at TIMESTAMPTZ,
        UNIQUE (id, reseller_id),
        CONSTRAINT webhook_endpoints_status_check
            CHECK (status IN ('enabled', 'disabled', 'deleted'))
    )
    """,
    """
    CREATE INDEX webhook_endpoints_reseller_id_status_idx
    ON webhook_endpoints (reseller_id, status)
    """,
    """
    CREATE INDEX webhook_endpoints_due_at_idx ON webhook_endpoints (due_at)
    WHERE status = 'enabled'
    """,
    """
    CREATE TABLE webhook_deliveries (
        endpoint_id BIGINT NOT NULL,
        fact_id BIGINT NOT NULL,
        fact_xid BIGINT NOT NULL,
        reseller_id BIGINT NOT NULL,
        type TEXT NOT NULL,
        object TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_at TIMESTAMPTZ,
        give_up_at TIMESTAMPTZ NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        ended_at TIMESTAMPTZ,
        last_status INTEGER,
        last_error TEXT,
        last_duration_ms INTEGER,
        last_response TEXT,
        PRIMARY KEY (endpoint_id, fact_id),
        FOREIGN KEY (endpoint_id, reseller_id) REFERENCES webhook_endpoints (id, reseller_id),
        CONSTRAINT webhook_deliveries_state_check
            CHECK (state IN ('pending', 'delivered', 'failed', 'discarded'))
    )
    """,
    """
    CREATE INDEX webhook_deliveries_endpoint_id_next_at_fact_id_idx
    ON webhook_deliveries (endpoint_id, next_at, fact_id) WHERE state = 'pending'
    """,
    """
    CREATE INDEX webhook_deliveries_endpoint_id_object_fact_id_idx
    ON webhook_deliveries (endpoint_id, object, fact_id) WHERE state = 'pending'
    """,
    "CREATE INDEX webhook_deliveries_give_up_at_idx ON webhook_deliveries (give_up_at)",
    """
    CREATE TABLE webhook_attempts (
        endpoint_id BIGINT NOT NULL,
        fact_id BIGINT NOT NULL,
        number INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        at TIMESTAMPTZ NOT NULL,
        status INTEGER,
        error TEXT,
        duration_ms INTEGER NOT NULL,
        response TEXT NOT NULL,
        PRIMARY KEY (endpoint_id, fact_id, number),
        FOREIGN KEY (endpoint_id, reseller_id) REFERENCES webhook_endpoints (id, reseller_id)
    )
    """,
    "CREATE INDEX webhook_attempts_at_idx ON webhook_attempts (at)",
    # One row: up to where the log of facts was handed out. It belongs to the cell.
    """
    CREATE TABLE webhook_positions (
        single BOOLEAN PRIMARY KEY,
        xid BIGINT NOT NULL,
        fact_id BIGINT NOT NULL,
        CONSTRAINT webhook_positions_single_check CHECK (single)
    )
    """,
    "INSERT INTO webhook_positions VALUES (true, 0, 0)",
)
_GRANTS: Final = (
    """
    GRANT SELECT ON webhook_endpoints, webhook_deliveries, webhook_attempts
    TO onsale_app, onsale_recorder, onsale_auditor
    """,
    "GRANT INSERT ON webhook_endpoints, webhook_deliveries TO onsale_app",
    """
    GRANT UPDATE (url, description, types, status, reason, secrets_sealed, since, changed_at,
        due_at, rests_until, failures, failing_since)
    ON webhook_endpoints TO onsale_app
    """,
    # To tell again.
    """
    GRANT UPDATE (state, attempts, next_at, give_up_at, ended_at)
    ON webhook_deliveries TO onsale_app
    """,
    """
    GRANT UPDATE (status, reason, changed_at, due_at, rests_until, leased_until, lease, failures,
        failing_since, delivered_at)
    ON webhook_endpoints TO onsale_recorder
    """,
    "GRANT DELETE ON webhook_endpoints TO onsale_recorder",
    "GRANT INSERT, UPDATE, DELETE ON webhook_deliveries TO onsale_recorder",
    "GRANT INSERT, UPDATE, DELETE ON webhook_attempts TO onsale_recorder",
    "GRANT SELECT, UPDATE ON webhook_positions TO onsale_recorder",
    "GRANT SELECT ON webhook_positions TO onsale_auditor",
)

# Outside a transaction that set it, the setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"


def _separate(table: str) -> tuple[str, ...]:
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO onsale_app USING ({_TENANT}) WITH CHECK ({_TENANT})",
        f"CREATE POLICY recorder ON {table} TO onsale_recorder USING (true) WITH CHECK (true)",
        f"CREATE POLICY auditor ON {table} FOR SELECT TO onsale_auditor USING (true)",
        f"CREATE POLICY owner ON {table} TO onsale_owner USING (true) WITH CHECK (true)",
    )


_UPGRADE: Final = (
    *_TABLES,
    *_GRANTS,
    *_separate("webhook_endpoints"),
    *_separate("webhook_deliveries"),
    *_separate("webhook_attempts"),
)
_DOWNGRADE: Final = (
    "DROP TABLE webhook_positions",
    "DROP TABLE webhook_attempts",
    "DROP TABLE webhook_deliveries",
    "DROP TABLE webhook_endpoints",
)


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take it back."""
    for statement in _DOWNGRADE:
        op.execute(statement)
