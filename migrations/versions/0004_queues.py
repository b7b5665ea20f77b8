"""Queues: a show's waiting room, its rules, its draw and what it has given out.

Revision ID: 0004
Revises: 0003
"""

from typing import Final

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UPGRADE: Final = (
    """
    CREATE TABLE queues (
        show_id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        mode TEXT NOT NULL,
        is_paused BOOLEAN NOT NULL,
        opens_at TIMESTAMPTZ NOT NULL,
        draws_at TIMESTAMPTZ,
        rate DOUBLE PRECISION NOT NULL,
        burst DOUBLE PRECISION NOT NULL,
        checkout_max INTEGER NOT NULL,
        pass_ttl_s INTEGER NOT NULL,
        safety_net DOUBLE PRECISION,
        proof_bits INTEGER NOT NULL,
        return_addresses JSONB NOT NULL,
        beacon JSONB,
        beacon_value BYTEA,
        secret BYTEA NOT NULL,
        commitment BYTEA NOT NULL,
        count BIGINT,
        closed_at TIMESTAMPTZ,
        drawn_at TIMESTAMPTZ,
        digest BYTEA,
        epoch BIGINT NOT NULL DEFAULT 0,
        numbers_ceiling BIGINT NOT NULL DEFAULT 0,
        serving_ceiling BIGINT NOT NULL DEFAULT 0,
        skipped JSONB NOT NULL DEFAULT '[]',
        version BIGINT NOT NULL DEFAULT 1,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT queues_mode_check CHECK (mode IN ('on', 'drain', 'closed', 'off')),
        CONSTRAINT queues_bounds_check CHECK (rate > 0 AND burst >= 1 AND checkout_max > 0),
        CONSTRAINT queues_drawn_check CHECK (drawn_at IS NULL OR count IS NOT NULL)
    )
    """,
    "GRANT SELECT ON queues TO onsale_app, onsale_recorder, onsale_auditor",
    "GRANT INSERT ON queues TO onsale_app",
    # A reseller sets the rules. What was drawn and given out is the workers'.
    """
    GRANT UPDATE (mode, is_paused, opens_at, draws_at, rate, burst, checkout_max, pass_ttl_s,
        safety_net, proof_bits, return_addresses, beacon, beacon_value, version, changed_at)
    ON queues TO onsale_app
    """,
    """
    GRANT UPDATE (beacon, beacon_value, count, closed_at, drawn_at, digest, epoch, numbers_ceiling,
        serving_ceiling, skipped, version)
    ON queues TO onsale_recorder
    """,
)

# Outside a transaction that set it, the setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"
_VISITED: Final = "show_id = NULLIF(current_setting('onsale.visited_show', true), '')::bigint"

_SEPARATE: Final = (
    "ALTER TABLE queues ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE queues FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY tenant ON queues TO onsale_app USING ({_TENANT}) WITH CHECK ({_TENANT})",
    # Who waits has no key: the queue that they name tells whose it is.
    f"CREATE POLICY visitor ON queues FOR SELECT TO onsale_app USING ({_VISITED})",
    "CREATE POLICY recorder ON queues TO onsale_recorder USING (true) WITH CHECK (true)",
    "CREATE POLICY auditor ON queues FOR SELECT TO onsale_auditor USING (true)",
    "CREATE POLICY owner ON queues TO onsale_owner USING (true) WITH CHECK (true)",
)


def upgrade() -> None:
    """Make the table, its policies and its grants."""
    for statement in (*_UPGRADE, *_SEPARATE):
        op.execute(statement)


def downgrade() -> None:
    """Drop it: shows have no waiting rooms any more, and draws can't be checked."""
    op.execute("DROP TABLE queues")
