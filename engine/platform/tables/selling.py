"""The ledger: what is sold of shows, and the books."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from engine.platform.tables.columns import (
    CURRENCY,
    TIME,
    metadata,
    moment,
    of_reseller,
    of_show,
    optional,
    required,
    reseller_column,
)

orders: Final = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),  # the 16 bytes of the hold it came from
    reseller_column(),
    required("show_id", BigInteger),
    required("buyer", Text),
    required("status", Text),
    required("currency", CURRENCY),
    required("face_value", BigInteger),
    required("fee", BigInteger),
    required("tax", BigInteger),
    required("discount", BigInteger),
    required("total", BigInteger),
    required("payment_reference", Text),
    required("purchase_key", Text),  # the Idempotency-Key that it was bought with
    required("body_fp", BigInteger),  # fingerprints of the purchase's body and of the hold's
    required("hold_fp", BigInteger),
    required("price_version", Integer),
    required("epoch", BigInteger),  # with position: its fact's place in the stream
    required("position", BigInteger),
    required("sold_at", TIME),
    moment("recorded_at"),
    optional("sold_by", BigInteger),  # NULL: its show's reseller
    of_show(),
    CheckConstraint("status IN ('confirmed', 'conflict', 'refunded', 'returned')", name="status"),
    CheckConstraint("total = face_value + fee + tax - discount", name="total"),
    Index(None, "show_id", "epoch", "position"),
    Index(None, "reseller_id", "buyer"),
    Index(
        "orders_show_id_sold_by_idx",
        *("show_id", "sold_by", "epoch", "position"),
        postgresql_where=text("sold_by IS NOT NULL"),
    ),
    Index(
        "orders_sold_by_buyer_idx",
        *("sold_by", "buyer"),
        postgresql_where=text("sold_by IS NOT NULL"),
    ),
)

order_lines: Final = Table(
    "order_lines",
    metadata,
    required("order_id", Uuid),
    required("line_no", Integer),
    reseller_column(),
    required("show_id", BigInteger),
    required("price_level", Text),
    optional("area_index", Integer),  # NULL: numbered seats
    required("quantity", Integer),
    required("unit_face_value", BigInteger),
    required("unit_fee", BigInteger),
    required("unit_tax", BigInteger),
    required("unit_discount", BigInteger),
    required("total", BigInteger),
    optional("ticket_type", Text),  # NULL: the one that costs the level's face value
    PrimaryKeyConstraint("order_id", "line_no"),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint(
        "total = quantity * (unit_face_value + unit_fee + unit_tax - unit_discount)", name="total"
    ),
)

tickets: Final = Table(
    "tickets",
    metadata,
    Column("id", Uuid, primary_key=True),
    required("order_id", Uuid),
    reseller_column(),
    required("show_id", BigInteger),
    required("line_no", Integer),
    optional("seat_index", Integer),
    optional("area_index", Integer),
    required("label", Text),  # the seat's, or its area's slug
    required("status", Text),
    optional("ticket_type", Text),  # as its line's
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    CheckConstraint("status IN ('active', 'cancelled', 'returned')", name="status"),
    CheckConstraint("num_nonnulls(seat_index, area_index) = 1", name="place"),
    Index(None, "order_id"),
)

# The last fence: whatever else goes wrong, no seat has two owners.
Index(
    "tickets_one_owner_per_seat",
    tickets.c.show_id,
    tickets.c.seat_index,
    unique=True,
    postgresql_where=text("status = 'active' AND seat_index IS NOT NULL"),
)

area_sales: Final = Table(
    "area_sales",
    metadata,
    required("show_id", BigInteger),
    reseller_column(),
    required("area_index", Integer),
    required("capacity", Integer),
    required("sold", Integer),
    PrimaryKeyConstraint("show_id", "area_index"),
    CheckConstraint("sold BETWEEN 0 AND capacity", name="sold"),
    of_show(),
)

conflicts: Final = Table(
    "conflicts",
    metadata,
    required("order_id", Uuid),
    required("conflict_no", Integer),
    reseller_column(),
    required("show_id", BigInteger),
    optional("seat_index", Integer),
    optional("area_index", Integer),
    optional("owner_order_id", Uuid),  # who has the seat; NULL for an area that is full
    # Of the sale. While it is the show's, no recovery has put its other places on sale again.
    required("epoch", BigInteger),
    moment("found_at"),
    PrimaryKeyConstraint("order_id", "conflict_no"),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    Index(None, "show_id", "found_at"),
    Index(None, "show_id", "epoch"),
)

stranded_facts: Final = Table(
    "stranded_facts",
    metadata,
    required("show_id", BigInteger),
    reseller_column(),
    required("stream_epoch", BigInteger),
    required("stream_seq", BigInteger),
    required("fact", LargeBinary),  # the entry's fields, as msgpack: nothing of it is lost
    optional("hold_id", Uuid),  # NULL: the entry names no hold
    required("reason", Text),
    moment("found_at"),
    PrimaryKeyConstraint("show_id", "stream_epoch", "stream_seq"),
    of_show(),
    Index(None, "hold_id"),
)

refund_requests: Final = Table(
    "refund_requests",
    metadata,
    # Once each. No foreign key: a stranded fact has no order.
    Column("order_id", Uuid, primary_key=True),
    reseller_column(),
    required("show_id", BigInteger),
    required("reason", Text),
    required("amount", BigInteger),
    required("currency", CURRENCY),
    required("payment_reference", Text),
    moment("created_at"),
    of_show(),
    CheckConstraint(
        "reason IN ('conflict', 'stranded', 'returned', 'cancelled', 'rescheduled')", name="reason"
    ),
    CheckConstraint("amount >= 0", name="amount"),
    Index(None, "show_id", "created_at"),
)

returns: Final = Table(
    "returns",
    metadata,
    required("show_id", BigInteger),
    required("return_no", BigInteger),  # of the show, from 1 on, without gaps
    reseller_column(),
    required("order_id", Uuid),
    moment("at"),
    PrimaryKeyConstraint("show_id", "return_no"),
    UniqueConstraint("order_id"),  # once each
    of_show(),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    Index(None, "at"),
)

# A show cancelled or moved to another time, and what who has tickets may choose.
recorder_positions: Final = Table(
    "recorder_positions",
    metadata,
    Column("show_id", BigInteger, primary_key=True, autoincrement=False),
    reseller_column(),
    required("epoch", BigInteger),
    required("seq", BigInteger),
    moment("updated_at"),
    of_show(),
)

journal_entries: Final = Table(
    "journal_entries",
    metadata,
    Column("id", Uuid, primary_key=True),
    reseller_column(),
    required("show_id", BigInteger),
    required("order_id", Uuid),
    required("kind", Text),
    required("occurred_at", TIME),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    Index(None, "order_id"),
)

postings: Final = Table(
    "postings",
    metadata,
    required("entry_id", Uuid),
    required("posting_no", Integer),
    reseller_column(),
    required("account", Text),
    required("currency", CURRENCY),
    required("amount", BigInteger),
    PrimaryKeyConstraint("entry_id", "posting_no"),
    ForeignKeyConstraint(["entry_id"], ["journal_entries.id"]),
    CheckConstraint("amount <> 0", name="amount"),
)

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    reseller_column(),
    required("scope", Text),
    required("key_hash", LargeBinary),
    required("fingerprint", LargeBinary),
    optional("status", Integer),  # NULL with body while the first request is under way
    optional("body", LargeBinary),
    moment("created_at"),
    PrimaryKeyConstraint("reseller_id", "scope", "key_hash"),
    of_reseller(),
    CheckConstraint("(status IS NULL) = (body IS NULL)", name="answer"),
    Index(None, "created_at"),
)
