"""Ticket types, and prices that follow a schedule.

Revision ID: 0014
Revises: 0013
"""

from typing import Final

from alembic import op

from migrations.protecting import protect
from migrations.trail import forget_trail_of, keep_trail_of

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_UPGRADE: Final = (
    "ALTER TABLE price_versions ADD COLUMN type_prices JSONB NOT NULL DEFAULT '{}'",
    # NULL: of the type that costs the level's face value, as all were before.
    "ALTER TABLE order_lines ADD COLUMN ticket_type TEXT",
    "ALTER TABLE tickets ADD COLUMN ticket_type TEXT",
    """
    CREATE TABLE ticket_types (
        show_id BIGINT NOT NULL,
        slug TEXT NOT NULL,
        reseller_id BIGINT NOT NULL,
        type_no INTEGER NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        description TEXT NOT NULL DEFAULT '',
        min_per_hold INTEGER,
        max_per_hold INTEGER,
        levels TEXT[],
        PRIMARY KEY (show_id, slug),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT ticket_types_kind_check CHECK (kind IN
            ('adult', 'child', 'student', 'senior', 'companion', 'disabled', 'group', 'other')),
        CONSTRAINT ticket_types_limits_check CHECK
            (min_per_hold > 0 AND max_per_hold > 0 AND min_per_hold <= max_per_hold)
    )
    """,
    """
    CREATE TABLE price_steps (
        show_id BIGINT NOT NULL,
        step_no INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        at TIMESTAMPTZ,
        after_sold INTEGER,
        price_level TEXT,
        prices JSONB NOT NULL,
        type_prices JSONB NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        came_at TIMESTAMPTZ,
        price_version INTEGER,
        PRIMARY KEY (show_id, step_no),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT price_steps_due_check CHECK (num_nonnulls(at, after_sold) > 0),
        CONSTRAINT price_steps_after_sold_check CHECK (after_sold > 0),
        CONSTRAINT price_steps_came_check CHECK ((came_at IS NULL) = (price_version IS NULL))
    )
    """,
    "CREATE INDEX price_steps_show_id_idx ON price_steps (show_id) WHERE came_at IS NULL",
    "GRANT UPDATE (price_version) ON shows TO onsale_app",
    "GRANT UPDATE (price_version, inventory_version) ON shows TO onsale_recorder",
    "GRANT INSERT ON price_versions TO onsale_recorder",
    *protect("ticket_types", app="SELECT, INSERT, DELETE"),
    *protect(
        "price_steps",
        app="SELECT, INSERT, DELETE",
        recorder="SELECT, UPDATE (came_at, price_version)",
    ),
    # What has come is history: a schedule that is replaced leaves it.
    """
    CREATE POLICY keeps_history ON price_steps AS RESTRICTIVE FOR DELETE TO onsale_app
        USING (came_at IS NULL)
    """,
)
_KEPT: Final = ("ticket_types", "price_steps")
_DOWNGRADE: Final = (
    "DROP TABLE price_steps",
    "DROP TABLE ticket_types",
    "REVOKE INSERT ON price_versions FROM onsale_recorder",
    "REVOKE UPDATE (price_version, inventory_version) ON shows FROM onsale_recorder",
    "REVOKE UPDATE (price_version) ON shows FROM onsale_app",
    "ALTER TABLE tickets DROP COLUMN ticket_type",
    "ALTER TABLE order_lines DROP COLUMN ticket_type",
    "ALTER TABLE price_versions DROP COLUMN type_prices",
)


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)
    for table in _KEPT:
        keep_trail_of(table)


def downgrade() -> None:
    """Take it back."""
    for table in _KEPT:
        forget_trail_of(table)
    for statement in _DOWNGRADE:
        op.execute(statement)
