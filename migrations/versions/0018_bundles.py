"""Purchases over several shows, all or nothing.

Revision ID: 0018
Revises: 0017
"""

from typing import Final

from alembic import op

from migrations.protecting import protect

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_MOVES: Final = (
    "state, reason, lease_until, expires_at, purchase_key_hash, purchase_fp, payment_reference,"
    " committing_at, decided_at, ended_at"
)
_UPGRADE: Final = (
    """
    CREATE TABLE bundles (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        body_fp BIGINT NOT NULL,
        currency CHAR(3) NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        lease_until TIMESTAMPTZ NOT NULL DEFAULT now(),
        expires_at TIMESTAMPTZ,
        purchase_key_hash BYTEA,
        purchase_fp BIGINT,
        payment_reference TEXT,
        committing_at TIMESTAMPTZ,
        decided_at TIMESTAMPTZ,
        ended_at TIMESTAMPTZ,
        CONSTRAINT bundles_id_reseller_id_key UNIQUE (id, reseller_id),
        FOREIGN KEY (reseller_id) REFERENCES resellers (id),
        CONSTRAINT bundles_state_check CHECK (state IN
            ('holding', 'held', 'committing', 'purchasing', 'purchased', 'releasing', 'released',
             'failing', 'failed')),
        CONSTRAINT bundles_ended_check CHECK
            ((ended_at IS NOT NULL) = (state IN ('purchased', 'released', 'failed'))),
        CONSTRAINT bundles_intent_check CHECK
            ((purchase_key_hash IS NULL) = (committing_at IS NULL))
    )
    """,
    "CREATE INDEX bundles_reseller_id_idx ON bundles (reseller_id)",
    "CREATE INDEX bundles_lease_until_idx ON bundles (lease_until) WHERE ended_at IS NULL",
    """
    CREATE TABLE bundle_shows (
        bundle_id BIGINT NOT NULL,
        show_no INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        show_id BIGINT NOT NULL,
        hold_id BYTEA NOT NULL,
        refused TEXT,
        PRIMARY KEY (bundle_id, show_no),
        CONSTRAINT bundle_shows_bundle_id_show_id_key UNIQUE (bundle_id, show_id),
        FOREIGN KEY (bundle_id, reseller_id) REFERENCES bundles (id, reseller_id),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT bundle_shows_hold_id_check CHECK (octet_length(hold_id) = 16),
        CONSTRAINT bundle_shows_show_no_check CHECK (show_no BETWEEN 1 AND 20)
    )
    """,
    "CREATE INDEX bundle_shows_show_id_idx ON bundle_shows (show_id)",
    *protect(
        "bundles",
        app=f"SELECT, INSERT, UPDATE ({_MOVES})",
        recorder=f"SELECT, UPDATE ({_MOVES})",
    ),
    *protect(
        "bundle_shows",
        app="SELECT, INSERT, UPDATE (refused)",
        recorder="SELECT, UPDATE (refused)",
    ),
)
_DOWNGRADE: Final = ("DROP TABLE bundle_shows", "DROP TABLE bundles")


def upgrade() -> None:
    """Make it."""
    for statement in _UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take it back."""
    for statement in _DOWNGRADE:
        op.execute(statement)
