"""What bundles leave behind: passes that their purchase ends, and rows that are forgotten.

Revision ID: 0023
Revises: 0022
"""

from typing import Final

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_UPGRADE: Final = (
    """
    ALTER TABLE bundle_shows ADD COLUMN pass_number BIGINT
    CONSTRAINT bundle_shows_pass_number_check CHECK (pass_number >= 0)
    """,
    "CREATE INDEX bundles_ended_at_idx ON bundles (ended_at) WHERE state = 'released'",
    "GRANT DELETE ON bundles, bundle_shows TO onsale_recorder",
)
_DOWNGRADE: Final = (
    "REVOKE DELETE ON bundles, bundle_shows FROM onsale_recorder",
    "DROP INDEX bundles_ended_at_idx",
    "ALTER TABLE bundle_shows DROP COLUMN pass_number",
)


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take it back."""
    for statement in _DOWNGRADE:
        op.execute(statement)
