"""What the house changes about a show's places while it sells.

Revision ID: 0015
Revises: 0014
"""

from typing import Final

from alembic import op

from migrations.protecting import protect
from migrations.trail import forget_trail_of, keep_trail_of

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_UPGRADE: Final = (
    """
    CREATE TABLE show_edits (
        show_id BIGINT NOT NULL,
        edit_no INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        inventory_version BIGINT NOT NULL,
        price_version INTEGER NOT NULL,
        reason TEXT NOT NULL,
        asked JSONB NOT NULL,
        overlay JSONB NOT NULL,
        seats_moved INTEGER NOT NULL,
        seats_taken_out INTEGER NOT NULL,
        seats_put_back INTEGER NOT NULL,
        seats_removed INTEGER NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (show_id, edit_no),
        UNIQUE (show_id, price_version),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT show_edits_number_check CHECK (edit_no > 0)
    )
    """,
    *protect("show_edits", app="SELECT, INSERT"),
    # An area's capacity in the ledger follows the show's: the last fence counts by it.
    "GRANT INSERT, UPDATE (capacity) ON area_sales TO onsale_app",
    # What is sold is the recorder's to say.
    """
    CREATE POLICY begins_unsold ON area_sales AS RESTRICTIVE FOR INSERT TO onsale_app
        WITH CHECK (sold = 0)
    """,
)
_DOWNGRADE: Final = (
    "DROP POLICY begins_unsold ON area_sales",
    "REVOKE INSERT, UPDATE (capacity) ON area_sales FROM onsale_app",
    "DROP TABLE show_edits",
)


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)
    keep_trail_of("show_edits", withheld=("overlay",))


def downgrade() -> None:
    """Take it back."""
    forget_trail_of("show_edits")
    for statement in _DOWNGRADE:
        op.execute(statement)
