"""What looks at a hundred thousand shows need: indexes of what is due, and of whose turn it is.

Revision ID: 0020
Revises: 0019
"""

from typing import Final

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_INDEXES: Final = (
    # Whose turn it is: shows that the inventory store is to have, by their ids.
    "CREATE INDEX shows_tended_idx ON shows (id) WHERE state <> 'draft' AND archived_at IS NULL",
    """
    CREATE INDEX shows_unopened_idx ON shows (id)
    WHERE epoch = 0 AND state <> 'draft' AND archived_at IS NULL
    """,
    """
    CREATE INDEX shows_opens_at_idx ON shows (opens_at)
    WHERE state = 'on_sale' AND archived_at IS NULL
    """,
    # A reseller's list, the newest first, of however many.
    "CREATE INDEX shows_reseller_id_created_at_id_idx ON shows (reseller_id, created_at, id)",
    "DROP INDEX shows_reseller_id_idx",
    "CREATE INDEX returns_at_idx ON returns (at)",
    "CREATE INDEX price_steps_at_idx ON price_steps (at) WHERE came_at IS NULL",
)
_NEW: Final = (
    *("shows_tended_idx", "shows_unopened_idx", "shows_opens_at_idx", "returns_at_idx"),
    *("shows_reseller_id_created_at_id_idx", "price_steps_at_idx"),
)


def upgrade() -> None:
    """Make them."""
    for statement in _INDEXES:
        op.execute(statement)
    # What a show's counts were taken from, so that a worker that starts does not count all anew.
    op.execute("ALTER TABLE listing_counts ADD COLUMN counted_for TEXT")


def downgrade() -> None:
    """Take them back."""
    op.execute("ALTER TABLE listing_counts DROP COLUMN counted_for")
    op.execute("CREATE INDEX shows_reseller_id_idx ON shows (reseller_id)")
    for name in _NEW:
        op.execute(f"DROP INDEX {name}")
