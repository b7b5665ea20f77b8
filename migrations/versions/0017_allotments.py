"""Places that are for the holders of a right, for a time.

Revision ID: 0017
Revises: 0016
"""

from typing import Final

from alembic import op

from migrations.protecting import protect
from migrations.trail import forget_trail_of, keep_trail_of

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_UPGRADE: Final = (
    """
    CREATE TABLE allotments (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        show_id BIGINT NOT NULL,
        allotment_no INTEGER NOT NULL,
        name TEXT NOT NULL,
        asked JSONB NOT NULL,
        seats JSONB NOT NULL,
        shares JSONB NOT NULL,
        code_digests BYTEA[] NOT NULL,
        channels TEXT[] NOT NULL,
        is_personal BOOLEAN NOT NULL,
        begins_at TIMESTAMPTZ,
        ends_at TIMESTAMPTZ,
        inventory_version BIGINT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        ended_at TIMESTAMPTZ,
        ended_by TEXT,
        places_left INTEGER NOT NULL,
        UNIQUE (show_id, allotment_no),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT allotments_number_check CHECK (allotment_no > 0),
        CONSTRAINT allotments_times_check CHECK (begins_at < ends_at),
        CONSTRAINT allotments_ended_check CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
        CONSTRAINT allotments_ended_by_check CHECK (ended_by IN ('request', 'time'))
    )
    """,
    "CREATE INDEX allotments_living_idx ON allotments (show_id) WHERE ended_at IS NULL",
    """
    CREATE INDEX allotments_due_idx ON allotments (ends_at)
        WHERE ended_at IS NULL AND ends_at IS NOT NULL
    """,
    """
    CREATE INDEX allotments_left_idx ON allotments (show_id)
        WHERE ended_at IS NOT NULL AND places_left > 0
    """,
    *protect(
        "allotments",
        app="SELECT, INSERT, UPDATE (ended_at, ended_by, places_left)",
        recorder="SELECT, UPDATE (ended_at, ended_by, places_left)",
    ),
    # One that came to its end by itself may have places in areas, whose capacities are an edit's.
    "GRANT INSERT ON show_edits TO onsale_recorder",
)
_DOWNGRADE: Final = (
    "REVOKE INSERT ON show_edits FROM onsale_recorder",
    "DROP TABLE allotments",
)


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)
    keep_trail_of("allotments", noise=("places_left",), withheld=("seats",))


def downgrade() -> None:
    """Take it back."""
    forget_trail_of("allotments")
    for statement in _DOWNGRADE:
        op.execute(statement)
