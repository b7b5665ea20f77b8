"""Ticket types, and prices that follow a schedule; price versions stand beside the shows."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from engine.platform.tables.columns import (
    TIME,
    metadata,
    moment,
    of_show,
    optional,
    required,
    reseller_column,
)

ticket_types: Final = Table(
    "ticket_types",
    metadata,
    required("show_id", BigInteger),
    required("slug", Text),
    reseller_column(),
    required("type_no", Integer),  # its place in the list
    required("name", Text),
    required("kind", Text),
    Column("description", Text, nullable=False, server_default=text("''")),
    optional("min_per_hold", Integer),
    optional("max_per_hold", Integer),
    optional("levels", ARRAY(Text)),  # NULL: all
    PrimaryKeyConstraint("show_id", "slug"),
    of_show(),
    CheckConstraint(
        "kind IN ('adult', 'child', 'student', 'senior', 'companion', 'disabled', 'group',"
        " 'other')",
        name="kind",
    ),
    CheckConstraint(
        "min_per_hold > 0 AND max_per_hold > 0 AND min_per_hold <= max_per_hold", name="limits"
    ),
)

price_steps: Final = Table(
    "price_steps",
    metadata,
    required("show_id", BigInteger),
    required("step_no", Integer),
    reseller_column(),
    optional("at", TIME),
    optional("after_sold", Integer),  # tickets, of the level if one is named
    optional("price_level", Text),
    required("prices", JSONB),  # what changes: face values by level, and prices by type
    required("type_prices", JSONB),
    moment("created_at"),
    optional("came_at", TIME),
    optional("price_version", Integer),  # that it made
    PrimaryKeyConstraint("show_id", "step_no"),
    of_show(),
    CheckConstraint("num_nonnulls(at, after_sold) > 0", name="due"),
    CheckConstraint("after_sold > 0", name="after_sold"),
    CheckConstraint("(came_at IS NULL) = (price_version IS NULL)", name="came"),
    Index(None, "show_id", postgresql_where=text("came_at IS NULL")),
    Index(None, "at", postgresql_where=text("came_at IS NULL")),
)
