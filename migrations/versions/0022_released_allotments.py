"""Allotments that are released to other resellers, and who sold an order.

Revision ID: 0022
Revises: 0021
"""

from typing import Final

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_ME: Final = "NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"
# As the owner, since who asks sees no row of whom they ask about: they tell this and no more.
_DEFINER: Final = "STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp"


def _filled(template: str, **parts: str) -> str:
    for name, part in parts.items():
        template = template.replace(f"{{{name}}}", part)
    return template


_UPGRADE: Final = (
    "ALTER TABLE allotments ADD COLUMN sellers BIGINT[] NOT NULL DEFAULT '{}'",
    "CREATE INDEX allotments_sellers_idx ON allotments USING gin (sellers)",
    # NULL: its show's reseller. No foreign key: what the store says keeps no sale from the ledger.
    "ALTER TABLE orders ADD COLUMN sold_by BIGINT",
    """
    CREATE INDEX orders_show_id_sold_by_idx ON orders (show_id, sold_by, epoch, position)
        WHERE sold_by IS NOT NULL
    """,
    "CREATE INDEX orders_sold_by_buyer_idx ON orders (sold_by, buyer) WHERE sold_by IS NOT NULL",
    # Another reseller of the same kind, whom the operator lets sell.
    f"""
    CREATE FUNCTION may_sell_for_me(seller BIGINT) RETURNS BOOLEAN LANGUAGE sql {_DEFINER} AS $$
        SELECT EXISTS (
            SELECT FROM resellers AS other JOIN resellers AS mine ON mine.mode = other.mode
            WHERE mine.id = {_ME} AND other.id = seller AND other.id <> mine.id
                AND other.status = 'approved'
        )
    $$
    """,  # noqa: S608 - our own text
    # Whose a show is of which anything is, or was, released to who asks.
    f"""
    CREATE FUNCTION released_by(named BIGINT) RETURNS BIGINT LANGUAGE sql {_DEFINER} AS $$
        SELECT one.reseller_id FROM allotments AS one
        JOIN resellers ON resellers.id = one.reseller_id AND resellers.status = 'approved'
        WHERE one.show_id = named AND one.sellers @> ARRAY[{_ME}] LIMIT 1
    $$
    """,  # noqa: S608 - our own text
    # What a buyer of who asks has bought: of them, and of others through them, as
    # engine/sales/sellers.py keeps such a buyer's name.
    f"""
    CREATE FUNCTION orders_of_buyer(given TEXT) RETURNS SETOF orders LANGUAGE sql {_DEFINER} AS $$
        SELECT * FROM orders WHERE (reseller_id = {_ME} AND buyer = given)
            OR (sold_by = {_ME} AND buyer = lpad(to_hex({_ME}), 16, '0') || chr(31) || given)
    $$
    """,  # noqa: S608 - our own text
    f"""
    CREATE FUNCTION tickets_of_buyer(given TEXT, named UUID[]) RETURNS SETOF tickets
    LANGUAGE sql {_DEFINER} AS $$
        SELECT tickets.* FROM tickets JOIN orders ON orders.id = tickets.order_id
        WHERE orders.id = ANY (named) AND ((orders.reseller_id = {_ME} AND buyer = given)
            OR (sold_by = {_ME} AND buyer = lpad(to_hex({_ME}), 16, '0') || chr(31) || given))
    $$
    """,  # noqa: S608 - our own text
    # Those that are not over, and of which anything is, or was, released to who asks.
    f"""
    CREATE FUNCTION open_shows_of_others() RETURNS SETOF BIGINT LANGUAGE sql {_DEFINER} AS $$
        SELECT DISTINCT shows.id FROM allotments AS one JOIN shows ON shows.id = one.show_id
        WHERE one.sellers @> ARRAY[{_ME}] AND NOT shows.starts_at < now() - interval '1 day'
    $$
    """,  # noqa: S608 - our own text
    """
    CREATE OR REPLACE FUNCTION forget_buyer(given TEXT) RETURNS BIGINT LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        WITH over AS MATERIALIZED (
            SELECT id, 'erased-' || gen_random_uuid() AS pseudonym FROM shows
            WHERE starts_at < now() - interval '1 day'
                AND id IN (SELECT show_id FROM orders_of_buyer(given))
        ), forgotten AS (
            UPDATE orders SET buyer = pseudonym FROM over
            WHERE orders.id IN (SELECT bought.id FROM orders_of_buyer(given) AS bought)
                AND show_id = over.id
            RETURNING 1
        )
        SELECT count(*) FROM forgotten
    $$
    """,
    f"""
    CREATE FUNCTION released_to_me(behind BIGINT, most INTEGER) RETURNS TABLE (
        id BIGINT, reseller_id BIGINT, show_id BIGINT, name TEXT, asked JSONB, seats JSONB,
        shares JSONB, begins_at TIMESTAMPTZ, ends_at TIMESTAMPTZ, created_at TIMESTAMPTZ,
        ended_at TIMESTAMPTZ, show_name TEXT, venue TEXT, starts_at TIMESTAMPTZ, state TEXT
    ) LANGUAGE sql {_DEFINER} AS $$
        SELECT one.id, one.reseller_id, one.show_id, one.name, one.asked, one.seats, one.shares,
            one.begins_at, one.ends_at, one.created_at, one.ended_at,
            shows.name, shows.venue, shows.starts_at, shows.state
        FROM allotments AS one
        JOIN shows ON shows.id = one.show_id
        JOIN resellers ON resellers.id = one.reseller_id AND resellers.status = 'approved'
        WHERE one.sellers @> ARRAY[{_ME}] AND (behind IS NULL OR (one.created_at, one.id) < (
            SELECT last.created_at, last.id FROM allotments AS last
            WHERE last.id = behind AND last.sellers @> ARRAY[{_ME}]
        ))
        ORDER BY one.created_at DESC, one.id DESC LIMIT most
    $$
    """,  # noqa: S608 - our own text
)
_FUNCTIONS: Final = (
    "may_sell_for_me(BIGINT)",
    "released_by(BIGINT)",
    "released_to_me(BIGINT, INTEGER)",
    "open_shows_of_others()",
    "tickets_of_buyer(TEXT, UUID[])",
    "orders_of_buyer(TEXT)",
)
# Erasures are finished by a worker.
_OF_WORKERS: Final = ("orders_of_buyer(TEXT)",)
# As of 0010.
_FORGOT_OWN: Final = f"""
    CREATE OR REPLACE FUNCTION forget_buyer(given TEXT) RETURNS BIGINT LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        WITH over AS MATERIALIZED (
            SELECT id, 'erased-' || gen_random_uuid() AS pseudonym FROM shows
            WHERE reseller_id = {_ME} AND starts_at < now() - interval '1 day'
                AND id IN (SELECT show_id FROM orders WHERE buyer = given AND reseller_id = {_ME})
        ), forgotten AS (
            UPDATE orders SET buyer = pseudonym FROM over
            WHERE show_id = over.id AND buyer = given AND reseller_id = {_ME}
            RETURNING 1
        )
        SELECT count(*) FROM forgotten
    $$
"""  # noqa: S608 - our own text

# As of 0010, where nothing is apart.
_APPEND: Final = """
CREATE OR REPLACE FUNCTION append_trail() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    draft RECORD;
    chain BIGINT;
    last_no BIGINT;
    last_hash BYTEA;
    moment TIMESTAMPTZ;
    actor CONSTANT TEXT := coalesce(NULLIF(current_setting('onsale.actor', true), ''), 'unknown');
    address CONSTANT TEXT := coalesce(current_setting('onsale.address', true), '');
{declared}    content JSONB;
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
{apart}        moment := clock_timestamp();
        content := jsonb_build_object(
            'reseller', lpad(to_hex(chain), 16, '0'), 'no', last_no + 1,
            'at', to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'actor', {who}, 'address', {place}, 'action', draft.action,
            'table', draft.object_table, 'key', draft.object_key,
            'before', canonical_json(draft.before)::jsonb,
            'after', canonical_json(draft.after)::jsonb,
            'previous', encode(last_hash, 'hex'));
        made := sha256(convert_to(canonical_json(content), 'UTF8'));
        INSERT INTO trail_entries VALUES (
            chain, last_no + 1, moment, {who}, {place}, draft.action, draft.object_table,
            draft.object_key, NULLIF(content -> 'before', 'null'),
            NULLIF(content -> 'after', 'null'), last_hash, made);
        last_no := last_no + 1;
        last_hash := made;
        UPDATE trail_heads SET no = last_no, hash = last_hash WHERE reseller_id = chain;
    END LOOP;
    RETURN NULL;
END $$
"""
_DECLARED: Final = """\
    own CONSTANT BIGINT := NULLIF(current_setting('onsale.reseller_id', true), '')::bigint;
    who TEXT;
    place TEXT;
"""
_APART: Final = """\
        -- Who of another reseller acts, and from where, is not this one's to know.
        who := actor;
        place := address;
        IF chain <> own AND chain <> 0 THEN
            who := 'seller:' || lpad(to_hex(own), 16, '0');
            place := '';
        END IF;
"""
_APPEND_AS_BEFORE: Final = _filled(_APPEND, declared="", apart="", who="actor", place="address")
# Of what changes in the chain of another than whose transaction it is: erasures of buyers.
_APPEND_APART: Final = _filled(_APPEND, declared=_DECLARED, apart=_APART, who="who", place="place")


def upgrade() -> None:
    """Make them."""
    for statement in _UPGRADE:
        op.execute(statement)
    for function in _FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO onsale_app")
    for function in _OF_WORKERS:
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO onsale_recorder")
    op.execute(_APPEND_APART)


def downgrade() -> None:
    """Take them back."""
    op.execute(_APPEND_AS_BEFORE)
    op.execute(_FORGOT_OWN)
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("ALTER TABLE orders DROP COLUMN sold_by")
    op.execute("ALTER TABLE allotments DROP COLUMN sellers")
