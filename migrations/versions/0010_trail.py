"""Buyers, and the audit trail: every change, by whom and from where, chained by hashes.

Revision ID: 0010
Revises: 0009
"""

from typing import Any, Final

from alembic import op

from migrations.trail import forget_trail_of, keep_trail_of

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES: Final = (
    """
    CREATE TABLE trail_entries (
        reseller_id BIGINT NOT NULL,
        no BIGINT NOT NULL,
        at TIMESTAMPTZ NOT NULL,
        actor TEXT NOT NULL,
        address TEXT NOT NULL,
        action TEXT NOT NULL,
        object_table TEXT NOT NULL,
        object_key TEXT NOT NULL,
        before JSONB,
        after JSONB,
        previous_hash BYTEA NOT NULL,
        hash BYTEA NOT NULL,
        PRIMARY KEY (reseller_id, no),
        CONSTRAINT trail_entries_action_check CHECK (action IN ('created', 'changed', 'removed'))
    )
    """,
    "CREATE INDEX ON trail_entries (reseller_id, object_key, no)",
    """
    CREATE TABLE trail_heads (
        reseller_id BIGINT PRIMARY KEY,
        no BIGINT NOT NULL,
        hash BYTEA NOT NULL
    )
    """,
    """
    CREATE TABLE trail_drafts (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        chain BIGINT NOT NULL,
        action TEXT NOT NULL,
        object_table TEXT NOT NULL,
        object_key TEXT NOT NULL,
        before JSONB,
        after JSONB
    )
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trail_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()
    """,
    "REVOKE UPDATE, DELETE, TRUNCATE ON trail_entries FROM onsale_owner",
    """
    GRANT SELECT ON trail_entries, trail_heads TO onsale_app, onsale_recorder, onsale_auditor
    """,
)

# RFC 8785 for what stands in entries: numbers that are no whole ones, or too large for a double,
# are written as texts, so that every reader has the same.
_TEXTS: Final = (
    r"""
    CREATE FUNCTION canonical_json(given JSONB) RETURNS TEXT
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    BEGIN
        RETURN CASE jsonb_typeof(given)
            WHEN 'object' THEN '{' || coalesce((
                SELECT string_agg(to_jsonb(key)::text || ':' || canonical_json(value), ','
                    ORDER BY key COLLATE "C")
                FROM jsonb_each(given)), '') || '}'
            WHEN 'array' THEN '[' || coalesce((
                SELECT string_agg(canonical_json(value), ',' ORDER BY place)
                FROM jsonb_array_elements(given) WITH ORDINALITY AS part(value, place)), '') || ']'
            WHEN 'number' THEN CASE
                WHEN given::numeric = trunc(given::numeric)
                    AND abs(given::numeric) < 9007199254740992
                THEN trunc(given::numeric)::text
                ELSE '"' || given::text || '"' END
            WHEN 'string' THEN given::text
            WHEN 'boolean' THEN given::text
            ELSE 'null'
        END;
    END $$
    """,
    # 0, 1, 2, 7 as 0-2,7.
    """
    CREATE FUNCTION tell_ranges(given BIGINT[]) RETURNS TEXT
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT string_agg(
            CASE WHEN low = high THEN low::text ELSE low || '-' || high END, ',' ORDER BY low)
        FROM (
            SELECT min(one) AS low, max(one) AS high
            FROM (SELECT one, one - row_number() OVER (ORDER BY one) AS island
                FROM unnest(given) AS each(one)) AS placed
            GROUP BY island) AS ranges
    $$
    """,
    # A value as entries show it. Ids are hexadecimal, as they are outside.
    r"""
    CREATE FUNCTION trail_value(name TEXT, value JSONB) RETURNS JSONB
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE
            WHEN name ~ '(^|_)id$|^(sandbox_of|replaced_by|acts_for)$'
                AND jsonb_typeof(value) = 'number'
            THEN to_jsonb(lpad(to_hex(value::bigint), 16, '0'))
            ELSE value END
    $$
    """,
    r"""
    CREATE FUNCTION trail_key(given JSONB, keys TEXT[]) RETURNS TEXT
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT string_agg(
            regexp_replace(trail_value(name, given -> name) #>> '{}', '^\\x', ''), '/'
            ORDER BY place)
        FROM unnest(keys) WITH ORDINALITY AS key(name, place)
    $$
    """,
    """
    CREATE FUNCTION trail_columns(
        given JSONB, other JSONB, hidden TEXT[], digested TEXT[], withheld TEXT[]
    ) RETURNS JSONB
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT jsonb_object_agg(key, CASE
            WHEN value = 'null' THEN value
            WHEN key = ANY(withheld) THEN '"withheld"'
            WHEN key = ANY(digested) THEN to_jsonb(
                'sha256:' || encode(sha256(convert_to(value #>> '{}', 'UTF8')), 'hex'))
            ELSE trail_value(key, value) END)
        FROM jsonb_each(given)
        WHERE NOT key = ANY(hidden) AND (other IS NULL OR value IS DISTINCT FROM other -> key)
    $$
    """,
)

# Arguments: the reseller's column, the key's, those of noise, of digests, the withheld, the listed.
# The entry itself is made when the transaction commits: so the lock of the chain's head comes after
# every other, is held for no call in between, and nobody waits in a ring.
_NOTE: Final = r"""
CREATE FUNCTION note_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    of_reseller CONSTANT TEXT := TG_ARGV[0];
    keys CONSTANT TEXT[] := string_to_array(TG_ARGV[1], ',');
    listed CONSTANT TEXT := TG_ARGV[5];
    of_row CONSTANT TEXT[] := keys || of_reseller || string_to_array(listed, ',');
    hidden TEXT[] :=
        keys || string_to_array(TG_ARGV[2], ',') || ARRAY[of_reseller, listed];
    digested CONSTANT TEXT[] := string_to_array(TG_ARGV[3], ',');
    withheld CONSTANT TEXT[] := string_to_array(TG_ARGV[4], ',');
    rows_before JSONB[];
    rows_after JSONB[];
BEGIN
    -- The same texts under another key: `./onsale reseal`, which is the owner.
    IF current_setting('onsale.resealing', true) = 'on'
        AND current_setting('role', true) = 'onsale_owner' THEN
        hidden := hidden || ARRAY(
            SELECT name FROM unnest(digested) AS each(name) WHERE name LIKE '%\_sealed');
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(NULL::jsonb), array_agg(to_jsonb(n)) INTO rows_before, rows_after
        FROM new_rows AS n;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(to_jsonb(o)), array_agg(NULL::jsonb) INTO rows_before, rows_after
        FROM old_rows AS o;
    ELSE
        WITH was AS (
            SELECT trail_key(to_jsonb(o), of_row) AS key, to_jsonb(o) AS whole FROM old_rows AS o
        ), is_now AS (
            SELECT trail_key(to_jsonb(n), of_row) AS key, to_jsonb(n) AS whole FROM new_rows AS n
        )
        SELECT array_agg(was.whole), array_agg(is_now.whole) INTO rows_before, rows_after
        FROM was FULL JOIN is_now USING (key);
    END IF;
    WITH changed AS (
        SELECT coalesce(after, before) AS whole,
            CASE WHEN before IS NULL THEN 'created' WHEN after IS NULL THEN 'removed'
                ELSE 'changed' END AS action,
            trail_columns(before, after, hidden, digested, withheld) AS before,
            trail_columns(after, before, hidden, digested, withheld) AS after
        FROM unnest(rows_before, rows_after) AS both_rows(before, after)
        -- A key that was changed makes two of it.
    ), told AS (
        SELECT (whole ->> of_reseller)::bigint AS chain, action,
            trail_key(whole, keys) AS object_key, before, after,
            CASE WHEN listed = '' THEN NULL ELSE (whole ->> listed)::bigint END AS place,
            CASE WHEN listed = '' THEN whole END AS apart
        FROM changed
        WHERE action <> 'changed' OR before IS NOT NULL OR after IS NOT NULL
    ), grouped AS (
        SELECT chain, action, object_key, before, after, array_agg(place) AS places
        FROM told GROUP BY chain, action, object_key, before, after, apart
    )
    INSERT INTO trail_drafts (chain, action, object_table, object_key, before, after)
    SELECT chain, action, TG_TABLE_NAME, object_key,
        CASE WHEN action = 'created' THEN NULL ELSE coalesce(before, '{}') || places_told END,
        CASE WHEN action = 'removed' THEN NULL ELSE coalesce(after, '{}') || places_told END
    FROM grouped, LATERAL (
        SELECT CASE WHEN listed = '' THEN '{}'::jsonb
            ELSE jsonb_build_object(listed, tell_ranges(places)) END AS places_told) AS ranges
    ORDER BY chain, object_key, action;
    RETURN NULL;
END $$
"""

_APPEND: Final = """
CREATE FUNCTION append_trail() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    draft RECORD;
    chain BIGINT;
    last_no BIGINT;
    last_hash BYTEA;
    moment TIMESTAMPTZ;
    actor CONSTANT TEXT := coalesce(NULLIF(current_setting('onsale.actor', true), ''), 'unknown');
    address CONSTANT TEXT := coalesce(current_setting('onsale.address', true), '');
    content JSONB;
    made BYTEA;
BEGIN
    -- All of the transaction at the first of its drafts, and heads in one order for everybody.
    FOR draft IN
        WITH taken AS (DELETE FROM trail_drafts RETURNING *)
        SELECT * FROM taken ORDER BY taken.chain, taken.id
    LOOP
        IF chain IS DISTINCT FROM draft.chain THEN
            chain := draft.chain;
            SELECT no, hash INTO last_no, last_hash FROM trail_heads
            WHERE reseller_id = chain FOR UPDATE;
            IF NOT FOUND THEN
                INSERT INTO trail_heads VALUES (chain, 0, decode(repeat('00', 32), 'hex'))
                ON CONFLICT (reseller_id) DO UPDATE SET no = trail_heads.no
                RETURNING no, hash INTO last_no, last_hash;
            END IF;
        END IF;
        moment := clock_timestamp();
        content := jsonb_build_object(
            'reseller', lpad(to_hex(chain), 16, '0'), 'no', last_no + 1,
            'at', to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'actor', actor, 'address', address, 'action', draft.action,
            'table', draft.object_table, 'key', draft.object_key,
            'before', canonical_json(draft.before)::jsonb,
            'after', canonical_json(draft.after)::jsonb,
            'previous', encode(last_hash, 'hex'));
        made := sha256(convert_to(canonical_json(content), 'UTF8'));
        INSERT INTO trail_entries VALUES (
            chain, last_no + 1, moment, actor, address, draft.action, draft.object_table,
            draft.object_key, NULLIF(content -> 'before', 'null'),
            NULLIF(content -> 'after', 'null'), last_hash, made);
        last_no := last_no + 1;
        last_hash := made;
        UPDATE trail_heads SET no = last_no, hash = last_hash WHERE reseller_id = chain;
    END LOOP;
    RETURN NULL;
END $$
"""

_WHEN_IT_COMMITS: Final = """
CREATE CONSTRAINT TRIGGER append AFTER INSERT ON trail_drafts
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION append_trail()
"""

# Who may name a trigger's function hangs it on a temporary table of their own, and has it tell of
# what never happened, in anybody's chain. Triggers that are there need no such right.
_OWNERS_ALONE: Final = "REVOKE EXECUTE ON FUNCTION note_change(), append_trail() FROM PUBLIC"

# Outside a transaction that set it, the setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"

_BUYERS: Final = (
    """
    CREATE TABLE buyers (
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        buyer_digest BYTEA NOT NULL,
        buyer_sealed BYTEA NOT NULL,
        name_sealed BYTEA,
        email_sealed BYTEA,
        email_digest BYTEA,
        phone_sealed BYTEA,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (reseller_id, buyer_digest)
    )
    """,
    "CREATE INDEX ON buyers (reseller_id, email_digest)",
    """
    CREATE TABLE buyer_erasures (
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        buyer_digest BYTEA NOT NULL,
        buyer_sealed BYTEA NOT NULL,
        asked_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (reseller_id, buyer_digest)
    )
    """,
    "CREATE INDEX ON orders (reseller_id, buyer)",
    "GRANT SELECT ON buyers, buyer_erasures TO onsale_app, onsale_recorder, onsale_auditor",
    "GRANT INSERT, DELETE ON buyers, buyer_erasures TO onsale_app",
    """
    GRANT UPDATE (name_sealed, email_sealed, email_digest, phone_sealed, changed_at)
    ON buyers TO onsale_app
    """,
    "GRANT DELETE ON buyer_erasures TO onsale_recorder",
    # A sale can't be changed but by a return, and by this: the reference of a buyer who is to be
    # forgotten, in orders of shows that are over, becomes another, which nothing leads to.
    """
    CREATE FUNCTION forget_buyer(given TEXT) RETURNS BIGINT
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        WITH over AS MATERIALIZED (
            SELECT id, 'erased-' || gen_random_uuid() AS pseudonym FROM shows
            WHERE reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint
                AND starts_at < now() - interval '1 day'
                AND id IN (SELECT show_id FROM orders WHERE buyer = given AND reseller_id =
                    NULLIF(current_setting('onsale.reseller_id', true), '')::bigint)
        ), forgotten AS (
            UPDATE orders SET buyer = pseudonym FROM over
            WHERE show_id = over.id AND buyer = given AND reseller_id =
                NULLIF(current_setting('onsale.reseller_id', true), '')::bigint
            RETURNING 1
        )
        SELECT count(*) FROM forgotten
    $$
    """,
    "REVOKE EXECUTE ON FUNCTION forget_buyer(TEXT) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION forget_buyer(TEXT) TO onsale_app, onsale_recorder",
)

_KEPT: Final[dict[str, dict[str, Any]]] = {
    "resellers": {},
    "shows": {"noise": ("epoch", "inventory_version", "return_no")},
    "manifests": {"digested": ("plan",)},
    "price_versions": {},
    "seat_blocks": {"listed": "seat_index"},
    "area_blocks": {},
    "queues": {
        "noise": ("epoch", "numbers_ceiling", "serving_ceiling", "skipped", "version", "changed_at")
    },
    "data_keys": {},
    "api_keys": {"noise": ("last_used_at",)},
    # Sales are told by the journal; what becomes of one afterwards is told here.
    "orders": {"keys": ("show_id", "id"), "events": ("UPDATE",), "withheld": ("buyer",)},
    "accounts": {"noise": ("changed_at",)},
    "users": {"noise": ("totp_step",)},
    "sessions": {},
    "invitations": {},
    "oauth_clients": {},
    "oauth_grants": {},
    "webhook_endpoints": {
        "noise": (
            *("since", "changed_at", "due_at", "rests_until", "leased_until", "lease"),
            *("failures", "failing_since", "delivered_at"),
        )
    },
    "buyers": {"noise": ("changed_at",)},
    "buyer_erasures": {},
}


_TENANT_TABLES: Final = ("trail_entries", "trail_heads", "buyers", "buyer_erasures")


def upgrade() -> None:
    """Make the buyers, the chains, what writes them, and the triggers of what they tell of."""
    for statement in (*_TABLES, *_TEXTS, _NOTE, _APPEND, _WHEN_IT_COMMITS, _OWNERS_ALONE, *_BUYERS):
        op.execute(statement)
    for table in _TENANT_TABLES:
        for statement in (
            (
                f"CREATE POLICY tenant ON {table} TO onsale_app"
                f" USING ({_TENANT}) WITH CHECK ({_TENANT})"
            ),
            f"CREATE POLICY recorder ON {table} TO onsale_recorder USING (true)",
            f"CREATE POLICY auditor ON {table} FOR SELECT TO onsale_auditor USING (true)",
            f"CREATE POLICY owner ON {table} TO onsale_owner USING (true) WITH CHECK (true)",
        ):
            op.execute(statement)
    # Drafts are nobody's to see: the triggers, which are the owner's, put them in and take them.
    op.execute("CREATE POLICY owner ON trail_drafts TO onsale_owner USING (true) WITH CHECK (true)")
    for table in (*_TENANT_TABLES, "trail_drafts"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for table, options in _KEPT.items():
        keep_trail_of(table, **options)


def downgrade() -> None:
    """Drop them: what was done is told nowhere any more."""
    for table in _KEPT:
        forget_trail_of(table)
    op.execute("DROP INDEX orders_reseller_id_buyer_idx")
    op.execute("DROP FUNCTION forget_buyer(text)")
    op.execute("DROP TABLE buyer_erasures, buyers, trail_drafts, trail_heads, trail_entries")
    op.execute(
        "DROP FUNCTION append_trail(), note_change(), trail_key(jsonb, text[]),"
        " trail_columns(jsonb, jsonb, text[], text[], text[]), trail_value(text, jsonb),"
        " tell_ranges(bigint[]), canonical_json(jsonb)"
    )
