"""Refund requests, and the epoch of what is in conflict.

Revision ID: 0002
Revises: 0001
"""

from typing import Final

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UPGRADE: Final = (
    """
    CREATE TABLE refund_requests (
        order_id UUID PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        show_id BIGINT NOT NULL,
        reason TEXT NOT NULL,
        amount BIGINT NOT NULL,
        currency CHAR(3) NOT NULL,
        payment_reference TEXT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT refund_requests_reason_check CHECK (reason IN ('conflict', 'stranded')),
        CONSTRAINT refund_requests_amount_check CHECK (amount >= 0)
    )
    """,
    "CREATE INDEX ON refund_requests (show_id, created_at)",
    "ALTER TABLE conflicts ADD COLUMN epoch BIGINT",
    "UPDATE conflicts SET epoch = orders.epoch FROM orders WHERE orders.id = conflicts.order_id",
    "ALTER TABLE conflicts ALTER COLUMN epoch SET NOT NULL",
    "CREATE INDEX ON conflicts (show_id, epoch)",
    # Orders that were in conflict before there were requests: they are owed all the same.
    """
    INSERT INTO refund_requests
        (order_id, reseller_id, show_id, reason, amount, currency, payment_reference)
    SELECT id, reseller_id, show_id, 'conflict', total, currency, payment_reference
    FROM orders WHERE status = 'conflict'
    """,
    "GRANT SELECT ON refund_requests TO onsale_app, onsale_recorder, onsale_auditor",
    # Only ever added, as the sales are.
    "GRANT INSERT ON refund_requests TO onsale_recorder",
)

# Outside a transaction that set it, the setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"

_SEPARATE: Final = (
    "ALTER TABLE refund_requests ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE refund_requests FORCE ROW LEVEL SECURITY",
    f"""
    CREATE POLICY tenant ON refund_requests TO onsale_app
    USING ({_TENANT}) WITH CHECK ({_TENANT})
    """,
    "CREATE POLICY recorder ON refund_requests TO onsale_recorder USING (true) WITH CHECK (true)",
    "CREATE POLICY auditor ON refund_requests FOR SELECT TO onsale_auditor USING (true)",
    "CREATE POLICY owner ON refund_requests TO onsale_owner USING (true) WITH CHECK (true)",
)


def upgrade() -> None:
    """Make the table, its policies and its grants; tell the conflicts' epoch."""
    for statement in (*_UPGRADE, *_SEPARATE):
        op.execute(statement)


def downgrade() -> None:
    """Drop them: requests are lost."""
    op.execute("DROP TABLE refund_requests")
    op.execute("ALTER TABLE conflicts DROP COLUMN epoch")
