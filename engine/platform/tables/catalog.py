"""The catalogue: venues and the ways to set them up, performers, and the events that they give."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CHAR, JSONB

from engine.platform.tables.columns import (
    TIME,
    entity,
    metadata,
    moment,
    of_reseller,
    optional,
    required,
    reseller_column,
)

_NOTHING: Final = text("''")
_NONE: Final = text("'[]'")


def _pictures() -> Column[Any]:
    """Return the column of pictures: a list of `{"url", "alt", "credit"}`, the first one leads."""
    return Column("pictures", JSONB, nullable=False, server_default=_NONE)


def _words(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=_NOTHING)


venues: Final = Table(
    "venues",
    metadata,
    entity(),
    reseller_column(),
    required("name", Text),
    required("address", JSONB),  # {"line_1", "line_2", "postal_code", "city", "region"}
    required("city", Text),
    required("country", CHAR(2)),
    optional("latitude", Double),
    optional("longitude", Double),
    required("time_zone", Text),  # of the IANA data base
    Column("contacts", JSONB, nullable=False, server_default=_NONE),
    _words("accessibility"),
    _pictures(),
    moment("created_at"),
    moment("changed_at"),
    optional("archived_at", TIME),
    UniqueConstraint("id", "reseller_id"),
    CheckConstraint("(latitude IS NULL) = (longitude IS NULL)", name="coordinates"),
    of_reseller(),
    Index(None, "reseller_id"),
)

configurations: Final = Table(
    "configurations",
    metadata,
    entity(),
    reseller_column(),
    required("venue_id", BigInteger),
    required("name", Text),
    _words("description"),
    moment("created_at"),
    moment("changed_at"),
    optional("archived_at", TIME),
    UniqueConstraint("id", "reseller_id"),
    ForeignKeyConstraint(["venue_id", "reseller_id"], ["venues.id", "venues.reseller_id"]),
    Index(None, "venue_id"),
)

configuration_versions: Final = Table(
    "configuration_versions",
    metadata,
    required("configuration_id", BigInteger),
    required("version", Integer),  # from 1 on; a version never changes
    reseller_column(),
    required("manifest_id", BigInteger),
    required("valid_from", Date),  # the first day, at the venue, of shows that it is for
    required("capacity", Integer),  # seats and places
    # By category: [{"price_level", "name", "color", "seats", "places"}]
    Column("categories", JSONB, nullable=False, server_default=_NONE),
    _words("note"),
    moment("created_at"),
    PrimaryKeyConstraint("configuration_id", "version"),
    UniqueConstraint("configuration_id", "version", "reseller_id"),
    CheckConstraint("version > 0 AND capacity > 0", name="numbers"),
    ForeignKeyConstraint(
        ["configuration_id", "reseller_id"], ["configurations.id", "configurations.reseller_id"]
    ),
    ForeignKeyConstraint(["manifest_id", "reseller_id"], ["manifests.id", "manifests.reseller_id"]),
)

performers: Final = Table(
    "performers",
    metadata,
    entity(),
    reseller_column(),
    required("name", Text),
    _words("description"),
    _pictures(),
    Column("links", JSONB, nullable=False, server_default=_NONE),
    moment("created_at"),
    moment("changed_at"),
    optional("archived_at", TIME),
    UniqueConstraint("id", "reseller_id"),
    of_reseller(),
    Index(None, "reseller_id"),
)

events: Final = Table(
    "events",
    metadata,
    entity(),
    reseller_column(),
    required("name", Text),
    _words("description"),
    required("type", Text),
    _pictures(),
    optional("age_min", Integer),
    Column("languages", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("visibility", Text, nullable=False, server_default=text("'public'")),
    optional("public_from", TIME),
    moment("created_at"),
    moment("changed_at"),
    optional("archived_at", TIME),
    UniqueConstraint("id", "reseller_id"),
    CheckConstraint("visibility IN ('public', 'hidden')", name="visibility"),
    of_reseller(),
    Index(None, "reseller_id"),
)

event_performers: Final = Table(
    "event_performers",
    metadata,
    required("event_id", BigInteger),
    required("billing_no", Integer),  # 1: who is named first
    reseller_column(),
    required("performer_id", BigInteger),
    PrimaryKeyConstraint("event_id", "billing_no"),
    UniqueConstraint("event_id", "performer_id"),
    ForeignKeyConstraint(["event_id", "reseller_id"], ["events.id", "events.reseller_id"]),
    ForeignKeyConstraint(
        ["performer_id", "reseller_id"], ["performers.id", "performers.reseller_id"]
    ),
    Index(None, "performer_id"),
)
