"""The life of a show: of which event, set up from what, seen by whom, and in which state.

Revision ID: 0013
Revises: 0012
"""

from typing import Final

from alembic import op

from migrations.protecting import protect
from migrations.trail import forget_trail_of, keep_trail_of

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
        ADD COLUMN opens_when_first_sells_out BOOLEAN NOT NULL DEFAULT false,
        ADD COLUMN archive_from TIMESTAMPTZ,
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
        ADD CONSTRAINT shows_times_check CHECK (hold_ttl_s > 0 AND duration_min > 0),
        ADD CONSTRAINT shows_follows_check
            CHECK (NOT opens_when_first_sells_out OR follows_show_id IS NOT NULL)
    """,
    "CREATE INDEX shows_event_id_idx ON shows (event_id)",
    "CREATE INDEX shows_configuration_id_starts_at_idx ON shows (configuration_id, starts_at)",
    # What workers look at each second: not all shows that ever were.
    "CREATE INDEX shows_starts_at_idx ON shows (starts_at) WHERE archived_at IS NULL",
    "CREATE INDEX shows_archive_from_idx ON shows (archive_from) WHERE archived_at IS NULL",
    """
    CREATE INDEX shows_ending_idx ON shows (starts_at)
        WHERE archived_at IS NOT NULL AND state IN ('off_sale', 'rescheduled')
    """,
    "CREATE INDEX shows_following_idx ON shows (follows_show_id) WHERE opens_when_first_sells_out",
)
_CHOICES: Final = (
    """
    CREATE TABLE show_changes (
        show_id BIGINT NOT NULL,
        change_no INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        kind TEXT NOT NULL,
        offered TEXT[] NOT NULL,
        default_choice TEXT NOT NULL,
        choose_by TIMESTAMPTZ NOT NULL,
        starts_at_before TIMESTAMPTZ NOT NULL,
        starts_at TIMESTAMPTZ,
        new_show_id BIGINT,
        note TEXT NOT NULL DEFAULT '',
        sold_until TIMESTAMPTZ NOT NULL,
        decided_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        settled_at TIMESTAMPTZ,
        PRIMARY KEY (show_id, change_no),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        FOREIGN KEY (new_show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT show_changes_kind_check CHECK (kind IN ('rescheduled', 'cancelled')),
        CONSTRAINT show_changes_offered_check CHECK (
            offered <@ '{keep,refund,credit,voucher}' AND default_choice = ANY(offered))
    )
    """,
    "CREATE INDEX show_changes_choose_by_idx ON show_changes (choose_by) WHERE settled_at IS NULL",
    """
    CREATE TABLE order_choices (
        show_id BIGINT NOT NULL,
        change_no INTEGER NOT NULL,
        order_id UUID NOT NULL REFERENCES orders,
        reseller_id BIGINT NOT NULL,
        choice TEXT,
        is_default BOOLEAN NOT NULL DEFAULT false,
        chosen_at TIMESTAMPTZ,
        PRIMARY KEY (show_id, change_no, order_id),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        FOREIGN KEY (show_id, change_no) REFERENCES show_changes,
        CONSTRAINT order_choices_choice_check CHECK (
            choice IN ('keep', 'refund', 'credit', 'voucher')
            AND (choice IS NULL) = (chosen_at IS NULL))
    )
    """,
    "CREATE INDEX order_choices_order_id_idx ON order_choices (order_id)",
    "ALTER TABLE refund_requests DROP CONSTRAINT refund_requests_reason_check",
    """
    ALTER TABLE refund_requests ADD CONSTRAINT refund_requests_reason_check
    CHECK (reason IN ('conflict', 'stranded', 'returned', 'cancelled', 'rescheduled'))
    """,
)
_RIGHTS: Final = (
    """
    GRANT UPDATE (name, venue, starts_at, opens_at, closes_at, state, max_per_hold, max_per_buyer,
        event_id, doors_at, duration_min, visibility, public_from, hold_ttl_s, payment_methods,
        opens_when_first_sells_out, archive_from, archived_at) ON shows TO onsale_app
    """,
    # Time ends shows, a sold-out first date opens the next, and who does not choose gets the
    # default, which may be a refund: workers do what nobody asks for.
    """
    GRANT UPDATE (inventory_version, state, opens_at, opens_when_first_sells_out, archive_from,
        archived_at, return_no) ON shows TO onsale_recorder
    """,
    "GRANT UPDATE (status) ON orders, tickets TO onsale_recorder",
    "GRANT INSERT ON returns TO onsale_recorder",
    "ALTER POLICY takes_back_only ON orders TO onsale_app, onsale_recorder",
    "ALTER POLICY takes_back_only ON tickets TO onsale_app, onsale_recorder",
)
_WITHDRAWN: Final = (
    "ALTER POLICY takes_back_only ON orders TO onsale_app",
    "ALTER POLICY takes_back_only ON tickets TO onsale_app",
    "REVOKE UPDATE (status) ON orders, tickets FROM onsale_recorder",
    "REVOKE INSERT ON returns FROM onsale_recorder",
    "REVOKE UPDATE (inventory_version, state, return_no) ON shows FROM onsale_recorder",
    "REVOKE UPDATE (opens_at) ON shows FROM onsale_recorder",
    """
    REVOKE UPDATE (name, venue, starts_at, opens_at, closes_at, state, max_per_hold, max_per_buyer)
        ON shows FROM onsale_app
    """,
    "DROP TABLE order_choices, show_changes",
    # What is owed stays so, in the word that there was before.
    "UPDATE refund_requests SET reason = 'returned' WHERE reason IN ('cancelled', 'rescheduled')",
    "ALTER TABLE refund_requests DROP CONSTRAINT refund_requests_reason_check",
    """
    ALTER TABLE refund_requests ADD CONSTRAINT refund_requests_reason_check
    CHECK (reason IN ('conflict', 'stranded', 'returned'))
    """,
)
_DOWNGRADE: Final = (
    """
    ALTER TABLE shows
        DROP COLUMN event_id, DROP COLUMN configuration_id, DROP COLUMN configuration_version,
        DROP COLUMN doors_at, DROP COLUMN duration_min, DROP COLUMN visibility,
        DROP COLUMN public_from, DROP COLUMN hold_ttl_s, DROP COLUMN payment_methods,
        DROP COLUMN follows_show_id, DROP COLUMN opens_when_first_sells_out,
        DROP COLUMN archive_from, DROP COLUMN archived_at, DROP CONSTRAINT shows_state_check
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
    for statement in (*_UPGRADE, *_CHOICES):
        op.execute(statement)
    for table, may in (
        ("show_changes", "SELECT, INSERT"),
        ("order_choices", "SELECT, INSERT, UPDATE (choice, is_default, chosen_at)"),
    ):
        settles = "settled_at" if table == "show_changes" else "choice, is_default, chosen_at"
        by_workers = f"SELECT, UPDATE ({settles})" + (
            ", INSERT" if table == "order_choices" else ""
        )
        for statement in protect(table, app=may, recorder=by_workers):
            op.execute(statement)
    for statement in _RIGHTS:
        op.execute(statement)
    keep_trail_of("show_changes", noise=["settled_at"])


def downgrade() -> None:
    """Take it back."""
    forget_trail_of("show_changes")
    for statement in (*_WITHDRAWN, *_DOWNGRADE):
        op.execute(statement)
