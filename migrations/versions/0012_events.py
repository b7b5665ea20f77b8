"""Events, and the performers who give them.

Revision ID: 0012
Revises: 0011
"""

from typing import Final

from alembic import op

from migrations.protecting import protect
from migrations.trail import forget_trail_of, keep_trail_of

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES: Final = (
    """
    CREATE TABLE performers (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        name TEXT NOT NULL,
        description TEXT NOT NULL DEFAULT '',
        pictures JSONB NOT NULL DEFAULT '[]',
        links JSONB NOT NULL DEFAULT '[]',
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        archived_at TIMESTAMPTZ,
        UNIQUE (id, reseller_id)
    )
    """,
    "CREATE INDEX performers_reseller_id_idx ON performers (reseller_id)",
    """
    CREATE TABLE events (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        name TEXT NOT NULL,
        description TEXT NOT NULL DEFAULT '',
        type TEXT NOT NULL,
        pictures JSONB NOT NULL DEFAULT '[]',
        age_min INTEGER,
        languages TEXT[] NOT NULL DEFAULT '{}',
        visibility TEXT NOT NULL DEFAULT 'public',
        public_from TIMESTAMPTZ,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        archived_at TIMESTAMPTZ,
        UNIQUE (id, reseller_id),
        CONSTRAINT events_visibility_check CHECK (visibility IN ('public', 'hidden'))
    )
    """,
    "CREATE INDEX events_reseller_id_idx ON events (reseller_id)",
    """
    CREATE TABLE event_performers (
        event_id BIGINT NOT NULL,
        billing_no INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        performer_id BIGINT NOT NULL,
        PRIMARY KEY (event_id, billing_no),
        UNIQUE (event_id, performer_id),
        FOREIGN KEY (event_id, reseller_id) REFERENCES events (id, reseller_id),
        FOREIGN KEY (performer_id, reseller_id) REFERENCES performers (id, reseller_id)
    )
    """,
    "CREATE INDEX event_performers_performer_id_idx ON event_performers (performer_id)",
)
_KEPT: Final = ("performers", "events", "event_performers")


def upgrade() -> None:
    """Make them. Who performs at an event is told anew as a whole, so rows of it go, too."""
    for statement in _TABLES:
        op.execute(statement)
    for table in _KEPT:
        may = "SELECT, INSERT, " + ("DELETE" if table == "event_performers" else "UPDATE")
        for statement in protect(table, app=may):
            op.execute(statement)
        keep_trail_of(table, noise=[] if table == "event_performers" else ["changed_at"])


def downgrade() -> None:
    """Drop them."""
    for table in _KEPT:
        forget_trail_of(table)
    op.execute("DROP TABLE event_performers, events, performers")
