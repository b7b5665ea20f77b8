"""Venues, and the dated, versioned ways to set them up.

Revision ID: 0011
Revises: 0010
"""

from typing import Final

from alembic import op

from migrations.protecting import protect
from migrations.trail import forget_trail_of, keep_trail_of

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLES: Final = (
    """
    CREATE TABLE venues (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        name TEXT NOT NULL,
        address JSONB NOT NULL,
        city TEXT NOT NULL,
        country CHAR(2) NOT NULL,
        latitude DOUBLE PRECISION,
        longitude DOUBLE PRECISION,
        time_zone TEXT NOT NULL,
        contacts JSONB NOT NULL DEFAULT '[]',
        accessibility TEXT NOT NULL DEFAULT '',
        pictures JSONB NOT NULL DEFAULT '[]',
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        archived_at TIMESTAMPTZ,
        UNIQUE (id, reseller_id),
        CONSTRAINT venues_coordinates_check CHECK ((latitude IS NULL) = (longitude IS NULL))
    )
    """,
    "CREATE INDEX venues_reseller_id_idx ON venues (reseller_id)",
    """
    CREATE TABLE configurations (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        venue_id BIGINT NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL DEFAULT '',
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        archived_at TIMESTAMPTZ,
        UNIQUE (id, reseller_id),
        FOREIGN KEY (venue_id, reseller_id) REFERENCES venues (id, reseller_id)
    )
    """,
    "CREATE INDEX configurations_venue_id_idx ON configurations (venue_id)",
    """
    CREATE TABLE configuration_versions (
        configuration_id BIGINT NOT NULL,
        version INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        manifest_id BIGINT NOT NULL,
        valid_from DATE NOT NULL,
        capacity INTEGER NOT NULL,
        categories JSONB NOT NULL DEFAULT '[]',
        note TEXT NOT NULL DEFAULT '',
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (configuration_id, version),
        UNIQUE (configuration_id, version, reseller_id),
        CONSTRAINT configuration_versions_numbers_check CHECK (version > 0 AND capacity > 0),
        FOREIGN KEY (configuration_id, reseller_id) REFERENCES configurations (id, reseller_id),
        FOREIGN KEY (manifest_id, reseller_id) REFERENCES manifests (id, reseller_id)
    )
    """,
)
_KEPT: Final = ("venues", "configurations", "configuration_versions")


def upgrade() -> None:
    """Make them. A version never changes: nobody may update one."""
    for statement in _TABLES:
        op.execute(statement)
    for table in _KEPT:
        may = "SELECT, INSERT" if table == "configuration_versions" else "SELECT, INSERT, UPDATE"
        for statement in protect(table, app=may):
            op.execute(statement)
        keep_trail_of(table, noise=["changed_at"])


def downgrade() -> None:
    """Drop them."""
    for table in _KEPT:
        forget_trail_of(table)
    op.execute("DROP TABLE configuration_versions, configurations, venues")
