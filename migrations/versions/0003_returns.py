"""Returns: orders that were given back, numbered for each show.

Revision ID: 0003
Revises: 0002
"""

from typing import Final

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UPGRADE: Final = (
    """
    CREATE TABLE returns (
        show_id BIGINT NOT NULL,
        return_no BIGINT NOT NULL,
        reseller_id BIGINT NOT NULL,
        order_id UUID NOT NULL UNIQUE REFERENCES orders,
        at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (show_id, return_no),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id)
    )
    """,
    "ALTER TABLE orders DROP CONSTRAINT orders_status_check",
    """
    ALTER TABLE orders ADD CONSTRAINT orders_status_check
    CHECK (status IN ('confirmed', 'conflict', 'refunded', 'returned'))
    """,
    "ALTER TABLE tickets DROP CONSTRAINT tickets_status_check",
    """
    ALTER TABLE tickets ADD CONSTRAINT tickets_status_check
    CHECK (status IN ('active', 'cancelled', 'returned'))
    """,
    "ALTER TABLE refund_requests DROP CONSTRAINT refund_requests_reason_check",
    """
    ALTER TABLE refund_requests ADD CONSTRAINT refund_requests_reason_check
    CHECK (reason IN ('conflict', 'stranded', 'returned'))
    """,
    "GRANT SELECT ON returns TO onsale_app, onsale_recorder, onsale_auditor",
    # A reseller's API takes orders back, and changes nothing else of a sale.
    "GRANT INSERT ON returns, refund_requests, journal_entries, postings TO onsale_app",
    "GRANT UPDATE (return_no) ON shows TO onsale_app",
    "GRANT UPDATE (status) ON orders, tickets TO onsale_app",
    "GRANT UPDATE (sold) ON area_sales TO onsale_app",
    """
    CREATE POLICY takes_back_only ON orders AS RESTRICTIVE FOR UPDATE TO onsale_app
    USING (status = 'confirmed') WITH CHECK (status = 'returned')
    """,
    """
    CREATE POLICY takes_back_only ON tickets AS RESTRICTIVE FOR UPDATE TO onsale_app
    USING (status = 'active') WITH CHECK (status = 'returned')
    """,
)

# Outside a transaction that set it, the setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"

_SEPARATE: Final = (
    "ALTER TABLE returns ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE returns FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY tenant ON returns TO onsale_app USING ({_TENANT}) WITH CHECK ({_TENANT})",
    "CREATE POLICY recorder ON returns TO onsale_recorder USING (true) WITH CHECK (true)",
    "CREATE POLICY auditor ON returns FOR SELECT TO onsale_auditor USING (true)",
    "CREATE POLICY owner ON returns TO onsale_owner USING (true) WITH CHECK (true)",
)

_DOWNGRADE: Final = (
    "DROP POLICY takes_back_only ON orders",
    "DROP POLICY takes_back_only ON tickets",
    "REVOKE INSERT ON refund_requests, journal_entries, postings FROM onsale_app",
    "REVOKE UPDATE (return_no) ON shows FROM onsale_app",
    "REVOKE UPDATE (status) ON orders, tickets FROM onsale_app",
    "REVOKE UPDATE (sold) ON area_sales FROM onsale_app",
    "DROP TABLE returns",
    # What was given back stays so, in the words that there were before.
    "UPDATE orders SET status = 'refunded' WHERE status = 'returned'",
    "UPDATE tickets SET status = 'cancelled' WHERE status = 'returned'",
    "UPDATE refund_requests SET reason = 'conflict' WHERE reason = 'returned'",
    "ALTER TABLE orders DROP CONSTRAINT orders_status_check",
    """
    ALTER TABLE orders ADD CONSTRAINT orders_status_check
    CHECK (status IN ('confirmed', 'conflict', 'refunded'))
    """,
    "ALTER TABLE tickets DROP CONSTRAINT tickets_status_check",
    """
    ALTER TABLE tickets ADD CONSTRAINT tickets_status_check
    CHECK (status IN ('active', 'cancelled'))
    """,
    "ALTER TABLE refund_requests DROP CONSTRAINT refund_requests_reason_check",
    """
    ALTER TABLE refund_requests ADD CONSTRAINT refund_requests_reason_check
    CHECK (reason IN ('conflict', 'stranded'))
    """,
)


def upgrade() -> None:
    """Make the table, its policies and its grants; let orders and tickets be returned."""
    for statement in (*_UPGRADE, *_SEPARATE):
        op.execute(statement)


def downgrade() -> None:
    """Drop them: what was given back stays so, and its numbers are lost."""
    for statement in _DOWNGRADE:
        op.execute(statement)
