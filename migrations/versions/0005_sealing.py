"""Data keys: what sensitive columns are encrypted with.

Revision ID: 0005
Revises: 0004
"""

from typing import Final

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Outside a transaction that set it, the setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"

_UPGRADE: Final = (
    """
    CREATE TABLE data_keys (
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        version INTEGER NOT NULL,
        sealing_key TEXT NOT NULL,
        wrapped BYTEA NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (reseller_id, version)
    )
    """,
    "GRANT SELECT, INSERT ON data_keys TO onsale_app",
    # Workers open what they need to tell others, such as a webhook's secret.
    "GRANT SELECT ON data_keys TO onsale_recorder",
    "ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE data_keys FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY tenant ON data_keys TO onsale_app USING ({_TENANT}) WITH CHECK ({_TENANT})",
    "CREATE POLICY recorder ON data_keys FOR SELECT TO onsale_recorder USING (true)",
    "CREATE POLICY auditor ON data_keys FOR SELECT TO onsale_auditor USING (true)",
    "CREATE POLICY owner ON data_keys TO onsale_owner USING (true) WITH CHECK (true)",
)
_DOWNGRADE: Final = ("DROP TABLE data_keys",)


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take it back."""
    for statement in _DOWNGRADE:
        op.execute(statement)
