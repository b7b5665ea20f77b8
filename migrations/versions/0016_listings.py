"""What buyers find: shows as they are listed, and the pages of what they belong to.

Revision ID: 0016
Revises: 0015
"""

from typing import Final

from alembic import op

from migrations.protecting import protect

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TABLES: Final = (
    """
    CREATE TABLE catalog_marks (
        no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        reseller_id BIGINT NOT NULL,
        kind TEXT NOT NULL,
        id BIGINT NOT NULL,
        marked_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        is_derived BOOLEAN NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX ON catalog_marks (is_derived, no)",
    "CREATE INDEX ON catalog_marks (kind, id)",
    """
    CREATE TABLE listings (
        show_id BIGINT PRIMARY KEY,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        event_id BIGINT,
        item_id BIGINT NOT NULL,
        venue_id BIGINT,
        name TEXT NOT NULL,
        show_name TEXT NOT NULL,
        reseller_name TEXT NOT NULL,
        type TEXT,
        performer_ids BIGINT[] NOT NULL DEFAULT '{}',
        performers JSONB NOT NULL DEFAULT '[]',
        picture JSONB,
        venue TEXT NOT NULL,
        city TEXT,
        country CHAR(2),
        latitude DOUBLE PRECISION,
        longitude DOUBLE PRECISION,
        time_zone TEXT,
        starts_at TIMESTAMPTZ NOT NULL,
        former_starts_at TIMESTAMPTZ,
        doors_at TIMESTAMPTZ,
        duration_min INTEGER,
        opens_at TIMESTAMPTZ NOT NULL,
        closes_at TIMESTAMPTZ,
        state TEXT NOT NULL,
        currency CHAR(3) NOT NULL,
        is_public BOOLEAN NOT NULL,
        turns_public_at TIMESTAMPTZ,
        popularity INTEGER NOT NULL,
        city_key TEXT NOT NULL,
        venue_key TEXT NOT NULL,
        title_words TSVECTOR NOT NULL,
        words TSVECTOR NOT NULL,
        place CUBE,
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX ON listings (reseller_id, starts_at, show_id)",
    "CREATE INDEX ON listings (item_id, starts_at, show_id)",
    "CREATE INDEX ON listings (venue_id, starts_at, show_id)",
    "CREATE INDEX ON listings (city_key, starts_at, show_id)",
    "CREATE INDEX ON listings (type, starts_at, show_id)",
    "CREATE INDEX listings_starts_at_idx ON listings (starts_at, show_id) WHERE is_public",
    "CREATE INDEX listings_popularity_idx ON listings (popularity, show_id) WHERE is_public",
    "CREATE INDEX listings_opens_at_idx ON listings (opens_at, show_id) WHERE is_public",
    """
    CREATE INDEX listings_turns_public_at_idx ON listings (turns_public_at)
    WHERE turns_public_at IS NOT NULL
    """,
    "CREATE INDEX listings_title_words_idx ON listings USING gin (title_words)",
    "CREATE INDEX listings_words_idx ON listings USING gin (words)",
    "CREATE INDEX listings_performer_ids_idx ON listings USING gin (performer_ids)",
    "CREATE INDEX listings_place_idx ON listings USING gist (place)",
    """
    CREATE TABLE listing_counts (
        show_id BIGINT PRIMARY KEY REFERENCES listings ON DELETE CASCADE,
        reseller_id BIGINT NOT NULL,
        capacity INTEGER,
        available INTEGER,
        price_min BIGINT,
        price_max BIGINT,
        is_sold_out BOOLEAN NOT NULL DEFAULT false,
        counted_at TIMESTAMPTZ NOT NULL DEFAULT now()
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX ON listing_counts (price_min, show_id)",
    """
    CREATE TABLE pages (
        kind TEXT NOT NULL,
        id BIGINT NOT NULL,
        reseller_id BIGINT NOT NULL REFERENCES resellers,
        is_public BOOLEAN NOT NULL,
        turns_public_at TIMESTAMPTZ,
        document JSONB NOT NULL,
        changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (kind, id),
        CONSTRAINT pages_kind_check CHECK (kind IN ('event', 'performer', 'venue'))
    )
    """,
    "CREATE INDEX ON pages (reseller_id)",
    """
    CREATE INDEX pages_turns_public_at_idx ON pages (turns_public_at)
    WHERE turns_public_at IS NOT NULL
    """,
    "CREATE TABLE search_words (word TEXT PRIMARY KEY)",
    "CREATE INDEX search_words_word_trgm_idx ON search_words USING gin (word gin_trgm_ops)",
    "GRANT SELECT ON search_words TO onsale_app, onsale_auditor",
    "GRANT SELECT, INSERT, DELETE ON search_words TO onsale_recorder",
)

# The public reads these, and no table. Not policies of the application's role: PostgreSQL asks a
# policy first, and uses no index of words or places in a query that has one.
_VIEWS: Final = (
    """
    CREATE VIEW public_listings AS
    SELECT listings.*, capacity, available, price_min, price_max,
        coalesce(is_sold_out, false) AS is_sold_out
    FROM listings LEFT JOIN listing_counts USING (show_id) WHERE is_public
    """,
    "CREATE VIEW public_pages AS SELECT * FROM pages WHERE is_public",
    "GRANT SELECT ON public_listings, public_pages TO onsale_app",
)

# Arguments: the kind, the columns of the id and of the reseller, and those that nobody is told of.
_MARK: Final = """
CREATE FUNCTION mark_catalog() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    noise CONSTANT TEXT[] := string_to_array(TG_ARGV[3], ',');
    changed JSONB[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(to_jsonb(n)) INTO changed FROM new_rows AS n;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(to_jsonb(o)) INTO changed FROM old_rows AS o;
    ELSE
        SELECT array_agg(whole) INTO changed FROM (
            SELECT to_jsonb(n) - noise AS whole FROM new_rows AS n
            EXCEPT SELECT to_jsonb(o) - noise FROM old_rows AS o) AS differing;
    END IF;
    INSERT INTO catalog_marks (reseller_id, kind, id)
    SELECT DISTINCT (whole ->> TG_ARGV[2])::bigint, TG_ARGV[0], (whole ->> TG_ARGV[1])::bigint
    FROM unnest(changed) AS each(whole);
    RETURN NULL;
END $$
"""

_EVENTS: Final = {
    "INSERT": "NEW TABLE AS new_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
}
_OF_A_SHOW: Final = "epoch,inventory_version,return_no"
# Table, kind of the mark, columns of the id and of the reseller, what nobody is told of.
_MARKED: Final = (
    ("venues", "venue", "id", "reseller_id", ""),
    ("performers", "performer", "id", "reseller_id", ""),
    ("events", "event", "id", "reseller_id", ""),
    ("event_performers", "event", "event_id", "reseller_id", ""),
    ("event_performers", "performer_page", "performer_id", "reseller_id", ""),
    ("shows", "show", "id", "reseller_id", _OF_A_SHOW),
    ("price_versions", "show", "show_id", "reseller_id", ""),
    ("resellers", "reseller", "id", "id", ""),
)


def upgrade() -> None:
    """Make it; what there is already is all marked, so that workers list it."""
    for statement in _TABLES:
        op.execute(statement)
    keeps = "SELECT, INSERT, UPDATE, DELETE"
    for table in ("listings", "listing_counts", "pages"):
        for statement in protect(table, app="SELECT", recorder=keeps):
            op.execute(statement)
    for statement in protect("catalog_marks", app="SELECT", recorder="SELECT, INSERT, DELETE"):
        op.execute(statement)
    for statement in _VIEWS:
        op.execute(statement)
    op.execute(_MARK)
    op.execute("REVOKE EXECUTE ON FUNCTION mark_catalog() FROM PUBLIC")
    for table, kind, *columns in _MARKED:
        told = ", ".join(f"'{argument}'" for argument in (kind, *columns))
        for event, rows in _EVENTS.items():
            op.execute(
                f"CREATE TRIGGER mark_{kind}_{event.lower()} AFTER {event} ON {table}"
                f" REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION mark_catalog({told})"
            )
    op.execute(
        "INSERT INTO catalog_marks (reseller_id, kind, id) SELECT id, 'reseller', id FROM resellers"
    )


def downgrade() -> None:
    """Take it back; the extensions stay."""
    for table, kind, *_ in _MARKED:
        for event in _EVENTS:
            op.execute(f"DROP TRIGGER mark_{kind}_{event.lower()} ON {table}")
    op.execute("DROP FUNCTION mark_catalog()")
    op.execute("DROP VIEW public_pages, public_listings")
    op.execute("DROP TABLE search_words, pages, listing_counts, listings, catalog_marks")
