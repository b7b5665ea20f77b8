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
