"""Allotments: places of a show that only holders of a right may hold, for a time."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from engine.platform.tables.columns import (
    TIME,
    entity,
    metadata,
    moment,
    of_show,
    optional,
    required,
    reseller_column,
)

allotments: Final = Table(
    "allotments",
    metadata,
    entity(),
    reseller_column(),
    required("show_id", BigInteger),
    required("allotment_no", Integer),  # 1, 2, ... of the show
    required("name", Text),
    required("asked", JSONB),  # the places, in the words of who asked
    required("seats", JSONB),  # [[first position, the one after the last], ...], rising
    required("shares", JSONB),  # [[area, the area that its places moved to, places], ...]
    required("code_digests", ARRAY(LargeBinary)),  # of codes that many know
    required("channels", ARRAY(Text)),
    required("is_personal", Boolean),  # whether buyers have codes of their own
    optional("begins_at", TIME),  # nobody may hold them before
    optional("ends_at", TIME),  # they go back by themselves
    required("inventory_version", BigInteger),  # that it was made with
    moment("created_at"),
    optional("ended_at", TIME),
    optional("ended_by", Text),
    required("places_left", Integer),  # of its shares, that are to go back once they open
    # Other resellers, who sell the places by their own credentials.
    Column("sellers", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    UniqueConstraint("show_id", "allotment_no"),
    of_show(),
    CheckConstraint("allotment_no > 0", name="number"),
    CheckConstraint("begins_at < ends_at", name="times"),
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
    CheckConstraint("ended_by IN ('request', 'time')", name="ended_by"),
    Index("allotments_sellers_idx", "sellers", postgresql_using="gin"),
    Index("allotments_living_idx", "show_id", postgresql_where=text("ended_at IS NULL")),
    Index(
        "allotments_due_idx",
        "ends_at",
        postgresql_where=text("ended_at IS NULL AND ends_at IS NOT NULL"),
    ),
    Index(
        "allotments_left_idx",
        "show_id",
        postgresql_where=text("ended_at IS NOT NULL AND places_left > 0"),
    ),
)
