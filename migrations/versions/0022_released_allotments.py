"""Allotments that are released to other resellers, and who sold an order.

Revision ID: 0022
Revises: 0020
"""

from typing import Final

from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None

_ME: Final = "NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"
# As the owner, since who asks sees no row of whom they ask about: they tell this and no more.
_DEFINER: Final = "STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp"
_UPGRADE: Final = (
    "ALTER TABLE allotments ADD COLUMN sellers BIGINT[] NOT NULL DEFAULT '{}'",
    "CREATE INDEX allotments_sellers_idx ON allotments USING gin (sellers)",
    # NULL: its show's reseller. No foreign key: what a fact of the store says keeps no sale from the
    # ledger.
    "ALTER TABLE orders ADD COLUMN sold_by BIGINT",
    """
    CREATE INDEX orders_show_id_sold_by_idx ON orders (show_id, sold_by, epoch, position)
        WHERE sold_by IS NOT NULL
    """,
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
)


def upgrade() -> None:
    """Make them."""
    for statement in _UPGRADE:
        op.execute(statement)
    for function in _FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO onsale_app")


def downgrade() -> None:
    """Take them back."""
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("ALTER TABLE orders DROP COLUMN sold_by")
    op.execute("ALTER TABLE allotments DROP COLUMN sellers")
