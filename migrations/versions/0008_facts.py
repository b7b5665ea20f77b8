"""Facts: the log of what happened, written in the transaction in which it did.

Revision ID: 0008
Revises: 0007
"""

from typing import Final

from alembic import op

revision = "0008"
down_revision = "0007"
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
