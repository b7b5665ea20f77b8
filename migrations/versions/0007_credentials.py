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

# What there was when keys had no scopes: a later one is not theirs by itself.
_EVERY_SCOPE: Final = (
    *("shows:read", "shows:write", "holds:write", "orders:write", "orders:read", "orders:return"),
    *("tickets:scan", "queues:manage", "facts:read", "webhooks:manage", "buyers:read"),
    *("buyers:manage", "keys:manage", "users:manage", "account:read", "account:manage"),
    "trail:read",
)

_UPGRADE: Final[tuple[str, ...]] = (
    f"""
    ALTER TABLE api_keys
        ADD COLUMN scopes TEXT[] NOT NULL DEFAULT '{{{",".join(_EVERY_SCOPE)}}}',
        ADD COLUMN expires_at TIMESTAMPTZ,
        ADD COLUMN replaced_by BIGINT,
        ADD COLUMN overlap_until TIMESTAMPTZ
    """,
    "ALTER TABLE api_keys ALTER COLUMN scopes DROP DEFAULT",
)
_DOWNGRADE: Final[tuple[str, ...]] = (
    """
    ALTER TABLE api_keys
        DROP COLUMN scopes,
        DROP COLUMN expires_at,
        DROP COLUMN replaced_by,
        DROP COLUMN overlap_until
    """,
)


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take it back."""
    for statement in _DOWNGRADE:
        op.execute(statement)
