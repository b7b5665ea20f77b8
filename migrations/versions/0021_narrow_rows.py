"""Narrow rows for searches: what filters and orders are about stands beside what is counted.

Revision ID: 0021
Revises: 0020
"""

from typing import Final

from alembic import op

from migrations.protecting import protect

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_COLUMNS: Final = (
    "ADD COLUMN item_id BIGINT, ADD COLUMN venue_id BIGINT, ADD COLUMN type TEXT,"
    " ADD COLUMN city TEXT, ADD COLUMN city_key TEXT, ADD COLUMN country CHAR(2),"
    " ADD COLUMN currency CHAR(3), ADD COLUMN state TEXT, ADD COLUMN is_found BOOLEAN,"
    " ADD COLUMN place CUBE, ADD COLUMN listed_at TIMESTAMPTZ,"
    " ADD COLUMN popularity INTEGER NOT NULL DEFAULT 0"
)
_REQUIRED: Final = ("item_id", "city_key", "currency", "state", "is_found", "listed_at")
_COPY: Final = """
UPDATE listing_counts AS row SET item_id = l.item_id, venue_id = l.venue_id, type = l.type,
    city = l.city, city_key = l.city_key, country = l.country, currency = l.currency,
    state = l.state, is_found = is_public AND l.state NOT IN ('draft', 'cancelled', 'past'),
    place = l.place, listed_at = changed_at, popularity = l.popularity
FROM listings AS l WHERE l.show_id = row.show_id
"""
_PLACES: Final = (
    """
    CREATE TABLE listing_places (
        venue_id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        place CUBE NOT NULL
    )
    """,
    """
    INSERT INTO listing_places SELECT DISTINCT ON (venue_id) venue_id, reseller_id, place
    FROM listing_counts WHERE is_found AND place IS NOT NULL ORDER BY venue_id, listed_at DESC
    """,
    "CREATE INDEX ON listing_places (reseller_id)",
    "CREATE INDEX listing_places_place_idx ON listing_places USING gist (place)",
    "CREATE VIEW public_places AS SELECT venue_id, place FROM listing_places",
    *protect("listing_places", app="SELECT", recorder="SELECT, INSERT, UPDATE, DELETE"),
)
_FOUND: Final = "INCLUDE (item_id) WHERE is_found"
_INDEXES: Final = {
    "listing_counts_price_min_idx": (
        "(price_min, show_id) INCLUDE (starts_at, item_id) WHERE is_found"
    ),
    "listing_counts_starts_at_idx": f"(starts_at, show_id) {_FOUND}",
    "listing_counts_popularity_idx": f"(popularity, show_id) {_FOUND}",
    "listing_counts_city_key_idx": f"(city_key, starts_at, show_id) {_FOUND}",
    "listing_counts_type_idx": f"(type, starts_at, show_id) {_FOUND}",
    "listing_counts_venue_id_idx": f"(venue_id, starts_at, show_id) {_FOUND}",
    "listing_counts_place_idx": "USING gist (place) WHERE is_found",
    "listing_counts_item_id_idx": "(item_id, starts_at, show_id) INCLUDE (is_found)",
    "listing_counts_reseller_id_idx": "(reseller_id, starts_at, show_id)",
}
_UNUSED: Final = {
    "listings_city_key_starts_at_show_id_idx": "(city_key, starts_at, show_id)",
    "listings_type_starts_at_show_id_idx": "(type, starts_at, show_id)",
    "listings_starts_at_idx": "(starts_at, show_id) WHERE is_public",
    "listings_place_idx": "USING gist (place)",
    "listings_popularity_idx": "(popularity, show_id) WHERE is_public",
}
_LISTINGS: Final = """
CREATE VIEW public_listings AS
SELECT listings.*, capacity, available, price_min, price_max,
    coalesce(is_sold_out, false) AS is_sold_out{more}
FROM listings LEFT JOIN listing_counts USING (show_id) WHERE is_public
"""


def upgrade() -> None:
    """Make them; what is listed already is copied."""
    # At once, in the order of workers, who write the one and then the other.
    op.execute("LOCK TABLE listings, listing_counts IN ACCESS EXCLUSIVE MODE")
    op.execute("DROP VIEW public_listings")
    op.execute("DROP INDEX listing_counts_price_min_idx")
    op.execute("ALTER TABLE listing_counts RENAME COLUMN priced_starts_at TO starts_at")
    op.execute(f"ALTER TABLE listing_counts {_COLUMNS}")
    op.execute(_COPY)
    for column in _REQUIRED:
        op.execute(f"ALTER TABLE listing_counts ALTER COLUMN {column} SET NOT NULL")
    for name in _UNUSED:
        op.execute(f"DROP INDEX {name}")
    op.execute("ALTER TABLE listings DROP COLUMN popularity")
    for name, on in _INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON listing_counts {on}")
    op.execute(_LISTINGS.format(more=", coalesce(popularity, 0) AS popularity"))
    op.execute("CREATE VIEW public_found AS SELECT * FROM listing_counts WHERE is_found")
    for statement in _PLACES:
        op.execute(statement)
    op.execute("GRANT SELECT ON public_listings, public_found, public_places TO onsale_app")


def downgrade() -> None:
    """Take them back."""
    op.execute("DROP VIEW public_places, public_found, public_listings")
    op.execute("DROP TABLE listing_places")
    for name in _INDEXES:
        op.execute(f"DROP INDEX {name}")
    op.execute("ALTER TABLE listings ADD COLUMN popularity INTEGER NOT NULL DEFAULT 0")
    op.execute(
        "UPDATE listings SET popularity = row.popularity FROM listing_counts AS row"
        " WHERE row.show_id = listings.show_id"
    )
    op.execute("ALTER TABLE listings ALTER COLUMN popularity DROP DEFAULT")
    for name, on in _UNUSED.items():
        op.execute(f"CREATE INDEX {name} ON listings {on}")
    for column in (*_REQUIRED, "popularity", "venue_id", "type", "city", "country", "place"):
        op.execute(f"ALTER TABLE listing_counts DROP COLUMN {column}")
    op.execute("ALTER TABLE listing_counts RENAME COLUMN starts_at TO priced_starts_at")
    op.execute(
        "CREATE INDEX listing_counts_price_min_idx ON listing_counts (price_min, show_id)"
        " INCLUDE (priced_starts_at)"
    )
    op.execute(_LISTINGS.format(more=", priced_starts_at"))
    op.execute("GRANT SELECT ON public_listings TO onsale_app")
