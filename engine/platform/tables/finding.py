"""The read model of what buyers find: kept by a worker, from the tables, when a mark says so.

`docs/SEARCH.md` says how. The public reads `public_found`, `public_listings` and `public_pages`,
views that show public rows only: `engine/catalog/finding.py`.
"""

from typing import Any, Final, cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CHAR, JSONB, TSVECTOR
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

from engine.platform.tables.columns import (
    CURRENCY,
    TIME,
    metadata,
    moment,
    of_reseller,
    optional,
    required,
    reseller_column,
)


class Cube(UserDefinedType[str]):
    """A point of the extension `cube`: where on the globe, in metres from its middle."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
        """Return its name in SQL."""
        return "CUBE"


# So that what a database has is read as what is written here.
cast("dict[str, Any]", ischema_names)["cube"] = Cube

_NO_IDS: Final = text("'{}'")
_NONE: Final = text("'[]'")

# That something changed, written by triggers in the change's transaction; append-only, so that
# nobody waits for anybody. No foreign keys: a mark may outlive what it names.
catalog_marks: Final = Table(
    "catalog_marks",
    metadata,
    Column("no", BigInteger, Identity(always=True), primary_key=True),
    reseller_column(),
    required("kind", Text),
    required("id", BigInteger),
    moment("marked_at"),
    # Of what follows from a change of something else, of which there may be much at once.
    Column("is_derived", Boolean, nullable=False, server_default=text("false")),
    Index(None, "is_derived", "no"),
    Index(None, "kind", "id"),
)

# What is listed, and searched by words: a row a show.
listings: Final = Table(
    "listings",
    metadata,
    Column("show_id", BigInteger, primary_key=True, autoincrement=False),
    reseller_column(),
    optional("event_id", BigInteger),
    required("item_id", BigInteger),  # what results are grouped by: the event, else the show
    optional("venue_id", BigInteger),
    required("name", Text),  # the event's, else the show's
    required("show_name", Text),
    required("reseller_name", Text),
    optional("type", Text),
    Column("performer_ids", ARRAY(BigInteger), nullable=False, server_default=_NO_IDS),
    Column("performers", JSONB, nullable=False, server_default=_NONE),  # their names, in order
    optional("picture", JSONB),  # the event's first
    required("venue", Text),
    optional("city", Text),
    optional("country", CHAR(2)),
    optional("latitude", Double),
    optional("longitude", Double),
    optional("time_zone", Text),
    required("starts_at", TIME),
    optional("former_starts_at", TIME),  # before it was rescheduled the last time
    optional("doors_at", TIME),
    optional("duration_min", Integer),
    required("opens_at", TIME),
    optional("closes_at", TIME),
    required("state", Text),
    required("currency", CURRENCY),
    required("is_public", Boolean),
    optional("turns_public_at", TIME),  # by time alone
    required("city_key", Text),  # city and venue as they are compared: no accents, small letters
    required("venue_key", Text),
    required("title_words", TSVECTOR),  # of the event, the show and who performs
    required("words", TSVECTOR),  # these, and of venue, city, type and reseller
    optional("place", Cube),
    moment("changed_at"),
    of_reseller(),
    Index(None, "reseller_id", "starts_at", "show_id"),
    Index(None, "item_id", "starts_at", "show_id"),
    Index(None, "venue_id", "starts_at", "show_id"),
    Index("listings_opens_at_idx", "opens_at", "show_id", postgresql_where=text("is_public")),
    Index(
        "listings_turns_public_at_idx",
        "turns_public_at",
        postgresql_where=text("turns_public_at IS NOT NULL"),
    ),
    Index("listings_title_words_idx", "title_words", postgresql_using="gin"),
    Index("listings_words_idx", "words", postgresql_using="gin"),
    Index("listings_performer_ids_idx", "performer_ids", postgresql_using="gin"),
)


def _found_by(name: str, *columns: str) -> Index:
    """An index of what is found, in its order: it tells events without a look at the rows."""
    return Index(
        name,
        *columns,
        postgresql_include=["item_id"],
        postgresql_where=text("is_found"),
    )


# What most filters and orders are about, in narrow rows, with what changes while a show sells: an
# update of what is left touches no index, and one of a price none of words.
listing_counts: Final = Table(
    "listing_counts",
    metadata,
    Column("show_id", BigInteger, primary_key=True, autoincrement=False),
    reseller_column(),
    optional("capacity", Integer),  # NULL: never counted
    optional("available", Integer),
    optional("price_min", BigInteger),  # of what is left, fee and tax included; NULL: nothing is
    optional("price_max", BigInteger),
    Column("is_sold_out", Boolean, nullable=False, server_default=text("false")),
    moment("counted_at"),
    required("starts_at", TIME),
    ForeignKeyConstraint(["show_id"], ["listings.show_id"], ondelete="CASCADE"),
    # By what it was counted: the last of the show's deltas, and what the ledger had of the show.
    optional("counted_for", Text),
    Column("popularity", Integer, nullable=False, server_default=text("0")),  # by what is sold
    # These, and when it starts, are as the listing has it, and written with it.
    required("item_id", BigInteger),
    optional("venue_id", BigInteger),
    optional("type", Text),
    optional("city", Text),
    required("city_key", Text),
    optional("country", CHAR(2)),
    required("currency", CURRENCY),
    required("state", Text),
    required("is_found", Boolean),  # public, and neither cancelled nor over
    optional("place", Cube),
    required("listed_at", TIME),  # the listing's `changed_at`
    Index(
        "listing_counts_price_min_idx",
        "price_min",
        "show_id",
        postgresql_include=["starts_at", "item_id"],
        postgresql_where=text("is_found"),
    ),
    _found_by("listing_counts_starts_at_idx", "starts_at", "show_id"),
    _found_by("listing_counts_popularity_idx", "popularity", "show_id"),
    _found_by("listing_counts_city_key_idx", "city_key", "starts_at", "show_id"),
    _found_by("listing_counts_type_idx", "type", "starts_at", "show_id"),
    _found_by("listing_counts_venue_id_idx", "venue_id", "starts_at", "show_id"),
    Index(
        "listing_counts_place_idx",
        "place",
        postgresql_using="gist",
        postgresql_where=text("is_found"),
    ),
    Index(
        "listing_counts_item_id_idx",
        "item_id",
        "starts_at",
        "show_id",
        postgresql_include=["is_found"],
    ),
    Index("listing_counts_reseller_id_idx", "reseller_id", "starts_at", "show_id"),
    postgresql_with={"fillfactor": "70"},
)

# Where the halls are of which shows are found: few, beside the shows.
listing_places: Final = Table(
    "listing_places",
    metadata,
    Column("venue_id", BigInteger, primary_key=True, autoincrement=False),
    reseller_column(),
    required("place", Cube),
    of_reseller(),
    Index(None, "reseller_id"),
    Index("listing_places_place_idx", "place", postgresql_using="gist"),
)

# What is looked at, by one key, and never searched.
pages: Final = Table(
    "pages",
    metadata,
    required("kind", Text),
    Column("id", BigInteger, nullable=False),
    reseller_column(),
    required("is_public", Boolean),
    optional("turns_public_at", TIME),
    required("document", JSONB),  # as engine/catalog/pages.py has it for the kind
    moment("changed_at"),
    PrimaryKeyConstraint("kind", "id"),
    CheckConstraint("kind IN ('event', 'performer', 'venue')", name="kind"),
    of_reseller(),
    Index(None, "reseller_id"),
    Index(
        "pages_turns_public_at_idx",
        "turns_public_at",
        postgresql_where=text("turns_public_at IS NOT NULL"),
    ),
)

# Every word that a listing ever had, for those who mistype one.
search_words: Final = Table(
    "search_words",
    metadata,
    Column("word", Text, primary_key=True),
    Index(
        "search_words_word_trgm_idx",
        "word",
        postgresql_using="gin",
        postgresql_ops={"word": "gin_trgm_ops"},
    ),
)
