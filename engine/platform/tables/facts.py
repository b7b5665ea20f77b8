"""The log of facts: what happened, in the transaction in which it did."""

from typing import Any, Final, cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

from engine.platform.tables.columns import (
    TIME,
    metadata,
    moment,
    of_reseller,
    of_show,
    optional,
    required,
    reseller_column,
)


class Xid8(UserDefinedType[int]):
    """A transaction's number, which never comes again: of 64 bits."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
        """Return its name in SQL."""
        return "XID8"


# So that what a database has is read as what is written here.
cast("dict[str, Any]", ischema_names)["xid8"] = Xid8

# No foreign keys: the recorder adds two rows an order.
facts: Final = Table(
    "facts",
    metadata,
    reseller_column(),
    Column("id", BigInteger, Identity(), nullable=False),
    # The transaction that wrote it: readers go by it, since ids are drawn before a commit.
    Column("xid", Xid8, nullable=False, server_default=func.pg_current_xact_id()),
    required("type", Text),
    optional("show_id", BigInteger),
    required("object", Text),  # the id, as it looks outside, of what it is about
    required("data", JSONB),  # as engine/facts/types.py has it for the type
    required("occurred_at", TIME),
    moment("recorded_at"),
    PrimaryKeyConstraint("xid", "id"),
    Index(None, "reseller_id", "xid", "id"),
    Index(None, "id", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
)

# The last fact of a reseller's that was forgotten.
fact_horizons: Final = Table(
    "fact_horizons",
    metadata,
    reseller_column(),
    required("xid", Xid8),
    required("id", BigInteger),
    required("forgotten_until", TIME),  # the latest `recorded_at` of those that were
    PrimaryKeyConstraint("reseller_id"),
    of_reseller(),
)

# What was told of a show that no other row says, so that two workers tell it once.
told_shows: Final = Table(
    "told_shows",
    metadata,
    Column("show_id", BigInteger, primary_key=True, autoincrement=False),
    reseller_column(),
    Column("on_sale", Boolean, nullable=False, server_default=false()),
    # Since it was told, no place has come back.
    Column("sold_out", Boolean, nullable=False, server_default=false()),
    # How far its deltas were read for holds that ended.
    Column("delta_epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("delta_seq", BigInteger, nullable=False, server_default=text("-1")),
    of_show(),
)
