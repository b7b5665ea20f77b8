"""Lets the order of prices pass over other dates by its index alone.

Revision ID: 0019
Revises: 0018
"""

from typing import Final

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_VIEW: Final = """
CREATE OR REPLACE VIEW public_listings AS
SELECT listings.*, capacity, available, price_min, price_max,
    coalesce(is_sold_out, false) AS is_sold_out{more}
FROM listings LEFT JOIN listing_counts USING (show_id) WHERE is_public
"""


def upgrade() -> None:
    """Make it: what is listed already is copied."""
    op.execute("ALTER TABLE listing_counts ADD COLUMN priced_starts_at TIMESTAMPTZ")
    op.execute(
        "UPDATE listing_counts SET priced_starts_at = listings.starts_at FROM listings"
        " WHERE listings.show_id = listing_counts.show_id"
    )
    op.execute("ALTER TABLE listing_counts ALTER COLUMN priced_starts_at SET NOT NULL")
    op.execute("DROP INDEX listing_counts_price_min_show_id_idx")
    op.execute(
        "CREATE INDEX listing_counts_price_min_idx ON listing_counts (price_min, show_id)"
        " INCLUDE (priced_starts_at)"
    )
    op.execute(_VIEW.format(more=", priced_starts_at"))


def downgrade() -> None:
    """Take it back."""
    op.execute("DROP VIEW public_listings")
    op.execute(_VIEW.format(more=""))
    op.execute("GRANT SELECT ON public_listings TO onsale_app")
    op.execute("DROP INDEX listing_counts_price_min_idx")
    op.execute("CREATE INDEX ON listing_counts (price_min, show_id)")
    op.execute("ALTER TABLE listing_counts DROP COLUMN priced_starts_at")
