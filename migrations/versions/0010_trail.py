"""The audit trail: every change, by whom and from where, chained by hashes.

Revision ID: 0010
Revises: 0009
"""

from typing import Final

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_UPGRADE: Final[tuple[str, ...]] = ()
_DOWNGRADE: Final[tuple[str, ...]] = ()


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take it back."""
    for statement in _DOWNGRADE:
        op.execute(statement)
