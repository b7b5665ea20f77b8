"""Credentials: scopes, expiry and rotation of API keys, and OAuth.

Revision ID: 0007
Revises: 0006
"""

from typing import Final

from alembic import op

revision = "0007"
down_revision = "0006"
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
