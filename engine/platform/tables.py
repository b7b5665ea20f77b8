"""The ledger's tables, as SQLAlchemy Core sees them.

The migrations make them; `tests/engine/test_migrations.py` holds the two together. What the
columns mean is said here once. Money is in minor units of the row's (or its order's) currency.
Every table with a `reseller_id` has forced row-level security.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR, JSONB
from sqlalchemy.types import TypeEngine

metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def _required(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _optional(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> Column[Any]:
    return Column(name, kind, nullable=True)


def _entity() -> Column[int]:
    return Column("id", BigInteger, primary_key=True, autoincrement=False)


def _at(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _reseller() -> Column[int]:
    return Column("reseller_id", BigInteger, nullable=False)


def _counter(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _of_reseller() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["reseller_id"], ["resellers.id"])


def _of_show() -> ForeignKeyConstraint:
    # Both columns: foreign keys look past row-level security, so the pair is what keeps a
    # reseller's row from naming another's show.
    return ForeignKeyConstraint(["show_id", "reseller_id"], ["shows.id", "shows.reseller_id"])


_TIME: Final = DateTime(timezone=True)
_CURRENCY: Final = CHAR(3)

resellers: Final = Table(
    "resellers",
    metadata,
    _entity(),
    _required("name", Text),
    _at("created_at"),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    _entity(),
    _reseller(),
    _required("name", Text),
    _required("key_hash", LargeBinary),  # SHA-256 of the whole key; the key is stored nowhere
    _required("prefix", Text),  # what a console shows of it
    _at("created_at"),
    _optional("revoked_at", _TIME),
    _optional("last_used_at", _TIME),  # to the hour
    UniqueConstraint("key_hash"),
    _of_reseller(),
    Index(None, "reseller_id"),
)

fee_schedules: Final = Table(
    "fee_schedules",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    _required("fee_bps", Integer),  # of the face value, in hundredths of a percent
    _required("fee_fixed", BigInteger),  # per ticket, minor units of the show's currency
    _at("created_at"),
)

manifests: Final = Table(
    "manifests",
    metadata,
    _entity(),
    _reseller(),
    _required("name", Text),
    _required("plan", JSONB),  # the seating plan as it was imported
    _required("seat_count", Integer),
    _at("created_at"),
    UniqueConstraint("id", "reseller_id"),
    _of_reseller(),
    Index(None, "reseller_id"),
)

shows: Final = Table(
    "shows",
    metadata,
    _entity(),
    _reseller(),
    _required("manifest_id", BigInteger),
    _required("name", Text),
    _required("venue", Text),
    _required("starts_at", _TIME),
    _required("opens_at", _TIME),
    _optional("closes_at", _TIME),
    _required("state", Text),
    _required("currency", _CURRENCY),
    _required("tax_bps", Integer),
    _required("fee_schedule_version", Integer),
    _required("max_per_buyer", Integer),
    _required("max_per_hold", Integer),
    # Raised at each recovery: the fencing token that every recorder transaction checks.
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("inventory_version", BigInteger, nullable=False, server_default=text("1")),
    Column("price_version", Integer, nullable=False, server_default=text("1")),
    # The last of its returns; its inventory store tells which of them it has applied.
    Column("return_no", BigInteger, nullable=False, server_default=text("0")),
    _at("created_at"),
    UniqueConstraint("id", "reseller_id"),
    ForeignKeyConstraint(["manifest_id", "reseller_id"], ["manifests.id", "manifests.reseller_id"]),
    ForeignKeyConstraint(["fee_schedule_version"], ["fee_schedules.version"]),
    CheckConstraint("state IN ('draft', 'on_sale', 'closed')", name="state"),
    CheckConstraint("tax_bps BETWEEN 0 AND 10000", name="tax_bps"),
    CheckConstraint("max_per_buyer > 0 AND max_per_hold > 0", name="limits"),
    _of_reseller(),
    Index(None, "reseller_id"),
)

price_versions: Final = Table(
    "price_versions",
    metadata,
    _required("show_id", BigInteger),
    _required("version", Integer),
    _reseller(),
    _required("prices", JSONB),  # price level slug to face value
    _at("created_at"),
    PrimaryKeyConstraint("show_id", "version"),
    _of_show(),
)

seat_blocks: Final = Table(
    "seat_blocks",
    metadata,
    _required("show_id", BigInteger),
    _reseller(),
    _required("seat_index", Integer),
    _required("reason", Text),
    PrimaryKeyConstraint("show_id", "seat_index"),
    _of_show(),
)

area_blocks: Final = Table(
    "area_blocks",
    metadata,
    _required("show_id", BigInteger),
    _reseller(),
    _required("area_index", Integer),
    _required("count", Integer),
    PrimaryKeyConstraint("show_id", "area_index"),
    CheckConstraint("count > 0", name="count"),
    _of_show(),
)

orders: Final = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),  # the 16 bytes of the hold it came from
    _reseller(),
    _required("show_id", BigInteger),
    _required("buyer", Text),
    _required("status", Text),
    _required("currency", _CURRENCY),
    _required("face_value", BigInteger),
    _required("fee", BigInteger),
    _required("tax", BigInteger),
    _required("discount", BigInteger),
    _required("total", BigInteger),
    _required("payment_reference", Text),
    _required("purchase_key", Text),  # the Idempotency-Key that it was bought with
    _required("body_fp", BigInteger),  # fingerprints of the purchase's body and of the hold's
    _required("hold_fp", BigInteger),
    _required("price_version", Integer),
    _required("epoch", BigInteger),  # with position: its fact's place in the stream
    _required("position", BigInteger),
    _required("sold_at", _TIME),
    _at("recorded_at"),
    _of_show(),
    CheckConstraint("status IN ('confirmed', 'conflict', 'refunded', 'returned')", name="status"),
    CheckConstraint("total = face_value + fee + tax - discount", name="total"),
    Index(None, "show_id", "epoch", "position"),
)

order_lines: Final = Table(
    "order_lines",
    metadata,
    _required("order_id", Uuid),
    _required("line_no", Integer),
    _reseller(),
    _required("show_id", BigInteger),
    _required("price_level", Text),
    _optional("area_index", Integer),  # NULL: numbered seats
    _required("quantity", Integer),
    _required("unit_face_value", BigInteger),
    _required("unit_fee", BigInteger),
    _required("unit_tax", BigInteger),
    _required("unit_discount", BigInteger),
    _required("total", BigInteger),
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
    _required("order_id", Uuid),
    _reseller(),
    _required("show_id", BigInteger),
    _required("line_no", Integer),
    _optional("seat_index", Integer),
    _optional("area_index", Integer),
    _required("label", Text),  # the seat's, or its area's slug
    _required("status", Text),
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
    _required("show_id", BigInteger),
    _reseller(),
    _required("area_index", Integer),
    _required("capacity", Integer),
    _required("sold", Integer),
    PrimaryKeyConstraint("show_id", "area_index"),
    CheckConstraint("sold BETWEEN 0 AND capacity", name="sold"),
    _of_show(),
)

conflicts: Final = Table(
    "conflicts",
    metadata,
    _required("order_id", Uuid),
    _required("conflict_no", Integer),
    _reseller(),
    _required("show_id", BigInteger),
    _optional("seat_index", Integer),
    _optional("area_index", Integer),
    _optional("owner_order_id", Uuid),  # who has the seat; NULL for an area that is full
    # Of the sale. While it is the show's, no recovery has put its other places on sale again.
    _required("epoch", BigInteger),
    _at("found_at"),
    PrimaryKeyConstraint("order_id", "conflict_no"),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    Index(None, "show_id", "found_at"),
    Index(None, "show_id", "epoch"),
)

stranded_facts: Final = Table(
    "stranded_facts",
    metadata,
    _required("show_id", BigInteger),
    _reseller(),
    _required("stream_epoch", BigInteger),
    _required("stream_seq", BigInteger),
    _required("fact", LargeBinary),  # the entry's fields, as msgpack: nothing of it is lost
    _optional("hold_id", Uuid),  # NULL: the entry names no hold
    _required("reason", Text),
    _at("found_at"),
    PrimaryKeyConstraint("show_id", "stream_epoch", "stream_seq"),
    _of_show(),
    Index(None, "hold_id"),
)

refund_requests: Final = Table(
    "refund_requests",
    metadata,
    # Once each. No foreign key: a stranded fact has no order.
    Column("order_id", Uuid, primary_key=True),
    _reseller(),
    _required("show_id", BigInteger),
    _required("reason", Text),
    _required("amount", BigInteger),
    _required("currency", _CURRENCY),
    _required("payment_reference", Text),
    _at("created_at"),
    _of_show(),
    CheckConstraint("reason IN ('conflict', 'stranded', 'returned')", name="reason"),
    CheckConstraint("amount >= 0", name="amount"),
    Index(None, "show_id", "created_at"),
)

returns: Final = Table(
    "returns",
    metadata,
    _required("show_id", BigInteger),
    _required("return_no", BigInteger),  # of the show, from 1 on, without gaps
    _reseller(),
    _required("order_id", Uuid),
    _at("at"),
    PrimaryKeyConstraint("show_id", "return_no"),
    UniqueConstraint("order_id"),  # once each
    _of_show(),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
)

queues: Final = Table(
    "queues",
    metadata,
    Column("show_id", BigInteger, primary_key=True, autoincrement=False),
    _reseller(),
    _required("mode", Text),
    _required("is_paused", Boolean),
    _required("opens_at", _TIME),
    _optional("draws_at", _TIME),  # NULL: places are numbers, in the order of arrival
    _required("rate", Double),  # passes a second
    _required("burst", Double),
    _required("checkout_max", Integer),
    _required("pass_ttl_s", Integer),
    _optional("safety_net", Double),  # joins a second above which people wait
    _required("proof_bits", Integer),
    _required("return_addresses", JSONB),
    _optional("beacon", JSONB),
    _optional("beacon_value", LargeBinary),
    _required("secret", LargeBinary),
    _required("commitment", LargeBinary),
    _optional("count", BigInteger),  # of the entries that were drawn, once they are closed
    _optional("closed_at", _TIME),
    _optional("drawn_at", _TIME),
    _optional("digest", LargeBinary),
    _counter("epoch"),
    _counter("numbers_ceiling"),  # nobody has this number or a higher one
    _counter("serving_ceiling"),  # `serving` has never been higher
    Column("skipped", JSONB, nullable=False, server_default=text("'[]'")),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    _at("created_at"),
    _at("changed_at"),  # its rules
    _of_show(),
    CheckConstraint("mode IN ('on', 'drain', 'closed', 'off')", name="mode"),
    CheckConstraint("rate > 0 AND burst >= 1 AND checkout_max > 0", name="bounds"),
    CheckConstraint("drawn_at IS NULL OR count IS NOT NULL", name="drawn"),
)

recorder_positions: Final = Table(
    "recorder_positions",
    metadata,
    Column("show_id", BigInteger, primary_key=True, autoincrement=False),
    _reseller(),
    _required("epoch", BigInteger),
    _required("seq", BigInteger),
    _at("updated_at"),
    _of_show(),
)

recoveries: Final = Table(
    "recoveries",
    metadata,
    _entity(),
    _required("show_id", BigInteger),
    _reseller(),
    _required("epoch", BigInteger),
    _required("reason", Text),
    _required("facts_drained", Integer),
    _required("holds_kept", Integer),
    _required("holds_voided", Integer),
    _required("took_ms", Integer),
    _at("at"),
    _of_show(),
    Index(None, "show_id", "epoch"),
)

journal_entries: Final = Table(
    "journal_entries",
    metadata,
    Column("id", Uuid, primary_key=True),
    _reseller(),
    _required("show_id", BigInteger),
    _required("order_id", Uuid),
    _required("kind", Text),
    _required("occurred_at", _TIME),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    Index(None, "order_id"),
)

postings: Final = Table(
    "postings",
    metadata,
    _required("entry_id", Uuid),
    _required("posting_no", Integer),
    _reseller(),
    _required("account", Text),
    _required("currency", _CURRENCY),
    _required("amount", BigInteger),
    PrimaryKeyConstraint("entry_id", "posting_no"),
    ForeignKeyConstraint(["entry_id"], ["journal_entries.id"]),
    CheckConstraint("amount <> 0", name="amount"),
)

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    _reseller(),
    _required("scope", Text),
    _required("key_hash", LargeBinary),
    _required("fingerprint", LargeBinary),
    _optional("status", Integer),  # NULL with body while the first request is under way
    _optional("body", LargeBinary),
    _at("created_at"),
    PrimaryKeyConstraint("reseller_id", "scope", "key_hash"),
    _of_reseller(),
    CheckConstraint("(status IS NULL) = (body IS NULL)", name="answer"),
    Index(None, "created_at"),
)
