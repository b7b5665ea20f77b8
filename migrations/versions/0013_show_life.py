"""The life of a show: of which event, set up from what, seen by whom, and in which state.

Revision ID: 0013
Revises: 0012
"""

from typing import Final

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_STATES: Final = (
    "state IN ('draft', 'announced', 'on_sale', 'paused', 'off_sale', 'rescheduled',"
    " 'cancelled', 'past')"
)
_UPGRADE: Final = (
    """
    ALTER TABLE shows
        ADD COLUMN event_id BIGINT,
        ADD COLUMN configuration_id BIGINT,
        ADD COLUMN configuration_version INTEGER,
        ADD COLUMN doors_at TIMESTAMPTZ,
        ADD COLUMN duration_min INTEGER,
        ADD COLUMN visibility TEXT NOT NULL DEFAULT 'public',
        ADD COLUMN public_from TIMESTAMPTZ,
        ADD COLUMN hold_ttl_s INTEGER NOT NULL DEFAULT 600,
        ADD COLUMN payment_methods TEXT[] NOT NULL DEFAULT '{card}',
        ADD COLUMN follows_show_id BIGINT,
        ADD COLUMN archived_at TIMESTAMPTZ,
        ADD FOREIGN KEY (event_id, reseller_id) REFERENCES events (id, reseller_id),
        ADD FOREIGN KEY (configuration_id, configuration_version, reseller_id)
            REFERENCES configuration_versions (configuration_id, version, reseller_id),
        ADD FOREIGN KEY (follows_show_id, reseller_id) REFERENCES shows (id, reseller_id),
        DROP CONSTRAINT shows_state_check
    """,
    "UPDATE shows SET state = 'off_sale' WHERE state = 'closed'",
    f"ALTER TABLE shows ADD CONSTRAINT shows_state_check CHECK ({_STATES})",
    """
    ALTER TABLE shows
        ADD CONSTRAINT shows_visibility_check CHECK (visibility IN ('public', 'hidden')),
        ADD CONSTRAINT shows_configuration_check
            CHECK ((configuration_id IS NULL) = (configuration_version IS NULL)),
        ADD CONSTRAINT shows_times_check CHECK (hold_ttl_s > 0 AND duration_min > 0)
    """,
    "CREATE INDEX shows_event_id_idx ON shows (event_id)",
    "CREATE INDEX shows_configuration_id_starts_at_idx ON shows (configuration_id, starts_at)",
)
_DOWNGRADE: Final = (
    """
    ALTER TABLE shows
        DROP COLUMN event_id, DROP COLUMN configuration_id, DROP COLUMN configuration_version,
        DROP COLUMN doors_at, DROP COLUMN duration_min, DROP COLUMN visibility,
        DROP COLUMN public_from, DROP COLUMN hold_ttl_s, DROP COLUMN payment_methods,
        DROP COLUMN follows_show_id, DROP COLUMN archived_at, DROP CONSTRAINT shows_state_check
    """,
    # What is neither before its sale nor on sale had one word.
    "UPDATE shows SET state = 'closed' WHERE state NOT IN ('draft', 'announced', 'on_sale')",
    "UPDATE shows SET state = 'draft' WHERE state = 'announced'",
    """
    ALTER TABLE shows
        ADD CONSTRAINT shows_state_check CHECK (state IN ('draft', 'on_sale', 'closed'))
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
