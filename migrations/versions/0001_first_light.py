"""First light: resellers, shows, orders, the journal, and who may do what.

Revision ID: 0001
Revises:
"""

from typing import Final

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES: Final = (
    """
    CREATE TABLE resellers (
        id BIGINT PRIMARY KEY,
        name TEXT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE api_keys (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        name TEXT NOT NULL,
        key_hash BYTEA NOT NULL UNIQUE,
        prefix TEXT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        revoked_at TIMESTAMPTZ,
        last_used_at TIMESTAMPTZ
    )
    """,
    """
    CREATE TABLE fee_schedules (
        version INTEGER PRIMARY KEY,
        fee_bps INTEGER NOT NULL,
        fee_fixed BIGINT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE manifests (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        name TEXT NOT NULL,
        plan JSONB NOT NULL,
        seat_count INTEGER NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        UNIQUE (id, reseller_id)
    )
    """,
    """
    CREATE TABLE shows (
        id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        manifest_id BIGINT NOT NULL,
        name TEXT NOT NULL,
        venue TEXT NOT NULL,
        starts_at TIMESTAMPTZ NOT NULL,
        opens_at TIMESTAMPTZ NOT NULL,
        closes_at TIMESTAMPTZ,
        state TEXT NOT NULL,
        currency CHAR(3) NOT NULL,
        tax_bps INTEGER NOT NULL,
        fee_schedule_version INTEGER NOT NULL REFERENCES fee_schedules,
        max_per_buyer INTEGER NOT NULL,
        max_per_hold INTEGER NOT NULL,
        epoch BIGINT NOT NULL DEFAULT 0,
        inventory_version BIGINT NOT NULL DEFAULT 1,
        price_version INTEGER NOT NULL DEFAULT 1,
        return_no BIGINT NOT NULL DEFAULT 0,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        UNIQUE (id, reseller_id),
        FOREIGN KEY (manifest_id, reseller_id) REFERENCES manifests (id, reseller_id),
        CONSTRAINT shows_state_check CHECK (state IN ('draft', 'on_sale', 'closed')),
        CONSTRAINT shows_tax_bps_check CHECK (tax_bps BETWEEN 0 AND 10000),
        CONSTRAINT shows_limits_check CHECK (max_per_buyer > 0 AND max_per_hold > 0)
    )
    """,
    """
    CREATE TABLE price_versions (
        show_id BIGINT NOT NULL,
        version INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        prices JSONB NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (show_id, version),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id)
    )
    """,
    """
    CREATE TABLE seat_blocks (
        show_id BIGINT NOT NULL,
        reseller_id BIGINT NOT NULL,
        seat_index INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (show_id, seat_index),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id)
    )
    """,
    """
    CREATE TABLE area_blocks (
        show_id BIGINT NOT NULL,
        reseller_id BIGINT NOT NULL,
        area_index INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (show_id, area_index),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT area_blocks_count_check CHECK (count > 0)
    )
    """,
    """
    CREATE TABLE orders (
        id UUID PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        show_id BIGINT NOT NULL,
        buyer TEXT NOT NULL,
        status TEXT NOT NULL,
        currency CHAR(3) NOT NULL,
        face_value BIGINT NOT NULL,
        fee BIGINT NOT NULL,
        tax BIGINT NOT NULL,
        discount BIGINT NOT NULL,
        total BIGINT NOT NULL,
        payment_reference TEXT NOT NULL,
        purchase_key TEXT NOT NULL,
        body_fp BIGINT NOT NULL,
        hold_fp BIGINT NOT NULL,
        price_version INTEGER NOT NULL,
        epoch BIGINT NOT NULL,
        position BIGINT NOT NULL,
        sold_at TIMESTAMPTZ NOT NULL,
        recorded_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT orders_status_check CHECK (status IN ('confirmed', 'conflict', 'refunded')),
        CONSTRAINT orders_total_check CHECK (total = face_value + fee + tax - discount)
    )
    """,
    """
    CREATE TABLE order_lines (
        order_id UUID NOT NULL REFERENCES orders,
        line_no INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        show_id BIGINT NOT NULL,
        price_level TEXT NOT NULL,
        area_index INTEGER,
        quantity INTEGER NOT NULL,
        unit_face_value BIGINT NOT NULL,
        unit_fee BIGINT NOT NULL,
        unit_tax BIGINT NOT NULL,
        unit_discount BIGINT NOT NULL,
        total BIGINT NOT NULL,
        PRIMARY KEY (order_id, line_no),
        CONSTRAINT order_lines_quantity_check CHECK (quantity > 0),
        CONSTRAINT order_lines_total_check CHECK (
            total = quantity * (unit_face_value + unit_fee + unit_tax - unit_discount)
        )
    )
    """,
    """
    CREATE TABLE tickets (
        id UUID PRIMARY KEY,
        order_id UUID NOT NULL REFERENCES orders,
        reseller_id BIGINT NOT NULL,
        show_id BIGINT NOT NULL,
        line_no INTEGER NOT NULL,
        seat_index INTEGER,
        area_index INTEGER,
        label TEXT NOT NULL,
        status TEXT NOT NULL,
        CONSTRAINT tickets_status_check CHECK (status IN ('active', 'cancelled')),
        CONSTRAINT tickets_place_check CHECK (num_nonnulls(seat_index, area_index) = 1)
    )
    """,
    """
    CREATE TABLE area_sales (
        show_id BIGINT NOT NULL,
        reseller_id BIGINT NOT NULL,
        area_index INTEGER NOT NULL,
        capacity INTEGER NOT NULL,
        sold INTEGER NOT NULL,
        PRIMARY KEY (show_id, area_index),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id),
        CONSTRAINT area_sales_sold_check CHECK (sold BETWEEN 0 AND capacity)
    )
    """,
    """
    CREATE TABLE conflicts (
        order_id UUID NOT NULL REFERENCES orders,
        conflict_no INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        show_id BIGINT NOT NULL,
        seat_index INTEGER,
        area_index INTEGER,
        owner_order_id UUID,
        found_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (order_id, conflict_no)
    )
    """,
    """
    CREATE TABLE stranded_facts (
        show_id BIGINT NOT NULL,
        reseller_id BIGINT NOT NULL,
        stream_epoch BIGINT NOT NULL,
        stream_seq BIGINT NOT NULL,
        fact BYTEA NOT NULL,
        hold_id UUID,
        reason TEXT NOT NULL,
        found_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (show_id, stream_epoch, stream_seq),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id)
    )
    """,
    """
    CREATE TABLE recorder_positions (
        show_id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        epoch BIGINT NOT NULL,
        seq BIGINT NOT NULL,
        updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id)
    )
    """,
    """
    CREATE TABLE recoveries (
        id BIGINT PRIMARY KEY,
        show_id BIGINT NOT NULL,
        reseller_id BIGINT NOT NULL,
        epoch BIGINT NOT NULL,
        reason TEXT NOT NULL,
        facts_drained INTEGER NOT NULL,
        holds_kept INTEGER NOT NULL,
        holds_voided INTEGER NOT NULL,
        took_ms INTEGER NOT NULL,
        at TIMESTAMPTZ NOT NULL DEFAULT now(),
        FOREIGN KEY (show_id, reseller_id) REFERENCES shows (id, reseller_id)
    )
    """,
    """
    CREATE TABLE journal_entries (
        id UUID PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        show_id BIGINT NOT NULL,
        order_id UUID NOT NULL REFERENCES orders,
        kind TEXT NOT NULL,
        occurred_at TIMESTAMPTZ NOT NULL
    )
    """,
    """
    CREATE TABLE postings (
        entry_id UUID NOT NULL REFERENCES journal_entries,
        posting_no INTEGER NOT NULL,
        reseller_id BIGINT NOT NULL,
        account TEXT NOT NULL,
        currency CHAR(3) NOT NULL,
        amount BIGINT NOT NULL,
        PRIMARY KEY (entry_id, posting_no),
        CONSTRAINT postings_amount_check CHECK (amount <> 0)
    )
    """,
    """
    CREATE TABLE idempotency_keys (
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        scope TEXT NOT NULL,
        key_hash BYTEA NOT NULL,
        fingerprint BYTEA NOT NULL,
        status INTEGER,
        body BYTEA,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (reseller_id, scope, key_hash),
        CONSTRAINT idempotency_keys_answer_check CHECK ((status IS NULL) = (body IS NULL))
    )
    """,
)

_INDEXES: Final = (
    "CREATE INDEX ON api_keys (reseller_id)",
    "CREATE INDEX ON manifests (reseller_id)",
    "CREATE INDEX ON shows (reseller_id)",
    "CREATE INDEX ON orders (show_id, epoch, position)",
    "CREATE INDEX ON tickets (order_id)",
    """
    CREATE UNIQUE INDEX tickets_one_owner_per_seat ON tickets (show_id, seat_index)
    WHERE status = 'active' AND seat_index IS NOT NULL
    """,
    "CREATE INDEX ON conflicts (show_id, found_at)",
    "CREATE INDEX ON stranded_facts (hold_id)",
    "CREATE INDEX ON recoveries (show_id, epoch)",
    "CREATE INDEX ON journal_entries (order_id)",
    "CREATE INDEX ON idempotency_keys (created_at)",
)

# The books: an entry that does not sum to zero per currency is refused with its whole statement,
# and what is posted stays posted. A correction is a further entry.
_JOURNAL: Final = (
    """
    CREATE FUNCTION refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        unbalanced RECORD;
    BEGIN
        SELECT entry_id, currency, sum(amount) AS amount INTO unbalanced
        FROM posted GROUP BY entry_id, currency HAVING sum(amount) <> 0 LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'journal entry % sums to % %, not to zero',
                unbalanced.entry_id, unbalanced.amount, unbalanced.currency
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER balanced AFTER INSERT ON postings
    REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_entries()
    """,
    """
    CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only: post a further entry', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()
    """,
)

_TENANT_TABLES: Final = (
    "api_keys",
    "manifests",
    "shows",
    "price_versions",
    "seat_blocks",
    "area_blocks",
    "orders",
    "order_lines",
    "tickets",
    "area_sales",
    "conflicts",
    "stranded_facts",
    "recorder_positions",
    "recoveries",
    "journal_entries",
    "postings",
    "idempotency_keys",
)

# Outside a transaction that set it, the setting reads '' once it has been set: NULLIF.
_TENANT: Final = "NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"

_WRITES: Final = (
    # What a reseller does through the API: the catalogue and the house's decisions, no sales.
    "GRANT INSERT ON manifests, price_versions TO onsale_app",
    "GRANT INSERT, UPDATE ON api_keys TO onsale_app",
    "GRANT INSERT, UPDATE (inventory_version) ON shows TO onsale_app",
    "GRANT INSERT, UPDATE, DELETE ON seat_blocks, area_blocks, idempotency_keys TO onsale_app",
    # What the workers do: record sales, move epochs. Sales are only ever added.
    """
    GRANT INSERT ON orders, order_lines, tickets, conflicts, stranded_facts, recoveries,
        journal_entries, postings TO onsale_recorder
    """,
    "GRANT INSERT, UPDATE ON area_sales, recorder_positions TO onsale_recorder",
    "GRANT UPDATE (epoch) ON shows TO onsale_recorder",
    "GRANT DELETE ON idempotency_keys TO onsale_recorder",  # once they are too old to matter
)


def upgrade() -> None:
    """Make the tables, the triggers of the journal, the policies and the grants."""
    for statement in (*_TABLES, *_INDEXES, *_JOURNAL):
        op.execute(statement)
    for table in _TENANT_TABLES:
        _separate(table, "reseller_id")
    _separate("resellers", "id")
    op.execute(
        "CREATE POLICY key_holder ON api_keys FOR SELECT TO onsale_app"
        " USING (encode(key_hash, 'hex') = current_setting('onsale.key_hash', true))"
    )
    op.execute("GRANT USAGE ON SCHEMA public TO onsale_app, onsale_recorder, onsale_auditor")
    op.execute(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO onsale_app, onsale_recorder, onsale_auditor"
    )
    for statement in _WRITES:
        op.execute(statement)
    op.execute("INSERT INTO fee_schedules (version, fee_bps, fee_fixed) VALUES (1, 350, 79)")


def _separate(table: str, column: str) -> None:
    tenant = f"{column} = {_TENANT}"
    for statement in (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO onsale_app USING ({tenant}) WITH CHECK ({tenant})",
        f"CREATE POLICY recorder ON {table} TO onsale_recorder USING (true) WITH CHECK (true)",
        f"CREATE POLICY auditor ON {table} FOR SELECT TO onsale_auditor USING (true)",
        f"CREATE POLICY owner ON {table} TO onsale_owner USING (true) WITH CHECK (true)",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything, sales included."""
    tables = ", ".join((*_TENANT_TABLES, "fee_schedules", "resellers"))
    op.execute(f"DROP TABLE {tables} CASCADE")
    op.execute("DROP FUNCTION refuse_unbalanced_entries(), refuse_rewriting()")
