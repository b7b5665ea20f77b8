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
